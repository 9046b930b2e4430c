"""One device, or this process's part of many: Lightning Fabric behind the few calls of a step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

STRATEGIES = ("ddp", "fsdp")
TIMEOUT = timedelta(minutes=10)  # a dead process is noticed at once, one that hangs after this


def launched(devices: int) -> dict[str, int]:
    """Return how many devices and nodes torchrun gave this process, or one node of ``devices``."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return {"devices": devices, "nodes": 1}
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return {"devices": local, "nodes": int(os.environ["WORLD_SIZE"]) // local}


def leads() -> bool:
    """Return whether this process is the first of those that share a run."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) == 0


@dataclass(frozen=True)
class Share:
    """This process's rows of one micro-batch, and the weights that make global means of theirs."""

    rows: Tensor
    count: int  # rows of all processes
    weight: float  # of their mean, where gradients are averaged over the processes
    of_batch: float  # of their mean, where what is reported is summed over the processes


class Scale:
    """Where the examples compute, and how a global batch is divided.

    Random numbers are drawn for the global batch by every process, which uses its rows: so any
    number of processes and micro-batches computes what one process computes, up to rounding.
    A batch with fewer rows than processes is computed by all of them alike.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        devices: int = 1,
        nodes: int = 1,
        strategy: str = "ddp",
        precision: str = "32-true",
        accumulate: int = 1,
        compile: bool = False,
    ) -> None:
        self.device, self.strategy = torch.device(device), strategy
        self.accumulate, self.compile = accumulate, compile
        self.rank, self.world, self.fabric = 0, 1, None
        self.sizes: list[int] | None = None  # rows of each process, while they compute their own
        if devices * nodes == 1 and precision == "32-true":
            return
        try:
            from lightning_fabric import Fabric
            from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"several devices and mixed precision need Lightning Fabric ({error.name} is "
                f"missing): pip install 'skelfreq[scale]'."
            ) from error
        plan: Any = "auto"
        if devices * nodes > 1 and strategy == "fsdp":
            plan = ModelParallelStrategy(
                _shard, data_parallel_size=devices * nodes, tensor_parallel_size=1, timeout=TIMEOUT
            )
        elif devices * nodes > 1:
            # Buffers are the same everywhere: statistics and keys are those of the global batch.
            new = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
            buffers = {"forward_sync_buffers" if new else "broadcast_buffers": False}
            plan = DDPStrategy(timeout=TIMEOUT, **buffers)
        self.fabric = Fabric(
            accelerator=self.device.type, devices=devices, num_nodes=nodes, strategy=plan,
            precision=precision,
        )  # fmt: skip
        self.fabric.launch()
        self.device, self.rank = self.fabric.device, self.fabric.global_rank
        self.world = self.fabric.world_size

    @property
    def sharded(self) -> bool:
        """Whether every process holds a part of the weights only."""
        return self.world > 1 and self.strategy == "fsdp"

    def setup(
        self,
        module: nn.Module,
        *,
        frozen: nn.Module | None = None,
        compiled: nn.Module | None = None,
    ) -> Any:
        """Prepare a module on its device; returns what is called in its place in training.

        ``frozen`` is a copy that is not trained, to be sharded like the module; ``compiled`` the
        part that torch.compile can take, by default all.
        """
        if self.world > 1:
            _replace_norms(module, self)
        if self.compile:
            (module if compiled is None else compiled).compile()
        if self.fabric is None:
            return module
        if self.sharded and frozen is not None:
            _shard(frozen, self.fabric.strategy.device_mesh)
        return self.fabric.setup_module(module)

    def autocast(self) -> Any:
        """Return the precision of passes outside the prepared module."""
        return nullcontext() if self.fabric is None else self.fabric.autocast()

    def shares(self, rows: Tensor, module: Any, generator: torch.Generator) -> Iterator[Share]:
        """Yield this process's rows of a global batch, micro-batch by micro-batch.

        Gradients are averaged over the processes after the last one. Every micro-batch starts
        from the same state of ``generator`` and of torch's own, for it draws for the whole batch.
        """
        parts = rows.tensor_split(min(self.accumulate, len(rows)))
        generators = [generator, torch.default_generator]
        if self.device.type == "cuda":
            generators.append(torch.cuda.default_generators[self.device.index or 0])
        states, start = [g.get_state() for g in generators if len(parts) > 1], 0
        for part in parts:
            for one, state in zip(generators, states, strict=False):
                one.set_state(state)
            own, first, self.sizes = part, start, None
            if 1 < self.world <= len(part):
                split = part.tensor_split(self.world)
                own, self.sizes = split[self.rank], [len(one) for one in split]
                first += sum(self.sizes[: self.rank])
            start += len(part)
            rank_mean = len(own) * self.world if self.sizes else len(part)
            with ExitStack() as stack:
                if len(own) < len(rows):
                    stack.enter_context(_BatchDraws(len(rows), slice(first, first + len(own))))
                if self.world > 1 and start < len(rows):
                    stack.enter_context(self.fabric.no_backward_sync(module))
                yield Share(
                    own, len(part), rank_mean / len(rows), rank_mean / self.world / len(rows)
                )
        self.sizes = None

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        loss.backward() if self.fabric is None else self.fabric.backward(loss)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes."""
        if self.world > 1:
            torch.distributed.all_reduce(values)
        return values

    def ratio(self, count: Tensor | int) -> Tensor:
        """Return a count of this process, in means of that of all."""
        own = torch.as_tensor(count, dtype=torch.get_default_dtype(), device=self.device)
        return own * self.world / self.total(own.clone())

    def gather(self, x: Tensor) -> Tensor:
        """Return the rows of all processes in the order of the global batch, with gradient."""
        if self.sizes is None:
            return x
        start = sum(self.sizes[: self.rank])
        flat = x.reshape(len(x), -1)
        placed = nnf.pad(flat, (0, 0, start, sum(self.sizes) - start - len(x)))
        return _Sum.apply(placed).reshape(-1, *x.shape[1:])

    def plain(self, module: nn.Module, build: Callable[[], nn.Module]) -> Any:
        """Return the module; of a sharded one a copy in the network that ``build`` makes."""
        if not self.sharded:
            return module
        copied = build().to(self.device)
        copied.load_state_dict({name: whole(value) for name, value in module.state_dict().items()})
        return copied

    def broadcast(self, value: Any) -> Any:
        """Return the first process's value."""
        return value if self.world == 1 else self.fabric.broadcast(value)


def whole(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU; of a sharded tensor all parts, so every process must call."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu().clone()


class _Sum(torch.autograd.Function):
    """The sum over the processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient.contiguous())


def _shard(module: nn.Module, mesh: Any) -> nn.Module:
    """Shard the weights of every block, then of the rest, over the processes (FSDP2)."""
    from torch.distributed.fsdp import fully_shard

    # Also the outermost one lets its weights go after a forward pass: a target has no backward.
    options = {"mesh": mesh["data_parallel"], "reshard_after_forward": True}
    for child in list(module.modules()):
        if isinstance(child, nn.ModuleList):
            for block in child:
                fully_shard(block, **options)
    return fully_shard(module, **options)


class _BatchDraws(TorchFunctionMode):
    """Draw every tensor of random numbers for the whole batch, and hand out some of the rows."""

    def __init__(self, count: int, rows: slice) -> None:
        super().__init__()
        self.count, self.rows, self.own = count, rows, rows.stop - rows.start

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.rand, torch.randn):
            shape = args if isinstance(args[0], int) else args[0]
            if shape[0] == self.own:
                return func((self.count, *shape[1:]), **kwargs)[self.rows]
        elif func in (Tensor.uniform_, Tensor.normal_) and args[0].shape[:1] == (self.own,):
            drawn = func(args[0].new_empty(self.count, *args[0].shape[1:]), *args[1:], **kwargs)
            return args[0].copy_(drawn[self.rows])
        elif func is nnf.dropout and args[0].shape[0] == self.own:
            ones = args[0].new_ones(self.count, *args[0].shape[1:])
            return args[0] * func(ones, *args[1:], **kwargs)[self.rows]
        return func(*args, **kwargs)


def _replace_norms(module: nn.Module, scale: Scale) -> None:
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            norm.forward = partial(_global_norm, norm, scale)


def _global_norm(norm: _BatchNorm, scale: Scale, x: Tensor) -> Tensor:
    """Batch normalisation with the statistics of the global batch.

    nn.SyncBatchNorm does this too, but has no CPU kernels.
    """
    if scale.sizes is None or not norm.training:
        return type(norm).forward(norm, x)
    axes = [0, *range(2, x.ndim)]
    column = (1, -1) + (1,) * (x.ndim - 2)
    count = sum(scale.sizes) * x[0, 0].numel()
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = _Sum.apply(exact.sum(axes)) / count
    centred = exact - mean.view(column)
    variance = _Sum.apply(centred.square().sum(axes)) / count
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * count / max(count - 1, 1), norm.momentum)
    y = centred * (variance + norm.eps).rsqrt().view(column)
    return (y * norm.weight.view(column) + norm.bias.view(column)).to(x.dtype)
