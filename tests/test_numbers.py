"""SEMANTICS.md, "Numbers", row by row; each section is one row.

The rows that compare with NumPy bit for bit, or error with error, are in
test_numpy_compatibility.py.
"""

import datetime
from fractions import Fraction

import numpy as np
import pytest

from gradkit import curl, derivative, divergence, gradient, hessian, jacobian, laplacian

#: Coordinates with steps between 1/4 and 4 that no formula finds convenient.
UNEVEN = np.asarray([0.0, 0.3, 1.3, 1.7, 4.9, 5.2, 6.2, 9.9, 10.4, 11.7, 12.1, 14.0, 14.4])


def assert_like(result, f, dtype):
    """The result has the library, shape, device and (dask) chunks of f, and this dtype."""
    assert type(result) is type(f)
    assert tuple(result.shape) == tuple(f.shape)
    assert str(result.dtype).rpartition(".")[2] == dtype
    assert getattr(result, "device", None) == getattr(f, "device", None)
    assert getattr(result, "chunks", None) == getattr(f, "chunks", None)


def exact_slopes(f, x):
    """Slopes through two points at the ends and three inside, as fractions."""
    f, x = [[Fraction(v.item()) for v in np.asarray(a)] for a in (f, x)]
    s = [(f[i + 1] - f[i]) / (x[i + 1] - x[i]) for i in range(len(f) - 1)]
    inner = [
        s[i] + (s[i + 1] - s[i]) * (x[i + 1] - x[i]) / (x[i + 2] - x[i]) for i in range(len(s) - 1)
    ]
    return [s[0], *inner, s[-1]]


def as_floats(values):
    return np.asarray([float(v) for v in values])


# --- constants, flat regions ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.1, 300.7, -1e30])
@pytest.mark.parametrize("boundary", ["one-sided", "periodic"])
@pytest.mark.parametrize("x", [0.1, UNEVEN, np.linspace(0, 1, 13)], ids=["h", "uneven", "linspace"])
def test_constants_give_exactly_zero(x, boundary, value, dtype):
    f = np.full((13, 2), value, dtype)
    period = 15 if boundary == "periodic" and np.ndim(x) else None
    for order in (1, 2, 3, 4):
        for accuracy in (1, 2, 4):
            result = derivative(
                f, x, axis=0, order=order, accuracy=accuracy, boundary=boundary, period=period
            )
            assert (result == 0).all()


def test_constants_give_exactly_zero_on_every_library(library):
    f = library.asarray(np.full((13, 9), 300.7), "float32")
    results = [*gradient(f, UNEVEN, 0.3, edge_order=2), laplacian(f, UNEVEN, 0.3)]
    results += [entry for row in hessian(f, UNEVEN, 0.3) for entry in row]
    for result in results:
        assert_like(result, f, "float32")
        assert (library.to_numpy(result) == 0).all()


@pytest.mark.parametrize("x", [0.1, UNEVEN], ids=["h", "uneven"])
def test_flat_regions_give_exactly_zero(x):
    f = np.asarray([3.1, 2.7, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 5.0, 1.0])
    assert (gradient(f, x)[3:10] == 0).all()
    assert (gradient(f, x)[[1, 2, 10, 11]] != 0).all()


# --- uniform grid, order 1, accuracy 2 -----------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_gradient_is_that_of_numpy_on_every_library(library, rng, dtype):
    values = rng.standard_normal((8, 7)).astype(dtype)
    f = library.asarray(values)
    for result, wanted in zip(gradient(f, 0.3), np.gradient(values, 0.3), strict=True):
        assert_like(result, f, dtype)
        # Other libraries may divide by multiplying with the reciprocal: one more rounding.
        tolerance = 0 if library.kind == "numpy" else np.finfo(dtype).eps
        np.testing.assert_allclose(library.to_numpy(result), wanted, rtol=tolerance, atol=0)


def test_uniform_second_order_closure_is_exactly_zero_on_constants_where_that_of_numpy_is_not():
    f = np.full(5, 0.1)
    assert (gradient(f, 0.3, edge_order=2) == 0).all()
    assert (np.gradient(f, 0.3, edge_order=2) != 0).any()


# --- coordinates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "exponent"), [("float32", 100), ("float64", 665)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_coordinates_of_tiny_or_huge_spacing_neither_underflow_nor_overflow(dtype, exponent, sign):
    # Powers of two (about 1e30 and 1e200) scale a slope without rounding it.
    x = UNEVEN.astype(dtype)
    f = (x**2).astype(dtype)
    far = np.ldexp(x, sign * exponent)
    for edge_order in (1, 2):
        wanted = np.ldexp(gradient(f, x, edge_order=edge_order), -sign * exponent)
        actual = gradient(f, far, edge_order=edge_order)
        np.testing.assert_array_equal(actual, wanted)
    # The parabola through three points is exact on x**2; 4 roundings of terms of up to |f'| * 4.
    inner = np.ldexp(2 * x, -sign * exponent)
    np.testing.assert_allclose(actual, inner, rtol=8 * np.finfo(dtype).eps, atol=abs(inner[1]))


@pytest.mark.parametrize("spacing", [1e-200, 1e200, -1e-200])
def test_spacings_tiny_or_huge_neither_underflow_nor_overflow(spacing):
    f = np.asarray([0.0, 1.0, 4.0, 9.0, 16.0])
    wanted = np.asarray([0.0, 2.0, 4.0, 6.0, 8.0]) / spacing
    np.testing.assert_allclose(gradient(f, spacing, edge_order=2), wanted, rtol=4 * 2.0**-52)
    # In units where the second derivative, 2 / spacing, is an ordinary number. The values of f,
    # up to 16, are rounded by eps / 2 and meet weights that add up to 12: 12 * 16 / 2 * eps / 2.
    second = derivative(f * spacing, spacing, order=2)
    np.testing.assert_allclose(second, np.full(5, 2 / spacing), rtol=50 * 2.0**-52)


