"""Pooling along time: the mean, and the amplitude of each band of DCT coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_int,
    check_number,
    check_option,
    check_skeletons,
    compute_dtype,
    named_options,
)
from skelfreq.functional._axis import apply_along, check_lengths
from skelfreq.functional.cosine import dct

AXES = (-2, -1, 2, 3)


@named_options
def band_pool(
    x: Tensor,
    *,
    edges: Sequence[float],
    dim: Literal[-2, -1, 2, 3] = -2,
    lengths: Tensor | None = None,
    frame_rate: float | None = None,
) -> Tensor:
    r"""Pool one axis to its mean and the amplitude of each band of DCT coefficients.

    .. math:: A_b = \sqrt{\frac{2}{n} \sum_{k \in b} X_k^2}

    with the orthonormal coefficients :math:`X_k` of n points. A cosine of amplitude a that is one
    basis function, k ≥ 1, gives a in its band and 0 in the others.

    Parameters
    ----------
    x : Tensor
        [N, D, T, V], n points along ``dim``.
    edges : sequence of int or float
        First coefficient of each of the B bands, ascending: a band reaches up to, not including,
        the next edge, the last one to the highest coefficient. Integers from 1 on: (1, 3) are the
        bands {1, 2} and {3, 4, …}. With ``frame_rate``: frequencies in Hz from 0 on.
    dim : {-2, -1, 2, 3}
        Axis to pool: frames or joints.
    lengths : Tensor, optional
        [N] points really present, see :func:`dct`: n of each sample is its own.
    frame_rate : float, optional
        Points per second; coefficient k is then ``k * frame_rate / (2n)`` Hz. One whose frequency
        equals an edge, to rounding, belongs to the band above it.

    Returns
    -------
    Tensor
        [N, (1 + B)·D, V] for frames, [N, (1 + B)·D, T] for joints; dtype of ``x``. The first D
        channels are the means, the next D the amplitudes of the first band, and so on. A band
        without a coefficient is 0, and so is a sample without points.

    Raises
    ------
    TypeError
        ``x`` is not real floating point, ``edges`` is no sequence of numbers, an edge without
        ``frame_rate`` is no integer, ``lengths`` is not integer.
    ValueError
        Other than 4 axes, no edge, edges that do not ascend or are below 1 (below 0 Hz), a
        ``frame_rate`` that is not positive, ``dim`` is neither frames nor joints, an empty axis,
        lengths outside [0, n].

    Notes
    -----
    Coefficient 0 is in no band. All bands from coefficient 1 on together are the standard
    deviation: :math:`\sum_b A_b^2 = 2 σ^2`, with division by n. Reversal in time changes no
    amplitude, and a shift in time changes them little. An amplitude of exactly 0 has gradient 0.
    Squares underflow or overflow in fp32 for values below 1e-19 or above 1e18.
    Cost for R rows: one :func:`dct` and RnB operations.
    Source: Parseval's theorem for the DCT-II; as a pooling of features it is ours.

    Examples
    --------
    >>> x = 5 + 2 * torch.cos(torch.pi / 8 * 3 * (torch.arange(8) + 0.5))
    >>> band_pool(x.view(1, 1, 8, 1), edges=(1, 3)).flatten().round(decimals=4)
    tensor([5., 0., 2.])
    """
    check_skeletons("x", x)
    check_option("dim", dim, AXES)
    edges = check_band_edges(edges, frame_rate)
    dim = check_axis("x", x, dim)  # type: ignore[assignment]
    n = x.shape[dim]
    points = torch.full((), n, device=x.device)
    if lengths is not None:
        lengths = check_lengths(lengths, x, dim)
        points = lengths.clamp(min=1)
    with autocast_off(x):
        spectrum = dct(x.to(compute_dtype(x)), dim=dim, lengths=lengths)
        size = points.to(spectrum.dtype).view(-1, 1, 1, 1)
        mean = spectrum.narrow(dim, 0, 1) / size.sqrt()
        members = _members(edges, n, points, frame_rate).to(spectrum.dtype)
        power = apply_along(members, spectrum.square(), dim) * (2 / size)
        # The root has no gradient at 0, an exactly empty band.
        some = power > 0
        amplitude = torch.where(some, torch.where(some, power, 1).sqrt(), 0)
        # From [N, D, 1 + B, V] or, for joints, [N, D, T, 1 + B].
        return torch.cat([mean, amplitude], dim).movedim(dim, 1).flatten(1, 2).to(x.dtype)


def check_band_edges(edges: Sequence[float], frame_rate: float | None) -> tuple[float, ...]:
    """Return ``edges`` as a tuple; raise unless they ascend from 1, or from 0 Hz."""
    if isinstance(edges, (str, Tensor)) or not hasattr(edges, "__iter__"):
        raise TypeError(f"edges must be a sequence of numbers, got {edges!r}.")
    found: tuple[float, ...]
    if frame_rate is None:
        found = tuple(
            check_int(f"edges[{i}]", edge, 1)  # type: ignore[arg-type]  # it raises
            for i, edge in enumerate(edges)
        )
    else:
        if not 0 < check_number("frame_rate", frame_rate) < math.inf:
            raise ValueError(f"frame_rate must be positive and finite, got {frame_rate}.")
        found = tuple(check_number(f"edges[{i}]", edge) for i, edge in enumerate(edges))
    ascending = all(low < high for low, high in pairwise((*found, math.inf)))
    if not found or not ascending or found[0] < 0:
        raise ValueError(
            f"edges must be one or more finite numbers from 0 on in ascending order, got {edges!r}."
        )
    return found


def _members(edges: tuple[float, ...], n: int, points: Tensor, rate: float | None) -> Tensor:
    """Return bool [B, n], or [N, B, n] for ``points`` [N]: the coefficients of each band."""
    place = k = torch.arange(n, device=points.device)
    if rate is not None:
        # A little higher than they are: rounding must not put one below an edge it equals.
        place = k * ((1 + 1e-12) * rate / (2 * points.double())).unsqueeze(-1)
    limits = pairwise((*edges, math.inf))
    return torch.stack([(low <= place) & (place < high) & (k > 0) for low, high in limits], -2)
