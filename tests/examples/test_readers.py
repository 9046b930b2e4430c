"""Example data: CTR-GCN archives, and loading by name, path and content."""

from __future__ import annotations

import numpy as np
import pytest

from examples.data import load, load_ctrgcn_npz


def ctrgcn_arrays():
    """Return 4 + 2 samples of 6 frames, person 0 in frames 0-3, person 1 nowhere."""
    rng = np.random.default_rng(2)
    arrays = {}
    for split, n in (("train", 4), ("test", 2)):
        x = np.zeros((n, 6, 2, 25, 3), np.float32)
        x[:, :4, 0] = rng.normal(size=(n, 4, 25, 3))
        arrays[f"x_{split}"] = x
        arrays[f"y_{split}"] = np.eye(3)[np.arange(n) % 3]
    return arrays


def save(path, arrays):
    flat = {k: v.reshape(*v.shape[:2], -1) if k[:2] == "x_" else v for k, v in arrays.items()}
    np.savez(path, **flat)
    return path


# CTR-GCN archives


def test_ctrgcn_keeps_the_person_who_moves_more(tmp_path):
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
    everyone = load_ctrgcn_npz(path, persons="all")
    assert everyone.names[2:4] == ("x_train[3]/person0", "x_train[3]/person1")
    assert np.array_equal(everyone.clip(2), x[3, :4, 0])
    assert np.array_equal(everyone.clip(3), x[3, 1:, 1])


def test_ctrgcn_chunks_do_not_show(tmp_path, monkeypatch):
    arrays = ctrgcn_arrays()
    arrays["x_train"][2] = 0
    path = save(tmp_path / "ntu.npz", arrays)
    whole = load(path)
    monkeypatch.setattr("examples.data.ctrgcn_npz._CHUNK", 3)
    parts = load(path)
    assert parts.names == whole.names and parts.dropped == whole.dropped
    assert np.array_equal(parts.joints, whole.joints)


def test_ctrgcn_names_clip_and_frame_of_a_broken_value(tmp_path):
    arrays = ctrgcn_arrays()
    arrays["x_test"][1, 3, 0, 24, 2] = np.nan
    path = save(tmp_path / "ntu.npz", arrays)
    with pytest.raises(ValueError, match=r"ntu\.npz: clip x_test\[1\], frame 3 "):
        load(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("y_test", None, "expected the key 'y_test', got 'x_train', 'y_train', 'x_test'"),
        ("x_test", np.zeros((2, 6, 75)), r"x_test must have shape \(N, T, 150\).*\(2, 6, 75\)"),
        ("y_train", np.eye(4)[:, 0], r"y_train must have shape \(4, classes\).*got shape \(4,\)"),
        ("y_test", np.eye(4)[:2], r"y_test must have shape \(2, 3\).*got shape \(2, 4\)"),
        ("y_test", np.array([[1, 0, 0], [1, 1, 0]]), "row 1 of y_test .* one positive .*got 2"),
    ],
)
def test_ctrgcn_malformed_archive(tmp_path, key, value, message):
    arrays = ctrgcn_arrays()
    if value is None:
        del arrays[key]
    else:
        arrays[key] = value
    path = save(tmp_path / "odd.npz", arrays)
    with pytest.raises(ValueError, match=rf"odd\.npz: {message}"):
        load(path)


def test_ctrgcn_options_and_empty_data(tmp_path):
    arrays = {key: 0 * v if key[0] == "x" else v for key, v in ctrgcn_arrays().items()}
    path = save(tmp_path / "empty.npz", arrays)
    with pytest.raises(ValueError, match=r"empty\.npz: expected at least one sample"):
        load(path)
    with pytest.raises(ValueError, match="persons must be one of 'main', 'all', got 'both'"):
        load(path, persons="both")


# load


def test_load_by_name_and_unknown_things(tmp_path):
    assert len(load("synthetic", num_classes=2, num_subjects=2, clips_per=1)) == 4
    with pytest.raises(FileNotFoundError, match=r"absent\.npz: no such file"):
        load(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError, match=r"ntu: no such file.*'synthetic'"):
        load("ntu")
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"data\.csv: expected .* got '\.csv'"):
        load(tmp_path / "data.csv")
    path = save(tmp_path / "other.npz", {"a": np.zeros(1)})
    with pytest.raises(ValueError, match=r"other\.npz: expected the keys of MSR .* got a\."):
        load(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_archive(tmp_path, share):
    path = save(tmp_path / "cut.npz", ctrgcn_arrays())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cut\.npz: "):
        load(path)


def test_damaged_and_mistaken_archive(tmp_path):
    path = save(tmp_path / "bad.npz", ctrgcn_arrays())
    content = bytearray(path.read_bytes())
    content[300:340] = bytes(40)  # inside the first array: its check sum fails
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npz: cannot read the key 'x_train'"):
        load(path)
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"array\.npz: expected an \.npz archive, got a single"):
        load(tmp_path / "array.npz")
