"""Write the tables of ``docs/results.md`` from the files of studies.

``python -m examples.encoders.results`` renews every table below a line like
``<!-- study nwucla: linear probe -->``: all scores of that study whose name begins so, mean ±
deviation over the seeds. ``... add RUN STUDY`` first copies the results of a run folder.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from examples.common.runs import read_scores, write
from examples.common.tables import markdown, mean_and_spread
from examples.fd_mae.config import CONTRASTED, ROWS

ROOT = Path(__file__).resolve().parents[2]
STUDIES, PAGE = ROOT / "examples" / "fd_mae" / "studies", ROOT / "docs" / "results.md"
UNNAMED = {"fine-tuning": "all labels"}
ALONE = "contrast"  # the row without reconstruction
MARKER = re.compile(r"(<!-- study ([\w.-]+): (.+?) -->\n)(?:\|.*\n)*")


def add(run: Path, study: str) -> None:
    """Copy the result of every finished cell of a run folder."""
    for path in sorted(run.glob("*/*/result.json")):
        row, seed = path.parts[-3:-1]
        folder = STUDIES / study
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(read_scores(path), indent=1) + "\n"
        write(folder / f"{row}-{seed}.json", text.encode())


def table(study: str, kind: str) -> str:
    """Return mean ± deviation over the seeds; a lone seed has no deviation."""
    results = [read_scores(path) for path in sorted((STUDIES / study).glob("*.json"))]
    order, found = list(ROWS), dict[str, dict[str, list[float]]]()
    for result in sorted(results, key=lambda result: order.index(result["row"])):
        for name, value in sorted(result["scores"].items(), key=_after_contrast):
            after, title = _after_contrast((name, value)), ROWS[result["row"]].title
            if result["row"] != ALONE:
                title += " + contrast" * after
            elif not after:
                continue  # an untrained encoder
            column = name.removeprefix(CONTRASTED)
            if column.startswith(kind):
                short = column.removeprefix(kind).lstrip(", ") or UNNAMED.get(kind, "mean over all")
                found.setdefault(title, {}).setdefault(short, []).append(value)
    rows: dict[str, dict[str, Any]] = {
        title: {c: mean_and_spread(v) if len(v) > 1 else v[0] for c, v in row.items()}
        for title, row in found.items()
    }
    return markdown(rows)


def _after_contrast(score: tuple[str, float]) -> bool:
    return score[0].startswith(CONTRASTED)


def renewed(page: str) -> str:
    """Return a page with its tables written anew."""
    return MARKER.sub(lambda found: f"{found[1]}{table(found[2], found[3])}\n", page)


if __name__ == "__main__":
    if sys.argv[1:2] == ["add"]:
        add(Path(sys.argv[2]), sys.argv[3])
    write(PAGE, renewed(PAGE.read_text()).encode())
