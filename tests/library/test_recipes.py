"""The recipes of docs/recipes against the public code that they name.

The code of a page is run as it is and applied to a checkout. ``SKELFREQ_PUBLIC_CODE`` names the
folder of the checkouts: MAMP, CTR-GCN, pyskl, FS-VAE, TSLANet, GFNet, PoseFormerV2. None of their
code is here.
"""

from __future__ import annotations

import ast
import copy
import importlib
import math
import os
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import torch_dct
from conftest import normal
from einops import rearrange
from tolerances import assert_close
from torch import Tensor, nn

from skelfreq import EMADualPath, FreST, FreT

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("SKELFREQ_PUBLIC_CODE", "/nowhere"))


def recipe(name: str) -> dict[str, Any]:
    """Run the code of a page and return its names."""
    text = (ROOT / "docs" / "recipes" / f"{name}.md").read_text()
    found: dict[str, Any] = {"__name__": "__docs__"}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S):
        exec(compile(block, name, "exec", dont_inherit=True), found)
    return found


def checkout(name: str) -> Path:
    """Return the folder of a checkout, or skip."""
    path = FOLDER / name
    if not path.is_dir():
        pytest.skip(f"no {name} in SKELFREQ_PUBLIC_CODE")
    return path


@pytest.fixture
def importing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that imports a module of a checkout; forget it afterwards."""
    before = set(sys.modules)

    def load(folder: Path, module: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(folder))
        return importlib.import_module(module)

    yield load
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def classes(path: Path, names: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Define classes and functions of a file that cannot be imported, with what they use."""
    found = dict(given)
    for node in ast.parse(path.read_text()).body:
        if getattr(node, "name", None) in names:
            node.decorator_list = []
            module = ast.fix_missing_locations(ast.Module([node], []))
            exec(compile(module, str(path), "exec", dont_inherit=True), found)
    return found


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_mamp_trains_with_tubes_bands_and_a_moving_average(importing: Any) -> None:
    given = recipe("mamp")
    base = importing(checkout("MAMP"), "model_mamp.transformer").Transformer
    sizes = {"dim_feat": 32, "depth": 2, "decoder_depth": 2, "num_heads": 4, "num_frames": 24}
    model = given["with_bands"](base)(cutoff=6, width=32, **sizes)
    dual = EMADualPath(model, momentum=0.9)
    optimizer = torch.optim.AdamW(dual.online.parameters(), 1e-3)
    start = copy.deepcopy(dual.target.state_dict())
    clips = normal(2, 3, 48, 25, 2, dtype=torch.float32)
    losses = [given["pretraining_step"](dual, optimizer, clips) for _ in range(5)]
    assert all(map(math.isfinite, losses)) and len(set(losses)) == 5
    *_, mask = dual.online(clips[:, :, ::2])
    mask = mask.unflatten(1, (6, 25))
    assert bool((mask.sum(-1) == 22).all()) and torch.equal(mask[:, 0], mask[:, 2])
    grads = {name for name, p in dual.online.named_parameters() if p.grad is not None}
    assert {"joints_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= grads
    assert any(name.startswith("ssfrm.") for name in grads)
    assert any(not torch.equal(v, start[k]) for k, v in dual.target.state_dict().items())
    plain = base(decoder_dim_feat=32, **sizes)
    found = plain.load_state_dict(dual.target.state_dict(), strict=False)
    assert found.missing_keys == []
    assert all(name.startswith("ssfrm.") for name in found.unexpected_keys)


def ctrgcn(importing: Any) -> nn.Module:
    folder = checkout("CTR-GCN")
    model = importing(folder, "model.ctrgcn").Model
    return model(60, graph="graph.ntu_rgb_d.Graph", graph_args={"labeling_mode": "spatial"})


WIDTHS = [64] * 4 + [128] * 3 + [256] * 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ctrgcn_keeps_its_logits(importing: Any) -> None:
    given = recipe("graph_networks")
    model = ctrgcn(importing).eval()
    x = normal(2, 3, 64, 25, 2, dtype=torch.float32)
    with torch.no_grad():
        before = model(x)
    blocks = [getattr(model, f"l{i}") for i in range(1, 11)]
    given["add_frest"](blocks, "tcn1", WIDTHS)
    assert torch.equal(model(x), before)
    model(x).square().mean().backward()
    filters = [m for m in model.modules() if isinstance(m, FreST)]
    assert len(filters) == 10
    assert all(f.fret.global_weight.grad.abs().sum() > 0 for f in filters)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ctrgcn_with_lengths_ignores_the_padding_of_a_block(importing: Any) -> None:
    given = recipe("graph_networks")
    model = ctrgcn(importing).eval()
    lengths = given["Lengths"]()
    lengths.set(torch.tensor([64, 31]), frames=64, persons=2)
    for index, width in enumerate(WIDTHS, 1):
        block = getattr(model, f"l{index}")
        block.tcn1 = given["FilterBefore"](block.tcn1, width, lengths)
    x = normal(2, 3, 64, 25, 2, dtype=torch.float32)
    assert model(x).isfinite().all()
    first, features = model.l8.tcn1.frest, normal(4, 256, 32, 25, dtype=torch.float32)
    other = features.clone()
    other[2:, :, 16:] = 9.0
    at = lengths.at(features)
    assert at.tolist() == [32, 32, 16, 16]
    assert torch.equal(first(features, at), first(other, at))


@pytest.mark.parametrize("stride", [1, 2])
def test_pyskl_block_keeps_its_output(stride: int) -> None:
    given = recipe("graph_networks")
    folder = checkout("pyskl") / "pyskl" / "models" / "gcns"
    # mmcv's builders make these two modules from its settings.
    norms = lambda settings, n: ("bn", nn.BatchNorm2d(n))  # noqa: E731
    acts = lambda settings: nn.ReLU()  # noqa: E731
    names = {"nn": nn, "torch": torch, "build_norm_layer": norms, "EPS": 1e-4}
    names["build_activation_layer"] = acts
    names |= classes(folder / "utils" / "init_func.py", ("bn_init", "conv_init"), names)
    names |= classes(folder / "utils" / "gcn.py", ("unit_gcn",), names)
    names |= classes(folder / "utils" / "tcn.py", ("unit_tcn",), names)
    block_type = classes(folder / "stgcn.py", ("STGCNBlock",), names)["STGCNBlock"]
    block = block_type(16, 32, torch.rand(3, 17, 17), stride).eval()
    x = normal(4, 16, 31, 17, dtype=torch.float32)
    with torch.no_grad():
        before = block(x)
    given["add_frest"]([block], "tcn", [32])
    assert torch.equal(block(x), before)


@pytest.mark.parametrize("length", [256, 512, 768])
def test_fs_vae_encoder_is_equal(
    length: int, importing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = recipe("fs_vae_weights")
    if importlib.util.find_spec("torchvision") is None:
        # The file imports it and does not use it.
        monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    folder = checkout("FS-VAE")
    monkeypatch.setitem(sys.modules, "model", None)
    monkeypatch.delitem(sys.modules, "model")
    encoder = importing(folder, "model").Encoder([length, 64, 16]).double()
    with torch.no_grad():
        encoder.freq_weights.copy_(normal(30))
        encoder.k.fill_(0.4)
    x = normal(8, length).requires_grad_()
    before = encoder(x)
    wanted = (x, encoder.k, encoder.freq_weights)
    gradients = torch.autograd.grad(sum(y.square().sum() for y in before), wanted)
    network = given["with_freq_enhance"](encoder, length).double()
    after = network(x)
    wanted = (x, network[0].strength, network[0].weights)
    others = torch.autograd.grad(sum(y.square().sum() for y in after), wanted)
    for actual, expected in zip((*after, *others), (*before, *gradients), strict=True):
        assert_close(actual.reshape(expected.shape), expected, 1e-11)


def compare(ours: nn.Module, theirs: nn.Module, x: Tensor) -> None:
    """Compare values and the gradient of the input."""
    x = x.requires_grad_()
    seen = normal(*x.shape, seed=1, dtype=x.dtype)
    values = [layer(x) for layer in (ours, theirs)]
    assert_close(*values)
    assert_close(*(torch.autograd.grad(y, x, seen)[0] for y in values))


def test_tslanet_block_is_equal() -> None:
    given = recipe("global_filters")
    path = checkout("TSLANet") / "Classification" / "TSLANet_classification.py"
    names = {
        "torch": torch,
        "nn": nn,
        "L": SimpleNamespace(LightningModule=nn.Module),
        "args": SimpleNamespace(adaptive_filter=True),
        "trunc_normal_": nn.init.trunc_normal_,
    }
    block = classes(path, ("Adaptive_Spectral_Block",), names)["Adaptive_Spectral_Block"](32)
    ours = given["TimeFilter"](FreT.from_tslanet(block.state_dict()))
    compare(ours, block, normal(8, 64, 32, dtype=torch.float32))


@pytest.mark.parametrize("grid", [(14, 14), (30, 25)])
def test_gfnet_filter_is_equal(grid: tuple[int, int]) -> None:
    given = recipe("global_filters")
    names = {"torch": torch, "nn": nn, "math": math}
    theirs = classes(checkout("GFNet") / "gfnet.py", ("GlobalFilter",), names)["GlobalFilter"](
        16, h=grid[0], w=grid[1] // 2 + 1
    )
    theirs.forward = partial(theirs.forward, spatial_size=grid)
    ours = given["GridFilter"](theirs.complex_weight, grid)
    compare(ours, theirs, normal(2, grid[0] * grid[1], 16, dtype=torch.float32))


@pytest.mark.parametrize("frames", [27, 81, 243])
def test_poseformer_tokens_and_poses_are_equal(frames: int) -> None:
    given = recipe("dct_tokens")
    path = checkout("PoseFormerV2") / "common" / "model_poseformer.py"
    names = {
        "torch": torch, "nn": nn, "math": math, "partial": partial, "rearrange": rearrange,
        "dct": torch_dct, "DropPath": nn.Dropout,
        "F": nn.functional,
    }  # fmt: skip
    kinds = ("Mlp", "FreqMlp", "Attention", "Block", "MixedBlock", "PoseTransformerV2")
    found = classes(path, kinds, names)
    args = SimpleNamespace(
        embed_dim_ratio=16, depth=2, number_of_kept_frames=9, number_of_kept_coeffs=9
    )
    model = found["PoseTransformerV2"](num_frame=frames, args=args).eval()
    poses = normal(2, frames, 17, 2, dtype=torch.float32)
    spectrum = torch_dct.dct(poses.permute(0, 2, 3, 1))[..., :9]
    assert_close(given["dct_tokens"](poses, 9), spectrum.permute(0, 3, 1, 2).flatten(2))
    with torch.no_grad():
        before = model(poses)
        ours = SimpleNamespace(
            dct=lambda x, **o: given["dct"](x, dim=-1, norm=o.get("norm")),
            idct=lambda x, **o: given["idct"](x, dim=-1, norm=o.get("norm")),
        )
        model.forward.__func__.__globals__["dct"] = ours
        assert_close(model(poses), before, 1e-5)
