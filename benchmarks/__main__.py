"""``python -m benchmarks``: the library against its peers, side by side in one process."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks import crossover, import_time, scaling
from benchmarks.case import EAGER, Case, Setting
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
    write_results,
)
from benchmarks.results import Record, Report, machine, read
from benchmarks.timing import FULL, QUICK

RESULTS = Path(__file__).parent / "results"


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse(argv)
    if args.crossover:
        crossover.main(args.threads, args.write_docs)
        return 0
    try:
        old = read(args.compare) if args.compare else None
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
        report.write(RESULTS / f"{args.device}.json")
        size = " --full" if args.full else ""
        command = f"python -m benchmarks{size} --device {args.device} --write-docs"
        write_results(report, command)
        scaling.write(report, command)
        if args.device == "cpu":
            crossover.main(args.threads, write=True)
            import_time.main(["--write"])
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read and check the flags."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every case, compiled and in bf16 too")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
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
    for case in chosen:
        if case.missing:
            report.skipped[case.label] = case.missing
            continue
        for setting, mode in variants(case, args):
            effort = FULL if args.full else QUICK
            peers_too = args.full and setting.dtype == torch.float32
            plan = Plan(setting, mode, effort, args.threads, compile_peers=peers_too)
            records = measure(case, plan)
            report.records.extend(records)
            if args.json:  # what was measured survives an interruption
                report.write(args.json)
            for record in records:
                print(line(record, time.perf_counter() - begin), flush=True)
    if (args.full or args.write_docs) and not args.only:
        report.scaling.extend(scaling.measure_all(Setting(args.device), args.threads))
    return report


def variants(case: Case, args: argparse.Namespace) -> list[tuple[Setting, str]]:
    """Return the precisions and modes to measure a case in.

    Naming a case measures it in the quick run as well, if only in the plainest way.
    """
    if args.full:
        return [(Setting(args.device, dtype), mode) for dtype in case.dtypes for mode in case.modes]
    modes = case.quick or ((EAGER,) if args.only else ())
    return [(Setting(args.device), mode) for mode in modes]


def line(record: Record, elapsed: float) -> str:
    """Return a record on one line."""
    cells = rows_of(record)[0]
    return f"[{elapsed:5.0f} s] " + "  ".join(cell for cell in cells[:6] if cell)


if __name__ == "__main__":
    sys.exit(main())
