"""What a method makes of one derivative along one axis: a `Rule`.

A rule lists, for runs of consecutive rows, which differences of values are taken and how they are
weighted. It is the only description of a stencil: engines execute it, plans read the halo off it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from gradkit.grid import Axis

__all__ = ["Method", "Rows", "Rule"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive rows of an axis that take the same differences.

    Attributes
    ----------
    start, stop : int
        The rows ``start <= i < stop``.
    pairs : tuple of (high, low)
        Row i takes the differences ``f[i + high] - f[i + low]``.
    weights : tuple of Fraction, or ndarray of shape (pairs, stop - start)
        One weight per difference on a uniform axis; one per difference and row on coordinates.
    accuracy : int
        Order of the error that was asked of these rows.
    """

    start: int
    stop: int
    pairs: tuple[tuple[int, int], ...]
    weights: tuple[Fraction, ...] | np.ndarray
    accuracy: int

    @property
    def first(self) -> int:
        """The first point that these rows use; negative where it wraps."""
        return self.start + min(k for pair in self.pairs for k in pair)

    @property
    def last(self) -> int:
        """One more than the last point that these rows use."""
        return self.stop + max(k for pair in self.pairs for k in pair)

    def between(self, start: int, stop: int) -> Rows | None:
        """The part of these rows that lies in ``start <= i < stop``, if any."""
        first, last = max(start, self.start), min(stop, self.stop)
        if first >= last:
            return None
        weights = self.weights
        if isinstance(weights, np.ndarray):
            weights = weights[:, first - self.start : last - self.start]
        return replace(self, start=first, stop=last, weights=weights)


@dataclass(frozen=True, eq=False)
class Rule:
    """One derivative along one axis: ``sum weight * (f[high] - f[low]) / scale`` in every row.

    Attributes
    ----------
    order : int
        Order of the derivative.
    size : int
        Number of points along the axis.
    wrap : int
        Sign of a value met again after `size` points; 0 where rows never reach beyond the ends.
    scale : Fraction
        Common divisor, exact: ``spacing**order`` on a uniform axis, a power of two on coordinates.
    rows : tuple of Rows
        All rows that come out, in order, without gaps.
    first, last : int
        The input holds the points ``first <= i < last``; points beyond the ends of the axis are
        those of the wrapped copies. A whole axis has 0 and `size`.
    """

    order: int
    size: int
    wrap: int
    scale: Fraction
    rows: tuple[Rows, ...]
    first: int
    last: int
    #: Powers of two of the smallest and largest weight of the whole axis, where weights are tables.
    exponents: tuple[int, int] = (0, 0)

    @property
    def reach(self) -> int:
        """Largest distance, in points, from a row to a value that it uses."""
        return max(abs(k) for rows in self.rows for pair in rows.pairs for k in pair)

    @property
    def is_complete(self) -> bool:
        """Whether there is a row, and the input holds every point that the rows use."""
        inside = (self.first <= rows.first and rows.last <= self.last for rows in self.rows)
        return bool(self.rows) and all(inside)

    @property
    def is_whole(self) -> bool:
        """Whether the input is the whole axis, each point once."""
        return (self.first, self.last) == (0, self.size)

    def block(self, start: int, stop: int, halo: int) -> Rule:
        """The rule of the rows ``start <= i < stop``, for an input with `halo` points around them.

        Where the axis does not wrap, the halo ends with the axis.
        """
        kept = (rows.between(start, stop) for rows in self.rows)
        first, last = start - halo, stop + halo
        if not self.wrap:
            first, last = max(first, 0), min(last, self.size)
        return replace(self, rows=tuple(r for r in kept if r is not None), first=first, last=last)

    def segments(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Where the points ``start <= i < stop`` lie in the input.

        Returns
        -------
        list of (begin, end, sign)
            Slices of the input, to be joined in this order, with the sign of their values.
        """
        found: list[tuple[int, int, int]] = []
        while start < stop:
            turn = start // self.size if self.wrap else 0
            end = min(stop, (turn + 1) * self.size) if self.wrap else stop
            sign = self.wrap**turn if turn > 0 else self.wrap**-turn if turn < 0 else 1
            # A block holds the wrapped copies; a whole axis holds each point once.
            offset = turn * self.size if self.is_whole else self.first
            found.append((start - offset, end - offset, sign))
            start = end
        return _joined(found)


def _joined(parts: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Merge neighbouring slices of the same sign that continue each other."""
    merged: list[tuple[int, int, int]] = []
    for begin, end, sign in parts:
        if merged and merged[-1][1] == begin and merged[-1][2] == sign:
            merged[-1] = (merged[-1][0], end, sign)
        else:
            merged.append((begin, end, sign))
    return merged


class Method(Protocol):
    """A way to differentiate along one axis: a frozen value that makes rules."""

    def rule(self, order: int, axis: Axis, size: int, edge_order: int | None, name: str) -> Rule:
        """Bind to an axis of `size` points; `name` is what messages call the axis."""
        ...

    def __hash__(self) -> int: ...

    def __eq__(self, other: Any, /) -> bool: ...
