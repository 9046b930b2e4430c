"""A recognition task: normalised clips of one length, divided into training and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from examples.data import load
from examples.data.body import centre_frames, face_forward, has_front
from examples.data.clips import Layout, layout_of, normalise, resample_clips

BONES = 1.6


@dataclass(frozen=True, eq=False)
class Labelled:
    """Clips ``[n, C, T, V]`` with class numbers ``[n]``."""

    clips: Tensor
    labels: Tensor

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


def to_form(x: Tensor, layout: Layout, body_frame: bool) -> Tensor:
    """Bring resampled clips to the networks' form, as :func:`load_task` says."""
    layout = layout_of(layout)
    if body_frame:
        x = centre_frames(x, layout)
        x = face_forward(x, layout) if has_front(x, layout) else x
    return normalise(x, layout, scale="bones") / BONES if layout.edges else normalise(x, layout)


def load_task(
    data: str | Path,
    frames: int,
    *,
    body_frame: bool = False,
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
    layout = layout_of(clips.layout)
    train, test = clips.train, ~clips.train
    if validate is not None:
        test = train & np.isin(clips.groups, list(validate))
        train = train & ~test
    parts = []
    for name, mask in (("training", train), ("test", test)):
        if not mask.any():
            raise ValueError(f"{clips.source}: no {name} clips are left, validate={validate}.")
        subset = clips.subset(mask)
        x = to_form(resample_clips(subset, frames), layout, body_frame)
        parts.append(Labelled(x, torch.from_numpy(subset.labels)))
    description = (
        f"{clips.source}: {train.sum()} training and {test.sum()} test clips, "
        f"{len(clips.class_names)} classes, {len(clips.dropped)} clips dropped"
    )
    if body_frame and not has_front(x, layout):
        description += "; not turned to the front, which takes 3 coordinates, hips and shoulders"
    return Task(*parts, clips.layout, clips.class_names, description)
