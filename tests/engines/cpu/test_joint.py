"""Lines that are taken together: the same bits, wherever lines begin and however many there are."""

import re

import numpy as np
import pytest

from gradkit import Axis, D, FiniteDifference, Grid, Laplacian, operator_from_offsets
from gradkit.engines import reference
from gradkit.engines.cpu import compiled, numbers
from gradkit.engines.cpu.kernel_source import source
from gradkit.engines.program import program_of

from .test_compiled import coordinates, values

PLAIN = Axis(0.3)
ROWS, COLUMNS = 21, 72


@pytest.fixture(autouse=True)
def _as_on_processors_with_long_vectors(monkeypatch):
    """Whatever this processor has: the text means the same on all of them."""
    monkeypatch.setattr(numbers, "has_long_vectors", lambda: True)
    monkeypatch.setattr(numbers, "PAST", 0)


def key_of(plan, f):
    result = np.empty(plan.output_shapes[0], plan.precision([f]).result)
    return numbers.key_of(plan, program_of(plan, [f]), 0, [f], result)[0]


def check(plan, f, start=0, gap=0, threads=1):
    """Results in memory that begins `start` elements behind a line of the cache, rows with gaps."""
    (wanted,) = reference.run(plan, [f])
    *outer, columns = wanted.shape
    wide = (*outer, columns + gap)
    room = np.full(int(np.prod(wide)) + 80, np.nan, wanted.dtype)
    begin = -(room.ctypes.data // room.itemsize) % (64 // room.itemsize) + start
    rows = room[begin : begin + int(np.prod(wide))].reshape(wide)
    out = rows[..., :columns]
    assert compiled.run(plan, [f], [out], threads)
    assert np.ascontiguousarray(out).tobytes() == wanted.tobytes()
    out[...] = np.nan
    assert np.isnan(room).all(), "something else was written to"


@pytest.mark.parametrize(
    ("operator", "axis", "accuracy"),
    [
        (D(0), PLAIN, 4),
        (D(0), PLAIN, 8),
        (2.5 * D(0, 2), PLAIN, 2),
        (D(0), coordinates(ROWS), 2),
        (D(0, 2), coordinates(ROWS), 4),
        (D(0), Axis(0.3, boundary="periodic"), 4),
    ],
    ids=["4", "8", "factor", "coordinates", "second", "periodic"],
)
def test_lines_begin_anywhere(operator, axis, accuracy):
    plan = operator.on(Grid(axis, PLAIN), (ROWS, COLUMNS), method=FiniteDifference(accuracy))
    f = values((ROWS, COLUMNS))
    assert key_of(plan, f).together
    for start in range(8):
        check(plan, f, start)


@pytest.mark.parametrize(("order", "accuracy"), [(1, 4), (2, 2)])
def test_any_number_of_lines_of_any_length(order, accuracy):
    # Fewer plain lines than are taken together, as many, and some more; with and without a rest.
    plans = [
        D(0, order).on(Grid(PLAIN, PLAIN), shape, method=FiniteDifference(accuracy))
        for shape in [(rows, 24) for rows in (5, 6, 7, 8, 9, 12, 13, 20)]
        + [(13, columns) for columns in (8, 9, 15, 16, 17, 31, 64)]
    ]
    for plan in plans:
        for start in (0, 3, 7):
            check(plan, values(plan.shape), start)
            # Lines at the same place in a line of the cache, without being neighbours in memory.
            check(plan, values(plan.shape), start, gap=-plan.shape[1] % 8)


def test_lines_at_different_places_are_taken_one_by_one():
    plan = D(0).on(Grid(PLAIN, PLAIN), (ROWS, 65), method=FiniteDifference(8))
    f = values((ROWS, 65))
    assert key_of(plan, f).together
    check(plan, f)
    check(plan, f, 3)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128", "int32", "uint64"])
def test_dtypes(dtype):
    f = values((13, 40), dtype)
    plan = D(0).on(Grid(PLAIN, PLAIN), f.shape, method=FiniteDifference(4))
    assert key_of(plan, f).together
    for start in (0, 1, 3):
        check(plan, f, start)


@pytest.mark.parametrize(
    ("operator", "accuracy", "least"),
    [(operator_from_offsets([0, 1, 2, 3], like=D(0)), 2, 0), (D(0, to="outer"), 8, -4)],
    ids=["one-sided", "staggered"],
)
def test_points_on_one_side_and_between_results(operator, accuracy, least):
    f = values((ROWS, 24))
    plan = operator.on(Grid(PLAIN, PLAIN), f.shape, method=FiniteDifference(accuracy))
    assert min(key_of(plan, f).together) == least
    check(plan, f, 2)


def test_planes_and_boxes_and_threads(monkeypatch):
    monkeypatch.setattr(compiled, "BOX", 2**13)
    monkeypatch.setattr(compiled, "SHORTEST_LINE", 2**10)
    f = values((19, 6, 200))
    for axis in range(2):
        grid = Grid(*[PLAIN] * 3)
        plan = D(axis).on(grid, f.shape, method=FiniteDifference(4))
        check(plan, f, 3, threads=3)


@pytest.mark.parametrize(
    ("operator", "accuracy"),
    [(D(0), 2), (D(1), 8), (D(0), 24), (Laplacian(2), 8), (values((60, 40)) * D(0), 8)],
    ids=["nothing to share", "along lines", "too many", "two terms", "array in front"],
)
def test_other_lines_are_not_taken_together(operator, accuracy):
    plan = operator.on(Grid(PLAIN, PLAIN), (60, 40), method=FiniteDifference(accuracy))
    key = key_of(plan, values((60, 40)))
    assert key.points
    assert key.together == ()


@pytest.mark.parametrize("name", ["has_long_vectors", "PAST"])
def test_small_results_and_short_vectors_are_not_taken_together(name, monkeypatch):
    plan = D(0).on(Grid(PLAIN, PLAIN), (30, 40), method=FiniteDifference(8))
    f = values((30, 40))
    assert "value3" in source(key_of(plan, f))
    monkeypatch.setattr(numbers, name, {"has_long_vectors": lambda: False, "PAST": 10**9}[name])
    assert key_of(plan, f).together == ()
    assert "value3" not in source(key_of(plan, f))


def test_every_line_of_points_is_named_once():
    plan = D(0).on(Grid(PLAIN, PLAIN), (30, 40), method=FiniteDifference(8))
    text = source(key_of(plan, values((30, 40))))
    assert len(set(re.findall(r"\br\d+ = field", text))) == 12
