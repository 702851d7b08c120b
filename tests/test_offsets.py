"""Stencils of one's own: what they stand for, and what becomes of them at ends and walls."""

import itertools
from fractions import Fraction
from math import factorial, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradkit import (
    Antisymmetric,
    Axis,
    D,
    Dirichlet,
    Gradient,
    Grid,
    Identity,
    Laplacian,
    Neumann,
    Robin,
    Stencil,
    Symmetric,
    operator_from_offsets,
)
from gradkit.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    AxisError,
    GradkitError,
    UnsupportedError,
)

EPS = np.finfo(float).eps
HALF, THIRD, SIXTH = Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)

BOX = list(itertools.product((-1, 0, 1), repeat=2))
CUBE = list(itertools.product((-1, 0, 1), repeat=3))
PLUS = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
DIAGONALS = [(-1, -1), (-1, 1), (1, -1), (1, 1)]


def by_distance(offsets, *weights):
    """A stencil whose weights depend on the number of axes along which an offset is not 0."""
    return {k: w for k in offsets if (w := Fraction(weights[sum(map(bool, k))]))}


SECOND = {(-1,): 1, (0,): -2, (1,): 1}
UPWIND = {(-2,): SIXTH, (-1,): -1, (0,): HALF, (1,): THIRD}
FIVE = by_distance(PLUS, -4, 1)
NINE = by_distance(BOX, Fraction(-10, 3), Fraction(2, 3), SIXTH)
CROSS = {(0, 0): -2, **dict.fromkeys(DIAGONALS, HALF)}
SEVEN = by_distance(CUBE, -6, 1, 0, 0)


def weights_of(operator):
    """The exact weights of a stencil of one's own."""
    (factor,) = operator.factors()
    return dict(factor.weights)


def moment(weights, powers, spacing=None):
    """What weights make of a monomial over its factorials, at the origin."""
    steps = spacing or (1,) * len(powers)
    return sum(
        (
            Fraction(w)
            * prod((Fraction(k * h) ** p for k, h, p in zip(offset, steps, powers, strict=True)))
            / prod(map(factorial, powers))
            for offset, w in weights.items()
        ),
        Fraction(0),
    )


def monomials(ndim, degree):
    return [p for p in itertools.product(range(degree + 1), repeat=ndim) if sum(p) == degree]


def meaning(weights):
    """Order and accuracy: degrees of the first and of the second set of monomials felt."""
    ndim = len(next(iter(weights)))
    felt = (d for d in range(40) if any(moment(weights, p) for p in monomials(ndim, d)))
    order = next(felt)
    return order, next(felt) - order


# --- what weights stand for -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        # upwind differences of first, second and third order
        ({-1: -1, 0: 1}, "2 points: D(0) + O(h^1)"),
        ({-2: HALF, -1: -2, 0: 3 * HALF}, "3 points: D(0) + O(h^2)"),
        (UPWIND, "4 points: D(0) + O(h^3)"),
        # centred differences
        (SECOND, "3 points: D(0)**2 + O(h^2)"),
        ({-2: -1, -1: 2, 1: -2, 2: 1}, "4 points: 2*D(0)**3 + O(h^2)"),
        ({-2: 1, -1: -4, 0: 6, 1: -4, 2: 1}, "5 points: D(0)**4 + O(h^2)"),
        # values: an average, a shift, a sum
        ({-1: HALF, 1: HALF}, "2 points: 1 + O(h^2)"),
        ({3: 1}, "1 points: 1 + O(h^1)"),
        ({0: 1, 1: 1}, "2 points: 2 + O(h^1)"),
        # in the plane
        (FIVE, "5 points: D(0)**2 + D(1)**2 + O(h^2)"),
        (NINE, "9 points: D(0)**2 + D(1)**2 + O(h^2)"),
        (CROSS, "5 points: D(0)**2 + D(1)**2 + O(h^2)"),
        ({k: Fraction(k[0] * k[1], 4) for k in DIAGONALS}, "4 points: D(0)*D(1) + O(h^2)"),
        ({(0, 0): 1, (-1, -1): -1}, "2 points: D(0) + D(1) + O(h^1)"),
        # Sobel's filter
        (
            {(i, j): Fraction(i * (2 - abs(j)), 8) for i in (-1, 1) for j in (-1, 0, 1)},
            "6 points: D(0) + O(h^2)",
        ),
        # in space
        (SEVEN, "7 points: D(0)**2 + D(1)**2 + D(2)**2 + O(h^2)"),
        # Spotz and Carey, Numer. Methods Partial Differential Eq. 12 (1996) 235
        (
            by_distance(CUBE, -4, THIRD, SIXTH, 0),
            "19 points: D(0)**2 + D(1)**2 + D(2)**2 + O(h^2)",
        ),
        # O'Reilly and Beck, Int. J. Numer. Meth. Engng (2006)
        (
            by_distance(CUBE, *(Fraction(n, 26) for n in (-88, 6, 3, 2))),
            "27 points: D(0)**2 + D(1)**2 + D(2)**2 + O(h^2)",
        ),
        # Kumar, J. Comput. Phys. 201 (2004) 109
        (
            by_distance(CUBE, *(Fraction(n, 30) for n in (-128, 14, 3, 1))),
            "27 points: D(0)**2 + D(1)**2 + D(2)**2 + O(h^2)",
        ),
    ],
)
def test_order_and_accuracy_are_derived_from_the_weights(weights, text):
    assert repr(operator_from_offsets(weights)) == f"Offsets({text})"


def test_floats_stand_for_the_fractions_that_they_round():
    """Eighth order is recognized, though none of these weights is a float exactly."""
    floats = [1 / 280, -4 / 105, 1 / 5, -4 / 5, 0.0, 4 / 5, -1 / 5, 4 / 105, -1 / 280]
    operator = operator_from_offsets(dict(zip(range(-4, 5), floats, strict=True)))
    assert repr(operator) == "Offsets(8 points: D(0) + O(h^8))"
    assert weights_of(operator)[-3,] == Fraction(-4, 105)
    assert weights_of(operator_from_offsets({0: np.pi, 1: np.float32(0.1)})) == {
        (0,): Fraction(np.pi),
        (1,): Fraction(float(np.float32(0.1))),
    }


def test_weights_that_sum_to_zero_up_to_rounding_stand_for_a_derivative():
    ahead, behind = np.sqrt(2), np.sqrt(3)
    weights = {-1: behind, 0: -(ahead + behind), 1: ahead}
    assert sum(map(Fraction, weights.values())) != 0  # the sum in the middle was rounded
    operator = operator_from_offsets(weights)
    assert repr(operator) == f"Offsets(3 points: {ahead - behind}*D(0) + O(h^1))"


def test_weights_that_are_zero_are_dropped():
    operator = operator_from_offsets({-2: 0, -1: 1.0, 0: -2, 1: Fraction(1), 5: 0.0})
    assert operator == operator_from_offsets(SECOND)
    assert weights_of(operator) == SECOND


