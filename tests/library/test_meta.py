"""Layers without memory: construction and both passes on ``meta``, and real layers from it."""

from __future__ import annotations

import inspect

import pytest
import torch
from cases import CASES, CORE, PADDED, Case, build, every, run, same
from conftest import normal
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import skelfreq
from skelfreq import SSFRM, EMADualPath, FreqEnhance, FreST, FreT

META = torch.device("meta")


def moved(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(x, device=META) for x in inputs)


def backward(outputs: list[Tensor], leaves: list[Tensor]) -> None:
    total = sum(x.sum() for x in outputs if x.requires_grad)
    for leaf, gradient in zip(leaves, torch.autograd.grad(total, leaves), strict=True):
        assert gradient.device == META and gradient.shape == leaf.shape


@every
def test_both_passes_on_meta(case: Case) -> None:
    expected = run(case, build(case), case.inputs(3))
    with META:
        model = case.build()
    assert all(value.device == META for value in (*model.parameters(), *model.buffers()))
    inputs = moved(case.inputs(3))
    inputs = (inputs[0].requires_grad_(), *inputs[1:])
    results = tree_leaves(model(*inputs))
    for got, value in zip(results, expected, strict=True):
        assert (got.device, got.shape, got.dtype) == (META, value.shape, value.dtype)
    leaves = [p for p in model.parameters() if p.requires_grad]
    if any(r.requires_grad for r in results):
        backward(results, [*leaves, inputs[0]] if leaves else [inputs[0]])


def test_compiled_and_exported_on_meta() -> None:
    x = torch.empty(2, 3, 12, 5, device=META)
    model = nn.Sequential(FreST(3), FreqEnhance(12, num_bands=4, split=3)).to(META)
    exported = torch.export.export(model, (x,)).module()(x)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")(x)
    for got in (exported, compiled):
        assert (got.device, got.shape) == (META, x.shape)


@pytest.mark.parametrize("frames", [30, 600])
@pytest.mark.parametrize("name", CORE)
def test_functions_on_meta(name: str, frames: int) -> None:
    x = torch.empty(2, 3, frames, 4, device=META, requires_grad=True)
    outputs = tree_leaves(CORE[name](x))
    for got, value in zip(outputs, tree_leaves(CORE[name](torch.ones(x.shape))), strict=True):
        assert (got.device, got.shape) == (META, value.shape)
    if any(out.requires_grad for out in outputs):
        backward(outputs, [x])


@pytest.mark.parametrize("name", PADDED)
def test_functions_with_lengths_on_meta(name: str) -> None:
    x = torch.empty(2, 3, 12, 4, device=META, requires_grad=True)
    lengths = torch.empty(2, dtype=torch.int64, device=META)
    outputs = tree_leaves(PADDED[name](x, lengths))
    assert all(out.device == META for out in outputs)
    backward(outputs, [x])


@every
def test_to_empty_and_its_state_restore_a_layer(case: Case) -> None:
    trained = build(case)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    with META:
        model = case.build()
    model = model.to_empty(device="cpu").eval()
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            value.fill_(-77)  # as uninitialised memory may be
    model.load_state_dict(trained.state_dict(), strict=True)
    same(run(case, model, case.inputs(3)), run(case, trained, case.inputs(3)))


# A user's network and the test's module have their own initialisation.
OTHERS = ("ema", "mask_and_restore", "tube_masking")
WITH_PARAMETERS = [
    name for name in CASES if name not in OTHERS and not name.startswith("band_pooling")
]


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_reset_parameters_draws_a_new_layer(name: str) -> None:
    case = CASES[name]
    with META:
        model = case.build()
    model = model.to_empty(device="cpu").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    torch.manual_seed(0)
    model.reset_parameters()
    torch.manual_seed(0)
    fresh = case.build().eval()
    same(run(case, model, case.inputs(3)), run(case, fresh, case.inputs(3)))


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_layers_take_device_and_dtype(name: str) -> None:
    case = CASES[name]
    kind = type(build(case))
    signature = inspect.signature(kind)
    assert {"device", "dtype"} <= set(signature.parameters)
    options = {"num_bands": 3, "split": 2} if kind is FreqEnhance else {}
    layer = kind(6, device="meta", dtype=torch.float64, **options)
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.float64)}


@every
def test_no_parameter_is_a_scalar(case: Case) -> None:
    assert all(p.ndim > 0 for p in build(case).parameters())


def test_an_old_scalar_strength_still_loads() -> None:
    layer, other = FreqEnhance(64, strength=0.7), FreqEnhance(64)
    old = layer.state_dict() | {"strength": torch.tensor(0.7)}
    nn.Sequential(other).load_state_dict({f"0.{key}": value for key, value in old.items()})
    assert torch.equal(other.gains, layer.gains) and other.strength.shape == (1,)
    assert old["strength"].ndim == 0  # the caller's state is not changed


def test_all_names_are_layers_and_functions() -> None:
    names = set(skelfreq.__all__) - {"__version__"}
    assert all(
        inspect.isclass(getattr(skelfreq, n)) or callable(getattr(skelfreq, n)) for n in names
    )
    space = {"nn": nn, "functional": nn.functional}
    exec("from skelfreq import *", space)
    assert space["nn"] is nn and space["functional"] is nn.functional


def test_half_of_a_network_on_meta() -> None:
    """As in sharded training: build without memory, initialise, compute."""
    with META:
        network = nn.Sequential(FreST(4), FreT(4), FreqEnhance(16, split=7, num_bands=4))
        dual = EMADualPath(SSFRM(4))
    network.to_empty(device="cpu")
    for module in network:
        module.reset_parameters()
    assert network(normal(2, 4, 16, 5, dtype=torch.float32)).isfinite().all()
    assert all(p.is_meta for p in dual.parameters())
