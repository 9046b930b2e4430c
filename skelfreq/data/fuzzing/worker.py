"""The process in which mutated files are read, with bounded memory."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from skelfreq.data.clips import Clip
from skelfreq.data.convert import convert
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.fuzzing.mutations import mutate
from skelfreq.data.fuzzing.pickles import CANARY
from skelfreq.data.fuzzing.samples import write_sample
from skelfreq.data.reading import ClipSource
from skelfreq.data.source import Options

__all__ = ["Case", "Outcome", "make_case", "run_case", "serve"]

# Every so many cases are converted as well as read.
_CONVERT_EVERY = 10
_EVENTS = {
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.connect",
}


@dataclass(frozen=True)
class Case:
    """One mutated file: the reader, and the numbers that make the mutation again."""

    reader: str
    seed: int
    number: int


@dataclass(frozen=True)
class Outcome:
    """What became of a case: ``"clips"``, ``"refused"``, or what went wrong."""

    kind: str
    mutation: str
    seconds: float
    peak: int
    text: str = ""


def memory() -> tuple[int, int]:
    """Return the address space and the resident memory of this process in bytes."""
    try:
        words = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return int(words[0]) * page, int(words[1]) * page


def _peak(forget: bool = False) -> int:
    """Return the largest resident memory in bytes, since it was last forgotten."""
    try:
        if forget:
            Path("/proc/self/clear_refs").write_text("5")
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def _limit_memory(extra: int) -> None:
    """Let the address space grow by ``extra`` bytes at most."""
    try:
        import resource
    except ImportError:
        return
    space, _ = memory()
    if space:
        resource.setrlimit(resource.RLIMIT_AS, (space + extra, space + extra))


def serve(connection: Connection, seeds: dict[str, list[Path]], limit: int) -> None:
    """Say ``None`` when ready, then answer each case with an outcome, until ``None`` comes."""
    events: list[str] = []
    sys.addaudithook(lambda name, arguments: events.append(name) if name in _EVENTS else None)
    base = Path(tempfile.mkdtemp(prefix="skelfreq-fuzz-"))
    os.chdir(base)
    # Imported before memory is limited.
    with suppress(ImportError):
        import_module("scipy.io")
    warnings.simplefilter("error")
    _limit_memory(limit)
    connection.send(None)
    try:
        while (case := connection.recv()) is not None:
            folder = base / "case"
            folder.mkdir()
            outcome = run_case(case, folder, seeds.get(case.reader, []), events)
            if (base / CANARY).exists() or (folder / CANARY).exists() or events:
                outcome = Outcome(
                    "code was run", outcome.mutation, outcome.seconds, outcome.peak, str(events)
                )
                events.clear()
            shutil.rmtree(folder, ignore_errors=True)
            connection.send(outcome)
    finally:
        os.chdir("/")
        shutil.rmtree(base, ignore_errors=True)


def make_case(case: Case, folder: Path, seeds: list[Path]) -> tuple[Path, str, bool]:
    """Write the mutated files of a case; return what to read and the name of the mutation."""
    rng = np.random.default_rng([case.seed, case.number])
    place = folder / "in"
    place.mkdir()
    own = not seeds or rng.random() < 0.5
    if own:
        path = write_sample(case.reader, place, rng)
    else:
        chosen = seeds[int(rng.integers(0, len(seeds)))]
        path = place / chosen.name
        if chosen.is_dir():
            shutil.copytree(chosen, path)
        else:
            path.write_bytes(chosen.read_bytes())
    files = sorted(file for file in place.rglob("*") if file.is_file())
    for file in files:
        file.chmod(0o644)
    name = mutate(files, rng, own)
    return path, name, bool(rng.random() < 1 / _CONVERT_EVERY)


def run_case(case: Case, folder: Path, seeds: list[Path], events: list[str]) -> Outcome:
    """Make a case in an empty folder, read it and say what became of it."""
    path, name, whole = make_case(case, folder, seeds)
    options = Options(axes="NTVC") if case.reader == "array" else Options()
    actions: list[Callable[[], object]] = [lambda: _read(path, case.reader, options)]
    out = folder / "out"
    if whole:
        actions.append(lambda: convert(path, out, case.reader, options))
    events.clear()
    before = _peak(forget=True)
    start = time.monotonic()
    kind, text = "clips", ""
    for action in actions:
        try:
            action()
        except SkeletonFormatError as error:
            kind, text = "refused", str(error)
            left = [entry.name for entry in folder.iterdir() if entry.name != "in"]
            if left:
                kind, text = "output left behind", str(left)
        except BaseException as error:
            kind, text = f"raised {type(error).__name__}", traceback.format_exc()
            break
    return Outcome(kind, name, time.monotonic() - start, _peak() - before, text)


def _read(path: Path, reader: str, options: Options) -> int:
    """Read all clips, one in memory at a time."""
    count = 0
    for _, item in ClipSource(path, reader, options).items():
        if isinstance(item, Clip):
            if not np.isfinite(item.joints).all():
                raise AssertionError(f"{item.name} is not finite")
            count += 1
    return count
