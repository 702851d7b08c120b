"""Dask arrays: lazy, chunked as they came, and bit for bit what the whole array gives."""

import importlib
import os
import pickle

import numpy as np
import pytest

import gradkit
from gradkit import (
    Antisymmetric,
    Average,
    Axis,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Neumann,
    Operator,
    Robin,
    Stencil,
    Symmetric,
    operator_from_offsets,
)
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.plan import Plan

#: In CI a missing library fails the tests; elsewhere it skips them.
load = (
    importlib.import_module
    if "dask" in os.environ.get("GRADKIT_REQUIRE_BACKENDS", "").split()
    else pytest.importorskip
)
dask = load("dask")
da = load("dask.array")

CHUNKINGS = 50
UNEVEN = np.asarray([0.0, 0.5, 0.6, 1.5, 3.0, 3.25, 4.0, 6.0, 6.5, 7.0, 9.0, 9.5])

#: Name -> call, shape of its argument. Every axis is long enough for the widest stencil.
FUNCTIONS = {
    "gradient": (lambda f: gradkit.gradient(f, 0.3, 0.7), (5, 4)),
    "derivative of order 1": (lambda f: gradkit.derivative(f, 0.3, axis=0), (8, 2)),
    "derivative of order 2": (lambda f: gradkit.derivative(f, 0.3, order=2), (8,)),
    "derivative of order 3": (lambda f: gradkit.derivative(f, 0.3, axis=0, order=3), (8, 2)),
    "derivative of order 4": (lambda f: gradkit.derivative(f, 0.3, order=4), (9,)),
    "divergence": (lambda v: gradkit.divergence(v, 0.3, 0.7), (2, 4, 3)),
    "curl in two dimensions": (lambda v: gradkit.curl(v, 0.3, 0.7), (2, 4, 3)),
    "curl in three dimensions": (lambda v: gradkit.curl(v, 0.3, 0.7, 1.1), (3, 3, 3, 3)),
    "laplacian": (lambda f: gradkit.laplacian(f, 0.3, 0.7), (5, 4)),
    "hessian": (lambda f: gradkit.hessian(f, 0.3, 0.7), (4, 4)),
    "jacobian": (lambda v: gradkit.jacobian(v, 0.3, 0.7), (2, 4, 3)),
    "diff": (lambda a: gradkit.diff(a, axis=0), (8, 2)),
    "diff, twice": (lambda a: gradkit.diff(a, n=2), (8,)),
}

#: Name -> call on an array of shape (12, 4).
SETTINGS = {
    "periodic": lambda f: gradkit.derivative(f, 0.3, axis=0, boundary="periodic"),
    "antiperiodic": lambda f: gradkit.derivative(f, 0.3, axis=0, boundary="antiperiodic"),
    "wide": lambda f: gradkit.derivative(f, 0.3, axis=0, accuracy=8),
    "wide and periodic": lambda f: gradkit.derivative(
        f, 0.3, axis=0, order=2, accuracy=8, boundary="periodic"
    ),
    "wide and antiperiodic": lambda f: gradkit.derivative(
        f, 0.3, axis=0, order=3, accuracy=8, boundary="antiperiodic"
    ),
    "coordinates": lambda f: gradkit.derivative(f, UNEVEN, axis=0, order=2, accuracy=4),
    "decreasing coordinates": lambda f: gradkit.gradient(f, UNEVEN[::-1], axis=0),
    "periodic coordinates": lambda f: gradkit.derivative(
        f, UNEVEN, axis=0, accuracy=4, boundary="periodic", period=10.0
    ),
    "antiperiodic coordinates": lambda f: gradkit.derivative(
        f, UNEVEN, axis=0, order=2, boundary="antiperiodic", period=10.0
    ),
    "different boundaries": lambda f: gradkit.gradient(f, boundary=("periodic", "one-sided")),
    "identity beside derivatives": (D(0, 2) * D(1) + 3 * D(1) - 2).on(
        Grid(Axis(0.5, boundary="periodic"), Axis(0.25)), (12, 4)
    ),
}


def arrays(result):
    """The arrays of a result, from nested tuples."""
    return [a for part in result for a in arrays(part)] if isinstance(result, tuple) else [result]


def computed(result):
    # Unfused graphs run the same blocks, and small ones are quicker done than fused.
    return dask.compute(*arrays(result), scheduler="synchronous", optimize_graph=False)


def random_chunks(rng, shape):
    """Chunk sizes along each axis, from one chunk to chunks of one element."""
    chunks = []
    for n in shape:
        cuts = rng.choice(np.arange(1, n), size=rng.integers(0, n), replace=False)
        chunks.append(tuple(int(k) for k in np.diff([0, *np.sort(cuts), n])))
    return tuple(chunks)


def chunkings(rng, shape, count):
    """Chunkings of a shape: elements one by one, then random ones."""
    yield tuple((1,) * n for n in shape)
    for _ in range(count - 1):
        yield random_chunks(rng, shape)


def assert_same_bits(got, wanted):
    assert type(got) is type(wanted)
    assert got.dtype == wanted.dtype
    if isinstance(wanted, np.ma.MaskedArray):
        np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(wanted))
        got, wanted = got.filled(0), wanted.filled(0)
    np.testing.assert_array_equal(got, wanted, strict=True)
    for part in ("real", "imag") if wanted.dtype.kind in "fc" else ():
        known = ~np.isnan(getattr(wanted, part))
        signs = [np.signbit(getattr(a, part))[known] for a in (got, wanted)]
        np.testing.assert_array_equal(*signs)


