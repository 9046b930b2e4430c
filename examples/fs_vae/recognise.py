"""Stages 3 and 4: a classifier of unseen classes, the decision between seen and unseen, tests."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from examples.common.runs import Cell
from examples.fs_vae.config import Config
from examples.fs_vae.features import Features, Part
from examples.fs_vae.model import CrossModalVAE
from examples.fs_vae.train import train_cycles
from skelfreq import functional as F

TEMPERATURES = tuple(float(t) for t in range(1, 10))
THRESHOLDS = tuple(float(t) for t in np.arange(0.25, 0.75, 0.01).round(2))


class UnseenClassifier:
    """Linear softmax on latents drawn from the text encoder of every unseen class (stage 3)."""

    def __init__(self, model: CrossModalVAE, text: Tensor, unseen: tuple[int, ...], config: Config):
        self.model, self.unseen = model, unseen
        self.device = next(model.parameters()).device
        generator = torch.Generator().manual_seed(config.seed)
        with torch.no_grad():
            encoded = model.text(text[list(unseen)].to(self.device))
        count = config.samples_per_class
        latents = model.sample(*(x.cpu().repeat_interleave(count, 0) for x in encoded), generator)
        labels = torch.arange(len(unseen)).repeat_interleave(count)
        self.linear = nn.Linear(latents.shape[1], len(unseen))
        with torch.no_grad():
            self.linear.weight.normal_(0, 0.01, generator=generator)
            self.linear.bias.zero_()
        optimizer = torch.optim.Adam(self.linear.parameters(), lr=config.classifier_lr)
        for _ in range(config.classifier_steps):
            optimizer.zero_grad()
            nnf.cross_entropy(self.linear(latents), labels).backward()
            optimizer.step()

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Probability of each unseen class, [n, unseen], from skeleton features [n, width]."""
        mu, _ = self.model.skeleton(x.to(self.device))
        scores: Tensor = self.linear(mu.cpu()).softmax(1)
        return scores

    def accuracy(self, part: Part) -> float:
        """Zero-shot accuracy: choice among the unseen classes only, mean over samples."""
        return _share(_named(self.unseen, self.probabilities(part.x)), part.labels)


class Scores(NamedTuple):
    """What the decision between seen and unseen is made from, for samples of both kinds."""

    unseen: Tensor  # [n, unseen], probabilities of the zero-shot classifier
    logits: Tensor  # [n, seen], logits of the classifier of seen classes
    labels: Tensor
    unseen_classes: tuple[int, ...]
    seen_classes: tuple[int, ...]


def score(classifier: UnseenClassifier, features: Features) -> Scores:
    """Score the test samples of seen and of unseen classes."""
    parts = (features.seen_test, features.unseen_test)
    unseen = torch.cat([classifier.probabilities(part.x) for part in parts])
    logits = torch.cat([part.logits for part in parts])
    labels = torch.cat([part.labels for part in parts])
    return Scores(unseen, logits, labels, features.unseen, features.seen)


@dataclass(frozen=True, eq=False)
class Gate:
    """Logistic regression that tells unseen from seen, with its temperature and threshold."""

    regression: LogisticRegression
    temperature: float
    threshold: float
    kept: int

    def predict(self, scores: Scores) -> Tensor:
        """Class of every sample: the gate chooses which classifier answers."""
        return _route(scores, self.unseen_probability(scores) > self.threshold)

    def unseen_probability(self, scores: Scores) -> Tensor:
        """Probability that a sample is of an unseen class, [n]."""
        inputs = _gate_inputs(scores, self.temperature, self.kept)
        return torch.from_numpy(self.regression.predict_proba(inputs)[:, 1])


def fit_gate(scores: Scores) -> Gate:
    """Fit on validation scores; temperature and threshold give the best harmonic mean there."""
    kept = min(scores.unseen.shape[1], scores.logits.shape[1])
    truth = torch.isin(scores.labels, torch.tensor(scores.unseen_classes)).numpy()
    found: list[tuple[float, Gate]] = []
    for temperature in TEMPERATURES:
        regression = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
        regression.fit(_gate_inputs(scores, temperature, kept), truth)
        unseen = Gate(regression, temperature, 0.5, kept).unseen_probability(scores)
        for threshold in THRESHOLDS:
            harmonic = _harmonic(_route(scores, unseen > threshold), scores)
            found.append((harmonic, Gate(regression, temperature, threshold, kept)))
    return max(found, key=lambda pair: pair[0])[1]


def stacked_scores(scores: Scores, temperature: float) -> Tensor:
    """Scores over all classes, unseen first, for calibrated stacking."""
    return torch.cat([scores.unseen, (scores.logits / temperature).softmax(1)], 1)


class Stacking(NamedTuple):
    """Calibrated stacking: ``handicap`` is subtracted from the probabilities of seen classes."""

    temperature: float
    handicap: float

    def predict(self, scores: Scores) -> Tensor:
        """Class of every sample."""
        both = stacked_scores(scores, self.temperature)
        both[:, scores.unseen.shape[1] :] -= self.handicap
        return _named(scores.unseen_classes + scores.seen_classes, both)


