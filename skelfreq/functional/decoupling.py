"""Separate one axis of a skeleton sequence from the other before it is filtered."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_floating,
    check_option,
    check_skeletons,
    compute_dtype,
    named_options,
)
from skelfreq.functional import _route
from skelfreq.functional._axis import check_lengths
from skelfreq.functional._decoupling_plain import FRAMES, decoupled


@named_options
def decouple(
    x: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    *,
    dim: Literal[-2, -1, 2, 3] = -2,
    lengths: Tensor | None = None,
) -> Tensor:
    r"""Centre and scale each line along one axis, then convolve it and mix its channels.

    A line is one joint's trajectory (``dim=-2``) or one frame's pose (``dim=-1``), all channels
    together. Lines never mix.

    .. math:: z = \frac{x - \langle x \rangle_{dim}}
        {\sqrt{\langle (x - \langle x \rangle_{dim})^2 \rangle_{C, dim} + 10^{-6}}}, \qquad
        y = P \, (K * z)

    Parameters
    ----------
    x : Tensor
        [N, C, T, V].
    depthwise : Tensor
        K, [C, taps] with an odd number of taps: one filter per channel along ``dim``, with
        zero padding.
    pointwise : Tensor
        P, [C', C]: the map over channels, the same at every frame and joint.
    dim : {-2, -1, 2, 3}
        Axis of the lines: frames or joints.
    lengths : Tensor, optional
        [N] frames really present; means run over those, and the other frames are 0.

    Returns
    -------
    Tensor
        [N, C', T, V]; dtype of ``x``. A line that is constant, such as 0, becomes 0.

    Raises
    ------
    TypeError
        An argument is not real floating point, ``lengths`` is not integer.
    ValueError
        Other than 4 axes, ``dim`` is neither frames nor joints, a weight of another shape, an
        even number of taps, lengths outside [0, T].

    Notes
    -----
    Cost per entry of ``x``: C' + taps multiplications.
    Source: FreST, section 4.2, puts "a corresponding spatial or temporal decoupling module" in
    front of each filter and does not define it; this form is ours.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 3, 1)
    >>> decouple(x, torch.tensor([[0.0, 1.0, 0.0]]), torch.eye(1)).flatten()
    tensor([-1.2247,  0.0000,  1.2247])
    """
    check_skeletons("x", x)
    check_floating("depthwise", depthwise)
    check_floating("pointwise", pointwise)
    check_option("dim", dim, (-2, -1, 2, 3))
    channels, taps = x.shape[1], depthwise.shape[-1]
    if depthwise.ndim != 2 or depthwise.shape[0] != channels or taps % 2 == 0:
        raise ValueError(
            f"depthwise must have shape [{channels}, taps] with an odd number of taps, "
            f"got {tuple(depthwise.shape)}."
        )
    if pointwise.ndim != 2 or pointwise.shape[1] != channels:
        raise ValueError(
            f"pointwise must have shape [C', {channels}], got {tuple(pointwise.shape)}."
        )
    axis = dim % 4
    if lengths is not None:
        lengths = check_lengths(lengths, x, FRAMES)
    with autocast_off(x):
        work = x.to(compute_dtype(x))
        maps = depthwise.to(work.dtype), pointwise.to(work.dtype)
        if _route.decoupling(work, lengths is not None) == "fast":
            from skelfreq.functional import _decoupling_fast

            return _decoupling_fast.apply(work, *maps, axis).to(x.dtype)
        return decoupled(work, *maps, axis=axis, lengths=lengths).to(x.dtype)
