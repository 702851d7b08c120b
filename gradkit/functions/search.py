"""Rounds of steps, driven: each lane moves its ladder until its error is small, or least.

A lane is one point and the variable, or variables, moved about it. All lanes are judged together,
by expressions of one shape without masks, so that JAX can trace a round; where values can be
looked at, lanes that are done are left out of later rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol, TypeVar

import numpy as np

from gradkit._array import Array, Namespace
from gradkit.functions.evaluate import Asking
from gradkit.functions.history import WAVE, Found, State, first, weighed
from gradkit.functions.judging import Round, Sampled, Tolerances, Values, judge
from gradkit.functions.moves import at_least, at_most, guide, is_noisy, is_rough, probe
from gradkit.functions.schemes import Scheme

__all__ = ["Lanes", "Rounds", "put", "search"]


class Lanes(Sampled, Protocol):
    """Points and directions in which a function is sampled; arrays are ``(lanes,)``."""

    @property
    def longest(self) -> Array:
        """Longest step of the first ladder."""
        ...

    @property
    def widest(self) -> Array:
        """The largest factor by which steps may be multiplied, infinite without bounds."""
        ...

    @property
    def cramped(self) -> Array:
        """Whether bounds leave hardly any room on one side."""
        ...

    def sample(self, scheme: Scheme, factor: Array) -> Asking[tuple[Values, Sequence[Array]]]:
        """Values by offset and steps by variable, for steps multiplied by a factor per lane."""
        ...

    def take(self, index: Array) -> Lanes:
        """Some of the lanes."""
        ...


@dataclass(frozen=True)
class Rounds:
    """How a search may go on.

    Attributes
    ----------
    most : int
        Rounds at most.
    look : bool
        Whether values may be looked at, to stop early.
    compress : bool
        Whether lanes that are done may be left out of later rounds.
    after : callable or None
        Called after each round with the number of lanes that are done.
    """

    most: int
    look: bool
    compress: bool
    after: Callable[[int], object] | None = None


_Fields = TypeVar("_Fields", Found, Round, State)


def search(
    xp: Namespace, scheme: Scheme, lanes: Lanes, tolerances: Tolerances, plan: Rounds
) -> Asking[Found]:
    """Differentiate in all lanes: the best value that the rounds give, and its error."""
    index: Array | None = None
    total: Found | None = None
    state: State | None = None
    size = lanes.widest.shape[0]
    factor = xp.minimum(lanes.widest, xp.ones_like(lanes.widest))
    for number in range(1, plan.most + 1):
        values, steps = yield from lanes.sample(scheme, factor)
        with np.errstate(all="ignore"):
            least = None if state is None else state.rounded
            judged = judge(xp, scheme, values, steps, lanes, tolerances, least)
            if state is None:
                total = _begun(xp, scheme, judged, factor, lanes)
                if plan.compress:
                    # Most lanes are done after one round; only the others need to be led further.
                    settled = (judged.error <= judged.target) & (judged.jump == 0)
                    open_lanes = xp.nonzero(_any(xp, ~settled))[0]
                    if not open_lanes.shape[0]:
                        break
                    index, factor = open_lanes, xp.take(factor, open_lanes, axis=0)
                    lanes, judged = lanes.take(open_lanes), _taken(xp, judged, open_lanes)
            state = _next(xp, scheme, state, judged, factor, lanes, number)
        assert total is not None
        if index is None:
            total = state.found
        else:
            put(total, index, state.found)
        if not plan.look:
            factor = state.factor
            continue
        left = xp.nonzero(~state.done)[0] if plan.compress else None
        count = int(xp.sum(xp.astype(~state.done, xp.int32))) if left is None else left.shape[0]
        if not count:
            break
        if plan.after is not None:
            plan.after(size - count)
        if left is not None and index is not None and count < state.done.shape[0]:
            lanes, state = lanes.take(left), _taken(xp, state, left)
            index = xp.take(index, left, axis=0)
        factor = state.factor
    if plan.after is not None:
        plan.after(size)
    assert total is not None
    return total


def _next(
    xp: Namespace,
    scheme: Scheme,
    state: State | None,
    judged: Round,
    factor: Array,
    lanes: Lanes,
    number: int,
) -> State:
    """Keep the better of the old and the new, and choose the steps of the next round."""
    old, noisy = state, is_noisy(xp, judged)
    if old is not None:
        noisy = noisy & ~(is_rough(judged) & (old.suspect == WAVE))
    seen = xp.where(noisy, judged.error * factor**scheme.order, xp.zeros_like(judged.error))
    move = guide(xp, scheme, judged, noisy, lanes, lanes.longest * factor)
    grows = move > 1
    if old is None:
        begun = _begun(xp, scheme, judged, factor, lanes)
        state = first(xp, begun, judged, factor, seen)
    else:
        state, signs = weighed(xp, scheme, old, judged, factor, lanes.longest, seen)
        grows = (grows & ~signs.astray) | signs.noise
        # Nor is a step too long for truncation where shorter ones are not resolved at all.
        free = signs.fooled | judged.unresolved
        state = state._replace(long=xp.where(free, xp.full_like(state.long, inf), state.long))
    move = xp.where(grows, at_least(xp, move, 2), at_most(xp, move, 0.6))
    wanted = xp.minimum(factor * move, lanes.widest)
    closer = factor * probe(xp, scheme, judged, noisy & grows & (state.suspect == 0))
    state = _wanting(xp, state, factor, wanted, closer, grows)
    found, short, long = state.found, state.short, state.long
    enough = found.target if number < 3 else found.limit
    good = ((found.error <= enough) & (judged.jump == 0)) | (found.flaw > 0)
    stuck = (long < 1.5 * scheme.ratio * short) | (state.wanted == factor) | ~(factor > 0)
    state = state._replace(closed=state.closed | good | stuck)
    done = ~_any(xp, ~state.closed)
    return state._replace(factor=xp.where(done, factor, _led(xp, state)), done=done)


def _wanting(
    xp: Namespace, state: State, factor: Array, wanted: Array, closer: Array, grows: Array
) -> State:
    """The steps that each value wants next, between those that are known to be no good."""
    # What looks like noise may be a wave that is shorter than the steps: that is looked at once.
    tries = closer > 0
    short = xp.where(grows & ~tries, xp.maximum(state.short, factor), state.short)
    long = xp.where(grows, state.long, xp.minimum(state.long, factor))
    # Between steps known to be too short and too long, go by halves of the logarithm.
    between = ((wanted <= short) | (wanted >= long)) & (short > 0) & xp.isfinite(long)
    wanted = xp.where(between, xp.sqrt(short) * xp.sqrt(long), wanted)
    # Where it was noise, go on from where that was seen.
    further = xp.maximum(wanted, state.beyond)
    wanted = xp.where((wanted <= short) & ~between, further, wanted)
    return state._replace(
        wanted=xp.where(tries, closer, wanted),
        short=short,
        long=long,
        suspect=xp.where(tries, factor, state.suspect),
        beyond=xp.where(tries, wanted, state.beyond),
    )


def _begun(xp: Namespace, scheme: Scheme, judged: Round, factor: Array, lanes: Lanes) -> Found:
    """What the first round found."""
    count = xp.asarray(scheme.evaluations + 1)
    return Found(
        judged.value,
        judged.error,
        judged.target,
        judged.limit,
        xp.zeros_like(judged.jump, dtype=count.dtype),
        judged.companion,
        xp.zeros_like(factor, dtype=count.dtype) + count,
        lanes.longest * factor + xp.zeros_like(judged.error),
    )


def _led(xp: Namespace, state: State) -> Array:
    """The least factor that an open value of a lane wants: longer steps would tell it nothing."""
    wanted = xp.where(state.closed, xp.full_like(state.wanted, inf), state.wanted)
    return wanted if wanted.ndim == 1 else xp.min(wanted, axis=tuple(range(wanted.ndim - 1)))


def _any(xp: Namespace, truth: Array) -> Array:
    """Whether something holds for any value of a lane."""
    return truth if truth.ndim == 1 else xp.any(truth, axis=tuple(range(truth.ndim - 1)))


def _taken(xp: Namespace, fields: _Fields, index: Array) -> _Fields:
    parts = (
        _taken(xp, part, index)
        if isinstance(part, Found)
        else xp.take(part, index, axis=part.ndim - 1)
        for part in fields
    )
    return type(fields)(*parts)


def put(total: Found, index: Array, found: Found) -> None:
    """Write what was found in some lanes to their places among all."""
    for target, part in zip(total, found, strict=True):
        target[..., index] = part
