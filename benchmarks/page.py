"""``python -m benchmarks.page``: docs/benchmarks.md from the files in ``benchmarks/results``.

One file for each machine; the page shows the machines side by side. Nothing is measured here.
``--add FILE ...`` first takes over results that lie elsewhere, such as those of ``gpu_run.sh``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import crossover, scaling
from benchmarks.case import BACKWARD, CALL, EAGER, FORWARD, Case
from benchmarks.cases import CASES, blocks, freq_enhance, spectral_block, training, transforms
from benchmarks.measure import target_of
from benchmarks.report import PAGE, machine_line, milliseconds, percent, put_section, table
from benchmarks.results import BUSY_LOAD, Ratio, Record, Report, disturbed, read, short_name
from skelfreq.functional import _route

RESULTS = Path(__file__).parent / "results"
KNOWN = {case.label: case for case in CASES}
EMPTY, NO_GPU = "–", "CUDA"


@dataclass(frozen=True)
class Line:
    """A line of the first table: a layer, the cases it is judged by, one peer, one run."""

    layer: str
    name: str
    detail: str
    what: str
    peer: str
    pass_: str
    mode: str = EAGER

    def cases(self) -> list[Case]:
        """Return the cases that have a target for this peer and run."""
        return [
            case
            for case in CASES
            if case.name == self.name
            and case.detail.startswith(self.detail)
            and target_of(case.targets, self.peer, self.mode, self.pass_) is not None
        ]


LINES = (
    Line("`dct`", "dct", "last axis", "16 to 8192 points", transforms.SCIPY, FORWARD),
    Line("`idct`", "idct", "last axis", "16 to 8192 points", transforms.SCIPY, FORWARD),
    Line("`apply_gain`", "apply_gain", "last axis", "16 to 8192 points", freq_enhance.SCIPY,
         FORWARD),
    Line("`FreqEnhance`", "freq_enhance", "along T", "[32, 64, 120, 25]", freq_enhance.TORCH_DCT,
         BACKWARD),
    Line("`FreqEnhance`", "freq_enhance", "features", "[4096, 256]", freq_enhance.TORCH_DCT,
         BACKWARD),
    Line("`SpectralFilter`, time", "spectral_block", "along T", "[N, C, T, V] and rows",
         spectral_block.BLOCK, BACKWARD),
    Line("`SpectralFilter`, joints", "spectral_block", "along V", "[N, C, T, V] and rows",
         spectral_block.BLOCK, BACKWARD),
    Line("`FreT`", "fret", "", "[32, 64, 64 and 120, 25]", blocks.PLAIN, BACKWARD),
    Line("`FreS`", "fres", "", "[32, 64, 64 and 120, 25]", blocks.PLAIN, BACKWARD),
    Line("`TubeMasking`", "tube_masking", "", "[256, 30, 25, 256]", training.ARGSORT, FORWARD),
    Line("`EMADualPath`", "ema_update", "", "200 tensors", training.LOOP, CALL),
    Line("FD-MAE", "fd_mae_step", "", "a step on [4, 3, 120, 25]", training.FUSED, CALL),
)  # fmt: skip


def read_all(folder: Path = RESULTS) -> list[Report]:
    """Read the results of every machine, CPUs first."""
    reports = [read(path) for path in sorted(folder.glob("*.json"))]
    return sorted(reports, key=lambda report: report.machine["device"] != "cpu")


def write(page: Path = PAGE, folder: Path = RESULTS, pictures: Path = scaling.PICTURES) -> None:
    """Write all sections that come from the stored results."""
    reports = read_all(folder)
    put_section("layers", layers(reports), page)
    put_section("details", details(reports), page)
    put_section("scaling", scaling.section(reports, page, pictures), page)
    put_section("crossover", crossings(reports), page)


# The first table


def layers(reports: list[Report]) -> str:
    """Return the table of twelve lines, and what it was measured on."""
    columns = [f"{name}: ratio · of limit" for name in names(reports)]
    header = ["layer", "input", "run", "compared with", "target", *columns, "memory"]
    rows = [layer_row(line, reports) for line in LINES]
    text = [
        "## The layers in twelve lines",
        "Ratio: time of the peer / time of this library, so that **bold** numbers, below 1, are "
        "losses. *Of limit*: the share of\nthe fastest that is possible, see below. Where a line "
        "has several sizes, both columns give the least and the most.",
        table(header, rows),
        *machines(reports),
    ]
    return "\n\n".join(text)


def layer_row(line: Line, reports: list[Report]) -> list[str]:
    """Return a layer's row: targets, ratios and shares of each machine, memory."""
    cases = line.cases()
    wanted = [target_of(case.targets, line.peer, line.mode, line.pass_) for case in cases]
    cells, memory = [], EMPTY
    for report in reports:
        found = [
            record
            for record in report.records
            if record.case in {case.label for case in cases}
            and (record.mode, record.pass_, record.dtype) == (line.mode, line.pass_, "float32")
            and line.peer in record.ratios
        ]
        cells.append(layer_cell(line, found))
        memory = span([record.memory for record in found], "{:.2f}×") if found else memory
    cells += [EMPTY] * (len(names(reports)) - len(reports))
    run = f"{line.mode}, {line.pass_}"
    return [line.layer, line.what, run, line.peer, span(wanted, "{:g}"), *cells, memory]


