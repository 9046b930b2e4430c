"""The parts of a benchmark case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

FORWARD, BACKWARD, CALL = "forward", "forward+backward", "call"
EAGER, COMPILED = "eager", "compiled"


@dataclass(frozen=True)
class Setting:
    """Where a case runs, and in which precision."""

    device: str = "cpu"
    dtype: torch.dtype = torch.float32

    @property
    def on_cpu(self) -> bool:
        """Whether peers that know numpy alone can run, in this precision too."""
        return self.device == "cpu" and self.dtype == torch.float32

    def normal(self, *shape: int, seed: int = 0) -> Tensor:
        """Draw a normal tensor, the same numbers for every device and precision."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(shape, generator=generator).to(self.device, self.dtype)


@dataclass(frozen=True)
class Operation:
    """A function and its tensors; with backward, the gradients of all of them are taken.

    An operation without tensors is a step that changes things of its own, timed as one call; it
    names the ``modules`` that compiling it means. ``compiles`` is False where a compiler would
    make one graph of every line; ``forward_only`` is for peers that have no gradient.
    """

    function: Callable[..., Any]
    tensors: tuple[Tensor, ...] = ()
    modules: tuple[nn.Module, ...] = ()
    compiles: bool = True
    forward_only: bool = False

    def forward(self) -> Any:
        """Run without a graph."""
        with torch.no_grad():
            return self.function(*self.tensors)

    def backward_for(self, upstream: Tensor) -> Callable[[], tuple[Tensor, ...]]:
        """Return a call that runs forward and backward: (output, gradients)."""
        leaves = tuple(tensor.detach().requires_grad_() for tensor in self.tensors)

        def run() -> tuple[Tensor, ...]:
            output = first(self.function(*leaves))
            return (output, *torch.autograd.grad(output, leaves, upstream))

        return run

    def compiled(self, fullgraph: bool = True) -> Operation:
        """Return the same operation compiled; modules are compiled in place."""
        for module in self.modules:
            module.compile(fullgraph=fullgraph, dynamic=False)
        if self.modules:
            return self
        function = torch.compile(self.function, fullgraph=fullgraph, dynamic=False)
        return replace(self, function=function)

    def double(self) -> Operation:
        """Return the same operation on the same numbers in fp64."""
        return replace(self, tensors=tuple(tensor.double() for tensor in self.tensors))


@dataclass(frozen=True)
class Limit:
    """An operation that the candidate cannot do without, in the fastest form at hand.

    It is taken once forward, and twice forward and backward: the gradient of a linear operation
    is one of the same kind.
    """

    name: str
    operation: Operation

    @classmethod
    def spectrum(cls, x: Tensor, dim: int) -> Limit | None:
        """Return one real FFT of ``x``; None in half precision, which not every FFT takes."""
        return cls._of("rfft", partial(torch.fft.rfft, dim=dim, norm="ortho"), x)

    @classmethod
    def round_trip(cls, x: Tensor, dim: int) -> Limit | None:
        """Return a real FFT of ``x`` and its inverse."""

        def there_and_back(x: Tensor) -> Tensor:
            spectrum = torch.fft.rfft(x, dim=dim, norm="ortho")
            return torch.fft.irfft(spectrum, n=x.shape[dim], dim=dim, norm="ortho")

        return cls._of("rfft + irfft", there_and_back, x)

    @classmethod
    def _of(cls, name: str, function: Callable[[Tensor], Tensor], x: Tensor) -> Limit | None:
        return cls(name, Operation(function, (x,))) if x.dtype == torch.float32 else None


@dataclass(frozen=True)
class Workload:
    """One case made ready: the library's operation, its peers, and the tensor to copy.

    ``reference`` is a peer's operation with the candidate's tensors: in fp64 it gives the result
    that errors are measured against; None where there is no number to compare. ``moved_bytes``
    is what a call must read and write at least, needed where that is not inputs and outputs.
    ``limit`` is what it must compute at least, where that is known.
    """

    candidate: Operation
    peers: Mapping[str, Operation]
    copied: Tensor
    reference: Operation | None = None
    moved_bytes: int | None = None
    limit: Limit | None = None


@dataclass(frozen=True)
class Target:
    """Least ratio peer time / candidate time, in fp32."""

    peer: str
    mode: str
    pass_: str
    ratio: float


@dataclass(frozen=True)
class Case:
    """A named measurement; ``tiny`` is the shape that tests run it with."""

    name: str
    shape: tuple[int, ...]
    tiny: tuple[int, ...]
    build: Callable[[tuple[int, ...], Setting], Workload]
    detail: str = ""
    targets: tuple[Target, ...] = ()
    memory_target: float | None = None  # × input bytes, forward + backward
    passes: tuple[str, ...] = (FORWARD, BACKWARD)
    modes: tuple[str, ...] = (EAGER, COMPILED)
    dtypes: tuple[torch.dtype, ...] = field(default=(torch.float32, torch.bfloat16))
    quick: tuple[str, ...] = ()  # modes of the quick run, in fp32
    clips: int | None = None  # in a call, where clips/s is what counts
    missing: str = ""  # why the case cannot run yet

    @property
    def label(self) -> str:
        """Name, shape and detail in one string, unique among the cases."""
        return " ".join(part for part in (self.name, str(list(self.shape)), self.detail) if part)


def first(output: Any) -> Tensor:
    """Return the tensor to differentiate: the output, or the first of several."""
    tensor: Tensor = output[0] if isinstance(output, tuple) else output
    return tensor


def full_precision(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Cast to fp32 and back around a function that does not support half precision."""

    def run(x: Tensor, *others: Any) -> Tensor:
        if x.dtype not in (torch.float16, torch.bfloat16):
            return function(x, *others)
        cast = (o.float() if isinstance(o, Tensor) and o.is_floating_point() else o for o in others)
        return function(x.float(), *cast).to(x.dtype)

    return run


def both(peer: str, mode: str, forward: float, backward: float) -> tuple[Target, ...]:
    """Targets for the two passes of one mode."""
    return Target(peer, mode, FORWARD, forward), Target(peer, mode, BACKWARD, backward)
