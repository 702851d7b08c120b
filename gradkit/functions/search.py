"""Rounds of steps, driven: each lane moves its ladder until its error is small, or least.

A lane is one point and the variable, or variables, moved about it. All lanes are judged together,
by expressions of one shape without masks, so that JAX can trace a round; where values can be
looked at, lanes that are done are left out of later rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from gradkit._array import Array, Namespace
from gradkit.functions.evaluate import Asking
from gradkit.functions.judging import Round, Sampled, Tolerances, Values, judge
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


_Fields = TypeVar("_Fields", Found, Round, _State)


def search(
    xp: Namespace, scheme: Scheme, lanes: Lanes, tolerances: Tolerances, plan: Rounds
) -> Asking[Found]:
    """Differentiate in all lanes: the best value that the rounds give, and its error."""
    index: Array | None = None
    total: Found | None = None
    state: _State | None = None
    size = lanes.widest.shape[0]
    factor = xp.minimum(lanes.widest, xp.ones_like(lanes.widest))
    for number in range(1, plan.most + 1):
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
            state = _next(xp, scheme, state, judged, factor, lanes, number)
        del sampled, judged  # blocks of lanes wait for each other at the next values
        assert total is not None
        if index is None:
            total = state.found
        elif number > 1:
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
    state: _State | None,
    judged: Round,
    factor: Array,
    lanes: Lanes,
    number: int,
) -> _State:
    """Keep the better of the old and the new, and choose the steps of the next round."""
    power = factor**scheme.order
    noisy = is_noisy(xp, judged)
    seen = xp.where(noisy, judged.error * power, xp.zeros_like(judged.error))
    moves = guide(xp, scheme, judged, noisy, lanes, lanes.longest * factor)
    move = _one_per_lane(xp, judged, moves)
    if state is None:
        found = _begun(xp, scheme, judged, factor, lanes)
        done = xp.zeros_like(factor, dtype=xp.bool)
        short, long = xp.zeros_like(factor), xp.full_like(factor, inf)
        hidden, grows = seen, move > 1
    else:
        hidden = xp.maximum(state.hidden, seen)
        old = state.found
        # Rounding inside func that is seen over some steps is there over others, too.
        floor = hidden / (old.step / lanes.longest) ** scheme.order
        fooled = (floor > 2 * old.error) & ~state.done
        old = old._replace(error=xp.where(fooled, floor, old.error))
        found, astray = _better(xp, scheme, state._replace(found=old), judged, factor, lanes)
        grows = (move > 1) & ~_any(xp, astray)
        short, done = state.short, state.done
        # Nor is a step too long for truncation where shorter ones are not resolved at all.
        fooled = fooled | judged.unresolved
        long = xp.where(_any(xp, fooled), xp.full_like(factor, inf), state.long)
    short = xp.where(grows, xp.maximum(short, factor), short)
    long = xp.where(grows, long, xp.minimum(long, factor))
    move = xp.where(grows, at_least(xp, move, 2), at_most(xp, move, 0.6))
    wanted = xp.minimum(factor * move, lanes.widest)
    # Between steps known to be too short and too long, go by halves of the logarithm.
    between = ((wanted <= short) | (wanted >= long)) & (short > 0) & xp.isfinite(long)
    wanted = xp.where(between, xp.sqrt(short) * xp.sqrt(long), wanted)
    enough = found.target if number < 3 else found.limit
    good = ((found.error <= enough) & (judged.jump == 0)) | (found.flaw > 0)
    stuck = (long < 1.5 * scheme.ratio * short) | (wanted == factor) | ~(factor > 0)
    done = done | ~_any(xp, ~good) | stuck
    factor = xp.where(done, factor, wanted)
    return _State(found, factor, short, long, hidden, judged.jump, judged.rounded, done)


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
    found = Found(
        xp.where(better, judged.value, old.value),
        xp.where(better, error, old.error),
        xp.where(better, judged.target, old.target),
        xp.where(better, judged.limit, old.limit),
        xp.where(kink, xp.full_like(old.flaw, KINK), old.flaw),
        xp.where(better, judged.companion, old.companion),
        old.evaluations + new,
        xp.where(better, lanes.longest * factor, old.step),
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
        if target.ndim == 1:
            target[index] = part
        else:
            target[..., index] = part
