"""Weighted sums of neighbours along one axis: what stencils of the user's own are made of."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from gradkit.boundaries import Condition, Dirichlet, Reflection
from gradkit.errors import ArgumentValueError, UnsupportedError
from gradkit.line import PLACES, Line
from gradkit.methods.rows import WALL, Point, Rows
from gradkit.methods.rule import Rule, common_unit
from gradkit.methods.walls import is_open, known_value, settled
from gradkit.weights import exact_weights, in_differences, in_pairs, wall_closure

__all__ = ["weighted_rule"]


def weighted_rule(
    weights: Mapping[int, Fraction], line: Line, points: int, scale: Fraction
) -> Rule:
    """The sum of weights times the values at offsets, over a scale, in every row of a line.

    Parameters
    ----------
    weights : mapping of int to Fraction
        Weight of the value at each offset.
    line : Line
        Equally spaced, results where the values are.
    points : int
        Values beyond an end are those of the polynomial through so many points; a condition at a
        wall takes the place of one.
    scale : Fraction
        Common divisor.
    """
    size, wrap = line.sources, line.axis.wrap
    first, last = min(weights), max(weights)
    needed = max(last, 0) - min(first, 0) + 1 if wrap else 1
    if size < needed:
        raise ArgumentValueError(_too_short(line, needed))
    inside = in_pairs(weights)
    beyond = _Beyond(line, points)
    left = min(max(beyond.first - first, 0), size)
    right = max(min(beyond.last - last + 1, size), left)
    rows: list[Rows] = []
    for start, stop in pairwise((0, left, right, size)):
        if start < stop and (wrap or (start, stop) == (left, right)):
            rows.append(_rows(start, stop, inside))
        else:
            rows.extend(_rows(i, i + 1, beyond.row(weights, i)) for i in range(start, stop))
    total = sum(weights.values(), Fraction(0))
    walls = tuple(known_value(end) if isinstance(end, Condition) else 0 for end in line.ends)
    return Rule(
        order=0,
        size=size,
        wrap=wrap,
        scale=scale,
        rows=tuple(rows),
        unit=common_unit(rows),
        first=0,
        last=size,
        walls=walls,  # pyright: ignore[reportArgumentType]
        total=total / scale,
        label="shift" if len(weights) == 1 else f"weighted sum of {len(weights)} points",
    )


def _too_short(line: Line, needed: int) -> str:
    return (
        f"{line.name} has {line.sources} points, but a stencil of your own, with the points that "
        f"stand for those beyond the ends, needs at least {needed}"
    )


def _rows(start: int, stop: int, pairs: list[tuple[Any, Any, Fraction]]) -> Rows:
    named = tuple((high, low) for high, low, _ in pairs)
    return Rows(start, stop, named, tuple(w for _, _, w in pairs), 1)


class _Beyond:
    """Values beyond the ends of an axis, in terms of those inside and those known at walls."""

    def __init__(self, line: Line, points: int) -> None:
        self.line = line
        self.points = points
        self.shift = PLACES[line.at].shift
        #: The first and the last value that rows may take as it is.
        self.first, self.last = 0, line.sources - 1
        if not line.axis.wrap:
            self.first += line.lies_on_wall(0, 0)
            self.last -= line.lies_on_wall(1, self.last)
        for end in line.ends:
            if isinstance(end, Condition) and is_open(end):
                raise UnsupportedError(
                    f"{end!r} varies along the wall or is complex, which stencils of your own do "
                    "not serve: wanted real numbers a and b"
                )

    def row(self, weights: Mapping[int, Fraction], row: int) -> list[tuple[Point, Point, Fraction]]:
        """The differences that a row takes."""
        found: dict[Point, Fraction] = {}
        for k, weight in weights.items():
            for point, share in self._value(row + k).items():
                name = point - row if isinstance(point, int) else point
                found[name] = found.get(name, Fraction(0)) + weight * share
        slopes = {
            WALL[side]: found.pop(WALL[side], Fraction(0))
            for side, end in enumerate(self.line.ends)
            if isinstance(end, Condition) and end.a == 0
        }
        places: dict[Point, int] = {WALL[0]: -row - 2, WALL[1]: self.line.sources - row + 1}
        ordered = sorted(found, key=lambda p: p if isinstance(p, int) else places[p])
        known: list[tuple[Point, Point, Fraction]] = [
            (name, None, w) for name, w in slopes.items() if w
        ]
        if sum(found.values()):
            return [(p, None, found[p]) for p in ordered if found[p]] + known
        pairs = in_differences(ordered, [found[p] for p in ordered])
        return [(high, low, w) for high, low, w in pairs if w] + known

    def _value(self, index: int) -> dict[Point, Fraction]:
        """The value at an index as a sum of values inside and at a wall."""
        for side, end in enumerate(self.line.ends):
            if self.line.lies_on_wall(side, index):
                return {WALL[side]: Fraction(1)} if isinstance(end, Dirichlet) else {}
        if self.first <= index <= self.last:
            return {index: Fraction(1)}
        side = int(2 * index >= self.line.sources)
        end = self.line.ends[side]
        if isinstance(end, Reflection):
            return self._mirrored(index, side)
        count = max(self.points - isinstance(end, Condition), 1)
        held = self.last - self.first + 1
        if count > held:
            raise ArgumentValueError(_too_short(self.line, self.line.sources + count - held))
        nearest = (
            range(self.last - count + 1, self.last + 1)
            if side
            else range(self.first, self.first + count)
        )
        nodes = [Fraction(j - index) for j in nearest]
        if not isinstance(end, Condition):
            return dict(zip(nearest, exact_weights(nodes, 0), strict=True))
        half = self.line.wall(side)
        assert half is not None
        assert self.line.axis.uniform_spacing is not None
        closure = wall_closure(nodes, 0, (half - 1 - self.shift) / 2 - index)
        normal = (1 if side else -1) / abs(self.line.axis.uniform_spacing)
        shares, wall = settled(end, closure, normal, self.line.name)
        return {**dict(zip(nearest, shares, strict=True)), WALL[side]: wall}

    def _mirrored(self, index: int, side: int) -> dict[Point, Fraction]:
        image, factor, _ = self.line.image(index)
        if not factor:
            return {}
        if not 0 <= image < self.line.sources:
            inside = self.line.mirrored(side, index)
            raise ArgumentValueError(
                _too_short(self.line, self.line.sources - inside if side else inside + 1)
            )
        return {point: factor * share for point, share in self._value(image).items()}
