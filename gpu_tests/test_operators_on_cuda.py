"""Operators with arrays, walls, faces and stencils of one's own: CuPy gives what NumPy gives."""

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
    dot_test,
    modified_wavenumber,
    operator_from_offsets,
)
from gradkit.errors import ArgumentTypeError, ArgumentValueError

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def reference(gpu):
    """The numerics alone: kernels round in another way, and have tests of their own."""
    with gradkit.use_engine("reference"):
        yield


ROUGH = [0.0, 0.5, 2.0, 2.25, 3.0, 5.0, 5.5]
NUMBERS = 1 + np.random.default_rng(3).random((8, 7))
FULL, ROW = NUMBERS[:7, :6], NUMBERS[0, :6]
OPEN = Grid(Axis(0.5), Axis(0.3))
LOOP = Grid(Axis(0.5, boundary="periodic"), Axis(0.3, boundary="antiperiodic"))


def flat(result):
    """The arrays of a result."""
    return list(result) if isinstance(result, tuple) else [result]


def walls(first, last, **options):
    """The second derivative along the first axis, between two walls."""
    return D(0, 2).on(Grid(Axis(0.5, boundary=(first, last)), None), (7, 6), **options)


#: Name -> plan on 7 x 6 cells, from a function that puts arrays where they are wanted.
PLANS = {
    "array in front": lambda put: (put(FULL) * D(0, 2)).on(OPEN, (7, 6)),
    "array that broadcasts": lambda put: (put(ROW) * D(0) + 2).on(LOOP, (7, 6)),
    "array without a dimension": lambda put: (put(np.asarray(2.5)) * D(0)).on(OPEN, (7, 6)),
    "array between derivatives": lambda put: (D(0) @ (put(FULL) * D(1))).on(
        LOOP, (7, 6), method=FiniteDifference(4)
    ),
    "complex number": lambda put: ((1 + 2j) * D(0) * D(1)).on(OPEN, (7, 6)),
    "complex array": lambda put: (put(FULL + 1j * ROW) * D(0)).on(OPEN, (7, 6)),
    "flux through faces": lambda put: (
        D(0, to="centre") @ (put(NUMBERS[:, :6]) * D(0, to="outer"))
    ).on(OPEN, (7, 6), edge_order=1),
    "values along walls": lambda put: walls(Dirichlet(put(ROW)), Dirichlet(put(ROW[::-1].copy()))),
    "slopes along walls": lambda put: walls(Neumann(put(ROW)), Neumann(1.5, at="sample")),
    "mixture along a wall": lambda put: walls(Robin(put(ROW), 2.0, put(ROW + 1)), "one-sided"),
    "complex value at a wall": lambda put: walls(Dirichlet(1 + 2j), "one-sided"),
    "known slopes alone": lambda put: D(0, to="outer").on(
        Grid(Axis(0.5, boundary=Neumann(put(ROW))), None), (7, 6), edge_order=1
    ),
    "mirror images": lambda put: walls(
        Symmetric(), Antisymmetric(at="next"), method=FiniteDifference(4)
    ),
    "walls on coordinates": lambda put: D(0).on(
        Grid(Axis(coordinates=ROUGH, boundary=Dirichlet(put(ROW))), None), (7, 6)
    ),
    "means of neighbours": lambda put: Average(0, to="inner").on(
        Grid(Axis(coordinates=ROUGH), None), (7, 6)
    ),
    "to faces": lambda put: Gradient(2, to="outer").on(OPEN, (7, 6)),
    "from faces": lambda put: Divergence(2, at="inner").on(OPEN, (7, 6)),
    "system": lambda put: Operator.matrix([[D(0), put(FULL)], [1j, D(1) @ (put(ROW) * D(0))]]).on(
        OPEN, (7, 6)
    ),
    "stencil of one's own": lambda put: D(0, stencil=Stencil((-2, -1, 0), order=1)).on(
        OPEN, (7, 6)
    ),
    "neighbours of one's own": lambda put: (
        put(FULL) * operator_from_offsets({(0, 0): -1, (2, 1): 2, (-1, 0): 0.5, (1, -1): -1.5})
    ).on(Grid(Axis(), Axis(boundary="periodic")), (7, 6)),
    "transposed": lambda put: (D(0) @ (put(FULL) * D(1))).on(OPEN, (7, 6)).T,
    "adjoint": lambda put: (put(FULL + 1j * ROW) * D(0)).on(OPEN, (7, 6)).H,
}
WITH_ARRAYS = ["array in front", "flux through faces", "values along walls", "mixture along a wall"]
WITH_ARRAYS += ["complex array", "known slopes alone", "neighbours of one's own", "adjoint"]


