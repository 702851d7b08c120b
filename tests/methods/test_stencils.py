"""Staggered derivatives and averages, the identities that they obey, and stencils of one's own.

Expected values are exact fractions, published weights, or NumPy's own differences. On equal spacing
rows are checked without any rounding; where a result is rounded, the bound is that of
test_finite_difference.py: (n/2 + 5) ulps of the sum of the magnitudes of n weighted differences,
and one more for an average, which starts from a value.
"""

from fractions import Fraction
from itertools import product
from math import perm

import numpy as np
import pytest

from gradkit import (
    Antisymmetric,
    Average,
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Neumann,
    Robin,
    Stencil,
    Symmetric,
)
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.line import Line
from gradkit.methods import WALL

HALF = Fraction(1, 2)
EPS = float(np.finfo(float).eps)
PLACES = ("centre", "left", "right", "inner", "outer")


def points_at(place, centres, faces):
    """The points of an axis that a place names."""
    return {
        "centre": centres,
        "left": faces[:-1],
        "right": faces[1:],
        "inner": faces[1:-1],
        "outer": faces,
    }[place]


def uniform(spacing, size):
    """Centres about 0 and the faces between them."""
    centres = [(k - size // 2) * spacing for k in range(size)]
    return centres, [x - spacing / 2 for x in centres] + [centres[-1] + spacing / 2]


def rough(rng, size, direction):
    """Faces and centres in turn, at integer distances from 1 to 3, over 4."""
    points = np.cumsum(rng.integers(1, 4, 2 * size + 1))
    points = [Fraction(direction * int(p), 4) for p in points - points[size]]
    return points[1::2], points[::2]


def axis_of(centres, faces, **more):
    return Axis(coordinates=[float(x) for x in centres], faces=[float(x) for x in faces], **more)


def polynomial(rng, degree):
    """Integer coefficients, so that values at small binary fractions are exact; none is 0."""
    return [int(c) for c in rng.integers(1, 4, degree + 1) * rng.choice([-1, 1], degree + 1)]


def evaluate(coefficients, x, order=0):
    """The derivative of a polynomial by Horner's rule; exact for fractions."""
    value = 0 * x
    for j in range(len(coefficients) - 1, order - 1, -1):
        value = value * x + coefficients[j] * perm(j, order)
    return value


def step_of(plan):
    """The one step of a plan along one axis."""
    ((chain,),) = plan.bound.outputs
    (step,) = chain.steps
    return step


def terms(step, f):
    """Per row, the exact weighted differences that it takes of exact values."""

    def value(row, point):
        if point in WALL:
            return Fraction(step.walls[WALL.index(point)])
        return f[row + point] if point is not None else 0

    for rows in step.rule.rows:
        for i in range(rows.start, rows.stop):
            table = isinstance(rows.weights, np.ndarray)
            weights = rows.weights[:, i - rows.start] if table else rows.weights
            yield [
                Fraction(*map(int, w.as_integer_ratio()))
                * (value(i, high) - value(i, low))
                / step.rule.scale
                for (high, low), w in zip(rows.pairs, weights, strict=True)
            ]


def assert_exact(plan, f, expected):
    """Exact in every row where weights are fractions, and else, and in results, to rounding."""
    rows = list(terms(step_of(plan), f))
    if not isinstance(step_of(plan).rule.rows[0].weights, np.ndarray):
        assert [sum(row, start=Fraction(0)) for row in rows] == expected
    for value, wanted, row in zip(plan(np.array(f, float)), expected, rows, strict=True):
        bound = (Fraction(len(row), 2) + 6) * Fraction(EPS) * sum(map(abs, row))
        assert abs(Fraction(value) - wanted) <= bound


def reads(plan):
    """Per row, the numbers of the values that it uses."""
    matrix = plan.matrix("array")
    return [np.flatnonzero(row).tolist() for row in matrix]


# --- staggered derivatives and averages -----------------------------------------------------------


def staggered(order, at, to):
    return D(0, order, at=at, to=to) if order else Average(0, at=at, to=to)


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("to", PLACES)
class TestPolynomials:
    """Every row is exact up to degree order + accuracy - 1, wherever values and results lie."""

    def test_equal_spacing(self, rng, at, to):
        for order, accuracy in product(range(4), range(1, 7)):
            size = order + accuracy + 6
            centres, faces = uniform(HALF if (order + accuracy) % 2 else -HALF, size)
            coefficients = polynomial(rng, order + accuracy - 1)
            f = [evaluate(coefficients, x) for x in points_at(at, centres, faces)]
            expected = [evaluate(coefficients, x, order) for x in points_at(to, centres, faces)]
            axis = Axis(spacing=centres[1] - centres[0])
            method = FiniteDifference(accuracy)
            assert_exact(
                staggered(order, at, to).on(Grid(axis), (size,), method=method), f, expected
            )

    def test_coordinates(self, rng, at, to):
        """Every second accuracy; the neighbouring places have the others."""
        turn = PLACES.index(at) + PLACES.index(to)
        for order, accuracy in product(range(4), range(1, 7)):
            if (order + accuracy + turn) % 2:
                continue
            size = order + accuracy + 6
            centres, faces = rough(rng, size, 1 if accuracy % 3 else -1)
            coefficients = polynomial(rng, order + accuracy - 1)
            f = [evaluate(coefficients, x) for x in points_at(at, centres, faces)]
            expected = [evaluate(coefficients, x, order) for x in points_at(to, centres, faces)]
            method = FiniteDifference(accuracy)
            plan = staggered(order, at, to).on(
                Grid(axis_of(centres, faces)), (size,), method=method
            )
            assert_exact(plan, f, expected)

    def test_ends_of_another_accuracy(self, rng, at, to):
        """The rows at the ends have their own degree, higher or lower than that inside."""
        for order, edge_order in ((0, 1), (1, 1), (2, 5)):
            centres, faces = uniform(HALF, 16)
            coefficients = polynomial(rng, order + edge_order - 1)
            f = [evaluate(coefficients, x) for x in points_at(at, centres, faces)]
            plan = staggered(order, at, to).on(
                Grid(Axis(spacing=HALF)), (16,), method=FiniteDifference(4), edge_order=edge_order
            )
            rows = list(terms(step_of(plan), f))
            places = points_at(to, centres, faces)
            for i in (0, -1):
                assert sum(rows[i]) == evaluate(coefficients, places[i], order)


@pytest.mark.parametrize(
    ("order", "accuracy", "weights"),
    [
        # B. Fornberg, Math. Comp. 51 (1988), table 2: centred half way
        (0, 2, [1 / 2, 1 / 2]),
        (0, 4, [-1 / 16, 9 / 16, 9 / 16, -1 / 16]),
        (1, 2, [-1, 1]),
        (1, 4, [1 / 24, -27 / 24, 27 / 24, -1 / 24]),
        (1, 6, [-9 / 1920, 125 / 1920, -2250 / 1920, 2250 / 1920, -125 / 1920, 9 / 1920]),
        (2, 2, [1 / 2, -1 / 2, -1 / 2, 1 / 2]),
        (3, 2, [-1, 3, -3, 1]),
    ],
)
@pytest.mark.parametrize(("at", "to"), [("centre", "inner"), ("outer", "centre")])
def test_rows_inside_take_the_published_weights_half_way(order, accuracy, weights, at, to):
    plan = staggered(order, at, to).on(Grid(Axis()), (12,), method=FiniteDifference(accuracy))
    # result 5 lies between the values 5 and 6
    reach = len(weights) // 2
    row = plan.matrix("array")[5]
    assert row[6 - reach : 6 + reach].tolist() == pytest.approx(weights, rel=EPS)
    assert np.count_nonzero(row) == len(weights)
    # an odd accuracy is served by the next even one
    lower = staggered(order, at, to).on(Grid(Axis()), (12,), method=FiniteDifference(accuracy - 1))
    np.testing.assert_array_equal(lower.matrix("array")[5], row)


def test_two_neighbours_are_what_numpy_takes(rng):
    """The first derivative and the average between neighbours, whatever their distances."""
    f = rng.integers(-100, 100, 9) / 4
    x = np.cumsum(rng.integers(1, 4, 9)) / 2
    grid = Grid(Axis(spacing=0.25))
    assert D(0, to="inner").on(grid, (9,))(f).tolist() == (np.diff(f) * 4).tolist()
    assert Average(0, to="inner").on(grid, (9,))(f).tolist() == ((f[1:] + f[:-1]) / 2).tolist()
    # with accuracy 1 on coordinates, too, as finite volumes do: one rounding in the weights
    # (quotients by the distances), one in the product
    finite_volumes = FiniteDifference(1)
    grid = Grid(Axis(coordinates=x))
    slopes = D(0, to="inner").on(grid, (9,), method=finite_volumes)(f)
    assert slopes == pytest.approx(np.diff(f) / np.diff(x), rel=2 * EPS, abs=0)
    faces = np.concatenate([[x[0] - 1], x[:-1] + np.diff(x) / 4, [x[-1] + 2]])
    grid = Grid(Axis(coordinates=x, faces=faces))
    fluxes = rng.integers(-100, 100, 10) / 4
    divergence = D(0, at="outer", to="centre").on(grid, (9,), method=finite_volumes)(fluxes)
    assert divergence == pytest.approx(np.diff(fluxes) / np.diff(faces), rel=2 * EPS, abs=0)


def test_left_and_right_faces_of_a_periodic_axis(rng):
    f = rng.integers(-100, 100, 8) / 4
    grid = Grid(Axis(spacing=0.5, boundary="periodic"))
    for to, before, after in (("left", np.roll(f, 1), f), ("right", f, np.roll(f, -1))):
        assert D(0, to=to).on(grid, (8,))(f).tolist() == ((after - before) * 2).tolist()
        assert Average(0, to=to).on(grid, (8,))(f).tolist() == ((after + before) / 2).tolist()
    back = D(0, at="left", to="centre").on(grid, (8,))(f)
    assert back.tolist() == ((np.roll(f, -1) - f) * 2).tolist()
    across = D(0, at="left", to="right").on(grid, (8,))(f)  # centred about the right face
    assert across.tolist() == (np.roll(f, -2) - f).tolist()


@pytest.mark.parametrize(("at", "to"), [("centre", "left"), ("right", "centre"), ("left", "right")])
@pytest.mark.parametrize(("boundary", "sign"), [("periodic", 1), ("antiperiodic", -1)])
@pytest.mark.parametrize("order", range(4))
def test_rows_of_a_wrapping_axis_are_those_of_the_sequence_continued(
    rng, order, at, to, boundary, sign
):
    size = 9
    f = rng.normal(size=size)
    long = np.concatenate([sign * f, f, sign * f])
    centres, faces = rough(rng, size, 1)
    period = faces[-1] - faces[0]
    centres, faces = np.array(centres, float), np.array(faces, float)
    turns = float(period) * np.array([[-1], [0], [1]])
    wrapped = Axis(coordinates=centres, faces=faces, boundary=boundary, period=float(period))
    whole = Axis(
        coordinates=(turns + centres).ravel(),
        faces=np.append((turns + faces[:-1]).ravel(), faces[-1] + float(period)),
    )
    for accuracy in range(1, 6):
        for short, extended in (
            (Axis(spacing=0.25, boundary=boundary), Axis(spacing=0.25)),
            (wrapped, whole),
        ):
            method = FiniteDifference(accuracy)
            operator = staggered(order, at, to)
            result = operator.on(Grid(short), (size,), method=method)(f)
            wanted = operator.on(Grid(extended), (3 * size,), method=method)(long)
            np.testing.assert_array_equal(result, wanted[size : 2 * size], strict=True)


CONSTANTS = (300.1, 1013.25, 1e30, -0.1, 1 / 3, 0.0)


@pytest.mark.parametrize("accuracy", [1, 2, 3, 4])
@pytest.mark.parametrize("to", PLACES[1:])
class TestConstants:
    size = 12

    def axes(self, rng, to):
        x = np.cumsum(rng.uniform(0.5, 1.5, self.size))
        yield from (Axis(spacing=0.1), Axis(coordinates=x), Axis(coordinates=-x))
        if to in ("left", "right"):
            yield Axis(spacing=0.1, boundary="periodic")
            yield Axis(coordinates=x, boundary="periodic", period=20.0)

    def constants(self, shape):
        for constant, dtype in product(CONSTANTS, ("float32", "float64")):
            yield np.full(shape, constant, dtype)

    def test_averages_keep_them(self, rng, to, accuracy):
        for axis in self.axes(rng, to):
            for at, towards in (("centre", to), (to, "centre")):
                plan = Average(0, at=at, to=towards).on(
                    Grid(axis), (self.size,), method=FiniteDifference(accuracy)
                )
                for f in self.constants(plan.input_shape):
                    result = plan(f)
                    assert result.dtype == f.dtype
                    assert (result == f[0]).all()

    def test_derivatives_of_them_are_0(self, rng, to, accuracy):
        x = np.cumsum(rng.uniform(0.5, 1.5, self.size))
        mirrors = [{"spacing": 0.1}, {"coordinates": x}]
        mirrors = [Axis(**where, boundary=Symmetric()) for where in mirrors]
        for axis in (*self.axes(rng, to), *mirrors):
            plan = D(0, to=to).on(Grid(axis), (self.size,), method=FiniteDifference(accuracy))
            for f in self.constants(plan.input_shape):
                assert (plan(f) == 0).all()


@pytest.mark.parametrize("place", PLACES)
def test_an_average_from_a_place_to_itself_changes_nothing(place):
    for accuracy in (1, 2, 5):
        for axis in (Axis(), Axis(coordinates=np.arange(9) ** 2)):
            plan = Average(0, at=place, to=place).on(
                Grid(axis), (9,), method=FiniteDifference(accuracy)
            )
            # on coordinates the other weights are 0 to the rounding of longdouble
            atol = 0 if axis.uniform_spacing else EPS
            wanted = np.eye(*plan.output_shape)
            np.testing.assert_allclose(plan.matrix("array"), wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("accuracy", [3, 4])
@pytest.mark.parametrize("axis", [Axis(), Axis(coordinates=np.arange(9) ** 2)], ids=repr)
def test_an_average_starts_from_the_nearest_values(axis, accuracy):
    """Half of each neighbour, and differences: rounding does not follow values far away."""
    plan = Average(0, to="inner").on(Grid(axis), (9,), method=FiniteDifference(accuracy))
    inside = next(rows for rows in step_of(plan).rule.rows if rows.start <= 4 < rows.stop)
    halves = {(0, None): HALF, (1, None): HALF}
    assert {
        pair: float(np.ravel(w)[0]) for pair, w in pairs_of(inside) if pair[1] is None
    } == halves
    assert all(low is not None for (high, low), _ in pairs_of(inside)[2:])
    if axis.uniform_spacing is not None:
        # (-f[-1] + 9 f[0] + 9 f[1] - f[2]) / 16
        differences = {(0, -1): Fraction(1, 16), (2, 1): Fraction(-1, 16)}
        assert dict(pairs_of(inside)) == halves | differences


def pairs_of(rows):
    return list(zip(rows.pairs, rows.weights, strict=True))


@pytest.mark.parametrize(
    ("at", "to"), [("centre", "inner"), ("outer", "centre"), ("centre", "outer")]
)
@pytest.mark.parametrize("order", range(4))
def test_reversed_data_on_reversed_coordinates_give_reversed_results(rng, order, at, to):
    """The windows that stencils take on coordinates lean to neither side."""
    centres, faces = rough(rng, 14, 1)
    for accuracy in range(1, 6):
        forward, backward = (
            staggered(order, at, to).on(
                Grid(axis_of(c, f)), (14,), method=FiniteDifference(accuracy)
            )
            for c, f in ((centres, faces), (centres[::-1], faces[::-1]))
        )
        matrix = backward.matrix("array")
        # weights of a recursion in longdouble, whose steps come in another order
        np.testing.assert_allclose(
            matrix[::-1, ::-1], forward.matrix("array"), rtol=0, atol=4 * EPS * abs(matrix).max()
        )


@pytest.mark.parametrize(
    ("kind", "at", "wall", "sides"),
    [
        # values on the wall itself, half a spacing from it, and a whole one
        (Symmetric, "outer", "face", (0, 1)),
        (Antisymmetric, "outer", "face", (0, 1)),
        (Symmetric, "inner", "sample", (0, 1)),
        (Antisymmetric, "inner", "sample", (0, 1)),
        (Antisymmetric, "inner", "face", (0, 1)),
        (Symmetric, "left", "face", (0,)),
        (Antisymmetric, "left", "face", (0, 1)),
        (Symmetric, "right", "face", (1,)),
        (Antisymmetric, "right", "face", (0, 1)),
        (Symmetric, "left", "sample", (1,)),
        (Symmetric, "right", "sample", (0,)),
    ],
)
def test_fields_at_faces_are_reflected_about_walls(rng, kind, at, wall, sides):
    """Exact on polynomials that are even or odd about the wall."""
    for side, order, accuracy in product(sides, range(3), (1, 2, 3, 4)):
        size = order + accuracy + 6
        for direction, grid in ((-1, uniform(-HALF, size)), (1, rough(rng, size, 1))):
            centres, faces = grid
            assert (centres[1] > centres[0]) == (direction == 1)
            place = (faces if wall == "face" else centres)[-side]
            parity = 0 if kind is Symmetric else 1
            coefficients = [
                c if j % 2 == parity else 0
                for j, c in enumerate(polynomial(rng, order + accuracy - 1))
            ]
            boundary = (kind(at=wall), "one-sided")[:: -1 if side else 1]
            plan = staggered(order, at, "centre").on(
                Grid(axis_of(centres, faces, boundary=boundary)),
                (size,),
                method=FiniteDifference(accuracy),
            )
            f = [evaluate(coefficients, x - place) for x in points_at(at, centres, faces)]
            expected = [evaluate(coefficients, x - place, order) for x in centres]
            assert_exact(plan, f, expected)


# --- convergence ----------------------------------------------------------------------------------
#
# f has degree order + accuracy and so a constant derivative of that order, which leads the error: a
# power of the spacing on equal spacing, and nothing else. On a stretched grid, the change of the
# spacing along one stencil bends the slope in proportion to the spacing.

SIZES = np.array([41, 57, 81, 113])


@pytest.mark.parametrize("stretching", [0, 0.1])
@pytest.mark.parametrize(
    ("at", "to"),
    [("centre", "inner"), ("centre", "outer"), ("outer", "centre"), ("inner", "centre")],
)
def test_errors_of_staggered_rows_converge_with_the_accuracy(at, to, stretching):
    for order, accuracy in ((0, 2), (0, 4), (1, 2), (1, 3), (1, 4), (2, 2), (2, 4)):
        errors = []
        for size in SIZES if not stretching else 2 * SIZES:
            points = np.arange(2 * size + 1, dtype=np.longdouble) / (2 * size)
            points = points + stretching * np.sin(2 * np.pi * points)
            axis = (
                Axis(coordinates=points[1::2], faces=points[::2])
                if stretching
                else Axis(spacing=points[2])
            )
            coefficients = [1] * (order + accuracy + 1)
            method = FiniteDifference(accuracy)
            plan = staggered(order, at, to).on(Grid(axis), (int(size),), method=method)
            result = plan(evaluate(coefficients, points_at(at, points[1::2], points[::2])))
            exact = evaluate(coefficients, points_at(to, points[1::2], points[::2]), order)
            errors.append(abs(result - exact).max())
        slope = np.polyfit(-np.log(SIZES), np.log(np.array(errors, float)), 1)[0]
        assert slope == pytest.approx(accuracy, abs=0.1 if stretching else 0.001)


# --- identities -----------------------------------------------------------------------------------


def rounded_zero(second, first, inputs):
    """The largest of what two plans, one after the other, may leave of 0.

    The plans add products of at most 20 terms, each with 3 roundings and 20 sums.
    """
    sizes = first.magnitude([abs(f) for f in inputs] if len(inputs) > 1 else abs(inputs[0]))
    sizes = second.magnitude(list(sizes))
    return [2 * 40 * EPS * size for size in (sizes if isinstance(sizes, tuple) else (sizes,))]


def applied(second, first, inputs):
    results = second(list(first(inputs if len(inputs) > 1 else inputs[0])))
    return results if isinstance(results, tuple) else (results,)


def axes_for(rng, ndim, kind):
    """Axes of different spacings, or of coordinates with faces, that wrap or end."""
    shape = (8, 9, 10)[:ndim]
    if kind == "periodic":
        return shape, [Axis(spacing=0.5 + i, boundary="periodic") for i in range(ndim)]
    if kind == "one-sided":
        return shape, [Axis(spacing=0.5 + i) for i in range(ndim)]
    grids = [rough(rng, n, 1) for n in shape]
    if kind == "coordinates":
        return shape, [axis_of(*g) for g in grids]
    return shape, [axis_of(c, f, boundary="periodic", period=float(f[-1] - f[0])) for c, f in grids]


#: The kinds of axes, and the places between which derivatives go there.
COMPLEXES = [
    ("periodic", "centre", "left"),
    ("periodic", "right", "centre"),
    ("periodic coordinates", "centre", "right"),
    ("one-sided", "centre", "inner"),
    ("one-sided", "outer", "centre"),
    ("coordinates", "centre", "inner"),
    ("coordinates", "outer", "centre"),
]


@pytest.mark.parametrize(("kind", "at", "to"), COMPLEXES)
@pytest.mark.parametrize("ndim", [2, 3])
def test_the_curl_of_a_gradient_is_0(rng, ndim, kind, at, to):
    shape, axes = axes_for(rng, ndim, kind)
    for accuracy in (1, 2, 4):
        options = {"method": FiniteDifference(accuracy)}
        first = Gradient(ndim, at=at, to=to).on(Grid(*axes), shape, **options)
        second = Curl(ndim, at=at, to=to).on(Grid(*axes), shape, **options)
        assert first.output_shapes == second.input_shapes
        inputs = [rng.normal(size=first.input_shape)]
        assert abs(first(inputs[0])[0]).max() > 0.1
        bounds = rounded_zero(second, first, inputs)
        for result, bound in zip(applied(second, first, inputs), bounds, strict=True):
            assert result.size > 0
            assert (abs(result) <= bound).all()


@pytest.mark.parametrize(("kind", "at", "to"), COMPLEXES)
def test_the_divergence_of_a_curl_is_0(rng, kind, at, to):
    shape, axes = axes_for(rng, 3, kind)
    for accuracy in (1, 2, 4):
        options = {"method": FiniteDifference(accuracy)}
        first = Curl(3, at=at, to=to).on(Grid(*axes), shape, **options)
        second = Divergence(3, at=at, to=to).on(Grid(*axes), shape, **options)
        assert first.output_shapes == second.input_shapes
        inputs = [rng.normal(size=shape) for shape in first.input_shapes]
        bounds = rounded_zero(second, first, inputs)
        assert (abs(applied(second, first, inputs)[0]) <= bounds[0]).all()


def test_the_identities_fail_where_places_do_not_fit(rng):
    """So that the tests above mean something: left after right is no identity of calculus."""
    shape, axes = axes_for(rng, 2, "periodic")
    f = rng.normal(size=shape)
    gx, gy = D(0, to="left"), D(1, to="right")
    slopes = [operator.on(Grid(*axes), shape)(f) for operator in (gx, gy)]
    curl = Curl(2, to="left").on(Grid(*axes), shape)(slopes)
    assert abs(curl).max() > 0.1


@pytest.mark.parametrize("accuracy", [2, 4, 6, 8])
@pytest.mark.parametrize("shape", [(20,), (9, 10), (8, 9, 10)])
def test_minus_the_divergence_is_the_adjoint_of_the_gradient_between_mirrors(rng, shape, accuracy):
    """A symmetric pressure, an antisymmetric flux: nothing passes the walls."""
    ndim, method = len(shape), FiniteDifference(accuracy)
    pressure, flux = (
        Grid(*(Axis(spacing=0.5 + i, boundary=end) for i in range(ndim)))
        for end in (Symmetric(), Antisymmetric())
    )
    gradient = Gradient(ndim, to="inner").on(pressure, shape, method=method)
    divergence = Divergence(ndim, at="inner", to="centre").on(flux, shape, method=method)
    if ndim == 1:
        # entry by entry, without any rounding
        np.testing.assert_array_equal(divergence.matrix("array"), -gradient.matrix("array").T)
    difference = (divergence.matrix() + gradient.matrix().T).tocoo()
    assert not difference.data.any()
    # and as plans: the same products, added in another order
    fluxes = [rng.normal(size=s) for s in divergence.input_shapes]
    given = fluxes if ndim > 1 else fluxes[0]
    size = divergence.magnitude([abs(u) for u in fluxes] if ndim > 1 else abs(fluxes[0]))
    assert (abs(divergence(given) + gradient.T(given)) <= 2 * 40 * EPS * size).all()


@pytest.mark.parametrize("accuracy", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("face", ["left", "right"])
def test_minus_the_divergence_is_the_adjoint_of_the_gradient_all_around(face, accuracy):
    for boundary in ("periodic", "antiperiodic"):
        grid = Grid(*(Axis(spacing=0.5 + i, boundary=boundary) for i in range(2)))
        method = FiniteDifference(accuracy)
        gradient = Gradient(2, to=face).on(grid, (9, 10), method=method)
        divergence = Divergence(2, at=face, to="centre").on(grid, (9, 10), method=method)
        assert not (divergence.matrix() + gradient.matrix().T).tocoo().data.any()


@pytest.mark.parametrize("shape", [(3,), (20,), (5, 6), (4, 5, 6)])
def test_minus_the_divergence_of_no_flux_through_walls_is_the_adjoint_of_the_inner_gradient(shape):
    """Nothing is said of the pressure; the flux at the walls is 0."""
    ndim = len(shape)
    free = Grid(*(Axis(spacing=0.5 + i) for i in range(ndim)))
    closed = Grid(*(Axis(spacing=0.5 + i, boundary=Dirichlet(0)) for i in range(ndim)))
    gradient = Gradient(ndim, to="inner").on(free, shape)
    divergence = Divergence(ndim, at="inner", to="centre").on(closed, shape, edge_order=1)
    assert not (divergence.matrix() + gradient.matrix().T).tocoo().data.any()
    # all that leaves one cell enters another one
    assert abs(divergence.matrix("array").sum(axis=0)).max() == 0


def test_minus_the_divergence_is_the_adjoint_for_volumes_as_weights(rng):
    """On coordinates <p, div u> = -<grad p, u>, each sum weighted with what its points stand for.

    With accuracy 1, entries of the divergence are 1 / volume, those of the gradient 1 / distance,
    both rounded once; times the volume or distance, rounded once more, they are 1 within 1 ulp.
    """
    centres, faces = rough(rng, 12, 1)
    method = FiniteDifference(1)
    volumes, distances = np.diff(np.array(faces, float)), np.diff(np.array(centres, float))
    gradient = D(0, to="inner").on(Grid(axis_of(centres, faces)), (12,), method=method)
    closed = axis_of(centres, faces, boundary=Dirichlet(0))
    divergence = D(0, at="inner", to="centre").on(Grid(closed), (12,), method=method)
    left = volumes[:, np.newaxis] * divergence.matrix("array")
    right = distances[:, np.newaxis] * gradient.matrix("array")
    np.testing.assert_allclose(left, -right.T, rtol=0, atol=2 * EPS)
    assert np.count_nonzero(left) == 2 * 11


def test_a_pressure_known_at_the_walls_has_the_adjoint_of_a_flux_through_all_faces(rng):
    """The outermost gradients reach from the end sample to the wall: that is their distance."""
    centres, faces = rough(rng, 12, -1)
    method = FiniteDifference(1)
    known = axis_of(centres, faces, boundary=Dirichlet(0))
    volumes = np.diff(np.array(faces, float))
    ends = [centres[0] - faces[0], *np.diff(centres), faces[-1] - centres[-1]]
    gradient = D(0, to="outer").on(Grid(known), (12,), method=method)
    divergence = D(0, at="outer", to="centre").on(
        Grid(axis_of(centres, faces)), (12,), method=method
    )
    left = volumes[:, np.newaxis] * divergence.matrix("array")
    right = np.array(ends, float)[:, np.newaxis] * gradient.matrix("array")
    np.testing.assert_allclose(left, -right.T, rtol=0, atol=2 * EPS)
    assert np.count_nonzero(left) == 2 * 12


# --- stencils of one's own ------------------------------------------------------------------------

OWN = [
    Stencil((-1, 0), 1),
    Stencil((0, 1), 1),
    Stencil((-2, -1, 0), 1),
    Stencil((-2, -1, 0, 1), 1),
    Stencil((-3, 0, 1), 1),
    Stencil((0, 1, 2, 3), 2),
    Stencil((-2, 1, 2), 2),
    Stencil((-1, 0, 1, 2, 3), 3),
    Stencil((3, 4), 1),
]


def own(stencil, **places):
    return D(0, stencil.order, stencil=stencil, **places)


@pytest.mark.parametrize("stencil", OWN, ids=lambda s: f"{s.order}:{s.offsets}")
class TestOwnStencils:
    """Rows where a stencil fits take its points alone, and are exact on the degree they settle."""

    def fitting(self, stencil, size):
        low, high = min(stencil.offsets), max(stencil.offsets)
        return range(max(-int(low), 0), size - max(int(high), 0))

    @pytest.mark.parametrize(
        "boundary",
        ["one-sided", Neumann, lambda v: Robin(1, 2, v), lambda v: Dirichlet(v, at=0.75)],
        ids=["one-sided", "Neumann", "Robin", "Dirichlet"],
    )
    def test_bounded_axes(self, rng, stencil, boundary):
        size = 16
        degree = len(stencil.offsets) - 1
        for direction in (1, -1):
            for centres, faces in (uniform(direction * HALF, size), rough(rng, size, direction)):
                coefficients = polynomial(rng, degree)
                ends = boundary
                if boundary != "one-sided":
                    ends = []
                    for side in (0, 1):
                        outward = direction * (1 if side else -1)
                        place = faces[-side]
                        if getattr(boundary(0), "at", "face") != "face":
                            place = centres[-side] + outward * Fraction(3, 4)
                        kind = boundary(0)
                        value = kind.a * evaluate(coefficients, place)
                        value += kind.b * outward * evaluate(coefficients, place, 1)
                        ends.append(boundary(float(value)))
                plan = own(stencil).on(Grid(axis_of(centres, faces, boundary=ends)), (size,))
                f = [evaluate(coefficients, x) for x in centres]
                expected = [evaluate(coefficients, x, stencil.order) for x in centres]
                assert_exact(plan, f, expected)
                used = reads(plan)
                for i in self.fitting(stencil, size):
                    assert used[i] == sorted(i + int(k) for k in stencil.offsets)

    @pytest.mark.parametrize(("boundary", "sign"), [("periodic", 1), ("antiperiodic", -1)])
    def test_wrapping_axes(self, rng, stencil, boundary, sign):
        size = 9
        f = [int(v) for v in rng.integers(-50, 50, size)]
        centres, faces = rough(rng, size, 1)
        period = float(faces[-1] - faces[0])
        uneven = axis_of(centres, faces, boundary=boundary, period=period)
        even = Axis(spacing=0.5, boundary=boundary)
        # in fractions: the polynomial through the points that the stencil names, differentiated
        for axis, where in ((even, lambda i: i * HALF), (uneven, None)):
            result = own(stencil).on(Grid(axis), (size,))(np.array(f, float))
            for i in range(size):
                taken = [i + int(k) for k in stencil.offsets]
                if where is None:
                    nodes = [
                        centres[j % size] + (j // size) * Fraction(period) - centres[i]
                        for j in taken
                    ]
                else:
                    nodes = [where(j - i) for j in taken]
                values = [f[j % size] * sign ** abs(j // size) for j in taken]
                shares = lagrange_derivative(nodes, stencil.order)
                products = [w * v for w, v in zip(shares, values, strict=True)]
                # at most 5 points, so 4 differences: products, weights and sums below 12 roundings
                # of the magnitudes, which differences of neighbours at most double
                bound = 12 * EPS * 2 * sum(abs(w) for w in shares) * max(map(abs, values))
                assert abs(Fraction(result[i]) - sum(products)) <= bound

    def test_constants_give_exactly_0(self, stencil):
        for constant in (300.1, -0.1, 1e30):
            f = np.full(16, constant)
            for axis in (
                Axis(spacing=0.1),
                Axis(spacing=0.1, boundary="periodic"),
                Axis(coordinates=np.arange(16) ** 1.5),
                Axis(spacing=0.1, boundary=Dirichlet(constant)),
            ):
                assert (own(stencil).on(Grid(axis), (16,))(f) == 0).all()


def lagrange_derivative(nodes, order):
    """Weights of the derivative at 0 of the polynomials that are 1 at one node, 0 at the others."""
    weights = []
    for i, node in enumerate(nodes):
        coefficients = [Fraction(1)]
        for j, other in enumerate(nodes):
            if j != i:
                raised = [Fraction(0), *coefficients]
                coefficients = [
                    (a - other * b) / (node - other)
                    for a, b in zip(raised, [*coefficients, Fraction(0)], strict=True)
                ]
        weights.append(perm(order, order) * coefficients[order])
    return weights


def test_an_upwind_difference_takes_what_comes_with_the_wind():
    f = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    upwind = D(0, stencil=Stencil((-1, 0), 1))
    assert upwind.on(Grid(Axis(spacing=0.5)), (5,))(f).tolist() == [2, 2, 4, 8, 16]
    around = upwind.on(Grid(Axis(spacing=0.5, boundary="periodic")), (5,))(f)
    assert around.tolist() == [-30, 2, 4, 8, 16]
    inflow = Axis(spacing=0.5, boundary=(Dirichlet(3.0, at="next"), "one-sided"))
    assert upwind.on(Grid(inflow), (5,))(f).tolist() == [-4, 2, 4, 8, 16]
    # from the mirror image, half a spacing beyond the face
    for end, first in ((Symmetric(), 0), (Antisymmetric(), 4)):
        mirrored = Axis(spacing=0.5, boundary=(end, "one-sided"))
        assert upwind.on(Grid(mirrored), (5,))(f).tolist() == [first, 2, 4, 8, 16]


def test_a_stencil_of_ones_own_brings_its_accuracy_to_the_rows_where_it_does_not_fit():
    """Three points at both ends, whatever the method; two with ``edge_order=1``."""
    plan = D(0, stencil=Stencil((-2, -1, 0), 1)).on(Grid(Axis()), (9,), method=FiniteDifference(8))
    # the middle one of three points has the weight 0 in row 1
    assert reads(plan) == [[0, 1, 2], [0, 2], *([i - 2, i - 1, i] for i in range(2, 9))]
    lower = D(0, stencil=Stencil((-2, -1, 0), 1)).on(Grid(Axis()), (9,), edge_order=1)
    assert reads(lower) == [[0, 1], [0, 1], *([i - 2, i - 1, i] for i in range(2, 9))]


def test_stencils_half_way_go_with_staggered_results(rng):
    """Three times the spacing between the two values, about each face."""
    wide = Stencil((-1.5, 1.5), 1)
    f = rng.integers(-50, 50, 9) * 3.0
    plan = D(0, stencil=wide, to="inner").on(Grid(Axis(spacing=0.5)), (9,))
    assert plan(f)[1:-1].tolist() == ((f[3:] - f[:-3]) / 1.5).tolist()
    x = np.cumsum(rng.integers(1, 4, 9)) / 2
    plan = D(0, stencil=wide, to="inner").on(Grid(Axis(coordinates=x)), (9,))
    # weights and products rounded once each
    wanted = (f[3:] - f[:-3]) / (x[3:] - x[:-3])
    assert plan(f)[1:-1] == pytest.approx(wanted, rel=2 * EPS, abs=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"stencil": (-1, 0)}, ArgumentTypeError, r"stencil=\(-1, 0\) is not a Stencil"),
        (
            {"stencil": Stencil((-1, 0, 1), 2)},
            ArgumentValueError,
            "order=1, but the stencil is one of order 2",
        ),
    ],
)
def test_what_is_not_a_stencil_of_the_order_raises(arguments, error, message):
    with pytest.raises(error, match=message):
        D(0, **arguments)


def test_a_method_refuses_a_stencil_of_another_order():
    with pytest.raises(ArgumentValueError, match=r"stencil of order 2 was given for a .* order 1"):
        FiniteDifference().rule(1, Line(Axis(), 9), None, Stencil((-1, 0, 1), 2))


@pytest.mark.parametrize("axis", [Axis(), Axis(coordinates=np.arange(9) ** 2)], ids=repr)
@pytest.mark.parametrize("offsets", [(-0.5, 0.5), (Fraction(-1, 3), 0, 1)], ids=str)
def test_offsets_between_the_samples_raise(axis, offsets):
    with pytest.raises(ArgumentValueError, match="has offsets that lie between the samples here"):
        D(0, stencil=Stencil(offsets, 1)).on(Grid(axis), (9,))


def test_a_wrapping_axis_is_as_long_as_the_stencil_with_its_centre():
    stencil = D(0, stencil=Stencil((-3, -2), 1))
    grid = Grid(Axis(boundary="periodic"))
    assert stencil.on(grid, (4,))(np.array([0.0, 1.0, 5.0, 7.0])).tolist() == [4, 2, -7, 1]
    with pytest.raises(ArgumentValueError, match=r"axis 0 has 3 points.* needs at least 4"):
        stencil.on(grid, (3,))


def test_axis_too_short_for_mirror_images_on_coordinates():
    axis = Axis(coordinates=[0.0, 1.0, 2.2], boundary=Antisymmetric())
    with pytest.raises(ArgumentValueError, match="axis 0 has 3 points"):
        D(0, 4).on(Grid(axis), (3,), method=FiniteDifference(4))


@pytest.mark.parametrize(
    ("first", "last", "size"), [(-3, 0, 3), (-4, 0, 6), (-7, 0, 12), (0, 4, 6), (-1, 3, 4)]
)
def test_stencils_that_lean_are_used_where_they_fit_and_nowhere_else(first, last, size):
    """Elsewhere a row takes as many points at the nearer end, or at the end it leans away from."""
    stencil = Stencil(range(first, last + 1), 1)
    grid, powers = Grid(Axis()), [np.arange(size) ** n for n in (0, 1)]
    plan = D(0, stencil=stencil).on(grid, (size,), edge_order=1)
    for f, wanted in zip(powers, ([0] * size, [1] * size), strict=True):
        np.testing.assert_array_equal(plan(f), wanted)
    matrix = plan.matrix("array")
    wanted = dict(zip(stencil.offsets, map(float, stencil.weights), strict=True))
    for row in range(max(-first, 0), size - max(last, 0)):
        found = {Fraction(c - row): matrix[row, c] for c in range(size) if matrix[row, c]}
        assert found == wanted


def test_two_points_are_taken_only_where_all_faces_lie_midway():
    """One centre off the middle of its cell takes two points away from all: they would be O(h)."""
    faces = np.arange(6.0)
    for first in (0.3, 0.5):
        centres = np.array([first, 1.5, 2.5, 3.5, 4.5])
        grid = Grid(Axis(coordinates=centres, faces=faces))
        plan = D(0, at="outer", to="centre").on(grid, (5,))
        np.testing.assert_allclose(plan(faces**2), 2 * centres, atol=1e-14)
        assert (plan.halo == (1,)) == (first == 0.5)
        ring = Grid(Axis(coordinates=centres, faces=faces, boundary="periodic", period=5.0))
        reach = D(0, at="left", to="centre").on(ring, (5,)).halo
        assert (reach == (1,)) == (first == 0.5)


def test_own_stencils_know_their_accuracy_on_coordinates():
    x = np.array([0.0, 1.0, 3.0, 4.0, 7.0, 8.0])
    plan = D(0, 2, stencil=Stencil((-1, 0, 1), 2)).on(Grid(Axis(coordinates=x)), (6,))
    assert "+ O(h^1)" in plan.explain()
    assert "O(h^2)" not in plan.explain()
    np.testing.assert_allclose(plan(x**2), 2, rtol=1e-13)
    assert abs(plan(x**3) - 6 * x).max() > 1


def exact_slopes(points, row):
    """Weights of the slope at a row of the parabola through it and its neighbours."""
    before, here, after = (Fraction(float(x)) for x in points[row - 1 : row + 2])
    left, right = here - before, after - here
    return right / left / (left + right), left / right / (left + right)


@pytest.mark.parametrize(
    "steps",
    [
        lambda rng: rng.uniform(0.5, 1.5, 50),
        lambda rng: 10.0 ** rng.uniform(-8, 8, 50),
        lambda rng: -rng.uniform(0.5, 1.5, 50) * 1e-150,
        lambda rng: rng.uniform(0.5, 1.5, 50) * 1e280,
    ],
)
def test_slopes_of_three_points_have_weights_to_a_few_roundings(rng, steps):
    """Each distance, their sum and two quotients are rounded once: at most 3 eps together."""
    points = np.cumsum(steps(rng))
    rule = FiniteDifference().rule(1, Line(Axis(coordinates=points), len(points)))
    (inner,) = (rows for rows in rule.rows if rows.stop - rows.start > 1)
    assert inner.pairs == ((0, -1), (1, 0))
    for row in range(inner.start, inner.stop):
        for weight, wanted in zip(
            inner.weights[:, row - 1], exact_slopes(points, row), strict=True
        ):
            found = Fraction(*weight.as_integer_ratio()) / rule.scale
            assert abs(found - wanted) <= 3 * Fraction(EPS) * abs(wanted)


def test_many_rows_on_coordinates_are_those_of_parts(rng):
    """Weights are computed for some thousand rows at a time."""
    points = np.cumsum(rng.uniform(0.5, 1.5, 30001))
    plan = D(0).on(Grid(Axis(coordinates=points)), points.shape)
    assert np.abs(plan(points**2) - 2 * points)[1:-1].max() <= 1e-10 * points[-1]
    for order in (1, 2):
        for accuracy in (2, 4):
            of = {"method": FiniteDifference(accuracy)}
            whole = (D(0) ** order).on(Grid(Axis(coordinates=points)), points.shape, **of)
            part = (D(0) ** order).on(Grid(Axis(coordinates=points[8100:8300])), (200,), **of)
            f = np.sin(points)
            assert np.array_equal(whole(f)[8110:8290], part(f[8100:8300])[10:-10])


def test_intervals_too_small_for_their_inverse_give_no_nan():
    points = np.array([0.0, 5e-324, 1.0, 2.5, 3.0, 4.0])
    plan = D(0).on(Grid(Axis(coordinates=points)), (6,))
    assert np.array_equal(plan(np.full(6, 7.0)), np.zeros(6))
    assert not np.isnan(plan(points)).any()
