"""Spectra, gains and complex filters, against frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from skelfreq._checks import check_axis, check_int, check_option
from skelfreq.functional import dct, rdft
from skelfreq.plotting._inputs import (
    BLUE,
    GREY,
    Array,
    Transform,
    as_array,
    as_real,
    axes_or_new,
    frequencies,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Values = Tensor | np.ndarray[Any, Any]

# More curves than this in one picture are drawn as their middle and their range.
MOST_CURVES = 6


def plot_spectrum(
    x: Values,
    *,
    dim: int = -2,
    transform: Transform = "dct",
    frame_rate: float | None = None,
    mean: bool = False,
    color: str | None = None,
    label: str | None = None,
    unit: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the amplitude of each frequency along one axis, root mean square over all others.

    Parameters
    ----------
    x : Tensor or ndarray
        Signals, such as clips.
    dim : int
        Axis of the signal; frames by default, -1 for joints.
    transform : {"dct", "fourier"}
        Orthonormal DCT-II, or DFT.
    frame_rate : float, optional
        Points per second along ``dim``; the axis is then in Hz, otherwise it counts coefficients.
    mean : bool
        Whether coefficient 0, the mean, is drawn; it is often larger than all others.
    color, label : str, optional
        Of the curve.
    unit : str, optional
        Unit of ``x``, for the label of the axis.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Shape
    -----
    ``x`` any, with at least 2 points along ``dim``.

    Returns
    -------
    Axes
        ``ax``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        Inputs of another kind or shape, by name; values that are not finite.

    Notes
    -----
    Cost: one transform of ``x`` in fp64. Source: :func:`skelfreq.functional.dct` and
    :func:`skelfreq.functional.rdft`.

    Examples
    --------
    >>> import torch
    >>> ax = plot_spectrum(torch.randn(3, 60, 25), frame_rate=30)
    """
    signal = torch.from_numpy(np.ascontiguousarray(as_real("x", x)))
    dim = check_axis("x", signal, dim)
    points = signal.shape[dim]
    if points < 2 or not bool(torch.isfinite(signal).all()):
        raise ValueError(
            f"x must have finite values and at least 2 points along dim={dim}, got "
            f"shape {tuple(signal.shape)}, {int((~torch.isfinite(signal)).sum())} not finite."
        )
    check_option("transform", transform, ("dct", "fourier"))
    if transform == "dct":
        energy = dct(signal, dim=dim).square()
    else:
        re, im = rdft(signal, dim=dim)
        energy = re.square() + im.square()
    energy = energy.movedim(dim, -1)
    bins = energy.shape[-1]
    amplitude = energy.reshape(-1, bins).mean(0).sqrt().numpy()
    place, name = frequencies(bins, points, transform, frame_rate)
    ax = axes_or_new(ax)
    start = 0 if mean else 1
    ax.plot(place[start:], amplitude[start:], color=color or BLUE, label=label)
    ax.set_xlabel(name)
    ax.set_ylabel("amplitude" + (f" ({unit})" if unit else ""))
    ax.set_ylim(bottom=0)
    return ax


