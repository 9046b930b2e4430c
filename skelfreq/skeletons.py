"""Named skeletons: joint orders, joint maps, graphs, and conversion to ``[N, C, T, V]``.

Axis letters are N batch, M persons, C channels, T frames, V joints. All joint numbers count
from 0. Left and right are the person's own.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from skelfreq._checks import check_int, check_option
from skelfreq._joint_maps import as_tensor, convert_layout
from skelfreq._layouts import get_layout
from skelfreq._skeleton_layout import SkeletonLayout

__all__ = [
    "SkeletonLayout",
    "adjacency",
    "convert_layout",
    "from_nctv",
    "get_layout",
    "to_nctv",
]


def adjacency(
    layout: SkeletonLayout | str,
    strategy: Literal["uniform", "distance", "spatial"] = "spatial",
) -> Tensor:
    """Return the partitioned, normalised adjacency of a skeleton graph.

    With ``B = I + E`` (bones in both directions plus self-loops), ``B D^-1`` is divided into K
    subsets that do not overlap and add up to it:

    * ``"uniform"``, K = 1: everything;
    * ``"distance"``, K = 2: the joint itself; its neighbours;
    * ``"spatial"``, K = 3: the joint itself; neighbours at least as far from the centre as the
      joint; neighbours nearer to the centre.

    Parameters
    ----------
    layout : SkeletonLayout or str
        The skeleton, or the name of one that :func:`get_layout` knows.
    strategy : {"uniform", "distance", "spatial"}
        How neighbours are divided into subsets.

    Returns
    -------
    Tensor
        float32, for use as ``torch.einsum("nkctv,kvw->nctw", x, a)``: ``a[k, v, w]`` weighs what
        joint w receives from joint v. ``a.sum(0)`` has columns that each sum to 1 (``D`` is the
        diagonal of column sums), so joint w receives a mean over itself and its neighbours.

    Shape
    -----
    Output ``[K, V, V]`` with K = 1, 2 or 3.

    Raises
    ------
    ValueError
        If ``strategy`` or the name of the layout is unknown.

    Source
    ------
    ST-GCN (Yan et al., AAAI 2018), section 3.3 and the released graph code with one hop.

    Examples
    --------
    >>> a = adjacency("ntu25", "spatial")
    >>> a.shape, bool((a.sum((0, 1)) - 1).abs().max() < 1e-6)
    (torch.Size([3, 25, 25]), True)
    """
    check_option("strategy", strategy, ("uniform", "distance", "spatial"))
    if isinstance(layout, str):
        layout = get_layout(layout)
    joints = layout.num_joints
    itself = torch.eye(joints, dtype=torch.float64)
    neighbour = torch.zeros_like(itself)
    for child, parent in layout.edges:
        neighbour[child, parent] = neighbour[parent, child] = 1.0
    both = itself + neighbour
    degree = both.sum(0)
    if strategy == "uniform":
        subsets = both[None]
    elif strategy == "distance":
        subsets = torch.stack([itself, neighbour])
    else:
        hops = _hops_from(layout.centre, both)
        nearer = neighbour * (hops[:, None] < hops[None, :])
        subsets = torch.stack([itself, neighbour - nearer, nearer])
    return (subsets / degree).to(torch.float32)


def _hops_from(centre: int, reach: Tensor) -> Tensor:
    """Return each joint's graph distance from ``centre`` (V where no path leads there)."""
    joints = reach.shape[0]
    reached = torch.zeros(joints, dtype=torch.float64)
    reached[centre] = 1.0
    hops = torch.zeros_like(reached)
    # A joint h hops away is missing from the first h of these V rounds.
    for _ in range(joints):
        hops += reached == 0
        reached = reach @ reached
    return hops


def _check_axes(axes: str) -> None:
    """Raise unless ``axes`` is a permutation of TVC with optional N and M."""
    if not isinstance(axes, str):
        raise TypeError(f"axes must be a string such as 'NMTVC', got {type(axes).__name__}.")
    if len(set(axes)) != len(axes) or not set("CTV") <= set(axes) <= set("NMCTV"):
        raise ValueError(
            f"axes must hold C, T and V once each and may hold N and M once each, got {axes!r}."
        )


