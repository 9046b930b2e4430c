"""The exponential moving average of a network."""

from __future__ import annotations

import copy
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from conftest import load_golden, normal
from tolerances import GOLDEN, assert_close
from torch import nn
from torch.autograd import forward_ad
from torch.utils._pytree import tree_leaves

from skelfreq import SSFRM, EMADualPath, cosine_momentum
from skelfreq import functional as F


class Net(nn.Module):
    """Linear and BatchNorm with further buffers: the module of the golden files."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 3)
        self.bn = nn.BatchNorm1d(3)
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("counter", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.lin(x))


def net(seed: int = 0) -> Net:
    model = Net().double()
    move(model, seed)
    return model


def move(model: nn.Module, seed: int) -> None:
    """Change every parameter and buffer, as training does."""
    with torch.no_grad():
        for index, value in enumerate([*model.parameters(), *model.buffers()]):
            if value.is_floating_point():
                value.copy_(normal(*value.shape, seed=100 * seed + index).abs() + 0.1)
            else:
                value.fill_(seed)


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


# --- The average --------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.996, 1.0])
def test_closed_form(momentum: float) -> None:
    dual = EMADualPath(net(), momentum=momentum)
    history = [values(dual.online)]
    for step in range(1, 8):
        move(dual.online, step)
        history.append(values(dual.online))
        dual.update()
    for name, parameter in dual.target.named_parameters():
        # theta_K = g^K theta_0 + (1 - g) sum_k g^(K - k) online_k
        expected = momentum**7 * history[0][name]
        for k in range(1, 8):
            expected = expected + (1 - momentum) * momentum ** (7 - k) * history[k][name]
        assert_close(parameter, expected)
        if momentum in (0.0, 1.0):
            assert torch.equal(parameter, history[7 if momentum == 0 else 0][name])


@pytest.mark.parametrize("name", ["defaults", "every_step", "warmup"])
def test_equals_stored_ema_pytorch(golden_path: Path, name: str) -> None:
    golden = load_golden(golden_path / f"ema_beta0.99_{name}.npz")
    every = int(golden.get("arg_update_every", 10))
    after = int(golden.get("arg_update_after_step", 100))

    def momentum(step: int) -> float:
        if step % every:
            return 1.0
        return 0.0 if step <= after else float(golden["decay_used"][step])

    def stored(prefix: str, step: int | None = None) -> dict[str, torch.Tensor]:
        return {
            key.removeprefix(prefix): torch.as_tensor(value if step is None else value[step])
            for key, value in golden.items()
            if key.startswith(prefix)
        }

    model = Net().double()
    model.load_state_dict(stored("ema_init/"))
    dual = EMADualPath(model, buffers="average", schedule=momentum)
    for step in range(int(golden["steps"])):
        assert bool(golden["decay_used"][step] > 0) == (0 < momentum(step) < 1)
        model.load_state_dict(stored("online_steps/", step))
        dual.update()
        expected, result = stored("ema_steps/", step), dual.target.state_dict()
        assert result.keys() == expected.keys()
        for key, value in result.items():
            if value.is_floating_point():
                assert_close(value, expected[key], GOLDEN)
            else:  # not updated there, copied here
                assert torch.equal(value, model.state_dict()[key])


@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_buffers(buffers: str) -> None:
    dual = EMADualPath(net(), momentum=0.75, buffers=buffers)
    before = values(dual.online)
    move(dual.online, 5)
    dual.update()
    for name, buffer in dual.target.named_buffers():
        online = dict(dual.online.named_buffers())[name]
        if buffers == "average" and buffer.is_floating_point():
            assert_close(buffer, 0.75 * before[name] + 0.25 * online)
        else:
            assert torch.equal(buffer, online)
        assert buffer.dtype == before[name].dtype
        assert buffer.untyped_storage().data_ptr() != online.untyped_storage().data_ptr()


def test_schedule_is_called_once_per_update() -> None:
    asked: list[int] = []

    def schedule(step: int) -> float:
        asked.append(step)
        return 0.5

    dual = EMADualPath(net(), schedule=schedule)
    start = values(dual.target)["lin.weight"]
    move(dual.online, 1)
    for _ in range(3):
        dual.update()
    assert asked == [0, 1, 2] and dual.num_updates == 3
    expected = start / 8 + 7 / 8 * dual.online.lin.weight
    assert_close(dual.target.lin.weight, expected.detach())


def test_cosine_momentum() -> None:
    schedule = cosine_momentum(0.99, 100)
    assert schedule(0) == 0.99 and schedule(100) == schedule(1000) == 1.0
    assert schedule(50) == pytest.approx(0.995) and schedule(25) == pytest.approx(0.99146447)
    rise = [schedule(k) for k in range(101)]
    assert all(a <= b for a, b in itertools.pairwise(rise))
    assert cosine_momentum(1.0, 5)(2) == 1.0


def test_one_fused_call_for_each_update(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    lerp = torch._foreach_lerp_

    def counting(old, new, weight) -> None:
        calls.append(len(old))
        lerp(old, new, weight)

    monkeypatch.setattr(torch, "_foreach_lerp_", counting)
    dual = EMADualPath(net())
    dual.update()
    assert calls == [4]
    EMADualPath(net(), buffers="average").update()
    assert calls == [4, 7]


# --- The two paths ------------------------------------------------------------------------------


def test_target_is_a_frozen_copy() -> None:
    online = net()
    dual = EMADualPath(online)
    assert dual.online is online
    assert values(dual.target).keys() == values(online).keys()
    for name, value in values(dual.target).items():
        assert torch.equal(value, values(online)[name])
    move(online, 3)
    assert not torch.equal(dual.target.lin.weight, online.lin.weight)
    assert all(p.requires_grad for p in online.parameters())
    assert not any(p.requires_grad for p in dual.target.parameters())


def test_target_stays_in_evaluation_mode() -> None:
    dual = EMADualPath(net())
    assert not any(m.training for m in dual.target.modules())
    assert dual.train() is dual and dual.training and dual.online.training
    assert not any(m.training for m in dual.target.modules())
    assert dual.eval() is dual and not dual.online.training
    nn.Sequential(dual).train()
    assert dual.online.training and not dual.target.training
    dual.train()
    before = values(dual.target)
    dual(normal(5, 4), normal(5, 4, seed=1))
    assert all(torch.equal(value, before[name]) for name, value in values(dual.target).items())


def test_forward_and_gradient() -> None:
    dual = EMADualPath(net())
    move(dual.online, 2)
    x_online, x_target = normal(5, 4), normal(5, 4, seed=1).requires_grad_()
    online, target = dual(x_online, x_target)
    assert torch.equal(target, dual.target(x_target).detach())
    assert online.requires_grad and not target.requires_grad
    (online - target).square().sum().backward()
    assert x_target.grad is None
    assert all(p.grad is not None for p in dual.online.parameters())
    assert all(p.grad is None for p in dual.target.parameters())
    dual.update()
    assert not any(p.requires_grad for p in dual.target.parameters())


def test_update_between_forward_and_backward() -> None:
    # Updating between forward and backward must not change tensors saved by the online network.
    dual = EMADualPath(net(), momentum=0.5)
    online, _ = dual(normal(5, 4), normal(5, 4))
    dual.update()
    online.sum().backward()
    assert dual.online.lin.weight.grad is not None


def test_structured_inputs_and_outputs() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(4, 3)

        def forward(self, x: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            return self.lin(x["a"]), self.lin(x["b"])

    x = {"a": torch.ones(2, 4), "b": torch.zeros(2, 4)}
    online, target = EMADualPath(Pair())(x, x)
    assert all(o.requires_grad and not t.requires_grad for o, t in zip(online, target, strict=True))
    assert all(torch.equal(o, t) for o, t in zip(online, target, strict=True))


def test_further_arguments_go_to_both_networks() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor, factor: float, *, offset: float = 0.0) -> torch.Tensor:
            return factor * self.lin(x) + offset

    dual = EMADualPath(Scaled())
    x, y = torch.ones(2, 4), torch.zeros(2, 4)
    online, target = dual(x, y, 3.0, offset=0.5)
    assert torch.equal(online, dual.online(x, 3.0, offset=0.5))
    assert torch.equal(target, dual.target(y, 3.0, offset=0.5))


class Nested(nn.Module):
    """Returns tensors in every kind of container, as encoders do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, x: torch.Tensor) -> dict:
        y = self.inner.lin(x)
        return {"pair": (y, [y.sin()]), "bands": F.Bands(y, 2 * y), "name": "net"}