def layer_cell(line: Line, found: list[Record]) -> str:
    """Return ratios and shares of one machine."""
    if not found:
        return EMPTY
    ratios = [record.ratios[line.peer].spread.median for record in found]
    shares = [None if record.limit_share is None else 100 * record.limit_share for record in found]
    missed = sum(verdict(record, line.peer) == "missed" for record in found)
    text = f"{span(ratios, '{:.2f}', losses=True)} · {span(shares, '{:.0f} %')}"
    if missed:
        text += f" (target missed in {missed} of {len(found)})" if found[1:] else " (target missed)"
    return text


def span(values: Iterable[float | None], form: str, losses: bool = False) -> str:
    """Return one number or the least and the most; as losses, in bold what is below 1."""
    known = [value for value in values if value is not None]
    if not known:
        return EMPTY
    texts = [form.format(value) for value in (min(known), max(known))]
    if losses:
        ends = zip(texts, (min(known), max(known)), strict=True)
        texts = [f"**{text}**" if value < 1 else text for text, value in ends]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


# The folded tables


def details(reports: list[Report]) -> str:
    """Return what missed its target, open, and every number in folded tables."""
    parts = ["## Every case", *(missed(report) for report in reports)]
    by_name: dict[str, list[str]] = {}
    for label in labels(reports):
        case = KNOWN.get(label)
        by_name.setdefault(case.name if case else "earlier cases", []).append(label)
    for name, own in by_name.items():
        rows = [row for label in own for row in case_rows(label, reports)]
        title = f"<b>{name}</b>: {counted(own, reports)}"
        header = ["case", "run", "peer", "target"]
        for column in (short_name(report.machine) for report in reports):
            header += [f"{column}: ms", "ratio (quartiles)", "of limit"]
        parts.append(folded(title, table([*header, "memory", "error"], rows)))
    return "\n\n".join(parts)


def labels(reports: list[Report]) -> list[str]:
    """Return the cases that were measured anywhere, in the order of the suite."""
    measured = dict.fromkeys(record.case for report in reports for record in report.records)
    return [label for label in KNOWN if label in measured] + [
        label for label in measured if label not in KNOWN
    ]


def case_rows(label: str, reports: list[Report]) -> Iterator[list[str]]:
    """Yield a row for each run and peer of a case."""
    found = [
        {record.key: record for record in report.records if record.case == label}
        for report in reports
    ]
    busy = [disturbed(report.records) for report in reports]
    for key in dict.fromkeys(key for records in found for key in records):
        newest = [records[key] for records in found if key in records][-1]
        peers = dict.fromkeys(
            peer for records in found if key in records for peer in records[key].ratios
        )
        for index, peer in enumerate(peers):
            cells: list[str] = []
            for records, marks in zip(found, busy, strict=True):
                cells += machine_cells(records.get(key), peer, key in marks)
            own = ["", ""]
            tail = ["", ""]
            if index == 0:
                own = [label, f"{newest.mode} {newest.dtype} {newest.pass_}"]
                tail = [memory_of(newest), EMPTY if newest.error is None else f"{newest.error:.1e}"]
            aim = aimed_at(newest, peer)
            yield [*own, peer, "" if aim is None else f"{aim:g}", *cells, *tail]


