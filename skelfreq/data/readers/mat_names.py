"""The variables of a ``.mat`` file, for recognising it."""

from __future__ import annotations

from pathlib import Path

from skelfreq.data.files import Limits
from skelfreq.data.matfile import MatFile

__all__ = ["variable_names"]


def variable_names(path: Path) -> tuple[str, ...]:
    """Return the names of the variables, or raise SkeletonFormatError."""
    return MatFile(path, Limits()).names
