"""Conditions at walls as a method needs them: what they add to the rows near an end."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np

from gradkit._array import is_array, namespace, same_place, table, widened
from gradkit._values import ArrayValue
from gradkit.boundaries import Condition
from gradkit.errors import ArgumentValueError
from gradkit.weights import WallClosure

__all__ = ["factors", "is_open", "known_value", "settled"]


def is_open(condition: Condition) -> bool:
    """Whether the mixture of value and slope is not one real number each.

    Such a condition varies along the wall or is complex, so it is not part of the weights of a
    rule: it becomes a factor of `Correction`.
    """
    return not (isinstance(condition.a, Real) and isinstance(condition.b, Real))


def known_value(condition: Condition) -> Any:
    """The value that a row sees at the wall: that of f, or of its slope where that is stated."""
    if is_open(condition) or condition.a in (0, 1):
        return condition.value
    return _quotient(condition.value, Fraction(condition.a))


def settled(
    condition: Condition, closure: WallClosure, normal: Fraction, name: str
) -> tuple[Sequence[Fraction], Fraction]:
    """The weights of the samples, and of the value known at the wall."""
    a, b = Fraction(condition.a), Fraction(condition.b)
    try:
        weights, share = closure.settled(a, b * normal)
    except ZeroDivisionError:
        raise ArgumentValueError(
            f"{condition!r} on {name} does not settle f: no polynomial through the samples obeys it"
        ) from None
    return weights, share * a if a else share


def factors(condition: Condition, closure: WallClosure, normal: Fraction) -> tuple[Any, Any, Any]:
    """Factors along the wall of its value, of the slope there, and of the right-hand side."""
    lead_value, lead_slope = float(closure.lead_value), float(closure.lead_slope * normal)
    a, b, value = _together(*map(_plain, (condition.a, condition.b, condition.value)))
    whole = a * lead_value + b * lead_slope
    if isinstance(whole, np.ndarray | complex) and np.any(np.equal(whole, 0)):
        raise ArgumentValueError(f"{condition!r} does not settle f everywhere along the wall")
    return tuple(map(_wrapped, (-a / whole, -b * float(normal) / whole, value / whole)))  # pyright: ignore[reportReturnType]


def _quotient(value: Any, divisor: Fraction) -> Any:
    if isinstance(value, ArrayValue):
        return _wrapped(widened(value.array) / float(divisor))
    if isinstance(value, complex):
        return value / float(divisor)
    return Fraction(value) / divisor


def _plain(value: Any) -> Any:
    if isinstance(value, ArrayValue):
        return widened(value.array)
    return complex(value) if isinstance(value, complex) else float(value)


def _together(*values: Any) -> tuple[Any, ...]:
    """Numbers as they are, and arrays on the host beside those of another library."""
    named = zip(("a", "b", "value"), values, strict=True)
    elsewhere = [(n, v) for n, v in named if is_array(v) and not isinstance(v, np.ndarray)]
    if not elsewhere:
        return values
    same_place(elsewhere)
    like = elsewhere[0][1]
    return tuple(
        table(namespace(like), v, like) if isinstance(v, np.ndarray) else v for v in values
    )


def _wrapped(value: Any) -> Any:
    return value if isinstance(value, complex | float) else ArrayValue(value, "value at a wall")
