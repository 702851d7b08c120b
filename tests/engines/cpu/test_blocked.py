"""Tiles of NumPy arrays: the bits of the reference for all tiles; memory; warnings of NumPy."""

import tracemalloc
import warnings

import numpy as np
import pytest

import gradkit
from gradkit import (
    Antisymmetric,
    Axis,
    D,
    Dirichlet,
    FiniteDifference,
    Gradient,
    Grid,
    Hessian,
    Symmetric,
    _threads,
    explain_engine,
    use_engine,
)
from gradkit.engines import cpu
from gradkit.engines.cpu import blocked
from gradkit.engines.program import program_of

from .plans import DTYPES, PLANS, assert_gaps_are_left_alone, grid, inputs_of, results_of

rng = np.random.default_rng(20)


@pytest.fixture(params=[1, 24, 400, 4000], ids=lambda size: f"tiles of {size} bytes")
def tiles(request, monkeypatch):
    """Small arrays are served, by several threads, in tiles down to one element."""
    monkeypatch.setattr(cpu, "SMALL", 1)
    monkeypatch.setattr(cpu, "WHOLE", 0)
    monkeypatch.setattr(_threads, "SHARE", 1)
    monkeypatch.setattr(blocked, "TILE", request.param)
    monkeypatch.setenv("GRADKIT_NUM_THREADS", "3")
    _forget()
    yield
    # Plans keep how they are served, and other tests share them.
    _forget()


def _forget():
    for plan in PLANS.values():
        plan.memo.clear()


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PLANS)
def test_tiles_have_the_bits_of_the_reference(name, dtype):
    plan = PLANS[name]
    inputs = inputs_of(plan, dtype)
    kept = [f.copy() for f in inputs]
    wanted = results_of(plan, inputs, "reference")
    found = results_of(plan, inputs, "cpu")
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    for f, before in zip(inputs, kept, strict=True):
        np.testing.assert_array_equal(f, before)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("name", ["axis 2", "accuracy 4", "walls", "hessian", "curl"])
def test_strided_inputs_and_results(name):
    assert_gaps_are_left_alone(PLANS[name])


WALLS = (Dirichlet(np.arange(40.0)), Antisymmetric(at="next"))


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64"])
@pytest.mark.parametrize("boundary", ["periodic", "antiperiodic", WALLS, Symmetric()], ids=str)
@pytest.mark.parametrize("axis", [0, 1])
def test_each_step_of_a_composition_is_taken_once(monkeypatch, axis, boundary, dtype):
    """Not once per point that a row near an end takes of the step before: 8**4 times here."""
    coefficients = 1 + rng.random((4, 40, 40))
    operator = D(axis)
    for coefficient in coefficients:
        operator = D(axis) @ (coefficient * operator)
    axes = [Axis(0.3, boundary=boundary if i == axis else "one-sided") for i in range(2)]
    plan = operator.on(Grid(*axes), (40, 40), method=FiniteDifference(8))
    f = (rng.normal(size=(40, 40)) * 100).astype(dtype)
    wanted = results_of(plan, [f], "reference")[0]
    calls, level = [], blocked._Worker.level
    monkeypatch.setattr(cpu, "SMALL", 1)
    monkeypatch.setattr(cpu, "WHOLE", 0)
    monkeypatch.setattr(
        blocked._Worker, "level", lambda *given: calls.append(given[2]) or level(*given)
    )
    found = results_of(plan, [f], "cpu")[0]
    np.testing.assert_array_equal(found, wanted)
    # Five derivatives and four products of one tile, and the input.
    assert sorted(calls) == list(range(10))


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("axis", [0, 1])
def test_compositions_in_tiles_have_the_bits_of_the_reference(axis):
    coefficients = rng.normal(size=(2, 13, 11)) + 1j * rng.normal(size=(2, 13, 11))
    operator = D(axis) @ (coefficients[0] * D(axis)) @ (coefficients[1] * D(axis, 2))
    f = rng.normal(size=(13, 11)) + 1j * rng.normal(size=(13, 11))
    for boundary in ("periodic", "antiperiodic", (Symmetric(), Dirichlet(2.0))):
        grid = Grid(*(Axis(0.3, boundary=boundary) for _ in range(2)))
        plan = operator.on(grid, (13, 11), method=FiniteDifference(4))
        for either in (plan, plan.H):
            ours, theirs = (results_of(either, [f], name)[0] for name in ("cpu", "reference"))
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [524_289, 1_000_003])
def test_one_dimension_in_tiles_of_the_usual_size(size):
    x = np.linspace(0, 1, size)
    assert explain_engine(x).engine == "cpu"
    np.testing.assert_array_equal(gradkit.gradient(x**2, 0.25), np.gradient(x**2, 0.25))


