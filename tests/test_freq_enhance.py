"""FreqEnhance and its gains: the published release, a direct transcription, laws, training."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from conftest import Signal, load_golden, normal, signals
from hypothesis import given
from hypothesis import strategies as st
from tolerances import GOLDEN, TOLERANCE, assert_close, assert_rounded
from torch import Tensor, nn

from skelfreq import FreqEnhance
from skelfreq.functional import apply_gain, band_edges, band_gains, idct

RELEASED = [
    "n20_b30_s30_empty_bands",
    "n64_b10_s20_w",
    "n100_b30_s35_w",
    "n120_b30_s35_w",
    "n256_b30_s30_default",
    "n256_b30_s30_w",
    "n256_b30_s35_m2",
]


def direct_gains(
    n: int, weights: list[float], split: int, strength: float, divisor: int, last: str
) -> list[float]:
    """Band by band and coefficient by coefficient."""
    b = len(weights)
    edges = [i * (n - 1) // b for i in range(b + 1)]
    if last == "include":
        edges[b] = n
    gains = [1.0] * n
    for i, w in enumerate(weights):
        for k in range(edges[i], edges[i + 1]):
            if edges[i + 1] <= split:
                gains[k] = 1 + w * strength * (1 - i / b)
            else:
                gains[k] = 1 - w * strength * (1 - (i - b // divisor) / b)
    return gains


def trained(length: int, seed: int = 0, **arguments) -> FreqEnhance:
    """Build a layer whose weights are not 1, in fp64; warnings are tested elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = FreqEnhance(length, **arguments).double()
    with torch.no_grad():
        layer.weights.copy_(normal(*layer.weights.shape, seed=seed))
    return layer


def scipy_enhanced(x: Tensor, gains: Tensor, dim: int) -> np.ndarray:
    spectrum = np.moveaxis(scipy.fft.dct(x.numpy(), norm="ortho", axis=dim), dim, -1)
    spectrum = np.moveaxis(spectrum * gains.detach().numpy(), -1, dim)
    return scipy.fft.idct(spectrum, norm="ortho", axis=dim)


# --- The published release ----------------------------------------------------------------------


# With many rows the layer is one n × n operator, with few it is two transforms.
@pytest.mark.parametrize("many_rows", [False, True])
@pytest.mark.parametrize("name", RELEASED)
def test_equals_the_release(golden_path: Path, name: str, many_rows: bool) -> None:
    golden = load_golden(golden_path / f"fsvae_dct_enhance_{name}.npz")
    n, b, split, m = (int(golden[key]) for key in ("n", "num_freq_bands", "split_freq", "m"))
    if (b, split, m) == (30, 30, 1):
        layer = FreqEnhance.released(n).double()
    else:
        layer = FreqEnhance(n, -1, b, split, divisor=m, last="released").double()
    with torch.no_grad():
        layer.weights.copy_(torch.from_numpy(golden["freq_weights"]))
        layer.strength.fill_(float(golden["k"]))
    copies = n if many_rows else 1
    x = torch.from_numpy(golden["x"]).repeat(copies, 1).requires_grad_()
    y = layer(x)
    (y * torch.from_numpy(golden["r"]).repeat(copies, 1)).sum().backward()
    assert_close(y, np.tile(golden["y"], (copies, 1)), GOLDEN)
    assert_close(x.grad, np.tile(golden["grad_x"], (copies, 1)), GOLDEN)
    assert_close(layer.weights.grad, copies * golden["grad_freq_weights"], GOLDEN)
    assert_close(layer.strength.grad, copies * golden["grad_k"], GOLDEN)


@pytest.mark.parametrize("name", RELEASED)
def test_gains_and_edges_equal_the_release(golden_path: Path, name: str) -> None:
    golden = load_golden(golden_path / f"fsvae_dct_enhance_{name}.npz")
    n, b, split, m = (int(golden[key]) for key in ("n", "num_freq_bands", "split_freq", "m"))
    weights = torch.from_numpy(golden["freq_weights"])
    gains = band_gains(n, weights, split, float(golden["k"]), m, "released")
    assert_close(gains, golden["gain"])
    assert band_edges(n, b, "released").tolist() == golden["split_points"].tolist()


