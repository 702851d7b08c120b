"""Weighted sums of neighbours along one axis: exact weights, row by row."""

from fractions import Fraction

import numpy as np
import pytest

from gradkit import Antisymmetric, Axis, Dirichlet, Neumann, Robin, Symmetric
from gradkit.boundaries import ends_of
from gradkit.errors import ArgumentValueError, UnsupportedError
from gradkit.line import Line
from gradkit.methods import weighted_rule
from gradkit.methods.rows import WALL

FIRST, LAST = WALL
HALF, THIRD = Fraction(1, 2), Fraction(1, 3)

SECOND = {-1: Fraction(1), 0: Fraction(-2), 1: Fraction(1)}
BACKWARD = {-1: Fraction(-1), 0: Fraction(1)}
CENTRED = {-1: -HALF, 1: HALF}
SHIFT = {2: Fraction(1)}
SUM = {-1: Fraction(1), 0: Fraction(2), 1: Fraction(3)}


def rule_of(weights, size, boundary="one-sided", points=3, scale=1, spacing=1, at="centre"):
    axis = Axis(spacing=spacing, boundary=boundary)
    line = Line(axis, size, "axis 0", at, at, ends_of(axis.boundary))
    return weighted_rule(weights, line, points, Fraction(scale))


def rows_of(rule):
    """Exact weights by index of the value, row by row; walls keep their names."""
    return [
        {i + k if isinstance(k, int) else k: w for k, w in rule.row(i).items()}
        for i in range(rule.targets)
    ]


# --- inside and around ----------------------------------------------------------------------------


def test_rows_inside_take_the_weights_as_they_are():
    for weights in (SECOND, BACKWARD, CENTRED, SUM):
        rows = rows_of(rule_of(weights, 9))
        for i in range(3, 6):
            assert rows[i] == {i + k: w for k, w in weights.items()}


@pytest.mark.parametrize("weights", [SECOND, BACKWARD, CENTRED, SUM, SHIFT])
@pytest.mark.parametrize("boundary", ["periodic", "antiperiodic", "one-sided", Dirichlet(1.0)])
def test_rows_cover_the_axis_without_gaps(weights, boundary):
    rule = rule_of(weights, 8, boundary)
    assert [rows.start for rows in rule.rows] == [0, *(rows.stop for rows in rule.rows[:-1])]
    assert rule.rows[-1].stop == 8
    assert (rule.size, rule.first, rule.last, rule.order) == (8, 0, 8, 0)
    if not rule.wrap:
        assert min(rows.first for rows in rule.rows) >= 0
        assert max(rows.last for rows in rule.rows) <= 8


@pytest.mark.parametrize(("boundary", "sign"), [("periodic", 1), ("antiperiodic", -1)])
def test_wrapping_axes_take_the_same_weights_in_every_row(boundary, sign):
    rule = rule_of(SECOND, 5, boundary)
    assert rule.wrap == sign
    assert all(rule.row(i) == SECOND for i in range(5))
    dense = np.zeros((5, 5))
    for run, (columns, values) in zip(rule.rows, rule.tables(), strict=True):
        np.put_along_axis(dense[run.start : run.stop], columns, values, axis=1)
    wanted = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1) - 2 * np.eye(5)
    wanted[0, 4] = wanted[4, 0] = sign
    np.testing.assert_array_equal(dense, wanted)


@pytest.mark.parametrize(
    ("weights", "scale", "total"),
    [(SECOND, 4, 0), (BACKWARD, HALF, 0), (SUM, 1, 6), (SUM, -3, -2), (SHIFT, 5, Fraction(1, 5))],
)
def test_all_weights_are_divided_by_the_scale(weights, scale, total):
    rule = rule_of(weights, 9, scale=scale)
    assert rule.scale == scale
    assert rule.row(4) == {k: w / scale for k, w in weights.items()}
    assert rule.total == total


