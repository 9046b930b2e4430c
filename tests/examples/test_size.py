"""The examples stay thin: lines of code, docstrings, comments and blank lines aside."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LAYOUT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(source: str) -> int:
    """Count the lines that hold code."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            text = node.body[0]
            documented |= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {n for t in tokens if t.type not in LAYOUT for n in range(t.start[0], t.end[0] + 1)}
    return len(lines - documented)


def test_lines_are_counted_as_they_are_meant() -> None:
    assert code_lines('"""Text.\n\nMore.\n"""\n\n# why\nx = (1,\n     2)  # here\n') == 2
    assert code_lines('def f():\n    """Text."""\n    return """a\n    b"""\n') == 3


# Common is far above the 650 that was aimed at: it may shrink.
@pytest.mark.parametrize(
    ("folder", "most"),
    [("fd_mae", 550), ("fs_vae", 800), ("mica", 450), ("common", 1176), ("encoders", 300)],
)
def test_an_example_stays_thin(folder: str, most: int) -> None:
    files = sorted((EXAMPLES / folder).rglob("*.py"))
    counts = {path.name: code_lines(path.read_text()) for path in files}
    assert sum(counts.values()) <= most, counts
