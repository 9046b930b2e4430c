"""Run folders: configuration, metrics and checkpoints that survive an interruption."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import torch


def new_folder(root: Path, name: str) -> Path:
    """Make a folder of its own for this run, also when two start in the same second."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        folder = root / (f"{name}-{stamp}" + (f"-{number}" if number else ""))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{root} holds 1000 runs named {name}-{stamp}; choose another --out.")


def claim_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Make the folder of a study, or continue in it; one of other settings is an error."""
    file = folder / "study.json"
    settings = json.loads(json.dumps(settings))
    if file.is_file():
        try:
            found = json.loads(file.read_text())
        except ValueError as error:
            raise ValueError(
                f"{file} is not readable JSON: {error}; choose another --out."
            ) from error
        if found != settings:
            names = ", ".join(_differences(found, settings))
            raise ValueError(f"{folder} holds results of another {names}; choose another --out.")
    elif folder.is_dir() and any(file.suffix != ".part" for file in folder.iterdir()):
        raise ValueError(f"{folder} holds files of unknown settings; choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(file, settings)


def _differences(found: Any, settings: Any, name: str = "study") -> list[str]:
    """Name the settings that differ, those of a group one by one."""
    if not (isinstance(found, dict) and isinstance(settings, dict)):
        return [] if found == settings else [name]
    return [
        difference
        for key in sorted(found.keys() | settings)
        for difference in _differences(found.get(key), settings.get(key), key)
    ]


def exit_status(name: str, run: Callable[[], None]) -> int:
    """Call ``run`` and return a command's exit status; what the user can mend takes one line."""
    try:
        run()
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted: nothing but finished files was written.", file=sys.stderr)
        return 130
    return 0


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that readers see the old or the new file, never half of one."""
    text = json.dumps(value, indent=2) + "\n"
    _replace(path, lambda file: file.write(text.encode()))


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain numbers; loads with ``weights_only=True``."""
    _replace(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; no code in the file is run."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; a run writes it after its first epochs.")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is not a readable checkpoint: {error}") from error
    return state


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
