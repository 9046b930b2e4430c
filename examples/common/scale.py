"""One device, or this process's part of many: Lightning Fabric behind the few calls of a step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

STRATEGIES = ("ddp", "fsdp")
TIMEOUT = timedelta(minutes=10)  # a dead process is noticed at once, one that hangs after this


@dataclass(frozen=True)
class Share:
    """This process's rows of one micro-batch, and the weight of their mean in the global mean."""

    rows: Tensor
    count: int  # rows of all processes
    weight: float
    of_batch: float  # share of the global batch, for the mean of what is reported


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
        strategy: str = "ddp",
        precision: str = "32-true",
        accumulate: int = 1,
        compile: bool = False,
    ) -> None:
        self.device, self.strategy = torch.device(device), strategy
        self.accumulate, self.compile = accumulate, compile
        self.rank, self.world, self.fabric = 0, 1, None
        self.sizes: list[int] | None = None  # rows of each process, while they compute their own
        nodes, local = 1, int(os.environ.get("LOCAL_WORLD_SIZE", devices))
        if "TORCHELASTIC_RUN_ID" in os.environ:
            devices, nodes = local, int(os.environ["WORLD_SIZE"]) // local
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
            plan = DDPStrategy(broadcast_buffers=False, timeout=TIMEOUT)
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

    def setup(self, module: nn.Module, frozen: nn.Module | None = None) -> Callable[..., Any]:
        """Prepare a module on its device; returns what is called in its place in training.

        ``frozen`` is a copy that is not trained, sharded like the module itself.
        """
        if self.world > 1:
            _replace_norms(module, self)
        called: Any = torch.compile(module) if self.compile else module
        if self.fabric is None:
            return called
        if self.sharded and frozen is not None:
            _shard(frozen, self.fabric.strategy.device_mesh)
        return self.fabric.setup_module(called)

    def autocast(self) -> Any:
        """Return the precision of passes outside the prepared module."""
        return nullcontext() if self.fabric is None else self.fabric.autocast()

    def shares(self, rows: Tensor, module: Any) -> Iterator[Share]:
        """Yield the micro-batches of a global batch; gradients are averaged after the last."""
        parts = rows.tensor_split(min(self.accumulate, len(rows)))
        for number, part in enumerate(parts):
            last, own, self.sizes = number == len(parts) - 1, part, None
            if 1 < self.world <= len(part):
                split = part.tensor_split(self.world)
                own, self.sizes = split[self.rank], [len(one) for one in split]
            per_process = len(own) * self.world if self.sizes else len(part)
            with ExitStack() as stack:
                if self.sizes:
                    stack.enter_context(_GlobalDraws(self.sizes, self.rank))
                if self.world > 1 and not last:
                    stack.enter_context(self.fabric.no_backward_sync(module))
                of_batch = (len(own) if self.sizes else len(part) / self.world) / len(rows)
                yield Share(own, len(part), per_process / len(rows), of_batch)
        self.sizes = None

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        loss.backward() if self.fabric is None else self.fabric.backward(loss)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes."""
        if self.world > 1:
            torch.distributed.all_reduce(values)
        return values

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
        state = {
            n: v.full_tensor() if isinstance(v, DTensor) else v
            for n, v in module.state_dict().items()
        }
        copied = build().to(self.device)
        copied.load_state_dict(state)
        return copied

    def broadcast(self, value: Any) -> Any:
        """Return the first process's value."""
        return value if self.world == 1 else self.fabric.broadcast(value)


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

    for child in list(module.modules()):
        if isinstance(child, nn.ModuleList):
            for block in child:
                fully_shard(block, mesh=mesh["data_parallel"])
    return fully_shard(module, mesh=mesh["data_parallel"])


class _GlobalDraws(TorchFunctionMode):
    """Draw every batch of random numbers for all processes, and hand out this one's rows."""

    def __init__(self, sizes: Sequence[int], rank: int) -> None:
        super().__init__()
        self.count, self.own = sum(sizes), sizes[rank]
        self.rows = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))

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
    mean = _Sum.apply(x.float().sum(axes)) / count
    centred = x - mean.view(column)
    variance = _Sum.apply(centred.square().sum(axes)) / count
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * count / max(count - 1, 1), norm.momentum)
    y = centred * (variance + norm.eps).rsqrt().view(column)
    return (y * norm.weight.view(column) + norm.bias.view(column)).to(x.dtype)
