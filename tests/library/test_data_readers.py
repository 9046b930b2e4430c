"""Readers against independent parses of the original files, and what the formats allow."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from shared_data import require_data

from skelfreq.data import (
    READERS,
    ClipSource,
    Options,
    SkeletonFormatError,
    convert,
    detect_format,
    read,
)
from skelfreq.data.fuzzing.ntu import ntu_text
from skelfreq.data.fuzzing.samples import SAMPLES, write_sample
from skelfreq.data.lists import name_list

ROOT = Path(__file__).resolve().parents[2]


def only(clips):
    """Return the single clip of a set."""
    assert len(clips) == 1
    return clips[0]


# The original files


@pytest.mark.parametrize(
    ("name", "numbers", "bodies"),
    [
        ("S001C001P001R001A001", (1, 1, 1, 1, 0), 1),
        ("S001C003P008R002A058", (1, 3, 8, 2, 57), 2),
        ("S002C001P003R001A003", (2, 1, 3, 1, 2), 1),
    ],
)
def test_ntu_skeleton(name, numbers, bodies):
    path = require_data(f"raw/ntu_skeleton/{name}.skeleton")
    words = path.read_text().split()
    frames, place, seen = int(words[0]), 1, {}
    for frame in range(frames):
        count, place = int(words[place]), place + 1
        for _ in range(count):
            body, place = words[place], place + 11
            table = np.array(words[place : place + 300], dtype=np.float64).reshape(25, 12)
            seen.setdefault(body, {})[frame] = table
            place += 300
    assert place == len(words) and len(seen) == bodies
    clip = only(read(path))
    assert clip.joints.shape == (frames, bodies, 25, 3) and clip.layout.name == "ntu25"
    assert clip.persons == tuple(seen)
    assert all(int(body) > 2**53 for body in clip.persons)
    for person, tables in enumerate(seen.values()):
        for frame in range(frames):
            table = tables.get(frame, np.zeros((25, 12)))
            assert np.array_equal(clip.joints[frame, person], table[:, :3].astype(np.float32))
            assert np.array_equal(clip.confidence[frame, person], table[:, 11] / 2)
    assert (clip.setup, clip.camera, clip.subject, clip.repetition, clip.label) == numbers


def test_ntu_class_names():
    clips = read(require_data("raw/ntu_skeleton"))
    assert len(clips.class_names) == 60 and clips[1].label_name == "handshaking"


def test_pyskl_annotation():
    path = require_data("raw/pyskl/wlasl_12320_GL00003.pkl")
    entry = pickle.loads(path.read_bytes())
    clip = only(read(path))
    expected = entry["keypoint"].transpose(1, 0, 2, 3)
    assert np.array_equal(clip.joints, expected) and clip.layout.name == "coco17"
    assert np.array_equal(clip.confidence, entry["keypoint_score"].transpose(1, 0, 2))
    assert (clip.name, clip.label, clip.image_size) == ("12320_GL00003", 2, (1920, 1080))


def test_pyskl_without_keypoints_says_so():
    path = require_data("raw/pyskl/mmaction2_tests_sample.pkl")
    with pytest.raises(SkeletonFormatError, match=r"annotations\[0\]: has no 'keypoint'.*kpfiles"):
        read(path)


def test_kinetics_json():
    path = require_data("raw/kinetics_json/kinetics_--33Lscn6sk.json")
    content = json.loads(path.read_text())
    clip = only(read(path))
    most = max(len(frame["skeleton"]) for frame in content["data"])
    assert clip.joints.shape == (len(content["data"]), most, 18, 2) and most == 3
    for frame in content["data"]:
        index = frame["frame_index"] - 1
        for person in range(most):
            pose, score = np.zeros((18, 2)), np.zeros(18)
            if person < len(frame["skeleton"]):
                found = frame["skeleton"][person]
                pose, score = np.array(found["pose"]).reshape(18, 2), np.array(found["score"])
            assert np.array_equal(clip.joints[index, person], pose.astype(np.float32))
            assert np.array_equal(clip.confidence[index, person], score.astype(np.float32))
    assert (clip.label, clip.label_name) == (129, "flipping pancake")
    assert clip.layout.name == "openpose18"


def test_openpose_body25():
    folder = require_data("raw/openpose_body25")
    clips = read(folder)
    assert [clip.name for clip in clips] == ["00891", "03615"]
    for clip, file in zip(clips, sorted(folder.iterdir()), strict=True):
        people = json.loads(file.read_text())["people"]
        expected = np.array([p["pose_keypoints_2d"] for p in people]).reshape(-1, 25, 3)
        assert np.array_equal(clip.joints, expected[None, ..., :2].astype(np.float32))
        assert np.array_equal(clip.confidence, expected[None, ..., 2].astype(np.float32))
    assert clips.layout.name == "body25" and clips.unit == "px"


def test_nw_ucla_json():
    path = require_data("raw/nw_ucla_json/a01_s01_e00_v01.json")
    content = json.loads(path.read_text())
    clip = only(read(path))
    assert np.array_equal(clip.joints[:, 0], np.array(content["skeletons"]).astype(np.float32))
    assert clip.label == content["label"] - 1 == 0
    assert (clip.subject, clip.repetition, clip.camera) == (1, 0, 1)
    archive = np.load(require_data("nw_ucla.npz"))
    assert np.array_equal(clip.joints[:, 0], archive["joints"][: clip.num_frames])


def test_utd_mhad_mat():
    path = require_data("raw/utd_mhad_mat/a1_s1_t1_skeleton.mat")
    clip = only(read(path))
    expected = scipy.io.loadmat(path)["d_skel"].transpose(2, 0, 1)
    assert np.array_equal(clip.joints[:, 0], expected.astype(np.float32))
    assert (clip.name, clip.label, clip.subject, clip.repetition) == ("a1_s1_t1", 0, 1, 1)
    archive = np.load(require_data("utd_mhad.npz"))
    assert np.allclose(clip.joints[:, 0], archive["joints"][: clip.num_frames])


def test_penn_action_mat():
    path = require_data("raw/penn_action_mat/0001.mat")
    clip = only(read(path))
    content = scipy.io.loadmat(path)
    assert np.array_equal(clip.joints[:, 0, :, 0], content["x"].astype(np.float32))
    assert np.array_equal(clip.joints[:, 0, :, 1], content["y"].astype(np.float32))
    assert np.array_equal(clip.confidence[:, 0], content["visibility"])
    assert (clip.label_name, clip.split, clip.image_size) == ("baseball_pitch", "test", (480, 360))


@pytest.mark.parametrize("end_sites", [False, True])
def test_bvh(end_sites):
    path = require_data("raw/bvh/gait_SubjectA1_Cycle1.bvh")
    head, motion = path.read_text().split("MOTION")
    rows = np.array([line.split() for line in motion.split("\n")[3:] if line.strip()], float)
    tokens = re.findall(r"(ROOT|JOINT|End)\s+(\S+)|(OFFSET|CHANNELS)([^\n]*)|([{}])", head)
    names, parents, offsets, channels, stack = [], [], [], [], []
    for kind, name, field, value, brace in tokens:
        if kind:
            names.append(f"{names[stack[-1]]} end" if kind == "End" else name)
            parents.append(stack[-1] if stack else -1)
            channels.append([])
        elif field == "OFFSET":
            offsets.append(np.array(value.split(), float))
        elif field == "CHANNELS":
            channels[-1] = value.split()[1:]
        elif brace == "{":
            stack.append(len(names) - 1)
        else:
            stack.pop()

    def turn(axis, angle):
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        return np.array({
            "X": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis])  # fmt: skip

    expected = np.zeros((len(rows), len(names), 3))
    for frame, row in enumerate(rows):
        values, world = iter(row), []
        for joint, parent in enumerate(parents):
            local = np.eye(4)
            local[:3, 3] = offsets[joint]
            for channel in channels[joint]:
                if channel.endswith("position"):
                    local["XYZ".index(channel[0]), 3] = next(values)
                else:
                    local[:3, :3] = local[:3, :3] @ turn(channel[0], next(values))
            world.append(local if parent < 0 else world[parent] @ local)
            expected[frame, joint] = world[joint][:3, 3]
    clip = only(read(path, options=Options(end_sites=end_sites)))
    kept = [i for i, name in enumerate(names) if end_sites or not name.endswith(" end")]
    assert clip.layout.joints == tuple(names[i] for i in kept)
    assert np.allclose(clip.joints[:, 0], expected[:, kept], rtol=1e-5, atol=1e-4)
    assert clip.frame_rate == pytest.approx(60, rel=1e-4)
    assert len(clip.layout.edges) == len(kept) - 1


def test_ui_prmd_txt():
    folder = require_data("raw/ui_prmd_txt")
    clip = only(read(folder))
    archive = np.load(require_data("ui_prmd_kinect.npz"))
    assert clip.name == archive["sample"][0] == "m01_s01_e01"
    # The first clip of the archive, made by other code.
    assert np.allclose(clip.joints[:, 0], archive["joints"][: clip.num_frames], atol=1e-5)
    positions = np.loadtxt(folder / "m01_s01_e01_positions.txt", delimiter=",")
    assert np.allclose(clip.joints[:, 0, 0], positions[:, :3] / 100)
    lengths = np.linalg.norm(positions.reshape(-1, 22, 3), axis=-1) / 100
    bones = clip.joints[:, 0, [c for c, _ in clip.layout.edges]]
    bones = np.linalg.norm(bones - clip.joints[:, 0, [p for _, p in clip.layout.edges]], axis=-1)
    # Turning a bone keeps its length; each edge belongs to the joint that hangs on the other.
    hanging = [max(edge) for edge in clip.layout.edges]
    assert np.allclose(bones, lengths[:, hanging], atol=1e-5)


@pytest.mark.parametrize("name", ["a01_s01_e01", "a13_s09_e02", "a16_s03_e02", "a20_s10_e03"])
def test_msr_action3d_txt(name):
    path = require_data(f"msr_text/{name}_skeleton3D.txt")
    clip = only(read(path))
    expected = np.loadtxt(path).reshape(-1, 20, 4)
    assert np.array_equal(clip.joints[:, 0], expected[..., :3].astype(np.float32))
    assert np.array_equal(clip.confidence[:, 0], expected[..., 3].astype(np.float32))
    action, subject, repetition = map(int, re.findall(r"\d+", name))
    assert (clip.name, clip.label, clip.subject) == (name, action - 1, subject)
    assert clip.repetition == repetition
    archive = np.load(require_data("msr_action3d.npz"))
    row = list(archive["sample"]).index(name)
    start = int(archive["lengths"][:row].sum())
    stored = archive["joints"][start : start + clip.num_frames]
    assert np.allclose(clip.joints[:, 0], stored, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "layout", "unit"),
    [
        ("msr_action3d", "kinect20", "m"),
        ("nw_ucla", "kinect20_sdk", "m"),
        ("utd_mhad", "utd20", "m"),
        ("penn_action_2d", "penn13", "px"),
        ("ui_prmd_kinect", "prmd22", "m"),
        ("gtu_action3d", "ntu25", "m"),
        ("hdm05_11", "hdm24", "m"),
    ],
)
def test_the_seven_archives(name, layout, unit):
    path = require_data(f"{name}.npz")
    archive = np.load(path)
    clips = read(path)
    assert clips.layout.name == layout and clips.unit == unit
    assert [clip.name for clip in clips] == archive["sample"].tolist()
    assert np.array_equal(np.concatenate([clip.joints[:, 0] for clip in clips]), archive["joints"])
    assert [clip.num_frames for clip in clips] == archive["lengths"].tolist()
    assert [clip.label for clip in clips] == archive["label"].tolist()
    assert [clip.subject for clip in clips] == archive["subject"].tolist()
    assert clips.class_names == tuple(archive["class_names"].tolist())
    if "view" in archive:
        assert [clip.camera for clip in clips] == archive["view"].tolist()
    if "train" in archive:
        assert [clip.split == "train" for clip in clips] == archive["train"].tolist()
    if "visible" in archive:
        seen = np.concatenate([clip.confidence[:, 0] for clip in clips])
        assert np.array_equal(seen, archive["visible"])


def test_an_archive_of_another_name_has_the_same_layout(tmp_path):
    for name in ("msr_action3d", "nw_ucla", "utd_mhad", "hdm05_11"):
        path = require_data(f"{name}.npz")
        other = tmp_path / f"my_{name}.npz"
        other.symlink_to(path)
        assert read(other).layout == read(path).layout


# Recognition


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_is_recognised_and_read(name, tmp_path):
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        path = write_sample(name, folder, np.random.default_rng(seed))
        assert detect_format(path) == name
        options = Options(axes="NTVC") if name == "array" else None
        clips = read(path, options=options)
        assert len(clips) >= 1 and clips.format == name
        assert all(np.isfinite(clip.joints).all() for clip in clips)


def test_every_reader_has_a_sample():
    assert list(SAMPLES) == list(READERS)


def test_a_named_format_wins(tmp_path):
    path = tmp_path / "frames.txt"
    rows = np.arange(80.0).reshape(20, 4)
    np.savetxt(path, rows)
    with pytest.raises(SkeletonFormatError, match=r"no format that is recognised.*--format"):
        read(path)
    assert np.array_equal(only(read(path, "msr_action3d_txt")).joints[0, 0], rows[:, :3])
    with pytest.raises(ValueError, match=r"format must be one of ntu_skeleton, .*got 'csv'"):
        read(path, "csv")


def test_mixed_folders_are_refused(tmp_path):
    write_sample("bvh", tmp_path, np.random.default_rng(0))
    write_sample("ntu_skeleton", tmp_path, np.random.default_rng(0))
    with pytest.raises(SkeletonFormatError, match=r"several formats: 1 of .*, 1 of"):
        detect_format(tmp_path)
    assert len(read(tmp_path, "bvh")) == 1


# NTU RGB+D


def ntu_file(folder, name, bodies):
    """Write frames given as lists of body identifiers; joints are all the identifier's number."""
    lines = [str(len(bodies))]
    for frame in bodies:
        lines.append(str(len(frame)))
        for body in frame:
            lines += [f"{body} 0 1 1 1 1 0 0.1 0.2 2", "25"]
            lines += [f"{body % 10} 1 2 nan nan 1.#INF 0 0 0 0 0 1"] * 25
    path = folder / f"{name}.skeleton"
    path.write_text("\n".join(lines))
    return path


