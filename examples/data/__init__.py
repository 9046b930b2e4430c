"""Skeleton data for the examples: embedded synthetic motions and readers for published files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from examples.data import ctrgcn_npz, msr_action3d
from examples.data._archive import archive_keys
from examples.data.clips import SkeletonClips, fill_missing, normalise, resample_clips
from examples.data.ctrgcn_npz import load_ctrgcn_npz
from examples.data.msr_action3d import load_msr_action3d, read_msr_text
from examples.data.synthetic import synthetic_ntu25

__all__ = [
    "SkeletonClips",
    "fill_missing",
    "load",
    "load_ctrgcn_npz",
    "load_msr_action3d",
    "normalise",
    "read_msr_text",
    "resample_clips",
    "synthetic_ntu25",
]


def load(name_or_path: str | Path, **options: Any) -> SkeletonClips:
    """Load clips by name or from a file.

    Parameters
    ----------
    name_or_path : str or Path
        ``"synthetic"`` for :func:`synthetic_ntu25`, or the path of an ``.npz`` archive of MSR
        Action3D (:func:`load_msr_action3d`) or in CTR-GCN's format (:func:`load_ctrgcn_npz`); the
        keys of the archive tell which.
    **options
        Handed to that function.

    Returns
    -------
    SkeletonClips
        The clips.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is in no known format, or as the reader raises.
    """
    if name_or_path == "synthetic":
        return synthetic_ntu25(**options)
    path = Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, and the only named data is 'synthetic'.")
    if path.suffix != ".npz":
        raise ValueError(f"{path}: expected 'synthetic' or a .npz archive, got {path.suffix!r}.")
    keys = archive_keys(path)
    # One key of a format is enough to tell it: its reader then says which ones are missing.
    if "joints" in keys:
        return load_msr_action3d(path, **options)
    if set(keys) & set(ctrgcn_npz.KEYS):
        return load_ctrgcn_npz(path, **options)
    raise ValueError(
        f"{path}: expected the keys of MSR Action3D ({', '.join(msr_action3d.KEYS)}) or of a "
        f"CTR-GCN archive ({', '.join(ctrgcn_npz.KEYS)}), got {', '.join(keys) or 'none'}."
    )
