"""Skeleton files of many formats, read safely, and their converted, memory-mapped form."""

from skelfreq.data.clips import Clip
from skelfreq.data.converted import ConvertedSet
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import Limits

__all__ = ["Clip", "ConvertedSet", "Limits", "SkeletonFormatError"]