def test_tangents_stop_at_the_target() -> None:
    # no_grad does not stop forward-mode derivatives.
    dual = EMADualPath(Nested())
    inputs, tangents = (normal(5, 4), normal(5, 4, seed=1)), (normal(5, 4, seed=2),) * 2

    def outputs(x: torch.Tensor, y: torch.Tensor) -> tuple[list, list]:
        online, target = dual(x, y)
        assert target["name"] == "net" and isinstance(target["bands"], F.Bands)
        return tuple([o for o in tree_leaves(out) if o != "net"] for out in (online, target))

    (_, values), (moving, still) = torch.func.jvp(outputs, inputs, tangents)
    assert len(still) == len(values) == 4
    assert all(torch.equal(tangent, torch.zeros_like(tangent)) for tangent in still)
    assert_close(moving[0], (tangents[0] @ dual.online.inner.lin.weight.mT).detach())
    with forward_ad.dual_level():
        x = forward_ad.make_dual(inputs[0], tangents[0])
        online, target = outputs(x, x)
        assert all(forward_ad.unpack_dual(value).tangent is not None for value in online)
        assert all(forward_ad.unpack_dual(value).tangent is None for value in target)


def test_tangents_of_target_parameters_stop() -> None:
    dual = EMADualPath(net()).eval()
    parameters = {name: value.detach() for name, value in dual.named_parameters()}
    tangents = {name: torch.ones_like(value) for name, value in parameters.items()}
    x = normal(5, 4)

    def outputs(values: dict) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.func.functional_call(dual, values, (x, x))

    _, (online, target) = torch.func.jvp(outputs, (parameters,), (tangents,))
    assert not torch.equal(online, torch.zeros_like(online))
    assert torch.equal(target, torch.zeros_like(target))


