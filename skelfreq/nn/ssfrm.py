"""The scale-specific frequency reconstruction module of FD-MAE."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from skelfreq._checks import check_int, check_option, check_skeletons, named_options
from skelfreq.functional.bands import Bands, resample

LOW_RATES = ("full", "own")


def _upsample(channels_in: int, channels_out: int, factor: int, **made: Any) -> nn.ConvTranspose2d:
    """Return a transposed convolution along time: [N, C, T, V] → [N, C', factor·T, V]."""
    size, stride = (factor + 2, 1), (factor, 1)
    return nn.ConvTranspose2d(channels_in, channels_out, size, stride, padding=(1, 0), **made)


def _mapping(channels: int, groups: int, **made: Any) -> list[nn.Module]:
    """Return a grouped convolution along time and a point-wise one."""
    return [
        nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), groups=groups, **made),
        nn.Conv2d(channels, channels, 1, **made),
    ]


class _Branches(nn.Module):
    """One part of the module: a sequence for each band."""

    def __init__(self, low: list[nn.Module], high: list[nn.Module]) -> None:
        super().__init__()
        # In the order of 0.1.0, in which initial weights are drawn.
        self.high = nn.Sequential(*high)
        self.low = nn.Sequential(*low)

    def forward(self, bands: Bands) -> Bands:
        return Bands(self.low(bands.low), self.high(bands.high))


class SSFRM(nn.Module):
    """Scale-specific frequency reconstruction module.

    Reconstructs the high band of a signal at a large time scale and its low band at a small
    one, from decoded token features. Its three sub-modules are the letter's: ``scale_up``,
    ``feature_mapping``, ``feature_reconstruction``. All convolutions run along time; joints
    are not mixed.

    Parameters
    ----------
    in_channels : int
        Channels D of the decoded features.
    out_channels : int
        Channels of the reconstructed signal.
    hidden_channels : int, optional
        Channels inside; ``in_channels`` if not given.
    patch_frames : int
        Frames per token step; a multiple of both scales.
    low_scale, high_scale : int
        Temporal factors of the two branches after ``scale_up``.
    groups : int, optional
        Groups of the grouped convolutions, a divisor of ``hidden_channels``; the largest
        divisor up to 8 if not given.
    out_frames : int, optional
        Frames of the target where they are not T_p·``patch_frames``: both outputs are then
        resampled to them in the DCT domain.
    low_rate : {"full", "own"}
        "own" leaves the low output at T_p·``low_scale`` frames;
        :func:`~skelfreq.functional.frequency_reconstruction_loss` resamples its target.
    device, dtype
        Of the parameters.

    Shape
    -----
    [N, D, T_p, V] → ``Bands(low, high)``, each [N, out_channels, T, V] with
    T = T_p·``patch_frames``. N, T_p and V are free.

    Raises
    ------
    TypeError, ValueError
        At construction: arguments that do not fit; in forward: other than 4 axes, or other
        than ``in_channels`` channels.

    Notes
    -----
    Cost per token in multiplications, for h hidden channels and g groups: D·h·(high_scale + 5)
    + h²·(low_scale + 2) + 2h²·(high_scale + low_scale)·(1 + 3/g), and the last layer.
    Source: FD-MAE, section II-C and Fig. 2. The letter gives no kernel sizes, widths or
    groups; those are ours, as is the point-wise GELU in the last sub-module. Defaults reach the
    frame rate with ×4 (patches of 4 frames) and half of it with ×2.

    Examples
    --------
    >>> import torch
    >>> low, high = SSFRM(in_channels=64)(torch.randn(2, 64, 30, 25))
    >>> low.shape, high.shape
    (torch.Size([2, 3, 120, 25]), torch.Size([2, 3, 120, 25]))
    """

    @named_options
    def __init__(
        self,
        in_channels: int,
        out_channels: int = 3,
        *,
        hidden_channels: int | None = None,
        patch_frames: int = 4,
        low_scale: int = 2,
        high_scale: int = 4,
        groups: int | None = None,
        out_frames: int | None = None,
        low_rate: Literal["full", "own"] = "full",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = check_int("in_channels", in_channels, 1)
        out_channels = check_int("out_channels", out_channels, 1)
        hidden = self.in_channels if hidden_channels is None else hidden_channels
        hidden = check_int("hidden_channels", hidden, 1)
        self.patch_frames = check_int("patch_frames", patch_frames, 1)
        low_scale = check_int("low_scale", low_scale, 1)
        high_scale = check_int("high_scale", high_scale, 1)
        for name, scale in (("low_scale", low_scale), ("high_scale", high_scale)):
            if self.patch_frames % scale:
                raise ValueError(f"{name} must divide patch_frames={patch_frames}, got {scale}.")
        if groups is None:
            groups = max(g for g in range(1, 9) if hidden % g == 0)
        groups = check_int("groups", groups, 1)
        if hidden % groups:
            raise ValueError(f"groups must divide hidden_channels={hidden}, got {groups}.")
        self.out_frames = None if out_frames is None else check_int("out_frames", out_frames, 1)
        check_option("low_rate", low_rate, LOW_RATES)
        self.low_rate = low_rate
        made = {"device": device, "dtype": dtype}

        def reconstruction(factor: int) -> list[nn.Module]:
            mapping = _mapping(hidden, groups, **made)
            return [*mapping, nn.GELU(), _upsample(hidden, out_channels, factor, **made)]

        high_up: list[nn.Module] = [
            _upsample(self.in_channels, hidden, high_scale, **made),
            nn.GELU(),
        ]
        low_up: list[nn.Module] = [
            _upsample(self.in_channels, hidden, 1, **made),
            nn.GELU(),
            _upsample(hidden, hidden, low_scale, **made),
            nn.GELU(),
        ]
        self.scale_up = _Branches(low_up, high_up)
        high_map = _mapping(hidden, groups, **made)
        self.feature_mapping = _Branches(_mapping(hidden, groups, **made), high_map)
        high_out = reconstruction(patch_frames // high_scale)
        low_factor = patch_frames // low_scale if low_rate == "full" else 1
        self.feature_reconstruction = _Branches(reconstruction(low_factor), high_out)

    def reset_parameters(self) -> None:
        """Draw all weights again."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                module.reset_parameters()

    def forward(self, x: Tensor) -> Bands:
        """Return both bands for decoded features ``x`` [N, D, T_p, V]."""
        check_skeletons("x", x, self.in_channels)
        bands: Bands = self.scale_up(Bands(x, x))
        bands = self.feature_mapping(bands)
        low, high = self.feature_reconstruction(bands)
        if self.out_frames is not None:
            high = resample(high, self.out_frames, dim=-2)
            if self.low_rate == "full":
                low = resample(low, self.out_frames, dim=-2)
        return Bands(low, high)

    def extra_repr(self) -> str:
        """Show what the sub-modules do not."""
        return (
            f"patch_frames={self.patch_frames}, out_frames={self.out_frames}, "
            f"low_rate={self.low_rate!r}"
        )
