"""One self-contained page about a run."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from examples.common.plots import lines, panels, save
from examples.common.runs import read_history, write
from examples.common.tables import Table, markdown

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .6em}"
    "img{max-width:100%}"
)


def write_report(
    folder: Path, name: str, table: Table, record: Mapping[str, Any], cells: Iterable[Path]
) -> None:
    """Write ``report.html``: table, curves, pictures, settings; nothing outside is needed."""
    for metrics in sorted(
        p for c in (*cells, *folder.glob("encoders/*")) for p in c.glob("*.jsonl")
    ):
        where = "-".join(metrics.relative_to(folder).with_suffix("").parts)
        _draw_curves(metrics, folder / "figures" / f"losses-{where}.png")
    cells = [row.strip("|").split("|") for row in markdown(table).splitlines()]
    del cells[1]
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in cells
    )
    pictures = "".join(
        f"<h3>{(title := escape(path.stem.replace('_', ' ')))}</h3><img alt='{title}' "
        f"src='data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}'>"
        for path in sorted((folder / "figures").glob("*.png"))
    )
    settings = escape(json.dumps(record, indent=1))
    page = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(folder.name)}</title>"
        f"<style>{STYLE}</style><h1>{escape(name)}</h1><p>{escape(str(folder))}</p>"
        f"<h2>Result</h2><table>{rows}</table><h2>Pictures</h2>{pictures}"
        f"<h2>Settings</h2><pre>{settings}</pre></html>"
    )
    write(folder / "report.html", page.encode())


def _draw_curves(metrics: Path, path: Path) -> None:
    """Draw a panel for every term of the loss: terms of other sizes have axes of their own."""
    entries = read_history(metrics)
    last = entries[-1] if len(entries) > 1 else {}
    names = [n for n in last if n != "epoch" and any(e.get(n) for e in entries)]
    if not names:
        return
    figure, axes = panels(columns=len(names), size=(4, 3.2))
    for axis, name in zip(axes, names, strict=True):
        points = {entry["epoch"]: entry[name] for entry in entries if name in entry}
        lines(axis, {name: list(points.values())}, list(points))
        # The first epochs would flatten the rest.
        late = list(points.values())[len(entries) // 20 + 1 :]
        late = late if len(late) > 1 else list(points.values())
        margin = max(0.08 * (max(late) - min(late)), 1e-3 * abs(max(late)), 1e-12)
        axis.set(title=name.replace("_", " "), xlabel="epoch", ylabel="mean of the epoch")
        axis.set_ylim(min(late) - margin, max(late) + margin)
    save(figure, path)
