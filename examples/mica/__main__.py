"""``python -m examples.mica``: train, evaluate, draw, in one run folder."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import torch

from examples.data import load
from examples.data.task import Task, load_task
from examples.fs_vae.stages import name_of
from examples.mica import figures
from examples.mica.config import PRESETS, Config
from examples.mica.rows import ROWS, load_text, run_row
from examples.runs import exit_status, new_folder, save_checkpoint, write_json
from examples.tables import markdown


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse(argv)
    return exit_status("mica", lambda: execute(args))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the flags; every number and name of :class:`Config` is one."""
    parser = argparse.ArgumentParser(prog="python -m examples.mica", description=__doc__)
    parser.add_argument("--data", default="synthetic", help="'synthetic', or a .npz archive")
    parser.add_argument("--descriptions", help="JSON file that describes the classes of --data")
    parser.add_argument("--config", choices=PRESETS, help="preset that the other flags change")
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=ROWS,
        default=["random encoder", "InfoNCE only", "+ both = MICA"],
    )
    parser.add_argument("--out", type=Path, default=Path("runs"), help="parent of the run folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for field in fields(Config):
        default = getattr(PRESETS["small"], field.name)
        if field.name == "widths":
            parser.add_argument("--widths", nargs="+", type=int)
        else:
            parser.add_argument(
                "--" + field.name.replace("_", "-"), type=type(default), metavar="X"
            )
    return parser.parse_args(argv)


def configure(args: argparse.Namespace) -> Config:
    """Return the preset with the flags that were given."""
    preset = args.config or ("small" if args.data == "synthetic" else "msr")
    given = {f.name: getattr(args, f.name) for f in fields(Config)}
    if given["widths"] is not None:
        given["widths"] = tuple(given["widths"])
    return replace(PRESETS[preset], **{k: v for k, v in given.items() if v is not None})


def execute(args: argparse.Namespace) -> None:
    """Run the rows, print the table, write table, weights and figures."""
    started = time.monotonic()
    config = configure(args)
    task = load_task(args.data, config.frames, body_frame=True)
    name = name_of(args.data, load(args.data).class_names)
    text = load_text(args.descriptions or name, task.class_names)
    folder = new_folder(args.out, f"mica-{name}")
    write_json(folder / "config.json", {"arguments": sys.argv[1:], **config.to_dict()})
    print(f"{task.description}\nRun folder: {folder}")
    table: dict[str, dict[str, float]] = {}
    for row in args.rows:
        model, table[row], history = run_row(row, config, task, text, args.device)
        write_json(folder / "table.json", table)
        if model is None:
            continue
        write_json(folder / f"{_slug(row)}.json", history)
        save_checkpoint(folder / f"{_slug(row)}.pt", model.encoder.state_dict())
        draw(model.to("cpu"), task, folder, _slug(row))
    print("\n" + markdown(table))
    print(f"\n{time.monotonic() - started:.0f} s. Figures: {folder}")


def draw(model: object, task: Task, folder: Path, name: str) -> None:
    """Draw what the trained network's filters, masks and queue look like."""
    if figures.filters_of(model.encoder):
        figures.draw_filters(model.encoder, task.test.clips, folder / f"{name}-filters.png")
        figures.draw_kept(model.encoder, task.test, task.class_names, folder / f"{name}-kept.png")
    figures.draw_queue(model, task.test, folder / f"{name}-queue.png")


def _slug(row: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in row.lower()).split())


if __name__ == "__main__":
    sys.exit(main())
