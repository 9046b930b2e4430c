"""``python -m examples.fd_mae`` and its study, run whole on small settings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.data import resample_clips, synthetic_ntu25
from examples.fd_mae import study
from examples.fd_mae.__main__ import main
from examples.fd_mae.pretrain import CHECKPOINT_EVERY, Pretraining
from examples.tables import markdown

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
        state = torch.load(folder / row / "checkpoint.pt", weights_only=True)
        assert state["epoch"] == 2
        assert len(json.loads((folder / row / "metrics.json").read_text())) == 2
        assert json.loads((folder / row / "config.json").read_text())["epochs"] == 2
    names = ("losses", "smoothness", "reconstruction", "relative_log_amplitude")
    for name in names:
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    amplitudes = json.loads((folder / "relative_log_amplitude.json").read_text())
    assert all(len(curve) == 2 for curve in amplitudes.values())


def test_interrupt_and_resume_give_the_uninterrupted_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*TINY, "--epochs", str(CHECKPOINT_EVERY + 1), "--rows", "fd-mae"]
    assert main([*flags, "--out", str(tmp_path / "whole")]) == 0
    original = Pretraining.run_epoch

    def interrupted(run: Pretraining) -> None:
        if run.epoch == CHECKPOINT_EVERY:
            raise KeyboardInterrupt
        original(run)

    monkeypatch.setattr(Pretraining, "run_epoch", interrupted)
    assert main([*flags, "--out", str(tmp_path / "parts")]) == 130
    folder = only_folder(tmp_path / "parts")
    assert f"--resume {folder}" in capsys.readouterr().out
    assert not (folder / "table.json").exists()
    monkeypatch.setattr(Pretraining, "run_epoch", original)
    assert main(["--resume", str(folder)]) == 0
    whole = only_folder(tmp_path / "whole")
    for name in ("table.json", "fd-mae/metrics.json", "relative_log_amplitude.json"):
        assert (folder / name).read_text() == (whole / name).read_text()


def test_ctrgcn_archives_run(tmp_path: Path) -> None:
    clips = synthetic_ntu25(num_classes=3, num_subjects=4, clips_per=2)
    x = resample_clips(clips, 40).permute(0, 2, 3, 1).flatten(2).numpy()
    x = np.concatenate([x, np.zeros_like(x)], axis=2)
    y = np.eye(3)[clips.labels]
    train = clips.train
    path = tmp_path / "NTU60_CS.npz"
    np.savez(path, x_train=x[train], y_train=y[train], x_test=x[~train], y_test=y[~train])
    flags = [*TINY, "--epochs", "1", "--rows", "fd-mae", "--data", str(path), "--config", "small"]
    assert main([*flags, "--out", str(tmp_path / "runs")]) == 0
    folder = only_folder(tmp_path / "runs")
    assert "linear probe" in (folder / "table.json").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data", "nothing.npz"], "nothing.npz: no such file"),
        (["--resume", "nowhere"], "--resume needs a run folder"),
        (["--mask-ratio", "0.999"], "mask_ratio must leave one of 25 joints visible, got 0.999"),
        (["--frames", "9"], "frames must be a multiple of 4, got 9"),
        (["--cutoff", "99"], "cutoff must lie between 0 and 8, got 99"),
    ],
)
def test_bad_input_is_named(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["--rows", "fd-mae", "--epochs", "1", "--out", str(tmp_path)]
    assert main([*TINY, *rows, *flags]) == 2
    assert message in capsys.readouterr().err


def test_study_averages_over_seeds_and_keeps_finished_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, value in ((0, 0.5), (1, 0.7)):
        folder = tmp_path / "untrained" / f"seed{seed}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({"linear probe": value}))
    table = study.summarise(tmp_path, ["untrained"], [0, 1])
    assert table == {"untrained encoder": {"linear probe": (60.0, 14.1)}}
    assert "| untrained encoder | 60.0 ± 14.1 |" in markdown(table)
