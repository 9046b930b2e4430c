"""NW-UCLA Multiview Action3D as CTR-GCN uses it: one JSON file per sample."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import read_json
from skelfreq.data.layouts import layout_named
from skelfreq.data.lists import name_list
from skelfreq.data.readers.json_values import as_list, as_object, floats
from skelfreq.data.source import Options, Reader, Unit, check_size, to_float32

__all__ = ["NwUclaJson"]

_NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)")
# The data set has no actions 7 and 10.
_ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
_JOINTS, _AXES = 20, 3


class NwUclaJson(Reader):
    """Reader of ``{"file_name", "skeletons": [T, 20, 3], "label"}``; labels in files count from 1.

    The view becomes the camera. Where a file has no label, its name gives it.
    """

    name = "nw_ucla_json"
    reads = "NW-UCLA: 20 joints x, y, z; action, subject, repetition, view of the name"
    suffixes = (".json",)
    unit = "m"

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file begins like a sample of NW-UCLA."""
        return bool(re.search(rb'"skeletons"\s*:\s*\[', head))

    def class_names(self) -> Sequence[str]:
        """Return the names of the 10 actions."""
        return name_list("nwucla_classes")

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clip of a file, or why there is none."""
        path = unit.path
        content = as_object(path, read_json(path, options.limits), "the file")
        frames = as_list(path, content.get("skeletons"), "skeletons")
        if not frames:
            yield Dropped(unit.name, "holds no frames")
            return
        check_size(path, len(frames), 1, _JOINTS * _AXES, options)
        values = np.empty((len(frames), 1, _JOINTS, _AXES))
        for frame, rows in enumerate(frames):
            rows = as_list(path, rows, f"skeletons[{frame}]")
            if len(rows) != _JOINTS:
                raise SkeletonFormatError(
                    path, f"expected {_JOINTS} joints, got {len(rows)}", item=f"frame {frame}"
                )
            for joint, row in enumerate(rows):
                point = floats(path, row, f"skeletons[{frame}][{joint}]")
                if len(point) != _AXES:
                    raise SkeletonFormatError(
                        path,
                        f"expected x, y, z, got {len(point)} numbers",
                        item=f"frame {frame}, joint {joint}",
                    )
                values[frame, 0, joint] = point
        joints, confidence = to_float32(path, values, options)
        numbers: dict[str, Any] = _numbers(unit.name)
        if "label" in content:
            label = content["label"]
            if type(label) is not int or not 1 <= label <= 1000:
                raise SkeletonFormatError(
                    path, f"label must be an integer from 1, got {printable(repr(label), 30)}"
                )
            numbers["label"] = label - 1
        yield Clip(unit.name, joints, confidence, layout_named("kinect20_sdk"), **numbers)


def _numbers(name: str) -> dict[str, int]:
    match = _NAME.search(name)
    if match is None:
        return {}
    action, subject, repetition, view = map(int, match.groups())
    found = {"subject": subject, "repetition": repetition, "camera": view}
    if action in _ACTIONS:
        found["label"] = _ACTIONS.index(action)
    return found