def test_ntu_bodies_come_and_go(tmp_path):
    one, two = 72057594037931103, 72057594037931104
    assert float(one) == float(two)
    clip = only(read(ntu_file(tmp_path, "S001C002P003R001A013", [[], [one], [two, one], [two]])))
    assert clip.persons == (str(one), str(two))
    assert clip.joints[:, 0, 0, 0].tolist() == [0, 3, 3, 0]
    assert clip.joints[:, 1, 0, 0].tolist() == [0, 0, 4, 4]
    assert clip.confidence[:, 0, 0].tolist() == [0, 0.5, 0.5, 0]


def test_ntu_missing_samples(tmp_path):
    assert len(name_list("ntu_missing")) == 535
    assert sum(int(name[1:4]) <= 17 for name in name_list("ntu_missing")) == 302
    ntu_file(tmp_path, "S001C002P005R002A008", [[1]])
    ntu_file(tmp_path, "S001C002P003R001A013", [[1]])
    ntu_file(tmp_path, "S001C002P003R001A014", [[], []])
    clips = read(tmp_path)
    assert [clip.name for clip in clips] == ["S001C002P003R001A013"]
    assert [(d.name[-3:], "list" in d.reason) for d in clips.dropped] == [
        ("014", False), ("008", True),
    ]  # fmt: skip
    assert len(read(tmp_path, options=Options(keep_missing=True))) == 2
    names = tmp_path / "names.txt"
    names.write_text("S001C002P003R001A013\n\n")
    with pytest.raises(SkeletonFormatError, match="holds no clips, 3 left out"):
        read(tmp_path, options=Options(missing=names))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("\n25\n", "\n20\n", 1), "line 4: expected 25 joints, got '20'"),
        (lambda t: t.replace("5\n", "6\n", 1), r"ends where frame 5 of 6 should follow.*truncated"),
        (lambda t: t + "1 2 3\n", "expected the end of the file after 5 frames"),
        (lambda t: t.replace(" 2\n", " 2 7\n", 2), "line 3: expected a body's identifier"),
        (lambda t: "-1" + t[1:], "line 1: expected the number of frames"),
        (lambda t: "9" * 30 + t[1:], "line 1: expected the number of frames"),
        (lambda t: t[: len(t) // 2], "line .*expected|ends where"),
        (lambda t: "", "ends where the number of frames should follow"),
    ],
)
def test_ntu_errors_name_the_line(tmp_path, change, message):
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_text(change(ntu_text(np.random.default_rng(0), 5)))
    with pytest.raises(SkeletonFormatError, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value) and raised.value.path == str(path)


