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


@pytest.mark.parametrize(
    "func", [np.abs, lambda z: (z * np.conj(z)).real, np.real, lambda z: np.maximum(z.real, 0)]
)
def test_functions_that_are_not_analytic_are_found_out(func):
    result = derivative(func, 1.5, method="complex")
    assert result.status == "not-analytic"
    assert not result.success
    assert derivative(func, 1.5).success


def test_cancellation_is_in_the_error():
    result = derivative(lambda x: x - np.sin(x), 1e-3, method="complex")
    true = 2 * math.sin(0.5e-3) ** 2
    assert abs(result.value - true) <= 10 * result.error


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
