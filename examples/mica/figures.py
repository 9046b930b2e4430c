"""The pictures of a run; each function draws one and writes one PNG."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from examples.common.plots import BLUE, GREY, ORANGE, legend, panels, save
from examples.data.task import Labelled, Task
from examples.mica.encoder import Encoder
from examples.mica.train import MICA
from skelfreq import FreS, FreST, FreT
from skelfreq.functional import rdft


def draw_model(model: MICA, task: Task, folder: Path, name: str) -> None:
    """Draw everything about one trained model."""
    if filters_of(model.encoder):
        draw_filters(model.encoder, task.test.clips, folder / f"{name}-filters.png")
        draw_kept(model.encoder, task.test, task.class_names, folder / f"{name}-kept.png")
    draw_queue(model, task.test, folder / f"{name}-queue.png")


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

    The gain is measured: amplitude after the block over amplitude before it, mean over clips,
    channels and the axis that is not transformed.
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

    layers = filters_of(encoder).items()
    handles = [layer.register_forward_hook(look(name, layer)) for name, layer in layers]
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
    units = {"FreS": "periods over the joints", "FreT": "periods over the clip"}
    units = {kind: unit for kind, unit in units.items() if any(n.endswith(kind) for n in gains)}
    figure, axes = panels(columns=len(units))
    for axis, (kind, unit) in zip(axes, units.items(), strict=True):
        for name, gain in gains.items():
            if name.endswith(kind):
                axis.plot(gain.numpy(), marker=".", label=name.removesuffix(kind))
        axis.axhline(1, color=GREY, linewidth=0.8)
        axis.set(title=f"{kind}: gain with its residual", xlabel=unit, ylabel="amplitude ratio")
        legend(axis)
    save(figure, path)


def draw_kept(encoder: Encoder, data: Labelled, class_names: Sequence[str], path: Path) -> None:
    """Share of the frequencies that pass the adaptive mask, by class."""
    _, kept = responses(encoder, data.clips)
    if not kept:
        return
    classes = sorted(set(data.labels.tolist()))
    figure, (axis,) = panels(size=(8, 1.6 + 0.34 * len(classes)))
    for shift, (kind, colour) in enumerate((("FreS", BLUE), ("FreT", ORANGE))):
        parts = [share for name, share in kept.items() if name.endswith(kind)]
        if parts:
            share = torch.stack(parts).mean(0)
            means = [100 * float(share[data.labels == c].mean()) for c in classes]
            where = [i + 0.4 * shift - 0.2 for i in range(len(classes))]
            axis.barh(where, means, 0.4, color=colour, label=kind)
    axis.set_yticks(range(len(classes)), [class_names[c] for c in classes])
    axis.invert_yaxis()
    axis.set(title="Frequencies kept by the adaptive mask", xlabel="per cent, mean of the blocks")
    figure.legend(loc="outside right upper")
    save(figure, path)


@torch.no_grad()
def draw_queue(model: MICA, data: Labelled, path: Path) -> None:
    """Cosine similarity of test embeddings to the queue, same class against other classes."""
    query, _ = model.eval().paths.online(data.clips)
    queue, labels = model.queue.entries()
    similarity = torch.nn.functional.normalize(query, dim=1) @ queue.mT
    same = data.labels[:, None] == labels
    figure, (axis,) = panels()
    ends = (float(similarity.min()), float(similarity.max()) + 1e-6)
    for mask, colour, name in ((~same, GREY, "other classes"), (same, BLUE, "same class")):
        counts, edges = torch.histogram(similarity[mask], 50, range=ends, density=True)
        axis.stairs(counts, edges, fill=True, alpha=0.35, color=colour)
        axis.stairs(counts, edges, color=colour, linewidth=2, label=name)
    axis.set(title="Test embeddings against the queue", xlabel="cosine similarity")
    axis.set_ylabel("density")
    legend(axis)
    save(figure, path)


def draw_robustness(runs: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Accuracy against noise and against dropped frames: mean and deviation over the seeds."""
    figure, axes = panels(columns=2)
    kinds = (("jitter", "joint jitter (cm)"), ("dropped", "dropped frames (%)"))
    for axis, (kind, unit) in zip(axes, kinds, strict=True):
        for (title, scores), colour in zip(runs.items(), (GREY, BLUE), strict=False):
            names = [name for name in scores[0] if kind in name]
            values = 100 * torch.tensor([[one[name] for name in names] for one in scores])
            levels = [float(re.sub(r"[^0-9]", "", name)) for name in names]
            spread = values.std(0, correction=min(1, len(scores) - 1))
            axis.errorbar(
                levels, values.mean(0), spread, marker="o", capsize=4, color=colour, label=title
            )
        axis.set(title=f"Accuracy, {kind}", xlabel=unit, ylabel="per cent")
        legend(axis)
    save(figure, path)
