"""Draw the pictures of the documentation: ``python docs/figures.py``, the package installed."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import figures_skeletons
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageSequence
from torch import Tensor

from examples.data import synthetic_ntu25
from examples.fd_mae.train import Pretraining
from skelfreq import FreqEnhance, TubeMasking, cosine_momentum
from skelfreq.functional import (
    adaptive_spectral_mask,
    apply_gain,
    band_pool,
    dct,
    dct_matrix,
    irdft,
    motion,
    rdft,
    resample,
    split_bands,
)
from skelfreq.plotting import plot_gains, plot_mask, plot_spectrum
from skelfreq.skeletons import get_layout

BLUE, ORANGE, GREY, GREEN = "#0b6fb8", "#d1662f", "#8a8a8a", "#2f8f5b"
FRAMES, RATE = 120, 30.0  # a clip of 4 seconds
COLOURS = 48
IMAGES = Path(__file__).parent / "images"


def wave(frames: int = FRAMES) -> Tensor:
    """Height of a waving hand in metres: a slow lift, and a wave of 2 Hz that comes and goes."""
    t = torch.arange(frames, dtype=torch.float64) / RATE
    lift = 0.5 / (1 + torch.exp(-4 * (t - 1)))
    envelope = torch.exp(-((t - 2.4) ** 2) / 0.5)
    generator = torch.Generator().manual_seed(0)
    noise = 0.006 * torch.randn(frames, generator=generator, dtype=torch.float64)
    return 0.9 + lift + 0.12 * envelope * torch.sin(2 * math.pi * 2 * t) + noise


def seconds(frames: int) -> Tensor:
    """Return the time of each frame."""
    return torch.arange(frames) / RATE


def draw_basis() -> Figure:
    """Draw the first cosines of the DCT, and the spectrum of a waving hand, in Hz."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1.1, 1))
    basis, t = dct_matrix(FRAMES, torch.float64), seconds(FRAMES)
    for k in range(5):
        left.plot(t, basis[k] + 0.36 * (4 - k), color=BLUE)
        left.text(4.1, 0.36 * (4 - k), f"k = {k}: {k * RATE / (2 * FRAMES):.3f} Hz", va="center")
    left.set(title="Basis of the DCT: k half periods", xlabel="time (s)", yticks=[], xlim=(0, 5.9))
    left.set_xticks(range(5))
    hand = waving_hand()
    plot_spectrum(hand, dim=-1, frame_rate=RATE, unit="m", ax=right)
    hertz, amplitude = right.lines[0].get_data()
    peak = int(np.argmax(amplitude * (hertz > 1)))
    right.annotate(
        f"wave, {hertz[peak]:.1f} Hz",
        (hertz[peak], amplitude[peak]),
        (hertz[peak] + 1.6, 0.9 * amplitude.max()),
        arrowprops={"arrowstyle": "->"},
    )
    right.set(title="A waving hand, sideways", xlim=(0, 10))
    return figure


