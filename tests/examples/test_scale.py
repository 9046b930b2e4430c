"""Many processes compute what one computes: losses, weights, moving averages, queues."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import scale_worker
import torch
from torch import Tensor, nn

from examples.common.runs import Cell
from examples.common.scale import Scale, _BatchDraws
from examples.fd_mae.__main__ import main
from examples.soak import group_ends

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(scale_worker.CASES)
TINY = [
    "--frames", "8", "--width", "16", "--depth", "1", "--heads", "2", "--decoder-width", "16",
    "--ssfrm-width", "8", "--cutoff", "3", "--tube-length", "1", "--rows", "fd-mae",
]  # fmt: skip
needs_fabric = pytest.mark.skipif(
    importlib.util.find_spec("lightning_fabric") is None, reason="needs the extra 'scale'"
)
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1",
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'examples'}",
}  # fmt: skip

STRATEGIES = {1: ["ddp"], 2: ["ddp", "fsdp"], 3: ["ddp"]}
Trained = Callable[[str, int, str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return what every process got; each number of processes runs once."""
    folders: dict[int, Path] = {}

    def results(name: str, processes: int, strategy: str = "ddp") -> list[dict[str, Any]]:
        if processes not in folders:
            folders[processes] = tmp_path_factory.mktemp("processes")
            start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            command = [sys.executable, *(start if processes > 1 else []), scale_worker.__file__]
            command += [str(folders[processes]), *STRATEGIES[processes]]
            done = subprocess.run(
                command, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=240
            )
            assert done.returncode == 0, done.stderr[-2000:]
        return [
            torch.load(folders[processes] / f"{name}-{strategy}-{rank}.pt", weights_only=True)
            for rank in range(processes)
        ]

    return results


def distance(first: Any, second: Any) -> float:
    """Largest difference of two states of the same form."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        return max((distance(first[k], second[k]) for k in first), default=0.0)
    if isinstance(first, list):
        assert len(first) == len(second)
        return max((distance(a, b) for a, b in zip(first, second, strict=True)), default=0.0)
    if isinstance(first, Tensor):
        assert first.shape == second.shape and first.dtype == second.dtype
        return float((first.double() - second.double()).abs().max()) if first.numel() else 0.0
    return abs(first - second)


@needs_fabric
@pytest.mark.parametrize(("processes", "strategy"), [(2, "ddp"), (3, "ddp"), (2, "fsdp")])
@pytest.mark.parametrize("name", NAMES)
def test_processes_train_as_one(trained: Trained, name: str, processes: int, strategy: str) -> None:
    (alone,) = trained(name, 1, "ddp")
    together = trained(name, processes, strategy)
    # Batches of 21 clips leave uneven parts, and one batch that is smaller than the processes.
    assert distance(alone, together[0]) < 1e-9
    # Not only near: what every process goes on with is the same.
    assert all(distance(together[0], other) == 0 for other in together[1:])


@needs_fabric
def test_the_comparison_would_see_a_wrong_mean(trained: Trained) -> None:
    # The runs that must not agree do not: the measure is not blind.
    (full,), (plain,) = (trained(name, 1, "ddp") for name in ("fd_mae", "fd_mae plain"))
    assert distance(full["history"][-1]["motion"], plain["history"][-1]["motion"]) > 1e-4
    (mica,) = trained("mica", 1, "ddp")
    assert int(mica["weights"]["queue.written"]) == 2 * scale_worker.CLIPS
    norms = [v for k, v in mica["weights"].items() if k.endswith("running_var")]
    assert all(not torch.equal(v, torch.ones_like(v)) for v in norms)


def test_micro_batches_train_as_the_batch() -> None:
    def run(accumulate: int) -> dict[str, Any]:
        cell = Cell(scale=Scale(accumulate=accumulate), quiet=True)
        return scale_worker.fd_mae(
            cell, dual_path=False, frequency=False, multi_tube=False, accumulate=accumulate
        )

    torch.set_default_dtype(torch.float64)
    try:
        whole, parts, ones = (run(accumulate) for accumulate in (1, 3, 50))
    finally:
        torch.set_default_dtype(torch.float32)
    assert distance(whole, parts) < 1e-9 and distance(whole, ones) < 1e-9


@pytest.mark.parametrize(
    "draw",
    [
        lambda n, g: torch.rand(n, generator=g),
        lambda n, g: torch.rand(n, 3, generator=g),
        lambda n, g: torch.rand((n, 2), generator=g),
        lambda n, g: torch.randn(torch.Size([n, 5]), generator=g),
        lambda n, g: torch.empty(n, 4, dtype=torch.float64).uniform_(generator=g),
        lambda n, g: torch.empty_like(torch.ones(n, 20)).normal_(generator=g),
    ],
)
def test_drawn_rows_are_those_of_the_batch(draw: Callable[..., Tensor]) -> None:
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    whole = [draw(7, generators[0]) for _ in range(2)]
    for rows in (slice(0, 2), slice(2, 5), slice(5, 7)):
        generators[1].manual_seed(3)
        with _BatchDraws(7, rows):
            part = [draw(rows.stop - rows.start, generators[1]) for _ in range(2)]
        assert all(torch.equal(p, w[rows]) for p, w in zip(part, whole, strict=True))
        assert torch.equal(generators[1].get_state(), generators[0].get_state())


def test_dropout_of_a_part_is_that_of_the_batch() -> None:
    x, layer = torch.randn(7, 4), nn.Dropout(0.5)
    torch.manual_seed(0)
    whole = layer(x)
    torch.manual_seed(0)
    with _BatchDraws(7, slice(2, 5)):
        assert torch.allclose(layer(x[2:5]), whole[2:5])
        assert torch.equal(layer.eval()(x[2:5]), x[2:5])


def test_without_fabric_one_device_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    flags = [*TINY, "--epochs", "1", "--out", str(tmp_path)]
    assert main(flags) == 0
    for more in (["--devices", "2"], ["--precision", "bf16-mixed"]):
        assert main([*flags, *more]) == 2
        assert "pip install 'skelfreq[scale]'" in capsys.readouterr().err


@needs_fabric
def test_mixed_precision_stays_near_single(tmp_path: Path) -> None:
    def losses(**options: Any) -> list[dict[str, float]]:
        cell = Cell(scale=Scale(**options), quiet=True)
        return scale_worker.fd_mae(cell)["history"]

    single, mixed = losses(), losses(precision="bf16-mixed")
    assert 0 < distance(single, mixed) < 0.02


def children(process: int) -> list[int]:
    """Return the processes that a process started."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(number) for number in path.read_text().split()] if path.exists() else []


