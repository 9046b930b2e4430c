"""Layers and functions that every contract is checked on, one table row each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from conftest import normal
from tolerances import assert_close
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from skelfreq import (
    SSFRM,
    BandPooling,
    EMADualPath,
    FrameDecoupling,
    FreqEnhance,
    FreS,
    FreST,
    FreT,
    JointDecoupling,
    SpectralFilter,
    TubeMask,
    TubeMasking,
)
from skelfreq import functional as F

WIDTH, STEPS, JOINTS = 6, 6, 5


class MaskAndRestore(nn.Module):
    """Select the visible tokens and put them back, with a mask that is given."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.full((WIDTH,), 0.5))

    def forward(self, tokens: Tensor, mask: Tensor, keep: Tensor, restore: Tensor) -> Tensor:
        drawn = TubeMask(mask, keep, restore)
        return drawn.scatter(drawn.gather(tokens) * 2, self.mask_token)


def features(n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    return (normal(n, WIDTH, STEPS, JOINTS, seed=n, dtype=dtype),)


def tokens(n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    return (normal(n, STEPS, JOINTS, WIDTH, seed=n, dtype=dtype),)


def tokens_and_mask(n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    drawn = TubeMasking(JOINTS, 0.6, 2)(*tokens(n), generator=torch.Generator().manual_seed(n))
    return (*tokens(n, dtype), *drawn)


def two_features(n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    return (*features(n, dtype), normal(n, WIDTH, STEPS, JOINTS, seed=n + 50, dtype=dtype))


def released() -> FreqEnhance:
    # With 5 features nothing is attenuated, and the edges of the release are rounded: two warnings.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return FreqEnhance.released(JOINTS)


@dataclass(frozen=True)
class Case:
    """A layer, its inputs for a batch of n samples, and whether it draws random numbers."""

    build: Callable[[], nn.Module]
    inputs: Callable[..., tuple[Tensor, ...]]
    random: bool = False
    frames_axis: int = 2


CASES = {
    "ssfrm": Case(partial(SSFRM, WIDTH), features),
    "ssfrm_own_rate": Case(
        partial(SSFRM, WIDTH, 2, hidden_channels=4, low_rate="own", groups=2), features
    ),
    "ssfrm_out_frames": Case(partial(SSFRM, WIDTH, out_frames=20), features),
    "tube_masking": Case(partial(TubeMasking, JOINTS, 0.6, 2), tokens, random=True, frames_axis=1),
    "mask_and_restore": Case(MaskAndRestore, tokens_and_mask, frames_axis=1),
    "ema": Case(lambda: EMADualPath(SSFRM(WIDTH)), two_features),
    "spectral_filter": Case(partial(SpectralFilter, WIDTH), features),
    "spectral_filter_joints": Case(
        partial(SpectralFilter, WIDTH, JOINTS, dim=-1, weight="full"), features
    ),
    "spectral_filter_both": Case(
        partial(SpectralFilter, WIDTH, (STEPS, JOINTS), dim=(-2, -1), weight="full"), features
    ),
    "joint_decoupling": Case(partial(JointDecoupling, WIDTH), features),
    "frame_decoupling": Case(partial(FrameDecoupling, WIDTH), features),
    "fres": Case(partial(FreS, WIDTH, JOINTS, weight="frequency"), features),
    "fret": Case(partial(FreT, WIDTH, STEPS, weight="full", threshold=0.5), features),
    "fret_bare": Case(
        partial(FreT, WIDTH, use_global=False, residual=False, decouple=False, gradient="sigmoid"),
        features,
    ),
    "frest": Case(partial(FreST, WIDTH), features),
    "freq_enhance": Case(partial(FreqEnhance, STEPS, num_bands=3, split=2), features),
    "freq_enhance_free": Case(partial(FreqEnhance, STEPS, learnable="free"), features),
    "freq_enhance_fixed": Case(
        partial(FreqEnhance, STEPS, num_bands=3, split=2, learnable=None), features
    ),
    "freq_enhance_joints": Case(
        partial(FreqEnhance, JOINTS, dim=-1, num_bands=30, split=4, divisor=2), features
    ),
    "freq_enhance_released": Case(released, features),
    "band_pooling": Case(BandPooling, features),
    # The last band has no coefficient.
    "band_pooling_hertz": Case(partial(BandPooling, (0, 6.5, 90), frame_rate=30), features),
    "band_pooling_joints": Case(partial(BandPooling, (1, 2, 3), dim=-1), features),
}
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
with_parameters = pytest.mark.parametrize(
    "case", [c for name, c in CASES.items() if name != "tube_masking"],
    ids=[name for name in CASES if name != "tube_masking"],
)  # fmt: skip


def build(case: Case) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return case.build().eval().float()


def run(case: Case, model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Call the layer, with the same draw every time, and return its output tensors."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return tree_leaves(model(*inputs))


def same(first: list[Tensor], second: list[Tensor], tolerance: float = 0.0) -> None:
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if tolerance and a.is_floating_point():
            assert_close(a, b, tolerance)
        else:
            assert torch.equal(a, b)


# --- The functional core ------------------------------------------------------------------------

CORE = {
    "dct": lambda x: F.dct(x, dim=2),
    "dct_unscaled": lambda x: F.dct(x, dim=2, norm=None),
    "idct": lambda x: F.idct(x, dim=2),
    "apply_gain": lambda x: F.apply_gain(
        x, torch.ones_like(x[0, 0, :, 0]).cumsum(0).rsqrt(), dim=2
    ),
    "split_bands": lambda x: F.split_bands(x, 3, dim=2),
    "resample": lambda x: F.resample(x, 20, dim=2),
    "motion": lambda x: F.motion(x, dim=2),
    "split_frames": lambda x: F.split_frames(x, dim=2),
    "merge_frames": lambda x: F.merge_frames(x, x, dim=2),
    "rdft": lambda x: F.rdft(x, dim=2),
    "motion_loss": lambda x: F.motion_reconstruction_loss(x, x + 1),
    "frequency_loss": lambda x: F.frequency_reconstruction_loss(F.Bands(2 * x, x), x, cutoff=3),
    "log_amplitude": lambda x: F.relative_log_amplitude(x, 2),
    "spectral_mask": lambda x: F.adaptive_spectral_mask(
        *F.rdft(x, dim=2), 0.5, dim=2, channel_dim=1
    ),
    "spectral_filter": lambda x: F.spectral_filter(x, *filters(x), 0.5),
    "enhance": lambda x: F.apply_gain(x, F.band_gains(x.shape[2], x[0, :, 0, 0], 4, 0.3), dim=2),
    "calibrated": lambda x: F.calibrated_alignment_loss(x, 2 * x, float(x[0].numel())),
    "divergence": lambda x: F.kl_to_standard_normal(x, 2 * x),
    "spectral_filter_2d": lambda x: F.spectral_filter_2d(x, plane(x)),
    "resample_up": lambda x: F.resample(x, x.shape[2] + 3, dim=2),
    "dct_keep": lambda x: F.dct(x, dim=2, keep=3),
    "idct_size": lambda x: F.idct(x, dim=2, size=x.shape[2] + 3),
    "soft_filter": lambda x: F.spectral_filter(x, *filters(x), 0.5, gradient="sigmoid"),
    "decouple": lambda x: F.decouple(x, torch.ones_like(x[0, :, :3, 0]), torch.eye(3).to(x)),
    "band_pool": lambda x: F.band_pool(x, edges=(1, 3)),
    "band_pool_hertz": lambda x: F.band_pool(x, edges=(0, 0.5, 4.9), frame_rate=30),
}


def filters(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return two complex weights for the three channels of ``x``."""
    values = torch.arange(9, dtype=x.dtype, device=x.device).view(3, 3) / 8
    return values[:, :2], values[:, 1:]


def plane(x: Tensor) -> Tensor:
    """Return a weight [C, T, V//2+1, 2] for ``x``."""
    shape = (x.shape[1], x.shape[2], x.shape[3] // 2 + 1, 2)
    return torch.ones(shape, dtype=x.dtype, device=x.device).cumsum(1).rsqrt()


# The functions that take lengths of frames.
PADDED: dict[str, Callable[[Tensor, Tensor], object]] = {
    "dct": lambda x, n: F.dct(x, dim=2, lengths=n),
    "dct_unscaled": lambda x, n: F.dct(x, dim=2, norm=None, lengths=n),
    "idct": lambda x, n: F.idct(x, dim=2, lengths=n),
    "apply_gain": lambda x, n: F.apply_gain(x, x[0, 0, :, 0].abs(), dim=2, lengths=n),
    "split_bands": lambda x, n: F.split_bands(x, 3, dim=2, lengths=n),
    "resample": lambda x, n: F.resample(x, 7, dim=2, lengths=n),
    "motion": lambda x, n: F.motion(x, lengths=n),
    "rdft": lambda x, n: F.rdft(x, dim=2, lengths=n),
    "spectral_filter": lambda x, n: F.spectral_filter(x, *filters(x), 0.5, lengths=n),
    "decouple": lambda x, n: F.decouple(
        x, torch.ones_like(x[0, :, :3, 0]), torch.eye(3).to(x), lengths=n
    ),
    "motion_loss": lambda x, n: F.motion_reconstruction_loss(x, x + 1, lengths=n),
    "frequency_loss": lambda x, n: F.frequency_reconstruction_loss(
        F.Bands(2 * x, x), x, cutoff=3, lengths=n
    ),
    "band_pool": lambda x, n: F.band_pool(x, edges=(1, 3), lengths=n),
    "band_pool_hertz": lambda x, n: F.band_pool(x, edges=(0, 4.9), lengths=n, frame_rate=30),
}
