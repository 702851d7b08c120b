"""Finite differences along one axis: exactness, convergence, ends, wrapping, extreme spacings.

Expected values are exact fractions or analytic derivatives. Where a result may be rounded, the
bound follows from the arithmetic: n weighted differences, each of a rounded difference (1/2 ulp),
times a rounded weight (1/2), rounded (1/2), in a sum of n terms ((n - 1)/2), over up to three
rounded divisors (3), which is less than (n/2 + 4) ulps of the sum of the magnitudes. Weights on
coordinates are computed in longdouble, or in float64 for three points, within another ulp.
"""

import threading
import time
from fractions import Fraction
from math import factorial, perm

import numpy as np
import pytest

from gradkit import Axis, D, Dirichlet, FiniteDifference, Grid, Stencil, derivative, gradient
from gradkit._threads import in_blocks
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.methods import coordinates

ORDERS = (1, 2, 3, 4)
EVEN = (2, 4, 6, 8)
ODD = (1, 3, 5, 7)
EPS = np.finfo(float).eps


def make_plan(axis, size, order, accuracy, edge_order=None):
    method = FiniteDifference(accuracy)
    return D(0, order).on(Grid(axis), (size,), method=method, edge_order=edge_order)


def rule_of(plan):
    """The rule of a plan that has a single one."""
    ((chain,),) = plan.bound.outputs
    (step,) = chain.steps
    return step.rule


def reach_of(order, accuracy):
    """Points on each side of the centred stencil on a uniform axis, counted by hand."""
    return {1: 0, 2: 0, 3: 1, 4: 1}[order] + (accuracy + 1) // 2


def magnitude(plan, f):
    """Per row, the number of terms and the exact sum of |weight * difference|."""
    rule = rule_of(plan)
    sizes = []
    for rows in rule.rows:
        for i in range(rows.start, rows.stop):
            table = isinstance(rows.weights, np.ndarray)
            weights = rows.weights[:, i - rows.start] if table else rows.weights
            total = sum(
                abs(
                    Fraction(*w.as_integer_ratio())
                    * (f[(i + high) % len(f)] - f[(i + low) % len(f)])
                )
                for (high, low), w in zip(rows.pairs, weights, strict=True)
            )
            sizes.append((len(rows.pairs), total / abs(rule.scale)))
    return sizes


def assert_exact_to_rounding(plan, f, expected):
    """Compare with exact fractions; `f` holds numbers of the dtype that is computed with."""
    result = plan(f)
    eps = Fraction(float(np.finfo(result.dtype).eps))
    values = [Fraction(float(v)) for v in f]
    for value, wanted, (terms, size) in zip(result, expected, magnitude(plan, values), strict=True):
        bound = (Fraction(terms, 2) + 5) * eps * size
        assert abs(Fraction(float(value)) - wanted) <= bound


def interpolant_derivative(nodes, values, at, order):
    """The derivative at `at` of the polynomial through all points, in fractions (Newton's form)."""
    nodes = [x - at for x in nodes]
    divided = list(values)
    for k in range(1, len(nodes)):
        for i in range(len(nodes) - 1, k - 1, -1):
            divided[i] = (divided[i] - divided[i - 1]) / (nodes[i] - nodes[i - k])
    coefficients = [Fraction(0)]
    for node, top in zip(reversed(nodes), reversed(divided), strict=True):
        shifted = [Fraction(0), *coefficients]
        coefficients = [
            a - node * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)
        ]
        coefficients[0] += top
    return coefficients[order] * factorial(order)


# --- polynomials ----------------------------------------------------------------------------------


def polynomial(rng, degree):
    """Integer coefficients, so that values at small integers are exact; none is 0."""
    return [int(c) for c in rng.integers(1, 4, degree + 1) * rng.choice([-1, 1], degree + 1)]


def evaluate(coefficients, nodes, order=0):
    return [
        sum(c * perm(j, order) * t ** (j - order) for j, c in enumerate(coefficients) if j >= order)
        for t in nodes
    ]