def sample(rng, shapes, dtype):
    """One array per input."""
    found = []
    for shape in shapes:
        values = rng.standard_normal((2, *shape))
        if np.dtype(dtype).kind in "iu":
            found.append((50 * abs(values[0])).astype(dtype))
        else:
            is_complex = np.dtype(dtype).kind == "c"
            found.append((values[0] + 1j * values[1] if is_complex else values[0]).astype(dtype))
    return found


def call(plan, inputs, **options):
    return flat(plan(inputs if len(inputs) > 1 else inputs[0], **options))


def assert_same(cupy, results, wanted):
    """CuPy arrays with the dtypes and, but for a few roundings, the numbers of NumPy arrays."""
    assert len(results) == len(wanted)
    for got, expected in zip(results, wanted, strict=True):
        assert isinstance(got, cupy.ndarray)
        host = cupy.asnumpy(got)
        assert (host.dtype, host.shape) == (expected.dtype, expected.shape)
        # Products and sums are rounded alike on both, but products and quotients of complex
        # numbers are made of several, and compilers fuse some; terms are a few times the result.
        atol = 16 * np.spacing(abs(expected).max())
        np.testing.assert_allclose(host, expected, rtol=0, atol=float(atol))


# --- calls --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "complex64", "float16"])
@pytest.mark.parametrize("name", PLANS)
def test_cupy_agrees_with_numpy(cupy, rng, name, dtype):
    plan = PLANS[name](np.asarray)
    inputs = sample(rng, plan.input_shapes, dtype)
    results = call(PLANS[name](cupy.asarray), [cupy.asarray(f) for f in inputs])
    assert_same(cupy, results, call(plan, inputs))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
@pytest.mark.parametrize("name", ["array in front", "values along walls", "flux through faces"])
def test_cupy_agrees_with_numpy_on_integers(cupy, rng, name, dtype):
    plan = PLANS[name](np.asarray)
    inputs = sample(rng, plan.input_shapes, dtype)
    assert_same(cupy, call(plan, [cupy.asarray(f) for f in inputs]), call(plan, inputs))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_arrays_on_the_host_serve_data_on_the_device(cupy, rng, name, dtype):
    plan = PLANS[name](np.asarray)
    inputs = sample(rng, plan.input_shapes, dtype)
    device = [cupy.asarray(f) for f in inputs]
    wanted = call(plan, inputs)
    # One plan serves both in turn, and uploads its arrays once.
    for _ in range(2):
        assert_same(cupy, call(plan, device), wanted)
        for got, expected in zip(call(plan, inputs), wanted, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_arrays_are_uploaded_once(cupy, rng, monkeypatch):
    plan = PLANS["array in front"](np.asarray)
    f = cupy.asarray(rng.standard_normal((7, 6)))
    wanted = plan(f)

    def refuse(*args, **kwargs):
        raise AssertionError("uploaded again")

    monkeypatch.setattr(cupy, "asarray", refuse)
    monkeypatch.setattr(cupy, "array", refuse)
    assert bool((plan(f) == wanted).all())


@pytest.mark.parametrize("name", ["array in front", "values along walls"])
def test_arrays_on_the_device_do_not_serve_data_on_the_host(cupy, rng, name):
    plan = PLANS[name](cupy.asarray)
    with pytest.raises(ArgumentTypeError, match=r"a coefficient is a cupy .* f is a numpy"):
        plan(rng.standard_normal((7, 6)))


def test_arrays_of_other_libraries_are_refused(cupy):
    torch = pytest.importorskip("torch")
    plan = (torch.ones(6) * D(0)).on(Grid(Axis(), None), (7, 6))
    with pytest.raises(ArgumentTypeError, match=r"a coefficient is a torch .* f is a cupy"):
        plan(cupy.ones((7, 6)))


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_arrays_may_be_changed_afterwards(cupy, rng, name):
    given = []

    def put(values):
        given.append(cupy.asarray(values))
        return given[-1]

    plan = PLANS[name](put)
    inputs = [cupy.asarray(f) for f in sample(rng, plan.input_shapes, "float64")]
    before = call(plan, inputs)
    for array in given:
        array[...] = 0
    for got, expected in zip(call(plan, inputs), before, strict=True):
        assert bool((got == expected).all())


@pytest.mark.parametrize("name", ["to faces", "flux through faces", "system"])
def test_out_is_written_and_returned(cupy, rng, name):
    plan = PLANS[name](np.asarray)
    inputs = sample(rng, plan.input_shapes, "float64")
    wanted = call(plan, inputs)
    out = tuple(cupy.full(w.shape, 7, w.dtype) for w in wanted)
    given = out if len(out) > 1 else out[0]
    device = [cupy.asarray(f) for f in inputs]
    assert plan(device if len(device) > 1 else device[0], out=given) is given
    assert_same(cupy, list(out), wanted)


def test_out_that_does_not_fit_is_left_alone(cupy, rng):
    plan = PLANS["to faces"](np.asarray)
    first, second = cupy.full((8, 6), 7.0), cupy.full((7, 6), 7.0)
    with pytest.raises(ArgumentValueError, match=r"out\[1\] has shape \(7, 6\): wanted \(7, 7\)"):
        plan(cupy.asarray(rng.standard_normal((7, 6))), out=(first, second))
    assert bool((first == 7.0).all())


VIEWS = {
    "transposed": lambda a: a[:6, :7].T,
    "every other": lambda a: a[:7, ::2],
    "reversed": lambda a: a[6::-1, 5::-1],
}


@pytest.mark.parametrize("view", VIEWS)
def test_strides_of_data_and_arrays_do_not_matter(cupy, rng, view):
    f, a = rng.standard_normal((2, 8, 12))
    take = VIEWS[view]
    wanted = (take(a).copy() * D(0)).on(OPEN, (7, 6))(take(f).copy())
    got = (take(cupy.asarray(a)) * D(0)).on(OPEN, (7, 6))(take(cupy.asarray(f)))
    assert_same(cupy, [got], [wanted])


@pytest.mark.parametrize("name", PLANS)
def test_results_are_on_the_device_of_the_input(cupy, name):
    last = cupy.cuda.runtime.getDeviceCount() - 1
    with cupy.cuda.Device(last):
        plan = PLANS[name](cupy.asarray)
        inputs = [cupy.ones(shape) for shape in plan.input_shapes]
        results = call(plan, inputs)
    for got in results:
        assert got.device == inputs[0].device


def test_nan_goes_as_far_as_on_the_host(cupy, rng):
    plan = PLANS["array between derivatives"](np.asarray)
    f = rng.standard_normal((7, 6))
    f[3, 2] = np.nan
    got = cupy.asnumpy(plan(cupy.asarray(f)))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(plan(f)))


