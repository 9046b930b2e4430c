"""Measurements behind the numbers in ``docs/benchmarks.md``; run them with ``python -m``."""
