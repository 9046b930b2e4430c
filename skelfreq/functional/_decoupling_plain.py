"""The decoupling of one axis in plain operations."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from skelfreq.functional._axis import zero_padding

FRAMES: Literal[2] = 2
JOINTS: Literal[3] = 3
# Added to the squared RMS: a joint at rest is not amplified to the size of a moving one.
EPSILON = 1e-6
# Lines of a larger amplitude are divided by it before they are squared.
LARGE = 1e15


class Taps(NamedTuple):
    """One filter per channel along an axis, as ``conv2d`` takes it."""

    weight: Tensor
    options: dict[str, Any]

    @classmethod
    def of(cls, depthwise: Tensor, axis: int) -> Taps:
        """Shape filters [C, taps] for an axis of [N, C, T, V]."""
        channels, taps = depthwise.shape
        shape, padding = [channels, 1, 1, 1], [0, 0]
        shape[axis], padding[axis - 2] = taps, taps // 2
        return cls(depthwise.view(shape), {"padding": padding, "groups": channels})


def decoupled(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, *, axis: int, lengths: Tensor | None = None
) -> Tensor:
    """Centre and scale each line along ``axis``, then convolve it and mix its channels."""
    line, inverse = centred(_present(x, lengths), axis, lengths)
    line = convolved(line * inverse, Taps.of(depthwise, axis))
    return _present(torch.conv2d(line, pointwise[:, :, None, None]), lengths)


def centred(x: Tensor, axis: int, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return lines without their mean, and the inverse of their RMS."""
    points: int | Tensor = x.shape[axis]
    if lengths is not None and axis == FRAMES:
        points = lengths.clamp(min=1).view(-1, 1, 1, 1)
    x = _present(x - x.sum(axis, keepdim=True) / points, lengths)
    # One axis after the other: both at once take ten times as long.
    largest = x.detach().abs().amax(1, keepdim=True).amax(axis, keepdim=True)
    unit = torch.where(largest > LARGE, 1 / largest, 1.0)
    power = (x * unit).square().sum((1, axis), keepdim=True) / (points * x.shape[1])
    return x, unit * torch.rsqrt(power + EPSILON * unit * unit)


def convolved(line: Tensor, taps: Taps) -> Tensor:
    """Convolve each channel with its filter, with zero padding."""
    return torch.conv2d(line, taps.weight, **taps.options)


def _present(x: Tensor, lengths: Tensor | None) -> Tensor:
    return x if lengths is None else zero_padding(x, lengths, FRAMES)
