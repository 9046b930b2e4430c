"""Pickles of numbers, texts, lists, dicts and numpy arrays, read without running any of them."""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import MAX_LINE, Limits, open_regular

__all__ = ["PickledArray", "read_pickle"]

_REMEDY = (
    "Only lists, tuples, dicts, texts, numbers and arrays of numbers are read; write texts as "
    "str(x), arrays of texts as x.tolist(), other mappings as dict(x)"
)
_MAX_AXES = 8
_DTYPE = re.compile(r"[fiub](?:1|2|4|8)|f16")
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


class _Dtype:
    """Stands for ``numpy.dtype`` of numbers."""

    __slots__ = ("value",)

    def __init__(self, code: object, *rest: object) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise pickle.UnpicklingError(f"the dtype {printable(repr(code), 30)}")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a dtype in another form")
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("a structured dtype")
        self.value = self.value.newbyteorder(state[1]) if state[1] in "<>" else self.value


class _Latin1:
    """Stands for the bytes that ``_codecs.encode(text, "latin1")`` gives."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class PickledArray:
    """A numpy array in a pickle whose numbers are still as the file holds them."""

    __slots__ = ("axes", "dtype", "order", "raw", "shape")

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.dtype = np.dtype(np.float32)
        self.order = "C"
        self.raw: bytes | str | memoryview = b""
        self.axes: tuple[int, ...] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array in another form")
        _, shape, dtype, fortran, raw = state
        if isinstance(raw, _Latin1):
            raw = raw.text
        elif isinstance(raw, str):
            raw.encode("latin1")  # raises for characters that are no bytes
        self.axes = None
        self.fill(shape, dtype, "F" if fortran is True else "C", raw)

    def fill(self, shape: Any, dtype: object, order: str, raw: object) -> None:
        """Take the parts of an array, if they fit together."""
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array without dtype")
        if not isinstance(raw, (bytes, str, memoryview)):
            raise pickle.UnpicklingError("an array of objects")
        if (
            not isinstance(shape, tuple)
            or len(shape) > _MAX_AXES
            or not all(type(size) is int and 0 <= size < 1 << 62 for size in shape)
            or math.prod(shape) * dtype.value.itemsize != len(raw)
        ):
            raise pickle.UnpicklingError(
                f"an array of shape {printable(repr(shape))} with {len(raw)} bytes"
            )
        self.shape, self.dtype, self.raw, self.order = shape, dtype.value, raw, order

    def array(self) -> NDArray[Any]:
        """Return the array; it may be read-only."""
        raw = self.raw.encode("latin1") if isinstance(self.raw, str) else self.raw
        order: Any = self.order
        array = np.frombuffer(raw, self.dtype).reshape(self.shape, order=order)
        return array if self.axes is None else array.transpose(self.axes)


class _Function:
    """A name that a pickle may call; it keeps nothing between files."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self.call = call

    def __call__(self, *arguments: object) -> object:
        return self.call(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a function with state")


def _ndarray(*arguments: object) -> object:
    raise pickle.UnpicklingError("a call of numpy.ndarray")


def _reconstruct(kind: object, shape: object, code: object) -> PickledArray:
    if kind is not _NDARRAY or shape != (0,):
        raise pickle.UnpicklingError("an array in another form")
    return PickledArray()


def _frombuffer(
    raw: object, dtype: object, shape: object, order: object, *axes: object
) -> PickledArray:
    """Stand for what numpy's arrays call from protocol 5 on."""
    if isinstance(raw, str):
        raise pickle.UnpicklingError("an array without its bytes")
    found = PickledArray()
    if order == "K" and len(axes) == 1 and isinstance(axes[0], tuple) and isinstance(shape, tuple):
        # The shape is that of the memory, whose axes are then brought into this order.
        found.axes = axes[0]
        if not all(type(axis) is int for axis in found.axes) or sorted(found.axes) != list(
            range(len(shape))
        ):
            raise pickle.UnpicklingError("an array with another order of axes")
    elif order not in ("C", "F") or axes:
        raise pickle.UnpicklingError("an array in another order")
    # A view, so that later opcodes cannot change the length of a bytearray.
    found.fill(
        shape,
        dtype,
        "F" if order == "F" else "C",
        memoryview(raw) if type(raw) is bytearray else raw,
    )
    return found


def _scalar(dtype: object, raw: object) -> object:
    if isinstance(raw, _Latin1):
        raw = raw.text.encode("latin1")
    if not isinstance(dtype, _Dtype) or type(raw) is not bytes:
        raise pickle.UnpicklingError("a number in another form")
    if len(raw) != dtype.value.itemsize:
        raise pickle.UnpicklingError(f"a number of {len(raw)} bytes")
    return np.frombuffer(raw, dtype.value)[0].item()


def _encode(text: object, encoding: object = "latin1") -> _Latin1:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "iso-8859-1"):
        raise pickle.UnpicklingError("a call of _codecs.encode with other arguments")
    # Kept as text, which the unpickler holds anyway; bytes are made when the array is asked for.
    text.encode("latin1")
    return _Latin1(text)


_NDARRAY = _Function(_ndarray)
_ALLOWED = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Function(_Dtype),
    ("_codecs", "encode"): _Function(_encode),
    **{
        (f"numpy.{core}.multiarray", name): _Function(call)
        for core in ("core", "_core")
        for name, call in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    **{
        (f"numpy.{core}.numeric", "_frombuffer"): _Function(_frombuffer)
        for core in ("core", "_core")
    },
}


class _Unpickler(pickle.Unpickler):
    """Knows the names above and no others, builtins included."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get((module, name))
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
