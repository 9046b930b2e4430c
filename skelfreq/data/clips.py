"""A clip of one or several skeletons in memory, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skelfreq.skeletons import SkeletonLayout

__all__ = ["Clip", "Dropped"]

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Clip:
    """Skeletons over time, with the metadata that the files give.

    Parameters
    ----------
    name : str
        Name of the sample, for example ``"S001C001P001R001A001"``.
    joints : ndarray
        float32 ``[T, M, V, C]``. A person who is not in a frame is all zero there.
    confidence : ndarray, optional
        float32 ``[T, M, V]``: 0 where a joint was not seen, otherwise the weight that the source
        gives to it (at most 1 in all published formats). None where the source says nothing.
    layout : SkeletonLayout, optional
        Joint order and bones.
    label : int, default -1
        Class number from 0.
    label_name : str, default ""
        Name of the class where the file itself gives one.
    subject, camera, setup, repetition : int, default -1
        Numbers as the source gives them. ``camera`` is also the view of NW-UCLA.
    split : str, default ""
        ``"train"`` or ``"test"`` where the source itself divides the clips.
    persons : tuple of str, default ()
        One identifier per person, as text: those of NTU RGB+D exceed 2^53.
    frame_rate : float, default 0
        Frames per second; 0 where unknown.
    image_size : tuple of int, default (0, 0)
        Width and height of the image that 2-D joints refer to; (0, 0) where unknown.

    A number of -1 means that the source does not give it.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    Examples
    --------
    >>> clip = Clip("wave", np.zeros((40, 1, 25, 3), np.float32), label=3)
    >>> clip.num_frames, clip.num_persons
    (40, 1)
    """

    name: str
    joints: FloatArray
    confidence: FloatArray | None = None
    layout: SkeletonLayout | None = None
    label: int = -1
    label_name: str = ""
    subject: int = -1
    camera: int = -1
    setup: int = -1
    repetition: int = -1
    split: str = ""
    persons: tuple[str, ...] = ()
    frame_rate: float = 0.0
    image_size: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.joints.ndim != 4 or self.joints.dtype != np.float32:
            raise ValueError(
                f"joints must be float32 [T, M, V, C], got {self.joints.dtype} of shape "
                f"{self.joints.shape}."
            )
        if min(self.joints.shape) < 1:
            raise ValueError(f"joints must not be empty, got shape {self.joints.shape}.")
        if self.confidence is not None and (
            self.confidence.shape != self.joints.shape[:3] or self.confidence.dtype != np.float32
        ):
            raise ValueError(
                f"confidence must be float32 of shape {self.joints.shape[:3]}, got "
                f"{self.confidence.dtype} of shape {self.confidence.shape}."
            )
        if self.layout is not None and self.joints.shape[2] != self.layout.num_joints:
            raise ValueError(
                f"joints must have {self.layout.num_joints} joints for {self.layout.name}, got "
                f"{self.joints.shape[2]}."
            )
        if self.split not in ("", "train", "test"):
            raise ValueError(f"split must be '', 'train' or 'test', got {self.split!r}.")
        if self.persons and len(self.persons) != self.num_persons:
            raise ValueError(
                f"persons must hold {self.num_persons} identifiers, got {len(self.persons)}."
            )

    @property
    def num_frames(self) -> int:
        """Number of frames T."""
        return int(self.joints.shape[0])

    @property
    def num_persons(self) -> int:
        """Number of persons M."""
        return int(self.joints.shape[1])


@dataclass(frozen=True)
class Dropped:
    """A sample that holds no skeleton, or a file that was left out.

    Parameters
    ----------
    name : str
        Name of the sample.
    reason : str
        Why it was left out.
    """

    name: str
    reason: str
