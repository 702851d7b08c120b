"""Positions, axes and grids: exact distances, what counts as equally spaced, values and errors."""

import dataclasses
import datetime
import pickle
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from gradkit import Antisymmetric, Axis, Dirichlet, Grid, Neumann, Robin, Symmetric, gradient
from gradkit.coordinates import Coordinates
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.grid import UNIFORM_TOLERANCE

EPS = float(np.finfo(np.float64).eps)

extended = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="longdouble is no wider than float64 here"
)


def exact(values):
    """The exact values of an array of floats."""
    return [Fraction(*map(int, v.as_integer_ratio())) for v in np.asarray(values)]


# --- distances between neighbours -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "distances"),
    [
        ([200, 100, 3], "uint8", [-100, -97]),
        ([-128, 127], "int8", [255]),
        ([65535, 0], "uint16", [-65535]),
        ([-(2**31), 2**31 - 1], "int32", [2**32 - 1]),
        ([2**53, 2**53 + 1, 2**53 + 3], "int64", [1, 2]),
        ([-7, -3, 12], ">i4", [4, 15]),
        ([300, 20, 10], ">u2", [-280, -10]),
    ],
)
def test_distances_of_integers_are_exact(values, dtype, distances):
    assert exact(Coordinates(np.array(values, dtype)).steps()) == distances


@extended
@pytest.mark.parametrize(
    ("values", "dtype", "distances"),
    [
        ([-(2**63), 0, 2**63 - 1], "int64", [2**63, 2**63 - 1]),
        ([2**63 - 1, -(2**63)], "int64", [-(2**64 - 1)]),
        ([2**64 - 1, 2**60 + 1, 0], "uint64", [-(2**64 - 2**60 - 2), -(2**60 + 1)]),
        ([2**60, 2**60 + 1, 2**60 + 3], ">u8", [1, 2]),
    ],
)
def test_distances_of_64_bit_extremes_are_exact(values, dtype, distances):
    assert exact(Coordinates(np.array(values, dtype)).steps()) == distances


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", "longdouble"])
def test_distances_of_floats_are_rounded_once_to_longdouble(rng, dtype):
    values = np.unique(rng.uniform(-100, 100, 50).astype(dtype))
    steps = Coordinates(values).steps()
    assert steps.dtype == np.longdouble
    positions = exact(values)
    half_ulp = Fraction(1, 2) * Fraction(float(np.finfo(np.longdouble).eps))
    for step, low, high in zip(exact(steps), positions, positions[1:], strict=False):
        assert abs(step - (high - low)) <= half_ulp * (high - low)


def test_distances_of_float16_do_not_overflow():
    assert exact(Coordinates(np.array([-65504, 65504], "float16")).steps()) == [131008]


@pytest.mark.parametrize(
    ("dtype", "unit", "days"),
    [
        ("datetime64[D]", "D", 1),
        ("datetime64[D]", "s", 86400),
        ("datetime64[h]", "D", Fraction(1, 24)),
        ("datetime64[ns]", "s", Fraction(1, 10**9)),
        ("datetime64[25s]", "m", Fraction(25, 60)),
        ("datetime64[W]", "h", 168),
        ("timedelta64[ms]", "us", 1000),
        ("timedelta64[s]", "s", 1),
        (">M8[s]", "ms", 1000),
    ],
)
def test_distances_of_times_count_the_unit(dtype, unit, days):
    times = np.array([0, 1, 3, 10]).astype(dtype)
    steps = Coordinates(times, unit).steps()
    expected = [days * k for k in (1, 2, 7)]
    for step, wanted in zip(exact(steps), expected, strict=True):
        # one rounding, of the division by the unit
        assert abs(step - wanted) <= Fraction(float(np.finfo(np.longdouble).eps)) * wanted


def test_distances_of_times_that_run_backwards_are_negative():
    times = np.array(["2020-03-01", "2020-02-29", "2020-02-27"], "datetime64[D]")
    assert exact(Coordinates(times, "h").steps()) == [-24, -48]


@extended
def test_distances_of_times_centuries_apart_keep_every_tick():
    first = np.datetime64("1700-01-01T00:00:00.000000001", "ns")
    last = np.datetime64("2262-01-01T00:00:00.000000000", "ns")
    ticks = int(last.astype(np.int64)) - int(first.astype(np.int64))
    steps = Coordinates(np.array([first, last]), "ns").steps()
    assert exact(steps) == [ticks]
    assert ticks > 2**53  # so that a float64 could not hold it


