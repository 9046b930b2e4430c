"""One table of tolerances: largest error, relative to the largest expected magnitude."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Rounding of a short chain of sums; half precision is rounded once, on output.
TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 2e-6,
    torch.float16: 2.0**-11 + 2e-6,
    torch.bfloat16: 2.0**-8 + 2e-6,
}
# Stored results of other projects, which sum in another order.
GOLDEN = 1e-10
# Another runtime's kernels (ONNX Runtime, inductor) in fp32.
RUNTIME = 1e-5
# A few convolutions in bf16.
AUTOCAST = 0.05


def relative_error(actual: Tensor, expected: Tensor | np.ndarray) -> float:
    """Return max |actual - expected| / max |expected| (the plain maximum where all are 0)."""
    expected = torch.as_tensor(expected).detach().double().cpu()
    actual = actual.detach().double().cpu()
    assert actual.shape == expected.shape, f"{tuple(actual.shape)} != {tuple(expected.shape)}"
    if expected.numel() == 0:
        return 0.0
    scale = expected.abs().max()
    return float((actual - expected).abs().max() / (scale if scale > 0 else 1.0))


def assert_close(
    actual: Tensor, expected: Tensor | np.ndarray, tolerance: float | None = None
) -> None:
    """Fail unless the error is within ``tolerance``, by default that of ``actual``'s dtype."""
    tolerance = TOLERANCE[actual.dtype] if tolerance is None else tolerance
    error = relative_error(actual, expected)
    assert error <= tolerance, f"relative error {error:.3g} > {tolerance:.3g}"


def assert_rounded(actual: Tensor, exact: Tensor | np.ndarray) -> None:
    """Fail unless ``actual`` is ``exact`` up to fp32 arithmetic and one rounding to its dtype."""
    exact = torch.as_tensor(exact).double()
    info = torch.finfo(actual.dtype)
    rounding = exact.abs() * (info.eps / 2) + info.smallest_normal * info.eps / 2
    arithmetic = TOLERANCE[torch.float32] * exact.abs().max()
    assert bool(((actual.double() - exact).abs() <= rounding + arithmetic).all())
