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
from gradkit.functions.judging import Round, Sampled, Tolerances, Values, changed, judge, number
from gradkit.functions.moves import at_least, at_most, guide, is_noisy
from gradkit.functions.schemes import Scheme

__all__ = ["KINK", "NOT_ANALYTIC", "Found", "Lanes", "Rounds", "put", "search"]


#: Flaws, which are also positions among the words for the status of a result.
KINK = 2
NOT_ANALYTIC = 4


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


class Found(NamedTuple):
    """The best that the rounds gave, elementwise ``(..., lanes)``; `evaluations` per lane.

    `flaw` is an integer: what else speaks against a value, `KINK` or `NOT_ANALYTIC`, or 0.
    """

    value: Array
    error: Array
    target: Array
    limit: Array
    flaw: Array
    companion: Array
    evaluations: Array
    step: Array


class _State(NamedTuple):
    """Lanes under way: the best so far, and what is known about their steps."""

    found: Found
    factor: Array  # of the next round
    short: Array  # the longest steps over which rounding ruled, 0 for none
    long: Array  # the shortest steps over which truncation ruled, infinite for none
    hidden: Array  # error times step**order, as seen where rounding ruled
    jump: Array  # of the derivative, as the last round saw it, 0 for none
    rounded: Array  # the least of the values in any round
    done: Array


class _Signs(NamedTuple):
    """What a round tells of the next steps."""

    noisy: Array  # the error is that of the values
    astray: Array  # longer steps gave what shorter ones rule out
    fooled: Array  # shorter steps are no evidence against longer ones


_Known = TypeVarTuple("_Known")


def search(
    xp: Namespace, scheme: Scheme, lanes: Lanes, tolerances: Tolerances, plan: Rounds
) -> Asking[Found]:
    """Differentiate in all lanes: the best value that the rounds give, and its error."""
    index: Array | None = None
    total: Found | None = None
    state: _State | None = None
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
                state, signs = _first(xp, scheme, judged, factor, lanes)
            else:
                state, signs = _weighed(xp, scheme, state, judged, factor, lanes, turn)
                assert total is not None
                total = put(total, index, state.found)
                lanes, index, state, judged, signs = _left(xp, lanes, index, state, judged, signs)
            state = _led(xp, scheme, state, judged, lanes, signs)
        del sampled, judged, signs  # blocks of lanes wait for each other at the next values
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
    xp: Namespace, lanes: Lanes, index: Array | None, state: _State, *known: *_Known
) -> tuple[Lanes, Array | None, _State, *_Known]:
    """Lanes that are not done, and what is known about them, where lanes may be left out."""
    left = None if index is None else xp.nonzero(~state.done)[0]
    if left is None or left.shape[0] == state.done.shape[0]:
        return lanes, index, state, *known
    return lanes.take(left), *_taken(xp, (index, state, *known), left)


def _first(
    xp: Namespace, scheme: Scheme, judged: Round, factor: Array, lanes: Lanes
) -> tuple[_State, _Signs]:
    """What is known after the first round."""
    noisy = is_noisy(xp, judged)
    found = _begun(xp, scheme, judged, factor, lanes)
    short, long = xp.zeros_like(factor), xp.full_like(factor, inf)
    hidden = _seen(xp, scheme, judged, factor, noisy)
    done = ~_any(xp, ~_is_good(found, judged, 1))
    state = _State(found, factor, short, long, hidden, judged.jump, judged.rounded, done)
    return state, _Signs(noisy, xp.zeros_like(noisy), xp.zeros_like(noisy))


def _weighed(
    xp: Namespace,
    scheme: Scheme,
    state: _State,
    judged: Round,
    factor: Array,
    lanes: Lanes,
    turn: int,
) -> tuple[_State, _Signs]:
    """The better of the old and the new, and what the new tells of the next steps."""
    noisy = is_noisy(xp, judged)
    hidden = xp.maximum(state.hidden, _seen(xp, scheme, judged, factor, noisy))
    old = state.found
    # Rounding inside func that is seen over some steps is there over others, too.
    floor = hidden / (old.step / lanes.longest) ** scheme.order
    fooled = (floor > 2 * old.error) & ~state.done
    old = old._replace(error=changed(xp, old.error, fooled, lambda: floor))
    found, astray = _better(xp, scheme, state._replace(found=old), judged, factor, lanes)
    done = state.done | ~_any(xp, ~_is_good(found, judged, turn))
    state = state._replace(
        found=found,
        factor=factor,
        hidden=hidden,
        jump=judged.jump,
        rounded=judged.rounded,
        done=done,
    )
    # Nor is a step too long for truncation where shorter ones are not resolved at all.
    return state, _Signs(noisy, astray, fooled | judged.unresolved)


