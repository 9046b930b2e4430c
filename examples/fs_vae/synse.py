"""Readers of the folders that SynSE, MSF-GZSSAR and FS-VAE share: features and texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from examples.data._archive import read_arrays
from examples.data.protocols import ClassSplit
from examples.fs_vae.features import Features, Part, check_labels, seen_in_validation
from skelfreq.data import SkeletonFormatError
from skelfreq.data.arrays import read_npy

# Label, motion (local) and action (global) description, by the release's abbreviations.
ABBREVIATIONS = {"label": "lb", "local": "md", "global": "ad"}


def load_features(folder: str | Path, split: ClassSplit, *, validation: bool = False) -> Features:
    """Read one of SynSE's feature folders, ``shift_5_r`` or ``shift_val_5_r`` and the like.

    The folder holds ``train``, ``train_label``, ``ztest``, ``z_label`` and, for the final stage,
    ``gtest``, ``g_label``, ``gtest_out``; for the validation stage ``val``, ``val_label``,
    ``val_out``, ``ztest_out``; each as ``.npy``, or all of them in one ``.npz`` given instead of a
    folder. Logits have one column per seen class, or one per class.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, cannot be read, is not finite, or disagrees with the split; the
        message names the file.
    """
    folder = Path(folder)
    seen = seen_in_validation(split) if validation else split.seen
    unseen = split.validation if validation else split.unseen

    def part(names: str, classes: tuple[int, ...]) -> Part:
        return _part(*(folder / f"{n}.npy" for n in names.split()), classes, seen, split)

    train = part("train train_label train", seen)
    if validation:
        seen_test = part("val val_label val_out", seen)
        unseen_test = part("ztest z_label ztest_out", unseen)
    else:
        test = part("gtest g_label gtest_out", seen + unseen)
        is_unseen = torch.isin(test.labels, torch.tensor(unseen))
        seen_test, unseen_test = test[~is_unseen], test[is_unseen]
    return Features(train, seen_test, unseen_test, seen, unseen, str(folder))


def _part(
    features: Path,
    numbers: Path,
    scores: Path,
    classes: tuple[int, ...],
    seen: tuple[int, ...],
    split: ClassSplit,
) -> Part:
    """Read features, labels and logits; of the training part, which needs none, zeros."""
    x = _array(features, 2, "fiu", "a table of numbers with 2 axes")
    labels = torch.from_numpy(_array(numbers, 1, "iu", "integers").astype(np.int64))
    if len(labels) != len(x):
        raise ValueError(
            f"{numbers} must have {len(x)} entries, as {features.name} has rows, got {len(labels)}."
        )
    check_labels(f"{numbers}: the labels", labels, classes)
    logits = np.zeros((len(x), len(seen)), dtype=np.float32)
    if scores != features:
        logits = _array(scores, 2, "fiu", "a table of numbers with 2 axes")
        wide, narrow = (len(x), split.num_classes), (len(x), len(seen))
        logits = logits[:, list(seen)] if logits.shape == wide else logits
        if logits.shape != narrow:
            raise ValueError(
                f"{scores} must have shape {narrow}, one column per seen class, or {wide}, "
                f"got {logits.shape}."
            )
    x, logits = (torch.from_numpy(a.astype(np.float32)) for a in (x, logits))
    return Part(x, labels, logits)


def load_texts(folder: str | Path, num_classes: int, levels: tuple[str, ...]) -> Tensor:
    """Join the levels' features and scale every class to unit length: [classes, width].

    Reads ``*lb_60.npy``, ``*md_60.npy`` and ``*ad_60.npy`` (or ``_120``), whichever ``levels``
    asks for; one row per class.

    Raises
    ------
    FileNotFoundError, ValueError
        A level has no file or several, or a file does not hold finite numbers, a row per class.
    """
    parts = []
    for level in levels:
        pattern = f"*{ABBREVIATIONS[level]}_{num_classes}.npy"
        found = sorted(Path(folder).glob(pattern))
        if len(found) != 1:
            raise FileNotFoundError(
                f"{folder} must hold one file {pattern} with the {level} features, "
                f"got {[path.name for path in found]}."
            )
        rule = f"a row of numbers for each of {num_classes} classes"
        array = _array(found[0], 2, "f", rule)
        if len(array) != num_classes:
            raise ValueError(f"{found[0]} must hold {rule}, got {array.shape}.")
        parts.append(torch.from_numpy(array.astype(np.float32)))
    return torch.nn.functional.normalize(torch.cat(parts, 1), dim=1)


def _array(path: Path, axes: int, kinds: str, rule: str) -> np.ndarray:
    """Read an array from a ``.npy`` file, or by its stem from an archive that holds it."""
    if path.parent.suffix == ".npz":
        array = read_arrays(path.parent, (path.stem,))[path.stem]
    elif not path.exists():
        raise FileNotFoundError(f"{path}: no such file; it must hold {rule}.")
    else:
        try:
            array = read_npy(path)
        except SkeletonFormatError as error:
            raise ValueError(f"{path} must be a .npy file with {rule}: {error}") from error
    if array.ndim != axes or array.dtype.kind not in kinds:
        raise ValueError(f"{path} must hold {rule}, got {array.dtype} {array.shape}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ValueError(f"{path} must be finite, got NaN or infinity first in row {row}.")
    return array
