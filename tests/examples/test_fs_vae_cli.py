"""``python -m examples.fs_vae`` on embedded data and on a folder in SynSE's layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from text_encoders import Counting

from examples.data.protocols import ClassSplit, class_split
from examples.fs_vae import config
from examples.fs_vae.__main__ import main
from examples.fs_vae.config import PRESETS
from examples.fs_vae.experiment import load
from examples.fs_vae.synse import load_features, load_texts

TINY = ["--encoder-epochs", "1", "--frames", "16", "--cycles", "1", "--cycle-epochs", "2",
        "--samples-per-class", "20", "--classifier-steps", "20", "--latent", "8",
        "--split", "9"]  # fmt: skip
UNSEEN, VALIDATION = (10, 11, 19, 26, 56), (16, 21, 25, 31, 48)
WIDTH = 32


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Encode without loading a network; test_text.py runs the real one."""
    monkeypatch.setattr("examples.text.encoding.minilm", Counting())
    monkeypatch.setenv("SKELFREQ_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def ntu(tmp_path: Path) -> Path:
    """A small folder as SynSE, MSF-GZSSAR and FS-VAE share them, for the 55/5 split."""
    rng = np.random.default_rng(0)
    root = tmp_path / "ntu"
    seen = [c for c in range(60) if c not in UNSEEN]
    seen_in_validation = [c for c in seen if c not in VALIDATION]
    text = rng.normal(size=(60, 512)).astype(np.float32)
    mapping = rng.normal(size=(512, WIDTH)) / 8

    def save(folder: str, **arrays: np.ndarray) -> None:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            np.save(root / folder / f"{name}.npy", array)

    def samples(classes: list[int], count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(classes, count)
        x = text[labels] @ mapping + 0.3 * rng.normal(size=(len(labels), WIDTH))
        return x.astype(np.float32), labels

    def logits(labels: np.ndarray, classes: list[int]) -> np.ndarray:
        return (4.0 * (labels[:, None] == np.array(classes))).astype(np.float32)

    for folder, own, held_out, second in (
        ("shift_5_r", seen, list(UNSEEN), "g"),
        ("shift_val_5_r", seen_in_validation, list(VALIDATION), "val"),
    ):
        train, train_label = samples(own, 6)
        held, held_label = samples(held_out, 6)
        rest, rest_label = samples(own, 2)
        save(folder, train=train, train_label=train_label, ztest=held, z_label=held_label)
        if second == "g":
            both, label = np.concatenate([rest, held]), np.concatenate([rest_label, held_label])
            save(folder, gtest=both, g_label=label, gtest_out=logits(label, own))
        else:
            save(folder, val=rest, val_label=rest_label, val_out=logits(rest_label, own))
            save(folder, ztest_out=logits(held_label, own))
    save("text", lb_60=text, md_60=text[:, ::-1].copy(), ad_60=-text)
    return root


def flags(root: Path) -> list[str]:
    return ["--synse", "60/5", "--features", f"{root}/shift_5_r", "--validation-features",
            f"{root}/shift_val_5_r",
            "--texts", f"{root}/text"]  # fmt: skip


def only_folder(path: Path) -> Path:
    (folder,) = (f for f in path.iterdir() if f.name.startswith("fs_vae"))
    return folder


def result_of(folder: Path, row: str = "freqenhance") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / row / "seed0" / "result.json").read_text())
    return found


def test_embedded_run_leaves_what_it_promises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TINY, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    folder = only_folder(tmp_path)
    result = result_of(folder)
    for name in ("zero-shot", "seen", "unseen", "harmonic", "area"):
        assert 0 <= result["scores"][name] <= 1
    assert f"| FreqEnhance | {100 * result['scores']['zero-shot']:.1f} |" in printed
    assert len(result["names"]) == 4 and result["settings"]["latent"] == 8
    picture = folder / "figures" / "confusion_freqenhance.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_synse_folders_run_with_one_command(ntu: Path, tmp_path: Path) -> None:
    learn = ["--config", "msr", "--cycle-epochs", "15", "--latent", "16", "--split", "9"]
    assert main([*flags(ntu), *learn, "--out", str(tmp_path)]) == 0
    scores = result_of(only_folder(tmp_path))["scores"]
    assert scores["zero-shot"] > 0.4  # chance is 0.2
    assert scores["seen classifier"] == 1


