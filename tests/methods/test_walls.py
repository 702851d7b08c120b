"""Conditions at walls: exactness, convergence, what walls add, arrays along them, errors.

Expected values are exact fractions or analytic derivatives of polynomials. A row near a wall is
exact on polynomials of degree ``order + edge_order - 1`` that obey the condition; on equal spacing
that is checked without any rounding. Where a result is rounded, the bound follows from the
arithmetic: n weighted differences, each of a rounded difference (1/2 ulp), times a rounded weight
(1/2), rounded (1/2), in a sum of n terms ((n - 1)/2), over up to three rounded divisors (3), which
is less than (n/2 + 4) ulps of the sum of the magnitudes; weights on coordinates add up to one more.
"""

import re
from fractions import Fraction
from math import perm

import numpy as np
import pytest

from gradkit import (
    Antisymmetric,
    Average,
    Axis,
    D,
    Dirichlet,
    FiniteDifference,
    Grid,
    Laplacian,
    Neumann,
    Robin,
    Symmetric,
    derivative,
    gradient,
    laplacian,
    operator_from_offsets,
)
from gradkit.errors import ArgumentTypeError, ArgumentValueError, UnsupportedError
from gradkit.methods import WALL

HALF = Fraction(1, 2)
PLACES = ("face", "sample", "next", 0.75)

#: Factors of f and of its derivative along the outward normal.
FACTORS = {Dirichlet: (1, 0), Neumann: (0, 1), Robin: (2, HALF)}


# --- polynomials ----------------------------------------------------------------------------------


def polynomial(rng, degree):
    """Integer coefficients, so that values at small binary fractions are exact; none is 0."""
    return [int(c) for c in rng.integers(1, 4, degree + 1) * rng.choice([-1, 1], degree + 1)]


def evaluate(coefficients, x, order=0):
    """The derivative of a polynomial by Horner's rule; exact for fractions."""
    value = 0 * x
    for j in range(len(coefficients) - 1, order - 1, -1):
        value = value * x + coefficients[j] * perm(j, order)
    return value


# --- axes, walls and what is stated there ---------------------------------------------------------


