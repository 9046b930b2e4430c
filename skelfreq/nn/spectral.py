"""A learned complex filter on the spectrum of one axis, or of frames and joints together."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from skelfreq._checks import check_int, check_option, check_skeletons, named_options
from skelfreq.functional.filters import Weight, spectral_filter
from skelfreq.functional.filters_2d import spectral_filter_2d
from skelfreq.nn._weights import INITS, Init, fill_filter_, filter_shape, resize_filter

Axis = Literal[-2, -1, 2, 3]
Plane = tuple[Literal[-2, 2], Literal[-1, 3]]


class SpectralFilter(nn.Module):
    """Complex global filter along time, joints or both: ``irdft(W · rdft(x))``.

    A circular convolution over the axis, learned in the frequency domain.

    Parameters
    ----------
    channels : int
        Channels C of the input.
    length : int or (int, int), optional
        Points n along ``dim``; (T, V) for both axes. Needed when the weights have a frequency
        axis; otherwise any length is taken, or this one only where it is given.
    dim : {-2, -1, 2, 3} or (-2, -1)
        Axis of [N, C, T, V] to filter: frames (-2, 2), joints (-1, 3), or both together.
    weight : {"channel", "frequency", "full"}
        One complex number per channel [C, 2], per bin [F, 2] or per both [C, F, 2], with
        F = n//2 + 1; real pairs, real part first. For both axes "full" only: [C, T, V//2+1, 2].
    init : {"normal", "identity"}
        "normal": both parts drawn with σ = 0.02 from torch's global generator. "identity":
        1 + 0j, the layer starts as x → x (to rounding).
    device, dtype
        Of the parameter.

    Attributes
    ----------
    complex_weight : Parameter
        The filter.

    Shape
    -----
    [N, C, T, V] → the same.

    Raises
    ------
    TypeError, ValueError
        At construction: arguments that do not fit; in forward: other axes, channels or points
        than the arguments say, ``lengths`` where joints are filtered.

    Notes
    -----
    The imaginary part at DC and Nyquist has no effect, see
    :func:`~skelfreq.functional.spectral_filter`.
    Cost: an rdft, an irdft and 4 multiplications per bin and channel.
    Source: FreST, section 4.2 (global filter, init 0.02); "full" is the filter of GFNet (Rao et
    al., NeurIPS 2021), whose own form filters both axes; "channel" that of TSLANet (Eldele et
    al., ICML 2024).

    Examples
    --------
    >>> import torch
    >>> layer = SpectralFilter(3, length=120, weight="full")
    >>> layer(torch.randn(2, 3, 120, 25)).shape
    torch.Size([2, 3, 120, 25])
    >>> layer.resize(64)
    SpectralFilter(3, length=64, dim=-2, weight='full')
    """

    @named_options
    def __init__(
        self,
        channels: int,
        length: int | tuple[int, int] | None = None,
        *,
        dim: Axis | Plane = -2,
        weight: Weight = "channel",
        init: Init = "normal",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels = check_int("channels", channels, 1)
        check_option("init", init, INITS)
        self.length: int | tuple[int, int] | None
        if isinstance(dim, (tuple, list)):
            self.length, shape = _plane(self.channels, length, tuple(dim), weight)
            self.dim: int | tuple[int, ...] = (-2, -1)
        else:
            check_option("dim", dim, (-2, -1, 2, 3))
            if isinstance(length, (tuple, list)):
                raise ValueError(f"length must be one number for dim={dim}, got {length}.")
            self.length = None if length is None else check_int("length", length, 1)
            shape = filter_shape(weight, self.channels, self.length, "length")
            self.dim = int(dim)
        self.weight, self.init = weight, init
        self.complex_weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the filter again, or set it to the identity, as ``init`` says."""
        fill_filter_(self.complex_weight, "one" if self.init == "identity" else "normal")

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Filter ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        check_skeletons("x", x, self.channels)
        points: object = tuple(x.shape[2:]) if isinstance(self.dim, tuple) else x.shape[self.dim]
        if self.length is not None and points != self.length:
            raise ValueError(
                f"x must have {self.length} points along dim={self.dim}, got {points} "
                f"(shape {tuple(x.shape)}); resize() makes a filter for another length."
            )
        if lengths is not None and self.dim not in (-2, 2):
            raise ValueError("lengths must be None for a filter along joints, got a tensor.")
        if isinstance(self.dim, tuple):
            return spectral_filter_2d(x, self.complex_weight)
        return spectral_filter(
            x, self.complex_weight, dim=self.dim, weight=self.weight, lengths=lengths
        )

    def resize(self, length: int | tuple[int, int]) -> SpectralFilter:
        """Return a new filter of ``length`` points with the same response.

        Weights with a frequency axis are read at the relative frequencies k/length, linear
        between the old bins (constant beyond the last one), so a filter that is a smooth function
        of relative frequency keeps its shape and DC stays DC. One weight per channel is copied.
        For both axes only the number of joints can change.
        """
        values = self.complex_weight.detach()
        other = SpectralFilter(
            self.channels,
            length,
            dim=self.dim,  # type: ignore[arg-type]
            weight=self.weight,
            init=self.init,
            device="meta",
        )
        if isinstance(self.length, tuple) and isinstance(other.length, tuple):
            if other.length[0] != self.length[0]:
                raise ValueError(
                    f"length must keep T={self.length[0]} for a filter of both axes, got {length}."
                )
            values = resize_filter(values, self.length[1], other.length[1])
        elif self.weight != "channel" and isinstance(self.length, int):
            values = resize_filter(values, self.length, other.length)  # type: ignore[arg-type]
        other.complex_weight = nn.Parameter(values.clone(), self.complex_weight.requires_grad)
        return other.train(self.training)

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return f"{self.channels}, length={self.length}, dim={self.dim}, weight={self.weight!r}"


def _plane(
    channels: int, length: object, dim: tuple[int, ...], weight: Weight
) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Return (T, V) and the shape of a filter of both axes."""
    if len(dim) != 2 or dim[0] not in (-2, 2) or dim[1] not in (-1, 3):
        raise ValueError(f"dim must be one axis or (-2, -1), frames and joints, got {dim}.")
    if weight != "full":
        raise ValueError(f"weight must be 'full' for a filter of both axes, got {weight!r}.")
    if not isinstance(length, (tuple, list)) or len(length) != 2:
        raise ValueError(f"length must be (T, V) for a filter of both axes, got {length!r}.")
    frames, joints = (check_int("length", n, 1) for n in length)
    return (frames, joints), (channels, frames, joints // 2 + 1, 2)
