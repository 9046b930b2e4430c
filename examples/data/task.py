"""A recognition task: normalised clips of one length, divided into training and test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from examples.data import load
from examples.data.body import centre_frames, face_forward, has_front
from examples.data.clips import (
    Layout,
    bone_length,
    layout_of,
    normalise,
    resample_clips,
    root_mean_square,
)
from skelfreq.skeletons import SkeletonLayout, convert_layout

BONES = 1.6


@dataclass(frozen=True, eq=False)
class Labelled:
    """Clips ``[n, C, T, V]`` with class numbers ``[n]``."""

    clips: Tensor
    labels: Tensor
    # By what a part is held out for choosing: the camera where there are several, or the subject.
    folds: Tensor | None = None
    # Clips of one take by several cameras have the same number.
    takes: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.labels)


@dataclass(frozen=True)
class Task:
    """Training and test clips, and what a reader needs to know about them."""

    train: Labelled
    test: Labelled
    layout: Layout
    class_names: tuple[str, ...]
    description: str


def to_form(x: Tensor, layout: Layout, body_frame: bool, path: bool = False) -> Tensor:
    """Bring resampled clips to the networks' form, as :func:`load_task` says."""
    layout = layout_of(layout)
    if not body_frame:
        return _normalised(x, layout)
    centred = centre_frames(x, layout)
    hips = (x - centred)[..., :1]
    placed = torch.cat([centred, hips - hips[:, :, :1]], -1) if path else centred
    if has_front(x, layout):
        # The angle is that of the body; the way of the hips is turned with it.
        placed = face_forward(placed, layout)
    if not path:
        return _normalised(placed, layout)
    size = BONES * bone_length(x, layout) if layout.edges else root_mean_square(centred)
    return placed / torch.where(size > 1e-8, size, 1.0)


def _normalised(x: Tensor, layout: SkeletonLayout) -> Tensor:
    return normalise(x, layout, scale="bones") / BONES if layout.edges else normalise(x, layout)


def load_task(
    data: str | Path,
    frames: int,
    *,
    body_frame: bool = False,
    path: bool = False,
    layout: str = "",
    validate: Sequence[int] | None = None,
    **options: Any,
) -> Task:
    """Load data and bring it to the networks' form.

    Every clip is resampled to ``frames``, centred on the mean position of the layout's centre
    joint and divided by 1.6 mean bone lengths, which brings coordinates close to unit deviation. In
    a joint order without bones it is divided by its root mean square instead.

    Parameters
    ----------
    data : str or Path
        What :func:`examples.data.load` takes.
    frames : int
        Frames of every clip.
    body_frame : bool
        Also put the hips of every frame to the origin and turn every clip to face forward. Without
        joints named hips the layout's centre joint is put there; without hips, shoulders or a third
        coordinate no clip is turned.
    path : bool
        With ``body_frame``: the hips stay at the origin, and their way from the first frame on is
        one more joint.
    layout : str
        Bring the joints into this order; by default they stay in that of the data.
    validate : sequence of int, optional
        Training subjects to test on, for choosing settings; the test subjects are then left out.
    **options
        Handed to :func:`examples.data.load`.

    Raises
    ------
    ValueError
        If a part has no clips, or as the reader raises.
    """
    clips = load(data, **options)
    target = layout_of(layout or clips.layout)
    train, test = clips.train, ~clips.train
    if validate is not None:
        test = train & np.isin(clips.groups, list(validate))
        train = train & ~test
    parts = []
    for name, mask in (("training", train), ("test", test)):
        if not mask.any():
            raise ValueError(f"{clips.source}: no {name} clips are left, validate={validate}.")
        subset = clips.subset(mask)
        x = resample_clips(subset, frames)
        if layout:
            x = convert_layout(x, layout_of(clips.layout), target)
        x = to_form(x, target, body_frame, path)
        cameras = subset.cameras
        several = cameras is not None and len(np.unique(cameras)) > 1
        folds = torch.from_numpy(cameras if several else subset.groups)
        parts.append(Labelled(x, torch.from_numpy(subset.labels), folds, _takes(subset.names)))
    description = (
        f"{clips.source}: {train.sum()} training and {test.sum()} test clips, "
        f"{len(clips.class_names)} classes, {len(clips.dropped)} clips dropped"
    )
    if body_frame and not has_front(x, target):
        description += "; not turned to the front, which takes 3 coordinates, hips and shoulders"
    return Task(*parts, layout or clips.layout, clips.class_names, description)


def _takes(names: Sequence[str]) -> Tensor:
    """Number the takes: names without the camera, ``_v02`` in NW-UCLA and ``C002`` in NTU."""
    takes = [re.sub(r"_v\d+$|C\d{3}", "", name) for name in names]
    return torch.from_numpy(np.unique(takes, return_inverse=True)[1].astype(np.int64))
