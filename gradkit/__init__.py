"""gradkit: derivatives of arrays, on the library and the device where the arrays live."""

from gradkit.boundaries import Antisymmetric, Dirichlet, Neumann, Robin, Symmetric
from gradkit.devices import array_module
from gradkit.diagnosis import dot_test, modified_wavenumber, observed_order
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
from gradkit.offsets import operator_from_offsets
from gradkit.operators import Average, D, Identity, Operator
from gradkit.plan import Plan
from gradkit.planning import make_plan
from gradkit.systems import Curl, Divergence, Gradient, Hessian, Jacobian, Laplacian
from gradkit.weights import Stencil

__version__ = "0.1.0.dev0"

__all__ = [
    "Antisymmetric",
    "Average",
    "Axis",
    "Curl",
    "D",
    "Dirichlet",
    "Divergence",
    "FiniteDifference",
    "Gradient",
    "GradkitError",
    "Grid",
    "Hessian",
    "Identity",
    "Jacobian",
    "Laplacian",
    "Neumann",
    "Operator",
    "Plan",
    "Robin",
    "Stencil",
    "Symmetric",
    "array_module",
    "curl",
    "derivative",
    "diff",
    "divergence",
    "dot_test",
    "explain_engine",
    "gradient",
    "hessian",
    "jacobian",
    "laplacian",
    "make_plan",
    "modified_wavenumber",
    "observed_order",
    "operator_from_offsets",
    "use_engine",
]
