"""``python -m skelfreq.data``, and that ``check`` finds the known defects of real sets."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shared_data import require_data

from skelfreq.data import Options, read
from skelfreq.data.__main__ import main
from skelfreq.data.clips import Clip
from skelfreq.data.findings import Thresholds, check_clips
from skelfreq.data.fuzzing.samples import write_sample
from skelfreq.data.layouts import unnamed_layout
from skelfreq.data.measures import measure
from skelfreq.skeletons import get_layout

ROOT = Path(__file__).resolve().parents[2]


def found_in(name, **thresholds):
    """Return the clips per kind of finding in a real set, and the findings about all of it."""
    clips = read(require_data(f"{name}.npz"))
    report = check_clips(clips, clips.unit, clips.class_names, Thresholds(**thresholds))
    kinds = {}
    for finding in report.findings:
        if finding.clip >= 0:
            kinds.setdefault(finding.kind, []).append(finding.name)
    return kinds, [f for f in report.findings if f.clip < 0], report


# The defects that the description of the real sets lists


def test_check_finds_the_defects_of_msr_action3d():
    kinds, _, report = found_in("msr_action3d")
    assert kinds["all zero"] == ["a13_s09_e02"]
    assert "a13_s09_e03" in kinds["zero frames"]
    finding = next(f for f in report.findings if f.name == "a13_s09_e03")
    assert finding.text == "740 of 936 frames are zero"
    assert report.zero_joints / report.joints == pytest.approx(0.05, abs=0.005)


def test_check_finds_the_defects_of_nw_ucla():
    kinds, _, _ = found_in("nw_ucla")
    assert kinds["short"] == ["a02_s09_e04_v02", "a02_s09_e04_v03"]
    assert set(kinds["long bone"]) == {
        "a03_s05_e02_v01", "a04_s01_e01_v01", "a04_s01_e04_v01", "a04_s04_e02_v01",
    }  # fmt: skip
    assert len(kinds["zero joints"]) == 2
    assert len(kinds["jump"]) == 139


def test_check_finds_the_defects_of_utd_mhad():
    kinds, about_all, _ = found_in("utd_mhad")
    assert len(kinds["jump"]) == 7
    absent = next(f for f in about_all if f.kind == "absent")
    assert absent.text.startswith("3 of 864 combinations")


def test_check_finds_the_defects_of_penn_action():
    kinds, about_all, report = found_in("penn_action_2d")
    assert kinds["no motion"] == ["1516", "1929"]
    assert report.unseen / report.joints == pytest.approx(0.22, abs=0.005)
    assert any(f.kind == "no subject" for f in about_all)


def test_check_finds_that_gtu_names_no_subjects_and_nothing_in_hdm05():
    _, about_all, _ = found_in("gtu_action3d")
    assert any(f.text == "508 of 508 clips have no subject" for f in about_all)
    kinds, _, _ = found_in("hdm05_11")
    assert kinds == {}


def test_check_finds_the_defective_class_lists(capsys):
    status, text, _ = run(capsys, "check", require_data("synse_splits"))
    assert status == 0
    assert re.findall(r"^(\S+) +(\w+) ", text, re.M) == [
        ("rs10.npy", "count"), ("rs10.npy", "copy"), ("rs100_0.npy", "count"),
    ]  # fmt: skip
    assert "rs100_0.npy           count         lists 81 classes, its name says 100" in text


def test_findings_about_made_up_clips():
    layout = get_layout("ntu25")
    still = np.random.default_rng(0).normal(size=(1, 1, 25, 3)).astype(np.float32).repeat(6, 0)

    def change(frame, joint, value):
        moved = still + np.arange(6, dtype=np.float32)[:, None, None, None] * 0.01
        moved[frame, 0, joint] = value
        return moved

    clips = [
        Clip("same", still, None, layout, label=0),
        Clip("same again", still.copy(), None, layout, label=0),
        Clip("nan", change(2, 3, np.nan), None, layout, label=0),
        Clip("jump", change(2, 3, 5), None, layout, label=1),
        Clip("zero", change(2, 3, 0), None, layout, label=1),
        Clip("unseen", change(2, 3, 0), np.zeros((6, 1, 25), np.float32), layout, label=-1),
    ]
    report = check_clips(clips, "m", ("a", "b", "c"), Thresholds(bone=100))
    kinds = {(f.name, f.kind) for f in report.findings if f.clip >= 0}
    assert {
        ("same", "no motion"), ("same again", "duplicate"), ("nan", "not finite"),
        ("jump", "jump"), ("zero", "zero joints"), ("unseen", "unseen"),
    } <= kinds  # fmt: skip
    assert ("unseen", "zero joints") not in kinds and ("nan", "jump") not in kinds
    assert any(f.text == "1 of 6 clips have no label" for f in report.findings)


def test_classes_and_combinations_without_clips():
    joints = np.random.default_rng(0).normal(size=(12, 3, 1, 25, 3)).astype(np.float32)
    places = [(label, subject) for label in range(3) for subject in range(4)]
    clips = [
        Clip("", x, None, get_layout("ntu25"), label=a, subject=s, repetition=1)
        for x, (a, s) in zip(joints, places, strict=True)
    ]

    def about_all(clips, classes):
        report = check_clips(clips, "m", classes)
        return {f.kind: f.text for f in report.findings if f.clip < 0}

    assert about_all(clips, "abc") == {}
    assert about_all(clips, "abcde") == {"no clips": "2 classes have no clips: d, e"}
    assert about_all(clips[:7] + clips[8:], "abc") == {
        "absent": "1 of 12 combinations of class, subject and repetition are absent: "
        "class 1, subject 3, repetition 1"
    }
    assert about_all(clips[:7] + clips[9:], "abc") == {}  # too few for a full grid
    clips[0] = dataclasses.replace(clips[0], label=-1)
    assert about_all(clips, "abcde") == {"no label": "1 of 12 clips have no label"}


def test_clips_without_bones_and_of_two_frames_have_no_drift():
    joints = np.arange(30, dtype=np.float32).reshape(5, 1, 2, 3)
    unnamed = measure(Clip("unnamed", joints, None, unnamed_layout(2)))
    assert (unnamed.drift, unnamed.drift_name, unnamed.bone, unnamed.bone_name) == (0, "", 0, "")
    stretched = np.random.default_rng(0).normal(size=(3, 1, 25, 3)).astype(np.float32)
    stretched *= np.array([1, 2, 3], np.float32)[:, None, None, None]
    short, long = (measure(Clip("bones", stretched[:n], None, get_layout("ntu25"))) for n in (2, 3))
    assert (short.drift, short.drift_name) == (0, "")
    assert long.drift > 0.3 and long.drift_name


# Commands


def run(capsys, *words):
    """Run a command in this process; return its exit status, output and errors."""
    status = main(list(map(str, words)))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_convert_info_check_and_show(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    (tmp_path / "in").mkdir()
    path = write_sample("clips_npz", tmp_path / "in", np.random.default_rng(0))
    out = tmp_path / "out"
    status, text, errors = run(capsys, "convert", path, out)
    assert status == 0 and text == f"{out}: 4 clips, 0 left out\n"
    assert re.search(r"4 clips", errors)
    for given in (path, out):
        status, text, _ = run(capsys, "info", given)
        assert status == 0 and "4 clips" in text and "layout: kinect20, 20 joints" in text
        assert "split: test: 2, train: 2" in text and "wave" in text
    status, text, _ = run(capsys, "check", out, "--step", 0.01, "--pictures", tmp_path / "pictures",
                          "--max-pictures", 2)  # fmt: skip
    assert status == 0 and "jump" in text and "joints were not seen" in text
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2
    for ending in ("gif", "html"):
        status, _, _ = run(capsys, "show", out, "a02_s02_e01", "--save", tmp_path / f"a.{ending}")
        assert status == 0 and (tmp_path / f"a.{ending}").stat().st_size > 1000
    assert run(capsys, "show", out, "9")[0] == 1
    assert run(capsys, "show", out, "1", "--save", tmp_path / "a.avi")[0] == 1
    status, text, errors = run(capsys, "show", out, "1")
    assert status == 1 and text == ""
    assert "no display" in errors and "--save FILE.html" in errors and errors.count("\n") == 1


def test_errors_are_one_sentence_and_status_1(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.bvh").write_text("HIERARCHY\nROOT a\n{\n")
    status, text, errors = run(capsys, "convert", folder, tmp_path / "out", "--quiet")
    assert (status, text) == (1, "") and errors.count("\n") == 1
    assert "a.bvh: ends where" in errors and not (tmp_path / "out").exists()
    status, _, errors = run(capsys, "info", tmp_path / "absent")
    assert status == 1 and "absent: cannot be opened" in errors
    status, _, errors = run(capsys, "convert", folder, tmp_path / "o", "--max-persons", 0)
    assert status == 1 and errors.startswith("--max-persons")


def test_options_reach_the_reader(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.ones((2, 4, 17, 3), np.float32))
    out = tmp_path / "out"
    words = ("--axes", "NTVC", "--layout", "coco17", "--score", "--quiet")
    assert run(capsys, "convert", tmp_path / "x.npy", out, *words)[0] == 0
    assert "layout: coco17, 17 joints" in run(capsys, "info", out)[1]
    words = (*words, "--max-bytes", 9)
    status, _, errors = run(capsys, "convert", tmp_path / "x.npy", tmp_path / "o", *words)
    assert status == 1 and "--max-bytes" in errors


def test_formats_lists_every_reader(capsys):
    status, text, _ = run(capsys, "formats")
    assert status == 0 and len(text.splitlines()) == 14 and "kinetics_json" in text


def test_the_module_runs_and_the_library_does_not_import_it():
    code = (
        "import runpy, sys, skelfreq;"
        "assert not [name for name in sys.modules if name.startswith('skelfreq.data')];"
        "sys.argv = ['skelfreq.data', 'formats'];"
        "runpy.run_module('skelfreq.data', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONOPTIMIZE": ""},  # the program asserts
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == "" and "ntu_skeleton" in done.stdout


def test_mat_files_say_what_to_install(tmp_path, monkeypatch, capsys):
    path = write_sample("utd_mhad_mat", tmp_path, np.random.default_rng(0))
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ImportError, match=r"pip install 'skelfreq\[data\]'"):
        read(path)
    status, _, errors = run(capsys, "info", path)
    assert status == 1 and "needs scipy" in errors


def test_skipping_is_reported(tmp_path, capsys):
    write_sample("bvh", tmp_path, np.random.default_rng(0))
    (tmp_path / "b.bvh").write_text("HIERARCHY")
    assert run(capsys, "info", tmp_path)[0] == 1
    assert "left out: 1" in run(capsys, "info", tmp_path, "--skip-errors")[1]
    assert "b.bvh" in run(capsys, "check", tmp_path, "--skip-errors")[1]
    assert read(tmp_path, options=Options(skip_errors=True)).dropped[0].name == "b"
