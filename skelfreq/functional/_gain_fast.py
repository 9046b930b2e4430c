"""One gain curve on the DCT coefficients of an axis, as one operator with its own gradient."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from skelfreq._checks import autocast_off
from skelfreq.functional import _route
from skelfreq.functional._axis import along, apply_along
from skelfreq.functional._bases import basis, gain_matrix
from skelfreq.functional._cosine_fast import Tables, from_bins, tables, to_bins


class Plain(Protocol):
    """The same function in plain operations."""

    def __call__(self, x: Tensor, gain: Tensor, *, dim: int) -> Tensor: ...


class _Gain(torch.autograd.Function):
    """``idct(gain * dct(x))`` along ``dim``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, dim: int, plain: Plain) -> Tensor:
        out, saved = scaled(x, gain, dim)
        ctx.save_for_backward(x, gain, saved)
        ctx.dim, ctx.plain = dim, plain
        return out

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, saved = ctx.saved_tensors
        # backward() may be called inside an autocast region.
        with autocast_off(grad_output):
            if _route.wants_plain_gradient(grad_output):
                plain = partial(ctx.plain, dim=ctx.dim)
                return *_route.plain_gradients(plain, (x, gain), grad_output), None, None
            by_gain = ctx.needs_input_grad[1]
            return *gradients(x, gain, grad_output, ctx.dim, saved, by_gain), None, None


def scaled(x: Tensor, gain: Tensor, dim: int) -> tuple[Tensor, Tensor | None]:
    """Return ``idct(gain * dct(x))``, and what its gradient can reuse."""
    n = gain.shape[0]
    if _route.gain_operator(x, n):
        matrix = gain_matrix(gain)
        return apply_along(matrix, x, dim), matrix
    if n <= _route.product_points(x, _route.GAIN_PRODUCT_POINTS):
        matrix = basis("dct", n, n, x.dtype, x.device)
        spectrum = apply_along(matrix, x, dim)
        return apply_along(matrix.mT, spectrum * along(gain, dim, x.ndim), dim), spectrum
    table, out = tables(n, x.dtype, x.device), torch.empty_like(x)
    for part, target in _route.cut(dim > 0, x, out):
        bins = to_bins(part, dim, table)
        from_bins(scaled_bins(bins, gain, dim, table), dim, table, target)
    return out, bins if x.numel() <= _route.PIECE else None


def gradients(
    x: Tensor, gain: Tensor, grad_output: Tensor, dim: int, saved: Tensor | None, by_gain: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of :func:`scaled` by ``x`` and, if wanted, by ``gain``."""
    n = gain.shape[0]
    if n > _route.product_points(x, _route.GAIN_PRODUCT_POINTS):
        return _long_gradients(x, gain, grad_output, dim, saved)
    matrix = basis("dct", n, n, x.dtype, x.device)
    if _route.gain_operator(x, n):
        saved = gain_matrix(gain) if saved is None else saved
        by_x = apply_along(saved, grad_output, dim)
        # The diagonal of the operator's gradient in the basis of the coefficients.
        return by_x, ((matrix @ outer(grad_output, x, dim)) * matrix).sum(1) if by_gain else None
    spectrum = apply_along(matrix, x, dim) if saved is None else saved
    by_spectrum = apply_along(matrix, grad_output, dim)
    found = (spectrum * by_spectrum).movedim(dim, -1).reshape(-1, n).sum(0) if by_gain else None
    return apply_along(matrix.mT, by_spectrum.mul_(along(gain, dim, x.ndim)), dim), found


def _long_gradients(
    x: Tensor, gain: Tensor, grad_output: Tensor, dim: int, saved: Tensor | None
) -> tuple[Tensor, Tensor]:
    n = gain.shape[0]
    table, by_x = tables(n, x.dtype, x.device), torch.empty_like(x)
    by_part = x.new_zeros(2 * (n // 2 + 1))
    for part, by_out, target in _route.cut(dim > 0, x, grad_output, by_x):
        bins = to_bins(part, dim, table) if saved is None else saved
        by_bins = to_bins(by_out, dim, table)
        product = torch.view_as_real(bins) * torch.view_as_real(by_bins)
        by_part += product.movedim(dim, -2).reshape(-1, len(by_part)).sum(0)
        from_bins(scaled_bins(by_bins, gain, dim, table), dim, table, target)
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
    a, b = a.reshape(lines), b.reshape(lines)
    # One long product per piece: many small ones take 1.5 times as long.
    for part, other in _route.cut(True, a, b):
        total.addmm_(part.transpose(0, 1).reshape(n, -1), other.transpose(0, 1).reshape(n, -1).mT)
    return total


def apply_curve(x: Tensor, gain: Tensor, dim: int, plain: Plain) -> Tensor:
    """Return ``idct(gain * dct(x))`` along axis ``dim``; ``plain`` gives second derivatives."""
    out: Tensor = _Gain.apply(x, gain, dim, plain)  # type: ignore[no-untyped-call]
    return out