def test_offsets_may_be_integers_tuples_or_numpy_integers():
    same = [
        {-1: 1, 0: -2, 1: 1},
        {(-1,): 1, (0,): -2, (1,): 1},
        {np.int64(-1): np.int8(1), np.int8(0): np.float32(-2), 1: 1},
        {1: 1, 0: -2, -1: 1},
    ]
    assert len({operator_from_offsets(weights) for weights in same}) == 1


offset_sets = st.integers(1, 3).flatmap(
    lambda ndim: st.dictionaries(
        st.tuples(*[st.integers(-2, 2)] * ndim),
        st.integers(-5, 5).filter(bool),
        min_size=1,
        max_size=5,
    )
)


@settings(deadline=None, derandomize=True)
@given(offset_sets.filter(lambda weights: set(weights) != {(0,) * len(next(iter(weights)))}))
def test_the_meaning_is_that_of_the_moments(weights):
    order, accuracy = meaning(weights)
    (factor,) = operator_from_offsets(weights).factors()
    assert (factor.order, factor.accuracy) == (order, accuracy)
    found = {
        tuple(sum(f.order for f in term.factors if f.axis == axis) for axis in range(len(p))): term
        for term in factor.approximates.terms
        for p in [next(iter(weights))]
    }
    wanted = {p: m for p in monomials(len(next(iter(weights))), order) if (m := moment(weights, p))}
    assert {powers: term.coefficient for powers, term in found.items()} == wanted


@pytest.mark.parametrize(
    ("spacing", "text"),
    [
        (0.5, "3 points: D(0)**2/4 + O(h^2)"),
        ((0.5,), "3 points: D(0)**2/4 + O(h^2)"),
        (-2, "3 points: 4*D(0)**2 + O(h^2)"),
    ],
)
def test_the_spacing_is_part_of_what_weights_stand_for(spacing, text):
    assert repr(operator_from_offsets(SECOND, spacing=spacing)) == f"Offsets({text})"


def test_axes_are_named_where_they_are_not_the_first_ones():
    assert repr(operator_from_offsets(SECOND, axes=(2,))) == (
        "Offsets(3 points, axes=(2,): D(0)**2 + O(h^2))"
    )
    assert repr(operator_from_offsets(FIVE, axes=(0, 1))) == repr(operator_from_offsets(FIVE))
    assert operator_from_offsets(FIVE, axes=[1, 0]) != operator_from_offsets(FIVE)


# --- weights from what they shall stand for -------------------------------------------------------


def weights_by_offset(offsets, *weights):
    pairs = zip(offsets, map(Fraction, weights), strict=True)
    return {k if isinstance(k, tuple) else (k,): w for k, w in pairs if w}


@pytest.mark.parametrize(
    ("offsets", "like", "weights"),
    [
        # tables of B. Fornberg, Math. Comp. 51 (1988) 699-706
        ((-1, 0), D(0), (-1, 1)),
        ((0, 1), D(0), (-1, 1)),
        ((-1, 1), D(0), (-HALF, HALF)),
        ((0, 1, 2), D(0), (-3 * HALF, 2, -HALF)),
        ((-2, -1, 0), D(0), (HALF, -2, 3 * HALF)),
        ((-2, -1, 0, 1), D(0), (SIXTH, -1, HALF, THIRD)),
        ((-1, 0, 1, 2), D(0), (-THIRD, -HALF, 1, -SIXTH)),
        (range(-2, 3), D(0), ("1/12", "-2/3", 0, "2/3", "-1/12")),
        (range(-3, 4), D(0), ("-1/60", "3/20", "-3/4", 0, "3/4", "-3/20", "1/60")),
        ((-1, 0, 1), D(0, 2), (1, -2, 1)),
        ((0, 1, 2, 3), D(0, 2), (2, -5, 4, -1)),
        (range(-2, 3), D(0, 2), ("-1/12", "4/3", "-5/2", "4/3", "-1/12")),
        ((-2, -1, 1, 2), D(0, 3), (-HALF, 1, -1, HALF)),
        (range(-2, 3), D(0, 4), (1, -4, 6, -4, 1)),
        ((-1, 1), Identity(), (HALF, HALF)),
        ((-2, -1, 1, 2), Identity(), (-SIXTH, "2/3", "2/3", -SIXTH)),
        # M. Abramowitz, I. Stegun, Handbook of Mathematical Functions, 25.3.21 to 25.3.33
        (DIAGONALS, D(0) * D(1), ("1/4", "-1/4", "-1/4", "1/4")),
        (
            [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1)],
            D(0) * D(1),
            (1, *[-HALF] * 4, HALF, HALF),
        ),
        (PLUS, Laplacian(2), (-4, 1, 1, 1, 1)),
        (
            [k for k in itertools.product(range(-2, 3), repeat=2) if sum(map(abs, k)) <= 2],
            D(0, 4) + 2 * D(0, 2) * D(1, 2) + D(1, 4),
            (1, 2, -8, 2, 1, -8, 20, -8, 1, 2, -8, 2, 1),
        ),
        # the rotated cross, a product, anisotropy, a derivative along the diagonal
        ([(0, 0), *DIAGONALS], Laplacian(2), (-2, HALF, HALF, HALF, HALF)),
        (BOX, D(0, 2) * D(1, 2), (1, -2, 1, -2, 4, -2, 1, -2, 1)),
        (PLUS, D(0, 2) + 3 * D(1, 2), (-8, 1, 1, 3, 3)),
        ([(0, 0), (-1, -1)], D(0) + D(1), (1, -1)),
        # the corners of a box add nothing to the laplacian
        (BOX, Laplacian(2), (0, 1, 0, 1, -4, 1, 0, 1, 0)),
        ([(0, 0, 0), *(k for k in CUBE if sum(map(abs, k)) == 1)], Laplacian(3), (-6, *[1] * 6)),
        (
            [k for k in CUBE if all(k)],
            D(0) * D(1) * D(2),
            [Fraction(prod(k), 8) for k in CUBE if all(k)],
        ),
        # unequal distances: the weights of the parabola through -1, 0 and 2
        ((-1, 0, 2), D(0), ("-2/3", HALF, SIXTH)),
        ((-1, 0, 2), D(0, 2), ("2/3", -1, THIRD)),
        # numbers in front, and axes counted from the last
        ((-1, 0, 1), Fraction(1, 3) * D(0, 2), (THIRD, "-2/3", THIRD)),
        ((0, 1), -2.5 * D(0), (2.5, -2.5)),
        (PLUS, D(-1, 2), (-2, 0, 0, 1, 1)),
    ],
)
def test_weights_are_those_of_tables(offsets, like, weights):
    operator = operator_from_offsets(offsets, like=like)
    assert weights_of(operator) == weights_by_offset(offsets, *weights)
    assert operator == operator_from_offsets(weights_by_offset(offsets, *weights))


