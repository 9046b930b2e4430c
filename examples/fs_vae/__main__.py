"""``python -m examples.fs_vae``: zero-shot recognition in four stages, in one run folder."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import torch
from tqdm import tqdm

from examples.fs_vae import figures
from examples.fs_vae.config import LEVELS, PRESETS, Config
from examples.fs_vae.pipeline import Result, run
from examples.fs_vae.splits import SYNSE
from examples.fs_vae.stages import (
    Problem,
    choose_split,
    load_clips,
    prepare,
    prepare_synse,
)
from examples.runs import exit_status, new_folder, write_json

# What --sweep tries, one setting at a time; the rest stays as configured.
SWEEP = {
    "sensitivity": ("λ", (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)),
    "split": ("φ", (0, 15, 25, 35, 45, 60, 120)),
    "num_bands": ("b", (5, 10, 20, 30, 40, 60)),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse(argv)
    return exit_status("fs_vae", lambda: execute(args))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the flags; every field of :class:`Config` is one."""
    parser = argparse.ArgumentParser(prog="python -m examples.fs_vae", description=__doc__)
    parser.add_argument("--data", default="synthetic", help="'synthetic', or a .npz archive")
    parser.add_argument("--unseen", type=int, help="number of unseen classes")
    parser.add_argument("--class-split", type=int, help="number of the listed split")
    parser.add_argument("--descriptions", help="JSON file that describes the classes of --data")
    parser.add_argument("--synse", choices=SYNSE, help="NTU classes / unseen ones, from folders:")
    parser.add_argument("--features", type=Path, help="SynSE feature folder, shift_5_r and so on")
    parser.add_argument("--validation-features", type=Path, help="the same, shift_val_5_r")
    parser.add_argument("--splits", type=Path, help="SynSE's folder of class lists")
    parser.add_argument("--texts", type=Path, help="folder with lb, md and ad text features")
    parser.add_argument("--sweep", action="store_true", help="draw sensitivity to λ, φ and b")
    parser.add_argument("--seeds", type=int, default=1, help="runs of every setting of --sweep")
    parser.add_argument("--config", choices=PRESETS, help="preset that the other flags change")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="parent of the run folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for field in fields(Config):
        flag = "--" + field.name.replace("_", "-")
        default = getattr(PRESETS["small"], field.name)
        if field.name == "levels":
            parser.add_argument(flag, nargs="+", choices=LEVELS)
        elif isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        else:
            parser.add_argument(flag, type=type(default), metavar="X")
    return parser.parse_args(argv)


def execute(args: argparse.Namespace) -> None:
    """Run all stages, or the sweep, and write what they found."""
    started = time.monotonic()
    refuse_idle_flags(args)
    config = configure(args)
    problem, label = open_problem(args, config)
    folder = new_folder(args.out, f"fs_vae-{label}")
    write_json(folder / "config.json", {"arguments": sys.argv[1:], **config.to_dict()})
    features = problem.features
    print(
        f"{features.source}\nseen classes {len(features.seen)}, unseen {len(features.unseen)}: "
        + ", ".join(problem.class_names[c] for c in features.unseen)
        + f"\nRun folder: {folder}"
    )
    if args.sweep:
        sweep(problem, config, args.seeds, args.device, folder)
        return
    result = run(features, problem.validation, problem.text, config, args.device)
    write_json(folder / "result.json", {"metrics": result.metrics, "chosen": result.chosen})
    figures.draw_confusion(result, problem.class_names, folder / "confusion.png")
    print("\n" + format_result(result, config.select))
    print(f"\n{time.monotonic() - started:.0f} s. Picture: {folder / 'confusion.png'}")


