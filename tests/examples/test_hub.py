"""Trained models as folders: safetensors, JSON and a card from the run; nothing leaves the disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("huggingface_hub")
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file, save_file

from examples.common import runs
from examples.common.runs import Cell
from examples.data.task import Labelled
from examples.fd_mae.__main__ import main as fd_mae
from examples.fs_vae.config import Config as FSVAEConfig
from examples.fs_vae.features import Features, Part
from examples.fs_vae.train import train_cycles
from examples.hub import FDMAE, FSVAE, MICAEncoder, from_run, main
from examples.mica.config import Config as MICAConfig
from examples.mica.train import Text, Training

TINY = [
    "--frames", "8", "--width", "16", "--depth", "1", "--heads", "2", "--decoder-width", "16",
    "--ssfrm-width", "8", "--cutoff", "3", "--tube-length", "1", "--warmup-epochs", "1",
    "--batch-size", "120", "--epochs", "1", "--rows", "fd-mae",
]  # fmt: skip


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a row and seed of a run of FD-MAE."""
    root = tmp_path_factory.mktemp("run")
    assert fd_mae([*TINY, "--out", str(root)]) == 0
    (cell,) = root.glob("*/fd-mae/seed0")
    return cell


def cell_of(folder: Path, experiment: str, settings: Any) -> Cell:
    """Make a cell as a run makes it."""
    identity = {"format": "skelfreq run 1", "experiment": experiment, "data": "0", "row": "row"}
    identity["settings"] = settings.to_dict() | {"data": ""}
    folder.mkdir(parents=True)
    record = {"settings": settings.to_dict()}
    runs.write_json(folder.parents[1] / "run.json", record)
    result = {"scores": {"measure": 0.25}, "versions": {"torch": "2"}, **identity}
    runs.write_json(folder / "result.json", json.loads(json.dumps(result)))
    return Cell(folder, json.loads(json.dumps(identity)), settings=settings, quiet=True)


def test_fd_mae_is_written_and_read_back(pretrained: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert main([str(pretrained), str(out)]) == 0
    assert {p.name for p in out.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    model = FDMAE.from_pretrained(out)
    state = torch.load(pretrained / "pretraining.pt", weights_only=True)["parts"]["networks"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[f"online.{name}"]), name
    clips = torch.randn(2, 3, 16, 25, generator=torch.Generator().manual_seed(0))
    features = model.encoder.clip_features(clips)
    assert not model.training
    assert torch.equal(features, from_run(pretrained).encoder.clip_features(clips))
    assert json.loads((out / "config.json").read_text())["width"] == 16
    # What is read may be written again, without the facts of the run.
    model.save_pretrained(tmp_path / "again")
    again = FDMAE.from_pretrained(tmp_path / "again")
    assert torch.equal(again.encoder.clip_features(clips), features)
    assert "## Results" not in (tmp_path / "again" / "README.md").read_text()


def test_the_card_tells_of_the_run(pretrained: Path, tmp_path: Path) -> None:
    assert main([str(pretrained), str(tmp_path / "model")]) == 0
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.library_name == "skelfreq" and card.data.license == "mit"
    result = json.loads((pretrained / "result.json").read_text())
    for name, value in result["scores"].items():
        assert f"| {name} | {value:.4f} |" in card.content
    for name, value in result["versions"].items():
        assert f"| {name} | {value} |" in card.content
    settings = card.content.split("```json\n")[1].split("```")[0]
    assert json.loads(settings) == result["settings"]
    assert result["data"] in card.content and "from examples.hub import FDMAE" in card.content


def test_mica_encoder(tmp_path: Path) -> None:
    config = MICAConfig(frames=8, widths=(4, 8), embedding=8, queue=16, epochs=1, batch_size=8)
    cell = cell_of(tmp_path / "run" / "row" / "seed0", "mica", config)
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(8, 3, 8, 25, generator=generator)
    text = Text(torch.randn(2, 6, generator=generator), torch.randn(2, 3, 6, generator=generator),
                torch.ones(2, 3, dtype=torch.bool))  # fmt: skip
    run = Training(config, Labelled(clips, torch.arange(8) % 2), "ntu25", text, cell).run()
    from_run(cell.folder).save_pretrained(tmp_path / "model")
    model = MICAEncoder.from_pretrained(tmp_path / "model")
    assert torch.equal(model(clips), run.model.eval().encoder(clips))


def test_fs_vae(tmp_path: Path) -> None:
    config = FSVAEConfig(latent=4, cycles=1, cycle_epochs=1, batch_size=8, num_bands=4, split=3)
    cell = cell_of(tmp_path / "run" / "row" / "seed0", "fs_vae", config)
    generator = torch.Generator().manual_seed(0)
    x, logits = (torch.randn(8, n, generator=generator) for n in (12, 2))
    part = Part(x, torch.arange(8) % 2, logits)
    unseen = Part(x, torch.full((8,), 2), logits)
    text = torch.randn(3, 10, generator=generator)
    features = Features(part, part, unseen, (0, 1), (2,), "")
    trained, _ = train_cycles(features, text, config, cell, "selection")
    from_run(cell.folder).save_pretrained(tmp_path / "model")
    model = FSVAE.from_pretrained(tmp_path / "model")
    expected, got = (m.eval()(x, text[part.labels]) for m in (trained, model))
    assert torch.equal(got.mu_s, expected.mu_s) and torch.equal(got.mu_t, expected.mu_t)


def test_push_uploads_what_is_saved(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}

    def create_repo(self: HfApi, repo_id: str, **_: Any) -> Any:
        return type("Repository", (), {"repo_id": repo_id})

    def upload_folder(self: HfApi, *, repo_id: str, folder_path: Path, **_: Any) -> str:
        sent[repo_id] = {p.name: p.read_bytes() for p in Path(folder_path).iterdir()}
        return "address"

    monkeypatch.setattr(HfApi, "create_repo", create_repo)
    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    out = tmp_path / "model"
    assert main([str(pretrained), str(out), "--push", "owner/name"]) == 0
    assert sent == {"owner/name": {p.name: p.read_bytes() for p in out.iterdir()}}


def test_faults_are_one_line(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(cell: Path, out: Path, message: str) -> None:
        assert main([str(cell), str(out)]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
        assert not (out / "model.safetensors").exists()

    fails(tmp_path, tmp_path / "a", "a row and seed of a run that has finished")
    (tmp_path / "b").mkdir()
    fails(pretrained, tmp_path / "b", "exists; give a new folder")
    cell = cell_of(tmp_path / "run" / "row" / "seed0", "mica", MICAConfig())
    fails(cell.folder, tmp_path / "c", "must hold training.pt; its row trains nothing")


def test_weights_that_do_not_fit_and_pickles_are_refused(pretrained: Path, tmp_path: Path) -> None:
    assert main([str(pretrained), str(tmp_path / "model")]) == 0
    file = tmp_path / "model" / "model.safetensors"
    state: dict[str, Tensor] = load_file(file)
    del state["mask_token"]
    save_file(state, file)
    with pytest.raises(RuntimeError, match="mask_token"):
        FDMAE.from_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="only safetensors are read"):
        FDMAE._load_as_pickle(None, "pytorch_model.bin", "cpu", True)
