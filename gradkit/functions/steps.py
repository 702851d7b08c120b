"""The first step of each point, from its size, its precision and its bounds."""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, epsilon
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions.inputs import is_known, over

__all__ = ["Room", "first_step", "room", "representable", "scale_of"]

#: The first step, as a part of the size of x.
SHARE = 0.12

#: Beyond 1 the scale of x is this power of it.
BEYOND = 0.5

#: The part of the way to a bound that steps may take.
USABLE = 0.9


class Room(NamedTuple):
    """How far a point may be moved down and up, None without bounds."""

    below: Array
    above: Array


def scale_of(x: Array) -> Array:
    """The length over which a function is taken to vary about x: its size, 1 at 0.

    Beyond 1 it grows with the root of x, because many functions (waves, exponentials) do not stretch.
    """
    xp = _array.namespace(x)
    size = xp.abs(x)
    tiny = float(xp.finfo(x.dtype).smallest_normal) / epsilon(dtype_name(x.dtype)) ** 2
    ones = xp.ones_like(size)
    return xp.where(size > 1, size**BEYOND, xp.where(size > tiny, size, ones))


def first_step(x: Array, step: Any) -> Array:
    """The longest step of the first ladder: the user's, or a part of the scale of x."""
    xp = _array.namespace(x)
    if step is None:
        return SHARE * scale_of(x)
    given = over(step, x, "step")
    if is_known(given) and not bool(xp.all(xp.isfinite(given) & (given > 0))):
        raise ArgumentValueError(f"step={step!r} is not a finite number > 0 everywhere")
    return given


def room(x: Array, bounds: Any) -> Room | None:
    """The distances of x to its bounds."""
    if bounds is None:
        return None
    try:
        lower, upper = bounds
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"bounds={bounds!r}: wanted a pair (lower, upper) of numbers or arrays, or None in place "
            "of one of them"
        ) from None
    xp = _array.namespace(x)
    low = over(-inf if lower is None else lower, x, "bounds[0]")
    high = over(inf if upper is None else upper, x, "bounds[1]")
    if is_known(x):
        outside = ~((low <= x) & (x <= high) & (low < high))
        if bool(xp.any(outside)):
            at = int(xp.argmax(xp.reshape(xp.astype(outside, xp.int32), (-1,))))
            a, value, b = (float(xp.reshape(part, (-1,))[at]) for part in (low, x, high))
            raise ArgumentValueError(
                f"x={value!r} with bounds ({a!r}, {b!r}), at position {at}: wanted lower <= x <= "
                "upper and lower < upper"
            )
    return Room(x - low, high - x)


def representable(x: Array, step: Array) -> Array:
    """The steps nearest to the given ones for which x + step and x - step are exact."""
    xp = _array.namespace(x)
    size = xp.abs(x)
    eps = epsilon(dtype_name(x.dtype))
    return (size + xp.maximum(step, 16 * eps * size)) - size
