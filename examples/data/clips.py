"""Labelled clips of different lengths, and their way to ``[N, C, T, V]`` tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from skelfreq.skeletons import SkeletonLayout, get_layout

Layout: TypeAlias = SkeletonLayout | str


def layout_of(layout: Layout) -> SkeletonLayout:
    """Return the layout of that name, or the layout that is given."""
    return get_layout(layout) if isinstance(layout, str) else layout


@dataclass(frozen=True, eq=False)
class SkeletonClips:
    """Skeleton clips of different lengths, stored one after the other.

    Parameters
    ----------
    joints : ndarray
        float32 ``[sum(lengths), V, C]``: all frames of clip 0, then of clip 1 and so on.
    lengths, labels, groups : ndarray
        int64 ``[n]``: frames (at least 1), class number, and subject (-1 where unknown).
    train : ndarray
        bool ``[n]``: whether the protocol of the data set trains on the clip or tests on it.
    names : tuple of str
        One name per clip.
    class_names : tuple of str
        One name per class.
    layout : str or SkeletonLayout
        Joint order: a name that ``skelfreq.skeletons.get_layout`` knows, or the file's own.
    source : str
        Where the clips come from.
    dropped : tuple of str
        Names of clips that were left out because nothing usable was in them.
    cameras : ndarray, optional
        int64 ``[n]``: number of the camera, -1 where unknown.

    Raises
    ------
    ValueError
        If the arrays do not fit together.
    """

    joints: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    train: np.ndarray
    names: tuple[str, ...]
    class_names: tuple[str, ...]
    layout: Layout
    source: str
    dropped: tuple[str, ...] = ()
    cameras: np.ndarray | None = None

    def __post_init__(self) -> None:
        joints = layout_of(self.layout).num_joints
        if self.joints.ndim != 3 or self.joints.shape[1] != joints:
            raise ValueError(
                f"joints must have shape (frames, {joints}, C) for {self.layout}, "
                f"got {self.joints.shape}."
            )
        for field in ("lengths", "labels", "groups", "train"):
            shape = getattr(self, field).shape
            if shape != (len(self.names),):
                raise ValueError(f"{field} must have shape ({len(self.names)},), got {shape}.")
        if (self.lengths < 1).any():
            raise ValueError(f"lengths must be at least 1, got {self.lengths.min()}.")
        if self.lengths.sum() != len(self.joints):
            raise ValueError(
                f"lengths must add up to the {len(self.joints)} rows of joints, "
                f"got {self.lengths.sum()}."
            )

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.names)

    @cached_property
    def starts(self) -> np.ndarray:
        """Row of ``joints`` at which each clip begins, int64 ``[n]``."""
        return np.cumsum(self.lengths) - self.lengths

    def clip(self, index: int) -> np.ndarray:
        """Return a view ``[T, V, C]`` of one clip (negative indices count from the end)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must lie between 0 and {len(self) - 1}, got {index}.")
        start = self.starts[index]
        return self.joints[start : start + self.lengths[index]]

    def subset(self, mask: np.ndarray) -> SkeletonClips:
        """Return the clips where the bool array ``mask [n]`` holds, in their order."""
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self),):
            raise ValueError(
                f"mask must be a bool array of shape ({len(self)},), "
                f"got {mask.dtype} of shape {mask.shape}."
            )
        return replace(
            self,
            joints=self.joints[np.repeat(mask, self.lengths)],
            lengths=self.lengths[mask],
            labels=self.labels[mask],
            groups=self.groups[mask],
            train=self.train[mask],
            cameras=None if self.cameras is None else self.cameras[mask],
            names=tuple(name for name, kept in zip(self.names, mask, strict=True) if kept),
        )


