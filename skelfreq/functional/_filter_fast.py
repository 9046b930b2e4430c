"""The adaptive spectral filter as one operator with its own gradient, in pieces that fit a cache.

Bins are complex numbers on the last axis here, whichever axis the signal has: both transforms
leave them there at no cost, and every other operation then runs along contiguous memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from skelfreq._checks import autocast_off
from skelfreq.functional import _route
from skelfreq.functional._bases import CACHE, Kind, basis, bin_weights
from skelfreq.functional._filter_plain import (
    Axes,
    MaskOptions,
    Pair,
    adaptive_filter,
    median_level,
    safe,
)


class Factors(NamedTuple):
    """Real factors of the two parts of each bin, [bins, 2] or [2]."""

    # Imaginary parts at DC and Nyquist have no effect on a real signal: 0 there, else 1.
    effect: Tensor
    # How many bins of the full spectrum each bin counts for, 1 or 2.
    weight: Tensor
    conjugate: Tensor


def factors(n: int, dtype: torch.dtype, device: torch.device) -> Factors:
    """Return the factors for axes of ``n`` points; do not write to them."""
    if torch.compiler.is_compiling():
        return _factors(n, dtype, device)
    return CACHE[_factors, n, dtype, device]  # type: ignore[no-any-return]


def _factors(n: int, dtype: torch.dtype, device: torch.device) -> Factors:
    count = bin_weights(n, device).to(dtype)
    effect = torch.stack([torch.ones_like(count), (count == 2).to(dtype)], -1)
    return Factors(effect, count.unsqueeze(-1), (1 - 2 * torch.arange(2, device=device)).to(dtype))


def _pair_basis(kind: Kind, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the basis whose bins hold both parts side by side, as complex numbers do."""
    order = torch.arange(2 * (n // 2 + 1), device=device).view(2, -1).mT.flatten()
    return basis(kind, n, n // 2 + 1, dtype, device).index_select(0 if kind == "rdft" else 1, order)


def to_bins(x: Tensor, dim: int) -> Tensor:
    """Return the complex bins of axis ``dim``, that axis moved to the end."""
    n = x.shape[dim]
    if _route.filter_fft(n):
        return torch.fft.rfft(x, dim=dim, norm="ortho").movedim(dim, -1)  # type: ignore[no-any-return]
    matrix = CACHE[_pair_basis, "rdft", n, x.dtype, x.device].mT
    trailing = x.shape[dim + 1 :]
    lines = x.flatten(dim) if trailing.numel() == 1 else x.flatten(dim + 1).mT
    if _route.moves_last(trailing.numel()):
        lines = lines.contiguous()
    pairs = (lines @ matrix).reshape(*x.shape[:dim], *trailing, -1, 2)
    return torch.view_as_complex(pairs)


def from_bins(bins: Tensor, dim: int, out: Tensor) -> None:
    """Fill the contiguous ``out`` with the points of what :func:`to_bins` returned."""
    n = out.shape[dim]
    if _route.filter_fft(n):
        out.copy_(torch.fft.irfft(bins.movedim(-1, dim), n=n, dim=dim, norm="ortho"))
        return
    matrix = CACHE[_pair_basis, "irdft", n, out.dtype, out.device]
    pairs = torch.view_as_real(bins).flatten(-2)
    trailing = out.shape[dim + 1 :].numel()
    if trailing == 1:
        torch.matmul(pairs.reshape(*out.shape[:dim], -1), matrix.mT, out=out.flatten(dim))
    elif _route.moves_last(trailing):
        out.copy_((pairs @ matrix.mT).movedim(-1, dim))
    else:
        torch.matmul(matrix, pairs.flatten(dim, -2).mT, out=out.flatten(dim + 1))


def _plane(pair: Pair, n: int, axes: Axes) -> Tensor:
    """Return a filter as [..., bins, 2] in the order of :func:`to_bins`'s axes."""
    shape = [*pair.re.shape]
    shape[axes.bins] = n // 2 + 1
    parts = [part.expand(shape).movedim(axes.bins, -1) for part in pair]
    return torch.stack(parts, -1) * factors(n, parts[0].dtype, parts[0].device).effect


def _pair(plane: Tensor, dim: int) -> Pair:
    """Return one of :func:`_plane` as a pair that broadcasts with a spectrum."""
    return Pair(*plane.movedim(-2, dim).unbind(-1))


def _paired(mask: Tensor) -> Tensor:
    """Return each number of ``mask`` twice, for the two parts of a bin."""
    return torch.stack([mask, mask], -1)


def _multiply_(spectrum: Tensor, first: Tensor, second: Tensor | None, *mask: Tensor) -> Tensor:
    """Multiply ``spectrum`` in place by ``first + mask * second``."""
    if mask and second is not None:
        first = torch.addcmul(first, _paired(mask[0]), second)
    return spectrum.mul_(torch.view_as_complex(first))


def _mask(spectrum: Tensor, theta: Tensor, channels: int, eps: float | None) -> Tensor:
    """Return the mask [..., bins] of complex bins, with one entry for all channels."""
    parts = torch.view_as_real(spectrum)
    energy = _energy(parts, channels)
    mean = energy.mean(-1, keepdim=True)
    scale: Tensor | float = 1.0
    if not _in_range(mean):
        # One axis after the other: a maximum over all three at once is several times slower.
        amplitude = parts.abs().amax(channels, keepdim=True).amax((-2, -1), keepdim=True)
        energy = _energy(parts / safe(amplitude), channels)
        mean, scale = energy.mean(-1, keepdim=True), safe(amplitude).squeeze(-1)
    level = median_level(energy, mean, scale, energy.ndim - 1, eps)
    return (energy / level > theta).to(energy.dtype)


def _energy(parts: Tensor, channels: int) -> Tensor:
    return parts.square().sum(channels, keepdim=True).sum(-1)


def _in_range(mean: Tensor) -> bool:
    """Whether squares are accurate without scaling; False where reading would wait."""
    if mean.device.type != "cpu":
        return False
    low, high = torch.aminmax(mean)
    return float(low) > 1e-24 and float(high) < 1e34


def filtered(
    x: Tensor, bins: int, channels: int, gradient: str, eps: float | None,
    theta: Tensor | None, w_global: Tensor, w_local: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the filtered ``x``, and the mask [..., bins] or an empty tensor."""
    out, masks = _like(x), []
    for part, target in _route.cut(0 not in (bins, channels), x, out):
        spectrum, mask = to_bins(part, bins), []
        if theta is not None:
            # The axis of the bins has moved to the end.
            mask = [_mask(spectrum, theta, channels - (channels > bins), eps)]
            masks += mask
        from_bins(_multiply_(spectrum, w_global, w_local, *mask), bins, target)
    return out, torch.cat(masks) if masks else x.new_empty(0)


def gradients(
    x: Tensor, bins: int, channels: int, mask: Tensor | None, w_global: Tensor,
    w_local: Tensor | None, grad_output: Tensor, by_x: bool, by_filters: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients by x, w_global and w_local; zeros for those that are not wanted."""
    factor = factors(x.shape[bins], x.dtype, x.device)
    local_mirrored = None if w_local is None else w_local * factor.conjugate
    mirrored = w_global * factor.conjugate, local_mirrored
    x_gradient = _like(x) if by_x else torch.zeros_like(x)
    by_global = torch.zeros_like(w_global)
    by_local = x.new_empty(0) if w_local is None else torch.zeros_like(w_local)
    given = [] if mask is None else [mask]
    parts = _route.cut(0 not in (bins, channels), x, grad_output, x_gradient, *given)
    for part, by_out, target, *mask_part in parts:
        by_bins = to_bins(by_out, bins)
        if by_filters:
            terms = to_bins(part, bins).conj_physical_().mul_(by_bins)
            terms = torch.view_as_real(terms)
            by_global.add_(terms.sum_to_size(by_global.shape))
            if mask_part:
                by_local.add_(terms.mul_(_paired(mask_part[0])).sum_to_size(by_local.shape))
            del terms  # before the next product: this is the peak of memory
        if by_x:
            from_bins(_multiply_(by_bins, *mirrored, *mask_part), bins, target)
    # The gradient by x needs no such factor: it cancels there.
    by_global.mul_(factor.weight)
    if w_local is not None:
        by_local.mul_(factor.weight)
    return x_gradient, by_global, by_local


# Compilers generate no code for complex numbers and would store all pieces at once: for them both
# functions are operators. Rename an operator when its gradient changes: torch caches compiled
# graphs on disk by that name.
_forward = torch.library.custom_op(
    "skelfreq::spectral_filter",
    filtered,
    mutates_args=(),
    schema="(Tensor x, int bins, int channels, str gradient, float? eps, Tensor? theta, "
    "Tensor w_global, Tensor? w_local) -> (Tensor, Tensor)",
)
_gradients = torch.library.custom_op(
    "skelfreq::spectral_filter_gradients",
    gradients,
    mutates_args=(),
    schema="(Tensor x, int bins, int channels, Tensor? mask, Tensor w_global, Tensor? w_local, "
    "Tensor grad_output, bool by_x, bool by_filters) -> (Tensor, Tensor, Tensor)",
)


@_forward.register_fake
def _forward_shapes(x: Tensor, bins: int, channels: int, *rest: Any) -> tuple[Tensor, Tensor]:
    _, _, theta, w_global, _ = rest
    shape = [*x.shape]
    shape[channels], shape[bins] = 1, w_global.shape[-2]
    shape.append(shape.pop(bins))
    return _like(x), x.new_empty(0 if theta is None else shape)


@_gradients.register_fake
def _gradient_shapes(x: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    _, _, _, w_global, w_local, *_ = rest
    return _like(x), _like(w_global), x.new_empty(0) if w_local is None else _like(w_local)


def _like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, bins, channels, gradient, eps, theta, w_global, w_local = inputs
    ctx.axes, ctx.gradient, ctx.eps = Axes(bins, channels), gradient, eps
    ctx.mark_non_differentiable(output[1])
    # Only the input and the mask: the spectrum is computed again.
    ctx.save_for_backward(x, None if theta is None else output[1], theta, w_global, w_local)


def _backward(ctx: Any, grad_output: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    x, mask, theta, w_global, w_local = ctx.saved_tensors
    # backward() may be called inside an autocast region.
    with autocast_off(grad_output):
        if _route.wants_plain_gradient(grad_output):
            inputs = x, theta, w_global, w_local
            found = _route.plain_gradients(_as_plain(ctx), inputs, grad_output)
            return found[0], None, None, None, None, *found[1:]
        needs = ctx.needs_input_grad
        run: Any = _gradients if torch.compiler.is_compiling() else gradients
        by_x, by_global, by_local = run(
            x, *ctx.axes, mask, w_global, w_local, grad_output, needs[0], any(needs[5:])
        )
        if w_local is None:
            return by_x, None, None, None, None, None, by_global, None
        # As if each bin had the derivative -1 by θ, or +1 as in the published block.
        sign = 1 if ctx.gradient == "tslanet" else -1
        by_theta = sign * (by_global * w_local).sum()
        return by_x, None, None, None, None, by_theta, by_global, by_local


def _as_plain(ctx: Any) -> Any:
    axes, options = ctx.axes, MaskOptions(ctx.gradient, ctx.eps)

    def plain(x: Tensor, theta: Tensor | None, w_global: Tensor, w_local: Tensor | None) -> Tensor:
        second = None if w_local is None else _pair(w_local, axes.bins)
        return adaptive_filter(x, _pair(w_global, axes.bins), second, theta, axes, options)

    return plain


_forward.register_autograd(_backward, setup_context=_setup_context)


class _Eager(torch.autograd.Function):
    """The same operator for eager code, where this class has less overhead."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        output = filtered(*inputs)
        _setup_context(ctx, inputs, output)
        return output

    backward = staticmethod(_backward)


def filter_once(
    x: Tensor, w_global: Pair, w_local: Pair | None, theta: Tensor | None, axes: Axes,
    options: MaskOptions,
) -> Tensor:  # fmt: skip
    """Return what :func:`adaptive_filter` returns, for hard masks and without lengths."""
    n = x.shape[axes.bins]
    first, second = (
        _plane(w_global, n, axes),
        None if w_local is None else _plane(w_local, n, axes),
    )
    run: Any = _forward if torch.compiler.is_compiling() else _Eager.apply
    out: Tensor = run(x, *axes, options.gradient, options.eps, theta, first, second)[0]
    return out
