"""How large a person is."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, compute_dtype
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    check_joints,
    check_range,
    clear_padding,
    named_layout,
)
from skelfreq.data.transforms._means import vectors_between, weighted_mean
from skelfreq.skeletons import SkeletonLayout


def scale_bones(
    x: Tensor,
    layout: SkeletonLayout | str,
    *,
    size: float = 1.0,
    lengths: Tensor | None = None,
    confidence: Tensor | None = None,
    persons: int = 1,
) -> Tensor:
    """Scale every clip so that its mean bone length becomes ``size``.

    One number per clip keeps directions and proportions; unlike a scale by the spread of positions
    it is the same for every pose of one body.

    Parameters
    ----------
    x : Tensor
        [N, C, T, V]. The scaling is about the origin. Bones with a joint at exactly zero, the mark
        of a missing one, do not count.
    layout : SkeletonLayout or str
        Joint order and bones.
    size : float, default 1
        Mean bone length of the result, above 0.
    lengths, confidence, persons
        See :meth:`Transform.forward`. A bone counts with the smaller confidence of its joints.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``. A clip without bones of positive length keeps its size.

    Raises
    ------
    TypeError
        If ``x`` or ``confidence`` is not floating point or ``lengths`` not integer.
    ValueError
        If shapes do not fit, the layout has no bones, or ``size`` is not above 0.

    Source
    ------
    Common practice; the mean over all bones and frames is ours.

    Examples
    --------
    >>> scale_bones(torch.randn(2, 3, 10, 25), "ntu25", size=0.3).shape
    torch.Size([2, 3, 10, 25])
    """
    lengths = check_batch(x, lengths, confidence, persons)
    layout = named_layout(layout)
    check_joints(x, layout)
    _check_size(size)
    if not layout.edges:
        raise ValueError(f"layout must have bones, got {layout.name!r} without edges.")
    child, parent = zip(*layout.edges, strict=True)
    with autocast_off(x):
        y = clear_padding(x.to(compute_dtype(x)), lengths)
        bones, there, weights = vectors_between(y, child, parent, confidence)
        length = torch.linalg.vector_norm(bones, dim=1, keepdim=True)
        mean, _ = weighted_mean(length, there, weights, "clip", persons)
        factor = torch.where(mean > 0, size / torch.where(mean > 0, mean, 1), 1)
        return (y * factor).to(x.dtype)


def _check_size(size: float) -> float:
    if not check_range("size", size, 0) > 0:
        raise ValueError(f"size must be a finite number above 0, got {size}.")
    return float(size)


class ScaleBones(Transform):
    """Scale clips to one mean bone length, :func:`scale_bones`; options as there.

    Parameters
    ----------
    layout : SkeletonLayout or str
        Joint order and bones.
    size : float, default 1
        Mean bone length of the result.
    """

    def __init__(self, layout: SkeletonLayout | str, *, size: float = 1.0) -> None:
        super().__init__()
        self.layout = named_layout(layout)
        self.size = _check_size(size)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, persons = batch
        y = scale_bones(
            x,
            self.layout,
            size=self.size,
            lengths=lengths,
            confidence=confidence,
            persons=persons,
        )
        return batch._replace(x=y)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"{self.layout.name!r}, size={self.size:g}"
