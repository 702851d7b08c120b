"""The cases: their plans are those of the named functions, their bytes those of the definition."""

from itertools import pairwise

import numpy as np
import pytest

from gradkit.bench import cases
from gradkit.bench.cases import FAMILIES, SPACING, Case, cases_of, coordinates, noise

SHAPES = [(30,), (20, 21), (13, 12, 11), (10, 4, 10, 4)]


def arrays(result):
    return list(result) if isinstance(result, tuple | list) else [result]


def all_cases():
    long = [s for s in SHAPES if min(s) >= 10]
    return [case for shape in long for case in cases_of(shape, FAMILIES)]


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: f"{case.name} {case.shape}")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_out_and_fresh_output_hold_the_same_numbers(case, dtype):
    inputs = case.inputs(np, dtype)
    out = [np.full(shape, np.nan, dtype) for shape in case.plan.output_shapes]
    case.into(inputs, out)()
    fresh = arrays(case.fresh(inputs)())
    assert len(fresh) == len(out)
    for a, b in zip(out, fresh, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_the_cases_of_three_axes_are_those_of_the_issue():
    names = [case.name for case in cases_of((30, 30, 30), FAMILIES)]
    assert names == [
        *(f"derivative, axis {a}, accuracy {p}" for a in range(3) for p in (2, 4, 8)),
        *(f"coordinates, axis {a}" for a in range(3)),
        *("gradient", "laplacian", "divergence", "curl"),
    ]


@pytest.mark.parametrize(
    ("shape", "left_out"),
    [((30,), {"gradient", "divergence", "curl"}), ((30, 30), set()), ((9,) * 4, {"curl"})],
)
def test_cases_that_do_not_exist_are_left_out(shape, left_out):
    families = {case.family for case in cases_of(shape, FAMILIES)}
    assert families == set(FAMILIES) - left_out


@pytest.mark.parametrize(
    ("family", "moved"),
    [("derivative", 2), ("gradient", 4), ("laplacian", 2), ("divergence", 4), ("curl", 6)],
)
def test_compulsory_bytes_count_each_input_and_output_once(family, moved):
    case = Case(family, (10, 11, 12), 0 if family == "derivative" else None)
    assert case.plan.minimum_bytes("float32") == moved * 10 * 11 * 12 * 4


def test_derivative_is_that_of_numpy():
    case = Case("derivative", (9, 8), 1)
    (f,) = case.inputs(np, "float64")
    np.testing.assert_array_equal(case.fresh([f])(), np.gradient(f, SPACING, axis=1))


def test_coordinates_are_uneven_increasing_and_exact_in_float32():
    x = coordinates(10**5)
    assert len(x) == 10**5
    assert min(b - a for a, b in pairwise(x.tolist())) > 0
    assert len(set(np.diff(x).tolist())) == 5
    np.testing.assert_array_equal(x.astype("float32").astype("float64"), x)


def test_noise_fills_an_array_of_any_size(monkeypatch):
    monkeypatch.setattr(cases, "PERIOD", 7)
    f = noise(np, (5, 6), "float32", 3)
    assert (f.dtype, f.shape) == (np.float32, (5, 6))
    np.testing.assert_array_equal(f.ravel()[:7], np.random.default_rng(3).random(7, np.float32))
    np.testing.assert_array_equal(f.ravel()[7:], f.ravel()[:-7])
    assert not np.array_equal(f, noise(np, (5, 6), "float32", 4))