def to_nctv(x: Tensor | np.ndarray, axes: str) -> Tensor:
    """Bring skeletons into the layout ``[N, C, T, V]``, persons folded into the batch.

    Parameters
    ----------
    x : Tensor or ndarray
        Joints, of any dtype that torch has.
    axes : str
        One letter per axis of ``x``, in its order: ``C``, ``T`` and ``V`` once each, and
        optionally ``N`` and ``M``. For example ``"NMTVC"`` (pyskl), ``"NCTVM"`` (ST-GCN, CTR-GCN),
        ``"NTVC"``, ``"TVC"``.

    Returns
    -------
    Tensor
        Person m of sample n is row ``n * M + m``. Shares memory with ``x`` where strides allow and,
        for an array, where it is writeable and of native byte order.

    Shape
    -----
    Input as ``axes`` says; output ``[N*M, C, T, V]``, an absent N or M counting as 1.

    Raises
    ------
    TypeError
        If ``x`` is no tensor or array, or ``axes`` no string.
    ValueError
        If ``axes`` is not as above or has another number of letters than ``x`` has axes.

    Source
    ------
    The axis letters and the folding of persons are those of ST-GCN's released model.

    Examples
    --------
    >>> to_nctv(torch.zeros(8, 3, 64, 25, 2), "NCTVM").shape
    torch.Size([16, 3, 64, 25])
    """
    x = as_tensor("x", x)
    _check_axes(axes)
    if x.ndim != len(axes):
        raise ValueError(
            f"axes must have {x.ndim} letters, one per axis of x with shape {tuple(x.shape)}, "
            f"got {axes!r}."
        )
    persons = " ".join(letter for letter in "NM" if letter in axes)
    return rearrange(x, f"{' '.join(axes)} -> ({persons}) C T V")


def from_nctv(x: Tensor | np.ndarray, axes: str, num_persons: int | None = None) -> Tensor:
    """Undo :func:`to_nctv`.

    Parameters
    ----------
    x : Tensor or ndarray
        Skeletons with person m of sample n in row ``n * num_persons + m``.
    axes : str
        Order of the axes to return, as in :func:`to_nctv`. Leaving ``N`` or ``M`` out drops that
        axis, which must then have one entry.
    num_persons : int, optional
        Persons M that were folded into the batch: needed where ``axes`` holds ``M``, 1 elsewhere.

    Returns
    -------
    Tensor
        Shares memory with ``x`` where strides allow.

    Shape
    -----
    Input ``[N*M, C, T, V]``; output as ``axes`` says.

    Raises
    ------
    TypeError
        If ``x`` is no tensor or array, ``axes`` no string or ``num_persons`` no integer.
    ValueError
        If ``x`` has not 4 axes, ``num_persons`` is missing or does not divide the first one, or
        ``axes`` is malformed or leaves out an axis with other than one entry.

    Source
    ------
    The axis letters and the folding of persons are those of ST-GCN's released model.

    Examples
    --------
    >>> from_nctv(torch.zeros(16, 3, 64, 25), "NMTVC", num_persons=2).shape
    torch.Size([8, 2, 64, 25, 3])
    """
    x = as_tensor("x", x)
    _check_axes(axes)
    if num_persons is None:
        if "M" in axes:
            raise ValueError(
                f"num_persons must be given for axes {axes!r}, which hold the persons M, got None."
            )
        num_persons = 1
    check_int("num_persons", num_persons, 1)
    if x.ndim != 4:
        raise ValueError(f"x must have 4 axes [N*M, C, T, V], got shape {tuple(x.shape)}.")
    if x.shape[0] % num_persons:
        raise ValueError(
            f"num_persons must divide the {x.shape[0]} entries on axis 0 of x, got {num_persons}."
        )
    sizes = {"N": x.shape[0] // num_persons, "M": num_persons}
    for letter, size in sizes.items():
        if letter not in axes and size != 1:
            raise ValueError(
                f"axes must hold {letter} where that axis has {size} entries instead of 1, "
                f"got {axes!r}."
            )
    persons = " ".join(letter for letter in "NM" if letter in axes)
    # The batch size is explicit: it is ambiguous for an empty tensor.
    sizes = {letter: size for letter, size in sizes.items() if letter in axes}
    return rearrange(x, f"({persons}) C T V -> {' '.join(axes)}", **sizes)
