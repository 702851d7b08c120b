"""Derivatives of sampled arrays: what users call.

Every function names an operator, binds it with its arguments into a plan, and calls the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

from gradkit import _array
from gradkit.arguments import (
    Options,
    components_of,
    is_coordinates,
    names_several_axes,
    plan_for,
)
from gradkit.errors import ArgumentTypeError, ArgumentValueError, GradkitError
from gradkit.forms import nested, stacked
from gradkit.grid import exact_spacing
from gradkit.methods import Method

__all__ = [
    "curl",
    "derivative",
    "divergence",
    "gradient",
    "hessian",
    "jacobian",
    "laplacian",
]


def gradient(
    f: Any,
    *spacing: Any,
    axis: int | Sequence[int] | None = None,
    edge_order: int | None = 1,
    accuracy: int = 2,
    boundary: Any = "one-sided",
    period: Any = None,
    method: Method | None = None,
    nan: str = "propagate",
    unit: str = "s",
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """First derivative along each axis; a drop-in for `numpy.gradient` on any array library.

    Parameters
    ----------
    f : array_like, shape (..., n, ...)
        The samples: floating, complex, integer, ``datetime64`` or ``timedelta64``.
    *spacing : float, array_like of shape (n,), or Axis
        Nothing (spacing 1), one number for all axes, or per axis one number, one array of
        coordinates (increasing or decreasing, on the host or where `f` is), or one `Axis`, which
        carries its own boundary and period.
    axis : int or sequence of int, optional
        Axes to differentiate along; the default is all. The others are batch axes.
    edge_order : int or None, default 1
        Accuracy at one-sided ends, as in NumPy; None for that of the interior.
    accuracy : int, default 2
        Order of the error in the interior, ``O(h**accuracy)``.
    boundary : str, value such as `Dirichlet(0)`, or sequence, default "one-sided"
        What holds beyond the ends, as in `Axis`: ``"one-sided"``, ``"periodic"``,
        ``"antiperiodic"``, or what is known at a wall. One for all axes, or one per axis; an entry
        per axis may be a pair, for its two ends, and so may the whole where there is one axis.
    period : float or sequence of float, optional
        Length of a period, for coordinates that wrap; for all of them, or one per axis.
    method : Method, optional
        How to differentiate; the default is ``FiniteDifference(accuracy)``.
    nan : {"propagate", "raise"}, default "propagate"
        A NaN makes exactly those results NaN whose stencil holds it, or it raises.
    unit : str, default "s"
        Unit of time of the answer where `f` or the coordinates are times.
    dtype : str or dtype, optional
        Dtype of the result; the default is that of `f`, float64 for integers and times.
    out : array or tuple of arrays, optional
        Where the results are written, in the form in which they would be returned: right shape,
        dtype, library and device, writeable, and apart from `f` in memory.

    Returns
    -------
    array or tuple of arrays, shape (..., n, ...)
        One array per axis, of the library, device and dtype of `f`, in units of
        ``[f] / [spacing]``. A single array where `axis` is an int or `f` is 1-D.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, AxisError
        If an argument cannot be used; the message names it.

    Notes
    -----
    On a uniform axis ``(f[i+1] - f[i-1]) / (2 h) + O(h**2)``, with the bits of NumPy for float32
    and float64 data, a Python number as spacing and ``edge_order=1`` (in large arrays, but for the
    last bit of results below 4e-30 and 4e-291). On
    coordinates the two neighbouring slopes are averaged, each weighted with the length of the
    other interval [1]_: the same quadratic as in NumPy, in a form that is exactly 0 on constants
    and whose rounding error follows the differences of f rather than its values.

    The weights of up to 2**21 coordinates are kept for the next call with the same ones; beyond
    65536, those of the last call alone. Every call computes those of longer axes again, part by
    part; a plan (`gradkit.make_plan`) keeps them from its second call on.

    References
    ----------
    .. [1] B. Fornberg, Generation of finite difference formulas on arbitrarily spaced grids,
       Math. Comp. 51 (1988) 699-706.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import gradient
    >>> x = np.asarray([0.0, 1.0, 3.0, 4.0])
    >>> gradient(x**2, x)
    array([1., 2., 6., 7.])
    >>> gradient(x**2, x, edge_order=2)
    array([0., 2., 6., 8.])
    """
    f = _array.as_array(f, "f")
    options = Options(accuracy, edge_order, boundary, period, method, nan, unit, dtype)
    plan = plan_for("gradient", f, spacing, axis, options)
    if plan.operator.outputs > 1 or f.ndim == 1 or not names_several_axes(axis):
        return plan(f, out)
    if out is None:
        return (plan(f),)
    if _array.count(out) != 1:
        raise ArgumentTypeError("out must be a sequence of 1 array, because axis is a sequence")
    plan(f, out[0])
    return out


def derivative(
    f: Any,
    x: Any = 1.0,
    *,
    axis: int = -1,
    order: int = 1,
    accuracy: int = 2,
    edge_order: int | None = None,
    boundary: Any = "one-sided",
    period: Any = None,
    method: Method | None = None,
    nan: str = "propagate",
    unit: str = "s",
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """Derivative of any order along one axis.

    Parameters
    ----------
    f : array_like, shape (..., n, ...)
        The samples: floating, complex, integer, ``datetime64`` or ``timedelta64``.
    x : float, array_like of shape (n,), or Axis, default 1.0
        The spacing, or the coordinates (increasing or decreasing, on the host or where `f` is).
    axis : int, default -1
        Axis to differentiate along; the others are batch axes.
    order : int, default 1
        Order of the derivative, at least 1. It has its own stencil, not a repeated first one.
    accuracy : int, default 2
        Order of the error in the interior, ``O(h**accuracy)``, at least 1.
    edge_order : int, optional
        Accuracy at one-sided ends; the default is that of the interior.
    boundary : str, value such as `Dirichlet(0)`, or pair, default "one-sided"
        What holds beyond the ends, as in `Axis`: nothing is known (``"one-sided"``), the values of
        the other end (``"periodic"``) or their negatives (``"antiperiodic"``), or what is known at
        a wall. A pair has one entry per end.
    period : float, optional
        Length of a period, for coordinates that wrap.
    method : Method, optional
        How to differentiate; the default is ``FiniteDifference(accuracy)``.
    nan : {"propagate", "raise"}, default "propagate"
        A NaN makes exactly those results NaN whose stencil holds it, or it raises.
    unit : str, default "s"
        Unit of time of the answer where `f` or the coordinates are times.
    dtype : str or dtype, optional
        Dtype of the result; the default is that of `f`, float64 for integers and times.
    out : array, optional
        Where the result is written: right shape, dtype, library and device, writeable, and apart
        from `f` in memory.

    Returns
    -------
    array, shape (..., n, ...)
        Of the library, device and dtype of `f`, in units of ``[f] / [x]**order``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, AxisError
        If an argument cannot be used; the message names it.

    Notes
    -----
    The centred stencil has ``2 * ((order + 1) // 2) - 1 + accuracy`` points; near one-sided ends
    the first ``order + edge_order`` points of the axis are used. The weights are Fornberg's [1]_,
    exact before they are rounded once.

    References
    ----------
    .. [1] B. Fornberg, Generation of finite difference formulas on arbitrarily spaced grids,
       Math. Comp. 51 (1988) 699-706.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import derivative
    >>> x = 0.5 * np.arange(6)
    >>> derivative(x**3, 0.5, order=3)
    array([6., 6., 6., 6., 6., 6.])
    >>> angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    >>> slope = derivative(np.sin(angle), angle, accuracy=8, boundary="periodic", period=2 * np.pi)
    >>> bool(abs(slope - np.cos(angle)).max() < 1e-9)
    True
    """
    f = _array.as_array(f, "f")
    if axis is None or names_several_axes(axis):  # pyright: ignore[reportUnnecessaryComparison]
        raise ArgumentTypeError(f"axis={axis!r} is not an integer")
    options = Options(accuracy, edge_order, boundary, period, method, nan, unit, dtype)
    try:
        plan = plan_for("derivative", f, (x,), axis, options, order)
    except GradkitError:
        if not is_coordinates(x):
            exact_spacing(x, unit, "x")  # the same error, if it is one, under the name used here
        raise
    return plan(f, out)


def divergence(
    v: Any,
    *spacing: Any,
    axis: int | Sequence[int] | None = None,
    accuracy: int = 2,
    edge_order: int | None = None,
    boundary: Any = "one-sided",
    period: Any = None,
    method: Method | None = None,
    nan: str = "propagate",
    unit: str = "s",
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """Divergence of a vector field: the sum of the derivative of each component along its axis.

    Parameters
    ----------
    v : sequence of arrays of shape (..., n, ...), or array of shape (components, ..., n, ...)
        One component per axis.
    *spacing, accuracy, edge_order, boundary, period, method, nan, unit, dtype, out
        As in `gradient`, but `edge_order` is by default that of the interior.
    axis : int or sequence of int, optional
        The axes of a component that belong to the components, in order; the default is all. The
        others are batch axes.

    Returns
    -------
    array, shape (..., n, ...)
        In units of ``[v] / [spacing]``, error ``O(h**accuracy)``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, AxisError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import divergence
    >>> x, y = np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij")
    >>> divergence((x * y, y))[1]
    array([1., 2., 3., 4.])
    """
    parts = components_of(v)
    options = Options(accuracy, edge_order, boundary, period, method, nan, unit, dtype)
    plan = plan_for("divergence", parts[0], spacing, axis, options, len(parts))
    return plan(parts if len(parts) > 1 else parts[0], out)


def curl(
    v: Any,
    *spacing: Any,
    axis: Sequence[int] | None = None,
    accuracy: int = 2,
    edge_order: int | None = None,
    boundary: Any = "one-sided",
    period: Any = None,
    method: Method | None = None,
    nan: str = "propagate",
    unit: str = "s",
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """Curl of a vector field in two or three dimensions.

    Parameters
    ----------
    v : sequence of arrays of shape (..., n, ...), or array of shape (components, ..., n, ...)
        Two or three components.
    *spacing, accuracy, edge_order, boundary, period, method, nan, unit, dtype, out
        As in `gradient`, but `edge_order` is by default that of the interior.
    axis : sequence of int, optional
        The axes of a component that belong to the components, in order; the default is all. The
        others are batch axes.

    Returns
    -------
    array, or three arrays in the form of `v`
        In two dimensions the scalar ``d v[1] / dx - d v[0] / dy``; in three dimensions a tuple of
        arrays, or one array stacked along the first axis where `v` is stacked. In units of
        ``[v] / [spacing]``, error ``O(h**accuracy)``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, AxisError
        If an argument cannot be used; the message names it.

    Examples
    --------
    A rotation with angular velocity 1 has curl 2:

    >>> import numpy as np
    >>> from gradkit import curl
    >>> x, y = np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij")
    >>> curl((-y, x))[0]
    array([2., 2., 2., 2.])
    """
    v = _array.unlabelled(v)
    parts = components_of(v)
    if len(parts) not in (2, 3):
        raise ArgumentValueError(f"v has {len(parts)} components: a curl needs 2 or 3")
    options = Options(accuracy, edge_order, boundary, period, method, nan, unit, dtype)
    plan = plan_for("curl", parts[0], spacing, axis, options, len(parts))
    if len(parts) == 3 and _array.is_array(v):
        return stacked(plan, parts, out, (3,))
    return plan(parts, out)


def laplacian(
    f: Any,
    *spacing: Any,
    axis: int | Sequence[int] | None = None,
    accuracy: int = 2,
    edge_order: int | None = None,
    boundary: Any = "one-sided",
    period: Any = None,
    method: Method | None = None,
    nan: str = "propagate",
    unit: str = "s",
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """Laplacian: the sum of the second derivatives along the axes, each with its own stencil.

    Parameters
    ----------
    f : array_like, shape (..., n, ...)
        The samples.
    *spacing, axis, accuracy, edge_order, boundary, period, method, nan, unit, dtype, out
        As in `gradient`, but `edge_order` is by default that of the interior.

    Returns
    -------
    array, shape (..., n, ...)
        In units of ``[f] / [spacing]**2``, error ``O(h**accuracy)``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, AxisError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import laplacian
    >>> x, y = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    >>> laplacian(x**2 + 3 * y**2)[0]
    array([8., 8., 8., 8., 8.])
    """
    f = _array.as_array(f, "f")
    options = Options(accuracy, edge_order, boundary, period, method, nan, unit, dtype)
    return plan_for("laplacian", f, spacing, axis, options)(f, out)


def hessian(
    f: Any,
    *spacing: Any,
    axis: int | Sequence[int] | None = None,
    accuracy: int = 2,
    edge_order: int | None = None,
    boundary: Any = "one-sided",
    period: Any = None,
    method: Method | None = None,
    nan: str = "propagate",
    unit: str = "s",
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """Hessian: all second derivatives.

    Parameters
    ----------
    f : array_like, shape (..., n, ...)
        The samples.
    *spacing, axis, accuracy, edge_order, boundary, period, method, nan, unit, dtype
        As in `gradient`, but `edge_order` is by default that of the interior.
    out : sequence of sequences of arrays, optional
        Where the results are written; ``out[i][j]`` and ``out[j][i]`` may be the same array.

    Returns
    -------
    tuple of tuples of arrays, each of shape (..., n, ...)
        ``result[i][j]`` is the derivative along ``axis[i]`` and ``axis[j]``, in units of
        ``[f] / [spacing]**2``, error ``O(h**accuracy)``. Diagonal entries use second-derivative
        stencils, mixed ones the product of two first ones. ``result[i][j]`` and ``result[j][i]``
        are the same array.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, AxisError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import hessian
    >>> x, y = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    >>> [[float(entry[1, 1]) for entry in row] for row in hessian(x**2 + x * y)]
    [[2.0, 1.0], [1.0, 0.0]]
    """
    f = _array.as_array(f, "f")
    options = Options(accuracy, edge_order, boundary, period, method, nan, unit, dtype)
    plan = plan_for("hessian", f, spacing, axis, options)
    n = isqrt(plan.operator.outputs)
    return nested(plan, f, out, n, n)


def jacobian(
    v: Any,
    *spacing: Any,
    axis: int | Sequence[int] | None = None,
    accuracy: int = 2,
    edge_order: int | None = None,
    boundary: Any = "one-sided",
    period: Any = None,
    method: Method | None = None,
    nan: str = "propagate",
    unit: str = "s",
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """Jacobian: the derivative of every component of a field along every axis.

    Parameters
    ----------
    v : sequence of arrays of shape (..., n, ...), or array of shape (components, ..., n, ...)
        Any number of components.
    *spacing, axis, accuracy, edge_order, boundary, period, method, nan, unit, dtype, out
        As in `gradient`, with axes counted in a component; `edge_order` is by default that of the
        interior.

    Returns
    -------
    tuple of tuples of arrays, or array of shape (components, axes, ..., n, ...)
        ``result[i][j]`` is the derivative of component i along ``axis[j]``; stacked where `v` is
        stacked. In units of ``[v] / [spacing]``, error ``O(h**accuracy)``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, AxisError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import jacobian
    >>> x, y = np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij")
    >>> jacobian(np.stack([x, x + 2 * y])).shape
    (2, 2, 3, 4)
    """
    v = _array.unlabelled(v)
    parts = components_of(v)
    options = Options(accuracy, edge_order, boundary, period, method, nan, unit, dtype)
    plan = plan_for("jacobian", parts[0], spacing, axis, options, len(parts))
    axes = plan.operator.outputs // len(parts)
    inputs = parts if len(parts) > 1 else parts[0]
    if _array.is_array(v):
        return stacked(plan, inputs, out, (len(parts), axes))
    return nested(plan, inputs, out, len(parts), axes)
