"""Losses of cross-modal auto-encoders: calibrated alignment, KL divergence, sampling."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from conftest import load_golden, normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import GOLDEN, assert_close
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from skelfreq.functional import calibrated_alignment_loss, kl_to_standard_normal, reparameterize

sizes = st.tuples(st.integers(1, 7), st.integers(1, 5))
both_files = pytest.mark.parametrize("name", ["small", "large_distance"])


# --- Published code -----------------------------------------------------------------------------


@both_files
@pytest.mark.parametrize("sensitivity", [1, 100])
@pytest.mark.parametrize("term", ["t_cali", "s_cali", "s_cali_symmetric"])
def test_calibration_equals_the_release(
    golden_path: Path, name: str, sensitivity: int, term: str
) -> None:
    stored = load_golden(golden_path / f"fsvae_losses_{name}.npz")
    z = {key: torch.from_numpy(value) for key, value in stored.items() if value.ndim}
    side, made = ("t", "tfroms") if term == "t_cali" else ("s", "sfromt")
    decoded = z[made].requires_grad_()
    options = {"negatives": False} if term == "s_cali" else {"permutation": z[f"{side}_perm"]}
    loss = calibrated_alignment_loss(z[side], decoded, sensitivity, **options)
    assert_close(loss, stored[f"{term}_lmd{sensitivity}"], GOLDEN)
    loss.backward()
    expected = torch.from_numpy(stored[f"grad_{term}_{made}_lmd{sensitivity}"])
    # The published formula has no gradient where its exp overflows.
    known = expected.isfinite()
    assert decoded.grad.isfinite().all()
    assert bool(known.all()) or (name, sensitivity) == ("large_distance", 1)
    if not bool(known.any()):
        assert not decoded.grad.any()
    elif float(expected[known].abs().max()) > 1e-20:
        assert_close(decoded.grad[known], expected[known], GOLDEN)
    else:  # the sigmoid has rounded to 1
        assert float(decoded.grad.abs().max()) < 1e-20


@both_files
def test_divergence_equals_the_release(golden_path: Path, name: str) -> None:
    stored = load_golden(golden_path / f"fsvae_losses_{name}.npz")
    mu, logvar = (torch.from_numpy(stored[key]).requires_grad_() for key in ("mu1", "logvar1"))
    loss = kl_to_standard_normal(mu, logvar)
    assert_close(loss, -stored["KL_divergence"], GOLDEN)
    loss.backward()
    assert_close(mu.grad, -stored["grad_KL_mu1"], GOLDEN)
    assert_close(logvar.grad, -stored["grad_KL_logvar1"], GOLDEN)


# --- Calibrated alignment -----------------------------------------------------------------------


@given(sizes, st.floats(0.5, 50), st.booleans())
def test_equals_the_definition(size: tuple[int, int], sensitivity: float, own: bool) -> None:
    n, width = size
    target, decoded = normal(n, width), normal(n, width, seed=1)
    negative = torch.randperm(n, generator=torch.Generator().manual_seed(n)).tolist()
    if own:
        negative = [(i + 1) % n for i in range(n)]
    terms = []
    for i in range(n):
        far = float(((target[i] - decoded[negative[i]]) ** 2).sum())
        near = float(((target[i] - decoded[i]) ** 2).sum())
        terms.append(1 / (1 + math.exp((far - near) / sensitivity)))
    permutation = None if own else torch.tensor(negative)
    loss = calibrated_alignment_loss(target, decoded, sensitivity, permutation)
    assert_close(loss, torch.tensor(terms, dtype=torch.float64).mean())
    assert 0 <= float(loss) <= 1


@given(st.integers(1, 4), st.floats(0.5, 20))
def test_a_pair_and_its_mismatch_add_up_to_one(width: int, sensitivity: float) -> None:
    # Two samples, each the other's negative: exchanging the decodings changes the sign of both.
    target, decoded = normal(2, width), normal(2, width, seed=1)
    loss = calibrated_alignment_loss(target, decoded, sensitivity)
    swapped = calibrated_alignment_loss(target, decoded.flip(0), sensitivity)
    assert_close(loss + swapped, torch.ones((), dtype=torch.float64))


@given(st.integers(2, 9), st.booleans())
def test_order_does_not_matter(n: int, negatives: bool) -> None:
    target, decoded = normal(n, 4).requires_grad_(), normal(n, 4, seed=1).requires_grad_()
    generator = torch.Generator().manual_seed(n)
    negative, order = (torch.randperm(n, generator=generator) for _ in range(2))
    # Sample order[i] comes i-th; its negative must be permuted alike.
    moved = order.argsort()[negative[order]] if negatives else None
    first = calibrated_alignment_loss(
        target, decoded, 5.0, negative if negatives else None, negatives=negatives
    )
    second = calibrated_alignment_loss(
        target[order], decoded[order], 5.0, moved, negatives=negatives
    )
    assert_close(second, first)
    for a, b in zip(
        torch.autograd.grad(first, [target, decoded]),
        torch.autograd.grad(second, [target, decoded]),
        strict=True,
    ):
        assert_close(a, b)


def test_the_default_negative_is_the_next_sample() -> None:
    target, decoded = normal(5, 3), normal(5, 3, seed=1)
    expected = calibrated_alignment_loss(target, decoded, 2.0, torch.tensor([1, 2, 3, 4, 0]))
    assert torch.equal(calibrated_alignment_loss(target, decoded, 2.0), expected)


def test_a_sample_as_its_own_negative_gives_a_half_and_no_gradient() -> None:
    target, decoded = normal(4, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    loss = calibrated_alignment_loss(target, decoded, 2.0, torch.arange(4))
    assert loss == 0.5
    loss.backward()
    assert not target.grad.any() and not decoded.grad.any()
    decoded.grad = None
    calibrated_alignment_loss(target, decoded, 2.0, torch.tensor([0, 2, 1, 3])).backward()
    assert decoded.grad.any(1).tolist() == [False, True, True, False]


def test_better_pairs_lower_the_loss() -> None:
    target, noise = 5 * normal(6, 8), normal(6, 8, seed=1)
    losses = [
        float(calibrated_alignment_loss(target, target + scale * noise, 20.0))
        for scale in (0.0, 3.0, 10.0, 30.0)
    ]
    assert losses == sorted(losses) and losses[0] < 0.05
    positive = [
        float(calibrated_alignment_loss(target, target + s * noise, 20.0, negatives=False))
        for s in (0.0, 3.0, 10.0)
    ]
    assert positive[0] == 0.5 and positive == sorted(positive) and positive[-1] < 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("negatives", [True, False])
def test_gradients_stay_finite_at_any_distance(dtype: torch.dtype, negatives: bool) -> None:
    for scale in (1.0, 100.0, 10_000.0):
        target = (scale * normal(4, 8)).to(dtype)
        decoded = (scale * normal(4, 8, seed=1)).to(dtype).requires_grad_()
        loss = calibrated_alignment_loss(target, decoded, 1e-3, negatives=negatives)
        loss.backward()
        assert loss.isfinite() and 0 <= float(loss.detach()) <= 1
        assert decoded.grad.isfinite().all() and decoded.grad.dtype == dtype


def test_calibration_gradcheck() -> None:
    inputs = normal(4, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda t, d: calibrated_alignment_loss(t, d, 3.0, torch.tensor([2, 0, 1, 3])), inputs
    )
    assert torch.autograd.gradcheck(
        lambda t, d: calibrated_alignment_loss(t, d, 3.0, negatives=False), inputs
    )


@given(st.integers(1, 5))
def test_further_axes_are_features(n: int) -> None:
    target, decoded = normal(n, 2, 3, 4), normal(n, 2, 3, 4, seed=1)
    flat = calibrated_alignment_loss(target.flatten(1), decoded.flatten(1), 9.0)
    assert torch.equal(calibrated_alignment_loss(target, decoded, 9.0), flat)


def test_losses_under_autocast_and_in_half_precision() -> None:
    target, decoded = normal(6, 16, dtype=torch.bfloat16), normal(6, 16, seed=1).bfloat16()
    exact = calibrated_alignment_loss(target.double(), decoded.double(), 20.0)
    divergence = kl_to_standard_normal(target.double(), decoded.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = calibrated_alignment_loss(target, decoded, 20.0)
        kl = kl_to_standard_normal(target, decoded)
    assert loss.dtype == kl.dtype == torch.float32
    assert_close(loss, exact)
    assert_close(kl, divergence)
    mixed = calibrated_alignment_loss(target.double(), decoded, 20.0)
    assert mixed.dtype == torch.float64


def test_alignment_trains_two_linear_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(64, 4, generator=generator)
    text = latent @ torch.randn(4, 12, generator=generator)
    skeleton = latent @ torch.randn(4, 9, generator=generator)
    decoder = torch.zeros(9, 12, requires_grad=True)
    optimizer = torch.optim.Adam([decoder], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        negative = torch.randperm(64, generator=generator)
        calibrated_alignment_loss(text, skeleton @ decoder, 5.0, negative).backward()
        optimizer.step()
    made = (skeleton @ decoder).detach()
    nearest = torch.cdist(made, text).argmin(1)
    assert float((nearest == torch.arange(64)).float().mean()) > 0.8


# --- KL divergence ------------------------------------------------------------------------------


@given(sizes, st.floats(0.1, 4))
def test_divergence_equals_torch_distributions(size: tuple[int, int], spread: float) -> None:
    mu, logvar = normal(*size), spread * normal(*size, seed=1)
    zero = torch.zeros_like(mu)
    expected = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(zero, zero + 1))
    assert_close(kl_to_standard_normal(mu, logvar), expected.sum(1).mean())
    wide = kl_to_standard_normal(mu[:, None, :, None], logvar[:, None, :, None])
    assert_close(wide, expected.sum(1).mean())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_divergence_is_never_negative(dtype: torch.dtype) -> None:
    zero = torch.zeros(3, 4, dtype=dtype)
    assert kl_to_standard_normal(zero, zero) == 0
    for scale in (1e-12, 1e-8, 1e-6, 1e-4, 1e-2):
        assert kl_to_standard_normal(zero, scale * normal(3, 4, dtype=dtype)) >= 0


def test_divergence_gradcheck() -> None:
    inputs = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(kl_to_standard_normal, inputs)


# --- Sampling -----------------------------------------------------------------------------------


def test_samples_have_the_moments() -> None:
    n = 200_000
    mu = torch.tensor([-1.0, 0.0, 3.0], dtype=torch.float64).expand(n, 3)
    logvar = torch.tensor([0.0, -2.0, 1.0], dtype=torch.float64).expand(n, 3)
    z = reparameterize(mu, logvar, torch.Generator().manual_seed(0))
    sigma = (logvar[0] / 2).exp()
    assert bool(((z.mean(0) - mu[0]).abs() < 5 * sigma / n**0.5).all())
    assert bool(((z.std(0) / sigma - 1).abs() < 5 / (2 * n) ** 0.5).all())
    # One number of noise per element: the latent dimensions are independent.
    correlation = torch.corrcoef(z.T) - torch.eye(3)
    assert float(correlation.abs().max()) < 5 / n**0.5


def test_samples_repeat_and_leave_the_global_generator_alone() -> None:
    mu, logvar = normal(4, 5), normal(4, 5, seed=1)
    before = torch.get_rng_state()
    draws = [reparameterize(mu, logvar, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert torch.equal(reparameterize(mu, logvar), draws[0])


def test_samples_carry_gradients() -> None:
    def draw(mu: Tensor, logvar: Tensor) -> Tensor:
        return reparameterize(mu, logvar, torch.Generator().manual_seed(0))

    inputs = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(draw, inputs)
    kept = inputs[0].detach().clone()
    draw(*inputs)
    assert torch.equal(inputs[0], kept)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_samples_keep_the_dtype(dtype: torch.dtype) -> None:
    mu = normal(4, 5, dtype=dtype)
    z = reparameterize(mu, torch.zeros_like(mu), torch.Generator().manual_seed(0))
    assert z.dtype == dtype and z.shape == mu.shape


# --- Errors -------------------------------------------------------------------------------------

T = torch.zeros(4, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((T.long(), T, 1.0), {}, TypeError, "target must have a real"),
        ((T, T.long(), 1.0), {}, TypeError, "decoded must have a real"),
        ((T[0], T[0], 1.0), {}, ValueError, r"target must have shape \[N, ...\], N ≥ 1"),
        ((T[:0], T[:0], 1.0), {}, ValueError, r"target must have shape \[N, ...\], N ≥ 1"),
        ((T, T[:2], 1.0), {}, ValueError, r"decoded must have the target's shape \(4, 3\)"),
        ((T, T, 0.0), {}, ValueError, "sensitivity must be positive, got 0.0"),
        ((T, T, float("nan")), {}, ValueError, "sensitivity must be positive, got nan"),
        ((T, T, 1.0, torch.ones(4)), {}, TypeError, "permutation must be an integer tensor"),
        ((T, T, 1.0, torch.ones(4).bool()), {}, TypeError, "permutation must be an integer"),
        ((T, T, 1.0, torch.arange(3)), {}, ValueError, r"permutation must have shape \(4,\)"),
        (
            (T, T, 1.0, torch.arange(4)),
            {"negatives": False},
            ValueError,
            "permutation must be None with negatives=False",
        ),
    ],
)
def test_calibration_errors(
    arguments: tuple, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        calibrated_alignment_loss(*arguments, **options)


@pytest.mark.parametrize("function", [kl_to_standard_normal, reparameterize])
@pytest.mark.parametrize(
    ("mu", "logvar", "error", "message"),
    [
        (T.long(), T, TypeError, "mu must have a real"),
        (T, T.long(), TypeError, "logvar must have a real"),
        (T[0], T[0], ValueError, r"mu must have shape \[N, ...\], N ≥ 1"),
        (T[:0], T[:0], ValueError, r"mu must have shape \[N, ...\], N ≥ 1"),
        (T, T[:2], ValueError, r"logvar must have the shape of mu, \(4, 3\), got \(2, 3\)"),
    ],
)
def test_latent_errors(function, mu: Tensor, logvar: Tensor, error, message: str) -> None:
    with pytest.raises(error, match=message):
        function(mu, logvar)