def test_weights_take_the_spacing_into_account():
    halves = operator_from_offsets((-1, 0, 1), like=D(0, 2), spacing=0.5)
    assert weights_of(halves) == {(-1,): 4, (0,): -8, (1,): 4}
    assert repr(halves) == "Offsets(3 points: D(0)**2 + O(h^2))"
    oblong = operator_from_offsets(PLUS, like=Laplacian(2), spacing=(1, 2))
    fourth = Fraction(1, 4)
    assert weights_of(oblong) == weights_by_offset(PLUS, -2 - HALF, 1, 1, fourth, fourth)
    backward = operator_from_offsets((0, 1), like=D(0), spacing=-2)
    assert weights_of(backward) == {(0,): HALF, (1,): -HALF}


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=6, unique=True), st.data())
def test_weights_on_a_line_take_as_many_monomials_right_as_there_are_offsets(offsets, data):
    order = data.draw(st.integers(1, len(offsets) - 1))
    found = weights_of(operator_from_offsets(offsets, like=D(0, order)))
    for degree in range(len(offsets)):
        assert moment(found, (degree,)) == (degree == order)


# --- on data --------------------------------------------------------------------------------------


def applied(weights, f, wrap):
    """The weighted sum of shifted copies, of integers."""
    total = np.zeros_like(f)
    for offset, weight in weights.items():
        shifted = f
        for axis, k in enumerate(offset):
            turns = (np.arange(f.shape[axis]) + k) // f.shape[axis]
            signs = np.where(turns % 2, wrap, 1)
            shifted = np.roll(shifted, -k, axis) * np.expand_dims(
                signs, [a for a in range(f.ndim) if a != axis]
            )
        total = total + weight * shifted
    return total


@settings(deadline=None, derandomize=True)
@given(offset_sets, st.sampled_from([("periodic", 1), ("antiperiodic", -1)]))
def test_wrapping_axes_take_sums_of_rolled_arrays(weights, boundary):
    """Integers, so that no sum is rounded; several turns where the reach is that of the axis."""
    word, sign = boundary
    ndim = len(next(iter(weights)))
    shape = (5, 6, 7)[:ndim]
    f = np.random.default_rng(4).integers(-99, 99, shape)
    plan = operator_from_offsets(weights).on(Grid(*[Axis(boundary=word)] * ndim), shape)
    np.testing.assert_array_equal(plan(f.astype(float)), applied(weights, f, sign))


def test_rolled_arrays_are_what_they_say():
    """The reference above, against sums written out."""
    f = np.array([1, 2, 4, 8, 16])
    np.testing.assert_array_equal(applied({(1,): 1, (-1,): -1}, f, 1), [-14, 3, 6, 12, -7])
    np.testing.assert_array_equal(applied({(1,): 1, (-1,): -1}, f, -1), [18, 3, 6, 12, -9])


@pytest.mark.parametrize(
    ("weights", "shape"), [(SECOND, (8,)), (NINE, (5, 6)), (CROSS, (6, 5)), (SEVEN, (4, 5, 3))]
)
def test_periodic_sums_are_those_of_numpy(rng, weights, shape):
    f = rng.normal(size=shape)
    plan = operator_from_offsets(weights).on(
        Grid(*[Axis(0.5, boundary="periodic")] * f.ndim), shape
    )
    axes = tuple(range(f.ndim))
    wanted = sum(float(w) * np.roll(f, [-i for i in k], axes) for k, w in weights.items()) / 0.5**2
    # at most 27 products, each rounded twice, and their sum
    bound = 100 * EPS * 4 * sum(abs(float(w)) for w in weights.values()) * abs(f).max()
    np.testing.assert_allclose(plan(f), wanted, rtol=0, atol=bound)


@pytest.mark.parametrize(
    "weights", [NINE, by_distance(CUBE, *(Fraction(n, 30) for n in (-128, 14, 3, 1)))]
)
def test_isotropic_laplacians_err_alike_in_all_directions(weights):
    """The leading error is h^2/12 of the laplacian of the laplacian, so harmonics feel none."""
    ndim = len(next(iter(weights)))
    axes = np.meshgrid(*[np.arange(-2.0, 3)] * ndim, indexing="ij")
    x, y = axes[:2]
    plan = operator_from_offsets(weights).on(Grid(*[Axis()] * ndim), x.shape)
    five = operator_from_offsets(FIVE, axes=(0, 1)).on(Grid(*[Axis()] * ndim), x.shape)
    centre = (2,) * ndim
    quartic = x**4 - 6 * x**2 * y**2 + y**4  # the real part of (x + i y)**4
    assert five(quartic)[centre] == 4
    # nine or 27 products of numbers below 6 * 64
    assert abs(plan(quartic)[centre]) < 30 * EPS * 384
    radial = sum(axis**2 for axis in axes) ** 2
    # laplacian of the laplacian of r^4 in n dimensions: 8 n (n + 2)
    assert plan(radial)[centre] == pytest.approx(8 * ndim * (ndim + 2) / 12, rel=100 * EPS)


@pytest.mark.parametrize(
    ("weights", "exact", "slope"),
    [
        (UPWIND, lambda x, y: 3 * np.cos(3 * x) * np.cos(2 * y), 3),
        (NINE, lambda x, y: -13 * np.sin(3 * x) * np.cos(2 * y), 2),
        (CROSS, lambda x, y: -13 * np.sin(3 * x) * np.cos(2 * y), 2),
    ],
)
def test_errors_fall_with_the_order_that_was_derived(weights, exact, slope):
    errors, sizes = [], (40, 80, 160)
    for n in sizes:
        x = np.arange(n) * (2 * np.pi / n)
        x, y = np.meshgrid(x, x, indexing="ij")
        grid = Grid(*[Axis(2 * np.pi / n, boundary="periodic")] * 2)
        result = operator_from_offsets(weights).on(grid, (n, n))(np.sin(3 * x) * np.cos(2 * y))
        errors.append(abs(result - exact(x, y)).max())
    fitted = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.05)  # terms of two orders more, at h = 0.16


# --- spacing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [0.5, 2, -0.25, Fraction(1, 4)])
def test_weights_for_spacing_1_are_scaled_to_the_grid(spacing):
    h = float(spacing)
    x = np.arange(8) * h
    axis = Axis(spacing=spacing)
    slope = operator_from_offsets({-1: -1, 0: 1}).on(Grid(axis), (8,))
    np.testing.assert_array_equal(slope(3 * x), np.full(8, 3.0))
    second = operator_from_offsets(SECOND).on(Grid(axis), (8,))
    np.testing.assert_array_equal(second(x**2), np.full(8, 2.0))
    total = operator_from_offsets({0: 1, 1: 1}).on(Grid(axis), (8,))
    assert total(x)[0] == x[0] + x[1]  # no derivative, no scale


def test_weights_for_a_spacing_are_taken_as_they_are():
    operator = operator_from_offsets({-1: 4, 0: -8, 1: 4}, spacing=0.5)
    x = np.arange(8) * 0.5
    np.testing.assert_array_equal(operator.on(Grid(Axis(0.5)), (8,))(x**2), np.full(8, 2.0))
    # a spacing that differs by its last roundings is the same
    operator_from_offsets(SECOND, spacing=0.1).on(Grid(Axis(0.3 / 3)), (8,))
    assert 0.3 / 3 != 0.1


