"""Pictures of moving skeletons and of trained layers, drawn by ``figures.py``."""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure
from torch import Tensor, nn

from examples.data import synthetic_ntu25
from examples.data.body import centre_frames, face_forward
from examples.fd_mae.config import Config
from examples.fd_mae.experiment import load
from examples.fd_mae.train import Pretraining, reconstructed_signal
from skelfreq import FreT, TubeMasking
from skelfreq.functional import split_bands, split_frames
from skelfreq.plotting import animate, plot_filter, plot_mask, plot_skeleton
from skelfreq.skeletons import get_layout

BLUE, ORANGE, GREY = "#0b6fb8", "#d1662f", "#8a8a8a"
LAYOUT = get_layout("ntu25")
RATE = 30.0


def moving(name: str, frames: int) -> Tensor:
    """Return a synthetic clip [3, T, V] of a class, facing forward, hips at the origin."""
    clips = synthetic_ntu25(16, 1, 1, num_frames=100, noise=0.005, dropout=0)
    end = int(clips.lengths[: clips.class_names.index(name) + 1].sum())
    length = int(clips.lengths[clips.class_names.index(name)])
    x = torch.from_numpy(clips.joints[end - length : end]).permute(2, 0, 1)
    start = (length - frames) // 2
    x = face_forward(x[None], LAYOUT)
    return centre_frames(x, LAYOUT)[0, :, start : start + frames]


def draw_tubes() -> Figure:
    """Draw masked joints on a skeleton, step after step, for three tube lengths."""
    steps, lengths = 8, (1, 4, 8)
    x = moving("jumping jack", 64)
    figure, axes = plt.subplots(
        3, steps, figsize=(10, 5.4), sharex=True, sharey=True, layout="constrained"
    )
    for row, tube_length in zip(axes, lengths, strict=True):
        masking = TubeMasking(25, 0.6, tube_length)
        mask = masking((1, steps, 25, 1), generator=torch.Generator().manual_seed(2)).mask[0]
        for step, axis in enumerate(row):
            shown = x[:, 8 * step : 8 * step + 1]
            plot_skeleton(shown, LAYOUT, mask=mask[step : step + 1], size=4.0, ax=axis)
            axis.set(xlabel="", ylabel="", xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if step and step % tube_length == 0:
                axis.spines["left"].set(visible=True, color=GREY, linestyle=(0, (4, 3)))
        plural = "step" if tube_length == 1 else "steps"
        row[0].set_ylabel(f"tubes of\n{tube_length} {plural}")
    for step, axis in enumerate(axes[-1]):
        axis.set_xlabel(f"{8 * step / RATE:.2f} s")
    figure.suptitle("Masked joints are orange: 15 of 25 in every tube. A line begins a new tube.")
    return figure


def draw_filters() -> Figure:
    """Train a FreT to remove noise; draw its filters, and what its mask keeps of one clip."""
    frames = 64
    clips = load(Config())[0].train.clips  # [n, 3, 64, V], normalised
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = FreT(3, frames, weight="frequency", decouple=False, init="identity", threshold=4.0)
        assert block.local_weight is not None and block.global_weight is not None
        nn.init.normal_(block.local_weight, std=0.02)
        optimizer = torch.optim.Adam(block.parameters(), lr=0.02)
        for _ in range(200):
            x = clips[torch.randint(len(clips), (16,))]
            error = block(x + 0.05 * torch.randn_like(x)) - x
            optimizer.zero_grad()
            error.square().mean().backward()
            optimizer.step()
        noisy = clips[:1] + 0.05 * torch.randn_like(clips[:1])
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5.4), width_ratios=(1, 1.15))
    # The residual adds 1 to the filters.
    one = torch.tensor([1.0, 0.0])
    passed = block.global_weight + one
    for values, colour, label in (
        (passed + block.local_weight, BLUE, "selected bins"),
        (passed, ORANGE, "all other bins"),
    ):
        plot_filter(values, frame_rate=RATE, color=colour, label=label, ax=left)
    left.legend(frameon=False)
    left.set(title="FreT trained to remove noise", ylim=(0, 1.25))
    kept = block.kept(noisy)[0, 0]
    plot_mask(kept, LAYOUT, frame_rate=frames / RATE, ax=right)
    right.set(title="Bins selected in one clip (dark)", xlabel="frequency (Hz)")
    right.tick_params(axis="y", labelsize=10)
    return figure


