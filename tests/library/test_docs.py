"""The documents: code blocks run, links and pictures exist, docstrings say what they must."""

from __future__ import annotations

import argparse
import doctest
import inspect
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import skelfreq
from skelfreq import functional, nn, skeletons

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# By the ending of their name, and all together.
MAX_PICTURE_BYTES = {".png": 60_000, ".svg": 250_000, ".gif": 400_000}
MAX_PICTURES_BYTES = 3_000_000
OWN_MODULES = {"skelfreq", "examples", "benchmarks"}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """Return each Python block with the number of the line it starts on."""
    text = page.read_text()
    return [
        (text.count("\n", 0, match.start(2)), match[2])
        for match in FENCE.finditer(text)
        if match[1] == "python"
    ]


def targets(page: Path) -> list[str]:
    """Return what the page links to, code left out."""
    return LINK.findall(FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Return the fragments that the page's headings can be reached by."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in kept}


# torch's exporter to ONNX uses what torch has deprecated.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")
@pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)], ids=lambda p: p.stem)
def test_python_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_dynamo: None
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__docs__"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for line, block in python_blocks(page):
            # Empty lines in front, so that a traceback names the line of the page.
            # optimize=0: the asserts of a page count under PYTHONOPTIMIZE too.
            code = compile("\n" * line + block, str(page), "exec", optimize=0)
            exec(code, namespace)


def sessions(page: Path) -> list[str]:
    """Return the interactive sessions of a page, which share their names."""
    return [match[2] for match in FENCE.finditer(page.read_text()) if match[1] == "pycon"]


@pytest.mark.parametrize("page", [p for p in PAGES if sessions(p)], ids=lambda p: p.stem)
def test_sessions_print_what_the_page_shows(page: Path) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner, said = doctest.DocTestRunner(optionflags=flags), []
    parsed = doctest.DocTestParser().get_doctest("\n".join(sessions(page)), {}, page.name, None, 0)
    with torch.random.fork_rng():
        result = runner.run(parsed, out=said.append)
    assert result.attempted > 0 and result.failed == 0, "".join(said)


def test_the_page_of_mistakes_has_twenty() -> None:
    text = (ROOT / "docs" / "mistakes.md").read_text()
    numbers = re.findall(r"^\*\*(\d+)\. .*?\*\*.*?^```pycon\n.*?^Traceback", text, re.M | re.S)
    assert numbers == [str(n) for n in range(1, 21)]


def commands(page: Path) -> list[list[str]]:
    """Return the words of every command line of a page."""
    blocks = [match[2] for match in FENCE.finditer(page.read_text()) if match[1] == "bash"]
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


COMMANDS = {" ".join(words): words for page in PAGES for words in commands(page)}
# Programs of others; their arguments are their own.
PROGRAMS = {"pytest", "ruff", "mypy", "codespell", "twine", "python3", "."}


class Parsed(Exception):
    """Raised when the arguments were accepted, in place of the work."""


@pytest.mark.parametrize("words", COMMANDS.values(), ids=list(COMMANDS))
def test_commands_are_accepted(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[:2] == ["pip", "install"]:
        extras = re.findall(r"\w+", "".join(re.findall(r"\[(.*?)\]", " ".join(words))))
        text = (ROOT / "pyproject.toml").read_text()
        assert all(re.search(rf"^{extra} = \[", text, re.M) for extra in extras)
    elif "-m" in words and words[words.index("-m") + 1].split(".")[0] in OWN_MODULES:
        at = words.index("-m") + 1
        accepted = argparse.ArgumentParser.parse_args

        def parse(self: argparse.ArgumentParser, *given: Any, **named: Any) -> Any:
            accepted(self, *given, **named)
            raise Parsed

        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
        monkeypatch.setattr(sys, "argv", words[at:])
        # An earlier import of the module would be a warning.
        for name in (words[at], f"{words[at]}.__main__"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        with pytest.raises(Parsed):
            runpy.run_module(words[at], run_name="__main__", alter_sys=False)
    elif words[0] == "python" and words[1] != "-m":
        assert (ROOT / words[1]).is_file()
    elif words[0] != "python" and words[0] not in PROGRAMS:
        assert (ROOT / words[0]).is_file()


@every_page
def test_links_and_pictures_exist(page: Path) -> None:
    for target in targets(page):
        if target.startswith(("https://", "http://")):
            continue
        name, _, fragment = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}"
        assert not fragment or fragment in anchors(file), f"{page.name} links to {target}"


@every_page
def test_fences_are_closed_and_named(page: Path) -> None:
    marks = re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)
    assert len(marks) % 2 == 0
    assert {*marks[::2]} <= {"bash", "python", "text", "bibtex", "math", "pycon", "{eval-rst}"}


