"""Training: two views, a momentum encoder, a queue, and the language losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from examples.common.runs import Cell
from examples.common.training import Loop, one_cycle
from examples.data import augment
from examples.data.task import Labelled, Layout
from examples.mica.config import Config
from examples.mica.encoder import Embedding, Encoder, Harmonizer
from skelfreq import EMADualPath
from skelfreq.functional import info_nce, similarity_distillation_loss


class Text(NamedTuple):
    """Frozen features of the classes: one vector [K, width] and phrases [K, L, width] each."""

    classes: Tensor
    phrases: Tensor
    present: Tensor


class Queue(nn.Module):
    """The last ``size`` keys and the class of each, in a ring.

    Until it is full, :meth:`entries` returns only what was put in. Its state is in the
    ``state_dict``; the number of entries is a tensor, so that saving and loading keeps it.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.keys = nn.Buffer(torch.zeros(size, width))
        self.labels = nn.Buffer(torch.zeros(size, dtype=torch.long))
        self.written = nn.Buffer(torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def put(self, keys: Tensor, labels: Tensor) -> None:
        """Write keys [N, width], scaled to unit length, and labels [N] over the oldest."""
        keys, size = nnf.normalize(keys.to(self.keys.dtype), dim=1), len(self.keys)
        start = int(self.written)
        # Of a batch larger than the queue only the last keys would stay.
        index = torch.arange(start, start + len(keys), device=keys.device)[-size:] % size
        self.keys[index], self.labels[index] = keys[-size:], labels[-size:]
        self.written += len(keys)

    def entries(self) -> tuple[Tensor, Tensor]:
        """Return keys [K, width] and labels [K] of what the queue holds; copies."""
        count = min(int(self.written), len(self.keys))
        return self.keys[:count].clone(), self.labels[:count].clone()


class MICA(nn.Module):
    """Both paths, the queue, and the parts that language needs."""

    def __init__(self, layout: Layout, text: Text, config: Config, channels: int = 3) -> None:
        super().__init__()
        self.config, self.text = config, text
        encoder = Encoder(layout, config, channels)
        self.paths = EMADualPath(Embedding(encoder, config.embedding), momentum=config.momentum)
        self.queue = Queue(config.queue, config.embedding)
        sizes = (encoder.width, text.phrases.shape[-1], config.embedding)
        self.harmonizer = Harmonizer(*sizes) if config.harmonizer > 0 else None

    @property
    def encoder(self) -> Encoder:
        """The trained encoder: what is used afterwards."""
        return self.paths.online.encoder

    def forward(
        self, first: Tensor, second: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the parts of the loss of two views [N, C, T, V], and the keys [N, embedding]."""
        config, text = self.config, self.text
        (query, frames), (key, _) = self.paths(first, second)
        queue, queue_labels = self.queue.entries()
        losses = {"contrast": info_nce(query, key, queue, temperature=config.temperature)}
        if config.modulation > 0 and len(queue):
            # Similarities to the queue's skeletons follow those to their texts.
            student = _noisy(nnf.normalize(query, dim=1), config.noise, generator)
            teacher = _noisy(text.classes[labels], config.noise, generator)
            losses["modulation"] = config.modulation * similarity_distillation_loss(
                student @ queue.mT, teacher @ text.classes[queue_labels].mT,
                student_temperature=config.student_temperature,
                teacher_temperature=config.teacher_temperature,
            )  # fmt: skip
        if self.harmonizer is not None:
            aligned = self.harmonizer(frames, text.phrases[labels], text.present[labels])
            loss = info_nce(aligned, key, queue, temperature=config.temperature)
            losses["harmonizer"] = config.harmonizer * loss
        return losses, key


def _noisy(x: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(x.shape, generator=generator, device=generator.device)
    return x + deviation * noise.to(x)


def view(clips: Tensor, config: Config, generator: torch.Generator) -> Tensor:
    """Draw one augmented view of a batch."""
    x = augment.rotate(clips, generator=generator, max_angle=config.rotation)
    x = augment.scale(x, generator=generator, low=1 - config.scale, high=1 + config.scale)
    x = augment.crop(x, generator=generator, low=config.crop)
    # Rounding of convolutions follows the order in memory.
    return augment.jitter(x, generator=generator, std=config.jitter).contiguous()


class Training:
    """Model and optimizer of one run."""

    def __init__(
        self, config: Config, data: Labelled, layout: Layout, text: Text, cell: Cell | None = None
    ) -> None:
        torch.manual_seed(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.config, self.data, self.cell = config, data, cell or Cell()
        self.scale = self.cell.scale
        text = Text(*(x.to(self.scale.device) for x in text))
        self.model = MICA(layout, text, config, data.clips.shape[1]).to(self.scale.device).train()
        self.called = self.scale.setup(self.model, compiled=self.model.paths.online)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        options = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
        self.optimizer = torch.optim.AdamW(trained, **options)
        parts = {"model": self.model, "optimizer": self.optimizer}
        sizes = {"epochs": config.epochs, "count": len(data), "batch_size": config.batch_size}
        self.loop = Loop(self.cell, "training", parts, self.generator, **sizes)
        if int(self.model.queue.labels.max()) >= len(text.classes):
            raise ValueError(f"{self.loop.path}: the queue's labels must be classes of the data.")

    def run(self) -> Training:
        """Train to the end."""
        config, data, scale = self.config, self.data, self.scale
        for rows in self.loop:
            one_cycle(self.optimizer, self.loop.step, self.loop.steps + 1, config.lr)
            self.optimizer.zero_grad()
            keys = []
            for share in scale.shares(rows, self.called, self.generator):
                clips, labels = data.clips[share.rows], data.labels[share.rows].to(scale.device)
                views = [view(clips, config, self.generator).to(scale.device) for _ in range(2)]
                losses, key = self.called(*views, labels, self.generator)
                scale.backward(share.weight * torch.stack(list(losses.values())).sum())
                self.loop.add(losses, share)
                keys.append(scale.gather(key.detach()))
            self.optimizer.step()
            self.model.paths.update()
            self.model.queue.put(torch.cat(keys), data.labels[rows].to(scale.device))
        self.model.eval()
        return self
