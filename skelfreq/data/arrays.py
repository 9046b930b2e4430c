"""``.npy`` and ``.npz`` files: headers first, then rows, never pickled objects."""

from __future__ import annotations

import itertools
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import Limits, open_regular

__all__ = ["Archive", "ArrayHeader", "map_npy", "open_archive", "read_npy", "read_npy_header"]

MAX_RATIO = 1000
_MAX_HEADER = 1 << 16
_MAX_DIRECTORY = 16 << 20
_MAX_AXES = 8
_STEP = 8 << 20
# An array that cannot be read row by row may have this many bytes.
_MAX_WHOLE = 1 << 30
_NO_PICKLE = "Save plain numbers with numpy.save or numpy.savez, without objects"

_VALUE = r"(?:'(?P<descr>[^']*)'|(?P<order>True|False)|\((?P<shape>[\d,\sL]*)\))"
_ENTRY = re.compile(r"\s*'(?P<key>descr|fortran_order|shape)'\s*:\s*" + _VALUE + r"\s*(?:,|$)")
_DTYPE = re.compile(r"[<>|=]?(?:[fiub](?:1|2|4|8)|f16|\?|U\d{1,6}|S\d{1,6})")
# Damage that zipfile and zlib report in many ways, MemoryError and RecursionError not among them.
_DAMAGE = (
    zipfile.BadZipFile, OSError, EOFError, ValueError, KeyError, IndexError, RuntimeError,
    NotImplementedError, struct.error, OverflowError, zlib.error,
)  # fmt: skip


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


def _header(path: str | Path, file: BinaryIO, size: int, item: str | None) -> ArrayHeader:
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
        return _header(path, file, os.fstat(file.fileno()).st_size, None)


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
        header = _header(path, file, os.fstat(file.fileno()).st_size, None)
        return _values(path, file, header, None)


def _values(
    path: str | Path, file: BinaryIO, header: ArrayHeader, item: str | None
) -> NDArray[Any]:
    """Read the data after a header."""
    data = np.empty(header.nbytes, np.uint8)
    for start in range(0, len(data), _STEP):
        part = _read(path, file, min(_STEP, len(data) - start), item)
        data[start : start + len(part)] = np.frombuffer(part, np.uint8)
    return data.view(header.dtype).reshape(header.shape, order=header.order)


def _read(path: str | Path, file: BinaryIO, size: int, item: str | None) -> bytes:
    with _damage(path, item):
        part = file.read(size)
    if len(part) != size:
        raise SkeletonFormatError(path, "ends before its data do", item=item)
    return part


@contextmanager
def _damage(path: str | Path, item: str | None = None) -> Iterator[None]:
    """Turn what zipfile, zlib and the file system raise into SkeletonFormatError."""
    try:
        yield
    except SkeletonFormatError:
        raise
    except _DAMAGE as error:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise SkeletonFormatError(
            path,
            f"cannot read the archive ({text})",
            item=item,
            remedy="The file is damaged: write or download it again",
        ) from error


