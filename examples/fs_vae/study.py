"""``python -m examples.fs_vae.study``: variants × seeds × class splits as tables."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from examples.fs_vae.config import PRESETS, Config
from examples.fs_vae.pipeline import run
from examples.fs_vae.stages import Problem, choose_split, load_clips, prepare, text_of
from examples.runs import claim_folder, exit_status, write_json
from examples.tables import markdown, mean_and_error, run_jobs

VARIANTS: dict[str, dict[str, object]] = {
    "no FreqEnhance": {"enhance": "none"},
    "FreqEnhance": {},
    "Ours† (free gains)": {"enhance": "free"},
    "label text only": {"levels": ("label",)},
    "triplet instead of calibrated": {"alignment": "triplet"},
    "no alignment loss": {"alignment": "none"},
}
METRICS = ("zero-shot", "seen", "unseen", "harmonic", "stacked harmonic", "area")


def main(argv: list[str] | None = None) -> int:
    """Run what is missing in the study's folder, then print the tables."""
    parser = argparse.ArgumentParser(prog="python -m examples.fs_vae.study", description=__doc__)
    parser.add_argument("--data", required=True, help="'synthetic', or a .npz archive")
    parser.add_argument("--config", choices=PRESETS, default="msr")
    parser.add_argument("--unseen", nargs="+", type=int, default=[5, 8])
    parser.add_argument("--class-splits", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/fs_vae-study"))
    args = parser.parse_args(argv)
    return exit_status("fs_vae.study", lambda: execute(args))


def execute(args: argparse.Namespace) -> None:
    """Run the jobs and write the tables."""
    config = replace(PRESETS[args.config], seed=0)
    load_clips(args.data, config)  # an unreadable file is found before any process starts
    claim_folder(args.out, {"data": args.data, "config": config.to_dict()})
    jobs = [
        (args.data, args.config, unseen, number, seed, tuple(args.variants), args.out)
        for seed in args.seeds
        for unseen in args.unseen
        for number in args.class_splits
    ]
    run_jobs(_job, jobs, args.workers)
    for unseen in args.unseen:
        table = summarise(args.out, unseen, args.class_splits, args.seeds, args.variants)
        write_json(args.out / f"table-{unseen}.json", table)
        print(f"\n{unseen} unseen classes, chance {100 / unseen:.1f} %\n{markdown(table)}")


def _path(folder: Path, unseen: int, number: int, seed: int, variant: str) -> Path:
    return folder / f"{unseen}-{number}-{seed}-{variant.replace(' ', '_')}.json"


def _job(
    data: str,
    preset: str,
    unseen: int,
    number: int,
    seed: int,
    variants: tuple[str, ...],
    out: Path,
) -> None:
    """Run the variants of one class split and seed that have no result yet."""
    torch.set_num_threads(1)
    base = replace(PRESETS[preset], seed=seed)
    clips = load_clips(data, base)
    split = choose_split(clips.name, len(clips.final.class_names), unseen, number)
    problems: dict[str, Problem] = {}
    for variant in variants:
        path = _path(out, unseen, number, seed, variant)
        if path.exists():
            continue
        config: Config = replace(base, **VARIANTS[variant])
        # Stage 1 depends on no other setting that variants change.
        if config.enhance not in problems:
            problems[config.enhance] = prepare(clips, split, config, None, "cpu")
        problem = problems[config.enhance]
        text = text_of(clips, config.levels)
        result = run(problem.features, problem.validation, text, config)
        write_json(path, {"variant": variant, "metrics": result.metrics, "chosen": result.chosen})


def summarise(
    folder: Path, unseen: int, splits: list[int], seeds: list[int], variants: list[str]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard error over seeds and class splits, in per cent (area: × 100)."""
    table = {}
    for variant in variants:
        paths = [_path(folder, unseen, n, seed, variant) for n in splits for seed in seeds]
        runs = [json.loads(path.read_text())["metrics"] for path in paths]
        table[variant] = {name: mean_and_error([run[name] for run in runs]) for name in METRICS}
    return table


if __name__ == "__main__":
    sys.exit(main())
