"""``python -m examples.mica.robustness``: a supervised encoder under noise, with FreST or not."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from tqdm import tqdm

from examples.data import load, normalise, resample_clips
from examples.data.body import centre_frames, face_forward
from examples.data.task import BONES, Labelled
from examples.mica import figures
from examples.mica.config import PRESETS, Config
from examples.mica.encoder import Encoder
from examples.mica.train import view
from examples.runs import claim_folder, exit_status, write_json
from examples.tables import markdown, mean_and_deviation, run_jobs
from skelfreq.skeletons import get_layout

NETWORKS = {"ST-GCN": "none", "ST-GCN with FreST": "frest"}
JITTER = (0, 1, 2, 5, 10)  # cm
DROPOUT = (0, 10, 20, 30)  # per cent of the frames


def main(argv: list[str] | None = None) -> int:
    """Run what is missing in the folder, then print the tables and draw the figure."""
    parser = argparse.ArgumentParser(prog="python -m examples.mica.robustness", description=__doc__)
    parser.add_argument("--data", required=True, help="'synthetic', or a .npz archive")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("runs/mica-robustness"))
    args = parser.parse_args(argv)
    return exit_status("mica.robustness", lambda: execute(args))


def execute(args: argparse.Namespace) -> None:
    """Run the jobs, write the tables, draw the figure."""
    load(args.data)  # an unreadable file is found before any process starts
    claim_folder(args.out, {"data": args.data, "epochs": args.epochs})
    jobs = [
        (args.data, spectral, seed, args.epochs, args.out / f"{spectral}-{seed}.json")
        for seed in args.seeds
        for spectral in NETWORKS.values()
    ]
    jobs = [job for job in jobs if not job[-1].exists()]
    run_jobs(_job, jobs, args.workers)
    table = collect(args.out, args.seeds)
    write_json(args.out / "table.json", table)
    figures.draw_robustness(table, args.out / "robustness.png")
    print(format_table(table) + f"\n\nPicture: {args.out / 'robustness.png'}")


def _job(data: str, spectral: str, seed: int, epochs: int, path: Path) -> None:
    torch.set_num_threads(1)
    config = replace(PRESETS["msr"], spectral=spectral, seed=seed, epochs=epochs)
    train, tests, layout = corrupted(data, config)
    model = fit(train, layout, config)
    accuracy = {
        kind: {str(level): _accuracy(model, test) for level, test in levels.items()}
        for kind, levels in tests.items()
    }
    write_json(path, accuracy)


def corrupted(data: str, config: Config) -> tuple[Labelled, dict[str, dict[int, Labelled]], str]:
    """Return clean training clips, and the test clips under every kind and level of noise.

    Noise is added to the raw clips, in metres, before they are resampled, centred and turned.
    Dropped frames are gone: the clip is the shorter for it, and resampling bridges the gap.
    """
    clips = load(data)
    layout = get_layout(clips.layout)
    train, test = clips.subset(clips.train), clips.subset(~clips.train)

    def ready(joints: Tensor, lengths: Tensor) -> Labelled:
        part = replace(test, joints=joints.numpy(), lengths=lengths.numpy())
        x = face_forward(centre_frames(resample_clips(part, config.frames), layout), layout)
        return Labelled(normalise(x, layout, scale="bones") / BONES, torch.from_numpy(test.labels))

    joints, lengths = torch.from_numpy(test.joints), torch.from_numpy(test.lengths)
    generator = torch.Generator().manual_seed(1000 + config.seed)
    tests: dict[str, dict[int, Labelled]] = {"jitter": {}, "dropout": {}}
    for level in JITTER:
        noise = torch.randn(joints.shape, generator=generator)
        tests["jitter"][level] = ready(joints + level / 100 * noise, lengths)
    for level in DROPOUT:
        kept = torch.rand(len(joints), generator=generator) >= level / 100
        clip = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        # Two frames are the least that makes a movement.
        first = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)[:-1]])
        kept[first] = True
        kept[lengths.cumsum(0) - 1] = True
        count = torch.bincount(clip[kept], minlength=len(lengths))
        tests["dropout"][level] = ready(joints[kept], count)
    x = face_forward(centre_frames(resample_clips(train, config.frames), layout), layout)
    x = normalise(x, layout, scale="bones") / BONES
    return Labelled(x, torch.from_numpy(train.labels)), tests, clips.layout


class Classifier(nn.Module):
    """Encoder, mean over frames, linear classifier."""

    def __init__(self, layout: str, classes: int, config: Config) -> None:
        super().__init__()
        self.encoder = Encoder(layout, config)
        self.head = nn.Linear(self.encoder.width, classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Map clips to class scores."""
        scores: Tensor = self.head(self.encoder(clips).mean(1))
        return scores


def fit(train: Labelled, layout: str, config: Config) -> Classifier:
    """Train on clean clips; rotation, size and crop are augmented, noise is not."""
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    model = Classifier(layout, int(train.labels.max()) + 1, config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.01, fused=True)
    steps = config.epochs * -(-len(train) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2 * config.lr, total_steps=steps + 1)
    quiet = replace(config, jitter=0.0, crop=0.8)
    for _ in tqdm(range(config.epochs), desc="supervised", unit="epoch", leave=False):
        for rows in torch.randperm(len(train), generator=generator).split(config.batch_size):
            scores = model(view(train.clips[rows], quiet, generator))
            loss = nnf.cross_entropy(scores, train.labels[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def _accuracy(model: Classifier, test: Labelled) -> float:
    scores = torch.cat([model(part) for part in test.clips.split(128)])
    return float((scores.argmax(1) == test.labels).float().mean())


def collect(folder: Path, seeds: list[int]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return network → kind → level → accuracies of the seeds."""
    table: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name, spectral in NETWORKS.items():
        runs = [json.loads((folder / f"{spectral}-{seed}.json").read_text()) for seed in seeds]
        table[name] = {
            kind: {level: [run[kind][level] for run in runs] for level in runs[0][kind]}
            for kind in runs[0]
        }
    return table


def format_table(table: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    """Return one Markdown table per kind of noise, mean ± deviation in per cent."""
    blocks = []
    for kind, unit in (("jitter", "cm"), ("dropout", "%")):
        rows = {
            name: {
                f"{level} {unit}": mean_and_deviation(runs) for level, runs in curves[kind].items()
            }
            for name, curves in table.items()
        }
        blocks.append(f"Accuracy under {kind}:\n\n{markdown(rows)}")
    return "\n\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
