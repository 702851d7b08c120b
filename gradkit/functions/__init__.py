"""Derivatives of Python functions, with errors."""

from gradkit.functions import polynomial
from gradkit.functions.check_report import Check
from gradkit.functions.checks import (
    assert_gradient,
    assert_hessian,
    assert_jacobian,
    check_gradient,
    check_hessian,
    check_jacobian,
)
from gradkit.functions.directions import directional
from gradkit.functions.gradients import gradient, hessian_diagonal, jacobian
from gradkit.functions.hessians import hessian, partial
from gradkit.functions.results import Result
from gradkit.functions.univariate import derivative

__all__ = [
    "Check",
    "Result",
    "assert_gradient",
    "assert_hessian",
    "assert_jacobian",
    "check_gradient",
    "check_hessian",
    "check_jacobian",
    "derivative",
    "directional",
    "gradient",
    "hessian",
    "hessian_diagonal",
    "jacobian",
    "partial",
    "polynomial",
]
