"""What a DCT makes possible along one axis: gains, bands, band-limited resampling."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_floating,
    check_int,
    check_lengths,
    compute_dtype,
)
from skelfreq.functional._basis import apply_along, basis, only_backward, zero_padding
from skelfreq.functional._gain import apply_curve, operator
from skelfreq.functional.cosine import dct, idct, is_short


def apply_gain(x: Tensor, gain: Tensor, dim: int = -1, lengths: Tensor | None = None) -> Tensor:
    r"""Scale the DCT coefficients of one axis: ``idct(gain * dct(x))``.

    Parameters
    ----------
    x : Tensor
        Real tensor; ``n`` points along ``dim``.
    gain : Tensor
        [n], or [..., n] whose leading axes broadcast with the other axes of ``x`` in their
        order: for ``x`` [N, C, T, V] and ``dim=2``, gain [C, 1, T] is one curve per channel.
    dim : int
        Axis to transform.
    lengths : Tensor, optional
        [N] points really present; ``gain[k]`` then scales coefficient k of each sample's own
        transform. See :func:`dct`.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``.

    Raises
    ------
    TypeError
        ``x`` or ``gain`` is not real floating point.
    ValueError
        The last axis of ``gain`` is not n, or its other axes do not broadcast; ``dim`` outside
        ``x``, an empty axis, lengths outside [0, n].

    Notes
    -----
    One gain curve on an axis of up to 384 points and 3n rows or more is a single n × n operator,
    ``Cᵀ diag(gain) C``: half the arithmetic of two transforms, and its gradient to ``gain`` comes
    from the same product. Nothing of the size of ``x`` but ``x`` is kept for the gradient, save
    for small tensors, whose coefficients are.
    Cost for R rows: 2Rn² + 2n³ operations so, 4Rn² for fewer rows, O(R n log n) beyond 384 points.
    Source: FS-VAE, section 3.2 (frequency-enhanced module).

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0, 3.0])
    >>> apply_gain(x, torch.tensor([1.0, 0.0, 0.0])).round(decimals=4)
    tensor([2., 2., 2.])
    """
    check_floating("x", x)
    check_floating("gain", gain)
    dim = check_axis("x", x, dim)
    n = x.shape[dim]
    if gain.ndim == 0 or gain.shape[-1] != n:
        raise ValueError(
            f"gain must have {n} entries on its last axis, one per coefficient along dim={dim}, "
            f"got shape {tuple(gain.shape)}."
        )
    if gain.ndim > x.ndim:
        raise ValueError(
            f"gain must have at most {x.ndim} axes to broadcast with x, got {gain.ndim}."
        )
    with autocast_off(x):
        work, curve = x.to(compute_dtype(x)), gain.to(x.device, compute_dtype(x))
        if lengths is None and gain.ndim == 1 and x.numel() > 0 and only_backward():
            out = apply_curve(work, curve, dim)
        elif lengths is None and gain.ndim == 1 and is_short(work, dim):
            out = apply_along(operator(curve), work, dim)
        else:
            spectrum = dct(work, dim, lengths=lengths).movedim(dim, -1)
            _check_broadcast(curve, spectrum)
            out = idct((spectrum * curve).movedim(-1, dim), dim, lengths=lengths)
        return out.to(x.dtype)


def _check_broadcast(gain: Tensor, spectrum: Tensor) -> None:
    shape = spectrum.shape[spectrum.ndim - gain.ndim :]
    if any(g not in (1, s) for g, s in zip(gain.shape, shape, strict=True)):
        raise ValueError(
            f"gain must broadcast with the other axes of x, {tuple(shape[:-1])}, "
            f"got shape {tuple(gain.shape)}."
        )


def split_bands(
    x: Tensor, cutoff: int, dim: int = -1, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Split a signal into its low and high DCT band.

    Parameters
    ----------
    x : Tensor
        Real tensor with n points along ``dim``.
    cutoff : int
        Index of the first high coefficient, 0 to n. Coefficient k is a cosine of k half
        periods over the clip, ``k * frame_rate / (2n)`` Hz.
    dim : int
        Axis to split.
    lengths : Tensor, optional
        [N] points really present, see :func:`dct`.

    Returns
    -------
    low, high : Tensor
        Coefficients below ``cutoff``, and the rest, both back in the signal's domain;
        ``low + high`` is ``x`` to rounding (zero behind ``lengths``).

    Raises
    ------
    TypeError
        ``x`` is not real floating point, ``cutoff`` is no integer.
    ValueError
        ``cutoff`` outside [0, n]; ``dim`` outside ``x``, an empty axis, lengths outside [0, n].

    Notes
    -----
    Cost: 4·R·n·cutoff operations on a short axis, two transforms on a long one.
    Source: FD-MAE, eq. 4 and 5; the letter calls the cutoff a threshold value, we read it as
    a threshold on the coefficient's index, so that the two bands add up to the signal.

    Examples
    --------
    >>> low, high = split_bands(torch.tensor([0.0, 1.0, 5.0]), cutoff=1)
    >>> low.round(decimals=4), high.round(decimals=4)
    (tensor([2., 2., 2.]), tensor([-2., -1.,  3.]))
    """
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    n = x.shape[dim]
    check_int("cutoff", cutoff, 0, n)
    with autocast_off(x):
        work = x.to(compute_dtype(x))
        if lengths is None and is_short(work, dim):
            rows = basis("dct", n, work.dtype, x.device)[:cutoff]
            low = apply_along(rows.mT, apply_along(rows, work, dim), dim)
        else:
            if lengths is not None:
                check_lengths(lengths, x, dim)
                work = zero_padding(work, lengths, dim)
            keep = (torch.arange(n, device=x.device) < cutoff).to(work.dtype)
            low = apply_gain(work, keep, dim, lengths)
        return low.to(x.dtype), (work - low).to(x.dtype)


