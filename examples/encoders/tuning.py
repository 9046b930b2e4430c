"""Fine-tuning: a copy of an encoder with a new head, trained with labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from examples.common.runs import Cell
from examples.common.scale import Share
from examples.common.training import Loop
from examples.data.task import Labelled
from skelfreq.functional import split_frames

DROP_TOKENS, LEARNING_RATE, LAYER_DECAY, WEIGHT_DECAY = 0.5, 3e-3, 0.8, 0.05


class Classifier(nn.Module):
    """A copy of the encoder, mean pooling, batch normalisation without scale, linear head."""

    def __init__(self, encoder: Any, num_classes: int) -> None:
        super().__init__()
        width = encoder.norm.normalized_shape[0]
        self.encoder = copy.deepcopy(encoder).requires_grad_(True)
        self.normalise = nn.BatchNorm1d(width, affine=False)
        self.head = nn.Linear(width, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.to(next(encoder.parameters()).device)

    def forward(self, clip: Tensor) -> Tensor:
        """Scores of clips [N, C, T, V]; in training a share of the tokens is dropped."""
        tokens = self.encoder.tokens(clip).flatten(1, 2)
        if self.training and DROP_TOKENS > 0:
            keep = round(tokens.shape[1] * (1 - DROP_TOKENS))
            chosen = torch.rand(tokens.shape[:2], device=clip.device).topk(keep, dim=1).indices
            tokens = tokens.gather(1, chosen.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
        logits: Tensor = self.head(self.normalise(self.encoder(tokens).mean(1)))
        return logits

    @torch.no_grad()
    def accuracy(self, test: Labelled) -> float:
        """Share of clips whose class has the highest probability, averaged over both halves."""
        self.eval()
        device, hits = next(self.parameters()).device, 0
        for clip, labels in zip(test.clips.split(128), test.labels.split(128), strict=True):
            halves = split_frames(clip.to(device))
            scores = torch.stack([self(half).softmax(-1) for half in halves]).mean(0)
            hits += int((scores.argmax(1).cpu() == labels).sum())
        return hits / len(test)


def layer_groups(model: Classifier) -> list[dict[str, object]]:
    """Learning rates that fall from the head to the embedding; no decay of vectors."""
    depth = len(model.encoder.blocks)
    groups: list[dict[str, object]] = []
    for name, parameter in model.named_parameters():
        if name.startswith("encoder.blocks."):
            layer = int(name.split(".")[2]) + 1
        else:
            layer = depth + 1 if name.startswith(("encoder.norm", "head")) else 0
        rate = LEARNING_RATE * LAYER_DECAY ** (depth + 1 - layer)
        decay = WEIGHT_DECAY if parameter.ndim > 1 else 0.0
        groups.append({"params": [parameter], "base": rate, "weight_decay": decay})
    return groups


class Order(nn.Module):
    """Row numbers in random order, ``size`` at a time; a new permutation follows the last."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.count, self.size = count, size
        self.rows = nn.Buffer(torch.zeros(count + size, dtype=torch.long))
        self.left = nn.Buffer(torch.zeros((), dtype=torch.long))

    def take(self, generator: torch.Generator) -> Tensor:
        """Return the next rows."""
        left = self.rows[: int(self.left)].clone()
        if len(left) < self.size:
            left = torch.cat([left, torch.randperm(self.count, generator=generator)])
        batch, left = left[: self.size], left[self.size :]
        self.rows[: len(left)] = left
        self.left.fill_(len(left))
        return batch


def fine_tune(
    cell: Cell,
    name: str,
    model: nn.Module,
    groups: list[dict[str, object]],
    inputs: Callable[[Tensor, torch.Generator, int], Tensor],
    train: Labelled,
    *,
    steps: int,
    batch_size: int,
    seed: int,
) -> None:
    """Train a classifier in place; ``groups`` give each parameter its ``base`` learning rate.

    ``inputs(clips, generator, step)`` makes what the model is called with. Labels are smoothed.
    ``name`` is that of the checkpoint in the folder of ``cell``.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(groups)
    device = next(model.parameters()).device
    warmup = max(steps // 10, 1)
    order = Order(len(train), min(batch_size, len(train)))
    parts = {"model": model, "optimizer": optimizer, "rows": order, "draws": generator}
    loop = Loop(cell, name, parts, torch.Generator(), epochs=1, count=steps, batch_size=1)
    if int(order.left) >= order.count + order.size or int(order.rows.max()) >= order.count:
        raise ValueError(f"{loop.path}: rows must be numbers of training clips; delete it.")
    model.train()
    for _ in loop:
        step, batch = loop.step, order.take(generator)
        progress = max(step - warmup, 0) / max(steps - warmup, 1)
        factor = min((step + 1) / warmup, (1 + math.cos(math.pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        scores = model(inputs(train.clips[batch], generator, step))
        loss = nnf.cross_entropy(scores, train.labels[batch].to(device), label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        # Every process computes the same.
        loop.add({"cross entropy": loss}, Share(batch, 1, 1.0, 1 / cell.scale.world))