def test_sweep_draws_curves(ntu: Path, tmp_path: Path) -> None:
    rows = ["--rows", "sweep-split-5", "sweep-split-15", "sweep-num_bands-[56]*"]
    assert main([*flags(ntu), *TINY, *rows, "--seeds", "0", "1", "--out", str(tmp_path)]) == 2
    rows = ["--rows", "sweep-split-15", "sweep-split-25", "sweep-num_bands-[56]*"]
    assert main([*flags(ntu), *TINY, *rows, "--seeds", "0", "1", "--out", str(tmp_path)]) == 0
    table = json.loads((only_folder(tmp_path) / "table.json").read_text())
    assert list(table) == ["φ = 15", "φ = 25", "b = 5", "b = 60"]
    picture = only_folder(tmp_path) / "figures" / "sweep.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    # λ, φ and b at their own values, and every value once.
    assert len(config.SWEEP) == 20 and all(len(row.changes) == 2 for row in config.SWEEP.values())


def test_rows_share_the_encoders_that_they_may(tmp_path: Path) -> None:
    rows = ["freqenhance", "triplet", "no-freqenhance", "sweep-split-15"]
    assert main([*TINY, "--rows", *rows, "--seeds", "0", "1", "--out", str(tmp_path)]) == 0
    folder = only_folder(tmp_path)
    # With and without FreqEnhance for both seeds; the sweep stays with seed 0.
    assert len(list((folder / "encoders").iterdir())) == 4
    alone = [*TINY, "--rows", "triplet", "--out", str(tmp_path / "alone")]
    assert main(alone) == 0
    again = result_of(only_folder(tmp_path / "alone"), "triplet")
    assert again["scores"] == result_of(folder, "triplet")["scores"]


def test_release_preset_says_that_it_selects_on_the_test_set(ntu: Path, tmp_path: Path) -> None:
    release = ["--config", "release", "--cycles", "1", "--cycle-epochs", "2"]
    with pytest.warns(UserWarning) as warned:
        assert main([*flags(ntu), *release, "--out", str(tmp_path)]) == 0
    texts = [str(w.message) for w in warned]
    assert any("on the test samples" in t for t in texts)
    assert any("no band of FreqEnhance" in t for t in texts)  # the release's text encoder


def test_npz_instead_of_a_folder(ntu: Path) -> None:
    split = class_split("synse-60-55/5")
    arrays = {p.stem: np.load(p) for p in (ntu / "shift_5_r").glob("*.npy")}
    np.savez(ntu / "all.npz", **arrays)
    folder = load_features(ntu / "shift_5_r", split)
    archive = load_features(ntu / "all.npz", split)
    assert folder.train.x.equal(archive.train.x)
    assert folder.seen_test.logits.equal(archive.seen_test.logits)
    del arrays["gtest"]
    np.savez(ntu / "less.npz", **arrays)
    with pytest.raises(ValueError, match=r"less\.npz: expected the key 'gtest'"):
        load_features(ntu / "less.npz", split)


def test_logits_of_all_classes_are_accepted(ntu: Path) -> None:
    split = class_split("synse-60-55/5")
    path = ntu / "shift_5_r" / "gtest_out.npy"
    narrow = np.load(path)
    wide = np.full((len(narrow), 60), 9.0, np.float32)
    wide[:, list(split.seen)] = narrow
    before = load_features(ntu / "shift_5_r", split)
    np.save(path, wide)
    after = load_features(ntu / "shift_5_r", split)
    assert before.seen_test.logits.equal(after.seen_test.logits)


Edit = Callable[[np.ndarray], np.ndarray]


def change(path: Path, edit: Edit) -> None:
    np.save(path, edit(np.load(path)))


