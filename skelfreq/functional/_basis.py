"""Bases of the short-axis transforms, and their product with one axis of a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache, wraps
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

Kind = Literal["dct", "idct", "dct_unscaled", "idct_unscaled", "rdft", "irdft"]


# Pieces of this many numbers stay in a core's cache from the first step to the last.
PIECE = 2**18

Build = TypeVar("Build", bound=Callable[..., Any])


def constant(build: Build) -> Build:
    """Keep what ``build`` makes from each set of arguments; nobody may write to it."""

    @lru_cache(maxsize=128)
    def kept(*arguments: Hashable) -> Any:
        # A tensor made under inference mode could never take part in a training step.
        with torch.inference_mode(False), torch.no_grad():
            return build(*arguments)

    @wraps(build)
    def get(*arguments: Hashable) -> Any:
        # A tracer must see the construction, or a dynamic n would freeze; and what a dispatch
        # mode makes (fake tensors) must not outlive it.
        if torch.compiler.is_compiling() or _get_current_dispatch_mode() is not None:
            return build(*arguments)
        return kept(*arguments)

    get.cache_clear = kept.cache_clear  # type: ignore[attr-defined]
    return get  # type: ignore[return-value]


@constant
def basis(kind: Kind, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix of transform ``kind`` for axes of ``n`` points."""
    if kind == "rdft":
        matrix = _dft(n, device)
    elif kind == "irdft":
        # Every bin but DC and Nyquist stands for itself and its mirror image.
        matrix = (_dft(n, device) * bin_weights(n, device).repeat(2).unsqueeze(1)).mT
    else:
        matrix = _cosines(n, device)
        if kind.endswith("unscaled"):
            size = torch.full((1,), n, device=device)
            factors = unscaled_factors(n, size).unsqueeze(1)
            matrix = matrix * factors if kind == "dct_unscaled" else matrix / factors
        if kind.startswith("idct"):
            matrix = matrix.mT
    return matrix.to(dtype).contiguous()


def _cosines(n: int, device: torch.device) -> Tensor:
    """Return the orthonormal DCT-II in fp64, row k = basis function k."""
    index = torch.arange(n, device=device)
    # Reduced in integers first: a large angle would cost digits.
    phase = ((2 * index + 1) * index.unsqueeze(1)) % (4 * n)
    matrix = torch.cos(phase.double() * (math.pi / (2 * n))) * (2 / n) ** 0.5
    return torch.where(index.unsqueeze(1) == 0, (1 / n) ** 0.5, matrix)


def unscaled_factors(n: int, size: Tensor) -> Tensor:
    """Return [..., n] factors from orthonormal coefficients to scipy's ``norm=None``.

    ``size`` [..., 1] is the number of points that were transformed.
    """
    first = (torch.arange(n, device=size.device) == 0).double()
    return (2 * (1 + first) * size).sqrt()


