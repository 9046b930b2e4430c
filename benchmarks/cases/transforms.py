"""``dct`` and ``idct`` against scipy.fft and torch-dct, on about 2 million numbers."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.case import (
    BACKWARD,
    COMPILED,
    EAGER,
    FORWARD,
    Case,
    Limit,
    Operation,
    Setting,
    Target,
    Workload,
    full_precision,
)
from benchmarks.cases.per_axis import FEW_JOINTS, LAST_AXIS, last_axis_peer, line_targets
from benchmarks.peers import scipy_dct, scipy_idct, torch_dct_forward, torch_dct_inverse
from skelfreq.functional import dct, idct

PEER, SCIPY = "torch-dct", "scipy.fft"
NUMBERS = 2_000_000
POINTS = (16, 25, 64, 120, 128, 256, 300, 512, 1024, 4096, 8192)
TRANSFORMS = {
    "dct": (dct, torch_dct_forward, scipy_dct),
    "idct": (idct, torch_dct_inverse, scipy_idct),
}
QUICK = {("dct", 64, -2), ("dct", 120, -2), ("dct", 300, -2), ("dct", 1024, -1), ("idct", 64, -1)}
DETAILED_POINTS = (64, 300, 1024)  # compiled and in bf16 too
# The least ratios to scipy.fft, which has no gradient to prepare.
SCIPY_RATIOS = {
    64: 0.7, 120: 0.7, 256: 0.7, 16: 0.55, 25: 0.55, 300: 0.55, 1024: 0.55, 8192: 0.55
}  # fmt: skip


def targets(points: int, dim: int) -> tuple[Target, ...]:
    """Return what is aimed at: a product beats an FFT by more the shorter the axis is."""
    forward = 6.0 if points <= 64 else 3.0 if points <= 128 else 1.5
    backward = 10.0 if points <= 64 else 5.0 if points <= 128 else 3.0
    made = (Target(PEER, EAGER, FORWARD, forward), Target(PEER, EAGER, BACKWARD, backward))
    if dim == -1 and points in SCIPY_RATIOS:
        made += (Target(SCIPY, EAGER, FORWARD, SCIPY_RATIOS[points]),)
    return made


def build(shape: tuple[int, ...], setting: Setting, *, name: str, dim: int) -> Workload:
    """Make one transform ready."""
    library, released, scipys = TRANSFORMS[name]
    x = setting.normal(*shape)

    def candidate(x: Tensor) -> Tensor:
        return library(x, dim=dim)

    peer = Operation(full_precision(partial(released, dim=dim)), (x,))
    peers = {PEER: peer}
    if dim == -1 and setting.on_cpu:
        peers[SCIPY] = Operation(partial(scipys, dim=dim), (x,), compiles=False, forward_only=True)
    if len(shape) == 3:  # few joints
        peers[LAST_AXIS] = last_axis_peer(candidate_along(name), x)
    limit = Limit.spectrum(x, dim)
    return Workload(Operation(candidate, (x,)), peers, x, reference=peer, limit=limit)


def candidate_along(name: str) -> partial[Tensor]:
    """Return a transform along the last axis."""
    return partial(TRANSFORMS[name][0], dim=-1)


def cases() -> list[Case]:
    """Return a case for each transform, layout and number of points."""
    made = []
    for name in TRANSFORMS:
        for dim, detail in ((-1, "last axis"), (-2, "along T")):
            for points in POINTS:
                rows = NUMBERS // points
                shape = (rows, points) if dim == -1 else (max(rows // 75, 1), 3, points, 25)
                detailed = points in DETAILED_POINTS
                case = Case(
                    name,
                    shape,
                    tiny=(2, points) if dim == -1 else (1, 1, points, 2),
                    build=partial(build, name=name, dim=dim),
                    detail=detail,
                    targets=targets(points, dim),
                    modes=(EAGER, COMPILED) if detailed else (EAGER,),
                    dtypes=(torch.float32, torch.bfloat16) if detailed else (torch.float32,),
                    quick=(EAGER,) if (name, points, dim) in QUICK else (),
                )
                made.append(case)
        # Few joints: as a product along time runs, each line of the last axis would be short.
        made += [
            Case(
                name,
                (NUMBERS // (48 * joints), 48, joints),
                tiny=(2, 48, joints),
                build=partial(build, name=name, dim=-2),
                detail="along T, few joints",
                targets=line_targets(joints),
                modes=(EAGER,),
                dtypes=(torch.float32,),
            )
            for joints in FEW_JOINTS
        ]
    return made


CASES = cases()
