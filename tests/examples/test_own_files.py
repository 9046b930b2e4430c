"""Files of many kinds run from the command line: 2-D and 3-D, with and without names and bones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from text_encoders import Counting

from examples.fd_mae.__main__ import main as fd_mae
from examples.mica.__main__ import main as mica
from skelfreq.data import Options, convert

TINY = [
    "--frames", "8", "--width", "16", "--depth", "1", "--heads", "2", "--decoder-width", "16",
    "--ssfrm-width", "8", "--cutoff", "3", "--tube-length", "1", "--warmup-epochs", "0",
    "--mask-ratio", "0.5", "--epochs", "1", "--rows", "plain",
]  # fmt: skip
FRAMES, CLIPS = 12, 12
BVH = """HIERARCHY
ROOT Hips {{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT LeftArm {{ OFFSET 1 0 0 CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT LeftHand {{ OFFSET 1 0 0 CHANNELS 3 Zrotation Xrotation Yrotation
      End Site {{ OFFSET 0 1 0 }} }} }}
  JOINT RightArm {{ OFFSET -1 0 0 CHANNELS 3 Zrotation Xrotation Yrotation
    End Site {{ OFFSET 0 1 0 }} }}
}}
MOTION
Frames: {frames}
Frame Time: 0.04
{lines}
"""


def archive(path: Path, sample: str, joints: int, channels: int, **columns: object) -> Path:
    rng = np.random.default_rng(0)
    names = [sample.format(s=i % 4 + 1, e=i + 1) for i in range(CLIPS)]
    np.savez(
        path, joints=rng.normal(size=(CLIPS * FRAMES, joints, channels)).astype(np.float32),
        lengths=np.full(CLIPS, FRAMES), label=np.arange(CLIPS) % 2, sample=np.array(names),
        class_names=np.array(["bow", "wave"]), **columns,
    )  # fmt: skip
    return path


def penn(folder: Path) -> list[str]:
    train = np.arange(CLIPS) % 3 > 0
    return ["--data", str(archive(folder / "penn.npz", "{e:04}", 13, 2, train=train))]


def ui_prmd(folder: Path) -> list[str]:
    subjects = np.arange(CLIPS) % 4 + 1
    path = archive(folder / "prmd.npz", "m01_s{s:02}_e{e:02}", 22, 3, subject=subjects)
    return ["--data", str(path), "--protocol", "subjects:1,2"]


def gtu(folder: Path) -> list[str]:
    path = archive(folder / "gtu.npz", "f01_m{e:03}", 25, 3)
    return ["--data", str(path), "--protocol", "random:0"]


def openpose(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for clip in range(CLIPS):
        place = folder / ("bow", "wave")[clip % 2]
        place.mkdir(exist_ok=True)
        for frame in range(FRAMES):
            points = rng.uniform(1, 9, 75).round(2).tolist()
            content = {"people": [{"pose_keypoints_2d": points}]}
            name = f"c{clip}_{frame:012}_keypoints.json"
            (place / name).write_text(json.dumps(content))
    return ["--data", str(folder), "--folder-labels", "--protocol", "random:0"]


def bvh(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for clip in range(CLIPS):
        place = folder / ("bow", "wave")[clip % 2]
        place.mkdir(exist_ok=True)
        lines = [" ".join(map(str, row)) for row in rng.normal(size=(FRAMES, 15)).round(3)]
        text = BVH.format(frames=FRAMES, lines="\n".join(lines))
        (place / f"c{clip}.bvh").write_text(text)
    return ["--data", str(folder), "--folder-labels", "--protocol", "random:1"]


def own(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    np.save(folder / "mine.npy", rng.normal(size=(CLIPS, FRAMES, 7, 3)).astype(np.float32))
    np.save(folder / "mine_label.npy", np.arange(CLIPS) % 2)
    return ["--data", str(folder / "mine.npy"), "--axes", "NTVC", "--protocol", "random:0"]


def converted(folder: Path) -> list[str]:
    own(folder)
    convert(folder / "mine.npy", folder / "set", options=Options(axes="NTVC"))
    return ["--data", str(folder / "set"), "--protocol", "random:0"]


FILES = [penn, ui_prmd, gtu, openpose, bvh, own, converted]


@pytest.mark.parametrize("made", FILES)
def test_fd_mae_runs_on(made: Callable[[Path], list[str]], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert fd_mae([*TINY, *made(tmp_path / "data"), "--out", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "table.json").read_text())


@pytest.mark.parametrize("made", [penn, bvh, own])
def test_mica_runs_on(
    made: Callable[[Path], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("examples.text.encoding.minilm", Counting())
    monkeypatch.setenv("SKELFREQ_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    flags = ["--frames", "8", "--widths", "4", "--epochs", "1", "--rows", "mica", "--queue", "8"]
    given = [*made(tmp_path / "data"), "--out", str(tmp_path / "runs")]
    assert mica([*flags, *given]) == 0
    assert "the names of the classes; --descriptions FILE takes better ones" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("made", "flags", "words"),
    [
        (gtu, [], "--protocol, got neither: subjects:1,3,5 (those train)"),
        (gtu, ["--protocol", "subjects:1"], "needs the subjects of every clip"),
        (gtu, ["--protocol", "subjects:x"], "protocol must be one of own"),
        (ui_prmd, ["--protocol", "subjects:9"], "leaves no clip for the train part"),
        (bvh, [], "--folder-labels takes the folders as classes"),
        (own, ["--protocol", "random:0"], "--axes"),
        (converted, ["--axes", "NTVC"], "is converted: leave out --format, --axes"),
        (penn, ["--listed", "x.txt"], "listed goes with pku1-xsub"),
    ],
)
def test_what_is_lacking_is_one_sentence_with_the_flag(
    made: Callable[[Path], list[str]],
    flags: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "data").mkdir()
    data = made(tmp_path / "data")[:2]
    assert fd_mae([*TINY, *data, *flags, "--out", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fd_mae: ") and words in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_synthetic_data_take_no_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fd_mae([*TINY, "--protocol", "random:0", "--out", str(tmp_path)]) == 2
    assert "--protocol goes with files" in capsys.readouterr().err
