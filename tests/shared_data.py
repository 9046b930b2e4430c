"""Published data beside the checkout or in the folder ``SKELFREQ_DATA``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


def require_data(name: str) -> Path:
    """Return the path of ``name``; skip the test, or fail it where the data must be there.

    ``SKELFREQ_REQUIRE_DATA``, if set, says that it must, so that a continuous build cannot pass by
    skipping.
    """
    folder = Path(os.environ.get("SKELFREQ_DATA") or BESIDE_CHECKOUT)
    path = folder / name
    if path.exists():
        return path
    reason = f"{name} is not in {folder}: set SKELFREQ_DATA to the folder that holds it"
    if os.environ.get("SKELFREQ_REQUIRE_DATA"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