def test_weights_for_unequal_spacings_belong_to_their_axes():
    x, y = np.meshgrid(np.arange(6) * 1.0, np.arange(7) * 2.0, indexing="ij")
    f = 3 * x**2 - 5 * y**2
    grid = Grid(Axis(1.0), Axis(2.0))
    operator = operator_from_offsets(PLUS, like=D(0, 2) + 4 * D(1, 2), spacing=(1, 2))
    np.testing.assert_array_equal(operator.on(grid, (6, 7))(f), np.full((6, 7), 6.0 - 40.0))
    turned = operator_from_offsets(PLUS, like=D(0, 2) + 4 * D(1, 2), spacing=(2, 1), axes=(1, 0))
    np.testing.assert_array_equal(turned.on(grid, (6, 7))(f), np.full((6, 7), 24.0 - 10.0))


@pytest.mark.parametrize(
    ("operator", "grid", "message"),
    [
        (
            operator_from_offsets(SECOND, spacing=0.5),
            Grid(Axis(0.25)),
            r"was made for a spacing of 0\.5 along axis 0, but the grid has 0\.25",
        ),
        (
            operator_from_offsets(SECOND, spacing=0.5),
            Grid(Axis(-0.5)),
            r"was made for a spacing of 0\.5 along axis 0, but the grid has -0\.5",
        ),
        (
            operator_from_offsets(SECOND, spacing=1),
            Grid(Axis(1 + 1e-11)),
            r"was made for a spacing of 1\.0 along axis 0",
        ),
        (
            operator_from_offsets(FIVE, spacing=(1, 2)),
            Grid(Axis(1.0), Axis(1.0)),
            r"was made for a spacing of 2\.0 along axis 1, but the grid has 1\.0",
        ),
        (
            operator_from_offsets(FIVE),
            Grid(Axis(1.0), Axis(2.0)),
            r"one spacing in all directions, but the grid has \[1\.0, 2\.0\]: give spacing=",
        ),
        (
            operator_from_offsets(SECOND),
            Grid(Axis(coordinates=[0, 1, 2, 4, 8, 16])),
            r"axis 0 is not equally spaced, as the weights of Offsets\(.*\) need",
        ),
        (
            operator_from_offsets(SECOND, spacing=1),
            Grid(Axis(coordinates=[0, 1, 2, 4, 8, 16])),
            "axis 0 is not equally spaced",
        ),
        (operator_from_offsets(SECOND), Grid(None), "axis 0 is a batch axis"),
    ],
)
def test_grids_that_the_weights_do_not_fit_are_refused(operator, grid, message):
    with pytest.raises(ArgumentValueError, match=message):
        operator.on(grid, (6,) * grid.ndim)


def test_coordinates_that_are_equally_spaced_have_a_spacing():
    grid = Grid(Axis(coordinates=[0.0, 0.5, 1.0, 1.5, 2.0]))
    for operator in (
        operator_from_offsets(SECOND),
        operator_from_offsets({k: 4 * w for k, w in SECOND.items()}, spacing=0.5),
    ):
        np.testing.assert_array_equal(
            operator.on(grid, (5,))(np.arange(5) ** 2 / 4), np.full(5, 2.0)
        )


# --- axes -----------------------------------------------------------------------------------------


def test_axes_say_along_which_the_offsets_count(rng):
    f = rng.integers(-9, 9, (4, 5, 6)).astype(float)
    grid = Grid(Axis(boundary="periodic"), Axis(boundary="periodic"), Axis(boundary="periodic"))
    weights = {(0, 1): 2, (-1, 0): -3, (2, 1): 1}
    for axes in ((0, 1), (1, 0), (2, 0), (-1, 1), (-2, -3)):
        wanted = sum(w * np.roll(f, [-i for i in k], axes) for k, w in weights.items())
        result = operator_from_offsets(weights, axes=axes).on(grid, (4, 5, 6))(f)
        np.testing.assert_array_equal(result, wanted)


def test_other_axes_may_be_batch_axes(rng):
    f = rng.integers(-9, 9, (3, 5, 2)).astype(float)
    plan = operator_from_offsets(SECOND, axes=(1,)).on(
        Grid(None, Axis(boundary="periodic"), None), f.shape
    )
    np.testing.assert_array_equal(plan(f), np.roll(f, 1, 1) - 2 * f + np.roll(f, -1, 1))


def test_axes_that_do_not_exist_or_are_the_same_are_refused():
    plane = Grid(Axis(), Axis())
    with pytest.raises(AxisError, match="axis=2 is out of bounds for an array of 2 dimensions"):
        operator_from_offsets(SECOND, axes=(2,)).on(plane, (5, 5))
    for axes in ((1, 1), (1, -1)):
        with pytest.raises(ArgumentValueError, match="name the same axis twice"):
            operator_from_offsets(FIVE, axes=axes).on(plane, (5, 5))


# --- ends without walls ---------------------------------------------------------------------------


def polynomial(ndim, degree):
    """A polynomial of a degree with small integers for coefficients, all of them present."""
    powers = [p for d in range(degree + 1) for p in monomials(ndim, d)]

    def value(*x):
        return sum(
            ((-1) ** i * (1 + i % 3))
            * prod(np.asarray(xi, float) ** q for xi, q in zip(x, p, strict=True))
            for i, p in enumerate(powers)
        ) + 0 * sum(x)

    return value


@settings(deadline=None, derandomize=True)
@given(offset_sets)
def test_ends_are_exact_on_polynomials_up_to_the_order_and_accuracy(weights):
    """Integers all the way: extrapolation by binomials rounds nothing."""
    order, accuracy = meaning(weights) if any(map(any, weights)) else (0, 1)
    ndim = len(next(iter(weights)))
    shape = (11, 10, 9)[:ndim]
    f = polynomial(ndim, min(order + accuracy - 1, 4))
    x = np.meshgrid(*[np.arange(n) - 4.0 for n in shape], indexing="ij")
    plan = operator_from_offsets(weights).on(Grid(*[Axis()] * ndim), shape)
    wanted = sum(w * f(*(xi + ki for xi, ki in zip(x, k, strict=True))) for k, w in weights.items())
    np.testing.assert_array_equal(plan(f(*x)), wanted)


@pytest.mark.parametrize(
    ("weights", "accuracy", "edge_order"),
    [(SECOND, 2, None), (SECOND, 2, 1), (SECOND, 2, 3), (UPWIND, 3, None), (UPWIND, 3, 1)],
)
def test_ends_are_extrapolated_by_the_polynomial_of_the_lowest_degree_that_will_do(
    weights, accuracy, edge_order
):
    order = 2 if weights is SECOND else 1
    degree = order + (edge_order or accuracy) - 1
    plan = operator_from_offsets(weights).on(Grid(Axis()), (12,), edge_order=edge_order)
    x = np.arange(12.0)

    def error(power):
        wanted = sum(float(w) * (x + k) ** power for (k,), w in weights.items())
        return abs(plan(x**power) - wanted)

    # sums of four products below 12**5, multiplied by binomials below 2**6
    bound = 64 * 8 * EPS * 12.0 ** (degree + 1)
    assert error(degree).max() < bound
    assert error(degree + 1)[-1 if weights is SECOND else 0] > 0.9


