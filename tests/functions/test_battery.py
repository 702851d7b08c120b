"""The battery against mpmath: errors that hold, and the same cases through the peers.

Nothing here is timed. Evaluations and errors are the same in every run on one machine; they may
differ a little between machines, by the rounding of sin, exp and others.
"""

import warnings
from functools import cache
from statistics import mean, median

import numpy as np
import pytest

from gradkit.functions import derivative

from .battery import CASES

#: SciPy's default tolerance, for comparisons at equal accuracy.
SCIPY_RTOL = float(np.finfo(float).eps ** 0.5)

#: What SciPy can be asked for: real functions of float64, first derivatives, no noise.
PLAIN = [
    c for c in CASES if (c.order, c.dtype, c.noise) == (1, "float64", 0) and c.group != "complex"
]


@cache
def found(case, rtol=None):
    return derivative(case.func, case.point, order=case.order, rtol=rtol)


def true_error(case, value):
    return float(abs(value - case.exact))


def relative_error(case, value):
    error = true_error(case, value) / (abs(case.exact) or 1.0)
    return error if np.isfinite(error) else np.inf


def ratio(case):
    """True error in units of the error reported; 0 where both are 0."""
    result = found(case)
    if not np.isfinite(result.value):
        return 0.0 if not result.success else np.inf
    error = true_error(case, result.value)
    return error / float(result.error) if error else 0.0


def test_battery_is_what_it_says():
    assert len({case.expression for case in CASES}) >= 60
    assert len(CASES) >= 160
    groups = {"smooth", "oscillating", "steep", "tiny x", "huge x", "pole", "zero", "noisy"}
    assert groups | {"float32", "complex"} <= {case.group for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_value_is_silently_wrong(case):
    result = found(case)
    assert ratio(case) <= 1000 or not result.success
    # Beyond what is asked: a failure's error is an estimate, too.
    assert ratio(case) <= 1000


def test_errors_hold():
    inside = [ratio(case) <= 10 for case in CASES]
    assert mean(inside) >= 0.95


def test_nearly_all_succeed():
    failed = [case for case in CASES if not found(case).success and case.group != "noisy"]
    assert len(failed) <= 3, [str(case) for case in failed]


@pytest.mark.parametrize("case", [c for c in CASES if c.noise], ids=str)
def test_noise_that_is_told_is_reckoned_with(case):
    result = derivative(case.func, case.point, noise=case.noise)
    assert true_error(case, result.value) <= 10 * result.error
    assert result.error < 100 * case.noise ** (2 / 3)


@cache
def scipy_found(case):
    module = pytest.importorskip("scipy.differentiate", exc_type=ImportError)
    with np.errstate(all="ignore"):
        return module.derivative(case.func, case.point)


def test_accuracy_is_no_worse_than_that_of_the_best_peer():
    numdifftools = pytest.importorskip("numdifftools")
    ours = median(relative_error(case, found(case).value) for case in PLAIN)
    scipy = median(relative_error(case, scipy_found(case).df) for case in PLAIN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numdifftools looks at nothing but NaN where log ends
        values = [numdifftools.Derivative(case.func)(float(case.point)) for case in PLAIN]
    other = median(relative_error(c, v) for c, v in zip(PLAIN, values, strict=True))
    assert ours <= min(scipy, other)


def test_no_more_evaluations_than_scipy_at_its_accuracy():
    ours = {case: found(case, SCIPY_RTOL) for case in PLAIN}
    scipy = {case: scipy_found(case) for case in PLAIN}
    assert mean(int(r.evaluations) for r in ours.values()) <= mean(
        int(r.nfev) for r in scipy.values()
    )
    # Where SciPy succeeds, its error is no smaller either.
    easy = [case for case in PLAIN if scipy[case].success]
    assert len(easy) > 100
    assert mean(int(ours[c].evaluations) for c in easy) <= mean(int(scipy[c].nfev) for c in easy)
    assert median(relative_error(c, ours[c].value) for c in easy) <= median(
        relative_error(c, scipy[c].df) for c in easy
    )


def test_more_succeed_than_with_scipy():
    assert sum(bool(found(c, SCIPY_RTOL).success) for c in PLAIN) > sum(
        bool(scipy_found(c).success) for c in PLAIN
    )
