"""The pictures of a run; each function draws one and writes one PNG."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from examples.data.task import Labelled
from examples.mica.encoder import Encoder
from examples.mica.train import MICA
from skelfreq import FreS, FreST, FreT
from skelfreq.functional import rdft

BLUE, ORANGE, GREY = "#0b6fb8", "#d1662f", "#777777"


def filters_of(encoder: Encoder) -> dict[str, FreS | FreT]:
    """Return the spectral blocks of the encoder by name."""
    found: dict[str, FreS | FreT] = {}
    for number, block in enumerate(encoder.blocks, 1):
        layer = block.spectral
        parts = (layer.fres, layer.fret) if isinstance(layer, FreST) else (layer,)
        for part in parts:
            if isinstance(part, (FreS, FreT)):
                found[f"block {number} {type(part).__name__}"] = part
    return found


@torch.no_grad()
def responses(encoder: Encoder, clips: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return per block the gain of every frequency, and the share of kept frequencies per clip.

    The gain is measured: amplitude behind the block over amplitude in front of it, mean over
    clips, channels and the axis that is not transformed.
    """
    gains: dict[str, Tensor] = {}
    kept: dict[str, Tensor] = {}

    def look(name: str, layer: FreS | FreT):
        def hook(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            dim = -1 if isinstance(layer, FreS) else -2
            before, after = (_amplitude(x, dim) for x in (inputs[0], output))
            gains[name] = after / before.clamp(min=1e-12)
            if layer.local_weight is not None:
                kept[name] = layer.kept(inputs[0]).float().flatten(1).mean(1)

        return hook

    handles = [
        layer.register_forward_hook(look(name, layer))
        for name, layer in filters_of(encoder).items()
    ]
    encoder.eval()(clips)
    for handle in handles:
        handle.remove()
    return gains, kept


def _amplitude(x: Tensor, dim: int) -> Tensor:
    re, im = rdft(x, dim=dim)
    return (re.square() + im.square()).movedim(dim, -1).flatten(0, -2).mean(0).sqrt()


def draw_filters(encoder: Encoder, clips: Tensor, path: Path) -> None:
    """Measured gain of every spectral block at every frequency."""
    gains, _ = responses(encoder, clips)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for axis, kind, unit in (
        (axes[0], "FreS", "periods over the joints"),
        (axes[1], "FreT", "periods over the clip"),
    ):
        for name, gain in gains.items():
            if name.endswith(kind):
                axis.plot(gain.numpy(), marker=".", label=name)
        axis.axhline(1, color=GREY, linewidth=0.8)
        axis.set(title=f"{kind}: gain with its residual", xlabel=unit, ylabel="amplitude ratio")
        if axis.lines[:-1]:
            axis.legend(fontsize=8)
    _save(figure, path)


def draw_kept(encoder: Encoder, data: Labelled, class_names: tuple[str, ...], path: Path) -> None:
    """Share of the frequencies that pass the adaptive mask, by class."""
    _, kept = responses(encoder, data.clips)
    height = 1.4 + 0.26 * len(class_names)
    figure, axis = plt.subplots(figsize=(7.5, height), layout="constrained")
    classes = sorted(set(data.labels.tolist()))
    for shift, (kind, colour) in enumerate((("FreS", BLUE), ("FreT", ORANGE))):
        parts = [share for name, share in kept.items() if name.endswith(kind)]
        if parts:
            share = torch.stack(parts).mean(0)
            means = [100 * float(share[data.labels == c].mean()) for c in classes]
            where = [i + 0.4 * shift - 0.2 for i in range(len(classes))]
            axis.barh(where, means, 0.4, color=colour, label=kind)
    axis.set_yticks(range(len(classes)), [class_names[c] for c in classes])
    axis.invert_yaxis()
    axis.set(title="Frequencies kept by the adaptive mask, mean of the blocks", xlabel="per cent")
    axis.set_xlim(0, 115)  # room for the legend beside the bars
    if kept:
        axis.legend(loc="center right")
    _save(figure, path)


@torch.no_grad()
def draw_queue(model: MICA, data: Labelled, path: Path) -> None:
    """Cosine similarity of test embeddings to the queue, same class against other classes."""
    query, _ = model.eval().paths.online(data.clips)
    queue, labels = model.queue.entries()
    similarity = torch.nn.functional.normalize(query, dim=1) @ queue.mT
    same = data.labels[:, None] == labels
    figure, axis = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
    for mask, colour, name in ((same, BLUE, "same class"), (~same, GREY, "other classes")):
        axis.hist(
            similarity[mask].numpy(),
            bins=50,
            range=(-1, 1),
            density=True,
            alpha=0.6,
            color=colour,
            label=name,
        )
    axis.set(
        title="Test embeddings against the queue", xlabel="cosine similarity", ylabel="density"
    )
    axis.legend()
    _save(figure, path)


def draw_robustness(table: dict[str, dict[str, dict[str, list[float]]]], path: Path) -> None:
    """Accuracy against noise and against dropped frames: mean and deviation over the seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for axis, (kind, unit) in zip(
        axes, (("jitter", "joint jitter (cm)"), ("dropout", "dropped frames (%)")), strict=True
    ):
        for (name, curves), colour in zip(table.items(), (GREY, BLUE), strict=True):
            levels = list(curves[kind])
            runs = 100 * torch.tensor([curves[kind][level] for level in levels])
            error = runs.std(1) if runs.shape[1] > 1 else torch.zeros(len(levels))
            axis.errorbar(
                [float(level) for level in levels],
                runs.mean(1).numpy(),
                error.numpy(),
                marker="o",
                capsize=3,
                color=colour,
                label=name,
            )
        axis.set(title=f"Accuracy under {kind}", xlabel=unit, ylabel="per cent")
        axis.legend()
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, dpi=130)
    plt.close(figure)
