"""Fixtures and the Hypothesis strategies that the tests share."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

# Helper modules assert too; by itself pytest rewrites only test files and this one.
pytest.register_assert_rewrite("cases", "frest_blocks", "tolerances", "transform_cases")

from skelfreq.functional import _route  # noqa: E402

settings.register_profile(
    "local", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# The tensors here are small: more threads are slower.
torch.set_num_threads(1)

# 1, 2, odd, prime, the frame counts of the field, and both sides of the FFT crossovers.
LENGTHS = (1, 2, 3, 4, 5, 7, 16, 25, 30, 31, 64, 97, 100, 120, 128, 129, 300, 512, 513)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run the tests in the random order of SEED"
    )
    parser.addoption(
        "--double", action="store_true", help="run the tests with torch.float64 as default dtype"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--double"):
        torch.set_default_dtype(torch.float64)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)


@pytest.fixture(scope="session")
def own_compile_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use an own cache of compiled code: an old one would hide a changed gradient."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
        yield


@pytest.fixture
def fresh_dynamo(own_compile_cache: None) -> Iterator[None]:
    """Forget compiled code before and after a test that compiles."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture(params=["product", "fft"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Send the transforms of every length along one of their two routes."""
    limit = 0 if request.param == "fft" else 10**9
    for name in (
        "COSINE_PRODUCT_POINTS",
        "FOURIER_PRODUCT_POINTS",
        "FILTER_FFT_POINTS",
        "FILTER_PRODUCT_POINTS",
    ):
        monkeypatch.setattr(_route, name, limit)
    return request.param


@pytest.fixture(scope="session")
def golden_path() -> Path:
    """Return the folder of stored results of other projects."""
    return Path(__file__).parent / "golden"


def load_golden(path: Path) -> dict[str, np.ndarray]:
    """Read a golden file into memory."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw a normal tensor from its own generator, the same numbers for every dtype."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


class Signal(NamedTuple):
    """A tensor and the axis to work along, as the user would name it."""

    x: Tensor
    dim: int


@st.composite
def signals(draw: st.DrawFn, even: bool = False, min_rank: int = 1) -> Signal:
    """Draw fp64 signals of rank 1 to 4 in any memory layout, along any axis."""
    rank = draw(st.integers(min_rank, 4))
    dim = draw(st.integers(0, rank - 1))
    shape = [draw(st.integers(1, 3)) for _ in range(rank)]
    shape[dim] = draw(st.sampled_from([n for n in LENGTHS if not (even and n % 2)]))
    layout = draw(st.sampled_from(["contiguous", "permuted", "strided", "expanded"]))
    seed = draw(st.integers(0, 2**16))
    if layout == "permuted":
        x = normal(*shape[::-1], seed=seed).permute(*range(rank)[::-1])
    elif layout == "strided":
        x = normal(*(2 * size for size in shape), seed=seed)
        x = x[tuple(slice(None, None, 2) for _ in shape)]
    elif layout == "expanded":
        # One row shared by every other position: no element may be written.
        x = normal(*(n if axis == dim else 1 for axis, n in enumerate(shape)), seed=seed)
        x = x.expand(shape)
    else:
        x = normal(*shape, seed=seed)
    return Signal(x, dim - rank if draw(st.booleans()) else dim)
