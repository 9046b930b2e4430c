"""Checks of arguments and the precision policy, shared by all functions and layers."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from inspect import Parameter, signature
from typing import ParamSpec, SupportsIndex, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def named_options(function: Callable[P, R]) -> Callable[P, R]:
    """Name the keyword-only options in the error for too many positional arguments."""
    parameters = signature(function).parameters.values()
    accepted = [p.name for p in parameters if p.kind is not Parameter.KEYWORD_ONLY]
    named = ", ".join(f"{p.name}=" for p in parameters if p.kind is Parameter.KEYWORD_ONLY)
    name = function.__qualname__.removesuffix(".__init__")
    first = ", ".join(n for n in accepted if n != "self")

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) > len(accepted):
            surplus = shown(args[len(accepted)])
            raise TypeError(
                f"{name} takes only {first} by position, got {surplus} as well; "
                f"pass the other arguments by name: {named}."
            )
        return function(*args, **kwargs)

    return call


def shown(value: object) -> str:
    """Return how an argument appears in a message: tensors by their shape."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_tensor(name: str, x: object, kind: str = "a tensor") -> None:
    """Raise TypeError unless ``x`` is a tensor; ``kind`` says what is accepted."""
    if isinstance(x, Tensor):
        return
    remedy = ""
    if type(x).__module__ == "numpy":
        remedy = "; pass torch.from_numpy(...)"
    elif isinstance(x, (list, tuple)):
        remedy = "; pass torch.tensor(...)"
    raise TypeError(f"{name} must be {kind}, got {type(x).__name__}{remedy}.")


def check_floating(name: str, x: Tensor) -> None:
    """Raise TypeError unless ``x`` is a real floating-point tensor."""
    check_tensor(name, x)
    if not x.is_floating_point():
        raise TypeError(f"{name} must have a real floating-point dtype, got {x.dtype}.")


def check_integer(name: str, x: Tensor) -> None:
    """Raise TypeError unless ``x`` is an integer tensor."""
    check_tensor(name, x, "an integer tensor")
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"{name} must be an integer tensor, got {x.dtype}.")


def check_int(name: str, value: SupportsIndex, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int; raise unless it is an integer in ``[low, high]``."""
    if not isinstance(value, (int, torch.SymInt)) or isinstance(value, bool):
        # numpy's integers have __index__; bool and tensors are not accepted.
        if isinstance(value, (bool, Tensor)) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be an integer, got {shown(value)}.")
        value = operator.index(value)
    if high is None:
        if value < low:
            raise ValueError(f"{name} must be at least {low}, got {value}.")
    elif not low <= value <= high:
        raise ValueError(f"{name} must lie between {low} and {high}, got {value}.")
    return value  # type: ignore[return-value]  # a SymInt acts as an int


def check_number(name: str, value: float) -> float:
    """Return ``value`` as a float; raise unless it is a number, infinities and NaN included."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}.")
    return float(value)


def check_positive(name: str, value: float) -> float:
    """Return ``value`` as a float; raise unless it is a number above 0."""
    value = check_number(name, value)
    if not value > 0:
        raise ValueError(f"{name} must be positive, got {value}.")
    return value


def check_option(name: str, value: object, options: tuple[object, ...]) -> None:
    """Raise ValueError unless ``value`` is one of ``options``: names, None or integers."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = int(value)  # numpy's integers too
    # 2.0 == 2, and arrays compare entry by entry.
    if not any(type(value) is type(option) and value == option for option in options):
        accepted = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be one of {accepted}, got {shown(value)}.")


def check_axis(name: str, x: Tensor, dim: int, argument: str = "dim") -> int:
    """Return ``dim`` counted from the front; the axis must exist and hold a point."""
    check_tensor(name, x)
    dim = check_int(argument, dim, -(2**31))
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(
            f"{argument} must be an axis of {name} with shape {tuple(x.shape)}, "
            f"got {argument}={dim}."
        )
    dim = dim % x.ndim
    if x.shape[dim] == 0:
        raise ValueError(f"{name} must have at least 1 point along {argument}={dim}, got 0.")
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


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype to compute in: fp64 stays, everything below is fp32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def autocast_off(x: Tensor) -> AbstractContextManager[object]:
    """Return a context in which autocast does not touch ``x``'s device."""
    kind = x.device.type
    if kind == "meta":  # not known to autocast
        return nullcontext()
    # torch 2.6's compiler cannot trace is_autocast_available; devices with a compiler have it.
    known = torch.compiler.is_compiling() or torch.amp.is_autocast_available(kind)
    if known and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