@pytest.mark.parametrize(
    ("weights", "label"),
    [(SHIFT, "shift"), (BACKWARD, "weighted sum of 2 points"), (SUM, "weighted sum of 3 points")],
)
def test_rules_say_what_they_are(weights, label):
    assert rule_of(weights, 6).label == label


def test_differences_are_taken_where_weights_sum_to_zero():
    """Constants give exactly 0, because only differences of values enter."""
    for weights in (SECOND, BACKWARD, CENTRED):
        for boundary in ("one-sided", "periodic", Symmetric(), (Dirichlet(2.0), "one-sided")):
            for rows in rule_of(weights, 8, boundary, points=4).rows:
                assert all(None not in pair for pair in rows.pairs)
    # an odd stencil pairs mirror images, so the value in the middle is not read
    (middle,) = [rows for rows in rule_of(CENTRED, 8).rows if rows.stop - rows.start > 1]
    assert middle.pairs == ((1, -1),)


# --- beyond the ends ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "beyond"),
    [
        (1, [1]),
        (2, [2, -1]),
        (3, [3, -3, 1]),
        (4, [4, -6, 4, -1]),
        (5, [5, -10, 10, -5, 1]),
    ],
)
def test_values_beyond_an_end_are_extrapolated_by_binomials(points, beyond):
    """The polynomial through p points has zero p-th difference; so f[-1] = p f[0] - ..."""
    rows = rows_of(rule_of({-1: Fraction(1)}, 7, points=points))
    assert rows[0] == dict(enumerate(beyond))
    assert rows[1] == {0: 1}
    rows = rows_of(rule_of({1: Fraction(1)}, 7, points=points))
    assert rows[6] == {6 - i: w for i, w in enumerate(beyond)}
    assert rows[5] == {6: 1}


def test_values_two_points_beyond_an_end_are_extrapolated_by_the_same_polynomial():
    rows = rows_of(rule_of({2: Fraction(1)}, 6, points=3))
    # f(1) and f(2) of the parabola through f(0), f(-1), f(-2)
    assert rows[4] == {5: 3, 4: -3, 3: 1}
    assert rows[5] == {5: 6, 4: -8, 3: 3}


@pytest.mark.parametrize(
    ("boundary", "points", "first", "last"),
    [
        # one spacing beyond the end sample lies the wall: its value is the one beyond
        (Dirichlet(5.0, at="next"), 3, {FIRST: 1, 0: -2, 1: 1}, {LAST: 1, 6: -2, 5: 1}),
        # half a spacing beyond: the line through wall and sample, f[-1] = 2 g - f[0]
        (Dirichlet(5.0), 2, {FIRST: 2, 0: -3, 1: 1}, {LAST: 2, 6: -3, 5: 1}),
        # and the parabola through g, f[0], f[1]: f[-1] = 8/3 g - 2 f[0] + 1/3 f[1]
        (
            Dirichlet(5.0),
            3,
            {FIRST: Fraction(8, 3), 0: -4, 1: Fraction(4, 3)},
            {LAST: Fraction(8, 3), 6: -4, 5: Fraction(4, 3)},
        ),
        # on the sample: g stands for f[0] as well; f[-1] = 3 g - 3 f[1] + f[2]
        (
            Dirichlet(5.0, at="sample"),
            3,
            {FIRST: 1, 1: -2, 2: 1},
            {LAST: 1, 5: -2, 4: 1},
        ),
        # the outward slope g over one spacing: f[-1] = f[0] + g
        (Neumann(5.0), 2, {FIRST: 1, 0: -1, 1: 1}, {LAST: 1, 6: -1, 5: 1}),
        # the parabola with this slope at the sample: f[-1] = f[1] + 2 g
        (Neumann(5.0, at="sample"), 3, {FIRST: 2, 0: -2, 1: 2}, {LAST: 2, 6: -2, 5: 2}),
        # 2 f + 1 df/dn = g at the face, of the line p(x) = f[0] + s x outwards (x from f[0]):
        # 2 f[0] + s + s = g, so f[-1] = f[0] + s = g/2; the rule sees the value g/2
        (Robin(2.0, 1.0, 5.0), 2, {FIRST: 1, 0: -2, 1: 1}, {LAST: 1, 6: -2, 5: 1}),
        # mirror images
        (Symmetric(), 3, {0: -1, 1: 1}, {6: -1, 5: 1}),
        (Symmetric(at="sample"), 3, {0: -2, 1: 2}, {6: -2, 5: 2}),
        (Antisymmetric(), 3, {0: -3, 1: 1}, {6: -3, 5: 1}),
        (Antisymmetric(at="next"), 3, {0: -2, 1: 1}, {6: -2, 5: 1}),
        (Antisymmetric(at="sample"), 3, {}, {}),
    ],
    ids=repr,
)
def test_rows_next_to_walls_are_those_worked_out_by_hand(boundary, points, first, last):
    rows = rows_of(rule_of(SECOND, 7, boundary, points))
    assert rows[0] == first
    assert rows[6] == last
    assert all(rows[i] == {i - 1: 1, i: -2, i + 1: 1} for i in (2, 3, 4))


