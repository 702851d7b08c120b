"""Weights of ladders: exact on polynomials, for central and one-sided stencils."""

from math import factorial

import numpy as np
import pytest

from gradkit.functions.judging import Tolerances, judge
from gradkit.functions.schemes import central_scheme, one_sided_scheme


class Exact:
    """Lanes without rounding worth speaking of."""

    wide = position = np.ones(1)
    noise, epsilon = 0.0, 1e-16


def value_of(scheme, func, side=1.0):
    steps = side * 0.5 / scheme.ratio ** np.arange(scheme.levels)[:, None]
    values = {point: func(steps * point[0]) for point in scheme.points}
    values[0,] = func(np.zeros((1, 1)))
    return judge(np, scheme, values, [steps], Exact, Tolerances(None, None))


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_central_ladders_are_exact_on_polynomials(order):
    scheme = central_scheme((order,))
    for degree in range(order + 2 * scheme.levels):
        found = value_of(scheme, lambda x, d=degree: x**d)
        expected = factorial(order) if degree == order else 0
        assert found.value[0] == pytest.approx(expected, abs=1e-9 * 10**order)


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_one_sided_ladders_are_exact_on_polynomials(order, side):
    scheme = one_sided_scheme((order,))
    for degree in range(order + scheme.levels):
        found = value_of(scheme, lambda x, d=degree: x**d, side)
        expected = factorial(order) if degree == order else 0
        assert found.value[0] == pytest.approx(expected, abs=1e-10 * 100**order)


def test_central_ladders_are_not_exact_beyond():
    scheme = central_scheme((1,))
    found = value_of(scheme, lambda x: x ** (1 + 2 * scheme.levels))
    assert abs(found.value[0]) > 1e-9


def test_the_error_is_that_of_the_last_but_one_extrapolation():
    scheme = central_scheme((1,))
    found = value_of(scheme, np.exp)
    assert abs(found.value[0] - 1) < found.error[0] < 1e-6


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_jumps_of_each_order_are_measured(order):
    scheme = central_scheme((order,))
    found = value_of(scheme, lambda x: np.abs(x) * x ** (order - 1) + np.exp(x) / 50)
    assert found.jump[0] == pytest.approx(2 * factorial(order), rel=0.02)
    smooth = value_of(scheme, lambda x: x**order + np.exp(x) / 50)
    assert smooth.jump[0] == 0


def test_steps_are_no_multiples_of_each_other_by_powers_of_two():
    ratio = central_scheme((1,)).ratio
    powers = np.log2(ratio ** np.arange(1, 8))
    assert np.all(np.abs(powers - np.round(powers)) > 0.05)


def test_numbers_of_points():
    assert central_scheme((1,)).evaluations == 8
    assert central_scheme((2,)).evaluations == 8
    assert central_scheme((1, 1)).evaluations == 16
    assert one_sided_scheme((1,)).evaluations == 8
    assert central_scheme((4,)).reach == 2
