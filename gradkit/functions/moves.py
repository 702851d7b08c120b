"""Where to go after a round: to longer steps where rounding rules, to shorter ones elsewhere."""

from __future__ import annotations

from gradkit._array import Array, Namespace
from gradkit.functions.judging import Round, Sampled, changed, number
from gradkit.functions.schemes import Scheme

__all__ = ["at_least", "at_most", "guide", "is_noisy", "is_rough", "probe"]

#: The shortest and the longest move to shorter steps; where nothing is known about the error, it is
#: nearly the longest.
FURTHEST, NEAREST, BLIND = 0.02, 0.6, 0.05

#: The relative error that rounding makes over the steps of a probe.
COARSELY = 0.1


def is_noisy(xp: Namespace, judged: Round) -> Array:
    """Whether the error is that of the values, so that longer steps would lessen it."""
    small = judged.truncation <= 4 * judged.rounding
    scatters = judged.erratic & (10 * judged.spread < xp.abs(judged.value))
    known = xp.isfinite(judged.error) & ~judged.flat & (judged.jump == 0)
    return (small | (scatters & ~_is_lost(xp, judged))) & known


def is_rough(judged: Round) -> Array:
    """Whether the error is more than rounding explains."""
    return judged.error > 5 * judged.rounding


def _is_lost(xp: Namespace, judged: Round) -> Array:
    """Whether the error is as large as the value, and not for rounding."""
    large = 10 * judged.error > xp.abs(judged.value)
    return large & ~(judged.truncation <= 4 * judged.rounding)


def probe(xp: Namespace, scheme: Scheme, judged: Round, noisy: Array) -> Array:
    """Factors for a ladder that tells noise from waves, 0 where there is no doubt, or no room.

    Over the shortest steps that rounding allows, quotients of a wave agree with each other; those
    of noise that is larger than rounding are off by more than over any others.
    """
    size = xp.abs(judged.value)
    share = judged.rounding / (COARSELY * xp.where(size > 0, size, xp.ones_like(size)))
    factor = share ** (1 / scheme.order)
    return xp.where(noisy & is_rough(judged) & (factor < FURTHEST), factor, xp.zeros_like(factor))


def guide(
    xp: Namespace, scheme: Scheme, judged: Round, noisy: Array, lanes: Sampled, longest: Array
) -> Array:
    """Factors for the steps of a next round, elementwise.

    The error of rounding falls as ``step**-order``, that of truncation rises as a high power of the
    step; the factor is what these laws say would just reach the target.

    Parameters
    ----------
    xp : namespace
        Namespace of the arrays.
    scheme : Scheme
        Stencil and weights.
    judged : Round
        The last round.
    noisy : Array
        Where the error is that of the values.
    lanes : Sampled
        What is known about the lanes.
    longest : Array
        The longest steps of the last round, ``(lanes,)``.
    """
    aimless = ~(judged.target > 0)
    excess = judged.error / changed(xp, judged.target, aimless, lambda: number(xp, 1, judged.error))
    # No further at once than to steps of about the size of x, or by a factor of 30.
    up = at_least(xp, 4 * excess ** (1 / scheme.order), 2)
    broader = (lanes.wide / judged.reach) ** (1 / scheme.order)
    up = xp.minimum(up, at_least(xp, broader, 30))
    power = (2 if scheme.symmetric else 1) * (scheme.levels - 1)
    down = at_most(xp, at_least(xp, (4 * excess) ** (-1 / power), FURTHEST), NEAREST)
    blind = _is_lost(xp, judged) | (judged.jump > 0)
    down = changed(xp, down, blind, lambda: at_most(xp, down, BLIND))
    # Where there are no values, go at once to steps that are short against x.
    finite = xp.isfinite(judged.error)

    def nearer() -> Array:
        near = at_most(xp, 0.1 * lanes.position / xp.abs(longest), FURTHEST)
        return xp.where(near == 0, down, xp.minimum(down, near))

    down = changed(xp, down, ~finite, nearer)
    factor = changed(xp, down, noisy, lambda: up)
    widens = judged.flat & finite & (judged.jump == 0)
    return changed(xp, factor, widens, lambda: at_least(xp, broader, 2))


def at_least(xp: Namespace, array: Array, least: float) -> Array:
    """Numbers not below `least`; NaN stays."""
    return xp.maximum(array, number(xp, least, array))


def at_most(xp: Namespace, array: Array, most: float) -> Array:
    """Numbers not above `most`; NaN stays."""
    return xp.minimum(array, number(xp, most, array))
