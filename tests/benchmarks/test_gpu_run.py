"""The script for GPU machines: its messages and limits, tried on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.results import read

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu_run.sh"


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    settings = {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [SCRIPT, str(folder)], env=plain | settings, capture_output=True, text=True, check=False
    )


def test_parts_are_stopped_and_leave_what_they_had(tmp_path: Path) -> None:
    for seconds in (4, 15, 60):  # a busy machine takes longer to begin
        limits = f"1 3 {seconds}"
        done = run(tmp_path, SKELFREQ_DEVICE="cpu", SKELFREQ_GPU_SECONDS=limits)
        if (tmp_path / "crossover.json").is_file():
            break
    assert done.returncode == 0, done.stdout + done.stderr
    summary = (tmp_path / "summary.txt").read_text()
    assert [line.split(":")[0] for line in summary.splitlines() if line.startswith("==")] == [
        "== tests", "== layers", "== crossovers",
    ]  # fmt: skip
    assert summary.count("stopped after") >= 2
    assert read(tmp_path / "crossover.json").machine["device"] == "cpu"
    assert "device cpu" in (tmp_path / "machine.txt").read_text()


def test_missing_packages_are_named(tmp_path: Path) -> None:
    # An interpreter that sees no installed package, as `python -S` does.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    done = run(tmp_path / "out", PYTHON=str(python), SKELFREQ_DEVICE="cpu")
    assert done.returncode == 1
    assert "lacks: torch torch_dct numpy einops scipy" in done.stdout


def test_it_says_when_there_is_no_device(tmp_path: Path) -> None:
    done = run(tmp_path, SKELFREQ_DEVICE="cuda", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1
    assert "No device" in done.stdout


def test_it_needs_a_folder() -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
