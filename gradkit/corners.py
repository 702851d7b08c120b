"""The values along a wall: what steps make of them, and what holds where walls meet."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from gradkit._values import ArrayValue, nearest_longdouble
from gradkit.boundaries import Condition
from gradkit.line import Line
from gradkit.methods import Rule
from gradkit.methods.rows import WALL, Point, Rows
from gradkit.weights import exact_weights

__all__ = ["applied_to", "at_wall", "narrowed", "points_in_corner"]

#: Samples more than the order and the accuracy of a rule that tell what is known in a corner.
MARGIN = 3


def points_in_corner(rule: Rule) -> int:
    """Samples that tell what is known where two walls meet.

    Their error is divided by the spacing as often as derivatives are taken: along the wall by the
    rule, and then across it, of up to the second order.
    """
    return rule.order + max(rows.accuracy for rows in rule.rows) + MARGIN


def at_wall(values: np.ndarray, axis: int, line: Line, side: int, points: int) -> np.ndarray:
    """What values along an axis are in the condition that holds at its end, from those nearest."""
    end = line.ends[side]
    assert isinstance(end, Condition)
    nodes = line.distances(side, min(points, line.sources))
    nearest = np.flip(values, axis) if side else values
    first = _wide(np.take(nearest, [0], axis))
    beyond = np.take(nearest, range(len(nodes)), axis) - first
    # Distances are counted inwards, normals point outwards.
    value, slope = (
        np.tensordot(beyond, np.stack([_number(w) for w in exact_weights(nodes, order)]), (axis, 0))
        for order in (0, 1)
    )
    value, slope = first + np.expand_dims(value, axis), np.expand_dims(slope, axis)
    return _number(end.a) * value - _number(end.b) * slope


def applied_to(values: np.ndarray, axis: int, rule: Rule) -> np.ndarray:
    """A rule applied to a small array on the host, in longdouble, difference by difference."""
    moved = _wide(np.moveaxis(values, axis, -1))
    known: dict[Point, Any] = {None: 0}
    for name, wall in zip(WALL, rule.walls, strict=True):
        is_array = isinstance(wall, ArrayValue)
        known[name] = np.moveaxis(wall.array, axis, -1) if is_array else _number(wall)

    def taken(point: Point, rows: Rows) -> Any:
        if not isinstance(point, int):
            return known[point]
        turns, columns = np.divmod(np.arange(rows.start, rows.stop) + point, rule.size)
        return moved[..., columns] * np.where(turns % 2, rule.wrap or 1, 1)

    # Arrays at walls may vary along axes along which these values do not.
    lead = np.broadcast_shapes(moved.shape[:-1], *(np.shape(v)[:-1] for v in known.values()))
    parts: list[np.ndarray] = []
    for rows in rule.rows:
        total = np.zeros((*lead, rows.stop - rows.start))
        for (high, low), weight in zip(rows.pairs, rows.weights, strict=True):
            share = _number(rule.over_scale(weight))
            total = total + (taken(high, rows) - taken(low, rows)) * share
        parts.append(total)
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, axis)


def narrowed(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Values rounded to double precision, unless others that they are made of have more."""
    if like.dtype.char in "gG":
        return values
    return values.astype(np.complex128 if np.iscomplexobj(values) else np.float64)


def _wide(values: np.ndarray) -> np.ndarray:
    """Values in longdouble, because the next derivative divides their rounding by its spacing."""
    return values.astype(np.result_type(values, np.longdouble))


def _number(value: Any) -> Any:
    """A fraction in longdouble; others as they are."""
    return nearest_longdouble(value) if isinstance(value, Fraction) else value
