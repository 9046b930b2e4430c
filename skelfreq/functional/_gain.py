"""One gain curve on the DCT coefficients of an axis, keeping nothing but the input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skelfreq.functional._basis import apply_along, basis
from skelfreq.functional._fft_cosine import Tables, analyse, synthesise, tables

# Up to here, and for at least as many rows as points, one product with an n × n operator is at
# least as fast as a pair of FFTs.
OPERATOR_MAX_POINTS = 512


def by_operator(x: Tensor, n: int) -> bool:
    """Whether the operator of ``n`` points pays for ``x``."""
    return n <= OPERATOR_MAX_POINTS and x.numel() >= n * n


def operator(gain: Tensor) -> Tensor:
    """Return the n × n matrix ``Cᵀ diag(gain) C``, which is symmetric."""
    matrix = basis("dct", gain.shape[0], gain.dtype, gain.device)
    return matrix.mT @ (gain.unsqueeze(1) * matrix)


class _Gain(torch.autograd.Function):
    """``idct(gain * dct(x))`` along ``dim``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(x, gain)
        ctx.dim, ctx.bins = dim, None
        if by_operator(x, gain.shape[0]):
            return apply_along(operator(gain), x, dim)
        table = tables(gain.shape[0], x.dtype, x.device)
        # Few rows: the transform is worth keeping.
        ctx.bins = analyse(x, dim, table)
        return synthesise(scaled(ctx.bins, gain, dim, table), gain.shape[0], dim, table)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        x, gain = ctx.saved_tensors
        by_x, by_gain = gradients(x, gain, upstream, ctx.dim, ctx.bins)
        return by_x, by_gain, None


class _Gradients(torch.autograd.Function):
    """Both gradients of :class:`_Gain`, in one pass over ``x`` and ``upstream``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, upstream: Tensor, dim: int, bins: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, gain, upstream)
        ctx.dim, n = dim, gain.shape[0]
        if by_operator(x, n):
            if dim == x.ndim - 1:
                outer = upstream.reshape(-1, n).mT @ x.reshape(-1, n)
            else:
                lines = (-1, n, x.shape[dim + 1 :].numel())
                # Summed product by product: a batch of them would be larger than x.
                left, right = upstream.reshape(lines), x.reshape(lines).mT
                outer = torch.addbmm(x.new_zeros(()), left, right)
            matrix = basis("dct", n, x.dtype, x.device)
            # The gradient of the operator, seen in the basis: what stands on the diagonal.
            return apply_along(operator(gain), upstream, dim), ((matrix @ outer) * matrix).sum(1)
        table = tables(n, x.dtype, x.device)
        bins = analyse(x, dim, table) if bins is None else bins
        bins_above = analyse(upstream, dim, table)
        product = torch.view_as_real(bins) * torch.view_as_real(bins_above)
        by_part = product.movedim(dim, -2).reshape(-1, 2 * bins.shape[dim]).sum(0)
        by_x = synthesise(scaled(bins_above, gain, dim, table), n, dim, table)
        return by_x, by_part.index_select(0, table.coefficients)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, upstream = ctx.saved_tensors
        by_upstream, by_gain = gradients(upstream, gain, above[0], ctx.dim)
        by_upstream = by_upstream + apply_curve(x, above[1], ctx.dim)
        return apply_curve(upstream, above[1], ctx.dim), by_gain, by_upstream, None, None


def scaled(bins: Tensor, gain: Tensor, dim: int, table: Tables) -> Tensor:
    """Scale both parts of each bin by the gain of the coefficient they hold."""
    shape = [-1, *[1] * (bins.ndim - 1 - dim), 2]
    gains = gain.index_select(0, table.parts.flatten()).view(shape)
    return torch.view_as_complex(torch.view_as_real(bins) * gains)


def apply_curve(x: Tensor, gain: Tensor, dim: int) -> Tensor:
    """Return ``idct(gain * dct(x))`` along axis ``dim``, counted from the front."""
    scaled_x: Tensor = _Gain.apply(x, gain, dim)  # type: ignore[no-untyped-call]
    return scaled_x


def gradients(
    x: Tensor, gain: Tensor, upstream: Tensor, dim: int, bins: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the gradients of :func:`apply_curve` to ``x`` and ``gain``."""
    both: tuple[Tensor, Tensor] = _Gradients.apply(x, gain, upstream, dim, bins)  # type: ignore[no-untyped-call]
    return both
