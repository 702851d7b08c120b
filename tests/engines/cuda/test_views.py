"""Elementwise kernels on views: CuPy's own call, its kernel executed by g++ and read by NVRTC."""

from contextlib import nullcontext
from itertools import product

import numpy as np
import pytest

from gradkit import Axis, D, Dirichlet, FiniteDifference, Gradient, Grid, Laplacian
from gradkit.engines import cuda, reference
from gradkit.engines.cuda.views import (
    C_TYPES,
    ViewKey,
    declaration,
    differentiated,
    kept_passage,
    operation,
    passage_of,
)
from gradkit.weights import Stencil

from .conftest import OnViews, compiled

ROUGH = np.cumsum(np.random.default_rng(5).uniform(0.5, 1.5, 40))


@pytest.fixture
def device(cupy, kernels):
    return OnViews(cupy, kernels)


def assert_alike(plan, f, device, out=None):
    passage = passage_of(plan, [f])
    assert passage is not None
    (found,) = differentiated(plan, f, passage, device, out)
    wanted = plan(f)
    assert found.dtype == wanted.dtype
    # The products may be fused with the sums.
    size = plan.magnitude(abs(f.astype(wanted.dtype)))
    bound = 4 * np.finfo(wanted.dtype).eps * abs(size)
    assert (abs(found - wanted) <= bound).all()
    return found


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", ["uniform", "coordinates"])
def test_kernels_give_what_the_reference_gives(device, rng, dtype, axis, spacing):
    shape = (11, 7, 9)
    f = np.moveaxis(rng.normal(size=(2 * 9, 11, 14)), 0, -1)[:, ::-2, 1::2].astype(dtype)
    axes = [None] * 3
    axes[axis] = Axis(0.3) if spacing == "uniform" else Axis(coordinates=ROUGH[: shape[axis]])
    plan = D(axis).on(Grid(*axes), shape, edge_order=1)
    assert_alike(plan, f, device)


@pytest.mark.parametrize(("order", "accuracy"), [(1, 4), (1, 8), (2, 2), (2, 4), (3, 2), (4, 2)])
@pytest.mark.parametrize("size", [12, 13, 40])
def test_any_order_and_accuracy(device, rng, order, accuracy, size):
    f = rng.normal(size=(3, size)).T
    for axis in (
        Axis(0.3),
        Axis(coordinates=ROUGH[:size]),
        Axis(coordinates=-ROUGH[:size]),
    ):
        plan = D(0, order).on(Grid(axis, None), (size, 3), method=FiniteDifference(accuracy))
        assert_alike(plan, f, device)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint16"])
def test_integers_are_subtracted_as_numbers_that_hold_them(device, dtype):
    info = np.iinfo(dtype)
    f = np.array([[info.min, info.max, info.min, info.max, 0]] * 2, dtype).T
    found = assert_alike(D(0).on(Grid(Axis(), None), (5, 2), edge_order=1), f, device)
    assert found[0, 0] == float(info.max) - float(info.min)


@pytest.mark.parametrize(
    "view",
    [
        lambda whole: whole.T,
        lambda whole: whole[::-1, ::2],
        lambda whole: whole[1:, 3:].T[::3],
        lambda whole: np.broadcast_to(whole[:1], whole.shape),
    ],
    ids=["transposed", "reversed", "both", "broadcast"],
)
def test_layouts_of_views_are_kept(device, rng, view):
    f = view(rng.normal(size=(24, 18)))
    plan = D(1).on(Grid(None, Axis(coordinates=ROUGH[: f.shape[1]])), f.shape)
    found = assert_alike(plan, f, device)
    assert np.array_equal(np.argsort(found.strides), np.argsort(np.empty_like(f).strides))


def test_staggered_results(device, rng):
    f = rng.normal(size=(8, 20)).T
    plan = D(0, to="inner").on(Grid(Axis(0.3), None), (20, 8))
    assert assert_alike(plan, f, device).shape == (19, 8)


def test_results_are_written_where_they_are_wanted(device, rng):
    f, whole = rng.normal(size=(8, 20)).T, np.full((22, 20), np.nan)
    out = whole[1:-1, 2:18:2]
    found = assert_alike(D(0).on(Grid(Axis(0.3), None), (20, 8)), f, device, [out])
    assert found is out
    assert np.isfinite(out).all()
    assert np.isfinite(whole).sum() == out.size


def test_a_run_of_rows_is_one_launch(device, rng):
    f = rng.normal(size=(8, 20)).T
    assert_alike(D(0).on(Grid(Axis(coordinates=ROUGH[:20]), None), (20, 8)), f, device)
    assert len(device.names) == 3


