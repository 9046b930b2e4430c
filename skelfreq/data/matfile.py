"""MATLAB files of version 5: every element is checked before scipy reads the wanted ones."""

from __future__ import annotations

import io
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.archives import MAX_RATIO
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import Limits, read_bytes

__all__ = ["MatFile"]

_HEADER = 128
_COMPRESSED, _MATRIX = 15, 14
# Bytes per number of MATLAB's storage types, and its classes of real arrays.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_CLASSES = {4: "text", **dict.fromkeys(range(6, 16), "numbers")}
_MAX_AXES = 8
_MAX_VARIABLES = 10_000


@dataclass(frozen=True)
class _Variable:
    """A matrix whose declared size was compared with its bytes."""

    shape: tuple[int, ...]
    kind: str
    element: bytes


class MatFile:
    """The real arrays and texts of a ``.mat`` file; other variables are passed over.

    Parameters
    ----------
    path : Path
        The file.
    limits : Limits
        Sizes allowed, before and after decompression.

    Raises
    ------
    SkeletonFormatError
        If the file is no MATLAB file of version 5, an element is cut off, grows more than
        1,000-fold, or declares another size than it has.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        data = read_bytes(path, limits, "mat")
        if data[:8] == b"\x89HDF\r\n\x1a\n" or b"MATLAB 7.3" in data[:_HEADER]:
            raise SkeletonFormatError(
                path, "is in MATLAB's version 7.3", remedy="Save it in MATLAB with the option -v7"
            )
        if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
            raise SkeletonFormatError(path, "expected a MATLAB file of version 5")
        self._header = data[:_HEADER]
        self._order = "<" if data[126:128] == b"IM" else ">"
        self._left = limits.of("mat")
        self._variables: dict[str, _Variable] = {}
        position, count = _HEADER, 0
        while position < len(data):
            position, count = self._element(data, position), count + 1
            if count > _MAX_VARIABLES:
                raise self._refuse(f"holds more than {_MAX_VARIABLES} variables", position)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables that can be read."""
        return tuple(self._variables)

    def _refuse(self, reason: str, offset: int) -> SkeletonFormatError:
        return SkeletonFormatError(self.path, reason, offset=offset)

    def _tag(self, data: bytes, position: int, base: int = 0) -> tuple[int, int, int, int]:
        """Return type, size, start of the data and of what follows, for an element."""
        if position + 8 > len(data):
            raise self._refuse("ends within an element", base + position)
        kind, size = struct.unpack_from(self._order + "LL", data, position)
        start = position + 8
        if kind >> 16:
            # Up to 4 bytes lie in the tag itself.
            kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
            if size > 4:
                raise self._refuse(f"declares {size} bytes in a short element", base + position)
            return kind, size, start, position + 8
        if start + size > len(data):
            raise self._refuse(
                f"declares {size} bytes, {len(data) - start} are there", base + position
            )
        padded = size if kind == _COMPRESSED else -(-size // 8) * 8
        return kind, size, start, min(start + padded, len(data))

    def _element(self, data: bytes, position: int) -> int:
        kind, size, start, following = self._tag(data, position)
        element = data[position : start + size]
        if kind == _COMPRESSED:
            element = self._inflate(data[start : start + size], position)
            kind, size, start, _ = self._tag(element, 0, position)
            element = element[: start + size]
        if kind != _MATRIX:
            raise self._refuse(f"expected a variable, got an element of type {kind}", position)
        self._matrix(element, position)
        return following

    def _inflate(self, data: bytes, position: int) -> bytes:
        limit = min(self._left, MAX_RATIO * max(len(data), 1))
        stream = zlib.decompressobj()
        try:
            found = stream.decompress(data, limit + 1)
        except zlib.error as error:
            raise self._refuse(f"cannot be decompressed ({error})", position) from error
        if len(found) > limit:
            raise self._refuse(
                f"{len(data)} bytes become more than {limit}, which is the limit", position
            )
        self._left -= len(found)
        return found

    def _matrix(self, element: bytes, offset: int) -> None:
        """Keep a matrix if it is a real array or a text, after comparing sizes."""
        kind, size, start, position = self._tag(element, 8, offset)
        if kind != 6 or size != 8:
            raise self._refuse("expected the flags of a matrix", offset)
        flags = struct.unpack_from(self._order + "L", element, start)[0]
        what = _CLASSES.get(flags & 0xFF)
        if what is None or flags & 0x0800:
            return
        kind, size, start, position = self._tag(element, position, offset)
        if kind != 5 or size % 4 or not 8 <= size <= 4 * _MAX_AXES:
            raise self._refuse("expected the shape of a matrix", offset)
        shape = struct.unpack_from(f"{self._order}{size // 4}l", element, start)
        kind, size, start, position = self._tag(element, position, offset)
        if kind not in (1, 2) or size > 63:
            raise self._refuse("expected the name of a matrix", offset)
        name = element[start : start + size].decode("ascii", "backslashreplace")
        kind, size, _, _ = self._tag(element, position, offset)
        width = _SIZES.get(kind)
        if width is None or (what == "numbers" and kind > _COMPRESSED):
            raise self._refuse(f"{printable(name)!r} holds data of type {kind}", offset)
        if min(shape) < 0:
            raise self._refuse(f"{printable(name)!r} has the shape {shape}", offset)
        if math.prod(shape) * width != size:
            raise self._refuse(
                f"{printable(name)!r} of shape {shape} needs {math.prod(shape) * width} bytes, "
                f"{size} are there",
                offset,
            )
        if name in self._variables:
            raise self._refuse(f"{printable(name)!r} occurs twice", offset)
        self._variables[name] = _Variable(shape, what, element)

    def _load(self, name: str, kind: str) -> NDArray[Any]:
        variable = self._variables.get(name)
        if variable is None or variable.kind != kind:
            raise SkeletonFormatError(
                self.path,
                f"expected {kind} under {name!r}, got {', '.join(map(repr, self.names)) or 'none'}",
            )
        try:
            from scipy.io import loadmat
        except ImportError as error:
            raise ImportError(
                "Reading .mat files needs scipy: pip install 'skelfreq[data]'."
            ) from error
        padding = b"\0" * (-len(variable.element) % 8)
        try:
            found = loadmat(io.BytesIO(self._header + variable.element + padding))
            return np.asarray(found[name])
        except Exception as error:
            # scipy raises many kinds on damaged numbers.
            raise SkeletonFormatError(
                self.path, f"cannot be read ({type(error).__name__}: {error})", item=name
            ) from error

    def numbers(self, name: str, shape: tuple[int | str, ...]) -> NDArray[Any]:
        """Return a real array of an expected shape; a text names an axis of any size.

        Raises
        ------
        SkeletonFormatError
            If there is no such array.
        ImportError
            If scipy is not installed.
        """
        array = self._load(name, "numbers")
        fits = len(shape) == array.ndim and all(
            isinstance(want, str) or want == got
            for want, got in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype.kind not in "fiub":
            raise SkeletonFormatError(
                self.path,
                f"{name} must be real numbers of shape ({', '.join(map(str, shape))}), got "
                f"{array.dtype} of shape {array.shape}",
            )
        return array

    def text(self, name: str) -> str:
        """Return a text; errors as :meth:`numbers`."""
        array = self._load(name, "text")
        return str(array.ravel()[0]) if array.size else ""