# --- the same numbers for every chunking --------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_chunking_gives_the_bits_of_the_whole_array(name, rng):
    call, shape = FUNCTIONS[name]
    f = rng.standard_normal(shape)
    wanted = arrays(call(f))
    for chunks in chunkings(rng, shape, CHUNKINGS):
        results = computed(call(da.from_array(f, chunks=chunks)))
        assert len(results) == len(wanted)
        for got, expected in zip(results, wanted, strict=True):
            assert_same_bits(got, expected)


@pytest.mark.parametrize("name", SETTINGS)
def test_boundaries_coordinates_and_wide_stencils_do_not_see_the_chunks(name, rng):
    f = rng.standard_normal((12, 4))
    wanted = arrays(SETTINGS[name](f))
    for chunks in (((1,) * 12, (2, 2)), *chunkings(rng, f.shape, 4)):
        for got, expected in zip(
            computed(SETTINGS[name](da.from_array(f, chunks=chunks))), wanted, strict=True
        ):
            assert_same_bits(got, expected)


def with_nan(f):
    f[3, 1] = f[8, 0] = np.nan
    return f


def with_infinities(f):
    f[3, 1], f[8, 0] = np.inf, -np.inf
    return f


def with_nat(f):
    f[4, 2] = "NaT"
    return f


DATA = {
    "float32": lambda rng: rng.standard_normal((12, 4)).astype("float32"),
    "float16": lambda rng: rng.standard_normal((12, 4)).astype("float16"),
    "big-endian": lambda rng: rng.standard_normal((12, 4)).astype(">f8"),
    "longdouble": lambda rng: rng.standard_normal((12, 4)).astype("longdouble"),
    "complex128": lambda rng: rng.standard_normal((12, 4, 2)).view("complex128")[..., 0],
    "complex64": lambda rng: rng.standard_normal((12, 4)).astype("complex64"),
    "uint8": lambda rng: rng.integers(0, 256, (12, 4), dtype="uint8"),
    "int16": lambda rng: rng.integers(-(2**15), 2**15, (12, 4), dtype="int16"),
    "uint64 above 2**63": lambda rng: 2**64 - 1 - rng.integers(0, 9, (12, 4), dtype="uint64"),
    "int64 above 2**53": lambda rng: 2**60 + rng.integers(0, 9, (12, 4), dtype="int64"),
    "NaN": lambda rng: with_nan(rng.standard_normal((12, 4))),
    "inf": lambda rng: with_infinities(rng.standard_normal((12, 4))),
    "datetime64": lambda rng: with_nat(rng.integers(0, 9**9, (12, 4)).astype("datetime64[ms]")),
    "timedelta64": lambda rng: with_nat(rng.integers(0, 9**9, (12, 4)).astype("timedelta64[s]")),
    "masked": lambda rng: np.ma.masked_array(
        rng.standard_normal((12, 4)), rng.random((12, 4)) < 0.2
    ),
    "Fortran order": lambda rng: np.asfortranarray(rng.standard_normal((12, 4))),
    "read-only": lambda rng: np.broadcast_to(rng.standard_normal((12, 1)), (12, 4)),
}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize(
    ("name", "chunks"),
    [("coordinates", ((1,) * 12, (4,))), ("wide and periodic", ((3, 5, 1, 3), (1, 3)))],
)
def test_every_kind_of_data_gives_the_bits_of_the_whole_array(kind, name, chunks, rng):
    f = DATA[kind](rng)
    with np.errstate(invalid="ignore"):
        wanted = SETTINGS[name](f)
        result = SETTINGS[name](da.from_array(f, chunks=chunks))
        assert result.dtype == wanted.dtype
        assert type(result._meta) is type(wanted)
        assert result._meta.ndim == wanted.ndim
        assert_same_bits(*computed(result), wanted)


def test_several_outputs_of_masked_blocks_keep_their_masks(rng):
    f = DATA["masked"](rng)
    results = computed(gradkit.hessian(da.from_array(f, chunks=(5, 2))))
    for got, expected in zip(results, arrays(gradkit.hessian(f)), strict=True):
        assert np.ma.is_masked(expected)
        assert_same_bits(got, expected)


def test_gradient_of_tiny_chunks_is_bitwise_that_of_numpy(rng):
    f = rng.standard_normal((7, 6))
    for chunks in chunkings(rng, f.shape, 4):
        results = computed(gradkit.gradient(da.from_array(f, chunks=chunks), 0.3, 0.7))
        for got, expected in zip(results, np.gradient(f, 0.3, 0.7), strict=True):
            assert_same_bits(got, expected)


@pytest.mark.parametrize("chunks", [1, 3, 5, 16])
def test_periodic_wave_has_no_seam_at_chunk_boundaries(chunks):
    x = np.arange(64) * (2 * np.pi / 64)
    slope = gradkit.derivative(
        da.from_array(np.sin(x), chunks=chunks), x[1], accuracy=8, boundary="periodic"
    ).compute(scheduler="synchronous")
    # The leading error of the 9-point stencil is h**8 / 630, here 1.37e-11.
    assert abs(slope - np.cos(x)).max() < 1.4e-11


