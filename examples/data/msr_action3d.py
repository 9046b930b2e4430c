"""MSR Action3D (Li, Zhang and Liu, CVPR Workshops 2010): 20 actions, 10 subjects, 20 joints.

Coordinates are metres in the camera's right-handed frame: axis 0 points to the right of a person
who faces the camera, axis 1 up (heads near +0.5, feet near -1), axis 2 away from the camera.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from examples.data._archive import check_shape, read_arrays
from examples.data.clips import SkeletonClips
from examples.data.clips import fill_missing as _fill

_JOINTS = 20
KEYS = ("joints", "lengths", "label", "subject", "sample", "class_names")


def load_msr_action3d(path: str | Path, *, fill_missing: bool = True) -> SkeletonClips:
    """Read MSR Action3D from one ``.npz`` archive.

    Frames in which all joints are zero were not tracked and are dropped, and so are clips left with
    fewer than 2 frames (named in ``dropped``; ``a13_s09_e02`` in the data set as published). Odd
    subjects train, even subjects test.

    Parameters
    ----------
    path : str or Path
        Archive with ``joints`` [frames, 20, 3], ``lengths``, ``label``, ``subject`` and ``sample``
        [clips] and ``class_names`` [classes].
    fill_missing : bool, default True
        Interpolate single joints that are exactly zero in time. The published files hold no such
        joint: tracking was lost for whole bodies only.

    Returns
    -------
    SkeletonClips
        In the layout ``kinect20``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, lacks a key, holds arrays that do not fit together, or a coordinate
        is not finite; the message names file and key, or file, clip and frame.
    """
    path = Path(path)
    arrays = read_arrays(path, KEYS)
    joints, lengths = arrays["joints"], arrays["lengths"]
    check_shape(path, "joints", joints, ("frames", _JOINTS, 3), "f")
    check_shape(path, "lengths", lengths, ("clips",), "iu")
    lengths = lengths.astype(np.int64)
    for key, kinds in (("label", "iu"), ("subject", "iu"), ("sample", "U")):
        check_shape(path, key, arrays[key], lengths.shape, kinds)
    check_shape(path, "class_names", arrays["class_names"], ("classes",), "U")
    if (lengths < 0).any() or lengths.sum() != len(joints):
        raise ValueError(
            f"{path}: lengths must not be negative and add up to the {len(joints)} frames of "
            f"joints, got a sum of {lengths.sum()}."
        )
    labels, classes = arrays["label"].astype(np.int64), len(arrays["class_names"])
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"{path}: label must lie between 0 and {classes - 1}, "
            f"got {labels.min()} to {labels.max()}."
        )
    names = [str(name) for name in arrays["sample"]]
    clip = np.repeat(np.arange(len(lengths)), lengths)
    broken = np.flatnonzero(~np.isfinite(joints).all(axis=(1, 2)))
    if len(broken):
        row, index = broken[0], clip[broken[0]]
        frame = row - (lengths[:index].sum())
        raise ValueError(
            f"{path}: clip {names[index]}, frame {frame} (from 0) holds a coordinate that is not "
            f"finite."
        )
    tracked = joints.any(axis=(1, 2))
    counts = np.bincount(clip[tracked], minlength=len(lengths))
    kept = counts >= 2
    joints = joints[tracked & kept[clip]].astype(np.float32)
    counts = counts[kept].astype(np.int64)
    if fill_missing:
        joints = _fill(joints, counts)
    subjects = arrays["subject"].astype(np.int64)[kept]
    return SkeletonClips(
        joints=joints,
        lengths=counts,
        labels=labels[kept],
        groups=subjects,
        train=subjects % 2 == 1,
        names=tuple(name for name, keep in zip(names, kept, strict=True) if keep),
        class_names=tuple(str(name) for name in arrays["class_names"]),
        layout="kinect20",
        source=f"MSR Action3D, {path.name}",
        dropped=tuple(name for name, keep in zip(names, kept, strict=True) if not keep),
    )


def read_msr_text(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one original ``*_skeleton3D.txt`` file: 20 lines ``x y z confidence`` per frame.

    Nothing is cleaned: frames without tracking stay zero.

    Returns
    -------
    tuple of ndarray
        Joints float32 ``[T, 20, 3]`` in metres and confidence float32 ``[T, 20]``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line does not hold 4 finite numbers or the last frame is incomplete; the message names
        file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    # Undecodable bytes become characters that no number contains, and are reported with their line.
    lines = path.read_text(encoding="ascii", errors="replace").rstrip().splitlines()
    values = np.empty((len(lines), 4))
    for number, line in enumerate(lines, start=1):
        try:
            values[number - 1] = row = [float(word) for word in line.split()]
            valid = len(row) == 4 and np.isfinite(row).all()
        except ValueError:
            valid = False
        if not valid:
            raise ValueError(
                f"{path}, line {number}: expected 4 finite numbers x y z confidence, got {line!r}."
            )
    if not lines or len(lines) % _JOINTS:
        raise ValueError(
            f"{path}, line {len(lines)}: expected whole frames of {_JOINTS} lines, "
            f"got {len(lines)} lines."
        )
    values = values.reshape(-1, _JOINTS, 4).astype(np.float32)
    return values[..., :3].copy(), values[..., 3].copy()
