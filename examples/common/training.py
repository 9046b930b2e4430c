"""What every training needs beside its step: batches, schedules, checkpoints, progress."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from tqdm import tqdm

from examples.common.runs import (
    Cell,
    Part,
    capture,
    is_number,
    load_checkpoint,
    restore,
    save_checkpoint,
    write,
)
from examples.common.scale import Share
from examples.common.signals import Stopped


class Loop:
    """The batches of a training, in random order: where it stands and what it has to report.

    Iterating yields the indices of one global batch after another. Between two of them the state
    is complete: it is saved there every ``cell.save_every`` seconds and before a stop. A loop
    whose folder holds a checkpoint goes on from it.

    Parameters
    ----------
    cell : Cell
        Where to save, and what to run on.
    name : str
        Of the checkpoint and the file of metrics.
    parts : dict
        Everything with a state that the rest of the training depends on.
    generator : torch.Generator
        Draws the order, and whatever the step draws from it.
    epochs, count, batch_size : int
        Passes over ``count`` clips.
    even : bool
        Divide an epoch into batches of nearly equal size, instead of a smaller last one.
    """

    def __init__(
        self,
        cell: Cell,
        name: str,
        parts: Mapping[str, Part],
        generator: torch.Generator,
        *,
        epochs: int,
        count: int,
        batch_size: int,
        even: bool = False,
    ) -> None:
        self.cell, self.name, self.generator = cell, name, generator
        self.epochs, self.count, self.batch_size, self.even = epochs, count, batch_size, even
        self.batches = -(-count // batch_size)
        self.epoch = self.index = 0  # finished epochs, finished batches of this one
        self.history: list[dict[str, float]] = []
        self.sums: dict[str, float] = {}
        self.batch: dict[str, float] = {}
        # Its state is the generator's at the start of the epoch, from which the order follows.
        self.order = torch.Generator(generator.device)
        self.parts = {**parts, "generator": generator, "order": self.order}
        self.parts["torch"] = torch.default_generator
        if cell.scale.device.type == "cuda":
            self.parts["cuda"] = torch.cuda.default_generators[cell.scale.device.index or 0]
        self.saved, self.drawn = time.monotonic(), 0
        self.path = None if cell.folder is None else cell.folder / f"{name}.pt"
        if self.path is not None and self.path.exists():
            self._restore(load_checkpoint(self.path, cell.identity))

    @property
    def step(self) -> int:
        """Number of finished steps."""
        return self.epoch * self.batches + self.index

    @property
    def steps(self) -> int:
        """Number of steps of the training."""
        return self.epochs * self.batches

    def __iter__(self) -> Iterator[Tensor]:
        if self.step == self.steps:
            return
        hidden = {"disable": True} if self.cell.quiet else {}
        bar = tqdm(
            total=self.steps, initial=self.step, desc=f"{self.cell.title} {self.name}",
            unit="step", dynamic_ncols=True, mininterval=0.5, **hidden,
        )  # fmt: skip
        with self.cell.stop.deferred(), bar:
            while self.epoch < self.epochs:
                for rows in self._batches()[self.index :]:
                    yield rows
                    self._after(len(rows))
                    bar.update()
                    if self.history and self.index == 0:
                        bar.set_postfix_str(
                            f"loss {next(iter(self.history[-1].values())):.4f}", False
                        )
            self.save()

    def _batches(self) -> tuple[Tensor, ...]:
        generator = self.generator
        if self.index == 0:
            self.order.set_state(generator.get_state())
        else:
            generator = torch.Generator(generator.device)
            generator.set_state(self.order.get_state())
        order = torch.randperm(self.count, generator=generator, device=generator.device)
        return order.chunk(self.batches) if self.even else order.split(self.batch_size)

    def add(self, losses: Mapping[str, Tensor], share: Share) -> None:
        """Report the losses of a micro-batch, means over its rows; they must be finite."""
        for name, value in losses.items():
            number = float(value.detach())
            self.check(name, number)
            self.batch[name] = self.batch.get(name, 0.0) + number * share.of_batch

    def check(self, name: str, value: float) -> None:
        """Raise if a number is not finite; the last checkpoint stays."""
        if not math.isfinite(value):
            raise ValueError(
                f"{name} is {value} in step {self.step + 1} (epoch {self.epoch + 1}) of "
                f"{self.cell.title}: a resumed run would repeat it; start a new one with a smaller "
                f"learning rate, or with --precision 32-true."
            )

    def note(self, name: str, value: float) -> None:
        """Report a number of this epoch, measured in its last step."""
        self.sums[name] = value

    def _after(self, rows: int) -> None:
        scale, stop = self.cell.scale, self.cell.stop
        due = scale.rank == 0 and time.monotonic() - self.saved >= self.cell.save_every
        flags = [float(due), float(stop.number)]
        # Processes agree on what was lost and on when to save.
        values = torch.tensor([*self.batch.values(), *flags], dtype=torch.float64)
        *means, save, stopped = scale.total(values.to(scale.device)).tolist()
        for name, mean in zip(self.batch, means, strict=True):
            self.sums[name] = self.sums.get(name, 0.0) + mean * rows / self.count
        self.batch, self.index = {}, self.index + 1
        if self.index == self.batches:
            self.history.append(self.sums)
            self.epoch, self.index, self.sums = self.epoch + 1, 0, {}
        if save or stopped:
            self.save()
        if stopped:
            stop.number = stop.number or round(stopped)
            raise Stopped

    def save(self) -> None:
        """Write the checkpoint, then what is read off it; finite weights only."""
        state: dict[str, Any] = {key: getattr(self, key) for key in ("epoch", "index", "sums")}
        state |= {"history": self.history, "parts": {k: capture(p) for k, p in self.parts.items()}}
        for name, value in (item for part in state["parts"].values() for item in part.items()):
            self.check(f"weight {name}", 0.0 if bool(value.isfinite().all()) else math.nan)
        if self.cell.scale.rank == 0 and self.path is not None:
            save_checkpoint(self.path, self.cell.identity, state)
            self._report()
        self.saved = time.monotonic()

    def _report(self) -> None:
        lines = [{"epoch": n, **losses} for n, losses in enumerate(self.history, 1)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        assert self.path is not None
        write(self.path.with_suffix(".jsonl"), text.encode())
        if self.cell.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            folder, suffix = self.path.parent / "tensorboard", f".{self.name}"
            if not self.drawn:  # what was written before a resume would be there twice
                for path in folder.glob(f"events*{suffix}"):
                    path.unlink()
            with SummaryWriter(str(folder), filename_suffix=suffix) as board:
                for line in lines[self.drawn :]:
                    for name, value in line.items():
                        board.add_scalar(f"{self.name}/{name}", value, line["epoch"])
            self.drawn = len(lines)

    def _restore(self, state: dict[str, Any]) -> None:
        numbers = [state.get("epoch"), state.get("index")]
        history, sums, parts = (state.get(key) for key in ("history", "sums", "parts"))
        valid = all(type(n) is int and n >= 0 for n in numbers) and isinstance(history, list)
        valid = valid and numbers[0] <= self.epochs and numbers[1] < self.batches
        valid = valid and len(history) == numbers[0] and isinstance(parts, dict)
        entries = [*history, sums] if valid else [None]
        if not all(isinstance(e, dict) and all(map(is_number, e.values())) for e in entries):
            raise ValueError(f"{self.path} must say where it stands; delete it to train anew.")
        for name, part in self.parts.items():
            try:
                restore(part, parts.get(name), name)
            except ValueError as error:
                raise ValueError(f"{self.path}: {error} Delete it to train anew.") from error
        (self.epoch, self.index), self.history, self.sums = numbers, history, sums
        if self.cell.scale.rank == 0:
            self._report()  # a kill between two files may have left it behind


def one_cycle(optimizer: torch.optim.Optimizer, step: int, total: int, peak: float) -> None:
    """Set learning rate and first β as torch's OneCycleLR has them at ``step`` of ``total``."""
    turn, last = float(0.3 * total) - 1, total - 1
    rising = step <= turn
    share = step / turn if rising else (step - turn) / (last - turn)
    rates, betas = (
        ((peak / 25, peak), (0.95, 0.85)) if rising else ((peak, peak / 25e4), (0.85, 0.95))
    )
    wave = math.cos(math.pi * share) + 1
    rate, beta = (end + (start - end) / 2 * wave for start, end in (rates, betas))
    for group in optimizer.param_groups:
        group["lr"], group["betas"] = rate, (beta, group["betas"][1])


def fit_classifier(
    cell: Cell,
    name: str,
    build: Callable[[], nn.Module],
    clips: Tensor,
    labels: Tensor,
    view: Callable[[Tensor, torch.Generator], Tensor],
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    peak: float,
    **options: Any,
) -> Any:
    """Train what ``build`` makes, with labels, and return it.

    AdamW (``options``), one cycle of the learning rate up to ``peak``, smoothed labels.
    """
    scale = cell.scale
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = build().to(scale.device).train()
    called = scale.setup(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, **options)
    sizes = {"epochs": epochs, "count": len(clips), "batch_size": batch_size}
    loop = Loop(cell, name, {"model": model, "optimizer": optimizer}, generator, **sizes)
    for rows in loop:
        one_cycle(optimizer, loop.step, loop.steps + 1, peak)
        optimizer.zero_grad()
        for share in scale.shares(rows, called, generator):
            scores = called(view(clips[share.rows], generator).to(scale.device))
            target = labels[share.rows].to(scale.device)
            loss = nnf.cross_entropy(scores, target, label_smoothing=0.1)
            scale.backward(share.weight * loss)
            loop.add({"cross entropy": loss}, share)
        optimizer.step()
    return scale.plain(model, build).eval()
