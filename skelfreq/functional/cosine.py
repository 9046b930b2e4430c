"""The DCT-II and its inverse along any axis."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_floating,
    check_int,
    check_option,
    compute_dtype,
    named_options,
)
from skelfreq.functional import _route
from skelfreq.functional._axis import check_lengths
from skelfreq.functional._bases import basis
from skelfreq.functional._cosine_plain import Direction, by_product, by_torch_dct, rescaled
from skelfreq.functional._route import Method

Norm = Literal["ortho", "backward"] | None
NORMS = ("ortho", None, "backward")
METHODS = ("auto", "matmul", "fft", "torch-dct")


@named_options
def dct(
    x: Tensor,
    *,
    dim: int,
    norm: Norm = "ortho",
    keep: int | None = None,
    lengths: Tensor | None = None,
    method: Method = "auto",
) -> Tensor:
    r"""Discrete cosine transform of type II along one axis.

    .. math:: X_k = s_k \sum_t x_t \cos\frac{\pi (2t+1) k}{2n}

    with :math:`s_0=\sqrt{1/n}`, :math:`s_k=\sqrt{2/n}` for ``norm="ortho"`` and :math:`s_k=2`
    for ``norm=None``.

    Parameters
    ----------
    x : Tensor
        Real tensor of any rank and layout, n points along ``dim``.
    dim : int
        Axis to transform: -2 for the frames of [N, C, T, V], -1 for its joints.
    norm : {"ortho", None, "backward"}
        scipy's scaling of that name; "backward" is another name of None.
    keep : int, optional
        Return only the first ``keep`` coefficients, 1 to n; all if not given.
    lengths : Tensor, optional
        [N] integers along axis 0: the points really present. Sample i is transformed as a
        signal of ``lengths[i]`` points, coefficients from there on are 0. Values outside [0, n]
        raise in eager code on the CPU and are clamped elsewhere.
    method : {"auto", "matmul", "fft", "torch-dct"}
        How it is computed: by the fastest way for n; by a product with the basis; by an FFT; by
        the package torch-dct. The numbers agree to rounding.

    Returns
    -------
    Tensor
        Coefficients in the dtype of ``x``, ``keep`` or n along ``dim``; fp16 and bf16 are
        computed in fp32.

    Raises
    ------
    TypeError
        ``x`` is not real floating point, ``lengths`` is not integer, ``keep`` or ``dim`` is no
        integer.
    ValueError
        Unknown ``norm`` or ``method``, ``dim`` outside ``x``, an empty axis, ``keep`` outside
        [1, n], lengths outside [0, n], "fft" or "torch-dct" with ``lengths``.

    Notes
    -----
    Cost for R rows of n points: 2Rn·keep operations for a short axis (one product with the
    basis), O(R n log n) for a long one (one real FFT of n points). With ``lengths``: 2Rn·keep
    operations and one basis per sample. docs/spectral.md says which axes are short.
    Source: equal to ``scipy.fft.dct(x, type=2)``.

    Examples
    --------
    >>> dct(torch.ones(1, 3, 4, 25), dim=-2)[0, 0, :, 0]
    tensor([2., 0., 0., 0.])
    """
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    n = x.shape[dim]
    keep = n if keep is None else check_int("keep", keep, 1, n)
    return _transform("dct", x, dim, n, keep, norm, lengths, method)


@named_options
def idct(
    x: Tensor,
    *,
    dim: int,
    norm: Norm = "ortho",
    size: int | None = None,
    lengths: Tensor | None = None,
    method: Method = "auto",
) -> Tensor:
    """Inverse of :func:`dct` with the same arguments (a DCT of type III).

    Parameters
    ----------
    x : Tensor
        Coefficients, real, of any rank; k along ``dim``.
    dim : int
        Axis that holds the coefficients.
    norm : {"ortho", None, "backward"}
        The scaling :func:`dct` was called with.
    size : int, optional
        Points n of the signal, at least k: the coefficients that are missing count as 0. k
        points if not given.
    lengths : Tensor, optional
        [N] integers in [0, n]: only the first ``lengths[i]`` coefficients of sample i count, and
        points from ``lengths[i]`` on are 0.
    method : {"auto", "matmul", "fft", "torch-dct"}
        As in :func:`dct`.

    Returns
    -------
    Tensor
        The signal, n points along ``dim``; dtype of ``x``.

    Raises
    ------
    TypeError, ValueError
        As :func:`dct`; ``size`` below the number of coefficients.

    Notes
    -----
    Cost for R rows: 2Rnk operations for a short axis, else as :func:`dct`. Source: equal to
    ``scipy.fft.idct(x, type=2, n=size)``.

    Examples
    --------
    >>> x = torch.randn(2, 3, 7, 5, dtype=torch.float64)
    >>> torch.allclose(idct(dct(x, dim=2), dim=2), x)
    True
    >>> idct(dct(torch.ones(4), dim=0, keep=1), dim=0, size=4)
    tensor([1., 1., 1., 1.])
    """
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    coefficients = x.shape[dim]
    n = coefficients if size is None else check_int("size", size, coefficients)
    return _transform("idct", x, dim, n, coefficients, norm, lengths, method)


def _transform(
    kind: Direction,
    x: Tensor,
    dim: int,
    n: int,
    coefficients: int,
    norm: Norm,
    lengths: Tensor | None,
    method: Method,
) -> Tensor:
    check_option("norm", norm, NORMS)
    check_option("method", method, METHODS)
    if lengths is not None:
        if method in ("fft", "torch-dct"):
            raise ValueError(f"method must be 'auto' or 'matmul' with lengths, got {method!r}.")
        lengths = check_lengths(lengths, x, dim, n)
    unscaled = norm != "ortho"
    with autocast_off(x):
        work = x.to(compute_dtype(x))
        way = _route.cosine(work, coefficients, method, lengths is not None)
        if way == "product":
            out = by_product(kind, work, dim, n, coefficients, unscaled, lengths)
            return out.to(x.dtype)
        if kind == "idct":
            work = rescaled(kind, work, dim, n) if unscaled else work
            work = _zero_filled(work, dim, n)
        if way == "fast":
            from skelfreq.functional import _cosine_fast

            out = _cosine_fast.transform(work, dim, kind == "idct")
        else:
            out = by_torch_dct(kind, work, dim)
        if kind == "dct":
            out = out.narrow(dim, 0, coefficients)
            out = rescaled(kind, out, dim, n) if unscaled else out
        return out.to(x.dtype)


def _zero_filled(x: Tensor, dim: int, n: int) -> Tensor:
    """Append zeros along ``dim``, up to ``n`` entries."""
    if x.shape[dim] == n:
        return x
    missing = [*x.shape]
    missing[dim] = n - x.shape[dim]
    return torch.cat([x, x.new_zeros(missing)], dim)


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
        A new [n, n] tensor ``C`` with ``C @ x == dct(x, dim=0)`` and ``C.T @ C`` the identity.

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
    n = check_int("n", n, 1)
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a real floating-point torch.dtype, got {dtype!r}.")
    where = torch.get_default_device() if device is None else torch.device(device)
    return basis("dct", n, n, dtype, where).clone()
