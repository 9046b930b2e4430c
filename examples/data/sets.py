"""Labelled clips of one person each, from any file that ``skelfreq.data`` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from examples.common.settings import READING, Settings
from examples.data.clips import SkeletonClips
from examples.data.clips import fill_missing as fill
from examples.data.protocols import PROTOCOLS, Columns, split
from examples.data.synthetic import synthetic_ntu25
from skelfreq.data import Clip, ConvertedSet, Options, read
from skelfreq.data.converted import is_converted
from skelfreq.skeletons import SkeletonLayout, get_layout

# The protocol of the set that a layout was made for.
_USUAL = {"kinect20": "msr-xsub", "kinect20_sdk": "nwucla-xview", "utd20": "utd-xsub"}


def reading(settings: Settings) -> dict[str, Any]:
    """Return the options of :func:`load_file` that the settings of an example give."""
    return {name: value for name in READING if (value := getattr(settings, name))}


def load(name_or_path: str | Path, **options: Any) -> SkeletonClips:
    """Load clips by name or from a file.

    Parameters
    ----------
    name_or_path : str or Path
        ``"synthetic"`` for :func:`synthetic_ntu25`, or the path of a file or folder in any format
        of ``skelfreq.data``: original files, archives, or the converted form.
    **options
        Handed to :func:`synthetic_ntu25` or to :func:`load_file`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        As :func:`load_file` raises.
    """
    if name_or_path == "synthetic":
        if given := sorted(options.keys() & set(READING)):
            flag = given[0].replace("_", "-")
            raise ValueError(f"--{flag} goes with files, the synthetic data need none.")
        return synthetic_ntu25(**options)
    path = Path(name_or_path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file, and the only named data is 'synthetic'.")
    return load_file(path, **options)


def load_file(
    path: Path,
    *,
    protocol: str | None = None,
    listed: str | Path | None = None,
    format: str | None = None,
    axes: str | None = None,
    folder_labels: bool = False,
    persons: str = "main",
    fill_missing: bool = True,
) -> SkeletonClips:
    """Read a file or folder and make every person a clip of their own.

    Frames in which all joints of a person are zero were not tracked and are dropped for that
    person; clips without a person are dropped and named in ``dropped``.

    Parameters
    ----------
    path : Path
        What to read.
    protocol : str, optional
        A name that :func:`examples.data.protocols.split` knows. By default the split that the file
        gives, or else the usual one of the set that has this joint order.
    listed : str or Path, optional
        As for :func:`examples.data.protocols.split`.
    format : str, optional
        Name of the format; found out by default.
    axes, folder_labels
        As for ``skelfreq.data.Options``.
    persons : {"main", "all"}
        Keep the person who moves most (sum of the distances that all joints travel between
        consecutive frames), or every person as a clip of its own with the sample's label.
    fill_missing : bool, default True
        Interpolate joints in time that were not seen: at zero, or with confidence 0.

    Raises
    ------
    ValueError
        If an option is unknown, the file is malformed, has no usable clip or no protocol.
    """
    if persons not in ("main", "all"):
        raise ValueError(f"persons must be one of 'main', 'all', got {persons!r}.")
    name, _, own = (protocol or "").partition(":")
    if converted := is_converted(path):
        if format or axes or folder_labels:
            raise ValueError(f"{path} is converted: leave out --format, --axes, --folder-labels.")
        clips = ConvertedSet(path)
    else:
        options = Options(
            axes=axes or None, folder_labels=folder_labels, split=own if name == "own" else None
        )
        clips = read(path, format or None, options)
    columns = Columns.of(clips)
    if (columns.labels < 0).any():
        some = ", ".join(columns.names[columns.labels < 0][:3])
        raise ValueError(
            f"{path}: expected a label for every clip, got none for {some}: --folder-labels takes "
            f"the folders as classes, and python -m skelfreq.data convert {path} OUT --pattern "
            f"'(?P<label>[a-z]+)' reads classes from names, for --data OUT."
        )
    chosen = protocol or _usual(columns, clips.layout.name, path)
    parts = split(chosen if converted or name != "own" else "own", columns, listed=listed or None)
    kept, rows, names, dropped = [], [], [], [name for name, _ in _left_out(clips)]
    for index, clip in enumerate(clips):
        if not (parts.train[index] or parts.test[index]):
            continue
        people = list(_people(clip, persons, fill_missing))
        if not people:
            dropped.append(clip.name)
        for person, joints in people:
            kept.append(joints)
            rows.append(index)
            names.append(clip.name + (f"/person{person}" if persons == "all" else ""))
    if not kept:
        raise ValueError(f"{path}: expected at least one clip with a person, got none.")
    lengths = np.array([len(joints) for joints in kept], np.int64)
    joints = np.concatenate(kept)
    return SkeletonClips(
        joints=fill(joints, lengths) if fill_missing else joints,
        lengths=lengths,
        labels=columns.labels[rows],
        groups=columns.subjects[rows],
        train=parts.train[rows],
        names=tuple(names),
        class_names=tuple(clips.class_names),
        layout=clips.layout.name if _named(clips.layout) else clips.layout,
        source=f"{path.name}, {chosen}",
        dropped=tuple(dropped),
        cameras=columns.cameras[rows],
    )


def _left_out(clips: Any) -> Iterable[tuple[str, str]]:
    """Return name and reason of the clips that reading left out."""
    for entry in clips.dropped:
        yield (entry[0], entry[1]) if isinstance(entry, tuple) else (entry.name, entry.reason)


def _usual(columns: Columns, layout: str, path: Path) -> str:
    """Return the protocol to take where none is named."""
    if (columns.splits != "").all():
        return "own"
    if layout in _USUAL:
        return _USUAL[layout]
    if layout == "ntu25" and (columns.setups > 0).all():
        return "ntu60-xsub" if columns.labels.max() < 60 else "ntu120-xsub"
    raise ValueError(
        f"{path}: expected a split in the file or --protocol, got neither: subjects:1,3,5 (those "
        f"train), cameras:1,2, setups:2,4, random:0 (a third tests), or one of "
        f"{', '.join(PROTOCOLS)}."
    )


def _named(layout: SkeletonLayout) -> bool:
    try:
        return get_layout(layout.name) == layout
    except ValueError:
        return False


def _people(clip: Clip, persons: str, fill_missing: bool) -> Iterable[tuple[int, np.ndarray]]:
    """Yield number and tracked frames [T, V, C] of the persons to keep."""
    joints = np.array(clip.joints)
    # MSR Action3D gives confidence 0 to joints with good positions, often for a whole clip.
    trusted = clip.confidence is not None and getattr(clip.layout, "name", "") != "kinect20"
    if fill_missing and trusted:
        joints[clip.confidence == 0] = 0
    present = joints.any(axis=(2, 3))
    there = np.flatnonzero(present.any(axis=0))
    if persons == "main" and len(there) > 1:
        steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1).sum(axis=-1)
        # A step into or out of a gap is no motion.
        travelled = (steps * (present[1:] & present[:-1])).sum(axis=0)
        there = there[[travelled[there].argmax()]]
    for person in there:
        yield int(person), joints[present[:, person], person]
