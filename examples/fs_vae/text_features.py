"""Text features of the NTU classes, read from the folders that MSF-GZSSAR and FS-VAE publish."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from skelfreq.data import SkeletonFormatError
from skelfreq.data.arrays import read_npy

# Label, motion (local) and action (global) description, by the release's abbreviations.
ABBREVIATIONS = {"label": "lb", "local": "md", "global": "ad"}


def load_text_features(folder: str | Path, num_classes: int, levels: tuple[str, ...]) -> Tensor:
    """Join the levels' features and scale every class to unit length: [classes, width].

    Reads ``*lb_60.npy``, ``*md_60.npy`` and ``*ad_60.npy`` (or ``_120``), whichever ``levels``
    asks for; one row per class.

    Raises
    ------
    FileNotFoundError, ValueError
        A level has no file or several, or a file does not hold finite numbers, a row per class.
    """
    folder = Path(folder)
    parts = []
    for level in levels:
        pattern = f"*{ABBREVIATIONS[level]}_{num_classes}.npy"
        found = sorted(folder.glob(pattern))
        if len(found) != 1:
            raise FileNotFoundError(
                f"{folder} must hold one file {pattern} with the {level} features, "
                f"got {[path.name for path in found]}."
            )
        try:
            array = read_npy(found[0])
        except SkeletonFormatError as error:
            raise ValueError(f"{found[0]} must be a readable .npy file: {error}") from error
        if array.ndim != 2 or len(array) != num_classes or array.dtype.kind != "f":
            raise ValueError(
                f"{found[0]} must hold a row of numbers for each of {num_classes} classes, "
                f"got {array.dtype} {array.shape}."
            )
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise ValueError(f"{found[0]} must be finite, got NaN or infinity for class {row}.")
        parts.append(torch.from_numpy(array.astype(np.float32)))
    return torch.nn.functional.normalize(torch.cat(parts, 1), dim=1)
