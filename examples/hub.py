"""Trained models of the examples as folders or Hub repositories; needs the extra ``hub``.

``python -m examples.hub CELL OUT`` writes the model of one row and seed of a run, such as
``runs/fd_mae-synthetic-…/fd-mae/seed0``, as safetensors, JSON and a model card made from the run.
``--push OWNER/NAME`` uploads it as well. ``FDMAE.from_pretrained(OUT)`` reads it back, offline.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import PyTorchModelHubMixin

from examples.common.runs import load_checkpoint, read_json, read_scores, restore
from examples.common.settings import from_dict
from examples.data import load
from examples.fd_mae import config as fd_mae
from examples.fd_mae.model import MaskedAutoencoder
from examples.fd_mae.train import build
from examples.fs_vae import config as fs_vae
from examples.fs_vae.model import CrossModalVAE
from examples.mica import config as mica
from examples.mica.encoder import Encoder

CARD = """---
{{ card_data }}
---

# {{ class_name }}, an example of skelfreq

{{ description }}

```python
from examples.hub import {{ class_name }}

model = {{ class_name }}.from_pretrained("FOLDER OR OWNER/NAME")
```

{{ usage }}
{% if scores %}
## Results

Measured by the run that trained it, on its own test clips, with one seed.

| measure | value |
|---|---|
{% for name, value in scores.items() -%}
| {{ name }} | {{ "%.4f" | format(value) }} |
{% endfor %}
Results on synthetic motions say that the code works, not how well it recognises people.

## Training

Row `{{ row }}` of experiment `{{ experiment }}`, fingerprint of the data `{{ data }}`.

| package | version |
|---|---|
{% for name, value in versions.items() -%}
| {{ name }} | {{ value }} |
{% endfor %}
Settings:

```json
{{ settings }}
```
{% endif %}"""


class _Shared(
    PyTorchModelHubMixin,
    model_card_template=CARD,
    library_name="skelfreq",
    license="mit",
    tags=["skeleton", "action-recognition"],
):
    """The mixin with a card from the run; weights must fit, and no pickle is read."""

    description = usage = ""
    facts: Mapping[str, Any] = {}  # of the run, for the card

    def generate_model_card(self, *args: Any, **facts: Any) -> Any:
        told = {"description": self.description, "usage": self.usage}
        told |= {"class_name": type(self).__name__, **self.facts, **facts}
        return super().generate_model_card(*args, **told)

    @classmethod
    def _from_pretrained(cls, *, strict: bool = True, **options: Any) -> Any:
        return super()._from_pretrained(strict=strict, **options)

    @classmethod
    def _load_as_pickle(cls, model: Any, model_file: str, *_: Any) -> Any:
        raise ValueError(f"{model_file} is a pickle; only safetensors are read.")


class FDMAE(MaskedAutoencoder, _Shared):
    """FD-MAE's auto-encoder; ``encoder.clip_features`` gives features of clips."""

    description = "Masked auto-encoder of skeleton clips with frequency reconstruction (FD-MAE)."
    usage = "`model.encoder.clip_features(clips)`: [N, 3, 2T, V] → tokens [N, width, T_p, V]."


class MICAEncoder(Encoder, _Shared):
    """MICA's encoder: an ST-GCN whose blocks hold FreST."""

    description = "Graph-convolutional encoder of skeleton clips with FreST, trained by MICA."
    usage = "`model(clips)`: [N, 3, T, V] → features of frames [N, T', width]."

    def __init__(self, layout: str, settings: dict[str, Any]) -> None:
        super().__init__(layout, from_dict(mica.Config, settings))


class FSVAE(CrossModalVAE, _Shared):
    """FS-VAE's two auto-encoders; their inputs are features of skeletons and of texts."""

    description = "Two variational auto-encoders that align skeletons and texts (FS-VAE)."
    usage = "`model(s, t)`: features [N, width] and [N, text width] → latents and decodings."

    def __init__(self, width: int, text_width: int, settings: dict[str, Any]) -> None:
        super().__init__(width, text_width, from_dict(fs_vae.Config, settings))


def _part(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _fd_mae(parts: Mapping[str, Any], settings: Any, _: Path) -> tuple[FDMAE, dict[str, Any]]:
    state, config = parts["networks"], from_dict(fd_mae.Config, settings)
    # With the dual path both networks are kept; the online one is used afterwards.
    state = _part(state, "online.") if config.dual_path else state
    joints = state["decoder_joint_position"].shape[1]
    return build(config, joints, state["encoder.embed.weight"].shape[1], FDMAE), state


def _mica(parts: Mapping[str, Any], settings: Any, cell: Path) -> tuple[MICAEncoder, Any]:
    # Where the data lie is only in the record of the whole run.
    layout = load(read_json(cell.parents[1] / "run.json")["settings"]["data"]).layout
    return MICAEncoder(layout, settings), _part(parts["model"], "paths.online.encoder.")


def _fs_vae(parts: Mapping[str, Any], settings: Any, _: Path) -> tuple[FSVAE, dict[str, Any]]:
    state = parts["best"]
    widths = (state[f"{kind}.mu.weight"].shape[1] for kind in ("skeleton", "text"))
    return FSVAE(*widths, settings), state


# By experiment: the checkpoints that hold the final model, the first that exists, and a reader.
READERS: dict[str, tuple[tuple[str, ...], Callable[..., tuple[Any, dict[str, Any]]]]] = {
    "fd_mae": (("pretraining",), _fd_mae),
    "fs_vae": (("final", "selection"), _fs_vae),
    "mica": (("training",), _mica),
}


def from_run(cell: Path) -> FDMAE | MICAEncoder | FSVAE:
    """Return the trained model of one row and seed of a run, with the facts for its card.

    Raises
    ------
    ValueError
        The folder holds no finished cell, or a damaged one.
    """
    path = cell / "result.json"
    if not path.exists():
        raise ValueError(f"{cell} must be a row and seed of a run that has finished.")
    result = read_scores(path)
    keys = ("format", "experiment", "data", "row", "settings")
    if not {*keys, "versions"} <= result.keys() or result["experiment"] not in READERS:
        raise ValueError(f"{path} must be of one of {', '.join(READERS)}.")
    names, read = READERS[result["experiment"]]
    found = [file for file in (cell / f"{name}.pt" for name in names) if file.exists()]
    if not found:
        raise ValueError(f"{cell} must hold {' or '.join(names)}.pt; its row trains nothing.")
    parts = load_checkpoint(found[0], {key: result[key] for key in keys})["parts"]
    model, state = read(parts, result["settings"], cell)
    restore(model, state, str(found[0]))
    model.facts = {key: result[key] for key in ("scores", "row", "experiment", "data", "versions")}
    model.facts["settings"] = json.dumps(result["settings"], indent=2)
    return model.eval()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser("python -m examples.hub", description=__doc__)
    parser.add_argument("cell", type=Path, metavar="CELL", help="row and seed of a run")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--push", metavar="OWNER/NAME", help="repository to upload to as well")
    arguments = parser.parse_args(argv)
    try:
        if arguments.out.exists():
            raise ValueError(f"{arguments.out} exists; give a new folder.")
        model = from_run(arguments.cell)
        model.save_pretrained(arguments.out)
        print(f"{type(model).__name__}: {arguments.out}")
        if arguments.push:
            print(model.push_to_hub(arguments.push))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
