"""``python -m examples.mica.robustness``: a supervised encoder under noise, with FreST or not."""

from __future__ import annotations

import sys

from examples.common.signals import command


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return command("mica.robustness", "examples.mica.noise", argv)


if __name__ == "__main__":
    sys.exit(main())
