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
from gradkit.functions.moves import at_least, at_most, guide, is_noisy, is_rough, probe
from gradkit.functions.schemes import Scheme

__all__ = ["KINK", "NOT_ANALYTIC", "Found", "Lanes", "Rounds", "put", "search"]


#: Flaws, which are also positions among the words for the status of a result.
KINK = 2
NOT_ANALYTIC = 4

#: How many times the noise of a ladder may be what it shows of it, by chance.
CHANCE = 30.0

#: What the values were found to be where one looked like the other.
NOISE, WAVE = inf, -1.0

#: How many times longer steps may be and still tell that a derivative is about 0, and how many
#: times its error a value must be to differ from that.
LEAP, SIGNIFICANT = 30.0, 3.0


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
    """Lanes under way: the best so far, and what is known about the steps that each value wants.

    Elementwise as in `Found`, but for `factor` and `done`, which are ``(lanes,)``.
    """

    found: Found
    anchor: Array  # the shortest steps over which values were not all the same, infinite for none
    coarse: Array  # the quotient of its longest step
    doubt: Array  # how far that may be off by noise
    factor: Array  # of the next round
    wanted: Array  # the factor that each value would have in the next round
    allowed: Array  # the largest one that says anything about it
    short: Array  # the longest steps over which rounding ruled, 0 for none
    long: Array  # the shortest steps over which truncation ruled, infinite for none
    hidden: Array  # error times step**order, as seen where rounding ruled
    suspect: Array  # the factor over which a wave may be taken for noise, 0 before; after, NOISE, WAVE
    beyond: Array  # the factor that is wanted if it is noise
    jump: Array  # of the derivative, as the last round saw it, 0 for none
    rounded: Array  # the least of the values in any round
    closed: Array  # whether a value is settled, or cannot be bettered
    done: Array  # whether all values of a lane are closed


class _Signs(NamedTuple):
    """What a round tells beside its value: whether ..."""

    fooled: Array  # the value so far hid noise
    astray: Array  # shorter steps rule the new value out
    noise: Array  # what may have been a wave is noise


#: The fields of a state that are known per value, beside those of `Found`.
VALUES = tuple(name for name in _State._fields if name not in ("found", "factor", "done"))

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
    state: _State | None,
    judged: Round,
    factor: Array,
    lanes: Lanes,
    number: int,
) -> _State:
    """Keep the better of the old and the new, and choose the steps of the next round."""
    noisy = is_noisy(xp, judged)
    if state is not None:
        noisy = noisy & ~(is_rough(judged) & (state.suspect == WAVE))
    seen = xp.where(noisy, judged.error * factor**scheme.order, xp.zeros_like(judged.error))
    move = guide(xp, scheme, judged, noisy, lanes, lanes.longest * factor)
    grows = move > 1
    old = state
    if state is None:
        state = _first(xp, scheme, judged, factor, lanes, seen)
    else:
        state, signs = _weighed(xp, scheme, state, judged, factor, lanes, seen)
        grows = (grows & ~signs.astray) | signs.noise
        # Nor is a step too long for truncation where shorter ones are not resolved at all.
        free = signs.fooled | judged.unresolved
        state = state._replace(long=xp.where(free, xp.full_like(state.long, inf), state.long))
    found = state.found
    # What looks like noise may be a wave that is shorter than the steps: that is looked at once.
    closer = factor * probe(xp, scheme, judged, noisy & grows & (state.suspect == 0))
    tries = closer > 0
    short = xp.where(grows & ~tries, xp.maximum(state.short, factor), state.short)
    long = xp.where(grows, state.long, xp.minimum(state.long, factor))
    move = xp.where(grows, at_least(xp, move, 2), at_most(xp, move, 0.6))
    wanted = xp.minimum(factor * move, lanes.widest)
    # Between steps known to be too short and too long, go by halves of the logarithm.
    between = ((wanted <= short) | (wanted >= long)) & (short > 0) & xp.isfinite(long)
    wanted = xp.where(between, xp.sqrt(short) * xp.sqrt(long), wanted)
    # Where it was noise, go on from where that was seen.
    wanted = xp.where((wanted <= short) & ~between, state.beyond, wanted)
    suspect = xp.where(tries, factor, state.suspect)
    beyond = xp.where(tries, wanted, state.beyond)
    wanted = xp.where(tries, closer, wanted)
    allowed = xp.where(grows | between, wanted, xp.maximum(wanted, 0.6 * long))
    enough = found.target if number < 3 else found.limit
    good = ((found.error <= enough) & (judged.jump == 0)) | (found.flaw > 0)
    stuck = (long < 1.5 * scheme.ratio * short) | (wanted == factor) | ~(factor > 0)
    closed = state.closed | good | stuck
    state = state._replace(
        wanted=wanted,
        allowed=allowed,
        short=short,
        long=long,
        suspect=suspect,
        beyond=beyond,
        closed=closed,
    )
    if old is not None and judged.error.ndim > 1:
        state = _kept(xp, (factor > 1.01 * old.allowed) & ~old.closed, old, state)
    done = ~_any(xp, ~state.closed)
    return state._replace(factor=xp.where(done, factor, _led(xp, state)), done=done)


def _kept(xp: Namespace, idle: Array, old: _State, new: _State) -> _State:
    """The new, but for values to which steps as long as others wanted them say nothing."""

    def pick(ours: Array, theirs: Array) -> Array:
        return xp.where(idle, ours, theirs)

    found = Found(*map(pick, old.found, new.found))._replace(evaluations=new.found.evaluations)
    fields = {name: pick(getattr(old, name), getattr(new, name)) for name in VALUES}
    return new._replace(found=found, **fields)


