"""How times grow with T, N, C and V: curves, and the pictures of ``docs/benchmarks.md``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.case import BACKWARD, Operation, Setting, first
from benchmarks.cases import freq_enhance, spectral_block, transforms
from benchmarks.report import PAGE, machine_line
from benchmarks.results import Report
from benchmarks.timing import Effort, interleaved_medians

PICTURES = PAGE.parent / "images" / "benchmarks"
EFFORT = Effort(rounds=3, block=0.02)
NUMBERS = 2**21
POINTS = tuple(2**k for k in range(3, 14))
BASE = {"N": 8, "C": 32, "T": 64, "V": 25}
AXES = {
    "N": (1, 2, 4, 8, 16, 32, 64, 128),
    "C": (1, 3, 8, 16, 32, 64, 128, 256),
    "V": (1, 2, 5, 13, 17, 20, 25, 50, 133),
}
GREY, COLOURS = "#8a8a8a", ("#0b6fb8", "#d1662f", "#2f8f5b", "#7a4fa3", "#b8860b", "#444444")


def contenders(shape: tuple[int, ...], setting: Setting) -> dict[str, Operation]:
    """Return what is drawn, along T of [N, C, T, V]."""
    round_trip = transforms.build(shape, setting, name="dct", dim=2)
    gains = freq_enhance.build_gain(shape, setting, dim=2)
    block = spectral_block.build(shape, setting)
    return {
        "dct": round_trip.candidate,
        "torch-dct": round_trip.peers[transforms.PEER],
        "apply_gain": gains.candidate,
        "torch-dct · gain": gains.peers[freq_enhance.TORCH_DCT],
        "FreT core": block.candidate,
        "torch.fft block": block.peers[spectral_block.BLOCK],
    }


def shapes() -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Yield axis, its size and the shape: T at a constant number of values, others one by one."""
    for points in POINTS:
        # 25 joints, and as many clips of one channel as the numbers fill.
        yield "T", points, (max(NUMBERS // (25 * points), 1), 1, points, 25)
    for axis, sizes in AXES.items():
        for size in sizes:
            yield axis, size, tuple((BASE | {axis: size}).values())


def measure_all(
    setting: Setting, threads: int, only: Callable[[str, int], bool] = lambda axis, size: True
) -> list[dict[str, Any]]:
    """Return median seconds of forward + backward for every point of every curve."""
    points = []
    for axis, size, shape in shapes():
        if not only(axis, size):
            continue
        runs: dict[str, Callable[[], object]] = {}
        for name, operation in contenders(shape, setting).items():
            upstream = torch.ones_like(first(operation.forward()))
            runs[name] = operation.backward_for(upstream)
        x = setting.normal(*shape)
        runs["copy"] = x.clone
        seconds = interleaved_medians(runs, EFFORT, threads)
        points.append({"axis": axis, "size": size, "shape": list(shape), "seconds": seconds})
        print(f"scaling {axis} = {size}", flush=True)
    return points


def draw(points: list[dict[str, Any]], folder: Path, prefix: str) -> list[str]:
    """Draw one picture for T and one for the other axes; returns their names."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for stem, axes in (("T", ("T",)), ("NCV", ("N", "C", "V"))):
        figure, panels = plt.subplots(
            1, len(axes), figsize=(3.6 * len(axes) + 1.4, 3.8), squeeze=False, dpi=90
        )
        for axis, panel in zip(axes, panels[0], strict=True):
            own = [point for point in points if point["axis"] == axis]
            for index, name in enumerate(own[0]["seconds"] if own else ()):
                colour = GREY if name == "copy" else COLOURS[index % len(COLOURS)]
                sizes = [point["size"] for point in own]
                values = [1e3 * point["seconds"][name] for point in own]
                style = "o-" if name in ("dct", "apply_gain", "FreT core") else "o--"
                panel.plot(sizes, values, style, color=colour, ms=3, lw=1.3, label=name)
            panel.set(xscale="log", yscale="log", xlabel=axis, title=f"Time over {axis}")
            panel.spines[["top", "right"]].set_visible(False)
        panels[0][0].set_ylabel(f"{BACKWARD}, ms")
        # Beside the panels: inside, it would cover a curve.
        panels[0][-1].legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        figure.tight_layout()
        figure.canvas.draw()
        image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
        plt.close(figure)
        names.append(f"{prefix}_{stem}.png")
        palette = image.quantize(128, dither=Image.Dither.NONE)
        palette.save(folder / names[-1], optimize=True)
    return names


def section(reports: list[Report], page: Path = PAGE, folder: Path = PICTURES) -> str:
    """Draw the pictures of the newest CPU and the newest GPU; return their part of the page."""
    base = ", ".join(f"{axis} = {size}" for axis, size in BASE.items())
    parts = [
        "## Scaling",
        f"{BACKWARD} along T, fp32, eager; medians of {EFFORT.rounds} interleaved rounds. "
        f"Over T the tensor keeps about\n{NUMBERS // 2**20} million numbers, [R, 1, T, 25]; "
        f"the other axes vary alone around {base}.\n"
        "Solid lines: this library; dashed lines: peers and a copy.",
    ]
    newest: dict[str, Report] = {}
    for report in sorted(reports, key=lambda report: str(report.machine["date"])):
        if report.scaling:
            newest[report.machine["device"]] = report
    where = folder.relative_to(page.parent)
    for device, report in newest.items():
        names = draw(report.scaling, folder, f"scaling_{device}")
        parts += [f"![times on {device}]({where}/{name})" for name in names]
        parts.append(f"Measured {report.machine['date']} on {machine_line(report.machine)}.")
    return "\n\n".join(parts)
