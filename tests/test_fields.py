"""What users call on arrays: signatures, forms of results, axes, fields, out=, dtype=, diff."""

import inspect
import pickle

import numpy as np
import pytest

from gradkit import (
    Axis,
    FiniteDifference,
    arguments,
    curl,
    derivative,
    diff,
    divergence,
    gradient,
    hessian,
    jacobian,
    laplacian,
)

EPS = 2.0**-52

#: Distances between points of three axes of different lengths; one axis decreases.
SPACINGS = (0.5, -0.25, 0.125)
SHAPE = (6, 7, 8)
#: Uneven positions of the same axes, one of them decreasing.
POSITIONS = (
    np.asarray([0.0, 0.3, 1.0, 1.2, 2.1, 2.5]),
    np.asarray([3.0, 2.5, 2.4, 1.5, 1.3, 0.6, 0.2]),
    np.asarray([-1.0, -0.8, -0.1, 0.2, 0.4, 1.0, 1.1, 1.5]),
)


def coordinates(uneven, ndim=3):
    """Spacing arguments, and the positions of all points as arrays."""
    if uneven:
        lines = POSITIONS[:ndim]
        return lines, np.meshgrid(*lines, indexing="ij")
    lines = [h * np.arange(n) for h, n in zip(SPACINGS[:ndim], SHAPE[:ndim], strict=True)]
    return SPACINGS[:ndim], np.meshgrid(*lines, indexing="ij")


grids = pytest.mark.parametrize("uneven", [False, True], ids=["uniform", "uneven"])


def assert_exact(actual, wanted, order=1):
    """Stencils that are exact on a polynomial leave rounding errors alone.

    Values stay below 20, differences of them are weighted with at most 50 / h**order over all
    points of a stencil, and the smallest step is 0.1.
    """
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=20 * 50 * EPS / 0.1**order)


def assert_like(result, f, dtype=None):
    """The result has the library, shape, device and (dask) chunks of f."""
    assert type(result) is type(f)
    assert tuple(result.shape) == tuple(f.shape)
    assert result.dtype == f.dtype if dtype is None else str(result.dtype).endswith(dtype)
    assert getattr(result, "device", None) == getattr(f, "device", None)
    assert getattr(result, "chunks", None) == getattr(f, "chunks", None)


# --- signatures ----------------------------------------------------------------------------------

KEYWORDS = {
    "accuracy": 2,
    "edge_order": None,
    "boundary": "one-sided",
    "period": None,
    "method": None,
    "nan": "propagate",
    "unit": "s",
    "dtype": None,
    "out": None,
}


def signature_of(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: (p.kind, p.default) for p in parameters}


@pytest.mark.parametrize(
    ("function", "first"),
    [
        (gradient, "f"),
        (laplacian, "f"),
        (hessian, "f"),
        (divergence, "v"),
        (curl, "v"),
        (jacobian, "v"),
    ],
)
def test_functions_take_spacings_by_position_and_the_rest_by_keyword(function, first):
    found = signature_of(function)
    empty = inspect.Parameter.empty
    assert list(found)[:2] == [first, "spacing"]
    assert found[first] == (inspect.Parameter.POSITIONAL_OR_KEYWORD, empty)
    assert found["spacing"] == (inspect.Parameter.VAR_POSITIONAL, empty)
    keywords = {**KEYWORDS, "axis": None}
    if function is gradient:
        keywords["edge_order"] = 1
    assert {name: default for name, (_, default) in list(found.items())[2:]} == keywords


