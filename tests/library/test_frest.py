"""SpectralFilter, FreS, FreT, FreST and their decoupling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import load_golden, normal
from frest_blocks import C, T, V, full, seeded
from hypothesis import given
from hypothesis import strategies as st
from tolerances import AUTOCAST, GOLDEN, assert_close, assert_rounded, relative_error
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from skelfreq import FrameDecoupling, FreS, FreST, FreT, JointDecoupling, SpectralFilter
from skelfreq.functional import (
    adaptive_spectral_mask,
    decouple,
    irdft,
    rdft,
    spectral_filter,
)

BLOCKS = {"fres": FreS, "fret": FreT, "frest": FreST}
LENGTH = {FreS: V, FreT: T}
every_block = pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)


# --- Published code -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["3x63x5", "4x25x8", "6x14x2_even_bins", "3x26x3_coloured_zero_sample"]
)
@pytest.mark.parametrize("block", [FreS, FreT])
def test_faithful_block_equals_tslanet(golden_path: Path, block: type, name: str) -> None:
    stored = load_golden(golden_path / f"tslanet_asb_{name}.npz")
    x = torch.from_numpy(stored["x"])  # [B, n, C]
    batch, n, channels = x.shape
    model = block(channels, n, residual=False, decouple=False, gradient="tslanet").double()
    pairs = {
        "global_weight": "complex_weight",
        "local_weight": "complex_weight_high",
        "threshold": "threshold_param",
    }
    model.load_state_dict({own: torch.from_numpy(stored[peer]) for own, peer in pairs.items()})
    x = x.transpose(1, 2).unsqueeze(-1).requires_grad_()  # [B, C, n, 1]
    y = model(x if block is FreT else x.transpose(2, 3)).reshape(batch, channels, n)
    assert_close(y.transpose(1, 2), stored["y"], GOLDEN)
    (y.transpose(1, 2) * torch.from_numpy(stored["r"])).sum().backward()
    assert_close(x.grad[..., 0].transpose(1, 2), stored["grad_x"], GOLDEN)
    for own, peer in pairs.items():
        assert_close(getattr(model, own).grad, stored[f"grad_{peer}"], GOLDEN)
    kept = model.kept(x if block is FreT else x.transpose(2, 3))
    assert torch.equal(kept.reshape(batch, -1), torch.from_numpy(stored["mask"]))


# --- Shapes -------------------------------------------------------------------------------------


@every_block
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 11, 20, 25])
@pytest.mark.parametrize("weight", ["channel", "frequency", "full"])
def test_shapes(block: type, size: int, weight: str) -> None:
    for frames, joints in ((size, V), (T, size)):
        model = full(block, C, frames, joints, weight=weight)
        x = normal(2, C, frames, joints)
        y = model(x)
        assert y.shape == x.shape and y.isfinite().all()
        masks = model.kept(x) if block is FreST else (model.kept(x),)
        shapes = {FreS: (frames, joints // 2 + 1), FreT: (frames // 2 + 1, joints)}
        wanted = shapes.values() if block is FreST else (shapes[block],)
        assert [m.shape for m in masks] == [(2, 1, *shape) for shape in wanted]
        assert all(m.dtype == torch.bool for m in masks)


def test_frest_is_fres_then_fret() -> None:
    model, x = full(FreST), normal(2, C, T, V)
    assert torch.equal(model(x), model.fret(model.fres(x)))
    expected = model.fres.kept(x), model.fret.kept(model.fres(x))
    assert all(torch.equal(a, b) for a, b in zip(model.kept(x), expected, strict=True))


@pytest.mark.parametrize(("block", "dim"), [(FreS, 3), (FreT, 2)])
def test_block_is_residual_decoupling_and_filter(block: type, dim: int) -> None:
    model, x = full(block), normal(2, C, T, V)
    line = model.decoupling(x)
    filtered = spectral_filter(
        line, model.global_weight, model.local_weight, model.threshold, dim=dim, weight="full"
    )
    assert_close(model(x), x + filtered)
    mask = adaptive_spectral_mask(*rdft(line, dim=dim), model.threshold, dim=dim, channel_dim=1)
    assert torch.equal(model.kept(x), mask == 1) and 0 < float(mask.detach().mean()) < 1


@every_block
def test_parts_can_be_left_out(block: type) -> None:
    x = normal(2, C, T, V)
    one_of = {(True, False), (False, True)}
    for use_global, use_local in one_of:
        model = full(block, use_global=use_global, use_local=use_local)
        names = {name.split(".")[-1] for name, _ in model.named_parameters()}
        assert ("global_weight" in names) == use_global
        assert ("local_weight" in names) == ("threshold" in names) == use_local
        assert model(x).shape == x.shape
        if not use_local:
            with pytest.raises(ValueError, match="use_local"):
                model.kept(x)
    # With a threshold above all energies only the global filter acts.
    both, alone = full(block, threshold=1e9), full(block, use_local=False)
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if k in alone.state_dict()})
    assert_close(both(x), alone(x))


# --- What may touch what ------------------------------------------------------------------------


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "build",
    [lambda: full(FreT), lambda: seeded(FrameDecoupling, C, scale=0.3)],
    ids=["fret", "frame_decoupling"],
)
def test_fret_does_not_mix_joints(build: Callable, padded: bool) -> None:
    model, x = build(), normal(3, C, T, V)
    lengths = torch.tensor([T, 7, 9]) if padded else None
    changed = x.clone()
    changed[1, :, 2, 3] += 5
    difference = (model(x, lengths) - model(changed, lengths)).abs().sum(1)
    touched = torch.zeros(3, V, dtype=torch.bool)
    touched[1, 3] = True
    assert torch.equal(difference.sum(1) > 0, touched)
    assert bool((difference[1, : 7 if padded else T, 3] > 0).all())  # its frames are mixed


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "build",
    [lambda: full(FreS), lambda: seeded(JointDecoupling, C, scale=0.3)],
    ids=["fres", "joint_decoupling"],
)
def test_fres_does_not_mix_frames(build: Callable, padded: bool) -> None:
    model, x = build(), normal(3, C, T, V)
    lengths = torch.tensor([T, 7, 9]) if padded else None
    changed = x.clone()
    changed[1, :, 2, 3] += 5
    difference = (model(x, lengths) - model(changed, lengths)).abs().sum(1)
    touched = torch.zeros(3, T, dtype=torch.bool)
    touched[1, 2] = True
    assert torch.equal(difference.sum(2) > 0, touched)
    assert bool((difference[1, 2] > 0).all())


def test_frest_mixes_frames_and_joints_of_a_sample() -> None:
    model, x = full(FreST), normal(2, C, T, V)
    changed = x.clone()
    changed[1, :, 2, 3] += 5
    difference = (model(x) - model(changed)).abs().sum(1)
    assert not difference[0].any() and bool((difference[1] > 0).all())


# --- Decoupling ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("build", "dim"), [(JointDecoupling, 3), (FrameDecoupling, 2)])
def test_decoupling_starts_as_a_normalisation(build: type, dim: int) -> None:
    x = 3 * normal(2, C, T, V) + 40
    y = seeded(build, C)(x)
    assert float(y.detach().mean(dim).abs().max()) < 1e-12
    rms = y.square().mean((1, dim)).sqrt()
    assert_close(rms, torch.ones_like(rms), 1e-5)
    # One scale for all channels of a line: their ratios stay.
    centred = x - x.mean(dim, keepdim=True)
    ratio = (y / centred).transpose(1, 0)
    assert_close(ratio, ratio[:1].expand_as(ratio))
    # Neither a shift nor the unit of length matters.
    offset = normal(2, C, *((T, 1) if dim == 3 else (1, V)), seed=1)
    assert_close(seeded(build, C)(100 * x + offset), y, 1e-5)


def test_decoupling_is_a_normalisation_and_two_convolutions() -> None:
    x, depthwise, pointwise = normal(2, C, T, V), normal(C, 5, seed=1), normal(7, C, seed=2)
    y = decouple(x, depthwise, pointwise, dim=2)
    z = x - x.mean(2, keepdim=True)
    z = z / (z.square().mean((1, 2), keepdim=True) + 1e-6).sqrt()
    padded = nn.functional.pad(z, (0, 0, 2, 2))
    expected = sum(padded[:, :, i : i + T] * depthwise[:, i, None, None] for i in range(5))
    assert_close(y, torch.einsum("oc,nctv->notv", pointwise, expected))
    turned = decouple(x.transpose(2, 3), depthwise, pointwise, dim=3)
    assert_close(turned.transpose(2, 3), y)


def test_a_joint_at_rest_is_not_amplified() -> None:
    x = torch.full((1, C, T, V), 0.7, dtype=torch.float64)
    x += 1e-5 * normal(1, C, T, V)  # a hundredth of a millimetre
    assert float(seeded(FrameDecoupling, C)(x).detach().abs().max()) < 0.1


# --- Starting values ----------------------------------------------------------------------------


@every_block
@pytest.mark.parametrize("weight", ["channel", "frequency", "full"])
def test_identity_start_is_exact_and_learns(block: type, weight: str) -> None:
    sizes = {FreS: (V,), FreT: (T,), FreST: (V, T)}[block]
    model = seeded(block, C, *sizes, weight=weight, init="identity")
    x = normal(2, C, T, V)
    assert torch.equal(model(x), x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    target = 0.5 * x
    thresholds = [p.detach().clone() for n, p in model.named_parameters() if "threshold" in n]
    losses = []
    for _ in range(20):
        loss = (model(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    moved = [p.detach() for n, p in model.named_parameters() if "threshold" in n]
    assert all(not torch.equal(a, b) for a, b in zip(thresholds, moved, strict=True))


def test_identity_start_without_a_residual() -> None:
    x = normal(2, C, T, V)
    model = seeded(FreST, C, init="identity", residual=False, decouple=False)
    assert_close(model(x), x)
    assert_close(seeded(SpectralFilter, C, init="identity")(x), x)
    for options in ({"decouple": True}, {"decouple": False, "use_global": False}):
        with pytest.raises(ValueError, match="init must be 'normal'"):
            FreT(C, init="identity", residual=False, **options)


def test_normal_start_has_the_papers_spread() -> None:
    model = seeded(FreST, 64, 25, 120, weight="full", dtype=torch.float32)
    for block in (model.fres, model.fret):
        for weight in (block.global_weight, block.local_weight):
            assert abs(float(weight.detach().std()) / 0.02 - 1) < 0.05
            assert abs(float(weight.detach().mean())) < 1e-3
    drawn = torch.cat(
        [seeded(FreT, 1, scale=1).threshold.detach()]
        + [FreT(1).threshold.detach() for _ in range(200)]
    )
    assert 0 <= float(drawn.min()) < 0.1 and 0.9 < float(drawn.max()) < 1
    assert float(FreS(1, threshold=0.25).threshold.detach()) == 0.25


def test_initial_values_repeat_with_the_seed() -> None:
    first, second = (seeded(FreST, C).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


# --- Padding ------------------------------------------------------------------------------------


@given(st.sampled_from(list(BLOCKS.values())), st.booleans(), st.data())
def test_padding_has_no_effect(block: type, residual: bool, data: st.DataObject) -> None:
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, T), min_size=1, max_size=3)))
    options = {"weight": "channel", "residual": residual}
    model = full(block, gradient=data.draw(st.sampled_from(["tslanet", "sigmoid"])), **options)
    if block is FreST:
        model = seeded(FreST, C, scale=0.3, **options)
    else:
        model.length = None
    x = normal(len(lengths), C, T, V)
    for i, length in enumerate(lengths.tolist()):
        x[i, :, length:] = torch.nan
    x.requires_grad_()
    y = model(x, lengths)
    leaves = [x, *model.parameters()]
    gradients = torch.autograd.grad(y.square().sum(), leaves)
    assert y.isfinite().all() and all(g.isfinite().all() for g in gradients)
    masks = model.kept(x, lengths) if block is FreST else (model.kept(x, lengths),)
    for i, length in enumerate(lengths.tolist()):
        assert not y[i, :, length:].any()
        if not length:
            assert not any(mask[i].any() for mask in masks)
            continue
        alone = x[i : i + 1, :, :length]
        assert_close(y[i : i + 1, :, :length], model(alone))
        wanted = model.kept(alone) if block is FreST else (model.kept(alone),)
        for mask, own in zip(masks, wanted, strict=True):
            assert torch.equal(mask[i, :, : own.shape[2]], own[0])
            assert not mask[i, :, own.shape[2] :].any()


def test_weights_per_frequency_belong_to_their_bin() -> None:
    model, x = full(FreT), normal(2, C, T, V)
    lengths = torch.tensor([7, T])
    short = full(FreT, frames=7)
    short.load_state_dict(
        {k: v[:, :4] if k.endswith("al_weight") else v for k, v in model.state_dict().items()}
    )
    assert_close(model(x, lengths)[:1, :, :7], short(x[:1, :, :7]))


@every_block
def test_an_absent_person_gives_zeros_and_finite_gradients(block: type) -> None:
    for gradient in ("straight_through", "tslanet", "sigmoid"):
        model, x = full(block, gradient=gradient), normal(3, C, T, V)
        x[1] = 0
        x.requires_grad_()
        y = model(x)
        assert not y[1].any() and y[0].any()
        leaves = [x, *model.parameters()]
        gradients = torch.autograd.grad(y.square().sum(), leaves)
        assert all(g.isfinite().all() for g in gradients)


# --- Other lengths ------------------------------------------------------------------------------


def smooth(length: int) -> Tensor:
    """A filter [F, 2] that is a smooth function of relative frequency."""
    frequency = torch.arange(length // 2 + 1, dtype=torch.float64) / length
    return torch.stack([torch.exp(-4 * frequency), torch.sin(3 * frequency)], -1)


@pytest.mark.parametrize("weight", ["frequency", "full"])
@pytest.mark.parametrize(
    ("old", "new"), [(120, 64), (64, 120), (25, 20), (60, 61), (20, 1), (1, 20)]
)
def test_resize_preserves_a_smooth_response(weight: str, old: int, new: int) -> None:
    layer = seeded(SpectralFilter, 3, old, weight=weight)
    layer.complex_weight.data = smooth(old).expand_as(layer.complex_weight).contiguous()
    other = layer.resize(new)
    assert other.length == new and other.complex_weight.shape[-2] == new // 2 + 1
    assert torch.equal(other.complex_weight[..., 0, :], layer.complex_weight[..., 0, :])
    if old > 1:
        # Linear between bins 1/old apart, constant above the last one.
        error = (other.complex_weight - smooth(new)).abs().max()
        assert float(error.detach()) < max(16 / 8 / old**2, 4 / 2 / old)
    assert torch.equal(layer.complex_weight, smooth(old).expand_as(layer.complex_weight))


def test_resize_by_integer_steps_is_exact() -> None:
    layer = seeded(SpectralFilter, 3, 40, weight="full")
    assert torch.equal(layer.resize(40).complex_weight, layer.complex_weight)
    doubled = layer.resize(80)
    assert_close(doubled.complex_weight[:, ::2], layer.complex_weight.detach())
    assert_close(doubled.resize(40).complex_weight, layer.complex_weight.detach())


def test_a_resized_filter_has_the_same_effect_on_the_same_motion() -> None:
    layer = seeded(SpectralFilter, 1, 60, weight="frequency")
    layer.complex_weight.data = smooth(60)
    layer.complex_weight.data[:, 1] = 0
    time = torch.arange(120, dtype=torch.float64)
    x = torch.cos(2 * torch.pi * 0.1 * time).view(1, 1, -1, 1)  # 0.1 periods a frame
    gain = float(torch.exp(torch.tensor(-0.4)))
    assert_close(layer(x[:, :, :60]), gain * x[:, :, :60], 1e-3)
    assert_close(layer.resize(120)(x), gain * x, 1e-3)


def test_resize_of_blocks() -> None:
    model = full(FreST)
    other = model.resize(num_joints=9, num_frames=20)
    assert other(normal(2, C, 20, 9)).shape == (2, C, 20, 9)
    assert (other.fres.length, other.fret.length) == (9, 20)
    assert torch.equal(model.resize(num_frames=20).fres.global_weight, model.fres.global_weight)
    same = model.resize(V, T)
    x = normal(2, C, T, V)
    assert torch.equal(same(x), model(x))
    same.fres.global_weight.data.zero_()
    assert model.fres.global_weight.any()  # a copy
    assert FreT(C, 30).resize(64).length == 64
    plain = SpectralFilter(C).resize(7)
    assert plain.length == 7 and plain.complex_weight.shape == (C, 2)


# --- Learning -----------------------------------------------------------------------------------


def trajectories(seed: int, noise: float) -> tuple[Tensor, Tensor]:
    """Slow clean motions, and the same with noise."""
    low = normal(32, C, T // 4 + 1, V, seed=seed)
    re = nn.functional.pad(low, (0, 0, 0, T // 2 - T // 4))
    clean = irdft(re, re.roll(1, 0), T, dim=2)
    return clean, clean + noise * normal(*clean.shape, seed=seed + 1)


def test_fret_learns_a_band_pass() -> None:
    clean, noisy = trajectories(1, 0.5)
    other_clean, other_noisy = trajectories(100, 0.5)
    model = seeded(FreT, C, T, weight="frequency", init="identity", decouple=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        loss = (model(noisy) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        before = (other_noisy - other_clean).square().mean()
        after = (model(other_noisy) - other_clean).square().mean()
        # White noise over 7 bins of which the motion has 4: about half of it can be removed.
        assert float(after) < 0.65 * float(before)
        gain = 1 + model.global_weight[:, 0]
    # The local filter acts on the bins of the motion only, so both gains may be below 1.
    assert float(gain[:4].mean()) > 0.25 + float(gain[5:].mean())


def test_frest_learns_to_remove_noise() -> None:
    clean, noisy = trajectories(1, 0.5)
    other_clean, other_noisy = trajectories(100, 0.5)
    model = seeded(FreST, C, V, T, weight="full", init="identity")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        loss = (model(noisy) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        before = (other_noisy - other_clean).square().mean()
        after = (model(other_noisy) - other_clean).square().mean()
    assert float(after) < 0.75 * float(before)


def test_a_penalty_on_selected_energy_raises_the_threshold() -> None:
    """Minimise the energy of the local path of a block."""
    model = seeded(FreT, C, use_global=False, residual=False, decouple=False, threshold=0.5)
    model.local_weight.data = torch.tensor([[1.0, 0.0]], dtype=torch.float64).repeat(C, 1)
    x = normal(4, C, 60, V)
    optimizer = torch.optim.SGD([model.threshold], lr=1e-4)
    energies = []
    for _ in range(30):
        energy = model(x).square().sum()
        optimizer.zero_grad()
        energy.backward()
        optimizer.step()
        energies.append(float(energy.detach()))
    assert float(model.threshold.detach()) > 0.6 and energies[-1] < 0.95 * energies[0]


# --- Precision, compilation ---------------------------------------------------------------------


@every_block
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_input_with_fp32_weights(
    block: type, dtype: torch.dtype, autocast: bool
) -> None:
    model = full(block, weight="channel", gradient="sigmoid")
    x = normal(2, C, T, V, dtype=dtype)
    expected = model(x.double())
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        result = model.float()(x)
    assert result.dtype == dtype
    if block is FreST:  # rounded between its blocks as well
        assert relative_error(result, expected) < AUTOCAST
    else:
        assert_rounded(result, expected)


@every_block
def test_compiles_with_lengths(block: type, fresh_dynamo: None) -> None:
    model = seeded(block, C, scale=0.3)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, backend=counter, fullgraph=True, dynamic=True)
    for n, frames in ((2, 8), (3, 30)):
        x, lengths = normal(n, C, frames, V), torch.arange(frames - n, frames)
        assert_close(compiled(x, lengths), model(x, lengths))
    assert counter.frame_count == 1


# --- Errors -------------------------------------------------------------------------------------


def test_repr_shows_the_configuration() -> None:
    assert repr(SpectralFilter(3, 30, dim=-1, weight="full")) == (
        "SpectralFilter(3, length=30, dim=-1, weight='full')"
    )
    text = repr(FreST(3, 25, use_local=False))
    for words in ("num_joints=25", "num_frames=None", "use_local=False", "JointDecoupling(3)"):
        assert words in text


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: SpectralFilter(0), ValueError, ["channels", "at least 1", "0"]),
        (lambda: SpectralFilter(3, 2.5), TypeError, ["length", "2.5"]),
        (lambda: SpectralFilter(3, 0), ValueError, ["length", "0"]),
        (lambda: SpectralFilter(3, weight="full"), ValueError, ["length", "'full'", "None"]),
        (lambda: SpectralFilter(3, weight="each"), ValueError, ["weight", "'each'"]),
        (lambda: SpectralFilter(3, dim=1), ValueError, ["dim", "1"]),
        (lambda: SpectralFilter(3, init="zeros"), ValueError, ["init", "'zeros'"]),
        (lambda: SpectralFilter(3).resize(0), ValueError, ["length", "0"]),
        (lambda: FreS(3, weight="frequency"), ValueError, ["num_joints", "'frequency'"]),
        (lambda: FreT(3, weight="full"), ValueError, ["num_frames", "'full'"]),
        (lambda: FreT(3, use_global=False, use_local=False), ValueError, ["use_global"]),
        (lambda: FreST(3, gradient="ste"), ValueError, ["gradient", "'ste'"]),
        (lambda: FreT(3, threshold=float("nan")), ValueError, ["threshold", "finite", "nan"]),
        (lambda: FreST(3, temperature=0), ValueError, ["temperature", "0"]),
        (lambda: FreST(3, init="one"), ValueError, ["init", "'one'"]),
        (lambda: FreST(-3), ValueError, ["channels", "-3"]),
        (lambda: JointDecoupling(0), ValueError, ["channels", "0"]),
        (lambda: FrameDecoupling(2.0), TypeError, ["channels", "2.0"]),
        (lambda: FreS(3, 25).resize(0), ValueError, ["num_joints", "0"]),
    ],
)
def test_constructor_errors(build, error, words) -> None:
    with pytest.raises(error) as caught:
        build()
    for word in words:
        assert word in str(caught.value)


X = torch.zeros(2, 3, 6, 5, dtype=torch.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: FreT(4)(X), ValueError, ["4 channels", "3"]),
        (lambda: FreT(3)(X[0]), ValueError, ["[N, C, T, V]", "(3, 6, 5)"]),
        (lambda: FreT(3)(X.long()), TypeError, ["int64"]),
        (lambda: FreT(3, 7)(X), ValueError, ["num_frames=7", "axis 2", "6", "resize()"]),
        (lambda: FreS(3, 25)(X), ValueError, ["num_joints=25", "axis 3", "5", "resize()"]),
        (lambda: FreS(3)(X, torch.tensor([7, 0])), ValueError, ["lengths", "6"]),
        (lambda: FreT(3)(X, torch.tensor([6.0, 0])), TypeError, ["lengths", "float"]),
        (lambda: SpectralFilter(3, 7)(X), ValueError, ["7 points", "dim=-2", "6", "resize()"]),
        (lambda: SpectralFilter(3, dim=-1)(X, torch.tensor([6, 0])), ValueError, ["lengths"]),
        (lambda: JointDecoupling(4)(X), ValueError, ["4 channels", "3"]),
        (lambda: decouple(X, torch.zeros(3, 2), torch.eye(3)), ValueError, ["depthwise", "odd"]),
        (lambda: decouple(X, torch.zeros(4, 3), torch.eye(3)), ValueError, ["depthwise", "(4, 3)"]),
        (lambda: decouple(X, torch.zeros(3, 3), torch.eye(4)), ValueError, ["pointwise", "(4, 4)"]),
        (lambda: decouple(X, torch.zeros(3, 3), torch.eye(3), dim=1), ValueError, ["dim", "1"]),
    ],
)
def test_forward_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_spectral_filter_scales_the_spectrum() -> None:
    layer, x = seeded(SpectralFilter, C, T, weight="full"), normal(2, C, T, V)
    re, im = rdft(layer(x), dim=2)
    spectrum = torch.fft.rfft(x, dim=2, norm="ortho")
    expected = spectrum * torch.view_as_complex(layer.complex_weight)[None, :, :, None]
    inner = slice(1, -1)  # at DC and Nyquist only the real part has an effect
    assert_close(re, expected.real)
    assert_close(im[:, :, inner], expected.imag[:, :, inner])
    lengths = torch.tensor([T, 5])
    assert not layer(x, lengths)[1, :, 5:].any()
