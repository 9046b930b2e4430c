"""FD-MAE's loss: L_m + η₁ L_mc + η₂ L_mf over both branches (eq. 2 to 7)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skelfreq._checks import compute_dtype
from skelfreq.functional.losses import (
    frequency_reconstruction_loss,
    motion_consistency_loss,
    motion_reconstruction_loss,
)


class Reconstruction(NamedTuple):
    """What one branch of FD-MAE reconstructs.

    Attributes
    ----------
    signal : Tensor
        φ(S'), the decoder's reconstruction of the motion, [N, C, T, V].
    high, low : Tensor or None
        SSFRM's bands, [N, C, T, V]; ``low`` may keep its own, smaller number of frames.
        None without frequency reconstruction.

    Notes
    -----
    Source: FD-MAE, sections II-C and II-E.
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
        bool [N, T, V], True = masked: where L_m counts. L_mc counts where both hold. All
        positions if not given.
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
        # Where a branch saw the joint its loss asks nothing of it: its output there is arbitrary.
        masks = [mask for mask in (online_mask, target_mask) if mask is not None]
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
    if (branch.high is None) != (branch.low is None):
        raise ValueError(f"{name} must hold both bands, high and low, or neither.")
    if branch.high is None or branch.low is None:
        return torch.zeros((), dtype=compute_dtype(signal), device=signal.device)
    if cutoff is None:
        raise ValueError(f"cutoff must be given because {name} holds bands, got None.")
    return frequency_reconstruction_loss(branch.high, branch.low, signal, cutoff, lengths)