def test_the_end_rows_of_the_second_difference_are_those_of_textbooks():
    matrix = operator_from_offsets(SECOND).on(Grid(Axis()), (6,)).matrix("array")
    assert matrix[0].tolist() == [2, -5, 4, -1, 0, 0]
    assert matrix[1].tolist() == [1, -2, 1, 0, 0, 0]
    assert matrix[5].tolist() == [0, 0, -1, 4, -5, 2]
    first_order = operator_from_offsets(SECOND).on(Grid(Axis()), (6,), edge_order=1)
    assert first_order.matrix("array")[0].tolist() == [1, -2, 1, 0, 0, 0]


# --- walls ----------------------------------------------------------------------------------------

PLACES = {"face": 0.5, "sample": 0.0, "next": 1.0, 0.3: None}


def walls(f, x, axis, at, kind):
    """Both ends of an axis, with conditions that a polynomial obeys there."""
    step = x[axis][1] - x[axis][0]
    distance = at if PLACES[at] is None else PLACES[at] * abs(step)
    others = [xi for number, xi in enumerate(x) if number != axis]
    ends = []
    for end, sign in ((x[axis][0], -np.sign(step)), (x[axis][-1], np.sign(step))):
        grids = np.meshgrid(*others, indexing="ij")

        def along(position, grids=grids):
            points = [*grids[:axis], position + 0 * sum(grids), *grids[axis:]]
            return f(*points)

        wall = end + sign * distance
        value = along(wall)
        # the slope outwards, by a difference that is exact up to the fourth power
        slope = (
            sign
            * (8 * (along(wall + 0.5) - along(wall - 0.5)) - (along(wall + 1) - along(wall - 1)))
            / 6
        )
        if not others:
            value, slope = float(value), float(slope)
        ends.append(
            {
                "dirichlet": lambda v, s: Dirichlet(v, at=at),
                "neumann": lambda v, s: Neumann(s, at=at),
                "robin": lambda v, s: Robin(2.0, 0.5, 2 * v + s / 2, at=at),
            }[kind](value, slope)
        )
    return tuple(ends)


@pytest.mark.parametrize("kind", ["dirichlet", "neumann", "robin"])
@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("spacing", [1.0, 0.5, -0.5])
@pytest.mark.parametrize(
    ("weights", "order", "degree"), [(SECOND, 2, 3), (UPWIND, 1, 3), ({(-2,): 1, (0,): -1}, 1, 1)]
)
def test_walls_on_a_line_are_exact_on_polynomials(weights, order, degree, at, kind, spacing):
    f = polynomial(1, degree)
    x = (np.arange(8) - 3) * spacing
    axis = Axis(spacing, boundary=walls(f, [x], 0, at, kind))
    plan = operator_from_offsets(weights).on(Grid(axis), (8,))
    wanted = sum(float(w) * f(x + k * spacing) for (k,), w in weights.items()) / spacing**order
    # four products of values below 3 * 7**3, multiplied by closures below 2**6, over 1/4
    np.testing.assert_allclose(plan(f(x)), wanted, rtol=0, atol=4 * 64 * 8 * EPS * 3 * 7**3)
    np.testing.assert_allclose(
        plan.linear(f(x)) + plan.offset, wanted, rtol=0, atol=4 * 64 * 8 * EPS * 3 * 7**3
    )


@pytest.mark.parametrize("kind", ["dirichlet", "neumann", "robin"])
@pytest.mark.parametrize("at", ["face", "sample", "next"])
@pytest.mark.parametrize("weights", [NINE, CROSS, {(0, 0): 1, (1, 2): -1, (2, -1): 3, (-1, 0): -3}])
def test_walls_all_around_are_exact_on_polynomials_corners_included(weights, at, kind):
    """Values along a wall are arrays; beyond its ends they continue as a polynomial."""
    order, accuracy = meaning(weights)
    f = polynomial(2, min(order + accuracy - 1, 3))
    x = [np.arange(8) - 3.0, np.arange(7) - 2.0]
    grid = Grid(*(Axis(boundary=walls(f, x, axis, at, kind)) for axis in (0, 1)))
    plan = operator_from_offsets(weights).on(grid, (8, 7))
    grids = np.meshgrid(*x, indexing="ij")
    wanted = sum(
        float(w) * f(*(xi + ki for xi, ki in zip(grids, k, strict=True)))
        for k, w in weights.items()
    )
    # sums of ten products below 3 * 7**3, multiplied by two closures below 2**6 each
    bound = 10 * 2**12 * EPS * 3 * 7**3
    np.testing.assert_allclose(plan(f(*grids)), wanted, rtol=0, atol=bound)


def test_a_wall_and_an_open_end_may_meet():
    f = polynomial(2, 3)
    x = [np.arange(8) - 3.0, np.arange(7) - 2.0]
    first, last = walls(f, x, 0, "face", "dirichlet"), walls(f, x, 1, "face", "neumann")
    grid = Grid(Axis(boundary=(first[0], "one-sided")), Axis(boundary=("one-sided", last[1])))
    grids = np.meshgrid(*x, indexing="ij")
    wanted = sum(
        float(w) * f(*(xi + ki for xi, ki in zip(grids, k, strict=True))) for k, w in NINE.items()
    )
    plan = operator_from_offsets(NINE).on(grid, (8, 7))
    np.testing.assert_allclose(plan(f(*grids)), wanted, rtol=0, atol=10 * 2**12 * EPS * 3 * 7**3)


def test_a_number_at_a_wall_holds_all_along_it():
    number, array = (
        operator_from_offsets(NINE).on(
            Grid(Axis(boundary=Dirichlet(value)), Axis(boundary="periodic")), (6, 5)
        )
        for value in (3.0, np.full(5, 3.0))
    )
    f = np.arange(30.0).reshape(6, 5)
    np.testing.assert_array_equal(number(f), array(f))
    # f = 3 throughout is a field that obeys the condition: no derivative anywhere
    np.testing.assert_array_equal(number(np.full((6, 5), 3.0)), np.zeros((6, 5)))


@pytest.mark.parametrize("mirror", [Symmetric(), Symmetric(at="sample"), Antisymmetric()])
def test_values_along_a_wall_continue_as_the_field_does(rng, mirror):
    """A wall one spacing beyond the samples is a further row of them, corners included."""
    weights = {(-1, -1): 2, (1, 2): -3, (-1, 1): 5, (1, -2): 7, (0, 0): 1}
    f = rng.integers(-9, 9, (8, 6)).astype(float)
    ends = tuple(Dirichlet(f[row], at="next") for row in (0, -1))
    grid = Grid(Axis(boundary=ends), Axis(boundary=mirror))
    plan = operator_from_offsets(weights).on(grid, (6, 6))
    padded = mirrored(f, 1, mirror, 2)
    wanted = sum(w * padded[1 + i : 7 + i, 2 + j : 8 + j] for (i, j), w in weights.items())
    np.testing.assert_array_equal(plan(f[1:-1]), wanted)


