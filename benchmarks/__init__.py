"""The measurements of ``docs/benchmarks.md``; run them with ``python -m``."""