# --- what is not a set of positions ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 1.0, 2.0, 1.5, 3.0], r"coordinates\[3\]=1\.5 <= coordinates\[2\]=2\.0"),
        ([0.0, 1.0, 1.0, 2.0], r"coordinates\[2\]=1\.0 <= coordinates\[1\]=1\.0"),
        ([5, 4, 4, 1], r"coordinates\[2\]=4 >= coordinates\[1\]=4"),
        ([5, 4, 4.5, 1], r"coordinates\[2\]=4\.5 >= coordinates\[1\]=4\.0"),
        ([0.0, np.nan, 2.0], r"coordinates\[1\]=nan"),
        ([0.0, 1.0, np.inf], r"coordinates\[2\]=inf"),
        ([-np.inf, 1.0, 2.0], r"coordinates\[0\]=-inf"),
        ([0.5, 0.5, 0.5], r"equal spacing pass the number 0\.5"),
        ([[0, 1], [2, 3]], "2 dimensions"),
        (3.0, "0 dimensions"),
        ([1.0], "1 points: a derivative needs at least 2"),
        ([], "0 points"),
        (np.array([2048, 2049], "float16"), r"coordinates\[1\]=2048"),
        (np.array(["2020-01-01", "NaT", "2020-01-03"], "M8[D]"), r"coordinates\[1\]=NaT"),
        (np.array([3, 2, "NaT"], "m8[s]"), r"coordinates\[2\]=NaT"),
        (np.ma.array([0.0, 1.0, 2.0], mask=[0, 1, 0]), "masked"),
    ],
    ids=str,
)
def test_values_that_are_not_positions_raise_a_value_error(values, message):
    with pytest.raises(ArgumentValueError, match=message):
        Axis(coordinates=values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([0, 1, 3j]), "complex128"),
        ([False, True], "bool"),
        (np.array([0, 1, None]), "object"),
        (np.array([], object), "object"),
        (
            [datetime.date(2000, 1, 1), datetime.date(2000, 1, 2)],
            r"such as numpy.asarray\(.*\[us\]",
        ),
        (["a", "b"], "dtype str"),
        ([0, [1, 2]], "cannot be made into an array"),
        (np.array(["2000", "2001", "2003"], "M8[Y]"), "a year has no fixed length"),
        (np.array(["2000-01", "2001-02"], "M8[M]"), "a month has no fixed length"),
    ],
    ids=str,
)
def test_values_that_are_not_real_numbers_raise_a_type_error(values, message):
    with pytest.raises(ArgumentTypeError, match=message):
        Axis(coordinates=values)


@pytest.mark.parametrize(("unit", "nearest"), [("sec", "s"), ("minutes", None), ("Y", None)])
def test_a_unit_without_a_fixed_length_raises(unit, nearest):
    with pytest.raises(ArgumentValueError, match=f"unit='{unit}' is not one of 'W', 'D', 'h'"):
        Axis(coordinates=np.array([0, 1], "m8[s]"), unit=unit)
    with pytest.raises(ArgumentValueError, match="unit"):
        Axis(spacing=1.0, unit=unit)


def test_an_array_with_a_mask_that_hides_nothing_is_accepted():
    assert exact(Coordinates(np.ma.array([0.0, 1.0, 3.0])).steps()) == [1, 2]


def test_positions_come_from_any_library(library):
    values = library.asarray([0.0, 1.0, 3.0], "float32")
    if library.kind == "dask":
        with pytest.raises(ArgumentTypeError, match=r"lazy dask array.*coordinates\.compute\(\)"):
            Coordinates(values)
        return
    assert exact(Coordinates(values).steps()) == [1, 2]


# --- coordinates are values -----------------------------------------------------------------------


def test_coordinates_keep_a_copy_that_cannot_be_written():
    given = np.array([0.0, 1.0, 3.0])
    coordinates = Coordinates(given)
    given[1] = 2.5
    assert coordinates.values.tolist() == [0.0, 1.0, 3.0]
    with pytest.raises(ValueError, match="read-only"):
        coordinates.values[0] = 7.0


def test_coordinates_stay_frozen_through_pickling():
    copy = pickle.loads(pickle.dumps(Coordinates([0.0, 1.0, 3.0])))
    assert copy == Coordinates([0.0, 1.0, 3.0])
    with pytest.raises(ValueError, match="read-only"):
        copy.values[0] = 7.0


def test_equal_coordinates_hash_and_compare_equal():
    coordinates = Coordinates(np.array([0.0, 1.0, 3.0]))
    assert coordinates == Coordinates([0.0, 1.0, 3.0])
    assert hash(coordinates) == hash(Coordinates([0.0, 1.0, 3.0]))
    assert len(coordinates) == 3


@pytest.mark.parametrize(
    "other",
    [
        Coordinates([0.0, 1.0, 4.0]),
        Coordinates([0.0, 1.0]),
        Coordinates([0, 1, 3]),
        Coordinates([0.0, 1.0, 3.0], unit="h"),
        [0.0, 1.0, 3.0],
        None,
    ],
    ids=repr,
)
def test_different_coordinates_are_not_equal(other):
    assert Coordinates([0.0, 1.0, 3.0]) != other


def test_coordinates_from_another_process_are_equal_to_the_same_ones_made_here(fresh_python):
    """Dask and multiprocessing pickle; strings and bytes hash differently in every process."""
    code = """
import pickle
from gradkit import Axis
print(pickle.dumps(Axis(coordinates=[0.0, 1.0, 4.0])).hex())
"""
    here = Axis(coordinates=[0.0, 1.0, 4.0])
    for seed in ("1", "2"):
        there = pickle.loads(bytes.fromhex(fresh_python(code, PYTHONHASHSEED=seed)))
        assert there == here
        assert hash(there) == hash(here)


def test_coordinates_print_their_extent():
    assert repr(Coordinates([4.0, 1.0, 0.5])) == "3 points from 4.0 to 0.5"


# --- axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spacing", "value"),
    [
        (0.1, Fraction(0.1)),
        (-2, Fraction(-2)),
        (np.float32(0.1), Fraction(13421773, 2**27)),
        (np.float64(0.1), Fraction(0.1)),
        (np.int8(-3), Fraction(-3)),
        (Fraction(1, 3), Fraction(1, 3)),
        (5e-324, Fraction(1, 2**1074)),
        (np.asarray(0.25), Fraction(1, 4)),
        (np.timedelta64(90, "m"), Fraction(5400)),
        (np.timedelta64(250, "ms"), Fraction(1, 4)),
        (datetime.timedelta(hours=-2), Fraction(-7200)),
    ],
    ids=repr,
)
def test_spacing_is_taken_at_its_exact_value(spacing, value):
    assert Axis(spacing=spacing).uniform_spacing == value


