"""Pure functions of tensors, which the layers call."""

from skelfreq.functional.alignment import (
    calibrated_alignment_loss,
    kl_to_standard_normal,
    reparameterize,
)
from skelfreq.functional.bands import Bands, resample, split_bands
from skelfreq.functional.contrast import info_nce, similarity_distillation_loss
from skelfreq.functional.cosine import dct, dct_matrix, idct
from skelfreq.functional.decoupling import decouple
from skelfreq.functional.filters import adaptive_spectral_mask, spectral_filter
from skelfreq.functional.filters_2d import spectral_filter_2d
from skelfreq.functional.fourier import irdft, rdft, relative_log_amplitude
from skelfreq.functional.frames import merge_frames, motion, split_frames
from skelfreq.functional.gains import apply_gain, band_edges, band_gains
from skelfreq.functional.masking import frame_mask, patchify, tube_mask, unpatchify
from skelfreq.functional.pooling import band_pool
from skelfreq.functional.reconstruction import (
    FDMAELoss,
    Reconstruction,
    fd_mae_loss,
    frequency_reconstruction_loss,
    motion_consistency_loss,
    motion_reconstruction_loss,
)
from skelfreq.functional.zero_shot import (
    GeneralizedAccuracy,
    area_under_seen_unseen_curve,
    generalized_zero_shot_accuracy,
    harmonic_mean,
    seen_unseen_curve,
)

__all__ = [
    "Bands",
    "FDMAELoss",
    "GeneralizedAccuracy",
    "Reconstruction",
    "adaptive_spectral_mask",
    "apply_gain",
    "area_under_seen_unseen_curve",
    "band_edges",
    "band_gains",
    "band_pool",
    "calibrated_alignment_loss",
    "dct",
    "dct_matrix",
    "decouple",
    "fd_mae_loss",
    "frame_mask",
    "frequency_reconstruction_loss",
    "generalized_zero_shot_accuracy",
    "harmonic_mean",
    "idct",
    "info_nce",
    "irdft",
    "kl_to_standard_normal",
    "merge_frames",
    "motion",
    "motion_consistency_loss",
    "motion_reconstruction_loss",
    "patchify",
    "rdft",
    "relative_log_amplitude",
    "reparameterize",
    "resample",
    "seen_unseen_curve",
    "similarity_distillation_loss",
    "spectral_filter",
    "spectral_filter_2d",
    "split_bands",
    "split_frames",
    "tube_mask",
    "unpatchify",
]
