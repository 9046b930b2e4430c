"""Pooling of token features along time by bands of frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from skelfreq._checks import check_option, named_options
from skelfreq.functional.pooling import AXES, band_pool, check_band_edges


class BandPooling(nn.Module):
    """Pool time to the mean and the amplitude of each band of DCT coefficients.

    The pooled features say how much each channel moves slowly and fast, and hardly when. The layer
    has no parameters.

    Parameters
    ----------
    edges : sequence of int or float
        First coefficient of each of the B bands, integers from 1 on; with ``frame_rate``
        frequencies in Hz from 0 on. See :func:`~skelfreq.functional.band_pool`.
    dim : {-2, -1, 2, 3}
        Axis to pool: frames or joints.
    frame_rate : float, optional
        Points per second along ``dim``; for tokens of p frames that is the frame rate / p.

    Shape
    -----
    [N, D, T, V] → [N, (1 + B)·D, V]: D means, then D amplitudes of each band. N, D, T and V are
    free. For joints → [N, (1 + B)·D, T].

    Raises
    ------
    TypeError, ValueError
        At construction: an argument that does not fit, by name; in forward: other than 4 axes, an
        input that is not real floating point, bad lengths.

    Notes
    -----
    Cost: one DCT and a product with B rows.
    Source: as :func:`~skelfreq.functional.band_pool`; the default bands are ours.

    Examples
    --------
    >>> import torch
    >>> pooling = BandPooling(edges=(1, 3))
    >>> pooling(torch.randn(2, 64, 30, 25)).shape
    torch.Size([2, 192, 25])
    """

    @named_options
    def __init__(
        self,
        edges: Sequence[float] = (1, 3),
        *,
        dim: Literal[-2, -1, 2, 3] = -2,
        frame_rate: float | None = None,
    ) -> None:
        super().__init__()
        self.edges = check_band_edges(edges, frame_rate)
        check_option("dim", dim, AXES)
        self.dim, self.frame_rate = dim, frame_rate

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Pool ``x`` [N, D, T, V]; ``lengths`` [N] are the points really present along ``dim``."""
        return band_pool(
            x, edges=self.edges, dim=self.dim, lengths=lengths, frame_rate=self.frame_rate
        )

    def extra_repr(self) -> str:
        """Show the bands."""
        rate = "" if self.frame_rate is None else f", frame_rate={self.frame_rate}"
        return f"{self.edges}, dim={self.dim}{rate}"
