"""Pictures and animations of clips; needs matplotlib."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from skelfreq.data.clips import Clip

__all__ = ["animate", "draw_clip"]

_WITHOUT_WINDOW = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


def _matplotlib() -> Any:
    try:
        from matplotlib import figure
    except ImportError as error:
        raise ImportError("Pictures need matplotlib: pip install 'skelfreq[data]'.") from error
    return figure


def _axes_of(clip: Clip) -> tuple[int, int]:
    """Return the horizontal and the vertical coordinate: x and y."""
    return (0, 1) if clip.joints.shape[3] > 1 else (0, 0)


def _draw_frame(axes: Any, clip: Clip, frame: int, limits: tuple[Any, Any]) -> None:
    """Draw the persons of a frame seen from the front."""
    across, up = _axes_of(clip)
    edges = clip.layout.edges if clip.layout is not None else ()
    for person in range(clip.num_persons):
        joints = clip.joints[frame, person]
        if not joints.any():
            continue
        seen = np.isfinite(joints).all(axis=-1)
        if clip.confidence is not None:
            seen &= clip.confidence[frame, person] > 0
        colour = f"C{person % 10}"
        axes.plot(joints[seen, across], joints[seen, up], ".", color=colour)
        for child, parent in edges:
            if seen[child] and seen[parent]:
                ends = joints[[child, parent]]
                axes.plot(ends[:, across], ends[:, up], "-", color=colour, linewidth=1)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    axes.set_aspect("equal")
    axes.set_title(f"frame {frame}", fontsize=8)


def _limits(clip: Clip) -> tuple[Any, Any]:
    """Return the range of both coordinates; images have their first row on top."""
    found = []
    for coordinate in _axes_of(clip):
        values = clip.joints[..., coordinate]
        values = values[np.isfinite(values) & clip.joints.any(axis=-1)]
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        margin = 0.05 * (high - low) + 1e-6
        found.append((low - margin, high + margin))
    if clip.joints.shape[3] == 2:
        found[1] = found[1][::-1]
    return found[0], found[1]


def draw_clip(clip: Clip, frame: int, title: str, folder: Path) -> Path:
    """Draw a frame with its neighbours, and the largest step over time, into a folder.

    Parameters
    ----------
    clip : Clip
        The clip.
    frame : int
        The frame in the middle.
    title : str
        Text above.
    folder : Path
        Where the picture goes; named by the clip.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    picture = _matplotlib().Figure(figsize=(8, 4.5), layout="constrained")
    grid = picture.add_gridspec(2, 3, height_ratios=(2.2, 1))
    limits = _limits(clip)
    for column, shift in enumerate((-1, 0, 1)):
        chosen = min(max(frame + shift, 0), clip.num_frames - 1)
        _draw_frame(picture.add_subplot(grid[0, column]), clip, chosen, limits)
    below = picture.add_subplot(grid[1, :])
    if clip.num_frames > 1:
        with np.errstate(invalid="ignore", over="ignore"):
            steps = np.linalg.norm(np.diff(clip.joints, axis=0), axis=-1).max(axis=(1, 2))
        below.plot(np.arange(1, clip.num_frames), steps, linewidth=1)
    below.set_xlabel("frame")
    below.set_ylabel("largest step of a joint")
    picture.suptitle(title, fontsize=9)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (re.sub(r"[^\w.-]+", "_", clip.name)[:120] + ".png")
    picture.savefig(path, dpi=90)
    return path


def animate(clip: Clip, save: Path | None = None) -> None:
    """Show a clip in a window, or write it to a ``.gif`` or ``.html`` file.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If ``save`` has another ending.
    RuntimeError
        If there is no display and no file to write.
    """
    _matplotlib()
    import matplotlib
    from matplotlib import pyplot
    from matplotlib.animation import FuncAnimation

    if save is not None and save.suffix not in (".gif", ".html"):
        raise ValueError(f"save must end in .gif or .html, got {save.name!r}.")
    if save is None and matplotlib.get_backend().lower() in _WITHOUT_WINDOW:
        raise RuntimeError(
            f"There is no display for a window (the backend of matplotlib is "
            f"{matplotlib.get_backend()}). Write a file instead: --save FILE.html or FILE.gif."
        )
    picture, axes = pyplot.subplots(figsize=(5, 5))
    limits = _limits(clip)

    def show(frame: int) -> list[Any]:
        axes.clear()
        _draw_frame(axes, clip, frame, limits)
        axes.set_title(f"{clip.name}  {clip.label_name}  frame {frame}", fontsize=8)
        return []

    rate = clip.frame_rate or 25.0
    film = FuncAnimation(picture, show, frames=clip.num_frames, interval=1000 / rate)
    try:
        if save is None:
            pyplot.show()
        elif save.suffix == ".gif":
            film.save(save, writer="pillow", fps=round(min(rate, 50)))
        else:
            save.write_text(film.to_jshtml(), "utf-8")
    finally:
        pyplot.close(picture)
