"""Layers: parameters and shape checks around the functions of ``skelfreq.functional``."""

from skelfreq.nn.adaptive import FreS, FreT
from skelfreq.nn.decoupling import FrameDecoupling, JointDecoupling
from skelfreq.nn.ema import EMADualPath, cosine_momentum
from skelfreq.nn.freq_enhance import FreqEnhance
from skelfreq.nn.frest import FreST
from skelfreq.nn.masking import TubeMask, TubeMasking
from skelfreq.nn.pooling import BandPooling
from skelfreq.nn.spectral import SpectralFilter
from skelfreq.nn.ssfrm import SSFRM

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
    "cosine_momentum",
]
