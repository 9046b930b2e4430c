"""The DCT-II and its inverse in plain operations: a product with the basis, or torch-dct."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from skelfreq.functional._axis import along, apply_along, zero_padding
from skelfreq.functional._bases import Kind, basis, padded_dct_basis, unscaled_factors

Direction = Literal["dct", "idct"]


def by_product(
    kind: Direction,
    x: Tensor,
    dim: int,
    n: int,
    rows: int,
    unscaled: bool,
    lengths: Tensor | None,
) -> Tensor:
    """Multiply axis ``dim`` by the first ``rows`` of ``n`` basis functions, or their transpose.

    ``lengths`` [N] in [0, n] are the points that each sample has.
    """
    if lengths is None:
        name: Kind = f"{kind}_unscaled" if unscaled else kind  # type: ignore[assignment]
        return apply_along(basis(name, n, rows, x.dtype, x.device), x, dim)
    x = zero_padding(x, lengths, dim)
    matrix = padded_dct_basis(lengths, n, rows, x.dtype)
    if unscaled:
        factors = unscaled_factors(rows, lengths.clamp(min=1).unsqueeze(1))
        factors = factors.to(x.dtype).unsqueeze(-1)
        matrix = matrix * factors if kind == "dct" else matrix / factors
    return apply_along(matrix if kind == "dct" else matrix.mT, x, dim)


def by_torch_dct(kind: Direction, x: Tensor, dim: int) -> Tensor:
    """Return the orthonormal transform of axis ``dim`` by torch-dct."""
    import torch_dct  # here: short axes do not need it

    moved = x.movedim(dim, -1)
    out: Tensor = getattr(torch_dct, kind)(moved, norm="ortho")
    return out.movedim(-1, dim)


def rescaled(kind: Direction, x: Tensor, dim: int, n: int) -> Tensor:
    """Turn orthonormal coefficients of ``n`` points into those of ``norm=None``, or back."""
    size = torch.full((1,), n, device=x.device)
    factors = along(unscaled_factors(x.shape[dim], size).to(x.dtype), dim, x.ndim)
    return x * factors if kind == "dct" else x / factors
