"""Example data: clips on their way to tensors, and the synthetic motions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close

from examples.data import (
    SkeletonClips,
    fill_missing,
    normalise,
    resample_clips,
    synthetic_ntu25,
)
from skelfreq.skeletons import get_layout


def make_clips(lengths, layout="coco17", channels=3, seed=0):
    rng = np.random.default_rng(seed)
    joints, n = get_layout(layout).num_joints, len(lengths)
    return SkeletonClips(
        joints=rng.normal(size=(sum(lengths), joints, channels)).astype(np.float32),
        lengths=np.array(lengths, dtype=np.int64),
        labels=np.arange(n) % 2,
        groups=np.arange(n),
        train=np.arange(n) % 2 == 0,
        names=tuple(f"clip {i}" for i in range(n)),
        class_names=("a", "b"),
        layout=layout,
        source="test",
    )


def test_clip_and_subset():
    clips = make_clips([3, 1, 5, 2])
    assert len(clips) == 4
    assert np.array_equal(clips.clip(2), clips.joints[4:9])
    assert np.array_equal(clips.clip(-1), clips.joints[9:])
    part = clips.subset(np.array([False, True, True, False]))
    assert part.names == ("clip 1", "clip 2")
    assert part.groups.tolist() == [1, 2] and part.train.tolist() == [False, True]
    assert all(np.array_equal(part.clip(i), clips.clip(i + 1)) for i in range(2))
    assert len(clips.subset(np.zeros(4, bool))) == 0
    with pytest.raises(IndexError, match="between 0 and 3, got 4"):
        clips.clip(4)
    with pytest.raises(ValueError, match=r"bool array of shape \(4,\), got int64"):
        clips.subset(np.arange(4))


def test_clips_that_do_not_fit_together():
    with pytest.raises(ValueError, match=r"\(frames, 25, C\) for ntu25, got \(3, 17, 3\)"):
        SkeletonClips(**{**vars(make_clips([3])), "layout": "ntu25"})
    with pytest.raises(ValueError, match=r"lengths must add up to the 3 rows .* got 4"):
        SkeletonClips(**{**vars(make_clips([3])), "lengths": np.array([4])})
    with pytest.raises(ValueError, match=r"labels must have shape \(1,\), got \(2,\)"):
        SkeletonClips(**{**vars(make_clips([3])), "labels": np.array([0, 1])})


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 12))
def test_resample_interpolates_each_clip_alone(lengths, frames):
    clips = make_clips(lengths, channels=2)
    x = resample_clips(clips, frames)
    assert x.shape == (len(lengths), 2, frames, 17)
    assert x.dtype == torch.float32
    for i, length in enumerate(lengths):
        share = np.linspace(0, 1, frames) if frames > 1 else np.array([0.5])
        flat = clips.clip(i).reshape(length, -1)
        expected = np.stack(
            [np.interp(share * (length - 1), np.arange(length), column) for column in flat.T]
        )
        expected = expected.reshape(17, 2, frames).transpose(1, 2, 0)
        assert_close(x[i], expected)


def test_resample_to_own_length_is_exact():
    clips = make_clips([7, 7])
    expected = clips.joints.reshape(2, 7, 17, 3).transpose(0, 3, 1, 2)
    assert torch.equal(resample_clips(clips, 7), torch.from_numpy(expected.copy()))


@pytest.mark.parametrize("scale", ["rms", "bones", None])
@given(size=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_normalise_removes_place_and_size(scale, size, shift):
    x = normal(3, 3, 5, 17)
    y = normalise(x, "coco17", scale=scale)
    centre = y[..., get_layout("coco17").centre].mean(2)
    assert float(centre.abs().max()) < 1e-12
    moved = normalise(size * x + shift, "coco17", scale=scale)
    assert_close(moved, y * (size if scale is None else 1), 1e-11)
    if scale == "rms":
        assert_close(y.square().sum(1).mean((1, 2)), torch.ones(3))


def test_normalise_of_coinciding_joints_is_finite():
    for scale in ("rms", "bones"):
        assert not normalise(torch.ones(1, 3, 4, 17), "coco17", scale=scale).any()


def test_normalise_arguments():
    x = torch.zeros(1, 3, 4, 17)
    with pytest.raises(ValueError, match=r"\[N, C, T, 25\] for ntu25, got \(1, 3, 4, 17\)"):
        normalise(x, "ntu25")
    with pytest.raises(ValueError, match="scale must be one of 'rms', 'bones', None, got 'std'"):
        normalise(x, "coco17", scale="std")
    with pytest.raises(ValueError, match="centre must lie between 0 and 16, got 17"):
        normalise(x, "coco17", centre=17)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=4), st.integers(0, 2**16))
def test_fill_missing_equals_interpolation(lengths, seed):
    clips = make_clips(lengths, seed=seed)
    joints = clips.joints.copy()
    lost = np.random.default_rng(seed).random(joints.shape[:2]) < 0.4
    joints[lost] = 0
    before = joints.copy()
    filled = fill_missing(joints, clips.lengths)
    assert np.array_equal(joints, before)
    expected = joints.copy()
    for start, length in zip(clips.starts, clips.lengths, strict=True):
        rows = np.arange(start, start + length)
        for joint in range(17):
            seen = rows[~lost[rows, joint]]
            if len(seen):
                for axis in range(3):
                    expected[rows, joint, axis] = np.interp(rows, seen, joints[seen, joint, axis])
    assert_close(torch.from_numpy(filled), expected)


def test_synthetic_is_determined_by_its_seed():
    size = {"num_classes": 3, "num_subjects": 2, "clips_per": 2, "num_frames": 20}
    torch.manual_seed(1)
    first = synthetic_ntu25(**size, seed=5)
    np.random.default_rng(0).random()
    torch.manual_seed(2)
    again, other = synthetic_ntu25(**size, seed=5), synthetic_ntu25(**size, seed=6)
    assert np.array_equal(first.joints, again.joints)
    assert first.names == again.names
    assert not np.array_equal(first.lengths, other.lengths)


def test_synthetic_fields():
    clips = synthetic_ntu25(16, 3, 2, num_frames=20)
    assert len(clips) == 16 * 3 * 2 == len(set(clips.names))
    assert np.isfinite(clips.joints).all() and clips.joints.dtype == np.float32
    assert clips.lengths.min() >= 15 and clips.lengths.max() <= 25
    assert np.bincount(clips.labels).tolist() == [6] * 16 and len(clips.class_names) == 16
    assert sorted(set(clips.groups)) == [1, 2, 3]
    assert (clips.train == (clips.groups % 2 == 1)).all()


def test_synthetic_body_is_rigid_and_stands_on_the_floor():
    clips = synthetic_ntu25(16, 2, 1, num_frames=20, noise=0, dropout=0)
    layout = get_layout("ntu25")
    child, parent = np.array(layout.edges).T
    bones = np.linalg.norm(clips.joints[:, child] - clips.joints[:, parent], axis=-1)
    assert bones.min() > 0.02 and bones.max() < 0.5
    for subject in (1, 2):
        own = bones[np.repeat(clips.groups == subject, clips.lengths)]
        assert np.ptp(own, axis=0).max() < 1e-5, "a subject keeps their bones in every clip"
    lowest = clips.joints[..., 1].min(axis=1)
    assert lowest.min() > -1.2, "no joint is far below the floor at -1 m"
    jumps = {clips.class_names.index(name) for name in ("jump", "jumping jack")}
    standing = np.repeat(~np.isin(clips.labels, list(jumps)), clips.lengths)
    assert np.allclose(clips.joints[standing][:, [14, 15, 18, 19], 1].min(axis=1), -1, atol=1e-5)


def test_synthetic_noise_and_lost_joints():
    size = {"num_classes": 2, "num_subjects": 2, "clips_per": 3}
    clean = synthetic_ntu25(**size, noise=0, dropout=0)
    noisy = synthetic_ntu25(**size, dropout=0)
    assert abs((noisy.joints - clean.joints).std() - 0.01) < 5e-4
    raw = synthetic_ntu25(**size, dropout=1, fill_missing=False)
    lost = ~raw.joints.any(axis=-1)
    assert lost.any()
    filled = synthetic_ntu25(**size, dropout=1)
    assert filled.joints.any(axis=-1).all()
    assert np.array_equal(raw.joints[~lost], filled.joints[~lost])


def test_synthetic_classes_need_time_but_can_be_told_apart():
    clips = synthetic_ntu25()
    x = normalise(resample_clips(clips, 32), "ntu25").double()
    spectrum = torch.fft.rfft(x, dim=2).abs()[:, :, 1:9].flatten(1)
    one_frame = x[:, :, 16].flatten(1)

    def accuracy(features):
        # Ridge regression on the class indicators, as strong as the number of clips allows.
        train = torch.from_numpy(clips.train)
        mean, std = features[train].mean(0), features[train].std(0)
        features = torch.nn.functional.pad((features - mean) / std, (0, 1), value=1.0)
        target = torch.nn.functional.one_hot(torch.from_numpy(clips.labels)).double()
        a = features[train]
        gram = a.T @ a + 100 * torch.eye(a.shape[1], dtype=a.dtype)
        weight = torch.linalg.solve(gram, a.T @ target[train])
        guess = (features[~train] @ weight).argmax(1)
        return float((guess == target[~train].argmax(1)).double().mean())

    assert accuracy(one_frame) < 0.8
    assert accuracy(spectrum) > 0.9


def test_synthetic_arguments():
    with pytest.raises(ValueError, match="num_classes must lie between 1 and 16, got 17"):
        synthetic_ntu25(17)
    with pytest.raises(ValueError, match=r"num_frames must lie between 2 and .* got 1"):
        synthetic_ntu25(num_frames=1)
