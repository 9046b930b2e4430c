"""Which versions of Python and torch do the tests of the library pass with?

``python -m tests.versions --folder FOLDER --python 3.10 3.13 --torch 2.6.0 2.10.0`` makes one
virtual environment for each pair, installs torch and what the tests import, runs ``tests/library``
there and prints a table with the failed tests. What has a result in FOLDER is not run again.
``--no-install`` takes interpreters that have torch already: ``--python "chroot /trixie python3"``
must find this folder at the same place. Where pip would fetch builds of torch for another device
than the CPU, let ``PIP_INDEX_URL`` name an index of CPU builds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("torch-dct", "einops", "scipy", "matplotlib", "hypothesis", "pytest", "pyyaml")
ABOUT = "import platform, torch; print(platform.python_version(), torch.__version__)"


@dataclass(frozen=True)
class Cell:
    """What became of the tests with one pair of versions."""

    python: str
    torch: str
    passed: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)
    problem: str = ""  # why no test was run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.versions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, required=True, help="for environments and results")
    parser.add_argument("--python", nargs="+", default=["3.11"], help="versions or commands")
    parser.add_argument("--torch", nargs="+", default=["2.13.0"], help="versions")
    parser.add_argument("--no-install", action="store_true", help="take torch as it is there")
    parser.add_argument("--tests", nargs="+", default=["tests/library"], help="what to run")
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    for python in args.python:
        for torch in ["installed"] if args.no_install else args.torch:
            name = re.sub(r"[^\w.]+", "-", f"{python}-torch-{torch}")
            result = args.folder / f"{name}.json"
            if not result.is_file():
                cell = try_pair(python, torch, args.folder / name, args.tests)
                result.write_text(json.dumps(asdict(cell), indent=1))
    cells = [Cell(**json.loads(path.read_text())) for path in sorted(args.folder.glob("*.json"))]
    print(table(cells))
    return int(any(cell.failed or cell.problem for cell in cells))


def try_pair(python: str, torch: str, folder: Path, tests: Sequence[str]) -> Cell:
    """Make an environment, unless torch is installed already, and run the tests in it."""
    command = shlex.split(python if " " in python or "/" in python else f"python{python}")
    if torch != "installed":
        done = _run([*command, "-m", "venv", str(folder)])
        command = [str(folder / "bin" / "python")]
        if not done.returncode:
            done = _run([*command, "-m", "pip", "install", "--quiet", f"torch=={torch}", *NEEDED])
        if done.returncode:
            return Cell(python, torch, problem=_last_line(done.stderr))
    done = _run([*command, "-c", ABOUT])
    if done.returncode:
        return Cell(python, torch, problem=_last_line(done.stderr))
    versions = done.stdout.strip().splitlines()[-1].split()
    report = ROOT / ".versions.xml"  # below ROOT: seen from inside of another root as well
    report.unlink(missing_ok=True)
    options = ["-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    done = _run([*command, "-m", "pytest", *options, f"--junitxml={report}", *tests])
    if not report.is_file():
        return Cell(*versions, problem=_last_line(done.stdout + done.stderr))
    cell = _counted(report, *versions)
    report.unlink()
    return cell


def _counted(report: Path, python: str, torch: str) -> Cell:
    """Count what pytest wrote down."""
    skipped, failed, total = 0, [], 0
    for case in ElementTree.parse(report).iter("testcase"):
        total += 1
        skipped += case.find("skipped") is not None
        fault = case.find("failure") if case.find("error") is None else case.find("error")
        if fault is not None:
            name = f"{case.get('classname', '').split('.')[-1]}::{case.get('name')}"
            failed.append(f"{name}: {' '.join((fault.get('message') or '').split())[:200]}")
    return Cell(python, torch, total - skipped - len(failed), skipped, failed)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    settings = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **settings}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1][:300]


def table(cells: Sequence[Cell]) -> str:
    """Return a table of all pairs, and the names of what failed."""
    lines = ["| Python | torch | passed | skipped | failed |", "|---|---|---|---|---|"]
    for cell in cells:
        counts = f"{cell.passed:,} | {cell.skipped:,} | {len(cell.failed):,}"
        lines.append(f"| {cell.python} | {cell.torch} | {cell.problem or counts} |")
    for cell in cells:
        if cell.failed:
            lines += ["", f"Python {cell.python}, torch {cell.torch}:"]
            lines += [f"- {name}" for name in cell.failed]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