def refuse_idle_flags(args: argparse.Namespace) -> None:
    """Raise for flags that would do nothing beside the others."""
    of_clips = {"--unseen": args.unseen, "--class-split": args.class_split}
    of_clips |= {"--descriptions": args.descriptions}
    of_clips |= {"--data": None if args.data == "synthetic" else args.data}
    of_synse = {"--features": args.features, "--validation-features": args.validation_features}
    of_synse |= {"--splits": args.splits, "--texts": args.texts}
    idle, reason = (of_synse, "needs") if args.synse is None else (of_clips, "does not go with")
    for flag, value in idle.items():
        if value is not None:
            raise ValueError(f"{flag} {reason} --synse.")
    if args.seeds != 1 and not args.sweep:
        raise ValueError("--seeds needs --sweep.")


def configure(args: argparse.Namespace) -> Config:
    """Return the preset with the flags that were given."""
    preset = args.config or (
        "ntu" if args.synse else "small" if args.data == "synthetic" else "msr"
    )
    given = {f.name: getattr(args, f.name) for f in fields(Config)}
    if given["levels"] is not None:
        given["levels"] = tuple(given["levels"])
    if given["latent"] is None and args.synse is not None and args.synse.startswith("120"):
        given["latent"] = 200  # the paper's size for NTU RGB+D 120
    return replace(PRESETS[preset], **{k: v for k, v in given.items() if v is not None})


def open_problem(args: argparse.Namespace, config: Config) -> tuple[Problem, str]:
    """Read or compute features and texts; also returns a name for the run folder."""
    if args.synse is not None:
        given = [args.features, args.validation_features, args.splits, args.texts]
        if None in given:
            raise ValueError(
                "--synse needs --features, --validation-features, --splits and --texts."
            )
        return prepare_synse(args.synse, *given, config), f"ntu{args.synse.replace('/', '-')}"
    clips = load_clips(args.data, config)
    default_unseen = {"synthetic": 4, "msr_action3d": 5}.get(clips.name)
    unseen = default_unseen if args.unseen is None else args.unseen
    if unseen is None:
        raise ValueError(f"--unseen must give the number of unseen classes of {args.data}.")
    # Of the synthetic splits the second: docs/fs_vae.md gives the accuracy of all.
    default = 1 if clips.name == "synthetic" else 0
    number = default if args.class_split is None else args.class_split
    split = choose_split(clips.name, len(clips.final.class_names), unseen, number)
    return prepare(clips, split, config, args.descriptions, args.device), clips.name


def sweep(problem: Problem, config: Config, seeds: int, device: str, folder: Path) -> None:
    """Change one setting at a time, stages 2 to 4 only, and draw the curves."""
    curves: dict[str, dict[float, list[dict[str, float]]]] = {}
    jobs = [
        (field, symbol, value, seed)
        for field, (symbol, values) in SWEEP.items()
        for value in values
        for seed in range(seeds)
    ]
    for field, symbol, value, seed in tqdm(jobs, desc="sweep", unit="run"):
        changed = replace(config, **{field: value}, seed=seed)
        result = run(problem.features, problem.validation, problem.text, changed, device)
        curves.setdefault(symbol, {}).setdefault(value, []).append(result.metrics)
        write_json(folder / "sweep.json", curves)
    figures.draw_sweep(curves, folder / "sweep.png")
    print(f"Picture: {folder / 'sweep.png'}")


def format_result(result: Result, select: str) -> str:
    """Return the accuracies as a Markdown table, in per cent."""
    m = {name: 100 * value for name, value in result.metrics.items()}
    rows = [
        ("gating", m["seen"], m["unseen"], m["harmonic"]),
        ("calibrated stacking", m["stacked seen"], m["stacked unseen"], m["stacked harmonic"]),
    ]
    lines = [
        f"Zero-shot accuracy {m['zero-shot']:.1f} % (chance {100 / len(result.unseen):.1f} %); "
        f"area under the seen-unseen curve {result.metrics['area']:.3f}; chosen on "
        f"{select} classes: {result.chosen['cycles']} cycles, temperature "
        f"{result.chosen['temperature']:g}, threshold {result.chosen['threshold']:g}",
        "",
        "| generalised task | S | U | H |",
        "|---|---|---|---|",
    ]
    lines += [f"| {name} | {s:.1f} | {u:.1f} | {h:.1f} |" for name, s, u, h in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
