"""Systems of operators with a name: gradient, divergence, curl, laplacian, hessian, jacobian.

Each takes the axes it differentiates along, as a number of axes or as a sequence, and optionally
the places of a staggered grid.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradkit.errors import ArgumentTypeError, ArgumentValueError, integer
from gradkit.operators import D, Operator

__all__ = ["Curl", "Divergence", "Gradient", "Hessian", "Jacobian", "Laplacian"]

Axes = int | Sequence[int]


def Gradient(axes: Axes, *, to: str | None = None, at: str | None = None) -> Operator:
    """The gradient: one input, the derivative along each axis as outputs.

    Parameters
    ----------
    axes : int or sequence of int
        The number of axes, or the axes.
    to, at : str, optional
        Where results and values lie along the axis of each derivative; see `D`.

    Returns
    -------
    Operator
        A column.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> from gradkit import Divergence, Gradient, Laplacian
    >>> Gradient(2)
    Operator.matrix([[D(0)], [D(1)]])
    >>> Divergence(2) @ Gradient(2) == Laplacian(2)
    True
    """
    return Operator.matrix([[D(a, to=to, at=at)] for a in _axes(axes)])


def Divergence(axes: Axes, *, to: str | None = None, at: str | None = None) -> Operator:
    """The divergence: one input per axis, the sum of each one's derivative along its axis.

    Parameters
    ----------
    axes : int or sequence of int
        The number of axes, or the axes.
    to, at : str, optional
        Where results and values lie along the axis of each derivative; see `D`.

    Returns
    -------
    Operator
        A row.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> from gradkit import Divergence
    >>> Divergence(2, at="outer")
    Operator.matrix([[D(0, at='outer', to='centre'), D(1, at='outer', to='centre')]])
    """
    return Operator.matrix([[D(a, to=to, at=at) for a in _axes(axes)]])


def Curl(axes: Axes, *, to: str | None = None, at: str | None = None) -> Operator:
    """The curl along two axes (two inputs, one output) or three (three and three).

    Parameters
    ----------
    axes : int or sequence of int
        The number of axes, or the axes.
    to, at : str, optional
        Where results and values lie along the axis of each derivative; see `D`.

    Returns
    -------
    Operator
        A matrix.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or there are not two or three axes.

    Examples
    --------
    >>> from gradkit import Curl, Gradient
    >>> Curl(2)
    Operator.matrix([[-D(1), D(0)]])
    >>> Curl(3) @ Gradient(3)
    Operator.matrix([[0], [0], [0]])
    """
    named = _axes(axes)
    if len(named) not in (2, 3):
        raise ArgumentValueError(f"axes={axes!r}: a curl is taken along 2 or 3 axes")
    x, y, *rest = (D(a, to=to, at=at) for a in named)
    if not rest:
        return Operator.matrix([[-y, x]])
    (z,) = rest
    return Operator.matrix([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def Laplacian(axes: Axes) -> Operator:
    """The laplacian: the sum of the second derivatives along the axes.

    Parameters
    ----------
    axes : int or sequence of int
        The number of axes, or the axes.

    Returns
    -------
    Operator
        One entry.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> from gradkit import Laplacian
    >>> Laplacian((0, 2))
    D(0)**2 + D(2)**2
    """
    first, *others = (D(a, 2) for a in _axes(axes))
    return sum(others, start=first)


def Hessian(axes: Axes) -> Operator:
    """The hessian: one input, all second derivatives row by row.

    Parameters
    ----------
    axes : int or sequence of int
        The number of axes, or the axes.

    Returns
    -------
    Operator
        A column of ``axes**2`` entries.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> from gradkit import Hessian
    >>> Hessian(2)
    Operator.matrix([[D(0)**2], [D(0)*D(1)], [D(0)*D(1)], [D(1)**2]])
    """
    named = _axes(axes)
    return Operator.matrix([[D(a) * D(b)] for a in named for b in named])


def Jacobian(axes: Axes, components: int) -> Operator:
    """The jacobian: the derivative of every component along every axis.

    Parameters
    ----------
    axes : int or sequence of int
        The number of axes, or the axes.
    components : int
        Number of inputs.

    Returns
    -------
    Operator
        ``components * axes`` outputs; axes vary fastest.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> from gradkit import Jacobian
    >>> Jacobian(1, 2)
    Operator.matrix([[D(0), 0], [0, D(0)]])
    """
    count = integer("components", components, 1)
    return Operator.matrix(
        [[D(a) if i == j else 0 for j in range(count)] for i in range(count) for a in _axes(axes)]
    )


def _axes(axes: Axes) -> tuple[int, ...]:
    """The axes themselves, from their number or a sequence."""
    if isinstance(axes, Sequence) and not isinstance(axes, str):
        if not axes:
            raise ArgumentValueError("axes=() names no axis")
        if len(set(axes)) < len(axes):
            raise ArgumentValueError(f"axes={axes!r} names the same axis twice")
        return tuple(axes)
    if isinstance(axes, str) or not hasattr(axes, "__index__"):
        raise ArgumentTypeError(f"axes={axes!r} is not a number of axes or a sequence of axes")
    return tuple(range(integer("axes", axes, 1)))
