"""Opening files that cannot be trusted: regular ones only, bounded in size, line and depth."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from skelfreq.data.errors import SkeletonFormatError, printable

__all__ = ["MAX_DEPTH", "MAX_LINE", "Limits", "decode", "open_regular", "read_bytes", "read_json"]

MAX_DEPTH = 32
MAX_LINE = 1 << 20

# What a file of each kind may hold by default. A .mat file is copied twice; text is read line by
# line and archives row by row.
_DEFAULT_BYTES = {
    "archive": 32 << 30,
    "pickle": 4 << 30,
    "text": 256 << 20,
    "mat": 64 << 20,
    "json": 64 << 20,
}
# Bytes of memory behind the marks of JSON text, about as CPython 3.11 takes them.
_JSON_BYTES = {b"{": 240, b"[": 72, b'"': 34, b",": 40}
_JSON_MEMORY = 400 << 20
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_RAISE = "If the file is trusted, raise the limit with --max-bytes or Limits(max_bytes=...)"


@dataclass(frozen=True)
class Limits:
    """How large a file may be.

    Parameters
    ----------
    max_bytes : int, optional
        Replaces every default: 32 GiB of decompressed archives, 4 GiB of pickles, 256 MiB of text,
        64 MiB of ``.mat`` or JSON per file.

    Examples
    --------
    >>> Limits().of("json"), Limits(max_bytes=100).of("json")
    (67108864, 100)
    """

    max_bytes: int | None = None

    def of(self, kind: str) -> int:
        """Return the largest number of bytes for a kind of file."""
        return _DEFAULT_BYTES[kind] if self.max_bytes is None else self.max_bytes

    def check(self, path: str | Path, size: int, kind: str, item: str | None = None) -> None:
        """Raise SkeletonFormatError if ``size`` bytes are more than is allowed."""
        if size > self.of(kind):
            raise SkeletonFormatError(
                path,
                f"holds {size} bytes of data, the limit is {self.of(kind)}",
                item=item,
                remedy=_RAISE,
            )


def open_regular(path: str | Path, limits: Limits, kind: str) -> BinaryIO:
    """Open a regular file for reading.

    Links are followed, but pipes, devices and folders are refused without waiting for them.

    Parameters
    ----------
    path : str or Path
        The file.
    limits : Limits
        Sizes allowed.
    kind : {"archive", "pickle", "text", "mat", "json"}
        Which of the limits applies.

    Raises
    ------
    SkeletonFormatError
        If there is no such file, it is no regular file, cannot be opened or is too large.
    """
    try:
        # Asked first, because opening some devices has effects, and again on the open file.
        _check_regular(path, Path(path).stat())
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except (OSError, ValueError) as error:
        if isinstance(error, SkeletonFormatError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise SkeletonFormatError(path, f"cannot be opened ({reason})") from error
    try:
        status = os.fstat(file.fileno())
        _check_regular(path, status)
        limits.check(path, status.st_size, kind)
    except BaseException:
        file.close()
        raise
    return file


def _check_regular(path: str | Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise SkeletonFormatError(path, f"expected a regular file, got {what}")


def read_bytes(path: str | Path, limits: Limits, kind: str) -> bytes:
    """Return the content of a regular file, at most as large as the limit.

    Raises
    ------
    SkeletonFormatError
        As :func:`open_regular` does, or if reading fails.
    """
    with open_regular(path, limits, kind) as file:
        try:
            data = file.read(limits.of(kind) + 1)
        except OSError as error:
            raise SkeletonFormatError(path, f"cannot be read ({error.strerror})") from error
    limits.check(path, len(data), kind)
    return data


def text_lines(path: str | Path, limits: Limits) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of every line, read one by one, in UTF-8 or ASCII.

    Raises
    ------
    SkeletonFormatError
        As :func:`open_regular` does, or if a line is longer than 1 MiB or the file is in UTF-16.
    """
    with open_regular(path, limits, "text") as file:
        number = 0
        while True:
            try:
                line = file.readline(MAX_LINE + 1)
            except OSError as error:
                raise SkeletonFormatError(path, f"cannot be read ({error.strerror})") from error
            if not line:
                return
            number += 1
            if number == 1:
                if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
                    raise SkeletonFormatError(
                        path,
                        "expected ASCII or UTF-8 text, got UTF-16",
                        line=1,
                        remedy="Save the file as UTF-8",
                    )
                line = line.removeprefix(b"\xef\xbb\xbf")
            if len(line) > MAX_LINE:
                raise SkeletonFormatError(
                    path, f"expected lines of at most {MAX_LINE} bytes", line=number
                )
            yield number, line