@pytest.mark.parametrize("to", [None, "outer", "inner"])
def test_no_complex_number_is_multiplied_alone(to):
    # NumPy multiplies a single one in place with other bits than several.
    size = blocked.TILE // 16
    axis = Axis(spacing=0.3) if to is None else Axis(spacing=0.3, boundary="one-sided")
    for n in (size, size + 1, size + 2):
        f = rng.normal(size=(20, n)) + 1j * rng.normal(size=(20, n))
        plan = ((0.3 + 0.7j) * D(0, to=to) if to else (0.3 + 0.7j) * D(0)).on(Grid(axis), (n,))
        for row in f:
            ours, theirs = (results_of(plan, [row], engine)[0] for engine in ("cpu", "reference"))
            np.testing.assert_array_equal(ours[-3:], theirs[-3:])


def test_numpy_s_bits_on_rows_short_and_long():
    for shape in ((1000, 40), (7, 5000), (60, 60, 11)):
        f = rng.random(shape)
        for ours, theirs in zip(gradkit.gradient(f, 0.1), np.gradient(f, 0.1), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kernels", [False, True], ids=["tiles", "kernels"])
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_results_of_large_arrays_keep_the_order_of_the_axes(monkeypatch, order, kernels):
    if kernels:
        pytest.importorskip("numba")
    monkeypatch.setattr(cpu, "WHOLE", 0)
    monkeypatch.setattr(cpu, "COMPILED", 0 if kernels else 2**40)
    monkeypatch.setattr(blocked, "TILE", 2**13)
    f = rng.random((40, 41, 42)).transpose(order).copy().transpose(np.argsort(order))
    results = Gradient(3).on(grid(), f.shape, edge_order=1)(f)
    for ours, theirs in zip(results, np.gradient(f, 0.5, -0.3, 0.7), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.strides == f.strides


def test_what_is_left_to_the_reference():
    f = np.zeros((200, 200))
    assert explain_engine(f).engine == "cpu"
    times = f.astype("datetime64[s]")
    few = "leaves fewer than 32768 complex numbers or wide integers to the reference"
    complex_operator = (1j * D(0)).on(Grid(Axis(), Axis()), f.shape)
    decades = D(0).on(Grid(Axis(coordinates=np.geomspace(1e-60, 1e60, 200)), Axis()), f.shape)
    for plan, values, reason in (
        (None, f[:40].astype("complex64"), few),
        (None, f[:40].astype("int64"), few),
        (None, times, "leaves times to the reference"),
        (complex_operator, f, "leaves real inputs of complex operators to the reference"),
        (
            decades,
            f.astype("float32"),
            "leaves weights beyond the range of float32 to the reference",
        ),
    ):
        found = explain_engine(values, plan=plan)
        assert found.engine == "reference"
        assert dict(found.reasons)["cpu"] == reason
        with use_engine("cpu"), pytest.raises(gradkit.errors.EngineError, match=reason):
            (plan or D(0).on(Grid(Axis(), Axis()), values.shape))(values)


def test_a_call_with_out_allocates_nothing_of_the_size_of_an_array():
    f = rng.random((256, 128, 128))  # 32 MiB
    plan = Hessian(3).on(grid(), f.shape)
    numbers = [np.empty_like(f) for _ in set(plan.same)]
    program = program_of(plan, (f,))
    assert f.nbytes > 2 * 6 * 2**21
    blocked.run(program, (f,), numbers, 2)
    tracemalloc.start()
    blocked.run(program, (f,), numbers, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 6 * 2**21  # two threads: tiles of total, term, difference and levels


# --- floating-point errors ------------------------------------------------------------------------


@pytest.fixture
def large():
    """Rows whose ends overflow against each other, as no difference within a row does."""
    f = np.zeros((12000, 50))
    f[:, :25], f[:, 25:] = np.linspace(-1.7e308, 0, 25), np.linspace(0, 1.7e308, 25)
    return f


def test_neighbours_in_different_rows_make_no_warning(large):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradkit.gradient(large, 1.0, axis=1)
    np.testing.assert_array_equal(found, np.gradient(large, axis=1))


def test_warnings_are_those_of_the_data_and_come_once(large):
    large[77, 20:22] = [1.7e308, -1.7e308]
    with pytest.warns(RuntimeWarning) as found:
        ours = gradkit.gradient(large, 1.0, axis=1)
    assert [str(w.message) for w in found] == ["overflow encountered in multiply"]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(ours, np.gradient(large, axis=1))


def test_what_the_caller_ignores_is_ignored(large):
    large[3, 3] = np.inf
    with warnings.catch_warnings(), np.errstate(invalid="ignore", over="ignore"):
        warnings.simplefilter("error")
        gradkit.derivative(np.where(large == np.inf, np.inf, 1.0), 1.0, axis=1)


def test_large_arrays_keep_errors_that_were_asked_for(large, monkeypatch):
    # Kernels of Numba say nothing of overflows, so they do not serve here.
    monkeypatch.setattr(cpu, "COMPILED", 0)
    large[77, 20:22] = [1.7e308, -1.7e308]
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        gradkit.gradient(large, 1.0, axis=1)


def test_errors_are_raised_when_the_result_is_whole(large):
    large[77, 20:22] = [1.7e308, -1.7e308]
    plan = D(1).on(Grid(Axis(), Axis()), large.shape, edge_order=1)
    out = np.full(large.shape, np.nan)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        plan(large, out=out)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, np.gradient(large, axis=1))
