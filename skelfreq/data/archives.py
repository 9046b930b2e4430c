"""``.npz`` archives: their entries are checked before any is read, then read row by row."""

from __future__ import annotations

import itertools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from skelfreq.data.arrays import ArrayHeader, check_array, read_header, read_values
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import Limits, open_regular

__all__ = ["MAX_RATIO", "Archive", "open_archive"]

MAX_RATIO = 1000
_MAX_DIRECTORY = 16 << 20
# An array that cannot be read row by row may have this many bytes.
_MAX_WHOLE = 1 << 30
# Damage that zipfile and zlib report in many ways, MemoryError and RecursionError not among them.
_DAMAGE = (
    zipfile.BadZipFile, OSError, EOFError, ValueError, KeyError, IndexError, RuntimeError,
    NotImplementedError, struct.error, OverflowError, zlib.error,
)  # fmt: skip


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


class _Entry:
    """A file in an archive, reading from which raises SkeletonFormatError where it is damaged."""

    def __init__(self, path: str | Path, key: str, file: BinaryIO) -> None:
        self._path, self._key, self._file = path, key, file

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        with _damage(self._path, self._key):
            return self._file.read(size)


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
            entry: Any = _Entry(self.path, key, file)
            yield entry, read_header(self.path, entry, info.file_size, key)

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
            return read_values(self.path, file, header, key)

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
                yield read_values(self.path, file, block, key)

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
        whole, start = read_values(self.path, file, header, key), 0
        for count in counts or itertools.repeat(1, header.shape[0]):
            yield whole[start : start + count]
            start += count


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
