"""Gains on DCT coefficients, and the gain curves of frequency bands."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_floating,
    check_int,
    check_number,
    check_option,
    compute_dtype,
    named_options,
)
from skelfreq.functional import _route
from skelfreq.functional._axis import apply_along
from skelfreq.functional._bases import constant, gain_matrix
from skelfreq.functional._route import Method
from skelfreq.functional.cosine import METHODS, dct, idct

Last = Literal["include", "released"]
LAST = ("include", "released")


@named_options
def apply_gain(
    x: Tensor,
    gain: Tensor,
    *,
    dim: int,
    lengths: Tensor | None = None,
    method: Method = "auto",
) -> Tensor:
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
    method : {"auto", "matmul", "fft", "torch-dct"}
        How the transforms are computed, see :func:`dct`.

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
        ``x``, an empty axis, lengths outside [0, n]; an unknown ``method``, or "fft" or
        "torch-dct" with ``lengths``.

    Notes
    -----
    One gain curve on a short axis of 3n rows or more is a single n × n operator,
    ``Cᵀ diag(gain) C``: half the arithmetic of two transforms, and its gradient to ``gain`` comes
    from the same product. Nothing of the size of ``x`` but ``x`` is saved for the gradient,
    except the coefficients of small tensors.
    Cost for R rows: 2Rn² + 2n³ operations with it, 4Rn² for fewer rows, O(R n log n) for a
    long axis; docs/spectral.md says which axes are short.
    Source: FS-VAE, section 3.2 (frequency-enhanced module).

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0, 3.0])
    >>> apply_gain(x, torch.tensor([1.0, 0.0, 0.0]), dim=0).round(decimals=4)
    tensor([2., 2., 2.])
    """
    check_floating("x", x)
    check_floating("gain", gain)
    dim = check_axis("x", x, dim)
    check_option("method", method, METHODS)
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
        if _route.gain(work, gain.ndim == 1, lengths is not None, method) == "fast":
            from skelfreq.functional import _gain_fast

            return _gain_fast.apply_curve(work, curve, dim, _plain_gain).to(x.dtype)
        return _plain_gain(work, curve, dim=dim, lengths=lengths, method=method).to(x.dtype)


def _plain_gain(
    x: Tensor,
    gain: Tensor,
    *,
    dim: int,
    lengths: Tensor | None = None,
    method: Method = "auto",
) -> Tensor:
    """Return ``idct(gain * dct(x))``, in one product where that pays."""
    one = gain.ndim == 1 and lengths is None and method in ("auto", "matmul")
    if one and _route.gain_operator(x, gain.shape[0]):
        return apply_along(gain_matrix(gain), x, dim)
    spectrum = dct(x, dim=dim, lengths=lengths, method=method).movedim(dim, -1)
    shape = spectrum.shape[spectrum.ndim - gain.ndim :]
    if any(g not in (1, s) for g, s in zip(gain.shape, shape, strict=True)):
        raise ValueError(
            f"gain must broadcast with the other axes of x, {tuple(shape[:-1])}, "
            f"got shape {tuple(gain.shape)}."
        )
    return idct((spectrum * gain).movedim(-1, dim), dim=dim, lengths=lengths, method=method)


@named_options
def band_edges(n: int, num_bands: int, *, last: Last = "include") -> Tensor:
    r"""Divide the coefficients of an axis into bands: :math:`e_i = \lfloor i (n - 1) / b \rfloor`.

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
    n, num_bands = check_int("n", n, 1), check_int("num_bands", num_bands, 1)
    check_option("last", last, LAST)
    return edges_of(n, num_bands, last)


def edge_list(n: int, num_bands: int, last: Last) -> list[int]:
    """Return :func:`band_edges` as integers."""
    edges = [i * (n - 1) // num_bands for i in range(num_bands)]
    return [*edges, n if last == "include" else n - 1]


def edges_of(n: int, num_bands: int, last: Last, device: torch.device | None = None) -> Tensor:
    """Return :func:`band_edges` on a device."""
    band = torch.arange(num_bands + 1, device=device)
    edges = band * (n - 1) // num_bands
    return torch.where(band == num_bands, n, edges) if last == "include" else edges


@named_options
def band_gains(
    n: int,
    weights: Tensor,
    split: int,
    strength: float | Tensor,
    *,
    divisor: int = 1,
    last: Last = "include",
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
        See :func:`band_edges`; a coefficient without a band has gain 1.

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
    if isinstance(strength, Tensor):
        if strength.numel() != 1:
            raise ValueError(f"strength must be one number, got shape {tuple(strength.shape)}.")
    elif not math.isfinite(check_number("strength", strength)):
        raise ValueError(f"strength must be finite, got {strength}.")
    n, divisor = check_int("n", n, 1), check_int("divisor", divisor, 1)
    split = check_int("split", split, 0)
    check_option("last", last, LAST)
    with autocast_off(weights):
        work = weights.to(compute_dtype(weights))
        if isinstance(strength, Tensor):
            strength = strength.to(work).reshape(())
        matrix = _band_matrix(n, work.shape[0], split, divisor, last, work.dtype, work.device)
        # One product: its gradient is another, where that of an index would be a slow scatter.
        return torch.addmv(work.new_ones(1), matrix, work * strength)


@constant
def _band_matrix(
    n: int,
    num_bands: int,
    split: int,
    divisor: int,
    last: Last,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Return [n, num_bands]: the derivative of each gain by w κ, one entry a row at most."""
    edges = edges_of(n, num_bands, last, device)
    coefficient = torch.arange(n, device=device).unsqueeze(1)
    band = torch.arange(num_bands, device=device)
    inside = (edges[:-1] <= coefficient) & (coefficient < edges[1:])
    factor = torch.where(
        edges[1:] <= split, num_bands - band, band - num_bands // divisor - num_bands
    )
    return torch.where(inside, factor, 0).to(dtype) / num_bands
