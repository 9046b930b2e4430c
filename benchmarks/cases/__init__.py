"""Every case of the suite."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.cases import freq_enhance, spectral_block, training, transforms

CASES: list[Case] = [
    *transforms.CASES,
    *freq_enhance.CASES,
    *spectral_block.CASES,
    *training.CASES,
]
NAMES = list(dict.fromkeys(case.name for case in CASES))
