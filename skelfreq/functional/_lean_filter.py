"""The adaptive spectral filter and its gradient, piece by piece in eager operations.

Bins are complex numbers on the last axis here, whichever axis the signal has: that is where both
transforms leave them for nothing, and every other operation then runs along memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skelfreq.functional._basis import Kind, basis, bin_weights, constant, pieces
from skelfreq.functional._spectral import EPSILON, Axes, Pair

# From the first on an FFT is faster than the product with a basis where n has no prime factor
# above 5, beyond the second for every n.
FFT_MIN_POINTS, BASIS_MAX_POINTS = 64, 128


Planes = tuple[Tensor, Tensor | None]


@constant
def pair_basis(kind: Kind, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the basis whose bins hold both parts side by side, as complex numbers do."""
    order = torch.arange(2 * (n // 2 + 1), device=device).view(2, -1).mT.flatten()
    return basis(kind, n, dtype, device).index_select(0 if kind == "rdft" else 1, order)


class Around(NamedTuple):
    """What a block puts around the filter: ``x + filter(front(x, *tensors))``."""

    front: Callable[..., Tensor] | None = None
    residual: bool = False
    tensors: tuple[Tensor, ...] = ()


BARE = Around()


class Factors(NamedTuple):
    """Real factors of the two parts of each bin, [bins, 2] or [2]."""

    # Imaginary parts at DC and Nyquist act on no real signal: 0 there, else 1.
    effect: Tensor
    # Every other bin stands for two.
    weight: Tensor
    conjugate: Tensor


@constant
def factors(n: int, dtype: torch.dtype, device: torch.device) -> Factors:
    """Return the factors for axes of ``n`` points."""
    count = bin_weights(n, device).to(dtype)
    effect = torch.stack([torch.ones_like(count), (count == 2).to(dtype)], -1)
    return Factors(effect, count.unsqueeze(-1), (1 - 2 * torch.arange(2, device=device)).to(dtype))


def by_fft(n: int) -> bool:
    """Whether an FFT of ``n`` points is faster than a product."""
    smooth = 30**7 % n == 0  # no prime factor above 5, for n up to 128
    return n > BASIS_MAX_POINTS or (n >= FFT_MIN_POINTS and smooth)


def to_bins(x: Tensor, dim: int) -> Tensor:
    """Return the complex bins of axis ``dim``, that axis moved to the end."""
    n = x.shape[dim]
    if by_fft(n):
        bins: Tensor = torch.fft.rfft(x, dim=dim, norm="ortho").movedim(dim, -1)
        return bins
    matrix = pair_basis("rdft", n, x.dtype, x.device).mT
    pairs = x @ matrix if dim == x.ndim - 1 else x.flatten(dim + 1).mT @ matrix
    return torch.view_as_complex(pairs.reshape(*x.shape[:dim], *x.shape[dim + 1 :], -1, 2))


def from_bins(bins: Tensor, dim: int, out: Tensor) -> Tensor:
    """Fill the contiguous ``out`` with the points of what :func:`to_bins` returned."""
    n = out.shape[dim]
    if by_fft(n):
        return out.copy_(torch.fft.irfft(bins.movedim(-1, dim), n=n, dim=dim, norm="ortho"))
    matrix = pair_basis("irdft", n, out.dtype, out.device)
    pairs = torch.view_as_real(bins).flatten(-2)
    if dim == out.ndim - 1:
        torch.matmul(pairs, matrix.mT, out=out)
    else:
        torch.matmul(matrix, pairs.flatten(dim, -2).mT, out=out.flatten(dim + 1))
    return out


def planes_of(whole: Pair, local: Pair | None, n: int, axes: Axes) -> Planes:
    """Return both filters as [..., bins, 2] in the order of :func:`to_bins`'s axes."""
    shape = [*whole.re.shape]
    shape[axes.bins] = n // 2 + 1
    effect = factors(n, whole.re.dtype, whole.re.device).effect
    planes = []
    for pair in (whole,) if local is None else (whole, local):
        parts = [part.expand(shape).movedim(axes.bins, -1) for part in pair]
        planes.append(torch.stack(parts, -1) * effect)
    return planes[0], planes[1] if local is not None else None


def pair_of(plane: Tensor, dim: int) -> Pair:
    """Return one of :func:`planes_of` as a pair that broadcasts with a spectrum."""
    return Pair(*plane.movedim(-2, dim).unbind(-1))


def channels_of(axes: Axes) -> int:
    """Return the axis of the channels once that of the bins has moved to the end."""
    return axes.channels - (axes.channels > axes.bins)


def paired(mask: Tensor) -> Tensor:
    """Return each number of ``mask`` twice, for the two parts of a bin."""
    return torch.stack([mask, mask], -1)


def lower_median(energy: Tensor) -> Tensor:
    """Return the lower median of the last axis."""
    middle = (energy.shape[-1] - 1) // 2
    if energy.device.type == "cpu":
        return energy.kthvalue(middle + 1, -1, keepdim=True).values
    # There kthvalue is not deterministic.
    return energy.sort(-1).values[..., middle : middle + 1]


def multiply_(spectrum: Tensor, planes: Planes, mask: Tensor | None) -> Tensor:
    """Multiply ``spectrum`` in place by ``whole + mask * local``."""
    joined, local = planes
    if mask is not None and local is not None:
        joined = torch.addcmul(joined, paired(mask), local)
    return spectrum.mul_(torch.view_as_complex(joined))


def filtered(
    x: Tensor,
    axes: Axes,
    theta: Tensor | None,
    planes: Planes,
    around: Around,
) -> tuple[Tensor, Tensor | None]:
    """Return the filtered ``x``, and the mask [..., bins] with one entry for all channels."""
    masks = []
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for part, target in pieces(0 not in axes, x, out):
        line = part if around.front is None else around.front(part, *around.tensors)
        spectrum, mask = to_bins(line, axes.bins), None
        if theta is not None:
            squares = torch.view_as_real(spectrum).square()
            energy = squares.sum(channels_of(axes), keepdim=True).sum(-1)
            mask = (energy / (lower_median(energy) + EPSILON) > theta).to(x.dtype)
            masks.append(mask)
        from_bins(multiply_(spectrum, planes, mask), axes.bins, out=target)
        if around.residual:
            target.add_(part)
    return out, torch.cat(masks) if masks else None


class Wanted(NamedTuple):
    """Which gradients are: by the filters, by what comes before them."""

    before: bool = True
    by_filters: bool = True


class Gradients(NamedTuple):
    """Gradients of :func:`filtered`; what is not wanted has no meaning."""

    by_x: Tensor
    by_planes: list[Tensor]
    by_tensors: list[Tensor]


def gradients(
    x: Tensor,
    axes: Axes,
    masks: Tensor | None,
    planes: Planes,
    upstream: Tensor,
    wanted: Wanted,
    around: Around,
) -> Gradients:
    """Return the gradients of :func:`filtered`."""
    given = [plane for plane in planes if plane is not None]
    by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    factor = factors(x.shape[axes.bins], x.dtype, x.device)
    whole, *local = (plane * factor.conjugate for plane in given)
    mirrored = whole, local[0] if local else None
    zeros = torch.zeros_like
    found = Gradients(by_x, [*map(zeros, given)], [*map(zeros, around.tensors)])
    masked = pieces(0 not in axes, x, upstream, by_x, *([] if masks is None else [masks]))
    for part, above, target, *mask in masked:
        line, leaves = part, [value.detach().requires_grad_() for value in (part, *around.tensors)]
        if around.front is not None:
            with torch.enable_grad():
                line = around.front(*leaves)
        slopes = to_bins(above, axes.bins)
        if wanted.by_filters:
            terms = to_bins(line.detach(), axes.bins).conj_physical_().mul_(slopes)
            terms = torch.view_as_real(terms)
            found.by_planes[0].add_(terms.sum_to_size(given[0].shape))
            if mask:
                found.by_planes[1].add_(terms.mul_(paired(mask[0])).sum_to_size(given[1].shape))
            del terms  # room for the next one: this is the peak of memory
        if wanted.before:
            from_bins(multiply_(slopes, mirrored, mask[0] if mask else None), axes.bins, out=target)
            rest: Sequence[Tensor] = ()
            if around.front is not None:
                by_part, *rest = torch.autograd.grad(line, leaves, target)
                target.copy_(by_part)
            if around.residual:
                target.add_(above)
            for total, value in zip(found.by_tensors, rest, strict=True):
                total += value
    for total in found.by_planes:
        # In the gradient of x the 2 of each bin that stands for two cancels.
        total.mul_(factor.weight)
    return found


def threshold_gradient(gradient: str, by_whole: Tensor, local: Tensor) -> Tensor:
    """Return the gradient by θ: as if each bin had the derivative -1, or +1 for "tslanet"."""
    sign = 1 if gradient == "tslanet" else -1
    return sign * (by_whole * local).sum()
