"""Every setting of FD-MAE in one place, and the presets of the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from examples.fd_mae.augmentation import Augmentation

SIGNALS = ("motion", "displacement", "position")


@dataclass(frozen=True)
class Config:
    """Settings of one pre-training. Lengths in frames of one branch, times in epochs."""

    # clip and tokens; body_frame: hips at the origin in each frame, facing forward
    frames: int = 32
    body_frame: bool = False
    patch_frames: int = 4
    # network
    width: int = 64
    depth: int = 3
    heads: int = 4
    mlp_ratio: int = 4
    decoder_width: int = 64
    decoder_depth: int = 1
    ssfrm_width: int = 32
    # the letter's switches
    dual_path: bool = True
    frequency: bool = True
    multi_tube: bool = True
    tube_length: int = 2
    mask_ratio: float = 0.7
    # loss: L_m + consistency_weight L_mc + frequency_weight L_mf
    consistency_weight: float = 0.1
    frequency_weight: float = 0.5
    cutoff: int = 8
    momentum: float = 0.99
    # what is reconstructed: "motion" (the letter), or positions, whole or less their mean in time
    signal: str = "motion"
    # optimisation
    epochs: int = 50
    batch_size: int = 32
    lr: float = 2e-3
    min_lr: float = 1e-4
    warmup_epochs: int = 3
    weight_decay: float = 0.05
    # augmentation
    rotation: float = 30.0
    scale: float = 0.1
    crop: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.signal not in SIGNALS:
            raise ValueError(f"signal must be one of {SIGNALS}, got {self.signal!r}.")
        for name in ("frames", "patch_frames", "epochs", "batch_size", "width", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")

    @property
    def augmentation(self) -> Augmentation:
        """The random changes to each clip of a batch."""
        return Augmentation(self.rotation, self.scale, self.crop)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def from_dict(values: dict[str, Any]) -> Config:
    """Read a configuration back; unknown names are an error."""
    known = {field.name for field in fields(Config)}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"configuration has unknown names {unknown}; known are {sorted(known)}.")
    return Config(**values)


PRESETS: dict[str, Config] = {
    # 2 cores, under 3 minutes with everything around it
    "small": Config(),
    # MSR Action3D, chosen on validation subjects: docs/results.md
    "msr": Config(
        frames=32,
        width=96,
        depth=4,
        mlp_ratio=2,
        decoder_width=64,
        decoder_depth=1,
        mask_ratio=0.85,
        body_frame=True,
        momentum=0.996,
        epochs=100,
        warmup_epochs=5,
    ),
    # The letter's model on NTU RGB+D: MAMP's sizes and schedule, Tables V to VII for the rest.
    "ntu60": Config(
        frames=120,
        width=256,
        depth=8,
        heads=8,
        decoder_width=256,
        decoder_depth=3,
        ssfrm_width=128,
        tube_length=3,
        mask_ratio=0.88,
        consistency_weight=1.0,
        frequency_weight=1.0,
        cutoff=30,
        momentum=0.996,
        epochs=400,
        batch_size=128,
        lr=1e-3,
        min_lr=5e-4,
        warmup_epochs=20,
        crop=0.5,
    ),
}
