"""FD-MAE's losses against a transcription of the letter in numpy and scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from conftest import load_golden, normal
from tolerances import GOLDEN, assert_close

from skelfreq.functional import (
    Bands,
    FDMAELoss,
    Reconstruction,
    fd_mae_loss,
    frequency_reconstruction_loss,
    motion,
    motion_consistency_loss,
    motion_reconstruction_loss,
    resample,
    split_bands,
)

SHAPE = (3, 2, 12, 5)


def bands(signal: np.ndarray, cutoff: int) -> tuple[np.ndarray, np.ndarray]:
    """Eq. 4 and 5: F_high and F_low of [..., T, V]."""
    spectrum = scipy.fft.dct(signal, norm="ortho", axis=-2)
    low = spectrum.copy()
    low[..., cutoff:, :] = 0
    return tuple(scipy.fft.idct(s, norm="ortho", axis=-2) for s in (spectrum - low, low))


def numpy_terms(online, target, cutoff, masks) -> dict[str, float]:
    """Eq. 2, 3 and 6, sample by sample: each branch is (clip, signal, high, low)."""
    terms = {}
    for name, (clip, signal, high, low), mask in zip(
        ("", "target_"), (online, target), masks, strict=True
    ):
        moving = np.zeros_like(clip)
        moving[:, :, :-1] = clip[:, :, 1:] - clip[:, :, :-1]
        squares = [
            (signal[n, :, t, v] - moving[n, :, t, v]) ** 2
            for n, t, v in zip(*np.nonzero(mask), strict=True)
        ]
        terms[f"{name}motion"] = np.mean(squares)
        true_high, true_low = bands(moving, cutoff)
        terms[f"{name}frequency"] = np.mean(np.abs(high - true_high)) + np.mean(
            (low - true_low) ** 2
        )
    terms["consistency"] = np.mean(
        [
            (online[1][n, :, t, v] - target[1][n, :, t, v]) ** 2
            for n, t, v in zip(*np.nonzero(masks[0] & masks[1]), strict=True)
        ]
    )
    return terms


def branch(seed: int) -> tuple[torch.Tensor, ...]:
    """Draw clip, signal, high, low."""
    return tuple(normal(*SHAPE, seed=10 * seed + i) for i in range(4))


def reconstruction(signal: torch.Tensor, high: torch.Tensor, low: torch.Tensor) -> Reconstruction:
    return Reconstruction(signal, Bands(low, high))


def masks() -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(normal(3, 12, 5, seed=seed) > 0.3 for seed in (5, 6))


@pytest.mark.parametrize("cutoff", [0, 1, 5, 12])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 2.0), (0.0, 0.0)])
def test_total_and_parts_equal_the_letter(cutoff: int, weights: tuple[float, float]) -> None:
    online, target, drawn = branch(1), branch(2), masks()
    loss = fd_mae_loss(
        reconstruction(*online[1:]),
        motion(online[0]),
        reconstruction(*target[1:]),
        motion(target[0]),
        cutoff=cutoff,
        consistency_weight=weights[0],
        frequency_weight=weights[1],
        online_mask=drawn[0],
        target_mask=drawn[1],
    )
    arrays = [[x.numpy() for x in part] for part in (online, target)]
    terms = numpy_terms(*arrays, cutoff, [mask.numpy() for mask in drawn])
    for name, value in terms.items():
        assert_close(getattr(loss, name), np.asarray(value))
    total = terms["motion"] + terms["target_motion"] + weights[0] * terms["consistency"]
    total += weights[1] * (terms["frequency"] + terms["target_frequency"])
    assert_close(loss.total, np.asarray(total))
    assert all(value.shape == () and value >= 0 for value in loss)


def test_default_weights_are_one() -> None:
    online, target = (reconstruction(*branch(seed)[1:]) for seed in (1, 2))
    signal = motion(branch(1)[0])
    loss = fd_mae_loss(online, signal, target, signal, cutoff=4)
    assert_close(loss.total, torch.stack(loss[1:]).sum())


def test_exact_reconstruction_has_zero_loss() -> None:
    signal = motion(branch(1)[0])
    perfect = Reconstruction(signal, split_bands(signal, 4, dim=-2))
    loss = fd_mae_loss(perfect, signal, perfect, signal, cutoff=4)
    assert all(float(value) == 0 for value in loss)


def test_target_gets_no_gradient() -> None:
    leaves = {
        name: [x.requires_grad_() for x in branch(seed)]
        for seed, name in enumerate(("online", "target"))
    }
    online, target = leaves["online"], leaves["target"]
    loss = fd_mae_loss(
        reconstruction(*online[1:]), online[0], reconstruction(*target[1:]), target[0], cutoff=4
    )
    assert not loss.target_motion.requires_grad and not loss.target_frequency.requires_grad
    gradients = torch.autograd.grad(loss.total, [*online, *target], allow_unused=True)
    assert all(g is not None and g.any() for g in gradients[1:4])
    assert all(g is None or not g.any() for g in gradients[4:])


def test_online_gradient_is_that_of_the_online_terms() -> None:
    online, target = branch(1), branch(2)
    leaves = [x.requires_grad_() for x in online[1:]]
    signal = motion(online[0])
    loss = fd_mae_loss(
        reconstruction(*leaves),
        signal,
        reconstruction(*target[1:]),
        motion(target[0]),
        cutoff=4,
        consistency_weight=0.7,
        frequency_weight=0.3,
    )
    low, high = split_bands(signal, 4, dim=-2)
    count = signal.numel()
    expected = [
        2 * (leaves[0] - signal) / count + 0.7 * 2 * (leaves[0] - target[1]) / count,
        0.3 * (leaves[1] - high).sign() / count,
        0.3 * 2 * (leaves[2] - low) / count,
    ]
    for got, value in zip(torch.autograd.grad(loss.total, leaves), expected, strict=True):
        assert_close(got, value)


def test_band_targets_get_no_gradient() -> None:
    high, low, signal = (normal(*SHAPE, seed=i).requires_grad_() for i in range(3))
    loss = frequency_reconstruction_loss(Bands(low, high), signal, cutoff=4)
    gradients = torch.autograd.grad(loss, (high, low, signal), allow_unused=True)
    assert gradients[0].any() and gradients[1].any() and gradients[2] is None


def test_single_path() -> None:
    clip, signal, high, low = branch(1)
    loss = fd_mae_loss(reconstruction(signal, high, low), clip, cutoff=4)
    assert not loss.target_motion and not loss.target_frequency and not loss.consistency
    assert_close(loss.total, loss.motion + loss.frequency)
    loss = fd_mae_loss(Reconstruction(signal), clip)
    assert not loss.frequency
    assert_close(loss.total, (signal - clip).square().mean())


# --- Where the error counts ---------------------------------------------------------------------


def test_only_masked_positions_count() -> None:
    prediction, signal, mask = normal(*SHAPE), normal(*SHAPE, seed=1), masks()[0]
    expected = motion_reconstruction_loss(prediction, signal, mask)
    hidden = ~mask.unsqueeze(1).expand(SHAPE)
    prediction[hidden] = float("nan")
    assert_close(motion_reconstruction_loss(prediction, signal, mask), expected)
    everywhere = torch.ones(3, 12, 5, dtype=torch.bool)
    clean = normal(*SHAPE)
    assert_close(
        motion_reconstruction_loss(clean, signal, everywhere),
        motion_reconstruction_loss(clean, signal),
    )


@pytest.mark.parametrize("case", ["mask", "lengths", "both"])
def test_loss_is_zero_where_no_position_counts(case: str) -> None:
    prediction = normal(*SHAPE).requires_grad_()
    mask = torch.zeros(3, 12, 5, dtype=torch.bool) if case != "lengths" else None
    lengths = torch.zeros(3, dtype=torch.int64) if case != "mask" else None
    loss = motion_reconstruction_loss(prediction, normal(*SHAPE, seed=1), mask, lengths)
    assert float(loss.detach()) == 0
    loss.backward()
    assert prediction.grad is not None and not prediction.grad.any()


@pytest.mark.parametrize("garbage", [1e6, float("nan"), float("inf")])
def test_padding_does_not_count(garbage: float) -> None:
    lengths, cutoff = torch.tensor([12, 7, 0]), 4
    online, target = branch(1), branch(2)
    for part in (*online, *target):
        for sample, length in zip(part, lengths, strict=True):
            sample[:, length:] = garbage
    leaves = [x.requires_grad_() for x in online[1:]]
    signals = [motion(part[0], lengths=lengths) for part in (online, target)]
    mask = masks()[0]
    loss = fd_mae_loss(
        reconstruction(*leaves),
        signals[0],
        reconstruction(*target[1:]),
        signals[1],
        cutoff=cutoff,
        online_mask=mask,
        lengths=lengths,
    )
    assert all(value.isfinite() for value in loss)
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss.total, leaves))
    # Each sample alone, cut to its frames; means weigh every present value equally.
    squares, consistency, absolute, lows = [], [], [], []
    for n, length in enumerate(lengths.tolist()):
        if not length:
            continue
        clip, signal, high, low = (x.detach()[n, :, :length] for x in online)
        clip = motion(clip)
        true_high, true_low = bands(clip.numpy(), cutoff)
        squares.append((signal - clip).square()[:, mask[n, :length]].flatten())
        apart = (signal - target[1][n, :, :length]).square()
        consistency.append(apart[:, mask[n, :length]].flatten())
        absolute.append((high - torch.from_numpy(true_high)).abs().flatten())
        lows.append((low - torch.from_numpy(true_low)).square().flatten())
    assert_close(loss.motion, torch.cat(squares).mean())
    assert_close(loss.consistency, torch.cat(consistency).mean())
    assert_close(loss.frequency, torch.cat(absolute).mean() + torch.cat(lows).mean())


@pytest.mark.parametrize("frames", [3, 6, 11])
def test_low_band_at_its_own_rate(frames: int) -> None:
    high, low, signal = normal(*SHAPE), normal(3, 2, frames, 5, seed=1), normal(*SHAPE, seed=2)
    true_high, true_low = bands(signal.numpy(), 3)
    spectrum = scipy.fft.dct(true_low, norm="ortho", axis=2)
    resampled = scipy.fft.idct(spectrum, n=frames, norm="ortho", axis=2) * (frames / 12) ** 0.5
    expected = np.mean(np.abs(high.numpy() - true_high)) + np.mean((low.numpy() - resampled) ** 2)
    assert_close(
        frequency_reconstruction_loss(Bands(low, high), signal, cutoff=3), np.asarray(expected)
    )
    exact = split_bands(signal, 3, dim=-2)
    exact = exact._replace(low=resample(exact.low, frames, dim=-2))
    exact = frequency_reconstruction_loss(exact, signal, cutoff=3)
    assert float(exact) < GOLDEN


def test_masked_loss_equals_stored_mamp(golden_path: Path) -> None:
    golden = load_golden(golden_path / "mamp_forward_T20V20_tau0_raw.npz")
    sizes = dict(zip(golden["config_names"].tolist(), golden["config"].tolist(), strict=True))
    u, joints, channels = sizes["t_patch"], sizes["V"], sizes["C"]
    steps = sizes["T"] // u

    def to_nctv(patches: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(patches).view(-1, steps, joints, u, channels)
        return x.permute(0, 4, 1, 3, 2).flatten(2, 3)

    # [N, C, T, V, M] there; their target is the motion of the clip.
    clip = torch.from_numpy(golden["x"]).permute(0, 4, 1, 2, 3).flatten(0, 1)
    target = motion(clip, dim=2, stride=sizes["stride"])
    assert_close(target, to_nctv(golden["target"]))
    mask = torch.from_numpy(golden["mask"]).bool().view(-1, steps, joints)
    mask = mask.repeat_interleave(u, dim=1)
    loss = motion_reconstruction_loss(to_nctv(golden["pred"]), target, mask)
    assert_close(loss, golden["loss"], GOLDEN)


# --- Precision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_computed_in_single_precision(dtype: torch.dtype, autocast: bool) -> None:
    online, target = ([x.to(dtype) for x in branch(seed)] for seed in (1, 2))

    def loss(convert) -> FDMAELoss:
        return fd_mae_loss(
            reconstruction(*(convert(x) for x in online[1:])),
            convert(online[0]),
            reconstruction(*(convert(x) for x in target[1:])),
            convert(target[0]),
            cutoff=4,
        )

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        results = loss(lambda x: x)
    exact = loss(torch.Tensor.double)
    for name, result, expected in zip(FDMAELoss._fields, results, exact, strict=True):
        assert result.dtype == torch.float32
        # The bands that the loss itself computes are rounded to the signal's dtype.
        coarse = "frequency" in name or name == "total"
        assert_close(result, expected, torch.finfo(dtype).eps * 16 if coarse else None)


def test_empty_batch() -> None:
    x = torch.empty(0, 3, 8, 25)
    full = reconstruction(x, x, x)
    loss = fd_mae_loss(full, x, full, x, cutoff=3)
    assert all(float(value) == 0 for value in loss)


# --- Errors -------------------------------------------------------------------------------------

X = torch.zeros(2, 3, 8, 5)


def band_loss(bands, signal, cutoff: int, lengths: torch.Tensor | None = None) -> torch.Tensor:
    return frequency_reconstruction_loss(bands, signal, cutoff=cutoff, lengths=lengths)


FULL = reconstruction(X, X, X)
SHORT = X[:, :, :4]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: motion_reconstruction_loss(X, X[:1]),
            ValueError,
            ["prediction", "(1, 3, 8, 5)", "(2, 3, 8, 5)"],
        ),
        (lambda: motion_reconstruction_loss(X[0], X), ValueError, ["[N, C, T, V]", "(3, 8, 5)"]),
        (lambda: motion_reconstruction_loss(X.long(), X), TypeError, ["prediction", "int64"]),
        (
            lambda: motion_reconstruction_loss(X, X, torch.ones(2, 8, 5).long()),
            TypeError,
            ["mask", "bool", "int64"],
        ),
        (
            lambda: motion_reconstruction_loss(X, X, torch.ones(2, 3, 8, 5).bool()),
            ValueError,
            ["mask", "(2, 8, 5)", "(2, 3, 8, 5)"],
        ),
        (
            lambda: motion_reconstruction_loss(X, X, None, torch.tensor([9, 1])),
            ValueError,
            ["lengths", "0 and 8", "9"],
        ),
        (lambda: motion_consistency_loss(X, X[:, :2]), ValueError, ["(2, 3, 8, 5)"]),
        (lambda: band_loss(Bands(X, X), X, 9), ValueError, ["cutoff", "0 and 8"]),
        (lambda: band_loss(Bands(X, X), X[0], 2), ValueError, ["signal"]),
        (lambda: band_loss(Bands(X, SHORT), X, 2), ValueError, ["bands.high", "(2, 3, 4, 5)"]),
        (lambda: band_loss(Bands(X, X), SHORT, 2), ValueError, ["bands.low", "at most", "4", "8"]),
        (lambda: band_loss((X, X), X, 2), TypeError, ["Bands(low, high)", "tuple"]),
        (lambda: band_loss(X, X, 2), TypeError, ["Bands(low, high)", "Tensor"]),
        (lambda: fd_mae_loss(Reconstruction(X, (X, X)), X, cutoff=2), TypeError, ["Bands"]),
        (
            lambda: band_loss(Bands(SHORT, X), X, 2, torch.tensor([8, 8])),
            ValueError,
            ["low", "8 frames", "4"],
        ),
        (lambda: fd_mae_loss(FULL, X), ValueError, ["cutoff", "None"]),
        (lambda: fd_mae_loss(FULL, X, FULL, cutoff=2), ValueError, ["target_signal", "None"]),
        (
            lambda: fd_mae_loss(FULL, X, cutoff=2, consistency_weight=-1.0),
            ValueError,
            ["consistency_weight", "at least 0", "-1.0"],
        ),
        (
            lambda: fd_mae_loss(FULL, X, cutoff=2, frequency_weight=float("nan")),
            ValueError,
            ["frequency_weight", "nan"],
        ),
    ],
)
def test_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_masks_may_be_zeros_and_ones(dtype: torch.dtype) -> None:
    prediction, signal, mask = normal(*SHAPE), normal(*SHAPE, seed=1), masks()[0]
    expected = motion_reconstruction_loss(prediction, signal, mask)
    assert torch.equal(motion_reconstruction_loss(prediction, signal, mask.to(dtype)), expected)
    online, target = (reconstruction(*branch(seed)[1:]) for seed in (1, 2))
    total = [
        fd_mae_loss(online, signal, target, signal, cutoff=4, online_mask=m, target_mask=n).total
        for m, n in ((mask, mask), (mask.to(dtype), mask.to(dtype)), (mask, mask.to(dtype)))
    ]
    assert total[0] == total[1] == total[2]


def test_tangents_do_not_pass_the_stop_gradient() -> None:
    online, target = branch(1), branch(2)

    def loss(*parts: torch.Tensor) -> torch.Tensor:
        return fd_mae_loss(
            reconstruction(*online[1:]), online[0], reconstruction(*parts[:3]), parts[3], cutoff=4
        ).total

    primals = (*target[1:], target[0])
    tangents = tuple(torch.ones_like(x) for x in primals)
    _, tangent = torch.func.jvp(loss, primals, tangents)
    assert not tangent.any()
