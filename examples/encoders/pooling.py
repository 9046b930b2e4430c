"""From tokens [N, D, T, V] to one vector per clip, for probes."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq.functional import band_pool, dct

# First coefficient of each band: the slowest movement, and the rest.
EDGES = (1, 3)
POOLINGS = ("all", "mean", "mean+max", "mean+deviation", "bands", "coefficients")


def pool(x: Tensor, pooling: str) -> Tensor:
    """Pool tokens, or the coordinates of a clip, along time: [N, D, T, V] → [N, F].

    ``"all"`` is the mean over times and joints, F = D. Every other pooling keeps the joints: mean
    along time alone, with the maximum, with the standard deviation, or with the amplitudes of two
    bands of DCT coefficients (:func:`skelfreq.functional.band_pool`); ``"coefficients"`` is the
    first quarter of the coefficients, and the amplitude of the others.

    Raises
    ------
    ValueError
        If the pooling is unknown.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}.")
    if pooling == "all":
        return x.mean((2, 3))
    if pooling == "bands":
        return band_pool(x, edges=EDGES).flatten(1)
    if pooling == "coefficients":
        kept = max(x.shape[2] // 4, 1)
        slow = dct(x, dim=2)[:, :, :kept].flatten(1)
        rest = band_pool(x, edges=(kept,))[:, x.shape[1] :].flatten(1)
        return torch.cat([slow, rest], 1)
    parts = [x.mean(2)]
    if pooling == "mean+max":
        parts.append(x.amax(2))
    if pooling == "mean+deviation":
        parts.append(x.std(2, correction=0))
    return torch.cat(parts, 1).flatten(1)
