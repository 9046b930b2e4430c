"""The DCT-II and its inverse along any axis."""

from __future__ import annotations

import torch
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
from skelfreq.functional._fft_cosine import along, long_transform

# Up to here one product with the basis is at least as fast as an FFT, along the last axis and
# along time of [N, C, T, V] (docs/benchmarks.md, `benchmarks/dct_crossover.py`).
BASIS_MAX_POINTS = 256
# Compiled and exported graphs keep the product longer: it spares them the complex numbers.
COMPILED_BASIS_MAX_POINTS = 512


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
    Cost for R rows of n points: 2Rn² operations up to n = 256, compiled up to 512 (one product
    with the basis), O(R n log n) beyond (one real FFT of n points). With ``lengths``: 2Rn² and
    one n × n basis per sample.
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
    n = x.shape[dim]
    with autocast_off(x):
        work = x.to(compute_dtype(x))
        if lengths is not None:
            out = _padded_transform(kind, work, dim, unscaled, lengths.to(x.device))
        elif is_short(work, dim):
            full: Kind = f"{kind}_unscaled" if unscaled else kind  # type: ignore[assignment]
            out = apply_along(basis(full, n, work.dtype, x.device), work, dim)
        elif not unscaled:
            out = long_transform(work, dim, kind == "idct")
        else:
            size = torch.full((1,), n, device=x.device)
            factors = along(unscaled_factors(n, size).to(work.dtype), dim, x.ndim)
            if kind == "dct":
                out = long_transform(work, dim, inverse=False) * factors
            else:
                out = long_transform(work / factors, dim, inverse=True)
        return out.to(x.dtype)


def is_short(x: Tensor, dim: int, size: int = 1) -> bool:
    """Whether axis ``dim``, and one of ``size`` points, is one to multiply by a basis."""
    compiling = torch.compiler.is_compiling()
    most = COMPILED_BASIS_MAX_POINTS if compiling else BASIS_MAX_POINTS
    # An FFT refuses an empty batch; the product does not.
    return max(x.shape[dim], size) <= most or x.numel() == 0


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
