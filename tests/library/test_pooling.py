"""Pooling by bands: closed forms, scipy, padded clips, gradients, and what depends on time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
import torch
from conftest import LENGTHS, normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import GOLDEN, assert_close
from torch import Tensor

from skelfreq import BandPooling
from skelfreq.functional import band_pool, dct_matrix

COEFFICIENTS, HERTZ = {"edges": (1, 3, 8)}, {"edges": (0, 0.6, 4), "frame_rate": 30.0}
both = pytest.mark.parametrize("options", [COEFFICIENTS, HERTZ], ids=["coefficients", "hertz"])


def cosine(n: int, k: int, amplitude: float = 1.0) -> Tensor:
    """Return ``amplitude`` times the cosine of k half periods, [1, 1, n, 1]."""
    angle = math.pi / n * k * (torch.arange(n, dtype=torch.float64) + 0.5)
    return amplitude * angle.cos().view(1, 1, n, 1)


def by_scipy(x: np.ndarray, edges: tuple[float, ...], frame_rate: float | None = None) -> Tensor:
    """Pool [N, D, T, V] along time with scipy's transform and a loop over bands."""
    n = x.shape[2]
    spectrum = scipy.fft.dct(x, axis=2, norm="ortho")
    parts = [x.mean(2)]
    for low, high in zip(edges, [*edges[1:], math.inf], strict=True):
        place = [k if frame_rate is None else k * frame_rate / (2 * n) for k in range(n)]
        inside = [k for k in range(1, n) if low <= place[k] < high]
        parts.append(np.sqrt(2 / n * (spectrum[:, :, inside] ** 2).sum(2)))
    return torch.from_numpy(np.concatenate(parts, 1))


# --- Values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "band"), [(1, 0), (2, 0), (3, 1), (7, 1), (8, 2), (29, 2)])
def test_a_cosine_gives_its_amplitude_in_its_band(k: int, band: int) -> None:
    expected = torch.zeros(4, dtype=torch.float64)
    expected[0], expected[1 + band] = -5, 2.5
    pooled = band_pool(cosine(30, k, 2.5) - 5, **COEFFICIENTS).flatten()
    assert_close(pooled, expected)


def test_two_cosines_of_one_band_add_as_powers() -> None:
    x = cosine(30, 3, 3.0) + cosine(30, 6, 4.0) + cosine(30, 9, 1.0)
    assert_close(
        band_pool(x, **COEFFICIENTS).flatten(),
        torch.tensor([0, 0, 5, 1], dtype=torch.float64),
    )


@pytest.mark.parametrize("n", LENGTHS)
@both
def test_equals_scipy(n: int, options: dict[str, Any]) -> None:
    x = normal(2, 3, n, 4, seed=n)
    assert_close(band_pool(x, **options), by_scipy(x.numpy(), **options), GOLDEN)


@pytest.mark.parametrize("n", [1, 2, 30, 120, 513])
def test_all_bands_together_are_the_standard_deviation(n: int) -> None:
    x = normal(2, 3, n, 4) + 7
    mean, *bands = band_pool(x, edges=(1, 2, 5, 40)).chunk(5, 1)
    power = sum(band.square() for band in bands)
    assert_close(mean, x.mean(2))
    assert_close(power, 2 * x.var(2, correction=0))


@both
def test_a_joint_at_rest_has_no_energy(options: dict[str, Any]) -> None:
    x = torch.full((1, 2, 64, 3), 1.5, dtype=torch.float64)
    mean, bands = band_pool(x, **options).split([2, 6], 1)
    assert_close(mean, x[:, :, 0])
    assert bands.abs().max() < 1e-14