def test_a_network_without_parameters() -> None:
    dual = EMADualPath(nn.Identity())
    dual.update()
    assert dual.num_updates == 1


# --- State --------------------------------------------------------------------------------------


def test_state_dict_round_trip() -> None:
    dual = EMADualPath(net(), momentum=0.9)
    for step in range(3):
        move(dual.online, step + 1)
        dual.update()
    file = io.BytesIO()
    torch.save(dual.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = EMADualPath(net(9), momentum=0.9)
    other.load_state_dict(state, strict=True)
    assert other.num_updates == 3 and isinstance(other.num_updates, int)
    for pair in ((dual.target, other.target), (dual.online, other.online)):
        first, second = map(values, pair)
        assert all(torch.equal(value, second[name]) for name, value in first.items())
    move(dual.online, 7), move(other.online, 7)
    dual.update(), other.update()
    assert torch.equal(dual.target.lin.weight, other.target.lin.weight)
    assert not any(p.requires_grad for p in other.target.parameters())


def test_schedule_continues_after_loading() -> None:
    def make() -> EMADualPath:
        return EMADualPath(net(), schedule=cosine_momentum(0.5, 4))

    dual, other = make(), make()
    move(dual.online, 1)
    dual.update(), dual.update()
    other.load_state_dict(dual.state_dict())
    move(dual.online, 2), move(other.online, 2)
    dual.update(), other.update()
    assert torch.equal(dual.target.lin.weight, other.target.lin.weight)


class Layers(nn.Module):
    """A network whose every module with tensors can be reset."""

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.ssfrm = SSFRM(4, device=device)
        self.lin = nn.Linear(4, 3, device=device)
        self.bn = nn.BatchNorm1d(3, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.lin(x))


def test_to_empty_and_a_strict_load_restore_the_pair() -> None:
    dual = EMADualPath(net(), momentum=0.9)
    for step in range(3):
        move(dual.online, step + 1)
        dual.update()
    state = copy.deepcopy(dual.state_dict())
    with torch.device("meta"):
        other = EMADualPath(Net().double(), momentum=0.9)
        assert other.state_dict()["_extra_state"].device.type == "cpu"
    other.to_empty(device="cpu")
    other.load_state_dict(state, strict=True)
    assert other.num_updates == 3
    assert not any(p.requires_grad for p in other.target.parameters())
    move(dual.online, 7), move(other.online, 7)
    dual.update(), other.update()
    for name, value in values(dual).items():
        assert torch.equal(value, values(other)[name])


@pytest.mark.parametrize("wrapped", [False, True])
def test_from_the_meta_device_to_a_fresh_pair(wrapped: bool, fresh_dynamo: None) -> None:
    model = Layers(device="meta")
    dual = EMADualPath(compiled(model) if wrapped else model, momentum=0.5)
    assert all(value.is_meta for value in dual.parameters())
    dual.to_empty(device="cpu")
    dual.num_updates = 5
    with torch.random.fork_rng(), torch.no_grad():
        for value in [*dual.parameters(), *dual.buffers()]:
            value.fill_(77)
        torch.manual_seed(0)
        dual.reset_parameters()
    assert dual.num_updates == 0
    online, target = values(model), values(dual.target)
    assert online.keys() == target.keys()
    for name, value in online.items():
        assert torch.equal(value, target[name])
        assert not value.is_floating_point() or float(value.abs().max()) < 2
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in dual.target.parameters())
    assert float(online["lin.weight"].std()) > 0.05
    with torch.no_grad():
        model.lin.weight.add_(1)
    dual.update()
    assert_close(dual.target.lin.weight, online["lin.weight"] + 0.5)


