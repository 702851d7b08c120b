"""gradkit against NumPy: its own tests, equal bits where they are promised, never less accurate."""

import importlib
import inspect
from itertools import product

import numpy as np
import pytest

import gradkit

# --- NumPy's own tests, run on gradkit ----------------------------------------------------------


class KnownMarks:
    """`pytest.mark`, in which the marks that are registered nowhere here do nothing."""

    known = pytest.mark

    def __getattr__(self, name):
        try:
            return getattr(self.known, name)
        except pytest.fail.Exception:
            return self.ignored

    def ignored(self, *args, **kwargs):
        return args[0] if args and callable(args[0]) else self.ignored


def import_numpy_tests():
    """Import NumPy's tests, whose marks (thread_unsafe, slow) --strict-markers would refuse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest, "mark", KnownMarks())
        return importlib.import_module("numpy.lib.tests.test_function_base")


numpy_tests = import_numpy_tests()

#: Tests of NumPy that SEMANTICS.md contradicts on purpose, with the row that does.
CONTRADICTED = {
    "TestGradient.test_datetime64": (
        "a datetime64 f has a floating derivative in `unit`; NumPy's is a truncated timedelta64"
    ),
    "TestGradient.test_timedelta64": (
        "a timedelta64 f has a floating derivative in `unit`; NumPy's is a truncated timedelta64"
    ),
}


def argument_sets(tables):
    """Every combination of the values that parametrize marks list, as keyword arguments."""
    columns = []
    for mark in tables:
        names, rows = mark.args[:2]
        names = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
        values = [getattr(row, "values", row if len(names) > 1 else (row,)) for row in rows]
        columns.append([dict(zip(names, v, strict=True)) for v in values])
    return [{k: v for part in parts for k, v in part.items()} for parts in product(*columns)]


def collected():
    """NumPy's tests of gradient and diff as (name, group, method, arguments), with their marks."""
    found = []
    for group in (numpy_tests.TestGradient, numpy_tests.TestDiff):
        for method, function in inspect.getmembers(group, inspect.isfunction):
            if not method.startswith("test"):
                continue
            marks = [*getattr(group, "pytestmark", []), *getattr(function, "pytestmark", [])]
            tables = [mark for mark in marks if mark.name == "parametrize"]
            others = [mark for mark in marks if mark.name != "parametrize"]
            name = f"{group.__name__}.{method}"
            for arguments in argument_sets(tables):
                shown = ", ".join(getattr(v, "__name__", str(v)) for v in arguments.values())
                found.append(
                    pytest.param(name, group, method, arguments, marks=others, id=name + shown)
                )
    return found


COLLECTED = collected()


@pytest.fixture
def replace_numpy(monkeypatch):
    """Put two functions where NumPy's tests look for gradient and diff."""

    def replace(gradient, diff):
        for module in (numpy_tests, np):
            monkeypatch.setattr(module, "gradient", gradient)
            monkeypatch.setattr(module, "diff", diff)

    return replace


def test_the_tests_of_numpy_are_found():
    names = {case.values[0] for case in COLLECTED}
    # NumPy 2.1 to 2.4 have these and more; fewer would mean that the collection has broken.
    assert {"TestGradient.test_spacing", "TestDiff.test_prepend", *CONTRADICTED} <= names
    assert len(names) >= 24
    assert len(COLLECTED) >= 36


class ReachedError(Exception):
    """Raised in the place of gradient and diff."""


@pytest.mark.parametrize(("name", "group", "method", "arguments"), COLLECTED)
def test_the_tests_of_numpy_reach_the_functions_put_in_place(
    replace_numpy, name, group, method, arguments
):
    def reached(*args, **kwargs):
        raise ReachedError

    replace_numpy(reached, reached)
    with pytest.raises(ReachedError):
        getattr(group(), method)(**arguments)


@pytest.mark.parametrize(("name", "group", "method", "arguments"), COLLECTED)
def test_numpy_passes_its_own_tests_with_gradkit_in_place(
    replace_numpy, name, group, method, arguments
):
    replace_numpy(gradkit.gradient, gradkit.diff)
    run = getattr(group(), method)
    if name in CONTRADICTED:
        with pytest.raises(AssertionError):
            run(**arguments)
    else:
        run(**arguments)


# --- equal bits on uniform axes -----------------------------------------------------------------

DTYPES = ("float32", "float64", "complex64", "complex128")


def samples(rng, shape, dtype):
    values = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def assert_same_bits(actual, wanted):
    assert actual.dtype == wanted.dtype
    assert actual.shape == wanted.shape
    assert actual.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("spacing", [1, 1.0, 3, 0.1, -0.7, 7e-5, 1e-30, -1e30])
