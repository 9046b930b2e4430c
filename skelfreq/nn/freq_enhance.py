"""Frequency enhancement of FS-VAE: a trainable gain per band of DCT coefficients."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from skelfreq._checks import (
    check_axis,
    check_floating,
    check_int,
    check_number,
    check_option,
    named_options,
)
from skelfreq.functional.gains import LAST, Last, apply_gain, band_gains, edge_list
from skelfreq.nn._weights import stored


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
        "bands": ``weights`` [num_bands], initially 1, and ``strength`` [1] are trained. "free"
        (Ours† of the paper): ``weights`` [length] are the gains themselves, initially 1; bands,
        split and strength are not used. None: nothing is trained.
    last : {"include", "released"}
        Whether the highest coefficient belongs to the last band, or has gain 1.
    device, dtype
        Of the parameters.

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
        At construction, if no band ends at or below ``split`` (nothing is then amplified), or if
        all do (nothing is attenuated).

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

    @named_options
    def __init__(
        self,
        length: int,
        *,
        dim: int = -2,
        num_bands: int = 30,
        split: int = 35,
        strength: float = 0.3,
        divisor: int = 1,
        learnable: Literal["bands", "free"] | None = "bands",
        last: Last = "include",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.length = check_int("length", length, 1)
        self.dim = check_int("dim", dim, -8, 7)
        self.num_bands = check_int("num_bands", num_bands, 1)
        self.split = check_int("split", split, 0)
        self.divisor = check_int("divisor", divisor, 1)
        self.initial_strength = check_number("strength", strength)
        if not math.isfinite(strength):
            raise ValueError(f"strength must be finite, got {strength}.")
        check_option("learnable", learnable, ("bands", "free", None))
        check_option("last", last, LAST)
        self.learnable, self.last = learnable, last
        trained = learnable == "bands"
        size = self.length if learnable == "free" else self.num_bands
        weights = torch.empty(size, device=device, dtype=dtype)
        self.weights = nn.Parameter(weights, requires_grad=learnable is not None)
        if learnable != "free":
            # One entry: a parameter without an axis cannot be sharded.
            level = torch.empty(1, device=device, dtype=dtype)
            self.strength = nn.Parameter(level, requires_grad=trained)
            self._warn_of_one_side()
        self.reset_parameters()

    def _warn_of_one_side(self) -> None:
        n, bands, split = self.length, self.num_bands, self.split
        ends = edge_list(n, bands, self.last)
        filled = [end for start, end in itertools.pairwise(ends) if start < end]
        found = f"with length={n}, num_bands={bands}"
        if all(end > split for end in filled):
            message = f"no band of FreqEnhance is amplified: {found} none ends at or below"
        elif all(end <= split for end in filled):
            message = f"no band of FreqEnhance is attenuated: {found} none ends above"
        else:
            return
        warnings.warn(f"{message} split={split}.", stacklevel=4)

    def _warn_of_rounded_edges(self, maker: str) -> None:
        n, bands = self.length, self.num_bands
        # The release truncates an fp32 linspace.
        points = torch.linspace(0, n - 1, bands + 1, dtype=torch.float32, device="cpu")
        rounded = [int(point) for point in points]
        exact = edge_list(n, bands, "released")
        for i, (edge, right) in enumerate(zip(rounded, exact, strict=True)):
            if edge != right:
                warnings.warn(
                    f"FreqEnhance.{maker} of {n} points differs from the release, which rounds "
                    f"edge {i} of its bands to {edge} instead of {right}.",
                    stacklevel=3,
                )
                return

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set all weights to 1 and the strength to its initial value."""
        self.weights.fill_(1)
        if self.learnable != "free":
            self.strength.fill_(self.initial_strength)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        # In 0.1.0 the strength was a scalar.
        strength = state_dict.get(f"{prefix}strength")
        if isinstance(strength, Tensor) and strength.ndim == 0:
            state_dict[f"{prefix}strength"] = strength.reshape(1)
        super()._load_from_state_dict(state_dict, prefix, *arguments)

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
            30 bands, split 30, strength 0.3, the last coefficient unchanged.

        Raises
        ------
        TypeError, ValueError
            As the constructor.

        Warns
        -----
        UserWarning
            As the constructor; also for a length at which the release rounds an edge of a band
            one too low, where this layer differs from it (27 lengths between 31 and 2048).

        Notes
        -----
        Source: the released code; docs/freq_enhance.md lists where the paper differs from it.

        Examples
        --------
        >>> FreqEnhance.released().gains[-1]
        tensor(1., grad_fn=<SelectBackward0>)
        """
        layer = cls(length, dim=-1, num_bands=30, split=30, strength=0.3, last="released")
        layer._warn_of_rounded_edges("released")
        return layer

    @classmethod
    def from_fs_vae(
        cls, state: Mapping[str, Tensor], *, prefix: str = "", length: int | None = None
    ) -> FreqEnhance:
        """Build the layer that an encoder of FS-VAE's released code trained.

        Parameters
        ----------
        state : mapping of str to Tensor
            ``state_dict`` of an encoder, or of a network that holds it.
        prefix : str
            Prefix of the encoder's names, such as ``"sequence_encoder."``.
        length : int, optional
            Features; read from the encoder's first linear map if not given.

        Returns
        -------
        FreqEnhance
            Along the last axis, with the trained weights and strength.

        Raises
        ------
        TypeError, ValueError
            As the constructor; a name that ``state`` lacks.

        Warns
        -----
        UserWarning
            As :meth:`released`.

        Notes
        -----
        Source: the names of the released code. Its number of bands, split and divisor are
        parameters that get no gradient; here they are arguments.

        Examples
        --------
        >>> state = {"k": torch.tensor(0.3), "freq_weights": torch.ones(30)}
        >>> state |= {"split_freq": torch.tensor(30.0), "m": torch.tensor(1.0)}
        >>> FreqEnhance.from_fs_vae(state, length=256).gains.shape
        torch.Size([256])
        """
        names = ("k", "freq_weights", "split_freq", "m")
        k, weights, split, divisor = stored(state, prefix, names)
        if length is None:
            maps = [v for name, v in state.items() if name.startswith(prefix) and v.ndim == 2]
            if not maps:
                raise ValueError("length must be given where state holds no linear map, got None.")
            length = maps[0].shape[1]
        layer = cls(
            length,
            dim=-1,
            num_bands=weights.numel(),
            split=int(split),
            divisor=int(divisor),
            last="released",
            dtype=weights.dtype,
        )
        layer.load_state_dict({"weights": weights, "strength": k.reshape(1)})
        layer._warn_of_rounded_edges("from_fs_vae")
        return layer

    @property
    def gains(self) -> Tensor:
        """Gain of each coefficient, [length]."""
        if self.learnable == "free":
            return self.weights
        return band_gains(
            self.length,
            self.weights,
            self.split,
            self.strength,
            divisor=self.divisor,
            last=self.last,
        )

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
        return apply_gain(x, self.gains, dim=dim, lengths=lengths)

    def extra_repr(self) -> str:
        """Return the configuration for ``print(layer)``."""
        if self.learnable == "free":
            return f"length={self.length}, dim={self.dim}, learnable='free'"
        return (
            f"length={self.length}, dim={self.dim}, num_bands={self.num_bands}, "
            f"split={self.split}, divisor={self.divisor}, learnable={self.learnable!r}, "
            f"last={self.last!r}"
        )
