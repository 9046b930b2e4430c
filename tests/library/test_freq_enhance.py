"""FreqEnhance and its parts: band_edges, band_gains, and both routes of apply_gain."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from conftest import Signal, load_golden, normal, signals
from hypothesis import given
from hypothesis import strategies as st
from tolerances import AUTOCAST, GOLDEN, assert_close, assert_rounded, relative_error
from torch import Tensor

from skelfreq import FreqEnhance
from skelfreq.functional import _gain_fast, _route, apply_gain, band_edges, band_gains, dct, idct
from skelfreq.functional.gains import edge_list

STORED = (
    "n20_b30_s30_empty_bands",
    "n64_b10_s20_w",
    "n100_b30_s35_w",
    "n120_b30_s35_w",
    "n256_b30_s30_default",
    "n256_b30_s30_w",
    "n256_b30_s35_m2",
)
stored = pytest.mark.parametrize("name", STORED)


@pytest.mark.parametrize("last", ["include", "released"])
@pytest.mark.parametrize("n", [1, 2, 17, 64, 257])
@pytest.mark.parametrize("num_bands", [1, 7, 30])
def test_edges_as_integers_are_the_edges(n: int, num_bands: int, last: str) -> None:
    assert edge_list(n, num_bands, last) == band_edges(n, num_bands, last=last).tolist()


def loop_gains(
    n: int, weights: list[float], split: int, strength: float, divisor: int, last: str
) -> np.ndarray:
    """Gains written band by band, in Python integers where the definition has integers."""
    b = len(weights)
    edges = [i * (n - 1) // b for i in range(b + 1)]
    if last == "include":
        edges[b] = n
    gains = np.ones(n)
    for i in range(b):
        for k in range(edges[i], edges[i + 1]):
            if edges[i + 1] <= split:
                gains[k] = 1 + weights[i] * strength * (1 - i / b)
            else:
                gains[k] = 1 - weights[i] * strength * (1 - (i - b // divisor) / b)
    return gains


def quiet(*arguments, **options) -> FreqEnhance:
    """Build a layer in fp64 that may amplify nothing, or everything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return FreqEnhance(*arguments, **options).double()


def randomised(layer: FreqEnhance, seed: int = 0) -> FreqEnhance:
    """Move the weights away from 1."""
    with torch.no_grad():
        layer.weights.copy_(1 + 0.3 * normal(*layer.weights.shape, seed=seed))
    return layer


# --- Published code -----------------------------------------------------------------------------


@stored
def test_layer_equals_the_release(golden_path: Path, name: str, route: str) -> None:
    golden = load_golden(golden_path / f"fsvae_dct_enhance_{name}.npz")
    layer = quiet(
        int(golden["n"]),
        dim=-1,
        num_bands=int(golden["num_freq_bands"]),
        split=int(golden["split_freq"]),
        strength=float(golden["k"]),
        divisor=int(golden["m"]),
        last="released",
    )
    with torch.no_grad():
        layer.strength.copy_(torch.tensor([float(golden["k"])], dtype=torch.float64))
        layer.weights.copy_(torch.from_numpy(golden["freq_weights"]))
    x = torch.from_numpy(golden["x"]).requires_grad_()
    y = layer(x)
    assert_close(y, golden["y"], GOLDEN)
    (y * torch.from_numpy(golden["r"])).sum().backward()
    assert_close(x.grad, golden["grad_x"], GOLDEN)
    assert_close(layer.weights.grad, golden["grad_freq_weights"], GOLDEN)
    assert_close(layer.strength.grad, golden["grad_k"].reshape(1), GOLDEN)


@pytest.mark.parametrize("name", ["n256_b30_s30_default", "n256_b30_s30_w"])
def test_released_is_the_release(golden_path: Path, name: str) -> None:
    golden = load_golden(golden_path / f"fsvae_dct_enhance_{name}.npz")
    layer = FreqEnhance.released().double()
    assert layer.weights.requires_grad and layer.strength.requires_grad
    with torch.no_grad():
        layer.strength.fill_(0.3)  # 0.3 in fp32 is another
        layer.weights.copy_(torch.from_numpy(golden["freq_weights"]))
    assert_close(layer.gains, golden["gain"], GOLDEN)
    x = torch.from_numpy(golden["x"]).requires_grad_()
    y = layer(x)
    assert_close(y, golden["y"], GOLDEN)
    gradients = torch.autograd.grad(
        (y * torch.from_numpy(golden["r"])).sum(), [x, layer.weights, layer.strength]
    )
    for got, key in zip(gradients, ("x", "freq_weights", "k"), strict=True):
        assert_close(got, golden[f"grad_{key}"].reshape(got.shape), GOLDEN)