def uniform(spacing, size):
    """Centres about 0 and the faces between them."""
    first = -(size // 2) * spacing
    centres = [first + k * spacing for k in range(size)]
    return centres, [x - spacing / 2 for x in centres] + [centres[-1] + spacing / 2]


def rough(rng, size, direction):
    """Faces and centres in turn, at integer distances from 1 to 3, over 4."""
    points = np.cumsum(rng.integers(1, 4, 2 * size + 1))
    points = [Fraction(direction * int(p), 4) for p in points - points[size]]
    return points[1::2], points[::2]


def outward(centres, side):
    """Sign of the outward normal: that of the direction from the other end to this one."""
    increasing = centres[-1] > centres[0]
    return 1 if increasing == (side == 1) else -1


def wall_at(centres, faces, side, at):
    """Where a wall is, from the definition of its place."""
    end, inside = (centres[0], centres[1]) if side == 0 else (centres[-1], centres[-2])
    if at == "face":
        return faces[0] if side == 0 else faces[-1]
    if at == "sample":
        return end
    return end + (end - inside if at == "next" else outward(centres, side) * Fraction(at))


def condition(kind, centres, faces, side, at, coefficients):
    """The condition that a polynomial obeys at a wall."""
    wall = wall_at(centres, faces, side, at)
    slope = outward(centres, side) * evaluate(coefficients, wall, 1)
    a, b = FACTORS[kind]
    value = float(a * evaluate(coefficients, wall) + b * slope)
    assert value == a * evaluate(coefficients, wall) + b * slope  # no rounding
    return Robin(2, 0.5, value, at=at) if kind is Robin else kind(value, at=at)


# --- rows -----------------------------------------------------------------------------------------


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
    eps = Fraction(float(np.finfo(float).eps))
    for value, wanted, row in zip(plan(np.array(f, float)), expected, rows, strict=True):
        bound = (Fraction(len(row), 2) + 5) * eps * sum(map(abs, row))
        assert abs(Fraction(value) - wanted) <= bound


def bound_plan(axis, size, order, accuracy, edge_order):
    operator = D(0, order) if order else Average(0, to="outer")
    method = FiniteDifference(accuracy)
    return operator.on(Grid(axis), (size,), method=method, edge_order=edge_order)


#: The conditions at the first and at the last end.
PAIRS = [(Dirichlet, Neumann), (Neumann, Robin), (Robin, Dirichlet)]


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("kinds", PAIRS, ids=lambda kinds: "-".join(k.__name__ for k in kinds))
class TestPolynomials:
    """Every row is exact up to degree order + min(accuracy, edge_order) - 1.

    Each condition comes at both ends, the wall at the last end in another place than at the first.
    The directions, and accuracies of the ends below, at and above that of the interior, come in
    turn: all of them with all of the others would take minutes.
    """

    def walled(self, rng, kinds, at, order, degree, centres, faces):
        coefficients = polynomial(rng, degree)
        boundary = tuple(
            condition(kind, centres, faces, side, where, coefficients)
            for side, (kind, where) in enumerate(
                zip(kinds, (at, PLACES[PLACES.index(at) - 1]), strict=True)
            )
        )
        f = [evaluate(coefficients, x) for x in centres]
        return (
            boundary,
            f,
            [evaluate(coefficients, x, order) for x in (centres if order else faces)],
        )

    def test_equal_spacing(self, rng, kinds, at, order):
        for accuracy in range(1, 7):
            turn = accuracy + order + PAIRS.index(kinds)
            edge_order = (None, 1, 3, accuracy + 2)[turn % 4]
            edge = edge_order or accuracy
            spacing = HALF if turn % 3 else -HALF
            centres, faces = uniform(spacing, order + max(accuracy, edge) + 4)
            degree = order + min(accuracy, edge) - 1
            boundary, f, expected = self.walled(rng, kinds, at, order, degree, centres, faces)
            axis = Axis(spacing=spacing, boundary=boundary)
            plan = bound_plan(axis, len(f), order, accuracy, edge_order)
            assert_exact(plan, f, expected)

    def test_coordinates(self, rng, kinds, at, order):
        """Every second accuracy; the pair that shares a condition has the others."""
        first = 1 + (order + PAIRS.index(kinds)) % 2
        for accuracy in range(first, 7, 2):
            turn = accuracy + order + PAIRS.index(kinds) + 1
            edge_order = (None, 1, 3, accuracy + 2)[(turn // 2 + PLACES.index(at)) % 4]
            edge = edge_order or accuracy
            centres, faces = rough(rng, order + max(accuracy, edge) + 4, 1 if turn % 3 else -1)
            degree = order + min(accuracy, edge) - 1
            boundary, f, expected = self.walled(rng, kinds, at, order, degree, centres, faces)
            axis = Axis(
                coordinates=[float(x) for x in centres],
                faces=[float(x) for x in faces],
                boundary=boundary,
            )
            plan = bound_plan(axis, len(f), order, accuracy, edge_order)
            assert_exact(plan, f, expected)


@pytest.mark.parametrize("kind", [Dirichlet, Neumann, Robin])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_one_degree_more_is_not_exact(rng, kind, order):
    """So that the tests above mean something."""
    centres, faces = uniform(HALF, order + 6)
    coefficients = polynomial(rng, order + 2)
    wall = condition(kind, centres, faces, 0, "face", coefficients)
    plan = bound_plan(Axis(spacing=HALF, boundary=wall), len(centres), order, 2, None)
    first = next(terms(step_of(plan), [evaluate(coefficients, x) for x in centres]))
    assert sum(first) != evaluate(coefficients, centres[0], order)


@pytest.mark.parametrize("order", range(1, 5))
@pytest.mark.parametrize("accuracy", range(1, 7))
def test_a_row_at_a_wall_takes_one_sample_less_for_the_condition(order, accuracy):
    """The first row reads ``order + edge_order - 1`` samples and what is known, nothing else."""
    for kind in (Dirichlet, Neumann, lambda v, at: Robin(2, 0.5, v, at=at)):
        axis = Axis(boundary=(kind(1.0, at=0.7), "one-sided"))
        step = step_of(bound_plan(axis, 30, order, accuracy, None))
        samples = range(order + accuracy - 1)
        if kind is Neumann and order == accuracy == 1:
            samples = ()  # the slope is what is stated
        assert set(step.rule.row(0)) == {*samples, WALL[0]}


def test_a_wall_on_the_grid_that_states_the_value_is_a_point_of_centred_stencils():
    """So ``edge_order`` below the accuracy of the interior changes nothing next to such a wall."""

    def used(end, accuracy, row):
        axis = Axis(boundary=(end, "one-sided"))
        step = step_of(bound_plan(axis, 12, 1, accuracy, 1))
        return {p if p in WALL else row + p: w for p, w in step.rule.row(row).items()}

    beyond, on_sample = Dirichlet(3.0, at="next"), Dirichlet(3.0, at="sample")
    assert used(beyond, 2, 0) == {WALL[0]: -HALF, 1: HALF}
    assert used(on_sample, 2, 1) == {WALL[0]: -HALF, 2: HALF}
    fourth = [Fraction(n, 12) for n in (1, -8, 8, -1)]
    assert used(beyond, 4, 1) == dict(zip((WALL[0], 0, 2, 3), fourth, strict=True))
    assert used(on_sample, 4, 2) == dict(zip((WALL[0], 1, 3, 4), fourth, strict=True))
    # a wall between the points is none, and a slope is no value
    assert used(Dirichlet(3.0), 2, 0) == {WALL[0]: -2, 0: 2}
    assert used(Neumann(3.0, at="next"), 2, 0) == {WALL[0]: -1}


@pytest.mark.parametrize("where", [{"spacing": 1}, {"coordinates": [0, 1, 2, 3, 5]}], ids=str)
def test_a_row_takes_differences_of_neighbours_the_wall_among_them(where):
    """So that rounding follows the differences of f near the wall, not its values."""
    step = step_of(bound_plan(Axis(**where, boundary=Dirichlet(3.0)), 5, 2, 2, 1))
    first, last = step.rule.rows[0], step.rule.rows[-1]
    assert first.pairs == ((0, WALL[0]), (1, 0))
    assert last.pairs == ((0, -1), (WALL[1], 0))
    # -4 f0 + 8/3 wall + 4/3 f1
    assert [float(w) for w in np.ravel(first.weights)] == pytest.approx(
        [-8 / 3 * float(step.rule.scale), 4 / 3 * float(step.rule.scale)], rel=2**-52
    )


# --- reflections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        (Symmetric, "face"),
        (Symmetric, "sample"),
        (Antisymmetric, "face"),
        (Antisymmetric, "sample"),
        (Antisymmetric, "next"),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_reflections_are_exact_on_even_and_on_odd_polynomials(rng, kind, at, side):
    for order in range(4):
        for accuracy in range(1, 6):
            size = order + accuracy + 5
            direction = (1, -1)[(order + accuracy) % 2]
            for place in (lambda n, d: uniform(d * HALF, n), lambda n, d: rough(rng, n, d)):
                centres, faces = place(size, direction)
                wall = wall_at(centres, faces, side, at)
                parity = 0 if kind is Symmetric else 1
                coefficients = [
                    c if j % 2 == parity else 0
                    for j, c in enumerate(polynomial(rng, order + accuracy - 1))
                ]
                boundary = (kind(at=at), "one-sided")[:: -1 if side else 1]
                f = [evaluate(coefficients, x - wall) for x in centres]
                results = centres if order else faces[1:-1]
                expected = [evaluate(coefficients, x - wall, order) for x in results]
                axis = Axis(
                    coordinates=[float(x) for x in centres],
                    faces=[float(x) for x in faces],
                    boundary=boundary,
                )
                operator = D(0, order) if order else Average(0, to="inner")
                plan = operator.on(Grid(axis), (size,), method=FiniteDifference(accuracy))
                assert_exact(plan, f, expected)


@pytest.mark.parametrize(
    ("boundary", "matrix"),
    [
        # what flows through the walls is what the wall lets through: nothing, or 2 f
        (Symmetric(), [[-1, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -1]]),
        (Neumann(0), [[-1, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -1]]),
        (Dirichlet(0), [[-3, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -3]]),
        (Antisymmetric(), [[-3, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -3]]),
    ],
    ids=repr,
)
def test_divergence_of_fluxes_is_the_finite_volume_matrix(boundary, matrix):
    """The diffusion matrix of textbooks for cells of size 1, whose fluxes take one sample."""
    operator = D(0, to="centre") @ D(0, to="outer")
    plan = operator.on(Grid(Axis(boundary=boundary)), (4,), edge_order=1)
    assert plan.matrix("array").tolist() == matrix


@pytest.mark.parametrize("kind", [Symmetric, Antisymmetric])
@pytest.mark.parametrize("faces", ["inner", "outer"])
def test_what_is_known_of_a_derivative_follows_from_the_reflection_of_the_field(rng, kind, faces):
    """The slope of an odd field is even; the inner faces do not hold it at the wall itself."""
    f = rng.normal(size=8)
    grid = Grid(Axis(boundary=kind()))
    slope = D(0, to=faces).on(grid, (8,))(f)
    turned = Antisymmetric() if kind is Symmetric else Symmetric()
    unknown = kind is Antisymmetric and faces == "inner"
    known = Grid(Axis(boundary="one-sided" if unknown else turned))
    wanted = D(0, at=faces, to="centre").on(known, (8,))(slope)
    plan = (D(0, to="centre") @ D(0, to=faces)).on(grid, (8,))
    np.testing.assert_array_equal(plan(f), wanted, strict=True)


# --- convergence ----------------------------------------------------------------------------------
#
# f has degree order + edge_order and so a constant derivative of that order, which leads the error:
# on equal spacing the error near a wall is a power of the spacing h, with nothing else added, but
# for Robin conditions, whose a and b differ in unit: there a h / b bends the slope by less than
# 1/40. On stretched grids the change of the spacing along a stencil does, in proportion to h.

SIZES = np.array([41, 57, 81, 113])


def equal(size):
    return np.arange(size, dtype=np.longdouble) / (size - 1)


def sine_stretched(size):
    return equal(size) + np.sin(2 * np.pi * equal(size)) / 10


def squeezed_backwards(size):
    return -equal(size) * (4 + equal(size)) / 5


def slopes(grid, kinds, order, accuracy, edge_order=None):
    """The order of the error of the rows near each end, fitted."""
    edge = edge_order or accuracy
    # rows inside do not count where they are the less accurate ones
    reach = 1 if edge > accuracy else order + accuracy
    coefficients = [1] * (order + edge + 1)
    errors = []
    for size in SIZES if grid is equal else 3 * SIZES:
        x = grid(size)
        faces = np.concatenate([[3 * x[0] - x[1]], x[1:] + x[:-1], [3 * x[-1] - x[-2]]]) / 2
        # the second wall at another place: 5/8 of a spacing beyond the last sample
        at = ("face", float(5 * abs(x[-1] - x[-2]) / 8))
        walls = (faces[0], x[-1] + np.copysign(np.longdouble(at[1]), x[-1] - x[0]))
        boundary = []
        for side, kind in enumerate(kinds):
            a, b = {Dirichlet: (1, 0), Neumann: (0, 1), Robin: (1, 2)}[kind]
            slope = outward(x, side) * evaluate(coefficients, walls[side], 1)
            value = a * evaluate(coefficients, walls[side]) + b * slope
            boundary.append(
                Robin(a, b, value, at=at[side]) if kind is Robin else kind(value, at=at[side])
            )
        where = {"spacing": x[1] - x[0]} if grid is equal else {"coordinates": x}
        operator = D(0, order) if order else Average(0, to="inner")
        method = FiniteDifference(accuracy)
        axis = Axis(**where, boundary=tuple(boundary))
        plan = operator.on(Grid(axis), (size,), method=method, edge_order=edge_order)
        results = x if order else faces[1:-1]
        error = abs(plan(evaluate(coefficients, x)) - evaluate(coefficients, results, order))
        errors.append((error[:reach].max(), error[-reach:].max()))
    return np.polyfit(-np.log(SIZES - 1), np.log(np.array(errors, float)), 1)[0]


@pytest.mark.parametrize("grid", [equal, sine_stretched, squeezed_backwards])
@pytest.mark.parametrize("kinds", PAIRS, ids=lambda kinds: "-".join(k.__name__ for k in kinds))
def test_errors_at_walls_converge_with_the_accuracy(grid, kinds):
    for order in (0, 1, 2):
        for accuracy in (1, 2, 3, 4) if order else (2, 3, 4):
            found = slopes(grid, kinds, order, accuracy)
            assert found == pytest.approx([accuracy] * 2, abs=1 / 40 if grid is equal else 0.1)


@pytest.mark.parametrize(("accuracy", "edge_order"), [(4, 2), (2, 3), (6, 1)])
@pytest.mark.parametrize("kinds", PAIRS, ids=lambda kinds: "-".join(k.__name__ for k in kinds))
def test_edge_order_is_the_accuracy_of_rows_at_walls(kinds, accuracy, edge_order):
    for order in (1, 2):
        found = slopes(equal, kinds, order, accuracy, edge_order)
        assert found == pytest.approx([edge_order] * 2, abs=1 / 40)


# --- constants ------------------------------------------------------------------------------------

CONSTANTS = (300.1, 1013.25, 1e30, -0.1, 1 / 3, 0.0)


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize(
    "condition",
    [
        lambda c, at: Dirichlet(c, at=at),
        lambda c, at: Robin(2, 0.5, 2 * c, at=at),
        lambda c, at: Neumann(0 * c, at=at),
    ],
    ids=["Dirichlet", "Robin", "Neumann"],
)
def test_constants_that_obey_the_condition_give_exactly_0(rng, condition, at):
    values = np.array(CONSTANTS)
    for order, accuracy in ((1, 1), (1, 2), (2, 1), (2, 3), (3, 2)):
        size, method = 2 * order + 5, FiniteDifference(accuracy)
        fields = [
            np.repeat(values.astype(dtype)[:, np.newaxis], size, axis=1)
            for dtype in ("float32", "float64")
        ]
        x = np.cumsum(rng.uniform(0.5, 1.5, size))
        for where in ({"spacing": 0.1}, {"coordinates": x}, {"coordinates": -x}):
            # an array along the wall, one value for each row, and a number
            axis = Axis(**where, boundary=condition(values, at))
            many = D(1, order).on(Grid(None, axis), fields[0].shape, method=method)
            axis = Axis(**where, boundary=(condition(CONSTANTS[0], at), "one-sided"))
            one = D(0, order).on(Grid(axis), (size,), method=method)
            for f in fields:
                result = many(f)
                assert result.dtype == f.dtype
                assert (result == 0).all()
                assert (one(f[0]) == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("constant", CONSTANTS)
def test_averages_on_coordinates_keep_constants_that_are_those_at_the_wall(rng, constant, dtype):
    f = np.full(12, constant, dtype)
    x = np.cumsum(rng.uniform(0.5, 1.5, 12))
    for at in PLACES:
        axis = Axis(coordinates=x, boundary=(Dirichlet(constant, at=at), "one-sided"))
        for accuracy in (1, 2, 3, 4):
            method = FiniteDifference(accuracy)
            result = Average(0, to="outer").on(Grid(axis), (12,), method=method)(f)
            assert result.dtype == dtype
            assert result.tolist() == [float(f[0])] * 13


# --- what walls add -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "boundary", "accuracy", "offset"),
    [
        # 8/3 g, and its mirror image; h = 1/2
        (D(0, 2), Dirichlet(3.0), 1, [32, 0, 0, 0, 32]),
        (D(0, 2), (Dirichlet(1.0, at="next"), Dirichlet(5.0, at="next")), 1, [4, 0, 0, 0, 20]),
        # g / h: positive where f grows outwards, at either end
        (D(0, 2), (Neumann(1.0), Neumann(-7.0)), 1, [2, 0, 0, 0, -14]),
        (D(0, 2), ("one-sided", Neumann(3.0, at="sample")), 1, [0, 0, 0, 0, 12]),
        # f' is -df/dn at the first wall and df/dn at the last one
        (D(0), Neumann(3.0, at="sample"), 2, [-3, 0, 0, 0, 3]),
        # the ordinary stencil (f[1] - f[-1]) / 2h, one of whose points is the wall
        (D(0), (Dirichlet(3.0, at="next"), "one-sided"), 2, [-3, 0, 0, 0, 0]),
        (D(0), "one-sided", 2, [0, 0, 0, 0, 0]),
        (D(0), Symmetric(), 2, [0, 0, 0, 0, 0]),
        (Average(0, to="outer"), Dirichlet(3.0), 2, [3, 0, 0, 0, 0, 3]),
    ],
)
def test_the_offset_is_what_is_known_at_the_walls(operator, boundary, accuracy, offset):
    axis = Axis(spacing=0.5, boundary=boundary)
    method = FiniteDifference(2)
    plan = operator.on(Grid(axis), (5,), method=method, edge_order=accuracy)
    assert plan.offset.tolist() == pytest.approx(offset, rel=np.finfo(float).eps)
    assert plan.offset.dtype == np.float64
    assert not plan.linear.offset.any()


AFFINE = [
    (Dirichlet(3.0), Neumann(-1.5, at="sample")),
    (Robin(2.0, 0.25, 7.0), "one-sided"),
    (Symmetric(), Dirichlet(5.0, at="next")),
    (Robin(1 + 1j, 2.0, 3.0), Dirichlet(2j)),
]


@pytest.mark.parametrize("boundary", AFFINE, ids=repr)
@pytest.mark.parametrize("where", [{"spacing": 0.5}, {"coordinates": np.arange(9.0) ** 2 / 8}])
def test_a_plan_is_its_linear_part_plus_its_offset(rng, boundary, where):
    f, g = rng.normal(size=(2, 9))
    for operator in (D(0), D(0, 2), Average(0, to="outer"), D(0) + 3 * D(0, 2)):
        plan = operator.on(Grid(Axis(**where, boundary=boundary)), (9,))
        # at most 12 products, each with 3 roundings, of numbers that add up to this size
        size = plan.linear.magnitude(abs(f) + 2 * abs(g)) + 3 * abs(plan.offset)
        tolerance = 36 * np.finfo(float).eps * size
        assert (abs(plan(f) - (plan.linear(f) + plan.offset)) <= tolerance).all()
        assert (
            abs(plan.linear(f - 2 * g) - plan.linear(f) + 2 * plan.linear(g)) <= tolerance
        ).all()
        assert not plan.linear(0 * f).any()
        homogeneous = tuple(end.with_value(0) if hasattr(end, "value") else end for end in boundary)
        same = operator.on(Grid(Axis(**where, boundary=homogeneous)), (9,))
        assert plan.linear == same
        np.testing.assert_array_equal(plan.linear(f), same(f), strict=True)


def test_a_plan_without_values_at_walls_is_its_own_linear_part():
    for boundary in ("one-sided", "periodic", Symmetric(), Dirichlet(0), Neumann(0.0)):
        plan = D(0).on(Grid(Axis(boundary=boundary)), (9,))
        assert plan.linear is plan


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int16"])
def test_values_at_walls_have_the_precision_of_the_data(dtype):
    """A wall at 0.1 does not make float32 data double."""
    plan = D(0, 2).on(Grid(Axis(boundary=Dirichlet(0.1, at="next"))), (5,))
    result = plan(np.arange(5).astype(dtype))
    assert result.dtype == (np.float64 if dtype == "int16" else dtype)
    eps = np.finfo(result.dtype).eps
    assert abs(result[0] - 1.1) <= 2 * eps  # 0.1, and its sum with 1, are rounded


def test_a_complex_value_at_a_wall_makes_real_data_complex():
    plan = D(0, 2).on(Grid(Axis(boundary=Dirichlet(2 + 1j, at="next"))), (3,), edge_order=1)
    result = plan(np.array([1.0, 2.0, 4.0]))
    assert result.tolist() == [2 + 1j, 1, -4 + 1j]
    assert plan.linear(np.array([1.0, 2.0, 4.0])).dtype == np.float64


def test_a_complex_robin_condition_is_exact_on_polynomials(rng):
    """f = p + i q with polynomials of degree order + accuracy - 1."""
    a, b = 1 - 2j, 0.5 + 1j
    for order in (1, 2, 3):
        for accuracy in (1, 2, 3, 4):
            for x in (np.arange(12) / 2 - 3, np.cumsum(rng.integers(1, 4, 12)) / 4.0 - 3):
                p, q = (polynomial(rng, order + accuracy - 1) for _ in range(2))
                c = [u + 1j * v for u, v in zip(p, q, strict=True)]
                ends = []
                for side, wall in ((0, x[0]), (1, x[-1] + 0.25)):
                    slope = outward(x, side) * evaluate(c, wall, 1)
                    at = "sample" if side == 0 else 0.25
                    ends.append(Robin(a, b, a * evaluate(c, wall) + b * slope, at=at))
                plan = D(0, order).on(
                    Grid(Axis(coordinates=x, boundary=tuple(ends))),
                    (12,),
                    method=FiniteDifference(accuracy),
                )
                f = evaluate(c, x)
                # at most 3 chains of 2 complex products of 9 numbers, 4 roundings each
                size = plan.linear.magnitude(abs(f)).real + abs(plan.offset)
                error = abs(plan(f) - evaluate(c, x, order))
                assert (error <= 216 * np.finfo(float).eps * size).all()


# --- arrays along walls ---------------------------------------------------------------------------


class Field:
    """A polynomial in several variables on a grid, with what it states at the walls of all axes.

    Its degree in every variable is 2, so that first and second derivatives of accuracy 2 and, along
    the walls, one-sided first derivatives are exact; its numbers are small integers over powers of
    2, which float64 holds.
    """

    def __init__(self, rng, axes):
        self.coefficients = rng.integers(-3, 4, (3,) * len(axes))
        self.axes = axes

    def at(self, points, orders=None):
        """The derivative of some orders on the grid of these points, as fractions."""
        orders = orders or (0,) * len(points)
        values = self.coefficients.astype(object) * Fraction(1)
        for x, order in zip(points, orders, strict=True):
            powers = [
                [perm(j, order) * Fraction(t) ** (j - order) if j >= order else 0 for t in x]
                for j in range(3)
            ]
            values = np.tensordot(values, np.array(powers, object), ([0], [0]))
        return values

    def centres(self):
        return [centres for centres, _ in self.axes]

    def wall(self, axis, side, kind, at):
        """The condition that the field obeys at a wall, an array along it."""
        centres, faces = self.axes[axis]
        place = wall_at(centres, faces, side, at)
        points = [[place] if i == axis else x for i, x in enumerate(self.centres())]
        a, b = FACTORS[kind]
        orders = tuple(int(i == axis) for i in range(len(points)))
        value = a * self.at(points) + b * outward(centres, side) * self.at(points, orders)
        exact = np.squeeze(value, axis)
        array = exact.astype(float)
        assert (array == exact).all()  # no rounding
        return Robin(a, float(b), array, at=at) if kind is Robin else kind(array, at=at)


def exact_results(plan, f):
    """What a plan computes of exact values, without rounding."""
    found = np.empty(plan.output_shape, object)
    ((chains),) = plan.bound.outputs
    for index in np.ndindex(*found.shape):
        total = Fraction(0)
        for chain in chains:
            weights, constant = chain.row(index, plan.parameters)
            total += constant + sum(w * f[point] for point, w in weights.items())
        found[index] = total
    return found


def assert_close(plan, f, expected, factors):
    """With at most 100 roundings of numbers that each factor makes at most 40 times as large.

    The magnitudes of the weights of no row that is used here add up to more, for spacings from 1/2.
    """
    largest = float(max(abs(f).max(), abs(expected).max()))
    tolerance = 100 * np.finfo(float).eps * 40**factors * largest
    assert abs(plan(f.astype(float)) - expected.astype(float)).max() <= tolerance


OPERATORS_2D = {
    "D(0)": (D(0), [(1, 0)]),
    "D(1)**2": (D(1) ** 2, [(0, 2)]),
    "Laplacian(2)": (Laplacian(2), [(2, 0), (0, 2)]),
    "D(0)*D(1)": (D(0) * D(1), [(1, 1)]),
    "D(0)@D(1)": (D(0) @ D(1), [(1, 1)]),
    "D(0)**2*D(1)": (D(0) ** 2 * D(1), [(2, 1)]),
    "D(0)*D(1)+D(0)": (D(0) * D(1) + D(0), [(1, 1), (1, 0)]),
}


@pytest.mark.parametrize("name", OPERATORS_2D)
@pytest.mark.parametrize("kinds", PAIRS, ids=lambda kinds: "-".join(k.__name__ for k in kinds))
def test_arrays_along_walls_are_exact_on_polynomials_in_two_dimensions(rng, name, kinds):
    """Mixed derivatives differentiate the values along the wall, too."""
    operator, orders = OPERATORS_2D[name]
    field = Field(rng, [uniform(HALF, 6), uniform(Fraction(-1), 7)])
    one, other = kinds
    grid = Grid(
        Axis(spacing=HALF, boundary=(field.wall(0, 0, one, "face"), field.wall(0, 1, other, 0.25))),
        Axis(spacing=-1, boundary=(field.wall(1, 0, other, "next"), field.wall(1, 1, one, "face"))),
    )
    plan = operator.on(grid, (6, 7))
    f = field.at(field.centres())
    expected = sum(field.at(field.centres(), powers) for powers in orders)
    assert (exact_results(plan, f) == expected).all()
    assert_close(plan, f, expected, max(map(sum, orders)))


@pytest.mark.parametrize(
    ("operator", "orders"),
    [
        (D(1), [(0, 1, 0)]),
        (Laplacian(3), [(2, 0, 0), (0, 2, 0), (0, 0, 2)]),
        (D(0) * D(2), [(1, 0, 1)]),
        (D(0) * D(1) * D(2), [(1, 1, 1)]),
    ],
    ids=repr,
)
def test_arrays_along_walls_are_exact_on_polynomials_in_three_dimensions(rng, operator, orders):
    shape = (4, 6, 5)
    spacings = (HALF, Fraction(-1), Fraction(1))
    field = Field(rng, [uniform(h, n) for h, n in zip(spacings, shape, strict=True)])
    grid = Grid(
        *(
            Axis(
                spacing=h,
                boundary=tuple(field.wall(i, side, k, "face") for side, k in enumerate(pair)),
            )
            for i, (h, pair) in enumerate(zip(spacings, PAIRS, strict=True))
        )
    )
    plan = operator.on(grid, shape)
    f = field.at(field.centres())
    expected = sum(field.at(field.centres(), powers) for powers in orders)
    assert (exact_results(plan, f) == expected).all()
    assert_close(plan, f, expected, max(map(sum, orders)))


def test_averages_move_the_values_along_a_wall_too(rng):
    """A derivative at the wall of one axis, where the values lie at the faces of the other one."""
    field = Field(rng, [uniform(HALF, 6), uniform(Fraction(1), 7)])
    grid = Grid(
        Axis(spacing=HALF, boundary=(field.wall(0, 0, Dirichlet, "face"), "one-sided")),
        Axis(spacing=1),
    )
    operator = D(0) @ Average(1, to="outer")
    plan = operator.on(grid, (6, 7), method=FiniteDifference(3))
    f = field.at(field.centres())
    expected = field.at([field.centres()[0], field.axes[1][1]], (1, 0))
    assert (exact_results(plan, f) == expected).all()
    assert_close(plan, f, expected, 2)


def test_a_number_at_a_wall_is_the_same_at_every_point_of_it(rng):
    """A derivative along the wall makes 0 of it, an average leaves it."""
    f = rng.normal(size=(6, 7))
    for number in (3.0, -2):
        for operator in (D(0), D(0) * D(1), D(0) @ Average(1, to="inner"), Laplacian(2)):
            one, many = (
                operator.on(Grid(Axis(boundary=Dirichlet(value)), Axis()), (6, 7))
                for value in (number, np.full(7, float(number)))
            )
            np.testing.assert_array_equal(one(f), many(f), strict=True)


@pytest.mark.parametrize(
    "shape", [(7, 5), (1, 7, 5), (7, 1), (1, 7, 1), (1, 5), (1, 1), (1, 1, 1), ()]
)
def test_arrays_along_a_wall_broadcast_along_it(rng, shape):
    f = rng.normal(size=(6, 7, 5))
    value = rng.normal(size=shape)
    full = np.broadcast_to(value.reshape(shape[1:] if len(shape) == 3 else shape), (7, 5))
    for operator in (D(0), D(0) * D(1)):
        short, long = (
            operator.on(Grid(Axis(boundary=Neumann(v)), Axis(), Axis()), f.shape)
            for v in (value, full)
        )
        np.testing.assert_array_equal(short(f), long(f), strict=True)


def test_arrays_along_walls_of_batch_axes_belong_to_their_rows(rng):
    """One plan for many rows is the plans of the rows, one by one."""
    f, left, right = rng.normal(size=(4, 9)), rng.normal(size=4), rng.normal(size=4)
    axis = Axis(spacing=0.5, boundary=(Dirichlet(left), Neumann(right)))
    together = D(1, 2).on(Grid(None, axis), (4, 9))(f)
    for i in range(4):
        alone = Axis(spacing=0.5, boundary=(Dirichlet(left[i]), Neumann(right[i])))
        np.testing.assert_array_equal(D(0, 2).on(Grid(alone), (9,))(f[i]), together[i])


@pytest.mark.parametrize("operator", [D(1), D(1, 2), D(0) * D(1), D(1) + D(1, 2)], ids=repr)
def test_factors_of_robin_conditions_may_vary_along_the_wall(rng, operator):
    """a(x) f + b(x) df/dn = value(x), where a, b or both are arrays."""
    field = Field(rng, [uniform(HALF, 6), uniform(HALF, 7)])
    centres, faces = field.axes[1]
    a, b = rng.uniform(1, 2, (2, 6))
    f = field.at(field.centres())
    orders = {D(1): [(0, 1)], D(1, 2): [(0, 2)], D(0) * D(1): [(1, 1)]}
    expected = sum(field.at(field.centres(), p) for p in orders.get(operator, [(0, 1), (0, 2)]))
    for factors in ((a, b), (a, 0.5), (2.0, b), (a.tolist(), b)):
        ends = []
        for side, at in ((0, "face"), (1, "next")):
            place = wall_at(centres, faces, side, at)
            points = [field.centres()[0], [place]]
            value = field.at(points).astype(float)[:, 0] * factors[0]
            slope = field.at(points, (0, 1)).astype(float)[:, 0]
            ends.append(Robin(*factors, value + outward(centres, side) * slope * factors[1], at=at))
        grid = Grid(Axis(spacing=HALF), Axis(spacing=HALF, boundary=tuple(ends)))
        assert_close(operator.on(grid, (6, 7)), f, expected, 3)


def test_arrays_that_are_constant_do_what_numbers_do(rng):
    f = rng.normal(size=(6, 7))
    numbers, arrays = (
        D(1, 2).on(Grid(None, Axis(spacing=0.5, boundary=end)), (6, 7))
        for end in (Robin(2.0, 0.5, 3.0), Robin(np.full(6, 2.0), np.full(6, 0.5), np.full(6, 3.0)))
    )
    # products of at most 5 numbers below 40 f, in another order: 20 roundings
    tolerance = 20 * np.finfo(float).eps * 5 * 40 * max(abs(f).max(), 3)
    assert abs(numbers(f) - arrays(f)).max() <= tolerance
    assert abs(numbers.linear(f) - arrays.linear(f)).max() <= tolerance
    assert abs(numbers.offset - arrays.offset).max() <= tolerance


def test_a_complex_robin_condition_takes_arrays_of_values_through_mixed_derivatives(rng):
    field = Field(rng, [uniform(HALF, 6), uniform(HALF, 7)])
    centres, faces = field.axes[0]
    a, b = 1 - 2j, 0.5 + 1j
    ends = []
    for side in (0, 1):
        points = [[wall_at(centres, faces, side, "face")], field.centres()[1]]
        value = field.at(points).astype(float)[0]
        slope = field.at(points, (1, 0)).astype(float)[0]
        ends.append(Robin(a, b, a * value + b * outward(centres, side) * slope))
    plan = (D(0) * D(1)).on(
        Grid(Axis(spacing=HALF, boundary=tuple(ends)), Axis(spacing=HALF)), (6, 7)
    )
    f = field.at(field.centres())
    result = plan(f.astype(float))
    expected = field.at(field.centres(), (1, 1))
    assert result.dtype == np.complex128
    tolerance = 100 * np.finfo(float).eps * 40**2 * float(abs(f).max())
    assert abs(result - expected.astype(float)).max() <= tolerance


# --- named functions ------------------------------------------------------------------------------

X = np.arange(8) / 2 - 1
Y = np.arange(6) / 4 + 0.25


def test_derivative_takes_one_boundary_or_a_pair():
    """f = x**2 - x on [-5/4, 11/4]; the walls are the outer faces."""
    f = X**2 - X
    left, right = 45 / 16, 77 / 16
    ends = (Dirichlet(left), Neumann(2 * 2.75 - 1))
    for boundary in (ends, list(ends), (Dirichlet(left), "one-sided"), ("one-sided", ends[1])):
        for where in (0.5, X):
            assert derivative(f, where, boundary=boundary) == pytest.approx(2 * X - 1, abs=1e-13)
            second = derivative(f, where, order=2, boundary=boundary)
            assert second == pytest.approx(np.full(8, 2.0), abs=1e-12)
    assert derivative(f - f, 0.5, boundary=Dirichlet(0)).tolist() == [0] * 8
    wrong = derivative(f, 0.5, boundary=(Dirichlet(right), "one-sided"))
    assert abs(wrong[0] - (2 * X[0] - 1)) > 1  # the wall is read


def test_gradient_takes_one_boundary_per_axis_each_of_which_may_be_a_pair():
    f = np.add.outer(X**2, 3 * Y) + np.multiply.outer(X, Y)
    along_x = (Dirichlet(25 / 16 + 3 * Y - 1.25 * Y), Neumann(5.5 + Y))
    along_y = Neumann(3 + X), "one-sided"
    along_y = ("one-sided", Neumann(3 + X))
    expected = np.add.outer(2 * X, Y), np.add.outer(3 + X, 0 * Y)
    for boundary in ((along_x, along_y), [list(along_x), along_y], (along_x, "one-sided")):
        results = gradient(f, 0.5, 0.25, boundary=boundary, edge_order=2)
        for result, wanted in zip(results, expected, strict=True):
            assert result == pytest.approx(wanted, abs=1e-13)
    axes = Axis(spacing=0.5, boundary=along_x), Axis(spacing=0.25, boundary=along_y)
    for result, wanted in zip(gradient(f, *axes, edge_order=2), expected, strict=True):
        assert result == pytest.approx(wanted, abs=1e-13)


def test_one_boundary_holds_for_all_axes_of_a_laplacian():
    """x (1 - x) y (1 - y) is 0 at all walls of the unit square."""
    x, y = (np.arange(8) + 0.5) / 8, (np.arange(6) + 0.5) / 6
    f = np.multiply.outer(x * (1 - x), y * (1 - y))
    expected = -2 * np.add.outer(x * (1 - x), y * (1 - y))
    # values below 1 with weights up to 5 * 64: 20 roundings of 2e-16 leave less than 1e-12
    for constant in (0, 1):
        result = laplacian(f + constant, 1 / 8, 1 / 6, boundary=Dirichlet(constant))
        assert result == pytest.approx(expected, abs=1e-12)
    result = laplacian(f, 1 / 8, 1 / 6, boundary=Dirichlet(1))
    assert (abs(result - expected) > 1).nonzero()[0].size == 2 * 8 + 2 * 4  # the rows at the walls


def test_equal_boundaries_are_one_key_of_the_cache_and_different_ones_are_not():
    f = np.arange(6.0) ** 2
    for value in (1.0, 2.0, np.float32(2.0), 1.0):
        result = derivative(f, boundary=(Dirichlet(value, at="next"), "one-sided"))
        assert result[0] == (f[1] - value) / 2


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("accuracy", [2, 3, 4])
@pytest.mark.parametrize(
    ("ends", "more"),
    [
        # a condition takes the place of one point
        (Neumann(0.0), -1),
        (Robin(1, 2, 3), -1),
        (Dirichlet(0.0), -1),
        # samples on walls that state the value are not read, at one end or at both
        ((Dirichlet(0, at="sample"), Neumann(0)), 0),
        (Dirichlet(0, at="sample"), 1),
        # an end without a condition needs all of its points
        ((Neumann(0), "one-sided"), 0),
        ((Dirichlet(0, at="sample"), "one-sided"), 1),
    ],
    ids=str,
)
def test_an_axis_may_be_as_short_as_its_closures_and_no_shorter(ends, more, order, accuracy):
    needed = order + accuracy + more
    grid, method = Grid(Axis(boundary=ends)), FiniteDifference(accuracy)
    assert D(0, order).on(grid, (needed,), method=method).output_shape == (needed,)
    with pytest.raises(
        ArgumentValueError,
        match=rf"axis 0 has {needed - 1} points, but a derivative of order {order} with accuracy "
        rf"{accuracy} and edge_order {accuracy} needs at least {needed}",
    ):
        D(0, order).on(grid, (needed - 1,), method=method)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        # 2 f0 for all straight lines through a sample f0, half a spacing from the wall
        (Robin(2, -1), r"Robin\(2, -1, 0\.0\) on axis 0 does not settle f: no polynomial through"),
        (Robin(2j, -1j), r"Robin\(2j, .* does not settle f everywhere along the wall"),
        (Robin([1, 2, 1], [1, -1, 1]), "does not settle f everywhere along the wall"),
    ],
    ids=repr,
)
def test_conditions_that_all_polynomials_or_none_obey_raise(end, message):
    grid = Grid(Axis(boundary=end), Axis())
    with pytest.raises(ArgumentValueError, match=message):
        D(0).on(grid, (6, 3), edge_order=1)
    # with another sample it is settled
    assert D(0).on(grid, (6, 3), edge_order=2).shape == (6, 3)


@pytest.mark.parametrize("at", ["outer", "left"])
def test_a_wall_inside_of_the_values_raises(at):
    axis = Axis(boundary=(Dirichlet(0, at="sample"), "one-sided"))
    with pytest.raises(
        ArgumentValueError,
        match=rf"Dirichlet\(0, at='sample'\) on axis 0 puts the wall inside of the first value, "
        rf"which lies at '{at}': wanted a wall at or beyond it",
    ):
        D(0, at=at, to="centre").on(Grid(axis), (6,))


@pytest.mark.parametrize(
    "shape", [(6,), (1, 6), (6, 1), (6, 7), (2, 7), (7, 7), (7, 1, 1), (1, 1, 7), (0,)]
)
def test_an_array_of_another_shape_than_the_wall_raises(shape):
    array = np.ones(shape)
    wanted = rf"an array along a wall of axis 0 has shape {re.escape(str(shape))}: wanted \(7,\)"
    for end in (Dirichlet(array), Neumann(array), Robin(array, 1), Robin(1, array)):
        grid = Grid(Axis(boundary=end), Axis())
        with pytest.raises(ArgumentValueError, match=wanted):
            D(0).on(grid, (6, 7))
    with pytest.raises(ArgumentValueError, match=wanted):
        (D(0) * D(1)).on(Grid(Axis(boundary=Dirichlet(array)), Axis()), (6, 7))


def test_the_message_gives_the_shape_of_the_wall_at_faces():
    """Values at the outer faces of the other axis: one more than cells."""
    grid = Grid(Axis(boundary=Dirichlet(np.ones(7))), Axis())
    operator = D(1, at="outer", to="centre") @ D(0)
    with pytest.raises(ArgumentValueError, match=r"has shape \(7,\): wanted \(8,\)"):
        operator.on(grid, (6, 7))


@pytest.mark.parametrize("end", [Robin(np.ones(7), 1.0), Robin(1.0, np.ones(7))], ids=repr)
def test_mixed_derivatives_refuse_factors_that_vary_along_the_wall(end):
    grid = Grid(Axis(boundary=end), Axis())
    for operator in (D(0) * D(1), D(0) @ Average(1, to="inner")):
        with pytest.raises(UnsupportedError, match="of axis 0 mixes value and slope by arrays"):
            operator.on(grid, (6, 7))


@pytest.mark.parametrize("end", [Robin(np.ones(7), 1.0), Robin(1.0, 1j)], ids=repr)
def test_stencils_of_ones_own_refuse_factors_that_are_not_real_numbers(end):
    with pytest.raises(UnsupportedError, match="varies along the wall or is complex, which"):
        operator_from_offsets({-1: 1, 0: -2, 1: 1}).on(Grid(Axis(boundary=end), Axis()), (6, 7))


def test_a_symmetric_function_is_not_known_on_the_plane_itself():
    """The inner faces do not hold the value at the first face, where an odd function is 0."""
    with pytest.raises(ArgumentValueError, match=r"needs the value on the wall itself.*'inner'"):
        D(0, at="inner", to="centre").on(Grid(Axis(boundary=Symmetric())), (6,))
    plan = D(0, at="inner", to="centre").on(Grid(Axis(boundary=Antisymmetric())), (4,))
    assert plan(np.array([1.0, 3.0, 7.0])).tolist() == [1, 2, 4, -7]


def test_results_on_a_plane_of_symmetry_have_the_slope_0():
    axis = Axis(boundary=(Symmetric(at="sample"), "one-sided"))
    plan = D(0, at="right", to="centre").on(Grid(axis), (6,))
    assert plan(np.arange(6.0)).tolist() == [0, 1, 1, 1, 1, 1]


MIRRORS = [
    Symmetric(),
    Antisymmetric(),
    Symmetric(at="sample"),
    Antisymmetric(at="sample"),
    Antisymmetric(at="next"),
]


def between_mirrors(f, first, last):
    """The values of a field between two mirrors, by position: those beyond are images of images."""
    leads = {"face": 0.5, "sample": 0.0, "next": 1.0}
    walls = (-leads[first.at], len(f) - 1 + leads[last.at])

    def value(x):
        sign = 1
        while not walls[0] <= x <= walls[1]:
            x, turned = (2 * walls[0] - x, first) if x < walls[0] else (2 * walls[1] - x, last)
            sign *= 1 if isinstance(turned, Symmetric) else -1
        is_zero = [
            x == w and isinstance(m, Antisymmetric)
            for w, m in zip(walls, (first, last), strict=True)
        ]
        return 0.0 if any(is_zero) else sign * f[int(x)]

    return value


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@pytest.mark.parametrize("last", MIRRORS, ids=repr)
@pytest.mark.parametrize("first", MIRRORS, ids=repr)
def test_stencils_longer_than_the_axis_meet_both_mirrors(rng, first, last, size):
    """An odd function is 0 at its wall, whatever the sample there holds."""
    f = rng.integers(-9, 10, size).astype(float)
    value = between_mirrors(f, first, last)
    fourth = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
    wanted = [sum(w * value(row + k) for k, w in fourth.items()) for row in range(size)]
    needed = 3 if "sample" in (first.at, last.at) else 2
    evenly, rough = (
        Axis(boundary=(first, last)),
        Axis(coordinates=np.arange(size), boundary=(first, last)),
    )
    for axis in (evenly, rough):
        if size < needed:
            with pytest.raises(ArgumentValueError, match=f"has {size} points.*at least {needed}"):
                derivative(f, 1.0, accuracy=4, boundary=(first, last))
            continue
        plan = D(0).on(Grid(axis), (size,), method=FiniteDifference(4))
        np.testing.assert_allclose(plan(f), wanted, atol=1e-14)
    twice = operator_from_offsets({-1: 1, 0: 2, 1: 3}).on(Grid(evenly), (size,))
    wanted = [value(row - 1) + 2 * value(row) + 3 * value(row + 1) for row in range(size)]
    np.testing.assert_array_equal(twice(f), wanted)


@pytest.mark.parametrize(
    ("boundary", "needed"),
    [
        (Symmetric(), 4),
        (Symmetric(at="sample"), 5),
        (Antisymmetric(at="next"), 3),
        ((Symmetric(), "one-sided"), 10),
        (("one-sided", Antisymmetric()), 10),
        ((Symmetric(), Dirichlet(0)), 9),
    ],
    ids=repr,
)
def test_the_length_that_mirrors_need_is_said(boundary, needed):
    grid, method = Grid(Axis(boundary=boundary)), FiniteDifference(8)
    assert D(0, 2).on(grid, (needed,), method=method).shape == (needed,)
    with pytest.raises(ArgumentValueError, match=f"derivative of order 2.*at least {needed}$"):
        D(0, 2).on(grid, (needed - 1,), method=method)


@pytest.mark.parametrize("dtype", ["M8[s]", "m8[s]"])
@pytest.mark.parametrize("end", [Dirichlet(0), Symmetric(), (Neumann(0), "one-sided")], ids=repr)
def test_times_have_no_values_at_walls(end, dtype):
    f = np.arange(6).astype(dtype)
    with pytest.raises(ArgumentTypeError, match="conditions at walls are not served for datetime"):
        D(0).on(Grid(Axis(boundary=end)), (6,))(f)


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        ((Dirichlet(0),) * 3, "has 3 entries"),
        ((Dirichlet(0), "periodic"), "an axis is periodic at both ends or at none"),
        ((Dirichlet(0), 1), "boundary=1 is not one of"),
        ("dirichlet", "boundary='dirichlet' is not one of"),
    ],
    ids=repr,
)
def test_named_functions_refuse_what_is_not_a_boundary(boundary, message):
    with pytest.raises(ArgumentValueError, match=message):
        derivative(np.zeros(6), boundary=boundary)