def test_a_spacing_of_time_counts_the_unit():
    assert Axis(spacing=np.timedelta64(90, "m"), unit="h").uniform_spacing == Fraction(3, 2)


def test_a_spacing_may_be_an_array_without_dimensions(library):
    spacing = library.asarray(0.5, "float32")
    if library.kind == "dask":
        with pytest.raises(ArgumentTypeError, match=r"spacing is a lazy dask array"):
            Axis(spacing=spacing)
        return
    assert Axis(spacing=spacing).uniform_spacing == Fraction(1, 2)


@pytest.mark.parametrize(
    "spacing",
    [0.1, np.float32(0.1), np.asarray(0.1), Fraction(1, 3), np.timedelta64(1, "s")],
    ids=repr,
)
def test_every_axis_is_a_value(spacing):
    axis = Axis(spacing=spacing)
    assert hash(axis) == hash(Axis(spacing=spacing))
    assert axis == Axis(spacing=spacing)
    assert axis != Axis(spacing=spacing, boundary="periodic")


def test_spacings_may_be_numbers_of_a_labelled_array():
    """As `DataArray` of xarray has: no dimensions, no hash, and `__array__`."""

    class Labelled:
        ndim = 0
        __hash__ = None

        def __array__(self, dtype=None, copy=None):
            return np.array(0.5, dtype)

    assert Axis(spacing=Labelled()) == Axis(spacing=0.5)
    np.testing.assert_array_equal(gradient([0.0, 1.0, 4.0], Labelled()), [2, 4, 6])


def test_an_axis_does_not_change_with_the_array_that_it_was_made_from():
    spacing = np.asarray(0.5)
    axis = Axis(spacing=spacing)
    spacing[...] = 2.0
    assert axis == Axis(spacing=0.5)
    assert axis.uniform_spacing == Fraction(1, 2)


@pytest.mark.parametrize(
    ("spacing", "error", "message"),
    [
        (0, ArgumentValueError, "spacing=0 must not be 0"),
        (0.0, ArgumentValueError, "spacing=0.0 must not be 0"),
        (np.timedelta64(0, "s"), ArgumentValueError, "must not be 0"),
        (float("nan"), ArgumentValueError, "spacing=nan is not a finite number"),
        (float("-inf"), ArgumentValueError, "spacing=-inf is not a finite number"),
        (np.float32("inf"), ArgumentValueError, "spacing=inf is not a finite number"),
        pytest.param(10**400, ArgumentValueError, "spacing", id="10**400"),
        (np.timedelta64("NaT"), ArgumentValueError, "spacing=NaT is not finite"),
        (np.timedelta64(1, "M"), ArgumentTypeError, "a month has no fixed length"),
        ("0.1", ArgumentTypeError, r"spacing='0\.1' \(str\)"),
        (1j, ArgumentTypeError, r"spacing=1j \(complex\)"),
        (np.complex64(1), ArgumentTypeError, "complex64"),
        (True, ArgumentTypeError, r"spacing=True \(bool\)"),
        (np.True_, ArgumentTypeError, "bool"),
        (np.datetime64("2020"), ArgumentTypeError, "spacing"),
        ([0.1, 0.1], ArgumentTypeError, r"\(list\)"),
        (np.ones(3), ArgumentTypeError, "float64"),
    ],
    ids=str,
)
def test_what_is_not_a_spacing_raises(spacing, error, message):
    with pytest.raises(error, match=message):
        Axis(spacing=spacing)


def test_an_axis_has_spacing_1_unless_told():
    assert Axis() == Axis(spacing=1)
    assert Axis().uniform_spacing == 1


def test_an_axis_has_either_spacing_or_coordinates():
    with pytest.raises(ArgumentTypeError, match="spacing and coordinates exclude each other"):
        Axis(spacing=1.0, coordinates=[0, 1, 2])
    with pytest.raises(ArgumentTypeError, match="has no coordinates"):
        Axis(spacing=1.0).steps()


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        ("periodc", "did you mean 'periodic'"),
        ("wrap", "is not one of 'one-sided', 'periodic', 'antiperiodic'"),
        (None, "boundary=None is not one of"),
        (1, "boundary=1 is not one of"),
        (["periodic"], "boundary"),
    ],
    ids=str,
)
def test_what_is_not_a_boundary_raises(boundary, message):
    with pytest.raises((ArgumentValueError, ArgumentTypeError), match=message):
        Axis(boundary=boundary)


def test_axes_are_frozen_and_print_as_they_are_made():
    axis = Axis(spacing=0.1, boundary="periodic")
    with pytest.raises(dataclasses.FrozenInstanceError):
        axis.spacing = 0.2
    assert repr(axis) == "Axis(spacing=0.1, boundary='periodic')"
    assert eval(repr(axis)) == axis
    wrapped = Axis(coordinates=[0, 1, 3], boundary="antiperiodic", period=4)
    printed = "Axis(coordinates=3 points from 0 to 3, boundary='antiperiodic', period=4)"
    assert repr(wrapped) == printed


def test_axes_on_equal_coordinates_are_equal():
    axis = Axis(coordinates=np.array([0.0, 1.0, 3.0]))
    assert axis == Axis(coordinates=[0.0, 1.0, 3.0])
    assert hash(axis) == hash(Axis(coordinates=Coordinates([0.0, 1.0, 3.0])))
    assert axis != Axis(coordinates=[0.0, 1.0, 2.0])
    assert axis != Axis(spacing=1.0)


