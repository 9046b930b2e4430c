"""FreS and FreT: an adaptive spectral filter along joints, and one along frames."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from skelfreq._checks import (
    check_int,
    check_option,
    check_skeletons,
    compute_dtype,
    named_options,
)
from skelfreq.functional._axis import check_lengths, zero_padding
from skelfreq.functional._decoupling_plain import FRAMES, JOINTS
from skelfreq.functional._filter_plain import Gradient, bins_of
from skelfreq.functional.filters import (
    Weight,
    adaptive_spectral_mask,
    spectral_filter,
)
from skelfreq.functional.fourier import rdft
from skelfreq.nn._weights import (
    INITS,
    Init,
    Start,
    check_mask_options,
    fill_filter_,
    filter_shape,
    resize_filter,
    stored,
)
from skelfreq.nn.decoupling import Decoupling, FrameDecoupling, JointDecoupling

Block = TypeVar("Block", bound="AdaptiveFilter")


class AdaptiveFilter(nn.Module):
    """``x + filter(decoupling(x))`` along one axis of [N, C, T, V]."""

    dim: int
    length_name: str
    decoupling_class: type[Decoupling]

    def __init__(
        self, channels: int, length: int | None, *, use_global: bool, use_local: bool,
        residual: bool, decouple: bool, weight: Weight, gradient: Gradient, temperature: float,
        threshold: float | None, init: Init, device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.channels = check_int("channels", channels, 1)
        self.length = None if length is None else check_int(self.length_name, length, 1)
        shape = filter_shape(weight, self.channels, self.length, self.length_name)
        check_mask_options(gradient, temperature, threshold)
        check_option("init", init, INITS)
        if not (use_global or use_local):
            raise ValueError("use_global or use_local must be True, got False for both.")
        if init == "identity" and not residual and (decouple or not use_global):
            raise ValueError(
                "init must be 'normal' where neither a residual nor a global filter without "
                "decoupling can carry the input, got 'identity'."
            )
        self.weight, self.gradient, self.temperature = weight, gradient, temperature
        self.residual, self.init, self.initial_threshold = residual, init, threshold
        made = self.decoupling_class(self.channels, device=device, dtype=dtype)
        self.decoupling: nn.Module | None = made if decouple else None

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
        if isinstance(self.decoupling, Decoupling):
            self.decoupling.reset_parameters()

    @torch.no_grad()
    def _fill(self) -> None:
        identity = self.init == "identity"
        if self.global_weight is not None:
            carrier: Start = "zero" if self.residual else "one"
            fill_filter_(self.global_weight, carrier if identity else "normal")
        if self.local_weight is not None:
            fill_filter_(self.local_weight, "zero" if identity else "normal")
        if self.threshold is not None and self.initial_threshold is not None:
            self.threshold.fill_(self.initial_threshold)
        elif self.threshold is not None:
            self.threshold.uniform_()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Filter ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        work, line, filter_lengths = self._lines(x, lengths)
        out = spectral_filter(
            line, self.global_weight, self.local_weight, self.threshold, dim=self.dim,
            weight=self.weight, gradient=self.gradient, temperature=self.temperature,
            lengths=filter_lengths,
        )  # fmt: skip
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
        """Return which bins of ``x`` the mask selects for the local filter, bool.

        Bins above those of a shorter sample are False; a soft mask is compared with 1/2.
        """
        if self.threshold is None:
            raise ValueError("kept() must be called on a block with use_local=True, got False.")
        _, line, lengths = self._lines(x, lengths)
        mask = adaptive_spectral_mask(
            *rdft(line, dim=self.dim, lengths=lengths), self.threshold, dim=self.dim,
            channel_dim=1, num_bins=None if lengths is None else bins_of(lengths),
            gradient="tslanet" if self.gradient == "tslanet" else "straight_through",
        )  # fmt: skip
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


class FreS(AdaptiveFilter):
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
        Whether the block has W_G, and W_L with its mask and θ; at least one.
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
        W_G = 1 and W_L = 0. θ gets a gradient once W_L is not 0.
    device, dtype
        Of the parameters.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], all other frames are 0.

    Raises
    ------
    TypeError, ValueError
        At construction: arguments that do not fit, no filter at all, "identity" where the block
        cannot be it; in forward: other axes, channels or joints, bad lengths.

    Notes
    -----
    Every frame has its own mask [N, 1, T, F], shared by the channels; frames are not mixed.
    ``kept(x)`` returns it. With ``decouple=False, residual=False, gradient="tslanet"`` the block
    is TSLANet's. Random starting values come from torch's global generator.
    Cost: decoupling, :func:`~skelfreq.functional.spectral_filter`, one addition.
    Source: FreST, section 4.2 and Fig. 3; the paper defines neither the residual nor the
    decoupling; both are our choice.

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
            channels, num_joints, use_global=use_global, use_local=use_local, residual=residual,
            decouple=decouple, weight=weight, gradient=gradient, temperature=temperature,
            threshold=threshold, init=init, device=device, dtype=dtype,
        )  # fmt: skip

    def resize(self, num_joints: int) -> FreS:
        """Return a copy for other joints; see :meth:`SpectralFilter.resize`."""
        return self._resized(num_joints)


class FreT(AdaptiveFilter):
    """Adaptive spectral filter along frames, within each joint.

    :class:`FreS` with the axes exchanged: :class:`FrameDecoupling`, the DFT along time, one mask
    [N, 1, F, V] per joint's trajectory. Joints are not mixed.

    Parameters
    ----------
    channels : int
        Channels C.
    num_frames : int, optional
        Frames T; needed when the weights have a frequency axis, checked where it is given.
    use_global, use_local, residual, decouple, weight, gradient, temperature, threshold
        As :class:`FreS`.
    init, device, dtype
        As :class:`FreS`.

    Shape
    -----
    [N, C, T, V] → the same. With ``lengths`` [N] each sample is filtered as a clip of its own
    length, and is 0 from there on; weights with a frequency axis belong to the index k of a bin.

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
            channels, num_frames, use_global=use_global, use_local=use_local, residual=residual,
            decouple=decouple, weight=weight, gradient=gradient, temperature=temperature,
            threshold=threshold, init=init, device=device, dtype=dtype,
        )  # fmt: skip

    def resize(self, num_frames: int) -> FreT:
        """Return a copy for other frames; see :meth:`SpectralFilter.resize`."""
        return self._resized(num_frames)

    @classmethod
    def from_tslanet(cls, state: Mapping[str, Tensor], *, prefix: str = "") -> FreT:
        """Build the filter that TSLANet's Adaptive Spectral Block trained.

        Parameters
        ----------
        state : mapping of str to Tensor
            ``state_dict`` of a block, or of a network that holds it.
        prefix : str
            Prefix of the block's names, such as ``"tsla_blocks.0.asb."``.

        Returns
        -------
        FreT
            Without decoupling and residual; [N, C, T, 1] → the same, where the block takes
            [N, T, C].

        Raises
        ------
        ValueError
            A name that ``state`` lacks.

        Notes
        -----
        Source: the names of the released code (Eldele et al., ICML 2024).

        Examples
        --------
        >>> state = {"complex_weight": torch.ones(8, 2), "threshold_param": torch.rand(1)}
        >>> state["complex_weight_high"] = torch.ones(8, 2)
        >>> FreT.from_tslanet(state)(torch.randn(2, 8, 30, 1)).shape
        torch.Size([2, 8, 30, 1])
        """
        names = ("complex_weight", "complex_weight_high", "threshold_param")
        global_, local, threshold = stored(state, prefix, names)
        block = cls(
            len(global_), decouple=False, residual=False, gradient="tslanet", dtype=global_.dtype
        )
        trained = {"global_weight": global_, "local_weight": local, "threshold": threshold}
        block.load_state_dict(trained)
        return block
