"""Every setting of FS-VAE in one place, and the presets of the command line."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

ENHANCE = ("bands", "free", "none")
ALIGNMENT = ("calibrated", "released", "triplet", "none")
LEVELS = ("label", "local", "global")
SELECT = ("validation", "test")
LAST = ("include", "released")


@dataclass(frozen=True)
class Config:
    """Settings of one run. Epochs are passes over the seen training samples."""

    # stage 1, the skeleton encoder: clips of this many frames, features this wide
    frames: int = 64
    width: int = 256
    encoder_epochs: int = 40
    encoder_lr: float = 2e-3
    encoder_batch: int = 32
    time_split: int = 12
    time_bands: int = 16
    enhance_time: bool = True
    # stage 2, the two variational auto-encoders
    enhance: str = "bands"
    num_bands: int = 30
    split: int = 35
    strength: float = 0.3
    last: str = "include"
    enhance_text: bool = False
    levels: tuple[str, ...] = LEVELS
    latent: int = 100
    cycles: int = 2
    cycle_epochs: int = 60
    batch_size: int = 64
    lr: float = 2e-3
    alignment: str = "calibrated"
    sensitivity: float = 10.0
    alignment_weight: float = 1.0
    alignment_start: float = 0.2
    kl_weight: float = 0.01
    kl_start: float = 0.1
    kl_end: float = 0.6
    reconstruction_weight: float = 1.0
    # as the release: one number of noise a sample, ReLU behind the decoders
    shared_noise: bool = False
    decoder_relu: bool = False
    # stage 3 and 4
    samples_per_class: int = 500
    classifier_steps: int = 300
    classifier_lr: float = 1e-3
    select: str = "validation"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, options in (
            ("enhance", ENHANCE),
            ("alignment", ALIGNMENT),
            ("last", LAST),
            ("select", SELECT),
        ):
            if getattr(self, name) not in options:
                raise ValueError(
                    f"{name} must be one of {', '.join(options)}, got {getattr(self, name)!r}."
                )
        if not self.levels or set(self.levels) - set(LEVELS):
            raise ValueError(f"levels must be taken from {', '.join(LEVELS)}, got {self.levels}.")
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels must be named once each, got {self.levels}.")
        counts = "frames width encoder_epochs encoder_batch time_bands num_bands latent cycles "
        counts += "cycle_epochs batch_size samples_per_class classifier_steps"
        for name in counts.split():
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("encoder_lr", "lr", "classifier_lr", "sensitivity"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}.")
        for name in ("alignment_weight", "kl_weight", "reconstruction_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if not 0 <= self.kl_start < self.kl_end:
            raise ValueError(
                f"kl_start must lie between 0 and kl_end={self.kl_end}, got {self.kl_start}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


PRESETS: dict[str, Config] = {
    # 2 cores, under 3 minutes with everything around it
    "small": Config(encoder_epochs=30),
    # MSR Action3D, chosen on validation classes: docs/results.md
    "msr": Config(),
    # NTU RGB+D features with the paper's layer and loss. Epochs and weight of the alignment are
    # the release's, which differ from the paper's; the schedule inside a cycle is ours.
    "ntu": Config(
        cycles=10,
        cycle_epochs=170,
        lr=1e-4,
        sensitivity=100.0,
        alignment_weight=50.0,
        alignment_start=0.8,
    ),
    # The released code where it differs from the paper.
    "release": Config(
        split=30,
        last="released",
        enhance_time=False,
        enhance_text=True,
        cycles=10,
        cycle_epochs=170,
        lr=1e-4,
        alignment="released",
        sensitivity=100.0,
        alignment_weight=50.0,
        alignment_start=0.8,
        shared_noise=True,
        decoder_relu=True,
        select="test",
    ),
}
