"""Gains, bands and resampling in the DCT domain."""

from __future__ import annotations

from functools import partial

import pytest
import scipy.fft
import torch
from conftest import Signal, normal, signals
from hypothesis import given
from hypothesis import strategies as st
from tolerances import TOLERANCE, assert_close, assert_rounded
from torch import Tensor

from skelfreq.functional import _route, apply_gain, dct, idct, resample, split_bands

# --- apply_gain ---------------------------------------------------------------------------------


@given(signals(), st.integers(0, 99))
def test_gain_scales_the_coefficients(signal: Signal, seed: int) -> None:
    x, dim = signal
    gain = normal(x.shape[dim], seed=seed)
    spectrum = scipy.fft.dct(x.numpy(), norm="ortho", axis=dim)
    curve = gain.view([-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)]).numpy()
    assert_close(
        apply_gain(x, gain, dim=dim), scipy.fft.idct(spectrum * curve, norm="ortho", axis=dim)
    )


@given(signals())
def test_unit_gain_is_the_identity(signal: Signal) -> None:
    x, dim = signal
    assert_close(apply_gain(x, torch.ones(x.shape[dim], dtype=x.dtype), dim=dim), x)


@pytest.mark.parametrize("n", [12, 300])
@pytest.mark.parametrize(
    ("shape", "dim"), [((3, 1), 2), ((1, 5), 2), ((3, 5), 2), ((2, 1, 5), 2), ((1,), 2), ((), 2)]
)
def test_gain_broadcasts_over_the_other_axes(n: int, shape: tuple[int, ...], dim: int) -> None:
    x, gain = normal(2, 3, n, 5), normal(*shape, n, seed=1)
    curve = gain if gain.ndim == 1 else gain.movedim(-1, -2)
    curve = curve[:, None] if gain.ndim == 1 else curve
    expected = idct(dct(x, dim=dim) * curve, dim=dim)
    assert_close(apply_gain(x, gain, dim=dim), expected)


def test_one_curve_for_each_channel() -> None:
    x, gain = normal(2, 3, 12, 5), normal(3, 1, 12, seed=1)
    result = apply_gain(x, gain, dim=2)
    for channel in range(3):
        assert_close(result[:, channel], apply_gain(x[:, channel], gain[channel, 0], dim=1))


@pytest.mark.parametrize("shape", [(4,), (2, 1, 4), (1, 4)])
@pytest.mark.parametrize("lengths", [None, [4, 2]])
def test_gain_gradcheck(route: str, shape: tuple[int, ...], lengths: list[int] | None) -> None:
    x, gain = normal(2, 2, 4, 1).requires_grad_(), normal(*shape, seed=1).requires_grad_()
    present = None if lengths is None else torch.tensor(lengths)
    function = lambda x, gain: apply_gain(x, gain, dim=2, lengths=present)  # noqa: E731
    assert torch.autograd.gradcheck(function, (x, gain))
    assert torch.autograd.gradgradcheck(function, (x, gain))


# One operator for many rows, two products for few, FFTs for long axes.
WAYS = {"operator": (10**9, 0), "products": (10**9, 10**9), "ffts": (0, 0)}


@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize(("shape", "dim"), [((5, -1), 1), ((2, -1, 4), 1), ((-1, 6), 0)])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("piece", [1, 10**9])
def test_gain_gradients_of_product_operator_and_fft(
    n: int,
    shape: tuple[int, ...],
    dim: int,
    way: str,
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_route, "GAIN_PRODUCT_POINTS", WAYS[way][0])
    monkeypatch.setattr(_route, "GAIN_OPERATOR_ROWS", WAYS[way][1])
    # Pieces of one row: sums over pieces are tested, and no spectrum is saved.
    monkeypatch.setattr(_route, "PIECE", piece)
    x = normal(*(n if size == -1 else size for size in shape)).requires_grad_()
    gain = normal(n, seed=1).requires_grad_()
    assert _route.gain_operator(x, n) == (way == "operator")
    expected = idct((dct(x, dim=dim).movedim(dim, -1) * gain).movedim(-1, dim), dim=dim)
    assert_close(apply_gain(x, gain, dim=dim), expected)
    grad_output = normal(*x.shape, seed=2)
    once = torch.autograd.grad(apply_gain(x, gain, dim=dim), (x, gain), grad_output)
    for got, value in zip(once, torch.autograd.grad(expected, (x, gain), grad_output), strict=True):
        assert_close(got, value)
    function = lambda x, gain: apply_gain(x, gain, dim=dim)  # noqa: E731
    assert torch.autograd.gradcheck(function, (x, gain))
    assert torch.autograd.gradgradcheck(function, (x, gain))


