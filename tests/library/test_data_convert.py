"""The converted form: what is in it, that it is whole or absent, resumed and always the same."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from shared_data import require_data

from skelfreq.data import ConvertedSet, Limits, Options, SkeletonFormatError, convert, read, writer
from skelfreq.data.__main__ import main
from skelfreq.data.clips import Clip
from skelfreq.data.fuzzing.ntu import ntu_text
from skelfreq.data.fuzzing.samples import SAMPLES, write_sample
from skelfreq.data.journal import Journal

ROOT = Path(__file__).resolve().parents[2]


def folder_of_ntu(folder, count, frames=4):
    """Write samples of NTU's form."""
    folder.mkdir()
    for index in range(count):
        text = ntu_text(np.random.default_rng(index), frames, 1 + index % 2)
        (folder / f"S001C00{index % 3 + 1}P003R001A{index + 1:03d}.skeleton").write_text(text)
    return folder


def contents(folder):
    """Return names and digests of the files of a folder."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def assert_same_clips(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.joints, b.joints)
        assert (a.confidence is None) == (b.confidence is None)
        assert a.confidence is None or np.array_equal(a.confidence, b.confidence)
        for name in Clip.__dataclass_fields__:
            if name not in ("joints", "confidence"):
                assert getattr(a, name) == getattr(b, name), name


@pytest.mark.parametrize("name", SAMPLES)
def test_converted_clips_are_those_that_are_read(tmp_path, name):
    (tmp_path / "in").mkdir()
    path = write_sample(name, tmp_path / "in", np.random.default_rng(3))
    options = Options(axes="NTVC") if name == "array" else None
    clips = read(path, options=options)
    done = convert(path, tmp_path / "out", options=options)
    assert_same_clips(done, clips)
    assert done.class_names == clips.class_names and done.unit == clips.unit
    assert done.layout == clips.layout and done.source["format"] == name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]
    again = convert(path, tmp_path / "again", options=options)
    assert contents(again.path) == contents(done.path)
    assert np.array_equal(np.load(done.path / "joints.npy"), done._joints)


def test_a_set_is_mapped_lazily_and_crosses_processes(tmp_path):
    done = convert(folder_of_ntu(tmp_path / "in", 3), tmp_path / "out")
    fresh = ConvertedSet(done.path)
    assert fresh._joints is None
    joints = fresh.joints(1)
    assert isinstance(joints.base, np.memmap) or isinstance(joints, np.memmap)
    assert not joints.flags.writeable
    assert len(pickle.dumps(fresh)) < 20_000
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.apply(total, (fresh,)) == pytest.approx(total(fresh))
    assert fresh[-1].name == fresh[2].name == fresh.names[2]
    with pytest.raises(IndexError):
        fresh[3]


def total(clips):
    """Return the sum of all joints."""
    return sum(float(clip.joints.sum(dtype=np.float64)) for clip in clips)


def test_the_index_says_where_it_comes_from(tmp_path):
    folder = folder_of_ntu(tmp_path / "in", 4)
    (folder / "S001C001P001R001A050.skeleton").write_text("2\n0\n0\n")
    done = convert(folder, tmp_path / "out", options=Options(max_persons=1))
    assert done.source["name"] == "in" and done.source["options"] == {"max_persons": 1}
    assert done.dropped == (("S001C001P001R001A050", "holds no body in any frame"),)
    assert done.preprocessing == ("the 1 persons who move most",)
    assert done.cameras.tolist() == [1, 1, 2, 3] and done.labels.max() == 3
    assert set(done.persons) == {1} and done[0].persons == ("72057594037931101",)
    (tmp_path / "b").mkdir()
    for file in folder.iterdir():
        shutil.copy(file, tmp_path / "b")
    other = convert(tmp_path / "b", tmp_path / "o2", options=Options(max_persons=1))
    assert other.source["sha256"] == done.source["sha256"]
    file.write_text(ntu_text(np.random.default_rng(99), 4))
    third = convert(folder, tmp_path / "o3", options=Options(max_persons=1))
    assert third.source["sha256"] != done.source["sha256"]


def test_clips_with_and_without_confidence(tmp_path):
    for number, value in enumerate((1.0, np.nan)):
        skeletons = np.ones((2 + number, 20, 3))
        skeletons[0, 3, 1] = value
        text = json.dumps({"skeletons": skeletons.tolist()})
        (tmp_path / f"a0{number + 1}_s01_e01_v01.json").write_text(text)
    done = convert(tmp_path, tmp_path.parent / f"{tmp_path.name}-out",
                   options=Options(non_finite="missing"))  # fmt: skip
    assert done.confidence(0).tolist() == np.ones((2, 1, 20)).tolist()
    assert done.confidence(1).sum() == 59 and done.confidence(1)[0, 0, 3] == 0


def test_classes_without_numbers_are_numbered_at_the_end(tmp_path):
    for index, name in enumerate(("walk1", "sit1", "walk2")):
        folder = tmp_path / "in" / str(index)
        folder.mkdir(parents=True)
        write_sample("bvh", folder, np.random.default_rng(index)).rename(
            tmp_path / "in" / f"{name}.bvh"
        )
    options = Options(pattern=r"(?P<label>[a-z]+)\d")
    done = convert(tmp_path / "in", tmp_path / "out", options=options)
    assert done.class_names == ("sit", "walk") and done.labels.tolist() == [0, 1, 1]


# Whole or absent


def test_a_malformed_file_leaves_nothing_behind(tmp_path):
    folder = folder_of_ntu(tmp_path / "in", 4)
    (folder / "S001C001P003R001A003.skeleton").write_text("7\n0\n")
    with pytest.raises(SkeletonFormatError, match=r"A003\.skeleton, line 1: expected the number"):
        convert(folder, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    (folder / "S001C003P003R001A003.skeleton").unlink()
    done = convert(folder, tmp_path / "out", options=Options(skip_errors=True))
    assert len(done) == 3 and done.dropped[0][0] == "S001C001P003R001A003"


def test_an_existing_set_is_replaced_on_demand_only(tmp_path):
    folder = folder_of_ntu(tmp_path / "in", 2)
    before = contents(convert(folder, tmp_path / "out").path)
    with pytest.raises(FileExistsError, match=r"out: exists already.*--overwrite"):
        convert(folder, tmp_path / "out")
    write_sample("ntu_skeleton", folder, np.random.default_rng(8))
    (folder / "S009C001P003R001A003.skeleton").write_text("broken")
    with pytest.raises(SkeletonFormatError):
        convert(folder, tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") == before
    (folder / "S009C001P003R001A003.skeleton").unlink()
    assert len(convert(folder, tmp_path / "out", overwrite=True)) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def files_below(folder):
    """Return the content of every file below a folder."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("path", "out", "message"),
    [
        ("in", "in", "OUT is IN"),
        ("in", "in/../in", "OUT is IN"),
        ("in", "link/in", "OUT is IN"),
        ("up/in", "up", "OUT contains IN"),
        ("up/in/a.skeleton", "up", "OUT contains IN"),
        ("in", "in/new", "OUT lies in IN"),
        ("in", "in/deep/new", "OUT lies in IN"),
        ("in", "to-folder", "is a link"),
        ("in", "to-nowhere", "is a link"),
        ("in", "full", r"holds 'thesis.txt'.*converted set or an empty folder only"),
        ("in", "mixed", "holds 'thesis.txt'"),
        ("in", "nested", "holds 'sub'"),
        ("in", "like", "has an index.json of another kind"),
        ("in", "half", "has no index.json"),
        ("in", "file", "is not a folder"),
    ],
)
def test_overwriting_replaces_nothing_else(tmp_path, path, out, message):
    for name in ("in", "up/in"):
        (tmp_path / name).mkdir(parents=True)
        text = ntu_text(np.random.default_rng(0), 2)
        (tmp_path / name / "a.skeleton").write_text(text)
    done = convert(tmp_path / "in", tmp_path / "mixed")
    for name in ("full", "mixed", "nested/sub", "like", "half"):
        (tmp_path / name).mkdir(exist_ok=True, parents=True)
    for name in ("full", "mixed"):
        (tmp_path / name / "thesis.txt").write_text("thesis")
    (tmp_path / "like" / "index.json").write_text('{"format": "mine"}')
    for name in ("like", "half"):
        shutil.copy(done.path / "joints.npy", tmp_path / name)
    (tmp_path / "file").write_text("thesis")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "to-folder").symlink_to(tmp_path / "mixed")
    (tmp_path / "to-nowhere").symlink_to(tmp_path / "nowhere")
    before = files_below(tmp_path)
    with pytest.raises((FileExistsError, ValueError), match=message) as raised:
        convert(tmp_path / path, tmp_path / out, overwrite=True)
    assert str(raised.value).count("\n") == 0 and not isinstance(raised.value, SkeletonFormatError)
    assert files_below(tmp_path) == before


