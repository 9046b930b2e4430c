"""Stages 2 to 4 on given features: select on validation classes, then train and test once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from examples.fs_vae.config import Config
from examples.fs_vae.features import Features
from examples.fs_vae.recognise import (
    Gate,
    Stacking,
    UnseenClassifier,
    fit_gate,
    fit_stacking,
    score,
    stacked_scores,
    warn_test_selection,
)
from examples.fs_vae.train import train_cycles
from skelfreq.functional import area_under_seen_unseen_curve, generalized_zero_shot_accuracy


@dataclass(frozen=True, eq=False)
class Result:
    """Accuracies in [0, 1], what was chosen, and the zero-shot decisions for a confusion matrix."""

    metrics: dict[str, float]
    chosen: dict[str, float]
    pred: Tensor
    target: Tensor
    unseen: tuple[int, ...]


def run(
    features: Features, validation: Features, text: Tensor, config: Config, device: str = "cpu"
) -> Result:
    """Choose cycle, gate and handicap on ``validation``, then train on ``features`` and test.

    ``text`` is [classes, width], a row per class number.
    """
    _check(features, text)
    _check(validation, text)
    if config.select == "test":
        warn_test_selection()
        validation = features
    candidates = [
        UnseenClassifier(model, text, validation.unseen, config)
        for model in train_cycles(validation, text, config, device)
    ]
    accuracies = [c.accuracy(validation.unseen_test) for c in candidates]
    best = max(range(len(candidates)), key=accuracies.__getitem__)
    scores = score(candidates[best], validation)
    gate, stacking = fit_gate(scores), fit_stacking(scores)
    classifier = candidates[best]
    if config.select != "test":
        shorter = replace(config, cycles=best + 1)
        *_, model = train_cycles(features, text, shorter, device)
        classifier = UnseenClassifier(model, text, features.unseen, config)
    return _evaluate(classifier, features, gate, stacking, best, accuracies[best])


def _evaluate(
    classifier: UnseenClassifier,
    features: Features,
    gate: Gate,
    stacking: Stacking,
    cycle: int,
    validation_accuracy: float,
) -> Result:
    scores = score(classifier, features)
    gated = generalized_zero_shot_accuracy(gate.predict(scores), scores.labels, scores.seen_classes)
    stacked = generalized_zero_shot_accuracy(
        stacking.predict(scores), scores.labels, scores.seen_classes
    )
    part = features.unseen_test
    pred = torch.tensor(features.unseen)[classifier.probabilities(part.x).argmax(1)]
    # Columns in class order: unseen classes first, as stacked_scores joins them.
    position = {c: i for i, c in enumerate(features.unseen + features.seen)}
    area = area_under_seen_unseen_curve(
        stacked_scores(scores, stacking.temperature),
        torch.tensor([position[int(c)] for c in scores.labels]),
        [position[c] for c in features.seen],
    )
    metrics = {
        "zero-shot": float((pred == part.labels).double().mean()),
        "seen": gated.seen,
        "unseen": gated.unseen,
        "harmonic": gated.harmonic,
        "stacked seen": stacked.seen,
        "stacked unseen": stacked.unseen,
        "stacked harmonic": stacked.harmonic,
        "area": area,
        "seen classifier": float(
            (
                torch.tensor(features.seen)[features.seen_test.logits.argmax(1)]
                == features.seen_test.labels
            )
            .double()
            .mean()
        ),
    }
    chosen = {
        "cycles": cycle + 1,
        "temperature": gate.temperature,
        "threshold": gate.threshold,
        "stacking temperature": stacking.temperature,
        "handicap": stacking.handicap,
        "zero-shot where chosen": validation_accuracy,
    }
    return Result(metrics, chosen, pred, part.labels, features.unseen)


def _check(features: Features, text: Tensor) -> None:
    needed = max(features.seen + features.unseen) + 1
    if text.ndim != 2 or len(text) < needed:
        raise ValueError(
            f"text must have a row for each of {needed} classes, got {len(text)}: describe the "
            f"missing classes."
        )
    if not bool(text.isfinite().all()):
        row = int((~text.isfinite().all(1)).nonzero()[0])
        raise ValueError(f"text must be finite, got NaN or infinity for class {row}.")
