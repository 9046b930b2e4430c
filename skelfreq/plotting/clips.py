"""Skeletons, moving or at one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from skelfreq._checks import check_int
from skelfreq.plotting._inputs import (
    GREY,
    ORANGE,
    PERSONS,
    Array,
    as_array,
    as_clips,
    as_layout,
    axes_or_new,
    check_rate,
    import_pyplot,
)
from skelfreq.skeletons import SkeletonLayout

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes

    Clips = Tensor | np.ndarray[Any, Any]


def _frames_masked(mask: object, clips: Array) -> Array:
    """Return a mask [T, V] or [N, T, V] as bool [N, T, V] that fits the clips."""
    array = as_array("mask", mask)
    persons, _, frames, joints = clips.shape
    if array.shape not in ((frames, joints), (persons, frames, joints)):
        raise ValueError(
            f"mask must have shape {(frames, joints)} or {(persons, frames, joints)}, one entry "
            f"per frame and joint, got {array.shape}; frame_mask() turns tokens into frames."
        )
    return np.broadcast_to(array.astype(bool), (persons, frames, joints))


def _seen_along(view: Sequence[int] | None, clips: Array, solid: bool) -> list[int]:
    """Return the coordinates to draw: to the right and up, or right, away and up."""
    coordinates = clips.shape[1]
    if solid and coordinates != 3:
        raise ValueError(
            f"x must have 3 coordinates on axes with projection='3d', got {clips.shape[1]}."
        )
    if view is None:
        return [0, 2, 1] if solid else [0, 1]
    if len(view) != (3 if solid else 2) or not set(view) <= set(range(coordinates)):
        raise ValueError(
            f"view must name {3 if solid else 2} coordinates from 0 to {coordinates - 1}, "
            f"got {tuple(view)}."
        )
    return list(view)


class _Drawn:
    """The artists of the skeletons of one axes, which show one frame at a time."""

    def __init__(
        self,
        ax: Axes,
        x: object,
        layout: SkeletonLayout | str,
        *,
        mask: object = None,
        view: Sequence[int] | None = None,
        y_down: bool | None = None,
        color: str | None = None,
        masked_color: str = ORANGE,
        size: float = 5.0,
        unit: str | None = None,
    ) -> None:
        from matplotlib.collections import LineCollection

        self.layout = as_layout(layout)
        clips = as_clips("x", x, self.layout)
        self.solid = hasattr(ax, "get_zlim")
        seen = _seen_along(view, clips, self.solid)
        self.points = clips[:, seen].transpose(0, 2, 3, 1)  # [N, T, V, 2 or 3]
        self.mask = np.zeros(self.points.shape[:3], bool)
        if mask is not None:
            self.mask[:] = _frames_masked(mask, clips)
        lines: type[Any] = LineCollection
        if self.solid:
            from mpl_toolkits.mplot3d.art3d import Line3DCollection

            lines = Line3DCollection
        self.bones: list[Any] = []
        self.dots: list[tuple[Any, Any]] = []
        for person in range(len(clips)):
            shade = color or PERSONS[person % len(PERSONS)]
            bones = lines([], colors=shade, linewidths=0.4 * size, alpha=0.55, zorder=1)
            ax.add_collection(bones, autolim=False)
            style: dict[str, Any] = {
                "linestyle": "none",
                "marker": "o",
                "markersize": size,
                "zorder": 2,
            }
            nothing: list[list[float]] = [[]] * len(seen)
            visible, masked = (
                ax.plot(*nothing, color=one, **style)[0] for one in (shade, masked_color)
            )
            self.bones.append(bones)
            self.dots.append((visible, masked))
        self._frame_axes(ax, seen, clips.shape[1] == 2 if y_down is None else y_down, unit)

    def _frame_axes(self, ax: Any, seen: list[int], y_down: bool, unit: str | None) -> None:
        """Make room for every frame of the clip, with the same scale on all axes."""
        flat = self.points.reshape(-1, len(seen))
        flat = flat[np.isfinite(flat).all(1)]
        if self.solid:
            ax.auto_scale_xyz(*flat.T)
        else:
            ax.update_datalim(flat)
            ax.margins(0.06)
            ax.autoscale_view()
        ax.set_aspect("equal")
        if y_down:
            (ax.zaxis if self.solid else ax.yaxis).set_inverted(True)
        for letter, coordinate in zip("xyz", seen, strict=False):
            name = "xyz"[coordinate] + (f" ({unit})" if unit else "")
            getattr(ax, f"set_{letter}label")(name)

    def show(self, frame: int) -> None:
        """Move the artists to a frame; a joint that is not finite is not drawn."""
        for person, bones in enumerate(self.bones):
            points = self.points[person, frame]
            there = np.isfinite(points).all(1)
            ends = [points[[a, b]] for a, b in self.layout.edges if there[a] and there[b]]
            bones.set_segments(ends)
            masked = self.mask[person, frame]
            for dots, chosen in zip(self.dots[person], (~masked, masked), strict=True):
                columns = points[there & chosen].T
                (dots.set_data_3d if self.solid else dots.set_data)(*columns)


def plot_skeleton(
    x: Clips,
    layout: SkeletonLayout | str,
    *,
    frame: int = 0,
    mask: Clips | None = None,
    view: Sequence[int] | None = None,
    y_down: bool | None = None,
    color: str | None = None,
    masked_color: str = ORANGE,
    size: float = 5.0,
    unit: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the skeletons of one frame: joints as dots, bones as lines.

    Parameters
    ----------
    x : Tensor or ndarray
        Joints, 2 or 3 coordinates. N persons or clips share the axes, each in its own colour.
        A joint with a coordinate that is not finite is left out, with its bones.
    layout : SkeletonLayout or str
        The skeleton, or the name of one.
    frame : int
        The frame, from 0; below 0 counts from the end.
    mask : Tensor or ndarray, optional
        True = masked, drawn in ``masked_color``; "none" hides them.
    view : sequence of int, optional
        Coordinates drawn to the right and up; by default 0 and 1. On axes with
        ``projection="3d"`` to the right, away and up; by default 0, 2 and 1.
    y_down : bool, optional
        Whether the upward axis points down, as in images; by default where x has 2 coordinates.
    color : str, optional
        One colour for all.
    masked_color : str
        Colour of masked joints.
    size : float
        Diameter of a joint in points; bones are 0.4 of it wide.
    unit : str, optional
        Unit of the coordinates, for the labels of the axes.
    ax : Axes, optional
        Where to draw; a new figure if not given. The limits leave room for all frames.

    Shape
    -----
    ``x`` [C, T, V] or [N, C, T, V]; ``mask`` [T, V] or [N, T, V].

    Returns
    -------
    Axes
        ``ax``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        Inputs of another kind or shape, by name; an unknown layout; a frame that x lacks.

    Notes
    -----
    Cost: two artists and a collection of lines per person. Source: the bones are those of
    :func:`skelfreq.skeletons.get_layout`.

    Examples
    --------
    >>> import torch
    >>> ax = plot_skeleton(torch.rand(3, 60, 25), "ntu25", frame=10)
    """
    ax = axes_or_new(ax)
    drawn = _Drawn(
        ax, x, layout, mask=mask, view=view, y_down=y_down, color=color,
        masked_color=masked_color, size=size, unit=unit,
    )  # fmt: skip
    frames = drawn.points.shape[1]
    drawn.show(check_int("frame", frame, -frames, frames - 1))
    return ax


