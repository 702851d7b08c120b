"""Plans: frozen values that can be sent, shared, cut into blocks, and that check what they get."""

import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, FiniteDifference, Grid, Plan, make_plan
from gradkit.errors import ArgumentTypeError, ArgumentValueError, AxisError, UnsupportedError
from gradkit.systems import (
    Curl,
    Divergence,
    Gradient,
    Hessian,
    Jacobian,
    Laplacian,
)

ROUGH = [0.0, 1.0, 1.5, 3.0, 4.0, 4.25, 6.0, 7.0, 9.0, 9.5, 10.0, 12.0]
LINE = Grid(Axis(spacing=0.5))
PLANE = Grid(Axis(spacing=0.5), Axis(coordinates=ROUGH))


def plans():
    """A fresh set of plans of every kind: equal ones are made by every call."""
    return [
        D(0).on(LINE, (10,)),
        D(0, 2).on(LINE, (10,), method=FiniteDifference(4), edge_order=1),
        (D(0) * D(1) + Fraction(1, 3)).on(PLANE, (10, 12), nan="raise"),
        Gradient((0, 1)).on(PLANE, (10, 12), dtype="float32"),
        Curl((0, 1)).on(PLANE, (10, 12), unit="h"),
    ]


# --- plans are values -----------------------------------------------------------------------------


def test_plans_from_equal_parts_are_equal():
    first, second = plans(), plans()
    assert first == second
    assert [hash(p) for p in first] == [hash(p) for p in second]
    assert len(set(first + second)) == len(first)


@pytest.mark.parametrize(
    "other",
    [
        D(0, 2).on(LINE, (10,)),
        D(0).on(LINE, (11,)),
        D(0).on(Grid(Axis(spacing=0.25)), (10,)),
        D(0).on(Grid(Axis(spacing=0.5, boundary="periodic")), (10,)),
        D(0).on(LINE, (10,), method=FiniteDifference(4)),
        D(0).on(LINE, (10,), edge_order=1),
        D(0).on(LINE, (10,), nan="raise"),
        D(0).on(LINE, (10,), dtype="float32"),
        D(0).on(LINE, (10,), unit="h"),
        D(0).on(LINE, (10,)).block([(2, 5)], [2]),
        (2 * D(0)).on(LINE, (10,)),
    ],
    ids=repr,
)
def test_plans_that_differ_in_one_part_are_not_equal(other):
    assert D(0).on(LINE, (10,)) != other


def test_negative_axes_and_repeated_terms_make_the_same_plan():
    assert D(-1).on(LINE, (10,)) == D(0).on(LINE, (10,))
    assert (D(0) + D(-2)).on(PLANE, (10, 12)) == (2 * D(0)).on(PLANE, (10, 12))


def test_blocks_that_take_different_inputs_are_not_equal():
    plan = D(0).on(LINE, (10,))
    narrow, wide = plan.block([(3, 6)], [2]), plan.block([(3, 6)], [3])
    assert narrow.input_shape != wide.input_shape
    assert narrow != wide
    assert narrow == plan.block([(3, 6)], [2])


