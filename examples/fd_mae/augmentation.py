"""The random changes to a training batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from examples.data import augment


@dataclass(frozen=True)
class Augmentation:
    """Rotation about the vertical, size, temporal crop; one draw per clip.

    ``rotation`` is the largest angle in degrees, ``scale`` s stands for sizes from 1 − s to
    1 + s, ``crop`` is the smallest share of the frames that is kept.
    """

    rotation: float = 30.0
    scale: float = 0.1
    crop: float = 0.6

    def __call__(self, clips: Tensor, generator: torch.Generator) -> Tensor:
        clips = augment.rotate(clips, generator=generator, max_angle=self.rotation)
        clips = augment.scale(clips, generator=generator, low=1 - self.scale, high=1 + self.scale)
        return augment.crop(clips, generator=generator, low=self.crop)
