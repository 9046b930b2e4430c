"""The command line of all examples: signals, failures, studies, what a run shows."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from text_encoders import Counting

from examples.common import plots, report
from examples.common.settings import Settings, from_dict
from examples.common.tables import markdown, mean_and_spread
from examples.common.training import one_cycle
from examples.fd_mae import experiment as fd_mae
from examples.fd_mae.__main__ import main
from examples.fs_vae import config as fs_vae
from examples.fs_vae import experiment as fs_vae_experiment
from examples.fs_vae.__main__ import main as fs_vae_main
from examples.mica import config as mica
from examples.mica import experiment as mica_experiment
from examples.mica import noise, robustness
from examples.mica.__main__ import main as mica_main
from examples.soak import differing

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "--frames", "8", "--width", "16", "--depth", "1", "--heads", "2", "--decoder-width", "16",
    "--ssfrm-width", "8", "--cutoff", "3", "--tube-length", "1", "--batch-size", "120",
    "--warmup-epochs", "0",
]  # fmt: skip
EXPERIMENTS = {
    "fd_mae": fd_mae.EXPERIMENT,
    "fs_vae": fs_vae_experiment.EXPERIMENT,
    "mica": mica_experiment.EXPERIMENT,
    "mica.robustness": noise.EXPERIMENT,
}
COMMANDS = {
    "fd_mae": main, "fs_vae": fs_vae_main, "mica": mica_main, "mica.robustness": robustness.main,
}  # fmt: skip


def only(path: Path) -> Path:
    (folder,) = path.iterdir()
    return folder


# --- Signals and failures -----------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["fd_mae", "fs_vae", "mica"])
def test_a_signal_in_the_first_moments_is_a_line(name: str, number: int, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", f"examples.{name}", "--out", str(tmp_path)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        status = Path(f"/proc/{process.pid}/status")
        # Python itself catches SIGINT; only the command catches SIGTERM.
        while not int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16) & 1 << 14:
            time.sleep(0.005)
        loaded = Path(f"/proc/{process.pid}/maps").read_text()
        process.send_signal(number)
        error = process.communicate(timeout=60)[1]
    assert "libtorch" not in loaded  # the handlers came first
    assert process.returncode == 128 + number
    assert error.strip() == (f"{name}: stopped. Nothing was written: give the same command again.")
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_names_step_and_term(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*TINY, "--rows", "fd-mae", "--epochs", "30", "--save-every", "0"]
    assert main([*flags, "--lr", "1e30", "--out", str(tmp_path)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert re.search(
        r"fd_mae: (\w+|gradient norm|weight \S+) is (nan|inf) in step \d+ \(epoch", line
    )
    assert "start a new one with a smaller learning rate" in line and "Continue" not in line
    state = torch.load(only(tmp_path) / "fd-mae" / "seed0" / "pretraining.pt", weights_only=True)
    assert all(v.isfinite().all() for v in state["parts"]["networks"].values())
    # The same run goes on with the last good step, and fails there again.
    assert main(["--resume", str(only(tmp_path))]) == 2


@pytest.mark.parametrize("name", ["fs_vae", "mica"])
def test_other_trainings_name_the_term_as_well(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("examples.text.encoding.minilm", Counting())
    monkeypatch.setenv("SKELFREQ_CACHE", str(tmp_path / "cache"))
    flags = {
        "fs_vae": ["--frames", "16", "--encoder-epochs", "1", "--lr", "1e38"],
        "mica": ["--frames", "8", "--widths", "4", "--rows", "mica", "--lr", "1e38"],
    }
    assert COMMANDS[name]([*flags[name], "--out", str(tmp_path / "runs")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert re.search(rf"{name}: .+ is (nan|inf|-inf) in step \d+ \(epoch \d+\) of ", line)


@pytest.mark.parametrize("name", COMMANDS)
def test_missing_data_is_a_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    assert COMMANDS[name](["--data", "nowhere.npz", "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert f"{name}" in message and "nowhere.npz: no such file" in message
    assert message.count("\n") == 1 and not out.exists()


# --- Studies ------------------------------------------------------------------------------------


def test_a_study_runs_in_parallel_what_one_process_runs_alone(tmp_path: Path) -> None:
    flags = [*TINY, "--epochs", "1", "--rows", "untrained", "fd-mae", "--seeds", "0", "1"]
    assert main([*flags, "--out", str(tmp_path / "one")]) == 0
    assert main([*flags, "--workers", "2", "--out", str(tmp_path / "two")]) == 0
    folders = [only(tmp_path / name) for name in ("one", "two")]
    assert differing(*folders) == []
    table = json.loads((folders[0] / "table.json").read_text())
    found = [
        json.loads((folders[0] / "fd-mae" / f"seed{n}" / "result.json").read_text())["scores"]
        for n in (0, 1)
    ]
    expected = mean_and_spread([scores["linear probe"] for scores in found])
    assert table["FD-MAE"]["linear probe"] == list(expected)
    assert found[0] != found[1]


def test_a_worker_that_fails_ends_the_study(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = [*TINY, "--epochs", "9", "--rows", "fd-mae", "--seeds", "0", "1", "--lr", "1e30"]
    assert main([*flags, "--workers", "2", "--out", str(tmp_path)]) == 2
    error = capfd.readouterr().err
    assert "fd_mae: a worker ended with status 2" in error and "Traceback" not in error
    assert re.search(r" is (nan|inf) in step \d+", error)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_rows_and_presets_are_valid(name: str) -> None:
    experiment = EXPERIMENTS[name]
    assert set(experiment.default_rows) | set(experiment.study_rows) <= set(experiment.rows)
    titles = [row.title for row in experiment.rows.values()]
    assert len(set(titles)) == len(titles)
    for preset, settings in experiment.presets.items():
        assert (
            from_dict(experiment.settings, json.loads(json.dumps(settings.to_dict()))) == settings
        )
        changes = experiment.study.get(preset, {})
        for row, (_, own) in experiment.rows.items():
            assert re.fullmatch(r"[\w.+-]+", row)
            needed = {"weights": "nwucla"} if "shipped" in own else {}
            from_dict(experiment.settings, settings.to_dict() | changes | needed | dict(own))


@pytest.mark.parametrize(
    ("config", "settings", "words"),
    [
        (fs_vae.Config, {"encoder_batch": 0}, "encoder_batch must be at least 1, got 0"),
        (fs_vae.Config, {"sensitivity": -1.0}, "sensitivity must be above 0"),
        (fs_vae.Config, {"lr": float("nan")}, "lr must be above 0, got nan"),
        (fs_vae.Config, {"kl_start": 0.7}, "kl_start must lie between 0 and kl_end=0.6, got 0.7"),
        (fs_vae.Config, {"last": "x"}, "last must be one of include, released, got 'x'"),
        (fs_vae.Config, {"levels": ("label", "label")}, "levels must be named once each"),
        (mica.Config, {"widths": ()}, "widths must end in a multiple of 4"),
        (mica.Config, {"widths": (6, 10)}, "widths must end in a multiple of 4"),
        (mica.Config, {"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        (mica.Config, {"momentum": 1.5}, "momentum must lie between 0 and 1, got 1.5"),
        (mica.Config, {"lr": "1"}, "lr must be a number, got '1'"),
        (mica.Config, {"epochs": True}, "epochs must be a whole number, got True"),
        (Settings, {"compile": 1}, "compile must be true or false, got 1"),
    ],
)
def test_settings_are_checked(config: type, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        config(**settings)


def test_numbers_of_json_become_those_of_the_settings() -> None:
    config = from_dict(mica.Config, {"lr": 1, "widths": [4, 8]})
    assert type(config.lr) is float and config.widths == (4, 8)


# --- What a run shows ---------------------------------------------------------------------------


class Links(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_report_holds_everything_on_one_page(tmp_path: Path) -> None:
    assert main([*TINY, "--epochs", "3", "--rows", "plain", "--out", str(tmp_path)]) == 0
    folder = only(tmp_path)
    page = (folder / "report.html").read_text()
    links = Links()
    links.feed(page)
    pictures = list((folder / "figures").glob("*.png"))
    assert len(links.sources) == len(pictures) >= 3
    assert all(source.startswith("data:image/png;base64,") for source in links.sources)
    assert "plain masked auto-encoder" in page and "linear probe" in page
    assert "&quot;epochs&quot;: 3" in page and "&quot;torch&quot;" in page


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="needs the extra 'tensorboard'"
)
def test_losses_reach_tensorboard(tmp_path: Path) -> None:
    flags = [*TINY, "--epochs", "3", "--rows", "plain", "--tensorboard", "--save-every", "0"]
    assert main([*flags, "--out", str(tmp_path)]) == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cell = only(tmp_path) / "plain" / "seed0"
    events = EventAccumulator(str(cell / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("pretraining/motion")] == [1, 2, 3]  # each one once
    shown = {e.step: e.value for e in events.Scalars("pretraining/motion")}
    lines = [json.loads(line) for line in (cell / "pretraining.jsonl").read_text().splitlines()]
    assert shown == {line["epoch"]: pytest.approx(line["motion"]) for line in lines}
    assert len(shown) == 3


def test_the_losses_of_two_epochs_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(report, "save", lambda figure, path: drawn.append(figure))
    entries = ({"epoch": n, "total": 3.0 / n, "kept": 1.5} for n in (1, 2))
    cell = tmp_path / "row" / "seed0"
    cell.mkdir(parents=True)
    (tmp_path / "figures").mkdir()
    (cell / "x.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    report.write_report(tmp_path, "x", {"a": {"b": 0.5}}, {}, [cell])
    (figure,) = drawn
    for axis, values in zip(figure.axes, ([3.0, 1.5], [1.5, 1.5]), strict=True):
        low, high = axis.get_ylim()
        assert low < min(values) and max(values) < high and high - low > 1e-3
        assert axis.get_ylabel() and len(axis.lines[0].get_xdata()) == 2


def test_curves_that_lie_on_another_both_show() -> None:
    _, (axis,) = plots.panels()
    plots.lines(axis, {"a": [0.0, 1.0], "b": [0.0, 1.0]}, [0.25, 0.75])
    first, second = axis.lines
    assert first.get_linewidth() > second.get_linewidth()
    assert first.get_linestyle() != second.get_linestyle()


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    figure, _ = plots.panels()
    plots.save(figure, tmp_path / "x.png")
    whole = (tmp_path / "x.png").read_bytes()
    figure, (axis,) = plots.panels()
    axis.set_title(r"$\frac$")  # cannot be drawn
    with pytest.raises(ValueError):
        plots.save(figure, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_markdown_has_gaps_where_rows_have_no_such_column() -> None:
    table = {"a": {"x": 0.5, "y": (50.0, 2.0)}, "b": {"x": 0.25}}
    assert markdown(table).splitlines() == [
        "| | x | y |", "|---|---|---|", "| a | 50.0 | 50.0 ± 2.0 |", "| b | 25.0 | – |",
    ]  # fmt: skip
    assert mean_and_spread([0.4, 0.6]) == (50.0, 14.1)
    assert mean_and_spread([0.4, 0.6], "error") == (50.0, 10.0)
    assert mean_and_spread([0.4]) == (40.0, 0.0)


@pytest.mark.parametrize("total", [2, 7, 100])
def test_one_cycle_is_that_of_torch(total: int) -> None:
    optimizers = [torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=1.0) for _ in range(2)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizers[0], 0.02, total_steps=total + 1)
    for step in range(total):
        one_cycle(optimizers[1], step, total + 1, 0.02)
        expected, found = (optimizer.param_groups[0] for optimizer in optimizers)
        assert found["lr"] == expected["lr"] and found["betas"] == expected["betas"]
        optimizers[0].step()
        schedule.step()
    assert math.isclose(found["lr"], optimizers[1].param_groups[0]["lr"])