# Other formats


def test_kinetics_frames_persons_and_padding(tmp_path):
    def person(value, score):
        return {"pose": [value] * 36, "score": [score] * 18}

    data = [
        {"frame_index": 4, "skeleton": [person(0.1, 0.2), person(0.3, 0.9)]},
        {"frame_index": 2, "skeleton": [person(0.5, 0.5)]},
        {"frame_index": 5, "skeleton": []},
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": data, "label": "x", "label_index": 2}))
    clip = only(read(path))
    assert np.allclose(clip.joints[:, :, 0, 0], [[0, 0], [0.5, 0], [0, 0], [0.1, 0.3], [0, 0]])
    best = only(read(path, options=Options(max_persons=1)))
    assert np.allclose(best.joints[:, 0, 0, 0], [0, 0.5, 0, 0.3, 0])
    data[1]["frame_index"] = 4
    path.write_text(json.dumps({"data": data}))
    with pytest.raises(SkeletonFormatError, match=r"data\[1\]: frame_index must .* once, got 4"):
        read(path)
    path.write_text(json.dumps({"data": [], "label_index": 1}))
    with pytest.raises(SkeletonFormatError, match="no clips, 1 left out: a holds no person"):
        read(path)


def test_kinetics_class_names(tmp_path):
    for name, label in (("a", 2), ("b", 0)):
        frame = {"frame_index": 1, "skeleton": [{"pose": [1] * 36, "score": [1] * 18}]}
        content = {"data": [frame], "label": f"action {label}", "label_index": label}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert read(tmp_path).class_names == ("action 0", "class 1", "action 2")


def test_openpose_series(tmp_path):
    for clip, frames in (("run", (3, 5)), ("jump", (0,))):
        for frame in frames:
            people = [{"pose_keypoints_2d": [float(frame)] * 75}, {"pose_keypoints_2d": []}]
            path = tmp_path / clip / f"{clip}_{frame:012d}_keypoints.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"people": people}))
    clips = read(tmp_path, options=Options(folder_labels=True))
    assert [(c.name, c.num_frames, c.label_name) for c in clips] == [
        ("jump/jump", 1, "jump"), ("run/run", 3, "run"),
    ]  # fmt: skip
    assert clips[1].joints[:, 0, 0, 0].tolist() == [3, 0, 5]
    again = path.with_name("jump_0_keypoints.json")
    again.write_text(path.read_text())
    with pytest.raises(SkeletonFormatError, match="two files of 'jump/jump' have the same frame"):
        read(tmp_path)
    again.unlink()
    # Frame 0 and one more: at most 10 frames per file, and 100.
    last = path.with_name("jump_119_keypoints.json")
    last.write_text(json.dumps({"people": people}))
    assert read(tmp_path)[0].num_frames == 120
    last.rename(path.with_name("jump_120_keypoints.json"))
    with pytest.raises(SkeletonFormatError, match="the 2 files of 'jump/jump' are numbered over"):
        read(tmp_path)


def test_pku_labels_cut_recordings(tmp_path):
    rows = np.arange(1.0, 11)[:, None] * np.ones((10, 150))
    rows[:, 75:] = 0
    for folder in ("skeleton", "label"):
        (tmp_path / folder).mkdir()
    np.savetxt(tmp_path / "skeleton" / "A01N07-M.txt", rows)
    (tmp_path / "label" / "A01N07-M.txt").write_text("3,2,5,1\n51,9,6,2\n1,20,30,1\n")
    (tmp_path / "cross_subject_v2.txt").write_text("Training videos:\nA01N07-M, \n")
    clips = read(tmp_path)
    assert [(c.name, c.label, c.num_frames) for c in clips] == [
        ("A01N07-M/000", 2, 3), ("A01N07-M/001", 50, 3),
    ]  # fmt: skip
    assert clips[0].joints[:, 0, 0, 0].tolist() == [3, 4, 5] and clips[0].num_persons == 1
    assert (clips[0].camera, clips[0].subject) == (2, 7)
    assert clips.dropped[0].name == "A01N07-M/002"
    whole = only(read(tmp_path / "skeleton"))
    assert whole.num_frames == 10 and whole.label == -1
    (tmp_path / "label" / "A01N07-M.txt").write_text("3,2\n")
    with pytest.raises(SkeletonFormatError, match=r"label/A01N07-M.txt, line 1: expected class"):
        read(tmp_path)


def test_msr_prefers_world_coordinates(tmp_path):
    for ending, value in (("_skeleton", 7.0), ("_skeleton3D", 1.0)):
        np.savetxt(tmp_path / f"a02_s03_e01{ending}.txt", np.full((20, 4), value))
    assert only(read(tmp_path)).joints.max() == 1


@pytest.mark.parametrize("row", ["1 2 3", "1 2 3 4 5", "1 2 3 x"])
def test_msr_lines_hold_four_numbers(tmp_path, row):
    path = tmp_path / "a02_s03_e01_skeleton3D.txt"
    path.write_text("1 2 3 4\n" * 30 + f"{row}\n" + "1 2 3 4\n" * 9)
    with pytest.raises(SkeletonFormatError, match="line 31: expected 4 numbers"):
        read(path)


def test_bvh_variants(tmp_path):
    text = """HIERARCHY
    ROOT Hips {
        OFFSET 5.0 0 0
        CHANNELS 6 XPOSITION YPOSITION ZPOSITION Xrotation Yrotation Zrotation
        JOINT Left Arm
        {   OFFSET 1 0 0
            CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
            End Site { OFFSET 0 2 0 } }
        JOINT Right Arm { OFFSET -1 0 0 CHANNELS 0 End Site { OFFSET 0 2 0 } }
    }
    MOTION
    Frames : 2
    Frame  Time: .5
    1 2 3 0 0 90 4 0 0 90 0 0
    0 0 0 0 0 0 3 0 0 0 0 0
    """
    path = tmp_path / "a.bvh"
    path.write_text(text.replace("\n", "\r\n"))
    clip = only(read(path, options=Options(end_sites=True)))
    assert clip.layout.joints == (
        "Hips", "Left Arm", "Left Arm end", "Right Arm", "Right Arm end",
    )  # fmt: skip
    assert clip.layout.left_right == ((1, 3), (2, 4)) and clip.frame_rate == 2
    # Positions take the place of offsets; the hips turn the arm, the arm turns its end.
    expected = [[1, 2, 3], [1, 6, 3], [1, 4, 3], [1, 1, 3], [-1, 1, 3]]
    assert np.allclose(clip.joints[0, 0], expected, atol=1e-6)
    path.write_text(text.replace("Frames : 2", "Frames : 3"))
    with pytest.raises(SkeletonFormatError, match="expected 3 frames, got 2"):
        read(path)
    path.write_text(text.replace("90 0 0\n", "90 0\n"))
    with pytest.raises(SkeletonFormatError, match="line 14: expected 12 numbers"):
        read(path)


def test_bvh_files_with_different_skeletons_are_not_mixed(tmp_path):
    write_sample("bvh", tmp_path, np.random.default_rng(0))
    first = next(tmp_path.iterdir())
    (tmp_path / "zz.bvh").write_text(first.read_text().replace("Spine", "Back"))
    with pytest.raises(SkeletonFormatError, match=r"zz.bvh: 'zz' has other joints than 'walk'"):
        read(tmp_path)


def test_pyskl_forms_and_splits(tmp_path):
    def entry(name, label=1, **more):
        keypoint = np.arange(2 * 3 * 25 * 3.0).reshape(2, 3, 25, 3)
        return {"frame_dir": name, "label": label, "keypoint": keypoint, **more}

    path = tmp_path / "a.pkl"
    names = ["S001C001P001R001A001", "S002C002P002R002A002"]
    entries = [entry(name, np.int64(3)) for name in names]
    split = {"xsub_train": names[:1], "xsub_val": names[1:], "xview_train": names, "xview_val": []}
    for protocol in range(6):
        path.write_bytes(pickle.dumps({"split": split, "annotations": entries}, protocol))
        clips = read(path, options=Options(split="xsub"))
        assert [clip.split for clip in clips] == ["train", "test"]
        assert clips[1].setup == 2 and clips[1].label == 3 and clips.layout.name == "ntu25"
        assert np.array_equal(clips[0].joints, entries[0]["keypoint"].transpose(1, 0, 2, 3))
    assert [clip.split for clip in read(path)] == ["", ""]
    with pytest.raises(SkeletonFormatError, match="has no split 'xset', only 'xsub', 'xview'"):
        read(path, options=Options(split="xset"))
    path.write_bytes(pickle.dumps(entries))
    assert len(read(path)) == 2
    fortran = entry("f", keypoint=np.asfortranarray(np.random.default_rng(0).random((1, 4, 17, 2))))
    path.write_bytes(pickle.dumps(fortran))
    assert np.allclose(only(read(path)).joints[:, 0], fortran["keypoint"][0])
    scored = entry("s", img_shape=(480, 640), keypoint=np.ones((1, 4, 17, 3)))
    path.write_bytes(pickle.dumps(scored))
    assert only(read(path)).joints.shape == (4, 1, 17, 2)


def test_ctrgcn_padding_and_persons(tmp_path):
    rng = np.random.default_rng(0)
    x = np.zeros((3, 8, 2, 25, 3), np.float32)
    x[0, :5, 0] = rng.normal(size=(5, 25, 3))
    x[0, 2] = 0
    x[2, :7, 1] = rng.normal(size=(7, 25, 3))
    arrays = {"x_train": x.reshape(3, 8, 150), "y_train": np.eye(4)[[2, 0, 3]]}
    arrays |= {"x_test": x[:1].reshape(1, 8, 150), "y_test": np.eye(4)[[1]]}
    path = tmp_path / "NTU60_CS.npz"
    np.savez(path, **arrays)
    clips = read(path)
    assert [(c.name, c.num_frames, c.num_persons, c.label, c.split) for c in clips] == [
        ("x_train[0]", 5, 1, 2, "train"),
        ("x_train[2]", 7, 1, 3, "train"),
        ("x_test[0]", 5, 1, 1, "test"),
    ]
    assert np.array_equal(clips[0].joints[:, 0], x[0, :5, 0])
    assert [d.name for d in clips.dropped] == ["x_train[1]"]
    arrays["y_train"] = np.ones((3, 4))
    np.savez(path, **arrays)
    with pytest.raises(SkeletonFormatError, match="row 0 of y_train must have exactly one"):
        read(path)


@pytest.mark.parametrize("axes", ["NTVC", "NCTVM", "NMTVC", "TVC", "MTVC", "VCTN"])
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_arrays_in_any_order_of_axes(tmp_path, axes, ending):
    sizes = {"N": 3, "M": 2, "T": 6, "V": 5, "C": 3}
    x = np.random.default_rng(0).normal(size=[sizes[a] for a in axes]).astype(np.float32)
    path = tmp_path / f"mine.{ending}"
    (np.save if ending == "npy" else lambda p, a: np.savez(p, x=a))(path, x)
    clips = read(path, options=Options(axes=axes))
    persons = sizes["M"] if "M" in axes else 1
    assert len(clips) == (sizes["N"] if "N" in axes else 1)
    for index, clip in enumerate(clips):
        for frame in range(6):
            for person in range(persons):
                place = {"N": index, "M": person, "T": frame, "V": slice(None), "C": slice(None)}
                part = x[tuple(place[a] for a in axes)]
                part = part if axes.index("V") < axes.index("C") else part.T
                assert np.array_equal(clip.joints[frame, person], part)
    assert clips.layout.name == "joints5"


def test_arrays_with_columns(tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 6, 17, 3))
    x[1, 4:] = 0
    path = tmp_path / "mine.npy"
    np.save(path, x)
    np.save(tmp_path / "mine_label.npy", np.array([0, 2, 1]))
    np.save(tmp_path / "mine_lengths.npy", np.array([6, 5, 2], np.int8))
    options = Options(axes="NTVC", layout="coco17", score=True)
    clips = read(tmp_path, options=options)
    assert [(c.label, c.num_frames, c.joints.shape[3]) for c in clips] == [
        (0, 6, 2), (2, 5, 2), (1, 2, 2),
    ]  # fmt: skip
    assert np.allclose(clips[2].confidence[:, 0], x[2, :2, :, 2])
    assert clips.layout.name == "coco17" and clips.class_names[2] == "class 2"
    trimmed = read(path, options=Options(axes="NTVC", trim=True))
    assert trimmed[1].num_frames == 4
    with pytest.raises(SkeletonFormatError, match=r"order of the axes is not known.*--axes NTVC"):
        read(path)
    with pytest.raises(SkeletonFormatError, match=r"must have shape .*got .3, 6, 17, 3."):
        read(path, options=Options(axes="NMTVC"))
    with pytest.raises(ValueError, match="axes must hold C, T and V once each"):
        read(path, options=Options(axes="NTVX"))
    with pytest.raises(SkeletonFormatError, match="17 joints, which is not the layout ntu25"):
        read(path, options=Options(axes="NTVC", layout="ntu25"))
    np.save(tmp_path / "mine_lengths.npy", np.array([7, 5, 2]))
    with pytest.raises(SkeletonFormatError, match=r"lengths\[0\] must lie between 0 and 6"):
        read(path, options=options)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 0, 1], [0, 1, 0]], None),
        ([[0, 0, 3.5], [0, 0.25, -1]], None),
        ([2, 1], None),
        ([-1, 99_999], None),
        ([-2, 0], "label must lie between -1 and 2147483647"),
        ([0, 2**31], "label must lie between -1 and 2147483647"),
        ([[0, 1, 1], [0, 1, 0]], r"label must hold 2 integers, got int64 of shape \(2, 3\)"),
        ([[0, 0, 0], [0, 1, 0]], r"must hold 2 integers, got int64 of shape \(2, 3\)"),
        ([[0, 1]], r"must hold 2 integers, got int64 of shape \(1, 2\)"),
        (np.zeros((2, 0)), r"must hold 2 integers, got float64 of shape \(2, 0\)"),
        ([0, 1, 2], r"must hold 2 integers, got int64 of shape \(3,\)"),
        ([0.0, 1.0], r"must hold 2 integers, got float64 of shape \(2,\)"),
    ],
)
def test_labels_are_integers_or_one_hot(tmp_path, labels, message):
    labels = np.array(labels)
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.ones((2, 4, 17, 3), np.float32), label=labels)
    if message is None:
        clips = read(path, options=Options(axes="NTVC"))
        expected = labels.argmax(axis=1) if labels.ndim == 2 else labels
        assert [clip.label for clip in clips] == expected.tolist()
    else:
        with pytest.raises(SkeletonFormatError, match=message):
            read(path, options=Options(axes="NTVC"))


