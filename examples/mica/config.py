"""Every setting of MICA, the presets of the command line, and the rows of the tables."""

from __future__ import annotations

from dataclasses import dataclass

from examples.common.settings import SUBJECTS, Settings, setting
from examples.common.study import Row

SPECTRAL = ("none", "fres", "fret", "frest")
HEADS = 4


@dataclass(frozen=True)
class Config(Settings):
    """Settings of one training. Times in epochs, lengths in frames."""

    validate: tuple[int, ...] = setting((), of=int, help=SUBJECTS)
    descriptions: str = setting("", help="JSON file that describes the classes of --data")
    frames: int = setting(32, low=1)
    # encoder
    widths: tuple[int, ...] = setting((16, 32, 64), of=int, low=1)
    kernel: int = setting(5, low=1)
    spectral: str = setting("frest", options=SPECTRAL)
    filters: str = setting("both", options=("both", "global", "local"))
    # contrast
    embedding: int = setting(64, low=1)
    queue: int = setting(128, low=1)
    temperature: float = setting(0.2, above=0)
    momentum: float = setting(0.95, low=0, high=1)
    # feature modulation and modality harmonizer; 0 turns each off
    modulation: float = setting(3.0, low=0)
    harmonizer: float = setting(0.5, low=0)
    noise: float = setting(0.05, low=0)
    student_temperature: float = setting(0.1, above=0)
    teacher_temperature: float = setting(0.05, above=0)
    # augmentation of a view
    rotation: float = setting(30.0, low=0)
    scale: float = setting(0.1, low=0, high=1)
    crop: float = setting(0.7, low=0, high=1)
    jitter: float = setting(0.02, low=0)
    # optimisation; 0 epochs leave the network as it was made
    epochs: int = setting(60, low=0)
    batch_size: int = setting(32, low=1)
    lr: float = setting(2e-3, above=0)
    weight_decay: float = setting(1e-3, low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.widths or self.widths[-1] % HEADS:  # of the harmonizer's attention
            raise ValueError(f"widths must end in a multiple of {HEADS}, got {self.widths}.")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}.")


PRESETS: dict[str, Config] = {
    # 2 cores, under 3 minutes with everything around it
    "small": Config(epochs=25),
    # MSR Action3D, chosen on a training subject: docs/results.md
    "msr": Config(),
}
_NO_LANGUAGE = {"modulation": 0.0, "harmonizer": 0.0}
ROWS = {
    "random": Row("random encoder", {"epochs": 0}),
    "infonce": Row("InfoNCE only", {"spectral": "none", **_NO_LANGUAGE}),
    "fm": Row("+ FM", {"spectral": "none"}),
    "frest": Row("+ FreST", _NO_LANGUAGE),
    "mica": Row("+ both = MICA"),
    "fres-only": Row("FreS only", {"spectral": "fres"}),
    "fret-only": Row("FreT only", {"spectral": "fret"}),
    "global-only": Row("global filter only", {"filters": "global"}),
    "local-only": Row("local filter only", {"filters": "local"}),
}
