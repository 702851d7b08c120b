"""SEMANTICS.md, "Errors", row by row: the kind of error, and what its text names.

Every text names the argument, what was given and what was wanted; each section is one row.
"""

import datetime
import pickle
from decimal import Decimal

import numpy as np
import pytest

import gradkit
from gradkit import (
    Axis,
    FiniteDifference,
    curl,
    derivative,
    diff,
    divergence,
    errors,
    gradient,
    hessian,
    jacobian,
    laplacian,
)
from gradkit.functions import polynomial

LINE = np.asarray([0.0, 1.0, 4.0, 9.0, 16.0])
PLANE = np.arange(20.0).reshape(4, 5) ** 2

ON_ARRAYS = {"gradient": gradient, "derivative": derivative, "laplacian": laplacian}
ON_ARRAYS |= {"hessian": hessian}
ON_FIELDS = {"divergence": divergence, "curl": curl, "jacobian": jacobian}
#: Every function on sampled arrays, as a function of a scalar array.
EVERY = {
    **ON_ARRAYS,
    **{
        name: (lambda f, *s, _call=call, **k: _call([f, f], *s, **k))
        for name, call in ON_FIELDS.items()
    },
}
#: Those whose spacing and axes are those of gradient.
LIKE_GRADIENT = {name: call for name, call in EVERY.items() if name != "derivative"}


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ArgumentValueError, ValueError),
        (errors.ArgumentTypeError, TypeError),
        (errors.AxisError, np.exceptions.AxisError),
        (errors.AxisError, ValueError),
        (errors.AxisError, IndexError),
        (errors.UnsupportedError, NotImplementedError),
        (errors.MissingPackageError, ImportError),
        (errors.EngineError, RuntimeError),
        (errors.DeviceError, RuntimeError),
        (errors.CheckError, AssertionError),
    ],
)
def test_every_error_is_caught_as_the_builtin_one_and_as_that_of_gradkit(error, builtin):
    assert issubclass(error, builtin)
    assert issubclass(error, gradkit.GradkitError)


# --- 0-d f; axis out of range, repeated, not an int ----------------------------------------------


@pytest.mark.parametrize("name", ON_ARRAYS)
def test_0d_array_raises(library, name):
    with pytest.raises(ValueError, match=r"f is 0-dimensional.*at least one axis"):
        ON_ARRAYS[name](library.asarray(3.0))


@pytest.mark.parametrize("name", ON_FIELDS)
def test_0d_components_raise(name):
    with pytest.raises(ValueError, match=r"v\[0\] is 0-dimensional.*at least one axis"):
        ON_FIELDS[name]([3.0, 4.0])


@pytest.mark.parametrize("name", ON_FIELDS)
def test_0d_field_raises(name):
    with pytest.raises(TypeError, match=r"v of type float.*wanted a sequence of arrays, or"):
        ON_FIELDS[name](3.0)


def test_0d_array_of_diff_raises():
    with pytest.raises(ValueError, match=r"a is 0-dimensional"):
        diff(3.0)


@pytest.mark.parametrize("axis", [2, -3, 10])
@pytest.mark.parametrize("name", ["gradient", "derivative", "laplacian", "hessian", "jacobian"])
def test_axis_out_of_range_raises(name, axis):
    text = rf"axis={axis} is out of bounds for an array of 2 dimensions: wanted -2 <= axis < 2"
    with pytest.raises(np.exceptions.AxisError, match=text):
        EVERY[name](PLANE, axis=axis)


@pytest.mark.parametrize("name", LIKE_GRADIENT)
def test_one_axis_of_several_out_of_range_raises(name):
    with pytest.raises(np.exceptions.AxisError, match=r"axis=2 is out of bounds"):
        EVERY[name](PLANE, axis=(0, 2))


def test_axis_of_diff_out_of_range_raises(library):
    with pytest.raises(np.exceptions.AxisError, match=r"axis=2 is out of bounds"):
        diff(library.asarray(PLANE), axis=2)