def machine_cells(record: Record | None, peer: str, busy: bool) -> list[str]:
    """Return ms, ratio and share of one machine; a loss in bold, a busy machine with a star."""
    if record is None or peer not in record.ratios:
        return [EMPTY] * 3
    spread = record.ratios[peer].spread
    ratio = f"{spread.median:.2f}"
    if spread.median < 1:
        ratio = f"**{ratio}**"
    ratio += f" ({spread.q1:.2f} to {spread.q3:.2f})"
    if verdict(record, peer) == "missed":
        ratio += " missed"
    share = EMPTY if record.limit_share is None else percent(record.limit_share)
    return [milliseconds(record.seconds) + "\\*" * busy, ratio, share]


def memory_of(record: Record) -> str:
    """Return peak extra memory, with its limit where that is exceeded."""
    if record.memory is None:
        return EMPTY
    text = f"{record.memory:.2f}×"
    return f"{text} (limit {record.memory_target}: missed)" if over(record) else text


def missed(report: Report) -> str:
    """Return which targets one machine misses."""
    judged = [
        (f"{record.case}, {record.mode} {record.pass_}, to {peer}", verdict(record, peer), ratio)
        for record in report.records
        for peer, ratio in record.ratios.items()
        if verdict(record, peer)
    ]
    lines = [
        f"- {name}: {ratio.spread.median:.2f}" for name, result, ratio in judged if result != "met"
    ]
    lines += [
        f"- {record.case}, {record.mode}: memory {record.memory:.2f}×"
        for record in report.records
        if over(record)
    ]
    lines += [f"- not run: {label}: {reason}" for label, reason in report.skipped.items()]
    met = sum(result == "met" for _, result, _ in judged)
    head = f"**{short_name(report.machine)}**: {met} of {len(judged)} ratios reach their target."
    return head + (" Missed:\n\n" + "\n".join(lines) if lines else "")


def counted(own: list[str], reports: list[Report]) -> str:
    """Return how many targets a group of cases meets on each machine, and its losses."""
    texts = []
    for report in reports:
        ratios = [
            (verdict(record, peer), ratio)
            for record in report.records
            if record.case in own
            for peer, ratio in record.ratios.items()
        ]
        judged = [result for result, _ in ratios if result]
        losses = sum(ratio.spread.median < 1 for _, ratio in ratios)
        texts.append(
            f"{short_name(report.machine)}: {judged.count('met')} of {len(judged)} targets, "
            f"{losses} of {len(ratios)} ratios below 1"
        )
    return "; ".join(texts)


def folded(title: str, body: str) -> str:
    """Return a part of a page that opens when its title is clicked."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


# Verdicts, by the targets of today: stored results may be older than their targets


def aimed_at(record: Record, peer: str) -> float | None:
    """Return the least ratio wanted of a record."""
    case = KNOWN.get(record.case)
    if case is None or record.dtype != "float32":
        return None
    return target_of(case.targets, peer, record.mode, record.pass_)


def verdict(record: Record, peer: str) -> str:
    """Return "met", "missed", or nothing where nothing is aimed at."""
    return Ratio(record.ratios[peer].spread, aimed_at(record, peer)).verdict


def over(record: Record) -> bool:
    """Whether a record takes more memory than its case may."""
    case = KNOWN.get(record.case)
    limit = case.memory_target if case else None
    judged = record.pass_ == BACKWARD and record.dtype == "float32"
    return judged and limit is not None and record.memory is not None and record.memory > limit


# Machines


def names(reports: list[Report]) -> list[str]:
    """Return the columns: every machine, and a place for a GPU as long as none is known."""
    found = [short_name(report.machine) for report in reports]
    return found if any(map(on_gpu, reports)) else [*found, NO_GPU]


def on_gpu(report: Report) -> bool:
    return bool(report.machine["device"] == "cuda")


def machines(reports: list[Report]) -> Iterator[str]:
    """Yield what was measured on which machine."""
    for report in reports:
        name, machine = short_name(report.machine), report.machine
        yield " ".join([f"{name}: {machine['date']}, {machine_line(machine)}.", *notes(report)])
    if not any(map(on_gpu, reports)):
        yield (
            "The CUDA column is empty: no GPU has run this suite. `benchmarks/gpu_run.sh FOLDER` "
            "measures one in a single call\nof less than 9 minutes."
        )


def notes(report: Report) -> Iterator[str]:
    """Yield what a reader must know about one machine's numbers."""
    if note := report.machine.get("note"):
        yield note
    if any(r.limit != "copy" and r.limit_seconds is None for r in report.records):
        yield "The FFTs that are the limit were not timed in this run."
    busy = disturbed(report.records)
    if report.machine["device"] == "cpu" and report.machine["load"] > BUSY_LOAD:
        yield f"The load average was {report.machine['load']} at the start."
    if busy:
        yield f"{len(busy)} of {len(report.records)} measurements, with \\*, met a busy machine."


