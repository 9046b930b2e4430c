"""The one error that every reader raises for a file it cannot use."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SkeletonFormatError"]


class SkeletonFormatError(ValueError):
    """A file cannot be read as skeleton data.

    Parameters
    ----------
    path : str or Path
        The file or folder.
    reason : str
        What was expected and what was found, as a clause without a full stop.
    line : int, optional
        Line of the file, counted from 1.
    offset : int, optional
        Byte of the file, counted from 0.
    item : str, optional
        Part of the file: a key, a clip, a frame.
    remedy : str, optional
        What the user can do, as a sentence without a full stop.

    Examples
    --------
    >>> raise SkeletonFormatError("a.txt", "expected 4 numbers, got 3", line=7)
    Traceback (most recent call last):
    skelfreq.data.errors.SkeletonFormatError: a.txt, line 7: expected 4 numbers, got 3.
    """

    def __init__(
        self,
        path: str | Path,
        reason: str,
        *,
        line: int | None = None,
        offset: int | None = None,
        item: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.path = str(path)
        self.reason = reason
        self.line = line
        self.offset = offset
        self.item = item
        self.remedy = remedy
        # Names of files and clips come from outside: they must not break or flood the message.
        where = printable(self.path, 400)
        where += f", line {line}" if line is not None else ""
        where += f", byte {offset}" if offset is not None else ""
        where += f", {printable(item, 120)}" if item else ""
        message = f"{where}: {printable(reason, 600)}."
        super().__init__(message + (f" {printable(remedy, 400)}." if remedy else ""))

    def with_remedy(self, remedy: str) -> SkeletonFormatError:
        """Return the same error with another remedy."""
        return _rebuild(self.path, self.reason, self.line, self.offset, self.item, remedy)

    def __reduce__(self) -> tuple[object, ...]:
        """Return what rebuilds the error in another process."""
        rest = (self.line, self.offset, self.item, self.remedy)
        return (_rebuild, (self.path, self.reason, *rest))


def _rebuild(
    path: str,
    reason: str,
    line: int | None,
    offset: int | None,
    item: str | None,
    remedy: str | None,
) -> SkeletonFormatError:
    return SkeletonFormatError(path, reason, line=line, offset=offset, item=item, remedy=remedy)


def printable(text: str, limit: int = 80) -> str:
    """Return ``text`` shortened, with control characters and lone surrogates escaped."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:limit])
    return shown + ("..." if len(text) > limit else "")
