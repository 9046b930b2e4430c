"""The notebooks run from the first cell to the last, and are stored as they ran."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 400_000
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds_of(cell: Any) -> list[str]:
    """Return the kinds of a cell's outputs; text comes in one or more parts, warnings aside."""
    kinds = [o.output_type for o in cell.outputs if o.get("name") != "stderr"]
    return [kind for kind, _ in itertools.groupby(kinds)]


def test_there_are_three() -> None:
    assert len(NOTEBOOKS) == 3


@each
def test_it_is_stored_as_it_ran(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    kinds = {output.output_type for output in outputs}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert all(output.get("name", "stdout") == "stdout" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert path.stat().st_size <= MAX_BYTES
    # A page begins with one title, for the table of contents.
    assert notebook.cells[0].source.startswith("# ")
    assert not any("\n# " in cell.source for cell in notebook.cells if cell.cell_type != "code")


@each
# The kernel talks to this process in plain text on this machine, and says so.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_it_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(path, 4)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    options = {"resources": {"metadata": {"path": str(FOLDER)}}, "kernel_name": "python3"}
    ran = nbclient.NotebookClient(notebook, timeout=600, **options).execute()
    stored = nbformat.read(path, 4)
    for cell, kept in zip(code_cells(ran), code_cells(stored), strict=True):
        # Numbers differ between machines; what kind of output each cell has does not.
        assert kinds_of(cell) == kinds_of(kept)
