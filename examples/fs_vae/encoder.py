"""Stage 1: a small supervised encoder of skeleton clips, trained on seen classes only."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from tqdm import tqdm

from examples.data import augment
from examples.data.task import Labelled, Task
from examples.fs_vae.config import Config
from examples.fs_vae.features import Features, Part
from examples.fs_vae.splits import ClassSplit
from skelfreq import FreqEnhance
from skelfreq.functional import motion


class SkeletonEncoder(nn.Module):
    """[N, 3, T, V] → features [N, width] and logits [N, classes].

    Frequency enhancement along time, positions and motion of all joints as channels, three
    convolutions along time, mean over time.
    """

    def __init__(self, joints: int, classes: int, config: Config) -> None:
        super().__init__()
        self.enhance: nn.Module = nn.Identity()
        if config.enhance != "none" and config.enhance_time:
            self.enhance = FreqEnhance(
                config.frames,
                num_bands=config.time_bands,
                split=config.time_split,
                strength=config.strength,
                learnable=config.enhance,
            )
        widths = (6 * joints, 128, 192, config.width)
        layers: list[nn.Module] = [nn.BatchNorm1d(widths[0])]
        for before, after, stride in zip(widths[:-1], widths[1:], (2, 2, 1), strict=True):
            layers += [
                nn.Conv1d(before, after, 5, stride, padding=2),
                nn.BatchNorm1d(after),
                nn.ReLU(),
            ]
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


def train_encoder(
    train: Labelled, classes: tuple[int, ...], config: Config, device: str = "cpu"
) -> SkeletonEncoder:
    """Train on the clips of ``classes``; column i of the logits is ``classes[i]``."""
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    clips, labels = _of(train, classes)
    column = {c: i for i, c in enumerate(classes)}
    columns = torch.tensor([column[int(c)] for c in labels])
    model = SkeletonEncoder(clips.shape[-1], len(classes), config).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.encoder_lr, weight_decay=0.05)
    steps = config.encoder_epochs * -(-len(clips) // config.encoder_batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.encoder_lr, total_steps=steps + 1
    )
    for _ in tqdm(range(config.encoder_epochs), desc="1 encoder", unit="epoch", leave=False):
        order = torch.randperm(len(clips), generator=generator)
        for batch in order.split(config.encoder_batch):
            x = augment.rotate(clips[batch], generator=generator)
            x = augment.scale(x, generator=generator)
            x = augment.crop(x, generator=generator)
            x = augment.jitter(x, generator=generator, std=0.02)
            loss = nnf.cross_entropy(
                model(x.to(device)), columns[batch].to(device), label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def extract(model: SkeletonEncoder, part: Labelled, classes: tuple[int, ...]) -> Part:
    """Features and seen logits of the clips of ``classes``."""
    clips, labels = _of(part, classes)
    device = next(model.parameters()).device
    found = [model.features(batch.to(device)) for batch in clips.split(256)]
    x = torch.cat(found)
    return Part(x.cpu(), labels, model.head(x).cpu())


def encode_task(task: Task, split: ClassSplit, config: Config, device: str = "cpu") -> Features:
    """Train on the seen classes of the training clips, encode the test clips of all classes."""
    model = train_encoder(task.train, split.seen, config, device)
    return Features(
        train=extract(model, task.train, split.seen),
        seen_test=extract(model, task.test, split.seen),
        unseen_test=extract(model, task.test, split.unseen),
        seen=split.seen,
        unseen=split.unseen,
        source=task.description,
    )


def encode_validation(
    task: Task, split: ClassSplit, config: Config, device: str = "cpu"
) -> Features:
    """Do the same without the validation classes, on a task whose test clips are training ones.

    All clips of the validation classes are new to this encoder, so those of the task's training
    subjects are tested too: there are few.
    """
    classes = split.seen_in_validation
    model = train_encoder(task.train, classes, config, device)
    both = Labelled(
        torch.cat([task.train.clips, task.test.clips]),
        torch.cat([task.train.labels, task.test.labels]),
    )
    return Features(
        train=extract(model, task.train, classes),
        seen_test=extract(model, task.test, classes),
        unseen_test=extract(model, both, split.validation),
        seen=classes,
        unseen=split.validation,
        source=f"{task.description}, validation",
    )


def _of(part: Labelled, classes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    mask = torch.isin(part.labels, torch.tensor(classes))
    return part.clips[mask], part.labels[mask]
