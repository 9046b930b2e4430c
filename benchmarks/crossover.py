"""The sizes at which one way becomes the faster one: ``python -m benchmarks --crossover``.

The thresholds of ``skelfreq/functional/_route.py`` come from these tables. About 2 million numbers
per call; the contenders take turns; a ratio above 1 means that the first way is faster. With
``--device cuda`` the same tables of a GPU.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import console
from benchmarks.timing import Effort, interleave
from skelfreq.functional import _route, apply_gain, dct, idct, irdft, rdft, spectral_filter

POINTS = (16, 25, 64, 120, 160, 200, 256, 300, 384, 512, 1024)
TRAILING = (1, 2, 3, 5, 8, 12, 17, 25)
NUMBERS = 2_000_000
JOINTS = 25
ALWAYS, NEVER = 10**9, 0
EFFORT = Effort(rounds=5, block=0.05)
Run = Callable[[], object]
LAYOUTS = "few joints along time"
# Accelerators and exported graphs have one threshold for all transforms.
TRACED = "TRACED_PRODUCT_POINTS"


@contextmanager
def thresholds(**values: int) -> Iterator[None]:
    """Set thresholds of the routes for a while."""
    old = {name: getattr(_route, name) for name in values}
    for name, value in values.items():
        setattr(_route, name, value)
    try:
        yield
    finally:
        for name, value in old.items():
            setattr(_route, name, value)


def dct_round_trip(x: Tensor, dim: int) -> Tensor:
    return idct(dct(x, dim=dim), dim=dim)


def dft_round_trip(x: Tensor, dim: int) -> Tensor:
    return irdft(*rdft(x, dim=dim), n=x.shape[dim], dim=dim)


def gain(x: Tensor, dim: int) -> Tensor:
    return apply_gain(x, torch.ones(x.shape[dim], device=x.device), dim=dim)


def filtered(x: Tensor, dim: int) -> Tensor:
    pair = torch.ones(x.shape[0], 2, device=x.device)
    return spectral_filter(x, pair, pair, 0.5, dim=dim, channel_dim=0)


# What is timed, and the thresholds between its product and its FFT.
TRANSFORMS: dict[str, tuple[Callable[[Tensor, int], Tensor], tuple[str, ...]]] = {
    "dct + idct": (dct_round_trip, ("COSINE_PRODUCT_POINTS", TRACED)),
    "rdft + irdft": (dft_round_trip, ("FOURIER_PRODUCT_POINTS", TRACED)),
    "apply_gain": (gain, ("GAIN_PRODUCT_POINTS", TRACED)),
    "spectral_filter": (filtered, ("FILTER_FFT_POINTS", "FILTER_PRODUCT_POINTS")),
}


def call_of(function: Callable[[Tensor], Tensor], x: Tensor, backward: bool) -> Run:
    """Return a forward pass, or one with the gradient of ``x``."""
    if not backward:
        return lambda: function(x)
    leaf, upstream = x.clone().requires_grad_(), torch.ones_like(x)
    return lambda: torch.autograd.grad(function(leaf), leaf, upstream)


def routes(
    transform: str, points: int, dim: int, backward: bool, numbers: int, device: str = "cpu"
) -> dict[str, Run]:
    """Return the product, the FFT and a copy of the same bytes."""
    rows = max(numbers // (points * (JOINTS if dim == -2 else 1) * 8), 1)
    shape = (8, rows, points, JOINTS) if dim == -2 else (8, rows, points)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    function, names = TRANSFORMS[transform]

    def route(limit: int) -> Run:
        run = call_of(lambda x: function(x, dim), x, backward)

        def limited() -> object:
            with thresholds(**dict.fromkeys(names, limit)):
                return run()

        return limited

    return {"product": route(ALWAYS), "FFT": route(NEVER), "copy": x.clone}


def layouts(
    trailing: int, points: int, backward: bool, numbers: int, device: str = "cpu"
) -> dict[str, Run]:
    """Return a DCT along [R, T, V]: the axis moved to the end, as it lies, and a copy."""
    shape = (max(numbers // (points * trailing), 1), points, trailing)
    x = torch.randn(shape, device=device)

    def route(limit: int) -> Run:
        run = call_of(lambda x: dct(x, dim=1, method="matmul"), x, backward)

        def limited() -> object:
            with thresholds(FEW_TRAILING=limit):
                return run()

        return limited

    return {"moved": route(ALWAYS), "as it lies": route(NEVER), "copy": x.clone}


def row(contenders: dict[str, Run], threads: int, table: str, *where: str) -> dict[str, Any]:
    """Time two ways and a copy: medians in ms, and the ratio second / first with its range."""
    seconds = interleave(contenders, EFFORT, threads)
    first, second, copy = (1e3 * statistics.median(values) for values in seconds.values())
    names = list(contenders)
    ratios = sorted(b / a for a, b in zip(seconds[names[0]], seconds[names[1]], strict=True))
    measured = {
        "table": table, "where": list(where), "first": first, "second": second, "copy": copy,
        "ratio": statistics.median(ratios), "low": ratios[0], "high": ratios[-1],
    }  # fmt: skip
    print(console([[table.ljust(22), *(c.ljust(18) for c in where), *cells(measured)]]), flush=True)
    return measured


def cells(measured: dict[str, Any]) -> list[str]:
    """Return what was measured: ms of both ways and of a copy, the ratio, its range."""
    times = [f"{measured[name]:.3g}" for name in ("first", "second", "copy")]
    ends = f"{measured['low']:.2f} to {measured['high']:.2f}"
    return [*times, f"{measured['ratio']:.2f} ({ends})"]


def measure(
    threads: int,
    device: str = "cpu",
    numbers: int = NUMBERS,
    points: tuple[int, ...] = POINTS,
    rows: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Print and return the rows of all tables; they are in ``rows`` as they come."""
    rows = [] if rows is None else rows
    passes = {False: "forward", True: "forward + backward"}
    for transform in TRANSFORMS:
        for dim, along in ((-1, "last axis"), (-2, "time, V = 25")):
            for backward, name in passes.items():
                for n in points:
                    ways = routes(transform, n, dim, backward, numbers, device)
                    rows.append(row(ways, threads, transform, along, name, str(n)))
    for n in (48, 120):
        for backward, name in passes.items():
            for trailing in TRAILING:
                ways = layouts(trailing, n, backward, numbers, device)
                rows.append(row(ways, threads, LAYOUTS, f"T = {n}", name, str(trailing)))
    return rows
