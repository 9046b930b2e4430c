"""A compact ST-GCN whose blocks hold FreST, and the heads around it."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from examples.mica.config import HEADS, Config
from skelfreq import FreS, FreST, FreT
from skelfreq.skeletons import adjacency, get_layout


class Block(nn.Module):
    """Graph convolution over joints, convolution over frames, spectral filter, residual."""

    def __init__(
        self, channels_in: int, channels: int, graph: Tensor, stride: int, config: Config
    ) -> None:
        super().__init__()
        self.register_buffer("graph", graph, persistent=False)
        self.spatial = nn.Conv2d(channels_in, channels * len(graph), 1)
        self.temporal = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, (config.kernel, 1), (stride, 1), (config.kernel // 2, 0)),
            nn.BatchNorm2d(channels),
        )
        self.spectral = spectral_layer(channels, config)
        self.shortcut = nn.Conv2d(channels_in, channels, 1, (stride, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, T, V] to [N, channels, T / stride, V]."""
        y = self.spatial(x).unflatten(1, (len(self.graph), -1))
        y = self.temporal(torch.einsum("nkctv,kvw->nctw", y, self.graph))
        return torch.relu(self.spectral(y) + self.shortcut(x))


def spectral_layer(channels: int, config: Config) -> nn.Module:
    """Return the filter of a block: FreST, one of its halves, one of its filters, or nothing."""
    layers = {"fres": FreS, "fret": FreT, "frest": FreST}
    if config.spectral == "none":
        return nn.Identity()
    return layers[config.spectral](
        channels, use_global=config.filters != "local", use_local=config.filters != "global"
    )


class Encoder(nn.Module):
    """Clips [N, 3, T, V] → features of every frame [N, T', width]."""

    def __init__(self, layout: str, config: Config) -> None:
        super().__init__()
        graph = adjacency(get_layout(layout), "spatial").to(torch.get_default_dtype())
        self.norm = nn.BatchNorm1d(3 * graph.shape[-1])
        widths = (3, *config.widths)
        self.blocks = nn.Sequential(
            *(
                Block(before, after, graph, 1 if i == 0 else 2, config)
                for i, (before, after) in enumerate(itertools.pairwise(widths))
            )
        )
        self.width = widths[-1]

    def forward(self, clips: Tensor) -> Tensor:
        """Return frame features."""
        n, c, t, v = clips.shape
        x = self.norm(clips.permute(0, 1, 3, 2).reshape(n, c * v, t))
        x = x.reshape(n, c, v, t).permute(0, 1, 3, 2)
        return self.blocks(x).mean(-1).transpose(1, 2)


class Embedding(nn.Module):
    """Encoder, mean over frames, projection: what the moving average follows."""

    def __init__(self, encoder: Encoder, embedding: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.project = nn.Sequential(
            nn.Linear(encoder.width, encoder.width),
            nn.ReLU(),
            nn.Linear(encoder.width, embedding),
        )

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings [N, embedding] and frame features [N, T', width]."""
        frames = self.encoder(clips)
        return self.project(frames.mean(1)), frames


class Harmonizer(nn.Module):
    """Cross-attention: frames ask, the phrases of the sample's description answer."""

    def __init__(self, width: int, text_width: int, embedding: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            width, HEADS, kdim=text_width, vdim=text_width, batch_first=True
        )
        self.project = nn.Linear(width, embedding)

    def forward(self, frames: Tensor, phrases: Tensor, present: Tensor) -> Tensor:
        """Return embeddings [N, embedding] from frames [N, T', width], phrases [N, L, text]."""
        answer, _ = self.attention(
            frames, phrases, phrases, key_padding_mask=~present, need_weights=False
        )
        aligned: Tensor = self.project((frames + answer).mean(1))
        return aligned
