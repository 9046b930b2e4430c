"""Left and right exchanged."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import check_int
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    check_joints,
    check_range,
    clear_padding,
    draw,
    named_layout,
    select_joints,
)
from skelfreq.skeletons import SkeletonLayout


def flip(x: Tensor, layout: SkeletonLayout | str, *, axis: int = 0) -> Tensor:
    """Mirror skeletons left to right: negate one coordinate, exchange left and right joints.

    Parameters
    ----------
    x : Tensor
        [N, C, T, V].
    layout : SkeletonLayout or str
        Joint order, for the pairs to exchange.
    axis : int, default 0
        Coordinate that runs from left to right.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``; applied twice, ``x`` itself.

    Raises
    ------
    TypeError
        If ``x`` is not floating point or ``axis`` no integer.
    ValueError
        If shapes do not fit the layout or ``axis`` is no coordinate.

    Notes
    -----
    Coordinates of images are mirrored at 0: centre them first. Classes that name a side ("kick
    left") are not kept.

    Examples
    --------
    >>> x = torch.randn(2, 3, 10, 25)
    >>> torch.equal(flip(flip(x, "ntu25"), "ntu25"), x)
    True
    """
    check_batch(x, None)
    layout = named_layout(layout)
    check_joints(x, layout)
    check_int("axis", axis, 0, x.shape[1] - 1)
    channels = list(select_joints(x, _exchanged(layout)).unbind(1))
    channels[axis] = -channels[axis]
    return torch.stack(channels, 1)


def _exchanged(layout: SkeletonLayout) -> list[int]:
    """Return the joint numbers with left and right ones exchanged."""
    order = list(range(layout.num_joints))
    for left, right in layout.left_right:
        order[left], order[right] = right, left
    return order


class RandomFlip(Transform):
    """Mirror clips left to right at random, :func:`flip`; confidence is exchanged with the joints.

    Parameters
    ----------
    layout : SkeletonLayout or str
        Joint order.
    probability : float, default 0.5
        Chance of every clip, from 0 to 1.
    axis : int, default 0
        Coordinate that runs from left to right.

    Raises
    ------
    ValueError
        If ``probability`` is out of its range.

    Examples
    --------
    >>> RandomFlip("coco17", 1.0)(torch.ones(2, 2, 10, 17)).x[0, :, 0, 0]
    tensor([-1.,  1.])
    """

    def __init__(
        self, layout: SkeletonLayout | str, probability: float = 0.5, *, axis: int = 0
    ) -> None:
        super().__init__()
        self.layout = named_layout(layout)
        self.probability = check_range("probability", probability, 0, 1)
        self.axis = check_int("axis", axis, 0)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, _ = batch
        x = clear_padding(x, lengths)
        # Drawn numbers lie in [0, 1): probability 0 mirrors none and 1 all.
        chosen = draw(batch, 1, 1, generator=generator) < self.probability
        y = torch.where(chosen.unsqueeze(1), flip(x, self.layout, axis=self.axis), x)
        if confidence is not None:
            exchanged = select_joints(confidence, _exchanged(self.layout))
            confidence = torch.where(chosen, exchanged, confidence)
        return batch._replace(x=y, confidence=confidence)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"{self.layout.name!r}, probability={self.probability:g}, axis={self.axis}"
