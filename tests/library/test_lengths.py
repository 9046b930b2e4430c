"""``lengths`` of padded clips: checked where they can be read, clamped elsewhere."""

from __future__ import annotations

import pytest
import torch
from cases import PADDED
from conftest import normal
from frest_blocks import full
from tolerances import assert_close
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from skelfreq import (
    BandPooling,
    FrameDecoupling,
    FreqEnhance,
    FreS,
    FreST,
    FreT,
    JointDecoupling,
)
from skelfreq import functional as F

C, T, V = 3, 12, 5
OUTSIDE = torch.tensor([T + 5, 7, -3])
CLAMPED = torch.tensor([T, 7, 0])
LAYERS = {
    "frame_decoupling": lambda: FrameDecoupling(C).double(),
    "joint_decoupling": lambda: JointDecoupling(C).double(),
    "fres": lambda: full(FreS, C, T, V),
    "fret": lambda: full(FreT, C, T, V),
    "frest": lambda: full(FreST, C, T, V),
    "freq_enhance": lambda: FreqEnhance(T, num_bands=4, split=5).double(),
    "band_pooling": lambda: BandPooling((0, 4.9), frame_rate=30),
}


@pytest.mark.parametrize("name", PADDED)
def test_eager_functions_raise_for_lengths_out_of_range(name: str) -> None:
    for lengths in (torch.tensor([T, T + 1, 0]), torch.tensor([T, -1, 0])):
        with pytest.raises(ValueError, match=f"lengths must lie between 0 and {T}"):
            PADDED[name](normal(3, C, T, V), lengths)


@pytest.mark.parametrize("name", PADDED)
def test_compiled_functions_clamp_lengths(name: str, fresh_dynamo: None) -> None:
    x = normal(3, C, T, V)
    compiled = torch.compile(PADDED[name], backend="aot_eager", fullgraph=True)
    expected = tree_leaves(PADDED[name](x, CLAMPED))
    for got, value in zip(tree_leaves(compiled(x, OUTSIDE)), expected, strict=True):
        assert_close(got, value)


@pytest.mark.parametrize("name", LAYERS)
def test_compiled_layers_clamp_lengths(name: str, fresh_dynamo: None) -> None:
    layer, x = LAYERS[name](), normal(3, C, T, V)
    with pytest.raises(ValueError, match="lengths must lie between"):
        layer(x, OUTSIDE)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert_close(compiled(x, OUTSIDE), layer(x, CLAMPED))


@pytest.mark.parametrize("name", LAYERS)
def test_exported_layers_clamp_lengths(name: str) -> None:
    layer, x = LAYERS[name](), normal(3, C, T, V)
    program = torch.export.export(layer, (x, CLAMPED)).module()
    assert_close(program(x, OUTSIDE), layer(x, CLAMPED))


@pytest.mark.parametrize("name", PADDED)
def test_functions_with_lengths_under_vmap(name: str) -> None:
    """Groups of clips, each with its own lengths: values are not read inside vmap."""
    x, lengths = normal(2, 3, C, T, V), torch.tensor([[T, 7, 0], [1, T, 4]])
    mapped = torch.func.vmap(PADDED[name])(x, lengths)
    each = [tree_leaves(PADDED[name](*group)) for group in zip(x, lengths, strict=True)]
    for got, *values in zip(tree_leaves(mapped), *each, strict=True):
        assert_close(got, torch.stack(values))


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "band_pooling"])
def test_gradients_of_each_sample(name: str) -> None:
    layer, x = LAYERS[name](), normal(3, C, T, V)
    state = dict(layer.named_parameters())

    def loss(state: dict[str, Tensor], x: Tensor, length: Tensor) -> Tensor:
        given = (x.unsqueeze(0), length.unsqueeze(0))
        return torch.func.functional_call(layer, state, given).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(state, x, CLAMPED)
    for i, length in enumerate(CLAMPED):
        alone = torch.autograd.grad(loss(state, x[i], length), [*state.values()])
        for got, value in zip(tree_map(lambda g, i=i: g[i], found).values(), alone, strict=True):
            assert_close(got, value)


def test_lengths_as_a_list_raise_with_the_remedy() -> None:
    for call in (
        lambda: F.dct(normal(2, 3, 6), dim=2, lengths=[6, 3]),
        lambda: FreT(3)(torch.zeros(2, 3, 6, 4), [6, 3]),
        lambda: F.motion(torch.zeros(2, 3, 6, 4), lengths=[6, 3]),
    ):
        with pytest.raises(TypeError, match=r"lengths must be an integer tensor.*torch\.tensor"):
            call()


def test_a_replaced_decoupling_gets_lengths_only_where_given(fresh_dynamo: None) -> None:
    """A replaced decoupling is called with the lengths, and without them where there are none."""
    seen: list[int] = []

    class Watched(nn.Module):
        def forward(self, *given: Tensor) -> Tensor:
            seen.append(len(given))
            return given[0]

    block = full(FreT, C, T, V)
    block.decoupling = Watched()
    block(normal(3, C, T, V))
    block(normal(3, C, T, V), CLAMPED)
    assert seen == [1, 2]
