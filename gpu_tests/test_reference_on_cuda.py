"""CuPy arrays give what NumPy arrays give, on the device where they live."""

import numpy as np
import pytest

import gradkit
from gradkit import Axis, D, Grid
from gradkit.errors import ArgumentTypeError, ArgumentValueError

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def reference(gpu):
    """The numerics alone: kernels round in another way, and have tests of their own."""
    with gradkit.use_engine("reference"):
        yield


UNEVEN = [0.0, 0.5, 2.0, 2.25, 3.0, 5.0, 5.5]


def flat(result):
    """The arrays of a result, from nested tuples."""
    return [a for part in result for a in flat(part)] if isinstance(result, tuple) else [result]


#: Name -> call on an array, shape of it.
CALLS = {
    "gradient": (lambda f: gradkit.gradient(f, 0.5, 0.3), (5, 6)),
    "gradient on coordinates": (lambda f: gradkit.gradient(f, UNEVEN, axis=0), (7, 4)),
    "wide derivative": (lambda f: gradkit.derivative(f, 0.3, axis=0, accuracy=8), (12, 3)),
    "fourth derivative": (lambda f: gradkit.derivative(f, 0.3, order=4), (3, 9)),
    "second derivative on coordinates": (
        lambda f: gradkit.derivative(f, UNEVEN, order=2, accuracy=4),
        (3, 7),
    ),
    "periodic": (lambda f: gradkit.derivative(f, 0.3, accuracy=4, boundary="periodic"), (3, 8)),
    "antiperiodic": (lambda f: gradkit.derivative(f, 0.3, axis=0, boundary="antiperiodic"), (8, 3)),
    "periodic coordinates": (
        lambda f: gradkit.derivative(f, UNEVEN, boundary="periodic", period=7.0),
        (3, 7),
    ),
    "laplacian": (lambda f: gradkit.laplacian(f, 0.5, 0.3), (5, 6)),
    "hessian": (lambda f: gradkit.hessian(f, 0.5, 0.3), (5, 6)),
    "divergence": (lambda v: gradkit.divergence(v, 0.5, 0.3), (2, 5, 6)),
    "curl, two dimensions": (lambda v: gradkit.curl(v, 0.5, 0.3), (2, 5, 6)),
    "curl, three dimensions": (lambda v: gradkit.curl(v, 0.5, 0.3, 0.7), (3, 4, 5, 6)),
    "jacobian": (lambda v: gradkit.jacobian(v, 0.5, 0.3), (2, 5, 6)),
    "identity beside derivatives": (
        (D(0) * D(1) + 0.5 * D(1, 2) - 2).on(Grid(Axis(0.5), Axis(0.3)), (5, 6)),
        (5, 6),
    ),
    "zero operator": ((D(0) - D(0)).on(Grid(Axis(), Axis()), (3, 4)), (3, 4)),
    "diff": (lambda a: gradkit.diff(a, n=2, axis=0), (6, 3)),
}

