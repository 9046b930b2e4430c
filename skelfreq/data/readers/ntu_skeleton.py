"""NTU RGB+D and NTU RGB+D 120 as published: one ``.skeleton`` text file per sample."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from skelfreq.data.clips import Clip, Dropped, FloatArray
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import text_lines
from skelfreq.data.lists import name_list
from skelfreq.data.source import (
    Options,
    Reader,
    Unit,
    check_size,
    integer_of,
    numbers_of,
    size_of,
    to_float32,
)
from skelfreq.skeletons import get_layout

__all__ = ["NtuSkeleton", "ntu_numbers"]

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
_JOINTS, _FIELDS = 25, 12
_MAX_BODIES = 1000
# Kinect's tracking state: 0 not tracked, 1 inferred, 2 tracked.
_CONFIDENCE = {b"0": 0.0, b"1": 0.5, b"2": 1.0}


def ntu_numbers(name: str) -> dict[str, int]:
    """Return what a name such as ``S001C002P003R002A013`` says, nothing for other names.

    Examples
    --------
    >>> ntu_numbers("S001C002P003R002A013")["label"]
    12
    """
    match = _NAME.search(name)
    if match is None or match[5] == "000":
        return {}
    setup, camera, subject, repetition, action = map(int, match.groups())
    return {
        "setup": setup,
        "camera": camera,
        "subject": subject,
        "repetition": repetition,
        "label": action - 1,
    }


class NtuSkeleton(Reader):
    """Reader of ``.skeleton`` files.

    Every body that a file names becomes one person, in the order of appearance, all zero in frames
    without it. Frames without bodies are kept. Of the 12 numbers per joint, x, y, z and the
    tracking state are read; the state becomes the confidence 0, 0.5 or 1.
    """

    name = "ntu_skeleton"
    reads = "NTU RGB+D 60 and 120: x, y, z, tracking state; every body; S, C, P, R, A of the name"
    suffixes = (".skeleton",)
    unit = "m"

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file ends in ``.skeleton``."""
        return path.name.lower().endswith(self.suffixes)

    def class_names(self) -> Sequence[str]:
        """Return the names of the 120 actions."""
        return name_list("ntu_classes")

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a file, or why there is none."""
        path = unit.path
        if not options.keep_missing and Path(unit.name).name in name_list("ntu_missing"):
            yield Dropped(unit.name, "is on the authors' list of samples with missing skeletons")
            return
        bodies, frames = _bodies(path, options)
        if not bodies:
            yield Dropped(unit.name, "holds no body in any frame")
            return
        values = np.zeros((frames, len(bodies), _JOINTS, 4), np.float32)
        # What is beyond fp32 becomes infinite and is found below.
        for person, body in enumerate(bodies.values()):
            joints = np.frombuffer(body.values, np.float32).reshape(-1, _JOINTS, 4)
            values[np.frombuffer(body.frames, np.int64), person] = joints
        confidence: FloatArray = np.ascontiguousarray(values[..., 3])
        joints32, known = to_float32(path, values[..., :3], options, None, confidence)
        numbers: dict[str, Any] = dict(ntu_numbers(unit.name))
        yield Clip(
            unit.name,
            joints32,
            known,
            get_layout("ntu25"),
            persons=tuple(name.decode("ascii") for name in bodies),
            frame_rate=30.0,
            **numbers,
        )


class _Body:
    """The joints of one body, as 4 bytes a number: lists of floats would take 20 times as much."""

    __slots__ = ("frames", "values")

    def __init__(self) -> None:
        self.frames = array("q")
        self.values = array("f")


def _bodies(path: Path, options: Options) -> tuple[dict[bytes, _Body], int]:
    """Return every body by its identifier, and the number of frames."""
    lines = text_lines(path, options.limits)
    size = size_of(path)

    def next_line(what: str) -> tuple[int, bytes]:
        found = next(lines, None)
        if found is None:
            raise SkeletonFormatError(
                path,
                f"ends where {what} should follow",
                remedy="The file is truncated: extract or download it again",
            )
        return found

    # A frame takes a line of at least 2 bytes.
    frames = integer_of(path, *next_line("the number of frames"), "the number of frames", size)
    bodies: dict[bytes, _Body] = {}
    for frame in range(frames):
        number, line = next_line(f"frame {frame} of {frames}")
        count = integer_of(path, number, line, "the number of bodies", _MAX_BODIES)
        for _ in range(count):
            number, line = next_line(f"a body of frame {frame}")
            words = line.split()
            if len(words) != 10 or not words[0].isdigit() or len(words[0]) > 20:
                raise SkeletonFormatError(
                    path,
                    f"expected a body's identifier and 9 numbers, got {len(words)} words",
                    line=number,
                )
            if words[0] not in bodies:
                check_size(path, frames, len(bodies) + 1, _JOINTS * 4, options)
                bodies[words[0]] = _Body()
            body = bodies[words[0]]
            if body.frames and body.frames[-1] == frame:
                raise SkeletonFormatError(
                    path,
                    f"the body {words[0].decode()} occurs twice in frame {frame}",
                    line=number,
                )
            number, line = next_line("the number of joints")
            if line.split() != [b"25"]:
                shown = line[:20].decode("ascii", "backslashreplace").strip()
                raise SkeletonFormatError(path, f"expected 25 joints, got {shown!r}", line=number)
            body.frames.append(frame)
            joints = 0
            for number, line in islice(lines, _JOINTS):
                body.values.extend(_joint(path, number, line))
                joints += 1
            if joints < _JOINTS:
                next_line(f"joint {joints} of frame {frame}")
    for number, line in lines:
        if line.strip():
            raise SkeletonFormatError(
                path, f"expected the end of the file after {frames} frames", line=number
            )
    return bodies, frames


def _joint(path: Path, number: int, line: bytes) -> list[float]:
    words = line.split()
    if len(words) != _FIELDS:
        raise SkeletonFormatError(
            path, f"expected {_FIELDS} numbers of a joint, got {len(words)} words", line=number
        )
    state = _CONFIDENCE.get(words[11])
    if state is None:
        raise SkeletonFormatError(
            path, f"expected a tracking state 0, 1 or 2, got {words[11][:20]!r}", line=number
        )
    try:
        return [float(words[0]), float(words[1]), float(words[2]), state]
    except ValueError:
        return [*numbers_of(path, number, b" ".join(words[:3]), 3), state]
