"""Random linear maps of the coordinates, one draw per sample."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_option, compute_dtype
from skelfreq.data.transforms._common import (
    Skeletons,
    Transform,
    check_range,
    clear_padding,
    draw,
    turn,
)


class RandomRotation(Transform):
    """Turn every clip about the origin by random angles.

    Parameters
    ----------
    max_angle : float or (float, float, float), default 30
        Degrees; angles are uniform between its negative and it. A number turns [N, 3, T, V] about
        the vertical and [N, 2, T, V] in the plane. Three numbers turn about axes 0, 1 and 2, one
        after the other (CTR-GCN and MAMP use 17 degrees, 0.3 rad, each).
    vertical : int, default 1
        Axis that points up or down.

    Raises
    ------
    ValueError
        At construction: an angle that is negative or not finite, not one or three of them,
        ``vertical`` outside 0 to 2. In forward: not 2 or 3 coordinates, or 2 with three angles.

    Notes
    -----
    ``x`` must hold coordinates only, not a confidence as third channel.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> RandomRotation(30.0)(torch.randn(2, 3, 10, 25), generator=g).x.shape
    torch.Size([2, 3, 10, 25])
    """

    def __init__(
        self, max_angle: float | tuple[float, float, float] = 30.0, *, vertical: int = 1
    ) -> None:
        super().__init__()
        check_option("vertical", vertical, (0, 1, 2))
        angles = tuple(max_angle) if isinstance(max_angle, (tuple, list)) else (max_angle,)
        if len(angles) not in (1, 3):
            raise ValueError(f"max_angle must be 1 number or 3, got {max_angle!r}.")
        self.max_angle = tuple(check_range("max_angle", angle, 0) for angle in angles)
        self.vertical = vertical

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths = batch.x, batch.lengths
        channels = x.shape[1]
        if channels not in (2, 3) or (channels == 2 and len(self.max_angle) == 3):
            allowed = "3" if len(self.max_angle) == 3 else "2 or 3"
            raise ValueError(f"x must have {allowed} coordinates on axis 1, got {channels}.")
        x = clear_padding(x, lengths)
        limits = [math.radians(angle) for angle in self.max_angle]
        if len(limits) == 1:
            axis = self.vertical if channels == 3 else 2
            return batch._replace(x=_turn(x, axis, self._angle(batch, limits[0], generator)))
        # Rotation of the three unit vectors, as if they were frames of a joint, gives the matrix.
        matrix = torch.eye(3, device=x.device, dtype=compute_dtype(x))[None, :, :, None]
        matrix = matrix.expand(len(x), -1, -1, -1)
        for axis, limit in enumerate(limits):
            matrix = _turn(matrix, axis, self._angle(batch, limit, generator))
        return batch._replace(x=_multiply(matrix[..., 0], x))

    @staticmethod
    def _angle(batch: Skeletons, limit: float, generator: torch.Generator | None) -> Tensor:
        """Draw an angle of up to ``limit`` radians per sample."""
        return draw(batch, 1, 1, generator=generator, low=-limit, high=limit)

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"max_angle={self.max_angle}, vertical={self.vertical}"


def _turn(x: Tensor, axis: int, angle: Tensor) -> Tensor:
    """Turn about one axis; ``angle`` [N, 1, 1]."""
    return turn(x, angle.cos(), angle.sin(), (axis + 1) % 3, (axis + 2) % 3).to(x.dtype)


def _multiply(matrix: Tensor, x: Tensor) -> Tensor:
    """Return every sample's matrix [N, C, C] times its points."""
    with autocast_off(x):
        return torch.einsum("nij,njtv->nitv", matrix, x.to(matrix.dtype)).to(x.dtype)


class RandomShear(Transform):
    """Add to every coordinate random shares of the others, as a camera in another place would.

    Parameters
    ----------
    max_shear : float, default 0.5
        Off-diagonal entries of the C×C matrix are uniform between its negative and it; the diagonal
        is 1.

    Raises
    ------
    ValueError
        If ``max_shear`` is negative or not finite.

    Source
    ------
    Rao et al., Information Sciences 2021 (AS-CAL).

    Examples
    --------
    >>> RandomShear(0.5)(torch.randn(2, 3, 10, 25)).x.shape
    torch.Size([2, 3, 10, 25])
    """

    def __init__(self, max_shear: float = 0.5) -> None:
        super().__init__()
        self.max_shear = check_range("max_shear", max_shear, 0)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths = batch.x, batch.lengths
        c, limit = x.shape[1], self.max_shear
        entries = draw(batch, c, c, generator=generator, low=-limit, high=limit)
        unit = torch.eye(c, device=x.device, dtype=entries.dtype)
        matrix = torch.where(unit > 0, unit, entries)
        return batch._replace(x=_multiply(matrix, clear_padding(x, lengths)))

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"max_shear={self.max_shear:g}"


class RandomScale(Transform):
    """Multiply every clip by a random number.

    Parameters
    ----------
    low, high : float, default 0.9, 1.1
        The number is uniform in ``[low, high)``.

    Raises
    ------
    ValueError
        If not ``0 < low <= high``.

    Examples
    --------
    >>> RandomScale(0.5, 2.0)(torch.randn(2, 3, 10, 25)).x.shape
    torch.Size([2, 3, 10, 25])
    """

    def __init__(self, low: float = 0.9, high: float = 1.1) -> None:
        super().__init__()
        if not 0 < low <= high < float("inf"):
            raise ValueError(f"low and high must satisfy 0 < low <= high, got {low} and {high}.")
        self.low, self.high = float(low), float(high)

    def change(self, batch: Skeletons, generator: torch.Generator | None) -> Skeletons:
        """Return the transformed batch."""
        x, lengths = batch.x, batch.lengths
        size = draw(batch, 1, 1, 1, generator=generator, low=self.low, high=self.high)
        return batch._replace(x=(clear_padding(x, lengths) * size).to(x.dtype))

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"low={self.low:g}, high={self.high:g}"
