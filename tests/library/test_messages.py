"""Wrong arguments that users pass: one sentence that names the argument and what is accepted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import normal

from skelfreq import FreqEnhance, SpectralFilter
from skelfreq import functional as F

X = normal(2, 3, 8, 5, dtype=torch.float32)
Q = normal(4, 6, dtype=torch.float32)
BANDS = F.Bands(X, X)

CASES: dict[str, tuple[Callable[[], object], str]] = {
    "temperature": (
        lambda: F.info_nce(Q, Q, Q, "0.2"),
        "temperature must be a number, got '0.2'.",
    ),
    "student": (
        lambda: F.similarity_distillation_loss(Q, Q, "1"),
        "student_temperature must be a number, got '1'.",
    ),
    "queue": (
        lambda: F.similarity_distillation_loss(Q, Q, Q),
        "student_temperature must be a number, got a tensor of shape (4, 6).",
    ),
    "sensitivity": (
        lambda: F.calibrated_alignment_loss(Q, Q, "1"),
        "sensitivity must be a number, got '1'.",
    ),
    "harmonic_mean": (lambda: F.harmonic_mean("0.1", 0.2), "seen must be a number, got '0.1'."),
    "online": (
        lambda: F.fd_mae_loss(X, X),
        "online must be a Reconstruction(signal, bands), got Tensor.",
    ),
    "target": (
        lambda: F.fd_mae_loss(F.Reconstruction(X), X, X, X),
        "target must be a Reconstruction(signal, bands), got Tensor.",
    ),
    "merge_frames": (
        lambda: F.merge_frames([1], [2]),
        "target must be a tensor, got list; pass torch.tensor(...).",
    ),
    "dct_matrix": (
        lambda: F.dct_matrix(4, dtype="float32"),
        "dtype must be a real floating-point torch.dtype, got 'float32'.",
    ),
    "surplus tensor": (
        lambda: F.frequency_reconstruction_loss(BANDS, X, X, 3),
        "frequency_reconstruction_loss takes only bands, signal by position, "
        "got a tensor of shape (2, 3, 8, 5) as well; "
        "pass the other arguments by name: cutoff=, lengths=.",
    ),
    "band_gains": (
        lambda: F.band_gains(8, torch.ones(3), 3, 0.3, 2),
        "band_gains takes only n, weights, split, strength by position, got 2 as well; "
        "pass the other arguments by name: divisor=, last=.",
    ),
    "dim 2.0": (
        lambda: F.decouple(X, torch.ones(3, 3), torch.eye(3), dim=2.0),
        "dim must be one of -2, -1, 2, 3, got 2.0.",
    ),
    "dim tensor": (
        lambda: SpectralFilter(3, dim=torch.tensor(2)),
        "dim must be one of -2, -1, 2, 3, got a tensor of shape ().",
    ),
    "norm array": (
        lambda: F.dct(X, dim=2, norm=np.array(["ortho"])),
        "norm must be one of 'ortho', None, 'backward', got array(['ortho'], dtype='<U5').",
    ),
    "long": (
        lambda: FreqEnhance("6" * 100),
        "length must be an integer, got '" + "6" * 56 + "....",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_messages(name: str) -> None:
    call, message = CASES[name]
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int16, torch.uint16, torch.uint32, torch.uint64]
)
def test_lengths_of_any_integer_dtype(dtype: torch.dtype) -> None:
    lengths = torch.tensor([8, 4])
    expected = F.dct(X, dim=2, lengths=lengths)
    assert torch.equal(F.dct(X, dim=2, lengths=lengths.to(dtype)), expected)


def test_integers_of_numpy_are_options() -> None:
    assert SpectralFilter(3, dim=np.int64(-1)).dim in (-1, 3)
    y = F.decouple(X, torch.ones(3, 3), torch.eye(3), dim=np.int32(2))
    assert torch.equal(y, F.decouple(X, torch.ones(3, 3), torch.eye(3), dim=2))


def test_a_layer_runs_inside_a_device_context() -> None:
    layer = FreqEnhance(8, num_bands=3, split=2)
    expected = layer(X)
    F.band_gains(9, torch.ones(3), 2, 0.3)
    from skelfreq.functional import _bases

    _bases.CACHE.clear()
    with torch.device("meta"):
        assert torch.equal(layer(X), expected)
