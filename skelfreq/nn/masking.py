"""Multi-tube masking of skeleton tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from skelfreq._checks import check_int, check_number, check_tensor, named_options
from skelfreq.functional import _route
from skelfreq.functional.masking import tube_mask


class TubeMask(NamedTuple):
    """A drawn mask with the indices that select the visible tokens and put them back.

    Attributes
    ----------
    mask : Tensor
        bool [N, T_p, V], True = masked.
    ids_keep : Tensor
        int64 [N, L_keep]: positions ``t * V + v`` of the visible tokens, ascending.
    ids_restore : Tensor
        int64 [N, T_p·V]: the position of each token in the list "visible tokens, then masked
        tokens". Gathering that list by it restores the order of the tokens.

    Raises
    ------
    TypeError
        In ``gather`` and ``scatter``: an argument is not a tensor.
    ValueError
        In ``gather`` and ``scatter``: shapes that do not fit the mask.

    Notes
    -----
    Source: names and meaning of both index tensors are those of MAE (He et al., 2022).
    """

    mask: Tensor
    ids_keep: Tensor
    ids_restore: Tensor

    def gather(self, tokens: Tensor) -> Tensor:
        """Select the visible tokens: [N, T_p, V, D], or flat [N, T_p·V, D], → [N, L_keep, D]."""
        check_tensor("tokens", tokens)
        laid_out, flat = self.mask.shape, self.ids_restore.shape
        if tokens.ndim == 4 and tokens.shape[:3] == laid_out:
            tokens = rearrange(tokens, "n t v d -> n (t v) d")
        elif tokens.ndim != 3 or tokens.shape[:2] != flat:
            raise ValueError(
                f"tokens must have shape {(*laid_out, 'D')} or {(*flat, 'D')}, got "
                f"{tuple(tokens.shape)}."
            )
        return tokens.gather(1, _for_each_entry(self.ids_keep, tokens.shape[-1]))

    @named_options
    def scatter(self, visible: Tensor, mask_token: Tensor, *, flat: bool = False) -> Tensor:
        """Put the visible tokens back, with ``mask_token`` at every masked position.

        Parameters
        ----------
        visible : Tensor
            [N, L_keep, D], in the order of :meth:`gather`; D may differ from the D there.
        mask_token : Tensor
            [D], [1, D], [1, 1, D] or [1, 1, 1, D]; cast to the dtype of ``visible``.
        flat : bool
            Return [N, T_p·V, D] in place of [N, T_p, V, D].

        Returns
        -------
        Tensor
            [N, T_p, V, D], or flat.
        """
        check_tensor("visible", visible)
        check_tensor("mask_token", mask_token)
        if visible.ndim != 3 or visible.shape[:2] != self.ids_keep.shape:
            raise ValueError(
                f"visible must have shape {(*self.ids_keep.shape, 'D')}, "
                f"got {tuple(visible.shape)}."
            )
        width = visible.shape[-1]
        ones = (1,) * (mask_token.ndim - 1)
        if not 1 <= mask_token.ndim <= 4 or mask_token.shape != (*ones, width):
            raise ValueError(
                f"mask_token must have shape ({width},), (1, {width}), (1, 1, {width}) or "
                f"(1, 1, 1, {width}), got {tuple(mask_token.shape)}."
            )
        # One extra row holds the mask token, for all masked positions.
        extra = mask_token.to(visible.dtype).reshape(1, 1, width).expand(visible.shape[0], 1, width)
        rows = torch.cat([visible, extra], 1)
        tokens = rows.gather(
            1, _for_each_entry(self.ids_restore.clamp(max=visible.shape[1]), width)
        )
        return tokens if flat else tokens.reshape(*self.mask.shape, width)


_route.register_named_tuple(TubeMask)


def _for_each_entry(index: Tensor, width: int) -> Tensor:
    """Expand an index of tokens [N, L] to one of their entries [N, L, D]."""
    return index.unsqueeze(-1).expand(-1, -1, width)


class TubeMasking(nn.Module):
    """Multi-tube masking: masks K of V joints in every tube of every sample.

    It masks whenever it is called, in training and in evaluation, and has no parameters.

    Parameters
    ----------
    num_joints : int
        Joints V.
    mask_ratio : float
        Share of masked joints in [0, 1); K = ``round(mask_ratio * V)`` (a half rounds to the
        even number). K must leave a joint visible, and a ratio above 0 must mask a joint.
    tube_length : int
        Token steps in a tube, at least 1.

    Shape
    -----
    Tokens [N, T_p, V, D], or flat [N, L, D] with L = T_p·V and the joint fastest, or the shape
    alone → :class:`TubeMask` with L_keep = T_p·(V − K).

    Raises
    ------
    TypeError
        An argument of another type: a string as a number, an array in place of a tensor.
    ValueError
        At construction: arguments outside their range. In forward: tokens without V joints on
        axis 2; flat tokens that V does not divide.

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
        self.num_joints = check_int("num_joints", num_joints, 1)
        self.mask_ratio = check_number("mask_ratio", mask_ratio)
        self.tube_length = check_int("tube_length", tube_length, 1)
        if not 0 <= self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie in [0, 1), got {mask_ratio}.")
        self.num_masked = round(self.mask_ratio * self.num_joints)
        if self.num_masked == self.num_joints:
            raise ValueError(
                f"mask_ratio must leave one of {num_joints} joints visible, got {mask_ratio}."
            )
        if self.mask_ratio > 0 and self.num_masked == 0:
            raise ValueError(
                f"mask_ratio must be 0 or mask at least one of {num_joints} joints, got "
                f"{mask_ratio}, which rounds to none."
            )

    def forward(
        self, tokens: Tensor | Sequence[int], generator: torch.Generator | None = None
    ) -> TubeMask:
        """Draw a mask for ``tokens`` [N, T_p, V, D] or [N, T_p·V, D], or for that shape.

        Without a ``generator`` torch's global one is used.
        """
        batch, steps = self._batch_and_steps(tokens)
        mask = tube_mask(
            batch,
            steps,
            self.num_joints,
            num_masked=self.num_masked,
            tube_length=self.tube_length,
            generator=generator,
            device=tokens.device if isinstance(tokens, Tensor) else None,
        )
        flat = mask.flatten(1)
        num_visible = steps * (self.num_joints - self.num_masked)
        # Counting ranks both kinds of token in one pass each; a sort would cost L log L.
        visible_rank = (~flat).cumsum(1) - 1
        masked_rank = flat.cumsum(1) + (num_visible - 1)
        restore = torch.where(flat, masked_rank, visible_rank)
        position = torch.arange(flat.shape[1], device=flat.device).expand_as(restore)
        keep = torch.empty_like(restore).scatter(1, restore, position)[:, :num_visible]
        return TubeMask(mask, keep, restore)

    def _batch_and_steps(self, tokens: Tensor | Sequence[int]) -> tuple[int, int]:
        """Return N and T_p of ``tokens`` or of their shape."""
        if isinstance(tokens, (tuple, list)):
            shape = tuple(check_int(f"tokens[{i}]", size, 0) for i, size in enumerate(tokens))
        else:
            check_tensor("tokens", tokens)
            shape = tuple(tokens.shape)  # type: ignore[union-attr]
        joints = self.num_joints
        if len(shape) == 4 and shape[2] == joints:
            return shape[0], shape[1]
        if len(shape) == 3 and shape[1] % joints == 0:
            return shape[0], shape[1] // joints
        raise ValueError(
            f"tokens must have shape [N, T_p, {joints}, D], or [N, L, D] with L a multiple of "
            f"{joints}, got {shape}."
        )

    def extra_repr(self) -> str:
        """Show the configuration and the resulting K."""
        return (
            f"num_joints={self.num_joints}, mask_ratio={self.mask_ratio}, "
            f"tube_length={self.tube_length}, num_masked={self.num_masked}"
        )