def test_the_two_ends_may_differ():
    rows = rows_of(rule_of(SECOND, 6, (Dirichlet(5.0, at="next"), Symmetric())))
    assert (rows[0], rows[5]) == ({FIRST: 1, 0: -2, 1: 1}, {5: -1, 4: 1})
    rows = rows_of(rule_of(SECOND, 6, ("one-sided", Neumann(1.0)), points=2))
    assert (rows[0], rows[5]) == ({}, {LAST: 1, 5: -1, 4: 1})  # a line has no second difference


def test_a_value_stated_at_a_sample_is_taken_wherever_the_sample_is_reached():
    rows = rows_of(rule_of(SUM, 6, Dirichlet(5.0, at="sample"), points=2))
    # f[-1] = 2 g - f[1]
    assert rows[0] == {FIRST: 2 + 2, 1: 3 - 1}
    assert rows[1] == {FIRST: 1, 1: 2, 2: 3}
    assert rows[4] == {3: 1, 4: 2, LAST: 3}
    rows = rows_of(rule_of(SUM, 6, Antisymmetric(at="sample")))
    assert rows[0] == {1: 3 - 1}
    assert rows[1] == {1: 2, 2: 3}


@pytest.mark.parametrize(
    ("spacing", "slope"), [(1, 1), (HALF, HALF), (0.5, HALF), (-0.5, HALF), (4, 4)]
)
def test_slopes_at_walls_are_outward_whichever_way_the_axis_runs(spacing, slope):
    rows = rows_of(rule_of(BACKWARD, 4, Neumann(1.0), points=2, spacing=spacing))
    # f[0] - f[-1] = -g h, where g is the slope outwards
    assert rows[0] == {FIRST: -slope}


def test_walls_may_lie_at_any_distance():
    rows = rows_of(rule_of(SECOND, 6, Dirichlet(5.0, at=0.25), points=2))
    # the line through g at -1/4 and f[0]: f[-1] = 4 g - 3 f[0]
    assert rows[0] == {FIRST: 4, 0: -5, 1: 1}


def test_at_least_one_sample_is_used_beside_a_wall():
    rows = rows_of(rule_of(SECOND, 6, Dirichlet(5.0), points=1))
    assert rows[0] == {FIRST: 2, 0: -3, 1: 1}


@pytest.mark.parametrize(
    ("boundary", "walls"),
    [
        ("one-sided", (0, 0)),
        ("periodic", (0, 0)),
        (Symmetric(), (0, 0)),
        (Dirichlet(5.0), (5, 5)),
        (Neumann(3.0), (3, 3)),
        ((Dirichlet(2.0), "one-sided"), (2, 0)),
        ((Antisymmetric(), Neumann(-1.0)), (0, -1)),
        (Robin(2.0, 1.0, 5.0), (Fraction(5, 2), Fraction(5, 2))),
    ],
    ids=repr,
)
def test_rules_hold_what_is_known_at_walls(boundary, walls):
    assert rule_of(SECOND, 7, boundary).walls == walls