@pytest.mark.parametrize("axis", [(0, 0), (0, -2), [1, -1]])
@pytest.mark.parametrize("name", LIKE_GRADIENT)
def test_repeated_axis_raises(name, axis):
    with pytest.raises(ValueError, match=r"axis=.*-?\d, -?\d.* names the same axis twice"):
        EVERY[name](PLANE, axis=axis)


NO_AXES = [
    0.0,
    1.5,
    True,
    np.True_,
    "0",
    (0, 1.0),
    (0, True),
    {0: 1},
    np.array(0.5),
    (np.array(0.5),),
]


@pytest.mark.parametrize("axis", NO_AXES)
@pytest.mark.parametrize("name", EVERY)
def test_axis_that_is_not_an_integer_raises(name, axis):
    with pytest.raises(TypeError, match=r"axis=.* is not an integer"):
        EVERY[name](PLANE, axis=axis)


@pytest.mark.parametrize("wrong", [np.array(0.5), np.array(True), np.array([1, 2])])
def test_arrays_that_are_no_integers_are_no_axes(wrong):
    with pytest.raises(TypeError, match=r"axis=array.* is not an integer"):
        gradkit.D(wrong)
    with pytest.raises(TypeError, match=r"axis=array.* is not an integer"):
        polynomial.derivative([1, 2, 3], "power", axis=wrong)
    assert gradkit.D(np.array(1)) == gradkit.D(1)


def test_arrays_are_no_words():
    plan = gradkit.D(0).on(gradkit.Grid(Axis()), (5,))
    several = np.array(["csr", "raise"])
    with pytest.raises(ValueError, match=r"format=array.* is not one of 'csr'"):
        plan.matrix(several)
    with pytest.raises(ValueError, match=r"nan=array.* is not one of 'propagate'"):
        gradient(LINE, nan=several)


@pytest.mark.parametrize("axis", [None, (0,), [0]])
def test_derivative_takes_one_axis(axis):
    with pytest.raises(TypeError, match=r"axis=.* is not an integer"):
        derivative(PLANE, axis=axis)


@pytest.mark.parametrize("name", LIKE_GRADIENT)
def test_no_axis_raises(name):
    with pytest.raises(ValueError, match=r"axis=\(\) names no axis: wanted at least one"):
        EVERY[name](PLANE, axis=())


# --- axis shorter than the stencil needs ---------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "options", "needed"),
    [
        (0, {"edge_order": 1}, 2),
        (1, {"edge_order": 1}, 2),
        (2, {"edge_order": 2}, 3),
        (2, {}, 3),
        (3, {"order": 2}, 4),
        (4, {"accuracy": 4}, 5),
        (6, {"order": 3, "accuracy": 4}, 7),
        (2, {"boundary": "periodic"}, 3),
        (4, {"boundary": "periodic", "accuracy": 4}, 5),
        (4, {"boundary": "antiperiodic", "order": 3}, 5),
    ],
)
def test_short_axis_raises_with_axis_length_and_needed_length(size, options, needed):
    f = np.zeros((9, size))
    text = rf"axis 1 has {size} points, .*order {options.get('order', 1)} .*at least {needed}$"
    with pytest.raises(ValueError, match=text):
        derivative(f, axis=-1, **options)
    derivative(np.zeros((9, needed)), axis=-1, **options)


@pytest.mark.parametrize("name", LIKE_GRADIENT)
def test_short_axis_raises_on_every_library(library, name):
    with pytest.raises(ValueError, match=r"axis 1 has 1 points, .* needs at least"):
        EVERY[name](library.asarray(np.zeros((9, 1))))


@pytest.mark.parametrize("size", [0, 1])
def test_short_axis_with_coordinates_raises(size):
    with pytest.raises(ValueError, match=rf"has {size} points.* at least 2"):
        gradient(np.zeros(size), np.zeros(size))


def test_empty_batch_axis_is_no_error(library):
    result = gradient(library.asarray(np.zeros((0, 3))), axis=1)
    assert tuple(result.shape) == (0, 3)


# --- spacing 0, NaN, inf, None, string -----------------------------------------------------------

