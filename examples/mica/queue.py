"""The queue of keys: a ring buffer that every process fills alike."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn


class Queue(nn.Module):
    """The last ``size`` keys and the class of each.

    Until it is full, :meth:`entries` returns only what was put in. Its state is in the
    ``state_dict``; the number of entries is a tensor, so that saving and loading keeps it.
    """

    keys: Tensor
    labels: Tensor
    written: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}.")
        self.register_buffer("keys", torch.zeros(size, width))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.long))
        self.register_buffer("written", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def put(self, keys: Tensor, labels: Tensor) -> None:
        """Write keys [N, width] of unit length and labels [N] over the oldest entries.

        Under several processes those of all ranks, in the order of the ranks.
        """
        keys, labels = gather(nnf.normalize(keys.float(), dim=1)), gather(labels)
        size = len(self.keys)
        # Of a batch larger than the queue only the last keys would stay.
        position = int(self.written) + max(len(keys) - size, 0)
        kept = keys[-size:]
        index = (torch.arange(len(kept), device=keys.device) + position) % size
        self.keys[index] = kept
        self.labels[index] = labels[-size:]
        self.written += len(keys)

    def entries(self) -> tuple[Tensor, Tensor]:
        """Return keys [K, width] and labels [K] of what the queue holds; copies."""
        count = min(int(self.written), len(self.keys))
        return self.keys[:count].clone(), self.labels[:count].clone()


def gather(x: Tensor) -> Tensor:
    """Return the rows of all processes in the order of their ranks; no gradient passes."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return x
    parts = [torch.empty_like(x) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, x.contiguous())
    return torch.cat(parts)
