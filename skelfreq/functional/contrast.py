"""Contrastive losses of MICA. All are at least 0 and to be minimised."""

from __future__ import annotations

import torch
from torch import Tensor

from skelfreq._checks import autocast_off, check_floating, check_positive, compute_dtype


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float = 0.2) -> Tensor:
    r"""Contrast each query with its key against a queue of other keys.

    .. math:: L = -\Big\langle \log \frac{\exp(q_i \cdot k_i / τ)}
        {\exp(q_i \cdot k_i / τ) + \sum_j \exp(q_i \cdot m_j / τ)} \Big\rangle_i

    with every vector scaled to unit length first.

    Parameters
    ----------
    query : Tensor
        [N, D], q: embeddings of one view.
    key : Tensor
        [N, D], k: embeddings of the other view; gets no gradient.
    queue : Tensor
        [K, D], m: keys of other samples, K ≥ 0; gets no gradient.
    temperature : float
        τ > 0.

    Returns
    -------
    Tensor
        Scalar ≥ 0, in nats; log(K + 1) where all similarities are equal.

    Raises
    ------
    TypeError
        An argument is not real floating point.
    ValueError
        Shapes do not agree, an empty batch, ``temperature`` not positive.

    Notes
    -----
    Cost: N·(K + 1)·D multiplications. Source: MICA, section 4.3; MoCo (He et al., CVPR 2020).

    Examples
    --------
    >>> q = torch.eye(2)
    >>> info_nce(q, q, queue=-q).round(decimals=4)
    tensor(0.0068)
    """
    check_floating("query", query)
    check_floating("key", key)
    check_floating("queue", queue)
    if query.ndim != 2 or query.shape[0] == 0:
        raise ValueError(f"query must have shape [N, D], N ≥ 1, got {tuple(query.shape)}.")
    if key.shape != query.shape:
        raise ValueError(
            f"key must have the query's shape {tuple(query.shape)}, got {tuple(key.shape)}."
        )
    if queue.ndim != 2 or queue.shape[1] != query.shape[1]:
        raise ValueError(f"queue must have shape [K, {query.shape[1]}], got {tuple(queue.shape)}.")
    check_positive("temperature", temperature)
    with autocast_off(query):
        dtype = compute_dtype(query)
        q = _unit(query.to(dtype))
        k = _unit(key.detach().to(dtype))
        m = _unit(queue.detach().to(dtype))
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ m.mT], 1) / temperature
        return (logits.logsumexp(1) - logits[:, 0]).mean()


def similarity_distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    student_temperature: float = 1.0,
    teacher_temperature: float = 1.0,
) -> Tensor:
    r"""Kullback–Leibler divergence from the student's to the teacher's similarities.

    .. math:: L = \Big\langle \sum_j p_{ij} (\log p_{ij} - \log s_{ij}) \Big\rangle_i

    with p and s the softmax over j of the teacher's and the student's logits, each over its
    temperature.

    Parameters
    ----------
    student_logits : Tensor
        [N, K], similarities of each sample to K entries.
    teacher_logits : Tensor
        [N, K], similarities of the teacher to the same entries; gets no gradient.
    student_temperature, teacher_temperature : float
        τ_s and τ_t, > 0.

    Returns
    -------
    Tensor
        Scalar ≥ 0, in nats; 0 where the distributions agree.

    Raises
    ------
    TypeError
        An argument is not real floating point.
    ValueError
        Shapes differ or hold no entry; a temperature is not positive.

    Notes
    -----
    Cost: a few passes. Source: MICA, section 4.1 (feature modulation). Its pseudo-code mixes its
    shapes; our reading is that both sides are similarities to the same queue entries.

    Examples
    --------
    >>> logits = torch.tensor([[1.0, 2.0]])
    >>> similarity_distillation_loss(logits, 3 * logits, 1.0, 3.0)
    tensor(0.)
    """
    check_floating("student_logits", student_logits)
    check_floating("teacher_logits", teacher_logits)
    if student_logits.ndim != 2 or student_logits.numel() == 0:
        raise ValueError(
            f"student_logits must have shape [N, K], N and K ≥ 1, "
            f"got {tuple(student_logits.shape)}."
        )
    if teacher_logits.shape != student_logits.shape:
        raise ValueError(
            f"teacher_logits must have the student's shape {tuple(student_logits.shape)}, "
            f"got {tuple(teacher_logits.shape)}."
        )
    check_positive("student_temperature", student_temperature)
    check_positive("teacher_temperature", teacher_temperature)
    with autocast_off(student_logits):
        dtype = torch.promote_types(compute_dtype(student_logits), compute_dtype(teacher_logits))
        student = (student_logits.to(dtype) / student_temperature).log_softmax(1)
        teacher = (teacher_logits.detach().to(dtype) / teacher_temperature).log_softmax(1)
        divergence = (teacher.exp() * (teacher - student)).sum(1).mean()
        return divergence.clamp(min=0)  # rounding of equal distributions


def _unit(x: Tensor) -> Tensor:
    length: Tensor = x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return x / length
