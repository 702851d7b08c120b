"""The rows of a passage as NumPy takes them at once: each point a slice of the input.

Two rows that are each alone, as at the two ends of an axis, may make a strip of their own: the two
elements of slices with a long step. Where many such pairs lie one after the other in memory that
would not pay: NumPy goes along the shortest step, so it would start anew for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gradkit.engines.cpu.rows import Point, Run, runs_of
from gradkit.engines.program import Passage

__all__ = ["REPEATED", "Points", "Strip", "in_one_row", "strips_of"]


class Points(NamedTuple):
    """Values of the input, with a sign."""

    run: slice
    sign: int


@dataclass(frozen=True, eq=False)
class Strip:
    """Rows whose points each lie in one slice.

    High and low points of the differences are `Points`, something `Known`, or None for 0; as in a
    `Piece`, a weight of None is 1, and `is_full` tells whether some point is one of the input.
    """

    rows: slice
    differences: tuple[tuple[Any, Any, Any], ...]
    divisors: tuple[Any, ...]
    is_full: bool


#: Rows along the last axis in which a pair of elements is still taken at once.
FEW = 16
#: Bytes of weights of the points of a row, repeated for all rows, that may be kept.
REPEATED = 2**18


def strips_of(passage: Passage, shape: tuple[int, ...]) -> Iterator[Strip]:
    """The strips of a passage whose results have a shape."""
    trailing = len(shape) - passage.axis - 1
    pays = trailing > 0 or prod(shape[:-1]) <= FEW
    alone: list[Strip] = []
    for strip in map(_strip, runs_of(passage)):
        if strip.rows.stop - strip.rows.start > 1:
            yield strip
            continue
        like = next((other for other in alone if pays and _are_alike(other, strip)), None)
        if like is None:
            alone.append(strip)
        else:
            alone.remove(like)
            yield _joined(like, strip, trailing)
    yield from alone


def _strip(run: Run) -> Strip:
    def points(point: Point | None) -> Any:
        if point is None:
            return None
        if point.known is not None:
            return point.known
        return Points(slice(run.start + point.offset, run.stop + point.offset), point.sign)

    def weights(given: Any) -> Any:
        if given is None or not given.ndim:
            return given
        return given[run.start - run.first : run.stop - run.first]

    differences = tuple((points(high), points(low), weights(w)) for high, low, w in run.pairs)
    return Strip(slice(run.start, run.stop), differences, run.divisors, run.is_full)


def _are_alike(one: Strip, other: Strip) -> bool:
    """Whether two single rows take as many differences, of values alone, over the same divisors."""
    if len(one.differences) != len(other.differences) or one.divisors != other.divisors:
        return False
    return all(
        isinstance(a, Points)
        and isinstance(b, Points)
        and a.sign == b.sign
        and a.run.start != b.run.start
        for ours, theirs in zip(one.differences, other.differences, strict=True)
        for a, b in zip(ours[:2], theirs[:2], strict=True)
    )


def _joined(one: Strip, other: Strip, trailing: int) -> Strip:
    """Two single rows as one strip."""

    def weights(ours: Any, theirs: Any) -> Any:
        if ours is theirs is None:
            return None
        # A weight of 1 changes nothing.
        like = theirs if ours is None else ours
        pair = [np.ones((), like.dtype) if w is None else w for w in (ours, theirs)]
        return np.array([w.item() for w in pair], like.dtype).reshape(2, *[1] * trailing)

    differences = tuple(
        (
            Points(_both(a[0].run, b[0].run), a[0].sign),
            Points(_both(a[1].run, b[1].run), a[1].sign),
            weights(a[2], b[2]),
        )
        for a, b in zip(one.differences, other.differences, strict=True)
    )
    return Strip(_both(one.rows, other.rows), differences, one.divisors, one.is_full)


def _both(one: slice, other: slice) -> slice:
    """The slice of two points."""
    step = other.start - one.start
    stop = other.start + (1 if step > 0 else -1)
    return slice(one.start, None if stop < 0 else stop, step)


def in_one_row(strip: Strip, shape: tuple[int, ...], axis: int) -> Strip | None:
    """A strip along an axis as one of all elements, as they lie one after the other in memory.

    Between the rows it has some of its own that mean nothing. None where it cannot be taken so.
    """
    n, inner, size = shape[axis], prod(shape[axis + 1 :]), prod(shape)
    points = [point for high, low, _ in strip.differences for point in (high, low)]
    weights = [w for *_, w in strip.differences if w is not None and w.ndim]
    if not all(isinstance(point, Points) and point.sign > 0 for point in points):
        return None
    if strip.rows.step is not None or (weights and weights[0].itemsize * size > REPEATED):
        return None

    def elements(run: slice) -> slice:
        return slice(run.start * inner, (run.stop - n) * inner + size)

    def repeated(weight: Any) -> Any:
        if weight is None or not weight.ndim:
            return weight
        row = np.ones(n, weight.dtype)
        row[strip.rows] = weight.reshape(-1)
        return np.tile(np.repeat(row, inner), size // (n * inner))[elements(strip.rows)]

    differences = tuple(
        (Points(elements(high.run), 1), Points(elements(low.run), 1), repeated(weight))
        for high, low, weight in strip.differences
    )
    return Strip(elements(strip.rows), differences, strip.divisors, strip.is_full)