@pytest.mark.parametrize("name", ["shape", "nan", "operator", "bound", "memo"])
def test_plans_are_frozen(name):
    plan = D(0).on(LINE, (10,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(plan, name, None)


def test_a_call_leaves_no_mark_on_the_value():
    plan, untouched = D(0).on(LINE, (10,)), D(0).on(LINE, (10,))
    before = hash(plan), repr(plan)
    for dtype in ("float32", "float64", "int16", "complex64"):
        plan(np.arange(10).astype(dtype))
    assert plan == untouched
    assert (hash(plan), repr(plan)) == before


def test_repr_names_every_part():
    plan = D(0).on(LINE, (10,), method=FiniteDifference(4), edge_order=1, dtype=np.float32)
    for part in (
        "operator=D(0)",
        "Axis(spacing=0.5)",
        "shape=(10,)",
        "FiniteDifference(accuracy=4)",
        "edge_order=1",
        "nan='propagate'",
        "dtype='float32'",
    ):
        assert part in repr(plan)


# --- sent elsewhere -------------------------------------------------------------------------------


def inputs_for(plan, rng):
    arrays = [rng.normal(size=plan.input_shape) for _ in range(plan.reads)]
    return arrays if len(arrays) > 1 else arrays[0]


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


@pytest.mark.parametrize("called_before", [False, True])
def test_pickled_plans_work_and_are_equal(rng, called_before):
    for plan in plans():
        f = inputs_for(plan, rng)
        if called_before:
            plan(f)
        copy = pickle.loads(pickle.dumps(plan))
        assert copy == plan
        assert hash(copy) == hash(plan)
        assert copy.halo == plan.halo
        for result, expected in zip(as_tuple(copy(f)), as_tuple(plan(f)), strict=True):
            np.testing.assert_array_equal(result, expected, strict=True)


def test_what_engines_have_built_is_not_sent_along(rng):
    plan = Laplacian((0, 1)).on(PLANE, (10, 12))
    size = len(pickle.dumps(plan))
    plan(inputs_for(plan, rng))
    assert len(pickle.dumps(plan)) <= size + 100  # room for the halo, once it is known


def test_a_plan_works_in_another_process(rng, fresh_python):
    plan = (D(0) * D(1)).on(PLANE, (10, 12), method=FiniteDifference(4))
    f = rng.normal(size=(10, 12))
    code = f"""
import pickle
plan, f = pickle.loads(bytes.fromhex({pickle.dumps((plan, f)).hex()!r}))
print(plan(f).tobytes().hex(), plan.block([(2, 4), (0, 12)], plan.halo).halo)
"""
    numbers, halo = fresh_python(code).strip().split(" ", 1)
    assert bytes.fromhex(numbers) == plan(f).tobytes()
    assert len(eval(halo)) == 2


def test_many_threads_may_call_one_plan(rng):
    plan = (D(0, 2) + D(0) * D(1)).on(PLANE, (10, 12))
    dtypes = ["float64", "float32", "complex128", "int32"]
    arrays = [(100 * rng.normal(size=(10, 12))).astype(dtypes[i % 4]) for i in range(80)]
    expected = [(D(0, 2) + D(0) * D(1)).on(PLANE, (10, 12))(f) for f in arrays[:8]]
    expected += [None] * 72
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(plan, arrays))
    for f, result, alone in zip(arrays, results, expected, strict=True):
        np.testing.assert_array_equal(result, plan(f) if alone is None else alone, strict=True)


# --- what a plan knows of itself ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "grid", "shape", "halo"),
    [
        (D(0), Grid(Axis(boundary="periodic")), (9,), (1,)),
        (D(0), Grid(Axis()), (9,), (2,)),  # the first row uses three points
        (D(0, 2) + D(0), Grid(Axis()), (9,), (3,)),  # (2 f0 - 5 f1 + 4 f2 - f3) / h**2
        (D(1), Grid(None, Axis(boundary="antiperiodic")), (9, 9), (0, 1)),
        (D(0) * D(1), Grid(Axis(boundary="periodic"), Axis()), (9, 9), (1, 2)),
        (D(0) ** 0, Grid(None), (9,), (0,)),
    ],
)
def test_the_halo_is_known_per_axis(operator, grid, shape, halo):
    assert operator.on(grid, shape).halo == halo


