"""Values of JSON files, checked, with errors that say where they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.errors import SkeletonFormatError, printable

__all__ = ["as_class", "as_list", "as_object", "floats"]


def as_object(path: Path, value: Any, where: str) -> dict[str, Any]:
    """Return an object, or raise SkeletonFormatError."""
    if not isinstance(value, dict):
        raise SkeletonFormatError(path, f"{where} must be an object, got {type(value).__name__}")
    return value


def as_list(path: Path, value: Any, where: str) -> list[Any]:
    """Return a list, or raise SkeletonFormatError."""
    if not isinstance(value, list):
        raise SkeletonFormatError(path, f"{where} must be a list, got {type(value).__name__}")
    return value


def floats(path: Path, value: Any, where: str) -> NDArray[np.float64]:
    """Return a list of numbers as an array, or raise SkeletonFormatError."""
    value = as_list(path, value, where)
    if not set(map(type, value)) <= {int, float}:
        wrong = next(item for item in value if type(item) not in (int, float))
        raise SkeletonFormatError(
            path, f"{where} must hold numbers, got {printable(repr(wrong), 30)}"
        )
    try:
        return np.array(value, np.float64).reshape(len(value))
    except OverflowError as error:
        raise SkeletonFormatError(path, f"{where} holds a number beyond fp64") from error


def as_class(path: Path, content: dict[str, Any]) -> tuple[int, str]:
    """Return the class number and name under ``label_index`` and ``label``, -1 and "" if absent."""
    label, name = content.get("label_index", -1), content.get("label", "")
    if type(label) is not int or not -1 <= label < 1_000_000:
        raise SkeletonFormatError(
            path, f"label_index must be an integer from -1, got {printable(repr(label), 30)}"
        )
    if not isinstance(name, str):
        raise SkeletonFormatError(path, f"label must be a text, got {type(name).__name__}")
    return label, name
