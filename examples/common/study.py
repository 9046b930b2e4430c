"""One engine for every experiment: rows × seeds in one folder; what is missing is run."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from examples.common.report import write_report
from examples.common.runs import (
    Cell,
    fingerprint,
    held,
    new_folder,
    provenance,
    read_json,
    read_scores,
    tidy,
    write_json,
)
from examples.common.scale import STRATEGIES, Scale, launched
from examples.common.settings import Settings, add_flags, from_dict, given
from examples.common.signals import Stop, guarded
from examples.common.tables import markdown, mean_and_spread

FORMAT = "skelfreq run 1"


class Row(NamedTuple):
    """A row of the table: its title, and the settings in which it differs."""

    title: str
    changes: Mapping[str, Any] = {}


class Done(NamedTuple):
    """A finished cell: its title, settings, folder and what was found."""

    title: str
    settings: Any
    cell: Cell
    result: Mapping[str, Any]


def first(done: Sequence[Done]) -> list[Done]:
    """Return the first repetition of every row."""
    return [d for d in done if d.cell.folder.name == done[0].cell.folder.name]


def seeds_alone(settings: Any, seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return what the repetitions of every row are called, and the settings of each."""
    return {f"seed{seed}": {"seed": seed} for seed in seeds}


@dataclass(frozen=True)
class Experiment:
    """What distinguishes one command from another.

    ``load(settings)`` returns the data, a line about it and the tensors that identify it;
    ``run(cell, settings, data)`` trains and evaluates one cell and returns its scores and
    whatever else the pictures need; ``draw(done, data, folder)`` draws.
    """

    name: str
    settings: type[Settings]
    presets: Mapping[str, Settings]
    rows: Mapping[str, Row]
    default_rows: Sequence[str]
    load: Callable[[Any], tuple[Any, str, Iterable[Tensor]]]
    run: Callable[[Cell, Any, Any], tuple[dict[str, float], dict[str, Any]]]
    draw: Callable[[list[Done], Any, Path], None]
    # What --study adds, by preset; rows that only a named --rows runs; what seeds are joined with.
    study: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    study_rows: Sequence[str] = ()
    repetitions: Callable[[Any, Sequence[int]], dict[str, dict[str, Any]]] = seeds_alone
    preset: Callable[[Mapping[str, Any]], str] = lambda given: (
        "small" if given.get("data", "synthetic") == "synthetic" else "msr"
    )
    spread: str = "deviation"


def run(experiment: Experiment, argv: Sequence[str] | None, stop: Stop) -> None:
    """Run the command line: claim a folder, run the cells that lack a result, report."""
    started = time.monotonic()
    args = _parse(experiment, argv)
    many = args.workers > 1
    if many and args.devices > 1:
        raise ValueError("--workers above 1 does not go with --devices above 1.")
    with ExitStack() as stack:
        if args.resume is not None:
            _hold(args.resume, stack)
        record = _record(experiment, args)
        settings = from_dict(experiment.settings, record["settings"])
        options = {} if many else {"strategy": args.strategy, **launched(args.devices)}
        scale = Scale(args.device, **options, **_chosen(settings))
        data, description, tensors = experiment.load(settings)
        found = fingerprint(tensors)
        if record.setdefault("data", found) != found:
            raise ValueError(
                f"--data {settings.data} is not what {args.resume} was made with; give that file, "
                f"or start a new run."
            )
        folder = args.resume
        if folder is None and scale.rank == 0:
            folder = new_folder(args.out, f"{experiment.name}-{Path(settings.data).stem}")
            _hold(folder, stack)
        folder = scale.broadcast(folder)
        stop.hint = f"Continue with: python -m examples.{experiment.name} --resume {folder}"
        stop.loud = loud = scale.rank == 0
        if loud:
            write_json(folder / "run.json", record)
            print(f"{description}\nRun folder: {folder}")
        base = Cell(folder, {}, scale, stop, "", args.save_every, args.tensorboard, not loud)
        cells = _cells(experiment, record, base)
        if many:
            _run_parallel(experiment, folder, args, len(cells))
        done = [_run_cell(experiment, *cell, data) for cell in cells]
        if loud:
            alone = Scale(str(scale.device))
            done = [d._replace(cell=replace(d.cell, scale=alone)) for d in done]
            _report(experiment, record, done, data, folder)
            print(f"\n{time.monotonic() - started:.0f} s. Report: {folder / 'report.html'}")