def _dft(n: int, device: torch.device) -> Tensor:
    """Return the orthonormal real-input DFT in fp64, [2(n//2+1), n]: cosines, then -sines."""
    bins = torch.arange(n // 2 + 1, device=device)
    # A tensor: where n is free, ONNX knows neither the remainder nor the quotient by a number.
    period = torch.full((1,), n, device=device)
    phase = (bins.unsqueeze(1) * torch.arange(n, device=device)) % period
    angle = phase.double() * (2 * math.pi) / period
    # sin(pi t) is not exactly 0 in floating point; the Nyquist row must be.
    edge = (bins == 0) | (2 * bins == n)
    sines = torch.where(edge.unsqueeze(1), 0.0, -torch.sin(angle))
    return torch.cat([torch.cos(angle), sines]) / period.double().sqrt()


def bin_weights(n: int, device: torch.device) -> Tensor:
    """Return how many bins of the full spectrum each bin of the half stands for, fp64."""
    bins = torch.arange(n // 2 + 1, device=device)
    edge = (bins == 0) | (2 * bins == n)
    return 2 - edge.double()


def padded_dct_basis(lengths: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """Return [N, n, n]: for each sample the DCT-II of its own length, zero elsewhere."""
    size = lengths.to(torch.int64).clamp(0, n)[:, None, None]
    index = torch.arange(n, device=lengths.device)
    frame, row = index[None, None, :], index[None, :, None]
    safe = size.clamp(min=1)
    phase = ((2 * frame + 1) * row) % (4 * safe)
    matrix = torch.cos(phase.double() * (math.pi / 2) / safe)
    matrix = matrix * (2 - (row == 0).double()).div(safe).sqrt()
    present = (frame < size) & (row < size)
    return torch.where(present, matrix, 0.0).to(dtype)


def padded_dft_basis(kind: Kind, lengths: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """Return "rdft" [N, 2(n//2+1), n] or "irdft" of each sample's own length, zero elsewhere."""
    size = lengths.to(torch.int64).clamp(0, n)[:, None, None]
    index = torch.arange(n, device=lengths.device)
    frame, row = index[None, None, :], index[None, : n // 2 + 1, None]
    safe = size.clamp(min=1)
    angle = ((row * frame) % safe).double() * (2 * math.pi) / safe
    edge = (row == 0) | (2 * row == size)
    scale = torch.where(edge, 1.0, 2.0) if kind == "irdft" else 1.0
    present = (frame < size) & (2 * row <= size)
    root = safe.double().sqrt()
    waves = (angle.cos(), torch.where(edge, 0.0, -angle.sin()))
    parts = [torch.where(present, wave * scale / root, 0.0).to(dtype) for wave in waves]
    matrix = torch.cat(parts, 1)
    return matrix.mT if kind == "irdft" else matrix


def only_backward() -> bool:
    """Whether nothing is watching but reverse-mode autograd: no tracer, vmap or tangent.

    Those take the plain operations, which they can see through.
    """
    return not (torch.compiler.is_compiling() or transformed())


def compiles() -> bool:
    """Whether ``torch.compile`` is tracing, and an operator may stand for what it cannot compile.

    An export needs plain operations, which other runtimes know.
    """
    exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return torch.compiler.is_compiling() and not exporting() and not transformed()


def compiles_training(x: Tensor) -> bool:
    """Whether it traces a training step on the CPU; a GPU's compiler fuses plain operations."""
    return compiles() and torch.is_grad_enabled() and x.device.type == "cpu"


def transformed() -> bool:
    """Whether vmap, a functional gradient or a tangent is at work."""
    return _functional() or torch.autograd.forward_ad._current_level >= 0


def _functional() -> bool:
    return torch._C._functorch.maybe_current_level() is not None


# The compiler cannot trace the question; under it the answer is that of the moment it traces.
# (torch.compiler.assume_constant_result sets this mark, but imports the compiler first.)
_functional._dynamo_marked_constant = True  # type: ignore[attr-defined]


def needs_plain_gradient(upstream: Tensor) -> bool:
    """Whether a gradient of the gradient is asked for, or many gradients at once."""
    many = torch._C._functorch.is_legacy_batchedtensor(upstream)  # is_grads_batched=True
    return torch.is_grad_enabled() or many or transformed()


def gradients_of(
    function: Callable[..., Tensor], inputs: tuple[Tensor | None, ...], upstream: Tensor
) -> tuple[Tensor | None, ...]:
    """Return autograd's gradients of ``function(*inputs)`` by the inputs that have one."""
    with torch.enable_grad():
        # Views of their own: what one input owes to another is the business of the graph outside.
        own = [v if v is None or not v.requires_grad else v.view_as(v) for v in inputs]
        out = function(*own)
    wanted = [value for value in own if value is not None and value.requires_grad]
    found = iter(torch.autograd.grad(out, wanted, upstream, create_graph=torch.is_grad_enabled()))
    return tuple(next(found) if v is not None and v.requires_grad else None for v in own)


def apply_along(matrix: Tensor, x: Tensor, dim: int) -> Tensor:
    """Multiply axis ``dim`` (counted from the front) of ``x`` by ``matrix``.

    ``matrix`` is [m, n], or [N, m, n] with one matrix for each sample of ``x``.
    """
    if matrix.ndim == 3:
        # One batched product; broadcasting over the other axes would copy the matrices.
        moved = x.movedim(dim, 1)
        product = matrix @ (moved.unsqueeze(-1) if x.ndim == 2 else moved.flatten(2))
        return product.reshape(x.shape[0], matrix.shape[1], *moved.shape[2:]).movedim(1, dim)
    if dim == x.ndim - 1:
        return x @ matrix.mT
    product = matrix @ x.flatten(dim + 1)
    return product.reshape(*x.shape[:dim], matrix.shape[0], *x.shape[dim + 1 :])


def pieces(independent: bool, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors along axis 0, if it is independent, into what a CPU's cache holds."""
    first = tensors[0]
    # A large tensor is not cut finer than a few per cent of it: each piece has its cost.
    size = max(PIECE, first.numel() // 24)
    rows = max(size // max(first[:1].numel(), 1), 1)
    if not independent or first.device.type != "cpu" or rows >= first.shape[0]:
        return iter([tensors])
    return zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True)


def in_many_pieces(independent: bool, x: Tensor) -> bool:
    """Whether ``x`` is so large that :func:`pieces` save a good part of its memory."""
    return independent and x.device.type == "cpu" and x.shape[0] >= 4 and x.numel() >= 8 * PIECE


def zero_padding(x: Tensor, lengths: Tensor, dim: int) -> Tensor:
    """Replace what lies beyond ``lengths`` along ``dim`` by zeros, NaN included."""
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    index = torch.arange(x.shape[dim], device=x.device).view(shape)
    present = index < lengths.view(-1, *[1] * (x.ndim - 1)).to(x.device)
    return torch.where(present, x, torch.zeros((), dtype=x.dtype, device=x.device))
