"""Run folders: atomic files, one owner, checkpoints and records that somebody else made."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from examples.common.runs import (
    Cell,
    differences,
    fingerprint,
    held,
    load_checkpoint,
    new_folder,
    read_json,
    read_scores,
    save_checkpoint,
    tidy,
    write,
    write_json,
)
from examples.fd_mae.__main__ import main
from examples.fd_mae.config import Config
from examples.fd_mae.train import Pretraining

TINY = Config(
    frames=8, width=16, depth=1, heads=2, decoder_width=16, ssfrm_width=8, cutoff=3,
    tube_length=1, mask_ratio=0.6, epochs=2, batch_size=8, warmup_epochs=1,
)  # fmt: skip
FLAGS = [
    "--frames", "8", "--width", "16", "--depth", "1", "--heads", "2", "--decoder-width", "16",
    "--ssfrm-width", "8", "--cutoff", "3", "--tube-length", "1", "--epochs", "1",
    "--warmup-epochs", "0", "--batch-size", "120",
]  # fmt: skip


def clips() -> Tensor:
    return torch.randn(16, 3, 16, 5, generator=torch.Generator().manual_seed(0))


# --- Files and folders --------------------------------------------------------------------------


def test_run_folders_never_collide(tmp_path: Path) -> None:
    folders = {new_folder(tmp_path, "run") for _ in range(5)}
    assert len(folders) == 5
    assert all(folder.is_dir() for folder in folders)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"epoch": 1})
    with pytest.raises(TypeError):
        write_json(path, {"epoch": object()})
    with pytest.raises(TypeError):
        write(path, "no bytes")  # type: ignore[arg-type]
    assert read_json(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


FULL = """
import resource, sys
from pathlib import Path
from examples.common.runs import Cell, new_folder
from examples.fd_mae.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    # What a full disk looks like: the write of the checkpoint fails in the middle.
    flags = [*FLAGS, "--rows", "fd-mae", "--out", str(tmp_path)]
    command = [sys.executable, "-c", FULL, "20000", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert error.startswith("fd_mae: ") and "File too large" in error
    assert "pretraining.pt" in error and "Continue with: python -m examples.fd_mae" in error
    assert "Traceback" not in done.stderr
    (folder,) = tmp_path.iterdir()
    assert {p.name for p in folder.rglob("*") if p.is_file()} == {".lock", "run.json"}
    assert main(["--resume", str(folder)]) == 0  # with space again


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody may write to")
def test_a_read_only_folder_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FLAGS, "--out", "/proc/runs"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fd_mae: ") and "/proc/runs" in line


def test_a_folder_has_one_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FLAGS, "--rows", "untrained", "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    with held(folder) as mine, held(folder) as second:
        assert mine and not second
        assert main(["--resume", str(folder)]) == 2
        assert f"{folder} is in use by another run" in capsys.readouterr().err
    assert main(["--resume", str(folder)]) == 0


CLAIM = """
import sys, time
from pathlib import Path
from examples.common.runs import held
print("loaded", flush=True)
start = float(sys.stdin.readline())
while time.time() < start: pass
with held(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()  # until it is told to end, or killed
"""


def test_of_processes_that_claim_at_once_one_gets_it_and_a_dead_one_holds_nothing(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(command, **pipes)) for _ in range(3)]
        assert [process.stdout.readline() for process in processes] == ["loaded\n"] * 3
        start = time.time() + 0.2
        for process in processes:
            process.stdin.write(f"{start}\n")
            process.stdin.flush()
        said = [process.stdout.readline().strip() for process in processes]
        assert sorted(said) == ["False", "False", "True"]
        with held(tmp_path) as mine:
            assert not mine
        owner = processes[said.index("True")]
        owner.kill()
        owner.wait()
        with held(tmp_path) as mine:
            assert mine


def test_what_a_dead_run_left_is_removed_and_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run" / "row").mkdir(parents=True)
    (tmp_path / "run" / "row" / "x.pt.17.part").write_text("half")
    (tmp_path / "run" / "row" / "x.pt").write_text("whole")
    tidy(tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "row").iterdir()] == ["x.pt"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="linked is a link or a device"):
        tidy(tmp_path / "run")
    (tmp_path / "run" / "linked").unlink()
    os.mkfifo(tmp_path / "run" / "pipe")
    with pytest.raises(ValueError, match="pipe is a link or a device"):
        tidy(tmp_path / "run")