@pytest.mark.parametrize("chunks", [1, 3, 5, 16])
def test_antiperiodic_wave_has_no_seam_at_chunk_boundaries(chunks):
    x = np.arange(64) * (np.pi / 64)
    slope = gradkit.derivative(
        da.from_array(np.sin(x), chunks=chunks), x[1], accuracy=8, boundary="antiperiodic"
    ).compute(scheduler="synchronous")
    # h**8 / 630 is 5.3e-14; roundings of differences of sin over h add a few 1e-15.
    assert abs(slope - np.cos(x)).max() < 7e-14


def test_unsigned_integers_do_not_wrap_at_chunk_boundaries():
    f = da.from_array(np.asarray([200, 100, 0, 255, 3], dtype="uint8"), chunks=1)
    got = gradkit.gradient(f).compute(scheduler="synchronous")
    np.testing.assert_array_equal(got, [-100.0, -100.0, 77.5, 1.5, -252.0])


def test_empty_chunks_are_passed_over(rng):
    f = rng.standard_normal((12, 4))
    ragged = da.from_array(f, chunks=((0, 4, 0, 0, 1, 7, 0), (0, 1, 3)))
    assert ragged.chunks[0] == (0, 4, 0, 0, 1, 7, 0)
    for call in (gradkit.laplacian, lambda a: gradkit.derivative(a, axis=0, accuracy=8)):
        assert_same_bits(*computed(call(ragged)), call(f))


@pytest.mark.parametrize("shape", [(12, 0), (0, 12)])
def test_array_without_elements_gives_one_without_elements(shape):
    axis = shape.index(12)
    result = gradkit.derivative(da.zeros(shape, chunks=4), axis=axis, order=2)
    assert result.compute(scheduler="synchronous").shape == shape


# --- lazy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_call_computes_nothing(name, no_compute):
    call, shape = FUNCTIONS[name]
    with no_compute():
        for result in arrays(call(da.ones(shape, chunks=2))):
            assert isinstance(result, da.Array)


@pytest.mark.parametrize("kind", ["uint64 above 2**63", "masked", "datetime64"])
def test_call_on_special_data_computes_nothing(kind, no_compute, rng):
    f = da.from_array(DATA[kind](rng), chunks=2)
    with no_compute():
        gradkit.gradient(f)
        gradkit.laplacian(f, nan="raise")


def test_no_compute_fixture_notices_a_computation(no_compute):
    with no_compute(), pytest.raises(AssertionError, match="computed"):
        da.ones(3).sum().compute()


def test_nan_raise_raises_when_computed_not_before(no_compute, rng):
    f = da.from_array(with_nan(rng.standard_normal((12, 4))), chunks=2)
    with no_compute():
        result = gradkit.laplacian(f, nan="raise")
    with pytest.raises(ArgumentValueError, match="f holds NaN"):
        result.compute(scheduler="synchronous")


def test_nan_raise_lets_good_data_through(rng):
    f = rng.standard_normal((12, 4))
    result = gradkit.laplacian(da.from_array(f, chunks=2), nan="raise")
    assert_same_bits(*computed(result), gradkit.laplacian(f))


# --- chunks, dtype, meta ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [name for name, (_, shape) in FUNCTIONS.items() if len(shape) == 2 and "diff" not in name],
)
def test_results_have_the_chunks_of_the_input(name, rng):
    call, shape = FUNCTIONS[name]
    for chunks in chunkings(rng, shape, 5):
        for result in arrays(call(da.ones(shape, chunks=chunks))):
            assert result.shape == shape
            assert result.chunks == chunks


@pytest.mark.parametrize(
    "name", ["divergence", "curl in two dimensions", "curl in three dimensions"]
)
def test_results_of_stacked_components_have_the_chunks_of_a_component(name, rng):
    call, shape = FUNCTIONS[name]
    for chunks in chunkings(rng, shape, 5):
        result = call(da.ones(shape, chunks=chunks))
        lead = result.ndim - len(shape) + 1
        assert result.chunks[lead:] == chunks[1:]


def test_jacobian_of_stacked_components_has_the_chunks_of_a_component(rng):
    for chunks in chunkings(rng, (2, 6, 5), 5):
        result = gradkit.jacobian(da.ones((2, 6, 5), chunks=chunks))
        assert result.shape == (2, 2, 6, 5)
        assert result.chunks[2:] == chunks[1:]


@pytest.mark.parametrize(
    ("chunks", "n", "wanted"),
    [
        ((4, 4, 4), 1, (4, 4, 3)),
        ((4, 4, 4), 2, (4, 4, 2)),
        ((5, 5, 2), 1, (5, 5, 1)),
        ((5, 5, 2), 2, (5, 5)),
        ((5, 5, 2), 3, (5, 4)),
        ((1,) * 12, 3, (1,) * 9),
        ((12,), 5, (7,)),
    ],
)
def test_diff_cuts_the_last_chunks(chunks, n, wanted):
    result = gradkit.diff(da.ones(12, chunks=(chunks,)), n)
    assert result.chunks == (wanted,)


def test_diff_can_be_reduced_where_it_uses_up_a_chunk(rng):
    a = rng.standard_normal((5, 3))
    result = gradkit.diff(da.from_array(a, chunks=(4, 3)), axis=0)
    assert result.max().compute(scheduler="synchronous") == np.diff(a, axis=0).max()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "complex64", "M8[s]"])
