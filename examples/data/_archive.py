"""Arrays of an ``.npz`` archive, through the checks of ``skelfreq.data``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from skelfreq.data.archives import open_archive


def read_arrays(path: str | Path, keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the named arrays of numbers.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the archive is damaged, could not be read safely, or lacks a key; the message names both.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    with open_archive(path) as archive:
        return {
            key: archive.read(key, tuple(map(str, range(len(archive.header(key).shape)))), "fiubU")
            for key in keys
        }
