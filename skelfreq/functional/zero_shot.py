"""Measures of generalised zero-shot recognition: accuracy on seen and on unseen classes."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from skelfreq._checks import check_floating, check_integer, check_number, check_option

_Number = TypeVar("_Number", float, Tensor)

AVERAGES = ("micro", "macro")


class GeneralizedAccuracy(NamedTuple):
    """Accuracies in [0, 1]: on samples of seen classes, of unseen ones, and their harmonic mean.

    Attributes
    ----------
    seen, unseen : float
        S and U, each decided among all classes.
    harmonic : float
        H, their :func:`harmonic_mean`.

    Notes
    -----
    Source: Xian et al., zero-shot learning evaluation (TPAMI 2019).
    """

    seen: float
    unseen: float
    harmonic: float


def harmonic_mean(seen: _Number, unseen: _Number) -> _Number:
    """Harmonic mean ``2SU / (S + U)`` of two accuracies.

    Parameters
    ----------
    seen, unseen : float or Tensor
        Accuracies ≥ 0, both numbers or tensors that broadcast.

    Returns
    -------
    float or Tensor
        H, between min(S, U) and 2·min(S, U); 0 where both are 0.

    Raises
    ------
    ValueError
        A number is negative.

    Notes
    -----
    Cost: O(1) per pair. Source: Xian et al., zero-shot learning evaluation (TPAMI 2019).

    Examples
    --------
    >>> harmonic_mean(0.6, 0.3)
    0.4
    >>> harmonic_mean(0.0, 0.0)
    0.0
    """
    if isinstance(seen, Tensor) or isinstance(unseen, Tensor):
        total = torch.as_tensor(seen + unseen)
        return torch.where(total == 0, 0, 2 * seen * unseen / torch.where(total == 0, 1, total))
    if min(check_number("seen", seen), check_number("unseen", unseen)) < 0:
        raise ValueError(f"seen and unseen must be at least 0, got {seen} and {unseen}.")
    return 0.0 if seen + unseen == 0 else 2 * seen * unseen / (seen + unseen)


def generalized_zero_shot_accuracy(
    pred: Tensor, target: Tensor, seen_classes: Collection[int] | Tensor, average: str = "micro"
) -> GeneralizedAccuracy:
    """Accuracy on seen classes, on unseen classes, and their harmonic mean.

    Parameters
    ----------
    pred, target : Tensor
        Integer [n], predicted and true class numbers, among all classes.
    seen_classes : collection of int, or Tensor
        Class numbers seen in training; every other one is unseen.
    average : {"micro", "macro"}
        Mean over samples, or mean over the classes that occur in ``target``.

    Returns
    -------
    GeneralizedAccuracy
        ``seen``, ``unseen``, ``harmonic``.

    Raises
    ------
    TypeError
        ``pred``, ``target`` or ``seen_classes`` is not integer.
    ValueError
        Shapes differ; no sample of a seen or of an unseen class; an unknown average.

    Notes
    -----
    Cost: O(n · classes). Source: Xian et al. (macro); SynSE and the works after it (micro).

    Examples
    --------
    >>> pred, target = torch.tensor([0, 0, 2, 1]), torch.tensor([0, 1, 2, 2])
    >>> generalized_zero_shot_accuracy(pred, target, seen_classes=[0, 1])
    GeneralizedAccuracy(seen=0.5, unseen=0.5, harmonic=0.5)
    """
    for name, value in (("pred", pred), ("target", target)):
        _check_classes(name, value)
    if pred.shape != target.shape:
        raise ValueError(
            f"pred must have the target's shape {tuple(target.shape)}, got {tuple(pred.shape)}."
        )
    # Two sums of the same terms, so that a perfect answer is exactly 1.
    seen, unseen = (
        float(((pred == target) * weight).sum() / weight.sum())
        for weight in _weights(target, seen_classes, average)
    )
    return GeneralizedAccuracy(seen, unseen, harmonic_mean(seen, unseen))


def seen_unseen_curve(
    scores: Tensor, target: Tensor, seen_classes: Collection[int] | Tensor, average: str = "micro"
) -> tuple[Tensor, Tensor, Tensor]:
    """Accuracies on seen and unseen classes for every handicap of the seen classes' scores.

    Calibrated stacking subtracts a handicap γ from the scores of seen classes before the largest
    score is taken. All γ at which a decision changes are tried, so the curve is exact.

    Parameters
    ----------
    scores : Tensor
        [n, K], larger is more likely; probabilities or logits, finite.
    target : Tensor
        Integer [n].
    seen_classes : collection of int, or Tensor
        Columns of the seen classes.
    average : {"micro", "macro"}
        As :func:`generalized_zero_shot_accuracy`.

    Returns
    -------
    handicap, seen, unseen : Tensor
        fp64 [n + 1]; at ``handicap[i]`` and up to the next one, accuracies ``seen[i]``, falling,
        and ``unseen[i]``, rising. ``handicap[0]`` is −∞.

    Raises
    ------
    TypeError
        ``scores`` is not real floating point, ``target`` or ``seen_classes`` not integer.
    ValueError
        Shapes do not agree; a score is not finite; a class has no column; no sample of a seen or
        of an unseen class; an unknown average.

    Notes
    -----
    Where a seen and an unseen class tie, the unseen one wins. Cost: O(n K + n log n).
    Source: Chao et al., "An empirical study and analysis of generalized zero-shot learning"
    (ECCV 2016).

    Examples
    --------
    >>> scores = torch.tensor([[2.0, 1.0], [3.0, 1.0]])
    >>> seen_unseen_curve(scores, torch.tensor([0, 1]), seen_classes=[0])[1:]
    (tensor([1., 0., 0.], dtype=torch.float64), tensor([0., 0., 1.], dtype=torch.float64))
    """
    check_floating("scores", scores)
    _check_classes("target", target)
    if scores.ndim != 2 or scores.shape[0] != target.shape[0]:
        raise ValueError(
            f"scores must have shape [{target.shape[0]}, classes], got {tuple(scores.shape)}."
        )
    if not bool(scores.isfinite().all()):
        raise ValueError("scores must be finite, got NaN or infinity.")
    seen_weight, unseen_weight = _weights(target, seen_classes, average)
    classes, named = scores.shape[1], _named(seen_classes, scores.device)
    for name, values in (("target", target), ("seen_classes", named)):
        if int(values.max()) >= classes:
            raise ValueError(
                f"{name} must lie below {classes}, the columns of scores, got {int(values.max())}."
            )
    is_seen = torch.isin(torch.arange(classes, device=scores.device), named)
    work = scores.double()
    best_seen, as_seen = work.masked_fill(~is_seen, -torch.inf).max(1)
    best_unseen, as_unseen = work.masked_fill(is_seen, -torch.inf).max(1)
    handicap, order = (best_seen - best_unseen).sort()
    # A sample counts as seen while the handicap is below its margin.
    lost = ((as_seen == target) * seen_weight)[order].cumsum(0)
    won = ((as_unseen == target) * unseen_weight)[order].cumsum(0)
    zero = lost.new_zeros(1)
    # The same order of summing: no accuracy exceeds 1.
    seen = (lost[-1] - torch.cat([zero, lost])) / seen_weight[order].cumsum(0)[-1]
    unseen = torch.cat([zero, won]) / unseen_weight[order].cumsum(0)[-1]
    handicap = torch.cat([zero - torch.inf, handicap])
    # Samples with equal margins change at the same handicap.
    last = torch.searchsorted(handicap, handicap, right=True) - 1
    return handicap, seen[last], unseen[last]


def area_under_seen_unseen_curve(
    scores: Tensor, target: Tensor, seen_classes: Collection[int] | Tensor, average: str = "micro"
) -> float:
    """Area under :func:`seen_unseen_curve` (AUSUC): zero-shot quality without a choice of handicap.

    Parameters
    ----------
    scores, target, seen_classes, average
        As :func:`seen_unseen_curve`.

    Returns
    -------
    float
        In [0, 1]; by the trapezoidal rule over all points of the curve.

    Raises
    ------
    TypeError, ValueError
        As :func:`seen_unseen_curve`.

    Notes
    -----
    Never above the best S times the best U. Cost: that of the curve. Source: Chao et al. (ECCV
    2016).

    Examples
    --------
    >>> scores = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> area_under_seen_unseen_curve(scores, torch.tensor([0, 1]), seen_classes=[0])
    1.0
    """
    _, seen, unseen = seen_unseen_curve(scores, target, seen_classes, average)
    return min(float(torch.trapezoid(seen, unseen)), 1.0)  # its sum is rounded


def _check_classes(name: str, value: Tensor) -> None:
    check_integer(name, value)
    if value.ndim != 1:
        raise ValueError(f"{name} must have shape [n], got {tuple(value.shape)}.")
    if value.numel() and int(value.min()) < 0:
        raise ValueError(f"{name} must hold class numbers from 0, got {int(value.min())}.")


def _named(classes: Collection[int] | Tensor, device: torch.device) -> Tensor:
    """Return class numbers as a tensor; torch cannot read a set."""
    return torch.as_tensor(classes if isinstance(classes, Tensor) else [*classes], device=device)


def _weights(
    target: Tensor, seen_classes: Collection[int] | Tensor, average: str
) -> tuple[Tensor, Tensor]:
    """Return what each sample counts in the accuracy on seen and on unseen classes."""
    check_option("average", average, AVERAGES)
    named = _named(seen_classes, target.device)
    if named.numel():  # an empty list has no integer dtype
        _check_classes("seen_classes", named)
    is_seen = torch.isin(target, named)
    weights = []
    for name, part in (("seen", is_seen), ("unseen", ~is_seen)):
        if not bool(part.any()):
            raise ValueError(f"target must hold samples of {name} classes, got none.")
        weight = part.double()
        if average == "macro":
            weight = weight / target.bincount()[target]
        weights.append(weight)
    return weights[0], weights[1]
