"""The scale-specific frequency reconstruction module of FD-MAE."""

from __future__ import annotations

from torch import Tensor, nn

from skelfreq._checks import check_int, check_option, check_skeletons
from skelfreq.functional.bands import resample


def _upsample(channels_in: int, channels_out: int, factor: int) -> nn.ConvTranspose2d:
    """Transposed convolution along time: [N, C, T, V] → [N, C', factor·T, V]."""
    return nn.ConvTranspose2d(
        channels_in, channels_out, (factor + 2, 1), stride=(factor, 1), padding=(1, 0)
    )


def _grouped(channels: int, groups: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), groups=groups)


class _ScaleUp(nn.Module):
    """Raise the temporal resolution: → (high at ×high_scale, low at ×low_scale)."""

    def __init__(self, in_channels: int, channels: int, low_scale: int, high_scale: int) -> None:
        super().__init__()
        self.high = nn.Sequential(_upsample(in_channels, channels, high_scale), nn.GELU())
        self.low = nn.Sequential(
            _upsample(in_channels, channels, 1),
            nn.GELU(),
            _upsample(channels, channels, low_scale),
            nn.GELU(),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.high(x), self.low(x)


class _FeatureMapping(nn.Module):
    """Grouped and point-wise convolution in each branch."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.high = nn.Sequential(_grouped(channels, groups), nn.Conv2d(channels, channels, 1))
        self.low = nn.Sequential(_grouped(channels, groups), nn.Conv2d(channels, channels, 1))

    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        return self.high(high), self.low(low)


class _FeatureReconstruction(nn.Module):
    """Grouped, point-wise and transposed convolution to the signal's channels and rate."""

    def __init__(
        self, channels: int, out_channels: int, groups: int, high_factor: int, low_factor: int
    ) -> None:
        super().__init__()
        self.high = self._branch(channels, out_channels, groups, high_factor)
        self.low = self._branch(channels, out_channels, groups, low_factor)

    @staticmethod
    def _branch(channels: int, out_channels: int, groups: int, factor: int) -> nn.Sequential:
        return nn.Sequential(
            _grouped(channels, groups),
            nn.Conv2d(channels, channels, 1),
            nn.GELU(),
            _upsample(channels, out_channels, factor),
        )

    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        return self.high(high), self.low(low)


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
        Temporal factors of the two branches behind ``scale_up``.
    groups : int, optional
        Groups of the grouped convolutions, a divisor of ``hidden_channels``; the largest
        divisor up to 8 if not given.
    out_frames : int, optional
        Frames of the target where they are not T_p·``patch_frames``: both outputs are then
        resampled to them in the DCT domain.
    low_rate : {"full", "own"}
        "own" leaves the low output at T_p·``low_scale`` frames;
        :func:`~skelfreq.functional.frequency_reconstruction_loss` resamples its target.

    Shape
    -----
    [N, D, T_p, V] → ``(high, low)``, each [N, out_channels, T, V] with
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
    >>> high, low = SSFRM(in_channels=64)(torch.randn(2, 64, 30, 25))
    >>> high.shape, low.shape
    (torch.Size([2, 3, 120, 25]), torch.Size([2, 3, 120, 25]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 3,
        hidden_channels: int | None = None,
        patch_frames: int = 4,
        low_scale: int = 2,
        high_scale: int = 4,
        groups: int | None = None,
        out_frames: int | None = None,
        low_rate: str = "full",
    ) -> None:
        super().__init__()
        hidden = in_channels if hidden_channels is None else hidden_channels
        for name, value in (
            ("in_channels", in_channels),
            ("out_channels", out_channels),
            ("hidden_channels", hidden),
            ("patch_frames", patch_frames),
            ("low_scale", low_scale),
            ("high_scale", high_scale),
        ):
            check_int(name, value, 1)
        for name, scale in (("low_scale", low_scale), ("high_scale", high_scale)):
            if patch_frames % scale:
                raise ValueError(f"{name} must divide patch_frames={patch_frames}, got {scale}.")
        if groups is None:
            groups = max(g for g in range(1, 9) if hidden % g == 0)
        check_int("groups", groups, 1)
        if hidden % groups:
            raise ValueError(f"groups must divide hidden_channels={hidden}, got {groups}.")
        if out_frames is not None:
            check_int("out_frames", out_frames, 1)
        check_option("low_rate", low_rate, ("full", "own"))
        self.in_channels = in_channels
        self.patch_frames = patch_frames
        self.out_frames = out_frames
        self.low_rate = low_rate
        self.scale_up = _ScaleUp(in_channels, hidden, low_scale, high_scale)
        self.feature_mapping = _FeatureMapping(hidden, groups)
        self.feature_reconstruction = _FeatureReconstruction(
            hidden,
            out_channels,
            groups,
            patch_frames // high_scale,
            patch_frames // low_scale if low_rate == "full" else 1,
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(high, low)`` for decoded features ``x`` [N, D, T_p, V]."""
        check_skeletons("x", x, self.in_channels)
        high, low = self.scale_up(x)
        high, low = self.feature_mapping(high, low)
        high, low = self.feature_reconstruction(high, low)
        if self.out_frames is not None:
            high = resample(high, self.out_frames, dim=-2)
            if self.low_rate == "full":
                low = resample(low, self.out_frames, dim=-2)
        return high, low

    def extra_repr(self) -> str:
        """Show what the sub-modules do not."""
        return (
            f"patch_frames={self.patch_frames}, out_frames={self.out_frames}, "
            f"low_rate={self.low_rate!r}"
        )
