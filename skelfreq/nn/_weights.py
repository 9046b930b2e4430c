"""Complex filter weights as real pairs: their shapes, starting values, and other lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from skelfreq._checks import check_number, check_option, check_positive
from skelfreq.functional._filter_plain import Gradient
from skelfreq.functional.filters import GRADIENTS, WEIGHTS, Weight

Init = Literal["normal", "identity"]
Start = Literal["normal", "one", "zero"]
INITS = ("normal", "identity")
NORMAL_STD = 0.02


def filter_shape(weight: Weight, channels: int, length: int | None, name: str) -> tuple[int, ...]:
    """Return the shape of a filter; ``name`` is what the caller calls ``length``."""
    check_option("weight", weight, WEIGHTS)
    if weight == "channel":
        return (channels, 2)
    if length is None:
        raise ValueError(f"{name} must be given with weight={weight!r}, got None.")
    bins = length // 2 + 1
    return (bins, 2) if weight == "frequency" else (channels, bins, 2)


def check_mask_options(gradient: Gradient, temperature: float, threshold: float | None) -> None:
    """Raise unless the options describe a mask."""
    check_option("gradient", gradient, GRADIENTS)
    check_positive("temperature", temperature)
    if threshold is not None and not math.isfinite(check_number("threshold", threshold)):
        raise ValueError(f"threshold must be finite, got {threshold}.")


def stored(state: Mapping[str, Tensor], prefix: str, names: tuple[str, ...]) -> list[Tensor]:
    """Return the tensors that a published state holds under ``names``; raise if one is missing."""
    missing = [name for name in names if f"{prefix}{name}" not in state]
    if missing:
        raise ValueError(
            f"state must hold {', '.join(names)} under prefix {prefix!r}, it lacks "
            f"{', '.join(missing)}; its first names are {[*state][:3]}."
        )
    return [state[f"{prefix}{name}"].detach() for name in names]


@torch.no_grad()
def fill_filter_(values: Tensor, start: Start) -> None:
    """Draw a filter with σ = 0.02 from torch's global generator, or set it to 1 + 0j or 0."""
    if start == "normal":
        values.normal_().mul_(NORMAL_STD)  # in place: the values may be sharded
        return
    values.zero_()
    if start == "one":
        values.select(-1, 0).fill_(1)


def resize_filter(values: Tensor, old: int, new: int, dim: int = -2) -> Tensor:
    """Read a filter with old//2+1 bins along ``dim`` at the relative frequencies k/new.

    Linear between the old bins, constant above the last one.
    """
    last = values.shape[dim] - 1
    position = torch.arange(new // 2 + 1, device=values.device).double() * (old / new)
    position = position.clamp(max=last)
    low = position.floor().long()
    shape = [1] * values.ndim
    shape[dim] = -1
    part = (position - low).to(values.dtype).view(shape)
    high = (low + 1).clamp(max=last)
    lower, upper = values.index_select(dim, low), values.index_select(dim, high)
    return torch.lerp(lower, upper, part)