def test_a_passage_is_made_once_and_waited_for(device, monkeypatch):
    waits = []
    monkeypatch.setattr(device, "settle", lambda: waits.append(1))
    plan, f = D(0).on(Grid(Axis(coordinates=ROUGH[:20]), None), (20, 8)), np.zeros((8, 20)).T
    first = kept_passage(plan, [f], device)
    assert kept_passage(plan, [f], device) is first
    assert len(waits) == 1
    # Weights of another dtype are others.
    assert kept_passage(plan, [f.astype("float32")], device) is not first
    assert len(waits) == 2


def test_a_kernel_that_does_not_compile_leaves_the_call_to_a_copy(device, rng, monkeypatch):
    def broken(*arguments):
        raise ArithmeticError("a header is missing")

    monkeypatch.setattr(device, "elementwise", broken)
    monkeypatch.setattr(device, "compile_error", ArithmeticError, raising=False)
    monkeypatch.setattr(device, "current", nullcontext, raising=False)
    monkeypatch.setattr(cuda, "device_of", lambda f: device)
    plan, f = D(0).on(Grid(Axis(0.3), None), (20, 8)), rng.normal(size=(8, 20)).T
    (wanted,) = reference.run(plan, [f])
    for _ in range(2):
        (found,) = cuda.run(plan, [f])
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert len(device.launches) == 2
    assert cuda.supports(plan, [f]) is None


OPEN = Grid(Axis(0.3), Axis(0.3))
A = np.random.default_rng(1).uniform(1, 2, (20, 40))


@pytest.mark.parametrize(
    ("plan", "dtype"),
    [
        (Gradient(2).on(OPEN, (20, 40)), "float64"),
        (Laplacian(2).on(OPEN, (20, 40)), "float64"),
        ((2 * D(0)).on(OPEN, (20, 40)), "float64"),
        ((A * D(0)).on(OPEN, (20, 40)), "float64"),
        (D(0).on(OPEN, (20, 40)), "int64"),
        (
            D(0).on(Grid(Axis(boundary="periodic"), None), (20, 40), method=FiniteDifference(4)),
            "float64",
        ),
        (D(0).on(Grid(Axis(0.3, boundary=Dirichlet(1.0)), None), (20, 40)), "float64"),
        (D(1, stencil=Stencil(range(-19, 20), 1)).on(OPEN, (3, 90)), "float64"),
    ],
    ids=["gradient", "sum", "factor", "array", "int64", "around the ends", "wall", "wide"],
)
def test_all_else_is_left_to_a_copy(plan, dtype):
    assert passage_of(plan, [np.zeros(plan.input_shape, dtype)]) is None


def test_weights_beyond_the_range_of_float32_are_left_to_a_copy():
    x = np.concatenate([[0.0], 10.0 ** np.arange(-40, 39, 4)])
    plan = D(0).on(Grid(Axis(coordinates=x), None), (len(x), 3))
    assert passage_of(plan, [np.zeros(plan.shape, "float32")]) is None
    assert passage_of(plan, [np.zeros(plan.shape, "float64")]) is not None


def test_names_tell_the_whole_key():
    keys = [
        ViewKey(dtype, real, compute, result, is_weighted, divisors)
        for dtype, real, compute, result in product(("float32", "float64"), repeat=4)
        for is_weighted in ((), (True,), (False,), (True, False))
        for divisors in (0, 1, 2)
    ]
    assert len({key.name for key in keys}) == len(keys)
    assert all(key.name.isidentifier() for key in keys)


@pytest.mark.parametrize("dtype", C_TYPES)
def test_what_cupy_makes_of_a_kernel_compiles(cupy, nvrtc, dtype):
    from cupy._core import _kernel, core

    real = {"float16": "float32", "complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    compute = "float32" if dtype == "float16" else dtype
    key = ViewKey(dtype, real, compute, dtype, (True, False), 1)
    made = cupy.ElementwiseKernel(declaration(key), f"{dtype} result", operation(key), key.name)
    infos = [_kernel._ArgInfo(1, cupy.ndarray, p.dtype, 3, False, True) for p in made.params[:-1]]
    infos.append(_kernel._ArgInfo(2, None, None, 3, True, True))
    types = tuple(p.dtype for p in made.in_params), (np.dtype(dtype),)
    _, _, names = _kernel._decide_params_type(made.in_params, made.out_params, *types)
    text = _kernel._get_elementwise_kernel_code(
        tuple(infos), names, made.params, made.operation, made.name, made.preamble, **made.kwargs
    )
    headers = "".join(f"#include <{name}>\n" for name in core._cupy_header_list)
    folders = [o for o in core.assemble_cupy_compiler_options(()) if o.startswith("-I")]
    assert compiled(nvrtc, headers + text, 90, [o.encode() for o in folders])
