"""How fast files are read, with one core: ``python -m benchmarks.readers``.

MSR Action3D's 567 text files are written from the archive of the real clips, or with random numbers
where that is absent; files of NTU RGB+D's form hold random numbers of the original's width. The
files lie in the page cache. Targets: 5 s for the 567 text files, 20 MB/s for ``.skeleton``.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import table, write_section
from benchmarks.results import machine
from skelfreq.data import ClipSource, Options, convert, read
from skelfreq.data.fuzzing.ntu import ntu_text

DATA = Path(
    os.environ.get("SKELFREQ_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)
MSR_FILES, MSR_SECONDS = 567, 5.0
NTU_MEGABYTES = 20.0


def msr_clips() -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and joints [T, 20, 3] of 567 clips, real ones where they are there."""
    archive = DATA / "msr_action3d.npz"
    if archive.exists():
        for clip in read(archive):
            yield clip.name, clip.joints[:, 0]
        return
    rng = np.random.default_rng(0)
    for index in range(MSR_FILES):
        name = f"a{index // 30 + 1:02d}_s{index // 3 % 10 + 1:02d}_e{index % 3 + 1:02d}"
        yield name, rng.normal(size=(41, 20, 3))


def write_msr(folder: Path) -> None:
    """Write clips as the original text files: four numbers of six decimals a line."""
    folder.mkdir()
    for name, joints in msr_clips():
        rows = np.concatenate([joints, np.ones((*joints.shape[:2], 1))], axis=-1).reshape(-1, 4)
        text = "".join("{:.6f} {:.6f} {:.6f} {:.6f}\n".format(*row) for row in rows.tolist())
        (folder / f"{name}_skeleton3D.txt").write_text(text)


def write_ntu(folder: Path, files: int) -> None:
    """Write files of 80 to 120 frames, every fourth with two bodies."""
    folder.mkdir()
    for index in range(files):
        rng = np.random.default_rng(index)
        text = ntu_text(rng, int(rng.integers(80, 120)), 2 if index % 4 == 3 else 1)
        name = f"S{index % 17 + 1:03d}C001P{index % 40 + 1:03d}R001A{index % 60 + 1:03d}"
        (folder / f"{name}.skeleton").write_text(text)


def seconds_to_read(folder: Path, format: str, turns: int) -> tuple[float, float, int]:
    """Return the median seconds over ``turns``, the megabytes and the clips of a folder."""
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    found, count = [], 0
    for _ in range(turns):
        start = time.perf_counter()
        count = sum(1 for _ in ClipSource(folder, format, Options(keep_missing=True)).items())
        found.append(time.perf_counter() - start)
    return float(np.median(found)), size, count


def main(argv: list[str] | None = None) -> None:
    """Measure and print a table with the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=120, help="of NTU RGB+D's form")
    parser.add_argument("--turns", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    args = parser.parse_args(argv)
    described = machine("cpu", torch.get_num_threads())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_msr(folder / "msr")
        write_ntu(folder / "ntu", args.files)
        rows = []
        for part, format in (("msr", "msr_action3d_txt"), ("ntu", "ntu_skeleton")):
            seconds, size, count = seconds_to_read(folder / part, format, args.turns)
            start = time.perf_counter()
            convert(folder / part, folder / f"{part}-out", format, Options(keep_missing=True))
            whole = time.perf_counter() - start
            met = seconds <= MSR_SECONDS if part == "msr" else size / seconds >= NTU_MEGABYTES
            target = f"≤ {MSR_SECONDS:g} s" if part == "msr" else f"≥ {NTU_MEGABYTES:g} MB/s"
            rows.append(
                [format, f"{count}", f"{size:.1f}", f"{seconds:.2f}", f"{size / seconds:.1f}",
                 f"{whole:.2f}", target, "met" if met else "missed"]
            )  # fmt: skip
    head = ["format", "files", "MB", "read, s", "MB/s", "convert, s", "target", ""]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    body = table(head, rows)
    body += f"\n\nThe largest resident memory of the process, torch included, was {peak:.0f} MB."
    print(body)
    if args.write:
        command = "python -m benchmarks.readers --write"
        write_section("readers", "Readers of skeleton files", body, command, described)


if __name__ == "__main__":
    main()
