"""Kernels against the reference engine: every family, dtype, boundary, place and size."""

import numpy as np
import pytest

from gradkit import (
    Antisymmetric,
    Average,
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Hessian,
    Identity,
    Laplacian,
    Neumann,
    Operator,
    Robin,
    Stencil,
    Symmetric,
    operator_from_offsets,
)
from gradkit.engines.cuda.launch import launched, prepared
from gradkit.engines.cuda.layout import layout

ROUGH = np.cumsum(
    [0.0, 0.5, 1.0, 0.25, 2.0, 1.5, 0.5, 1.0, 0.75, 1.25, 0.5, 1.0, 2.0, 0.5, 1.0, 1.5]
)
LINE = Grid(Axis(0.3))


def plane(**options):
    return Grid(Axis(0.3, **options), Axis(0.7, **options))


def axis_of(kind, size):
    """An axis of some kind."""
    if kind == "coordinates":
        return Axis(coordinates=ROUGH[:size])
    if kind == "periodic coordinates":
        return Axis(coordinates=ROUGH[:size], boundary="periodic", period=ROUGH[size - 1] + 1)
    words = ("one-sided", "periodic", "antiperiodic")
    return Axis(0.3, boundary=kind if kind in words else WALLS[kind])


WALLS = {
    "dirichlet": Dirichlet(2.0),
    "neumann": (Neumann(1.5), "one-sided"),
    "robin": Robin(2.0, 1.0, 3.0),
    "symmetric": Symmetric(),
    "antisymmetric": Antisymmetric(at="next"),
}


