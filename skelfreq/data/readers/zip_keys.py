"""The keys of an archive, for recognising it."""

from __future__ import annotations

from pathlib import Path

from skelfreq.data.archives import open_archive
from skelfreq.data.files import Limits

__all__ = ["archive_keys"]


def archive_keys(path: Path) -> tuple[str, ...]:
    """Return the keys of an ``.npz`` archive, or raise SkeletonFormatError."""
    # Only the directory of the archive is read here; the limits are for its reader.
    with open_archive(path, Limits(1 << 62)) as archive:
        return archive.keys
