"""The decoupling in pieces along axis 0 that fit a cache, as one operator with its own gradient.

Only the inputs are saved for the gradient, where autograd would save every intermediate result;
all but the map over channels is computed again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from skelfreq._checks import autocast_off
from skelfreq.functional import _route
from skelfreq.functional._decoupling_plain import Taps, centred, convolved, decoupled


class _Decoupling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, depthwise: Tensor, pointwise: Tensor, axis: int) -> Tensor:
        ctx.axis = axis
        ctx.save_for_backward(x, depthwise, pointwise)
        out = x.new_empty(x.shape[0], pointwise.shape[0], *x.shape[2:])
        for part, target in _route.cut(True, x, out):
            target.copy_(decoupled(part, depthwise, pointwise, axis=axis))
        return out

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        with autocast_off(grad_output):
            if _route.wants_plain_gradient(grad_output):
                plain = partial(decoupled, axis=ctx.axis)
                return *_route.plain_gradients(plain, inputs, grad_output), None
            x, depthwise, pointwise = inputs
            found = gradients(
                x, depthwise, pointwise, grad_output, ctx.axis, ctx.needs_input_grad[1:3]
            )
            return *found, None


def gradients(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    grad_output: Tensor,
    axis: int,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients by the three inputs; those of the maps only where ``wanted``."""
    # A convolution with the mirrored filter is three times as fast as torch's own gradient.
    taps, mirrored = Taps.of(depthwise, axis), Taps.of(depthwise.flip(1), axis)
    by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    by_taps, by_map = torch.zeros_like(depthwise), torch.zeros_like(pointwise)
    for part, by_out, target in _route.cut(True, x, grad_output, by_x):
        line, inverse = centred(part, axis)
        line = line.mul_(inverse)
        by_out = by_out.flatten(2)
        by_convolved = (pointwise.mT @ by_out).view_as(part)
        if wanted[1]:
            by_map += (by_out @ convolved(line, taps).flatten(2).mT).sum(0)
        if wanted[0]:
            by_taps += correlation(line, by_convolved, axis, by_taps.shape[1])
        by_line = convolved(by_convolved, mirrored)
        # Of a line scaled to an RMS of 1, and then of a line without its mean.
        common = (by_line * line).sum(1, keepdim=True).mean(axis, keepdim=True) / part.shape[1]
        by_line = by_line.sub_(line.mul_(common)).mul_(inverse)
        torch.sub(by_line, by_line.mean(axis, keepdim=True), out=target)
    return by_x, by_taps if wanted[0] else None, by_map if wanted[1] else None


def correlation(x: Tensor, y: Tensor, axis: int, taps: int) -> Tensor:
    """Return the sum of ``x * y`` for each channel and each shift by a tap, [C, taps]."""
    n, found = x.shape[axis], []
    for shift in range(-(taps // 2), taps // 2 + 1):
        size = max(n - abs(shift), 0)
        a = x.narrow(axis, min(max(shift, 0), n), size)
        b = y.narrow(axis, min(max(-shift, 0), n), size)
        found.append((a * b).sum((0, 2, 3)))
    return torch.stack(found, 1)


def apply(x: Tensor, depthwise: Tensor, pointwise: Tensor, axis: int) -> Tensor:
    """Return :func:`~skelfreq.functional._decoupling_plain.decoupled` without ``lengths``."""
    out: Tensor = _Decoupling.apply(x, depthwise, pointwise, axis)  # type: ignore[no-untyped-call]
    return out
