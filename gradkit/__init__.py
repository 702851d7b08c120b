"""gradkit: derivatives of arrays, on the library and the device where the arrays live."""

from gradkit.devices import array_module
from gradkit.differences import diff
from gradkit.engines import explain_engine, use_engine
from gradkit.errors import GradkitError
from gradkit.fields import (
    curl,
    derivative,
    divergence,
    gradient,
    hessian,
    jacobian,
    laplacian,
)
from gradkit.grid import Axis, Grid
from gradkit.methods import FiniteDifference
from gradkit.operators import D, Operator
from gradkit.plan import Plan, make_plan
from gradkit.weights import Stencil

__version__ = "0.1.0.dev0"

__all__ = [
    "Axis",
    "D",
    "FiniteDifference",
    "GradkitError",
    "Grid",
    "Operator",
    "Plan",
    "Stencil",
    "array_module",
    "curl",
    "derivative",
    "diff",
    "divergence",
    "explain_engine",
    "gradient",
    "hessian",
    "jacobian",
    "laplacian",
    "make_plan",
    "use_engine",
]
