"""Skeleton features between stage 1 and the others, computed here or read from SynSE's folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from examples.data._archive import read_arrays
from examples.fs_vae.splits import ClassSplit
from skelfreq.data import SkeletonFormatError
from skelfreq.data.arrays import read_npy

# SynSE's names: features, labels, logits of the classifier of seen classes.
TRAIN = ("train.npy", "train_label.npy", None)
UNSEEN = ("ztest.npy", "z_label.npy", "ztest_out.npy")
TEST = ("gtest.npy", "g_label.npy", "gtest_out.npy")
VALIDATION = ("val.npy", "val_label.npy", "val_out.npy")


@dataclass(frozen=True, eq=False)
class Part:
    """Features [n, width], class numbers [n] and logits over the seen classes [n, seen]."""

    x: Tensor
    labels: Tensor
    logits: Tensor

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.x)


@dataclass(frozen=True, eq=False)
class Features:
    """What stages 2 to 4 work on; every part holds samples of the classes it is named after."""

    train: Part
    seen_test: Part
    unseen_test: Part
    seen: tuple[int, ...]
    unseen: tuple[int, ...]
    source: str

    def __post_init__(self) -> None:
        for name, classes in (
            ("train", self.seen),
            ("seen_test", self.seen),
            ("unseen_test", self.unseen),
        ):
            part: Part = getattr(self, name)
            if len(part) == 0:
                raise ValueError(f"{self.source}: the {name} part must hold samples, got none.")
            if part.x.shape[1] != self.train.x.shape[1]:
                raise ValueError(
                    f"{self.source}: {name} features must be {self.train.x.shape[1]} wide, as "
                    f"those of the training part, got {part.x.shape[1]}."
                )
            _check_labels(self.source, f"the {name} labels", part.labels.tolist(), classes)
            if part.logits.shape != (len(part), len(self.seen)):
                raise ValueError(
                    f"{self.source}: {name} logits must have shape "
                    f"{(len(part), len(self.seen))}, got {tuple(part.logits.shape)}."
                )


def load_synse_features(
    folder: str | Path, split: ClassSplit, *, validation: bool = False
) -> Features:
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
    seen = split.seen_in_validation if validation else split.seen
    unseen = split.validation if validation else split.unseen
    columns = (seen, split.num_classes)
    train = _part(folder, TRAIN, seen, *columns)
    if validation:
        seen_test = _part(folder, VALIDATION, seen, *columns)
        unseen_test = _part(folder, UNSEEN, unseen, *columns)
    else:
        test = _part(folder, TEST, seen + unseen, *columns)
        is_unseen = torch.isin(test.labels, torch.tensor(unseen))
        seen_test = Part(test.x[~is_unseen], test.labels[~is_unseen], test.logits[~is_unseen])
        unseen_test = Part(test.x[is_unseen], test.labels[is_unseen], test.logits[is_unseen])
    return Features(train, seen_test, unseen_test, seen, unseen, str(folder))


def _check_labels(
    source: str | Path, name: str, labels: list[int], classes: tuple[int, ...]
) -> None:
    if strange := sorted(set(labels) - set(classes)):
        raise ValueError(
            f"{source}: {name} must be classes that the split puts there, got also {strange}; "
            f"check that features and class split belong together."
        )


def _part(
    folder: Path,
    names: tuple[str, str, str | None],
    classes: tuple[int, ...],
    seen: tuple[int, ...],
    num_classes: int,
) -> Part:
    features_name, labels_name, logits_name = names
    x = _numbers(folder, features_name, 2)
    labels = _numbers(folder, labels_name, 1)
    if len(labels) != len(x):
        raise ValueError(
            f"{folder / labels_name} must have {len(x)} entries, as {features_name} has rows, "
            f"got {len(labels)}."
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{folder / labels_name} must hold integers, got {labels.dtype}.")
    _check_labels(folder / labels_name, "the labels", labels.tolist(), classes)
    logits = np.zeros((len(x), len(seen)), dtype=np.float32)
    if logits_name is not None:
        logits = _numbers(folder, logits_name, 2)
        if logits.shape == (len(x), num_classes):
            logits = logits[:, list(seen)]
        if logits.shape != (len(x), len(seen)):
            raise ValueError(
                f"{folder / logits_name} must have shape ({len(x)}, {len(seen)}), one column per "
                f"seen class, or ({len(x)}, {num_classes}), got {logits.shape}."
            )
    return Part(
        torch.from_numpy(x.astype(np.float32)),
        torch.from_numpy(labels.astype(np.int64)),
        torch.from_numpy(logits.astype(np.float32)),
    )


def _numbers(folder: Path, name: str, axes: int) -> np.ndarray:
    path = folder / name
    try:
        if folder.suffix == ".npz":
            array = read_arrays(folder, (Path(name).stem,))[Path(name).stem]
        else:
            if not path.exists():
                raise FileNotFoundError(
                    f"{path}: no such file; a SynSE feature folder needs {name}."
                )
            array = read_npy(path)
    except SkeletonFormatError as error:
        raise ValueError(f"{path} must be a .npy file of numbers, got a damaged one.") from error
    if array.ndim != axes or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{path} must be a table of numbers with {axes} axes, got {array.dtype} {array.shape}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ValueError(f"{path} must be finite, got NaN or infinity first in row {row}.")
    return array