def test_an_axis_that_has_its_own_boundary_takes_no_other():
    with pytest.raises(
        ArgumentTypeError, match="boundary=, period= and unit= do not apply to Axis"
    ):
        derivative(np.zeros(6), Axis(boundary=Dirichlet(1)), boundary=Dirichlet(0))


@pytest.mark.parametrize(
    "mixture",
    [(1, 1), (np.ones(8), np.ones(8)), (1 + 0j, 1)],
    ids=["numbers", "arrays", "complex numbers"],
)
def test_mixed_derivatives_count_other_walls_once(mixture):
    """d2(x y)/dx dy is 1, whatever is known at two walls that meet."""
    x = np.arange(8) + 0.5
    f = np.multiply.outer(x, x)
    first = Axis(boundary=("one-sided", Dirichlet(8 * x)))
    second = Axis(boundary=("one-sided", Robin(*mixture, 9 * x)))
    plan = (D(0) * D(1)).on(Grid(first, second), (8, 8))
    np.testing.assert_allclose(plan(f), np.ones((8, 8)), rtol=1e-13)
    np.testing.assert_allclose(plan.linear(f) + plan.offset, plan(f), rtol=1e-12)


# --- what two reviews found -----------------------------------------------------------------------

STRETCHED = [0.5, 1.4, 2.6, 3.5, 4.7, 5.5]


