"""The pictures of a run; each function draws one and writes one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import torch
from torch import Tensor

from examples.common.plots import BLUE, CYCLE, GREY, ORANGE, legend, lines, panels, save, spread
from examples.data.task import Labelled, Task
from examples.mica.encoder import Encoder
from examples.mica.train import MICA
from skelfreq import FreS, FreT
from skelfreq.functional import rdft
from skelfreq.plotting import plot_gains


def draw_model(model: MICA, task: Task, folder: Path, name: str) -> None:
    """Draw everything about one trained model."""
    layers = filters_of(model.encoder).values()
    if layers:
        draw_filters(model.encoder, task.test.clips, folder / f"{name}-filters.png")
    if any(layer.local_weight is not None for layer in layers):
        draw_kept(model.encoder, task.test, task.class_names, folder / f"{name}-kept.png")
    draw_queue(model, task.test, folder / f"{name}-queue.png")


def filters_of(encoder: Encoder) -> dict[str, FreS | FreT]:
    """Return the spectral blocks of the encoder by name."""
    return {
        f"block {number} {type(layer).__name__}": layer
        for number, block in enumerate(encoder.blocks, 1)
        for layer in block.spectral.modules()
        if isinstance(layer, (FreS, FreT))
    }


@torch.no_grad()
def passes(encoder: Encoder, clips: Tensor) -> dict[str, tuple[FreS | FreT, Tensor, Tensor]]:
    """Return every spectral block by name, with what it was given for the clips and returned."""
    found = {}
    names = {layer: name for name, layer in filters_of(encoder).items()}

    def look(layer: FreS | FreT, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found[names[layer]] = (layer, inputs[0], output)

    handles = [layer.register_forward_hook(look) for layer in names]
    encoder.eval()(clips)
    for handle in handles:
        handle.remove()
    return found


def _amplitude(x: Tensor, dim: int) -> Tensor:
    re, im = rdft(x, dim=dim)
    return (re.square() + im.square()).movedim(dim, -1).flatten(0, -2).mean(0).sqrt()


@torch.no_grad()
def draw_filters(encoder: Encoder, clips: Tensor, path: Path) -> None:
    """Amplitude after over amplitude before each block, mean of clips, channels, the other axis."""
    kinds = {"FreS": ("periods over the joints", -1), "FreT": ("periods over the clip", -2)}
    seen = passes(encoder, clips)
    kinds = {k: v for k, v in kinds.items() if any(name.endswith(k) for name in seen)}
    figure, axes = panels(columns=len(kinds))
    for axis, (kind, (unit, dim)) in zip(axes, kinds.items(), strict=True):
        for name, color in zip((s for s in seen if s.endswith(kind)), cycle(CYCLE), strict=False):
            before, after = (_amplitude(x, dim) for x in seen[name][1:])
            gain, label = after / before.clamp(min=1e-12), name.removesuffix(kind)
            plot_gains(gain, transform="fourier", label=label, color=color, ax=axis)
        axis.set(title=f"{kind}: gain with its residual", xlabel=unit, ylabel="amplitude ratio")
        legend(axis)
    save(figure, path)


@torch.no_grad()
def draw_kept(encoder: Encoder, data: Labelled, class_names: Sequence[str], path: Path) -> None:
    """Share of the frequencies that pass the adaptive mask, by class."""
    kept: dict[str, list[Tensor]] = {"FreS": [], "FreT": []}
    for layer, x, _ in passes(encoder, data.clips).values():
        if layer.local_weight is not None:
            kept[type(layer).__name__].append(layer.kept(x).float().flatten(1).mean(1))
    classes = range(len(class_names))
    figure, (axis,) = panels(size=(8, 1.6 + 0.34 * len(classes)))
    for shift, (kind, colour) in zip((-0.2, 0.2), (("FreS", BLUE), ("FreT", ORANGE)), strict=True):
        if kept[kind]:
            share = 100 * torch.stack(kept[kind]).mean(0)
            means = [float(share[data.labels == c].mean()) for c in classes]
            axis.barh([c + shift for c in classes], means, 0.4, color=colour, label=kind)
    axis.set_yticks(classes, class_names)
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
    edges = torch.linspace(float(similarity.min()), float(similarity.max()) + 1e-6, 51)
    parts = {"other classes": similarity[~same], "same class": similarity[same]}
    counts = {name: torch.histogram(part, edges, density=True).hist for name, part in parts.items()}
    lines(axis, {name: count.tolist() for name, count in counts.items()}, edges[1:].tolist())
    axis.set(title="Test clips against the queue", xlabel="cosine similarity", ylabel="density")
    save(figure, path)


def draw_robustness(runs: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Accuracy against noise and against dropped frames: mean and deviation over the seeds."""
    figure, axes = panels(columns=2)
    kinds = (("jitter", "joint jitter (cm)"), ("dropped", "dropped frames (%)"))
    for axis, (kind, unit) in zip(axes, kinds, strict=True):
        for (title, scores), colour in zip(runs.items(), (GREY, BLUE), strict=False):
            names = [name for name in scores[0] if kind in name]
            values = 100 * torch.tensor([[one[name] for name in names] for one in scores])
            levels = [float("".join(filter(str.isdigit, name))) for name in names]
            spread(axis, levels, values, color=colour, label=title)
        axis.set(title=f"Accuracy, {kind}", xlabel=unit, ylabel="per cent")
        legend(axis)
    save(figure, path)
