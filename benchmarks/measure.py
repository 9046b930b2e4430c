"""Measure one case in one precision and mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.case import (
    BACKWARD,
    CALL,
    COMPILED,
    EAGER,
    FORWARD,
    Case,
    Operation,
    Setting,
    Target,
    Workload,
    first,
)
from benchmarks.memory import peak_extra_bytes
from benchmarks.results import Ratio, Record
from benchmarks.timing import QUICK, Effort, OtherWork, Spread, interleave

CANDIDATE, COPY, PRODUCT, LIMIT = "candidate", "copy", "product", "limit"


@dataclass(frozen=True)
class Plan:
    """How to measure: where, in which precision and mode, for how long."""

    setting: Setting
    mode: str = EAGER
    effort: Effort = QUICK
    threads: int = 1
    product_points: int = 512
    compile_peers: bool = False


def measure(case: Case, plan: Plan) -> list[Record]:
    """Return a record for each pass of ``case``."""
    with warnings.catch_warnings():
        # Warnings of compilers, also about the complex numbers of the peers.
        warnings.simplefilter("ignore")
        workload = case.build(case.shape, plan.setting)
        candidate, peers = workload.candidate, dict(workload.peers)
        if plan.mode == COMPILED:
            torch._dynamo.reset()
            torch._inductor.config.compile_threads = 1  # no pool of processes during the timing
            candidate = candidate.compiled()
            if plan.compile_peers:
                peers |= compiled_peers(peers)
        return [
            measure_pass(case, pass_, workload, candidate, peers, plan) for pass_ in case.passes
        ]


def compiled_peers(peers: Mapping[str, Operation]) -> dict[str, Operation]:
    """Return the peers that a compiler may help, compiled; graph breaks are theirs to have."""
    return {
        f"{name}, compiled": peer.compiled(fullgraph=False)
        for name, peer in peers.items()
        # A network is compiled in place and could no longer run as released.
        if peer.compiles and not peer.modules
    }


def measure_pass(
    case: Case,
    pass_: str,
    workload: Workload,
    candidate: Operation,
    peers: Mapping[str, Operation],
    plan: Plan,
) -> Record:
    """Time candidate, peers, copy, limit and product in turns, then count bytes, FLOP, errors."""
    setting = plan.setting
    if pass_ == BACKWARD:
        peers = {name: peer for name, peer in peers.items() if not peer.forward_only}
    other = OtherWork()
    upstream = upstream_for(workload.candidate, setting) if pass_ == BACKWARD else None
    run = runner(candidate, pass_, upstream)
    source = workload.copied
    destination = torch.empty_like(source)
    matrix = setting.normal(plan.product_points, plan.product_points, seed=2)
    contenders = {
        CANDIDATE: run,
        **{name: runner(peer, pass_, upstream) for name, peer in peers.items()},
        COPY: lambda: destination.copy_(source),
        PRODUCT: lambda: matrix @ matrix,
    }
    limit = workload.limit
    if limit is not None:
        contenders[LIMIT] = limit.operation.forward
    seconds = interleave(contenders, plan.effort, plan.threads)
    times = 2 if pass_ == BACKWARD else 1
    other_cores = other.cores() if setting.device == "cpu" else None
    fp32 = setting.dtype == torch.float32
    ratios = {
        name: Ratio(
            Spread.of([a / b for a, b in zip(seconds[name], seconds[CANDIDATE], strict=True)]),
            target_of(case.targets, name, plan.mode, pass_) if fp32 else None,
        )
        for name in peers
    }
    return Record(
        case=case.label,
        dtype=str(setting.dtype).removeprefix("torch."),
        mode=plan.mode,
        pass_=pass_,
        seconds=Spread.of(seconds[CANDIDATE]),
        peers={name: Spread.of(seconds[name]) for name in peers},
        ratios=ratios,
        copy_seconds=Spread.of(seconds[COPY]),
        copy_bytes=2 * source.nbytes,
        moved_bytes=moved_bytes(workload, pass_),
        limit="copy" if limit is None else limit.name,
        limit_seconds=limit and Spread.of([times * value for value in seconds[LIMIT]]),
        product_seconds=Spread.of(seconds[PRODUCT]),
        product_flop=2 * plan.product_points**3,
        flop=product_flop(runner(workload.candidate, pass_, upstream)),
        input_bytes=source.nbytes,
        peak_bytes=None if pass_ == CALL else peak_extra_bytes(run, setting.device),
        memory_target=case.memory_target if pass_ == BACKWARD and fp32 else None,
        error=error(run, workload.reference, pass_, upstream),
        other_cores=other_cores,
        clips=case.clips,
    )


def runner(
    operation: Operation, pass_: str, upstream: Tensor | None = None
) -> Callable[[], object]:
    """Return the call to time."""
    if pass_ == FORWARD:
        return operation.forward
    if pass_ == CALL:
        return operation.function
    assert upstream is not None
    return operation.backward_for(upstream)


def upstream_for(operation: Operation, setting: Setting) -> Tensor:
    """Draw the upstream gradient."""
    return setting.normal(*first(operation.forward()).shape, seed=3)


def target_of(targets: tuple[Target, ...], peer: str, mode: str, pass_: str) -> float | None:
    """Return the target ratio, if any."""
    for target in targets:
        if (target.peer, target.mode, target.pass_) == (peer, mode, pass_):
            return target.ratio
    return None


def moved_bytes(workload: Workload, pass_: str) -> int | None:
    """Least bytes to read and write: inputs and outputs, once each.

    With backward, incoming and outgoing gradients as well.
    """
    if workload.moved_bytes or not workload.candidate.tensors:
        return workload.moved_bytes
    inputs = sum(tensor.nbytes for tensor in workload.candidate.tensors)
    output = first(workload.candidate.forward()).nbytes
    return (inputs + output) * (2 if pass_ == BACKWARD else 1)


class FlopCount(TorchDispatchMode):
    """Sums torch's own counts of matrix products, convolutions and attention.

    The counter that comes with torch also follows modules, and fails on tensors with hooks.
    """

    total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def product_flop(run: Callable[[], object]) -> int | None:
    """FLOP of the matrix products of an eager call; None where it has none."""
    # A compiled module does not run under a dispatch mode.
    with torch.compiler.set_stance("force_eager"), FlopCount() as counter:
        run()
    return counter.total or None


def error(
    run: Callable[[], object], reference: Operation | None, pass_: str, upstream: Tensor | None
) -> float | None:
    """Largest error against the peer in fp64 on the same numbers, relative to the largest value.

    Forward: of the output; with backward: the worst of the gradients.
    """
    if reference is None or pass_ == CALL:
        return None
    if pass_ == FORWARD:
        return relative_error(first(run()), first(reference.double().forward()))
    assert upstream is not None
    actual, expected = run(), reference.double().backward_for(upstream.double())()
    assert isinstance(actual, tuple)
    return max(map(relative_error, actual[1:], expected[1:]))


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Return max |actual - expected| / max |expected|."""
    return float((actual.double() - expected).abs().max() / expected.abs().max())
