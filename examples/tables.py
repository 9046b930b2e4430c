"""Many runs in parallel, and their numbers as Markdown."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import torch
from tqdm import tqdm


def run_jobs(
    function: Callable[..., object], jobs: Sequence[tuple[Any, ...]], workers: int
) -> None:
    """Call ``function(*job)`` for every job, in processes of their own, under one bar."""
    # Bars of several processes would overwrite one another.
    os.environ["TQDM_DISABLE"] = "1"
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(workers, mp_context=context) as pool,
        tqdm(total=len(jobs), unit="run", disable=False) as bar,
    ):
        for future in as_completed([pool.submit(function, *job) for job in jobs]):
            future.result()
            bar.update()


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation of shares, in per cent with one digit."""
    numbers = 100 * torch.tensor(values, dtype=torch.float64)
    deviation = numbers.std() if len(values) > 1 else torch.zeros(())
    return round(float(numbers.mean()), 1), round(float(deviation), 1)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard error of shares, in per cent with one digit."""
    numbers = 100 * torch.tensor(values, dtype=torch.float64)
    error = numbers.std() / len(values) ** 0.5 if len(values) > 1 else torch.zeros(())
    return round(float(numbers.mean()), 1), round(float(error), 1)


def markdown(rows: Mapping[str, Mapping[str, float | tuple[float, float]]]) -> str:
    """Return rows as a table: shares in per cent, pairs as "mean ± spread"."""
    columns = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, cells in rows.items():
        texts = [_cell(cells[column]) for column in columns]
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _cell(value: float | tuple[float, float]) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.1f} ± {value[1]:.1f}"
    return f"{100 * value:.1f}"
