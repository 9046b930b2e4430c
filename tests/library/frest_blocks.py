"""Blocks of FreST with repeatable weights, for the tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from skelfreq import FreS, FreST, FreT

C, T, V = 4, 12, 5


def seeded(build: Callable[..., nn.Module], *arguments, scale: float = 1.0, **options):
    """Build a module in fp64 with repeatable weights, ``scale`` away from the initial ones."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(*arguments, **options).double()
        if scale != 1:
            for parameter in model.parameters():
                parameter.data += scale * torch.randn_like(parameter)
    return model


def full(block: type, channels: int = C, frames: int = T, joints: int = V, **options):
    """Build a block with all the weights it can have, none of them small."""
    sizes = {FreS: (joints,), FreT: (frames,), FreST: (joints, frames)}[block]
    options = {"weight": "full", "threshold": 0.9, **options}
    model = seeded(block, channels, *sizes, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "threshold" not in name:
                step = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter += 0.3 * step
    return model