@pytest.mark.parametrize("shape", [(2,), (3,), (50,), (7, 9), (4, 5, 6)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_gradient_has_the_bits_of_numpy(rng, dtype, shape, spacing):
    f = samples(rng, shape, dtype)
    for axis in range(len(shape)):
        wanted = np.gradient(f, spacing, axis=axis)
        assert_same_bits(gradkit.gradient(f, spacing, axis=axis), wanted)


@pytest.mark.parametrize("spacing", [1e-300, 1e300, 5e-324])
def test_uniform_gradient_has_the_bits_of_numpy_for_extreme_spacings(rng, spacing):
    # Values of the size of the spacing, so that the slopes are ordinary numbers.
    f = rng.standard_normal(20) * spacing
    assert_same_bits(gradkit.gradient(f, spacing), np.gradient(f, spacing))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_along_all_axes_has_the_bits_of_numpy(rng, dtype):
    f = samples(rng, (6, 4, 5), dtype)
    for spacing in [(), (0.3,), (0.3, -2, 1e-3)]:
        wanted = np.gradient(f, *spacing)
        actual = gradkit.gradient(f, *spacing)
        assert isinstance(actual, tuple)
        for a, w in zip(actual, wanted, strict=True):
            assert_same_bits(a, w)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "positions",
    [np.arange(12), 0.5 * np.arange(12), 3 - 0.25 * np.arange(12), np.arange(12)[::-1] + 7],
    ids=["integers", "halves", "decreasing quarters", "decreasing integers"],
)
def test_exactly_uniform_coordinates_have_the_bits_of_numpy(rng, dtype, positions):
    f = samples(rng, (12, 3), dtype)
    if positions.dtype.kind == "f":
        # NumPy promotes float32 to float64 where coordinates are float64.
        positions = positions.astype(dtype)
    assert_same_bits(gradkit.gradient(f, positions, axis=0), np.gradient(f, positions, axis=0))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_uniform_gradient_of_integers_has_the_bits_of_numpy(rng, dtype):
    # Below 2**53 NumPy's conversion to float64 is exact, so its result is right.
    information = np.iinfo(dtype)
    low, high = max(information.min, -(2**52)), min(information.max, 2**52)
    f = rng.integers(low, high, size=(9, 5), endpoint=True).astype(dtype)
    for axis in (0, 1):
        wanted = np.gradient(f, 0.3, axis=axis)
        assert_same_bits(gradkit.gradient(f, 0.3, axis=axis), wanted)


def test_second_order_closures_agree_with_numpy(rng):
    # Three roundings of terms up to 4 |f| / (2 h) on NumPy's side: 8 eps with |f| < 5, h = 0.1.
    f = rng.standard_normal((20, 30))
    wanted = np.gradient(f, 0.1, edge_order=2)
    for actual, right in zip(gradkit.gradient(f, 0.1, edge_order=2), wanted, strict=True):
        np.testing.assert_allclose(actual, right, rtol=0, atol=8 * 2.0**-52 * 5 / 0.1)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "complex64", "bool"])
def test_diff_has_the_bits_of_numpy(rng, n, axis, dtype):
    a = rng.integers(0, 5, size=(4, 6)).astype(dtype)
    assert_same_bits(gradkit.diff(a, n, axis), np.diff(a, n, axis))


# --- never less accurate on coordinates ---------------------------------------------------------

needs_longdouble = pytest.mark.skipif(
    np.finfo(np.longdouble).eps > 2.0**-60, reason="longdouble is float64 here: no oracle"
)


def exact_gradient(f, x, edge_order):
    """Slopes of the parabolas through three points each, as NumPy defines them, in longdouble.

    Newton's divided differences: at t the slope is ``s0 + (2 t - x0 - x1) (s1 - s0) / (x2 - x0)``.
    Returns the slopes and the sum of the sizes of their two parts, the scale of rounding errors.
    """
    f, x = np.asarray(f, np.longdouble), np.asarray(x, np.longdouble)
    s = (f[1:] - f[:-1]) / (x[1:] - x[:-1])
    h = x[1:] - x[:-1]
    before, after = h[1:] / (h[1:] + h[:-1]), h[:-1] / (h[1:] + h[:-1])
    slopes, scale = np.empty_like(f), np.empty_like(f)
    slopes[1:-1] = s[:-1] * before + s[1:] * after
    scale[1:-1] = abs(s[:-1] * before) + abs(s[1:] * after)
    if edge_order == 1:
        slopes[0], slopes[-1] = s[0], s[-1]
        scale[0], scale[-1] = abs(s[0]), abs(s[-1])
    else:
        slopes[0] = s[0] * (1 + after[0]) - s[1] * after[0]
        scale[0] = abs(s[0] * (1 + after[0])) + abs(s[1] * after[0])
        slopes[-1] = s[-1] * (1 + before[-1]) - s[-2] * before[-1]
        scale[-1] = abs(s[-1] * (1 + before[-1])) + abs(s[-2] * before[-1])
    return slopes, scale