def test_derivative_takes_one_spacing_or_coordinates():
    found = signature_of(derivative)
    assert list(found)[:2] == ["f", "x"]
    assert found["x"][1] == 1.0
    keywords = {**KEYWORDS, "axis": -1, "order": 1}
    rest = dict(list(found.items())[2:])
    assert {name: default for name, (_, default) in rest.items()} == keywords
    assert {kind for kind, _ in rest.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_diff_has_the_signature_of_numpy():
    assert [p.name for p in inspect.signature(diff).parameters.values()] == [
        "a",
        "n",
        "axis",
        "prepend",
        "append",
    ]


# --- containers of results -----------------------------------------------------------------------


def test_gradient_of_one_dimension_is_an_array(library):
    f = library.asarray(np.zeros(5))
    for result in (
        gradient(f),
        gradient(f, axis=0),
        gradient(f, axis=None),
        gradient(f, axis=(0,)),
    ):
        assert_like(result, f)


def test_gradient_of_several_dimensions_is_a_tuple_unless_axis_is_an_integer(library):
    f = library.asarray(np.zeros((4, 5)))
    for axis, count in [(None, 2), ((0, 1), 2), ([1, 0], 2), ((1,), 1), ([0], 1)]:
        result = gradient(f, axis=axis)
        assert type(result) is tuple
        assert len(result) == count
        for part in result:
            assert_like(part, f)
    for axis in (0, -1, np.int64(1), np.asarray(0)):
        assert_like(gradient(f, axis=axis), f)


def test_axes_may_be_any_sequence_of_integers():
    f = np.arange(20.0).reshape(4, 5) ** 2
    wanted = np.gradient(f)
    for axes in ((0, 1), [0, 1], range(2), np.asarray([0, 1]), (np.int8(0), np.int64(-1))):
        for a, w in zip(gradient(f, axis=axes), wanted, strict=True):
            np.testing.assert_array_equal(a, w)


def test_derivatives_of_one_kind_are_single_arrays(library):
    f = library.asarray(np.zeros((4, 5)))
    for result in (
        derivative(f),
        laplacian(f),
        divergence([f, f]),
        curl([f, f]),
        curl((f, f), axis=(1, 0)),
    ):
        assert_like(result, f)


def test_hessian_is_a_symmetric_tuple_of_tuples(library):
    f = library.asarray(np.zeros(SHAPE))
    result = hessian(f)
    assert type(result) is tuple
    assert {type(row) for row in result} == {tuple}
    assert [len(row) for row in result] == [3, 3, 3]
    for i in range(3):
        for j in range(3):
            assert_like(result[i][j], f)
            assert (result[i][j] is result[j][i]) is True
    assert result[0][0] is not result[1][1]
    ((only,),) = hessian(f, axis=1)
    assert_like(only, f)


def test_fields_of_sequences_are_sequences_and_stacked_fields_are_stacked(library, rng):
    values = rng.standard_normal((3, *SHAPE))
    field, parts = library.asarray(values), [library.asarray(part) for part in values]
    read = library.to_numpy

    of_parts, of_field = curl(parts, 0.3), curl(field, 0.3)
    assert type(of_parts) is tuple
    for part in of_parts:
        assert_like(part, parts[0])
    assert type(of_field) is type(field)
    assert tuple(of_field.shape) == (3, *SHAPE)
    np.testing.assert_array_equal(read(of_field), [read(c) for c in of_parts])

    of_parts, of_field = jacobian(tuple(parts), 0.3, axis=(2, 0)), jacobian(field, 0.3, axis=(2, 0))
    assert type(of_parts) is tuple
    assert [(type(row), len(row)) for row in of_parts] == [(tuple, 2)] * 3
    for row in of_parts:
        for part in row:
            assert_like(part, parts[0])
    assert type(of_field) is type(field)
    assert tuple(of_field.shape) == (3, 2, *SHAPE)
    wanted = [[read(entry) for entry in row] for row in of_parts]
    np.testing.assert_array_equal(read(of_field), wanted)

    assert_like(divergence(field, 0.3), parts[0])
    np.testing.assert_array_equal(read(divergence(field, 0.3)), read(divergence(parts, 0.3)))


@pytest.mark.parametrize("call", [gradient, laplacian, hessian, lambda f: curl([f, f])])
def test_lists_become_numpy_arrays(call):
    values = [[0, 1, 4, 9], [1, 2, 5, 10], [2, 3, 6, 11], [3, 4, 7, 12]]
    np.testing.assert_array_equal(call(values), call(np.asarray(values)))
    np.testing.assert_array_equal(call(tuple(map(tuple, values))), call(np.asarray(values)))


def test_lists_of_lists_are_fields():
    v = [[[0.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [5.0, 7.0]]]
    np.testing.assert_array_equal(
        divergence(v, edge_order=1), np.gradient(v[0], axis=0) + np.gradient(v[1], axis=1)
    )
    assert type(jacobian(v, edge_order=1)) is tuple


def test_results_are_apart_from_the_input_in_memory():
    f = np.zeros((4, 5))
    parts = [*gradient(f), derivative(f), laplacian(f), *hessian(f)[0], curl([f, f])]
    for part in parts:
        assert not np.may_share_memory(part, f)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@grids
def test_matrices_stay_matrices(rng, uneven):
    values = rng.standard_normal((6, 7))
    f, spacing = np.matrix(values), coordinates(uneven, 2)[0]
    pairs = [
        *zip(gradient(f, *spacing), gradient(values, *spacing), strict=True),
        (laplacian(f, *spacing), laplacian(values, *spacing)),
        (hessian(f, *spacing)[0][1], hessian(values, *spacing)[0][1]),
        (divergence([f, f], *spacing), divergence([values, values], *spacing)),
        (curl([f, f], *spacing), curl([values, values], *spacing)),
        (jacobian([f, f], *spacing)[1][0], jacobian([values, values], *spacing)[1][0]),
        (gradient(f, axis=0, boundary="periodic"), gradient(values, axis=0, boundary="periodic")),
        (diff(f, 2), diff(values, 2)),
    ]
    for actual, wanted in pairs:
        assert type(actual) is np.matrix
        np.testing.assert_array_equal(np.asarray(actual), wanted)


def test_masked_arrays_stay_masked_arrays_in_every_form():
    f = np.ma.zeros((5, 6))
    f[2, 3] = np.ma.masked
    assert [type(part) for part in gradient(f)] == [np.ma.MaskedArray] * 2
    assert type(hessian(f)[0][1]) is np.ma.MaskedArray
    stacked = np.ma.zeros((2, 5, 6))
    stacked[1, 2, 3] = np.ma.masked
    result = jacobian(stacked)
    assert type(result) is np.ma.MaskedArray
    np.testing.assert_array_equal(result[1, 0].mask, jacobian(list(stacked))[1][0].mask)
    assert not np.ma.getmaskarray(result)[0].any()
    out = np.ma.zeros((5, 6))
    assert laplacian(f, out=out) is out
    np.testing.assert_array_equal(out.mask, laplacian(f).mask)


# --- axes, batch axes, order of axes --------------------------------------------------------------


@grids
def test_gradient_follows_the_order_of_axes(uneven):
    spacing, (x, y, z) = coordinates(uneven)
    f = 2 * x + 3 * y * y - 5 * z
    slopes = (np.full(SHAPE, 2.0), 6 * y, np.full(SHAPE, -5.0))
    for axes in [(0, 1, 2), (2, 0, 1), (1, 2), (-1, 0), (1,), (-2, -3)]:
        result = gradient(f, *[spacing[a] for a in axes], axis=axes, edge_order=2)
        for a, part in zip(axes, result, strict=True):
            assert_exact(part, slopes[a])


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@grids
def test_derivative_along_each_axis_leaves_the_others_alone(uneven, axis):
    spacing, (x, y, z) = coordinates(uneven)
    f = (1 + x**2) * (2 - y**2) * (z**2 - z)
    exact = [
        2 * x * (2 - y**2) * (z**2 - z),
        (1 + x**2) * -2 * y * (z**2 - z),
        (1 + x**2) * (2 - y**2) * (2 * z - 1),
    ]
    scale = abs(f).max() / 20
    result = derivative(f, spacing[axis], axis=axis)
    assert_exact(result / scale, exact[axis] / scale)
    # One batch entry at a time gives the same bits.
    lines = np.moveaxis(f, axis, -1).reshape(-1, SHAPE[axis])
    alone = np.stack([derivative(line, spacing[axis]) for line in lines])
    np.testing.assert_array_equal(np.moveaxis(result, axis, -1).reshape(alone.shape), alone)


@pytest.mark.parametrize("name", ["laplacian", "hessian", "divergence", "curl", "jacobian"])
def test_axes_not_named_are_batch_axes(rng, name):
    f = rng.standard_normal((2, 5, 3, 6))
    call = {
        "laplacian": lambda a, axes: laplacian(a, 0.3, axis=axes),
        "hessian": lambda a, axes: hessian(a, 0.3, axis=axes)[0][1],
        "divergence": lambda a, axes: divergence([a, 2 * a], 0.3, axis=axes),
        "curl": lambda a, axes: curl([a, 2 * a], 0.3, axis=axes),
        "jacobian": lambda a, axes: jacobian([a, 2 * a], 0.3, axis=axes)[1][0],
    }[name]
    whole = call(f, (3, 1))
    for i, k in np.ndindex(2, 3):
        np.testing.assert_array_equal(whole[i, :, k], call(f[i, :, k], (1, 0)))


def test_axes_not_named_are_batch_axes_on_every_library(library, rng):
    values = rng.standard_normal(SHAPE)
    f = library.asarray(values)
    result = library.to_numpy(curl([f, 2 * f], 0.3, axis=(2, 0)))
    alone = [curl([values[:, j], 2 * values[:, j]], 0.3, axis=(1, 0)) for j in range(SHAPE[1])]
    # Four differences of values below 4, over 0.6, each rounded a few times.
    np.testing.assert_allclose(result, np.stack(alone, axis=1), rtol=0, atol=4 * 16 * EPS / 0.6)


def test_one_number_is_the_spacing_of_all_axes():
    _, (x, y, z) = coordinates(False)
    f = x / SPACINGS[0] + 2 * y / SPACINGS[1] + 3 * z / SPACINGS[2]
    for part, slope in zip(gradient(f, 4), (1, 2, 3), strict=True):
        np.testing.assert_array_equal(part, np.full(SHAPE, slope / 4))


# --- Axis objects in the place of spacings --------------------------------------------------------


def test_axis_objects_stand_in_the_place_of_spacings(library, rng):
    values = rng.standard_normal(SHAPE[:2])
    f = library.asarray(values)
    x = POSITIONS[1]
    plain = gradient(f, 0.5, x)
    by_axes = gradient(f, Axis(spacing=0.5), Axis(coordinates=x))
    for a, b in zip(plain, by_axes, strict=True):
        np.testing.assert_array_equal(library.to_numpy(a), library.to_numpy(b))
    one = library.to_numpy(derivative(f, Axis(coordinates=x)))
    np.testing.assert_array_equal(one, library.to_numpy(derivative(f, x)))


def test_axis_objects_carry_their_own_boundary_and_unit():
    angle = 2 * np.pi * np.arange(8) / 8
    f = np.sin(angle)
    # The centred difference of sin is cos times sin(h) / h.
    wanted = np.cos(angle) * np.sin(angle[1]) / angle[1]
    result = gradient(f, Axis(spacing=angle[1], boundary="periodic"), boundary="one-sided")
    np.testing.assert_allclose(result, wanted, rtol=0, atol=4 * EPS)
    points = Axis(coordinates=angle, boundary="periodic", period=2 * np.pi)
    np.testing.assert_allclose(gradient(f, points), wanted, rtol=0, atol=16 * EPS)
    days = Axis(coordinates=np.arange(8).astype("timedelta64[D]"), unit="D")
    np.testing.assert_array_equal(gradient(np.arange(8.0), days), np.ones(8))


def test_axis_objects_survive_pickling_with_their_results():
    axis = Axis(coordinates=POSITIONS[0])
    f = POSITIONS[0] ** 2
    np.testing.assert_array_equal(gradient(f, pickle.loads(pickle.dumps(axis))), gradient(f, axis))


# --- boundary and period per axis -----------------------------------------------------------------


def test_boundary_may_differ_from_axis_to_axis(library):
    whole, half = 2 * np.pi * np.arange(SHAPE[0]) / SHAPE[0], np.pi * np.arange(SHAPE[1]) / SHAPE[1]
    h, k = whole[1], half[1]
    line = 0.5 * np.arange(SHAPE[2])
    # Periodic along 0, antiperiodic along 1 (half a turn), a parabola along 2.
    sine, cosine, parabola = np.sin(whole)[:, None, None], np.cos(half)[:, None], 1 + line**2
    f = library.asarray(sine * cosine * parabola)
    ends = ("periodic", "antiperiodic", "one-sided")
    parts = gradient(f, h, k, 0.5, boundary=ends, edge_order=2)
    # Centred differences of sines and cosines are their derivatives times sin(h) / h.
    wanted = [
        np.cos(whole)[:, None, None] * np.sin(h) / h * cosine * parabola,
        sine * -np.sin(half)[:, None] * np.sin(k) / k * parabola,
        sine * cosine * 2 * line,
    ]
    for part, exact in zip(parts, wanted, strict=True):
        # Values up to 14, differences over steps of at least 0.4.
        np.testing.assert_allclose(library.to_numpy(part), exact, rtol=0, atol=14 * 8 * EPS / 0.4)


def test_period_may_differ_from_axis_to_axis():
    rng = np.random.default_rng(3)
    turns = [np.sort(rng.random(n)) * 0.95 for n in (40, 50)]
    x, y = turns[0] * 2, turns[1] * 3
    f = np.sin(np.pi * x)[:, None] + np.cos(2 * np.pi * y / 3)
    options = {"boundary": "periodic", "accuracy": 4}
    down, across = gradient(f, x, y, period=(2, 3), **options)
    shifted = gradient(
        np.roll(f, 7, axis=1), x, np.r_[y[-7:] - 3, y[:-7]], period=[2, 3], **options
    )
    # Starting elsewhere in the period changes nothing but the order of points.
    np.testing.assert_allclose(np.roll(shifted[1], -7, axis=1), across, rtol=0, atol=1e-9)
    # One period for one of the axes: the other has a spacing and needs none.
    mixed = gradient(f, x, 0.1, period=2, **options)
    np.testing.assert_array_equal(mixed[0], down)
    assert abs(down - np.pi * np.cos(np.pi * x)[:, None]).max() < 0.2


# --- analytic fields ------------------------------------------------------------------------------


@grids
def test_gradient_of_a_quadratic_is_exact(uneven):
    spacing, (x, y, z) = coordinates(uneven)
    f = x * y + y * z - z * z + 2 * x * x
    result = gradient(f, *spacing, edge_order=2)
    for part, exact in zip(result, (y + 4 * x, x + z, y - 2 * z), strict=True):
        assert_exact(part, exact)


@grids
def test_divergence_in_two_and_three_dimensions_is_exact(uneven):
    spacing, (x, y, z) = coordinates(uneven)
    result = divergence((x * x * y, y * y * z, z * z * x), *spacing)
    assert_exact(result, 2 * (x * y + y * z + z * x))
    spacing, (x, y) = coordinates(uneven, 2)
    assert_exact(divergence((x * x * y, x - y * y), *spacing), 2 * x * y - 2 * y)
    assert_exact(divergence((y, x), *spacing), np.zeros_like(x))


@grids
def test_divergence_pairs_components_with_axes_in_order(uneven):
    spacing, (x, y) = coordinates(uneven, 2)
    result = divergence((x * y * y, 3 * x * x), *spacing[::-1], axis=(1, 0))
    assert_exact(result, 2 * x * y + 6 * x)


@grids
def test_curl_in_two_dimensions_is_exact(uneven):
    spacing, (x, y) = coordinates(uneven, 2)
    assert_exact(curl((-y, x), *spacing), np.full(x.shape, 2.0))
    assert_exact(curl((x * y * y, x * x), *spacing), 2 * x - 2 * x * y)
    assert_exact(curl((x * x, y * y), *spacing), np.zeros_like(x))
    # Exchanging axes and components at once changes the sign.
    swapped = curl((x * x, x * y * y), *spacing[::-1], axis=(1, 0))
    assert_exact(swapped, 2 * x * y - 2 * x)


@grids
def test_curl_in_three_dimensions_is_exact(uneven):
    spacing, (x, y, z) = coordinates(uneven)
    v = (y * z * z, x * x * z, x * y * y)
    exact = (2 * x * y - x * x, 2 * y * z - y * y, 2 * x * z - z * z)
    for part, wanted in zip(curl(v, *spacing), exact, strict=True):
        assert_exact(part, wanted)
    for part, wanted in zip(curl(np.stack(v), *spacing), exact, strict=True):
        assert_exact(part, wanted)


@grids
def test_curl_of_a_gradient_and_divergence_of_a_curl_vanish(rng, uneven):
    # Stencils along different axes commute, so this holds for any data, up to rounding.
    spacing, _ = coordinates(uneven)
    f = rng.standard_normal(SHAPE)
    for part in curl(gradient(f, *spacing, edge_order=2), *spacing):
        np.testing.assert_allclose(part, 0, atol=1e5 * EPS)
    v = rng.standard_normal((3, *SHAPE))
    np.testing.assert_allclose(divergence(curl(v, *spacing), *spacing), 0, atol=1e5 * EPS)


@grids
def test_laplacian_is_exact(uneven):
    spacing, (x, y, z) = coordinates(uneven)
    f = x**2 * y + y**2 * z - 3 * z**2
    assert_exact(laplacian(f, *spacing), 2 * y + 2 * z - 6, order=2)
    assert_exact(laplacian(f, spacing[2], axis=2), np.full(SHAPE, -6.0), order=2)
    assert_exact(laplacian(f, spacing[2], spacing[0], axis=(2, 0)), 2 * y - 6, order=2)


@grids
def test_hessian_is_exact(uneven):
    spacing, (x, y, z) = coordinates(uneven)
    f = x**2 * y + y**2 * z - 3 * z**2 + x * y * z
    zero = np.zeros(SHAPE)
    exact = [
        [2 * y, 2 * x + z, y],
        [2 * x + z, 2 * z, 2 * y + x],
        [y, 2 * y + x, zero - 6],
    ]
    for axes in [(0, 1, 2), (2, 0), (1,)]:
        result = hessian(f, *[spacing[a] for a in axes], axis=axes)
        for i, a in enumerate(axes):
            for j, b in enumerate(axes):
                assert_exact(result[i][j], exact[a][b], order=2)


@grids
def test_jacobian_is_exact(uneven):
    spacing, (x, y, z) = coordinates(uneven)
    v = (x * y, y * z * z)
    zero = np.zeros(SHAPE)
    exact = [[y, x, zero], [zero, z * z, 2 * y * z]]
    for axes in [(0, 1, 2), (2, 0), (1,)]:
        arguments = [spacing[a] for a in axes]
        nested = jacobian(v, *arguments, axis=axes)
        stacked = jacobian(np.stack(v), *arguments, axis=axes)
        assert stacked.shape == (2, len(axes), *SHAPE)
        for i in range(2):
            for j, a in enumerate(axes):
                assert_exact(nested[i][j], exact[i][a])
                np.testing.assert_array_equal(stacked[i, j], nested[i][j])


def test_jacobian_of_one_component_is_a_row(library):
    f = library.asarray(np.arange(20.0).reshape(4, 5))
    ((down, across),) = jacobian([f])
    np.testing.assert_allclose(library.to_numpy(down), 5, rtol=4 * EPS)
    np.testing.assert_allclose(library.to_numpy(across), 1, rtol=4 * EPS)


def test_second_derivatives_are_stencils_of_their_own_not_repeated_first_ones():
    # (-1)**i has second differences of 4; twice the centred first difference gives 0.
    f = (-1.0) ** np.arange(8)
    np.testing.assert_array_equal(laplacian(f)[1:-1], -4 * f[1:-1])
    np.testing.assert_array_equal(hessian(f)[0][0][1:-1], -4 * f[1:-1])
    np.testing.assert_array_equal(derivative(f, order=2)[1:-1], -4 * f[1:-1])


def test_analytic_fields_on_every_library(library):
    spacing, (x, y, z) = coordinates(False)
    v = [library.asarray(c) for c in (y * z * z, x * x * z, x * y * y)]
    f = library.asarray(x * y + z * z)
    read = library.to_numpy
    exact = (2 * x * y - x * x, 2 * y * z - y * y, 2 * x * z - z * z)
    for part, wanted in zip(curl(v, *spacing), exact, strict=True):
        assert_exact(read(part), wanted)
    assert_exact(read(divergence(v, *spacing)), np.zeros(SHAPE))
    assert_exact(read(laplacian(f, *spacing)), np.full(SHAPE, 2.0), order=2)
    assert_exact(read(hessian(f, *spacing)[0][1]), np.ones(SHAPE), order=2)
    assert_exact(read(jacobian(v, *spacing)[0][2]), 2 * y * z)


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_accuracy_and_method_are_two_ways_to_say_the_same(accuracy):
    x = 0.25 * np.arange(12)
    f = x**accuracy / 2**accuracy
    exact = accuracy * x ** (accuracy - 1) / 2**accuracy
    by_number = gradient(f, 0.25, accuracy=accuracy, edge_order=None)
    # Exact for polynomials of this degree; values below 3, weights below 15 / h.
    np.testing.assert_allclose(by_number, exact, rtol=0, atol=3 * 60 * EPS / 0.25)
    by_method = gradient(f, 0.25, method=FiniteDifference(accuracy), edge_order=None)
    np.testing.assert_array_equal(by_number, by_method)


def test_edge_order_none_is_as_accurate_as_the_interior():
    x = 0.25 * np.arange(12)
    f = x**4
    interior = derivative(f, 0.25, accuracy=4)
    np.testing.assert_allclose(interior, 4 * x**3, rtol=0, atol=57 * 60 * EPS / 0.25)
    low = derivative(f, 0.25, accuracy=4, edge_order=1)
    assert abs(low - 4 * x**3)[[0, -1]].min() > 1e-3
    np.testing.assert_array_equal(low[2:-2], interior[2:-2])


# --- out= -----------------------------------------------------------------------------------------


def leaves(result):
    """The arrays of a nested result, row by row."""
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]


def emptied(result, library, dtype=None):
    """Arrays of a nested result's form, filled with a number that no result has."""
    if isinstance(result, tuple | list):
        return type(result)(emptied(part, library, dtype) for part in result)
    return library.asarray(np.full(tuple(result.shape), 99.0, dtype or "float64"))


FORMS = {
    "gradient": lambda f, **k: gradient(f, 0.3, **k),
    "gradient, axis": lambda f, **k: gradient(f, 0.3, axis=1, **k),
    "gradient, one axis": lambda f, **k: gradient(f, 0.3, axis=(1,), **k),
    "derivative": lambda f, **k: derivative(f, 0.3, order=2, **k),
    "laplacian": lambda f, **k: laplacian(f, 0.3, **k),
    "hessian": lambda f, **k: hessian(f, 0.3, **k),
    "divergence": lambda f, **k: divergence([f, 2 * f, 3 * f], 0.3, **k),
    "curl in 2-D": lambda f, **k: curl([f, 2 * f], 0.3, axis=(0, 1), **k),
    "curl in 3-D": lambda f, **k: curl([f, 2 * f, 3 * f], 0.3, **k),
    "jacobian": lambda f, **k: jacobian([f, 2 * f], 0.3, **k),
}
STACKED_FORMS = {
    "divergence": lambda v, **k: divergence(v, 0.3, **k),
    "curl in 3-D": lambda v, **k: curl(v, 0.3, **k),
    "jacobian": lambda v, **k: jacobian(v, 0.3, **k),
}


@pytest.fixture
def writeable(library):
    if library.kind in ("jax", "dask") or library.name == "numpy:readonly":
        pytest.skip(f"{library.name} arrays cannot be written to; the tests below have the errors")
    return library


@pytest.mark.parametrize("name", FORMS)
def test_out_is_filled_and_returned(writeable, rng, name):
    f = writeable.asarray(rng.standard_normal((4, 5, 6)))
    wanted = FORMS[name](f)
    out = emptied(wanted, writeable)
    arrays = leaves(out)
    assert FORMS[name](f, out=out) is out
    for array, same, result in zip(leaves(out), arrays, leaves(wanted), strict=True):
        assert array is same
        np.testing.assert_array_equal(writeable.to_numpy(array), writeable.to_numpy(result))


@pytest.mark.parametrize("name", STACKED_FORMS)
def test_out_of_stacked_fields_is_filled_and_returned(writeable, rng, name):
    v = writeable.asarray(rng.standard_normal((3, 4, 5, 6)))
    wanted = STACKED_FORMS[name](v)
    out = emptied(wanted, writeable)
    assert STACKED_FORMS[name](v, out=out) is out
    np.testing.assert_array_equal(writeable.to_numpy(out), writeable.to_numpy(wanted))


def test_out_may_be_a_list_or_a_tuple(rng):
    f = rng.standard_normal((4, 5))
    for container in (list, tuple):
        out = container(np.zeros((2, 4, 5)))
        assert gradient(f, out=out) is out
        np.testing.assert_array_equal(out, gradient(f))


def test_out_may_have_any_strides(rng):
    f = rng.standard_normal((4, 5))
    for out in (np.zeros((5, 4)).T, np.zeros((8, 10))[::2, ::-2]):
        laplacian(f, out=out)
        np.testing.assert_array_equal(out, laplacian(f))


def test_out_of_a_hessian_may_share_its_symmetric_entries(rng):
    f = rng.standard_normal((4, 5))
    mixed = np.zeros((4, 5))
    out = [[np.zeros((4, 5)), mixed], [mixed, np.zeros((4, 5))]]
    hessian(f, out=out)
    np.testing.assert_array_equal(out, hessian(f))


def spoiled(out, change):
    """The same nested form with its last array changed."""
    if isinstance(out, tuple | list):
        return type(out)([*out[:-1], spoiled(out[-1], change)])
    return change(out)


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


WRONG_TARGETS = {
    "shape": (lambda a: np.full((*a.shape[:-1], a.shape[-1] + 1), 99.0), ValueError, r"has shape"),
    "transposed": (lambda a: np.full(a.shape[::-1], 99.0), ValueError, r"has shape"),
    "dtype": (lambda a: a.astype("float32"), TypeError, r"has dtype float32: wanted float64"),
    "integer": (lambda a: a.astype("int64"), TypeError, r"has dtype int64: wanted float64"),
    "byte order": (lambda a: a.astype(">f8"), TypeError, r"has dtype (.+): wanted (?!\1,)"),
    "read-only": (read_only, ValueError, r"is read-only"),
    "list": (lambda a: a.tolist(), TypeError, r"is of type list: wanted an array"),
    "number": (lambda a: 0.0, TypeError, r"is of type float: wanted an array"),
}


@pytest.mark.parametrize("target", WRONG_TARGETS)
@pytest.mark.parametrize("name", FORMS)
def test_wrong_out_raises_before_anything_is_written(rng, name, target):
    f = rng.standard_normal((4, 5, 6))
    change, error, text = WRONG_TARGETS[target]
    template = FORMS[name](f)

    def fresh(result):
        if isinstance(result, tuple | list):
            return tuple(fresh(part) for part in result)
        return np.full(result.shape, 99.0)

    out = spoiled(fresh(template), change)
    before = f.copy()
    with pytest.raises(error, match=r"^out.* " + text):
        FORMS[name](f, out=out)
    for array in leaves(out):
        if isinstance(array, np.ndarray):
            assert (array == 99).all()
    np.testing.assert_array_equal(f, before)


@pytest.mark.parametrize("name", FORMS)
def test_out_that_shares_memory_with_an_input_raises_before_anything_is_written(rng, name):
    memory = rng.standard_normal((5, 5, 6))
    f = memory[:4]
    before = memory.copy()
    for overlapping in (f, memory[1:], memory[:4, ::-1]):
        out = spoiled(FORMS[name](f), lambda _, target=overlapping: target)
        with pytest.raises(ValueError, match=r"^out.* shares memory with an input"):
            FORMS[name](f, out=out)
        np.testing.assert_array_equal(memory, before)


def test_out_arrays_that_share_memory_with_each_other_raise(rng):
    f = rng.standard_normal((4, 5))
    one = np.full((4, 5), 99.0)
    memory = np.full((5, 5), 99.0)
    for out in [(one, one), (memory[:4], memory[1:])]:
        with pytest.raises(ValueError, match=r"out\[0\] and out\[1\] share memory"):
            gradient(f, out=out)
    other = np.full((4, 5), 99.0)
    with pytest.raises(ValueError, match=r"share memory"):
        hessian(f, out=[[one, other], [other, one]])
    assert (one == 99).all()
    assert (other == 99).all()
    assert (memory == 99).all()


def test_out_in_the_wrong_form_raises(rng):
    f = rng.standard_normal((4, 5))
    array = np.full((4, 5), 99.0)
    stack = np.full((2, 4, 5), 99.0)
    for out in (array, (array,), (array,) * 3, 1.0):
        with pytest.raises(TypeError, match=r"^out must be a sequence of 2 arrays"):
            gradient(f, out=out)
    with pytest.raises(TypeError, match=r"^out is of type tuple: wanted an array"):
        laplacian(f, out=(array,))
    with pytest.raises(TypeError, match=r"^out must be a sequence of 1 array"):
        gradient(f, axis=(0,), out=array[0])
    for out in (array, [array, array], [[array], [array]], [[array, array]]):
        with pytest.raises(TypeError, match=r"^out must be a sequence of 2 sequences of 2 arrays"):
            hessian(f, out=out)
    for out in (stack, array, [array, array]):
        with pytest.raises(ValueError, match=r"^out must be an array of shape \(2, 2, 4, 5\)"):
            jacobian(np.stack([f, f]), out=out)
    assert (array == 99).all()
    assert (stack == 99).all()


def test_nan_raise_writes_nothing():
    f = np.asarray([1.0, np.nan, 2.0, 3.0])
    out = np.full(4, 99.0)
    with pytest.raises(ValueError, match="f holds NaN"):
        gradient(f, nan="raise", out=out)
    assert (out == 99).all()


def test_out_of_the_dtype_asked_for(writeable):
    f = writeable.asarray(np.arange(5) ** 2)
    out = writeable.asarray(np.zeros(5), "float32")
    assert gradient(f, dtype="float32", out=out) is out
    np.testing.assert_array_equal(writeable.to_numpy(out), [1, 2, 4, 6, 7])
    with pytest.raises(TypeError, match=r"out has dtype float32: wanted float64"):
        gradient(f, out=out)


def test_out_of_big_endian_data_has_its_byte_order():
    f = (np.arange(5.0) ** 2).astype(">f8")
    out = np.zeros(5, ">f8")
    assert gradient(f, out=out) is out
    np.testing.assert_array_equal(out, [1, 2, 4, 6, 7])


@pytest.mark.parametrize("name", FORMS)
def test_out_that_cannot_be_written_to_raises(library, name):
    if library.kind not in ("jax", "dask") and library.name != "numpy:readonly":
        pytest.skip(f"{library.name} arrays can be written to")
    values = np.zeros((4, 5, 6))
    f, out = library.asarray(values), emptied(FORMS[name](values), library)
    error = ValueError if library.kind == "numpy" else TypeError
    with pytest.raises(error, match=r"^out.*(is read-only|cannot be written to)"):
        FORMS[name](f, out=out)
    for array in leaves(out):
        assert (library.to_numpy(array) == 99).all()


def test_out_that_records_gradients_raises():
    torch = pytest.importorskip("torch")
    out = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"out requires a gradient: wanted a tensor that does not"):
        gradient(torch.arange(5, dtype=torch.float64), out=out)


