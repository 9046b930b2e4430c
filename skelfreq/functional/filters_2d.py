"""A complex filter on the spectrum of two axes together."""

from __future__ import annotations

from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_axis,
    check_floating,
    compute_dtype,
    named_options,
)
from skelfreq.functional._filter_plain import Pair, product
from skelfreq.functional._fourier_plain import complex_dft, from_pair, to_pair


@named_options
def spectral_filter_2d(
    x: Tensor, weight: Tensor, *, dim: tuple[int, int] = (-2, -1), channel_dim: int = 1
) -> Tensor:
    r"""Filter two axes together by one complex weight per channel and bin.

    .. math:: y = \mathrm{DFT}_2^{-1}\left( X \odot W \right)

    with X the two-dimensional DFT of ``x`` over both axes: a circular convolution over both
    axes, for example frames and joints of [N, C, T, V].

    Parameters
    ----------
    x : Tensor
        Real tensor with n and m points along the two axes of ``dim``, C along ``channel_dim``.
    weight : Tensor
        W, [C, n, m//2+1, 2]: real pairs, real part first; frequencies of the first axis in the
        order of the DFT, those of the second from 0 to m//2.
    dim : tuple of two ints
        Both axes, in the order of the weight's.
    channel_dim : int
        Axis of the channels.

    Returns
    -------
    Tensor
        Shape and dtype of ``x``; fp16 and bf16 are computed in fp32.

    Raises
    ------
    TypeError
        ``x`` or ``weight`` is not real floating point, an axis is no integer.
    ValueError
        Axes outside ``x``, empty or named twice; a weight of another shape.

    Notes
    -----
    As in the released filter, imaginary parts without meaning for a real signal (the columns at DC
    and, for even m, at Nyquist of the second axis) are ignored after the first inverse step.
    Cost for short axes: 2m² + 4n² operations for each line of m and of n, twice; FFTs beyond.
    Source: the global filter of GFNet (Rao et al., NeurIPS 2021).

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(2, 3, 8, 5, dtype=torch.float64)
    >>> one = torch.tensor([1.0, 0.0]).expand(3, 8, 3, 2)
    >>> torch.allclose(spectral_filter_2d(x, one), x)
    True
    """
    check_floating("x", x)
    check_floating("weight", weight)
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ValueError(f"dim must name two axes, got {dim!r}.")
    first, second = (check_axis("x", x, axis) for axis in dim)
    channels = check_axis("x", x, channel_dim, argument="channel_dim")
    if len({first, second, channels}) != 3:
        raise ValueError(
            f"dim and channel_dim must be three different axes, got {tuple(dim)} and {channel_dim}."
        )
    n, m = x.shape[first], x.shape[second]
    expected = (x.shape[channels], n, m // 2 + 1, 2)
    if tuple(weight.shape) != expected:
        raise ValueError(
            f"weight must have shape {expected} for x of shape {tuple(x.shape)}, "
            f"got {tuple(weight.shape)}."
        )
    with autocast_off(x):
        dtype = compute_dtype(x)
        shape = [1] * x.ndim
        shape[channels], shape[first], shape[second] = expected[:3]
        order = sorted(range(3), key=lambda axis: (channels, first, second)[axis])
        parts = (
            part.permute(order).reshape(shape) for part in weight.to(x.device, dtype).unbind(-1)
        )
        half = to_pair(x.to(dtype), second, None)
        spectrum = Pair(*complex_dft(*half, first, inverse=False))
        filtered = product(spectrum, Pair(*parts))
        half = complex_dft(*filtered, first, inverse=True)
        return from_pair(*half, m, second, None).to(x.dtype)
