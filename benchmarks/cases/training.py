"""Training: masking, the moving average, a complete step."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.case import (
    CALL,
    EAGER,
    FORWARD,
    Case,
    Operation,
    Setting,
    Target,
    Workload,
)
from benchmarks.mamp import MampShaped
from benchmarks.peers import argsort_masking, ema_loop
from examples.common.runs import Cell
from examples.common.scale import Scale
from examples.fd_mae.config import PRESETS, Config
from examples.fd_mae.train import Pretraining
from skelfreq import EMADualPath, TubeMasking

ARGSORT, LOOP = "argsort + gather", "parameter loop"
RELEASED, FUSED = "MAMP-shaped, softmax written out", "MAMP-shaped, fused attention"
MOMENTUM, LEARNING_RATE, GRADIENT_NORM = 0.996, 1e-3, 1.0
TENSORS = 200


def build_masking(shape: tuple[int, ...], setting: Setting) -> Workload:
    """Draw a mask and take the visible tokens of [N, T_p, V, D]."""
    tokens = setting.normal(*shape)
    masking = TubeMasking(shape[2])
    num_visible = shape[1] * (shape[2] - masking.num_masked)

    def candidate(tokens: Tensor) -> Tensor:
        return masking(tokens).gather(tokens)

    def peer(tokens: Tensor) -> Tensor:
        return argsort_masking(tokens.flatten(1, 2), num_visible)[0]

    return Workload(Operation(candidate, (tokens,)), {ARGSORT: Operation(peer, (tokens,))}, tokens)


def build_ema(shape: tuple[int, ...], setting: Setting) -> Workload:
    """Average ``shape[0]`` tensors: weights [width, width] and biases [width] in turn."""
    count, width = shape
    layers = [nn.Linear(width, width) for _ in range(count // 2)]
    network = nn.Sequential(*layers).to(setting.device, setting.dtype)
    dual = EMADualPath(network, momentum=MOMENTUM)
    target = copy.deepcopy(network)

    def loop() -> None:
        ema_loop(target, network, MOMENTUM)

    flat = torch.cat([value.detach().flatten() for value in network.parameters()])
    peers = {LOOP: Operation(loop)}
    return Workload(Operation(dual.update), peers, flat, moved_bytes=3 * flat.nbytes)


def mamp_step(network: MampShaped, clip: Tensor) -> Callable[[], None]:
    """Return a training step like the candidate's: loss, gradients, their norm, AdamW."""
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True
    )

    def step() -> None:
        optimizer.zero_grad()
        network(clip).backward()
        nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimizer.step()

    return step


def build_step(shape: tuple[int, ...], setting: Setting) -> Workload:
    """One optimizer step on clips [N, 3, T, V]; FD-MAE splits each into two of T/2 frames."""
    full = Setting(setting.device)
    clip = 0.1 * full.normal(*shape)
    tiny = shape[2] < 120
    changed: dict[str, object] = {"frames": shape[2] // 2}
    sizes = {"width": 256, "decoder_width": 256, "depth": 8}
    if tiny:
        sizes = {"width": 16, "decoder_width": 16, "depth": 1}
        changed |= {**sizes, "ssfrm_width": 8, "cutoff": 2}
    config = Config(**{**PRESETS["ntu60"].to_dict(), **changed})
    run = Pretraining(config, clip.cpu(), Cell(scale=Scale(setting.device)))

    def step() -> None:
        run.accumulate(clip)
        run.update(LEARNING_RATE)

    def precisely(step: Callable[[], object]) -> Callable[[], None]:
        half = setting.dtype != torch.float32

        def call() -> None:
            with torch.autocast(setting.device, torch.bfloat16, enabled=half):
                step()

        return call

    peers = {}
    for name, fused in ((RELEASED, False), (FUSED, True)):
        network = MampShaped(shape[2], shape[3], **sizes, fused=fused).to(setting.device)
        peers[name] = Operation(precisely(mamp_step(network, clip)), modules=(network,))
    networks = (run.dual.online, run.dual.target) if run.dual else (run.network,)
    candidate = Operation(precisely(step), modules=networks)
    return Workload(candidate, peers, clip)


CASES = [
    Case(
        "tube_masking",
        (256, 30, 25, 256),
        (2, 4, 25, 8),
        build_masking,
        targets=(Target(ARGSORT, EAGER, FORWARD, 2.0),),
        quick=(EAGER,),
    ),
    *(
        Case(
            "ema_update",
            (TENSORS, width),
            (4, 3),
            build_ema,
            f"width {width}",
            (Target(LOOP, EAGER, CALL, 5.0),),
            passes=(CALL,),
            modes=(EAGER,),
            quick=(EAGER,),
        )
        for width in (16, 256)
    ),
    Case(
        "fd_mae_step",
        (4, 3, 120, 25),
        (2, 3, 16, 25),
        build_step,
        targets=(Target(RELEASED, EAGER, CALL, 2.5), Target(FUSED, EAGER, CALL, 1.4)),
        passes=(CALL,),
        quick=(EAGER,),
        clips=4,
    ),
]
