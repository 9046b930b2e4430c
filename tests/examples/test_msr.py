"""Example data: the reader of MSR Action3D, on made-up archives and on the published one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shared_data import require_data
from tolerances import assert_close

from examples.data import load, load_msr_action3d, read_msr_text, resample_clips
from skelfreq.skeletons import get_layout


def msr_arrays(lengths=(5, 4, 3)):
    rng = np.random.default_rng(1)
    return {
        "joints": rng.normal(size=(sum(lengths), 20, 3)).astype(np.float32),
        "lengths": np.array(lengths, dtype=np.int32),
        "label": np.arange(len(lengths), dtype=np.int16),
        "subject": np.arange(1, len(lengths) + 1, dtype=np.int16),
        "sample": np.array([f"a{i + 1:02d}_s{i + 1:02d}_e01" for i in range(len(lengths))]),
        "class_names": np.array(["wave", "clap", "kick"]),
    }


def test_msr_drops_untracked_frames_and_clips(tmp_path):
    arrays = msr_arrays((5, 4, 3))
    arrays["joints"][1] = 0  # frame 1 of clip 0
    arrays["joints"][6:9] = 0  # all but frame 0 of clip 1
    arrays["joints"][10, 7] = 0  # one joint in the middle of clip 2
    path = tmp_path / "msr.npz"
    np.savez(path, **arrays)
    clips = load_msr_action3d(path)
    assert clips.names == ("a01_s01_e01", "a03_s03_e01")
    assert clips.dropped == ("a02_s02_e01",)
    assert clips.lengths.tolist() == [4, 3] and clips.labels.tolist() == [0, 2]
    assert clips.groups.tolist() == [1, 3] and clips.train.all()
    assert clips.joints.dtype == np.float32 and clips.labels.dtype == np.int64
    around = arrays["joints"][[9, 11], 7]
    assert_close(torch.from_numpy(clips.clip(1)[1, 7]), around.mean(0))
    raw = load_msr_action3d(path, fill_missing=False)
    assert not raw.clip(1)[1, 7].any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_msr_names_clip_and_frame_of_a_broken_value(tmp_path, value):
    arrays = msr_arrays((5, 4, 3))
    arrays["joints"][7, 3, 1] = value
    path = tmp_path / "broken.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"broken\.npz: clip a02_s02_e01, frame 2 "):
        load_msr_action3d(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("subject", None, r"expected the key 'subject', got 'joints', 'lengths'"),
        ("joints", np.zeros((12, 25, 3)), r"joints must have shape \(frames, 20, 3\).*12, 25, 3"),
        ("lengths", np.array([5, 4, 4]), "lengths must .* add up to the 12 frames .* sum of 13"),
        ("label", np.array([0, 1, 3]), "label must lie between 0 and 2, got 0 to 3"),
        ("label", np.array([0, 1]), r"label must have shape \(3,\).*got shape \(2,\)"),
        ("sample", np.array([1, 2, 3]), "sample must have .* dtype int64"),
        ("sample", np.array([{}, 1, 2], dtype=object), "cannot read the key 'sample'"),
    ],
)
def test_msr_malformed_archive(tmp_path, key, value, message):
    arrays = msr_arrays()
    if value is None:
        del arrays[key]
    else:
        arrays[key] = value
    path = tmp_path / "odd.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"odd\.npz: {message}"):
        load_msr_action3d(path)


def test_msr_as_published():
    clips = load(require_data("msr_action3d.npz"))
    assert len(clips) == 566 and clips.dropped == ("a13_s09_e02",)
    assert clips.layout == "kinect20" and len(clips.class_names) == 20
    assert clips.lengths[clips.names.index("a13_s09_e03")] == 196
    assert (clips.train == (clips.groups % 2 == 1)).all()
    assert clips.joints.any(axis=-1).all(), "no joint is lost in a tracked frame"
    mean = clips.joints.mean(0)
    head, feet = mean[19], mean[[17, 18]]
    assert (head[1] - feet[:, 1] > 1.2).all(), "axis 1 is vertical"
    left, right = np.array(get_layout("kinect20").left_right).T
    assert (mean[right, 0] - mean[left, 0] > 0.05).all(), "axis 0 runs from left to right"
    # Actors used the right hand for one-handed actions: "high arm wave" is the first.
    wave = resample_clips(clips.subset(clips.labels == 0), 32).diff(dim=2).abs().mean((0, 1, 2))
    assert wave[12] > 2 * wave[11]


def test_msr_text_equals_the_archive():
    joints, confidence = read_msr_text(require_data("msr_text") / "a01_s01_e01_skeleton3D.txt")
    assert joints.shape == (54, 20, 3) and confidence.shape == (54, 20)
    assert_close(torch.from_numpy(joints), load(require_data("msr_action3d.npz")).clip(0))
    untracked, _ = read_msr_text(require_data("msr_text") / "a13_s09_e02_skeleton3D.txt")
    assert untracked.shape == (38, 20, 3) and not untracked.any()


def test_msr_text_parses_numbers_as_written(tmp_path):
    path = tmp_path / "a01.txt"
    path.write_text("1.2e+002 -0.5 2 1.0\n" * 40 + "\n")
    joints, confidence = read_msr_text(path)
    assert joints.shape == (2, 20, 3) and joints[1, 19].tolist() == [120.0, -0.5, 2.0]
    assert (confidence == 1).all()


@pytest.mark.parametrize("line", ["1 2 3", "1 2 three 4", "1 2 nan 4", "", "1 2 3 4 5", "1 2 3 é"])
def test_msr_text_names_file_and_line(tmp_path, line):
    path = tmp_path / "a02.txt"
    path.write_text("\n".join(["0 0 0 1"] * 7 + [line] + ["0 0 0 1"] * 12), encoding="latin-1")
    with pytest.raises(ValueError, match=r"a02\.txt, line 8: expected 4 finite numbers"):
        read_msr_text(path)


@pytest.mark.parametrize("lines", [0, 19, 30])
def test_msr_text_with_an_incomplete_frame(tmp_path, lines):
    path = tmp_path / "a03.txt"
    path.write_text("0 0 0 1\n" * lines)
    with pytest.raises(ValueError, match=rf"a03\.txt, line {lines}: expected whole frames of 20"):
        read_msr_text(path)


def test_load_knows_the_format_by_one_key(tmp_path):
    path = tmp_path / "part.npz"
    np.savez(path, joints=msr_arrays()["joints"])
    with pytest.raises(ValueError, match=r"part\.npz: expected the key 'lengths', got 'joints'"):
        load(path)