def test_diff_keeps_the_dtype_of_numpy_diff(dtype):
    a = np.asarray([0, 3, 1, 1]).astype(dtype)
    result = gradkit.diff(da.from_array(a, chunks=2))
    assert result.dtype == np.diff(a).dtype
    assert_same_bits(*computed(result), np.diff(a))


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        ("float16", "float16"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("complex64", "complex64"),
        ("complex128", "complex128"),
        ("int8", "float64"),
        ("uint64", "float64"),
        ("M8[ns]", "float64"),
        ("m8[ns]", "float64"),
    ],
)
@pytest.mark.parametrize("call", [gradkit.laplacian, gradkit.gradient])
def test_dtype_is_known_without_computing(dtype, wanted, call):
    for result in arrays(call(da.from_array(np.zeros((4, 4), dtype), chunks=2))):
        assert result.dtype == wanted
        assert result._meta.dtype == wanted
        assert type(result._meta) is np.ndarray
        assert result.compute(scheduler="synchronous").dtype == wanted


def test_dtype_argument_is_the_dtype_of_the_result():
    result = gradkit.laplacian(da.ones((6, 6), dtype="uint8", chunks=2), dtype="float32")
    assert result.dtype == "float32"
    assert result.compute(scheduler="synchronous").dtype == "float32"


# --- several arrays -----------------------------------------------------------------------------


@pytest.mark.parametrize("function", [gradkit.divergence, gradkit.curl, gradkit.jacobian])
def test_components_may_be_chunked_differently(function, rng):
    v = [rng.standard_normal((7, 6)) for _ in range(2)]
    wanted = arrays(function(v))
    for _ in range(5):
        parts = [da.from_array(c, chunks=random_chunks(rng, c.shape)) for c in v]
        results = arrays(function(parts))
        for got, expected in zip(computed(tuple(results)), wanted, strict=True):
            assert_same_bits(got, expected)
        for result in results:
            assert result.chunks == parts[0].chunks


def test_components_of_different_dtypes_are_promoted_as_in_numpy(rng):
    v = [rng.standard_normal((6, 5)).astype("float32"), rng.integers(0, 9, (6, 5))]
    result = gradkit.divergence([da.from_array(c, chunks=2) for c in v])
    assert result.dtype == "float64"
    assert_same_bits(*computed(result), gradkit.divergence(v))


def test_block_is_run_once_for_all_outputs(monkeypatch):
    runs = []
    whole = Plan.runner

    def counting(plan, inputs, out):
        if isinstance(inputs[0], np.ndarray):
            runs.append(plan.extent)
        return whole(plan, inputs, out)

    monkeypatch.setattr(Plan, "runner", staticmethod(counting))
    results = gradkit.hessian(da.ones((6, 6), chunks=3))
    computed(results)
    assert sorted(runs) == [
        ((0, 3), (0, 3)),
        ((0, 3), (3, 6)),
        ((3, 6), (0, 3)),
        ((3, 6), (3, 6)),
    ]


# --- operators with arrays, walls, faces and stencils of one's own ------------------------------

NUMBERS = np.random.default_rng(4).standard_normal((10, 6))
FULL, ROW, COLUMN = NUMBERS[:9, :4], NUMBERS[0, :4], NUMBERS[:9, :1]
LOOP = Grid(Axis(0.3, boundary="periodic"), None)
TURN = Grid(Axis(0.3, boundary="antiperiodic"), Axis(0.7, boundary="periodic"))
OPEN = Grid(Axis(0.3), Axis(0.7))
FOURTH = FiniteDifference(4)


def between_walls(first, last, axis=0):
    """A grid whose first or second axis has walls."""
    axes = [Axis(0.3, boundary=(first, last)), Axis(0.7)]
    return Grid(*(axes if axis == 0 else axes[::-1]))


