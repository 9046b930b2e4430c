"""Run folders: held by one process, written atomically, checked before anything is used."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from examples.common.scale import Scale, whole
from examples.common.signals import Stop
from skelfreq.data import files

Part: TypeAlias = nn.Module | torch.optim.Optimizer | torch.Generator


@dataclass
class Cell:
    """One row with one seed: where it is kept, and what it runs on. No folder: in memory."""

    folder: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    scale: Scale = field(default_factory=Scale)
    stop: Stop = field(default_factory=Stop)
    title: str = "training"
    save_every: float = 60.0  # seconds
    tensorboard: bool = False
    quiet: bool = False
    settings: Any = None
    result: dict[str, Any] = field(default_factory=dict)


def new_folder(root: Path, name: str) -> Path:
    """Make a folder of its own for this run, also when two start in the same second."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in itertools.count():
        folder = root / (f"{name}-{stamp}" + f"-{number}" * (number > 0))
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError


@contextmanager
def held(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Hold the folder; yields False where another process does. A dead one holds nothing."""
    lock = FileLock(folder / ".lock", timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def tidy(folder: Path) -> None:
    """Remove what dead runs left half-written; refuse links, which could lead elsewhere."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path} is a link or a device, which no run makes; delete it.")
        if path.suffix == ".part":
            path.unlink()


def write(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that readers see the old or the new one, never half of one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:  # exclusive creation does not follow a link
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON."""
    write(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a sane size and depth; whatever is wrong names the file."""
    value = files.read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object; start a new run.")
    return value


def read_scores(path: Path, identity: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read the result of a cell, of this ``identity``; its scores are finite numbers by name."""
    result = read_json(path)
    _check_same(path, {key: result.get(key) for key in identity or ()}, identity or {})
    scores = result.get("scores")
    if not isinstance(scores, dict) or not scores or not all(map(is_number, scores.values())):
        raise ValueError(f"{path} must hold finite scores by name; delete it to evaluate anew.")
    return result


def read_history(path: Path) -> list[dict[str, Any]]:
    """Read the losses of every epoch."""
    lines = [files.parse_json(path, line) for _, line in files.text_lines(path, files.Limits())]
    if not all(
        isinstance(e, dict) and "epoch" in e and all(map(is_number, e.values())) for e in lines
    ):
        raise ValueError(f"{path} must hold an object of numbers in every line; delete it.")
    return lines


def is_number(value: Any) -> bool:
    """Return whether a value is a finite plain number."""
    return type(value) in (int, float) and math.isfinite(value)


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """Return a hash of the tensors' types, shapes and bytes."""
    digest = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:16]


def provenance() -> dict[str, str]:
    """Return the versions of packages and the revision of the code."""
    found = {name: version(name) for name in ("skelfreq", "torch", "numpy", "scikit-learn")}
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    with suppress(OSError, subprocess.SubprocessError):
        output = subprocess.run(command, capture_output=True, timeout=10, check=True).stdout
        found["revision"] = output.decode().strip()
    return found


# --- Checkpoints --------------------------------------------------------------------------------


def save_checkpoint(path: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write tensors and plain values; loads with ``weights_only=True``."""
    buffer = io.BytesIO()
    torch.save({"identity": json.dumps(identity), **state}, buffer)
    write(path, buffer.getbuffer())


def load_checkpoint(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Read a checkpoint made with the same ``identity``; no code in the file is run.

    Raises
    ------
    ValueError
        The file is unreadable, or made by another method or version, with other settings or data.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = json.loads(state.pop("identity"))
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable checkpoint ({type(error).__name__}); delete it to train "
            f"anew."
        ) from error
    _check_same(path, found, identity)
    return state


def _check_same(path: Path, found: Any, identity: Mapping[str, Any]) -> None:
    if other := differences(found, json.loads(json.dumps(identity))):
        raise ValueError(
            f"{path} differs from this run in {', '.join(other)}: give what it was made with, or "
            f"start a new run."
        )


def differences(found: Any, expected: Any, name: str = "format") -> list[str]:
    """Name what differs, the entries of a group one by one."""
    if not (isinstance(found, Mapping) and isinstance(expected, Mapping)):
        return [] if found == expected else [name]
    keys = sorted(found.keys() | expected.keys())
    return [d for key in keys for d in differences(found.get(key), expected.get(key), key)]


def capture(part: Part) -> dict[str, Tensor]:
    """Return the state of a module, a generator or an optimizer as plain tensors by name."""
    if isinstance(part, nn.Module):
        return {name: whole(value) for name, value in part.state_dict().items()}
    if isinstance(part, torch.Generator):
        return {"state": part.get_state()}
    states = enumerate(part.state.get(p, {}) for p in _trained(part))
    return {f"{i}.{name}": whole(value) for i, state in states for name, value in state.items()}


def _trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def restore(part: Part, state: Any, at: str) -> None:
    """Put a state back after checking types, shapes and ranges; ``at`` names it in errors."""
    if isinstance(part, nn.Module):
        part.load_state_dict(_fitting(state, part.state_dict(), at))
    elif isinstance(part, torch.Generator):
        try:
            part.set_state(_fitting(state, capture(part), at)["state"])
        except RuntimeError as error:
            raise ValueError(f"{at} must be the state of a generator.") from error
    else:
        # Of an optimizer only Adam's moments: learning rates and the like are the program's own.
        like = {
            f"{i}.{name}": torch.zeros(()) if name == "step" else p.detach()
            for i, p in enumerate(_trained(part))
            for name in ("step", "exp_avg", "exp_avg_sq")
        }
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in ({} if state == {} else _fitting(state, like, at)).items():
            number, name = key.split(".")
            if name == "step" and float(value) < 0:
                raise ValueError(f"{at} must have made no negative number of steps.")
            moments.setdefault(int(number), {})[name] = value
        part.load_state_dict({**part.state_dict(), "state": moments})


def _fitting(state: Any, like: Mapping[str, Tensor], at: str) -> dict[str, Tensor]:
    """Return ``state``, checked against ``like`` and copied to where that is."""
    if not isinstance(state, dict) or state.keys() != like.keys():
        raise ValueError(f"{at} must hold what this network and optimizer have, by name.")
    return {name: _copied(state[name], value, f"{at}.{name}") for name, value in like.items()}


def _copied(found: Any, like: Tensor, at: str) -> Tensor:
    if type(found) is not Tensor or found.layout != torch.strided or found.device.type != "cpu":
        raise ValueError(f"{at} must be a plain tensor, got {type(found).__name__}.")
    given, expected = (f"{x.dtype} {tuple(x.shape)}" for x in (found, like))
    if given != expected:
        raise ValueError(f"{at} must be {expected}, got {given}.")
    if not bool(found.isfinite().all()):
        raise ValueError(f"{at} must be finite.")
    if found.dtype == torch.long and found.numel() and not 0 <= int(found.min()) <= 2**53:
        raise ValueError(f"{at} must not be negative, got {int(found.min())}.")
    # A copy: a tensor from a file may repeat one element in memory, which kernels that write in
    # place may not be given.
    copied = torch.empty(found.shape, dtype=found.dtype, device=like.device).copy_(found)
    if isinstance(like, DTensor):
        return distribute_tensor(copied, like.device_mesh, like.placements)
    return copied
