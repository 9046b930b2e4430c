"""Mutants that no test can kill, each with the reason; ``Mutant.key`` names them."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {}
