"""What the pictures share: colours, sizes that stay legible at half the width, saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREY, GREEN, VIOLET = "#0b6fb8", "#d1662f", "#777777", "#2f8f5b", "#7a4fa3"
CYCLE = (BLUE, ORANGE, GREEN, VIOLET, GREY)
DASHES = ("-", "--", "-.", ":", (0, (1, 3)))
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
    """Draw curves so that one on top of another hides nothing: wide ones below dashed ones."""
    for number, (name, values) in enumerate(curves.items()):
        colour, dash = CYCLE[number % len(CYCLE)], DASHES[number % len(DASHES)]
        width = 2.0 + 1.2 * (len(curves) - 1 - number)
        steps = range(1, len(values) + 1) if x is None else x
        axis.plot(steps, values, label=name, color=colour, linestyle=dash, linewidth=width)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend()


def save(figure: Figure, path: Path) -> None:
    """Write a PNG and close the figure."""
    figure.savefig(path, dpi=110)
    plt.close(figure)