@pytest.mark.parametrize(
    "content", [b'{"data"', b"\xff\xfe", b"null", b"[1]", b"[" * 100_000 + b"]" * 100_000]
)
def test_json_of_somebody_else_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json"):
        read_json(tmp_path / "run.json")


def test_scores_are_finite_numbers(tmp_path: Path) -> None:
    for scores in ({}, [], {"x": "1"}, {"x": True}, {"x": None}, None):
        write_json(tmp_path / "result.json", {"scores": scores})
        with pytest.raises(ValueError, match="must hold finite scores by name"):
            read_scores(tmp_path / "result.json")
    (tmp_path / "result.json").write_text('{"scores": {"x": NaN}}')
    with pytest.raises(ValueError, match="must hold finite scores by name"):
        read_scores(tmp_path / "result.json")


def test_fingerprints_tell_data_apart() -> None:
    x = torch.arange(6.0)
    others = [x.double(), x.reshape(2, 3), x + 1, x.flip(0), x[:5]]
    prints = [fingerprint([other]) for other in (x, *others)]
    assert len(set(prints)) == len(prints)
    assert fingerprint([x.clone()]) == prints[0] == fingerprint([torch.stack([x, x], 1)[:, 0]])
    assert fingerprint([torch.empty(0)]) != fingerprint([])


