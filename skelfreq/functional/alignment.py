"""Losses of cross-modal variational auto-encoders. All are at least 0 and to be minimised."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import (
    autocast_off,
    check_floating,
    check_integer,
    check_positive,
    compute_dtype,
)


def calibrated_alignment_loss(
    target: Tensor,
    decoded: Tensor,
    sensitivity: float,
    permutation: Tensor | None = None,
    *,
    negatives: bool = True,
) -> Tensor:
    r"""Sigmoid loss, small if each target is nearer to its own decoding than to another one.

    .. math:: L = \langle \ell((\|t_i - \hat t_j\|^2 - \|t_i - \hat t_i\|^2) / λ) \rangle_i,
              \qquad \ell(a) = 1 / (1 + e^a)

    with j the negative of i. As ℓ(a) + ℓ(−a) = 1, no pair has a loss above 1.

    Parameters
    ----------
    target : Tensor
        [N, ...], features of one modality, t.
    decoded : Tensor
        Shape of ``target``: the same features decoded from the other modality's latent, t̂.
    sensitivity : float
        λ > 0, in the features' unit squared.
    permutation : Tensor, optional
        Integer [N], the negative j of each i; random for a loss without bias, for example
        ``torch.randperm(N, generator=generator)``. If not given, the next sample of the batch,
        which is equivalent if batches are shuffled. A sample that is its own negative
        contributes 1/2 and no gradient.
    negatives : bool
        False drops the negative: ℓ(−‖t_i − t̂_i‖² / λ), in [1/2, 1), which the release uses for
        the skeleton side.

    Returns
    -------
    Tensor
        Scalar in [0, 1].

    Raises
    ------
    TypeError
        ``target`` or ``decoded`` is not real floating point, ``permutation`` no integer tensor.
    ValueError
        Shapes differ or lack a feature axis; an empty batch; ``sensitivity`` not positive;
        ``permutation`` of another shape, or given together with ``negatives=False``.

    Notes
    -----
    For one modality; the symmetric loss of the paper is the sum for text (decoded from the
    skeleton latent) and skeleton (decoded from the text latent). Gradients stay finite for any
    distance whose square the dtype holds; the released formula gives NaN once ``exp`` overflows.
    Cost: two passes. Source: FS-VAE, section 3.4 (calibrated cross-alignment).

    Examples
    --------
    >>> t = torch.tensor([[0.0], [10.0]])
    >>> calibrated_alignment_loss(t, t, sensitivity=1.0) < 1e-6
    tensor(True)
    >>> calibrated_alignment_loss(t, t, sensitivity=1.0, permutation=torch.tensor([0, 1]))
    tensor(0.5000)
    """
    check_floating("target", target)
    check_floating("decoded", decoded)
    if target.ndim < 2 or target.shape[0] == 0:
        raise ValueError(f"target must have shape [N, ...], N ≥ 1, got {tuple(target.shape)}.")
    if decoded.shape != target.shape:
        raise ValueError(
            f"decoded must have the target's shape {tuple(target.shape)}, "
            f"got {tuple(decoded.shape)}."
        )
    check_positive("sensitivity", sensitivity)
    if permutation is not None:
        check_integer("permutation", permutation)
        if not negatives:
            raise ValueError("permutation must be None with negatives=False, got a tensor.")
        if permutation.shape != target.shape[:1]:
            raise ValueError(
                f"permutation must have shape ({target.shape[0]},), got {tuple(permutation.shape)}."
            )
    dtype = torch.promote_types(compute_dtype(target), compute_dtype(decoded))
    with autocast_off(target):
        goal, made = target.to(dtype).flatten(1), decoded.to(dtype).flatten(1)
        margin = -(goal - made).square().sum(1)
        if negatives:
            others = made.roll(-1, 0) if permutation is None else made[permutation]
            margin = margin + (goal - others).square().sum(1)
        # sigmoid(-a), not 1 / (1 + exp(a)): the latter has no gradient once exp overflows.
        return torch.sigmoid(-margin / sensitivity).mean()


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    r"""Kullback–Leibler divergence from N(μ, σ²) to N(0, I).

    .. math:: \tfrac12 \Big\langle \sum_d μ_d^2 + σ_d^2 - 1 - \log σ_d^2 \Big\rangle_{batch}

    Parameters
    ----------
    mu, logvar : Tensor
        [N, ...], mean and log variance; summed over all axes but the first.

    Returns
    -------
    Tensor
        Scalar ≥ 0, in nats.

    Raises
    ------
    TypeError
        An argument is not real floating point.
    ValueError
        Shapes differ, lack a latent axis, or hold no sample.

    Notes
    -----
    Cost: one pass. Source: Kingma and Welling, appendix B. FS-VAE's release returns the
    negative of this and subtracts it.

    Examples
    --------
    >>> kl_to_standard_normal(torch.ones(2, 3), torch.zeros(2, 3))
    tensor(1.5000)
    """
    dtype = _check_latent(mu, logvar)
    with autocast_off(mu):
        mean, log = mu.to(dtype).flatten(1), logvar.to(dtype).flatten(1)
        # expm1(l) - l is never negative, also after rounding near l = 0.
        return (mean.square() + (torch.expm1(log) - log)).sum(1).mean() / 2


def reparameterize(mu: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw from N(μ, σ²) so that gradients reach μ and σ.

    Parameters
    ----------
    mu, logvar : Tensor
        [N, ...], mean and log variance.
    generator : torch.Generator, optional
        Source of the noise; PyTorch's global one if not given.

    Returns
    -------
    Tensor
        ``mu + exp(logvar / 2) * noise``, one number of noise per element; shape and dtype of
        ``mu``.

    Raises
    ------
    TypeError, ValueError
        As :func:`kl_to_standard_normal`.

    Notes
    -----
    Cost: one pass. Source: Kingma and Welling, section 2.4. FS-VAE's release draws one number per
    sample instead, shared by all latent dimensions.

    Examples
    --------
    >>> mu = torch.ones(2, 3)
    >>> torch.equal(reparameterize(mu, torch.full((2, 3), -torch.inf)), mu)
    True
    """
    dtype = _check_latent(mu, logvar)
    noise = torch.empty_like(mu, dtype=dtype).normal_(generator=generator)
    return (mu.to(dtype) + (logvar.to(dtype) / 2).exp() * noise).to(mu.dtype)


def _check_latent(mu: Tensor, logvar: Tensor) -> torch.dtype:
    check_floating("mu", mu)
    check_floating("logvar", logvar)
    if mu.ndim < 2 or mu.shape[0] == 0:
        raise ValueError(f"mu must have shape [N, ...], N ≥ 1, got {tuple(mu.shape)}.")
    if logvar.shape != mu.shape:
        raise ValueError(
            f"logvar must have the shape of mu, {tuple(mu.shape)}, got {tuple(logvar.shape)}."
        )
    return torch.promote_types(compute_dtype(mu), compute_dtype(logvar))
