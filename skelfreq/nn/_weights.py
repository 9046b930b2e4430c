"""Complex filter weights as real pairs: their shapes, starting values, and other lengths."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import check_int, check_option
from skelfreq.functional.filters import WEIGHTS

NORMAL_STD = 0.02


def filter_shape(weight: str, channels: int, length: int | None, name: str) -> tuple[int, ...]:
    """Return the shape of a filter; ``name`` is what the caller calls ``length``."""
    check_option("weight", weight, WEIGHTS)
    check_int("channels", channels, 1)
    if length is not None:
        check_int(name, length, 1)
    if weight == "channel":
        return (channels, 2)
    if length is None:
        raise ValueError(f"{name} must be given with weight={weight!r}, got None.")
    bins = length // 2 + 1
    return (bins, 2) if weight == "frequency" else (channels, bins, 2)


def new_filter(shape: tuple[int, ...], start: str) -> Tensor:
    """Return a filter: "normal" draws, "one" (1 + 0j) or "zero"."""
    if start == "normal":
        return torch.randn(shape) * NORMAL_STD
    values = torch.zeros(shape)
    if start == "one":
        values[..., 0] = 1
    return values


def resize_filter(values: Tensor, old: int, new: int) -> Tensor:
    """Read a filter [..., old//2+1, 2] at the relative frequencies k/new, linear between bins."""
    last = values.shape[-2] - 1
    position = torch.arange(new // 2 + 1, device=values.device).double() * (old / new)
    position = position.clamp(max=last)
    low = position.floor().long()
    part = (position - low).to(values.dtype).unsqueeze(-1)
    high = (low + 1).clamp(max=last)
    below, above = values.index_select(-2, low), values.index_select(-2, high)
    return torch.lerp(below, above, part)
