"""What is known about lanes under way, and what another ladder of steps adds to it.

Each value searches for itself, though it shares the steps of its lane with others: once it is
settled, it stays as it was found.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from gradkit._array import Array, Namespace
from gradkit.functions.judging import Round, changed, number
from gradkit.functions.moves import at_least, is_rough
from gradkit.functions.schemes import Scheme

__all__ = ["KINK", "NOT_ANALYTIC", "WAVE", "Found", "Signs", "State", "Steps", "first", "weighed"]

#: Flaws, which are also positions among the words for the status of a result.
KINK = 2
NOT_ANALYTIC = 4

#: What the values were found to be where noise looked like a wave, or a wave like noise.
NOISE = inf
WAVE = -1.0

#: The part of its error below which a value tells nothing of a derivative, and how many times
#: shorter than broad steps those are over which so small a value is no wonder.
FAINT, SHORT = 0.1, 10.0

#: How many times the noise of a ladder may be what it shows of it, by chance.
CHANCE = 30.0

#: How many times longer steps may be and still tell that a derivative is about 0, and how many
#: times its error a value must be to differ from that.
LEAP, SIGNIFICANT = 30.0, 3.0


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
    companion_error: Array
    evaluations: Array
    step: Array


class State(NamedTuple):
    """Lanes under way: the best so far, and what is known about the steps that each value wants.

    Elementwise as in `Found`, but for `factor` and `done`, which are ``(lanes,)``.

    Attributes
    ----------
    found : Found
        The best so far.
    anchor : Array
        The shortest steps over which values told of a derivative, infinite for none.
    factor : Array
        The factor of the next round.
    wanted : Array
        The one that a value would have.
    short, long : Array
        The longest steps over which rounding ruled, 0 for none, and the shortest ones over which
        truncation did, infinite for none.
    hidden : Array
        Error times step**order, as seen where rounding ruled.
    suspect, beyond : Array
        The factor over which a wave may have been taken for noise, 0 before that was seen and
        `NOISE` or `WAVE` after it was looked at; the factor that is wanted if it is noise.
    jump : Array
        The jump of the derivative, as the last round saw it, 0 for none.
    rounded : Array
        The least of the values in any round.
    closed, done : Array
        Whether a value is settled, or cannot be bettered; whether all values of a lane are.
    """

    found: Found
    anchor: Array
    factor: Array
    wanted: Array
    short: Array
    long: Array
    hidden: Array
    suspect: Array
    beyond: Array
    jump: Array
    rounded: Array
    closed: Array
    done: Array


class Steps(NamedTuple):
    """The steps of a ladder, ``(lanes,)``.

    Attributes
    ----------
    unit : Array
        The longest step of the first ladder.
    factor : Array
        How many times that is the longest step of this one.
    wide : Array
        Product of steps of about the size of the variables, to the power of the orders.
    """

    unit: Array
    factor: Array
    wide: Array


class Signs(NamedTuple):
    """What a ladder tells beside its value.

    Attributes
    ----------
    fooled : Array
        Whether the value found so far hid noise.
    astray : Array
        Whether shorter steps rule the new value out.
    noise : Array
        Whether what may have been a wave is noise.
    """

    fooled: Array
    astray: Array
    noise: Array


class _Noise(NamedTuple):
    """The noise of the values as all ladders so far show it, error times step**order."""

    hidden: Array  # in any ladder, but for those that are ruled out
    shown: Array  # in this one, at most
    wave: Array  # whether what looked like noise is a wave
    noise: Array  # whether it is noise


def first(
    xp: Namespace, scheme: Scheme, judged: Round, found: Found, steps: Steps, seen: Array
) -> State:
    """What is known after the first round.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    scheme : Scheme
        Stencil and weights.
    judged : Round
        The round.
    found : Found
        What it found.
    steps : Steps
        Its steps.
    seen : Array
        The noise of the values that it shows, error times factor**order.
    """
    nothing = xp.zeros_like(judged.error)
    return State(
        found=found,
        anchor=_anchor(xp, scheme, judged, found.step, steps.wide),
        factor=steps.factor,
        wanted=nothing,
        short=nothing,
        long=xp.full_like(nothing, inf),
        hidden=seen,
        suspect=nothing,
        beyond=nothing,
        jump=judged.jump,
        rounded=judged.rounded,
        closed=xp.zeros_like(nothing, dtype=xp.bool),
        done=xp.zeros_like(steps.factor, dtype=xp.bool),
    )


def _anchor(xp: Namespace, scheme: Scheme, judged: Round, longest: Array, wide: Array) -> Array:
    """Steps over which values tell of a derivative, infinite where they are all the same."""
    # Over steps that are too short for the order, they are but rounding, which excludes nothing.
    faint = (xp.abs(judged.value) < FAINT * judged.error) & ~is_rough(judged)
    faint = faint & (wide > SHORT**scheme.order * judged.reach)
    return xp.where(judged.flat | faint, number(xp, inf, judged.error), longest)


def weighed(
    xp: Namespace,
    scheme: Scheme,
    state: State,
    judged: Round,
    steps: Steps,
    seen: Array,
) -> tuple[State, Signs]:
    """The better of old and new, and what else the new tells.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    scheme : Scheme
        Stencil and weights.
    state : State
        What was known.
    judged : Round
        The new ladder.
    steps : Steps
        Its steps.
    seen : Array
        The noise of the values that it shows, error times factor**order.
    """
    old, factor, longest = state.found, steps.factor, steps.unit * steps.factor
    power, old_power = factor**scheme.order, (old.step / steps.unit) ** scheme.order
    # Shorter steps that do not just drown in the rounding of the values.
    closer = (longest < old.step) & ~judged.flat & xp.isfinite(judged.error)
    noise = _noise(xp, state, judged, closer, factor, power, seen)
    # Rounding is in the error already, and is the part of the noise that is known of.
    extra = noise.hidden / power - judged.rounding
    error = changed(xp, judged.error, extra > 0, lambda: judged.error + at_least(xp, extra, 0))
    gap = xp.abs(judged.value - old.value)
    # Rounding inside func that is seen over some steps is there over others, too.
    floor = noise.hidden / old_power
    fooled = (floor > 2 * old.error) & ((old.value == 0) | ~state.closed)
    closed = state.closed & ~fooled
    # Where shorter steps tell something else, and agree with each other, so far it was wrong.
    belied = closer & ~closed & (gap > 3 * old.error + error + 10 * judged.last)
    doubtful = changed(xp, old.error, belied, lambda: xp.maximum(gap, old.error))
    doubtful = changed(xp, doubtful, fooled, lambda: xp.maximum(floor, doubtful))
    doubtful = changed(xp, doubtful, noise.wave, lambda: number(xp, inf, doubtful))
    old = old._replace(error=doubtful)
    astray = _astray(xp, state, old, judged, longest, error, gap) & ~closed
    better = (error < old.error) & ~closed & ~astray
    anchor = xp.minimum(state.anchor, _anchor(xp, scheme, judged, longest, steps.wide))
    state = _bettered(xp, scheme, state, old, judged, longest, error, better, closed)
    suspect, short, long = state.suspect, state.short, state.long
    verdict = changed(xp, suspect, noise.noise, lambda: number(xp, NOISE, suspect))
    state = state._replace(
        anchor=anchor,
        short=changed(xp, short, noise.noise, lambda: suspect),
        long=changed(xp, long, noise.wave, lambda: xp.minimum(long, suspect)),
        hidden=noise.hidden,
        suspect=changed(xp, verdict, noise.wave, lambda: number(xp, WAVE, verdict)),
        closed=closed,
    )
    return state, Signs(fooled, astray, noise.noise)


def _noise(
    xp: Namespace,
    state: State,
    judged: Round,
    closer: Array,
    factor: Array,
    power: Array,
    seen: Array,
) -> _Noise:
    """What a ladder tells of noise, and what it leaves of that which was seen before."""
    # An error that grows as steps shrink is noise, even where it looked like truncation,
    worse = closer & (judged.error > 3 * state.found.error)
    worse = worse & (state.jump == 0) & (state.suspect != WAVE)
    seen = changed(xp, seen, worse, lambda: xp.maximum(seen, judged.error * power))
    hidden = xp.maximum(state.hidden, seen)
    # unless, over still shorter steps, there is none.
    shown = (judged.error + judged.spread + judged.last) * power
    clear = closer & (CHANCE * shown < hidden)
    hidden = changed(xp, hidden, clear, lambda: number(xp, 0, hidden))
    tested = (factor < state.suspect) & xp.isfinite(state.suspect)
    return _Noise(hidden, shown, tested & clear, tested & ~clear)


def _astray(
    xp: Namespace,
    state: State,
    old: Found,
    judged: Round,
    longest: Array,
    error: Array,
    gap: Array,
) -> Array:
    """Whether the value of longer steps is ruled out by shorter ones."""
    # Over long steps the quotients of a bounded function are small, whatever its derivative.
    apart = gap > 3 * old.error + error + 0.03 * xp.abs(old.value)
    # Nor are they any evidence that nothing changes over much shorter ones.
    blind = (longest > LEAP * state.anchor) & (xp.abs(judged.value) < SIGNIFICANT * error)
    return (longest > old.step) & (apart | blind)


def _bettered(
    xp: Namespace,
    scheme: Scheme,
    state: State,
    old: Found,
    judged: Round,
    longest: Array,
    error: Array,
    better: Array,
    closed: Array,
) -> State:
    """The new value where it is better, and what the new ladder tells of a kink."""

    def pick(ours: Array, theirs: Array) -> Array:
        return changed(xp, ours, ~better, lambda: theirs)

    # A true kink looks much the same in two rounds; what noise looks like grows with 1 / step.
    alike = (1.3 * judged.jump > state.jump) & (judged.jump < 10 * state.jump)
    kink = (judged.jump > 0) & (state.jump > 0) & alike & ~closed
    new = scheme.evaluations * xp.astype(~state.done, old.evaluations.dtype)
    found = Found(
        pick(judged.value, old.value),
        pick(error, old.error),
        pick(judged.target, old.target),
        pick(judged.limit, old.limit),
        changed(xp, old.flaw, kink, lambda: number(xp, KINK, old.flaw)),
        pick(judged.companion, old.companion),
        pick(judged.companion_error, old.companion_error),
        old.evaluations + new,
        pick(longest, old.step),
    )
    return state._replace(
        found=found,
        jump=judged.jump,
        rounded=judged.rounded,
    )
