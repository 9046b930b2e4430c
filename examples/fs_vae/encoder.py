"""Stage 1: a small supervised encoder of skeleton clips, trained on seen classes only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.common.runs import Cell
from examples.common.training import fit_classifier
from examples.data import augment
from examples.data.protocols import ClassSplit
from examples.data.task import Labelled, Task
from examples.fs_vae.config import Config
from examples.fs_vae.features import Features, Part, seen_in_validation
from skelfreq import FreqEnhance
from skelfreq.functional import motion


class SkeletonEncoder(nn.Module):
    """[N, C, T, V] → features [N, width] and logits [N, classes].

    Frequency enhancement along time, positions and motion of all joints as channels, three
    convolutions along time, mean over time.
    """

    def __init__(self, joints: int, classes: int, config: Config, channels: int = 3) -> None:
        super().__init__()
        self.enhance: nn.Module = nn.Identity()
        if config.enhance != "none" and config.enhance_time:
            bands = {"num_bands": config.time_bands, "split": config.time_split}
            self.enhance = FreqEnhance(
                config.frames, strength=config.strength, learnable=config.enhance, **bands
            )
        widths = (2 * channels * joints, 128, 192, config.width)
        layers: list[nn.Module] = [nn.BatchNorm1d(widths[0])]
        for before, after, stride in zip(widths[:-1], widths[1:], (2, 2, 1), strict=True):
            convolution = nn.Conv1d(before, after, 5, stride, padding=2)
            layers += [convolution, nn.BatchNorm1d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(config.width, classes))

    def features(self, clips: Tensor) -> Tensor:
        """Mean over time of the last layer, [N, width]."""
        x = self.enhance(clips)
        x = torch.cat([x, 4 * motion(x)], dim=1)
        pooled: Tensor = self.layers(x.transpose(2, 3).flatten(1, 2)).mean(-1)
        return pooled

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(clips))
        return logits


def view(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Augment a batch: heading, size, crop in time, noise."""
    x = augment.rotate(clips, generator=generator)
    x = augment.scale(x, generator=generator)
    x = augment.crop(x, generator=generator)
    return augment.jitter(x, generator=generator, std=0.02)


def train_encoder(
    train: Labelled, classes: tuple[int, ...], config: Config, cell: Cell, name: str
) -> SkeletonEncoder:
    """Train on the clips of ``classes``; column i of the logits is ``classes[i]``."""
    clips, labels = _of(train, classes)
    columns = torch.searchsorted(torch.tensor(classes), labels)
    joints, channels = clips.shape[-1], clips.shape[1]
    return fit_classifier(
        cell, name, lambda: SkeletonEncoder(joints, len(classes), config, channels), clips, columns,
        view, seed=config.seed if config.encoder_seed < 0 else config.encoder_seed,
        epochs=config.encoder_epochs, batch_size=config.encoder_batch, peak=config.encoder_lr,
        weight_decay=0.05,
    )  # fmt: skip


@torch.no_grad()
def extract(model: SkeletonEncoder, part: Labelled, classes: tuple[int, ...]) -> Part:
    """Features and seen logits of the clips of ``classes``."""
    clips, labels = _of(part, classes)
    device = next(model.parameters()).device
    x = torch.cat([model.features(batch.to(device)) for batch in clips.split(256)])
    return Part(x.cpu(), labels, model.head(x).cpu())


def encode(task: Task, split: ClassSplit, config: Config, cell: Cell) -> Features:
    """Train on the seen classes of the training clips, encode the test clips of all classes."""
    model = train_encoder(task.train, split.seen, config, cell, "encoder")
    seen, unseen = split.seen, split.unseen
    tests = (extract(model, task.test, classes) for classes in (seen, unseen))
    return Features(extract(model, task.train, seen), *tests, seen, unseen, task.description)


def encode_validation(task: Task, split: ClassSplit, config: Config, cell: Cell) -> Features:
    """Do the same without the validation classes, on a task whose test clips are training ones.

    All clips of the validation classes are new to this encoder, so those of the task's training
    subjects are tested too: there are few.
    """
    seen, unseen = seen_in_validation(split), split.validation
    model = train_encoder(task.train, seen, config, cell, "validation-encoder")
    parts = (task.train, task.test)
    both = Labelled(*(torch.cat([getattr(p, n) for p in parts]) for n in ("clips", "labels")))
    found = [extract(model, p, c) for p, c in ((*((p, seen) for p in parts), (both, unseen)))]
    return Features(*found, seen, unseen, f"{task.description}, validation")


def _of(part: Labelled, classes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    mask = torch.isin(part.labels, torch.tensor(classes))
    return part.clips[mask], part.labels[mask]
