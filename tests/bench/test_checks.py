"""Wrong numbers are found, wherever they are; right ones are not."""

import numpy as np
import pytest

from gradkit.bench import checks
from gradkit.bench.cases import FAMILIES, Case, cases_of
from gradkit.bench.checks import difference_from, difference_from_reference


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Arrays of tests have several blocks."""
    monkeypatch.setattr(checks, "BLOCK", 300)


def computed(case, dtype="float64"):
    inputs = case.inputs(np, dtype)
    out = [np.empty(shape, dtype) for shape in case.plan.output_shapes]
    case.into(inputs, out)()
    return inputs, out


@pytest.mark.parametrize(
    "case",
    [*cases_of((40,), FAMILIES), *cases_of((31, 17), FAMILIES), *cases_of((13, 10, 11), FAMILIES)],
    ids=lambda case: f"{case.name} {case.shape}",
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_numbers_are_right(case, dtype):
    inputs, out = computed(case, dtype)
    assert difference_from_reference(case.plan, inputs, out) is None


@pytest.mark.parametrize("at", [(0, 0), (14, 9), (30, 16)])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5])
def test_one_wrong_number_is_found(at, value):
    case = Case("gradient", (31, 17))
    inputs, out = computed(case)
    out[1][at] = value
    message = difference_from_reference(case.plan, inputs, out)
    assert message.startswith("result 1, rows ")
    first, last = map(int, message.partition("rows ")[2].partition(":")[0].split(" to "))
    assert first <= at[0] < last


@pytest.mark.parametrize(("roundings", "is_right"), [(4, True), (100, False)])
def test_a_few_roundings_are_right(roundings, is_right):
    case = Case("laplacian", (9, 9))
    inputs, out = computed(case)
    out[0][4, 4] += roundings * np.finfo(float).eps * abs(out[0]).max()
    assert (difference_from_reference(case.plan, inputs, out) is None) == is_right


def test_ends_of_others_may_differ_but_the_inside_may_not(rng):
    ours = rng.random((8, 7))
    theirs = ours.copy()
    theirs[0], theirs[-1] = 5, 5
    assert difference_from([theirs], [ours], 1, [0], 1.0) is None
    assert "off by" in difference_from([theirs], [ours], 1, [1], 1.0)
    theirs[1, 0] += 1e-9
    assert "off by" in difference_from([theirs], [ours], 1, [0], 1.0)


def test_results_of_the_inside_alone_are_compared_with_the_inside(rng):
    ours = rng.random((8, 7))
    assert difference_from([ours[1:-1]], [ours], 1, [0, 1], 1.0) is None
    assert "off by" in difference_from([ours[:-2]], [ours], 1, [0], 1.0)
    assert "has shape (5, 7)" in difference_from([ours[:5]], [ours], 1, [0], 1.0)


def test_a_factor_is_applied(rng):
    ours = rng.random((8, 7))
    assert difference_from([ours / 4], [ours], 1, [0], 4.0) is None
    assert "off by" in difference_from([ours / 4], [ours], 1, [0], 1.0)


def test_the_number_of_results_is_compared(rng):
    f = rng.random(5)
    assert difference_from([f, f], [f], 1, [0], 1.0) == "2 results instead of 1"