@both
def test_bands_without_a_coefficient_are_zero(options: dict[str, Any]) -> None:
    x = normal(2, 3, 1, 4)
    pooled = band_pool(x, **options)
    assert_close(pooled[:, :3], x[:, :, 0])
    assert not pooled[:, 3:].any()
    # Two frames have one coefficient, 7.5 Hz at 30 frames per second.
    filled = band_pool(normal(2, 3, 2, 4), **options)[:, 3:].ne(0).flatten(2).any(2)
    expected = [True, False, False] if options is COEFFICIENTS else [False, False, True]
    assert filled[0].view(3, 3).all(1).equal(torch.tensor(expected))
    assert filled[0].view(3, 3).any(1).equal(torch.tensor(expected))


def test_channels_are_the_means_and_then_each_band() -> None:
    x = normal(2, 3, 16, 4)
    pooled = band_pool(x, edges=(1, 3))
    assert pooled.shape == (2, 9, 4)
    for channel in range(3):
        alone = band_pool(x[:, channel : channel + 1], edges=(1, 3))
        assert_close(pooled[:, channel::3], alone)


@pytest.mark.parametrize("dim", [-1, 3])
def test_along_joints(dim: int) -> None:
    x = normal(2, 3, 6, 16)
    pooled = band_pool(x, edges=(1, 3), dim=dim)
    assert_close(pooled, band_pool(x.mT, edges=(1, 3), dim=2))


# --- Frequencies in hertz -----------------------------------------------------------------------


@pytest.mark.parametrize("rate", [30.0, 29.97, 25, 7.3])
@pytest.mark.parametrize("n", [30, 75, 97, 120])
def test_an_edge_that_equals_a_frequency_belongs_to_the_band_above(n: int, rate: float) -> None:
    for k in range(1, n):
        edge = k * rate / (2 * n)
        below, above = band_pool(cosine(n, k), edges=(0, edge), frame_rate=rate).flatten()[1:]
        assert abs(below) < 1e-12 and abs(above - 1) < 1e-12


def test_an_edge_just_above_a_frequency_leaves_it_below() -> None:
    edge = 100 * 30 / 240 * (1 + 1e-9)
    below, above = band_pool(cosine(120, 100), edges=(0, edge), frame_rate=30).flatten()[1:]
    assert abs(below - 1) < 1e-12 and abs(above) < 1e-12


def test_hertz_name_the_same_movement_at_every_length_and_rate() -> None:
    for n, rate in ((60, 30), (120, 30), (120, 60), (50, 25)):
        k = round(2 * 2.5 * n / rate)  # 2.5 Hz
        pooled = band_pool(cosine(n, k, 0.1), edges=(0, 1, 2, 3), frame_rate=rate)
        assert_close(pooled.flatten(), torch.tensor([0, 0, 0, 0.1, 0], dtype=torch.float64))


def test_coefficients_are_hertz_at_a_rate_of_two_per_clip() -> None:
    x = normal(2, 3, 40, 4)
    assert_close(
        band_pool(x, edges=(1, 3), frame_rate=80),
        band_pool(x, edges=(1, 3)),
    )
    # The mean is no movement: coefficient 0 is in no band.
    assert_close(
        band_pool(x, edges=(0, 3), frame_rate=80),
        band_pool(x, edges=(1, 3)),
    )


# --- Clips of several lengths -------------------------------------------------------------------


@both
@pytest.mark.parametrize("dim", [-2, -1])
def test_padding_has_no_effect(dim: int, options: dict[str, Any]) -> None:
    lengths = torch.tensor([20, 13, 1, 0])
    x = normal(4, 3, 20, 20)
    padded = x.clone().movedim(dim, 0)
    padded[torch.arange(20).view(-1, 1, 1, 1) >= lengths.view(1, -1, 1, 1).expand(20, 4, 3, 20)] = (
        math.nan
    )
    padded = padded.movedim(0, dim).requires_grad_()
    pooled = band_pool(padded, dim=dim, lengths=lengths, **options)
    for i, length in enumerate(lengths.tolist()):
        if length:
            alone = x[i : i + 1].narrow(dim, 0, length)
            assert_close(pooled[i : i + 1], band_pool(alone, dim=dim, **options))
    assert not pooled[3].any()
    pooled.square().sum().backward()
    gradient = padded.grad.movedim(dim, 0)
    assert gradient.isfinite().all()
    assert not gradient[13:, 1].any() and not gradient[:, 3].any()


