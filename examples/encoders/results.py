"""Write the tables of ``docs/results.md`` from the files of studies.

``python -m examples.encoders.results`` renews every table that follows a line like
``<!-- study nwucla: linear probe* -->``; the words after the colon are patterns of columns, with a
comma between two. ``... add RUN STUDY`` first copies the results of a run folder.
"""

from __future__ import annotations

import json
import re
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from examples.common.runs import read_scores, write
from examples.common.tables import markdown, mean_and_spread
from examples.fd_mae.config import ROWS

ROOT = Path(__file__).resolve().parents[2]
STUDIES, PAGE = ROOT / "examples" / "fd_mae" / "studies", ROOT / "docs" / "results.md"
MARKER = re.compile(r"(<!-- study ([\w.-]+): (.+?) -->\n)(?:\|.*\n)*")


def add(run: Path, study: str) -> None:
    """Copy the result of every finished cell of a run folder."""
    for path in sorted(run.glob("*/*/result.json")):
        row, seed = path.parts[-3:-1]
        folder = STUDIES / study
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(read_scores(path), indent=1, sort_keys=True) + "\n"
        write(folder / f"{row}-{seed}.json", text.encode())


def table(study: str, patterns: list[str]) -> str:
    """Return mean ± deviation over the seeds of one study; a lone seed has no deviation."""
    found: dict[str, dict[str, list[float]]] = {}
    results = [read_scores(path) for path in sorted((STUDIES / study).glob("*.json"))]
    order = list(ROWS)
    for result in sorted(results, key=lambda result: order.index(result["row"])):
        for column, value in result["scores"].items():
            if any(fnmatch(column, pattern) for pattern in patterns):
                row = found.setdefault(ROWS[result["row"]].title, {})
                row.setdefault(column, []).append(value)
    rows: dict[str, dict[str, Any]] = {
        title: {c: mean_and_spread(v) if len(v) > 1 else v[0] for c, v in row.items()}
        for title, row in found.items()
    }
    return markdown(rows)


def renewed(page: str) -> str:
    """Return a page with its tables written anew."""
    return MARKER.sub(lambda found: f"{found[1]}{table(found[2], found[3].split(', '))}\n", page)


if __name__ == "__main__":
    if sys.argv[1:2] == ["add"]:
        add(Path(sys.argv[2]), sys.argv[3])
    write(PAGE, renewed(PAGE.read_text()).encode())
