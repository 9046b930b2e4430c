"""FreS, FreT and FreST: adaptive spectral filters along joints and along frames."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from skelfreq.functional.decoupling import FRAMES, JOINTS
from skelfreq.nn._adaptive import AdaptiveBlock
from skelfreq.nn._decoupling import FrameDecoupling, JointDecoupling


class FreS(AdaptiveBlock):
    r"""Adaptive spectral filter along joints, within each frame.

    .. math:: y = x + \mathrm{DFT}^{-1}\left( X \odot (W_G + m_θ(X) \odot W_L) \right),
        \qquad X = \mathrm{DFT}_V(\mathrm{decoupling}(x))

    Parameters
    ----------
    channels : int
        Channels C.
    num_joints : int, optional
        Joints V; needed when the weights have a frequency axis, checked where it is given.
    use_global, use_local : bool
        Whether W_G and W_L (with its mask and θ) are there; at least one.
    residual : bool
        Whether the input is added.
    decouple : bool
        Whether :class:`JointDecoupling` comes first.
    weight : {"channel", "frequency", "full"}
        One complex weight per channel [C, 2], per bin [F, 2], or both [C, F, 2].
    gradient : {"straight_through", "tslanet", "sigmoid"}
        What θ receives, see :func:`~skelfreq.functional.adaptive_spectral_mask`.
    temperature : float
        Width of the step of "sigmoid".
    threshold : float, optional
        Starting value of θ; drawn from U(0, 1) if not given.
    init : {"normal", "identity"}
        "normal": weights with σ = 0.02. "identity": the block starts as x → x. With a residual
        all filters start at 0, and the equality is exact; without, and without decoupling,
        W_G = 1 and W_L = 0. θ begins to move once W_L has left 0.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], frames behind them are 0.

    Raises
    ------
    TypeError, ValueError
        At construction: arguments that do not fit, no filter at all, "identity" where nothing
        carries the input; in forward: other axes, channels or joints, bad lengths.

    Notes
    -----
    Every frame has its own mask [N, 1, T, F], shared by the channels; no frame sees another.
    ``kept(x)`` returns it. With ``decouple=False, residual=False, gradient="tslanet"`` the block
    is TSLANet's. Random starting values come from torch's global generator.
    Cost: decoupling, :func:`~skelfreq.functional.spectral_filter`, one addition.
    Source: FreST, section 4.2 and Fig. 3; the residual and the content of the decoupling are ours
    to choose, the paper gives neither.

    Examples
    --------
    >>> block = FreS(3, num_joints=25)
    >>> x = torch.randn(2, 3, 30, 25)
    >>> block(x).shape, block.kept(x).shape
    (torch.Size([2, 3, 30, 25]), torch.Size([2, 1, 30, 13]))
    """

    dim, length_name = JOINTS, "num_joints"

    def __init__(
        self,
        channels: int,
        num_joints: int | None = None,
        use_global: bool = True,
        use_local: bool = True,
        residual: bool = True,
        decouple: bool = True,
        weight: str = "channel",
        gradient: str = "straight_through",
        temperature: float = 0.1,
        threshold: float | None = None,
        init: str = "normal",
    ) -> None:
        super().__init__(
            channels, num_joints, JointDecoupling(channels) if decouple else None,
            use_global, use_local, residual, weight, gradient, temperature, threshold, init,
        )  # fmt: skip

    def resize(self, num_joints: int) -> FreS:
        """Return a copy for other joints; see :meth:`SpectralFilter.resize`."""
        return self.resized(num_joints)


class FreT(AdaptiveBlock):
    """Adaptive spectral filter along frames, within each joint.

    :class:`FreS` with the axes exchanged: :class:`FrameDecoupling`, the DFT along time, one mask
    [N, 1, F, V] per joint's trajectory. No joint sees another.

    Parameters
    ----------
    channels : int
        Channels C.
    num_frames : int, optional
        Frames T; needed when the weights have a frequency axis, checked where it is given.
    use_global, use_local, residual, decouple, weight, gradient, temperature, threshold, init
        As :class:`FreS`.

    Shape
    -----
    [N, C, T, V] → the same. With ``lengths`` [N] each sample is filtered as a clip of its own
    length, and is 0 behind; weights with a frequency axis stay with the index k of their bin.

    Raises
    ------
    TypeError, ValueError
        As :class:`FreS`.

    Notes
    -----
    Cost as :class:`FreS`; with ``lengths`` one n × n basis per sample.
    Source: FreST, section 4.2 and Fig. 3, as :class:`FreS`.

    Examples
    --------
    >>> block = FreT(3, num_frames=30, weight="full", init="identity")
    >>> x = torch.randn(2, 3, 30, 25)
    >>> torch.equal(block(x), x)
    True
    """

    dim, length_name = FRAMES, "num_frames"

    def __init__(
        self,
        channels: int,
        num_frames: int | None = None,
        use_global: bool = True,
        use_local: bool = True,
        residual: bool = True,
        decouple: bool = True,
        weight: str = "channel",
        gradient: str = "straight_through",
        temperature: float = 0.1,
        threshold: float | None = None,
        init: str = "normal",
    ) -> None:
        super().__init__(
            channels, num_frames, FrameDecoupling(channels) if decouple else None,
            use_global, use_local, residual, weight, gradient, temperature, threshold, init,
        )  # fmt: skip

    def resize(self, num_frames: int) -> FreT:
        """Return a copy for other frames; see :meth:`SpectralFilter.resize`."""
        return self.resized(num_frames)


class FreST(nn.Module):
    """Decoupling, FreS, decoupling, FreT: filters joints first, then frames.

    Parameters
    ----------
    channels : int
        Channels C.
    num_joints, num_frames : int, optional
        V and T, as :class:`FreS` and :class:`FreT` need them.
    use_global, use_local, residual, decouple, weight, gradient, temperature, threshold, init
        As :class:`FreS`, for both blocks; each has its residual, around its decoupling.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], frames behind them are 0.

    Raises
    ------
    TypeError, ValueError
        As :class:`FreS`.

    Notes
    -----
    ``fres`` and ``fret`` are the two blocks. Within ``fres`` no frame sees another, within
    ``fret`` no joint does; behind both everything has met. Cost: the sum of the two.
    Source: FreST, section 4.2 and Fig. 3.

    Examples
    --------
    >>> FreST(64)(torch.randn(2, 64, 30, 25)).shape
    torch.Size([2, 64, 30, 25])
    """

    def __init__(
        self,
        channels: int,
        num_joints: int | None = None,
        num_frames: int | None = None,
        use_global: bool = True,
        use_local: bool = True,
        residual: bool = True,
        decouple: bool = True,
        weight: str = "channel",
        gradient: str = "straight_through",
        temperature: float = 0.1,
        threshold: float | None = None,
        init: str = "normal",
    ) -> None:
        super().__init__()
        options = (use_global, use_local, residual, decouple, weight, gradient, temperature)
        self.fres = FreS(channels, num_joints, *options, threshold, init)
        self.fret = FreT(channels, num_frames, *options, threshold, init)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Filter ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        filtered: Tensor = self.fret(self.fres(x, lengths), lengths)
        return filtered

    def kept(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the bins that pass in FreS [N, 1, T, F] and in FreT [N, 1, F, V], bool."""
        with torch.no_grad():
            filtered = self.fres(x, lengths)
        return self.fres.kept(x, lengths), self.fret.kept(filtered, lengths)

    def resize(self, num_joints: int | None = None, num_frames: int | None = None) -> FreST:
        """Return a copy for other joints, frames or both; see :meth:`SpectralFilter.resize`."""
        other = copy.deepcopy(self)
        if num_joints is not None:
            other.fres = self.fres.resize(num_joints)
        if num_frames is not None:
            other.fret = self.fret.resize(num_frames)
        return other
