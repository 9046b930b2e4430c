"""Conversion into the converted form: atomic, resumable, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from skelfreq.data.converted import FORMAT, VERSION, ConvertedSet
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.index_writer import told
from skelfreq.data.journal import Journal
from skelfreq.data.reading import ClipSource
from skelfreq.data.source import Options
from skelfreq.data.writer import GROWING, Writer

__all__ = ["convert"]

_PARTIAL, _OLD = "partial", "old"


def convert(
    path: str | Path,
    out: str | Path,
    format: str | None = None,
    options: Options | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> ConvertedSet:
    """Convert a file or folder into the converted form.

    One clip is in memory at a time. Everything is written to a hidden folder beside ``out``, which
    takes the name ``out`` when it is complete; a conversion that was killed goes on from there, as
    long as the source and the options are the same. The same source gives the same bytes.

    Parameters
    ----------
    path : str or Path
        What to convert.
    out : str or Path
        Folder to make.
    format : str, optional
        Name of the format; found out by default.
    options : Options, optional
        How to read.
    overwrite : bool, default False
        Replace ``out`` if it exists.
    progress : bool, default False
        Show a progress bar, if tqdm is installed.

    Returns
    -------
    ConvertedSet
        The new set.

    Raises
    ------
    SkeletonFormatError
        If the source is malformed or holds no clips; nothing is left behind.
    FileExistsError
        If ``out`` exists and is not to be replaced.
    RuntimeError
        If another process is converting to the same folder.
    ValueError
        If the format or an option is unknown.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out}: exists already. Choose another name or pass --overwrite.")
    source = ClipSource(path, format, options)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.parent / f".{out.name}.{_PARTIAL}"
    with Journal(folder, _fingerprint(source), GROWING) as journal:
        try:
            Writer(source, journal, progress).run()
        except SkeletonFormatError:
            journal.discard()
            raise
        journal.close()
    _rename(folder, out)
    return ConvertedSet(out, source.options.limits)


def _fingerprint(source: ClipSource) -> str:
    """Return a text that differs if the source, its files or the options do."""
    digest = hashlib.sha256()
    about = [FORMAT, VERSION, source.reader.name, told(source.options)]
    digest.update(json.dumps(about).encode())
    for unit in source.units:
        for file in unit.files:
            status = os.stat_result((0,) * 10)
            if file.exists():
                status = file.stat()
            entry = [unit.name, str(file.absolute()), status.st_size, status.st_mtime_ns]
            digest.update(json.dumps(entry).encode())
    return digest.hexdigest()


def _rename(folder: Path, out: Path) -> None:
    """Give the finished folder its name, putting an old one aside until then."""
    old = out.parent / f".{out.name}.{_OLD}"
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    folder.rename(out)
    if old.is_dir():
        shutil.rmtree(old)
    elif old.exists():
        old.unlink()