def draw_padding() -> Figure:
    """Show how padding leaks into a band unless the length is known."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    length, x = 75, wave()
    x[length:] = 0
    left.plot(seconds(FRAMES), x, color=BLUE)
    left.axvspan(length / RATE, 4, color=GREY, alpha=0.25, lw=0)
    left.text(3.2, 0.65, "padding", ha="center")
    left.set(title="A clip of 75 frames, padded to 120", xlabel="time (s)", ylabel="height (m)")
    plain = split_bands(x, 30, dim=-1)[0]
    aware = split_bands(x[None], 30, lengths=torch.tensor([length]), dim=-1)[0][0]
    near = slice(60, 85)
    t = seconds(FRAMES)[near]
    right.plot(t, x[near], color=GREY, lw=4, alpha=0.5, label="signal")
    right.plot(t, plain[near], color=ORANGE, label="without lengths")
    right.plot(t, aware[near], color=BLUE, label="with lengths")
    right.set(
        title="Low band (k < 30) at the end of the clip", xlabel="time (s)", ylabel="height (m)"
    )
    right.legend(loc="lower left")
    return figure


def draw_tube_mask() -> Figure:
    """Draw a mask at three tube lengths."""
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.6), sharey=True)
    for axis, tube_length in zip(axes, (1, 3, 30), strict=True):
        masking = TubeMasking(25, 0.88, tube_length)
        mask = masking((1, 30, 25, 1), generator=torch.Generator().manual_seed(1)).mask
        plot_mask(mask, tube_length=tube_length if tube_length > 1 else None, ax=axis)
        plural = "step" if tube_length == 1 else "steps"
        axis.set(title=f"tubes of {tube_length} {plural}", xlabel="time (token steps)", ylabel="")
    axes[0].set_ylabel("joint")
    figure.suptitle("22 of 25 joints masked (dark) in every tube", fontsize=13)
    return figure


def box(
    axis: Axes, x: float, y: float, text: str, colour: str, width: float = 1.5, height: float = 0.62
) -> None:
    """Draw a labelled box centred at (x, y)."""
    axis.text(x, y, text, ha="center", va="center", fontsize=11, zorder=3)
    patch = plt.Rectangle(
        (x - width / 2, y - height / 2), width, height, fc=colour, ec="black", alpha=0.25, lw=0
    )
    axis.add_patch(patch)
    axis.add_patch(plt.Rectangle(patch.get_xy(), width, height, fill=False, ec=colour, lw=1.5))


def arrow(
    axis: Axes, start: tuple[float, float], end: tuple[float, float], **style: object
) -> None:
    """Draw an arrow; ``style`` as in matplotlib's ``arrowprops``."""
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black", **style})


def draw_ssfrm() -> Figure:
    """Draw the three sub-modules with their frame counts."""
    figure, axis = plt.subplots(figsize=(10, 3.5))
    axis.set(xlim=(0, 11.6), ylim=(0, 3.6), title="SSFRM with T_p = 30 token steps of 4 frames")
    axis.axis("off")
    box(axis, 1.0, 1.7, "features\n[N, D, 30, V]", GREY, 1.6, 0.9)
    columns = ((3.5, "scale up"), (6.0, "feature mapping"), (8.5, "reconstruction"))
    for x, name in columns:
        axis.text(x, 3.2, name, ha="center", fontsize=12, weight="bold")
    rows = (
        (2.4, ORANGE, "ConvT ×4, GELU", "T = 120", "ConvT ×1", "high\n[N, 3, 120, V]"),
        (1.0, BLUE, "ConvT, GELU,\nConvT ×2, GELU", "T = 60", "ConvT ×2", "low\n[N, 3, 120, V]"),
    )
    for y, colour, scale, frames, last, out in rows:
        box(axis, 3.5, y, scale, colour, 2.15, 0.85)
        box(axis, 6.0, y, f"grouped, 1×1 conv\n{frames}", colour, 2.15, 0.85)
        box(axis, 8.5, y, f"grouped, 1×1 conv,\nGELU, {last}", colour, 2.15, 0.85)
        box(axis, 10.7, y, out, colour, 1.6, 0.8)
        arrow(axis, (1.8, 1.7), (2.4, y))
        for left, right in ((4.6, 4.9), (7.1, 7.4), (9.6, 9.9)):
            arrow(axis, (left, y), (right, y))
    axis.text(5.8, 0.25, "all convolutions run along time; joints are not mixed", ha="center")
    return figure


