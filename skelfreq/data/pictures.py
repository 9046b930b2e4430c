"""Pictures and animations of clips; needs matplotlib."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from skelfreq.data.clips import Clip
from skelfreq.skeletons import SkeletonLayout

__all__ = ["animate", "draw_clip"]

_WITHOUT_WINDOW = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


def _matplotlib() -> Any:
    try:
        from matplotlib import figure
    except ImportError as error:
        raise ImportError("Pictures need matplotlib: pip install 'skelfreq[data]'.") from error
    return figure


def _skeletons(clip: Clip) -> dict[str, Any]:
    """Return what ``plot_skeleton`` draws of a clip: joints that were not seen are left out."""
    joints = np.array(clip.joints, dtype=np.float64)
    joints[~joints.any(axis=(2, 3))] = np.nan  # frames without the person
    if clip.confidence is not None:
        joints[clip.confidence <= 0] = np.nan
    if joints.shape[3] == 1:
        joints = joints.repeat(2, axis=3)
    layout = clip.layout
    if layout is None:
        layout = SkeletonLayout("", tuple(map(str, range(joints.shape[2]))), (), (), 0)
    # Images have their first row on top.
    down = joints.shape[3] == 2
    x = joints[..., :3].transpose(1, 3, 0, 2)
    return {"x": x, "layout": layout, "y_down": down, "size": 3.0}


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
    figure = _matplotlib()
    from skelfreq.plotting import plot_skeleton

    picture = figure.Figure(figsize=(8, 4.5), layout="constrained")
    grid = picture.add_gridspec(2, 3, height_ratios=(2.2, 1))
    drawn = _skeletons(clip)
    for column, shift in enumerate((-1, 0, 1)):
        chosen = min(max(frame + shift, 0), clip.num_frames - 1)
        axes = plot_skeleton(**drawn, frame=chosen, ax=picture.add_subplot(grid[0, column]))
        axes.set_title(f"frame {chosen}", fontsize=8)
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

    from skelfreq import plotting

    if save is not None and save.suffix not in (".gif", ".html"):
        raise ValueError(f"save must end in .gif or .html, got {save.name!r}.")
    if save is None and matplotlib.get_backend().lower() in _WITHOUT_WINDOW:
        raise RuntimeError(
            f"There is no display for a window (the backend of matplotlib is "
            f"{matplotlib.get_backend()}). Write a file instead: --save FILE.html or FILE.gif."
        )
    picture, axes = pyplot.subplots(figsize=(5, 5))
    rate = clip.frame_rate or 25.0
    drawn = _skeletons(clip)
    film = plotting.animate(drawn.pop("x"), **drawn, frame_rate=rate, ax=axes)
    axes.set_title(f"{clip.name}  {clip.label_name}", fontsize=8)
    try:
        if save is None:
            pyplot.show()
        elif save.suffix == ".gif":
            film.save(save, writer="pillow", fps=round(min(rate, 50)))
        else:
            save.write_text(film.to_jshtml(), "utf-8")
    finally:
        pyplot.close(picture)
