"""Encoders that come with the code: ``weights/NAME.safetensors``, and ``NAME.json`` beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from examples.common.runs import read_json, read_scores, write_json

FOLDER = Path(__file__).resolve().parents[1] / "fd_mae" / "weights"


def load_encoder(encoder: nn.Module, name: str) -> None:
    """Put shipped weights into an encoder of the same sizes."""
    names = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
    if name not in names:
        raise ValueError(f"weights must be one of {', '.join(names)}, got {name!r}.")
    try:
        state = load_file(FOLDER / f"{name}.safetensors")
        # Of a network made to be checked alone, sizes are compared all the same.
        encoder.load_state_dict(state, assign=next(encoder.parameters()).is_meta)
    except RuntimeError as error:
        raise ValueError(
            f"weights {name!r} do not fit the settings, or the joints of the data: leave the "
            "settings of its preset as they are."
        ) from error


def ship(cell: Path, name: str) -> None:
    """Write the encoder of a finished run, ``RUN/ROW/seedN``, with its recipe and scores."""
    result = read_scores(cell / "result.json")
    last = next(p for n in ("contrast", "pretraining") if (p := cell / f"{n}.pt").exists())
    networks = torch.load(last, weights_only=True)["parts"]["networks"]
    key = "online.encoder." if any(k.startswith("online.") for k in networks) else "encoder."
    state = {k.removeprefix(key): v for k, v in networks.items() if k.startswith(key)}
    FOLDER.mkdir(exist_ok=True)
    save_file(state, FOLDER / f"{name}.safetensors")
    kept = ("row", "settings", "data", "scores", "versions")
    write_json(FOLDER / f"{name}.json", {key: result[key] for key in kept})


def recipe(name: str) -> dict[str, object]:
    """Return what is known about a shipped encoder: settings, fingerprint of the data, scores."""
    return read_json(FOLDER / f"{name}.json")


if __name__ == "__main__":
    ship(Path(sys.argv[1]), sys.argv[2])
