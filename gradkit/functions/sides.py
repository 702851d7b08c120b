"""Which side of a point is sampled: both, or, at a bound, the one inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

import numpy as np

from gradkit import _array
from gradkit._array import Array, Namespace
from gradkit.errors import ArgumentValueError
from gradkit.functions.evaluate import Asking
from gradkit.functions.history import Found
from gradkit.functions.judging import Tolerances, number
from gradkit.functions.schemes import Scheme, central_scheme, one_sided_scheme
from gradkit.functions.search import Lanes, Rounds, put, search
from gradkit.functions.steps import USABLE, Start

__all__ = ["Sides", "differentiate", "facing"]

#: Points that bounds leave less than this part of a broad step are differentiated from one side.
CRAMPED = 0.001


class Sides(NamedTuple):
    """Where steps may go, of one variable.

    Attributes
    ----------
    side : Array or None
        -1 or 1 for steps to one side, None for both.
    widest : Array
        The largest factor by which the first steps may be multiplied.
    cramped : Array
        Whether the bounds leave hardly any room on one side.
    """

    side: Array | None
    widest: Array
    cramped: Array


def facing(
    xp: Namespace,
    begin: Start,
    broad: Array,
    scheme: Scheme,
    method: str,
    shortest: Array | float = 0.0,
) -> Sides:
    """Sides of steps that a stencil takes, away from the nearer bound if it has only one side.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    begin : Start
        First steps and distances to the bounds.
    broad : Array
        Steps of about the size of the points.
    scheme : Scheme
        Stencil.
    method : str
        Method that the user named.
    shortest : Array or float
        Shortest steps about the points.

    Raises
    ------
    ArgumentValueError
        If the bounds leave no room for the shortest steps on the side that the user named, or on
        neither.
    """
    reach = scheme.reach * begin.step / USABLE
    unbounded = number(xp, inf, begin.step)
    below = unbounded if begin.below is None else begin.below
    above = unbounded if begin.above is None else begin.above
    nearest = xp.minimum(below, above)
    cramped = nearest < CRAMPED * broad
    if scheme.symmetric:
        return Sides(None, _factor(nearest, reach), cramped)
    if method in ("central", "complex"):
        up = above >= below
    else:
        up = xp.full_like(begin.step, method == "forward", dtype=xp.bool)
    side = xp.where(up, xp.ones_like(begin.step), -xp.ones_like(begin.step))
    room = xp.where(up, above, below)
    if begin.below is not None and not _array.is_traced(room):
        lacking = USABLE * room < scheme.reach * shortest
        if method in ("forward", "backward"):
            if bool(xp.any(lacking | (room == 0))):
                end = "upper" if method == "forward" else "lower"
                raise ArgumentValueError(
                    f"method={method!r} where x is at its {end} bound, or a few roundings away, "
                    "leaves no room for steps: wanted method='central', which steps away from it"
                )
        elif bool(xp.any(lacking)):
            raise ArgumentValueError(
                "bounds leave no room for steps on either side of x: wanted some more digits of x "
                "between them"
            )
    return Sides(side, _factor(room, reach), cramped)


def _factor(room: Array, reach: Array) -> Array:
    """How many times the reach of steps fits, infinite also where that is beyond all numbers."""
    with np.errstate(over="ignore"):
        return room / reach


def differentiate(
    xp: Namespace,
    orders: tuple[int, ...],
    method: str,
    bounded: bool,
    lanes_of: Callable[[Scheme], Lanes],
    tolerances: Tolerances,
    plan: Rounds,
) -> Asking[Found]:
    """Search in all lanes, from both sides where the bounds leave room.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    orders : tuple of int
        Order of the derivative in each variable that is moved.
    method : str
        One of "central", "forward", "backward"; "complex" is checked by "central".
    bounded : bool
        Whether there are bounds.
    lanes_of : callable
        The lanes for a scheme.
    tolerances : Tolerances
        What is good enough.
    plan : Rounds
        How the search may go on.
    """
    one_sided = one_sided_scheme(orders)
    if method not in ("central", "complex"):
        return (yield from search(xp, one_sided, lanes_of(one_sided), tolerances, plan))
    central = central_scheme(orders)
    if not bounded:
        return (yield from search(xp, central, lanes_of(central), tolerances, plan))
    both = lanes_of(central)
    cramped = both.cramped
    choices: Sequence[tuple[Scheme, Lanes, Array]] = (
        (central, both, ~cramped),
        (one_sided, lanes_of(one_sided), cramped),
    )
    if plan.compress:
        return (yield from _by_index(xp, choices, tolerances, plan))
    first = yield from search(xp, central, both, tolerances, plan)
    second = yield from search(xp, *choices[1][:2], tolerances, plan)
    return Found(*(xp.where(cramped, b, a) for a, b in zip(first, second, strict=True)))


def _by_index(
    xp: Namespace,
    choices: Sequence[tuple[Scheme, Lanes, Array]],
    tolerances: Tolerances,
    plan: Rounds,
) -> Asking[Found]:
    """Search with each scheme in the lanes that are its own."""
    total: Found | None = None
    for scheme, lanes, own in choices:
        index = xp.nonzero(own)[0]
        count, everything = index.shape[0], own.shape[0]
        if count == everything:
            return (yield from search(xp, scheme, lanes, tolerances, plan))
        if count:
            alone = replace(plan, keep=None)
            found = yield from search(xp, scheme, lanes.take(index), tolerances, alone)
            if total is None:
                total = Found(
                    *(xp.zeros((*p.shape[:-1], everything), dtype=p.dtype) for p in found)
                )
            put(total, index, found)
    assert total is not None
    return total if plan.keep is None else plan.keep(total)