def decode(path: str | Path, data: bytes) -> str:
    """Return text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Raises
    ------
    SkeletonFormatError
        If the bytes are no such text.
    """
    encoding = "utf-8-sig"
    if data[:4] in (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"):
        encoding = "utf-32"
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise SkeletonFormatError(
            path,
            f"expected {encoding.upper().removesuffix('-SIG')} text ({error.reason})",
            offset=error.start,
            remedy="Save the file as UTF-8",
        ) from error


def read_json(path: str | Path, limits: Limits | None = None) -> Any:
    """Return the content of a JSON file.

    Parameters
    ----------
    path : str or Path
        The file, in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.
    limits : Limits, optional
        Sizes allowed; 64 MiB by default.

    Returns
    -------
    object
        As ``json.loads`` returns it. ``NaN`` and ``Infinity``, which Python writes although JSON
        has no such words, become floats.

    Raises
    ------
    SkeletonFormatError
        If the file cannot be opened, is too large, is no JSON, holds an integer of more than
        40 digits or the same key twice in an object, is nested more than 32 levels deep, or holds
        so many values that they would need more than 400 MiB.
    """
    limits = limits or Limits()
    data = read_bytes(path, limits, "json")
    return parse_json(path, data, max(_JSON_MEMORY, limits.max_bytes or 0))


def parse_json(path: str | Path, data: bytes, limit: int = _JSON_MEMORY) -> Any:
    """Return what JSON text says; ``path`` is for messages. Errors as :func:`read_json`."""
    text = decode(path, data)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff", b"\x00\x00"):
        data = text.encode("utf-8", "surrogatepass")
    memory = len(data) + sum(size * data.count(mark) for mark, size in _JSON_BYTES.items())
    if memory > limit:
        raise SkeletonFormatError(
            path, f"its values would need some {memory} bytes, the limit is {limit}", remedy=_RAISE
        )
    depth = _depth(data)
    if depth > MAX_DEPTH:
        raise SkeletonFormatError(
            path, f"expected at most {MAX_DEPTH} levels of brackets, got {depth}"
        )
    try:
        return json.loads(text, parse_int=_integer, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise SkeletonFormatError(
            path,
            f"expected JSON ({error.msg[:1].lower()}{error.msg[1:]}, column {error.colno})",
            line=error.lineno,
        ) from error
    except (ValueError, RecursionError) as error:
        raise SkeletonFormatError(path, f"expected JSON ({error})") from error


def _integer(digits: str) -> int:
    if len(digits) > 40:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {printable(repr(twice))} occurs twice in an object")
    return found


def _depth(data: bytes) -> int:
    """Return how deep brackets are nested, in time and memory linear in the text."""
    # Without escapes, quotes delimit strings; brackets in strings are text.
    data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = data.translate(None, _NO_MARKS)
    outside = b"".join(marks.split(b'"')[::2])
    steps = np.frombuffer(outside, np.uint8)
    opens = (steps == ord("[")) | (steps == ord("{"))
    if not len(steps):
        return 0
    return int(np.cumsum(np.where(opens, np.int8(1), np.int8(-1)), dtype=np.int32).max())
