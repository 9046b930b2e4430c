"""Settings of an experiment: one frozen dataclass, read from flags and from JSON."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, TypeVar

LARGEST = 10**6  # of any whole number, unless a field says otherwise
WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
SUBJECTS = "test on these training subjects instead: for choosing settings"
READING = ("protocol", "listed", "format", "axes", "folder_labels")  # how data are read
S = TypeVar("S", bound="Settings")


def setting(default: Any, *, of: type | None = None, help: str = "", **limits: Any) -> Any:
    """Declare a field. Limits: ``low``, ``high`` (inclusive), ``above``, ``options``.

    ``of`` is the type of the entries of a tuple.
    """
    return field(default=default, metadata={"of": of or type(default), "help": help, **limits})


@dataclass(frozen=True)
class Settings:
    """What every experiment has. Types and ranges are checked, wherever values come from."""

    data: str = setting("synthetic", help="'synthetic', or a file or folder of clips")
    protocol: str = setting(
        "", help="which clips train, such as subjects:1,3,5; the set's usual one"
    )
    listed: str = setting("", help="file with the recordings that train and test, for pku1-xsub")
    format: str = setting("", help="of the files; found out if not given")
    axes: str = setting("", help="order of the axes of a plain array, such as NTVC")
    folder_labels: bool = setting(False, help="the folders of the files are the classes")
    precision: str = setting("32-true", options=("32-true", "bf16-mixed"), help="of the passes")
    accumulate: int = setting(1, low=1, help="parts in which a batch is computed")
    compile: bool = setting(False, help="use torch.compile in training")
    seed: int = setting(0, low=0)

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, _checked(entry, getattr(self, entry.name)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def from_dict(cls: type[S], values: Any) -> S:
    """Read settings back; unknown names are an error."""
    known = {entry.name for entry in fields(cls)}
    if not isinstance(values, Mapping) or values.keys() - known:
        unknown = sorted(values.keys() - known) if isinstance(values, Mapping) else values
        raise ValueError(f"settings have unknown names {unknown}; known are {sorted(known)}.")
    return cls(**values)


def add_flags(parser: argparse.ArgumentParser, cls: type[Settings]) -> None:
    """Make every field but the seed a flag; a flag that is not given is None."""
    for entry in fields(cls):
        flag, kind = "--" + entry.name.replace("_", "-"), entry.metadata["of"]
        text = entry.metadata["help"] or argparse.SUPPRESS
        if entry.name == "seed":
            continue
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            many = {"nargs": "*"} if isinstance(entry.default, tuple) else {}
            parser.add_argument(flag, type=kind, metavar="X", help=text, **many)


def given(args: argparse.Namespace, cls: type[Settings]) -> dict[str, Any]:
    """Return the fields whose flags were given."""
    values = {e.name: getattr(args, e.name) for e in fields(cls) if e.name != "seed"}
    return {name: value for name, value in values.items() if value is not None}


def _checked(entry: Field[Any], value: Any) -> Any:
    if not isinstance(entry.default, tuple):
        return _one(entry, value)
    if not isinstance(value, (tuple, list)):
        raise ValueError(f"{entry.name} must be a list, got {value!r}.")
    return tuple(_one(entry, part) for part in value)


def _one(entry: Field[Any], value: Any) -> Any:
    name, kind, limits = entry.name, entry.metadata["of"], entry.metadata
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} must be {WORDS[kind]}, got {value!r}.")
    if "options" in limits and value not in limits["options"]:
        raise ValueError(f"{name} must be one of {', '.join(limits['options'])}, got {value!r}.")
    if kind not in (int, float):
        return value
    low, above = limits.get("low"), limits.get("above")
    high = limits.get("high", LARGEST if kind is int else math.inf)
    if "high" in limits and low is not None and not low <= value <= high:
        raise ValueError(f"{name} must lie between {low} and {high}, got {value}.")
    if low is not None and not value >= low:
        raise ValueError(f"{name} must be at least {low}, got {value}.")
    if above is not None and not value > above:
        raise ValueError(f"{name} must be above {above}, got {value}.")
    if not math.isfinite(value) or value > high:
        raise ValueError(f"{name} must be a finite number up to {high:g}, got {value}.")
    return value
