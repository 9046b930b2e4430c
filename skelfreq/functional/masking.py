"""Masks of skeleton tokens, and the patches of frames that the tokens are made from."""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor

from skelfreq._checks import check_int, check_tensor, named_options
from skelfreq.functional import _route


@named_options
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
        Source of the draw, on its own device; torch's global generator if not given.
    device : torch.device, optional
        Device of the mask.

    Returns
    -------
    Tensor
        bool [N, T_p, V], True = masked.

    Raises
    ------
    TypeError
        A size is not an integer, ``generator`` is not a :class:`torch.Generator`.
    ValueError
        ``num_masked`` outside [0, V], ``tube_length`` below 1, ``steps`` or ``joints`` below 1,
        a negative ``batch``.

    Notes
    -----
    Cost: one uniform number per joint and tube, a selection of K among V, no loop. A program
    made by :func:`torch.export.export` draws one per joint and step.
    Source: FD-MAE, section II-B; the letter asks for tubes of equal length, the shorter last
    tube is ours.

    Examples
    --------
    >>> mask = tube_mask(2, 30, 25, num_masked=22, tube_length=3)
    >>> mask.shape, mask.sum(-1).unique()
    (torch.Size([2, 30, 25]), tensor([22]))
    """
    batch = check_int("batch", batch, 0)
    steps = check_int("steps", steps, 1)
    joints = check_int("joints", joints, 1)
    num_masked = check_int("num_masked", num_masked, 0, joints)
    tube_length = check_int("tube_length", tube_length, 1)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(
            "generator must be a torch.Generator, for example torch.Generator().manual_seed(0), "
            f"got {generator!r}."
        )
    # The exporter does not support a dynamic number of tubes computed from the number of steps. One
    # draw per step has more rows than tubes; the others are not used.
    exporting = _route.watcher() == "export"
    tubes = steps if exporting else (steps + tube_length - 1) // tube_length
    if generator is None:  # the exporter cannot take the argument, not even as None
        noise = torch.rand(batch, tubes, joints, device=device)
    else:
        noise = torch.rand(batch, tubes, joints, device=generator.device, generator=generator)
    chosen = noise.topk(num_masked, dim=-1, sorted=False).indices
    mask = torch.zeros_like(noise, dtype=torch.bool).scatter(-1, chosen, True)
    mask = mask.index_select(1, torch.arange(steps, device=mask.device) // tube_length)
    return mask if device is None else mask.to(device)


@named_options
def patchify(clip: Tensor, *, patch_frames: int) -> Tensor:
    """Cut a clip into patches of ``patch_frames`` frames × one joint.

    Parameters
    ----------
    clip : Tensor
        [N, C, T, V], any dtype; T must be a multiple of ``patch_frames``.
    patch_frames : int
        Frames p in a patch, at least 1.

    Returns
    -------
    Tensor
        [N, T/p, V, p·C], dtype and unit of ``clip``. In the last axis the frame varies slowest,
        the channel fastest.

    Raises
    ------
    TypeError
        ``clip`` is not a tensor, ``patch_frames`` is not an integer.
    ValueError
        ``clip`` without 4 axes, a number of frames that ``patch_frames`` does not divide.

    Notes
    -----
    Cost: one copy. With a dynamic number of frames, :func:`torch.export.export` needs it as a
    multiple: ``patch_frames * Dim("steps")``.
    Source: MAMP (Mao et al., ICCV 2023), whose released code stores clips as [N, T, V, C]; the
    order of the entries in a patch is the same.

    Examples
    --------
    >>> patchify(torch.randn(2, 3, 120, 25), patch_frames=4).shape
    torch.Size([2, 30, 25, 12])
    """
    check_tensor("clip", clip)
    patch_frames = check_int("patch_frames", patch_frames, 1)
    if clip.ndim != 4:
        raise ValueError(f"clip must have shape [N, C, T, V], got {tuple(clip.shape)}.")
    if clip.shape[2] % patch_frames:
        raise ValueError(
            f"clip must have a multiple of patch_frames={patch_frames} frames on axis 2, got "
            f"{clip.shape[2]}."
        )
    return rearrange(clip, "n c (t p) v -> n t v (p c)", p=patch_frames)


@named_options
def unpatchify(patches: Tensor, *, patch_frames: int) -> Tensor:
    """Put patches together into a clip; the inverse of :func:`patchify`.

    Parameters
    ----------
    patches : Tensor
        [N, T_p, V, p·C], any dtype, for example the prediction of a decoder.
    patch_frames : int
        Frames p in a patch, at least 1.

    Returns
    -------
    Tensor
        [N, C, T_p·p, V], dtype and unit of ``patches``.

    Raises
    ------
    TypeError
        ``patches`` is not a tensor, ``patch_frames`` is not an integer.
    ValueError
        ``patches`` without 4 axes, a last axis that ``patch_frames`` does not divide.

    Notes
    -----
    Cost: one copy. Source: MAMP, as :func:`patchify`.

    Examples
    --------
    >>> clip = torch.randn(2, 3, 120, 25)
    >>> torch.equal(unpatchify(patchify(clip, patch_frames=4), patch_frames=4), clip)
    True
    """
    check_tensor("patches", patches)
    patch_frames = check_int("patch_frames", patch_frames, 1)
    if patches.ndim != 4:
        raise ValueError(f"patches must have shape [N, T_p, V, p·C], got {tuple(patches.shape)}.")
    if patches.shape[3] % patch_frames:
        raise ValueError(
            f"patches must have a multiple of patch_frames={patch_frames} entries on axis 3, got "
            f"{patches.shape[3]}."
        )
    return rearrange(patches, "n t v (p c) -> n c (t p) v", p=patch_frames)


@named_options
def frame_mask(token_mask: Tensor, *, patch_frames: int) -> Tensor:
    """Give every frame the mask of its token.

    Parameters
    ----------
    token_mask : Tensor
        [N, T_p, V], any dtype; bool, True = masked, from :func:`tube_mask`.
    patch_frames : int
        Frames p in a token, at least 1.

    Returns
    -------
    Tensor
        [N, T_p·p, V], dtype of ``token_mask``: the mask that
        :func:`~skelfreq.functional.motion_reconstruction_loss` takes.

    Raises
    ------
    TypeError
        ``token_mask`` is not a tensor, ``patch_frames`` is not an integer.
    ValueError
        ``token_mask`` without 3 axes, ``patch_frames`` below 1.

    Notes
    -----
    Cost: one copy. Source: follows from the patches of MAMP, see :func:`patchify`.

    Examples
    --------
    >>> frame_mask(torch.tensor([[[True], [False]]]), patch_frames=2)[0, :, 0]
    tensor([ True,  True, False, False])
    """
    check_tensor("token_mask", token_mask)
    patch_frames = check_int("patch_frames", patch_frames, 1)
    if token_mask.ndim != 3:
        raise ValueError(f"token_mask must have shape [N, T_p, V], got {tuple(token_mask.shape)}.")
    return repeat(token_mask, "n t v -> n (t p) v", p=patch_frames)
