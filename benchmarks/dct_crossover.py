"""Where a product with the basis stops beating the FFT: ``python -m benchmarks.dct_crossover``.

Times the library's own two routes, by moving the constant that chooses between them, on about
2 million numbers in the two layouts that matter: transform along the last axis, and along time
of ``[R, T, 25]``.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.report import machine_line, table, write_section
from benchmarks.results import machine
from benchmarks.timing import Effort, interleave
from skelfreq.functional import cosine, dct, fourier, idct, irdft, rdft

POINTS = (16, 25, 64, 120, 160, 200, 256, 300, 384, 512, 1024)
QUICK_POINTS = (16, 64, 256, 1024)
NUMBERS, QUICK_NUMBERS = 2_000_000, 500_000
JOINTS = 25
ALWAYS, NEVER = 10**9, 0
BLOCK = 0.05  # seconds of a contender in every round
HEADER = ["along", "pass", "T", "product ms", "FFT ms", "`x.clone()` ms", "FFT / product", "spread"]


def dct_round_trip(x: Tensor, dim: int, limit: int) -> Tensor:
    cosine.BASIS_MAX_POINTS = limit
    return idct(dct(x, dim=dim), dim=dim)


def dft_round_trip(x: Tensor, dim: int, limit: int) -> Tensor:
    fourier.DFT_BASIS_MAX_POINTS = limit
    return irdft(*rdft(x, dim=dim), n=x.shape[dim], dim=dim)


TRANSFORMS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "dct + idct": dct_round_trip,
    "rdft + irdft": dft_round_trip,
}


def routes(
    transform: str, points: int, dim: int, backward: bool, numbers: int
) -> dict[str, Callable[[], object]]:
    """Return what to time: either route, and a copy of the same bytes."""
    shape = (numbers // points, points)
    if dim == -2:
        shape = (numbers // (points * JOINTS), points, JOINTS)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    upstream = torch.randn(shape, generator=generator)
    function = TRANSFORMS[transform]

    def route(limit: int) -> Callable[[], object]:
        if not backward:
            return lambda: function(x, dim, limit)
        leaf = x.clone().requires_grad_()
        return lambda: torch.autograd.grad(function(leaf, dim, limit), leaf, upstream)

    return {"product": route(ALWAYS), "fft": route(NEVER), "copy": x.clone}


def crossover(won: dict[int, bool]) -> int:
    """Return the last number of points before the first one at which the product lost."""
    limit = 0
    for points, product_won in sorted(won.items()):
        if not product_won:
            break
        limit = points
    return limit


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and with ``--write`` update the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="the spread is over these")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--quick", action="store_true", help="under 30 s, on less; a rough look")
    args = parser.parse_args(argv)
    if args.quick and args.write:
        parser.error("--quick measures too little for the page: leave --write out")
    points_list, numbers = (QUICK_POINTS, QUICK_NUMBERS) if args.quick else (POINTS, NUMBERS)
    rounds = 2 if args.quick else args.rounds
    torch.set_num_threads(args.threads)
    described = machine("cpu", args.threads)
    busy = described["load"]
    print(machine_line(described))
    limits = cosine.BASIS_MAX_POINTS, fourier.DFT_BASIS_MAX_POINTS
    sections = []
    for transform in TRANSFORMS:
        rows = []
        # By number of points, whether the product won with backward in both layouts: in the
        # median, and in every round.
        usually, always = dict.fromkeys(points_list, True), dict.fromkeys(points_list, True)
        for dim in (-1, -2):
            for backward in (False, True):
                for points in points_list:
                    candidates = routes(transform, points, dim, backward, numbers)
                    seconds = interleave(candidates, Effort(rounds, BLOCK), args.threads)
                    product, fft, copy = (statistics.median(seconds[name]) for name in candidates)
                    ratios = sorted(
                        a / b for a, b in zip(seconds["fft"], seconds["product"], strict=True)
                    )
                    ratio = statistics.median(ratios)
                    if backward:
                        usually[points] &= ratio > 1
                        always[points] &= ratios[0] > 1
                    rows.append(
                        [
                            "last axis" if dim == -1 else "time of [R, T, 25]",
                            "forward + backward" if backward else "forward",
                            str(points),
                            f"{1e3 * product:.1f}",
                            f"{1e3 * fft:.1f}",
                            f"{1e3 * copy:.2f}",
                            f"{ratio:.2f}",
                            f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
                        ]
                    )
                    print(f"{transform:14}", *(f"{cell:>19}" for cell in rows[-1]), flush=True)
        verdict = (
            "Forward + backward, the product wins in both layouts up to "
            f"T = {crossover(usually)} by the\nmedian ratio, and up to "
            f"T = {crossover(always)} in every round."
        )
        print(f"{transform}: {verdict}")
        sections.append(f"### {transform}\n\n{verdict}\n\n{table(HEADER, rows)}")
    introduction = (
        f"About {numbers // 10**6} million fp32 numbers per call. *Product*: one multiplication "
        "with the cached\n"
        "basis. *FFT*: the library's other way, one real FFT of as many points. "
        "A ratio above 1 means\n"
        f"that the product is faster. Times are medians of {rounds} rounds, in which the three "
        "take turns;\nthe spread is the lowest and highest ratio of a round.\n"
        f"The library takes the product up to T = {limits[0]} for the DCT and T = {limits[1]} for "
        "the DFT."
    )
    if busy > 0.5:
        introduction += (
            f"\n\nOther work ran at the same time, a load average of {busy:.1f} when this began: "
            "compare the\ncolumns of a row, not rows, and take no time for that of an idle machine."
        )
    if args.write:
        write_section(
            "dct_crossover",
            "Product with a basis, or FFT?",
            "\n\n".join([introduction, *sections]),
            f"python -m benchmarks.dct_crossover --threads {args.threads} --write",
            described,
        )


if __name__ == "__main__":
    main()