def draw_ema() -> Figure:
    """Show how the target follows a noisy online parameter, and the schedule of the momentum."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3))
    updates = 1000
    generator = torch.Generator().manual_seed(0)
    k = torch.arange(updates)
    online = 1 - torch.exp(-k / 150) + 0.12 * torch.randn(updates, generator=generator)
    left.plot(k, online, color=GREY, lw=0.6, alpha=0.7, label="online")
    for momentum, colour in ((0.98, ORANGE), (0.996, BLUE)):
        target, path = float(online[0]), []
        for value in online.tolist():
            target = momentum * target + (1 - momentum) * value
            path.append(target)
        left.plot(k, path, color=colour, lw=2, label=f"target, γ = {momentum}")
    left.set(title="The target follows, smoothed", xlabel="update", ylabel="parameter value")
    left.legend(loc="lower right")
    schedule = cosine_momentum(0.996, updates)
    gammas = [schedule(step) for step in range(updates)]
    right.plot(k, gammas, color=BLUE)
    right.set(title="cosine_momentum(0.996, 1000)", xlabel="update", ylabel="momentum γ")
    right.ticklabel_format(axis="y", useOffset=False)
    return figure


def waving_hand() -> Tensor:
    """Sideways position of the right hand in a synthetic clip [T], metres."""
    clips = synthetic_ntu25(num_classes=2, num_subjects=1, clips_per=1, num_frames=120, dropout=0)
    clip = torch.from_numpy(clips.joints)[-int(clips.lengths[-1]) :].double()
    return clip[:, get_layout("ntu25").joints.index("right hand"), 0]


def draw_bands() -> Figure:
    """Draw a hand's motion with its low and its high band, SSFRM's two targets."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.3), sharey=True)
    x = 100 * motion(waving_hand(), dim=0)
    hertz = 4.0
    cutoff = round(2 * len(x) * hertz / RATE)
    low, high = split_bands(x, cutoff, dim=-1)
    t = seconds(len(x))
    panels = (
        (x, "motion d(S)", GREY),
        (low, f"low band: k < {cutoff}, below {hertz:g} Hz", BLUE),
        (high, f"high band: {hertz:g} Hz and above", ORANGE),
    )
    for axis, (signal, title, colour) in zip(axes, panels, strict=True):
        axis.plot(t, signal, color=colour, lw=1.4)
        axis.set(title=title, xlabel="time (s)")
    axes[0].set_ylabel("cm per frame")
    return figure


