"""Frequency enhancement of FS-VAE: a trainable gain per band of DCT coefficients."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn

from skelfreq._checks import check_axis, check_floating, check_int, check_option
from skelfreq.functional.bands import apply_gain
from skelfreq.functional.gains import band_slopes, gains_of_bands


class FreqEnhance(nn.Module):
    """Amplify the low and attenuate the high DCT coefficients of one axis.

    Along time (``dim=-2`` of [N, C, T, V]) it strengthens the slow movement of each joint, as
    FS-VAE's paper describes; along a feature axis (``dim=-1`` of [N, D]) it does what the
    paper's released code does.

    Parameters
    ----------
    length : int
        Points n along ``dim``.
    dim : int
        Axis to work along.
    num_bands : int
        Bands b of :func:`~skelfreq.functional.band_edges`.
    split : int
        φ: bands that end at or below this coefficient are amplified, the others attenuated.
    strength : float
        κ, initial value.
    divisor : int
        m of :func:`~skelfreq.functional.band_gains`.
    learnable : {"bands", "free", None}
        "bands": ``weights`` [num_bands], initially 1, and ``strength`` are trained. "free"
        (Ours† of the paper): ``weights`` [length] are the gains themselves, initially 1; bands,
        split and strength play no part. None: nothing is trained.
    last : {"include", "released"}
        Whether the highest coefficient belongs to the last band, or keeps gain 1.

    Shape
    -----
    Any shape with ``length`` points along ``dim`` → the same shape and dtype.

    Attributes
    ----------
    gains : Tensor
        [length], the gain of each coefficient, differentiable.

    Raises
    ------
    TypeError, ValueError
        At construction: an argument that does not fit, by name; in forward: other than
        ``length`` points along ``dim``, or an input that is not real floating point.

    Warns
    -----
    UserWarning
        At construction, if no band ends at or below ``split``: nothing is then amplified.

    Notes
    -----
    Cost: that of :func:`~skelfreq.functional.apply_gain`. Source: FS-VAE, section 3.2; b and φ
    default to the paper's optimum. :meth:`released` builds the published code's layer.

    Examples
    --------
    >>> import torch
    >>> layer = FreqEnhance(length=120)
    >>> layer(torch.randn(2, 3, 120, 25)).shape
    torch.Size([2, 3, 120, 25])
    >>> layer.gains[[0, 119]]
    tensor([1.3000, 0.6900], grad_fn=<IndexBackward0>)
    """

    slopes: Tensor

    def __init__(
        self,
        length: int,
        dim: int = -2,
        num_bands: int = 30,
        split: int = 35,
        strength: float = 0.3,
        divisor: int = 1,
        learnable: str | None = "bands",
        last: str = "include",
    ) -> None:
        super().__init__()
        check_int("length", length, 1)
        check_option("learnable", learnable, ("bands", "free", None))
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise TypeError(f"dim must be an integer, got {dim!r}.")
        if isinstance(strength, bool) or not isinstance(strength, (int, float)):
            raise TypeError(f"strength must be a number, got {strength!r}.")
        if not math.isfinite(strength):
            raise ValueError(f"strength must be finite, got {strength}.")
        slopes = band_slopes(length, num_bands, split, divisor, last)
        self.length, self.dim, self.learnable = length, dim, learnable
        self.num_bands, self.split, self.divisor, self.last = num_bands, split, divisor, last
        if learnable == "free":
            self.weights = nn.Parameter(torch.ones(length))
            return
        # Configuration, not state: it follows from the arguments.
        self.register_buffer("slopes", slopes, persistent=False)
        trained = learnable == "bands"
        self.weights = nn.Parameter(torch.ones(num_bands), requires_grad=trained)
        self.strength = nn.Parameter(torch.tensor(float(strength)), requires_grad=trained)
        if not bool((slopes > 0).any()):
            warnings.warn(
                f"no band of FreqEnhance is amplified: with length={length}, "
                f"num_bands={num_bands} none ends at or below split={split}.",
                stacklevel=2,
            )

    @classmethod
    def released(cls, length: int = 256) -> FreqEnhance:
        """Build the layer of FS-VAE's released code, along the last axis.

        Parameters
        ----------
        length : int
            Features; the release uses 256 (skeletons) and 512 to 1536 (texts).

        Returns
        -------
        FreqEnhance
            30 bands, split 30, strength 0.3, the last coefficient left alone.

        Raises
        ------
        TypeError, ValueError
            As the constructor.

        Notes
        -----
        Source: the released code; docs/freq_enhance.md lists where the paper differs from it.

        Examples
        --------
        >>> FreqEnhance.released().gains[-1]
        tensor(1., grad_fn=<SelectBackward0>)
        """
        return cls(length, dim=-1, num_bands=30, split=30, strength=0.3, last="released")

    @property
    def gains(self) -> Tensor:
        """Gain of each coefficient, [length]."""
        if self.learnable == "free":
            return self.weights
        return gains_of_bands(self.weights, self.strength, self.slopes)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return ``x`` with the coefficients along ``dim`` scaled by :attr:`gains`.

        With ``lengths`` [N], points really present along ``dim``, each sample is transformed over
        its own length and its coefficient k scaled by ``gains[k]``; the rest of the result is 0.
        """
        check_floating("x", x)
        dim = check_axis("x", x, self.dim)
        if x.shape[dim] != self.length:
            raise ValueError(
                f"x must have {self.length} points along dim={self.dim}, got {x.shape[dim]} "
                f"(shape {tuple(x.shape)})."
            )
        return apply_gain(x, self.gains, dim, lengths)

    def extra_repr(self) -> str:
        """Return the configuration for ``print(layer)``."""
        if self.learnable == "free":
            return f"length={self.length}, dim={self.dim}, learnable='free'"
        return (
            f"length={self.length}, dim={self.dim}, num_bands={self.num_bands}, "
            f"split={self.split}, divisor={self.divisor}, learnable={self.learnable!r}, "
            f"last={self.last!r}"
        )
