"""Measures of generalised zero-shot recognition against direct counts, a sweep and sklearn."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import normal
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from torch import Tensor

from skelfreq.functional import (
    GeneralizedAccuracy,
    area_under_seen_unseen_curve,
    generalized_zero_shot_accuracy,
    harmonic_mean,
    seen_unseen_curve,
)

averages = pytest.mark.parametrize("average", ["micro", "macro"])


class Problem(NamedTuple):
    """Scores that fp64 represents exactly, true classes, and the classes seen in training."""

    scores: Tensor
    target: Tensor
    seen: list[int]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Draw samples of at least one seen and one unseen class; few score levels make ties."""
    classes = draw(st.integers(2, 6))
    seen = sorted(draw(st.permutations(range(classes)))[: draw(st.integers(1, classes - 1))])
    unseen = [c for c in range(classes) if c not in seen]
    labels = draw(st.lists(st.integers(0, classes - 1), max_size=12))
    labels += [draw(st.sampled_from(seen)), draw(st.sampled_from(unseen))]
    levels, seed = draw(st.sampled_from([2, 8, 1000])), draw(st.integers(0, 10_000))
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, levels, (len(labels), classes), generator=generator) / 8
    # Most samples lean to their own class.
    scores += torch.nn.functional.one_hot(torch.tensor(labels), classes) * draw(st.integers(0, 2))
    return Problem(scores.double(), torch.tensor(labels), seen)


def direct_accuracy(pred: list[int], target: list[int], classes: set[int], average: str) -> float:
    """Count, class by class."""
    shares, hits, total = [], 0, 0
    for c in sorted(classes & set(target)):
        own = [p == c for p, t in zip(pred, target, strict=True) if t == c]
        shares.append(sum(own) / len(own))
        hits, total = hits + sum(own), total + len(own)
    return hits / total if average == "micro" else sum(shares) / len(shares)


def stacked(problem: Problem, handicap: float) -> list[int]:
    """Predict with the seen classes' scores lowered; an unseen class wins ties."""
    predictions = []
    for row in problem.scores.tolist():
        lowered = [s - handicap if c in problem.seen else s for c, s in enumerate(row)]
        best = max(lowered)
        winners = [c for c, s in enumerate(lowered) if s == best]
        unseen = [c for c in winners if c not in problem.seen]
        predictions.append((unseen or winners)[0])
    return predictions


# --- Harmonic mean ------------------------------------------------------------------------------


accuracies = st.just(0.0) | st.floats(1e-100, 1)


@given(seen=accuracies, unseen=accuracies)
def test_harmonic_mean(seen: float, unseen: float) -> None:
    found, low = harmonic_mean(seen, unseen), min(seen, unseen)
    assert found == pytest.approx(statistics.harmonic_mean([seen, unseen]), rel=1e-14, abs=0)
    assert low * (1 - 1e-14) <= found <= 2 * low * (1 + 1e-14)
    assert found == harmonic_mean(unseen, seen)
    pair = torch.tensor([seen, unseen], dtype=torch.float64)
    tensors = harmonic_mean(pair[0], pair[1])
    assert float(tensors) == pytest.approx(found, rel=1e-14, abs=0)


def test_harmonic_mean_of_tensors() -> None:
    seen, unseen = torch.tensor([[0.6], [0.0]]), torch.tensor([0.3, 0.0, 0.6])
    expected = [[harmonic_mean(s, u) for u in (0.3, 0.0, 0.6)] for s in (0.6, 0.0)]
    assert torch.allclose(harmonic_mean(seen, unseen), torch.tensor(expected))
    seen.requires_grad_()
    harmonic_mean(seen, unseen).sum().backward()
    assert seen.grad.isfinite().all()


def test_harmonic_mean_does_not_hide_what_is_undefined() -> None:
    assert math.isnan(harmonic_mean(math.nan, 0.5))
    assert harmonic_mean(torch.tensor(math.nan), torch.tensor(0.5)).isnan()


@pytest.mark.parametrize("pair", [(-0.1, 0.5), (0.5, -0.1)])
def test_harmonic_mean_rejects_negative_numbers(pair: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"seen and unseen must be at least 0, got .*-0\.1"):
        harmonic_mean(*pair)


# --- Accuracy -----------------------------------------------------------------------------------


@averages
@given(problem=problems())
def test_accuracy_equals_a_direct_count(average: str, problem: Problem) -> None:
    pred, classes = problem.scores.argmax(1), set(range(problem.scores.shape[1]))
    found = generalized_zero_shot_accuracy(pred, problem.target, problem.seen, average)
    for part, value in (
        (set(problem.seen), found.seen),
        (classes - set(problem.seen), found.unseen),
    ):
        direct = direct_accuracy(pred.tolist(), problem.target.tolist(), part, average)
        assert value == pytest.approx(direct, abs=1e-12) and 0 <= value <= 1
    assert found.harmonic == harmonic_mean(found.seen, found.unseen)
    assert isinstance(found, GeneralizedAccuracy) and type(found.seen) is float


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@given(problem=problems())
def test_accuracy_equals_that_of_sklearn(problem: Problem) -> None:
    pred, target = problem.scores.argmax(1).numpy(), problem.target.numpy()
    is_seen = np.isin(target, problem.seen)
    for average, score in (("micro", accuracy_score), ("macro", balanced_accuracy_score)):
        found = generalized_zero_shot_accuracy(
            torch.from_numpy(pred), problem.target, torch.tensor(problem.seen), average
        )
        for part, value in ((is_seen, found.seen), (~is_seen, found.unseen)):
            assert value == pytest.approx(score(target[part], pred[part]), abs=1e-12)


