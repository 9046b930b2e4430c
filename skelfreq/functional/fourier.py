"""The real-input DFT as pairs of real tensors, and the frequency measure of FD-MAE's Fig. 4."""

from __future__ import annotations

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
from skelfreq.functional._axis import check_lengths
from skelfreq.functional._fourier_plain import from_pair, to_pair


@named_options
def rdft(x: Tensor, *, dim: int, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Orthonormal DFT of a real signal along one axis, as a real pair.

    Parameters
    ----------
    x : Tensor
        Real tensor with n points along ``dim``.
    dim : int
        Axis to transform.
    lengths : Tensor, optional
        [N] integers along axis 0: the points really present. Sample i is transformed as a
        signal of ``lengths[i]`` points: its bin k is k periods over those, and bins above
        ``lengths[i] // 2`` are 0. Checked and clamped as in :func:`dct`.

    Returns
    -------
    re, im : Tensor
        Real and imaginary part of bins 0 … n//2; ``n // 2 + 1`` entries along ``dim``, dtype
        of ``x``. Bin k is k periods over the axis. ``im`` is exactly 0 at DC and, for even n,
        at Nyquist.

    Raises
    ------
    TypeError
        ``x`` is not real floating point, or ``lengths`` is not integer.
    ValueError
        ``dim`` outside ``x``, an empty axis, lengths outside [0, n].

    Notes
    -----
    Cost for R rows: 2Rn² operations for a short axis (one product), O(R n log n) for a long
    one (FFT); docs/spectral.md says which axes are short.
    With ``lengths``: 2Rn² and one n × n basis per sample.
    Source: equal to ``torch.fft.rfft(x, dim=dim, norm="ortho")``.

    Examples
    --------
    >>> re, im = rdft(torch.ones(2, 3, 4, 25), dim=2)
    >>> re.shape, im.shape
    (torch.Size([2, 3, 3, 25]), torch.Size([2, 3, 3, 25]))
    """
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    if lengths is not None:
        lengths = check_lengths(lengths, x, dim)
    with autocast_off(x):
        re, im = to_pair(x.to(compute_dtype(x)), dim, lengths)
        return re.to(x.dtype), im.to(x.dtype)


@named_options
def irdft(re: Tensor, im: Tensor, n: int, *, dim: int, lengths: Tensor | None = None) -> Tensor:
    """Inverse of :func:`rdft`: a real signal of ``n`` points from half a spectrum.

    Parameters
    ----------
    re, im : Tensor
        Real and imaginary part, ``n // 2 + 1`` entries along ``dim``, same shape and dtype.
        Imaginary parts at DC and, for even n, at Nyquist have no meaning for a real signal and are
        ignored.
    n : int
        Points of the signal; needed because n and n + 1 can share a number of bins.
    dim : int
        Axis that holds the bins.
    lengths : Tensor, optional
        [N] integers: only the first ``lengths[i] // 2 + 1`` bins of sample i count, and points
        from ``lengths[i]`` on are 0.

    Returns
    -------
    Tensor
        ``n`` points along ``dim``; dtype of ``re``.

    Raises
    ------
    TypeError
        A part is not real floating point, their dtypes differ, or ``lengths`` is not integer.
    ValueError
        Shapes differ, ``dim`` does not hold ``n // 2 + 1`` entries, lengths outside [0, n].

    Notes
    -----
    Cost as :func:`rdft`. Source: equal to ``torch.fft.irfft(..., norm="ortho")`` on the CPU;
    other back ends of that function use the ignored parts.

    Examples
    --------
    >>> x = torch.randn(2, 3, 9, 25, dtype=torch.float64)
    >>> torch.allclose(irdft(*rdft(x, dim=2), n=9, dim=2), x)
    True
    """
    check_floating("re", re)
    check_floating("im", im)
    if re.dtype != im.dtype:
        raise TypeError(f"im must have the dtype of re, {re.dtype}, got {im.dtype}.")
    if re.shape != im.shape:
        raise ValueError(f"im must have the shape of re, {tuple(re.shape)}, got {tuple(im.shape)}.")
    dim = check_axis("re", re, dim)
    n = check_int("n", n, 1)
    if re.shape[dim] != n // 2 + 1:
        raise ValueError(
            f"re must have {n // 2 + 1} bins along dim={dim} for n={n} points, got {re.shape[dim]}."
        )
    if lengths is not None:
        lengths = check_lengths(lengths, re, dim, n)
    with autocast_off(re):
        dtype = compute_dtype(re)
        return from_pair(re.to(dtype), im.to(dtype), n, dim, lengths).to(re.dtype)


def relative_log_amplitude(tokens: Tensor, dim: int) -> Tensor:
    r"""Log amplitude of the highest minus that of the lowest frequency along one axis.

    .. math:: \langle \log(|X_{K-1}| + \epsilon) - \log(|X_0| + \epsilon) \rangle

    with :math:`X` the :func:`rdft` along ``dim``, ε = 1e-6, and the mean over all other axes.
    Lower means that the tokens vary less along the axis.

    Parameters
    ----------
    tokens : Tensor
        Real tensor, for example the token embeddings of one block, [N, T_p, V, D].
    dim : int
        Axis of time, ``dim=1`` for [N, T_p, V, D].

    Returns
    -------
    Tensor
        A scalar, natural logarithm (multiply by 8.686 for decibels). 0 for a single point.

    Raises
    ------
    TypeError
        ``tokens`` is not real floating point.
    ValueError
        ``dim`` outside ``tokens``, or an empty axis.

    Notes
    -----
    Cost: one :func:`rdft`. Source: FD-MAE, Fig. 4, after Park et al. (ICLR 2023); the letter
    gives neither ε nor the order of mean and logarithm, both are from Park et al.

    Examples
    --------
    >>> tokens = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]) + 1
    >>> relative_log_amplitude(tokens, dim=0)
    tensor(0.)
    """
    check_floating("tokens", tokens)
    re, im = rdft(tokens.to(compute_dtype(tokens)), dim=dim)
    last = re.shape[dim] - 1
    power = re.square() + im.square()
    # The root has no gradient at 0, an exactly empty bin.
    amplitude = power.clamp(min=torch.finfo(power.dtype).tiny).sqrt()
    log = (amplitude + 1e-6).log()
    return (log.select(dim, last) - log.select(dim, 0)).mean().to(tokens.dtype)
