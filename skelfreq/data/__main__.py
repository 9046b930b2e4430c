"""Command line: ``python -m skelfreq.data convert | info | check | show | fuzz | formats``."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from skelfreq.data.clips import Clip
from skelfreq.data.convert import convert
from skelfreq.data.converted import ConvertedSet, is_converted
from skelfreq.data.errors import SkeletonFormatError, printable
from skelfreq.data.files import Limits
from skelfreq.data.findings import Report, Thresholds, check_clips
from skelfreq.data.fuzz import add_fuzz_arguments, run_fuzz
from skelfreq.data.pictures import animate, draw_clip
from skelfreq.data.reading import ClipSet, read
from skelfreq.data.registry import READERS
from skelfreq.data.source import Options
from skelfreq.data.splits import check_splits, is_split_folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m skelfreq.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("path", type=Path, metavar="IN", help="file, folder or converted set")
    common.add_argument("--format", choices=list(READERS), help="found out by default")
    common.add_argument("--max-bytes", type=int, help="largest file or archive that is read")
    common.add_argument("--layout", help="joint order, where the files do not tell it")
    common.add_argument("--axes", help="order of the axes of a plain array, such as NTVC")
    common.add_argument("--key", help="array to read in an archive of plain arrays")
    common.add_argument("--score", action="store_true", help="last channel is a confidence")
    common.add_argument("--trim", action="store_true", help="zero frames at the end are padding")
    common.add_argument("--split", help="split of the file that sets train and test")
    common.add_argument("--missing", type=Path, help="file with names of samples to leave out")
    common.add_argument("--keep-missing", action="store_true",
                        help="read what the authors of NTU RGB+D list as missing")  # fmt: skip
    common.add_argument("--end-sites", action="store_true", help="end sites of BVH as joints")
    common.add_argument("--non-finite", choices=("error", "missing"), default="error")
    common.add_argument("--max-persons", type=int, help="persons per clip, those who move most")
    common.add_argument("--folder-labels", action="store_true", help="folders are the classes")
    common.add_argument("--pattern", help="regular expression for names, with the groups "
                        "label, subject, camera, setup, repetition")  # fmt: skip
    common.add_argument("--skip-errors", action="store_true", help="leave out malformed files")
    command = commands.add_parser("convert", parents=[common], help="write the converted form")
    command.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    command.add_argument("--overwrite", action="store_true", help="replace a converted set")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    commands.add_parser("info", parents=[common], help="say what is in it")
    command = commands.add_parser("check", parents=[common], help="find suspicious clips")
    for field in dataclasses.fields(Thresholds):
        command.add_argument(f"--{field.name}", type=float, default=field.default)
    command.add_argument("--pictures", type=Path, help="folder for a picture per clip found")
    command.add_argument("--max-pictures", type=int, default=50)
    command = commands.add_parser("show", parents=[common], help="animate a clip")
    command.add_argument("clip", nargs="?", help="name or number of the clip; the first")
    command.add_argument("--save", type=Path, help="write .gif or .html instead of a window")
    add_fuzz_arguments(commands.add_parser("fuzz", help="read mutated files"))
    commands.add_parser("formats", help="list the formats")
    return parser


def _options(arguments: argparse.Namespace) -> Options:
    names = {field.name for field in dataclasses.fields(Options)} - {"limits"}
    values = {name: getattr(arguments, name) for name in names}
    if arguments.max_persons is not None and arguments.max_persons < 1:
        raise ValueError(f"--max-persons must be at least 1, got {arguments.max_persons}.")
    return Options(limits=Limits(arguments.max_bytes), **values)


def _open(arguments: argparse.Namespace) -> ConvertedSet | ClipSet:
    options = _options(arguments)
    if arguments.format is None and is_converted(arguments.path):
        return ConvertedSet(arguments.path, options.limits)
    return read(arguments.path, arguments.format, options)


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def _info(clips: ConvertedSet | ClipSet, path: Path) -> None:
    frames = [clip.num_frames for clip in clips]
    format = clips.format if isinstance(clips, ClipSet) else clips.source.get("format")
    middle = sorted(frames)[len(frames) // 2]
    _say(f"{path}: {len(clips)} clips, {sum(frames)} frames, format {format}")
    _say(f"frames: {min(frames)} to {max(frames)}, median {middle}")
    _say(f"layout: {clips.layout.name}, {clips.layout.num_joints} joints, unit "
         f"{clips.unit or 'unknown'}")  # fmt: skip
    _count("persons", (clip.num_persons for clip in clips))
    for name in ("subject", "camera", "setup", "repetition", "split"):
        _count(name, (getattr(clip, name) for clip in clips))
    counts = Counter(clip.label for clip in clips)
    _say(f"classes: {len(clips.class_names)}, {len(counts.keys() - {-1})} of them with clips")
    for label, name in enumerate(clips.class_names):
        if counts[label]:
            _say(f"  {label:4d}  {counts[label]:6d}  {printable(name)}")
    if counts[-1]:
        _say(f"    -1  {counts[-1]:6d}  no class")
    if clips.dropped:
        _say(f"left out: {len(clips.dropped)}")
    if isinstance(clips, ConvertedSet):
        _say(f"source: {clips.source}")
        _say(f"preprocessing: {', '.join(clips.preprocessing) or 'none'}")


def _count(name: str, values: Iterable[object]) -> None:
    counts = Counter(values)
    if set(counts) in ({-1}, {""}):
        return
    shown = ", ".join(f"{value}: {count}" for value, count in sorted(counts.items(), key=str)[:40])
    _say(f"{name}: {shown}")


def _check(clips: ConvertedSet | ClipSet, arguments: argparse.Namespace) -> int:
    values = {field.name: getattr(arguments, field.name) for field in
              dataclasses.fields(Thresholds)}  # fmt: skip
    report = check_clips(clips, clips.unit, clips.class_names, Thresholds(**values))
    dropped = (
        [(entry.name, entry.reason) for entry in clips.dropped]
        if isinstance(clips, ClipSet)
        else clips.dropped
    )
    _table(report, len(dropped))
    for name, reason in dropped:
        _say(f"left out: {printable(name)}: {reason}")
    if arguments.pictures is not None:
        drawn: dict[int, list[str]] = {}
        frames: dict[int, int] = {}
        for finding in report.findings:
            if finding.clip >= 0:
                drawn.setdefault(finding.clip, []).append(f"{finding.kind}: {finding.text}")
                frames[finding.clip] = max(frames.get(finding.clip, 0), finding.frame)
        for index, texts in list(drawn.items())[: arguments.max_pictures]:
            title = "\n".join([f"{clips[index].name}", *texts])
            draw_clip(clips[index], frames[index], title, arguments.pictures)
        _say(f"{min(len(drawn), arguments.max_pictures)} pictures in {arguments.pictures}")
    return 0


def _table(report: Report, dropped: int) -> None:
    width = max([len(printable(f.name, 40)) for f in report.findings] + [4])
    for finding in report.findings:
        name = printable(finding.name, 40) if finding.clip >= 0 else "(all)"
        _say(f"{name:{width}}  {finding.kind:12}  {finding.text}")
    _say()
    _say(f"{report.clips} clips, {report.frames} frames, {dropped} left out")
    shares = (
        ("frames are zero", report.zero_frames, report.frames),
        ("joints are zero", report.zero_joints, report.joints),
        ("joints were not seen", report.unseen, report.joints),
    )
    for what, count, total in shares:
        _say(f"{count / max(total, 1):7.2%} of the {what}")
    for kind, count in report.clips_by_kind.most_common():
        _say(f"{count:7d} clips: {kind}")


def _find(clips: ConvertedSet | ClipSet, name: str | None) -> Clip:
    if name is None:
        return clips[0]
    for clip in clips:
        if clip.name == name:
            return clip
    if name.isdigit() and int(name) < len(clips):
        return clips[int(name)]
    raise ValueError(f"clip must be a name or a number below {len(clips)}, got {name!r}.")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "formats":
        for name, reader in READERS.items():
            _say(f"{name:18} {', '.join(reader.suffixes):14} {reader.reads}")
        return 0
    if arguments.command == "fuzz":
        return run_fuzz(arguments, _say)
    if arguments.command == "convert":
        done = convert(
            arguments.path, arguments.out, arguments.format, _options(arguments),
            overwrite=arguments.overwrite, progress=not arguments.quiet,
        )  # fmt: skip
        _say(f"{arguments.out}: {len(done)} clips, {len(done.dropped)} left out")
        return 0
    if arguments.command == "check" and is_split_folder(arguments.path):
        for finding in check_splits(arguments.path, _options(arguments).limits):
            _say(f"{printable(finding.name):20}  {finding.kind:12}  {finding.text}")
        return 0
    clips = _open(arguments)
    if arguments.command == "info":
        _info(clips, arguments.path)
        return 0
    if arguments.command == "check":
        return _check(clips, arguments)
    animate(_find(clips, arguments.clip), arguments.save)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 where the data are at fault, or 130 when interrupted."""
    arguments = _parser().parse_args(words)
    try:
        return _run(arguments)
    except (SkeletonFormatError, FileExistsError, RuntimeError, ValueError, ImportError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:
        # Whoever reads the output has seen enough.
        sys.stdout = None
        return 0
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        again = full and arguments.command == "convert"
        remedy = " Make room; the same command goes on from there." if again else ""
        reason = f"{error.strerror or error}.{remedy}"
        sys.stderr.write(f"{error.filename or arguments.command}: {reason}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. The same command goes on from here.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
