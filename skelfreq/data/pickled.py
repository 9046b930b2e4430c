"""Stand-ins for what a pickle of arrays calls: they check what they are given, and run nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.errors import printable

_MAX_AXES = 8
_DTYPE = re.compile(r"[fiub](?:1|2|4|8)|f16")


class _Dtype:
    """Stands for ``numpy.dtype`` of numbers."""

    __slots__ = ("value",)

    def __init__(self, code: object, *rest: object) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise ValueError(f"the dtype {printable(repr(code), 30)}")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise ValueError("a dtype in another form")
        if any(part is not None for part in state[2:5]):
            raise ValueError("a structured dtype")
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
            raise ValueError("an array in another form")
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
            raise ValueError("an array without dtype")
        if not isinstance(raw, (bytes, str, memoryview)):
            raise ValueError("an array of objects")
        if (
            not isinstance(shape, tuple)
            or len(shape) > _MAX_AXES
            or not all(type(size) is int and 0 <= size < 1 << 62 for size in shape)
            or math.prod(shape) * dtype.value.itemsize != len(raw)
        ):
            raise ValueError(f"an array of shape {printable(repr(shape))} with {len(raw)} bytes")
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
        raise ValueError("a function with state")


def _ndarray(*arguments: object) -> object:
    raise ValueError("a call of numpy.ndarray")


def _reconstruct(kind: object, shape: object, code: object) -> PickledArray:
    if kind is not _NDARRAY or shape != (0,):
        raise ValueError("an array in another form")
    return PickledArray()


def _frombuffer(
    raw: object, dtype: object, shape: object, order: object, *axes: object
) -> PickledArray:
    """Stand for what numpy's arrays call from protocol 5 on."""
    if isinstance(raw, str):
        raise ValueError("an array without its bytes")
    found = PickledArray()
    if order == "K" and len(axes) == 1 and isinstance(axes[0], tuple) and isinstance(shape, tuple):
        # The shape is that of the memory, whose axes are then brought into this order.
        found.axes = axes[0]
        if not all(type(axis) is int for axis in found.axes) or sorted(found.axes) != list(
            range(len(shape))
        ):
            raise ValueError("an array with another order of axes")
    elif order not in ("C", "F") or axes:
        raise ValueError("an array in another order")
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
        raise ValueError("a number in another form")
    if len(raw) != dtype.value.itemsize:
        raise ValueError(f"a number of {len(raw)} bytes")
    return np.frombuffer(raw, dtype.value)[0].item()


def _encode(text: object, encoding: object = "latin1") -> _Latin1:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "iso-8859-1"):
        raise ValueError("a call of _codecs.encode with other arguments")
    # Kept as text, which the unpickler holds anyway; bytes are made when the array is asked for.
    text.encode("latin1")
    return _Latin1(text)


_NDARRAY = _Function(_ndarray)
ALLOWED = {
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
