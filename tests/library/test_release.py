"""What a release contains: the wheel, the sdist, the wheel that the sdist builds, one version."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

import skelfreq

pytest.importorskip("build", reason="the extra test is not installed")
pytest.importorskip("hatch_fancy_pypi_readme", reason="the extra test is not installed")

ROOT = Path(__file__).resolve().parents[2]
IN_SDIST = ("skelfreq", "tests", "benchmarks", "docs", "examples")
SINGLE = {"README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "pyproject.toml", "PKG-INFO"}


def build(source: Path, out: Path, *kinds: str) -> None:
    """Build without a network: what builds the package is in the extra ``test``."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(out)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def files(folder: Path, *suffixes: str) -> set[str]:
    """Return the files of a folder, without what running leaves behind."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and (not suffixes or path.suffix in suffixes)
    }


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist and the wheel that was built from it."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out)
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> dict[str, bytes]:
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(dist: Path) -> set[str]:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, bytes]) -> Message:
    (text,) = (data for name, data in wheel.items() if name.endswith(".dist-info/METADATA"))
    return message_from_string(text.decode())


def test_the_wheel_holds_the_package_and_nothing_else(wheel: dict[str, bytes]) -> None:
    inside = {name for name in wheel if name.startswith("skelfreq/")}
    assert inside == files(ROOT / "skelfreq")
    assert {"skelfreq/py.typed", "skelfreq/data/lists/ntu_missing.txt"} <= inside
    info = f"skelfreq-{skelfreq.__version__}.dist-info"
    others = {name.removeprefix(f"{info}/") for name in wheel} - inside
    assert others == {"METADATA", "WHEEL", "RECORD", "licenses/LICENSE"}


def test_the_sdist_holds_the_sources_and_nothing_else(sdist: set[str]) -> None:
    tops = {name.split("/")[0] for name in sdist}
    # The build tool adds the list of what git ignores, as it reads it.
    assert tops - {".gitignore"} == {*IN_SDIST, *SINGLE}
    needed = files(ROOT / "skelfreq") | files(ROOT / "tests", ".py", ".npz")
    needed |= files(ROOT / "docs", ".md", ".py", ".png", ".txt", ".css")
    needed |= files(ROOT / "examples", ".py") | files(ROOT / "benchmarks", ".py")
    assert sorted(needed - sdist) == []
    assert [name for name in sdist if re.search(r"__pycache__|\.pyc$|^runs/|\.pt$", name)] == []


def test_both_ways_build_the_same_wheel(
    wheel: dict[str, bytes], dist: Path, tmp_path: Path
) -> None:
    # With both kinds the tool builds the wheel from the sdist; this one is built from the tree.
    build(ROOT, tmp_path, "--wheel")
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        other = {name: archive.read(name) for name in archive.namelist()}
    assert other == wheel


def test_the_wheel_passes_a_smoke_test(dist: Path, tmp_path: Path) -> None:
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    program = (
        "import torch, skelfreq\n"
        "from skelfreq.functional import dct, idct\n"
        "x = torch.randn(2, 3, 16, 25)\n"
        "print(skelfreq.__file__)\n"
        "ok = torch.allclose(idct(dct(x, dim=-2), dim=-2), x, atol=1e-5)\n"
        "raise SystemExit(0 if ok and skelfreq.FreST(3)(x).shape == x.shape else 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "skelfreq" / "__init__.py")


def test_one_version(metadata: Message, wheel: dict[str, bytes]) -> None:
    assert metadata["Version"] == skelfreq.__version__
    newest = re.search(r"^## (\S+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest and newest[1] == skelfreq.__version__
    # No other file of the package and no setting repeats the number.
    number = f'"{skelfreq.__version__}"'
    assert [name for name, data in wheel.items() if number.encode() in data] == [
        "skelfreq/__init__.py"
    ]
    assert number not in (ROOT / "pyproject.toml").read_text()


def test_requirements_without_an_extra_are_the_four(metadata: Message) -> None:
    required = [text for text in metadata.get_all("Requires-Dist") if "extra ==" not in text]
    names = {re.match(r"[\w-]+", text)[0] for text in required}
    assert names == {"torch", "torch-dct", "numpy", "einops"}


def test_twine_accepts_both(dist: Path) -> None:
    pytest.importorskip("twine", reason="the extra dev is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir())],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2
