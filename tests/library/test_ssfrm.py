"""The scale-specific frequency reconstruction module."""

from __future__ import annotations

import pytest
import torch
from conftest import normal
from tolerances import assert_close

from skelfreq import SSFRM
from skelfreq.functional import Bands, frequency_reconstruction_loss, resample, split_bands


def seeded(**arguments) -> SSFRM:
    """Build a module with repeatable weights, in fp64."""
    arguments = {"in_channels": 8, **arguments}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SSFRM(**arguments).double()


CONFIGURATIONS = [
    {},
    {"out_channels": 5, "hidden_channels": 12, "groups": 3},
    {"patch_frames": 8, "low_scale": 2, "high_scale": 8},
    {"patch_frames": 6, "low_scale": 1, "high_scale": 3},
    {"patch_frames": 1, "low_scale": 1, "high_scale": 1},
    {"patch_frames": 4, "low_scale": 4, "high_scale": 2},
    {"low_rate": "own"},
    {"patch_frames": 6, "low_scale": 3, "high_scale": 6, "low_rate": "own"},
    {"out_frames": 20},
    {"out_frames": 33, "low_rate": "own"},
    {"hidden_channels": 7, "groups": 1},
]


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
@pytest.mark.parametrize(("batch", "steps", "joints"), [(2, 6, 5), (1, 1, 1), (0, 3, 2)])
def test_shapes(configuration: dict, batch: int, steps: int, joints: int) -> None:
    model = seeded(**configuration)
    patch = configuration.get("patch_frames", 4)
    frames = configuration.get("out_frames", steps * patch)
    own = configuration.get("low_rate") == "own"
    low_frames = steps * configuration.get("low_scale", 2) if own else frames
    channels = configuration.get("out_channels", 3)
    low, high = model(normal(batch, 8, steps, joints))
    assert high.shape == (batch, channels, frames, joints)
    assert low.shape == (batch, channels, low_frames, joints)
    assert high.dtype == low.dtype == torch.float64


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_scale_up_reaches_the_two_time_scales(configuration: dict) -> None:
    x = normal(2, 8, 6, 5)
    low, high = seeded(**configuration).scale_up(Bands(x, x))
    assert high.shape[2] == 6 * configuration.get("high_scale", 4)
    assert low.shape[2] == 6 * configuration.get("low_scale", 2)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_gradient_reaches_every_parameter(configuration: dict) -> None:
    model = seeded(**configuration)
    low, high = model(normal(2, 8, 6, 5))
    loss = (high * normal(*high.shape, seed=1)).sum() + (low * normal(*low.shape, seed=2)).sum()
    for name, gradient in zip(
        dict(model.named_parameters()),
        torch.autograd.grad(loss, list(model.parameters())),
        strict=True,
    ):
        assert gradient.isfinite().all() and gradient.any(), name


def test_the_three_named_parts() -> None:
    model = seeded()
    names = [name for name, _ in model.named_children()]
    assert names == ["scale_up", "feature_mapping", "feature_reconstruction"]
    kinds = {
        name: [type(m).__name__ for m in part.modules() if not list(m.children())]
        for name, part in model.named_children()
    }
    up, conv, gelu = "ConvTranspose2d", "Conv2d", "GELU"
    assert kinds["scale_up"] == [up, gelu, up, gelu, up, gelu]
    assert kinds["feature_mapping"] == [conv, conv] * 2
    assert kinds["feature_reconstruction"] == [conv, conv, gelu, up] * 2
    x = normal(2, 8, 6, 5)
    parts = model.feature_reconstruction(model.feature_mapping(model.scale_up(Bands(x, x))))
    for got, expected in zip(model(x), parts, strict=True):
        assert torch.equal(got, expected)


def test_groups_of_the_grouped_convolutions() -> None:
    def grouped(model: SSFRM) -> set[int]:
        convolutions = (m for m in model.modules() if type(m) is torch.nn.Conv2d)
        return {m.groups for m in convolutions if m.kernel_size == (3, 1)}

    assert grouped(seeded(hidden_channels=12, groups=3)) == {3}
    assert grouped(seeded(hidden_channels=12)) == {6}
    assert grouped(seeded(hidden_channels=64)) == {8}
    assert grouped(seeded(hidden_channels=7)) == {7}


