"""MICA, the example: queue, harmonizer, momentum encoder, noise, and the command lines."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from interruptions import signal_at
from text_encoders import Counting
from torch import Tensor

from examples.common.runs import Cell
from examples.common.signals import Stop, Stopped
from examples.common.tables import markdown
from examples.data.task import Labelled, load_task
from examples.mica import figures, noise, robustness
from examples.mica.__main__ import main
from examples.mica.config import PRESETS, ROWS, Config
from examples.mica.encoder import Encoder, Harmonizer
from examples.mica.train import MICA, Queue, Text, Training
from examples.soak import differing, equal

TINY = replace(PRESETS["small"], widths=(4, 8), frames=8, embedding=8, queue=12, epochs=1)
FLAGS = ["--widths", "4", "8", "--frames", "8", "--embedding", "8", "--queue", "12",
         "--epochs", "1"]  # fmt: skip


@pytest.fixture
def quick_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Encode without loading a network; test_text.py runs the real one."""
    monkeypatch.setattr("examples.text.encoding.minilm", Counting())
    monkeypatch.setenv("SKELFREQ_CACHE", str(tmp_path / "cache"))


def unit(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(x, dim=-1)


def text_of(classes: int, width: int = 6) -> Text:
    present = torch.arange(3) < torch.tensor([[2], [3]]).repeat(-(-classes // 2), 1)[:classes]
    return Text(unit(classes, width), unit(classes, 3, width, seed=1), present)


# --- Queue --------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 4, 7, 10, 25])
def test_queue_holds_the_last_keys_in_ring_order(batch: int) -> None:
    queue, sent = Queue(10, 2), []
    for step in range(12):
        keys, labels = unit(batch, 2, seed=step), torch.arange(batch) + 100 * step
        queue.put(keys, labels)
        sent += list(zip(keys, labels, strict=True))
        keys, labels = queue.entries()
        newest = sent[-10:]
        assert len(keys) == len(labels) == len(newest)
        # Entry i of everything that was ever sent lies at position i modulo the size.
        for number, (key, label) in enumerate(newest, len(sent) - len(newest)):
            assert labels[number % 10] == label and torch.allclose(keys[number % 10], key)


def test_queue_normalises_and_keeps_no_gradient() -> None:
    queue = Queue(4, 3)
    keys = (5 * unit(2, 3)).requires_grad_()
    queue.put(keys, torch.arange(2))
    entries, _ = queue.entries()
    assert torch.allclose(entries.norm(dim=1), torch.ones(2)) and not entries.requires_grad
    entries.zero_()
    assert queue.entries()[0].norm() > 1


def test_queue_state_round_trip() -> None:
    queue, other = Queue(5, 2), Queue(5, 2)
    queue.put(unit(7, 2), torch.arange(7))
    other.load_state_dict(queue.state_dict())
    for one in (queue, other):
        one.put(unit(3, 2, seed=4), torch.arange(3))
    assert torch.equal(queue.keys, other.keys) and torch.equal(queue.labels, other.labels)


# --- Network ------------------------------------------------------------------------------------


def test_harmonizer_does_not_see_absent_phrases() -> None:
    torch.manual_seed(0)
    harmonizer = Harmonizer(8, 6, 5).eval()
    frames, phrases = unit(2, 7, 8), unit(2, 3, 6)
    present = torch.tensor([[True, True, False], [True, True, True]])
    other = phrases.clone()
    other[0, 2] = 100.0
    other[1, 2] = -other[1, 2]
    before, after = (harmonizer(frames, p, present) for p in (phrases, other))
    assert before.shape == (2, 5)
    assert torch.equal(before[0], after[0]) and not torch.allclose(before[1], after[1])


@pytest.mark.parametrize("spectral", ["none", "fres", "fret", "frest"])
@pytest.mark.parametrize("filters", ["both", "global", "local"])
def test_encoder_shapes_and_parts(spectral: str, filters: str) -> None:
    encoder = Encoder("ntu25", replace(TINY, spectral=spectral, filters=filters))
    assert encoder(torch.randn(2, 3, 8, 25)).shape == (2, 4, 8)
    names = [name.rsplit(".", 1)[-1] for name, _ in encoder.named_parameters()]
    has = spectral != "none"
    assert ("global_weight" in names) == (has and filters != "local")
    assert ("local_weight" in names) == ("threshold" in names) == (has and filters != "global")


def test_momentum_encoder_moves_without_gradient() -> None:
    data = Labelled(torch.randn(6, 3, 8, 25), torch.arange(6) % 2)
    torch.manual_seed(0)
    model = MICA("ntu25", text_of(2), TINY)
    target = model.paths.target
    before = [p.clone() for p in target.parameters()]
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):  # the queue is empty at first: no modulation then
        losses, keys = model(data.clips, data.clips + 0.1, data.labels, generator)
        model.queue.put(keys, data.labels)
    assert not keys.requires_grad
    assert set(losses) == {"contrast", "modulation", "harmonizer"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in target.parameters())
    missing = [n for n, p in model.paths.online.named_parameters() if p.grad is None]
    assert not missing
    with torch.no_grad():
        for p in model.paths.online.parameters():
            p += 1
    model.paths.update()
    share = 1 - TINY.momentum
    moved = [p - b for p, b in zip(target.parameters(), before, strict=True)]
    assert all(torch.allclose(m, torch.full_like(m, share), atol=1e-5) for m in moved)


def test_training_brings_views_of_a_clip_together() -> None:
    task = load_task("synthetic", 8, body_frame=True, num_classes=4, num_subjects=4, clips_per=3)
    config = replace(TINY, epochs=50, batch_size=12, momentum=0.9)
    history = Training(config, task.train, task.layout, text_of(4)).run().loop.history
    assert history[-1]["contrast"] < history[2]["contrast"] - 0.1
    assert history[-1]["modulation"] < history[1]["modulation"]


def test_rows_differ_in_what_they_name() -> None:
    configs = {name: replace(Config(), **row.changes) for name, row in ROWS.items()}
    assert configs["mica"] == Config() and configs["random"].epochs == 0
    assert configs["infonce"].spectral == configs["fm"].spectral == "none"
    for name in ("infonce", "frest"):
        assert configs[name].modulation == configs[name].harmonizer == 0
    assert configs["fres-only"].spectral == "fres" and configs["fret-only"].spectral == "fret"
    assert configs["global-only"].filters == "global"
    with pytest.raises(ValueError, match="spectral must be one of"):
        Config(spectral="dct")
    with pytest.raises(ValueError, match="kernel must be odd, got 4"):
        Config(kernel=4)


# --- Noise --------------------------------------------------------------------------------------


def test_test_clips_are_corrupted_as_told() -> None:
    config = replace(TINY, frames=16)
    clips, _, _ = noise.load_clips(config)
    train_clips, tests = noise.corrupted(clips, config)
    assert len(train_clips) == 240
    clean = tests["jitter 0 cm"].clips
    assert torch.equal(clean, tests["0 % dropped"].clips)
    away = [(tests[f"jitter {v} cm"].clips - clean).square().mean().sqrt() for v in (1, 2, 5, 10)]
    assert all(0 < a < b for a, b in pairwise(away))
    # Bones of about 0.24 m on average: 1 cm is some hundredths of the unit.
    assert 0.01 < away[0] < 0.1
    dropped = [(tests[f"{v} % dropped"].clips - clean).square().mean() for v in (10, 30)]
    assert 0 < dropped[0] < dropped[1]


def test_robustness_may_test_on_training_subjects() -> None:
    config = replace(TINY, frames=16, validate=(1, 3))
    clips, _, _ = noise.load_clips(config)
    train_clips, tests = noise.corrupted(clips, config)
    subjects = clips.groups[clips.train]
    held_out = np.isin(subjects, (1, 3))
    assert len(train_clips) == (~held_out).sum()
    assert len(tests["jitter 0 cm"]) == held_out.sum() > 0


# --- Command lines ------------------------------------------------------------------------------


def test_a_run_leaves_what_it_promises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quick_encoder: None
) -> None:
    assert main([*FLAGS, "--out", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    printed = capsys.readouterr().out
    table = json.loads((folder / "table.json").read_text())
    assert list(table) == ["random encoder", "InfoNCE only", "+ both = MICA"]
    assert markdown(table) in printed
    for picture in ("mica-filters", "mica-kept", "mica-queue", "infonce-queue"):
        png = (folder / "figures" / f"{picture}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
    state = torch.load(folder / "mica" / "seed0" / "training.pt", weights_only=True)
    prefix = "paths.online.encoder."
    weights = state["parts"]["model"].items()
    own = {k.removeprefix(prefix): v for k, v in weights if k.startswith(prefix)}
    Encoder("ntu25", TINY).load_state_dict(own)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_resume_equals_the_uninterrupted_run(step: int, tmp_path: Path) -> None:
    task = load_task("synthetic", 8, body_frame=True, num_classes=3, num_subjects=4, clips_per=2)
    given = (replace(TINY, epochs=3, batch_size=7), task.train, task.layout, text_of(3))
    folders = [tmp_path / name for name in ("whole", "parts")]
    for folder in folders:
        folder.mkdir()
    whole = Training(*given, Cell(folders[0])).run()
    with Stop() as stop, pytest.raises(Stopped):
        first = Training(*given, Cell(folders[1], stop=stop))
        signal_at(first.model, step)
        first.run()
    torch.rand(7)  # whatever happened in between must not matter
    parts = Training(*given, Cell(folders[1]))
    assert parts.loop.step == step
    parts.run()
    assert differing(*folders) == []
    assert equal(parts.model.state_dict(), whole.model.state_dict())
    assert int(whole.model.queue.written) == 36


def test_bad_arguments_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags, message in (
        (["--data", "none.npz"], "none.npz: no such file"),
        (["--spectral", "dct"], "spectral must be one of"),
        (["--descriptions", "none.json"], "none.json: no such file"),
        (["--widths", "6", "10"], "widths must end in a multiple of 4"),
    ):
        assert main([*flags, "--out", str(tmp_path / "runs")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_robustness_compares_networks_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--widths", "4", "--frames", "8", "--epochs", "1", "--seeds", "0", "1"]
    assert robustness.main([*flags, "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    table = json.loads((folder / "table.json").read_text())
    assert list(table) == ["ST-GCN", "ST-GCN with FreST"]
    columns = list(table["ST-GCN"])
    assert columns[:2] == ["jitter 0 cm", "jitter 1 cm"] and columns[-1] == "30 % dropped"
    assert all(len(cell) == 2 for cell in table["ST-GCN"].values())
    assert (folder / "figures" / "robustness.png").read_bytes().startswith(b"\x89PNG")
    assert markdown(table) in capsys.readouterr().out


def test_classifier_trains() -> None:
    config = replace(TINY, epochs=100)
    clips, _, _ = noise.load_clips(config)
    few = clips.subset(np.isin(clips.labels, (0, 1, 2)) & (clips.groups < 5))
    scores, _ = noise.run(Cell(quiet=True, settings=config), few)
    assert scores["jitter 0 cm"] > 0.6  # chance is 1/3


def test_robustness_is_drawn_from_one_run_as_well(tmp_path: Path) -> None:
    scores = [{"jitter 0 cm": 0.5, "jitter 5 cm": 0.25, "0 % dropped": 0.5}]
    figures.draw_robustness({"ST-GCN": scores}, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