def test_pictures_are_small_and_shown() -> None:
    pictures = [p for p in sorted((ROOT / "docs" / "images").rglob("*")) if p.is_file()]
    shown = {(page.parent / target).resolve() for page in PAGES for target in targets(page)}
    assert pictures
    assert [p.name for p in pictures if p not in shown] == []
    sizes = {p: p.stat().st_size for p in pictures}
    assert [p.name for p in pictures if sizes[p] > MAX_PICTURE_BYTES.get(p.suffix, 0)] == []
    assert sum(sizes.values()) <= MAX_PICTURES_BYTES


def test_pictures_are_those_that_are_drawn(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "docs/figures.py", "--out", str(tmp_path), "--epochs", "1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    drawn = sorted(path.name for path in tmp_path.iterdir())
    # Measured ones, in the folders below, are drawn by the suite and the studies.
    assert drawn == sorted(path.name for path in (ROOT / "docs" / "images").glob("*.*"))


def test_index_links_every_page() -> None:
    docs = ROOT / "docs"
    for index in sorted(docs.rglob("index.md")):
        linked = {*targets(index), *re.findall(r"^[\w/]+$", index.read_text(), re.MULTILINE)}
        pages = {page.stem for page in index.parent.glob("*.md")} - {"index"}
        assert pages <= {target.removesuffix(".md") for target in linked}


@pytest.mark.parametrize(
    "name", [n for n in nn.__all__ if inspect.isclass(getattr(nn, n))] + functional.__all__
)
def test_every_layer_and_function_has_a_page_that_the_index_links(name: str) -> None:
    docs = ROOT / "docs"
    # A page calls it, or it heads a row: "`SSFRM`", "`motion(x)`", "`dct(x, dim)`, `idct(…)`".
    mention = re.compile(rf"`{name}\b")
    linked = [docs / target for target in targets(docs / "index.md") if target.endswith(".md")]
    pages = [page.name for page in linked if page.exists() and mention.search(page.read_text())]
    assert pages, f"no page linked from docs/index.md writes about {name}"


def test_promises_name_tests_that_exist() -> None:
    text = (ROOT / "docs" / "promises.md").read_text()
    rows = [row for row in text.splitlines() if row.startswith("| ") and "| test |" not in row]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, f"no test is named in {row}"
        for file, function in named:
            assert f"\ndef {function}(" in (ROOT / file).read_text(), f"{file} has no {function}"


def test_llms_txt_lists_every_page_and_layer() -> None:
    docs = ROOT / "docs"
    text = (docs / "llms.txt").read_text()
    # The form of llmstxt.org: a title, a summary, lists of links.
    assert re.match(r"# skelfreq\n\n> .+\n", text)
    listed = LINK.findall(text)
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
    assert {page.removesuffix(".md") + ".html" for page in pages} == set(listed)
    assert all(f"`{name}" in text for name in nn.__all__)


def test_citation() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    assert citation["type"] == "software"
    assert citation["version"] == skelfreq.__version__
    # The papers of the three examples, each complete enough to be cited.
    dois = {entry["doi"] for entry in citation["references"]}
    assert dois == {
        "10.1109/LSP.2024.3525398",
        "10.48550/arXiv.2506.22179",
        "10.3390/s25216532",
    }
    for entry in citation["references"]:
        assert {"type", "title", "authors", "journal", "year"} <= entry.keys()
        assert all({"family-names", "given-names"} <= author.keys() for author in entry["authors"])


def test_readme_holds_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    for mark, last in (
        ("run", "python -m examples.fd_mae"),
        ("test", "pytest -n 2 --dist worksteal"),
    ):
        block = re.search(rf"^<!-- ci: {mark} -->\n```bash\n(.*?)^```$", text, re.M | re.S)
        assert block, f"README.md has no block marked 'ci: {mark}'"
        assert block[1].strip().splitlines()[-1] == last


def public(module: Any) -> list[Any]:
    return [pytest.param(getattr(module, name), id=name) for name in module.__all__]


@pytest.mark.parametrize("value", [*public(functional), *public(nn), *public(skeletons)])
def test_docstrings_name_source_errors_and_an_example(value: Any) -> None:
    doc = inspect.getdoc(value) or ""
    assert "Source:" in doc or "Source\n---" in doc
    is_record = inspect.isclass(value) and issubclass(value, tuple)
    # A named tuple checks nothing when it is made; its methods may.
    if not is_record or "raise " in inspect.getsource(value):
        assert "Raises\n---" in doc
    assert ("Attributes\n---" if is_record else "Examples\n---") in doc


def test_public_names_resolve_and_are_unique() -> None:
    for module in (skelfreq, functional, nn, skeletons):
        assert len(set(module.__all__)) == len(module.__all__)
        for name in module.__all__:
            assert hasattr(module, name), name
