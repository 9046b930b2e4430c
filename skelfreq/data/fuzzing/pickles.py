"""Pickles that call functions, ask for memory or hold other things than annotations."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CANARY", "change_pickle"]

Rng = np.random.Generator
# Made by pickles that call functions, should they ever be called.
CANARY = "canary"


class _Call:
    """Asks the unpickler to call a function."""

    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced


def _opcodes(rng: Rng) -> bytes:
    """Return a pickle that asks for much memory or time with few bytes."""
    depth = int(rng.integers(100, 100_000))
    large = int(rng.integers(1 << 20, 1 << 27))
    encode = b"c_codecs\nencode\n"
    # A bytearray, a dtype and the function that makes an array of them.
    buffer = (
        b"\x80\x05\x96"
        + struct.pack("<Q", 8)
        + b"\0" * 8
        + b"q\x000cnumpy\ndtype\n(U\x02u1tRq\x010"
        b"cnumpy.core.numeric\n_frombuffer\n("
    )
    return (
        b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".",
        b"\x80\x02(" + b"(" * depth + b"t" * depth + b".",
        b"\x80\x02]r" + struct.pack("<L", large * 16) + b".",
        b"\x80\x02]p" + str(large * 16).encode() + b"\n.",
        b"\x80\x02B" + struct.pack("<L", large) + b"abc.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",
        b"\x80\x02\x8b" + struct.pack("<l", 100_000) + b"\x7f" * 100_000 + b".",
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02X" + struct.pack("<L", 100_000) + b"a" * 100_000 + b"q\x000" + b"]q\x01("
        + (encode + b"h\x00X\x06\x00\x00\x00latin1\x86R") * 2000 + b"e.",
        b"\x80\x02cnumpy\nndarray\n(I1000000000\nttR.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I100000000000\nt"
        b"U\x01btR.",
        b"\x80\x02cnumpy\ndtype\n(U\x0aV999999999tR.",
        b"\x80\x02cos\nsystem\n(X\x0c\x00\x00\x00touch canary\x85R.",
        b"\x80\x02cbuiltins\nopen\n(X\x06\x00\x00\x00canaryX\x01\x00\x00\x00wtR.",
        b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00xK\x01sb.",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 50) + b"N.",
        b"\x80\x05\x96" + struct.pack("<Q", large << 20) + b"abc.",
        buffer + b"h\x00h\x01K\x08\x85U\x01CtR0h\x00" + b"K\x07a" * depth + b".",
        buffer + b"h\x00h\x01(J" + struct.pack("<l", large) + b"tU\x01CtR.",
        buffer + b"h\x00h\x01(K\x02K\x04tU\x01K(K\x00K" + bytes([int(rng.integers(0, 256))])
        + b"ttR.",
        buffer + b"h\x00h\x01K\x08\x85U\x01CtR}X\x01\x00\x00\x00xK\x01sb.",
    )[int(rng.integers(0, 21))]  # fmt: skip


def _annotations(content: Any) -> Any:
    return content["annotations"] if isinstance(content, dict) and "split" in content else content


def change_pickle(path: Path, rng: Rng) -> str:
    """Change a pickle of annotations in place; return what was done."""
    kind = int(rng.integers(0, 4))
    if kind == 0:
        path.write_bytes(_opcodes(rng))
        return "opcodes"
    with path.open("rb") as file:
        content = pickle.load(file)  # a file that this module has written
    holder: Any = _annotations(content)
    entry: Any = holder[0] if isinstance(holder, list) else holder
    if kind == 1:
        calls = (
            _Call(os.system, f"touch {CANARY}"), _Call(eval, f"open('{CANARY}', 'w')"),
            _Call(open, CANARY, "w"), _Call(np.zeros, 10**10), _Call(bytearray, 10**10),
            _Call(__import__, "os"), _Call(exec, f"open('{CANARY}', 'w')"),
        )  # fmt: skip
        entry["keypoint"] = calls[int(rng.integers(0, len(calls)))]
    elif kind == 2:
        values: tuple[Any, ...] = (
            None, "text", [], {}, -1, 10**40, 1.5, {1}, b"bytes", np.array([None]), np.zeros(0),
            np.zeros((2, 4, 17, 2), complex), np.full((2, 4, 17, 2), np.nan), np.float64(3),
            np.zeros((1, 2, 3, 4, 5)), np.array(["a"]), np.zeros((0, 4, 17, 2)), np.int64(2),
            np.full((1, 2, 17, 2), 1e300), np.zeros((1, 1, 1)), np.array(3), [[1, 2], [3]],
        )  # fmt: skip
        key: Any = list(entry)[int(rng.integers(0, len(entry)))]
        entry[key] = values[int(rng.integers(0, len(values)))]
    else:
        key = list(entry)[int(rng.integers(0, len(entry)))]
        del entry[key]
        if isinstance(content, dict) and "split" in content and rng.random() < 0.5:
            content["split"] = [None, [], {"x": 1}, {"a_train": [[]]}][int(rng.integers(0, 4))]
        if isinstance(holder, list) and rng.random() < 0.5:
            holder *= 50_000
    path.write_bytes(pickle.dumps(content, protocol=int(rng.integers(0, 6))))
    return ("", "calls", "values", "keys")[kind]
