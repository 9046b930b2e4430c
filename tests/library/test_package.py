"""How the package is put together: who may import whom, how long a file may grow, what it needs.

What a file may not call, and that the import is silent: ``test_contracts.py``.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import sys
import tokenize
from email.message import Message
from pathlib import Path

import pytest
from build.util import project_wheel_metadata

import skelfreq

PACKAGE = Path(skelfreq.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MAX_CODE_LINES = 200
DEPENDENCIES = {"torch", "torch-dct", "numpy", "einops"}
RUNTIME_PACKAGES = {name.replace("-", "_") for name in DEPENDENCIES} | {"skelfreq"}
# What the readers may import on top of numpy, where it is used and not before.
DATA_EXTRA = {"scipy", "matplotlib", "tqdm"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")


NN_PARTS = {"adaptive": ["decoupling"], "frest": ["adaptive"]}
# The table of imports: a file may use those before it.
LEVELS = (r"_route$", r"_axis$", r"_bases$", r"_fourier_plain$", r"_\w+_plain$", r"_\w+_fast$", r"")


def level(module: str) -> int:
    """Return the level of a file of ``skelfreq.functional`` in the table of imports."""
    name = module.split(".")[2] if module.count(".") > 1 else ""
    return next(i for i, pattern in enumerate(LEVELS) if re.match(pattern, name))


def imported(source: str) -> set[str]:
    """Return every module named by an import statement, at any depth of the file."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # Relative imports are not resolved here, so the package has none.
            assert node.level == 0, f"line {node.lineno}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def third_party(names: set[str]) -> set[str]:
    """Return the packages that modules belong to, the standard library not included."""
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def data_lapses(module: str, source: str) -> list[str]:
    """Return the imports that a module of ``skelfreq.data`` must not have."""
    # Statements of the file itself, which run on import, and all others.
    body = ast.parse(source).body
    at_once = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    at_once_names = imported("\n".join(map(ast.unparse, at_once)))
    early = third_party(at_once_names)
    names = imported(source)
    allowed = {"numpy", "skelfreq"}
    below = "data|skeletons|_layouts|_checks"
    if module == "skelfreq.data.pictures" and "skelfreq.plotting" not in at_once_names:
        below += "|plotting"
    if re.match(r"skelfreq\.data\.(transforms|loading)", module):
        allowed |= {"torch", "einops"}
        below += "|functional"
    found = sorted((early - allowed) | (third_party(names) - allowed - DATA_EXTRA))
    below = rf"skelfreq(\.({below})(\.|$)|$)"
    return found + sorted(n for n in names if n.startswith("skelfreq") and not re.match(below, n))


def plotting_lapses(source: str) -> list[str]:
    """Return the imports that a module of ``skelfreq.plotting`` must not have."""
    body = ast.parse(source).body
    at_once = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    early = third_party(imported("\n".join(map(ast.unparse, at_once)))) - RUNTIME_PACKAGES
    names = imported(source)
    below = r"skelfreq(\.(plotting|functional|skeletons|_checks)(\.|$)|$)"
    return sorted(
        early | (third_party(names) - RUNTIME_PACKAGES - {"matplotlib", "mpl_toolkits"})
    ) + sorted(n for n in names if n.startswith("skelfreq") and not re.match(below, n))


def lapses(module: str, source: str) -> list[str]:
    """Return the imports of ``module`` that the layering does not allow."""
    if module.startswith("skelfreq.data"):
        return data_lapses(module, source)
    if module.startswith("skelfreq.plotting"):
        return plotting_lapses(source)
    names = imported(source)
    own = {name for name in names if name.startswith("skelfreq")}
    roots = third_party(names)
    found = sorted(roots - RUNTIME_PACKAGES)
    found += sorted(n for n in own if n.startswith(("skelfreq.data", "skelfreq.plotting")))
    if module == "skelfreq._checks":
        found += sorted(roots - {"torch"})
    if module.startswith("skelfreq.functional"):
        found += sorted(n for n in names if n.startswith(("skelfreq.nn", "torch.nn")))
    if module.startswith("skelfreq.nn."):
        # A block imports its parts; no other layer of nn imports another one.
        allowed = NN_PARTS.get(module.removeprefix("skelfreq.nn."), ())
        found += sorted(
            n
            for n in own
            if re.match(r"skelfreq\.nn($|\.[^_])", n)
            and not n.startswith(tuple(f"skelfreq.nn.{part}" for part in allowed) or "-")
        )
    if module.startswith("skelfreq.functional._"):
        higher = {
            n for n in own if n.startswith("skelfreq.functional.") and level(n) > level(module)
        }
        found += sorted(higher)
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
        ("skelfreq.nn.adaptive", "from skelfreq.nn.frest import FreST"),
        ("skelfreq.functional._axis", "from skelfreq.functional._bases import basis"),
        ("skelfreq.functional._filter_plain", "from skelfreq.functional import _filter_fast"),
        ("skelfreq.functional._gain_fast", "from skelfreq.functional.gains import apply_gain"),
        ("skelfreq.functional._gain_plain", "from skelfreq.functional import dct"),
        ("skelfreq.nn._weights", "from skelfreq.nn import SSFRM"),
        ("skelfreq.nn.ssfrm", "from examples.common.runs import new_folder"),
        ("skelfreq.nn.ssfrm", "import matplotlib.pyplot as plt"),
        ("skelfreq.skeletons", "import tqdm, sklearn, scipy.fft"),
        ("skelfreq.skeletons", "from benchmarks import report"),
        ("skelfreq", "from skelfreq import data"),
        ("skelfreq.skeletons", "from skelfreq.data import read"),
        ("skelfreq.data.source", "import torch"),
        ("skelfreq.data.reading", "from skelfreq.functional import dct"),
        ("skelfreq.data.matfile", "import pandas"),
        ("skelfreq.data.registry", "from examples.data import load"),
        ("skelfreq.data.registry", "from skelfreq.plotting import animate"),
        ("skelfreq.skeletons", "from skelfreq.plotting import animate"),
        ("skelfreq.nn.ssfrm", "from skelfreq import plotting"),
        ("skelfreq.plotting.clips", "from skelfreq.nn import SSFRM"),
        ("skelfreq.plotting.clips", "import scipy"),
    ],
)
def test_forbidden_imports_are_found(module: str, line: str) -> None:
    assert lapses(module, f"def f():\n    {line}\n")


