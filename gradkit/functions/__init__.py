"""Derivatives of Python functions, with errors."""

from gradkit.functions.multivariate import (
    directional,
    gradient,
    hessian,
    hessian_diagonal,
    jacobian,
    partial,
)
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
