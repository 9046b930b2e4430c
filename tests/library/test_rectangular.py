"""Rectangular transforms: the first coefficients only, and signals longer than their spectrum."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch
from conftest import normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from skelfreq.functional import dct, dct_matrix, idct, resample

METHODS = ("auto", "matmul", "fft", "torch-dct")


@given(st.integers(1, 40), st.data())
def test_the_first_coefficients(n: int, data: st.DataObject) -> None:
    keep, norm = data.draw(st.integers(1, n)), data.draw(st.sampled_from(["ortho", None]))
    x = normal(2, n, 3, seed=n)
    for method in METHODS:
        got = dct(x, dim=1, norm=norm, keep=keep, method=method)
        assert_close(got, scipy.fft.dct(x.numpy(), norm=norm, axis=1)[:, :keep])


@given(st.integers(1, 40), st.integers(0, 30), st.sampled_from(["ortho", None]))
def test_a_signal_longer_than_its_spectrum(k: int, more: int, norm: str | None) -> None:
    x = normal(2, k, 3, seed=k)
    for method in METHODS:
        got = idct(x, dim=1, norm=norm, size=k + more, method=method)
        assert_close(got, scipy.fft.idct(x.numpy(), norm=norm, n=k + more, axis=1))


@pytest.mark.parametrize(("n", "keep"), [(600, 9), (600, 300), (600, 600), (1024, 257)])
@pytest.mark.parametrize("norm", ["ortho", None])
def test_long_axes(n: int, keep: int, norm: str | None) -> None:
    x = normal(2, n)
    coefficients = dct(x, dim=1, norm=norm, keep=keep)
    assert_close(coefficients, scipy.fft.dct(x.numpy(), norm=norm, axis=1)[:, :keep])
    expected = scipy.fft.idct(coefficients.numpy(), norm=norm, n=n, axis=1)
    assert_close(idct(coefficients, dim=1, norm=norm, size=n), expected)


def test_tokens_of_poseformer_v2() -> None:
    x, keep = normal(4, 81, 17, 2), 9
    got = dct(x, dim=1, norm=None, keep=keep)
    assert_close(got, scipy.fft.dct(x.numpy(), axis=1)[:, :keep])
    rows = dct_matrix(81, dtype=torch.float64)[:keep]
    assert_close(dct(x, dim=1, keep=keep), torch.einsum("kt,btvc->bkvc", rows, x))


@pytest.mark.parametrize("norm", ["ortho", None])
@pytest.mark.parametrize("keep", [1, 4, 10])
def test_lengths(norm: str | None, keep: int) -> None:
    x, lengths = normal(4, 10, 3), torch.tensor([10, 6, 1, 0])
    got = dct(x, dim=1, norm=norm, keep=keep, lengths=lengths)
    back = idct(got, dim=1, norm=norm, size=10, lengths=lengths)
    for i, length in enumerate(lengths.tolist()):
        own = min(keep, length)
        assert not got[i, own:].any() and not back[i, length:].any()
        if length:
            exact = scipy.fft.dct(x[i, :length].numpy(), norm=norm, axis=0)[:own]
            assert_close(got[i, :own], exact)
            assert_close(back[i, :length], scipy.fft.idct(exact, norm=norm, n=length, axis=0))


@pytest.mark.parametrize("method", ["fft", "torch-dct"])
def test_ffts_with_lengths_raise(method: str) -> None:
    for transform in (dct, idct):
        with pytest.raises(
            ValueError, match=f"method must be 'auto' or 'matmul' .* got '{method}'"
        ):
            transform(normal(2, 6), dim=1, lengths=torch.tensor([6, 3]), method=method)


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method: str) -> None:
    x, y = normal(2, 7).requires_grad_(), normal(2, 4).requires_grad_()
    for norm in ("ortho", None):
        first = lambda x, n=norm: dct(x, dim=1, norm=n, keep=3, method=method)  # noqa: E731
        second = lambda x, n=norm: idct(x, dim=1, norm=n, size=9, method=method)  # noqa: E731
        assert torch.autograd.gradcheck(first, x) and torch.autograd.gradgradcheck(first, x)
        assert torch.autograd.gradcheck(second, y) and torch.autograd.gradgradcheck(second, y)


@pytest.mark.parametrize("size", [1, 5, 12, 17])
def test_resampling_clips_of_several_lengths(size: int) -> None:
    x, lengths = normal(4, 3, 12, 2), torch.tensor([12, 5, 1, 0])
    x[1, :, 5:] = torch.nan  # values of the padding must have no effect
    x.requires_grad_()
    got = resample(x, size, dim=2, lengths=lengths)
    assert got.shape == (4, 3, size, 2) and not got[3].any()
    for i, length in enumerate(lengths.tolist()[:3]):
        assert_close(got[i], resample(x[i, :, :length], size, dim=1))
    (gradient,) = torch.autograd.grad(got.square().sum(), x)
    assert gradient.isfinite().all() and not gradient[1, :, 5:].any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: dct(x, dim=1, keep=0), ["keep", "1 and 6", "0"]),
        (lambda x: dct(x, dim=1, keep=7), ["keep", "1 and 6", "7"]),
        (lambda x: idct(x, dim=1, size=5), ["size", "at least 6", "5"]),
        (lambda x: dct(x, dim=1, method="dense"), ["method", "'dense'", "'torch-dct'"]),
    ],
)
def test_errors(call, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        call(normal(2, 6))
    assert all(word in str(caught.value) for word in words)


def test_positional_options_raise_with_their_names() -> None:
    with pytest.raises(TypeError, match=r"dct takes only x by position, got 'ortho'.*dim=, norm="):
        dct(normal(2, 6), "ortho")
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'dim'"):
        dct(normal(2, 6))
    with pytest.raises(TypeError, match="dim must be an integer, got 'ortho'"):
        dct(normal(2, 6), dim="ortho")


def test_integers_of_numpy_are_integers() -> None:
    x = normal(2, 6)
    assert torch.equal(dct(x, dim=np.int64(1), keep=np.int32(3)), dct(x, dim=1, keep=3))
    assert torch.equal(resample(x, np.int64(4), dim=1), resample(x, 4, dim=1))
