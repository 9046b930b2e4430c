"""``python -m examples.mica.study``: rows × seeds in parallel, mean ± deviation as a table."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from examples.data import load
from examples.data.task import load_task
from examples.fs_vae.stages import name_of
from examples.mica.config import PRESETS, Config
from examples.mica.rows import ROWS, load_text, run_row
from examples.runs import claim_folder, exit_status, write_json
from examples.tables import markdown, mean_and_deviation, run_jobs


def main(argv: list[str] | None = None) -> int:
    """Run what is missing in the study's folder, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m examples.mica.study", description=__doc__)
    parser.add_argument("--data", required=True, help="'synthetic', or a .npz archive")
    parser.add_argument("--config", choices=PRESETS, default="msr")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--validate", nargs="+", type=int, metavar="SUBJECT")
    parser.add_argument("--epochs", type=int, help="instead of the preset's")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/mica-study"))
    args = parser.parse_args(argv)
    return exit_status("mica.study", lambda: execute(args))


def execute(args: argparse.Namespace) -> None:
    """Run the jobs and write the table."""
    load(args.data)  # an unreadable file is found before any process starts
    config = replace(PRESETS[args.config], seed=0)
    config = config if args.epochs is None else replace(config, epochs=args.epochs)
    settings = {"data": args.data, "validate": args.validate, "config": config.to_dict()}
    claim_folder(args.out, settings)
    jobs = [
        (row, replace(config, seed=seed), args.data, args.validate, _path(args.out, row, seed))
        for seed in args.seeds
        for row in args.rows
    ]
    jobs = [job for job in jobs if not job[-1].exists()]
    run_jobs(_job, jobs, args.workers)
    table = summarise(args.out, args.rows, args.seeds)
    write_json(args.out / "table.json", table)
    print(markdown(table))


def _path(folder: Path, row: str, seed: int) -> Path:
    return folder / f"{row.replace(' ', '_')}-{seed}.json"


def _job(row: str, config: Config, data: str, validate: list[int] | None, path: Path) -> None:
    torch.set_num_threads(1)
    task = load_task(data, config.frames, body_frame=True, validate=validate)
    text = load_text(name_of(data, load(data).class_names), task.class_names)
    _model, scores, _history = run_row(row, config, task, text)
    write_json(path, {"row": row, "seed": config.seed, "scores": scores})


def summarise(
    folder: Path, rows: list[str], seeds: list[int]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard deviation over the seeds, in per cent, by row and column."""
    table: dict[str, dict[str, tuple[float, float]]] = {}
    for row in rows:
        results = [json.loads(_path(folder, row, seed).read_text())["scores"] for seed in seeds]
        table[row] = {}
        for column in results[0]:
            values = [result[column] for result in results]
            table[row][column] = mean_and_deviation(values)
    return table


if __name__ == "__main__":
    sys.exit(main())
