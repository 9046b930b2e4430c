"""Transforms of batches of skeletons ``[N, C, T, V]``: modules to compose, and their functions.

Every module is called ``module(x, lengths=None, *, confidence=None, generator=None)`` and returns
``(x, lengths, confidence)``. Random ones draw once per sample. Nothing is read back from a GPU,
frames from ``lengths`` on are never read and are zero in the result, and gradients flow to ``x``.
"""

from skelfreq.data.transforms._common import Compose, Skeletons, Transform
from skelfreq.data.transforms.augment import RandomRotation, RandomScale, RandomShear
from skelfreq.data.transforms.centring import Centre, centre
from skelfreq.data.transforms.facing import FaceForward, face_forward
from skelfreq.data.transforms.mirror import RandomFlip, flip
from skelfreq.data.transforms.missing import FillMissing, fill_missing
from skelfreq.data.transforms.noise import Jitter, JointDropout
from skelfreq.data.transforms.persons import (
    SelectPersons,
    fold_persons,
    motion_energy,
    unfold_persons,
)
from skelfreq.data.transforms.size import ScaleBones, scale_bones
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
    "fold_persons",
    "motion_energy",
    "resample_linear",
    "scale_bones",
    "unfold_persons",
]