def _parse(experiment: Experiment, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m examples.{experiment.name}")
    add = parser.add_argument
    add("--config", choices=experiment.presets, help="preset that the other flags change")
    names = ", ".join(experiment.rows)
    add("--rows", nargs="+", metavar="ROW", help=f"what to compare, * for any ending: {names}")
    add("--seeds", nargs="+", type=int, help="repetitions of every row; 0 if not given")
    add("--study", action="store_true", help="all rows, three seeds, every evaluation")
    add("--workers", type=int, default=1, help="processes that share the rows, a thread each")
    add("--out", type=Path, default=Path("runs"), help="parent of the run folder")
    add("--resume", type=Path, help="run folder to go on with; --rows and --seeds may add to it")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--devices", type=int, default=1, help="processes that share each batch")
    add("--strategy", choices=STRATEGIES, default="ddp", help="copy the weights, or shard them")
    add("--tensorboard", action="store_true", help="write losses for TensorBoard as well")
    add("--save-every", type=float, default=60.0, metavar="SECONDS", help="between checkpoints")
    add_flags(parser, experiment.settings)
    return parser.parse_args(argv)


def _hold(folder: Path, stack: ExitStack) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"--resume needs a run folder, got {folder}.")
    tidy(folder)
    if not stack.enter_context(held(folder)):
        raise ValueError(f"{folder} is in use by another run; wait for it, or choose another.")


def _record(experiment: Experiment, args: argparse.Namespace) -> dict[str, Any]:
    """Return what a run consists of: from its folder, or from the flags."""
    named = given(args, experiment.settings)
    if args.resume is None:
        preset = args.config or experiment.preset(named)
        settings = experiment.presets[preset]
        if args.study:
            settings = replace(settings, **experiment.study.get(preset, {}))
        rows = (args.study and experiment.study_rows) or experiment.default_rows
        rows = _named(experiment, args.rows) or list(rows)
        seeds = args.seeds or ([0, 1, 2] if args.study else [0])
        record = {"settings": replace(settings, **named).to_dict(), "rows": rows, "seeds": seeds}
        return {"format": FORMAT, "experiment": experiment.name, **record}
    path = args.resume / "run.json"
    record = read_json(path)
    for key, value in (("format", FORMAT), ("experiment", experiment.name)):
        if record.get(key) != value:
            raise ValueError(f"{path} is of {key} {record.get(key)!r}, not {value!r}.")
    try:
        settings = from_dict(experiment.settings, record.get("settings"))
        rows, seeds = record.get("rows"), record.get("seeds")
        if not isinstance(rows, list) or not set(rows) <= experiment.rows.keys() or not rows:
            raise ValueError(f"rows must be of {', '.join(experiment.rows)}, got {rows}.")
        if not isinstance(seeds, list) or not seeds:
            raise ValueError(f"seeds must be a list, got {seeds}.")
        for seed in seeds:
            replace(settings, seed=seed)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error} Start a new run.") from error
    changed = replace(settings, **named).to_dict()
    for name in named:
        if name != "data" and changed[name] != settings.to_dict()[name]:
            raise ValueError(f"--{name.replace('_', '-')} differs in {path}: start a new run.")
    record["settings"] = changed
    record["rows"] = list(dict.fromkeys([*rows, *_named(experiment, args.rows)]))
    record["seeds"] = list(dict.fromkeys([*seeds, *(args.seeds or [])]))
    return record


def _named(experiment: Experiment, patterns: Sequence[str] | None) -> list[str]:
    """Return the rows that are meant by names and patterns."""
    found = [fnmatch.filter(experiment.rows, pattern) for pattern in patterns or ()]
    if [] in found:
        raise ValueError(f"--rows must be of {', '.join(experiment.rows)}, got {patterns}.")
    return [row for rows in found for row in rows]


