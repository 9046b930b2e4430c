"""FreS, FreT and FreST: decoupling and adaptive spectral filters along joints and frames."""

from __future__ import annotations

import copy
import math
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from skelfreq._checks import (
    check_int,
    check_number,
    check_option,
    check_skeletons,
    compute_dtype,
    named_options,
)
from skelfreq.functional._axis import check_lengths, zero_padding
from skelfreq.functional._filter_plain import Gradient, bins_of
from skelfreq.functional.decoupling import FRAMES, JOINTS, decouple
from skelfreq.functional.filters import (
    GRADIENTS,
    Weight,
    adaptive_spectral_mask,
    spectral_filter,
)
from skelfreq.functional.fourier import rdft
from skelfreq.nn._weights import INITS, Init, Start, fill_filter_, filter_shape, resize_filter

TAPS = 3
Block = TypeVar("Block", bound="_AdaptiveBlock")


class _Decoupling(nn.Module):
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
        self.depthwise[:, TAPS // 2] = 1
        nn.init.eye_(self.pointwise)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Decouple ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        check_skeletons("x", x, self.pointwise.shape[0])
        return decouple(x, self.depthwise, self.pointwise, dim=self.axis, lengths=lengths)

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return f"{self.pointwise.shape[0]}"


class JointDecoupling(_Decoupling):
    """Relative joint positions of each frame, the input of FreS.

    Each frame loses the mean of its joints and is scaled to unit RMS over joints and channels;
    a depth-wise convolution of 3 taps along the joints and a point-wise map over the channels
    follow. It mixes joints and channels of one frame; frames stay apart.

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
    Starts as the bare normalisation: both maps are the identity. No bias, so an empty frame stays
    0. Cost per entry: C + 3 multiplications. Source: FreST, section 4.2; the paper names the
    module and leaves its content open, see :func:`~skelfreq.functional.decouple`.

    Examples
    --------
    >>> JointDecoupling(3)(torch.ones(2, 3, 30, 25)).any()
    tensor(False)
    """

    axis = JOINTS


class FrameDecoupling(_Decoupling):
    """Motion of each joint about its mean position, the input of FreT.

    :class:`JointDecoupling` with the axes exchanged: each joint loses the mean of its frames and
    is scaled to unit RMS over frames and channels, then convolved along the frames. It mixes
    frames and channels of one joint; joints stay apart.

    Parameters
    ----------
    channels : int
        Channels C.
    device, dtype
        Of the parameters.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], means run over the frames present, and all
    other frames are 0.

    Raises
    ------
    TypeError, ValueError
        As :class:`JointDecoupling`.

    Notes
    -----
    Cost and starting point as :class:`JointDecoupling`. A joint at rest becomes 0. Since the
    scale is taken out, the mask after it does not depend on the unit of length.
    Source: FreST, section 4.2, as :class:`JointDecoupling`.

    Examples
    --------
    >>> FrameDecoupling(3)(torch.randn(2, 3, 30, 25)).mean(2).abs().max() < 1e-6
    tensor(True)
    """

    axis = FRAMES


class _AdaptiveBlock(nn.Module):
    """``x + filter(decoupling(x))`` along one axis of [N, C, T, V]."""

    dim: int
    length_name: str
    decoupling_class: type[_Decoupling]

    def __init__(
        self,
        channels: int,
        length: int | None,
        *,
        use_global: bool,
        use_local: bool,
        residual: bool,
        decouple: bool,
        weight: Weight,
        gradient: Gradient,
        temperature: float,
        threshold: float | None,
        init: Init,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.channels = check_int("channels", channels, 1)
        self.length = None if length is None else check_int(self.length_name, length, 1)
        shape = filter_shape(weight, self.channels, self.length, self.length_name)
        check_option("gradient", gradient, GRADIENTS)
        check_option("init", init, INITS)
        if not check_number("temperature", temperature) > 0:
            raise ValueError(f"temperature must be above 0, got {temperature!r}.")
        if threshold is not None and not math.isfinite(check_number("threshold", threshold)):
            raise ValueError(f"threshold must be finite, got {threshold}.")
        if not (use_global or use_local):
            raise ValueError("use_global or use_local must be True, got False for both.")
        if init == "identity" and not residual and (decouple or not use_global):
            raise ValueError(
                "init must be 'normal' where neither a residual nor a global filter without "
                "decoupling can carry the input, got 'identity'."
            )
        self.weight, self.gradient, self.temperature = weight, gradient, temperature
        self.residual, self.init, self.initial_threshold = residual, init, threshold
        self.decoupling: nn.Module | None = None
        if decouple:
            self.decoupling = self.decoupling_class(self.channels, device=device, dtype=dtype)

        def parameter(present: bool, *sizes: int) -> nn.Parameter | None:
            values = torch.empty(sizes, device=device, dtype=dtype)
            return nn.Parameter(values) if present else None

        self.global_weight = parameter(use_global, *shape)
        self.local_weight = parameter(use_local, *shape)
        self.threshold = parameter(use_local, 1)
        self._fill()

    def reset_parameters(self) -> None:
        """Draw the filters and θ again, as ``init`` and ``threshold`` say; reset the decoupling."""
        self._fill()
        if isinstance(self.decoupling, _Decoupling):
            self.decoupling.reset_parameters()

    @torch.no_grad()
    def _fill(self) -> None:
        identity = self.init == "identity"
        if self.global_weight is not None:
            carrier: Start = "zero" if self.residual else "one"
            fill_filter_(self.global_weight, carrier if identity else "normal")
        if self.local_weight is not None:
            fill_filter_(self.local_weight, "zero" if identity else "normal")
        if self.threshold is not None:
            if self.initial_threshold is None:
                self.threshold.uniform_()
            else:
                self.threshold.fill_(self.initial_threshold)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Filter ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        work, line, filter_lengths = self._lines(x, lengths)
        out = spectral_filter(
            line,
            self.global_weight,
            self.local_weight,
            self.threshold,
            dim=self.dim,
            weight=self.weight,
            gradient=self.gradient,
            temperature=self.temperature,
            lengths=filter_lengths,
        )
        return (work + out if self.residual else out).to(x.dtype)

    def _lines(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return ``x`` to compute with, what is filtered, and the lengths that filter needs."""
        check_skeletons("x", x, self.channels)
        if self.length is not None and x.shape[self.dim] != self.length:
            raise ValueError(
                f"x must have {self.length_name}={self.length} points on axis {self.dim}, got "
                f"{x.shape[self.dim]} (shape {tuple(x.shape)}); resize() makes a block for others."
            )
        work = x.to(compute_dtype(x))
        if lengths is not None:
            lengths = check_lengths(lengths, x, FRAMES)
            work = zero_padding(work, lengths, FRAMES)
        if self.decoupling is None:
            line = work
        else:
            line = self.decoupling(work) if lengths is None else self.decoupling(work, lengths)
        return work, line, lengths if self.dim == FRAMES else None

    @torch.no_grad()
    def kept(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return which bins of ``x`` pass to the local filter, bool; none of those it lacks.

        For a mask that is soft, which ones lie above the threshold.
        """
        if self.threshold is None:
            raise ValueError("kept() must be called on a block with use_local=True, got False.")
        _, line, lengths = self._lines(x, lengths)
        mask = adaptive_spectral_mask(
            *rdft(line, dim=self.dim, lengths=lengths),
            self.threshold,
            dim=self.dim,
            channel_dim=1,
            gradient="tslanet" if self.gradient == "tslanet" else "straight_through",
            num_bins=None if lengths is None else bins_of(lengths),
        )
        return mask > 0.5

    def _resized(self: Block, length: int) -> Block:
        """Return a copy for another length, filters read at the same relative frequencies."""
        length = check_int(self.length_name, length, 1)
        other = copy.deepcopy(self)
        other.length = length
        for name in ("global_weight", "local_weight"):
            old = getattr(self, name)
            if old is not None and self.weight != "channel" and self.length is not None:
                values = resize_filter(old.detach(), self.length, length)
                setattr(other, name, nn.Parameter(values, old.requires_grad))
        return other

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return (
            f"{self.channels}, {self.length_name}={self.length}, "
            f"use_global={self.global_weight is not None}, "
            f"use_local={self.local_weight is not None}, residual={self.residual}, "
            f"weight={self.weight!r}, gradient={self.gradient!r}"
        )


class FreS(_AdaptiveBlock):
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
    device, dtype
        Of the parameters.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], all other frames are 0.

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

    dim, length_name, decoupling_class = JOINTS, "num_joints", JointDecoupling

    @named_options
    def __init__(
        self,
        channels: int,
        num_joints: int | None = None,
        *,
        use_global: bool = True,
        use_local: bool = True,
        residual: bool = True,
        decouple: bool = True,
        weight: Weight = "channel",
        gradient: Gradient = "straight_through",
        temperature: float = 0.1,
        threshold: float | None = None,
        init: Init = "normal",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            channels,
            num_joints,
            use_global=use_global,
            use_local=use_local,
            residual=residual,
            decouple=decouple,
            weight=weight,
            gradient=gradient,
            temperature=temperature,
            threshold=threshold,
            init=init,
            device=device,
            dtype=dtype,
        )

    def resize(self, num_joints: int) -> FreS:
        """Return a copy for other joints; see :meth:`SpectralFilter.resize`."""
        return self._resized(num_joints)


class FreT(_AdaptiveBlock):
    """Adaptive spectral filter along frames, within each joint.

    :class:`FreS` with the axes exchanged: :class:`FrameDecoupling`, the DFT along time, one mask
    [N, 1, F, V] per joint's trajectory. No joint sees another.

    Parameters
    ----------
    channels : int
        Channels C.
    num_frames : int, optional
        Frames T; needed when the weights have a frequency axis, checked where it is given.
    use_global, use_local, residual, decouple, weight, gradient, temperature, threshold, init,
    device, dtype
        As :class:`FreS`.

    Shape
    -----
    [N, C, T, V] → the same. With ``lengths`` [N] each sample is filtered as a clip of its own
    length, and is 0 from there on; weights with a frequency axis stay with the index k of their
    bin.

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

    dim, length_name, decoupling_class = FRAMES, "num_frames", FrameDecoupling

    @named_options
    def __init__(
        self,
        channels: int,
        num_frames: int | None = None,
        *,
        use_global: bool = True,
        use_local: bool = True,
        residual: bool = True,
        decouple: bool = True,
        weight: Weight = "channel",
        gradient: Gradient = "straight_through",
        temperature: float = 0.1,
        threshold: float | None = None,
        init: Init = "normal",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            channels,
            num_frames,
            use_global=use_global,
            use_local=use_local,
            residual=residual,
            decouple=decouple,
            weight=weight,
            gradient=gradient,
            temperature=temperature,
            threshold=threshold,
            init=init,
            device=device,
            dtype=dtype,
        )

    def resize(self, num_frames: int) -> FreT:
        """Return a copy for other frames; see :meth:`SpectralFilter.resize`."""
        return self._resized(num_frames)


class FreST(nn.Module):
    """Decoupling, FreS, decoupling, FreT: filters joints first, then frames.

    Parameters
    ----------
    channels : int
        Channels C.
    num_joints, num_frames : int, optional
        V and T, as :class:`FreS` and :class:`FreT` need them.
    use_global, use_local, residual, decouple, weight, gradient, temperature, threshold, init,
    device, dtype
        As :class:`FreS`, for both blocks; each has its residual, around its decoupling.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], all other frames are 0.

    Raises
    ------
    TypeError, ValueError
        As :class:`FreS`.

    Notes
    -----
    ``fres`` and ``fret`` are the two blocks. Within ``fres`` no frame sees another, within
    ``fret`` no joint does; after both every entry depends on every other. Cost: the sum of the two.
    Source: FreST, section 4.2 and Fig. 3.

    Examples
    --------
    >>> FreST(64)(torch.randn(2, 64, 30, 25)).shape
    torch.Size([2, 64, 30, 25])
    """

    @named_options
    def __init__(
        self,
        channels: int,
        num_joints: int | None = None,
        num_frames: int | None = None,
        *,
        use_global: bool = True,
        use_local: bool = True,
        residual: bool = True,
        decouple: bool = True,
        weight: Weight = "channel",
        gradient: Gradient = "straight_through",
        temperature: float = 0.1,
        threshold: float | None = None,
        init: Init = "normal",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.fres = FreS(
            channels,
            num_joints,
            use_global=use_global,
            use_local=use_local,
            residual=residual,
            decouple=decouple,
            weight=weight,
            gradient=gradient,
            temperature=temperature,
            threshold=threshold,
            init=init,
            device=device,
            dtype=dtype,
        )
        self.fret = FreT(
            channels,
            num_frames,
            use_global=use_global,
            use_local=use_local,
            residual=residual,
            decouple=decouple,
            weight=weight,
            gradient=gradient,
            temperature=temperature,
            threshold=threshold,
            init=init,
            device=device,
            dtype=dtype,
        )

    def reset_parameters(self) -> None:
        """Reset both blocks."""
        self.fres.reset_parameters()
        self.fret.reset_parameters()

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
