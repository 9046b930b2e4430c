"""The computations of other projects, written from their descriptions, as plain as theirs.

They are the denominators of the suite: every function here is compared with an independent
reference in ``tests/benchmarks/test_peers.py``, since a ratio to something else would mean nothing.
Weights of filters are real pairs ``[..., 2]``, as those projects store them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as nnf
import torch_dct
from torch import Tensor, nn


def torch_dct_gain(x: Tensor, gain: Tensor, dim: int) -> Tensor:
    """torch-dct along ``dim``: DCT, gains, inverse DCT, and an output in x's memory order."""
    spectrum = torch_dct.dct(x.transpose(dim, -1), norm="ortho")
    return torch_dct.idct(spectrum * gain, norm="ortho").transpose(dim, -1).contiguous()


def torch_dct_forward(x: Tensor, dim: int) -> Tensor:
    """torch-dct's DCT-II along ``dim``."""
    return torch_dct.dct(x.transpose(dim, -1), norm="ortho").transpose(dim, -1).contiguous()


def torch_dct_inverse(x: Tensor, dim: int) -> Tensor:
    """torch-dct's inverse along ``dim``."""
    return torch_dct.idct(x.transpose(dim, -1), norm="ortho").transpose(dim, -1).contiguous()


def scipy_dct(x: Tensor, dim: int) -> Tensor:
    """scipy's DCT-II along ``dim``, with as many workers as torch has threads."""
    return _scipy(scipy.fft.dct, x, dim)


def scipy_idct(x: Tensor, dim: int) -> Tensor:
    """scipy's inverse along ``dim``."""
    return _scipy(scipy.fft.idct, x, dim)


def scipy_gain(x: Tensor, gain: Tensor, dim: int) -> Tensor:
    """scipy along the last axis: DCT, gains, inverse DCT."""
    spectrum = scipy.fft.dct(x.numpy(), axis=dim, norm="ortho", workers=torch.get_num_threads())
    spectrum *= gain.numpy()
    return _scipy(scipy.fft.idct, torch.from_numpy(spectrum), dim)


def _scipy(transform: Callable[..., np.ndarray], x: Tensor, dim: int) -> Tensor:
    workers = torch.get_num_threads()
    return torch.from_numpy(transform(x.numpy(), axis=dim, norm="ortho", workers=workers))


def fs_vae_band_loop(
    x: Tensor, weights: Tensor, strength: Tensor, bands: Tensor, split: Tensor, divisor: Tensor
) -> Tensor:
    """FS-VAE's enhancement of ``x`` [B, n]: a loop over bands, each a slice scaled in place.

    ``bands``, ``split`` and ``divisor`` are one-element tensors, read back in every call; the
    last coefficient belongs to no band.
    """
    n = x.shape[-1]
    spectrum = torch_dct.dct(x, norm="ortho")
    count = int(bands.item())
    edges = torch.linspace(0, n - 1, count + 1).long()
    scaled = spectrum.clone()
    for band in range(count):
        first, end = edges[band].item(), edges[band + 1].item()
        if end <= split.item():
            gain = 1 + weights[band] * strength * (1 - band / count)
        else:
            shift = count // int(divisor.item())
            gain = 1 - weights[band] * strength * (1 - (band - shift) / count)
        scaled[:, first:end] = spectrum[:, first:end] * gain
    return torch_dct.idct(scaled, norm="ortho")


def adaptive_spectral_block(
    x: Tensor, weight: Tensor, masked_weight: Tensor, threshold: Tensor
) -> Tensor:
    """TSLANet's block on ``x`` [B, N, C]: two complex filters, one of them masked by energy.

    Filters [C, 2]; ``threshold`` [1] gets that project's straight-through gradient.
    """
    spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
    energy = torch.abs(spectrum).pow(2).sum(-1)
    normalised = energy / (energy.median(dim=1, keepdim=True)[0] + 1e-6)
    hard = (normalised > threshold).to(x.dtype)
    mask = ((hard - threshold).detach() + threshold).unsqueeze(-1)
    filtered = spectrum * torch.view_as_complex(weight)
    filtered = filtered + spectrum * mask * torch.view_as_complex(masked_weight)
    return torch.fft.irfft(filtered, n=x.shape[1], dim=1, norm="ortho")


def adaptive_spectral_block_nctv(
    x: Tensor, weight: Tensor, masked_weight: Tensor, threshold: Tensor, dim: int = 2
) -> Tensor:
    """The same block along time or joints of ``x`` [N, C, T, V], with the copies it needs."""
    there, back = ((0, 3, 2, 1), (0, 3, 2, 1)) if dim == 2 else ((0, 2, 3, 1), (0, 3, 1, 2))
    rows = x.permute(there)
    out = adaptive_spectral_block(rows.flatten(0, 1), weight, masked_weight, threshold)
    return out.reshape(rows.shape).permute(back).contiguous()


def decoupled_spectral_block(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, weight: Tensor, masked_weight: Tensor,
    threshold: Tensor, dim: int,
) -> Tensor:  # fmt: skip
    """FreT's block, or FreS's, as one would write it: decoupling, the block above, residual."""
    channels, taps = depthwise.shape
    line = x - x.mean(dim, keepdim=True)
    line = line / (line.square().mean((1, dim), keepdim=True) + 1e-6).sqrt()
    shape, padding = [channels, 1, 1, 1], [0, 0]
    shape[dim], padding[dim - 2] = taps, taps // 2
    line = nnf.conv2d(line, depthwise.view(shape), padding=padding, groups=channels)
    line = nnf.conv2d(line, pointwise[:, :, None, None])
    return x + adaptive_spectral_block_nctv(line, weight, masked_weight, threshold, dim)


def global_filter(x: Tensor, weight: Tensor) -> Tensor:
    """GFNet's filter on ``x`` [B, a, b, C]; ``weight`` [a, b // 2 + 1, C, 2]."""
    spectrum = torch.fft.rfft2(x, dim=(1, 2), norm="ortho")
    filtered = spectrum * torch.view_as_complex(weight)
    return torch.fft.irfft2(filtered, s=x.shape[1:3], dim=(1, 2), norm="ortho")


@torch.no_grad()
def ema_loop(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Average parameter by parameter, the loop of most published code."""
    for old, new in zip(target.parameters(), online.parameters(), strict=True):
        old.mul_(momentum).add_(new.detach(), alpha=1 - momentum)


def argsort_masking(
    tokens: Tensor, num_visible: int, noise: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """MAE's random masking of ``tokens`` [N, L, D]: visible tokens, mask [N, L], ids_restore."""
    batch, length, width = tokens.shape
    if noise is None:
        noise = torch.rand(batch, length, device=tokens.device)
    shuffle = torch.argsort(noise, dim=1)
    restore = torch.argsort(shuffle, dim=1)
    keep = shuffle[:, :num_visible]
    visible = torch.gather(tokens, 1, keep.unsqueeze(-1).repeat(1, 1, width))
    mask = torch.ones(batch, length, device=tokens.device)
    mask[:, :num_visible] = 0
    return visible, torch.gather(mask, 1, restore), restore