def test_conditions_hold_for_the_field_and_not_for_its_derivatives():
    """The fourth difference of a cubic is 0; its second one has no value stated at the wall."""
    second = operator_from_offsets(SECOND)
    x = np.arange(-1.0, 9)
    f = x**3 - 5 * x
    ends = (Dirichlet(f[0], at="next"), Dirichlet(f[-1], at="next"))
    plan = (second @ second).on(Grid(Axis(boundary=ends)), (8,))
    np.testing.assert_array_equal(plan(f[1:-1]), np.zeros(8))


@pytest.mark.parametrize("boundary", [Dirichlet(5.0, at="sample"), Antisymmetric(at="sample")])
def test_the_value_at_a_wall_through_the_end_sample_is_not_read(boundary):
    plan = operator_from_offsets(SECOND).on(Grid(Axis(boundary=boundary)), (7,))
    f = np.arange(7.0) ** 2
    wanted = plan(f)
    f[[0, -1]] = 1e30, np.inf
    np.testing.assert_array_equal(plan(f), wanted)


def mirrored(f, axis, boundary, reach):
    """An array continued beyond both ends as its mirror image, or its negative."""
    mode = {"face": "symmetric", "sample": "reflect"}.get(boundary.at)
    pads = [(reach, reach) if a == axis else (0, 0) for a in range(f.ndim)]
    if isinstance(boundary, Antisymmetric) and boundary.at == "sample":
        f = np.moveaxis(f.copy(), axis, 0)
        f[[0, -1]] = 0
        f = np.moveaxis(f, 0, axis)
    if mode is None:  # a row of zeros in between
        zeros = [(1, 1) if a == axis else (0, 0) for a in range(f.ndim)]
        padded = np.pad(np.pad(f, zeros), [(max(n - 1, 0),) * 2 for n, _ in pads], mode="reflect")
    else:
        padded = np.pad(f, pads, mode=mode)
    if isinstance(boundary, Antisymmetric):
        signs = np.ones(padded.shape[axis])
        signs[:reach] = signs[-reach:] = -1
        padded = padded * np.expand_dims(signs, [a for a in range(f.ndim) if a != axis])
    return padded


MIRRORS = [
    Symmetric(),
    Symmetric(at="sample"),
    Antisymmetric(),
    Antisymmetric(at="next"),
    Antisymmetric(at="sample"),
]


@pytest.mark.parametrize("boundary", MIRRORS, ids=repr)
@pytest.mark.parametrize("weights", [SECOND, {(-2,): 3, (-1,): 1, (1,): -5}, {(2,): 1}])
def test_mirror_images_on_a_line_are_those_of_pad(rng, weights, boundary):
    f = rng.integers(-9, 9, 8).astype(float)
    plan = operator_from_offsets(weights).on(Grid(Axis(boundary=boundary)), (8,))
    padded = mirrored(f, 0, boundary, 2)
    wanted = sum(w * padded[2 + k : 10 + k] for (k,), w in weights.items())
    np.testing.assert_array_equal(plan(f), wanted)


@pytest.mark.parametrize("first", MIRRORS, ids=repr)
@pytest.mark.parametrize("second", MIRRORS, ids=repr)
def test_mirror_images_in_the_plane_are_those_of_pad(rng, first, second):
    weights = {(0, 0): 6, (1, 1): -2, (-1, 1): 4, (2, -1): -3, (0, -2): -5}
    f = rng.integers(-9, 9, (7, 8)).astype(float)
    if first == Antisymmetric(at="sample"):
        f[[0, -1]] = 0  # what a field with this symmetry is at the wall
    if second == Antisymmetric(at="sample"):
        f[:, [0, -1]] = 0
    plan = operator_from_offsets(weights).on(
        Grid(Axis(boundary=first), Axis(boundary=second)), (7, 8)
    )
    padded = mirrored(mirrored(f, 0, first, 2), 1, second, 2)
    wanted = sum(w * padded[2 + i : 9 + i, 2 + j : 10 + j] for (i, j), w in weights.items())
    np.testing.assert_array_equal(plan(f), wanted)


# --- constants, precision, other renderings -------------------------------------------------------


@settings(deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.tuples(st.integers(-2, 2), st.integers(-2, 2)),
        st.fractions(-3, 3, max_denominator=7),
        min_size=2,
        max_size=5,
    ),
    st.sampled_from(["one-sided", "periodic", Symmetric(), Symmetric(at="sample"), Neumann()]),
    st.sampled_from(["float32", "float64"]),
)
def test_constants_give_exactly_zero_where_the_weights_sum_to_zero(weights, boundary, dtype):
    """0.1 times a weight is rounded; only differences of values can be exactly 0."""
    first = next(iter(weights))
    weights[first] -= sum(weights.values())
    if not any(weights.values()):
        return
    plan = operator_from_offsets(weights).on(Grid(*[Axis(0.3, boundary=boundary)] * 2), (10, 11))
    f = np.full((10, 11), 0.1, dtype)
    np.testing.assert_array_equal(plan(f), np.zeros_like(f), strict=True)


def test_constants_give_exactly_zero_if_walls_hold_them_too():
    for boundary in (Dirichlet(0.1), Dirichlet(0.1, at="sample"), Dirichlet(0.1, at="next")):
        plan = operator_from_offsets(SECOND).on(Grid(Axis(0.3, boundary=boundary)), (8,))
        np.testing.assert_array_equal(plan(np.full(8, 0.1)), np.zeros(8))


@pytest.mark.parametrize("boundary", ["one-sided", "periodic", Dirichlet(1.0), Symmetric()])
def test_float32_stays_float32(rng, boundary):
    f = rng.normal(size=(8, 9)).astype("f4")
    plan = operator_from_offsets(NINE).on(Grid(*[Axis(0.1, boundary=boundary)] * 2), (8, 9))
    single, double = plan(f), plan(f.astype("f8"))
    assert single.dtype == np.float32
    # 16 products of values below 4 with weights that sum to 7 over h**2, closures below 2**4
    bound = 16 * np.finfo("f4").eps * 4 * 7 * 16 / 0.01
    np.testing.assert_allclose(single, double, rtol=0, atol=bound)
    assert abs(single - double).max() > 0  # it was not computed in double precision


def test_integers_and_complex_numbers_are_served():
    plan = operator_from_offsets(FIVE).on(Grid(*[Axis(boundary="periodic")] * 2), (4, 5))
    f = np.arange(20).reshape(4, 5) ** 2
    wanted = sum(np.roll(f, s, axis) for s in (1, -1) for axis in (0, 1)) - 4 * f
    assert plan(f).dtype == np.float64
    np.testing.assert_array_equal(plan(f), wanted)
    np.testing.assert_array_equal(plan(f * (1 - 2j)), wanted * (1 - 2j))


