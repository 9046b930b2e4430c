"""Where a person stands, which way they face, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_int, check_option, compute_dtype
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    check_joints,
    check_range,
    clear_padding,
    joint_pair,
    named_layout,
    of_first,
    present,
    select_joints,
    turn,
)
from skelfreq.skeletons import SkeletonLayout

On = Literal["first", "clip", "frame"]
_ON = ("first", "clip", "frame")


def _mean(
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


def _pairs(
    x: Tensor, one: Sequence[int], other: Sequence[int], confidence: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return from each joint of ``one`` to that of ``other``: vector, presence, confidence."""
    start, end = select_joints(x, one), select_joints(x, other)
    there = (present(start) & present(end)).to(x.dtype)
    if confidence is not None:
        confidence = torch.minimum(select_joints(confidence, one), select_joints(confidence, other))
    return end - start, there, confidence


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
    The three differ by up to 10 points of accuracy, in either direction; see docs/transforms.md.

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
    check_option("on", on, _ON)
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
        there = present(points).to(y.dtype)
        origin, _ = _mean(points, there, weights, on, persons)
        moved = torch.where(present(y).any(-1, keepdim=True), y - origin, 0)
        return moved.to(x.dtype)


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
    check_option("on", on, _ON)
    check_option("vertical", vertical, (0, 1, 2))
    layout = named_layout(layout)
    check_joints(x, layout)
    if x.shape[1] != 3:
        raise ValueError(f"x must have 3 coordinates on axis 1, got {x.shape[1]}.")
    left, right = zip(*(joint_pair(layout, part) for part in ("shoulder", "hip")), strict=True)
    with autocast_off(x):
        y = clear_padding(x.to(compute_dtype(x)), lengths)
        direction, _ = _mean(*_pairs(y, left, right, confidence), on, persons)
        first, second = (axis for axis in (0, 1, 2) if axis != vertical)
        # Of the angle from the first axis to the direction, without a gradient that is not finite
        # where there is no direction.
        a, b = direction[:, first], direction[:, second]
        square = a.square() + b.square()
        some = square > 0
        inverse = torch.where(some, square, 1).rsqrt()
        cos, sin = torch.where(some, a * inverse, 1), b * inverse
        return turn(y, cos, -sin, first, second).to(x.dtype)


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
        bones, there, weights = _pairs(y, child, parent, confidence)
        length = torch.linalg.vector_norm(bones, dim=1, keepdim=True)
        mean, _ = _mean(length, there, weights, "clip", persons)
        factor = torch.where(mean > 0, size / torch.where(mean > 0, mean, 1), 1)
        return (y * factor).to(x.dtype)


def _check_size(size: float) -> float:
    if not check_range("size", size, 0) > 0:
        raise ValueError(f"size must be a finite number above 0, got {size}.")
    return float(size)


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
        check_option("on", on, _ON)
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
        check_option("on", on, _ON)
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