class Archive:
    """An open ``.npz`` archive whose entries were checked before any of them is read.

    Made by :func:`open_archive`.
    """

    def __init__(self, path: str | Path, file: zipfile.ZipFile, limits: Limits) -> None:
        self.path = path
        self._file = file
        self._limits = limits
        self._infos = _entries(path, file, limits)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(self._infos)

    @contextmanager
    def _open(self, key: str) -> Iterator[tuple[BinaryIO, ArrayHeader]]:
        if key not in self._infos:
            raise SkeletonFormatError(
                self.path,
                f"expected the key {key!r}, got {', '.join(map(repr, self.keys[:20])) or 'none'}",
            )
        info = self._infos[key]
        with _damage(self.path, key):
            file: Any = self._file.open(info)
        with file:
            with _damage(self.path, key):
                header = _header(self.path, file, info.file_size, key)
            yield file, header

    def header(self, key: str) -> ArrayHeader:
        """Return the header of an array. Raises SkeletonFormatError if it is malformed."""
        with self._open(key) as (_, header):
            return header

    def read(
        self, key: str, shape: tuple[int | str, ...], kinds: str, limit: int = 256 << 20
    ) -> NDArray[Any]:
        """Read an array whose shape and kind of numbers are known.

        Parameters
        ----------
        key : str
            Name of the array.
        shape : tuple
            Expected sizes; a text is the name of an axis of any size.
        kinds : str
            Accepted kind letters of numpy.
        limit : int
            Largest number of bytes; :meth:`rows` reads arrays of any size.

        Raises
        ------
        SkeletonFormatError
            If the key is missing or the array is another one, too large or damaged.
        """
        with self._open(key) as (file, header):
            check_array(self.path, key, header, shape, kinds)
            if header.nbytes > max(limit, self._limits.max_bytes or 0):
                raise SkeletonFormatError(
                    self.path, f"expected at most {limit} bytes, got {header.nbytes}", item=key
                )
            return _values(self.path, file, header, key)

    def rows(self, key: str, counts: Iterator[int] | None = None) -> Iterator[NDArray[Any]]:
        """Yield an array in blocks of rows, reading no more than one block ahead.

        Parameters
        ----------
        key : str
            Name of an array with at least one axis.
        counts : iterator of int, optional
            Rows of each block; blocks of one row by default. The rows must add up.

        Raises
        ------
        SkeletonFormatError
            If the key is missing, the data are damaged, or a large array is in Fortran order.
        """
        with self._open(key) as (file, header):
            if header.order == "F" and len(header.shape) > 1:
                yield from self._columns(file, header, key, counts)
                return
            for count in counts or itertools.repeat(1, header.shape[0]):
                block = ArrayHeader((count, *header.shape[1:]), header.dtype, "C", 0)
                yield _values(self.path, file, block, key)

    def _columns(
        self, file: BinaryIO, header: ArrayHeader, key: str, counts: Iterator[int] | None
    ) -> Iterator[NDArray[Any]]:
        """Yield the rows of an array in Fortran order, which has to be read first."""
        if header.nbytes > max(_MAX_WHOLE, self._limits.max_bytes or 0):
            raise SkeletonFormatError(
                self.path,
                f"expected C order in an array of {header.nbytes} bytes, got Fortran order",
                item=key,
                remedy="Save numpy.ascontiguousarray(array)",
            )
        whole, start = _values(self.path, file, header, key), 0
        for count in counts or itertools.repeat(1, header.shape[0]):
            yield whole[start : start + count]
            start += count


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


def _entries(path: str | Path, file: zipfile.ZipFile, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays of an archive by name; raise if an entry cannot be trusted."""
    found: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for info in file.infolist():
        key = info.filename.removesuffix(".npy")
        shown = printable(key)
        if info.flag_bits & 1:
            raise SkeletonFormatError(path, "is encrypted", item=shown)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SkeletonFormatError(
                path,
                f"uses the compression method {info.compress_type}",
                item=shown,
                remedy="Write it with numpy.savez or numpy.savez_compressed",
            )
        if info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise SkeletonFormatError(
                path,
                f"{info.compress_size} bytes would become {info.file_size}, more than "
                f"{MAX_RATIO} times as many",
                item=shown,
                remedy="Write it with numpy.savez, without compression",
            )
        if key in found:
            raise SkeletonFormatError(path, "occurs twice in the archive", item=shown)
        found[key] = info
        total += info.file_size
    limits.check(path, total, "archive")
    return found


@contextmanager
def open_archive(path: str | Path, limits: Limits | None = None) -> Iterator[Archive]:
    """Open an ``.npz`` archive and check its entries before reading any of them.

    Parameters
    ----------
    path : str or Path
        The archive.
    limits : Limits, optional
        Sizes allowed, counted after decompression; 32 GiB by default.

    Returns
    -------
    context manager
        Gives an :class:`Archive`.

    Raises
    ------
    SkeletonFormatError
        If the file cannot be opened, is no zip archive, is encrypted, uses a compression that
        numpy does not write, would grow more than 1,000-fold, or is too large.
    """
    limits = limits or Limits()
    with open_regular(path, limits, "archive") as file:
        with _damage(path):
            size = file.seek(0, 2)
            _check_directory(path, file, size)
            archive = zipfile.ZipFile(file)
        with archive:
            yield Archive(path, archive, limits)


def _check_directory(path: str | Path, file: BinaryIO, size: int) -> None:
    """Raise if the zip directory, which zipfile reads at once, is huge or absent."""
    file.seek(max(size - (1 << 16) - 22, 0))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise SkeletonFormatError(path, "expected a .npz archive, got no zip directory at its end")
    length = struct.unpack("<L", tail[at + 12 : at + 16])[0]
    if length == 0xFFFFFFFF:
        # zip64: the true length is in a record of its own, before its locator.
        record = tail.rfind(b"PK\x06\x06", 0, at)
        if record < 0 or at - record < 56:
            raise SkeletonFormatError(path, "expected a zip64 directory, got none")
        length = struct.unpack("<Q", tail[record + 40 : record + 48])[0]
    if length > min(_MAX_DIRECTORY, size):
        raise SkeletonFormatError(path, f"declares a zip directory of {length} bytes")