def resample_clips(clips: SkeletonClips, num_frames: int) -> Tensor:
    """Resample every clip to ``num_frames`` by linear interpolation in time.

    First and last frame are kept; a single output frame is the middle of the clip. Nothing is read
    beyond a clip's own frames. Cost: one pass over the output.

    Returns
    -------
    Tensor
        float32 ``[n, C, num_frames, V]``.

    Raises
    ------
    ValueError
        If ``num_frames`` is below 1.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, got {num_frames}.")
    share = np.linspace(0.0, 1.0, num_frames) if num_frames > 1 else np.array([0.5])
    last = clips.lengths[:, None] - 1
    position = share * last
    below = np.minimum(position.astype(np.int64), last)
    weight = (position - below).astype(np.float32)[:, :, None, None]
    rows = clips.starts[:, None] + below
    low = clips.joints[rows]
    # In the last frame there is no next one; its weight is 0 there.
    high = clips.joints[rows + (below < last)]
    high -= low
    high *= weight
    low += high
    return torch.from_numpy(np.ascontiguousarray(low.transpose(0, 3, 1, 2)))


def normalise(
    x: Tensor,
    layout: SkeletonLayout | str,
    *,
    centre: int | None = None,
    scale: Literal["rms", "bones"] | None = "rms",
) -> Tensor:
    """Centre every clip and divide it by one number.

    The mean position of one joint over the clip becomes the origin, so movement through the room
    stays. One number per clip keeps directions and proportions.

    Parameters
    ----------
    x : Tensor
        ``[N, C, T, V]``.
    layout : SkeletonLayout or str
        Joint order.
    centre : int, optional
        Joint to centre on; the layout's centre by default (the hip is 0 in ``ntu25`` and
        ``h36m17``, 6 in ``kinect20``).
    scale : {"rms", "bones", None}
        Divide by the root-mean-square distance from the origin (default; the result has unit
        size), by the mean bone length (the same for every pose of one body), or by nothing.

    Returns
    -------
    Tensor
        ``[N, C, T, V]``; a clip in which all joints coincide is only centred.

    Raises
    ------
    ValueError
        If shapes, joint number or option do not fit.
    """
    layout = layout_of(layout)
    if x.ndim != 4 or x.shape[3] != layout.num_joints:
        raise ValueError(
            f"x must have shape [N, C, T, {layout.num_joints}] for {layout.name}, "
            f"got {tuple(x.shape)}."
        )
    if scale not in ("rms", "bones", None):
        raise ValueError(f"scale must be one of 'rms', 'bones', None, got {scale!r}.")
    joint = layout.centre if centre is None else centre
    if not 0 <= joint < layout.num_joints:
        raise ValueError(f"centre must lie between 0 and {layout.num_joints - 1}, got {joint}.")
    x = x - x[..., joint].mean(dim=2, keepdim=True).unsqueeze(-1)
    if scale is None:
        return x
    size = root_mean_square(x) if scale == "rms" else bone_length(x, layout)
    return x / torch.where(size > 1e-8, size, 1.0)


def root_mean_square(x: Tensor) -> Tensor:
    """Return the root-mean-square distance of the joints from the origin, ``[N, 1, 1, 1]``."""
    return x.square().sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True).sqrt()


def bone_length(x: Tensor, layout: SkeletonLayout) -> Tensor:
    """Return the mean bone length of every clip, ``[N, 1, 1, 1]``."""
    child, parent = torch.tensor(layout.edges, device=x.device).T
    bones = x[..., child] - x[..., parent]
    return bones.norm(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)


def fill_missing(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Fill joints that are exactly zero by linear interpolation in time within each clip.

    Trackers report a lost joint as zero. Before its first and after its last sighting a joint
    keeps the nearest position; a joint never seen in a clip stays zero.

    Parameters
    ----------
    joints, lengths : ndarray
        As in :class:`SkeletonClips`.

    Returns
    -------
    ndarray
        A new array like ``joints``.
    """
    seen = joints.any(axis=-1)
    rows = np.arange(len(joints))[:, None]
    ends = np.cumsum(lengths)
    first = np.repeat(ends - lengths, lengths)[:, None]
    last = np.repeat(ends, lengths)[:, None] - 1
    before = np.maximum.accumulate(np.where(seen, rows, -1), axis=0)
    after = np.where(seen, rows, len(joints))
    after = np.minimum.accumulate(after[::-1], axis=0)[::-1]
    # A sighting in another clip is none.
    has_before, has_after = before >= first, after <= last
    row, joint = np.nonzero(~seen & (has_before | has_after))
    low = np.where(has_before, before, after)[row, joint]
    high = np.where(has_after, after, before)[row, joint]
    weight = ((row - low) / np.maximum(high - low, 1)).astype(joints.dtype)[:, None]
    filled = joints.copy()
    start, stop = joints[low, joint], joints[high, joint]
    filled[row, joint] = start + weight * (stop - start)
    return filled
