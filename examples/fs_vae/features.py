"""Class splits, and the features that stages 2 to 4 work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from examples.data.protocols import ClassSplit


def draw_split(num_classes: int, num_unseen: int, seed: int) -> ClassSplit:
    """Draw a split; validation gets as many classes as unseen, at most a third of the seen ones."""
    if not 1 <= num_unseen <= num_classes - 3:
        raise ValueError(f"unseen must lie between 1 and {num_classes - 3}, got {num_unseen}.")
    order = [int(c) for c in np.random.default_rng(seed).permutation(num_classes)]
    num_validation = max(1, min(num_unseen, (num_classes - num_unseen) // 3))
    chosen = (order[:num_unseen], order[num_unseen : num_unseen + num_validation])
    return ClassSplit(num_classes, *(tuple(sorted(classes)) for classes in chosen))


def seen_in_validation(split: ClassSplit) -> tuple[int, ...]:
    """Return the seen classes of the validation stage, in which some play unseen ones."""
    return tuple(c for c in split.seen if c not in split.validation)


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
