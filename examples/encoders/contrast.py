"""After the reconstruction: two cameras on one take, or one clip changed twice, as a pair."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from examples.common.runs import Cell
from examples.common.training import Loop
from examples.data.task import Labelled
from examples.encoders.pooling import pool
from examples.encoders.steps import GRADIENT_NORM, augmented, optimizer_of, warm_cosine
from skelfreq import EMADualPath
from skelfreq.functional import info_nce, split_frames

POOLING = "bands"


class Embedding(nn.Module):
    """Encoder, pooling along time, one linear layer: [N, 3, T, V] → [N, width]."""

    def __init__(self, encoder: nn.Module, joints: int, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.project = nn.Linear(3 * joints * encoder.norm.normalized_shape[0], width)

    def forward(self, clip: Tensor) -> Tensor:
        embedded: Tensor = self.project(pool(self.encoder.features(clip), POOLING))
        return embedded


def partners(takes: Tensor) -> Tensor:
    """For every clip the next one of its take, or the clip itself where it has none."""
    members: dict[int, list[int]] = {}
    for index, take in enumerate(takes.tolist()):
        members.setdefault(take, []).append(index)
    found = torch.arange(len(takes))
    for group in members.values():
        found[group] = torch.tensor(group[1:] + group[:1])
    return found


def contrast(config: Any, encoder: nn.Module, train: Labelled, cell: Cell) -> nn.Module:
    """Train an encoder further with InfoNCE; keys come from its moving average."""
    if cell.scale.world > 1:
        raise ValueError("contrast_epochs above 0 do not go with --devices above 1.")
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    device = cell.scale.device
    model = Embedding(encoder, train.clips.shape[-1], config.contrast_width).to(device).train()
    dual = EMADualPath(model, momentum=config.momentum)
    optimizer = optimizer_of(model, config)
    loop = Loop(
        cell, "contrast", {"networks": dual, "optimizer": optimizer}, generator,
        epochs=config.contrast_epochs, count=len(train), batch_size=config.batch_size, even=True,
    )  # fmt: skip
    partner = torch.arange(len(train)) if train.takes is None else partners(train.takes)
    for rows in loop:
        for group in optimizer.param_groups:
            group["lr"] = warm_cosine(
                loop.step, loop.steps, loop.batches, config.contrast_lr, config.min_lr
            )
        for share in cell.scale.shares(rows, model, generator):
            clip, other = (
                split_frames(augmented(train.clips[part], config, generator).to(device))[half]
                for half, part in enumerate((share.rows, partner[share.rows]))
            )
            with torch.no_grad():
                keys = dual.target(other)
            loss = info_nce(model(clip), keys, keys, config.temperature)
            cell.scale.backward(share.weight * loss)
            loop.add({"contrast": loss}, share)
        norm = nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        loop.check("gradient norm", float(norm))
        optimizer.step()
        optimizer.zero_grad()
        dual.update()
    return model.encoder
