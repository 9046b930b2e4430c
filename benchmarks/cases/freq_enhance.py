"""``FreqEnhance`` and its core, gains on DCT coefficients: scipy, torch-dct, a loop over bands."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.case import (
    BACKWARD,
    COMPILED,
    EAGER,
    FORWARD,
    Case,
    Limit,
    Operation,
    Setting,
    Target,
    Workload,
    both,
    full_precision,
)
from benchmarks.peers import fs_vae_band_loop, scipy_gain, torch_dct_gain
from skelfreq import FreqEnhance
from skelfreq.functional import apply_gain

TORCH_DCT, BAND_LOOP = "torch-dct · gain", "FS-VAE band loop"
SCIPY = "scipy.fft · gain"
NUMBERS = 2_000_000
# Points of apply_gain along the last axis, and the least ratio to scipy.fft.
SCIPY_RATIOS = {
    16: 1.15, 25: 1.15, 64: 1.15, 120: 1.15, 256: 0.75, 300: 0.75, 1024: 0.75, 8192: 0.75
}  # fmt: skip
BANDS, SPLIT, STRENGTH = 30, 30, 0.3  # the release's
MEMORY = 2.5


def build_gain(shape: tuple[int, ...], setting: Setting, *, dim: int) -> Workload:
    """A trained gain for each coefficient, along ``dim``."""
    x, gain = setting.normal(*shape), 1 + 0.3 * setting.normal(shape[dim], seed=1)

    def candidate(x: Tensor, gain: Tensor) -> Tensor:
        return apply_gain(x, gain, dim=dim)

    peer = Operation(full_precision(partial(torch_dct_gain, dim=dim)), (x, gain))
    peers = {TORCH_DCT: peer}
    if dim == len(shape) - 1 and setting.on_cpu:
        function = partial(scipy_gain, dim=dim)
        peers[SCIPY] = Operation(function, (x, gain), compiles=False, forward_only=True)
    limit = Limit.round_trip(x, dim)
    return Workload(Operation(candidate, (x, gain)), peers, x, reference=peer, limit=limit)


def build_bands(shape: tuple[int, ...], setting: Setting) -> Workload:
    """The release's layer: a trained weight for each band, and a trained strength."""
    x, weights = setting.normal(*shape), 1 + 0.1 * setting.normal(BANDS, seed=1)
    strength = torch.tensor(STRENGTH, device=setting.device, dtype=setting.dtype)
    settings = [torch.tensor(float(v), device=setting.device) for v in (BANDS, SPLIT, 1)]
    layer = FreqEnhance.released(shape[-1]).to(setting.device)
    # Held by the case, which takes their gradients, in place of the layer's own.
    del layer.weights, layer.strength

    def candidate(x: Tensor, weights: Tensor, strength: Tensor) -> Tensor:
        layer.weights, layer.strength = weights, strength
        out: Tensor = layer(x)
        return out

    def loop(x: Tensor, weights: Tensor, strength: Tensor) -> Tensor:
        return fs_vae_band_loop(x, weights, strength, *settings)

    tensors = (x, weights, strength)
    peer = Operation(full_precision(loop), tensors, compiles=False)
    limit = Limit.round_trip(x, -1)
    return Workload(Operation(candidate, tensors), {BAND_LOOP: peer}, x, peer, limit=limit)


CASES = [
    *(
        Case(
            "apply_gain",
            (NUMBERS // points, points),
            (2, points),
            partial(build_gain, dim=1),
            "last axis",
            (Target(SCIPY, EAGER, FORWARD, ratio),),
            modes=(EAGER,),
            dtypes=(torch.float32,),
            quick=(EAGER,) if points == 120 else (),
        )
        for points, ratio in SCIPY_RATIOS.items()
    ),
    Case(
        "freq_enhance",
        (32, 64, 120, 25),
        (2, 2, 12, 3),
        partial(build_gain, dim=2),
        "along T",
        both(TORCH_DCT, EAGER, 6.0, 8.0),
        MEMORY,
        quick=(EAGER,),
    ),
    Case(
        "freq_enhance",
        (8, 64, 300, 25),
        (2, 2, 300, 2),
        partial(build_gain, dim=2),
        "along T",
        memory_target=MEMORY,
    ),
    Case(
        "freq_enhance",
        (4096, 256),
        (3, 256),
        partial(build_gain, dim=1),
        "features",
        both(TORCH_DCT, EAGER, 3.0, 3.0),
        MEMORY,
        quick=(EAGER, COMPILED),
    ),
    Case(
        "freq_enhance",
        (64, 256),
        (3, 256),
        build_bands,
        "features, bands",
        (Target(BAND_LOOP, EAGER, BACKWARD, 12.0),),
        MEMORY,
        quick=(EAGER,),
    ),
]
