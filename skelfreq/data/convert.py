"""Conversion into the converted form: atomic, resumable, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from skelfreq.data.converted import CONFIDENCE, FORMAT, INDEX, JOINTS, VERSION, ConvertedSet
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.index_writer import told
from skelfreq.data.journal import Journal
from skelfreq.data.reading import ClipSource
from skelfreq.data.source import Options
from skelfreq.data.writer import GROWING, Writer

__all__ = ["convert"]

_PARTIAL, _OLD = "partial", "old"
_FILES = {INDEX, JOINTS, CONFIDENCE}
_HEAD = 4096


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
        Replace ``out`` if it is a converted set or an empty folder.
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
        If ``out`` exists and is not to be replaced, holds anything but a converted set, or is a
        link.
    RuntimeError
        If another process is converting to the same folder.
    ValueError
        If the format or an option is unknown, or ``out`` is the source, lies in it or holds a part
        of it.
    OSError
        If files cannot be written; the conversion can be resumed.
    """
    path, out = Path(path), Path(out)
    _check_apart(path, out)
    _check_free(out, overwrite)
    source = ClipSource(path, format, options)
    if out.exists():
        _check_links(source, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.parent / f".{out.name}.{_PARTIAL}"
    _check_own(folder)
    with Journal(folder, _fingerprint(source), GROWING) as journal:
        try:
            Writer(source, journal, progress).run()
        except SkeletonFormatError:
            journal.discard()
            raise
        except OSError as error:
            # A write that fails does not say where.
            error.filename = error.filename or str(folder)
            raise
        # Again: the folder may have been filled while the conversion went on.
        _check_free(out, overwrite)
        journal.close()
    _rename(folder, out)
    return ConvertedSet(out, source.options.limits)


def _check_free(out: Path, overwrite: bool) -> None:
    """Raise FileExistsError unless the name is free, or what has it may be replaced."""
    if out.is_symlink():
        raise FileExistsError(f"{out}: is a link. Choose another name, or the folder behind it.")
    if not out.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{out}: exists already. Choose another name or pass --overwrite.")
    other = _not_converted(out)
    if other:
        raise FileExistsError(
            f"{out}: {other}; --overwrite replaces a converted set or an empty folder only. "
            f"Choose another name."
        )


def _not_converted(out: Path) -> str:
    """Return what speaks against a path being a converted set or an empty folder."""
    if not out.is_dir():
        return "is not a folder"
    entries = {entry.name: entry for entry in out.iterdir()}
    for name, entry in sorted(entries.items()):
        if name not in _FILES or not entry.is_file() or entry.is_symlink():
            return f"holds {printable(repr(name))}"
    if not entries:
        return ""
    if INDEX not in entries:
        return f"has no {INDEX}"
    # A damaged set may be replaced, so only the beginning of its index is looked at.
    with entries[INDEX].open("rb") as file:
        known = f'"{FORMAT}"'.encode() in file.read(_HEAD)
    return "" if known else f"has an {INDEX} of another kind"


def _check_apart(path: Path, out: Path) -> None:
    """Raise ValueError if the source and the new folder are the same or one holds the other."""
    # Not Path.resolve, which raises for links in a loop.
    source, target = (Path(os.path.realpath(given)) for given in (path, out))
    relation = ""
    if target == source:
        relation = "is IN"
    elif target in source.parents:
        relation = "contains IN"
    elif source in target.parents:
        relation = "lies in IN"
    if relation:
        raise ValueError(f"OUT {relation} ({out} and {path}). Choose an OUT apart from IN.")


def _check_links(source: ClipSource, out: Path) -> None:
    """Raise ValueError if a file of the source is a link into the folder to be replaced."""
    target = Path(os.path.realpath(out))
    for unit in source.units:
        for file in unit.files:
            if file.is_symlink() and target in Path(os.path.realpath(file)).parents:
                raise ValueError(f"OUT contains {file} of IN ({out}). Choose an OUT apart from IN.")


def _check_own(folder: Path) -> None:
    """Raise FileExistsError if the name of the unfinished conversion belongs to something else."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileExistsError(f"{folder}: is not the folder of an unfinished conversion. Move it.")


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
    if out.exists():
        if old.exists():
            _remove(old)
        out.rename(old)
    folder.rename(out)
    if old.exists():
        _remove(old)


def _remove(folder: Path) -> None:
    """Remove a converted set and nothing else."""
    for name in sorted(_FILES):
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()