# --- The record of a run ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    assert main([*FLAGS, "--rows", "fd-mae", "--out", str(root)]) == 0
    (folder,) = root.iterdir()
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": ["../../escape"]}, "rows must be of coordinates, untrained"),
        ({"rows": ["/tmp/x"]}, "rows must be of coordinates, untrained"),
        ({"rows": "fd-mae"}, "rows must be of coordinates, untrained"),
        ({"rows": [["fd-mae"]]}, "rows must be of coordinates, untrained"),
        ({"rows": []}, "rows must be of"),
        ({"seeds": ["../0"]}, "seed must be a whole number, got '../0'"),
        ({"seeds": [-1]}, "seed must be at least 0, got -1"),
        ({"seeds": [1.5]}, "seed must be a whole number, got 1.5"),
        ({"seeds": None}, "seeds must be a list, got None"),
        ({"format": "skelfreq run 99"}, "is of format 'skelfreq run 99'"),
        ({"experiment": "mica"}, "is of experiment 'mica'"),
        ({"settings": {"width": 16}, "data": "0"}, "is not what"),
        ({"settings": {"widht": 16}}, "unknown names ['widht']"),
        ({"settings": {"width": "16"}}, "width must be a whole number, got '16'"),
        ({"settings": {"width": 10**12}}, "width must be a finite number up to"),
        ({"settings": {"lr": 1e999}}, "lr must be a finite number"),
        ({"settings": {"validate": "all"}}, "validate must be a list"),
        ({"settings": {"data": "nowhere.npz"}}, "nowhere.npz: no such file"),
        ({"settings": []}, "settings have unknown names"),
        ({"data": "0123456789abcdef"}, "--data synthetic is not what"),
    ],
)
def test_a_record_of_somebody_else_cannot_escape(
    folder: Path, change: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = read_json(folder / "run.json")
    if isinstance(change.get("settings"), dict):
        change = change | {"settings": record["settings"] | change["settings"]}
    (folder / "run.json").write_text(json.dumps(record | change))
    before = sorted(p for p in folder.parent.rglob("*"))
    assert main(["--resume", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fd_mae: ") and error.count("\n") == 1
    assert message in error
    assert sorted(p for p in folder.parent.rglob("*")) == before


def test_a_resumed_run_keeps_its_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--resume", str(folder), "--epochs", "7"]) == 2
    assert "--epochs differs in" in capsys.readouterr().err
    assert main(["--resume", str(folder), "--epochs", "1", "--seeds", "4"]) == 0
    assert (folder / "fd-mae" / "seed4" / "result.json").exists()
    assert read_json(folder / "run.json")["seeds"] == [0, 4]


def test_a_refused_run_removes_nothing_of_the_owner(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = folder / "fd-mae" / "seed0" / "pretraining.pt.17.part"
    part.write_text("half written by the owner")
    with held(folder):
        assert main(["--resume", str(folder)]) == 2
    assert "is in use by another run" in capsys.readouterr().err
    assert part.exists()
    assert main(["--resume", str(folder)]) == 0
    assert not part.exists()


def test_a_result_of_something_else_is_not_believed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, table = folder / "fd-mae" / "seed0" / "result.json", (folder / "table.json").read_bytes()
    result = read_json(path)
    for change, word in (
        ({"settings": {"nothing": 1}, "data": "other"}, "nothing"),
        ({"settings": result["settings"] | {"epochs": 9}}, "epochs"),
        ({"row": "plain"}, "row"),
    ):
        path.write_text(json.dumps(result | {"scores": {"linear probe": 0.999}} | change))
        assert main(["--resume", str(folder)]) == 2
        error = capsys.readouterr().err
        assert f"{path} differs from this run in" in error and word in error
        assert error.count("\n") == 1 and (folder / "table.json").read_bytes() == table
    path.write_text(json.dumps(result))
    record = read_json(folder / "run.json")
    (folder / "run.json").write_text(
        json.dumps(record | {"settings": record["settings"] | {"epochs": 2}})
    )
    assert main(["--resume", str(folder)]) == 2
    assert "differs from this run in epochs" in capsys.readouterr().err
    assert (folder / "table.json").read_bytes() == table


def test_curves_of_somebody_else_cannot_crash(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c.jsonl").write_text("[1]\n[2]\n")
    more = folder / "fd-mae" / "seed0" / "more.jsonl"
    more.write_text("")
    assert main(["--resume", str(folder)]) == 0
    for text in ("[1]\n[2]\n", "{}\n{}\n", "no json\n", '{"epoch": 1, "x": "y"}\n' * 2):
        more.write_text(text)
        capsys.readouterr()
        assert main(["--resume", str(folder)]) == 2
        error = capsys.readouterr().err
        assert "more.jsonl" in error and error.count("\n") == 1


@pytest.mark.parametrize("flags", [["--config", "msr"], ["--study"]])
def test_a_resumed_run_takes_no_preset(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--resume", str(folder), *flags]) == 2
    assert "--config and --study do not go with --resume" in capsys.readouterr().err


def test_differences_are_named_one_by_one() -> None:
    found = {"data": "a.npz", "config": {"levels": ["label"], "epochs": 3}}
    other = {"data": "b.npz", "config": {"levels": ["label"], "epochs": 4}, "seeds": 3}
    assert differences(found, found) == []
    assert differences(found, other) == ["epochs", "data", "seeds"]
    assert differences(None, other) == ["format"]


# --- Checkpoints of somebody else ---------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    Pretraining(TINY, clips(), Cell(tmp_path, {"method": "test"}, quiet=True)).run()
    return tmp_path / "pretraining.pt"


def resume(path: Path) -> Pretraining:
    config = replace(TINY, epochs=3)  # one more, so that what was read is used
    return Pretraining(config, clips(), Cell(path.parent, {"method": "test"}, quiet=True)).run()


def test_a_sound_checkpoint_is_continued(saved: Path) -> None:
    assert resume(saved).loop.epoch == 3


def expanded(x: Tensor) -> Tensor:
    return torch.zeros(1).expand(x.shape)


@pytest.mark.parametrize(
    ("at", "change", "message"),
    [
        # Moments of another shape corrupted the heap under AdamW(fused=True).
        ("parts.optimizer.0+exp_avg", lambda x: x[:1], r"exp_avg must be torch.float32"),
        ("parts.optimizer.0+exp_avg", lambda x: x.double(), r"got torch.float64"),
        ("parts.optimizer.0+exp_avg", lambda x: x.to_sparse(), "must be a plain tensor"),
        ("parts.optimizer.0+exp_avg", lambda x: x.to("meta"), "must be a plain tensor"),
        ("parts.optimizer.0+exp_avg_sq", lambda x: x + torch.inf, "must be finite"),
        ("parts.optimizer.0+step", lambda x: x - 100, "no negative number of steps"),
        ("parts.optimizer.0+step", lambda x: 1e9, "must be a plain tensor, got float"),
        ("parts.optimizer", lambda x: {"0.step": x["0.step"]}, "must hold what this"),
        ("parts.optimizer", lambda x: {}, None),
        ("parts.optimizer", lambda x: [], "must hold what this network and optimizer have"),
        ("parts.networks.online.mask_token", lambda x: x[:3], r"must be torch.float32 \(16,\)"),
        ("parts.networks.online.mask_token", lambda x: x * torch.nan, "must be finite"),
        ("parts.networks._extra_state", lambda x: x - 10**6, "must not be negative"),
        ("parts.networks", lambda x: {**x, "more": torch.ones(1)}, "must hold what this"),
        ("parts.generator.state", lambda x: x[:7], "must be torch.uint8"),
        ("parts.generator.state", lambda x: torch.zeros_like(x), "must be the state of a gen"),
        ("parts.torch.state", lambda x: torch.full_like(x, 255), "must be the state of a gen"),
        ("parts.order", lambda x: None, "must hold what this"),
        ("parts", lambda x: None, "must say where it stands"),
        ("epoch", lambda x: 99, "must say where it stands"),
        ("epoch", lambda x: -1, "must say where it stands"),
        ("index", lambda x: 10**9, "must say where it stands"),
        ("index", lambda x: True, "must say where it stands"),
        ("history", lambda x: [{"total": "1"}] * 2, "must say where it stands"),
        ("history", lambda x: [{"total": float("nan")}] * 2, "must say where it stands"),
        ("sums", lambda x: [], "must say where it stands"),
        # Memory that repeats one element is copied before a kernel writes to it.
        ("parts.optimizer.0+exp_avg", expanded, None),
        ("parts.networks.online.encoder.embed.weight", expanded, None),
    ],
)
def test_a_checkpoint_of_somebody_else_cannot_crash(
    saved: Path, at: str, change: Any, message: str | None
) -> None:
    state = torch.load(saved, weights_only=True)
    # Names of tensors hold points themselves.
    *way, last = at.split(".", 2)
    place, last = state, last.replace("+", ".")
    for step in way:
        place = place[step]
    place[last] = change(place[last])
    torch.save(state, saved)
    if message is None:
        assert resume(saved).loop.epoch == 3
        return
    with pytest.raises(ValueError, match=message) as raised:
        resume(saved)
    assert "pretraining.pt" in str(raised.value) and len(str(raised.value)) < 400


def test_code_in_a_checkpoint_is_not_run(saved: Path) -> None:
    class Run:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {saved.parent / 'was-here'}",)

    state = torch.load(saved, weights_only=True)
    torch.save({**state, "history": Run()}, saved)
    with pytest.raises(ValueError, match="is not a readable checkpoint"):
        resume(saved)
    assert not (saved.parent / "was-here").exists()


def test_a_checkpoint_of_something_else_is_named(saved: Path) -> None:
    for identity, message in (
        ({"method": "other"}, "differs from this run in method: give what it was made with"),
        ({"method": "test", "settings": {"width": 3}}, "differs from this run in settings"),
    ):
        with pytest.raises(ValueError, match=message):
            load_checkpoint(saved, identity)
    for content in (b"", b"no checkpoint", saved.read_bytes()[:-300], saved.read_bytes()[:2000]):
        saved.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint \(\w+\); delete it to train anew"):
            resume(saved)
    save_checkpoint(saved, {"method": "test"}, {"epoch": 1})
    with pytest.raises(ValueError, match="must say where it stands"):
        resume(saved)
    torch.save([torch.ones(3)], saved)
    with pytest.raises(ValueError, match="is not a readable checkpoint"):
        resume(saved)


def test_mutated_checkpoints_are_refused_or_used(saved: Path) -> None:
    whole, rng = saved.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 4, 64))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        saved.write_bytes(data)
        try:
            resume(saved)
        except ValueError as error:
            assert (
                "pretraining.pt" in str(error) or "is nan" in str(error) or "is inf" in str(error)
            )
            refused += 1
    assert 0 < refused < 60
