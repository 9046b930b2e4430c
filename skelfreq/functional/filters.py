"""Complex filters on the spectrum of one axis, and the energy mask that selects bins."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_floating,
    check_number,
    check_option,
    check_positive,
    compute_dtype,
    named_options,
)
from skelfreq.functional import _route
from skelfreq.functional._axis import check_lengths
from skelfreq.functional._filter_plain import (
    Axes,
    Gradient,
    Pair,
    adaptive_filter,
    mask_options,
    spectral_mask,
)

Weight = Literal["channel", "frequency", "full"]
WEIGHTS = ("channel", "frequency", "full")
GRADIENTS = ("straight_through", "tslanet", "sigmoid")


@named_options
def adaptive_spectral_mask(
    re: Tensor,
    im: Tensor,
    threshold: Tensor | float,
    *,
    dim: int,
    channel_dim: int,
    gradient: Gradient = "straight_through",
    temperature: float = 0.1,
    eps: float | None = None,
    num_bins: Tensor | None = None,
) -> Tensor:
    r"""Mask of the bins whose energy exceeds a multiple of the median.

    .. math:: E_k = \sum_c |X_{ck}|^2, \qquad m_k = [\,E_k / (\mathrm{median}_k E + ε) > θ\,]

    Parameters
    ----------
    re, im : Tensor
        Spectrum from :func:`rdft`, same shape; all other axes index sequences.
    threshold : Tensor or float
        θ, one number.
    dim : int
        Axis of the bins.
    channel_dim : int
        Axis over which energy is summed; all channels of a sequence share its mask.
    gradient : {"straight_through", "tslanet", "sigmoid"}
        What θ receives. "straight_through": the mask is 0 or 1, and each bin counts as if it
        had the derivative −1 by θ: raising θ removes bins. "tslanet": +1, the sign of the
        published block, whose value :math:`(m - θ) + θ` is reproduced to the last digit. In
        both the energy gets no gradient. "sigmoid": the mask itself is soft,
        :math:`σ((E'_k - θ) / \text{temperature})` with the normalised energy E', and everything
        gets its true gradient.
    temperature : float
        Width of the soft step of "sigmoid", in units of the median energy.
    eps : float, optional
        ε. None: 1e-6 of the mean energy of the bins, so that the mask does not depend on the unit
        of length; with gradient="tslanet" the published 1e-6. A number is absolute, in the unit
        of the energy.
    num_bins : Tensor, optional
        [N] integers along axis 0: only the first ``num_bins[i]`` bins of sample i belong to it
        (``lengths // 2 + 1``, or 0). The median is taken over those; the mask of the others is 0.

    Returns
    -------
    Tensor
        The mask in the shape of ``re`` with one entry along ``channel_dim``; dtype of ``re``.

    Raises
    ------
    TypeError
        A part is not real floating point, their dtypes differ, ``num_bins`` is not integer.
    ValueError
        Shapes differ, ``dim`` and ``channel_dim`` are one axis or no axes of ``re``, unknown
        ``gradient``, more than one threshold, a temperature of 0 or less with "sigmoid", an
        ``eps`` that is not positive, ``num_bins`` outside [0, F].

    Notes
    -----
    The *lower* median is taken, entry (F − 1)//2 of the F sorted bins, as in TSLANet; for an
    even number of bins that is not the mean of the middle two. On accelerators and in exports it
    is taken from a sort, which is deterministic.
    The mask of a sequence that is all 0 is 0. Spectra are scaled before they are squared:
    amplitudes from 1e-30 to 1e30 are safe in fp32. An absolute ε that is not small compared with
    the energy removes bins.
    Cost: one pass over the spectrum, and a sort of the bins of each sequence.
    Source: FreST, section 4.2 (normalised energy, indicator); the Adaptive Spectral Block of
    TSLANet (Eldele et al., ICML 2024), which the paper's mask equals.

    Examples
    --------
    >>> from skelfreq.functional import rdft
    >>> t = torch.arange(8) * (torch.pi / 4)
    >>> re, im = rdft((t.cos() + 0.1 * (3 * t).sin()).view(1, 1, 8), dim=2)
    >>> adaptive_spectral_mask(re, im, 0.5, dim=2, channel_dim=1)
    tensor([[[0., 1., 0., 1., 0.]]])
    """
    check_floating("re", re)
    check_floating("im", im)
    if re.dtype != im.dtype:
        raise TypeError(f"im must have the dtype of re, {re.dtype}, got {im.dtype}.")
    if re.shape != im.shape:
        raise ValueError(f"im must have the shape of re, {tuple(re.shape)}, got {tuple(im.shape)}.")
    dim, channel_dim = _two_axes("re", re, dim, channel_dim)
    check_option("gradient", gradient, GRADIENTS)
    if gradient == "sigmoid":
        check_positive("temperature", temperature)
    if eps is not None:
        check_positive("eps", eps)
    if num_bins is not None:
        num_bins = check_lengths(num_bins, re, dim, name="num_bins")
    dtype = compute_dtype(re)
    theta = _one_number(threshold, re, dtype)
    with autocast_off(re):
        options = mask_options(gradient, temperature, eps)
        spectrum = Pair(re.to(dtype), im.to(dtype))
        mask = spectral_mask(spectrum, theta, Axes(dim, channel_dim), options, num_bins)
        return mask.to(re.dtype)


@named_options
def spectral_filter(
    x: Tensor,
    global_weight: Tensor | None = None,
    local_weight: Tensor | None = None,
    threshold: Tensor | float | None = None,
    *,
    dim: int = -2,
    channel_dim: int = 1,
    weight: Weight = "channel",
    gradient: Gradient = "straight_through",
    temperature: float = 0.1,
    lengths: Tensor | None = None,
) -> Tensor:
    r"""Filter one axis by a complex weight on all bins and another on the selected bins.

    .. math:: y = \mathrm{DFT}^{-1}\left( X \odot (W_G + m \odot W_L) \right)

    with X the :func:`rdft` of ``x`` along ``dim`` and m its :func:`adaptive_spectral_mask`.

    Parameters
    ----------
    x : Tensor
        Real tensor with n points along ``dim``, C along ``channel_dim``, such as [N, C, T, V].
    global_weight, local_weight : Tensor, optional
        W_G and W_L as real pairs (real, imaginary) on the last axis; one may be left out.
    threshold : Tensor or float, optional
        θ of the mask, needed with ``local_weight``.
    dim : int
        Axis to filter.
    channel_dim : int
        Axis of the channels.
    weight : {"channel", "frequency", "full"}
        Shape of the weights: [C, 2], [F, 2] or [C, F, 2], with F = n//2 + 1.
    gradient, temperature
        See :func:`adaptive_spectral_mask`.
    lengths : Tensor, optional
        [N] points really present along ``dim``: each sample is filtered as a sequence of that
        length, the median is that of its own bins, and the result from there on is 0. Weights per
        frequency belong to the index k of a bin, so a shorter sample uses the first
        ``lengths[i] // 2 + 1`` of them.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``; fp16 and bf16 are computed in fp32.

    Raises
    ------
    TypeError
        ``x`` or a weight is not real floating point, ``lengths`` is not integer.
    ValueError
        No weight at all, a weight of another shape, no threshold for ``local_weight``, unknown
        ``weight`` or ``gradient``, bad axes, lengths outside [0, n].

    Notes
    -----
    The imaginary part of the product at DC and, for even n, at Nyquist has no meaning for a real
    signal and is ignored: only the real part has an effect there.
    Cost: a DFT, its inverse, and about 6 operations per bin and channel. The transforms are
    products (2n² operations for each line) for short axes and FFTs for long ones. On the
    CPU the work goes piece by piece along axis 0, also under ``torch.compile`` where gradients are
    on; only ``x`` and the mask are saved for the gradient, the spectrum is computed again.
    ("sigmoid" and ``lengths`` save it, and take 2n² operations for each line.)
    Source: FreST, section 4.2 (global and local filter); TSLANet for ``weight="channel"``, the
    global filter of GFNet (Rao et al., NeurIPS 2021) along one axis for "full".

    Examples
    --------
    >>> x = torch.randn(2, 3, 30, 25)
    >>> one = torch.tensor([[1.0, 0.0]]).expand(3, 2)
    >>> torch.allclose(spectral_filter(x, one), x, atol=1e-5)
    True
    >>> spectral_filter(x, one, one, threshold=0.5, dim=-1).shape
    torch.Size([2, 3, 30, 25])
    """
    check_floating("x", x)
    dim, channel_dim = _two_axes("x", x, dim, channel_dim)
    check_option("weight", weight, WEIGHTS)
    check_option("gradient", gradient, GRADIENTS)
    if gradient == "sigmoid":
        check_positive("temperature", temperature)
    if local_weight is not None and threshold is None:
        raise ValueError("threshold must be given with local_weight, got None.")
    if lengths is not None:
        lengths = check_lengths(lengths, x, dim)
    w_local = theta = None
    if local_weight is not None and threshold is not None:
        w_local = _pair("local_weight", local_weight, weight, x, dim, channel_dim)
        theta = _one_number(threshold, x, compute_dtype(x))
    if global_weight is not None:
        w_global = _pair("global_weight", global_weight, weight, x, dim, channel_dim)
    elif w_local is not None:
        w_global = Pair(torch.zeros_like(w_local.re), torch.zeros_like(w_local.im))
    else:
        raise ValueError("global_weight or local_weight must be given, got None for both.")
    with autocast_off(x):
        work, axes = x.to(compute_dtype(x)), Axes(dim, channel_dim)
        options = mask_options(gradient, temperature)
        if _route.filter_(work, gradient == "sigmoid", lengths is not None) == "fast":
            from skelfreq.functional import _filter_fast

            return _filter_fast.filter_once(work, w_global, w_local, theta, axes, options).to(
                x.dtype
            )
        return adaptive_filter(work, w_global, w_local, theta, axes, options, lengths).to(x.dtype)


def _two_axes(name: str, x: Tensor, dim: int, channel_dim: int) -> tuple[int, int]:
    dim = check_axis(name, x, dim)
    channel_dim = check_axis(name, x, channel_dim, argument="channel_dim")
    if channel_dim == dim:
        raise ValueError(f"channel_dim must be another axis than dim={dim}, got {channel_dim}.")
    return dim, channel_dim


def _one_number(threshold: Tensor | float, like: Tensor, dtype: torch.dtype) -> Tensor:
    if not isinstance(threshold, Tensor):
        if not math.isfinite(check_number("threshold", threshold)):
            raise ValueError(f"threshold must be finite, got {threshold}.")
        return torch.full((), threshold, dtype=dtype, device=like.device)
    if threshold.numel() != 1:
        raise ValueError(f"threshold must hold one number, got shape {tuple(threshold.shape)}.")
    return threshold.reshape(()).to(like.device, dtype)


def _pair(name: str, pair: Tensor, weight: str, x: Tensor, dim: int, channel_dim: int) -> Pair:
    """Return real and imaginary part, shaped to broadcast with the spectrum of ``x``."""
    check_floating(name, pair)
    channels, bins = x.shape[channel_dim], x.shape[dim] // 2 + 1
    shapes = {"channel": (channels, 2), "frequency": (bins, 2), "full": (channels, bins, 2)}
    if tuple(pair.shape) != shapes[weight]:
        raise ValueError(
            f"{name} must have shape {shapes[weight]} for weight={weight!r} and x of shape "
            f"{tuple(x.shape)}, got {tuple(pair.shape)}."
        )
    shape = [1] * x.ndim
    if weight != "frequency":
        shape[channel_dim] = channels
    if weight != "channel":
        shape[dim] = bins
    if weight == "full" and dim < channel_dim:
        pair = pair.transpose(0, 1)
    re, im = pair.to(x.device, compute_dtype(x)).unbind(-1)
    return Pair(re.reshape(shape), im.reshape(shape))
