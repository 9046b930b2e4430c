"""Operations along one axis: product with a matrix, padding, broadcasting."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import check_integer
from skelfreq.functional import _route


def apply_along(matrix: Tensor, x: Tensor, dim: int) -> Tensor:
    """Multiply axis ``dim`` (counted from the front) of ``x`` by ``matrix``.

    ``matrix`` is [m, n], or [N, m, n] with one matrix for each sample of ``x``.
    """
    if matrix.ndim == 3:
        # One batched product; broadcasting over the other axes would copy the matrices.
        moved = x.movedim(dim, 1)
        product = matrix @ (moved.unsqueeze(-1) if x.ndim == 2 else moved.flatten(2))
        return product.reshape(x.shape[0], matrix.shape[1], *moved.shape[2:]).movedim(1, dim)
    if dim == x.ndim - 1:
        return x @ matrix.mT
    trailing = x.shape[dim + 1 :]
    if trailing.numel() == 1:
        return (x.flatten(dim) @ matrix.mT).reshape(*x.shape[:dim], -1, *trailing)
    if _route.moves_last(trailing.numel()):
        rows = x.flatten(dim + 1).mT.contiguous() @ matrix.mT
        return rows.mT.contiguous().reshape(*x.shape[:dim], matrix.shape[0], *trailing)
    product = matrix @ x.flatten(dim + 1)
    return product.reshape(*x.shape[:dim], matrix.shape[0], *trailing)


def along(vector: Tensor, dim: int, ndim: int) -> Tensor:
    """Shape ``vector`` to broadcast along axis ``dim`` of ``ndim`` axes."""
    return vector.view(-1, *[1] * (ndim - 1 - dim))


def check_lengths(
    lengths: Tensor, x: Tensor, dim: int, n: int | None = None, name: str = "lengths"
) -> Tensor:
    """Return ``lengths`` as int64 in [0, n] on the device of ``x``; n is the size of ``dim``.

    Values outside raise where they can be read without waiting, in eager code on the CPU; they are
    clamped elsewhere.
    """
    check_integer(name, lengths)
    if dim == 0:
        raise ValueError(f"dim must not be the batch axis 0 when {name} are given, got dim=0.")
    if lengths.shape != x.shape[:1]:
        raise ValueError(
            f"{name} must have shape ({x.shape[0]},), one entry per sample, "
            f"got {tuple(lengths.shape)}."
        )
    n = x.shape[dim] if n is None else n
    lengths = lengths.to(torch.int64)  # torch has no minimum of uint16 to uint64
    if _route.may_read_values(lengths) and lengths.numel():
        low, high = (int(v) for v in torch.aminmax(lengths))
        if low < 0 or high > n:
            raise ValueError(
                f"{name} must lie between 0 and {n}, the points along dim={dim}, "
                f"got values from {low} to {high}."
            )
    return lengths.to(x.device).clamp(0, n)


def present(lengths: Tensor, x: Tensor, dim: int) -> Tensor:
    """Return which points of axis ``dim`` each sample has, to broadcast with ``x``."""
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    index = torch.arange(x.shape[dim], device=x.device).view(shape)
    return index < lengths.view(-1, *[1] * (x.ndim - 1))


def zero_padding(x: Tensor, lengths: Tensor, dim: int) -> Tensor:
    """Set the points from ``lengths`` on along ``dim`` to 0, NaN included."""
    return torch.where(present(lengths, x, dim), x, torch.zeros((), dtype=x.dtype, device=x.device))
