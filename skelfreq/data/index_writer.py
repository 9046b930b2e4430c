"""Writing of the index of the converted form."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skelfreq.data.converted import FORMAT, INDEX, VERSION
from skelfreq.data.journal import Journal
from skelfreq.data.reading import ClipSource, Labels
from skelfreq.data.source import Options

__all__ = ["told", "write_index"]


def told(options: Options) -> dict[str, Any]:
    """Return the options that differ from the defaults and change the result."""
    default = Options()
    found = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name not in ("limits", "missing") and value != getattr(default, field.name):
            found[field.name] = value
    if options.missing is not None:
        found["missing"] = Path(options.missing).name
    return found


def write_index(source: ClipSource, journal: Journal, has_confidence: bool) -> None:
    """Write ``index.json`` from the records of a finished journal."""
    records = journal.records
    clips = [record[1] for record in records if record[0] == "clip"]
    labels = Labels()
    for clip in clips:
        labels.add(clip["label"], clip["label_name"])
    classes = labels.classes(tuple(source.reader.class_names()))
    place = {name: index for index, name in enumerate(classes)}
    for clip in clips:
        if clip["label"] < 0 and clip["label_name"]:
            clip["label"] = place[clip["label_name"]]
    layout = dict(journal.layout)
    channels, measured_in = layout.pop("channels"), layout.pop("unit")
    options = source.options
    preprocessing = list(source.reader.preprocessing)
    if options.non_finite == "missing":
        preprocessing.append("joints that are not finite set to zero")
    if options.max_persons is not None:
        preprocessing.append(f"the {options.max_persons} persons who move most")
    hashes = [record[2] for record in sorted(r for r in records if r[0] == "hash")]
    about = {
        "format": FORMAT,
        "version": VERSION,
        "layout": layout,
        "channels": channels,
        "unit": measured_in,
        "confidence": has_confidence,
        "class_names": list(classes),
        "preprocessing": preprocessing,
        "source": {
            "format": source.reader.name,
            "name": source.path.name,
            "options": told(options),
            "units": len(hashes),
            "sha256": hashlib.sha256("".join(hashes).encode()).hexdigest(),
        },
        "dropped": [record[1:] for record in records if record[0] == "drop"],
        "clips": _columns(clips),
    }
    journal.write(INDEX, "".join(_index_lines(about)).encode())


def _columns(clips: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the columns of the index; those that say nothing are left out."""
    names = ("name", "length", "label", "subject", "camera", "setup", "repetition", "split")
    found = {name: [clip[name] for clip in clips] for name in names}
    found["persons"] = [clip["people"] for clip in clips]
    for name, key, nothing in (
        ("frame_rate", "rate", 0.0), ("image_size", "image", [0, 0]), ("person_ids", "ids", []),
    ):  # fmt: skip
        column = [clip[key] for clip in clips]
        if any(value != nothing for value in column):
            found[name] = column
    return found


def _index_lines(about: dict[str, Any]) -> Iterator[str]:
    """Yield the index with one field or column a line."""
    yield "{\n"
    for key, value in about.items():
        if key == "clips":
            yield '"clips": {\n'
            lines = [f"{json.dumps(name)}: {json.dumps(column)}" for name, column in value.items()]
            yield ",\n".join(lines) + "\n}\n"
        else:
            yield f"{json.dumps(key)}: {json.dumps(value)},\n"
    yield "}\n"
