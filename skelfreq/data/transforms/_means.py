"""Means over joints and frames that what was seen and confidence weigh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from skelfreq.data.transforms._common import nonzero, of_first, select_joints

On = Literal["first", "clip", "frame"]
ON = ("first", "clip", "frame")


def weighted_mean(
    values: Tensor, there: Tensor, confidence: Tensor | None, on: On, persons: int
) -> tuple[Tensor, Tensor]:
    """Return the mean over joints, and over frames as ``on`` says: [N, C, T or 1, 1].

    ``there`` [N, 1, T, J] is 1 where a joint is present, ``confidence`` [N, T, J] its weight. Where
    nothing was seen, joints that are present (filled ones, for example) count alike. The second
    tensor says where there is a mean.
    """
    axes = (-1,) if on == "frame" else (-2, -1)
    weights = there
    if confidence is not None:
        weights = confidence.to(there.dtype).unsqueeze(1) * there
        weights = torch.where(weights.sum(axes, keepdim=True) > 0, weights, there)
    if on == "first":
        some = weights.sum(-1, keepdim=True) > 0
        weights = weights * (some & (some.cumsum(2) == 1))
    total = weights.sum(axes, keepdim=True)
    mean = (values * weights).sum(axes, keepdim=True) / torch.where(total > 0, total, 1)
    return of_first(mean, total > 0, persons)


def vectors_between(
    x: Tensor, one: Sequence[int], other: Sequence[int], confidence: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return from each joint of ``one`` to that of ``other``: vector, presence, confidence."""
    start, end = select_joints(x, one), select_joints(x, other)
    there = (nonzero(start) & nonzero(end)).to(x.dtype)
    if confidence is not None:
        confidence = torch.minimum(select_joints(confidence, one), select_joints(confidence, other))
    return end - start, there, confidence
