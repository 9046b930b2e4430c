"""Weights that published code trained, loaded into the layers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import load_golden, normal
from tolerances import GOLDEN, assert_close
from torch import Tensor

from skelfreq import FreqEnhance, FreT


def fs_vae_state(golden: dict) -> dict[str, Tensor]:
    return {k.removeprefix("sd/"): torch.from_numpy(v) for k, v in golden.items() if k[:3] == "sd/"}


@pytest.mark.parametrize(("net", "width"), [("sequence_encoder", 256), ("text_encoder", 64)])
def test_an_encoder_of_fs_vae(golden_path: Path, net: str, width: int) -> None:
    golden = load_golden(golden_path / "fsvae_step_256.npz")
    state = fs_vae_state(golden)
    layer = FreqEnhance.from_fs_vae(state, prefix=f"{net}.")
    assert (layer.length, layer.dim, layer.num_bands, layer.split, layer.divisor, layer.last) == (
        width, -1, 30, 30, 1, "released",
    )  # fmt: skip
    assert torch.equal(layer.weights.detach(), state[f"{net}.freq_weights"])
    assert torch.equal(layer.strength.detach(), state[f"{net}.k"].reshape(1))
    # The latent mean of the stored step is this layer followed by the stored linear map.
    x = torch.from_numpy(golden["s" if net == "sequence_encoder" else "t"])
    weight, bias = (state[f"{net}.mu_transformation.{n}"].double() for n in ("weight", "bias"))
    mu = torch.nn.functional.linear(layer.double()(x.double()), weight, bias)
    assert_close(mu, golden["smu" if net == "sequence_encoder" else "tmu"], GOLDEN)


def test_split_and_divisor_of_fs_vae_are_taken_over(golden_path: Path) -> None:
    golden = load_golden(golden_path / "fsvae_dct_enhance_n256_b30_s35_m2.npz")
    names = ("k", "freq_weights", "split_freq", "m")
    state = {name: torch.from_numpy(golden[name]) for name in names}
    layer = FreqEnhance.from_fs_vae(state, length=256)
    assert (layer.split, layer.divisor) == (35, 2)
    assert_close(layer.gains, golden["gain"], GOLDEN)
    assert_close(layer(torch.from_numpy(golden["x"])), golden["y"], GOLDEN)


def test_missing_weights_of_fs_vae_are_named() -> None:
    with pytest.raises(ValueError, match=r"it lacks k, split_freq, m; its first names are \['a"):
        FreqEnhance.from_fs_vae({"a": torch.ones(1), "freq_weights": torch.ones(30)})
    state = {"k": torch.tensor(0.3), "freq_weights": torch.ones(30)}
    state |= {"split_freq": torch.tensor(30.0), "m": torch.tensor(1.0)}
    with pytest.raises(ValueError, match="length must be given"):
        FreqEnhance.from_fs_vae(state)
    assert FreqEnhance.from_fs_vae(state, length=256).length == 256


@pytest.mark.parametrize("name", ["4x25x8", "3x63x5"])
def test_a_block_of_tslanet(golden_path: Path, name: str) -> None:
    golden = load_golden(golden_path / f"tslanet_asb_{name}.npz")
    names = ("complex_weight", "complex_weight_high", "threshold_param")
    state = {f"blocks.0.asb.{n}": torch.from_numpy(golden[n]) for n in names}
    block = FreT.from_tslanet(state, prefix="blocks.0.asb.")
    assert block.decoupling is None and not block.residual
    x = torch.from_numpy(golden["x"]).requires_grad_()  # [N, T, C]
    y = block(x.mT.unsqueeze(-1)).squeeze(-1).mT
    assert_close(y, golden["y"], GOLDEN)
    leaves = [x, block.global_weight, block.local_weight, block.threshold]
    gradients = torch.autograd.grad((y * torch.from_numpy(golden["r"])).sum(), leaves)
    for got, key in zip(gradients, ("x", *names), strict=True):
        assert_close(got, golden[f"grad_{key}"], GOLDEN)


def test_missing_weights_of_tslanet_are_named() -> None:
    with pytest.raises(ValueError, match="it lacks complex_weight_high, threshold_param"):
        FreT.from_tslanet({"complex_weight": torch.ones(4, 2)})


# Lengths at which an fp32 linspace of the release lands one below the exact edge.
DIFFERENT = [65, 129, 257, 513]


@pytest.mark.parametrize("length", DIFFERENT)
def test_released_warns_where_it_differs_from_the_release(length: int) -> None:
    state = {"k": torch.tensor(0.3), "freq_weights": torch.ones(30)}
    state |= {"split_freq": torch.tensor(30.0), "m": torch.tensor(1.0)}
    for maker, make in (
        ("released", lambda: FreqEnhance.released(length)),
        ("from_fs_vae", lambda: FreqEnhance.from_fs_vae(state, length=length)),
    ):
        message = f"{maker} of {length} points differs from the release"
        with pytest.warns(UserWarning, match=message) as seen:
            make()
        assert seen[-1].filename == __file__


@pytest.mark.parametrize("length", [64, 100, 256, 512, 768])
def test_released_does_not_warn_elsewhere(length: int) -> None:
    assert FreqEnhance.released(length)(normal(2, length)).shape == (2, length)