#: Name -> plan on 9 x 4 cells.
OPERATORS = {
    "array in front": (FULL * D(0, 2)).on(OPEN, (9, 4)),
    "arrays that broadcast": (ROW * D(0) + COLUMN * D(1) + np.asarray(2.5)).on(OPEN, (9, 4)),
    "array between derivatives": (D(0) @ (FULL * D(0))).on(OPEN, (9, 4)),
    "array between derivatives along two axes": (D(1) @ (FULL * D(0)) + D(0) @ (ROW * D(1))).on(
        TURN, (9, 4)
    ),
    "wider than any chunk": (D(0, 2) @ (FULL * D(0, 2))).on(LOOP, (9, 4), method=FOURTH),
    "wider than the axis": (D(0) @ (FULL * D(0)) @ (COLUMN * D(0)) @ (ROW * D(0)) @ D(0)).on(
        LOOP, (9, 4), method=FOURTH
    ),
    "wider than an antiperiodic axis": (D(0, 2) @ (FULL * D(0, 2)) @ (FULL * D(0, 3))).on(
        TURN, (9, 4), method=FOURTH
    ),
    "complex array": ((FULL + 1j * ROW) * D(0)).on(OPEN, (9, 4)),
    "complex array, adjoint": (D(0) @ ((FULL + 1j * ROW) * D(1))).on(OPEN, (9, 4)).H,
    "through outer faces": (
        D(0, to="centre") @ (NUMBERS[:, :4] * D(0, to="outer"))
        + D(1, to="centre") @ (NUMBERS[:9, :5] * D(1, to="outer"))
    ).on(OPEN, (9, 4)),
    "through left faces": (D(0, to="centre") @ (FULL * D(0, to="left"))).on(TURN, (9, 4)),
    "to outer faces": Gradient(2, to="outer").on(OPEN, (9, 4), method=FOURTH, edge_order=1),
    "to inner faces": Gradient(2, to="inner").on(OPEN, (9, 4)),
    "from outer faces": Divergence(2, at="outer").on(OPEN, (9, 4)),
    "from inner faces": Divergence(2, at="inner").on(OPEN, (9, 4), edge_order=1),
    "from inner faces, transposed": Gradient(2, to="inner").on(OPEN, (9, 4)).T,
    "means to faces and back": (Average(0, to="centre") @ Average(0, to="outer")).on(
        OPEN, (9, 4), method=FOURTH
    ),
    "system": Operator.matrix([[D(0), FULL], [D(1) @ (ROW * D(0)), 2], [D(0), FULL]]).on(
        OPEN, (9, 4)
    ),
    "values along walls": D(0, 2).on(
        between_walls(Dirichlet(ROW), Neumann(ROW[::-1], at="sample")), (9, 4)
    ),
    "values along walls of the last axis": (D(1, 2) + D(1)).on(
        between_walls(Dirichlet(COLUMN), Dirichlet(COLUMN[:, 0], at="next"), axis=1), (9, 4)
    ),
    "walls that other axes act on": (D(0) * D(1)).on(
        between_walls(Dirichlet(ROW), Neumann(2.0)), (9, 4)
    ),
    "mixtures along walls": D(0, 2).on(
        between_walls(Robin(1 + ROW**2, 1.0, ROW), Robin(1.0, 1 + ROW**2, 0.5)), (9, 4)
    ),
    "slopes alone": D(0, to="outer").on(
        between_walls(Neumann(ROW), Neumann(0.0)), (9, 4), edge_order=1
    ),
    "mirror images": (D(0) + D(0, 2)).on(
        between_walls(Symmetric(), Antisymmetric(at="next")), (9, 4), method=FOURTH
    ),
    "array between walls": (D(0, to="centre") @ (NUMBERS[:, :4] * D(0, to="outer"))).on(
        between_walls(Dirichlet(ROW), Neumann(0.0)), (9, 4), edge_order=1
    ),
    "stencil of one's own": D(0, stencil=Stencil((-3, -1, 0), order=1)).on(OPEN, (9, 4)),
    "neighbours of one's own": (
        FULL * operator_from_offsets({(0, 0): -1, (3, 1): 2, (-2, 0): 0.5, (1, -1): -1.5})
    ).on(Grid(Axis(), Axis(boundary="periodic")), (9, 4)),
}


def inputs_of(plan, rng):
    return [rng.standard_normal(shape) for shape in plan.input_shapes]


def on_inputs(plan, inputs):
    return arrays(plan(inputs if len(inputs) > 1 else inputs[0]))


@pytest.mark.parametrize("name", OPERATORS)
def test_arrays_walls_and_faces_do_not_see_the_chunks(name, rng):
    plan = OPERATORS[name]
    inputs = inputs_of(plan, rng)
    wanted = on_inputs(plan, inputs)
    whole = [tuple((n,) for n in f.shape) for f in inputs]
    elements = [tuple((1,) * n for n in f.shape) for f in inputs]
    randoms = [[random_chunks(rng, f.shape) for f in inputs] for _ in range(4)]
    for chunks in (whole, elements, *randoms):
        lazy = [da.from_array(f, chunks=c) for f, c in zip(inputs, chunks, strict=True)]
        results = on_inputs(plan, lazy)
        for got, result, expected in zip(computed(tuple(results)), results, wanted, strict=True):
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
            assert_same_bits(got, expected)


@pytest.mark.parametrize("name", OPERATORS)
def test_call_with_arrays_computes_nothing(name, no_compute):
    plan = OPERATORS[name]
    with no_compute():
        for result in on_inputs(plan, [da.ones(shape, chunks=2) for shape in plan.input_shapes]):
            assert isinstance(result, da.Array)
            assert result._meta.dtype == result.dtype


@pytest.mark.parametrize("name", ["array in front", "values along walls", "wider than the axis"])
def test_results_with_arrays_have_the_chunks_of_the_input(name, rng):
    for chunks in chunkings(rng, (9, 4), 4):
        (result,) = on_inputs(OPERATORS[name], [da.ones((9, 4), chunks=chunks)])
        assert result.chunks == chunks


@pytest.mark.parametrize(
    ("name", "chunks", "wanted"),
    [
        ("to outer faces", ((4, 3, 2), (2, 2)), [((4, 3, 3), (2, 2)), ((4, 3, 2), (2, 3))]),
        ("to inner faces", ((4, 3, 2), (2, 2)), [((4, 3, 1), (2, 2)), ((4, 3, 2), (2, 1))]),
        ("to inner faces", ((8, 1), (4,)), [((8,), (4,)), ((8, 1), (3,))]),
    ],
)
def test_last_chunk_has_the_faces_that_there_are_more_or_fewer(name, chunks, wanted):
    results = on_inputs(OPERATORS[name], [da.ones((9, 4), chunks=chunks)])
    assert [result.chunks for result in results] == wanted


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64", "int16", ">f8"])
@pytest.mark.parametrize("name", ["array between derivatives", "values along walls"])
def test_every_dtype_gives_the_bits_of_the_whole_array_with_arrays(name, dtype, rng):
    plan = OPERATORS[name]
    f = (100 * rng.standard_normal((9, 4))).astype(dtype)
    wanted = plan(f)
    result = plan(da.from_array(f, chunks=((2, 4, 3), (1, 3))))
    assert result.dtype == wanted.dtype
    assert_same_bits(*computed(result), wanted)