DTYPES = ["float32", "float64", "complex64", "complex128", "float16"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def sample(rng, shape, dtype):
    values = rng.standard_normal((2, *shape))
    if np.dtype(dtype).kind == "c":
        return (values[0] + 1j * values[1]).astype(dtype)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return values[0].astype(dtype)


def assert_same(cupy, results, wanted):
    """CuPy arrays with the dtypes and, but for a few roundings, the numbers of NumPy arrays."""
    assert len(results) == len(wanted)
    for got, expected in zip(results, wanted, strict=True):
        assert isinstance(got, cupy.ndarray)
        host = cupy.asnumpy(got)
        assert host.dtype == expected.dtype
        assert host.shape == expected.shape
        # Differences, products and sums are rounded alike on both; the division of complex
        # numbers is done by another formula.
        atol = 4 * np.spacing(abs(expected).max())
        np.testing.assert_allclose(host, expected, rtol=0, atol=float(atol))


# --- every function and dtype -------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cupy_agrees_with_numpy(cupy, rng, name, dtype):
    call, shape = CALLS[name]
    f = sample(rng, shape, dtype)
    assert_same(cupy, flat(call(cupy.asarray(f))), flat(call(f)))


@pytest.mark.parametrize("name", [name for name in CALLS if name != "diff"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_cupy_agrees_with_numpy_on_integers(cupy, rng, name, dtype):
    call, shape = CALLS[name]
    f = sample(rng, shape, dtype)
    assert_same(cupy, flat(call(cupy.asarray(f))), flat(call(f)))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_differences_of_integers_are_exact(cupy, dtype):
    high = np.iinfo(dtype).max
    f = cupy.asarray(np.asarray([high, high - 1, high - 4, high - 9], dtype))
    np.testing.assert_array_equal(cupy.asnumpy(gradkit.gradient(f)), [-1.0, -2.0, -4.0, -5.0])


def test_gradient_is_that_of_numpy(cupy, rng):
    f = rng.standard_normal((5, 6))
    results = gradkit.gradient(cupy.asarray(f), 0.5, 0.3)
    assert_same(cupy, list(results), list(np.gradient(f, 0.5, 0.3)))


def test_float16_does_not_overflow_between_input_and_result(cupy):
    f = cupy.asarray(np.asarray([60000.0, 0.0, -60000.0], "float16"))
    got = cupy.asnumpy(gradkit.gradient(f))
    np.testing.assert_array_equal(got, np.asarray([-60000.0] * 3, "float16"), strict=True)


def test_bool_raises(cupy):
    with pytest.raises(ArgumentTypeError, match="bool"):
        gradkit.gradient(cupy.asarray([True, False, True]))


@pytest.mark.parametrize("dtype", ["float32", "complex64", "int16"])
def test_dtype_argument(cupy, rng, dtype):
    f = sample(rng, (4, 5), dtype)
    wanted = "complex128" if dtype == "complex64" else "float64"
    got = gradkit.laplacian(cupy.asarray(f), dtype=wanted)
    assert_same(cupy, [got], [gradkit.laplacian(f, dtype=wanted)])


@pytest.mark.parametrize("h", [0.5, np.float64(0.5), np.float32(0.5)])
def test_spacing_does_not_promote_the_data(cupy, h):
    for dtype in ("float16", "float32", "complex64"):
        assert gradkit.gradient(cupy.ones(4, dtype), h).dtype == dtype


# --- layouts ------------------------------------------------------------------------------------

VIEWS = {
    "transposed": lambda a: a.T,
    "every other row": lambda a: a[::2],
    "every other column": lambda a: a[:, 1::2],
    "reversed": lambda a: a[::-1, ::-1],
    "real part": lambda a: a.real,
    "imaginary part": lambda a: a.imag,
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("function", [gradkit.gradient, gradkit.laplacian, gradkit.hessian])
def test_strides_do_not_matter(cupy, rng, view, function):
    f = sample(rng, (10, 11), "complex128")
    results = flat(function(VIEWS[view](cupy.asarray(f))))
    assert_same(cupy, results, flat(function(VIEWS[view](f))))


def test_broadcast_input(cupy, rng):
    row = rng.standard_normal(6)
    f = cupy.broadcast_to(cupy.asarray(row), (5, 6))
    assert_same(cupy, list(gradkit.gradient(f)), list(np.gradient(np.broadcast_to(row, (5, 6)))))


def test_batch_axes(cupy, rng):
    f = rng.standard_normal((2, 5, 6, 3))
    results = gradkit.gradient(cupy.asarray(f), axis=(1, 2))
    assert_same(cupy, list(results), list(np.gradient(f, axis=(1, 2))))


def test_components_as_a_sequence(cupy, rng):
    v = [rng.standard_normal((5, 6)) for _ in range(2)]
    device = [cupy.asarray(c) for c in v]
    for function in (gradkit.divergence, gradkit.curl, gradkit.jacobian):
        assert_same(cupy, flat(function(device)), flat(function(v)))


# --- coordinates and spacings -------------------------------------------------------------------


@pytest.mark.parametrize("where", ["list", "host", "device"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_coordinates_on_the_host_and_on_the_device(cupy, rng, where, dtype):
    f = rng.standard_normal((7, 3))
    x = np.asarray([0, 1, 3, 4, 8, 9, 12], dtype)
    given = {"list": x.tolist(), "host": x, "device": cupy.asarray(x)}[where]
    got = gradkit.gradient(cupy.asarray(f), given, axis=0)
    assert_same(cupy, [got], [gradkit.gradient(f, x, axis=0)])
    plan = D(0, 2).on(Grid(Axis(coordinates=given), None), (7, 3))
    second = gradkit.derivative(f, x, axis=0, order=2)
    assert_same(cupy, [plan(cupy.asarray(f))], [second])


def test_coordinates_on_the_device_do_not_serve_host_arrays(cupy):
    with pytest.raises(ArgumentTypeError, match=r"cupy.*numpy|numpy.*cupy"):
        gradkit.gradient(np.ones(3), cupy.asarray([0.0, 1.0, 4.0]))


def test_spacing_on_the_device(cupy):
    got = gradkit.gradient(cupy.asarray([0.0, 1.0, 4.0]), cupy.asarray(2.0))
    np.testing.assert_array_equal(cupy.asnumpy(got), [0.5, 1.0, 1.5])


def test_bad_coordinates_on_the_device_raise(cupy):
    with pytest.raises(ArgumentValueError, match=r"\[2\]=1.0 <= "):
        gradkit.gradient(cupy.ones(3), cupy.asarray([0.0, 1.0, 1.0]))


# --- out= ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_out_is_written_and_returned(cupy, rng, dtype):
    f = sample(rng, (5, 6), dtype)
    out = tuple(cupy.full((5, 6), 7, dtype) for _ in range(2))
    assert gradkit.gradient(cupy.asarray(f), 0.5, out=out) is out
    assert_same(cupy, list(out), list(gradkit.gradient(f, 0.5)))


def test_out_may_be_a_strided_view(cupy, rng):
    f = rng.standard_normal((5, 6))
    store = cupy.zeros((10, 6))
    assert gradkit.laplacian(cupy.asarray(f), out=store[::2]) is not None
    assert_same(cupy, [store[::2]], [gradkit.laplacian(f)])
    assert not store[1::2].any()


def test_out_that_does_not_fit_raises_and_is_left_alone(cupy):
    f = cupy.asarray([0.0, 1.0, 4.0])
    for out, error in (
        (cupy.full(4, 7.0), ArgumentValueError),
        (cupy.full(3, 7.0, "float32"), ArgumentTypeError),
        (np.full(3, 7.0), ArgumentTypeError),
        (f[:], ArgumentValueError),
    ):
        before = out.copy()
        with pytest.raises(error, match="out"):
            gradkit.gradient(f, out=out)
        assert (out == before).all()


# --- where things are ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_result_is_on_the_device_of_the_input(cupy, name):
    call, shape = CALLS[name]
    last = cupy.cuda.runtime.getDeviceCount() - 1
    with cupy.cuda.Device(last):
        f = cupy.ones(shape)
        results = flat(call(f))
    for got in results:
        assert got.device == f.device


def test_host_and_device_do_not_mix(cupy):
    with pytest.raises(ArgumentTypeError, match=r"cupy.*numpy|numpy.*cupy"):
        gradkit.divergence([cupy.ones((4, 4)), np.ones((4, 4))])


def test_input_is_left_alone(cupy, rng):
    f = rng.standard_normal((5, 6))
    device = cupy.asarray(f)
    for call in (gradkit.gradient, gradkit.laplacian, gradkit.hessian):
        call(device)
    np.testing.assert_array_equal(cupy.asnumpy(device), f)


def test_one_plan_serves_host_and_device(cupy, rng):
    plan = D(0, 2).on(Grid(Axis(coordinates=UNEVEN), None), (7, 3))
    f = rng.standard_normal((7, 3))
    wanted = plan(f)
    for _ in range(2):
        assert_same(cupy, [plan(cupy.asarray(f))], [wanted])
        np.testing.assert_array_equal(plan(f), wanted)


def test_nan_policies(cupy):
    f = cupy.asarray([0.0, np.nan, 4.0, 9.0, 16.0])
    got = cupy.asnumpy(gradkit.gradient(f))
    # The centred difference does not use its own point.
    np.testing.assert_array_equal(got, [np.nan, 2.0, np.nan, 6.0, 7.0])
    with pytest.raises(ArgumentValueError, match="NaN"):
        gradkit.gradient(f, nan="raise")


def test_array_module_is_cupy(cupy, monkeypatch):
    monkeypatch.delenv("GRADKIT_DEVICE", raising=False)
    assert gradkit.array_module() is cupy
    assert gradkit.array_module("cuda") is cupy
    assert gradkit.array_module("cpu") is np


def test_explanation_names_cupy(cupy):
    assert "the input is a cupy array" in str(gradkit.explain_engine(cupy.ones(4)))


def test_work_goes_to_the_current_stream(cupy, rng):
    f = rng.standard_normal((50, 60))
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        got = gradkit.laplacian(cupy.asarray(f))
    stream.synchronize()
    assert_same(cupy, [got], [gradkit.laplacian(f)])


def test_dask_arrays_of_cupy_blocks(cupy, rng):
    da = pytest.importorskip("dask.array")
    f = rng.standard_normal((7, 6))
    lazy = gradkit.laplacian(da.from_array(cupy.asarray(f), chunks=3, asarray=False))
    assert isinstance(lazy._meta, cupy.ndarray)
    assert_same(cupy, [lazy.compute(scheduler="synchronous")], [gradkit.laplacian(f)])
