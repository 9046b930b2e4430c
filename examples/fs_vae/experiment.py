"""What ``python -m examples.fs_vae`` compares: from clips or features to accuracies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from examples.common.runs import Cell, held
from examples.common.study import Experiment, by_data, seeds_alone
from examples.data import load as load_data
from examples.data.protocols import ClassSplit, class_split
from examples.data.sets import reading
from examples.data.task import Task, load_task
from examples.fs_vae import figures, synse
from examples.fs_vae.config import COMPARED, PRESETS, ROWS, STUDY, SWEEP, SWEPT, SYNSE, Config
from examples.fs_vae.encoder import encode, encode_validation
from examples.fs_vae.features import draw_split
from examples.fs_vae.recognise import recognise
from examples.text import Descriptions, class_features, described_as, load_descriptions

# Training subjects whose clips of seen classes are test clips while settings are chosen.
VALIDATION_SUBJECTS = {"msr_action3d": (9,), "synthetic": (11,)}
UNSEEN = {"synthetic": 4, "msr_action3d": 5}
# All 16 synthetic classes: zero-shot recognition needs more than the default 10.
OPTIONS = {"synthetic": {"num_classes": 16}}
ENCODER = (  # the settings that stage 1 depends on
    "frames width encoder_epochs encoder_lr encoder_batch time_split time_bands enhance_time "
    "enhance strength precision accumulate compile"
)


class Clips(NamedTuple):
    """The clips of one data set, for test and for validation, and their texts."""

    name: str
    final: Task
    validation: Task
    texts: Descriptions


def load(config: Config) -> tuple[Clips | Mapping[str, Any], str, Iterable[Tensor]]:
    """Load clips twice, with a training subject as test subject as well; or SynSE's features."""
    if config.synse:
        split = class_split(SYNSE[config.synse])
        final = synse.load_features(config.features, split)
        validation = synse.load_features(config.validation_features, split, validation=True)
        texts = synse.load_texts(config.texts, split.num_classes, config.levels)
        parts = [p for f in (final, validation) for p in (f.train, f.seen_test, f.unseen_test)]
        read = {"final": final, "validation": validation, "classes": split.num_classes}
        return read, final.source, [*(t for p in parts for t in (p.x, p.labels, p.logits)), texts]
    options: dict[str, Any] = OPTIONS.get(config.data, {}) | reading(config)
    clips = load_data(config.data, **options)
    name = described_as(config.data, clips.class_names)
    # Else the last training group, whatever the data calls a group.
    subjects = VALIDATION_SUBJECTS.get(name, (int(clips.groups[clips.train].max()),))
    if subjects[0] < 0:
        raise ValueError(
            f"{config.data}: clips must come with subjects, to hold one out for validation, got "
            f"none; give features in SynSE's layout instead (--synse)."
        )
    options = {"frames": config.frames, "body_frame": True, **options}
    final = load_task(config.data, **options)
    described = load_descriptions(config.descriptions or name).for_classes(final.class_names)
    found = Clips(name, final, load_task(config.data, validate=subjects, **options), described)
    _split(found, config)  # what cannot be is found before any folder is made
    tensors = (final.train.clips, final.train.labels, final.test.clips, final.test.labels)
    return found, final.description, tensors


def _split(clips: Clips, config: Config) -> ClassSplit:
    # Of the synthetic splits the second: docs/fs_vae.md gives the accuracy of all.
    (number, *_) = config.class_splits or (1 if clips.name == "synthetic" else 0,)
    unseen = config.unseen or UNSEEN.get(clips.name)
    if unseen is None:
        raise ValueError(f"--unseen must give the number of unseen classes of {config.data}.")
    return draw_split(len(clips.final.class_names), unseen, seed=number)


@contextmanager
def encoders(cell: Cell, config: Config, split: ClassSplit) -> Iterator[Cell]:
    """Hold the folder of stage 1, which rows share that differ in nothing it depends on."""
    if cell.folder is None:
        yield cell
        return
    used = {name: getattr(config, name) for name in ENCODER.split()}
    used["seed"] = config.seed if config.encoder_seed < 0 else config.encoder_seed
    identity = cell.identity | {"row": "", "settings": used, "split": split}
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
    folder = cell.folder.parents[1] / "encoders" / key
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, wait=True):
        yield replace(cell, folder=folder, identity=identity)


def run(cell: Cell, data: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """Run the stages on one class split."""
    config: Config = cell.settings
    if not isinstance(data, Clips):
        texts = synse.load_texts(config.texts, data["classes"], config.levels)
        scores, more = recognise(data["final"], data["validation"], texts, config, cell)
        names = [f"A{c + 1:03d}" for c in more["unseen"]]
    else:
        split = _split(data, config)
        texts = class_features(data.texts, config.levels)
        with encoders(cell, config, split) as own:
            features = encode(data.final, split, config, own)
            validation = encode_validation(data.validation, split, config, own)
        scores, more = recognise(features, validation, texts, config, cell)
        names = [data.final.class_names[c] for c in more["unseen"]]
    return scores, {**more, "names": names}


def repetitions(config: Config, seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Join every class split with every seed."""
    if len(config.class_splits) < 2:
        return seeds_alone(config, seeds)
    pairs = [(number, seed) for seed in seeds for number in config.class_splits]
    return {f"split{n}-seed{seed}": {"class_splits": (n,), "seed": seed} for n, seed in pairs}


def draw(cells: list[Cell], data: Any, folder: Path) -> None:
    """Draw the decisions among unseen classes; the sensitivity, where it was measured."""
    curves: dict[str, dict[float, list[Any]]] = {}
    for cell in cells:
        row = cell.folder.parent.name
        if row in SWEEP:
            name = next(iter(ROWS[row].changes))
            curve = curves.setdefault(SWEPT[name][0], {})
            curve.setdefault(getattr(cell.settings, name), []).append(cell.result["scores"])
        elif cell.folder.name == cells[0].folder.name:
            figures.draw_confusion(cell.title, cell.result, folder / f"confusion_{row}.png")
    if curves:
        figures.draw_sweep(curves, folder / "sweep.png")


def preset(given: Mapping[str, Any]) -> str:
    """Return the preset that fits the data."""
    synse = given.get("synse", "")
    return ("ntu120" if synse.startswith("120") else "ntu") if synse else by_data(given)


EXPERIMENT = Experiment(
    "fs_vae", Config, PRESETS, ROWS, ("freqenhance",), load, run, draw, STUDY, tuple(COMPARED),
    repetitions, preset, "error",
)  # fmt: skip
