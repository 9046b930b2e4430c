"""Pre-training: one step for FD-MAE and for every ablation of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.common.runs import Cell
from examples.common.training import Loop
from examples.encoders.shipped import load_encoder
from examples.encoders.steps import GRADIENT_NORM, augmented, optimizer_of, warm_cosine
from examples.fd_mae.config import Config
from examples.fd_mae.model import Branch, MaskedAutoencoder
from skelfreq import EMADualPath
from skelfreq.functional import FDMAELoss, fd_mae_loss, motion, split_frames

PARTS = ("total", "motion", "target_motion", "consistency", "frequency")
MEASURED = 2**16  # clips from which the scale of the signal is taken


def build(
    config: Config, joints: int, channels: int = 3,
    kind: type[MaskedAutoencoder] = MaskedAutoencoder,
) -> MaskedAutoencoder:  # fmt: skip
    """Make the network of one branch, for clips of 2 or 3 coordinates."""
    names = (
        "frames patch_frames width depth heads mlp_ratio decoder_width decoder_depth ssfrm_width "
        "mask_ratio tube_length multi_tube frequency"
    )
    sizes = {"joints": joints, "channels": channels, "signal_channels": channels}
    network = kind(**sizes, **{n: getattr(config, n) for n in names.split()})
    if config.weights:
        load_encoder(network.encoder, config.weights)
    return network


def reconstructed_signal(clip: Tensor, config: Config) -> Tensor:
    """What a branch [N, C, T, V] reconstructs: d(S) in the letter, positions as an option."""
    if config.signal == "motion":
        return motion(clip)
    if config.signal == "displacement":
        return clip - clip.mean(2, keepdim=True)
    return clip


class Pretraining:
    """Networks and optimizer of one run on clips [n, C, 2T, V]."""

    def __init__(self, config: Config, clips: Tensor, cell: Cell | None = None) -> None:
        # Weights and masks draw from the global generator, order and augmentation from this one.
        torch.manual_seed(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.config, self.clips, self.cell = config, clips, cell or Cell()
        self.scale = self.cell.scale
        self.network = self.build().to(self.scale.device)
        self.dual = (
            EMADualPath(self.network, schedule=self.momentum_at) if config.dual_path else None
        )
        self.online = self.scale.setup(self.network, frozen=self.dual and self.dual.target)
        self.optimizer = optimizer_of(self.network, config)
        # Brings every kind of signal to unit deviation over the training clips.
        halves = split_frames(clips[:MEASURED])
        self.gain = 1 / float(reconstructed_signal(halves[1], config).std())
        self.loop = Loop(
            self.cell, "pretraining", {"networks": self.dual or self.network,
            "optimizer": self.optimizer}, self.generator, epochs=config.epochs, count=len(clips),
            batch_size=config.batch_size, even=True,
        )  # fmt: skip

    def run(self) -> Pretraining:
        """Train to the end."""
        for rows in self.loop:
            for share in self.scale.shares(rows, self.online, self.generator):
                clips = augmented(self.clips[share.rows], self.config, self.generator)
                loss = self.accumulate(clips.to(self.scale.device), share.weight)
                self.loop.add({part: getattr(loss, part) for part in PARTS}, share)
            self.update(self.lr_at(self.loop.step))
        return self

    def accumulate(self, clips: Tensor, weight: float = 1.0) -> FDMAELoss:
        """Add the gradients of clips [N, C, 2T, V]."""
        config = self.config
        target_clip, online_clip = split_frames(clips)
        online: Branch = self.online(online_clip, self.network.draw_mask(online_clip))
        target: Branch | None = None
        if self.dual is not None:
            with torch.no_grad(), self.scale.autocast():
                drawn = self.network.draw_mask(target_clip)
                # Its bands would only add a constant to the loss, for a tenth of the step's time.
                target = self.dual.target(target_clip, drawn, bands=False)
        loss = fd_mae_loss(
            online.reconstruction,
            self.gain * reconstructed_signal(online_clip, config),
            target.reconstruction if target else None,
            self.gain * reconstructed_signal(target_clip, config) if target else None,
            cutoff=config.cutoff,
            consistency_weight=config.consistency_weight,
            frequency_weight=config.frequency_weight,
            online_mask=online.mask,
            target_mask=target.mask if target else None,
        )
        if self.scale.sizes and target:
            # L_mc counts where both masks hold, which is not the same share of every clip.
            ratio = self.scale.ratio((online.mask & target.mask).sum())
            ratio = ratio / self.scale.ratio(len(clips))
            excess = (ratio - 1) * loss.consistency
            loss = loss._replace(
                consistency=loss.consistency + excess,
                total=loss.total + config.consistency_weight * excess,
            )
        self.scale.backward(weight * loss.total)
        return loss

    def update(self, learning_rate: float) -> None:
        """Step along the gradients, move the target, forget the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self.loop.check("gradient norm", float(norm))
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.dual is not None:
            self.dual.update()

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then a cosine to ``min_lr``."""
        config, warmup = self.config, self.config.warmup_epochs * self.loop.batches
        return warm_cosine(step, self.loop.steps, warmup, config.lr, config.min_lr)

    def momentum_at(self, update: int) -> float:
        """γ, smaller in the first updates: a target near its random start is of no use."""
        return min(self.config.momentum, (update + 1) / (update + 10))

    def trained(self) -> MaskedAutoencoder:
        """Return the online network, whole where its weights are sharded."""
        return self.scale.plain(self.network, self.build)

    def build(self) -> MaskedAutoencoder:
        """Make the network for these clips."""
        return build(self.config, self.clips.shape[-1], self.clips.shape[1])
