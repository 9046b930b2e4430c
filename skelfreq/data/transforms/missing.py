"""Joints that were not seen: interpolation in time."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, compute_dtype
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    clear_padding,
    seen,
)
from skelfreq.functional._axis import present


def fill_missing(
    x: Tensor, *, lengths: Tensor | None = None, confidence: Tensor | None = None
) -> Tensor:
    """Fill joints that were not seen by linear interpolation in time, within each clip.

    Before its first and after its last sighting a joint keeps the nearest position. A joint that is
    never seen in a clip becomes zero.

    Parameters
    ----------
    x : Tensor
        [N, C, T, V].
    lengths, confidence : Tensor, optional
        See :meth:`Transform.forward`. A joint was not seen where its confidence is 0 or, without
        confidence, where all its coordinates are exactly 0: trackers report a lost joint so.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``; joints that were seen are unchanged.

    Raises
    ------
    TypeError
        If ``x`` or ``confidence`` is not floating point or ``lengths`` not integer.
    ValueError
        If shapes do not fit.

    Notes
    -----
    Call it before anything that moves the origin: centring takes a lost joint away from zero. Two
    persons in a file are two samples here: a person who leaves for some frames is interpolated too.

    Examples
    --------
    >>> x = torch.tensor([0.0, 1.0, 0.0, 3.0, 0.0])[None, None, :, None]
    >>> fill_missing(x).flatten()
    tensor([1., 1., 2., 3., 3.])
    """
    lengths = check_batch(x, lengths, confidence)
    with autocast_off(x):
        y = clear_padding(x.to(compute_dtype(x)), lengths)
        known = seen(y, confidence)
        if lengths is not None:
            known = known & present(lengths, x, 2)
        y = torch.where(known, y, 0)
        frames = torch.arange(x.shape[2], device=x.device)[:, None]
        end = x.shape[2]
        before = torch.where(known, frames, -1).cummax(2).values
        after = torch.where(known, frames, end).flip(2).cummin(2).values.flip(2)
        none_before, none_after = before < 0, after >= end
        before, after = (
            torch.where(none_before, after, before).clamp(0, end - 1),
            torch.where(none_after, before, after).clamp(0, end - 1),
        )
        weight = (frames - before).to(y.dtype) / (after - before).clamp(min=1)
        shape = (-1, x.shape[1], -1, -1)
        low, high = y.gather(2, before.expand(shape)), y.gather(2, after.expand(shape))
        filled = torch.where(known, y, low + weight * (high - low))
        return clear_padding(filled, lengths).to(x.dtype)


class FillMissing(Transform):
    """Fill joints that were not seen, :func:`fill_missing`.

    Confidence is returned as it came: it still says what was seen, so that losses can weigh by it
    and :class:`Resample` prefers what was seen to what was filled.

    Examples
    --------
    >>> FillMissing()(torch.randn(2, 3, 10, 25)).x.shape
    torch.Size([2, 3, 10, 25])
    """

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, _ = batch
        return batch._replace(x=fill_missing(x, lengths=lengths, confidence=confidence))
