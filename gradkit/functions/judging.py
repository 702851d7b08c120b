"""One ladder of steps judged: the derivative that it gives, and the error of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import factorial, inf, nan
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from gradkit import _array
from gradkit._array import Array, Namespace
from gradkit.functions.grain import grain
from gradkit.functions.schemes import Scheme

__all__ = ["BROAD", "Round", "Sampled", "Tolerances", "Values", "changed", "judge", "number"]

#: Values of a function by offset, ``(levels, ..., lanes)``, coarsest step first; those at the point
#: itself ``(1, ..., lanes)``.
Values: TypeAlias = Mapping[tuple[int, ...], Array]

#: A step of about the size of x, as a part of it.
BROAD = 0.12

#: Roundings of the values that may be excused over steps of about the size of x.
ROUNDINGS = 1e3

#: An error is never estimated below this part of the change before the last one.
GUARD = 0.001

#: How many times the noise of the last change that of the result is, in central differences.
NOISE = 30.0

#: How many times the last change of the quotients the noise may be that other values show.
UNSEEN = 4.0


class Tolerances(NamedTuple):
    """What is good enough; None for what the rounding of the values suggests.

    Attributes
    ----------
    rtol : float or None
        Relative error. By default the search aims at ``epsilon**(2 / (order + 2))``, and an
        error of ``sqrt(epsilon)`` is a success.
    atol : float or None
        Absolute error, by default the rounding of the values over steps of about the size of x.
    """

    rtol: float | None
    atol: float | None

    def relative(self, epsilon: float, order: int) -> tuple[float, float]:
        """The relative error to aim at, and the one that is a success."""
        if self.rtol is not None:
            return self.rtol, self.rtol
        aim = epsilon ** (2 / (order + 2))
        return aim, max(epsilon**0.5, aim)


class Sampled(Protocol):
    """What is known about lanes beside the values in them; arrays are ``(lanes,)``."""

    @property
    def wide(self) -> Array:
        """Product of steps of about the size of the variables, to the power of the orders."""
        ...

    @property
    def position(self) -> Array:
        """Magnitude of the variable, whose rounding within func shows in its values."""
        ...

    @property
    def noise(self) -> Array | float:
        """Absolute error of the values beyond rounding."""
        ...

    @property
    def epsilon(self) -> float:
        """Relative rounding of the values."""
        ...


class Round(NamedTuple):
    """What one ladder of steps tells, elementwise.

    Attributes
    ----------
    value, error : Array
        The extrapolated derivative and an estimate of its error.
    target, limit : Array
        The error at which the search stops, and the one up to which it is a success.
    truncation, rounding : Array
        The parts of the error that are the change by the longest step, and the rounding of the
        values.
    spread, last : Array
        The change of the quotient from the longest step to the next one, and to the shortest one.
    erratic : Array
        Whether changes do not fall as the steps do.
    flat, unresolved : Array
        Whether all values are the same; over steps that are short against 1 and x.
    reach : Array
        The longest step to the power of the order.
    jump : Array
        Size of the jump that the derivative seems to have at the point, 0 for none.
    companion : Array
        Of a mixed derivative, the sum of the second derivatives of its variables as the same values
        give it, in units of the product of the steps; else the value.
    companion_error : Array
        The error of that beside rounding; else the value.
    rounded : Array
        The least rounding of the values in any ladder so far, infinite for none.
    """

    value: Array
    error: Array
    target: Array
    limit: Array
    truncation: Array
    rounding: Array
    spread: Array
    last: Array
    erratic: Array
    flat: Array
    unresolved: Array
    reach: Array
    jump: Array
    companion: Array
    companion_error: Array
    rounded: Array


def judge(
    xp: Namespace,
    scheme: Scheme,
    values: Values,
    steps: Sequence[Array],
    lanes: Sampled,
    tolerances: Tolerances,
    least: Array | None = None,
) -> Round:
    """Extrapolate the quotients of one ladder and estimate the error.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    scheme : Scheme
        Stencil and weights.
    values : mapping
        Values of the function.
    steps : sequence of Array
        Steps of each variable, ``(levels, lanes)``.
    lanes : Sampled
        What is known about the lanes.
    tolerances : Tolerances
        What is good enough.
    least : Array or None
        `rounded` of the ladder before, None for the first.
    """
    steps = [_beside(xp, step, values[scheme.points[0]]) for step in steps]
    divisors = _divisor(scheme, steps)
    quotients = _difference(scheme, values) / divisors
    finest = quotients[-1, ...]
    pieces = quotients[:-1, ...] - quotients[1:, ...]

    centre = values[(0,) * len(scheme.orders)][0, ...]
    size, rounded = _rounded(xp, scheme, values, quotients, steps, lanes)
    told = _array.is_array(lanes.noise) or lanes.noise != 0
    noise = lanes.noise if told else None
    amplified = scheme.magnitude * scheme.amplification
    unsure = rounded if noise is None else rounded + noise
    unsure = unsure + _grain(xp, scheme, values, size, lanes.epsilon)
    rounding = amplified * unsure / xp.abs(divisors[-1, ...])
    full, coarse, truncation = _extrapolated(xp, scheme, pieces, rounding)
    # Without the finest steps rounding is less; taken where it makes no other difference.
    value = finest + xp.where(xp.abs(full - coarse) <= 2 * rounding, coarse, full)

    first_change, last_change = xp.abs(pieces[0, ...]), xp.abs(pieces[-1, ...])
    # In a series that converges the last change is a tenth of the first; where values do not
    # resolve the finest steps, quotients are 0.
    erratic = (3 * last_change > first_change) | ((finest == 0) & (first_change > 0))
    error = truncation + rounding
    error = changed(xp, error, erratic, lambda: error + (first_change + last_change))

    # Values far from the point may be large without end: they excuse no error at the point.
    seen = changed(xp, rounded, ~xp.isfinite(rounded), lambda: number(xp, inf, rounded))
    seen = seen if least is None else xp.minimum(seen, least)
    target, limit = _goals(xp, scheme, lanes, tolerances, xp.abs(value), seen, noise)

    flat = (value == 0) & (first_change == 0) & (last_change == 0)
    reach = xp.abs(divisors[0, ...])
    # Where all values are the same, they may just not resolve steps as short as these.
    unresolved = changed(xp, flat, flat, lambda: lanes.wide > reach * 1e3**scheme.order)
    missing = ~(xp.isfinite(error) & xp.isfinite(centre))
    error = changed(xp, error, unresolved, lambda: _hideable(xp, rounding, lanes.epsilon))
    error = changed(xp, error, missing, lambda: number(xp, inf, error))
    target = changed(xp, target, missing, lambda: number(xp, nan, target))
    limit = changed(xp, limit, missing, lambda: number(xp, nan, limit))
    jump = _jump(xp, scheme, values, centre, steps, error, limit)
    gap, offset = _gap(xp, scheme, values, centre, divisors, error, limit)
    if scheme.order == 1:
        # By chance a change may be far less than the noise, but hardly two that share none.
        offset = xp.minimum(offset, UNSEEN * last_change)
        scattered = (offset > truncation) & (jump == 0)
        error = changed(xp, error, scattered, lambda: error + offset)
        truncation = changed(xp, truncation, scattered, lambda: offset)
    apart = gap > 0
    truncation = changed(xp, truncation, apart, lambda: truncation + gap)
    # How narrow what lies at the point may be, only the rounding of the variable tells.
    error = changed(xp, error, apart, lambda: error + gap / lanes.epsilon)
    flat, unresolved = flat & ~apart, unresolved & ~apart
    companions = (value, value)
    if scheme.mixed:
        companions = _companion(xp, scheme, values, centre, divisors, rounding)
    return Round(
        *(value, error, target, limit, truncation, rounding, first_change, last_change),
        *(erratic, flat, unresolved, reach, jump, *companions, seen),
    )


def _extrapolated(
    xp: Namespace, scheme: Scheme, pieces: Array, rounding: Array
) -> tuple[Array, Array, Array]:
    """What to add to the finest quotient, with all steps and without the finest; what it misses."""
    full, lower, lowest, coarse = (_weighted(w, pieces) for w in scheme.extrapolations)
    change, change_before = xp.abs(full - lower), xp.abs(lower - lowest)
    # In a series that converges changes fall faster and faster. Where the last one is more than
    # half of that of a geometric series, it may be a sample of noise, of which the result has more.
    product, least = 2 * change * xp.abs(lowest), change_before**2
    sample = (product > least) & (NOISE * change > 2 * rounding)

    def larger() -> Array:
        part = least / xp.where(sample, product, number(xp, 1, product))
        return change / xp.maximum(part, number(xp, 1 / NOISE, part))

    truncation = changed(xp, change, sample, larger)
    return full, coarse, xp.maximum(truncation, GUARD * change_before)


def _goals(
    xp: Namespace,
    scheme: Scheme,
    lanes: Sampled,
    tolerances: Tolerances,
    magnitude: Array,
    seen: Array,
    noise: Array | float | None,
) -> tuple[Array, Array]:
    """The error at which the search stops, and the one up to which it is a success."""
    aim, accepted = tolerances.relative(lanes.epsilon, scheme.order)
    if tolerances.atol is not None:
        return aim * magnitude + tolerances.atol, accepted * magnitude + tolerances.atol
    negligible, wide = _negligible(scheme), lanes.wide
    # Nor does rounding excuse what is no small part of the values over the size of x.
    share = max(lanes.epsilon**0.5, ROUNDINGS * lanes.epsilon / BROAD**2)
    most = share / lanes.epsilon * BROAD**scheme.order
    slack = min(negligible, most) / wide * seen
    excused = slack if noise is None else slack + negligible / wide * noise
    return aim * magnitude + slack, accepted * magnitude + excused


def changed(xp: Namespace, array: Array, where: Array, to: Callable[[], Array]) -> Array:
    """An array, with other values where something holds.

    It mostly holds nowhere, and on the host a look at that is cheaper than the other values.
    """
    if isinstance(where, np.ndarray) and not where.any():
        return array
    return xp.where(where, to(), array)


def number(xp: Namespace, value: float, like: Array) -> Array:
    """A number in the dtype and on the device of an array."""
    return xp.asarray(value, dtype=like.dtype, device=_array.device(like))


def _hideable(xp: Namespace, rounding: Array, epsilon: float) -> Array:
    """The error where no bit of the values changed: large by itself and by their size, finite."""
    most = float(xp.finfo(rounding.dtype).max)
    least = number(xp, 1 / epsilon, rounding)
    return xp.minimum(xp.maximum(rounding, least), number(xp, most, rounding))


def _beside(xp: Namespace, step: Array, values: Array) -> Array:
    """Steps ``(levels, ..., lanes)`` with as many axes as the values."""
    missing = (1,) * (values.ndim - step.ndim)
    return xp.reshape(step, (step.shape[0], *missing, *step.shape[1:])) if missing else step


def _divisor(scheme: Scheme, steps: Sequence[Array]) -> Array:
    """What a difference is divided by: the steps to the power of the orders."""
    product = None
    for order, step in zip(scheme.orders, steps, strict=True):
        part = step if order == 1 else step**order
        product = part if product is None else product * part
    return product


def _difference(scheme: Scheme, values: Values, fixed: tuple[int, ...] = ()) -> Array:
    """The differences in one variable after the other; `fixed` are the offsets chosen so far."""
    if len(fixed) == len(scheme.terms):
        return values[fixed]
    total = None
    for high, low, weight in scheme.terms[len(fixed)]:
        upper = _difference(scheme, values, (*fixed, high))
        part = upper - _difference(scheme, values, (*fixed, low))
        part = part if weight == 1 else part * weight
        total = part if total is None else total + part
    return total


def _weighted(weights: Sequence[float], pieces: Array) -> Array:
    total = None
    for level, weight in enumerate(weights):
        if weight:
            part = pieces[level, ...] if weight == 1 else weight * pieces[level, ...]
            total = part if total is None else total + part
    return total


def _rounded(
    xp: Namespace,
    scheme: Scheme,
    values: Values,
    quotients: Array,
    steps: Sequence[Array],
    lanes: Sampled,
) -> tuple[Array, Array]:
    """The size of the values, and how far their rounding and that of the variable may lead them."""
    size = xp.abs(values[(0,) * len(scheme.orders)][0, ...])
    for point in scheme.points:
        size = xp.maximum(size, xp.abs(values[point][0, ...]))
    if scheme.orders == (1,):
        slope = xp.maximum(xp.abs(quotients[0, ...]), xp.abs(quotients[-1, ...]))
    else:
        slope = _slope(xp, scheme, values, steps)
    return size, lanes.epsilon * (size + 0.5 * lanes.position * slope)


def _slope(xp: Namespace, scheme: Scheme, values: Values, steps: Sequence[Array]) -> Array:
    """The larger slope of the values, over the longest and over the shortest step."""
    centre = (0,) * len(scheme.orders)
    first, last = scheme.points[0] if scheme.symmetric else centre, scheme.points[-1]
    slope = None
    for level in (0, -1):
        change = values[last][level, ...] - values[first][0 if first == centre else level, ...]
        span = None
        for a, b, step in zip(first, last, steps, strict=True):
            part = abs(b - a) * xp.abs(step[level, ...])
            span = part if span is None else span + part
        steep = xp.abs(change) / span
        slope = steep if slope is None else xp.maximum(slope, steep)
    return slope


def _grain(xp: Namespace, scheme: Scheme, values: Values, size: Array, precision: float) -> Array:
    """The unit in which the values come, if it tells of rounding inside func."""
    centre = (0,) * len(scheme.orders)
    few = [values[centre][0, ...], *(values[point][0, ...] for point in scheme.points)]
    return grain(xp, few, list(values.values()), size, precision)


def _negligible(scheme: Scheme) -> float:
    """The error, in units of that of the values, of a ladder as wide as the variables are large.

    To be divided by that width.
    """
    finest = scheme.ratio ** ((scheme.levels - 1) * scheme.order)
    return min(4 * scheme.magnitude * scheme.amplification * finest, ROUNDINGS)


def _jump(
    xp: Namespace,
    scheme: Scheme,
    values: Values,
    centre: Array,
    steps: Sequence[Array],
    error: Array,
    limit: Array,
) -> Array:
    """Size of a jump of the derivative, much the same over all steps; 0 where it may be error."""
    if not scheme.jumps:
        return xp.zeros_like(error)
    order = scheme.order
    above, below = values[1,], values[-1,]

    def part(level: int | slice) -> Array:
        high, low = above[level, ...], below[level, ...]
        return (high - centre) + (low - centre) if order % 2 else high - low

    if order == 1 and not _array.is_traced(centre):
        # Of a smooth function this falls as the square of the steps; mostly that settles it.
        falls = 1.15 * scheme.ratio ** (-2 * (scheme.levels - 1))
        if not bool(xp.any(xp.abs(part(-1)) > falls * xp.abs(part(0)))):
            return xp.zeros_like(error)
    parts = part(slice(None))
    coarse, fine = (xp.abs(_weighted(weights, parts)) for weights in scheme.jumps)
    jump = fine * factorial(order) / steps[0][0, ...] ** order
    # Of a cusp such as sqrt(abs(x)) it grows as the steps shrink.
    alike = (1.1 * fine > coarse) & (fine < 1.6 * coarse) & (jump > limit)
    return xp.where(alike & (jump > 50 * error), jump, xp.zeros_like(jump))


def _gap(
    xp: Namespace,
    scheme: Scheme,
    values: Values,
    centre: Array,
    divisors: Array,
    error: Array,
    limit: Array,
) -> tuple[Array, Array]:
    """How far the value at the point lies off those about it, over the finest step.

    Differences of odd order do not contain that value: what is narrower than all steps, and much
    the same on both sides, would not show in them. The first is 0 where nothing shows; the second
    holds noise and truncation, too.
    """
    if not scheme.jumps or scheme.order % 2 == 0:
        return xp.zeros_like(error), xp.zeros_like(error)
    parts = (values[1,] - centre) + (values[-1,] - centre)
    pieces = parts[:-1, ...] - parts[1:, ...]
    weights = scheme.extrapolations
    offset = parts[-1, ...] + _weighted(weights[0], pieces)
    finest = xp.abs(divisors[-1, ...])
    gap = xp.abs(offset) / finest
    wide = (gap > limit) & (gap > 50 * error)
    if not _array.is_traced(gap) and not bool(xp.any(wide)):
        return xp.zeros_like(gap), gap
    # What smooth functions leave differs with the steps that it is taken from, even in its sign.
    for some in (weights[1], weights[3]):
        other = parts[-1, ...] + _weighted(some, pieces)
        wide = wide & (xp.abs(other - offset) < 0.1 * xp.abs(offset))
    return xp.where(wide, gap, xp.zeros_like(gap)), gap


def _companion(
    xp: Namespace,
    scheme: Scheme,
    values: Values,
    centre: Array,
    divisors: Array,
    rounding: Array,
) -> tuple[Array, Array]:
    """The sum of the two pure second derivatives, as the points of the mixed one give it."""
    corners = [values[point] - centre for point in scheme.points]
    total = (corners[0] + corners[1]) + (corners[2] + corners[3])
    quotients = total / (2 * divisors)
    pieces = quotients[:-1, ...] - quotients[1:, ...]
    full, _, truncation = _extrapolated(xp, scheme, pieces, rounding)
    return quotients[-1, ...] + full, truncation
