"""Operators from first derivatives along one axis, as users of other libraries write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradkit._array import Array
from gradkit.bench.cases import SPACING, Case, coordinates

__all__ = ["PeerCall", "composed", "positions"]

#: ``slope(f, axis, x)``: the first derivative on a spacing or on an array of coordinates.
Slope = Callable[[Any, int, Any], Any]


class PeerCall(NamedTuple):
    """How another library is called.

    Attributes
    ----------
    what : str
        The function, in words.
    call : callable
        It takes nothing and returns an array or several.
    factor : float
        By which the results are to be multiplied to be those of gradkit.
    waits : bool
        Whether it waits for the device, whose events do not see it: the host's clock times it.
    """

    what: str
    call: Callable[[], Any]
    factor: float = 1.0
    waits: bool = False


def positions(case: Case, f: Array) -> np.ndarray | None:
    """The coordinates of a case in the dtype of its data, which holds them exactly."""
    if case.family != "coordinates":
        return None
    return coordinates(case.shape[case.axes[0]]).astype(str(f.dtype))


def composed(case: Case, slope: Slope, x: Any) -> Callable[..., Any] | None:
    """A function of the inputs, from derivatives along one axis; None if accuracy is lacking.

    Parameters
    ----------
    case : Case
        What is computed.
    slope : callable
        ``slope(f, axis, x)`` of the library, of second order.
    x : array or None
        The coordinates in an array of the library, if the case has any.
    """
    if case.accuracy != 2:
        return None
    if case.family == "laplacian":
        return _laplacian
    if case.family in ("divergence", "curl"):
        return _of_fields(case, slope)
    axes = case.axes
    along = SPACING if x is None else x

    def call(f: Any) -> Any:
        if len(axes) == 1:
            return slope(f, axes[0], along)
        return tuple(slope(f, axis, along) for axis in axes)

    return call


def _of_fields(case: Case, slope: Slope) -> Callable[..., Any]:
    """Divergence or curl of components that are arguments."""

    def divergence(*v: Any) -> Any:
        total = slope(v[0], 0, SPACING)
        for axis in range(1, len(v)):
            total = total + slope(v[axis], axis, SPACING)
        return total

    def turn(v: tuple[Any, ...], a: int, b: int) -> Any:
        return slope(v[b], a, SPACING) - slope(v[a], b, SPACING)

    def curl(*v: Any) -> Any:
        return turn(v, 0, 1) if len(v) == 2 else (turn(v, 1, 2), turn(v, 2, 0), turn(v, 0, 1))

    return divergence if case.family == "divergence" else curl


def _laplacian(f: Any) -> Any:
    """The sum of second differences, by slices, of the inside alone."""
    total: Any = -2 * f.ndim * f[(slice(1, -1),) * f.ndim]
    for axis in range(f.ndim):
        for part in (slice(2, None), slice(None, -2)):
            total = total + f[tuple(part if a == axis else slice(1, -1) for a in range(f.ndim))]
    return total / SPACING**2
