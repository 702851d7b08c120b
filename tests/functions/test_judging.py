"""What may hold nowhere, and is then not computed."""

import numpy as np
import pytest

from gradkit.functions import derivative
from gradkit.functions.judging import changed


def test_other_values_are_computed_only_where_they_are_wanted():
    array = np.array([1.0, np.nan, 3.0])
    nowhere = np.zeros(3, bool)
    assert changed(np, array, nowhere, lambda: pytest.fail("not wanted")) is array
    found = changed(np, array, np.isnan(array), lambda: np.asarray(2.0))
    np.testing.assert_array_equal(found, [1.0, 2.0, 3.0])


def test_traced_arrays_are_not_looked_at():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    run = jax.jit(lambda x: changed(jnp, x, x < 0, lambda: -x))
    np.testing.assert_array_equal(run(jnp.asarray([1.0, -2.0])), [1.0, 2.0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_huge_values_do_not_resolve_is_no_success(dtype):
    # Steps of the size of a tiny x change no bit of 1 / (1 + x**2), whatever its unit.
    x = np.asarray([1e-12, 1e-11, 1e-10], dtype)
    unit = np.asarray(1e20, dtype)
    result = derivative(lambda t: unit / (1 + t * t), x, bounds=(x * 0.5, x * 1.5))
    assert not result.success.any()
    assert np.all(abs(result.value + 2 * unit * x) <= 10 * result.error)
