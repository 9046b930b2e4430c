"""PKU-MMD as published: a text file per recording, and one with the actions in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip, Dropped, FloatArray
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import Limits, open_regular
from skelfreq.data.lists import name_list
from skelfreq.data.source import (
    Options,
    Reader,
    Unit,
    check_size,
    filled_lines,
    find_files,
    numbers_of,
    to_float32,
    units_of,
)
from skelfreq.skeletons import get_layout

__all__ = ["PkuMmdTxt"]

_PERSONS, _JOINTS, _AXES = 2, 25, 3
_VALUES = _PERSONS * _JOINTS * _AXES
_NAME = re.compile(r"(?:A\d+N(?P<subject>\d+)|\d+)-(?P<view>[LMR])")
_VIEWS = {"L": 1, "M": 2, "R": 3}
_MAX_ACTIONS = 100_000
_LABEL_WORDS = 4


class PkuMmdTxt(Reader):
    """Reader of recordings with 150 numbers a frame and labels ``class,start,end,confidence``.

    A label file of the same name in another folder below the same root, with commas or spaces, cuts
    a recording into one clip per line: frames ``start`` to ``end - 1``, counted from 0, exchanged
    where the start is later. Without it the recording is one clip. A person who is zero throughout
    is left out. The views L, M and R are the cameras 1, 2 and 3.
    """

    name = "pku_mmd_txt"
    reads = "PKU-MMD: two persons of 25 joints x, y, z; one clip per line of the label file"
    suffixes = (".txt",)
    unit = "m"

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the first line holds 150 numbers."""
        return len(head.split(b"\n", 1)[0].split()) == _VALUES

    def class_names(self) -> Sequence[str]:
        """Return the names of the 51 actions."""
        return name_list("pku_classes")

    def units(self, path: Path, options: Options) -> list[Unit]:
        """Return one unit per recording, with its label file if there is one."""
        files = find_files(path, self.suffixes)
        heads = {file: _first_line(file) for file in files}
        long = {file.stem for file, head in heads.items() if len(head.split()) > _LABEL_WORDS}
        # Without commas, a namesake of a recording with few words in its first line.
        lists = {
            file
            for file, head in heads.items()
            if b"," in head or (file.stem in long and 1 < len(head.split()) <= _LABEL_WORDS)
        }
        labels = {file.stem: file for file in files if file in lists}
        recordings = [file for file in files if file not in lists and heads[file].strip()]
        if not recordings:
            recordings = files[:1]
        # Lists of the protocols lie beside the recordings.
        recordings = [file for file in recordings if not file.stem.startswith("cross")]
        return [
            Unit(unit.name, (unit.path, *filter(None, [labels.get(unit.path.stem)])), unit.folder)
            for unit in units_of(path, recordings)
        ]

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the actions of a recording."""
        path = unit.path
        rows = [
            np.array(numbers_of(path, number, line, _VALUES), np.float32)
            for number, line in _recording(path, options)
        ]
        if not rows:
            yield Dropped(unit.name, "holds no frames")
            return
        check_size(path, len(rows), _PERSONS, _JOINTS * _AXES, options)
        values = np.stack(rows).reshape(-1, _PERSONS, _JOINTS, _AXES)
        joints, confidence = to_float32(path, values, options)
        numbers: dict[str, Any] = {"frame_rate": 30.0}
        match = _NAME.fullmatch(Path(unit.name).name)
        if match:
            numbers["camera"] = _VIEWS[match["view"]]
            numbers["subject"] = int(match["subject"] or -1)
        if len(unit.files) == 1:
            yield _clip(unit.name, joints, confidence, -1, numbers)
            return
        for index, (label, start, stop) in enumerate(_actions(unit.files[1], options)):
            name = f"{unit.name}/{index:03d}"
            start, stop = sorted((start, stop))
            part = joints[start:stop]
            if not len(part):
                yield Dropped(name, f"frames {start} to {stop} of {len(joints)} are none")
                continue
            seen = None if confidence is None else confidence[start:stop]
            yield _clip(name, part, seen, label, numbers)


def _first_line(path: Path) -> bytes:
    try:
        with open_regular(path, Limits(1 << 62), "text") as file:
            return file.readline(4096)
    except (OSError, SkeletonFormatError):
        return b""


def _recording(path: Path, options: Options) -> Iterator[tuple[int, bytes]]:
    return filled_lines(path, options.limits)


def _actions(path: Path, options: Options) -> Iterator[tuple[int, int, int]]:
    """Yield class number from 0, start and end of every line of a label file."""
    for count, (number, line) in enumerate(filled_lines(path, options.limits)):
        words = line.replace(b",", b" ").split()
        valid = len(words) in (3, 4) and all(
            word.isdigit() and len(word) < 10 for word in words[:3]
        )
        if not valid or not 1 <= int(words[0]) <= 10_000 or count >= _MAX_ACTIONS:
            shown = line[:60].decode("ascii", "backslashreplace").strip()
            raise SkeletonFormatError(
                path, f"expected class,start,end,confidence, got {shown!r}", line=number
            )
        yield int(words[0]) - 1, int(words[1]), int(words[2])


def _clip(
    name: str,
    joints: NDArray[np.float32],
    confidence: FloatArray | None,
    label: int,
    numbers: dict[str, Any],
) -> Clip | Dropped:
    present = joints.any(axis=(0, 2, 3))
    if not present.any():
        return Dropped(name, "is zero throughout")
    seen = None if confidence is None else np.ascontiguousarray(confidence[:, present])
    joints = np.ascontiguousarray(joints[:, present])
    return Clip(name, joints, seen, get_layout("ntu25"), label=label, **numbers)