def test_out_of_a_tensor_that_shares_memory_raises():
    torch = pytest.importorskip("torch")
    memory = torch.arange(7, dtype=torch.float64)
    with pytest.raises(ValueError, match="shares memory with an input"):
        gradient(memory[:5], out=memory[2:])
    np.testing.assert_array_equal(memory.numpy(), np.arange(7))
    assert gradient(memory[:3], out=memory[4:]) is not None


# --- dtype= ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted", "result"),
    [
        ("float64", "float32", "float32"),
        ("float32", float, "float64"),
        ("int32", np.float32, "float32"),
        ("float64", "complex64", "complex64"),
        ("complex128", "complex64", "complex64"),
        ("complex64", complex, "complex128"),
        ("uint8", "complex128", "complex128"),
    ],
)
def test_dtype_is_that_of_the_result(library, given, wanted, result):
    f = library.asarray(np.arange(16).reshape(4, 4) ** 2 % 11, given)
    for part in gradient(f, dtype=wanted):
        assert_like(part, f, result)


@pytest.mark.parametrize("name", FORMS)
def test_dtype_is_that_of_every_result(name):
    for part in leaves(FORMS[name](np.zeros((4, 5, 6)), dtype="float32")):
        assert part.dtype == "float32"


def test_dtype_may_be_that_of_the_library_itself(library):
    f = library.asarray(np.zeros(5))
    assert_like(gradient(f, dtype=library.xp.float32), f, "float32")