def test_readers_import_extras_only_where_they_use_them() -> None:
    line = "from scipy.io import loadmat"
    assert lapses("skelfreq.data.matfile", line)
    assert not lapses("skelfreq.data.matfile", f"def f():\n    {line}\n")
    assert not lapses("skelfreq.data.transforms.streams", "import torch")
    for module, line in (
        ("skelfreq.plotting.clips", "from matplotlib import pyplot"),
        ("skelfreq.data.pictures", "from skelfreq import plotting"),
    ):
        assert lapses(module, line)
        assert not lapses(module, f"def f():\n    {line}\n")


def code_lines(source: str) -> int:
    """Count lines of code; docstrings, comments and blank lines do not count."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    strings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, nodes) and ast.get_docstring(node, clean=False) is not None:
            strings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    free = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in free | {tokenize.ENDMARKER}:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - strings)


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_small(module: str) -> None:
    lines = code_lines(MODULES[module].read_text())
    assert lines <= MAX_CODE_LINES, f"{lines} lines of code: one idea per file, split it"


def test_only_code_is_counted() -> None:
    lines = ['"""Doc.', "", 'More."""', "# why", "x = (", "    1", ")", "", "def f():"]
    lines += ['    """Doc."""', "    return x", ""]
    source = "\n".join(lines)
    assert code_lines(source) == 5


PRIVATE = re.compile(
    r"torch\._(?!check)\w|_functorch|_dispatch_mode|forward_ad\._|_dynamo_marked|_foreach|"
    r"_(forward|backward)(_pre)?_hooks|_register_namedtuple|_orig_mod"
)


@pytest.mark.parametrize("module", MODULES)
def test_only_route_uses_private_torch(module: str) -> None:
    source = MODULES[module].read_text()
    assert bool(PRIVATE.search(source)) == (module == "skelfreq.functional._route")


def test_every_requirement_is_used_and_no_other_package() -> None:
    roots = {name.split(".")[0] for path in MODULES.values() for name in imported(path.read_text())}
    used = {root.replace("_", "-") for root in roots - set(sys.stdlib_module_names)}
    # What the readers import where they use it is checked with the layering.
    assert used - {"skelfreq", "mpl-toolkits"} - DATA_EXTRA == DEPENDENCIES


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_left_unfinished(module: str) -> None:
    lines = MODULES[module].read_text().splitlines()
    assert [n for n, line in enumerate(lines, 1) if UNFINISHED.search(line)] == []


@pytest.fixture(scope="module")
def metadata() -> Message:
    """Return the metadata of the wheel; an isolated build installs what builds it."""
    needed = ("hatchling", "hatch_fancy_pypi_readme")
    isolated = any(importlib.util.find_spec(name) is None for name in needed)
    return project_wheel_metadata(PACKAGE.parent, isolated=isolated)


def test_the_description_of_the_wheel_needs_no_file_beside_it(metadata: Message) -> None:
    description = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "TubeMasking(num_joints=25" in description
    # A package index has neither docs/ nor pictures: links and pictures must have a full address.
    link = re.compile(r"\]\(([^)]*)\)|^\[[^\]]+\]: (\S+)|(?:href|src)=\"([^\"]*)", re.M)
    relative = [
        [target for found in link.findall(text) for target in found if target and ":" not in target]
        for text in (description, (PACKAGE.parent / "README.md").read_text())
    ]
    assert relative[0] == [] and len(relative[1]) > 10
    assert "![" not in description and "<img" not in description and "<!--" not in description
    assert "Next: Ten minutes to your own model, or a recipe for MAMP" in description


def test_no_project_address_before_there_is_one(metadata: Message) -> None:
    assert metadata.get_all("Project-URL") is None and metadata["Home-page"] is None
    assert metadata["Version"] == skelfreq.__version__


def test_runtime_dependencies() -> None:
    tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")
    pyproject = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    floors = dict(requirement.split(">=") for requirement in pyproject["project"]["dependencies"])
    assert floors.keys() == DEPENDENCIES
    # An upper bound on future releases would exclude users without a reason.
    assert all(re.fullmatch(r"[\d.]+", floor) for floor in floors.values())
