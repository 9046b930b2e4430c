"""Descriptions of actions, and their features from a sentence encoder."""

from __future__ import annotations

from examples.text.descriptions import (
    LEVELS,
    Descriptions,
    describe,
    described_as,
    load_descriptions,
)
from examples.text.encoding import Encoder, class_features, encode, minilm, phrase_features

__all__ = [
    "LEVELS",
    "Descriptions",
    "Encoder",
    "class_features",
    "describe",
    "described_as",
    "encode",
    "load_descriptions",
    "minilm",
    "phrase_features",
]
