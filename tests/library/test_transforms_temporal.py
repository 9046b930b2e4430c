"""Crops and resampling, against numpy's interpolation and by counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close
from transform_cases import make, seeded

from skelfreq.data.transforms import RandomCrop, RandomCropResample, Resample, resample_linear


def interpolated(x: torch.Tensor, position: np.ndarray) -> np.ndarray:
    """Return [C, n, V] of one clip [C, T, V] at real-valued frames, by numpy."""
    flat = x.movedim(1, 0).reshape(x.shape[1], -1).numpy()
    columns = [np.interp(position, np.arange(len(flat)), column) for column in flat.T]
    return np.stack(columns).reshape(x.shape[0], x.shape[2], -1).swapaxes(1, 2)


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=5),
    st.integers(1, 30),
    st.sampled_from([1.0, 0.95, 0.5]),
    st.integers(0, 1000),
)
def test_resampling_interpolates_each_clip_alone(lengths, frames, share, seed):
    x = make(len(lengths), 12, 5, seed, missing=0.0)[0]
    batch = resample_linear(x, frames, share=share, lengths=torch.tensor(lengths))
    assert batch.x.shape == (len(lengths), 3, frames, 5)
    assert batch.lengths.tolist() == [frames if length else 0 for length in lengths]
    for i, length in enumerate(lengths):
        if not length:
            assert not batch.x[i].any()
            continue
        edge = (1 - share) / 2
        grid = np.linspace(edge, 1 - edge, frames) if frames > 1 else np.array([0.5])
        assert_close(batch.x[i], interpolated(x[i, :, :length], grid * (length - 1)), 1e-11)


def test_clips_without_frames_have_no_confidence():
    x, confidence = make(2, 12, 5)
    batch = resample_linear(x, 4, lengths=torch.tensor([12, 0]), confidence=confidence)
    assert batch.confidence[0].any() and not batch.confidence[1].any()
    assert batch.x[0].any() and not batch.x[1].any()


@given(st.integers(1, 400))
def test_resampling_to_the_own_length_changes_nothing(length):
    x = make(1, length, 3, missing=0.0)[0].float()
    assert torch.equal(Resample(length)(x).x, x)
    padded = torch.cat([x, x], 2)
    assert torch.equal(Resample(length)(padded, torch.tensor([length])).x, x)
    # Every second frame of a denser clip, exactly, and both ends of any.
    dense = Resample(2 * length - 1)(x).x
    assert torch.equal(dense[:, :, ::2], x)
    ends = Resample(7)(x).x
    assert torch.equal(ends[:, :, [0, -1]], x[:, :, [0, -1]])


def test_long_clips_keep_their_frames_in_fp32():
    x = torch.arange(20_001.0)[None, None, :, None]
    assert torch.equal(Resample(20_001)(x).x, x)
    assert torch.equal(Resample(201)(x).x, x[:, :, ::100])


def test_confidence_counts_for_both_neighbours():
    x = torch.tensor([1.0, 9.0, 3.0, 0.0, 5.0])[None, None, :, None].double()
    confidence = torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0])[None, :, None].double()
    batch = resample_linear(x, 9, confidence=confidence)
    # Half way between frames 0 and 1 only the first was seen; at frame 1 and beyond 2 none.
    expected = [1.0, 1.0, 9.0, 3.0, 3.0, 3.0, 0.0, 2.5, 5.0]
    assert_close(batch.x.flatten(), torch.tensor(expected).double())
    weights = [1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0, 0.0, 0.0]
    assert_close(batch.confidence.flatten(), torch.tensor(weights).double())
    # Two of different confidence: the surer one counts more.
    sure = torch.tensor([1.0, 3.0])[None, :, None].double()
    batch = resample_linear(x[:, :, :2], 3, confidence=sure)
    assert_close(batch.x.flatten(), torch.tensor([1.0, 0.25 * 1 + 0.75 * 9, 9.0]).double())
    ones = torch.ones(6, 9, 25, dtype=torch.float64)
    y = make(6, 9, 25, missing=0.0)[0]
    assert_close(Resample(17)(y, confidence=ones).x, Resample(17)(y).x)


@given(st.integers(0, 40), st.floats(0.05, 1.0), st.floats(0.0, 1.0), st.integers(0, 1000))
def test_a_crop_is_a_stretch_of_whole_frames(length, low, part, seed):
    high = low + part * (1 - low)
    frames = torch.arange(1.0, 41.0)
    x = frames[None, None, :, None].expand(8, 2, 40, 3)
    lengths = torch.full((8,), length)
    confidence = x[:, 0]
    y, kept, weights, _ = RandomCrop(low, high)(
        x, lengths, confidence=confidence, generator=seeded(seed)
    )
    assert y.shape == x.shape
    for i, count in enumerate(kept.tolist()):
        shortest, longest = (min(max(round(share * length), 1), length) for share in (low, high))
        assert shortest <= count <= longest
        got = y[i, 0, :, 0]
        assert not got[count:].any()
        if count:
            start = int(got[0]) - 1
            assert torch.equal(got[:count], frames[start : start + count])
            assert start + count <= length
        assert torch.equal(y[i], got[None, :, None].expand_as(y[i]))
        assert torch.equal(weights[i], y[i, 0])


def test_every_place_of_a_crop_is_reached_alike():
    x = torch.arange(10.0)[None, None, :, None].expand(5000, 1, 10, 1)
    y = RandomCrop(0.5, 0.5)(x, torch.full((5000,), 8), generator=seeded()).x
    starts = torch.bincount(y[:, 0, 0, 0].long(), minlength=6)
    assert len(starts) == 5 or starts[5:].sum() == 0
    # Each of the 5 starts has a chance of 1/5: 1000 ± 4 deviations of 28.
    assert ((starts[:5] - 1000).abs() < 115).all()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 20), st.integers(0, 99))
def test_crop_and_resample_in_one_pass(lengths, frames, seed):
    ramp = torch.arange(30.0).double()[None, None, :, None].expand(len(lengths), 1, 30, 2)
    curve = make(1, 30, 2, missing=0.0)[0][:, :1].expand(len(lengths), 1, 30, 2)
    x = torch.cat([ramp, curve], 1)
    transform = RandomCropResample(frames, 0.3, 0.8)
    batch = transform(x, torch.tensor(lengths), generator=seeded(seed))
    assert batch.x.shape == (len(lengths), 2, frames, 2)
    for i, length in enumerate(lengths):
        if not length:
            assert batch.lengths[i] == 0 and not batch.x[i].any()
            continue
        # The ramp says at which real-valued frames the clip was read.
        position = batch.x[i, 0, :, 0].numpy()
        assert position.min() >= 0 and position.max() <= length - 1 + 1e-9
        assert_close(batch.x[i, 1:], interpolated(x[i, 1:, :length], position), 1e-10)
        if frames > 1:
            step = np.diff(position)
            assert np.allclose(step, step[0], atol=1e-9)
            share = (position[-1] - position[0]) / max(length - 1, 1)
            assert length == 1 or 0.3 - 1e-6 <= share <= 0.8 + 1e-6


def test_a_whole_crop_is_plain_resampling():
    x = make(4, 16, 5, missing=0.0)[0]
    lengths = torch.tensor([16, 9, 3, 0])
    for frames in (11, 1):  # a single frame is the middle one
        actual = RandomCropResample(frames, 1.0, 1.0)(x, lengths)
        assert_close(actual.x, Resample(frames)(x, lengths).x, 1e-11)


def test_memory_order_does_not_show():
    x = make(4, 16, 5)[0]
    other = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(Resample(7)(x).x, Resample(7)(other).x)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="num_frames must be at least 1, got 0"):
        Resample(0)
    with pytest.raises(TypeError, match=r"num_frames must be an integer, got 6\.5"):
        RandomCropResample(6.5)
    for low, high in ((0.0, 1.0), (0.9, 0.5), (0.5, 1.5)):
        for make_one in (RandomCrop, lambda low, high: RandomCropResample(4, low, high)):
            with pytest.raises(ValueError, match="0 < low <= high <= 1, got"):
                make_one(low, high)
    with pytest.raises(ValueError, match=r"share must lie between 0 and 1, got 1\.5"):
        Resample(4, share=1.5)
