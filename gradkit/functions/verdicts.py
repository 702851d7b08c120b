"""What a claimed derivative is worth beside a numeric one: a verdict per entry, and hints."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "DOUBT",
    "MORE_DOUBT",
    "VERDICTS",
    "Measured",
    "asymmetry",
    "entry_note",
    "factor_words",
    "hints",
    "verdicts",
]

#: How many times its estimate an error may be before a claim is called wrong: where the numeric
#: derivative has converged, and where it has not.
DOUBT = 10
MORE_DOUBT = 100

#: Words for an entry, those that fail first.
VERDICTS = ("wrong", "not finite", "undecided", "kink", "passed")


class Measured(NamedTuple):
    """A numeric derivative on the host.

    Attributes
    ----------
    value, error : ndarray
        The derivative and the estimate of its error.
    converged : ndarray of bool
        Whether the error is within the tolerances of the search.
    kink : ndarray of bool
        Where it jumps.
    left, right : ndarray
        One-sided derivatives where there is a kink, NaN elsewhere.
    side_error : ndarray
        The larger estimate of the error of these, 0 elsewhere.
    """

    value: np.ndarray
    error: np.ndarray
    converged: np.ndarray
    kink: np.ndarray
    left: np.ndarray
    right: np.ndarray
    side_error: np.ndarray


def verdicts(
    claimed: np.ndarray, numeric: Measured, rtol: float, atol: np.ndarray | float
) -> np.ndarray:
    """One word of `VERDICTS` per entry.

    Wrong: the claim is further away than the tolerance and 10 times the error of the numeric
    derivative together, 100 times where that has not converged. Undecided: it is not, but it is
    further away than the tolerance, or that error is above it. Kink: the derivative jumps, and
    the claim lies between its two values.
    """
    doubt = np.where(numeric.converged, DOUBT, MORE_DOUBT)
    with np.errstate(all="ignore"):
        gap, limit = abs(claimed - numeric.value), atol + rtol * abs(numeric.value)
        wrong = gap > limit + doubt * numeric.error
        undecided = (gap > limit) | (numeric.error > limit)
        sides = abs(numeric.left - numeric.right)
        detour = abs(claimed - numeric.left) + abs(claimed - numeric.right) - sides
        slack = 2 * (atol + rtol * np.fmax(abs(numeric.left), abs(numeric.right)))
        outside = detour > slack + 2 * DOUBT * numeric.side_error
    finite = np.isfinite(claimed) & np.isfinite(numeric.value)
    known = numeric.kink & np.isfinite(sides)
    chosen = [known & outside, known, numeric.kink, ~finite, wrong, undecided]
    words = ["wrong", "kink", "undecided", "not finite", "wrong", "undecided"]
    # A claim that is NaN is one at a kink, too.
    return np.select([~np.isfinite(claimed), *chosen], ["not finite", *words], "passed")


def factor_words(factor: Any) -> str:
    """A factor between claim and numeric derivative in words: "-numeric", "1/2 x numeric"."""
    if isinstance(factor, complex | np.complexfloating):
        if abs(factor.imag) > 1e-6 * abs(factor):
            return f"({complex(factor):.6g}) x numeric"
        factor = factor.real
    near = Fraction(float(factor)).limit_denominator(10)
    if 1e-9 < abs(factor) < 0.1:
        near = Fraction(1, round(1 / float(factor)))
    is_plain = 1 in (abs(near.numerator), near.denominator) or abs(near.numerator) <= 10
    if not is_plain or abs(float(near) - factor) > 1e-4 * abs(factor):
        return f"{float(factor):.6g} x numeric"
    words = {1: "numeric", -1: "-numeric", 0: "0"}
    return words[int(near)] if near in words else f"{near} x numeric"


def hints(
    claimed: np.ndarray,
    numeric: Measured,
    words: np.ndarray,
    rtol: float,
    atol: np.ndarray | float,
    may_turn: bool = True,
) -> tuple[str, ...]:
    """What may have gone wrong where a claim is: its sign, a factor, rows for columns if it may."""
    if not np.any(words == "wrong"):
        return ()
    found: list[str] = []
    with np.errstate(all="ignore"):
        limit = atol + rtol * abs(numeric.value) + numeric.error
        usable = np.isfinite(claimed) & np.isfinite(numeric.value) & ~numeric.kink
        if _agree(claimed, np.conj(numeric.value), limit, usable):
            found.append("claimed = conj(numeric) for all entries")
        elif (factor := _factor(claimed, numeric.value, limit, usable)) is not None:
            found.append(f"claimed = {factor_words(factor)} for all entries")
    square = may_turn and claimed.ndim == 2 and claimed.shape[0] == claimed.shape[1]
    if square and _agree(claimed.T, numeric.value, limit, usable & usable.T):
        found.append("claimed looks transposed: its transpose agrees with numeric")
    return tuple(found)


def asymmetry(hessian: np.ndarray, rtol: float, atol: float) -> tuple[str, ...]:
    """Words for a hessian that is not symmetric within the tolerances."""
    with np.errstate(all="ignore"):
        apart = abs(hessian - hessian.T) > atol + rtol * abs(hessian)
    return ("claimed is not symmetric",) if np.any(apart) else ()


def _agree(a: np.ndarray, b: np.ndarray, limit: np.ndarray, usable: np.ndarray) -> bool:
    return bool(np.any(usable)) and bool(np.all((abs(a - b) <= limit)[usable]))


def _factor(
    claimed: np.ndarray, value: np.ndarray, limit: np.ndarray, usable: np.ndarray
) -> Any | None:
    """The number that the whole numeric derivative must be multiplied by to give the claim."""
    c, v, room = claimed[usable], value[usable], limit[usable]
    large = abs(v) > 10 * room
    if not np.any(large):
        return None
    unit = v / np.max(abs(v))  # whose squares are numbers
    factor = np.vdot(unit, c / np.max(abs(v))) / np.vdot(unit, unit)
    if not np.isfinite(factor):
        return None
    # One entry always has a factor; it tells something only if it is a plain one.
    plain = factor_words(factor).partition(" x")[0] in ("-numeric", "0", "2", "1/2", "-2", "-1/2")
    if np.sum(large) < 2 and not plain:
        return None
    return factor if np.all(abs(c - factor * v) <= max(1.0, abs(factor)) * room) else None


def entry_note(word: str, claim: Any, value: Any, sides: Sequence[Any], limit: float) -> str:
    """What is remarkable about one entry."""
    if word == "not finite":
        blame = [
            n for n, number in (("claimed", claim), ("numeric", value)) if not np.isfinite(number)
        ]
        return f"{' and '.join(blame)} not finite"
    if not np.isnan(sides[0]):
        return f"kink: {sides[0]:.6g} to the left, {sides[1]:.6g} to the right"
    if word == "wrong" and abs(value) > limit:
        for factor in (-1, 2, 0.5, -2, -0.5):
            if abs(claim - factor * value) <= 2 * limit:
                return f"= {factor_words(factor)}"
    return ""