UNUSABLE = [
    (0, r"spacing=0 must not be 0"),
    (0.0, r"spacing=0.0 must not be 0"),
    (-0.0, r"spacing=-0.0 must not be 0"),
    (np.float32(0), r"spacing=0.0 must not be 0"),
    (np.asarray(0), r"spacing=0 must not be 0"),
    (datetime.timedelta(0), r"spacing=0.* must not be 0"),
    (float("nan"), r"spacing=nan is not a finite number"),
    (np.float64("nan"), r"spacing=nan is not a finite number"),
    (float("inf"), r"spacing=inf is not a finite number"),
    (-np.inf, r"spacing=-inf is not a finite number"),
    (np.asarray(np.inf), r"spacing=inf is not a finite number"),
    (np.timedelta64("NaT"), r"spacing=NaT is not finite"),
]
WRONG_KIND = [
    (None, r"spacing.*None \(NoneType\) is not a finite non-zero real number"),
    ("1", r"spacing.*'1' \(str\) is not"),
    (b"1", r"spacing.*b'1' \(bytes\) is not"),
    (True, r"spacing.*True \(bool\) is not"),
    (np.False_, r"spacing.*False.*bool.* is not"),
    (Decimal(1), r"spacing.*Decimal\('1'\) \(Decimal\) is not"),
    (np.datetime64("2000-01-01"), r"spacing.*2000-01-01.*datetime64.* is not"),
    ({}, r"spacing.*\{\} \(dict\) is not"),
    (np.asarray("1"), r"spacing.*1.*str.* is not"),
]


@pytest.mark.parametrize(("spacing", "text"), UNUSABLE, ids=repr)
def test_spacing_zero_or_not_finite_raises(spacing, text):
    for name, call in EVERY.items():
        wanted = text.replace("spacing", "x") if name == "derivative" else text
        with pytest.raises(ValueError, match=wanted):
            call(PLANE, spacing)


@pytest.mark.parametrize(("spacing", "text"), WRONG_KIND, ids=repr)
def test_spacing_that_is_no_number_raises(spacing, text):
    for name, call in EVERY.items():
        wanted = text.replace("spacing", "x") if name == "derivative" else text
        with pytest.raises(TypeError, match=wanted):
            call(PLANE, spacing)


def test_spacing_beyond_every_float_raises():
    with pytest.raises(ValueError, match=r"spacing"):
        gradient(LINE, 10**400)


def test_one_bad_spacing_of_several_is_named():
    with pytest.raises(ValueError, match=r"must not be 0.*(axis 1|2 of 2|\[1\])"):
        gradient(PLANE, np.float64(1), np.float64(0))
    with pytest.raises(ValueError, match=r"coordinates\[2\].*(axis 1|2 of 2|\[1\])"):
        gradient(PLANE, [0, 1, 2, 3], [0, 1, 1, 2, 3])


def test_spacing_raises_on_every_library(library):
    f = library.asarray(LINE)
    with pytest.raises(ValueError, match=r"spacing=0.0 must not be 0"):
        gradient(f, 0.0)
    with pytest.raises(TypeError, match=r"spacing=None"):
        gradient(f, None)


def test_spacing_of_an_axis_raises():
    with pytest.raises(ValueError, match=r"spacing=0 must not be 0"):
        Axis(spacing=0)
    with pytest.raises(TypeError, match=r"spacing='1' \(str\) is not"):
        Axis(spacing="1")


# --- coordinates: wrong length, 2-D, repeated, non-monotonic, NaN, inf ---------------------------


def at_17(value):
    """Twenty increasing coordinates, of which number 17 is `value`."""
    x = np.arange(20.0)
    x[17] = value
    return x


