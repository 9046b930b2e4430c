"""``python -m examples.fd_mae.study``: rows × seeds in parallel, mean ± deviation as a table."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from examples.data.task import load_task
from examples.fd_mae.config import PRESETS, Config
from examples.fd_mae.rows import EVALUATIONS, ROWS, TITLES, Evaluation, run_row
from examples.runs import write_json


def main(argv: list[str] | None = None) -> int:
    """Run what is missing in the study's folder, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m examples.fd_mae.study", description=__doc__)
    parser.add_argument("--data", required=True, help="'synthetic', or a .npz archive")
    parser.add_argument("--config", choices=PRESETS, default="msr")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--validate",
        nargs="+",
        type=int,
        metavar="SUBJECT",
        help="test on these training subjects instead: for choosing settings",
    )
    parser.add_argument("--linear", action="store_true", help="the linear probe alone")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/study"), help="finished jobs stay")
    args = parser.parse_args(argv)
    jobs = [
        (
            row,
            replace(PRESETS[args.config], seed=seed),
            Evaluation() if args.linear else EVALUATIONS[args.config],
            args.data,
            args.validate,
            args.out / row / f"seed{seed}",
        )
        for seed in args.seeds
        for row in args.rows
    ]
    context = multiprocessing.get_context("spawn")
    # Bars of several processes would overwrite one another.
    os.environ["TQDM_DISABLE"] = "1"
    with (
        ProcessPoolExecutor(args.workers, mp_context=context) as pool,
        tqdm(total=len(jobs), unit="run", disable=False) as bar,
    ):
        for future in as_completed([pool.submit(_job, *job) for job in jobs]):
            future.result()
            bar.update()
    table = summarise(args.out, args.rows, args.seeds)
    write_json(args.out / "table.json", table)
    print(format_table(table))
    return 0


def _job(
    row: str,
    config: Config,
    evaluation: Evaluation,
    data: str,
    validate: list[int] | None,
    folder: Path,
) -> None:
    torch.set_num_threads(1)
    task = load_task(
        data, frames=2 * config.frames, body_frame=config.body_frame, validate=validate
    )
    run_row(row, config, task, evaluation, folder)


def summarise(
    folder: Path, rows: list[str], seeds: list[int]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard deviation over the seeds, in per cent, by row and column."""
    table = {}
    for row in rows:
        results = [
            json.loads((folder / row / f"seed{seed}" / "result.json").read_text()) for seed in seeds
        ]
        table[TITLES[row]] = {
            column: _mean_and_deviation([100 * result[column] for result in results])
            for column in results[0]
        }
    return table


def _mean_and_deviation(values: list[float]) -> tuple[float, float]:
    numbers = torch.tensor(values, dtype=torch.float64)
    deviation = numbers.std() if len(values) > 1 else torch.zeros(())
    return round(float(numbers.mean()), 1), round(float(deviation), 1)


def format_table(table: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Return Markdown, "mean ± deviation" in each cell."""
    columns = list(next(iter(table.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, cells in table.items():
        texts = [f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in cells.values()]
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
