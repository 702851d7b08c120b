"""Functions of a vector: points of each lane, blocks of them, arguments of the call."""

import numpy as np
import pytest

from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions.blocks import Moves, Problem, search_moves
from gradkit.functions.inputs import Options
from gradkit.functions.schemes import central_scheme


def problem(x, func=lambda z: np.sin(z) * z[:1], memory=2**20, **options):
    return Problem.of(func, x, Options(**options), 1, memory)


def test_lanes_move_every_variable_about_every_point():
    moved, point = problem(np.ones((3, 2))).every_point([2, 0])
    assert moved[0].tolist() == [2, 2, 0, 0]
    assert point.tolist() == [0, 1, 0, 1]


def test_only_the_variables_of_a_lane_are_moved():
    x = np.asarray([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    scheme = central_scheme((1, 1))
    lanes = Moves(problem(x), scheme, [np.asarray([0, 2]), np.asarray([1, 0])], np.asarray([1, 0]))
    asking = lanes.sample(scheme, np.ones(2))
    points, _ = next(asking)
    points = points.reshape(3, scheme.evaluations, 2)
    assert np.all(points[2, :, 0] == 30)
    assert np.all(points[1, :, 1] == 2)
    for variable, lane, centre in ((0, 0, 10.0), (1, 0, 20.0), (2, 1, 3.0), (0, 1, 1.0)):
        offsets = points[variable, :, lane] - centre
        assert np.all(offsets != 0)
        np.testing.assert_array_equal(np.sort(offsets), np.sort(-offsets))


def test_values_come_back_by_offset_and_step():
    scheme, x = central_scheme((1,)), np.asarray([2.0, 5.0])
    lanes = Moves(problem(x), scheme, [np.asarray([1])], np.asarray([0]))
    asking = lanes.sample(scheme, np.ones(1))
    points, _ = next(asking)
    with pytest.raises(StopIteration) as stop:
        asking.send(points)  # as if func returned its points
    values, (steps,) = stop.value.value
    np.testing.assert_array_equal(values[1,][:, 1, 0] - 5, steps[:, 0])
    np.testing.assert_array_equal(5 - values[-1,][:, 1, 0], steps[:, 0])
    assert np.all(values[1,][:, 0, 0] == 2)


def test_blocks_find_what_one_search_finds():
    x, calls = np.linspace(0.5, 2, 12), []

    def func(z):
        calls.append(z.shape[1])
        return np.sin(np.arange(1, 13)[:, None] * z) + z[:1]

    founds = []
    for memory in (2**20, 12 * 8 * 8 * 3):  # bytes of three lanes: 12 variables, 8 points each
        given = problem(x, func, memory)
        calls.clear()
        founds.append(search_moves(given, (1,), *given.every_point(range(12))))
        assert max(calls) * 12 * 8 <= memory
    for one, other in zip(*founds, strict=True):
        np.testing.assert_array_equal(one, other)
    true = np.diag(np.arange(1, 13) * np.cos(np.arange(1, 13) * x))
    true[:, 0] += 1
    assert np.all(abs(founds[0].value - true) <= 10 * founds[0].error)


def test_one_lane_goes_however_little_memory_there_is():
    given = problem(np.ones(4), memory=1)
    found = search_moves(given, (1,), *given.every_point(range(4)))
    assert found.value.shape == (4, 4)


def test_noise_is_one_for_all_or_one_per_point():
    x = np.ones((3, 2))
    assert problem(x).noise == 0
    np.testing.assert_array_equal(problem(x, noise=1e-3).noise, [1e-3, 1e-3])
    np.testing.assert_array_equal(problem(x, noise=[1e-3, 1e-4]).noise, [1e-3, 1e-4])


@pytest.mark.parametrize(
    ("x", "memory", "error", "text"),
    [
        (1.0, 2**20, ArgumentValueError, "x is 0-dimensional"),
        (np.ones((0, 3)), 2**20, ArgumentValueError, r"shape \(0, 3\): wanted one variable"),
        ([1.0], 0, ArgumentValueError, "memory"),
        ([1.0], 1.5, ArgumentTypeError, "memory"),
    ],
)
def test_arguments_are_refused_by_name(x, memory, error, text):
    with pytest.raises(error, match=text):
        problem(x, memory=memory)
