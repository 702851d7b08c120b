"""Making plans: all arguments are checked here, once."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

from gradkit import _dtypes
from gradkit.binding import bind
from gradkit.errors import ArgumentTypeError, ArgumentValueError, UnsupportedError, integer, one_of
from gradkit.grid import Grid
from gradkit.methods import FiniteDifference, Method
from gradkit.operators import Operator
from gradkit.plan import Plan

__all__ = ["make_plan"]

_NAN_POLICIES = ("propagate", "raise", "adapt")


def make_plan(
    operator: Operator,
    grid: Grid,
    shape: Sequence[int],
    *,
    method: Method | None = None,
    edge_order: int | None = None,
    nan: str = "propagate",
    dtype: Any = None,
    unit: str = "s",
) -> Plan:
    """Bind an operator to a grid; `Operator.on` is the same.

    Parameters
    ----------
    operator : Operator
        What to compute.
    grid : Grid
        One entry per dimension of the arrays; None for batch axes.
    shape : sequence of int
        Shape of the grid: the number of samples along each axis. Arrays at faces differ from it.
    method : Method, optional
        How derivatives along one axis are taken; the default is ``FiniteDifference(accuracy=2)``.
    edge_order : int, optional
        Accuracy of the rows near the ends; the default is that of the interior.
    nan : {"propagate", "raise"}, default "propagate"
        What a NaN does: it makes exactly those results NaN whose stencil holds it, or it raises.
    dtype : str or dtype, optional
        Dtype of the results; the default is that of the inputs, float64 for integers.
    unit : str, default "s"
        Unit of time in which datetime64 and timedelta64 values are counted.

    Returns
    -------
    Plan

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, UnsupportedError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> from gradkit import Axis, D, Grid, make_plan
    >>> plan = make_plan(D(0), Grid(Axis(spacing=0.1)), (100,))
    >>> plan.halo
    (2,)
    """
    if not isinstance(nan, str) or nan not in _NAN_POLICIES:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentValueError(one_of("nan", nan, _NAN_POLICIES))
    if nan == "adapt":
        raise UnsupportedError("nan='adapt' is not available yet: use nan='propagate' or 'raise'")
    _check_kinds(operator=(operator, Operator), grid=(grid, Grid), shape=(shape, Sequence))
    method = FiniteDifference() if method is None else method
    if isinstance(method, type) or not callable(getattr(method, "rule", None)):
        raise ArgumentTypeError(f"method={method!r} is not a method such as FiniteDifference(4)")
    if edge_order is not None:
        edge_order = integer("edge_order", edge_order, 1)
    shape = tuple(shape)
    if any(isinstance(size, float) and isnan(size) for size in shape):
        raise ArgumentValueError(
            f"shape={shape} is not known: call f.compute_chunk_sizes() on the dask array first"
        )
    shape = tuple(integer(f"shape[{i}]", size, 0) for i, size in enumerate(shape))
    if grid.ndim != len(shape):
        raise ArgumentValueError(
            f"grid has {grid.ndim} axes, but shape={shape} has {len(shape)}: wanted one entry per "
            "dimension, None for batch axes"
        )
    operator = operator.normalized(len(shape))
    return Plan(
        operator,
        grid,
        shape,
        method,
        edge_order,
        nan,
        _dtypes.as_dtype_name(dtype),
        _dtypes.check_unit(unit),
        bound=bind(operator, grid, shape, method, edge_order),
    )


def _check_kinds(**arguments: tuple[object, type]) -> None:
    for name, (value, kind) in arguments.items():
        if not isinstance(value, kind):
            wanted = kind.__name__
            raise ArgumentTypeError(f"{name}={value!r} ({type(value).__name__}) is not a {wanted}")


Operator.binder = make_plan
