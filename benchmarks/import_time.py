"""What ``import skelfreq`` adds to ``import torch``: ``python -m benchmarks.import_time``."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.report import table, write_section

PROGRAM = """
import time
start = time.perf_counter()
import torch
middle = time.perf_counter()
import skelfreq
print(middle - start, time.perf_counter() - middle)
"""


def measure(processes: int) -> tuple[float, float]:
    """Return median seconds of ``import torch`` and of ``import skelfreq`` after it."""
    root = Path(__file__).resolve().parents[1]
    pairs = []
    for _ in range(processes):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=root
        )
        pairs.append([float(value) for value in done.stdout.split()])
    torch_seconds, own_seconds = zip(*pairs, strict=True)
    return statistics.median(torch_seconds), statistics.median(own_seconds)


def main() -> None:
    """Measure, print, and with ``--write`` update the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    args = parser.parse_args()
    torch_seconds, own_seconds = measure(args.processes)
    rows = [["`import torch`", f"{torch_seconds:.2f} s"]]
    rows.append(["`import skelfreq` after it", f"{1e3 * own_seconds:.0f} ms"])
    body = table(["", f"median of {args.processes} processes"], rows)
    print(body)
    if args.write:
        write_section(
            "import_time", "Import time", body, "python -m benchmarks.import_time --write"
        )


if __name__ == "__main__":
    main()
