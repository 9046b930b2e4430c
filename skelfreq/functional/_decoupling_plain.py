"""The decoupling of one axis in plain operations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from skelfreq.functional._axis import zero_padding

FRAMES: Literal[2] = 2
JOINTS: Literal[3] = 3
# Added to the squared RMS: a joint at rest is not amplified to the size of a moving one.
EPSILON = 1e-6
# Lines of a larger amplitude are divided by it before they are squared.
LARGE = 1e15


def decoupled(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, *, axis: int, lengths: Tensor | None = None
) -> Tensor:
    """Centre and scale each line along ``axis``, then convolve it and mix its channels."""
    channels, taps = depthwise.shape
    points: int | Tensor = x.shape[axis]
    if lengths is not None and axis == FRAMES:
        points = lengths.clamp(min=1).view(-1, 1, 1, 1)
    x = _present(x, lengths)
    x = _present(x - x.sum(axis, keepdim=True) / points, lengths)
    # One axis after the other: both at once take ten times as long.
    largest = x.detach().abs().amax(1, keepdim=True).amax(axis, keepdim=True)
    unit = torch.where(largest > LARGE, 1 / largest, 1.0)
    power = (x * unit).square().sum((1, axis), keepdim=True) / (points * channels)
    x = x * (unit * torch.rsqrt(power + EPSILON * unit * unit))
    shape, padding = [channels, 1, 1, 1], [0, 0]
    shape[axis], padding[axis - 2] = taps, taps // 2
    x = torch.conv2d(x, depthwise.view(shape), padding=padding, groups=channels)
    x = torch.conv2d(x, pointwise[:, :, None, None])
    return _present(x, lengths)


def _present(x: Tensor, lengths: Tensor | None) -> Tensor:
    return x if lengths is None else zero_padding(x, lengths, FRAMES)