BAD_COORDINATES = [
    (at_17(16.0), r"coordinates\[17\]=16.0 <= coordinates\[16\]=16.0"),
    (at_17(3.5), r"coordinates\[17\]=3.5 <= coordinates\[16\]=16.0"),
    (at_17(18.0), r"coordinates\[18\]=18.0 <= coordinates\[17\]=18.0"),
    (-at_17(16.0), r"coordinates\[17\]=-16.0 >= coordinates\[16\]=-16.0"),
    (at_17(40.0)[::-1], r"coordinates\[2\]=40.0 >= coordinates\[1\]=18.0"),
    (at_17(np.nan), r"coordinates\[17\]=nan is not finite"),
    (at_17(np.inf), r"coordinates\[17\]=inf is not finite"),
    (np.append(np.arange(19.0), np.nan), r"coordinates\[19\]=nan is not finite"),
    (np.append(-np.inf, np.arange(19.0)), r"coordinates\[0\]=-inf is not finite"),
    (np.append(np.arange(19.0), np.inf), r"coordinates\[19\]=inf is not finite"),
    (np.asarray([0, 0, *range(1, 19)]), r"coordinates\[1\]=0 <= coordinates\[0\]=0"),
    (2.0**53 + np.arange(20), r"coordinates\[\d+\]=\d+.* <= coordinates\[\d+\]=\d+"),
    (np.arange(2048, 2068).astype("float16"), r"coordinates\[1\]=2048.0 <= coordinates\[0\]="),
]


@pytest.mark.parametrize(("x", "text"), BAD_COORDINATES, ids=lambda v: v if type(v) is str else "")
def test_bad_coordinates_raise_with_the_first_offending_index_and_both_values(x, text):
    f = np.zeros(20)
    for call in ON_ARRAYS.values():
        with pytest.raises(ValueError, match=text):
            call(f, x)
        with pytest.raises(ValueError, match=text):
            call(f, x.tolist() if x.dtype != "float16" else x)
    with pytest.raises(ValueError, match=text):
        Axis(coordinates=x)


@pytest.mark.parametrize("name", ON_ARRAYS)
@pytest.mark.parametrize("size", [4, 6, 2])
def test_coordinates_of_the_wrong_length_raise(name, size):
    text = rf"coordinates of axis 0 have {size} points.*array has 5"
    with pytest.raises(ValueError, match=text):
        ON_ARRAYS[name](LINE, np.arange(size))


def test_coordinates_of_length_one_raise():
    with pytest.raises(ValueError, match=r"coordinates.* 1 point"):
        gradient(LINE, [0.5])


@pytest.mark.parametrize("x", [np.zeros((5, 1)), [[0, 1, 2, 3, 4]], np.zeros((5, 5, 5))])
def test_coordinates_of_several_dimensions_raise(x):
    text = rf"coordinates has {np.ndim(x)} dimensions.*scalars or 1d arrays"
    with pytest.raises(ValueError, match=text):
        gradient(LINE, x)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (["a", "b", "c", "d", "e"], r"coordinates has dtype str.*wanted real numbers"),
        ([True, False, True, False, True], r"coordinates has dtype bool: wanted real numbers"),
        (np.arange(5) * 1j, r"coordinates has dtype complex128: wanted real numbers"),
        (np.arange(5).astype(object), r"coordinates has dtype object: wanted real numbers"),
        ([[1, 2], [3]], r"coordinates cannot be made into an array"),
    ],
)
def test_coordinates_that_are_no_real_numbers_raise(x, text):
    with pytest.raises(TypeError, match=text):
        gradient(LINE, x)


def test_coordinates_raise_on_every_library(library):
    f = library.asarray(LINE)
    with pytest.raises(ValueError, match=r"coordinates\[3\]=2.0 <= coordinates\[2\]=2.0"):
        gradient(f, [0.0, 1.0, 2.0, 2.0, 3.0])
    if library.kind != "dask":
        own = library.asarray([0.0, 1.0, 2.0, 2.0, 3.0])
        with pytest.raises(ValueError, match=r"coordinates\[3\]=2.0 <= coordinates\[2\]=2.0"):
            gradient(f, own)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, TypeError, r"boundary='periodic' on coordinates needs period=.*more than 7"),
        ({"period": 7}, ValueError, r"period=7 must exceed the extent of the coordinates, 7"),
        ({"period": 3.5}, ValueError, r"period=3.5 must exceed"),
        ({"period": 0}, ValueError, r"period=0 must not be 0"),
        ({"period": float("nan")}, ValueError, r"period=nan is not a finite number"),
        ({"period": "9"}, TypeError, r"period='9' \(str\) is not"),
    ],
)
def test_period_of_coordinates_raises(options, error, text):
    with pytest.raises(error, match=text):
        gradient(LINE, [0, 1, 3, 4, 7], boundary="periodic", **options)


