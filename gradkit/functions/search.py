"""Rounds of steps, driven: each lane moves its ladder until its error is small, or least.

A lane is one point and the variable, or variables, moved about it. All lanes are judged together,
by expressions of one shape without masks, so that JAX can trace a round; where values can be
looked at, lanes that are done are left out of later rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, Protocol, TypeVarTuple, cast

import numpy as np

from gradkit._array import Array, Namespace
from gradkit.functions.evaluate import Asking
from gradkit.functions.history import WAVE, Found, Signs, State, Steps, first, weighed
from gradkit.functions.judging import Round, Sampled, Tolerances, Values, changed, judge, number
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
    keep : callable or None
        Called with what the first round found, for arrays to keep it in, and the rest, too.
    """

    most: int
    look: bool
    compress: bool
    after: Callable[[int], object] | None = None
    keep: Callable[[Found], Found] | None = None


class _Told(NamedTuple):
    """What a ladder tells of the next steps.

    Attributes
    ----------
    noisy : Array
        Whether the error is that of the values.
    signs : Signs or None
        What else it tells beside those before, None for the first.
    """

    noisy: Array
    signs: Signs | None


_Known = TypeVarTuple("_Known")


def search(
    xp: Namespace, scheme: Scheme, lanes: Lanes, tolerances: Tolerances, plan: Rounds
) -> Asking[Found]:
    """Differentiate in all lanes: the best value that the rounds give, and its error."""
    index: Array | None = None
    total: Found | None = None
    state: State | None = None
    size = lanes.widest.shape[0]
    factor = xp.minimum(lanes.widest, xp.ones_like(lanes.widest))
    for turn in range(1, plan.most + 1):
        sampled = yield from lanes.sample(scheme, factor)
        with np.errstate(all="ignore"):
            least = None if state is None else state.rounded
            judged = judge(xp, scheme, *sampled, lanes, tolerances, least)
            if state is None:
                total = _begun(xp, scheme, judged, factor, lanes)
                total = total if plan.keep is None else plan.keep(total)
                if plan.compress:
                    # Most lanes are done after one round; only the others need to be led further.
                    settled = (judged.error <= judged.target) & (judged.jump == 0)
                    open_lanes = xp.nonzero(_any(xp, ~settled))[0]
                    if not open_lanes.shape[0]:
                        break
                    index, factor = open_lanes, xp.take(factor, open_lanes, axis=0)
                    lanes, judged = lanes.take(open_lanes), _taken(xp, judged, open_lanes)
                state, told = _started(xp, scheme, judged, factor, lanes)
            else:
                state, told = _continued(xp, scheme, state, judged, factor, lanes, turn)
                assert total is not None
                total = put(total, index, state.found)
                lanes, index, state, judged, told = _left(xp, lanes, index, state, judged, told)
            state = _next(xp, scheme, state, judged, lanes, told)
        del sampled, judged, told  # blocks of lanes wait for each other at the next values
        lanes, index, state = _left(xp, lanes, index, state)
        factor = state.factor
        if plan.look:
            count = int(xp.sum(xp.astype(~state.done, xp.int32)))
            if not count:
                break
            if plan.after is not None:
                plan.after(size - count)
    if plan.after is not None:
        plan.after(size)
    assert total is not None
    return total


def _left(
    xp: Namespace, lanes: Lanes, index: Array | None, state: State, *known: *_Known
) -> tuple[Lanes, Array | None, State, *_Known]:
    """Lanes that are not done, and what is known about them, where lanes may be left out."""
    left = None if index is None else xp.nonzero(~state.done)[0]
    if left is None or left.shape[0] == state.done.shape[0]:
        return lanes, index, state, *known
    return lanes.take(left), *_taken(xp, (index, state, *known), left)


def _started(
    xp: Namespace, scheme: Scheme, judged: Round, factor: Array, lanes: Lanes
) -> tuple[State, _Told]:
    """What is known after the first round."""
    noisy = is_noisy(xp, judged)
    found = _begun(xp, scheme, judged, factor, lanes)
    seen = _seen(xp, scheme, judged, factor, noisy)
    state = first(xp, scheme, judged, found, Steps(lanes.longest, factor, lanes.wide), seen)
    return _closed(xp, state, judged, 1), _Told(noisy, None)


def _continued(
    xp: Namespace,
    scheme: Scheme,
    state: State,
    judged: Round,
    factor: Array,
    lanes: Lanes,
    turn: int,
) -> tuple[State, _Told]:
    """The better of the old and the new, and what the new tells of the next steps."""
    noisy = is_noisy(xp, judged) & ~(is_rough(judged) & (state.suspect == WAVE))
    seen = _seen(xp, scheme, judged, factor, noisy)
    steps = Steps(lanes.longest, factor, lanes.wide)
    state, signs = weighed(xp, scheme, state, judged, steps, seen)
    return _closed(xp, state, judged, turn), _Told(noisy, signs)


def _seen(xp: Namespace, scheme: Scheme, judged: Round, factor: Array, noisy: Array) -> Array:
    """The noise of the values that a ladder shows, error times factor**order."""
    nothing = xp.zeros_like(judged.error)
    return changed(xp, nothing, noisy, lambda: judged.error * factor**scheme.order)


