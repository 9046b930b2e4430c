"""Example data: random rotation, scaling, cropping and jitter, with the draws of 0.1.0."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from examples.data import augment
from skelfreq.skeletons import get_layout


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


OPERATIONS = {
    "rotate": lambda x, g: augment.rotate(x, generator=g),
    "scale": lambda x, g: augment.scale(x, generator=g),
    "crop": lambda x, g: augment.crop(x, generator=g),
    "jitter": lambda x, g: augment.jitter(x, generator=g),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", OPERATIONS)
def test_augmentation_is_pure_and_reproducible(name, dtype):
    x = normal(6, 3, 8, 25, dtype=dtype)
    before = x.clone()
    state = torch.get_rng_state()
    y = OPERATIONS[name](x, generator())
    assert torch.equal(x, before), "input untouched"
    assert torch.equal(torch.get_rng_state(), state), "global generator untouched"
    assert y.shape == x.shape and y.dtype == dtype
    assert y.data_ptr() != x.data_ptr()
    assert torch.equal(y, OPERATIONS[name](x, generator()))
    assert not torch.equal(y, x) and not torch.equal(y, OPERATIONS[name](x, generator(1)))
    assert OPERATIONS[name](x[:0], generator()).shape == (0, 3, 8, 25)


@given(st.sampled_from([0, 1, 2]), st.floats(0, 180), st.integers(0, 2**16))
def test_rotation_keeps_heights_and_bones(vertical, angle, seed):
    x = normal(3, 3, 4, 25, seed=seed)
    y = augment.rotate(x, generator=generator(seed), max_angle=angle, vertical=vertical)
    child, parent = torch.tensor(get_layout("ntu25").edges).T
    assert_close(y[:, vertical], x[:, vertical])
    assert_close(
        (y[..., child] - y[..., parent]).norm(dim=1), (x[..., child] - x[..., parent]).norm(dim=1)
    )
    if angle == 0:
        assert_close(y, x)
    # A rotation, not a reflection: it keeps the sign of volumes.
    frame = torch.linalg.det(x[:, :, 0, :3])
    assert_close(torch.linalg.det(y[:, :, 0, :3]), frame, 1e-10)


@given(st.integers(1, 40), st.integers(0, 2**16))
def test_crop_of_everything_is_the_identity(frames, seed):
    x = normal(2, 3, frames, 5, seed=seed)
    assert torch.equal(augment.crop(x, generator=generator(seed), low=1, high=1), x)


@given(st.integers(2, 40), st.floats(0.1, 1), st.integers(0, 2**16))
def test_crop_of_a_ramp_is_a_slower_ramp_inside(frames, low, seed):
    # Linear interpolation is exact on a ramp, so positions can be read off.
    ramp = torch.arange(frames, dtype=torch.float64)[None, None, :, None].expand(4, 3, -1, 5)
    y = augment.crop(ramp, generator=generator(seed), low=low)
    step = y.diff(dim=2)
    assert float(y.min()) >= 0 and float(y.max()) <= frames - 1
    assert float(step.min()) > low - 1e-9 and float(step.max()) < 1 + 1e-9
    assert_close(step, step[:, :1, :1, :1].expand_as(step), 1e-9)


def test_scale_and_jitter_follow_their_parameters():
    x = normal(500, 3, 4, 5)
    factor = augment.scale(x, generator=generator(), low=0.5, high=2.0) / x
    assert_close(factor, factor[:, :1, :1, :1].expand_as(factor), 1e-12)
    assert 0.5 <= factor.min() < 0.55 and 1.95 < factor.max() < 2
    noise = augment.jitter(x, generator=generator(), std=0.1) - x
    assert abs(noise.std() - 0.1) < 2e-3 and abs(noise.mean()) < 2e-3
    assert torch.equal(augment.jitter(x, generator=generator(), std=0), x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, g: augment.rotate(x, generator=g, vertical=3), "vertical must be one of 0"),
        (
            lambda x, g: augment.rotate(x, generator=g, max_angle=-1),
            "max_angle must be .* at least 0",
        ),
        (lambda x, g: augment.rotate(x[:, :1], generator=g), "3 coordinates on axis 1, got 1"),
        (lambda x, g: augment.scale(x, generator=g, low=0), "low and high .* got 0 and"),
        (lambda x, g: augment.crop(x, generator=g, high=1.5), "low and high .* got .* 1.5"),
        (lambda x, g: augment.crop(x[0], generator=g), r"4 axes \[N, C, T, V\], got shape \(3,"),
        (lambda x, g: augment.jitter(x, generator=g, std=-1), "std must be .* at least 0, got -1"),
    ],
)
def test_augmentation_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(2, 3, 4, 25), generator())


def draws(generator, n):
    return torch.rand(n, generator=generator)[:, None, None, None]


def test_draws_and_arithmetic_are_those_that_the_results_were_made_with():
    """Tables in docs/results.md hang on the order of draws: bit for bit what 0.1.0 computed."""
    x = normal(6, 3, 8, 25, dtype=torch.float32)
    old, new = generator(7), generator(7)

    angle = math.radians(-30) + (math.radians(30) - math.radians(-30)) * draws(old, 6)[:, 0]
    a, b = x[:, 2], x[:, 0]
    turned = [angle.sin() * a + angle.cos() * b, x[:, 1], angle.cos() * a - angle.sin() * b]
    expected = torch.stack(turned, 1)
    assert torch.equal(augment.rotate(x, generator=new), expected)

    expected = x * (0.9 + (1.1 - 0.9) * draws(old, 6))
    assert torch.equal(augment.scale(x, generator=new), expected)

    share = 0.6 + (1.0 - 0.6) * draws(old, 6)
    start = draws(old, 6) * (1 - share) * 7
    position = (start + share * torch.arange(8.0)[None, None, :, None]).clamp(0, 7)
    below = position.floor()
    index = below.long().expand(-1, 3, -1, 25)
    low, high = x.gather(2, index), x.gather(2, (index + 1).clamp(max=7))
    expected = low + (position - below) * (high - low)
    assert torch.equal(augment.crop(x, generator=new), expected)

    x[:, :, :, 20] = 0
    expected = x + 0.02 * torch.randn(x.shape, generator=old)
    assert torch.equal(augment.jitter(x, generator=new, std=0.02), expected)
