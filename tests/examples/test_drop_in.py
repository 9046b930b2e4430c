"""``python -m examples.drop_in``: layers in networks of other people."""

from __future__ import annotations

import re

import pytest
import torch
from conftest import normal

from examples.drop_in import (
    STGCN,
    CTRGCBlock,
    STGCNBlock,
    ctr_gcn,
    insert_frest,
    kept_shares,
    main,
    prepend_freq_enhance,
)
from skelfreq import FreqEnhance, FreST
from skelfreq.skeletons import adjacency


def network() -> STGCN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return STGCN(4, adjacency("ntu25", "spatial"))


def test_a_block_is_that_of_st_gcn() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = STGCNBlock(3, 8, adjacency("ntu25", "spatial"), stride=2).eval()
    x = normal(2, 3, 12, 25, dtype=torch.float32)
    y = block(x)
    assert y.shape == (2, 8, 6, 25) and bool((y >= 0).all())
    moved = x.clone()
    moved[..., 3] += 1  # the head hangs on the neck; nothing else of it is a neighbour
    touched = ((block(moved) - y).abs().sum((0, 1, 2)) > 0).nonzero().flatten().tolist()
    assert touched == [2, 3]


def test_insertion_changes_no_score_and_can_be_trained() -> None:
    model, x = network(), normal(3, 3, 16, 25, dtype=torch.float32)
    model(x)  # BatchNorm has seen data
    before = model.eval()(x)
    added = insert_frest(model)
    assert len(added) == 3 and all(isinstance(layer, FreST) for layer in added)
    assert torch.equal(model.eval()(x), before)
    model.train()(x).square().sum().backward()
    assert all(layer.fret.global_weight.grad.any() for layer in added)
    shares = kept_shares(model, added, x)
    assert len(shares) == 3 and all(0 < share < 1 for pair in shares for share in pair)
    assert len(kept_shares(model, added, x)) == 3  # the hooks are gone


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.random.fork_rng():
        main(["--frames", "8", "--epochs", "1", "--only", "st_gcn"])
    printed = capsys.readouterr().out
    assert "largest change of a score on insertion: 0\n" in printed
    assert len(re.findall(r"trained on with(?:out)? FreST: \d+\.\d %", printed)) == 2
    assert len(re.findall(r"block \d keeps \d+ %", printed)) == 3


def test_topologies_are_refined_by_sample_and_channel() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = CTRGCBlock(3, 8, adjacency("ntu25", "spatial")).eval()
    x = normal(2, 3, 12, 25, dtype=torch.float32)
    y = block(x)
    assert y.shape == (2, 8, 6, 25) and bool((y >= 0).all())
    moved = x.clone()
    moved[..., 3] += 1
    # The given graph alone reaches neighbours; the refined one reaches every joint.
    assert ((block(moved) - y).abs().sum((0, 1, 2)) > 0).nonzero().flatten().tolist() == [2, 3]
    with torch.no_grad():
        block.alpha.fill_(0.5)
    assert int(((block(moved) - block(x)).abs().sum((0, 1, 2)) > 0).sum()) > 20


def test_freq_enhance_in_front_changes_little_and_can_be_trained() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ctr_gcn(4, adjacency("ntu25", "spatial"))
    x = normal(3, 3, 16, 25, dtype=torch.float32)
    model(x)
    before = model.eval()(x)
    both = prepend_freq_enhance(model, 16)
    assert isinstance(both[0], FreqEnhance) and both[1] is model
    assert torch.allclose(both.eval()(x), before, atol=1e-5)
    both.train()(x).square().sum().backward()
    assert bool((both[0].weights.grad != 0).all())


def test_the_command_for_ctr_gcn(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.random.fork_rng():
        main(["--frames", "8", "--epochs", "1", "--only", "ctr_gcn"])
    printed = capsys.readouterr().out
    (change,) = re.findall(r"largest change of a score on insertion: (\S+)\n", printed)
    assert float(change) < 1e-4
    assert len(re.findall(r"trained on with(?:out)? FreqEnhance: \d+\.\d %", printed)) == 2
    assert len(re.findall(r"mean gain in the (?:lower|upper) half", printed)) == 2
