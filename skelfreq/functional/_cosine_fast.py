"""The orthonormal DCT of a long axis by one real FFT of as many points, as one operator."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skelfreq.functional import _route
from skelfreq.functional._axis import along
from skelfreq.functional._bases import CACHE
from skelfreq.functional._cosine_plain import by_torch_dct


class Tables(NamedTuple):
    """How bin k of the FFT holds coefficients k (real part) and n - k (negative imaginary part).

    At Nyquist of an even n both parts hold the one coefficient; at DC the imaginary part is 0.

    Attributes
    ----------
    turn, turn_back : Tensor
        [bins] complex factors from the FFT's bins to the parts, and back.
    parts, coefficients : Tensor
        [bins, 2] coefficients of each bin's parts; [n] place of each coefficient among them.
    """

    turn: Tensor
    turn_back: Tensor
    parts: Tensor
    coefficients: Tensor


def tables(n: int, dtype: torch.dtype, device: torch.device) -> Tables:
    """Return the tables for axes of ``n`` points; do not write to them."""
    return CACHE[_tables, n, dtype, device]  # type: ignore[no-any-return]


def _tables(n: int, dtype: torch.dtype, device: torch.device) -> Tables:
    bins, point = torch.arange(n // 2 + 1, device=device), torch.arange(n, device=device)
    angle = bins.double() * (math.pi / (2 * n))
    cosines, sines = torch.cos(angle), torch.sin(angle)
    # The coefficient at DC has a smaller factor than the others, and no imaginary part.
    scale = torch.where(bins == 0, (1 / n) ** 0.5, torch.full_like(angle, (2 / n) ** 0.5))
    pair = torch.complex64 if dtype == torch.float32 else torch.complex128
    turn = torch.complex(cosines * scale, -sines * scale)
    # Not turn.conj(): in an operator that compiled code calls, torch 2.13 ignores a lazy conjugate.
    turn_back = torch.complex(cosines / scale, sines / scale)
    parts = torch.stack([bins, (n - bins) % n], -1)
    coefficients = torch.where(2 * point <= n, 2 * point, 2 * (n - point) + 1)
    return Tables(turn.to(pair), turn_back.to(pair), parts, coefficients)


def _every_second(x: Tensor, dim: int, start: int) -> Tensor:
    return x[(slice(None),) * dim + (slice(start, None, 2),)]


def to_bins(x: Tensor, dim: int, table: Tables) -> Tensor:
    """Return the complex bins that hold the orthonormal DCT-II of axis ``dim``."""
    n = x.shape[dim]
    # Even points in their order, then the odd ones from the end.
    points = torch.empty_like(x, memory_format=torch.contiguous_format)
    points.narrow(dim, 0, n - n // 2).copy_(_every_second(x, dim, 0))
    points.narrow(dim, n - n // 2, n // 2).copy_(_every_second(x, dim, 1).flip(dim))
    bins: Tensor = torch.fft.rfft(points, dim=dim)
    return bins.mul_(along(table.turn, dim, x.ndim))


def from_bins(bins: Tensor, dim: int, table: Tables, out: Tensor) -> None:
    """Fill ``out`` with the points of what :func:`to_bins` returned; ``bins`` is overwritten."""
    n = out.shape[dim]
    points = torch.fft.irfft(bins.mul_(along(table.turn_back, dim, bins.ndim)), n=n, dim=dim)
    _every_second(out, dim, 0).copy_(points.narrow(dim, 0, n - n // 2))
    _every_second(out, dim, 1).copy_(points.narrow(dim, n - n // 2, n // 2).flip(dim))


def _dct(x: Tensor, dim: int, out: Tensor) -> None:
    n = x.shape[dim]
    lower, upper = n // 2 + 1, (n - 1) // 2
    parts = torch.view_as_real(to_bins(x, dim, tables(n, x.dtype, x.device)))
    out.narrow(dim, 0, lower).copy_(parts[..., 0])
    out.narrow(dim, lower, upper).copy_(parts[..., 1].narrow(dim, 1, upper).flip(dim).neg_())


def _idct(x: Tensor, dim: int, out: Tensor) -> None:
    n = x.shape[dim]
    lower = n // 2 + 1
    bins = x.new_zeros(*x.shape[:dim], lower, *x.shape[dim + 1 :], 2)
    bins[..., 0].copy_(x.narrow(dim, 0, lower))
    upper = x.narrow(dim, n - lower + 1, lower - 1).flip(dim).neg_()
    bins[..., 1].narrow(dim, 1, lower - 1).copy_(upper)
    from_bins(torch.view_as_complex(bins), dim, tables(n, x.dtype, x.device), out)


# One operator for eager code and compilers: torch 2.13's inductor gives wrong gradients for the
# complex numbers of `_dct`, or crashes.
@torch.library.custom_op(
    "skelfreq::long_cosine_transform",
    mutates_args=(),
    schema="(Tensor x, int dim, bool inverse) -> Tensor",
)
def _operator(x: Tensor, dim: int, inverse: bool) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for part, target in _route.cut(dim > 0, x, out):
        (_idct if inverse else _dct)(part, dim, target)
    return out


@_operator.register_fake
def _shape(x: Tensor, dim: int, inverse: bool) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _setup_context(ctx: Any, inputs: tuple[Tensor, int, bool], output: Tensor) -> None:
    _, ctx.dim, ctx.inverse = inputs


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
    # The gradient of an orthonormal transform is its inverse.
    if _route.wants_plain_gradient(grad_output):
        return by_torch_dct("dct" if ctx.inverse else "idct", grad_output, ctx.dim), None, None
    return _operator(grad_output, ctx.dim, not ctx.inverse), None, None


_operator.register_autograd(_backward, setup_context=_setup_context)


def transform(x: Tensor, dim: int, inverse: bool) -> Tensor:
    """Return the orthonormal DCT-II of axis ``dim`` (counted from the front), or its inverse."""
    out: Tensor = _operator(x, dim, inverse)
    return out
