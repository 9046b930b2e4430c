"""Where a product with the basis stops beating the FFT: ``python -m benchmarks.dct_crossover``.

Times the library's own two routes, by moving the constant that chooses between them, on about
2 million numbers in the two layouts that matter: transform along the last axis, and along time
of ``[R, T, 25]``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.report import interleaved_medians, machine, table, write_section
from skelfreq.functional import cosine, dct, fourier, idct, irdft, rdft

POINTS = (16, 32, 64, 120, 128, 192, 256, 300, 384, 512, 768, 1024)
NUMBERS = 2_000_000
JOINTS = 25
ALWAYS, NEVER = 10**9, 0


def dct_round_trip(x: Tensor, dim: int, limit: int) -> Tensor:
    cosine.BASIS_MAX_POINTS = limit
    return idct(dct(x, dim), dim)


def dft_round_trip(x: Tensor, dim: int, limit: int) -> Tensor:
    fourier.DFT_BASIS_MAX_POINTS = limit
    return irdft(*rdft(x, dim), n=x.shape[dim], dim=dim)


TRANSFORMS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "dct + idct": dct_round_trip,
    "rdft + irdft": dft_round_trip,
}


def measure(transform: str, points: int, dim: int, backward: bool, repeats: int) -> list[float]:
    """Return seconds by product, by FFT, and of a copy of the same bytes."""
    shape = (NUMBERS // points, points)
    if dim == -2:
        shape = (NUMBERS // (points * JOINTS), points, JOINTS)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    upstream = torch.randn(shape, generator=generator)
    function = TRANSFORMS[transform]

    def route(limit: int) -> Callable[[], object]:
        if not backward:
            return lambda: function(x, dim, limit)
        leaf = x.clone().requires_grad_()
        return lambda: torch.autograd.grad(function(leaf, dim, limit), leaf, upstream)

    medians = interleaved_medians(
        {"product": route(ALWAYS), "fft": route(NEVER), "copy": x.clone}, repeats
    )
    return [medians["product"], medians["fft"], medians["copy"]]


def main() -> None:
    """Measure, print, and with ``--write`` update the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(machine())
    limits = cosine.BASIS_MAX_POINTS, fourier.DFT_BASIS_MAX_POINTS
    sections = []
    for transform in TRANSFORMS:
        rows, lost = [], set()
        for dim in (-1, -2):
            for backward in (False, True):
                for points in POINTS:
                    product, fft, copy = measure(transform, points, dim, backward, args.repeats)
                    if backward and product > fft:
                        lost.add(points)
                    rows.append(
                        [
                            "last axis" if dim == -1 else "time of [R, T, 25]",
                            "forward + backward" if backward else "forward",
                            str(points),
                            f"{1e3 * product:.1f}",
                            f"{1e3 * fft:.1f}",
                            f"{fft / product:.2f}",
                            f"{1e3 * copy:.2f}",
                        ]
                    )
                    print(f"{transform:14}", *(f"{cell:>19}" for cell in rows[-1]), flush=True)
        header = ["along", "pass", "T", "product ms", "FFT ms", "FFT / product", "`x.clone()` ms"]
        won = max((points for points in POINTS if points < min(lost, default=ALWAYS)), default=0)
        verdict = f"Forward + backward, the product wins in both layouts up to T = {won}."
        print(f"{transform}: {verdict}")
        sections.append(f"### {transform}\n\n{verdict}\n\n{table(header, rows)}")
    introduction = (
        "About 2 million fp32 numbers per call. *Product*: one multiplication with the cached\n"
        "basis. *FFT*: torch-dct for the DCT, `torch.fft` for the DFT. A ratio above 1 means that\n"
        "the product is faster. The library takes the product up to "
        f"T = {limits[0]} for the DCT and\nT = {limits[1]} for the DFT."
    )
    if args.write:
        write_section(
            "dct_crossover",
            "Product with a basis, or FFT?",
            "\n\n".join([introduction, *sections]),
            f"python -m benchmarks.dct_crossover --threads {args.threads} --write",
        )


if __name__ == "__main__":
    main()
