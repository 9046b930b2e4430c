"""NTU RGB+D and PKU-MMD archives as CTR-GCN (Chen et al., ICCV 2021) and MAMP write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.archives import Archive, open_archive
from skelfreq.data.arrays import check_array
from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.readers.zip_keys import archive_keys
from skelfreq.data.source import Options, Reader, Unit, to_float32
from skelfreq.skeletons import get_layout

__all__ = ["CtrGcnNpz"]

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_PERSONS, _JOINTS, _AXES = 2, 25, 3
_MAX_FRAMES = 100_000


class CtrGcnNpz(Reader):
    """Reader of archives with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

    ``x`` is ``[N, T, 150]``: 2 persons of 25 joints of x, y, z; ``y`` is one-hot ``[N, classes]``.
    Zero frames at the end of a sample are padding and left out; zero frames between others stay.
    A person who is zero throughout is left out, and so is a sample without persons. One sample is
    in memory at a time.
    """

    name = "ctrgcn_npz"
    reads = "x_train, y_train, x_test, y_test of CTR-GCN and MAMP; split; padding left out"
    suffixes = (".npz",)
    unit = "m"
    preprocessing = ("CTR-GCN: origin at joint 1 of the first frame",)

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the archive has one of the four keys."""
        return bool(set(archive_keys(path)) & set(_KEYS))

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the samples of both splits."""
        with open_archive(unit.path, options.limits) as archive:
            classes: int | None = None
            for split in ("train", "test"):
                _check(archive, split)
            for split in ("train", "test"):
                labels = _labels(archive, split, classes)
                classes = labels.shape[1]
                yield from _samples(unit.path, archive, split, labels, options)


def _check(archive: Archive, split: str) -> None:
    """Raise unless the headers fit together, before any data are read."""
    key = f"x_{split}"
    header = archive.header(key)
    check_array(archive.path, key, header, ("N", "T", _PERSONS * _JOINTS * _AXES), "f")
    if not 0 < header.shape[1] <= _MAX_FRAMES:
        raise SkeletonFormatError(
            archive.path, f"expected 1 to {_MAX_FRAMES} frames, got {header.shape[1]}", item=key
        )
    label = archive.header(f"y_{split}")
    check_array(archive.path, f"y_{split}", label, (header.shape[0], "classes"), "fiub")


def _labels(archive: Archive, split: str, classes: int | None) -> NDArray[np.bool_]:
    key = f"y_{split}"
    y: NDArray[np.bool_] = np.asarray(archive.read(key, ("N", classes or "classes"), "fiub") > 0)
    wrong = np.flatnonzero(y.sum(axis=1) != 1)
    if len(wrong):
        raise SkeletonFormatError(
            archive.path,
            f"row {wrong[0]} of {key} must have exactly one positive entry, "
            f"got {int(y[wrong[0]].sum())}",
        )
    return y


def _samples(
    path: Path,
    archive: Archive,
    split: Literal["train", "test"] | str,
    labels: NDArray[np.bool_],
    options: Options,
) -> Iterator[Clip | Dropped]:
    key = f"x_{split}"
    layout = get_layout("ntu25")
    for row, x in enumerate(archive.rows(key)):
        name = f"{key}[{row}]"
        x = x.reshape(-1, _PERSONS, _JOINTS, _AXES)
        present = np.asarray(x.any(axis=(2, 3)))
        frames = np.flatnonzero(present.any(axis=1))
        if not len(frames):
            yield Dropped(name, "is zero throughout")
            continue
        x = x[: frames[-1] + 1, present.any(axis=0)]
        joints, confidence = to_float32(path, x, options, name)
        yield Clip(name, joints, confidence, layout, label=int(labels[row].argmax()), split=split)
