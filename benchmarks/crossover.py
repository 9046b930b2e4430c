"""The sizes at which one way becomes the faster one: ``python -m benchmarks --crossover``.

The thresholds of ``skelfreq/functional/_route.py`` come from these tables. About 2 million numbers
per call; the contenders take turns; a ratio above 1 means that the first way is faster.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.report import machine_line, table, write_section
from benchmarks.results import machine
from benchmarks.timing import Effort, interleave
from skelfreq.functional import _route, apply_gain, dct, idct, irdft, rdft, spectral_filter

POINTS = (16, 25, 64, 120, 160, 200, 256, 300, 384, 512, 1024)
TRAILING = (1, 2, 3, 5, 8, 12, 17, 25)
NUMBERS = 2_000_000
JOINTS = 25
ALWAYS, NEVER = 10**9, 0
INTRODUCTION = (
    "About 2 million fp32 numbers per call; medians of 5 rounds, in which the contenders take "
    "turns.\nA ratio above 1 means that the first way is faster. Under each title: the threshold "
    "of\n`skelfreq/functional/_route.py` that was set from such tables."
)
EFFORT = Effort(rounds=5, block=0.05)
Run = Callable[[], object]


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
    return apply_gain(x, torch.ones(x.shape[dim]), dim=dim)


def filtered(x: Tensor, dim: int) -> Tensor:
    pair = torch.ones(x.shape[0], 2)
    return spectral_filter(x, pair, pair, 0.5, dim=dim, channel_dim=0)


# What is timed, and the threshold between its product and its FFT.
TRANSFORMS: dict[str, tuple[Callable[[Tensor, int], Tensor], tuple[str, ...]]] = {
    "dct + idct": (dct_round_trip, ("COSINE_PRODUCT_POINTS",)),
    "rdft + irdft": (dft_round_trip, ("FOURIER_PRODUCT_POINTS",)),
    "apply_gain": (gain, ("GAIN_PRODUCT_POINTS",)),
    "spectral_filter": (filtered, ("FILTER_FFT_POINTS", "FILTER_PRODUCT_POINTS")),
}


def call_of(function: Callable[[Tensor], Tensor], x: Tensor, backward: bool) -> Run:
    """Return a forward pass, or one with the gradient of ``x``."""
    if not backward:
        return lambda: function(x)
    leaf, upstream = x.clone().requires_grad_(), torch.ones_like(x)
    return lambda: torch.autograd.grad(function(leaf), leaf, upstream)


def routes(transform: str, points: int, dim: int, backward: bool, numbers: int) -> dict[str, Run]:
    """Return the product, the FFT and a copy of the same bytes."""
    rows = max(numbers // (points * (JOINTS if dim == -2 else 1) * 8), 1)
    shape = (8, rows, points, JOINTS) if dim == -2 else (8, rows, points)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    function, names = TRANSFORMS[transform]

    def route(limit: int) -> Run:
        run = call_of(lambda x: function(x, dim), x, backward)

        def limited() -> object:
            with thresholds(**dict.fromkeys(names, limit)):
                return run()

        return limited

    return {"product": route(ALWAYS), "fft": route(NEVER), "copy": x.clone}


def layouts(trailing: int, points: int, backward: bool, numbers: int) -> dict[str, Run]:
    """Return a DCT along [R, T, V]: the axis moved to the end, as it lies, and a copy."""
    x = torch.randn(max(numbers // (points * trailing), 1), points, trailing)

    def route(limit: int) -> Run:
        run = call_of(lambda x: dct(x, dim=1, method="matmul"), x, backward)

        def limited() -> object:
            with thresholds(FEW_TRAILING=limit):
                return run()

        return limited

    return {"moved": route(ALWAYS), "as it lies": route(NEVER), "copy": x.clone}


def row(contenders: dict[str, Run], threads: int, *cells: str) -> list[str]:
    """Time two ways and a copy; return the measurements after ``cells``."""
    seconds = interleave(contenders, EFFORT, threads)
    first, second, copy = (statistics.median(values) for values in seconds.values())
    names = list(contenders)
    ratios = sorted(b / a for a, b in zip(seconds[names[0]], seconds[names[1]], strict=True))
    measured = [*cells, f"{1e3 * first:.2f}", f"{1e3 * second:.2f}", f"{1e3 * copy:.2f}"]
    measured += [f"{statistics.median(ratios):.2f}", f"{ratios[0]:.2f} to {ratios[-1]:.2f}"]
    print(*(f"{cell:>18}" for cell in measured), flush=True)
    return measured


def measure(threads: int, numbers: int = NUMBERS, points: tuple[int, ...] = POINTS) -> str:
    """Print and return the tables."""
    sections = []
    for transform, (_, names) in TRANSFORMS.items():
        header = ["along", "pass", "n", "product ms", "FFT ms", "copy ms", "FFT / product"]
        rows = [
            row(
                routes(transform, n, dim, backward, numbers),
                threads,
                "last axis" if dim == -1 else "time, V = 25",
                "forward + backward" if backward else "forward",
                str(n),
            )
            for dim in (-1, -2)
            for backward in (False, True)
            for n in points
        ]
        now = ", ".join(f"`{name}` = {getattr(_route, name)}" for name in names)
        sections.append(f"### {transform}\n\n{now}\n\n{table([*header, 'spread'], rows)}")
    header = ["T", "pass", "V", "moved ms", "as it lies ms", "copy ms", "as it lies / moved"]
    rows = [
        row(
            layouts(trailing, n, backward, numbers),
            threads,
            str(n),
            "forward + backward" if backward else "forward",
            str(trailing),
        )
        for n in (48, 120)
        for backward in (False, True)
        for trailing in TRAILING
    ]
    now = f"`FEW_TRAILING` = {_route.FEW_TRAILING}"
    few = f"### Few joints along time\n\n{now}\n\n{table([*header, 'spread'], rows)}"
    return "\n\n".join([*sections, few])


def main(threads: int, write: bool) -> None:
    """Measure this machine; with ``write``, update the page."""
    torch.set_num_threads(threads)
    described = machine("cpu", threads)
    print(machine_line(described))
    body = measure(threads)
    if write:
        command = f"python -m benchmarks --crossover --threads {threads} --write-docs"
        body = f"{INTRODUCTION}\n\n{body}"
        write_section("crossover", "Which way is faster at which size", body, command, described)
