"""Published lists of names, kept as text files beside this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["name_list"]


@cache
def name_list(name: str) -> tuple[str, ...]:
    """Return the lines of a list, for example ``"ntu_classes"``."""
    return tuple(Path(__file__).with_name(f"{name}.txt").read_text("utf-8").splitlines())
