"""Arrays as parts of values: compared by content, hashed, and safe from those who made them."""

import decimal
import pickle
import random
from fractions import Fraction

import dask.array as da
import numpy as np
import pytest

from gradkit import (
    Axis,
    D,
    Dirichlet,
    Divergence,
    Grid,
    Neumann,
    Operator,
    curl,
    divergence,
    gradient,
    jacobian,
)
from gradkit._values import ArrayValue, nearest_longdouble, number_or_array, plain_number
from gradkit.errors import ArgumentTypeError, ArgumentValueError

VALUES = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def value_of(array):
    return ArrayValue(array, "weight")


# --- numbers --------------------------------------------------------------------------------------


def exactly(number):
    return Fraction(*map(int, number.as_integer_ratio()))


def test_the_nearest_longdouble_is_the_nearest():
    rng = random.Random(0)
    for size in (3, 60, 64, 66, 80, 2000):
        for _ in range(200):
            value = Fraction(rng.getrandbits(size) - 2 ** (size - 1), rng.getrandbits(80) + 1)
            found = nearest_longdouble(value)
            for end in (np.longdouble(np.inf), np.longdouble(-np.inf)):
                other = exactly(np.nextafter(found, end))
                assert abs(exactly(found) - value) <= abs(other - value)


def test_longdoubles_and_their_middles():
    one, step = np.longdouble(1), np.finfo(np.longdouble).eps
    for number in (one, one + step, -one - step, np.longdouble(0), 3 * step):
        assert nearest_longdouble(exactly(number)) == number
    half, little = exactly(step) / 2, Fraction(1, 2**200)
    # To even where it lies in the middle, else to the nearer one however near the middle is.
    for sign in (1, -1):
        assert nearest_longdouble(sign * (1 + half)) == sign * one
        assert nearest_longdouble(sign * (1 + half + little)) == sign * (one + step)
        assert nearest_longdouble(sign * (1 + 3 * half - little)) == sign * (one + step)
        assert nearest_longdouble(sign * (1 + 3 * half)) == sign * (one + 2 * step)


@pytest.mark.parametrize(
    ("given", "plain", "kind"),
    [
        (2, 2, int),
        (2.5, 2.5, float),
        (1 + 2j, 1 + 2j, complex),
        (Fraction(1, 3), Fraction(1, 3), Fraction),
        (np.uint8(200), 200, int),
        (np.int64(-3), -3, int),
        (np.float16(0.5), 0.5, float),
        (np.float32(0.1), float(np.float32(0.1)), float),
        (np.float64(0.1), 0.1, float),
        (np.complex64(1j), 1j, complex),
        (np.clongdouble(2 - 1j), 2 - 1j, complex),
        (np.longdouble("0.1"), Fraction(*np.longdouble("0.1").as_integer_ratio()), Fraction),
        (2**64 + 1, 2**64 + 1, int),
    ],
    ids=repr,
)
def test_numbers_of_every_kind_become_plain_ones(given, plain, kind):
    found = plain_number(given, "x")
    assert found == plain
    assert type(found) is kind


def test_a_longdouble_loses_nothing():
    tenth = np.longdouble(1) / 10
    exact = plain_number(tenth, "x")
    assert np.longdouble(exact.numerator) / np.longdouble(exact.denominator) == tenth
    if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps:
        assert exact != Fraction(0.1)


@pytest.mark.parametrize(
    "given", [True, np.True_, "2", None, [1.0], np.array([1.0]), decimal.Decimal(1)], ids=repr
)
def test_what_is_no_number_is_none(given):
    assert plain_number(given, "x") is None


