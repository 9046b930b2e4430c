"""What an encoder is worth: linear probe, nearest neighbours, fine-tuning with few labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as nnf
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from examples.common.runs import Cell
from examples.common.scale import Share
from examples.common.training import Loop
from examples.data.task import Labelled

PROBE_C = 0.1  # inverse regularisation of the linear probe, chosen on validation subjects
NEIGHBOURS = 5


@torch.no_grad()
def features(embed: Callable[[Tensor], Tensor], clips: Tensor, device: torch.device) -> Tensor:
    """Embed clips in batches: [n, width] on the CPU."""
    return torch.cat([embed(part.to(device)).cpu() for part in clips.split(128)])


def probe(
    embed: Callable[[Tensor], Tensor],
    train: Labelled,
    test: Labelled,
    device: torch.device,
    *,
    neighbours: bool = False,
) -> dict[str, float]:
    """Accuracy of a logistic regression and, if wanted, of 5 nearest neighbours (cosine)."""
    x, test_x = (features(embed, part.clips, device).double().numpy() for part in (train, test))
    models = {"linear probe": LogisticRegression(C=PROBE_C, max_iter=1000)}
    if neighbours:
        models["kNN"] = KNeighborsClassifier(NEIGHBOURS, metric="cosine", weights="distance")
    fitted = {k: make_pipeline(StandardScaler(), m).fit(x, train.labels) for k, m in models.items()}
    return {name: float(model.score(test_x, test.labels)) for name, model in fitted.items()}


def take_labels(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Indices of a share of the clips, classes as even as the count allows."""
    if not 0 < share <= 1:
        raise ValueError(f"labels must be a share in (0, 1], got {share}.")
    count = max(round(share * len(labels)), 1)
    order = torch.randperm(len(labels), generator=generator)
    classes = labels.unique()
    classes = classes[torch.randperm(len(classes), generator=generator)]
    # Rank of each clip inside its class, then the class: the first ones take turns.
    turns = [
        (rank, position, int(index))
        for position, label in enumerate(classes)
        for rank, index in enumerate(order[labels[order] == label])
    ]
    return torch.tensor([index for _, _, index in sorted(turns)[:count]])


class Order(nn.Module):
    """Row numbers in random order, ``size`` at a time; a new permutation follows the last."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.count, self.size = count, size
        self.rows = nn.Buffer(torch.zeros(count + size, dtype=torch.long))
        self.left = nn.Buffer(torch.zeros((), dtype=torch.long))

    def take(self, generator: torch.Generator) -> Tensor:
        """Return the next rows."""
        left = self.rows[: int(self.left)].clone()
        if len(left) < self.size:
            left = torch.cat([left, torch.randperm(self.count, generator=generator)])
        batch, left = left[: self.size], left[self.size :]
        self.rows[: len(left)] = left
        self.left.fill_(len(left))
        return batch


def fine_tune(
    cell: Cell,
    name: str,
    model: nn.Module,
    groups: list[dict[str, object]],
    inputs: Callable[[Tensor, torch.Generator, int], Tensor],
    train: Labelled,
    *,
    steps: int,
    batch_size: int,
    seed: int,
) -> None:
    """Train a classifier in place; ``groups`` give each parameter its ``base`` learning rate.

    ``inputs(clips, generator, step)`` makes what the model is called with. Labels are smoothed.
    ``name`` is that of the checkpoint in the folder of ``cell``.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(groups)
    device = next(model.parameters()).device
    warmup = max(steps // 10, 1)
    order = Order(len(train), min(batch_size, len(train)))
    parts = {"model": model, "optimizer": optimizer, "rows": order, "draws": generator}
    loop = Loop(cell, name, parts, torch.Generator(), epochs=1, count=steps, batch_size=1)
    if int(order.left) >= order.count + order.size or int(order.rows.max()) >= order.count:
        raise ValueError(f"{loop.path}: rows must be numbers of training clips; delete it.")
    model.train()
    for _ in loop:
        step, batch = loop.step, order.take(generator)
        progress = max(step - warmup, 0) / max(steps - warmup, 1)
        factor = min((step + 1) / warmup, (1 + math.cos(math.pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        scores = model(inputs(train.clips[batch], generator, step))
        loss = nnf.cross_entropy(scores, train.labels[batch].to(device), label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        # Every process computes the same.
        loop.add({"cross entropy": loss}, Share(batch, 1, 1.0, 1 / cell.scale.world))
