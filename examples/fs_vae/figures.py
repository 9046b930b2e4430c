"""The pictures of a run; each function draws one and writes one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from examples.common.plots import BLUE, ORANGE, legend, panels, save, spread


def draw_confusion(title: str, result: Mapping[str, Any], path: Path) -> None:
    """Zero-shot decisions among the unseen classes: rows are true, columns chosen classes."""
    classes, names = list(result["unseen"]), result["names"]
    counts = torch.zeros(len(classes), len(classes))
    for true, chosen in zip(result["target"], result["pred"], strict=True):
        counts[classes.index(true), classes.index(chosen)] += 1
    share = counts / counts.sum(1, keepdim=True).clamp(min=1)
    size = 3.6 + 0.7 * len(names)
    figure, (axis,) = panels(size=(size + 1.2, size))
    image = axis.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row, col in torch.cartesian_prod(*[torch.arange(len(names))] * 2).tolist():
        colour = "white" if share[row, col] > 0.5 else "black"
        axis.text(col, row, f"{int(counts[row, col])}", ha="center", va="center", color=colour)
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(names)), names)
    accuracy, chance = result["scores"]["zero-shot"], 1 / len(names)
    axis.set_title(f"{title}: zero-shot {accuracy:.1%}\n(chance {chance:.1%})")
    axis.set(xlabel="chosen class", ylabel="true class")
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
    save(figure, path)


def draw_sweep(curves: Mapping[str, Mapping[float, Sequence[Any]]], path: Path) -> None:
    """Zero-shot accuracy and H against each setting: mean and standard error over the runs."""
    figure, axes = panels(columns=len(curves))
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        for metric, label, colour, dash in (
            ("zero-shot", "zero-shot accuracy", BLUE, "-"),
            ("harmonic", "H (gating)", ORANGE, "--"),
        ):
            runs = 100 * torch.tensor([[scores[metric] for scores in curve[v]] for v in curve]).mT
            spread(axis, range(len(curve)), runs, True, color=colour, linestyle=dash, label=label)
        axis.set_xticks(range(len(curve)), [f"{value:g}" for value in curve])
        axis.set(title=f"Sensitivity to {name}", xlabel=name, ylabel="per cent")
        legend(axis)
    save(figure, path)
