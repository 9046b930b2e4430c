"""InfoNCE and the distillation of similarities."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_close
from torch import Tensor

from skelfreq.functional import info_nce, similarity_distillation_loss

sizes = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 7))


def direct_info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> float:
    """Sum over the samples as the formula is written, in plain Python."""
    total = 0.0
    for q, k in zip(query, key, strict=True):

        def similarity(other: Tensor, q: Tensor = q) -> float:
            return math.exp(float(q @ other) / float(q.norm() * other.norm()) / temperature)

        positive = similarity(k)
        total -= math.log(positive / (positive + sum(similarity(m) for m in queue)))
    return total / len(query)


@given(sizes, st.integers(0, 99), st.floats(0.05, 2.0))
def test_info_nce_is_its_formula(size: tuple[int, int, int], seed: int, temperature: float) -> None:
    n, d, k = size
    query, key, queue = (
        normal(n, d, seed=seed),
        normal(n, d, seed=seed + 1),
        normal(k, d, seed=seed),
    )
    loss = info_nce(query, key, queue, temperature)
    assert float(loss) == pytest.approx(
        direct_info_nce(query, key, queue, temperature), rel=1e-9, abs=1e-12
    )
    assert float(loss) >= 0


def test_info_nce_of_an_empty_queue_is_zero() -> None:
    assert info_nce(normal(3, 4), normal(3, 4, seed=1), torch.zeros(0, 4).double()) == 0


def test_info_nce_of_equal_similarities() -> None:
    ones = torch.ones(2, 3)
    assert_close(info_nce(ones, ones, torch.ones(7, 3)), torch.tensor(math.log(8)))


@given(st.integers(0, 99), st.floats(0.1, 100))
def test_info_nce_depends_on_directions_only(seed: int, scale: float) -> None:
    query, key, queue = normal(3, 4, seed=seed), normal(3, 4, seed=seed + 1), normal(5, 4, seed=2)
    assert_close(
        info_nce(scale * query, key / scale, scale * queue), info_nce(query, key, queue), 1e-9
    )


def test_info_nce_gives_a_gradient_to_the_query_only() -> None:
    query, key, queue = (normal(n, 4, seed=n).requires_grad_() for n in (3, 3, 6))
    info_nce(query, key[:3], queue).backward()
    assert query.grad is not None and key.grad is None and queue.grad is None
    fixed = key.detach(), queue.detach()
    assert torch.autograd.gradcheck(lambda q: info_nce(q, *fixed), (query,))


def test_info_nce_descends_towards_the_key() -> None:
    query, key, queue = normal(1, 4).requires_grad_(), normal(1, 4, seed=1), normal(20, 4, seed=2)
    before = torch.cosine_similarity(query, key).item()
    for _ in range(200):
        (gradient,) = torch.autograd.grad(info_nce(query, key, queue), query)
        query = (query - 0.5 * gradient).detach().requires_grad_()
    assert torch.cosine_similarity(query, key).item() > max(before, 0.7)


def test_info_nce_stays_finite() -> None:
    query = torch.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    loss = info_nce(query, -query, query.detach(), temperature=1e-4)
    loss.backward()
    assert loss.isfinite() and query.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_fp32(dtype: torch.dtype) -> None:
    query, key, queue = (normal(n, 8, seed=n).to(dtype) for n in (4, 4, 9))
    loss = info_nce(query, key, queue)
    assert_close(loss, info_nce(query.double(), key.double(), queue.double()), 1e-5)
    divergence = similarity_distillation_loss(query, key)
    assert divergence.dtype == torch.float32


def test_autocast_does_not_round_the_similarities() -> None:
    query, key, queue = (normal(n, 64, seed=n).float() for n in (4, 4, 9))
    exact = info_nce(query.double(), key.double(), queue.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(info_nce(query, key, queue), exact, 1e-5)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 99))
def test_divergence_equals_torch(n: int, k: int, seed: int) -> None:
    student, teacher = normal(n, k, seed=seed), normal(n, k, seed=seed + 1)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=teacher / 0.5),
        torch.distributions.Categorical(logits=student / 2.0),
    ).mean()
    found = similarity_distillation_loss(student, teacher, 2.0, 0.5)
    assert float(found) == pytest.approx(float(expected), abs=1e-10)


@given(st.integers(0, 99), st.floats(0.1, 5), st.floats(-5, 5))
def test_divergence_is_zero_where_distributions_agree(
    seed: int, temperature: float, shift: float
) -> None:
    student = normal(3, 6, seed=seed)
    teacher = (student + shift) * temperature
    loss = similarity_distillation_loss(student, teacher, 1.0, temperature)
    assert 0 <= float(loss) < 1e-12


def test_divergence_gives_a_gradient_to_the_student_only() -> None:
    student, teacher = normal(3, 5).requires_grad_(), normal(3, 5, seed=1).requires_grad_()
    start = similarity_distillation_loss(student, teacher)
    start.backward()
    assert teacher.grad is None
    fixed = teacher.detach()
    assert torch.autograd.gradcheck(lambda s: similarity_distillation_loss(s, fixed), (student,))
    step = (student - student.grad).detach()
    assert similarity_distillation_loss(step, teacher) < start


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.ones(2, 3).long(), torch.ones(2, 3), torch.ones(4, 3)), TypeError, "query must"),
        ((torch.ones(3), torch.ones(3), torch.ones(4, 3)), ValueError, r"query must.*\(3,\)"),
        ((torch.ones(0, 3), torch.ones(0, 3), torch.ones(4, 3)), ValueError, "N ≥ 1"),
        ((torch.ones(2, 3), torch.ones(1, 3), torch.ones(4, 3)), ValueError, "key must have the"),
        ((torch.ones(2, 3), torch.ones(2, 3), torch.ones(4, 2)), ValueError, r"queue must.*K, 3"),
        ((torch.ones(2, 3), torch.ones(2, 3), torch.ones(4, 3), 0.0), ValueError, "temperature"),
    ],
)
def test_info_nce_errors(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        info_nce(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.ones(2, 3).long(), torch.ones(2, 3)), TypeError, "student_logits must"),
        ((torch.ones(2, 0), torch.ones(2, 0)), ValueError, "N and K ≥ 1"),
        ((torch.ones(2, 3), torch.ones(2, 4)), ValueError, "teacher_logits must have the"),
        ((torch.ones(2, 3), torch.ones(2, 3), -1.0), ValueError, "student_temperature"),
        ((torch.ones(2, 3), torch.ones(2, 3), 1.0, 0.0), ValueError, "teacher_temperature"),
    ],
)
def test_divergence_errors(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        similarity_distillation_loss(*arguments)