def draw_gain_and_resample() -> Figure:
    """Show a gain curve at work, and band-limited resampling."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.5))
    x, t = wave(), seconds(FRAMES)
    k = torch.arange(FRAMES, dtype=torch.float64)
    gain = torch.where(k < 10, 1.0, 1 / (1 + ((k - 10) / 8) ** 2))
    plot_gains(gain, frame_rate=RATE, ax=left)
    left.set(title="a gain curve", ylim=(0, 1.1))
    middle.plot(t, x, color=GREY, lw=3, alpha=0.5, label="x")
    middle.plot(t, apply_gain(x, gain, dim=-1), color=BLUE, label="apply_gain(x, gain)")
    middle.set(title="applied to a hand's height", xlabel="time (s)", ylabel="height (m)")
    middle.legend(loc="lower right")
    size = 40
    small = resample(x, size, dim=-1)
    centre = (torch.arange(size) + 0.5) / size * FRAMES / RATE
    right.plot((torch.arange(FRAMES) + 0.5) / RATE, x, color=GREY, lw=3, alpha=0.5, label="x")
    right.plot(centre, small, "o-", color=ORANGE, ms=3, lw=0.8, label="resample(x, 40)")
    right.set(title="120 frames to 40", xlabel="time (s)", ylabel="height (m)")
    right.legend(loc="lower right")
    return figure


def draw_losses() -> Figure:
    """Show which reconstruction is compared with which target, and where the gradient stops."""
    figure, axis = plt.subplots(figsize=(10, 3.7))
    axis.set(xlim=(0, 12), ylim=(0.1, 4.0), title="The terms of FD-MAE's loss")
    axis.axis("off")
    rows = (
        (3.1, BLUE, "online branch", "even frames", ""),
        (0.9, GREY, "target branch\n(moving average)", "odd frames", " (no gradient)"),
    )
    for y, colour, name, frames, note in rows:
        box(axis, 1.2, y, f"{name}\n{frames}", colour, 2.1, 1.1)
        box(axis, 4.4, y + 0.42, "signal φ(S')", colour, 2.0, 0.6)
        box(axis, 4.4, y - 0.42, "bands low, high", colour, 2.0, 0.6)
        for offset in (0.42, -0.42):
            arrow(axis, (2.25, y), (3.4, y + offset))
        box(axis, 10.6, y + 0.42, "motion d(S)", GREEN, 2.2, 0.6)
        box(axis, 10.6, y - 0.42, "its bands F", GREEN, 2.2, 0.6)
        for offset, text in ((0.42, "L_m: squared error"), (-0.42, "L_mf: low², |high|")):
            arrow(axis, (5.4, y + offset), (9.5, y + offset), arrowstyle="<|-|>", color=colour)
            axis.text(7.75, y + offset + 0.1, text + note, ha="center", fontsize=11)
    arrow(axis, (5.65, 1.32), (5.65, 3.52), arrowstyle="<|-|>")
    axis.text(5.8, 2.05, "L_mc: squared error, gradient to the online branch only", fontsize=11)
    return figure


def draw_frest() -> Figure:
    """Show which bins of a noisy trajectory pass the threshold, and their signal alone."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1, 1.1))
    theta, clean = 12.0, wave()
    generator = torch.Generator().manual_seed(1)
    noisy = clean + 0.04 * torch.randn(FRAMES, generator=generator, dtype=torch.float64)
    mean = noisy.mean()
    re, im = rdft(noisy - mean, dim=-1)
    mask = adaptive_spectral_mask(re[None], im[None], theta, dim=1, channel_dim=0)[0]
    low = irdft(re * mask, im * mask, FRAMES, dim=-1) + mean
    left.plot(seconds(FRAMES), noisy, color=GREY, lw=1, label="with noise of 4 cm")
    left.plot(seconds(FRAMES), low, color=BLUE, lw=2, label="bins that pass, alone")
    left.set(title="Height of a waving hand", xlabel="time (s)", ylabel="height (m)")
    left.legend(frameon=False, loc="upper left")
    left.set_ylim(top=1.9)
    energy = re.square() + im.square()
    median = energy.sort().values[(len(energy) - 1) // 2]
    relative = (energy / (median + 1e-6 * energy.mean()))[1:]
    hertz = torch.arange(1, len(re)) * RATE / FRAMES
    colours = [BLUE if bit else GREY for bit in mask[1:]]
    right.bar(hertz, relative, width=0.2, color=colours)
    right.axhline(theta, color=ORANGE)
    right.text(15, theta * 1.2, "threshold θ", color=ORANGE, ha="right")
    right.set(yscale="log", title="Energy over its median", xlabel="frequency (Hz)")
    return figure


def draw_freq_enhance() -> Figure:
    """Draw FreqEnhance's gains, and a hand's movement and spectrum before and after it."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.5))
    x = 100 * waving_hand()
    x = x - x.mean()
    n = len(x)
    t = seconds(n)
    layer = FreqEnhance(n, dim=0).double()
    with torch.no_grad():
        gains, y = layer.gains, layer(x)
    plot_gains(gains, frame_rate=RATE, ax=left)
    left.set(title="gain per frequency", ylim=(0, 1.4))
    middle.plot(t, x, color=GREY, lw=2, alpha=0.7, label="before")
    middle.plot(t, y, color=BLUE, lw=1.4, label="after")
    middle.set(title="a waving hand, mean removed", xlabel="time (s)", ylabel="position (cm)")
    plot_spectrum(x, dim=-1, frame_rate=RATE, color=GREY, label="before", unit="cm", ax=right)
    plot_spectrum(y, dim=-1, frame_rate=RATE, label="after", unit="cm", ax=right)
    right.lines[0].set_linewidth(3)
    right.lines[1].set_linewidth(1.2)
    right.set_title("its spectrum")
    right.set(yscale="log", ylim=(0.03, 300))
    for axis in (middle, right):
        axis.legend(frameon=False)
    return figure


def draw_band_pooling() -> Figure:
    """Draw a hand that waves early or late: its height, coefficients and pooled amplitudes."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.5))
    t, edges = seconds(FRAMES), (0.0, 1.0, 3.0)
    hertz = torch.arange(FRAMES) * RATE / (2 * FRAMES)
    names = ["< 1 Hz", "1–3 Hz", "≥ 3 Hz"]
    clips = (("early", 1.3, BLUE, -0.2), ("late", 2.6, ORANGE, 0.2))
    for name, centre, colour, offset in clips:
        x = 12 * torch.exp(-(((t - centre) / 0.5) ** 2)) * torch.sin(4 * math.pi * (t - centre))
        pooled = band_pool(x.view(1, 1, -1, 1), edges=edges, frame_rate=RATE).flatten()
        left.plot(t, x, color=colour, label=name)
        middle.plot(hertz[:40], dct(x, dim=0)[:40], color=colour, lw=1.4)
        right.bar(torch.arange(3) + offset, pooled[1:], width=0.36, color=colour)
    left.set(title="a hand waves early or late", xlabel="time (s)", ylabel="height (cm)")
    left.set_ylim(top=17)
    left.legend(frameon=False, loc="upper left", ncols=2)
    for edge in edges[1:]:
        middle.axvline(edge, color=GREY, lw=0.8, ls="--")
    middle.set(title="its coefficients differ", xlabel="frequency (Hz)", ylabel="X_k (cm)")
    right.set(title="its pooled amplitudes agree", xlabel="band", ylabel="A_b (cm)")
    right.set_xticks(range(3), names)
    return figure


PICTURES: dict[str, Callable[[], Figure | FuncAnimation]] = {
    "basis.png": draw_basis,
    "padding.png": draw_padding,
    "tube_mask.png": draw_tube_mask,
    "ssfrm.png": draw_ssfrm,
    "ema.png": draw_ema,
    "bands.png": draw_bands,
    "gain_and_resample.png": draw_gain_and_resample,
    "losses.png": draw_losses,
    "frest.png": draw_frest,
    "freq_enhance.png": draw_freq_enhance,
    "band_pooling.png": draw_band_pooling,
    "tube_mask_skeleton.svg": figures_skeletons.draw_tubes,
    "frest_filters.svg": figures_skeletons.draw_filters,
    "start.gif": figures_skeletons.animate_bands,
}
# Drawn with a trained FD-MAE.
TRAINED: dict[str, Callable[[Pretraining], Figure | FuncAnimation]] = {
    "ssfrm_bands.svg": figures_skeletons.draw_predicted_bands,
    "reconstruction.gif": figures_skeletons.animate_reconstruction,
}
STYLE = {
    "figure.dpi": 90,
    "font.size": 12,  # legible at half the size
    "axes.titlesize": 12.5,
    "legend.fontsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "skelfreq",  # the same picture gives the same file
}


def save(drawn: Figure | FuncAnimation, path: Path) -> None:
    """Write a picture as the ending of its name says; a palette takes half the bytes."""
    if isinstance(drawn, Figure):
        if not drawn.get_constrained_layout():
            drawn.tight_layout()
        if path.suffix == ".svg":
            drawn.savefig(path, metadata={"Date": None})
            return
        drawn.canvas.draw()
        image = Image.fromarray(np.asarray(drawn.canvas.buffer_rgba())).convert("RGB")
        # No version is written that would differ.
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        return
    drawn.save(path, writer="pillow", dpi=80)
    with Image.open(path) as film:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
        duration = film.info["duration"]
    palette = frames[len(frames) // 2].quantize(32, Image.Quantize.MAXCOVERAGE)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=duration, loop=0, optimize=True
    )


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--epochs", type=int, default=120, help="of the FD-MAE that is trained")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of the pictures to draw")
    arguments = parser.parse_args()
    folder, chosen = arguments.out, arguments.only or [*PICTURES, *TRAINED]
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {name: draw for name, draw in PICTURES.items() if name in chosen}
    if set(chosen) & TRAINED.keys():
        run = figures_skeletons.pretrained(arguments.epochs)
        drawings |= {name: partial(TRAINED[name], run) for name in TRAINED if name in chosen}
    for name, draw in drawings.items():
        with plt.rc_context(STYLE):
            save(draw(), folder / name)
            plt.close("all")


if __name__ == "__main__":
    main()
