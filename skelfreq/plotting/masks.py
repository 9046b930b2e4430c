"""Masks of joints over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from skelfreq._checks import check_int
from skelfreq.plotting._inputs import BLUE, as_array, as_layout, axes_or_new, check_rate
from skelfreq.skeletons import SkeletonLayout

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_mask(
    mask: Tensor | np.ndarray[Any, Any],
    layout: SkeletonLayout | str | None = None,
    *,
    sample: int = 0,
    patch_frames: int = 1,
    tube_length: int | None = None,
    frame_rate: float | None = None,
    color: str = BLUE,
    ax: Axes | None = None,
) -> Axes:
    """Draw a mask as an image, joints down and time to the right, masked joints dark.

    Parameters
    ----------
    mask : Tensor or ndarray
        True = masked.
    layout : SkeletonLayout or str, optional
        Names the joints on the axis.
    sample : int
        Which of N samples.
    patch_frames : int
        Frames of one entry along time, 1 for a mask of frames.
    tube_length : int, optional
        Entries of one tube; a line is drawn between tubes.
    frame_rate : float, optional
        Frames per second; time is then in seconds, otherwise in frames.
    color : str
        Colour of masked joints.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Shape
    -----
    ``mask`` [T, V] or [N, T, V].

    Returns
    -------
    Axes
        ``ax``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        Inputs of another kind or shape, by name; a sample that the mask lacks.

    Notes
    -----
    Cost: one image. Source: the masks of :class:`skelfreq.TubeMasking`.

    Examples
    --------
    >>> from skelfreq import TubeMasking
    >>> mask = TubeMasking(25, 0.8, 5)((1, 30, 25, 1)).mask
    >>> ax = plot_mask(mask, "ntu25", patch_frames=4, tube_length=5)
    """
    array = as_array("mask", mask)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(
            f"mask must have shape [T, V] or [N, T, V], none of them 0, got {array.shape}."
        )
    array = array if array.ndim == 3 else array[None]
    shown = array[check_int("sample", sample, 0, len(array) - 1)].astype(bool)
    steps, joints = shown.shape
    second = check_int("patch_frames", patch_frames, 1) / (check_rate(frame_rate) or 1.0)
    names = None if layout is None else as_layout(layout).joints
    if names is not None and len(names) != joints:
        raise ValueError(f"mask must have {len(names)} joints on its last axis, got {joints}.")
    ax = axes_or_new(ax)
    from matplotlib.colors import ListedColormap

    ax.imshow(
        shown.T, cmap=ListedColormap(["#e9edf1", color]), vmin=0, vmax=1, aspect="auto",
        interpolation="nearest", extent=(0, steps * second, joints - 0.5, -0.5),
    )  # fmt: skip
    if tube_length is not None:
        for step in range(check_int("tube_length", tube_length, 1), steps, tube_length):
            ax.axvline(step * second, color="white", linewidth=1)
    ax.set_xlabel("time (frames)" if frame_rate is None else "time (s)")
    if names is None:
        ax.set_ylabel("joint")
    else:
        ax.set_yticks(range(joints), names)
    return ax
