"""Stage 2: two variational auto-encoders whose latent spaces are aligned."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from examples.fs_vae.config import Config
from skelfreq import FreqEnhance
from skelfreq.functional import calibrated_alignment_loss, kl_to_standard_normal, reparameterize


class Encoder(nn.Module):
    """Frequency enhancement along the features, then one linear map each to μ and log σ²."""

    def __init__(self, width: int, latent: int, enhance: nn.Module) -> None:
        super().__init__()
        self.enhance = enhance
        self.mu = nn.Linear(width, latent)
        self.logvar = nn.Linear(width, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.enhance(x)
        return self.mu(x), self.logvar(x)


class Outputs(NamedTuple):
    """What one pass gives: latents, and both modalities decoded from both latents."""

    mu_s: Tensor
    logvar_s: Tensor
    mu_t: Tensor
    logvar_t: Tensor
    s_from_s: Tensor
    t_from_t: Tensor
    s_from_t: Tensor
    t_from_s: Tensor


class CrossModalVAE(nn.Module):
    """Skeleton features [N, width] and text features [N, text width] in one latent space."""

    def __init__(self, width: int, text_width: int, config: Config) -> None:
        super().__init__()
        self.shared_noise = config.shared_noise
        self.skeleton = Encoder(width, config.latent, _enhance(width, config))
        text = _enhance(text_width, config) if config.enhance_text else nn.Identity()
        self.text = Encoder(text_width, config.latent, text)
        self.to_skeleton = _decoder(config.latent, width, config.decoder_relu)
        self.to_text = _decoder(config.latent, text_width, config.decoder_relu)

    def forward(self, s: Tensor, t: Tensor, generator: torch.Generator | None = None) -> Outputs:
        latents = (*self.skeleton(s), *self.text(t))
        z_s = self.sample(*latents[:2], generator)
        z_t = self.sample(*latents[2:], generator)
        own = (self.to_skeleton(z_s), self.to_text(z_t))
        return Outputs(*latents, *own, self.to_skeleton(z_t), self.to_text(z_s))

    def sample(self, mu: Tensor, logvar: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw latents; with ``shared_noise`` one number serves all dimensions of a sample."""
        if not self.shared_noise:
            return reparameterize(mu, logvar, generator)
        noise = torch.randn(len(mu), 1, generator=generator, device=mu.device, dtype=mu.dtype)
        return mu + noise * (logvar / 2).exp()


class Weights(NamedTuple):
    """Weights of the loss at one step; the schedule of :mod:`examples.fs_vae.train` sets them."""

    reconstruction: float
    kl_skeleton: float
    kl_text: float
    alignment: float


def loss_of(
    out: Outputs,
    s: Tensor,
    t: Tensor,
    weights: Weights,
    config: Config,
    permutation: Tensor | None = None,
) -> Tensor:
    """Reconstruction + weighted divergence + alignment of one batch."""
    loss = nnf.mse_loss(out.s_from_s, s) + nnf.mse_loss(out.t_from_t, t)
    loss = weights.reconstruction * loss
    loss = loss + weights.kl_skeleton * kl_to_standard_normal(out.mu_s, out.logvar_s)
    loss = loss + weights.kl_text * kl_to_standard_normal(out.mu_t, out.logvar_t)
    if weights.alignment > 0 and config.alignment != "none":
        loss = loss + weights.alignment * alignment_loss(out, s, t, config, permutation)
    return loss


def alignment_loss(
    out: Outputs, s: Tensor, t: Tensor, config: Config, permutation: Tensor | None = None
) -> Tensor:
    """Alignment of both directions: text from skeletons, skeletons from text."""
    if config.alignment == "triplet":
        return _triplet(t, out.t_from_s, permutation) + _triplet(s, out.s_from_t, permutation)
    scale = config.sensitivity
    text = calibrated_alignment_loss(t, out.t_from_s, scale, permutation)
    if config.alignment == "released":
        return text + calibrated_alignment_loss(s, out.s_from_t, scale, negatives=False)
    return text + calibrated_alignment_loss(s, out.s_from_t, scale, permutation)


def _triplet(target: Tensor, decoded: Tensor, permutation: Tensor | None) -> Tensor:
    """Triplet loss with margin 1 on squared distances: what the paper compares with."""
    other = decoded.roll(-1, 0) if permutation is None else decoded[permutation]
    right = (target - decoded).square().sum(1)
    wrong = (target - other).square().sum(1)
    return (right - wrong + 1).clamp(min=0).mean()


def _enhance(width: int, config: Config) -> nn.Module:
    if config.enhance == "none":
        return nn.Identity()
    options = {"num_bands": config.num_bands, "split": config.split, "strength": config.strength}
    return FreqEnhance(width, dim=-1, learnable=config.enhance, last=config.last, **options)


def _decoder(latent: int, width: int, relu: bool) -> nn.Module:
    linear = nn.Linear(latent, width)
    return nn.Sequential(linear, nn.ReLU()) if relu else nn.Sequential(linear)
