"""Which way an operation takes: what traces it, its size, and one table.

The *plain* way of an operation is its formula in ordinary tensor operations. The *fast* way is the
same function as one operator with its own gradient, in a file of its own; without that file the
plain way is taken everywhere. This is the only file that uses private names of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils._pytree import _register_namedtuple, tree_map_only

Watcher = Literal["autograd", "compiler", "export", "transform"]
Way = Literal["plain", "fast"]
Method = Literal["auto", "matmul", "fft", "torch-dct"]

# --- The table -----------------------------------------------------------------------------------

# The way of an operation by what traces it. "autograd": only reverse-mode autograd. "transform":
# vmap, torch.func, forward-mode tangents, dispatch modes. A compiled filter is fast on the CPU and
# while gradients are on; elsewhere the compiler fuses the plain operations. Sizes and options
# decide further, in the functions below.
TABLE: dict[str, dict[Watcher, Way]] = {
    "cosine": {"autograd": "fast", "compiler": "fast", "export": "plain", "transform": "plain"},
    "gain": {"autograd": "fast", "compiler": "plain", "export": "plain", "transform": "plain"},
    "filter": {"autograd": "fast", "compiler": "fast", "export": "plain", "transform": "plain"},
    "decoupling": {
        "autograd": "fast",
        "compiler": "plain",
        "export": "plain",
        "transform": "plain",
    },
}
FILES = {name: [f"_{name}_fast"] for name in TABLE} | {"gain": ["_gain_fast", "_cosine_fast"]}
PRESENT = {
    name
    for name, files in FILES.items()
    if all(find_spec(f"skelfreq.functional.{file}") is not None for file in files)
}

# --- Thresholds, each with the benchmark that set it ----------------------------------------------

# All of them from `python -m benchmarks --crossover` where nothing else is said. Two machines
# disagree by a factor of three: the values lie between both, so that neither loses much.

# dct, idct: up to so many coefficients a CPU takes one product with the basis, an FFT beyond.
COSINE_PRODUCT_POINTS = 96
# Exported graphs use the product for longer axes: it has no complex numbers. So do accelerators,
# where it was not measured: a product of this size is limited by memory there.
TRACED_PRODUCT_POINTS = 512
# rdft, irdft: the same.
FOURIER_PRODUCT_POINTS = 64
# apply_gain: up to here products; one with an n × n operator for at least so many rows a point,
# two with the basis for fewer (`benchmarks/cases/freq_enhance.py`).
GAIN_PRODUCT_POINTS, GAIN_OPERATOR_ROWS = 112, 3
# Filters: from the first on an FFT is faster than the product where n has no prime factor above
# 5, beyond the second for every n.
FILTER_FFT_POINTS, FILTER_PRODUCT_POINTS = 48, 128
# A product along an axis that is followed by few numbers runs as many small products: up to so
# many numbers the axis is moved to the end first (`--crossover`).
FEW_TRAILING = 15
# Numbers in a piece of a large tensor that stays in a core's cache from the first step to the last
# (`benchmarks/cases/spectral_block.py`).
PIECE = 2**18


# --- What traces -------------------------------------------------------------------------------


def watcher() -> Watcher:
    """Return what traces or transforms the operations that run now."""
    if _functional() or torch.autograd.forward_ad._current_level >= 0:
        return "transform"
    if torch.compiler.is_compiling():
        # torch 2.6 cannot distinguish the two: plain operations work for both.
        exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
        return "export" if exporting() else "compiler"
    return "autograd" if _get_current_dispatch_mode() is None else "transform"


def _functional() -> bool:
    return torch._C._functorch.maybe_current_level() is not None


# The compiler cannot trace this call: it evaluates it once, while it traces.
# (torch.compiler.assume_constant_result sets this mark, but imports the compiler first.)
_functional._dynamo_marked_constant = True  # type: ignore[attr-defined]


def may_read_values(x: Tensor) -> bool:
    """Whether the values of ``x`` can be read without waiting for a device."""
    return x.device.type == "cpu" and watcher() == "autograd"


def beyond(n: int, limit: int) -> bool:
    """Whether ``n`` is above ``limit``; False for a dynamic ``n``."""
    if torch.compiler.is_compiling():
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        return statically_known_true(n > limit)
    return n > limit


# --- Which way ------------------------------------------------------------------------------------


def cosine(
    x: Tensor, coefficients: int, method: Method, padded: bool
) -> Literal["product", "plain", "fast"]:
    """Return how ``coefficients`` numbers are computed from a signal, or a signal from them.

    By a product with the basis, in plain operations (torch-dct) or by an operator. Clips of
    several lengths and empty tensors take the product; the other ways do not support them.
    """
    if padded or method == "matmul" or x.numel() == 0:
        return "product"
    if method == "torch-dct":
        return "plain"
    if method == "auto" and not beyond(coefficients, product_points(x, COSINE_PRODUCT_POINTS)):
        return "product"
    return _way("cosine")


def fourier_product(x: Tensor, n: int, padded: bool) -> bool:
    """Whether a DFT of ``n`` points is a product with its basis."""
    # Unlike a long DCT, its FFT is no operator for compilers.
    eager = not torch.compiler.is_compiling()
    points = product_points(x, FOURIER_PRODUCT_POINTS) if eager else TRACED_PRODUCT_POINTS
    return padded or x.numel() == 0 or not beyond(n, points)


def product_points(x: Tensor, cpu: int) -> int:
    """Return the most points of a product with the basis; ``cpu`` where a CPU computes it."""
    return TRACED_PRODUCT_POINTS if x.device.type != "cpu" or watcher() == "export" else cpu


def gain(x: Tensor, one_curve: bool, padded: bool, method: Method) -> Way:
    """Return how gains on DCT coefficients are applied."""
    if padded or not one_curve or method != "auto" or x.numel() == 0:
        return "plain"
    return _way("gain")


def gain_operator(x: Tensor, n: int) -> bool:
    """Whether one n × n operator is faster for ``x`` than a transform and its inverse."""
    if beyond(n, product_points(x, GAIN_PRODUCT_POINTS)):
        return False
    return torch.compiler.is_compiling() or x.numel() >= GAIN_OPERATOR_ROWS * n * n


def filter_(x: Tensor, soft: bool, padded: bool) -> Way:
    """Return how an adaptive filter is applied."""
    if soft or padded or x.numel() == 0:
        return "plain"
    way = _way("filter")
    if torch.compiler.is_compiling() and not (torch.is_grad_enabled() and x.device.type == "cpu"):
        return "plain"
    return way


def filter_fft(n: int) -> bool:
    """Whether the filter's operator takes an FFT of ``n`` points rather than a product."""
    smooth = 30**7 % n == 0  # no prime factor above 5, for n up to 128
    return n > FILTER_PRODUCT_POINTS or (n >= FILTER_FFT_POINTS and smooth)