#: Name -> plan on 9 x 4 cells, from a function that makes arrays.
LAZY = {
    "array in front": lambda make: (make(FULL) * D(0)).on(OPEN, (9, 4)),
    "array that broadcasts": lambda make: (D(0) * make(ROW) + make(COLUMN)).on(LOOP, (9, 4)),
    "array without a dimension": lambda make: (make(np.asarray(2.5)) * D(0)).on(OPEN, (9, 4)),
    "arrays between derivatives": lambda make: (
        D(0) @ (make(FULL) * D(1)) @ (make(FULL + 1) * D(0))
    ).on(TURN, (9, 4)),
    "complex array, adjoint": lambda make: (make(FULL + 1j * ROW) * D(0)).on(OPEN, (9, 4)).H,
    "at outer faces": lambda make: (
        D(0, to="centre") @ (make(NUMBERS[:, :4]) * D(0, to="outer"))
    ).on(OPEN, (9, 4)),
    "values along walls": lambda make: D(0, 2).on(
        between_walls(Dirichlet(make(ROW)), Neumann(make(ROW + 1))), (9, 4)
    ),
    "mixture along a wall": lambda make: D(0, 2).on(
        between_walls(Robin(make(1 + ROW**2), 2.0, make(ROW)), "one-sided"), (9, 4)
    ),
    "system": lambda make: Operator.matrix([[D(0), make(FULL)], [D(1), 2]]).on(OPEN, (9, 4)),
}


@pytest.mark.parametrize("name", LAZY)
def test_lazy_arrays_give_the_bits_of_arrays_on_the_host(name, no_compute, rng):
    host = LAZY[name](np.asarray)
    inputs = inputs_of(host, rng)
    wanted = on_inputs(host, inputs)
    for _ in range(3):
        with no_compute():
            plan = LAZY[name](lambda a: da.from_array(a, chunks=random_chunks(rng, a.shape)))
            lazy = [da.from_array(f, chunks=random_chunks(rng, f.shape)) for f in inputs]
            results = on_inputs(plan, lazy)
        for got, result, expected in zip(computed(tuple(results)), results, wanted, strict=True):
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
            assert_same_bits(got, expected)


def test_lazy_arrays_do_not_serve_data_on_the_host(no_compute):
    plan = LAZY["array in front"](lambda a: da.from_array(a, chunks=3))
    with no_compute(), pytest.raises(ArgumentTypeError, match=r"a coefficient is a dask .*numpy"):
        plan(np.ones((9, 4)))
    wall = Dirichlet(da.ones(4, chunks=2))
    plan = D(0, 2).on(Grid(Axis(boundary=wall), None), (9, 4))
    with (
        no_compute(),
        pytest.raises(ArgumentTypeError, match=r"a value at a wall is a dask .*nump"),
    ):
        plan(np.ones((9, 4)))
    with (
        no_compute(),
        pytest.raises(ArgumentTypeError, match=r"value at a wall is.*\.compute\(\) ret"),
    ):
        plan.stencil((0, 0))


def test_lazy_arrays_are_part_of_the_name(rng):
    f = da.from_array(rng.standard_normal((9, 4)), chunks=3)
    first, second = (da.from_array(a, chunks=3) for a in (FULL, FULL + 1))
    names = [(a * D(0)).on(OPEN, (9, 4))(f).name for a in (first, second, first)]
    assert names[0] == names[2] != names[1]


def test_complex_array_makes_real_data_complex_without_computing(no_compute):
    with no_compute():
        for dtype, wanted in (("float32", "complex64"), ("float64", "complex128")):
            result = OPERATORS["complex array"](da.ones((9, 4), dtype=dtype, chunks=2))
            assert result.dtype == result._meta.dtype == wanted


def test_nan_and_masks_reach_as_far_as_in_the_whole_array(rng):
    plan = OPERATORS["array between derivatives"]
    f = rng.standard_normal((9, 4))
    f[3, 1] = np.nan
    masked = np.ma.masked_array(f, np.arange(36).reshape(9, 4) == 30)
    for values in (f, masked):
        lazy = plan(da.from_array(values, chunks=((2, 4, 3), (1, 3))))
        assert_same_bits(*computed(lazy), plan(values))


def test_different_arrays_do_not_share_a_name(rng):
    f = da.from_array(rng.standard_normal((9, 4)), chunks=3)
    plans = [(a * D(0)).on(OPEN, (9, 4)) for a in (FULL, FULL + 1, ROW, FULL.astype("float32"))]
    plans += [
        D(0, 2).on(between_walls(Dirichlet(a), "one-sided"), (9, 4)) for a in (ROW, ROW + 1, 1.0)
    ]
    assert len({plan(f).name for plan in plans}) == len(plans)
    again = (FULL.copy() * D(0)).on(OPEN, (9, 4))
    assert again(f).name == plans[0](f).name


def test_array_of_a_plan_is_cut_not_sent_whole(monkeypatch, rng):
    parts = []
    whole = Plan.runner

    def watching(plan, inputs, out):
        if isinstance(inputs[0], np.ndarray):
            parts.append({parameter.array.shape for parameter in plan.parameters})
        return whole(plan, inputs, out)

    monkeypatch.setattr(Plan, "runner", staticmethod(watching))
    plan = (FULL * D(0) + ROW).on(LOOP, (9, 4))
    computed(plan(da.from_array(rng.standard_normal((9, 4)), chunks=((3, 3, 3), (4,)))))
    # Three rows and a halo of one on both sides; along the last axis all is in one chunk.
    assert parts == [{(5, 4), (1, 4)}] * 3


