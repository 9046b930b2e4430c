"""What ``python -m examples.mica`` compares, and how a row is trained, evaluated and drawn."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from examples.common.probe import probe
from examples.common.runs import Cell
from examples.common.study import Experiment, first_repetition
from examples.data.sets import reading
from examples.data.task import Task, load_task
from examples.mica import figures
from examples.mica.config import PRESETS, ROWS, Config
from examples.mica.train import MICA, Text, Training
from examples.text import class_features, describe, phrase_features


def load(config: Config) -> tuple[tuple[Task, Text], str, Iterable[Tensor]]:
    """Load the clips and encode the descriptions of their classes."""
    options = {"validate": config.validate or None, **reading(config)}
    task = load_task(config.data, config.frames, body_frame=True, **options)
    described = describe(config.data, task.class_names, config.descriptions)
    text = Text(class_features(described), *phrase_features(described))
    tensors = (task.train.clips, task.train.labels, task.test.clips, task.test.labels)
    line = f"{task.description}\nTexts: {described.source}"
    return (task, text), line, (*tensors, text.classes, text.phrases)


def train(cell: Cell, data: tuple[Task, Text]) -> MICA:
    """Train, or read what was trained."""
    (task, text), config = data, cell.settings
    run = Training(config, task.train, task.layout, text, cell).run()
    channels = task.train.clips.shape[1]
    return cell.scale.plain(run.model, lambda: MICA(task.layout, text, config, channels)).eval()


def run(cell: Cell, data: tuple[Task, Text]) -> tuple[dict[str, float], dict[str, object]]:
    """Train one row and evaluate its frozen encoder by the mean of its frames."""
    encoder, (task, _), device = train(cell, data).encoder, data, cell.scale.device
    return probe(lambda x: encoder(x).mean(1), task.train, task.test, device, neighbours=5), {}


def draw(cells: list[Cell], data: tuple[Task, Text], folder: Path) -> None:
    """Draw what the filters, masks and queues of the trained rows look like."""
    for cell in first_repetition(cells):
        if cell.settings.epochs:
            figures.draw_model(train(cell, data).cpu(), data[0], folder, cell.folder.parent.name)


EXPERIMENT = Experiment(
    "mica", Config, PRESETS, ROWS, ("random", "infonce", "mica"), load, run, draw, {}, tuple(ROWS)
)
