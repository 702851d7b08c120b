"""One round of steps judged: the derivative it gives, the error of that, and where to go next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import factorial, inf
from typing import Any, NamedTuple

from gradkit._array import Array, Namespace
from gradkit.functions.schemes import Scheme

__all__ = ["Round", "Tolerances", "judge"]


#: The part of the change before the last that an error is never estimated below.
GUARD = 0.001


class Tolerances(NamedTuple):
    """What is good enough, and what is known about the values of a function.

    Attributes
    ----------
    aim : float
        Relative error at which the search stops.
    accepted : float
        Relative error up to which a search is a success.
    atol : float or None
        Absolute error at which the search stops; None for the rounding of the values over a step of
        the size of x.
    epsilon : float
        Relative rounding of the values.
    """

    aim: float
    accepted: float
    atol: float | None
    epsilon: float


class Round(NamedTuple):
    """What one ladder of steps tells, elementwise.

    Attributes
    ----------
    value, error : Array
        The extrapolated derivative and an estimate of its error.
    target, limit : Array
        The error at which the search stops, and the one up to which it is a success.
    factor : Array
        What the steps should be multiplied by in a further round: above 1 where rounding rules.
    kink : Array
        Whether the derivative seems to jump at the point.
    noisy : Array
        Whether the error is that of the values, so that longer steps would lessen it.
    """

    value: Array
    error: Array
    target: Array
    limit: Array
    factor: Array
    kink: Array
    noisy: Array


def judge(
    xp: Namespace,
    scheme: Scheme,
    values: Mapping[tuple[int, ...], Array],
    steps: Sequence[Array],
    wide: Array,
    position: Array,
    noise: Array | float,
    tolerances: Tolerances,
) -> Round:
    """Extrapolate the quotients of one ladder and estimate the error.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    scheme : Scheme
        Stencil and weights.
    values : mapping
        Values of the function by offset, shape ``(levels, ..., lanes)``, coarsest step first; those
        at the point itself ``(1, ..., lanes)``.
    steps : sequence of Array
        Steps of each variable, ``(levels, lanes)``.
    wide : Array
        ``(lanes,)``: product of the steps of a ladder as wide as x allows, for the scale below
        which a derivative counts as zero.
    position : Array
        ``(lanes,)``: magnitude of the variable, whose rounding within func shows in its values.
    noise : Array or float
        Absolute error of the values beyond rounding.
    tolerances : Tolerances
        What is good enough.
    """
    quotients = _quotients(scheme, values, steps)
    finest, pieces = quotients[-1], [a - b for a, b in zip(quotients, quotients[1:], strict=False)]
    full, lower, lowest, coarse = (_weighted(w, pieces) for w in scheme.extrapolations)
    # The second difference guards against a first one that is small by chance.
    truncation = xp.maximum(xp.abs(full - lower), GUARD * xp.abs(lower - lowest))

    centre = values[(0,) * len(scheme.orders)][0]
    size = _size(xp, scheme, values, centre)
    unit = tolerances.epsilon * (size + 0.5 * position * _slope(xp, scheme, values, steps)) + noise
    smallest = xp.abs(_product(scheme, [step[-1] for step in steps]))
    rounding = (scheme.magnitude * scheme.amplification) * unit / smallest

    # Without the finest steps rounding is less; taken where it makes no other difference.
    value = finest + xp.where(xp.abs(full - coarse) <= 2 * rounding, coarse, full)
    coarse_change, fine_change = xp.abs(pieces[0]), xp.abs(pieces[-1])
    magnitude = xp.abs(value)
    erratic = 3 * fine_change > coarse_change
    error = truncation + rounding
    error = xp.where(erratic, error + (coarse_change + fine_change), error)

    # The rounding of a ladder as wide as the point allows.
    finest = scheme.ratio ** ((scheme.levels - 1) * scheme.order)
    negligible = min(4 * scheme.magnitude * scheme.amplification * finest, 1e3) / wide
    least = negligible * unit if tolerances.atol is None else tolerances.atol
    target = tolerances.aim * magnitude + least
    limit = tolerances.accepted * magnitude + least

    kink = _kink(xp, scheme, values, centre, steps, xp.maximum(10 * error, limit))
    # Where all values are the same, steps that are short against 1 may be lost in rounding within func.
    flat = (truncation == 0) & (coarse_change == 0) & (fine_change == 0)
    narrow = 1e-3**scheme.order * wide > xp.abs(_product(scheme, [step[0] for step in steps]))
    error = xp.where(flat & narrow, xp.asarray(1 / tolerances.epsilon, dtype=error.dtype), error)
    rules = (erratic & (10 * coarse_change < magnitude)) | flat | (truncation <= 4 * rounding)
    finite = xp.isfinite(error) & xp.isfinite(centre)
    error = xp.where(finite, error, xp.asarray(inf, dtype=error.dtype))
    excess = error / xp.where(target > 0, target, xp.ones_like(target))
    up = xp.clip(4 * excess ** (1 / scheme.order), 2, 1e8)
    up = xp.where(flat, (wide / xp.abs(_product(scheme, [step[0] for step in steps]))) ** (1 / scheme.order), up)
    power = (2 if scheme.symmetric else 1) * (scheme.levels - 1)
    down = xp.clip((4 * excess) ** (-1 / power), 0.02, 0.6)
    lost = (10 * error > magnitude) & ~flat & (truncation > 4 * rounding)
    down = xp.where(lost, xp.clip(down, 0.02, 0.05), down)
    down = xp.where(kink, xp.full_like(down, 0.05), down)
    factor = xp.where(rules & finite & ~kink & ~lost, up, down)
    return Round(value, error, target, limit, factor, kink & finite, rules & ~flat & finite & ~lost)


def _quotients(
    scheme: Scheme, values: Mapping[tuple[int, ...], Array], steps: Sequence[Array]
) -> list[Array]:
    """Difference quotient of each level."""

    def difference(prefix: tuple[int, ...], level: int) -> Array:
        variable = len(prefix)
        if variable == len(scheme.terms):
            found = values[prefix]
            return found[level if any(prefix) else 0]
        total = None
        for high, low, weight in scheme.terms[variable]:
            part = difference((*prefix, high), level) - difference((*prefix, low), level)
            part = part if weight == 1 else part * weight
            total = part if total is None else total + part
        return total

    return [
        difference((), level) / _product(scheme, [step[level] for step in steps])
        for level in range(scheme.levels)
    ]


def _product(scheme: Scheme, steps: Sequence[Array]) -> Array:
    """What a quotient is divided by: the steps to the power of the orders."""
    product = None
    for order, step in zip(scheme.orders, steps, strict=True):
        part = step if order == 1 else step**order
        product = part if product is None else product * part
    return product


def _weighted(weights: Sequence[float], pieces: Sequence[Array]) -> Array:
    total = None
    for weight, piece in zip(weights, pieces, strict=True):
        if weight:
            total = weight * piece if total is None else total + weight * piece
    return total


def _size(
    xp: Namespace, scheme: Scheme, values: Mapping[tuple[int, ...], Array], centre: Array
) -> Array:
    """Magnitude of the values, whose rounding is that of the quotients."""
    size = xp.abs(centre)
    for point in scheme.points:
        for level in (0, scheme.levels - 1):
            size = xp.maximum(size, xp.abs(values[point][level]))
    return size


def _slope(
    xp: Namespace, scheme: Scheme, values: Mapping[tuple[int, ...], Array], steps: Sequence[Array]
) -> Array:
    """Magnitude of the slope between the outermost points of the finest level."""
    first, last = scheme.points[0], scheme.points[-1]
    if not scheme.symmetric:
        first = (0,) * len(last)
    change = values[last][-1] - values[first][-1]
    span = sum(abs(b - a) * xp.abs(h[-1]) for a, b, h in zip(first, last, steps, strict=True))
    return xp.abs(change) / span


def _kink(
    xp: Namespace,
    scheme: Scheme,
    values: Mapping[tuple[int, ...], Array],
    centre: Array,
    steps: Sequence[Array],
    least: Array,
) -> Array:
    """Whether the derivative jumps by more than `least`: by as much over coarse as over fine steps."""
    none = xp.zeros_like(least, dtype=xp.bool)
    if not scheme.jumps:
        return none
    order = scheme.order
    above, below = values[(1,)], values[(-1,)]
    estimates: list[Array] = []
    for weights in scheme.jumps:
        total = None
        for level, weight in enumerate(weights):
            if weight:
                if order % 2:
                    part = (above[level] - centre) + (below[level] - centre)
                else:
                    part = above[level] - below[level]
                total = weight * part if total is None else total + weight * part
        estimates.append(xp.abs(total))
    scale = factorial(order) / steps[0][0] ** order
    coarse, fine = estimates
    alike = (coarse < 1.2 * fine) & (fine < 1.2 * coarse)
    return alike & (scale * fine > least)
