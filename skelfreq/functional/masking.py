"""Multi-tube masks: the same joints hidden for every step of a tube of time."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import check_int


def tube_mask(
    batch: int,
    steps: int,
    joints: int,
    *,
    num_masked: int,
    tube_length: int,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw a multi-tube mask.

    Time is cut into tubes of ``tube_length`` steps. In each tube of each sample exactly
    ``num_masked`` joints are masked, every set of that size equally likely, the same for all
    steps of the tube.

    Parameters
    ----------
    batch, steps, joints : int
        Samples N, token steps T_p and joints V; ``batch`` may be 0.
    num_masked : int
        Masked joints K in every tube, 0 to V.
    tube_length : int
        Steps in a tube, at least 1. The last tube is shorter where it does not divide
        ``steps``.
    generator : torch.Generator, optional
        Source of the draw; torch's global one if not given. It draws on its own device.
    device : torch.device, optional
        Device of the mask.

    Returns
    -------
    Tensor
        bool [N, T_p, V], True = masked.

    Raises
    ------
    TypeError
        A size is no integer.
    ValueError
        ``num_masked`` outside [0, V], ``tube_length`` below 1, negative sizes.

    Notes
    -----
    Cost: one uniform number per joint and tube, a selection of K among V, no loop.
    Source: FD-MAE, section II-B; the letter asks for tubes of equal length, the shorter last
    one is ours.

    Examples
    --------
    >>> mask = tube_mask(2, 30, 25, num_masked=22, tube_length=3)
    >>> mask.shape, mask.sum(-1).unique()
    (torch.Size([2, 30, 25]), tensor([22]))
    """
    check_int("batch", batch, 0)
    check_int("steps", steps, 1)
    check_int("joints", joints, 1)
    check_int("num_masked", num_masked, 0, joints)
    check_int("tube_length", tube_length, 1)
    tubes = -(-steps // tube_length)
    where = device if generator is None else generator.device
    noise = torch.empty(batch, tubes, joints, device=where).uniform_(generator=generator)
    chosen = noise.topk(num_masked, dim=-1, sorted=False).indices
    mask = torch.zeros_like(noise, dtype=torch.bool).scatter(-1, chosen, True)
    # Expanding copies each tube's joints to its steps without an index.
    mask = mask.unsqueeze(2).expand(-1, -1, tube_length, -1).flatten(1, 2)[:, :steps]
    return mask if device is None else mask.to(device)
