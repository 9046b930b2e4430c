"""Where a person stands: the origin."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_int, check_option, compute_dtype
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    check_joints,
    clear_padding,
    joint_pair,
    named_layout,
    nonzero,
    select_joints,
)
from skelfreq.data.transforms._means import ON, On, weighted_mean
from skelfreq.skeletons import SkeletonLayout


def centre(
    x: Tensor,
    layout: SkeletonLayout | str,
    *,
    on: On = "first",
    joints: Sequence[int] | None = None,
    lengths: Tensor | None = None,
    confidence: Tensor | None = None,
    persons: int = 1,
) -> Tensor:
    """Move the origin to the middle of the hips, or of other joints.

    Parameters
    ----------
    x : Tensor
        [N, C, T, V]. A joint at exactly zero is missing: it does not count for the origin. A frame
        in which all joints are missing stays zero.
    layout : SkeletonLayout or str
        Joint order.
    on : {"first", "clip", "frame"}
        One origin per clip, from the first frame in which one of the joints is present (default)
        or from the mean over all such frames: movement through the room stays. Or one origin for
        every frame: what remains is the movement of the body.
    joints : sequence of int, optional
        Joints whose mean is the origin; both hips by default.
    lengths, confidence, persons
        See :meth:`Transform.forward`. Confidence weighs the joints in the mean.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` or ``confidence`` is not floating point or ``lengths`` not integer.
    ValueError
        If shapes do not fit, ``on`` or the layout is unknown, ``joints`` is empty or holds a number
        that is no joint, or the layout has no hips.

    Notes
    -----
    Which frames to take decides whether movement through the room is kept; it can matter more for
    accuracy than the network. Try all three on validation clips.

    Source
    ------
    ``"first"`` is the choice of CTR-GCN's and MAMP's preprocessing (with one joint).

    Examples
    --------
    >>> y = centre(torch.randn(2, 3, 10, 25), "ntu25", on="frame")
    >>> bool((y[..., 12] + y[..., 16]).abs().max() < 1e-5)
    True
    """
    lengths = check_batch(x, lengths, confidence, persons)
    check_option("on", on, ON)
    layout = named_layout(layout)
    check_joints(x, layout)
    joints = joint_pair(layout, "hip") if joints is None else tuple(joints)
    if not joints:
        raise ValueError("joints must hold at least 1 joint, got none.")
    for joint in joints:
        check_int("joints", joint, 0, layout.num_joints - 1)
    with autocast_off(x):
        y = clear_padding(x.to(compute_dtype(x)), lengths)
        points = select_joints(y, joints)
        weights = None if confidence is None else select_joints(confidence, joints)
        there = nonzero(points).to(y.dtype)
        origin, _ = weighted_mean(points, there, weights, on, persons)
        moved = torch.where(nonzero(y).any(-1, keepdim=True), y - origin, 0)
        return moved.to(x.dtype)


class Centre(Transform):
    """Move the origin to the hips, :func:`centre`; options as there.

    Parameters
    ----------
    layout : SkeletonLayout or str
        Joint order.
    on : {"first", "clip", "frame"}
        Which frames give the origin.
    joints : sequence of int, optional
        Joints whose mean is the origin; both hips by default.
    """

    def __init__(
        self,
        layout: SkeletonLayout | str,
        *,
        on: On = "first",
        joints: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        check_option("on", on, ON)
        self.layout = named_layout(layout)
        self.on: On = on
        self.joints = joint_pair(self.layout, "hip") if joints is None else tuple(joints)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, persons = batch
        y = centre(
            x,
            self.layout,
            on=self.on,
            joints=self.joints,
            lengths=lengths,
            confidence=confidence,
            persons=persons,
        )
        return batch._replace(x=y)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"{self.layout.name!r}, on={self.on!r}, joints={self.joints}"
