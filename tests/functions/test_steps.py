"""First steps, steps that are exact, and points that need more than one round."""

import numpy as np
import pytest

from gradkit.functions import derivative, steps
from gradkit.functions.inputs import Options


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_exact(dtype, rng):
    x = (rng.uniform(-1, 1, 1000) * 10.0 ** rng.integers(-8, 8, 1000)).astype(dtype)
    wanted = np.abs(x) * dtype_of(dtype, 10.0 ** rng.uniform(-3, -0.1, 1000))
    ladder = steps.ladder(x, wanted, 1.8, 4)
    for step in ladder:
        for moved in (x + step, x - step):
            exact = np.abs(np.longdouble(moved) - np.longdouble(x))
            assert np.array_equal(exact, np.longdouble(step))
    assert np.all(np.abs(ladder[0] / wanted - 1) < 1e-3)


def dtype_of(dtype, values):
    return values.astype(dtype)


def test_first_steps_follow_x():
    x = np.array([1e-200, 1e-3, 0.5, 0.0, 1e20])
    first = steps.start(x, Options(), 1).step
    assert np.all(first[:3] < x[:3] / 5)
    assert 0.05 < first[3] < 1
    assert 1e-13 * x[4] < first[4] < x[4]
    assert np.all(first > 0)


def test_single_precision_takes_longer_steps():
    double, single = (steps.start(np.ones(1, d), Options(), 1).step for d in ("f8", "f4"))
    assert single > 2 * double
    assert single.dtype == np.float32


def test_rounds_are_bounded():
    counts = []
    with np.errstate(all="ignore"):
        for func in (np.sign, np.cbrt, np.log, lambda x: x**2 * np.sin(1 / (x + 1e-12))):
            counts.append(derivative(func, 1e-9).evaluations)
            counts.append(derivative(func, 0.0).evaluations)
    assert max(counts) <= 1 + 6 * 8
    assert derivative(np.sign, 0.0, rounds=2).evaluations == 17


def test_longer_steps_where_rounding_rules():
    result = derivative(np.exp, 1e-10)
    assert result.step > 1e-6
    assert abs(result.value - 1) < 1e-9


def test_shorter_steps_where_truncation_rules():
    result = derivative(lambda x: np.sin(1e5 * x), 1.0)
    assert result.step < 1e-4
    assert abs(result.value - 1e5 * np.cos(1e5)) < 1e-3
