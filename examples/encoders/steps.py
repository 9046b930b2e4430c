"""What trainings of an encoder share: changes of the clips, optimizer, learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from examples.data import augment

GRADIENT_NORM = 1.0


def augmented(clips: Tensor, config: Any, generator: torch.Generator) -> Tensor:
    """Rotate about the vertical, scale, crop in time; one draw per clip."""
    clips = augment.rotate(clips, generator=generator, max_angle=config.rotation)
    low, high = 1 - config.scale, 1 + config.scale
    clips = augment.scale(clips, generator=generator, low=low, high=high)
    return augment.crop(clips, generator=generator, low=config.crop)


def optimizer_of(network: nn.Module, config: Any) -> torch.optim.AdamW:
    """Return AdamW without decay of vectors."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.95), fused=True)


def warm_cosine(step: int, steps: int, warmup: int, lr: float, min_lr: float) -> float:
    """Learning rate of a step: linear warm-up, then a cosine to ``min_lr``."""
    if step < warmup:
        return lr * (step + 1) / warmup
    progress = (step - warmup) / max(steps - warmup, 1)
    return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * progress)) / 2
