"""Label, local and global description of every class, from JSON files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skelfreq.data.files import read_json

LEVELS = ("label", "local", "global")
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Descriptions:
    """Texts of every class: which action, which joints move how, what the whole body does."""

    class_names: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    source: str = "descriptions"

    def for_classes(self, class_names: Sequence[str]) -> Descriptions:
        """Return the texts of these classes in this order.

        Raises
        ------
        ValueError
            If a class has no text.
        """
        row = {name: i for i, name in enumerate(self.class_names)}
        if missing := [name for name in class_names if name not in row]:
            raise ValueError(
                f"{self.source}: no text for the classes {missing}; add label, local and global "
                f"descriptions of them."
            )
        rows = [row[name] for name in class_names]
        levels = {k: tuple(texts[i] for i in rows) for k, texts in self.levels.items()}
        return Descriptions(tuple(class_names), levels, self.source)


def load_descriptions(name_or_path: str | Path) -> Descriptions:
    """Load the texts of ``"synthetic"`` or ``"msr_action3d"``, or a JSON file of the same form.

    The form is ``{"classes": [{"name": ..., "label": ..., "local": ..., "global": ...}, ...]}``.

    Raises
    ------
    ValueError
        If there is no such file, it is no JSON, or a text is missing, empty or given twice.
    """
    known = sorted(p.stem for p in FOLDER.glob("*.json"))
    named = str(name_or_path) in known
    path = FOLDER / f"{name_or_path}.json" if named else Path(name_or_path)
    if not path.exists():
        raise ValueError(
            f"{path}: no such file, and the only named descriptions are {', '.join(known)}; "
            f"give a JSON file of the same form."
        )
    content = read_json(path)
    classes = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(classes, list) or not classes:
        raise ValueError(f"{path} must hold a list 'classes' with at least one class.")
    for number, entry in enumerate(classes):
        _check(path, number, entry)
    names = tuple(entry["name"] for entry in classes)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{path} must describe every class once, {twice} occur more often.")
    levels = {level: tuple(entry[level] for entry in classes) for level in LEVELS}
    return Descriptions(names, levels, str(path))


def _check(path: Path, number: int, entry: object) -> None:
    for key in ("name", *LEVELS):
        text = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text.strip():
            name = entry.get("name") if isinstance(entry, dict) else None
            raise ValueError(
                f"{path}: class {number} ({name!r}) must have a text {key!r}, got {text!r}."
            )


def described_as(data: str, class_names: Sequence[str]) -> str:
    """Return under which name texts and class splits of some data are kept."""
    if data == "synthetic":
        return data
    msr = load_descriptions("msr_action3d").class_names
    return "msr_action3d" if tuple(class_names) == msr else Path(data).stem


def describe(data: str, class_names: Sequence[str], given: str = "") -> Descriptions:
    """Return the texts ``given`` for the classes of some data, or known ones, or their names."""
    name = given or described_as(data, class_names)
    if given or (FOLDER / f"{name}.json").exists():
        return load_descriptions(name).for_classes(class_names)
    names = tuple(class_names)
    source = "the names of the classes; --descriptions FILE takes better ones"
    return Descriptions(names, dict.fromkeys(LEVELS, names), source)
