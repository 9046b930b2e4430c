"""Reading ``.npz`` archives without pickle, with errors that name the file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# What numpy and zipfile raise on truncated, damaged or pickled content.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, KeyError)


@contextmanager
def _open(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    # Opened here because numpy leaves the file open when its content is damaged.
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except _DAMAGE as error:
            raise ValueError(f"{path}: expected a readable .npz archive ({error}).") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{path}: expected an .npz archive, got a single array.")
        with archive:
            yield archive


def archive_keys(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an archive.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no readable archive.
    """
    with _open(path) as archive:
        return tuple(archive.files)


def read_arrays(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return the arrays of those names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no readable archive, lacks a key, or holds pickled objects under it.
    """
    with _open(path) as archive:
        for key in keys:
            if key not in archive.files:
                raise ValueError(
                    f"{path}: expected the key {key!r}, got {', '.join(map(repr, archive.files))}."
                )
        arrays = {}
        for key in keys:
            try:
                arrays[key] = archive[key]
            except _DAMAGE as error:
                raise ValueError(f"{path}: cannot read the key {key!r} ({error}).") from error
        return arrays


def check_shape(
    path: Path, key: str, array: np.ndarray, expected: tuple[int | str, ...], kinds: str
) -> None:
    """Raise ValueError unless an array has the expected shape and kind of dtype.

    Letters in ``expected`` stand for any size; ``kinds`` holds numpy's kind letters.
    """
    fits = len(expected) == array.ndim and all(
        isinstance(want, str) or want == got
        for want, got in zip(expected, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in kinds:
        wanted = ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "")
        raise ValueError(
            f"{path}: {key} must have shape ({wanted}) and numpy kind in {kinds!r}, "
            f"got shape {array.shape} and dtype {array.dtype}."
        )