@pytest.mark.parametrize(
    "given",
    [
        float("nan"),
        float("inf"),
        complex(0, float("-inf")),
        np.float32("nan"),
        np.longdouble("inf"),
        10**400,  # it has no float
        Fraction(10**400, 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_are_finite(given):
    with pytest.raises(ArgumentValueError, match=r"weight .* is not a finite number"):
        plain_number(given, "weight")


# --- arrays ---------------------------------------------------------------------------------------


def test_arrays_keep_their_values_shape_and_dtype():
    found = value_of(VALUES.astype("f4"))
    np.testing.assert_array_equal(found.array, VALUES.astype("f4"), strict=True)
    assert found.shape == (2, 3)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (VALUES, "<2 x 3 array>"),
        (VALUES[0], "<3 array>"),
        (np.array(1.0), "<0-d array>"),
        (np.zeros((0, 2)), "<0 x 2 array>"),
    ],
    ids=str,
)
def test_arrays_print_as_their_shape(array, text):
    assert repr(value_of(array)) == text


def test_equal_arrays_are_equal_and_hash_equal(library):
    first, second = (value_of(library.asarray(VALUES)) for _ in range(2))
    assert first == first
    assert first == second
    assert hash(first) == hash(second)
    assert len({first, second}) == 1
    changed = VALUES.copy()
    changed[1, 2] = 7.0
    for other in (changed, VALUES.T, VALUES[:1], VALUES[None], VALUES[0]):
        assert first != value_of(library.asarray(other))
    assert first != value_of(library.asarray(VALUES, "float32"))
    assert first != VALUES.shape


def test_nan_equals_nan_because_the_content_is_the_same():
    for values in ([1.0, np.nan], [1.0, complex(0, np.nan)]):
        assert value_of(np.array(values)) == value_of(np.array(values))
    assert value_of(np.array([np.nan])) != value_of(np.array([1.0]))
    assert value_of(np.array([1.0, np.nan])) != value_of(np.array([np.nan, 1.0]))


def test_byte_orders_and_libraries_tell_arrays_apart(library):
    assert value_of(VALUES.astype(">f8")) != value_of(VALUES.astype("<f8"))
    same = library.kind == "numpy"
    assert (value_of(library.asarray(VALUES)) == value_of(VALUES)) is same


def test_arrays_that_someone_could_change_are_copied():
    for given in (VALUES.copy(), VALUES.copy()[:, ::2], VALUES.copy().T):
        found, before = value_of(given), given.copy()
        given[0] = 100.0
        np.testing.assert_array_equal(found.array, before)
        with pytest.raises(ValueError, match="read-only"):
            found.array[0] = 100.0


def test_views_are_copied_even_if_they_are_read_only():
    data = VALUES.copy()
    view = data[:]
    view.setflags(write=False)
    found = value_of(view)
    data[0] = 100.0
    np.testing.assert_array_equal(found.array, VALUES)


def test_read_only_arrays_are_copied_because_a_view_may_be_writeable():
    data = VALUES.copy()
    view = data[:]
    data.setflags(write=False)
    found = value_of(data)
    view[0] = 100.0
    np.testing.assert_array_equal(found.array, VALUES)


def test_subclasses_of_arrays_become_plain_ones():
    assert type(value_of(VALUES.view(np.matrix)).array) is np.ndarray


@pytest.mark.parametrize("library", ["jax", "dask"], indirect=True)
def test_arrays_of_libraries_without_assignment_are_kept_as_they_are(library):
    given = library.asarray(VALUES)
    assert value_of(given).array is given


@pytest.mark.parametrize("library", ["torch", "array_api_strict"], indirect=True)
def test_arrays_of_libraries_with_assignment_are_copied(library):
    given = library.asarray(VALUES)
    found = value_of(given)
    given[0, 0] = 100.0
    np.testing.assert_array_equal(library.to_numpy(found.array), VALUES)


def test_tensors_that_record_gradients_still_do():
    torch = pytest.importorskip("torch")
    given = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (3 * value_of(given).array).sum().backward()
    assert given.grad.tolist() == [3.0, 3.0, 3.0]


def test_values_can_be_sent(library):
    found = value_of(library.asarray(VALUES))
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found
    assert hash(copy) == hash(found)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([True]), "weight has dtype bool"),
        (np.array([None]), "weight has dtype object"),
        (np.array(["x"]), "weight has dtype str"),
        (np.array([b"x"]), "weight has dtype bytes"),
        (np.array([1], "M8[s]"), r"weight has dtype datetime64\[s\]: wanted real or complex"),
        (np.array([1], "m8[D]"), r"weight has dtype timedelta64\[D\]: wanted real or complex"),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_arrays_hold_known_numbers(array, message):
    with pytest.raises(ArgumentTypeError, match=message):
        value_of(array)


