"""What a frozen encoder is worth: linear probe and nearest neighbours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from examples.data.augment import turn
from examples.data.protocols import few_labels
from examples.data.task import Labelled

PROBE_C = 0.1  # inverse regularisation of the linear probe, chosen on validation subjects
DRAWS = 5  # of few labels
HELD_OUT = 1 / 3  # share of the folds that C is chosen on, where there are more than two


@torch.no_grad()
def features(embed: Callable[[Tensor], Tensor], clips: Tensor, device: torch.device) -> Tensor:
    """Embed clips in batches: [n, ...] on the CPU."""
    return torch.cat([embed(part.to(device)).cpu() for part in clips.split(128)])


def probe(
    embed: Callable[[Tensor], Tensor],
    train: Labelled,
    test: Labelled,
    device: torch.device,
    *,
    poolings: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    strengths: Sequence[float] = (PROBE_C,),
    turns: Sequence[float] = (0.0,),
    neighbours: int = 0,
    shares: Sequence[float] = (),
) -> dict[str, float]:
    """Accuracy of a logistic regression and, if wanted, of nearest neighbours (cosine).

    Parameters
    ----------
    embed : callable
        Clips [N, 3, T, V] → features, [N, F] after pooling.
    train, test : Labelled
        Clips and labels.
    device : torch.device
        Where ``embed`` runs.
    poolings : mapping, optional
        Name → function of the features; every pooling has scores of its own.
    strengths : sequence of float
        Values of C, inverse regularisation. Of several, that is taken which is best on a part of
        the training clips: the last camera where there are several, else a third of the subjects.
    turns : sequence of float
        Angles in degrees: training clips are embedded as often, turned about the vertical.
    neighbours : int
        k of the nearest neighbours; 0 leaves them out.
    shares : sequence of float
        Shares of the labels to fit with as well, class by class, the mean of ``DRAWS`` draws; C is
        the middle one of ``strengths``, for few clips leave none for a choice.
    """
    turned = [turn(train.clips, angle) if angle else train.clips for angle in turns]
    found, found_test = (
        features(embed, torch.cat(turned), device),
        features(embed, test.clips, device),
    )
    labels, held = train.labels.repeat(len(turns)).numpy(), held_out(train).repeat(len(turns))
    scores = {}
    for name, pooling in (poolings or {"": lambda x: x}).items():
        x, test_x = (pooling(part).numpy() for part in (found, found_test))
        strength = strengths[0]
        rest = ~held.numpy()
        if len(strengths) > 1 and len(np.unique(labels[rest])) > 1:
            scaled = _scaled().fit(x[rest])
            seen, unseen = (scaled.transform(x[part]) for part in (rest, ~rest))
            right = [
                _regression(c).fit(seen, labels[rest]).score(unseen, labels[~rest])
                for c in strengths
            ]
            strength = strengths[int(np.argmax(right))]
        scaled = _scaled().fit(x)
        x, test_x = scaled.transform(x), scaled.transform(test_x)
        models: dict[str, Any] = {"linear probe": _regression(strength)}
        if neighbours:
            models["kNN"] = KNeighborsClassifier(neighbours, metric="cosine", weights="distance")
        for title, model in models.items():
            score = model.fit(x, labels).score(test_x, test.labels)
            scores[f"{title}, {name}" if name else title] = float(score)
        for share in shares:
            regression, right = _regression(strengths[len(strengths) // 2]), []
            for draw in range(DRAWS):
                few = few_labels(labels, np.ones(len(labels), bool), share=share, seed=draw)
                with warnings.catch_warnings():  # one clip of each class is meant
                    warnings.filterwarnings("ignore", "The number of unique classes")
                    right.append(regression.fit(x[few], labels[few]).score(test_x, test.labels))
            scores[f"few labels, {name or 'all'}, {share:.0%}"] = float(np.mean(right))
    return scores


def held_out(train: Labelled) -> Tensor:
    """Which training clips are held out for a choice: whole folds, the last third of them."""
    folds = torch.arange(len(train)) % 3 if train.folds is None else train.folds
    values = folds.unique()
    if len(values) < 2:
        values = (folds := torch.arange(len(train)) % 3).unique()
    return torch.isin(folds, values[-max(round(HELD_OUT * len(values)), 1) :])


def _scaled() -> Pipeline:
    # Of more features than clips a rotation keeps as many as there are clips: regression, and the
    # order of neighbours, stay the same, for a fraction of the time.
    return make_pipeline(StandardScaler(), PCA())


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=1000)
