"""The DCT-II along any axis, and what it makes possible: gains, bands, resampling."""

from __future__ import annotations

import math

import torch
import torch_dct
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_floating,
    check_int,
    check_lengths,
    check_option,
    compute_dtype,
)
from skelfreq.functional._basis import (
    Kind,
    apply_along,
    basis,
    padded_dct_basis,
    unscaled_factors,
    zero_padding,
)

# Up to here one product with the basis beats torch-dct's FFT, forward and backward, along the
# last axis and along time of [N, C, T, V] (docs/benchmarks.md, `benchmarks/dct_crossover.py`).
BASIS_MAX_POINTS = 256


def dct(
    x: Tensor, dim: int = -1, norm: str | None = "ortho", lengths: Tensor | None = None
) -> Tensor:
    r"""Discrete cosine transform of type II along one axis.

    .. math:: X_k = s_k \sum_t x_t \cos\frac{\pi (2t+1) k}{2n}

    with :math:`s_0=\sqrt{1/n}`, :math:`s_k=\sqrt{2/n}` for ``norm="ortho"`` and :math:`s_k=2`
    for ``norm=None``.

    Parameters
    ----------
    x : Tensor
        Real tensor of any rank and layout.
    dim : int
        Axis to transform.
    norm : {"ortho", None, "backward"}
        scipy's scaling of that name; "backward" is another name of None.
    lengths : Tensor, optional
        [N] integers along axis 0: the points really present. Sample i is transformed as a
        signal of ``lengths[i]`` points, coefficients behind them are 0. Values are checked on
        the CPU and clamped to [0, n] elsewhere.

    Returns
    -------
    Tensor
        Coefficients in the shape and dtype of ``x``; fp16 and bf16 are computed in fp32.

    Raises
    ------
    TypeError
        ``x`` is not real floating point, or ``lengths`` is not integer.
    ValueError
        Unknown ``norm``, ``dim`` outside ``x``, an empty axis, lengths outside [0, n].

    Notes
    -----
    Cost for R rows of n points: 2Rn² operations up to n = 256 (one product with the basis),
    O(R n log n) beyond (torch-dct). With ``lengths``: 2Rn² and one n × n basis per sample.
    Source: equal to ``scipy.fft.dct(x, type=2)``.

    Examples
    --------
    >>> dct(torch.ones(1, 3, 4, 25), dim=-2)[0, 0, :, 0]
    tensor([2., 0., 0., 0.])
    """
    return _transform("dct", x, dim, norm, lengths)


def idct(
    x: Tensor, dim: int = -1, norm: str | None = "ortho", lengths: Tensor | None = None
) -> Tensor:
    """Inverse of :func:`dct` with the same arguments (a DCT of type III).

    Parameters
    ----------
    x : Tensor
        Coefficients, real, of any rank.
    dim : int
        Axis that holds the coefficients.
    norm : {"ortho", None, "backward"}
        The scaling :func:`dct` was called with.
    lengths : Tensor, optional
        [N] integers: only the first ``lengths[i]`` coefficients of sample i count, and points
        behind ``lengths[i]`` are 0.

    Returns
    -------
    Tensor
        The signal, in the shape and dtype of ``x``.

    Raises
    ------
    TypeError, ValueError
        As :func:`dct`.

    Notes
    -----
    Cost as :func:`dct`. Source: equal to ``scipy.fft.idct(x, type=2)``.

    Examples
    --------
    >>> x = torch.randn(2, 3, 7, 5, dtype=torch.float64)
    >>> torch.allclose(idct(dct(x, dim=2), dim=2), x)
    True
    """
    return _transform("idct", x, dim, norm, lengths)


