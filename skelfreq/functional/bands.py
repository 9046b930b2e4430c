"""Low and high bands of a signal, and band-limited resampling."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_floating,
    check_int,
    compute_dtype,
    named_options,
)
from skelfreq.functional import _route
from skelfreq.functional._axis import apply_along, check_lengths, zero_padding
from skelfreq.functional._bases import basis, padded_dct_basis
from skelfreq.functional.cosine import dct, idct


class Bands(NamedTuple):
    """The low and the high DCT band of a signal, always in this order.

    Attributes
    ----------
    low : Tensor
        Coefficients below a cutoff, back in the signal's domain.
    high : Tensor
        The other coefficients, back in the signal's domain.

    Notes
    -----
    A band may have its own number of frames, as SSFRM's low band with ``low_rate="own"``.
    Source: FD-MAE, eq. 4 and 5.

    Examples
    --------
    >>> bands = split_bands(torch.ones(1, 3, 8, 25), cutoff=2, dim=-2)
    >>> bands.low.shape
    torch.Size([1, 3, 8, 25])
    """

    low: Tensor
    high: Tensor


_route.register_named_tuple(Bands)


@named_options
def split_bands(x: Tensor, cutoff: int, *, dim: int, lengths: Tensor | None = None) -> Bands:
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
    Bands
        ``low``, the coefficients below ``cutoff``, and ``high``, the rest, both back in the
        signal's domain; ``low + high`` is ``x`` to rounding (zero from ``lengths`` on).

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
    >>> low, high = split_bands(torch.tensor([0.0, 1.0, 5.0]), cutoff=1, dim=0)
    >>> low.round(decimals=4), high.round(decimals=4)
    (tensor([2., 2., 2.]), tensor([-2., -1.,  3.]))
    """
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    n = x.shape[dim]
    cutoff = check_int("cutoff", cutoff, 0, n)
    with autocast_off(x):
        work = x.to(compute_dtype(x))
        if lengths is not None:
            lengths = check_lengths(lengths, x, dim)
            work = zero_padding(work, lengths, dim)
        if cutoff == 0:
            low = torch.zeros_like(work)
        else:
            coefficients = dct(work, dim=dim, keep=cutoff, lengths=lengths)
            low = idct(coefficients, dim=dim, size=n, lengths=lengths)
        return Bands(low.to(x.dtype), (work - low).to(x.dtype))


@named_options
def resample(x: Tensor, size: int, *, dim: int, lengths: Tensor | None = None) -> Tensor:
    r"""Resample one axis to ``size`` points in the DCT domain (band-limited).

    The signal is read as a sum of cosines over the clip; its n samples lie at the middles of
    n equal intervals, the result's at the middles of ``size`` ones. Down-sampling drops the
    cosines that ``size`` points cannot represent.

    Parameters
    ----------
    x : Tensor
        Real tensor with n points along ``dim``.
    size : int
        Points of the result, at least 1.
    dim : int
        Axis to resample.
    lengths : Tensor, optional
        [N] points really present, see :func:`dct`: the first ``lengths[i]`` points of sample i
        become ``size`` points. A sample of no points becomes 0.

    Returns
    -------
    Tensor
        ``x`` with ``size`` points along ``dim``; dtype of ``x``.

    Raises
    ------
    TypeError
        ``x`` is not real floating point, ``size`` or ``dim`` is no integer.
    ValueError
        ``size`` below 1; ``dim`` outside ``x``, an empty axis, lengths outside [0, n].

    Notes
    -----
    Exact for a signal without coefficients at or above ``min(n, size)``; a constant stays
    that constant. Cost: 2·R·n·size operations on short axes, two transforms on long ones.
    Source: the DCT-II interpolation formula; FD-MAE leaves its resampling open.

    Examples
    --------
    >>> resample(torch.tensor([1.0, 1.0]), 4, dim=0).round(decimals=4)
    tensor([1., 1., 1., 1.])
    """
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    size, n = check_int("size", size, 1), x.shape[dim]
    with autocast_off(x):
        work = x.to(compute_dtype(x))
        if lengths is not None:
            lengths = check_lengths(lengths, x, dim)
            matrix = _padded(lengths, n, size, work)
            return apply_along(matrix, zero_padding(work, lengths, dim), dim).to(x.dtype)
        shared = torch.sym_min(n, size)  # type: ignore[no-untyped-call]
        if _route.cosine(work, shared, "auto", padded=False) == "product":
            analysis = basis("dct", n, shared, work.dtype, x.device)
            synthesis = basis("idct", size, shared, work.dtype, x.device)
            out = apply_along((size / n) ** 0.5 * (synthesis @ analysis), work, dim)
        else:
            out = idct(dct(work, dim=dim, keep=shared), dim=dim, size=size) * (size / n) ** 0.5
        return out.to(x.dtype)


def _padded(lengths: Tensor, n: int, size: int, like: Tensor) -> Tensor:
    """Return [N, size, n]: the resampling of each sample's own length."""
    rows = torch.sym_min(n, size)  # type: ignore[no-untyped-call]
    analysis = padded_dct_basis(lengths, n, rows, torch.float64)
    synthesis = basis("idct", size, rows, torch.float64, like.device)
    scale = (size / lengths.clamp(min=1).double()).sqrt().view(-1, 1, 1)
    return (scale * (synthesis @ analysis)).to(like.dtype)
