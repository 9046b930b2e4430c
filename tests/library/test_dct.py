"""The DCT-II and its inverse: laws, references, padding, precision, transforms, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from conftest import Signal, load_golden, normal, signals
from hypothesis import given
from hypothesis import strategies as st
from tolerances import GOLDEN, TOLERANCE, assert_close, assert_rounded
from torch._subclasses.fake_tensor import FakeTensorMode

from skelfreq.functional import (
    _bases,
    _route,
    apply_gain,
    dct,
    dct_matrix,
    idct,
    resample,
    split_bands,
)

NORMS = ("ortho", None, "backward")
norms = st.sampled_from(NORMS)


def scipy_dct(x: torch.Tensor, dim: int = -1, norm: str | None = "ortho") -> np.ndarray:
    return scipy.fft.dct(x.numpy(), type=2, axis=dim, norm=norm)


def scipy_idct(x: torch.Tensor, dim: int = -1, norm: str | None = "ortho") -> np.ndarray:
    return scipy.fft.idct(x.numpy(), type=2, axis=dim, norm=norm)


# --- Laws ---------------------------------------------------------------------------------------


@given(signals(), norms)
def test_inverse_undoes_the_transform(signal: Signal, norm: str | None) -> None:
    x, dim = signal
    assert_close(idct(dct(x, dim=dim, norm=norm), dim=dim, norm=norm), x)
    assert_close(dct(idct(x, dim=dim, norm=norm), dim=dim, norm=norm), x)


@given(signals())
def test_parseval(signal: Signal) -> None:
    x, dim = signal
    assert_close(dct(x, dim=dim).square().sum(dim), x.square().sum(dim))


@given(signals(), norms, st.floats(-3, 3))
def test_is_linear(signal: Signal, norm: str | None, factor: float) -> None:
    x, dim = signal
    other = normal(*x.shape, seed=1)
    assert_close(
        dct(x + factor * other, dim=dim, norm=norm),
        dct(x, dim=dim, norm=norm) + factor * dct(other, dim=dim, norm=norm),
    )


def test_constant_has_only_the_first_coefficient() -> None:
    spectrum = dct(torch.full((2, 25), 3.0, dtype=torch.float64), dim=-1)
    assert_close(spectrum[:, 0], torch.full((2,), 15.0))
    assert float(spectrum[:, 1:].abs().max()) < TOLERANCE[torch.float64]


# --- References ---------------------------------------------------------------------------------


@given(signals(), norms)
def test_equals_scipy_along_any_axis(signal: Signal, norm: str | None) -> None:
    x, dim = signal
    assert_close(dct(x, dim=dim, norm=norm), scipy_dct(x, dim, norm))
    assert_close(idct(x, dim=dim, norm=norm), scipy_idct(x, dim, norm))


@pytest.mark.parametrize("norm", ["ortho", None])
def test_equals_scipy_at_every_length(norm: str | None) -> None:
    for n in (*range(1, 301), 512, 1023, 8192):
        x = normal(2, n, seed=n)
        assert_close(dct(x, norm=norm, dim=-1), scipy_dct(x, norm=norm))
        assert_close(idct(x, norm=norm, dim=-1), scipy_idct(x, norm=norm))


def test_equals_stored_scipy(golden_path: Path) -> None:
    golden = load_golden(golden_path / "scipy_dct.npz")
    for n in golden["ns"]:
        x = torch.from_numpy(golden[f"n{n}_x"])
        for name, norm in (("none", None), ("ortho", "ortho")):
            assert_close(dct(x, norm=norm, dim=-1), golden[f"n{n}_dct2_{name}"], GOLDEN)
            assert_close(idct(x, norm=norm, dim=-1), golden[f"n{n}_idct2_{name}"], GOLDEN)


@pytest.mark.parametrize("n", [1, 2, 25, 31, 64, 120, 300])
def test_both_routes_equal_scipy(route: str, n: int) -> None:
    x = normal(2, n, 3, seed=n)
    for norm in NORMS:
        assert_close(dct(x, dim=1, norm=norm), scipy_dct(x, 1, norm))
        assert_close(idct(x, dim=1, norm=norm), scipy_idct(x, 1, norm))


@pytest.mark.parametrize("shape", [(2, 3, 60, 5), (60, 2), (2, 60)])
def test_routes_agree_everywhere_with_their_gradients(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    dim = shape.index(60)
    gain = normal(60, seed=3).requires_grad_()
    functions = (
        lambda x: dct(x, dim=dim, norm=None),
        lambda x: idct(x, dim=dim, norm=None),
        lambda x: apply_gain(x, gain, dim=dim),
        lambda x: split_bands(x, 17, dim=dim)[0],
        lambda x: split_bands(x, 17, dim=dim)[1],
        lambda x: resample(x, 45, dim=dim),
        lambda x: resample(x, 77, dim=dim),
    )
    for function in functions:
        results = []
        for limit in (0, 10**9):
            monkeypatch.setattr(_route, "COSINE_PRODUCT_POINTS", limit)
            x = normal(*shape, seed=4).requires_grad_()
            y = function(x)
            inputs = (x, gain) if function is functions[2] else (x,)
            gradients = torch.autograd.grad(y, inputs, normal(*y.shape, seed=5))
            results.append((y, *gradients))
        for fft, product in zip(*results, strict=True):
            assert_close(fft, product)


# --- The matrix ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 25, 120, 300])
def test_matrix_is_orthogonal_and_the_transform(n: int) -> None:
    matrix = dct_matrix(n, dtype=torch.float64)
    assert_close(matrix @ matrix.T, torch.eye(n))
    assert_close(matrix, scipy.fft.dct(np.eye(n), norm="ortho", axis=0))
    x = normal(n, 2)
    assert_close(matrix @ x, dct(x, dim=0))


def test_matrix_is_a_fresh_copy() -> None:
    x = normal(4, 9)
    before = dct(x, dim=-1)
    dct_matrix(9, dtype=torch.float64).zero_()
    assert_close(dct_matrix(9, dtype=torch.float64).square().sum(), torch.tensor(9.0))
    assert torch.equal(dct(x, dim=-1), before)


def test_matrix_dtype() -> None:
    assert dct_matrix(3).dtype == torch.get_default_dtype()
    exact = dct_matrix(7, dtype=torch.float64)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert torch.equal(dct_matrix(7, dtype=dtype), exact.to(dtype))
    assert dct_matrix(3, device="meta").device.type == "meta"


# --- Padding ------------------------------------------------------------------------------------

PADDED = [(2, 3, 20, 4), (5, 20), (3, 300), (3, 2, 1)]


@pytest.mark.parametrize("shape", PADDED)
@pytest.mark.parametrize("garbage", [0.0, 7.0, float("nan"), float("inf")])
@pytest.mark.parametrize("norm", ["ortho", None])
@pytest.mark.parametrize("transform", [dct, idct])
def test_padding_has_no_effect(shape, garbage, norm, transform) -> None:
    dim = {4: 2, 2: 1, 3: -1}[len(shape)]
    n = shape[dim]
    lengths = torch.tensor([n, 0, 1, n // 2, max(n - 1, 0)][: shape[0]])
    x = normal(*shape, seed=6)
    for sample, length in zip(x, lengths, strict=True):
        sample.movedim(dim if dim < 0 else dim - 1, 0)[length:] = garbage
    kept = x.clone()
    result = transform(x, dim=dim, norm=norm, lengths=lengths)
    assert result.shape == x.shape and result.dtype == x.dtype
    for sample, out, length in zip(x, result, lengths, strict=True):
        axis = dim if dim < 0 else dim - 1
        sample, out = sample.movedim(axis, 0), out.movedim(axis, 0)
        assert not out[length:].any()
        if length > 0:
            assert_close(out[:length], transform(sample[:length], dim=0, norm=norm))
    assert torch.equal(x.nan_to_num(), kept.nan_to_num())


def test_padding_gives_finite_gradients() -> None:
    lengths = torch.tensor([9, 0, 4])
    x = normal(3, 2, 9, 3)
    x[1], x[2, :, 4:] = float("nan"), float("inf")
    for transform in (dct, idct):
        for norm in ("ortho", None):
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(
                transform(x, dim=2, norm=norm, lengths=lengths).square().sum(), x
            )
            assert gradient.isfinite().all()
            assert not gradient[1].any() and not gradient[2, :, 4:].any()
            assert gradient[0].any() and gradient[2, :, :4].any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_lengths_of_any_integer_dtype(dtype: torch.dtype) -> None:
    x = normal(2, 3, 100)
    lengths = torch.tensor([37, 100])
    for norm in ("ortho", None):
        expected = dct(x, dim=-1, norm=norm, lengths=lengths)
        assert torch.equal(dct(x, dim=-1, norm=norm, lengths=lengths.to(dtype)), expected)


def test_full_lengths_change_nothing() -> None:
    x = normal(3, 2, 31, 2)
    assert_close(dct(x, dim=2, lengths=torch.full((3,), 31)), dct(x, dim=2))


# --- Precision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("n", [25, 120, 300])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_rounded_once(dtype: torch.dtype, n: int, autocast: bool) -> None:
    x = normal(2, 3, n, 2, dtype=dtype)
    exact = x.double()
    lengths = torch.tensor([n, n - 3])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        for norm in ("ortho", None):
            assert dct(x, dim=2, norm=norm).dtype == dtype
            assert_rounded(dct(x, dim=2, norm=norm), dct(exact, dim=2, norm=norm))
            assert_rounded(idct(x, dim=2, norm=norm), idct(exact, dim=2, norm=norm))
        assert_rounded(dct(x, dim=2, lengths=lengths), dct(exact, dim=2, lengths=lengths))


@pytest.mark.parametrize("n", [25, 300])
def test_autocast_leaves_single_precision_alone(n: int) -> None:
    x = normal(3, n, dtype=torch.float32)
    gain = normal(n, seed=1, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = [
            dct(x, dim=-1),
            idct(x, dim=-1),
            apply_gain(x, gain, dim=-1),
            split_bands(x, 7, dim=-1)[0],
            resample(x, 40, dim=-1),
        ]
    expected = [
        dct(x, dim=-1),
        idct(x, dim=-1),
        apply_gain(x, gain, dim=-1),
        split_bands(x, 7, dim=-1)[0],
        resample(x, 40, dim=-1),
    ]
    for result, value in zip(results, expected, strict=True):
        assert torch.equal(result, value)


@pytest.mark.parametrize("n", [1, 2, 25, 30, 64, 120, 256, 300, 511, 512, 513])
def test_single_precision_error(n: int) -> None:
    x = normal(8, n, seed=n, dtype=torch.float32)
    for norm in ("ortho", None):
        assert_close(dct(x, norm=norm, dim=-1), dct(x.double(), norm=norm, dim=-1))
        assert_close(idct(x, norm=norm, dim=-1), idct(x.double(), norm=norm, dim=-1))
        assert_close(idct(dct(x, norm=norm, dim=-1), norm=norm, dim=-1), x)


# --- Derivatives and function transforms --------------------------------------------------------


@pytest.mark.parametrize("norm", ["ortho", None])
@pytest.mark.parametrize("lengths", [None, [5, 0]])
def test_gradcheck(route: str, norm: str | None, lengths: list[int] | None) -> None:
    present = None if lengths is None else torch.tensor(lengths)
    x = normal(2, 6, 2).requires_grad_()
    for transform in (dct, idct):
        assert torch.autograd.gradcheck(
            lambda x, f=transform: f(x, dim=1, norm=norm, lengths=present), x, check_forward_ad=True
        )
        assert torch.autograd.gradgradcheck(
            lambda x, f=transform: f(x, dim=1, norm=norm, lengths=present), x
        )


@pytest.mark.parametrize("n", [7, 300])
def test_vmap_and_jvp(n: int) -> None:
    x, tangent = normal(4, 2, n), normal(4, 2, n, seed=1)
    for transform in (partial(dct, dim=-1), partial(idct, dim=-1)):
        expected = transform(x)
        for axis in (0, 1):
            assert_close(torch.func.vmap(transform, axis, axis)(x), expected)
        value, tangent_out = torch.func.jvp(transform, (x,), (tangent,))
        assert_close(value, expected)
        assert_close(tangent_out, transform(tangent))
        assert_close(torch.func.grad(lambda x, f=transform: f(x).square().sum() / 2)(x), x)


# --- The cache ----------------------------------------------------------------------------------


@pytest.fixture
def empty_cache() -> Iterator[None]:
    _bases.CACHE.clear()
    yield
    _bases.CACHE.clear()


def step(n: int = 11) -> None:
    weight = normal(3, n).requires_grad_()
    (dct(weight, dim=-1) * weight).sum().backward()
    assert_close(weight.grad, scipy_dct(weight.detach()) + scipy_idct(weight.detach()))


def test_cache_survives_inference_mode(empty_cache: None) -> None:
    with torch.inference_mode():
        dct(normal(3, 11), dim=-1), idct(normal(3, 11), dim=-1)
    step()


def test_cache_survives_fake_tensors(empty_cache: None) -> None:
    with FakeTensorMode():
        assert dct(torch.empty(3, 11, dtype=torch.float64), dim=-1).shape == (3, 11)
    step()


@pytest.mark.parametrize("strict", [False, True])
def test_cache_survives_export(empty_cache: None, fresh_dynamo: None, strict: bool) -> None:
    class Layer(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return dct(x, dim=-1)

    x = normal(3, 11)
    program = torch.export.export(Layer(), (x,), strict=strict)
    assert_close(program.module()(x), scipy_dct(x))
    step()


def test_cache_survives_function_transforms(empty_cache: None) -> None:
    torch.func.functionalize(partial(dct, dim=-1))(normal(3, 11))
    torch.func.vmap(torch.func.grad(lambda x: dct(x, dim=-1).square().sum()))(normal(3, 11))
    step()


@pytest.mark.parametrize("n", [600, 601])
@pytest.mark.parametrize("transform", [dct, idct])
def test_cache_filled_by_compiled_code(
    empty_cache: None, fresh_dynamo: None, transform: Callable[..., torch.Tensor], n: int
) -> None:
    x = normal(3, n)
    expected = scipy_dct(x) if transform is dct else scipy_idct(x)
    along_the_last = partial(transform, dim=-1)
    assert_close(torch.compile(along_the_last, backend="aot_eager", fullgraph=True)(x), expected)
    assert_close(along_the_last(x), expected)


# --- Edges --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 25), (2, 0, 300, 3), (0, 3, 300)])
def test_empty_batch(route: str, shape: tuple[int, ...]) -> None:
    dim = 2 if len(shape) == 4 else len(shape) - 1
    x = torch.empty(shape, requires_grad=True)
    lengths = torch.zeros(shape[0], dtype=torch.int64)
    for transform in (dct, idct):
        for norm in ("ortho", None):
            assert transform(x, dim=dim, norm=norm).shape == shape
        assert transform(x, dim=dim, lengths=lengths).shape == shape
    dct(x, dim=dim).sum().backward()
    assert x.grad is not None and x.grad.shape == shape
    gained = apply_gain(x, torch.ones(shape[dim]), dim=dim)
    low, high = split_bands(x, 3, dim=dim)
    assert gained.shape == low.shape == high.shape == shape
    assert resample(x, 400, dim=dim).shape[dim] == 400


@given(signals(), norms)
def test_input_is_not_written(signal: Signal, norm: str | None) -> None:
    x, dim = signal
    kept = x.clone()
    dct(x, dim=dim, norm=norm), idct(x, dim=dim, norm=norm)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_stays_in_its_row(route: str, value: float) -> None:
    x = normal(3, 10, 2)
    x[1, 4, 0] = value
    for transform in (dct, idct):
        result = transform(x, dim=1)
        assert not result[1, :, 0].isfinite().all()
        assert result[0].isfinite().all() and result[2].isfinite().all()
        assert result[1, :, 1].isfinite().all()


@pytest.mark.parametrize("n", [9, 300])
def test_meta_device_gives_the_shape(n: int) -> None:
    x = torch.empty(2, 3, n, 5, device="meta")
    lengths = torch.empty(2, dtype=torch.int64, device="meta")
    results = [
        dct(x, dim=2),
        idct(x, dim=2, norm=None),
        dct(x, dim=2, lengths=lengths),
        *split_bands(x, 3, dim=2),
    ]
    for result in results:
        assert result.shape == x.shape and result.device.type == "meta"
    assert resample(x, 7, dim=2).shape == (2, 3, 7, 5)
    assert apply_gain(x, torch.empty(n, device="meta"), dim=2).shape == x.shape


def test_lengths_follow_the_device_of_x() -> None:
    x = torch.empty(2, 3, 9, device="meta")
    assert dct(x, lengths=torch.tensor([9, 3]), dim=-1).device.type == "meta"


# --- Errors -------------------------------------------------------------------------------------

X = torch.zeros(2, 3, 6, dtype=torch.float32)
ERRORS = [
    (
        {"x": X, "norm": "orthonormal"},
        ValueError,
        ["norm", "'orthonormal'", "'ortho'", "'backward'"],
    ),
    ({"x": X, "norm": "forward"}, ValueError, ["norm", "'forward'", "None"]),
    ({"x": X.long()}, TypeError, ["x", "int64", "floating"]),
    ({"x": X.bool()}, TypeError, ["x", "bool", "floating"]),
    ({"x": X.cfloat()}, TypeError, ["x", "complex64", "real"]),
    ({"x": [1.0, 2.0]}, TypeError, ["x", "list", "tensor"]),
    ({"x": X, "dim": 3}, ValueError, ["dim=3", "(2, 3, 6)"]),
    ({"x": X, "dim": -4}, ValueError, ["dim=-4", "(2, 3, 6)"]),
    ({"x": torch.tensor(1.0)}, ValueError, ["dim", "()"]),
    ({"x": torch.zeros(2, 0)}, ValueError, ["x", "at least 1", "dim=1", "0"]),
    ({"x": X, "lengths": [6, 6]}, TypeError, ["lengths", "list", "tensor"]),
    ({"x": X, "lengths": torch.tensor([6.0, 6.0])}, TypeError, ["lengths", "float", "integer"]),
    ({"x": X, "lengths": torch.tensor([True, True])}, TypeError, ["lengths", "bool", "integer"]),
    ({"x": X, "lengths": torch.tensor([6])}, ValueError, ["lengths", "(2,)", "(1,)"]),
    ({"x": X, "lengths": torch.tensor([[6, 6]])}, ValueError, ["lengths", "(2,)", "(1, 2)"]),
    ({"x": X, "lengths": torch.tensor([6, 7])}, ValueError, ["lengths", "0 and 6", "7"]),
    ({"x": X, "lengths": torch.tensor([-1, 6])}, ValueError, ["lengths", "0 and 6", "-1"]),
    ({"x": X, "dim": 0, "lengths": torch.tensor([1, 1])}, ValueError, ["dim", "lengths", "dim=0"]),
]


@pytest.mark.parametrize(("arguments", "error", "words"), ERRORS)
@pytest.mark.parametrize("transform", [dct, idct])
def test_errors_name_the_received_and_the_accepted_value(
    transform, arguments, error, words
) -> None:
    with pytest.raises(error) as caught:
        transform(**{"dim": -1, **arguments})
    assert len(caught.value.args) == 1
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n": 0}, ValueError, ["n", "at least 1", "0"]),
        ({"n": 2.0}, TypeError, ["n", "integer", "2.0"]),
        ({"n": True}, TypeError, ["n", "integer", "True"]),
        ({"n": 3, "dtype": torch.int64}, TypeError, ["dtype", "int64", "floating"]),
        ({"n": 3, "dtype": torch.complex64}, TypeError, ["dtype", "complex64", "real"]),
    ],
)
def test_matrix_errors(arguments, error, words) -> None:
    with pytest.raises(error) as caught:
        dct_matrix(**arguments)
    for word in words:
        assert word in str(caught.value)
