"""Do training steps leave memory behind?

``python -m tests.leaks`` takes 3,000 steps of each layer (forward, backward, AdamW) and 10,000
calls of ``dct`` with random lengths, and prints by how much the resident memory of the process
grew. Needs Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "library")]

from cases import CASES, Case, build, run  # noqa: E402

from skelfreq.functional import dct  # noqa: E402

MIB = 2**20


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def trainer(case: Case) -> Callable[[], None]:
    """Return a function that takes one training step of a layer."""
    layer = build(case).train()
    inputs = case.inputs(2)
    parameters = list(layer.parameters())
    optimizer = torch.optim.AdamW(parameters) if parameters else None

    def step() -> None:
        _loss(case, layer, inputs).backward()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad()

    return step


def _loss(case: Case, layer: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    inputs = tuple(x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs)
    outputs = [x for x in run(case, layer, inputs) if x.requires_grad]
    return torch.stack([x.square().mean() for x in outputs or inputs[:1]]).sum()


def growth(step: Callable[[], object], steps: int) -> tuple[int, int]:
    """Return the bytes by which memory grew in the first tenth of the steps, and in the others."""
    marks = [resident()]
    for count in (steps // 10, steps - steps // 10):
        for _ in range(count):
            step()
        marks.append(resident())
    return marks[1] - marks[0], marks[2] - marks[1]


def random_lengths(longest: int) -> Callable[[], Tensor]:
    """Return a function that transforms a signal of another length at every call."""
    draw = random.Random(0)
    return lambda: dct(torch.randn(4, draw.randint(1, longest)), dim=-1)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.leaks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=3000, help="of each layer")
    parser.add_argument("--calls", type=int, default=10_000, help="of dct")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = [("dct, n ≤ 3000", args.calls, random_lengths(3000))]
    rows += [(name, args.steps, trainer(case)) for name, case in CASES.items()]
    print("| what | steps | MiB in the first tenth | MiB in the others |\n|---|---|---|---|")
    for name, steps, step in rows:
        first, later = growth(step, steps)
        print(f"| {name} | {steps:,} | {first / MIB:.1f} | {later / MIB:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
