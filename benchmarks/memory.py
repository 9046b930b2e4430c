"""Peak extra memory of one call.

Bytes allocated in addition to inputs, parameters and the upstream gradient, at the peak of the
call; outputs and returned gradients count. Bases that stay cached after a first call do not.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

# The profiler announces its start and stop on stderr unless told otherwise before it is loaded.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def peak_extra_bytes(run: Callable[[], object], device: str) -> int:
    """Return the peak of one call, as torch's allocator saw it; a first call goes before."""
    run()
    return _cuda(run) if torch.device(device).type == "cuda" else _cpu(run)


def _cuda(run: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def left_behind_bytes(run: Callable[[], object]) -> int:
    """Return the bytes of tensors on the CPU that a call allocated and did not free."""
    return sum(_changes(run))


def _cpu(run: Callable[[], object]) -> int:
    live = peak = 0
    for change in _changes(run):
        live += change
        peak = max(peak, live)
    return peak


def _changes(run: Callable[[], object]) -> list[int]:
    """Return the bytes allocated (positive) and freed (negative) during a call, in order."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = run()
    del result  # its memory is freed after the profiler has stopped
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    # Ties stay in order.
    return [change for _, change in sorted(changes, key=lambda pair: pair[0])]
