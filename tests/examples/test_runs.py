"""Folders, settings and messages of the examples' studies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.fd_mae import study as fd_mae_study
from examples.fs_vae import config as fs_vae
from examples.fs_vae import study as fs_vae_study
from examples.mica import config as mica
from examples.mica import robustness
from examples.mica import study as mica_study
from examples.runs import claim_folder

STUDIES = [fd_mae_study.main, fs_vae_study.main, mica_study.main, robustness.main]


def test_a_study_continues_in_its_own_folder_only(tmp_path: Path) -> None:
    settings = {"data": "a.npz", "config": {"levels": ("label",), "epochs": 3}}
    folder = tmp_path / "new" / "study"
    claim_folder(folder, settings)
    (folder / "result.json").write_text("{}")
    claim_folder(folder, settings)
    with pytest.raises(ValueError, match="results of another data; choose another --out"):
        claim_folder(folder, {**settings, "data": "b.npz"})
    with pytest.raises(ValueError, match="results of another epochs, data, seeds; choose"):
        other = {"levels": ("label",), "epochs": 4}
        claim_folder(folder, {"data": "b.npz", "config": other, "seeds": 3})
    with pytest.raises(ValueError, match="results of another config;"):
        claim_folder(folder, {"data": "a.npz"})
    assert json.loads((folder / "study.json").read_text())["data"] == "a.npz"
    (folder / "study.json").write_text('{"data"')
    with pytest.raises(ValueError, match=r"study.json is not readable JSON"):
        claim_folder(folder, settings)
    (folder / "study.json").write_text("null")
    with pytest.raises(ValueError, match="results of another study;"):
        claim_folder(folder, settings)
    (folder / "study.json").unlink()
    with pytest.raises(ValueError, match="files of unknown settings"):
        claim_folder(folder, settings)


def test_a_study_may_begin_in_a_folder_without_results(tmp_path: Path) -> None:
    claim_folder(tmp_path, {"data": "a.npz"})
    # What is left where the first file was interrupted.
    (tmp_path / "study.json").rename(tmp_path / "study.json.17.part")
    claim_folder(tmp_path, {"data": "b.npz"})
    assert json.loads((tmp_path / "study.json").read_text()) == {"data": "b.npz"}


@pytest.mark.parametrize("study", STUDIES, ids=lambda f: f.__module__)
def test_a_study_of_missing_data_says_so_in_a_line(
    study: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    assert study(["--data", "nowhere.npz", "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert "nowhere.npz: no such file" in message
    assert message.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize(
    ("config", "settings", "words"),
    [
        (fs_vae.Config, {"encoder_batch": 0}, "encoder_batch must be at least 1, got 0"),
        (fs_vae.Config, {"sensitivity": -1.0}, "sensitivity must be above 0"),
        (fs_vae.Config, {"lr": float("nan")}, "lr must be above 0, got nan"),
        (fs_vae.Config, {"kl_start": 0.7}, "kl_start must lie between 0 and kl_end=0.6, got 0.7"),
        (fs_vae.Config, {"last": "x"}, "last must be one of include, released, got 'x'"),
        (fs_vae.Config, {"levels": ("label", "label")}, "levels must be named once each"),
        (mica.Config, {"widths": ()}, "widths must be numbers of at least 1"),
        (mica.Config, {"widths": (6, 10)}, "widths must end in a multiple of 4"),
        (mica.Config, {"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        (mica.Config, {"momentum": 1.5}, "momentum must lie between 0 and 1, got 1.5"),
    ],
)
def test_settings_are_checked(config: type, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        config(**settings)