# --- other renderings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["transposed", "adjoint", "system", "to faces", "values along walls"]
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_adjoint_is_one(cupy, name, dtype):
    for put in (np.asarray, cupy.asarray):
        assert dot_test(PLANS[name](put), dtype=dtype, xp=cupy)


def test_dot_test_has_the_numbers_of_the_host(cupy):
    plan = PLANS["complex array"](np.asarray)
    host, device = dot_test(plan), dot_test(plan, xp=cupy)
    # The same random numbers; sums of some hundred products.
    assert device.forward == pytest.approx(host.forward, rel=1e-12)
    assert device.backward == pytest.approx(host.backward, rel=1e-12)


@pytest.mark.parametrize(
    "name", ["values along walls", "slopes along walls", "mixture along a wall"]
)
def test_offset_is_where_the_arrays_are(cupy, name):
    wanted = PLANS[name](np.asarray).offset
    assert isinstance(wanted, np.ndarray)
    assert_same(cupy, [PLANS[name](cupy.asarray).offset], [wanted])


@pytest.mark.parametrize("name", PLANS)
def test_matrix_on_the_device_is_that_of_the_host(cupy, name):
    pytest.importorskip("scipy")
    wanted = PLANS[name](np.asarray).matrix("array")
    for put in (np.asarray, cupy.asarray):
        found = PLANS[name](put).matrix("array", xp=cupy)
        assert isinstance(found, cupy.ndarray)
        assert found.dtype == wanted.dtype
        # Both are computed on the host, and then one is uploaded.
        np.testing.assert_array_equal(cupy.asnumpy(found), wanted)


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_matrix_on_the_device_has_the_format_asked_for(cupy, rng, format):
    pytest.importorskip("scipy")
    from cupyx.scipy import sparse

    plan = PLANS["flux through faces"](cupy.asarray)
    found = plan.matrix(format, xp=cupy)
    assert sparse.issparse(found)
    assert found.format == format
    f = cupy.asarray(rng.standard_normal((7, 6)))
    # Rows of up to nine products in another order, of numbers up to 2 * 3 / 0.5**2.
    atol = 32 * np.spacing(24 * 4.0)
    got, wanted = (cupy.asnumpy(a) for a in ((found @ f.ravel()).reshape(7, 6), plan(f)))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["system", "to faces", "complex array"])