def test_arrays_are_found_by_name_or_by_their_axes(tmp_path):
    path = tmp_path / "mine.npz"
    x = np.random.default_rng(0).normal(size=(2, 4, 17, 3)).astype(np.float32)

    def first(**arrays):
        np.savez(path, **arrays)
        return read(path, options=Options(axes="NTVC", key=key))[0].joints[:, 0]

    key = None
    assert np.array_equal(first(poses=x, more=x + 1), x[0])
    assert np.array_equal(first(mine=x, table=np.ones((2, 4))), x[0])
    for arrays in ({"mine": x, "yours": x}, {"table": np.ones((2, 4))}):
        with pytest.raises(SkeletonFormatError, match=r"holds the arrays '.*--key"):
            first(**arrays)
    key = "yours"
    assert np.array_equal(first(x=x, yours=x + 1), x[0] + 1)


# Options of all readers


def test_coordinates_that_are_not_finite(tmp_path):
    path = tmp_path / "a01_s02_e03_v01.json"
    skeletons = np.ones((3, 20, 3))
    skeletons[1, 4, 2] = np.nan
    path.write_text(json.dumps({"skeletons": skeletons.tolist()}))
    with pytest.raises(
        SkeletonFormatError, match=r"frame 1, person 0, joint 4 .*1, 1, nan.*--non-finite missing"
    ):
        read(path)
    clip = only(read(path, options=Options(non_finite="missing")))
    assert clip.joints[1, 0, 4].tolist() == [0, 0, 0] and clip.confidence[1, 0, 4] == 0
    assert clip.confidence.sum() == 59
    path.write_text(path.read_text().replace("NaN", "1e39"))
    with pytest.raises(SkeletonFormatError, match=r"1e\+39, not finite in fp32"):
        read(path)


