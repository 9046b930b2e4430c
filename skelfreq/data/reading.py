"""Reading a file or folder: one pass over its clips, with the checks that all formats share."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skelfreq.data.clips import Clip, Dropped, FloatArray
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.layouts import layout_named, unnamed_layout
from skelfreq.data.lists import name_list
from skelfreq.data.registry import detect_format, get_reader
from skelfreq.data.source import Options, Unit
from skelfreq.skeletons import SkeletonLayout

__all__ = ["ClipSet", "ClipSource", "Labels", "read"]

_MAX_LABEL = 100_000
# What the record of a clip takes, so that a file cannot give millions of empty ones.
_ITEM = 512
_STRAY = "If it is no part of the data, move it elsewhere; --skip-errors leaves out such files"
_GROUPS = ("label", "subject", "camera", "setup", "repetition")


class ClipSource:
    """The clips of a file or folder, read one by one.

    Parameters
    ----------
    path : str or Path
        What to read.
    format : str, optional
        Name of the format; found out by default.
    options : Options, optional
        How to read.

    Attributes
    ----------
    reader : Reader
        The reader of the format.
    units : list of Unit
        What is read together, in order.

    Raises
    ------
    SkeletonFormatError
        If there is nothing to read or the format is not recognised.
    ValueError
        If the format or an option is unknown.
    """

    def __init__(
        self, path: str | Path, format: str | None = None, options: Options | None = None
    ) -> None:
        self.path = Path(path)
        self.options = options or Options()
        if self.options.layout is not None:
            layout_named(self.options.layout)
        self._pattern = _compiled(self.options.pattern)
        self._left_out = _left_out(self.options)
        self.reader = get_reader(format or detect_format(self.path))
        self.units = self.reader.units(self.path, self.options)
        folders = sorted({unit.folder for unit in self.units})
        self._folders = {name: index for index, name in enumerate(folders)}

    def items(self, first: int = 0) -> Iterator[tuple[int, Clip | Dropped]]:
        """Yield the number of the unit and the clip, or what was left out, in order.

        Raises
        ------
        SkeletonFormatError
            If a file is malformed, unless the options say to leave such files out.
        """
        for number in range(first, len(self.units)):
            unit = self.units[number]
            try:
                for item in self._unit(unit):
                    yield number, item
            except SkeletonFormatError as error:
                if not self.options.skip_errors:
                    if error.remedy is None and len(self.units) > 1:
                        raise error.with_remedy(_STRAY) from error
                    raise
                yield number, Dropped(unit.name, str(error))

    def _unit(self, unit: Unit) -> Iterator[Clip | Dropped]:
        reader = self.reader
        left = max(reader.max_growth * unit.size(), reader.free_growth)
        items = self.reader.read(unit, self.options)
        while (item := _next(items)) is not None:
            left -= _ITEM if isinstance(item, Dropped) else _ITEM + item.joints.nbytes
            if left < 0:
                raise SkeletonFormatError(
                    unit.path, f"gives more than {reader.max_growth} times the bytes that it has"
                )
            if item.name in self._left_out:
                yield Dropped(item.name, "is on the list of samples to leave out")
            elif isinstance(item, Dropped):
                yield item
            else:
                with np.errstate(all="ignore"):
                    clip = self._finish(item, unit)
                yield clip

    def _finish(self, clip: Clip, unit: Unit) -> Clip:
        changes: dict[str, Any] = {}
        if self.options.folder_labels:
            changes = {"label": self._folders[unit.folder], "label_name": unit.folder}
        if self._pattern is not None:
            changes |= _numbers(self._pattern, clip.name, unit.path)
        most = self.options.max_persons
        if most is not None and clip.num_persons > most:
            kept = np.sort(np.argsort(-_energy(clip.joints), kind="stable")[:most])
            changes["joints"] = np.ascontiguousarray(clip.joints[:, kept])
            if clip.confidence is not None:
                changes["confidence"] = np.ascontiguousarray(clip.confidence[:, kept])
            if clip.persons:
                changes["persons"] = tuple(clip.persons[index] for index in kept)
        clip = dataclasses.replace(clip, **changes) if changes else clip
        if clip.label >= _MAX_LABEL:
            why = f"label must lie below {_MAX_LABEL}, got {clip.label}"
            raise SkeletonFormatError(unit.path, why, item=clip.name)
        return clip


def _next(items: Iterator[Clip | Dropped]) -> Clip | Dropped | None:
    """Return the next item, without warnings about numbers: readers look at the results."""
    with np.errstate(all="ignore"):
        return next(items, None)


def _left_out(options: Options) -> frozenset[str]:
    if options.missing is None:
        return frozenset()
    from skelfreq.data.source import filled_lines

    lines = filled_lines(Path(options.missing), options.limits)
    return frozenset(line.decode("utf-8", "replace").strip() for _, line in lines)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern must be a regular expression ({error}).") from error
    if not found.groupindex or not set(found.groupindex) <= set(_GROUPS):
        raise ValueError(f"pattern must have groups named {', '.join(_GROUPS)}, got {pattern!r}.")
    return found


def _numbers(pattern: re.Pattern[str], name: str, path: Path) -> dict[str, Any]:
    """Return what the groups of a pattern say about a clip; a label may be a text."""
    match = pattern.search(name)
    if match is None:
        raise SkeletonFormatError(path, f"the name {name!r} does not fit {pattern.pattern!r}")
    found: dict[str, Any] = {}
    for key, word in match.groupdict().items():
        if word is not None and word.isascii() and word.isdigit() and len(word) < 10:
            found[key] = int(word)
        elif key == "label" and word is not None:
            found |= {"label": -1, "label_name": word}
        elif word is not None:
            raise SkeletonFormatError(path, f"{key} must be a number, got {printable(word)!r}")
    return found


def _energy(joints: FloatArray) -> FloatArray:
    """Return how far the joints of every person travel, steps out of and into zero left out."""
    present = np.asarray(joints.any(axis=(2, 3)))
    both = present[1:] & present[:-1]
    steps = np.sqrt(np.square(np.diff(joints, axis=0)).sum(axis=-1)).sum(axis=-1)
    return np.asarray((steps * both).sum(axis=0), np.float32)


@dataclass
class Labels:
    """Class numbers and names as they come up while reading."""

    names: dict[int, str] = field(default_factory=dict)
    highest: int = -1
    unnumbered: set[str] = field(default_factory=set)

    def add(self, label: int, name: str) -> None:
        """Take note of the class of a clip."""
        if label >= 0:
            self.highest = max(self.highest, label)
            if name:
                self.names.setdefault(label, name)
        elif name:
            self.unnumbered.add(name)

    def classes(self, fixed: tuple[str, ...]) -> tuple[str, ...]:
        """Return all class names: those of the format, then those without a number, sorted."""
        count = max(self.highest + 1, max(self.names, default=-1) + 1)
        if fixed == name_list("ntu_classes") and count <= 60:
            fixed = fixed[:60]
        count = max(count, len(fixed)) if count or not self.unnumbered else count
        found = [
            self.names.get(index, fixed[index] if index < len(fixed) else f"class {index}")
            for index in range(count)
        ]
        return (*found, *sorted(self.unnumbered - set(found)))


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Clips in memory.

    Parameters
    ----------
    clips : list of Clip
        The clips, all in one layout.
    layout : SkeletonLayout
        Joint order.
    class_names : tuple of str
        One name per class number.
    unit : str
        ``"m"``, ``"px"`` or ``""`` where unknown.
    format : str
        Name of the format that was read.
    dropped : tuple of Dropped
        What was left out, with reasons.
    """

    clips: list[Clip]
    layout: SkeletonLayout
    class_names: tuple[str, ...]
    unit: str
    format: str
    dropped: tuple[Dropped, ...]

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        """Return a clip."""
        return self.clips[index]

    def __iter__(self) -> Iterator[Clip]:
        """Yield every clip in order."""
        return iter(self.clips)


