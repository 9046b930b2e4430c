"""A masked auto-encoder of MAMP's shape: the peer of FD-MAE's training step.

Transformer encoder on the visible tokens, decoder on all of them, motion as the target. Random
masking takes the place of the motion-aware one, which is a small part of the step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from benchmarks.peers import argsort_masking


class Attention(nn.Module):
    """Self-attention, its softmax written out or fused."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if self.fused:
            mixed = nnf.scaled_dot_product_attention(query, key, value)
        else:
            weights = (query @ key.transpose(-2, -1)) * (width // self.heads) ** -0.5
            mixed = weights.softmax(dim=-1) @ value
        return self.proj(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, fused)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MampShaped(nn.Module):
    """Clips [N, 3, T, V] → prediction of every patch's motion, and the loss on masked patches."""

    def __init__(
        self,
        frames: int = 120,
        joints: int = 25,
        patch_frames: int = 4,
        width: int = 256,
        decoder_width: int = 256,
        depth: int = 8,
        decoder_depth: int = 3,
        heads: int = 8,
        mask_ratio: float = 0.9,
        stride: int = 1,
        fused: bool = False,
    ) -> None:
        super().__init__()
        steps = frames // patch_frames
        self.patch_frames, self.mask_ratio, self.stride = patch_frames, mask_ratio, stride
        self.embed = nn.Conv2d(3, width, (patch_frames, 1), stride=(patch_frames, 1))
        self.temp_embed = nn.Parameter(0.02 * torch.randn(1, steps, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1, joints, width))
        self.blocks = nn.ModuleList(Block(width, heads, fused) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, decoder_width))
        self.decoder_temp_embed = nn.Parameter(0.02 * torch.randn(1, steps, 1, decoder_width))
        self.decoder_pos_embed = nn.Parameter(0.02 * torch.randn(1, 1, joints, decoder_width))
        self.decoder_blocks = nn.ModuleList(
            Block(decoder_width, heads, fused) for _ in range(decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(decoder_width)
        self.decoder_pred = nn.Linear(decoder_width, 3 * patch_frames)

    def predict(self, clip: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Prediction [N, L, 3 · patch_frames] and mask [N, L], tokens time-major."""
        x = self.embed(clip).permute(0, 2, 3, 1) + self.temp_embed + self.pos_embed
        tokens = x.flatten(1, 2)
        num_visible = int(
            tokens.shape[1] * (1 - self.mask_ratio)
        )  # 74 of 750: 1 - 0.9 is below 0.1
        visible, mask, restore = argsort_masking(tokens, num_visible, noise)
        for block in self.blocks:
            visible = block(visible)
        visible = self.decoder_embed(self.norm(visible))
        hidden = self.mask_token.expand(len(x), restore.shape[1] - visible.shape[1], -1)
        joined = torch.cat([visible, hidden.to(visible.dtype)], dim=1)
        index = restore.unsqueeze(-1).expand(-1, -1, joined.shape[2])
        positions = (self.decoder_temp_embed + self.decoder_pos_embed).flatten(1, 2)
        y = torch.gather(joined, 1, index) + positions
        for block in self.decoder_blocks:
            y = block(y)
        return self.decoder_pred(self.decoder_norm(y)), mask

    def patches(self, clip: Tensor) -> Tensor:
        """Motion of each patch, [N, L, patch_frames · 3]: frame by frame, then channel."""
        motion = torch.zeros_like(clip)
        motion[:, :, : -self.stride] = clip[:, :, self.stride :] - clip[:, :, : -self.stride]
        batch, channels, _, joints = motion.shape
        split = motion.reshape(batch, channels, -1, self.patch_frames, joints)
        return split.permute(0, 2, 4, 3, 1).reshape(batch, -1, self.patch_frames * channels)

    def forward(self, clip: Tensor, noise: Tensor | None = None, norm: bool = True) -> Tensor:
        prediction, mask = self.predict(clip, noise)
        target = self.patches(clip)
        if norm:
            mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
            target = (target - mean) / (variance + 1e-6).sqrt()
        squared = (prediction - target).square().mean(-1)
        return (squared * mask).sum() / mask.sum()
