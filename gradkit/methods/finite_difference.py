"""Finite differences of any order and accuracy along one axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gradkit._threads import each
from gradkit.boundaries import Condition, Dirichlet, Reflection
from gradkit.errors import ArgumentValueError, integer
from gradkit.line import Line
from gradkit.methods.coordinates import SIMPLE_BLOCK, OnCoordinates
from gradkit.methods.rows import WALL, Point, Rows
from gradkit.methods.rule import CORRECTION, Correction, Rule, common_unit
from gradkit.methods.stencils import Stencils, Uniform
from gradkit.methods.walls import factors, is_open, known_value, settled
from gradkit.weights import Stencil, WallClosure

__all__ = ["FiniteDifference"]


@dataclass(frozen=True)
class FiniteDifference:
    """Differentiate with the narrowest centred stencil of a given accuracy.

    Parameters
    ----------
    accuracy : int, default 2
        Order of the error, ``O(h**accuracy)``, at least 1. Centred stencils are even in accuracy,
        so an odd one is served by the next even one in the interior.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `accuracy` is not a positive integer.

    Notes
    -----
    Where the centred stencil does not fit at an end, the row uses the first ``order + edge_order``
    points of the axis, or a narrower centred stencil if that is at least as accurate. A condition
    at a wall takes the place of one point; on equal spacing, a wall that lies on the grid and
    states the value counts as a point.

    On coordinates, a derivative of even order needs an even number of points for an even accuracy:
    the weights are the mean of the two windows that lean to either side. They tend to the centred
    stencil as the spacing evens out, and keep their accuracy on any grid. The same holds for
    staggered derivatives of odd order, unless two points lie at equal distance; with ``accuracy=1``
    these use the two neighbours on any grid, as finite volumes do.

    Weights on coordinates are computed in longdouble; those of the slope at the middle one of three
    points in float64, or in longdouble where the coordinates are.

    Examples
    --------
    >>> FiniteDifference(accuracy=4)
    FiniteDifference(accuracy=4)
    """

    accuracy: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracy", integer("accuracy", self.accuracy, 1))

    def refined(self, beyond: int = 0) -> FiniteDifference:
        """The method two orders more accurate than this one, and than an accuracy `beyond`."""
        return FiniteDifference(max(self.accuracy, beyond) + 2)

    def rule(
        self, order: int, line: Line, edge_order: int | None = None, stencil: Stencil | None = None
    ) -> Rule:
        """Weights of the derivative of order `order` (0: the average) for every row of a line.

        Parameters
        ----------
        order : int
            Order of the derivative.
        line : Line
            The axis, where values and results lie, and what is known at the ends.
        edge_order : int, optional
            Accuracy of the rows at the ends; the default is that of the interior.
        stencil : Stencil, optional
            What rows take wherever it fits, instead of the centred stencil.
        """
        if stencil is not None and stencil.order != order:
            raise ArgumentValueError(
                f"a stencil of order {stencil.order} was given for a derivative of order {order}"
            )
        layout = _Layout(self, order, line, edge_order, stencil)
        layout.check()
        rows = tuple(layout.wrapping_rows() if line.axis.wrap else layout.bounded_rows())
        rule = Rule(
            order=order,
            size=line.sources,
            wrap=line.axis.wrap,
            scale=layout.stencils.scale,
            rows=rows,
            unit=common_unit(rows),
            first=0,
            last=line.sources,
            exponents=_exponents(rows),
            total=Fraction(order == 0),
            label=_label(order, line),
        )
        return layout.with_walls(rule)


class _Layout:
    """Which row of a line takes which stencil."""

    def __init__(
        self,
        method: FiniteDifference,
        order: int,
        line: Line,
        edge_order: int | None,
        own: Stencil | None,
    ) -> None:
        self.stencils: Stencils = (Uniform if line.is_uniform else OnCoordinates)(order, line, own)
        self.line = line
        self.wanted = method.accuracy if own is None else self._own_accuracy(own)
        self.edge = self.wanted if edge_order is None else integer("edge_order", edge_order, 1)
        in_place = self.stencils.shift.denominator == 1
        # Centred stencils have no odd order on equal spacing; coordinates follow suit.
        served = self.wanted + self.wanted % 2 if own is None and in_place else self.wanted
        self.accuracy = served
        self.first, self.last = self.stencils.spread(self.accuracy)
        #: First and last sample; not one at a wall that states the value there.
        self.samples = (self._outermost(0), self._outermost(1))
        #: First and last point whose value is known; on equal spacing a wall may be one.
        self.points = (self._outermost(0, walls=True), self._outermost(1, walls=True))
        #: Rows whose condition is not part of their weights, at each end.
        self.open: tuple[dict[int, _OpenRow], dict[int, _OpenRow]] = ({}, {})

    def _own_accuracy(self, own: Stencil) -> int:
        """That of equal spacing is higher than that of coordinates where stencils are symmetric."""
        return own.accuracy if self.line.is_uniform else len(own.offsets) - own.order

    def _outermost(self, side: int, walls: bool = False) -> int:
        outermost, outwards = (0, self.line.sources - 1)[side], (-1, 1)[side]
        if self.line.ends[side] is None:
            return outermost
        known = isinstance(self.line.ends[side], Dirichlet) and isinstance(self.stencils, Uniform)
        if walls and known:
            return outermost + outwards * self.line.lies_on_wall(side, outermost + outwards)
        return outermost - outwards * self.line.lies_on_wall(side, outermost)

    def check(self) -> None:
        """Raise unless the axis is long enough; rows near a wall check for themselves."""
        line = self.line
        needed = 1
        if line.axis.wrap:
            needed = max(self.last, 0) - min(self.first, 0) + 1
        elif line.ends == (None, None) and line.at == line.to and self.stencils.own is None:
            needed = self.stencils.order + max(self.edge, self.wanted - 1)
        elif any(isinstance(end, Reflection) for end in line.ends):
            needed = self._needed_by_mirrors()
        if line.sources < needed:
            raise ArgumentValueError(self._too_short(needed))
        if not line.targets:
            raise ArgumentValueError(f"{line.name} has no {line.to!r} faces")

    def _needed_by_mirrors(self) -> int:
        """The fewest values among which all images of those beyond mirrors are."""
        line, needed = self.line, 1
        more = line.targets - line.sources
        kept = (self.samples[0], line.sources - 1 - self.samples[1])
        # Counted from the end of each mirror.
        reaches = ((self.first, self.last), (-more - self.last, -more - self.first))
        for side, (first, last) in enumerate(reaches):
            if not isinstance(line.ends[side], Reflection):
                continue
            outermost = line.targets - 1 + self.last if side else self.first
            image = line.mirrored(side, outermost)
            needed = max(needed, (line.sources - 1 - image if side else image) + 1)
            if isinstance(line.ends[1 - side], Reflection):
                continue
            # Where the centred stencil fits nowhere, rows up to the middle must not reach the end.
            lost = kept[1 - side]
            while (needed + more + 1 - side) // 2 > needed - lost - last < kept[side] - first:
                needed += 1
        return needed

    def _too_short(self, needed: int) -> str:
        line, order = self.line, self.stencils.order
        what = f"a derivative of order {order}" if order else "an average"
        ends = f"{line.axis.boundary} ends" if line.axis.wrap else f"edge_order {self.edge}"
        where = "points" if line.at == "centre" else f"{line.at!r} faces"
        return (
            f"{line.name} has {line.sources} {where}, but {what} with accuracy {self.wanted} "
            f"and {ends} needs at least {needed}"
        )

    def _fitting(self) -> tuple[int, int]:
        """The rows ``start <= i < stop`` that the centred stencil fits; others belong to an end.

        Where it fits none, the ends meet in the middle.
        """
        size = self.line.targets
        start = min(max(self.samples[0] - self.first, 0), size)
        stop = min(max(self.samples[1] - self.last + 1, 0), size)
        if start > stop:
            start = stop = (size + 1) // 2
        return start, stop

    def wrapping_rows(self) -> Iterator[Rows]:
        """Rows that take the same points everywhere; apart, those that reach around an end."""
        size = self.line.targets
        bounds = {0, min(max(-self.first, 0), size), max(size - max(self.last, 0), 0), size}
        for start, stop in pairwise(sorted(bounds)):
            yield self.stencils.centred(self.accuracy, start, stop)

    def bounded_rows(self) -> Iterator[Rows]:
        """Rows near the first end one by one, those that the centred stencil fits, the others."""
        left, right = self._fitting()
        for row in range(left):
            yield self._edge_row(row, 0)
        if left < right:
            yield self.stencils.centred(self.accuracy, left, right)
        for row in range(right, self.line.targets):
            yield self._edge_row(row, 1)

    def _edge_row(self, row: int, side: int) -> Rows:
        end = self.line.ends[side]
        if isinstance(end, Reflection):
            return self.stencils.mirrored(side, end.sign, row, self.accuracy)
        fitting = self._widest_fitting(row)
        if fitting >= self.edge:
            return self._naming_walls(self.stencils.centred(fitting, row, row + 1))
        count = self.stencils.order + self.edge
        if isinstance(end, Condition):
            return self._wall_row(row, side, end, self._nearest(side, max(count - 1, 1)))
        return self.stencils.closure(self._nearest(side, count), row, self.edge)

    def _nearest(self, side: int, count: int) -> range:
        first, last = self.samples
        if count > last - first + 1:
            raise ArgumentValueError(self._too_short(self.line.sources + count - last + first - 1))
        return range(last - count + 1, last + 1) if side else range(first, first + count)

    def _widest_fitting(self, row: int) -> int:
        """Accuracy of the widest centred stencil that takes known points alone; 0 for none."""
        if self.stencils.own is not None:
            candidates = [self.accuracy]
        else:
            candidates = list(range(1, self.accuracy + 1))
        for accuracy in reversed(candidates):
            first, last = self.stencils.spread(accuracy)
            if row + first >= self.points[0] and row + last <= self.points[1]:
                return accuracy
        return 0

    def _naming_walls(self, rows: Rows) -> Rows:
        """The same row; the points that lie at a wall are the values known there."""
        names: dict[Point, Point] = {
            point - rows.start: WALL[side]
            for side, point in enumerate(self.points)
            if isinstance(self.line.ends[side], Dirichlet) and point == self.line.wall_index(side)
        }
        pairs = tuple((names.get(high, high), names.get(low, low)) for high, low in rows.pairs)
        return replace(rows, pairs=pairs)

    def _wall_row(self, row: int, side: int, end: Condition, indices: range) -> Rows:
        closure = self.stencils.wall_closure(side, indices, row)
        if is_open(end):
            self.open[side][row] = _OpenRow(indices, closure)
            weights, wall_weight = closure.free, closure.lead
        else:
            normal = self.stencils.normal(side)
            weights, wall_weight = settled(end, closure, normal, self.line.name)
        states_value = not is_open(end) and end.a != 0
        return self.stencils.at_wall(
            side, indices, row, self.edge, weights, wall_weight, states_value
        )

    # --- what the walls add -------------------------------------------------------------------

    def with_walls(self, rule: Rule) -> Rule:
        """The rule with the values at its walls, and its corrections where these are open."""
        if not any(isinstance(end, Condition) for end in self.line.ends):
            return rule
        walls: list[Any] = [0, 0]
        found: list[Correction] = []
        for side, end in enumerate(self.line.ends):
            if not isinstance(end, Condition):
                continue
            rows = self.open[side]
            if not rows:
                walls[side] = known_value(end) if not is_open(end) else 0
                continue
            closure = next(iter(rows.values())).closure
            of_value, of_slope, walls[side] = factors(end, closure, self.stencils.normal(side))
            for factor, part in ((of_value, "value"), (of_slope, "slope")):
                found.append(Correction(self._correction(rule, rows, part), factor))
        return replace(rule, walls=tuple(walls), corrections=tuple(found))

    def _correction(self, rule: Rule, open_rows: dict[int, _OpenRow], part: str) -> Rule:
        """The value or slope of the polynomial through the samples at a wall, in its rows."""

        def change(rows: Rows) -> Rows:
            taken = open_rows.get(rows.start)
            if taken is None:
                nothing = np.zeros((0, rows.stop - rows.start), np.longdouble)
                return replace(rows, pairs=(), given=nothing if rows.is_table else ())
            weights = getattr(taken.closure, part)
            scaled = [
                (j - rows.start, None, taken.closure.lead * w)
                for j, w in zip(taken.indices, weights, strict=True)
                if w and taken.closure.lead
            ]
            return self.stencils.rows_of(rows.start, scaled, rows.accuracy)

        rows = tuple(map(change, rule.rows))
        unit = common_unit(rows)
        return replace(rule, rows=rows, unit=unit, total=Fraction(0), label=CORRECTION)


class _OpenRow(NamedTuple):
    """The samples that a row takes beside a condition, and how it takes them."""

    indices: range
    closure: WallClosure


def _label(order: int, line: Line) -> str:
    names = ("average", "first derivative", "second derivative", "third derivative")
    name = names[order] if order < len(names) else f"derivative of order {order}"
    return name if line.at == line.to == "centre" else f"{name} from {line.at!r} to {line.to!r}"


def _exponents(rows: tuple[Rows, ...]) -> tuple[int, int]:
    """Powers of two of the smallest and largest weight that is not 0.

    What is deferred is far within the range of every dtype.
    """
    tables = [r.given for r in rows if isinstance(r.given, np.ndarray) and r.given.size]
    if not tables:
        return (0, 0)
    parts = [part for table in tables for part in _parts(table)]
    # Threads take longer to begin than small tables do in all.
    sizes = each(_extremes, parts) if len(parts) > len(tables) else list(map(_extremes, parts))
    largest = max(high for _, high in sizes)
    if not largest:
        return (0, 0)
    smallest = min(low for low, _ in sizes)
    beyond = int(np.finfo(largest.dtype).maxexp) + 1
    return int(np.frexp(smallest)[1]), int(np.frexp(largest)[1]) if largest < np.inf else beyond


def _parts(table: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of a table that stay in a cache."""
    if table.size <= SIMPLE_BLOCK:
        yield table
        return
    for weights in table:
        yield from (weights[i : i + SIMPLE_BLOCK] for i in range(0, len(weights), SIMPLE_BLOCK))


def _extremes(weights: np.ndarray) -> tuple[Any, Any]:
    """The smallest size of weights that are not 0 (infinity: there is none) and the largest."""
    if weights.size == 1:
        size = abs(weights.flat[0])
        return size or np.inf, size
    sizes = np.abs(weights)
    smallest = sizes.min()
    if not smallest:
        smallest = np.min(sizes, where=sizes > 0, initial=np.inf)
    return smallest, sizes.max()
