"""A function of independent samples, piece by piece along axis 0, as one operator.

Only the inputs are saved for the gradient; each piece is computed again. So a large tensor
needs the memory of one more piece, where autograd would save every intermediate result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from skelfreq._checks import autocast_off
from skelfreq.functional import _route

# plain(x, *tensors): the same function of every sample of x, with tensors that all of them share.
Plain = Callable[..., Tensor]


class _Pieces(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plain: Plain, x: Tensor, *tensors: Tensor) -> Tensor:
        ctx.plain = plain
        ctx.save_for_backward(x, *tensors)
        made = [plain(part, *tensors) for (part,) in _route.cut(True, x)]
        return made[0] if len(made) == 1 else torch.cat(made)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        with autocast_off(grad_output):
            if _route.wants_plain_gradient(grad_output):
                return None, *_route.plain_gradients(ctx.plain, (x, *tensors), grad_output)
            by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
            totals = [torch.zeros_like(value) for value in tensors]
            for part, by_out, target in _route.cut(True, x, grad_output, by_x):
                leaves = [value.detach().requires_grad_() for value in (part, *tensors)]
                with torch.enable_grad():
                    out = ctx.plain(*leaves)
                by_part, *rest = torch.autograd.grad(out, leaves, by_out)
                target.copy_(by_part)
                for total, value in zip(totals, rest, strict=True):
                    total += value
            return None, by_x, *totals


def in_pieces(plain: Plain, x: Tensor, *tensors: Tensor) -> Tensor:
    """Return ``plain(x, *tensors)``."""
    out: Tensor = _Pieces.apply(plain, x, *tensors)  # type: ignore[no-untyped-call]
    return out