BOUNDARIES = [
    "one-sided",
    "periodic",
    "antiperiodic",
    Dirichlet(2.0),
    (Neumann(1.0), "one-sided"),
    Robin(2.0, 1.0, 3.0),
    *MIRRORS,
]


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=repr)
@pytest.mark.parametrize("weights", [NINE, {(0, 0): 2, (1, 2): -1, (-2, 1): 3}])
def test_the_matrix_and_the_adjoint_are_those_of_the_linear_part(rng, weights, boundary):
    grid = Grid(Axis(0.5, boundary=boundary), Axis(0.5, boundary="periodic"))
    plan = operator_from_offsets(weights).on(grid, (8, 7))
    f, g = rng.normal(size=(2, 8, 7))
    matrix = plan.matrix("array")
    # sums of at most 30 products of numbers below 4, with weights and closures below 2**9
    bound = 30 * EPS * 4 * 2**9
    result = plan.linear(f)
    np.testing.assert_allclose((matrix @ f.ravel()).reshape(8, 7), result, rtol=0, atol=bound)
    np.testing.assert_allclose(plan(f), result + plan.offset, rtol=0, atol=bound)
    np.testing.assert_allclose((matrix.T @ g.ravel()).reshape(8, 7), plan.T(g), rtol=0, atol=bound)
    assert np.vdot(g, result) == pytest.approx(np.vdot(plan.T(g), f), abs=56 * bound)


def test_the_matrix_is_the_one_written_out():
    grid = Grid(Axis(boundary=(Dirichlet(1.0, at="next"), Symmetric())))
    plan = operator_from_offsets(SECOND).on(grid, (4,))
    wanted = [[-2, 1, 0, 0], [1, -2, 1, 0], [0, 1, -2, 1], [0, 0, 1, -1]]
    assert plan.matrix("array").tolist() == wanted
    assert plan.offset.tolist() == [1, 0, 0, 0]


def test_the_stencil_of_a_point_is_the_one_that_was_given():
    plan = operator_from_offsets(CROSS).on(Grid(Axis(0.5), Axis(0.5)), (7, 7))
    found = plan.stencil((3, 4))
    assert dict(zip(found.offsets, found.weights, strict=True)) == {
        k: 4 * float(w) for k, w in CROSS.items()
    }
    assert plan.halo == (3, 3)  # end rows use four points


def test_stencils_of_ones_own_are_operators_among_others(rng):
    f, a = rng.integers(-9, 9, (2, 6)).astype(float)
    grid = Grid(Axis(boundary="periodic"))
    ahead, behind = operator_from_offsets({0: -1, 1: 1}), operator_from_offsets({-1: -1, 0: 1})

    def forward(values):
        return np.roll(values, -1) - values

    def backward(values):
        return values - np.roll(values, 1)

    for operator, wanted in (
        (2 * ahead - behind / 2, 2 * forward(f) - backward(f) / 2),
        (behind @ ahead, backward(forward(f))),
        (behind @ (a * ahead), backward(a * forward(f))),
        (a * ahead, a * forward(f)),
        (ahead @ a, forward(a * f)),
        (ahead**2, forward(forward(f))),
        (ahead + D(0) + 1, forward(f) + (np.roll(f, -1) - np.roll(f, 1)) / 2 + f),
    ):
        np.testing.assert_array_equal(operator.on(grid, (6,))(f), wanted)
    # differences of values at all faces, taken of differences of centres
    compact = behind @ D(0, to="left")
    np.testing.assert_array_equal(compact.on(grid, (6,))(f), backward(backward(f)))
    assert ahead != behind
    assert ahead - operator_from_offsets({1: 1, 0: -1}) == 0 * ahead


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "options", "error", "message"),
    [
        # offsets
        ({0.5: 1}, {}, ArgumentTypeError, r"offset 0\.5 is not an integer or a tuple of integers"),
        ({True: 1}, {}, ArgumentTypeError, "offset True is not an integer"),
        ({"a": 1}, {}, ArgumentTypeError, "offset 'a' is not an integer"),
        ({None: 1}, {}, ArgumentTypeError, "offset None is not an integer"),
        ({(): 1}, {}, ArgumentTypeError, r"offset \(\) is not an integer"),
        ({(0, 0.5): 1}, {}, ArgumentTypeError, r"offset \(0, 0\.5\) is not an integer"),
        ({(0, True): 1}, {}, ArgumentTypeError, r"offset \(0, True\) is not an integer"),
        ([0, "x"], {"like": D(0)}, ArgumentTypeError, "offset 'x' is not an integer"),
        ({0: 1, (1, 0): 2}, {}, ArgumentValueError, "offsets, all with one entry per axis"),
        ({}, {}, ArgumentValueError, "offsets, all with one entry per axis"),
        ([], {"like": D(0)}, ArgumentValueError, "offsets, all with one entry per axis"),
        # weights
        ({0: "1"}, {}, ArgumentTypeError, "the weight '1' of 0 is not a real number"),
        ({0: None}, {}, ArgumentTypeError, "the weight None of 0 is not a real number"),
        ({0: True}, {}, ArgumentTypeError, "the weight True of 0 is not a real number"),
        ({0: np.True_}, {}, ArgumentTypeError, "the weight .*True.* of 0 is not a real number"),
        ({(1, 2): 1j}, {}, ArgumentTypeError, r"the weight 1j of \(1, 2\) is not a real number"),
        ({0: [1.0]}, {}, ArgumentTypeError, r"the weight \[1\.0\] of 0 is not a real number"),
        ({0: float("nan")}, {}, ArgumentValueError, "the weight of 0: nan is not a finite"),
        ({-1: np.float32("inf")}, {}, ArgumentValueError, "the weight of -1: inf is not a finite"),
        ({0: 0, 1: 0.0}, {}, ArgumentValueError, "weights are all 0"),
        # like
        ({0: 1, 1: -1}, {"like": D(0)}, ArgumentTypeError, "weights and like exclude each other"),
        ([0, 1], {}, ArgumentTypeError, "a sequence of offsets.*like="),
        ([0, 1], {"like": 3}, ArgumentTypeError, "a sequence of offsets.*like="),
        (
            [0, 1],
            {"like": Gradient(2)},
            ArgumentValueError,
            "like=.* is a system: wanted one output",
        ),
        (
            [0, 1],
            {"like": D(0) + 1},
            ArgumentValueError,
            "derivatives of several orders: wanted one",
        ),
        ([0, 1, 2], {"like": D(0) + D(0, 2)}, ArgumentValueError, "derivatives of several orders"),
        ([0, 1], {"like": 1j * D(0)}, ArgumentTypeError, "complex coefficients: wanted real ones"),
        (
            [0, 1],
            {"like": np.ones(2) * D(0)},
            ArgumentValueError,
            "holds <2 array>: wanted derivatives",
        ),
        ([0, 1], {"like": D(0, to="left")}, ArgumentValueError, "wanted derivatives"),
        (
            [0, 1],
            {"like": D(0, stencil=Stencil((0, 1), order=1))},
            ArgumentValueError,
            "wanted derivatives",
        ),
        (
            [0, 1],
            {"like": operator_from_offsets({0: -1, 1: 1})},
            ArgumentValueError,
            "wanted derivatives",
        ),
        ([0, 1], {"like": D(1)}, AxisError, "axis=1 is out of bounds for an array of 1 dimension"),
        (PLUS, {"like": D(0) * D(1)}, ArgumentValueError, "no weights on the 5 offsets stand for"),
        ([(0, 0), (1, 0)], {"like": D(1)}, ArgumentValueError, "no weights on the 2 offsets stand"),
        # spacing and axes
        (SECOND, {"spacing": 0}, ArgumentValueError, "spacing=0 must not be 0"),
        (SECOND, {"spacing": "x"}, ArgumentTypeError, r"spacing='x' \(str\) is not a finite"),
        (
            SECOND,
            {"spacing": float("nan")},
            ArgumentValueError,
            "spacing=nan is not a finite number",
        ),
        (SECOND, {"spacing": True}, ArgumentTypeError, "spacing=True"),
        (
            SECOND,
            {"spacing": (1, 2)},
            ArgumentValueError,
            r"spacing=\(1, 2\) has 2 entries for 1 axes",
        ),
        (FIVE, {"spacing": [1]}, ArgumentValueError, r"spacing=\[1\] has 1 entries for 2 axes"),
        (FIVE, {"axes": (0,)}, ArgumentValueError, r"axes=\(0,\) has 1 entries for offsets of 2"),
        (
            SECOND,
            {"axes": [0, 1]},
            ArgumentValueError,
            r"axes=\[0, 1\] has 2 entries for offsets of 1",
        ),
    ],
)
def test_what_is_not_a_stencil_raises(weights, options, error, message):
    with pytest.raises(error, match=message):
        operator_from_offsets(weights, **options)