@pytest.mark.parametrize("accuracy", [1, 2, 3, 4])
@pytest.mark.parametrize("boundary", [Dirichlet(0.0), (Dirichlet(0.0), Neumann(0.0))], ids=repr)
def test_low_accuracy_at_walls_leaves_operators_regular_on_coordinates(accuracy, boundary):
    """Rows beside a wall straddle their point where three points do, instead of repeating."""
    grid = Grid(Axis(coordinates=STRETCHED, boundary=boundary))
    plan = (D(0) ** 2).on(grid, (6,), edge_order=1, method=FiniteDifference(accuracy))
    assert np.linalg.matrix_rank(plan.matrix("array")) == 6


def test_fluxes_beside_a_wall_straddle_their_face_on_coordinates():
    axis = Axis(coordinates=STRETCHED, faces=np.arange(7.0), boundary=Dirichlet(0.0))
    plan = (D(0, to="centre") @ D(0, to="outer")).on(Grid(axis), (6,), edge_order=1)
    matrix = plan.matrix("array")
    assert np.linalg.matrix_rank(matrix) == 6
    # Of the cell from 0 to 1: the slope over 0.9 to its right less the slope over 0.5 to the wall.
    np.testing.assert_allclose(matrix[0, :2], [-1 / 0.9 - 1 / 0.5, 1 / 0.9], rtol=1e-14)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "float32"])
