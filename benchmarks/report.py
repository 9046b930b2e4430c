"""Timing side by side, and the sections of ``docs/benchmarks.md``."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def interleaved_medians(
    candidates: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, float]:
    """Median seconds of each candidate; taking turns, so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(repeats + 1):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            elapsed = time.perf_counter() - start
            if turn:  # the first one warms caches up
                seconds[name].append(elapsed)
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [header, *rows]]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def machine() -> str:
    """Describe what was measured on, for the reader of a table."""
    return (
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s) in use; "
        f"load average {os.getloadavg()[0]:.1f}; {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def write_section(name: str, title: str, body: str, command: str) -> None:
    """Put a section into the page, in place of the one of that name where there is one."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    stamp = f"Measured {date.today()} on {machine()}, by `{command}`."
    section = f"{begin}\n## {title}\n\n{body}\n\n{stamp}\n{end}\n"
    page = PAGE.read_text() if PAGE.is_file() else "# Benchmarks\n"
    if begin in page:
        before, rest = page.split(begin, 1)
        page = before + section + "\n" + rest.split(end, 1)[1].lstrip("\n")
    else:
        page = f"{page.rstrip()}\n\n{section}"
    PAGE.write_text(page.rstrip() + "\n")
