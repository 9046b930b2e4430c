"""Joint, bone and motion streams of one clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from skelfreq._checks import check_option
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_batch,
    check_joints,
    clear_padding,
    named_layout,
    select_joints,
)
from skelfreq.functional import motion
from skelfreq.skeletons import SkeletonLayout

Stream = Literal["joint", "bone", "joint motion", "bone motion"]
_STREAMS = ("joint", "bone", "joint motion", "bone motion")


def _parents(layout: SkeletonLayout) -> list[int]:
    """Return for every joint the one that its bone begins at; itself where it has no bone."""
    parents = list(range(layout.num_joints))
    for child, parent in layout.edges:
        parents[child] = parent
    return parents


def bones(x: Tensor, layout: SkeletonLayout | str) -> Tensor:
    """Return for every joint the vector that its bone makes, from the parent to the joint.

    Parameters
    ----------
    x : Tensor
        [N, C, T, V].
    layout : SkeletonLayout or str
        Joint order and bones.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``; zero for the centre, which has no parent.

    Raises
    ------
    TypeError
        If ``x`` is not floating point.
    ValueError
        If shapes do not fit the layout.

    Source
    ------
    2s-AGCN (Shi et al., CVPR 2019), section 3.3; with the bones of ``"ntu25"`` as CTR-GCN's.

    Examples
    --------
    >>> bones(torch.ones(1, 3, 2, 25), "ntu25").any()
    tensor(False)
    """
    check_batch(x, None)
    layout = named_layout(layout)
    check_joints(x, layout)
    return x - select_joints(x, _parents(layout))


def _next(confidence: Tensor, lengths: Tensor | None) -> Tensor:
    """Return [N, T, V]: the confidence of the next frame; in the last frame of a clip, its own."""
    after = torch.cat([confidence[:, 1:], confidence[:, -1:]], 1)
    if lengths is None:
        return after
    frames = torch.arange(confidence.shape[1], device=confidence.device)
    last = frames + 1 >= lengths[:, None]
    return torch.where(last[..., None], confidence, after)


class Streams(Transform):
    """Compute streams and join them on the channel axis.

    Parameters
    ----------
    layout : SkeletonLayout or str
        Joint order and bones.
    streams : str or sequence of str
        One or several of ``"joint"`` (the coordinates), ``"bone"`` (:func:`bones`),
        ``"joint motion"`` and ``"bone motion"`` (frame differences of these; the last frame of a
        clip is zero, see :func:`skelfreq.functional.motion`).

    Raises
    ------
    ValueError
        If a stream is unknown, or none is named.

    Shape
    -----
    [N, C, T, V] → [N, C·(number of streams), T, V].

    Notes
    -----
    With confidence, a bone or a motion is zero where one of its two points was not seen, and the
    confidence returned is the smallest of all points that any of the streams uses.

    Examples
    --------
    >>> Streams("ntu25", ("joint", "bone motion"))(torch.randn(2, 3, 10, 25)).x.shape
    torch.Size([2, 6, 10, 25])
    """

    def __init__(
        self, layout: SkeletonLayout | str, streams: Stream | Sequence[Stream] = "bone"
    ) -> None:
        super().__init__()
        self.layout = named_layout(layout)
        names: tuple[str, ...] = (streams,) if isinstance(streams, str) else tuple(streams)
        if not names:
            raise ValueError(f"streams must name at least one of {', '.join(_STREAMS)}, got none.")
        for name in names:
            check_option("streams", name, _STREAMS)
        self.streams = names

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths, confidence, persons = batch
        check_joints(x, self.layout)
        x = clear_padding(x, lengths)
        parts, weights = [], []
        for name in self.streams:
            part, weight = x, confidence
            if name.startswith("bone"):
                part = bones(x, self.layout)
                if weight is not None:
                    weight = torch.minimum(weight, select_joints(weight, _parents(self.layout)))
            if name.endswith("motion"):
                part = motion(part, lengths=lengths)
                if weight is not None:
                    weight = torch.minimum(weight, _next(weight, lengths))
            if weight is not None:
                weights.append(weight)
                if name != "joint":
                    part = torch.where((weight > 0).unsqueeze(1), part, 0)
            parts.append(part)
        if confidence is not None:
            confidence = torch.stack(weights).amin(0)
        return Skeletons(torch.cat(parts, 1), lengths, confidence, persons)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"{self.layout.name!r}, {self.streams}"
