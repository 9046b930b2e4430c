"""``python -m examples.fs_vae.study``: variants × seeds × class splits as tables."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from examples.fs_vae.config import PRESETS, Config
from examples.fs_vae.pipeline import run
from examples.fs_vae.stages import Problem, choose_split, load_clips, prepare, text_of
from examples.runs import write_json

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
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [
        (args.data, args.config, unseen, number, seed, tuple(args.variants), args.out)
        for seed in args.seeds
        for unseen in args.unseen
        for number in args.class_splits
    ]
    # Bars of several processes would overwrite one another.
    os.environ["TQDM_DISABLE"] = "1"
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(args.workers, mp_context=context) as pool,
        tqdm(total=len(jobs), unit="job", disable=False) as bar,
    ):
        for future in as_completed([pool.submit(_job, *job) for job in jobs]):
            future.result()
            bar.update()
    for unseen in args.unseen:
        table = summarise(args.out, unseen, args.variants)
        write_json(args.out / f"table-{unseen}.json", table)
        print(f"\n{unseen} unseen classes, chance {100 / unseen:.1f} %\n{format_table(table)}")
    return 0


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
        path = out / f"{unseen}-{number}-{seed}-{variant.replace(' ', '_')}.json"
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
    folder: Path, unseen: int, variants: list[str]
) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard error over seeds and class splits, in per cent (area: × 100)."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob(f"{unseen}-*.json")):
        result = json.loads(path.read_text())
        for metric in METRICS:
            values[result["variant"]][metric].append(100 * result["metrics"][metric])
    return {
        variant: {metric: _mean_and_error(values[variant][metric]) for metric in METRICS}
        for variant in variants
    }


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    numbers = torch.tensor(values, dtype=torch.float64)
    error = numbers.std() / len(numbers) ** 0.5 if len(numbers) > 1 else torch.zeros(())
    return round(float(numbers.mean()), 1), round(float(error), 1)


def format_table(table: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Return Markdown, "mean ± standard error" in each cell."""
    lines = ["| | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
    for name, cells in table.items():
        texts = [f"{mean:.1f} ± {error:.1f}" for mean, error in cells.values()]
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
