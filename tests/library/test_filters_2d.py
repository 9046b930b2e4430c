"""The global filter of frames and joints together, against GFNet and complex arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import load_golden, normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import GOLDEN, assert_close
from torch import Tensor

from skelfreq import SpectralFilter
from skelfreq.functional import spectral_filter_2d


def by_ffts(x: Tensor, weight: Tensor) -> Tensor:
    """Return the filter of [N, C, T, V] in complex arithmetic."""
    spectrum = torch.fft.rfft2(x, norm="ortho") * torch.view_as_complex(weight)
    half = torch.fft.ifft(spectrum, dim=-2, norm="ortho")
    return torch.fft.irfft(half, n=x.shape[-1], dim=-1, norm="ortho")


@pytest.mark.parametrize("name", ["4x4", "8x25"])
def test_equals_gfnet(golden_path: Path, name: str) -> None:
    stored = load_golden(golden_path / f"gfnet_global_filter_{name}.npz")
    a, b = (int(size) for size in stored["spatial_size"])
    tokens = torch.from_numpy(stored["x"]).requires_grad_()
    weight = torch.from_numpy(stored["complex_weight"]).requires_grad_()  # [a, b//2+1, C, 2]
    layer = SpectralFilter(tokens.shape[-1], (a, b), dim=(-2, -1), weight="full").double()
    x = tokens.unflatten(1, (a, b)).permute(0, 3, 1, 2)
    state = {"complex_weight": weight.permute(2, 0, 1, 3)}
    y = torch.func.functional_call(layer, state, x).permute(0, 2, 3, 1).flatten(1, 2)
    assert_close(y, stored["y"], GOLDEN)
    loss = (y * torch.from_numpy(stored["r"])).sum()
    by_tokens, by_weight = torch.autograd.grad(loss, (tokens, weight))
    assert_close(by_tokens, stored["grad_x"], GOLDEN)
    assert_close(by_weight, stored["grad_complex_weight"], GOLDEN)


@given(st.sampled_from([1, 2, 3, 8, 25, 130]), st.sampled_from([1, 2, 5, 6, 17, 131]))
def test_equals_complex_arithmetic(frames: int, joints: int) -> None:
    x = normal(2, 3, frames, joints, seed=frames)
    weight = normal(3, frames, joints // 2 + 1, 2, seed=joints)
    assert_close(spectral_filter_2d(x, weight), by_ffts(x, weight))


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (3, 1, 0, 2), (1, 2, 3, 0)])
def test_axes_in_any_order(order: tuple[int, ...]) -> None:
    x, weight = normal(2, 3, 6, 5), normal(3, 6, 3, 2, seed=1)
    axes = {"dim": (order.index(2), order.index(3)), "channel_dim": order.index(1)}
    got = spectral_filter_2d(x.permute(order), weight, **axes)
    assert_close(got, spectral_filter_2d(x, weight).permute(order))


def test_gradcheck_and_real_output() -> None:
    x, weight = normal(1, 2, 4, 3).requires_grad_(), normal(2, 4, 2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(spectral_filter_2d, (x, weight))
    assert torch.autograd.gradgradcheck(spectral_filter_2d, (x, weight))


def test_a_shift_of_the_input_is_a_shift_of_the_output() -> None:
    x, weight = normal(2, 3, 8, 5), normal(3, 8, 3, 2, seed=1)
    shifted = spectral_filter_2d(x.roll((3, 2), (2, 3)), weight)
    assert_close(shifted, spectral_filter_2d(x, weight).roll((3, 2), (2, 3)))


def test_initial_values_and_resizing_of_joints() -> None:
    x = normal(2, 3, 8, 5)
    layer = SpectralFilter(3, (8, 5), dim=(-2, -1), weight="full", init="identity").double()
    assert layer.complex_weight.shape == (3, 8, 3, 2)
    assert_close(layer(x), x)
    wider = layer.resize((8, 25))
    assert wider.complex_weight.shape == (3, 8, 13, 2)
    y = normal(2, 3, 8, 25)
    assert_close(wider(y), y)
    with pytest.raises(ValueError, match="length must keep T=8"):
        layer.resize((9, 5))


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((3, 8), {"dim": (-2, -1), "weight": "full"}, ["length", "(T, V)", "8"]),
        ((3, (8, 5)), {"dim": (-2, -1)}, ["weight", "'full'", "'channel'"]),
        ((3, (8, 5)), {"dim": (-1, -2), "weight": "full"}, ["dim", "(-1, -2)"]),
        ((3, (8, 5)), {"dim": -2, "weight": "full"}, ["length", "one number"]),
        ((3, (8, 0)), {"dim": (-2, -1), "weight": "full"}, ["length", "at least 1"]),
    ],
)
def test_construction_errors(arguments: tuple, options: dict, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        SpectralFilter(*arguments, **options)
    assert all(word in str(caught.value) for word in words)


def test_forward_errors() -> None:
    layer = SpectralFilter(3, (8, 5), dim=(-2, -1), weight="full")
    with pytest.raises(ValueError, match=r"\(8, 5\) points along dim=\(-2, -1\), got \(8, 6\)"):
        layer(torch.zeros(2, 3, 8, 6))
    with pytest.raises(ValueError, match="lengths must be None"):
        layer(torch.zeros(2, 3, 8, 5), torch.tensor([8, 8]))
    with pytest.raises(ValueError, match=r"weight must have shape \(3, 8, 3, 2\)"):
        spectral_filter_2d(torch.zeros(2, 3, 8, 5), torch.zeros(3, 8, 5, 2))
    with pytest.raises(ValueError, match="three different axes"):
        spectral_filter_2d(torch.zeros(2, 3, 8, 5), torch.zeros(3, 8, 3, 2), dim=(1, 2))
