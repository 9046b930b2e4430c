"""``python -m examples.soak --kills 50``: kill runs at random moments, resume, compare bits."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

SMALL = {
    "fd_mae": (
        "--frames 8 --width 16 --depth 1 --heads 2 --decoder-width 16 --ssfrm-width 8 --cutoff 3 "
        "--tube-length 1 --epochs 12 --rows untrained plain fd-mae --label-shares 0.5 "
        "--fine-tuning-steps 20"
    ),
    "fs_vae": (
        "--frames 16 --encoder-epochs 4 --cycles 2 --cycle-epochs 25 --latent 8 "
        "--samples-per-class 50 --rows freqenhance triplet"
    ),
    "mica": (
        "--widths 4 8 --frames 8 --embedding 8 --queue 48 --epochs 8 --rows random infonce mica"
    ),
    # A study: its processes must end with it.
    "fd_mae study": (
        "--frames 8 --width 16 --depth 1 --heads 2 --decoder-width 16 --ssfrm-width 8 --cutoff 3 "
        "--tube-length 1 --epochs 6 --rows untrained fd-mae --seeds 0 1 2 --workers 2"
    ),
}
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ENDED = 40  # seconds within which everything that a run started has ended


@dataclass
class Victim:
    """A run that is killed and resumed until it is finished."""

    name: str
    root: Path
    whole: Path
    seconds: float
    kills: int = 0

    def start(self) -> subprocess.Popen[str]:
        """Start the run, or go on with it."""
        found = [path.parent for path in self.root.glob("*/run.json")]
        more = ["--resume", str(found[0])] if found else ["--out", str(self.root)]
        return launch(self.name, more)


def launch(name: str, more: list[str]) -> subprocess.Popen[str]:
    """Start one of the examples in a process group of its own."""
    resumed, flags = "--resume" in more, SMALL[name].split()
    workers = flags[flags.index("--workers") :] if resumed and "--workers" in flags else []
    command = [sys.executable, "-m", f"examples.{name.split()[0]}", "--save-every", "0.3"]
    return subprocess.Popen(
        command + (workers if resumed else flags) + more, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"},
    )  # fmt: skip


def only(root: Path) -> Path:
    """Return the one run in a folder."""
    (folder,) = (path.parent for path in root.glob("*/run.json"))
    return folder


def group_ends(number: int) -> bool:
    """Wait until no process of a group is left."""
    deadline = time.monotonic() + ENDED
    while time.monotonic() < deadline:
        try:
            os.killpg(number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def compared(first: Path, second: Path) -> dict[str, bool]:
    """Return the files of two finished runs, and whether both have them, bit by bit alike."""
    names = {
        str(path.relative_to(folder))
        for folder in (first, second)
        for path in folder.rglob("*")
        # The page names its folder; locks are empty.
        if path.is_file() and path.suffix != ".html" and path.name != ".lock"
    }
    return {name: _same(first / name, second / name) for name in sorted(names)}


def differing(first: Path, second: Path) -> list[str]:
    """Return the files in which two finished runs differ."""
    return [name for name, same in compared(first, second).items() if not same]


def _same(first: Path, second: Path) -> bool:
    if not (first.exists() and second.exists()):
        return False
    if first.suffix != ".pt":
        return first.read_bytes() == second.read_bytes()
    return equal(*(torch.load(path, weights_only=True) for path in (first, second)))


def equal(first: Any, second: Any) -> bool:
    """Compare states bit by bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return type(first) is type(second) and bool(first == second)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m examples.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and signals")
    args = parser.parse_args(argv)
    rng, started = random.Random(args.seed), time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="skelfreq-soak-"))
    victims, counts, failures = [], Counter[str](), []
    for name in SMALL:
        whole = root / name.replace(" ", "-") / "whole"
        begun = time.monotonic()
        process = launch(name, ["--out", str(whole)])
        error = process.communicate()[1]
        if process.returncode:
            raise SystemExit(f"{name} does not run: {error}")
        seconds = time.monotonic() - begun
        print(f"{name}: {seconds:.1f} s without interruption", flush=True)
        victims.append(Victim(name, whole.with_name("killed-0"), only(whole), seconds))
    done = 0
    while victims:
        victim = victims.pop(0)
        process = victim.start()
        if done < args.kills:
            time.sleep(rng.uniform(0.05, 1.0) * victim.seconds)
            number = rng.choice(SIGNALS)
            if process.poll() is None:
                process.send_signal(number)
                done, victim.kills = done + 1, victim.kills + 1
                counts[number.name] += 1
        error = process.communicate()[1]
        if not group_ends(process.pid):
            failures.append(f"{victim.name}: processes outlived it")
            os.killpg(process.pid, signal.SIGKILL)
        if process.returncode == 0:
            files = compared(victim.whole, only(victim.root))
            lost = [name for name, same in files.items() if not same]
            failures += [f"{victim.name}: {file} differs" for file in lost]
            counts["finished runs"] += 1
            counts["identical files"] += sum(p.is_file() for p in victim.whole.rglob("*")) - len(
                lost
            )
            print(f"{victim.name}: {victim.kills} kills, {len(lost)} files differ", flush=True)
            shutil.rmtree(victim.root)
            if done >= args.kills:
                continue
            victim = Victim(victim.name, victim.root, victim.whole, victim.seconds)
        elif process.returncode > 0 and process.returncode not in (130, 143):
            failures.append(f"{victim.name}: status {process.returncode}: {error[-300:]}")
            if done >= args.kills:
                continue
        elif "Traceback" in error:
            failures.append(f"{victim.name}: {error[-500:]}")
        victims.append(victim)
    print(f"\n{done} kills in {time.monotonic() - started:.0f} s: {dict(counts)}")
    print("\n".join(failures) or "Nothing was lost.")
    if not failures:
        shutil.rmtree(root)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
