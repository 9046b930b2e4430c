"""Persons: choice of those who move most."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_int, compute_dtype
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    clear_padding,
    seen,
)


def motion_energy(
    x: Tensor, *, lengths: Tensor | None = None, confidence: Tensor | None = None
) -> Tensor:
    """Return how much every skeleton moves: the sum of the distances that its joints travel.

    Parameters
    ----------
    x : Tensor
        [N, C, T, V].
    lengths, confidence : Tensor, optional
        See :meth:`Transform.forward`. Steps into and out of frames in which a joint was not seen
        do not count (confidence 0 or, without confidence, at exactly zero).

    Returns
    -------
    Tensor
        [N], in the unit of ``x``, at least fp32.

    Raises
    ------
    TypeError
        If ``x`` or ``confidence`` is not floating point or ``lengths`` not integer.
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0, 0.0, 7.0, 5.0])[None, None, :, None]
    >>> motion_energy(x)
    tensor([3.])
    """
    lengths = check_batch(x, lengths, confidence)
    with autocast_off(x):
        y = clear_padding(x.to(compute_dtype(x)), lengths)
        known = clear_padding(seen(y, confidence).to(y.dtype), lengths)[:, 0]
        steps = torch.linalg.vector_norm(y[:, :, 1:] - y[:, :, :-1], dim=1)
        energy: Tensor = (steps * known[:, 1:] * known[:, :-1]).sum((1, 2))
        return energy


class SelectPersons(Transform):
    """Keep the persons of every sample who move most, by :func:`motion_energy`, in falling order.

    Parameters
    ----------
    keep : int, default 1
        Persons to keep, at most the ``persons`` that the transform is called with.

    Raises
    ------
    TypeError
        If ``keep`` is no integer.
    ValueError
        At construction: ``keep`` below 1. In forward: ``keep`` above ``persons``.

    Shape
    -----
    [N·M, C, T, V] → [N·keep, C, T, V]; lengths and confidence likewise.

    Notes
    -----
    Persons of equal energy keep their order. Nothing is read back from a GPU.

    Examples
    --------
    >>> SelectPersons()(torch.randn(8, 3, 10, 25), persons=2).x.shape
    torch.Size([4, 3, 10, 25])
    """

    def __init__(self, keep: int = 1) -> None:
        super().__init__()
        check_int("keep", keep, 1)
        self.keep = keep

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, persons = batch
        if self.keep > persons:
            raise ValueError(f"persons must be at least {self.keep}, those to keep, got {persons}.")
        energy = motion_energy(x, lengths=lengths, confidence=confidence)
        energy = energy.reshape(len(x) // persons, persons)
        order = energy.argsort(stable=True, dim=1, descending=True)[:, : self.keep]
        first = torch.arange(len(order), device=x.device)[:, None] * persons
        rows = (first + order).flatten()
        return Skeletons(
            clear_padding(x, lengths).index_select(0, rows),
            None if lengths is None else lengths.index_select(0, rows),
            None if confidence is None else confidence.index_select(0, rows),
            self.keep,
        )

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"keep={self.keep}"