@pytest.mark.parametrize(
    ("operator", "reads", "writes"),
    [
        (Laplacian((0, 1)), 1, 1),
        (Gradient((0, 1)), 1, 2),
        (Divergence((0, 1)), 2, 1),
        (Curl((0, 1)), 2, 1),
        (Jacobian((0, 1), 2), 2, 4),
        (Hessian((0, 1)), 1, 3),  # both mixed derivatives are one array
    ],
)
def test_reads_and_writes_count_the_arrays_that_a_call_must_move(rng, operator, reads, writes):
    plan = operator.on(PLANE, (10, 12))
    assert (plan.reads, plan.writes) == (reads, writes)
    assert len({id(a) for a in as_tuple(plan(inputs_for(plan, rng)))}) == writes
    for dtype, size in (("float64", 8), ("float32", 4), (np.complex128, 16), (np.dtype("f4"), 4)):
        assert plan.minimum_bytes(dtype) == (reads + writes) * 120 * size
    assert plan.minimum_bytes() == plan.minimum_bytes("float64")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_minimum_bytes_knows_the_half_precisions(dtype):
    assert D(0).on(LINE, (10,)).minimum_bytes(dtype) == 2 * 10 * 2


def test_minimum_bytes_of_a_block_counts_its_halo():
    block = Laplacian((0, 1)).on(PLANE, (10, 12)).block([(4, 6), (0, 3)], (3, 3))
    assert block.minimum_bytes("float64") == (8 * 6 + 2 * 3) * 8


# --- blocks ---------------------------------------------------------------------------------------

BLOCKS = {
    "uniform": (D(0, 2) - 3 * D(0), Grid(Axis(spacing=0.1)), (12,)),
    "uniform accuracy 4": (D(0), Grid(Axis(spacing=0.1)), (12,), FiniteDifference(4)),
    "coordinates": (D(0) + D(0, 2), Grid(Axis(coordinates=ROUGH)), (12,)),
    "periodic": (D(0, 3) + D(0), Grid(Axis(spacing=0.1, boundary="periodic")), (12,)),
    "antiperiodic": (D(0, 2) + 1, Grid(Axis(spacing=0.1, boundary="antiperiodic")), (12,)),
    "antiperiodic coordinates": (
        D(0, 2) + D(0),
        Grid(Axis(coordinates=ROUGH, boundary="antiperiodic", period=13)),
        (12,),
    ),
    "mixed derivative": (
        D(0) * D(1, 2) + D(1),
        Grid(Axis(spacing=0.1, boundary="periodic"), Axis(coordinates=ROUGH)),
        (10, 12),
    ),
    "laplacian with a batch axis": (
        Laplacian((0, 2)),
        Grid(Axis(coordinates=ROUGH), None, Axis(boundary="antiperiodic")),
        (12, 5, 9),
    ),
    "several inputs": (
        Curl((0, 1, 2)),
        Grid(Axis(), Axis(boundary="periodic"), Axis(coordinates=ROUGH[:7])),
        (6, 5, 7),
    ),
    "axes in separate terms": (
        2 * D(0) - D(1, 2) + Fraction(1, 3),
        Grid(Axis(boundary="periodic"), Axis(boundary="antiperiodic")),
        (7, 8),
    ),
}


def part_of(f, plan, extent, halo):
    """The rows of a block and its halo, cut by hand: wrapped where the axis wraps, else clipped."""
    for axis, (start, stop) in enumerate(extent):
        bounded = plan.grid.axes[axis]
        if bounded is None or not any(f.axis == axis for f in plan.operator.factors()):
            indices = np.arange(start, stop)
        elif bounded.boundary == "one-sided":
            size = f.shape[axis]
            indices = np.arange(max(start - halo[axis], 0), min(stop + halo[axis], size))
        else:
            indices = np.arange(start - halo[axis], stop + halo[axis]) % f.shape[axis]
        f = np.take(f, indices, axis=axis)
    return f


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_give_the_rows_of_the_whole_bit_for_bit(rng, name, dtype):
    operator, grid, shape, *method = BLOCKS[name]
    plan = operator.on(grid, shape, method=method[0] if method else None)
    inputs = [(1000 * rng.normal(size=shape)).astype(dtype) for _ in range(plan.reads)]
    whole = as_tuple(plan(inputs if len(inputs) > 1 else inputs[0]))
    for trial in range(25):
        extent = []
        for size in shape:
            start, stop = sorted(rng.choice(size + 1, 2, replace=False).tolist())
            extent.append((start, stop) if trial else (0, size))
        halo = [reach + int(rng.integers(0, 3)) for reach in plan.halo]
        block = plan.block(extent, halo)
        parts = [part_of(f, plan, extent, halo) for f in inputs]
        assert block.input_shape == parts[0].shape
        results = as_tuple(block(parts if len(parts) > 1 else parts[0]))
        for result, expected in zip(results, whole, strict=True):
            rows = expected[tuple(slice(*bounds) for bounds in extent)]
            assert block.output_shape == rows.shape
            assert result.tobytes() == np.ascontiguousarray(rows).tobytes()


