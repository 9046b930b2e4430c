"""Every setting of FD-MAE, the presets of the command line, and the rows of the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from examples.common.probe import PROBE_C
from examples.common.settings import SUBJECTS, Settings, setting
from examples.common.study import Row
from examples.encoders.pooling import POOLINGS

CONTRASTED = "after contrast: "  # before the names of scores
MULTIPLES = {"frames": "patch_frames", "width": "heads", "decoder_width": "heads"}


@dataclass(frozen=True)
class Config(Settings):
    """Settings of one pre-training. Lengths in frames of one branch, times in epochs."""

    validate: tuple[int, ...] = setting((), of=int, help=SUBJECTS)
    weights: str = setting("", help="start from a shipped encoder: docs/fd_mae.md")
    # clip and tokens; body_frame: hips at the origin in each frame, facing forward; path: the way
    # of the hips as one more joint; layout: joint order, "" is that of the data
    frames: int = setting(32, low=1)
    body_frame: bool = setting(False)
    path: bool = setting(False)
    layout: str = setting("")
    patch_frames: int = setting(4, low=1)
    # network
    width: int = setting(64, low=1)
    depth: int = setting(3, low=1)
    heads: int = setting(4, low=1)
    mlp_ratio: int = setting(4, low=1)
    decoder_width: int = setting(64, low=1)
    decoder_depth: int = setting(1, low=0)
    ssfrm_width: int = setting(32, low=1)
    # the letter's switches
    dual_path: bool = setting(True)
    frequency: bool = setting(True)
    multi_tube: bool = setting(True)
    tube_length: int = setting(2, low=1)
    mask_ratio: float = setting(0.7, low=0, high=1)
    # loss: L_m + consistency_weight L_mc + frequency_weight L_mf
    consistency_weight: float = setting(0.1, low=0)
    frequency_weight: float = setting(0.5, low=0)
    cutoff: int = setting(8, low=0)
    momentum: float = setting(0.99, low=0, high=1)
    # afterwards: InfoNCE between two clips of one take, or between two changes of one clip
    contrast_epochs: int = setting(0, low=0, help="of contrast after the reconstruction")
    contrast_lr: float = setting(1e-3, above=0)
    contrast_width: int = setting(128, low=1)
    temperature: float = setting(0.1, above=0)
    # what is reconstructed: "motion" (the letter), or positions, as they are or less their mean
    signal: str = setting("motion", options=("motion", "displacement", "position"))
    # optimisation; 0 epochs leave the network as it was made
    epochs: int = setting(50, low=0)
    batch_size: int = setting(32, low=1)
    lr: float = setting(2e-3, above=0)
    min_lr: float = setting(1e-4, low=0)
    warmup_epochs: int = setting(3, low=0)
    weight_decay: float = setting(0.05, low=0)
    # augmentation: largest angle in degrees, sizes from 1 - scale to 1 + scale, least share of
    # the frames that is kept
    rotation: float = setting(30.0, low=0)
    scale: float = setting(0.1, low=0, high=1)
    crop: float = setting(0.6, low=0, high=1)
    # evaluation: probes of the encoder's tokens, or of the coordinates themselves; C is the best of
    # these on held-out training clips; training clips are seen at these angles
    evaluate: tuple[str, ...] = setting(("linear",), of=str, options=("linear",))
    coordinates: bool = setting(False)
    shipped: bool = setting(False)  # the row of that name
    poolings: tuple[str, ...] = setting(("all",), of=str, options=POOLINGS, help="of the tokens")
    strengths: tuple[float, ...] = setting((PROBE_C,), of=float, above=0)
    turns: tuple[float, ...] = setting((0.0,), of=float)
    linear_shares: tuple[float, ...] = setting((), of=float, above=0, high=1)
    # fine-tuning with these shares of the labels, averaged over draws of them
    label_shares: tuple[float, ...] = setting(
        (), of=float, above=0, high=1, help="fine-tune with these shares of the labels"
    )
    label_draws: int = setting(1, low=1)
    fine_tuning_steps: int = setting(300, low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, by in MULTIPLES.items():
            value, step = getattr(self, name), getattr(self, by)
            if value % step:
                raise ValueError(f"{name} must be a multiple of {by} ({step}), got {value}.")
        if self.shipped and not self.weights:
            raise ValueError("row shipped needs --weights, the name of an encoder.")
        if self.cutoff > self.frames:
            raise ValueError(f"cutoff must lie between 0 and {self.frames}, got {self.cutoff}.")


_REAL: dict[str, Any] = {
    "width": 96, "depth": 4, "mlp_ratio": 2, "body_frame": True, "path": True,
    "layout": "common20", "signal": "displacement", "mask_ratio": 0.5, "rotation": 60.0,
    "momentum": 0.996, "warmup_epochs": 5, "strengths": (1e-3, 1e-2, 1e-1),
    "linear_shares": (0.01, 0.05, 0.1),
    "poolings": ("all", "mean", "mean+max", "mean+deviation", "bands", "coefficients"),
}  # fmt: skip
PRESETS: dict[str, Config] = {
    # 2 cores, under 3 minutes with everything around it
    "small": Config(),
    # any files: joints in their own order
    "files": Config(epochs=60, **_REAL | {"layout": "", "path": False}),
    # Chosen on views 1 and 2 of NW-UCLA: docs/results.md
    "nwucla": Config(epochs=30, contrast_epochs=6, **_REAL),
    "msr": Config(epochs=60, **_REAL),
    "utd": Config(epochs=30, **_REAL),
    # The letter's model on NTU RGB+D: MAMP's sizes and schedule, Tables V to VII for the rest.
    "ntu60": Config(
        frames=120, width=256, depth=8, heads=8, decoder_width=256, decoder_depth=3,
        ssfrm_width=128, tube_length=3, mask_ratio=0.88, consistency_weight=1.0,
        frequency_weight=1.0, cutoff=30, momentum=0.996, epochs=400, batch_size=128, lr=1e-3,
        min_lr=5e-4, warmup_epochs=20, crop=0.5,
    ),
}  # fmt: skip
# What --study evaluates with each preset.
STUDY = {
    **{preset: {"label_shares": (1.0,)} for preset in ("nwucla", "msr", "utd")},
    "ntu60": {"label_shares": (0.01, 0.1, 1.0)},
}
_NONE = {"epochs": 0, "weights": ""}
_NOTHING = {"contrast_epochs": 0, "label_shares": (), **_NONE}
_PLAIN = {"dual_path": False, "frequency": False, "multi_tube": False}
# In the order of the letter's Table IV.
ROWS = {
    "coordinates": Row("coordinates, no network", {"coordinates": True, **_NOTHING}),
    "untrained": Row("untrained encoder", {"contrast_epochs": 0, **_NONE}),
    "contrast": Row("contrast alone", _NONE),
    "shipped": Row("shipped encoder", {"epochs": 0, "contrast_epochs": 0, "shipped": True}),
    "plain": Row("plain masked auto-encoder", _PLAIN),
    "dual-path": Row("+ dual path", _PLAIN | {"dual_path": True}),
    "dual-path+frequency": Row("+ frequency reconstruction", {"multi_tube": False}),
    "fd-mae": Row("FD-MAE"),
}
STUDY_ROWS = ("coordinates", "untrained", "plain", "dual-path", "dual-path+frequency", "fd-mae")
