"""Numbers that tell whether the joints of a clip are plausible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip

__all__ = ["Measures", "measure"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Measures:
    """Numbers about one clip; lengths in the unit of the clip."""

    frames: int
    persons: int
    not_finite: int
    zero_frames: int
    zero_joints: int
    unseen: float
    step: float
    step_frame: int
    bone: float
    bone_name: str
    bone_frame: int
    drift: float
    drift_name: str
    typical_bone: float
    moves: bool


def measure(clip: Clip) -> Measures:
    """Return the measures of a clip. Cost: a few passes over it."""
    joints = clip.joints.astype(np.float64)
    finite = np.asarray(np.isfinite(joints).all(axis=-1))
    joints = np.where(finite[..., None], joints, 0.0)
    nonzero = np.asarray(joints.any(axis=-1))
    present = np.asarray(nonzero.any(axis=-1))
    # A joint at zero counts as a point: the bones that end there are long, which is to be found.
    seen = np.asarray(finite & present[..., None])
    unseen = np.zeros_like(seen)
    if clip.confidence is not None:
        unseen = np.asarray(clip.confidence == 0)
        seen = seen & ~unseen
    zero_joints = int((~nonzero & finite & present[..., None]).sum())
    if clip.confidence is not None:
        # Said to be missing, not zero by mistake.
        zero_joints = int((~nonzero & finite & present[..., None] & ~unseen).sum())
    step, step_frame = _largest_step(joints, seen)
    lengths, names = _bones(clip, joints, seen)
    bone, bone_frame, bone_name = _longest(lengths, names)
    drift, drift_name = _drift(lengths, names)
    known = lengths[lengths > 0]
    return Measures(
        frames=clip.num_frames,
        persons=clip.num_persons,
        not_finite=int((~finite).sum()),
        zero_frames=int((~present.any(axis=1)).sum()),
        zero_joints=zero_joints,
        unseen=float(unseen.mean()),
        step=step,
        step_frame=step_frame,
        bone=bone,
        bone_name=bone_name,
        bone_frame=bone_frame,
        drift=drift,
        drift_name=drift_name,
        typical_bone=float(np.median(known)) if known.size else 0.0,
        moves=bool((joints[1:] != joints[:-1]).any()),
    )


def _largest_step(joints: FloatArray, seen: NDArray[np.bool_]) -> tuple[float, int]:
    """Return the largest step of a joint seen in both frames, and the frame after it."""
    if len(joints) < 2:
        return 0.0, 0
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * (seen[1:] & seen[:-1])
    worst = steps.max(axis=(1, 2))
    return float(worst.max()), int(worst.argmax()) + 1


def _bones(
    clip: Clip, joints: FloatArray, seen: NDArray[np.bool_]
) -> tuple[FloatArray, Sequence[str]]:
    """Return bone lengths ``[T, M, B]``, 0 where an end was not seen, and their names."""
    if clip.layout is None or not clip.layout.edges:
        return np.zeros((*joints.shape[:2], 0)), ()
    child, parent = np.array(clip.layout.edges).T
    lengths = np.linalg.norm(joints[:, :, child] - joints[:, :, parent], axis=-1)
    names = clip.layout.joints
    named = [f"{names[a]} - {names[b]}" for a, b in clip.layout.edges]
    return lengths * (seen[:, :, child] & seen[:, :, parent]), named


def _longest(lengths: FloatArray, names: Sequence[str]) -> tuple[float, int, str]:
    if not lengths.size:
        return 0.0, 0, ""
    frame, _, bone = np.unravel_index(lengths.argmax(), lengths.shape)
    return float(lengths.max()), int(frame), names[int(bone)]


def _drift(lengths: FloatArray, names: Sequence[str]) -> tuple[float, str]:
    """Return the largest relative deviation of a bone's length over time."""
    if not lengths.size or len(lengths) < 3:
        return 0.0, ""
    known = np.where(lengths > 0, lengths, np.nan)
    count = (lengths > 0).sum(axis=0)
    total = np.where(count > 0, np.nansum(known, axis=0), 0.0)
    mean = total / np.maximum(count, 1)
    squares = np.nansum(np.square(known - mean), axis=0) / np.maximum(count, 1)
    relative = np.where((count >= 3) & (mean > 0), np.sqrt(squares), 0.0)
    relative = np.divide(relative, mean, out=np.zeros_like(mean), where=mean > 0)
    _, bone = np.unravel_index(relative.argmax(), relative.shape)
    return float(relative.max()), names[int(bone)]
