"""Real signals at a chosen step, and the comparison of what two runs left."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def signal_at(module: nn.Module, call: int, number: int = signal.SIGTERM) -> None:
    """Send this process a signal in the ``call``-th forward pass of a module."""
    counted = itertools.count(1)

    def hook(*_: Any) -> None:
        if next(counted) == call:
            signal.raise_signal(number)

    module.register_forward_hook(hook)


def equal(first: Any, second: Any) -> bool:
    """Compare states bit by bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    return type(first) is type(second) and first == second


def differing(first: Path, second: Path, ignore: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the files in two folders that differ or are in one of them only."""
    names = {
        str(path.relative_to(folder))
        for folder in (first, second)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in ignore and path.name != ".lock"
    }
    return sorted(name for name in names if not _same(first / name, second / name))


def _same(first: Path, second: Path) -> bool:
    if not (first.exists() and second.exists()):
        return False
    if first.suffix == ".pt":
        return equal(*(torch.load(path, weights_only=True) for path in (first, second)))
    return first.read_bytes() == second.read_bytes()