def test_period_without_its_boundary_or_coordinates_raises():
    with pytest.raises(TypeError, match=r"period=9 .*boundary='periodic' or 'antiperiodic'"):
        gradient(LINE, [0, 1, 3, 4, 7], period=9)
    with pytest.raises(TypeError, match=r"period.* goes with coordinates"):
        gradient(LINE, 1.0, boundary="periodic", period=5.0)


# --- one 1-D coordinate array for an N-D f without axis ------------------------------------------


@pytest.mark.parametrize("name", LIKE_GRADIENT)
@pytest.mark.parametrize("shape", [(4, 5), (4, 4)])
def test_one_coordinate_array_for_several_axes_raises_with_their_number(name, shape):
    text = r"1 spacing argument for 2 axes.*array of coordinates per axis"
    with pytest.raises(TypeError, match=text):
        EVERY[name](np.zeros(shape), np.arange(4.0))


@pytest.mark.parametrize(
    ("spacing", "options", "text"),
    [
        ((1.0, 2.0, 3.0), {}, r"3 spacing arguments for 2 axes"),
        ((1.0, 2.0), {"axis": 1}, r"2 spacing arguments for 1 axis"),
        ((Axis(),), {}, r"1 spacing argument for 2 axes"),
    ],
)
def test_wrong_number_of_spacings_raises(spacing, options, text):
    with pytest.raises(TypeError, match=text):
        gradient(PLANE, *spacing, **options)


# --- coordinates whose values look like spacings (all equal) -------------------------------------


@pytest.mark.parametrize("value", [1.0, 2.5, -3, 0])
def test_coordinates_all_equal_raise_with_a_hint(value):
    text = rf"coordinates\[1\]={value} .*coordinates\[0\]={value}.*pass the number {value}"
    for call in ON_ARRAYS.values():
        with pytest.raises(ValueError, match=text):
            call(LINE, np.full(5, value))


def test_coordinates_partly_equal_raise_without_the_hint():
    with pytest.raises(ValueError, match=r"coordinates\[1\]=3") as caught:
        gradient(LINE, [3, 3, 3, 3, 4])
    assert "look like spacings" not in str(caught.value)


# --- edge_order, accuracy, order: 0, negative, fractional, bool ----------------------------------

BAD_INTEGERS = [
    (0, ValueError, "0 is not >= 1"),
    (-1, ValueError, "-1 is not >= 1"),
    (np.int64(-2), ValueError, "-2 is not >= 1"),
    (1.5, TypeError, "1.5 is not an integer >= 1"),
    (2.0, TypeError, "2.0 is not an integer >= 1"),
    (True, TypeError, "True is not an integer >= 1"),
    (np.True_, TypeError, ".*True_? is not an integer >= 1"),
    ("2", TypeError, "'2' is not an integer >= 1"),
    ([2], TypeError, r"\[2\] is not an integer >= 1"),
]


@pytest.mark.parametrize("keyword", ["edge_order", "accuracy", "order"])
@pytest.mark.parametrize(("value", "error", "text"), BAD_INTEGERS, ids=str)
def test_integers_that_are_not_positive_raise(keyword, value, error, text):
    calls = {"derivative": derivative} if keyword == "order" else EVERY
    for call in calls.values():
        with pytest.raises(error, match=f"{keyword}={text}"):
            call(PLANE, **{keyword: value})


