"""NTU RGB+D and PKU-MMD archives as CTR-GCN (Chen et al., ICCV 2021) and MAMP write them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from examples.data._archive import archive_keys, check_shape, read_arrays
from examples.data.clips import SkeletonClips

KEYS = ("x_train", "y_train", "x_test", "y_test")
_PERSONS, _JOINTS, _AXES = 2, 25, 3
# Samples worked on at once: bounds the memory for copies next to an array of many gigabytes.
_CHUNK = 512


def load_ctrgcn_npz(path: str | Path, *, persons: Literal["main", "all"] = "main") -> SkeletonClips:
    """Read an archive with the keys ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

    ``x`` is ``[N, T, 150]``, a frame being 2 persons of 25 joints of x, y, z; ``y`` is one-hot
    ``[N, classes]``. Frames in which a person is all zero are padding or gaps and are dropped for
    that person; samples without any person are dropped and named in ``dropped``. A whole array is
    read into memory at a time, as the format requires.

    Parameters
    ----------
    path : str or Path
        The archive, of any name.
    persons : {"main", "all"}
        Keep the person who moves more (sum of the distances that all joints travel between
        consecutive frames), or every person as a clip of its own with the sample's label.

    Returns
    -------
    SkeletonClips
        In the layout ``ntu25``; clips are named by key and row, for example ``x_train[12]``, with
        ``/person0`` or ``/person1`` added for ``persons="all"``. Subjects are not in the format.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the option is unknown, the file is damaged, lacks a key or holds arrays of other shapes,
        a row of ``y`` is not one-hot, or a coordinate is not finite; the message names the file and
        the key, or the file, clip and frame.
    """
    if persons not in ("main", "all"):
        raise ValueError(f"persons must be one of 'main', 'all', got {persons!r}.")
    path = Path(path)
    missing = [key for key in KEYS if key not in archive_keys(path)]
    if missing:
        raise ValueError(
            f"{path}: expected the key {missing[0]!r}, "
            f"got {', '.join(map(repr, archive_keys(path)))}."
        )
    frames, lengths, labels, train, names, dropped = [], [], [], [], [], []
    classes = 0
    for split in ("train", "test"):
        arrays = read_arrays(path, (f"x_{split}", f"y_{split}"))
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        check_shape(path, f"x_{split}", x, ("N", "T", _PERSONS * _JOINTS * _AXES), "f")
        check_shape(path, f"y_{split}", y, (len(x), classes or "classes"), "fiub")
        classes = y.shape[1]
        label = _labels(path, f"y_{split}", y)
        for start in range(0, len(x), _CHUNK):
            rows, length, sample, person = _people(
                path, f"x_{split}", x[start : start + _CHUNK], start, persons
            )
            frames.append(rows)
            lengths.append(length)
            labels.append(label[sample])
            train.append(np.full(len(sample), split == "train"))
            suffixes = [f"/person{p}" if persons == "all" else "" for p in person]
            names += [f"x_{split}[{i}]{suffix}" for i, suffix in zip(sample, suffixes, strict=True)]
            empty = np.setdiff1d(np.arange(start, min(start + _CHUNK, len(x))), sample)
            dropped += [f"x_{split}[{i}]" for i in empty]
    if not names:
        raise ValueError(f"{path}: expected at least one sample with a person, got none.")
    return SkeletonClips(
        joints=np.concatenate(frames),
        lengths=np.concatenate(lengths).astype(np.int64),
        labels=np.concatenate(labels),
        groups=np.full(len(names), -1, dtype=np.int64),
        train=np.concatenate(train),
        names=tuple(names),
        class_names=tuple(f"class {k}" for k in range(classes)),
        layout="ntu25",
        source=f"CTR-GCN archive, {path.name}",
        dropped=tuple(dropped),
    )


def _labels(path: Path, key: str, y: np.ndarray) -> np.ndarray:
    """Return the class numbers of one-hot rows."""
    wrong = np.flatnonzero((y > 0).sum(axis=1) != 1)
    if len(wrong):
        raise ValueError(
            f"{path}: row {wrong[0]} of {key} must have exactly one positive entry, "
            f"got {int((y[wrong[0]] > 0).sum())}."
        )
    return np.argmax(y > 0, axis=1).astype(np.int64)


def _people(
    path: Path, key: str, x: np.ndarray, start: int, persons: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the frames [sum T, V, C], their number, sample and person, one entry per clip."""
    broken = np.argwhere(~np.isfinite(x).all(axis=2))
    if len(broken):
        sample, frame = broken[0]
        raise ValueError(
            f"{path}: clip {key}[{start + sample}], frame {frame} (from 0) holds a coordinate "
            f"that is not finite."
        )
    x = x.reshape(len(x), -1, _PERSONS, _JOINTS, _AXES).swapaxes(1, 2)
    present = x.any(axis=(3, 4))
    if persons == "main":
        steps = np.linalg.norm(np.diff(x, axis=2), axis=-1).sum(axis=-1)
        # A step into or out of a gap is no motion.
        travelled = (steps * (present[:, :, 1:] & present[:, :, :-1])).sum(axis=2)
        main = np.where(present.any(axis=2), travelled, -1.0).argmax(axis=1)
        present = present & (np.arange(_PERSONS) == main[:, None])[:, :, None]
    length = present.sum(axis=2)
    sample, person = np.nonzero(length)
    return x[present].astype(np.float32), length[sample, person], sample + start, person
