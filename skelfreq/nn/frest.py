"""FreST: adaptive spectral filters along joints, then along frames."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from skelfreq._checks import named_options
from skelfreq.functional._filter_plain import Gradient
from skelfreq.functional.filters import Weight
from skelfreq.nn._weights import Init
from skelfreq.nn.adaptive import FreS, FreT


class FreST(nn.Module):
    """Decoupling, FreS, decoupling, FreT: filters joints first, then frames.

    Parameters
    ----------
    channels : int
        Channels C.
    num_joints, num_frames : int, optional
        V and T, as :class:`FreS` and :class:`FreT` need them.
    use_global, use_local, residual, decouple, weight, gradient, temperature, threshold
        As :class:`FreS`, for both blocks; each has its residual, around its decoupling.
    init, device, dtype
        As :class:`FreS`.

    Shape
    -----
    [N, C, T, V] → the same; with ``lengths`` [N], all other frames are 0.

    Raises
    ------
    TypeError, ValueError
        As :class:`FreS`.

    Notes
    -----
    ``fres`` and ``fret`` are the two blocks. ``fres`` does not mix frames, ``fret`` does not mix
    joints; after both, every entry depends on every other. Cost: the sum of the two.
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
        options: dict[str, Any] = {
            "use_global": use_global,
            "use_local": use_local,
            "residual": residual,
            "decouple": decouple,
            "weight": weight,
            "gradient": gradient,
            "temperature": temperature,
            "threshold": threshold,
            "init": init,
            "device": device,
            "dtype": dtype,
        }
        self.fres = FreS(channels, num_joints, **options)
        self.fret = FreT(channels, num_frames, **options)

    def reset_parameters(self) -> None:
        """Reset both blocks."""
        self.fres.reset_parameters()
        self.fret.reset_parameters()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Filter ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        filtered: Tensor = self.fret(self.fres(x, lengths), lengths)
        return filtered

    def kept(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the selected bins of FreS [N, 1, T, F] and of FreT [N, 1, F, V], bool."""
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