def test_a_module_that_cannot_be_reset_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 3), net())
    dual = EMADualPath(model)
    before = values(dual)
    with pytest.raises(ValueError, match=r"got Net at '1' without it; .* reset_target\(\)"):
        dual.reset_parameters()
    assert all(torch.equal(value, before[name]) for name, value in values(dual).items())
    move(model, 4)
    dual.update()
    dual.reset_target()
    assert dual.num_updates == 0
    assert all(torch.equal(v, values(dual.target)[name]) for name, v in values(model).items())


# --- Wrappers -----------------------------------------------------------------------------------


@pytest.fixture
def process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def check_updates(dual: EMADualPath, inner: Net) -> None:
    """Run a training step and two updates; ``inner`` is the online network without wrappers."""
    start = values(inner)["lin.weight"]
    online, target = dual(normal(5, 4), normal(5, 4, seed=1))
    assert not target.requires_grad
    online.square().sum().backward()
    assert inner.lin.weight.grad is not None
    move(inner, 3)
    dual.update()
    target_weight = dict(dual.target.named_parameters())
    (name,) = (name for name in target_weight if name.endswith("lin.weight"))
    assert_close(target_weight[name], (0.75 * start + 0.25 * inner.lin.weight).detach())


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")


def test_compiled_before(fresh_dynamo: None) -> None:
    inner = net()
    check_updates(EMADualPath(compiled(inner), momentum=0.75), inner)


def test_compiled_after(fresh_dynamo: None) -> None:
    inner = net()
    dual = EMADualPath(inner, momentum=0.75)
    dual.online = compiled(dual.online)
    check_updates(dual, inner)


def test_compiled_in_place(fresh_dynamo: None) -> None:
    inner = net()
    dual = EMADualPath(inner, momentum=0.75)
    dual.online.compile(backend="eager")
    dual.target.compile(backend="eager")
    check_updates(dual, inner)


def test_compiled_dual_path(fresh_dynamo: None) -> None:
    inner = net()
    dual = EMADualPath(inner, momentum=0.75)
    online, target = torch.compile(dual, backend="eager", fullgraph=True)(
        normal(5, 4), normal(5, 4)
    )
    assert online.requires_grad and not target.requires_grad
    check_updates(dual, inner)