def assert_as_reference(plan, device, inputs):
    """A launch gives what the reference gives, but for the rounding of products of magnitudes."""
    made = prepared(plan, inputs, device)
    assert not isinstance(made, str), made
    found = launched(plan, inputs, made, device)
    assert_walks_change_nothing(plan, inputs, made, device, found)
    with np.errstate(all="ignore"):
        wanted = plan.apply(inputs)
        sizes = plan.magnitude.apply([abs(np.asarray(f, made.key.compute)) for f in inputs])
    for got, want, size in zip(found, wanted, sizes, strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        # Each engine rounds a weight, a difference and a product of every term, and sums.
        eps = max(np.finfo(want.dtype).eps, np.finfo(made.key.real).eps)
        np.testing.assert_array_less(
            abs(got - want), 8 * eps * abs(size) + np.finfo(want.dtype).tiny
        )


def assert_walks_change_nothing(plan, inputs, made, device, found):
    """Blocks that take one step after the other give, bit for bit, what blocks of one step give."""
    for enough in (1, 2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gradkit.engines.cuda.layout.ENOUGH_BLOCKS", enough)
            made.launches.clear()
            again = launched(plan, inputs, made, device)
        for got, want in zip(again, found, strict=True):
            np.testing.assert_array_equal(got, want)


def inputs_of(plan, rng, dtype="float64"):
    """Random inputs whose values all dtypes hold."""
    kind = np.dtype(dtype).kind
    shapes = plan.input_shapes
    if kind == "c":
        return [(rng.normal(size=s) + 1j * rng.normal(size=s)).astype(dtype) for s in shapes]
    values = [rng.integers(0 if kind == "u" else -99, 100, s) for s in shapes]
    return [(v / (1 if kind in "iu" else 8)).astype(dtype) for v in values]


@pytest.mark.parametrize("kind", ["one-sided", "periodic", "periodic coordinates", "dirichlet"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("operator", [D(0), D(0, 2) + D(1), Laplacian(2), Gradient(2)])
def test_blocks_walk_along_the_rows_of_a_plane(host, rng, kind, dtype, operator):
    axes = axis_of(kind, 16), Axis(0.7, boundary="periodic")
    shape = (16 if kind == "periodic coordinates" else 70, 1028)
    plan, device = operator.on(Grid(*axes), shape), host()
    inputs = inputs_of(plan, rng, dtype)
    assert_as_reference(plan, device, inputs)
    key, *launched_first = device.launches[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradkit.engines.cuda.layout.ENOUGH_BLOCKS", 1)
        walking = layout(key, shape)
    assert walking.stretch > key.march
    assert [walking.grid, walking.block] != launched_first


# --- one axis -------------------------------------------------------------------------------------

SIZES = [3, 4, 5, 7, 8, 9, 16]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_first_derivatives_of_all_sizes(host, rng, size, dtype, axis):
    shape = (size, 8) if axis == 0 else (3, size)
    plan = D(axis).on(plane(), shape)
    assert_as_reference(plan, host(), inputs_of(plan, rng, dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("size", [*range(2, 11), 15, 16, 17, 255, 256, 257, 1023, 1025, 2049])
def test_lines_of_all_sizes(host, rng, size, dtype):
    """A single line ends anywhere within a vector, and within a block."""
    plan, device = D(0).on(LINE, (size,), edge_order=1), host()
    assert_as_reference(plan, device, inputs_of(plan, rng, dtype))
    assert device.launches[0][0].vector == 16 // np.dtype(dtype).itemsize


@pytest.mark.parametrize(
    "kind", ["one-sided", "periodic", "antiperiodic", "coordinates", "periodic coordinates", *WALLS]
)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", [1, 2])
def test_every_boundary_along_every_axis(host, rng, kind, axis, order):
    axes = [Axis(0.7), Axis(0.7)]
    axes[axis] = axis_of(kind, 16)
    plan = D(axis, order).on(Grid(*axes), (16, 16), method=FiniteDifference(4))
    assert_as_reference(plan, host(), inputs_of(plan, rng))


@pytest.mark.parametrize(
    "dtype",
    ["float16", "float32", "float64", "complex64", "complex128"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)],
)
def test_every_dtype(host, rng, dtype):
    plan = (D(0) + D(1, 2)).on(plane(), (8, 16))
    assert_as_reference(plan, host(), inputs_of(plan, rng, dtype))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("complex128", "complex64"),
        ("float64", "complex128"),
        ("float32", "complex64"),
        ("float32", "float64"),
        ("float64", "float32"),
        ("float64", "float16"),
        ("int32", "float32"),
        ("int16", "complex64"),
    ],
)
def test_every_dtype_of_results(host, rng, given, wanted):
    plan = (D(0) + D(1, 2)).on(plane(), (8, 16), dtype=wanted)
    assert_as_reference(plan, host(), inputs_of(plan, rng, given))


def test_differences_of_large_integers_are_exact(host):
    plan = D(0).on(Grid(Axis()), (9,))
    for dtype, start in (("int64", 2**60), ("uint64", 2**63), ("int64", -(2**63))):
        f = np.array([start + 3 * k for k in range(9)], dtype)
        (found,) = launched(plan, [f], prepared(plan, [f], host()), host())
        np.testing.assert_array_equal(found, np.full(9, 3.0))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("accuracy", [1, 2, 4, 6, 8])
def test_orders_and_accuracies(host, rng, order, accuracy):
    for grid, shape in ((LINE, (32,)), (plane(), (32, 4))):
        plan = D(0, order).on(grid, shape, method=FiniteDifference(accuracy))
        assert_as_reference(plan, host(), inputs_of(plan, rng))


# --- fields of several axes -----------------------------------------------------------------------

SPACE = Grid(Axis(0.3), Axis(0.7, boundary="periodic"), Axis(coordinates=ROUGH))
FIELDS = {
    "gradient": Gradient(3),
    "divergence": Divergence(3),
    "curl": Curl(3),
    "laplacian": Laplacian(3),
    "hessian": Hessian(3),
    "mixed": D(0) * D(1) * D(2),
    "mixed, higher": D(0, 2) * D(2) - 3 * D(1, 3),
    "identity": 2 * Identity() + D(1),
    "nothing": Operator.matrix([[0 * D(0), D(1)]]),
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fields(host, rng, name, dtype):
    plan = FIELDS[name].on(SPACE, (10, 5, 16))
    assert_as_reference(plan, host(), inputs_of(plan, rng, dtype))


@pytest.mark.parametrize("shape", [(4, 4, 4), (5, 4, 7), (9, 13, 3), (17, 4, 33), (3, 3, 65)])
def test_sizes_of_a_laplacian(host, rng, shape):
    plan = Laplacian(3).on(Grid(Axis(0.3), Axis(0.7), Axis(0.2)), shape, edge_order=1)
    assert_as_reference(plan, host(), inputs_of(plan, rng, "float32"))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, 4])
def test_axes_without_derivatives_are_merged(host, rng, axis):
    axes = [None] * 5
    axes[axis] = Axis(0.3)
    plan = D(axis).on(Grid(*axes), (4, 3, 5, 4, 6), edge_order=1)
    device = host()
    assert_as_reference(plan, device, inputs_of(plan, rng))
    key = device.launches[0][0]
    assert key.ndim <= 3


@pytest.mark.parametrize("shape", [(5, 1), (1, 4), (5, 4), (1, 1)])
def test_axes_along_which_arrays_differ_are_not_merged(host, rng, shape):
    a = rng.uniform(1, 2, shape)
    plan = (a * D(0)).on(Grid(Axis(0.3), None, None), (6, 5, 4))
    assert_as_reference(plan, host(), inputs_of(plan, rng))


def test_more_axes_than_a_grid_has(host, rng):
    plan = Laplacian(5).on(Grid(*[Axis(0.3)] * 5), (4, 5, 4, 3, 4), edge_order=1)
    assert_as_reference(plan, host(), inputs_of(plan, rng))


# --- coefficients, walls, places ------------------------------------------------------------------

A = np.arange(16.0 * 16).reshape(16, 16) % 7 + 1
OPERATORS = {
    "array in front": A * D(0),
    "conservative": D(0) @ (A * D(0)) + D(1) @ (A[0] * D(1)),
    "broadcast along the last axis": A[:, :1] * D(1) + D(0),
    "complex number": 1j * D(0) + D(1),
    "complex array": (A * 1j) * D(0) + (2 - 1j) * D(1, 2),
    "own stencil": D(0, stencil=Stencil((-2, -1, 0), 1)) + D(1, 2, stencil=Stencil((-1, 0, 2), 2)),
    "nine points": operator_from_offsets(
        {(i, j): (-8, 1, 1)[abs(i) + abs(j)] for i in (-1, 0, 1) for j in (-1, 0, 1)},
        spacing=(0.3, 0.7),
    ),
    "to inner faces": D(0, to="inner"),
    "to left faces": D(1, to="left") + D(0) * Average(1, to="left"),
    "to all faces": Gradient(2, to="outer"),
    "from faces": Divergence(2, at="outer", to="centre"),
    "from faces to faces": D(0, to="outer") @ D(0, at="outer", to="centre"),
    "flux": D(0, to="centre") @ D(0, to="outer") + D(1, to="centre") @ D(1, to="outer"),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("form", ["", "T"])
def test_operators(host, rng, name, form):
    plan = OPERATORS[name].on(plane(), (16, 16))
    plan = getattr(plan, form) if form else plan
    assert_as_reference(plan, host(), inputs_of(plan, rng))


@pytest.mark.parametrize("name", ["from faces to faces", "flux", "conservative"])
@pytest.mark.parametrize("size", [16, 17, 18, 19, 20])
def test_rows_near_ends_of_one_step_are_rows_at_ends_of_the_next(host, rng, name, size):
    operator = OPERATORS[name]
    if name == "conservative":
        operator = D(0) @ (A[:1] * D(0)) + D(1)
    plan = operator.on(plane(), (size, 16), method=FiniteDifference(4))
    assert_as_reference(plan, host(), inputs_of(plan, rng))


@pytest.mark.parametrize("accuracy", [2, 4, 6])
@pytest.mark.parametrize("axis", [0, 1])
def test_results_of_different_sizes(host, rng, accuracy, axis):
    """The middle of one ends before that of another one."""
    parts = [D(axis, to="inner"), D(axis, to="outer"), D(0) + D(1)]
    operator = Operator.matrix([[part] for part in parts])
    plan = operator.on(plane(), (21, 20), method=FiniteDifference(accuracy))
    assert_as_reference(plan, host(), inputs_of(plan, rng))


@pytest.mark.parametrize("name", ["dirichlet", "neumann", "robin by arrays", "complex"])
def test_arrays_along_walls(host, rng, name):
    known = np.arange(16.0)
    boundary = {
        "dirichlet": Dirichlet(known),
        "neumann": (Neumann(known), "one-sided"),
        "robin by arrays": Robin(known + 1, 2.0, known),
        "complex": Dirichlet(known * 1j),
    }[name]
    for axes in (
        (Axis(0.3, boundary=boundary), Axis(0.7)),
        (Axis(0.7), Axis(0.3, boundary=boundary)),
    ):
        plan = Laplacian(2).on(Grid(*axes), (16, 16))
        assert_as_reference(plan, host(), inputs_of(plan, rng))


# --- widths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gradient", "laplacian", "curl"])
def test_indices_of_64_bits(host, rng, name, monkeypatch):
    monkeypatch.setattr("gradkit.engines.cuda.launch.WIDE", 0)
    plan, device = FIELDS[name].on(SPACE, (10, 5, 16)), host()
    assert_as_reference(plan, device, inputs_of(plan, rng))
    assert device.launches[0][0].is_wide


@pytest.mark.parametrize(("dtype", "widest"), [("float16", 8), ("float32", 4), ("complex128", 1)])
def test_vectors_are_as_wide_as_alignment_allows(host, rng, dtype, widest):
    plan = (D(0) + D(1)).on(plane(), (8, 16))
    for shift, vector in ((0, widest), (1, 1)):
        device = host(shift=shift)
        assert_as_reference(plan, device, inputs_of(plan, rng, dtype))
        assert device.launches[0][0].vector == vector


def test_nan_appears_where_a_used_point_is_nan_and_nowhere_else(host):
    f = np.arange(16.0 * 16).reshape(16, 16)
    f[4, 7] = np.nan
    for operator in (D(0), D(1), Laplacian(2)):
        plan = operator.on(plane(), (16, 16))
        (found,) = launched(plan, [f], prepared(plan, [f], host()), host())
        np.testing.assert_array_equal(np.isnan(found), np.isnan(plan(f)))


def test_inputs_in_any_memory_order(host, rng):
    plan = (D(0) + D(1)).on(plane(), (8, 16))
    f = rng.normal(size=(16, 8)).T
    assert_as_reference(plan, host(), [f])
    assert_as_reference(plan, host(), [rng.normal(size=(8, 32))[:, ::-2]])