@pytest.mark.parametrize("keyword", ["edge_order", "accuracy", "order"])
@pytest.mark.parametrize("value", [1.0, True, 2.0])
def test_values_equal_to_an_integer_raise_after_a_call_with_that_integer(keyword, value):
    # 2.0 and True hash and compare like 2 and 1: plans that are kept must not let them pass.
    derivative(PLANE, **{keyword: int(value)})
    with pytest.raises(TypeError, match=rf"{keyword}={value} is not an integer"):
        derivative(PLANE, **{keyword: value})


@pytest.mark.parametrize("keyword", ["accuracy", "order"])
def test_none_is_no_accuracy_and_no_order(keyword):
    with pytest.raises(TypeError, match=rf"{keyword}=None is not an integer >= 1"):
        derivative(PLANE, **{keyword: None})


@pytest.mark.parametrize(
    ("n", "error", "text"),
    [
        (-1, ValueError, r"n=-1 is not >= 0"),
        (1.0, TypeError, r"n=1.0 is not an integer >= 0"),
        (True, TypeError, r"n=True is not an integer >= 0"),
    ],
)
def test_n_of_diff_raises(n, error, text):
    with pytest.raises(error, match=text):
        diff(LINE, n)


# --- arrays of two different libraries or devices ------------------------------------------------


def test_host_coordinates_are_accepted_with_data_of_every_library(library):
    f = library.asarray(LINE)
    result = gradient(f, LINE)
    assert type(result) is type(f)
    np.testing.assert_allclose(library.to_numpy(result), np.ones(5), rtol=2 * 2.0**-52)


def test_coordinates_of_another_library_raise_and_name_both(library):
    if library.kind == "numpy":
        pytest.skip("NumPy coordinates are accepted everywhere")
    text = rf"coordinates is a.* {library.kind}.*array but f is a numpy"
    with pytest.raises(TypeError, match=text):
        gradient(LINE, library.asarray(LINE))


def test_components_of_two_libraries_raise_and_name_both(library):
    if library.kind == "numpy":
        pytest.skip("the other component is a NumPy array")
    text = rf"v\[1\] is a.* {library.kind}.*array but v\[0\] is a numpy"
    for call in ON_FIELDS.values():
        with pytest.raises(TypeError, match=text):
            call([PLANE, library.asarray(PLANE)])


def test_out_of_another_library_raises_and_names_both(library):
    if library.kind == "numpy":
        pytest.skip("the input is a NumPy array")
    out = library.asarray(np.zeros(5))
    with pytest.raises(TypeError, match=rf"out is a.* {library.kind}.*array but f is a numpy"):
        gradient(LINE, out=out)


def test_prepended_values_of_another_library_raise_and_name_both(library):
    if library.kind == "numpy":
        pytest.skip("the input is a NumPy array")
    with pytest.raises(TypeError, match=rf"prepend is a.* {library.kind}.*array but a is a numpy"):
        diff(LINE, prepend=library.asarray(LINE))


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_arrays_of_two_devices_raise_and_name_both(torch):
    f, far = torch.asarray(LINE), torch.asarray(LINE, device="meta")
    with pytest.raises(TypeError, match=r"coordinates is a torch \(meta\).* f is a torch \(cpu\)"):
        gradient(f, far)
    with pytest.raises(TypeError, match=r"out is a torch \(meta\).* f is a torch \(cpu\)"):
        gradient(f, out=far)
    with pytest.raises(TypeError, match=r"v\[1\] is a torch \(meta\).* v\[0\] is a torch \(cpu\)"):
        divergence([torch.zeros((5, 5)), torch.zeros((5, 5), device="meta")])


def test_lazy_coordinates_raise_and_say_how_to_compute_them():
    da = pytest.importorskip("dask.array")
    x = da.from_array(LINE, chunks=2)
    with pytest.raises(TypeError, match=r"coordinates is a lazy dask array.*compute\(\)"):
        gradient(x, x)


def test_coordinates_that_record_gradients_raise(torch):
    x = torch.asarray(LINE).requires_grad_()
    with pytest.raises(TypeError, match=r"coordinates requires a gradient.*detach\(\)"):
        gradient(torch.asarray(LINE), x)


