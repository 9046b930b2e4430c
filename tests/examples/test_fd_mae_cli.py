"""``python -m examples.fd_mae``, run whole on small settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interruptions import signal_at
from torch.nn import Module

from examples.common.runs import Cell
from examples.data import resample_clips, synthetic_ntu25
from examples.data.task import load_task
from examples.encoders import tuning
from examples.fd_mae.__main__ import main
from examples.fd_mae.train import Pretraining
from examples.soak import differing

TINY = [
    "--frames", "8", "--width", "16", "--depth", "1", "--heads", "2", "--decoder-width", "16",
    "--ssfrm-width", "8", "--cutoff", "3", "--tube-length", "1", "--warmup-epochs", "1",
    "--batch-size", "120",
]  # fmt: skip


def only_folder(path: Path) -> Path:
    (folder,) = path.iterdir()
    return folder


def test_a_run_leaves_what_it_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--epochs", "2", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    folder = only_folder(tmp_path)
    assert str(folder) in printed
    table = json.loads((folder / "table.json").read_text())
    titles = ["untrained encoder", "plain masked auto-encoder", "FD-MAE"]
    assert list(table) == titles
    for title, scores in table.items():
        assert 0 <= scores["linear probe"] <= 1
        assert f"| {title} | {100 * scores['linear probe']:.1f} |" in printed
    for row in ("plain", "fd-mae"):
        cell = folder / row / "seed0"
        state = torch.load(cell / "pretraining.pt", weights_only=True)
        assert (state["epoch"], state["index"]) == (2, 0)
        lines = [json.loads(line) for line in (cell / "pretraining.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == [1, 2] and lines[1]["total"] > 0
        result = json.loads((cell / "result.json").read_text())
        assert result["settings"]["epochs"] == 2 and result["settings"]["seed"] == 0
        assert {"skelfreq", "torch", "numpy"} <= result["versions"].keys() and result["data"]
    names = (
        "losses-fd-mae-seed0-pretraining",
        "smoothness",
        "reconstruction",
        "relative_log_amplitude",
    )
    for name in (*names, "relative_log_amplitude"):
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    amplitudes = json.loads((folder / "relative_log_amplitude.json").read_text())
    assert all(len(curve) == 2 for curve in amplitudes.values())


def test_interrupt_and_resume_give_the_uninterrupted_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*TINY, "--epochs", "3", "--rows", "fd-mae"]
    assert main([*flags, "--out", str(tmp_path / "whole")]) == 0
    original = Pretraining.run

    def interrupted(run: Pretraining) -> Pretraining:
        signal_at(run.network, 4)
        return original(run)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "run", interrupted)
        assert main([*flags, "--out", str(tmp_path / "parts")]) == 128 + 15
    folder = only_folder(tmp_path / "parts")
    assert f"python -m examples.fd_mae --resume {folder}" in capsys.readouterr().err
    assert not (folder / "table.json").exists()
    # What a kill between two files leaves, and inside one.
    (folder / "fd-mae" / "seed0" / "pretraining.jsonl").write_text("")
    (folder / "fd-mae" / "seed0" / "pretraining.pt.17.part").write_text("half")
    assert main(["--resume", str(folder)]) == 0
    assert differing(only_folder(tmp_path / "whole"), folder) == []


def test_ctrgcn_archives_run(tmp_path: Path) -> None:
    clips = synthetic_ntu25(num_classes=3, num_subjects=4, clips_per=2)
    x = resample_clips(clips, 40).permute(0, 2, 3, 1).flatten(2).numpy()
    x = np.concatenate([x, np.zeros_like(x)], axis=2)
    y = np.eye(3)[clips.labels]
    train = clips.train
    path = tmp_path / "NTU60_CS.npz"
    np.savez(path, x_train=x[train], y_train=y[train], x_test=x[~train], y_test=y[~train])
    flags = [*TINY, "--epochs", "1", "--rows", "fd-mae", "--data", str(path), "--config", "small"]
    flags += ["--label-shares", "0.5", "1", "--fine-tuning-steps", "2", "--evaluate"]
    assert main([*flags, "--out", str(tmp_path / "runs")]) == 0
    table = json.loads((only_folder(tmp_path / "runs") / "table.json").read_text())
    assert list(table["FD-MAE"]) == ["fine-tuning, 50% of labels", "fine-tuning"]


def test_fine_tuning_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*TINY, "--epochs", "1", "--rows", "plain", "--label-shares", "0.5", "--evaluate"]
    flags += ["--fine-tuning-steps", "6"]
    assert main([*flags, "--out", str(tmp_path / "whole")]) == 0
    steps: list[int] = []

    def fine_tune(cell: Cell, name: str, model: Module, *rest: Any, **options: Any) -> None:
        model.register_forward_hook(lambda *_: steps.append(1))
        if len(steps) == 0:
            signal_at(model, 4)
        tuning.fine_tune(cell, name, model, *rest, **options)

    monkeypatch.setattr("examples.fd_mae.experiment.fine_tune", fine_tune)
    assert main([*flags, "--out", str(tmp_path / "parts")]) == 128 + 15
    assert len(steps) == 4
    folder = only_folder(tmp_path / "parts")
    assert main(["--resume", str(folder)]) == 0
    # 2 more steps of training, and the passes of the test.
    assert steps.count(1) == 6 + 2 * -(-len(load_task("synthetic", 16).test) // 128)
    assert differing(only_folder(tmp_path / "whole"), folder) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data", "nothing.npz"], "nothing.npz: no such file"),
        (["--resume", "nowhere"], "--resume needs a run folder"),
        (["--mask-ratio", "0.999"], "mask_ratio must leave one of 25 joints visible, got 0.999"),
        (["--mask-ratio", "2"], "mask_ratio must lie between 0 and 1, got 2.0"),
        (["--frames", "9"], "frames must be a multiple of patch_frames (4), got 9"),
        (["--heads", "3"], "width must be a multiple of heads (3), got 16"),
        (["--decoder-width", "15"], "decoder_width must be a multiple of heads (2), got 15"),
        (["--patch-frames", "5", "--frames", "10"], "low_scale"),
        (["--seeds", "-1"], "seed must be at least 0, got -1"),
        (["--device", "foo"], "--device must be one of cpu"),
        (["--device", "meta"], "--device must be one of cpu"),
        (["--devices", "-2"], "--devices must be at least 1, got -2"),
        (["--devices", "0"], "--devices must be at least 1, got 0"),
        (["--workers", "0"], "--workers must be at least 1, got 0"),
        (["--save-every", "nan"], "--save-every must be at least 0, got nan"),
        (["--cutoff", "99"], "cutoff must lie between 0 and 8, got 99"),
        (["--lr", "0"], "lr must be above 0, got 0.0"),
        (["--lr", "nan"], "lr must be above 0, got nan"),
        (["--width", "1000000000"], "width must be a finite number up to 1e+06"),
        (["--rows", "fd"], "--rows must be of coordinates, untrained, contrast, shipped, plain"),
        (["--rows", "shipped"], "row shipped needs --weights, the name of an encoder"),
        (["--weights", "ucla"], "weights must be one of"),
        (["--weights", "nwucla"], "weights 'nwucla' do not fit"),
        (["--linear-shares", "2"], "linear_shares must be a finite number up to 1, got 2.0"),
        (["--label-shares", "2"], "label_shares must be a finite number up to 1, got 2.0"),
        (["--workers", "2", "--devices", "2"], "--workers above 1 does not go with --devices"),
    ],
)
def test_bad_input_is_one_line(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["--rows", "fd-mae", "--epochs", "1", "--out", str(tmp_path)]
    assert main([*TINY, *rows, *flags]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("fd_mae: ") and message in error
    assert not list(tmp_path.iterdir())