def test_linear_operator_on_the_device(cupy, rng, name):
    pytest.importorskip("scipy")
    plan = PLANS[name](np.asarray)
    operator = plan.linear_operator(xp=cupy)
    matrix = plan.matrix("array")
    assert operator.shape == matrix.shape
    assert operator.dtype == matrix.dtype
    rows, columns = (rng.standard_normal((n, 2)) for n in matrix.shape)
    # Rows and columns of up to ten products of numbers up to 2 * 4 / 0.3.
    atol = 32 * np.spacing(27 * 4.0)
    for got, wanted in (
        (operator.matvec(cupy.asarray(columns[:, 0])), matrix @ columns[:, 0]),
        (operator.rmatvec(cupy.asarray(rows[:, 0])), matrix.conj().T @ rows[:, 0]),
        (operator.matmat(cupy.asarray(columns)), matrix @ columns),
        (operator.rmatmat(cupy.asarray(rows)), matrix.conj().T @ rows),
    ):
        assert isinstance(got, cupy.ndarray)
        np.testing.assert_allclose(cupy.asnumpy(got), wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("where", ["host", "device"])
def test_conjugate_gradients_solve_on_the_device(cupy, where):
    pytest.importorskip("scipy")
    from cupyx.scipy.sparse import linalg

    n = 16
    centres = (np.arange(n) + 0.5) / n
    faces = np.arange(n + 1) / n
    put = cupy.asarray if where == "device" else np.asarray
    left, right = (Dirichlet(put(np.sin(2 * x + centres))) for x in (0, 1))
    rim = Axis(1 / n, boundary=(left, right)), Axis(1 / n, boundary=Symmetric())
    flux = Operator.matrix([[put(1 + faces[:, None] + 0 * centres), 0], [0, 2.0]])
    operator = -Divergence(2, to="centre") @ flux @ Gradient(2, to="outer")
    plan = operator.on(Grid(*rim), (n, n), edge_order=1)
    source = cupy.asarray(np.cos(centres[:, None]) * centres)
    known = source - cupy.asarray(plan.offset)
    solution, failure = linalg.cg(plan.linear_operator(xp=cupy), known.ravel(), rtol=1e-12)
    assert failure == 0
    # The norm of the residual is 1e-12 of that of n**2 known values; a digit for its roundings.
    again = plan(solution.reshape(n, n))
    assert float(abs(again - source).max()) < 10 * 1e-12 * n * float(abs(known).max())
    # The condition of the matrix is about n**2.
    exact = np.linalg.solve(plan.matrix("array", xp=np), cupy.asnumpy(known).ravel())
    atol = 1e-11 * n**2 * abs(exact).max()
    np.testing.assert_allclose(cupy.asnumpy(solution), exact, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["array in front", "complex array", "values along walls"])
def test_stencils_and_symbols_read_arrays_on_the_device(cupy, name):
    host, device = PLANS[name](np.asarray), PLANS[name](cupy.asarray)
    assert device.stencil((3, 2)) == host.stencil((3, 2))
    k = np.ones((3, 2))
    np.testing.assert_array_equal(modified_wavenumber(device, k), modified_wavenumber(host, k))


@pytest.mark.parametrize("name", ["array in front", "values along walls", "to faces"])
def test_error_estimate_on_the_device(cupy, rng, name):
    plan = PLANS[name](np.asarray)
    f = rng.standard_normal((7, 6))
    wanted = plan.error_estimate(f)
    got = PLANS[name](cupy.asarray).error_estimate(cupy.asarray(f))
    assert_same(cupy, flat(got.rounding), flat(wanted.rounding))
    for found, expected in zip(flat(got.truncation), flat(wanted.truncation), strict=True):
        # Differences of results of either method.
        atol = 64 * np.spacing(max(abs(part).max() for part in flat(plan(f))))
        np.testing.assert_allclose(cupy.asnumpy(found), expected, rtol=0, atol=atol)
    assert got.share == wanted.share
    assert got.advice == wanted.advice


def test_explanation_names_the_library(cupy):
    plan = PLANS["array in front"](cupy.asarray)
    text = plan.explain(cupy.ones((7, 6)))
    assert "arrays multiplied by, or known along walls: 7 x 6" in text
    assert "the input is a cupy array" in text


def test_plans_with_arrays_on_the_device_are_values(cupy):
    for name in WITH_ARRAYS:
        first, second = (PLANS[name](cupy.asarray) for _ in range(2))
        assert first == second
        assert hash(first) == hash(second)
        assert first != PLANS[name](np.asarray)


def test_dask_blocks_of_cupy_arrays_with_arrays_on_the_host(cupy, rng):
    da = pytest.importorskip("dask.array")
    plan = PLANS["flux through faces"](np.asarray)
    f = rng.standard_normal((7, 6))
    lazy = plan(da.from_array(cupy.asarray(f), chunks=(4, 3), asarray=False))
    assert isinstance(lazy._meta, cupy.ndarray)
    assert_same(cupy, [lazy.compute(scheduler="synchronous")], [plan(f)])


def test_named_functions_take_walls_on_the_device(cupy, rng):
    f = rng.standard_normal((7, 6))
    wanted = gradkit.derivative(f, 0.5, axis=0, boundary=(Dirichlet(ROW), Neumann(ROW)))
    boundary = tuple(kind(cupy.asarray(ROW)) for kind in (Dirichlet, Neumann))
    got = gradkit.derivative(cupy.asarray(f), 0.5, axis=0, boundary=boundary)
    assert_same(cupy, [got], [wanted])
