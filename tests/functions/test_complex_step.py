"""The complex step: accuracy, and functions for which it is wrong."""

import math

import numpy as np
import pytest

from gradkit.functions import derivative, gradient, jacobian


@pytest.mark.parametrize("x", [1e-6, 0.3, 2.0, 1e6])
def test_accurate_to_rounding(x):
    result = derivative(lambda t: np.exp(np.sin(t)) * np.sqrt(t), x, method="complex")
    s = math.exp(math.sin(x))
    expected = s * math.cos(x) * math.sqrt(x) + s / (2 * math.sqrt(x))
    assert result.success
    assert abs(result.value / expected - 1) < 4e-15 * max(1, x)
    assert abs(result.value - expected) <= 10 * result.error + 2e-16 * x * abs(expected)
    assert result.error < 2e-14 * max(1, x) * abs(expected)


@pytest.mark.parametrize(
    "func", [np.abs, lambda z: (z * np.conj(z)).real, np.real, lambda z: np.maximum(z.real, 0)]
)
def test_functions_that_are_not_analytic_are_found_out(func):
    result = derivative(func, 1.5, method="complex")
    assert result.status == "not-analytic"
    assert not result.success
    right = derivative(func, 1.5)
    assert right.success
    assert abs(result.value - right.value) <= 1.1 * result.error


def test_a_small_part_that_is_not_analytic_is_found_out():
    result = derivative(lambda z: np.sin(z) + 1e-9 * z.real, 1.5, method="complex")
    assert result.status == "not-analytic"


def test_cancellation_is_in_the_error():
    result = derivative(lambda x: x - np.sin(x), 1e-3, method="complex")
    true = 2 * math.sin(0.5e-3) ** 2
    assert abs(result.value - true) <= 10 * result.error


def _cosine(x):
    """(1 - cos(x)) / x**2; its derivative is -x/12 + x**3/180."""
    return (1 - np.cos(x)) / x**2


@pytest.mark.parametrize(
    ("func", "x", "true"),
    [
        (_cosine, 1e-3, -1e-3 / 12 + 1e-9 / 180),
        (lambda x: (np.exp(x) - 1 - x) / x**2, 1e-3, 1 / 6 + 1e-3 / 12 + 1e-6 / 40),
        (lambda x: np.log(1 + x) / x, 1e-4, -0.5 + 2e-4 / 3 - 0.75e-8 + 0.8e-12),
    ],
)
def test_digits_that_func_loses_are_in_the_error(func, x, true):
    for result in (
        derivative(func, x, method="complex"),
        gradient(lambda z: func(z[0]) + z[1], [x, 1.0], method="complex"),
        derivative(func, x, method="complex", bounds=(x / 2, 2 * x)),
    ):
        value, error = np.ravel(result.value)[0], np.ravel(result.error)[0]
        assert abs(value - true) <= 10 * error


def test_digits_that_func_loses_at_many_points():
    x = np.linspace(1e-3, 2e-3, 1000)
    result = derivative(_cosine, x, method="complex")
    assert np.all(abs(result.value + x / 12 - x**3 / 180) <= 10 * result.error)


@pytest.mark.parametrize(("rate", "x"), [(1e4, 1.7), (1e6, 1.0)])
def test_large_arguments_of_waves_are_in_the_error(rate, x):
    result = derivative(lambda t: np.sin(rate * t), x, method="complex")
    assert result.success
    assert abs(result.value - rate * math.cos(rate * x)) <= 10 * result.error


def test_a_doubtful_difference_does_not_make_functions_not_analytic():
    # Over short steps the cosine does not change, and the difference is that of 1 / x**2.
    result = derivative(_cosine, 1e-4, method="complex")
    assert result.status == "inaccurate"
    assert abs(result.value + 1e-4 / 12) <= 10 * result.error


def test_points_beside_x_lie_within_bounds():
    lower, upper = 0.25, 0.25 + 1e-9

    def inside(z):
        assert np.all((z.real >= lower) & (z.real < upper))
        return np.sqrt(z - lower + 1)

    for x in (lower, lower + 1e-13, lower + 1e-12, lower + 9e-10):
        result = derivative(inside, x, method="complex", bounds=(lower, upper))
        assert result.value == pytest.approx(0.5, rel=1e-8)
        both = gradient(
            lambda z: inside(z[0]) + z[1], [x, 1.0], method="complex", bounds=(lower, [upper, 2])
        )
        assert both.value[0] == result.value


def test_of_no_points_and_no_values():
    assert derivative(np.sin, [], method="complex").value.shape == (0,)
    assert jacobian(lambda z: z[:0], [1.0, 2.0], method="complex").value.shape == (0, 2)


def test_of_vectors():
    x = np.array([[0.5, 1.0], [2.0, 3.0]])
    result = gradient(lambda z: z[0] ** 3 * z[1], x, method="complex")
    assert np.allclose(result.value, [3 * x[0] ** 2 * x[1], x[0] ** 3], rtol=1e-14)
    wrong = jacobian(lambda z: np.stack([z[0], np.abs(z[1])]), x, method="complex")
    assert wrong.status[1, 1].tolist() == ["not-analytic"] * 2
    assert wrong.status[0, 0].tolist() == ["converged"] * 2


def test_single_precision():
    result = derivative(np.sin, np.float32(0.7), method="complex")
    assert result.value.dtype == np.float32
    assert abs(result.value - math.cos(0.7)) < 2e-7


def test_non_finite_values():
    with np.errstate(all="ignore"):
        result = derivative(np.log, 0.0, method="complex")
    assert result.status == "non-finite"

    def infinite(z):
        return z + (complex(0, math.inf) if np.iscomplexobj(z) else 0)

    assert derivative(infinite, 1.0, method="complex").status == "non-finite"
