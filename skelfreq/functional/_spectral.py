"""The core of the adaptive spectral filter, energy mask and two filters, in real arithmetic."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skelfreq.functional.fourier import irdft, rdft

# Keeps the median of an empty signal from dividing by 0.
EPSILON = 1e-6


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
    # No addcmul with value=-1: torch 2.13 crashes when it compiles the tangent of one.
    return Pair(a.re * b.re - a.im * b.im, torch.addcmul(a.re * b.im, a.im, b.re))


def plain_filter(
    x: Tensor, whole: Pair, local: Pair | None, theta: Tensor | None, axes: Axes, gradient: str
) -> Tensor:
    """Filter ``x`` by operations that autograd, tracers and vmap see through."""
    spectrum, mask = Pair(*rdft(x, axes.bins)), None
    if theta is not None:
        mask = hard_mask(relative_energy(*spectrum, axes), theta, gradient)
    filtered = product(spectrum, joined(whole, local, mask))
    return irdft(*filtered, x.shape[axes.bins], axes.bins)
