"""The pictures of a run; each function draws and writes PNGs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from examples.common.plots import lines, panels, save
from examples.common.runs import write_json
from examples.data.task import BONES
from examples.fd_mae.config import Config
from examples.fd_mae.model import MaskedAutoencoder
from examples.fd_mae.train import Pretraining, reconstructed_signal
from skelfreq.functional import relative_log_amplitude, split_frames
from skelfreq.plotting import plot_skeleton
from skelfreq.skeletons import SkeletonLayout


def draw_smoothness(histories: dict[str, list[dict[str, float]]], folder: Path) -> None:
    """L_m over the epochs, and how far it jumps from one to the next (letter, Fig. 3)."""
    figure, (curve, jumps) = panels(columns=2)
    motion = {n: torch.tensor([epoch["motion"] for epoch in h]) for n, h in histories.items()}
    motion = {name: values / values[0] for name, values in motion.items()}
    lines(curve, motion)
    lines(jumps, {name: values.diff().abs() for name, values in motion.items()})
    curve.set(title="Motion loss, online branch", xlabel="epoch", ylabel="$L_m$ / first epoch")
    jumps.set(title="Its change per epoch", xlabel="epoch", ylabel="$|ΔL_m|$ / first epoch")
    late = torch.cat([values[len(values) // 20 :] for values in motion.values()])
    curve.set_ylim(0.98 * float(late.min()), 1.02 * float(late.max()))  # the first epoch is 1
    jumps.set_yscale("log")
    save(figure, folder / "smoothness.png")


@torch.no_grad()
def draw_amplitudes(networks: dict[str, MaskedAutoencoder], clips: Tensor, folder: Path) -> None:
    """Relative log amplitude of the tokens along time, per depth (letter, Fig. 4)."""
    curves = {}
    for name, network in networks.items():
        half = split_frames(clips.to(next(network.parameters()).device))[1]
        states = network.eval().encoder.depths(half)
        curves[name] = [float(relative_log_amplitude(state, dim=1)) for state in states]
    figure, (axis,) = panels(size=(8, 4.4))
    lines(axis, curves, range(len(next(iter(curves.values())))))
    axis.set(
        title="Variation of the tokens along time",
        xlabel="depth (0: embedding, then after each block)",
        ylabel="relative log amplitude\n(highest − lowest frequency)",
    )
    save(figure, folder / "relative_log_amplitude.png")
    write_json(folder.parent / "relative_log_amplitude.json", curves)


@torch.no_grad()
def draw_reconstruction(
    run: Pretraining, clip: Tensor, layout: SkeletonLayout, folder: Path
) -> None:
    """One clip [C, 2T, V]: what the encoder sees, what the decoder makes of it, the truth."""
    torch.manual_seed(run.config.seed)
    half = split_frames(clip.unsqueeze(0))[1]
    branch = run.trained().cpu().eval()(half)
    guessed = branch.reconstruction.signal / run.gain
    # Visible tokens are given, so their true signal is shown.
    truth = reconstructed_signal(half, run.config)
    guess = _positions(torch.where(branch.mask.unsqueeze(1), guessed, truth), half, run.config)[0]
    steps = torch.linspace(0, half.shape[2] - 1, 5).round().long().tolist()
    seen = half[0].masked_fill(branch.mask[0], float("nan"))
    kinds = {"visible joints": seen, "reconstruction": guess, "truth": half[0]}
    figure, axes = panels(3, len(steps), (2.2, 3.2), sharex=True, sharey=True)
    for axis, (kind, pose, frame) in zip(
        axes, [(k, p, f) for k, p in kinds.items() for f in steps], strict=True
    ):
        pose, mask = BONES * pose[..., : layout.num_joints], branch.mask[0, :, : layout.num_joints]
        plot_skeleton(pose, layout, frame=frame, mask=mask, ax=axis)
        if len(pose) == 2:
            axis.yaxis.set_inverted(True)  # pixels count from the top
        axis.set(xlabel="", ylabel="")
        if kind == "visible joints":
            axis.set_title(f"frame {frame}")
        if frame == steps[0]:
            axis.set_ylabel(f"{kind}\nheight (bones)")
        if kind == "truth":
            axis.set_xlabel("sideways (bones)")
    note = "Blue: visible to the encoder. Orange: masked."
    if run.config.signal == "motion":
        note += " Reconstruction: the first frame plus the summed motions."
    figure.suptitle(note, fontsize=13)
    save(figure, folder / "reconstruction.png")


def _positions(signal: Tensor, half: Tensor, config: Config) -> Tensor:
    """Joint positions [N, C, T, V] from a reconstructed signal."""
    if config.signal == "position":
        return signal
    if config.signal == "displacement":
        return signal + half.mean(2, keepdim=True)
    # Differences add up from the clip's first, given frame.
    return torch.cat([half[:, :, :1], half[:, :, :1] + signal[:, :, :-1].cumsum(2)], dim=2)