# --- either ---------------------------------------------------------------------------------------


def test_numbers_stay_numbers_and_arrays_become_values():
    assert number_or_array(np.float32(0.5), "g") == 0.5
    assert type(number_or_array(np.float32(0.5), "g")) is float
    assert number_or_array(VALUES, "g") == value_of(VALUES)
    assert number_or_array([1, 2], "g") == value_of(np.array([1, 2]))
    assert number_or_array((1.0, 2.0), "g") == value_of(np.array([1.0, 2.0]))
    assert type(number_or_array(np.array(3.0), "g")) is float
    assert type(number_or_array(1 + 0j, "g")) is float
    kept = value_of(VALUES)
    assert number_or_array(kept, "g") is kept


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("x", ArgumentTypeError, r"g='x' \(str\) is not a number or an array of numbers"),
        (None, ArgumentTypeError, r"g=None \(NoneType\) is not a number"),
        (True, ArgumentTypeError, r"g=True \(bool\) is not a number"),
        ({1: 2}, ArgumentTypeError, r"g=\{1: 2\} \(dict\) is not a number"),
        ([True], ArgumentTypeError, "g has dtype bool"),
        (["x"], ArgumentTypeError, "g has dtype str"),
        ([[1.0], [1.0, 2.0]], ArgumentTypeError, "g cannot be made into an array"),
        (float("nan"), ArgumentValueError, "g nan is not a finite number"),
    ],
    ids=repr,
)
def test_what_is_neither_number_nor_array_raises(given, error, message):
    with pytest.raises(error, match=message):
        number_or_array(given, "g")


# --- masked arrays --------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [np.ma.nomask, [False] * 3])
def test_masked_arrays_of_which_nothing_is_masked_are_known(mask):
    """As those that netCDF4 makes of all variables, and all that is computed from them."""
    values = np.asarray([1.0, 2.0, 4.0])
    m = np.ma.array(values, mask=mask)
    for operator in (m * D(0), D(0) * m, m @ D(0)):
        assert operator == values * D(0)
    assert m + D(0) == values + D(0)
    plan = (m * D(0)).on(Grid(Axis(boundary=Dirichlet(m[:1], at="next"))), (3,), edge_order=1)
    # 2 f' = f[i+1] - f[i-1], with the 1 at both walls.
    np.testing.assert_array_equal(plan([1.0, 3.0, 5.0]), [1.0, 4.0, -4.0])
    assert type(plan([1.0, 3.0, 5.0])) is np.ndarray
    value = value_of(m)
    m[0] = 7.0
    np.testing.assert_array_equal(value.array, [1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m * D(0),
        lambda m: D(0) @ m,
        lambda m: D(0) - m,
        lambda m: Operator.matrix([[m]]),
        Dirichlet,
        lambda m: D(0) * m[1],
        lambda m: m[1] + D(0),
        lambda m: Neumann(m[1]),
        lambda m: Axis(spacing=m[1]),
        lambda m: Axis(spacing=np.ma.array(2.0, mask=True)),
        lambda m: gradient([1.0, 2.0, 4.0], m[1]),
    ],
)
def test_masked_values_are_not_known(make):
    with pytest.raises(ArgumentValueError, match="holds masked values: every one of them must be"):
        make(np.ma.array([1.0, 2.0, 4.0], mask=[False, True, False]))


