"""Tables for the terminal, and the marks between which a program writes into a page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.results import BUSY_LOAD, Ratio, Record, Report, compare, disturbed
from benchmarks.timing import Spread

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
FEW = 5
HEADER = [
    "case", "run", "ms", "peer", "ratio (quartiles)", "target", "of limit", "of product", "memory",
    "error",
]  # fmt: skip


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [header, *rows]]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def rows_of(record: Record, note: str = "") -> list[list[str]]:
    """Return a row for each peer; only the first has the candidate's own cells."""
    name = f"{record.case} {note}".strip()
    own = [name, f"{record.mode} {record.dtype} {record.pass_}", milliseconds(record.seconds)]
    if record.clips:
        own[2] += f" ({record.clips / record.seconds.median:.3g} clips/s)"
    tail = [
        percent(record.limit_share),
        percent(record.flop_share),
        memory_cell(record),
        "" if record.error is None else f"{record.error:.1e}",
    ]
    rows = []
    for index, (peer, ratio) in enumerate(record.ratios.items()):
        middle = [f"{peer} {milliseconds(record.peers[peer])} ms", *ratio_cells(ratio)]
        rows.append([*own, *middle, *tail] if index == 0 else ["", "", "", *middle, *[""] * 4])
    return rows


def memory_cell(record: Record) -> str:
    """Return peak extra memory as a multiple of the input, and the verdict on it."""
    if record.memory is None:
        return ""
    if not record.memory_verdict:
        return f"{record.memory:.2f}×"
    return f"{record.memory:.2f}× (≤ {record.memory_target}: {record.memory_verdict})"


def ratio_cells(ratio: Ratio) -> list[str]:
    """Return the ratio with its quartiles, and the target with its verdict."""
    spread = ratio.spread
    target = "" if ratio.target is None else f"{ratio.target:g}: {ratio.verdict}"
    return [f"{spread.median:.2f} ({spread.q1:.2f} to {spread.q3:.2f})", target]


def milliseconds(spread: Spread) -> str:
    """Return the median with three digits."""
    return f"{1e3 * spread.median:.3g}"


def percent(share: float | None) -> str:
    """Return a share as a percentage."""
    return "" if share is None else f"{100 * share:.0f} %"


def console(rows: Iterable[list[str]]) -> str:
    """Return rows in columns of their own width."""
    rows = [[cell.replace("forward+backward", "fwd+bwd") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def results_table(report: Report) -> list[list[str]]:
    """Return the rows of a report; an asterisk marks what was measured on a busy machine."""
    busy = disturbed(report.records)
    return [row for record in report.records for row in rows_of(record, "*" * (record.key in busy))]


def summary(report: Report) -> str:
    """Return how many targets are met, and which are not."""
    ratios = [
        (f"{record.case}, {record.mode} {record.pass_} vs {peer}", ratio.verdict)
        for record in report.records
        for peer, ratio in record.ratios.items()
        if ratio.target is not None
    ]
    memory = [
        (f"{record.case}, {record.mode} memory", record.memory_verdict)
        for record in report.records
        if record.memory_verdict
    ]
    missed = [name for name, verdict in ratios + memory if verdict == "missed"]
    lines = [f"{len(ratios + memory) - len(missed)} of {len(ratios + memory)} targets met."]
    lines += [f"- missed: {name}" for name in missed]
    lines += [f"- not run: {name}: {reason}" for name, reason in report.skipped.items()]
    return "\n".join(lines)


def warnings_of(report: Report) -> list[str]:
    """Return the reasons to doubt the numbers."""
    lines = []
    if report.machine["device"] == "cpu" and report.machine["load"] > BUSY_LOAD:
        lines.append(f"load average {report.machine['load']} at the start")
    reasons = disturbed(report.records)
    if len(reasons) > FEW:
        example = next(iter(reasons.values()))
        return [*lines, f"{len(reasons)} of {len(report.records)} measurements, e.g. {example}"]
    return lines + [f"{key}: {reason}" for key, reason in reasons.items()]


def comparison(old: Report, new: Report) -> str:
    """Return old and new medians with their change, marked where it is larger than noise.

    A change that a busy machine may have made is marked as that.
    """
    doubtful = disturbed(old.records) | disturbed(new.records)
    rows = [["case", "old ms", "new ms", "new / old", ""]]
    for before, after, change, significant in compare(old, new):
        verdict = "" if not significant else "slower" if change > 1 else "faster"
        if verdict and after.key in doubtful:
            verdict = "busy"
        medians = milliseconds(before.seconds), milliseconds(after.seconds)
        rows.append([after.key, *medians, f"{change:.2f}", verdict])
    text = console(rows)
    for field in ("name", "threads", "versions"):
        if old.machine[field] != new.machine[field]:
            text += f"\nCaution: {field} was {old.machine[field]}, is {new.machine[field]}."
    return text


def machine_line(machine: dict[str, Any]) -> str:
    """Describe what was measured on, for the reader of a table."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['name']}, {machine['cores']} cores, {machine['threads']} thread(s) in use; "
        f"load average {machine['load']} at the start; {machine['system']}, {versions}"
    )


def write_section(
    name: str, title: str, body: str, command: str, machine: dict[str, Any], page: Path = PAGE
) -> None:
    """Put a section into the page, with the machine it was measured on."""
    stamp = f"Measured {machine['date']} on {machine_line(machine)}, by `{command}`."
    put_section(name, f"## {title}\n\n{body}\n\n{stamp}", page)


def put_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put text between the marks of a name, or at the end of a page that lacks them."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    section = f"{begin}\n{text}\n{end}\n"
    text = page.read_text() if page.is_file() else "# Benchmarks\n"
    if begin in text:
        before, rest = text.split(begin, 1)
        text = before + section + "\n" + rest.split(end, 1)[1].lstrip("\n")
    else:
        text = f"{text.rstrip()}\n\n{section}"
    page.write_text(text.rstrip() + "\n")
