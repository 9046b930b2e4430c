"""Gain curves of frequency bands: amplify the low ones, attenuate the high ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_floating,
    check_int,
    check_option,
    compute_dtype,
)

LAST = ("include", "released")


def band_edges(n: int, num_bands: int, last: str = "include") -> Tensor:
    r"""Cut the coefficients of an axis into bands: :math:`e_i = \lfloor i (n - 1) / b \rfloor`.

    Parameters
    ----------
    n : int
        Coefficients, at least 1.
    num_bands : int
        Bands b, at least 1. With more bands than coefficients some are empty.
    last : {"include", "released"}
        Where the last band ends: at n, so that every coefficient has a band, or at n − 1, which
        leaves the last coefficient without one, as the release of FS-VAE does.

    Returns
    -------
    Tensor
        int64 [num_bands + 1], not decreasing; band i holds coefficients ``edges[i]`` up to but
        not including ``edges[i + 1]``.

    Raises
    ------
    TypeError
        ``n`` or ``num_bands`` is no integer.
    ValueError
        ``n`` or ``num_bands`` below 1, or an unknown ``last``.

    Notes
    -----
    Exact integer arithmetic. A rounded ``linspace``, which the release uses, is one too low for
    some pairs (n = 17, b = 30 among the small ones).
    Cost: O(num_bands). Source: FS-VAE, section 3.2, and its released code.

    Examples
    --------
    >>> band_edges(10, 3)
    tensor([ 0,  3,  6, 10])
    >>> band_edges(10, 3, last="released")
    tensor([0, 3, 6, 9])
    """
    check_int("n", n, 1)
    check_int("num_bands", num_bands, 1)
    check_option("last", last, LAST)
    edges = torch.arange(num_bands + 1) * (n - 1) // num_bands
    if last == "include":
        edges[-1] = n
    return edges


def band_gains(
    n: int,
    weights: Tensor,
    split: int,
    strength: float | Tensor,
    divisor: int = 1,
    last: str = "include",
) -> Tensor:
    r"""Gain of every coefficient: low bands amplified, high bands attenuated.

    For coefficient k in band i of b, with strength κ, split φ and divisor m:

    .. math::
        g_k = \begin{cases}
            1 + w_i κ (1 - i/b) & \text{if } e_{i+1} \le φ \\
            1 - w_i κ (1 - (i - \lfloor b/m \rfloor)/b) & \text{otherwise}
        \end{cases}

    Parameters
    ----------
    n : int
        Coefficients of the axis.
    weights : Tensor
        [num_bands], w.
    split : int
        φ, a coefficient's index, at least 0: bands that end at or below it are amplified.
    strength : float or Tensor
        κ, a number or a tensor of one element.
    divisor : int
        m, at least 1.
    last : {"include", "released"}
        See :func:`band_edges`; a coefficient without a band keeps gain 1.

    Returns
    -------
    Tensor
        [n], differentiable in ``weights`` and ``strength``; fp64 for fp64 weights, else fp32.
        Not clamped: a large ``weights * strength`` makes gains negative.

    Raises
    ------
    TypeError
        ``weights`` is not real floating point, or an integer argument is none.
    ValueError
        ``weights`` has other than 1 axis or no entry, ``strength`` is a tensor of more than one
        element, or an argument is out of range.

    Notes
    -----
    With m = 1 the attenuation is strongest just above the split (2κ at most) and fades to κ at
    the highest frequency.
    Cost: O(n · num_bands). Source: FS-VAE, section 3.2, and its released code.

    Examples
    --------
    >>> band_gains(6, torch.ones(3), split=3, strength=0.3)
    tensor([1.3000, 1.2000, 1.2000, 0.6000, 0.6000, 0.6000])
    """
    check_floating("weights", weights)
    if weights.ndim != 1 or weights.shape[0] == 0:
        raise ValueError(f"weights must have shape [num_bands], got {tuple(weights.shape)}.")
    if isinstance(strength, Tensor) and strength.numel() != 1:
        raise ValueError(f"strength must be one number, got shape {tuple(strength.shape)}.")
    if not isinstance(strength, Tensor) and not math.isfinite(strength):
        raise ValueError(f"strength must be finite, got {strength}.")
    num_bands = weights.shape[0]
    slopes = band_slopes(n, num_bands, split, divisor, last)
    return gains_of_bands(weights, strength, slopes.to(weights.device))


def band_slopes(n: int, num_bands: int, split: int, divisor: int, last: str) -> Tensor:
    """Return [n, num_bands] int32: num_bands · d gain / d(w κ), one entry a row at most.

    They are kept as whole numbers, so that a module cast to half precision loses nothing.
    """
    edges = band_edges(n, num_bands, last)
    check_int("split", split, 0)
    check_int("divisor", divisor, 1)
    coefficient, band = torch.arange(n).unsqueeze(1), torch.arange(num_bands)
    inside = (edges[:-1] <= coefficient) & (coefficient < edges[1:])
    slope = torch.where(
        edges[1:] <= split, num_bands - band, band - num_bands // divisor - num_bands
    )
    return torch.where(inside, slope, 0).int()


def gains_of_bands(weights: Tensor, strength: float | Tensor, slopes: Tensor) -> Tensor:
    """Return the gains [n] of bands described by :func:`band_slopes`."""
    with autocast_off(weights):
        work = weights.to(compute_dtype(weights))
        if isinstance(strength, Tensor):
            strength = strength.to(work).reshape(())
        # One product: its gradient is another, where that of an index would be a slow scatter.
        matrix = slopes.to(work.dtype) / weights.shape[0]
        return torch.addmv(work.new_ones(1), matrix, work * strength)
