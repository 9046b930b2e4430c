"""The matrices of the transforms, and their cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import wraps
from threading import Lock
from typing import Any, Literal, ParamSpec, TypeVar

import torch
from torch import Tensor

from skelfreq.functional import _route

Kind = Literal["dct", "idct", "dct_unscaled", "idct_unscaled", "rdft", "irdft", "cdft"]
P = ParamSpec("P")
R = TypeVar("R")

# Of all constants together; the oldest are removed first.
CACHE_BYTES = 64 * 2**20


class _Cache(dict[tuple[Any, ...], Any]):
    """Constants by (function that builds them, its arguments). A hit needs no Python call."""

    def __init__(self) -> None:
        self.bytes = 0
        self.lock = Lock()

    def __missing__(self, key: tuple[Any, ...]) -> Any:
        build, *arguments = key
        # Tensors made under inference mode cannot be used in training.
        with torch.inference_mode(False), torch.no_grad():
            value = build(*arguments)
        with self.lock:
            if key not in self and _bytes(value) <= CACHE_BYTES:
                self[key] = value
                self.bytes += _bytes(value)
                while self.bytes > CACHE_BYTES:
                    self.bytes -= _bytes(self.pop(next(iter(self))))
        return value

    def clear(self) -> None:
        with self.lock:
            super().clear()
            self.bytes = 0


def _bytes(value: Tensor | Iterable[Tensor]) -> int:
    tensors = [value] if isinstance(value, Tensor) else value
    return sum(t.numel() * t.element_size() for t in tensors)


CACHE = _Cache()


def constant(build: Callable[P, R]) -> Callable[P, R]:
    """Cache the result of ``build`` for its arguments; callers must not write to it."""

    @wraps(build)
    def get(*args: P.args, **kwargs: P.kwargs) -> R:
        # Tracers must see the construction, otherwise a dynamic n becomes a constant. Fake tensors
        # of a dispatch mode must not be cached.
        if _route.watcher() == "autograd":
            return CACHE[(build, *args)]  # type: ignore[no-any-return]
        return build(*args, **kwargs)

    return get


@constant
def basis(kind: Kind, n: int, rows: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix from ``n`` points to ``rows`` coefficients, or back for the inverses."""
    if kind == "rdft":
        matrix = _dft(n, device)
    elif kind == "cdft":
        matrix = _complex_dft(n, device)
    elif kind == "irdft":
        # Every bin except DC and Nyquist counts twice, for its mirror image.
        matrix = (_dft(n, device) * bin_weights(n, device).repeat(2).unsqueeze(1)).mT
    else:
        matrix = _cosines(n, rows, device)
        if kind.endswith("unscaled"):
            size = torch.full((1,), n, device=device)
            factors = unscaled_factors(rows, size).unsqueeze(1)
            matrix = matrix * factors if kind == "dct_unscaled" else matrix / factors
        if kind.startswith("idct"):
            matrix = matrix.mT
    return matrix.to(dtype).contiguous()


def _cosines(n: int, rows: int, device: torch.device) -> Tensor:
    """Return the orthonormal DCT-II in fp64, row k = basis function k."""
    point, row = torch.arange(n, device=device), torch.arange(rows, device=device).unsqueeze(1)
    # Reduced as integers first: large angles would lose digits. By a tensor: ONNX supports no
    # remainder by a dynamic integer.
    phase = ((2 * point + 1) * row) % torch.full((1,), 4 * n, device=device)
    matrix = torch.cos(phase.double() * (math.pi / (2 * n))) * (2 / n) ** 0.5
    return torch.where(row == 0, (1 / n) ** 0.5, matrix)


def gain_matrix(gain: Tensor) -> Tensor:
    """Return the n × n matrix ``Cᵀ diag(gain) C``, which is symmetric."""
    n = gain.shape[0]
    matrix = basis("dct", n, n, gain.dtype, gain.device)
    return matrix.mT @ (gain.unsqueeze(1) * matrix)