def fit_stacking(scores: Scores) -> Stacking:
    """Choose temperature and handicap by the harmonic mean on validation scores."""
    handicaps = np.linspace(-1, 1, 81)
    candidates = (Stacking(t, float(handicap)) for t in TEMPERATURES for handicap in handicaps)
    return max(candidates, key=lambda s: _harmonic(s.predict(scores), scores))


def _named(classes: tuple[int, ...], scores: Tensor) -> Tensor:
    return torch.tensor(classes)[scores.argmax(1)]


def _share(pred: Tensor, labels: Tensor) -> float:
    return float((pred == labels).double().mean())


def _route(scores: Scores, unseen: Tensor) -> Tensor:
    as_unseen = _named(scores.unseen_classes, scores.unseen)
    return torch.where(unseen, as_unseen, _named(scores.seen_classes, scores.logits))


def _harmonic(pred: Tensor, scores: Scores) -> float:
    seen, unseen, _ = F.generalized_zero_shot_accuracy(pred, scores.labels, scores.seen_classes)
    return F.harmonic_mean(seen, unseen)


def _gate_inputs(scores: Scores, temperature: float, kept: int) -> np.ndarray:
    """Sorted top probabilities of both classifiers, [n, 2 kept]."""
    both = (scores.unseen, (scores.logits / temperature).softmax(1))
    return torch.cat([x.topk(kept, dim=1).values for x in both], 1).double().numpy()


def recognise(
    features: Features, validation: Features, text: Tensor, config: Config, cell: Cell | None = None
) -> tuple[dict[str, float], dict[str, Any]]:
    """Choose cycle, gate and handicap on ``validation``, then train on ``features`` and test.

    ``text`` is [classes, width], a row per class number. Returns accuracies in [0, 1]; what was
    chosen, and the zero-shot decisions.
    """
    cell = cell or Cell()
    _check_text(
        text, max(features.seen + features.unseen + validation.seen + validation.unseen) + 1
    )
    if config.select == "test":
        warnings.warn(
            "select='test' chooses cycle, temperature and threshold on the test samples, as "
            "published runs do; its numbers are no estimate for new data.",
            stacklevel=2,
        )
        validation = features

    def judge(model: CrossModalVAE) -> float:
        classifier = UnseenClassifier(model, text, validation.unseen, config)
        return classifier.accuracy(validation.unseen_test)

    model, judged = train_cycles(validation, text, config, cell, "selection", judge)
    cycles = judged.index(max(judged)) + 1
    classifier = UnseenClassifier(model, text, validation.unseen, config)
    scores = score(classifier, validation)
    gate, stacking = fit_gate(scores), fit_stacking(scores)
    if config.select != "test":
        model, _ = train_cycles(features, text, replace(config, cycles=cycles), cell, "final")
        classifier = UnseenClassifier(model, text, features.unseen, config)
    chosen = {
        "cycles": cycles, "temperature": gate.temperature, "threshold": gate.threshold,
        "stacking temperature": stacking.temperature, "handicap": stacking.handicap,
        "zero-shot where chosen": max(judged),
    }  # fmt: skip
    labels = features.unseen_test.labels
    pred = _named(features.unseen, classifier.probabilities(features.unseen_test.x))
    decisions = {"pred": pred.tolist(), "target": labels.tolist(), "unseen": features.unseen}
    found = measure(score(classifier, features), features, gate, stacking)
    return {"zero-shot": _share(pred, labels), **found}, {"chosen": chosen, **decisions}


def measure(scores: Scores, features: Features, gate: Gate, stacking: Stacking) -> dict[str, float]:
    """Return S, U and H of both decisions, the area of their curve, and the seen classifier's."""
    gated, stacked = (
        F.generalized_zero_shot_accuracy(d.predict(scores), scores.labels, scores.seen_classes)
        for d in (gate, stacking)
    )
    # Columns in class order: unseen classes first, as stacked_scores joins them.
    position = {c: i for i, c in enumerate(features.unseen + features.seen)}
    area = F.area_under_seen_unseen_curve(
        stacked_scores(scores, stacking.temperature),
        torch.tensor([position[int(c)] for c in scores.labels]),
        [position[c] for c in features.seen],
    )
    test = features.seen_test
    return {
        "seen": gated.seen, "unseen": gated.unseen, "harmonic": gated.harmonic,
        "stacked seen": stacked.seen, "stacked unseen": stacked.unseen,
        "stacked harmonic": stacked.harmonic, "area": area,
        "seen classifier": _share(_named(features.seen, test.logits), test.labels),
    }  # fmt: skip


def _check_text(text: Tensor, needed: int) -> None:
    if text.ndim != 2 or len(text) < needed:
        raise ValueError(
            f"text must have a row for each of {needed} classes, got {len(text)}: describe the "
            f"missing classes."
        )
    if not bool(text.isfinite().all()):
        row = int((~text.isfinite().all(1)).nonzero()[0])
        raise ValueError(f"text must be finite, got NaN or infinity for class {row}.")
