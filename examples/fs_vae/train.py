"""Stage 2: training of the two auto-encoders with warm-up schedules that restart every cycle."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

from examples.fs_vae.config import Config
from examples.fs_vae.features import Features
from examples.fs_vae.model import CrossModalVAE, Weights, loss_of


def schedule(config: Config, progress: float) -> Weights:
    """Return the weights of the loss at ``progress`` in [0, 1) of a cycle."""
    ramp = (progress - config.kl_start) / max(config.kl_end - config.kl_start, 1e-9)
    kl = config.kl_weight * min(max(ramp, 0.0), 1.0)
    alignment = config.alignment_weight if progress >= config.alignment_start else 0.0
    return Weights(config.reconstruction_weight, kl, kl, alignment)


def train_cycles(
    features: Features, text: Tensor, config: Config, device: str = "cpu"
) -> Iterator[CrossModalVAE]:
    """Train, and yield a copy of the model after every cycle.

    ``text`` is [classes, text width], a row for every class number.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator(device).manual_seed(config.seed)
    s = features.train.x.to(device)
    t = text[features.train.labels].to(device)
    model = CrossModalVAE(s.shape[1], t.shape[1], config).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
    epochs = config.cycles * config.cycle_epochs
    bar = tqdm(total=epochs, desc="2 auto-encoders", unit="epoch", leave=False)
    for _cycle in range(config.cycles):
        model.train()
        for epoch in range(config.cycle_epochs):
            weights = schedule(config, epoch / config.cycle_epochs)
            order = torch.randperm(len(s), generator=generator, device=device)
            for batch in order.split(config.batch_size):
                negatives = torch.randperm(len(batch), generator=generator, device=device)
                out = model(s[batch], t[batch], generator)
                loss = loss_of(out, s[batch], t[batch], weights, config, negatives)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            bar.update()
        yield copy.deepcopy(model).eval()
    bar.close()
