"""Which way a person faces."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_option, compute_dtype
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    check_joints,
    clear_padding,
    joint_pair,
    named_layout,
    turn,
)
from skelfreq.data.transforms._means import ON, On, vectors_between, weighted_mean
from skelfreq.skeletons import SkeletonLayout


def face_forward(
    x: Tensor,
    layout: SkeletonLayout | str,
    *,
    on: On = "clip",
    vertical: int = 1,
    lengths: Tensor | None = None,
    confidence: Tensor | None = None,
    persons: int = 1,
) -> Tensor:
    """Turn people about the vertical until shoulders and hips lie along one axis.

    The line from the left to the right shoulder and hip then points along the first horizontal
    axis: axis 0, or axis 1 if axis 0 is the vertical. In the usual right-handed frame with axis 1
    up, the person faces against axis 2, towards the camera.

    Parameters
    ----------
    x : Tensor
        [N, 3, T, V]. The turn is about the origin: centre first.
    layout : SkeletonLayout or str
        Joint order.
    on : {"clip", "first", "frame"}
        One angle per clip, from the mean over its frames (default) or from the first frame in which
        the joints are present: turning during the clip stays. Or one angle for every frame.
    vertical : int, default 1
        Axis that points up or down.
    lengths, confidence, persons
        See :meth:`Transform.forward`. Confidence weighs the four joints.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``. A clip that gives no direction is not turned.

    Raises
    ------
    TypeError
        If ``x`` or ``confidence`` is not floating point or ``lengths`` not integer.
    ValueError
        If shapes do not fit, an option is out of its range, or the layout has no shoulders or hips.

    Source
    ------
    The shoulder axis as reference is that of 2s-AGCN's preprocessing; hips and the mean are ours.

    Examples
    --------
    >>> face_forward(torch.randn(2, 3, 10, 25), "ntu25").shape
    torch.Size([2, 3, 10, 25])
    """
    lengths = check_batch(x, lengths, confidence, persons)
    check_option("on", on, ON)
    check_option("vertical", vertical, (0, 1, 2))
    layout = named_layout(layout)
    check_joints(x, layout)
    if x.shape[1] != 3:
        raise ValueError(f"x must have 3 coordinates on axis 1, got {x.shape[1]}.")
    left, right = zip(*(joint_pair(layout, part) for part in ("shoulder", "hip")), strict=True)
    with autocast_off(x):
        y = clear_padding(x.to(compute_dtype(x)), lengths)
        direction, _ = weighted_mean(*vectors_between(y, left, right, confidence), on, persons)
        first, second = (axis for axis in (0, 1, 2) if axis != vertical)
        # Of the angle from the first axis to the direction, without a gradient that is not finite
        # where there is no direction.
        a, b = direction[:, first], direction[:, second]
        square = a.square() + b.square()
        some = square > 0
        inverse = torch.where(some, square, 1).rsqrt()
        cos, sin = torch.where(some, a * inverse, 1), b * inverse
        return turn(y, cos, -sin, first, second).to(x.dtype)


class FaceForward(Transform):
    """Turn people to face forward, :func:`face_forward`; options as there.

    Parameters
    ----------
    layout : SkeletonLayout or str
        Joint order.
    on : {"clip", "first", "frame"}
        Which frames give the direction.
    vertical : int, default 1
        Axis that points up or down.
    """

    def __init__(self, layout: SkeletonLayout | str, *, on: On = "clip", vertical: int = 1) -> None:
        super().__init__()
        check_option("on", on, ON)
        check_option("vertical", vertical, (0, 1, 2))
        self.layout = named_layout(layout)
        self.on: On = on
        self.vertical = vertical

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, persons = batch
        y = face_forward(
            x,
            self.layout,
            on=self.on,
            vertical=self.vertical,
            lengths=lengths,
            confidence=confidence,
            persons=persons,
        )
        return batch._replace(x=y)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"{self.layout.name!r}, on={self.on!r}, vertical={self.vertical}"