def test_names_give_numbers(tmp_path):
    for name in ("walk-p3-c2", "sit-p1-c1"):
        (tmp_path / name).mkdir()
        write_sample("bvh", tmp_path / name, np.random.default_rng(0)).rename(
            tmp_path / f"{name}.bvh"
        )
    pattern = r"(?P<label>\w+)-p(?P<subject>\d)-c(?P<camera>\d)"
    clips = read(tmp_path, options=Options(pattern=pattern))
    assert clips.class_names == ("sit", "walk")
    assert [(c.label, c.label_name, c.subject, c.camera) for c in clips] == [
        (0, "sit", 1, 1), (1, "walk", 3, 2),
    ]  # fmt: skip
    with pytest.raises(SkeletonFormatError, match="does not fit"):
        read(tmp_path, options=Options(pattern=r"(?P<label>\d+)_"))
    with pytest.raises(ValueError, match="pattern must have groups named label"):
        read(tmp_path, options=Options(pattern="x"))


def test_persons_who_move_most(tmp_path):
    still, first, second = 5, 6, 7
    path = ntu_file(tmp_path, "S001C001P001R001A001", [[still, first, second]] * 4)
    clip = only(read(path, options=Options(max_persons=2)))
    # Nobody moves: the first persons stay.
    assert clip.persons == ("5", "6")
    x = np.zeros((4, 3, 25, 3))
    x += np.arange(4)[:, None, None, None] * np.array([0, 2, 1])[None, :, None, None] + 1
    np.save(tmp_path / "x.npy", x)
    options = Options(axes="TMVC", max_persons=2)
    clip = only(read(tmp_path / "x.npy", options=options))
    assert clip.joints[3, :, 0, 0].tolist() == [7, 4]