def test_overwriting_spares_what_links_lead_to(tmp_path):
    done = convert(folder_of_ntu(tmp_path / "in", 2), tmp_path / "out")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "joints.npy").symlink_to(done.path / "joints.npy")
    before = files_below(done.path)
    with pytest.raises(ValueError, match=r"OUT contains .*links/joints\.npy of IN"):
        convert(tmp_path / "links", done.path, options=Options(axes="TVC"), overwrite=True)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("thesis")
    (tmp_path / ".out.partial").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError, match=r"\.out\.partial: is not the folder of an unfin"):
        convert(tmp_path / "in", done.path, overwrite=True)
    assert (tmp_path / "precious" / "thesis.txt").exists() and files_below(done.path) == before


def test_an_empty_folder_and_a_damaged_set_are_replaced(tmp_path):
    folder = folder_of_ntu(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    whole = contents(convert(folder, tmp_path / "out", overwrite=True).path)
    (tmp_path / "out" / "joints.npy").unlink()
    index = tmp_path / "out" / "index.json"
    index.write_bytes(index.read_bytes()[:200])
    assert contents(convert(folder, tmp_path / "out", overwrite=True).path) == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_a_full_disk_is_told_with_the_folder(tmp_path, monkeypatch, capsys):
    def full(self, state):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = folder_of_ntu(tmp_path / "in", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "save", full)
        assert main(["convert", str(folder), str(tmp_path / "out"), "--quiet"]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(str(tmp_path / ".out.partial") + ": No space left on device.")
    assert "the same command goes on from there" in errors and errors.count("\n") == 1
    assert len(convert(folder, tmp_path / "out")) == 2


class Killed(BaseException):
    """Stands for a kill in the middle."""


@pytest.mark.parametrize("name", ["ntu", "archive"])
@pytest.mark.parametrize("calls", [1, 4, 7])
def test_a_conversion_goes_on_where_it_was_cut(tmp_path, monkeypatch, name, calls):
    if name == "ntu":
        path = folder_of_ntu(tmp_path / "in", 7)
        (path / "S001C001P001R001A050.skeleton").write_text("1\n0\n")
    else:
        rng = np.random.default_rng(0)
        lengths = np.array([3, 1, 2, 5, 4, 2, 3, 1])
        joints = rng.normal(size=(lengths.sum(), 20, 3)).astype(np.float32)
        visible = rng.integers(0, 2, joints.shape[:2])
        path = tmp_path / "in.npz"
        np.savez(path, joints=joints, lengths=lengths, visible=visible)
    whole = contents(convert(path, tmp_path / "whole").path)
    monkeypatch.setattr(writer, "_CHECKPOINT_SECONDS", 0.0)
    add, count = writer.Writer._add, 0

    def add_and_die(self, *arguments):
        nonlocal count
        count += 1
        if count > calls:
            # A torn write of what comes next.
            arguments[2][0].write(b"torn")
            arguments[2][0].flush()
            raise Killed
        add(self, *arguments)

    monkeypatch.setattr(writer.Writer, "_add", add_and_die)
    with pytest.raises(Killed):
        convert(path, tmp_path / "out")
    partial = tmp_path / ".out.partial"
    assert not (tmp_path / "out").exists() and partial.is_dir()
    with (partial / "journal").open("ab") as journal:
        journal.write(b'{"state": {"unit": 99')
    seen = []
    monkeypatch.setattr(
        writer.Writer, "_add", lambda s, i, *a: (seen.append(i.name), add(s, i, *a))
    )
    done = convert(path, tmp_path / "out")
    assert contents(done.path) == whole
    assert len(seen) == 8 - calls
    assert not partial.exists()


@pytest.mark.parametrize("change", ["file", "options", "journal", "arrays"])
def test_a_conversion_of_something_else_begins_anew(tmp_path, monkeypatch, change):
    path = folder_of_ntu(tmp_path / "in", 4)
    monkeypatch.setattr(writer, "_CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_index", lambda *a: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            convert(path, tmp_path / "out")
    options = Options()
    partial = tmp_path / ".out.partial"
    if change == "file":
        (path / "S001C001P003R001A001.skeleton").write_text(ntu_text(np.random.default_rng(5), 9))
    elif change == "options":
        options = Options(max_persons=1)
    elif change == "journal":
        (partial / "journal").write_bytes(b"[" * 100_000)
    else:
        (partial / "joints.npy").write_bytes(b"short")
    done = convert(path, tmp_path / "out", options=options)
    fresh = convert(path, tmp_path / "fresh", options=options)
    assert contents(done.path) == contents(fresh.path)


def test_two_processes_do_not_share_a_folder(tmp_path):
    with (
        Journal(tmp_path / ".out.partial", "x", ("a", "b")),
        pytest.raises(RuntimeError, match="another process is converting"),
    ):
        convert(folder_of_ntu(tmp_path / "in", 2), tmp_path / "out")


def test_a_killed_process_is_resumed(tmp_path):
    folder = folder_of_ntu(tmp_path / "in", 400, frames=12)
    whole = contents(convert(folder, tmp_path / "whole").path)
    code = (
        "import sys; from skelfreq.data import convert, writer; writer._CHECKPOINT_SECONDS = 0.02;"
        "convert(sys.argv[1], sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    journal = tmp_path / ".out.partial" / "journal"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.stat().st_size > 3000:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    killed = process.wait() == -signal.SIGKILL
    assert killed and not (tmp_path / "out").exists() and journal.exists()
    assert contents(convert(folder, tmp_path / "out").path) == whole


# A converted set is input as well


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i.pop("clips"), "clips must be an object"),
        (lambda i: i.update(version=2), "expected skelfreq-clips version 1"),
        (lambda i: i["clips"].update(length=[2**62, 2**62]), "length must hold integers from 1"),
        (lambda i: i["clips"].update(length=[1, 1]), "expected float32 of shape"),
        (lambda i: i["clips"].update(persons=[0, 1]), "persons must hold integers from 1"),
        (lambda i: i["clips"].update(label=[0, 70]), "label must lie below the 60 class names"),
        (lambda i: i["clips"].update(name=["a"]), "length must be a list of 1 entries"),
        (lambda i: i["clips"].update(split=["x", ""]), "split must be"),
        (lambda i: i["clips"].update(person_ids=[[1], []]), "person_ids must hold one text"),
        (lambda i: i["clips"].update(frame_rate=[-1, 2]), "frame_rate must hold"),
        (lambda i: i.update(channels=2), "expected float32 of shape"),
        (lambda i: i["layout"].update(edges=[[0, 99]]), "layout: edges must hold"),
        (lambda i: i["layout"].update(joints=[1]), "joints must hold texts"),
        (lambda i: i.update(dropped=[[1, 2]]), "dropped must hold pairs"),
    ],
)
def test_a_damaged_index(tmp_path, change, message):
    done = convert(folder_of_ntu(tmp_path / "in", 2), tmp_path / "out")
    index = json.loads((done.path / "index.json").read_text())
    change(index)
    (done.path / "index.json").write_text(json.dumps(index))
    with pytest.raises(SkeletonFormatError, match=message):
        ConvertedSet(done.path)


def test_a_damaged_array_and_a_missing_file(tmp_path):
    done = convert(folder_of_ntu(tmp_path / "in", 2), tmp_path / "out")
    with pytest.raises(SkeletonFormatError, match="limit is 100"):
        ConvertedSet(done.path, Limits(100))
    joints = done.path / "joints.npy"
    joints.write_bytes(joints.read_bytes()[:-4])
    with pytest.raises(SkeletonFormatError, match=r"joints\.npy: shape .* needs"):
        ConvertedSet(done.path)
    joints.unlink()
    with pytest.raises(SkeletonFormatError, match=r"joints\.npy: cannot be opened"):
        ConvertedSet(done.path)


def test_the_real_sets_are_converted(tmp_path):
    path = require_data("penn_action_2d.npz")
    done = convert(path, tmp_path / "penn")
    archive = np.load(path)
    assert np.array_equal(np.load(done.path / "joints.npy"), archive["joints"])
    assert np.array_equal(np.load(done.path / "confidence.npy"), archive["visible"])
    assert done.lengths.tolist() == archive["lengths"].tolist()
