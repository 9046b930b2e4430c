"""``python -m examples.mica``: train, evaluate, draw, in one run folder."""

from __future__ import annotations

import sys

from examples.common.signals import command


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return command("mica", "examples.mica.experiment", argv)


if __name__ == "__main__":
    sys.exit(main())
