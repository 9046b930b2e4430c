"""Ctrl-C and SIGTERM. Imports nothing heavy: its handlers are in place before torch is loaded."""

from __future__ import annotations

import errno
import importlib
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# RuntimeErrors of torch that have their cause outside the program.
OUTSIDE = ("allocate memory", "out of memory", "onnection", "Broken pipe", "Timed out")


class Stopped(BaseException):
    """A signal asked the command to end."""


class Stop:
    """Receives the signals: at once, or at the end of a step where one is being computed."""

    def __init__(self) -> None:
        self.number = 0
        self.hint = "Nothing was written: give the same command again."
        self.loud = True  # of several processes one speaks
        self._deferred = False

    def __enter__(self) -> Stop:
        self._before = {n: signal.signal(n, self._receive) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, self.number = self.number == 0, number
        # A second signal does not wait for the end of the step.
        if not (self._deferred and first):
            raise Stopped

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only note a signal inside; who computes asks :attr:`number` after every step."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False


def command(name: str, module: str, argv: list[str] | None) -> int:
    """Run the experiment ``EXPERIMENT`` of a module from the command line; the exit status."""

    def run(stop: Stop) -> None:
        study = importlib.import_module("examples.common.study")  # loads torch
        study.run(importlib.import_module(module).EXPERIMENT, argv, stop)

    return guarded(name, run)


def guarded(name: str, run: Callable[[Stop], None]) -> int:
    """Call ``run``; what the user can mend takes one line. Returns the exit status."""
    with Stop() as stop:
        try:
            run(stop)
        except Stopped:
            if stop.loud:
                print(f"\n{name}: stopped. {stop.hint}", file=sys.stderr)
            return 128 + stop.number
        except (ValueError, OSError, ModuleNotFoundError, MemoryError, RuntimeError) as error:
            outside = any(words in str(error) for words in OUTSIDE)
            if isinstance(error, RuntimeError) and not outside:
                raise
            line = " ".join(str(error).split()) or type(error).__name__
            full = isinstance(error, OSError) and error.errno in FULL
            hint = stop.hint if isinstance(error, RuntimeError) or full else ""
            print(f"{name}: {line} {hint}".rstrip(), file=sys.stderr)
            return 2
    return 0
