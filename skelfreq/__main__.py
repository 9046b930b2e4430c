"""Check an installation: ``python -m skelfreq`` prints what a bug report needs.

Versions, devices, identities on every device and in every dtype, and the time of each layer against
a copy of its input. The exit status is 1 where an identity fails or a layer raises an error.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

import skelfreq
from skelfreq import nn as layers
from skelfreq._identities import IDENTITIES, LIMITS, error_of

PACKAGES = ("torch", "torch-dct", "numpy", "einops")
DTYPES = {
    "fp64": torch.float64,
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
N, C, T, V = 8, 64, 64, 25
# At most this many rounds, and none after so many seconds: a busy machine is slow.
ROUNDS, SECONDS = 5, 0.4


def devices() -> list[torch.device]:
    """Return the CPU, and the accelerator if there is one."""
    found = [torch.device("cpu")]
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is not None and torch.accelerator.is_available():
        found.append(torch.device(accelerator.type, 0))
    return found


def versions() -> list[str]:
    """Return a line for each thing that a bug report needs."""
    lines = [f"skelfreq {skelfreq.__version__}"]
    lines += [f"{name} {metadata.version(name)}" for name in PACKAGES]
    lines.append(f"Python {platform.python_version()}, {platform.platform()}, {platform.machine()}")
    lines.append(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads in use")
    for device in devices()[1:]:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        lines.append(f"{device}: {name}, CUDA {torch.version.cuda}")
    return lines


def check(device: torch.device) -> list[str]:
    """Print the errors of all identities on a device, and return what is wrong."""
    dtypes = {k: v for k, v in DTYPES.items() if not (device.type == "mps" and k == "fp64")}
    width = max(len(identity.__name__) for identity in IDENTITIES)
    print(f"\n{device}: largest relative error")
    print(" " * width + "".join(f"{name:>10}" for name in dtypes))
    wrong = []
    for identity in IDENTITIES:
        name, cells = identity.__name__.replace("_", " "), []
        for dtype_name, dtype in dtypes.items():
            where = f"{name}, {device}, {dtype_name}"
            try:
                error = error_of(identity, device, dtype)
            except Exception as problem:
                cells.append("ERROR")
                wrong.append(f"{where}: {type(problem).__name__}: {problem}")
                continue
            cells.append(f"{error:.1e}")
            # A NaN is not below the limit either.
            if not error <= LIMITS[dtype]:
                wrong.append(f"{where}: error {error:.1e}, accepted {LIMITS[dtype]:.1e}")
        print(f"{name:{width}}" + "".join(f"{cell:>10}" for cell in cells))
    return wrong


def training_step(layer: nn.Module, x: Tensor) -> Callable[[], Any]:
    """Return forward and backward of a layer: gradients of its input and its parameters."""
    wanted = [x, *layer.parameters()]

    def step() -> object:
        outputs = layer(x)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        total = torch.stack([output.square().mean() for output in outputs]).sum()
        return torch.autograd.grad(total, wanted)

    return step


def cases(device: torch.device) -> dict[str, tuple[Callable[[], Any], Tensor]]:
    """Return what is timed of each layer, and the tensor whose copy it is compared with."""
    x = torch.randn(N, C, T, V, device=device, requires_grad=True)
    decoded = torch.randn(N, C, T // 4, V, device=device, requires_grad=True)
    made: dict[str, tuple[nn.Module, Tensor]] = {
        "SSFRM": (layers.SSFRM(C), decoded),
        "FreqEnhance": (layers.FreqEnhance(T), x),
        "SpectralFilter": (layers.SpectralFilter(C), x),
        "FreS": (layers.FreS(C), x),
        "FreT": (layers.FreT(C), x),
        "FreST": (layers.FreST(C), x),
        "JointDecoupling": (layers.JointDecoupling(C), x),
        "FrameDecoupling": (layers.FrameDecoupling(C), x),
        "BandPooling": (layers.BandPooling(), x),
    }
    found = {
        name: (training_step(layer.to(device), given), given)
        for name, (layer, given) in made.items()
    }
    tokens, masking = torch.randn(N, T, V, C, device=device), layers.TubeMasking(V)
    found["TubeMasking"] = (lambda: masking(tokens).gather(tokens), tokens)
    dual = layers.EMADualPath(nn.Linear(1024, 1024, device=device))
    found["EMADualPath"] = (dual.update, dual.online.get_parameter("weight"))
    return found


def milliseconds(call: Callable[[], Any], device: torch.device) -> float:
    """Return the median time of a few calls, after one that is not counted."""
    times: list[float] = []
    while len(times) < 2 or (len(times) <= ROUNDS and sum(times[1:]) < 1e3 * SECONDS):
        start = time.perf_counter()
        call()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def measure(device: torch.device) -> list[str]:
    """Print the time of each layer against a copy of its input, and return errors."""
    print(f"\n{device}: forward and backward in fp32, [{N}, {C}, {T}, {V}]")
    print(f"{'':17}{'ms':>10}{'copy, ms':>10}{'ratio':>8}")
    wrong = []
    for name, (call, x) in cases(device).items():
        try:
            taken = milliseconds(call, device)
        except Exception as problem:
            print(f"{name:17}{'ERROR':>10}")
            wrong.append(f"{name}, {device}: {type(problem).__name__}: {problem}")
            continue
        copy = milliseconds(x.detach().clone, device)
        print(f"{name:17}{taken:10.2f}{copy:10.2f}{taken / copy:8.1f}")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything and return the exit status."""
    parser = argparse.ArgumentParser("python -m skelfreq", description=__doc__)
    parser.add_argument("--no-times", action="store_true", help="leave out the measurement")
    options = parser.parse_args(arguments)
    print("\n".join(versions()))
    wrong: list[str] = []
    # Layers draw their weights from the global generator; it is left as it was.
    with torch.random.fork_rng():
        for device in devices():
            wrong += check(device)
            wrong += [] if options.no_times else measure(device)
    print("\n" + ("All identities hold." if not wrong else "WRONG:"))
    print("".join(f"  {line}\n" for line in wrong), end="")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
