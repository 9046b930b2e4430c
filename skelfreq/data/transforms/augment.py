"""Random changes to where joints are, one draw per sample."""

from __future__ import annotations

import math

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
    draw,
    named_layout,
    seen,
    select_joints,
    turn,
)
from skelfreq.skeletons import SkeletonLayout


class RandomRotation(Transform):
    """Turn every clip about the origin by random angles.

    Parameters
    ----------
    max_angle : float or (float, float, float), default 30
        Degrees; angles are uniform between its negative and it. A number turns [N, 3, T, V] about
        the vertical and [N, 2, T, V] in the plane. Three numbers turn about axes 0, 1 and 2, one
        after the other (CTR-GCN and MAMP use 17 degrees, 0.3 rad, each).
    vertical : int, default 1
        Axis that points up or down.

    Raises
    ------
    ValueError
        At construction: an angle that is negative or not finite, not one or three of them,
        ``vertical`` outside 0 to 2. In forward: not 2 or 3 coordinates, or 2 with three angles.

    Notes
    -----
    ``x`` must hold coordinates only, not a confidence as third channel.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> RandomRotation(30.0)(torch.randn(2, 3, 10, 25), generator=g).x.shape
    torch.Size([2, 3, 10, 25])
    """

    def __init__(
        self, max_angle: float | tuple[float, float, float] = 30.0, *, vertical: int = 1
    ) -> None:
        super().__init__()
        check_option("vertical", vertical, (0, 1, 2))
        angles = tuple(max_angle) if isinstance(max_angle, (tuple, list)) else (max_angle,)
        if len(angles) not in (1, 3):
            raise ValueError(f"max_angle must be 1 number or 3, got {max_angle!r}.")
        self.max_angle = tuple(check_range("max_angle", angle, 0) for angle in angles)
        self.vertical = vertical

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths = batch.x, batch.lengths
        channels = x.shape[1]
        if channels not in (2, 3) or (channels == 2 and len(self.max_angle) == 3):
            allowed = "3" if len(self.max_angle) == 3 else "2 or 3"
            raise ValueError(f"x must have {allowed} coordinates on axis 1, got {channels}.")
        x = clear_padding(x, lengths)
        limits = [math.radians(angle) for angle in self.max_angle]
        if len(limits) == 1:
            axis = self.vertical if channels == 3 else 2
            return batch._replace(x=_turn(x, axis, self._angle(batch, limits[0], generator)))
        # Rotation of the three unit vectors, as if they were frames of a joint, gives the matrix.
        matrix = torch.eye(3, device=x.device, dtype=compute_dtype(x))[None, :, :, None]
        matrix = matrix.expand(len(x), -1, -1, -1)
        for axis, limit in enumerate(limits):
            matrix = _turn(matrix, axis, self._angle(batch, limit, generator))
        return batch._replace(x=_multiply(matrix[..., 0], x))

    @staticmethod
    def _angle(batch: Skeletons, limit: float, generator: torch.Generator | None) -> Tensor:
        """Draw an angle of up to ``limit`` radians per sample."""
        return draw(batch, 1, 1, generator=generator, low=-limit, high=limit)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"max_angle={self.max_angle}, vertical={self.vertical}"


def _turn(x: Tensor, axis: int, angle: Tensor) -> Tensor:
    """Turn about one axis; ``angle`` [N, 1, 1]."""
    return turn(x, angle.cos(), angle.sin(), (axis + 1) % 3, (axis + 2) % 3).to(x.dtype)


def _multiply(matrix: Tensor, x: Tensor) -> Tensor:
    """Return every sample's matrix [N, C, C] times its points."""
    with autocast_off(x):
        return torch.einsum("nij,njtv->nitv", matrix, x.to(matrix.dtype)).to(x.dtype)


