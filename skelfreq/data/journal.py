"""The folder of an unfinished conversion, and the journal by which it can be resumed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

__all__ = ["Journal"]

_NAME = "journal"
_START = {"unit": 0, "items": 0, "rows": 0, "seen_rows": 0, "bytes": 0, "seen_bytes": 0}


class Journal:
    """A hidden folder with a journal of lines; a line counts once its end has been written.

    Parameters
    ----------
    folder : Path
        The folder; made, or taken over if its journal has the same fingerprint.
    fingerprint : str
        What identifies source and options.
    arrays : tuple of str
        Names of the two files that grow: ``state["bytes"]`` and ``state["seen_bytes"]`` of them are
        vouched for.

    Attributes
    ----------
    state : dict
        How far the conversion has come.
    records : list
        What was added, in order.
    layout : dict
        The layout of the clips, empty before the first one.

    Raises
    ------
    RuntimeError
        If another process works in the folder.
    """

    def __init__(self, folder: Path, fingerprint: str, arrays: tuple[str, str]) -> None:
        self.folder = folder
        self._arrays = arrays
        self._fingerprint = fingerprint
        self.state: dict[str, int] = dict(_START)
        self.records: list[list[Any]] = []
        self.layout: dict[str, Any] = {}
        self._saved = 0
        folder.mkdir(exist_ok=True)
        self._file: BinaryIO = (folder / _NAME).open("a+b")
        try:
            _lock(self._file, folder)
        except RuntimeError:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        """Read the journal."""
        end = self._read(self._file)
        self._file.truncate(end)
        if not end:
            for path in self.folder.iterdir():
                if path.name != _NAME:
                    path.unlink()
            self._line({"fingerprint": self._fingerprint})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the folder, which stays."""
        self._file.close()

    def _read(self, file: BinaryIO) -> int:
        """Read all complete lines; return the byte after them, 0 to begin anew."""
        file.seek(0)
        end = 0
        try:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                entry = json.loads(line)
                if end == 0 and entry != {"fingerprint": self._fingerprint}:
                    return 0
                if end:
                    self.state = {key: int(entry["state"][key]) for key in _START}
                    self.records += entry["records"]
                    self.layout = entry["layout"]
                end += len(line)
            for name, key in zip(self._arrays, ("bytes", "seen_bytes"), strict=True):
                path = self.folder / name
                if self.state[key] > (path.stat().st_size if path.exists() else 0):
                    raise ValueError("the arrays are shorter than the journal says")
        except (ValueError, KeyError, TypeError, RecursionError):
            self.state, self.records, self.layout = dict(_START), [], {}
            return 0
        self._saved = len(self.records)
        return end

    def _line(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def add(self, record: list[Any]) -> None:
        """Add a record, to be written with the next state."""
        self.records.append(record)

    def set_layout(self, layout: dict[str, Any]) -> None:
        """Set the layout of the clips."""
        self.layout = layout

    def save(self, state: dict[str, int]) -> None:
        """Write the state and the records since the last one."""
        new = self.records[self._saved :]
        self._line({"state": state, "records": new, "layout": self.layout})
        self._saved = len(self.records)

    def open(self, name: str) -> BinaryIO:
        """Open a file of the folder for reading and writing."""
        path = self.folder / name
        path.touch()
        return path.open("r+b")

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the folder."""
        with (self.folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def remove(self, name: str) -> None:
        """Remove a file of the folder."""
        (self.folder / name).unlink()

    def close(self) -> None:
        """Remove the journal: the folder is complete."""
        self._file.close()
        self.remove(_NAME)

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _lock(file: BinaryIO, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:
        # Windows: two conversions to one folder are not kept apart there.
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise RuntimeError(f"{folder}: another process is converting to this folder.") from error
