"""``python -m examples.fs_vae``: zero-shot recognition in four stages, in one run folder."""

from __future__ import annotations

import sys

from examples.common.signals import command


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return command("fs_vae", "examples.fs_vae.experiment", argv)


if __name__ == "__main__":
    sys.exit(main())
