"""BVH motion capture: a hierarchy of joints and their rotations, by forward kinematics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.kinematics import chain, rotations
from skelfreq.data.layouts import layout_of_names
from skelfreq.data.source import (
    Options,
    Reader,
    Unit,
    check_size,
    filled_lines,
    integer_of,
    numbers_of,
    size_of,
    to_float32,
)

__all__ = ["Bvh"]

_MAX_JOINTS = 2000
_BLOCK = 1024
_CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}


@dataclass
class _Joint:
    name: str
    parent: int
    end: bool = False
    offset: tuple[float, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass
class _Hierarchy:
    joints: list[_Joint] = field(default_factory=list)

    @property
    def channels(self) -> int:
        return sum(len(joint.channels) for joint in self.joints)


class Bvh(Reader):
    """Reader of ``.bvh`` files.

    Positions of joints follow from the rotations, in the order in which a joint lists its
    channels. Position channels take the place of the joint's offset. Coordinates stay in the unit
    of the file. End sites are left out unless asked for.
    """

    name = "bvh"
    reads = "BVH: positions of all joints by forward kinematics; joint names, bones, frame rate"
    suffixes = (".bvh",)
    preprocessing = ("forward kinematics",)

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file begins with a hierarchy."""
        return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].upper() == b"HIERARCHY"

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a file."""
        path = unit.path
        lines = filled_lines(path, options.limits)
        hierarchy = _hierarchy(path, lines)
        frames, seconds = _motion_header(path, lines)
        if not frames:
            yield Dropped(unit.name, "holds no frames")
            return
        joints = hierarchy.joints
        check_size(path, frames, 1, max(3 * len(joints), 2 * hierarchy.channels), options)
        kept = [index for index, joint in enumerate(joints) if options.end_sites or not joint.end]
        positions = np.empty((frames, 1, len(kept), 3), np.float32)
        start = 0
        for rows in _blocks(path, lines, frames, hierarchy.channels):
            # Beyond fp32 the sums may overflow; that is found below.
            places = _forward(hierarchy, rows)[:, kept]
            positions[start : start + len(rows), 0] = places
            start += len(rows)
        number = {old: new for new, old in enumerate(kept)}
        layout = layout_of_names(
            f"bvh{len(kept)}",
            [joints[index].name for index in kept],
            [number.get(joints[index].parent, -1) for index in kept],
        )
        values, confidence = to_float32(path, positions, options)
        rate = 1 / seconds if seconds > 1e-6 else 0.0
        yield Clip(unit.name, values, confidence, layout, frame_rate=rate)


def _tokens(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        text = line.decode("utf-8", "backslashreplace")
        for word in text.replace("{", " { ").replace("}", " } ").split():
            yield number, word
            if word.upper() == "MOTION":
                return


def _hierarchy(path: Path, lines: Iterator[tuple[int, bytes]]) -> _Hierarchy:
    """Read everything up to ``MOTION``."""
    tokens = _tokens(lines)

    def take(what: str) -> tuple[int, str]:
        found = next(tokens, None)
        if found is None:
            raise SkeletonFormatError(path, f"ends where {what} should follow")
        return found

    def number(what: str) -> float:
        line, word = take(what)
        return numbers_of(path, line, word.encode(), 1)[0]

    line, word = take("HIERARCHY")
    if word.upper() != "HIERARCHY":
        raise SkeletonFormatError(
            path, f"expected HIERARCHY, got {printable(word, 20)!r}", line=line
        )
    found, stack = _Hierarchy(), list[int]()
    while True:
        line, word = take("MOTION")
        keyword = word.upper()
        if keyword == "MOTION" and found.joints and not stack:
            return found
        if keyword in ("ROOT", "JOINT", "END"):
            if (keyword == "ROOT") != (not stack) or len(found.joints) >= _MAX_JOINTS:
                raise SkeletonFormatError(
                    path,
                    f"{keyword} does not belong here, or there are more than {_MAX_JOINTS} joints",
                    line=line,
                )
            name = _name(take)
            parent = stack[-1] if stack else -1
            if keyword == "END":
                name = f"{found.joints[parent].name} end"
            stack.append(len(found.joints))
            found.joints.append(_Joint(name, parent, keyword == "END"))
        elif keyword == "OFFSET" and stack:
            found.joints[stack[-1]].offset = tuple(number("an offset") for _ in range(3))
        elif keyword == "CHANNELS" and stack:
            line, word = take("the number of channels")
            count = integer_of(path, line, word.encode(), "the number of channels", 6)
            found.joints[stack[-1]].channels = _channels(path, line, take, count)
        elif keyword == "}" and stack:
            joint = found.joints[stack.pop()]
            if len(joint.offset) != 3:
                raise SkeletonFormatError(
                    path, f"{printable(joint.name)!r} has no offset", line=line
                )
        else:
            raise SkeletonFormatError(
                path, f"{printable(word, 20)!r} does not belong here", line=line
            )


def _name(take: object) -> str:
    """Return the words up to the opening brace."""
    words: list[str] = []
    while True:
        _, word = take("an opening brace")  # type: ignore[operator]
        if word == "{":
            return " ".join(words)[:200]
        if len(words) < 20:
            words.append(word)


def _channels(path: Path, line: int, take: object, count: int) -> tuple[str, ...]:
    words = [take("a channel")[1] for _ in range(count)]  # type: ignore[operator]
    found = tuple(word[:1].upper() + word[1:].lower() for word in words)
    if not set(found) <= _CHANNELS or len(set(found)) < count:
        raise SkeletonFormatError(
            path,
            f"expected channels such as Xposition or Zrotation, got {printable(' '.join(words))!r}",
            line=line,
        )
    return found


def _motion_header(path: Path, lines: Iterator[tuple[int, bytes]]) -> tuple[int, float]:
    """Return the number of frames and the seconds between them."""
    found = []
    for what in (b"FRAMES", b"FRAME TIME"):
        number, line = next(lines, (0, b""))
        head, _, value = line.partition(b":")
        if b" ".join(head.upper().split()) != what:
            raise SkeletonFormatError(
                path, f"expected '{what.decode().title()}:'", line=number or None
            )
        found.append((number, value))
    (number, value), (second, duration) = found
    frames = integer_of(path, number, value, "the number of frames", size_of(path))
    return frames, numbers_of(path, second, duration, 1)[0]


def _blocks(
    path: Path, lines: Iterator[tuple[int, bytes]], frames: int, channels: int
) -> Iterator[NDArray[np.float64]]:
    """Yield the motion in blocks of frames."""
    rows: list[NDArray[np.float64]] = []
    count = 0
    for number, line in lines:
        if count == frames:
            raise SkeletonFormatError(path, f"expected {frames} frames, got more", line=number)
        rows.append(np.array(numbers_of(path, number, line, channels)))
        count += 1
        if len(rows) == _BLOCK:
            yield np.stack(rows)
            rows = []
    if count < frames:
        raise SkeletonFormatError(
            path,
            f"expected {frames} frames, got {count}",
            remedy="The file is truncated: write or download it again",
        )
    if rows:
        yield np.stack(rows)


def _forward(hierarchy: _Hierarchy, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions ``[T, V, 3]`` of the channels of T frames."""
    joints = hierarchy.joints
    offsets = np.empty((len(rows), len(joints), 3))
    turns = np.empty((len(rows), len(joints), 3, 3))
    column = 0
    for index, joint in enumerate(joints):
        offsets[:, index] = joint.offset
        axes, angles = "", []
        for channel in joint.channels:
            if channel.endswith("position"):
                offsets[:, index, "XYZ".index(channel[0])] = rows[:, column]
            else:
                axes += channel[0]
                angles.append(rows[:, column])
            column += 1
        stacked = np.stack(angles, axis=-1) if angles else np.empty((len(rows), 0))
        turns[:, index] = rotations(axes, stacked)
    return chain([joint.parent for joint in joints], offsets, turns)