def test_a_wider_dtype_computes_in_that_dtype():
    f = np.asarray([1.0, 1.0 + 2.0**-23, 2.0, 3.0], "float32")
    result = gradient(f, 0.1, dtype="float64")
    np.testing.assert_array_equal(result, np.gradient(f.astype("float64"), 0.1))


def test_a_narrower_dtype_rounds_once():
    f = np.asarray([1.0, 1.0 + 2.0**-40, 1.0 + 2.0**-39, 3.0])
    result = gradient(f, dtype="float32")
    np.testing.assert_array_equal(result, np.gradient(f).astype("float32"))
    assert (result != 0).all()


def test_dtypes_of_components_are_promoted(library):
    single = library.asarray(np.zeros((4, 4)), "float32")
    double = library.asarray(np.zeros((4, 4)))
    whole = library.asarray(np.zeros((4, 4), "int16"))
    assert_like(divergence([single, double]), double)
    assert_like(curl([single, single]), single)
    assert_like(jacobian([whole, single], axis=0)[1][0], double)


# --- dask: lazy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("chunks", [(2, 3, 4), (4, 1, 6)])
def test_dask_results_are_lazy_and_equal_to_those_of_numpy(no_compute, rng, name, chunks):
    da = pytest.importorskip("dask.array")
    values = rng.standard_normal((4, 5, 6))
    f = da.from_array(values, chunks=chunks)
    with no_compute():
        result = FORMS[name](f)
    wanted = FORMS[name](values)
    for part, right in zip(leaves(result), leaves(wanted), strict=True):
        assert isinstance(part, da.Array)
        assert part.chunks == f.chunks
        assert part.dtype == right.dtype
        np.testing.assert_array_equal(part.compute(scheduler="synchronous"), right)


