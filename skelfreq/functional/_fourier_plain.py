"""The orthonormal real-input DFT as real pairs, in plain operations."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq.functional import _route
from skelfreq.functional._axis import apply_along, zero_padding
from skelfreq.functional._bases import basis, padded_dft_basis


def to_pair(x: Tensor, dim: int, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return real and imaginary part of the bins 0 … n//2 of axis ``dim``.

    ``lengths`` [N] in [0, n] are the points that each sample has.
    """
    n = x.shape[dim]
    if not _route.fourier_product(x, n, lengths is not None):
        spectrum = torch.fft.rfft(x, dim=dim, norm="ortho")
        return spectrum.real, spectrum.imag
    bins = n // 2 + 1
    if lengths is None:
        both = apply_along(basis("rdft", n, bins, x.dtype, x.device), x, dim)
    else:
        matrix = padded_dft_basis("rdft", lengths, n, x.dtype)
        both = apply_along(matrix, zero_padding(x, lengths, dim), dim)
    re, im = torch.split(both, [bins, bins], dim)
    return re, im


def from_pair(re: Tensor, im: Tensor, n: int, dim: int, lengths: Tensor | None) -> Tensor:
    """Return the ``n`` points of half a spectrum; the inverse of :func:`to_pair`."""
    if _route.fourier_product(re, n, lengths is not None):
        if lengths is None:
            matrix = basis("irdft", n, n // 2 + 1, re.dtype, re.device)
        else:
            matrix = padded_dft_basis("irdft", lengths, n, re.dtype)
        return apply_along(matrix, torch.cat([re, im], dim), dim)
    index = torch.arange(re.shape[dim], device=re.device)
    inner = ((index > 0) & (2 * index != n)).view(-1, *[1] * (re.ndim - 1 - dim))
    spectrum = torch.complex(re, torch.where(inner, im, 0.0))
    points: Tensor = torch.fft.irfft(spectrum, n=n, dim=dim, norm="ortho")
    return points


def complex_dft(re: Tensor, im: Tensor, dim: int, inverse: bool) -> tuple[Tensor, Tensor]:
    """Return the orthonormal DFT, or its inverse, of a complex signal along axis ``dim``."""
    n = re.shape[dim]
    if not _route.fourier_product(re, n, padded=False):
        transform = torch.fft.ifft if inverse else torch.fft.fft
        spectrum: Tensor = transform(torch.complex(re, im), dim=dim, norm="ortho")
        return spectrum.real, spectrum.imag
    matrix = basis("cdft", n, n, re.dtype, re.device)
    both = apply_along(matrix.mT if inverse else matrix, torch.cat([re, im], dim), dim)
    first, second = torch.split(both, [n, n], dim)
    return first, second
