"""Two processes: DDP and FSDP2 around the dual path, and layers that start on the meta device."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from skelfreq import SSFRM, EMADualPath, FreqEnhance, FreST, FreT, SpectralFilter

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without distributed")

PROCESSES, SECONDS = 2, 60
BATCH, STEPS = 8, 3


# --- Two processes that run what the tests send them --------------------------------------------


def serve(rank: int, connection: Connection, store: str) -> None:
    """Run functions of this file until the process is killed."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(seconds=SECONDS / 2),
    )
    while True:
        function, arguments = connection.recv()
        try:
            function(rank, *arguments)
            connection.send(None)
        except BaseException:
            connection.send(traceback.format_exc())


class Pair:
    """Two processes in one group, replaced after a failure because they may wait forever."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.starts = folder, 0
        self.processes: list[Any] = []
        self.connections: list[Connection] = []

    def start(self) -> None:
        context = torch.multiprocessing.get_context("spawn")
        store = str(self.folder / f"store{self.starts}")
        self.starts += 1
        for rank in range(PROCESSES):
            here, there = context.Pipe()
            process = context.Process(target=serve, args=(rank, there, store), daemon=True)
            process.start()
            there.close()
            self.processes.append(process)
            self.connections.append(here)

    def stop(self) -> None:
        for connection in self.connections:
            connection.close()
        for process in self.processes:
            process.kill()  # it has nothing to save, and a regular exit takes seconds
            process.join()
        self.processes, self.connections = [], []

    def __call__(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self.processes:
            self.start()
        for connection in self.connections:
            connection.send((function, arguments))
        failures = []
        for rank, connection in enumerate(self.connections):
            if not connection.poll(SECONDS):
                failures.append(f"process {rank} did not answer within {SECONDS} s")
            elif failure := connection.recv():
                failures.append(f"process {rank}: {failure}")
        if failures:
            self.stop()
            pytest.fail("\n".join(failures))


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("store"))
    yield pair
    pair.stop()


# --- What they run ------------------------------------------------------------------------------


def network(seed: int = 0) -> nn.Module:
    """Layers with 5 and 3 rows, which two processes cannot divide evenly."""
    layers = nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in layers.parameters():
            value.copy_(torch.randn(value.shape, generator=generator, dtype=value.dtype))
    return layers


def batches(rank: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the inputs of each step: a process's share, or all of them for None."""
    generator = torch.Generator().manual_seed(1)
    share = slice(None) if rank is None else slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    for _ in range(STEPS):
        x = torch.randn(2, BATCH, 4, generator=generator, dtype=torch.float64)
        yield x[0, share], x[1, share]


def train(model: nn.Module, dual: EMADualPath, rank: int | None = None) -> None:
    """Train for some steps; ``model`` is called, ``dual`` is what it holds."""
    optimizer = torch.optim.SGD(dual.online.parameters(), lr=0.1)
    for x_online, x_target in batches(rank):
        online, target = model(x_online, x_target)
        optimizer.zero_grad()
        (online - target).square().mean().backward()
        optimizer.step()
        dual.update()


def trained() -> EMADualPath:
    """Return what a single process makes of all samples."""
    dual = EMADualPath(network(), momentum=0.9)
    train(dual, dual)
    return dual


