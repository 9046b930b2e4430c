"""``python -m benchmarks``: the library against its peers, side by side in one process."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import crossover, import_time, page, scaling
from benchmarks.case import COMPILED, EAGER, Case, Setting
from benchmarks.cases import CASES, NAMES
from benchmarks.measure import Plan, measure
from benchmarks.report import (
    HEADER,
    comparison,
    console,
    machine_line,
    results_table,
    rows_of,
    summary,
    warnings_of,
)
from benchmarks.results import Record, Report, machine, read
from benchmarks.timing import DEVICE, FULL, QUICK, Effort


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse(argv)
    torch.set_num_threads(args.threads)
    try:
        old = read(args.compare) if args.compare else None
        if args.crossover:
            cross(args)
            return 0
    except (OSError, ValueError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    report = run(args)
    print(f"\n{console([HEADER, *results_table(report)])}\n\n{summary(report)}")
    for line in warnings_of(report):
        print(f"Warning, busy machine: {line}.")
    if old is not None:
        print(f"\n{comparison(old, report)}")
    if args.json:
        report.write(args.json)
    if args.write_docs:
        path = page.RESULTS / report.file_name
        report.write(path)  # the tables below take minutes more
        crossover.measure(args.threads, args.device, rows=report.crossover)
        report.write(path)
        page.write()
        if args.device == "cpu":
            import_time.main(["--write"])
    return 0


def cross(args: argparse.Namespace) -> None:
    """Measure which way is faster at which size, and nothing else."""
    report = Report(machine(args.device, args.threads), [])
    print(machine_line(report.machine), flush=True)
    kept = page.RESULTS / report.file_name
    if args.write_docs and kept.is_file():
        report = replace(read(kept), crossover=[])
    try:
        crossover.measure(args.threads, args.device, rows=report.crossover)
    finally:
        if args.json:  # what was measured survives an interruption
            report.write(args.json)
    if args.write_docs:
        report.write(kept)
        page.write()


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read and check the flags."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every case, compiled and in bf16 too")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="begin no further case after N seconds"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument(
        "--compare", type=Path, metavar="OLD", help="earlier results to print beside"
    )
    parser.add_argument(
        "--crossover", action="store_true", help="only: which way is faster at which size here"
    )
    parser.add_argument("--write-docs", action="store_true", help="update docs/benchmarks.md")
    args = parser.parse_args(argv)
    if args.write_docs and args.only:
        parser.error("--write-docs goes without --only: the page shows every case")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda needs a CUDA device, and torch sees none")
    return args


def run(args: argparse.Namespace) -> Report:
    """Measure what the flags ask for, printing each result as it comes."""
    chosen = [case for case in CASES if not args.only or case.name in args.only]
    report = Report(machine(args.device, args.threads), [])
    print(machine_line(report.machine), flush=True)
    begin = time.perf_counter()

    def elapsed() -> float:
        return time.perf_counter() - begin

    for case in chosen:
        if case.missing:
            report.skipped[case.label] = case.missing
    jobs = [(case, *variant) for case in chosen for variant in variants(case, args)]
    # Compiling takes long: what time may be short for comes last.
    for case, setting, mode in sorted(jobs, key=lambda job: job[2] == COMPILED):
        if args.seconds and elapsed() > args.seconds:
            name = f"{case.label}, {mode} {str(setting.dtype).removeprefix('torch.')}"
            report.skipped[name] = f"{args.seconds:g} seconds were over"
            continue
        peers_too = args.full and setting.dtype == torch.float32 and setting.device == "cpu"
        plan = Plan(setting, mode, effort(args), args.threads, compile_peers=peers_too)
        records = measure(case, plan)
        report.records.extend(records)
        if args.json:  # what was measured survives an interruption
            report.write(args.json)
        for record in records:
            print(line(record, elapsed()), flush=True)
    everything = (args.full or args.write_docs) and not args.only
    if everything and not (args.seconds and elapsed() > args.seconds):
        report.scaling.extend(scaling.measure_all(Setting(args.device), args.threads))
    return report


def effort(args: argparse.Namespace) -> Effort:
    """Return how long to measure."""
    if not args.full:
        return QUICK
    return FULL if args.device == "cpu" else DEVICE


def variants(case: Case, args: argparse.Namespace) -> list[tuple[Setting, str]]:
    """Return the precisions and modes to measure a case in.

    Naming a case measures it in the quick run as well, if only in the plainest way.
    """
    if args.full:
        return [(Setting(args.device, dtype), mode) for dtype in case.dtypes for mode in case.modes]
    if case.missing:
        return []
    modes = case.quick or ((EAGER,) if args.only else ())
    return [(Setting(args.device), mode) for mode in modes]


def line(record: Record, elapsed: float) -> str:
    """Return a record on one line."""
    cells = rows_of(record)[0]
    return f"[{elapsed:5.0f} s] " + "  ".join(cell for cell in cells[:6] if cell)


if __name__ == "__main__":
    sys.exit(main())