def test_coordinates_of_another_unit_are_counted_anew():
    times = Coordinates(np.array([0, 1, 3], "m8[h]"), unit="s")
    assert exact(Axis(coordinates=times, unit="m").steps()) == [60, 120]


# --- equally spaced or not ------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("middle", "uniform"),
    [
        (1.0, True),
        (1 - EPS / 2, True),
        (1 - EPS, False),
        (1 + EPS, False),
        (1 + 64 * EPS, False),
    ],
)
def test_points_within_half_a_rounding_of_equal_spacing_are_equally_spaced(sign, middle, uniform):
    assert EPS / 2 == UNIFORM_TOLERANCE
    axis = Axis(coordinates=[0.0, sign * middle, sign * 2.0])
    assert axis.uniform_spacing == (sign if uniform else None)


@extended
@pytest.mark.parametrize(("count", "uniform"), [(1, True), (2, True), (3, False), (32, False)])
def test_the_drift_counts_not_the_steps_alone(count, uniform):
    """Every step is off by half the tolerance; after `count` of them the points have drifted."""
    spacing = 2**54
    assert 1 / spacing == EPS / 4
    points = np.cumsum([0, *[spacing + 1] * count, *[spacing - 1] * count])
    assert Axis(coordinates=points).uniform_spacing == (spacing if uniform else None)


@extended
@pytest.mark.parametrize("sign", [1, -1])
def test_distances_that_float64_does_not_hold_are_compared_in_longdouble(sign):
    """The last point is half a rounding of a spacing off; in float64, others are 2**-42 off."""
    spacing = 2 - np.longdouble(2) ** -48
    points = np.arange(-2000, 1) * spacing
    points[-1] = -(np.longdouble(2) ** -63)
    assert Axis(coordinates=sign * points).uniform_spacing == sign * exact([spacing])[0]


@pytest.mark.parametrize(
    ("points", "spacing"),
    [
        (np.arange(5), 1),
        (np.arange(5, 0, -1, dtype="uint8"), -1),
        (np.arange(0, 3, 0.5), Fraction(1, 2)),
        (np.arange("2020-01", "2020-02", dtype="M8[D]"), 86400),
        (2.0 ** np.arange(5), None),
        (np.array([1e-300, 2e-300, 4e-300]), None),
        (np.array([-1.7e308, 0.0, 1.7e308]), Fraction(1.7e308)),
        (np.array([-1.7e308, 1.7e308]), 2 * Fraction(1.7e308)),
    ],
)
def test_common_spacing_is_exact(points, spacing):
    assert Axis(coordinates=points).uniform_spacing == spacing


def test_subnormal_distances_are_compared_without_a_word():
    tiny = 5e-324
    with np.errstate(all="raise"):
        axis = Axis(coordinates=[0, tiny, 2 * tiny], boundary="periodic", period=3 * tiny)
    assert axis.uniform_spacing == Fraction(tiny)


@extended
def test_faces_tell_whether_points_that_they_round_are_equally_spaced(monkeypatch):
    """What differences of integers tell of them beyond the first few is not asked."""
    monkeypatch.setattr("gradkit.grid.HEAD", 1)
    spacing = 2**40
    points = 2**55 + np.arange(9) * spacing
    points[5] += 1
    faces = 2.0**55 + (np.arange(10) - 0.5) * spacing
    assert Axis(coordinates=points, faces=faces).uniform_spacing == spacing


def test_points_that_numpy_takes_for_coordinates_may_be_equally_spaced():
    points = np.array([0.0, 1 - EPS / 2, 2.0])
    assert len(set(np.diff(points))) == 2
    assert Axis(coordinates=points).uniform_spacing == 1


@pytest.mark.parametrize("block", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("points", "are_even"),
    [
        (np.arange(9) * 0.25 - 1, True),
        (np.arange(9, 0, -1, "float32"), True),
        (np.arange(9, dtype=">f8") * 3, True),
        (np.arange(9, dtype="float16") / 8, True),
        (np.arange(9, dtype="longdouble") * 0.5, True),
        (np.arange(9, 0, -1, "uint8"), True),
        (np.arange(9).astype("M8[h]"), True),
        # All differences are 1 in float64, the first of them by rounding.
        (np.array([2.0**-60, 1, 2, 3, 4]), False),
        (np.array([-1 - 2.0**-52, 2.0**-60, 1, 2, 3]), False),
        (np.arange(9) * 0.1, False),
        (np.array([0, 1, 2, 3, 4, 6]), False),
        (np.array([0, 1, 2, 3, 4, 5.5]), False),
        (np.array([2**53, 2**53 + 1, 2**53 + 3]), False),
        (np.array([0, 1, 2, 4], "M8[ns]"), False),
        (np.array([0, 0.5, 1, 1.5, 2, 3], "longdouble"), False),
        (np.array([-1.7e308, 0.0, 1.7e308]), True),
    ],
)
def test_even_coordinates_are_known_block_by_block(monkeypatch, points, are_even, block):
    monkeypatch.setattr("gradkit.coordinates.BLOCK", block)
    found = Coordinates(points)
    assert found.are_even() == are_even
    gaps = exact(np.diff(points.astype("longdouble"))) if points.dtype.kind == "f" else None
    if gaps is not None:
        assert (min(gaps) == max(gaps)) == are_even
    low, high = found.extreme_steps()
    steps = found.steps().astype(np.float64)
    assert (low, high) == (steps.min(), steps.max())


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, 3.0])
@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_offending_points_are_found_in_every_block(monkeypatch, index, wrong, block):
    monkeypatch.setattr("gradkit.coordinates.BLOCK", block)
    points = np.array([0.0, 1.0, 2.0, 2.5, 2.75, 4.0])
    points[index] = -1.0 if wrong == 3.0 else wrong
    with pytest.raises(ArgumentValueError, match=rf"coordinates\[{index}\]"):
        Coordinates(points)