# --- diff -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "axis"), [(0, 0), (1, -1), (2, 0), (4, 1), (7, 1)])
def test_diff_is_that_of_numpy_on_every_library(library, rng, n, axis):
    values = rng.standard_normal((5, 6))
    a = library.asarray(values)
    result = diff(a, n, axis)
    assert type(result) is type(a)
    assert result.dtype == a.dtype
    np.testing.assert_array_equal(library.to_numpy(result), np.diff(values, n, axis))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "bool", "float32", "complex64"])
def test_diff_keeps_the_dtype(library, dtype):
    values = np.asarray([3, 1, 0, 200, 7]).astype(dtype)
    a = library.asarray(values)
    result = diff(a)
    assert result.dtype == a.dtype
    np.testing.assert_array_equal(library.to_numpy(result), np.diff(values))


def test_diff_of_times_is_a_length_of_time():
    a = np.asarray(["2000-01-01", "2000-01-03", "2000-01-04"], "datetime64[D]")
    for n in (1, 2):
        result = diff(a, n)
        assert result.dtype == "timedelta64[D]"
        np.testing.assert_array_equal(result, np.diff(a, n))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 2)])
def test_diff_of_no_times_is_a_length_of_time(shape):
    a = np.empty(shape, "datetime64[D]")
    for n in (1, 2):
        result, wanted = diff(a, n), np.diff(a, n)
        assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)


