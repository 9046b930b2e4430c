"""``python -m benchmarks.processes``: FD-MAE with one process and with two (docs/scaling.md)."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from examples.common.plots import BLUE, ORANGE, legend, panels, save
from examples.common.runs import Cell
from examples.common.scale import Scale, launched
from examples.fd_mae.config import PRESETS
from examples.fd_mae.train import Pretraining

BATCHES = (8, 16, 32, 64, 128)  # clips of a global batch
STEPS, WARM = 12, 3
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "results" / "processes.png"


def measure(batch: int) -> float:
    """Return clips per second, from the median time of a step."""
    config = replace(PRESETS["small"], epochs=1, batch_size=batch)
    clips = torch.randn(batch * (STEPS + WARM), 3, 64, 25)
    run = Pretraining(config, clips, Cell(scale=Scale(**launched(1)), quiet=True))
    times: list[float] = []
    update = run.update

    def timed(learning_rate: float) -> None:
        update(learning_rate)
        times.append(time.perf_counter())

    run.update = timed  # type: ignore[method-assign]
    run.run()
    steps = torch.tensor(times[WARM:], dtype=torch.float64).diff()
    return batch / float(steps.median())


def main(argv: list[str] | None = None) -> None:
    """Measure, print the table, draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.worker is not None:
        found = {batch: measure(batch) for batch in args.batches}
        if Scale(**launched(1)).rank == 0:
            args.worker.write_text(json.dumps(found))
        return
    curves: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in args.processes:
            result = Path(folder) / f"{count}.json"
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
            command += [f"--nproc-per-node={count}", "-m", "benchmarks.processes"]
            command += ["--worker", str(result), "--batches", *map(str, args.batches)]
            subprocess.run(command, check=True, capture_output=True)
            curves[count] = json.loads(result.read_text())
    print("| clips of a batch | " + " | ".join(f"{c} processes" for c in curves) + " |")
    print("|---" * (len(curves) + 1) + "|")
    for batch in map(str, args.batches):
        print(f"| {batch} | " + " | ".join(f"{c[batch]:.0f}" for c in curves.values()) + " |")
    figure, (axis,) = panels()
    for (count, curve), colour in zip(curves.items(), (BLUE, ORANGE), strict=False):
        x = [int(batch) for batch in curve]
        axis.plot(x, list(curve.values()), marker="o", color=colour, label=f"{count} processes")
    axis.set(title="FD-MAE, preset small, a thread each", xlabel="clips of a batch", xscale="log")
    axis.set(ylabel="clips per second", ylim=(0, None), xticks=x, xticklabels=x)
    axis.minorticks_off()
    legend(axis)
    save(figure, args.picture)


if __name__ == "__main__":
    main()