@pytest.mark.parametrize(
    ("weights", "size", "boundary", "needed"),
    [
        (SECOND, 2, "periodic", 3),
        (SECOND, 3, "one-sided", 4),
        (UPWIND, 3, "one-sided", 4),
        (SECOND, 2, Dirichlet(), 3),
    ],
)
def test_axes_that_are_too_short_are_named(weights, size, boundary, needed):
    grid = Grid(None, Axis(boundary=boundary))
    with pytest.raises(
        ArgumentValueError, match=f"axis 1 has {size} points.*needs at least {needed}"
    ):
        operator_from_offsets(weights, axes=(1,)).on(grid, (3, size))


def test_mirror_images_beyond_the_other_end_need_a_longer_axis():
    with pytest.raises(ArgumentValueError, match=r"axis 0 has 1 points.*at least 4"):
        operator_from_offsets({-4: 1, 0: -1}).on(Grid(Axis(boundary=Symmetric())), (1,))


def test_conditions_that_vary_in_kind_along_the_wall_are_not_served():
    for a in (np.ones(5), 1j):
        grid = Grid(Axis(boundary=Robin(a, 1.0)), Axis())
        with pytest.raises(UnsupportedError, match=r"wanted (real )?numbers a and b"):
            operator_from_offsets(NINE).on(grid, (5, 5))


def test_arrays_along_walls_have_the_shape_of_the_wall():
    grid = Grid(Axis(boundary=Dirichlet(np.ones(4))), Axis(boundary="periodic"))
    with pytest.raises(ArgumentValueError, match=r"has shape \(4,\): wanted \(5,\)"):
        operator_from_offsets(NINE).on(grid, (6, 5))


# --- what an earlier version got wrong ---

DIAGONALS = [(0, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)]


@pytest.mark.parametrize(
    ("offsets", "like", "spacing"),
    [
        (DIAGONALS, D(0, 2) + 3 * D(1, 2), None),
        ([(0, 0), (0, 1)], D(0) + D(1), None),
        ([(0, 0), (0, 1)], D(0), None),
        (DIAGONALS, Laplacian(2), (1, 2)),
        ([0, 1], D(0, 2), None),
        ([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)], D(0, 4), None),
    ],
)
def test_offsets_that_cannot_stand_for_the_derivatives_are_refused(offsets, like, spacing):
    with pytest.raises(ArgumentValueError, match=r"no weights on the \d offsets stand for"):
        operator_from_offsets(offsets, like=like, spacing=spacing)


@pytest.mark.parametrize(
    ("weights", "size"), [({-2: 1, 2: -1}, 4), ({-2: -1, 1: 1}, 3), ({-2: 1, 0: -2, 2: 1}, 4)]
)
@pytest.mark.parametrize("boundary", [Symmetric(), "one-sided"])
def test_axes_as_short_as_the_stencil_have_no_rows_inside(weights, size, boundary):
    plan = operator_from_offsets(weights).on(Grid(Axis(boundary=boundary)), (size,))
    f = np.arange(size) ** 2.0 if isinstance(boundary, Symmetric) else np.arange(size) * 1.0
    mode = (
        {"mode": "symmetric"}
        if isinstance(boundary, Symmetric)
        else {"mode": "reflect", "reflect_type": "odd"}
    )  # linear functions continue as odd reflections
    if boundary == "one-sided":
        wanted = [sum(w * (i + k) for k, w in weights.items()) for i in range(size)]
    else:
        padded = np.pad(f, 2, **mode)
        wanted = [sum(w * padded[2 + i + k] for k, w in weights.items()) for i in range(size)]
    np.testing.assert_array_equal(plan(f), wanted)
    np.testing.assert_array_equal(plan.matrix("array") @ f, wanted)


@pytest.mark.parametrize(
    ("weights", "options"),
    [
        (5, {}),
        (None, {}),
        ({0: 10**400}, {}),
        ({0: 1}, {"axes": ("x",)}),
        ({0: 1}, {"axes": (True,)}),
        ({0: 1}, {"axes": (1.5,)}),
        (np.array([[0, 0], [1, 0]]), {}),
    ],
)
def test_what_cannot_be_used_raises_an_error_of_gradkit(weights, options):
    with pytest.raises(GradkitError):
        operator_from_offsets(weights, **options)


def test_longdouble_weights_are_real_numbers():
    operator_from_offsets({0: np.longdouble("0.1"), 1: 1})


def test_axes_are_named_once():
    with pytest.raises(ArgumentValueError, match="name the same axis twice"):
        operator_from_offsets({(0, 1): 1, (0, 0): -1}, axes=(0, 0))


def test_symmetric_stencils_keep_reflections():
    """Like the same stencil as a derivative, whose rows near the wall are folded back."""
    grid = Grid(Axis(boundary=Symmetric()))
    given = {
        operator_from_offsets([-1, 0, 1], like=D(0, 2)): D(0, 2, stencil=Stencil((-1, 0, 1), 2)),
        operator_from_offsets([-1, 1], like=D(0)): D(0, stencil=Stencil((-1, 0, 1), 1)),
    }
    for offsets, own in given.items():
        found, wanted = ((D(0) @ o).on(grid, (6,)).matrix("array") for o in (offsets, own))
        np.testing.assert_array_equal(found, wanted)
