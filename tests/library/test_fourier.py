"""The real-input DFT as real pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Signal, load_golden, normal, signals
from hypothesis import given
from tolerances import GOLDEN, assert_close, assert_rounded

from skelfreq.functional import _route, irdft, rdft, relative_log_amplitude


@given(signals())
def test_equals_torch_along_any_axis(signal: Signal) -> None:
    x, dim = signal
    n = x.shape[dim]
    re, im = rdft(x, dim=dim)
    spectrum = torch.fft.rfft(x, dim=dim, norm="ortho")
    assert_close(torch.stack([re, im]), torch.stack([spectrum.real, spectrum.imag]))
    assert_close(irdft(re, im, n, dim=dim), x)
    z_re, z_im = normal(*re.shape, seed=1), normal(*re.shape, seed=2)
    expected = torch.fft.irfft(torch.complex(z_re, z_im), n=n, dim=dim, norm="ortho")
    assert_close(irdft(z_re, z_im, n, dim=dim), expected)


def test_equals_torch_at_every_length() -> None:
    for n in (*range(1, 301), 512, 1023):
        x = normal(2, n, seed=n)
        re, im = rdft(x, dim=-1)
        spectrum = torch.fft.rfft(x, norm="ortho")
        assert_close(torch.stack([re, im]), torch.stack([spectrum.real, spectrum.imag]))
        assert_close(irdft(re, im, n, dim=-1), x)


def test_equals_stored_numpy(golden_path: Path, route: str) -> None:
    golden = load_golden(golden_path / "numpy_rfft.npz")
    for n in golden["ns"]:
        re, im = rdft(torch.from_numpy(golden[f"n{n}_x"]), dim=-1)
        stored = np.stack([golden[f"n{n}_rfft_re"], golden[f"n{n}_rfft_im"]])
        assert_close(torch.stack([re, im]), stored, GOLDEN)
        z_re, z_im = (torch.from_numpy(golden[f"n{n}_z_{part}"]) for part in ("re", "im"))
        assert bool((z_im[:, 0] != 0).all())
        assert_close(irdft(z_re, z_im, int(n), dim=-1), golden[f"n{n}_irfft_z"], GOLDEN)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 120, 129, 300])
def test_edge_bins_have_no_imaginary_part(route: str, n: int) -> None:
    x = normal(3, n, 2)
    re, im = rdft(x, dim=1)
    edges = [0, n // 2] if n % 2 == 0 else [0]
    assert not im[:, edges].any()
    re, im = (torch.randn_like(part, requires_grad=True) for part in (re, im))
    signal = irdft(re, im, n, dim=1)
    changed = im.detach().clone()
    changed[:, edges] = 1e6
    assert torch.equal(irdft(re, changed, n, dim=1), signal)
    g_re, g_im = torch.autograd.grad(signal, (re, im), normal(3, n, 2, seed=1))
    assert bool((g_re != 0).all())
    inner = [k for k in range(n // 2 + 1) if k not in edges]
    assert not g_im[:, edges].any() and bool((g_im[:, inner] != 0).all())


@pytest.mark.parametrize("n", [7, 8])
def test_the_inverse_fft_gets_no_imaginary_part_at_the_edges(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The CPU's FFT ignores it, others use it: check the input of the FFT.
    monkeypatch.setattr(_route, "FOURIER_PRODUCT_POINTS", 0)
    seen: list[torch.Tensor] = []
    irfft = torch.fft.irfft

    def spy(spectrum: torch.Tensor, **arguments) -> torch.Tensor:
        seen.append(spectrum)
        return irfft(spectrum, **arguments)

    monkeypatch.setattr(torch.fft, "irfft", spy)
    re, im = normal(2, n // 2 + 1, 3), normal(2, n // 2 + 1, 3, seed=1)
    irdft(re, im, n, dim=1)
    (spectrum,) = seen
    inner = slice(1, n // 2 if n % 2 == 0 else None)
    expected = torch.zeros_like(im)
    expected[:, inner] = im[:, inner]
    assert torch.equal(spectrum.real, re) and torch.equal(spectrum.imag, expected)


@pytest.mark.parametrize("n", [1, 2, 7, 16, 120, 300])
def test_routes(route: str, n: int) -> None:
    x = normal(2, n, 3)
    re, im = rdft(x, dim=1)
    spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
    assert_close(re, spectrum.real)
    assert_close(torch.stack([re, im]), torch.stack([spectrum.real, spectrum.imag]))
    assert_close(irdft(re, im, n, dim=1), x)


@given(signals())
def test_parseval_with_bin_weights(signal: Signal) -> None:
    x, dim = signal
    n = x.shape[dim]
    re, im = rdft(x, dim=dim)
    weights = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    energy = (re.square() + im.square()).movedim(dim, -1) @ weights
    assert_close(energy, x.square().sum(dim))


def test_gradcheck(route: str) -> None:
    for n in (1, 5, 6):
        x = normal(2, n, 2).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: rdft(x, dim=1), x)
        assert torch.autograd.gradgradcheck(lambda x: rdft(x, dim=1), x)
        re, im = (normal(2, n // 2 + 1, 2, seed=s).requires_grad_() for s in (1, 2))
        function = lambda re, im, n=n: irdft(re, im, n, dim=1)  # noqa: E731
        assert torch.autograd.gradcheck(function, (re, im))
        assert torch.autograd.gradgradcheck(function, (re, im))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("n", [25, 300])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_rounded_once(dtype: torch.dtype, n: int, autocast: bool) -> None:
    x = normal(2, n, 3, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        re, im = rdft(x, dim=1)
        back = irdft(re, im, n, dim=1)
    exact = rdft(x.double(), dim=1)
    assert_rounded(re, exact[0])
    assert_rounded(im, exact[1])
    assert_rounded(back, irdft(re.double(), im.double(), n, dim=1))


@pytest.mark.parametrize("n", [2, 25, 120, 300, 512])
def test_single_precision_error(n: int) -> None:
    x = normal(4, n, dtype=torch.float32)
    re, im = rdft(x, dim=-1)
    assert_close(torch.stack([re, im]), torch.stack(rdft(x.double(), dim=-1)))
    assert_close(irdft(re, im, n, dim=-1), x)


def test_empty_batch_and_meta(route: str) -> None:
    re, im = rdft(torch.empty(0, 300, 2), dim=1)
    assert re.shape == im.shape == (0, 151, 2)
    assert irdft(re, im, 300, dim=1).shape == (0, 300, 2)
    re, im = rdft(torch.empty(2, 30, device="meta"), dim=-1)
    assert re.shape == (2, 16) and irdft(re, im, 30, dim=-1).shape == (2, 30)


@given(signals())
def test_input_is_not_written(signal: Signal) -> None:
    x, dim = signal
    kept = x.clone()
    re, im = rdft(x, dim=dim)
    kept_re, kept_im = re.clone(), im.clone()
    irdft(re, im, x.shape[dim], dim=dim)
    assert torch.equal(x, kept) and torch.equal(re, kept_re) and torch.equal(im, kept_im)


# --- relative_log_amplitude ---------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "dim"), [((2, 30, 25, 8), 1), ((5, 7), 0), ((3, 200), -1)])
def test_log_amplitude_equals_numpy(shape: tuple[int, ...], dim: int) -> None:
    x = normal(*shape)
    amplitude = np.abs(np.fft.rfft(x.numpy(), axis=dim, norm="ortho"))
    log = np.log(amplitude + 1e-6)
    expected = np.mean(np.take(log, -1, axis=dim) - np.take(log, 0, axis=dim))
    assert_close(relative_log_amplitude(x, dim), np.asarray(expected))


def test_log_amplitude_falls_when_smoothed() -> None:
    rough = normal(4, 30, 5)
    smooth = (rough + rough.roll(1, 1)) / 2
    assert float(relative_log_amplitude(smooth, 1)) < float(relative_log_amplitude(rough, 1))
    assert float(relative_log_amplitude(normal(3, 1, 2), 1)) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_log_amplitude_in_half_precision(dtype: torch.dtype) -> None:
    # A mean of 40 over 120 frames: the DC amplitude's square does not fit in fp16.
    x = (normal(2, 120, 4) + 40).to(dtype)
    result = relative_log_amplitude(x, 1)
    assert result.dtype == dtype
    assert_rounded(result, relative_log_amplitude(x.double(), 1))


# --- Errors -------------------------------------------------------------------------------------

BINS = torch.zeros(2, 4, dtype=torch.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rdft(BINS.long(), dim=-1), TypeError, ["x", "int64"]),
        (lambda: rdft(BINS, dim=2), ValueError, ["dim=2", "(2, 4)"]),
        (lambda: rdft(torch.zeros(2, 0), dim=-1), ValueError, ["at least 1", "0"]),
        (lambda: irdft(BINS, BINS, 8, dim=-1), ValueError, ["re", "5 bins", "n=8", "4"]),
        (lambda: irdft(BINS, BINS, 5, dim=-1), ValueError, ["re", "3 bins", "n=5", "4"]),
        (lambda: irdft(BINS, BINS[:1], 6, dim=-1), ValueError, ["im", "(2, 4)", "(1, 4)"]),
        (lambda: irdft(BINS, BINS.double(), 6, dim=-1), TypeError, ["im", "float32", "float64"]),
        (lambda: irdft(BINS, BINS, 6.0, dim=-1), TypeError, ["n", "6.0"]),
        (lambda: irdft(BINS, BINS, 0, dim=-1), ValueError, ["n", "at least 1", "0"]),
        (lambda: irdft(BINS.cfloat(), BINS, 6, dim=-1), TypeError, ["re", "complex64"]),
        (lambda: relative_log_amplitude(BINS.long(), 1), TypeError, ["int64"]),
        (lambda: relative_log_amplitude(BINS, 5), ValueError, ["dim=5"]),
    ],
)
def test_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