def test_traced_coordinates_raise():
    jax = pytest.importorskip("jax")
    with pytest.raises(TypeError, match=r"coordinates is traced by JAX"):
        jax.jit(lambda x: gradient(x, x))(jax.numpy.arange(5.0))


# --- missing optional package --------------------------------------------------------------------


def test_missing_package_error_holds_the_pip_command_of_the_extra():
    error = errors.MissingPackageError("matplotlib", "demo", "gradkit demo")
    assert isinstance(error, ImportError)
    assert "gradkit demo needs matplotlib" in str(error)
    assert "pip install 'gradkit[demo]'" in str(error)


def test_device_without_its_package_raises_with_the_pip_command(fresh_python):
    code = """
import sys
sys.modules["cupy"] = None
import gradkit
try:
    gradkit.array_module("cuda")
except ImportError as error:
    print(error)
"""
    assert "pip install 'gradkit[cuda" in fresh_python(code)


def test_command_line_without_its_package_prints_the_pip_command(fresh_python):
    code = """
import contextlib, sys
sys.modules["click"] = None
from gradkit.__main__ import main
with contextlib.redirect_stderr(sys.stdout):
    print(main())
"""
    printed = fresh_python(code)
    assert "pip install 'gradkit[cli]'" in printed
    assert printed.split()[-1] == "1"


# --- words, methods and forms: named, with what was wanted ---------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_unknown_boundary_raises_with_the_nearest_one(name):
    text = r"boundary='periodical' is not one of 'one-sided', 'periodic'.*did you mean 'periodic'"
    with pytest.raises(ValueError, match=text):
        EVERY[name](PLANE, boundary="periodical")


@pytest.mark.parametrize("name", LIKE_GRADIENT)
def test_wrong_number_of_boundaries_or_periods_raises(name):
    with pytest.raises(ValueError, match=r"boundary=.* has 1 entries for 2 axes: wanted one for"):
        EVERY[name](PLANE, boundary=["periodic"])
    with pytest.raises(ValueError, match=r"period=.* has 3 entries for 2 axes: wanted one for"):
        EVERY[name](PLANE, period=[1, 2, 3])


@pytest.mark.parametrize("name", EVERY)
def test_method_that_is_none_raises(name):
    with pytest.raises(TypeError, match=r"method='compact' is not a method such as Finite"):
        EVERY[name](PLANE, method="compact")
    with pytest.raises(TypeError, match=r"accuracy=6 and method=FiniteDifference.* exclude each"):
        EVERY[name](PLANE, accuracy=6, method=FiniteDifference(2))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [int, "int32", bool, "float33", "floaty", "word", 3])
def test_dtype_that_holds_no_derivative_raises(name, dtype):
    with pytest.raises(TypeError, match=r"dtype=.*wanted a floating or complex|dtype=.* is not a"):
        EVERY[name](PLANE, dtype=dtype)


def test_real_dtype_for_complex_data_raises():
    with pytest.raises(TypeError, match=r"dtype='float32' would drop the imaginary part of f"):
        gradient(LINE * 1j, dtype="float32")


@pytest.mark.parametrize("name", ON_FIELDS)
@pytest.mark.parametrize("v", [None, "ab", {"a": 1}, 1.0, []])
def test_field_without_components_raises(name, v):
    with pytest.raises(TypeError, match=r"v of type \w+ holds no components: wanted a sequence"):
        ON_FIELDS[name](v)


@pytest.mark.parametrize("name", ON_FIELDS)
def test_components_of_different_shapes_raise(name):
    with pytest.raises(ValueError, match=r"v\[1\] has shape \(5, 4\), but v\[0\] has \(4, 5\)"):
        ON_FIELDS[name]([PLANE, PLANE.T])


@pytest.mark.parametrize("name", ON_FIELDS)
def test_bool_components_are_named(name):
    with pytest.raises(TypeError, match=r"v.* has dtype bool.*convert"):
        ON_FIELDS[name]([PLANE > 3, PLANE > 3])


