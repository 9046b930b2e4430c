"""FD-MAE's losses on reconstructed skeleton sequences. All are at least 0 and to be minimised."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_number,
    check_skeletons,
    check_tensor,
    compute_dtype,
    named_options,
)
from skelfreq.functional import _route
from skelfreq.functional._axis import check_lengths, zero_padding
from skelfreq.functional.bands import Bands, resample, split_bands


class Reconstruction(NamedTuple):
    """What one branch of FD-MAE reconstructs.

    Attributes
    ----------
    signal : Tensor
        φ(S'), the decoder's reconstruction of the motion, [N, C, T, V].
    bands : Bands or None
        SSFRM's bands, [N, C, T, V]; ``low`` may have fewer frames.
        None without frequency reconstruction.

    Notes
    -----
    Source: FD-MAE, sections II-C and II-E.
    """

    signal: Tensor
    bands: Bands | None = None


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

    Notes
    -----
    Source: FD-MAE, section II-E.
    """

    total: Tensor
    motion: Tensor
    target_motion: Tensor
    consistency: Tensor
    frequency: Tensor
    target_frequency: Tensor


for _kind in (Reconstruction, FDMAELoss):
    _route.register_named_tuple(_kind)


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
        [N, T, V], bool or 0/1 floating point: True or 1 where the error counts. All positions if
        not given; :func:`~skelfreq.functional.frame_mask` makes it from a mask of tokens.
    lengths : Tensor, optional
        [N] frames really present; the rest does not count.

    Returns
    -------
    Tensor
        Scalar ≥ 0, in the signal's unit squared; 0 where no position counts.

    Raises
    ------
    TypeError
        A tensor is not real floating point, or ``mask`` is neither bool nor floating point.
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
    error, weight = _difference("prediction", prediction, signal, lengths)
    if mask is not None:
        expected = (signal.shape[0], *signal.shape[2:])
        weight = weight & _as_bool("mask", mask, expected).unsqueeze(1)
    return _mean(error.square(), weight)


def motion_consistency_loss(
    online: Tensor, target: Tensor, mask: Tensor | None = None, lengths: Tensor | None = None
) -> Tensor:
    """Mean squared distance of the online to the target reconstruction: L_mc (eq. 3).

    Parameters
    ----------
    online, target : Tensor
        [N, C, T, V], φ(S'_on) and φ(S'_tar). ``target`` gets no gradient.
    mask, lengths : Tensor, optional
        As in :func:`motion_reconstruction_loss`.

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
    check_tensor("target", target)
    error, weight = _difference("online", online, target.detach(), lengths)
    if mask is not None:
        expected = (target.shape[0], *target.shape[2:])
        weight = weight & _as_bool("mask", mask, expected).unsqueeze(1)
    return _mean(error.square(), weight)


@named_options
def frequency_reconstruction_loss(
    bands: Bands, signal: Tensor, *, cutoff: int, lengths: Tensor | None = None
) -> Tensor:
    """L1 on the high and MSE on the low band: one branch's part of L_mf (eq. 4 to 6).

    Parameters
    ----------
    bands : Bands
        SSFRM's output: ``high`` [N, C, T, V] and ``low``, the same or with fewer frames T'; it is
        then compared with the low band resampled to T' in the DCT domain.
    signal : Tensor
        [N, C, T, V], ``motion(clip)`` in the letter; gets no gradient through its bands.
    cutoff : int
        First coefficient of the high band, 0 to T, see :func:`~skelfreq.functional.split_bands`.
    lengths : Tensor, optional
        [N] frames really present; needs ``bands.low`` at the signal's rate.

    Returns
    -------
    Tensor
        Scalar ≥ 0: mean absolute error of ``high`` plus mean squared error of ``low``.

    Raises
    ------
    TypeError
        ``bands`` is not a :class:`Bands`; otherwise as :func:`motion_reconstruction_loss`.
    ValueError
        As :func:`motion_reconstruction_loss`; a low band with more frames than the signal, or
        with fewer together with ``lengths``.

    Notes
    -----
    Cost: one band split. Source: FD-MAE, eq. 4–6. Every position counts, masked or not: a band
    mixes all frames of a joint.

    Examples
    --------
    >>> from skelfreq.functional import split_bands
    >>> signal = torch.randn(2, 3, 8, 25)
    >>> frequency_reconstruction_loss(split_bands(signal, 3, dim=-2), signal, cutoff=3)
    tensor(0.)
    """
    if not isinstance(bands, Bands):
        raise TypeError(
            f"bands must be a Bands(low, high), as SSFRM returns it, got {type(bands).__name__}."
        )
    check_skeletons("signal", signal)
    check_skeletons("bands.low", bands.low)
    low, high = split_bands(signal.detach(), cutoff, dim=-2, lengths=lengths)
    frames, low_frames = signal.shape[2], bands.low.shape[2]
    if low_frames != frames:
        if low_frames > frames:
            raise ValueError(
                f"bands.low must have at most the signal's {frames} frames, got {low_frames}."
            )
        if lengths is not None:
            raise ValueError(
                f"bands.low must have {frames} frames when lengths are given, got {low_frames}."
            )
        low = resample(low, low_frames, dim=-2)
    low_error, low_weight = _difference("bands.low", bands.low, low, lengths)
    high_error, high_weight = _difference("bands.high", bands.high, high, lengths)
    return _mean(high_error.abs(), high_weight) + _mean(low_error.square(), low_weight)


@named_options
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
        [N, T, V], bool or 0/1 floating point, True or 1 = masked: where L_m counts. L_mc counts
        where both hold. All positions if not given.
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
    >>> same = Reconstruction(x, Bands(x, torch.zeros_like(x)))
    >>> loss = fd_mae_loss(same, x, same, x, cutoff=8)
    >>> loss.motion, loss.consistency
    (tensor(0.), tensor(0.))
    """
    for name, weight in (
        ("consistency_weight", consistency_weight),
        ("frequency_weight", frequency_weight),
    ):
        if not check_number(name, weight) >= 0:
            raise ValueError(f"{name} must be at least 0, got {weight}.")
    for name, branch in (("online", online), ("target", target)):
        if not isinstance(branch, Reconstruction) and (name == "online" or branch is not None):
            raise TypeError(
                f"{name} must be a Reconstruction(signal, bands), got {type(branch).__name__}."
            )
    motion = motion_reconstruction_loss(online.signal, online_signal, online_mask, lengths)
    frequency = _band_terms("online", online, online_signal, cutoff, lengths)
    consistency = target_motion = target_frequency = torch.zeros_like(motion)
    if target is not None:
        if target_signal is None:
            raise ValueError("target_signal must be given with target, got None.")
        # Detached: forward-mode tangents pass through no_grad.
        target = _detached(target)
        target_motion = motion_reconstruction_loss(
            target.signal, target_signal.detach(), target_mask, lengths
        )
        target_frequency = _band_terms("target", target, target_signal, cutoff, lengths)
        # Where a branch saw the joint, no other term trains its output.
        masks = [mask != 0 for mask in (online_mask, target_mask) if mask is not None]
        both = torch.stack(masks).all(0) if masks else None
        consistency = motion_consistency_loss(online.signal, target.signal, both, lengths)
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
    if branch.bands is None:
        return torch.zeros((), dtype=compute_dtype(signal), device=signal.device)
    if cutoff is None:
        raise ValueError(f"cutoff must be given because {name} holds bands, got None.")
    return frequency_reconstruction_loss(branch.bands, signal, cutoff=cutoff, lengths=lengths)


def _detached(branch: Reconstruction) -> Reconstruction:
    bands = branch.bands
    if isinstance(bands, Bands):
        bands = Bands(bands.low.detach(), bands.high.detach())
    return Reconstruction(branch.signal.detach(), bands)


def _difference(
    name: str, made: Tensor, signal: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the error [N, C, T, V] and where it counts, bool of a broadcastable shape."""
    check_skeletons(name, made)
    check_skeletons("signal", signal)
    if made.shape != signal.shape:
        raise ValueError(
            f"{name} must have the shape of what it is compared with, {tuple(signal.shape)}, "
            f"got {tuple(made.shape)}."
        )
    dtype = torch.promote_types(compute_dtype(made), compute_dtype(signal))
    made, signal = made.to(dtype), signal.to(dtype)
    counts = torch.ones(1, 1, signal.shape[2], 1, dtype=torch.bool, device=signal.device)
    if lengths is not None:
        lengths = check_lengths(lengths, signal, 2)
        made, signal = zero_padding(made, lengths, 2), zero_padding(signal, lengths, 2)
        counts = zero_padding(counts.expand(signal.shape[0], -1, -1, -1), lengths, 2)
    return made - signal, counts


def _as_bool(name: str, mask: Tensor, expected: tuple[int, ...]) -> Tensor:
    check_tensor(name, mask)
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(f"{name} must be bool or 0/1 floating point, got {mask.dtype}.")
    if mask.shape != expected:
        raise ValueError(f"{name} must have shape {expected}, got {tuple(mask.shape)}.")
    return mask != 0


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    with autocast_off(values):
        # Every channel of a position counts, hence the weights are expanded before counting.
        count = weight.expand_as(values).sum()
        return torch.where(weight, values, 0.0).sum() / count.clamp(min=1)