class RandomShear(Transform):
    """Add to every coordinate random shares of the others, as a camera in another place would.

    Parameters
    ----------
    max_shear : float, default 0.5
        Off-diagonal entries of the C×C matrix are uniform between its negative and it; the diagonal
        is 1.

    Raises
    ------
    ValueError
        If ``max_shear`` is negative or not finite.

    Source
    ------
    Rao et al., Information Sciences 2021 (AS-CAL).

    Examples
    --------
    >>> RandomShear(0.5)(torch.randn(2, 3, 10, 25)).x.shape
    torch.Size([2, 3, 10, 25])
    """

    def __init__(self, max_shear: float = 0.5) -> None:
        super().__init__()
        self.max_shear = check_range("max_shear", max_shear, 0)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths = batch.x, batch.lengths
        c, limit = x.shape[1], self.max_shear
        entries = draw(batch, c, c, generator=generator, low=-limit, high=limit)
        unit = torch.eye(c, device=x.device, dtype=entries.dtype)
        matrix = torch.where(unit > 0, unit, entries)
        return batch._replace(x=_multiply(matrix, clear_padding(x, lengths)))

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"max_shear={self.max_shear:g}"


class RandomScale(Transform):
    """Multiply every clip by a random number.

    Parameters
    ----------
    low, high : float, default 0.9, 1.1
        The number is uniform in ``[low, high)``.

    Raises
    ------
    ValueError
        If not ``0 < low <= high``.

    Examples
    --------
    >>> RandomScale(0.5, 2.0)(torch.randn(2, 3, 10, 25)).x.shape
    torch.Size([2, 3, 10, 25])
    """

    def __init__(self, low: float = 0.9, high: float = 1.1) -> None:
        super().__init__()
        if not 0 < low <= high < float("inf"):
            raise ValueError(f"low and high must satisfy 0 < low <= high, got {low} and {high}.")
        self.low, self.high = float(low), float(high)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths = batch.x, batch.lengths
        size = draw(batch, 1, 1, 1, generator=generator, low=self.low, high=self.high)
        return batch._replace(x=(clear_padding(x, lengths) * size).to(x.dtype))

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"low={self.low:g}, high={self.high:g}"


class Jitter(Transform):
    """Add independent normal noise to every coordinate of the joints that were seen.

    Parameters
    ----------
    std : float, default 0.01
        Standard deviation, in the unit of ``x``.

    Raises
    ------
    ValueError
        If ``std`` is negative or not finite.

    Notes
    -----
    Joints with confidence 0, or without confidence those at exactly zero, keep their value.

    Examples
    --------
    >>> Jitter(0.01)(torch.zeros(2, 3, 10, 25)).x.any()
    tensor(False)
    """

    def __init__(self, std: float = 0.01) -> None:
        super().__init__()
        self.std = check_range("std", std, 0)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, _ = batch
        device = x.device if generator is None else generator.device
        noise = torch.randn(x.shape, generator=generator, device=device, dtype=torch.float32)
        moved = x + self.std * noise.to(x.device, x.dtype)
        y = clear_padding(torch.where(seen(x, confidence), moved, x), lengths)
        return batch._replace(x=y, confidence=confidence)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"std={self.std:g}"


class JointDropout(Transform):
    """Lose joints at random: coordinates and confidence become zero.

    Parameters
    ----------
    probability : float, default 0.1
        Chance of every joint, from 0 to 1.
    frames : int, optional
        A draw holds for so many frames in a row, which imitates a tracker's short losses; for the
        whole clip if not given.

    Raises
    ------
    TypeError
        If ``frames`` is no integer.
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> JointDropout(1.0)(torch.ones(2, 3, 10, 25)).x.any()
    tensor(False)
    """

    def __init__(self, probability: float = 0.1, *, frames: int | None = None) -> None:
        super().__init__()
        self.probability = check_range("probability", probability, 0, 1)
        if frames is not None:
            check_int("frames", frames, 1)
        self.frames = frames

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, _ = batch
        n, _, t, v = x.shape
        frames = t if self.frames is None else self.frames
        steps = -(-t // frames)
        device = x.device if generator is None else generator.device
        u = torch.rand(n, steps, v, generator=generator, device=device, dtype=torch.float32)
        # rand lies in [0, 1): probability 0 drops none and 1 all.
        kept = (u >= self.probability).to(x.device).repeat_interleave(frames, 1)[:, :t]
        y = torch.where(kept.unsqueeze(1), clear_padding(x, lengths), 0)
        if confidence is not None:
            confidence = torch.where(kept, confidence, 0)
        return batch._replace(x=y, confidence=confidence)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"probability={self.probability:g}, frames={self.frames}"


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
        check_int("axis", axis, 0)
        self.layout = named_layout(layout)
        self.probability = check_range("probability", probability, 0, 1)
        self.axis = axis

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