def test_a_block_of_one_row_needs_its_halo_and_nothing_else(rng):
    plan = D(0).on(Grid(Axis(boundary="periodic")), (9,))
    f = rng.normal(size=9)
    for row in range(9):
        block = plan.block([(row, row + 1)], [1])
        part = f[[row - 1, row, (row + 1) % 9]]
        assert block(part).tolist() == [plan(f)[row]]


@pytest.mark.parametrize(
    ("extent", "halo"),
    [
        ([(3, 6)], [0]),  # less than the rows reach
        ([(8, 12)], [2]),  # beyond the axis
        ([(-2, 3)], [2]),
        ([(5, 5)], [2]),  # nothing
        ([(6, 3)], [2]),
        ([(3, 6)], [-1]),
        ([(3, 6), (0, 1)], [2, 0]),  # one axis too many
        ([], []),
    ],
)
def test_blocks_that_cannot_be_computed_are_refused(extent, halo):
    plan = D(0).on(LINE, (10,))
    with pytest.raises((ArgumentValueError, ArgumentTypeError), match=r"extent|halo|block"):
        plan.block(extent, halo)


# --- making a plan --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"nan": "propogate"}, ArgumentValueError, "nan='propogate'.*did you mean 'propagate'"),
        ({"nan": None}, ArgumentValueError, "nan=None is not one of 'propagate', 'raise', 'adapt'"),
        ({"nan": "adapt"}, UnsupportedError, "nan='adapt' is not available yet"),
        ({"method": 4}, ArgumentTypeError, r"method=4 is not a method such as FiniteDifference\(4"),
        ({"method": "central"}, ArgumentTypeError, "method='central' is not a method"),
        ({"method": FiniteDifference}, ArgumentTypeError, "method=.*FiniteDifference.*"),
        ({"edge_order": 0}, ArgumentValueError, "edge_order=0 is not >= 1"),
        ({"edge_order": 1.0}, ArgumentTypeError, r"edge_order=1\.0 is not an integer"),
        ({"edge_order": True}, ArgumentTypeError, "edge_order=True is not an integer"),
        ({"dtype": "int32"}, ArgumentTypeError, "dtype='int32' cannot hold a derivative"),
        ({"dtype": bool}, ArgumentTypeError, "dtype=.*bool.* cannot hold a derivative"),
        ({"dtype": "flaot32"}, ArgumentTypeError, "dtype='flaot32'"),
        ({"dtype": 32}, ArgumentTypeError, "dtype=32"),
        ({"unit": "sec"}, ArgumentValueError, "unit='sec' is not one of"),
        ({"unit": 1}, ArgumentValueError, "unit=1 is not one of"),
        ({"shape": (2,)}, ArgumentValueError, "axis 0 has 2 points.*order 1.*needs at least 3"),
        ({"shape": (0,)}, ArgumentValueError, "axis 0 has 0 points"),
        ({"shape": (10, 3)}, ArgumentValueError, r"grid has 1 axes, but shape=\(10, 3\) has 2"),
        ({"shape": (10.5,)}, ArgumentTypeError, r"shape\[0\]=10\.5 is not an integer"),
        ({"shape": (-3,)}, ArgumentValueError, r"shape\[0\]=-3 is not >= 0"),
        ({"shape": 10}, ArgumentTypeError, "shape=10"),
        ({"operator": D(1)}, AxisError, "axis=1 is out of bounds"),
        ({"operator": "gradient"}, ArgumentTypeError, "operator='gradient'"),
        ({"grid": Grid(None)}, ArgumentValueError, r"axis 0 is a batch axis \(None\)"),
        ({"grid": Axis()}, ArgumentTypeError, r"grid=Axis\(spacing=1\)"),
        (
            {"grid": Grid(Axis(coordinates=[0, 1, 3]))},
            ArgumentValueError,
            "coordinates of axis 0 have 3 points, but the array has 10",
        ),
        ({"operator": D(0, 9)}, ArgumentValueError, "order 9 .*needs at least 11"),
    ],
    ids=repr,
)
def test_what_cannot_be_bound_raises(arguments, error, message):
    parts = {"operator": D(0), "grid": LINE, "shape": (10,), **arguments}
    with pytest.raises(error, match=message):
        make_plan(**parts)