@pytest.mark.parametrize("axis", [0, 1])
def test_diff_puts_values_before_and_after(library, axis):
    values = np.arange(20.0).reshape(4, 5) ** 2
    a = library.asarray(values)
    edge = np.moveaxis(np.full((2, values.shape[1 - axis]), 7.0), 0, axis)
    cases = [
        {"prepend": 0.0},
        {"append": 3.0},
        {"prepend": edge, "append": -1.0},
    ]
    for case in cases:
        own = {k: library.asarray(v) if np.ndim(v) else v for k, v in case.items()}
        result = diff(a, 2, axis, **own)
        assert type(result) is type(a)
        wanted = np.diff(values, 2, axis, **case)
        np.testing.assert_array_equal(library.to_numpy(result), wanted)


def test_diff_takes_values_of_its_own_library_as_0d_arrays(library):
    a = library.asarray([1.0, 4.0, 9.0])
    result = diff(a, prepend=library.asarray(0.0), append=library.asarray(16.0))
    np.testing.assert_array_equal(library.to_numpy(result), [1, 3, 5, 7])


def test_diff_of_lists():
    np.testing.assert_array_equal(diff([1, 4, 9], prepend=[0], append=[16, 25]), [1, 3, 5, 7, 9])


def test_diff_with_n_0_is_its_argument():
    a = [1, 2, 4]
    assert diff(a, n=0) is a
    assert diff(a, n=0, prepend=0) is a