def decoupling(x: Tensor, padded: bool) -> Way:
    """Return how one axis is decoupled from the other."""
    if padded or x.device.type != "cpu" or x.numel() == 0:
        return "plain"
    return _way("decoupling")


def cut(independent: bool, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors along axis 0, if ``independent``, into pieces that fit a CPU's cache."""
    first = tensors[0]
    numbers = first.numel()
    if not independent or first.device.type != "cpu" or numbers <= PIECE:
        return iter([tensors])
    # At most 24 pieces of a large tensor: each piece has its overhead.
    rows = max(max(PIECE, numbers // 24) * first.shape[0] // numbers, 1)
    return zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True)


def moves_last(trailing: int) -> bool:
    """Whether an axis followed by ``trailing`` numbers is moved to the end for a product."""
    return trailing > 1 and not beyond(trailing, FEW_TRAILING) and watcher() == "autograd"


def selects_median(energy: Tensor) -> bool:
    """Whether the median is selected; elsewhere the values are sorted.

    Selecting is faster, but on accelerators it is not deterministic, and it cannot be exported.
    """
    return energy.device.type == "cpu" and watcher() == "autograd"


def _way(operation: str) -> Way:
    return TABLE[operation][watcher()] if operation in PRESENT else "plain"


# --- Gradients of gradients -----------------------------------------------------------------------


def wants_plain_gradient(grad_output: Tensor) -> bool:
    """Whether second derivatives are computed, or many gradients at once."""
    many = torch._C._functorch.is_legacy_batchedtensor(grad_output)  # is_grads_batched=True
    return torch.is_grad_enabled() or many or watcher() == "transform"


def plain_gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor | None, ...], grad_output: Tensor
) -> tuple[Tensor | None, ...]:
    """Return autograd's gradients of ``function(*inputs)`` by the inputs that have one."""
    with torch.enable_grad():
        # A view of each: one input may be computed from another.
        views = [v if v is None or not v.requires_grad else v.view_as(v) for v in inputs]
        out = function(*views)
    wanted = [value for value in views if value is not None and value.requires_grad]
    found = iter(
        torch.autograd.grad(out, wanted, grad_output, create_graph=torch.is_grad_enabled())
    )
    return tuple(next(found) if v is not None and v.requires_grad else None for v in views)


# --- Registration ---------------------------------------------------------------------------------


def register_named_tuple(kind: type[Any]) -> None:
    """Let exported programs that return ``kind`` be saved."""
    _register_namedtuple(kind, serialized_type_name=f"{kind.__module__}.{kind.__qualname__}")


# --- Modules and what they return -----------------------------------------------------------------

COMPILED = "_orig_mod"  # attribute in which torch.compile stores the module; prefixes tensor names


def unwrap(module: torch.nn.Module) -> torch.nn.Module:
    """Return the network inside ``torch.compile``, ``DataParallel`` and DDP wrappers."""
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while True:
        inner = getattr(module, COMPILED, None)
        if inner is None and isinstance(module, parallel):
            inner = module.module
        if not isinstance(inner, torch.nn.Module):
            return module
        module = inner


def held_tensors(*networks: torch.nn.Module) -> list[Tensor | None]:
    """Return all parameters and buffers; the public iterators take 5 times as long.

    With them an EMA update of 200 small tensors takes 2.5 times as long (``benchmarks/cases``,
    ``ema_update``).
    """
    modules = list(networks)
    found: list[Tensor | None] = []
    for module in modules:
        found += module._parameters.values()
        found += module._buffers.values()
        modules += [child for child in module._modules.values() if child is not None]
    return found


def detached(tree: Any) -> Any:
    """Detach every tensor in a nest of tuples, lists, dicts and registered containers."""
    return tree_map_only(Tensor, Tensor.detach, tree)