@pytest.mark.parametrize(("rows", "n"), [(200, 30), (20, 30), (4, 400)])
def test_gain_gradients_under_vmap_and_autocast(rows: int, n: int) -> None:
    leaves = [normal(rows, n).float(), normal(n, seed=1).float()]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    y, grad_output = apply_gain(*leaves, dim=-1), normal(3, rows, n, seed=2).float()
    each = [torch.autograd.grad(y, leaves, one, retain_graph=True) for one in grad_output]
    with torch.autocast("cpu", torch.bfloat16):
        once = torch.autograd.grad(y, leaves, grad_output[0], retain_graph=True)
    for got, value in zip(once, each[0], strict=True):
        assert torch.equal(got, value)
    batched = torch.autograd.grad(y, leaves, grad_output, is_grads_batched=True)
    for got, values in zip(batched, zip(*each, strict=True), strict=True):
        assert_close(got, torch.stack(values))


@pytest.mark.parametrize(("rows", "n"), [(2, 6), (40, 6), (2, 400)])
def test_gradients_of_a_gain_made_from_the_input(rows: int, n: int) -> None:
    x = normal(rows, n).requires_grad_()

    def loss(x: Tensor) -> Tensor:
        return apply_gain(x, x.mean(0).sigmoid(), dim=-1).square().sum()

    once = torch.autograd.grad(loss(x), x)[0]
    retained = torch.autograd.grad(loss(x), x, create_graph=True)[0]
    assert_close(once, torch.func.grad(loss)(x))
    assert_close(retained, once)


@pytest.mark.parametrize("n", [12, 600])
def test_gain_vmap_and_jvp(n: int) -> None:
    x, gain, tangent = normal(4, 3, n), normal(4, n, seed=1), normal(4, 3, n, seed=2)
    along_the_last = partial(apply_gain, dim=-1)
    expected = torch.stack([apply_gain(a, b, dim=-1) for a, b in zip(x, gain, strict=True)])
    assert_close(torch.func.vmap(along_the_last)(x, gain), expected)
    value, tangent_out = torch.func.jvp(along_the_last, (x[0], gain[0]), (tangent[0], gain[1]))
    assert_close(value, expected[0])
    assert_close(
        tangent_out, apply_gain(tangent[0], gain[0], dim=-1) + apply_gain(x[0], gain[1], dim=-1)
    )


@pytest.mark.parametrize("shape", [(20,), (3, 1, 20)])
def test_gain_ignores_padding(shape: tuple[int, ...]) -> None:
    x, gain, lengths = normal(4, 3, 20, 2), normal(*shape, seed=1), torch.tensor([20, 11, 1, 0])
    for sample, length in zip(x, lengths, strict=True):
        sample[:, length:] = float("nan")
    result = apply_gain(x, gain, dim=2, lengths=lengths)
    for sample, out, length in zip(x, result, lengths, strict=True):
        assert not out[:, length:].any()
        if length > 0:
            assert_close(out[:, :length], apply_gain(sample[:, :length], gain[..., :length], dim=1))


def test_gain_follows_the_dtype_of_x() -> None:
    x, gain = normal(2, 25, dtype=torch.bfloat16), normal(25, seed=1)
    assert_rounded(
        apply_gain(x, gain, dim=-1), apply_gain(x.double(), gain.float().double(), dim=-1)
    )
    assert apply_gain(normal(2, 25), gain.float(), dim=-1).dtype == torch.float64


# --- split_bands --------------------------------------------------------------------------------


