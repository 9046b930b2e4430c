"""What each reader takes and refuses at the edges of its format, and the pictures of clips."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from skelfreq.data import Limits, Options, SkeletonFormatError, detect_format, read
from skelfreq.data.archives import open_archive
from skelfreq.data.clips import Clip
from skelfreq.data.layouts import unnamed_layout
from skelfreq.data.pictures import animate, draw_clip
from skelfreq.data.source import integer_of
from skelfreq.skeletons import get_layout


def only(clips):
    """Return the single clip of a set."""
    assert len(clips) == 1
    return clips[0]


# Recognition


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_encodings_are_recognised(tmp_path, encoding):
    path = tmp_path / "a01_s02_e03_v01.json"
    text = json.dumps({"skeletons": np.ones((3, 20, 3)).tolist(), "label": 1})
    path.write_text(text, encoding)
    assert detect_format(path) == "nw_ucla_json"
    assert only(read(path)).num_frames == 3


@pytest.mark.parametrize(
    ("action", "label"),
    [
        *zip((1, 2, 3, 4, 5, 6, 8, 9, 11, 12), range(10), strict=True),
        *[(7, -1), (10, -1), (13, -1)],
    ],
)
def test_nw_ucla_numbers_its_actions_with_gaps(tmp_path, action, label):
    path = tmp_path / f"a{action:02}_s02_e03_v01.json"
    path.write_text(json.dumps({"skeletons": np.ones((3, 20, 3)).tolist()}))
    clip = only(read(path))
    assert (clip.label, clip.subject, clip.repetition, clip.camera) == (label, 2, 3, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 0}, "label must be an integer from 1, got 0"),
        ({"label": True}, "label must be an integer from 1, got True"),
        ({"label": 1001}, "label must be an integer from 1, got 1001"),
        ({"skeletons": np.ones((3, 19, 3)).tolist()}, "frame 0: expected 20 joints, got 19"),
        ({"skeletons": np.ones((3, 20, 2)).tolist()}, "frame 0, joint 0: expected x, y, z, got 2"),
        ({"skeletons": []}, "no clips, 1 left out: a01_s02_e03_v01 holds no frames"),
    ],
)
def test_nw_ucla_errors(tmp_path, changes, message):
    path = tmp_path / "a01_s02_e03_v01.json"
    path.write_text(json.dumps({"skeletons": np.ones((3, 20, 3)).tolist(), **changes}))
    with pytest.raises(SkeletonFormatError, match=message):
        read(path, "nw_ucla_json")


# pyskl


def annotation(**changes):
    keypoint = np.random.default_rng(0).normal(size=(2, 4, 25, 3)).astype(np.float32)
    return {"frame_dir": "a", "label": 1, "keypoint": keypoint, **changes}


def read_pickled(tmp_path, content):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    return read(path)


@pytest.mark.parametrize(
    ("shape", "more", "layout", "coordinates"),
    [
        ((1, 4, 17, 3), {"img_shape": (480, 640)}, "coco17", 2),
        ((1, 4, 18, 3), {"img_shape": (480, 640)}, "openpose18", 2),
        ((1, 4, 19, 3), {"img_shape": (480, 640)}, "joints19", 3),
        ((1, 4, 17, 3), {}, "joints17", 3),
        ((1, 4, 25, 2), {}, "body25", 2),
        ((4, 25, 3), {}, "ntu25", 3),
        ((2, 4, 17, 16), {}, "joints17", 16),
    ],
)
def test_pyskl_keypoints(tmp_path, shape, more, layout, coordinates):
    keypoint = np.random.default_rng(0).normal(size=shape)
    clip = only(read_pickled(tmp_path, annotation(keypoint=keypoint, **more)))
    whole = keypoint.reshape(-1, *shape[-3:]).swapaxes(0, 1)
    assert clip.layout.name == layout and clip.image_size == ((640, 480) if more else (0, 0))
    assert np.allclose(clip.joints, whole[..., :coordinates], atol=1e-6)
    if coordinates == shape[-1]:
        assert clip.confidence is None
    else:
        assert np.allclose(clip.confidence, whole[..., 2], atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(480,), ("a", "b"), (0, 640), (480, 1 << 20), "480", 3.5, [1.0, 2]]
)
def test_pyskl_sizes_of_images_that_say_nothing(tmp_path, shape):
    assert only(read_pickled(tmp_path, annotation(img_shape=shape))).image_size == (0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoint": np.ones((4, 25))}, r"keypoint: expected an array with 4 axes, got shape"),
        ({"keypoint": np.ones((1, 1, 4, 25, 3))}, "expected an array with 4 axes, got shape"),
        ({"keypoint": [1, 2]}, "expected an array with 4 axes, got list"),
        ({"keypoint": np.ones((1, 4, 25, 17))}, r"expected \[M, T, V, C\], got the shape"),
        ({"keypoint": np.ones((1, 1, 10_001, 1))}, r"expected \[M, T, V, C\], got the shape"),
        ({"keypoint_score": np.ones((2, 4, 24))}, r"keypoint_score must have the shape \(2, 4, 25"),
        ({"keypoint_score": np.ones((4, 25))}, "keypoint_score must have the shape"),
        ({"label": -2}, r"annotations\[0\]: label must be an integer from -1, got -2"),
        ({"label": True}, "label must be an integer from -1, got True"),
        ({"label": "1"}, "label must be an integer from -1, got '1'"),
        ({"label": 1_000_000}, "label must be an integer from -1"),
    ],
)
def test_pyskl_errors(tmp_path, changes, message):
    with pytest.raises(SkeletonFormatError, match=message):
        read_pickled(tmp_path, annotation(**changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text", "expected an annotation, a list of annotations .* got str"),
        ([1], r"annotations\[0\]: expected a dict, got int"),
        ({"annotations": [], "split": [1]}, "split must be a dict with a list of names"),
        ({"annotations": [], "split": {1: ["a"]}}, "split must be a dict with a list of names"),
        ({"annotations": [], "split": {"a_train": "a"}}, "split must be a dict with a list"),
        ([{"label": 1, "frame_inds": 3}], "has no 'keypoint'.*kpfiles"),
        ([{"label": 1, 5: 3}], "has no 'keypoint'$|has no 'keypoint'[.]$"),
    ],
)
def test_pyskl_content_errors(tmp_path, content, message):
    with pytest.raises(SkeletonFormatError, match=message):
        read_pickled(tmp_path, content)


def test_pyskl_names(tmp_path):
    one, two, three = annotation(), annotation(frame_dir=7), annotation()
    del three["frame_dir"]
    three["filename"] = "file"
    clips = read_pickled(
        tmp_path, [one, two, three, annotation(frame_dir="e", keypoint=np.ones((1, 0, 25, 3)))]
    )
    assert [clip.name for clip in clips] == ["a", "a[1]", "file"]
    assert [(d.name, d.reason) for d in clips.dropped] == [("e", "holds no keypoints")]


# Kinetics


def frame(index, joints=18, pose=None, score=None):
    person = {"pose": pose or [0.5] * 2 * joints, "score": score or [0.5] * joints}
    return {"frame_index": index, "skeleton": [person]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([frame(-1)], r"data\[0\]: frame_index must be an integer from 0 .* got -1"),
        ([frame(True)], "frame_index must be an integer from 0 .* got True"),
        ([frame(1.0)], "frame_index must be an integer from 0 .* got 1.0"),
        ([frame(1, pose=[0.5] * 35)], r"skeleton\[0\]: expected two numbers of pose .* 35 and 18"),
        ([frame(1, pose=[], score=[0.5])], "expected two numbers of pose per score, got 2"),
        ([frame(1), frame(2, joints=17)], r"persons have \[17, 18\] joints"),
        ([{"frame_index": 1}], r"data\[0\]\.skeleton"),
    ],
)
def test_kinetics_errors(tmp_path, data, message):
    if "got 2" in message:
        data[0]["skeleton"][0]["pose"] = [0.5] * 2 + [1.0]
        message = "expected two numbers of pose per score, got 3 and 1"
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": data, "label_index": 1, "label": "x"}))
    with pytest.raises(SkeletonFormatError, match=message):
        read(path, "kinetics_json")


@pytest.mark.parametrize(("joints", "name"), [(17, "coco17"), (18, "openpose18"), (25, "body25")])
def test_kinetics_layouts_and_frame_zero(tmp_path, joints, name):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": [frame(0, joints), frame(2, joints)]}))
    clip = only(read(path, "kinetics_json"))
    assert clip.layout.name == name and clip.num_frames == 3
    path.write_text(json.dumps({"data": [frame(3, 19)]}))
    clip = only(read(path, "kinetics_json"))
    assert clip.layout.name == "joints19" and clip.num_frames == 3


# Penn Action


def penn(tmp_path, **changes):
    rng = np.random.default_rng(0)
    variables = {"x": rng.random((4, 13)), "y": rng.random((4, 13)), "visibility": np.ones((4, 13))}
    path = tmp_path / "0001.mat"
    scipy.io.savemat(path, variables | changes)
    return read(path)


def test_penn_action_labels_and_splits(tmp_path):
    clip = only(penn(tmp_path))
    assert (clip.label, clip.split, clip.image_size) == (-1, "", (0, 0))
    for train, split in ((1, "train"), (-1, "test"), (0, "test")):
        clip = only(penn(tmp_path, train=train, action="base ball_pitch"))
        assert (clip.split, clip.label_name) == (split, "baseball_pitch") and clip.label == 0
    assert only(penn(tmp_path, action="juggling")).label_name == "juggling"
    with pytest.raises(SkeletonFormatError, match="train must be 1 or -1, got 2"):
        penn(tmp_path, train=2)
    assert only(penn(tmp_path, dimensions=[[270, 480, 9]])).image_size == (480, 270)
    for edges in ([0, 480, 9], [270, 0, 9], [270, 1 << 20, 9], [-1, 480, 9]):
        assert only(penn(tmp_path, dimensions=[edges])).image_size == (0, 0)
    with pytest.raises(SkeletonFormatError, match="no clips, 1 left out: 0001 holds no frames"):
        penn(tmp_path, **{key: np.ones((0, 13)) for key in ("x", "y", "visibility")})
    with pytest.raises(SkeletonFormatError, match=r"y must be real numbers of shape \(4, 13\)"):
        penn(tmp_path, y=np.ones((3, 13)))


# Archives of clips


def archive(tmp_path, **changes):
    joints = np.random.default_rng(0).normal(size=(9, 20, 3)).astype(np.float32)
    path = tmp_path / "mine.npz"
    arrays = {"joints": joints, "lengths": np.array([4, 0, 5]), **changes}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return read(path)


def test_clips_of_an_archive_are_its_rows(tmp_path):
    clips = archive(
        tmp_path, label=[1, -1, 0], subject=[2**31 - 1, 0, 3], view=[1, 2, -1],
        train=[True, True, False],
        image_size=[[480, 640], [1, 2], [3, 4]], class_names=["a", "b"], rate_hz=30,
        visible=np.arange(180).reshape(9, 20) % 2, repetition=[0, 1, 2],
    )  # fmt: skip
    assert [d.reason for d in clips.dropped] == ["has no frames"]
    first, last = clips
    assert (first.label, first.subject, first.camera, first.split) == (1, 2**31 - 1, 1, "train")
    assert (last.label, last.camera, last.split, last.repetition) == (0, -1, "test", 2)
    assert first.image_size == (640, 480) and last.image_size == (4, 3)
    assert (first.frame_rate, first.name, last.name) == (30, "clip 0", "clip 2")
    assert first.label_name == "b" and last.confidence[:, 0].tolist() == [[0, 1] * 10] * 5
    assert clips.unit == "m" and first.layout.name == "joints20"
    assert archive(tmp_path, joints=np.ones((9, 20, 2), np.float32)).unit == "px"
    assert archive(tmp_path, rate_hz=0)[0].frame_rate == 0
    assert archive(tmp_path, rate_hz=1e6)[0].frame_rate == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": [4, -1, 6]}, "lengths must not be negative and add up to the 9 frames"),
        ({"lengths": [4, 4]}, "got a sum of 8"),
        ({"label": [-2, 0, 0]}, "label must lie between -1 and 2147483647"),
        ({"subject": [0, 0, 2**31]}, "subject must lie between -1 and 2147483647"),
        ({"label": [0, 2, 1], "class_names": ["a", "b"]}, "below the 2 class names, got 2"),
        ({"label": [0, 1]}, "label"),
        ({"label": [0.0, 1.0, 2.0]}, "label"),
        ({"train": [1, 0, 1]}, "train"),
        ({"visible": np.ones((9, 19))}, "visible"),
        ({"joints": np.ones((9, 0, 3), np.float32)}, "expected 1 to 10000 joints, got 0"),
        ({"sample": ["a", "b"]}, "sample"),
        ({"joint_names": ["a", "b"]}, "joint_names"),
    ],
)  # fmt: skip
def test_archive_errors(tmp_path, changes, message):
    with pytest.raises(SkeletonFormatError, match=message):
        archive(tmp_path, **{key: np.array(value) for key, value in changes.items()})


def test_an_archive_without_labels_may_name_classes_and_joints(tmp_path):
    words = [f"joint {letter}" for letter in "abcdefghijklmnopqrst"]
    clips = archive(tmp_path, class_names=["a"], joint_names=words)
    assert clips.class_names == ("a",) and clips[0].label == -1
    assert clips[0].layout.joints == tuple(words)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.ones((2, 0, 150))}, "x_train: expected 1 to 100000 frames, got 0"),
        ({"x_train": np.ones((2, 4, 149))}, "x_train"),
        ({"y_train": np.eye(3)}, "y_train"),
        ({"y_test": np.ones((1, 4)) * 0}, "row 0 of y_test must have exactly one .* got 0"),
        ({"y_test": np.eye(3)[:1]}, "y_test"),  # other classes than in training
    ],
)
def test_ctrgcn_errors(tmp_path, changes, message):
    arrays = {
        "x_train": np.ones((2, 4, 150)), "y_train": np.eye(4)[:2],
        "x_test": np.ones((1, 4, 150)), "y_test": np.eye(4)[:1],
    }  # fmt: skip
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    assert [clip.num_persons for clip in read(path)] == [2, 2, 2]
    np.savez(path, **(arrays | changes))
    with pytest.raises(SkeletonFormatError, match=message):
        read(path)


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("3,2,5,1", True),
        ("3,2,5", True),
        ("10000,5,2,1", True),
        ("0,2,5,1", False),
        ("10001,2,5,1", False),
        ("3,2,5,1,1", False),
        ("3,-2,5,1", False),
        ("3,2,1234567890,1", False),
        ("3,2,123456789,1", True),
    ],
)
def test_pku_label_lines(tmp_path, line, fits):
    for folder in ("skeleton", "label"):
        (tmp_path / folder).mkdir()
    np.savetxt(tmp_path / "skeleton" / "0002-L.txt", np.ones((10, 150)))
    (tmp_path / "label" / "0002-L.txt").write_text(f"1,1,2,1\n{line}\n")
    if fits:
        clips = read(tmp_path)
        assert [clip.name for clip in clips] == ["0002-L/000", "0002-L/001"]
        assert [clip.label for clip in clips] == [0, int(line.split(",")[0]) - 1]
        assert (clips[0].camera, clips[0].subject, clips[0].frame_rate) == (1, -1, 30)
    else:
        with pytest.raises(SkeletonFormatError, match="line 2: expected class,start,end"):
            read(tmp_path)


def test_all_arrays_of_an_archive_count_together(tmp_path):
    path = tmp_path / "a.npz"
    numbers = np.arange(150_000, dtype=np.float32) % 97
    np.savez_compressed(path, one=numbers, two=numbers)
    assert path.stat().st_size < 500_000
    with open_archive(path, Limits(1_300_000)) as opened:
        assert len(opened.keys) == 2
    with (
        pytest.raises(SkeletonFormatError, match=r"holds 120[0-9]{4} bytes .*the limit is 1000000"),
        open_archive(path, Limits(1_000_000)),
    ):
        pass


@pytest.mark.parametrize("axes", ["NTVC", "TVCN"])
def test_arrays_in_fortran_order(tmp_path, axes):
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    stored = x if axes[0] == "N" else np.moveaxis(x, 0, -1)
    path = tmp_path / "a.npz"
    np.savez(path, x=np.asfortranarray(stored))
    clips = read(path, "array", Options(axes=axes))
    assert np.array_equal(np.stack([clip.joints[:, 0] for clip in clips]), x)


def test_counts_have_at_most_ten_digits():
    path = Path("a.txt")
    assert integer_of(path, 1, b" 0000000007 ", "a count", 7) == 7
    for line in (b"00000000007", b"8", b"-1", b"7.0", b"", b"9" * 5000):
        with pytest.raises(SkeletonFormatError, match="line 1: expected a count, an integer"):
            integer_of(path, 1, line, "a count", 7)


# Pictures


def moving(frames=3, coordinates=3):
    """Return one person of two joints that move apart."""
    joints = np.zeros((frames, 1, 2, coordinates), np.float32)
    joints[:, 0, 0, 0] = np.arange(frames) + 1
    joints[1:, 0, 1, 1] = -2 * np.arange(1, frames)
    return Clip("moving", joints, None, unnamed_layout(2))


@pytest.mark.parametrize("coordinates", [2, 3])
def test_axes_enclose_what_was_seen(tmp_path, monkeypatch, coordinates):
    from matplotlib.figure import Figure

    figures = []
    whole = Figure.__init__

    def kept(self, *arguments, **options):
        figures.append(self)
        whole(self, *arguments, **options)

    monkeypatch.setattr(Figure, "__init__", kept)
    path = draw_clip(moving(4, coordinates), 0, "title", tmp_path / "new")
    assert path.name == "moving.png" and path.stat().st_size > 1000
    *frames, steps = figures[0].axes
    assert [axes.get_title() for axes in frames] == ["frame 0", "frame 0", "frame 1"]
    for axes in frames:
        low, high = axes.get_ylim()[:: -1 if coordinates == 2 else 1]
        assert np.allclose(axes.get_xlim(), (-0.24, 4.24), atol=1e-4)
        assert np.allclose((low, high), (-6.36, 0.36), atol=1e-4)
    assert np.allclose(steps.lines[0].get_xdata(), [1, 2, 3])
    assert np.allclose(steps.lines[0].get_ydata(), [2, 2, 2])
    assert [found for line in frames[2].lines if (found := line.get_xdata().tolist())] == [[2, 0]]


def test_clips_without_numbers_can_be_drawn(tmp_path):
    nothing = Clip("a/b c", np.zeros((1, 1, 25, 3), np.float32), None, get_layout("ntu25"))
    assert draw_clip(nothing, 0, "title", tmp_path).name == "a_b_c.png"
    lost = moving()
    lost.joints[1, 0, 0] = np.nan
    assert draw_clip(lost, 1, "title", tmp_path).is_file()


def test_an_animation_shows_one_frame_at_a_time(tmp_path):
    from PIL import Image, ImageSequence

    animate(moving(), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as film:
        pictures = [np.asarray(picture.convert("RGB")) for picture in ImageSequence.Iterator(film)]
    # The two dots have the colour of the first person; there are never more of them.
    blue = [int(((p[..., 2] > 150) & (p[..., 0] < 100)).sum()) for p in pictures]
    assert len(blue) == 3 and blue[0] > 10
    assert max(blue) < 1.4 * min(blue)
    with pytest.raises(ValueError, match=r"save must end in .gif or .html, got 'a.mp4'"):
        animate(moving(), tmp_path / "a.mp4")
