"""MSR Action3D as published: one text file per sample, 20 lines per frame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.lists import name_list
from skelfreq.data.source import (
    Options,
    Reader,
    Unit,
    check_size,
    filled_lines,
    numbers_of,
    to_float32,
)
from skelfreq.skeletons import get_layout

__all__ = ["MsrAction3dTxt"]

_NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)")
_JOINTS, _FIELDS = 20, 4
_BLOCK = 4096


class MsrAction3dTxt(Reader):
    """Reader of ``aXX_sYY_eZZ_skeleton3D.txt``: x, y, z in metres and confidence per line.

    A folder with both world (``_skeleton3D``) and screen coordinates (``_skeleton``) gives the
    world ones. Screen coordinates are columns and rows in pixels, with the depth of the sensor as
    third number; their unit is "px". Nothing is cleaned: frames without tracking stay zero.
    """

    name = "msr_action3d_txt"
    reads = "MSR Action3D: 20 joints x, y, z, confidence; action, subject, repetition of the name"
    suffixes = (".txt",)
    unit = "m"

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether name and first line are those of a sample."""
        return bool(_NAME.match(path.name)) and len(head.split(b"\n", 1)[0].split()) == _FIELDS

    def class_names(self) -> Sequence[str]:
        """Return the names of the 20 actions."""
        return name_list("msr_classes")

    def select(self, files: list[Path], options: Options) -> list[Path]:
        """Return the files in world coordinates if there are any."""
        world = [file for file in files if "skeleton3d" in file.stem.lower()]
        if not world and any(file.stem.lower().endswith("_skeleton") for file in files):
            self.unit = "px"
        return world or files

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a file."""
        path = unit.path
        blocks: list[NDArray[np.float64]] = []
        rows: list[list[float]] = []
        number = 0
        for number, line in filled_lines(path, options.limits):
            words = line.split()
            try:
                row = [float(word) for word in words]
            except ValueError:
                row = []
            if len(row) != _FIELDS:
                row = numbers_of(path, number, line, _FIELDS)
            rows.append(row)
            if len(rows) == _BLOCK:
                blocks.append(np.array(rows))
                rows = []
        count = _BLOCK * len(blocks) + len(rows)
        if not count or count % _JOINTS:
            raise SkeletonFormatError(
                path,
                f"expected whole frames of {_JOINTS} lines, got {count} lines",
                line=number,
            )
        check_size(path, count // _JOINTS, 1, _JOINTS * _FIELDS, options)
        blocks.append(np.array(rows).reshape(-1, _FIELDS))
        values = np.concatenate(blocks).reshape(-1, 1, _JOINTS, _FIELDS)
        confidence = np.ascontiguousarray(values[..., 3], np.float32)
        joints, confidence_or_none = to_float32(path, values[..., :3], options, None, confidence)
        match = _NAME.search(unit.name)
        action, subject, repetition = map(int, match.groups()) if match else (0, -1, -1)
        yield Clip(
            match[0] if match and match[0] == unit.name.split("_skeleton")[0] else unit.name,
            joints,
            confidence_or_none,
            get_layout("kinect20"),
            label=action - 1,
            subject=subject,
            repetition=repetition,
        )
