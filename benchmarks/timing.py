"""Interleaved timing, built on :mod:`torch.utils.benchmark`."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch.utils.benchmark import Timer


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    ``rounds``; the least seconds of a contender's ``block`` of calls in each; and the ``budget``
    of seconds after which no further round begins, from the third one on.
    """

    rounds: int
    block: float
    budget: float = float("inf")


QUICK = Effort(rounds=5, block=0.01, budget=5.0)
FULL = Effort(rounds=11, block=0.05, budget=60.0)
# An accelerator repeats itself closely, and its time is dear.
DEVICE = Effort(rounds=5, block=0.02, budget=10.0)
LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a few numbers."""

    median: float
    q1: float
    q3: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Summarise at least one number."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, q1, q3)


def interleave(
    contenders: Mapping[str, Callable[[], object]], effort: Effort, threads: int
) -> dict[str, list[float]]:
    """Seconds per call of each contender, one number a round.

    In every round each contender runs one block of calls, so that whatever slows the machine
    meets all of them, and a ratio within a round means something. Each round begins with
    another contender: none always follows the same neighbour's use of the caches.
    """
    timers = {
        name: Timer("run()", globals={"run": run}, num_threads=threads)
        for name, run in contenders.items()
    }
    # The timer itself makes two calls before each block: they compile, build bases, warm caches.
    calls = {
        name: max(1, round(effort.block / max(timer.timeit(1).median, 1e-9)))
        for name, timer in timers.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    names = list(timers)
    begin = time.perf_counter()
    for turn in range(effort.rounds):
        if turn >= LEAST_ROUNDS and time.perf_counter() - begin > effort.budget:
            break
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            seconds[name].append(timers[name].timeit(calls[name]).median)
    return seconds


def interleaved_medians(
    contenders: Mapping[str, Callable[[], object]], effort: Effort, threads: int
) -> dict[str, float]:
    """Median seconds per call of each contender."""
    seconds = interleave(contenders, effort, threads)
    return {name: statistics.median(values) for name, values in seconds.items()}


class OtherWork:
    """Cores used by other processes since construction; None where that is unknown."""

    def __init__(self) -> None:
        self.start = self._now()

    def cores(self) -> float | None:
        """Return the mean number of cores used by others."""
        end = self._now()
        if self.start is None or end is None:
            return None
        (wall, all_, own), (wall_end, all_end, own_end) = self.start, end
        used = (all_end - all_) - (own_end - own)
        return max(0.0, used / max(wall_end - wall, 1e-9))

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        stat = Path("/proc/stat")
        if not stat.is_file():
            return None
        # user nice system idle iowait irq softirq steal, in ticks
        ticks = [int(field) for field in stat.read_text().split("\n", 1)[0].split()[1:9]]
        busy = sum(ticks) - ticks[3] - ticks[4]
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return time.perf_counter(), busy / os.sysconf("SC_CLK_TCK"), own
