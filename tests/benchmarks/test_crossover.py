"""The tables of which way is faster: every way runs and computes the same."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from tolerances import assert_close

from benchmarks import __main__ as command
from benchmarks import crossover
from benchmarks.results import read
from benchmarks.timing import Effort
from skelfreq.functional import _route


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("transform", crossover.TRANSFORMS)
def test_both_routes_compute_the_same(transform: str, dim: int, backward: bool) -> None:
    runs = crossover.routes(transform, 30, dim, backward, 60_000)
    product, fft = (runs[name]() for name in ("product", "FFT"))
    if backward:
        product, fft = product[0], fft[0]
    assert_close(product, fft, 1e-5)


@pytest.mark.parametrize("trailing", [1, 5])
def test_both_layouts_compute_the_same(trailing: int) -> None:
    runs = crossover.layouts(trailing, 48, False, 10_000)
    assert_close(runs["moved"](), runs["as it lies"]())


def test_thresholds_are_put_back() -> None:
    before = _route.COSINE_PRODUCT_POINTS
    with pytest.raises(RuntimeError), crossover.thresholds(COSINE_PRODUCT_POINTS=1):
        assert _route.COSINE_PRODUCT_POINTS == 1
        raise RuntimeError
    assert before == _route.COSINE_PRODUCT_POINTS


def test_the_command_prints_the_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(crossover, "EFFORT", Effort(rounds=2, block=0.0))
    monkeypatch.setattr(crossover, "TRAILING", (2,))
    measure = partial(crossover.measure, numbers=20_000, points=(4,))
    monkeypatch.setattr(crossover, "measure", measure)
    path = tmp_path / "crossover.json"
    threads = str(torch.get_num_threads())
    assert command.main(["--crossover", "--threads", threads, "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    rows = read(path).crossover
    assert {row["table"] for row in rows} == {*crossover.TRANSFORMS, crossover.LAYOUTS}
    assert all(row["low"] <= row["ratio"] <= row["high"] for row in rows)
    assert printed.count("apply_gain") == 4  # two layouts, two passes


def test_what_was_measured_survives_an_interruption(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(threads: int, device: str, rows: list[dict[str, object]]) -> None:
        rows.append({"table": "dct + idct"})
        raise KeyboardInterrupt

    monkeypatch.setattr(crossover, "measure", stopped)
    path = tmp_path / "crossover.json"
    with pytest.raises(KeyboardInterrupt):
        command.main(["--crossover", "--threads", "1", "--json", str(path)])
    assert read(path).crossover == [{"table": "dct + idct"}]
