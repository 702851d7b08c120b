"""What a method makes of one derivative along one axis: a `Rule`.

A rule lists, for runs of consecutive rows, which differences of values are taken and how they are
weighted. It is the only description of a stencil: engines execute it, plans read the halo off it,
matrices and adjoints are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm
from typing import Any, Protocol

import numpy as np

from gradkit._values import exact_number, nearest_float
from gradkit.line import Line
from gradkit.methods.rows import WALL, Point, Rows
from gradkit.weights import Stencil, in_pairs

__all__ = [
    "CORRECTION",
    "Correction",
    "Method",
    "Rule",
    "common_unit",
    "exact",
    "unit_of",
]

#: Bits of integers that float32 holds.
SHORT = 24

#: The label of rules that are added to others, times what varies along a wall.
CORRECTION = "correction along a wall"


@dataclass(frozen=True, eq=False)
class Correction:
    """A rule that is added to another one, times a factor that may vary along the wall."""

    rule: Rule
    factor: Any


@dataclass(frozen=True, eq=False)
class Rule:
    """One derivative along one axis: ``sum weight * (f[high] - f[low]) / scale`` in every row.

    Attributes
    ----------
    order : int
        Order of the derivative.
    size : int
        Number of values along the axis.
    wrap : int
        Sign of a value met again after `size` points; 0 where rows never reach beyond the ends.
    scale : Fraction
        Common divisor, exact: ``spacing**order`` on a uniform axis, a power of two on coordinates.
    rows : tuple of Rows
        All rows that come out, in order, without gaps.
    first, last : int
        The input holds the points ``first <= i < last``; points beyond the ends of the axis are
        those of the wrapped copies. A whole axis has 0 and `size`.
    unit : Fraction or None
        What the weights of all rows of the whole axis are small multiples of, so that all are over
        one divisor; None for tables, and where there is none.
    exponents : tuple of int
        Powers of two of the smallest and largest weight of the whole axis, where weights are
        tables.
    walls : tuple of two numbers or arrays
        The values that the entries of `WALL` stand for.
    total : Fraction
        What the rule makes of a field that is 1 everywhere, walls included.
    corrections : tuple of Correction
        Rules to be added to this one.
    label : str
        What the derivative is, for `Plan.explain`.
    is_transposed, is_magnitude : bool
        Whether rows take the weights of columns, and the magnitudes of weights.
    """

    order: int
    size: int
    wrap: int
    scale: Fraction
    rows: tuple[Rows, ...]
    first: int
    last: int
    unit: Fraction | None = None
    exponents: tuple[int, int] = (0, 0)
    walls: tuple[Any, Any] = (0, 0)
    total: Fraction = Fraction(0)
    corrections: tuple[Correction, ...] = ()
    label: str = ""
    is_transposed: bool = False
    is_magnitude: bool = False

    @property
    def reach(self) -> int:
        """Largest distance, in points, from a row to a value that it uses."""
        return max((abs(k) for rows in self.rows for k in rows.offsets), default=0)

    @property
    def targets(self) -> int:
        """Number of rows of the whole axis."""
        return self.rows[-1].stop

    @property
    def is_whole(self) -> bool:
        """Whether the input is the whole axis, each point once."""
        return (self.first, self.last) == (0, self.size)

    # --- parts --------------------------------------------------------------------------------

    def rows_between(self, start: int, stop: int) -> Iterator[Rows]:
        """The rows ``start <= i < stop``; where the axis wraps they may lie beyond its ends."""
        turns = range(start // self.targets, -(-stop // self.targets)) if self.wrap else (0,)
        for turn in turns:
            shift = turn * self.targets
            for rows in self.rows:
                part = rows.between(start - shift, stop - shift)
                if part is not None:
                    yield replace(part, start=part.start + shift, stop=part.stop + shift)

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """The first point, and one more than the last, that the rows ``start <= i < stop`` use."""
        rows = [part for part in self.rows_between(start, stop) if part.offsets]
        if not rows:
            inside = min(start, self.size - 1)
            return inside, inside + 1
        return min(part.first for part in rows), max(part.last for part in rows)

    def block(self, start: int, stop: int, first: int, last: int) -> Rule:
        """The rule of the rows ``start <= i < stop``, for an input of ``first <= i < last``."""
        rows = tuple(self.rows_between(start, stop))
        return replace(self, rows=rows, first=first, last=last)

    def segments(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Where the points ``start <= i < stop`` lie in the input.

        Returns
        -------
        list of (begin, end, sign)
            Slices of the input, to be joined in this order, with the sign of their values.
        """
        if not self.wrap:
            return [(start - self.first, stop - self.first, 1)] if start < stop else []
        found: list[tuple[int, int, int]] = []
        while start < stop:
            turn = start // self.size
            end = min(stop, (turn + 1) * self.size)
            sign = self.wrap**turn if turn > 0 else self.wrap**-turn if turn < 0 else 1
            # A block holds the wrapped copies; a whole axis holds each point once.
            offset = turn * self.size if self.is_whole else self.first
            found.append((start - offset, end - offset, sign))
            start = end
        return _joined(found)

    def local(self) -> Rule:
        """The same rows and points, both counted from 0, for an input that is taken as it is.

        Where the axis continues with negatives, rows that reach around its ends are runs of their
        own; who uses the rule must turn the points beyond the ends.
        """
        begin = self.rows[0].start
        rows: list[Rows] = []
        for run in self.rows:
            low, high = min(run.offsets, default=0), max(run.offsets, default=0)
            ends = (-low, self.size - high) if self.wrap < 0 else ()
            bounds = sorted({run.start, run.stop, *(e for e in ends if run.start < e < run.stop)})
            for start, stop in pairwise(bounds):
                part = run.between(start, stop)
                if part is None:
                    continue
                moved = part.moved(-begin, begin - self.first)
                if self.wrap < 0:
                    rows.append(moved)
                else:
                    _append(rows, moved)
        size = self.last - self.first
        return replace(self, size=size, wrap=0, rows=tuple(rows), first=0, last=size)

    # --- other renderings of the same stencils ------------------------------------------------

    def row(self, index: int) -> dict[Point, Fraction]:
        """The exact weight of every point that one row uses, those of `WALL` included."""
        (rows,) = self.rows_between(index, index + 1)
        weights = rows.weights
        if isinstance(weights, np.ndarray):
            # Exact before they are added, so that what differences of constants give is 0.
            rows = replace(rows, given=tuple(exact(w) for w in weights[:, 0]))
        return {k: Fraction(w) / self.scale for k, w in rows.collected().items() if w}

    def tables(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The matrix of the rule, run by run: columns and values, both of shape (rows, entries).

        The columns of a row ascend.
        """
        for rows in self.rows:
            weights = {
                k: w for k, w in rows.collected().items() if isinstance(k, int) and np.any(w)
            }
            size = rows.stop - rows.start
            columns = np.arange(rows.start, rows.stop)[:, None] + np.array([*weights], int)
            values = np.empty((size, len(weights)))
            for i, weight in enumerate(weights.values()):
                values[:, i] = self._values(weight)
            turns, columns = np.divmod(columns, self.size)
            values[turns % 2 != 0] *= self.wrap or 1
            order = np.argsort(columns, axis=1)
            yield np.take_along_axis(columns, order, 1), np.take_along_axis(values, order, 1)

    def over_scale(self, weight: Any) -> Any:
        """A weight over the scale, as an exact fraction, or one per row in longdouble."""
        if not isinstance(weight, np.ndarray):
            return Fraction(weight) / self.scale
        # The scale of tables is a power of two.
        exponent = self.scale.numerator.bit_length() - self.scale.denominator.bit_length()
        return np.ldexp(weight, -exponent)

    def _values(self, weight: Any) -> Any:
        """A weight, or one per row, over the scale, rounded to float64."""
        value = self.over_scale(weight)
        return nearest_float(value) if isinstance(value, Fraction) else value.astype(np.float64)

    def linear(self) -> Rule:
        """The same rule with 0 for the values at the walls."""
        names: dict[Point, Point] = dict.fromkeys(WALL)

        def change(rows: Rows) -> Rows:
            if not any(point in names for pair in rows.pairs for point in pair):
                return rows
            pairs = [(names.get(high, high), names.get(low, low)) for high, low in rows.pairs]
            kept = [i for i, pair in enumerate(pairs) if pair != (None, None)]
            weights = rows.weights
            weights = (
                weights[kept]
                if isinstance(weights, np.ndarray)
                else tuple(weights[i] for i in kept)
            )
            return replace(rows, pairs=tuple(pairs[i] for i in kept), given=weights)

        return self._mapped(change)

    def magnitude(self) -> Rule:
        """The sum of the magnitudes of all products, for a bound on rounding."""

        def change(rows: Rows) -> Rows:
            return rows.with_values({k: abs(w) for k, w in rows.collected().items()})

        rule = self._mapped(change)
        return replace(
            rule,
            scale=abs(self.scale),
            unit=common_unit(rule.rows),
            wrap=abs(self.wrap),
            is_magnitude=True,
        )

    def _mapped(self, change: Callable[[Rows], Rows]) -> Rule:
        return replace(self, rows=tuple(map(change, self.rows)), total=Fraction(0))

    def transposed(self) -> Rule:
        """The rule whose matrix is the transposed one: row j takes what others take from point j.

        Where the weights of a row are numbers that sum to zero, it takes differences again.
        """
        given = list(self._contributions())
        ends = {end for start, stop, _, _ in given for end in (start, stop)} | {0, self.size}
        rows: list[Rows] = []
        for start, stop in pairwise(sorted(ends)):
            weights = {
                k: w[start - first : stop - first] if isinstance(w, np.ndarray) else w
                for first, last, k, w in given
                if first <= start and stop <= last
            }
            _append(rows, self._gathering(start, stop, weights))
        if self.wrap:
            # Apart from the rows near the ends, none reaches around them.
            reach = max((abs(k) for run in rows for k in run.offsets), default=0)
            bounds = sorted({0, min(reach, self.size), max(self.size - reach, 0), self.size})
            parts = (run.between(a, b) for a, b in pairwise(bounds) for run in rows)
            rows = [part for part in parts if part is not None]
        size = self.targets
        return replace(
            self,
            size=size,
            rows=tuple(rows),
            unit=common_unit(rows),
            last=size,
            total=Fraction(0),
            is_transposed=not self.is_transposed,
        )

    def _contributions(self) -> Iterator[tuple[int, int, int, Any]]:
        """What columns receive: ``(first, last, offset, weight)`` of each run of columns."""
        for rows in self.rows:
            for k, weight in rows.collected().items():
                if not isinstance(k, int):
                    continue
                shifts = (-self.size, 0, self.size) if self.wrap else (0,)
                for shift in shifts:
                    first, last = rows.start + k + shift, rows.stop + k + shift
                    start, stop = max(first, 0), min(last, self.size)
                    if start >= stop:
                        continue
                    table = isinstance(weight, np.ndarray)
                    part = weight[start - first : stop - first] if table else weight
                    yield start, stop, -k, part

    def _gathering(self, start: int, stop: int, weights: dict[int, Any]) -> Rows:
        is_table = any(rows.is_table for rows in self.rows)
        accuracy = min(rows.accuracy for rows in self.rows)
        if is_table:
            empty = Rows(start, stop, (), np.zeros((0, stop - start), np.longdouble), accuracy)
            return empty.with_values(dict(sorted(weights.items())))
        pairs = in_pairs(weights)
        return Rows(
            start,
            stop,
            tuple((high, low) for high, low, _ in pairs),
            tuple(w for _, _, w in pairs),
            accuracy,
        )


def _append(rows: list[Rows], following: Rows) -> None:
    """Add rows to a list, joined with the last ones where they take the same differences."""
    if rows and rows[-1].pairs == following.pairs:
        last, weights = rows[-1], rows[-1].weights
        if isinstance(weights, np.ndarray) and isinstance(following.weights, np.ndarray):
            joined = np.concatenate([weights, following.weights], axis=1)
            rows[-1] = replace(last, stop=following.stop, given=joined)
            return
        if weights == following.weights:
            rows[-1] = replace(last, stop=following.stop)
            return
    rows.append(following)


def unit_of(weights: Sequence[Fraction]) -> Fraction:
    """What exact weights are multiples of: the largest of them at least once, below twice."""
    common = lcm(*(w.denominator for w in weights))
    largest = max(abs(w.numerator) * (common // w.denominator) for w in weights)
    return Fraction(1 << largest.bit_length() - 1, common)


def common_unit(rows: Sequence[Rows]) -> Fraction | None:
    """The unit of the longest run of rows, if float32 holds the weights of all rows in it."""
    weighted = [run for run in rows if run.pairs]
    if not weighted or any(run.is_table for run in rows):
        return None
    unit = unit_of(max(weighted, key=lambda run: run.stop - run.start).weights)  # pyright: ignore[reportArgumentType]
    is_held = all(_is_short(w, unit) for run in weighted for w in run.weights)
    return unit if is_held else None


def _is_short(weight: Any, unit: Fraction) -> bool:
    """Whether a weight, counted in a unit, is the same in float32."""
    top = abs(weight.numerator) * unit.denominator
    bottom = weight.denominator * unit.numerator
    common = gcd(top, bottom)
    top, bottom = top // common, bottom // common
    return bottom & (bottom - 1) == 0 and max(top, bottom) <= 2**SHORT


def exact(value: Any) -> Fraction:
    """The exact value of a fraction or of a float of NumPy."""
    if isinstance(value, Fraction | int):
        return Fraction(value)
    return exact_number(value)


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

    def rule(
        self, order: int, line: Line, edge_order: int | None, stencil: Stencil | None = None
    ) -> Rule:
        """The derivative of order `order` along a line, with a stencil of the user's if given."""
        ...

    def refined(self, beyond: int) -> Method:
        """A method two orders more accurate than this one, and than an accuracy `beyond`."""
        ...

    def __hash__(self) -> int: ...

    def __eq__(self, other: Any, /) -> bool: ...