def test_single_chunk_is_taken_as_it_is(monkeypatch, rng):
    shapes = []
    whole = Plan.runner

    def watching(plan, inputs, out):
        if isinstance(inputs[0], np.ndarray):
            shapes.append(inputs[0].shape)
        return whole(plan, inputs, out)

    monkeypatch.setattr(Plan, "runner", staticmethod(watching))
    plan = OPERATORS["wider than the axis"]
    computed(plan(da.from_array(rng.standard_normal((9, 4)), chunks=(2, 4))))
    # Chunks are merged until they hold the halo, and the one that is left has none.
    assert shapes == [(9, 4)]


def test_offset_of_a_plan_is_what_lazy_data_gets_from_the_walls():
    plan = OPERATORS["values along walls"]
    (lazy,) = computed(plan(da.zeros((9, 4), chunks=2)))
    assert_same_bits(lazy, plan.offset)


@pytest.mark.parametrize("shape", [(9, 3), (8, 4), (9, 4, 1)])
def test_wrong_shape_with_arrays_raises_before_anything_is_computed(shape, no_compute):
    with no_compute(), pytest.raises(ArgumentValueError, match="this plan was made for shape"):
        OPERATORS["array in front"](da.ones(shape, chunks=2))


def test_inputs_at_faces_have_their_own_shapes(no_compute):
    plan = OPERATORS["from outer faces"]
    with no_compute(), pytest.raises(ArgumentValueError, match=r"f\[1\] has shape.*\(9, 5\)"):
        plan([da.ones((10, 4), chunks=2), da.ones((10, 4), chunks=2)])


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_schedulers_agree_on_operators_with_arrays(scheduler, rng):
    plan = OPERATORS["wider than the axis"]
    f = rng.standard_normal((9, 4))
    got = plan(da.from_array(f, chunks=(2, 3))).compute(scheduler=scheduler, num_workers=4)
    assert_same_bits(got, plan(f))


# --- the graph ----------------------------------------------------------------------------------


def test_different_calls_on_one_array_do_not_share_a_name(rng):
    f = rng.standard_normal((12, 4))
    calls = [
        *SETTINGS.values(),
        lambda a: gradkit.derivative(a, 0.3, axis=0),
        lambda a: gradkit.derivative(a, 0.4, axis=0),
        lambda a: gradkit.derivative(a, 0.3, axis=0, edge_order=1),
        lambda a: gradkit.derivative(a, UNEVEN, axis=0),
        lambda a: gradkit.derivative(a, UNEVEN**2, axis=0),
        lambda a: gradkit.derivative(a, axis=0, dtype="float32"),
    ]
    d = da.from_array(f, chunks=(4, 3))
    lazy = [a for call in calls for a in arrays(call(d))]
    assert len({a.name for a in lazy}) == len(lazy)
    wanted = [a for call in calls for a in arrays(call(f))]
    for got, expected in zip(dask.compute(*lazy, scheduler="synchronous"), wanted, strict=True):
        assert_same_bits(got, expected)


def test_name_does_not_depend_on_what_the_plan_did_before(rng):
    plan = D(0, 2).on(Grid(Axis(coordinates=UNEVEN)), (12,))
    f = rng.standard_normal(12)
    d = da.from_array(f, chunks=4)
    before = plan(d).name
    plan(f)
    assert plan(d).name == before


def test_single_derivative_makes_no_more_tasks_than_dask_itself():
    f = da.zeros((60, 60), chunks=10)
    ours = len(gradkit.derivative(f).__dask_graph__())
    assert ours <= len(da.gradient(f, axis=1).__dask_graph__())


@pytest.mark.parametrize("name", ["derivative of order 1", "laplacian", "gradient"])
def test_tasks_grow_in_proportion_to_the_blocks(name):
    call = FUNCTIONS[name][0]
    counts = []
    for blocks in (8, 16):
        f = da.zeros((blocks * 10, blocks * 10), chunks=10)
        counts.append(sum(len(a.__dask_graph__()) for a in arrays(call(f))) / blocks**2)
    # Blocks at the rim have fewer neighbours, so the tasks per block rise to a limit: for three
    # tasks per neighbour and 8 neighbours, 24 (1 - 1/b)**2 differs by 15 % between b = 8 and 16.
    assert counts[1] < 1.16 * counts[0]


def test_chunks_are_merged_for_no_longer_than_needed():
    d = da.zeros((1000,), chunks=100)
    untouched = len(d.__dask_graph__()) + 10 * 5
    assert len(gradkit.derivative(d).__dask_graph__()) <= untouched


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_schedulers_agree(scheduler, rng):
    f = rng.standard_normal((40, 30))
    d = da.from_array(f, chunks=(4, 7))
    got = gradkit.laplacian(d, accuracy=6).compute(scheduler=scheduler, num_workers=4)
    assert_same_bits(got, gradkit.laplacian(f, accuracy=6))