@pytest.mark.parametrize("name", ["a", "b", "value"])
def test_arrays_of_conditions_are_computed_with_in_double_precision(dtype, name):
    f = np.arange(18.0).reshape(6, 3) ** 2
    found = []
    for kind in (dtype, "float64"):
        given = {"a": 1.0, "b": 2.0, "value": 3.0, name: np.array([1, 2, 3], kind)}
        grid = Grid(Axis(0.1, boundary=(Robin(**given), "one-sided")), None)
        found.append(D(0).on(grid, (6, 3))(f))
    np.testing.assert_array_equal(*found)


def test_distances_next_to_a_place_are_that_place():
    grid = [
        Grid(Axis(coordinates=[0.3, 0.5, 0.8, 1.2], faces=[0.2, 0.35, 0.65, 1.0, 1.4], boundary=b))
        for b in ((Dirichlet(0.2, at=at), "one-sided") for at in ("face", 0.3 - 0.2, 0.1))
    ]
    operator = D(0, at="outer", to="centre")
    first, *others = (operator.on(g, (4,)).matrix("array") for g in grid)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-13, atol=1e-13)


def test_a_wall_within_the_outermost_cell_is_refused_on_coordinates():
    axis = Axis(
        coordinates=[0.3, 0.5, 0.8, 1.2],
        faces=[0.2, 0.4, 0.65, 1.0, 1.4],
        boundary=(Dirichlet(0.0, at=0.01), "one-sided"),
    )
    with pytest.raises(ArgumentValueError, match="puts the wall inside of the first value"):
        D(0, at="outer", to="centre").on(Grid(axis), (4,))


