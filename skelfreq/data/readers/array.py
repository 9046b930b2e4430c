"""Plain numpy arrays whose axes the user names: ``.npy``, or ``.npz`` with columns per clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.archives import Archive, open_archive
from skelfreq.data.arrays import (
    ArrayHeader,
    check_array,
    map_npy,
    read_npy,
)
from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.layouts import layout_named, unnamed_layout
from skelfreq.data.source import Options, Reader, Unit, check_size, to_float32
from skelfreq.skeletons import SkeletonLayout

__all__ = ["PlainArray"]

_KEYS = ("x", "data", "joints", "keypoints", "skeletons", "skeleton", "poses")
_COLUMNS = {
    "label": ("label", "labels", "y"),
    "length": ("lengths", "length"),
    "subject": ("subject", "subjects"),
    "camera": ("camera", "view"),
}
_REMEDY = (
    "Say how the axes are ordered with --axes, one letter each: N clips, M persons, T frames, "
    "V joints, C coordinates; for example --axes NTVC"
)


class PlainArray(Reader):
    """Reader of one array with axes T, V, C and optionally N and M in any order.

    In an ``.npz`` archive the array is the one under ``key``, or under ``x``, ``data``,
    ``joints``, ``keypoints``, ``skeletons`` or ``poses``; ``label``, ``lengths``, ``subject`` and
    ``camera`` are columns with one number per clip. Beside ``NAME.npy`` the columns lie in
    ``NAME_label.npy`` and so on. Persons that are zero throughout a clip are left out.
    """

    name = "array"
    reads = "any .npy or .npz array with --axes; label, lengths, subject, camera per clip"
    suffixes = (".npy", ".npz")

    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether the file is an array or an archive."""
        return head.startswith((b"\x93NUMPY", b"PK\x03\x04"))

    def select(self, files: list[Path], options: Options) -> list[Path]:
        """Return the files that are no columns of others."""
        columns = tuple(f"_{key}" for keys in _COLUMNS.values() for key in keys)
        return [file for file in files if not file.stem.endswith(columns)] or files

    def units(self, path: Path, options: Options) -> list[Unit]:
        """Return one unit per array, with the files of its columns."""
        found = []
        for unit in super().units(path, options):
            beside = [
                unit.path.with_name(f"{unit.path.stem}_{key}.npy")
                for keys in _COLUMNS.values()
                for key in keys
            ]
            present = [file for file in beside if unit.path.suffix == ".npy" and file.is_file()]
            found.append(Unit(unit.name, (unit.path, *present), unit.folder))
        return found

    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clips of an array."""
        path, axes = unit.path, options.axes
        if axes is None:
            raise SkeletonFormatError(path, "the order of the axes is not known", remedy=_REMEDY)
        if len(set(axes)) != len(axes) or not set("CTV") <= set(axes) <= set("NMCTV"):
            raise ValueError(
                f"axes must hold C, T and V once each and may hold N and M once each, got {axes!r}."
            )
        if path.suffix.lower() == ".npz":
            with open_archive(path, options.limits) as archive:
                yield from _from_archive(unit, archive, axes, options)
            return
        array = map_npy(path, options.limits)
        _check_shape(path, array.shape, array.dtype, axes, options)
        count = array.shape[axes.index("N")] if "N" in axes else 1

        def column(keys: tuple[str, ...]) -> NDArray[Any] | None:
            for key in keys:
                file = path.with_name(f"{path.stem}_{key}.npy")
                if file in unit.files:
                    return read_npy(file, options.limits)
            return None

        whole = np.moveaxis(array, axes.index("N"), 0) if "N" in axes else array[None]
        yield from _clips(unit, whole, count, axes.replace("N", ""), column, options)


def _from_archive(
    unit: Unit, archive: Archive, axes: str, options: Options
) -> Iterator[Clip | Dropped]:
    path = unit.path
    key = options.key or next((key for key in _KEYS if key in archive.keys), None)
    if key is None:
        large = [name for name in archive.keys if len(archive.header(name).shape) == len(axes)]
        key = large[0] if len(large) == 1 else None
    if key is None:
        raise SkeletonFormatError(
            path,
            f"holds the arrays {', '.join(map(repr, archive.keys[:20])) or 'none'}",
            remedy="Say which one to read with --key",
        )
    header = archive.header(key)
    _check_shape(path, header.shape, header.dtype, axes, options)

    def column(keys: tuple[str, ...]) -> NDArray[Any] | None:
        for name in keys:
            if name in archive.keys and name != key:
                shape = archive.header(name).shape
                return archive.read(name, shape, "iufb")
        return None

    rest = axes.replace("N", "")
    if axes[0] == "N" and header.order == "C":
        yield from _clips(unit, archive.rows(key), header.shape[0], rest, column, options)
        return
    array = archive.read(key, header.shape, "iufb", limit=1 << 30)
    whole = np.moveaxis(array, axes.index("N"), 0) if "N" in axes else array[None]
    yield from _clips(unit, whole, len(whole), rest, column, options)


def _check_shape(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], axes: str, options: Options
) -> None:
    header = ArrayHeader(shape, dtype, "C", 0)
    check_array(path, "the array", header, tuple(axes), "fiu")
    sizes = dict(zip(axes, shape, strict=True))
    if not 0 < sizes["V"] <= 10_000 or not 0 < sizes["C"] <= 16 or not sizes["T"]:
        raise SkeletonFormatError(
            path,
            f"{axes} would mean {sizes['T']} frames of {sizes['V']} joints with {sizes['C']} "
            "coordinates",
            remedy=_REMEDY,
        )
    check_size(path, sizes["T"], sizes.get("M", 1), sizes["V"] * sizes["C"], options)


def _columns(
    path: Path, count: int, column: Callable[[tuple[str, ...]], NDArray[Any] | None]
) -> dict[str, list[int]]:
    found = {}
    for field, keys in _COLUMNS.items():
        values = column(keys)
        if values is None:
            continue
        if values.ndim == 2 and field == "label" and len(values) == count and values.shape[1]:
            one = (values > 0).sum(axis=1) == 1
            values = (values > 0).argmax(axis=1) if one.all() else values
        if values.shape != (count,) or values.dtype.kind not in "iub":
            raise SkeletonFormatError(
                path,
                f"{keys[0]} must hold {count} integers, got {values.dtype} of shape {values.shape}",
            )
        found[field] = [int(value) for value in values]
        if any(not -1 <= value < 1 << 31 for value in found[field]):
            raise SkeletonFormatError(path, f"{keys[0]} must lie between -1 and {(1 << 31) - 1}")
    return found


def _layout(path: Path, joints: int, options: Options) -> SkeletonLayout:
    layout = layout_named(options.layout) if options.layout else unnamed_layout(joints)
    if layout.num_joints != joints:
        raise SkeletonFormatError(
            path, f"holds {joints} joints, which is not the layout {layout.name}"
        )
    return layout


def _clips(
    unit: Unit,
    arrays: Any,
    count: int,
    axes: str,
    column: Callable[[tuple[str, ...]], NDArray[Any] | None],
    options: Options,
) -> Iterator[Clip | Dropped]:
    """Yield clips from arrays with the given axes, N left out."""
    path = unit.path
    columns = _columns(path, count, column)
    order = [(axes if "M" in axes else "M" + axes).index(axis) for axis in "TMVC"]
    for index, array in enumerate(arrays):
        name = f"{unit.name}[{index}]" if count > 1 else unit.name
        array = array.reshape(array.shape[-len(axes) :]) if array.ndim > len(axes) else array
        values = (array if "M" in axes else array[None]).transpose(order)
        length = columns["length"][index] if "length" in columns else len(values)
        if not 0 <= length <= len(values):
            raise SkeletonFormatError(
                path, f"lengths[{index}] must lie between 0 and {len(values)}, got {length}"
            )
        values = values[:length]
        if options.trim:
            filled = np.flatnonzero(values.any(axis=(1, 2, 3)))
            values = values[: filled[-1] + 1] if len(filled) else values[:0]
        if not len(values):
            yield Dropped(name, "holds no frames")
            continue
        present = values.any(axis=(0, 2, 3))
        values = values[:, present] if present.any() else values[:, :1]
        confidence = None
        if options.score:
            if values.shape[3] < 2:
                raise SkeletonFormatError(path, "a score needs a channel of its own")
            confidence = np.ascontiguousarray(values[..., -1], np.float32)
            values = values[..., :-1]
        joints, confidence = to_float32(path, values, options, name, confidence)
        yield Clip(
            name,
            joints,
            confidence,
            _layout(path, joints.shape[2], options),
            label=columns["label"][index] if "label" in columns else -1,
            subject=columns["subject"][index] if "subject" in columns else -1,
            camera=columns["camera"][index] if "camera" in columns else -1,
        )
