"""Two paths through one network: trained by gradient, and its moving average."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skelfreq._checks import check_int, check_option


def unwrap(module: nn.Module) -> nn.Module:
    """Return the network inside ``torch.compile``, ``DataParallel`` and DDP wrappers."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, parallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def cosine_momentum(base: float, total_updates: int) -> Callable[[int], float]:
    """Momentum that rises from ``base`` to 1 over ``total_updates`` on a cosine.

    Parameters
    ----------
    base : float
        Momentum of update 0, in [0, 1].
    total_updates : int
        Update at which 1 is reached; it stays there.

    Returns
    -------
    callable
        ``schedule(k)`` for :class:`EMADualPath`.

    Raises
    ------
    TypeError
        ``total_updates`` is no integer.
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
    _check_momentum("base", base)
    check_int("total_updates", total_updates, 1)

    # A closure could not be pickled with the module that holds it.
    return partial(_cosine, base, total_updates)


def _cosine(base: float, total_updates: int, step: int) -> float:
    progress = min(step / total_updates, 1.0)
    return 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2


def _check_momentum(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}.")


class _Matched(NamedTuple):
    """The tensors of both networks as they were found, and what an update does with them."""

    held: list[Tensor | None]
    old: list[Tensor]
    new: list[Tensor]
    copied: list[tuple[Tensor, Tensor]]


def _tensors(network: nn.Module) -> list[Tensor | None]:
    """Return all parameters and buffers, past the public iterators, which are 4 times slower."""
    modules = [network]
    found: list[Tensor | None] = []
    for module in modules:
        found += module._parameters.values()
        found += module._buffers.values()
        modules += [child for child in module._modules.values() if child is not None]
    return found


def _identical(first: list[Tensor | None], second: list[Tensor | None]) -> bool:
    return len(first) == len(second) and all(map(operator.is_, first, second))


class EMADualPath(nn.Module):
    r"""An online network and its exponential moving average, the target network.

    .. math:: \theta_{tar} \leftarrow \gamma\,\theta_{tar} + (1-\gamma)\,\theta_{on}

    The target starts as a frozen copy, stays in evaluation mode and never receives a gradient.
    Call :meth:`update` after each optimizer step.

    Parameters
    ----------
    online : nn.Module
        The trained network. It may be compiled or wrapped for parallel training, before or
        after: pairs are found by structure inside the wrappers.
    momentum : float
        γ in [0, 1]: 0 copies the online network, 1 freezes the target.
    buffers : {"copy", "average"}
        What happens to floating-point buffers, BatchNorm's statistics for example. Other
        buffers (counters) are always copied.
    schedule : callable, optional
        γ for update k = 0, 1, …, in place of ``momentum``; see :func:`cosine_momentum`.

    Attributes
    ----------
    online, target : nn.Module
        The two networks.
    num_updates : int
        Updates made so far; part of the ``state_dict``.

    Shape
    -----
    ``forward(x_online, x_target)`` → what the two networks return for them.

    Raises
    ------
    TypeError
        ``online`` is no module.
    ValueError
        ``momentum`` outside [0, 1] (also when a schedule returns it), unknown ``buffers``; in
        :meth:`update`: networks whose parameters no longer correspond.

    Notes
    -----
    Cost of an update: one fused pass over the parameters. A target in bf16 or fp16 cannot
    follow with γ near 1 (the steps round to 0): keep master weights in fp32.
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

    def __init__(
        self,
        online: nn.Module,
        momentum: float = 0.996,
        buffers: str = "copy",
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(online, nn.Module):
            raise TypeError(f"online must be a torch.nn.Module, got {type(online).__name__}.")
        _check_momentum("momentum", momentum)
        check_option("buffers", buffers, ("copy", "average"))
        self.online = online
        self.target = copy.deepcopy(unwrap(online)).requires_grad_(False).eval()
        self.momentum = momentum
        self.buffers_mode = buffers
        self.schedule = schedule
        self.num_updates = 0
        self._matched: _Matched | None = None

    def train(self, mode: bool = True) -> EMADualPath:
        """Set the online network's mode; the target stays in evaluation mode."""
        super().train(mode)
        self.target.eval()
        return self

    @torch.no_grad()
    def update(self) -> None:
        """Move the target towards the online network by one step."""
        gamma = self.momentum if self.schedule is None else self.schedule(self.num_updates)
        _check_momentum("momentum", gamma)
        online, target = unwrap(self.online), unwrap(self.target)
        held = _tensors(target) + _tensors(online)
        # Matching names takes longer than the update of a small network: done again only when
        # a tensor was replaced, added or removed.
        if self._matched is None or not _identical(held, self._matched.held):
            self._matched = self._match(held, target, online)
        if self._matched.old:
            torch._foreach_lerp_(self._matched.old, self._matched.new, 1 - gamma)
        for old, new in self._matched.copied:
            old.copy_(new)
        self.num_updates += 1

    def _match(self, held: list[Tensor | None], target: nn.Module, online: nn.Module) -> _Matched:
        pairs = _pairs("parameters", target.named_parameters(), online.named_parameters())
        copied: list[tuple[Tensor, Tensor]] = []
        for old, new in _pairs("buffers", target.named_buffers(), online.named_buffers()):
            averaged = self.buffers_mode == "average" and old.is_floating_point()
            (pairs if averaged else copied).append((old, new))
        return _Matched(held, [old for old, _ in pairs], [new for _, new in pairs], copied)

    def forward(self, x_online: Any, x_target: Any) -> tuple[Any, Any]:
        """Send each branch its input; the target's output carries no gradient."""
        online = self.online(x_online)
        with torch.no_grad():
            target = self.target(x_target)
        return online, target

    def get_extra_state(self) -> Tensor:
        """Keep the number of updates in the ``state_dict``, as a tensor."""
        return torch.tensor(self.num_updates)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the number of updates."""
        self.num_updates = int(state)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"momentum={self.momentum}, buffers={self.buffers_mode!r}, schedule={self.schedule}"


def _pairs(
    what: str, target: Iterable[tuple[str, Tensor]], online: Iterable[tuple[str, Tensor]]
) -> list[tuple[Tensor, Tensor]]:
    """Match tensors by their place in the network; a compiled part renames what it holds."""
    old = {name.replace("_orig_mod.", ""): value for name, value in target}
    new = {name.replace("_orig_mod.", ""): value for name, value in online}
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
    return [(value, new[name]) for name, value in old.items()]
