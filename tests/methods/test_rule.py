"""Rules: which rows take which differences, and where the points they need lie in an input."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from gradkit import (
    Antisymmetric,
    Axis,
    Dirichlet,
    FiniteDifference,
    Neumann,
    Robin,
    Symmetric,
)
from gradkit.line import Line
from gradkit.methods import WALL, Rows, Rule
from gradkit.methods.rule import exact

HALF = Fraction(1, 2)


def rule_of(axis, size, order=1, accuracy=2, edge_order=None):
    return FiniteDifference(accuracy).rule(order, Line(axis, size), edge_order)


ROUGH = Axis(coordinates=[0, 1, 3, 4, 8, 9, 12, 13, 17])
WRAPPED = Axis(coordinates=[0, 1, 3, 4, 8, 9, 12, 13, 17], boundary="periodic", period=20)


def test_a_rule_is_the_textbook_stencil_row_by_row():
    rule = rule_of(Axis(spacing=0.5), 5)
    assert (rule.order, rule.size, rule.wrap, rule.scale) == (1, 5, 0, HALF)
    first, middle, last = rule.rows
    assert (first.start, first.stop, middle.start, middle.stop) == (0, 1, 1, 4)
    assert (last.start, last.stop) == (4, 5)
    # (-3 f0 + 4 f1 - f2) / 2h = (3/2 (f1 - f0) - 1/2 (f2 - f1)) / h
    assert dict(zip(first.pairs, first.weights, strict=True)) == {(1, 0): 3 * HALF, (2, 1): -HALF}
    assert dict(zip(middle.pairs, middle.weights, strict=True)) == {(1, -1): HALF}
    assert dict(zip(last.pairs, last.weights, strict=True)) == {(0, -1): 3 * HALF, (-1, -2): -HALF}


def test_weights_on_coordinates_are_those_of_the_parabola_through_three_points():
    (_, middle, _) = rule_of(Axis(coordinates=[0.0, 1.0, 4.0, 6.0]), 4).rows
    # slopes of the two sides, each weighted with the length of the other one
    for row, (left, right) in enumerate([(1, 3), (3, 2)]):
        wanted = {(0, -1): right / left / (left + right), (1, 0): left / right / (left + right)}
        scale = float(rule_of(Axis(coordinates=[0.0, 1.0, 4.0, 6.0]), 4).scale)
        found = dict(zip(middle.pairs, middle.weights[:, row] / scale, strict=True))
        assert found == pytest.approx(wanted, rel=4 * np.finfo(float).eps)


@pytest.mark.parametrize(
    "axis",
    [
        Axis(spacing=0.1),
        Axis(boundary="periodic"),
        Axis(boundary="antiperiodic"),
        ROUGH,
        WRAPPED,
    ],
    ids=repr,
)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("accuracy", [1, 2, 4])
def test_rows_cover_the_axis_without_gaps(axis, order, accuracy):
    rule = rule_of(axis, 9, order, accuracy)
    assert [rows.start for rows in rule.rows] == [0, *(rows.stop for rows in rule.rows[:-1])]
    assert rule.rows[-1].stop == 9
    assert all(rows.start < rows.stop for rows in rule.rows)
    assert (rule.first, rule.last) == (0, 9)
    for rows in rule.rows:
        reached = [i + k for i in (rows.start, rows.stop - 1) for pair in rows.pairs for k in pair]
        if not rule.wrap:
            assert min(reached) >= 0
            assert max(reached) < 9


def test_rows_record_the_accuracy_that_they_were_asked_for():
    assert [rows.accuracy for rows in rule_of(Axis(), 9, 1, 4, 1).rows] == [1, 2, 4, 2, 1]


@pytest.mark.parametrize(
    ("axis", "order", "accuracy", "edge_order", "reach"),
    [
        (Axis(), 1, 2, 1, 1),
        (Axis(), 1, 2, 2, 2),
        (Axis(), 2, 2, 2, 3),
        (Axis(), 1, 4, 1, 2),
        (Axis(boundary="periodic"), 1, 2, None, 1),
        (Axis(boundary="periodic"), 2, 4, None, 2),
        (Axis(boundary="antiperiodic"), 3, 2, None, 2),
        (WRAPPED, 1, 2, None, 1),
        (WRAPPED, 2, 2, None, 2),
    ],
)
def test_reach_is_the_longest_offset(axis, order, accuracy, edge_order, reach):
    assert rule_of(axis, 9, order, accuracy, edge_order).reach == reach


def test_rules_and_rows_are_frozen():
    rule = rule_of(Axis(), 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.size = 6
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.rows[0].start = 1


# --- parts of rows --------------------------------------------------------------------------------


def test_rows_between_two_bounds_keep_their_weights():
    rows = Rows(2, 7, ((1, 0), (0, -1)), np.arange(10.0).reshape(2, 5), 2)
    part = rows.between(4, 20)
    assert (part.start, part.stop, part.pairs) == (4, 7, rows.pairs)
    assert part.weights.tolist() == [[2.0, 3.0, 4.0], [7.0, 8.0, 9.0]]
    exact = Rows(2, 7, ((1, -1),), (HALF,), 2).between(0, 3)
    assert (exact.start, exact.stop, exact.weights) == (2, 3, (HALF,))


@pytest.mark.parametrize("bounds", [(0, 2), (7, 9), (5, 5), (9, 0)])
def test_rows_outside_of_the_bounds_are_none(bounds):
    assert Rows(2, 7, ((1, -1),), (HALF,), 2).between(*bounds) is None


# --- where points lie in the input ----------------------------------------------------------------


def bare_rule(wrap, size=6):
    """Slopes between the two neighbours; between an end and its neighbour if nothing wraps."""
    rows = [Rows(0, size, ((1, -1),), (HALF,), 2)]
    if not wrap:
        rows = [
            Rows(0, 1, ((1, 0),), (Fraction(1),), 1),
            Rows(1, size - 1, ((1, -1),), (HALF,), 2),
            Rows(size - 1, size, ((0, -1),), (Fraction(1),), 1),
        ]
    return Rule(1, size, wrap, Fraction(1), tuple(rows), 0, size)


@pytest.mark.parametrize(
    ("wrap", "start", "stop", "segments"),
    [
        (0, 1, 5, [(1, 5, 1)]),
        (1, 1, 5, [(1, 5, 1)]),
        (1, -1, 5, [(5, 6, 1), (0, 5, 1)]),
        (1, 1, 7, [(1, 6, 1), (0, 1, 1)]),
        (1, -2, 8, [(4, 6, 1), (0, 6, 1), (0, 2, 1)]),
        (1, -3, -1, [(3, 5, 1)]),
        (-1, -1, 5, [(5, 6, -1), (0, 5, 1)]),
        (-1, 1, 7, [(1, 6, 1), (0, 1, -1)]),
        (-1, 6, 8, [(0, 2, -1)]),
        (-1, -8, -5, [(4, 6, 1), (0, 1, -1)]),
        (-1, 11, 14, [(5, 6, -1), (0, 2, 1)]),
        (0, 3, 3, []),
    ],
)
def test_segments_of_a_whole_axis_come_around_its_ends(wrap, start, stop, segments):
    assert bare_rule(wrap).segments(start, stop) == segments


@pytest.mark.parametrize("wrap", [1, -1])
def test_segments_are_the_points_that_they_stand_for(wrap):
    """Against the sequence continued by hand: period 6, sign changing with every turn."""
    values = np.arange(1, 7)
    for start in range(-13, 13):
        for stop in range(start + 1, start + 12):
            wanted = [int(values[i % 6]) * wrap ** abs(i // 6) for i in range(start, stop)]
            found = []
            for begin, end, sign in bare_rule(wrap).segments(start, stop):
                found += (sign * values[begin:end]).tolist()
            assert found == wanted


@pytest.mark.parametrize(
    ("wrap", "block", "points", "segments"),
    [
        (0, (2, 5, 1, 6), (1, 4), [(0, 3, 1)]),
        (0, (0, 3, 0, 4), (0, 4), [(0, 4, 1)]),
        (0, (4, 6, 2, 6), (3, 6), [(1, 4, 1)]),
        (1, (0, 3, -1, 4), (-1, 2), [(0, 3, 1)]),
        (1, (4, 6, 3, 7), (5, 7), [(2, 4, 1)]),
        (-1, (0, 3, -1, 4), (-1, 2), [(0, 1, -1), (1, 3, 1)]),
        (-1, (4, 6, 3, 7), (5, 7), [(2, 3, 1), (3, 4, -1)]),
        (-1, (0, 6, -1, 7), (-1, 7), [(0, 1, -1), (1, 7, 1), (7, 8, -1)]),
        (1, (0, 6, -2, 8), (-1, 7), [(1, 9, 1)]),
    ],
)
def test_a_block_holds_its_halo_and_the_copies_beyond_a_wrapping_end(wrap, block, points, segments):
    """A block is (start, stop) of its rows and (first, last) of the points that it holds."""
    assert bare_rule(wrap).block(*block).segments(*points) == segments


@pytest.mark.parametrize(
    ("wrap", "rows", "needed"),
    [
        (0, (2, 4), (1, 5)),
        (0, (0, 2), (0, 3)),
        (0, (4, 6), (3, 6)),
        (0, (0, 6), (0, 6)),
        (1, (2, 4), (1, 5)),
        (1, (0, 2), (-1, 3)),
        (-1, (4, 6), (3, 7)),
        (1, (-3, -1), (-4, 0)),
        (-1, (5, 9), (4, 10)),
    ],
)
def test_rows_need_the_points_that_they_reach(wrap, rows, needed):
    rule = bare_rule(wrap)
    assert rule.needed(*rows) == needed
    block = rule.block(*rows, *needed)
    assert (block.rows[0].start, block.rows[-1].stop) == rows
    assert [r.start for r in block.rows[1:]] == [r.stop for r in block.rows[:-1]]


def test_a_block_keeps_the_rows_that_lie_in_it():
    rule = rule_of(ROUGH, 9, order=1, accuracy=4)
    block = rule.block(1, 5, 0, 9)
    assert [(rows.start, rows.stop) for rows in block.rows] == [(1, 2), (2, 5)]
    assert (block.order, block.size, block.scale) == (rule.order, rule.size, rule.scale)
    wide = next(rows for rows in rule.rows if rows.start == 2)
    np.testing.assert_array_equal(block.rows[1].weights, wide.weights[:, :3], strict=True)


# --- other renderings -----------------------------------------------------------------------------


def line_rule(axis, size, order=1, accuracy=2, edge_order=None, at="centre", to="centre"):
    """The rule of a field of which all is known that the axis states."""
    line = Line(axis, size, "axis 0", at, to, axis.ends)
    return FiniteDifference(accuracy).rule(order, line, edge_order)


def dense(rule):
    """The matrix of a rule, from its tables."""
    matrix = np.zeros((rule.targets, rule.size))
    row = 0
    for columns, values in rule.tables():
        assert columns.shape == values.shape
        assert (np.diff(columns, axis=1) > 0).all()
        assert values.dtype == np.float64
        np.put_along_axis(matrix[row : row + len(columns)], columns, values, axis=1)
        row += len(columns)
    assert row == rule.targets
    return matrix


HALVES = Axis(spacing=0.5)
FALLING = Axis(spacing=-0.5)
DISTANCE = {"coordinates": [0, 1, 3, 4, 8, 9, 12, 13, 17]}
RULES = {
    "one-sided": (line_rule, HALVES, 9),
    "decreasing": (line_rule, FALLING, 9, 3),
    "accuracy 4": (line_rule, HALVES, 9, 1, 4),
    "low edge order": (line_rule, HALVES, 9, 2, 4, 1),
    "periodic": (line_rule, Axis(boundary="periodic"), 9, 3, 4),
    "antiperiodic": (line_rule, Axis(boundary="antiperiodic"), 7, 1, 4),
    "just long enough": (line_rule, Axis(boundary="antiperiodic"), 5, 1, 4),
    "coordinates": (line_rule, ROUGH, 9, 2, 4),
    "periodic coordinates": (line_rule, WRAPPED, 9, 2),
    "values at walls": (line_rule, Axis(boundary=Dirichlet(2.0)), 9, 2),
    "values at samples": (line_rule, Axis(boundary=Dirichlet(2.0, at="sample")), 9),
    "slopes at walls": (line_rule, Axis(boundary=Neumann(2.0, at="next")), 9, 1, 4),
    "walls on coordinates": (line_rule, Axis(**DISTANCE, boundary=Robin(1, 2, 3.0)), 9, 2),
    "mirrors": (line_rule, Axis(boundary=(Symmetric(), Antisymmetric(at="sample"))), 9, 2, 4),
    "to all faces": (line_rule, HALVES, 9, 1, 2, None, "centre", "outer"),
    "to inner faces": (line_rule, ROUGH, 9, 1, 2, None, "centre", "inner"),
    "from left faces": (line_rule, WRAPPED, 9, 0, 2, None, "left", "centre"),
    "means": (line_rule, HALVES, 9, 0, 4, None, "outer", "centre"),
}


@pytest.fixture(params=RULES)
def rule(request):
    make, *arguments = RULES[request.param]
    return make(*arguments)


def test_tables_are_the_textbook_matrix():
    assert dense(line_rule(HALVES, 4)).tolist() == [
        [-3, 4, -1, 0],
        [-1, 0, 1, 0],
        [0, -1, 0, 1],
        [0, 1, -4, 3],
    ]
    assert dense(line_rule(FALLING, 4)).tolist() == (-dense(line_rule(HALVES, 4))).tolist()
    assert dense(line_rule(HALVES, 3, order=2, edge_order=1)).tolist() == [[4, -8, 4]] * 3


def test_tables_round_exact_weights_once():
    """1/12 and 8/12 over a spacing that is no binary fraction."""
    axis = Axis(spacing=0.1, boundary="periodic")
    h = Fraction(0.1)
    row = dense(line_rule(axis, 5, accuracy=4))[2]
    assert row.tolist() == [float(Fraction(k, 12) / h) for k in (1, -8, 0, 8, -1)]


@pytest.mark.parametrize(("boundary", "sign"), [("periodic", 1), ("antiperiodic", -1)])
def test_tables_of_wrapping_rules_fold_the_copies_back(boundary, sign):
    found = dense(line_rule(Axis(spacing=0.5, boundary=boundary), 4))
    assert found.tolist() == [
        [0, 1, 0, -sign],
        [-1, 0, 1, 0],
        [0, -1, 0, 1],
        [sign, 0, -1, 0],
    ]


def test_tables_are_without_what_is_known_at_walls():
    """-2 f + f[1] + value; a slope at the face is that of the parabola through two samples."""
    known = line_rule(Axis(boundary=Dirichlet(7.0, at="next")), 3, order=2)
    assert dense(known).tolist() == [[-2, 1, 0], [1, -2, 1], [0, 1, -2]]
    slope = line_rule(Axis(boundary=Neumann(7.0)), 3)
    assert dense(slope).tolist() == [[-0.5, 0.5, 0], [-0.5, 0, 0.5], [0, -0.5, 0.5]]


def test_a_row_has_exact_weights():
    assert rule_of(HALVES, 5).row(0) == {0: -3, 1: 4, 2: -1}
    assert rule_of(HALVES, 5).row(2) == {-1: -1, 1: 1}
    tenth = Fraction(0.1)
    assert rule_of(Axis(spacing=0.1), 5, accuracy=4).row(2) == {
        k: Fraction(w, 12) / tenth for k, w in {-2: 1, -1: -8, 1: 8, 2: -1}.items()
    }
    assert rule_of(FALLING, 5).row(2) == {-1: 1, 1: -1}


@pytest.mark.parametrize("dtype", ["float64", "longdouble"])
def test_a_row_of_coordinates_is_exact_up_to_the_precision_of_the_table(dtype):
    """The parabola through 0, 1, 3 has at 1 the slopes of both sides, weighted 2 to 1."""
    axis = Axis(coordinates=ROUGH.coordinates.values.astype(dtype))
    row = rule_of(axis, 9).row(1)
    wanted = {-1: Fraction(-2, 3), 0: Fraction(1, 2), 1: Fraction(1, 6)}
    eps = Fraction(float(np.finfo(dtype).eps))
    assert row.keys() == wanted.keys()
    assert all(abs(row[k] - wanted[k]) <= 4 * eps for k in wanted)


@pytest.mark.parametrize("index", [-12, -1, 0, 5, 9, 20])
def test_rows_of_wrapped_copies_are_those_of_the_axis(index):
    rule = rule_of(WRAPPED, 9)
    assert rule.row(index) == rule.row(index % 9)


@pytest.mark.parametrize(
    "coordinates",
    [
        [0.0, 1e-6, 1e-3, 1.0, 1e3, 1e6],
        [0.0, 1.0, 2.5, 3.0, 1e9, 2e9, 4e9],
        [-4e9, -2e9, -1e9, 0.0, 1.0, 2.5],
        np.cumsum(np.r_[0, np.geomspace(1e-3, 1e3, 200)]),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_exponents_are_those_of_the_weights(coordinates, order):
    coordinates = np.asarray(coordinates)
    rule = line_rule(Axis(coordinates=coordinates), len(coordinates), order)
    weights = np.abs(np.concatenate([np.ravel(rows.weights) for rows in rule.rows]))
    powers = np.frexp(weights[weights > 0])[1]
    assert rule.exponents == (powers.min(), powers.max())


def test_a_row_names_what_it_takes_from_a_wall():
    value = line_rule(Axis(spacing=0.5, boundary=Dirichlet(7.0, at="next")), 4, order=2)
    assert value.row(0) == {"first wall": 4, 0: -8, 1: 4}
    assert value.row(3) == {-1: 4, 0: -8, "last wall": 4}
    assert value.walls == (7.0, 7.0)
    # At the first point the parabola of slope -g at -1/2 has the slope (f[1] - f[0] - g) / 2.
    slope = line_rule(Axis(boundary=Neumann(7.0)), 4)
    half = Fraction(1, 2)
    assert slope.row(0) == {0: -half, 1: half, "first wall": -half}
    assert slope.row(3) == {-1: -half, 0: half, "last wall": half}


def test_the_linear_part_has_nothing_of_the_walls():
    rule = line_rule(Axis(boundary=(Dirichlet(7.0, at="next"), Neumann(3.0))), 6, order=2)
    assert rule.total == 0  # a derivative of 1, with the wall at 1 too
    linear = rule.linear()
    assert linear.row(0) == {0: -2, 1: 1}
    assert all(isinstance(point, int) for i in range(6) for point in linear.row(i))
    np.testing.assert_array_equal(dense(linear), dense(rule))
    # Rows away from the walls are the same objects: nothing is computed anew.
    assert linear.rows[1] is rule.rows[1]


def test_the_linear_part_of_a_wall_on_coordinates_keeps_the_weights():
    rule = line_rule(Axis(**DISTANCE, boundary=Dirichlet(7.0)), 9, order=2)
    np.testing.assert_array_equal(dense(rule.linear()), dense(rule))
    assert not any(w in pair for rows in rule.linear().rows for pair in rows.pairs for w in WALL)


@pytest.mark.parametrize(
    "rule",
    [name for name in RULES if name not in ("antiperiodic", "just long enough")],
    indirect=True,
)
def test_magnitudes_are_those_of_the_weights_of_values(rule):
    """Differences have other weights than values: what is taken and given back cancels first."""
    bound = rule.magnitude()
    np.testing.assert_array_equal(dense(bound), abs(dense(rule)))
    assert bound.scale > 0
    assert (bound.size, bound.targets) == (rule.size, rule.targets)


def test_the_transposed_rule_has_the_transposed_matrix(rule):
    turned = rule.transposed()
    assert (turned.size, turned.targets) == (rule.targets, rule.size)
    np.testing.assert_array_equal(dense(turned), dense(rule).T)
    np.testing.assert_array_equal(dense(turned.transposed()), dense(rule))


def test_rows_of_transposed_rules_cover_the_axis_without_gaps(rule):
    turned = rule.transposed()
    assert [rows.start for rows in turned.rows] == [0, *(r.stop for r in turned.rows[:-1])]
    assert (turned.first, turned.last) == (0, turned.size)
    for rows in turned.rows:
        assert rows.start < rows.stop
        if not turned.wrap:
            assert rows.first >= 0
            assert rows.last <= turned.size


def test_transposed_rules_take_differences_again_where_weights_sum_to_zero():
    """Minus the derivative on a ring, so that constants give exactly 0; at ends they do not."""
    ring = line_rule(Axis(spacing=0.1, boundary="periodic"), 6, accuracy=4).transposed()
    for rows in ring.rows:
        assert {frozenset(pair) for pair in rows.pairs} == {frozenset({1, -1}), frozenset({2, -2})}
    ends = line_rule(HALVES, 8).transposed()
    assert ends.row(0) == {0: -3, 1: -1}
    assert (ends.rows[0].pairs, ends.rows[-1].pairs) == (
        ((0, None), (1, None)),
        ((-1, None), (0, None)),
    )
    assert [rows.pairs for rows in ends.rows if rows.start == 3] == [((1, -1),)]


def test_long_transposed_rules_have_few_runs_of_rows():
    """Those that touch the ends one by one, all others as one."""
    for axis, runs in ((HALVES, 9), (Axis(boundary="periodic"), 3)):
        assert len(line_rule(axis, 1000, 2, 4).transposed().rows) <= runs + 8
    turned = line_rule(Axis(boundary="antiperiodic"), 1000, 1, 4).transposed()
    assert [(rows.start, rows.stop) for rows in turned.rows] == [(0, 2), (2, 998), (998, 1000)]


def test_a_rule_knows_whether_it_is_transposed_and_of_magnitudes():
    rule = line_rule(HALVES, 5)
    forms = (rule, rule.transposed(), rule.transposed().transposed(), rule.magnitude())
    found = [(form.is_transposed, form.is_magnitude) for form in forms]
    assert found == [(False, False), (True, False), (False, False), (False, True)]


@pytest.mark.parametrize(
    ("arguments", "rows", "needed"),
    [
        ((HALVES, 9), (0, 1), (0, 3)),
        ((HALVES, 9), (4, 5), (3, 6)),
        ((HALVES, 9), (3, 9), (2, 9)),
        ((HALVES, 9, 1, 2, None, "centre", "inner"), (0, 3), (0, 4)),
        ((HALVES, 9, 1, 2, None, "centre", "outer"), (1, 3), (0, 3)),
        ((HALVES, 9, 1, 2, None, "outer", "centre"), (2, 4), (2, 5)),
        ((WRAPPED, 9), (0, 1), (-1, 2)),
        ((WRAPPED, 9), (8, 9), (7, 10)),
        ((WRAPPED, 9, 1, 2, None, "centre", "left"), (0, 2), (-1, 2)),
    ],
)
def test_rows_need_the_points_of_their_stencils(arguments, rows, needed):
    assert line_rule(*arguments).needed(*rows) == needed


def test_rows_that_use_no_value_need_some_point_all_the_same():
    """The slope at a wall on the first sample is known; a block of it still has an input."""
    rule = line_rule(Axis(boundary=Neumann(7.0, at="sample")), 5)
    assert rule.row(0) == {"first wall": -1}
    assert rule.needed(0, 1) == (0, 1)
    assert rule.needed(4, 5) == (4, 5)
    assert rule.needed(0, 2) == (0, 3)


def test_a_rule_knows_how_many_values_and_results_there_are():
    for place, targets in (("centre", 9), ("left", 9), ("inner", 8), ("outer", 10)):
        rule = line_rule(HALVES, 9, to=place)
        assert (rule.size, rule.targets) == (9, targets)


def test_a_block_of_a_rule_is_not_the_whole_axis():
    rule = line_rule(HALVES, 9)
    assert rule.is_whole
    assert not rule.block(3, 5, 2, 6).is_whole


@pytest.mark.parametrize(
    "value", [3, Fraction(1, 3), np.float32(0.1), np.float64(0.1), np.longdouble(1) / 3]
)
def test_exact_values_are_fractions(value):
    found = exact(value)
    assert isinstance(found, Fraction)
    assert found == Fraction(*map(int, value.as_integer_ratio()))


@pytest.mark.parametrize("wrap", ["one-sided", "periodic", "antiperiodic"])
@pytest.mark.parametrize("rows", [(0, 4), (3, 7), (6, 12), (5, 6)])
def test_the_local_rule_of_a_block_counts_its_rows_and_points_from_0(wrap, rows):
    rule = FiniteDifference(4).rule(2, Line(Axis(0.5, boundary=wrap), 12), None)
    first, last = rule.needed(*rows)
    local = rule.block(*rows, first, last).local()
    assert (local.size, local.wrap, local.targets) == (last - first, 0, rows[1] - rows[0])
    assert local.rows[0].start == 0
    for index in range(*rows):
        wanted = {index + k: weight for k, weight in rule.row(index).items()}
        at = index - rows[0]
        moved = {at + k + first: weight for k, weight in local.row(at).items()}
        assert moved == wanted


def test_local_rules_part_rows_that_meet_negatives_of_the_other_end():
    rule = FiniteDifference(2).rule(2, Line(Axis(0.5, boundary="antiperiodic"), 12), None)
    runs = [
        [run.stop - run.start for run in rule.block(*rows, rows[0] - 1, rows[1] + 1).local().rows]
        for rows in ((0, 4), (4, 8), (8, 12))
    ]
    assert runs == [[1, 3], [4], [3, 1]]
