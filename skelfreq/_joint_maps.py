"""Joint maps between layouts, public through ``skelfreq.skeletons``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_axis, compute_dtype
from skelfreq._layouts import _LAYOUTS, get_layout
from skelfreq._skeleton_layout import SkeletonLayout

# Names that layouts use for a part of the body which most of the others name differently.
_SAME_PART = {
    "ntu25": {
        "spine base": "hip centre",
        "spine middle": "spine",
        "spine shoulder": "shoulder centre",
    },
    "openpose18": {"neck": "shoulder centre"},
    "body25": {"neck": "shoulder centre", "middle hip": "hip centre"},
    # Human3.6M counts the ankle as the foot.
    "h36m17": {
        "hip": "hip centre",
        "thorax": "shoulder centre",
        "left foot": "left ankle",
        "right foot": "right ankle",
    },
    "prmd22": {"waist": "hip centre", "chest": "shoulder centre"},
    "hdm24": {
        "root": "hip centre",
        "belly": "spine",
        "neck": "shoulder centre",
        "left fingers": "left hand",
        "right fingers": "right hand",
        "left toes": "left foot",
        "right toes": "right foot",
    },
}
# A part that a layout lacks is the mean of these, where it has them.
_MEAN_OF = {
    "hip centre": ("left hip", "right hip"),
    "shoulder centre": ("left shoulder", "right shoulder"),
    "spine": ("hip centre", "shoulder centre"),
    "neck": ("shoulder centre", "head"),
    "head": ("nose",),
}


def as_tensor(name: str, x: Tensor | np.ndarray) -> Tensor:
    """Return a tensor or a numpy array as a tensor, sharing memory where torch can."""
    if isinstance(x, Tensor):
        return x
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{name} must be a tensor or a numpy array, got {type(x).__name__}.")
    # torch takes neither negative strides nor foreign byte order, and warns of read-only memory.
    native = x.dtype.isnative
    if not (native and x.flags.writeable and all(stride >= 0 for stride in x.strides)):
        x = np.array(x, dtype=x.dtype.newbyteorder("="))
    return torch.from_numpy(x)


def _parts(layout: SkeletonLayout) -> list[str]:
    """Return the part of the body that each joint of ``layout`` is."""
    names = _SAME_PART.get(layout.name, {})
    return [names.get(joint, joint) for joint in layout.joints]


def _weights(part: str, parts: list[str]) -> dict[int, float] | None:
    """Return source joints with weights that add up to 1, or None where there are none."""
    if part in parts:
        return {parts.index(part): 1.0}
    terms = [_weights(near, parts) for near in _MEAN_OF.get(part, ())]
    if not terms or None in terms:
        return None
    sums: dict[int, float] = {}
    for term in terms:
        for joint, weight in (term or {}).items():
            sums[joint] = sums.get(joint, 0.0) + weight / len(terms)
    return sums


def _joint_map(source: SkeletonLayout, target: SkeletonLayout) -> list[dict[int, float]]:
    """Return for each joint of ``target`` the weights of the joints of ``source``."""
    parts = _parts(source)
    rows = [_weights(part, parts) for part in _parts(target)]
    missing = [name for name, row in zip(target.joints, rows, strict=True) if row is None]
    if missing:
        possible = [
            layout.name
            for layout in _LAYOUTS.values()
            if all(_weights(part, parts) is not None for part in _parts(layout))
        ]
        raise ValueError(
            f"target must be one of {', '.join(map(repr, possible))} for source {source.name!r}, "
            f"which lacks {', '.join(missing)}, got {target.name!r}."
        )
    return [row for row in rows if row is not None]


def convert_layout(
    x: Tensor | np.ndarray,
    source: SkeletonLayout | str,
    target: SkeletonLayout | str,
    *,
    dim: int = -1,
) -> Tensor:
    """Bring joints from one layout into another.

    A joint of ``target`` is the joint of ``source`` that is the same part of the body. Where
    ``source`` lacks it, it is the mean of its neighbours: the hip centre of both hips, the shoulder
    centre (base of the neck) of both shoulders, the spine of hip centre and shoulder centre, the
    neck of shoulder centre and head. The nose replaces a missing head.

    ===============  ===================================================
    target           sources
    ===============  ===================================================
    ``"common13"``   every named layout
    ``"common15"``   every named layout
    ``"common20"``   ``ntu25``, ``kinect20``, ``kinect20_sdk``, ``utd20``, ``hdm24``
    ===============  ===================================================

    Parameters
    ----------
    x : Tensor or ndarray
        Joints, for example [N, C, T, V]. Floating point where a mean is needed. Fill missing joints
        first (:func:`skelfreq.data.transforms.fill_missing`): a mean with a joint at zero is wrong.
    source, target : SkeletonLayout or str
        Layouts, or names that :func:`get_layout` knows. Joints of own layouts are matched by name.
    dim : int, default -1
        The joint axis.

    Returns
    -------
    Tensor
        A new tensor of the dtype of ``x``. Joints that are copied are bit-equal.

    Shape
    -----
    ``source.num_joints`` entries on ``dim`` → ``target.num_joints``.

    Raises
    ------
    TypeError
        If ``x`` is no tensor or array, or is not floating point where a mean is needed.
    ValueError
        If a layout is unknown, ``x`` does not have the joints of ``source`` on ``dim``, or
        ``source`` lacks a joint of ``target``; the message lists the possible targets.

    Notes
    -----
    Sensors put joints of one name in different places: Kinect v1's spine lies just above the hips,
    Kinect v2's in the middle of the back, and a nose is not the middle of a head.

    Source
    ------
    Ours; the neck as mean of the shoulders is the convention of OpenPose's COCO model.

    Examples
    --------
    >>> convert_layout(torch.zeros(8, 3, 64, 25), "ntu25", "common15").shape
    torch.Size([8, 3, 64, 15])
    """
    x = as_tensor("x", x)
    source = get_layout(source) if isinstance(source, str) else source
    target = get_layout(target) if isinstance(target, str) else target
    dim = check_axis("x", x, dim)
    if x.shape[dim] != source.num_joints:
        raise ValueError(
            f"x must have the {source.num_joints} joints of {source.name!r} on dim={dim}, "
            f"got shape {tuple(x.shape)}."
        )
    rows = _joint_map(source, target)
    if not x.is_floating_point() and any(len(row) > 1 for row in rows):
        raise TypeError(
            f"x must be floating point to convert {source.name!r} into {target.name!r}, "
            f"which takes means of joints, got {x.dtype}."
        )
    with autocast_off(x):
        return torch.stack([_mean(x, row, dim) for row in rows], dim)


def _mean(x: Tensor, row: dict[int, float], dim: int) -> Tensor:
    """Return the weighted mean of joints."""
    if len(row) == 1:
        return x.select(dim, next(iter(row)))
    terms = [x.select(dim, joint).to(compute_dtype(x)) * weight for joint, weight in row.items()]
    return torch.stack(terms).sum(0).to(x.dtype)
