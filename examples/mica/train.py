"""Training: two views, a momentum encoder, a queue, and the language losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from tqdm import tqdm

from examples.data import augment
from examples.data.task import Labelled
from examples.mica.config import Config
from examples.mica.encoder import Embedding, Encoder, Harmonizer
from examples.mica.queue import Queue
from skelfreq import EMADualPath
from skelfreq.functional import info_nce, similarity_distillation_loss


@dataclass(frozen=True, eq=False)
class Text:
    """Frozen features of the classes: one vector [K, width] and phrases [K, L, width] each."""

    classes: Tensor
    phrases: Tensor
    present: Tensor


class MICA(nn.Module):
    """Both paths, the queue, and the parts that language needs."""

    def __init__(self, layout: str, text: Text, config: Config) -> None:
        super().__init__()
        self.config = config
        encoder = Encoder(layout, config)
        self.paths = EMADualPath(Embedding(encoder, config.embedding), momentum=config.momentum)
        self.queue = Queue(config.queue, config.embedding)
        self.harmonizer = Harmonizer(encoder.width, text.phrases.shape[-1], config.embedding)
        self.text = text

    @property
    def encoder(self) -> Encoder:
        """The trained encoder: what is used afterwards."""
        return self.paths.online.encoder

    def forward(
        self, first: Tensor, second: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the parts of the loss of two views [N, 3, T, V], and fill the queue."""
        config = self.config
        (query, frames), (key, _) = self.paths(first, second)
        queue, queue_labels = self.queue.entries()
        losses = {"contrast": info_nce(query, key, queue, config.temperature)}
        if config.modulation > 0 and len(queue):
            losses["modulation"] = config.modulation * self.modulation(
                query, labels, queue, queue_labels, generator
            )
        if config.harmonizer > 0:
            aligned = self.harmonizer(frames, self.text.phrases[labels], self.text.present[labels])
            losses["harmonizer"] = config.harmonizer * info_nce(
                aligned, key, queue, config.temperature
            )
        self.queue.put(key, labels)
        return losses

    def modulation(
        self,
        query: Tensor,
        labels: Tensor,
        queue: Tensor,
        queue_labels: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Make similarities to the queue's skeletons follow those to their texts."""
        config = self.config
        student = _noisy(nnf.normalize(query, dim=1), config.noise, generator) @ queue.mT
        texts = self.text.classes
        teacher = _noisy(texts[labels], config.noise, generator) @ texts[queue_labels].mT
        return similarity_distillation_loss(
            student, teacher, config.student_temperature, config.teacher_temperature
        )


def _noisy(x: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(x.shape, generator=generator, device=generator.device)
    return x + deviation * noise.to(x)


def view(clips: Tensor, config: Config, generator: torch.Generator) -> Tensor:
    """Draw one augmented view of a batch."""
    x = augment.rotate(clips, generator=generator, max_angle=config.rotation)
    x = augment.scale(x, generator=generator, low=1 - config.scale, high=1 + config.scale)
    x = augment.crop(x, generator=generator, low=config.crop)
    return augment.jitter(x, generator=generator, std=config.jitter)


def train(
    data: Labelled, layout: str, text: Text, config: Config, device: str = "cpu"
) -> tuple[MICA, list[dict[str, float]]]:
    """Train from scratch; returns the model and the losses of every epoch."""
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    text = Text(*(value.to(device) for value in (text.classes, text.phrases, text.present)))
    model = MICA(layout, text, config).to(device).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    steps = config.epochs * -(-len(data) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=steps + 1)
    history = []
    for _ in tqdm(range(config.epochs), desc="training", unit="epoch", leave=False):
        sums: dict[str, float] = {}
        for rows in torch.randperm(len(data), generator=generator).split(config.batch_size):
            views = [view(data.clips[rows], config, generator).to(device) for _ in range(2)]
            losses = model(*views, data.labels[rows].to(device), generator)
            optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            schedule.step()
            model.paths.update()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * len(rows)
        history.append({name: value / len(data) for name, value in sums.items()})
    return model.eval(), history