def test_micro_weighs_samples_and_macro_classes() -> None:
    target = torch.tensor([0, 0, 0, 1, 2])
    pred = torch.tensor([0, 0, 0, 0, 2])
    assert generalized_zero_shot_accuracy(pred, target, [0, 1]).seen == 0.75
    assert generalized_zero_shot_accuracy(pred, target, [0, 1], "macro").seen == 0.5


@averages
def test_a_perfect_answer_is_exactly_one(average: str) -> None:
    for n in range(2, 120):
        target = torch.arange(2 * n + 1) % n
        assert generalized_zero_shot_accuracy(target, target, [0], average) == (1.0, 1.0, 1.0)


# --- Curve --------------------------------------------------------------------------------------


@averages
@given(problem=problems())
def test_curve_equals_a_sweep_of_handicaps(average: str, problem: Problem) -> None:
    handicap, seen, unseen = seen_unseen_curve(*problem, average)
    assert handicap.dtype == seen.dtype == unseen.dtype == torch.float64
    assert handicap.shape == seen.shape == unseen.shape == (len(problem.target) + 1,)
    changes = sorted(set(handicap[1:].tolist()))
    between = [(a + b) / 2 for a, b in itertools.pairwise(changes)]
    classes = set(range(problem.scores.shape[1]))
    for gamma in [changes[0] - 1, *changes, *between, changes[-1] + 1]:
        point = int((handicap <= gamma).sum()) - 1
        pred, target = stacked(problem, gamma), problem.target.tolist()
        for part, value in (
            (set(problem.seen), seen[point]),
            (classes - set(problem.seen), unseen[point]),
        ):
            direct = direct_accuracy(pred, target, part, average)
            assert float(value) == pytest.approx(direct, abs=1e-12)


@averages
@given(problem=problems())
def test_curve_runs_from_seen_accuracy_to_zero_shot_accuracy(
    average: str, problem: Problem
) -> None:
    handicap, seen, unseen = seen_unseen_curve(*problem, average)
    assert handicap[0] == -torch.inf and (handicap[1:].diff() >= 0).all()
    assert (seen.diff() <= 0).all() and (unseen.diff() >= 0).all()
    assert unseen[0] == 0 and seen[-1] == 0
    everything = torch.arange(problem.scores.shape[1])
    for part, value in ((True, seen[0]), (False, unseen[-1])):
        outside = torch.isin(everything, torch.tensor(problem.seen)) != part
        among = problem.scores.masked_fill(outside, -torch.inf).argmax(1)
        plain = generalized_zero_shot_accuracy(among, problem.target, problem.seen, average)
        assert float(value) == pytest.approx(plain.seen if part else plain.unseen, abs=1e-12)


def test_curve_takes_any_floating_dtype_and_changes_nothing() -> None:
    scores = normal(9, 4, dtype=torch.bfloat16)
    target, kept = torch.arange(9) % 4, scores.clone()
    half = seen_unseen_curve(scores, target, [0, 1])
    for got, value in zip(half, seen_unseen_curve(scores.double(), target, [0, 1]), strict=True):
        assert torch.equal(got, value)
    assert torch.equal(scores, kept)


# --- Area ---------------------------------------------------------------------------------------


@averages
@given(problem=problems())
def test_area_is_that_of_the_polygon(average: str, problem: Problem) -> None:
    classes = set(range(problem.scores.shape[1]))
    margins = seen_unseen_curve(*problem)[0].tolist()
    points = []
    for gamma in sorted(set(margins)):
        pred, target = stacked(problem, max(gamma, -1e6)), problem.target.tolist()
        points.append(
            [
                direct_accuracy(pred, target, part, average)
                for part in (set(problem.seen), classes - set(problem.seen))
            ]
        )
    polygon = sum((u1 - u0) * (s0 + s1) / 2 for (s0, u0), (s1, u1) in itertools.pairwise(points))
    area = area_under_seen_unseen_curve(*problem, average)
    assert area == pytest.approx(polygon, abs=1e-12)
    assert 0 <= area <= points[0][0] * points[-1][1] + 1e-12 and area <= 1


@averages
@given(problem=problems(), constant=st.integers(-40, 40), factor=st.sampled_from([0.25, 2.0]))
def test_area_does_not_depend_on_scale_or_constants(
    average: str, problem: Problem, constant: int, factor: float
) -> None:
    scores, target, seen = problem
    area = area_under_seen_unseen_curve(*problem, average)
    favoured = scores.clone()
    favoured[:, seen] += constant
    rows = torch.arange(len(target)).unsqueeze(1)
    for other in (scores + constant, scores * factor, favoured, scores + rows):
        assert area_under_seen_unseen_curve(other, target, seen, average) == area


