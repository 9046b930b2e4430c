"""The core of the adaptive spectral filter: energy mask, two filters, and its own gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skelfreq.functional._basis import bin_weights
from skelfreq.functional._fft_cosine import along
from skelfreq.functional.fourier import irdft, rdft

# Keeps the median of an empty signal from dividing by 0.
EPSILON = 1e-6
# Pieces of this many numbers stay in a core's cache from the first step to the last.
PIECE = 2**17


class Pair(NamedTuple):
    """A complex filter as two real tensors that broadcast with the spectrum."""

    re: Tensor
    im: Tensor


class Axes(NamedTuple):
    """Where a spectrum keeps its bins and its channels."""

    bins: int
    channels: int


def relative_energy(re: Tensor, im: Tensor, axes: Axes, num_bins: Tensor | None = None) -> Tensor:
    """Return the energy of each bin, summed over channels, over the median of the bins present."""
    # Summed apart, so that no more than one square of the spectrum lives at a time.
    energy = re.square().sum(axes.channels, keepdim=True)
    energy = energy + im.square().sum(axes.channels, keepdim=True)
    return energy / (_lower_median(energy, axes.bins, num_bins) + EPSILON)


def hard_mask(relative: Tensor, theta: Tensor, gradient: str) -> Tensor:
    """Return which bins pass, as numbers; ``theta`` gets -1 a bin, or +1 for "tslanet"."""
    mask = (relative > theta.detach()).to(relative.dtype)
    if gradient == "tslanet":
        return (mask - theta.detach()) + theta
    return mask + (theta.detach() - theta)


def present_bins(num_bins: Tensor, energy: Tensor, dim: int) -> Tensor:
    """Return which bins each sample has, in a shape that broadcasts with ``energy``."""
    shape = [1] * energy.ndim
    shape[dim] = energy.shape[dim]
    index = torch.arange(energy.shape[dim], device=energy.device).view(shape)
    return index < num_bins.view(-1, *[1] * (energy.ndim - 1))


def _lower_median(energy: Tensor, dim: int, num_bins: Tensor | None) -> Tensor:
    if num_bins is None:
        # An index held in a tensor: a plain one would tie a traced graph to this length.
        middle = torch.full((1,), (energy.shape[dim] - 1) // 2, device=energy.device)
        return energy.sort(dim).values.index_select(dim, middle)
    ranked = torch.where(present_bins(num_bins, energy, dim), energy, torch.inf).sort(dim).values
    count = num_bins.view(-1, *[1] * (energy.ndim - 1))
    shape = [*energy.shape]
    shape[dim] = 1
    middle = ((count - 1) // 2).clamp(min=0).expand(shape)
    return torch.where(count > 0, ranked.gather(dim, middle), 0.0)


def joined(whole: Pair, local: Pair | None, mask: Tensor | None) -> Pair:
    """Return ``whole + mask * local``, so that the spectrum is multiplied once."""
    if local is None or mask is None:
        return whole
    re, im = torch.addcmul(whole.re, mask, local.re), torch.addcmul(whole.im, mask, local.im)
    return Pair(re, im)


def product(a: Pair, b: Pair) -> Pair:
    """Multiply complex numbers."""
    re = torch.addcmul(a.re * b.re, a.im, b.im, value=-1)
    return Pair(re, torch.addcmul(a.re * b.im, a.im, b.re))


def conjugate_product(a: Pair, b: Pair) -> Pair:
    """Multiply ``a`` by the conjugate of ``b``."""
    re = torch.addcmul(a.re * b.re, a.im, b.im)
    return Pair(re, torch.addcmul(a.im * b.re, a.re, b.im, value=-1))


def plain_filter(
    x: Tensor, whole: Pair, local: Pair | None, theta: Tensor | None, axes: Axes, gradient: str
) -> Tensor:
    """Filter ``x`` by operations that autograd, tracers and vmap see through."""
    spectrum, mask = Pair(*rdft(x, axes.bins)), None
    if theta is not None:
        mask = hard_mask(relative_energy(*spectrum, axes), theta, gradient)
    filtered = product(spectrum, joined(whole, local, mask))
    return irdft(*filtered, x.shape[axes.bins], axes.bins)


class _Filter(torch.autograd.Function):
    """:func:`plain_filter` piece by piece, keeping only ``x`` and the mask."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, axes: Axes, gradient: str, theta: Tensor | None, *weights: Tensor
    ) -> Tensor:
        whole, local = Pair(*weights[:2]), Pair(*weights[2:]) if weights[2:] else None
        out, masks = torch.empty_like(x, memory_format=torch.contiguous_format), []
        for part, target in pieces(axes, x, out):
            spectrum, mask = Pair(*rdft(part, axes.bins)), None
            if theta is not None:
                mask = hard_mask(relative_energy(*spectrum, axes), theta, gradient)
                masks.append(mask)
            filtered = product(spectrum, joined(whole, local, mask))
            target.copy_(irdft(*filtered, x.shape[axes.bins], axes.bins))
        ctx.axes, ctx.gradient = axes, gradient
        ctx.save_for_backward(x, theta, torch.cat(masks) if masks else None, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, theta, masks, *weights = ctx.saved_tensors
        whole, local = Pair(*weights[:2]), Pair(*weights[2:]) if weights[2:] else None
        axes = ctx.axes
        if torch.is_grad_enabled():
            # A gradient of the gradient is asked for: autograd's own has one.
            inputs = [value for value in (x, theta, *weights) if value is not None]
            again = plain_filter(x, whole, local, theta, axes, ctx.gradient)
            found = iter(torch.autograd.grad(again, inputs, upstream, create_graph=True))
            by_x, by_theta = next(found), None if theta is None else next(found)
            return by_x, None, None, by_theta, *found
        by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        batch = [axis for axis in range(x.ndim) if axis not in axes]
        sums: list[Tensor] = []
        masked = pieces(axes, x, upstream, by_x, *([] if masks is None else [masks]))
        for part, above, target, *mask in masked:
            spectrum, slopes = Pair(*rdft(part, axes.bins)), Pair(*rdft(above, axes.bins))
            filters = joined(whole, local, mask[0] if mask else None)
            back = conjugate_product(slopes, filters)
            target.copy_(irdft(*back, x.shape[axes.bins], axes.bins))
            by_filter = conjugate_product(slopes, spectrum)
            terms = [*by_filter, *(value * mask[0] for value in by_filter if mask)]
            totals = [term.sum(batch, keepdim=True) for term in terms]
            sums = [a + b for a, b in zip(sums, totals, strict=True)] if sums else totals
        # Every bin but DC and Nyquist stands for two; in the gradient of x the 2 cancels.
        twice = bin_weights(x.shape[axes.bins], x.device).to(x.dtype)
        sums = [total * along(twice, axes.bins, x.ndim) for total in sums]
        by_theta = None
        if theta is not None and local is not None:
            sign = 1 if ctx.gradient == "tslanet" else -1
            by_theta = sign * (sums[0] * local.re + sums[1] * local.im).sum()
        by_weights = [total.sum_to_size(w.shape) for total, w in zip(sums, weights, strict=True)]
        return by_x, None, None, by_theta, *by_weights


def pieces(axes: Axes, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors along axis 0, where it counts sequences, into what a CPU's cache holds."""
    first = tensors[0]
    whole = 0 in axes or first.device.type != "cpu"
    rows = first.shape[0] if whole else PIECE // max(first[:1].numel(), 1)
    return zip(*(torch.split(tensor, max(rows, 1)) for tensor in tensors), strict=True)


def lean_filter(
    x: Tensor, whole: Pair, local: Pair | None, theta: Tensor | None, axes: Axes, gradient: str
) -> Tensor:
    """:func:`plain_filter` for reverse-mode autograd alone, in less time and memory."""
    weights = whole if local is None else (*whole, *local)
    filtered: Tensor = _Filter.apply(x, axes, gradient, theta, *weights)  # type: ignore[no-untyped-call]
    return filtered