@stored
def test_functions_equal_the_release(golden_path: Path, name: str) -> None:
    golden = load_golden(golden_path / f"fsvae_dct_enhance_{name}.npz")
    n, split, m = (int(golden[key]) for key in ("n", "split_freq", "m"))
    edges = band_edges(n, int(golden["num_freq_bands"]), last="released")
    assert edges.dtype == torch.int64
    assert edges.tolist() == golden["split_points"].tolist()
    weights, strength = torch.from_numpy(golden["freq_weights"]), float(golden["k"])
    assert_close(
        band_gains(n, weights, split, strength, divisor=m, last="released"), golden["gain"], GOLDEN
    )


# What the published configuration does at the widths that the published code uses.
@pytest.mark.parametrize(
    ("n", "bands", "amplified"), [(256, 3, 25), (512, 1, 17), (1024, 0, 0), (1536, 0, 0)]
)
def test_number_of_gains_above_one_in_the_release(n: int, bands: int, amplified: int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gains = FreqEnhance.released(n).gains.detach()
    assert len(caught) == (bands == 0)
    assert (gains > 1).nonzero().flatten().tolist() == list(range(amplified))
    assert len(gains[gains > 1].unique()) == bands
    assert gains[-1] == 1 and bool((gains[amplified:-1] < 1).all())
    # Strongest just above the split, weakest at the highest coefficient.
    assert torch.equal(gains[amplified:-1], gains[amplified:-1].sort().values)


# --- Edges and gains ----------------------------------------------------------------------------


@pytest.mark.parametrize("b", [1, 7, 10, 30])
def test_edges_are_exact_integers(b: int) -> None:
    for n in range(1, 601):
        exact = [i * (n - 1) // b for i in range(b + 1)]
        assert band_edges(n, b, last="released").tolist() == exact
        assert band_edges(n, b).tolist() == [*exact[:-1], n]


# Where a linspace that is rounded in fp32 (the first two) or fp64 falls below a whole number.
@pytest.mark.parametrize(("n", "index", "edge"), [(17, 15, 8), (65, 15, 32), (131, 27, 117)])
def test_edges_at_which_a_rounded_linspace_is_wrong(n: int, index: int, edge: int) -> None:
    assert band_edges(n, 30)[index] == edge


@given(
    st.integers(1, 140),
    st.integers(1, 40),
    st.integers(0, 150),
    st.floats(-2, 2),
    st.integers(1, 45),
    st.sampled_from(["include", "released"]),
)
def test_gains_equal_the_definition(
    n: int, b: int, split: int, strength: float, divisor: int, last: str
) -> None:
    weights = normal(b, seed=n)
    expected = loop_gains(n, weights.tolist(), split, strength, divisor, last)
    assert_close(band_gains(n, weights, split, strength, divisor=divisor, last=last), expected)
    as_tensor = torch.tensor([strength], dtype=torch.float64)
    assert_close(band_gains(n, weights, split, as_tensor, divisor=divisor, last=last), expected)
    layer = quiet(
        n, dim=-1, num_bands=b, split=split, strength=strength, divisor=divisor, last=last
    )
    with torch.no_grad():
        layer.weights.copy_(weights)
        layer.strength.copy_(as_tensor[0])
    assert_close(layer.gains, expected)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 200))
def test_every_coefficient_has_a_band(n: int, b: int, split: int) -> None:
    weights = torch.ones(b, dtype=torch.float64)
    included = band_gains(n, weights, split, 0.3)
    assert bool((included != 1).all())
    released = band_gains(n, weights, split, 0.3, last="released")
    assert released[-1] == 1 and bool((released[:-1] != 1).all())


def test_a_band_that_ends_at_the_split_is_amplified() -> None:
    # Edges 0, 3, 6, 10.
    weights = torch.ones(3, dtype=torch.float64)
    at, below = (band_gains(10, weights, split, 0.3) for split in (6, 5))
    assert [bool(v > 1) for v in at] == [True] * 6 + [False] * 4
    assert [bool(v > 1) for v in below] == [True] * 3 + [False] * 7


