"""One engine for every experiment: rows × seeds in one folder; what is missing is run."""

from __future__ import annotations

import argparse
import fnmatch
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from examples.common import runs
from examples.common.report import write_report
from examples.common.runs import Cell
from examples.common.scale import STRATEGIES, Scale, launched, leads
from examples.common.settings import Settings, add_flags, from_dict, given
from examples.common.signals import Stop
from examples.common.tables import markdown, mean_and_spread

FORMAT = "skelfreq run 1"
ROOT = Path(__file__).resolve().parents[2]


class Row(NamedTuple):
    """A row of the table: its title, and the settings in which it differs."""

    title: str
    changes: Mapping[str, Any] = {}


def seeds_alone(settings: Any, seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return what the repetitions of every row are called, and the settings of each."""
    return {f"seed{seed}": {"seed": seed} for seed in seeds}


def by_data(given: Mapping[str, Any]) -> str:
    """Return the preset that fits the data."""
    return "small" if given.get("data", "synthetic") == "synthetic" else "msr"


@dataclass(frozen=True)
class Experiment:
    """What distinguishes one command from another.

    ``load(settings)`` returns the data, a line about it and the tensors that identify it;
    ``run(cell, data)`` trains and evaluates one row with one seed and returns its scores and
    whatever else the pictures need; ``draw(cells, data, folder)`` draws.
    """

    name: str
    settings: type[Settings]
    presets: Mapping[str, Settings]
    rows: Mapping[str, Row]
    default_rows: Sequence[str]
    load: Callable[[Any], tuple[Any, str, Iterable[Tensor]]]
    run: Callable[[Cell, Any], tuple[dict[str, float], dict[str, Any]]]
    draw: Callable[[list[Cell], Any, Path], None]
    # What --study adds, by preset, and its rows.
    study: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    study_rows: Sequence[str] = ()
    repetitions: Callable[[Any, Sequence[int]], dict[str, dict[str, Any]]] = seeds_alone
    preset: Callable[[Mapping[str, Any]], str] = by_data
    spread: str = "deviation"
    # Rows by the flags given, in place of the default ones.
    rows_for: Callable[[Mapping[str, Any]], Sequence[str]] | None = None


def run(experiment: Experiment, argv: Sequence[str] | None, stop: Stop) -> None:
    """Run the command line: hold a folder, run the cells that lack a result, report."""
    started = time.monotonic()
    args = _parse(experiment, argv)
    alone = args.workers > 1 or args.worker
    if args.worker:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        torch.set_num_threads(1)
    with ExitStack() as stack:
        if args.resume is not None and leads() and not args.worker:
            _hold(args.resume, stack)
        record = _record(experiment, args)
        settings = from_dict(experiment.settings, record["settings"])
        _cells(experiment, {"data": "", **record}, Cell(Path()))  # all settings go together
        options = {} if alone else {"strategy": args.strategy, **launched(args.devices)}
        options |= {key: getattr(settings, key) for key in ("precision", "accumulate", "compile")}
        scale = Scale(args.device, **options)
        data, description, tensors = experiment.load(settings)
        found = runs.fingerprint(tensors)
        if record.setdefault("data", found) != found:
            raise ValueError(
                f"--data {settings.data} is not what {args.resume} was made with; give that file, "
                f"or start a new run."
            )
        folder, loud = args.resume, scale.rank == 0 and not args.worker
        if folder is None and loud:
            folder = runs.new_folder(args.out, f"{experiment.name}-{Path(settings.data).stem}")
            _hold(folder, stack)
        folder = scale.broadcast(folder)
        stop.hint = f"Continue with: python -m examples.{experiment.name} --resume {folder}"
        stop.loud = loud
        if loud:
            runs.write_json(folder / "run.json", record)
            print(f"{description}\nRun folder: {folder}")
        base = Cell(folder, {}, scale, stop, "", args.save_every, args.tensorboard, not loud)
        cells = _cells(experiment, record, base)
        if args.workers > 1:
            _run_parallel(experiment, folder, args, len(cells))
        for cell in cells:
            _run_cell(experiment, cell, data)
        if loud:
            _report(experiment, record, cells, data, folder)
            print(f"\n{time.monotonic() - started:.0f} s. Report: {folder / 'report.html'}")


def _parse(experiment: Experiment, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m examples.{experiment.name}")
    add, names = parser.add_argument, ", ".join(experiment.rows)
    add("--config", choices=experiment.presets, help="preset that the other flags change")
    add("--rows", nargs="+", metavar="ROW", help=f"what to compare, * for any ending: {names}")
    add("--seeds", nargs="+", type=int, help="repetitions of every row; 0 if not given")
    add("--study", action="store_true", help="all rows, three seeds, every evaluation")
    add("--workers", type=int, default=1, help="processes that share the rows, a thread each")
    add("--worker", action="store_true", help=argparse.SUPPRESS)  # one of these processes
    add("--out", type=Path, default=Path("runs"), help="parent of the run folder")
    add("--resume", type=Path, help="run folder to go on with; --rows and --seeds may add to it")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--devices", type=int, default=1, help="processes that share each batch")
    add("--strategy", choices=STRATEGIES, default="ddp", help="copy the weights, or shard them")
    add("--tensorboard", action="store_true", help="write losses for TensorBoard as well")
    add("--save-every", type=float, default=60.0, metavar="SECONDS", help="between checkpoints")
    add_flags(parser, experiment.settings)
    args = parser.parse_args(argv)
    if args.workers > 1 and args.devices > 1:
        raise ValueError("--workers above 1 does not go with --devices above 1.")
    if args.resume and (args.config or args.study):
        raise ValueError("--config and --study do not go with --resume, which keeps its settings.")
    for name, least in (("workers", 1), ("devices", 1), ("save_every", 0)):
        if not (value := getattr(args, name)) >= least:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {least}, got {value}.")
    devices = ["cpu"]
    if torch.accelerator.is_available():
        kind = str(torch.accelerator.current_accelerator())
        devices += [kind, *(f"{kind}:{n}" for n in range(torch.accelerator.device_count()))]
    if args.device not in devices:
        raise ValueError(f"--device must be one of {', '.join(devices)}, got {args.device!r}.")
    if args.device != "cpu" and args.devices > len(devices) - 2:
        raise ValueError(f"--devices must be at most {len(devices) - 2}, got {args.devices}.")
    return args


def _hold(folder: Path, stack: ExitStack) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"--resume needs a run folder, got {folder}.")
    if not stack.enter_context(runs.held(folder)):
        raise ValueError(f"{folder} is in use by another run; wait for it, or choose another.")
    runs.tidy(folder)


def _record(experiment: Experiment, args: argparse.Namespace) -> dict[str, Any]:
    """Return what a run consists of: from its folder, or from the flags."""
    named, chosen = given(args, experiment.settings), _named(experiment, args.rows)
    if args.resume is None:
        preset = args.config or experiment.preset(named)
        added = experiment.study.get(preset, {}) if args.study else {}
        settings = replace(experiment.presets[preset], **{**added, **named})
        rows = chosen or (args.study and experiment.study_rows)
        rows = rows or (experiment.rows_for and experiment.rows_for(named))
        rows = rows or experiment.default_rows
        seeds = args.seeds or ([0, 1, 2] if args.study else [0])
        record = {"format": FORMAT, "experiment": experiment.name, "rows": list(rows)}
        return record | {"seeds": seeds, "settings": settings.to_dict()}
    path = args.resume / "run.json"
    record = runs.read_json(path)
    for key, value in (("format", FORMAT), ("experiment", experiment.name)):
        if record.get(key) != value:
            raise ValueError(f"{path} is of {key} {record.get(key)!r}, not {value!r}.")
    rows, seeds = record.get("rows"), record.get("seeds")
    try:
        settings = from_dict(experiment.settings, record.get("settings"))
        if not isinstance(rows, list) or not rows or not all(r in [*experiment.rows] for r in rows):
            raise ValueError(f"rows must be of {', '.join(experiment.rows)}, got {rows}.")
        if not isinstance(seeds, list) or not seeds:
            raise ValueError(f"seeds must be a list, got {seeds}.")
        for seed in seeds:
            replace(settings, seed=seed)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error} Start a new run.") from error
    changed = replace(settings, **named)
    for name in named.keys() - {"data", "listed"}:
        if getattr(changed, name) != getattr(settings, name):
            raise ValueError(f"--{name.replace('_', '-')} differs in {path}: start a new run.")
    record["rows"] = list(dict.fromkeys([*rows, *chosen]))
    record["seeds"] = list(dict.fromkeys([*seeds, *(args.seeds or [])]))
    return record | {"settings": changed.to_dict()}


def _named(experiment: Experiment, patterns: Sequence[str] | None) -> list[str]:
    """Return the rows that are meant by names and patterns."""
    found = [fnmatch.filter(experiment.rows, pattern) for pattern in patterns or ()]
    if [] in found:
        raise ValueError(f"--rows must be of {', '.join(experiment.rows)}, got {patterns}.")
    return [row for rows in found for row in rows]


def _cells(experiment: Experiment, record: Mapping[str, Any], base: Cell) -> list[Cell]:
    """Return a cell for every row and repetition, repetition by repetition."""
    settings = from_dict(experiment.settings, record["settings"])
    identity = {key: record[key] for key in ("format", "experiment", "data")}
    cells = []
    for name, repetition in experiment.repetitions(settings, record["seeds"]).items():
        for row in record["rows"]:
            title, changes = experiment.rows[row]
            own = replace(settings, **changes, **repetition)
            # Where the data lie does not matter, what they are does.
            same = {**identity, "row": row, "settings": own.to_dict() | {"data": "", "listed": ""}}
            folder = base.folder / row / name
            cell = replace(base, folder=folder, identity=same, title=title, settings=own)
            cells.append(cell)
    return cells


def _run_cell(experiment: Experiment, cell: Cell, data: Any) -> None:
    """Fill in the result of a cell: read it, or make it where no other process does."""
    path, first = cell.folder / "result.json", cell.scale.rank == 0
    if first:
        cell.folder.mkdir(parents=True, exist_ok=True)
    with runs.held(cell.folder) if first else nullcontext(True) as mine:
        if mine and not cell.scale.broadcast(path.exists()):
            scores, more = experiment.run(cell, data)
            result = {"scores": scores, **more, **cell.identity, "versions": runs.provenance()}
            if first:
                runs.write_json(path, result)
    if first and path.exists():
        cell.result = runs.read_scores(path, cell.identity)


def _run_parallel(
    experiment: Experiment, folder: Path, args: argparse.Namespace, total: int
) -> None:
    """Let processes take turns at the cells; they end with this one, however it ends."""
    command = [sys.executable, "-m", f"examples.{experiment.name}", "--worker", "--resume"]
    command += [str(folder.resolve()), "--device", args.device]
    command += ["--save-every", str(args.save_every)] + ["--tensorboard"] * args.tensorboard
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    workers = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(args.workers)]
    try:
        with tqdm(total=total, unit="run") as bar:
            while None in (states := [worker.poll() for worker in workers]):
                bar.update(len(list(folder.glob("*/*/result.json"))) - bar.n)
                time.sleep(0.2)
                if any(states):
                    break
        if failed := [state for state in states if state]:
            raise ValueError(f"a worker ended with status {failed[0]}.")
    finally:
        for worker in workers:
            worker.terminate()  # the signal lets it save
        for worker in workers:
            try:
                worker.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                worker.kill()


def _end_with_parent() -> None:
    sys.stdin.read()  # returns when nobody holds the other end of the pipe
    os._exit(1)


def _report(
    experiment: Experiment, record: Mapping[str, Any], cells: list[Cell], data: Any, folder: Path
) -> None:
    collected: dict[str, dict[str, list[float]]] = {}
    for cell in cells:
        cell.scale = Scale(str(cell.scale.device))  # the other processes do not draw
        for column, value in cell.result["scores"].items():
            collected.setdefault(cell.title, {}).setdefault(column, []).append(value)
    several = len(cells) > len(record["rows"])
    table = {
        title: {
            k: mean_and_spread(v, experiment.spread) if several else v[0] for k, v in row.items()
        }
        for title, row in collected.items()
    }
    runs.write_json(folder / "table.json", table)
    print("\n" + markdown(table))
    (folder / "figures").mkdir(exist_ok=True)
    experiment.draw(cells, data, folder / "figures")
    write_report(
        folder,
        experiment.name,
        table,
        {**record, "versions": runs.provenance()},
        [cell.folder for cell in cells],
    )


def first_repetition(cells: Sequence[Cell]) -> list[Cell]:
    """Return the first cell of every row."""
    return [cell for cell in cells if cell.folder.name == cells[0].folder.name]
