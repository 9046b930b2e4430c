"""A learned complex filter on the spectrum of one axis."""

from __future__ import annotations

from torch import Tensor, nn

from skelfreq._checks import check_int, check_option, check_skeletons
from skelfreq.functional.filters import spectral_filter
from skelfreq.nn._weights import filter_shape, new_filter, resize_filter


class SpectralFilter(nn.Module):
    """Complex global filter along time or joints: ``irdft(W · rdft(x))``.

    A circular convolution over the whole axis, learned in the frequency domain.

    Parameters
    ----------
    channels : int
        Channels C of the input.
    length : int, optional
        Points n along ``dim``. Needed when the weights have a frequency axis; otherwise any
        length is taken, or this one only where it is given.
    dim : {-2, -1, 2, 3}
        Axis of [N, C, T, V] to filter: frames (-2, 2) or joints (-1, 3).
    weight : {"channel", "frequency", "full"}
        One complex number per channel [C, 2], per bin [F, 2] or per both [C, F, 2], with
        F = n//2 + 1; real pairs, real part first.
    init : {"normal", "identity"}
        "normal": both parts drawn with σ = 0.02 from torch's global generator. "identity":
        1 + 0j, the layer starts as x → x (to rounding).

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
        than announced, ``lengths`` together with joints.

    Notes
    -----
    The imaginary part at DC and Nyquist has no effect, see
    :func:`~skelfreq.functional.spectral_filter`.
    Cost: an rdft, an irdft and 4 multiplications per bin and channel.
    Source: FreST, section 4.2 (global filter, init 0.02); "full" along one axis is the filter of
    GFNet (Rao et al., NeurIPS 2021), "channel" that of TSLANet (Eldele et al., ICML 2024).

    Examples
    --------
    >>> import torch
    >>> layer = SpectralFilter(3, length=120, weight="full")
    >>> layer(torch.randn(2, 3, 120, 25)).shape
    torch.Size([2, 3, 120, 25])
    >>> layer.resize(64)
    SpectralFilter(3, length=64, dim=-2, weight='full')
    """

    def __init__(
        self,
        channels: int,
        length: int | None = None,
        dim: int = -2,
        weight: str = "channel",
        init: str = "normal",
    ) -> None:
        super().__init__()
        shape = filter_shape(weight, channels, length, "length")
        check_option("dim", dim, (-2, -1, 2, 3))
        check_option("init", init, ("normal", "identity"))
        self.channels = channels
        self.length = length
        self.dim = dim
        self.weight = weight
        self.complex_weight = nn.Parameter(
            new_filter(shape, "one" if init == "identity" else "normal")
        )

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Filter ``x`` [N, C, T, V]; ``lengths`` [N] are the frames really present."""
        check_skeletons("x", x, self.channels)
        if self.length is not None and x.shape[self.dim] != self.length:
            raise ValueError(
                f"x must have {self.length} points along dim={self.dim}, got {x.shape[self.dim]} "
                f"(shape {tuple(x.shape)}); resize() makes a filter for another length."
            )
        if lengths is not None and self.dim % 4 == 3:
            raise ValueError("lengths must be None for a filter along joints, got a tensor.")
        return spectral_filter(
            x, self.complex_weight, dim=self.dim, weight=self.weight, lengths=lengths
        )

    def resize(self, length: int) -> SpectralFilter:
        """Return a new filter of ``length`` points with the same response.

        Weights with a frequency axis are read at the relative frequencies k/length, linear
        between the old bins (constant beyond the last one), so a filter that is a smooth function
        of relative frequency keeps its shape and DC stays DC. One weight per channel is copied.
        """
        check_int("length", length, 1)
        other = SpectralFilter(self.channels, length, self.dim, self.weight, init="identity")
        values = self.complex_weight.detach()
        if self.weight != "channel" and self.length is not None:
            values = resize_filter(values, self.length, length)
        other.complex_weight = nn.Parameter(values.clone(), self.complex_weight.requires_grad)
        return other.train(self.training)

    def extra_repr(self) -> str:
        """Show the constructor's arguments."""
        return f"{self.channels}, length={self.length}, dim={self.dim}, weight={self.weight!r}"
