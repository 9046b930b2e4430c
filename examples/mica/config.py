"""Every setting of MICA in one place, and the presets of the command line."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

SPECTRAL = ("none", "fres", "fret", "frest")
HEADS = 4
FILTERS = ("both", "global", "local")


@dataclass(frozen=True)
class Config:
    """Settings of one training. Times in epochs, lengths in frames."""

    frames: int = 32
    # encoder
    widths: tuple[int, ...] = (16, 32, 64)
    kernel: int = 5
    spectral: str = "frest"
    filters: str = "both"
    # contrast
    embedding: int = 64
    queue: int = 128
    temperature: float = 0.2
    momentum: float = 0.95
    # feature modulation and modality harmonizer; 0 turns each off
    modulation: float = 3.0
    harmonizer: float = 0.5
    noise: float = 0.05
    student_temperature: float = 0.1
    teacher_temperature: float = 0.05
    # augmentation of a view
    rotation: float = 30.0
    scale: float = 0.1
    crop: float = 0.7
    jitter: float = 0.02
    # optimisation
    epochs: int = 60
    batch_size: int = 32
    lr: float = 2e-3
    weight_decay: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, options in (("spectral", SPECTRAL), ("filters", FILTERS)):
            if getattr(self, name) not in options:
                raise ValueError(
                    f"{name} must be one of {', '.join(options)}, got {getattr(self, name)!r}."
                )
        for name in ("frames", "kernel", "embedding", "queue", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths must be numbers of at least 1, got {self.widths}.")
        if self.widths[-1] % HEADS:
            raise ValueError(
                f"widths must end in a multiple of {HEADS}, the harmonizer's heads, "
                f"got {self.widths}."
            )
        for name in ("temperature", "student_temperature", "teacher_temperature", "lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}.")
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum must lie between 0 and 1, got {self.momentum}.")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


PRESETS: dict[str, Config] = {
    # 2 cores, under 3 minutes with everything around it
    "small": Config(epochs=25),
    # MSR Action3D, chosen on a training subject: docs/results.md
    "msr": Config(),
}
