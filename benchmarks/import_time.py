"""What ``import skelfreq`` adds to ``import torch``: ``python -m benchmarks.import_time``."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.report import table, write_section
from benchmarks.results import machine

TORCH = "import torch"
BOTH = "import torch, skelfreq"
PART = "import skelfreq"
PROGRAM = """
import time
start = time.perf_counter()
import torch
middle = time.perf_counter()
{rest}
end = time.perf_counter()
print(end - start, end - middle)
"""


def measure(processes: int) -> dict[str, list[float]]:
    """Return seconds by statement; a process for each number, the two kinds taking turns.

    The part of skelfreq alone is timed inside the second kind: the difference of two whole
    processes would drown in what torch's import varies by.
    """
    seconds: dict[str, list[float]] = {TORCH: [], BOTH: [], PART: []}
    for turn in range(processes + 1):
        for statement, rest in ((TORCH, ""), (BOTH, PART)):
            whole, part = run(PROGRAM.format(rest=rest))
            if turn:  # the first one fills the file cache and compiles the modules
                seconds[statement].append(whole)
                if rest:
                    seconds[PART].append(part)
    return seconds


def run(program: str) -> tuple[float, float]:
    """Return the two numbers that ``program`` prints, run in a fresh interpreter."""
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    whole, part = map(float, done.stdout.split())
    return whole, part


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and with ``--write`` update the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=7, help="of each statement")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    args = parser.parse_args(argv)
    described = machine("cpu", torch.get_num_threads())
    busy = described["load"]
    seconds = measure(args.processes)
    labels = {PART: f"`{PART}` after `{TORCH}`"}
    rows = [
        [
            labels.get(statement, f"`{statement}`"),
            f"{1e3 * statistics.median(values):.0f}",
            f"{1e3 * min(values):.0f} to {1e3 * max(values):.0f}",
        ]
        for statement, values in seconds.items()
    ]
    body = table(["", f"median of {args.processes} processes, ms", "spread, ms"], rows)
    print(body)
    if busy > 0.5:
        body += f"\n\nOther work ran at the same time, a load average of {busy:.1f} at the start."
    if args.write:
        write_section(
            "import_time",
            "Import time",
            body,
            "python -m benchmarks.import_time --write",
            described,
        )


if __name__ == "__main__":
    main()