@pytest.mark.parametrize("when", ["before", "after"])
def test_nested_compiled_part(fresh_dynamo: None, when: str) -> None:
    inner = net()
    model = nn.Sequential(inner, nn.Linear(3, 2).double())
    if when == "before":
        model[0] = compiled(inner)
    dual = EMADualPath(model, momentum=0.75)
    if when == "after":
        dual.online[0] = compiled(inner)
    check_updates(dual, inner)


def test_data_parallel() -> None:
    inner = net()
    dual = EMADualPath(nn.DataParallel(inner), momentum=0.75)
    assert isinstance(dual.target, Net)
    check_updates(dual, inner)


@pytest.mark.parametrize("when", ["before", "after"])
def test_distributed(process_group: None, when: str) -> None:
    inner = net()
    ddp = nn.parallel.DistributedDataParallel
    if when == "before":
        dual = EMADualPath(ddp(inner), momentum=0.75)
    else:
        dual = EMADualPath(inner, momentum=0.75)
        dual.online = ddp(dual.online)
    assert isinstance(dual.target, Net)
    check_updates(dual, inner)


def test_distributed_and_compiled(process_group: None, fresh_dynamo: None) -> None:
    inner = net()
    wrapped = compiled(nn.parallel.DistributedDataParallel(inner))
    check_updates(EMADualPath(wrapped, momentum=0.75), inner)


def test_a_module_attribute_is_not_a_wrapper() -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = net()
            self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x) * self.scale

    dual = EMADualPath(Head(), momentum=0.75)
    with torch.no_grad():
        dual.online.scale.fill_(5.0)
    dual.update()
    assert float(dual.target.scale) == 2.0


# --- Structure ----------------------------------------------------------------------------------


def test_shared_parameters_are_updated_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).double()
    model[1].weight = model[0].weight
    dual = EMADualPath(model, momentum=0.5)
    assert dual.target[1].weight is dual.target[0].weight
    start = dual.target[0].weight.clone()
    with torch.no_grad():
        model[0].weight.add_(1)
    dual.update()
    assert_close(dual.target[0].weight, start + 0.5)


def test_integer_parameters_are_copied_and_complex_ones_averaged() -> None:
    model = nn.Module()
    model.table = nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
    model.phase = nn.Parameter(torch.tensor([1 + 1j]))
    dual = EMADualPath(model, momentum=0.5)
    with torch.no_grad():
        model.table.fill_(5), model.phase.fill_(3 - 1j)
    dual.update()
    assert dual.target.table.tolist() == [5, 5] and dual.target.phase.tolist() == [2 + 0j]


@pytest.mark.parametrize("change", ["added", "removed", "buffer", "renamed"])
def test_structural_change_raises(change: str) -> None:
    dual = EMADualPath(net())
    if change == "added":
        dual.online.extra = nn.Linear(2, 2)
    elif change == "removed":
        del dual.online.lin
    elif change == "buffer":
        dual.online.register_buffer("more", torch.zeros(1))
    else:
        dual.online.linear = dual.online.lin
        del dual.online.lin
    before = values(dual.target)
    with pytest.raises(ValueError, match=r"online must keep the (parameters|buffers)"):
        dual.update()
    assert all(torch.equal(value, before[name]) for name, value in values(dual.target).items())
    assert dual.num_updates == 0


REPLACED = ["parameter", "buffer", "module", "assigned", "target", "dtype", "swapped"]


