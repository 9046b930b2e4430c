"""Changes to files: what damage, mistakes and attackers do to them."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from skelfreq.data.fuzzing.structured import STRUCTURED

__all__ = ["mutate"]

Rng = np.random.Generator
_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_VALUES = (
    b"-1", b"0", b"2", b"1000000", b"2147483648", b"9223372036854775808", b"-9223372036854775809",
    b"1e308", b"1e39", b"-1e999", b"nan", b"NaN", b"inf", b"-Infinity", b"abc", b"", b"1_0",
    b"0x10", b"1e", b"--3", b"1.#QNAN", b"\xc2\xb9", b"9" * 400, b"None", b"[]", b"{}", b"\"\"",
)  # fmt: skip


def _truncate(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(0, max(len(data), 1)))]


def _flip(data: bytes, rng: Rng) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 12))):
        if changed:
            changed[int(rng.integers(0, len(changed)))] = int(rng.integers(0, 256))
    return bytes(changed)


def _flip_start(data: bytes, rng: Rng) -> bytes:
    return _flip(data[:200], rng) + data[200:]


def _insert(data: bytes, rng: Rng) -> bytes:
    place = int(rng.integers(0, len(data) + 1))
    return data[:place] + rng.bytes(int(rng.integers(1, 40))) + data[place:]


def _remove(data: bytes, rng: Rng) -> bytes:
    place = int(rng.integers(0, len(data) + 1))
    return data[:place] + data[place + int(rng.integers(1, 400)) :]


def _repeat(data: bytes, rng: Rng) -> bytes:
    place = int(rng.integers(0, len(data) + 1))
    part = data[place : place + int(rng.integers(1, 2000))]
    return data[:place] + part * int(rng.integers(2, 50)) + data[place:]


def _numbers(data: bytes, rng: Rng) -> bytes:
    """Put something else in the place of some numbers."""
    found = list(_NUMBER.finditer(data, 0, 200_000))
    if not found:
        return _flip(data, rng)
    # Counts stand at the beginning of files.
    reach = len(found) if rng.random() < 0.5 else min(len(found), 12)
    for place in sorted(set(rng.integers(0, reach, 3).tolist()), reverse=True):
        match = found[place]
        value = _VALUES[int(rng.integers(0, len(_VALUES)))]
        data = data[: match.start()] + value + data[match.end() :]
    return data


def _lines(data: bytes, rng: Rng) -> bytes:
    """Remove, repeat, exchange or join lines."""
    lines = data.split(b"\n")
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(0, len(lines)))
        other = int(rng.integers(0, len(lines)))
        kind = int(rng.integers(0, 5))
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines[place:place] = [lines[place]] * int(rng.integers(1, 30))
        elif kind == 2 and other < len(lines) and place < len(lines):
            lines[place], lines[other] = lines[other], lines[place]
        elif kind == 3 and place + 1 < len(lines):
            lines[place : place + 2] = [lines[place] + b" " + lines[place + 1]]
        else:
            lines.insert(place, b"" if rng.random() < 0.5 else b"# a comment")
    return b"\n".join(lines)


def _encoding(data: bytes, rng: Rng) -> bytes:
    text = data.decode("latin1")
    kind = int(rng.integers(0, 8))
    if kind < 3:
        return text.encode(("utf-16", "utf-32", "utf-16-be")[kind])
    if kind == 3:
        return b"\xef\xbb\xbf" + data
    if kind == 4:
        return data.replace(b"\n", b"\r\n")
    if kind == 5:
        return data.replace(b"\n", b"\r")
    if kind == 6:
        return data.replace(b" ", "\u00a0".encode(), 20)
    return data.replace(b"e", b"\xe9\xff", 5)


def _empty(data: bytes, rng: Rng) -> bytes:
    return (b"", b"\n", b"\0" * 4096, b" " * 100_000, b"\n" * 100_000)[int(rng.integers(0, 5))]


def _noise(data: bytes, rng: Rng) -> bytes:
    return rng.bytes(int(rng.integers(1, 3000)))


def _long_line(data: bytes, rng: Rng) -> bytes:
    return data.replace(b"\n", b" ") + b"1 " * int(rng.integers(1, 1_000_000))


def _deep(data: bytes, rng: Rng) -> bytes:
    depth = int(rng.integers(33, 200_000))
    start = (b"[", b'{"a":', b"(", b"JOINT a { OFFSET 0 0 0 ")[int(rng.integers(0, 4))]
    place = int(rng.integers(0, min(len(data), 300) + 1)) if rng.random() < 0.5 else 0
    return data[:place] + start * depth + data[place:]


_BYTES: tuple[Callable[[bytes, Rng], bytes], ...] = (
    _truncate, _flip, _flip_start, _insert, _remove, _repeat, _numbers, _numbers, _numbers, _lines,
    _lines, _encoding, _empty, _noise, _long_line, _deep,
)  # fmt: skip


def _folder(path: Path, rng: Rng) -> None:
    path.unlink()
    path.mkdir()
    if rng.random() < 0.5:
        (path / path.name).write_bytes(b"1")


def _dangling(path: Path, rng: Rng) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def _loop(path: Path, rng: Rng) -> None:
    path.unlink()
    path.symlink_to(path)


def _pipe(path: Path, rng: Rng) -> None:
    path.unlink()
    if rng.random() < 0.5:
        os.mkfifo(path)
    else:
        other = path.with_name("pipe")
        if not other.exists():
            os.mkfifo(other)
        path.symlink_to(other)


def _link_to_folder(path: Path, rng: Rng) -> None:
    path.unlink()
    path.symlink_to(path.parent if rng.random() < 0.5 else Path("/usr/include"))


def _device(path: Path, rng: Rng) -> None:
    path.unlink()
    path.symlink_to("/dev/zero" if rng.random() < 0.5 else "/dev/null")


def _gone(path: Path, rng: Rng) -> None:
    path.unlink()


_FILES: tuple[Callable[[Path, Rng], None], ...] = (
    _folder, _dangling, _loop, _pipe, _link_to_folder, _device, _gone,
)  # fmt: skip


def mutate(files: list[Path], rng: Rng, own: bool) -> str:
    """Change one of the files in place; return the name of the mutation.

    ``own`` says that the files come from :mod:`skelfreq.data.fuzzing.samples`: the content of other
    pickles is not loaded.
    """
    path = files[int(rng.integers(0, len(files)))]
    kind = rng.random()
    if kind < 0.04:
        change = _FILES[int(rng.integers(0, len(_FILES)))]
        change(path, rng)
        return change.__name__.strip("_")
    ending = path.suffix.lower()
    if kind < 0.45 and ending in STRUCTURED and (own or ending != ".pkl"):
        try:
            return STRUCTURED[ending](path, rng)
        except (ValueError, TypeError, IndexError, struct.error, zlib.error):
            # A real file in a form that this change does not know.
            path.write_bytes(_flip(path.read_bytes(), rng))
            return "flip"
    names = []
    data = path.read_bytes()
    for _ in range(1 if rng.random() < 0.7 else 2):
        action = _BYTES[int(rng.integers(0, len(_BYTES)))]
        data = action(data, rng)
        names.append(action.__name__.strip("_"))
    path.write_bytes(data)
    return "+".join(names)