def _transform(kind: Kind, x: Tensor, dim: int, norm: str | None, lengths: Tensor | None) -> Tensor:
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    check_option("norm", norm, ("ortho", None, "backward"))
    if lengths is not None:
        check_lengths(lengths, x, dim)
    unscaled = norm != "ortho"
    with autocast_off(x):
        work = x.to(compute_dtype(x))
        if lengths is not None:
            out = _padded_transform(kind, work, dim, unscaled, lengths.to(x.device))
        elif _short(work, dim):
            full: Kind = f"{kind}_unscaled" if unscaled else kind  # type: ignore[assignment]
            out = apply_along(basis(full, x.shape[dim], work.dtype, x.device), work, dim)
        else:
            function = torch_dct.dct if kind == "dct" else torch_dct.idct
            out = function(work.movedim(dim, -1), norm=None if unscaled else norm)
            out = out.movedim(-1, dim)
        return out.to(x.dtype)


def _short(x: Tensor, dim: int) -> bool:
    # torch-dct's FFT refuses an empty batch; the product does not.
    return x.shape[dim] <= BASIS_MAX_POINTS or x.numel() == 0


def _padded_transform(kind: Kind, x: Tensor, dim: int, unscaled: bool, lengths: Tensor) -> Tensor:
    x = zero_padding(x, lengths, dim)
    matrix = padded_dct_basis(lengths, x.shape[dim], x.dtype)
    if unscaled:
        factors = unscaled_factors(x.shape[dim], lengths.clamp(min=1).unsqueeze(1))
        factors = factors.to(x.dtype).unsqueeze(-1)
        matrix = matrix * factors if kind == "dct" else matrix / factors
    return apply_along(matrix if kind == "dct" else matrix.mT, x, dim)


def dct_matrix(
    n: int, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Orthonormal DCT-II as a matrix: row k is basis function k.

    Parameters
    ----------
    n : int
        Number of points, at least 1.
    dtype : torch.dtype, optional
        Floating-point dtype; the default dtype if not given. Built in fp64, then rounded.
    device : torch.device, optional
        Device of the result.

    Returns
    -------
    Tensor
        A new [n, n] tensor ``C`` with ``C @ x == dct(x)`` and ``C.T @ C`` the identity.

    Raises
    ------
    ValueError
        ``n`` below 1.
    TypeError
        ``n`` is no integer, or ``dtype`` is not real floating point.

    Notes
    -----
    Cost: n² cosines. Source: ``scipy.fft.dct(numpy.eye(n), norm="ortho", axis=0)``.

    Examples
    --------
    >>> dct_matrix(2)
    tensor([[ 0.7071,  0.7071],
            [ 0.7071, -0.7071]])
    """
    check_int("n", n, 1)
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if not dtype.is_floating_point:
        raise TypeError(f"dtype must be a real floating-point dtype, got {dtype}.")
    where = torch.get_default_device() if device is None else torch.device(device)
    return basis("dct", n, dtype, where).clone()


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
        The last axis of ``gain`` is not n, or its other axes do not broadcast.

    Notes
    -----
    One gain curve on a short axis is a single n × n operator, ``Cᵀ diag(gain) C``: half the
    arithmetic of two transforms, and its gradient to ``gain`` comes from the same product.
    Cost for R rows: 2Rn² + 2n³ operations up to n = 256.
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
        if lengths is None and gain.ndim == 1 and _short(work, dim):
            matrix = basis("dct", n, work.dtype, x.device)
            out = apply_along(matrix.mT @ (curve.unsqueeze(1) * matrix), work, dim)
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
        ``cutoff`` outside [0, n].

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
        if lengths is None and _short(work, dim):
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
        ``size`` below 1.

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
        if size <= BASIS_MAX_POINTS and _short(work, dim):
            analysis = basis("dct", n, work.dtype, x.device)[:shared]
            synthesis = basis("dct", size, work.dtype, x.device)[:shared]
            out = apply_along(math.sqrt(size / n) * (synthesis.mT @ analysis), work, dim)
        else:
            kept = dct(work, dim).narrow(dim, 0, shared)
            missing = [*kept.shape]
            missing[dim] = size - shared
            out = idct(torch.cat([kept, kept.new_zeros(missing)], dim), dim)
            out = out * math.sqrt(size / n)
        return out.to(x.dtype)
