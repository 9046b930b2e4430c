"""Which classes are seen, unseen, and held out to choose settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelfreq.data import SkeletonFormatError
from skelfreq.data.arrays import read_npy
from skelfreq.data.files import read_json

DRAWN = Path(__file__).with_name("splits.json")
# Unseen classes → NTU subset, its classes, and the files of SynSE's folder.
SYNSE = {"60/5": (60, 5), "60/12": (60, 12), "120/10": (120, 10), "120/24": (120, 24)}


@dataclass(frozen=True)
class ClassSplit:
    """Class numbers. ``validation`` are the seen classes that play unseen ones for selection."""

    num_classes: int
    unseen: tuple[int, ...]
    validation: tuple[int, ...]
    source: str

    def __post_init__(self) -> None:
        for name in ("unseen", "validation"):
            classes = getattr(self, name)
            if len(set(classes)) != len(classes):
                raise ValueError(f"{self.source}: {name} classes must be distinct, got {classes}.")
            if not classes or min(classes) < 0 or max(classes) >= self.num_classes:
                raise ValueError(
                    f"{self.source}: {name} classes must lie between 0 and "
                    f"{self.num_classes - 1}, got {classes}."
                )
        if both := sorted(set(self.unseen) & set(self.validation)):
            raise ValueError(
                f"{self.source}: unseen and validation classes must be disjoint, "
                f"both hold {both}; take them from one of the lists."
            )
        if len(self.seen) - len(self.validation) < 2:
            raise ValueError(
                f"{self.source}: at least 2 seen classes must remain beside the validation "
                f"classes, got {len(self.seen) - len(self.validation)}."
            )

    @property
    def seen(self) -> tuple[int, ...]:
        """Every class that is not unseen, sorted."""
        return tuple(c for c in range(self.num_classes) if c not in self.unseen)

    @property
    def seen_in_validation(self) -> tuple[int, ...]:
        """Seen classes of the validation stage, sorted."""
        return tuple(c for c in self.seen if c not in self.validation)


def draw_split(
    num_classes: int, num_unseen: int, seed: int, num_validation: int | None = None
) -> ClassSplit:
    """Draw a split; validation gets as many classes as unseen, at most a third of the seen ones."""
    if not 1 <= num_unseen <= num_classes - 3:
        raise ValueError(f"unseen must lie between 1 and {num_classes - 3}, got {num_unseen}.")
    order = [int(c) for c in np.random.default_rng(seed).permutation(num_classes)]
    if num_validation is None:
        num_validation = max(1, min(num_unseen, (num_classes - num_unseen) // 3))
    return ClassSplit(
        num_classes,
        tuple(sorted(order[:num_unseen])),
        tuple(sorted(order[num_unseen : num_unseen + num_validation])),
        f"{num_classes - num_unseen}/{num_unseen} drawn with seed {seed}",
    )


def load_splits(data: str, num_unseen: int) -> tuple[ClassSplit, ...]:
    """Return the fixed splits of ``"msr_action3d"`` or ``"synthetic"`` listed in splits.json."""
    listed = read_json(DRAWN)
    try:
        entry = listed[data]
        drawn = entry["splits"][str(num_unseen)]
    except KeyError:
        known = {name: sorted(entry["splits"]) for name, entry in listed.items()}
        raise ValueError(
            f"no splits of {data!r} with {num_unseen} unseen classes, {DRAWN.name} has {known}."
        ) from None
    return tuple(
        ClassSplit(
            entry["num_classes"],
            tuple(split["unseen"]),
            tuple(split["validation"]),
            f"{data} {entry['num_classes'] - num_unseen}/{num_unseen} split {number}",
        )
        for number, split in enumerate(drawn)
    )


def load_synse_split(folder: str | Path, name: str) -> ClassSplit:
    """Read one of SynSE's splits, ``"60/5"`` and so on, from its folder of ``.npy`` files.

    ``ru*`` (unseen) and ``rv*_0`` (validation) are needed; the seen classes follow from them, so
    ``rs*`` is only checked, where the folder has it. Of the published files ``rs100_0.npy`` lacks
    19 classes, which is reported as an error.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`read_split`, or an unknown ``name``.
    """
    if name not in SYNSE:
        raise ValueError(f"split must be one of {', '.join(SYNSE)}, got {name!r}.")
    folder = Path(folder)
    num_classes, count = SYNSE[name]
    seen = num_classes - count
    unseen, validation = folder / f"ru{count}.npy", folder / f"rv{count}_0.npy"
    split = read_split(num_classes, unseen, validation)
    for path, classes in ((unseen, split.unseen), (validation, split.validation)):
        if len(classes) != count:
            raise ValueError(f"{path} must list {count} classes for {name}, got {len(classes)}.")
    for path, expected in (
        (folder / f"rs{seen}.npy", split.seen),
        (folder / f"rs{seen - count}_0.npy", split.seen_in_validation),
    ):
        if path.is_file():
            _check_seen(path, expected)
    return split


def read_split(
    num_classes: int,
    unseen: str | Path,
    validation: str | Path,
    seen: str | Path | None = None,
) -> ClassSplit:
    """Read a split from ``.npy`` lists of class numbers.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, is no list of class numbers, or contradicts another one; the message
        names the file and what to do.
    """
    unseen, validation = Path(unseen), Path(validation)
    split = ClassSplit(
        num_classes, _classes(unseen), _classes(validation), f"{unseen}, {validation}"
    )
    if seen is not None:
        _check_seen(Path(seen), split.seen)
    return split


def _check_seen(path: Path, expected: tuple[int, ...]) -> None:
    found = _classes(path)
    missing, surplus = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or surplus:
        raise ValueError(
            f"{path} must hold every class that is not held out, got {len(found)}: it lacks "
            f"{missing} and also lists {surplus}; delete it or leave it out, the seen classes "
            f"follow from the unseen ones."
        )


def _classes(path: Path) -> tuple[int, ...]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; it must hold a list of class numbers.")
    try:
        array = read_npy(path)
    except SkeletonFormatError as error:
        raise ValueError(f"{path} must be a .npy file of class numbers: {error}") from error
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{path} must hold a list of class numbers, got {array.dtype} {array.shape}."
        )
    return tuple(int(c) for c in array)