def test_long_even_coordinates_take_no_memory_of_their_length():
    """Distances in longdouble took 16 bytes per point, and what was done with them 17 more."""
    points = Coordinates(np.arange(2.0**21))
    tracemalloc.start()
    axis = Axis(coordinates=points)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert axis.uniform_spacing == 1
    assert most < 8 * len(points)


def test_rounded_points_far_from_zero_are_coordinates():
    """Their rounding moves them by 1e-8 spacings, which results would show."""
    assert Axis(coordinates=np.linspace(1e6, 1e6 + 1, 101)).uniform_spacing is None


def test_two_points_are_equally_spaced():
    assert Axis(coordinates=[3.0, 10.0]).uniform_spacing == 7


# --- wrapping axes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "period", "steps", "spacing"),
    [
        ([0.0, 1.0, 2.0], 3, [1, 1, 1], 1),
        ([0.0, 1.0, 2.0], 4.5, [1, 1, 2.5], None),
        ([2, 1, 0], 3, [-1, -1, -1], -1),
        ([7, 3, 2], 6, [-4, -1, -1], None),
        ([0.25, 0.5], Fraction(3, 4), [0.25, 0.5], None),
    ],
)
@pytest.mark.parametrize("boundary", ["periodic", "antiperiodic"])
def test_the_last_step_closes_the_period(boundary, points, period, steps, spacing):
    axis = Axis(coordinates=points, boundary=boundary, period=period)
    assert exact(axis.steps()) == steps
    assert axis.uniform_spacing == spacing


@extended
def test_the_last_step_is_exact_where_the_period_is_not_a_float64():
    axis = Axis(coordinates=[0, 2**59, 2**60 - 1], boundary="periodic", period=2**60 + 1)
    assert exact(axis.steps()) == [2**59, 2**59 - 1, 2]
    third = np.longdouble(1) / 3
    axis = Axis(coordinates=[0, third, 3 * third / 2], boundary="periodic", period=2 * third)
    assert exact(axis.steps())[2] == exact([2 * third])[0] - exact([3 * third / 2])[0]


def test_a_period_may_be_a_length_of_time():
    hours = np.array([0, 6, 18], "m8[h]")
    for period in (np.timedelta64(1, "D"), datetime.timedelta(days=1), 24):
        axis = Axis(coordinates=hours, boundary="periodic", period=period, unit="h")
        assert exact(axis.steps()) == [6, 12, 6]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"coordinates": [0, 1, 3], "boundary": "periodic"}, ArgumentTypeError, "needs period="),
        (
            {"coordinates": [0, 1, 3], "boundary": "antiperiodic"},
            ArgumentTypeError,
            r"more than 3\.0",
        ),
        (
            {"coordinates": [0, 1, 3], "boundary": "periodic", "period": 3},
            ArgumentValueError,
            r"period=3 must exceed the extent of the coordinates, 3\.0",
        ),
        (
            {"coordinates": [0, 1, 3], "boundary": "periodic", "period": -4},
            ArgumentValueError,
            "period=-4",
        ),
        (
            {"coordinates": [0, 1, 3], "boundary": "periodic", "period": float("nan")},
            ArgumentValueError,
            "period=nan",
        ),
        (
            {"coordinates": [0, 1, 3], "boundary": "periodic", "period": "4"},
            ArgumentTypeError,
            "period='4'",
        ),
        ({"coordinates": [0, 1, 3], "period": 4}, ArgumentTypeError, "needs boundary='periodic'"),
        ({"spacing": 1.0, "boundary": "periodic", "period": 4}, ArgumentTypeError, "n \\* spacing"),
    ],
    ids=str,
)
def test_periods_that_do_not_fit_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        Axis(**arguments)


# --- walls at the ends ----------------------------------------------------------------------------

WALL = np.array([1.0, 2.0])


@pytest.mark.parametrize(
    ("boundary", "ends", "wrap"),
    [
        ("one-sided", (None, None), 0),
        ("periodic", (None, None), 1),
        ("antiperiodic", (None, None), -1),
        (Dirichlet(1), (Dirichlet(1), Dirichlet(1)), 0),
        ((Dirichlet(1), Neumann(2)), (Dirichlet(1), Neumann(2)), 0),
        ([Symmetric(), "one-sided"], (Symmetric(), None), 0),
        (("one-sided", Dirichlet(WALL)), (None, Dirichlet(WALL)), 0),
    ],
    ids=repr,
)
def test_an_axis_knows_what_is_stated_at_each_end(boundary, ends, wrap):
    axis = Axis(spacing=0.5, boundary=boundary)
    assert axis.ends == ends
    assert axis.wrap == wrap


def test_axes_with_walls_are_values():
    axis = Axis(spacing=0.1, boundary=(Dirichlet(0), "one-sided"))
    assert repr(axis) == "Axis(spacing=0.1, boundary=(Dirichlet(0), 'one-sided'))"
    assert eval(repr(axis)) == axis
    assert axis == Axis(spacing=0.1, boundary=[Dirichlet(0.0), "one-sided"])
    assert hash(axis) == hash(Axis(spacing=0.1, boundary=[Dirichlet(0.0), "one-sided"]))
    assert axis != Axis(spacing=0.1, boundary=("one-sided", Dirichlet(0)))
    walled = Axis(coordinates=[0.0, 1.0, 4.0], boundary=Dirichlet(WALL))
    assert pickle.loads(pickle.dumps(walled)) == walled
    assert repr(walled) == (
        "Axis(coordinates=3 points from 0.0 to 4.0, boundary=Dirichlet(<2 array>))"
    )


