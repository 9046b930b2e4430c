"""Identities that hold on every device and in every dtype: what ``python -m skelfreq`` checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skelfreq import nn as layers
from skelfreq.functional import (
    apply_gain,
    dct,
    idct,
    irdft,
    motion,
    rdft,
    resample,
    split_bands,
)

# One short axis, one of the field's lengths and one that is transformed by an FFT.
POINTS = (25, 120, 600)
# Largest error relative to the largest value. Half precision: results are rounded once or twice.
LIMITS = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 2.0**-9,
    torch.bfloat16: 2.0**-6,
}


class Place(NamedTuple):
    """Where an identity is checked: device, dtype, points along time."""

    device: torch.device
    dtype: torch.dtype
    points: int

    def normal(self, *shape: int) -> Tensor:
        """Return normal numbers, the same at every call: a new generator has a fixed seed."""
        return torch.randn(shape, generator=torch.Generator()).to(self.device, self.dtype)

    def clip(self) -> Tensor:
        """Return a clip [N, C, T, V]."""
        return self.normal(4, 3, self.points, 5)

    def like_clip(self, layer: nn.Module) -> nn.Module:
        """Return the layer on this device; its numbers in half precision stay fp32."""
        wide = self.dtype if self.dtype in (torch.float32, torch.float64) else torch.float32
        return layer.to(self.device, wide)


Sides = tuple[Tensor, Tensor]


def dct_round_trip(at: Place) -> Sides:
    """Compare the inverse DCT of the DCT with the signal."""
    return idct(dct(at.clip(), dim=-2), dim=-2), at.clip()


def dct_preserves_energy(at: Place) -> Sides:
    """Compare the energy of the orthonormal DCT with that of the signal (Parseval)."""
    x = at.clip()
    # The sums themselves would overflow fp16.
    return dct(x, dim=-2).cpu().double().norm(), x.cpu().double().norm()


def dct_of_a_cosine(at: Place) -> Sides:
    """Compare the DCT of k half periods with its one coefficient, sqrt(n / 2)."""
    n, k = at.points, at.points // 3
    t = torch.arange(n, dtype=torch.float64)
    x = torch.cos(math.pi * (2 * t + 1) * k / (2 * n))
    expected = torch.zeros(n, dtype=torch.float64)
    expected[k] = math.sqrt(n / 2)
    return dct(x.to(at.device, at.dtype), dim=-1), expected


def dct_gradient(at: Place) -> Sides:
    """Compare the gradient of the DCT with the inverse DCT."""
    x = at.clip().requires_grad_()
    seen = at.clip().flip(0)
    (gradient,) = torch.autograd.grad(dct(x, dim=-2), x, seen)
    return gradient, idct(seen, dim=-2)


def dft_round_trip(at: Place) -> Sides:
    """Compare the inverse DFT of the DFT with the signal."""
    re, im = rdft(at.clip(), dim=-2)
    return irdft(re, im, at.points, dim=-2), at.clip()


def dft_of_a_cosine(at: Place) -> Sides:
    """Compare the DFT of k periods with its one bin, sqrt(n) / 2 without imaginary part."""
    n, k = at.points, at.points // 3
    x = torch.cos(2 * math.pi * k * torch.arange(n, dtype=torch.float64) / n)
    expected = torch.zeros(2, n // 2 + 1, dtype=torch.float64)
    expected[0, k] = math.sqrt(n) / 2
    return torch.stack(rdft(x.to(at.device, at.dtype), dim=-1)), expected


def bands_sum_to_the_signal(at: Place) -> Sides:
    """Compare the sum of the low and the high band with the signal."""
    bands = split_bands(at.clip(), at.points // 4, dim=-2)
    return bands.low + bands.high, at.clip()


def resampling_loses_nothing(at: Place) -> Sides:
    """Compare a low band that was resampled to half the frames and back with itself."""
    low = split_bands(at.clip(), at.points // 4, dim=-2).low
    return resample(resample(low, (at.points + 1) // 2, dim=-2), at.points, dim=-2), low


def motion_of_a_line(at: Place) -> Sides:
    """Compare the frame differences of a constant speed with that speed, 0 at the end."""
    x = torch.arange(8, device=at.device, dtype=at.dtype).reshape(1, 1, 8, 1)
    expected = torch.ones(1, 1, 8, 1, dtype=torch.float64)
    expected[:, :, -1] = 0
    return motion(x), expected


def padding_has_no_effect(at: Place) -> Sides:
    """Compare a padded clip, given its length, with the clip alone."""
    x, present = at.clip(), at.points // 2
    lengths = torch.full((len(x),), present, device=at.device)
    gain = torch.linspace(1, 0, at.points, device=at.device, dtype=at.dtype)
    padded = apply_gain(x, gain, dim=-2, lengths=lengths)
    return padded[:, :, :present], apply_gain(x[:, :, :present], gain[:present], dim=-2)


def free_gains_of_one(at: Place) -> Sides:
    """Compare ``FreqEnhance`` with gains of 1 with its input."""
    layer = at.like_clip(layers.FreqEnhance(at.points, learnable="free"))
    return layer(at.clip()), at.clip()


def identity_filter(at: Place) -> Sides:
    """Compare ``FreST`` that starts as the identity with its input."""
    return at.like_clip(layers.FreST(3, init="identity"))(at.clip()), at.clip()


def masked_tokens_return(at: Place) -> Sides:
    """Compare tokens put back by ``TubeMasking`` with the visible ones, 0 elsewhere."""
    tokens = at.normal(2, 6, 25, 4)
    drawn = layers.TubeMasking(25)(tokens, generator=torch.Generator())
    back = drawn.scatter(drawn.gather(tokens), torch.zeros(4, device=at.device, dtype=at.dtype))
    return back, tokens * ~drawn.mask.unsqueeze(-1)


def average_follows(at: Place) -> Sides:
    """Compare both networks of ``EMADualPath`` after an update with momentum 0."""
    dual = layers.EMADualPath(nn.Linear(8, 8), momentum=0.0).to(at.device, at.dtype)
    weight = dual.online.get_parameter("weight")
    with torch.no_grad():
        weight.add_(1)
    dual.update()
    return dual.target.get_parameter("weight"), weight


IDENTITIES: tuple[Callable[[Place], Sides], ...] = (
    dct_round_trip,
    dct_preserves_energy,
    dct_of_a_cosine,
    dct_gradient,
    dft_round_trip,
    dft_of_a_cosine,
    bands_sum_to_the_signal,
    resampling_loses_nothing,
    motion_of_a_line,
    padding_has_no_effect,
    free_gains_of_one,
    identity_filter,
    masked_tokens_return,
    average_follows,
)


def error_of(identity: Callable[[Place], Sides], device: torch.device, dtype: torch.dtype) -> float:
    """Return the largest error over all lengths, relative to the largest value; NaN if any is."""
    worst = 0.0
    for points in POINTS:
        actual, expected = (
            side.detach().cpu().double() for side in identity(Place(device, dtype, points))
        )
        error = float((actual - expected).abs().max() / expected.abs().max())
        if not error <= worst:
            worst = error
    return worst
