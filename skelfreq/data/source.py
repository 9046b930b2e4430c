"""What every reader is made of: options, units of work, and checks on what it gives out."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.clips import Clip, Dropped, FloatArray
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import Limits, text_lines

__all__ = ["Options", "Reader", "Unit", "check_size", "find_files", "numbers_of", "to_float32"]

# A clip must fit in memory next to what it is made from.
MAX_CLIP = 256 << 20
_MAX_FILES = 2_000_000
# Hidden files, and texts that come with data.
_NO_DATA = re.compile(r"\..*|(read[ _-]?me|licen[cs]e)([^a-z].*)?\.txt")
_WINDOWS_NAN = re.compile(rb"[-+]?\d\.#\w+")


@dataclass(frozen=True)
class Options:
    """How files are read.

    Parameters
    ----------
    limits : Limits
        Sizes allowed.
    layout : str, optional
        Name of the joint order, where the file does not tell it or tells it wrongly.
    axes : str, optional
        Order of the axes of a plain array, for example ``"NTVC"``.
    key : str, optional
        Name of the array to read in an ``.npz`` archive of plain arrays.
    score : bool, default False
        The last channel of a plain array is a confidence.
    trim : bool, default False
        Frames at the end of a plain array that are all zero are padding.
    split : str, optional
        Which of several splits in the file sets ``Clip.split``, for example ``"xsub"``.
    missing : str or Path, optional
        File with names of samples to leave out, one per line.
    keep_missing : bool, default False
        Read the samples of NTU RGB+D that its authors list as incomplete.
    end_sites : bool, default False
        Give the end sites of BVH files as joints.
    non_finite : {"error", "missing"}
        What to do about a coordinate that is NaN or infinite: raise, or set the joint to zero with
        confidence 0.
    max_persons : int, optional
        Keep this many persons per clip, those who move most.
    folder_labels : bool, default False
        The folder of a file is its class.
    pattern : str, optional
        Regular expression with groups named ``label``, ``subject``, ``camera``, ``setup`` or
        ``repetition``, searched in the name of every clip.
    skip_errors : bool, default False
        Leave out files that cannot be read instead of stopping.
    """

    limits: Limits = field(default_factory=Limits)
    layout: str | None = None
    axes: str | None = None
    key: str | None = None
    score: bool = False
    trim: bool = False
    split: str | None = None
    missing: str | Path | None = None
    keep_missing: bool = False
    end_sites: bool = False
    non_finite: Literal["error", "missing"] = "error"
    max_persons: int | None = None
    folder_labels: bool = False
    pattern: str | None = None
    skip_errors: bool = False


@dataclass(frozen=True)
class Unit:
    """Files that are read together: one clip, one recording or one archive.

    Parameters
    ----------
    name : str
        Name for the clips in it.
    files : tuple of Path
        The files, the main one first.
    folder : str
        Name of the folder of the main file, "" for a single file.
    """

    name: str
    files: tuple[Path, ...]
    folder: str = ""

    @property
    def path(self) -> Path:
        """The main file."""
        return self.files[0]

    def size(self) -> int:
        """Return the bytes of all files, 0 for those that cannot be looked at."""
        return sum(map(size_of, self.files))


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 if it cannot be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class Reader(ABC):
    """A format: how its files are recognised, found and read.

    Attributes
    ----------
    name : str
        Name for ``--format``.
    reads : str
        One line about what is read.
    suffixes : tuple of str
        Endings of the files, in lower case.
    unit : str
        Unit of the coordinates: ``"m"``, ``"px"`` or ``""``.
    preprocessing : tuple of str
        What was done to the coordinates before they were written to these files.
    max_growth, free_growth : int
        How many times as large as the files their clips may be, and how large in any case.
    """

    name: ClassVar[str]
    reads: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    unit: str = ""
    preprocessing: ClassVar[tuple[str, ...]] = ()
    max_growth: ClassVar[int] = 1000
    free_growth: ClassVar[int] = 256 << 20

    @abstractmethod
    def matches(self, path: Path, head: bytes) -> bool:
        """Return whether a file that starts with ``head`` seems to be in this format.

        Raises SkeletonFormatError where that cannot be said because the file is damaged.
        """

    @abstractmethod
    def read(self, unit: Unit, options: Options) -> Iterator[Clip | Dropped]:
        """Yield the clips of a unit; raise SkeletonFormatError where it is malformed.

        Called with numpy's warnings about overflow and the like off.
        """

    def units(self, path: Path, options: Options) -> list[Unit]:
        """Return what is to be read: the file itself, or all files of the folder."""
        return units_of(path, self.select(find_files(path, self.suffixes), options))

    def select(self, files: list[Path], options: Options) -> list[Path]:
        """Return the files to read among those with the right ending."""
        return files

    def class_names(self) -> Sequence[str]:
        """Return the names of the classes that the format fixes; empty where it fixes none."""
        return ()


def find_files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the file, or the files of a folder and its subfolders, sorted by name.

    Links to folders, hidden files and texts named readme or license are passed over.

    Raises
    ------
    SkeletonFormatError
        If the path does not exist, a folder cannot be listed or holds no such file.
    """
    if not path.is_dir():
        return [path]

    def refuse(error: OSError) -> None:
        raise SkeletonFormatError(error.filename or path, f"cannot be listed ({error.strerror})")

    found: list[Path] = []
    for folder, folders, files in os.walk(path, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(suffixes) and not _NO_DATA.fullmatch(name.lower()):
                found.append(Path(folder, name))
        if len(found) > _MAX_FILES:
            raise SkeletonFormatError(path, f"holds more than {_MAX_FILES} files")
    if not found:
        raise SkeletonFormatError(path, f"holds no file that ends in {' or '.join(suffixes)}")
    return found


def units_of(path: Path, files: Iterable[Path]) -> list[Unit]:
    """Return one unit per file, named by the file or, where names repeat, by its path."""
    files = list(files)
    stems = [file.stem for file in files]
    if len(set(stems)) < len(stems):
        stems = [file.relative_to(path).with_suffix("").as_posix() for file in files]
    return [Unit(stem, (file,), file.parent.name) for stem, file in zip(stems, files, strict=True)]


def numbers_of(
    path: Path, number: int, line: bytes, count: int, separator: bytes | None = None
) -> list[float]:
    """Return the numbers of a line of text.

    Raises
    ------
    SkeletonFormatError
        If the line does not hold ``count`` numbers.
    """
    words = line.split(separator)
    try:
        values = list(map(float, words))
    except ValueError:
        try:
            values = list(map(float, _WINDOWS_NAN.sub(b"nan", line).split(separator)))
        except ValueError:
            values = []
    if len(values) != count or len(words) != count:
        shown = line[:60].decode("ascii", "backslashreplace").strip()
        raise SkeletonFormatError(path, f"expected {count} numbers, got {shown!r}", line=number)
    return values


def integer_of(path: Path, number: int, line: bytes, what: str, high: int) -> int:
    """Return the integer that a line of text holds. Raises SkeletonFormatError."""
    word = line.strip()
    if not word.isdigit() or len(word) > 10 or int(word) > high:
        shown = line[:60].decode("ascii", "backslashreplace").strip()
        raise SkeletonFormatError(
            path, f"expected {what}, an integer from 0 to {high}, got {shown!r}", line=number
        )
    return int(word)


def filled_lines(path: Path, limits: Limits) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that hold anything but spaces, with their numbers."""
    return ((number, line) for number, line in text_lines(path, limits) if line.strip())


def check_size(path: Path, frames: int, persons: int, values: int, options: Options) -> None:
    """Raise SkeletonFormatError if a clip of that many values per person would be too large."""
    size = 4 * frames * persons * values
    limit = max(MAX_CLIP, options.limits.max_bytes or 0)
    if size > limit:
        raise SkeletonFormatError(
            path,
            f"{frames} frames of {persons} persons would need {size} bytes, the limit is {limit}",
            remedy="If the file is trusted, raise the limit with --max-bytes",
        )


def to_float32(
    path: Path,
    values: NDArray[np.floating] | NDArray[np.integer],
    options: Options,
    item: str | None = None,
    confidence: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray | None]:
    """Return joints ``[T, M, V, C]`` and their confidence in fp32, all finite.

    Raises
    ------
    SkeletonFormatError
        If a value is NaN, infinite or beyond fp32, unless such joints are to count as missing.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        joints = np.ascontiguousarray(values, np.float32)
    bad = np.asarray(~np.isfinite(joints).all(axis=-1))
    if bad.any():
        frame, person, joint = (int(index) for index in np.argwhere(bad)[0])
        if options.non_finite == "error":
            worst = np.asarray(values)[frame, person, joint]
            raise SkeletonFormatError(
                path,
                f"frame {frame}, person {person}, joint {joint} (from 0) is "
                f"{', '.join(f'{float(value):g}' for value in worst[:4])}, not finite in fp32",
                item=item,
                remedy="To count such joints as missing, pass --non-finite missing",
            )
        joints = np.where(bad[..., None], np.float32(0), joints)
        confidence = np.ones(bad.shape, np.float32) if confidence is None else confidence
        confidence = np.where(bad, np.float32(0), confidence)
    if confidence is not None and not np.isfinite(confidence).all():
        raise SkeletonFormatError(path, "holds a confidence that is not finite", item=item)
    return joints, confidence
