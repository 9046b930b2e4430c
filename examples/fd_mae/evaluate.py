"""What an encoder is worth: linear probe, fine-tuning with few labels, full fine-tuning."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as nnf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from tqdm import tqdm

from examples.data.task import Labelled
from examples.fd_mae.augmentation import Augmentation
from examples.fd_mae.model import Encoder
from skelfreq.functional import split_frames

PROBE_C = 0.1  # inverse regularisation of the linear probe, chosen on validation subjects


@dataclass(frozen=True)
class FineTuning:
    """Settings of fine-tuning; ``steps`` are optimizer steps."""

    steps: int = 300
    batch_size: int = 48
    lr: float = 3e-3
    layer_decay: float = 0.8
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    drop_tokens: float = 0.5
    augmentation: Augmentation = field(default_factory=Augmentation)


@torch.no_grad()
def features(encoder: Encoder, clips: Tensor, batch_size: int = 128) -> Tensor:
    """Mean-pooled features of both halves of the frames, averaged: [n, 3, 2T, V] → [n, width]."""
    device = next(encoder.parameters()).device
    encoder.eval()
    parts = []
    for clip in clips.split(batch_size):
        halves = split_frames(clip.to(device))
        parts.append(sum(encoder.features(half) for half in halves).cpu() / 2)
    return torch.cat(parts)


def linear_probe(encoder: Encoder, train: Labelled, test: Labelled) -> float:
    """Accuracy of a logistic regression on standardised features of the frozen encoder."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=PROBE_C, max_iter=1000))
    probe.fit(features(encoder, train.clips).double().numpy(), train.labels.numpy())
    return float(probe.score(features(encoder, test.clips).double().numpy(), test.labels.numpy()))


def take_labels(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Indices of a share of the clips, classes as even as the count allows."""
    if not 0 < share <= 1:
        raise ValueError(f"labels must be a share in (0, 1], got {share}.")
    count = max(round(share * len(labels)), 1)
    order = torch.randperm(len(labels), generator=generator)
    classes = labels.unique()
    classes = classes[torch.randperm(len(classes), generator=generator)]
    # Rank of each clip inside its class, then the class: the first ones take turns.
    by_class = [order[labels[order] == label] for label in classes]
    turns = [
        (rank, position, int(index))
        for position, members in enumerate(by_class)
        for rank, index in enumerate(members)
    ]
    return torch.tensor([index for _, _, index in sorted(turns)[:count]])


class Classifier(nn.Module):
    """Encoder, mean pooling, batch normalisation without scale, linear head."""

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        width = encoder.norm.normalized_shape[0]
        self.encoder = encoder
        self.normalise = nn.BatchNorm1d(width, affine=False)
        self.head = nn.Linear(width, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, clip: Tensor, drop_tokens: float = 0.0) -> Tensor:
        tokens = self.encoder.tokens(clip).flatten(1, 2)
        if drop_tokens > 0:
            keep = round(tokens.shape[1] * (1 - drop_tokens))
            chosen = torch.rand(tokens.shape[:2], device=clip.device).topk(keep, dim=1).indices
            tokens = tokens.gather(1, chosen.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
        logits: Tensor = self.head(self.normalise(self.encoder(tokens).mean(1)))
        return logits


def fine_tune(
    encoder: Encoder,
    train: Labelled,
    test: Labelled,
    settings: FineTuning,
    seed: int,
    label: str = "fine-tuning",
) -> float:
    """Accuracy after training a copy of the encoder and a new head."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    device = next(encoder.parameters()).device
    classes = int(torch.cat([train.labels, test.labels]).max()) + 1
    model = Classifier(copy.deepcopy(encoder).requires_grad_(True), classes).to(device)
    groups = _parameter_groups(model, settings)
    optimizer = torch.optim.AdamW(groups, lr=settings.lr)
    warmup = max(settings.steps // 10, 1)
    size = min(settings.batch_size, len(train))
    order = torch.empty(0, dtype=torch.long)
    model.train()
    for step in tqdm(range(settings.steps), desc=label, unit="step", leave=False):
        if len(order) < size:
            order = torch.cat([order, torch.randperm(len(train), generator=generator)])
        batch, order = order[:size], order[size:]
        progress = max(step - warmup, 0) / max(settings.steps - warmup, 1)
        factor = min((step + 1) / warmup, (1 + math.cos(math.pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        clip = settings.augmentation(train.clips[batch], generator)
        half = split_frames(clip.to(device))[step % 2]
        loss = nnf.cross_entropy(
            model(half, settings.drop_tokens),
            train.labels[batch].to(device),
            label_smoothing=settings.label_smoothing,
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return accuracy(model, test)


@torch.no_grad()
def accuracy(model: Classifier, test: Labelled, batch_size: int = 128) -> float:
    """Share of clips whose class has the highest probability, averaged over both halves."""
    device = next(model.parameters()).device
    model.eval()
    hits = 0
    for clip, labels in zip(
        test.clips.split(batch_size), test.labels.split(batch_size), strict=True
    ):
        halves = split_frames(clip.to(device))
        scores = torch.stack([model(half).softmax(-1) for half in halves]).mean(0)
        hits += int((scores.argmax(1).cpu() == labels).sum())
    return hits / len(test.labels)


def _parameter_groups(model: Classifier, settings: FineTuning) -> list[dict[str, object]]:
    """Learning rates that fall from the head to the embedding; no decay of vectors."""
    depth = len(model.encoder.blocks)
    groups: list[dict[str, object]] = []
    for name, parameter in model.named_parameters():
        if name.startswith("encoder.blocks."):
            layer = int(name.split(".")[2]) + 1
        elif name.startswith(("encoder.norm", "head")):
            layer = depth + 1
        else:
            layer = 0
        groups.append(
            {
                "params": [parameter],
                "base": settings.lr * settings.layer_decay ** (depth + 1 - layer),
                "weight_decay": settings.weight_decay if parameter.ndim > 1 else 0.0,
            }
        )
    return groups
