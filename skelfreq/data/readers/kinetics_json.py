"""Kinetics-skeleton: one JSON file per clip, with the persons that OpenPose found per frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import read_json
from skelfreq.data.layouts import unnamed_layout
from skelfreq.data.readers.json_values import as_class, as_list, as_object, floats
from skelfreq.data.source import Options, Reader, Unit, check_size, to_float32
from skelfreq.skeletons import SkeletonLayout, get_layout

__all__ = ["KineticsJson"]

_MAX_FRAME = 10_000_000
_MAX_JOINTS = 1000


class KineticsJson(Reader):
    """Reader of ``{"data": [{"frame_index", "skeleton": [{"pose", "score"}]}], "label"}``.

    The frame index gives the frame: indices that are absent become zero frames, as do frames
    without persons. Persons are not tracked: person m of a frame is the m-th in the file, or the
    m-th by total score where ``max_persons`` is given. Coordinates stay between 0 and 1.
    """

    name = "kinetics_json"
    reads = "Kinetics-skeleton: 18 joints x, y with score; every person of a frame; label"
    suffixes = (".json",)

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file begins like a clip of Kinetics-skeleton."""
        return bool(re.search(rb'"data"\s*:\s*\[', head)) and (
            b'"frame_index"' in head or b'"label_index"' in head
        )

    def select(self, files: list[Path], options: Options) -> list[Path]:
        """Return the files without the lists of labels that lie beside the folders of clips."""
        return [file for file in files if not file.name.lower().endswith("_label.json")] or files

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a file, or why there is none."""
        path = unit.path
        content = as_object(path, read_json(path, options.limits), "the file")
        if "data" not in content:
            raise SkeletonFormatError(path, "has no 'data', so it is no clip of Kinetics-skeleton")
        entries = as_list(path, content["data"], "data")
        frames: dict[int, list[tuple[NDArray[Any], NDArray[Any]]]] = {}
        for number, entry in enumerate(entries):
            where = f"data[{number}]"
            entry = as_object(path, entry, where)
            index = entry.get("frame_index")
            if type(index) is not int or not 0 <= index <= _MAX_FRAME or index in frames:
                raise SkeletonFormatError(
                    path,
                    f"frame_index must be an integer from 0 that occurs once, "
                    f"got {printable(repr(index))}",
                    item=where,
                )
            persons = as_list(path, entry.get("skeleton"), f"{where}.skeleton")
            frames[index] = [
                _person(path, person, f"{where}.skeleton[{rank}]")
                for rank, person in enumerate(persons)
            ]
        label, label_name = as_class(path, content)
        joints = {len(score) for persons in frames.values() for _, score in persons}
        if not joints:
            yield Dropped(unit.name, "holds no person in any frame")
            return
        if len(joints) > 1:
            raise SkeletonFormatError(path, f"persons have {sorted(joints)[:5]} joints")
        values = _dense(path, frames, joints.pop(), options)
        coordinates, confidence = to_float32(
            path, values[..., :2], options, None, np.ascontiguousarray(values[..., 2])
        )
        yield Clip(
            unit.name,
            coordinates,
            confidence,
            openpose_layout(coordinates.shape[2]),
            label=label,
            label_name=label_name,
        )


def _person(path: Path, person: Any, where: str) -> tuple[NDArray[Any], NDArray[Any]]:
    person = as_object(path, person, where)
    pose = floats(path, person.get("pose"), f"{where}.pose")
    score = floats(path, person.get("score"), f"{where}.score")
    if not 0 < len(score) <= _MAX_JOINTS or len(pose) != 2 * len(score):
        raise SkeletonFormatError(
            path,
            f"expected two numbers of pose per score, got {len(pose)} and {len(score)}",
            item=where,
        )
    return pose.reshape(-1, 2), score


def _dense(
    path: Path,
    frames: dict[int, list[tuple[NDArray[Any], NDArray[Any]]]],
    joints: int,
    options: Options,
) -> NDArray[np.float32]:
    """Return x, y, score ``[T, M, V, 3]``."""
    first = min(min(frames), 1)
    length = max(frames) - first + 1
    most = max(map(len, frames.values()))
    if options.max_persons is not None:
        most = min(most, options.max_persons)
    check_size(path, length, most, 3 * joints, options)
    values = np.zeros((length, most, joints, 3), np.float32)
    for index, persons in frames.items():
        if len(persons) > most:
            persons = sorted(persons, key=lambda person: -float(person[1].sum()))[:most]
        for rank, (pose, score) in enumerate(persons):
            values[index - first, rank, :, :2] = pose
            values[index - first, rank, :, 2] = score
    return values


def openpose_layout(joints: int) -> SkeletonLayout:
    """Return the layout of OpenPose's model with that many joints."""
    names = {17: "coco17", 18: "openpose18", 25: "body25"}
    try:
        return get_layout(names[joints])
    except (KeyError, ValueError):
        return unnamed_layout(joints)
