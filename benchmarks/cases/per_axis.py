"""Functions along time with few joints, against the same numbers laid out on the last axis."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.case import EAGER, FORWARD, Case, Limit, Operation, Setting, Target, Workload
from skelfreq.functional import apply_gain, irdft, motion, rdft, resample, split_bands

LAST_AXIS = "the last axis"
FEW_JOINTS, AIMED_AT, RATIO = (1, 2, 5, 17), (1, 2, 5), 0.5
NUMBERS, FRAMES, CUTOFF = 2_000_000, 48, 12


def last_axis_peer(function: Callable[[Tensor], Tensor], x: Tensor) -> Operation:
    """Return ``function``, which takes the last axis, on the numbers of ``x`` [R, T, V]."""
    lines = x.transpose(1, 2).contiguous()
    return Operation(function, (lines,), compiles=False, forward_only=True)


def line_targets(joints: int) -> tuple[Target, ...]:
    """Return what is aimed at with so many joints."""
    return (Target(LAST_AXIS, EAGER, FORWARD, RATIO),) if joints in AIMED_AT else ()


def gained(x: Tensor, dim: int) -> Tensor:
    return apply_gain(x, torch.ones(FRAMES, device=x.device, dtype=x.dtype), dim=dim)


def dft_round_trip(x: Tensor, dim: int) -> Tensor:
    return irdft(*rdft(x, dim=dim), n=x.shape[dim], dim=dim)


def shortened(x: Tensor, dim: int) -> Tensor:
    return resample(x, FRAMES // 2, dim=dim)


def low_band(x: Tensor, dim: int) -> Tensor:
    return split_bands(x, CUTOFF, dim=dim).low


FUNCTIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "apply_gain": gained,
    "rdft + irdft": dft_round_trip,
    "resample": shortened,
    "split_bands": low_band,
    "motion": lambda x, dim: motion(x, dim=dim),
}


def build(shape: tuple[int, ...], setting: Setting, *, name: str) -> Workload:
    """Make one function ready, along T of [R, T, V]."""
    x, function = setting.normal(*shape), FUNCTIONS[name]
    candidate = Operation(lambda x: function(x, 1), (x,))
    peer = last_axis_peer(lambda x: function(x, -1), x)
    limit = None if name == "motion" else Limit.round_trip(x, 1)
    return Workload(candidate, {LAST_AXIS: peer}, x, limit=limit)


CASES = [
    Case(
        name,
        (NUMBERS // (FRAMES * joints), FRAMES, joints),
        tiny=(2, FRAMES, joints),
        build=partial(build, name=name),
        detail="along T, few joints",
        targets=line_targets(joints),
        passes=(FORWARD,),
        modes=(EAGER,),
        dtypes=(torch.float32,),
    )
    for name in FUNCTIONS
    for joints in FEW_JOINTS
]
