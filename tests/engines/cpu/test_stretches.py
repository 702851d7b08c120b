"""Long coordinates in parts: the bits of the whole, few weights at a time, and none kept."""

import pickle
import tracemalloc
from itertools import product

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
    Jacobian,
    Neumann,
    Operator,
    Stencil,
    planning,
    use_engine,
)
from gradkit.engines import cpu
from gradkit.engines.cpu import loading, stretches
from gradkit.methods import coordinates

RNG = np.random.default_rng(8)
N = 1000


def rough(n=N):
    return np.cumsum(RNG.uniform(0.5, 1.5, n))


@pytest.fixture
def short(monkeypatch):
    """Axes of 100 points are long, and taken 64 rows at a time, by no other engine."""
    monkeypatch.setattr(cpu, "SMALL", 0)
    monkeypatch.setattr(cpu, "FEW", 0)
    monkeypatch.setattr(coordinates, "LONG", 100)
    monkeypatch.setattr(stretches, "ROOM", 0)
    monkeypatch.setattr(stretches, "SHORTEST", 64)
    monkeypatch.setattr(cpu, "SHORTEST", 60)


@pytest.fixture(params=["kernels", "NumPy"])
def served(request, monkeypatch):
    """Parts are served by kernels from the first call on, or by NumPy."""
    if request.param == "kernels":
        pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setattr(cpu, "COMPILED", 0 if request.param == "kernels" else 2**60)


