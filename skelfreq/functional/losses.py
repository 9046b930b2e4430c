"""The losses of FD-MAE, eq. 2 to 7. All are at least 0 and to be minimised."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_lengths, check_skeletons, compute_dtype
from skelfreq.functional._basis import zero_padding
from skelfreq.functional.bands import resample, split_bands


class Reconstruction(NamedTuple):
    """What one branch of FD-MAE reconstructs.

    Attributes
    ----------
    signal : Tensor
        φ(S'), the decoder's reconstruction of the motion, [N, C, T, V].
    high, low : Tensor or None
        SSFRM's bands, [N, C, T, V]; ``low`` may keep its own, smaller number of frames.
        None without frequency reconstruction.
    """

    signal: Tensor
    high: Tensor | None = None
    low: Tensor | None = None


class FDMAELoss(NamedTuple):
    """The terms of FD-MAE's loss, scalars; ``target_*`` are reported, they give no gradient.

    Attributes
    ----------
    total : Tensor
        L = L_m + η₁ L_mc + η₂ L_mf with both branches' terms (eq. 7).
    motion, target_motion : Tensor
        The online and the target branch's part of L_m (eq. 2).
    consistency : Tensor
        L_mc (eq. 3).
    frequency, target_frequency : Tensor
        The online and the target branch's part of L_mf (eq. 6).
    """

    total: Tensor
    motion: Tensor
    target_motion: Tensor
    consistency: Tensor
    frequency: Tensor
    target_frequency: Tensor


def motion_reconstruction_loss(
    prediction: Tensor, signal: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None
) -> Tensor:
    """Mean squared error over the masked positions: one branch's part of L_m (eq. 2).

    Parameters
    ----------
    prediction : Tensor
        [N, C, T, V], φ(S') of the letter.
    signal : Tensor
        [N, C, T, V], what is reconstructed: ``motion(clip)`` in the letter.
    mask : Tensor, optional
        bool [N, T, V], True where the error counts. All positions if not given.
    lengths : Tensor, optional
        [N] frames really present; the rest does not count.

    Returns
    -------
    Tensor
        Scalar ≥ 0, in the signal's unit squared; 0 where no position counts.

    Raises
    ------
    TypeError
        A tensor is not real floating point, or ``mask`` is not bool.
    ValueError
        Shapes do not agree.

    Notes
    -----
    Cost: one pass. Source: FD-MAE, eq. 2. The letter does not say where the error counts; with
    ``mask`` it is MAMP's choice (masked positions only).

    Examples
    --------
    >>> motion_reconstruction_loss(torch.ones(1, 3, 4, 2), torch.zeros(1, 3, 4, 2))
    tensor(1.)
    """
    error, weight = _difference(prediction, signal, lengths)
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"mask must be a bool tensor, got {mask.dtype}.")
        expected = (signal.shape[0], *signal.shape[2:])
        if mask.shape != expected:
            raise ValueError(f"mask must have shape {expected}, got {tuple(mask.shape)}.")
        weight = weight & mask.unsqueeze(1)
    return _mean(error.square(), weight)


def motion_consistency_loss(
    online: Tensor, target: Tensor, lengths: Tensor | None = None
) -> Tensor:
    """Mean squared distance of the online to the target reconstruction: L_mc (eq. 3).

    Parameters
    ----------
    online, target : Tensor
        [N, C, T, V], φ(S'_on) and φ(S'_tar). ``target`` gets no gradient.
    lengths : Tensor, optional
        [N] frames really present; the rest does not count.

    Returns
    -------
    Tensor
        Scalar ≥ 0.

    Raises
    ------
    TypeError, ValueError
        As :func:`motion_reconstruction_loss`.

    Notes
    -----
    Cost: one pass. Source: FD-MAE, eq. 3.

    Examples
    --------
    >>> x = torch.randn(2, 3, 8, 25)
    >>> motion_consistency_loss(x, x)
    tensor(0.)
    """
    error, weight = _difference(online, target.detach(), lengths)
    return _mean(error.square(), weight)


def frequency_reconstruction_loss(
    high: Tensor, low: Tensor, signal: Tensor, cutoff: int, lengths: Tensor | None = None
) -> Tensor:
    """L1 on the high and MSE on the low band: one branch's part of L_mf (eq. 4 to 6).

    Parameters
    ----------
    high : Tensor
        [N, C, T, V], SSFRM's high output.
    low : Tensor
        [N, C, T, V], SSFRM's low output; with fewer frames T' it is compared with the low
        band resampled to T' in the DCT domain.
    signal : Tensor
        [N, C, T, V], ``motion(clip)`` in the letter; gets no gradient through its bands.
    cutoff : int
        First coefficient of the high band, 0 to T, see :func:`~skelfreq.functional.split_bands`.
    lengths : Tensor, optional
        [N] frames really present; needs ``low`` at the signal's rate.

    Returns
    -------
    Tensor
        Scalar ≥ 0: mean absolute error of ``high`` plus mean squared error of ``low``.

    Raises
    ------
    TypeError, ValueError
        As :func:`motion_reconstruction_loss`; lengths together with a low band at its own rate.

    Notes
    -----
    Cost: one band split. Source: FD-MAE, eq. 4–6. Every position counts, masked or not: a band
    mixes all frames of a joint.

    Examples
    --------
    >>> from skelfreq.functional import split_bands
    >>> signal = torch.randn(2, 3, 8, 25)
    >>> low, high = split_bands(signal, 3, dim=-2)
    >>> frequency_reconstruction_loss(high, low, signal, cutoff=3)
    tensor(0.)
    """
    check_skeletons("signal", signal)
    low_band, high_band = split_bands(signal.detach(), cutoff, dim=-2, lengths=lengths)
    if low.ndim == 4 and low.shape[2] != signal.shape[2]:
        if lengths is not None:
            raise ValueError(
                f"low must have {signal.shape[2]} frames when lengths are given, "
                f"got {low.shape[2]}."
            )
        low_band = resample(low_band, low.shape[2], dim=-2)
    high_error, weight = _difference(high, high_band, lengths)
    low_error, low_weight = _difference(low, low_band, lengths)
    return _mean(high_error.abs(), weight) + _mean(low_error.square(), low_weight)


def fd_mae_loss(
    online: Reconstruction,
    online_signal: Tensor,
    target: Reconstruction | None = None,
    target_signal: Tensor | None = None,
    *,
    cutoff: int | None = None,
    consistency_weight: float = 1.0,
    frequency_weight: float = 1.0,
    online_mask: Tensor | None = None,
    target_mask: Tensor | None = None,
    lengths: Tensor | None = None,
) -> FDMAELoss:
    """FD-MAE's loss: L_m + η₁ L_mc + η₂ L_mf (eq. 2 to 7).

    Parameters
    ----------
    online, target : Reconstruction
        What the two branches reconstruct. ``target`` may be missing (a single path): its
        terms and L_mc are then 0. It gets no gradient in any term.
    online_signal, target_signal : Tensor
        [N, C, T, V], the branches' true signals, ``motion(clip)`` in the letter.
    cutoff : int, optional
        First high coefficient; needed when the reconstructions hold bands.
    consistency_weight, frequency_weight : float
        η₁ and η₂, at least 0. The letter does not give their values; the defaults are ours.
    online_mask, target_mask : Tensor, optional
        bool [N, T, V], True = masked: where L_m counts. All positions if not given.
    lengths : Tensor, optional
        [N] frames really present in a branch.

    Returns
    -------
    FDMAELoss
        Total and parts.

    Raises
    ------
    TypeError, ValueError
        As the parts; a missing ``target_signal`` or ``cutoff``; a negative weight.

    Notes
    -----
    Cost: one band split per branch and a few passes. Source: FD-MAE, section II-E.

    Examples
    --------
    >>> x = torch.randn(2, 3, 8, 25)
    >>> loss = fd_mae_loss(Reconstruction(x, x, x), x, Reconstruction(x, x, x), x, cutoff=8)
    >>> loss.motion, loss.consistency
    (tensor(0.), tensor(0.))
    """
    for name, weight in (
        ("consistency_weight", consistency_weight),
        ("frequency_weight", frequency_weight),
    ):
        if not weight >= 0:
            raise ValueError(f"{name} must be at least 0, got {weight}.")
    motion = motion_reconstruction_loss(online.signal, online_signal, online_mask, lengths)
    frequency = _band_terms("online", online, online_signal, cutoff, lengths)
    consistency = target_motion = target_frequency = torch.zeros_like(motion)
    if target is not None:
        if target_signal is None:
            raise ValueError("target_signal must be given with target, got None.")
        with torch.no_grad():
            target_motion = motion_reconstruction_loss(
                target.signal, target_signal, target_mask, lengths
            )
            target_frequency = _band_terms("target", target, target_signal, cutoff, lengths)
        consistency = motion_consistency_loss(online.signal, target.signal, lengths)
    total = (
        (motion + target_motion)
        + consistency_weight * consistency
        + frequency_weight * (frequency + target_frequency)
    )
    return FDMAELoss(total, motion, target_motion, consistency, frequency, target_frequency)


def _band_terms(
    name: str,
    branch: Reconstruction,
    signal: Tensor,
    cutoff: int | None,
    lengths: Tensor | None,
) -> Tensor:
    if (branch.high is None) != (branch.low is None):
        raise ValueError(f"{name} must hold both bands, high and low, or neither.")
    if branch.high is None or branch.low is None:
        return torch.zeros((), dtype=compute_dtype(signal), device=signal.device)
    if cutoff is None:
        raise ValueError(f"cutoff must be given because {name} holds bands, got None.")
    return frequency_reconstruction_loss(branch.high, branch.low, signal, cutoff, lengths)


def _difference(
    prediction: Tensor, signal: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the error [N, C, T, V] and where it counts, bool of a broadcastable shape."""
    check_skeletons("prediction", prediction)
    check_skeletons("signal", signal)
    if prediction.shape != signal.shape:
        raise ValueError(
            f"prediction must have the signal's shape {tuple(signal.shape)}, "
            f"got {tuple(prediction.shape)}."
        )
    dtype = torch.promote_types(compute_dtype(prediction), compute_dtype(signal))
    prediction, signal = prediction.to(dtype), signal.to(dtype)
    present = torch.ones(1, 1, signal.shape[2], 1, dtype=torch.bool, device=signal.device)
    if lengths is not None:
        check_lengths(lengths, signal, 2)
        prediction = zero_padding(prediction, lengths, 2)
        signal = zero_padding(signal, lengths, 2)
        present = zero_padding(present.expand(signal.shape[0], -1, -1, -1), lengths, 2)
    return prediction - signal, present


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    with autocast_off(values):
        # Every channel of a position counts, hence the weights are expanded before counting.
        count = weight.expand_as(values).sum()
        return torch.where(weight, values, 0.0).sum() / count.clamp(min=1)
