"""The core of ``FreT`` and ``FreS``, mask and two filters, against the torch.fft block."""

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
from benchmarks.cases.per_axis import FEW_JOINTS, LAST_AXIS, line_targets
from benchmarks.peers import adaptive_spectral_block, adaptive_spectral_block_nctv, global_filter
from skelfreq.functional import spectral_filter

BLOCK, GLOBAL = "torch.fft block", "torch.fft global filter"


def core(x: Tensor, *filters: Tensor, dim: int, channel_dim: int) -> Tensor:
    """Run the library's core; ``filters`` as :func:`adaptive_spectral_block` takes them."""
    # The peer's gradient of the threshold, so that errors compare.
    return spectral_filter(x, *filters, dim=dim, channel_dim=channel_dim, gradient="tslanet")


def filters(channels: int, setting: Setting) -> tuple[Tensor, Tensor, Tensor]:
    """Draw two complex weights [C, 2], and return them with a threshold [1]."""
    first, second = (0.02 * setting.normal(channels, 2, seed=seed) for seed in (1, 2))
    return first, second, torch.full((1,), 0.5, device=setting.device, dtype=setting.dtype)


def build(shape: tuple[int, ...], setting: Setting, *, dim: int = 2) -> Workload:
    """[B, n, C] as the peer lays it out, or [N, C, T, V] with the copies the peer needs."""
    x = setting.normal(*shape)
    rows = len(shape) == 3
    along, channels = (1, 2) if rows else (dim, 1)
    peer = adaptive_spectral_block if rows else partial(adaptive_spectral_block_nctv, dim=dim)
    tensors = (x, *filters(shape[channels], setting))
    candidate = Operation(partial(core, dim=along, channel_dim=channels), tensors)
    block = Operation(full_precision(peer), tensors)
    peers = {BLOCK: block}
    if not rows and shape[3] in FEW_JOINTS:
        lines = x.transpose(2, 3).contiguous()
        same = partial(core, dim=-1, channel_dim=1)
        peers[LAST_AXIS] = Operation(same, (lines, *tensors[1:]), forward_only=True)
    limit = Limit.round_trip(x, along)
    return Workload(candidate, peers, x, reference=block, limit=limit)


def build_global(shape: tuple[int, ...], setting: Setting) -> Workload:
    """[B, n, C] with one weight for each frequency and channel, in one dimension."""
    x = setting.normal(*shape)
    weight = 0.02 * setting.normal(shape[1] // 2 + 1, shape[2], 2, seed=1)

    def one_weight(x: Tensor, weight: Tensor) -> Tensor:
        return spectral_filter(x, weight.transpose(0, 1), dim=1, channel_dim=2, weight="full")

    def in_one_dimension(x: Tensor, weight: Tensor) -> Tensor:
        return global_filter(x.unsqueeze(1), weight.unsqueeze(0)).squeeze(1)

    candidate = Operation(one_weight, (x, weight))
    peer = Operation(full_precision(in_one_dimension), (x, weight))
    return Workload(candidate, {GLOBAL: peer}, x, peer, limit=Limit.round_trip(x, 1))


TARGETS = (Target(BLOCK, COMPILED, BACKWARD, 3.0), Target(BLOCK, EAGER, BACKWARD, 3.0))
# In the peer's own layout it needs no copies.
ROW_TARGETS = (Target(BLOCK, COMPILED, BACKWARD, 3.0), Target(BLOCK, EAGER, BACKWARD, 1.8))
ROW_SHAPES = (
    ((800, 64, 64), (2, 8, 3), "along T"),
    ((2048, 25, 64), (2, 25, 3), "along V"),
)
QUICK_COMPILED = (2048, 25, 64)
CASES = [
    *(
        Case(
            "spectral_block",
            (32, 64, frames, 25),
            (2, 3, 12, 4),
            partial(build, dim=dim),
            detail,
            TARGETS,
            memory_target=2.5,
            quick=(EAGER,) if (frames, dim) == (120, 2) else (),
        )
        for frames in (64, 120)
        for dim, detail in ((2, "along T"), (3, "along V"))
    ),
    *(
        Case(
            "spectral_block",
            shape,
            tiny,
            build,
            detail,
            ROW_TARGETS,
            memory_target=2.5,
            quick=(EAGER, COMPILED) if shape == QUICK_COMPILED else (EAGER,),
        )
        for shape, tiny, detail in ROW_SHAPES
    ),
    *(
        Case(
            "spectral_block",
            (64, 64, 48, joints),
            (2, 3, 8, joints),
            build,
            "along T, few joints",
            line_targets(joints),
            modes=(EAGER,),
            dtypes=(torch.float32,),
        )
        for joints in FEW_JOINTS
    ),
    Case("global_filter", (800, 64, 64), (2, 8, 3), build_global, "along T"),
]
