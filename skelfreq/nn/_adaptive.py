"""What FreS and FreT share: two complex filters, the mask between them, the residual."""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from skelfreq._checks import check_int, check_lengths, check_option, check_skeletons, compute_dtype
from skelfreq.functional._basis import zero_padding
from skelfreq.functional._lean_filter import Around
from skelfreq.functional.decoupling import FRAMES, JOINTS, decouple
from skelfreq.functional.filters import (
    GRADIENTS,
    adaptive_spectral_mask,
    bins_of,
    filter_block,
)
from skelfreq.functional.fourier import rdft
from skelfreq.nn._decoupling import FrameDecoupling, JointDecoupling
from skelfreq.nn._weights import filter_shape, new_filter, resize_filter

Block = TypeVar("Block", bound="AdaptiveBlock")
DECOUPLINGS = {FRAMES: FrameDecoupling, JOINTS: JointDecoupling}


class AdaptiveBlock(nn.Module):
    """``x + filter(decoupling(x))`` along one axis of [N, C, T, V]."""

    dim: int
    length_name: str

    def __init__(
        self,
        channels: int,
        length: int | None,
        decoupling: nn.Module | None,
        use_global: bool,
        use_local: bool,
        residual: bool,
        weight: str,
        gradient: str,
        temperature: float,
        threshold: float | None,
        init: str,
    ) -> None:
        super().__init__()
        shape = filter_shape(weight, channels, length, self.length_name)
        check_option("gradient", gradient, GRADIENTS)
        check_option("init", init, ("normal", "identity"))
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature!r}.")
        if threshold is not None and not math.isfinite(threshold):
            raise ValueError(f"threshold must be finite, got {threshold}.")
        if not (use_global or use_local):
            raise ValueError("use_global or use_local must be True, got False for both.")
        if init == "identity" and not residual and (decoupling is not None or not use_global):
            raise ValueError(
                "init must be 'normal' where neither a residual nor a global filter without "
                "decoupling can carry the input, got 'identity'."
            )
        self.channels = channels
        self.length = length
        self.weight = weight
        self.gradient = gradient
        self.temperature = temperature
        self.residual = residual
        self.decoupling = decoupling
        start = "normal" if init == "normal" else "zero"
        first = "one" if init == "identity" and not residual else start
        self.global_weight = nn.Parameter(new_filter(shape, first)) if use_global else None
        self.local_weight = nn.Parameter(new_filter(shape, start)) if use_local else None
        level = torch.rand(1) if threshold is None else torch.full((1,), float(threshold))
        self.threshold = nn.Parameter(level) if use_local else None

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Filter ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        filters = (
            self.global_weight, self.local_weight, self.threshold, self.dim, 1,
            self.weight, self.gradient, self.temperature,
        )  # fmt: skip
        around = self._around() if lengths is None else None
        if around is not None:
            self._check(x)
            return filter_block(x, *filters, None, around)
        work, line, lengths = self._lines(x, lengths)
        out = filter_block(line, *filters, lengths)
        return (work + out if self.residual else out).to(x.dtype)

    def _around(self) -> Around | None:
        """Return decoupling and residual as functions; None where the module must be called."""
        module = self.decoupling
        if module is None:
            return Around(None, self.residual)
        if not isinstance(module, (FrameDecoupling, JointDecoupling)):
            return None
        own = type(module) is DECOUPLINGS[self.dim] and "forward" not in module.__dict__
        hooks = (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._backward_hooks,
            module._backward_pre_hooks,
        )
        if not own or any(hooks) or module.pointwise.shape[0] != self.channels:
            return None
        front = partial(decouple, dim=self.dim)
        return Around(front, self.residual, (module.depthwise, module.pointwise))

    def _check(self, x: Tensor) -> None:
        check_skeletons("x", x, self.channels)
        if self.length is not None and x.shape[self.dim] != self.length:
            raise ValueError(
                f"x must have {self.length_name}={self.length} points on axis {self.dim}, got "
                f"{x.shape[self.dim]} (shape {tuple(x.shape)}); resize() makes a block for others."
            )

    @torch.no_grad()
    def kept(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return which bins of ``x`` pass to the local filter, bool; None of them behind its end.

        For a mask that is soft, which ones lie above the threshold.
        """
        if self.threshold is None:
            raise ValueError("kept() must be called on a block with use_local=True, got False.")
        _, line, lengths = self._lines(x, lengths)
        num_bins = None if lengths is None else bins_of(lengths)
        mask = adaptive_spectral_mask(
            *rdft(line, self.dim, lengths), self.threshold, self.dim, 1, num_bins=num_bins
        )
        return mask > 0.5

    def _lines(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return ``x`` to compute with, what is filtered, and the lengths that filter needs."""
        self._check(x)
        work = x.to(compute_dtype(x))
        if lengths is not None:
            check_lengths(lengths, x, FRAMES)
            lengths = lengths.to(x.device)
            work = zero_padding(work, lengths, FRAMES)
        line = work if self.decoupling is None else self.decoupling(work, lengths)
        return work, line, lengths if self.dim == FRAMES else None

    def resized(self: Block, length: int) -> Block:
        """Return a copy for another length, filters read at the same relative frequencies."""
        check_int(self.length_name, length, 1)
        other = copy.deepcopy(self)
        other.length = length
        for name in ("global_weight", "local_weight"):
            old = getattr(self, name)
            if old is not None and self.weight != "channel" and self.length is not None:
                values = resize_filter(old.detach(), self.length, length)
                setattr(other, name, nn.Parameter(values, old.requires_grad))
        return other

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return (
            f"{self.channels}, {self.length_name}={self.length}, "
            f"use_global={self.global_weight is not None}, "
            f"use_local={self.local_weight is not None}, residual={self.residual}, "
            f"weight={self.weight!r}, gradient={self.gradient!r}"
        )
