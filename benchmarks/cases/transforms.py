"""``dct`` and ``idct`` against torch-dct, on about 2 million numbers."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.case import (
    COMPILED,
    EAGER,
    Case,
    Operation,
    Setting,
    Workload,
    both,
    full_precision,
)
from benchmarks.peers import torch_dct_forward, torch_dct_inverse
from skelfreq.functional import dct, idct

PEER = "torch-dct"
NUMBERS = 2_000_000
POINTS = (16, 25, 64, 120, 128, 300, 512, 1024, 4096, 8192)
TRANSFORMS = {"dct": (dct, torch_dct_forward), "idct": (idct, torch_dct_inverse)}
QUICK = {("dct", 64, -2), ("dct", 120, -2), ("dct", 300, -2), ("dct", 1024, -1), ("idct", 64, -1)}
DETAILED_POINTS = (64, 300, 1024)  # compiled and in bf16 too


def least_ratio(points: int) -> float:
    """Return what is aimed at: a product beats an FFT by more the shorter the axis is."""
    return 6.0 if points <= 64 else 3.0 if points <= 128 else 1.5


def build(shape: tuple[int, ...], setting: Setting, *, name: str, dim: int) -> Workload:
    """Make one transform ready."""
    library, released = TRANSFORMS[name]
    x = setting.normal(*shape)

    def candidate(x: Tensor) -> Tensor:
        return library(x, dim=dim)

    peer = Operation(full_precision(partial(released, dim=dim)), (x,))
    return Workload(Operation(candidate, (x,)), {PEER: peer}, copied=x, reference=peer)


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
                    targets=both(PEER, EAGER, least_ratio(points), least_ratio(points)),
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
                modes=(EAGER,),
                dtypes=(torch.float32,),
            )
            for joints in (1, 2, 5, 17)
        ]
    return made


CASES = cases()