@averages
@given(problem=problems(), seed=st.integers(0, 1000))
def test_area_does_not_depend_on_order(average: str, problem: Problem, seed: int) -> None:
    # Distinct scores: which of two equal ones is the largest does depend on their order.
    generator = torch.Generator().manual_seed(seed)
    scores = problem.scores + torch.rand(problem.scores.shape, generator=generator).double() / 16
    samples = torch.randperm(len(scores), generator=generator)
    names = torch.randperm(scores.shape[1], generator=generator)  # new column c was names[c]
    area = area_under_seen_unseen_curve(scores, problem.target, problem.seen, average)
    again = area_under_seen_unseen_curve(
        scores[samples][:, names],
        names.argsort()[problem.target[samples]],
        names.argsort()[torch.tensor(problem.seen)],
        average,
    )
    assert again == pytest.approx(area, abs=1e-12)


@averages
def test_area_of_a_perfect_and_of_a_useless_classifier(average: str) -> None:
    target = torch.arange(14) % 5
    perfect = 10 * torch.nn.functional.one_hot(target, 5) + normal(14, 5)
    assert area_under_seen_unseen_curve(perfect, target, [0, 3], average) > 1 - 1e-15
    wrong = torch.nn.functional.one_hot((target + 1) % 5, 5).double()
    assert area_under_seen_unseen_curve(wrong, target, [0, 2, 4], average) == 0


def test_area_without_any_sign_of_the_side_is_half_the_square() -> None:
    # Right within each side, and all samples change sides at one handicap.
    target = torch.tensor([0, 1, 2, 3])
    scores = torch.tensor([[1.0, 0, 1, 0], [0, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    assert area_under_seen_unseen_curve(scores, target, [0, 1]) == 0.5


# --- Errors -------------------------------------------------------------------------------------

ACCURACY = {"pred": torch.tensor([0, 1, 2]), "target": torch.tensor([0, 1, 2]), "seen_classes": [0]}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pred": torch.ones(3)}, TypeError, ["pred", "integer", "float32"]),
        ({"target": torch.ones(3).bool()}, TypeError, ["target", "integer", "bool"]),
        ({"pred": [0, 1, 2]}, TypeError, ["pred", "integer", "list"]),
        ({"pred": torch.zeros(3, 1).long()}, ValueError, ["pred", "[n]", "(3, 1)"]),
        ({"pred": torch.tensor([0, 1])}, ValueError, ["pred", "(3,)", "(2,)"]),
        ({"pred": torch.tensor([0, -1, 2])}, ValueError, ["pred", "from 0", "-1"]),
        ({"seen_classes": []}, ValueError, ["target", "seen", "none"]),
        ({"seen_classes": [5]}, ValueError, ["target", "seen", "none"]),
        ({"seen_classes": [0, 1, 2]}, ValueError, ["target", "unseen", "none"]),
        ({"seen_classes": [0.5]}, TypeError, ["seen_classes", "integer", "float32"]),
        ({"seen_classes": [True, False]}, TypeError, ["seen_classes", "integer", "bool"]),
        ({"seen_classes": [-1, 0]}, ValueError, ["seen_classes", "from 0", "-1"]),
        ({"average": "weighted"}, ValueError, ["average", "'micro'", "'macro'", "'weighted'"]),
    ],
)
def test_accuracy_errors(change: dict, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        generalized_zero_shot_accuracy(**{**ACCURACY, **change})
    for word in words:
        assert word in str(caught.value)


CURVE = {"scores": torch.zeros(3, 3), "target": torch.tensor([0, 1, 2]), "seen_classes": [0]}


@pytest.mark.parametrize("function", [seen_unseen_curve, area_under_seen_unseen_curve])
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"scores": torch.zeros(3, 3).long()}, TypeError, ["scores", "int64"]),
        ({"scores": torch.zeros(2, 3)}, ValueError, ["scores", "[3, classes]", "(2, 3)"]),
        ({"scores": torch.zeros(3)}, ValueError, ["scores", "(3,)"]),
        ({"scores": torch.full((3, 3), torch.nan)}, ValueError, ["scores", "finite"]),
        ({"scores": torch.full((3, 3), -torch.inf)}, ValueError, ["scores", "finite"]),
        ({"target": torch.ones(3)}, TypeError, ["target", "integer", "float32"]),
        ({"target": torch.tensor([0, 1, 3])}, ValueError, ["target", "below 3", "got 3"]),
        ({"seen_classes": [0, 7]}, ValueError, ["seen_classes", "below 3", "got 7"]),
        ({"seen_classes": [0, 1, 2]}, ValueError, ["target", "unseen", "none"]),
        ({"seen_classes": []}, ValueError, ["target", "seen", "none"]),
        ({"average": None}, ValueError, ["average", "'micro'", "None"]),
    ],
)
def test_curve_errors(function, change: dict, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        function(**{**CURVE, **change})
    for word in words:
        assert word in str(caught.value)
