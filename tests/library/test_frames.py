"""Motion, and the split of a clip into its odd and even frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Signal, load_golden, normal, signals
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from skelfreq.functional import merge_frames, motion, split_frames

# --- motion -------------------------------------------------------------------------------------


def numpy_motion(x: np.ndarray, dim: int, stride: int) -> np.ndarray:
    out = np.zeros_like(x)
    frames = np.moveaxis(x, dim, 0)
    for t in range(frames.shape[0] - stride):
        np.moveaxis(out, dim, 0)[t] = frames[t + stride] - frames[t]
    return out


@given(signals(), st.sampled_from([1, 2, 5, 29, 300, 1000]))
def test_motion_equals_numpy(signal: Signal, stride: int) -> None:
    x, dim = signal
    kept = x.clone()
    assert np.array_equal(
        motion(x, dim=dim, stride=stride).numpy(), numpy_motion(x.numpy(), dim, stride)
    )
    assert torch.equal(x, kept)


def test_motion_equals_stored_mamp(golden_path: Path) -> None:
    golden = load_golden(golden_path / "mamp_patch_motion_T12V6_p2.npz")
    x = torch.from_numpy(golden["x"]).permute(0, 3, 1, 2)  # [N, T, V, C] there
    for stride in golden["strides"]:
        result = motion(x, dim=2, stride=int(stride)).permute(0, 2, 3, 1)
        assert_close(result, golden[f"motion_stride{stride}"])
    # Their patches have the order frame, joint, channel; patches of the motion must agree.
    n, frames, joints, channels = golden["x"].shape
    u, p = int(golden["t_patch_size"]), int(golden["patch_size"])
    patches = motion(x, dim=2).permute(0, 2, 3, 1)
    patches = patches.reshape(n, frames // u, u, joints // p, p, channels).transpose(2, 3)
    stored = golden["patches_of_motion_stride1"]
    assert_close(patches.reshape(stored.shape), stored)


@pytest.mark.parametrize("stride", [6, 7, 100])
def test_motion_of_a_stride_of_the_clip_length_is_zero(stride: int) -> None:
    x = normal(2, 3, 6, 4).requires_grad_()
    result = motion(x, stride=stride)
    assert result.shape == x.shape and not result.any()
    result.sum().backward()
    assert x.grad is not None and not x.grad.any()


def test_motion_default_is_time_of_nctv() -> None:
    x = normal(2, 3, 6, 4)
    assert torch.equal(motion(x), motion(x, dim=2, stride=1))


@given(signals(), st.floats(-3, 3), st.integers(1, 4))
def test_motion_is_linear(signal: Signal, factor: float, stride: int) -> None:
    x, dim = signal
    other = normal(*x.shape, seed=1)
    expected = motion(x, dim=dim, stride=stride) + factor * motion(other, dim=dim, stride=stride)
    result = motion(x + factor * other, dim=dim, stride=stride)
    # Differences lose digits, hence the scale of the input.
    assert_close(result + 10, expected + 10)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64])
def test_motion_with_padding_equals_motion_without(stride: int, dtype: torch.dtype) -> None:
    x, lengths = normal(5, 3, 9, 2), torch.tensor([9, 5, 2, 1, 0], dtype=dtype)
    for sample, length in zip(x, lengths, strict=True):
        sample[:, int(length) :] = float("nan")
    x.requires_grad_()
    result = motion(x, dim=2, stride=stride, lengths=lengths)
    for sample, out, length in zip(x, result, lengths.tolist(), strict=True):
        assert not out[:, length:].any()
        if length > 0:
            assert torch.equal(out[:, :length], motion(sample[:, :length], dim=1, stride=stride))
    (gradient,) = torch.autograd.grad(result.square().sum(), x)
    assert gradient.isfinite().all()


def test_motion_gradcheck() -> None:
    x = normal(2, 2, 5, 2).requires_grad_()
    for lengths in (None, torch.tensor([5, 3])):
        assert torch.autograd.gradcheck(
            lambda x, p=lengths: motion(x, dim=2, stride=2, lengths=p), x
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_motion_keeps_dtype_and_empty_batch(dtype: torch.dtype) -> None:
    x = normal(2, 3, 6, 4, dtype=dtype)
    result = motion(x)
    assert result.dtype == dtype
    assert torch.equal(result[:, :, :-1], (x.double()[:, :, 1:] - x.double()[:, :, :-1]).to(dtype))
    assert motion(torch.empty(0, 3, 6, 4, dtype=dtype)).shape == (0, 3, 6, 4)


# --- split and merge ----------------------------------------------------------------------------


@given(signals(even=True))
def test_merge_undoes_split(signal: Signal) -> None:
    x, dim = signal
    target, online = split_frames(x, dim=dim)
    assert torch.equal(merge_frames(target, online, dim=dim), x)
    assert torch.equal(target.movedim(dim, 0), x.movedim(dim, 0)[0::2])
    assert torch.equal(online.movedim(dim, 0), x.movedim(dim, 0)[1::2])


@given(signals())
def test_split_undoes_merge(signal: Signal) -> None:
    x, dim = signal
    other = normal(*x.shape, seed=1)
    target, online = split_frames(merge_frames(x, other, dim=dim), dim=dim)
    assert torch.equal(target, x) and torch.equal(online, other)


def test_split_gives_views_and_gradients() -> None:
    x = normal(2, 3, 6, 4).requires_grad_()
    target, online = split_frames(x)
    assert target.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    (target.sum() + 2 * online.sum()).backward()
    assert x.grad is not None
    assert torch.equal(x.grad[0, 0, :, 0], torch.tensor([1.0, 2.0] * 3, dtype=torch.float64))


def test_split_takes_any_dtype() -> None:
    x = torch.arange(6)
    target, online = split_frames(x, dim=0)
    assert target.tolist() == [0, 2, 4] and online.tolist() == [1, 3, 5]


# --- Errors -------------------------------------------------------------------------------------

X = torch.zeros(2, 3, 6, 4, dtype=torch.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: motion(X, stride=0), ValueError, ["stride", "at least 1", "0"]),
        (lambda: motion(X, stride=1.0), TypeError, ["stride", "1.0"]),
        (lambda: motion(X, dim=4), ValueError, ["dim=4", "(2, 3, 6, 4)"]),
        (lambda: motion(X.long()), TypeError, ["x", "int64"]),
        (lambda: motion(X, lengths=torch.tensor([7, 1])), ValueError, ["lengths", "0 and 6", "7"]),
        (lambda: motion(X, lengths=torch.tensor([6.0, 1])), TypeError, ["lengths", "float"]),
        (lambda: split_frames(X[:, :, :5]), ValueError, ["x", "even", "5"]),
        (lambda: split_frames(X, dim=4), ValueError, ["dim=4"]),
        (lambda: split_frames(X[:, :, :0]), ValueError, ["at least 1", "0"]),
        (lambda: merge_frames(X, X[:1]), ValueError, ["online", "(2, 3, 6, 4)", "(1, 3, 6, 4)"]),
        (lambda: merge_frames(X, X.double()), TypeError, ["online", "float32", "float64"]),
        (lambda: merge_frames(X, X, dim=-5), ValueError, ["dim=-5"]),
    ],
)
def test_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
