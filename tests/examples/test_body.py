"""Removing place and facing from clips, and the task the examples train on."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from examples.data.body import centre_frames, face_forward
from examples.data.task import load_task
from skelfreq.skeletons import get_layout

LAYOUT = get_layout("ntu25")
EDGES = torch.tensor(LAYOUT.edges).T


def people(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 3, 5, 25, dtype=torch.float64, generator=generator)
    # A person has a right and a left side: random points need not.
    for left, right in LAYOUT.left_right:
        x[:, 0, :, right] += 3
        x[:, 0, :, left] -= 3
    return x


def turn(x: torch.Tensor, angle: float) -> torch.Tensor:
    c, s = math.cos(angle), math.sin(angle)
    matrix = torch.tensor([[c, 0, -s], [0, 1, 0], [s, 0, c]], dtype=x.dtype)
    return torch.einsum("ij,njtv->nitv", matrix, x)


@given(st.integers(0, 1000), st.floats(-3.1, 3.1))
def test_facing_does_not_depend_on_the_way_a_person_faced(seed: int, angle: float) -> None:
    x = people(seed)
    y = face_forward(x, LAYOUT)
    torch.testing.assert_close(face_forward(turn(x, angle), LAYOUT), y, atol=1e-9, rtol=0)
    across = sum(
        (y[..., right] - y[..., left]).mean(2)
        for left, right in LAYOUT.left_right
        if LAYOUT.joints[left].split()[-1] in ("shoulder", "hip")
    )
    assert (across[:, 0] > 0).all()
    assert across[:, 2].abs().max() < 1e-9
    bones = (x[..., EDGES[0]] - x[..., EDGES[1]]).norm(dim=1)
    torch.testing.assert_close((y[..., EDGES[0]] - y[..., EDGES[1]]).norm(dim=1), bones)


@given(st.integers(0, 1000))
def test_hips_are_at_the_origin_of_every_frame(seed: int) -> None:
    x = people(seed)
    y = centre_frames(x, LAYOUT)
    hips = [LAYOUT.joints.index(f"{side} hip") for side in ("left", "right")]
    assert y[..., hips].mean(-1).abs().max() < 1e-12
    moved = centre_frames(x + torch.randn(3, 3, 5, 1, dtype=x.dtype), LAYOUT)
    torch.testing.assert_close(moved, y)


def test_validation_takes_training_subjects_and_leaves_the_test_subjects_out() -> None:
    whole = load_task("synthetic", frames=8)
    part = load_task("synthetic", frames=8, validate=[1, 3])
    assert len(part.train) + len(part.test) == len(whole.train)
    rows = {tuple(clip.flatten()[:6].tolist()) for clip in whole.test.clips}
    assert not rows & {tuple(clip.flatten()[:6].tolist()) for clip in part.test.clips}
    with pytest.raises(ValueError, match="no test clips are left"):
        load_task("synthetic", frames=8, validate=[2])