@pytest.mark.parametrize("configuration", [{}, {"out_frames": 33}], ids=str)
def test_joints_and_samples_are_not_mixed(configuration: dict) -> None:
    model, x = seeded(**configuration), normal(3, 8, 6, 5)
    changed = x.clone()
    changed[1, :, :, 2] += normal(8, 6, seed=1)
    for before, after in zip(model(x), model(changed), strict=True):
        difference = (before - after).abs().sum((1, 2))
        touched = torch.zeros(3, 5, dtype=torch.bool)
        touched[1, 2] = True
        assert torch.equal(difference > 0, touched)


def test_frames_are_mixed() -> None:
    model, x = seeded(), normal(1, 8, 6, 1)
    changed = x.clone()
    changed[:, :, 3] += 1
    for before, after in zip(model(x), model(changed), strict=True):
        moved = (before - after).abs().sum((0, 1, 3)) > 0
        assert moved[12:16].all() and not moved.all() and int(moved.sum()) > 4


def test_branches_do_not_mix() -> None:
    model, x = seeded(), normal(2, 8, 6, 5)
    low, high = model(x)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".low." in name:
                parameter.zero_()
    silent_low, silent_high = model(x)
    assert torch.equal(silent_high, high) and not silent_low.any() and low.any()


def test_out_frames_resamples() -> None:
    plain, resampled = seeded(), seeded(out_frames=33)
    resampled.load_state_dict(plain.state_dict())
    x = normal(2, 8, 6, 5)
    for got, value in zip(resampled(x), plain(x), strict=True):
        assert_close(got, resample(value, 33, dim=-2))
    same = seeded(out_frames=24)
    same.load_state_dict(plain.state_dict())
    for got, value in zip(same(x), plain(x), strict=True):
        assert_close(got, value)


@pytest.mark.parametrize("low_rate", ["full", "own"])
def test_overfits_the_bands_of_one_batch(low_rate: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SSFRM(16, low_rate=low_rate).float()
    x, signal = normal(2, 16, 6, 4).float(), normal(2, 3, 24, 4, seed=1).float()
    low, high = split_bands(signal, 6, dim=-2)
    floor = high.abs().mean() + low.square().mean()  # the loss of predicting zero
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(250):
        optimizer.zero_grad()
        loss = frequency_reconstruction_loss(model(x), signal, cutoff=6)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.25 * float(floor)


def test_no_basis_in_the_state_dict() -> None:
    model = seeded(out_frames=33)
    assert not list(model.buffers())
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}
    assert not any(p.is_complex() for p in model.parameters())


def test_repr_shows_the_configuration() -> None:
    assert "patch_frames=4, out_frames=33, low_rate='own'" in repr(
        seeded(out_frames=33, low_rate="own")
    )


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"in_channels": 0}, ValueError, ["in_channels", "at least 1", "0"]),
        ({"in_channels": 8.0}, TypeError, ["in_channels", "8.0"]),
        ({"out_channels": 0}, ValueError, ["out_channels", "0"]),
        ({"hidden_channels": -1}, ValueError, ["hidden_channels", "-1"]),
        ({"patch_frames": 0}, ValueError, ["patch_frames", "0"]),
        ({"low_scale": 3}, ValueError, ["low_scale", "patch_frames=4", "3"]),
        ({"high_scale": 8}, ValueError, ["high_scale", "patch_frames=4", "8"]),
        ({"low_scale": 0}, ValueError, ["low_scale", "at least 1", "0"]),
        ({"groups": 3}, ValueError, ["groups", "hidden_channels=8", "3"]),
        ({"groups": 0}, ValueError, ["groups", "at least 1", "0"]),
        ({"out_frames": 0}, ValueError, ["out_frames", "at least 1", "0"]),
        ({"low_rate": "half"}, ValueError, ["low_rate", "'full'", "'own'", "'half'"]),
    ],
)
def test_constructor_errors(arguments: dict, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        SSFRM(**{"in_channels": 8, **arguments})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (torch.zeros(2, 7, 6, 5), ValueError, ["8 channels", "axis 1", "7"]),
        (torch.zeros(8, 6, 5), ValueError, ["[N, C, T, V]", "(8, 6, 5)"]),
        (torch.zeros(2, 8, 6, 5).long(), TypeError, ["x", "int64"]),
    ],
)
def test_forward_errors(x: torch.Tensor, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        SSFRM(8)(x)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["out_channels", "hidden_channels", "patch_frames", "low_scale", "high_scale", "groups",
     "out_frames"],
)  # fmt: skip
def test_sizes_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        SSFRM(4, **{name: 0})