# --- Symmetries ---------------------------------------------------------------------------------


@given(
    n=st.integers(1, 40),
    scale=st.floats(-1e3, 1e3).filter(lambda c: abs(c) > 1e-3),
    offset=st.floats(-100, 100),
    seed=st.integers(0, 99),
    options=st.sampled_from([COEFFICIENTS, HERTZ]),
)
def test_scale_and_offset(
    n: int, scale: float, offset: float, seed: int, options: dict[str, Any]
) -> None:
    x = normal(1, 2, n, 3, seed=seed)
    mean, bands = band_pool(x, **options).split([2, 6], 1)
    moved = band_pool(scale * x + offset, **options)
    assert_close(moved, torch.cat([scale * mean + offset, abs(scale) * bands], 1), GOLDEN)


@given(n=st.integers(1, 60), seed=st.integers(0, 99))
def test_reversed_time_gives_the_same(n: int, seed: int) -> None:
    x = normal(1, 2, n, 3, seed=seed)
    assert_close(band_pool(x.flip(2), **COEFFICIENTS), band_pool(x, **COEFFICIENTS))


@given(n=st.integers(1, 60), shift=st.integers(0, 60), seed=st.integers(0, 99))
def test_one_band_does_not_know_when(n: int, shift: int, seed: int) -> None:
    x = normal(1, 2, n, 3, seed=seed)
    assert_close(band_pool(x.roll(shift, 2), edges=(1,)), band_pool(x, edges=(1,)))


def test_a_movement_keeps_its_bands_when_it_comes_later() -> None:
    """The amplitudes change little, where the coefficients change altogether."""
    t = torch.arange(120, dtype=torch.float64)
    waves = [
        torch.exp(-(((t - middle) / 12) ** 2)) * torch.sin(2 * math.pi * 2 / 30 * (t - middle))
        for middle in (40, 45, 60, 77)
    ]
    x = torch.stack(waves).view(4, 1, 120, 1)
    pooled = band_pool(x, edges=(0, 1, 3), frame_rate=30)[:, 1:, 0]
    assert_close(pooled[:, 1], pooled[:1, 1].expand(4), 0.01)
    assert_close(pooled, pooled[:1].expand(4, 3), 0.05)
    assert (pooled[:, 1] > 5 * pooled[:, [0, 2]].amax(1)).all()
    spectra = torch.stack(waves) @ dct_matrix(120, torch.float64).mT
    assert (spectra - spectra[0]).abs().amax(1)[1:].min() > 0.5 * spectra[0].abs().max()


# --- Gradients and precision --------------------------------------------------------------------


