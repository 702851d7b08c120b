"""Small NumPy arrays taken whole: the bits of the reference; memory; errors; threads."""

import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, FiniteDifference, Gradient, Grid, Laplacian, explain_engine
from gradkit.engines import reference
from gradkit.engines.cpu import FEW, straight
from gradkit.engines.program import program_of

from .plans import (
    DTYPES,
    PLANS,
    SHAPE,
    assert_gaps_are_left_alone,
    grid,
    inputs_of,
)

rng = np.random.default_rng(21)
GRID = Grid(Axis(spacing=0.5), Axis(spacing=-0.3))
REAL = [name for name in DTYPES if name not in ("complex64", "int64", "uint64")]


@pytest.fixture(params=[1, 10**9], ids=["rows in one", "rows apart"])
def rows(request, monkeypatch):
    monkeypatch.setattr(straight, "ROWS", request.param)


def listed(plan, inputs):
    """What the lists of a plan write."""
    program = program_of(plan, inputs)
    results = [np.full(wanted.shape, 7, program.result) for wanted in program.sums]
    straight.whole(program, inputs).run(inputs, results)
    return results


def distinct(plan, results):
    return [results[number] for number in dict.fromkeys(plan.same)]


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", PLANS)
def test_lists_have_the_bits_of_the_reference(name, dtype):
    plan = PLANS[name]
    inputs = inputs_of(plan, dtype)
    kept = [f.copy() for f in inputs]
    wanted = distinct(plan, reference.run(plan, inputs))
    for ours, theirs in zip(listed(plan, inputs), wanted, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
    for f, before in zip(inputs, kept, strict=True):
        np.testing.assert_array_equal(f, before)


@pytest.mark.usefixtures("rows")
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", PLANS)
def test_nan_infinities_and_signs_of_zero(name):
    plan = PLANS[name]
    inputs = [rng.choice([0.0, -0.0, 1.0, np.nan, np.inf], f) for f in plan.input_shapes]
    wanted = distinct(plan, reference.run(plan, inputs))
    for ours, theirs in zip(listed(plan, inputs), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        numbers = ~np.isnan(theirs)
        np.testing.assert_array_equal(np.signbit(ours)[numbers], np.signbit(theirs)[numbers])


@pytest.mark.parametrize("name", ["axis 0", "axis 2", "accuracy 4", "walls", "hessian", "curl"])
def test_inputs_and_results_with_gaps(name):
    assert_gaps_are_left_alone(PLANS[name])


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("n", [2, 3, 4, 5, 16, 17, 18, 33])
@pytest.mark.parametrize("accuracy", [2, 4, 6])
@pytest.mark.parametrize("boundary", ["one-sided", "periodic", "antiperiodic"])
def test_axes_of_every_length(n, accuracy, boundary):
    # Pairs of rows, also where the ends of an axis meet, and where no row is alone.
    for shape, axis in (((n,), 0), ((n, 3), 0), ((3, n), 1), ((40, n), 1)):
        axes = Grid(*(Axis(spacing=0.3, boundary=boundary) for _ in shape))
        try:
            plan = D(axis).on(axes, shape, method=FiniteDifference(accuracy))
        except ValueError:
            continue
        f = rng.random(shape)
        assert listed(plan, [f])[0].tobytes() == reference.run(plan, [f])[0].tobytes()


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(("shape", "axis"), [((3, 9, 4), 1), ((5, 9), 1), ((9, 4), 0)])
def test_weights_along_an_axis_between_others(shape, axis):
    z = np.cumsum(rng.uniform(0.5, 2, 9))
    axes = Grid(*(Axis(coordinates=z) if k == axis else Axis() for k in range(len(shape))))
    plan, f = D(axis).on(axes, shape), rng.random(shape)
    found = listed(plan, [f])[0]
    assert found.tobytes() == reference.run(plan, [f])[0].tobytes()
    np.testing.assert_allclose(found, np.gradient(f, z, axis=axis, edge_order=2), rtol=1e-12)


@pytest.mark.parametrize("n", [10, 100, 1000, 100_000])
def test_the_bits_of_numpy(n):
    f = rng.random(n)
    assert explain_engine(f).engine == "cpu"
    assert gradkit.gradient(f, 0.1).tobytes() == np.gradient(f, 0.1).tobytes()


def test_results_are_laid_out_as_the_input():
    f = np.asfortranarray(rng.random((5, 6)))
    assert gradkit.gradient(f, axis=0).flags.fnc
    assert gradkit.gradient(f.T, axis=0).flags.c_contiguous


@pytest.fixture
def lists(monkeypatch):
    """The lists that are made, one entry each."""
    made, make = [], straight.whole
    monkeypatch.setattr(straight, "whole", lambda *given: made.append(1) or make(*given))
    return made


@pytest.mark.parametrize("name", ["gradient", "laplacian", "coordinates", "integers"])
def test_first_calls_make_no_list_and_have_the_same_bits(name, lists):
    f = rng.random((7, 9)) if name != "integers" else rng.integers(0, 99, (7, 9), np.int16)
    uneven = Grid(*(Axis(coordinates=np.cumsum(rng.uniform(0.5, 1.5, n))) for n in f.shape))
    operator = Laplacian(2) if name == "laplacian" else Gradient(2)
    plan = operator.on(uneven if name == "coordinates" else GRID, f.shape)
    wanted = reference.run(plan, [f])
    for number in range(FEW + 3):
        assert len(lists) == (number > FEW)
        found = plan.apply([f])
        assert [a.tobytes() for a in found] == [a.tobytes() for a in wanted]
        assert all(a.flags.c_contiguous and a.flags.writeable for a in found)
    assert len(lists) == 1


def test_the_first_call_with_out_makes_the_list(lists):
    f = rng.random((7, 9))
    plan = D(0).on(GRID, f.shape)
    out = np.empty(f.shape)
    plan(f, out=out)
    assert len(lists) == 1
    plan(f, out=out)
    plan(f)
    assert len(lists) == 1


def test_an_error_that_is_asked_for_is_raised_by_the_first_call_too():
    f = np.asarray([1e308, -1e308, 1e308, -1e308])
    plan = D(0).on(Grid(Axis()), (4,))
    for _ in range(FEW + 2):
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            plan(f)


@pytest.mark.parametrize("name", ["gradient", "coordinates", "accuracy 8", "laplacian", "integers"])
def test_a_second_call_with_out_allocates_no_array(name):
    shape = (160, 200)
    uneven = Grid(*(Axis(coordinates=np.cumsum(rng.uniform(0.5, 1.5, n))) for n in shape))
    even = Grid(*(Axis(spacing=0.3) for _ in shape))
    plan = {
        "gradient": Gradient(2).on(even, shape),
        "coordinates": Gradient(2).on(uneven, shape),
        "accuracy 8": Gradient(2).on(even, shape, method=FiniteDifference(8)),
        "laplacian": Laplacian(2).on(even, shape),
        "integers": D(0).on(even, shape),
    }[name]
    f = rng.random(shape) if name != "integers" else rng.integers(0, 9, shape, np.int32)
    room = tuple(np.empty(shape) for _ in plan.same)
    out = room if len(room) > 1 else room[0]
    plan(f, out=out)
    tracemalloc.start()
    plan(f, out=out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # NumPy itself takes a buffer of 8192 elements where weights are broadcast.
    assert peak < 100_000 < f.size * 8 // 2


class WithoutUfuncs(np.ndarray):
    """Like an array with units: nothing but what is assigned to it may be in it."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        raise AssertionError(f"{ufunc.__name__} must not be told of this array")


@pytest.mark.parametrize("shape", [(5, 6), (60, 70)])
@pytest.mark.parametrize("kind", [np.matrix, np.recarray, WithoutUfuncs])
def test_targets_of_other_kinds_are_assigned_to(kind, shape):
    plan = Gradient(2).on(GRID, shape)
    f = rng.random(shape)
    out = tuple(np.zeros(shape).view(kind) for _ in shape)
    assert plan(f, out=out) is out
    for ours, theirs in zip(out, reference.run(plan, [f]), strict=True):
        assert type(ours) is kind
        np.testing.assert_array_equal(np.asarray(ours), theirs)


def test_memory_maps_are_written_in_place(tmp_path):
    shape = (60, 70)
    plan = D(1).on(GRID, shape)
    f = rng.random(shape)
    out = np.memmap(tmp_path / "out", float, "w+", shape=shape)
    assert plan(f, out=out) is out
    np.testing.assert_array_equal(out, reference.run(plan, [f])[0])


def test_memory_maps_are_served_like_plain_arrays(tmp_path):
    f = np.memmap(tmp_path / "f", float, "w+", shape=(60, 70))
    f[...] = rng.random(f.shape)
    assert explain_engine(f).engine == "cpu"
    ours, theirs = gradkit.gradient(f), np.gradient(np.asarray(f))
    assert [type(result) for result in ours] == [np.ndarray] * 2
    np.testing.assert_array_equal(ours, theirs)


def test_the_reason_against_arrays_of_other_kinds_names_them():
    reason = dict(explain_engine(np.ma.MaskedArray([1.0, 2.0])).reasons)["cpu"]
    assert reason == "serves plain numpy arrays, the input is a MaskedArray"


@pytest.mark.parametrize("shape", [(5, 6), (60, 70)])
def test_a_second_input_of_another_kind_is_left_to_the_reference(shape):
    plan = gradkit.Divergence(2).on(GRID, shape)
    u, v = rng.random(shape), rng.random(shape).view(np.matrix)
    assert explain_engine(u, v, plan=plan).engine == "reference"
    ours, theirs = plan([u, v]), reference.run(plan, [u, v])[0]
    assert type(ours) is type(theirs)
    np.testing.assert_array_equal(ours, theirs)


# --- floating-point errors ------------------------------------------------------------------------


def test_results_are_whole_when_an_error_is_raised():
    f = np.linspace(0, 1, 50)
    f[[20, 22]] = [1.7e308, -1.7e308]
    plan = D(0).on(Grid(Axis()), f.shape, edge_order=1)
    out = np.full(f.shape, np.nan)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        plan(f, out=out)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, np.gradient(f))


def test_neighbours_in_different_rows_raise_no_warning_and_others_do():
    # Rows of arrays without gaps are taken as one, so differences are taken across their ends, too.
    f = np.zeros((60, 70))
    f[:, 0], f[:, -2] = 1.2e308, -1.2e308
    plan = D(1).on(Grid(Axis(), Axis()), f.shape, edge_order=1)
    np.testing.assert_array_equal(plan(f), np.gradient(f, axis=1))
    f[7, [30, 32]] = [1.2e308, -1.2e308]
    with pytest.warns(RuntimeWarning, match="overflow"):
        found = plan(f)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, np.gradient(f, axis=1))


def test_warnings_that_are_errors_leave_results_whole():
    f = np.array([0.0, 1.7e308, 0.0, -1.7e308, 1.0])
    plan = D(0).on(Grid(Axis()), f.shape, edge_order=1)
    out = np.full(f.shape, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="overflow"):
            plan(f, out=out)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, np.gradient(f))


def test_a_handler_of_errors_may_call_plans():
    plan = Laplacian(3).on(grid(), SHAPE)
    f, g = rng.random(SHAPE), rng.random(SHAPE)
    wanted = reference.run(plan, [g])[0]
    found = []
    f[3, 3, 3:5] = [1.7e308, -1.7e308]

    def call(_kind, _flag):
        with np.errstate(all="ignore"):
            found.append(plan(g))

    with np.errstate(over="call", invalid="call", call=call):
        ours = plan(f)
    assert found
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(ours, reference.run(plan, [f])[0])
    for values in found:
        np.testing.assert_array_equal(values, wanted)


def test_threads_do_not_share_room():
    plan = Laplacian(3).on(grid(), SHAPE)
    inputs = [rng.random(SHAPE) for _ in range(8)]
    wanted = [reference.run(plan, [f])[0] for f in inputs]

    def work(number):
        return all(np.array_equal(plan(inputs[number]), wanted[number]) for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
