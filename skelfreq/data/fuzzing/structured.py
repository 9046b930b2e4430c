"""Changes to the content of archives, JSON and MATLAB files that keep their form."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from skelfreq.data.fuzzing.pickles import change_pickle

__all__ = ["STRUCTURED"]

Rng = np.random.Generator


def _header(descr: str, shape: str, order: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


_HEADERS = (
    ("'<f4'", "(1000000, 300, 150)"),
    ("'<f8'", "(-1, 3)"),
    ("'<f4'", "(9223372036854775807, 9223372036854775807)"),
    ("'|O'", "(3,)"),
    ("[('a', '<f4'), ('b', '<i8')]", "(2,)"),
    ("'<V100000000'", "(100,)"),
    ("'<U1000000000'", "(1,)"),
    ("'<f4'", "(" * 5000 + ")" * 5000),
    ("__import__('os').system('true')", "(1,)"),
    ("'<f4'", "(3"),
    ("'<M8[s]'", "(1,)"),
    ("'<f4'", "(" + "1, " * 64 + ")"),
)


def _arrays(rng: Rng, arrays: dict[str, Any]) -> None:
    """Change one array of an archive."""
    key = list(arrays)[int(rng.integers(0, len(arrays)))]
    array = arrays[key]
    kind = int(rng.integers(0, 13))
    if kind == 0:
        del arrays[key]
    elif kind == 1:
        arrays[key] = array.astype(object)
    elif kind == 2 and array.dtype.kind == "f" and array.size:
        array = array.astype(np.float64)
        array.flat[int(rng.integers(0, array.size))] = rng.choice([np.nan, np.inf, 1e39, -1e300])
        arrays[key] = array
    elif kind == 3:
        arrays[key] = array[..., :-1] if array.ndim else array[None]
    elif kind == 4:
        arrays[key] = array[:0] if array.ndim else array
    elif kind == 5:
        arrays[key] = array.T
    elif kind == 6:
        kinds = ["S5", "U3", "bool", "f2", "i1"]
        if array.dtype.kind in "fiub":
            arrays[key] = array.astype(rng.choice([*kinds, "c16", "M8[s]"]))
    elif kind == 7 and array.dtype.kind in "iu" and array.size:
        array = array.astype(np.int64)
        array.flat[int(rng.integers(0, array.size))] = rng.choice(
            [-1, -(2**63), 2**62, 2**63 - 1, 10**9]
        )
        arrays[key] = array
    elif kind == 8 and "lengths" in arrays:
        count = int(arrays["lengths"].size)
        if count >= 4:
            wrapped = [2**62] * 4 + [0] * (count - 4)
            wrapped[3] += int(arrays["lengths"].sum())
            arrays["lengths"] = np.array(wrapped, np.int64)
    elif kind == 9:
        arrays[key] = np.asfortranarray(array)
    elif kind == 10:
        arrays[key] = np.concatenate([array, array]) if array.ndim else array
    elif kind == 11:
        arrays[key] = np.zeros(int(rng.integers(0, 3_000_000)), array.dtype)
    else:
        arrays["../../etc/" + key] = array


def _npz(path: Path, rng: Rng) -> str:
    with np.load(path, allow_pickle=False) as archive:
        arrays: dict[str, Any] = dict(archive)
    kind = int(rng.integers(0, 8))
    buffer = io.BytesIO()
    if kind < 4:
        _arrays(rng, arrays)
        save = np.savez_compressed if rng.random() < 0.5 else np.savez
        try:
            save(buffer, allow_pickle=True, **arrays)
        except (ValueError, TypeError):
            return "unchanged"
        path.write_bytes(buffer.getvalue())
        return "arrays"
    method = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[
        int(rng.integers(0, 4))
    ]
    with zipfile.ZipFile(buffer, "w", method) as target:
        for number, (key, array) in enumerate(arrays.items()):
            part = io.BytesIO()
            np.save(part, array, allow_pickle=False)
            data = part.getvalue()
            if kind == 4 and number == 0:
                data = _header(*_HEADERS[int(rng.integers(0, len(_HEADERS)))]) + data[128:]
            if kind == 5 and number == 0:
                data = data[:128] + b"\0" * int(rng.integers(1, 60_000_000))
            target.writestr(f"{key}.npy", data)
            if kind == 6 and number == 0:
                target.writestr(f"{key}", data)
    data = buffer.getvalue()
    if kind == 7:
        # Sizes and flags in the directory.
        place = data.rfind(b"PK\x01\x02") + int(rng.integers(4, 46))
        data = data[:place] + rng.bytes(int(rng.integers(1, 6))) + data[place + 4 :]
    path.write_bytes(data)
    return ("headers", "bomb", "twice", "directory")[kind - 4]


def _npy(path: Path, rng: Rng) -> str:
    array = np.load(path, allow_pickle=False)
    if rng.random() < 0.5:
        arrays: dict[str, Any] = {"x": array}
        _arrays(rng, arrays)
        np.save(path, arrays.get("x", np.array(None, object)), allow_pickle=True)
        return "arrays"
    header = _header(*_HEADERS[int(rng.integers(0, len(_HEADERS)))])
    path.write_bytes(header + array.tobytes())
    return "headers"


def _json(path: Path, rng: Rng) -> str:
    """Put another value in some place of a JSON file."""
    root: Any = [json.loads(path.read_bytes())]
    values: tuple[Any, ...] = (
        None, True, "text", -1, 0, 10**20, 1e300, float("nan"), [], {}, [[]], [None], [1, 2, 3],
        ["a"], "\ud800", 10**9, 1.5, [[[1.0, 2.0, 3.0]] * 20] * 3, [0.5] * 75, [0.5] * 51,
    )  # fmt: skip
    for _ in range(int(rng.integers(1, 4))):
        here: Any = root
        while True:
            keys = list(here) if isinstance(here, dict) else list(range(len(here)))
            if not keys:
                break
            key = keys[int(rng.integers(0, min(len(keys), 8)))]
            below = here[key]
            if isinstance(below, (dict, list)) and below and rng.random() < 0.8:
                here = below
                continue
            action = rng.random()
            if action < 0.6:
                here[key] = copy.deepcopy(values[int(rng.integers(0, len(values)))])
            elif action < 0.8:
                del here[key]
            elif isinstance(here, list):
                here *= int(rng.integers(2, 50))
            else:
                here["\x00" + str(key)] = below
            break
        if not root:
            root = [None]
    path.write_text(json.dumps(root[0]))
    return "values"


def _mat(path: Path, rng: Rng) -> str:
    """Change tags and flags of the elements, inside compressed ones too."""
    data = bytearray(path.read_bytes())
    position, parts = 128, [bytes(data[:128])]
    while position + 8 <= len(data):
        code, size = struct.unpack_from("<LL", data, position)
        element = bytearray(data[position : position + 8 + size])
        squeezed = code == 15
        if squeezed:
            element = bytearray(zlib.decompress(bytes(element[8:])))
        if rng.random() < 0.6:
            for _ in range(int(rng.integers(1, 4))):
                place = int(rng.integers(0, min(len(element), 96)))
                element[place] = int(rng.choice([0, 1, 5, 8, 15, 127, 128, 255]))
        if rng.random() < 0.01:
            element += b"\0" * int(rng.integers(1, 100_000_000))
        if squeezed:
            packed = zlib.compress(bytes(element))
            element = bytearray(struct.pack("<LL", 15, len(packed)) + packed)
        parts.append(bytes(element))
        position += 8 + size
        position += 0 if squeezed else -size % 8
    path.write_bytes(b"".join(parts))
    return "elements"


STRUCTURED: dict[str, Callable[[Path, Rng], str]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".pkl": change_pickle,
    ".json": _json,
    ".mat": _mat,
}