def test_an_axis_with_walls_has_no_period():
    for boundary in (Dirichlet(0), (Symmetric(), "one-sided")):
        with pytest.raises(ArgumentTypeError, match="period=4 needs boundary='periodic'"):
            Axis(coordinates=[0, 1, 3], boundary=boundary, period=4)


@pytest.mark.parametrize(
    ("boundary", "homogeneous"),
    [
        (Dirichlet(3), Dirichlet(0)),
        (Dirichlet(WALL, at="next"), Dirichlet(0, at="next")),
        ((Neumann(2, at=0.5), "one-sided"), (Neumann(0, at=0.5), "one-sided")),
        (("one-sided", Robin(2, WALL, 1j)), ("one-sided", Robin(2, WALL, 0))),
        ((Dirichlet(1), Dirichlet(2)), Dirichlet(0)),
        ((Symmetric(), Dirichlet(2)), (Symmetric(), Dirichlet(0))),
    ],
    ids=repr,
)
def test_homogeneous_axes_state_0_at_their_walls(boundary, homogeneous):
    for where in (
        {"spacing": -2},
        {"coordinates": [0, 1, 5]},
        {"coordinates": [0, 1, 5], "faces": [-1, 0.5, 2, 7]},
    ):
        axis = Axis(**where, boundary=boundary)
        assert axis.homogeneous == Axis(**where, boundary=homogeneous)
        assert axis.homogeneous.uniform_spacing == axis.uniform_spacing
    assert Grid(axis, None).homogeneous == Grid(axis.homogeneous, None)


@pytest.mark.parametrize(
    "axis",
    [
        Axis(),
        Axis(boundary="periodic"),
        Axis(coordinates=[0, 1, 3], boundary="antiperiodic", period=4),
        Axis(boundary=(Antisymmetric(), Symmetric(at="sample"))),
        Axis(boundary=(Dirichlet(0), Neumann(0.0))),
    ],
    ids=repr,
)
def test_an_axis_that_states_no_value_is_homogeneous(axis):
    assert axis.homogeneous is axis
    assert Grid(None, axis).homogeneous == Grid(None, axis)


# --- faces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "faces", "steps"),
    [
        # the default: midway, the outermost as far beyond the ends as the next ones lie inside
        ([0.0, 1.0, 4.0], None, [0.5, 0.5, 0.5, 1.5, 1.5, 1.5]),
        ([4, 3, 0], None, [-0.5, -0.5, -0.5, -1.5, -1.5, -1.5]),
        ([0.0, 1.0, 4.0], [-0.25, 0.75, 2, 7], [0.25, 0.75, 0.25, 1, 2, 3]),
        ([4, 3, 0], [6, 3.5, 1, -0.5], [-2, -0.5, -0.5, -2, -1, -0.5]),
        (np.array([250, 130, 100], "uint8"), [255, 140, 110, 0], [-5, -110, -10, -20, -10, -100]),
    ],
)
def test_half_steps_go_from_face_to_centre_and_on(points, faces, steps):
    axis = Axis(coordinates=points, faces=faces)
    assert exact(axis.half_steps()) == steps


@pytest.mark.parametrize(
    ("points", "period", "faces", "steps"),
    [
        # the first face lies midway to the last point, one period before
        ([0.0, 1.0, 4.0], 6, None, [1, 0.5, 0.5, 1.5, 1.5, 1]),
        ([4.0, 1.0, 0.0], 6, None, [-1, -1.5, -1.5, -0.5, -0.5, -1]),
        ([0.0, 1.0, 4.0], 6, [-1.5, 0.5, 2, 4.5], [1.5, 0.5, 0.5, 1, 2, 0.5]),
        ([4.0, 1.0, 0.0], Fraction(11, 2), [5, 2, 0.25, -0.5], [-1, -2, -1, -0.75, -0.25, -0.5]),
    ],
)
@pytest.mark.parametrize("boundary", ["periodic", "antiperiodic"])
def test_half_steps_close_the_period(boundary, points, period, faces, steps):
    axis = Axis(coordinates=points, faces=faces, boundary=boundary, period=period)
    assert exact(axis.half_steps()) == steps


def test_an_axis_given_by_its_spacing_has_no_half_steps():
    with pytest.raises(ArgumentTypeError, match="has no coordinates"):
        Axis(spacing=0.5).half_steps()


@pytest.mark.parametrize(
    ("points", "faces", "spacing"),
    [
        ([1, 2, 3], [0.5, 1.5, 2.5, 3.5], 1),
        ([3.0, 2.0, 1.0], [3.5, 2.5, 1.5, 0.5], -1),
        ([0.5, 1.0], [0.25, 0.75, 1.25], Fraction(1, 2)),
        # equally spaced centres with other faces, and equally spaced faces with other centres
        ([1, 2, 3], [0.5, 1.5, 2.25, 3.5], None),
        ([1, 2, 3], [0, 1.5, 2.5, 3.5], None),
        ([1, 2, 3], [0.5, 1.5, 2.5, 4], None),
        ([0.5, 1.5, 2.25], [0, 1, 2, 3], None),
        ([0.5, 1.5 + 2**-51, 2.5], [0, 1, 2, 3], None),
        ([1, 2, 4], [0.5, 1.5, 3, 5], None),
    ],
)
def test_an_axis_is_equally_spaced_with_its_faces_or_not_at_all(points, faces, spacing):
    assert Axis(coordinates=points, faces=faces).uniform_spacing == spacing


