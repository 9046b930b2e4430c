"""Skeleton files of many formats, read safely, and their converted, memory-mapped form."""

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.convert import convert
from skelfreq.data.converted import ConvertedSet
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import Limits
from skelfreq.data.reading import ClipSet, ClipSource, read
from skelfreq.data.registry import READERS, detect_format
from skelfreq.data.source import Options

__all__ = [
    "READERS",
    "Clip",
    "ClipSet",
    "ClipSource",
    "ConvertedSet",
    "Dropped",
    "Limits",
    "Options",
    "SkeletonFormatError",
    "convert",
    "detect_format",
    "read",
]
