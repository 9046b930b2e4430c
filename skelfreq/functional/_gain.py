"""One gain curve on the DCT coefficients of an axis, keeping nothing but the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from skelfreq.functional._basis import apply_along, basis
from skelfreq.functional._fft_cosine import Tables, along, analyse, synthesise, tables

# The operator costs 2n³ to build and 2n² a row; from here on the FFT is faster with any rows.
OPERATOR_MAX_POINTS = 128
# Pieces of this many numbers stay in a core's cache from the first step to the last.
PIECE = 2**17


def operator(gain: Tensor) -> Tensor:
    """Return the n × n matrix ``Cᵀ diag(gain) C``, which is symmetric."""
    matrix = basis("dct", gain.shape[0], gain.dtype, gain.device)
    return matrix.mT @ (gain.unsqueeze(1) * matrix)


class _Gain(torch.autograd.Function):
    """``idct(gain * dct(x))`` along ``dim``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(x, gain)
        ctx.dim = dim
        if gain.shape[0] <= OPERATOR_MAX_POINTS:
            return apply_along(operator(gain), x, dim)
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        table = tables(gain.shape[0], x.dtype, x.device)
        for source, target in pieces(dim, x, out):
            bins = scaled(analyse(source, dim, table), gain, dim, table)
            target.copy_(synthesise(bins, gain.shape[0], dim, table))
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        by_x, by_gain = _Gradients.apply(*ctx.saved_tensors, upstream, ctx.dim)
        return by_x, by_gain, None


class _Gradients(torch.autograd.Function):
    """Both gradients of :class:`_Gain`, in one pass over ``x`` and ``upstream``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, upstream: Tensor, dim: int
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, gain, upstream)
        ctx.dim, n = dim, gain.shape[0]
        if n <= OPERATOR_MAX_POINTS:
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
        by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        table = tables(n, x.dtype, x.device)
        by_part = x.new_zeros(2 * (n // 2 + 1))
        for source, above, target in pieces(dim, x, upstream, by_x):
            bins, bins_above = analyse(source, dim, table), analyse(above, dim, table)
            product = torch.view_as_real(bins) * torch.view_as_real(bins_above)
            others = [axis for axis in range(x.ndim) if axis != dim]
            by_part += (product.sum(others) if others else product).flatten()
            scaled_bins = scaled(bins_above, gain, dim, table)
            target.copy_(synthesise(scaled_bins, n, dim, table))
        return by_x, by_part.index_select(0, table.coefficients)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, gain, upstream = ctx.saved_tensors
        by_upstream, by_gain = _Gradients.apply(upstream, gain, above[0], ctx.dim)
        by_upstream = by_upstream + _Gain.apply(x, above[1], ctx.dim)
        return _Gain.apply(upstream, above[1], ctx.dim), by_gain, by_upstream, None


def scaled(bins: Tensor, gain: Tensor, dim: int, table: Tables) -> Tensor:
    """Scale both parts of each bin by the gain of the coefficient they hold."""
    first = gain[: table.mirror.shape[0]]
    pair = torch.stack([first, gain.index_select(0, table.mirror)], -1)
    shape = [-1, *[1] * (bins.ndim - 1 - dim), 2]
    return torch.view_as_complex(torch.view_as_real(bins) * pair.view(shape))


def pieces(dim: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors of one shape along axis 0 into what a CPU's cache holds."""
    first = tensors[0]
    whole = dim == 0 or first.device.type != "cpu"
    rows = max(1, first.shape[0] if whole else PIECE // max(first[0].numel(), 1))
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)


def apply_curve(x: Tensor, gain: Tensor, dim: int) -> Tensor:
    """Return ``idct(gain * dct(x))`` along axis ``dim``, counted from the front."""
    scaled_x: Tensor = _Gain.apply(x, gain, dim)
    return scaled_x
