"""``.npy`` files: headers first, never pickled objects."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import Limits, open_regular

__all__ = [
    "ArrayHeader",
    "check_array",
    "map_npy",
    "read_header",
    "read_npy",
    "read_npy_header",
    "read_values",
]

_MAX_HEADER = 1 << 16
_MAX_AXES = 8
_STEP = 8 << 20
_NO_PICKLE = "Save plain numbers with numpy.save or numpy.savez, without objects"

_VALUE = r"(?:'(?P<descr>[^']*)'|(?P<order>True|False)|\((?P<shape>[\d,\sL]*)\))"
_ENTRY = re.compile(r"\s*'(?P<key>descr|fortran_order|shape)'\s*:\s*" + _VALUE + r"\s*(?:,|$)")
_DTYPE = re.compile(r"[<>|=]?(?:[fiub](?:1|2|4|8)|f16|\?|U\d{1,6}|S\d{1,6})")


@dataclass(frozen=True)
class ArrayHeader:
    """What the header of an ``.npy`` file declares, checked against the bytes that follow.

    Parameters
    ----------
    shape : tuple of int
        The shape; its product cannot exceed the bytes that are there.
    dtype : dtype
        Real numbers, booleans or text.
    order : {"C", "F"}
        Memory order.
    offset : int
        Bytes before the data.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(path: str | Path, file: BinaryIO, size: int, item: str | None) -> ArrayHeader:
    """Read and check the header of ``size`` bytes of ``.npy``."""

    def refuse(reason: str, remedy: str | None = None) -> SkeletonFormatError:
        return SkeletonFormatError(path, reason, item=item, remedy=remedy)

    start = file.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY":
        raise refuse("expected an .npy array, got other bytes")
    if start[6] not in (1, 2, 3):
        raise refuse(f"expected version 1, 2 or 3 of .npy, got {start[6]}")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > min(_MAX_HEADER, size):
        raise refuse(f"expected a header of at most {_MAX_HEADER} bytes, got {length}")
    text = file.read(length).decode("latin1").strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise refuse("expected a complete .npy header")
    found: dict[str, str] = {}
    text, position = text[1:-1], 0
    while position < len(text.rstrip()):
        match = _ENTRY.match(text, position)
        if match is None:
            raise refuse(f"cannot read the .npy header {printable(text)!r}", _NO_PICKLE)
        found[match["key"]] = match["descr"] or match["order"] or match["shape"] or ""
        position = match.end()
    if len(found) != 3 or found["fortran_order"] not in ("True", "False"):
        raise refuse(f"cannot read the .npy header {printable(text)!r}", _NO_PICKLE)
    if not _DTYPE.fullmatch(found["descr"]):
        raise refuse(
            f"expected numbers or text, got the dtype {printable(found['descr'])!r}", _NO_PICKLE
        )
    words = [word.strip(" \tL") for word in found["shape"].split(",") if word.strip(" \t")]
    if len(words) > _MAX_AXES or not all(word.isdigit() and len(word) < 19 for word in words):
        raise refuse(f"cannot read the shape ({printable(found['shape'])})")
    order: Literal["C", "F"] = "F" if found["fortran_order"] == "True" else "C"
    shape = tuple(map(int, words))
    header = ArrayHeader(shape, np.dtype(found["descr"]), order, 8 + width + length)
    if header.offset + header.nbytes != size:
        raise refuse(
            f"shape {shape} of {header.dtype} needs {header.nbytes} bytes, "
            f"{max(size - header.offset, 0)} are there",
            "The file is truncated or damaged: write or download it again",
        )
    return header


def read_npy_header(path: str | Path, limits: Limits | None = None) -> ArrayHeader:
    """Return the header of an ``.npy`` file without reading the data.

    Raises
    ------
    SkeletonFormatError
        If the file cannot be opened, is too large, is no ``.npy`` file, holds objects, or holds
        fewer or more bytes than its header declares.
    """
    with open_regular(path, limits or Limits(), "archive") as file:
        return read_header(path, file, os.fstat(file.fileno()).st_size, None)


def map_npy(path: str | Path, limits: Limits | None = None) -> NDArray[Any]:
    """Map an ``.npy`` file into memory, read-only, after its header was checked.

    Raises
    ------
    SkeletonFormatError
        As :func:`read_npy_header`.
    """
    header = read_npy_header(path, limits)
    if header.nbytes == 0 or not header.shape:
        return read_npy(path, limits)
    return np.memmap(path, header.dtype, "r", header.offset, header.shape, header.order)


def read_npy(path: str | Path, limits: Limits | None = None) -> NDArray[Any]:
    """Read an ``.npy`` file into memory, after its header was checked.

    Raises
    ------
    SkeletonFormatError
        As :func:`read_npy_header`.
    """
    with open_regular(path, limits or Limits(), "archive") as file:
        header = read_header(path, file, os.fstat(file.fileno()).st_size, None)
        return read_values(path, file, header, None)


def read_values(
    path: str | Path, file: BinaryIO, header: ArrayHeader, item: str | None
) -> NDArray[Any]:
    """Read the data after a header."""
    data = np.empty(header.nbytes, np.uint8)
    for start in range(0, len(data), _STEP):
        part = _read(path, file, min(_STEP, len(data) - start), item)
        data[start : start + len(part)] = np.frombuffer(part, np.uint8)
    return data.view(header.dtype).reshape(header.shape, order=header.order)


def _read(path: str | Path, file: BinaryIO, size: int, item: str | None) -> bytes:
    try:
        part = file.read(size)
    except OSError as error:
        raise SkeletonFormatError(path, f"cannot be read ({error.strerror})", item=item) from error
    if len(part) != size:
        raise SkeletonFormatError(path, "ends before its data do", item=item)
    return part


def check_array(
    path: str | Path, key: str, header: ArrayHeader, shape: tuple[int | str, ...], kinds: str
) -> None:
    """Raise SkeletonFormatError unless a header has the expected shape and kind."""
    fits = len(shape) == len(header.shape) and all(
        isinstance(want, str) or want == got for want, got in zip(shape, header.shape, strict=True)
    )
    if not fits or header.dtype.kind not in kinds:
        wanted = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        names = {"f": "floats", "i": "integers", "u": "integers", "b": "booleans", "U": "text"}
        what = " or ".join(dict.fromkeys(names[kind] for kind in kinds))
        raise SkeletonFormatError(
            path,
            f"{key} must have shape ({wanted}) of {what}, got {header.shape} of {header.dtype}",
        )
