"""How the package is put together: who may import whom, how long a file may grow, what it needs.

What a file may not call, and that the import is silent: ``test_contracts.py``.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import skelfreq

PACKAGE = Path(skelfreq.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MAX_LINES = 330
DEPENDENCIES = {"torch", "torch-dct", "numpy", "einops"}
RUNTIME_PACKAGES = {name.replace("-", "_") for name in DEPENDENCIES} | {"skelfreq"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")


def imported(source: str) -> set[str]:
    """Return every module named by an import statement, at any depth of the file."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # The package writes its imports out; a relative one would slip through here.
            assert node.level == 0, f"line {node.lineno}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def lapses(module: str, source: str) -> list[str]:
    """Return the imports of ``module`` that the layering does not allow."""
    names = imported(source)
    own = {name for name in names if name.startswith("skelfreq")}
    roots = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
    found = sorted(roots - RUNTIME_PACKAGES)
    if module == "skelfreq._checks":
        found += sorted(roots - {"torch"})
    if module.startswith("skelfreq.functional"):
        found += sorted(n for n in names if n.startswith(("skelfreq.nn", "torch.nn")))
    if module.startswith("skelfreq.nn."):
        # A private file there is a part that public layers share.
        found += sorted(n for n in own if re.match(r"skelfreq\.nn($|\.[^_])", n))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_layering(module: str) -> None:
    assert not lapses(module, MODULES[module].read_text())


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("skelfreq._checks", "from skelfreq.functional import dct"),
        ("skelfreq._checks", "import numpy as np"),
        ("skelfreq.functional.cosine", "from torch import Tensor, nn"),
        ("skelfreq.functional.cosine", "import skelfreq.nn"),
        ("skelfreq.functional.cosine", "from skelfreq import nn"),
        ("skelfreq.nn.ssfrm", "from skelfreq.nn.ema import EMADualPath"),
        ("skelfreq.nn._weights", "from skelfreq.nn import SSFRM"),
        ("skelfreq.nn.ssfrm", "from examples.common.runs import new_folder"),
        ("skelfreq.nn.ssfrm", "import matplotlib.pyplot as plt"),
        ("skelfreq.skeletons", "import tqdm, sklearn, scipy.fft"),
        ("skelfreq.skeletons", "from benchmarks import report"),
    ],
)
def test_the_layering_test_finds(module: str, line: str) -> None:
    assert lapses(module, f"def f():\n    {line}\n")


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_small(module: str) -> None:
    lines = len(MODULES[module].read_text().splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: one idea per file, split it"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_left_unfinished(module: str) -> None:
    lines = MODULES[module].read_text().splitlines()
    assert [n for n, line in enumerate(lines, 1) if UNFINISHED.search(line)] == []


def test_runtime_dependencies() -> None:
    tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")
    pyproject = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    floors = dict(requirement.split(">=") for requirement in pyproject["project"]["dependencies"])
    assert floors.keys() == DEPENDENCIES
    # A cap on a release that is not out yet would lock users out without cause.
    assert all(re.fullmatch(r"[\d.]+", floor) for floor in floors.values())
