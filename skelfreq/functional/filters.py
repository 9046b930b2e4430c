"""Complex filters on the spectrum of one axis, and the energy mask that selects its bins."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_floating,
    check_lengths,
    check_option,
    compute_dtype,
)
from skelfreq.functional._basis import compiles_training, in_many_pieces, only_backward
from skelfreq.functional._filter_gradient import compiled_filter, eager_filter
from skelfreq.functional._lean_filter import BARE, Around
from skelfreq.functional._spectral import (
    Axes,
    Pair,
    hard_mask,
    joined,
    plain_filter,
    present_bins,
    product,
    relative_energy,
)
from skelfreq.functional.fourier import irdft, rdft

WEIGHTS = ("channel", "frequency", "full")
GRADIENTS = ("straight_through", "tslanet", "sigmoid")


def adaptive_spectral_mask(
    re: Tensor,
    im: Tensor,
    threshold: Tensor | float,
    dim: int,
    channel_dim: int,
    gradient: str = "straight_through",
    *,
    temperature: float = 0.1,
    num_bins: Tensor | None = None,
) -> Tensor:
    r"""Mask of the frequencies whose energy stands out from the median.

    .. math:: E_k = \sum_c |X_{ck}|^2, \qquad m_k = [\,E_k / (\mathrm{median}_k E + 10^{-6}) > θ\,]

    Parameters
    ----------
    re, im : Tensor
        Spectrum from :func:`rdft`, same shape; every other axis counts sequences.
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
    num_bins : Tensor, optional
        [N] integers along axis 0: only the first ``num_bins[i]`` bins of sample i belong to it
        (``lengths // 2 + 1``, or 0). The median is taken over those; the mask is 0 behind.

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
        ``gradient``, more than one threshold, a temperature of 0 or less with "sigmoid",
        ``num_bins`` outside [0, F].

    Notes
    -----
    The *lower* median is taken, entry (F − 1)//2 of the F sorted bins, as the peer does; for an
    even number of bins that is not the mean of the middle two. It comes from a sort, which is
    deterministic on every device and can be exported.
    ε is absolute: at amplitudes near 1e-3 and below fewer bins pass.
    Cost: one pass over the spectrum, and a sort of the bins of each sequence.
    Source: FreST, section 4.2 (normalised energy, indicator); the Adaptive Spectral Block of
    TSLANet (Eldele et al., ICML 2024), which the paper's mask equals.

    Examples
    --------
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
    if gradient == "sigmoid" and not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature!r}.")
    if num_bins is not None:
        check_lengths(num_bins, re, dim, name="num_bins")
    dtype = compute_dtype(re)
    theta = _one_number(threshold, re, dtype)
    with autocast_off(re):
        if gradient != "sigmoid":
            re, im = re.detach(), im.detach()
        if num_bins is not None:
            num_bins = num_bins.to(re.device, torch.int64)
        axes = Axes(dim, channel_dim)
        relative = relative_energy(re.to(dtype), im.to(dtype), axes, num_bins)
        if gradient == "sigmoid":
            mask = torch.sigmoid((relative - theta) / temperature)
        else:
            mask = hard_mask(relative, theta, gradient)
        if num_bins is not None:
            mask = torch.where(present_bins(num_bins, relative, dim), mask, 0.0)
        return mask.to(im.dtype)


