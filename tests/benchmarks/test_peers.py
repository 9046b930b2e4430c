"""The peers of the benchmark compute what their names say; otherwise ratios have no meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.mamp import MampShaped
from tests.conftest import load_golden, normal
from tests.tolerances import GOLDEN, assert_close


@pytest.mark.parametrize("dim", [-1, 1])
def test_torch_dct_peers_equal_scipy(dim: int) -> None:
    x, gain = normal(3, 7, 5), normal(5 if dim == -1 else 7, seed=1)
    spectrum = scipy.fft.dct(x.numpy(), axis=dim, norm="ortho")
    scaled = np.moveaxis(np.moveaxis(spectrum, dim, -1) * gain.numpy(), -1, dim)
    assert_close(peers.torch_dct_forward(x, dim), spectrum)
    assert_close(peers.torch_dct_inverse(x, dim), scipy.fft.idct(x.numpy(), axis=dim, norm="ortho"))
    enhanced = peers.torch_dct_gain(x, gain, dim)
    assert_close(enhanced, scipy.fft.idct(scaled, axis=dim, norm="ortho"))
    assert enhanced.is_contiguous()


def test_scipy_peers_are_scipy_and_lose_no_precision() -> None:
    x, gain = normal(3, 7, 5, dtype=torch.float32), normal(5, seed=1, dtype=torch.float32)
    exact = scipy.fft.dct(x.double().numpy(), norm="ortho")
    spectrum = peers.scipy_dct(x, -1)
    assert spectrum.dtype == torch.float32
    assert_close(spectrum, exact)
    assert_close(peers.scipy_idct(spectrum, -1), x)
    scaled = scipy.fft.idct(exact * gain.double().numpy(), norm="ortho")
    before = x.clone()
    assert_close(peers.scipy_gain(x, gain, -1), scaled)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("n", "bands", "split", "divisor"), [(256, 30, 35, 1), (20, 30, 9, 2)])
def test_band_loop_equals_the_formula(n: int, bands: int, split: int, divisor: int) -> None:
    x, weights = normal(3, n), 1 + 0.1 * normal(bands, seed=1)
    strength = 0.3
    gains = np.ones(n)
    for k in range(n - 1):
        band = max(i for i in range(bands) if i * (n - 1) // bands <= k)
        fade = 1 - band / bands
        if (band + 1) * (n - 1) // bands > split:
            fade = -(1 - (band - bands // divisor) / bands)
        gains[k] += float(weights[band]) * strength * fade
    settings = [torch.tensor(float(value)) for value in (bands, split, divisor)]
    actual = peers.fs_vae_band_loop(x, weights, torch.tensor(strength).double(), *settings)
    spectrum = scipy.fft.dct(x.numpy(), norm="ortho") * gains
    # The edges are truncated fp32 numbers there; at these lengths they are the exact ones.
    assert_close(actual, scipy.fft.idct(spectrum, norm="ortho"), 1e-7)


@pytest.mark.parametrize("points", [8, 9])
def test_spectral_block_equals_numpy(points: int) -> None:
    x, (weight, high) = normal(3, points, 4), (normal(4, 2, seed=s) for s in (1, 2))
    threshold = 0.9
    spectrum = np.fft.rfft(x.numpy(), axis=1, norm="ortho")
    energy = (np.abs(spectrum) ** 2).sum(-1)
    lower_median = np.sort(energy, axis=1)[:, [(energy.shape[1] - 1) // 2]]
    mask = energy / (lower_median + 1e-6) > threshold
    assert 0 < mask.mean() < 1
    plain, masked = (w.numpy()[:, 0] + 1j * w.numpy()[:, 1] for w in (weight, high))
    filtered = spectrum * plain + mask[:, :, None] * spectrum * masked
    expected = np.fft.irfft(filtered, n=points, axis=1, norm="ortho")
    limit = torch.full((1,), threshold, dtype=torch.float64)
    assert_close(peers.adaptive_spectral_block(x, weight, high, limit), expected)
    # The same rows as [N, C, T, V]: three joints of one person.
    wide = x.permute(2, 1, 0).unsqueeze(0)
    actual = peers.adaptive_spectral_block_nctv(wide, weight, high, limit)
    assert_close(actual, expected.transpose(2, 1, 0)[None])
    # And as three frames of joints.
    tall = x.permute(2, 0, 1).unsqueeze(0)
    actual = peers.adaptive_spectral_block_nctv(tall, weight, high, limit, dim=3)
    assert_close(actual, expected.transpose(2, 0, 1)[None])


@pytest.mark.parametrize("dim", [2, 3])
def test_decoupled_block_equals_numpy(dim: int) -> None:
    x = normal(2, 3, 6, 5)
    depthwise, pointwise = normal(3, 3, seed=1), normal(3, 3, seed=2)
    weights = normal(3, 2, seed=3), normal(3, 2, seed=4)
    limit = torch.full((1,), 0.5, dtype=torch.float64)
    line = x.numpy() - x.numpy().mean(dim, keepdims=True)
    line = line / np.sqrt((line**2).mean((1, dim), keepdims=True) + 1e-6)
    line = np.moveaxis(line, dim, -1)
    padded = np.pad(line, [(0, 0)] * 3 + [(1, 1)])
    taps = depthwise.numpy()[:, None, None, :]
    line = sum(padded[..., k : k + line.shape[-1]] * taps[..., k] for k in range(3))
    line = np.einsum("oc,nctv->notv", pointwise.numpy(), np.moveaxis(line, -1, dim))
    filtered = peers.adaptive_spectral_block_nctv(torch.from_numpy(line), *weights, limit, dim)
    actual = peers.decoupled_spectral_block(x, depthwise, pointwise, *weights, limit, dim)
    assert_close(actual, x + filtered)


def test_global_filter_equals_numpy() -> None:
    x, weight = normal(2, 3, 5, 4), normal(3, 3, 4, 2, seed=1)
    spectrum = np.fft.rfft2(x.numpy(), axes=(1, 2), norm="ortho")
    filtered = spectrum * (weight.numpy()[..., 0] + 1j * weight.numpy()[..., 1])
    expected = np.fft.irfft2(filtered, s=(3, 5), axes=(1, 2), norm="ortho")
    assert_close(peers.global_filter(x, weight), expected)


def test_ema_loop_equals_the_formula() -> None:
    target, online = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = [value.clone() for value in target.parameters()]
    expected = [0.9 * a + 0.1 * b for a, b in zip(before, online.parameters(), strict=True)]
    peers.ema_loop(target, online, 0.9)
    for actual, value in zip(target.parameters(), expected, strict=True):
        assert_close(actual, value)


def test_argsort_masking_keeps_the_lowest_scores() -> None:
    tokens, noise = normal(3, 10, 2), torch.rand(3, 10, generator=torch.Generator().manual_seed(0))
    visible, mask, restore = peers.argsort_masking(tokens, 4, noise)
    for row in range(3):
        lowest = noise[row].argsort()[:4]
        assert torch.equal(visible[row], tokens[row, lowest])
        assert set(torch.nonzero(mask[row] == 0).flatten().tolist()) == set(lowest.tolist())
        # Where a token went: the first ranks are the visible ones.
        assert torch.equal(restore[row, lowest], torch.arange(4))


@pytest.mark.parametrize("fused", [False, True])
def test_masked_autoencoder_equals_mamp(golden_path: Path, fused: bool) -> None:
    golden = load_golden(golden_path / "mamp_forward_T20V20_tau0_raw.npz")
    config = dict(zip(golden["config_names"].tolist(), golden["config"].tolist(), strict=True))
    network = MampShaped(
        config["T"], config["V"], config["t_patch"], config["dim"], config["dec_dim"],
        config["depth"], config["dec_depth"], config["heads"], float(golden["mask_ratio"]),
        config["stride"], fused,
    ).double()  # fmt: skip

    def renamed(prefix: str) -> dict[str, Tensor]:
        names = {"joints_embed.proj": "embed", "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.2"}
        found = {}
        for key, value in golden.items():
            if key.startswith(prefix):
                name = key.removeprefix(prefix)
                for old, new in names.items():
                    name = name.replace(old, new)
                found[name] = torch.from_numpy(value).double()
        return found

    network.load_state_dict(renamed("sd/"))
    clip = torch.from_numpy(golden["x"]).permute(0, 4, 1, 2, 3).flatten(0, 1)
    noise = torch.from_numpy(golden["uniform_noise"])
    prediction, mask = network.predict(clip, noise)
    assert_close(mask, golden["mask"])
    assert_close(prediction, golden["pred"], GOLDEN)
    assert_close(network.patches(clip), golden["target"], GOLDEN)
    loss = network(clip, noise, norm=False)
    assert_close(loss, golden["loss"], GOLDEN)
    loss.backward()
    expected = renamed("grad/")
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert_close(parameter.grad, expected[name].reshape(parameter.shape), 1e-9)
