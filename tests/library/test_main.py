"""``python -m skelfreq``: says what is there, checks the identities, and fails where one does."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest
import torch
from torch import Tensor

import skelfreq
from skelfreq import __main__ as command
from skelfreq import _identities, nn

CPU = torch.device("cpu")


def test_the_command_ends_well_and_says_versions() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "skelfreq", "--no-times"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"skelfreq {skelfreq.__version__}"
    assert f"torch {metadata.version('torch')}" in lines
    assert "cpu: largest relative error" in lines and lines[-1] == "All identities hold."


@pytest.mark.parametrize("dtype", _identities.LIMITS, ids=str)
@pytest.mark.parametrize("identity", _identities.IDENTITIES, ids=lambda f: f.__name__)
def test_identities_hold(identity: Any, dtype: torch.dtype) -> None:
    assert _identities.error_of(identity, CPU, dtype) <= _identities.LIMITS[dtype]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("dct", lambda y: y * 1.01),
        ("idct", lambda y: y + 0.05),
        ("dct", lambda y: y * float("nan")),
        ("rdft", lambda y: (y[0], -y[1])),
        ("split_bands", lambda y: y._replace(low=y.low * 0.9)),
        ("resample", lambda y: y.roll(1, -2)),
        ("motion", lambda y: -y),
        ("apply_gain", lambda y: y * 2 if y.shape[-2] > 60 else y),
    ],
)
def test_a_wrong_result_is_found(
    name: str, change: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "DTYPES", {"fp64": torch.float64})
    right = getattr(_identities, name)
    monkeypatch.setattr(_identities, name, lambda *a, **k: change(right(*a, **k)))
    assert command.main(["--no-times"]) == 1
    printed = capsys.readouterr().out
    assert "WRONG:" in printed and "accepted 1.0e-12" in printed


def test_an_error_is_a_line_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(x: Tensor, size: int, *, dim: int) -> Tensor:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(_identities, "resample", broken)
    assert command.main(["--no-times"]) == 1
    printed = capsys.readouterr().out
    line = "resampling loses nothing, cpu, fp64: RuntimeError: no kernel image is available"
    assert line in printed and "dct round trip" in printed


def test_every_layer_is_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "N", 1)
    monkeypatch.setattr(command, "ROUNDS", 1)
    state = torch.get_rng_state()
    assert command.main([]) == 0
    assert torch.equal(torch.get_rng_state(), state)
    printed = capsys.readouterr().out
    wanted = {
        name
        for name in nn.__all__
        if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name), torch.nn.Module)
    }
    timed = {line.split()[0] for line in printed.splitlines() if len(line.split()) == 4}
    assert wanted <= timed


def test_a_layer_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: nn.FreT, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(nn.FreT, "forward", broken)
    monkeypatch.setattr(command, "N", 1)
    monkeypatch.setattr(command, "ROUNDS", 1)
    assert command.measure(CPU) == [
        "FreT, cpu: RuntimeError: out of memory",
        "FreST, cpu: RuntimeError: out of memory",
    ]
    assert "ERROR" in capsys.readouterr().out
