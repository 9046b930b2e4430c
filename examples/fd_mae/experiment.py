"""What ``python -m examples.fd_mae`` compares, and how a row is trained, evaluated and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from examples.common.probe import probe
from examples.common.runs import Cell
from examples.common.study import Experiment, by_data, first_repetition
from examples.data.clips import layout_of
from examples.data.protocols import few_labels
from examples.data.sets import reading
from examples.data.task import Labelled, Task, load_task
from examples.encoders.contrast import contrast
from examples.encoders.pooling import pool
from examples.encoders.steps import augmented
from examples.encoders.tuning import Classifier, fine_tune, layer_groups
from examples.fd_mae import figures
from examples.fd_mae.config import CONTRASTED, PRESETS, ROWS, STUDY, STUDY_ROWS, Config
from examples.fd_mae.model import Encoder, MaskedAutoencoder
from examples.fd_mae.train import Pretraining, build
from skelfreq.functional import split_frames


def load(config: Config) -> tuple[Task, str, Iterable[Tensor]]:
    """Load the clips."""
    task = load_task(
        config.data, frames=2 * config.frames, body_frame=config.body_frame, path=config.path,
        layout=config.layout, validate=config.validate or None, **reading(config),
    )  # fmt: skip
    with torch.device("meta"):  # what cannot be built is found before any folder is made
        clips = task.train.clips
        build(config, clips.shape[-1], clips.shape[1])
    parts = (task.train, task.test)
    return task, task.description, (t for part in parts for t in (part.clips, part.labels))


def run(cell: Cell, task: Task) -> tuple[dict[str, float], dict[str, object]]:
    """Pre-train one row and evaluate its encoder."""
    config: Config = cell.settings
    network = Pretraining(config, task.train.clips, cell).run().trained()
    scores = probed(cell, network.encoder, task)
    for share in config.label_shares:
        draws, few = (config.label_draws, f", {share:.0%} of labels") if share < 1 else (1, "")
        found = [fine_tuned(network, config, task, share, draw, cell) for draw in range(draws)]
        scores[f"fine-tuning{few}"] = sum(found) / draws
    if config.contrast_epochs:
        encoder = contrast(config, network.encoder, task.train, cell)
        found = probed(cell, encoder, task)
        scores |= {f"{CONTRASTED}{name}": score for name, score in found.items()}
    return scores, {}


def probed(cell: Cell, encoder: Encoder, task: Task) -> dict[str, float]:
    """Accuracies of the probes of a frozen encoder, or of the coordinates themselves."""
    config: Config = cell.settings
    if not config.evaluate:
        return {}
    return probe(
        Tensor.contiguous if config.coordinates else encoder.clip_features,
        task.train, task.test, cell.scale.device, strengths=config.strengths, turns=config.turns,
        neighbours=1, shares=config.linear_shares,
        poolings={p if p != "all" else "": partial(pool, pooling=p) for p in config.poolings},
    )  # fmt: skip


def fine_tuned(
    network: MaskedAutoencoder, config: Config, task: Task, share: float, draw: int, cell: Cell
) -> float:
    """Accuracy after training a copy of the encoder and a new head with a share of the labels."""
    seed = 100 * config.seed + draw
    labels = task.train.labels.numpy()
    chosen = few_labels(labels, labels >= 0, share=share, seed=1000 + seed)
    subset = Labelled(task.train.clips[chosen], task.train.labels[chosen])
    torch.manual_seed(seed)
    classes = int(torch.cat([task.train.labels, task.test.labels]).max()) + 1
    model = Classifier(network.encoder, classes)

    def inputs(clips: Tensor, generator: torch.Generator, step: int) -> Tensor:
        clips = augmented(clips, config, generator)
        return split_frames(clips.to(next(model.parameters()).device))[step % 2]

    fine_tune(
        cell, f"fine-tuning-{share:g}-{draw}", model, layer_groups(model), inputs, subset,
        steps=config.fine_tuning_steps, batch_size=48, seed=seed,
    )  # fmt: skip
    return model.accuracy(task.test)


def draw(cells: list[Cell], task: Task, folder: Path) -> None:
    """Draw how smoothly rows train, what their tokens do, and a reconstruction by the last."""
    chosen = first_repetition(cells)
    runs = {cell.title: Pretraining(cell.settings, task.train.clips, cell) for cell in chosen}
    networks = {title: run.trained() for title, run in runs.items()}
    figures.draw_amplitudes(networks, task.test.clips[:256], folder)
    runs = {title: run for title, run in runs.items() if run.loop.history}
    if runs:
        figures.draw_smoothness({title: run.loop.history for title, run in runs.items()}, folder)
        last = list(runs.values())[-1]
        figures.draw_reconstruction(last, task.test.clips[0], layout_of(task.layout), folder)


def preset_for(given: Mapping[str, Any]) -> str:
    """Shipped weights have the name of the preset that made them."""
    weights = given.get("weights")
    return weights if weights in PRESETS else by_data(given).replace("msr", "files")


def rows_for(given: Mapping[str, Any]) -> tuple[str, ...]:
    """With shipped weights: what they are worth, and what an untrained encoder is."""
    return ("untrained", "shipped") if given.get("weights") else ()


EXPERIMENT = Experiment(
    "fd_mae", Config, PRESETS, ROWS, ("untrained", "plain", "fd-mae"), load, run, draw, STUDY,
    study_rows=STUDY_ROWS, preset=preset_for, rows_for=rows_for,
)  # fmt: skip
