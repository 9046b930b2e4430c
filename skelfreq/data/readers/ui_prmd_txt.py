"""UI-PRMD as published: text files with the positions and angles of 22 Kinect joints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.kinematics import chain, rotations
from skelfreq.data.layouts import layout_named
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

__all__ = ["UiPrmdTxt"]

_NAME = re.compile(r"m(\d\d)_s(\d\d)_e(\d\d)")
_JOINTS = 22
_PARENTS = (-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 2, 10, 11, 12, 0, 14, 15, 16, 0, 18, 19, 20)
# Angles are in degrees about x, y, z and act in this order.
_ORDER = "ZXY"


class UiPrmdTxt(Reader):
    """Reader of pairs ``mXX_sYY_eZZ_positions.txt`` and ``..._angles.txt`` of the Kinect part.

    The positions of a joint are relative to its parent, in centimetres, in the frame that the
    angles of the parents turn; forward kinematics gives positions in metres.
    """

    name = "ui_prmd_txt"
    reads = "UI-PRMD (Kinect): positions and angles of 22 joints by forward kinematics, in metres"
    suffixes = (".txt",)
    unit = "m"
    preprocessing = ("forward kinematics", "centimetres to metres")

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the first line holds 66 numbers between commas."""
        first = head.split(b"\n", 1)[0]
        return first.count(b",") == 3 * _JOINTS - 1 and bool(_NAME.search(path.name))

    def class_names(self) -> Sequence[str]:
        """Return the names of the 10 movements."""
        return name_list("prmd_classes")

    def units(self, path: Path, options: Options) -> list[Unit]:
        """Return one unit per pair of files."""
        files = find_files(path.parent if path.is_file() else path, self.suffixes)
        angles = {_pair_name(file, "angles"): file for file in files if "angles" in file.stem}
        chosen = [path] if path.is_file() else files
        positions = [file for file in chosen if "angles" not in file.stem]
        found = []
        for unit in units_of(path, positions):
            partner = angles.get(_pair_name(unit.path, "positions"))
            name = unit.name.replace("_positions", "")
            found.append(Unit(name, (unit.path, *filter(None, [partner])), unit.folder))
        if not found:
            raise SkeletonFormatError(
                path, "expected files with positions", remedy="Keep positions and angles together"
            )
        return found

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a pair of files."""
        if len(unit.files) < 2:
            raise SkeletonFormatError(
                unit.path,
                "expected a file with the angles of the same movement beside it",
                remedy="Keep the files *_positions.txt and *_angles.txt below one folder",
            )
        positions, angles = (_table(file, options) for file in unit.files)
        if len(positions) != len(angles):
            raise SkeletonFormatError(
                unit.path, f"has {len(positions)} frames, its angles have {len(angles)}"
            )
        if not len(positions):
            yield Dropped(unit.name, "holds no frames")
            return
        check_size(unit.path, len(positions), 1, 40 * _JOINTS, options)
        values = chain(_PARENTS, positions, rotations(_ORDER, angles[..., [2, 0, 1]])) / 100
        joints, confidence = to_float32(unit.path, values[:, None], options)
        numbers: dict[str, Any] = {}
        match = _NAME.search(unit.name)
        if match:
            movement, subject, repetition = map(int, match.groups())
            numbers = {"label": movement - 1, "subject": subject, "repetition": repetition}
        yield Clip(unit.name, joints, confidence, layout_named("prmd22"), **numbers)


def _pair_name(file: Path, word: str) -> str:
    return file.stem.replace(f"_{word}", "")


def _table(path: Path, options: Options) -> NDArray[np.float64]:
    """Return the numbers of a file as ``[T, 22, 3]``."""
    rows = [
        np.array(numbers_of(path, number, line, 3 * _JOINTS, b","))
        for number, line in filled_lines(path, options.limits)
    ]
    return np.array(rows).reshape(-1, _JOINTS, 3)
