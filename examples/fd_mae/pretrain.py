"""Pre-training: one loop for FD-MAE and for every ablation of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from examples.fd_mae.config import Config
from examples.fd_mae.model import Branch, MaskedAutoencoder
from examples.runs import load_checkpoint, save_checkpoint, write_json
from skelfreq import EMADualPath
from skelfreq.functional import FDMAELoss, fd_mae_loss, motion, split_frames

CHECKPOINT_EVERY = 5  # epochs
GRADIENT_NORM = 1.0
PARTS = ("total", "motion", "target_motion", "consistency", "frequency")


def build(config: Config, joints: int) -> MaskedAutoencoder:
    """Make the network of one branch."""
    return MaskedAutoencoder(
        frames=config.frames,
        joints=joints,
        patch_frames=config.patch_frames,
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        decoder_width=config.decoder_width,
        decoder_depth=config.decoder_depth,
        ssfrm_width=config.ssfrm_width,
        mask_ratio=config.mask_ratio,
        tube_length=config.tube_length,
        multi_tube=config.multi_tube,
        frequency=config.frequency,
    )


def reconstructed_signal(clip: Tensor, config: Config) -> Tensor:
    """What a branch [N, 3, T, V] reconstructs: d(S) in the letter, positions as an option."""
    if config.signal == "motion":
        return motion(clip)
    if config.signal == "displacement":
        return clip - clip.mean(2, keepdim=True)
    return clip


class Pretraining:
    """Networks, optimizer and history of one run; saves and restores all of them."""

    def __init__(self, config: Config, clips: Tensor, device: str) -> None:
        # Weights and masks draw from the global generator, order and augmentation from this one.
        torch.manual_seed(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.config = config
        network = build(config, clips.shape[-1]).to(device)
        self.dual = EMADualPath(network, schedule=self.momentum_at) if config.dual_path else None
        self.network = network
        matrices = [p for p in network.parameters() if p.ndim > 1]
        vectors = [p for p in network.parameters() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.95), fused=True)
        self.clips = clips
        # Brings every kind of signal to unit deviation over the training clips.
        self.gain = 1 / float(reconstructed_signal(split_frames(clips)[1], config).std())
        self.steps_per_epoch = -(-len(clips) // config.batch_size)
        self.epoch = 0
        self.history: list[dict[str, float]] = []

    @property
    def module(self) -> nn.Module:
        """Everything with weights."""
        return self.network if self.dual is None else self.dual

    def step(self, clip: Tensor, learning_rate: float) -> FDMAELoss:
        """One optimizer step on clips [N, 3, 2T, V]."""
        config = self.config
        target_clip, online_clip = split_frames(clip)
        online: Branch = self.network(online_clip)
        target: Branch | None = None
        if self.dual is not None:
            with torch.no_grad():
                # Its bands would only add a constant to the loss, for a tenth of the step's time.
                target = self.dual.target(target_clip, bands=False)
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
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad()
        loss.total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        self.optimizer.step()
        if self.dual is not None:
            self.dual.update()
        return loss

    def run_epoch(self) -> None:
        """One pass over all clips, in random order."""
        config = self.config
        sums = torch.zeros(len(PARTS))
        order = torch.randperm(len(self.clips), generator=self.generator)
        for index, batch in enumerate(order.chunk(self.steps_per_epoch)):
            clip = config.augmentation(self.clips[batch], self.generator)
            step = self.epoch * self.steps_per_epoch + index
            loss = self.step(clip.to(next(self.network.parameters()).device), self.lr_at(step))
            sums += torch.stack([getattr(loss, part).detach().float().cpu() for part in PARTS])
        means = (sums / self.steps_per_epoch).tolist()
        self.history.append(dict(zip(PARTS, means, strict=True)))
        self.epoch += 1

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then a cosine to ``min_lr``."""
        config = self.config
        warmup = config.warmup_epochs * self.steps_per_epoch
        if step < warmup:
            return config.lr * (step + 1) / warmup
        progress = (step - warmup) / max(config.epochs * self.steps_per_epoch - warmup, 1)
        return config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * progress)) / 2

    def momentum_at(self, update: int) -> float:
        """γ, smaller in the first updates: a target near its random start teaches nothing."""
        return min(self.config.momentum, (update + 1) / (update + 10))

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "history": self.history,
            "weights": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "order_rng": self.generator.get_state(),
        }
        if torch.cuda.is_available():
            state["cuda_rng"] = torch.cuda.get_rng_state()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.module.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.history = state["epoch"], state["history"]
        torch.set_rng_state(state["rng"].cpu())
        self.generator.set_state(state["order_rng"].cpu())
        if "cuda_rng" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_rng"].cpu())


def pretrain(
    config: Config, clips: Tensor, folder: Path, *, device: str = "cpu", label: str = "pre-training"
) -> Pretraining:
    """Train on clips [n, 3, 2T, V] or continue from the folder's checkpoint."""
    run = Pretraining(config, clips, device)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        run.restore(load_checkpoint(checkpoint, device))
    write_json(folder / "config.json", config.to_dict())
    with progress(label, config.epochs, run.epoch) as bar:
        while run.epoch < config.epochs:
            run.run_epoch()
            bar.set_postfix(loss=f"{run.history[-1]['total']:.4f}")
            bar.update()
            if run.epoch % CHECKPOINT_EVERY == 0 or run.epoch == config.epochs:
                save_checkpoint(checkpoint, run.state())
                write_json(folder / "metrics.json", run.history)
    return run


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Any]:
    """Show a progress bar with the time left."""
    with tqdm(total=total, initial=done, desc=label, unit="epoch", dynamic_ncols=True) as bar:
        yield bar
