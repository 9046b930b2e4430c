"""What the pictures share: colours, sizes that stay legible at half the width, saving."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from examples.common.runs import write

BLUE, ORANGE, GREY, GREEN, BLACK = "#0b6fb8", "#d1662f", "#777777", "#2f8f5b", "#222222"
CYCLE, DASHES = (BLUE, ORANGE, GREEN, BLACK), ("-", "--", "-.", ":")
STYLE = {"font.size": 13, "axes.titlesize": 14, "legend.fontsize": 11, "lines.linewidth": 2.0}


def panels(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (6, 4.2), **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels of ``size`` inches, and its axes in reading order."""
    plt.rcParams.update(STYLE)
    options |= {"figsize": (columns * size[0], rows * size[1]), "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def lines(
    axis: Axes, curves: Mapping[str, Sequence[float]], x: Sequence[float] | None = None
) -> None:
    """Draw curves so that one on top of another hides nothing: wide ones below dashed ones.

    A shorter curve takes the first values of ``x``.
    """
    for number, (name, values) in enumerate(curves.items()):
        style = {"color": CYCLE[number % 4], "linestyle": DASHES[number % 4]}
        style |= {"marker": "o"} if len(values) < 10 else {}
        steps = range(1, len(values) + 1) if x is None else x[: len(values)]
        axis.plot(steps, values, label=name, linewidth=2 + len(curves) - number, **style)
    if x is None or all(float(step).is_integer() for step in x):
        axis.xaxis.get_major_locator().set_params(integer=True)
    if len(curves) > 1:
        legend(axis)


def spread(axis: Axes, x: Sequence[float], runs: Tensor, error: bool = False, **style: Any) -> None:
    """Draw the mean of runs [runs, points] with their standard deviation, or standard error."""
    deviation = runs.std(0, correction=min(1, len(runs) - 1)) / (len(runs) ** 0.5 if error else 1)
    mean = runs.mean(0).numpy()
    axis.errorbar(x, mean, deviation.numpy(), marker="o", capsize=4, **style)


def legend(axis: Axes) -> None:
    """Put the legend below the axes, where it covers nothing."""
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all, and close the figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    write(path, buffer.getbuffer())
