"""The input of FreS and FreT: poses without position, motion without mean pose."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from skelfreq._checks import check_int, check_skeletons, named_options
from skelfreq.functional._decoupling_plain import FRAMES, JOINTS
from skelfreq.functional.decoupling import decouple

TAPS = 3


class Decoupling(nn.Module):
    """Normalise, convolve and mix the lines along one axis."""

    axis: Literal[2, 3]

    @named_options
    def __init__(
        self,
        channels: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        channels = check_int("channels", channels, 1)
        self.depthwise = nn.Parameter(torch.empty(channels, TAPS, device=device, dtype=dtype))
        self.pointwise = nn.Parameter(torch.empty(channels, channels, device=device, dtype=dtype))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set both maps to the identity."""
        self.depthwise.zero_()
        self.depthwise.select(1, TAPS // 2).fill_(1)
        # nn.init.eye_ cannot write into a tensor that is sharded over processes.
        self.pointwise.copy_(torch.ones_like(self.pointwise).tril().triu())

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Decouple ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        check_skeletons("x", x, self.pointwise.shape[0])
        return decouple(x, self.depthwise, self.pointwise, dim=self.axis, lengths=lengths)

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return f"{self.pointwise.shape[0]}"


class JointDecoupling(Decoupling):
    """Relative joint positions of each frame, the input of FreS.

    The mean of the joints is subtracted from each frame, which is scaled to unit RMS over joints
    and channels; a depth-wise convolution of 3 taps along the joints and a point-wise map over the
    channels follow. Joints and channels of one frame are mixed, frames are not.

    Parameters
    ----------
    channels : int
        Channels C.
    device, dtype
        Of the parameters.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], all other frames are 0.

    Raises
    ------
    TypeError, ValueError
        At construction: no positive integer; in forward: other axes or channels, bad lengths.

    Notes
    -----
    Starts as normalisation alone: both maps are the identity. No bias, so an empty frame stays
    0. Cost per entry: C + 3 multiplications. Source: FreST, section 4.2; the paper names the
    module and does not define it, see :func:`~skelfreq.functional.decouple`.

    Examples
    --------
    >>> JointDecoupling(3)(torch.ones(2, 3, 30, 25)).any()
    tensor(False)
    """

    axis = JOINTS


class FrameDecoupling(Decoupling):
    """Motion of each joint about its mean position, the input of FreT.

    :class:`JointDecoupling` with the axes exchanged: the mean of the frames is subtracted from each
    joint, which is scaled to unit RMS over frames and channels, then convolved along the frames.
    Frames and channels of one joint are mixed, joints are not.

    Parameters
    ----------
    channels : int
        Channels C.
    device, dtype
        Of the parameters.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], means are those of the frames present, and
    all other frames are 0.

    Raises
    ------
    TypeError, ValueError
        As :class:`JointDecoupling`.

    Notes
    -----
    Cost and starting point as :class:`JointDecoupling`. A joint at rest becomes 0.
    Source: FreST, section 4.2, as :class:`JointDecoupling`.

    Examples
    --------
    >>> FrameDecoupling(3)(torch.randn(2, 3, 30, 25)).mean(2).abs().max() < 1e-6
    tensor(True)
    """

    axis = FRAMES