def animate(
    clips: Clips | Mapping[str, Clips],
    layout: SkeletonLayout | str,
    *,
    masks: Clips | Mapping[str, Clips] | None = None,
    frame_rate: float = 30.0,
    ax: Axes | Sequence[Axes] | None = None,
    **style: Any,
) -> FuncAnimation:
    """Return an animation of clips, side by side.

    Parameters
    ----------
    clips : Tensor, ndarray or mapping
        As ``x`` of :func:`plot_skeleton`; or a title for each of several, all as long.
    layout : SkeletonLayout or str
        The skeleton, or the name of one.
    masks : Tensor, ndarray or mapping, optional
        As ``mask`` of :func:`plot_skeleton`; for several clips by their titles, some or all.
    frame_rate : float
        Frames per second.
    ax : Axes or sequence of Axes, optional
        Where to draw, one for each clip; a new figure if not given.
    **style
        ``view``, ``y_down``, ``color``, ``masked_color``, ``size`` and ``unit`` of
        :func:`plot_skeleton`.

    Shape
    -----
    Each clip [C, T, V] or [N, C, T, V]; each mask [T, V] or [N, T, V].

    Returns
    -------
    matplotlib.animation.FuncAnimation
        ``.save("clip.gif")`` writes a file, ``.to_jshtml()`` a player for a notebook. Keep a
        reference to it as long as it runs.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        As :func:`plot_skeleton`; clips of different lengths, masks without a clip, another number
        of axes than of clips.

    Notes
    -----
    Cost: the figure is drawn once per frame. Source: bones as in :func:`plot_skeleton`.

    Examples
    --------
    >>> import torch
    >>> film = animate({"before": torch.rand(3, 2, 25), "after": torch.rand(3, 2, 25)}, "ntu25")
    >>> film.to_jshtml().count("data:image/png")
    2
    """
    pyplot = import_pyplot()
    from matplotlib.animation import FuncAnimation

    rate = check_rate(frame_rate) or 30.0
    titled = dict(clips) if isinstance(clips, Mapping) else {"": clips}
    if not titled:
        raise ValueError("clips must hold at least 1 clip, got none.")
    hidden = dict(masks) if isinstance(masks, Mapping) else dict.fromkeys(titled, masks)
    unknown = sorted(hidden.keys() - titled.keys())
    if unknown:
        raise ValueError(f"masks must have titles of clips, {list(titled)}, got {unknown}.")
    if ax is None:
        size = (2.6 * len(titled), 3.4) if len(titled) > 1 else (4.5, 4.5)
        options = {"figsize": size, "layout": "constrained", "squeeze": False}
        panels = list(pyplot.subplots(1, len(titled), sharex=True, sharey=True, **options)[1][0])
    else:
        panels = [axes_or_new(one) for one in (ax if isinstance(ax, Sequence) else [ax])]
    if len(panels) != len(titled):
        raise ValueError(f"ax must hold {len(titled)} axes, one for each clip, got {len(panels)}.")
    drawn = []
    for panel, (title, clip) in zip(panels, titled.items(), strict=True):
        drawn.append(_Drawn(panel, clip, layout, mask=hidden.get(title), **style))
        panel.set_title(title)
    lengths = {one.points.shape[1] for one in drawn}
    if len(lengths) > 1:
        raise ValueError(f"clips must have the same number of frames, got {sorted(lengths)}.")

    write: Any = getattr(panels[0], "text2D", panels[0].text)
    count = write(0.02, 0.02, "", transform=panels[0].transAxes, fontsize=8, color=GREY)

    def show(frame: int) -> list[Any]:
        for one in drawn:
            one.show(frame)
        count.set_text(f"frame {frame}")
        return []

    show(0)
    return FuncAnimation(panels[0].figure, show, frames=lengths.pop(), interval=1000 / rate)
