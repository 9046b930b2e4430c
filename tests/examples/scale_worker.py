"""Run by torchrun: trains each example on a part of the batches and keeps what it got."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from examples.common.runs import Cell, capture
from examples.common.scale import Scale, launched
from examples.data.task import Labelled
from examples.fd_mae.config import Config as FDMAE
from examples.fd_mae.train import Pretraining
from examples.fs_vae.config import Config as FSVAE
from examples.fs_vae.encoder import train_encoder
from examples.fs_vae.features import Features, Part
from examples.fs_vae.train import train_cycles
from examples.mica.config import Config as Mica
from examples.mica.train import Text, Training

JOINTS, CLIPS = 25, 21  # batches of 8, 8 and 5; of 2, where they are divided evenly: 7, 7, 7
FD = FDMAE(
    frames=8, width=16, depth=1, heads=2, decoder_width=16, ssfrm_width=8, cutoff=3,
    tube_length=1, mask_ratio=0.6, epochs=2, batch_size=8, warmup_epochs=0,
)  # fmt: skip
MICA = Mica(widths=(4, 8), frames=8, embedding=8, queue=12, epochs=2, batch_size=10)
VAE = FSVAE(
    frames=8, latent=6, cycles=1, cycle_epochs=3, batch_size=8, num_bands=4, split=9,
    encoder_epochs=2, encoder_batch=8, width=16, time_bands=3, time_split=3, alignment_start=0.0,
)  # fmt: skip


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(frames: int) -> Labelled:
    """Waves: clips whose classes differ in what they do."""
    time = torch.linspace(0, 1, frames)[:, None]
    labels = torch.arange(CLIPS) % 3
    phase = normal(CLIPS, 3, 1, JOINTS, seed=0)
    return Labelled(torch.sin(6 * time * (1 + labels.view(-1, 1, 1, 1)) + phase), labels)


def fd_mae(cell: Cell, **changes: Any) -> dict[str, Any]:
    run = Pretraining(replace(FD, **changes), smooth(16).clips, cell).run()
    return {"weights": capture(run.dual or run.network), "history": run.loop.history}


def mica(cell: Cell, **changes: Any) -> dict[str, Any]:
    text = Text(normal(3, 6, seed=1), normal(3, 3, 6, seed=2), torch.ones(3, 3).bool())
    run = Training(replace(MICA, **changes), smooth(8), "ntu25", text, cell).run()
    return {"weights": capture(run.model), "history": run.loop.history}


def fs_vae(cell: Cell, **changes: Any) -> dict[str, Any]:
    config = replace(VAE, **changes)
    data = smooth(8)
    encoder = train_encoder(data, (0, 1, 2), config, cell, "encoder")
    part = Part(normal(CLIPS, 16, seed=3), data.labels, torch.zeros(CLIPS, 3))
    held = Part(normal(4, 16, seed=4), torch.full((4,), 3), torch.zeros(4, 3))
    features = Features(part, part, held, (0, 1, 2), (3,), "test")
    model, _ = train_cycles(features, normal(4, 12, seed=5), config, cell)
    return {"weights": capture(encoder), "auto-encoders": capture(model)}


CASES: dict[str, Any] = {
    "fd_mae": fd_mae,
    "fd_mae accumulated": lambda cell: fd_mae(cell, accumulate=2),
    "fd_mae plain": lambda cell: fd_mae(cell, dual_path=False, frequency=False, multi_tube=False),
    "mica": mica,
    "fs_vae": fs_vae,
}


def main(folder: Path, strategies: list[str]) -> None:
    for strategy in strategies:
        for name, case in CASES.items():
            accumulate = 2 if "accumulated" in name else 1
            scale = Scale("cpu", **launched(1), strategy=strategy, accumulate=accumulate)
            state = case(Cell(scale=scale, quiet=True))
            torch.save(state, folder / f"{name}-{strategy}-{scale.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    # In fp32 Adam turns the rounding of a gradient near 0 into a step of full length.
    torch.set_default_dtype(torch.float64)
    main(Path(sys.argv[1]), sys.argv[2:])