def _seen(xp: Namespace, scheme: Scheme, judged: Round, factor: Array, noisy: Array) -> Array:
    """The error times the steps to the power of the order, where it is that of the values."""
    nothing = xp.zeros_like(judged.error)
    return changed(xp, nothing, noisy, lambda: judged.error * factor**scheme.order)


def _is_good(found: Found, judged: Round, turn: int) -> Array:
    """Whether what is found needs no further steps."""
    enough = found.target if turn < 3 else found.limit
    return ((found.error <= enough) & (judged.jump == 0)) | (found.flaw > 0)


def _led(
    xp: Namespace, scheme: Scheme, state: _State, judged: Round, lanes: Lanes, signs: _Signs
) -> _State:
    """Choose the steps of the next round."""
    if not state.done.shape[0]:
        return state
    factor, done = state.factor, state.done
    moves = guide(xp, scheme, judged, signs.noisy, lanes, lanes.longest * factor)
    move = _one_per_lane(xp, judged, moves)
    grows = (move > 1) & ~_any(xp, signs.astray)
    long = changed(xp, state.long, _any(xp, signs.fooled), lambda: number(xp, inf, factor))
    short = changed(xp, state.short, grows, lambda: xp.maximum(state.short, factor))
    long = xp.where(grows, long, xp.minimum(long, factor))
    move = xp.where(grows, at_least(xp, move, 2), at_most(xp, move, 0.6))
    wanted = xp.minimum(factor * move, lanes.widest)
    # Between steps known to be too short and too long, go by halves of the logarithm.
    between = ((wanted <= short) | (wanted >= long)) & (short > 0) & xp.isfinite(long)
    wanted = changed(xp, wanted, between, lambda: xp.sqrt(short) * xp.sqrt(long))
    stuck = (long < 1.5 * scheme.ratio * short) | (wanted == factor) | ~(factor > 0)
    done = done | stuck
    factor = xp.where(done, factor, wanted)
    return state._replace(factor=factor, short=short, long=long, done=done)


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
        xp.full_like(factor, scheme.evaluations + 1, dtype=count.dtype),
        step if alike else step + xp.zeros_like(judged.error),
    )


def _better(
    xp: Namespace, scheme: Scheme, state: _State, judged: Round, factor: Array, lanes: Lanes
) -> tuple[Found, Array]:
    """The better of old and new, and where longer steps gave what shorter ones rule out."""
    old = state.found
    error = judged.error + state.hidden / factor**scheme.order
    # Over long steps the quotients of a bounded function are small, whatever its derivative.
    apart = xp.abs(judged.value - old.value) > 3 * old.error + error + 0.03 * xp.abs(old.value)
    astray = (lanes.longest * factor > old.step) & apart
    better = (error < old.error) & ~state.done & ~astray
    # A true kink looks much the same in two rounds; what noise looks like grows with 1 / step.
    alike = (1.3 * judged.jump > state.jump) & (judged.jump < 10 * state.jump)
    kink = (judged.jump > 0) & (state.jump > 0) & alike & ~state.done
    new = scheme.evaluations * xp.astype(~state.done, old.evaluations.dtype)

    def best(new: Array, old: Array) -> Array:
        return changed(xp, new, ~better, lambda: old)

    value = best(judged.value, old.value)
    found = Found(
        value,
        best(error, old.error),
        best(judged.target, old.target),
        best(judged.limit, old.limit),
        changed(xp, old.flaw, kink, lambda: number(xp, KINK, old.flaw)),
        best(judged.companion, old.companion) if scheme.mixed else value,
        old.evaluations + new,
        best(lanes.longest * factor, old.step),
    )
    return found, astray


def _one_per_lane(xp: Namespace, judged: Round, factor: Array) -> Array:
    """The factor that the value asks for that is furthest from its target, of each lane."""
    if judged.error.ndim == 1:
        return factor
    error, target = judged.error, judged.target
    outer = tuple(range(error.ndim - 1))
    excess = error / xp.where(target > 0, target, xp.ones_like(target))
    excess = xp.where(error > target, excess, xp.zeros_like(excess))
    worst = excess == xp.max(excess, axis=outer, keepdims=True)
    return xp.max(xp.where(worst, factor, xp.zeros_like(excess)), axis=outer)


def _any(xp: Namespace, truth: Array) -> Array:
    """Whether something holds for any value of a lane."""
    return truth if truth.ndim == 1 else xp.any(truth, axis=tuple(range(truth.ndim - 1)))


def _taken(xp: Namespace, fields: Any, index: Array) -> Any:
    """Some lanes of an array, or of all arrays of a tuple."""
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
