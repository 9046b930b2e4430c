"""Two networks: one trained by gradient, the other its exponential moving average."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from skelfreq._checks import check_int, check_number, check_option, named_options
from skelfreq.functional import _route

Buffers = Literal["copy", "average"]
MOMENTUM = 0.996


def cosine_momentum(base: float, total_updates: int) -> Callable[[int], float]:
    """Momentum that rises from ``base`` to 1 over ``total_updates`` on a cosine.

    Parameters
    ----------
    base : float
        Momentum of update 0, in [0, 1].
    total_updates : int
        Update at which the momentum reaches 1; it stays at 1 afterwards.

    Returns
    -------
    callable
        ``schedule(k)`` for :class:`EMADualPath`.

    Raises
    ------
    TypeError
        ``base`` is not a number, ``total_updates`` is not an integer.
    ValueError
        ``base`` outside [0, 1], ``total_updates`` below 1.

    Notes
    -----
    Source: BYOL (Grill et al., 2020), section 3.2.

    Examples
    --------
    >>> schedule = cosine_momentum(0.99, total_updates=100)
    >>> schedule(0), round(schedule(50), 4), schedule(100)
    (0.99, 0.995, 1.0)
    """
    base = _check_momentum("base", base)
    total_updates = check_int("total_updates", total_updates, 1)
    # A closure could not be pickled with the module that holds it.
    return partial(_cosine, base, total_updates)


def _cosine(base: float, total_updates: int, step: int) -> float:
    progress = min(step / total_updates, 1.0)
    return 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2


def _check_momentum(name: str, value: Any) -> float:
    number = check_number(name, value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}.")
    return number


class _Matched(NamedTuple):
    """The tensors of both networks as they were found, and what an update does with them."""

    held: list[Tensor | None]
    old: list[Tensor]
    new: list[Tensor]
    copied: list[tuple[Tensor, Tensor]]


class EMADualPath(nn.Module):
    r"""An online network and its exponential moving average, the target network.

    .. math:: \theta_{tar} \leftarrow \gamma\,\theta_{tar} + (1-\gamma)\,\theta_{on}

    The target starts as a frozen copy of the online network, stays in evaluation mode and never
    receives a gradient. Call :meth:`update` after each optimizer step.

    Parameters
    ----------
    online : nn.Module
        The network that is trained. It may be compiled or wrapped by DDP, before or after.
    momentum : float, optional
        γ in [0, 1], 0.996 if neither it nor a schedule is given: 0 copies the online network, 1
        leaves the target unchanged.
    schedule : callable, optional
        γ of update k = 0, 1, …, instead of ``momentum``; see :func:`cosine_momentum`.
    buffers : {"copy", "average"}
        What an update does with floating-point buffers, for example the statistics of BatchNorm.
        Other buffers (counters) are always copied.

    Attributes
    ----------
    online, target : nn.Module
        The two networks.
    num_updates : int
        Updates made so far; part of the ``state_dict``.

    Shape
    -----
    ``forward(x_online, x_target, ...)`` → the outputs of the two networks.

    Raises
    ------
    TypeError
        ``online`` is not a module, ``momentum`` is not a number, ``schedule`` is not callable.
    ValueError
        At construction: ``momentum`` outside [0, 1] or together with ``schedule``, unknown
        ``buffers``, an online network that is already sharded. In :meth:`update`: a schedule that
        returns a number outside [0, 1], networks that no longer correspond, only one of them
        sharded.

    Notes
    -----
    FSDP2: build the dual path first, then shard all of it, ``fully_shard(dual)``.
    Cost of an update: one fused pass over the parameters. A target in bf16 or fp16 cannot follow
    with γ near 1, because its steps round to 0: store the weights in fp32.
    Source: FD-MAE, eq. 1. The letter gives no γ; 0.996 is BYOL's.

    Examples
    --------
    >>> import torch
    >>> dual = EMADualPath(torch.nn.Linear(4, 2), momentum=0.9)
    >>> online, target = dual(torch.randn(3, 4), torch.randn(3, 4))
    >>> online.requires_grad, target.requires_grad
    (True, False)
    >>> dual.update()
    """

    @named_options
    def __init__(
        self,
        online: nn.Module,
        *,
        momentum: float | None = None,
        schedule: Callable[[int], float] | None = None,
        buffers: Buffers = "copy",
    ) -> None:
        super().__init__()
        if not isinstance(online, nn.Module):
            raise TypeError(f"online must be a torch.nn.Module, got {type(online).__name__}.")
        if momentum is not None and schedule is not None:
            raise ValueError(
                "momentum must be left out when schedule is given, got "
                f"momentum={momentum!r} and schedule={schedule!r}."
            )
        if callable(momentum):
            raise TypeError(f"momentum must be a number, got {momentum!r}; pass it as schedule=.")
        if schedule is not None and not callable(schedule):
            raise TypeError(f"schedule must be a function of the update, got {schedule!r}.")
        check_option("buffers", buffers, ("copy", "average"))
        if _sharded_modules(online):
            raise ValueError(
                "online must not be sharded yet, got a network that fully_shard was applied to; "
                "build the EMADualPath first, then call fully_shard(dual)."
            )
        self.online = online
        self.target = copy.deepcopy(_route.unwrap(online)).requires_grad_(False).eval()
        if schedule is None:
            momentum = _check_momentum("momentum", MOMENTUM if momentum is None else momentum)
        self.momentum = momentum
        self.schedule = schedule
        self.buffers_mode = buffers
        self.num_updates = 0
        self._matched: _Matched | None = None

    def reset_parameters(self) -> None:
        """Draw the online network again, make the target its copy, and count updates from 0.

        For networks built on the meta device, after ``to_empty``. Every module of ``online`` with
        parameters or buffers of its own must have ``reset_parameters()``, otherwise ValueError;
        for other networks initialise ``online`` yourself and call :meth:`reset_target`.
        """
        modules = dict(_route.unwrap(self.online).named_modules())
        for name, module in modules.items():
            own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
            if own and not hasattr(module, "reset_parameters"):
                raise ValueError(
                    "online must have reset_parameters() on every module that holds tensors, got "
                    f"{type(module).__name__} at {name!r} without it; initialise online yourself "
                    "and call reset_target()."
                )
        _reshard(self)
        for module in modules.values():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        self.reset_target()

    @torch.no_grad()
    def reset_target(self) -> None:
        """Make the target a copy of the online network again, and count updates from 0."""
        matched = self._match()
        for old, new in [*zip(matched.old, matched.new, strict=True), *matched.copied]:
            old.copy_(new)
        self.num_updates = 0

    def train(self, mode: bool = True) -> EMADualPath:
        """Set the mode of the online network; the target stays in evaluation mode."""
        super().train(mode)
        self.target.eval()
        return self

    @torch.no_grad()
    def update(self) -> None:
        """Move the target towards the online network by one step."""
        k = self.num_updates
        if self.schedule is None:
            gamma = _check_momentum("momentum", self.momentum)
        else:
            gamma = _check_momentum(f"schedule({k})", self.schedule(k))
        matched = self._match()
        if matched.old:
            average = get_ema_multi_avg_fn(gamma)  # type: ignore[no-untyped-call]
            average(matched.old, matched.new, None)
        for old, new in matched.copied:
            old.copy_(new)
        self.num_updates = k + 1

    def _match(self) -> _Matched:
        """Return the pairs of tensors.

        Matching names takes longer than the update of a small network: it is done again only
        when a tensor was replaced, added or removed.
        """
        online, target = _route.unwrap(self.online), _route.unwrap(self.target)
        held = _route.held_tensors(target, online)
        if self._matched is not None and _identical(held, self._matched.held):
            return self._matched
        _reshard(self)
        held = _route.held_tensors(target, online)
        averaged: list[tuple[Tensor, Tensor]] = []
        copied: list[tuple[Tensor, Tensor]] = []
        for old, new in _pairs("parameters", target.named_parameters(), online.named_parameters()):
            numeric = old.is_floating_point() or old.is_complex()
            (averaged if numeric else copied).append((old, new))
        for old, new in _pairs("buffers", target.named_buffers(), online.named_buffers()):
            numeric = self.buffers_mode == "average" and old.is_floating_point()
            (averaged if numeric else copied).append((old, new))
        olds, news = [old for old, _ in averaged], [new for _, new in averaged]
        self._matched = _Matched(held, olds, news, copied)
        return self._matched

    def forward(self, x_online: Any, x_target: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Return ``online(x_online, ...)`` and ``target(x_target, ...)``, the latter detached.

        Further arguments go to both networks.
        """
        online = self.online(x_online, *args, **kwargs)
        with torch.no_grad():
            target = self.target(x_target, *args, **kwargs)
        # Forward-mode tangents pass through no_grad.
        return online, _route.detached(target)

    def get_extra_state(self) -> Tensor:
        """Store the number of updates in the ``state_dict``, as a tensor."""
        return torch.tensor(self.num_updates, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the number of updates."""
        self.num_updates = int(state)

    def extra_repr(self) -> str:
        """Show the configuration."""
        given = (
            f"momentum={self.momentum}" if self.schedule is None else f"schedule={self.schedule}"
        )
        return f"{given}, buffers={self.buffers_mode!r}"


def _identical(first: list[Tensor | None], second: list[Tensor | None]) -> bool:
    return len(first) == len(second) and all(map(operator.is_, first, second))


def _sharded_modules(module: nn.Module) -> list[Any]:
    """Return the modules inside ``module`` that FSDP2's ``fully_shard`` was applied to."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return []
    from torch.distributed.fsdp import FSDPModule  # takes long; not needed without processes

    return [part for part in module.modules() if isinstance(part, FSDPModule)]


def _reshard(module: nn.Module) -> None:
    """Return to the sharded tensors.

    After a forward pass without a backward pass the modules still hold full copies; a value
    written into a copy is lost.
    """
    for part in _sharded_modules(module):
        part.reshard()


def _placement(tensor: Tensor) -> tuple[object, ...]:
    """Return how a tensor is spread over processes: () where every process holds all of it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return ()
    from torch.distributed.tensor import DTensor

    return (tensor.device_mesh, tensor.placements) if isinstance(tensor, DTensor) else ()


def _pairs(
    what: str, target: Iterable[tuple[str, Tensor]], online: Iterable[tuple[str, Tensor]]
) -> list[tuple[Tensor, Tensor]]:
    """Match tensors by name, without what compiling a part of a network adds to the name."""
    old = {name.replace(f"{_route.COMPILED}.", ""): value for name, value in target}
    new = {name.replace(f"{_route.COMPILED}.", ""): value for name, value in online}
    if old.keys() != new.keys():
        changed = sorted(old.keys() ^ new.keys())
        raise ValueError(
            f"online must keep the {what} it was copied with, got a difference in {changed[:3]}."
        )
    for name, value in old.items():
        if value.shape != new[name].shape:
            raise ValueError(
                f"online must keep {name} in shape {tuple(value.shape)}, "
                f"got {tuple(new[name].shape)}."
            )
        if _placement(value) != _placement(new[name]):
            raise ValueError(
                f"online and target must be sharded alike, got {name} placed as "
                f"{_placement(new[name])} in online and {_placement(value)} in target; shard the "
                "EMADualPath as a whole: fully_shard(dual)."
            )
    return [(value, new[name]) for name, value in old.items()]
