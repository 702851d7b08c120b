"""Lines of every kind in boxes of every kind: plain ones, those at faces, and their ends."""

from itertools import product

import numpy as np
import pytest

from gradkit import Axis, D, Dirichlet, FiniteDifference, Grid, Laplacian, Neumann, Robin, Stencil
from gradkit.engines import reference
from gradkit.engines.cpu import compiled, numbers
from gradkit.engines.program import program_of

from .conftest import compare, same_bits
from .test_compiled import values

WALLS = Axis(0.3, boundary=(Dirichlet(2.5), Neumann(1.0)))


@pytest.fixture
def cut(monkeypatch):
    """Let boxes be of these lengths."""
    return lambda *lengths: monkeypatch.setattr(compiled, "_lengths", lambda *_: list(lengths))


@pytest.mark.parametrize("past", [numbers.PAST, 0], ids=["small", "large"])
@pytest.mark.parametrize(
    ("operator", "end"),
    [(D(0), "one-sided"), (D(1), Dirichlet(1)), (Laplacian(2), Dirichlet(1)), (D(1), "one-sided")],
    ids=["rows", "lines", "both", "ends"],
)
def test_results_begin_anywhere_in_a_line_of_the_cache(operator, end, past, monkeypatch):
    monkeypatch.setattr(numbers, "PAST", past)
    for columns in (7, 8, 9, 15, 16, 17, 24, 41):
        shape = (6, columns)
        method = FiniteDifference(4 if end == "one-sided" else 2)
        plan = operator.on(Grid(Axis(0.3), Axis(0.7, boundary=end)), shape, method=method)
        f = values(shape)
        expected = reference.run(plan, [f])[0]
        for start, gap in product(range(8), (0, 1, 8)):
            room = np.full(6 * (columns + gap) + 32, np.pi)
            # Counted from the beginning of a line: NumPy's own arrays may begin anywhere.
            first = -(room.__array_interface__["data"][0] // 8) % 8 + start
            wide = room[first : first + 6 * (columns + gap)].reshape(6, columns + gap)
            result = wide[:, :columns]
            compiled.run(plan, [f], [result], 1)
            assert same_bits(result, expected)
            result[...] = np.pi
            assert np.all(room == np.pi), "something else was written to"


@pytest.mark.parametrize(
    ("dtype", "lanes"),
    [
        ("float32", {5: 0, 6: 4, 9: 4, 10: 8, 13: 8, 17: 8, 18: 16}),
        ("float64", {5: 2, 6: 4, 9: 4, 10: 8}),
        ("int64", {5: 2, 9: 4}),
    ],
)
def test_short_lines_are_taken_as_parts_of_a_line_of_the_cache(dtype, lanes):
    for columns, wanted in lanes.items():
        plan = Laplacian(2).on(Grid(Axis(0.3), Axis(0.7)), (6, columns))
        f = values(plan.shape, dtype)
        program = program_of(plan, [f])
        key, _ = numbers.key_of(plan, program, 0, [f], np.empty(plan.shape, program.result))
        assert key.lanes == wanted
        compare(plan, [f])


@pytest.mark.parametrize(
    ("accuracy", "edge_order", "columns"),
    [(2, 1, 2), (2, 1, 3), (2, 2, 3), (2, 2, 4), (4, 4, 5), (4, 4, 6), (4, 2, 8)],
)
def test_lines_of_few_points_are_written_out(accuracy, edge_order, columns):
    grid, method = Grid(Axis(0.3), Axis(0.7)), FiniteDifference(accuracy)
    plan = D(1).on(grid, (7, columns), method=method, edge_order=edge_order)
    f = values(plan.shape)
    found = numbers.key_of(plan, program_of(plan, [f]), 0, [f], np.empty(plan.shape))
    key, given = found
    middle = given.slots["t0_stop"] - given.slots["t0_start"]
    assert middle >= 1
    assert len(key.ends) == columns - middle
    compare(plan, [f])


@pytest.mark.parametrize(
    ("operator", "boundary", "accuracy", "rows"),
    [
        (Laplacian(2), "one-sided", 2, (1, 1)),
        (Laplacian(2), "periodic", 4, (2, 2)),
        (D(0) + D(1), "one-sided", 4, (2, 2)),
        (D(0) + D(1), "antiperiodic", 4, (0, 0)),  # some values are turned
        (D(0) + D(1), Dirichlet(2.5), 2, (0, 0)),  # some are known
        (Laplacian(2), "one-sided", 8, (0, 0)),  # 80 differences
        (D(0), "one-sided", 2, (0, 0)),  # two lines in all
    ],
)
def test_rows_at_faces_of_sums_are_written_out(operator, boundary, accuracy, rows):
    grid = Grid(Axis(0.3, boundary=boundary), Axis(0.7))
    plan = operator.on(grid, (21, 33), method=FiniteDifference(accuracy))
    f = values(plan.shape)
    key, _ = numbers.key_of(plan, program_of(plan, [f]), 0, [f], np.empty(plan.shape))
    term = key.terms[0]
    assert (term.before, len(term.ends) - term.before) == rows


def test_axes_of_few_points_across_lines():
    for axis, shape in ((0, (3, 6, 20)), (1, (6, 3, 20)), (0, (2, 6, 20))):
        plan = D(axis).on(Grid(Axis(0.3), Axis(0.7), Axis()), shape, edge_order=1)
        compare(plan, [values(shape)])


@pytest.mark.parametrize("last", [Axis(0.1), WALLS], ids=["written out", "tables"])
def test_boxes_cut_lines_and_rows_anywhere(last, cut):
    # Boxes before the plain rows, behind them, with some of them, and with fewer than lanes.
    for columns in (33, 41, 73):
        shape = (6, 7, columns)
        plan = Laplacian(3).on(Grid(Axis(0.3), Axis(0.7), last), shape)
        f = values(shape)
        for rows, lines, along in product((1, 4), (1, 3, 5, 7), (1, 5, 32, 34, 64, 80)):
            cut(rows, lines, along)
            compare(plan, [f])


def test_boxes_that_end_within_the_last_places_of_a_line(cut):
    # The first box ends behind its last plain element, and the second one has none.
    plan = D(1).on(Grid(Axis(), Axis(0.3)), (3, 65), method=FiniteDifference(4))
    cut(3, 64)
    compare(plan, [values(plan.shape)])


def test_boxes_that_begin_within_the_first_places_of_a_line(cut):
    plan = D(1).on(Grid(Axis(), Axis(0.3)), (3, 17), method=FiniteDifference(6))
    cut(3, 2)
    compare(plan, [values(plan.shape)], steps=(1, 2))


def test_boxes_as_they_are_that_end_within_the_last_places_of_a_line():
    plan = (D(0) + D(1)).on(Grid(*[Axis(0.3)] * 2), (6, 6593), method=FiniteDifference(4))
    compare(plan, [values(plan.shape)])


def test_blocks_of_rows_without_differences():
    # Far beyond the wall both points are replaced by the same value.
    grid = Grid(Axis(boundary=Neumann(0.0)), Axis(0.3))
    plan = (D(0, stencil=Stencil((100, 101), 1)) + D(1)).on(grid, (150, 40))
    block = plan.block(((120, 121), (0, 40)), plan.halo, [])
    compare(block, [values(s) for s in block.input_shapes])


def test_weights_of_rows_on_lines_at_other_faces():
    rough = Axis(coordinates=np.cumsum(np.linspace(0.5, 1.5, 8)))
    plan = (D(0) + D(1) + D(2)).on(Grid(rough, rough, Axis(0.1)), (8, 8, 33))
    compare(plan, [values(plan.shape)])


def test_weights_of_elements_on_long_ends_of_lines():
    rough = Axis(coordinates=np.cumsum(np.linspace(0.5, 1.5, 100)), boundary=Neumann(0.0))
    plan = (D(1) + D(1, stencil=Stencil((-20, 20), 1))).on(Grid(Axis(), rough), (3, 100))
    compare(plan, [values(plan.shape)])


@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.parametrize("last", [Axis(0.1), WALLS], ids=["written out", "tables"])
def test_results_with_gaps_along_lines_of_several_chunks(dtype, last):
    plan = (2.5 * D(0) + D(1, 2)).on(Grid(Axis(0.3), last), (5, 4500))
    compare(plan, [values(plan.shape, dtype)], out_steps=(1, 2))


def test_results_with_gaps_end_where_lines_do():
    # Around integers there are numbers: what was made of these would be seen around results.
    plan = D(1).on(Grid(Axis(), Axis(0.1)), (3, 1500))
    compare(plan, [values(plan.shape, "int32")], out_steps=(1, 2))


def test_differences_of_several_widths_along_lines(cut):
    shape = (5, 1061)
    narrow, wide = D(1), D(1, 2, stencil=Stencil((-3, -1, 1, 2), 2))
    for operator in (narrow + wide, D(0) + wide - 3 * narrow):
        plan = operator.on(Grid(Axis(0.3), Axis(0.7, boundary=Robin(2.0, 1.0, 0.5))), shape)
        for along in (1061, 1024, 64):
            cut(5, along)
            compare(plan, [values(shape)])


@pytest.mark.parametrize("boundary", ["periodic", "antiperiodic"])
def test_weights_of_rows_where_coordinates_wrap(boundary):
    x = np.cumsum(np.linspace(0.5, 1.5, 17))
    rough = Axis(coordinates=x, boundary=boundary, period=20.0)
    for axis in range(2):
        grid = Grid(*(rough if a == axis else Axis() for a in range(2)))
        compare(D(axis, 2).on(grid, (17, 17)), [values((17, 17))])


def test_axes_so_short_that_all_rows_take_walls():
    # Between equal walls a single row is 0 over a negative number, added to 0: without a sign.
    walls = Axis(-0.3, boundary=Dirichlet(2.5, at="next"))
    for axis, count in product(range(2), (1, 2)):
        shape = (count, 16) if axis == 0 else (16, count)
        grid = Grid(*(walls if a == axis else Axis() for a in range(2)))
        compare(D(axis).on(grid, shape, edge_order=1), [values(shape)])
