"""Transforms of batches of skeletons ``[N, C, T, V]``: modules to compose, and their functions.

Every module is called ``module(x, lengths=None, *, confidence=None, generator=None)`` and returns
``(x, lengths, confidence)``. Random ones draw once per sample. Nothing is read back from a GPU,
frames from ``lengths`` on are never read and are zero in the result, and gradients flow to ``x``.
"""

from skelfreq.data.transforms._common import Compose, Skeletons, Transform
from skelfreq.data.transforms.augment import (
    Jitter,
    JointDropout,
    RandomFlip,
    RandomRotation,
    RandomScale,
    RandomShear,
    flip,
)
from skelfreq.data.transforms.missing import FillMissing, fill_missing
from skelfreq.data.transforms.persons import SelectPersons, motion_energy
from skelfreq.data.transforms.spatial import (
    Centre,
    FaceForward,
    ScaleBones,
    centre,
    face_forward,
    scale_bones,
)
from skelfreq.data.transforms.streams import Streams, bones
from skelfreq.data.transforms.temporal import (
    RandomCrop,
    RandomCropResample,
    Resample,
    resample_linear,
)

__all__ = [
    "Centre",
    "Compose",
    "FaceForward",
    "FillMissing",
    "Jitter",
    "JointDropout",
    "RandomCrop",
    "RandomCropResample",
    "RandomFlip",
    "RandomRotation",
    "RandomScale",
    "RandomShear",
    "Resample",
    "ScaleBones",
    "SelectPersons",
    "Skeletons",
    "Streams",
    "Transform",
    "bones",
    "centre",
    "face_forward",
    "fill_missing",
    "flip",
    "motion_energy",
    "resample_linear",
    "scale_bones",
]
