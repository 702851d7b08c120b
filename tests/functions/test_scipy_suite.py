"""The tests that SciPy installs for its own derivative, jacobian and hessian, run on gradkit's.

They run unchanged, with the three functions replaced by those of `scipy_adapter`. Those that test
what gradkit does not have, or has otherwise, are listed with the reason.
"""

import numpy as np
import pytest

from . import scipy_adapter as adapter

suite = pytest.importorskip(
    "scipy.differentiate.tests.test_differentiate",
    reason="this SciPy has no scipy.differentiate, or was installed without its tests",
    exc_type=ImportError,
)


@pytest.fixture
def xp():
    """SciPy's fixture; without SCIPY_ARRAY_API it is NumPy alone."""
    return np


@pytest.fixture(autouse=True)
def gradkit_instead(monkeypatch):
    for name in ("derivative", "jacobian", "hessian"):
        monkeypatch.setattr(suite, name, getattr(adapter, name))


def differs(reason):
    """A test of SciPy's that is not run, and why."""

    @pytest.mark.skip(reason=reason)
    def test(self):
        """Stand in for a test of SciPy's."""

    return test


MESSAGES = "SciPy's words for bad input; gradkit has its own, tested in test_inputs.py"
CODES = "SciPy's status codes of its own stopping rules; see test_univariate.py for the words"
LAYOUT = "counts calls by the array layout and the iterations of SciPy's algorithm"
STEPS = "an order of accuracy, a step factor and one iteration alone: gradkit has no such knobs"


class TestDerivative(suite.TestDerivative):
    test_input_validation = differs(MESSAGES)
    test_flags = differs(CODES)
    test_flags_preserve_shape = differs(CODES)
    test_convergence = differs("wants less error at less rtol; one ladder is below either here")
    test_step_parameters = differs(STEPS)
    test_initial_step = differs(STEPS)
    test_maxiter_callback = differs(STEPS)
    test_special_cases = differs("exact results in exactly two iterations of SciPy's stencils")
    test_saddle_gh18811 = differs("passes atol= where SciPy takes tolerances=; see test_battery.py")


class TestJacobian(suite.TestJacobian):
    jh_func = adapter.jacobian
    test_iv = differs(MESSAGES)
    test_attrs = differs("gradkit moves a variable by one ladder for all values of a function")


class TestHessian(suite.TestHessian):
    jh_func = adapter.hessian
    test_iv = differs(MESSAGES)
    test_nfev = differs(LAYOUT)
    test_small_rtol_warning = differs("gradkit reports 'inaccurate' instead of warning beforehand")


def test_most_of_the_suite_runs():
    left_out, names = set(), set()
    for ours in (TestDerivative, TestJacobian, TestHessian):
        theirs = {name for name in dir(ours.__mro__[1]) if name.startswith("test_")}
        names |= {(ours, name) for name in theirs}
        left_out |= {(ours, name) for name in theirs if name in vars(ours)}
    assert len(names) >= 22
    assert len(left_out) <= 14
