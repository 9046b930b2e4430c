"""Persons: folded into the batch and back, and choice of those who move most."""

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


def fold_persons(x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Fold persons into the batch: person m of sample n becomes row ``n * M + m``.

    Parameters
    ----------
    x : Tensor
        [N, M, …], for example [N, M, C, T, V].
    lengths : Tensor, optional
        [N]: frames of every sample.

    Returns
    -------
    x : Tensor
        [N·M, …], a view where strides allow.
    lengths : Tensor or None
        [N·M]: those of the sample, repeated for its persons.

    Raises
    ------
    ValueError
        If ``x`` has fewer than 2 axes, or ``lengths`` is not [N].

    Examples
    --------
    >>> x, lengths = fold_persons(torch.zeros(2, 2, 3, 64, 25), torch.tensor([64, 40]))
    >>> x.shape, lengths
    (torch.Size([4, 3, 64, 25]), tensor([64, 64, 40, 40]))
    """
    if x.ndim < 2:
        raise ValueError(f"x must have the axes [N, M, ...], got shape {tuple(x.shape)}.")
    if lengths is None:
        return x.flatten(0, 1), None
    if lengths.shape != x.shape[:1]:
        raise ValueError(
            f"lengths must have shape ({x.shape[0]},), one entry per sample, "
            f"got {tuple(lengths.shape)}."
        )
    return x.flatten(0, 1), lengths[:, None].expand(-1, x.shape[1]).flatten()


def unfold_persons(x: Tensor, num_persons: int) -> Tensor:
    """Undo :func:`fold_persons`, for features of any shape.

    Parameters
    ----------
    x : Tensor
        [N·M, …].
    num_persons : int
        Persons M.

    Returns
    -------
    Tensor
        [N, M, …], a view.

    Raises
    ------
    TypeError
        If ``num_persons`` is no integer.
    ValueError
        If ``num_persons`` is below 1 or does not divide the first axis.

    Examples
    --------
    >>> unfold_persons(torch.zeros(4, 256), num_persons=2).mean(1).shape
    torch.Size([2, 256])
    """
    check_int("num_persons", num_persons, 1)
    if x.ndim < 1 or x.shape[0] % num_persons:
        raise ValueError(
            f"x must have a multiple of {num_persons} rows on axis 0, got shape {tuple(x.shape)}."
        )
    return x.reshape(x.shape[0] // num_persons, num_persons, *x.shape[1:])


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
        self.keep = check_int("keep", keep, 1)

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
