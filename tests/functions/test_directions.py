"""directional: values against analytic gradients, scaling, bounds, shapes."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from gradkit.errors import ArgumentValueError
from gradkit.functions import directional


def test_on_every_library(library):
    if library.kind == "dask":
        pytest.skip("functions of dask arrays are refused")
    x, v = (library.asarray(a, "float64") for a in ([0.5, 2.0], [1.0, -3.0]))
    result = directional(lambda z: z[0, ...] ** 2 * z[1, ...], x, v)
    assert float(library.to_numpy(result.value)) == pytest.approx(2 - 0.75, rel=1e-10)
    assert bool(library.to_numpy(result.success))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_length_counts_and_its_size_does_not_matter(scale):
    x, v = np.array([0.3, 1.2, -0.7]), scale * np.array([1.0, 2.0, -1.0])
    result = directional(rosen, x, v)
    assert result.success
    assert result.value == pytest.approx(rosen_der(x) @ v, rel=1e-9)


@pytest.mark.parametrize("least", [1e-3, 1e-9, 1e-100])
def test_a_variable_that_hardly_moves_adds_no_error(least):
    x, v = np.array([0.5, 2.0]), np.array([least, 1.0])
    result = directional(lambda z: np.sin(z[0]) + z[1] ** 2, x, v)
    assert abs(result.value - (least * np.cos(0.5) + 4)) <= 10 * result.error
    assert result.error < 1e-12


def test_rounding_of_a_large_variable_is_in_the_error():
    # Beside 1e8, t is rounded to 1e-8; the slope in t is 1 of the cosine.
    result = directional(lambda z: np.sin(z[0]) + z[1], [1e8, 1.0], [1.0, 1.0])
    assert abs(result.value - (np.cos(1e8) + 1)) <= 10 * result.error


def test_several_values_at_several_points():
    x = np.random.default_rng(3).uniform(0.5, 2, (2, 5))
    result = directional(lambda z: np.stack([z[0] * z[1], np.sin(z[0])]), x, [[1.0], [2.0]])
    assert np.allclose(result.value, [x[1] + 2 * x[0], np.cos(x[0])], atol=1e-9)


def test_no_direction_has_no_slope():
    assert directional(rosen, [1.0, 2.0], [0.0, 0.0]).value == 0


def test_few_calls_in_many_dimensions():
    x = np.linspace(0.5, 1.5, 1000)
    result = directional(rosen, x, np.ones(1000))
    assert result.calls <= 4
    assert result.value == pytest.approx(rosen_der(x).sum(), rel=1e-9)


def test_bounds():
    def func(z):
        assert np.all((z >= 0) & (z <= 1))
        return np.sqrt(1 + z[0]) * np.exp(z[1])

    for v, slope in (([1.0, -1.0], 0.5 * np.e - np.e), ([0.0, -1.0], -np.e)):
        result = directional(func, [0.0, 1.0], v, bounds=(0, 1))
        assert result.value == pytest.approx(slope, rel=1e-8)


def test_shape_of_the_direction():
    with pytest.raises(ArgumentValueError, match="v has shape"):
        directional(rosen, [1.0, 2.0], [1.0, 2.0, 3.0])
