"""Where to go after a round, by what the laws of rounding and truncation say it would do."""

import numpy as np
import pytest

from gradkit.functions.moves import at_least, at_most, guide, is_noisy, is_rough, probe

from .ladders import ladder


def rough(x):
    """A sine beside noise of 1e-6, a fixed function of x."""
    bits = np.asarray(x).view(np.uint64)
    mixed = (bits ^ (bits >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return np.sin(x) + 1e-6 * ((mixed >> np.uint64(11)).astype(float) / 2**52 - 1)


def move(func, x, longest, **options):
    scheme, judged, lanes = ladder(func, x, longest, **options)
    noisy = is_noisy(np, judged)
    factor = guide(np, scheme, judged, noisy, lanes, np.asarray([longest]))
    return float(factor[0]), judged, scheme


def test_bounds_keep_nan():
    numbers = np.asarray([-1.0, 0.5, 2.0, np.nan])
    np.testing.assert_array_equal(at_least(np, numbers, 0.0), [0, 0.5, 2, np.nan])
    np.testing.assert_array_equal(at_most(np, numbers, 1.0), [-1, 0.5, 1, np.nan])


def test_steps_over_which_rounding_rules_are_lengthened_until_it_meets_the_target():
    factor, judged, _ = move(np.exp, 1.0, 3e-5)
    assert is_noisy(np, judged)[0]
    assert not is_rough(judged)[0]
    after = judged.error[0] / factor  # rounding falls as 1 / step
    assert 0.01 * judged.target[0] < after < judged.target[0]


def test_steps_that_are_too_long_are_shortened_until_truncation_meets_the_target():
    factor, judged, scheme = move(lambda x: np.sin(3 * x), 1.0, 0.9)
    assert not is_noisy(np, judged)[0]
    # Four levels of a symmetric difference leave an error of the eighth power; six are assumed.
    after = judged.error[0] * factor ** (2 * (scheme.levels - 1))
    assert 0.01 * judged.target[0] < after < judged.target[0]


def test_moves_are_no_longer_than_what_one_round_may_tell():
    up, _, _ = move(lambda x: 1 + 1e-9 * x, 1e-8, 1e-9)
    assert up == pytest.approx(0.12 / 1e-9)  # to steps of about 1 at once
    down, _, _ = move(lambda x: np.sin(1e9 * x), 1.0, 0.1)
    assert 0.02 <= down <= 0.05


def test_values_that_are_all_the_same_ask_for_longer_steps():
    factor, judged, _ = move(lambda x: np.full_like(x, 7.0), 1e-8, 1e-9)
    assert judged.flat[0]
    assert factor == pytest.approx(0.12 / 1e-9)


def test_undefined_values_ask_for_steps_that_are_short_against_x():
    with np.errstate(all="ignore"):
        factor, judged, _ = move(np.sqrt, 1e-6, 0.1)
    assert not np.isfinite(judged.error[0])
    assert factor * 0.1 < 1e-6


def test_a_probe_is_as_short_as_rounding_allows():
    scheme, judged, _ = ladder(rough, 1.0, 0.02)
    noisy = is_noisy(np, judged)
    assert noisy[0]
    assert is_rough(judged)[0]
    factor = float(probe(np, scheme, judged, noisy)[0])
    assert judged.rounding[0] / factor == pytest.approx(0.1 * np.cos(1.0), rel=1e-3)
    # Rounding alone is in no doubt, nor is noise that was told.
    for options in (
        {"func": np.exp, "longest": 1e-3},
        {"func": rough, "longest": 0.02, "noise": 1e-6},
    ):
        scheme, judged, _ = ladder(x=1.0, **options)
        assert probe(np, scheme, judged, is_noisy(np, judged))[0] == 0
