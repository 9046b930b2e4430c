"""OpenPose: a folder with one JSON file per frame, 25 joints (BODY_25) or another model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import read_json
from skelfreq.data.readers.json_values import as_list, as_object, floats
from skelfreq.data.readers.kinetics_json import openpose_layout
from skelfreq.data.source import Options, Reader, Unit, check_size, find_files, to_float32

__all__ = ["OpenPoseBody25"]

_NAME = re.compile(r"(?P<clip>.*?)[_-]?(?P<frame>\d{1,18})(_keypoints)?")
_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_MAX_JOINTS = 1000


class OpenPoseBody25(Reader):
    """Reader of folders with files such as ``clip_000000000012_keypoints.json``.

    Files that differ in the number before ``_keypoints`` alone are the frames of one clip, in the
    order of the numbers; numbers that are absent become zero frames. Persons are not tracked:
    person m of a frame is the m-th in the file, or by total confidence with ``max_persons``.
    """

    name = "openpose_body25"
    reads = "OpenPose: x, y, confidence of every person, one file per frame, one clip per series"
    suffixes = (".json",)
    unit = "px"

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file begins like OpenPose's output."""
        return bool(re.search(rb'"people"\s*:\s*\[', head))

    def units(self, path: Path, options: Options) -> list[Unit]:
        """Return one unit per series of files."""
        series: dict[tuple[Path, str], list[tuple[int, str, Path]]] = defaultdict(list)
        for file in find_files(path, self.suffixes):
            match = _NAME.fullmatch(file.stem)
            clip = match["clip"] if match else file.stem.removesuffix("_keypoints")
            number = int(match["frame"]) if match else 0
            series[file.parent, clip].append((number, file.name, file))
        found = []
        for (folder, clip), files in series.items():
            name = clip or folder.name
            if folder != path and path.is_dir():
                name = "/".join(filter(None, (folder.relative_to(path).as_posix(), clip)))
            paths = tuple(file for _, _, file in sorted(files))
            found.append(Unit(name, paths, folder.name))
        return sorted(found, key=lambda unit: unit.name)

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a series, or why there is none."""
        path = unit.path
        numbers = [_frame_number(file) for file in unit.files]
        length = numbers[-1] - numbers[0] + 1
        if len(set(numbers)) < len(numbers):
            raise SkeletonFormatError(
                path.parent,
                f"two files of {unit.name!r} have the same frame number",
                remedy="Keep the frames of different clips in different folders",
            )
        if length > 10 * len(numbers) + 100:
            raise SkeletonFormatError(
                path.parent,
                f"the {len(numbers)} files of {unit.name!r} are numbered over {length} frames",
                remedy="Number the frames of a clip one after the other",
            )
        frames = [_people(file, options) for file in unit.files]
        joints = {len(person) for people in frames for person in people}
        if not joints:
            yield Dropped(unit.name, "holds no person in any frame")
            return
        if len(joints) > 1:
            raise SkeletonFormatError(path.parent, f"persons have {sorted(joints)[:5]} joints")
        width, most = joints.pop(), max(map(len, frames))
        if options.max_persons is not None:
            most = min(most, options.max_persons)
        check_size(path, length, most, 3 * width, options)
        values = np.zeros((length, most, width, 3), np.float32)
        for number, people in zip(numbers, frames, strict=True):
            if len(people) > most:
                people = sorted(people, key=lambda person: -float(person[:, 2].sum()))
            for rank, person in enumerate(people[:most]):
                values[number - numbers[0], rank] = person
        confidence = np.ascontiguousarray(values[..., 2])
        coordinates, seen = to_float32(path, values[..., :2], options, None, confidence)
        yield Clip(unit.name, coordinates, seen, openpose_layout(width))


def _frame_number(file: Path) -> int:
    match = _NAME.fullmatch(file.stem)
    return int(match["frame"]) if match else 0


def _people(path: Path, options: Options) -> list[NDArray[np.float64]]:
    """Return x, y, confidence ``[V, 3]`` of every person with a body in a file."""
    content = as_object(path, read_json(path, options.limits), "the file")
    people = []
    for rank, entry in enumerate(as_list(path, content.get("people"), "people")):
        where = f"people[{rank}]"
        person: dict[str, Any] = as_object(path, entry, where)
        key = next((key for key in _KEYS if key in person), _KEYS[0])
        values = floats(path, person.get(key), f"{where}.{key}")
        if len(values) % 3 or len(values) > 3 * _MAX_JOINTS:
            raise SkeletonFormatError(
                path,
                f"expected x, y and confidence per joint, got {len(values)} numbers",
                item=f"{where}.{key}",
            )
        if len(values):
            people.append(values.reshape(-1, 3))
    return people
