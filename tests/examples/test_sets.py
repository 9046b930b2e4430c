"""Example data: any file that skelfreq.data reads, one person per clip, with a protocol."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shared_data import require_data
from tolerances import assert_close

from benchmarks.loading import write_set
from examples.data import load, resample_clips, split
from examples.data._archive import read_arrays
from examples.data.task import load_task
from skelfreq.data import ConvertedSet, SkeletonFormatError, convert
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


def ctrgcn_arrays():
    """Return 4 + 2 samples of 6 frames, person 0 in frames 0-3, person 1 nowhere."""
    rng = np.random.default_rng(2)
    arrays = {}
    for part, n in (("train", 4), ("test", 2)):
        x = np.zeros((n, 6, 2, 25, 3), np.float32)
        x[:, :4, 0] = rng.normal(size=(n, 4, 25, 3))
        arrays[f"x_{part}"] = x
        arrays[f"y_{part}"] = np.eye(3)[np.arange(n) % 3]
    return arrays


def save(path, arrays):
    flat = {k: v.reshape(*v.shape[:2], -1) if k[:2] == "x_" else v for k, v in arrays.items()}
    np.savez(path, **flat)
    return path


def test_frames_and_clips_that_were_not_tracked(tmp_path):
    arrays = msr_arrays((5, 4, 3))
    arrays["subject"][2] = 4
    arrays["joints"][1] = 0  # frame 1 of clip 0
    arrays["joints"][5:9] = 0  # clip 1
    arrays["joints"][10, 7] = 0  # one joint in the middle of clip 2
    path = save(tmp_path / "msr.npz", arrays)
    clips = load(path)
    assert clips.names == ("a01_s01_e01", "a03_s03_e01")
    assert clips.dropped == ("a02_s02_e01",)
    assert clips.lengths.tolist() == [4, 3] and clips.labels.tolist() == [0, 2]
    assert clips.groups.tolist() == [1, 4] and clips.train.tolist() == [True, False]
    assert clips.joints.dtype == np.float32 and clips.labels.dtype == np.int64
    assert clips.source == "msr.npz, msr-xsub"
    around = arrays["joints"][[9, 11], 7]
    assert_close(torch.from_numpy(clips.clip(1)[1, 7]), around.mean(0))
    assert not load(path, fill_missing=False).clip(1)[1, 7].any()


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


def test_original_text_files_equal_the_archive():
    text = load(require_data("msr_text"), protocol="msr-train-1-2-3-4-5")
    archive = load(require_data("msr_action3d.npz"))
    assert len(text) >= 2 and text.layout == "kinect20"
    for index, name in enumerate(text.names):
        there = archive.names.index(name)
        assert_close(torch.from_numpy(text.clip(index)), archive.clip(there), 1e-6)
        assert text.labels[index] == archive.labels[there]


@pytest.mark.parametrize(
    ("file", "protocol", "counts"),
    [
        ("nw_ucla.npz", "nwucla-xview", (1020, 464)),
        ("utd_mhad.npz", "utd-xsub", (431, 430)),
        # Of one training clip no joint is visible: it is left out, and counted in test_protocols.
        ("penn_action_2d.npz", "own", (1257, 1068)),
        ("hdm05_11.npz", "own", (189, 99)),
    ],
)
def test_published_sets_and_their_usual_protocols(file, protocol, counts):
    clips = load(require_data(file))
    assert clips.source == f"{file}, {protocol}"
    assert (int(clips.train.sum()), int((~clips.train).sum())) == counts
    assert np.isfinite(clips.joints).all()


def test_invisible_joints_are_filled():
    path = require_data("penn_action_2d.npz")
    clips = load(path)
    with np.load(path) as archive:
        joints, visible = archive["joints"], archive["visible"].astype(bool)
    assert len(clips.dropped) == 1, "the clip without a visible joint"
    # Frames without any visible joint are dropped.
    some = visible.any(axis=1)
    joints, visible = joints[some], visible[some]
    assert np.array_equal(clips.joints[visible], joints[visible])
    # Many lost joints are marked by (1, 1), far from the body.
    marked = (joints <= 1).all(axis=2)
    assert marked.mean() > 0.05
    assert not (clips.joints[marked] == 1).all(axis=1).any()


def test_no_protocol_is_an_error_that_lists_them():
    with pytest.raises(
        ValueError, match=r"split in the file or --protocol, got neither: .*one of own, ntu60-xsub"
    ):
        load(require_data("ui_prmd_kinect.npz"))


def test_the_person_who_moves_more_is_kept(tmp_path):
    arrays = ctrgcn_arrays()
    x = arrays["x_train"]
    x[1, 2, 0] = 0  # a gap in person 0 of sample 1
    x[2] = 0  # nobody in sample 2
    x[3, 1:, 1] = 3 * x[3, [0, 1, 2, 3, 0], 0]  # a livelier second person in sample 3
    path = save(tmp_path / "ntu.npz", arrays)
    clips = load(path)
    assert clips.names == ("x_train[0]", "x_train[1]", "x_train[3]", "x_test[0]", "x_test[1]")
    assert clips.dropped == ("x_train[2]",)
    assert clips.lengths.tolist() == [4, 3, 5, 4, 4]
    assert clips.labels.tolist() == [0, 1, 0, 0, 1]
    assert clips.train.tolist() == [True, True, True, False, False]
    assert (clips.groups == -1).all() and clips.layout == "ntu25"
    assert np.array_equal(clips.clip(1), x[1, [0, 1, 3], 0])
    assert np.array_equal(clips.clip(2), x[3, 1:, 1])
    everyone = load(path, persons="all")
    assert everyone.names[2:4] == ("x_train[3]/person0", "x_train[3]/person1")
    assert np.array_equal(everyone.clip(2), x[3, :4, 0])
    assert np.array_equal(everyone.clip(3), x[3, 1:, 1])
    with pytest.raises(ValueError, match="persons must be one of 'main', 'all', got 'both'"):
        load(path, persons="both")


def test_a_converted_set_is_loaded_like_any_file(tmp_path):
    write_set(tmp_path, 12)
    with pytest.raises(ValueError, match="got neither"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"ntu60-xsub needs the subjects of every clip, 12 of 12"):
        load(tmp_path, protocol="ntu60-xsub")


def test_a_set_and_its_converted_form_are_the_same(tmp_path):
    path = require_data("msr_action3d.npz")
    convert(path, tmp_path / "msr")
    converted, archive = load(tmp_path / "msr"), load(path)
    assert np.array_equal(converted.joints, archive.joints)
    assert np.array_equal(converted.train, archive.train)
    assert converted.names == archive.names and converted.class_names == archive.class_names
    assert converted.dropped == archive.dropped
    parts = split("msr-xsub", ConvertedSet(tmp_path / "msr"))
    assert parts.train.sum() == 292


def test_a_task_by_protocol(tmp_path):
    path = save(tmp_path / "msr.npz", msr_arrays((5, 4, 3)))
    task = load_task(path, 8, protocol="msr-train-2-4-5-6-7")
    assert task.train.labels.tolist() == [1] and task.test.labels.tolist() == [0, 2]
    assert task.train.clips.shape == (1, 3, 8, 20)


def test_unknown_and_damaged_things(tmp_path):
    assert len(load("synthetic", num_classes=2, num_subjects=2, clips_per=1)) == 4
    with pytest.raises(FileNotFoundError, match=r"absent\.npz: no such file"):
        load(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError, match=r"ntu: no such file.*'synthetic'"):
        load("ntu")
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(SkeletonFormatError, match=r"data\.csv: "):
        load(tmp_path / "data.csv")
    path = save(tmp_path / "ntu.npz", ctrgcn_arrays())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SkeletonFormatError, match=r"ntu\.npz"):
        load(path)
    arrays = {key: 0 * v if key[0] == "x" else v for key, v in ctrgcn_arrays().items()}
    with pytest.raises(ValueError, match=r"empty\.npz"):
        load(save(tmp_path / "empty.npz", arrays))


def test_arrays_of_an_archive(tmp_path):
    path = save(tmp_path / "a.npz", {"x": np.arange(6.0).reshape(2, 3), "y": np.array(3)})
    arrays = read_arrays(path, ("x", "y"))
    assert np.array_equal(arrays["x"], np.arange(6.0).reshape(2, 3)) and arrays["y"] == 3
    with pytest.raises(ValueError, match=r"a\.npz: expected the key 'z'"):
        read_arrays(path, ("z",))
    with pytest.raises(FileNotFoundError, match=r"b\.npz: no such file"):
        read_arrays(tmp_path / "b.npz", ("x",))
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz"):
        read_arrays(path, ("x",))
