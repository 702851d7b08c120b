"""Rounds of steps, driven: each lane moves its ladder until its error is small or least.

A lane is one point in one direction. All lanes are judged together, by expressions of one shape, so that
a round can be traced by JAX; where values can be looked at, lanes that are done are left out of
later rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Protocol

from gradkit._array import Array, Namespace
from gradkit.functions.judging import Round, Tolerances, judge
from gradkit.functions.schemes import Scheme

__all__ = ["Found", "Lanes", "Rounds", "search"]


class Lanes(Protocol):
    """Points and directions in which a function is sampled."""

    @property
    def count(self) -> int:
        """Number of lanes."""
        ...

    @property
    def widest(self) -> Array:
        """The largest factor by which the steps of each lane may be multiplied, ``(lanes,)``."""
        ...

    @property
    def wide(self) -> Array:
        """Product of steps as wide as the point allows, ``(lanes,)``, of the first ladder's kind."""
        ...

    @property
    def position(self) -> Array:
        """Magnitude of the variable of each lane, ``(lanes,)``."""
        ...

    @property
    def noise(self) -> Array | float:
        """Absolute error of the values beyond rounding."""
        ...

    def sample(
        self, scheme: Scheme, factor: Array
    ) -> tuple[Mapping[tuple[int, ...], Array], Sequence[Array]]:
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
        Called after each round with its number and the number of lanes that go on.
    """

    most: int
    look: bool
    compress: bool
    after: Callable[[int, int], object] | None = None


class Found(NamedTuple):
    """The best that the rounds gave, elementwise ``(..., lanes)``; rounds and factors per lane."""

    value: Array
    error: Array
    target: Array
    limit: Array
    kink: Array
    factor: Array
    rounds: Array


class _State(NamedTuple):
    """Lanes under way: the best so far, and where steps are known to be too short or too long."""

    found: Found
    factor: Array
    short: Array
    long: Array
    hidden: Array
    kink: Array
    done: Array


def search(
    xp: Namespace,
    scheme: Scheme,
    lanes: Lanes,
    tolerances: Tolerances,
    plan: Rounds,
) -> Found:
    """Differentiate in all lanes: the best value that the rounds give, and its error."""
    state: _State | None = None
    index: Array | None = None
    total: Found | None = None
    for number in range(plan.most):
        factor = xp.minimum(xp.ones_like(lanes.widest), lanes.widest) if state is None else state.factor
        values, steps = lanes.sample(scheme, factor)
        judged = judge(xp, scheme, values, steps, lanes.wide, lanes.position, lanes.noise, tolerances)
        state = _moved(xp, scheme, state, judged, factor, lanes.widest)
        if index is None:
            total = state.found
        else:
            _put(total, index, state.found)
        if not plan.look:
            continue
        left = xp.nonzero(~state.done)[0] if plan.compress else None
        count = int(xp.count_nonzero(~state.done)) if left is None else int(left.shape[0])
        if plan.after is not None:
            plan.after(number + 1, count)
        if not count:
            break
        if left is not None and number + 1 < plan.most and count < state.done.shape[0]:
            lanes = lanes.take(left)
            state = _taken(xp, state, left)
            index = left if index is None else xp.take(index, left, axis=0)
    return total


def _moved(
    xp: Namespace,
    scheme: Scheme,
    state: _State | None,
    judged: Round,
    factor: Array,
    widest: Array,
) -> _State:
    """Keep the better of the old and the new, and choose the steps of the next round."""
    error, target, move = judged.error, judged.target, judged.factor
    outer = tuple(range(error.ndim - 1))
    if outer:
        # Steps belong to a lane: the value that is furthest from its target decides on them.
        excess = xp.where(error > target, error / xp.where(target > 0, target, 1.0), 0.0)
        worst = excess == xp.max(excess, axis=outer, keepdims=True)
        move = xp.max(xp.where(worst, move, xp.zeros_like(move)), axis=outer)
    grows = move > 1
    if state is None:
        short, long = xp.zeros_like(factor), xp.full_like(factor, inf)
        rounds = xp.ones_like(factor)
        found = Found(judged.value, error, target, judged.limit, judged.kink, factor, rounds)
        found = found._replace(kink=xp.zeros_like(judged.kink))
        done = xp.zeros_like(grows)
    else:
        short, long, done = state.short, state.long, state.done
        old = state.found
        # Rounding inside func, seen over shorter steps, is there over longer ones, too.
        error = error + state.hidden / factor**scheme.order
        # Where steps grew, the quotients of the shorter ones were right within their rounding; a
        # bounded function has small ones over long steps, whatever its derivative.
        apart = xp.abs(judged.value - old.value) > 3 * old.error + error
        astray = (factor > old.factor) & apart
        better = (error < old.error) & ~done & ~astray
        grows = grows & ~(xp.any(astray, axis=outer) if outer else astray)
        rounds = old.rounds + xp.astype(~done, old.rounds.dtype)
        lane = xp.any(better, axis=outer) if outer else better
        found = Found(
            xp.where(better, judged.value, old.value),
            xp.where(better, error, old.error),
            xp.where(better, target, old.target),
            xp.where(better, judged.limit, old.limit),
            # A true kink looks the same in two rounds.
            old.kink | (judged.kink & state.kink & ~done),
            xp.where(lane, factor, old.factor),
            rounds,
        )
    seen = xp.where(judged.noisy, judged.error * factor**scheme.order, 0.0)
    hidden = seen if state is None else xp.maximum(state.hidden, seen)
    short = xp.where(grows, xp.maximum(short, factor), short)
    long = xp.where(grows, long, xp.minimum(long, factor))
    wanted = xp.minimum(factor * xp.where(grows, xp.maximum(move, 2.0), xp.minimum(move, 0.6)), widest)
    # Between steps known to be too short and too long, go by halves of the logarithm.
    bracketed = (wanted <= short) | (wanted >= long)
    middle = xp.sqrt(short) * xp.sqrt(long)
    wanted = xp.where(bracketed & (short > 0) & xp.isfinite(long), middle, wanted)
    enough = xp.where(found.rounds < 3, found.target, found.limit)
    good = ((found.error <= enough) & ~judged.kink) | found.kink
    if outer:
        good = xp.all(good, axis=outer)
    stuck = (long < 1.5 * scheme.ratio * short) | (wanted == factor)
    done = done | good | stuck
    return _State(found, xp.where(done, factor, wanted), short, long, hidden, judged.kink, done)


def _taken(xp: Namespace, state: _State, index: Array) -> _State:
    found = Found(*(xp.take(part, index, axis=part.ndim - 1) for part in state.found))
    rest = (xp.take(part, index, axis=part.ndim - 1) for part in state[1:])
    return _State(found, *rest)


def _put(total: Found, index: Array, found: Found) -> None:
    for target, part in zip(total, found, strict=True):
        target[..., index] = part