def _first(
    xp: Namespace, scheme: Scheme, judged: Round, factor: Array, lanes: Lanes, seen: Array
) -> _State:
    """What is known after the first round."""
    nothing = xp.zeros_like(judged.error)
    longest = lanes.longest * factor
    return _State(
        _begun(xp, scheme, judged, factor, lanes),
        _anchor(xp, judged, longest),
        judged.coarse,
        _doubt(xp, scheme, judged),
        factor,
        nothing,
        nothing,
        nothing,
        xp.full_like(nothing, inf),
        seen,
        nothing,
        nothing,
        judged.jump,
        judged.rounded,
        xp.zeros_like(nothing, dtype=xp.bool),
        xp.zeros_like(factor, dtype=xp.bool),
    )


def _anchor(xp: Namespace, judged: Round, longest: Array) -> Array:
    """Steps over which values are not all the same, infinite where they are."""
    return xp.where(judged.flat, xp.full_like(judged.error, inf), longest)


def _doubt(xp: Namespace, scheme: Scheme, judged: Round) -> Array:
    """How far the quotient of the longest step may be off by noise, as it shows in the others."""
    shrinks = scheme.ratio ** -((scheme.levels - 1) * scheme.order)
    doubt = judged.spread + shrinks * (judged.last + judged.rounding / scheme.amplification)
    return xp.where(judged.unresolved, judged.error, doubt)


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


def _weighed(
    xp: Namespace,
    scheme: Scheme,
    state: _State,
    judged: Round,
    factor: Array,
    lanes: Lanes,
    seen: Array,
) -> tuple[_State, _Signs]:
    """The better of old and new, and what else the new tells."""
    old, closed, flat = state.found, state.closed, state.found.value == 0
    longest = lanes.longest * factor
    power = factor**scheme.order
    known = (longest < old.step) & ~judged.flat & xp.isfinite(judged.error)
    # An error that grows as steps shrink is noise, even where it looked like truncation,
    whole = judged.error * power
    worse = known & (judged.error > 3 * old.error)
    worse = worse & (state.jump == 0) & (state.suspect != WAVE)
    least = xp.minimum(whole, old.error * (old.step / lanes.longest) ** scheme.order)
    hidden = xp.maximum(state.hidden, xp.where(worse, xp.maximum(seen, least), seen))
    # unless, over still shorter steps, there is none.
    shown = (judged.error + judged.spread + judged.last) * power
    clear = known & (CHANCE * shown < hidden)
    hidden = xp.where(clear, xp.zeros_like(hidden), hidden)
    tested = (factor < state.suspect) & xp.isfinite(state.suspect)
    wave = tested & clear
    noise, waves = (xp.full_like(state.suspect, number) for number in (NOISE, WAVE))
    # Rounding inside func that is seen over some steps is there over others, too.
    floor = hidden / (old.step / lanes.longest) ** scheme.order
    fooled = (floor > 2 * old.error) & (flat | ~closed)
    closed = closed & ~fooled
    error = judged.error + hidden / power
    # Where shorter steps tell something else, and agree with each other, so far it was wrong.
    gap = xp.abs(judged.value - old.value)
    belied = known & ~closed & (gap > 3 * old.error + error + 10 * shown / power)
    doubtful = xp.where(belied, xp.maximum(gap, old.error), old.error)
    doubtful = xp.where(fooled, xp.maximum(floor, doubtful), doubtful)
    old = old._replace(error=xp.where(wave, noise, doubtful))
    # Over long steps the quotients of a bounded function are small, whatever its derivative.
    longer = longest > old.step
    apart = gap > 3 * old.error + error + 0.03 * xp.abs(old.value)
    # Where they are not too long, shorter ones give a straight line.
    bent = xp.abs(judged.value - state.coarse) > 3 * state.doubt + error + judged.spread
    # Nor are they any evidence that nothing changes over much shorter ones.
    blind = (longest > LEAP * state.anchor) & (xp.abs(judged.value) < SIGNIFICANT * error)
    astray = longer & (apart | bent | blind) & ~closed
    better = (error < old.error) & ~closed & ~astray
    # A true kink looks much the same in two rounds; what noise looks like grows with 1 / step.
    alike = (1.3 * judged.jump > state.jump) & (judged.jump < 10 * state.jump)
    kink = (judged.jump > 0) & (state.jump > 0) & alike & ~closed
    new = scheme.evaluations * xp.astype(~state.done, old.evaluations.dtype)

    def pick(ours: Array, theirs: Array) -> Array:
        return xp.where(better, ours, theirs)

    found = Found(
        pick(judged.value, old.value),
        pick(error, old.error),
        pick(judged.target, old.target),
        pick(judged.limit, old.limit),
        xp.where(kink, xp.full_like(old.flaw, KINK), old.flaw),
        pick(judged.companion, old.companion),
        old.evaluations + new,
        pick(longest, old.step),
    )
    state = state._replace(
        found=found,
        anchor=xp.minimum(state.anchor, _anchor(xp, judged, longest)),
        coarse=pick(judged.coarse, state.coarse),
        doubt=pick(_doubt(xp, scheme, judged), state.doubt),
        short=xp.where(tested & ~wave, state.suspect, state.short),
        long=xp.where(wave, xp.minimum(state.long, state.suspect), state.long),
        hidden=hidden,
        suspect=xp.where(tested, xp.where(wave, waves, noise), state.suspect),
        jump=judged.jump,
        rounded=judged.rounded,
        closed=closed,
    )
    return state, _Signs(fooled, astray, tested & ~wave)


def _led(xp: Namespace, state: _State) -> Array:
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
