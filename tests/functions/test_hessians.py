"""hessian and partial: values, symmetry, kinks between the axes, errors."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_hess

from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions import hessian, partial


@pytest.fixture
def arrays(library):
    if library.kind == "dask":
        pytest.skip("functions of dask arrays are refused")
    return library


def test_on_every_library(arrays):
    x = arrays.asarray([0.5, -2.0, 3.0], "float64")
    result = hessian(lambda z: z[0, ...] ** 2 * z[1, ...] * z[2, ...], x)
    value = arrays.to_numpy(result.value)
    a, b, c = 0.5, -2.0, 3.0
    expected = [[2 * b * c, 2 * a * c, 2 * a * b], [2 * a * c, 0, a**2], [2 * a * b, a**2, 0]]
    assert np.all(np.abs(value - expected) <= 10 * arrays.to_numpy(result.error) + 1e-300)
    assert np.allclose(value, expected, atol=1e-7)
    assert np.all(arrays.to_numpy(result.success))


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_points_along_further_axes(batch):
    x = np.random.default_rng(2).uniform(0.2, 1.5, (4, *batch))
    result = hessian(rosen, x)
    assert result.value.shape == (4, 4, *batch)
    flat, found = x.reshape(4, -1), result.value.reshape(4, 4, -1)
    for k in range(flat.shape[1]):
        assert np.allclose(found[:, :, k], rosen_hess(flat[:, k]), rtol=1e-7, atol=1e-6)
    assert np.array_equal(result.value, result.value.swapaxes(0, 1))


def test_several_values():
    result = hessian(lambda z: np.stack([z[0] * z[1], z[0] ** 2]), [1.0, 2.0])
    assert result.value.shape == (2, 2, 2)
    assert np.allclose(result.value[0], [[0, 1], [1, 0]], atol=1e-8)
    assert np.allclose(result.value[1], [[2, 0], [0, 0]], atol=1e-8)


def test_no_points_and_no_values():
    for batch in ((0,), (2, 0)):
        result = hessian(lambda z: (z**2).sum(axis=0), np.ones((3, *batch)))
        assert result.value.shape == (3, 3, *batch)
    assert hessian(lambda z: z[:0], [1.0, 2.0]).value.shape == (0, 2, 2)


def test_one_variable():
    assert hessian(lambda z: z[0] ** 3, [2.0]).value == pytest.approx(np.array([[12.0]]))


def test_second_derivatives_that_depend_on_the_direction():
    # Zero along both axes and, by symmetry, in the mixed quotient; but abs(x y) is no plane.
    result = hessian(lambda z: np.abs(z[0] * z[1]), [0.0, 0.0])
    assert result.status.tolist() == [["converged", "kink"], ["kink", "converged"]]
    smooth = hessian(lambda z: np.abs(z[0] * z[1]), [0.5, 0.7])
    assert np.all(smooth.success)
    assert np.allclose(smooth.value, [[0, 1], [1, 0]], atol=1e-8)


def test_variables_of_different_sizes_are_no_kinks():
    x = np.array([1e-5, 3.0, 1e6])
    result = hessian(lambda z: z[0] ** 2 * z[1] + z[1] * z[2] ** 2, x)
    assert "kink" not in result.status
    expected = [[2 * 3.0, 2e-5, 0], [2e-5, 0, 2e6], [0, 2e6, 6.0]]
    assert np.all(np.abs(result.value - expected) <= 10 * result.error)


#: Smooth functions that vary over lengths of which the sizes of their variables tell nothing, or
#: that leave variables of very different sizes: the point, and the derivatives there.
VARIED = {
    "wave beside a long one": (
        lambda z: np.sin(1000 * z[0]) + np.cos(3 * z[1]),
        [1.0, 1.0],
        (-1e6 * np.sin(1000), 0, -9 * np.cos(3)),
    ),
    "only one of them is large": (
        lambda z: np.exp(z[0]) * z[1],
        [-30.0, 1e8],
        (np.exp(-30) * 1e8, np.exp(-30), 0),
    ),
    "sizes apart": (
        lambda z: np.sqrt(np.abs(z[0] * z[1])),
        [1e-10, 1e10],
        (-0.25e20, 0.25, -0.25e-20),
    ),
    "values apart": (
        lambda z: np.log(1 + (z[0] / 1e-6) ** 2) + 1e-6 * np.sin(z[1]),
        [8e-7, 0.2],
        (2e12 * (1 - 0.64) / 1.64**2, 0, -1e-6 * np.sin(0.2)),
    ),
    "step": (
        lambda z: np.tanh(1e4 * (z[0] - 0.3)) + z[1],
        [0.3001, 1.0],
        (-2e8 * np.tanh(1.0) / np.cosh(1.0) ** 2, 0, 0),
    ),
    "wave that is 0 along its axis": (
        lambda z: z[1] * np.exp(-z[0]) + z[1] ** 2 * np.log(2 + np.cos(20 * z[0])),
        [-1.24, 0.0],
        (0, -np.exp(1.24), 2 * np.log(2 + np.cos(20 * 1.24))),
    ),
}


@pytest.mark.parametrize("name", VARIED)
def test_smooth_functions_of_any_scales_have_no_kinks(name):
    func, x, (first, mixed, second) = VARIED[name]
    result = hessian(func, x)
    assert np.all(result.success)
    expected = np.array([[first, mixed], [mixed, second]])
    assert np.all(np.abs(result.value - expected) <= 10 * result.error + 1e-8 * np.abs(expected))


@pytest.mark.parametrize("x", [(0.3, 1.0), (1.0, 0.3), (1e-8, 0.3), (0.3, 1e-8)])
def test_values_that_vary_over_different_lengths(x):
    # The steps of the wave would leave rounding alone of the other one, whose steps tell no kink.
    i, other = x.index(0.3), max(x) if min(x) == 0.3 else min(x)

    def func(z):
        return np.stack([np.sin(1e8 * z[i]), other * np.sin(z[0] * z[1] / other)])

    result = hessian(func, x)
    assert np.all(result.success[:, 0, 1])
    assert abs(result.value[0, 0, 1]) <= 10 * result.error[0, 0, 1]
    assert result.value[1, 0, 1] == pytest.approx(np.cos(0.3) - 0.3 * np.sin(0.3), rel=1e-9)


def test_a_kink_beside_a_wave_is_seen_over_longer_steps():
    # Zero along one axis, and less than rounding in the mixed quotient of short steps.
    result = hessian(lambda z: np.minimum(z[0] ** 2, z[1] ** 2) + np.cos(30 * z[0]), [0.0, 0.0])
    assert result.status.tolist() == [["converged", "kink"], ["kink", "converged"]]


def test_at_bounds():
    def func(z):
        assert np.all(z[0] >= 0)
        assert np.all(z[1] <= 1)
        return np.exp(z[0] * z[1])

    result = hessian(func, [0.0, 1.0], bounds=([0, -5], [np.inf, 1]))
    assert np.allclose(result.value, [[1, 1], [1, 0]], atol=1e-6)


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_one_sided(method):
    result = hessian(rosen, [0.5, 0.7], method=method)
    assert np.allclose(result.value, rosen_hess(np.array([0.5, 0.7])), rtol=1e-5)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ((1, 0, 0), lambda a, b, c: b * np.exp(a * b) * c),
        ((1, 1, 0), lambda a, b, c: (1 + a * b) * np.exp(a * b) * c),
        ((1, 1, 1), lambda a, b, c: (1 + a * b) * np.exp(a * b)),
        ((1, 2, 0), lambda a, b, c: (2 * a + a * a * b) * np.exp(a * b) * c),
        ((0, 2, 1), lambda a, b, c: a * a * np.exp(a * b)),
        ((2, 2, 0), lambda a, b, c: (2 + 4 * a * b + a * a * b * b) * np.exp(a * b) * c),
    ],
)
def test_mixed_partials(orders, expected):
    x = np.array([[0.5, 0.9], [0.4, 1.1], [2.0, 1.0]])
    result = partial(lambda z: np.exp(z[0] * z[1]) * z[2], x, orders)
    assert result.value.shape == (2,)
    assert np.all(np.abs(result.value - expected(*x)) <= 10 * result.error)
    assert np.allclose(result.value, expected(*x), rtol=1e-4)


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        ((1, 1), ArgumentValueError),
        ((0, 0, 0), ArgumentValueError),
        ((1, -1, 0), ArgumentValueError),
        ((1, 0.5, 0), ArgumentTypeError),
    ],
)
def test_orders_are_checked(orders, error):
    with pytest.raises(error, match="orders"):
        partial(lambda z: z[0] * z[1] * z[2], [1.0, 2.0, 3.0], orders)
