"""Random changes to a batch of skeletons ``[N, C, T, V]``, one draw per sample.

The transforms of ``skelfreq.data.transforms``, called on tensors: every function returns a new
tensor and draws from the generator that it is given and from nothing else. Rotation and scaling act
about the origin: centre the clips first (``clips.normalise``). In MSR Action3D, NTU RGB+D and the
synthetic data axis 1 is vertical.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skelfreq.data.transforms import Jitter, RandomCropResample, RandomRotation, RandomScale


def rotate(
    x: Tensor, *, generator: torch.Generator, max_angle: float = 30.0, vertical: int = 1
) -> Tensor:
    """Turn every clip about the vertical by up to ``max_angle`` degrees to either side.

    Clips of 2 coordinates, which show no turn about the vertical, stay as they are.
    """
    if x.ndim == 4 and x.shape[1] == 2:
        return x
    return RandomRotation(max_angle, vertical=vertical)(x, generator=generator).x


def turn(x: Tensor, angle: float, *, vertical: int = 1) -> Tensor:
    """Turn all clips about the vertical by the same angle in degrees."""
    first, second = 0, 3 - vertical  # the two horizontal axes
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = [x[:, vertical]] * 3
    turned[first] = cos * x[:, first] - sin * x[:, second]
    turned[second] = sin * x[:, first] + cos * x[:, second]
    return torch.stack(turned, 1)


def scale(x: Tensor, *, generator: torch.Generator, low: float = 0.9, high: float = 1.1) -> Tensor:
    """Multiply every clip by a number uniform in ``[low, high)``."""
    return RandomScale(low, high)(x, generator=generator).x


def crop(x: Tensor, *, generator: torch.Generator, low: float = 0.6, high: float = 1.0) -> Tensor:
    """Keep a random stretch of every clip and resample it to the same number of frames.

    The stretch covers a share of the clip's duration uniform in ``[low, high)`` and lies anywhere
    in it.
    """
    frames = x.shape[2] if x.ndim > 2 else 1
    return RandomCropResample(frames, low, high)(x, generator=generator).x


def jitter(x: Tensor, *, generator: torch.Generator, std: float = 0.01) -> Tensor:
    """Add independent normal noise of standard deviation ``std`` to every coordinate.

    A joint that centring has put exactly to the origin gets it as well.
    """
    seen = torch.ones_like(x[:, 0])
    return Jitter(std)(x, confidence=seen, generator=generator).x