def whole_and_in_parts(operator, grid, shape, inputs, **options):
    """What a plan that has all its weights makes of inputs, and one that has none yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coordinates, "LONG", 2**60)
        plan = operator.on(grid, shape, **options)
        with use_engine("reference"):
            wanted = plan.apply(inputs)
    late = operator.on(grid, shape, **options)
    assert stretches.stretches_of(late) is not None
    return wanted, late


PLANS = {
    "gradient": (D(0), (N,), {}),
    "edge order 1": (D(0), (N,), {"edge_order": 1}),
    "accuracy 4": (D(0), (N,), {"method": FiniteDifference(4)}),
    "second derivative": (D(0, 2), (N,), {}),
    "third derivative, accuracy 4": (D(0, 3), (N,), {"method": FiniteDifference(4)}),
    "two terms": (D(0, 2) + 3 * D(0), (N,), {}),
    "a stencil of one's own": (D(0, stencil=Stencil((-2, -1, 3), 1)), (N,), {}),
    "first of three axes": (Gradient(3), (N, 3, 4), {}),
    "second of three axes": (Gradient(3), (5, N, 6), {"method": FiniteDifference(4)}),
    "last of three axes": (Gradient(3), (3, 4, N), {}),
    "an array in front and within": (
        RNG.random(N) * D(0) @ (RNG.random(N) * D(0)),
        (N,),
        {},
    ),
}

DTYPES = ["float64", "float32", "complex64", "int16", ">f8"]
#: A kernel takes seconds to compile.
CASES = [
    *product(["NumPy"], PLANS, DTYPES),
    ("kernels", "gradient", "float64"),
    ("kernels", "gradient", "float32"),
    ("kernels", "accuracy 4", "complex64"),
    ("kernels", "second of three axes", "float64"),
    ("kernels", "two terms", "float64"),
]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("served", "name", "dtype"), CASES, indirect=["served"])
@pytest.mark.usefixtures("served")
def test_parts_have_the_bits_of_the_whole(name, dtype):
    operator, shape, options = PLANS[name]
    grid = Grid(*(Axis(coordinates=rough(n)) if n == N else Axis(0.5) for n in shape))
    f = RNG.integers(-100, 100, shape).astype(dtype)
    wanted, plan = whole_and_in_parts(operator, grid, shape, [f], **options)
    found = plan.apply([f])
    again = plan.apply([f])
    assert stretches.stretches_of(plan) is None
    for ours, later, theirs in zip(found, again, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)
        np.testing.assert_array_equal(later, theirs, strict=True)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "axis",
    [
        {"coordinates": -rough()},
        {"coordinates": rough().astype("float32")},
        {"coordinates": np.cumsum(RNG.integers(1, 9, N)).astype("datetime64[s]")},
        {"coordinates": rough(), "boundary": (Dirichlet(2.0), Neumann(0.5))},
        {"coordinates": rough(), "boundary": (Antisymmetric(), "one-sided")},
    ],
    ids=["falling", "float32", "times", "walls", "mirror"],
)
def test_all_kinds_of_long_axes_are_taken_in_parts(axis):
    f = RNG.standard_normal(N)
    wanted, plan = whole_and_in_parts(D(0, 2) + D(0), Grid(Axis(**axis)), (N,), [f])
    np.testing.assert_array_equal(plan(f), wanted[0], strict=True)


@pytest.mark.usefixtures("short")
def test_views_targets_and_fortran_order():
    grid = Grid(Axis(coordinates=rough()), Axis(0.5))
    f = np.asfortranarray(RNG.standard_normal((N, 3)))
    wanted, plan = whole_and_in_parts(Gradient(2), grid, (N, 3), [f])
    found = plan(f)
    assert all(result.flags.f_contiguous for result in found)
    np.testing.assert_array_equal(found, wanted)
    _, plan = whole_and_in_parts(Gradient(2), grid, (N, 3), [f])
    room = np.full((2, N, 6), 7.0)
    assert plan(f[::1], out=[room[0, :, ::2], room[1, :, ::2]])[0].base is room
    np.testing.assert_array_equal(room[:, :, ::2], wanted)
    assert (room[:, :, 1::2] == 7).all()


def test_axes_that_wrap_or_weights_of_extreme_size_are_not_deferred(monkeypatch):
    monkeypatch.setattr(coordinates, "LONG", 100)
    x = rough()
    far = np.append(np.arange(N - 1.0), 1e300)
    for axis, at in (
        (Axis(coordinates=x, boundary="periodic", period=2 * x[-1]), "centre"),
        (Axis(coordinates=x * 1e-40), "centre"),
        (Axis(coordinates=x * 1e40), "centre"),
        (Axis(coordinates=far), "centre"),
        (Axis(coordinates=x * 1e-300), "centre"),
        (Axis(coordinates=x), "inner"),
    ):
        plan = D(0, at="centre", to=at).on(Grid(axis), (N,))
        assert not any(rows.deferred for step in plan.bound.alongs() for rows in step.rule.rows)
    # Weights of about 2**-127.
    wide = D(0, 2, stencil=Stencil((-440, 0, 440), 2))
    plan = wide.on(Grid(Axis(coordinates=x * 2.0**55)), (N,))
    assert not any(rows.deferred for step in plan.bound.alongs() for rows in step.rule.rows)


@pytest.mark.usefixtures("short")
def test_what_is_left_of_weights_that_cancel_counts_where_the_dtype_is_chosen():
    """Weights of about 2**-97 that cancel leave some below the range of float32."""
    x = np.cumsum(np.random.default_rng(8).integers(1, 9, N)) * 10**9
    f = np.random.default_rng(9).standard_normal(N).astype("float32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coordinates, "LONG", 2**60)
        wanted = D(0, 3).on(Grid(Axis(coordinates=x)), (N,))(f)
    with np.errstate(under="raise"):
        found = D(0, 3).on(Grid(Axis(coordinates=x)), (N,))(f)
    np.testing.assert_array_equal(found, wanted, strict=True)


@pytest.mark.usefixtures("short")
def test_an_axis_that_stencils_of_its_ends_reach_across_is_taken_whole():
    f = RNG.standard_normal(N)
    first = D(0, stencil=Stencil((-170, 0, 170), 1))
    grid = Grid(Axis(coordinates=rough()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coordinates, "LONG", 2**60)
        wanted = (first @ first @ first @ first @ first).on(grid, (N,))(f)
    plan = (first @ first @ first @ first @ first).on(grid, (N,))
    np.testing.assert_array_equal(plan(f), wanted, strict=True)


@pytest.mark.usefixtures("short")
def test_other_plans_are_made_of_weights_that_are_still_to_be_computed():
    x, f = rough(), RNG.standard_normal(N)
    wanted, plan = whole_and_in_parts(D(0), Grid(Axis(coordinates=x)), (N,), [f])
    (matrix,) = (plan.matrix(),)
    np.testing.assert_allclose(matrix @ f, wanted[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(plan.T(f), matrix.T @ f, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(plan))(f), wanted[0])
    assert "derivative" in plan.explain()
    block = plan.block([(200, 700)], plan.halo)
    np.testing.assert_array_equal(
        block(f[200 - plan.halo[0] : 700 + plan.halo[0]]), wanted[0][200:700]
    )


@pytest.fixture
def asked(monkeypatch):
    """The rows whose weights are asked for from now on, part by part."""
    found = []
    weights = coordinates.OnCoordinates._weights
    monkeypatch.setattr(
        coordinates.OnCoordinates,
        "_weights",
        lambda self, accuracy, *rows: found.append(rows) or weights(self, accuracy, *rows),
    )
    return found


@pytest.mark.usefixtures("short")
def test_blocks_of_dask_compute_the_weights_of_their_own_rows(asked):
    da = pytest.importorskip("dask.array", reason="dask is not installed")
    x, f = rough(), RNG.standard_normal(N)
    wanted, plan = whole_and_in_parts(D(0, 2), Grid(Axis(coordinates=x)), (N,), [f])
    asked.clear()
    lazy = plan(da.from_array(f, chunks=250))
    assert not asked
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), wanted[0])
    assert max(stop - start for start, stop in asked) <= 250


@pytest.mark.usefixtures("short")
def test_errors_are_told_once_when_all_results_are_there(recwarn):
    f = np.full(N, 1e308)
    f[::2] *= -1
    wanted, plan = whole_and_in_parts(D(0), Grid(Axis(coordinates=rough() / 100)), (N,), [f])
    recwarn.clear()
    out = np.zeros(N)
    with np.errstate(over="raise", invalid="ignore"), pytest.raises(FloatingPointError):
        plan(f, out=out)
    np.testing.assert_array_equal(out, wanted[0])
    assert not recwarn.list


@pytest.mark.usefixtures("short")
def test_outputs_that_share_a_rule_share_its_weights(asked):
    x, v = rough(), RNG.standard_normal((3, N))
    plan = Jacobian((0,), 3).on(Grid(Axis(coordinates=x)), (N,))
    found = plan(v)
    assert len(set(asked)) == len(asked) > 3
    for slope, f in zip(found, v, strict=True):
        np.testing.assert_array_equal(slope, gradkit.derivative(f, x))


@pytest.mark.usefixtures("short")
def test_parts_share_a_kernel(monkeypatch):
    pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setattr(cpu, "COMPILED", 0)
    made = []

    def loaded(key, compiles):
        made.append(key)
        return loading.loaded(key, compiles)

    monkeypatch.setattr("gradkit.engines.cpu.compiled.loaded", loaded)
    operator, shape, options = PLANS["two terms"]
    plan = operator.on(Grid(Axis(coordinates=rough())), shape, **options)
    plan(np.zeros(shape))
    assert len(made) > 3
    assert len(set(made)) == 1


@pytest.mark.usefixtures("short")
def test_results_may_be_written_over_the_coordinates(monkeypatch):
    monkeypatch.setattr("gradkit.arguments._SMALL", 100)
    monkeypatch.setattr("gradkit.arguments._LARGE", 100)
    monkeypatch.setattr("gradkit.arguments._HUGE", 100)
    x, f = rough(), RNG.standard_normal(N)
    wanted = gradkit.gradient(f, x.copy())
    assert gradkit.gradient(f, x, out=x) is x
    np.testing.assert_array_equal(x, wanted)


def test_long_coordinates_of_one_call_are_not_copied(monkeypatch):
    monkeypatch.setattr("gradkit.arguments._SMALL", 100)
    monkeypatch.setattr("gradkit.arguments._LARGE", 100)
    monkeypatch.setattr("gradkit.arguments._HUGE", 100)
    made = []

    def make_plan(operator, grid, *arguments, **keywords):
        made.append(grid)
        return planning.make_plan(operator, grid, *arguments, **keywords)

    monkeypatch.setattr("gradkit.arguments.make_plan", make_plan)
    x = rough()
    gradkit.gradient(x, x)
    assert np.shares_memory(made[-1].axes[0].coordinates.values, x)
    assert x.flags.writeable
    for lazy in ("torch", "dask.array"):
        library = pytest.importorskip(lazy, reason=f"{lazy} is not installed")
        gradkit.gradient(library.asarray(x), x)
        assert not np.shares_memory(made[-1].axes[0].coordinates.values, x)


@pytest.mark.parametrize("options", [{}, {"accuracy": 4}])
def test_a_call_takes_little_memory_beside_its_results(options):
    """About 17 and 33 MiB. All weights take 34 and more than 230; 64 are allowed for any size."""
    n = coordinates.LONG + 100
    x, f = rough(n), np.zeros(n)
    gradkit.gradient(f[:200], x[:200], **options)
    tracemalloc.start()
    result = gradkit.gradient(f, x, **options)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most - result.nbytes < 2**26


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("place", ["inner", "outer"])
def test_results_at_faces_are_computed_whole(place):
    both = Operator.matrix([[D(0)], [D(0, at="centre", to=place)]])
    plan = both.on(Grid(Axis(coordinates=rough(), boundary=Dirichlet(1.0))), (N,))
    assert any(rows.deferred for step in plan.bound.alongs() for rows in step.rule.rows)
    f = RNG.standard_normal(N)
    with use_engine("reference"):
        wanted = plan(f)
    again = both.on(plan.grid, (N,))
    for ours, theirs in zip(again(f), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)
