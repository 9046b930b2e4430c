"""Rotation, shear, size, flip, noise and dropout, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close
from transform_cases import make, seeded

from skelfreq.data.transforms import (
    Jitter,
    JointDropout,
    RandomFlip,
    RandomRotation,
    RandomScale,
    RandomShear,
    flip,
)
from skelfreq.skeletons import get_layout


def matrices(transform, channels: int = 3, n: int = 500, seed: int = 0) -> torch.Tensor:
    """Return the matrices [n, C, C] that a linear transform draws, from the unit vectors."""
    unit = torch.eye(channels, dtype=torch.float64)[None, :, None, :]
    return transform(unit.expand(n, -1, -1, -1), generator=seeded(seed)).x[:, :, 0]


@pytest.mark.parametrize("vertical", [0, 1, 2])
def test_rotation_about_the_vertical(vertical):
    m = matrices(RandomRotation(40.0, vertical=vertical))
    unit = torch.eye(3, dtype=m.dtype).expand_as(m)
    assert_close(m @ m.mT, unit)
    assert_close(torch.linalg.det(m), torch.ones(500))
    assert torch.equal(m[:, vertical], unit[:, vertical])
    one, two = (vertical + 1) % 3, (vertical + 2) % 3
    angle = torch.atan2(m[:, two, one], m[:, one, one]).rad2deg()
    assert angle.abs().max() <= 40 and angle.max() > 36 and angle.min() < -36
    # Uniform: mean 0, deviation 40/√3.
    assert abs(float(angle.mean())) < 4 * 40 / math.sqrt(3 * 500)
    assert float(angle.std()) == pytest.approx(40 / math.sqrt(3), rel=0.1)


def test_rotation_about_three_axes():
    m = matrices(RandomRotation((10.0, 20.0, 30.0)))
    assert_close(m @ m.mT, torch.eye(3, dtype=m.dtype).expand_as(m))
    assert_close(torch.linalg.det(m), torch.ones(500))
    # Of Rz·Ry·Rx the angles can be read again.
    x = torch.atan2(m[:, 2, 1], m[:, 2, 2]).rad2deg()
    y = -torch.asin(m[:, 2, 0]).rad2deg()
    z = torch.atan2(m[:, 1, 0], m[:, 0, 0]).rad2deg()
    for angle, limit in ((x, 10), (y, 20), (z, 30)):
        assert 0.9 * limit < angle.abs().max() <= limit + 1e-9
    assert torch.corrcoef(torch.stack([x, y, z])).triu(1).abs().max() < 0.2
    only = matrices(RandomRotation((0.0, 25.0, 0.0)))
    assert_close(only[:, 1], torch.eye(3, dtype=m.dtype)[1].expand(500, -1))


@given(st.integers(0, 1000), st.sampled_from([2, 3]))
def test_rotation_keeps_distances(seed, channels):
    x = make(3, 5, 13, seed, missing=0.0)[0][:, :channels]
    y = RandomRotation(180.0)(x, generator=seeded(seed)).x
    points, turned = (z.flatten(2).mT for z in (x, y))
    assert_close(torch.cdist(turned, turned), torch.cdist(points, points), 1e-7)
    assert_close(y.norm(dim=1), x.norm(dim=1))


def test_shear_is_one_plus_what_is_off_the_diagonal():
    m = matrices(RandomShear(0.5))
    off = m - torch.eye(3, dtype=m.dtype)
    assert not torch.diagonal(off, dim1=1, dim2=2).any()
    off = off.flatten(1)[:, [1, 2, 3, 5, 6, 7]]
    assert 0.45 < off.abs().max() <= 0.5
    assert torch.corrcoef(off.T).triu(1).abs().max() < 0.2
    assert_close(matrices(RandomShear(0.0)), torch.eye(3, dtype=m.dtype).expand_as(m))
    assert matrices(RandomShear(0.3), channels=2).shape == (500, 2, 2)


def test_scale_is_one_number_per_clip():
    x = make(500, 2, 13, missing=0.0)[0]
    ratio = RandomScale(0.5, 2.0)(x, generator=seeded()).x / x
    assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))
    size = ratio[:, 0, 0, 0]
    assert 0.5 <= size.min() < 0.53 and 1.97 < size.max() < 2


@given(st.integers(0, 1000), st.sampled_from(["ntu25", "coco17", "kinect20"]), st.integers(0, 2))
def test_flip_twice_is_nothing(seed, name, axis):
    x = make(2, 3, get_layout(name).num_joints, seed)[0]
    once = flip(x, name, axis=axis)
    assert torch.equal(flip(once, name, axis=axis), x)
    left, right = get_layout(name).left_right[2]
    sign = torch.ones(3, dtype=x.dtype)
    sign[axis] = -1
    assert torch.equal(once[..., left], x[..., right] * sign[:, None])
    child, parent = torch.tensor(get_layout(name).edges).T
    length, mirrored = ((y[..., child] - y[..., parent]).norm(dim=1) for y in (x, once))
    assert_close(mirrored.sum(-1), length.sum(-1))


def test_flip_at_random_takes_confidence_along():
    x, confidence = make(400, 3, 25)
    batch = RandomFlip("ntu25", 0.25)(x, confidence=confidence, generator=seeded())
    mirrored = (batch.x != x).flatten(1).any(1)
    assert 70 < int(mirrored.sum()) < 130
    assert torch.equal(batch.x[mirrored], flip(x[mirrored], "ntu25"))
    # A joint at zero is still the one that was not seen.
    assert torch.equal((batch.x != 0).any(1), batch.confidence > 0)
    for probability, expected in ((0.0, x), (1.0, flip(x, "ntu25"))):
        assert torch.equal(RandomFlip("ntu25", probability)(x).x, expected)


def test_jitter_is_normal_noise_on_what_was_seen():
    x, confidence = make(50, 20, 25)
    noise = Jitter(0.2)(x, generator=seeded()).x - x
    seen = (confidence > 0)[:, None].expand_as(x)
    assert not noise[~seen].any()
    noise = noise[seen]
    assert float(noise.std()) == pytest.approx(0.2, rel=0.02)
    assert abs(float(noise.mean())) < 4 * 0.2 / math.sqrt(len(noise))
    full = x + 1.0
    assert torch.equal(Jitter(0.2)(full, confidence=confidence).x[~seen], full[~seen])
    assert torch.equal(Jitter(0.0)(x).x, x)


@pytest.mark.parametrize("frames", [None, 1, 3, 50])
def test_dropout_loses_joints_for_a_while(frames):
    x = torch.ones(200, 2, 20, 13)
    confidence = torch.full((200, 20, 13), 0.5)
    batch = JointDropout(0.3, frames=frames)(x, confidence=confidence, generator=seeded())
    lost = batch.x[:, 0] == 0
    assert torch.equal(batch.x, torch.where(lost[:, None], 0.0, 1.0).expand_as(x))
    assert torch.equal(batch.confidence, torch.where(lost, 0.0, 0.5))
    assert float(lost.float().mean()) == pytest.approx(0.3, abs=0.03)
    step = 20 if frames is None else min(frames, 20)
    for start in range(0, 20, step):
        piece = lost[:, start : start + step]
        assert torch.equal(piece, piece[:, :1].expand_as(piece))
    if step < 20:
        assert not torch.equal(lost[:, 0], lost[:, step])
    assert torch.equal(JointDropout(0.0)(x).x, x)
    assert not JointDropout(1.0)(x).x.any()


def test_a_generator_of_another_device_gives_the_same_draw():
    x = make(4, 3, 25)[0]
    assert RandomRotation(30.0)(x.to("meta"), generator=seeded()).x.device.type == "meta"
    expected = RandomRotation(30.0)(x, generator=seeded()).x
    low = RandomRotation(30.0)(x.float(), generator=seeded()).x
    assert_close(low, expected, 1e-6)


def test_arguments_out_of_range():
    x = make(2, 3, 25)[0]
    with pytest.raises(ValueError, match="max_angle must be a finite number of at least 0, got -1"):
        RandomRotation(-1.0)
    with pytest.raises(ValueError, match=r"max_angle must be 1 number or 3, got \(1.0, 2.0\)"):
        RandomRotation((1.0, 2.0))
    with pytest.raises(TypeError, match="max_angle must be a number, got '30'"):
        RandomRotation("30")
    with pytest.raises(ValueError, match="2 or 3 coordinates on axis 1, got 4"):
        RandomRotation(30.0)(torch.zeros(2, 4, 3, 5))
    with pytest.raises(ValueError, match="must have 3 coordinates on axis 1, got 2"):
        RandomRotation((1.0, 2.0, 3.0))(x[:, :2])
    with pytest.raises(ValueError, match=r"0 < low <= high, got 1\.1 and 0\.9"):
        RandomScale(1.1, 0.9)
    with pytest.raises(ValueError, match=r"probability must lie between 0 and 1, got 1\.5"):
        JointDropout(1.5)
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        JointDropout(0.5, frames=0)
    with pytest.raises(ValueError, match="axis must lie between 0 and 1, got 2"):
        RandomFlip("ntu25", axis=2)(x[:, :2])
    with pytest.raises(ValueError, match="std must be a finite number"):
        Jitter(float("nan"))