def test_reflections_about_the_next_point_go_on_at_faces():
    """The derivative of an antisymmetric field is symmetric; faces lie on both sides."""
    grid = Grid(Axis(boundary=Antisymmetric(at="next")))
    operator = D(0, at="outer", to="centre") @ D(0, to="outer")
    matrix = operator.on(grid, (12,), method=FiniteDifference(4)).matrix("array")
    np.testing.assert_array_equal(matrix, matrix.T)


def test_distances_of_walls_may_be_times():
    times = np.array(["2026-01-01", "2026-01-02", "2026-01-04", "2026-01-07"], "M8[D]")
    f = (times - times[0]).astype(float) ** 2
    boundary = (Dirichlet(1.0, at=np.timedelta64(24, "h")), "one-sided")
    plan = D(0, 2).on(Grid(Axis(coordinates=times, boundary=boundary, unit="D")), (4,))
    np.testing.assert_allclose(plan(f), [2, 2, 2, 2], rtol=1e-13)
    for at in (np.timedelta64("NaT"), np.timedelta64(-1, "s")):
        with pytest.raises(ArgumentValueError, match="is not a distance"):
            Dirichlet(0.0, at=at)


def test_integers_beyond_2_to_the_53_meet_integers_at_walls_exactly():
    grid = Grid(Axis(boundary=(Dirichlet(2**60 - 1, at="next"), "one-sided")))
    plan = D(0).on(grid, (5,))
    np.testing.assert_array_equal(plan(2**60 + np.arange(5)), np.ones(5))


