"""Reading mutated files in processes with limits, and figures about the outcomes."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.fuzzing.samples import SAMPLES
from skelfreq.data.fuzzing.worker import Case, Outcome, serve
from skelfreq.data.registry import detect_format

__all__ = ["Figures", "add_fuzz_arguments", "fuzz", "run_fuzz"]

_MAX_SECONDS, _START_SECONDS, _MAX_MEMORY = 10.0, 120.0, 1 << 30
_MAX_SEED = 500_000


@dataclass
class Figures:
    """Outcomes of the cases of one reader."""

    reader: str
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    longest: float = 0.0
    peak: int = 0
    failures: list[tuple[Case, Outcome]] = field(default_factory=list)

    def add(self, case: Case, outcome: Outcome) -> None:
        """Count one case."""
        self.cases += 1
        self.outcomes[outcome.kind] += 1
        self.seconds += outcome.seconds
        self.longest = max(self.longest, outcome.seconds)
        self.peak = max(self.peak, outcome.peak)
        if outcome.kind not in ("clips", "refused"):
            self.failures.append((case, outcome))


class _Worker:
    """A process for cases that is replaced when it is stuck or dies."""

    def __init__(self, seeds: dict[str, list[Path]]) -> None:
        self._seeds = seeds
        self._running: tuple[BaseProcess, Connection] | None = None

    def run(self, case: Case) -> Outcome:
        """Run a case, within the time that a case may take."""
        process, connection = self._running or self.start()
        start = time.monotonic()
        try:
            connection.send(case)
            if connection.poll(_MAX_SECONDS + 1):
                outcome: Outcome = connection.recv()
                if outcome.seconds > _MAX_SECONDS:
                    return Outcome("took too long", outcome.mutation, outcome.seconds, outcome.peak)
                return outcome
            kind = "took too long"
        except (EOFError, ConnectionError):
            process.join(5)
            kind = f"process died ({process.exitcode})"
        self.stop()
        return Outcome(kind, "?", time.monotonic() - start, 0)

    def start(self) -> tuple[BaseProcess, Connection]:
        """Start the process and wait until it is ready: imports take seconds."""
        # Not forked: threads of numerical libraries would be left hanging.
        context = multiprocessing.get_context("spawn")
        connection, other = context.Pipe()
        arguments = (other, self._seeds, _MAX_MEMORY)
        process = context.Process(target=serve, args=arguments, daemon=True)
        process.start()
        other.close()
        self._running = process, connection
        if not connection.poll(_START_SECONDS):
            self.stop()
            raise RuntimeError(f"the process for cases was not ready within {_START_SECONDS:g} s.")
        connection.recv()
        return self._running

    def stop(self) -> None:
        """End the process."""
        if self._running is not None:
            process, connection = self._running
            process.kill()
            process.join()
            connection.close()
        self._running = None


def find_seeds(folder: Path) -> dict[str, list[Path]]:
    """Return the real files below a folder, but large ones, by the reader for them."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size > _MAX_SEED:
            continue
        with suppress(SkeletonFormatError):
            name = detect_format(path)
            # Formats of several files are read as folders.
            given = path.parent if name in ("openpose_body25", "ui_prmd_txt") else path
            entries = found.setdefault(name, [])
            if given not in entries:
                entries.append(given)
    return found


def fuzz(
    readers: Sequence[str],
    *,
    cases: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    first: int = 0,
    seeds: Path | None = None,
    report: Callable[[str], object] | None = None,
) -> list[Figures]:
    """Read mutated files and count the outcomes.

    A case must end in clips or in ``SkeletonFormatError``, within 10 s and 1 GiB of additional
    memory, without running code and without leaving a half-written set behind.

    Parameters
    ----------
    readers : sequence of str
        Names of the formats.
    cases : int, optional
        Cases of every reader; without it as many as there is time for.
    seconds : float, optional
        Time for all readers together.
    seed : int, default 0
        What the mutations are drawn from; a case is drawn from the seed and its number.
    first : int, default 0
        Number of the first case.
    seeds : Path, optional
        Folder with real files; half of the cases of a reader begin with one where there is any.
    report : callable, optional
        Called with a line of text for every failure.

    Returns
    -------
    list of Figures
        One entry per reader.

    Raises
    ------
    ValueError
        If a format is unknown or neither cases nor seconds are given.
    RuntimeError
        If the process for the cases does not start.
    """
    unknown = [name for name in readers if name not in SAMPLES]
    if unknown:
        raise ValueError(f"format must be one of {', '.join(SAMPLES)}, got {unknown[0]!r}.")
    if cases is None and seconds is None:
        raise ValueError("cases or seconds must be given, got neither.")
    found = find_seeds(seeds) if seeds is not None else {}
    figures = [Figures(name) for name in readers]
    worker = _Worker(found)
    try:
        worker.start()
        start = time.monotonic()
        for index, entry in enumerate(figures):
            # What is left of the time is shared by the readers that are left.
            share = None
            if seconds is not None:
                left = seconds - (time.monotonic() - start)
                share = time.monotonic() + left / (len(figures) - index)
            number = first
            while (cases is None or entry.cases < cases) and (
                share is None or time.monotonic() < share
            ):
                case = Case(entry.reader, seed, number)
                outcome = worker.run(case)
                entry.add(case, outcome)
                if report is not None and entry.failures and entry.failures[-1][0] is case:
                    report(f"{case.reader} case {number}, {outcome.mutation}: {outcome.kind}\n"
                           f"{outcome.text}")  # fmt: skip
                number += 1
    finally:
        worker.stop()
    return figures


def add_fuzz_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``python -m skelfreq.data fuzz``."""
    parser.add_argument("--reader", choices=[*SAMPLES, "all"], default="all")
    parser.add_argument("--cases", type=int, help="cases of every reader")
    parser.add_argument("--seconds", type=float, help="time for all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seeds", type=Path, help="folder with real files to begin from")


def run_fuzz(arguments: argparse.Namespace, say: Callable[[str], object]) -> int:
    """Run the command; return 1 if a case failed."""
    readers = list(SAMPLES) if arguments.reader == "all" else [arguments.reader]
    cases = arguments.cases
    if cases is None and arguments.seconds is None:
        cases = 1000
    figures = fuzz(
        readers, cases=cases, seconds=arguments.seconds, seed=arguments.seed,
        first=arguments.first, seeds=arguments.seeds, report=say,
    )  # fmt: skip
    say(f"seed {arguments.seed}")
    say("| reader | cases | clips | refused | failed | longest, s | memory, MB | s in all |")
    say("|---|---|---|---|---|---|---|---|")
    for entry in figures:
        say(
            f"| {printable(entry.reader)} | {entry.cases} | {entry.outcomes['clips']} | "
            f"{entry.outcomes['refused']} | {len(entry.failures)} | {entry.longest:.2f} | "
            f"{entry.peak / 1e6:.0f} | {entry.seconds:.0f} |"
        )
    return 1 if any(entry.failures for entry in figures) else 0