def test_gains_of_a_small_case_by_hand() -> None:
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)  # edges 0, 3, 6, 10
    first = [1 + 0.3] * 3
    second = [1 + 2 * 0.3 * 2 / 3] * 3
    third = [1 - 0.5 * 0.3 * 4 / 3] * 4
    assert_close(band_gains(10, weights, 6, 0.3), np.array(first + second + third))
    # A divisor of 3 moves the attenuation by 1 band instead of 3.
    third = [1 - 0.5 * 0.3 * 2 / 3] * 4
    assert_close(band_gains(10, weights, 6, 0.3, divisor=3), np.array(first + second + third))


def test_large_strengths_make_gains_negative() -> None:
    gains = band_gains(10, torch.ones(3), 3, 2.0)
    assert bool((gains[3:] < 0).all())


def test_gains_are_differentiable() -> None:
    weights = normal(7).requires_grad_()
    strength = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda w, k: band_gains(23, w, 9, k, divisor=2), (weights, strength)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gains_of_half_precision_weights_are_fp32(dtype: torch.dtype) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gains = band_gains(64, torch.ones(10, dtype=dtype), 20, 0.3)
    assert gains.dtype == torch.float32
    assert_close(gains, loop_gains(64, [1.0] * 10, 20, 0.3, 1, "include"))


# --- The layer: laws ----------------------------------------------------------------------------


