"""How many small changes of ``skelfreq`` do the tests notice?

``python -m tests.mutation --record`` runs the suite once, to learn which test runs which line;
``--record FILE ...`` adds new tests to that. Record everything again after changes of ``skelfreq``.
``python -m tests.mutation --sample 300 --seed 0 --minutes 40`` then tries as many of 300 changes as
the time allows, and goes on from there when it is called again. A change counts as noticed when a
test fails that passes without it, or when a test no longer ends. Needs a system that can fork.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutators import Mutant, mutants
from tests.mutation.running import Outcome, Runner, record_lines, warm_up
from tests.mutation.selection import Map

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("SKELFREQ_MUTATION", ROOT / ".mutation"))
NOTICED = ("killed", "timeout")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse(argv)
    os.environ.setdefault("SKELFREQ_DATA", str(ROOT.parent / "shared" / "data"))
    if args.record is not None:
        return record_lines(ROOT, FOLDER, args.record)
    everything = mutants(ROOT)
    chosen = choose(everything, args)
    results = FOLDER / f"results_{args.seed}.jsonl"
    if not args.report:
        warm_up()
        try_all(chosen, results, args)
    text = report(chosen, len(everything), read(results))
    print(text)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--record", nargs="*", metavar="FILE", help="learn which test runs which line"
    )
    parser.add_argument("--sample", type=int, default=300, help="number of changes")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--minutes", type=float, default=40.0, help="no change is begun after them")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--match", metavar="TEXT", help="every change whose name contains TEXT")
    parser.add_argument("--again", action="store_true", help="try survivors once more")
    parser.add_argument("--report", action="store_true", help="only print what is known")
    return parser.parse_args(argv)


def choose(everything: list[Mutant], args: argparse.Namespace) -> list[Mutant]:
    """Return the sample, in the order in which it is tried."""
    if args.match:
        return [mutant for mutant in everything if args.match in mutant.key]
    return random.Random(args.seed).sample(everything, min(args.sample, len(everything)))


def try_all(chosen: list[Mutant], results: Path, args: argparse.Namespace) -> None:
    """Try what has no result yet, in several processes."""
    known = read(results)
    skipped = NOTICED if args.again else (*NOTICED, "survived", "no tests", "unreliable")
    open_ = [
        mutant
        for mutant in chosen
        if mutant.key not in EQUIVALENT
        and (mutant.key not in known or known[mutant.key].verdict not in skipped)
    ]
    end = time.monotonic() + 60 * args.minutes
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=work, args=(open_[index :: args.workers], index, results, end))
        for index in range(args.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def work(own: list[Mutant], index: int, results: Path, end: float) -> None:
    """Try mutants one by one until the time is over."""
    runner = Runner(ROOT, FOLDER, Map.read(FOLDER), index)
    for mutant in own:
        if time.monotonic() > end:
            return
        outcome = runner.try_(mutant)
        with results.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        print(f"{outcome.verdict:10} {outcome.seconds:6.1f} s  {outcome.key}", flush=True)


def read(results: Path) -> dict[str, Outcome]:
    """Return the last result of each mutant."""
    if not results.is_file():
        return {}
    outcomes = [Outcome(**json.loads(line)) for line in results.read_text().splitlines()]
    return {outcome.key: outcome for outcome in outcomes}


def report(chosen: list[Mutant], total: int, known: dict[str, Outcome]) -> str:
    """Return the figures, and the names of all that was not noticed."""
    tried = [mutant for mutant in chosen if mutant.key in known or mutant.key in EQUIVALENT]
    equivalent = [mutant for mutant in tried if mutant.key in EQUIVALENT]
    counted = [mutant for mutant in tried if mutant.key not in EQUIVALENT]
    verdicts = Counter(known[mutant.key].verdict for mutant in counted)
    noticed = sum(verdicts[verdict] for verdict in NOTICED)
    lines = [
        f"{len(tried)} of a sample of {len(chosen)} changes tried, out of {total}.",
        f"{len(equivalent)} change nothing that can be seen; of the other {len(counted)}, "
        f"{noticed} were noticed ({share(noticed, len(counted))}), "
        f"{verdicts['timeout']} of them by a test that did not end.",
    ]
    groups: dict[str, list[int]] = {}
    for mutant in counted:
        found = groups.setdefault(group(mutant.path), [0, 0])
        found[0] += 1
        found[1] += known[mutant.key].verdict in NOTICED
    lines += ["", "| part | tried | noticed |", "|---|---|---|"]
    lines += [f"| `{name}` | {a} | {b} |" for name, (a, b) in sorted(groups.items())]
    for verdict in ("survived", "no tests", "unreliable"):
        names = [m.key for m in counted if known[m.key].verdict == verdict]
        lines += ["", f"{verdict}:", *(f"- {name}" for name in names)] if names else []
    if equivalent:
        lines += ["", "equivalent:"]
        lines += [f"- {mutant.key}: {EQUIVALENT[mutant.key]}" for mutant in equivalent]
    return "\n".join(lines)


def group(path: str) -> str:
    """Return the folder of a file, with the files of the top level together."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def share(part: int, whole: int) -> str:
    """Return a percentage."""
    return f"{100 * part / whole:.1f} %" if whole else "none"


if __name__ == "__main__":
    sys.exit(main())
