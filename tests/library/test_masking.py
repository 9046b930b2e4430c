"""Multi-tube masks: counts, distribution, and the way to the visible tokens and back."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from conftest import normal
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from skelfreq import TubeMask, TubeMasking
from skelfreq.functional import tube_mask

# A fixed seed makes these tests repeatable; the threshold makes the choice of seed irrelevant.
FALSE_ALARM = 1e-6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chi_square(counts: torch.Tensor) -> float:
    counts = counts.double().flatten()
    return float(((counts - counts.mean()).square() / counts.mean()).sum())


# --- The mask -----------------------------------------------------------------------------------


@given(st.integers(0, 4), st.integers(1, 31), st.integers(1, 26), st.integers(1, 40), st.data())
def test_count_and_constancy(batch, steps, joints, tube_length, data) -> None:
    num_masked = data.draw(st.integers(0, joints))
    mask = tube_mask(
        batch,
        steps,
        joints,
        num_masked=num_masked,
        tube_length=tube_length,
        generator=seeded(data.draw(st.integers(0, 2**16))),
    )
    assert mask.shape == (batch, steps, joints) and mask.dtype == torch.bool
    assert bool((mask.sum(-1) == num_masked).all())
    for tube in mask.split(tube_length, dim=1):
        assert torch.equal(tube, tube[:, :1].expand_as(tube))


def test_every_joint_is_masked_equally_often() -> None:
    batch, tubes, joints, masked = 1000, 4, 25, 22
    mask = tube_mask(batch, tubes, joints, num_masked=masked, tube_length=1, generator=seeded(1))
    counts, draws, p = mask.sum((0, 1)).double(), batch * tubes, masked / joints
    # Joints of one tube are drawn without replacement: the variance is known, the rank is V - 1.
    variance = draws * p * (1 - p)
    statistic = float((counts - draws * p).square().sum() / variance) * (joints - 1) / joints
    assert statistic < chi2.isf(FALSE_ALARM, joints - 1)
    assert statistic > chi2.ppf(FALSE_ALARM, joints - 1)  # nor suspiciously even


def test_sets_are_uniform_and_independent() -> None:
    batch, joints, masked = 6000, 4, 2
    mask = tube_mask(batch, 4, joints, num_masked=masked, tube_length=2, generator=seeded(2))
    sets = {pair: index for index, pair in enumerate(combinations(range(joints), masked))}
    codes = torch.tensor(
        [[sets[tuple(row.nonzero()[:, 0].tolist())] for row in sample[::2]] for sample in mask]
    )
    first, second = codes.T
    size = len(sets)
    assert chi_square(torch.bincount(codes.flatten(), minlength=size)) < chi2.isf(
        FALSE_ALARM, size - 1
    )
    # Every pair (set here, set there) is equally likely: the tubes of a sample, then neighbours.
    for here, there in ((first, second), (first[0::2], first[1::2]), (first[0::2], second[1::2])):
        pairs = torch.bincount(here * size + there, minlength=size**2)
        assert chi_square(pairs) < chi2.isf(FALSE_ALARM, size**2 - 1)


def test_generator_decides() -> None:
    sizes = {"num_masked": 22, "tube_length": 3}
    before = torch.get_rng_state()
    first = tube_mask(3, 30, 25, **sizes, generator=seeded(5))
    assert torch.equal(first, tube_mask(3, 30, 25, **sizes, generator=seeded(5)))
    assert not torch.equal(first, tube_mask(3, 30, 25, **sizes, generator=seeded(6)))
    generator = seeded(5)
    tube_mask(3, 30, 25, **sizes, generator=generator)
    assert not torch.equal(first, tube_mask(3, 30, 25, **sizes, generator=generator))
    assert torch.equal(torch.get_rng_state(), before)


def test_without_generator_the_global_one_is_used() -> None:
    state = torch.get_rng_state()
    try:
        torch.manual_seed(3)
        first = TubeMasking()((2, 30, 25, 8)).mask
        second = TubeMasking()((2, 30, 25, 8)).mask
        torch.manual_seed(3)
        assert torch.equal(TubeMasking()((2, 30, 25, 8)).mask, first)
        assert not torch.equal(first, second)
    finally:
        torch.set_rng_state(state)


def test_device_argument() -> None:
    mask = tube_mask(2, 3, 4, num_masked=1, tube_length=2, device="cpu", generator=seeded())
    assert mask.device.type == "cpu"
    assert tube_mask(2, 3, 4, num_masked=1, tube_length=2, device="meta").shape == (2, 3, 4)


# --- The layer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joints", "ratio", "masked"),
    [(25, 0.88, 22), (25, 0.8, 20), (25, 0.9, 22), (25, 0.95, 24), (20, 0.0, 0), (1, 0.0, 0)],
)
def test_ratio_gives_the_rounded_count(joints: int, ratio: float, masked: int) -> None:
    layer = TubeMasking(joints, ratio, 3)
    assert layer.num_masked == masked
    assert bool((layer((2, 7, joints, 4)).mask.sum(-1) == masked).all())


def test_layer_is_the_function() -> None:
    result = TubeMasking(25, 0.88, 3)((2, 30, 25, 8), generator=seeded(4))
    expected = tube_mask(2, 30, 25, num_masked=22, tube_length=3, generator=seeded(4))
    assert torch.equal(result.mask, expected)


@given(st.integers(0, 3), st.integers(1, 9), st.integers(2, 7), st.integers(1, 10), st.data())
def test_ids_are_maes(batch, steps, joints, tube_length, data) -> None:
    masked = data.draw(st.integers(0, joints - 1))
    layer = TubeMasking(joints, masked / joints, tube_length)
    drawn = layer((batch, steps, joints, 5), generator=seeded(data.draw(st.integers(0, 999))))
    mask, keep, restore = drawn
    flat = mask.flatten(1)
    assert keep.dtype == restore.dtype == torch.int64
    assert keep.shape == (batch, steps * (joints - masked)) and restore.shape == flat.shape
    for row, kept, back in zip(flat, keep, restore, strict=True):
        visible, hidden = (~row).nonzero()[:, 0], row.nonzero()[:, 0]
        assert torch.equal(kept, visible)
        # MAE: shuffled = visible tokens, then masked ones; restore undoes that order.
        assert torch.equal(torch.cat([visible, hidden])[back], torch.arange(row.numel()))


@given(st.integers(0, 3), st.integers(1, 9), st.integers(2, 7), st.data())
def test_scatter_undoes_gather(batch, steps, joints, data) -> None:
    masked = data.draw(st.integers(0, joints - 1))
    layer = TubeMasking(joints, masked / joints, data.draw(st.integers(1, 4)))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    tokens = normal(batch, steps, joints, 5, dtype=dtype)
    mask_token = normal(5, seed=1, dtype=dtype)
    drawn = layer(tokens, generator=seeded(data.draw(st.integers(0, 999))))
    visible = drawn.gather(tokens)
    assert visible.shape == (*drawn.ids_keep.shape, 5)
    assert torch.equal(visible, tokens.flatten(1, 2)[(~drawn.mask).flatten(1)].view_as(visible))
    result = drawn.scatter(visible, mask_token)
    assert result.dtype == dtype and result.shape == tokens.shape
    assert torch.equal(result, torch.where(drawn.mask.unsqueeze(-1), mask_token, tokens))


def test_scatter_takes_another_width_than_gather() -> None:
    # A decoder is narrower than its encoder, and mask tokens stay in fp32 under autocast.
    drawn = TubeMasking()((2, 30, 25, 64))
    visible = normal(2, 90, 16, dtype=torch.bfloat16)
    result = drawn.scatter(visible, torch.zeros(16))
    assert result.shape == (2, 30, 25, 16) and result.dtype == torch.bfloat16


def test_gradients_through_gather_and_scatter() -> None:
    layer = TubeMasking(5, 0.6, 2)
    tokens, mask_token = normal(2, 3, 5, 4).requires_grad_(), normal(4, seed=1).requires_grad_()
    drawn = layer(tokens, generator=seeded())
    result = drawn.scatter(drawn.gather(tokens), mask_token)
    weight = normal(*result.shape, seed=2)
    g_tokens, g_mask_token = torch.autograd.grad(result, (tokens, mask_token), weight)
    hidden = drawn.mask.unsqueeze(-1)
    assert torch.equal(g_tokens, torch.where(hidden, 0.0, weight))
    assert torch.allclose(g_mask_token, torch.where(hidden, weight, 0.0).sum((0, 1, 2)))
    assert torch.autograd.gradcheck(
        lambda t, m: drawn.scatter(drawn.gather(t), m), (tokens, mask_token)
    )


def test_nan_in_a_hidden_token_stays_hidden() -> None:
    tokens = normal(2, 6, 25, 4)
    drawn = TubeMasking()(tokens, generator=seeded())
    tokens[drawn.mask] = float("nan")
    result = drawn.scatter(drawn.gather(tokens), torch.zeros(4, dtype=torch.float64))
    assert result.isfinite().all()


def test_shape_in_place_of_tokens() -> None:
    tokens, layer = normal(2, 30, 25, 8), TubeMasking()
    expected = layer(tokens, generator=seeded())
    for shape in (tokens.shape, (2, 30, 25, 8), [2, 30, 25, 8]):
        for got, value in zip(layer(shape, generator=seeded()), expected, strict=True):
            assert torch.equal(got, value)


def test_nothing_masked() -> None:
    tokens = normal(2, 3, 4, 5)
    drawn = TubeMasking(4, 0.0, 2)(tokens)
    assert not drawn.mask.any()
    assert torch.equal(drawn.gather(tokens), tokens.flatten(1, 2))
    empty = normal(5, seed=1)
    assert torch.equal(drawn.scatter(drawn.gather(tokens), empty), tokens)


def test_empty_batch() -> None:
    tokens = torch.empty(0, 30, 25, 8)
    drawn = TubeMasking()(tokens)
    assert drawn.mask.shape == (0, 30, 25) and drawn.ids_keep.shape == (0, 90)
    assert drawn.gather(tokens).shape == (0, 90, 8)
    assert drawn.scatter(drawn.gather(tokens), torch.zeros(8)).shape == tokens.shape


def test_masks_in_evaluation_too() -> None:
    assert TubeMasking().eval()((2, 30, 25, 8)).mask.any()


def test_repr_shows_the_configuration() -> None:
    assert repr(TubeMasking()) == (
        "TubeMasking(num_joints=25, mask_ratio=0.88, tube_length=3, num_masked=22)"
    )


# --- Errors -------------------------------------------------------------------------------------

DRAWN = TubeMask(
    torch.tensor([[[True, False, False]]]), torch.tensor([[1, 2]]), torch.tensor([[2, 0, 1]])
)
SIZES = {"batch": 2, "steps": 3, "joints": 4, "num_masked": 1, "tube_length": 2}


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: TubeMasking(0), ValueError, ["num_joints", "at least 1", "0"]),
        (lambda: TubeMasking(2.0), TypeError, ["num_joints", "2.0"]),
        (lambda: TubeMasking(25, 1.0), ValueError, ["mask_ratio", "[0, 1)", "1.0"]),
        (lambda: TubeMasking(25, -0.1), ValueError, ["mask_ratio", "[0, 1)", "-0.1"]),
        (lambda: TubeMasking(25, float("nan")), ValueError, ["mask_ratio", "nan"]),
        (lambda: TubeMasking(25, 0.99), ValueError, ["mask_ratio", "25", "0.99"]),
        (lambda: TubeMasking(tube_length=0), ValueError, ["tube_length", "at least 1", "0"]),
        (lambda: TubeMasking()((2, 30, 20, 8)), ValueError, ["25", "(2, 30, 20, 8)"]),
        (lambda: TubeMasking()((2, 30, 25)), ValueError, ["T_p, 25, D", "(2, 30, 25)"]),
        (lambda: TubeMasking()((2, 0, 25, 8)), ValueError, ["steps", "at least 1", "0"]),
        (lambda: DRAWN.gather(torch.zeros(1, 1, 4, 2)), ValueError, ["tokens", "(1, 1, 4, 2)"]),
        (lambda: DRAWN.gather(torch.zeros(1, 3, 2)), ValueError, ["tokens", "(1, 3, 2)"]),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 3, 2), torch.zeros(2)),
            ValueError,
            ["visible", "(1, 2, 'D')", "(1, 3, 2)"],
        ),
        (
            lambda: DRAWN.scatter(torch.zeros(1, 2, 2), torch.zeros(3)),
            ValueError,
            ["mask_token", "(2,)", "(3,)"],
        ),
        (lambda: tube_mask(**SIZES | {"batch": -1}), ValueError, ["batch", "at least 0", "-1"]),
        (lambda: tube_mask(**SIZES | {"steps": 0}), ValueError, ["steps", "at least 1", "0"]),
        (lambda: tube_mask(**SIZES | {"joints": 0}), ValueError, ["joints", "at least 1", "0"]),
        (lambda: tube_mask(**SIZES | {"num_masked": 5}), ValueError, ["num_masked", "0 and 4"]),
        (lambda: tube_mask(**SIZES | {"num_masked": -1}), ValueError, ["num_masked", "-1"]),
        (lambda: tube_mask(**SIZES | {"tube_length": 0}), ValueError, ["tube_length", "0"]),
        (lambda: tube_mask(**SIZES | {"tube_length": 1.5}), TypeError, ["tube_length", "1.5"]),
    ],
)
def test_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