def rough_nodes(rng, size, largest_gap=3):
    """Integers with random gaps from 1, about 0."""
    nodes = np.cumsum(rng.integers(1, largest_gap + 1, size))
    return [int(x) for x in nodes - nodes[size // 2]]


@pytest.mark.parametrize("accuracy", range(1, 9))
@pytest.mark.parametrize("order", ORDERS)
class TestPolynomials:
    """Every row, those at the ends too, is exact up to degree order + accuracy - 1."""

    @pytest.mark.parametrize("spacing", [1.0, 0.1, -3.0])
    def test_equal_spacing(self, rng, order, accuracy, spacing):
        size = order + accuracy + 6
        nodes = range(-(size // 2), size - size // 2)
        coefficients = polynomial(rng, order + accuracy - 1)
        f = evaluate(coefficients, nodes)
        assert max(map(abs, f)) < 2**53  # so that float64 holds them exactly
        plan = make_plan(Axis(spacing=spacing), size, order, accuracy)
        slopes = evaluate(coefficients, nodes, order)
        expected = [s / Fraction(spacing) ** order for s in slopes]
        assert_exact_to_rounding(plan, np.array(f, float), expected)

    @pytest.mark.parametrize("direction", [1, -1])
    def test_rough_coordinates(self, rng, order, accuracy, direction):
        nodes = rough_nodes(rng, order + accuracy + 6)[::direction]
        coefficients = polynomial(rng, order + accuracy - 1)
        f = evaluate(coefficients, nodes)
        assert max(map(abs, f)) < 2**53
        plan = make_plan(Axis(coordinates=nodes), len(nodes), order, accuracy)
        assert_exact_to_rounding(plan, np.array(f, float), evaluate(coefficients, nodes, order))

    def test_ends_of_another_accuracy(self, rng, order, accuracy):
        """`edge_order` below, at and above the accuracy: the lower of the two degrees is exact."""
        for edge_order in (1, 2, accuracy + 3):
            size = order + max(edge_order, accuracy) + 6
            nodes = rough_nodes(rng, size)
            coefficients = polynomial(rng, order + min(edge_order, accuracy) - 1)
            for points in (nodes, range(size)):
                f = np.array(evaluate(coefficients, points), float)
                axis = Axis(coordinates=list(points))
                plan = make_plan(axis, size, order, accuracy, edge_order)
                assert_exact_to_rounding(plan, f, evaluate(coefficients, points, order))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", EVEN)
def test_one_degree_more_is_not_exact(rng, order, accuracy):
    """So that the tests above mean something: degree order + accuracy shows the leading error."""
    nodes = range(-8, 9)
    f = np.array(evaluate([0] * (order + accuracy) + [1], nodes), float)
    result = make_plan(Axis(), 17, order, accuracy)(f)
    exact = evaluate([0] * (order + accuracy) + [1], nodes, order)
    assert (result != np.array(exact, float)).all()


@pytest.mark.parametrize("largest_gap", [3, 10**6])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", range(1, 9))
def test_with_just_enough_points_every_row_belongs_to_one_polynomial(
    rng, order, accuracy, largest_gap
):
    size = order + accuracy
    nodes = rough_nodes(rng, size, largest_gap)
    f = rng.integers(-1000, 1000, size)
    expected = [
        interpolant_derivative(
            [Fraction(x) for x in nodes], [Fraction(int(v)) for v in f], Fraction(at), order
        )
        for at in nodes
    ]
    plan = make_plan(Axis(coordinates=nodes), size, order, accuracy)
    assert_exact_to_rounding(plan, f.astype(float), expected)


@pytest.mark.parametrize("gaps", [(1e-9, 0.7), (0.7, 1e-9), (2.0**400, 2.0**-400)])
def test_slopes_where_neighbouring_gaps_differ_by_many_orders_of_magnitude(gaps):
    """Rows at the ends, too, where positions counted from the end would lose the smaller gap."""
    start = 0.0 if gaps[0] < gaps[1] else -gaps[0]
    nodes = [start, start + gaps[0], start + gaps[0] + gaps[1]]
    f = [0.0, 1.0, 3.0]
    for direction in (1, -1):
        points = nodes[::direction]
        exact = [Fraction(x) for x in points]
        expected = [interpolant_derivative(exact, [*map(Fraction, f)], at, 1) for at in exact]
        plan = make_plan(Axis(coordinates=points), 3, 1, 2)
        np.testing.assert_allclose(plan(np.array(f)), [*map(float, expected)], rtol=4 * EPS)


def test_stencils_of_ones_own_reach_beyond_the_points_at_an_end(rng):
    """Rows that are none of the three points which the end gives them have its parabola, too."""
    nodes = rough_nodes(rng, 12)
    own = Stencil([-5, -4, -3], 1)
    f = np.array([x * x for x in nodes], float)
    plan = D(0, stencil=own).on(Grid(Axis(coordinates=nodes)), (12,))
    np.testing.assert_allclose(plan(f), [2.0 * x for x in nodes], rtol=64 * EPS, atol=64 * EPS)


# --- constants ------------------------------------------------------------------------------------

CONSTANTS = (300.1, 1013.25, 1e30, -0.1, 1 / 3, 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("accuracy", range(1, 9))
@pytest.mark.parametrize("order", ORDERS)
def test_constants_give_exactly_0(rng, order, accuracy, dtype):
    size = 2 * (order + accuracy) + 3
    f = np.repeat(np.array(CONSTANTS, dtype)[:, np.newaxis], size, axis=1)
    random = np.sort(rng.uniform(0, 1, size))
    period = 1.5
    for x, boundary, wrap in (
        (0.1, "one-sided", None),
        (0.1, "periodic", None),
        (random, "one-sided", None),
        (random[::-1], "one-sided", None),
        (random, "periodic", period),
    ):
        for edge_order in (None, 1, 2):
            result = derivative(
                f,
                x,
                order=order,
                accuracy=accuracy,
                edge_order=edge_order,
                boundary=boundary,
                period=wrap,
            )
            assert result.dtype == dtype
            assert (result == 0).all()


# --- convergence ----------------------------------------------------------------------------------
#
# The functions are truncated exponentials, sum (K t)**j / j! up to degree p = order + accuracy,
# with t measured from the row under test: every smooth function is one of these plus terms of
# higher order in the spacing h, and here these are absent, so that they do not bend the slope. A
# stencil that is wrong on any lower degree still shows, for all coefficients are there. Sizes and K
# are chosen so that K h runs from 0.83 down to 0.31: the truncation error, of the order of
# (K h)**accuracy times 1e-5 to 1, stays above 1e-9 of the derivative, and rounding below 1e-11.
# Stretched grids have five times the points, because the change of the spacing along one stencil
# bends the slope in proportion to h.

SIZES = np.array([121, 161, 241, 321])
STRETCHED_SIZES = 5 * (SIZES - 1) + 1
GROWTH_PER_POINT = 100 / 320


def truncated_exponential(t, growth, degree, order=0):
    terms = (growth**j * t ** (j - order) / factorial(j - order) for j in range(order, degree + 1))
    return sum(terms, start=np.zeros_like(t))


def uniform(size):
    return np.arange(size) / (size - 1)


def sine_stretched(size):
    s = uniform(size)
    return s + 0.1 * np.sin(2 * np.pi * s)


def tanh_stretched(size):
    return np.tanh(2 * uniform(size) - 1)


def squeezed_backwards(size):
    s = uniform(size)
    return -s * (1 + s) / 2


GRIDS = [uniform, sine_stretched, tanh_stretched, squeezed_backwards]


def fitted_slope(sizes, errors):
    return np.polyfit(-np.log(np.subtract(sizes, 1)), np.log(np.array(errors, float)), 1)[0]


#: Points of the grid that are computed with, around the rows under test.
WINDOW = 41


def slope_of_errors(grid, order, accuracy, edge_order, degree, places):
    """Fit the largest errors in some rows of some windows of a grid.

    `places(size)` lists the first point of each window, the row from which t counts and the rows
    under test, both counted in the window.
    """
    sizes = SIZES if grid is uniform else STRETCHED_SIZES
    growth = GROWTH_PER_POINT * (sizes[-1] - 1)
    errors = []
    for size in sizes:
        worst = 0
        for first, origin, rows in places(int(size)):
            x = grid(size)[first : first + WINDOW]
            t = x - x[origin]
            axis = Axis(spacing=1 / (size - 1)) if grid is uniform else Axis(coordinates=x)
            plan = make_plan(axis, WINDOW, order, accuracy, edge_order)
            result = plan(truncated_exponential(t, growth, degree))
            error = abs(result - truncated_exponential(t, growth, degree, order))
            worst = max(worst, error[rows].max())
        errors.append(worst)
    return fitted_slope(sizes, errors)


def slope_at_ends(grid, order, accuracy, edge_order, degree):
    reach = reach_of(order, accuracy)

    def both_ends(size):
        return [(0, 0, slice(reach)), (size - WINDOW, -1, slice(-reach, None))]

    return slope_of_errors(grid, order, accuracy, edge_order, degree, both_ends)


def slope_inside(grid, order, accuracy, degree):
    """At a quarter and half of the way, which are grid points for all sizes."""

    def quarters(size):
        middle = WINDOW // 2
        return [(k * (size - 1) // 4 - middle, middle, [middle]) for k in (1, 2)]

    return slope_of_errors(grid, order, accuracy, None, degree, quarters)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.__name__)
@pytest.mark.parametrize("accuracy", EVEN)
@pytest.mark.parametrize("order", ORDERS)
def test_error_converges_with_the_accuracy_inside(grid, order, accuracy):
    assert slope_inside(grid, order, accuracy, order + accuracy) == pytest.approx(accuracy, abs=0.1)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.__name__)
@pytest.mark.parametrize("accuracy", EVEN)
@pytest.mark.parametrize("order", ORDERS)
def test_error_converges_with_the_accuracy_at_the_ends(grid, order, accuracy):
    slope = slope_at_ends(grid, order, accuracy, None, order + accuracy)
    assert slope == pytest.approx(accuracy, abs=0.1)


@pytest.mark.parametrize("grid", GRIDS[:2], ids=lambda grid: grid.__name__)
@pytest.mark.parametrize("accuracy", ODD)
@pytest.mark.parametrize("order", ORDERS)
def test_odd_accuracies_hold_at_the_ends_and_gain_one_inside(grid, order, accuracy):
    slope = slope_at_ends(grid, order, accuracy, None, order + accuracy)
    assert slope == pytest.approx(accuracy, abs=0.1)
    inside = slope_inside(grid, order, accuracy, order + accuracy + 1)
    assert inside == pytest.approx(accuracy + 1, abs=0.1)


@pytest.mark.parametrize("grid", [uniform, sine_stretched], ids=lambda grid: grid.__name__)
@pytest.mark.parametrize(
    ("order", "accuracy", "edge_order"),
    [(1, 2, 1), (1, 8, 1), (1, 8, 3), (2, 2, 5), (2, 6, 2), (3, 2, 4), (4, 4, 1), (1, 1, 6)],
)
def test_edge_order_is_the_accuracy_of_the_ends(grid, order, accuracy, edge_order):
    slope = slope_at_ends(grid, order, accuracy, edge_order, order + edge_order)
    assert slope == pytest.approx(edge_order, abs=0.1)


def wave(x, order, *numbers):
    """The sum of sin(k x) over the wave numbers k, differentiated."""
    turn = order * np.arctan(x.dtype.type(1)) * 2
    return sum(k**order * np.sin(k * x + turn) for k in numbers)


WAVE_NUMBERS = {"periodic": (1, 2), "antiperiodic": (0.5, 1.5)}


def slope_around(order, accuracy, boundary, stretching, margin):
    """Fit the largest errors of all rows of a wrapping axis.

    The sizes follow from the rounding of longdouble, whatever it is here: the truncation error
    falls like (k h)**accuracy, rounding grows like eps / (k h)**order, and the smallest k h is
    where the first is `margin` times the second, but not below 0.02.
    """
    eps = float(np.finfo(np.longdouble).eps)
    numbers = WAVE_NUMBERS[boundary]
    smallest = max(0.02, (margin * eps) ** (1 / (order + accuracy)))
    largest_size = max(numbers) * 2 * np.pi / smallest
    sizes = [round(largest_size * part) for part in (0.6, 0.7, 0.8, 0.9, 1.0)]
    period = 8 * np.arctan(np.longdouble(1))
    errors = []
    for size in sizes:
        s = np.arange(size, dtype=np.longdouble) / size * period
        x = s + stretching * np.sin(s)
        axis = Axis(spacing=period / size, boundary=boundary)
        if stretching:
            axis = Axis(coordinates=x, boundary=boundary, period=period)
        f = wave(x, 0, *numbers)
        result = make_plan(axis, size, order, accuracy)(f)
        assert result.dtype == np.longdouble
        errors.append(abs(result - wave(x, order, *numbers)).max())
    return fitted_slope(np.add(sizes, 1), errors)


@pytest.mark.parametrize("boundary", WAVE_NUMBERS)
@pytest.mark.parametrize("accuracy", EVEN)
@pytest.mark.parametrize("order", ORDERS)
def test_error_converges_with_the_accuracy_all_around_a_wrapping_axis(order, accuracy, boundary):
    """The constant of the truncation error is at least 1e-5; it then is 100 times the rounding."""
    slope = slope_around(order, accuracy, boundary, stretching=0, margin=1e7)
    assert slope == pytest.approx(accuracy, abs=0.1)


@pytest.mark.parametrize("boundary", WAVE_NUMBERS)
@pytest.mark.parametrize("accuracy", [2, 4])
@pytest.mark.parametrize("order", ORDERS)
def test_error_converges_on_wrapping_coordinates(order, accuracy, boundary):
    """Spacings between 0.8 and 1.2 of the mean; the constant is at least 1e-3."""
    slope = slope_around(order, accuracy, boundary, stretching=0.2, margin=1e5)
    assert slope == pytest.approx(accuracy, abs=0.1)


# --- symmetries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", [2, 3, 8])
class TestWrapping:
    """Every row of a wrapping axis is the interior row of the sequence continued by hand."""

    size = 13

    def continued(self, f, sign):
        return np.concatenate([sign * f, f, sign * f])

    @pytest.mark.parametrize(("boundary", "sign"), [("periodic", 1), ("antiperiodic", -1)])
    def test_equal_spacing(self, rng, order, accuracy, boundary, sign):
        f = rng.normal(size=self.size)
        result = derivative(f, 0.1, order=order, accuracy=accuracy, boundary=boundary)
        whole = derivative(self.continued(f, sign), 0.1, order=order, accuracy=accuracy)
        np.testing.assert_array_equal(result, whole[self.size : 2 * self.size], strict=True)

    @pytest.mark.parametrize("direction", [1, -1])
    @pytest.mark.parametrize(("boundary", "sign"), [("periodic", 1), ("antiperiodic", -1)])
    def test_coordinates(self, rng, order, accuracy, boundary, sign, direction):
        f = rng.normal(size=self.size)
        x = direction * np.cumsum(rng.integers(1, 4, self.size)) / 8
        period = abs(x[-1] - x[0]) + 0.25
        step = direction * period
        result = derivative(f, x, order=order, accuracy=accuracy, boundary=boundary, period=period)
        whole = derivative(
            self.continued(f, sign),
            np.concatenate([x - step, x, x + step]),
            order=order,
            accuracy=accuracy,
        )
        # The scale of distances, a power of two, differs between the grids: no rounding does.
        np.testing.assert_array_equal(result, whole[self.size : 2 * self.size], strict=True)

    def test_shifted_data_give_shifted_results(self, rng, order, accuracy):
        f = rng.normal(size=self.size)
        result = derivative(f, 0.3, order=order, accuracy=accuracy, boundary="periodic")
        for shift in (1, 5, -2):
            shifted = derivative(
                np.roll(f, shift), 0.3, order=order, accuracy=accuracy, boundary="periodic"
            )
            np.testing.assert_array_equal(shifted, np.roll(result, shift), strict=True)

    def test_antiperiodic_data_change_sign_as_they_come_around(self, rng, order, accuracy):
        f = rng.normal(size=self.size)
        result = derivative(f, 0.3, order=order, accuracy=accuracy, boundary="antiperiodic")
        turned = np.concatenate([f[3:], -f[:3]])
        shifted = derivative(turned, 0.3, order=order, accuracy=accuracy, boundary="antiperiodic")
        wanted = np.concatenate([result[3:], -result[:3]])
        np.testing.assert_array_equal(shifted, wanted, strict=True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", [1, 2, 5, 8])
def test_negative_spacing_changes_the_sign_of_odd_orders_alone(rng, order, accuracy):
    f = rng.normal(size=20)
    forward = derivative(f, 0.1, order=order, accuracy=accuracy)
    backward = derivative(f, -0.1, order=order, accuracy=accuracy)
    np.testing.assert_array_equal(backward, (-1) ** order * forward, strict=True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", [1, 2, 5, 8])
def test_reversed_data_on_reversed_coordinates_give_reversed_results(rng, order, accuracy):
    f = rng.integers(-100, 100, 20).astype(float)
    for x in (np.cumsum(rng.integers(1, 4, 20)), np.arange(20)):
        axis = Axis(coordinates=x[::-1])
        plan = make_plan(axis, 20, order, accuracy)
        forward = make_plan(Axis(coordinates=x), 20, order, accuracy)(f)
        backward = plan(f[::-1].copy())
        for value, mirrored, (terms, size) in zip(
            backward, forward[::-1], magnitude(plan, [Fraction(v) for v in f[::-1]]), strict=True
        ):
            # both are within (n/2 + 5) ulps of the exact value
            assert abs(value - mirrored) <= (terms + 10) * np.finfo(float).eps * float(size)


def test_coordinates_that_are_equally_spaced_give_what_a_spacing_gives(rng):
    f = rng.normal(size=30)
    for order in ORDERS:
        np.testing.assert_array_equal(
            derivative(f, 0.25 * np.arange(30) - 7, order=order),
            derivative(f, 0.25, order=order),
            strict=True,
        )


# --- how far stencils reach, and how many points they need ----------------------------------------


def as_matrix(axis, size, order, accuracy, edge_order=None):
    """The derivative as a matrix: its columns are the answers to unit vectors."""
    method = FiniteDifference(accuracy)
    plan = D(0, order).on(Grid(axis, None), (size, size), method=method, edge_order=edge_order)
    return plan, plan(np.eye(size))


def distances(matrix, rows):
    return {abs(int(i) - int(j)) for i in rows for j in np.flatnonzero(matrix[i])}


@pytest.mark.parametrize("accuracy", range(1, 9))
@pytest.mark.parametrize("order", ORDERS)
def test_interior_rows_reach_as_far_as_the_narrowest_centred_stencil(order, accuracy):
    reach = reach_of(order, accuracy)
    size = 6 * (reach + order)
    middle = range(2 * (reach + order), 4 * (reach + order))
    _, on_uniform = as_matrix(Axis(), size, order, accuracy)
    assert max(distances(on_uniform, middle)) == reach
    rough = np.cumsum(1 + np.arange(size) % 3)
    _, on_coordinates = as_matrix(Axis(coordinates=rough), size, order, accuracy)
    # an even order needs one point more on a rough grid for the same accuracy
    assert max(distances(on_coordinates, middle)) == reach + (order % 2 == 0)


@pytest.mark.parametrize("edge_order", [None, 1, 2, 9])
@pytest.mark.parametrize("accuracy", [1, 2, 3, 8])
@pytest.mark.parametrize("order", ORDERS)
def test_the_halo_is_the_longest_distance_in_the_matrix(order, accuracy, edge_order):
    size = 30
    rough = np.cumsum(1 + np.arange(size) % 3)
    for axis in (Axis(), Axis(coordinates=rough)):
        plan, matrix = as_matrix(axis, size, order, accuracy, edge_order)
        assert plan.halo == (max(distances(matrix, range(size))), 0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", [1, 2, 3, 8])
def test_the_halo_of_a_wrapping_axis_is_that_of_the_centred_stencil(order, accuracy):
    reach = reach_of(order, accuracy)
    plan = make_plan(Axis(boundary="periodic"), 30, order, accuracy)
    assert plan.halo == (reach,)
    x = np.cumsum(1 + np.arange(30) % 3)
    wrapped = Axis(coordinates=x, boundary="antiperiodic", period=100)
    assert make_plan(wrapped, 30, order, accuracy).halo == (reach + (order % 2 == 0),)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", [2, 4, 8])
def test_the_first_row_uses_the_first_points_that_its_accuracy_needs(order, accuracy):
    for edge_order in (1, 2, accuracy, accuracy + 2):
        _, matrix = as_matrix(Axis(), 30, order, accuracy, edge_order)
        assert np.flatnonzero(matrix[0]).tolist() == list(range(order + edge_order))
        assert np.flatnonzero(matrix[-1]).tolist() == list(range(30 - order - edge_order, 30))


def test_rows_near_an_end_prefer_a_narrower_centred_stencil_that_is_accurate_enough():
    _, matrix = as_matrix(Axis(), 30, 1, 8, edge_order=1)
    widths = [sorted(distances(matrix, [i])) for i in range(6)]
    assert widths == [[0, 1], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4]]
    _, matrix = as_matrix(Axis(), 30, 1, 8, edge_order=5)
    used = [np.flatnonzero(matrix[i]).tolist() for i in range(4)]
    assert used[:3] == [list(range(6))] * 3
    assert used[3] == [0, 1, 2, 4, 5, 6]  # centred, accuracy 6


@pytest.mark.parametrize("edge_order", [None, 1, 3, 10])
@pytest.mark.parametrize("accuracy", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("order", ORDERS)
def test_an_axis_may_be_as_short_as_its_stencils_and_no_shorter(rng, order, accuracy, edge_order):
    edge = accuracy if edge_order is None else edge_order
    needed = order + max(edge, accuracy - 1)
    coefficients = polynomial(rng, order + min(edge, accuracy) - 1)
    for nodes in (range(needed), rough_nodes(rng, needed)):
        plan = make_plan(Axis(coordinates=list(nodes)), needed, order, accuracy, edge_order)
        f = np.array(evaluate(coefficients, nodes), float)
        assert_exact_to_rounding(plan, f, evaluate(coefficients, nodes, order))
        if needed == 2:
            continue
        short = Axis(coordinates=list(nodes)[1:])
        with pytest.raises(
            ArgumentValueError,
            match=rf"axis 0 has {needed - 1} points.* order {order} with accuracy {accuracy} and "
            rf"edge_order {edge} needs at least {needed}",
        ):
            make_plan(short, needed - 1, order, accuracy, edge_order)


@pytest.mark.parametrize("accuracy", [1, 2, 4, 7])
@pytest.mark.parametrize("order", ORDERS)
def test_a_wrapping_axis_may_be_as_short_as_its_stencil_and_no_shorter(rng, order, accuracy):
    needed = 2 * reach_of(order, accuracy) + 1
    f = rng.normal(size=needed)
    result = derivative(f, order=order, accuracy=accuracy, boundary="periodic")
    whole = derivative(np.tile(f, 3), order=order, accuracy=accuracy)[needed : 2 * needed]
    np.testing.assert_array_equal(result, whole)
    with pytest.raises(
        ArgumentValueError, match=rf"{needed - 1} points.*periodic ends needs at least {needed}"
    ):
        derivative(f[1:], order=order, accuracy=accuracy, boundary="periodic")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", [2, 4, 8])
def test_rows_at_a_wall_one_spacing_beyond_the_end_are_those_of_an_axis_with_one_point_more(
    rng, order, accuracy
):
    """The value known at the wall is a point of the grid like all others."""
    size = 2 * (order + accuracy)
    f = [int(v) for v in rng.integers(-50, 50, size)]
    method = FiniteDifference(accuracy)
    ends = tuple(Dirichlet(float(v), at="next") for v in (f[0], f[-1]))
    walled = D(0, order).on(Grid(Axis(spacing=0.5, boundary=ends)), (size - 2,), method=method)
    nodes = [Fraction(k, 2) for k in range(size)]
    reach = reach_of(order, accuracy)
    result = walled(np.array(f[1:-1], float))
    for i in range(1, size - 1):
        # the first or last points where the centred stencil does not fit, as without a wall
        fits = reach <= i < size - reach
        count = order + accuracy
        first = i - reach if fits else 0 if i < reach else size - count
        taken = slice(first, i + reach + 1 if fits else first + count)
        exact = interpolant_derivative(
            nodes[taken], [Fraction(v) for v in f[taken]], nodes[i], order
        )
        # 30 roundings of values up to 50, with weights that add up to 19276 for 12 points
        assert abs(Fraction(result[i - 1]) - exact) <= 30 * 2**-53 * 50 * 19276 * 2**order


def test_derivatives_from_centres_to_centres_do_not_depend_on_faces(rng):
    f = rng.normal(size=12)
    for x in (np.cumsum(rng.uniform(0.5, 1.5, 12)), np.arange(12.0)):
        faces = np.concatenate([[x[0] - 1], x[:-1] + rng.uniform(0.2, 0.4, 11), [x[-1] + 3]])
        for order in ORDERS:
            bare, faced = (
                make_plan(axis, 12, order, 4)
                for axis in (Axis(coordinates=x), Axis(coordinates=x, faces=faces))
            )
            for value, wanted, (terms, size) in zip(
                faced(f), bare(f), magnitude(bare, [Fraction(v) for v in f]), strict=True
            ):
                # both are within (n/2 + 5) ulps of the exact value
                assert abs(value - wanted) <= (terms + 10) * np.finfo(float).eps * float(size)


# --- spacings of every size and kind --------------------------------------------------------------

EXTREMES = [
    ("float64", 1e-200, 1, 1.0),
    ("float64", 1e-300, 1, 1e-10),
    ("float64", 1e200, 1, 1.0),
    ("float64", 1e-160, 2, 1e-30),
    ("float64", 1e160, 2, 1e30),
    ("float64", 1e-70, 4, 1e-20),
    ("float64", 1e70, 4, 1.0),
    ("float32", 1e-30, 1, 1.0),
    ("float32", 1e30, 1, 1.0),
    ("float32", 1e-40, 1, 1e-10),
    ("float32", 1e40, 1, 1e20),
    ("float32", 1e-18, 2, 1.0),
    ("float32", 1e-30, 2, 1e-30),
    ("float32", 1e30, 2, 1e30),
    ("float32", 1e-10, 4, 1e-10),
    ("float32", 1e10, 4, 1e10),
]


@pytest.mark.parametrize("accuracy", [2, 6])
@pytest.mark.parametrize(("dtype", "spacing", "order", "size"), EXTREMES)
def test_tiny_and_huge_spacings_neither_overflow_nor_underflow(
    rng, dtype, spacing, order, size, accuracy
):
    """With order + accuracy points every row is the derivative of one polynomial."""
    count = order + accuracy
    f = (size * rng.uniform(1, 2, count)).astype(dtype)
    values = [Fraction(float(v)) for v in f]
    rough = spacing * np.array([0, 1, 2.5, 3, 5, 5.5, 7, 9, 9.5, 11][:count])
    for axis, nodes in (
        (Axis(spacing=spacing), [k * Fraction(spacing) for k in range(count)]),
        (Axis(coordinates=rough), [Fraction(x) for x in rough]),
    ):
        plan = make_plan(axis, count, order, accuracy)
        result = plan(f)
        assert np.isfinite(result).all()
        assert (result != 0).all()
        wanted = [interpolant_derivative(nodes, values, at, order) for at in nodes]
        assert_exact_to_rounding(plan, f, wanted)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("decades", [30, 60, 150])
def test_coordinates_over_many_decades_keep_the_weights_of_all_differences(rng, decades, order):
    """Positions far from a row are equal when they are rounded; the distances between them are not.

    With seven points every row is the derivative of one polynomial.
    """
    x = 10.0 ** np.linspace(-decades / 2, decades / 2, 7)
    f = rng.integers(-50, 50, 7).astype(float)
    nodes, values = [Fraction(v) for v in x], [Fraction(v) for v in f]
    plan = make_plan(Axis(coordinates=x), 7, order, 7 - order)
    assert_exact_to_rounding(
        plan, f, [interpolant_derivative(nodes, values, at, order) for at in nodes]
    )


def test_slopes_at_very_different_distances_are_neither_clipped_nor_lost():
    """Intervals of 1e-300 beside some of 1e307 and more; slopes within the range of float64."""
    x = np.array([0.0, 1e-300, 2e-300, 1e307, 1e308])
    f = np.arange(5.0)
    slopes = [
        Fraction(b - a) / Fraction(y - x)
        for a, b, x, y in zip(f[:-1], f[1:], x[:-1], x[1:], strict=True)
    ]
    found = gradient(f, x)
    np.testing.assert_allclose(found[[0, -1]], [float(slopes[0]), float(slopes[-1])], rtol=4 * EPS)
    for i in (1, 2, 3):
        before, after = Fraction(x[i] - x[i - 1]), Fraction(x[i + 1] - x[i])
        wanted = (slopes[i - 1] * after + slopes[i] * before) / (before + after)
        assert abs(found[i] - float(wanted)) <= 4 * EPS * float(wanted)
    mirrored = -gradient(f[::-1], -x[::-1])[::-1]
    np.testing.assert_allclose(mirrored, found, rtol=4 * EPS)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_coordinates_of_low_precision_are_taken_at_their_exact_values(rng, dtype):
    x = np.unique(rng.uniform(0, 2, 9).astype(dtype))
    f = rng.integers(-50, 50, len(x)).astype(float)
    nodes, values = [Fraction(float(v)) for v in x], [Fraction(v) for v in f]
    plan = make_plan(Axis(coordinates=x), len(x), 1, len(x) - 1)
    expected = [interpolant_derivative(nodes, values, at, 1) for at in nodes]
    assert_exact_to_rounding(plan, f, expected)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("uint8", [250, 130, 100, 7]),
        ("int8", [-128, -1, 0, 127]),
        ("uint64", [0, 2**60, 2**60 + 1, 2**64 - 1]),
        ("int64", [2**63 - 1, 5, 4, -(2**63)]),
    ],
)
def test_integer_coordinates_do_not_wrap_around(dtype, values):
    x = np.array(values, dtype)
    f = np.array([3.0, -1.0, 8.0, 5.0])
    nodes, data = [Fraction(v) for v in values], [Fraction(v) for v in f]
    plan = make_plan(Axis(coordinates=x), 4, 1, 3)
    assert_exact_to_rounding(plan, f, [interpolant_derivative(nodes, data, at, 1) for at in nodes])


@pytest.mark.parametrize(
    "spacing",
    [
        2,
        2.0,
        np.float16(2),
        np.float32(2),
        np.float64(2),
        np.longdouble(2),
        np.int8(2),
        Fraction(2),
    ],
    ids=lambda spacing: type(spacing).__name__,
)
def test_a_spacing_may_be_a_number_of_any_kind(spacing):
    f = np.array([0.0, 1.0, 4.0, 9.0], "float32")
    for result in (gradient(f, spacing), derivative(f, spacing, edge_order=1)):
        assert result.dtype == np.float32
        assert result.tolist() == [0.5, 1.0, 2.0, 2.5]


@pytest.mark.parametrize("bounds", [(0, 1), (0, 2 * np.pi), (-1, 1), (100, 101), (1e6, 1e6 + 1)])
@pytest.mark.parametrize("count", [5, 11, 101, 1001])
def test_rounded_linspace_is_no_less_accurate_than_numpy(bounds, count):
    """Oracle: the same three-point formula on the same points, in exact fractions."""
    x = np.linspace(*bounds, count)
    f = np.exp((x - x[0]) / (x[-1] - x[0]))
    nodes, values = [Fraction(v) for v in x], [Fraction(v) for v in f]
    oracle = [
        interpolant_derivative(nodes[i - 1 : i + 2], values[i - 1 : i + 2], nodes[i], 1)
        for i in range(1, count - 1)
    ]

    def worst(result):
        return max(float(abs(Fraction(v) - o)) for v, o in zip(result[1:-1], oracle, strict=True))

    assert worst(gradient(f, x)) <= worst(np.gradient(f, x))


def three_point_weights(left, right):
    """Textbook weights of the two differences, for the middle point, the first and the last one."""
    both = left + right
    return (
        (right / (left * both), left / (right * both)),
        ((both + left) / (left * both), -left / (right * both)),
        (-right / (left * both), (both + right) / (right * both)),
    )


@pytest.mark.parametrize("smallest_gap", [0.1, 1e-3, 1e-6])
def test_three_point_weights_are_right_to_a_few_roundings(rng, smallest_gap):
    """Two gaps, counted up to thrice, their sum, a product and a quotient: 6 times 1/2 ulp."""
    ulp = Fraction(float(np.finfo(np.float64).eps))
    for _ in range(100):
        x = np.cumsum(rng.uniform(smallest_gap, 1, 3))
        rule = rule_of(make_plan(Axis(coordinates=x), 3, 1, 2))
        middle, first, last = three_point_weights(
            Fraction(x[1]) - Fraction(x[0]), Fraction(x[2]) - Fraction(x[1])
        )
        for rows, wanted in zip(rule.rows, (first, middle, last), strict=True):
            for weight, exact in zip(rows.weights[:, 0], wanted, strict=True):
                stored = Fraction(float(weight)) / rule.scale  # the scale is a power of two
                assert abs(stored - exact) <= 3 * ulp * abs(exact)


SMOOTH_DATA = {
    "sin(x)": np.sin,
    "x**2": np.square,
    "300.1 + exp(x / 5)": lambda x: 300.1 + np.exp(x / 5),
    "1013.25 + sin(7 x)": lambda x: 1013.25 + np.sin(7 * x),
}


@pytest.mark.parametrize("data", SMOOTH_DATA)
@pytest.mark.parametrize("smallest_gap", [0.1, 1e-3])
def test_errors_on_coordinates_are_no_larger_than_those_of_numpy(rng, data, smallest_gap):
    """Oracle: the formula that both evaluate, in exact fractions; root mean square of 600 rows."""
    squares = {gradient: 0.0, np.gradient: 0.0}
    for _ in range(60):
        x = np.cumsum(rng.uniform(smallest_gap, 1, 12))
        f = SMOOTH_DATA[data](x)
        nodes, values = [Fraction(v) for v in x], [Fraction(v) for v in f]
        for function in squares:
            result = function(f, x)
            for i in range(1, 11):
                left, right = nodes[i] - nodes[i - 1], nodes[i + 1] - nodes[i]
                low, high = three_point_weights(left, right)[0]
                exact = low * (values[i] - values[i - 1]) + high * (values[i + 1] - values[i])
                squares[function] += float(Fraction(result[i]) - exact) ** 2
    assert squares[gradient] <= squares[np.gradient]


# --- the method as a value ------------------------------------------------------------------------


def test_a_method_is_a_value():
    assert FiniteDifference() == FiniteDifference(accuracy=2)
    assert hash(FiniteDifference(4)) == hash(FiniteDifference(np.int64(4)))
    assert FiniteDifference(4) != FiniteDifference(2)
    assert repr(FiniteDifference(np.int64(6))) == "FiniteDifference(accuracy=6)"


@pytest.mark.parametrize(
    ("accuracy", "error", "message"),
    [
        (0, ArgumentValueError, "accuracy=0 is not >= 1"),
        (-2, ArgumentValueError, "accuracy=-2 is not >= 1"),
        (2.0, ArgumentTypeError, r"accuracy=2\.0 is not an integer"),
        (2.5, ArgumentTypeError, r"accuracy=2\.5 is not an integer"),
        (True, ArgumentTypeError, "accuracy=True is not an integer"),
        (np.True_, ArgumentTypeError, "accuracy=.*True.* is not an integer"),
        ("4", ArgumentTypeError, "accuracy='4' is not an integer"),
        (None, ArgumentTypeError, "accuracy=None is not an integer"),
    ],
    ids=str,
)
def test_accuracy_is_a_positive_integer(accuracy, error, message):
    with pytest.raises(error, match=message):
        FiniteDifference(accuracy)


@pytest.mark.parametrize("name", ["accuracy", "order", "edge_order"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, True, "2", [2]], ids=repr)
def test_orders_are_positive_integers(name, value):
    error = ArgumentValueError if value in (0, -1) and value is not True else ArgumentTypeError
    with pytest.raises(error, match=rf"{name}="):
        derivative(np.zeros(20), **{name: value})


@pytest.mark.parametrize("block", [1, 7])
@pytest.mark.parametrize(("order", "accuracy"), [(1, 2), (1, 4), (2, 2), (3, 4)])
def test_rows_computed_alone_have_the_bits_of_many(monkeypatch, rng, order, accuracy, block):
    # One row is computed in numbers, many are in arrays; 30 rows leave 2 after blocks of 7.
    x = np.cumsum(rng.uniform(0.1, 2.0, 30 + 2 * reach_of(order, accuracy) + 2))
    whole = rule_of(make_plan(Axis(coordinates=x), len(x), order, accuracy))
    monkeypatch.setattr(coordinates, "BLOCK", block)
    monkeypatch.setattr(coordinates, "SIMPLE_BLOCK", block)
    monkeypatch.setenv("GRADKIT_NUM_THREADS", "4")
    apart = rule_of(make_plan(Axis(coordinates=x), len(x), order, accuracy))
    for ours, theirs in zip(apart.rows, whole.rows, strict=True):
        assert ours.pairs == theirs.pairs
        np.testing.assert_array_equal(ours.weights, theirs.weights, strict=True)


def test_threads_that_compute_weights_take_floating_point_errors_as_the_caller_does(monkeypatch):
    monkeypatch.setenv("GRADKIT_NUM_THREADS", "4")

    def state(first, last):
        time.sleep(0.001)
        return first, last, threading.get_ident(), np.geterr()["under"]

    with np.errstate(under="raise"):
        found = in_blocks(state, 3, 100, 10)
    assert [(first, last) for first, last, *_ in found][-2:] == [(83, 93), (93, 100)]
    assert len({thread for _, _, thread, _ in found}) > 1
    assert {under for *_, under in found} == {"raise"}


@pytest.mark.parametrize("sign", [1, -1])
def test_slope_at_an_end_of_coordinates_is_that_of_its_interval(sign):
    x = sign * np.asarray([1.0, 1.7, 2.0, 3.0])
    f = np.asarray([1.0, 4.0, -2.0, 5.0])
    found = gradient(f, x)
    for row, (low, high) in ((0, (0, 1)), (3, (2, 3))):
        wanted = Fraction(f[high] - f[low]) / (Fraction(x[high]) - Fraction(x[low]))
        assert abs(Fraction(found[row]) - wanted) <= Fraction(2, 2**53) * abs(wanted)
