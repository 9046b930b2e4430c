"""Random changes to a batch of skeletons ``[N, C, T, V]``, one draw per sample.

Every function returns a new tensor of the input's shape, dtype and device and draws from the
generator it is given and from nothing else. Numbers are drawn on the generator's device, so one
seed gives one result wherever the batch lies. Rotation and scaling act about the origin: centre
the clips first (``clips.normalise``). In MSR Action3D, NTU RGB+D and the synthetic data axis 1 is
vertical and axis 0 runs from left to right.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skelfreq.skeletons import SkeletonLayout, get_layout


def _uniform(x: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return one number per sample from [low, high), shaped to multiply ``x``."""
    draw = torch.rand(len(x), generator=generator, device=generator.device)
    return (low + (high - low) * draw).to(x.device, x.dtype)[:, None, None, None]


def _check_batch(x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"x must have 4 axes [N, C, T, V], got shape {tuple(x.shape)}.")


def rotate(
    x: Tensor, *, generator: torch.Generator, max_angle: float = 30.0, vertical: int = 1
) -> Tensor:
    """Turn every clip about the vertical through the origin.

    Parameters
    ----------
    x : Tensor
        ``[N, 3, T, V]``.
    generator : torch.Generator
        Source of the angles.
    max_angle : float, default 30
        Angles are uniform between ``-max_angle`` and ``max_angle``, in degrees.
    vertical : int, default 1
        Which of the 3 coordinates points up or down.

    Raises
    ------
    ValueError
        If ``x`` is not ``[N, 3, T, V]``, ``max_angle`` is negative or ``vertical`` not 0, 1 or 2.
    """
    _check_batch(x)
    if x.shape[1] != 3:
        raise ValueError(f"x must have 3 coordinates on axis 1, got {x.shape[1]}.")
    if vertical not in (0, 1, 2):
        raise ValueError(f"vertical must be one of 0, 1, 2, got {vertical!r}.")
    if not max_angle >= 0:
        raise ValueError(f"max_angle must be at least 0, got {max_angle}.")
    angle = _uniform(x, -math.radians(max_angle), math.radians(max_angle), generator)[:, 0]
    first, second = (vertical + 1) % 3, (vertical + 2) % 3
    a, b = x[:, first], x[:, second]
    turned = [x[:, vertical]] * 3
    turned[first] = angle.cos() * a - angle.sin() * b
    turned[second] = angle.sin() * a + angle.cos() * b
    return torch.stack(turned, dim=1)


def scale(x: Tensor, *, generator: torch.Generator, low: float = 0.9, high: float = 1.1) -> Tensor:
    """Multiply every clip by a number uniform in ``[low, high)``.

    Raises
    ------
    ValueError
        If ``x`` has not 4 axes or not ``0 < low <= high``.
    """
    _check_batch(x)
    if not 0 < low <= high:
        raise ValueError(f"low and high must satisfy 0 < low <= high, got {low} and {high}.")
    return x * _uniform(x, low, high, generator)


def crop(x: Tensor, *, generator: torch.Generator, low: float = 0.6, high: float = 1.0) -> Tensor:
    """Keep a random stretch of every clip and stretch it to the same number of frames.

    The stretch covers a share of the clip's duration uniform in ``[low, high)`` and lies anywhere
    in it; frames between frames are interpolated linearly. A share of 1 changes nothing.

    Raises
    ------
    ValueError
        If ``x`` has not 4 axes or not ``0 < low <= high <= 1``.
    """
    _check_batch(x)
    if not 0 < low <= high <= 1:
        raise ValueError(f"low and high must satisfy 0 < low <= high <= 1, got {low} and {high}.")
    frames = x.shape[2]
    # Positions need at least fp32: fp16 cannot tell frames apart beyond 2048.
    exact = torch.promote_types(x.dtype, torch.float32)
    share = _uniform(x.to(exact), low, high, generator)
    start = _uniform(x.to(exact), 0.0, 1.0, generator) * (1 - share) * (frames - 1)
    grid = torch.arange(frames, device=x.device, dtype=exact)[None, None, :, None]
    position = (start + share * grid).clamp(0, max(frames - 1, 0))
    below = position.floor()
    weight = (position - below).to(x.dtype)
    index = below.long().expand(-1, x.shape[1], -1, x.shape[3])
    low_frame = x.gather(2, index)
    high_frame = x.gather(2, (index + 1).clamp(max=max(frames - 1, 0)))
    return low_frame + weight * (high_frame - low_frame)


def mirror(
    x: Tensor,
    layout: SkeletonLayout | str,
    *,
    generator: torch.Generator,
    probability: float = 0.5,
    lateral: int = 0,
) -> Tensor:
    """Mirror clips left to right: negate one coordinate and exchange left and right joints.

    Classes that name a side ("kick left") are not kept by this.

    Parameters
    ----------
    x : Tensor
        ``[N, C, T, V]``.
    layout : SkeletonLayout or str
        Joint order, for the pairs to exchange.
    generator : torch.Generator
        Decides which clips are mirrored.
    probability : float, default 0.5
        Chance of each clip; 1 mirrors all.
    lateral : int, default 0
        Coordinate that runs from left to right.

    Raises
    ------
    ValueError
        If shapes do not fit the layout or an argument is out of range.
    """
    _check_batch(x)
    if isinstance(layout, str):
        layout = get_layout(layout)
    if x.shape[3] != layout.num_joints:
        raise ValueError(
            f"x must have {layout.num_joints} joints on axis 3 for {layout.name}, got {x.shape[3]}."
        )
    if not 0 <= lateral < x.shape[1]:
        raise ValueError(f"lateral must lie between 0 and {x.shape[1] - 1}, got {lateral}.")
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie between 0 and 1, got {probability}.")
    order = list(range(layout.num_joints))
    for left, right in layout.left_right:
        order[left], order[right] = right, left
    sign = torch.ones(x.shape[1], device=x.device, dtype=x.dtype)
    sign[lateral] = -1
    mirrored = x[..., order] * sign[:, None, None]
    # rand is in [0, 1): probability 0 mirrors none and 1 all. Drawn in fp32: in half precision a
    # number just below 1 would round up to it.
    chosen = torch.rand(len(x), generator=generator, device=generator.device) < probability
    return torch.where(chosen.to(x.device)[:, None, None, None], mirrored, x)


def jitter(x: Tensor, *, generator: torch.Generator, std: float = 0.01) -> Tensor:
    """Add independent normal noise of standard deviation ``std`` to every coordinate.

    Raises
    ------
    ValueError
        If ``x`` has not 4 axes or ``std`` is negative.
    """
    _check_batch(x)
    if not std >= 0:
        raise ValueError(f"std must be at least 0, got {std}.")
    noise = torch.randn(x.shape, generator=generator, device=generator.device)
    return x + std * noise.to(x.device, x.dtype)
