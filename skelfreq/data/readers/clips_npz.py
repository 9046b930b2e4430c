"""Archives with all clips one after the other: ``joints``, ``lengths`` and columns per clip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.archives import Archive, open_archive
from skelfreq.data.arrays import check_array
from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.layouts import layout_named, layout_of_names, unnamed_layout
from skelfreq.data.readers.zip_keys import archive_keys
from skelfreq.data.source import Options, Reader, Unit, check_size, to_float32
from skelfreq.skeletons import SkeletonLayout

__all__ = ["ClipsNpz"]

# The archives do not name their joint order. Their file names do, or else the number of joints and
# the form of the sample names.
_BY_FILE = {
    "msr_action3d": "kinect20",
    "nw_ucla": "kinect20_sdk",
    "utd_mhad": "utd20",
    "penn_action_2d": "penn13",
    "ui_prmd_kinect": "prmd22",
    "gtu_action3d": "ntu25",
    "hdm05_11": "hdm24",
}
_BY_SAMPLE = (
    (20, r"a\d\d_s\d\d_e\d\d", "kinect20"),
    (20, r"a\d\d_s\d\d_e\d\d_v\d\d", "kinect20_sdk"),
    (20, r"a\d+_s\d+_t\d+", "utd20"),
    (13, r"\d{4}", "penn13"),
    (22, r"m\d\d_s\d\d_e\d\d.*", "prmd22"),
    (25, r".*", "ntu25"),
    (24, r"HDM_.*", "hdm24"),
)
_COLUMNS = {"label": "label", "subject": "subject", "view": "camera", "repetition": "repetition"}
_MAX_CLIPS = 5_000_000


class ClipsNpz(Reader):
    """Reader of archives with ``joints`` [frames, V, C] and ``lengths`` [clips].

    Optional: ``label``, ``subject``, ``view``, ``repetition``, ``train`` and ``image_size`` per
    clip, ``sample`` names, ``visible`` [frames, V], ``class_names``, ``rate_hz``.
    """

    name = "clips_npz"
    reads = "joints, lengths, label, subject, view, repetition, train, visible, class_names"
    suffixes = (".npz",)

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the archive has joints and lengths."""
        return {"joints", "lengths"} <= set(archive_keys(path))

    def class_names(self) -> Sequence[str]:
        """Return the names in the archive that was read last."""
        return self._names

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clips of the archive in order."""
        path = unit.path
        with open_archive(path, options.limits) as archive:
            header = archive.header("joints")
            check_array(path, "joints", header, ("frames", "V", "C"), "f")
            lengths = _lengths(archive, header.shape[0])
            columns = _columns(archive, len(lengths))
            layout = _layout(path, archive, header.shape[1], columns["sample"], options)
            self.unit = "px" if header.shape[2] == 2 else "m"
            self._names = columns["class_names"]
            if lengths:
                check_size(path, max(lengths), 1, header.shape[1] * header.shape[2], options)
            visible = archive.rows("visible", iter(lengths)) if "visible" in archive.keys else None
            if visible is not None:
                wanted = header.shape[:2]
                check_array(path, "visible", archive.header("visible"), wanted, "uifb")
            for index, joints in enumerate(archive.rows("joints", iter(lengths))):
                seen = None if visible is None else next(visible)
                yield _clip(path, index, joints, seen, columns, layout, options)


def _lengths(archive: Archive, frames: int) -> list[int]:
    """Return the frames of every clip as Python integers, whose sum cannot wrap."""
    header = archive.header("lengths")
    if header.shape and header.shape[0] > _MAX_CLIPS:
        raise SkeletonFormatError(archive.path, f"expected at most {_MAX_CLIPS} lengths")
    found: list[int] = archive.read("lengths", ("clips",), "iu").tolist()
    if any(length < 0 for length in found) or sum(found) != frames:
        raise SkeletonFormatError(
            archive.path,
            f"lengths must not be negative and add up to the {frames} frames of joints, "
            f"got a sum of {sum(found)}",
        )
    return found


def _columns(archive: Archive, clips: int) -> dict[str, Any]:
    """Return what the archive says about its clips."""
    keys, path = archive.keys, archive.path
    found: dict[str, Any] = {"class_names": (), "rate": 0.0}
    for key, field in _COLUMNS.items():
        if key in keys:
            values = archive.read(key, (clips,), "iu")
            if values.size and not (values.min() >= -1 and values.max() < 1 << 31):
                raise SkeletonFormatError(path, f"{key} must lie between -1 and {(1 << 31) - 1}")
            found[field] = values
    if "train" in keys:
        found["train"] = archive.read("train", (clips,), "b")
    if "image_size" in keys:
        found["image_size"] = archive.read("image_size", (clips, 2), "iu")
    if "sample" in keys:
        found["sample"] = _texts(archive, "sample", (clips,))
    else:
        found["sample"] = [f"clip {index}" for index in range(clips)]
    if "class_names" in keys:
        found["class_names"] = tuple(_texts(archive, "class_names", ("classes",)))
        label = found.get("label", np.array([-1]))
        if label.size and label.max() >= len(found["class_names"]):
            raise SkeletonFormatError(
                path,
                f"label must lie below the {len(found['class_names'])} class names, "
                f"got {label.max()}",
            )
    if "rate_hz" in keys:
        rate = float(archive.read("rate_hz", (), "fiu"))
        found["rate"] = rate if 0 < rate < 1e6 else 0.0
    return found


def _texts(archive: Archive, key: str, shape: tuple[int | str, ...]) -> list[str]:
    try:
        return [str(word) for word in archive.read(key, shape, "U")]
    except (ValueError, SystemError) as error:
        if isinstance(error, SkeletonFormatError):
            raise
        raise SkeletonFormatError(
            archive.path, f"{key} holds characters that do not exist", item=key
        ) from error


def _layout(
    path: Path, archive: Archive, joints: int, samples: list[str], options: Options
) -> SkeletonLayout:
    names = [options.layout] if options.layout else [_BY_FILE.get(path.stem)]
    names += [
        layout
        for count, pattern, layout in _BY_SAMPLE
        if count == joints and samples and re.fullmatch(pattern, samples[0])
    ]
    for name in names:
        try:
            layout = layout_named(name) if name else None
        except ValueError:
            if options.layout:
                raise
            continue
        if layout is not None and layout.num_joints == joints:
            return layout
        if options.layout:
            raise SkeletonFormatError(
                path, f"holds {joints} joints, which is not the layout {options.layout}"
            )
    if "joint_names" in archive.keys:
        words = _texts(archive, "joint_names", (joints,))
        return layout_of_names(f"joints{joints}", words, [-1] * joints)
    if not 0 < joints <= 10_000:
        raise SkeletonFormatError(path, f"expected 1 to 10000 joints, got {joints}")
    return unnamed_layout(joints)


def _clip(
    path: Path,
    index: int,
    joints: NDArray[Any],
    visible: NDArray[Any] | None,
    columns: dict[str, Any],
    layout: SkeletonLayout,
    options: Options,
) -> Clip | Dropped:
    name = columns["sample"][index]
    if not joints.size:
        return Dropped(name, "has no frames")
    confidence = None if visible is None else visible.astype(np.float32)[:, None]
    joints, confidence = to_float32(path, joints[:, None], options, name, confidence)
    numbers: dict[str, Any] = {
        field: int(columns[field][index]) for field in _COLUMNS.values() if field in columns
    }
    if "train" in columns:
        numbers["split"] = "train" if columns["train"][index] else "test"
    if "image_size" in columns:
        height, width = (int(edge) for edge in columns["image_size"][index])
        numbers["image_size"] = (width, height)
    return Clip(name, joints, confidence, layout, frame_rate=columns["rate"], **numbers)