def bound(dtype):
    """The largest error of a weighted sum of two differences, relative to its scale.

    A difference, its weight, their product and the sum are rounded by eps / 2 each.
    """
    return 2 * np.finfo(dtype).eps


def random_points(size, dtype):
    return np.unique(np.random.default_rng(size).random(size).astype(dtype))


def clustered_points(size, dtype):
    return np.tanh(3 * np.linspace(-1, 1, size)).astype(dtype)


def stretched_points(size, dtype):
    even = np.linspace(0, 1, size)
    return (even + 0.1 * np.sin(2 * np.pi * even) / (2 * np.pi)).astype(dtype)


def linspace_points(size, dtype):
    return np.linspace(0, 1, size, dtype=dtype)


GRIDS = [
    *product([random_points], [50, 3000]),
    *product([clustered_points, stretched_points], [51, 2001]),
    *product([linspace_points], [11, 101, 10001, 1000001]),
]


def root_mean_square(values):
    return np.sqrt(np.mean(values**2))


@needs_longdouble
@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("offset", [0, 300, 1e4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("points", "size"), GRIDS)
def test_error_on_coordinates_is_never_above_that_of_numpy(points, size, dtype, offset, edge_order):
    x = points(size, dtype)
    f = (np.sin(7 * x.astype("float64")) + offset).astype(dtype)
    exact, _ = exact_gradient(f, x, edge_order)
    error = abs(gradkit.gradient(f, x, edge_order=edge_order) - exact)
    error_of_numpy = abs(np.gradient(f, x, edge_order=edge_order) - exact)
    assert error.max() <= error_of_numpy.max()
    assert root_mean_square(error) <= root_mean_square(error_of_numpy)


@needs_longdouble
@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("points", "size"), GRIDS[:-1])
def test_error_on_coordinates_follows_the_differences_of_noise(
    rng, points, size, dtype, edge_order
):
    x = points(size, dtype)
    for offset in (0, 300):
        f = (rng.standard_normal(len(x)) + offset).astype(dtype)
        exact, scale = exact_gradient(f, x, edge_order)
        error = abs(gradkit.gradient(f, x, edge_order=edge_order) - exact)
        assert (error <= bound(dtype) * scale).all()


@needs_longdouble
@pytest.mark.parametrize("extent", [(0, 1), (0, np.pi), (-1, 1), (1000, 1001)])
def test_coordinates_uniform_to_rounding_lose_no_accuracy(extent):
    for size in range(5, 60):
        x = np.linspace(*extent, size)
        for f in (np.sin(7 * x), np.exp(x / 10), x**3 - x + 300):
            exact, scale = exact_gradient(f, x, 1)
            error = abs(gradkit.gradient(f, x) - exact)
            # Whatever path is taken, it must not cost a digit.
            assert (error <= bound("float64") * scale).all(), (size, extent)


@needs_longdouble
@pytest.mark.parametrize("offset", [0, 300, 1e4])
@pytest.mark.parametrize("spacing", [1.0, 0.1, -1e-3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_error_of_uniform_second_order_closure_is_never_above_that_of_numpy(
    rng, dtype, spacing, offset
):
    # 2000 rows, of which only the ends count, so that luck in one of them does not decide.
    phase = rng.random((2000, 1)) * 2 * np.pi
    f = (np.sin(phase + 0.1 * np.arange(3)) + offset).astype(dtype)
    # In float32 both divide by the spacing rounded to float32; that error is not in question.
    h = np.longdouble(np.dtype(dtype).type(spacing))
    exact = np.stack([exact_gradient(row, h * np.arange(3), 2)[0] for row in f])[:, ::2]
    error = abs(gradkit.gradient(f, spacing, axis=1, edge_order=2)[:, ::2] - exact)
    error_of_numpy = abs(np.gradient(f, spacing, axis=1, edge_order=2)[:, ::2] - exact)
    assert error.max() <= error_of_numpy.max()
    assert root_mean_square(error) <= root_mean_square(error_of_numpy)
