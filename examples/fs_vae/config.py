"""Every setting of FS-VAE, the presets of the command line, and the rows of the tables."""

from __future__ import annotations

from dataclasses import dataclass

from examples.common.settings import READING, Settings, setting
from examples.common.study import Row

ENHANCE = ("bands", "free", "none")
LEVELS = ("label", "local", "global")
# SynSE's splits, NTU classes / unseen ones, and their names among the protocols.
SYNSE = {
    "60/5": "synse-60-55/5", "60/12": "synse-60-48/12", "120/10": "synse-120-110/10",
    "120/24": "synse-120-96/24",
}  # fmt: skip


@dataclass(frozen=True)
class Config(Settings):
    """Settings of one run. Epochs are passes over the seen training samples."""

    # which classes are unseen; 0: 4 of the synthetic classes, 5 of MSR Action3D
    unseen: int = setting(0, low=0, help="number of unseen classes")
    class_splits: tuple[int, ...] = setting((), of=int, low=0, help="numbers of drawn splits")
    descriptions: str = setting("", help="JSON file that describes the classes of --data")
    synse: str = setting("", options=("", *SYNSE), help="NTU classes / unseen ones, from folders:")
    features: str = setting("", help="SynSE feature folder, shift_5_r and so on")
    validation_features: str = setting("", help="the same, shift_val_5_r")
    texts: str = setting("", help="folder with lb, md and ad text features")
    # stage 1, the skeleton encoder: clips of this many frames, features this wide
    frames: int = setting(64, low=1)
    width: int = setting(256, low=1)
    encoder_epochs: int = setting(40, low=1)
    encoder_lr: float = setting(2e-3, above=0)
    encoder_batch: int = setting(32, low=1)
    encoder_seed: int = setting(-1, low=-1, help="of stage 1; -1: that of the run")
    time_split: int = setting(12, low=0)
    time_bands: int = setting(16, low=1)
    enhance_time: bool = setting(True)
    # stage 2, the two variational auto-encoders
    enhance: str = setting("bands", options=ENHANCE)
    num_bands: int = setting(30, low=1)
    split: int = setting(35, low=0)
    strength: float = setting(0.3)
    last: str = setting("include", options=("include", "released"))
    enhance_text: bool = setting(False)
    levels: tuple[str, ...] = setting(LEVELS, of=str, options=LEVELS)
    latent: int = setting(100, low=1)
    cycles: int = setting(2, low=1)
    cycle_epochs: int = setting(60, low=1)
    batch_size: int = setting(64, low=1)
    lr: float = setting(2e-3, above=0)
    alignment: str = setting("calibrated", options=("calibrated", "released", "triplet", "none"))
    sensitivity: float = setting(10.0, above=0)
    alignment_weight: float = setting(1.0, low=0)
    alignment_start: float = setting(0.2, low=0, high=1)
    kl_weight: float = setting(0.01, low=0)
    kl_start: float = setting(0.1, low=0)
    kl_end: float = setting(0.6)
    reconstruction_weight: float = setting(1.0, low=0)
    # as the release: one number of noise a sample, ReLU after the decoders
    shared_noise: bool = setting(False)
    decoder_relu: bool = setting(False)
    # stage 3 and 4
    samples_per_class: int = setting(500, low=1)
    classifier_steps: int = setting(300, low=1)
    classifier_lr: float = setting(1e-3, above=0)
    select: str = setting("validation", options=("validation", "test"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.levels or len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels must be named once each, got {self.levels}.")
        if not self.kl_start < self.kl_end:
            raise ValueError(
                f"kl_start must lie between 0 and kl_end={self.kl_end}, got {self.kl_start}."
            )
        folders = {"features", "validation_features", "texts"}
        clips = {"unseen", "class_splits", "descriptions", *READING}
        clips |= set() if self.data == "synthetic" else {"data"}
        needed, idle = (folders, clips) if self.synse else (set(), folders)
        if missing := [name for name in sorted(needed) if not getattr(self, name)]:
            raise ValueError(f"--synse needs --{missing[0].replace('_', '-')} as well.")
        if unused := [name for name in sorted(idle) if getattr(self, name)]:
            reason = "does not go with" if self.synse else "needs"
            raise ValueError(f"--{unused[0].replace('_', '-')} {reason} --synse.")


# Epochs and weight of the alignment are the release's, which differ from the paper's; the
# schedule inside a cycle is ours.
_LONG = {
    "cycles": 10, "cycle_epochs": 170, "lr": 1e-4, "sensitivity": 100.0, "alignment_weight": 50.0,
    "alignment_start": 0.8,
}  # fmt: skip
PRESETS: dict[str, Config] = {
    # 2 cores, under 3 minutes with everything around it
    "small": Config(encoder_epochs=30),
    # MSR Action3D, chosen on validation classes: docs/results.md
    "msr": Config(),
    # NTU RGB+D features with the paper's layer and loss.
    "ntu": Config(**_LONG),
    "ntu120": Config(latent=200, **_LONG),
    # The released code where it differs from the paper.
    "release": Config(
        split=30, last="released", enhance_time=False, enhance_text=True, alignment="released",
        shared_noise=True, decoder_relu=True, select="test", **_LONG,
    ),
}  # fmt: skip
STUDY = {"msr": {"class_splits": (0, 1, 2)}}
COMPARED = {
    "no-freqenhance": Row("no FreqEnhance", {"enhance": "none"}),
    "freqenhance": Row("FreqEnhance"),
    "free-gains": Row("Ours† (free gains)", {"enhance": "free"}),
    "label-only": Row("label text only", {"levels": ("label",)}),
    "triplet": Row("triplet instead of calibrated", {"alignment": "triplet"}),
    "no-alignment": Row("no alignment loss", {"alignment": "none"}),
}
# What the sensitivity is drawn from, one setting at a time, on the features of one encoder.
SWEPT = {
    "sensitivity": ("λ", (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)),
    "split": ("φ", (0, 15, 25, 35, 45, 60, 120)),
    "num_bands": ("b", (5, 10, 20, 30, 40, 60)),
}
SWEEP = {
    f"sweep-{name}-{value:g}": Row(f"{symbol} = {value:g}", {name: value, "encoder_seed": 0})
    for name, (symbol, values) in SWEPT.items()
    for value in values
}
ROWS = COMPARED | SWEEP
