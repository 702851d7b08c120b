"""Launches: grids, widths, what is refused, what is kept."""

from math import prod

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Gradient, Grid, Laplacian, Stencil
from gradkit.engines import cuda
from gradkit.engines.cuda.launch import WIDE, launched, prepared, reject
from gradkit.engines.cuda.layout import ENOUGH_BLOCKS, layout
from gradkit.errors import EngineError


def key_and_sizes(operator, shape, device, dtype="float32"):
    plan = operator.on(Grid(*[Axis(0.3)] * len(shape)), shape, edge_order=1)
    made = prepared(plan, [np.broadcast_to(np.zeros((), dtype), shape)], device)
    return made.key, made.numbers.sizes


@pytest.mark.parametrize(
    "shape",
    [(3,), (257,), (10**7,), (5, 3), (10**6, 4), (300, 500, 3), (70000, 70000, 3), (3, 4, 5, 6)],
)
@pytest.mark.parametrize("vector", [1, 4])
@pytest.mark.parametrize("enough", [1, 7, ENOUGH_BLOCKS])
def test_threads_cover_all_results(host, monkeypatch, shape, vector, enough):
    monkeypatch.setattr("gradkit.engines.cuda.layout.ENOUGH_BLOCKS", enough)
    key, sizes = key_and_sizes(Laplacian(len(shape)), shape, host())
    grid, block, stretch = layout(key._replace(vector=vector), sizes)
    assert block[0] * block[1] * block[2] <= key.threads
    assert all(part >= 1 for part in (*grid, *block))
    # Neighbouring threads have neighbouring vectors.
    assert block[0] >= min(32, -(-sizes[-1] // vector))
    # No more than one block too many along any axis.
    columns = block[0] * vector
    assert sizes[-1] <= grid[0] * columns < sizes[-1] + columns
    if len(shape) == 1:
        return
    rows = [1] * (len(sizes) - 2) + [block[1]]
    rows[key.marched] *= stretch
    *planes, along = [-(-n // of_block) for n, of_block in zip(sizes[:-1], rows, strict=True)]
    assert grid[1:] == (along, prod(planes))


def test_blocks_walk_where_there_are_many_of_them(host):
    """Where steps read the same, along the marched axis, as far as leaves enough blocks."""
    for operator, shape, wanted in (
        (D(0), (64, 64, 64), 4),  # one step of four rows
        (D(0), (512, 512, 512), 4 * 8),
        (D(0), (4096, 512, 512), 4 * 16),
        (D(0), (20, 4096, 4096), 4 * 5),
        (D(2), (512, 512, 512), 4),
        (Laplacian(3), (512, 512, 512), 4 * 8),
    ):
        key, sizes = key_and_sizes(operator, shape, host())
        assert layout(key._replace(vector=4), sizes).stretch == wanted


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("operator", [D(1), D(2), Laplacian(3), D(0, 2) + D(2)])
def test_grids_are_flat_where_they_have_too_few_blocks_along_an_axis(
    host, monkeypatch, rng, operator, most
):
    monkeypatch.setattr("gradkit.engines.cuda.launch.MOST_BLOCKS", most)
    monkeypatch.setattr("gradkit.engines.cuda.layout.ENOUGH_BLOCKS", 20)
    plan = operator.on(Grid(Axis(0.3), Axis(0.3), Axis(0.3)), (12, 70, 260), edge_order=1)
    f, device = rng.normal(size=(12, 70, 260)), host()
    made = prepared(plan, [f], device)
    (found,) = launched(plan, [f], made, device)
    np.testing.assert_allclose(found, plan(f), atol=1e-11)
    ((key, grid, _),) = device.launches
    needed = layout(key, made.numbers.sizes).grid
    assert key.is_flat is (max(needed[1:]) > most)
    assert grid == ((prod(needed), 1, 1) if key.is_flat else needed)


def test_arrays_beyond_2_to_the_31_elements_have_wide_indices(host):
    for shape, is_wide in (((1024, 1024, 1024), False), ((2048, 1024, 1024), True)):
        f = np.broadcast_to(np.float32(0), shape)
        plan = D(0).on(Grid(Axis(0.3), None, None), shape)
        assert prepared(plan, [f], host()).is_wide is is_wide
        assert (f.size >= WIDE) is is_wide


def test_a_plan_is_launched_as_it_was_before(host, rng):
    plan, device = D(0).on(Grid(Axis()), (64,)), host()
    made = prepared(plan, [np.zeros(64)], device)
    for _ in range(3):
        launched(plan, [rng.normal(size=64)], made, device)
    assert list(made.launches) == [2]


def test_plans_are_prepared_once_per_dtype(host):
    plan, device = D(0).on(Grid(Axis()), (8,)), host()
    first = prepared(plan, [np.zeros(8)], device)
    assert prepared(plan, [np.ones(8)], device) is first
    assert prepared(plan, [np.zeros(8, np.float32)], device) is not first


@pytest.mark.parametrize(
    ("plan", "dtype", "reason"),
    [
        (D(0).on(Grid(Axis()), (8,)), "m8[s]", "has no kernels for timedelta64"),
        (D(0).on(Grid(Axis()), (8,)), "longdouble", "has no kernels for"),
        (D(0).on(Grid(Axis(), None), (8, 0)), "float64", "without elements"),
        (D(0, 4).on(Grid(Axis(1e-30)), (8,)), "float32", "beyond the range of float32"),
        (
            (D(0, 4) * D(1, 4) * D(2, 4)).on(Grid(Axis(), Axis(), Axis()), (9, 9, 9)),
            "float64",
            "times per result",
        ),
        (
            D(0, stencil=Stencil((0, 2001), 1)).on(Grid(Axis(boundary="periodic")), (70000,)).T,
            "float64",
            "has no kernels for rules with 4002 differences at their ends",
        ),
    ],
    ids=["times", "longdouble", "empty", "weights", "reads", "offsets"],
)
def test_what_kernels_do_not_serve_has_a_reason(host, plan, dtype, reason):
    found = prepared(plan, [np.zeros(plan.input_shape, dtype)], host())
    assert isinstance(found, str)
    assert reason in found


def test_a_kernel_that_does_not_compile_is_a_reason(host):
    plan, device, f = D(0).on(Grid(Axis()), (8,)), host(), np.zeros(8)
    prepared(plan, [f], device)
    reason = reject(plan, [f], device, RuntimeError("line 3: expected a ';'\nmore"))
    assert reason == "could not compile the kernel: line 3: expected a ';'"
    assert prepared(plan, [f], device) == reason


def test_nothing_is_uploaded_into_a_graph(host):
    """What a graph uploads is there once it has run: a call before that would read garbage."""
    plan, device, f = D(0).on(Grid(Axis()), (8,)), host(), np.zeros(8)
    device.captures = True
    reason = prepared(plan, [f], device)
    assert reason.endswith("while a graph is captured: call the plan once before")
    assert device.buffers.made == []
    device.captures = False
    made = prepared(plan, [f], device)
    assert not isinstance(made, str)
    device.captures = True
    assert prepared(plan, [f], device) is made


def test_kernels_that_read_much_take_one_row_at_a_time(host):
    grid = Grid(Axis(), Axis(), Axis())
    few = prepared(Laplacian(3).on(grid, (9, 9, 9)), [np.zeros((9, 9, 9))], host())
    a = np.ones((9, 9, 9))
    many = sum((D(i) @ (a * D(j)) for i in range(3) for j in range(3)), start=0 * D(0))
    plan = many.on(grid, (9, 9, 9), method=gradkit.FiniteDifference(4), edge_order=1)
    assert few.key.march == 4
    assert prepared(plan, [a], host()).key.march == 1


def test_equal_outputs_are_computed_once(host, rng):
    plan = gradkit.Hessian(2).on(Grid(Axis(0.3), Axis(0.3)), (8, 8))
    f, device = rng.normal(size=(8, 8)), host()
    found = launched(plan, [f], prepared(plan, [f], device), device)
    assert found[1] is found[2]
    assert len(device.launches) == 1
    assert len(device.launches[0][0].outputs) == 3


@pytest.mark.parametrize("shift", [0, 1])
def test_results_are_written_where_they_are_wanted(host, rng, shift):
    plan = Gradient(2).on(Grid(Axis(0.3), Axis(0.3)), (8, 8))
    f, device = rng.normal(size=(8, 8)), host(shift=shift)
    out = [device.empty((8, 8), "float64") for _ in range(2)]
    made = len(device.buffers.made)
    found = launched(plan, [f], prepared(plan, [f], device), device, out)
    assert all(a is b for a, b in zip(found, out, strict=True))
    # The input and the weights of rows at ends are copied to the device; nothing else is made.
    assert len(device.buffers.made) == made + 2
    for got, want in zip(out, plan(f), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)


def test_results_may_be_wanted_in_another_order_and_twice(host, rng):
    plan = gradkit.Hessian(2).on(Grid(Axis(0.3), Axis(0.3)), (8, 6))
    f, device = rng.normal(size=(8, 6)), host()
    out = [np.full((6, 8), np.nan).T for _ in range(4)]
    launched(plan, [f], prepared(plan, [f], device), device, out)
    for got, want in zip(out, plan(f), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-11)


def test_equal_results_may_go_to_one_place(host, rng):
    plan = gradkit.Hessian(2).on(Grid(Axis(0.3), Axis(0.3)), (8, 6))
    f, device = rng.normal(size=(8, 6)), host()
    a, b, c = (np.full((8, 6), np.nan) for _ in range(3))
    for out in ([a, b, b, c], [a, b, b[:], c]):
        launched(plan, [f], prepared(plan, [f], device), device, out)
        for got, want in zip(out, plan(f), strict=True):
            np.testing.assert_allclose(got, want, atol=1e-11)


@pytest.mark.parametrize("moved", ["input", "result"])
def test_one_array_that_is_not_aligned_narrows_the_vectors(host, rng, monkeypatch, moved):
    plan, device = D(0).on(Grid(Axis(0.3), None), (8, 8)), host()
    monkeypatch.setattr(device, "contiguous", lambda array: array)
    aside = device.empty((65,), "float64")[1:].reshape(8, 8)
    f, out = (device.empty((8, 8), "float64") for _ in range(2))
    f, out = (aside, out) if moved == "input" else (f, aside)
    f[...] = rng.normal(size=(8, 8))
    launched(plan, [f], prepared(plan, [f], device), device, [out])
    assert device.launches[0][0].vector == 1
    np.testing.assert_allclose(out, plan(f), atol=1e-12)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_between_their_places_are_moved(host, rng, monkeypatch, dtype):
    """Kernels load a complex number at once, from a multiple of its size."""
    plan, device = D(0).on(Grid(Axis(0.3), None), (8, 6)), host()
    monkeypatch.setattr(device, "contiguous", lambda array: array)
    size = np.dtype(dtype).itemsize
    raw = device.empty((49,), dtype).view(np.uint8)
    f, out = (raw[size // 2 :][: 48 * size].view(dtype).reshape(8, 6) for _ in range(2))
    f[...] = rng.normal(size=(8, 6)) + 1j * rng.normal(size=(8, 6))
    assert device.address(f) % size
    wanted = plan(f.copy())
    read, kernel = [], device.kernel

    def noted(key):
        launch = kernel(key)
        return lambda grid, block, arguments: (
            read.extend(a for a in arguments if isinstance(a, np.ndarray)),
            launch(grid, block, arguments),
        )

    monkeypatch.setattr(device, "kernel", noted)
    (found,) = launched(plan, [f], prepared(plan, [f], device), device, [out])
    assert found is out
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(out, wanted, rtol=8 * eps, atol=40 * eps)
    assert all(a.ctypes.data % a.itemsize == 0 for a in read)


def test_inputs_are_not_changed(host):
    f = np.arange(64.0).reshape(8, 8)
    f.setflags(write=False)
    plan = Gradient(2).on(Grid(Axis(0.3), Axis(0.3)), (8, 8))
    launched(plan, [f], prepared(plan, [f], host()), host())


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "array_api_strict"], indirect=True)
def test_other_libraries_are_left_to_other_engines(library):
    plan = D(0).on(Grid(Axis()), (8,))
    f = library.asarray(np.arange(8.0))
    reasons = {
        "torch": "serves tensors on cuda, the input is on cpu",
        "jax": "serves arrays on cuda, the input is on cpu",
    }
    general = f"serves cupy, torch and jax arrays, the input is a {library.name} array"
    assert cuda.supports(plan, [f]) == reasons.get(library.name, general)
    with gradkit.use_engine("cuda"), pytest.raises(EngineError, match="serves"):
        plan(f)


def test_without_a_gpu_the_engine_asked_for_raises_one_error_and_auto_serves():
    plan, f = D(0).on(Grid(Axis()), (8,)), np.arange(8.0)
    with gradkit.use_engine("cuda"), pytest.raises(EngineError) as raised:
        plan(f)
    wanted = "it serves cupy, torch and jax arrays, the input is a numpy array"
    assert str(raised.value) == f"engine 'cuda' cannot serve this call: {wanted}"
    assert raised.value.__context__ is None
    with gradkit.use_engine("auto"):
        np.testing.assert_array_equal(plan(f), np.ones(8))
    assert wanted.removeprefix("it ") in str(gradkit.explain_engine(f, plan=plan))