def gathered_value(value: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value


def ensure(condition: object, about: str = "") -> None:
    """Fail unless the condition holds; pytest does not rewrite ``assert`` in these processes."""
    if not condition:
        raise AssertionError(about)


def assert_same(model: nn.Module, expected: nn.Module) -> None:
    """Compare every parameter and buffer; the wrappers' names are left out."""
    found = {name.replace("module.", ""): value for name, value in model.named_parameters()}
    ensure(found.keys() == dict(expected.named_parameters()).keys())
    for name, value in expected.named_parameters():
        ensure(torch.allclose(gathered_value(found[name]), value, rtol=1e-12, atol=1e-14), name)


def ddp_around_the_dual_path(rank: int) -> None:
    dual = EMADualPath(network(), momentum=0.9)
    model = nn.parallel.DistributedDataParallel(dual)
    train(model, model.module, rank)
    assert_same(model.module, trained())


def ddp_around_the_online_network(rank: int) -> None:
    dual = EMADualPath(nn.parallel.DistributedDataParallel(network()), momentum=0.9)
    train(dual, dual, rank)
    assert_same(dual, trained())


def sharded(parts: bool = False) -> EMADualPath:
    from torch.distributed.fsdp import fully_shard

    dual = EMADualPath(network(), momentum=0.9)
    if parts:
        for layer in (dual.online[0], dual.target[0]):
            fully_shard(layer)
    fully_shard(dual)
    return dual


def fsdp_around_the_dual_path(rank: int, parts: bool) -> None:
    from torch.distributed.tensor import DTensor

    dual, expected = sharded(parts), trained()
    train(dual, dual, rank)
    ensure(all(isinstance(value, DTensor) for value in dual.parameters()))
    assert_same(dual, expected)
    # What is saved loads where nothing is sharded.
    state = {name: gathered_value(value) for name, value in dual.state_dict().items()}
    single = EMADualPath(network(1), momentum=0.9)
    single.load_state_dict(state, strict=True)
    ensure(single.num_updates == STEPS)
    assert_same(single, expected)
    single.update(), dual.update()
    assert_same(dual, single)


def update_after_a_forward_pass_alone(rank: int) -> None:
    dual, expected = sharded(), EMADualPath(network(), momentum=0.9)
    for model in (dual, expected):
        with torch.no_grad():
            for value in model.online.parameters():
                value.mul_(3)
        model(*next(batches(None)))  # leaves full copies in the sharded modules
        model.update()
        model.update()
    dual.reshard()
    assert_same(dual, expected)


def only_the_online_network_sharded(rank: int) -> None:
    from torch.distributed.fsdp import fully_shard

    dual = EMADualPath(network(), momentum=0.9)
    fully_shard(dual.online)
    with pytest.raises(ValueError, match=r"sharded alike.*fully_shard\(dual\)"):
        dual.update()
    ensure(dual.num_updates == 0)


def sharded_before_it_is_copied(rank: int) -> None:
    from torch.distributed.fsdp import fully_shard

    for part in (slice(None), slice(1)):
        model = network()
        for module in [model] if part == slice(None) else model[part]:
            fully_shard(module)
        with pytest.raises(
            ValueError, match=r"online must not be sharded yet.*fully_shard\(dual\)"
        ):
            EMADualPath(model)


LAYERS = {
    "freq_enhance": lambda **made: FreqEnhance(12, num_bands=3, split=4, **made),
    "freq_enhance_free": lambda **made: FreqEnhance(12, learnable="free", **made),
    "spectral_filter": lambda **made: SpectralFilter(6, 12, weight="full", **made),
    "fret": lambda **made: FreT(6, 12, weight="full", **made),
    "fret_identity": lambda **made: FreT(
        6, residual=False, decouple=False, init="identity", **made
    ),
    "frest": lambda **made: FreST(6, **made),
    "ssfrm": lambda **made: SSFRM(6, **made),
}


def from_the_meta_device(rank: int, name: str) -> None:
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(rank)
    layer = LAYERS[name](device="meta")
    fully_shard(layer)
    layer.to_empty(device="cpu")
    with torch.no_grad():
        for value in layer.parameters():
            value.fill_(float("nan"))
    layer.reset_parameters()
    fresh, another = LAYERS[name](), dict(LAYERS[name]().named_parameters())
    reset = dict(layer.named_parameters())
    for key, value in fresh.named_parameters():
        found = gathered_value(reset[key])
        if torch.equal(value, another[key]):  # not drawn at random
            ensure(torch.equal(found, value), key)
        else:
            ensure(found.shape == value.shape and not torch.equal(found, value), key)
            ensure(0 < found.abs().max() < 3 * max(value.abs().max(), another[key].abs().max()))
            if value.numel() > 20:
                ensure(0.5 < found.std() / value.std() < 2, key)
    # The sharded layer computes what a layer with the same values computes.
    state = {key: gathered_value(value) for key, value in layer.state_dict().items()}
    fresh.load_state_dict(state, strict=True)
    x = torch.randn(2, 6, 12, 5, generator=torch.Generator().manual_seed(0))
    results, expected = tree_leaves(layer(x)), tree_leaves(fresh(x))
    for got, value in zip(results, expected, strict=True):
        ensure(torch.allclose(got, value, atol=1e-6))
    sum(got.square().sum() for got in results).backward()
    ensure(all(gathered_value(value.grad).isfinite().all() for value in layer.parameters()))


class Resettable(nn.Module):
    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.ssfrm = SSFRM(6, device=device)
        self.bn = nn.BatchNorm2d(3, device=device)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.ssfrm(x).low)


def dual_path_from_the_meta_device(rank: int) -> None:
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_model_state_dict,
        set_model_state_dict,
    )
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(rank)
    dual = EMADualPath(Resettable("meta"), momentum=0.9)
    fully_shard(dual)
    dual.to_empty(device="cpu")
    dual.reset_parameters()
    online, target = (dict(part.state_dict()) for part in (dual.online, dual.target))
    for name, value in online.items():
        ensure(gathered_value(value).isfinite().all())
        ensure(torch.equal(gathered_value(value), gathered_value(target[name])))
    # A checkpoint of one process goes into the shards.
    torch.manual_seed(0)
    stored = EMADualPath(Resettable(), momentum=0.9)
    with torch.no_grad():
        for value in stored.parameters():
            value.add_(1)
    stored.num_updates = 7
    options = StateDictOptions(full_state_dict=True, strict=True)
    set_model_state_dict(dual, stored.state_dict(), options=options)
    ensure(dual.num_updates == 7)
    gathered = get_model_state_dict(dual, options=options)
    ensure(gathered.keys() == stored.state_dict().keys())
    ensure(all(torch.equal(gathered[name], value) for name, value in stored.state_dict().items()))
    x = torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    for got, value in zip(dual(x, x), stored(x, x), strict=True):
        ensure(torch.allclose(got, value, atol=1e-6))


# --- The tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        ddp_around_the_dual_path,
        ddp_around_the_online_network,
        update_after_a_forward_pass_alone,
        only_the_online_network_sharded,
        sharded_before_it_is_copied,
        dual_path_from_the_meta_device,
    ],
    ids=lambda function: function.__name__,
)
def test_dual_path(two_processes: Pair, function: Callable[[int], None]) -> None:
    two_processes(function)


@pytest.mark.parametrize("parts", [False, True])
def test_fsdp_equals_one_process(two_processes: Pair, parts: bool) -> None:
    two_processes(fsdp_around_the_dual_path, parts)


@pytest.mark.parametrize("name", LAYERS)
def test_from_meta_through_shards_to_a_fresh_layer(two_processes: Pair, name: str) -> None:
    two_processes(from_the_meta_device, name)
