"""Every case of the suite."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.cases import blocks, freq_enhance, per_axis, spectral_block, training, transforms

CASES: list[Case] = [
    *transforms.CASES,
    *per_axis.CASES,
    *freq_enhance.CASES,
    *spectral_block.CASES,
    *blocks.CASES,
    *training.CASES,
]
NAMES = list(dict.fromkeys(case.name for case in CASES))
