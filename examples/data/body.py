"""Remove where a person stands and which way they face, from clips ``[N, C, T, V]``."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq.skeletons import SkeletonLayout


def _pair(layout: SkeletonLayout, part: str) -> list[int]:
    return [layout.joints.index(f"{side} {part}") for side in ("left", "right")]


def _has(layout: SkeletonLayout, part: str) -> bool:
    return {f"left {part}", f"right {part}"} <= set(layout.joints)


def has_front(x: Tensor, layout: SkeletonLayout) -> bool:
    """Return whether clips have what :func:`face_forward` needs: 3 coordinates, hips, shoulders."""
    return x.shape[1] == 3 and _has(layout, "hip") and _has(layout, "shoulder")


def centre_frames(x: Tensor, layout: SkeletonLayout) -> Tensor:
    """Move the middle between the hips, or else the centre joint, to the origin in every frame.

    Movement through the room is lost; what remains is the movement of the body.
    """
    joints = _pair(layout, "hip") if _has(layout, "hip") else [layout.centre]
    return x - x[..., joints].mean(-1, keepdim=True)


def face_forward(x: Tensor, layout: SkeletonLayout, vertical: int = 1) -> Tensor:
    """Turn every clip about the vertical until shoulders and hips lie along axis 0 on average.

    One angle per clip, so turning during the clip stays.
    """
    (left_shoulder, right_shoulder), (left_hip, right_hip) = (
        _pair(layout, part) for part in ("shoulder", "hip")
    )
    across = x[..., right_shoulder] - x[..., left_shoulder] + x[..., right_hip] - x[..., left_hip]
    across = across.mean(2)
    first, second = 0, 3 - vertical  # the two horizontal axes
    angle = torch.atan2(across[:, second], across[:, first])[:, None, None]
    a, b = x[:, first], x[:, second]
    turned = [x[:, vertical]] * 3
    turned[first] = angle.cos() * a + angle.sin() * b
    turned[second] = angle.cos() * b - angle.sin() * a
    return torch.stack(turned, 1)