def animate_bands() -> FuncAnimation:
    """Show a clip, its slow part, and its fast part on the mean pose."""
    x = moving("jumping jack", 72)
    low, high = split_bands(x, round(2 * 72 * 1.0 / RATE), dim=-2)
    parts = (x, low, high + x.mean(1, keepdim=True))
    titles = ("clip", "below 1 Hz", "1 Hz and above,\non the mean pose")
    # Every other frame is enough for the eye.
    clips = {title: part[:, ::2] for title, part in zip(titles, parts, strict=True)}
    return _film(clips, frame_rate=RATE / 2)


def _film(clips: dict[str, Tensor], **options: object) -> FuncAnimation:
    _, axes = plt.subplots(
        1, len(clips), figsize=(2.2 * len(clips), 3.7), sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    film = animate(clips, LAYOUT, ax=list(axes), size=4.5, **options)
    for axis in axes:
        axis.set(xlabel="", ylabel="", xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return film


# --- With a trained FD-MAE ----------------------------------------------------------------------


def pretrained(epochs: int) -> Pretraining:
    """Train FD-MAE's small preset on the embedded motions, all facing forward."""
    config = Config(epochs=epochs, body_frame=True, rotation=0.0, crop=1.0, mask_ratio=0.5)
    return Pretraining(config, load(config)[0].train.clips).run()


@torch.no_grad()
def passed(run: Pretraining) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Return one half of a test clip, its mask [T, V], and predicted signal and bands.

    The half clip is [3, T, V], one frame in two of a waving hand; signals have its unit.
    """
    task = load(run.config)[0]
    clip = task.test.clips[int(torch.nonzero(task.test.labels == 0)[0])]
    half = split_frames(clip[None])[1]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        branch = run.trained().eval()(half)
    bands = branch.reconstruction.bands
    assert bands is not None
    low, high = (band[0] / run.gain for band in bands)
    return half[0], branch.mask[0], branch.reconstruction.signal[0] / run.gain, (low, high)


def draw_predicted_bands(run: Pretraining) -> Figure:
    """Draw the two bands that SSFRM predicts of a waving hand, and their targets."""
    half, mask, _, bands = passed(run)
    targets = split_bands(reconstructed_signal(half[None], run.config)[0], run.config.cutoff, dim=1)
    joint = LAYOUT.joints.index("right hand")
    t = 2 * torch.arange(half.shape[1]) / RATE
    hertz = run.config.cutoff * (RATE / 2) / (2 * half.shape[1])
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
    titles = (f"low band, below {hertz:.2g} Hz", f"high band, from {hertz:.2g} Hz")
    for axis, target, band, colour, title in zip(
        axes, targets, bands, (BLUE, ORANGE), titles, strict=True
    ):
        masked = mask[:, joint]
        axis.fill_between(
            t, 0, 1, where=masked, transform=axis.get_xaxis_transform(), color=GREY, alpha=0.15,
            lw=0, step="mid", label="joint is masked",
        )  # fmt: skip
        axis.plot(t, target[0, :, joint], color=GREY, lw=3, alpha=0.8, label="target")
        axis.plot(t, band[0, :, joint], color=colour, lw=1.6, label="SSFRM")
        axis.set(title=title, xlabel="time (s)")
    axes[0].set_ylabel("sideways motion per frame\n(part of the body's size)")
    for axis in axes:
        axis.legend(frameon=False, loc="lower left", ncols=3, fontsize=9.5)
        axis.margins(y=0.3)
    return figure


def animate_reconstruction(run: Pretraining) -> FuncAnimation:
    """Show a clip, what the encoder sees, what is reconstructed, and the clip's two bands."""
    half, mask, signal, _ = passed(run)
    truth = reconstructed_signal(half[None], run.config)[0]
    steps = torch.where(mask, signal, truth)[:, :-1]
    # Differences add up from the first frame, which is given.
    guess = torch.cat([half[:, :1], half[:, :1] + steps.cumsum(1)], 1)
    low, high = split_bands(half, run.config.cutoff, dim=1)
    clips = {
        "clip": half,
        "visible joints": half.masked_fill(mask, float("nan")),
        "reconstruction": guess,
        "low band": low,
        "high band, on\nthe mean pose": high + half.mean(1, keepdim=True),
    }
    return _film(clips, masks={"reconstruction": mask}, frame_rate=RATE / 2)
