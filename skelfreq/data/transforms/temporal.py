"""Frames: crops, and resampling of clips of different lengths to one number of frames."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_int, compute_dtype
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    check_range,
    clear_padding,
    draw,
)


def _length(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return int64 [N, 1]: frames present."""
    if lengths is None:
        return torch.full((len(x), 1), x.shape[2], device=x.device)
    return lengths[:, None]


def _take(x: Tensor, index: Tensor) -> Tensor:
    """Return for every sample the frames that ``index`` [N, n] names: [N, …, n, V]."""
    rows = torch.arange(len(x), device=x.device)[:, None]
    return x.movedim(-2, 1)[rows, index].movedim(1, -2)


def _between(
    x: Tensor, confidence: Tensor | None, below: Tensor, weight: Tensor, last: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return values ``weight`` [N, n] of the way from frame ``below`` to the next one.

    With confidence, both frames count by their own, so that a lost joint draws nothing to zero.
    """
    above = torch.minimum(below + 1, last)
    low, high = _take(x, below), _take(x, above)
    weight = weight[:, None, :, None]
    if confidence is None:
        return low + weight * (high - low), None
    c = confidence.to(x.dtype).unsqueeze(1)
    near, far = (1 - weight) * _take(c, below), weight * _take(c, above)
    total = near + far
    # Where neither was seen, what the file holds is interpolated all the same.
    share = torch.where(total > 0, far / torch.where(total > 0, total, 1), weight)
    return low + share * (high - low), total.squeeze(1).to(confidence.dtype)


def _finish(
    y: Tensor, confidence: Tensor | None, length: Tensor, x: Tensor, lengths: Tensor | None
) -> Skeletons:
    """Return the batch with empty clips at zero."""
    if lengths is None:
        return Skeletons(y.to(x.dtype), None, confidence)
    some = (length > 0)[:, :, None]
    y = torch.where(some[..., None], y, 0).to(x.dtype)
    if confidence is not None:
        confidence = torch.where(some, confidence, 0)
    return Skeletons(y, (length[:, 0] > 0) * y.shape[2], confidence)


def resample_linear(
    x: Tensor,
    num_frames: int,
    *,
    share: float = 1.0,
    lengths: Tensor | None = None,
    confidence: Tensor | None = None,
) -> Skeletons:
    """Resample every clip to ``num_frames`` by linear interpolation in time.

    First and last frame are kept; a single output frame is the middle of the clip. Nothing from
    ``lengths`` on is read. Resampling to a clip's own length changes nothing.

    Parameters
    ----------
    x : Tensor
        [N, C, T, V].
    num_frames : int
        Frames of the result, at least 1.
    share : float, default 1
        Share of the duration to keep, from the middle of the clip, above 0 (CTR-GCN tests on
        0.95).
    lengths, confidence : Tensor, optional
        See :meth:`Transform.forward`. With confidence, both neighbours count by theirs as well, and
        the result's is interpolated.

    Returns
    -------
    Skeletons
        ``x`` [N, C, num_frames, V], lengths (``num_frames``, or 0 where there was no frame; None if
        none were given) and confidence.

    Raises
    ------
    TypeError
        If ``x`` or ``confidence`` is not floating point, ``lengths`` not integer or ``num_frames``
        no integer.
    ValueError
        If shapes do not fit or an argument is out of its range.

    Notes
    -----
    Cost: two reads and one write of the output. :func:`skelfreq.functional.resample` does it by the
    DCT, without aliasing.

    Examples
    --------
    >>> x = torch.tensor([0.0, 1.0, 4.0, 99.0])[None, None, :, None]
    >>> resample_linear(x, 5, lengths=torch.tensor([3])).x.flatten()
    tensor([0.0000, 0.5000, 1.0000, 2.5000, 4.0000])
    """
    lengths = check_batch(x, lengths, confidence)
    num_frames = check_int("num_frames", num_frames, 1)
    share = check_range("share", share, 0, 1)
    with autocast_off(x):
        y = x.to(compute_dtype(x))
        length = _length(x, lengths)
        last = (length - 1).clamp(min=0)
        grid = torch.arange(num_frames, device=x.device)
        if share == 1:
            # In integers, so that no rounding moves a frame.
            steps = grid if num_frames > 1 else grid + 1
            divisor = num_frames - 1 if num_frames > 1 else 2
            below = torch.div(steps * last, divisor, rounding_mode="floor")
            weight = (steps * last - below * divisor).to(y.dtype) / divisor
        else:
            start = (1 - share) / 2
            step = share / (num_frames - 1) if num_frames > 1 else 0.0
            if num_frames == 1:
                start = 0.5
            position = (start + step * grid.to(y.dtype)) * last
            below, weight = _split(position, last)
        y, confidence = _between(y, confidence, below, weight, last)
        return _finish(y, confidence, length, x, lengths)


def _split(position: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Return the frame at or before a position, and the share of the way to the next one."""
    position = torch.minimum(position.clamp(min=0), last.to(position.dtype))
    below = position.floor()
    return below.to(torch.int64), position - below


class Resample(Transform):
    """Resample clips to one number of frames, :func:`resample_linear`; options as there.

    Parameters
    ----------
    num_frames : int
        Frames of the result.
    share : float, default 1
        Share of the duration to keep, from the middle of the clip.
    """

    def __init__(self, num_frames: int, *, share: float = 1.0) -> None:
        super().__init__()
        self.num_frames = check_int("num_frames", num_frames, 1)
        self.share = check_range("share", share, 0, 1)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, persons = batch
        new = resample_linear(
            x, self.num_frames, share=self.share, lengths=lengths, confidence=confidence
        )
        return new._replace(persons=persons)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"{self.num_frames}, share={self.share:g}"


def _check_shares(low: float, high: float) -> tuple[float, float]:
    if not 0 < low <= high <= 1:
        raise ValueError(f"low and high must satisfy 0 < low <= high <= 1, got {low} and {high}.")
    return float(low), float(high)


class RandomCrop(Transform):
    """Keep a random stretch of whole frames; it moves to the beginning, the rest is padding.

    Parameters
    ----------
    low, high : float, default 0.5, 1
        The stretch covers a share of the clip's frames uniform in ``[low, high)``, rounded, at
        least one frame, and lies anywhere in the clip.

    Raises
    ------
    ValueError
        If not ``0 < low <= high <= 1``.

    Examples
    --------
    >>> y = RandomCrop(0.5, 0.5)(torch.randn(2, 3, 10, 25), torch.tensor([8, 4]))
    >>> y.x.shape, y.lengths
    (torch.Size([2, 3, 10, 25]), tensor([4, 2]))
    """

    def __init__(self, low: float = 0.5, high: float = 1.0) -> None:
        super().__init__()
        self.low, self.high = _check_shares(low, high)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, _ = batch
        length = _length(x, lengths)
        share = draw(batch, 1, generator=generator, low=self.low, high=self.high)
        count = torch.minimum((share * length).round().to(torch.int64).clamp(min=1), length)
        place = draw(batch, 1, generator=generator)
        # The draw lies below 1, but its product may round up to a start too far.
        free = length - count
        start = torch.minimum((place * (free + 1)).to(torch.int64), free)
        frames = torch.arange(x.shape[2], device=x.device)
        index = (start + frames).clamp(max=x.shape[2] - 1)
        kept = count[:, 0]
        if confidence is not None:
            confidence = torch.where((frames < count)[..., None], _take(confidence, index), 0)
        return Skeletons(clear_padding(_take(x, index), kept), kept, confidence, batch.persons)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"low={self.low:g}, high={self.high:g}"


class RandomCropResample(Transform):
    """Keep a random stretch of time and resample it to ``num_frames``, in one pass.

    Parameters
    ----------
    num_frames : int
        Frames of the result.
    low, high : float, default 0.5, 1
        The stretch covers a share of the clip's duration uniform in ``[low, high)`` and lies
        anywhere in it; it may begin and end between frames.

    Raises
    ------
    TypeError
        If ``num_frames`` is no integer.
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Interpolation, lengths and confidence: :func:`resample_linear`.

    Examples
    --------
    >>> y = RandomCropResample(64)(torch.randn(2, 3, 80, 25), torch.tensor([80, 0]))
    >>> y.x.shape, y.lengths
    (torch.Size([2, 3, 64, 25]), tensor([64,  0]))
    """

    def __init__(self, num_frames: int, low: float = 0.5, high: float = 1.0) -> None:
        super().__init__()
        self.num_frames = check_int("num_frames", num_frames, 1)
        self.low, self.high = _check_shares(low, high)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, _ = batch
        with autocast_off(x):
            y = x.to(compute_dtype(x))
            length = _length(x, lengths)
            last = (length - 1).clamp(min=0)
            share = draw(batch, 1, generator=generator, low=self.low, high=self.high)
            start = draw(batch, 1, generator=generator) * (1 - share) * last
            steps = max(self.num_frames - 1, 1)
            grid = torch.arange(self.num_frames, device=x.device, dtype=y.dtype)
            grid = grid + 0.5 if self.num_frames == 1 else grid
            position = start + share * (last.to(y.dtype) / steps) * grid
            below, weight = _split(position, last)
            y, confidence = _between(y, confidence, below, weight, last)
            new = _finish(y, confidence, length, x, lengths)
            return new._replace(persons=batch.persons)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"{self.num_frames}, low={self.low:g}, high={self.high:g}"
