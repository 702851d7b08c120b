"""Verdicts from claim, numeric derivative, its error and kinks."""

import numpy as np
import pytest

from gradkit.functions.verdicts import VERDICTS, Measured, factor_words, hints, verdicts

nan, inf = np.nan, np.inf


def measured(value, error=0.0, converged=True, kink=False, left=nan, right=nan, side_error=0.0):
    given = (value, error, converged, kink, left, right, side_error)
    parts = np.broadcast_arrays(*map(np.atleast_1d, given))
    return Measured(*parts)


@pytest.mark.parametrize(
    ("claim", "numeric", "word"),
    [
        (1.0, {"value": 1.0}, "passed"),
        (1.1, {"value": 1.0}, "passed"),  # the limit is 0.1 + 0.1 * 1
        (1.3, {"value": 1.0}, "wrong"),
        (1.3, {"value": 1.0, "error": 0.15}, "undecided"),  # the error may explain it
        (1.3, {"value": 1.0, "error": 0.011}, "undecided"),  # 10 times
        (1.3, {"value": 1.0, "error": 0.009}, "wrong"),
        (1.3, {"value": 1.0, "error": 0.009, "converged": False}, "undecided"),  # 100 times
        (1.3, {"value": 1.0, "error": 0.0009, "converged": False}, "wrong"),
        (1.0, {"value": 1.0, "error": 0.5}, "undecided"),  # no difference, but no knowledge
        (9.0, {"value": 1.0, "error": 0.5}, "wrong"),
        (1.0, {"value": 1.0, "error": inf}, "undecided"),
        (nan, {"value": 1.0}, "not finite"),
        (nan, {"value": 1.0, "error": inf}, "not finite"),
        (1.0, {"value": nan, "error": inf}, "not finite"),
        (nan, {"value": nan}, "not finite"),
        (inf, {"value": inf}, "not finite"),
        (inf, {"value": 1.0}, "not finite"),
        (0.5, {"value": 0.5, "kink": True, "left": 0.0, "right": 1.0}, "kink"),
        (0.0, {"value": 0.5, "kink": True, "left": 0.0, "right": 1.0}, "kink"),
        (1.15, {"value": 0.5, "kink": True, "left": 0.0, "right": 1.0}, "kink"),
        (1.3, {"value": 0.5, "kink": True, "left": 0.0, "right": 1.0}, "wrong"),
        (-0.5, {"value": 0.5, "kink": True, "left": 1.0, "right": 0.0}, "wrong"),
        (1.3, {"value": 0.5, "kink": True, "left": 0.0, "right": 1.0, "side_error": 0.02}, "kink"),
        (0.5, {"value": 0.5, "kink": True}, "undecided"),  # one side is not known
        (nan, {"value": 0.5, "kink": True, "left": 0.0, "right": 1.0}, "not finite"),
        (0.5 + 0.5j, {"value": 0.5, "kink": True, "left": 0.0, "right": 1.0}, "wrong"),
        (1j, {"value": 1j}, "passed"),
        (-1j, {"value": 1j}, "wrong"),
    ],
)
def test_verdict(claim, numeric, word):
    assert verdicts(np.array([claim]), measured(**numeric), 0.1, 0.1).tolist() == [word]
    assert word in VERDICTS


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1, "numeric"),
        (-1, "-numeric"),
        (-1.0000001, "-numeric"),
        (0.5, "1/2 x numeric"),
        (-2, "-2 x numeric"),
        (0.05, "1/20 x numeric"),
        (1e-6, "1/1000000 x numeric"),
        (1e-310, "1e-310 x numeric"),
        (2 * np.pi, "6.28319 x numeric"),
        (180 / np.pi, "57.2958 x numeric"),
        (2 + 0j, "2 x numeric"),
        (2j, "(0+2j) x numeric"),
    ],
)
def test_words_for_factors(factor, words):
    assert factor_words(factor) == words


def test_no_hint_where_nothing_is_wrong_or_entries_disagree():
    value = np.array([1.0, 2.0, 3.0])
    assert hints(value, measured(value), np.array(["passed"] * 3), 1e-6, 1e-6) == ()
    wrong = np.array(["wrong"] * 3)
    assert hints(-value, measured(value), wrong, 1e-6, 1e-6)
    assert hints(np.array([-1.0, -2.0, 3.0]), measured(value), wrong, 1e-6, 1e-6) == ()


@pytest.mark.parametrize("size", [1e-250, 1e250])
def test_a_factor_is_found_whatever_the_size(size):
    value, wrong = size * np.array([1.0, 2.0]), np.array(["wrong"] * 2)
    assert hints(3 * value, measured(value), wrong, 0.0, 0.0) == (
        "claimed = 3 x numeric for all entries",
    )
    # Beyond all numbers there is none.
    assert hints(value / size * 1e200, measured(value / size * 1e-200), wrong, 0.0, 0.0) == ()


def test_a_factor_is_found_beside_entries_that_are_not_finite():
    value = np.array([1.0, 2.0, nan])
    claim = np.array([3.0, 6.0, 1.0])
    words = np.array(["wrong", "wrong", "not finite"])
    assert hints(claim, measured(value), words, 1e-6, 1e-6) == (
        "claimed = 3 x numeric for all entries",
    )
