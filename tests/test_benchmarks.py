"""The benchmark suite: its peers compute what they are named after, every case runs, files last."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor

from benchmarks import __main__ as command
from benchmarks import peers, scaling
from benchmarks.case import COMPILED, EAGER, Case, Operation, Setting, Target, Workload
from benchmarks.cases import CASES
from benchmarks.mamp import MampShaped
from benchmarks.measure import Plan, measure, relative_error
from benchmarks.memory import peak_extra_bytes
from benchmarks.report import comparison, summary, write_results
from benchmarks.results import Record, Report, compare, disturbed, machine, read
from benchmarks.timing import Effort, Spread, interleave
from tests.conftest import load_golden, normal
from tests.tolerances import GOLDEN, TOLERANCE, assert_close

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


# Peers


@pytest.mark.parametrize("dim", [-1, 1])
def test_torch_dct_peers_equal_scipy(dim: int) -> None:
    x, gain = normal(3, 7, 5), normal(5 if dim == -1 else 7, seed=1)
    spectrum = scipy.fft.dct(x.numpy(), axis=dim, norm="ortho")
    scaled = np.moveaxis(np.moveaxis(spectrum, dim, -1) * gain.numpy(), -1, dim)
    assert_close(peers.torch_dct_forward(x, dim), spectrum)
    assert_close(peers.torch_dct_inverse(x, dim), scipy.fft.idct(x.numpy(), axis=dim, norm="ortho"))
    enhanced = peers.torch_dct_gain(x, gain, dim)
    assert_close(enhanced, scipy.fft.idct(scaled, axis=dim, norm="ortho"))
    assert enhanced.is_contiguous()


@pytest.mark.parametrize(("n", "bands", "split", "divisor"), [(256, 30, 35, 1), (20, 30, 9, 2)])
def test_band_loop_equals_the_formula(n: int, bands: int, split: int, divisor: int) -> None:
    x, weights = normal(3, n), 1 + 0.1 * normal(bands, seed=1)
    strength = 0.3
    gains = np.ones(n)
    for k in range(n - 1):
        band = max(i for i in range(bands) if i * (n - 1) // bands <= k)
        fade = 1 - band / bands
        if (band + 1) * (n - 1) // bands > split:
            fade = -(1 - (band - bands // divisor) / bands)
        gains[k] += float(weights[band]) * strength * fade
    settings = [torch.tensor(float(value)) for value in (bands, split, divisor)]
    actual = peers.fs_vae_band_loop(x, weights, torch.tensor(strength).double(), *settings)
    spectrum = scipy.fft.dct(x.numpy(), norm="ortho") * gains
    # The edges are truncated fp32 numbers there; at these lengths they are the exact ones.
    assert_close(actual, scipy.fft.idct(spectrum, norm="ortho"), 1e-7)


@pytest.mark.parametrize("points", [8, 9])
def test_spectral_block_equals_numpy(points: int) -> None:
    x, (weight, high) = normal(3, points, 4), (normal(4, 2, seed=s) for s in (1, 2))
    threshold = 0.9
    spectrum = np.fft.rfft(x.numpy(), axis=1, norm="ortho")
    energy = (np.abs(spectrum) ** 2).sum(-1)
    lower_median = np.sort(energy, axis=1)[:, [(energy.shape[1] - 1) // 2]]
    mask = energy / (lower_median + 1e-6) > threshold
    assert 0 < mask.mean() < 1
    plain, masked = (w.numpy()[:, 0] + 1j * w.numpy()[:, 1] for w in (weight, high))
    filtered = spectrum * plain + mask[:, :, None] * spectrum * masked
    expected = np.fft.irfft(filtered, n=points, axis=1, norm="ortho")
    limit = torch.full((1,), threshold, dtype=torch.float64)
    assert_close(peers.adaptive_spectral_block(x, weight, high, limit), expected)
    # The same rows as [N, C, T, V]: three joints of one person.
    wide = x.permute(2, 1, 0).unsqueeze(0)
    actual = peers.adaptive_spectral_block_nctv(wide, weight, high, limit)
    assert_close(actual, expected.transpose(2, 1, 0)[None])


def test_global_filter_equals_numpy() -> None:
    x, weight = normal(2, 3, 5, 4), normal(3, 3, 4, 2, seed=1)
    spectrum = np.fft.rfft2(x.numpy(), axes=(1, 2), norm="ortho")
    filtered = spectrum * (weight.numpy()[..., 0] + 1j * weight.numpy()[..., 1])
    expected = np.fft.irfft2(filtered, s=(3, 5), axes=(1, 2), norm="ortho")
    assert_close(peers.global_filter(x, weight), expected)


def test_ema_loop_equals_the_formula() -> None:
    target, online = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = [value.clone() for value in target.parameters()]
    expected = [0.9 * a + 0.1 * b for a, b in zip(before, online.parameters(), strict=True)]
    peers.ema_loop(target, online, 0.9)
    for actual, value in zip(target.parameters(), expected, strict=True):
        assert_close(actual, value)


def test_argsort_masking_keeps_the_lowest_scores() -> None:
    tokens, noise = normal(3, 10, 2), torch.rand(3, 10, generator=torch.Generator().manual_seed(0))
    visible, mask, restore = peers.argsort_masking(tokens, 4, noise)
    for row in range(3):
        kept = noise[row].argsort()[:4]
        assert torch.equal(visible[row], tokens[row, kept])
        assert set(torch.nonzero(mask[row] == 0).flatten().tolist()) == set(kept.tolist())
        # Where a token went: the first ranks are the visible ones.
        assert torch.equal(restore[row, kept], torch.arange(4))


@pytest.mark.parametrize("fused", [False, True])
def test_masked_autoencoder_equals_mamp(golden_path: Path, fused: bool) -> None:
    golden = load_golden(golden_path / "mamp_forward_T20V20_tau0_raw.npz")
    config = dict(zip(golden["config_names"].tolist(), golden["config"].tolist(), strict=True))
    network = MampShaped(
        config["T"], config["V"], config["t_patch"], config["dim"], config["dec_dim"],
        config["depth"], config["dec_depth"], config["heads"], float(golden["mask_ratio"]),
        config["stride"], fused,
    ).double()  # fmt: skip

    def renamed(prefix: str) -> dict[str, Tensor]:
        names = {"joints_embed.proj": "embed", "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.2"}
        found = {}
        for key, value in golden.items():
            if key.startswith(prefix):
                name = key.removeprefix(prefix)
                for old, new in names.items():
                    name = name.replace(old, new)
                found[name] = torch.from_numpy(value).double()
        return found

    network.load_state_dict(renamed("sd/"))
    clip = torch.from_numpy(golden["x"]).permute(0, 4, 1, 2, 3).flatten(0, 1)
    noise = torch.from_numpy(golden["uniform_noise"])
    prediction, mask = network.predict(clip, noise)
    assert_close(mask, golden["mask"])
    assert_close(prediction, golden["pred"], GOLDEN)
    assert_close(network.patches(clip), golden["target"], GOLDEN)
    loss = network(clip, noise, norm=False)
    assert_close(loss, golden["loss"], GOLDEN)
    loss.backward()
    expected = renamed("grad/")
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert_close(parameter.grad, expected[name].reshape(parameter.shape), 1e-9)


# Cases


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
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
    case = next(case for case in CASES if case.label.startswith("freq_enhance [4096"))
    plan = replace(tiny_plan(mode=COMPILED), compile_peers=True)
    for record in measure(tiny(case), plan):
        assert [name for name in record.peers if name.endswith(", compiled")]
        assert record.error is not None
        assert record.error < TOLERANCE[torch.float32]


# Instruments


def test_interleaving_takes_turns_and_rounds() -> None:
    order: list[str] = []
    contenders = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = interleave(contenders, Effort(rounds=4, block=0.0, budget=0.0), threads=1)
    # The budget is spent at once, and three rounds are the least.
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
    # The output, which exp keeps, and the gradient.
    assert abs(peak_extra_bytes(run, "cpu") - 2 * x.nbytes) <= small


def test_error_is_relative_to_the_largest_value() -> None:
    assert relative_error(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 4.0]).double()) == 0.25


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


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 0}', '{"schema": 1, "records": [{}]}'])
def test_unreadable_results_name_the_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"old\.json: not a result"):
        read(path)


def test_comparison_flags_only_what_is_beyond_noise(report: Report) -> None:
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
    rows = compare(old, new)  # what the old run did not have is left out
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


def test_page_is_written_between_marks(report: Report, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n\nWords to keep.\n")
    for _ in range(2):
        write_results(report, "the command", page)
    text = page.read_text()
    assert text.startswith("# Benchmarks\n\nWords to keep.\n")
    assert text.count("<!-- begin: layers_cpu -->") == 1
    assert all(record.case in text for record in report.records)


def test_scaling_is_measured_and_drawn(report: Report, tmp_path: Path) -> None:
    points = scaling.measure_all(Setting(), 1, only=lambda axis, size: axis != "T" and size == 1)
    points += [{**points[0], "axis": "T", "size": 8}]
    assert {point["axis"] for point in points} == {"N", "C", "T", "V"}
    page, folder = tmp_path / "benchmarks.md", tmp_path / "images"
    scaling.write(replace(report, scaling=points), "the command", page, folder)
    drawn = sorted(path.name for path in folder.iterdir())
    assert drawn == ["scaling_cpu_NCV.png", "scaling_cpu_T.png"]
    assert all(f"](images/{name})" in page.read_text() for name in drawn)


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
    assert command.main(["--compare", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags", [["--only", "nothing"], ["--write-docs"], ["--full", "--write-docs", "--only", "dct"]]
)
def test_command_line_refuses(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(flags)
    assert stop.value.code == 2
    assert capsys.readouterr().err
