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
    """How bin k of the FFT holds coefficients k (real part) and n - k (imaginary part).

    At DC, and at Nyquist for even n, both parts hold the one coefficient.

    Attributes
    ----------
    order, restore : Tensor
        [n] points in the order of the FFT, and back.
    parts, coefficients : Tensor
        [bins, 2] coefficients of each bin's parts; [n] place of each coefficient among them.
    turn, turn_back : Tensor
        [bins] complex factors from the FFT's bins to the parts, and back.
    """

    order: Tensor
    restore: Tensor
    parts: Tensor
    coefficients: Tensor
    turn: Tensor
    turn_back: Tensor


def tables(n: int, dtype: torch.dtype, device: torch.device) -> Tables:
    """Return the tables for axes of ``n`` points; do not write to them."""
    return CACHE[_tables, n, dtype, device]  # type: ignore[no-any-return]


def _tables(n: int, dtype: torch.dtype, device: torch.device) -> Tables:
    point = torch.arange(n, device=device)
    # Even points in ascending, odd ones in descending order, then reversed: the FFT of a reversed
    # signal is the conjugate, so that both parts have a plus sign.
    turned = (-point) % n
    order = torch.where(2 * turned < n, 2 * turned, 2 * (n - turned) - 1)
    restore = torch.where(point % 2 == 0, -(point // 2), point // 2 + 1) % n
    bins = torch.arange(n // 2 + 1, device=device)
    coefficients = torch.where(2 * point <= n, 2 * point, 2 * (n - point) + 1)
    angle = bins.double() * (math.pi / (2 * n))
    cosines, sines = (torch.where(bins == 0, 0.5**0.5, f(angle)) for f in (torch.cos, torch.sin))
    turn = torch.complex(cosines, sines) * (2 / n) ** 0.5
    # Not turn.conj(): in an operator that compiled code calls, torch 2.13 ignores a lazy conjugate.
    turn_back = torch.complex(cosines, -sines) * (n / 2) ** 0.5
    pair = torch.complex64 if dtype == torch.float32 else torch.complex128
    parts = torch.stack([bins, (n - bins) % n], -1)
    return Tables(order, restore, parts, coefficients, turn.to(pair), turn_back.to(pair))


def analyse(x: Tensor, dim: int, table: Tables) -> Tensor:
    """Return the complex bins that hold the orthonormal DCT-II of axis ``dim``."""
    spectrum = torch.fft.rfft(x.index_select(dim, table.order), dim=dim)
    bins: Tensor = spectrum * along(table.turn, dim, x.ndim)
    return bins


def synthesise(bins: Tensor, n: int, dim: int, table: Tables) -> Tensor:
    """Return the ``n`` points of what :func:`analyse` returned."""
    spectrum = bins * along(table.turn_back, dim, bins.ndim)
    # The FFT leaves its axis last in memory, where index_select is slow.
    points: Tensor = torch.fft.irfft(spectrum, n=n, dim=dim).contiguous()
    return points.index_select(dim, table.restore)


def _dct(x: Tensor, dim: int) -> Tensor:
    n = x.shape[dim]
    bins = analyse(x, dim, tables(n, x.dtype, x.device))
    upper = bins.imag.narrow(dim, 1, (n - 1) // 2).flip(dim)
    return torch.cat([bins.real, upper], dim)


def _idct(x: Tensor, dim: int) -> Tensor:
    n = x.shape[dim]
    table = tables(n, x.dtype, x.device)
    bins = torch.complex(x.narrow(dim, 0, n // 2 + 1), x.index_select(dim, table.parts[:, 1]))
    return synthesise(bins, n, dim, table)


# One operator for eager code and compilers: torch 2.13's inductor gives wrong gradients for the
# complex numbers of `_dct`, or crashes.
@torch.library.custom_op(
    "skelfreq::long_cosine_transform",
    mutates_args=(),
    schema="(Tensor x, int dim, bool inverse) -> Tensor",
)
def _operator(x: Tensor, dim: int, inverse: bool) -> Tensor:
    return (_idct(x, dim) if inverse else _dct(x, dim)).contiguous()


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
