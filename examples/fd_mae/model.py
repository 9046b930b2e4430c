"""The masked auto-encoder: a transformer on visible skeleton tokens, a decoder, two heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from einops import rearrange
from torch import Tensor, nn

from skelfreq import SSFRM, TubeMask, TubeMasking
from skelfreq.functional import Reconstruction, split_frames


class Branch(NamedTuple):
    """One pass of the auto-encoder: its reconstruction and which frames were masked [N, T, V]."""

    reconstruction: Reconstruction
    mask: Tensor


class Block(nn.Module):
    """Pre-norm transformer block on [N, L, D]."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        qkv = rearrange(self.qkv(self.norm1(x)), "n l (s h d) -> s n h l d", s=3, h=self.heads)
        query, key, value = qkv.unbind()
        mixed = nnf.scaled_dot_product_attention(query, key, value)
        x = x + self.proj(rearrange(mixed, "n h l d -> n l (h d)"))
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """Patches of frames × one joint as tokens, positions, transformer blocks.

    [N, C, T, V] → tokens [N, T/patch_frames, V, width], then [N, L, width].
    """

    def __init__(
        self, channels: int, frames: int, joints: int, patch_frames: int, width: int, depth: int,
        heads: int, mlp_ratio: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed = nn.Conv2d(channels, width, (patch_frames, 1), stride=(patch_frames, 1))
        self.time_position = nn.Parameter(torch.zeros(frames // patch_frames, 1, width))
        self.joint_position = nn.Parameter(torch.zeros(1, joints, width))
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def tokens(self, clip: Tensor) -> Tensor:
        embedded = rearrange(self.embed(clip), "n d t v -> n t v d")
        return embedded + self.time_position + self.joint_position

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def features(self, clip: Tensor) -> Tensor:
        """All tokens of the clip, all visible: [N, C, T, V] → [N, width, T/patch_frames, V]."""
        tokens = self.tokens(clip)
        mixed = self(tokens.flatten(1, 2)).reshape(tokens.shape)
        return rearrange(mixed, "n t v d -> n d t v")

    def clip_features(self, clip: Tensor) -> Tensor:
        """Tokens of both halves of the frames, averaged: [N, C, 2T, V] → as ``features``."""
        self.eval()
        return sum(self.features(half) for half in split_frames(clip)) / 2

    def depths(self, clip: Tensor) -> list[Tensor]:
        """Return the tokens [N, T_p, V, width] after the embedding and after each block."""
        tokens = self.tokens(clip)
        states, shape = [tokens], tokens.shape
        x = tokens.flatten(1, 2)
        for block in self.blocks:
            x = block(x)
            states.append(x.reshape(shape))
        return states


class MaskedAutoencoder(nn.Module):
    """Encoder, light decoder, a linear head for the signal and SSFRM for its bands.

    One branch of FD-MAE; on its own, the plain masked auto-encoder. Clips [N, C, T, V] →
    :class:`Branch`. Without ``multi_tube`` the masked tokens are drawn from all tokens at
    random (MAMP's masking without motion awareness).
    """

    def __init__(
        self,
        *,
        frames: int,
        joints: int,
        channels: int = 3,
        signal_channels: int = 3,
        patch_frames: int = 4,
        width: int = 256,
        depth: int = 8,
        heads: int = 8,
        mlp_ratio: int = 4,
        decoder_width: int = 256,
        decoder_depth: int = 3,
        ssfrm_width: int | None = None,
        mask_ratio: float = 0.88,
        tube_length: int = 3,
        multi_tube: bool = True,
        frequency: bool = True,
    ) -> None:
        super().__init__()
        if frames % patch_frames:
            raise ValueError(f"frames must be a multiple of {patch_frames}, got {frames}.")
        self.patch_frames = patch_frames
        self.encoder = Encoder(
            channels, frames, joints, patch_frames, width, depth, heads, mlp_ratio
        )
        steps = frames // patch_frames
        self.multi_tube = multi_tube
        self.masking = (
            TubeMasking(joints, mask_ratio, tube_length)
            if multi_tube
            else TubeMasking(steps * joints, mask_ratio, tube_length=1)
        )
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(decoder_width))
        self.decoder_time_position = nn.Parameter(torch.zeros(steps, 1, decoder_width))
        self.decoder_joint_position = nn.Parameter(torch.zeros(1, joints, decoder_width))
        self.decoder_blocks = nn.ModuleList(
            Block(decoder_width, heads, mlp_ratio) for _ in range(decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(decoder_width)
        self.signal_head = nn.Linear(decoder_width, patch_frames * signal_channels)
        self.ssfrm = (
            SSFRM(
                decoder_width,
                signal_channels,
                hidden_channels=ssfrm_width,
                patch_frames=patch_frames,
                high_scale=patch_frames,
                low_scale=max(patch_frames // 2, 1),
            )
            if frequency
            else None
        )
        self.apply(_initialise)
        nn.init.xavier_uniform_(self.encoder.embed.weight.flatten(1))
        of_encoder = (self.encoder.time_position, self.encoder.joint_position)
        of_decoder = (self.decoder_time_position, self.decoder_joint_position, self.mask_token)
        for position in (*of_encoder, *of_decoder):
            nn.init.normal_(position, std=0.02)

    def draw_mask(self, clip: Tensor) -> TubeMask:
        """Draw a mask for the tokens of a clip [N, C, T, V]."""
        n, _, t, v = clip.shape
        steps = t // self.patch_frames
        if self.multi_tube:
            drawn: TubeMask = self.masking(clip.new_empty(n, steps, v, 0))
            return drawn
        # All tokens stand in one row, as if they were the joints of a single step.
        drawn = self.masking(clip.new_empty(n, 1, steps * v, 0))
        return drawn._replace(mask=drawn.mask.reshape(n, steps, v))

    def decode(self, latent: Tensor, drawn: TubeMask) -> Tensor:
        """Visible latents [N, L_keep, width] → decoded tokens [N, T_p, V, decoder_width]."""
        tokens = drawn.scatter(self.decoder_embed(latent), self.mask_token)
        tokens = tokens + self.decoder_time_position + self.decoder_joint_position
        x = tokens.flatten(1, 2)
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_norm(x).reshape(tokens.shape)

    def reconstruct(self, latent: Tensor, drawn: TubeMask, bands: bool = True) -> Reconstruction:
        """Visible latents → signal [N, C, T, V] and, with SSFRM and if wanted, its bands."""
        decoded = self.decode(latent, drawn)
        signal = rearrange(
            self.signal_head(decoded), "n t v (u c) -> n c (t u) v", u=self.patch_frames
        )
        if self.ssfrm is None or not bands:
            return Reconstruction(signal)
        return Reconstruction(signal, self.ssfrm(rearrange(decoded, "n t v d -> n d t v")))

    def forward(self, clip: Tensor, drawn: TubeMask | None = None, bands: bool = True) -> Branch:
        drawn = self.draw_mask(clip) if drawn is None else drawn
        tokens = self.encoder.tokens(clip)
        reconstruction = self.reconstruct(self.encoder(drawn.gather(tokens)), drawn, bands)
        return Branch(reconstruction, drawn.mask.repeat_interleave(self.patch_frames, dim=1))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