@pytest.mark.parametrize("value", [0.5, [0.5], 1j])
def test_diff_never_truncates_prepended_values(library, value):
    values = np.asarray([1, 2, 4])
    a = library.asarray(values)
    if library.kind == "numpy":
        np.testing.assert_array_equal(diff(a, prepend=value), np.diff(values, prepend=value))
    else:
        with pytest.raises(TypeError, match=r"prepend=.* does not fit dtype int64"):
            diff(a, prepend=value)


def test_diff_refuses_values_of_another_shape():
    with pytest.raises(ValueError, match=r"prepend|shape|dimension"):
        diff(np.zeros((2, 2)), prepend=np.zeros((3, 3)))


def test_diff_of_dask_arrays_is_lazy(no_compute):
    da = pytest.importorskip("dask.array")
    values = np.arange(24.0).reshape(4, 6) ** 2
    a = da.from_array(values, chunks=(2, 2))
    for options in ({}, {"n": 3}, {"prepend": 0.0, "append": 1.0}, {"axis": 0}):
        with no_compute():
            result = diff(a, **options)
        assert isinstance(result, da.Array)
        np.testing.assert_array_equal(
            result.compute(scheduler="synchronous"), np.diff(values, **options)
        )


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_diff_of_unsigned_integers_wraps_around_on_torch_as_on_numpy(dtype):
    torch = pytest.importorskip("torch")
    values = np.asarray([3, 1, np.iinfo(dtype).max, 0], dtype)
    result = diff(torch.asarray(values))
    assert result.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(result.numpy(), np.diff(values))


