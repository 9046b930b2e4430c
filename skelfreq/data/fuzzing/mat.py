"""A writer of small MATLAB files, for samples."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["write_mat"]


def _matrix(name: str, values: NDArray[np.generic] | str, squeeze: bool) -> bytes:
    """Return a matrix element of a MATLAB file, compressed or not."""
    if isinstance(values, str):
        kind, code, shape = 4, 4, (1, len(values))
        data = values.encode("utf-16-le")
    else:
        kind, code, shape = (
            (6, 9, values.shape) if values.dtype.kind == "f" else (9, 2, values.shape)
        )
        data = values.tobytes(order="F")

    def element(code: int, data: bytes) -> bytes:
        return struct.pack("<LL", code, len(data)) + data + b"\0" * (-len(data) % 8)

    body = element(6, struct.pack("<LL", kind, 0))
    body += element(5, struct.pack(f"<{len(shape)}l", *shape))
    body += element(1, name.encode()) + element(code, data)
    whole = element(14, body)
    if squeeze:
        packed = zlib.compress(whole)
        return struct.pack("<LL", 15, len(packed)) + packed
    return whole


def write_mat(
    rng: np.random.Generator, path: Path, variables: dict[str, NDArray[np.generic] | str]
) -> Path:
    """Write variables, compressed or not; return the path."""
    squeeze = bool(rng.random() < 0.5)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    parts = [_matrix(name, values, squeeze) for name, values in variables.items()]
    path.write_bytes(header + b"".join(parts))
    return path
