"""Robustness to noise: what ``python -m examples.mica.robustness`` compares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from examples.common.probe import features
from examples.common.runs import Cell
from examples.common.study import Experiment, Row
from examples.common.training import fit_classifier
from examples.data import SkeletonClips, load, resample_clips
from examples.data.sets import reading
from examples.data.task import Labelled, to_form
from examples.mica import figures
from examples.mica.config import PRESETS, Config
from examples.mica.encoder import Encoder
from examples.mica.train import view

JITTER = (0, 1, 2, 5, 10)  # cm
DROPOUT = (0, 10, 20, 30)  # per cent of the frames
ROWS = {
    "st-gcn": Row("ST-GCN", {"spectral": "none"}),
    "frest": Row("ST-GCN with FreST", {"spectral": "frest"}),
}


def load_clips(config: Config) -> tuple[SkeletonClips, str, Iterable[Tensor]]:
    """Load the clips as they were recorded."""
    clips = load(config.data, **reading(config))
    if clips.joints.shape[-1] != 3:
        raise ValueError(f"{clips.source}: noise in cm needs 3 coordinates in metres, got pixels.")
    arrays = (clips.joints, clips.lengths, clips.labels, clips.train)
    return clips, clips.source, (torch.from_numpy(array) for array in arrays)


def corrupted(clips: SkeletonClips, config: Config) -> tuple[Labelled, dict[str, Labelled]]:
    """Return clean training clips, and the test clips under every kind and level of noise.

    Noise is added to the raw clips, in metres, before they are resampled, centred and turned.
    Dropped frames are gone: the clip is the shorter for it, and resampling bridges the gap.
    """

    def ready(part: SkeletonClips) -> Labelled:
        x = to_form(resample_clips(part, config.frames), clips.layout, True)
        return Labelled(x, torch.from_numpy(part.labels))

    held_out = clips.train & np.isin(clips.groups, config.validate)
    test = clips.subset(held_out if config.validate else ~clips.train)
    joints, lengths = torch.from_numpy(test.joints), torch.from_numpy(test.lengths)
    generator = torch.Generator().manual_seed(1000 + config.seed)
    tests: dict[str, Labelled] = {}
    for level in JITTER:
        moved = joints + level / 100 * torch.randn(joints.shape, generator=generator)
        tests[f"jitter {level} cm"] = ready(replace(test, joints=moved.numpy()))
    for level in DROPOUT:
        kept = torch.rand(len(joints), generator=generator) >= level / 100
        # Two frames are the least that makes a movement.
        kept[torch.cat([lengths.cumsum(0) - lengths, lengths.cumsum(0) - 1])] = True
        clip = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        count = torch.bincount(clip[kept], minlength=len(lengths))
        part = replace(test, joints=joints[kept].numpy(), lengths=count.numpy())
        tests[f"{level} % dropped"] = ready(part)
    return ready(clips.subset(clips.train & ~held_out)), tests


class Classifier(nn.Module):
    """Encoder, mean over frames, linear classifier."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.width, classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips to class scores."""
        return self.head(self.encoder(clips).mean(1))


def run(cell: Cell, clips: SkeletonClips) -> tuple[dict[str, float], dict[str, object]]:
    """Train on clean clips; rotation, size and crop are augmented, noise is not. Test on all."""
    config: Config = cell.settings
    (train, tests), device = corrupted(clips, config), cell.scale.device
    classes, quiet = int(train.labels.max()) + 1, replace(config, jitter=0.0, crop=0.8)
    model = fit_classifier(
        cell, "supervised", lambda: Classifier(Encoder(clips.layout, config), classes),
        train.clips, train.labels, lambda x, generator: view(x, quiet, generator), seed=config.seed,
        epochs=config.epochs, batch_size=config.batch_size, peak=2 * config.lr, weight_decay=0.01,
        fused=True,
    )  # fmt: skip
    hits = {n: features(model, t.clips, device).argmax(1) == t.labels for n, t in tests.items()}
    return {name: float(hit.float().mean()) for name, hit in hits.items()}, {}


def draw(cells: list[Cell], clips: SkeletonClips, folder: Path) -> None:
    """Draw accuracy against both kinds of noise."""
    titles = dict.fromkeys(cell.title for cell in cells)
    runs = {title: [c.result["scores"] for c in cells if c.title == title] for title in titles}
    figures.draw_robustness(runs, folder / "robustness.png")


EXPERIMENT = Experiment(
    "mica.robustness", Config, {"msr": replace(PRESETS["msr"], epochs=40)}, ROWS, tuple(ROWS),
    load_clips, run, draw, preset=lambda given: "msr",
)  # fmt: skip