def test_arrays_along_walls_are_handed_on():
    known = rule_of(SECOND, 7, Dirichlet(np.array([1.0, 2.0]))).walls
    assert [value.array.tolist() for value in known] == [[1.0, 2.0]] * 2


def test_values_at_faces_mirror_at_the_walls_between_them():
    """Left faces lie half a spacing before their centres: the wall at the face is the first."""
    rows = rows_of(rule_of(SECOND, 6, (Symmetric(), "one-sided"), at="left"))
    assert rows[0] == {0: -2, 1: 2}
    rows = rows_of(rule_of(SECOND, 6, (Antisymmetric(), "one-sided"), at="right"))
    # the first right face lies one spacing from the wall, where f is 0
    assert rows[0] == {0: -2, 1: 1}
    # the parabola through f[0] and f[1] with the slope g outwards at the wall, which is at -1:
    # 3 f[-1] = 4 f[0] - f[1] + 2 g
    rows = rows_of(rule_of(SECOND, 6, (Neumann(5.0), "one-sided"), at="right"))
    assert rows[0] == {FIRST: 2 * THIRD, 0: -2 * THIRD, 1: 2 * THIRD}


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "size", "boundary", "points", "needed"),
    [
        (SECOND, 2, "periodic", 3, 3),
        (SECOND, 2, "antiperiodic", 3, 3),
        (SHIFT, 2, "periodic", 3, 3),
        ({-3: Fraction(1), 2: Fraction(1)}, 5, "periodic", 1, 6),
        (SECOND, 3, "one-sided", 4, 4),
        (SECOND, 2, Dirichlet(1.0), 4, 3),
        (SECOND, 3, Dirichlet(1.0, at="sample"), 3, 4),
        (SECOND, 0, "one-sided", 3, 1),
    ],
)
def test_axes_that_are_too_short_raise(weights, size, boundary, points, needed):
    with pytest.raises(ArgumentValueError, match=rf"has {size} points.*needs at least {needed}$"):
        rule_of(weights, size, boundary, points)


def test_axes_just_long_enough_are_served():
    assert rows_of(rule_of(SECOND, 4, points=4))[0] == {0: 2, 1: -5, 2: 4, 3: -1}
    assert rule_of(SECOND, 3, "periodic").row(0) == {-1: 1, 0: -2, 1: 1}
    rows = rows_of(rule_of({-2: Fraction(1)}, 2, Symmetric()))
    assert rows == [{1: 1}, {0: 1}]


@pytest.mark.parametrize(
    ("boundary", "size", "needed"),
    [(Symmetric(at="sample"), 1, 3), ((Symmetric(), "one-sided"), 1, 2)],
)
def test_mirror_images_must_lie_on_the_axis(boundary, size, needed):
    with pytest.raises(ArgumentValueError, match=f"has {size} points.*needs at least {needed}"):
        rule_of({-2: Fraction(1), 0: Fraction(1)}, size, boundary)


@pytest.mark.parametrize(
    "condition", [Robin(np.ones(3), 1.0), Robin(1.0, np.ones(3)), Robin(1j, 1.0), Robin(1.0, 2j)]
)
def test_conditions_that_vary_along_the_wall_are_not_served(condition):
    for boundary in (condition, ("one-sided", condition)):
        with pytest.raises(UnsupportedError, match="wanted real numbers a and b"):
            rule_of(SECOND, 7, boundary)


def test_conditions_must_settle_the_value_beyond():
    # outwards from f[0], p(x) = f[0] + s x: 2 p - p' at x = 1/2 is 2 f[0], whatever s is
    with pytest.raises(ArgumentValueError, match="does not settle f"):
        rule_of(SECOND, 7, Robin(2.0, -1.0, 1.0), points=2)