def test_the_message_names_the_axis_that_is_too_short():
    grid = Grid(Axis(), None, Axis())
    with pytest.raises(ArgumentValueError, match=r"axis 2 has 3 points.*needs at least 5"):
        D(-1).on(grid, (9, 1, 3), method=FiniteDifference(4))


def test_batch_axes_may_have_any_length():
    grid = Grid(None, Axis(), None)
    assert D(1).on(grid, (0, 5, 1))(np.zeros((0, 5, 1))).shape == (0, 5, 1)


def test_arguments_are_left_as_they_were():
    shape = [4]
    coordinates = np.array([0.0, 1.0, 3.0, 5.0])
    f = np.array([0.0, 1.0, 9.0, 25.0])
    plan = D(0).on(Grid(Axis(coordinates=coordinates)), shape, edge_order=1)
    result = plan(f)
    shape[0] = 5
    coordinates[:] = 7.0
    assert (plan.shape, f.tolist()) == ((4,), [0.0, 1.0, 9.0, 25.0])
    assert plan(f).tolist() == result.tolist() == pytest.approx([1.0, 2.0, 6.0, 8.0], rel=1e-15)


# --- calling a plan -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (np.zeros(9), ArgumentValueError, r"f has shape \(9,\): this plan was made for .*\(10,\)"),
        (np.zeros((10, 1)), ArgumentValueError, r"f has shape \(10, 1\)"),
        (1.0, ArgumentValueError, r"f has shape \(\)"),
        (np.zeros(10, bool), ArgumentTypeError, "dtype bool.*convert it"),
        (np.zeros(10, object), ArgumentTypeError, "dtype object"),
        (["a"] * 10, ArgumentTypeError, "dtype str"),
        ([[1, 2], [3]], ArgumentTypeError, "f cannot be made into an array"),
    ],
    ids=repr,
)
def test_a_plan_refuses_what_does_not_fit(f, error, message):
    with pytest.raises(error, match=message):
        D(0).on(LINE, (10,))(f)


def test_a_plan_of_several_inputs_counts_them(rng):
    plan = Divergence((0, 1)).on(PLANE, (10, 12))
    u, v = rng.normal(size=(2, 10, 12))
    expected = gradkit.derivative(u, 0.5, axis=0) + gradkit.derivative(v, ROUGH, axis=1)
    for inputs in ((u, v), [u, v], np.stack([u, v])):
        np.testing.assert_array_equal(plan(inputs), expected, strict=True)
    with pytest.raises(ArgumentValueError, match="f has 3 components: wanted 2 arrays"):
        plan([u, v, u])
    with pytest.raises(ArgumentValueError, match="f has 10 components: wanted 2"):
        plan(u)
    with pytest.raises(ArgumentTypeError, match="f is of type float: wanted 2 arrays"):
        plan(1.0)
    with pytest.raises(ArgumentValueError, match=r"f\[1\] has shape \(9, 12\)"):
        plan([u, v[1:]])


