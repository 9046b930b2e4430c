"""Measures of generalised zero-shot recognition."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
import torch
from conftest import normal
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from tolerances import assert_close
from torch import Tensor

from skelfreq.functional import (
    area_under_seen_unseen_curve,
    generalized_zero_shot_accuracy,
    harmonic_mean,
    seen_unseen_curve,
)

averages = st.sampled_from(["micro", "macro"])
each_average = pytest.mark.parametrize("average", ["micro", "macro"])
CLASSES, SEEN = 6, [0, 2, 3, 5]


def integers(high: int, n: int, seed: int) -> Tensor:
    return torch.randint(high, (n,), generator=torch.Generator().manual_seed(seed))


def labels(n: int, seed: int) -> Tensor:
    """Draw true classes, at least one of the seen and one of the unseen."""
    target = integers(CLASSES, n, seed)
    target[:2] = torch.tensor([0, 1])
    return target


# --- Harmonic mean ------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(0, 1))
def test_harmonic_mean_equals_the_standard_library(seen: float, unseen: float) -> None:
    value = harmonic_mean(seen, unseen)
    assert value == pytest.approx(statistics.harmonic_mean([seen, unseen]), rel=1e-12, abs=1e-150)
    assert value <= 2 * min(seen, unseen) + 1e-15
    assert min(seen, unseen) - 1e-15 <= value <= max(seen, unseen) + 1e-15 or seen * unseen == 0
    assert value == harmonic_mean(unseen, seen)


def test_harmonic_mean_of_tensors() -> None:
    seen = torch.tensor([0.6, 0.0, 0.0, 1.0], dtype=torch.float64)
    unseen = torch.tensor([0.3, 0.0, 0.5, 1.0], dtype=torch.float64)
    expected = [harmonic_mean(s, u) for s, u in zip(seen.tolist(), unseen.tolist(), strict=True)]
    assert harmonic_mean(seen, unseen).tolist() == expected
    assert harmonic_mean(seen[:, None], unseen[None]).shape == (4, 4)
    seen.requires_grad_()
    harmonic_mean(seen, unseen).sum().backward()
    assert seen.grad.isfinite().all()


@pytest.mark.parametrize("pair", [(-0.1, 0.5), (0.5, -0.1)])
def test_harmonic_mean_errors(pair: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="seen and unseen must be at least 0"):
        harmonic_mean(*pair)


# --- Accuracies ---------------------------------------------------------------------------------


def direct(pred: Tensor, target: Tensor, classes: list[int], average: str) -> float:
    """Accuracy on the samples of ``classes``, counted one by one."""
    pairs = [(p, t) for p, t in zip(pred.tolist(), target.tolist(), strict=True) if t in classes]
    if average == "micro":
        return sum(p == t for p, t in pairs) / len(pairs)
    present = sorted({t for _, t in pairs})
    rates = [statistics.mean(float(p == t) for p, t in pairs if t == c) for c in present]
    return statistics.mean(rates)


@given(st.integers(2, 60), st.integers(0, 2**16), averages)
def test_accuracy_equals_counting(n: int, seed: int, average: str) -> None:
    target, pred = labels(n, seed), integers(CLASSES, n, seed + 1)
    result = generalized_zero_shot_accuracy(pred, target, SEEN, average)
    unseen = [c for c in range(CLASSES) if c not in SEEN]
    assert result.seen == pytest.approx(direct(pred, target, SEEN, average), abs=1e-12)
    assert result.unseen == pytest.approx(direct(pred, target, unseen, average), abs=1e-12)
    assert result.harmonic == harmonic_mean(result.seen, result.unseen)
    assert result.harmonic <= 2 * min(result.seen, result.unseen) + 1e-12
    assert isinstance(result.seen, float)
    given_as_tensor = generalized_zero_shot_accuracy(pred, target, torch.tensor(SEEN), average)
    assert given_as_tensor == result


# sklearn warns of predictions outside the classes of a part, which are frequent here.
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.parametrize("seed", range(5))
def test_accuracy_equals_sklearn(seed: int) -> None:
    target = labels(200, seed)
    pred = torch.where(integers(3, 200, seed + 1) > 0, target, integers(CLASSES, 200, seed + 2))
    is_seen = torch.isin(target, torch.tensor(SEEN))
    for average, score in (("micro", accuracy_score), ("macro", balanced_accuracy_score)):
        result = generalized_zero_shot_accuracy(pred, target, SEEN, average)
        for got, part in ((result.seen, is_seen), (result.unseen, ~is_seen)):
            assert got == pytest.approx(score(target[part], pred[part]), abs=1e-12)


def test_macro_counts_classes_and_micro_samples() -> None:
    target = torch.tensor([0, 0, 0, 1, 2])
    pred = torch.tensor([0, 0, 0, 0, 2])
    assert generalized_zero_shot_accuracy(pred, target, [0, 1]).seen == 0.75
    assert generalized_zero_shot_accuracy(pred, target, [0, 1], "macro").seen == 0.5


@pytest.mark.parametrize(
    ("pred", "target", "seen", "average", "error", "message"),
    [
        ([0.0, 1.0], [0, 1], [0], "micro", TypeError, "pred must be an integer tensor"),
        ([0, 1], [0.0, 1.0], [0], "micro", TypeError, "target must be an integer tensor"),
        ([True, False], [0, 1], [0], "micro", TypeError, "pred must be an integer tensor"),
        ([0, 1, 1], [0, 1], [0], "micro", ValueError, r"pred must have the target's shape"),
        ([[0, 1]], [[0, 1]], [0], "micro", ValueError, r"pred must have shape \[n\]"),
        ([-1, 1], [0, 1], [0], "micro", ValueError, "pred must hold class numbers from 0, got -1"),
        ([0, 1], [0, 1], [2], "micro", ValueError, "target must hold samples of seen classes"),
        ([0, 1], [0, 1], [0, 1], "micro", ValueError, "target must hold samples of unseen"),
        ([0, 1], [0, 1], [0], "mean", ValueError, "average must be one of 'micro', 'macro'"),
    ],
)
def test_accuracy_errors(pred, target, seen, average, error, message) -> None:
    with pytest.raises(error, match=message):
        generalized_zero_shot_accuracy(torch.tensor(pred), torch.tensor(target), seen, average)


def test_lists_raise() -> None:
    with pytest.raises(TypeError, match="pred must be an integer tensor, got list"):
        generalized_zero_shot_accuracy([0, 1], torch.tensor([0, 1]), [0])


# --- The curve ----------------------------------------------------------------------------------


def at(scores: Tensor, target: Tensor, handicap: float, average: str) -> tuple[float, float]:
    """Accuracies after ``handicap`` has been subtracted; a tie goes to the unseen class."""
    unseen = [c for c in range(scores.shape[1]) if c not in SEEN]
    columns = [*unseen, *SEEN]  # argmax takes the first of equals
    moved = scores.double().clone()
    moved[:, SEEN] -= handicap
    pred = torch.tensor(columns)[moved[:, columns].argmax(1)]
    return generalized_zero_shot_accuracy(pred, target, SEEN, average)[:2]


@given(st.integers(2, 25), st.integers(0, 2**16), averages, st.booleans())
def test_curve_equals_a_sweep(n: int, seed: int, average: str, ties: bool) -> None:
    target, scores = labels(n, seed), normal(n, CLASSES, seed=seed)
    if ties:
        scores = scores.mul(2).round()
    handicap, seen, unseen = seen_unseen_curve(scores, target, SEEN, average)
    assert handicap.shape == seen.shape == unseen.shape == (n + 1,)
    assert all(v.dtype == torch.float64 for v in (handicap, seen, unseen))
    assert handicap[0] == -torch.inf and bool((handicap[1:] >= handicap[:-1])[1:].all())
    assert bool((seen[1:] <= seen[:-1]).all()) and bool((unseen[1:] >= unseen[:-1]).all())
    for i, value in enumerate(handicap.tolist()):
        following = handicap[i + 1] if i < n else value + 2
        if following == value:
            continue  # several samples change here: the last of them is the point
        point = (float(seen[i]), float(unseen[i]))
        between = float(following) - 1 if i == 0 else (value + float(following)) / 2
        tries = [between] if i == 0 or not ties else [value, between]
        for gamma in tries:
            assert at(scores, target, gamma, average) == pytest.approx(point, abs=1e-12)


@given(st.integers(2, 40), st.integers(0, 2**16), averages)
def test_ends_of_the_curve(n: int, seed: int, average: str) -> None:
    target, scores = labels(n, seed), normal(n, CLASSES, seed=seed)
    _, seen, unseen = seen_unseen_curve(scores, target, SEEN, average)
    assert unseen[0] == 0 and float(seen[-1]) == pytest.approx(0, abs=1e-12)
    assert (float(seen[0]), 0) == pytest.approx(at(scores, target, -1e6, average), abs=1e-12)
    assert (0, float(unseen[-1])) == pytest.approx(at(scores, target, 1e6, average), abs=1e-12)
    area = area_under_seen_unseen_curve(scores, target, SEEN, average)
    assert 0 <= area <= float(seen[0] * unseen[-1]) + 1e-12
    # A shift of all seen scores changes the handicaps and nothing else.
    moved = scores.clone()
    moved[:, SEEN] += 3
    assert area_under_seen_unseen_curve(moved, target, SEEN, average) == pytest.approx(area)


@given(st.integers(2, 25), st.integers(0, 2**16), averages, st.booleans())
def test_area_equals_the_trapezoids_of_a_sweep(n: int, seed: int, average: str, ties: bool) -> None:
    target, scores = labels(n, seed), normal(n, CLASSES, seed=seed)
    if ties:
        scores = scores.mul(2).round()
    unseen_columns = [c for c in range(CLASSES) if c not in SEEN]
    margins = scores[:, SEEN].amax(1) - scores[:, unseen_columns].amax(1)
    values = sorted(set(margins.tolist()))
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    points = [
        at(scores, target, gamma, average) for gamma in (values[0] - 1, *middles, values[-1] + 1)
    ]
    expected = sum((b[1] - a[1]) * (a[0] + b[0]) / 2 for a, b in pairwise(points))
    # Integrated over the unseen accuracy, which rises.
    area = area_under_seen_unseen_curve(scores, target, SEEN, average)
    assert area == pytest.approx(expected, abs=1e-12)


@each_average
def test_perfect_and_useless_scores(average: str) -> None:
    target = torch.arange(30) % CLASSES
    perfect = torch.nn.functional.one_hot(target, CLASSES).double()
    assert area_under_seen_unseen_curve(perfect, target, SEEN, average) == pytest.approx(1)
    assert area_under_seen_unseen_curve(-perfect, target, SEEN, average) == 0
    # Right within both groups, which are not distinguished: the area of a triangle.
    tied = perfect.clone()
    for row, label in enumerate(target.tolist()):
        tied[row, 1 if label in SEEN else 0] = 1
    assert area_under_seen_unseen_curve(tied, target, SEEN, average) == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_curve_of_low_precision_scores_is_exact(dtype: torch.dtype) -> None:
    target, scores = labels(30, 0), normal(30, CLASSES, dtype=dtype)
    for got, value in zip(
        seen_unseen_curve(scores, target, SEEN),
        seen_unseen_curve(scores.double(), target, SEEN),
        strict=True,
    ):
        assert torch.equal(got, value)


def test_curve_does_not_change_its_input() -> None:
    target, scores = labels(10, 0), normal(10, CLASSES)
    kept = scores.clone(), target.clone()
    seen_unseen_curve(scores, target, torch.tensor(SEEN))
    assert torch.equal(scores, kept[0]) and torch.equal(target, kept[1])
    assert_close(
        seen_unseen_curve(scores, target, torch.tensor(SEEN))[1],
        seen_unseen_curve(scores, target, SEEN)[1],
    )


S = torch.zeros(2, 3)
TWO = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("scores", "target", "seen", "error", "message"),
    [
        (S.long(), TWO, [0], TypeError, "scores must have a real"),
        (S, TWO.double(), [0], TypeError, "target must be an integer tensor"),
        (S[0], TWO, [0], ValueError, r"scores must have shape \[2, classes\], got \(3,\)"),
        (S[:1], TWO, [0], ValueError, r"scores must have shape \[2, classes\], got \(1, 3\)"),
        (S / 0, TWO, [0], ValueError, "scores must be finite"),
        (S + torch.inf, TWO, [0], ValueError, "scores must be finite"),
        (S[:, :1], torch.tensor([0, 1]), [0], ValueError, "target must lie below 1, the columns"),
        (S, TWO, [2], ValueError, "target must hold samples of seen classes, got none"),
    ],
)
@pytest.mark.parametrize("function", [seen_unseen_curve, area_under_seen_unseen_curve])
def test_curve_errors(function, scores, target, seen, error, message) -> None:
    with pytest.raises(error, match=message):
        function(scores, target, seen)


def test_tied_margins_are_one_point() -> None:
    scores, target = torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.tensor([1, 0])
    for order in ([0, 1], [1, 0]):
        _, seen, unseen = seen_unseen_curve(scores[order], target[order], [0])
        assert seen.tolist() == [1, 0, 0] and unseen.tolist() == [0, 1, 1]


def test_seen_classes_may_be_a_set() -> None:
    scores, target = torch.eye(3)[[0, 1, 2, 1]], torch.tensor([0, 1, 2, 2])
    assert generalized_zero_shot_accuracy(
        scores.argmax(1), target, {0, 1}
    ) == generalized_zero_shot_accuracy(scores.argmax(1), target, [0, 1])
    for got, value in zip(
        seen_unseen_curve(scores, target, {0, 1}),
        seen_unseen_curve(scores, target, [0, 1]),
        strict=True,
    ):
        assert torch.equal(got, value)
