"""The benchmark suite: every case runs, measurements are right, results can be read again.

What the peers compute: ``test_peers.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import __main__ as command
from benchmarks import crossover, page, scaling
from benchmarks.case import (
    BACKWARD,
    COMPILED,
    EAGER,
    FORWARD,
    Case,
    Limit,
    Operation,
    Setting,
    Target,
    Workload,
)
from benchmarks.cases import CASES
from benchmarks.measure import Plan, measure, product_flop, relative_error
from benchmarks.memory import left_behind_bytes, peak_extra_bytes
from benchmarks.report import comparison, summary
from benchmarks.results import Record, Report, compare, disturbed, machine, processor, read
from benchmarks.timing import Effort, Spread, interleave
from skelfreq import FreqEnhance

SMOKE = Effort(rounds=2, block=0.0)
PRODUCT_POINTS = 16
REPORT_CASES = ("freq_enhance", "ema_update", "tube_masking")


def tiny_plan(dtype: torch.dtype = torch.float32, mode: str = EAGER) -> Plan:
    return Plan(Setting("cpu", dtype), mode, SMOKE, 1, PRODUCT_POINTS)


def tiny(case: Case) -> Case:
    return replace(case, shape=case.tiny)


@pytest.fixture(scope="module")
def report() -> Report:
    chosen = [tiny(case) for case in CASES if case.name in REPORT_CASES]
    records = [record for case in chosen for record in measure(case, tiny_plan())]
    return Report(machine("cpu", 1), records, {"later [1]": "not there yet"})


# Cases


@pytest.mark.parametrize(
    ("case", "dtype"),
    [pytest.param(c, dtype, id=f"{c.label} {dtype}") for c in CASES for dtype in c.dtypes],
)
def test_case_runs_and_agrees_with_its_peer(case: Case, dtype: torch.dtype) -> None:
    if case.missing:
        pytest.skip(case.missing)
    records = measure(tiny(case), tiny_plan(dtype))
    assert [record.pass_ for record in records] == list(case.passes)
    for record in records:
        assert record.ratios.keys() == record.peers.keys() != set()
        numbers = [record.seconds, record.copy_seconds, record.product_seconds]
        numbers += [ratio.spread for ratio in record.ratios.values()]
        assert all(0 < spread.q1 <= spread.median <= spread.q3 for spread in numbers)
        assert record.limit_share is None or record.limit_share > 0
        peers = case.build(case.tiny, Setting("cpu", dtype)).peers
        forward = record.pass_ != BACKWARD
        assert record.peers.keys() == {n for n, p in peers.items() if forward or not p.forward_only}
        if record.error is not None:
            # bf16 rounds an output once, and again every gradient summed in it.
            assert record.error < (4e-6 if dtype == torch.float32 else 0.02)


def test_every_target_names_a_peer_that_is_measured() -> None:
    for case in CASES:
        if not case.missing:
            names = set(case.build(case.tiny, Setting()).peers)
            assert {target.peer for target in case.targets} <= names
            assert {target.mode for target in case.targets} <= set(case.modes)
            assert {target.pass_ for target in case.targets} <= set(case.passes)
    labels = [case.label for case in CASES]
    assert len(set(labels)) == len(labels)


def test_compiled_case_has_a_compiled_peer(fresh_dynamo: None) -> None:
    def build(shape: tuple[int, ...], setting: Setting) -> Workload:
        x = setting.normal(*shape)
        double, sum_ = Operation(lambda x: 2 * x, (x,)), Operation(lambda x: x + x, (x,))
        scipys = Operation(lambda x: x * 2, (x,), compiles=False)
        return Workload(double, {"sum": sum_, "numpy": scipys}, x, reference=sum_)

    case = Case("double", (4,), (4,), build, passes=(FORWARD,))
    plan = replace(tiny_plan(mode=COMPILED), compile_peers=True)
    (record,) = measure(case, plan)
    assert record.mode == COMPILED
    assert list(record.peers) == ["sum", "numpy", "sum, compiled"]
    assert record.error == 0


# Instruments


def test_interleaving_takes_turns_and_rounds() -> None:
    order: list[str] = []
    contenders = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = interleave(contenders, Effort(rounds=4, block=0.0, budget=0.0), threads=1)
    # The budget is used up at once; three rounds are the minimum.
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3, "c": 3}
    calls = 3  # two of them to warm up
    assert "".join(order[-9 * calls :: calls]) == "abcbcacab"


def test_spread_is_median_and_quartiles() -> None:
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0)


def test_peak_memory_counts_temporaries_and_results() -> None:
    x = torch.ones(1000)
    small = 64  # allocations of single numbers

    def chain() -> Tensor:
        return ((x + x) * x).neg()  # two of three tensors alive at a time

    assert abs(peak_extra_bytes(chain, "cpu") - 2 * x.nbytes) <= small

    leaf = torch.ones(1000, requires_grad=True)
    run = Operation(torch.exp, (leaf,)).backward_for(torch.ones(1000))
    # The output, which exp saves, and the gradient.
    assert abs(peak_extra_bytes(run, "cpu") - 2 * x.nbytes) <= small


def test_memory_left_behind_is_what_is_kept() -> None:
    kept: list[Tensor] = []
    left_behind_bytes(lambda: None)
    assert left_behind_bytes(lambda: kept.append(torch.ones(1000) + 1)) == 4000
    assert left_behind_bytes(kept.clear) == -4000


def test_products_of_a_compiled_module_are_counted(fresh_dynamo: None) -> None:
    layer, x = FreqEnhance(16, num_bands=4, split=7), torch.randn(2, 3, 16, 5)
    plain = product_flop(lambda: layer(x))
    layer.compile(backend="eager", fullgraph=True)
    layer(x)
    assert product_flop(lambda: layer(x)) == plain > 0


def test_what_was_measured_survives_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [tiny(case) for case in CASES if case.name in ("ema_update", "tube_masking")]
    done: list[Record] = []

    def stopped(case: Case, plan: Plan) -> list[Record]:
        if done:
            raise KeyboardInterrupt
        done.extend(measure(case, tiny_plan()))
        return done

    monkeypatch.setattr(command, "CASES", chosen)
    monkeypatch.setattr(command, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        command.main(["--json", str(tmp_path / "new.json")])
    assert read(tmp_path / "new.json").records == done


def test_error_is_relative_to_the_largest_value() -> None:
    assert relative_error(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 4.0]).double()) == 0.25


def test_the_limit_is_the_longer_of_copy_and_fft(report: Report) -> None:
    def spread(value: float) -> Spread:
        return Spread(value, value, value)

    record = replace(
        report.records[0], seconds=spread(4.0), copy_seconds=spread(1.0), copy_bytes=100,
        moved_bytes=100, limit="rfft", limit_seconds=spread(2.0),
    )  # fmt: skip
    assert record.limit_share == 0.5
    assert replace(record, limit_seconds=spread(0.5)).limit_share == 0.25
    assert replace(record, limit_seconds=None).limit_share is None  # not timed
    assert replace(record, limit_seconds=None, limit="copy").limit_share == 0.25


def test_the_limit_is_an_fft_and_its_inverse() -> None:
    x = torch.randn(3, 6, 5)
    assert relative_error(Limit.round_trip(x, 1).operation.forward(), x.double()) < 1e-6
    assert Limit.spectrum(x, -1).operation.forward().shape == (3, 6, 3)
    assert Limit.spectrum(x.bfloat16(), -1) is None


def test_forward_and_backward_take_twice_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_second(contenders: Mapping[str, object], *_: object) -> dict[str, list[float]]:
        return {name: [1.0] for name in contenders}

    monkeypatch.setattr("benchmarks.measure.interleave", one_second)
    case = next(case for case in CASES if case.name == "dct")
    by_pass = {record.pass_: record.limit_seconds for record in measure(tiny(case), tiny_plan())}
    assert {name: spread.median for name, spread in by_pass.items()} == {FORWARD: 1, BACKWARD: 2}


def test_processor_without_a_number_gets_family_and_model(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n\nmodel\t: 3\n")
    assert processor(info) == "AMD EPYC (family 26, model 2)"
    info.write_text("cpu family\t: 6\nmodel name\t: Xeon 6254\n")
    assert processor(info) == "Xeon 6254"


def test_shares_come_from_copy_and_product(report: Report) -> None:
    record = replace(
        report.records[0],
        seconds=Spread(2.0, 2.0, 2.0),
        copy_seconds=Spread(1.0, 1.0, 1.0), copy_bytes=100, moved_bytes=50,
        product_seconds=Spread(1.0, 1.0, 1.0), product_flop=1000, flop=500,
    )  # fmt: skip
    assert record.bandwidth_share == 0.25
    assert record.flop_share == 0.25


# Results


def test_json_round_trip(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    report.write(path)
    assert read(path) == report
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]
    data = json.loads(path.read_text())
    assert {"torch", "torch-dct", "python", "skelfreq"} <= data["machine"]["versions"].keys()
    assert {"name", "cores", "threads", "date", "device"} <= data["machine"].keys()


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1}', '{"schema": 2, "records": [{}]}'])
def test_unreadable_results_name_the_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"old\.json: not a result"):
        read(path)


def test_comparison_flags_only_changes_larger_than_noise(report: Report) -> None:
    def timed(record: Record, *seconds: float) -> Record:
        return replace(record, seconds=Spread(*seconds))

    base = replace(report.records[0], other_cores=0.0)
    others = [replace(base, case=f"case {index}") for index in range(4)]
    old = replace(report, records=[timed(record, 1.0, 0.9, 1.1) for record in others[:3]])
    news = [(1.3, 1.2, 1.4), (1.3, 1.0, 1.4), (0.7, 0.6, 0.8), (1.0, 1.0, 1.0)]
    new = replace(
        report, records=[timed(r, *seconds) for r, seconds in zip(others, news, strict=True)]
    )
    busy = replace(new, records=[replace(record, other_cores=1.0) for record in new.records])
    assert [row.split()[-1] for row in comparison(old, busy).splitlines()[1:]] == [
        "busy", "1.30", "busy",
    ]  # fmt: skip
    rows = compare(old, new)  # cases that the old run lacks are not compared
    assert [(round(change, 2), beyond) for _, _, change, beyond in rows] == [
        (1.3, True), (1.3, False), (0.7, True),
    ]  # fmt: skip
    lines = comparison(old, new).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["slower", "1.30", "faster"]
    moved = replace(old, machine={**old.machine, "threads": 64})
    assert "Caution: threads was 64" in comparison(moved, new)


def test_busy_machine_is_noticed(report: Report) -> None:
    quiet = replace(report.records[0], other_cores=0.0, copy_seconds=Spread(1.0, 1.0, 1.0))
    slow = replace(quiet, case="slow", copy_seconds=Spread(3.0, 3.0, 3.0))
    busy = replace(quiet, case="busy", other_cores=1.0)
    assert disturbed([quiet, slow]) == {
        slow.key: "its copy was 3.0× slower than the best of that size"
    }
    assert disturbed([quiet, busy]) == {busy.key: "other processes used 1.0 cores"}


def test_summary_names_what_missed_and_what_did_not_run() -> None:
    x = torch.ones(4)

    def build(shape: tuple[int, ...], setting: Setting) -> Workload:
        fast, slow = (Operation(lambda x, n=n: sum([x] * n), (x,)) for n in (1, 500))
        return Workload(fast, {"slow": slow}, x)

    targets = tuple(Target("slow", EAGER, "forward", ratio) for ratio in (1.5,))
    case = Case("sum", (4,), (4,), build, targets=targets, passes=("forward",))
    never = replace(case, name="never", targets=(Target("slow", EAGER, "forward", math.inf),))
    records = [*measure(case, tiny_plan()), *measure(never, tiny_plan())]
    text = summary(Report(machine("cpu", 1), records, {"x": "reason"}))
    assert text.splitlines() == [
        "1 of 2 targets met.",
        "- missed: never [4], eager forward vs slow",
        "- not run: x: reason",
    ]


# The page


def full_size(report: Report, name: str, **changes: object) -> Report:
    """Return the report of a machine whose small cases count as the real ones."""
    labels = {tiny(case).label: case.label for case in CASES}
    records = [
        replace(record, case=labels.get(record.case, record.case), **changes)
        for record in report.records
    ]
    return replace(report, records=records, machine={**report.machine, "name": name})


def timed(record: Record, ratio: float) -> Record:
    spread = Spread(ratio, ratio, ratio)
    ratios = {name: replace(old, spread=spread) for name, old in record.ratios.items()}
    return replace(record, ratios=ratios)


def written(tmp_path: Path, *reports: Report) -> str:
    for report in reports:
        report.write(tmp_path / "results" / report.file_name)
    file = tmp_path / "benchmarks.md"
    file.write_text("# Benchmarks\n\nWords to keep.\n")
    for _ in range(2):  # the second time in place of the first
        page.write(file, tmp_path / "results", tmp_path / "images")
    return file.read_text()


def test_page_shows_machines_side_by_side(report: Report, tmp_path: Path) -> None:
    one, two = full_size(report, "Maker(R) One CPU @ 2 GHz"), full_size(report, "Maker Two")
    one = replace(one, records=[timed(record, 1e6) for record in one.records])
    two = replace(two, records=[timed(record, 0.5) for record in two.records])
    assert (one.file_name, two.file_name) == ("cpu-maker-one.json", "cpu-maker-two.json")
    text = written(tmp_path, one, two)
    assert text.startswith("# Benchmarks\n\nWords to keep.\n")
    assert text.count("<!-- begin: layers -->") == 1
    first = text.split("<!-- end: layers -->")[0]
    rows = [line for line in first.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 12
    masking = next(line for line in rows if "TubeMasking" in line)
    # A win and a loss in one line, and nothing yet of a GPU.
    assert "| 1000000.00 · " in masking and "| **0.50** · " in masking
    assert "(target missed) | – |" in masking
    assert "The CUDA column is empty" in first
    assert all(record.case in text for record in one.records)
    assert "- not run: later [1]: not there yet" in text
    assert "**0.50** (0.50 to 0.50) missed" in text


def test_page_judges_by_the_targets_of_today(report: Report, tmp_path: Path) -> None:
    old = full_size(report, "Old")
    records = [
        replace(record, ratios={n: replace(r, target=0.1) for n, r in record.ratios.items()})
        for record in (timed(record, 1.9) for record in old.records)
    ]
    text = written(tmp_path, replace(old, records=records))
    assert "- tube_masking [256, 30, 25, 256], eager forward, to argsort + gather: 1.90" in text


def test_page_of_a_gpu_has_no_empty_column(report: Report, tmp_path: Path) -> None:
    gpu = full_size(report, "Some GPU")
    gpu = replace(gpu, machine={**gpu.machine, "device": "cuda"})
    text = written(tmp_path, full_size(report, "Some Chip"), gpu)
    assert gpu.file_name == "cuda-some-gpu.json"
    assert "| Some Chip: ratio · of limit | Some GPU: ratio · of limit | memory |" in text
    assert "CUDA column" not in text


def test_results_of_one_machine_are_joined(report: Report, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("layers.json", "crossover.json", "other.json")]
    rows = [{"table": "dct + idct"}]
    report.write(paths[0])
    replace(report, records=[], skipped={}, crossover=rows).write(paths[1])
    joined = read(page.add(paths[:2], tmp_path / "results"))
    assert joined == replace(report, crossover=rows)
    full_size(report, "Another").write(paths[2])
    with pytest.raises(ValueError, match=r"other\.json: results of another machine"):
        page.add(paths, tmp_path / "results")


def test_every_line_of_the_first_table_has_a_target() -> None:
    assert len(page.LINES) == 12
    for line in page.LINES:
        cases = line.cases()
        assert cases
        for case in cases:
            assert line.peer in case.build(case.tiny, Setting()).peers


def test_crossovers_of_machines_stand_side_by_side(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossover, "EFFORT", Effort(rounds=2, block=0.0))
    ways = crossover.routes("dct + idct", 4, -1, False, 100)
    rows = [crossover.row(ways, 1, "dct + idct", "last axis", "forward", n) for n in ("4", "8")]
    one = replace(full_size(report, "One"), crossover=rows)
    two = replace(full_size(report, "Two"), crossover=rows[1:])
    text = written(tmp_path, one, two)
    lines = [line for line in text.splitlines() if line.startswith("| last axis | forward |")]
    assert [line.count("–") for line in lines] == [4, 0]
    assert "<b>dct + idct</b>: COSINE_PRODUCT_POINTS = " in text


def test_stored_results_can_be_read() -> None:
    reports = page.read_all()
    assert reports
    for report in reports:
        assert (page.RESULTS / report.file_name).is_file()


def test_scaling_is_measured_and_drawn(report: Report, tmp_path: Path) -> None:
    points = scaling.measure_all(Setting(), 1, only=lambda axis, size: axis != "T" and size == 1)
    points += [{**points[0], "axis": "T", "size": 8}]
    assert {point["axis"] for point in points} == {"N", "C", "T", "V"}
    text = written(tmp_path, replace(report, scaling=points))
    drawn = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert drawn == ["scaling_cpu_NCV.png", "scaling_cpu_T.png"]
    assert all(f"](images/{name})" in text for name in drawn)


# Command line


def test_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cases = [tiny(case) for case in CASES if case.name in ("ema_update", "global_filter")]
    monkeypatch.setattr(command, "CASES", cases)
    path = str(tmp_path / "new.json")
    assert command.main(["--only", "ema_update", "--threads", "1", "--json", path]) == 0
    assert command.main(["--only", "ema_update", "--threads", "1", "--compare", path]) == 0
    printed = capsys.readouterr().out
    assert "targets met" in printed
    assert "new / old" in printed
    assert {record.pass_ for record in read(Path(path)).records} == {"call"}
    assert command.main(["--only", "ema_update", "--seconds", "1e-9", "--json", path]) == 0
    late = read(Path(path))
    assert not late.records and len(late.skipped) == 2
    assert "not run: ema_update" in capsys.readouterr().out
    assert command.main(["--compare", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags", [["--only", "nothing"], ["--full", "--write-docs", "--only", "dct"]]
)
def test_command_line_errors(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(flags)
    assert stop.value.code == 2
    assert capsys.readouterr().err