def test_files_that_cannot_be_read_are_left_out_on_demand(tmp_path):
    write_sample("bvh", tmp_path, np.random.default_rng(0))
    (tmp_path / "broken.bvh").write_text("HIERARCHY\n")
    with pytest.raises(SkeletonFormatError, match=r"broken.bvh"):
        read(tmp_path)
    clips = read(tmp_path, options=Options(skip_errors=True))
    assert len(clips) == 1 and "broken.bvh" in clips.dropped[0].reason


def test_names_that_repeat_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_sample("bvh", tmp_path / folder, np.random.default_rng(0))
    assert [clip.name for clip in read(tmp_path)] == ["a/walk", "b/walk"]


def test_a_source_reads_one_clip_at_a_time(tmp_path):
    path = write_sample("clips_npz", tmp_path, np.random.default_rng(0))
    items = ClipSource(path).items()
    assert next(items)[1].name == "a01_s01_e01"
    items.close()


@pytest.mark.parametrize("name", ["readme.txt", "README_first.TXT", "Read me.txt", "LICENSE.txt"])
def test_texts_that_come_with_data_are_passed_over(tmp_path, name):
    write_sample("pku_mmd_txt", tmp_path, np.random.default_rng(0))
    count = len(read(tmp_path))
    (tmp_path / name).write_text("Read me: five words of text\n")
    assert len(read(tmp_path)) == count


