"""Consecutive rows of an axis: which differences they take, and the weights of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["WALL", "Deferred", "Point", "Rows"]

#: The values known at the first and at the last wall, among the points that rows use.
WALL = ("first wall", "last wall")

#: A point that a row uses: the offset of a value, one of `WALL`, or None for the number 0.
Point = int | str | None

Weights = tuple[Fraction, ...] | np.ndarray


@dataclass(frozen=True, eq=False)
class Deferred:
    """A table of weights that has not been computed yet.

    Who takes the rows of a long axis in parts computes the weights of one part at a time.

    Attributes
    ----------
    weights : callable
        ``weights(accuracy, start, stop)`` is the table of the rows ``start <= i < stop`` of an
        axis, of shape (differences, rows).
    accuracy : int
        Order of the error that is asked of the rows.
    start, stop : int
        The rows of this table.
    room : int
        Bytes that a row takes while its weights are computed.
    """

    weights: Callable[[int, int, int], np.ndarray]
    accuracy: int
    start: int
    stop: int
    room: int

    def part(self, first: int, last: int) -> Deferred:
        """The rows ``first <= i < last`` of this table, counted from its own first row."""
        return replace(self, start=self.start + first, stop=self.start + last)

    def table(self) -> np.ndarray:
        """All weights of this table."""
        return self.weights(self.accuracy, self.start, self.stop)


@dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive rows of an axis that take the same differences.

    Attributes
    ----------
    start, stop : int
        The rows ``start <= i < stop``.
    pairs : tuple of (high, low)
        Row i takes the differences ``f[i + high] - f[i + low]``; None stands for 0, and an entry of
        `WALL` for the value known there. Without any pair the rows are 0.
    given : tuple of Fraction, ndarray, or Deferred
        The `weights`, or what computes them.
    accuracy : int
        Order of the error that was asked of these rows.
    """

    start: int
    stop: int
    pairs: tuple[tuple[Point, Point], ...]
    given: Weights | Deferred
    accuracy: int

    @cached_property
    def weights(self) -> Weights:
        """One weight per difference on a uniform axis; one per difference and row on coordinates.

        A tuple of Fraction, or an array of shape (pairs, stop - start).
        """
        return self.given.table() if isinstance(self.given, Deferred) else self.given

    @property
    def is_table(self) -> bool:
        """Whether there is one weight per difference and row."""
        return not isinstance(self.given, tuple)

    @property
    def deferred(self) -> Deferred | None:
        """The weights that are still to be computed; None if they are there."""
        if isinstance(self.given, Deferred) and "weights" not in self.__dict__:
            return self.given
        return None

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The offsets of the values that the rows use, in order, each once."""
        return tuple(sorted({k for pair in self.pairs for k in pair if isinstance(k, int)}))

    @property
    def first(self) -> int:
        """The first point that these rows use; negative where it wraps."""
        return self.start + min(self.offsets, default=0)

    @property
    def last(self) -> int:
        """One more than the last point that these rows use."""
        return self.stop + max(self.offsets, default=0)

    def between(self, start: int, stop: int) -> Rows | None:
        """The part of these rows that lies in ``start <= i < stop``, if any."""
        first, last = max(start, self.start), min(stop, self.stop)
        if first >= last:
            return None
        if (first, last) == (self.start, self.stop):
            return self
        begin, end = first - self.start, last - self.start
        given: Weights | Deferred = self.deferred or self.weights
        if isinstance(given, Deferred):
            given = given.part(begin, end)
        elif isinstance(given, np.ndarray):
            given = given[:, begin:end]
        return replace(self, start=first, stop=last, given=given)

    def moved(self, by: int, offset: int) -> Rows:
        """The same rows, counted from elsewhere, with something added to all offsets."""
        pairs = tuple((_added(high, offset), _added(low, offset)) for high, low in self.pairs)
        return replace(self, start=self.start + by, stop=self.stop + by, pairs=pairs)

    def collected(self) -> dict[Point, Any]:
        """The weight of every point: a Fraction, or an array with one number per row."""
        found: dict[Point, Any] = {}
        for (high, low), weight in zip(self.pairs, self.weights, strict=True):
            found[high] = found.get(high, 0) + weight
            found[low] = found.get(low, 0) - weight
        found.pop(None, None)
        return found

    def with_values(self, weights: Mapping[Any, Any]) -> Rows:
        """The same rows with other weights, one per value (Fractions, or one array each)."""
        pairs = tuple((k, None) for k in weights)
        if self.is_table:
            table = np.reshape(list(weights.values()), (len(pairs), self.stop - self.start))
            return replace(self, pairs=pairs, given=table)
        return replace(self, pairs=pairs, given=tuple(weights.values()))


def _added(point: Point, offset: int) -> Point:
    return point + offset if isinstance(point, int) else point
