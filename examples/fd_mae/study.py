"""``python -m examples.fd_mae.study``: rows × seeds in parallel, mean ± deviation as a table."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from examples.data import load
from examples.data.task import load_task
from examples.fd_mae.config import PRESETS, Config
from examples.fd_mae.rows import EVALUATIONS, ROWS, TITLES, Evaluation, run_row
from examples.runs import claim_folder, exit_status, write_json
from examples.tables import markdown, mean_and_deviation, run_jobs


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
    return exit_status("fd_mae.study", lambda: execute(args))


def execute(args: argparse.Namespace) -> None:
    """Run the jobs and write the table."""
    load(args.data)  # an unreadable file is found before any process starts
    config = replace(PRESETS[args.config], seed=0)
    settings = {"data": args.data, "validate": args.validate, "linear": args.linear}
    claim_folder(args.out, {**settings, "config": config.to_dict()})
    jobs = [
        (
            row,
            replace(config, seed=seed),
            Evaluation() if args.linear else EVALUATIONS[args.config],
            args.data,
            args.validate,
            args.out / row / f"seed{seed}",
        )
        for seed in args.seeds
        for row in args.rows
    ]
    run_jobs(_job, jobs, args.workers)
    table = summarise(args.out, args.rows, args.seeds)
    write_json(args.out / "table.json", table)
    print(markdown(table))


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
            column: mean_and_deviation([result[column] for result in results])
            for column in results[0]
        }
    return table


if __name__ == "__main__":
    sys.exit(main())
