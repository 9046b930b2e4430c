"""Which way operations go: the table, files that may be missing, and the path of one layer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import normal
from tolerances import assert_close
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import skelfreq
from skelfreq import FreqEnhance, FreT
from skelfreq import functional as F
from skelfreq.functional import _bases, _route

PACKAGE = Path(skelfreq.__file__).parent
ROOT = Path(__file__).resolve().parents[2]


# --- The table ----------------------------------------------------------------------------------


def test_what_traces() -> None:
    x = normal(2, 3)
    seen: dict[str, str] = {"autograd": _route.watcher()}

    def ask(x: Tensor) -> Tensor:
        seen[key] = _route.watcher()
        return x * 2

    runs: dict[str, Callable[[], object]] = {
        "vmap": lambda: torch.func.vmap(ask)(x),
        "grad": lambda: torch.func.grad(lambda x: ask(x).sum())(x),
        "jvp": lambda: torch.func.jvp(ask, (x,), (x,)),
        "dual": lambda: dual(ask, x),
        "mode": lambda: counted(ask, x),
        "export": lambda: torch.export.export(Asking(ask), (x,), strict=False),
    }
    for key in runs:  # `ask` reads it
        runs[key]()
    assert seen["autograd"] == "autograd" and seen["export"] == "export"
    assert {seen[k] for k in ("vmap", "grad", "jvp", "dual", "mode")} == {"transform"}


class Asking(torch.nn.Module):
    def __init__(self, ask: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.ask = ask

    def forward(self, x: Tensor) -> Tensor:
        return self.ask(x)


def dual(function: Callable[[Tensor], Tensor], x: Tensor) -> None:
    with torch.autograd.forward_ad.dual_level():
        function(torch.autograd.forward_ad.make_dual(x, x))


def counted(function: Callable[[Tensor], Tensor], x: Tensor) -> None:
    with FlopCounterMode(display=False):
        function(x)


def test_compiler_and_export_are_distinguished(fresh_dynamo: None) -> None:
    def ask(x: Tensor) -> Tensor:
        return x + (1 if _route.watcher() == "compiler" else 0)

    assert torch.compile(ask, backend="eager", fullgraph=True)(torch.zeros(1)) == 1
    strict = torch.export.export(Asking(ask), (torch.zeros(1),), strict=True)
    assert strict.module()(torch.zeros(1)) == 0


def test_the_table_of_the_design_page_is_this_table() -> None:
    page = (ROOT / "docs" / "design.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|([^|]+)\|([^|]+)\|([^|]+)\|([^|]+)\|", page, re.MULTILINE)
    written = {name: [way.strip() for way in ways] for name, *ways in rows}
    assert written == {name: [*ways.values()] for name, ways in _route.TABLE.items()}
    order = ["autograd", "compiler", "export", "transform"]
    assert all([*ways] == order for ways in _route.TABLE.values())


THRESHOLDS = [name for name, value in vars(_route).items() if isinstance(value, int)]


def test_the_pages_give_the_thresholds() -> None:
    r = _route
    short = (
        f"*Short* is up to {r.COSINE_PRODUCT_POINTS} points for the DCT, "
        f"{r.FOURIER_PRODUCT_POINTS} for the DFT and {r.GAIN_PRODUCT_POINTS} for one gain curve. "
        f"In exported graphs and on accelerators it is up to {r.TRACED_PRODUCT_POINTS} for all"
    )
    pages = [
        ("spectral", short),
        ("spectral", f"with up to {r.FEW_TRAILING} joints the axis is moved to the end"),
        ("freq_enhance", f"for n up to {r.GAIN_PRODUCT_POINTS} and at least"),
        (
            "frest",
            f"FFTs from {r.FILTER_FFT_POINTS} frames on (where T has no prime factor above "
            f"5; else from {r.FILTER_PRODUCT_POINTS + 1})",
        ),
        ("design", f"Compiling a DCT of more than {r.COSINE_PRODUCT_POINTS} points"),
    ]
    for page, text in pages:
        written = " ".join((ROOT / "docs" / f"{page}.md").read_text().split())
        assert text in written, page


def test_every_threshold_names_its_benchmark() -> None:
    lines = Path(_route.__file__).read_text().splitlines()
    assert len(THRESHOLDS) == 9
    for name in THRESHOLDS:
        (at,) = (i for i, line in enumerate(lines) if re.match(rf"[A-Z_, ]*\b{name}\b.* = ", line))
        comments = [line for line in lines[max(at - 5, 0) : at] if line.startswith("#")]
        assert comments, name
    elsewhere = [
        path.name
        for path in sorted((PACKAGE / "functional").glob("*.py"))
        if path.name not in ("_route.py", "_bases.py")
        and re.search(r"^[A-Z_]+(, [A-Z_]+)* = \d[\d *]*\d", path.read_text(), re.MULTILINE)
    ]
    assert elsewhere == []


# --- Without the fast files -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_fast_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package, without the files of fast ways."""
    folder = tmp_path_factory.mktemp("plain")
    ignore = shutil.ignore_patterns("__pycache__", "_*_fast.py")
    shutil.copytree(PACKAGE, folder / "skelfreq", ignore=ignore)
    return folder


