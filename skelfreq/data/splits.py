"""Lists of seen and unseen classes, as SynSE names them, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skelfreq.data.arrays import read_npy
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import Limits
from skelfreq.data.findings import Finding

__all__ = ["check_splits", "is_split_folder"]

# Seen, unseen and validation classes, how many of them, and "_0" for the validation stage.
_NAME = re.compile(r"r([suv])(\d{1,4})(_0)?\.npy")


def is_split_folder(path: str | Path) -> bool:
    """Return whether a folder holds lists such as ``rs55.npy`` and ``ru5.npy``."""
    path = Path(path)
    return path.is_dir() and any(_NAME.fullmatch(entry.name) for entry in path.iterdir())


def check_splits(path: str | Path, limits: Limits | None = None) -> Iterator[Finding]:
    """Yield what is wrong with the class lists of a folder.

    A list must hold as many different classes as its name says, no two lists may be the same, and a
    seen list must be disjoint from the unseen list with which it makes 60 or 120 classes.

    Raises
    ------
    SkeletonFormatError
        If a list is no ``.npy`` file of class numbers.
    """
    lists: dict[str, tuple[int, ...]] = {}
    for file in sorted(Path(path).iterdir()):
        if _NAME.fullmatch(file.name):
            array = read_npy(file, limits)
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise SkeletonFormatError(
                    file, f"expected a list of class numbers, got {array.dtype} {array.shape}"
                )
            lists[file.name] = tuple(np.sort(array).tolist())
    fits = {name: len(set(lists[name])) == _count(name) for name in lists}
    for name, classes in lists.items():
        wanted, different = _count(name), set(classes)
        if len(different) != len(classes):
            text = f"lists {len(classes) - len(different)} classes more than once"
            yield Finding(-1, name, "repeated", text)
        if not fits[name]:
            text = f"lists {len(different)} classes, its name says {wanted}"
            yield Finding(-1, name, "count", text)
        for other, others in lists.items():
            # Of two that are the same, the one whose name does not fit, or else the later one.
            if other != name and others == classes and (fits[other], name) > (fits[name], other):
                yield Finding(-1, name, "copy", f"lists the same classes as {other}")
        for total in (60, 120):
            unseen = set(lists.get(f"ru{total - wanted}.npy", ()))
            if name.startswith("rs") and "_" not in name and different & unseen:
                text = f"shares {sorted(different & unseen)} with ru{total - wanted}.npy"
                yield Finding(-1, name, "overlap", text)


def _count(name: str) -> int:
    """Return how many classes the name of a list says that it holds."""
    return int(name[2:].split(".")[0].split("_")[0])
