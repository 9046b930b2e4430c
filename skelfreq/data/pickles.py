"""Pickles of numbers, texts, lists, dicts and numpy arrays, read without running any of them."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, BinaryIO

from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import MAX_LINE, Limits, open_regular
from skelfreq.data.pickled import ALLOWED, PickledArray

__all__ = ["PickledArray", "read_pickle"]

_REMEDY = (
    "Only lists, tuples, dicts, texts, numbers and arrays of numbers are read; write texts as "
    "str(x), arrays of texts as x.tolist(), other mappings as dict(x)"
)
# An object of the pickle takes this many bytes of memory at most, on average.
_OBJECT_BYTES, _MAX_OBJECTS_BYTES = 100, 512 << 20

# Opcode: bytes of its argument, or how the length of its argument is written.
_FIXED = {
    **dict.fromkeys(b"(.012N\x88\x89Rabde}el]st)u\x81\x85\x86\x87\x93\x94", 0),
    **dict.fromkeys(b"Khq\x80", 1),
    **dict.fromkeys(b"M", 2),
    **dict.fromkeys(b"Jjr", 4),
    **dict.fromkeys(b"G\x95", 8),
}
_COUNTED = {
    **dict.fromkeys(b"U\x8c\x8aC", 1),
    **dict.fromkeys(b"TX\x8bB", 4),
    **dict.fromkeys(b"\x8d\x8e\x96", 8),
}
_LINES = {**dict.fromkeys(b"ILFSVgp", 1), ord("c"): 2}
_FRAME, _PUT, _STOP = 0x95, ord("p"), ord(".")
_LONGS, _PUTS = b"\x8a\x8b", {ord("q"): 1, ord("r"): 4}


class _Unpickler(pickle.Unpickler):
    """Knows the names above and no others, builtins included."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = ALLOWED.get((module, name))
        if allowed is None:
            raise pickle.UnpicklingError(
                f"asks for {printable(f'{module}.{name}')}, which is not allowed"
            )
        return allowed

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a persistent identifier")


def read_pickle(path: str | Path, limits: Limits | None = None) -> Any:
    """Return the content of a pickle, arrays as :class:`PickledArray`.

    The opcodes are looked through first: sizes must lie within the file, and memory that they ask
    for must be in proportion to it. Then they are carried out with stand-ins for numpy's functions
    that check what they are given; no other function or class can be named.

    Raises
    ------
    SkeletonFormatError
        If the file cannot be opened, is too large, is no pickle, or holds anything but lists,
        tuples, dicts, texts, numbers and arrays of numbers.
    """
    limits = limits or Limits()
    with open_regular(path, limits, "pickle") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        _scan(path, file, size)
        file.seek(0)
        try:
            return _Unpickler(file, encoding="latin1").load()
        except MemoryError:
            raise
        except Exception as error:
            # The opcodes of a damaged file raise almost anything.
            reason = str(error) or type(error).__name__
            raise SkeletonFormatError(
                path, f"is no pickle of plain data: {reason}", remedy=_REMEDY
            ) from error


def _scan(path: str | Path, file: BinaryIO, size: int) -> None:
    """Look through all opcodes; raise if one is not allowed or asks for more than there is."""
    position = count = 0

    def refuse(reason: str) -> SkeletonFormatError:
        return SkeletonFormatError(path, reason, offset=position, remedy=_REMEDY)

    while True:
        opcode = file.read(1)
        if not opcode:
            raise refuse("the pickle ends before its last opcode")
        code, count = opcode[0], count + 1
        if count * _OBJECT_BYTES > _MAX_OBJECTS_BYTES:
            raise refuse(f"the pickle holds more than {count} objects")
        width = 0
        if code in _FIXED:
            length = _FIXED[code]
            argument = file.read(length)
            if len(argument) < length:
                raise refuse("the pickle is cut off")
            if code == _FRAME and int.from_bytes(argument, "little") > size - position:
                raise refuse("the pickle declares a frame that is longer than the file")
            if code in _PUTS and int.from_bytes(argument, "little") > count:
                raise refuse("the pickle numbers its objects beyond their count")
        elif code in _COUNTED:
            width = _COUNTED[code]
            length = int.from_bytes(file.read(width), "little")
            if code in _LONGS and length > 16:
                raise refuse(f"the pickle holds an integer of {length} bytes")
            if length > size - position:
                raise refuse(f"the pickle declares {length} bytes, which are not there")
            file.seek(length, io.SEEK_CUR)
        elif code in _LINES:
            length = 0
            for _ in range(_LINES[code]):
                line = file.readline(MAX_LINE)
                length += len(line)
                if not line.endswith(b"\n"):
                    raise refuse("the pickle is cut off")
                if code == _PUT and not line.strip().isdigit():
                    raise refuse("the pickle numbers an object by no number")
                if code == _PUT and int(line[:20]) > count:
                    raise refuse("the pickle numbers its objects beyond their count")
        else:
            raise refuse(f"the pickle has the opcode {opcode!r}, which is not allowed")
        position += 1 + width + length
        if code == _STOP:
            return
