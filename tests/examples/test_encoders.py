"""Poolings, the choice of C, held-out clips and turned clips of the probes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from examples.common.probe import held_out, probe
from examples.common.runs import Cell
from examples.common.settings import from_dict
from examples.data.augment import turn
from examples.data.body import centre_frames
from examples.data.clips import resample_clips
from examples.data.synthetic import synthetic_ntu25
from examples.data.task import BONES, Labelled, load_task
from examples.encoders import results, shipped
from examples.encoders.contrast import contrast, partners
from examples.encoders.pooling import POOLINGS, pool
from examples.encoders.shipped import FOLDER, recipe
from examples.fd_mae.__main__ import main
from examples.fd_mae.config import CONTRASTED, PRESETS, Config
from examples.fd_mae.train import Pretraining, build
from skelfreq.functional import dct_matrix
from skelfreq.skeletons import get_layout

CPU = torch.device("cpu")


def waves(count: int = 60) -> Labelled:
    """Three classes by rate; everything else is chance."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(16.0).view(1, 1, 16, 1) / 16
    labels = torch.arange(count) % 3
    shift = torch.rand(count, 3, 1, 5, generator=generator)
    clips = torch.sin(2 * torch.pi * ((labels + 1).view(-1, 1, 1, 1) * time + shift))
    return Labelled(clips, labels, torch.arange(count) // (count // 4))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_poolings_keep_what_they_name(pooling: str) -> None:
    x = torch.randn(2, 3, 8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = x.numpy().mean(2)
    expected = {
        "all": mean.mean(-1),
        "mean": mean,
        "mean+max": np.concatenate([mean, x.numpy().max(2)], 1),
        "mean+deviation": np.concatenate([mean, x.numpy().std(2)], 1),
    }
    if pooling in expected:
        np.testing.assert_allclose(pool(x, pooling), expected[pooling].reshape(2, -1), rtol=1e-12)


def test_frequency_poolings_of_a_cosine() -> None:
    wave = math.sqrt(8 / 2) * 0.5 * dct_matrix(8, dtype=torch.float64)[5]  # amplitude 0.5
    x = 1 + wave.view(1, 1, 8, 1)
    slow, mean = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    expected = torch.stack([mean, slow, mean / 2], 1)
    torch.testing.assert_close(pool(x, "bands"), expected)
    # Two coefficients, and the amplitude of the other six.
    expected[0, 0] = math.sqrt(8)
    torch.testing.assert_close(pool(x, "coefficients"), expected)


def test_an_unknown_pooling_is_named() -> None:
    with pytest.raises(ValueError, match=r"pooling must be one of all, mean, .* got 'median'"):
        pool(torch.zeros(1, 1, 4, 1), "median")


def test_held_out_are_whole_folds() -> None:
    folds = torch.tensor([1, 3, 5, 7, 9, 1, 9])
    labelled = Labelled(torch.zeros(7, 3, 4, 2), torch.zeros(7), folds)
    assert held_out(labelled).tolist() == [fold >= 7 for fold in folds.tolist()]
    cameras = Labelled(torch.zeros(4, 3, 4, 2), torch.zeros(4), torch.tensor([1, 2, 2, 1]))
    assert held_out(cameras).tolist() == [False, True, True, False]
    none = Labelled(torch.zeros(6, 3, 4, 2), torch.zeros(6))
    assert held_out(none).tolist() == [False, False, True] * 2


def test_the_probe_chooses_c_without_the_test_clips() -> None:
    train, test = waves(), waves()
    noisy = Labelled(test.clips, test.labels.roll(1))
    options = {"strengths": (1e-6, 1.0), "poolings": {"bands": lambda x: pool(x, "bands")}}
    right = probe(Tensor.contiguous, train, test, CPU, neighbours=1, **options)
    assert right == {"linear probe, bands": 1.0, "kNN, bands": 1.0}
    few = probe(Tensor.contiguous, train, test, CPU, shares=(0.01, 0.1), **options)
    assert few["few labels, bands, 10%"] > 0.6  # chance: 0.33
    # With every test label wrong the choice stays the same.
    assert probe(Tensor.contiguous, train, noisy, CPU, **options) == {"linear probe, bands": 0.0}


def test_turned_training_clips_teach_other_headings() -> None:
    labels = torch.arange(40) % 2
    ahead = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(40, 3, 4, 1)
    quarter = labels.view(-1, 1, 1, 1).bool()
    x = torch.where(quarter, turn(ahead, 90.0), ahead)
    x = x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    train, test = Labelled(x, labels), Labelled(turn(x, 60.0), labels)
    options = {"poolings": {"": lambda c: pool(c, "mean")}, "strengths": (10.0,)}
    # Seen from one side, what stands at 60 degrees is nearer to 90 than to 0.
    assert probe(Tensor.contiguous, train, test, CPU, **options)["linear probe"] < 0.7
    turned = probe(Tensor.contiguous, train, test, CPU, turns=(0.0, 60.0), **options)
    assert turned["linear probe"] == 1.0


@pytest.mark.parametrize("vertical", [1, 2])
def test_turn_is_a_rotation_about_the_vertical(vertical: int) -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    there = turn(x, 25.0, vertical=vertical)
    torch.testing.assert_close(there[:, vertical], x[:, vertical])
    torch.testing.assert_close(there.norm(dim=1), x.norm(dim=1))
    torch.testing.assert_close(turn(there, -25.0, vertical=vertical), x)
    assert not torch.allclose(there, x)


def test_the_path_is_the_way_of_the_hips() -> None:
    task = load_task("synthetic", 8, body_frame=True, path=True)
    clips = synthetic_ntu25()
    layout = get_layout(clips.layout)
    body, found = task.train.clips[..., :-1], task.train.clips[..., -1]
    pair = [layout.joints.index(f"{side} hip") for side in ("left", "right")]
    assert body[..., pair].mean(-1).abs().max() < 1e-5
    x = resample_clips(clips.subset(clips.train), 8)
    hips = (x - centre_frames(x, layout))[..., 0]
    hips = hips - hips[:, :, :1]
    bones = torch.stack([x[..., a] - x[..., b] for a, b in layout.edges], -1)
    size = BONES * bones.norm(dim=1).mean((1, 2)).view(-1, 1)
    # Lengths and heights do not depend on the heading.
    torch.testing.assert_close(found.norm(dim=1), hips.norm(dim=1) / size, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[:, 1], hips[:, 1] / size, atol=1e-5, rtol=1e-4)


def test_tasks_come_in_another_joint_order() -> None:
    task = load_task("synthetic", 8, body_frame=True, path=True, layout="common20")
    assert task.layout == "common20"
    assert task.train.clips.shape[1:] == (3, 8, 21)


def test_partners_are_the_other_clips_of_the_take() -> None:
    assert partners(torch.tensor([4, 2, 4, 7, 2, 4])).tolist() == [2, 4, 5, 3, 1, 0]


def test_contrast_brings_the_clips_of_a_take_together() -> None:
    generator = torch.Generator().manual_seed(0)
    takes = torch.arange(12).repeat_interleave(2)
    one = 3 + torch.randn(12, 3, 1, 5, generator=generator).repeat_interleave(2, 0)
    clips = one + torch.randn(24, 3, 16, 5, generator=generator)
    train = Labelled(clips, torch.zeros(24, dtype=torch.long), takes=takes)
    config = Config(
        frames=8, width=16, depth=1, heads=2, decoder_width=16, ssfrm_width=8, contrast_epochs=20,
        batch_size=12, contrast_width=8, contrast_lr=5e-3,
    )  # fmt: skip
    torch.manual_seed(0)
    encoder = build(config, 5).encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}

    def margin() -> float:
        """How much nearer a clip is to its partner than to the rest."""
        x = nnf.normalize(pool(encoder.clip_features(clips), "bands").detach(), dim=1)
        similar, same = x @ x.T, takes.unsqueeze(1) == takes
        return float(similar[same].mean() - similar[~same].mean())

    plain = margin()
    assert contrast(config, encoder, train, Cell(quiet=True)) is encoder
    assert margin() > 1.5 * plain
    assert all(not torch.equal(before[name], v) for name, v in encoder.state_dict().items())


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.safetensors")))
def test_a_shipped_encoder_is_what_its_recipe_says(name: str) -> None:
    found = recipe(name)
    assert (FOLDER / f"{name}.safetensors").stat().st_size <= 2_000_000
    settings = from_dict(Config, found["settings"])
    assert replace(PRESETS[name], seed=settings.seed, data="") == replace(settings, label_shares=())
    assert len(found["data"]) == 16 and found["scores"]["linear probe, bands"] > 0.5
    torch.manual_seed(1)
    fresh = build(PRESETS[name], 21).encoder.state_dict()
    loaded = build(replace(PRESETS[name], weights=name), 21).encoder.state_dict()
    assert all(not torch.equal(fresh[key], value) for key, value in loaded.items())
    assert all(bool(value.isfinite().all()) for value in loaded.values())


def test_shipped_weights_are_named_and_fit() -> None:
    with pytest.raises(ValueError, match=r"weights must be one of .*nwucla.*, got 'ucla'"):
        build(replace(PRESETS["nwucla"], weights="ucla"), 21)
    with pytest.raises(ValueError, match=r"weights 'nwucla' do not fit the settings"):
        build(replace(PRESETS["nwucla"], weights="nwucla", width=32), 21)


def test_one_line_evaluates_a_shipped_encoder(tmp_path: Path) -> None:
    flags = ["--weights", "nwucla", "--evaluate", "linear", "--data", "synthetic"]
    assert main([*flags, "--poolings", "bands", "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    table = json.loads((folder / "table.json").read_text())
    assert list(table) == ["untrained encoder", "shipped encoder"]
    assert all(row["linear probe, bands"] > 0.3 for row in table.values())


def test_a_finished_run_can_be_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell(tmp_path, quiet=True)
    config = Config(
        frames=8, width=16, depth=1, heads=2, decoder_width=16, ssfrm_width=8, epochs=1,
        batch_size=30,
    )  # fmt: skip
    trained = Pretraining(config, waves().clips, cell).run().trained().encoder
    result = {"row": "fd-mae", "settings": config.to_dict(), "data": "0" * 16}
    result |= {"scores": {"linear probe": 0.5}, "versions": {}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "weights")
    shipped.ship(tmp_path, "mine")
    assert shipped.recipe("mine") == json.loads(json.dumps(result))
    loaded = build(replace(config, weights="mine", seed=1), 5).encoder
    for name, value in trained.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_the_page_of_results_has_the_tables_of_the_studies() -> None:
    page = results.PAGE.read_text()
    assert page.count("<!-- study") == len(results.MARKER.findall(page)) > 0
    assert results.renewed(page) == page


def test_a_table_is_mean_and_deviation_of_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "STUDIES", tmp_path / "studies")
    for seed, score in enumerate((0.5, 0.6)):
        cell = tmp_path / "run" / "fd-mae" / f"seed{seed}"
        cell.mkdir(parents=True)
        scores = {"linear probe": 0.2, "kNN": 0.1, f"{CONTRASTED}linear probe, bands": score}
        (cell / "result.json").write_text(json.dumps({"row": "fd-mae", "scores": scores}))
    results.add(tmp_path / "run", "some")
    page = results.renewed("Text.\n\n<!-- study some: linear probe -->\n| old |\n\nMore.\n")
    assert page == (
        "Text.\n\n<!-- study some: linear probe -->\n"
        "| | mean over all | bands |\n|---|---|---|\n"
        "| FD-MAE | 20.0 ± 0.0 | – |\n| FD-MAE + contrast | – | 55.0 ± 7.1 |\n\nMore.\n"
    )
