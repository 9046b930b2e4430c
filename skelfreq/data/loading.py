"""Clips in batches: a map-style data set, collation, and persons folded into the batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skelfreq._checks import check_int
from skelfreq.data.clips import Clip
from skelfreq.data.converted import ConvertedSet
from skelfreq.data.transforms import Transform, fold_persons, motion_energy, unfold_persons

__all__ = [
    "Batch",
    "Collate",
    "Packed",
    "SkeletonDataset",
    "fold_persons",
    "pack",
    "pad_collate",
    "unfold_persons",
]


class Batch(NamedTuple):
    """Clips of different lengths and numbers of persons, padded with zeros.

    Attributes
    ----------
    x : Tensor
        float32 [N, M, C, T, V].
    lengths : Tensor
        int64 [N]: frames really present.
    labels : Tensor
        int64 [N]: class numbers from 0, -1 where unknown.
    confidence : Tensor or None
        float32 [N, M, T, V]; None where no clip gives it. A clip without it counts as seen.
    names : tuple of str
        One name per clip.
    """

    x: Tensor
    lengths: Tensor
    labels: Tensor
    confidence: Tensor | None
    names: tuple[str, ...]


class Packed(NamedTuple):
    """Clips of different lengths one after the other, without padding in time.

    Attributes
    ----------
    frames : Tensor
        float32 [sum of lengths, M, V, C].
    lengths, labels : Tensor
        int64 [N], as in :class:`Batch`.
    confidence : Tensor or None
        float32 [sum of lengths, M, V].
    names : tuple of str
        One name per clip.
    """

    frames: Tensor
    lengths: Tensor
    labels: Tensor
    confidence: Tensor | None
    names: tuple[str, ...]


class SkeletonDataset(Dataset[Clip]):
    """A map-style data set of clips for ``torch.utils.data.DataLoader``.

    Parameters
    ----------
    clips : str, Path, ConvertedSet or sequence of Clip
        The converted form, or its folder: every worker maps the file itself and reads what it
        touches, so memory does not grow with the set. Or clips in memory.
    indices : sequence of int, optional
        Clips to take, in this order (a protocol's training clips, for example); all by default.

    Raises
    ------
    SkeletonFormatError
        If the folder is not in the converted form.
    IndexError
        If an index names no clip.

    Examples
    --------
    >>> clips = [Clip(str(t), np.ones((t, 1, 25, 3), np.float32), label=0) for t in (4, 9, 6)]
    >>> dataset = SkeletonDataset(clips, indices=[0, 1])
    >>> loader = torch.utils.data.DataLoader(dataset, batch_size=2, collate_fn=pad_collate)
    >>> batch = next(iter(loader))
    >>> batch.x.shape, batch.lengths
    (torch.Size([2, 1, 3, 9, 25]), tensor([4, 9]))
    """

    def __init__(
        self,
        clips: str | Path | ConvertedSet | Sequence[Clip],
        indices: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        self.clips = ConvertedSet(clips) if isinstance(clips, (str, Path)) else clips
        count = len(self.clips)
        self.indices = np.arange(count) if indices is None else np.array(indices, np.int64)
        if self.indices.ndim != 1 or ((self.indices < -count) | (self.indices >= count)).any():
            raise IndexError(f"indices must be a list of numbers from 0 to {count - 1}.")

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Clip:
        """Return a clip; its arrays are views of the file."""
        return self.clips[int(self.indices[index])]


def _check_clips(clips: Sequence[Clip]) -> None:
    if not clips:
        raise ValueError("clips must hold at least 1 clip, got none.")
    shapes = {clip.joints.shape[2:] for clip in clips}
    if len(shapes) > 1:
        raise ValueError(
            f"clips must have one number of joints and coordinates, got {sorted(shapes)}; "
            f"skelfreq.skeletons.convert_layout brings layouts to common joints."
        )


def _numbers(clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
    """Return lengths and labels."""
    rows = [[clip.num_frames, clip.label] for clip in clips]
    numbers = torch.tensor(rows, dtype=torch.int64)
    return numbers[:, 0].clone(), numbers[:, 1].clone()


def _people(clip: Clip, limit: int) -> slice | list[int]:
    """Return which persons to take: all, or those who move most, in the order of the file."""
    if clip.num_persons <= limit:
        return slice(None)
    x = torch.from_numpy(np.array(clip.joints.transpose(1, 3, 0, 2)))
    most = motion_energy(x).argsort(stable=True, descending=True)[:limit]
    return sorted(most.tolist())


def _persons(clips: Sequence[Clip], num_persons: int | None) -> int:
    if num_persons is None:
        return max(clip.num_persons for clip in clips)
    check_int("num_persons", num_persons, 1)
    return num_persons


def pack(clips: Sequence[Clip], *, num_persons: int | None = None) -> Packed:
    """Put clips one after the other.

    Parameters
    ----------
    clips : sequence of Clip
        Clips with the same joints and coordinates.
    num_persons : int, optional
        Persons M, the largest number of the clips by default. Where a clip has more, those who move
        most are taken; where it has fewer, the rest is zero.

    Returns
    -------
    Packed
        Frames in a new tensor.

    Raises
    ------
    ValueError
        If there is no clip, or joints or coordinates differ.

    Examples
    --------
    >>> clips = [Clip(str(t), np.ones((t, 1, 25, 3), np.float32)) for t in (4, 9)]
    >>> packed = pack(clips)
    >>> packed.frames.shape, packed.lengths
    (torch.Size([13, 1, 25, 3]), tensor([4, 9]))
    """
    _check_clips(clips)
    persons = _persons(clips, num_persons)
    lengths, labels = _numbers(clips)
    total = int(lengths.sum())
    joints, channels = clips[0].joints.shape[2:]
    frames = np.zeros((total, persons, joints, channels), np.float32)
    known = any(clip.confidence is not None for clip in clips)
    confidence = np.zeros((total, persons, joints), np.float32) if known else None
    start = 0
    for clip in clips:
        chosen = _people(clip, persons)
        rows = slice(start, start + clip.num_frames)
        people = clip.joints[:, chosen]
        frames[rows, : people.shape[1]] = people
        if confidence is not None:
            confidence[rows, : people.shape[1]] = _confidence(clip, chosen)
        start = rows.stop
    return Packed(
        torch.from_numpy(frames),
        lengths,
        labels,
        None if confidence is None else torch.from_numpy(confidence),
        tuple(clip.name for clip in clips),
    )


def _confidence(clip: Clip, chosen: slice | list[int]) -> np.ndarray | float:
    """Return [T, persons, V] of a clip; 1 where it says nothing."""
    return 1.0 if clip.confidence is None else clip.confidence[:, chosen]


def pad_collate(clips: Sequence[Clip], *, num_persons: int | None = None) -> Batch:
    """Put clips into one tensor, zero beyond their ends: a ``collate_fn`` of a DataLoader.

    Parameters
    ----------
    clips : sequence of Clip
        Clips with the same joints and coordinates.
    num_persons : int, optional
        Persons M, the largest number of the clips by default. Where a clip has more, those who move
        most are taken; where it has fewer, the rest is zero.

    Returns
    -------
    Batch
        T is the length of the longest clip. In memory coordinates are innermost, then joints, so
        that taking frames copies whole rows.

    Raises
    ------
    ValueError
        If there is no clip, or joints or coordinates differ.

    Examples
    --------
    >>> clips = [Clip(str(t), np.ones((t, 1, 25, 3), np.float32)) for t in (4, 9)]
    >>> batch = pad_collate(clips, num_persons=2)
    >>> batch.x.shape, batch.lengths
    (torch.Size([2, 2, 3, 9, 25]), tensor([4, 9]))
    """
    _check_clips(clips)
    persons = _persons(clips, num_persons)
    lengths, labels = _numbers(clips)
    joints, channels = clips[0].joints.shape[2:]
    shape = (len(clips), persons, max(clip.num_frames for clip in clips), joints)
    x = np.zeros((*shape, channels), np.float32)
    known = any(clip.confidence is not None for clip in clips)
    confidence = np.zeros(shape, np.float32) if known else None
    for row, clip in enumerate(clips):
        chosen = _people(clip, persons)
        people = clip.joints[:, chosen].swapaxes(0, 1)
        x[row, : len(people), : clip.num_frames] = people
        if confidence is not None:
            weights = _confidence(clip, chosen)
            weights = weights if isinstance(weights, float) else weights.swapaxes(0, 1)
            confidence[row, : len(people), : clip.num_frames] = weights
    return Batch(
        torch.from_numpy(x).permute(0, 1, 4, 2, 3),
        lengths,
        labels,
        None if confidence is None else torch.from_numpy(confidence),
        tuple(clip.name for clip in clips),
    )


class Collate:
    """:func:`pad_collate` followed by a transform, for use in a DataLoader's workers.

    Parameters
    ----------
    transform : Transform
        Called with persons folded into the batch, and torch's global random numbers, which a
        DataLoader seeds anew in every worker from its own ``generator``.
    num_persons : int, optional
        As for :func:`pad_collate`. Give it, so that every batch has the same shape.

    Examples
    --------
    >>> from skelfreq.data.transforms import Resample
    >>> clips = [Clip(str(t), np.ones((t, 1, 25, 3), np.float32)) for t in (4, 9)]
    >>> Collate(Resample(64), num_persons=2)(clips).x.shape
    torch.Size([2, 2, 3, 64, 25])
    """

    def __init__(self, transform: Transform, *, num_persons: int | None = None) -> None:
        if not isinstance(transform, Transform):
            raise TypeError(
                f"transform must be a module of type Transform, got {type(transform).__name__}."
            )
        self.transform = transform
        self.num_persons = num_persons

    def __call__(self, clips: Sequence[Clip]) -> Batch:
        """Collate and transform."""
        batch = pad_collate(clips, num_persons=self.num_persons)
        persons = batch.x.shape[1]
        x, lengths = fold_persons(batch.x, batch.lengths)
        confidence = None if batch.confidence is None else fold_persons(batch.confidence)[0]
        new = self.transform(x, lengths, confidence=confidence, persons=persons)
        return batch._replace(
            x=unfold_persons(new.x, new.persons),
            lengths=unfold_persons(new.lengths, new.persons)[:, 0],
            confidence=None
            if new.confidence is None
            else unfold_persons(new.confidence, new.persons),
        )
