"""From the command line's words to features and text: what every run starts with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from examples.data import load
from examples.data.task import Task, load_task
from examples.fs_vae.config import Config
from examples.fs_vae.encoder import encode_task, encode_validation
from examples.fs_vae.features import Features, load_synse_features
from examples.fs_vae.splits import ClassSplit, draw_split, load_splits, load_synse_split
from examples.fs_vae.text_features import load_text_features
from examples.text import class_features, load_descriptions

# Training subjects whose clips of seen classes stand for test clips while settings are chosen.
VALIDATION_SUBJECTS = {"msr_action3d": (9,), "synthetic": (11,)}
# All 16 synthetic classes: zero-shot recognition needs more than the default 10.
OPTIONS = {"synthetic": {"num_classes": 16}}


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything that stages 2 to 4 need, and the names for the tables."""

    features: Features
    validation: Features
    text: Tensor
    class_names: tuple[str, ...]


def name_of(data: str, class_names: tuple[str, ...]) -> str:
    """Return under which name splits and descriptions of this data are kept."""
    if data == "synthetic":
        return data
    described = load_descriptions("msr_action3d").class_names
    return "msr_action3d" if tuple(class_names) == described else Path(data).stem


def choose_split(name: str, num_classes: int, num_unseen: int, number: int) -> ClassSplit:
    """Return a listed split, or draw one where the data has none listed."""
    if name not in VALIDATION_SUBJECTS:
        return draw_split(num_classes, num_unseen, seed=number)
    splits = load_splits(name, num_unseen)
    if not 0 <= number < len(splits):
        raise ValueError(f"split must lie between 0 and {len(splits) - 1}, got {number}.")
    return splits[number]


@dataclass(frozen=True, eq=False)
class Clips:
    """The clips of one data set, for test and for validation."""

    name: str
    final: Task
    validation: Task


def load_clips(data: str, config: Config) -> Clips:
    """Load clips twice: with the test subjects, and with a training subject in their place."""
    options = OPTIONS.get(data, {})
    clips = load(data, **options)
    name = name_of(data, clips.class_names)
    subjects = VALIDATION_SUBJECTS.get(name)
    if subjects is None:
        # The last training group, whatever the data calls a group.
        subjects = (int(clips.groups[clips.train].max()),)
        if subjects[0] < 0:
            raise ValueError(
                f"{data}: clips must come with subjects, to hold one out for validation, got none; "
                f"give features in SynSE's layout instead (--synse)."
            )
    load_part = {"frames": config.frames, "body_frame": True, **options}
    return Clips(
        name, load_task(data, **load_part), load_task(data, validate=subjects, **load_part)
    )


def prepare(
    clips: Clips, split: ClassSplit, config: Config, descriptions: str | None, device: str
) -> Problem:
    """Run stage 1 and encode the texts."""
    described = load_descriptions(descriptions or clips.name).for_classes(clips.final.class_names)
    return Problem(
        encode_task(clips.final, split, config, device),
        encode_validation(clips.validation, split, config, device),
        class_features(described, config.levels),
        clips.final.class_names,
    )


def prepare_synse(
    name: str, features: Path, validation: Path, splits: Path, texts: Path, config: Config
) -> Problem:
    """Read everything from the folders that SynSE, MSF-GZSSAR and FS-VAE share."""
    split = load_synse_split(splits, name)
    text = load_text_features(texts, split.num_classes, config.levels)
    names = tuple(f"A{c + 1:03d}" for c in range(split.num_classes))
    return Problem(
        load_synse_features(features, split),
        load_synse_features(validation, split, validation=True),
        text,
        names,
    )


def text_of(clips: Clips, levels: tuple[str, ...], descriptions: str | None = None) -> Tensor:
    """Text features [classes, width] with other levels than a problem was prepared with."""
    described = load_descriptions(descriptions or clips.name).for_classes(clips.final.class_names)
    text: Tensor = class_features(described, levels)
    return text.to(torch.float32)
