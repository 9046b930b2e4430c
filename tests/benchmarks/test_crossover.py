"""The tables of which way is faster: every way runs and computes the same."""

from __future__ import annotations

import pytest
import torch
from tolerances import assert_close

from benchmarks import __main__ as command
from benchmarks import crossover
from benchmarks.timing import Effort
from skelfreq.functional import _route


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("transform", crossover.TRANSFORMS)
def test_both_routes_compute_the_same(transform: str, dim: int, backward: bool) -> None:
    runs = crossover.routes(transform, 30, dim, backward, 60_000)
    product, fft = (runs[name]() for name in ("product", "fft"))
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
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crossover, "EFFORT", Effort(rounds=2, block=0.0))
    monkeypatch.setattr(crossover, "POINTS", (4,))
    monkeypatch.setattr(crossover, "TRAILING", (2,))
    body = crossover.measure(1, numbers=20_000, points=(4,))
    assert all(f"### {name}\n" in body for name in crossover.TRANSFORMS)
    assert f"`FEW_TRAILING` = {_route.FEW_TRAILING}" in body
    monkeypatch.setattr(crossover, "measure", lambda threads: body)
    assert command.main(["--crossover", "--threads", str(torch.get_num_threads())]) == 0
    assert "cores" in capsys.readouterr().out
