"""The first steps about each point, from its size, its precision and its bounds."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, epsilon
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.functions.inputs import Options, over
from gradkit.functions.judging import BROAD, changed, number

__all__ = ["Start", "broad", "ladder", "moved", "of_lanes", "shortest", "start"]

#: The longest first step, as a part of the scale of x, and how it grows with the order: where less
#: precision is left, rounding weighs more than truncation.
SHARE = {"float64": 0.12, "float32": 0.35}
GROWTH = 0.2

#: Beyond 1 the scale of x is this power of it: waves and exponentials do not stretch with x.
BEYOND = 0.5

#: The part of the way to a bound that steps may take.
USABLE = 0.9


class Start(NamedTuple):
    """Where steps begin, and how far they may go.

    Attributes
    ----------
    step : Array
        Longest step of the first ladder.
    below, above : Array or None
        The distances to the bounds, None without any.
    noise : Array or float
        Absolute error of the values.
    """

    step: Array
    below: Array | None
    above: Array | None
    noise: Array | float

    @property
    def nearest(self) -> Array | None:
        """The distances to the nearer bounds, None without any."""
        if self.below is None or self.above is None:
            return None
        return _array.namespace(self.step).minimum(self.below, self.above)


def start(x: Array, options: Options, order: int) -> Start:
    """The first steps about x, the distances to the bounds and the noise, in the shape of x."""
    xp = _array.namespace(x)
    if options.step is None:
        share = SHARE[dtype_name(x.dtype)] * (1 + GROWTH * (order - 1))
        share = min(share, 1.6 / (order + 1))  # no further than to 0, where many domains end
        resolved = 2**13 * epsilon(dtype_name(x.dtype)) * xp.abs(x)
        # NumPy makes scalars of 0-d arrays.
        step = xp.asarray(xp.maximum(share * _scale(x), resolved))
    else:
        step = over(options.step, x, "step")
        _check(x, step, xp.isfinite(step) & (step > 0), "step", "finite numbers > 0")
    noise: Array | float = 0.0
    if options.noise is not None:
        noise = over(options.noise, x, "noise")
        _check(x, noise, xp.isfinite(noise) & (noise >= 0), "noise", "finite numbers >= 0")
    return Start(step, *_room(x, options.bounds), noise)


def _check(x: Array, given: Array, good: Array, name: str, wanted: str) -> None:
    if not _array.is_traced(x) and not _array.is_traced(given):
        xp = _array.namespace(x)
        bad = xp.reshape(~good, (-1,))
        if bool(xp.any(bad)):
            value = float(xp.reshape(given, (-1,))[int(xp.argmax(xp.astype(bad, xp.int32)))])
            raise ArgumentValueError(f"{name} holds {value!r}: wanted {wanted}")


def _scale(x: Array) -> Array:
    """The length over which a function is taken to vary about x: the size of x, 1 at 0."""
    xp = _array.namespace(x)
    size = xp.abs(x)
    tiny = float(xp.finfo(x.dtype).smallest_normal) / epsilon(dtype_name(x.dtype)) ** 2
    one = number(xp, 1, size)
    # The power is the smaller one of the two where x is beyond 1.
    scale = xp.minimum(size, xp.maximum(size, one) ** BEYOND)
    return xp.where(size > tiny, scale, one)


def _room(x: Array, bounds: Any) -> tuple[Array | None, Array | None]:
    """The distances of x to its bounds."""
    if bounds is None:
        return None, None
    try:
        lower, upper = bounds
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"bounds={bounds!r}: wanted a pair (lower, upper) of numbers, arrays or None"
        ) from None
    xp = _array.namespace(x)
    low = over(-inf if lower is None else lower, x, "bounds[0]")
    high = over(inf if upper is None else upper, x, "bounds[1]")
    if not _array.is_traced(x):
        inside = (low <= x) & (x <= high) & (low < high)
        outside = xp.reshape(~(inside | xp.isnan(x)), (-1,))
        if bool(xp.any(outside)):
            at = int(xp.argmax(xp.astype(outside, xp.int32)))
            a, value, b = (float(xp.reshape(part, (-1,))[at]) for part in (low, x, high))
            raise ArgumentValueError(
                f"x[{at}]={value!r} with bounds {a!r}, {b!r}: wanted lower <= x <= upper, and "
                "lower < upper"
            )
    return xp.asarray(x - low), xp.asarray(high - x)


def broad(x: Array) -> Array:
    """A step of about the size of x, at least of about 1."""
    xp = _array.namespace(x)
    return BROAD * xp.maximum(xp.abs(x), number(xp, 1, x))


def shortest(x: Array) -> Array:
    """The shortest step about x: it has some digits left in x + step."""
    return 16 * epsilon(dtype_name(x.dtype)) * _array.namespace(x).abs(x)


def ladder(x: Array, longest: Array, ratio: float, levels: int) -> Array:
    """Steps ``(levels, lanes)`` about the given ones for which x + step and x - step are exact."""
    xp = _array.namespace(x)
    parts = xp.asarray(
        [ratio**-level for level in range(levels)], dtype=x.dtype, device=_array.device(x)
    )
    size = xp.abs(x)
    step = longest * parts[:, None]
    # Steps of 0 are those of lanes that have no room, and are not used.
    least = shortest(x)
    short = (step[-1, ...] < least) & (longest > 0)
    step = changed(xp, step, short, lambda: xp.maximum(step, least))
    return (size + step) - size


def of_lanes(step: Array, chosen: Callable[..., Array]) -> Array:
    """The least or the largest of the steps ``(..., lanes)`` of the values of each lane.

    1 where there are no values.
    """
    xp = _array.namespace(step)
    if 0 in step.shape:
        return xp.ones(step.shape[-1], dtype=step.dtype, device=_array.device(step))
    return chosen(xp.reshape(step, (-1, step.shape[-1])), axis=0)


def moved(x: Array, step: Array, offset: int) -> Array:
    """Points a number of steps away from x."""
    if abs(offset) == 1:
        return x + step if offset > 0 else x - step
    return x + step * offset