# --- objects of pandas and xarray ---------------------------------------------------------------


class Labelled:
    """As `Series` of pandas and `DataArray` of xarray: no array, but `ndim` and `__array__`.

    Like those of pandas it leaves the arithmetic to objects of a higher priority alone.
    """

    __hash__ = None

    def __init__(self, values):
        self.values = np.asarray(values)
        self.ndim = self.values.ndim

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __getitem__(self, index):
        """A column, as in a `DataFrame`."""
        return self.values[:, index]

    def __mul__(self, other):
        return NotImplemented if getattr(other, "__pandas_priority__", 0) > 4000 else "spread out"


def test_labelled_arrays_are_coefficients():
    values = np.asarray([1.0, 2.0, 4.0])
    labelled = Labelled(values)
    for operator in (labelled * D(0), D(0) * labelled):
        assert operator == values * D(0)
    assert D(0) @ labelled == D(0) @ values
    assert D(0) + labelled == D(0) + values
    assert D(0) / Labelled(2.0) == D(0) / 2
    assert Operator.matrix([[labelled, D(0)]]) == Operator.matrix([[values, D(0)]])


def test_labelled_arrays_hold_the_components_of_a_field_along_their_first_axis():
    v = np.random.default_rng(0).normal(size=(2, 2, 5))
    wanted = np.gradient(v[0], axis=0) + np.gradient(v[1], axis=1, edge_order=2)
    got = divergence(Labelled(v), edge_order=1)
    np.testing.assert_allclose(got[:, 1:-1], wanted[:, 1:-1], rtol=1e-13)
    w = np.asarray([[1.0, 4.0, 9.0], [0.0, 1.0, 5.0]])
    got = jacobian(Labelled(w), edge_order=1)
    assert isinstance(got, np.ndarray)
    np.testing.assert_array_equal(got[:, 0], np.gradient(w, axis=1))
    plan = Divergence((0, 1)).on(Grid(Axis(), Axis()), (2, 5), edge_order=1)
    np.testing.assert_array_equal(plan(Labelled(v)), plan(v))
    x = np.arange(3.0)[:, None, None] + np.zeros((3, 3, 3))
    found = curl(Labelled(np.stack([0 * x, x, 0 * x])))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, np.stack([0 * x, 0 * x, x**0]))


class Lazy(Labelled):
    """As a `DataArray` with chunks: `data` is what it holds, and ``__array__`` computes it."""

    def __init__(self, data):
        self.data, self.ndim, self.shape = data, data.ndim, data.shape

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("computed")


def test_labelled_arrays_of_another_library_stay_what_they_are():
    values = np.random.default_rng(0).normal(size=(2, 6, 5))
    v = Lazy(da.from_array(values, chunks=(1, 3, 5)))
    x, y = np.gradient(values[0], axis=0), np.gradient(values[1], axis=1)
    plan = D(0).on(Grid(Axis(), Axis()), (6, 5), edge_order=1)
    product = (Lazy(v.data[1]) * D(0)).on(plan.grid, plan.shape, edge_order=1)
    found = {
        "gradient": (gradient(Lazy(v.data[0]), axis=0), x),
        "plan": (plan(Lazy(v.data[0])), x),
        "divergence": (divergence(v, edge_order=1), x + y),
        "coefficient": (product(v.data[0]), values[1] * x),
    }
    for lazy, wanted in found.values():
        assert isinstance(lazy, da.Array)
        np.testing.assert_allclose(lazy.compute(), wanted, rtol=1e-13)


def test_what_else_a_labelled_array_calls_data_is_not_looked_at():
    """As in SciPy's matrices and in NumPy's buffers."""
    labelled = Labelled([1.0, 4.0, 9.0])
    for data in (np.asarray([5.0]), memoryview(b"abc"), None):
        labelled.data = data
        np.testing.assert_array_equal(gradient(labelled), [3, 4, 5])