def plot_gains(
    gains: Values,
    *,
    transform: Transform = "dct",
    length: int | None = None,
    frame_rate: float | None = None,
    color: str | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a gain for each frequency as steps, with a thin line at gain 1.

    Parameters
    ----------
    gains : Tensor or ndarray
        The gain of each coefficient, such as ``FreqEnhance.gains``.
    transform : {"dct", "fourier"}
        Which coefficients they are.
    length : int, optional
        Points n of the signal, for Hz: by default K for the DCT and 2 (K - 1) for the DFT.
    frame_rate : float, optional
        Points per second; the axis is then in Hz, otherwise it counts coefficients.
    color, label : str, optional
        Of the curve.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Shape
    -----
    ``gains`` [K].

    Returns
    -------
    Axes
        ``ax``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        Inputs of another kind or shape, by name.

    Notes
    -----
    Cost: one curve. Source: :func:`skelfreq.functional.band_gains`.

    Examples
    --------
    >>> from skelfreq import FreqEnhance
    >>> ax = plot_gains(FreqEnhance(120).gains, frame_rate=30)
    """
    values = as_real("gains", gains)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"gains must have shape [K], K at least 1, got {values.shape}.")
    points = _length(length, len(values), transform)
    place, name = frequencies(len(values), points, transform, frame_rate)
    ax = axes_or_new(ax)
    ax.axhline(1, color=GREY, linewidth=0.8, zorder=0)
    ax.step(place, values, where="mid", color=color or BLUE, label=label)
    ax.set_xlabel(name)
    ax.set_ylabel("gain")
    return ax


def plot_filter(
    values: Values,
    *,
    weight: Literal["channel", "frequency", "full"] | None = None,
    part: Literal["amplitude", "phase"] = "amplitude",
    length: int | None = None,
    frame_rate: float | None = None,
    color: str | None = None,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a complex filter of one axis: a curve for each channel, or one bar for each.

    Up to 6 channels have a curve each; more are drawn as their median and their range.

    Parameters
    ----------
    values : Tensor or ndarray
        Complex weights as real pairs, such as ``SpectralFilter.complex_weight`` or
        ``FreT.global_weight``.
    weight : {"channel", "frequency", "full"}, optional
        What the axes are: [C, 2], [F, 2] or [C, F, 2]. By default "frequency" for 2 axes, "full"
        for 3.
    part : {"amplitude", "phase"}
        Amplitude, with a thin line at 1, or phase in degrees.
    length : int, optional
        Points n of the signal, for Hz; by default 2 (F - 1).
    frame_rate : float, optional
        Points per second; the axis is then in Hz, otherwise it counts periods.
    color, label : str, optional
        Of the curve; with several channels the label goes on with their number.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Shape
    -----
    ``values`` as ``weight`` says.

    Returns
    -------
    Axes
        ``ax``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        Inputs of another kind or shape, by name.

    Notes
    -----
    Cost: one curve per channel. Source: the weights of :class:`skelfreq.SpectralFilter`.

    Examples
    --------
    >>> from skelfreq import SpectralFilter
    >>> layer = SpectralFilter(3, length=120, weight="full")
    >>> ax = plot_filter(layer.complex_weight, frame_rate=30)
    """
    pairs = as_array("values", values).astype(np.float64)
    weight = weight or ("full" if pairs.ndim == 3 else "frequency")
    check_option("weight", weight, ("channel", "frequency", "full"))
    check_option("part", part, ("amplitude", "phase"))
    axes = 3 if weight == "full" else 2
    if pairs.ndim != axes or pairs.shape[-1] != 2 or 0 in pairs.shape:
        raise ValueError(
            f"values must have {axes} axes for weight={weight!r}, none of them 0 and the last one "
            f"with the real and the imaginary part, got {pairs.shape}."
        )
    re, im = pairs[..., 0], pairs[..., 1]
    drawn: Array = np.hypot(re, im) if part == "amplitude" else np.degrees(np.arctan2(im, re))
    ax = axes_or_new(ax)
    if part == "amplitude":
        ax.axhline(1, color=GREY, linewidth=0.8, zorder=0)
    ax.set_ylabel("amplitude" if part == "amplitude" else "phase (degrees)")
    if weight == "channel":
        ax.bar(np.arange(len(drawn)), drawn, color=color or BLUE, label=label)
        ax.set_xlabel("channel")
        return ax
    curves = drawn if weight == "full" else drawn[None]
    bins = curves.shape[1]
    place, name = frequencies(bins, _length(length, bins, "fourier"), "fourier", frame_rate)
    ax.set_xlabel(name)
    if len(curves) > MOST_CURVES:
        ax.fill_between(place, curves.min(0), curves.max(0), color=color or BLUE, alpha=0.2, lw=0)
        ax.plot(place, np.median(curves, axis=0), color=color or BLUE, label=label)
        return ax
    for number, curve in enumerate(curves):
        title = f"{label or 'channel'} {number}" if len(curves) > 1 else label
        ax.plot(place, curve, label=title, color=color if len(curves) > 1 else color or BLUE)
    return ax


def _length(length: int | None, bins: int, transform: Transform) -> int:
    """Return the points of a signal with so many coefficients."""
    check_option("transform", transform, ("dct", "fourier"))
    if transform == "dct":
        return bins if length is None else check_int("length", length, bins, bins)
    if length is None:
        return max(2 * (bins - 1), 1)
    return check_int("length", length, max(2 * (bins - 1), 1), 2 * bins - 1)