@both
@pytest.mark.parametrize("lengths", [None, [7, 4]])
def test_gradcheck(route: str, options: dict[str, Any], lengths: list[int] | None) -> None:
    present = None if lengths is None else torch.tensor(lengths)
    function = lambda x: band_pool(x, lengths=present, **options)  # noqa: E731
    x = normal(2, 2, 7, 2).requires_grad_()
    assert torch.autograd.gradcheck(function, (x,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_gradients_are_finite_without_movement(dtype: torch.dtype) -> None:
    for x in (torch.zeros(2, 3, 16, 4, dtype=dtype), torch.ones(2, 3, 16, 4, dtype=dtype)):
        x.requires_grad_()
        (once,) = torch.autograd.grad(band_pool(x, **COEFFICIENTS).sum(), x, create_graph=True)
        assert once.isfinite().all()
        (twice,) = torch.autograd.grad(once.square().sum(), x)
        assert twice.isfinite().all()
    mean = torch.full_like(once, 1 / 16)
    zero = torch.zeros(2, 3, 16, 4, dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(band_pool(zero, **COEFFICIENTS).sum(), zero)
    assert torch.equal(gradient, mean)  # an amplitude of 0 has gradient 0


def test_half_precision_squares_in_single_precision() -> None:
    x = 30_000 * cosine(16, 2).half()  # its square overflows in fp16
    pooled = band_pool(x, edges=(1, 3)).flatten()
    assert pooled.dtype == torch.float16
    assert_close(pooled, torch.tensor([0.0, 30_000.0, 0.0]), 1e-3)


def test_autocast_changes_nothing() -> None:
    x = normal(2, 3, 30, 4, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = band_pool(x, edges=(1, 3))
    assert torch.equal(pooled, band_pool(x, edges=(1, 3)))


# --- Arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"edges": ()}, ValueError, "edges must be one or more finite numbers"),
        ({"edges": (3, 1)}, ValueError, r"ascending order, got \(3, 1\)"),
        ({"edges": (2, 2)}, ValueError, "ascending order"),
        ({"edges": (0, 3)}, ValueError, r"edges\[0\] must be at least 1, got 0"),
        ({"edges": (1, 2.5)}, TypeError, r"edges\[1\] must be an integer, got 2\.5"),
        ({"edges": 3}, TypeError, "edges must be a sequence of numbers, got 3"),
        ({"edges": "13"}, TypeError, "edges must be a sequence of numbers"),
        ({"edges": torch.tensor([1, 3])}, TypeError, "edges must be a sequence of numbers"),
        ({"edges": (-1, 2), "frame_rate": 30}, ValueError, "from 0 on"),
        ({"edges": (1, math.inf), "frame_rate": 30}, ValueError, "finite"),
        ({"edges": (1, math.nan), "frame_rate": 30}, ValueError, "finite"),
        ({"edges": ("1",), "frame_rate": 30}, TypeError, r"edges\[0\] must be a number"),
        ({"edges": (1,), "frame_rate": 0}, ValueError, "frame_rate must be positive"),
        ({"edges": (1,), "frame_rate": math.nan}, ValueError, "frame_rate must be positive"),
        ({"edges": (1,), "frame_rate": "30"}, TypeError, "frame_rate must be a number"),
        ({"edges": (1,), "dim": 1}, ValueError, "dim must be one of -2, -1, 2, 3, got 1"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        band_pool(torch.zeros(2, 3, 8, 4), **options)
    with pytest.raises(error, match=message):
        BandPooling(**options)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(2, 3, 8), ValueError, r"x must have 4 axes \[N, C, T, V\]"),
        (torch.zeros(2, 3, 8, 4, dtype=torch.int64), TypeError, "floating-point"),
        (np.zeros((2, 3, 8, 4)), TypeError, "from_numpy"),
        (torch.zeros(2, 3, 0, 4), ValueError, "at least 1 point along dim=2"),
    ],
)
def test_bad_inputs(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BandPooling()(x)


def test_options_go_by_name() -> None:
    with pytest.raises(TypeError, match="band_pool takes only x by position"):
        band_pool(torch.zeros(2, 3, 8, 4), (1, 3))
    with pytest.raises(TypeError, match="BandPooling takes only edges by position"):
        BandPooling((1, 3), -2)


def test_edges_of_numpy_and_the_layer() -> None:
    x, lengths = normal(2, 3, 12, 4), torch.tensor([12, 5])
    layer = BandPooling(np.array([1, 4]))
    assert layer.edges == (1, 4) and repr(layer) == "BandPooling((1, 4), dim=-2)"
    assert torch.equal(layer(x, lengths), band_pool(x, edges=[1, 4], lengths=lengths))
    layer = BandPooling(np.array([0.5, 4], np.float32), dim=-1, frame_rate=30)
    assert repr(layer) == "BandPooling((0.5, 4.0), dim=-1, frame_rate=30)"
    assert torch.equal(layer(x), band_pool(x, edges=(0.5, 4), dim=3, frame_rate=30))
    assert not layer.state_dict()