def test_out_is_written_and_returned(rng):
    plan = Gradient((0, 1)).on(PLANE, (10, 12))
    f = rng.normal(size=(10, 12))
    out = (np.full((10, 12), np.nan), np.full((10, 12), np.nan))
    assert plan(f, out) is out
    for written, expected in zip(out, plan(f), strict=True):
        np.testing.assert_array_equal(written, expected, strict=True)


@pytest.mark.parametrize(
    ("second", "error", "message"),
    [
        (lambda f, first: np.zeros((9, 12)), ArgumentValueError, r"out\[1\] has shape \(9, 12\)"),
        (lambda f, first: np.zeros((10, 12), "f4"), ArgumentTypeError, r"out\[1\] .*float32"),
        (lambda f, first: f, ArgumentValueError, r"out\[1\] shares memory with an input"),
        (lambda f, first: first[::-1], ArgumentValueError, r"out\[0\] and out\[1\] share memory"),
        (lambda f, first: "x", ArgumentTypeError, r"out\[1\] is of type str"),
        (
            lambda f, first: np.broadcast_to(0.0, (10, 12)),
            ArgumentValueError,
            r"out\[1\] is read-only",
        ),
    ],
)
def test_nothing_is_written_unless_every_out_fits(rng, second, error, message):
    plan = Gradient((0, 1)).on(PLANE, (10, 12))
    f = rng.normal(size=(10, 12))
    first, before = np.full((10, 12), 7.0), f.copy()
    with pytest.raises(error, match=message):
        plan(f, (first, second(f, first)))
    assert (first == 7.0).all()
    np.testing.assert_array_equal(f, before)


@pytest.mark.parametrize("out", [np.zeros((10, 12)), (np.zeros((10, 12)),), 3], ids=type)
def test_out_has_one_array_per_output(rng, out):
    plan = Gradient((0, 1)).on(PLANE, (10, 12))
    with pytest.raises(ArgumentTypeError, match="out must be a sequence of 2 arrays"):
        plan(rng.normal(size=(10, 12)), out)


def test_nan_raise_checks_every_input():
    plan = D(0).on(LINE, (4,), nan="raise")
    assert plan(np.arange(4.0)).tolist() == [2.0] * 4
    with pytest.raises(ArgumentValueError, match="f holds NaN and nan='raise' was given"):
        plan(np.array([0.0, np.nan, 1.0, 2.0]))
    system = Divergence((0, 1)).on(Grid(Axis(), Axis()), (3, 3), nan="raise")
    with pytest.raises(ArgumentValueError, match=r"f\[1\] holds NaN"):
        system([np.zeros((3, 3)), np.full((3, 3), np.nan)])


def test_make_plan_and_on_are_the_same():
    plan = make_plan(D(0), LINE, (10,), edge_order=1)
    assert isinstance(plan, Plan)
    assert plan == D(0).on(LINE, (10,), edge_order=1)


def test_magnitudes_are_forms_of_their_own():
    plan = D(0).on(Grid(Axis()), (8,), edge_order=1)
    assert plan.magnitude != plan.T.magnitude
    assert plan.T.magnitude == plan.magnitude.T
    assert plan.T.magnitude == plan.H.magnitude
    assert plan.magnitude.magnitude == plan.magnitude == plan.magnitude.T.H
    f = np.arange(1.0, 9.0)
    sizes = abs(plan.matrix("array"))
    np.testing.assert_allclose(plan.magnitude.T(f), sizes.T @ f, rtol=1e-15)
    assert plan.magnitude.refined == plan.refined.magnitude
    assert plan.T.magnitude.refined == plan.refined.T.magnitude