def resample(x: Tensor, size: int, dim: int = -1) -> Tensor:
    r"""Resample one axis to ``size`` points in the DCT domain (band-limited).

    The signal is read as a sum of cosines over the clip; its n samples lie at the middles of
    n equal intervals, the result's at the middles of ``size`` ones. Down-sampling drops the
    cosines that ``size`` points cannot carry.

    Parameters
    ----------
    x : Tensor
        Real tensor with n points along ``dim``.
    size : int
        Points of the result, at least 1.
    dim : int
        Axis to resample.

    Returns
    -------
    Tensor
        ``x`` with ``size`` points along ``dim``; dtype of ``x``.

    Raises
    ------
    TypeError
        ``x`` is not real floating point, ``size`` is no integer.
    ValueError
        ``size`` below 1; ``dim`` outside ``x``, or an empty axis.

    Notes
    -----
    Exact for a signal without coefficients at or above ``min(n, size)``; a constant stays
    that constant. Cost: 2·R·n·size operations on short axes, two transforms on long ones.
    Source: the DCT-II interpolation formula; FD-MAE leaves its resampling open.

    Examples
    --------
    >>> resample(torch.tensor([1.0, 1.0]), 4).round(decimals=4)
    tensor([1., 1., 1., 1.])
    """
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    check_int("size", size, 1)
    n = x.shape[dim]
    shared = min(n, size)
    with autocast_off(x):
        work = x.to(compute_dtype(x))
        if is_short(work, dim, size):
            analysis = basis("dct", n, work.dtype, x.device)[:shared]
            synthesis = basis("dct", size, work.dtype, x.device)[:shared]
            out = apply_along((size / n) ** 0.5 * (synthesis.mT @ analysis), work, dim)
        else:
            kept = dct(work, dim).narrow(dim, 0, shared)
            missing = [*kept.shape]
            missing[dim] = size - shared
            out = idct(torch.cat([kept, kept.new_zeros(missing)], dim), dim)
            out = out * (size / n) ** 0.5
        return out.to(x.dtype)
