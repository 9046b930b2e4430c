"""What every layer must support, one table row per layer and configuration."""

from __future__ import annotations

import ast
import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from cases import (
    CASES,
    CORE,
    JOINTS,
    WIDTH,
    Case,
    build,
    every,
    features,
    run,
    same,
    with_parameters,
)
from conftest import normal
from tolerances import AUTOCAST, GOLDEN, RUNTIME, assert_close, relative_error
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim
from torch.utils._pytree import tree_leaves

import skelfreq
from skelfreq import (
    SSFRM,
    BandPooling,
    EMADualPath,
    FrameDecoupling,
    FreqEnhance,
    FreST,
    FreT,
    SpectralFilter,
    TubeMasking,
    cosine_momentum,
)
from skelfreq import functional as F

# --- Copies and state ---------------------------------------------------------------------------


@every
def test_deepcopy_and_pickle(case: Case) -> None:
    model, inputs = build(case), case.inputs(3)
    expected = run(case, model, inputs)
    same(run(case, copy.deepcopy(model), inputs), expected)
    same(run(case, pickle.loads(pickle.dumps(model)), inputs), expected)


def test_a_scheduled_dual_path_can_be_copied_and_pickled() -> None:
    dual = EMADualPath(SSFRM(WIDTH), schedule=cosine_momentum(0.9, 10))
    for other in (copy.deepcopy(dual), pickle.loads(pickle.dumps(dual))):
        assert other.schedule(3) == dual.schedule(3)
        other.update()
        assert other.num_updates == 1 and dual.num_updates == 0


@every
def test_state_dict_round_trip(case: Case) -> None:
    model, inputs = build(case), case.inputs(3)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        other = case.build().eval().float()
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    same(run(case, other, inputs), run(case, model, inputs))


@every
def test_state_holds_real_parameters_only(case: Case) -> None:
    model = build(case)
    run(case, model, case.inputs(3))
    tensors = {name for name, _ in model.named_parameters()}
    state = {name for name in model.state_dict() if not name.endswith("_extra_state")}
    assert state == tensors
    # Buffers computed from the arguments are allowed as integers, which no cast rounds.
    assert not any(b.is_floating_point() or b.is_complex() for b in model.buffers())
    assert not any(p.is_complex() for p in model.parameters())


# --- Dtypes -------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtype_follows(case: Case, dtype: torch.dtype) -> None:
    reference = build(case).double()
    model = copy.deepcopy(reference).to(dtype)
    results = run(case, model, case.inputs(3, dtype))
    expected = run(case, reference, case.inputs(3, torch.float64))
    # A dozen layers, each rounding its output to ``dtype``.
    tolerance = 12 * torch.finfo(dtype).eps
    for got, value in zip(results, expected, strict=True):
        assert got.dtype == (dtype if got.is_floating_point() else value.dtype)
        assert_close(got, value, tolerance)


@every
def test_single_precision_error(case: Case) -> None:
    model = build(case)
    expected = run(case, copy.deepcopy(model).double(), case.inputs(3, torch.float64))
    for got, value in zip(run(case, model, case.inputs(3)), expected, strict=True):
        assert_close(got, value, RUNTIME)


@every
def test_cpu_autocast(case: Case) -> None:
    model, inputs = build(case), case.inputs(3)
    expected = run(case, model, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = run(case, model, inputs)
    for got, value in zip(results, expected, strict=True):
        assert got.dtype in (value.dtype, torch.bfloat16)
        assert relative_error(got, value) < AUTOCAST
    leaves = [p for p in model.parameters() if p.requires_grad]
    if leaves:
        sum(r.float().sum() for r in results if r.requires_grad).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in leaves)


# --- Purity -------------------------------------------------------------------------------------


def attributes(model: nn.Module) -> dict[str, dict[str, Any]]:
    return {name: dict(vars(module)) for name, module in model.named_modules()}