@given(signals(), st.data())
def test_bands_add_up_and_do_not_overlap(signal: Signal, data: st.DataObject) -> None:
    x, dim = signal
    n = x.shape[dim]
    cutoff = data.draw(st.integers(0, n))
    low, high = split_bands(x, cutoff, dim=dim)
    assert_close(low + high, x)
    scale = float(x.abs().max()) * TOLERANCE[torch.float64]
    spectrum, limit = dct(x, dim=dim), 10 * scale
    for band, indices in ((low, slice(0, cutoff)), (high, slice(cutoff, n))):
        coefficients = dct(band, dim=dim).movedim(dim, 0)
        expected = torch.zeros_like(coefficients)
        expected[indices] = spectrum.movedim(dim, 0)[indices]
        assert float((coefficients - expected).abs().max()) <= limit
    # Orthogonal, hence the energies add up.
    assert_close(low.square().sum(dim) + high.square().sum(dim), x.square().sum(dim))


@given(signals(), st.data())
def test_splitting_a_band_again_changes_nothing(signal: Signal, data: st.DataObject) -> None:
    x, dim = signal
    cutoff = data.draw(st.integers(0, x.shape[dim]))
    limit = 10 * TOLERANCE[torch.float64] * float(x.abs().max())
    for index, band in enumerate(split_bands(x, cutoff, dim=dim)):
        again = split_bands(band, cutoff, dim=dim)
        assert float((again[index] - band).abs().max()) <= limit
        assert float(again[1 - index].abs().max()) <= limit


@pytest.mark.parametrize("n", [1, 25, 300])
def test_extreme_cutoffs(n: int) -> None:
    x = normal(2, n)
    low, high = split_bands(x, 0, dim=-1)
    assert not low.any() and torch.equal(high, x)
    low, high = split_bands(x, n, dim=-1)
    assert_close(low, x)
    assert float(high.abs().max()) < 10 * TOLERANCE[torch.float64]


def test_low_band_of_one_coefficient_is_the_mean() -> None:
    x = normal(2, 3, 9, 4)
    low, _ = split_bands(x, 1, dim=2)
    assert_close(low, x.mean(2, keepdim=True).expand_as(x))


@pytest.mark.parametrize("cutoff", [0, 3, 20])
def test_bands_ignore_padding(cutoff: int) -> None:
    x, lengths = normal(4, 3, 20, 2), torch.tensor([20, 11, 2, 0])
    for sample, length in zip(x, lengths, strict=True):
        sample[:, length:] = float("inf")
    low, high = split_bands(x, cutoff, dim=2, lengths=lengths)
    for sample, length, *bands in zip(x, lengths, low, high, strict=True):
        assert not any(band[:, length:].any() for band in bands)
        if length > 0:
            expected = split_bands(sample[:, :length], min(cutoff, int(length)), dim=1)
            for band, value in zip(bands, expected, strict=True):
                error = (band[:, :length] - value).abs().max()
                assert float(error) < 10 * TOLERANCE[torch.float64]


def test_bands_gradcheck(route: str) -> None:
    x = normal(2, 6, 2).requires_grad_()
    for lengths in (None, torch.tensor([6, 4])):
        assert torch.autograd.gradcheck(lambda x, p=lengths: split_bands(x, 2, dim=1, lengths=p), x)


def test_bands_in_half_precision() -> None:
    x = normal(2, 25, dtype=torch.bfloat16)
    for band, exact in zip(
        split_bands(x, 5, dim=-1), split_bands(x.double(), 5, dim=-1), strict=True
    ):
        assert band.dtype == torch.bfloat16
        assert_rounded(band, exact)


# --- resample -----------------------------------------------------------------------------------


def cosines(n: int, order: int) -> torch.Tensor:
    """Sample a sum of the first ``order`` cosines over [0, 1] at the middles of n intervals."""
    t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    weights = normal(3, order, seed=2)
    return weights @ torch.cos(torch.pi * torch.arange(order, dtype=t.dtype)[:, None] * t)