# Which way is faster at which size


def crossings(reports: list[Report]) -> str:
    """Return the tables of products and FFTs, machines side by side."""
    measured = [report for report in reports if report.crossover]
    text = [
        "## Which way is faster at which size",
        "About 2 million fp32 numbers per call; medians of 5 rounds, in which the contenders take "
        "turns. A ratio above 1 means\nthat the first way is faster; the range is that of the "
        "rounds. Each title has the thresholds of\n`skelfreq/functional/_route.py`, which were set "
        "from such tables. `python -m benchmarks --crossover` prints those of\n"
        "the machine at hand.",
    ]
    tables = dict.fromkeys(row["table"] for report in measured for row in report.crossover)
    for title in tables:
        text.append(folded(f"<b>{title}</b>: {thresholds_of(title)}", crossing(title, measured)))
    text += [
        f"{short_name(report.machine)}: {report.machine['date']}, {machine_line(report.machine)}."
        + (f" {report.machine['note']}" if report.machine.get("note") else "")
        for report in measured
    ]
    return "\n\n".join(text)


def crossing(title: str, reports: list[Report]) -> str:
    """Return one table of two ways."""
    few = title == crossover.LAYOUTS
    header = ["frames", "pass", "V"] if few else ["along", "pass", "n"]
    ways = ("moved", "as it lies") if few else ("product", "FFT")
    rows: dict[tuple[str, ...], list[str]] = {}
    for index, report in enumerate(reports):
        name = short_name(report.machine)
        header += [f"{name}: {ways[0]} ms", f"{ways[1]} ms", "copy ms", f"{ways[1]} / {ways[0]}"]
        for row in report.crossover:
            if row["table"] == title:
                cells = rows.setdefault(tuple(row["where"]), [])
                cells += [EMPTY] * (4 * index - len(cells)) + crossover.cells(row)
    full = 4 * len(reports)
    return table(
        header,
        [[*where, *cells, *[EMPTY] * (full - len(cells))] for where, cells in rows.items()],
    )


def thresholds_of(title: str) -> str:
    """Return the present thresholds that a table is about."""
    used: tuple[str, ...] = ("FEW_TRAILING",)
    if title in crossover.TRANSFORMS:
        used = crossover.TRANSFORMS[title][1]
    return ", ".join(f"{name} = {getattr(_route, name)}" for name in used)


def add(paths: list[Path], folder: Path = RESULTS) -> Path:
    """Join results of one machine into its file; later files replace the cases they repeat."""
    reports = [read(path) for path in paths]
    first = reports[0]
    others = [
        path for path, r in zip(paths, reports, strict=True) if r.file_name != first.file_name
    ]
    if others:
        raise ValueError(f"{others[0]}: results of another machine than those of {paths[0]}.")
    records = {(r.case, r.mode, r.dtype, r.pass_): r for report in reports for r in report.records}
    joined = Report(
        first.machine,
        [*records.values()],
        {label: reason for report in reports for label, reason in report.skipped.items()},
        [point for report in reports for point in report.scaling],
        [row for report in reports for row in report.crossover],
    )
    path = folder / first.file_name
    joined.write(path)
    return path


def main(argv: list[str] | None = None) -> int:
    """Write the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--add", nargs="+", type=Path, metavar="FILE", help="results to take over")
    args = parser.parse_args(argv)
    try:
        if args.add:
            print(add(args.add))
        write()
    except (OSError, ValueError) as error:
        print(f"benchmarks.page: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
