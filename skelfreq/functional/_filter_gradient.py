"""The gradient of :mod:`skelfreq.functional._lean_filter`, for eager autograd and for compilers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skelfreq._checks import autocast_off
from skelfreq.functional._basis import gradients_of, needs_plain_gradient
from skelfreq.functional._lean_filter import (
    BARE,
    Around,
    Wanted,
    filtered,
    gradients,
    pair_of,
    planes_of,
    threshold_gradient,
)
from skelfreq.functional._spectral import Axes, Pair, plain_filter


class _Filter(torch.autograd.Function):
    """Keeps only ``x`` and the mask."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        axes: Axes,
        gradient: str,
        around: Around,
        theta: Tensor | None,
        whole: Tensor,
        local: Tensor | None,
        *tensors: Tensor,
    ) -> Tensor:
        """Run :func:`filtered`; the ``tensors`` of ``around`` are given apart from it."""
        mask: Tensor | None
        out, mask = filtered(x, axes, theta, (whole, local), around._replace(tensors=tensors))
        ctx.axes, ctx.gradient, ctx.around = axes, gradient, around
        ctx.save_for_backward(x, theta, mask, whole, local, *tensors)
        return out

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, theta, mask, whole, local, *tensors = ctx.saved_tensors
        axes, around = ctx.axes, ctx.around
        # An autocast region around backward() is none of its business.
        with autocast_off(upstream):
            if needs_plain_gradient(upstream):

                def plain(
                    x: Tensor, theta: Tensor, whole: Tensor, local: Tensor | None, *tensors: Tensor
                ) -> Tensor:
                    first = pair_of(whole, axes.bins)
                    second = None if local is None else pair_of(local, axes.bins)
                    line = x if around.front is None else around.front(x, *tensors)
                    out = plain_filter(line, first, second, theta, axes, ctx.gradient)
                    return x + out if around.residual else out

                by_x, *rest = gradients_of(plain, (x, theta, whole, local, *tensors), upstream)
                return by_x, None, None, None, *rest
            needs_x, _, _, _, *needs = ctx.needs_input_grad
            needs_filters, needs_tensors = needs[:3], needs[3:]  # theta, whole, local; the rest
            wanted = Wanted(needs_x or any(needs_tensors), any(needs_filters))
            around = around._replace(tensors=tuple(tensors))
            found = gradients(x, axes, mask, (whole, local), upstream, wanted, around)
        by_planes: list[Tensor | None] = [*found.by_planes]
        by_theta = None
        if local is None:
            by_planes.append(None)
        else:
            by_theta = threshold_gradient(ctx.gradient, found.by_planes[0], local)
        by_x = found.by_x if needs_x else None
        return by_x, None, None, None, by_theta, *by_planes, *found.by_tensors


# Compilers cannot turn complex numbers into code of their own, and would hold every piece at once:
# for them the two passes are single operators. Eager code keeps to the function above, which
# takes a front and second derivatives and calls with less ado. Whoever changes a gradient must
# rename its operator: torch keeps compiled graphs on disk, and finds them by that name.
@torch.library.custom_op(
    "skelfreq::adaptive_filter",
    mutates_args=(),
    schema="(Tensor x, int bins, int channels, str gradient, Tensor? theta, Tensor whole, "
    "Tensor? local) -> (Tensor, Tensor)",
)
def _forward(
    x: Tensor,
    bins: int,
    channels: int,
    gradient: str,
    theta: Tensor | None,
    whole: Tensor,
    local: Tensor | None,
) -> tuple[Tensor, Tensor]:
    out, mask = filtered(x, Axes(bins, channels), theta, (whole, local), BARE)
    return out, x.new_empty(0) if mask is None else mask


@torch.library.custom_op(
    "skelfreq::adaptive_filter_gradients",
    mutates_args=(),
    schema="(Tensor x, int bins, int channels, Tensor? mask, Tensor whole, Tensor? local, "
    "Tensor upstream) -> (Tensor, Tensor, Tensor)",
)
def _backward(
    x: Tensor,
    bins: int,
    channels: int,
    mask: Tensor | None,
    whole: Tensor,
    local: Tensor | None,
    upstream: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    axes, planes = Axes(bins, channels), (whole, local)
    found = gradients(x, axes, mask, planes, upstream, Wanted(), BARE)
    by_whole, *by_local = found.by_planes
    return found.by_x, by_whole, by_local[0] if by_local else x.new_empty(0)


@_forward.register_fake
def _forward_shapes(
    x: Tensor,
    bins: int,
    channels: int,
    gradient: str,
    theta: Tensor | None,
    whole: Tensor,
    local: Tensor | None,
) -> tuple[Tensor, Tensor]:
    shape = [*x.shape]
    shape[channels], shape[bins] = 1, whole.shape[-2]
    shape.append(shape.pop(bins))
    return _like(x), x.new_empty(0 if theta is None else shape)


@_backward.register_fake
def _backward_shapes(
    x: Tensor,
    bins: int,
    channels: int,
    mask: Tensor | None,
    whole: Tensor,
    local: Tensor | None,
    upstream: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return _like(x), _like(whole), x.new_empty(0) if local is None else _like(local)


def _like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, bins, channels, gradient, theta, whole, local = inputs
    ctx.axes, ctx.gradient = Axes(bins, channels), gradient
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x, None if theta is None else output[1], whole, local)


def _compiled_backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    x, mask, whole, local = ctx.saved_tensors
    by_x, by_whole, by_local = _backward(x, *ctx.axes, mask, whole, local, upstream)
    if local is None:
        return by_x, None, None, None, None, by_whole, None
    by_theta = threshold_gradient(ctx.gradient, by_whole, local)
    return by_x, None, None, None, by_theta, by_whole, by_local


_forward.register_autograd(_compiled_backward, setup_context=_keep)


def eager_filter(
    x: Tensor,
    whole: Pair,
    local: Pair | None,
    theta: Tensor | None,
    axes: Axes,
    gradient: str,
    around: Around,
) -> Tensor:
    """:func:`plain_filter` and what is around it, for reverse-mode autograd alone."""
    planes, bare = planes_of(whole, local, x.shape[axes.bins], axes), around._replace(tensors=())
    out: Tensor = _Filter.apply(x, axes, gradient, bare, theta, *planes, *around.tensors)  # type: ignore[no-untyped-call]
    return out


def compiled_filter(
    x: Tensor, whole: Pair, local: Pair | None, theta: Tensor | None, axes: Axes, gradient: str
) -> Tensor:
    """:func:`plain_filter` as one operator with a gradient."""
    planes = planes_of(whole, local, x.shape[axes.bins], axes)
    out: Tensor = _forward(x, *axes, gradient, theta, *planes)[0]
    return out