def test_a_stray_file_is_named_with_the_remedy(tmp_path):
    write_sample("pku_mmd_txt", tmp_path, np.random.default_rng(0))
    (tmp_path / "notes.txt").write_text("Five words stand in here\n")
    with pytest.raises(SkeletonFormatError, match=r"notes\.txt, line 1: .*--skip-errors leaves"):
        read(tmp_path)
    clips = read(tmp_path, options=Options(skip_errors=True))
    assert [entry.name for entry in clips.dropped] == ["notes"]


def test_pku_labels_with_spaces(tmp_path):
    write_sample("pku_mmd_txt", tmp_path, np.random.default_rng(0))
    wanted = [(clip.name, clip.label, clip.num_frames) for clip in read(tmp_path)]
    path = tmp_path / "label" / "0002-L.txt"
    path.write_text(path.read_text().replace(",", " "))
    assert [(clip.name, clip.label, clip.num_frames) for clip in read(tmp_path)] == wanted


def test_the_label_lists_of_kinetics(tmp_path):
    for part in ("kinetics_train", "kinetics_val"):
        (tmp_path / part).mkdir()
        write_sample("kinetics_json", tmp_path / part, np.random.default_rng(0)).rename(
            tmp_path / part / f"{part[-3:]}.json"
        )
        labels = {part[-3:]: {"has_skeleton": True, "label": "juggling", "label_index": 3}}
        (tmp_path / f"{part}_label.json").write_text(json.dumps(labels))
    assert [clip.name for clip in read(tmp_path)] == ["ain", "val"]
    (tmp_path / "kinetics_val_label.json").rename(tmp_path / "labels.json")
    with pytest.raises(SkeletonFormatError, match=r"labels\.json: has no 'data'.*--skip-errors"):
        read(tmp_path)


