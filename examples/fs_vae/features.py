"""Class splits, and the features that stages 2 to 4 work on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

LISTED = Path(__file__).with_name("splits.json")


@dataclass(frozen=True)
class ClassSplit:
    """Class numbers. ``validation`` are the seen classes that play unseen ones for selection."""

    num_classes: int
    unseen: tuple[int, ...]
    validation: tuple[int, ...]
    source: str

    def __post_init__(self) -> None:
        for name in ("unseen", "validation"):
            classes = getattr(self, name)
            if len(set(classes)) != len(classes):
                raise ValueError(f"{self.source}: {name} classes must be distinct, got {classes}.")
            if not classes or min(classes) < 0 or max(classes) >= self.num_classes:
                raise ValueError(
                    f"{self.source}: {name} classes must lie between 0 and "
                    f"{self.num_classes - 1}, got {classes}."
                )
        if both := sorted(set(self.unseen) & set(self.validation)):
            raise ValueError(
                f"{self.source}: unseen and validation classes must be disjoint, "
                f"both hold {both}; take them from one of the lists."
            )
        if len(self.seen_in_validation) < 2:
            raise ValueError(
                f"{self.source}: at least 2 seen classes must remain beside the validation "
                f"classes, got {len(self.seen_in_validation)}."
            )

    @property
    def seen(self) -> tuple[int, ...]:
        """Every class that is not unseen, sorted."""
        return tuple(c for c in range(self.num_classes) if c not in self.unseen)

    @property
    def seen_in_validation(self) -> tuple[int, ...]:
        """Seen classes of the validation stage, sorted."""
        return tuple(c for c in self.seen if c not in self.validation)


def draw_split(num_classes: int, num_unseen: int, seed: int) -> ClassSplit:
    """Draw a split; validation gets as many classes as unseen, at most a third of the seen ones."""
    if not 1 <= num_unseen <= num_classes - 3:
        raise ValueError(f"unseen must lie between 1 and {num_classes - 3}, got {num_unseen}.")
    order = [int(c) for c in np.random.default_rng(seed).permutation(num_classes)]
    num_validation = max(1, min(num_unseen, (num_classes - num_unseen) // 3))
    chosen = (order[:num_unseen], order[num_unseen : num_unseen + num_validation])
    source = f"{num_classes - num_unseen}/{num_unseen} drawn with seed {seed}"
    return ClassSplit(num_classes, *(tuple(sorted(classes)) for classes in chosen), source)


def load_splits(data: str, num_unseen: int) -> tuple[ClassSplit, ...]:
    """Return the fixed splits of ``"msr_action3d"`` or ``"synthetic"`` listed in splits.json."""
    listed = json.loads(LISTED.read_text())
    try:
        entry = listed[data]
        drawn = entry["splits"][str(num_unseen)]
    except KeyError:
        known = {name: sorted(entry["splits"]) for name, entry in listed.items()}
        raise ValueError(
            f"no splits of {data!r} with {num_unseen} unseen classes, {LISTED.name} has {known}."
        ) from None
    classes = entry["num_classes"]
    name = f"{data} {classes - num_unseen}/{num_unseen} split"
    return tuple(
        ClassSplit(classes, tuple(split["unseen"]), tuple(split["validation"]), f"{name} {number}")
        for number, split in enumerate(drawn)
    )


@dataclass(frozen=True, eq=False)
class Part:
    """Features [n, width], class numbers [n] and logits over the seen classes [n, seen]."""

    x: Tensor
    labels: Tensor
    logits: Tensor

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.x)

    def __getitem__(self, rows: Tensor) -> Part:
        """Return some of the samples."""
        return Part(self.x[rows], self.labels[rows], self.logits[rows])


@dataclass(frozen=True, eq=False)
class Features:
    """What stages 2 to 4 work on; every part holds samples of the classes it is named after."""

    train: Part
    seen_test: Part
    unseen_test: Part
    seen: tuple[int, ...]
    unseen: tuple[int, ...]
    source: str

    def __post_init__(self) -> None:
        held = {"train": self.seen, "seen_test": self.seen, "unseen_test": self.unseen}
        for name, classes in held.items():
            part: Part = getattr(self, name)
            width, shape = self.train.x.shape[1], (len(part), len(self.seen))
            if len(part) == 0:
                raise ValueError(f"{self.source}: the {name} part must hold samples, got none.")
            if part.x.shape[1] != width:
                raise ValueError(
                    f"{self.source}: {name} features must be {width} wide, as those of the "
                    f"training part, got {part.x.shape[1]}."
                )
            check_labels(f"{self.source}: the {name} labels", part.labels, classes)
            if part.logits.shape != shape:
                raise ValueError(
                    f"{self.source}: {name} logits must have shape {shape}, "
                    f"got {tuple(part.logits.shape)}."
                )


def check_labels(name: str, labels: Tensor, classes: tuple[int, ...]) -> None:
    """Raise if labels hold a class that a split puts elsewhere."""
    if strange := sorted(set(labels.tolist()) - set(classes)):
        raise ValueError(
            f"{name} must be classes that the split puts there, got also {strange}; "
            f"check that features and class split belong together."
        )
