"""Stages 3 and 4: a classifier of unseen classes, the decision between seen and unseen, tests."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

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
from skelfreq.functional import (
    area_under_seen_unseen_curve,
    generalized_zero_shot_accuracy,
    harmonic_mean,
)

TEMPERATURES = tuple(float(t) for t in range(1, 10))
THRESHOLDS = tuple(float(t) for t in np.arange(0.25, 0.75, 0.01).round(2))


class UnseenClassifier:
    """Linear softmax on latents drawn from the text encoder of every unseen class (stage 3)."""

    def __init__(
        self,
        model: CrossModalVAE,
        text: Tensor,
        unseen: tuple[int, ...],
        config: Config,
    ) -> None:
        self.model, self.unseen = model, unseen
        generator = torch.Generator().manual_seed(config.seed)
        with torch.no_grad():
            mu, logvar = model.text(text[list(unseen)].to(_device(model)))
        count = config.samples_per_class
        mu = mu.cpu().repeat_interleave(count, 0)
        logvar = logvar.cpu().repeat_interleave(count, 0)
        latents = model.sample(mu, logvar, generator)
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
        mu, _ = self.model.skeleton(x.to(_device(self.model)))
        scores: Tensor = self.linear(mu.cpu()).softmax(1)
        return scores

    def accuracy(self, part: Part) -> float:
        """Zero-shot accuracy: choice among the unseen classes only, mean over samples."""
        chosen = torch.tensor(self.unseen)[self.probabilities(part.x).argmax(1)]
        return _share(chosen, part.labels)


@dataclass(frozen=True, eq=False)
class Scores:
    """What the decision between seen and unseen is made from, for samples of both kinds."""

    unseen: Tensor  # [n, unseen], probabilities of the zero-shot classifier
    logits: Tensor  # [n, seen], logits of the classifier of seen classes
    labels: Tensor
    unseen_classes: tuple[int, ...]
    seen_classes: tuple[int, ...]

    @property
    def is_unseen(self) -> Tensor:
        """Bool [n]."""
        return torch.isin(self.labels, torch.tensor(self.unseen_classes))


def score(classifier: UnseenClassifier, features: Features) -> Scores:
    """Score the test samples of seen and of unseen classes."""
    parts = (features.seen_test, features.unseen_test)
    return Scores(
        torch.cat([classifier.probabilities(part.x) for part in parts]),
        torch.cat([part.logits for part in parts]),
        torch.cat([part.labels for part in parts]),
        features.unseen,
        features.seen,
    )


@dataclass(frozen=True, eq=False)
class Gate:
    """Logistic regression that tells unseen from seen, with its temperature and threshold."""

    regression: LogisticRegression
    temperature: float
    threshold: float
    kept: int

    def predict(self, scores: Scores) -> Tensor:
        """Class of every sample: the gate chooses which classifier answers."""
        return _route(scores, self._unseen_probability(scores) > self.threshold)

    def _unseen_probability(self, scores: Scores) -> Tensor:
        inputs = _gate_inputs(scores, self.temperature, self.kept)
        return torch.from_numpy(self.regression.predict_proba(inputs)[:, 1])


def fit_gate(scores: Scores) -> Gate:
    """Fit on validation scores; temperature and threshold give the best harmonic mean there."""
    kept = min(scores.unseen.shape[1], scores.logits.shape[1])
    best, best_harmonic = None, -1.0
    truth = scores.is_unseen.numpy()
    for temperature in TEMPERATURES:
        regression = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
        regression.fit(_gate_inputs(scores, temperature, kept), truth)
        gate = Gate(regression, temperature, 0.5, kept)
        unseen = gate._unseen_probability(scores)
        for threshold in THRESHOLDS:
            harmonic = _harmonic(_route(scores, unseen > threshold), scores)
            if harmonic > best_harmonic:
                best_harmonic = harmonic
                best = Gate(regression, temperature, threshold, kept)
    assert best is not None
    return best


def stacked_scores(scores: Scores, temperature: float) -> Tensor:
    """Scores over all classes, unseen first, for calibrated stacking."""
    return torch.cat([scores.unseen, (scores.logits / temperature).softmax(1)], 1)


@dataclass(frozen=True)
class Stacking:
    """Calibrated stacking: ``handicap`` is subtracted from the probabilities of seen classes."""

    temperature: float
    handicap: float

    def predict(self, scores: Scores) -> Tensor:
        """Class of every sample."""
        both = stacked_scores(scores, self.temperature)
        both[:, scores.unseen.shape[1] :] -= self.handicap
        return torch.tensor(scores.unseen_classes + scores.seen_classes)[both.argmax(1)]


def fit_stacking(scores: Scores) -> Stacking:
    """Choose temperature and handicap by the harmonic mean on validation scores."""
    candidates = (
        Stacking(temperature, float(handicap))
        for temperature in TEMPERATURES
        for handicap in np.linspace(-1, 1, 81)
    )
    return max(candidates, key=lambda s: _harmonic(s.predict(scores), scores))


def _route(scores: Scores, unseen: Tensor) -> Tensor:
    as_unseen = torch.tensor(scores.unseen_classes)[scores.unseen.argmax(1)]
    as_seen = torch.tensor(scores.seen_classes)[scores.logits.argmax(1)]
    return torch.where(unseen, as_unseen, as_seen)


def _harmonic(pred: Tensor, scores: Scores) -> float:
    seen, unseen, _ = generalized_zero_shot_accuracy(pred, scores.labels, scores.seen_classes)
    return harmonic_mean(seen, unseen)


def _gate_inputs(scores: Scores, temperature: float, kept: int) -> np.ndarray:
    """Sorted top probabilities of both classifiers, [n, 2 kept]."""
    unseen = scores.unseen.topk(kept, dim=1).values
    seen = (scores.logits / temperature).softmax(1).topk(kept, dim=1).values
    return torch.cat([unseen, seen], 1).double().numpy()


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def recognise(
    features: Features, validation: Features, text: Tensor, config: Config, cell: Cell | None = None
) -> tuple[dict[str, float], dict[str, Any]]:
    """Choose cycle, gate and handicap on ``validation``, then train on ``features`` and test.

    ``text`` is [classes, width], a row per class number. Returns accuracies in [0, 1]; what was
    chosen, and the zero-shot decisions.
    """
    cell = cell or Cell()
    for part in (features, validation):
        _check_text(text, max(part.seen + part.unseen) + 1)
    if config.select == "test":
        warnings.warn(
            "select='test' chooses cycle, temperature and threshold on the test samples, as "
            "published runs do; its numbers are no estimate for new data.",
            stacklevel=2,
        )
        validation = features

    def classifier(model: CrossModalVAE, unseen: tuple[int, ...]) -> UnseenClassifier:
        return UnseenClassifier(model, text, unseen, config)

    def judge(model: CrossModalVAE) -> float:
        return classifier(model, validation.unseen).accuracy(validation.unseen_test)

    model, judged = train_cycles(validation, text, config, cell, "selection", judge)
    cycles = judged.index(max(judged)) + 1
    selected = classifier(model, validation.unseen)
    scores = score(selected, validation)
    gate, stacking = fit_gate(scores), fit_stacking(scores)
    if config.select != "test":
        model, _ = train_cycles(features, text, replace(config, cycles=cycles), cell, "final")
        selected = classifier(model, features.unseen)
    chosen = {
        "cycles": cycles,
        "temperature": gate.temperature,
        "threshold": gate.threshold,
        "stacking temperature": stacking.temperature,
        "handicap": stacking.handicap,
        "zero-shot where chosen": max(judged),
    }
    part = features.unseen_test
    pred = torch.tensor(features.unseen)[selected.probabilities(part.x).argmax(1)]
    decisions = {"pred": pred.tolist(), "target": part.labels.tolist(), "unseen": features.unseen}
    return measure(score(selected, features), features, gate, stacking, pred), {
        "chosen": chosen,
        **decisions,
    }


def measure(
    scores: Scores, features: Features, gate: Gate, stacking: Stacking, pred: Tensor
) -> dict[str, float]:
    """Return zero-shot accuracy, S, U and H of both decisions, and the area of their curve."""
    gated, stacked = (
        generalized_zero_shot_accuracy(decision.predict(scores), scores.labels, scores.seen_classes)
        for decision in (gate, stacking)
    )
    # Columns in class order: unseen classes first, as stacked_scores joins them.
    position = {c: i for i, c in enumerate(features.unseen + features.seen)}
    area = area_under_seen_unseen_curve(
        stacked_scores(scores, stacking.temperature),
        torch.tensor([position[int(c)] for c in scores.labels]),
        [position[c] for c in features.seen],
    )
    seen = torch.tensor(features.seen)[features.seen_test.logits.argmax(1)]
    return {
        "zero-shot": _share(pred, features.unseen_test.labels),
        "seen": gated.seen,
        "unseen": gated.unseen,
        "harmonic": gated.harmonic,
        "stacked seen": stacked.seen,
        "stacked unseen": stacked.unseen,
        "stacked harmonic": stacked.harmonic,
        "area": area,
        "seen classifier": _share(seen, features.seen_test.labels),
    }


def _share(pred: Tensor, labels: Tensor) -> float:
    return float((pred == labels).double().mean())


def _check_text(text: Tensor, needed: int) -> None:
    if text.ndim != 2 or len(text) < needed:
        raise ValueError(
            f"text must have a row for each of {needed} classes, got {len(text)}: describe the "
            f"missing classes."
        )
    if not bool(text.isfinite().all()):
        row = int((~text.isfinite().all(1)).nonzero()[0])
        raise ValueError(f"text must be finite, got NaN or infinity for class {row}.")