def unscaled_factors(rows: int, size: Tensor) -> Tensor:
    """Return [..., rows] factors from orthonormal coefficients to scipy's ``norm=None``.

    ``size`` [..., 1] is the number of points that were transformed.
    """
    first = (torch.arange(rows, device=size.device) == 0).double()
    return (2 * (1 + first) * size).sqrt()


def _dft(n: int, device: torch.device) -> Tensor:
    """Return the orthonormal real-input DFT in fp64, [2(n//2+1), n]: cosines, then -sines."""
    bins = torch.arange(n // 2 + 1, device=device)
    # A tensor: ONNX supports neither the remainder nor the quotient by a dynamic integer.
    period = torch.full((1,), n, device=device)
    phase = (bins.unsqueeze(1) * torch.arange(n, device=device)) % period
    angle = phase.double() * (2 * math.pi) / period
    # sin(pi t) is not exactly 0 in floating point; the Nyquist row must be.
    edge = (bins == 0) | (2 * bins == n)
    sines = torch.where(edge.unsqueeze(1), 0.0, -torch.sin(angle))
    return torch.cat([torch.cos(angle), sines]) / period.double().sqrt()


def _complex_dft(n: int, device: torch.device) -> Tensor:
    """Return the orthonormal DFT of complex signals in fp64, [2n, 2n]: real, then imaginary."""
    point = torch.arange(n, device=device)
    period = torch.full((1,), n, device=device)
    angle = ((point.unsqueeze(1) * point) % period).double() * (2 * math.pi) / period
    cosines, sines = angle.cos(), angle.sin()
    rows = [torch.cat([cosines, sines], 1), torch.cat([-sines, cosines], 1)]
    return torch.cat(rows) / period.double().sqrt()


def bin_weights(n: int, device: torch.device) -> Tensor:
    """Return how many bins of the full spectrum each bin of the half counts for, fp64."""
    bins = torch.arange(n // 2 + 1, device=device)
    edge = (bins == 0) | (2 * bins == n)
    return 2 - edge.double()


def padded_dct_basis(lengths: Tensor, n: int, rows: int, dtype: torch.dtype) -> Tensor:
    """Return [N, rows, n]: the DCT-II of each sample's own length in [0, n], zero elsewhere."""
    size = lengths[:, None, None]
    frame = torch.arange(n, device=lengths.device)[None, None, :]
    row = torch.arange(rows, device=lengths.device)[None, :, None]
    safe = size.clamp(min=1)
    phase = ((2 * frame + 1) * row) % (4 * safe)
    matrix = torch.cos(phase.double() * (math.pi / 2) / safe)
    matrix = matrix * (2 - (row == 0).double()).div(safe).sqrt()
    present = (frame < size) & (row < size)
    return torch.where(present, matrix, 0.0).to(dtype)


def padded_dft_basis(kind: Kind, lengths: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """Return "rdft" [N, 2(n//2+1), n] or "irdft" of each sample's own length, zero elsewhere."""
    size = lengths[:, None, None]
    frame = torch.arange(n, device=lengths.device)[None, None, :]
    row = torch.arange(n // 2 + 1, device=lengths.device)[None, :, None]
    safe = size.clamp(min=1)
    angle = ((row * frame) % safe).double() * (2 * math.pi) / safe
    edge = (row == 0) | (2 * row == size)
    scale = torch.where(edge, 1.0, 2.0) if kind == "irdft" else 1.0
    present = (frame < size) & (2 * row <= size)
    root = safe.double().sqrt()
    waves = (angle.cos(), torch.where(edge, 0.0, -angle.sin()))
    parts = [torch.where(present, wave * scale / root, 0.0).to(dtype) for wave in waves]
    matrix = torch.cat(parts, 1)
    return matrix.mT if kind == "irdft" else matrix
