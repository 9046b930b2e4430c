"""Frequency-domain PyTorch layers for human-skeleton sequences [N, C, T, V]."""

from skelfreq import functional as functional
from skelfreq import nn as nn
from skelfreq import skeletons as skeletons
from skelfreq.nn import (
    SSFRM,
    BandPooling,
    EMADualPath,
    FrameDecoupling,
    FreqEnhance,
    FreS,
    FreST,
    FreT,
    JointDecoupling,
    SpectralFilter,
    TubeMask,
    TubeMasking,
    cosine_momentum,
)

__version__ = "0.2.0"

__all__ = [
    "SSFRM",
    "BandPooling",
    "EMADualPath",
    "FrameDecoupling",
    "FreS",
    "FreST",
    "FreT",
    "FreqEnhance",
    "JointDecoupling",
    "SpectralFilter",
    "TubeMask",
    "TubeMasking",
    "__version__",
    "cosine_momentum",
]
