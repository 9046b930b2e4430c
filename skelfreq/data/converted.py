"""The converted form: a folder with memory-mapped joints and an index, read clip by clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelfreq.data.arrays import map_npy, read_npy_header
from skelfreq.data.clips import Clip, FloatArray
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import Limits, read_json
from skelfreq.data.index import IndexFile

__all__ = ["ConvertedSet", "is_converted"]

INDEX, JOINTS, CONFIDENCE = "index.json", "joints.npy", "confidence.npy"
FORMAT, VERSION = "skelfreq-clips", 1
NUMBERS = ("label", "subject", "camera", "setup", "repetition")
# A set of this many clips has an index of some 200 MB.
_INDEX_LIMIT = 256 << 20


def is_converted(path: str | Path) -> bool:
    """Return whether a folder looks like the converted form."""
    return (Path(path) / INDEX).is_file() and (Path(path) / JOINTS).is_file()


class ConvertedSet:
    """Clips in the converted form, as ``python -m skelfreq.data convert`` writes it.

    ``joints.npy`` is float32 ``[rows, V, C]``: clip i is a block of ``lengths[i] * persons[i]``
    rows, ``[T, M, V, C]`` in C order. It is mapped into memory when a clip is first asked for, once
    per process, so that an object may be pickled and handed to workers; the index stays in memory.

    Parameters
    ----------
    path : str or Path
        The folder.
    limits : Limits, optional
        Sizes allowed.

    Attributes
    ----------
    names : tuple of str
        One name per clip.
    lengths, persons : ndarray
        int64 ``[n]``: frames T and persons M of each clip, at least 1.
    labels, subjects, cameras, setups, repetitions : ndarray
        int64 ``[n]``; -1 where the source does not give the number.
    splits : tuple of str
        ``"train"``, ``"test"`` or ``""`` per clip.
    class_names : tuple of str
        One name per class.
    layout : SkeletonLayout
        Joint order and bones.
    channels : int
        Coordinates C of a joint.
    unit : str
        ``"m"``, ``"px"`` or ``""`` where unknown.
    preprocessing : tuple of str
        What was done to the numbers of the source, in order.
    source : dict
        Format, name, options and SHA-256 of what was converted.
    dropped : tuple of (str, str)
        Name and reason of every clip that was left out.
    record : dict
        The whole content of ``index.json``.

    Raises
    ------
    SkeletonFormatError
        If files are missing, damaged or do not fit together.

    Examples
    --------
    ``dataset = ConvertedSet("ntu60")``; ``dataset[3].joints`` is ``[T, M, V, C]``.
    """

    def __init__(self, path: str | Path, limits: Limits | None = None) -> None:
        self.path = Path(path)
        self._limits = limits or Limits()
        index = read_json(self.path / INDEX, Limits(self._limits.max_bytes or _INDEX_LIMIT))
        self._fill(IndexFile(self.path / INDEX, index))
        self._joints: NDArray[Any] | None = None
        self._confidence: NDArray[Any] | None = None

    def _fill(self, index: IndexFile) -> None:
        self.record = index.content
        if index.text("format") != FORMAT or index.content.get("version") != VERSION:
            raise index.refuse(
                f"expected {FORMAT} version {VERSION}",
                "Convert the source again with this version of skelfreq",
            )
        self.layout = index.layout()
        self.channels = index.integer("channels", 1)
        self.unit = index.text("unit")
        self.class_names = index.texts(index.content, "class_names")
        self.preprocessing = index.texts(index.content, "preprocessing")
        self.source: dict[str, Any] = index.mapping("source")
        self.dropped = index.pairs("dropped")
        clips = index.mapping("clips")
        self.names = index.texts(clips, "name")
        count = len(self.names)
        self.lengths = index.numbers(clips, "length", count, 1)
        self.persons = index.numbers(clips, "persons", count, 1)
        columns = [index.numbers(clips, key, count, -1) for key in NUMBERS]
        self.labels, self.subjects, self.cameras, self.setups, self.repetitions = columns
        self.splits = index.texts(clips, "split", count)
        if not set(self.splits) <= {"", "train", "test"}:
            raise index.refuse("split must be 'train', 'test' or ''")
        if count and self.labels.max() >= len(self.class_names):
            raise index.refuse(
                f"label must lie below the {len(self.class_names)} class names, "
                f"got {self.labels.max()}"
            )
        index.check_optional(clips, count, self.persons.tolist())
        # In Python's integers: int64 could wrap.
        rows = [int(t) * int(m) for t, m in zip(self.lengths, self.persons, strict=True)]
        self._check_rows(sum(rows))
        self.starts = np.cumsum([0, *rows], dtype=np.int64)[:-1]

    def _check_rows(self, rows: int) -> None:
        shapes = {JOINTS: (rows, self.layout.num_joints, self.channels)}
        self.has_confidence = bool(self.record.get("confidence"))
        if self.has_confidence:
            shapes[CONFIDENCE] = shapes[JOINTS][:2]  # type: ignore[assignment]
        for name, shape in shapes.items():
            header = read_npy_header(self.path / name, self._limits)
            if header.shape != shape or header.dtype != np.dtype("<f4") or header.order != "C":
                raise SkeletonFormatError(
                    self.path / name,
                    f"expected float32 of shape {shape} as {INDEX} says, got {header.dtype} of "
                    f"shape {header.shape}",
                    remedy="Convert the source again",
                )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the memory maps, which every process opens itself."""
        return {**self.__dict__, "_joints": None, "_confidence": None}

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.names)

    def joints(self, index: int) -> FloatArray:
        """Return a read-only view ``[T, M, V, C]`` of the file; nothing is read before use."""
        if self._joints is None:
            self._joints = map_npy(self.path / JOINTS, self._limits)
        return self._block(self._joints, index)

    def confidence(self, index: int) -> FloatArray | None:
        """Return a read-only view ``[T, M, V]``, or None where the source gives none."""
        if not self.has_confidence:
            return None
        if self._confidence is None:
            self._confidence = map_npy(self.path / CONFIDENCE, self._limits)
        return self._block(self._confidence, index)

    def _block(self, array: NDArray[Any], index: int) -> FloatArray:
        index = range(len(self))[index]
        frames, persons = int(self.lengths[index]), int(self.persons[index])
        start = int(self.starts[index])
        rows = array[start : start + frames * persons]
        return rows.reshape(frames, persons, *array.shape[1:])

    def __getitem__(self, index: int) -> Clip:
        """Return a clip whose arrays are views of the files."""
        index = range(len(self))[index]
        columns = self.record["clips"]
        numbers = {key: columns[key][index] for key in (*NUMBERS, "split")}
        if "person_ids" in columns:
            numbers["persons"] = tuple(columns["person_ids"][index])
        if "frame_rate" in columns:
            numbers["frame_rate"] = columns["frame_rate"][index]
        if "image_size" in columns:
            numbers["image_size"] = tuple(columns["image_size"][index])
        if numbers["label"] >= 0:
            numbers["label_name"] = self.class_names[numbers["label"]]
        joints, confidence = self.joints(index), self.confidence(index)
        return Clip(self.names[index], joints, confidence, self.layout, **numbers)

    def __iter__(self) -> Iterator[Clip]:
        """Yield every clip in order."""
        return (self[index] for index in range(len(self)))
