"""Layers and functions on a CUDA device, against the CPU: ``pytest -m cuda``.

``SKELFREQ_DEVICE=cpu`` sends the same tests to the CPU. That shows that they run, and no more.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable

import pytest
import torch
from cases import CASES, CORE, PADDED, Case, build, every, run, with_parameters
from conftest import normal
from tolerances import GOLDEN, RUNTIME, TOLERANCE, assert_close
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from skelfreq import SSFRM, EMADualPath, FreqEnhance, FreST, FreT, TubeMasking
from skelfreq import functional as F

DEVICE = os.environ.get("SKELFREQ_DEVICE", "cuda")
ON_GPU = DEVICE == "cuda"
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason="needs a CUDA device"),
]
only_gpu = pytest.mark.skipif(not ON_GPU, reason="about a CUDA device alone")


def moved(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.to(DEVICE) for x in inputs)


def agree(
    actual: object, expected: object, tolerance: float, dtype: torch.dtype | None = None
) -> None:
    for got, value in zip(tree_leaves(actual), tree_leaves(expected), strict=True):
        assert got.device.type == DEVICE
        assert dtype is None or got.dtype == dtype
        assert_close(got, value, tolerance)


def gradients(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Return outputs and the gradients of every floating input and parameter."""
    leaves = [x.detach().requires_grad_(x.is_floating_point()) for x in inputs]
    outputs = [out for out in tree_leaves(model(*leaves)) if out.requires_grad]
    sum(out.square().sum() for out in outputs).backward()
    tensors = [*leaves, *model.parameters()]
    return [*outputs, *(t.grad for t in tensors if t.grad is not None)]


# Draws are compared in the mask's own test: each device has its own random numbers.
@with_parameters
def test_layer_and_gradients_equal_the_cpu(case: Case) -> None:
    model, inputs = build(case).double(), case.inputs(3, torch.float64)
    other = copy.deepcopy(model).to(DEVICE)
    agree(run(case, other, moved(inputs)), run(case, model, inputs), GOLDEN)
    agree(gradients(other, moved(inputs)), gradients(model, inputs), GOLDEN)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_layer_runs_in_half_precision(case: Case, dtype: torch.dtype) -> None:
    model = build(case).to(DEVICE, dtype)
    for out in run(case, model, moved(case.inputs(3, dtype))):
        assert out.device.type == DEVICE
        assert bool(out.isfinite().all())


@pytest.mark.parametrize("frames", [30, 300, 600])
@pytest.mark.parametrize("name", CORE)
def test_function_equals_the_cpu(name: str, frames: int) -> None:
    x = normal(2, 3, frames, 4)
    agree(CORE[name](x.to(DEVICE)), CORE[name](x), GOLDEN)


# A filter's mask is not continuous: rounding may move a bin across the threshold.
@pytest.mark.parametrize("name", [n for n in CORE if "mask" not in n and "filter" not in n])
def test_single_precision_is_not_tensor_float(name: str) -> None:
    x = normal(2, 3, 120, 4)
    expected = CORE[name](x)
    actual = CORE[name](x.float().to(DEVICE))
    if "amplitude" in name:
        agree(actual, expected, 1e-4)  # logarithms of small differences
    else:
        agree(actual, expected, 4 * TOLERANCE[torch.float32], torch.float32)


@pytest.mark.parametrize("name", PADDED)
def test_padded_clips_equal_the_cpu(name: str) -> None:
    x, lengths = normal(3, 3, 30, 4), torch.tensor([30, 7, 12])
    agree(PADDED[name](x.to(DEVICE), lengths.to(DEVICE)), PADDED[name](x, lengths), GOLDEN)


COMPILED: dict[str, Callable[[], nn.Module]] = {
    "fret": lambda: FreT(6, gradient="tslanet", threshold=0.5),
    "frest": lambda: FreST(6),
    "freq_enhance": lambda: FreqEnhance(300),
    "ssfrm": lambda: SSFRM(6),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_layer_equals_the_cpu(name: str, fresh_dynamo: None) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = COMPILED[name]().double()
    frames = 300 if name == "freq_enhance" else 12
    inputs = (normal(2, 6, frames, 5),)
    expected = gradients(copy.deepcopy(model), inputs)
    compiled = torch.compile(model.to(DEVICE), fullgraph=True, dynamic=False)
    with warnings.catch_warnings():
        # What the compiler says about itself: complex numbers, TF32.
        warnings.simplefilter("ignore")
        agree(gradients(compiled, moved(inputs)), expected, RUNTIME)


def test_long_transform_compiles(fresh_dynamo: None) -> None:
    x = normal(2, 3, 600, 4)
    compiled = torch.compile(lambda x: F.idct(2 * F.dct(x, dim=2), dim=2), fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree(compiled(x.to(DEVICE)), 2 * x, RUNTIME)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_leaves_transforms_alone(dtype: torch.dtype) -> None:
    x = normal(2, 3, 30, 4, dtype=torch.float32)
    with torch.autocast(DEVICE, dtype=dtype):
        actual = F.split_bands(x.to(DEVICE), 4, dim=2)
    agree(actual, F.split_bands(x.double(), 4, dim=2), RUNTIME, torch.float32)


def test_moving_average_equals_the_cpu() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dual = EMADualPath(SSFRM(3).double(), momentum=0.9)
    other = copy.deepcopy(dual).to(DEVICE)
    for network in (dual, other):
        with torch.no_grad():
            for value in network.online.parameters():
                value.mul_(1.5)
        network.update()
    agree(list(other.target.parameters()), list(dual.target.parameters()), GOLDEN)


def test_tube_masking_takes_either_generator() -> None:
    tokens = torch.zeros(2, 30, 25, 4, device=DEVICE)
    for device in {"cpu", DEVICE}:
        drawn, again = (
            TubeMasking()(tokens, generator=torch.Generator(device).manual_seed(0))
            for _ in range(2)
        )
        assert all(value.device.type == DEVICE for value in drawn)
        assert torch.equal(drawn.mask, again.mask)
        assert bool((drawn.mask.sum(-1) == 22).all())


@only_gpu
def test_nothing_waits_for_the_device() -> None:
    x = normal(2, 3, 30, 4).cuda()
    lengths = torch.tensor([30, 7]).cuda()
    dual = EMADualPath(SSFRM(3).double().cuda())
    tokens = torch.zeros(2, 30, 25, 4, device="cuda")

    def everything() -> None:
        for function in CORE.values():
            function(x)
        F.dct(x, dim=2, lengths=lengths)
        F.motion(x, dim=2, lengths=lengths)
        dual(x, x)
        dual.update()
        TubeMasking(25)(tokens)

    everything()  # fills the caches
    torch.cuda.set_sync_debug_mode("error")
    try:
        everything()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@only_gpu
@pytest.mark.parametrize("name", CASES)
def test_steps_leave_no_memory_behind(name: str) -> None:
    case = CASES[name]
    model, inputs = build(case).cuda(), moved(case.inputs(3))

    def allocated() -> int:
        for _ in range(5):
            run(case, model, inputs)
        return torch.cuda.memory_allocated()

    assert allocated() == allocated()
