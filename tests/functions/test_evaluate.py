"""Functions of the user: ones that write to their argument, reuse their output, or round a lot."""

import math

import numpy as np
import pytest

from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions import derivative, gradient, jacobian, partial
from gradkit.functions.evaluate import Parts, answered


@pytest.mark.parametrize("vectorized", [True, False])
def test_a_function_may_write_to_its_argument(library, vectorized):
    if library.kind in ("dask", "jax"):
        pytest.skip("arrays of this library are not written to")

    def shifted(z):
        z -= 1.0
        return (z**3).sum(axis=0) if hasattr(z, "sum") else sum(z[i, ...] ** 3 for i in range(2))

    x = library.asarray([2.0, 4.0], "float64")
    result = gradient(shifted, x, vectorized=vectorized)
    assert library.to_numpy(x).tolist() == [2.0, 4.0]
    assert library.to_numpy(result.value) == pytest.approx([3.0, 27.0], rel=1e-8)


def test_a_function_of_a_number_may_write_to_its_argument():
    def shifted(z):
        z -= 1.0
        return z**3

    x = np.array([2.0, 4.0])
    assert derivative(shifted, x).value == pytest.approx([3.0, 27.0], rel=1e-8)
    assert x.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("vectorized", [True, False])
def test_a_function_may_return_the_same_array_each_time(vectorized):
    buffers = {}

    def squares(z):
        return np.multiply(z, z, out=buffers.setdefault(z.shape, np.empty(z.shape)))

    result = jacobian(squares, [1.0, 2.0], vectorized=vectorized)
    assert np.allclose(result.value, [[2.0, 0.0], [0.0, 4.0]], atol=1e-9)


def test_a_function_may_return_its_argument():
    def squared(z):
        z *= z
        return z

    assert derivative(squared, np.array([3.0])).value == pytest.approx([6.0], rel=1e-9)


@pytest.mark.parametrize("vectorized", [True, False])
def test_values_in_half_precision_are_refused(vectorized):
    with pytest.raises(ArgumentTypeError, match="func returned dtype float16"):
        derivative(lambda z: np.float16(np.sin(z)), [1.0], vectorized=vectorized)


@pytest.mark.parametrize("returned", [float, lambda z: [float(z)] * 2, lambda z: (1j * float(z),)])
def test_numbers_of_python_keep_their_digits(library, returned):
    if library.kind in ("dask", "cupy"):
        pytest.skip("functions of dask arrays are refused; numbers of CuPy are arrays")
    x = library.asarray([0.3], "float64")
    result = jacobian(lambda z: returned(z[0, ...] ** 2), x, vectorized=False)
    value = library.to_numpy(result.value).reshape(-1)
    assert np.allclose(np.abs(value), 0.6, rtol=1e-10, atol=0)
    assert library.to_numpy(result.error).max() < 1e-10


def test_values_among_arrays_are_taken_as_they_are():
    torch = pytest.importorskip("torch")
    x = torch.tensor([0.3, 2.0], dtype=torch.float64)
    result = jacobian(lambda z: [z[0] ** 2, (z[1] * z[0])], x, vectorized=False)
    assert np.allclose(result.value, [[0.6, 0.0], [2.0, 0.3]], rtol=1e-10, atol=1e-12)


def test_no_points_one_at_a_time():
    assert derivative(lambda z: z**2, [], vectorized=False).value.shape == (0,)
    with pytest.raises(ArgumentValueError, match="3 variables and no points"):
        gradient(lambda z: z @ z, np.ones((3, 0)), vectorized=False)


@pytest.mark.parametrize("vectorized", [True, False])
def test_a_function_that_returns_nothing_is_named(vectorized):
    with pytest.raises(ArgumentTypeError, match="func returned None"):
        gradient(lambda z: None, [1.0], vectorized=vectorized)


def test_points_that_cannot_be_used_are_named():
    with pytest.raises(ArgumentTypeError, match="x is a masked array"):
        gradient(np.sum, np.ma.masked_array([1.0, 2.0], [True, False]))
    with pytest.raises(ArgumentValueError, match=r"x has shape \(0,\): wanted one variable"):
        gradient(lambda z: z.sum(axis=0), [])
    for orders in (None, 3, "12"):
        with pytest.raises(ArgumentTypeError, match="wanted integers, one per variable"):
            partial(lambda z: z[0] * z[1], [1.0, 2.0], orders)


def test_what_several_ask_for_at_a_time_goes_in_one_call():
    def twice(points):
        values = yield points, (3.0,)
        values = yield values + points, (3.0,)
        return values.sum()

    calls = []

    def call(points, args):
        calls.append(points.shape)
        return points * args[0]

    one, two, other = np.ones((2, 3)), np.full((2, 4), 5.0), np.ones((1, 3))
    found = answered(call, [twice(one), twice(two), twice(other)])
    # 3 (3 x + x) of each of 6, 8 and 3 numbers
    assert found == [72.0, 480.0, 36.0]
    assert calls == [(2, 7), (1, 3), (2, 7), (1, 3)]


def test_points_of_several_are_made_when_all_have_asked():
    events = []

    def squared(name, points):
        def made():
            events.append(name)
            for row in points:
                yield row[None, :]

        events.append("asks")
        values = yield Parts(points.shape, made), (points[0],)
        return (values - points**2).tolist()

    def call(points, args):
        events.append(points.shape)
        np.testing.assert_array_equal(points[0], args[0])
        return points**2

    one, two = np.arange(6.0).reshape(2, 3), np.full((2, 4), 7.0)
    found = answered(call, [squared("one", one), squared("two", two)])
    assert found == [[[0.0] * 3] * 2, [[0.0] * 4] * 2]
    assert events == ["asks", "asks", "one", "two", (2, 7)]


def test_masked_values_are_not_known():
    result = derivative(np.ma.log, [1.0, -1.0])
    assert result.status.tolist() == ["converged", "non-finite"]
    assert result.value[0] == pytest.approx(1.0, rel=1e-9)
    assert np.isnan(result.value[1])
    assert type(result.value) is np.ndarray


def test_a_function_that_cannot_take_many_points_is_told_of_vectorized():
    with pytest.raises(TypeError) as raised:
        derivative(math.sin, 1.0)
    assert "vectorized=False" in raised.value.__notes__[0]
    with pytest.raises(ValueError, match="matmul") as raised:
        gradient(lambda z: z @ z, [1.0, 2.0])
    assert "many points at once" in raised.value.__notes__[0]