def test_faces_of_a_wrapping_axis_count_for_equal_spacing():
    wrapped = {"coordinates": [0, 1, 2], "boundary": "periodic", "period": 3}
    assert Axis(**wrapped, faces=[-0.5, 0.5, 1.5, 2.5]).uniform_spacing == 1
    assert Axis(**wrapped, faces=[-0.75, 0.5, 1.5, 2.25]).uniform_spacing is None


def test_faces_may_be_times_in_another_unit():
    days = np.array(["2020-02-28", "2020-02-29", "2020-03-02"], "M8[D]")
    hours = np.array(["2020-02-27T20", "2020-02-28T12", "2020-03-01T00", "2020-03-03T00"], "M8[h]")
    axis = Axis(coordinates=days, faces=hours, unit="h")
    assert exact(axis.half_steps()) == [4, 12, 12, 24, 24, 24]
    assert exact(axis.steps()) == [24, 48]


def test_faces_are_kept_as_a_copy_and_count_for_equality():
    given = np.array([-1.0, 0.5, 2.0, 7.0])
    axis = Axis(coordinates=[0, 1, 5], faces=given)
    given[0] = -3.0
    assert exact(axis.half_steps()) == [1, 0.5, 0.5, 1, 3, 2]
    same = Axis(coordinates=np.array([0, 1, 5]), faces=[-1.0, 0.5, 2.0, 7.0])
    assert axis == same
    assert hash(axis) == hash(same)
    assert pickle.loads(pickle.dumps(axis)) == axis
    assert axis != Axis(coordinates=[0, 1, 5], faces=[-3.0, 0.5, 2.0, 7.0])
    assert axis != Axis(coordinates=[0, 1, 5])
    assert repr(axis) == "Axis(coordinates=3 points from 0 to 5, faces=4 points)"


def test_an_axis_with_faces_can_be_copied_with_another_boundary():
    axis = Axis(coordinates=[0, 1, 5], faces=[-1.0, 0.5, 2.0, 7.0])
    copy = dataclasses.replace(axis, boundary=Dirichlet(1))
    assert copy == Axis(coordinates=[0, 1, 5], faces=[-1, 0.5, 2, 7], boundary=Dirichlet(1))


def test_faces_come_from_any_library(library):
    faces = library.asarray([-1.0, 0.5, 2.0, 7.0], "float32")
    if library.kind == "dask":
        with pytest.raises(ArgumentTypeError, match=r"faces is a lazy dask array.*faces\.compute"):
            Axis(coordinates=[0, 1, 5], faces=faces)
        return
    assert exact(Axis(coordinates=[0, 1, 5], faces=faces).half_steps()) == [1, 0.5, 0.5, 1, 3, 2]


@pytest.mark.parametrize(
    ("faces", "error", "message"),
    [
        ([0, 1.5, 4], ArgumentValueError, "faces has 3 points for 3 coordinates: wanted one more"),
        ([0, 1.5, 4, 6, 8], ArgumentValueError, "faces has 5 points for 3 coordinates"),
        (
            [0, 2.5, 4, 6],
            ArgumentValueError,
            r"coordinates\[1\]=2 does not lie between its faces, 2\.5 and 4\.0",
        ),
        (
            [0, 1.5, 3, 5],
            ArgumentValueError,
            r"coordinates\[2\]=5 does not lie between .* 3\.0 and",
        ),
        (
            [1, 1.5, 3, 6],
            ArgumentValueError,
            r"coordinates\[0\]=1 does not lie between .* 1\.0 and",
        ),
        ([6, 3, 1.5, 0], ArgumentValueError, r"coordinates\[0\]=1 does not lie between its faces"),
        ([0, 3, 1.5, 6], ArgumentValueError, r"faces\[2\]=1\.5 <= faces\[1\]=3\.0: faces must be"),
        ([0, np.nan, 3, 6], ArgumentValueError, r"faces\[1\]=nan is not finite"),
        ([0, 1.5, 3, np.inf], ArgumentValueError, r"faces\[3\]=inf is not finite"),
        ([[0, 1.5, 3, 6]], ArgumentValueError, "faces has 2 dimensions"),
        (0.5, ArgumentValueError, "faces has 0 dimensions"),
        (np.ma.array([0, 1.5, 3, 6], mask=[1, 0, 0, 0]), ArgumentValueError, "faces holds masked"),
        (np.array([0, 1.5, 3, 6j]), ArgumentTypeError, "faces has dtype complex128"),
        (["a", "b", "c", "d"], ArgumentTypeError, "faces has dtype str"),
        ([0, [1, 2]], ArgumentTypeError, "faces cannot be made into an array"),
    ],
    ids=str,
)
def test_what_are_not_the_faces_of_the_cells_raises(faces, error, message):
    with pytest.raises(error, match=message):
        Axis(coordinates=[1, 2, 5], faces=faces)


def test_the_message_names_the_faces_of_a_decreasing_axis_in_their_order():
    with pytest.raises(ArgumentValueError, match=r"\[1\]=2 does not lie .*, 1\.5 and 0\.5"):
        Axis(coordinates=[5, 2, 0], faces=[6, 1.5, 0.5, -1])


def test_faces_without_coordinates_raise():
    for axis in ({"spacing": 1.0}, {}):
        with pytest.raises(ArgumentTypeError, match="faces goes with coordinates"):
            Axis(**axis, faces=[0, 1, 2])