@contextmanager
def start(root: Path, epochs: int) -> Iterator[subprocess.Popen[str]]:
    """Start a run of two ranks; yields when a checkpoint says that both are at work."""
    flags = [*TINY, "--epochs", str(epochs), "--save-every", "0.2", "--out", str(root)]
    command = [sys.executable, "-m", "examples.fd_mae", *flags, "--devices", "2"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT,
        env=ENVIRONMENT, start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 100
        while not list(root.rglob("*.pt")) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        yield process


@needs_fabric
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the ranks in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_ends_the_job(rank: int, tmp_path: Path) -> None:
    with start(tmp_path, epochs=5000) as process:
        ranks = [process.pid, *children(process.pid)]
        os.kill(ranks[rank], signal.SIGKILL)
        begun = time.monotonic()
        error = process.communicate(timeout=60)[1]
        assert group_ends(process.pid)
        assert time.monotonic() - begun < 60
    (folder,) = tmp_path.iterdir()
    (line,) = [text for text in error.splitlines() if text.startswith("fd_mae: ")]
    assert f"Continue with: python -m examples.fd_mae --resume {folder}" in line
    assert "Traceback" not in error


@needs_fabric
def test_sigterm_stops_all_ranks_and_other_numbers_of_them_go_on(tmp_path: Path) -> None:
    with start(tmp_path, epochs=15) as process:
        process.send_signal(signal.SIGTERM)
        error = process.communicate(timeout=60)[1]
        assert process.returncode == 128 + 15 and group_ends(process.pid)
    assert error.count("Continue with") == 1 and "Traceback" not in error
    (folder,) = tmp_path.iterdir()
    assert main(["--resume", str(folder)]) == 0
    assert len((folder / "fd-mae" / "seed0" / "pretraining.jsonl").read_text().splitlines()) == 15
    assert (folder / "figures" / "reconstruction.png").exists()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "examples.fd_mae", "--resume", str(folder), "--seeds", "1"]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=120)
    assert (folder / "fd-mae" / "seed1" / "result.json").exists()
