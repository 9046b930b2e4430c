"""The adaptive spectral mask, the filters that use it, and the DFT of padded signals."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import LENGTHS, load_golden, normal
from hypothesis import given
from hypothesis import strategies as st
from tolerances import GOLDEN, assert_close, assert_rounded
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from skelfreq import FreS, FreT
from skelfreq.functional import (
    _filter_fast,
    _route,
    adaptive_spectral_mask,
    irdft,
    rdft,
    spectral_filter,
)
from skelfreq.functional.filters import GRADIENTS, WEIGHTS

TSLANET = [
    "3x63x5",
    "4x25x8",
    "6x14x2_even_bins",
    "3x26x3_coloured_zero_sample",
    "2x30x4_tiny_amplitude",
    "2x64x4_no_adaptive",
]


def mask(re: Tensor, im: Tensor, threshold, **options) -> Tensor:
    return adaptive_spectral_mask(re, im, threshold, **{"dim": 2, "channel_dim": 1, **options})


def shape_of(weight: str, channels: int, n: int) -> tuple[int, ...]:
    bins = n // 2 + 1
    return {"channel": (channels, 2), "frequency": (bins, 2), "full": (channels, bins, 2)}[weight]


def plain(x: Tensor, w_global: Tensor, w_local: Tensor, theta: float, weight: str) -> Tensor:
    """Filter [N, C, T, V] along T by complex numbers, from the formulas."""
    index = {"channel": (..., None, None), "frequency": (None, ..., None), "full": (..., None)}
    w_g, w_l = (torch.view_as_complex(w)[index[weight]] for w in (w_global, w_local))
    spectrum = torch.fft.rfft(x, dim=2, norm="ortho")
    energy = spectrum.abs().square().sum(1, keepdim=True)
    median = energy.median(2, keepdim=True).values
    mask = energy / (median + 1e-6) > theta
    return torch.fft.irfft(spectrum * (w_g + mask * w_l), n=x.shape[2], dim=2, norm="ortho")


# --- Published code -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TSLANET)
def test_equals_the_adaptive_block_of_tslanet(golden_path: Path, route: str, name: str) -> None:
    stored = load_golden(golden_path / f"tslanet_asb_{name}.npz")
    adaptive = bool(stored["adaptive_filter"])
    names = ["x", "complex_weight"]
    if adaptive:
        names += ["complex_weight_high", "threshold_param"]
    leaves = [torch.from_numpy(stored[name]).requires_grad_() for name in names]
    x, w_global, w_local, theta = (*leaves, None, None)[:4]
    y = spectral_filter(
        x, w_global, w_local, theta, dim=1, channel_dim=2, gradient="tslanet"
    )  # fmt: skip
    assert_close(y, stored["y"], GOLDEN)
    gradients = torch.autograd.grad((y * torch.from_numpy(stored["r"])).sum(), leaves)
    for leaf, gradient in zip(names, gradients, strict=True):
        assert_close(gradient, stored[f"grad_{leaf}"], GOLDEN)


@pytest.mark.parametrize("name", TSLANET[:-1])
def test_mask_equals_tslanet(golden_path: Path, name: str) -> None:
    stored = load_golden(golden_path / f"tslanet_asb_{name}.npz")
    theta = torch.from_numpy(stored["threshold_param"])
    spectrum = rdft(torch.from_numpy(stored["x"]), dim=1)
    peer = adaptive_spectral_mask(*spectrum, theta, dim=1, channel_dim=2, gradient="tslanet")[
        ..., 0
    ]
    assert np.array_equal(peer.numpy(), stored["mask_value"])
    hard = adaptive_spectral_mask(*spectrum, theta, dim=1, channel_dim=2, eps=1e-6)[..., 0]
    assert np.array_equal(hard.numpy(), stored["mask"])
    if stored["bins_that_depend_on_median_kind"]:
        assert not np.array_equal(hard.numpy(), stored["mask_if_mean_of_middle_two"])


def test_full_weights_equal_the_global_filter_of_gfnet(golden_path: Path) -> None:
    """A 2-D filter is a sum of 1-D ones over the circular shifts along the first axis."""
    stored = load_golden(golden_path / "gfnet_global_filter_4x4.npz")
    a, b = (int(size) for size in stored["spatial_size"])
    tokens = torch.from_numpy(stored["x"]).requires_grad_()
    weight = torch.from_numpy(stored["complex_weight"]).requires_grad_()
    x = tokens.unflatten(1, (a, b)).permute(0, 3, 1, 2)  # [B, C, a, b]
    shifts = torch.view_as_real(torch.fft.ifft(torch.view_as_complex(weight), dim=0))
    y = sum(
        spectral_filter(x.roll(d, 2), shifts[d].transpose(0, 1), dim=3, weight="full")
        for d in range(a)
    )
    y = y.permute(0, 2, 3, 1).flatten(1, 2)
    assert_close(y, stored["y"], GOLDEN)
    loss = (y * torch.from_numpy(stored["r"])).sum()
    g_tokens, g_weight = torch.autograd.grad(loss, (tokens, weight))
    assert_close(g_tokens, stored["grad_x"], GOLDEN)
    assert_close(g_weight, stored["grad_complex_weight"], GOLDEN)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("n", LENGTHS)
def test_equals_complex_arithmetic(weight: str, n: int) -> None:
    x = normal(2, 3, n, 2, seed=n).requires_grad_()
    shape = shape_of(weight, 3, n)
    weights = [normal(*shape, seed=s).requires_grad_() for s in (1, 2)]
    result = spectral_filter(x, *weights, 1.3, weight=weight)
    expected = plain(x, *weights, 1.3, weight)
    assert_close(result, expected)
    r = normal(*x.shape, seed=3)
    for got, value in zip(
        torch.autograd.grad(result, (x, *weights), r),
        torch.autograd.grad(expected, (x, *weights), r),
        strict=True,
    ):
        assert_close(got, value)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_axes_in_any_order(weight: str) -> None:
    x, n = normal(2, 3, 9, 4), 9
    weights = [normal(*shape_of(weight, 3, n), seed=s) for s in (1, 2)]
    expected = spectral_filter(x, *weights, 0.7, weight=weight)
    for order in ((0, 1, 3, 2), (2, 0, 1, 3), (3, 2, 0, 1), (1, 2, 3, 0)):
        result = spectral_filter(
            x.permute(order),
            *weights,
            0.7,
            dim=order.index(2) - 4,
            channel_dim=order.index(1),
            weight=weight,
        )
        assert_close(result, expected.permute(order))
    assert_close(
        spectral_filter(x[0, :, :, 0], *weights, 0.7, dim=1, channel_dim=0, weight=weight),
        expected[0, :, :, 0],
    )


# --- The mask -----------------------------------------------------------------------------------


def test_mask_extremes() -> None:
    x = normal(2, 3, 20, 4)
    w_global, w_local = normal(3, 2, seed=1), normal(3, 2, seed=2)
    none = spectral_filter(x, w_global, w_local, 1e9)
    assert_close(none, spectral_filter(x, w_global))
    every = spectral_filter(x, w_global, w_local, 0.0)
    assert_close(every, spectral_filter(x, w_global + w_local))
    re, im = rdft(x, dim=2)
    assert bool((adaptive_spectral_mask(re, im, 0.0, dim=2, channel_dim=1) == 1).all())
    # Bins without energy are not selected, even for a threshold of 0: 0 is not above 0.
    re, im = (torch.where(torch.arange(11).view(-1, 1) < 7, part, 0.0) for part in (re, im))
    kept = adaptive_spectral_mask(re, im, 0.0, dim=2, channel_dim=1)[:, 0]
    assert bool((kept[:, :7] == 1).all()) and not kept[:, 7:].any()


@pytest.mark.parametrize("bins", [1, 2, 5, 6])
def test_the_median_is_the_lower_one(bins: int) -> None:
    energy = torch.tensor([4.0, 1.0, 9.0, 25.0, 16.0, 36.0], dtype=torch.float64)[:bins]
    re = energy.sqrt().view(1, 1, -1)
    median = float(energy.sort().values[(bins - 1) // 2])
    for theta, side in ((1 - 1e-3, 1), (1 + 1e-3, 0)):
        mask = adaptive_spectral_mask(
            re, torch.zeros_like(re), theta, dim=2, channel_dim=1
        ).flatten()
        assert torch.equal(mask == 1, energy > theta * (median + 1e-6))
        assert int(mask[energy == median]) == side


def test_a_mask_is_shared_by_the_channels_only() -> None:
    x = normal(2, 3, 20, 4)
    mask = adaptive_spectral_mask(*rdft(x, dim=2), 1.0, dim=2, channel_dim=1)
    assert mask.shape == (2, 1, 11, 4)
    loud = x.clone()
    loud[1, 0, :, 2] += 50 * normal(20, seed=4)
    changed = (adaptive_spectral_mask(*rdft(loud, dim=2), 1.0, dim=2, channel_dim=1) != mask).any(
        2
    )[:, 0]
    expected = torch.zeros(2, 4, dtype=torch.bool)
    expected[1, 2] = True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize(("gradient", "sign"), [("straight_through", -1), ("tslanet", 1)])
def test_gradient_of_a_hard_mask_is_one_per_bin(gradient: str, sign: int) -> None:
    re, im = (part.requires_grad_() for part in rdft(normal(2, 3, 20, 4), dim=2))
    theta = torch.tensor(0.8, requires_grad=True, dtype=torch.float64)
    mask = adaptive_spectral_mask(re, im, theta, dim=2, channel_dim=1, gradient=gradient)
    mask.sum().backward()
    assert float(theta.grad) == sign * mask.numel()
    assert re.grad is None and im.grad is None


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_minimising_the_selected_energy_raises_the_threshold(gradient: str) -> None:
    """Minimise the selected energy: it falls only if the gradient has the right sign."""
    re, im = rdft(normal(4, 3, 60, 5), dim=2)
    energy = (re.square() + im.square()).sum(1, keepdim=True)
    theta = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=2e-4)
    losses = []
    for _ in range(40):
        kept = (
            adaptive_spectral_mask(re, im, theta, dim=2, channel_dim=1, gradient=gradient) * energy
        ).sum()
        optimizer.zero_grad()
        kept.backward()
        optimizer.step()
        losses.append(float(kept.detach()))
    if gradient == "tslanet":  # the published sign: in the end all bins are selected
        assert float(theta.detach()) < 0.5 and losses[-1] >= losses[0]
    else:
        assert float(theta.detach()) > 0.6 and losses[-1] < 0.9 * losses[0]


def test_a_soft_mask_tends_to_the_hard_one_at_low_temperature() -> None:
    re, im = rdft(normal(2, 3, 20, 4), dim=2)
    hard = adaptive_spectral_mask(re, im, 0.8, dim=2, channel_dim=1)
    soft = partial(mask, re, im, 0.8, gradient="sigmoid")
    distance = [float((soft(temperature=t) - hard).abs().mean()) for t in (1.0, 0.1, 1e-2, 1e-4)]
    assert distance == sorted(distance, reverse=True) and distance[-1] < 1e-2 < distance[0]


def test_defaults_of_the_soft_mask() -> None:
    parts = rdft(normal(2, 3, 20, 4), dim=2)
    soft = partial(mask, *parts, 0.8, gradient="sigmoid")
    assert torch.equal(soft(), soft(temperature=0.1))
    assert not torch.equal(soft(), soft(temperature=0.2))
    x, pair = normal(2, 3, 20, 4), normal(3, 2)
    filtered = partial(spectral_filter, x, None, pair, 0.8, gradient="sigmoid")
    assert torch.equal(filtered(), filtered(temperature=0.1))
    assert not torch.equal(filtered(), filtered(temperature=0.2))


# --- Gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 6])
@pytest.mark.parametrize("padded", [False, True])
def test_gradcheck(n: int, padded: bool) -> None:
    x = normal(3, 2, n, 2).requires_grad_()
    lengths = torch.tensor([n, 0, (n + 1) // 2]) if padded else None
    for weight in WEIGHTS:
        pairs = [normal(*shape_of(weight, 2, n), seed=s).requires_grad_() for s in (1, 2)]

        def hard(x, w_global, w_local, weight=weight):
            return spectral_filter(x, w_global, w_local, 0.9, weight=weight, lengths=lengths)

        assert torch.autograd.gradcheck(hard, (x, *pairs))
    theta = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)

    def soft(x, w_local, theta):
        return spectral_filter(
            x, None, w_local, theta, weight="full", gradient="sigmoid", temperature=0.7,
            lengths=lengths,
        )  # fmt: skip

    assert torch.autograd.gradcheck(soft, (x, pairs[1], theta))


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("gradient", ["straight_through", "tslanet"])
@pytest.mark.parametrize(("dim", "channel_dim"), [(2, 1), (3, 1), (1, 3), (0, 1), (0, 3), (2, 0)])
def test_fast_gradient_equals_that_of_autograd(
    weight: str,
    gradient: str,
    dim: int,
    channel_dim: int,
    route: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Pieces of one sample, so that sums over pieces are tested.
    monkeypatch.setattr(_route, "PIECE", 1)
    x = normal(3, 4, 6, 5)
    shape = shape_of(weight, x.shape[channel_dim], x.shape[dim])
    leaves = [x, normal(*shape, seed=1), normal(*shape, seed=2), torch.full((1,), 0.7).double()]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    options = {"dim": dim, "channel_dim": channel_dim, "weight": weight, "gradient": gradient}
    grad_output, results = normal(*x.shape, seed=3), []
    for present in (_route.PRESENT, set()):
        monkeypatch.setattr(_route, "PRESENT", present)
        out = spectral_filter(*leaves, **options)
        first = torch.autograd.grad(out, leaves, grad_output, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        once = spectral_filter(*leaves, **options)
        results.append([out, *torch.autograd.grad(once, leaves, grad_output), *first, *second])
    for got, value in zip(*results, strict=True):
        assert_close(got, value)


@pytest.mark.parametrize("alone", ["global", "local"])
def test_fast_gradient_of_one_filter(alone: str) -> None:
    x, pair = normal(3, 4, 6, 5).requires_grad_(), normal(4, 2, seed=1).requires_grad_()
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    given = (pair, None, None) if alone == "global" else (None, pair, theta)
    leaves = [leaf for leaf in (x, *given) if leaf is not None]
    lean = torch.autograd.grad(spectral_filter(x, *given).square().sum(), leaves)
    # With create_graph=True the gradient is computed by plain operations.
    plain = torch.autograd.grad(spectral_filter(x, *given).square().sum(), leaves, None, True, True)
    for got, value in zip(lean, plain, strict=True):
        assert_close(got, value)


def test_gradients_of_filters_made_from_the_input() -> None:
    x, maps = normal(3, 4, 6, 5).requires_grad_(), normal(4, 5, seed=1)

    def loss(x: Tensor) -> Tensor:
        made = x.mean((0, 2)) @ maps.mT  # [C, C], computed from x
        filters = made[:, :2], made[:, 2:], made.square().sum().sqrt()
        return spectral_filter(x, *filters).square().sum()

    once = torch.autograd.grad(loss(x), x)[0]
    retained = torch.autograd.grad(loss(x), x, create_graph=True)[0]
    assert_close(once, torch.func.grad(loss)(x))
    assert_close(retained, once)


@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_frozen_inputs_get_no_gradient(frozen: int) -> None:
    leaves = [normal(3, 4, 6, 5), normal(4, 2, seed=1), normal(4, 2, seed=2), torch.full((1,), 0.7)]
    leaves = [leaf.double().requires_grad_() for leaf in leaves]
    everything = torch.autograd.grad(spectral_filter(*leaves).square().sum(), leaves)
    rest = [leaf for i, leaf in enumerate(leaves) if i != frozen]
    leaves[frozen].requires_grad_(False)
    some = torch.autograd.grad(spectral_filter(*leaves).square().sum(), rest)
    for got, value in zip(some, [g for i, g in enumerate(everything) if i != frozen], strict=True):
        assert torch.equal(got, value)


def test_many_gradients_at_once() -> None:
    leaves = [normal(2, 3, 6, 4), normal(3, 2, seed=1), normal(3, 2, seed=2), torch.full((1,), 0.7)]
    leaves = [leaf.double().requires_grad_() for leaf in leaves]
    y, grad_output = spectral_filter(*leaves), normal(5, 2, 3, 6, 4, seed=3)
    each = [torch.autograd.grad(y, leaves, one, retain_graph=True) for one in grad_output]
    batched = torch.autograd.grad(y, leaves, grad_output, is_grads_batched=True, retain_graph=True)
    mapped = torch.func.vmap(lambda one: torch.autograd.grad(y, leaves, one, retain_graph=True))
    for found in (batched, mapped(grad_output)):
        for got, values in zip(found, zip(*each, strict=True), strict=True):
            assert_close(got, torch.stack(values))


@pytest.mark.parametrize("n", [30, 64])
def test_backward_under_autocast(n: int) -> None:
    leaves = [normal(2, 3, n, 4), normal(3, 2, seed=1), normal(3, 2, seed=2), torch.full((1,), 0.7)]
    leaves = [leaf.float().requires_grad_() for leaf in leaves]
    y = spectral_filter(*leaves)
    plain = torch.autograd.grad(y, leaves, torch.ones_like(y), retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(y, leaves, torch.ones_like(y))
    for got, value in zip(found, plain, strict=True):
        assert torch.equal(got, value)


def test_compiled_transforms(fresh_dynamo: None) -> None:
    x, other, pair = normal(2, 3, 6, 4), normal(2, 3, 6, 4, seed=1), normal(3, 2, seed=2)

    def loss(x: Tensor) -> Tensor:
        return spectral_filter(x, pair, pair, 0.7).square().sum()

    def tangent(x: Tensor, other: Tensor) -> Tensor:
        return torch.func.jvp(lambda x: spectral_filter(x, pair, pair, 0.7), (x,), (other,))[1]

    for function, inputs in ((torch.func.grad(loss), (x,)), (tangent, (x, other))):
        compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
        assert_close(compiled(*inputs), function(*inputs))


@pytest.mark.parametrize("alone", [None, "global", "local"])
def test_compiled_training(alone: str | None, fresh_dynamo: None) -> None:
    counter = CompileCounterWithBackend("aot_eager")

    # Axes are constants here, as they are in a layer.
    def along_time(*given: torch.Tensor | None) -> torch.Tensor:
        return spectral_filter(*given, dim=2)

    compiled = torch.compile(along_time, backend=counter, fullgraph=True, dynamic=True)
    pairs = [normal(4, 2, seed=seed).requires_grad_() for seed in (1, 2)]
    theta = torch.full((1,), 0.7, dtype=torch.float64, requires_grad=True)
    given = (
        None if alone == "local" else pairs[0],
        None if alone == "global" else pairs[1],
        None if alone == "global" else theta,
    )
    for n in (3, 6, 5):
        x = normal(n, 4, 12, 7, seed=n).requires_grad_()
        leaves = [leaf for leaf in (x, *given) if leaf is not None]
        results = []
        for function in (spectral_filter, compiled):
            out = function(x, *given)
            results.append([out, *torch.autograd.grad(out.square().sum(), leaves)])
        for got, value in zip(*results, strict=True):
            assert_close(got, value)
    assert counter.frame_count == 1
    called = [node.target for node in counter.graphs[0].graph.nodes]
    assert torch.ops.skelfreq.spectral_filter.default in called
    assert compiled(normal(0, 4, 12, 7), *given).shape == (0, 4, 12, 7)


@pytest.mark.parametrize("axes", [(2, 1), (1, 2), (1, 0)])
def test_operator_for_compilers(axes: tuple[int, int]) -> None:
    x = normal(3, 4, 6, 5).requires_grad_()
    shape = [1, 1, 1, x.shape[axes[0]] // 2 + 1, 2]
    global_, local = (normal(*shape, seed=seed).requires_grad_() for seed in (1, 2))
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert _filter_fast  # the import registers the operator
    operator = torch.ops.skelfreq.spectral_filter.default
    turned = x.detach().transpose(0, 3).contiguous().transpose(0, 3).requires_grad_()
    torch.library.opcheck(operator, (turned, *axes, "tslanet", 1e-6, theta, global_, local))
    torch.library.opcheck(operator, (x, *axes, "tslanet", None, theta, global_, local))
    torch.library.opcheck(operator, (x, *axes, "tslanet", None, None, global_, None))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_the_operators_give_without_a_mask(device: str) -> None:
    x = normal(3, 4, 6, 5).to(device).requires_grad_()
    global_, local = (normal(1, 1, 1, 4, 2, seed=s).to(device).requires_grad_() for s in (1, 2))
    theta = torch.tensor([0.7], dtype=torch.float64, device=device, requires_grad=True)
    forward = torch.ops.skelfreq.spectral_filter.default
    backward = torch.ops.skelfreq.spectral_filter_gradients.default
    out, given = forward(x, 2, 1, "tslanet", None, theta, global_, local)
    assert out.requires_grad and not given.requires_grad
    assert out.shape == x.shape and given.shape == (3, 1, 5, 4)
    out, nothing = forward(x, 2, 1, "tslanet", None, None, global_, None)
    assert out.requires_grad and nothing.shape == (0,) and not nothing.requires_grad
    found = backward(x, 2, 1, None, global_, None, torch.ones_like(x), True, True)
    assert [part.shape for part in found] == [x.shape, global_.shape, (0,)]
    found = backward(x, 2, 1, given, global_, local, torch.ones_like(x), True, True)
    assert [part.shape for part in found] == [x.shape, global_.shape, local.shape]


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_an_absent_person_gives_zeros_and_finite_gradients(gradient: str) -> None:
    x = normal(3, 2, 10, 4)
    x[1] = 0
    x.requires_grad_()
    leaves = [x, *(normal(2, 2, seed=s).requires_grad_() for s in (1, 2)), torch.tensor(0.5)]
    leaves[3].requires_grad_()
    y = spectral_filter(*leaves, gradient=gradient)
    assert not y[1].any() and y[0].any() and y[2].any()
    assert all(g.isfinite().all() for g in torch.autograd.grad(y.square().sum(), leaves))


# --- Amplitude ----------------------------------------------------------------------------------

SCALES = [1e-30, 1e-19, 1e-8, 1e-3, 1e8, 1e19, 1e30]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("lengths", [None, [20, 9]])
def test_the_mask_does_not_depend_on_the_unit(scale: float, lengths: list[int] | None) -> None:
    x = normal(2, 3, 20, 4, dtype=torch.float32)
    present = None if lengths is None else torch.tensor(lengths)
    bins = None if present is None else present // 2 + 1
    masks = []
    for factor in (1.0, scale):
        spectrum = rdft(factor * x, dim=2, lengths=present)
        masks.append([mask(*spectrum, theta, num_bins=bins) for theta in (0.3, 1.0, 3.0)])
    for got, value in zip(*masks, strict=True):
        assert torch.equal(got, value) and got.any() and not got.all()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("block", [FreS, FreT])
def test_blocks_with_their_decoupling_keep_the_same_bins(
    scale: float, block: type[FreS | FreT]
) -> None:
    x = normal(3, 3, 20, 7, dtype=torch.float32)
    x[1] = 0
    layer = block(3, threshold=0.5)
    large = (scale * x).requires_grad_()
    kept = layer.kept(large)
    if scale > 1e-4:  # a smaller signal is noise for the decoupling, but its bins rank the same
        layer_of_one = layer.kept(1e3 * x)
        assert torch.equal(kept, layer_of_one)
    assert kept[0].any() and not kept[0].all() and not kept[1].any()
    y = layer(large)
    leaves = [large, *layer.parameters()]
    assert y.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(y.mean(), leaves))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("gradient", ["straight_through", "sigmoid"])
@pytest.mark.parametrize("plain", [False, True])
def test_filters_of_any_amplitude(
    scale: float, gradient: str, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if plain:
        monkeypatch.setattr(_route, "PRESENT", set())
    x = normal(3, 3, 20, 4, dtype=torch.float32)
    x[1] = 0  # a person who is absent
    leaves = [normal(3, 2, seed=seed, dtype=torch.float32) for seed in (1, 2)]
    leaves = [leaf.requires_grad_() for leaf in (*leaves, torch.tensor(0.8))]
    expected = spectral_filter(x, *leaves, gradient=gradient)
    large = (scale * x).requires_grad_()
    y = spectral_filter(large, *leaves, gradient=gradient)
    assert_close(y / scale, expected)
    for got in torch.autograd.grad((y / scale).sum(), [large, *leaves]):
        assert got.isfinite().all()


def test_lines_of_several_amplitudes_have_their_own_scale() -> None:
    x = normal(4, 3, 20, 5, dtype=torch.float32)
    factors = torch.tensor([1e-25, 1.0, 1e25, 0.0]).view(4, 1, 1, 1)
    leaves = [normal(3, 2, seed=seed, dtype=torch.float32) for seed in (1, 2)]
    y = spectral_filter(factors * x, *leaves, 0.8)
    assert_close(y[:3] / factors[:3], spectral_filter(x, *leaves, 0.8)[:3])
    assert not y[3].any()


def test_a_sequence_of_zeros_has_no_selected_bin() -> None:
    zeros = torch.zeros(1, 3, 11, 4)
    for theta in (0.0, 0.5, -1.0):
        assert not mask(zeros, zeros, theta).any()
        assert not mask(zeros, zeros, theta, gradient="sigmoid").any()


def test_a_number_is_an_absolute_eps() -> None:
    re, im = rdft(normal(2, 3, 20, 4), dim=2)
    energy = (re.square() + im.square()).sum(1, keepdim=True)
    median = energy.sort(2).values[:, :, 5:6]
    for eps in (1e-6, 0.5, 100.0):
        assert torch.equal(mask(re, im, 0.4, eps=eps) == 1, energy / (median + eps) > 0.4)
    quiet = rdft(1e-4 * normal(2, 3, 20, 4), dim=2)
    absolute = mask(*quiet, 0.4, eps=1e-6)
    assert torch.equal(absolute == 1, mask(*quiet, 0.4, gradient="tslanet") > 0.5)
    assert not torch.equal(absolute, mask(*quiet, 0.4))
    with pytest.raises(ValueError, match="eps must be positive"):
        mask(re, im, 0.4, eps=0.0)


# --- Padding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_lengths_of_any_integer_dtype(dtype: torch.dtype) -> None:
    x, weight = normal(3, 2, 9, 4), normal(2, 2, seed=1)
    lengths = torch.tensor([9, 0, 4])
    expected = spectral_filter(x, weight, weight, 0.5, lengths=lengths)
    assert torch.equal(spectral_filter(x, weight, weight, 0.5, lengths=lengths.to(dtype)), expected)


@given(st.integers(1, 40), st.data())
def test_padded_dft_is_that_of_each_signal(n: int, data: st.DataObject) -> None:
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, n), min_size=1, max_size=3)))
    x = normal(len(lengths), 2, n, 2, seed=n)
    re, im = rdft(x, dim=2, lengths=lengths)
    back = irdft(re, im, n, dim=2, lengths=lengths)
    for i, length in enumerate(lengths.tolist()):
        bins = length // 2 + 1 if length else 0
        assert not re[i, :, bins:].any() and not im[i, :, bins:].any()
        assert not back[i, :, length:].any()
        if length:
            own = torch.stack(rdft(x[i, :, :length], dim=1))
            assert_close(torch.stack([re[i, :, :bins], im[i, :, :bins]]), own)
            assert_close(back[i, :, :length], x[i, :, :length])


@given(
    st.integers(1, 40), st.sampled_from(WEIGHTS), st.sampled_from(GRADIENTS), st.data()
)  # fmt: skip
def test_padding_has_no_effect(n: int, weight: str, gradient: str, data: st.DataObject) -> None:
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, n), min_size=1, max_size=3)))
    x = normal(len(lengths), 2, n, 2, seed=n)
    for i, length in enumerate(lengths.tolist()):
        x[i, :, length:] = torch.nan  # values of the padding must have no effect
    weights = [normal(*shape_of(weight, 2, n), seed=s) for s in (1, 2)]
    theta = torch.tensor(0.9, dtype=torch.float64)
    x.requires_grad_()
    y = spectral_filter(x, *weights, theta, weight=weight, gradient=gradient, lengths=lengths)
    (g,) = torch.autograd.grad((y * normal(*y.shape, seed=5)).sum(), x)
    assert y.isfinite().all() and g.isfinite().all()
    for i, length in enumerate(lengths.tolist()):
        assert not y[i, :, length:].any() and not g[i, :, length:].any()
        if length:
            short = [w if weight == "channel" else w[..., : length // 2 + 1, :] for w in weights]
            alone = spectral_filter(
                x[i : i + 1, :, :length], *short, theta, weight=weight, gradient=gradient
            )
            assert_close(y[i : i + 1, :, :length], alone)


# --- Precision and purity -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_half_precision_is_rounded_once(
    dtype: torch.dtype, autocast: bool, gradient: str, route: str
) -> None:
    x = normal(2, 3, 25, 4, dtype=dtype)
    weights = [normal(3, 2, seed=s, dtype=torch.float32) for s in (1, 2)]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        y = spectral_filter(x, *weights, 0.9, gradient=gradient)
        mask = adaptive_spectral_mask(*rdft(x, dim=2), 0.9, dim=2, channel_dim=1)
    exact = spectral_filter(x.double(), *(w.double() for w in weights), 0.9, gradient=gradient)
    assert y.dtype == mask.dtype == dtype
    assert_rounded(y, exact)


@pytest.mark.parametrize("n", [2, 25, 120, 300, 512])
def test_single_precision_error(n: int) -> None:
    x = normal(2, 3, n, 4, dtype=torch.float32)
    weights = [normal(3, 2, seed=s, dtype=torch.float32) for s in (1, 2)]
    exact = spectral_filter(x.double(), *(w.double() for w in weights), 0.9)
    assert_close(spectral_filter(x, *weights, 0.9), exact)


def test_inputs_are_not_written() -> None:
    inputs = [normal(2, 3, 20, 4), normal(3, 2, seed=1), normal(3, 2, seed=2), torch.tensor(0.5)]
    kept = [value.clone() for value in inputs]
    spectral_filter(*inputs, lengths=torch.tensor([20, 7]))
    assert all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))


def test_functional_transforms() -> None:
    x, weights = normal(4, 2, 3, 10, 4), (normal(3, 2, seed=1), normal(3, 2, seed=2))
    mapped = torch.func.vmap(lambda x: spectral_filter(x, *weights, 0.9))(x)
    assert_close(mapped, torch.stack([spectral_filter(v, *weights, 0.9) for v in x]))
    tangent = normal(*x[0].shape, seed=3)
    _, pushed = torch.func.jvp(lambda x: spectral_filter(x, *weights, 0.9), (x[0],), (tangent,))
    step = 1e-6 * tangent
    plus = spectral_filter(x[0] + step, *weights, 0.9)
    minus = spectral_filter(x[0] - step, *weights, 0.9)
    assert_close(pushed, (plus - minus) / 2e-6, 1e-7)


# --- Errors -------------------------------------------------------------------------------------

X, W = torch.zeros(2, 3, 6, 5), torch.zeros(3, 2)
BINS = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: spectral_filter(X.long(), W), TypeError, ["x", "int64"]),
        (lambda: spectral_filter(X, W.long()), TypeError, ["global_weight", "int64"]),
        (lambda: spectral_filter(X), ValueError, ["global_weight or local_weight"]),
        (lambda: spectral_filter(X, W, W), ValueError, ["threshold", "None"]),
        (lambda: spectral_filter(X, W, W, float("inf")), ValueError, ["threshold", "finite"]),
        (lambda: spectral_filter(X, W[:2]), ValueError, ["global_weight", "(3, 2)", "(2, 2)"]),
        (
            lambda: spectral_filter(X, None, W, 1.0, weight="full"),
            ValueError,
            ["local_weight", "(3, 4, 2)", "'full'", "(3, 2)"],
        ),
        (lambda: spectral_filter(X, W, weight="frequency"), ValueError, ["(4, 2)", "(3, 2)"]),
        (lambda: spectral_filter(X, W, weight="all"), ValueError, ["weight", "'all'"]),
        (lambda: spectral_filter(X, W, dim=4), ValueError, ["dim=4"]),
        (lambda: spectral_filter(X, W, dim=1), ValueError, ["channel_dim", "dim=1"]),
        (lambda: spectral_filter(X, W, channel_dim=7), ValueError, ["channel_dim", "7"]),
        (lambda: spectral_filter(X, W, W, 1.0, gradient="ste"), ValueError, ["gradient", "'ste'"]),
        (lambda: spectral_filter(X, W, lengths=torch.tensor([7, 0])), ValueError, ["6", "0 to 7"]),
        (lambda: spectral_filter(X, W, lengths=torch.ones(2)), TypeError, ["lengths", "float32"]),
        (lambda: spectral_filter(X, W, dim=0, lengths=torch.ones(2).long()), ValueError, ["dim"]),
        (
            lambda: rdft(X, dim=2, lengths=torch.tensor([1])),
            ValueError,
            ["lengths", "(2,)", "(1,)"],
        ),
        (
            lambda: irdft(BINS, BINS, 6, dim=2, lengths=torch.tensor([7, 0])),
            ValueError,
            ["0 and 6", "0 to 7"],
        ),
        (lambda: mask(BINS, BINS[:1], 1.0), ValueError, ["im", "(1,"]),
        (lambda: mask(BINS, BINS.double(), 1.0), TypeError, ["float64"]),
        (lambda: mask(BINS, BINS, torch.zeros(2)), ValueError, ["threshold", "(2,)"]),
        (
            lambda: mask(BINS, BINS, 1.0, num_bins=torch.tensor([5, 0])),
            ValueError,
            ["num_bins", "0 to 5"],
        ),
        (lambda: mask(BINS, BINS, 1.0, num_bins=torch.ones(2)), TypeError, ["num_bins", "float32"]),
        (lambda: mask(BINS, BINS, 1.0, channel_dim=2), ValueError, ["channel_dim", "2"]),
        (
            lambda: mask(BINS, BINS, 1.0, gradient="sigmoid", temperature=0.0),
            ValueError,
            ["temperature", "0.0"],
        ),
    ],
)
def test_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
