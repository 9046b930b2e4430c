"""What the pictures share: their inputs as arrays, new axes, colours, units of the axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from skelfreq._checks import check_number, check_option
from skelfreq.skeletons import SkeletonLayout, get_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]
Transform = Literal["dct", "fourier"]

BLUE, ORANGE, GREY = "#0b6fb8", "#d1662f", "#8a8a8a"
PERSONS = (BLUE, "#2f8f5b", "#8250a8", "#9a6b00")


def import_pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or say what is missing."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("Pictures need matplotlib: pip install 'skelfreq[plot]'.") from error
    return pyplot


def axes_or_new(ax: Axes | None) -> Axes:
    """Return ``ax``, or the axes of a new figure."""
    pyplot = import_pyplot()
    if ax is None:
        return pyplot.subplots(layout="constrained")[1]  # type: ignore[no-any-return]
    if not hasattr(ax, "add_collection"):
        raise TypeError(f"ax must be axes of matplotlib, got {type(ax).__name__}.")
    return ax


def as_array(name: str, x: object) -> Array:
    """Return a tensor or an array as an array of numpy, detached; floats become fp64."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = (x.double() if x.is_floating_point() else x).resolve_conj().numpy()
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{name} must be a tensor or an array, got {type(x).__name__}.")
    if x.dtype.kind not in "biufc":
        raise TypeError(f"{name} must hold numbers, got dtype {x.dtype}.")
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def as_real(name: str, x: object) -> Array:
    """Return a real tensor or array as fp64."""
    array = as_array(name, x)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must be real, got dtype {array.dtype}.")
    return array.astype(np.float64)


def as_layout(layout: SkeletonLayout | str) -> SkeletonLayout:
    """Return the layout of a name."""
    return get_layout(layout) if isinstance(layout, str) else layout


def as_clips(name: str, x: object, layout: SkeletonLayout) -> Array:
    """Return ``[C, T, V]`` or ``[N, C, T, V]`` as fp64 ``[N, C, T, V]`` that fits the layout."""
    array = as_real(name, x)
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise ValueError(
            f"{name} must have shape [C, T, V] or [N, C, T, V], none of them 0, got {array.shape}."
        )
    if array.shape[-3] not in (2, 3):
        raise ValueError(
            f"{name} must have 2 or 3 coordinates on axis -3, got {array.shape[-3]} "
            f"(shape {array.shape})."
        )
    if array.shape[-1] != layout.num_joints:
        raise ValueError(
            f"{name} must have the {layout.num_joints} joints of layout {layout.name!r} on its "
            f"last axis, got {array.shape[-1]} (shape {array.shape})."
        )
    return array if array.ndim == 4 else array[None]


def check_rate(frame_rate: float | None) -> float | None:
    """Return the frame rate; raise unless it is None or a positive number."""
    if frame_rate is None:
        return None
    rate = check_number("frame_rate", frame_rate)
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"frame_rate must be above 0 and finite, got {frame_rate}.")
    return rate


def frequencies(
    bins: int, length: int, transform: Transform, frame_rate: float | None
) -> tuple[Array, str]:
    """Return the place of each bin on the axis, and the label of that axis."""
    check_option("transform", transform, ("dct", "fourier"))
    rate, k = check_rate(frame_rate), np.arange(bins, dtype=np.float64)
    if rate is not None:
        # Bin k of the DCT has k half periods, bin k of the DFT k periods.
        return k * rate / (length * (2 if transform == "dct" else 1)), "frequency (Hz)"
    return k, f"coefficient k ({'half periods' if transform == 'dct' else 'periods'})"
