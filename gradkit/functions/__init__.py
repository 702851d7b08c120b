"""Derivatives of Python functions, with errors."""

from gradkit.functions.directions import directional
from gradkit.functions.gradients import gradient, hessian_diagonal, jacobian
from gradkit.functions.hessians import hessian, partial
from gradkit.functions.results import Result
from gradkit.functions.univariate import derivative

__all__ = [
    "Result",
    "derivative",
    "directional",
    "gradient",
    "hessian",
    "hessian_diagonal",
    "jacobian",
    "partial",
]
