"""Mutants that no test can kill, each with the reason; ``Mutant.key`` names them."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    "skelfreq/data/readers/bvh.py::_blocks::branch: len(rows) == _BLOCK → False": (
        "rows become arrays in blocks to save memory; the numbers are the same"
    ),
}
