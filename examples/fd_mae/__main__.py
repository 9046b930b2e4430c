"""``python -m examples.fd_mae``: pre-train, evaluate, draw, in one run folder."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch

from examples.data.task import load_task
from examples.fd_mae import figures
from examples.fd_mae.config import PRESETS, Config, from_dict
from examples.fd_mae.rows import ROWS, TITLES, Evaluation, run_row
from examples.runs import new_folder, write_json
from examples.tables import markdown
from skelfreq.skeletons import get_layout


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse(argv)
    try:
        folder, settings = open_folder(args)
        run(folder, settings)
    except (ValueError, OSError) as error:
        print(f"fd_mae: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nInterrupted. Continue with: python -m examples.fd_mae --resume {folder}")
        return 130
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the flags; every field of :class:`Config` is one."""
    parser = argparse.ArgumentParser(prog="python -m examples.fd_mae", description=__doc__)
    parser.add_argument("--data", default="synthetic", help="'synthetic', or a .npz archive")
    parser.add_argument("--config", choices=PRESETS, help="preset that the other flags change")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=["untrained", "plain", "fd-mae"])
    parser.add_argument(
        "--evaluate", nargs="+", choices=("linear", "semi", "finetune"), default=["linear"]
    )
    parser.add_argument("--labels", type=float, default=0.1, help="share of labels for 'semi'")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="parent of the run folder")
    parser.add_argument("--resume", type=Path, help="run folder to continue")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for field in fields(Config):
        flag = "--" + field.name.replace("_", "-")
        default = getattr(PRESETS["small"], field.name)
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        else:
            parser.add_argument(flag, type=type(default), metavar="X")
    return parser.parse_args(argv)


def open_folder(args: argparse.Namespace) -> tuple[Path, dict[str, object]]:
    """Make a run folder and its settings, or read those of the one to resume."""
    if args.resume is not None:
        path = args.resume / "run.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"--resume needs a run folder with run.json, got {args.resume}."
            )
        return args.resume, json.loads(path.read_text())
    preset = args.config or ("small" if args.data == "synthetic" else "msr")
    given = {f.name: getattr(args, f.name) for f in fields(Config)}
    config = replace(PRESETS[preset], **{k: v for k, v in given.items() if v is not None})
    settings = {
        "data": args.data if args.data == "synthetic" else str(Path(args.data).resolve()),
        "rows": args.rows,
        "evaluate": args.evaluate,
        "labels": args.labels,
        "device": args.device,
        "config": config.to_dict(),
    }
    name = args.data if args.data == "synthetic" else Path(args.data).stem
    folder = new_folder(args.out, f"fd_mae-{name}")
    write_json(folder / "run.json", settings)
    return folder, settings


def run(folder: Path, settings: dict[str, object]) -> None:
    """Run all rows, print the table, write table and figures."""
    config = from_dict(settings["config"])
    task = load_task(settings["data"], frames=2 * config.frames, body_frame=config.body_frame)
    shares = [settings["labels"]] if "semi" in settings["evaluate"] else []
    shares += [1.0] if "finetune" in settings["evaluate"] else []
    evaluation = Evaluation(linear="linear" in settings["evaluate"], label_shares=tuple(shares))
    print(f"{task.description}\nRun folder: {folder}")
    table, runs, networks = {}, {}, {}
    for row in settings["rows"]:
        network, pretraining, scores = run_row(
            row, config, task, evaluation, folder / row, settings["device"]
        )
        table[TITLES[row]] = scores
        networks[TITLES[row]] = network
        if pretraining is not None:
            runs[TITLES[row]] = pretraining
    write_json(folder / "table.json", table)
    print("\n" + markdown(table))
    pictures = folder / "figures"
    pictures.mkdir(exist_ok=True)
    if runs:
        figures.draw_losses(runs, pictures / "losses.png")
        figures.draw_smoothness(runs, pictures / "smoothness.png")
        _name, last = list(runs.items())[-1]
        figures.draw_reconstruction(
            last.network,
            task.test.clips[0],
            last.config,
            last.gain,
            get_layout(task.layout),
            pictures / "reconstruction.png",
        )
    amplitudes = figures.draw_amplitudes(
        networks, task.test.clips[:256], pictures / "relative_log_amplitude.png"
    )
    write_json(folder / "relative_log_amplitude.json", amplitudes)
    print(f"\nFigures: {pictures}")


if __name__ == "__main__":
    sys.exit(main())
