"""A progress bar where tqdm is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(
    show: bool, total: int | None, unit: str, start: int = 0
) -> Iterator[Callable[[], object]]:
    """Give a function to call after every step of ``total``, if that is known."""
    if show:
        try:
            from tqdm import tqdm
        except ImportError:
            show = False
    if not show:
        yield lambda: None
        return
    with tqdm(total=total, initial=start, unit=f" {unit}") as bar:
        yield bar.update
