"""The pictures of a run; each function draws one and writes one PNG."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from examples.data.task import BONES
from examples.fd_mae.config import Config
from examples.fd_mae.model import MaskedAutoencoder
from examples.fd_mae.pretrain import Pretraining, reconstructed_signal
from skelfreq.functional import relative_log_amplitude, split_frames
from skelfreq.skeletons import SkeletonLayout

COLOURS = {
    "FD-MAE": "#0b6fb8",
    "plain masked auto-encoder": "#d1662f",
    "untrained encoder": "#777777",
}


def draw_losses(runs: dict[str, Pretraining], path: Path) -> None:
    """Total loss and its parts over the epochs, one panel a run."""
    figure, axes = plt.subplots(1, len(runs), figsize=(5 * len(runs), 3.6), squeeze=False)
    for axis, (name, run) in zip(axes[0], runs.items(), strict=True):
        for part in ("total", "motion", "consistency", "frequency", "target_motion"):
            values = [epoch[part] for epoch in run.history]
            if max(values) > 0:
                axis.plot(range(1, len(values) + 1), values, label=part.replace("_", " "))
        axis.set(title=f"{name}: loss", xlabel="epoch", ylabel="loss", yscale="log")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize=8)
    _save(figure, path)


def draw_smoothness(runs: dict[str, Pretraining], path: Path) -> None:
    """L_m over the epochs and how far it jumps from one epoch to the next (letter, Fig. 3)."""
    figure, (curve, jumps) = plt.subplots(1, 2, figsize=(10, 3.6))
    for name, run in runs.items():
        values = torch.tensor([epoch["motion"] for epoch in run.history])
        values = values / values[0]
        epochs = range(1, len(values) + 1)
        curve.plot(epochs, values, label=name, color=COLOURS.get(name))
        jumps.plot(epochs[1:], values.diff().abs(), label=name, color=COLOURS.get(name))
    curve.set(title="Motion loss of the online branch", xlabel="epoch", ylabel="L_m / first epoch")
    jumps.set(
        title="Its change from epoch to epoch",
        xlabel="epoch",
        ylabel="|ΔL_m| / first epoch",
        yscale="log",
    )
    curve.legend(fontsize=8)
    for axis in (curve, jumps):
        axis.xaxis.get_major_locator().set_params(integer=True)
    _save(figure, path)


@torch.no_grad()
def draw_amplitudes(
    networks: dict[str, MaskedAutoencoder], clips: Tensor, path: Path
) -> dict[str, list[float]]:
    """Relative log amplitude of the tokens along time, per depth (letter, Fig. 4)."""
    figure, axis = plt.subplots(figsize=(7.5, 3.8))
    curves = {}
    for name, network in networks.items():
        device = next(network.parameters()).device
        half = split_frames(clips.to(device))[1]
        states = network.eval().encoder.depths(half)
        curves[name] = [float(relative_log_amplitude(state, dim=1)) for state in states]
        axis.plot(curves[name], marker="o", label=name, color=COLOURS.get(name))
    axis.set(
        title="Variation of the tokens along time",
        xlabel="depth (0: embedding, then behind each block)",
        ylabel="relative log amplitude\n(highest − lowest frequency)",
    )
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    _save(figure, path)
    return curves


@torch.no_grad()
def draw_reconstruction(
    network: MaskedAutoencoder,
    clip: Tensor,
    config: Config,
    gain: float,
    layout: SkeletonLayout,
    path: Path,
    vertical: int = 1,
) -> None:
    """One clip [3, 2T, V]: what the encoder sees, what the decoder makes of it, the truth."""
    torch.manual_seed(config.seed)
    half = split_frames(clip.unsqueeze(0))[1]
    branch = network.cpu().eval()(half)
    truth = reconstructed_signal(half, config)
    guessed = branch.reconstruction.signal / gain
    # Visible tokens are given, so their true signal is shown.
    signal = torch.where(branch.mask.unsqueeze(1), guessed, truth)
    guess = _positions(signal, half, config)[0]
    steps = torch.linspace(0, half.shape[2] - 1, 6).round().long()
    horizontal = 0
    figure, axes = plt.subplots(3, len(steps), figsize=(11, 7), sharex=True, sharey=True)
    rows = ("visible joints", "reconstruction", "truth")
    for column, frame in enumerate(steps.tolist()):
        masked = branch.mask[0, frame]
        for axis, pose, kind in zip(axes[:, column], (half[0], guess, half[0]), rows, strict=True):
            x, y = BONES * pose[horizontal, frame], BONES * pose[vertical, frame]
            for a, b in layout.edges:
                if kind != "visible joints" or not (masked[a] or masked[b]):
                    axis.plot(x[[a, b]], y[[a, b]], color="#999999", linewidth=1, zorder=1)
            axis.scatter(x[~masked], y[~masked], s=14, color="#0b6fb8", zorder=2)
            if kind != "visible joints":
                axis.scatter(x[masked], y[masked], s=14, color="#d1662f", zorder=2)
            axis.set_aspect("equal")
        axes[0, column].set_title(f"frame {frame}", fontsize=9)
    for axis, kind in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(f"{kind}\nheight (bone lengths)", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("sideways (bone lengths)", fontsize=8)
    note = "Blue: visible to the encoder. Orange: masked."
    if config.signal == "motion":
        note += " The reconstruction is the first frame and the summed motions from there."
    figure.suptitle(note, fontsize=10)
    _save(figure, path)


def _positions(signal: Tensor, half: Tensor, config: Config) -> Tensor:
    """Joint positions [N, 3, T, V] from a reconstructed signal."""
    if config.signal == "position":
        return signal
    if config.signal == "displacement":
        return signal + half.mean(2, keepdim=True)
    # Differences add up from the clip's first, given frame.
    return torch.cat([half[:, :, :1], half[:, :, :1] + signal[:, :, :-1].cumsum(2)], dim=2)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
