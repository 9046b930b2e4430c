"""The adaptive spectral filter in plain operations: energy mask, two filters, real arithmetic."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from skelfreq.functional import _route
from skelfreq.functional._axis import present
from skelfreq.functional._fourier_plain import from_pair, to_pair

Gradient = Literal["straight_through", "tslanet", "sigmoid"]
# ε of the published block, absolute; the default here is this fraction of the mean energy.
EPSILON = 1e-6


class Pair(NamedTuple):
    """A complex filter as two real tensors that broadcast with the spectrum."""

    re: Tensor
    im: Tensor


class Axes(NamedTuple):
    """The axes of a spectrum that hold the bins and the channels."""

    bins: int
    channels: int


class MaskOptions(NamedTuple):
    """How the mask is made; ``eps`` None is relative, a number is absolute."""

    gradient: Gradient
    eps: float | None
    temperature: float | None = None  # of "sigmoid"


def mask_options(gradient: Gradient, temperature: float, eps: float | None = None) -> MaskOptions:
    """Return the options, with the published ε where the published gradient is asked for."""
    if gradient == "tslanet" and eps is None:
        eps = EPSILON
    # An unused number would be an input of compiled graphs, which are then compiled twice.
    return MaskOptions(gradient, eps, temperature if gradient == "sigmoid" else None)


def adaptive_filter(
    x: Tensor,
    w_global: Pair,
    w_local: Pair | None,
    theta: Tensor | None,
    axes: Axes,
    options: MaskOptions,
    lengths: Tensor | None = None,
) -> Tensor:
    """Return the inverse DFT of ``X ⊙ (w_global + mask ⊙ w_local)``; ``lengths`` lie in [0, n]."""
    spectrum, combined = Pair(*to_pair(x, axes.bins, lengths)), w_global
    if w_local is not None and theta is not None:
        num_bins = None if lengths is None else bins_of(lengths)
        mask = spectral_mask(spectrum, theta, axes, options, num_bins)
        # Combined first, so that the spectrum is multiplied once.
        combined = Pair(
            *(torch.addcmul(w, mask, part) for w, part in zip(w_global, w_local, strict=True))
        )
    return from_pair(*product(spectrum, combined), x.shape[axes.bins], axes.bins, lengths)


def spectral_mask(
    spectrum: Pair,
    theta: Tensor,
    axes: Axes,
    options: MaskOptions,
    num_bins: Tensor | None = None,
) -> Tensor:
    """Return the mask of the bins whose energy is above ``theta`` medians, one for all channels."""
    if options.gradient != "sigmoid":
        spectrum = Pair(spectrum.re.detach(), spectrum.im.detach())
    scale = torch.maximum(spectrum.re.abs(), spectrum.im.abs()).amax(axes, keepdim=True)
    scale = safe(scale.detach())
    # Summed one after the other, so that only one square of the spectrum is held at a time.
    energy = (spectrum.re / scale).square().sum(axes.channels, keepdim=True)
    energy = energy + (spectrum.im / scale).square().sum(axes.channels, keepdim=True)
    mean = mean_energy(energy, axes.bins, num_bins)
    level = median_level(energy, mean, scale, axes.bins, options.eps, num_bins)
    if options.temperature is not None:
        relative = energy / torch.where(level > 0, level, 1.0)
        relative = torch.where(level > 0, relative, -torch.inf)
        mask = torch.sigmoid((relative - theta) / options.temperature)
    else:
        mask = (energy / level > theta.detach()).to(energy.dtype)
        # θ gets -1 for each bin, or +1 as in the published block.
        if options.gradient == "tslanet":
            mask = (mask - theta.detach()) + theta
        else:
            mask = mask + (theta.detach() - theta)
    if num_bins is not None:
        mask = torch.where(present(num_bins, energy, axes.bins), mask, 0.0)
    return mask


def safe(scale: Tensor) -> Tensor:
    """Return the divisor of a line of this amplitude before it is squared."""
    return scale.clamp(min=torch.finfo(scale.dtype).tiny)


def mean_energy(energy: Tensor, dim: int, num_bins: Tensor | None) -> Tensor:
    """Return the mean energy of the bins present."""
    if num_bins is None:
        return energy.mean(dim, keepdim=True)
    return energy.sum(dim, keepdim=True) / num_bins.clamp(min=1).view(-1, *[1] * (energy.ndim - 1))


def median_level(
    energy: Tensor,
    mean: Tensor,
    scale: Tensor | float,
    dim: int,
    eps: float | None,
    num_bins: Tensor | None = None,
) -> Tensor:
    """Return what the energy of each bin is divided by: the median of the bins present, plus ε.

    ``energy`` is that of the spectrum divided by ``scale``: neither the squares of large nor those
    of small amplitudes leave the range of the dtype. The level of an all-zero line is 0 for a
    relative ε: 0 / 0 exceeds no threshold.
    """
    median = lower_median(energy, dim, num_bins)
    if eps is not None:
        return median + eps / scale / scale
    return median + EPSILON * mean


def lower_median(energy: Tensor, dim: int, num_bins: Tensor | None = None) -> Tensor:
    """Return the lower median along ``dim``, of the first ``num_bins[i]`` bins of sample i."""
    if num_bins is not None:
        ranked = torch.where(present(num_bins, energy, dim), energy, torch.inf).sort(dim).values
        count = num_bins.view(-1, *[1] * (energy.ndim - 1))
        shape = [*energy.shape]
        shape[dim] = 1
        index = ((count - 1) // 2).clamp(min=0).expand(shape)
        return torch.where(count > 0, ranked.gather(dim, index), 0.0)
    middle = (energy.shape[dim] - 1) // 2
    if _route.selects_median(energy):
        return energy.kthvalue(middle + 1, dim, keepdim=True).values
    # An index tensor: a Python integer would fix the length of a traced graph.
    index = torch.full((1,), middle, device=energy.device)
    return energy.sort(dim).values.index_select(dim, index)


def bins_of(lengths: Tensor) -> Tensor:
    """Return the number of bins of signals of ``lengths`` points; none for no points."""
    return torch.where(lengths > 0, lengths // 2 + 1, 0)


def product(a: Pair, b: Pair) -> Pair:
    """Multiply complex numbers."""
    # No addcmul with value=-1: torch 2.13 crashes when it compiles the tangent of one.
    return Pair(a.re * b.re - a.im * b.im, torch.addcmul(a.re * b.im, a.im, b.re))