def _cells(
    experiment: Experiment, record: Mapping[str, Any], base: Cell
) -> list[tuple[str, Any, Cell]]:
    """Return title, settings and cell of every row and repetition, repetition by repetition."""
    settings = from_dict(experiment.settings, record["settings"])
    cells = []
    for name, repetition in experiment.repetitions(settings, record["seeds"]).items():
        for row in record["rows"]:
            title, changes = experiment.rows[row]
            own = replace(settings, **changes, **repetition)
            identity = {"format": FORMAT, "experiment": experiment.name, "data": record["data"]}
            # Where the data lie does not matter, what they are does.
            identity["settings"] = own.to_dict() | {"data": ""}
            folder = base.folder / row / name
            cell = replace(base, folder=folder, identity=identity, title=title)
            cells.append((title, own, cell))
    return cells


def _run_cell(experiment: Experiment, title: str, settings: Any, cell: Cell, data: Any) -> Done:
    path = cell.folder / "result.json"
    if cell.scale.broadcast(path.exists()):
        return Done(title, settings, cell, read_scores(path))
    if cell.scale.rank == 0:
        cell.folder.mkdir(parents=True, exist_ok=True)
    scores, more = experiment.run(cell, settings, data)
    result = {"scores": scores, **more, **cell.identity, "versions": provenance()}
    if cell.scale.rank == 0:
        write_json(path, result)
    return Done(title, settings, cell, result)


def _run_parallel(
    experiment: Experiment, folder: Path, args: argparse.Namespace, total: int
) -> None:
    """Let processes take turns at the cells; they end with this one, however it ends."""
    context = multiprocessing.get_context("spawn")
    job = (experiment.load.__module__, folder, args.device, args.save_every, args.tensorboard)
    processes = [context.Process(target=_work, args=job) for _ in range(args.workers)]
    try:
        for process in processes:
            process.start()
        with tqdm(total=total, unit="run") as bar:
            while running := [p.sentinel for p in processes if p.exitcode is None]:
                wait(running, timeout=1)
                bar.update(len(list(folder.glob("*/*/result.json"))) - bar.n)
                if failed := [p.exitcode for p in processes if p.exitcode]:
                    raise ValueError(f"a worker ended with status {failed[0]}.")
    finally:
        for process in processes:
            process.terminate()  # the signal lets it save
        for process in processes:
            process.join(30)
            process.kill()


def _work(module: str, folder: Path, device: str, save_every: float, tensorboard: bool) -> None:
    """Run the cells that nobody else runs; in a process of its own."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    experiment: Experiment = importlib.import_module(module).EXPERIMENT

    def run(stop: Stop) -> None:
        stop.loud = False
        record = read_json(folder / "run.json")
        settings = from_dict(experiment.settings, record["settings"])
        data, _, _ = experiment.load(settings)
        scale = Scale(device, **_chosen(settings))
        base = Cell(folder, {}, scale, stop, "", save_every, tensorboard, quiet=True)
        for title, own, cell in _cells(experiment, record, base):
            cell.folder.mkdir(parents=True, exist_ok=True)
            with held(cell.folder) as mine:
                if mine:
                    _run_cell(experiment, title, own, cell, data)

    sys.exit(guarded(experiment.name, run))


def _chosen(settings: Settings) -> dict[str, Any]:
    """Return the settings that say how to compute."""
    return {key: getattr(settings, key) for key in ("precision", "accumulate", "compile")}


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _report(
    experiment: Experiment, record: Mapping[str, Any], done: list[Done], data: Any, folder: Path
) -> None:
    collected: dict[str, dict[str, list[float]]] = {}
    for title, _, _, result in done:
        for column, value in result["scores"].items():
            collected.setdefault(title, {}).setdefault(column, []).append(value)
    repetitions = len(done) // len(record["rows"])
    table = {
        title: {
            column: values[0] if repetitions == 1 else mean_and_spread(values, experiment.spread)
            for column, values in columns.items()
        }
        for title, columns in collected.items()
    }
    write_json(folder / "table.json", table)
    print("\n" + markdown(table))
    pictures = folder / "figures"
    pictures.mkdir(exist_ok=True)
    experiment.draw(done, data, pictures)
    write_report(folder, experiment.name, table, record, provenance())
