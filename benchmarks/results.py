"""Results as records: JSON, comparison of two files, and the marks of a busy machine."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import skelfreq
from benchmarks.timing import Spread

SCHEMA = 2
BUSY_CORES, BUSY_LOAD = 0.25, 0.5
SLOW_COPY = 2.0


@dataclass(frozen=True)
class Ratio:
    """Peer time / candidate time, round by round; above 1 the library is faster."""

    spread: Spread
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the median reaches the target; empty without one."""
        if self.target is None:
            return ""
        return "met" if self.spread.median >= self.target else "missed"


@dataclass(frozen=True)
class Record:
    """One case in one precision, mode and pass. Seconds per call, bytes, FLOP, cores."""

    case: str
    dtype: str
    mode: str
    pass_: str
    seconds: Spread
    peers: dict[str, Spread]
    ratios: dict[str, Ratio]
    copy_seconds: Spread
    copy_bytes: int  # read and written
    moved_bytes: int | None  # what the candidate must read and write at least
    product_seconds: Spread
    product_flop: int
    flop: int | None  # of the candidate's matrix products
    input_bytes: int
    peak_bytes: int | None
    memory_target: float | None
    error: float | None
    other_cores: float | None
    clips: int | None = None  # in a call
    # What the candidate must compute at least, "copy" where it need only move bytes.
    limit: str = "copy"
    limit_seconds: Spread | None = None

    @property
    def key(self) -> str:
        """What identifies the record between two runs."""
        return " | ".join((self.case, self.dtype, self.mode, self.pass_))

    @property
    def bandwidth_share(self) -> float | None:
        """Achieved bytes/s of the least traffic, as a share of the copy's."""
        if not self.moved_bytes:
            return None
        copy = self.copy_bytes / self.copy_seconds.median
        return self.moved_bytes / self.seconds.median / copy

    @property
    def limit_share(self) -> float | None:
        """The time that bytes or the FFT take at least, whichever is longer, over the time taken.

        None where an FFT is the limit and was not timed.
        """
        if self.limit == "copy":
            return self.bandwidth_share
        if self.limit_seconds is None:
            return None
        return max(self.bandwidth_share or 0.0, self.limit_seconds.median / self.seconds.median)

    @property
    def flop_share(self) -> float | None:
        """Achieved FLOP/s of matrix products, as a share of the plain product's."""
        if not self.flop:
            return None
        product = self.product_flop / self.product_seconds.median
        return self.flop / self.seconds.median / product

    @property
    def memory(self) -> float | None:
        """Peak extra memory as a multiple of the input's bytes."""
        return None if self.peak_bytes is None else self.peak_bytes / self.input_bytes

    @property
    def memory_verdict(self) -> str:
        """Whether the memory target is met; empty without one."""
        if self.memory is None or self.memory_target is None:
            return ""
        return "met" if self.memory <= self.memory_target else "missed"


@dataclass(frozen=True)
class Report:
    """A run of the suite."""

    machine: dict[str, Any]
    records: list[Record]
    skipped: dict[str, str] = field(default_factory=dict)
    scaling: list[dict[str, Any]] = field(default_factory=list)
    crossover: list[dict[str, Any]] = field(default_factory=list)

    @property
    def file_name(self) -> str:
        """Name of the file that keeps the results of this machine."""
        words = re.sub(r"[^a-z0-9]+", "-", short_name(self.machine).lower()).strip("-")
        return f"{self.machine['device']}-{words}.json"

    def write(self, path: Path) -> None:
        """Write JSON; the file appears only when it is complete."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".part")
        partial.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n")
        partial.replace(path)


def read(path: Path) -> Report:
    """Read what :meth:`Report.write` wrote; a ValueError names the file otherwise."""
    try:
        data = json.loads(path.read_text())
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {data['schema']}")
        records = [_record(entry) for entry in data["records"]]
        others = (data[name] for name in ("skipped", "scaling", "crossover"))
        return Report(data["machine"], records, *others)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a result of this suite: {error!r}.") from error


def _record(entry: dict[str, Any]) -> Record:
    spreads = {key: Spread(**entry[key]) for key in ("seconds", "copy_seconds", "product_seconds")}
    peers = {name: Spread(**value) for name, value in entry["peers"].items()}
    ratios = {
        name: Ratio(Spread(**value["spread"]), value["target"])
        for name, value in entry["ratios"].items()
    }
    if entry["limit_seconds"] is not None:
        spreads["limit_seconds"] = Spread(**entry["limit_seconds"])
    return Record(**{**entry, **spreads, "peers": peers, "ratios": ratios})


def machine(device: str, threads: int) -> dict[str, Any]:
    """Describe what is measured on."""
    name = processor()
    if torch.device(device).type == "cuda":
        name = f"{torch.cuda.get_device_name()} ({name})"
    return {
        "device": device,
        "name": name,
        "cores": os.cpu_count(),
        "threads": threads,
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 2),
        "date": str(date.today()),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torch-dct": version("torch-dct"),
            "skelfreq": skelfreq.__version__,
        },
    }


def processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, as far as the system tells it.

    A virtual machine may tell the make alone: then family and model follow.
    """
    if not info.is_file():
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in info.read_text().splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.machine()
    if any(letter.isdigit() for letter in name) or "cpu family" not in facts:
        return name
    return f"{name} (family {facts['cpu family']}, model {facts.get('model', '?')})"


def short_name(machine: dict[str, Any]) -> str:
    """Return a machine's name without the marks and words that say nothing."""
    name = re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|@.*", "", machine["name"])
    return " ".join(name.split())


def disturbed(records: list[Record]) -> dict[str, str]:
    """Return, by key, why a record was measured on a busy machine."""
    best: dict[tuple[str, int], float] = {}
    for record in records:
        same = (record.dtype, record.copy_bytes)
        best[same] = min(best.get(same, float("inf")), record.copy_seconds.median)
    reasons = {}
    for record in records:
        slow = record.copy_seconds.median / best[record.dtype, record.copy_bytes]
        if record.other_cores is not None and record.other_cores > BUSY_CORES:
            reasons[record.key] = f"other processes used {record.other_cores:.1f} cores"
        elif slow > SLOW_COPY:
            reasons[record.key] = f"its copy was {slow:.1f}× slower than the best of that size"
    return reasons


def compare(old: Report, new: Report) -> list[tuple[Record, Record, float, bool]]:
    """Pair records of both reports: (old, new, new time / old time, larger than noise).

    A change is larger than noise when the two inter-quartile ranges do not touch and the medians
    differ by more than 5 %.
    """
    before = {record.key: record for record in old.records}
    rows = []
    for record in new.records:
        if record.key not in before:
            continue
        a, b = before[record.key].seconds, record.seconds
        change = b.median / a.median
        apart = b.q1 > a.q3 or b.q3 < a.q1
        rows.append((before[record.key], record, change, apart and abs(change - 1) > 0.05))
    return rows
