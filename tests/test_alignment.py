"""Losses of cross-modal auto-encoders: the published release, transcriptions, laws, extremes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import load_golden, normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import GOLDEN, assert_close
from torch import Tensor

from skelfreq.functional import (
    calibrated_alignment_loss,
    kl_to_standard_normal,
    reparameterize,
)


def shuffled(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def direct_loss(
    target: Tensor, decoded: Tensor, sensitivity: float, negative: list[int] | None
) -> float:
    """Pair by pair, in Python numbers."""

    def distance(a: Tensor, b: Tensor) -> float:
        return sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True))

    terms = []
    for i in range(len(target)):
        other = 0.0 if negative is None else distance(target[i], decoded[negative[i]])
        margin = other - distance(target[i], decoded[i])
        terms.append(1 / (1 + math.exp(margin / sensitivity)))
    return sum(terms) / len(terms)


# --- Calibrated alignment: the published release ------------------------------------------------


@pytest.mark.parametrize("name", ["small", "large_distance"])
@pytest.mark.parametrize("sensitivity", [1, 100])
@pytest.mark.parametrize("term", ["t_cali", "s_cali", "s_cali_symmetric"])
def test_equals_the_release(golden_path: Path, name: str, sensitivity: int, term: str) -> None:
    golden = load_golden(golden_path / f"fsvae_losses_{name}.npz")
    made = "tfroms" if term == "t_cali" else "sfromt"
    target = torch.from_numpy(golden[term[0]])
    decoded = torch.from_numpy(golden[made]).requires_grad_()
    permutation = None if term == "s_cali" else torch.from_numpy(golden[f"{term[0]}_perm"])
    loss = calibrated_alignment_loss(
        target, decoded, sensitivity, permutation, negatives=permutation is not None
    )
    loss.backward()
    assert_close(loss, golden[f"{term}_lmd{sensitivity}"], GOLDEN)
    # Theirs is 0 · inf where exp overflows; the true gradient is 0 there. So is ours below 1e-30.
    stored = golden[f"grad_{term}_{made}_lmd{sensitivity}"]
    overflows = (name, sensitivity, term) == ("large_distance", 1, "s_cali_symmetric")
    assert bool(np.isnan(stored).all() if overflows else np.isfinite(stored).all())
    stored = np.nan_to_num(stored, nan=0.0)
    assert decoded.grad.isfinite().all()
    error = np.abs(decoded.grad.numpy() - stored).max()
    assert error <= GOLDEN * np.abs(stored).max() + 1e-30


# --- Calibrated alignment: laws -----------------------------------------------------------------


@given(
    n=st.integers(1, 7),
    width=st.integers(1, 5),
    sensitivity=st.floats(0.2, 50),
    negative=st.sampled_from(["default", "random", "none"]),
    seed=st.integers(0, 1000),
)
def test_equals_a_direct_loop(
    n: int, width: int, sensitivity: float, negative: str, seed: int
) -> None:
    target, decoded = normal(n, width, seed=seed), normal(n, width, seed=seed + 1)
    permutation = shuffled(n, seed) if negative == "random" else None
    loss = calibrated_alignment_loss(
        target, decoded, sensitivity, permutation, negatives=negative != "none"
    )
    order = {
        "default": [(i + 1) % n for i in range(n)],
        "random": [] if permutation is None else permutation.tolist(),
        "none": None,
    }[negative]
    assert loss.shape == ()
    assert_close(loss, np.array(direct_loss(target, decoded, sensitivity, order)))


@given(
    n=st.integers(1, 8),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    sensitivity=st.floats(0.1, 200),
    seed=st.integers(0, 1000),
)
def test_pair_and_negative_swapped_give_one_minus_the_loss(
    n: int, scale: float, sensitivity: float, seed: int
) -> None:
    target, decoded = normal(n, 3, seed=seed), scale * normal(n, 3, seed=seed + 1)
    permutation = shuffled(n, seed)
    loss = calibrated_alignment_loss(target, decoded, sensitivity, permutation)
    swapped = calibrated_alignment_loss(
        target, decoded[permutation], sensitivity, permutation.argsort()
    )
    assert 0 <= loss <= 1
    assert abs(float(loss + swapped) - 1) < 1e-12


@given(n=st.integers(1, 8), seed=st.integers(0, 1000))
def test_the_order_of_the_batch_does_not_matter(n: int, seed: int) -> None:
    target, decoded = normal(n, 3, seed=seed), normal(n, 3, seed=seed + 1)
    permutation, order = shuffled(n, seed), shuffled(n, seed + 1)
    carried = order.argsort()[permutation[order]]
    loss = calibrated_alignment_loss(target, decoded, 2.0, permutation)
    reordered = calibrated_alignment_loss(target[order], decoded[order], 2.0, carried)
    assert_close(reordered, loss)
    alone = calibrated_alignment_loss(target[order], decoded[order], 2.0, negatives=False)
    assert_close(alone, calibrated_alignment_loss(target, decoded, 2.0, negatives=False))


def test_a_sample_that_is_its_own_negative_adds_one_half_and_no_gradient() -> None:
    target, decoded = normal(3, 4), normal(3, 4, seed=1).requires_grad_()
    permutation = torch.tensor([1, 0, 2])
    loss = calibrated_alignment_loss(target, decoded, 5.0, permutation)
    loss.backward()
    pair = calibrated_alignment_loss(target[:2], decoded[:2], 5.0, permutation[:2])
    assert_close(loss, (2 * pair + 0.5) / 3)
    assert not decoded.grad[2].any() and decoded.grad[:2].any()


def test_the_loss_without_negatives_starts_at_one_half() -> None:
    x = normal(4, 3)
    assert calibrated_alignment_loss(x, x, 1.0, negatives=False) == 0.5
    far = calibrated_alignment_loss(x, x + 1, 1.0, negatives=False)
    further = calibrated_alignment_loss(x, x + 2, 1.0, negatives=False)
    assert 0.5 < far < further < 1


def test_all_axes_but_the_first_are_features() -> None:
    target, decoded = normal(4, 2, 3, 5), normal(4, 2, 3, 5, seed=1)
    loss = calibrated_alignment_loss(target, decoded, 10.0)
    assert_close(loss, calibrated_alignment_loss(target.flatten(1), decoded.flatten(1), 10.0))


@pytest.mark.parametrize("negatives", [True, False])
def test_alignment_gradcheck(negatives: bool) -> None:
    target, decoded = (normal(4, 3, seed=seed).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(
        lambda t, d: calibrated_alignment_loss(t, d, 3.0, negatives=negatives), (target, decoded)
    )


@pytest.mark.parametrize("distance", [30.0, 1e3, 1e6])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_any_distance(
    distance: float, sign: int, dtype: torch.dtype
) -> None:
    # sign 1: every pair matches; -1: every decoding is the negative's.
    target = distance * torch.eye(2, dtype=dtype)
    decoded = (target if sign > 0 else target.flip(0)).clone().requires_grad_()
    loss = calibrated_alignment_loss(target, decoded, 1.0)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0 if sign > 0 else 1.0, abs=1e-30)
    assert decoded.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_computed_in_single_precision(dtype: torch.dtype, autocast: bool) -> None:
    # The squared distances lie above the largest fp16 number.
    target, decoded = (100 * normal(6, 40, seed=seed, dtype=dtype) for seed in (0, 1))
    mu, logvar = normal(6, 4, dtype=dtype), normal(6, 4, seed=1, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = calibrated_alignment_loss(target, decoded, 1e6)
        kl = kl_to_standard_normal(mu, logvar)
    assert loss.dtype == kl.dtype == torch.float32
    assert_close(loss, calibrated_alignment_loss(target.double(), decoded.double(), 1e6))
    assert_close(kl, kl_to_standard_normal(mu.double(), logvar.double()))


def test_the_wider_dtype_is_kept() -> None:
    single, double = normal(3, 4, dtype=torch.float32), normal(3, 4, seed=1)
    assert calibrated_alignment_loss(single, double, 1.0).dtype == torch.float64
    assert calibrated_alignment_loss(double, single, 1.0).dtype == torch.float64
    assert kl_to_standard_normal(single, double).dtype == torch.float64


def test_training_brings_each_target_nearer_to_its_own_decoding() -> None:
    text = normal(12, 6, dtype=torch.float32)
    skeleton = text @ normal(6, 8, seed=1, dtype=torch.float32)
    weights = normal(8, 6, seed=2, dtype=torch.float32).div(10).requires_grad_()

    def share_of_right_pairs() -> float:
        distance = torch.cdist(text, skeleton @ weights.detach())
        return float((distance.diagonal()[:, None] < distance).double().sum() / (12 * 11))

    optimizer = torch.optim.Adam([weights], lr=0.02)
    generator = torch.Generator().manual_seed(0)
    assert share_of_right_pairs() < 0.7
    for _ in range(300):
        order = torch.randperm(12, generator=generator)
        optimizer.zero_grad()
        calibrated_alignment_loss(text, skeleton @ weights, 5.0, order).backward()
        optimizer.step()
    assert share_of_right_pairs() > 0.95


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target": torch.zeros(4, 3).long()}, TypeError, ["target", "int64"]),
        ({"decoded": torch.zeros(4, 3).long()}, TypeError, ["decoded", "int64"]),
        ({"target": [[0.0]]}, TypeError, ["target", "tensor", "list"]),
        ({"target": torch.zeros(4)}, ValueError, ["target", "[N, ...]", "(4,)"]),
        ({"target": torch.zeros(0, 3)}, ValueError, ["target", "N ≥ 1", "(0, 3)"]),
        ({"decoded": torch.zeros(4, 1)}, ValueError, ["decoded", "(4, 3)", "(4, 1)"]),
        ({"sensitivity": 0.0}, ValueError, ["sensitivity", "positive", "0.0"]),
        ({"sensitivity": -1.0}, ValueError, ["sensitivity", "positive", "-1.0"]),
        ({"sensitivity": math.nan}, ValueError, ["sensitivity", "positive", "nan"]),
        ({"permutation": [1, 2, 3, 0]}, TypeError, ["permutation", "integer", "list"]),
        ({"permutation": torch.ones(4)}, TypeError, ["permutation", "integer", "float32"]),
        ({"permutation": torch.ones(4).bool()}, TypeError, ["permutation", "integer", "bool"]),
        ({"permutation": torch.arange(3)}, ValueError, ["permutation", "(4,)", "(3,)"]),
        (
            {"permutation": torch.arange(4), "negatives": False},
            ValueError,
            ["permutation", "None", "negatives=False"],
        ),
    ],
)
def test_alignment_errors(change: dict, error: type[Exception], words: list[str]) -> None:
    arguments = {"target": torch.zeros(4, 3), "decoded": torch.zeros(4, 3), "sensitivity": 1.0}
    with pytest.raises(error) as caught:
        calibrated_alignment_loss(**{**arguments, **change})
    for word in words:
        assert word in str(caught.value)


# --- Kullback–Leibler divergence ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["small", "large_distance"])
def test_divergence_equals_the_release_with_its_sign_turned(golden_path: Path, name: str) -> None:
    golden = load_golden(golden_path / f"fsvae_losses_{name}.npz")
    mu, logvar = (torch.from_numpy(golden[key]).requires_grad_() for key in ("mu1", "logvar1"))
    divergence = kl_to_standard_normal(mu, logvar)
    divergence.backward()
    assert_close(divergence, -golden["KL_divergence"], GOLDEN)
    assert_close(mu.grad, -golden["grad_KL_mu1"], GOLDEN)
    assert_close(logvar.grad, -golden["grad_KL_logvar1"], GOLDEN)


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    scale=st.sampled_from([1e-3, 0.3, 3.0]),
    seed=st.integers(0, 1000),
)
def test_divergence_equals_that_of_torch(shape: list[int], scale: float, seed: int) -> None:
    mu, logvar = scale * normal(*shape, seed=seed), scale * normal(*shape, seed=seed + 1)
    posterior = torch.distributions.Normal(mu, (logvar / 2).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    terms = torch.distributions.kl_divergence(posterior, prior)
    # Theirs subtracts numbers near 1: at small divergences it is the less exact one.
    error = (kl_to_standard_normal(mu, logvar) - terms.flatten(1).sum(1).mean()).abs()
    assert error <= 1e-14 * mu[0].numel() + 1e-12 * terms.sum()


def test_divergence_is_never_negative() -> None:
    magnitudes = torch.logspace(-12, 1, 5001)
    for logvar in (magnitudes, -magnitudes, torch.zeros(1)):
        for value in logvar.split(1):
            assert kl_to_standard_normal(torch.zeros(1, 1), value[None]) >= 0
    assert kl_to_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)) == 0
    assert kl_to_standard_normal(torch.full((2, 3), 1e-3), torch.zeros(2, 3)) > 0


def test_divergence_gradcheck() -> None:
    inputs = tuple(normal(3, 2, seed=seed).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(kl_to_standard_normal, inputs)


# --- Reparameterisation -------------------------------------------------------------------------


def test_samples_have_the_moments() -> None:
    count = 200_000
    mu, logvar = torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([-2.0, 0.0, 1.5])
    drawn = reparameterize(
        mu.expand(count, 3), logvar.expand(count, 3), torch.Generator().manual_seed(0)
    ).double()
    sigma = (logvar / 2).exp().double()
    assert ((drawn.mean(0) - mu).abs() < 5 * sigma / math.sqrt(count)).all()
    assert ((drawn.std(0) / sigma - 1).abs() < 5 / math.sqrt(2 * count)).all()
    # One number per element: the dimensions of a sample do not move together.
    correlation = torch.corrcoef(drawn.T) - torch.eye(3)
    assert (correlation.abs() < 5 / math.sqrt(count)).all()


def test_a_generator_decides_the_sample_and_the_global_one_is_left_alone() -> None:
    mu, logvar = normal(5, 3), normal(5, 3, seed=1)
    state = torch.get_rng_state()
    first, again, other = (
        reparameterize(mu, logvar, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again) and not (first == other).any()
    with torch.random.fork_rng():
        results = []
        for _ in range(2):
            torch.manual_seed(3)
            results.append(reparameterize(mu, logvar))
    assert torch.equal(*results)


def test_gradients_reach_mean_and_variance() -> None:
    mu, logvar = (normal(4, 3, seed=seed).requires_grad_() for seed in (0, 1))
    drawn = reparameterize(mu, logvar, torch.Generator().manual_seed(0))
    drawn.sum().backward()
    assert torch.equal(mu.grad, torch.ones(4, 3, dtype=torch.float64))
    assert_close(logvar.grad, (drawn - mu) / 2)
    assert torch.autograd.gradcheck(
        lambda m, v: reparameterize(m, v, torch.Generator().manual_seed(0)), (mu, logvar)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_samples_have_the_dtype_of_the_mean(dtype: torch.dtype) -> None:
    mu, logvar = normal(4, 3, dtype=dtype), normal(4, 3, seed=1, dtype=dtype)
    drawn = reparameterize(mu, logvar, torch.Generator().manual_seed(0))
    assert drawn.dtype == dtype and drawn.shape == mu.shape
    if dtype != torch.float64:
        wide = reparameterize(mu.float(), logvar.float(), torch.Generator().manual_seed(0))
        assert torch.equal(drawn, wide.to(dtype))
    still = torch.full_like(logvar, -torch.inf)
    assert torch.equal(reparameterize(mu, still), mu)


@pytest.mark.parametrize("function", [kl_to_standard_normal, reparameterize])
@pytest.mark.parametrize(
    ("mu", "logvar", "error", "words"),
    [
        (torch.zeros(2, 3).long(), torch.zeros(2, 3), TypeError, ["mu", "int64"]),
        (torch.zeros(2, 3), torch.zeros(2, 3).long(), TypeError, ["logvar", "int64"]),
        (torch.zeros(3), torch.zeros(3), ValueError, ["mu", "[N, ...]", "(3,)"]),
        (torch.zeros(0, 3), torch.zeros(0, 3), ValueError, ["mu", "N ≥ 1", "(0, 3)"]),
        (torch.zeros(2, 3), torch.zeros(2, 1), ValueError, ["logvar", "(2, 3)", "(2, 1)"]),
    ],
)
def test_latent_errors(
    function, mu: Tensor, logvar: Tensor, error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        function(mu, logvar)
    for word in words:
        assert word in str(caught.value)
