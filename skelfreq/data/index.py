"""The index of the converted form, checked field by field."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.skeletons import SkeletonLayout

__all__ = ["IndexFile"]


class IndexFile:
    """The content of an ``index.json`` whose fields are checked when they are asked for.

    Parameters
    ----------
    path : Path
        The file, for messages.
    content : object
        What the file holds.

    Raises
    ------
    SkeletonFormatError
        By every method, if the field is missing or has another type or size.
    """

    def __init__(self, path: Path, content: Any) -> None:
        self.path = path
        if not isinstance(content, dict):
            raise self.refuse(f"expected an object, got {type(content).__name__}")
        self.content: dict[str, Any] = content

    def refuse(self, reason: str, remedy: str = "Convert the source again") -> SkeletonFormatError:
        """Return the error for this file."""
        return SkeletonFormatError(self.path, reason, remedy=remedy)

    def text(self, key: str) -> str:
        """Return a text."""
        value = self.content.get(key)
        if not isinstance(value, str):
            raise self.refuse(f"{key} must be a text, got {type(value).__name__}")
        return value

    def integer(self, key: str, low: int) -> int:
        """Return an integer of at least ``low``."""
        value = self.content.get(key)
        if type(value) is not int or not low <= value < 1 << 31:
            raise self.refuse(f"{key} must be an integer of at least {low}, got {_show(value)}")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """Return an object."""
        value = self.content.get(key)
        if not isinstance(value, dict):
            raise self.refuse(f"{key} must be an object, got {type(value).__name__}")
        return value

    def column(self, table: dict[str, Any], key: str, count: int | None = None) -> list[Any]:
        """Return a list, of ``count`` entries if that is given."""
        value = table.get(key)
        if not isinstance(value, list) or (count is not None and len(value) != count):
            size = "" if count is None else f" of {count} entries"
            raise self.refuse(f"{key} must be a list{size}, got {_show(value)}")
        return value

    def texts(self, table: dict[str, Any], key: str, count: int | None = None) -> tuple[str, ...]:
        """Return a tuple of texts."""
        value = self.column(table, key, count)
        if not all(isinstance(word, str) for word in value):
            raise self.refuse(f"{key} must hold texts only")
        return tuple(value)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return a tuple of pairs of texts."""
        value = self.column(self.content, key)
        if not all(
            isinstance(pair, list) and [type(word) for word in pair] == [str, str] for pair in value
        ):
            raise self.refuse(f"{key} must hold pairs of texts")
        return tuple((pair[0], pair[1]) for pair in value)

    def numbers(self, table: dict[str, Any], key: str, count: int, low: int) -> NDArray[np.int64]:
        """Return int64 ``[count]`` of at least ``low``."""
        value = self.column(table, key, count)
        if not all(type(number) is int and low <= number < 1 << 31 for number in value):
            raise self.refuse(f"{key} must hold integers from {low} to {(1 << 31) - 1}")
        return np.array(value, np.int64).reshape(count)

    def check_optional(self, table: dict[str, Any], count: int, persons: list[int]) -> None:
        """Check the columns that not every set has."""
        if "frame_rate" in table and not all(
            type(rate) in (int, float) and rate >= 0 and math.isfinite(rate)
            for rate in self.column(table, "frame_rate", count)
        ):
            raise self.refuse("frame_rate must hold finite numbers of at least 0")
        if "image_size" in table and not all(
            isinstance(size, list) and [type(edge) for edge in size] == [int, int]
            for size in self.column(table, "image_size", count)
        ):
            raise self.refuse("image_size must hold pairs of integers")
        if "person_ids" in table and not all(
            isinstance(names, list)
            and len(names) in (0, people)
            and all(isinstance(name, str) for name in names)
            for names, people in zip(self.column(table, "person_ids", count), persons, strict=True)
        ):
            raise self.refuse("person_ids must hold one text per person")

    def layout(self) -> SkeletonLayout:
        """Return the skeleton layout."""
        entry = self.mapping("layout")
        name = entry.get("name")
        joints = self.texts(entry, "joints")
        edges, mirrored = self._joint_pairs(entry, "edges"), self._joint_pairs(entry, "left_right")
        centre = entry.get("centre")
        if not isinstance(name, str) or type(centre) is not int:
            raise self.refuse("layout must have a name and a centre")
        try:
            return SkeletonLayout(name, joints, edges, mirrored, centre)
        except ValueError as error:
            raise self.refuse(f"layout: {str(error).rstrip('.')}") from error

    def _joint_pairs(self, entry: dict[str, Any], key: str) -> tuple[tuple[int, int], ...]:
        value = self.column(entry, key)
        if not all(
            isinstance(pair, list) and [type(joint) for joint in pair] == [int, int]
            for pair in value
        ):
            raise self.refuse(f"{key} must hold pairs of joint numbers")
        return tuple((pair[0], pair[1]) for pair in value)


def _show(value: object) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return printable(repr(value)) if isinstance(value, (int, float, str)) else type(value).__name__
