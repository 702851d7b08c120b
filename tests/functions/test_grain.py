"""The unit in which values come: that of large terms that were taken away again."""

import numpy as np
import pytest

from gradkit.functions import derivative
from gradkit.functions.grain import grain


def unit_of(values, precision=None):
    """The unit of a row of values, the first of them at the point."""
    precision = np.finfo(values.real.dtype).eps if precision is None else precision
    few = [values[:1], values[1:2], values[-1:]]
    size = np.max(abs(values))[None]
    return float(grain(np, few, [values[:, None]], size, precision)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("large", [3e3, 5e5, 2e6])
def test_it_is_the_last_place_of_what_was_taken_away(dtype, large):
    small = np.sin(np.linspace(0.3, 2, 9)).astype(dtype)
    large = np.asarray(large, dtype)
    true = float(np.spacing(large))
    assert true / 8 <= unit_of((large + small) - large) <= true


def test_complex_values_are_whole_in_both_parts():
    z = np.exp(1j * np.linspace(0.3, 2, 9))
    both = (1e6 * (1 + 1j) + z) - 1e6 * (1 + 1j)
    assert unit_of(both) == pytest.approx(np.spacing(1e6), rel=0.9)
    assert unit_of(both.real + 1j * z.imag) == 0


@pytest.mark.parametrize(
    "values",
    [
        np.sin(np.linspace(0.3, 2, 9)),
        np.full(9, 0.5),
        np.zeros(9),
        np.asarray([0.5, *np.ones(8)]) / 3,
        np.asarray([0.5, np.sin(1.0), 0.75]),
    ],
    ids=["of its own", "all the same", "0", "of two kinds", "whole at the ends alone"],
)
def test_there_is_none_in_other_values(values):
    assert unit_of(values) == 0


def test_lanes_have_units_of_their_own():
    small = np.sin(np.linspace(0.3, 2, 9))
    values = np.stack([small, (5e5 + small) - 5e5], axis=1)
    few = [values[0], values[1], values[-1]]
    found = grain(np, few, [values], np.max(abs(values), axis=0), np.finfo(float).eps)
    assert found[0] == 0
    assert found[1] == unit_of(values[:, 1])


def test_values_of_a_lower_precision_are_no_news_where_it_is_known():
    values = np.sin(np.linspace(0.3, 2, 9)).astype(np.float32).astype(float)
    assert unit_of(values) > 1e-9
    assert unit_of(values, float(np.finfo(np.float32).eps)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_hold_where_large_terms_cancel(dtype):
    x = np.linspace(0.3, 3, 50).astype(dtype)
    large = np.asarray(12345.678, dtype)
    result = derivative(lambda t: (large + np.sin(t)) - large, x)
    assert np.all(abs(result.value - np.cos(x.astype(float))) <= 10 * result.error)
    assert np.all(result.error < 1e4 * np.finfo(dtype).eps * large)