def read(path: str | Path, format: str | None = None, options: Options | None = None) -> ClipSet:
    """Read a file or folder into memory.

    Parameters
    ----------
    path : str or Path
        What to read.
    format : str, optional
        Name of the format, a key of ``skelfreq.data.READERS``; found out by default.
    options : Options, optional
        How to read.

    Returns
    -------
    ClipSet
        All clips. For large sets use :func:`skelfreq.data.convert`, which keeps one at a time.

    Raises
    ------
    SkeletonFormatError
        If the format is not recognised, a file is malformed, there are no clips, or they differ in
        layout.
    ValueError
        If the format or an option is unknown.
    """
    source = ClipSource(path, format, options)
    clips: list[Clip] = []
    dropped: list[Dropped] = []
    labels = Labels()
    measured_in = ""
    for number, item in source.items():
        if isinstance(item, Dropped):
            dropped.append(item)
            continue
        if not clips:
            measured_in = source.reader.unit
        check_same(clips[0] if clips else item, item, source.units[number].path)
        labels.add(item.label, item.label_name)
        clips.append(item)
    check_any(source, len(clips), dropped)
    classes = labels.classes(tuple(source.reader.class_names()))
    place = {name: index for index, name in enumerate(classes)}
    for index, clip in enumerate(clips):
        label = place[clip.label_name] if clip.label < 0 and clip.label_name else clip.label
        name = classes[label] if label >= 0 else ""
        clips[index] = dataclasses.replace(clip, label=label, label_name=name)
    layout = clips[0].layout or unnamed_layout(clips[0].joints.shape[2])
    return ClipSet(clips, layout, classes, measured_in, source.reader.name, tuple(dropped))


def check_same(first: Clip, clip: Clip, path: Path) -> None:
    """Raise SkeletonFormatError unless two clips have the same layout and channels."""
    for what, one, other in (
        ("joints", first.layout, clip.layout),
        ("coordinates", first.joints.shape[3], clip.joints.shape[3]),
    ):
        if one != other:
            names = [getattr(value, "name", value) for value in (one, other)]
            same = " (the names or bones differ)" if names[0] == names[1] else ""
            raise SkeletonFormatError(
                path,
                f"{clip.name!r} has other {what} than {first.name!r}: {names[1]} instead of "
                f"{names[0]}{same}",
                remedy="Read files with different skeletons one set at a time",
            )


def check_any(source: ClipSource, count: int, dropped: list[Dropped]) -> None:
    """Raise SkeletonFormatError if there is no clip."""
    if not count:
        why = f": {dropped[0].name} {dropped[0].reason}" if dropped else ""
        raise SkeletonFormatError(source.path, f"holds no clips, {len(dropped)} left out{why}")
