"""``python -m examples.fd_mae``: pre-train, evaluate, draw, in one run folder."""

from __future__ import annotations

import sys

from examples.common.signals import command


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return command("fd_mae", "examples.fd_mae.experiment", argv)


if __name__ == "__main__":
    sys.exit(main())
