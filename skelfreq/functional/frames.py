"""Frames: differences in time, and the split of a clip into its odd and even frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skelfreq._checks import check_axis, check_floating, check_int, check_tensor, named_options
from skelfreq.functional._axis import check_lengths, zero_padding


@named_options
def motion(x: Tensor, *, dim: int = -2, stride: int = 1, lengths: Tensor | None = None) -> Tensor:
    """Frame difference ``x[t + stride] - x[t]``; the last ``stride`` frames are 0.

    Parameters
    ----------
    x : Tensor
        Real tensor, for example [N, C, T, V] (``dim=-2``).
    dim : int
        Axis of time.
    stride : int
        Distance in frames, at least 1. From T frames on, the result is all 0.
    lengths : Tensor, optional
        [N] frames really present; the last ``stride`` of them and all others are 0.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``, in its unit (per ``stride`` frames).

    Raises
    ------
    TypeError
        ``x`` is not real floating point, ``stride`` is no integer.
    ValueError
        ``stride`` below 1, ``dim`` outside ``x``, lengths outside [0, T].

    Notes
    -----
    Cost: one subtraction and one copy. Source: d(·) of FD-MAE, eq. 2; that the last frame is 0
    is MAMP's convention (``extract_motion``).

    Examples
    --------
    >>> motion(torch.tensor([1.0, 4.0, 9.0]), dim=0)
    tensor([3., 5., 0.])
    """
    check_floating("x", x)
    dim = check_axis("x", x, dim)
    stride = check_int("stride", stride, 1)
    if lengths is not None:
        lengths = check_lengths(lengths, x, dim)
        x = zero_padding(x, lengths, dim)
    moving = max(x.shape[dim] - stride, 0)
    still = torch.zeros_like(x.narrow(dim, moving, x.shape[dim] - moving))
    difference = x.narrow(dim, x.shape[dim] - moving, moving) - x.narrow(dim, 0, moving)
    out = torch.cat([difference, still], dim)
    return out if lengths is None else zero_padding(out, lengths - stride, dim)


@named_options
def split_frames(x: Tensor, *, dim: int = -2) -> tuple[Tensor, Tensor]:
    """Split a clip into its 1st, 3rd, 5th … frame and its 2nd, 4th, 6th … frame.

    Parameters
    ----------
    x : Tensor
        Tensor with an even number 2T of frames along ``dim``.
    dim : int
        Axis of time.

    Returns
    -------
    target, online : Tensor
        T frames each; views of ``x``. The 1st, 3rd … frame is the target branch's.

    Raises
    ------
    ValueError
        Odd number of frames; ``dim`` outside ``x``, or an empty axis.

    Notes
    -----
    Cost: none (views). Source: FD-MAE, section II-A.

    Examples
    --------
    >>> split_frames(torch.arange(6), dim=0)
    (tensor([0, 2, 4]), tensor([1, 3, 5]))
    """
    dim = check_axis("x", x, dim)
    if x.shape[dim] % 2:
        raise ValueError(f"x must have an even number of frames on dim={dim}, got {x.shape[dim]}.")
    index: list[Any] = [slice(None)] * x.ndim
    index[dim] = slice(0, None, 2)
    target = x[tuple(index)]
    index[dim] = slice(1, None, 2)
    return target, x[tuple(index)]


@named_options
def merge_frames(target: Tensor, online: Tensor, *, dim: int = -2) -> Tensor:
    """Interleave two branches again; the inverse of :func:`split_frames`.

    Parameters
    ----------
    target, online : Tensor
        Odd and even frames, same shape and dtype.
    dim : int
        Axis of time.

    Returns
    -------
    Tensor
        2T frames along ``dim``.

    Raises
    ------
    ValueError
        Shapes differ; ``dim`` outside them, or an empty axis.
    TypeError
        Dtypes differ.

    Notes
    -----
    Cost: one copy. Source: FD-MAE, section II-A.

    Examples
    --------
    >>> merge_frames(torch.tensor([0, 2]), torch.tensor([1, 3]), dim=0)
    tensor([0, 1, 2, 3])
    """
    check_tensor("target", target)
    check_tensor("online", online)
    if target.shape != online.shape:
        raise ValueError(
            f"online must have the shape of target, {tuple(target.shape)}, "
            f"got {tuple(online.shape)}."
        )
    if target.dtype != online.dtype:
        raise TypeError(
            f"online must have the dtype of target, {target.dtype}, got {online.dtype}."
        )
    dim = check_axis("target", target, dim)
    return torch.stack([target, online], dim + 1).flatten(dim, dim + 1)
