"""Skeleton data for the examples: embedded motions, protocols, and any file skelfreq.data reads."""

from examples.data.clips import SkeletonClips, fill_missing, normalise, resample_clips
from examples.data.protocols import class_split, few_labels, split
from examples.data.sets import load
from examples.data.synthetic import synthetic_ntu25

__all__ = [
    "SkeletonClips",
    "class_split",
    "few_labels",
    "fill_missing",
    "load",
    "normalise",
    "resample_clips",
    "split",
    "synthetic_ntu25",
]
