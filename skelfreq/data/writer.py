"""Writing of the converted form into the folder of an unfinished conversion."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from skelfreq.data.clips import Clip, Dropped
from skelfreq.data.converted import CONFIDENCE, JOINTS
from skelfreq.data.errors import SkeletonFormatError
from skelfreq.data.files import Limits, open_regular
from skelfreq.data.index_writer import write_index
from skelfreq.data.journal import Journal
from skelfreq.data.layouts import unnamed_layout
from skelfreq.data.progress import progress_bar
from skelfreq.data.reading import ClipSource, check_any
from skelfreq.data.source import Unit
from skelfreq.skeletons import SkeletonLayout

__all__ = ["GROWING", "Writer"]

_NPY_HEADER = 128
_SEEN = "confidence.part"
GROWING = (JOINTS, _SEEN)
_CHECKPOINT_SECONDS, _CHECKPOINT_BYTES = 2.0, 256 << 20


def _hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with open_regular(file, Limits(1 << 62), "archive") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


class Writer:
    """Appends clips to the arrays and keeps the journal."""

    def __init__(self, source: ClipSource, journal: Journal, progress: bool) -> None:
        self.source = source
        self.journal = journal
        self.progress = progress
        self._form: tuple[SkeletonLayout, int] | None = None
        self.rows = self.seen_rows = 0
        self.pending = 0
        self.saved = time.monotonic()

    def run(self) -> None:
        """Convert what is not converted yet and finish the folder."""
        with self.journal.open(JOINTS) as joints, self.journal.open(_SEEN) as seen:
            self.rows, self.seen_rows = self._resume(joints, seen)
            self._units((joints, seen))
            self._save((joints, seen), len(self.source.units), 0)
            records = self.journal.records
            clips = [record[1] for record in records if record[0] == "clip"]
            dropped = [Dropped(record[1], record[2]) for record in records if record[0] == "drop"]
            check_any(self.source, len(clips), dropped)
            has_confidence = self._finish_arrays(joints, seen, clips)
        write_index(self.source, self.journal, has_confidence)
        self.journal.remove(_SEEN)

    def _resume(self, joints: BinaryIO, confidence: BinaryIO) -> tuple[int, int]:
        """Cut the arrays back to what the journal vouches for."""
        state = self.journal.state
        joints.truncate(state["bytes"] or 0)
        confidence.truncate(state["seen_bytes"] or 0)
        for file in (joints, confidence):
            file.seek(0, os.SEEK_END)
            if not file.tell():
                file.write(b"\0" * _NPY_HEADER)
        return state["rows"], state["seen_rows"]

    def _units(self, files: tuple[BinaryIO, BinaryIO]) -> None:
        first, skip = self.journal.state["unit"], self.journal.state["items"]
        total = len(self.source.units)
        several = total > 1
        shown = total if several else None, "files" if several else "clips"
        with progress_bar(self.progress, *shown, first if several else skip) as advance:
            current, count = first, 0
            for unit, item in self.source.items(first):
                while current < unit:
                    self._hashed(current)
                    current, count, skip = current + 1, 0, 0
                    advance()
                    self._maybe_save(files, current, 0)
                count += 1
                if count <= skip:
                    continue
                self._add(item, self.source.units[unit], files)
                if not several:
                    advance()
                self._maybe_save(files, unit, count)
            while current < total:
                self._hashed(current)
                current += 1
                if several:
                    advance()

    def _hashed(self, unit: int) -> None:
        files = self.source.units[unit].files
        try:
            self.journal.add(["hash", unit, _hash(files)])
        except (OSError, SkeletonFormatError):
            # Left out because it cannot be read: the reader has said so.
            self.journal.add(["hash", unit, ""])

    def _add(self, item: Clip | Dropped, unit: Unit, files: tuple[BinaryIO, BinaryIO]) -> None:
        if isinstance(item, Dropped):
            self.journal.add(["drop", item.name, item.reason])
            return
        self._check_same(item, unit)
        record = _record(item)
        joints = np.ascontiguousarray(item.joints, "<f4")
        files[0].write(joints.data)
        self.rows += joints.shape[0] * joints.shape[1]
        if item.confidence is not None:
            files[1].write(np.ascontiguousarray(item.confidence, "<f4").data)
            self.seen_rows += joints.shape[0] * joints.shape[1]
        self.pending += joints.nbytes
        self.journal.add(["clip", record])

    def _check_same(self, clip: Clip, unit: Unit) -> None:
        form = clip.layout or unnamed_layout(clip.joints.shape[2]), clip.joints.shape[3]
        if form == self._form:
            return
        self._form = form
        # As JSON gives it back: tuples become lists.
        same = json.loads(json.dumps({**dataclasses.asdict(form[0]), "channels": form[1]}))
        known = self.journal.layout
        if not known:
            # With the unit, which a resumed conversion may not come to know again.
            self.journal.set_layout({**same, "unit": self.source.reader.unit})
        elif {**known, "unit": ""} != {**same, "unit": ""}:
            raise SkeletonFormatError(
                unit.path,
                f"{clip.name!r} has the layout {same['name']} with {same['channels']} coordinates, "
                f"the clips before it {known['name']} with {known['channels']}, or other bones",
                remedy="Convert files with different skeletons one set at a time",
            )

    def _maybe_save(self, files: tuple[BinaryIO, BinaryIO], unit: int, items: int) -> None:
        due = time.monotonic() - self.saved > _CHECKPOINT_SECONDS
        if due or self.pending > _CHECKPOINT_BYTES:
            self._save(files, unit, items)

    def _save(self, files: tuple[BinaryIO, BinaryIO], unit: int, items: int) -> None:
        """Bring the arrays to the disk, then the journal that vouches for them."""
        for file in files:
            file.flush()
            os.fsync(file.fileno())
        state = {
            "unit": unit, "items": items, "rows": self.rows, "seen_rows": self.seen_rows,
            "bytes": files[0].tell(), "seen_bytes": files[1].tell(),
        }  # fmt: skip
        self.journal.save(state)
        self.saved, self.pending = time.monotonic(), 0

    def _finish_arrays(self, joints: BinaryIO, seen: BinaryIO, clips: list[dict[str, Any]]) -> bool:
        """Write headers and the confidence of all clips; return whether any has one."""
        layout = self.journal.layout
        shape = (self.rows, len(layout["joints"]), layout["channels"])
        _write_header(joints, shape)
        if not any(clip["seen"] for clip in clips):
            return False
        seen.seek(_NPY_HEADER)
        # Into a new file, so that a kill leaves the old one as the journal knows it.
        with self.journal.open(CONFIDENCE) as confidence:
            _write_header(confidence, shape[:2])
            for clip in clips:
                size = clip["length"] * clip["people"] * shape[1]
                block = seen.read(4 * size) if clip["seen"] else np.ones(size, "<f4").tobytes()
                confidence.write(block)
            confidence.truncate()
            confidence.flush()
            os.fsync(confidence.fileno())
        return True


def _record(clip: Clip) -> dict[str, Any]:
    return {
        "name": clip.name, "length": clip.num_frames, "people": clip.num_persons,
        "label": clip.label, "label_name": clip.label_name, "subject": clip.subject,
        "camera": clip.camera, "setup": clip.setup, "repetition": clip.repetition,
        "split": clip.split, "rate": clip.frame_rate, "image": list(clip.image_size),
        "ids": list(clip.persons), "seen": clip.confidence is not None,
    }  # fmt: skip


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Write the header of an array whose data stand from byte 128 on."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    start = b"\x93NUMPY\x01\x00" + (_NPY_HEADER - 10).to_bytes(2, "little")
    file.seek(0)
    file.write(start + text.ljust(_NPY_HEADER - 11).encode("ascii") + b"\n")
    file.flush()
    os.fsync(file.fileno())
