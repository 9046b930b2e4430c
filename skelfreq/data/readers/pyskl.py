"""Annotations of pyskl and mmaction2: a pickle with one dict per clip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.layouts import layout_named, unnamed_layout
from skelfreq.data.pickles import PickledArray, read_pickle
from skelfreq.data.readers.ntu_skeleton import ntu_numbers
from skelfreq.data.source import Options, Reader, Unit, check_size, to_float32
from skelfreq.skeletons import SkeletonLayout

__all__ = ["Pyskl"]

_LAYOUTS = {(25, 3): "ntu25", (25, 2): "body25", (17, 2): "coco17", (18, 2): "openpose18"}
_MAX_JOINTS = 10_000
# "xsub_train" and "xsub_val" are the split "xsub"; "train1" and "test1" are the split "1".
_SPLIT = re.compile(r"(?:(.+)[_-])?(train|val|test)[_-]?(\d*)")
_KINETICS = (
    "The Kinetics files of pyskl keep the keypoints in separate files (kpfiles), which are not read"
)


class Pyskl(Reader):
    """Reader of one annotation, a list of them, or ``{"split": ..., "annotations": [...]}``.

    ``keypoint`` is [M, T, V, C]; ``keypoint_score`` [M, T, V] becomes the confidence. The names of
    NTU RGB+D give setup, camera, subject and repetition. The unit is pixels where an annotation
    has ``img_shape``, metres for NTU RGB+D in three dimensions. The pickle is read without running
    it.
    """

    name = "pyskl"
    reads = "pyskl, mmaction2: keypoint, keypoint_score, label, frame_dir, img_shape, one split"
    suffixes = (".pkl", ".pickle")
    # Numbers grow from half to single precision; what is in the file twice is there once.
    max_growth = 8
    free_growth = 4 << 20

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file ends like a pickle."""
        return path.name.lower().endswith(self.suffixes)

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clips of a file."""
        path = unit.path
        content = read_pickle(path, options.limits)
        splits: dict[str, str] = {}
        if isinstance(content, dict) and "annotations" in content:
            splits = _splits(path, content.get("split"), options)
            content = content["annotations"]
        elif isinstance(content, dict):
            content = [content]
        if not isinstance(content, list):
            raise SkeletonFormatError(
                path,
                f"expected an annotation, a list of annotations or a dict with 'annotations', "
                f"got {type(content).__name__}",
            )
        for index, entry in enumerate(content):
            where = f"annotations[{index}]"
            if not isinstance(entry, dict):
                raise SkeletonFormatError(
                    path, f"expected a dict, got {type(entry).__name__}", item=where
                )
            name = entry.get("frame_dir", entry.get("filename", unit.name))
            name = name if isinstance(name, str) else f"{unit.name}[{index}]"
            clip = _clip(path, name, entry, where, splits, options)
            if isinstance(clip, Clip):
                self.unit = _unit(clip)
            yield clip


def _splits(path: Path, content: Any, options: Options) -> dict[str, str]:
    """Return ``"train"`` or ``"test"`` for every name in the split that was asked for."""
    if content is None:
        content = {}
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(names, list) for key, names in content.items()
    ):
        raise SkeletonFormatError(path, "split must be a dict with a list of names per split")
    found: dict[str, dict[str, str]] = {}
    for key, names in content.items():
        match = _SPLIT.fullmatch(key)
        if match:
            target = found.setdefault("_".join(filter(None, match.group(1, 3))), {})
            part = "train" if match[2] == "train" else "test"
            target |= {name: part for name in names if isinstance(name, str)}
    if options.split is not None and options.split not in found:
        keys = f", of the keys {', '.join(map(repr, content))}" if content else ""
        raise SkeletonFormatError(
            path,
            f"has no split {options.split!r}, only {', '.join(map(repr, found)) or 'none'}{keys}",
        )
    if options.split is None and len(found) != 1:
        return {}
    return found[next(iter(found)) if options.split is None else options.split]


def _clip(
    path: Path,
    name: str,
    entry: dict[Any, Any],
    where: str,
    splits: dict[str, str],
    options: Options,
) -> Clip | Dropped:
    if "keypoint" not in entry:
        kinetics = {"frame_inds", "box_score", "raw_file", "valid"} & {
            key for key in entry if isinstance(key, str)
        }
        raise SkeletonFormatError(
            path, "has no 'keypoint'", item=where, remedy=_KINETICS if kinetics else None
        )
    values = _numbers(path, entry["keypoint"], f"{where}.keypoint", (3, 4))
    values = values[None] if values.ndim == 3 else values
    persons, frames, joints, axes = values.shape
    if not values.size:
        return Dropped(name, "holds no keypoints")
    if joints > _MAX_JOINTS or axes > 16:
        raise SkeletonFormatError(
            path, f"expected [M, T, V, C], got the shape {values.shape}", item=f"{where}.keypoint"
        )
    check_size(path, frames, persons, joints * (axes + 1), options)
    score: NDArray[Any] | None = None
    if entry.get("keypoint_score") is not None:
        score = _numbers(path, entry["keypoint_score"], f"{where}.keypoint_score", (2, 3))
        score = score[None] if score.ndim == 2 else score
        if score.shape != values.shape[:3]:
            raise SkeletonFormatError(
                path,
                f"keypoint_score must have the shape {values.shape[:3]}, got {score.shape}",
                item=where,
            )
    elif axes == 3 and joints in (17, 18) and "img_shape" in entry:
        # In images the third number of a joint is its score.
        values, score = values[..., :2], values[..., 2]
    confidence = None
    if score is not None:
        confidence = np.ascontiguousarray(score.swapaxes(0, 1), np.float32)
    positions, seen = to_float32(path, values.swapaxes(0, 1), options, where, confidence)
    numbers: dict[str, Any] = dict(ntu_numbers(name))
    label = entry.get("label", -1)
    if type(label) is not int or not -1 <= label < 1_000_000:
        raise SkeletonFormatError(
            path, f"label must be an integer from -1, got {printable(repr(label), 30)}", item=where
        )
    numbers["label"] = label
    numbers["split"] = splits.get(name, "")
    numbers["image_size"] = _image_size(entry.get("img_shape"))
    layout = _layout(path, joints, positions.shape[3], options)
    return Clip(name, positions, seen, layout, **numbers)


def _unit(clip: Clip) -> str:
    """Return the unit as far as an annotation tells it."""
    if clip.joints.shape[3] == 2:
        return "px" if clip.image_size != (0, 0) else ""
    # The files of NTU RGB+D in three dimensions hold its own coordinates.
    named = clip.setup >= 0 and clip.layout is not None and clip.layout.name == "ntu25"
    return "m" if named and clip.joints.shape[3] == 3 else ""


def _numbers(path: Path, value: object, where: str, axes: tuple[int, int]) -> NDArray[Any]:
    if not isinstance(value, PickledArray) or len(value.shape) not in axes:
        got = f"shape {value.shape}" if isinstance(value, PickledArray) else type(value).__name__
        raise SkeletonFormatError(
            path, f"expected an array with {axes[1]} axes, got {got}", item=where
        )
    return value.array()


def _image_size(shape: object) -> tuple[int, int]:
    """Return width and height of (height, width), (0, 0) where they are not given."""
    if (
        isinstance(shape, (tuple, list))
        and len(shape) >= 2
        and all(type(edge) is int and 0 < edge < 1 << 20 for edge in shape[:2])
    ):
        return (shape[1], shape[0])
    return (0, 0)


def _layout(path: Path, joints: int, axes: int, options: Options) -> SkeletonLayout:
    name = options.layout or _LAYOUTS.get((joints, axes))
    try:
        layout = layout_named(name) if name else unnamed_layout(joints)
    except ValueError:
        if options.layout:
            raise
        layout = unnamed_layout(joints)
    if layout.num_joints != joints:
        raise SkeletonFormatError(
            path, f"holds {joints} joints, which is not the layout {layout.name}"
        )
    return layout
