"""Checks of derivatives that are small, and of variables and values of any sizes."""

import numpy as np
import pytest
from scipy.optimize import rosen_der, rosen_hess

from gradkit.functions import check_gradient, check_hessian, check_jacobian

from .claimed import PRECISIONS, rosen, spoiled


@PRECISIONS
@pytest.mark.parametrize("scale", [1e-12, 1e-6])
def test_small_derivatives_are_checked_like_large_ones(dtype, scale):
    x, scale = np.array([-1.2, 1.0, 0.5], dtype), dtype(scale)

    def small(x):
        return scale * (rosen(x) + 1)

    right = scale * rosen_der(x).astype(dtype)
    assert check_gradient(small, right, x).passed
    assert check_gradient(small, right, x, directions=3).passed
    assert check_gradient(small, -right, x).count("wrong") == 3
    assert check_gradient(small, -right, x, directions=3).count("wrong") == 3
    for i in range(3):
        check = check_gradient(small, spoiled(right, i, 2 * right[i]), x)
        assert np.flatnonzero(check.verdict == "wrong").tolist() == [i]
    hessian = scale * rosen_hess(x).astype(dtype)
    assert check_hessian(small, hessian, x).passed
    assert check_hessian(small, spoiled(hessian, (1, 1), 0), x).worst == (1, 1)


@pytest.mark.parametrize("scale", [1e6, 1e9, 1e200])
def test_large_derivatives_are_checked_like_small_ones(scale):
    # Entries that are 0 are known to rounding of the others alone.
    x = np.array([1.0, -2.0, 0.0])
    right, hessian = 2 * scale * x, 2 * scale * np.eye(3)

    def large(x):
        return scale * (x**2).sum(0)

    assert check_gradient(large, right, x).passed
    assert check_gradient(large, spoiled(right, 2, 1e-9 * scale), x).count("wrong") == 1
    assert check_hessian(large, hessian, x).passed
    assert check_hessian(large, spoiled(hessian, (0, 1), 1e-7 * scale), x).count("wrong") == 1
    assert not check_gradient(large, right, x, atol=1e-9).passed


def test_variables_of_any_sizes_are_checked():
    x = np.array([1e-12, 1e12, 1.0])
    right = np.prod(x) / x
    for i in range(3):
        check = check_gradient(lambda z: z.prod(0), spoiled(right, i, -right[i]), x)
        assert np.flatnonzero(check.verdict == "wrong").tolist() == [i]
    assert check_gradient(lambda z: z.prod(0), right, x).passed


def test_values_of_any_sizes_are_checked():
    x, sizes = np.array([0.5, 2.0]), np.array([1e-10, 1.0, 1e8])
    A = sizes[:, None] * np.array([[1.0, -2.0], [3.0, 1.0], [1.0, 1.0]])
    assert check_jacobian(lambda z: A @ z, A, x).passed
    for index in np.ndindex(3, 2):
        check = check_jacobian(lambda z: A @ z, spoiled(A, index, -A[index]), x)
        assert np.argwhere(check.verdict == "wrong").tolist() == [list(index)]


@pytest.mark.parametrize("scale", [1e-12, 1.0])
@pytest.mark.parametrize("seed", range(20))
def test_gradients_that_are_rounding_pass_at_a_minimum(seed, scale):
    # A consistent system: claims have only what is left of terms that cancel.
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((6, 3)) * 10 ** rng.uniform(-2, 2, 3)
    x = rng.standard_normal(3)
    b = A @ x

    def loss(z):
        gap = np.tensordot(A, z, 1) - b.reshape(-1, *(1,) * (z.ndim - 1))
        return scale * (gap**2).sum(0)

    near = np.linalg.lstsq(A, b, rcond=None)[0]
    assert not check_gradient(loss, 2 * scale * A.T @ (A @ near - b), near).count("wrong")


def test_what_the_numeric_derivative_cannot_tell_is_small():
    # Terms of 1e5 are taken away from each other; what is left has 11 digits.
    a, b = x = np.array([1e10, 1.0])
    right = [-0.5 * b / (a**0.5 * (a + b) ** 0.5 * (a**0.5 + (a + b) ** 0.5)), 0.5 / (a + b) ** 0.5]
    with np.errstate(invalid="ignore"):
        assert check_gradient(lambda z: np.sqrt(z[0] + z[1]) - np.sqrt(z[0]), right, x).passed


def test_small_derivatives_are_checked_where_values_further_on_are_not_finite():
    with np.errstate(over="ignore"):
        check = check_gradient(lambda x: 1e-12 * np.exp(1e4 * x[0]), [-1e-8], [0.0])
    assert check.verdict.tolist() == ["wrong"]


def test_infinite_values_and_huge_variables_raise_no_warning():
    check = check_gradient(lambda x: np.where(x[0] > 0, np.inf, 1.0), [0.0], [1.0])
    assert check.verdict.tolist() == ["not finite"]
    large = np.array([1e200, 1e200])
    assert check_hessian(lambda x: (x / 1e200).sum(0), np.zeros((2, 2)), large).passed
    assert check_gradient(lambda x: 1e150 * (x / 1e200).sum(0), [1e-50] * 2, large).passed


def test_nothing_is_known_to_be_small_where_no_value_changes():
    assert check_gradient(lambda x: 0 * x.sum(0), [1e-20, 0.0], [1.0, 2.0]).passed


def test_memory_bounds_the_points_of_a_call(monkeypatch):
    x = np.linspace(0.1, 1, 40)
    whole = check_gradient(lambda x: 1e-9 * (x**3).sum(0), 3e-9 * x**2, x)
    monkeypatch.setattr("gradkit.functions.comparison.MEMORY", 8 * 40 * 7)
    parts = check_gradient(lambda x: 1e-9 * (x**3).sum(0), 3e-9 * x**2, x)
    assert np.array_equal(whole.atol, parts.atol)


def test_no_point_beyond_bounds_tells_what_is_small():
    def inside(x):
        assert np.all((x >= 0) & (x < 1))
        return 1e-9 * x.sum(0)

    for x in ([0.0, 0.5], [0.95, 1 - 1e-12], [0.5, 0.5]):
        assert check_gradient(inside, [1e-9, 1e-9], x, bounds=(0, 1)).passed

    def between(x):
        assert np.all((x > 0.45) & (x < 0.55))
        return x.sum(0)

    assert check_gradient(between, [1.0], [0.5], bounds=(0.45, 0.55)).passed
    for method, part in (("forward", slice(1, None)), ("backward", slice(None, 1))):

        def one_sided(z, part=part):
            assert np.all(z[0] >= 1 if part.start else z[0] <= 1)
            return z[0] ** 2

        assert check_gradient(one_sided, [2.0], [1.0], method=method).passed
