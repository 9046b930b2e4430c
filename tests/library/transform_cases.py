"""Every transform with options, for the tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from skelfreq.data.transforms import (
    Centre,
    FaceForward,
    FillMissing,
    Jitter,
    JointDropout,
    RandomCrop,
    RandomCropResample,
    RandomFlip,
    RandomRotation,
    RandomScale,
    RandomShear,
    Resample,
    ScaleBones,
    SelectPersons,
    Streams,
    Transform,
)

STREAMS = ("joint", "bone", "joint motion", "bone motion")
DETERMINISTIC: dict[str, Callable[[str], Transform]] = {
    "centre first": lambda layout: Centre(layout, on="first"),
    "centre clip": lambda layout: Centre(layout, on="clip"),
    "centre frame": lambda layout: Centre(layout, on="frame"),
    "face forward clip": lambda layout: FaceForward(layout),
    "face forward first": lambda layout: FaceForward(layout, on="first"),
    "face forward frame": lambda layout: FaceForward(layout, on="frame"),
    "scale bones": lambda layout: ScaleBones(layout, size=0.3),
    "resample longer": lambda layout: Resample(13),
    "resample shorter": lambda layout: Resample(4),
    "resample middle": lambda layout: Resample(6, share=0.8),
    "streams": lambda layout: Streams(layout, STREAMS),
    "fill missing": lambda layout: FillMissing(),
    "select persons": lambda layout: SelectPersons(),
}
RANDOM: dict[str, Callable[[str], Transform]] = {
    "rotation": lambda layout: RandomRotation(30.0),
    "rotation 3": lambda layout: RandomRotation((10.0, 20.0, 40.0)),
    "shear": lambda layout: RandomShear(0.5),
    "scale": lambda layout: RandomScale(0.5, 2.0),
    "flip": lambda layout: RandomFlip(layout),
    "jitter": lambda layout: Jitter(0.1),
    "dropout clip": lambda layout: JointDropout(0.3),
    "dropout frames": lambda layout: JointDropout(0.3, frames=2),
    "crop": lambda layout: RandomCrop(0.3, 0.9),
    "crop resample": lambda layout: RandomCropResample(6, 0.3, 0.9),
}
ALL = {**DETERMINISTIC, **RANDOM}
# Each person has a draw of their own in these.
EACH_PERSON = ("jitter", "dropout clip", "dropout frames")


def seeded(seed: int = 0) -> torch.Generator:
    """Return a new generator."""
    return torch.Generator().manual_seed(seed)


def make(n: int, t: int, joints: int, seed: int = 0, missing: float = 0.1) -> tuple[Tensor, Tensor]:
    """Return fp64 coordinates [N, 3, T, V], and confidence with zeros where joints are missing."""
    generator = seeded(seed)
    x = torch.randn(n, 3, t, joints, generator=generator, dtype=torch.float64)
    lost = torch.rand(n, t, joints, generator=generator) < missing
    confidence = torch.rand(n, t, joints, generator=generator, dtype=torch.float64)
    confidence = torch.where(lost, 0, 0.2 + 0.8 * confidence)
    return torch.where(lost[:, None], 0, x), confidence