def test_what_the_linear_part_does_not_use_it_does_not_hold():
    plan = D(0, 2).on(Grid(Axis(boundary=Dirichlet(np.ones(3) * 1j)), None), (5, 3))
    assert plan(np.ones((5, 3))).dtype == np.complex128
    for linear in (plan.linear, plan.T, plan.H):
        assert linear.parameters == ()
        assert linear(np.ones((5, 3))).dtype == np.float64


def test_values_without_imaginary_part_are_real():
    assert derivative(np.ones(5), boundary=Dirichlet(1 + 0j)).dtype == np.float64


@pytest.mark.parametrize("on_host", range(8))
def test_parts_of_a_condition_may_lie_on_the_host(library, rng, on_host):
    f, wall = rng.standard_normal((7, 9)), np.linspace(1.0, 2.0, 9)

    def second(f, *parts):
        grid = Grid(Axis(spacing=0.5, boundary=(Robin(*parts), "one-sided")), Axis())
        return (D(0) ** 2).on(grid, (7, 9))(f)

    parts = [wall, 2 * wall, 3 * wall]
    there = [
        part if on_host >> i & 1 else library.asarray(part, "float64")
        for i, part in enumerate(parts)
    ]
    result = library.to_numpy(second(library.asarray(f, "float64"), *there))
    np.testing.assert_allclose(result, second(f, *parts), rtol=1e-12, atol=1e-12)


def test_a_condition_of_two_libraries_is_refused():
    torch, jnp = pytest.importorskip("torch"), pytest.importorskip("jax.numpy")
    wall = Robin(torch.ones(9), jnp.ones(9), 1.0)
    with pytest.raises(ArgumentTypeError, match=r"b is a jax .* array but a is a torch"):
        D(0).on(Grid(Axis(boundary=wall), Axis()), (7, 9))


def test_a_factor_with_a_gradient_stands_beside_an_array_on_the_host():
    torch = pytest.importorskip("torch")
    f, wall = torch.linspace(0, 1, 63).reshape(7, 9), np.linspace(1.0, 2.0, 9)
    b = torch.ones(9, requires_grad=True)
    grid = Grid(Axis(boundary=Robin(wall, b, wall)), Axis())
    D(0).on(grid, (7, 9))(f).sum().backward()
    assert b.grad is not None
    assert bool(b.grad.abs().sum() > 0)
