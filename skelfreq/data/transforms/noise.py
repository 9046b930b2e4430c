"""Noise: positions that are off, and joints that are lost."""

from __future__ import annotations

import torch

from skelfreq._checks import check_int
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_range,
    clear_padding,
    seen,
)


class Jitter(Transform):
    """Add independent normal noise to every coordinate of the joints that were seen.

    Parameters
    ----------
    std : float, default 0.01
        Standard deviation, in the unit of ``x``.

    Raises
    ------
    ValueError
        If ``std`` is negative or not finite.

    Notes
    -----
    Joints with confidence 0, or without confidence those at exactly zero, keep their value.

    Examples
    --------
    >>> Jitter(0.01)(torch.zeros(2, 3, 10, 25)).x.any()
    tensor(False)
    """

    def __init__(self, std: float = 0.01) -> None:
        super().__init__()
        self.std = check_range("std", std, 0)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, _ = batch
        device = x.device if generator is None else generator.device
        noise = torch.randn(x.shape, generator=generator, device=device, dtype=torch.float32)
        moved = x + self.std * noise.to(x.device, x.dtype)
        y = clear_padding(torch.where(seen(x, confidence), moved, x), lengths)
        return batch._replace(x=y, confidence=confidence)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"std={self.std:g}"


class JointDropout(Transform):
    """Lose joints at random: coordinates and confidence become zero.

    Parameters
    ----------
    probability : float, default 0.1
        Chance of every joint, from 0 to 1.
    frames : int, optional
        A draw holds for so many frames in a row, which imitates a tracker's short losses; for the
        whole clip if not given.

    Raises
    ------
    TypeError
        If ``frames`` is no integer.
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> JointDropout(1.0)(torch.ones(2, 3, 10, 25)).x.any()
    tensor(False)
    """

    def __init__(self, probability: float = 0.1, *, frames: int | None = None) -> None:
        super().__init__()
        self.probability = check_range("probability", probability, 0, 1)
        self.frames = None if frames is None else check_int("frames", frames, 1)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, _ = batch
        n, _, t, v = x.shape
        frames = t if self.frames is None else self.frames
        steps = -(-t // frames)
        device = x.device if generator is None else generator.device
        u = torch.rand(n, steps, v, generator=generator, device=device, dtype=torch.float32)
        # rand lies in [0, 1): probability 0 drops none and 1 all.
        kept = (u >= self.probability).to(x.device).repeat_interleave(frames, 1)[:, :t]
        y = torch.where(kept.unsqueeze(1), clear_padding(x, lengths), 0)
        if confidence is not None:
            confidence = torch.where(kept, confidence, 0)
        return batch._replace(x=y, confidence=confidence)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"probability={self.probability:g}, frames={self.frames}"
