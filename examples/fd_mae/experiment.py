"""What ``python -m examples.fd_mae`` compares, and how a row is trained, evaluated and drawn."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from examples.common.probe import fine_tune, probe, take_labels
from examples.common.runs import Cell
from examples.common.study import Experiment, first_repetition
from examples.data.clips import layout_of
from examples.data.sets import reading
from examples.data.task import Labelled, Task, load_task
from examples.fd_mae import figures
from examples.fd_mae.config import PRESETS, ROWS, STUDY, Config
from examples.fd_mae.model import Classifier, MaskedAutoencoder, layer_groups
from examples.fd_mae.train import Pretraining, augmented, build
from skelfreq.functional import split_frames


def load(config: Config) -> tuple[Task, str, Iterable[Tensor]]:
    """Load the clips."""
    task = load_task(
        config.data, frames=2 * config.frames, body_frame=config.body_frame,
        validate=config.validate or None, **reading(config),
    )  # fmt: skip
    with torch.device("meta"):  # what cannot be built is found before any folder is made
        build(config, task.train.clips.shape[-1], task.train.clips.shape[1])
    parts = (task.train, task.test)
    return task, task.description, (t for part in parts for t in (part.clips, part.labels))


def run(cell: Cell, task: Task) -> tuple[dict[str, float], dict[str, object]]:
    """Pre-train one row and evaluate its encoder."""
    config: Config = cell.settings
    network = Pretraining(config, task.train.clips, cell).run().trained()
    scores = {}
    if config.linear:
        scores = probe(network.encoder.clip_features, task.train, task.test, cell.scale.device)
    for share in config.label_shares:
        draws = config.label_draws if share < 1 else 1
        found = [fine_tuned(network, config, task, share, draw, cell) for draw in range(draws)]
        name = f"fine-tuning, {share:.0%} of labels" if share < 1 else "fine-tuning"
        scores[name] = sum(found) / draws
    return scores, {}


def fine_tuned(
    network: MaskedAutoencoder, config: Config, task: Task, share: float, draw: int, cell: Cell
) -> float:
    """Accuracy after training a copy of the encoder and a new head with a share of the labels."""
    chosen = take_labels(
        task.train.labels, share, torch.Generator().manual_seed(1000 + 100 * config.seed + draw)
    )
    subset = Labelled(task.train.clips[chosen], task.train.labels[chosen])
    seed = 100 * config.seed + draw
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


EXPERIMENT = Experiment(
    "fd_mae", Config, PRESETS, ROWS, ("untrained", "plain", "fd-mae"), load, run, draw, STUDY,
    study_rows=tuple(ROWS),
)  # fmt: skip
