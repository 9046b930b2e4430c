"""The rows of every table: which switches each one sets, and how one row is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from examples.data.task import Labelled, Task
from examples.fd_mae.config import Config
from examples.fd_mae.evaluate import FineTuning, fine_tune, linear_probe, take_labels
from examples.fd_mae.model import MaskedAutoencoder
from examples.fd_mae.pretrain import Pretraining, build, pretrain
from examples.runs import write_json

# In the order of the letter's Table IV.
ROWS: dict[str, Callable[[Config], Config] | None] = {
    "untrained": None,
    "plain": lambda c: replace(c, dual_path=False, frequency=False, multi_tube=False),
    "dual-path": lambda c: replace(c, frequency=False, multi_tube=False),
    "dual-path+frequency": lambda c: replace(c, multi_tube=False),
    "fd-mae": lambda c: c,
}
TITLES = {
    "untrained": "untrained encoder",
    "plain": "plain masked auto-encoder",
    "dual-path": "+ dual path",
    "dual-path+frequency": "+ frequency reconstruction",
    "fd-mae": "FD-MAE",
}


@dataclass(frozen=True)
class Evaluation:
    """Which columns to compute: shares of labels for fine-tuning, 1 is all of them."""

    linear: bool = True
    label_shares: tuple[float, ...] = ()
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    draws: int = 1  # label draws averaged when not all labels are used


# What a study computes for each preset.
EVALUATIONS = {
    "small": Evaluation(),
    "msr": Evaluation(label_shares=(0.1, 1.0), draws=3),
    "ntu60": Evaluation(label_shares=(0.01, 0.1, 1.0)),
}


def run_row(
    row: str,
    config: Config,
    task: Task,
    evaluation: Evaluation,
    folder: Path,
    device: str = "cpu",
) -> tuple[MaskedAutoencoder, Pretraining | None, dict[str, float]]:
    """Pre-train one row if it has to be, evaluate it, keep everything in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    change = ROWS[row]
    run = None
    if change is None:
        torch.manual_seed(config.seed)
        network = build(config, task.train.clips.shape[-1]).to(device)
    else:
        run = pretrain(change(config), task.train.clips, folder, device=device, label=TITLES[row])
        network = run.network
    result = folder / "result.json"
    if result.exists():
        scores = json.loads(result.read_text())
    else:
        scores = evaluate(network, task, evaluation, config.seed)
        write_json(result, scores)
    return network, run, scores


def evaluate(
    network: MaskedAutoencoder, task: Task, evaluation: Evaluation, seed: int
) -> dict[str, float]:
    """Accuracies of one encoder by column name."""
    scores = {}
    if evaluation.linear:
        scores["linear probe"] = linear_probe(network.encoder, task.train, task.test)
    for share in evaluation.label_shares:
        few = share < 1
        accuracies = []
        for draw in range(evaluation.draws if few else 1):
            generator = torch.Generator().manual_seed(1000 + 100 * seed + draw)
            chosen = take_labels(task.train.labels, share, generator)
            subset = Labelled(task.train.clips[chosen], task.train.labels[chosen])
            accuracies.append(
                fine_tune(
                    network.encoder, subset, task.test, evaluation.fine_tuning, 100 * seed + draw
                )
            )
        name = f"fine-tuning, {share:.0%} of labels" if few else "fine-tuning"
        scores[name] = sum(accuracies) / len(accuracies)
    return scores