@given(signals(), st.sampled_from(["bands", "free", None]), st.integers(1, 35))
def test_layer_scales_coefficients(signal: Signal, learnable: str | None, b: int) -> None:
    x, dim = signal
    n = x.shape[dim]
    layer = randomised(quiet(n, dim=dim, num_bands=b, split=n // 3, learnable=learnable))
    y = layer(x)
    assert y.shape == x.shape and y.dtype == x.dtype
    spectrum = scipy.fft.dct(x.numpy(), axis=dim, norm="ortho")
    shape = [n if axis == dim % x.ndim else 1 for axis in range(x.ndim)]
    gains = layer.gains.detach().numpy()
    if learnable != "free":
        weights, strength = layer.weights.tolist(), float(layer.strength.detach())
        assert_close(layer.gains, loop_gains(n, weights, n // 3, strength, 1, "include"))
    else:
        assert layer.gains is layer.weights
    expected = scipy.fft.idct(spectrum * gains.reshape(shape), axis=dim, norm="ortho")
    assert_close(y, expected)


@given(signals(), st.floats(-3, 3))
def test_is_linear(signal: Signal, factor: float) -> None:
    x, dim = signal
    other = normal(*x.shape, seed=1)
    layer = randomised(quiet(x.shape[dim], dim=dim, split=x.shape[dim] // 2))
    assert_close(layer(x + factor * other), layer(x) + factor * layer(other))


@given(signals(), st.sampled_from(["include", "released"]))
def test_strength_zero_is_the_identity(signal: Signal, last: str) -> None:
    x, dim = signal
    assert_close(quiet(x.shape[dim], dim=dim, strength=0, last=last)(x), x)


@given(signals(min_rank=2))
def test_free_starts_as_the_identity(signal: Signal) -> None:
    x, dim = signal
    layer = quiet(x.shape[dim], dim=dim, learnable="free")
    assert_close(layer(x), x)
    assert_close(randomised(layer)(x), apply_gain(x, layer.weights, dim=dim))


@pytest.mark.parametrize("learnable", ["bands", "free", None])
@pytest.mark.parametrize("frames", [17, 40])
def test_padding_has_no_effect(frames: int, learnable: str | None) -> None:
    lengths = torch.tensor([frames, 9, 1, 0, frames - 1])
    layer = randomised(quiet(frames, num_bands=5, split=8, learnable=learnable))
    x = normal(5, 3, frames, 4)
    y = layer(x, lengths)
    junk = x.clone()
    for sample, length in enumerate(lengths.tolist()):
        junk[sample, :, length:] = 1e3
        own = x[sample : sample + 1, :, :length]
        if length:
            expected = apply_gain(own, layer.gains[:length], dim=2)
            assert_close(y[sample : sample + 1, :, :length], expected)
        assert not y[sample, :, length:].any()
    assert_close(layer(junk, lengths), y)
    assert_close(layer(x, torch.full((5,), frames)), layer(x))


def test_time_and_features_are_one_layer() -> None:
    along_time, along_features = (
        randomised(quiet(30, dim=dim, num_bands=6, split=9)) for dim in (-2, -1)
    )
    x = normal(2, 3, 30, 4)
    expected = along_features(x.transpose(2, 3)).transpose(2, 3)
    assert_close(along_time(x), expected)


@pytest.mark.parametrize("last", ["include", "released"])
@pytest.mark.parametrize("n", [5, 12])
def test_gradients(n: int, last: str) -> None:
    layer = randomised(quiet(n, dim=-2, num_bands=4, split=n // 2, divisor=2, last=last))
    inputs = [normal(2, n, 3).requires_grad_(), *layer.parameters()]
    assert len(inputs) == 3

    def call(x: Tensor, weights: Tensor, strength: Tensor) -> Tensor:
        state = {"weights": weights, "strength": strength}
        return torch.func.functional_call(layer, state, (x,))

    assert torch.autograd.gradcheck(call, inputs)
    lengths = torch.tensor([n, 3])
    padded = [normal(2, n, 3).requires_grad_(), *layer.parameters()]
    assert torch.autograd.gradcheck(
        lambda x, w, k: torch.func.functional_call(
            layer, {"weights": w, "strength": k}, (x, lengths)
        ),
        padded,
    )


def test_inputs_are_not_changed() -> None:
    layer, x = FreqEnhance(20, split=10, num_bands=5), normal(2, 3, 20, 4)
    kept = x.clone(), layer.weights.clone(), layer.strength.clone()
    layer(x)
    assert all(
        torch.equal(a, b) for a, b in zip(kept, (x, layer.weights, layer.strength), strict=True)
    )


# --- apply_gain: one operator or two transforms --------------------------------------------------


@pytest.mark.parametrize("n", [2, 7, 25, 64, 110])
def test_transforms_and_operator_agree(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = _gain_fast.gain_matrix
    monkeypatch.setattr(_gain_fast, "gain_matrix", lambda gain: calls.append(1) or real(gain))
    gain = normal(n, seed=1).requires_grad_()
    enough = _route.GAIN_OPERATOR_ROWS * n
    few, many = normal(enough - 1, n), torch.cat([normal(enough - 1, n), normal(1, n, seed=2)])
    x, y = few.requires_grad_(), many.requires_grad_()
    first = apply_gain(x, gain, dim=-1)
    assert calls == []  # too few rows: two transforms
    second = apply_gain(y, gain, dim=-1)
    assert calls == [1]  # one row more: the operator
    assert_close(first, second[: enough - 1])
    rows = normal(enough - 1, n, seed=3)
    a = torch.autograd.grad((first * rows).sum(), [x, gain])
    b = torch.autograd.grad((second[: enough - 1] * rows).sum(), [y, gain])
    assert_close(a[0], b[0][: enough - 1])
    assert_close(a[1], b[1])
    assert_close(first, idct(gain * dct(few, dim=-1), dim=-1))


# --- Training -----------------------------------------------------------------------------------


def fit(layer: FreqEnhance, target: Tensor, steps: int = 300) -> Tensor:
    """Train on clips with target gains applied to them; return the gains."""
    optimizer = torch.optim.Adam([p for p in layer.parameters() if p.requires_grad], lr=0.03)
    for step in range(steps):
        x = normal(8, 3, layer.length, 4, seed=step, dtype=torch.float32)
        loss = (layer(x) - apply_gain(x, target, dim=2)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return layer.gains.detach()


def test_training_learns_any_curve_with_free_gains() -> None:
    target = 1 + 0.5 * torch.sin(torch.arange(16.0))
    learned = fit(FreqEnhance(16, learnable="free"), target)
    assert float((learned - target).abs().max()) < 0.01


def test_training_learns_a_curve_of_bands() -> None:
    weights = torch.tensor([2.0, -0.5, 0.3, 1.2])
    target = band_gains(16, weights, split=7, strength=0.4)
    layer = FreqEnhance(16, num_bands=4, split=7)
    assert float((layer.gains - target).detach().abs().max()) > 0.2
    learned = fit(layer, target)
    assert float((learned - target).abs().max()) < 0.01
    # A curve that bends inside a band cannot be represented.
    bent = fit(FreqEnhance(16, num_bands=4, split=7), 1 + torch.arange(16) / 16)
    assert float((bent - (1 + torch.arange(16) / 16)).abs().max()) > 0.05


def test_nothing_is_trained_without_learnable() -> None:
    layer = FreqEnhance(16, num_bands=4, split=7, learnable=None)
    assert [p for p in layer.parameters() if p.requires_grad] == []
    assert not layer(normal(2, 3, 16, 4)).requires_grad
    assert torch.equal(layer.gains, FreqEnhance(16, num_bands=4, split=7).gains)


# --- State, warning, errors ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learnable", "names"),
    [("bands", {"weights", "strength"}), ("free", {"weights"}), (None, {"weights", "strength"})],
)
def test_state_is_the_parameters(learnable: str | None, names: set[str]) -> None:
    layer = randomised(quiet(40, num_bands=6, learnable=learnable))
    assert set(layer.state_dict()) == {name for name, _ in layer.named_parameters()} == names
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = quiet(40, num_bands=6, learnable=learnable)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.gains, layer.gains)


def test_weights_of_bands_load_at_any_length() -> None:
    layer = randomised(quiet(40, num_bands=6, split=9))
    longer = quiet(80, num_bands=6, split=18)
    longer.load_state_dict(layer.state_dict())
    assert torch.equal(longer.weights, layer.weights)


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"length": 120}, None),
        ({"length": 1024}, None),
        ({"length": 1100}, "amplified"),
        ({"length": 1024, "split": 33}, "amplified"),
        ({"length": 1024, "split": 34}, None),
        ({"length": 10, "num_bands": 1, "split": 9}, "amplified"),
        ({"length": 10, "num_bands": 1, "split": 10}, "attenuated"),
        ({"length": 10, "num_bands": 1, "split": 9, "last": "released"}, "attenuated"),
        ({"length": 20, "num_bands": 30, "split": 0}, "amplified"),  # empty bands amplify nothing
        ({"length": 1024, "split": 0, "learnable": "free"}, None),
        ({"length": 1024, "split": 0, "learnable": None}, "amplified"),
        ({"length": 35}, "attenuated"),
        ({"length": 36}, None),
        ({"length": 30}, "attenuated"),
    ],
)
def test_warns_if_nothing_is_amplified_or_attenuated(options: dict, missing: str | None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer = FreqEnhance(**options)
        layer(torch.zeros(1, 1, options["length"], 1))
    assert len(caught) == (missing is not None)
    if caught:
        assert caught[0].category is UserWarning and caught[0].filename == __file__
        assert f"split={options.get('split', 35)}" in str(caught[0].message)
        assert f"is {missing}" in str(caught[0].message)
    if options.get("learnable") != "free":
        assert bool((layer.gains > 1).any()) == (missing != "amplified")
        assert bool((layer.gains < 1).any()) == (missing != "attenuated")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"length": 0}, ValueError, "length must be at least 1, got 0"),
        ({"length": 8.0}, TypeError, "length must be an integer, got 8.0"),
        ({"num_bands": 0}, ValueError, "num_bands must be at least 1, got 0"),
        ({"num_bands": 2.5}, TypeError, "num_bands must be an integer, got 2.5"),
        ({"split": -1}, ValueError, "split must be at least 0, got -1"),
        ({"split": 3.5}, TypeError, "split must be an integer, got 3.5"),
        ({"divisor": 0}, ValueError, "divisor must be at least 1, got 0"),
        ({"dim": "time"}, TypeError, "dim must be an integer, got 'time'"),
        ({"dim": True}, TypeError, "dim must be an integer, got True"),
        ({"strength": "0.3"}, TypeError, "strength must be a number, got '0.3'"),
        ({"strength": float("nan")}, ValueError, "strength must be finite, got nan"),
        ({"learnable": "all"}, ValueError, "learnable must be one of .*, got 'all'"),
        ({"last": "skip"}, ValueError, "last must be one of 'include', 'released', got 'skip'"),
    ],
)
@pytest.mark.parametrize("learnable", ["bands", "free"])
def test_construction_errors(
    options: dict, error: type[Exception], message: str, learnable: str
) -> None:
    with pytest.raises(error, match=message):
        FreqEnhance(**{"length": 20, "learnable": learnable, **options})


def test_forward_errors() -> None:
    layer = FreqEnhance(20, num_bands=4, split=7)
    with pytest.raises(ValueError, match=r"x must have 20 points along dim=-2, got 25"):
        layer(torch.zeros(2, 3, 25, 20))
    with pytest.raises(ValueError, match="dim must be an axis of x"):
        layer(torch.zeros(20))
    with pytest.raises(TypeError, match="x must have a real floating-point dtype"):
        layer(torch.zeros(2, 3, 20, 4, dtype=torch.long))
    with pytest.raises(ValueError, match="lengths must have shape"):
        layer(torch.zeros(2, 3, 20, 4), torch.tensor([20]))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((10, torch.ones(2, 3), 3, 0.3), ValueError, r"weights must have shape \[num_bands\]"),
        ((10, torch.ones(0), 3, 0.3), ValueError, r"weights must have shape \[num_bands\]"),
        ((10, torch.ones(3).long(), 3, 0.3), TypeError, "weights must have a real"),
        ((10, torch.ones(3), 3, torch.ones(2)), ValueError, "strength must be one number"),
        ((10, torch.ones(3), 3, float("nan")), ValueError, "strength must be finite, got nan"),
        ((10, torch.ones(3), -1, 0.3), ValueError, "split must be at least 0"),
        ((0, torch.ones(3), 3, 0.3), ValueError, "n must be at least 1"),
        ((10, torch.ones(3), 3, "0.3"), TypeError, "strength must be a number, got '0.3'"),
    ],
)
def test_gain_errors(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        band_gains(*arguments)


def test_option_errors() -> None:
    with pytest.raises(ValueError, match="divisor must be at least 1"):
        band_gains(10, torch.ones(3), 3, 0.3, divisor=0)
    with pytest.raises(ValueError, match="last must be one of"):
        band_gains(10, torch.ones(3), 3, 0.3, last="all")


def test_repr_names_the_configuration() -> None:
    text = repr(FreqEnhance(20, dim=-1, num_bands=4, split=7, divisor=2, last="released"))
    for part in ("length=20", "dim=-1", "num_bands=4", "split=7", "divisor=2", "last='released'"):
        assert part in text
    assert repr(FreqEnhance(20, learnable="free")) == (
        "FreqEnhance(length=20, dim=-2, learnable='free')"
    )


# --- Precision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("frames", [31, 600])
def test_half_precision_is_rounded_once(dtype: torch.dtype, frames: int) -> None:
    layer = randomised(quiet(frames, split=frames // 2)).float()
    x = normal(2, 3, frames, 4, dtype=dtype)
    exact = apply_gain(x.double(), layer.gains.double(), dim=2)
    assert_rounded(layer(x), exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == dtype
    assert_rounded(y, exact)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gains_of_a_half_precision_module_are_exact(dtype: torch.dtype) -> None:
    layer = FreqEnhance(512, num_bands=300, strength=0.25).to(dtype)  # 1 and 0.25 are exact
    assert layer.weights.dtype == layer.strength.dtype == dtype
    gains = layer.gains  # numerators up to 600, which bf16 would round
    assert gains.dtype == torch.float32
    assert_close(gains, loop_gains(512, [1.0] * 300, 35, 0.25, 1, "include"))
    x = normal(4, 3, 512, 2, dtype=dtype).requires_grad_()
    y = layer(x)
    assert y.dtype == dtype
    y.float().square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == dtype for p in layer.parameters())
    assert relative_error(y, apply_gain(x.double(), gains.double(), dim=2)) < AUTOCAST
    # Exact after a conversion to half precision and back, too.
    expected = loop_gains(512, [1.0] * 300, 35, 0.25, 1, "include")
    assert_close(layer.double().gains, expected)


def test_energy_moves_to_low_frequencies() -> None:
    layer, x = FreqEnhance(120), normal(4, 3, 120, 25)
    before, after = dct(x, dim=2).abs(), dct(layer(x), dim=2).abs()
    ratio = (after / before).mean((0, 1, 3))
    assert bool((ratio[:31] > 1).all()) and bool((ratio[35:] < 1).all())


def test_options_that_are_not_given() -> None:
    layer = FreqEnhance(120)
    given = FreqEnhance(
        120, dim=-2, num_bands=30, split=35, strength=0.3, divisor=1, learnable="bands",
        last="include",
    )  # fmt: skip
    assert repr(layer) == repr(given)
    assert (layer.num_bands, layer.split, layer.divisor, layer.dim) == (30, 35, 1, -2)
    x = normal(2, 120, 4, dtype=torch.float32)
    assert torch.equal(layer.float()(x), given.float()(x))
