"""Losses on reconstructed skeleton sequences. All are at least 0 and to be minimised."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_lengths, check_skeletons, compute_dtype
from skelfreq.functional._basis import zero_padding
from skelfreq.functional.bands import resample, split_bands


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
    return motion_reconstruction_loss(online, target.detach(), mask, lengths)


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
