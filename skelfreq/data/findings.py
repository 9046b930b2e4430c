"""What is suspicious about clips and about the set that they make up."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from skelfreq.data.clips import Clip
from skelfreq.data.measures import Measures, measure

__all__ = ["Finding", "Report", "Thresholds", "check_clips"]


@dataclass(frozen=True)
class Thresholds:
    """From where on a measure is a finding.

    Parameters
    ----------
    step : float, default 0.8
        Metres that a joint moves from one frame to the next.
    bone : float, default 0.9
        Metres that a bone is long.
    drift : float, default 0.5
        Deviation of a bone's length over the clip, relative to its median; not for 2-D joints.
    relative : float, default 4
        Steps and bones in other units: multiples of the clip's median bone.
    unseen : float, default 0.5
        Share of joints that were not seen.
    """

    step: float = 0.8
    bone: float = 0.9
    drift: float = 0.5
    relative: float = 4.0
    unseen: float = 0.5


@dataclass(frozen=True)
class Finding:
    """Something suspicious about a clip, or about the set if ``clip`` is -1."""

    clip: int
    name: str
    kind: str
    text: str
    frame: int = 0


@dataclass
class Report:
    """All findings about a set, and totals."""

    findings: list[Finding] = field(default_factory=list)
    clips: int = 0
    frames: int = 0
    zero_frames: int = 0
    joints: int = 0
    zero_joints: int = 0
    unseen: int = 0
    clips_by_kind: Counter[str] = field(default_factory=Counter)


def findings_of(
    index: int, clip: Clip, found: Measures, unit: str, limits: Thresholds
) -> Iterator[Finding]:
    """Yield what is suspicious about one clip."""

    def say(kind: str, text: str, frame: int = 0) -> Finding:
        return Finding(index, clip.name, kind, text, frame)

    if found.not_finite:
        yield say("not finite", f"{found.not_finite} joints are NaN or infinite")
    if found.frames == 1:
        yield say("short", "has 1 frame")
    if found.zero_frames == found.frames:
        yield say("all zero", f"all {found.frames} frames are zero")
        return
    if found.zero_frames:
        yield say("zero frames", f"{found.zero_frames} of {found.frames} frames are zero")
    if found.zero_joints:
        yield say("zero joints", f"{found.zero_joints} joints are zero in frames with others")
    if found.frames > 1 and not found.moves:
        yield say("no motion", f"no joint moves in {found.frames} frames")
    metres = unit == "m"
    step = limits.step if metres else limits.relative * found.typical_bone
    bone = limits.bone if metres else limits.relative * found.typical_bone
    name = unit or "units"
    if found.step > step > 0:
        yield say("jump", f"a joint moves {found.step:.2f} {name} in one frame", found.step_frame)
    if found.bone > bone > 0:
        yield say(
            "long bone", f"{found.bone_name} is {found.bone:.2f} {name} long", found.bone_frame
        )
    if clip.joints.shape[3] == 3 and found.drift > limits.drift:
        yield say("bone drift", f"{found.drift_name} varies by {found.drift:.0%}")
    if found.unseen > limits.unseen:
        yield say("unseen", f"{found.unseen:.0%} of the joints were not seen")


def check_clips(
    clips: Iterable[Clip], unit: str, class_names: Sequence[str], limits: Thresholds | None = None
) -> Report:
    """Return the findings about clips and about the set that they make up.

    Parameters
    ----------
    clips : iterable of Clip
        The clips; one is in memory at a time.
    unit : str
        Unit of the joints; steps and bones are compared in metres, or else with the median bone.
    class_names : sequence of str
        Names of all classes.
    limits : Thresholds, optional
        From where on a measure is a finding.

    Returns
    -------
    Report
        Findings in the order of the clips, those about the set last.
    """
    limits = limits or Thresholds()
    report = Report()
    keys: list[tuple[int, int, int]] = []
    same: dict[bytes, str] = {}
    for index, clip in enumerate(clips):
        found = measure(clip)
        report.clips += 1
        report.frames += found.frames
        report.zero_frames += found.zero_frames
        size = clip.joints.shape[0] * clip.joints.shape[1] * clip.joints.shape[2]
        report.joints += size
        report.zero_joints += int((~clip.joints.any(axis=-1)).sum())
        report.unseen += round(found.unseen * size)
        report.findings += findings_of(index, clip, found, unit, limits)
        keys.append((clip.label, clip.subject, clip.repetition))
        digest = hashlib.sha256(clip.joints.tobytes()).digest()
        if digest in same and found.zero_frames < found.frames:
            text = f"has the same joints as {same[digest]}"
            report.findings.append(Finding(index, clip.name, "duplicate", text))
        same.setdefault(digest, clip.name)
    for finding in report.findings:
        report.clips_by_kind[finding.kind] += 1
    report.findings += _set_findings(keys, class_names)
    return report


def _set_findings(
    keys: list[tuple[int, int, int]], class_names: Sequence[str]
) -> Iterator[Finding]:
    """Yield what is missing in the set as a whole."""
    labels, subjects, repetitions = (list(column) for column in zip(*keys, strict=True))
    for kind, column in (("label", labels), ("subject", subjects)):
        unknown = column.count(-1)
        if unknown:
            yield Finding(-1, "", f"no {kind}", f"{unknown} of {len(keys)} clips have no {kind}")
    used = set(labels)
    empty = [name for label, name in enumerate(class_names) if label not in used]
    if empty and -1 not in used:
        yield Finding(
            -1, "", "no clips", f"{len(empty)} classes have no clips: {', '.join(empty[:10])}"
        )
    axes = [sorted(set(column)) for column in (labels, subjects, repetitions)]
    grid = len(axes[0]) * len(axes[1]) * len(axes[2])
    present = set(keys)
    # Only where classes, subjects and repetitions nearly form a full grid.
    if all(-1 not in axis for axis in axes) and 0.9 * grid <= len(present) < grid:
        absent = [
            f"class {a}, subject {s}, repetition {r}"
            for a in axes[0] for s in axes[1] for r in axes[2] if (a, s, r) not in present
        ]  # fmt: skip
        yield Finding(
            -1, "", "absent",
            f"{len(absent)} of {grid} combinations of class, subject and repetition are absent: "
            + "; ".join(absent[:10]) + ("; ..." if len(absent) > 10 else ""),
        )  # fmt: skip
