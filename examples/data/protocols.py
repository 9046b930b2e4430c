"""Which clips train and which test: the published protocols by name, and small-label subsets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skelfreq.data import Clip, ConvertedSet

# Shahroudy et al., CVPR 2016, section 4.3, and Liu et al., TPAMI 2020, section 3.2.
_NTU60 = (*(1, 2, 4, 5, 8, 9), *range(13, 20), *(25, 27, 28, 31, 34, 35, 38))
_NTU120 = (
    *_NTU60,
    *(45, 46, 47, 49, 50),
    *range(52, 60),
    *(70, 74, 78),
    *range(80, 87),
    *(89, 91, 92, 93, 94, 95, 97, 98, 100, 103),
)
_MSR_SUBJECTS = range(1, 11)
_GENERIC = re.compile(r"(?:subjects|cameras|setups):\d{1,9}(?:,\d{1,9})*|random:\d{1,9}")
_MSR_NAME = re.compile(r"msr-train(?:-\d+){5}")


class Split(NamedTuple):
    """Masks over the clips, bool ``[n]``; clips in neither do not belong to the protocol."""

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Columns:
    """What protocols look at: int64 ``[n]`` and texts, -1 or "" where the source says nothing."""

    names: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    cameras: np.ndarray
    setups: np.ndarray
    splits: np.ndarray

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.names)

    @classmethod
    def of(cls, clips: ConvertedSet | Columns | Iterable[Clip]) -> Columns:
        """Collect the columns of a converted set, without touching its joints, or of clips."""
        if isinstance(clips, Columns):
            return clips
        if isinstance(clips, ConvertedSet):
            return cls(*(np.array(getattr(clips, field.name)) for field in fields(cls)))
        rows = [(c.name, c.label, c.subject, c.camera, c.setup, c.split) for c in clips]
        columns = list(zip(*rows, strict=True)) or [()] * len(fields(cls))
        texts = ("names", "splits")
        return cls(
            *(
                np.array(column, str if field.name in texts else np.int64)
                for field, column in zip(fields(cls), columns, strict=True)
            )
        )

    def known(self, column: str, protocol: str, within: np.ndarray | None = None) -> np.ndarray:
        """Return a column; raise ValueError where the protocol needs it and a clip lacks it."""
        values: np.ndarray = getattr(self, column)
        lacking = (values == "") if values.dtype.kind == "U" else (values < 0)
        lacking = lacking if within is None else lacking & within
        if lacking.any():
            some = ", ".join(self.names[lacking][:3])
            raise ValueError(
                f"{protocol} needs the {column} of every clip, {lacking.sum()} of {len(self)} have "
                f"none: {some}."
            )
        return values


def _own(c: Columns, name: str) -> Split:
    splits = c.known("splits", name)
    return Split(splits == "train", splits == "test")


def _members(values: np.ndarray, training: Iterable[int], within: np.ndarray) -> Split:
    """Return the split by whether a number is among those that train."""
    train = np.isin(values, list(training))
    return Split(train & within, ~train & within)


def _ntu60(c: Columns, name: str) -> np.ndarray:
    """Return which clips belong to NTU RGB+D 60: its 60 classes."""
    return c.known("labels", name) < 60


def _ntu60_xsub(c: Columns, name: str) -> Split:
    within = _ntu60(c, name)
    return _members(c.known("subjects", name, within), _NTU60, within)


def _ntu60_xview(c: Columns, name: str) -> Split:
    within = _ntu60(c, name)
    return _members(c.known("cameras", name, within), (2, 3), within)


def _ntu120_xsub(c: Columns, name: str) -> Split:
    return _members(c.known("subjects", name), _NTU120, np.ones(len(c), bool))


def _ntu120_xset(c: Columns, name: str) -> Split:
    even = c.known("setups", name) % 2 == 0
    return Split(even, ~even)


def _nwucla_xview(c: Columns, name: str) -> Split:
    return _members(c.known("cameras", name), (1, 2), np.ones(len(c), bool))


def _nwucla_choice(c: Columns, name: str) -> Split:
    subjects, cameras = c.known("subjects", name), c.known("cameras", name)
    test = (cameras == 2) & (subjects % 2 == 0)
    return Split((cameras <= 2) & ~test, test)


def _odd_subjects(c: Columns, name: str) -> Split:
    odd = c.known("subjects", name) % 2 == 1
    return Split(odd, ~odd)


_BY_NAME: dict[str, Callable[[Columns, str], Split]] = {
    "own": _own,
    "ntu60-xsub": _ntu60_xsub,
    "ntu60-xview": _ntu60_xview,
    "ntu120-xsub": _ntu120_xsub,
    "ntu120-xset": _ntu120_xset,
    "pku1-xsub": _own,
    "nwucla-xview": _nwucla_xview,
    "nwucla-choice": _nwucla_choice,
    "utd-xsub": _odd_subjects,
    "msr-xsub": _odd_subjects,
    "penn": _own,
}
PROTOCOLS = tuple(_BY_NAME)


def msr_subject_splits() -> tuple[str, ...]:
    """Return the names of all 252 splits of MSR Action3D's 10 subjects into 5 and 5.

    Every one of the 126 pairs of halves occurs in both directions. ``"msr-train-1-3-5-7-9"`` is
    ``"msr-xsub"``.
    """
    return tuple(
        "msr-train-" + "-".join(map(str, chosen)) for chosen in combinations(_MSR_SUBJECTS, 5)
    )


def split(
    name: str,
    clips: ConvertedSet | Columns | Iterable[Clip],
    *,
    listed: str | Path | None = None,
) -> Split:
    """Return which clips train and which test.

    Parameters
    ----------
    name : str
        One of

        * ``"ntu60-xsub"``, ``"ntu60-xview"``: 20 of 40 subjects train, cameras 2 and 3 train;
          clips of the classes from 61 on belong to neither part;
        * ``"ntu120-xsub"``, ``"ntu120-xset"``: 53 of 106 subjects train, even setups train;
        * ``"pku1-xsub"``: PKU-MMD's published list, see ``listed``, or the split in the file;
        * ``"nwucla-xview"``: views 1 and 2 train, 3 tests;
        * ``"nwucla-choice"``: for choosing settings, without view 3: view 2 of the even subjects
          tests, the rest of views 1 and 2 trains;
        * ``"utd-xsub"``, ``"msr-xsub"``: odd subjects train, even ones test;
        * one of :func:`msr_subject_splits`, whose name lists the subjects that train;
        * ``"penn"``, ``"own"``: the split that the file itself gives;
        * ``"subjects:1,3,5"``, ``"cameras:1,2"``, ``"setups:2,4"``: those train, all others test;
        * ``"random:0"``: a third of the subjects, drawn with this seed, tests; where a clip has no
          subject, a third of the clips of every class.
    clips : ConvertedSet or iterable of Clip
        The clips. Of a converted set only the index is read.
    listed : str or Path, optional
        ``cross-subject.txt`` as PKU-MMD distributes it: names of recordings, separated by commas,
        in the second line (training) and in the fourth (test).

    Raises
    ------
    ValueError
        If the name is unknown, a clip lacks the number that the protocol needs, or one of the two
        parts would be empty.
    """
    columns = Columns.of(clips)
    if _MSR_NAME.fullmatch(name):
        training = {int(word) for word in name.split("-")[2:]}
        if len(training) != 5 or not training <= set(_MSR_SUBJECTS):
            raise ValueError(f"{name} must list 5 different subjects from 1 to 10.")
        subjects = columns.known("subjects", name)
        found = _members(subjects, training, np.isin(subjects, _MSR_SUBJECTS))
    elif _GENERIC.fullmatch(name):
        kind, _, listing = name.partition(":")
        numbers = [int(word) for word in listing.split(",")]
        if kind == "random":
            found = _random(columns, numbers[0])
        else:
            found = _members(columns.known(kind, name), numbers, np.ones(len(columns), bool))
    elif name not in _BY_NAME:
        raise ValueError(
            f"protocol must be one of {', '.join(PROTOCOLS)}, msr-train-A-B-C-D-E, subjects:1,3,5, "
            f"cameras:1,2, setups:2,4 or random:0, got {name!r}."
        )
    elif listed is not None:
        if name != "pku1-xsub":
            raise ValueError(f"listed goes with pku1-xsub, got {name!r}.")
        found = _listed(columns, Path(listed))
    else:
        found = _BY_NAME[name](columns, name)
    for part, mask in found._asdict().items():
        if not mask.any():
            raise ValueError(f"{name} leaves no clip for the {part} part of {len(columns)} clips.")
    return found


def _random(c: Columns, seed: int) -> Split:
    """Return a drawn split: a third of the subjects tests, or a third of every class's clips."""
    rng, test = np.random.default_rng(seed), np.zeros(len(c), bool)
    if (c.subjects >= 0).all() and len(subjects := np.unique(c.subjects)) > 1:
        test = np.isin(c.subjects, rng.permutation(subjects)[: max(len(subjects) // 3, 1)])
    else:
        for label in np.unique(c.labels):
            rows = rng.permutation(np.flatnonzero(c.labels == label))
            test[rows[: len(rows) // 3]] = True
    return Split(~test, test)


def _listed(c: Columns, path: Path) -> Split:
    """Return the split that a list of PKU-MMD gives; clips are named after their recording."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    parts = [
        {word.strip() for word in line.split(",")} - {""}
        for line in (*lines, "", "", "", "")[1:4:2]
    ]
    if not all(parts) or parts[0] & parts[1]:
        raise ValueError(
            f"{path}: lines 2 and 4 must list the recordings that train and test, got "
            f"{len(parts[0])} and {len(parts[1])}, {len(parts[0] & parts[1])} of them in both."
        )
    recordings = np.array([re.sub(r"/\d+$", "", name).rpartition("/")[2] for name in c.names])
    return Split(*(np.isin(recordings, list(part)) for part in parts))


def few_labels(
    labels: np.ndarray,
    train: np.ndarray,
    *,
    share: float | None = None,
    per_class: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Draw a subset of the training clips, so many of every class.

    Parameters
    ----------
    labels, train : ndarray
        Class numbers and bool mask of the training clips, ``[n]``.
    share : float, optional
        Share of every class, above 0 and at most 1; rounded, at least one clip.
    per_class : int, optional
        Or so many clips of every class (all, where it has fewer).
    seed : int, default 0
        Subsets of one seed are nested: a smaller one lies in a larger one.

    Returns
    -------
    ndarray
        bool ``[n]``.

    Raises
    ------
    ValueError
        If not exactly one of ``share`` and ``per_class`` is given, or it is out of its range.
    """
    if (share is None) == (per_class is None):
        raise ValueError("one of share and per_class must be given.")
    if share is not None and not 0 < share <= 1:
        raise ValueError(f"share must lie above 0 and at most at 1, got {share}.")
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}.")
    labels, train = np.asarray(labels), np.asarray(train, bool)
    chosen = np.zeros(len(labels), bool)
    # A class's order depends on the seed and on the class, not on which other classes there are.
    for label in np.unique(labels[train]):
        rows = np.flatnonzero(train & (labels == label))
        order = np.random.default_rng([seed, int(label) + 1]).permutation(len(rows))
        count = per_class if share is None else max(1, round(share * len(rows)))
        chosen[rows[order[:count]]] = True
    return chosen


class ClassSplit(NamedTuple):
    """A zero-shot protocol: class numbers from 0."""

    num_classes: int
    unseen: tuple[int, ...]
    validation: tuple[int, ...]

    @property
    def seen(self) -> tuple[int, ...]:
        """Classes that are not unseen; those of the validation stage lack ``validation`` too."""
        return tuple(sorted(set(range(self.num_classes)) - set(self.unseen)))


# SynSE (Gupta et al., ICIP 2021) as published: ru* and rv*_0. The seen classes follow from them;
# two of the published lists of seen classes are defective.
CLASS_SPLITS = {
    "synse-60-55/5": ClassSplit(60, (10, 11, 19, 26, 56), (16, 21, 25, 31, 48)),
    "synse-60-48/12": ClassSplit(
        60,
        (3, 5, 9, 12, 15, 40, 42, 47, 51, 56, 58, 59),
        (4, 8, 10, 13, 17, 22, 30, 33, 39, 46, 50, 54),
    ),
    "synse-120-110/10": ClassSplit(
        120,
        (4, 13, 37, 43, 49, 65, 88, 95, 99, 106),
        (5, 10, 32, 61, 72, 74, 76, 77, 83, 96),
    ),
    "synse-120-96/24": ClassSplit(
        120,
        (
            *(5, 9, 11, 16, 18, 20, 22, 29, 35, 39, 45, 49, 59, 68, 70, 81, 84, 87, 93, 94, 104),
            *(113, 114, 119),
        ),
        (
            *(1, 3, 4, 10, 17, 19, 27, 47, 48, 53, 58, 63, 66, 79, 83, 86, 89, 92, 97, 98, 100),
            *(103, 105, 108),
        ),
    ),
}


def class_split(name: str) -> ClassSplit:
    """Return the unseen and validation classes of a zero-shot protocol, ``"synse-60-55/5"`` etc.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name not in CLASS_SPLITS:
        raise ValueError(f"split must be one of {', '.join(CLASS_SPLITS)}, got {name!r}.")
    return CLASS_SPLITS[name]