def set_nan(array: np.ndarray) -> np.ndarray:
    array[3, 1] = np.nan
    return array


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("shift_5_r/train.npy", set_nan, r"train\.npy must be finite.*row 3"),
        ("shift_5_r/gtest.npy", lambda a: a[:, :-1], r"seen_test features must be 32 wide"),
        ("shift_5_r/train_label.npy", lambda a: a[:-1], r"train_label\.npy must have 330 entries"),
        ("shift_5_r/train_label.npy", lambda a: a + 1, r"train_label\.npy: the labels.*\[10, 19,"),
        ("shift_5_r/train_label.npy", lambda a: a * 1.0, r"train_label\.npy must hold integers"),
        ("shift_5_r/gtest_out.npy", lambda a: a[:, :-1], r"gtest_out\.npy must have shape"),
        ("shift_5_r/gtest.npy", lambda a: a[0], r"gtest\.npy must hold a table"),
        ("shift_val_5_r/val.npy", set_nan, r"val\.npy must be finite"),
        ("text/lb_60.npy", set_nan, r"lb_60\.npy must be finite.*row 3"),
        ("text/md_60.npy", lambda a: a[:50], r"md_60\.npy must hold a row.*60 classes"),
    ],
)
def test_defects_are_named(
    ntu: Path, file: str, edit: Edit, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(ntu / file, edit)
    assert main([*flags(ntu), *TINY, "--out", str(ntu / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fs_vae: ") and error.count("\n") == 1
    assert re.search(message, error)
    assert not (ntu / "runs").exists()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"x" * 99])
def test_damaged_files_are_named(ntu: Path, content: bytes) -> None:
    (ntu / "shift_5_r" / "train.npy").write_bytes(content)
    split = class_split("synse-60-55/5")
    with pytest.raises(ValueError, match=r"train\.npy must be a \.npy file with a table"):
        load_features(ntu / "shift_5_r", split)


def test_validation_shares_no_clip_with_the_test() -> None:
    clips, _, _ = load(PRESETS["small"])
    held_out, test = clips.validation.test.clips, clips.final.test.clips
    own = {clip.numpy().tobytes() for clip in clips.final.train.clips}
    assert {clip.numpy().tobytes() for clip in held_out} < own
    assert not own & {clip.numpy().tobytes() for clip in test}


def test_missing_files_and_flags(ntu: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--synse", "60/5"], "--synse needs --features as well"),
        (["--data", "nowhere.npz"], "nowhere.npz: no such file"),
        (["--unseen", "14"], "unseen must lie between 1 and 13, got 14"),
        (["--texts", str(ntu)], "--texts needs --synse"),
        ([*flags(ntu), "--unseen", "5"], "--unseen does not go with --synse"),
        ([*flags(ntu), "--texts", str(ntu)], "must hold one file *lb_60.npy"),
        ([*flags(ntu), "--features", str(ntu)], "train.npy: no such file"),
    ):
        assert main([*arguments, *TINY, "--out", str(ntu / "runs")]) == 2
        assert message in capsys.readouterr().err


def test_unseen_class_without_text(ntu: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ntu / "texts.json"
    texts.write_text('{"classes": [{"name": "bow", "label": "b", "local": "b", "global": "b"}]}')
    assert main([*TINY, "--descriptions", str(texts), "--out", str(ntu / "runs")]) == 2
    assert "no text for the classes ['wave right hand'" in capsys.readouterr().err


def test_text_features_follow_the_levels(ntu: Path) -> None:
    text = load_texts(ntu / "text", 60, ("label", "global"))
    assert text.shape == (60, 1024)
    assert np.allclose(text.norm(dim=1), 1, atol=1e-6)
    stored = np.load(ntu / "text" / "lb_60.npy")
    assert np.allclose(text[:, :512] / text[:, :1], stored / stored[:, :1], rtol=1e-4)


def test_labels_of_the_wrong_split_are_found(ntu: Path) -> None:
    wrong = ClassSplit(60, (1, 2, 3, 4, 5), (50, 51))
    with pytest.raises(ValueError, match="check that features and class split belong together"):
        load_features(ntu / "shift_5_r", wrong)


def test_class_splits_and_seeds_are_joined(ntu: Path, tmp_path: Path) -> None:
    splits = ["--class-splits", "0", "2", "--seeds", "0", "1"]
    assert main([*TINY, *splits, "--out", str(tmp_path)]) == 0
    folder = only_folder(tmp_path)
    cells = sorted(path.name for path in (folder / "freqenhance").iterdir())
    assert cells == ["split0-seed0", "split0-seed1", "split2-seed0", "split2-seed1"]
    found = [json.loads((folder / "freqenhance" / c / "result.json").read_text()) for c in cells]
    assert found[0]["unseen"] == found[1]["unseen"] != found[2]["unseen"]
    scores = [100 * one["scores"]["harmonic"] for one in found]
    mean, error = json.loads((folder / "table.json").read_text())["FreqEnhance"]["harmonic"]
    assert mean == round(float(np.mean(scores)), 1)
    assert error == round(float(np.std(scores, ddof=1) / 2), 1)


def test_presets_follow_the_data(ntu: Path, tmp_path: Path) -> None:
    from examples.fs_vae.experiment import EXPERIMENT

    for given, preset in (
        ({}, "small"), ({"data": "x.npz"}, "msr"), ({"synse": "60/5"}, "ntu"),
        ({"synse": "120/10"}, "ntu120"),
    ):  # fmt: skip
        assert EXPERIMENT.preset(given) == preset
    assert PRESETS["ntu120"].latent == 200  # the paper's size for NTU RGB+D 120
