"""Systems with a name: which derivative stands where, and which axes they take."""

import numpy as np
import pytest

from gradkit import Axis, D, Grid, Operator
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.systems import Curl, Divergence, Gradient, Hessian, Jacobian, Laplacian

NAMED = [Gradient, Divergence, Laplacian, Hessian, lambda axes: Jacobian(axes, 2)]


@pytest.mark.parametrize(
    ("operator", "rows"),
    [
        (Gradient(3), [[D(0)], [D(1)], [D(2)]]),
        (Gradient((2, 0)), [[D(2)], [D(0)]]),
        (Gradient([-1]), [[D(-1)]]),
        (Divergence(3), [[D(0), D(1), D(2)]]),
        (Divergence((2, 0)), [[D(2), D(0)]]),
        (Curl(2), [[-D(1), D(0)]]),
        (Curl((1, 0)), [[-D(0), D(1)]]),
        (Curl(3), [[0, -D(2), D(1)], [D(2), 0, -D(0)], [-D(1), D(0), 0]]),
        (Curl((0, 2, 1)), [[0, -D(1), D(2)], [D(1), 0, -D(0)], [-D(2), D(0), 0]]),
        (Laplacian(1), [[D(0, 2)]]),
        (Laplacian((3, 1)), [[D(1, 2) + D(3, 2)]]),
        (Hessian((0, 2)), [[D(0, 2)], [D(0) * D(2)], [D(2) * D(0)], [D(2, 2)]]),
        (Jacobian((0, 2), 2), [[D(0), 0], [D(2), 0], [0, D(0)], [0, D(2)]]),
        (Jacobian(1, 1), [[D(0)]]),
    ],
    ids=repr,
)
def test_every_entry_stands_in_its_place(operator, rows):
    assert operator == Operator.matrix(rows)


@pytest.mark.parametrize("make", NAMED)
def test_a_number_of_axes_stands_for_the_first_ones(make):
    for count in (1, 2, 4):
        same = [tuple(range(count)), list(range(count)), range(count), np.int64(count)]
        assert all(make(axes) == make(count) for axes in same)


@pytest.mark.parametrize(
    ("operator", "entries"),
    [
        (Gradient(2, to="left"), [[D(0, to="left")], [D(1, to="left")]]),
        (Gradient(2, to="left", at="right"), [[D(a, to="left", at="right")] for a in (0, 1)]),
        (Divergence(2, at="outer"), [[D(0, at="outer"), D(1, at="outer")]]),
        (Curl(2, to="inner"), [[-D(1, to="inner"), D(0, to="inner")]]),
        (
            Curl(2, at="left", to="right"),
            [[-D(1, at="left", to="right"), D(0, at="left", to="right")]],
        ),
    ],
    ids=repr,
)
def test_places_are_those_of_every_derivative(operator, entries):
    assert operator == Operator.matrix(entries)


def test_a_staggered_laplacian_is_the_narrow_one():
    """Differences to the faces and back are second differences of neighbours."""
    grid = Grid(Axis(boundary="periodic"), Axis(boundary="periodic"))
    f = np.outer([3.0, -1.0, 4.0, 1.0, -5.0], [2.0, 7.0, -1.0, 8.0])
    plan = (Divergence(2, at="left") @ Gradient(2, to="left")).on(grid, (5, 4))
    neighbours = sum(np.roll(f, shift, axis) for shift in (1, -1) for axis in (0, 1))
    np.testing.assert_array_equal(plan(f), neighbours - 4 * f)


def test_the_curl_of_a_rotation_is_twice_its_rate_along_the_axis():
    """v = w x r has the curl 2 w; differences are exact on linear functions."""
    x, y, z = np.meshgrid(*[np.arange(4.0)] * 3, indexing="ij")
    w = (2.0, -3.0, 5.0)
    v = [w[1] * z - w[2] * y, w[2] * x - w[0] * z, w[0] * y - w[1] * x]
    for result, rate in zip(Curl(3).on(Grid(*[Axis()] * 3), (4, 4, 4))(v), w, strict=True):
        np.testing.assert_array_equal(result, np.full((4, 4, 4), 2 * rate))
    plane = Curl(2).on(Grid(Axis(), Axis(), None), (4, 4, 4))
    np.testing.assert_array_equal(plane(v[:2]), np.full((4, 4, 4), 2 * w[2]))


# --- what they refuse -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [*NAMED, Curl])
@pytest.mark.parametrize(
    ("axes", "error", "message"),
    [
        ((), ArgumentValueError, r"axes=\(\) names no axis"),
        ([], ArgumentValueError, r"axes=\(\) names no axis"),
        ((0, 1, 0), ArgumentValueError, r"axes=\(0, 1, 0\) names the same axis twice"),
        ("xy", ArgumentTypeError, "axes='xy' is not a number of axes or a sequence of axes"),
        (None, ArgumentTypeError, "axes=None is not a number of axes or a sequence of axes"),
        (2.0, ArgumentTypeError, r"axes=2\.0 is not a number of axes or a sequence of axes"),
        ({0, 1}, ArgumentTypeError, "axes={0, 1} is not a number of axes or a sequence of axes"),
        (0, ArgumentValueError, "axes=0 is not >= 1"),
        (-2, ArgumentValueError, "axes=-2 is not >= 1"),
        (True, ArgumentTypeError, "axes=True is not an integer"),
        ((0, 1.5), ArgumentTypeError, r"axis=1\.5 is not an integer"),
        ((0, "x"), ArgumentTypeError, "axis='x' is not an integer"),
        ((False, 1), ArgumentTypeError, "axis=False is not an integer"),
    ],
)
def test_what_names_no_axes_raises(make, axes, error, message):
    with pytest.raises(error, match=message):
        make(axes)


@pytest.mark.parametrize("axes", [1, 4, (2,), (0, 1, 2, 3)])
def test_a_curl_is_taken_along_two_or_three_axes(axes):
    with pytest.raises(ArgumentValueError, match="a curl is taken along 2 or 3 axes"):
        Curl(axes)


@pytest.mark.parametrize(
    ("components", "error"),
    [
        (0, ArgumentValueError),
        (-1, ArgumentValueError),
        (2.0, ArgumentTypeError),
        (True, ArgumentTypeError),
        (None, ArgumentTypeError),
        ((0, 1), ArgumentTypeError),
    ],
)
def test_components_are_counted(components, error):
    with pytest.raises(error, match="components="):
        Jacobian(2, components)


@pytest.mark.parametrize("make", [Gradient, Divergence, Curl])
def test_places_have_names(make):
    with pytest.raises(ArgumentValueError, match="to='middle' is not one of"):
        make(2, to="middle")
    with pytest.raises(ArgumentValueError, match="at='middle' is not one of"):
        make(2, at="middle")
