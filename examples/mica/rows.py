"""The rows of the tables: which switches each one sets, and how one is run."""

from __future__ import annotations

from dataclasses import replace

import torch

from examples.data.task import Task
from examples.mica.config import Config
from examples.mica.encoder import Encoder
from examples.mica.evaluate import evaluate
from examples.mica.train import MICA, Text, train
from examples.text import class_features, load_descriptions, phrase_features

_NO_LANGUAGE = {"modulation": 0.0, "harmonizer": 0.0}
ROWS: dict[str, dict[str, object]] = {
    "random encoder": {"spectral": "frest"},
    "InfoNCE only": {"spectral": "none", **_NO_LANGUAGE},
    "+ FM": {"spectral": "none"},
    "+ FreST": {**_NO_LANGUAGE},
    "+ both = MICA": {},
    "FreS only": {"spectral": "fres"},
    "FreT only": {"spectral": "fret"},
    "global filter only": {"filters": "global"},
    "local filter only": {"filters": "local"},
}


def load_text(name: str, class_names: tuple[str, ...]) -> Text:
    """Encode the descriptions of the classes."""
    described = load_descriptions(name).for_classes(class_names)
    return Text(class_features(described), *phrase_features(described))


def run_row(
    row: str, config: Config, task: Task, text: Text, device: str = "cpu"
) -> tuple[MICA | None, dict[str, float], list[dict[str, float]]]:
    """Train and evaluate one row; the model is None for the random encoder."""
    config = replace(config, **ROWS[row])
    if row == "random encoder":
        torch.manual_seed(config.seed)
        encoder = Encoder(task.layout, config).to(device)
        return None, evaluate(encoder, task.train, task.test), []
    model, history = train(task.train, task.layout, text, config, device)
    return model, evaluate(model.encoder, task.train, task.test), history
