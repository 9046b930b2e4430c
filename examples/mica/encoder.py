"""A compact ST-GCN whose blocks hold FreST, and the heads around it."""

from __future__ import annotations

import itertools

import torch
from einops import rearrange
from torch import Tensor, nn

from examples.data.clips import Layout, layout_of
from examples.mica.config import HEADS, Config
from skelfreq import FreS, FreST, FreT
from skelfreq.skeletons import adjacency


class Block(nn.Module):
    """Graph convolution over joints, convolution over frames, spectral filter, residual."""

    def __init__(self, before: int, after: int, graph: Tensor, stride: int, config: Config) -> None:
        super().__init__()
        self.graph = nn.Buffer(graph, persistent=False)
        self.spatial = nn.Conv2d(before, after * len(graph), 1)
        size, padding = (config.kernel, 1), (config.kernel // 2, 0)
        over_frames = nn.Conv2d(after, after, size, (stride, 1), padding)
        norms = (nn.BatchNorm2d(after), nn.BatchNorm2d(after))
        self.temporal = nn.Sequential(norms[0], nn.ReLU(), over_frames, norms[1])
        self.spectral = spectral_layer(after, config)
        self.shortcut = nn.Conv2d(before, after, 1, (stride, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, T, V] to [N, channels, T / stride, V]."""
        y = self.spatial(x).unflatten(1, (len(self.graph), -1))
        y = self.temporal(torch.einsum("nkctv,kvw->nctw", y, self.graph))
        return torch.relu(self.spectral(y) + self.shortcut(x))


def spectral_layer(channels: int, config: Config) -> nn.Module:
    """Return the filter of a block: FreST, one of its halves, one of its filters, or nothing."""
    kind = {"none": nn.Identity, "fres": FreS, "fret": FreT, "frest": FreST}[config.spectral]
    used = config.filters
    return kind(channels, use_global=used != "local", use_local=used != "global")


class Encoder(nn.Module):
    """Clips [N, C, T, V] → features of every frame [N, T', width]."""

    def __init__(self, layout: Layout, config: Config, channels: int = 3) -> None:
        super().__init__()
        graph = adjacency(layout_of(layout), "spatial").to(torch.get_default_dtype())
        self.norm = nn.BatchNorm1d(channels * graph.shape[-1])
        self.width = config.widths[-1]
        sizes = enumerate(itertools.pairwise((channels, *config.widths)))
        blocks = (Block(*size, graph, 2 if number else 1, config) for number, size in sizes)
        self.blocks = nn.Sequential(*blocks)

    def forward(self, clips: Tensor) -> Tensor:
        """Return frame features."""
        x = self.norm(rearrange(clips, "n c t v -> n (c v) t"))
        x = self.blocks(rearrange(x, "n (c v) t -> n c t v", c=clips.shape[1]))
        return x.mean(-1).transpose(1, 2)


class Embedding(nn.Module):
    """Encoder, mean over frames, projection: what the moving average follows."""

    def __init__(self, encoder: Encoder, embedding: int) -> None:
        super().__init__()
        self.encoder = encoder
        size = encoder.width
        self.project = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, embedding))

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings [N, embedding] and frame features [N, T', width]."""
        frames = self.encoder(clips)
        return self.project(frames.mean(1)), frames


class Harmonizer(nn.Module):
    """Cross-attention: frames ask, the phrases of the sample's description answer."""

    def __init__(self, width: int, text: int, embedding: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, HEADS, kdim=text, vdim=text, batch_first=True)
        self.project = nn.Linear(width, embedding)

    def forward(self, frames: Tensor, phrases: Tensor, present: Tensor) -> Tensor:
        """Return embeddings [N, embedding] from frames [N, T', width], phrases [N, L, text]."""
        options = {"key_padding_mask": ~present, "need_weights": False}
        answer, _ = self.attention(frames, phrases, phrases, **options)
        return self.project((frames + answer).mean(1))