@every
def test_forward_changes_neither_inputs_nor_state(
    case: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    model, inputs = build(case).train(), case.inputs(3)
    kept, before, rng = [x.clone() for x in inputs], attributes(model), torch.get_rng_state()
    if case.random:
        model(*inputs, generator=torch.Generator().manual_seed(0))
    else:
        model(*inputs)
    assert torch.equal(torch.get_rng_state(), rng)
    same(list(inputs), kept)
    for name, values in attributes(model).items():
        assert values.keys() == before[name].keys()
        assert all(values[key] is before[name][key] for key in values)
    assert capfd.readouterr() == ("", "")


def test_building_draws_only_the_weights() -> None:
    rng = torch.get_rng_state()
    TubeMasking()
    online = nn.Identity()
    EMADualPath(online)
    assert torch.equal(torch.get_rng_state(), rng)


@every
def test_non_contiguous_and_expanded_inputs(case: Case) -> None:
    model, inputs = build(case), case.inputs(3)
    expected = run(case, model, inputs)
    strided = tuple(
        torch.stack([x.transpose(0, 1)] * 2, -1)[..., 0].transpose(0, 1) for x in inputs
    )
    assert not any(x.is_contiguous() for x in strided)
    same(run(case, model, strided), expected, RUNTIME)
    one = case.inputs(1)
    expanded = tuple(x.expand(3, *x.shape[1:]) for x in one)
    repeated = tuple(x.repeat(3, *[1] * (x.ndim - 1)) for x in one)
    same(run(case, model, expanded), run(case, model, repeated), RUNTIME)


@every
def test_empty_batch_and_single_sample(case: Case) -> None:
    model = build(case)
    for n in (0, 1):
        results = run(case, model, case.inputs(n))
        assert all(r.shape[0] == n for r in results)


@every
def test_repr_is_short_and_names_the_class(case: Case) -> None:
    model = build(case)
    assert repr(model).startswith(type(model).__name__)


# --- Compilation and export ---------------------------------------------------------------------


@every
def test_compiles_as_one_graph_for_every_batch_size(case: Case, fresh_dynamo: None) -> None:
    model = build(case)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    for n in (3, 5, 8):
        inputs = case.inputs(n)
        for x in inputs:
            torch._dynamo.mark_dynamic(x, 0)
        results = run(case, compiled, inputs)
        if case.random:
            assert all(r.shape[0] == n for r in results)
            assert bool((results[0].sum(-1) == model.num_masked).all())
        else:
            same(results, run(case, model, inputs), RUNTIME)
    assert counter.frame_count == 1


@with_parameters
def test_compiled_gradients(case: Case, fresh_dynamo: None) -> None:
    model, inputs = build(case), case.inputs(3)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    leaves = [p for p in model.parameters() if p.requires_grad] or [inputs[0].requires_grad_()]
    gradients = []
    for forward in (model, compiled):
        loss = sum(r.square().sum() for r in run(case, forward, inputs) if r.requires_grad)
        gradients.append(list(torch.autograd.grad(loss, leaves)))
    same(gradients[1], gradients[0], RUNTIME)


# Under -O torch 2.13 alone gives wrong gradients of
# lambda x, y: where(mask, (x + y - s) ** 2, 0).mean() + x.abs().mean() + (y ** 2).mean().
@pytest.mark.skipif(sys.flags.optimize > 0, reason="torch's inductor is wrong under python -O")
def test_inductor_compiles_a_training_step(fresh_dynamo: None) -> None:
    masking, model = TubeMasking(JOINTS, 0.6, 2), build(CASES["ssfrm_out_frames"])

    def step(x: Tensor, signal: Tensor, mask: Tensor) -> Tensor:
        bands = model(x)
        reconstruction = F.Reconstruction(bands.low + bands.high, bands)
        return F.fd_mae_loss(reconstruction, F.motion(signal), cutoff=4, online_mask=mask).total

    x, signal = *features(3), normal(3, 3, 20, JOINTS, dtype=torch.float32)
    mask = masking((3, 20, JOINTS, 1), generator=torch.Generator().manual_seed(0)).mask
    leaves = list(model.parameters())
    expected = step(x, signal, mask)
    result = torch.compile(step, fullgraph=True)(x, signal, mask)
    assert_close(result, expected, RUNTIME)
    same(
        list(torch.autograd.grad(result, leaves)),
        list(torch.autograd.grad(expected, leaves)),
        10 * RUNTIME,
    )


def dynamic_shapes(
    case: Case, inputs: tuple[Tensor, ...], steps: bool, shortest: int = 1
) -> tuple[dict, ...]:
    batch, frames = Dim("batch", min=1), Dim("steps", min=shortest, max=60)
    axes = {0: batch, case.frames_axis: frames} if steps else {0: batch}
    return tuple(dict(axes) for _ in inputs)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("ssfrm", True),
        ("ssfrm_own_rate", True),
        ("ssfrm_out_frames", False),
        ("ema", True),
        ("tube_masking", False),
        ("mask_and_restore", False),
        ("spectral_filter", True),
        ("spectral_filter_joints", True),
        ("fres", True),
        ("fret", False),
        ("fret_bare", True),
        ("frest", True),
        ("freq_enhance", False),
        ("freq_enhance_free", False),
        ("freq_enhance_fixed", False),
        ("freq_enhance_joints", True),
        ("freq_enhance_released", True),
        ("band_pooling", True),
        ("band_pooling_hertz", True),
        ("band_pooling_joints", True),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_exports(name: str, steps: bool, strict: bool, fresh_dynamo: None) -> None:
    case = CASES[name]
    model, inputs = build(case), case.inputs(3)
    program = torch.export.export(
        model, inputs, dynamic_shapes=dynamic_shapes(case, inputs, steps), strict=strict
    ).module()
    for n in (3, 7):
        other = case.inputs(n)
        if steps:
            other = tuple(torch.cat([x, x], case.frames_axis) for x in other)
        results = run(case, program, other)
        if case.random:
            assert bool((results[0].sum(-1) == model.num_masked).all())
        else:
            same(results, run(case, model, other), RUNTIME)


@every
def test_exported_programs_can_be_saved_and_loaded(case: Case) -> None:
    model, inputs = build(case), case.inputs(3)
    file = io.BytesIO()
    torch.export.save(torch.export.export(model, inputs), file)
    file.seek(0)
    program = torch.export.load(file).module()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        loaded = program(*inputs)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        expected = model(*inputs)
    assert type(loaded) is type(expected)
    if not case.random:
        same(tree_leaves(loaded), tree_leaves(expected), RUNTIME)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        FreT(WIDTH),
        FreST(WIDTH),
        SpectralFilter(WIDTH),
        FrameDecoupling(WIDTH),
        BandPooling(),
        BandPooling((0.5, 3), frame_rate=30),
    ],
    ids=lambda layer: repr(layer).partition("\n")[0],
)
def test_exports_lengths_with_a_dynamic_number_of_frames(
    layer: nn.Module, strict: bool, fresh_dynamo: None
) -> None:
    batch, frames = Dim("batch", min=1), Dim("t", min=2, max=2000)
    shapes = {0: batch, 2: frames}, {0: batch}
    inputs = normal(3, WIDTH, 12, JOINTS, dtype=torch.float32), torch.tensor([12, 7, 0])
    program = torch.export.export(layer, inputs, dynamic_shapes=shapes, strict=strict).module()
    for n, t in ((3, 12), (2, 31), (1, 600)):
        x = normal(n, WIDTH, t, JOINTS, dtype=torch.float32)
        lengths = torch.arange(t, t - n, -1)
        assert_close(program(x, lengths), layer(x, lengths), RUNTIME)


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "name",
    ["dct", "dct_unscaled", "dct_keep", "idct", "idct_size", "apply_gain", "split_bands",
     "resample", "resample_up", "rdft", "motion", "frequency_loss", "spectral_mask",
     "spectral_filter", "soft_filter", "enhance", "decouple", "band_pool", "band_pool_hertz"],
)  # fmt: skip
def test_functions_export_with_dynamic_frames(name: str, strict: bool, fresh_dynamo: None) -> None:
    """Frames below and above the sizes inside the functions, and across every threshold."""
    shapes = ({0: Dim("batch", min=1), 2: Dim("t", min=4, max=2000)},)
    x = normal(2, 3, 12, 4)
    exported = torch.export.export(Applied(CORE[name]), (x,), dynamic_shapes=shapes, strict=strict)
    for n, frames in ((2, 12), (3, 31), (1, 600)):
        other = normal(n, 3, frames, 4, seed=n)
        results = tree_leaves(exported.module()(other))
        for got, value in zip(results, tree_leaves(CORE[name](other)), strict=True):
            assert_close(got, value, GOLDEN)


