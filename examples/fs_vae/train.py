"""Stage 2: training of the two auto-encoders with warm-up schedules that restart every cycle."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from examples.common.runs import Cell
from examples.common.training import Loop
from examples.fs_vae.config import Config
from examples.fs_vae.features import Features
from examples.fs_vae.model import CrossModalVAE, Outputs, Weights, loss_of


def schedule(config: Config, progress: float) -> Weights:
    """Return the weights of the loss at ``progress`` in [0, 1) of a cycle."""
    ramp = (progress - config.kl_start) / max(config.kl_end - config.kl_start, 1e-9)
    kl = config.kl_weight * min(max(ramp, 0.0), 1.0)
    alignment = config.alignment_weight if progress >= config.alignment_start else 0.0
    return Weights(config.reconstruction_weight, kl, kl, alignment)


def train_cycles(
    features: Features,
    text: Tensor,
    config: Config,
    cell: Cell | None = None,
    name: str = "auto-encoders",
    judge: Callable[[CrossModalVAE], float] | None = None,
) -> tuple[CrossModalVAE, list[float]]:
    """Train; return the model of the last cycle, or of the one that ``judge`` puts first.

    ``text`` is [classes, text width], a row for every class number. The second result is what
    ``judge`` said of each cycle.
    """
    cell = cell or Cell()
    scale = cell.scale
    torch.manual_seed(config.seed)
    generator = torch.Generator(scale.device).manual_seed(config.seed)
    s = features.train.x.to(scale.device)
    t = text[features.train.labels].to(scale.device)

    def build() -> CrossModalVAE:
        return CrossModalVAE(s.shape[1], t.shape[1], config).to(scale.device)

    model = build()
    best = copy.deepcopy(model).eval()
    called = scale.setup(model.train())
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
    loop = Loop(
        cell, name, {"model": model, "best": best, "optimizer": optimizer}, generator,
        epochs=config.cycles * config.cycle_epochs, count=len(s), batch_size=config.batch_size,
    )  # fmt: skip
    judged = [epoch["judged"] for epoch in loop.history if "judged" in epoch]
    for rows in loop:
        weights = schedule(config, loop.epoch % config.cycle_epochs / config.cycle_epochs)
        optimizer.zero_grad()
        for share in scale.shares(rows, called, generator):
            negatives = torch.randperm(share.count, generator=generator, device=scale.device)
            batch = share.rows
            out = called(s[batch], t[batch], generator)
            # A negative may be another process's sample: the loss needs the decodings of all.
            whole = Outputs(*(scale.gather(x) for x in out))
            goals = (scale.gather(s[batch]), scale.gather(t[batch]))
            loss = loss_of(whole, *goals, weights, config, negatives)
            scale.backward(share.count / len(rows) * loss)
            loop.add({"loss": loss}, share)
        optimizer.step()
        if loop.index + 1 == loop.batches and (loop.epoch + 1) % config.cycle_epochs == 0:
            current = scale.plain(model, build).eval()
            if judge is not None:
                judged.append(judge(current))
                loop.note("judged", judged[-1])
            if judge is None or judged[-1] > max(judged[:-1], default=-1.0):
                best.load_state_dict(current.state_dict())
            model.train()
    return best, judged
