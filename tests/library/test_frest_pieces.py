"""FreS and FreT as one function with its own gradient, decoupling and residual included."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from conftest import normal
from frest_blocks import C, T, V, full
from tolerances import assert_close, relative_error
from torch import Tensor, nn

from benchmarks.memory import peak_extra_bytes
from skelfreq import FrameDecoupling, FreS, FreT, JointDecoupling
from skelfreq.functional import _decoupling_fast, _route


@pytest.fixture
def pieces_of_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use several pieces, so that sums over pieces are tested."""
    monkeypatch.setattr(_route, "PIECE", 1)


@pytest.fixture
def nan_where_nothing_is_written() -> Iterator[None]:
    """Fill uninitialised memory with NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("weight", ["channel", "full"])
@pytest.mark.parametrize("block", [FreS, FreT])
def test_pieces_equal_plain_operations(
    block: type,
    weight: str,
    residual: bool,
    monkeypatch: pytest.MonkeyPatch,
    pieces_of_one_sample: None,
) -> None:
    rows: list[int] = []
    real = _decoupling_fast.decoupled

    def watched(x: Tensor, *maps: Tensor, axis: int) -> Tensor:
        rows.append(len(x))
        return real(x, *maps, axis=axis)

    monkeypatch.setattr(_decoupling_fast, "decoupled", watched)
    model = full(block, weight=weight, residual=residual, threshold=0.8)
    leaves = [normal(9, C, T, V).requires_grad_(), *model.parameters()]
    grad_output, results = normal(9, C, T, V, seed=1), []
    for present in (_route.PRESENT, set()):
        monkeypatch.setattr(_route, "PRESENT", present)
        out = model(leaves[0])
        once = torch.autograd.grad(model(leaves[0]), leaves, grad_output)
        first = torch.autograd.grad(out, leaves, grad_output, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        results.append([out, *once, *first, *second])
    assert rows[:9] == [1] * 9
    for got, value in zip(*results, strict=True):
        assert_close(got, value)


PARTS = ("x", "decoupling", "weight", "threshold")


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("chosen", PARTS)
def test_frozen_parts_get_no_gradient(
    chosen: str, alone: bool, pieces_of_one_sample: None, nan_where_nothing_is_written: None
) -> None:
    model = full(FreT, threshold=0.8)
    leaves = {"x": normal(9, C, T, V).requires_grad_(), **dict(model.named_parameters())}
    everything = torch.autograd.grad(model(leaves["x"]).square().sum(), [*leaves.values()])
    expected = dict(zip(leaves, everything, strict=True))
    for name, leaf in leaves.items():
        (part,) = (part for part in PARTS if part in name)
        leaf.requires_grad_((part == chosen) == alone)
    rest = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    with torch.autograd.detect_anomaly(check_nan=True):
        found = torch.autograd.grad(model(leaves["x"]).square().sum(), [*rest.values()])
    for name, got in zip(rest, found, strict=True):
        assert_close(got, expected[name])


class Doubled(FrameDecoupling):
    """A subclass of a decoupling, as a user may write it."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return 2 * super().forward(x, lengths)


def patched() -> nn.Module:
    """Return a decoupling whose forward was replaced on the object."""
    module = FrameDecoupling(C)
    module.forward = lambda x, lengths=None: 3 * x
    return module


@pytest.mark.parametrize(
    "build",
    [lambda: Doubled(C), lambda: JointDecoupling(C), patched, nn.Identity],
    ids=["subclass", "other_axis", "patched", "other_module"],
)
def test_a_replaced_decoupling_is_called(build, pieces_of_one_sample: None) -> None:
    model, x = full(FreT), normal(9, C, T, V)
    expected = copy.deepcopy(model)
    expected.decoupling, expected.residual = None, False
    module = build().double()
    if isinstance(module, nn.Identity):
        module.forward = lambda x, lengths=None: x
    model.decoupling = module
    assert_close(model(x), x + expected(module(x)))


def test_a_decoupling_of_another_width_raises() -> None:
    model = full(FreT)
    model.decoupling = FrameDecoupling(C + 1).double()
    with pytest.raises(ValueError, match=f"x must have {C + 1} channels on axis 1, got {C}"):
        model(normal(9, C, T, V))


@pytest.mark.parametrize(
    "hook",
    [
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ],
)
def test_hooks_on_the_decoupling_are_called(hook: str, pieces_of_one_sample: None) -> None:
    model, seen = full(FreT), []
    getattr(model.decoupling, hook)(lambda *arguments: seen.append(arguments[0]))
    model(normal(9, C, T, V).requires_grad_()).sum().backward()
    assert seen == [model.decoupling]


def test_pieces_of_a_half_precision_block_are_summed_in_fp32(
    pieces_of_one_sample: None,
) -> None:
    model, x = full(FreT, frames=12).bfloat16(), normal(64, C, T, V).bfloat16()
    exact = copy.deepcopy(model).double()
    exact(x.double()).square().sum().backward()
    model(x).float().square().sum().backward()
    for name, parameter in model.decoupling.named_parameters():
        want = dict(exact.decoupling.named_parameters())[name].grad
        # A sum of 64 rounded numbers would be several times coarser.
        assert relative_error(parameter.grad, want) < 2**-7, name


@pytest.mark.parametrize("block", [FreS, FreT])
def test_large_blocks_take_little_memory(block: type) -> None:
    model, x = block(64), torch.randn(64, 64, 64, 25).requires_grad_()
    leaves, grad_output = [x, *model.parameters()], torch.randn_like(x)

    def step() -> tuple[Tensor, ...]:
        return torch.autograd.grad(model(x), leaves, grad_output)

    assert peak_extra_bytes(step, "cpu") <= 3.5 * x.nbytes