def test_exports_resampling_to_a_dynamic_number_of_steps(fresh_dynamo: None) -> None:
    case = CASES["ssfrm_out_frames"]
    model, inputs = build(case), case.inputs(3)
    # Five steps and more hold the 20 frames it resamples to: it always cuts coefficients.
    shapes = dynamic_shapes(case, inputs, steps=True, shortest=5)
    program = torch.export.export(model, inputs, dynamic_shapes=shapes).module()
    longer = tuple(torch.cat([x, x, x], 2) for x in inputs)
    same(run(case, program, longer), run(case, model, longer), RUNTIME)


# torch's exporter uses one of its own deprecated names.
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")
# The inputs of a mask share their batch axis; the exporter names it once.
@pytest.mark.filterwarnings("ignore:# The axis name. batch will not be used:UserWarning")
@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("ssfrm", True),
        ("ssfrm_own_rate", True),
        ("ssfrm_out_frames", False),
        ("mask_and_restore", False),
        ("spectral_filter", True),
        ("spectral_filter_joints", True),
        ("fres", True),
        ("fret", False),
        ("fret_bare", True),
        ("frest", True),
        ("freq_enhance", False),
        ("freq_enhance_free", False),
        ("freq_enhance_fixed", False),
        ("freq_enhance_joints", True),
        ("freq_enhance_released", True),
        ("band_pooling", True),
        ("band_pooling_hertz", True),
        ("band_pooling_joints", True),
    ],
)
def test_onnx(name: str, steps: bool) -> None:
    case = CASES[name]
    model, inputs = build(case), case.inputs(3)
    program = torch.onnx.export(
        model,
        inputs,
        dynamo=True,
        dynamic_shapes=dynamic_shapes(case, inputs, steps),
        verbose=False,
    )
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]
    for n in (3, 7):
        other = case.inputs(n)
        feed = dict(zip(names, (x.numpy() for x in other), strict=True))
        outputs = session.run(None, feed)
        for got, value in zip(outputs, run(case, model, other), strict=True):
            error = np.abs(got - value.detach().numpy()).max()
            assert error <= RUNTIME