def spectral_filter(
    x: Tensor,
    global_weight: Tensor | None = None,
    local_weight: Tensor | None = None,
    threshold: Tensor | float | None = None,
    dim: int = -2,
    channel_dim: int = 1,
    weight: str = "channel",
    gradient: str = "straight_through",
    *,
    temperature: float = 0.1,
    lengths: Tensor | None = None,
) -> Tensor:
    r"""Filter one axis by a complex weight on all bins and another on the bins that stand out.

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
        length, the median runs over its own bins, and the result behind it is 0. Weights per
        frequency stay with the index k of the bin, so a shorter sample uses the first
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
    The imaginary part of the product at DC and, for even n, at Nyquist belongs to no real signal
    and is ignored: there a filter acts by its real part only.
    Cost: a DFT, its inverse, and about 6 operations per bin and channel. The transforms are
    products (2n² operations for each line) for short axes and FFTs from about 64 points on. On the
    CPU the work goes piece by piece along axis 0, also under ``torch.compile`` where gradients are
    on; only ``x`` and the mask are kept for the gradient, the spectrum is computed again.
    ("sigmoid" and ``lengths`` keep it, and take 2n² operations for each line.)
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
    return filter_block(
        x, global_weight, local_weight, threshold, dim, channel_dim, weight, gradient,
        temperature, lengths,
    )  # fmt: skip


def filter_block(
    x: Tensor,
    global_weight: Tensor | None,
    local_weight: Tensor | None,
    threshold: Tensor | float | None,
    dim: int,
    channel_dim: int,
    weight: str,
    gradient: str,
    temperature: float,
    lengths: Tensor | None,
    around: Around = BARE,
) -> Tensor:
    """:func:`spectral_filter` and what a block puts around it."""
    check_floating("x", x)
    dim, channel_dim = _two_axes("x", x, dim, channel_dim)
    check_option("weight", weight, WEIGHTS)
    check_option("gradient", gradient, GRADIENTS)
    if local_weight is not None and threshold is None:
        raise ValueError("threshold must be given with local_weight, got None.")
    if lengths is not None:
        check_lengths(lengths, x, dim)
    n, dtype = x.shape[dim], compute_dtype(x)
    local, theta = None, None
    if local_weight is not None and threshold is not None:
        local = _pair("local_weight", local_weight, weight, x, dim, channel_dim)
        theta = _one_number(threshold, x, dtype)
    if global_weight is not None:
        whole = _pair("global_weight", global_weight, weight, x, dim, channel_dim)
    elif local is not None:
        whole = Pair(torch.zeros_like(local.re), torch.zeros_like(local.im))
    else:
        raise ValueError("global_weight or local_weight must be given, got None for both.")
    with autocast_off(x):
        work, axes = x.to(dtype), Axes(dim, channel_dim)
        hard = lengths is None and gradient != "sigmoid"
        eager = hard and x.numel() > 0 and only_backward()
        # Inside the filter's own gradient the front runs once more for each piece; where there
        # are no pieces, it had better keep what it needs.
        if eager and (around.front is None or in_many_pieces(0 not in axes, work)):
            around = around._replace(tensors=tuple(value.to(dtype) for value in around.tensors))
            return eager_filter(work, whole, local, theta, axes, gradient, around).to(x.dtype)
        line = work if around.front is None else around.front(work, *around.tensors)
        if eager:
            out = eager_filter(line, whole, local, theta, axes, gradient, BARE)
        elif hard:
            core = compiled_filter if x.numel() > 0 and compiles_training(x) else plain_filter
            out = core(line, whole, local, theta, axes, gradient)
        else:
            re, im = rdft(line, dim, lengths)
            mask = None
            if theta is not None:
                num_bins = None if lengths is None else bins_of(lengths)
                mask = adaptive_spectral_mask(
                    re, im, theta, dim, channel_dim, gradient,
                    temperature=temperature, num_bins=num_bins,
                )  # fmt: skip
            filtered = product(Pair(re, im), joined(whole, local, mask))
            out = irdft(*filtered, n, dim, lengths)
        return (work + out if around.residual else out).to(x.dtype)


def bins_of(lengths: Tensor) -> Tensor:
    """Return the number of bins of signals of ``lengths`` points; none for no points."""
    return torch.where(lengths > 0, lengths.long() // 2 + 1, 0)


def _two_axes(name: str, x: Tensor, dim: int, channel_dim: int) -> tuple[int, int]:
    dim = check_axis(name, x, dim)
    if not -x.ndim <= channel_dim < x.ndim:
        raise ValueError(
            f"channel_dim must be an axis of {name} with shape {tuple(x.shape)}, got {channel_dim}."
        )
    channel_dim %= x.ndim
    if channel_dim == dim:
        raise ValueError(f"channel_dim must be another axis than dim={dim}, got {channel_dim}.")
    return dim, channel_dim


def _one_number(threshold: Tensor | float, like: Tensor, dtype: torch.dtype) -> Tensor:
    if not isinstance(threshold, Tensor):
        if not math.isfinite(threshold):
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
