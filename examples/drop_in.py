"""``python -m examples.drop_in``: a layer of this library, put into a network that is not ours.

An ST-GCN in the form its users know is trained on synthetic motions. Then FreST goes into each of
its blocks, one line a block, and both networks train on.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from examples.data.task import Labelled, Task, load_task
from skelfreq import FreST
from skelfreq.skeletons import adjacency, get_layout

# --- A network as it stands in somebody's repository --------------------------------------------


class STGCNBlock(nn.Module):
    """Graph convolution over joints, convolution over frames, residual."""

    def __init__(self, in_channels: int, out_channels: int, graph: Tensor, stride: int = 1) -> None:
        super().__init__()
        self.graph = nn.Buffer(graph, persistent=False)
        self.gcn = nn.Conv2d(in_channels, out_channels * len(graph), 1)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, (9, 1), (stride, 1), (4, 0)),
            nn.BatchNorm2d(out_channels),
        )
        self.residual: nn.Module = nn.Identity()
        if in_channels != out_channels or stride != 1:
            self.residual = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, (stride, 1)), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, T, V] to [N, C', T', V]."""
        y = self.gcn(x).unflatten(1, (len(self.graph), -1))
        y = torch.einsum("nkctv,kvw->nctw", y, self.graph)
        return torch.relu(self.tcn(y) + self.residual(x))


class STGCN(nn.Module):
    """Three blocks, the mean over frames and joints, a linear classifier."""

    def __init__(self, classes: int, graph: Tensor, widths: tuple[int, ...] = (16, 32, 32)) -> None:
        super().__init__()
        sizes = zip((3, *widths), widths, strict=False)
        self.blocks = nn.Sequential(
            *(STGCNBlock(a, b, graph, stride=2 if i else 1) for i, (a, b) in enumerate(sizes))
        )
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map clips [N, 3, T, V] to class scores."""
        return self.classifier(self.blocks(x).mean((2, 3)))


# --- What this library adds ---------------------------------------------------------------------


def insert_frest(network: STGCN) -> list[FreST]:
    """Put FreST behind the temporal convolution of every block; return the new layers.

    ``init="identity"`` lets a trained network compute what it did before.
    """
    added = []
    for block in network.blocks:
        channels = block.tcn[-1].num_features
        block.tcn.append(FreST(channels, init="identity").to(next(block.parameters()).device))
        added.append(block.tcn[-1])
    return added


# --- Before and after ---------------------------------------------------------------------------


def train(network: nn.Module, data: Labelled, epochs: int, seed: int) -> float:
    """Train in place; return the milliseconds that a step took."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(seed)
    steps, start = 0, time.perf_counter()
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(data), generator=generator).split(32):
            optimizer.zero_grad()
            cross_entropy(network(data.clips[rows]), data.labels[rows]).backward()
            optimizer.step()
            steps += 1
    return 1000 * (time.perf_counter() - start) / max(steps, 1)


@torch.no_grad()
def scores(network: nn.Module, clips: Tensor) -> Tensor:
    """Return the class scores of the network as it is used."""
    return network.eval()(clips)


def accuracy(network: nn.Module, data: Labelled) -> float:
    """Return the share of clips that are recognised."""
    return float((scores(network, data.clips).argmax(1) == data.labels).float().mean())


def weights(network: nn.Module) -> int:
    """Return the number of trained numbers."""
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def kept_shares(network: STGCN, added: list[FreST], clips: Tensor) -> list[tuple[float, float]]:
    """Return, block by block, the share of bins that FreS and FreT hand to their local filter."""
    seen: list[tuple[float, float]] = []

    def look(layer: FreST, inputs: tuple[Tensor, ...]) -> None:
        joints, frames = layer.kept(*inputs)
        seen.append((float(joints.float().mean()), float(frames.float().mean())))

    hooks = [layer.register_forward_pre_hook(look) for layer in added]
    scores(network, clips)
    for hook in hooks:
        hook.remove()
    return seen


def st_gcn_with_frest(task: Task, epochs: int, seed: int) -> None:
    """Train ST-GCN, insert FreST, train on with and without it, and print what changed."""
    torch.manual_seed(seed)
    plain = STGCN(len(task.class_names), adjacency(get_layout(task.layout), "spatial"))
    train(plain, task.train, epochs, seed)
    network = copy.deepcopy(plain)
    added = insert_frest(network)
    difference = (scores(network, task.test.clips) - scores(plain, task.test.clips)).abs().max()
    print("FreST behind the temporal convolution of every ST-GCN block")
    print(f"  largest change of a score on insertion: {float(difference):g}")
    print(f"  accuracy before: {100 * accuracy(plain, task.test):.1f} %")
    for name, model in (("without FreST", plain), ("with FreST", network)):
        step = train(model, task.train, epochs, seed + 1)
        print(
            f"  trained on {name}: {100 * accuracy(model, task.test):.1f} %, "
            f"{weights(model)} weights, {step:.0f} ms a step"
        )
    for number, shares in enumerate(kept_shares(network, added, task.test.clips), 1):
        joints, frames = (f"{100 * share:.0f} %" for share in shares)
        print(f"  block {number} keeps {joints} of the bins along joints, {frames} along frames")


EXAMPLES: dict[str, Callable[[Task, int, int], None]] = {"st_gcn": st_gcn_with_frest}


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.drop_in", description=__doc__)
    parser.add_argument("--data", default="synthetic", help="'synthetic', or a .npz archive")
    parser.add_argument("--frames", type=int, default=32, help="frames a clip is resampled to")
    parser.add_argument("--epochs", type=int, default=3, help="before the insertion, and after it")
    parser.add_argument("--only", choices=EXAMPLES, help="run one example")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    task = load_task(args.data, args.frames)
    print(task.description)
    for name, example in EXAMPLES.items():
        if args.only in (None, name):
            example(task, args.epochs, args.seed)


if __name__ == "__main__":
    main()