@pytest.mark.parametrize("n", [50, 5000, 70_000])
def test_coordinates_are_known_by_their_values(n):
    # They are kept for the next call: not by the identity of their array, nor without their unit.
    x = np.linspace(0, 1, n) ** 2 + np.linspace(0, 1, n)
    f = x**2
    first = gradient(f, x)
    np.testing.assert_array_equal(gradient(f, x.copy()), first)
    x *= 2
    np.testing.assert_allclose(gradient(f, x), np.gradient(f, x), rtol=1e-9, atol=1e-9)
    times = np.cumsum(np.arange(1, n + 1) % 3 + 1).astype("timedelta64[s]")
    seconds, minutes = gradient(f, times), gradient(f, times, unit="m")
    np.testing.assert_allclose(minutes, 60 * seconds, rtol=1e-12)
    y = np.arange(n) + np.arange(n) % 2 / 4
    slopes = gradient(f, y)
    # The same array with other positions of the same bytes, or with the same ones again.
    y.dtype = "int64"
    y.sort()
    np.testing.assert_allclose(gradient(f, y), np.gradient(f, y.astype("longdouble")), rtol=1e-9)
    y.dtype = "float64"
    np.testing.assert_array_equal(gradient(f, y), slopes)
    as_float32 = y.astype("float32")
    assert (as_float32 == y).all()
    np.testing.assert_array_equal(gradient(f, as_float32), gradient(f, y))


def test_long_coordinates_are_not_taken_for_floats_that_compare_equal():
    steps = np.cumsum(3 + 2 * (np.arange(5000) % 2))
    whole = 2**53 + steps
    rounded = whole.astype(float)
    assert np.array_equal(whole, rounded)
    assert np.abs(gradient(1.0 * steps, rounded) - 1).max() > 0.1
    np.testing.assert_allclose(gradient(1.0 * steps, whole), 1, rtol=1e-14)


@pytest.mark.parametrize("n", [60, 6000])
def test_coordinates_that_lose_their_order_raise_after_a_good_call(n):
    x = np.arange(float(n)) ** 1.5
    gradient(x, x)
    x[17] = x[16]
    with pytest.raises(ValueError, match=r"coordinates\[17\]"):
        gradient(x, x)


@pytest.mark.parametrize("compared", [2**18, 1000])
def test_long_coordinates_of_the_last_calls_are_known_again(compared, monkeypatch):
    monkeypatch.setattr("gradkit.coordinates.COMPARED", compared)
    x = np.arange(5000.0) ** 1.1
    first = arguments._recent_coordinates(x, "s")
    for shift in range(1, 16):
        arguments._recent_coordinates(x + shift, "s")
    assert arguments._recent_coordinates(x.copy(), "s") is first
    for index in (0, 7, 2500, 4999):
        other = x.copy()
        other[index] += 0.01
        found = arguments._recent_coordinates(other, "s")
        np.testing.assert_array_equal(found.values, other)
    assert len(arguments._recent) == arguments._MOST


@pytest.mark.parametrize("boundary", ["one-sided", "periodic"])
@pytest.mark.parametrize("asked", ["order", "accuracy"])
def test_stencils_far_longer_than_an_axis_are_refused_before_they_are_made(asked, boundary):
    """Offsets of 10**15 points fit in no memory."""
    with pytest.raises(ValueError, match=r"axis 0 has 6 points, .* needs at least 10{14}"):
        derivative(np.arange(6.0), **{asked: 10**15}, boundary=boundary)