def run_there(folder: Path, *command: str) -> str:
    """Run Python in ``folder`` with the copy; return what it printed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "OMP_NUM_THREADS": "1",
            "PYTHONOPTIMIZE": "",  # programs assert
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_nothing_is_fast_without_the_files(without_fast_files: Path) -> None:
    program = "import skelfreq.functional._route as r; print(r.__file__, sorted(r.PRESENT))"
    printed = run_there(without_fast_files, "-c", program)
    assert printed.startswith(str(without_fast_files)) and printed.rstrip().endswith("[]")
    assert {f"_{name}_fast.py" for name in _route.TABLE} == {
        path.name for path in (PACKAGE / "functional").glob("_*_fast.py")
    }


def test_contracts_hold_without_the_fast_files(without_fast_files: Path) -> None:
    tests = [str(ROOT / "tests" / "library" / f"test_{name}.py") for name in ("contracts", "meta")]
    options = ["-q", "-p", "no:cacheprovider", "-x"]
    # Compilers and exports take long, and mostly use plain operations.
    chosen = [
        "-k",
        "not compile and not export and not onnx and not inductor and not forbidden_line",
    ]
    options += ["-o", f"pythonpath={without_fast_files} {ROOT / 'tests'}", f"--rootdir={ROOT}"]
    options += ["-c", str(ROOT / "pyproject.toml")]
    printed = run_there(without_fast_files, "-m", "pytest", *options, *chosen, *tests)
    assert re.search(r"\b[4-9]\d\d passed", printed), printed[-300:]


@pytest.mark.parametrize("missing", ["cosine", "gain", "filter", "decoupling"])
def test_each_fast_file_can_be_deleted_alone(missing: str, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "skelfreq", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "skelfreq" / "functional" / f"_{missing}_fast.py").unlink()
    program = (
        "import torch, skelfreq\n"
        "from skelfreq.functional import _route, apply_gain, dct, idct\n"
        "_route.PIECE = 1\n"
        f"assert {missing!r} not in _route.PRESENT\n"
        "x = torch.randn(9, 4, 700, 3, dtype=torch.float64).requires_grad_()\n"
        "assert torch.allclose(idct(dct(x, dim=2), dim=2), x)\n"
        "gain = torch.ones(700, dtype=torch.float64).requires_grad_()\n"
        "y = apply_gain(x, gain, dim=2) + skelfreq.FreST(4).double()(x)\n"
        "y.square().sum().backward()\n"
        "assert x.grad.isfinite().all() and gain.grad.isfinite().all()\n"
    )
    run_there(tmp_path, "-c", program)


# --- The path of one layer ----------------------------------------------------------------------

# Every file may call those before it, and itself.
ORDER = [
    "_checks", "_route", "_axis", "_bases", "_fourier_plain", "_cosine_plain", "_filter_plain",
    "_decoupling_plain", "_cosine_fast", "_gain_fast", "_filter_fast", "_decoupling_fast",
    "decoupling", "fourier", "cosine", "gains", "filters", "nn.decoupling", "nn.adaptive",
]  # fmt: skip


def visited(call: Callable[[], object]) -> list[tuple[str, str]]:
    """Return which file of the package called which, callers first."""

    def name(frame: object) -> str | None:
        path = Path(frame.f_code.co_filename)
        if PACKAGE not in path.parents:
            return None
        # Functions that only pass arguments on do not count.
        if (path.stem, frame.f_code.co_name) == ("_checks", "call"):
            return None
        return f"nn.{path.stem}" if path.parent.name == "nn" else path.stem

    calls: list[tuple[str, str]] = []

    def watch(frame: object, event: str, argument: object) -> None:
        if event != "call" or (callee := name(frame)) is None:
            return
        caller = frame.f_back
        while caller is not None and name(caller) is None:
            caller = caller.f_back
        if caller is not None:
            calls.append((name(caller), callee))

    call()  # fill the caches
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("gradients", [False, True])
def test_the_path_from_the_layer_to_the_arithmetic(gradients: bool) -> None:
    layer, x = FreT(4, decouple=False), normal(2, 4, 12, 5, dtype=torch.float32)
    with torch.set_grad_enabled(gradients):
        calls = visited(lambda: layer(x))
    files = {file for pair in calls for file in pair}
    assert files == {"nn.adaptive", "_checks", "filters", "_route", "_filter_fast", "_filter_plain"}
    for caller, callee in calls:
        assert ORDER.index(callee) <= ORDER.index(caller), f"{caller} calls {callee}"


def test_the_decoupling_adds_its_files() -> None:
    layer, x = FreT(4), normal(8, 4, 12, 5, dtype=torch.float32)
    calls = visited(lambda: layer(x))
    files = {file for pair in calls for file in pair}
    added = {"nn.decoupling", "decoupling", "_decoupling_plain", "_decoupling_fast"}
    assert added <= files and len(files) == 6 + len(added)
    for caller, callee in calls:
        assert ORDER.index(callee) <= ORDER.index(caller), f"{caller} calls {callee}"


# --- Methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [7, 30, 300, 600])
@pytest.mark.parametrize("rows", [2, 2000])
def test_methods_agree_with_their_gradients(n: int, rows: int) -> None:
    results = []
    for method in ("auto", "matmul", "fft", "torch-dct"):
        x, gain = normal(rows, n).requires_grad_(), normal(n, seed=1).requires_grad_()
        y = F.apply_gain(x, gain, dim=1, method=method)
        z = F.idct(F.dct(x, dim=1, method=method), dim=1, method=method)
        results.append([y, z, *torch.autograd.grad((y * z).sum(), (x, gain))])
    for other in results[1:]:
        for got, value in zip(other, results[0], strict=True):
            assert_close(got, value)


def test_torch_dct_is_the_method_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch_dct

    calls: list[str] = []
    for name in ("dct", "idct"):
        real = getattr(torch_dct, name)
        monkeypatch.setattr(
            torch_dct, name, lambda *a, n=name, f=real, **o: calls.append(n) or f(*a, **o)
        )
    x, gain = normal(2, 3, 30), normal(30)
    F.apply_gain(x, gain, dim=2, method="torch-dct")
    assert calls == ["dct", "idct"]
    F.dct(x, dim=2)
    F.dct(normal(2, 600), dim=1)
    F.dct(normal(2, 600), dim=1, method="fft")
    assert calls == ["dct", "idct"]
    # The plain way of a long axis, here for vmap.
    torch.func.vmap(lambda x: F.dct(x, dim=1))(normal(2, 2, 600))
    assert calls == ["dct", "idct", "dct"]
    with pytest.raises(ValueError, match="'auto' or 'matmul' with lengths, got 'torch-dct'"):
        F.apply_gain(x, gain, dim=2, lengths=torch.tensor([3, 30]), method="torch-dct")


def test_torch_dct_is_imported_when_it_is_used() -> None:
    program = (
        "import sys, torch, skelfreq.functional as F\n"
        "F.dct(torch.ones(3, 600), dim=1); assert 'torch_dct' not in sys.modules\n"
        "F.dct(torch.ones(3, 6), dim=1, method='torch-dct'); assert 'torch_dct' in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONOPTIMIZE": ""}  # the program asserts
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=environment)


def test_empty_and_half_precision_tensors_take_every_method() -> None:
    for method in ("auto", "matmul", "fft", "torch-dct"):
        assert F.dct(torch.zeros(0, 600), dim=1, method=method).shape == (0, 600)
        half = F.dct(torch.ones(2, 600, dtype=torch.bfloat16), dim=1, method=method)
        assert half.dtype == torch.bfloat16 and half[0, 0] == 24.5


def test_a_dynamic_axis_takes_the_product(fresh_dynamo: None) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    def along_the_last(x: Tensor) -> Tensor:
        return F.dct(x, dim=-1)

    compiled = torch.compile(along_the_last, backend=keep, dynamic=True, fullgraph=True)
    for n in (600, 700, 30):
        assert_close(compiled(normal(3, n)), F.dct(normal(3, n), dim=-1))
    assert len(graphs) == 1  # one graph for all lengths
    compiled = torch.compile(along_the_last, backend=keep, dynamic=False, fullgraph=True)
    compiled(normal(3, 600))
    called = [node.target for node in graphs[-1].graph.nodes]
    assert torch.ops.skelfreq.long_cosine_transform.default in called


# --- The cache ----------------------------------------------------------------------------------


def test_the_cache_is_bounded_by_bytes() -> None:
    _bases.CACHE.clear()
    for n in range(1000, 1040):
        F.dct(torch.ones(1, n), dim=1, method="matmul")
        held = sum(value.nbytes for value in _bases.CACHE.values())
        assert held == _bases.CACHE.bytes <= 64 * 2**20
    assert len(_bases.CACHE) == 15  # of 4 MB each
    F.dct(torch.ones(1, 5000), dim=1, method="matmul")  # 95 MB: not cached
    assert len(_bases.CACHE) == 15
    _bases.CACHE.clear()
    assert _bases.CACHE.bytes == 0


def test_few_joints_along_time_equal_the_last_axis() -> None:
    for joints in (1, 2, 5, 8, 9):
        x = normal(3, 4, 48, joints)
        moved = F.dct(x.movedim(2, -1).contiguous(), dim=-1).movedim(-1, 2)
        got = F.dct(x, dim=2)
        assert_close(got, moved)
        assert got.is_contiguous()


def test_flop_counters_see_the_operations() -> None:
    layer, x = FreqEnhance(64, split=20), normal(2, 3, 64, 25, dtype=torch.float32)
    with FlopCounterMode(display=False) as counter:
        layer(x)
        FreT(3)(x)
    assert counter.get_total_flops() > 0
