"""One gain curve on the DCT coefficients of an axis, with its own gradient."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from skelfreq._checks import autocast_off
from skelfreq.functional._basis import (
    PIECE,
    apply_along,
    basis,
    gradients_of,
    needs_plain_gradient,
    pieces,
)
from skelfreq.functional._fft_cosine import (
    Tables,
    along,
    analyse,
    long_transform,
    synthesise,
    tables,
)

# Beyond this FFTs are faster than products. Up to here: one product with an n × n operator for at
# least so many rows a point, two with the basis for fewer.
PRODUCT_MAX_POINTS, OPERATOR_ROWS = 384, 3


def by_operator(x: Tensor, n: int) -> bool:
    """Whether the operator of ``n`` points pays for ``x``."""
    return n <= PRODUCT_MAX_POINTS and x.numel() >= OPERATOR_ROWS * n * n


def operator(gain: Tensor) -> Tensor:
    """Return the n × n matrix ``Cᵀ diag(gain) C``, which is symmetric."""
    matrix = basis("dct", gain.shape[0], gain.dtype, gain.device)
    return matrix.mT @ (gain.unsqueeze(1) * matrix)


class _Gain(torch.autograd.Function):
    """``idct(gain * dct(x))`` along ``dim``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, dim: int) -> Tensor:
        out, kept = scaled(x, gain, dim)
        ctx.save_for_backward(x, gain, kept)
        ctx.dim = dim
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, kept = ctx.saved_tensors
        # An autocast region around backward() is none of its business.
        with autocast_off(upstream):
            if needs_plain_gradient(upstream):
                plain = partial(plain_gain, dim=ctx.dim)
                return *gradients_of(plain, (x, gain), upstream), None
            by_gain = ctx.needs_input_grad[1]
            return *gradients(x, gain, upstream, ctx.dim, kept, by_gain), None


def plain_gain(x: Tensor, gain: Tensor, dim: int) -> Tensor:
    """Return ``idct(gain * dct(x))`` by operations that autograd and vmap see through."""
    n, curve = gain.shape[0], along(gain, dim, x.ndim)
    if n > PRODUCT_MAX_POINTS:
        return long_transform(long_transform(x, dim, inverse=False) * curve, dim, inverse=True)
    matrix = basis("dct", n, x.dtype, x.device)
    return apply_along(matrix.mT, apply_along(matrix, x, dim) * curve, dim)


def scaled(x: Tensor, gain: Tensor, dim: int) -> tuple[Tensor, Tensor | None]:
    """Return ``idct(gain * dct(x))``, and what its gradient can use again."""
    n = gain.shape[0]
    if by_operator(x, n):
        matrix = operator(gain)
        return apply_along(matrix, x, dim), matrix
    if n <= PRODUCT_MAX_POINTS:
        matrix = basis("dct", n, x.dtype, x.device)
        spectrum = apply_along(matrix, x, dim)
        return apply_along(matrix.mT, spectrum * along(gain, dim, x.ndim), dim), spectrum
    table, out = tables(n, x.dtype, x.device), torch.empty_like(x)
    for part, target in pieces(dim > 0, x, out):
        bins = analyse(part, dim, table)
        target.copy_(synthesise(scaled_bins(bins, gain, dim, table), n, dim, table))
    return out, bins if x.numel() <= PIECE else None


def gradients(
    x: Tensor, gain: Tensor, upstream: Tensor, dim: int, kept: Tensor | None, by_gain: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of :func:`scaled` by ``x`` and, if wanted, by ``gain``."""
    n = gain.shape[0]
    if n > PRODUCT_MAX_POINTS:
        return _long_gradients(x, gain, upstream, dim, kept)
    matrix = basis("dct", n, x.dtype, x.device)
    if by_operator(x, n):
        kept = operator(gain) if kept is None else kept
        by_x = apply_along(kept, upstream, dim)
        # The gradient of the operator, seen in the basis: what stands on the diagonal.
        return by_x, ((matrix @ outer(upstream, x, dim)) * matrix).sum(1) if by_gain else None
    spectrum = apply_along(matrix, x, dim) if kept is None else kept
    slopes = apply_along(matrix, upstream, dim)
    found = (spectrum * slopes).movedim(dim, -1).reshape(-1, n).sum(0) if by_gain else None
    return apply_along(matrix.mT, slopes.mul_(along(gain, dim, x.ndim)), dim), found


def _long_gradients(
    x: Tensor, gain: Tensor, upstream: Tensor, dim: int, kept: Tensor | None
) -> tuple[Tensor, Tensor]:
    n = gain.shape[0]
    table, by_x = tables(n, x.dtype, x.device), torch.empty_like(x)
    by_part = x.new_zeros(2 * (n // 2 + 1))
    for part, above, target in pieces(dim > 0, x, upstream, by_x):
        bins = analyse(part, dim, table) if kept is None else kept
        slopes = analyse(above, dim, table)
        product = torch.view_as_real(bins) * torch.view_as_real(slopes)
        by_part += product.movedim(dim, -2).reshape(-1, len(by_part)).sum(0)
        target.copy_(synthesise(scaled_bins(slopes, gain, dim, table), n, dim, table))
    return by_x, by_part.index_select(0, table.coefficients)


def scaled_bins(bins: Tensor, gain: Tensor, dim: int, table: Tables) -> Tensor:
    """Scale both parts of each bin by the gain of the coefficient they hold."""
    shape = [-1, *[1] * (bins.ndim - 1 - dim), 2]
    gains = gain.index_select(0, table.parts.flatten()).view(shape)
    return torch.view_as_complex(torch.view_as_real(bins) * gains)


def outer(a: Tensor, b: Tensor, dim: int) -> Tensor:
    """Return the n × n sum of the outer products of all lines along ``dim``."""
    n = a.shape[dim]
    if dim == a.ndim - 1:
        return a.reshape(-1, n).mT @ b.reshape(-1, n)
    total = a.new_zeros(n, n)
    lines = (-1, n, a.shape[dim + 1 :].numel())
    # One long product a piece: a sum of small ones takes half as long again.
    for part, other in pieces(True, a.reshape(lines), b.reshape(lines)):
        total.addmm_(part.transpose(0, 1).reshape(n, -1), other.transpose(0, 1).reshape(n, -1).mT)
    return total


def apply_curve(x: Tensor, gain: Tensor, dim: int) -> Tensor:
    """Return ``idct(gain * dct(x))`` along axis ``dim``, counted from the front."""
    out: Tensor = _Gain.apply(x, gain, dim)  # type: ignore[no-untyped-call]
    return out
