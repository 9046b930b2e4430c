"""The pictures of a run; each function draws one and writes one PNG."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

from examples.fs_vae.pipeline import Result

BLUE, ORANGE = "#0b6fb8", "#d1662f"


def draw_confusion(result: Result, class_names: tuple[str, ...], path: Path) -> None:
    """Zero-shot decisions among the unseen classes: rows are true, columns chosen classes."""
    column = {c: i for i, c in enumerate(result.unseen)}
    counts = torch.zeros(len(column), len(column))
    for true, chosen in zip(result.target.tolist(), result.pred.tolist(), strict=True):
        counts[column[true], column[chosen]] += 1
    share = counts / counts.sum(1, keepdim=True).clamp(min=1)
    names = [class_names[c] for c in result.unseen]
    size = 3.2 + 0.55 * len(names)
    figure, axis = plt.subplots(figsize=(size + 0.8, size), layout="constrained")
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(names)):
        for col in range(len(names)):
            axis.text(
                col,
                row,
                f"{int(counts[row, col])}",
                ha="center",
                va="center",
                color="white" if share[row, col] > 0.5 else "black",
            )
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(names)), names)
    accuracy = result.metrics["zero-shot"]
    axis.set(
        title=f"Unseen classes, zero-shot accuracy {accuracy:.1%}\n(chance {1 / len(names):.1%})",
        xlabel="chosen class",
        ylabel="true class",
    )
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
    _save(figure, path)


def draw_sweep(curves: dict[str, dict[float, list[dict[str, float]]]], path: Path) -> None:
    """Zero-shot accuracy and H against each setting: mean and standard error over the runs."""
    figure, axes = plt.subplots(
        1, len(curves), figsize=(4.4 * len(curves), 3.6), layout="constrained", squeeze=False
    )
    for axis, (name, curve) in zip(axes[0], curves.items(), strict=True):
        values = sorted(curve)
        for metric, colour in (("zero-shot", BLUE), ("harmonic", ORANGE)):
            runs = torch.tensor([[100 * run[metric] for run in curve[v]] for v in values])
            error = runs.std(1) / runs.shape[1] ** 0.5 if runs.shape[1] > 1 else 0 * runs[:, 0]
            label = {"zero-shot": "zero-shot accuracy", "harmonic": "H (gating)"}[metric]
            axis.errorbar(
                range(len(values)),
                runs.mean(1),
                error,
                marker="o",
                capsize=3,
                color=colour,
                label=label,
            )
        axis.set_xticks(range(len(values)), [f"{v:g}" for v in values])
        axis.set(title=f"Sensitivity to {name}", xlabel=name, ylabel="per cent")
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=8)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, dpi=130)
    plt.close(figure)