def test_graph_runs_in_another_process(fresh_python, tmp_path, rng):
    cloudpickle = pytest.importorskip("cloudpickle")
    f = rng.standard_normal((12, 4))
    lazy = [
        gradkit.derivative(da.from_array(f, chunks=(5, 2)), UNEVEN, axis=0, accuracy=4),
        *gradkit.gradient(da.from_array(f, chunks=(1, 3)), boundary="periodic"),
    ]
    (tmp_path / "graph").write_bytes(cloudpickle.dumps(lazy))
    fresh_python(
        "import os, pickle, pathlib\n"
        "folder = pathlib.Path(os.environ['FOLDER'])\n"
        "lazy = pickle.loads((folder / 'graph').read_bytes())\n"
        "results = [a.compute(scheduler='synchronous') for a in lazy]\n"
        "(folder / 'results').write_bytes(pickle.dumps(results))",
        FOLDER=str(tmp_path),
    )
    results = pickle.loads((tmp_path / "results").read_bytes())
    wanted = [
        gradkit.derivative(f, UNEVEN, axis=0, accuracy=4),
        *gradkit.gradient(f, boundary="periodic"),
    ]
    for got, expected in zip(results, wanted, strict=True):
        assert_same_bits(got, expected)


# --- errors -------------------------------------------------------------------------------------


def of_unknown_chunks():
    f = da.ones((6, 6), chunks=2)
    return f[f[:, 0] > 0]


@pytest.mark.parametrize(
    "call",
    [
        gradkit.gradient,
        gradkit.derivative,
        gradkit.laplacian,
        gradkit.hessian,
        lambda f: gradkit.derivative(f, axis=0),
        lambda f: gradkit.divergence([f, f]),
        lambda f: gradkit.curl([f, f]),
        lambda f: gradkit.jacobian([f, f]),
    ],
)
def test_unknown_chunk_sizes_raise_with_the_remedy(call, no_compute):
    f = of_unknown_chunks()
    with no_compute(), pytest.raises(ArgumentValueError, match=r"compute_chunk_sizes\(\)"):
        call(f)


def test_remedy_for_unknown_chunk_sizes_works():
    f = of_unknown_chunks()
    with dask.config.set(scheduler="synchronous"):
        f.compute_chunk_sizes()
    assert gradkit.laplacian(f).shape == (6, 6)


def test_diff_along_an_axis_of_unknown_chunk_sizes_raises(no_compute):
    with no_compute(), pytest.raises(ValueError, match="compute_chunk_sizes"):
        gradkit.diff(of_unknown_chunks(), axis=0)


@pytest.mark.parametrize(
    "call",
    [gradkit.gradient, gradkit.derivative, lambda f, x: Axis(coordinates=x)],
    ids=["gradient", "derivative", "Axis"],
)
def test_lazy_coordinates_raise_and_name_compute(call, no_compute):
    f = da.ones(5, chunks=2)
    with no_compute(), pytest.raises(ArgumentTypeError, match=r"lazy.*\.compute\(\)"):
        call(f, da.arange(5, chunks=2))


def test_out_raises_before_anything_is_computed(no_compute):
    f = da.ones(5, chunks=2)
    with no_compute(), pytest.raises(ArgumentTypeError, match="out is a dask array"):
        gradkit.derivative(f, out=da.zeros(5, chunks=2))


def test_wrong_shape_raises_before_anything_is_computed(no_compute):
    with no_compute(), pytest.raises(ArgumentValueError, match="2 points"):
        gradkit.derivative(da.ones((3, 2), chunks=1), order=2, accuracy=4)


# --- what blocks must agree on -------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [(5, 4), (1, 8), (4, 4, 1), (9,), (3, 3, 3)])
def test_arrays_between_the_cells_do_not_see_the_chunks(chunks):
    """The last chunk of an array at the inner faces has one point fewer than that of the cells."""
    f, k = np.arange(9.0) ** 2, np.arange(8.0)
    plan = (D(0, to="centre") @ (k * D(0, to="inner"))).on(Grid(Axis()), (9,))
    (found,) = computed(plan(da.from_array(f, chunks=(chunks,))))
    np.testing.assert_array_equal(found, plan(f))


@pytest.mark.parametrize(
    ("operator", "grid"),
    [
        (1j * D(0) * D(1), Grid(Axis(0.7), Axis(boundary=Neumann(0.0)))),
        (D(0) @ D(1), Grid(Axis(0.7), Axis(boundary=(Dirichlet(1j), "one-sided")))),
        (
            (0.3 + 0.7j) * D(0) ** 2 * D(1),
            Grid(Axis(0.7), Axis(0.3, boundary=(Neumann(0.5, at="sample"), "one-sided"))),
        ),
    ],
    ids=["rows of zeros", "complex value at a wall", "complex coefficient"],
)
def test_complex_operators_on_real_data_round_alike_in_all_blocks(operator, grid, rng):
    """NumPy rounds the quotients of complex numbers in another way than those of real ones."""
    plan = operator.on(grid, (9, 8), edge_order=1)
    for _ in range(4):
        f = rng.standard_normal((9, 8))
        (found,) = computed(plan(da.from_array(f, chunks=(3, 2))))
        np.testing.assert_array_equal(found, plan(f))


def test_magnitudes_of_a_plan_and_of_its_adjoint_have_names_of_their_own():
    plan = D(0).on(Grid(Axis()), (8,), edge_order=1)
    f = np.arange(1.0, 9.0)
    lazy = da.from_array(f, chunks=4)
    both = [p.error_estimate(lazy).rounding for p in (plan, plan.T)]
    for got, p in zip(dask.compute(*both, scheduler="synchronous"), (plan, plan.T), strict=True):
        np.testing.assert_array_equal(got, p.error_estimate(f).rounding)
