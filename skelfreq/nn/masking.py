"""Multi-tube masking of skeleton tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skelfreq._checks import check_int
from skelfreq.functional.masking import tube_mask


class TubeMask(NamedTuple):
    """A drawn mask, and how to reach the visible tokens and come back.

    Attributes
    ----------
    mask : Tensor
        bool [N, T_p, V], True = masked.
    ids_keep : Tensor
        int64 [N, L_keep]: positions ``t * V + v`` of the visible tokens, ascending.
    ids_restore : Tensor
        int64 [N, T_p·V]: where each token stands in "visible tokens, then masked ones", so
        that gathering by it undoes the selection.

    Raises
    ------
    ValueError
        ``gather`` or ``scatter`` gets tokens that do not fit the mask.

    Notes
    -----
    Source: the names and the meaning of both index tensors are MAE's (He et al., 2022).
    """

    mask: Tensor
    ids_keep: Tensor
    ids_restore: Tensor

    def gather(self, tokens: Tensor) -> Tensor:
        """Select the visible tokens: [N, T_p, V, D] → [N, L_keep, D]."""
        if tokens.ndim != 4 or tokens.shape[:3] != self.mask.shape:
            raise ValueError(
                f"tokens must have shape {(*self.mask.shape, 'D')}, got {tuple(tokens.shape)}."
            )
        index = self.ids_keep.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
        return tokens.flatten(1, 2).gather(1, index)

    def scatter(self, visible: Tensor, mask_token: Tensor) -> Tensor:
        """Put visible tokens back and ``mask_token`` [D] elsewhere: → [N, T_p, V, D]."""
        if visible.ndim != 3 or visible.shape[:2] != self.ids_keep.shape:
            raise ValueError(
                f"visible must have shape {(*self.ids_keep.shape, 'D')}, "
                f"got {tuple(visible.shape)}."
            )
        width = visible.shape[-1]
        if mask_token.shape != (width,):
            raise ValueError(
                f"mask_token must have shape ({width},), got {tuple(mask_token.shape)}."
            )
        # One spare row holds the mask token; all masked positions point at it.
        spare = mask_token.to(visible.dtype).expand(visible.shape[0], 1, width)
        rows = torch.cat([visible, spare], 1)
        index = self.ids_restore.clamp(max=visible.shape[1]).unsqueeze(-1).expand(-1, -1, width)
        return rows.gather(1, index).reshape(*self.mask.shape, width)


class TubeMasking(nn.Module):
    """Multi-tube masking: hides K of V joints in every tube of every sample.

    Masks whenever called, in training and evaluation; it has no parameters.

    Parameters
    ----------
    num_joints : int
        Joints V.
    mask_ratio : float
        Share of masked joints in [0, 1); K = ``round(mask_ratio * V)`` (a half rounds to the
        even number) and must leave a joint visible.
    tube_length : int
        Token steps in a tube, at least 1.

    Shape
    -----
    tokens [N, T_p, V, D], or that shape → :class:`TubeMask` with L_keep = T_p·(V − K).

    Raises
    ------
    TypeError
        ``num_joints`` or ``tube_length`` is no integer.
    ValueError
        At construction: arguments outside their range. In forward: tokens without V joints
        on axis 2.

    Notes
    -----
    Cost: O(N·T_p·V), no loop over samples and no sort of the token sequence.
    Source: FD-MAE, section II-B; defaults from its Tables V and VI.

    Examples
    --------
    >>> masking = TubeMasking(num_joints=25, mask_ratio=0.88, tube_length=3)
    >>> tokens = torch.randn(2, 30, 25, 64)
    >>> drawn = masking(tokens, generator=torch.Generator().manual_seed(0))
    >>> visible = drawn.gather(tokens)
    >>> visible.shape, drawn.scatter(visible, torch.zeros(64)).shape
    (torch.Size([2, 90, 64]), torch.Size([2, 30, 25, 64]))
    """

    def __init__(
        self, num_joints: int = 25, mask_ratio: float = 0.88, tube_length: int = 3
    ) -> None:
        super().__init__()
        check_int("num_joints", num_joints, 1)
        check_int("tube_length", tube_length, 1)
        if not 0 <= mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie in [0, 1), got {mask_ratio}.")
        self.num_joints = num_joints
        self.mask_ratio = mask_ratio
        self.tube_length = tube_length
        self.num_masked = round(mask_ratio * num_joints)
        if self.num_masked == num_joints:
            raise ValueError(
                f"mask_ratio must leave one of {num_joints} joints visible, got {mask_ratio}."
            )

    def forward(
        self, tokens: Tensor | Sequence[int], generator: torch.Generator | None = None
    ) -> TubeMask:
        """Draw a mask for ``tokens`` [N, T_p, V, D], or for that shape.

        Without a ``generator`` torch's global one is used.
        """
        is_tensor = isinstance(tokens, Tensor)
        shape = tokens.shape if isinstance(tokens, Tensor) else tuple(tokens)
        if len(shape) != 4 or shape[2] != self.num_joints:
            raise ValueError(
                f"tokens must have shape [N, T_p, {self.num_joints}, D], got {tuple(shape)}."
            )
        batch, steps = shape[0], shape[1]
        mask = tube_mask(
            batch,
            steps,
            self.num_joints,
            num_masked=self.num_masked,
            tube_length=self.tube_length,
            generator=generator,
            device=tokens.device if is_tensor else None,  # type: ignore[union-attr]
        )
        flat = mask.flatten(1)
        kept = steps * (self.num_joints - self.num_masked)
        # Counting ranks both kinds of token in one pass each; a sort would cost L log L.
        visible_rank = (~flat).cumsum(1) - 1
        masked_rank = flat.cumsum(1) + (kept - 1)
        restore = torch.where(flat, masked_rank, visible_rank)
        position = torch.arange(flat.shape[1], device=flat.device).expand_as(restore)
        keep = torch.empty_like(restore).scatter(1, restore, position)[:, :kept]
        return TubeMask(mask, keep, restore)

    def extra_repr(self) -> str:
        """Show the configuration and the resulting K."""
        return (
            f"num_joints={self.num_joints}, mask_ratio={self.mask_ratio}, "
            f"tube_length={self.tube_length}, num_masked={self.num_masked}"
        )