def _closed(xp: Namespace, state: State, judged: Round, turn: int) -> State:
    """The state, values closed that need no further steps."""
    found = state.found
    enough = found.target if turn < 3 else found.limit
    good = ((found.error <= enough) & (judged.jump == 0)) | (found.flaw > 0)
    closed = state.closed | good
    return state._replace(closed=closed, done=~_any(xp, ~closed))


def _next(
    xp: Namespace, scheme: Scheme, state: State, judged: Round, lanes: Lanes, told: _Told
) -> State:
    """Choose the steps of the next round."""
    if not state.done.shape[0]:
        return state
    factor, noisy = state.factor, told.noisy
    move = guide(xp, scheme, judged, noisy, lanes, lanes.longest * factor)
    grows = move > 1
    if told.signs is not None:
        grows = (grows & ~told.signs.astray) | told.signs.noise
        # Nor is a step too long for truncation where shorter ones are not resolved at all.
        free = told.signs.fooled | judged.unresolved
        long = changed(xp, state.long, free, lambda: number(xp, inf, state.long))
        state = state._replace(long=long)
    move = xp.where(grows, at_least(xp, move, 2), at_most(xp, move, 0.6))
    wanted = xp.minimum(factor * move, lanes.widest)
    closer = factor * probe(xp, scheme, judged, noisy & grows & (state.suspect == 0))
    state = _wanting(xp, state, factor, wanted, closer, grows)
    short, long = state.short, state.long
    stuck = (long < 1.5 * scheme.ratio * short) | (state.wanted == factor) | ~(factor > 0)
    state = state._replace(closed=state.closed | stuck)
    done = ~_any(xp, ~state.closed)
    return state._replace(factor=xp.where(done, factor, _led(xp, state)), done=done)


def _wanting(
    xp: Namespace, state: State, factor: Array, wanted: Array, closer: Array, grows: Array
) -> State:
    """The steps that each value wants next, between those that are known to be no good."""
    # What looks like noise may be a wave that is shorter than the steps: that is looked at once.
    tries = closer > 0
    ruled = grows & ~tries
    short = changed(xp, state.short, ruled, lambda: xp.maximum(state.short, factor))
    long = xp.where(grows, state.long, xp.minimum(state.long, factor))
    # Between steps known to be too short and too long, go by halves of the logarithm.
    between = ((wanted <= short) | (wanted >= long)) & (short > 0) & xp.isfinite(long)
    wanted = changed(xp, wanted, between, lambda: xp.sqrt(short) * xp.sqrt(long))
    # Where it was noise, go on from where that was seen.
    seen = (wanted <= short) & ~between
    wanted = changed(xp, wanted, seen, lambda: xp.maximum(wanted, state.beyond))
    return state._replace(
        wanted=changed(xp, wanted, tries, lambda: closer),
        short=short,
        long=long,
        suspect=changed(xp, state.suspect, tries, lambda: factor),
        beyond=changed(xp, state.beyond, tries, lambda: wanted),
    )


def _begun(xp: Namespace, scheme: Scheme, judged: Round, factor: Array, lanes: Lanes) -> Found:
    """What the first round found."""
    count = xp.asarray(scheme.evaluations + 1)
    step = lanes.longest * factor
    alike = judged.error.ndim == 1 and judged.error.dtype == step.dtype
    return Found(
        judged.value,
        judged.error,
        judged.target,
        judged.limit,
        xp.zeros_like(judged.jump, dtype=count.dtype),
        judged.companion,
        judged.companion_error,
        xp.full_like(factor, scheme.evaluations + 1, dtype=count.dtype),
        step if alike else step + xp.zeros_like(judged.error),
    )


def _led(xp: Namespace, state: State) -> Array:
    """The least factor that an open value of a lane wants: longer steps would tell it nothing."""
    wanted = xp.where(state.closed, xp.full_like(state.wanted, inf), state.wanted)
    return wanted if wanted.ndim == 1 else xp.min(wanted, axis=tuple(range(wanted.ndim - 1)))


def _any(xp: Namespace, truth: Array) -> Array:
    """Whether something holds for any value of a lane."""
    return truth if truth.ndim == 1 else xp.any(truth, axis=tuple(range(truth.ndim - 1)))


def _taken(xp: Namespace, fields: Any, index: Array) -> Any:
    """Some lanes of an array, or of all arrays of a tuple."""
    if fields is None:
        return None
    if not isinstance(fields, tuple):
        return xp.take(fields, index, axis=fields.ndim - 1)
    parts = (_taken(xp, part, index) for part in cast("tuple[Any, ...]", fields))
    return type(fields)(*parts) if hasattr(fields, "_fields") else tuple(parts)


def put(total: Found, index: Array | None, found: Found) -> Found:
    """All, with what was found in some lanes, at their places, or in all of them."""
    if index is None:
        return found
    for target, part in zip(total, found, strict=True):
        if target.ndim == 1:
            target[index] = part
        else:
            target[..., index] = part
    return total