def test_the_unit_that_files_tell(tmp_path):
    rows = np.full((20, 4), 7.0)
    for name, unit in (("a02_s03_e01_skeleton", "px"), ("a02_s03_e01_skeleton3D", "m")):
        np.savetxt(tmp_path / f"{name}.txt", rows)
        assert read(tmp_path / f"{name}.txt").unit == unit
    assert read(tmp_path).unit == "m"
    for keypoint, more, unit in (
        (np.ones((1, 4, 17, 2)), {"img_shape": (480, 640)}, "px"),
        (np.ones((1, 4, 17, 2)), {}, ""),
        (np.ones((1, 4, 25, 3)), {"frame_dir": "S001C001P001R001A001"}, "m"),
        (np.ones((1, 4, 25, 3)), {"frame_dir": "other"}, ""),
    ):
        path = tmp_path / "a.pkl"
        path.write_bytes(pickle.dumps({"keypoint": keypoint, **more}))
        assert read(path).unit == unit
        done = convert(path, tmp_path / "out", overwrite=True)
        assert done.unit == unit


@pytest.mark.parametrize(
    ("keys", "split", "parts"),
    [
        (("train1", "test1", "train2", "test2"), "2", ["test", "train"]),
        (("train1", "test1", "train2", "test2"), "1", ["train", "test"]),
        (("train", "val"), None, ["train", "test"]),
        (("sub-train", "sub-test"), "sub", ["train", "test"]),
        (("fold_train_1", "fold_val_1"), "fold_1", ["train", "test"]),
    ],
)
def test_pyskl_names_of_splits(tmp_path, keys, split, parts):
    entries = [{"frame_dir": name, "keypoint": np.ones((1, 4, 17, 2))} for name in ("a", "b")]
    names = (["a"], ["b"], ["b"], ["a"])
    content = {"split": dict(zip(keys, names, strict=False)), "annotations": entries}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    assert [clip.split for clip in read(path, options=Options(split=split))] == parts
    with pytest.raises(SkeletonFormatError, match=f"no split 'x', only .*of the keys '{keys[0]}'"):
        read(path, options=Options(split="x"))


def peak_growth(path):
    """Return by how many bytes reading a file raises the largest memory of a fresh process."""
    code = (
        "import sys, resource; from skelfreq.data import ClipSource, Options\n"
        "source = ClipSource(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "clips = list(source.items())\n"
        "print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_ntu_memory_is_in_proportion_to_the_numbers(tmp_path):
    frames = 12_000
    joint = "0.1 0.2 3.1 1 2 3 4 5 6 7 8 2\n"
    frame = "1\n72057594037931101 0 1 1 1 1 0 0.02 0.05 2\n25\n" + joint * 25
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_text(f"{frames}\n" + frame * frames)
    numbers = frames * 25 * 4 * 4
    # Lists of floats took 30 times as much as the joints.
    assert peak_growth(path) < 8 * numbers
