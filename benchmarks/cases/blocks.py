"""Whole ``FreT`` and ``FreS`` blocks against plain torch: decoupling, torch.fft block, residual."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.case import (
    BACKWARD,
    COMPILED,
    EAGER,
    Case,
    Limit,
    Operation,
    Setting,
    Target,
    Workload,
    full_precision,
)
from benchmarks.cases.spectral_block import filters
from benchmarks.peers import decoupled_spectral_block
from skelfreq import FreS, FreT

PLAIN = "plain decoupling + torch.fft block"
BLOCKS = {"fret": (FreT, 2, "along T"), "fres": (FreS, 3, "along V")}
MEMORY = 3.5


def build(shape: tuple[int, ...], setting: Setting, *, name: str) -> Workload:
    """A block with all its parts, and gradients of its input and every parameter."""
    kind, dim, _ = BLOCKS[name]
    x, channels = setting.normal(*shape), shape[1]
    # The peer's gradient of the threshold, so that errors compare.
    block = kind(channels, gradient="tslanet").to(setting.device)
    depthwise = 0.5 * setting.normal(channels, 3, seed=3)
    pointwise = setting.normal(channels, channels, seed=4) * channels**-0.5
    tensors = (x, depthwise, pointwise, *filters(channels, setting))
    # Held by the case, which takes their gradients, in place of the block's own.
    parts = block.decoupling
    del parts.depthwise, parts.pointwise
    del block.global_weight, block.local_weight, block.threshold

    def candidate(x: Tensor, *parameters: Tensor) -> Tensor:
        parts.depthwise, parts.pointwise = parameters[:2]
        block.global_weight, block.local_weight, block.threshold = parameters[2:]
        out: Tensor = block(x)
        return out

    peer = Operation(full_precision(partial(decoupled_spectral_block, dim=dim)), tensors)
    limit = Limit.round_trip(x, dim)
    return Workload(Operation(candidate, tensors), {PLAIN: peer}, x, peer, limit=limit)


CASES = [
    Case(
        name,
        (32, 64, frames, 25),
        (2, 3, 12, 4),
        partial(build, name=name),
        detail,
        (Target(PLAIN, EAGER, BACKWARD, 1.5), Target(PLAIN, COMPILED, BACKWARD, 1.5)),
        MEMORY,
        dtypes=(torch.float32,),
        quick=(EAGER,) if (name, frames) == ("fret", 64) else (),
    )
    for name, (_, _, detail) in BLOCKS.items()
    for frames in (64, 120)
]