@pytest.mark.parametrize("last", [4.0, 5.5])
def test_the_last_face_of_a_wrapping_axis_is_the_first_one_a_period_later(last):
    for boundary in ("periodic", "antiperiodic"):
        with pytest.raises(
            ArgumentValueError, match=rf"faces extend over {last + 0.5}: wanted the period, 5"
        ):
            Axis(coordinates=[0, 1, 3], boundary=boundary, period=5, faces=[-0.5, 0.5, 2, last])


# --- grids ----------------------------------------------------------------------------------------


def test_a_grid_is_one_axis_per_dimension():
    grid = Grid(None, Axis(spacing=0.1), Axis(coordinates=[0.0, 1.0, 4.0]))
    assert grid.ndim == 3
    assert grid.axes[0] is None
    assert repr(grid) == (
        "Grid(None, Axis(spacing=0.1), Axis(coordinates=3 points from 0.0 to 4.0))"
    )


def test_grids_are_frozen_values():
    grid = Grid(Axis(spacing=0.1), None)
    assert grid == Grid(Axis(spacing=0.1), None)
    assert hash(grid) == hash(Grid(Axis(spacing=0.1), None))
    assert grid != Grid(None, Axis(spacing=0.1))
    assert pickle.loads(pickle.dumps(grid)) == grid
    with pytest.raises(dataclasses.FrozenInstanceError):
        grid.axes = ()


@pytest.mark.parametrize("wrong", [0.1, "x", [0.0, 1.0], Axis], ids=str)
def test_a_grid_of_anything_but_axes_raises(wrong):
    with pytest.raises(ArgumentTypeError, match=r"axis 1 of the grid is .*wanted an Axis, or None"):
        Grid(Axis(), wrong)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_faces_over_a_period_rounded_like_their_positions(dtype, rng):
    track = np.cumsum(rng.uniform(0.5, 1, 21)).astype(dtype)
    period = track[-1] - track[0]
    axis = Axis(coordinates=track[1::2], faces=track[::2], boundary="periodic", period=period)
    assert len(axis.half_steps()) == 20
    with pytest.raises(ArgumentValueError, match="faces extend over"):
        Axis(
            coordinates=track[1::2],
            faces=track[::2],
            boundary="periodic",
            period=float(period) * (1 + 64 * np.finfo(dtype).eps),
        )


@pytest.mark.parametrize("dtype", ["float32", "int64", "datetime64[s]"])
@pytest.mark.parametrize("direction", [1, -1])
def test_some_distances_are_those_among_all(rng, dtype, direction):
    values = np.cumsum(rng.integers(1, 9, 600))[::direction].astype(dtype)
    coordinates = Coordinates(values)
    some = coordinates.steps(7, 411, np.float64)
    assert some.dtype == np.float64
    assert np.array_equal(some, coordinates.steps()[7:411])
    assert np.array_equal(some, np.diff(values.astype("int64"))[7:411])


@pytest.mark.parametrize("place", [1, 255, 256, 257, 998])
@pytest.mark.parametrize("with_faces", [False, True])
def test_one_uneven_point_among_many_is_found(place, with_faces):
    points = np.arange(1000.0)
    faces = np.arange(1001.0) - 0.5 if with_faces else None
    assert Axis(coordinates=points, faces=faces).uniform_spacing == 1
    points[place] += 2.0**-40
    assert Axis(coordinates=points, faces=faces).uniform_spacing is None


def test_coordinates_that_differ_between_hashed_values_are_not_equal():
    values = np.arange(5000.0)
    changed = values.copy()
    changed[1] += 0.5  # of 5000 values every fifth is hashed
    assert hash(Coordinates(values)) == hash(Coordinates(changed))
    assert Coordinates(values) != Coordinates(changed)
    assert Coordinates(values) == Coordinates(values.copy())


@pytest.mark.parametrize("length", [np.timedelta64(9, "s"), datetime.timedelta(seconds=9)])
def test_lengths_of_time_are_refused_on_axes_of_plain_numbers(length):
    words = "is a length of time, but the axis has plain numbers: wanted a number"
    with pytest.raises(ArgumentTypeError, match=f"period=.*{words}"):
        Axis(coordinates=[0.0, 1.0, 3.0], boundary="periodic", period=length)
    for positions in ({"spacing": 1.0}, {"coordinates": [0.0, 1.0, 3.0]}):
        with pytest.raises(ArgumentTypeError, match=f"at=.*{words}"):
            Axis(**positions, boundary=(Dirichlet(0.0, at=length), "one-sided"))
    Axis(spacing=np.timedelta64(5, "s"), boundary=Dirichlet(0.0, at=length))


def test_labelled_lengths_of_time_are_refused_on_axes_of_plain_numbers():
    class Labelled:
        ndim = 0

        def __array__(self, dtype=None, copy=None):
            return np.asarray(9, "m8[s]")

    with pytest.raises(ArgumentTypeError, match=r"period=.* is a length of time"):
        Axis(coordinates=[0.0, 1.0, 3.0], boundary="periodic", period=Labelled())


def test_faces_and_coordinates_are_both_times_or_both_numbers():
    with pytest.raises(ArgumentTypeError, match=r"faces have dtype .* wanted numbers or times"):
        Axis(coordinates=[1.0, 2.0], faces=np.asarray([0, 1, 3], "M8[s]"))
    with pytest.raises(ArgumentTypeError, match=r"faces have dtype .* wanted numbers or times"):
        Axis(coordinates=np.asarray([1, 2], "m8[s]"), faces=[0.5, 1.5, 2.5])
