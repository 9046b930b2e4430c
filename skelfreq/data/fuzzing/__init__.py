"""Mutated files against the readers: ``python -m skelfreq.data fuzz``."""
