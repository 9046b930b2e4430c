"""Argument checks and the precision policy that all functions and layers share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def check_floating(name: str, x: Tensor) -> None:
    """Raise TypeError unless ``x`` is a real floating-point tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(x).__name__}.")
    if not x.is_floating_point():
        raise TypeError(f"{name} must have a real floating-point dtype, got {x.dtype}.")


def check_integer(name: str, x: Tensor) -> None:
    """Raise TypeError unless ``x`` is an integer tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be an integer tensor, got {type(x).__name__}.")
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"{name} must be an integer tensor, got {x.dtype}.")


def check_int(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raise unless ``value`` is an integer in ``[low, high]``."""
    if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if high is None:
        if value < low:
            raise ValueError(f"{name} must be at least {low}, got {value}.")
    elif not low <= value <= high:
        raise ValueError(f"{name} must lie between {low} and {high}, got {value}.")


def check_option(name: str, value: object, options: tuple[object, ...]) -> None:
    """Raise ValueError unless ``value`` is one of ``options``."""
    if value not in options:
        accepted = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be one of {accepted}, got {value!r}.")


def check_axis(name: str, x: Tensor, dim: int) -> int:
    """Return ``dim`` counted from the front; the axis must exist and hold a point."""
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(
            f"dim must be an axis of {name} with shape {tuple(x.shape)}, got dim={dim}."
        )
    dim = dim % x.ndim
    if x.shape[dim] == 0:
        raise ValueError(f"{name} must have at least 1 point along dim={dim}, got 0.")
    return dim


def check_skeletons(name: str, x: Tensor, channels: int | None = None) -> None:
    """Raise unless ``x`` is a floating ``[N, C, T, V]`` tensor with ``channels`` channels."""
    check_floating(name, x)
    if x.ndim != 4:
        raise ValueError(f"{name} must have 4 axes [N, C, T, V], got shape {tuple(x.shape)}.")
    if channels is not None and x.shape[1] != channels:
        raise ValueError(
            f"{name} must have {channels} channels on axis 1, got {x.shape[1]} "
            f"(shape {tuple(x.shape)})."
        )


def check_lengths(
    lengths: Tensor, x: Tensor, dim: int, n: int | None = None, name: str = "lengths"
) -> None:
    """Raise unless ``lengths`` fits axis ``dim`` (of ``n`` points) of the batch ``x``.

    The values are looked at only on the CPU and outside tracing: reading them back from an
    accelerator would stall it.
    """
    if not isinstance(lengths, Tensor):
        raise TypeError(f"{name} must be an integer tensor, got {type(lengths).__name__}.")
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise TypeError(f"{name} must have an integer dtype, got {lengths.dtype}.")
    if dim == 0:
        raise ValueError(f"dim must not be the batch axis 0 when {name} are given, got dim=0.")
    if lengths.shape != x.shape[:1]:
        raise ValueError(
            f"{name} must have shape ({x.shape[0]},), one entry per sample, "
            f"got {tuple(lengths.shape)}."
        )
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling() and lengths.numel():
        low, high = (int(v) for v in torch.aminmax(lengths))
        n = x.shape[dim] if n is None else n
        if low < 0 or high > n:
            raise ValueError(
                f"{name} must lie between 0 and {n}, the points along dim={dim}, "
                f"got values from {low} to {high}."
            )


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype to compute in: fp64 stays, everything below is fp32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def autocast_off(x: Tensor) -> AbstractContextManager[object]:
    """Return a context in which autocast does not touch ``x``'s device."""
    kind = x.device.type
    # torch 2.6's compiler cannot trace the first question; what it traces has autocast.
    known = torch.compiler.is_compiling() or torch.amp.is_autocast_available(kind)
    if known and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