@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.:FutureWarning")
@pytest.mark.parametrize(
    "model", [SpectralFilter(3), FreqEnhance(300)], ids=["spectral_filter", "freq_enhance"]
)
def test_onnx_of_a_clip_that_eager_code_transforms_by_fft(model: nn.Module) -> None:
    x = normal(2, 3, 300, 25, dtype=torch.float32)
    program = torch.onnx.export(model.eval(), (x,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert_close(torch.from_numpy(got), model(x), RUNTIME)


# --- The functional core ------------------------------------------------------------------------


@pytest.mark.parametrize("name", CORE)
def test_core_compiles_for_every_length(name: str, fresh_dynamo: None) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(CORE[name], backend=counter, fullgraph=True, dynamic=True)
    for n, frames in ((2, 8), (3, 30), (5, 120)):
        x = normal(n, 3, frames, 4, seed=n)
        for got, value in zip(tree_leaves(compiled(x)), tree_leaves(CORE[name](x)), strict=True):
            assert_close(got, value)
    assert counter.frame_count == 1


@pytest.mark.parametrize("frames", [30, 600])
@pytest.mark.parametrize("name", CORE)
def test_core_under_vmap_and_jvp(name: str, frames: int) -> None:
    function, x = CORE[name], normal(2, 2, 3, frames, 4)
    alone = [tree_leaves(function(sample)) for sample in x]
    mapped = tree_leaves(torch.func.vmap(function)(x))
    for got, *values in zip(mapped, *alone, strict=True):
        assert_close(got, torch.stack(values), GOLDEN)
    tangent = normal(*x[0].shape, seed=1)
    leaves = lambda x: tree_leaves(function(x))  # noqa: E731
    forward = torch.func.jvp(leaves, (x[0],), (tangent,))[1]
    value, pull = torch.func.vjp(leaves, x[0])
    grad_output = [normal(*part.shape, seed=2 + index) for index, part in enumerate(value)]
    along = sum((a * b).sum() for a, b in zip(grad_output, forward, strict=True))
    assert_close(along, (pull(grad_output)[0] * tangent).sum(), GOLDEN)


@pytest.mark.parametrize("frames", [8, 30, 120, 300, 512])
# A hard mask has no rounding error, and a mean of logarithms near 0 may lose all digits.
@pytest.mark.parametrize("name", [n for n in CORE if n not in ("spectral_mask", "log_amplitude")])
def test_core_single_precision_error(name: str, frames: int) -> None:
    x = normal(2, 3, frames, 4, dtype=torch.float32)
    expected = tree_leaves(CORE[name](x.double()))
    for got, value in zip(tree_leaves(CORE[name](x)), expected, strict=True):
        assert got.dtype == torch.float32
        assert_close(got, value)


LONG = ["dct", "dct_unscaled", "idct", "apply_gain", "split_bands", "resample", "frequency_loss"]
LONG += ["rdft", "spectral_mask", "spectral_filter"]


@pytest.mark.parametrize("name", LONG)
def test_core_compiles_for_ffts(name: str, fresh_dynamo: None) -> None:
    compiled = torch.compile(CORE[name], backend="aot_eager", fullgraph=True)
    x = normal(2, 3, 600, 4)
    for got, value in zip(tree_leaves(compiled(x)), tree_leaves(CORE[name](x)), strict=True):
        assert_close(got, value)


# Of this size torch 2.13 compiled wrong gradients for an FFT inside, or crashed.
@pytest.mark.parametrize("function", [F.dct, F.idct], ids=lambda f: f.__name__)
def test_inductor_trains_through_long_transforms(function: Callable, fresh_dynamo: None) -> None:
    x, grad_output = (normal(26, 3, 600, 25, seed=seed, dtype=torch.float32) for seed in (1, 2))
    results = []
    for forward in (function, torch.compile(function, fullgraph=True)):
        leaf = x.clone().requires_grad_()
        out = forward(leaf, dim=2)
        results.append([out, *torch.autograd.grad(out, leaf, grad_output)])
    for got, value in zip(*results, strict=True):
        assert_close(got, value, RUNTIME)


@pytest.mark.parametrize("function", [F.dct, F.idct, F.motion], ids=lambda f: f.__name__)
def test_core_compiles_with_lengths(function: Callable, fresh_dynamo: None) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(
        lambda x, lengths: function(x, dim=2, lengths=lengths),
        backend=counter,
        fullgraph=True,
        dynamic=True,
    )
    for n, frames in ((2, 8), (3, 30)):
        x, lengths = normal(n, 3, frames, 4), torch.arange(frames - n, frames)
        assert_close(compiled(x, lengths), function(x, dim=2, lengths=lengths))
    assert counter.frame_count == 1


def test_gain_compiles(fresh_dynamo: None) -> None:
    along_time = partial(F.apply_gain, dim=2)
    compiled = torch.compile(along_time, backend="aot_eager", fullgraph=True, dynamic=True)
    for frames in (8, 30):
        x, gain = normal(2, 3, frames, 4), normal(frames, seed=1)
        assert_close(compiled(x, gain), F.apply_gain(x, gain, dim=2))
        curves = normal(3, 1, frames, seed=2)
        assert_close(compiled(x, curves), F.apply_gain(x, curves, dim=2))


def test_tube_mask_with_a_dynamic_number_of_steps(fresh_dynamo: None) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    layer = TubeMasking(JOINTS, 0.6, 2)
    compiled = torch.compile(layer, backend=counter, fullgraph=True, dynamic=True)
    for n, steps in ((2, 7), (3, 9), (4, 13), (5, 8), (6, 10)):
        drawn = compiled(torch.zeros(n, steps, JOINTS, WIDTH))
        assert drawn.mask.shape == (n, steps, JOINTS)
        assert bool((drawn.mask.sum(-1) == 3).all())
        assert torch.equal(drawn.ids_keep, (~drawn.mask).flatten(1).nonzero()[:, 1].view(n, -1))
    # A multiple of the tube length is compiled separately: nothing is cut off.
    assert counter.frame_count <= 2


# --- The package --------------------------------------------------------------------------------

SOURCES = sorted(Path(skelfreq.__file__).parent.rglob("*.py"))
FORBIDDEN_CALLS = {"print", "breakpoint", "input", "exit", "eval", "exec"}
FORBIDDEN_METHODS = {"cuda", "item", "tolist", "manual_seed", "set_default_dtype"}
# Readers work on numpy arrays; the unpickler and the writer of hostile samples know pickles.
NUMPY_METHODS = {"item", "tolist"}
DATA_IMPORTS = {
    "data/pickles.py": {"pickle"},
    "data/fuzzing/pickles.py": {"pickle"},
    "data/fuzzing/samples.py": {"pickle"},
    "data/matfile.py": {"scipy"},
    "data/fuzzing/mat.py": {"scipy"},
    "data/fuzz.py": {"scipy"},
}
FORBIDDEN_PATHS = {"torch.load", "torch.save", "torch.compile", "warnings.filterwarnings"}
FORBIDDEN_IMPORTS = {"pickle", "marshal", "dill", "joblib", "scipy"}


def lapses(tree: ast.AST, name: str = "") -> list[str]:
    methods = FORBIDDEN_METHODS - (NUMPY_METHODS if name.startswith("data/") else set())
    calls = FORBIDDEN_CALLS - ({"print"} if name.endswith("__main__.py") else set())
    imports = FORBIDDEN_IMPORTS - DATA_IMPORTS.get(name, set())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            found.append(f"{node.lineno}: assert")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            is_method = isinstance(node.func, ast.Attribute)
            if (
                (isinstance(node.func, ast.Name) and called in calls)
                or (is_method and node.func.attr in methods)
                or called in FORBIDDEN_PATHS
            ):
                found.append(f"{node.lineno}: {called}()")
        elif isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            found += [f"{node.lineno}: import {name}" for name in names & imports]
        elif isinstance(node, ast.ImportFrom) and node.module:
            root = node.module.split(".")[0]
            found += [f"{node.lineno}: from {root}"] if root in imports else []
    return found


def name_of(path: Path) -> str:
    return path.relative_to(Path(skelfreq.__file__).parent).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_source_has_no_forbidden_line(path: Path) -> None:
    assert not lapses(ast.parse(path.read_text()), name_of(path))


@pytest.mark.parametrize(
    "line",
    ["print(1)", "x.cuda()", "x.sum().item()", "torch.load(f)", "import pickle", "assert x",
     "from pickle import loads", "torch.manual_seed(0)"],
)  # fmt: skip
def test_forbidden_lines_are_found(line: str) -> None:
    assert lapses(ast.parse(f"def f(x):\n    {line}\n"))


def test_import_is_silent_and_changes_nothing() -> None:
    program = (
        "import torch, warnings, random, sys\n"
        "filters = list(warnings.filters)\n"
        "before = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()\n"
        "import skelfreq\n"
        "after = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()\n"
        "ok = torch.equal(before[0], after[0]) and before[1:] == after[1:]\n"
        "ok = ok and filters == list(warnings.filters)\n"
        "sys.exit(0 if ok else 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(skelfreq.__file__).parents[1],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("module", [skelfreq, F, skelfreq.nn], ids=lambda m: m.__name__)
def test_public_names_exist_and_are_documented(module: Any) -> None:
    for name in module.__all__:
        value = getattr(module, name)
        assert name == "__version__" or value.__doc__, name
