"""A loader over a converted set of NTU RGB+D 60's size: ``python -m benchmarks.loading``.

56,880 clips of random numbers, 40 to 300 frames, two persons, are written to a temporary folder.
Batches are cropped, resampled to 64 frames, rotated and jittered where the loader makes them: in
its workers, or in the main process if it has none. Every number of workers is measured in a fresh
process, over two passes. Memory is the anonymous one (``RssAnon``) of the main process and its
workers together, read every 50 ms, at its largest.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from skelfreq.data.loading import Collate, SkeletonDataset
from skelfreq.data.transforms import Compose, Jitter, RandomCropResample, RandomRotation
from skelfreq.skeletons import get_layout

CLIPS = 56_880
PERSONS, SHORTEST, LONGEST, FRAMES = 2, 40, 300, 64


def write_set(folder: Path, clips: int, seed: int = 0) -> int:
    """Write a converted set of random numbers; returns its bytes."""
    rng = np.random.default_rng(seed)
    layout = get_layout("ntu25")
    lengths = rng.integers(SHORTEST, LONGEST, clips, endpoint=True)
    rows = int(lengths.sum()) * PERSONS
    shape = (rows, layout.num_joints, 3)
    joints = np.lib.format.open_memmap(folder / "joints.npy", "w+", np.float32, shape)
    for start in range(0, rows, 1 << 16):
        block = joints[start : start + (1 << 16)]
        block[:] = rng.standard_normal(block.shape, np.float32)
    joints.flush()
    unknown = [-1] * clips
    record = {
        "format": "skelfreq-clips",
        "version": 1,
        "layout": asdict(layout),
        "channels": 3,
        "unit": "m",
        "class_names": [f"A{number + 1}" for number in range(60)],
        "preprocessing": [],
        "source": {"format": "random numbers", "seed": seed},
        "dropped": [],
        "confidence": False,
        "clips": {
            "name": [f"clip{number}" for number in range(clips)],
            "length": lengths.tolist(),
            "persons": [PERSONS] * clips,
            "label": rng.integers(0, 60, clips).tolist(),
            **dict.fromkeys(("subject", "camera", "setup", "repetition"), unknown),
            "split": [""] * clips,
        },
    }
    (folder / "index.json").write_text(json.dumps(record))
    return joints.nbytes


def anonymous_bytes(pid: int | str) -> int:
    """Return the anonymous memory of a process, 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(row.split()[1]) << 10 for row in status.splitlines() if row[:7] == "RssAnon")


@contextmanager
def watch() -> Iterator[list[int]]:
    """Collect the anonymous memory of this process and its children while the block runs."""
    sums: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while True:
            workers = [child.pid for child in multiprocessing.active_children()]
            sums.append(sum(map(anonymous_bytes, ("self", *workers))))
            if ended.wait(0.05):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield sums
    finally:
        ended.set()
        thread.join()


def run(folder: Path, workers: int, batch: int) -> tuple[float, float, int]:
    """Return the clips per second of a first and a second pass, and the largest memory in bytes."""
    torch.set_num_threads(1)
    transform = Compose(RandomCropResample(FRAMES), RandomRotation(30.0), Jitter(0.01))
    dataset = SkeletonDataset(folder)
    loader = DataLoader(
        dataset,
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        collate_fn=Collate(transform, num_persons=PERSONS),
        generator=torch.Generator().manual_seed(0),
    )
    speed = []
    with watch() as memory:
        for _ in range(2):
            begin, seen = time.perf_counter(), 0
            for item in loader:
                assert item.x.shape[1:] == (PERSONS, 3, FRAMES, 25)
                seen += len(item.lengths)
            speed.append(seen / (time.perf_counter() - begin))
    return speed[0], speed[1], max(memory)


def main(argv: list[str] | None = None) -> None:
    """Write the set, read it, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--folder", type=Path, help="where the temporary set goes (6 GB)")
    args = parser.parse_args(argv)
    print(f"load average at the start {os.getloadavg()[0]:.1f}")
    # A fresh interpreter each: what one leaves in memory is not counted for the next.
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        with fresh.Pool(1) as pool:
            size = pool.apply(write_set, (folder, args.clips))
        print(f"{args.clips} clips, {size / 1e9:.2f} GB")
        for workers in args.workers:
            first, second, memory = _apart(folder, workers, args.batch)
            print(
                f"{workers} workers, batches of {args.batch}: {first:.0f} clips/s in the first "
                f"pass, {second:.0f} in the second; RssAnon at most {memory / 1e6:.0f} MB",
                flush=True,
            )


def _apart(folder: Path, workers: int, batch: int) -> tuple[float, float, int]:
    """Call :func:`run` in a fresh interpreter, which may have workers of its own."""
    call = (
        f"from benchmarks.loading import *; print(*run(Path({str(folder)!r}), {workers}, {batch}))"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", call], capture_output=True, text=True, check=True, cwd=root
    )
    first, second, memory = done.stdout.split()
    return float(first), float(second), int(memory)


if __name__ == "__main__":
    main()