def test_float32_data_on_tiny_coordinates():
    x = UNEVEN * 1e-30
    wanted = as_floats(exact_slopes(UNEVEN.astype("float32") ** 2, x))
    result = gradient(UNEVEN.astype("float32") ** 2, x)
    assert result.dtype == "float32"
    # Difference, weight, product, sum and no cancellation: f increases.
    np.testing.assert_allclose(result, wanted, rtol=2 * 2.0**-23)


# --- coordinates uniform to rounding (linspace) --------------------------------------------------


def test_linspace_coordinates_have_the_accuracy_of_a_uniform_grid():
    # Steps of linspace differ by ulps of 1; the values 300 + x must not turn that into slopes.
    x = np.linspace(0, 1, 10001)
    result = gradient(x + 300, x)
    # f itself is rounded to ulps of 300, 2**-44, over two steps of 1e-4.
    assert abs(result - 1).max() < 2.0**-44 / 1e-4


# --- real floating f -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spacing",
    [0.1, np.float64(0.1), np.float32(0.1), np.asarray(0.1), Fraction(1, 10), UNEVEN],
    ids=["float", "np.float64", "np.float32", "0-d array", "Fraction", "coordinates"],
)
def test_float32_is_kept_whatever_the_spacing(library, spacing):
    f = library.asarray(UNEVEN, "float32")
    assert_like(gradient(f, spacing, edge_order=2), f, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floating_dtype_is_kept_by_every_function(library, dtype):
    f = library.asarray(UNEVEN, dtype)
    results = [
        derivative(f, UNEVEN, order=2, accuracy=4),
        laplacian(f, np.float64(0.1)),
        hessian(f, 0.1)[0][0],
        divergence([f], UNEVEN),
        jacobian([f], np.float64(0.1))[0][0],
    ]
    for result in results:
        assert_like(result, f, dtype)


def test_np_float64_spacing_gives_the_numbers_of_a_python_float(library, rng):
    f = library.asarray(rng.standard_normal(9), "float32")
    actual = library.to_numpy(gradient(f, np.float64(0.3)))
    np.testing.assert_array_equal(actual, library.to_numpy(gradient(f, 0.3)))


def test_longdouble_is_kept_and_computed_in_longdouble():
    f = np.arange(5, dtype=np.longdouble) ** 2 / 3
    result = gradient(f, 0.5, edge_order=2)
    assert result.dtype == np.longdouble
    wanted = 4 * np.arange(5, dtype=np.longdouble) / 3
    # Rounded in float64 the error would be above 1e-16 of values up to 5.
    assert abs(result - wanted).max() <= 16 * np.finfo(np.longdouble).eps


def test_float64_coordinates_of_float32_data_are_not_rounded_to_float32(library):
    # In float32 all these coordinates would be the same number.
    x = 1e6 + UNEVEN / 1024
    f = library.asarray(UNEVEN * 3, "float32")
    result = gradient(f, x, edge_order=2)
    assert_like(result, f, "float32")
    # x is rounded by 2**-34, seen against steps of 0.3 / 1024; f by 2**-24 * 42 likewise.
    bound = 3072 * (2.0**-33 + 42 * 2.0**-24 / 1024) / (0.3 / 1024)
    np.testing.assert_allclose(library.to_numpy(result), 3072, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("order", "accuracy", "weights"),
    [
        # Fornberg 1988, table 1.
        (1, 4, "1/12 -2/3 0 2/3 -1/12"),
        (1, 8, "1/280 -4/105 1/5 -4/5 0 4/5 -1/5 4/105 -1/280"),
        (2, 6, "1/90 -3/20 3/2 -49/18 3/2 -3/20 1/90"),
        (4, 4, "-1/6 2 -13/2 28/3 -13/2 2 -1/6"),
    ],
)
def test_uniform_weights_are_rounded_once(dtype, order, accuracy, weights):
    weights = [Fraction(w) for w in weights.split()]
    reach = len(weights) // 2
    impulse = np.zeros(21, dtype)
    impulse[10] = 1
    result = derivative(impulse, 1.0, order=order, accuracy=accuracy)
    wanted = np.asarray([float(w) for w in weights[::-1]]).astype(dtype)
    np.testing.assert_array_equal(result[10 - reach : 11 + reach], wanted)


# --- float16, bfloat16 ---------------------------------------------------------------------------

HALVES = {"numpy": ["float16"], "dask": ["float16"], "cupy": ["float16"]}
HALVES |= {"torch": ["float16", "bfloat16"], "jax": ["float16", "bfloat16"]}


def halves_of(library):
    if library.kind not in HALVES:
        pytest.skip(f"{library.kind} has no floats of 16 bits")
    return HALVES[library.kind]


def convert(library, array, dtype):
    """An array of a library in another dtype."""
    if library.kind == "torch":
        return array.to(getattr(library.xp, dtype))
    return array.astype(dtype)


@pytest.mark.parametrize("edge_order", [1, 2])
def test_half_precision_is_computed_in_float32_and_stored_back(library, rng, edge_order):
    for dtype in halves_of(library):
        f = convert(library, library.asarray(rng.standard_normal((50, 4)) + 3, "float32"), dtype)
        widened = library.to_numpy(convert(library, f, "float32"))
        result = gradient(f, 0.1, axis=0, edge_order=edge_order)
        assert_like(result, f, dtype)
        wanted = np.gradient(widened.astype("float64"), 0.1, axis=0, edge_order=edge_order)
        rounded = convert(library, library.asarray(wanted.astype("float32")), dtype)
        # float32 errors move few results across a rounding boundary of the narrow dtype; sums in
        # the narrow dtype would move most of them.
        same = library.to_numpy(convert(library, result, "float32")) == library.to_numpy(
            convert(library, rounded, "float32")
        )
        assert same.mean() > 0.98


def test_float16_does_not_overflow_in_between():
    f = np.asarray([60000, 0, -60000], "float16")
    result = gradient(f)
    assert result.dtype == "float16"
    np.testing.assert_array_equal(result, np.asarray([-60000, -60000, -60000], "float16"))


def test_float16_spacing_below_its_smallest_number():
    f = np.asarray([0, 2e-5, 4e-5, 6e-5], "float16")
    # np.float16(1e-9) is 0.
    result = gradient(f, 1e-9, dtype="float32")
    np.testing.assert_allclose(result, np.gradient(f.astype("float64"), 1e-9), rtol=4 * 2.0**-23)


def test_float16_coordinates_whose_products_overflow():
    # NumPy's formula overflows here and gives 0 inside; the products of steps exceed 65504.
    x = np.asarray([0, 512, 1536, 2048, 40000], "float16")
    f = np.asarray([0, 100, 900, 1000, -2000], "float16")
    wanted = as_floats(exact_slopes(f, x))
    result = gradient(f, x)
    assert result.dtype == "float16"
    assert (abs(result - wanted) <= np.spacing(abs(wanted).astype("float16"))).all()


# --- complex f -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "real"), [("complex64", "float32"), ("complex128", "float64")])
@pytest.mark.parametrize("x", [0.7, UNEVEN], ids=["h", "uneven"])
def test_complex_derivatives_are_those_of_both_parts(library, rng, x, dtype, real):
    re, im = rng.standard_normal((2, 13)).astype(real)
    f = library.asarray(re + 1j * im, dtype)
    calls = [
        lambda part: gradient(part, x),
        lambda part: derivative(part, x, order=2, accuracy=4),
    ]
    for call in calls:
        result = call(f)
        assert_like(result, f, dtype)
        values = library.to_numpy(result)
        # A complex division may round once more than a real one; weights reach 1e3 / h**2.
        scale = 1e3 * np.finfo(real).eps
        np.testing.assert_allclose(values.real, call(re), rtol=8 * scale, atol=8 * scale)
        np.testing.assert_allclose(values.imag, call(im), rtol=8 * scale, atol=8 * scale)


def test_complex_gradient_is_that_of_an_analytic_function():
    x = np.linspace(0, 1, 101)
    result = gradient(np.exp(2j * x), x, edge_order=2)
    # h**2 / 3 |f'''| at the ends, with |f'''| = 8.
    assert abs(result - 2j * np.exp(2j * x)).max() < 1.01 * 8 / 3 * 0.01**2


@pytest.mark.parametrize(
    "spacing",
    [1j, 1 + 0j, np.complex64(1), np.asarray(1j), [0j, 1, 2], np.arange(3) * (1 + 0j)],
    ids=["1j", "1+0j", "np.complex64", "0-d array", "list", "array"],
)
def test_complex_spacing_or_coordinates_raise(library, spacing):
    with pytest.raises(TypeError, match=r"(spacing|coordinates).*complex.*real"):
        gradient(library.asarray([1.0, 2.0, 4.0]), spacing)


# --- integer f -----------------------------------------------------------------------------------

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def extreme_integers(dtype):
    """Values whose differences wrap around in their dtype, or vanish in float64."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    middle = high // 2
    values = [high, low, high, high - 1, high - 2, low, low + 1, low + 3, middle, middle + 1, low]
    return np.asarray(values, dtype)


def exact_differences(values, i, j):
    return int(values[i]) - int(values[j])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_differences_are_exact_before_conversion(library, dtype):
    values = extreme_integers(dtype)
    f = library.asarray(values)
    result = gradient(f)
    assert_like(result, f, "float64")
    last = len(values) - 1
    wanted = [
        Fraction(exact_differences(values, 1, 0)),
        *[Fraction(exact_differences(values, i + 1, i - 1), 2) for i in range(1, last)],
        Fraction(exact_differences(values, last, last - 1)),
    ]
    np.testing.assert_array_equal(library.to_numpy(result), as_floats(wanted))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_second_differences_are_exact_before_conversion(library, dtype):
    values = extreme_integers(dtype)
    f = library.asarray(values)
    result = library.to_numpy(derivative(f, 1, order=2))[1:-1]
    inside = range(1, len(values) - 1)
    up = [exact_differences(values, i + 1, i) for i in inside]
    down = [exact_differences(values, i, i - 1) for i in inside]
    wanted = [u - d for u, d in zip(up, down, strict=True)]
    # Two differences of up to 2**64 are rounded once each, and so is their sum.
    scale = np.asarray([abs(u) + abs(d) for u, d in zip(up, down, strict=True)], float)
    assert (abs(result - as_floats(wanted)) <= 2.0**-52 * scale).all()


def test_uint64_above_float64_has_slope_one(library):
    f = library.asarray(np.uint64(2**60) + np.arange(6, dtype="uint64"))
    for edge_order in (1, 2):
        result = library.to_numpy(gradient(f, edge_order=edge_order))
        np.testing.assert_array_equal(result, np.ones(6))
    assert (np.gradient(2.0**60 + np.arange(6)) == 0).any()


def test_int64_above_float64_has_slope_one(library):
    f = library.asarray(2**53 + np.arange(6))
    np.testing.assert_array_equal(library.to_numpy(gradient(f)), np.ones(6))
    np.testing.assert_array_equal(library.to_numpy(laplacian(f)), np.zeros(6))


def test_int64_from_lowest_to_highest_does_not_wrap(library):
    f = library.asarray(np.asarray([-(2**63), 2**63 - 1, -(2**63)]))
    np.testing.assert_array_equal(library.to_numpy(gradient(f)), [2.0**64, 0, -(2.0**64)])


def test_uint8_never_wraps_in_any_function(library):
    values = np.asarray([[0, 255, 3, 9], [200, 7, 255, 0], [1, 0, 128, 2], [5, 255, 0, 1]], "u1")
    f, wide = library.asarray(values), values.astype("float64")
    calls = [
        lambda a: gradient(a)[0],
        lambda a: gradient(a)[1],
        laplacian,
        lambda a: hessian(a)[0][1],
        lambda a: divergence([a, a]),
        lambda a: curl([a, a]),
        lambda a: jacobian([a, a])[1][0],
    ]
    for call in calls:
        result = call(f)
        assert_like(result, f, "float64")
        # Small integers over powers of two: exact in float64, on any path.
        np.testing.assert_array_equal(library.to_numpy(result), call(wide))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("wanted", ["float32", np.float32, np.dtype("float32"), "f4"])
def test_small_integers_take_float32_through_dtype(library, dtype, wanted):
    values = extreme_integers(dtype)
    f = library.asarray(values)
    result = gradient(f, dtype=wanted)
    assert_like(result, f, "float32")
    # Differences of 16-bit integers fit float32 exactly, halves of them too.
    exact = np.gradient(values.astype("float64"))
    np.testing.assert_array_equal(library.to_numpy(result), exact.astype("float32"))


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_wide_integers_keep_their_differences_in_float32(library, dtype):
    # 2**30 + i and 2**60 + i are the same float32 for all these i.
    start = 2**60 if "64" in dtype else 2**30
    f = library.asarray(np.asarray([start + i * i for i in range(6)], dtype))
    result = gradient(f, edge_order=2, dtype="float32")
    assert_like(result, f, "float32")
    np.testing.assert_array_equal(library.to_numpy(result), np.asarray([0, 2, 4, 6, 8, 10], "f4"))


def test_integer_lists_give_float64():
    result = gradient([3, 1, 4, 1])
    assert result.dtype == "float64"
    np.testing.assert_array_equal(result, [-2.0, 0.5, 0.0, -3.0])


# --- integer coordinates -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        2**60 + np.arange(6),
        2**60 + np.asarray([0, 1, 3, 4, 10, 11]),
        np.uint64(2**63) + np.asarray([0, 1, 3, 4, 10, 11], "uint64"),
        np.asarray([-(2**63), -(2**62), 0, 1, 5, 2**63 - 1]),
        np.asarray([250, 200, 199, 3, 1, 0], "uint8"),
        np.asarray([-128, -3, 0, 1, 100, 127], "int8"),
        np.asarray([0, 100000, 200000, 400000, 500000, 700000], "int32"),
    ],
    ids=["2**60+i", "uneven 2**60", "uint64", "min to max", "uint8 down", "int8", "int32"],
)
def test_integer_coordinates_have_exact_differences(library, x):
    f = np.asarray([0.0, 1.0, 5.0, 25.0, 26.0, 100.0])
    result = gradient(library.asarray(f), x)
    wanted = as_floats(exact_slopes(f, x))
    # f and x are monotonic, so nothing cancels: four roundings, of eps / 2 each.
    np.testing.assert_allclose(library.to_numpy(result), wanted, rtol=2 * 2.0**-52)


def test_integer_coordinates_of_the_library_itself(library):
    x = library.asarray(np.asarray([2**60, 2**60 + 1, 2**60 + 4]))
    if library.kind == "dask":
        pytest.skip("coordinates must not be lazy; test_errors.py has the message")
    result = library.to_numpy(gradient(library.asarray([0.0, 1.0, 2.0]), x))
    np.testing.assert_allclose(result, [1, 5 / 6, 1 / 3], rtol=2 * 2.0**-52)


# --- bool f --------------------------------------------------------------------------------------


def test_bool_data_raise(library):
    f = library.asarray([True, False, True, True])
    for call in (gradient, derivative, laplacian, hessian):
        with pytest.raises(TypeError, match=r"f has dtype bool.*convert it to a .*integer"):
            call(f)
    for call in (divergence, jacobian):
        with pytest.raises(TypeError, match=r"dtype bool.*convert it to a .*integer"):
            call([f])


def test_bool_lists_raise():
    with pytest.raises(TypeError, match=r"f has dtype bool.*convert"):
        gradient([True, False, True])


# --- object, string f ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        np.asarray([1, 2, 3, 5], object),
        [Fraction(1), Fraction(2), Fraction(3), Fraction(5)],
        np.asarray(["1", "2", "3", "5"]),
        ["a", "b", "c", "d"],
        np.asarray([b"1", b"2", b"3", b"5"]),
        np.zeros(4, [("x", float)]),
        np.zeros(4, "V8"),
    ],
    ids=["object", "fractions", "str", "list of str", "bytes", "record", "void"],
)
@pytest.mark.parametrize("call", [gradient, derivative, laplacian, hessian])
def test_object_and_string_data_raise(call, f):
    with pytest.raises(TypeError, match=r"f has dtype \w+.*wanted numbers"):
        call(f)


# --- datetime64, timedelta64 coordinates ---------------------------------------------------------

DAYS = np.asarray([0, 1, 3, 4])
SECONDS_PER = {"D": 86400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@pytest.mark.parametrize("unit", SECONDS_PER)
@pytest.mark.parametrize("resolution", ["D", "h", "s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["datetime64", "timedelta64"])
def test_time_coordinates_count_in_unit_whatever_their_resolution(kind, resolution, unit):
    days = DAYS.astype("timedelta64[D]").astype(f"timedelta64[{resolution}]")
    x = days if kind == "timedelta64" else np.datetime64("2026-11-22") + days
    result = gradient(np.asarray([0.0, 2.0, 6.0, 8.0]), x, unit=unit)
    # 2 per day; a weight, a product, a sum and the wanted number are rounded.
    np.testing.assert_allclose(result, 2 / (86400 / SECONDS_PER[unit]), rtol=4 * 2.0**-52)


def test_time_coordinates_are_counted_in_seconds_by_default():
    x = np.datetime64("2000-01-01") + DAYS
    np.testing.assert_allclose(gradient(DAYS * 86400.0, x), 1, rtol=4 * 2.0**-52)
    assert 'unit : str, default "s"' in gradient.__doc__


def test_time_coordinates_in_nanoseconds_since_1970_have_exact_differences():
    # 1.7e18 ns: float64 cannot tell these apart.
    x = np.asarray(1_700_000_000_000_000_000 + DAYS, "datetime64[ns]")
    np.testing.assert_array_equal(gradient(DAYS * 2.0, x, unit="ns"), np.full(4, 2.0))


def test_time_coordinates_may_decrease_and_be_big_endian():
    x = (np.datetime64("2000-01-01") + DAYS).astype(">M8[D]")
    for points, values in [(x, DAYS), (x[::-1], DAYS[::-1])]:
        np.testing.assert_array_equal(gradient(3.0 * values, points, unit="D"), np.full(4, 3.0))


def test_time_coordinates_of_higher_order():
    x = np.datetime64("2000-01-01") + np.arange(5)
    result = derivative(np.arange(5.0) ** 2, x, order=2, unit="h")
    np.testing.assert_allclose(result, 2 / 24**2, rtol=4 * 2.0**-52)


@pytest.mark.parametrize(
    "spacing",
    [
        np.timedelta64(2, "h"),
        np.timedelta64(1, "120m"),
        np.asarray(np.timedelta64(2, "h")),
        datetime.timedelta(hours=2),
    ],
    ids=["timedelta64", "multiple", "0-d array", "timedelta"],
)
def test_spacing_may_be_a_length_of_time(library, spacing):
    f = library.asarray([0.0, 1.0, 2.0])
    np.testing.assert_allclose(library.to_numpy(gradient(f, spacing, unit="h")), 0.5, rtol=2.0**-52)
    wanted = 1 / 7200
    np.testing.assert_allclose(library.to_numpy(gradient(f, spacing)), wanted, rtol=2.0**-52)


def test_time_coordinates_serve_every_library(library):
    f = library.asarray([0.0, 2.0, 6.0, 8.0], "float32")
    result = gradient(f, np.datetime64("2000-01-01") + DAYS, unit="D")
    assert_like(result, f, "float32")
    np.testing.assert_array_equal(library.to_numpy(result), np.full(4, 2, "float32"))


@pytest.mark.parametrize("dtype", ["datetime64[D]", "timedelta64[s]"])
def test_not_a_time_in_coordinates_raises(dtype):
    x = np.asarray([0, 1, 2, 3]).astype(dtype)
    x[2] = "NaT"
    with pytest.raises(ValueError, match=r"\[2\]=NaT is not finite"):
        gradient(np.arange(4.0), x)


@pytest.mark.parametrize("dtype", ["datetime64[Y]", "timedelta64[M]", "timedelta64"])
def test_units_without_a_fixed_length_raise(dtype):
    with pytest.raises(TypeError, match=r"(a year|a month|a time without a unit) has no fixed"):
        gradient(np.arange(4.0), DAYS.astype(dtype))


def test_unknown_unit_raises():
    with pytest.raises(ValueError, match=r"unit='days' is not one of 'W', 'D'"):
        gradient(np.arange(4.0), DAYS.astype("timedelta64[D]"), unit="days")


# --- datetime64, timedelta64 f -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["datetime64", "timedelta64"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_times_have_floating_derivatives_that_are_not_truncated(kind, byte_order):
    seconds = np.asarray([1, 2, 4, 5]).astype("timedelta64[s]")
    f = seconds if kind == "timedelta64" else np.datetime64("2000-01-01T00:00:00") + seconds
    result = gradient(f.astype(f.dtype.newbyteorder(byte_order)), 3)
    assert result.dtype == "float64"
    np.testing.assert_allclose(result, [1 / 3, 1 / 2, 1 / 2, 1 / 3], rtol=2.0**-52)


def test_times_are_counted_in_unit():
    f = np.datetime64("2000-01-01") + DAYS
    for unit, seconds in SECONDS_PER.items():
        wanted = np.asarray([1, 1.5, 1.5, 1]) * (86400 / seconds)
        np.testing.assert_allclose(gradient(f, unit=unit), wanted, rtol=4 * 2.0**-52)


def test_times_along_times_have_no_unit():
    f = (np.datetime64("2000-01-01") + 3 * DAYS).astype("datetime64[ms]")
    x = np.datetime64("1999-01-01") + DAYS
    for unit in ("s", "D"):
        np.testing.assert_allclose(gradient(f, x, unit=unit), 3, rtol=4 * 2.0**-52)


def test_times_since_1970_in_nanoseconds_have_exact_differences():
    f = np.asarray(1_700_000_000_000_000_000 + DAYS, "datetime64[ns]")
    np.testing.assert_array_equal(gradient(f, unit="ns"), [1, 1.5, 1.5, 1])
    np.testing.assert_array_equal(laplacian(f, edge_order=1, unit="ns"), [1, 1, -1, -1])


def test_times_from_the_lowest_to_the_highest_do_not_wrap():
    f = np.asarray([-(2**63) + 1, 2**63 - 1, 0]).astype("timedelta64[s]")
    np.testing.assert_array_equal(gradient(f), [2.0**64, 2.0**62, -(2.0**63)])


def test_not_a_time_in_data_is_a_nan():
    f = np.datetime64("2000-01-01") + np.arange(6)
    f[2] = "NaT"
    result = gradient(f, unit="D")
    np.testing.assert_array_equal(np.isnan(result), [False, True, False, True, False, False])
    with pytest.raises(ValueError, match=r"NaN|NaT"):
        gradient(f, nan="raise")


def test_times_serve_every_function():
    f = (np.arange(4)[:, np.newaxis] ** 2 + np.arange(5)).astype("timedelta64[h]")
    assert (laplacian(f, unit="h") == 2).all()
    assert (
        divergence([f, f], unit="m")[1:-1] == 60 * (2 * np.arange(1, 3)[:, np.newaxis] + 1)
    ).all()
    assert (hessian(f, unit="h")[0][0] == 2).all()
    assert (curl([f, f], unit="h")[:, 0] == [-1, 1, 3, 5]).all()
    assert jacobian([f, f], unit="h", dtype="float32")[1][1].dtype == "float32"


# --- NaN in f ------------------------------------------------------------------------------------


def used_points(row, size, order, accuracy, edge_order, uneven, wraps):
    """The points whose values a row uses, by the rules of the method, spelled out."""

    def half_width(accuracy):
        narrowest = (order - 1) // 2 + accuracy // 2
        return narrowest + 1 if uneven and order % 2 == 0 else narrowest

    def centred(accuracy):
        reach = half_width(accuracy)
        points = set(range(row - reach, row + reach + 1))
        # An odd derivative on equal spacing is a sum of differences of mirror images.
        return points - {row} if order % 2 and not uneven else points

    if wraps:
        return {point % size for point in centred(accuracy)}
    room = min(row, size - 1 - row)
    if half_width(accuracy) <= room:
        return centred(accuracy)
    edge_order = accuracy if edge_order is None else edge_order
    for narrower in range(accuracy - 2, 0, -2):
        if half_width(narrower) <= room and narrower >= edge_order:
            return centred(narrower)
    width = order + edge_order
    return set(range(width)) if row < size / 2 else set(range(size - width, size))


SIZE = len(UNEVEN)


def nan_pattern(*rules):
    """Whether row i (second index) is NaN where point k (first index) is."""
    return np.asarray(
        [[k in used_points(i, SIZE, *rules) for i in range(SIZE)] for k in range(SIZE)]
    )


STENCILS = [
    (order, accuracy, edge_order)
    for order in (1, 2, 3, 4)
    for accuracy in (2, 4, 6)
    for edge_order in (1, 2, None)
]


@pytest.mark.parametrize("wraps", [False, True], ids=["one-sided", "periodic"])
@pytest.mark.parametrize("uneven", [False, True], ids=["uniform", "uneven"])
@pytest.mark.parametrize(("order", "accuracy", "edge_order"), STENCILS)
def test_nan_appears_exactly_where_a_used_point_is_nan(
    rng, order, accuracy, edge_order, uneven, wraps
):
    f = rng.standard_normal((SIZE, SIZE))
    np.fill_diagonal(f, np.nan)
    result = derivative(
        f,
        UNEVEN if uneven else 0.3,
        order=order,
        accuracy=accuracy,
        edge_order=edge_order,
        boundary="periodic" if wraps else "one-sided",
        period=20 if uneven and wraps else None,
    )
    wanted = nan_pattern(order, accuracy, edge_order, uneven, wraps)
    np.testing.assert_array_equal(np.isnan(result), wanted)


@pytest.mark.parametrize("uneven", [False, True], ids=["uniform", "uneven"])
def test_nan_appears_in_the_same_places_on_every_library(library, rng, uneven):
    values = rng.standard_normal((SIZE, SIZE))
    np.fill_diagonal(values, np.nan)
    f = library.asarray(values)
    for order, accuracy, edge_order in [(1, 2, 1), (1, 4, None), (2, 2, None)]:
        x = UNEVEN if uneven else 0.3
        result = derivative(f, x, order=order, accuracy=accuracy, edge_order=edge_order)
        wanted = nan_pattern(order, accuracy, edge_order, uneven, False)
        np.testing.assert_array_equal(np.isnan(library.to_numpy(result)), wanted)


@pytest.mark.parametrize("chunks", [1, 2, 5, (3, 1, 1, 8), SIZE])
@pytest.mark.parametrize("uneven", [False, True], ids=["uniform", "uneven"])
def test_nan_appears_in_the_same_places_for_every_chunking(rng, uneven, chunks):
    da = pytest.importorskip("dask.array")
    values = rng.standard_normal((SIZE, SIZE))
    np.fill_diagonal(values, np.nan)
    f = da.from_array(values, chunks=(SIZE, chunks))
    for order, accuracy in [(1, 4), (2, 2)]:
        x = UNEVEN if uneven else 0.3
        result = derivative(f, x, order=order, accuracy=accuracy).compute(scheduler="synchronous")
        wanted = nan_pattern(order, accuracy, None, uneven, False)
        np.testing.assert_array_equal(np.isnan(result), wanted)


def where(mask):
    return set(map(tuple, np.argwhere(mask).tolist()))


def test_nan_spreads_along_the_differentiated_axes_alone():
    f = np.zeros((11, 12))
    f[5, 6] = np.nan
    down, across = gradient(f)
    assert where(np.isnan(down)) == {(4, 6), (6, 6)}
    assert where(np.isnan(across)) == {(5, 5), (5, 7)}
    cross = {(4, 6), (6, 6), (5, 5), (5, 7), (5, 6)}
    assert where(np.isnan(laplacian(f))) == cross
    corners = {(4, 5), (4, 7), (6, 5), (6, 7)}
    assert where(np.isnan(hessian(f)[0][1])) == corners


CALLS = {
    "gradient": gradient,
    "derivative": derivative,
    "laplacian": laplacian,
    "hessian": hessian,
    "divergence": lambda f, **k: divergence([f, f], **k),
    "curl": lambda f, **k: curl([f, f], **k),
    "jacobian": lambda f, **k: jacobian([f, f], **k),
}


@pytest.mark.parametrize("name", CALLS)
def test_nan_raise_raises_where_there_is_a_nan_and_only_there(library, name):
    values = np.zeros((4, 4))
    CALLS[name](library.asarray(values), nan="raise")
    values[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"f.* holds NaN and nan='raise' was given"):
        materialise(library, CALLS[name](library.asarray(values), nan="raise"))


def materialise(library, result):
    """Compute a lazy result, so that what it would raise is raised."""
    for part in result if isinstance(result, tuple) else (result,):
        if isinstance(part, tuple):
            materialise(library, part)
        else:
            library.to_numpy(part)


@pytest.mark.parametrize("name", CALLS)
def test_nan_adapt_is_not_served_yet(name):
    with pytest.raises(NotImplementedError, match=r"nan='adapt' is not available yet: use"):
        CALLS[name](np.zeros((4, 4)), nan="adapt")


@pytest.mark.parametrize("name", CALLS)
def test_nan_takes_no_other_word(name):
    with pytest.raises(ValueError, match=r"nan='omit' is not one of 'propagate', 'raise'"):
        CALLS[name](np.zeros((4, 4)), nan="omit")


# --- masked arrays -------------------------------------------------------------------------------


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("x", [0.3, UNEVEN], ids=["h", "uneven"])
def test_masks_are_those_of_numpy(rng, x, edge_order):
    for masked in ([4], [0], [12], [1, 11], [3, 4, 5], []):
        f = np.ma.array(rng.standard_normal(SIZE), mask=np.isin(np.arange(SIZE), masked))
        before = f.mask.copy()
        result = gradient(f, x, edge_order=edge_order)
        wanted = np.gradient(f, x, edge_order=edge_order)
        assert type(result) is np.ma.MaskedArray
        np.testing.assert_array_equal(np.ma.getmaskarray(result), np.ma.getmaskarray(wanted))
        # NumPy's rounding errors with values below 4 and steps above 0.3.
        np.testing.assert_allclose(result.compressed(), wanted.compressed(), rtol=0, atol=1e-13)
        assert not np.may_share_memory(np.ma.getmaskarray(result), f.mask)
        np.testing.assert_array_equal(f.mask, before)


def test_masked_values_never_show():
    f = np.ma.array([1.0, 2.0, np.nan, 1e300, 5.0, 6.0, 7.0], mask=[0, 0, 1, 1, 0, 0, 0])
    result = gradient(f)
    np.testing.assert_array_equal(result.compressed(), [1.0, 1.0, 1.0])
    gradient(f, nan="raise")


@pytest.mark.parametrize("hidden", [9.96921e36, np.inf, np.nan])
def test_what_lies_under_a_mask_is_not_read(hidden):
    """The first is the fill value of NetCDF: over 0.01**2 it is beyond float32."""
    da = pytest.importorskip("dask.array")
    values = np.arange(30, dtype=np.float32).reshape(5, 6) ** 2
    mask = np.zeros((5, 6), bool)
    mask[2, 3:5] = True
    f = np.ma.array(np.where(mask, np.float32(hidden), values), mask=mask)
    with np.errstate(all="raise"):
        found = laplacian(f, 0.01)
        lazy = laplacian(da.from_array(f, chunks=3), 0.01).compute()
    wanted = laplacian(values, 0.01)
    shown = ~mask
    # Three points in the interior, four at the ends.
    shown[:, 3:5] = shown[2, [0, 2, 5]] = False
    for result in (found, lazy):
        np.testing.assert_array_equal(result.mask, ~shown)
        np.testing.assert_array_equal(result.data[shown], wanted[shown])
    assert f.data.tobytes() == np.where(mask, np.float32(hidden), values).tobytes()


def test_masks_reach_every_function():
    f, zero = np.ma.zeros((11, 12)), np.zeros((11, 12))
    f[5, 6] = np.ma.masked

    def masked(result):
        return where(np.ma.getmaskarray(result))

    down, across = {(4, 6), (6, 6)}, {(5, 5), (5, 7)}
    assert masked(laplacian(f)) == {*down, *across, (5, 6)}
    assert masked(hessian(f)[1][0]) == {(4, 5), (4, 7), (6, 5), (6, 7)}
    assert masked(divergence([f, zero])) == down
    assert masked(curl([f, zero])) == across
    assert masked(jacobian([zero, f])[1][0]) == down
    assert masked(jacobian([zero, f])[0][0]) == set()


def test_masked_coordinates_raise():
    x = np.ma.array([0.0, 1.0, 2.0], mask=[False, True, False])
    with pytest.raises(ValueError, match="coordinates holds masked values"):
        gradient(np.arange(3.0), x)
    unmasked = np.ma.array([0.0, 1.0, 2.0])
    np.testing.assert_array_equal(gradient(np.arange(3.0), unmasked), np.ones(3))


# --- inf in f ------------------------------------------------------------------------------------


def test_inf_on_a_uniform_axis_reaches_its_neighbours_alone(library):
    f = library.asarray([1.0, 2.0, np.inf, 3.0, 4.0, 6.0])
    with np.errstate(invalid="ignore"):
        result = library.to_numpy(gradient(f))
    np.testing.assert_array_equal(result, [1, np.inf, 0.5, -np.inf, 1.5, 2])


def test_inf_on_coordinates_is_a_nan_at_its_own_point(library):
    # Between a slope of inf on one side and -inf on the other.
    f = library.asarray([1.0, 2.0, np.inf, 3.0, 4.0, 6.0])
    with np.errstate(invalid="ignore"):
        result = library.to_numpy(gradient(f, [0, 1, 3, 4, 6, 7]))
    np.testing.assert_array_equal(result[1:4], [np.inf, np.nan, -np.inf])
    assert np.isfinite(result[[0, 4, 5]]).all()


@pytest.mark.parametrize("uneven", [False, True], ids=["uniform", "uneven"])
@pytest.mark.parametrize(("order", "accuracy", "edge_order"), STENCILS)
def test_inf_appears_exactly_where_a_used_point_is_infinite(
    rng, order, accuracy, edge_order, uneven
):
    f = rng.standard_normal((SIZE, SIZE))
    np.fill_diagonal(f, -np.inf)
    x = UNEVEN if uneven else 0.3
    with np.errstate(invalid="ignore"):
        result = derivative(f, x, order=order, accuracy=accuracy, edge_order=edge_order)
    wanted = nan_pattern(order, accuracy, edge_order, uneven, False)
    np.testing.assert_array_equal(~np.isfinite(result), wanted)


# --- big-endian, Fortran order, negative strides, 0 along another axis, read-only ----------------

FIELDS = {
    "gradient": lambda f: gradient(f, 0.3, UNEVEN[:6], -1, edge_order=2),
    "derivative": lambda f: (derivative(f, 0.3, axis=1, order=2, accuracy=2),),
    "on coordinates": lambda f: (derivative(f, UNEVEN[:6], axis=1, order=3),),
    "periodic": lambda f: gradient(f, 0.3, boundary="periodic"),
    "laplacian": lambda f: (laplacian(f, 0.3, UNEVEN[:6], -1),),
    "hessian": lambda f: [entry for row in hessian(f, 0.3) for entry in row],
    "divergence": lambda f: (divergence([f, f, f], 0.3),),
    "curl": lambda f: curl([f, f, f], 0.3),
    "jacobian": lambda f: [entry for row in jacobian([f, f], 0.3) for entry in row],
}
LAYOUTS = {
    "big-endian": lambda f: f.astype(f.dtype.newbyteorder(">")),
    "Fortran order": np.asfortranarray,
    "axes exchanged": lambda f: np.ascontiguousarray(f.swapaxes(0, 1)).swapaxes(0, 1),
    "negative strides": lambda f: np.ascontiguousarray(f[::-1, :, ::-1])[::-1, :, ::-1],
    "every other element": lambda f: np.repeat(f, 2, axis=1)[:, ::2],
    "read-only": lambda f: np.broadcast_to(f, f.shape),
}


def order_of_axes(array):
    """Axes from the longest stride to the shortest."""
    return tuple(np.argsort([-abs(s) for s in array.strides], stable=True))


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_layout_changes_no_bit_and_is_kept(rng, dtype, layout, name):
    plain = rng.standard_normal((5, 6, 4)).astype(dtype)
    f = LAYOUTS[layout](plain)
    for actual, wanted in zip(FIELDS[name](f), FIELDS[name](plain), strict=True):
        assert actual.dtype == f.dtype
        assert actual.astype(dtype).tobytes() == wanted.tobytes()
        assert order_of_axes(actual) == order_of_axes(f)
        assert actual.flags.writeable
        assert not np.may_share_memory(actual, f)


@pytest.mark.parametrize("name", FIELDS)
def test_stride_zero_along_another_axis_changes_no_bit(rng, name):
    f = np.broadcast_to(rng.standard_normal((5, 6, 1)), (5, 6, 4))
    for actual, wanted in zip(FIELDS[name](f), FIELDS[name](f.copy()), strict=True):
        assert actual.tobytes() == wanted.tobytes()
        assert actual.flags.writeable


@pytest.mark.parametrize("dtype", [">i2", ">u8", ">i8"])
def test_big_endian_integers_give_the_same_numbers(dtype):
    values = np.asarray([[3, 1, 4], [1, 5, 9], [2, 6, 5]])
    for actual, wanted in zip(gradient(values.astype(dtype)), np.gradient(values), strict=True):
        assert actual.dtype == "float64"
        np.testing.assert_array_equal(actual, wanted)


def test_big_endian_coordinates_give_the_same_numbers(rng):
    f = rng.standard_normal(SIZE)
    np.testing.assert_array_equal(gradient(f, UNEVEN.astype(">f8")), gradient(f, UNEVEN))


@pytest.mark.parametrize("name", FIELDS)
def test_no_argument_is_changed(rng, name):
    f = rng.standard_normal((5, 6, 4))
    before, coordinates_before = f.tobytes(), UNEVEN.tobytes()
    FIELDS[name](f)
    assert f.tobytes() == before
    assert UNEVEN.tobytes() == coordinates_before


def test_no_sequence_is_changed():
    f, x, axis = [[1.0, 2.0, 4.0], [0.0, 5.0, 1.0]], [0.0, 1.0, 3.0], [1]
    gradient(f, x, axis=axis)
    assert f == [[1.0, 2.0, 4.0], [0.0, 5.0, 1.0]]
    assert x == [0.0, 1.0, 3.0]
    assert axis == [1]


@pytest.mark.parametrize(
    ("decades", "order", "dtype"), [(20, 2, "f4"), (12, 3, "f4"), (40, 8, "f8"), (10, 4, "f4")]
)
def test_constants_give_zero_on_coordinates_over_many_decades(decades, order, dtype):
    x = np.logspace(-decades, decades, 8 * decades + 1)
    f = np.full(x.size, 1013.25, dtype)
    np.testing.assert_array_equal(derivative(f, x, order=order), np.zeros(x.size, dtype))


def test_float32_on_coordinates_over_many_decades_keeps_its_digits():
    """Weights from 1e-40 to 1e40, but the second derivative of x**2 is 2 everywhere."""
    x = np.logspace(-18, 18, 145)
    f = (x**2).astype("f4")
    result = derivative(f, x, order=2)
    assert result.dtype == np.float32
    # The exact result for the stored f differs from 2 by the rounding of f, which float64 shows.
    np.testing.assert_allclose(result, derivative(f.astype("f8"), x, order=2), rtol=1e-6)
    assert abs(result - 2).max() < 1e-4


def test_bfloat16_coordinates_and_spacings_are_numbers():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.asarray([0.0, 1.5, 2.5, 4.75], ml_dtypes.bfloat16)
    f = np.asarray([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(gradient(f, x), gradient(f, x.astype("f8")))
    np.testing.assert_array_equal(gradient(f, ml_dtypes.bfloat16(0.5)), gradient(f, 0.5))


def test_longdouble_coordinates_are_equally_spaced_only_in_their_own_precision():
    x = np.arange(9, dtype="g") + np.longdouble(4e-17) * np.asarray([0, 1, -1, 1, 0, -1, 1, 0, 1])
    assert abs(gradient(x, x) - 1).max() <= 4 * np.finfo("g").eps
