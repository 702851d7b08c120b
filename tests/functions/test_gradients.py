"""gradient, jacobian and hessian_diagonal: values, shapes, calls, memory, errors."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions import derivative, gradient, hessian_diagonal, jacobian


@pytest.fixture
def arrays(library):
    if library.kind == "dask":
        pytest.skip("functions of dask arrays are refused")
    return library


def product(x):
    return x[0, ...] ** 2 * x[1, ...] * x[2, ...]


def product_gradient(a, b, c):
    return np.array([2 * a * b * c, a**2 * c, a**2 * b])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["central", "forward", "backward", "complex"])
def test_gradient_on_every_library(arrays, dtype, method):
    x = arrays.asarray([0.5, -2.0, 3.0], dtype)
    result = gradient(product, x, method=method)
    value, error = (np.asarray(arrays.to_numpy(p), float) for p in (result.value, result.error))
    assert result.value.dtype == x.dtype
    assert np.all(np.abs(value - product_gradient(0.5, -2.0, 3.0)) <= 10 * error)
    assert np.all(error < (0.1 if dtype == "float32" else 1e-8))


@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_points_along_further_axes(batch):
    x = np.random.default_rng(1).uniform(0.5, 2, (3, *batch))
    result = gradient(product, x)
    assert result.value.shape == x.shape
    assert np.allclose(result.value, product_gradient(*x), rtol=1e-9)
    parts = jacobian(lambda z: np.stack([product(z), z[0] + 0 * z[1]]), x)
    assert parts.value.shape == (2, 3, *batch)
    assert np.allclose(parts.value[0], product_gradient(*x), rtol=1e-9)
    assert np.allclose(parts.value[1], np.reshape([1.0, 0, 0], (3, *(1,) * len(batch))))


def test_jacobian_is_not_transposed(arrays):
    x = arrays.asarray([2.0, 3.0], "float64")
    xp = arrays.xp
    result = jacobian(lambda z: xp.stack([z[0, ...] * z[1, ...], z[0, ...], 5 * z[1, ...]]), x)
    assert np.allclose(arrays.to_numpy(result.value), [[3, 2], [1, 0], [0, 5]], atol=1e-10)
    assert np.all(arrays.to_numpy(result.success))


def test_jacobian_of_one_value_is_the_gradient():
    assert jacobian(rosen, [1.0, 2.0]).value.tolist() == gradient(rosen, [1.0, 2.0]).value.tolist()


def test_jacobian_of_matrices():
    x = np.array([0.3, 0.7])
    result = jacobian(lambda z: np.stack([[z[0], z[1]], [z[0] * z[1], 0 * z[0]]]), x)
    assert result.value.shape == (2, 2, 2)
    assert np.allclose(result.value[1, 0], [0.7, 0.3])


def test_complex_values():
    result = jacobian(lambda z: np.stack([np.exp(1j * z[0]), z[1] * (1 + 2j)]), [0.5, 1.0])
    expected = [[1j * np.exp(0.5j), 0], [0, 1 + 2j]]
    assert np.allclose(result.value, expected, atol=1e-10)


def test_variables_of_different_sizes():
    x = np.array([1e-6, 1.0, 1e12])
    result = gradient(lambda z: np.log(z).sum(axis=0), x, bounds=(0, None))
    assert np.allclose(result.value * x, 1, rtol=1e-6)


def test_bounds_per_variable():
    def func(z):
        assert np.all((z[0] >= 0) & (z[1] <= 1))
        return np.sqrt(z[0] + 1) * np.exp(z[1])

    result = gradient(func, [0.0, 1.0], bounds=([0, -np.inf], [np.inf, 1]))
    assert np.allclose(result.value, [math.e / 2, math.e], rtol=1e-8)


def test_rosenbrock_in_a_thousand_dimensions():
    x = np.linspace(0.5, 1.5, 1000)
    calls = []
    tracemalloc.start()
    result = gradient(lambda z: calls.append(z.nbytes) or rosen(z), x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.calls == len(calls) <= 5
    assert peak < 200 * 2**20
    assert np.all(result.success)
    assert np.all(np.abs(result.value - rosen_der(x)) <= 10 * result.error)
    assert np.allclose(result.value, rosen_der(x), rtol=1e-9, atol=1e-8)


def test_memory_bounds_the_points_of_a_call():
    sizes = []
    x = np.linspace(0.5, 1.5, 30)
    result = gradient(lambda z: sizes.append(z.nbytes) or rosen(z), x, memory=20_000)
    assert max(sizes) <= 20_000
    assert len(sizes) > 2
    assert np.allclose(result.value, rosen_der(x), rtol=1e-9)


def test_jacobian_never_holds_variables_times_variables_times_values():
    n, memory = 300, 2**20
    x = np.linspace(0.5, 1.5, n)
    tracemalloc.start()
    result = jacobian(lambda z: np.sin(z) * z[:1], x, memory=memory)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A few arrays of the result's size, and of the size of one call; not 8 * n**3 = 216 MB.
    assert peak < 60 * 8 * n * n + 20 * memory
    assert np.allclose(np.diag(result.value)[1:], np.cos(x[1:]) * x[0], atol=1e-9)


def test_one_point_at_a_time_and_arguments():
    result = gradient(
        lambda z, k: math.exp(k * z[0]) * z[1], [0.0, 2.0], args=(3.0,), vectorized=False
    )
    assert np.allclose(result.value, [6, 1], atol=1e-9)
    assert result.calls == 1 + (result.evaluations - 1).sum()


def test_progress():
    seen = []
    gradient(rosen, np.ones(5), callback=lambda *numbers: seen.append(numbers))
    assert seen[-1] == (5, 5)


def test_noise():
    rng = np.random.default_rng(5)

    def func(z):
        return np.sin(z[0]) * z[1] + 1e-7 * rng.standard_normal(z.shape[1:])

    result = gradient(func, [0.5, 2.0], noise=1e-7)
    assert np.all(np.abs(result.value - [2 * math.cos(0.5), math.sin(0.5)]) <= 10 * result.error)
    assert np.all(result.error < 1e-4)


def test_hessian_diagonal():
    x = np.linspace(0.5, 1.5, 6)
    result = hessian_diagonal(rosen, x)
    assert np.allclose(result.value, np.diag(rosen_hess(x)), rtol=1e-8)
    assert np.all(result.success)


def test_variables_that_do_not_matter():
    result = gradient(lambda z: z[0] ** 2 + 0 * z[1], [1.0, 1e-9])
    assert result.value.tolist() == [pytest.approx(2), 0]
    assert np.all(result.success)


def test_agrees_with_derivative():
    x = np.array([0.1, 1.0, 2.5])
    one, many = derivative(np.sin, x), gradient(lambda z: np.sin(z).sum(axis=0), x)
    assert np.allclose(one.value, many.value, rtol=1e-9)


def test_under_jit():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    x = jax.numpy.asarray([0.5, -2.0, 3.0])
    value = jax.jit(lambda z: gradient(product, z, rounds=1).value)(x)
    assert np.allclose(value, product_gradient(0.5, -2.0, 3.0), rtol=1e-9)


@pytest.mark.parametrize(
    ("keywords", "error", "text"),
    [
        ({"x": 1.0}, ArgumentValueError, "x is 0-dimensional"),
        ({"func": lambda z: z}, ArgumentValueError, r"values of shape \(2,\) per point"),
        ({"func": lambda z: 1.0}, ArgumentValueError, r"func returned shape \(\) for 1 points"),
        ({"func": lambda z: z[:, :1]}, None, ""),
        ({"memory": 0}, ArgumentValueError, "memory=0"),
        ({"noise": [1.0, 2.0]}, ArgumentValueError, "noise has shape"),
        ({"bounds": (2, 3)}, ArgumentValueError, r"x\[0\]=0.5"),
    ],
)
def test_errors_name_the_argument(keywords, error, text):
    keywords = {"func": rosen, "x": [0.5, 1.0], **keywords}
    if error is None:
        error, text = ArgumentValueError, "per point"
    with pytest.raises(error, match=text):
        gradient(keywords.pop("func"), keywords.pop("x"), **keywords)


def test_complex_step_has_first_derivatives_only():
    with pytest.raises(ArgumentValueError, match="method='complex'"):
        hessian_diagonal(rosen, [1.0, 2.0], method="complex")


def test_complex_step_needs_real_values():
    with pytest.raises(ArgumentTypeError, match="complex values at real points"):
        jacobian(lambda z: z * 1j, [1.0, 2.0], method="complex")


def test_every_value_has_the_step_that_it_was_taken_with():
    # The first one is so flat beside its size that it wants long steps, the others short ones.
    def func(z):
        return np.stack([1e8 + 1e-3 * z[0], np.sin(z[0]), np.exp(-50 * z[0] ** 2)])

    found = jacobian(func, np.array([0.5]), atol=0.0)
    alone = jacobian(lambda z: func(z)[1:], np.array([0.5]), atol=0.0)
    assert found.step[0, 0] > 10 * found.step[1, 0]
    np.testing.assert_array_equal(found.step[1], alone.step[0])