@pytest.mark.parametrize(("n", "size"), [(8, 8), (8, 20), (20, 8), (7, 300), (300, 31), (260, 520)])
def test_band_limited_signals_are_exact(n: int, size: int) -> None:
    order = min(n, size)
    # Angles up to pi * order lose digits in the cosines of the reference.
    tolerance = 10 * TOLERANCE[torch.float64]
    assert_close(resample(cosines(n, order), size, dim=-1), cosines(size, order), tolerance)


@given(signals(), st.sampled_from([1, 2, 7, 64, 256, 257, 300]))
def test_resample_equals_scipy_with_zero_padding(signal: Signal, size: int) -> None:
    x, dim = signal
    n = x.shape[dim]
    spectrum = scipy.fft.dct(x.numpy(), norm="ortho", axis=dim)
    # scipy's n cuts or zero-pads the coefficients.
    expected = scipy.fft.idct(spectrum, n=size, norm="ortho", axis=dim) * (size / n) ** 0.5
    assert_close(resample(x, size, dim=dim), expected)


@given(signals(), st.sampled_from([1, 2, 16, 31, 300]))
def test_constants_stay_constant(signal: Signal, size: int) -> None:
    shape = list(signal.x.shape)
    x = torch.full(shape, 1.7, dtype=torch.float64)
    shape[signal.dim] = size
    assert_close(resample(x, size, dim=signal.dim), torch.full(shape, 1.7, dtype=torch.float64))


@given(signals())
def test_same_size_is_the_identity(signal: Signal) -> None:
    x, dim = signal
    assert_close(resample(x, x.shape[dim], dim=dim), x)


@given(signals(), st.integers(0, 200))
def test_up_then_down_is_the_identity(signal: Signal, extra: int) -> None:
    x, dim = signal
    n = x.shape[dim]
    assert_close(resample(resample(x, n + extra, dim=dim), n, dim=dim), x)


def test_resample_gradcheck(route: str) -> None:
    x = normal(2, 6, 2).requires_grad_()
    for size in (1, 4, 9):
        assert torch.autograd.gradcheck(lambda x, s=size: resample(x, s, dim=1), x)


@pytest.mark.parametrize("size", [10, 300])
def test_resample_in_half_precision(size: int) -> None:
    x = normal(2, 25, dtype=torch.float16)
    assert_rounded(resample(x, size, dim=-1), resample(x.double(), size, dim=-1))


# --- Errors -------------------------------------------------------------------------------------

X = torch.zeros(2, 3, 6)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: apply_gain(X, torch.ones(5), dim=-1), ValueError, ["gain", "6 entries", "(5,)"]),
        (lambda: apply_gain(X, torch.ones(()), dim=-1), ValueError, ["gain", "6 entries", "()"]),
        (
            lambda: apply_gain(X, torch.ones(1, 1, 1, 6), dim=-1),
            ValueError,
            ["gain", "at most 3", "4"],
        ),
        (lambda: apply_gain(X, torch.ones(4, 6), dim=-1), ValueError, ["gain", "(3,)", "(4, 6)"]),
        (lambda: apply_gain(X, torch.ones(2, 6), dim=-1), ValueError, ["gain", "(3,)", "(2, 6)"]),
        (lambda: apply_gain(X, torch.ones(6).long(), dim=-1), TypeError, ["gain", "int64"]),
        (lambda: apply_gain(X, [1.0] * 6, dim=-1), TypeError, ["gain", "list"]),
        (lambda: split_bands(X, -1, dim=-1), ValueError, ["cutoff", "0 and 6", "-1"]),
        (lambda: split_bands(X, 7, dim=-1), ValueError, ["cutoff", "0 and 6", "7"]),
        (lambda: split_bands(X, 2.0, dim=-1), TypeError, ["cutoff", "2.0"]),
        (lambda: split_bands(X.int(), 2, dim=-1), TypeError, ["x", "int32"]),
        (lambda: resample(X, 0, dim=-1), ValueError, ["size", "at least 1", "0"]),
        (lambda: resample(X, 2.5, dim=-1), TypeError, ["size", "2.5"]),
        (lambda: resample(X, 4, dim=3), ValueError, ["dim=3", "(2, 3, 6)"]),
        (lambda: resample(torch.zeros(0), 4, dim=-1), ValueError, ["at least 1", "0"]),
    ],
)
def test_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
