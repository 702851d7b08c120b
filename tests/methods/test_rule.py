"""Rules: which rows take which differences, and where the points they need lie in an input."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from gradkit import Axis, FiniteDifference
from gradkit.line import Line
from gradkit.methods import Rows, Rule

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