@pytest.mark.parametrize("change", REPLACED)
def test_tensors_replaced_between_updates_are_followed(change: str) -> None:
    dual = EMADualPath(net(), momentum=0.5)
    dual.update()
    other = net(seed=1)
    if change == "parameter":
        dual.online.lin.weight = other.lin.weight
    elif change == "buffer":
        dual.online.bn.running_mean = torch.full_like(dual.online.bn.running_mean, 7.0)
    elif change == "module":
        dual.online.lin = other.lin
    elif change == "assigned":
        dual.online.load_state_dict(other.state_dict(), assign=True)
    elif change == "target":
        dual.target.load_state_dict(other.state_dict(), assign=True)
    elif change == "dtype":
        dual.float()
    else:
        dual.online, dual.target = other, copy.deepcopy(dual.online).requires_grad_(False)
    old, new = values(dual.target), values(dual.online)
    dual.update()
    for name, value in values(dual.target).items():
        averaged = name in dict(dual.target.named_parameters())
        assert_close(value, (old[name] + new[name]) / 2 if averaged else new[name], 2e-6)


@pytest.mark.parametrize("shape", [(5, 4), (1, 4), (1, 1)])
def test_another_shape_raises(shape: tuple[int, int]) -> None:
    dual = EMADualPath(net())
    dual.online.lin.weight = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    before = values(dual.target)
    with pytest.raises(ValueError, match=r"lin\.weight"):
        dual.update()
    assert all(torch.equal(value, before[name]) for name, value in values(dual.target).items())


BOTH = {"momentum": 0.9, "schedule": cosine_momentum(0.9, 10)}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"momentum": 1.1}, ValueError, ["momentum", "[0, 1]", "1.1"]),
        ({"momentum": -0.1}, ValueError, ["momentum", "[0, 1]", "-0.1"]),
        ({"momentum": float("nan")}, ValueError, ["momentum", "nan"]),
        ({"momentum": "0.9"}, TypeError, ["momentum", "a number", "'0.9'"]),
        ({"momentum": cosine_momentum(0.9, 10)}, TypeError, ["momentum", "pass it as schedule="]),
        ({"schedule": 0.9}, TypeError, ["schedule", "a function", "0.9"]),
        (BOTH, ValueError, ["momentum must be left out when schedule is given", "0.9"]),
        ({"buffers": "mean"}, ValueError, ["buffers", "'copy'", "'average'", "'mean'"]),
    ],
)
def test_constructor_errors(arguments: dict, error: type, words: list[str]) -> None:
    with pytest.raises(error) as caught:
        EMADualPath(net(), **arguments)
    for word in words:
        assert word in str(caught.value)


def test_options_are_named() -> None:
    for value in (0.9, cosine_momentum(0.9, 10)):
        with pytest.raises(TypeError, match=r"takes only online by position.*momentum=, schedule="):
            EMADualPath(net(), value)


def test_momentum_is_0996_unless_given() -> None:
    assert EMADualPath(net()).momentum == 0.996
    assert EMADualPath(net(), momentum=np.float32(0.5)).momentum == 0.5
    assert EMADualPath(net(), schedule=cosine_momentum(0.9, 10)).momentum is None


def test_a_schedule_out_of_range_raises() -> None:
    dual = EMADualPath(net(), schedule=lambda step: 2.0)
    before = values(dual.target)
    with pytest.raises(ValueError, match=r"schedule\(0\) must lie in \[0, 1\], got 2.0"):
        dual.update()
    assert dual.num_updates == 0
    assert all(torch.equal(value, before[name]) for name, value in values(dual.target).items())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: cosine_momentum(1.5, 10), ValueError, ["base", "[0, 1]", "1.5"]),
        (lambda: cosine_momentum(0.9, 0), ValueError, ["total_updates", "at least 1", "0"]),
        (lambda: cosine_momentum(0.9, 1.5), TypeError, ["total_updates", "1.5"]),
        (lambda: cosine_momentum("0.9", 10), TypeError, ["base", "a number", "'0.9'"]),
    ],
)
def test_schedule_errors(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_repr_shows_the_configuration() -> None:
    assert "schedule=functools.partial" in repr(
        EMADualPath(net(), schedule=cosine_momentum(0.9, 9))
    )
    assert "momentum=0.9, buffers='average'" in repr(
        EMADualPath(net(), momentum=0.9, buffers="average")
    )


def test_online_must_be_a_module() -> None:
    with pytest.raises(TypeError, match=r"online must be a torch\.nn\.Module, got function"):
        EMADualPath(lambda x: x)