@pytest.mark.parametrize(
    ("length", "amplified"), [(20, 19), (256, 25), (512, 17), (1024, 0), (1536, 0)]
)
def test_what_the_release_amplifies(length: int, amplified: int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gains = FreqEnhance.released(length).gains
    assert (gains[:amplified] > 1).all() and (gains[amplified:-1] < 1).all() and gains[-1] == 1
    assert bool(caught) == (amplified == 0)


def test_the_release_attenuates_most_just_above_the_split() -> None:
    gains = FreqEnhance.released().gains
    assert int(gains.argmin()) == 25
    assert_close(gains[[25, 254]], np.array([1 - 0.3 * 1.9, 1 - 0.3 * 31 / 30]))


# --- Edges --------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_bands", [1, 2, 7, 10, 30, 31, 64, 700])
def test_edges_are_those_of_python_integers(num_bands: int) -> None:
    sizes = range(1, 601)
    exact = [[i * (n - 1) // num_bands for i in range(num_bands + 1)] for n in sizes]
    assert torch.stack([band_edges(n, num_bands, "released") for n in sizes]).tolist() == exact
    for row, n in zip(exact, sizes, strict=True):
        row[-1] = n
    assert torch.stack([band_edges(n, num_bands) for n in sizes]).tolist() == exact


@pytest.mark.parametrize(
    ("n", "edge", "value"),
    # Rounded below the whole number by linspace in fp32, and the last two in fp64.
    [(17, 15, 8), (65, 15, 32), (257, 15, 128), (1025, 15, 512), (131, 15, 65), (139, 5, 23)],
)
def test_edges_where_floating_point_is_one_too_low(n: int, edge: int, value: int) -> None:
    assert 30 * value == edge * (n - 1)
    assert int(band_edges(n, 30)[edge]) == value
    assert int(band_edges(n, 30)[edge + 1]) >= value


def test_edges_of_very_long_axes_are_exact() -> None:
    assert band_edges(2**40, 3, "released").tolist() == [i * (2**40 - 1) // 3 for i in range(4)]


# --- Gains --------------------------------------------------------------------------------------


@given(
    n=st.integers(1, 200),
    num_bands=st.integers(1, 45),
    split=st.integers(0, 220),
    strength=st.floats(-2, 2),
    divisor=st.integers(1, 50),
    last=st.sampled_from(["include", "released"]),
    tensor=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_gains_equal_a_direct_loop(
    n: int, num_bands: int, split: int, strength: float, divisor: int, last: str,
    tensor: bool, seed: int,
) -> None:  # fmt: skip
    weights = normal(num_bands, seed=seed)
    kappa = torch.tensor([strength], dtype=torch.float64) if tensor else strength
    gains = band_gains(n, weights, split, kappa, divisor, last)
    direct = direct_gains(n, weights.tolist(), split, strength, divisor, last)
    assert gains.shape == (n,) and gains.dtype == torch.float64
    assert_close(gains, np.array(direct))


@given(n=st.integers(1, 300), num_bands=st.integers(1, 40), split=st.integers(0, 300))
def test_every_coefficient_has_a_band_unless_released(n: int, num_bands: int, split: int) -> None:
    weights = torch.ones(num_bands)
    assert (band_gains(n, weights, split, 0.3) != 1).all()
    released = band_gains(n, weights, split, 0.3, last="released")
    assert (released[:-1] != 1).all() and released[-1] == 1
    edges = band_edges(n, num_bands)
    assert (edges.diff() >= 0).all() and edges[0] == 0 and edges[-1] == n
    # Low coefficients are amplified, high ones attenuated; never one inside the other.
    assert (((released[:-1] > 1).int()).diff() <= 0).all()


def test_gains_keep_double_and_compute_half_in_single() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert band_gains(9, torch.ones(3, dtype=dtype), 4, 0.3).dtype == torch.float32
    assert band_gains(9, torch.ones(3).double(), 4, 0.3).dtype == torch.float64
    weights = normal(3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = band_gains(9, weights, 4, 0.3)
    assert torch.equal(inside, band_gains(9, weights, 4, 0.3))


# --- The layer ----------------------------------------------------------------------------------


@given(signal=signals(), bands=st.integers(1, 40), split=st.integers(0, 300), free=st.booleans())
def test_equals_scipy_along_any_axis(signal: Signal, bands: int, split: int, free: bool) -> None:
    x, dim = signal
    learnable = "free" if free else "bands"
    layer = trained(x.shape[dim], dim=dim, num_bands=bands, split=split, learnable=learnable)
    kept = x.clone()
    assert_close(layer(x), scipy_enhanced(x, layer.gains, dim))
    assert torch.equal(x, kept)


@given(signal=signals(), seed=st.integers(0, 100))
def test_linear(signal: Signal, seed: int) -> None:
    x, dim = signal
    layer, y = trained(x.shape[dim], dim=dim), normal(*x.shape, seed=seed)
    assert_close(layer(3 * x - y), 3 * layer(x) - layer(y))


@given(signal=signals(), last=st.sampled_from(["include", "released"]), divisor=st.integers(1, 4))
def test_strength_zero_is_the_identity(signal: Signal, last: str, divisor: int) -> None:
    x, dim = signal
    layer = trained(x.shape[dim], dim=dim, strength=0.0, last=last, divisor=divisor)
    assert torch.equal(layer.gains, torch.ones(x.shape[dim], dtype=torch.float64))
    assert_close(layer(x), x)


def test_free_gains_are_the_weights() -> None:
    layer = FreqEnhance(31, learnable="free").double()
    x = normal(2, 3, 31, 4)
    assert_close(layer(x), x)
    with torch.no_grad():
        layer.weights.copy_(normal(31, seed=1))
    assert layer.gains is layer.weights
    assert torch.equal(layer(x), apply_gain(x, layer.weights, -2))


@pytest.mark.parametrize("learnable", ["bands", "free"])
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    dim=st.sampled_from([1, -2, 3]),
    garbage=st.floats(-100, 100),
)
def test_padding_does_not_matter(
    learnable: str, lengths: list[int], dim: int, garbage: float
) -> None:
    shape = [len(lengths), 2, 3, 2]
    shape[dim] = 40
    layer = trained(40, dim=dim, num_bands=6, split=12, learnable=learnable)
    x = normal(*shape).movedim(dim, 1)
    present = torch.arange(40) < torch.tensor(lengths).unsqueeze(1)
    x = torch.where(present[:, :, None, None], x, garbage).movedim(1, dim)
    out = layer(x, lengths=torch.tensor(lengths))
    for sample, result, n in zip(x, out, lengths, strict=True):
        sample, result = sample.movedim(dim % 4 - 1, -1), result.movedim(dim % 4 - 1, -1)
        assert not result[..., n:].any()
        if n:
            assert_close(result[..., :n], scipy_enhanced(sample[..., :n], layer.gains[:n], -1))


@pytest.mark.parametrize("lengths", [None, torch.tensor([5, 9])])
@pytest.mark.parametrize("learnable", ["bands", "free"])
def test_gradcheck(learnable: str, lengths: Tensor | None) -> None:
    layer = trained(9, num_bands=4, split=5, learnable=learnable, divisor=2)
    x = normal(2, 2, 9, 3, seed=1).requires_grad_()
    leaves = dict(layer.named_parameters())

    def forward(x: Tensor, *values: Tensor) -> Tensor:
        state = dict(zip(leaves, values, strict=True))
        return torch.func.functional_call(layer, state, (x,), {"lengths": lengths})

    assert torch.autograd.gradcheck(forward, (x, *leaves.values()))
    assert torch.autograd.gradgradcheck(forward, (x, *leaves.values()))


def test_an_empty_band_gets_no_gradient() -> None:
    layer = FreqEnhance(4, dim=-1, num_bands=6, split=2).double()
    layer(normal(3, 4)).square().sum().backward()
    edges = band_edges(4, 6)
    assert torch.equal(layer.weights.grad == 0, edges.diff() == 0)


# --- Precision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("n", [16, 25, 120, 300])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_rounded_once(dtype: torch.dtype, n: int, autocast: bool) -> None:
    layer = FreqEnhance(n)
    x = normal(2, 3, n, 5, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        result = layer(x)
    assert result.dtype == dtype
    assert_rounded(result, layer.double()(x.double()).detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_module_keeps_exact_slopes(dtype: torch.dtype) -> None:
    # 29 / 30 is no bf16 number: slopes kept in the module's dtype would differ by 0.2 %.
    layer = FreqEnhance(300, num_bands=300, split=60).to(dtype)
    assert layer.weights.dtype == layer.strength.dtype == dtype
    direct = direct_gains(300, [1.0] * 300, 60, float(layer.strength.detach()), 1, "include")
    assert layer.gains.dtype == torch.float32
    assert_close(layer.gains, np.array(direct), TOLERANCE[torch.float32])


# --- Training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("learnable", ["bands", "free"])
def test_learns_a_gain_curve(learnable: str) -> None:
    n = 24
    target = torch.linspace(2, 0.2, n)
    if learnable == "bands":
        weights = torch.tensor([2.0, 0.5, 1.5, -0.5])
        target = band_gains(n, weights, split=13, strength=0.4)
    layer = FreqEnhance(n, num_bands=4, split=13, learnable=learnable)
    start = float((layer.gains.detach() - target).abs().max())
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    x = normal(8, 3, n, 5, dtype=torch.float32)
    goal = apply_gain(x, target, -2)
    for _ in range(250):
        optimizer.zero_grad()
        (layer(x) - goal).square().mean().backward()
        optimizer.step()
    assert start > 0.2
    assert (layer.gains.detach() - target).abs().max() < 0.01


def test_strength_and_weights_learn_inside_a_network() -> None:
    # Classes differ in a weak wobble of coefficient 20; slow movement tells nothing.
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(256) % 2
    spectrum = torch.randn(256, 32, generator=generator) / 3
    spectrum[:, :16] *= 6
    spectrum[:, 20] += labels - 0.5
    x = idct(spectrum)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(FreqEnhance(32, dim=-1, num_bands=4, split=16), nn.Linear(32, 2))
    before = model[0].gains.detach()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    after = model[0].gains.detach()
    assert (model(x).argmax(1) == labels).double().mean() > 0.9
    # The band of coefficient 20 gains on the slow ones.
    assert after[20].abs() / after[0].abs() > 2 * before[20] / before[0]


def test_nothing_is_trained_without_learnable() -> None:
    layer = FreqEnhance(40, learnable=None)
    assert not any(p.requires_grad for p in layer.parameters())
    assert not layer(normal(2, 3, 40, 4, dtype=torch.float32)).requires_grad
    assert torch.equal(layer.gains, FreqEnhance(40).gains)


# --- State and construction ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learnable", "names"),
    [("bands", {"weights", "strength"}), (None, {"weights", "strength"}), ("free", {"weights"})],
)
def test_state_holds_what_is_learned_only(learnable: str | None, names: set[str]) -> None:
    layer = FreqEnhance(64, learnable=learnable)
    assert set(layer.state_dict()) == set(dict(layer.named_parameters())) == names
    assert not any(buffer.is_floating_point() for buffer in layer.buffers())


def test_state_of_another_split_loads_without_changing_it() -> None:
    first, second = FreqEnhance(64, split=10), FreqEnhance(64, split=40, strength=0.1)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.gains, FreqEnhance(64, split=40).gains)


@pytest.mark.parametrize(
    "arguments",
    [{"length": 1024, "split": 30}, {"length": 64, "split": 0}, {"length": 64, "num_bands": 1}],
    ids=str,
)
def test_warns_once_when_nothing_is_amplified(arguments: dict) -> None:
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layer = FreqEnhance(**arguments)
            layer(torch.ones(1, 1, arguments["length"], 1))
        (warning,) = caught
        assert warning.category is UserWarning and warning.filename == __file__
        for word in ("amplified", f"length={arguments['length']}", f"split={layer.split}"):
            assert word in str(warning.message)
    assert not (layer.gains > 1).any()


@pytest.mark.parametrize(
    "arguments",
    [{"length": 120}, {"length": 1024, "split": 34}, {"length": 20}, {"length": 1, "split": 1},
     {"length": 64, "num_bands": 1, "split": 64},
     {"length": 1024, "split": 30, "learnable": "free"}],
    ids=str,
)  # fmt: skip
def test_does_not_warn_otherwise(arguments: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = FreqEnhance(**arguments)
    assert layer.learnable == "free" or (layer.gains > 1).any()


def test_defaults_are_those_of_the_paper() -> None:
    layer = FreqEnhance(100)
    assert (layer.dim, layer.num_bands, layer.split, layer.divisor) == (-2, 30, 35, 1)
    assert layer.last == "include" and bool((layer.weights == 1).all())
    assert float(layer.strength.detach()) == pytest.approx(0.3)
    released = FreqEnhance.released()
    assert (released.length, released.dim, released.split) == (256, -1, 30)
    assert released.last == "released"


def test_repr_shows_the_configuration() -> None:
    assert repr(FreqEnhance(64, split=20)) == (
        "FreqEnhance(length=64, dim=-2, num_bands=30, split=20, divisor=1, learnable='bands', "
        "last='include')"
    )
    assert repr(FreqEnhance(9, learnable="free")) == (
        "FreqEnhance(length=9, dim=-2, learnable='free')"
    )


# --- Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"length": 0}, ValueError, ["length", "at least 1", "0"]),
        ({"length": 12.0}, TypeError, ["length", "integer", "12.0"]),
        ({"dim": 1.0}, TypeError, ["dim", "integer", "1.0"]),
        ({"dim": True}, TypeError, ["dim", "True"]),
        ({"num_bands": 0}, ValueError, ["num_bands", "at least 1", "0"]),
        ({"num_bands": 2.5}, TypeError, ["num_bands", "2.5"]),
        ({"split": -1}, ValueError, ["split", "at least 0", "-1"]),
        ({"split": 3.5}, TypeError, ["split", "3.5"]),
        ({"strength": "much"}, TypeError, ["strength", "'much'"]),
        ({"strength": True}, TypeError, ["strength", "True"]),
        ({"strength": float("nan")}, ValueError, ["strength", "finite", "nan"]),
        ({"divisor": 0}, ValueError, ["divisor", "at least 1", "0"]),
        ({"learnable": "all"}, ValueError, ["learnable", "'bands'", "'free'", "None", "'all'"]),
        ({"last": "keep"}, ValueError, ["last", "'include'", "'released'", "'keep'"]),
        ({"num_bands": 0, "learnable": "free"}, ValueError, ["num_bands", "0"]),
    ],
)
def test_constructor_errors(arguments: dict, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        FreqEnhance(**{"length": 64, **arguments})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("x", "lengths", "error", "words"),
    [
        (torch.zeros(2, 3, 60, 25), None, ValueError, ["64 points", "dim=-2", "60"]),
        (torch.zeros(64), None, ValueError, ["dim", "(64,)", "-2"]),
        (torch.zeros(2, 3, 64, 25).long(), None, TypeError, ["x", "int64"]),
        (torch.zeros(2, 3, 64, 25, dtype=torch.complex64), None, TypeError, ["x", "complex64"]),
        ([0.0], None, TypeError, ["x", "tensor", "list"]),
        (torch.zeros(2, 3, 64, 25), torch.tensor([64]), ValueError, ["lengths", "(2,)"]),
        (torch.zeros(2, 3, 64, 25), torch.tensor([64, 65]), ValueError, ["lengths", "64", "65"]),
    ],
)
def test_forward_errors(
    x: Tensor, lengths: Tensor | None, error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        FreqEnhance(64)(x, lengths)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: band_edges(0, 3), ValueError, ["n must", "at least 1", "0"]),
        (lambda: band_edges(9.0, 3), TypeError, ["n must", "9.0"]),
        (lambda: band_edges(9, -3), ValueError, ["num_bands", "-3"]),
        (lambda: band_edges(9, 3, "all"), ValueError, ["last", "'all'"]),
        (lambda: band_gains(9, torch.ones(2, 3), 4, 0.3), ValueError, ["weights", "(2, 3)"]),
        (lambda: band_gains(9, torch.ones(0), 4, 0.3), ValueError, ["weights", "(0,)"]),
        (lambda: band_gains(9, torch.ones(3).int(), 4, 0.3), TypeError, ["weights", "int32"]),
        (lambda: band_gains(9, torch.ones(3), -4, 0.3), ValueError, ["split", "-4"]),
        (lambda: band_gains(9, torch.ones(3), 4, torch.ones(2)), ValueError, ["strength", "(2,)"]),
        (lambda: band_gains(9, torch.ones(3), 4, 0.3, 0), ValueError, ["divisor", "0"]),
    ],
)
def test_function_errors(call, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
