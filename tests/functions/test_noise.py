"""Noise that nobody tells of: errors that hold where values scatter by more than rounding."""

import math

import numpy as np
import pytest

from gradkit.functions import derivative, gradient

X = np.linspace(0.3, 2.9, 400)


def scattered(values, size, *variables):
    """Values with errors of up to a size, which are the same wherever points are."""
    mixed = np.zeros(np.shape(values), np.uint64)
    for part in variables:
        bits = np.asarray(part, dtype=np.float64).view(np.uint64)
        mixed = (mixed ^ bits ^ (bits >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return values + size * ((mixed >> np.uint64(11)).astype(float) / 2**52 - 1)


def ratios(result, exact):
    """True errors in units of those reported."""
    return abs(result.value - exact) / result.error


SIZES = (1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("order", "exact", "most"), [(1, np.cos(X), 0.01), (2, -np.sin(X), 0.1)])
def test_errors_hold_noise_that_is_not_told(order, exact, most, size):
    found = derivative(lambda x: scattered(np.sin(x), size, x), X, order=order)
    assert np.mean(ratios(found, exact) > 10) <= most


@pytest.mark.parametrize("size", SIZES)
def test_errors_of_one_sided_differences_hold_noise(size):
    found = derivative(lambda x: scattered(np.sin(x), size, x), X, method="forward")
    ratio = ratios(found, np.cos(X))
    assert np.mean(ratio > 10) <= 0.06
    assert np.mean(ratio > 3) <= 0.12


@pytest.mark.parametrize("size", [1e-12, 1e-10, 1e-8])
def test_errors_of_gradients_hold_noise(size):
    x = np.stack([X, X[::-1] ** 2])
    found = gradient(lambda z: scattered(np.sin(z[0]) * np.exp(-z[1]), size, *z), x)
    exact = np.exp(-x[1]) * np.stack([np.cos(x[0]), -np.sin(x[0])])
    assert np.mean(ratios(found, exact) > 10) <= 0.01


@pytest.mark.parametrize(("order", "most"), [(1, 0.03), (2, 0.2), (3, 0.1), (4, 0.1)])
def test_errors_hold_what_a_sum_within_a_function_rounds(order, most):
    x = np.geomspace(1e-3, 5, 1000)
    found = derivative(lambda t: np.log(1 + t * t), x, order=order)
    # The logarithm is that of x + i and x - i.
    factor = 2 * (-1) ** (order - 1) * math.factorial(order - 1)
    ratio = ratios(found, factor * np.real((x + 1j) ** -order))
    assert np.mean(ratio > 3) <= most


@pytest.mark.parametrize(
    "func", [np.cos, np.cosh, lambda x: np.exp(-(x**2)), lambda x: 1 / (1 + x**2)]
)
def test_what_even_functions_hold_is_no_noise_of_their_slope(func):
    found = derivative(func, 0.0)
    assert found.success
    assert (found.value, found.evaluations) == (0, 9)
