"""Features narrower than the steps, integers without end, and no room on the named side."""

import numpy as np
import pytest

from gradkit.errors import ArgumentValueError
from gradkit.functions import derivative, directional, gradient, jacobian


def _spike(x: np.ndarray) -> np.ndarray:
    return np.sin(x) + 1e-3 * np.exp(-((x / 1e-6 - 0.5) ** 2))


def test_a_feature_narrower_than_the_first_steps_is_seen_at_the_point():
    exact = 1 + 1e3 * np.exp(-0.25)
    for method in ("central", "complex"):
        found = derivative(_spike, 0.0, method=method)
        assert found.success
        assert abs(found.value - exact) < 1e-6


@pytest.mark.parametrize("order", [1, 3])
def test_a_value_of_its_own_at_the_point_is_no_success(order):
    found = derivative(lambda x: np.where(x == 0, 1.0, np.sin(x)), [0.0, 0.5], order=order)
    assert found.success.tolist() == [False, True]
    assert found.error[0] > 1e10


def test_the_third_derivative_of_a_feature_is_followed_by_shorter_steps():
    found = derivative(_spike, 0.0, order=3)
    assert found.success
    # Of exp(-v**2), 4 v (3 - 2 v**2) exp(-v**2); v is -1/2 at the point, in units of 1e-6.
    np.testing.assert_allclose(found.value, -5 * np.exp(-0.25) * 1e15, rtol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(1e-3, 1e-6), (1e-3, 1e-9), (1e-4, 1e-9)])
def test_the_fourth_derivative_of_a_low_feature_is_not_that_of_the_rest(width, height):
    found = derivative(
        lambda x: np.sin(x) + height * np.exp(-((x / width - 0.5) ** 2)), 0.0, order=4
    )
    # Of exp(-v**2), (16 v**4 - 48 v**2 + 12) exp(-v**2).
    assert abs(found.value - height / width**4 * np.exp(-0.25)) <= 10 * found.error


@pytest.mark.parametrize("order", [1, 3])
def test_a_value_of_its_own_on_a_kink_is_no_success(order):
    found = derivative(lambda x: np.abs(x) + (x == 0), 0.0, order=order)
    assert not found.success
    assert found.error > 1e10


@pytest.mark.parametrize("order", [1, 3])
def test_a_bump_that_steps_resolve_is_no_such_feature(order):
    found = derivative(lambda x: 1 / (1 + 25 * x**2), 0.0, order=order)
    assert found.success
    assert abs(found.value) <= found.error < 1e-9


@pytest.mark.parametrize("height", [1e-3, 1e-6])
def test_a_feature_at_one_component_of_a_vector_is_seen(height):
    found = gradient(
        lambda z: np.sin(z[0]) + height * np.exp(-((z[1] / 1e-5 - 1) ** 2)), [0.3, 0.0]
    )
    exact = [np.cos(0.3), 2e5 * height * np.exp(-1)]
    assert (abs(found.value - exact) <= 10 * found.error + 1e-12).all()


def _wider(x):
    """In float32 where x is, but for a factor in float64."""
    return np.float64(1) * np.log(1 + x * x)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: derivative(_wider, x),
        lambda x: gradient(lambda z: _wider(z[0]), np.stack([x, x])),
        lambda x: directional(lambda z: _wider(z[0]), np.stack([x, x]), np.float32([1, 0])),
        lambda x: jacobian(_wider, np.stack([x, x]), sparsity=np.eye(2)),
    ],
)
def test_rounding_that_ends_with_the_precision_of_the_points_is_no_feature(call):
    x = np.float32(1e-3)
    found = call(x)
    value, success = (np.ravel(part.data) for part in (found.value, found.success))
    assert success.all()
    assert abs(value[0] - 2 * float(x) / (1 + float(x) ** 2)) < 1e-8


def test_python_integers_of_any_size():
    assert abs(derivative(lambda x: x**2, 10**20).value / 2e20 - 1) < 1e-9
    with pytest.raises(ArgumentValueError, match="beyond the largest float64"):
        derivative(lambda x: x**2, 10**400)


@pytest.mark.parametrize(
    ("method", "end", "x"), [("forward", "upper", 1.0), ("backward", "lower", 0.0)]
)
def test_one_sided_steps_at_the_bound_on_that_side_are_refused(method, end, x):
    with pytest.raises(
        ArgumentValueError, match=f"method='{method}' where x is at its {end} bound"
    ):
        derivative(np.exp, [0.5, x], method=method, bounds=(0, 1))
    assert derivative(np.exp, [0.5, x], bounds=(0, 1)).success.all()