@pytest.mark.parametrize("name", ["divergence", "curl"])
def test_number_of_components_must_be_that_of_axes(name):
    with pytest.raises(ValueError, match=r"v has 3 components, but 2 axes.*name the axes"):
        ON_FIELDS[name]([PLANE, PLANE, PLANE])
    with pytest.raises(ValueError, match=r"v has 2 components, but 1 ax.*name the axes"):
        ON_FIELDS[name]([PLANE, PLANE], axis=0)


@pytest.mark.parametrize("count", [1, 4])
def test_curl_takes_two_or_three_components(count):
    with pytest.raises(ValueError, match=rf"v has {count} components: a curl needs 2 or 3"):
        curl([PLANE] * count)


@pytest.mark.parametrize("name", EVERY)
def test_ragged_lists_raise(name):
    with pytest.raises(TypeError, match=r"(f|v\[0\]) cannot be made into an array"):
        EVERY[name]([[1.0, 2.0], [3.0]])


# --- values that carry their own settings, and what cannot be kept --------------------------------


@pytest.mark.parametrize(
    "options",
    [{"boundary": "periodic"}, {"boundary": ["periodic"]}, {"period": 9.0}, {"unit": "D"}],
)
def test_settings_that_an_axis_has_of_its_own_raise(options):
    with pytest.raises(TypeError, match=r"Axis\(coordinates|goes with coordinates|needs boundary"):
        gradient(LINE, gradkit.Axis(coordinates=[0, 1, 3, 4, 7]), **options)


@pytest.mark.parametrize("period", ["12", True, (True,), ["9"]])
def test_period_of_the_wrong_kind_raises_also_after_a_call_with_an_equal_one(period):
    points = [0.0, 0.1, 0.3, 0.4, 0.7]
    gradient(LINE, points, boundary="periodic", period=1)
    with pytest.raises(TypeError, match=r"period=.* is not a finite non-zero real number"):
        gradient(LINE, points, boundary="periodic", period=period)


def test_dates_have_no_negatives_to_continue_with():
    dates = np.arange(6).astype("M8[D]")
    with pytest.raises(TypeError, match=r"antiperiodic.*dates"):
        gradient(dates, boundary="antiperiodic")
    assert gradient(dates - dates[0], boundary="antiperiodic", unit="D")[1] == 1.0


def test_unit_that_cannot_be_hashed_raises():
    with pytest.raises(ValueError, match=r"unit=\['s'\] is not one of"):
        gradient(LINE, np.arange(5.0), unit=["s"])


@pytest.mark.parametrize("value", [None, {}, "abc", np.ndarray])
def test_what_is_no_array_raises_with_its_type(value):
    with pytest.raises(TypeError, match=f"f is of type {type(value).__name__}: wanted an array"):
        gradient(value)


def test_out_under_a_hard_mask_raises():
    hard = np.ma.array(np.zeros(5), mask=True, hard_mask=True)
    with pytest.raises(ValueError, match="out has a hard mask"):
        gradient(np.ma.array(LINE, dtype="f8"), out=hard)


def test_out_without_a_mask_cannot_hold_one():
    with pytest.raises(TypeError, match="out cannot hold the mask of f"):
        gradient(np.ma.array(LINE, dtype="f8"), out=np.zeros(5))


def test_out_whose_elements_overlap_raises():
    shifted = np.lib.stride_tricks.as_strided(np.zeros(9), (4, 3), (8, 8))
    with pytest.raises(ValueError, match="share memory with one another"):
        gradient(np.zeros((4, 3)), axis=0, out=shifted)


@pytest.mark.parametrize(
    "error",
    [
        gradkit.errors.AxisError("axis", 3, 2),
        gradkit.errors.MissingPackageError("cupy", "cuda13", "this"),
    ],
)
def test_errors_can_be_pickled(error):
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert type(copy) is type(error)


def test_axis_error_carries_the_numbers_of_that_of_numpy():
    with pytest.raises(np.exceptions.AxisError) as caught:
        gradient(np.zeros((3, 3)), axis=4)
    assert (caught.value.axis, caught.value.ndim) == (4, 2)
