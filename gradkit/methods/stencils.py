"""The weights of single rows: what all stencils answer, and those on equal spacing.

`Uniform` and `OnCoordinates` (in `coordinates`) answer the same questions: which points a row
takes, and with which weights. They know nothing of where an axis ends; `FiniteDifference` decides
that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from gradkit.errors import ArgumentValueError
from gradkit.line import PLACES, Line
from gradkit.methods.rows import WALL, Point, Rows
from gradkit.weights import (
    Stencil,
    WallClosure,
    central,
    exact_weights,
    half_width,
    in_differences,
    in_pairs,
    staggered_half_width,
    wall_closure,
)

__all__ = ["HALF", "Pairs", "Stencils", "Uniform"]

HALF = Fraction(1, 2)
#: High point, low point and weight of the differences that rows take.
Pairs = Sequence[tuple[Point, Point, Any]]


class _Image(NamedTuple):
    """The value that stands for one beyond a wall: its number and a factor, 0 where f is.

    `place` is the position of the point that it stands for, relative to the result.
    """

    number: int
    factor: int
    place: Fraction


class Stencils(ABC):
    """The stencils of one derivative on one line.

    Parameters
    ----------
    order : int
        Order of the derivative; 0 for an average.
    line : Line
        Where values and results lie.
    own : Stencil, optional
        The user's stencil for rows where it fits, instead of the centred one.
    """

    #: Common divisor of all weights, exact.
    scale: Fraction

    def __init__(self, order: int, line: Line, own: Stencil | None) -> None:
        self.order = order
        self.line = line
        #: Position of value i relative to result i: a whole number, or a half.
        self.shift = Fraction(line.halves, 2)
        self.is_in_place = line.halves % 2 == 0
        self.own = own

    @abstractmethod
    def offsets(self, accuracy: int) -> Sequence[int]:
        """Offsets of the points that rows away from the ends take."""

    @abstractmethod
    def centred(self, accuracy: int, start: int, stop: int) -> Rows:
        """Rows that take these points."""

    @abstractmethod
    def positions(self, row: int, indices: Iterable[int]) -> list[Fraction]:
        """Exact positions of values relative to the result of a row, in units of the stencil."""

    @abstractmethod
    def wall(self, side: int, row: int) -> Fraction:
        """Exact position of a wall relative to the result of a row."""

    @abstractmethod
    def normal(self, side: int) -> Fraction:
        """The derivative along the outward normal of a wall, in units of ``1 / stencil units``."""

    @abstractmethod
    def rows_of(self, row: int, pairs: Pairs, accuracy: int) -> Rows:
        """One row with exact weights."""

    @abstractmethod
    def centred_at(self, accuracy: int, nodes: Mapping[int, Fraction]) -> dict[int, Fraction]:
        """Exact weights of the offsets of the centred stencil, at nodes given by offset."""

    def spread(self, accuracy: int) -> tuple[int, int]:
        """First and last offset that rows away from the ends take."""
        taken = self.offsets(accuracy)
        return (taken[0], taken[-1]) if isinstance(taken, range) else (min(taken), max(taken))

    def _own_offsets(self, own: Stencil) -> tuple[int, ...]:
        """The offsets of the user's stencil, counted in values."""
        return tuple(_index_of(k - self.shift, own) for k in own.offsets)

    def _nearest_offsets(self, accuracy: int, more: int = 0) -> range:
        """The offsets of the centred stencil, and of some `more` points on either side."""
        if self.is_in_place:
            count = 2 * (half_width(self.order, accuracy) + more) + 1
        else:
            count = 2 * (staggered_half_width(self.order, accuracy) + more)
        first = (1 - count - self.line.halves) // 2
        return range(first, first + count)

    def closure(self, indices: Sequence[int], row: int, accuracy: int) -> Rows:
        """A row that takes given values alone."""
        nodes = self.positions(row, indices)
        weights = exact_weights(nodes, self.order)
        labels = [j - row for j in indices]
        return self.rows_of(row, self._pairs(labels, nodes, weights), accuracy)

    def wall_closure(self, side: int, indices: Sequence[int], row: int) -> WallClosure:
        """How a row takes given values and a condition at a wall."""
        return wall_closure(self.positions(row, indices), self.order, self.wall(side, row))

    def at_wall(
        self,
        side: int,
        indices: Sequence[int],
        row: int,
        accuracy: int,
        weights: Sequence[Fraction],
        wall_weight: Fraction,
        value_is_known: bool,
    ) -> Rows:
        """A row that takes given values, and the value (or slope) known at a wall."""
        nodes: list[tuple[Fraction, Point, Fraction]] = [
            (place, j - row, weight)
            for place, j, weight in zip(self.positions(row, indices), indices, weights, strict=True)
        ]
        known: Pairs = [(WALL[side], None, wall_weight)]
        if value_is_known:
            known = []
            nodes.append((self.wall(side, row), WALL[side], wall_weight))
        nodes.sort(key=lambda node: node[0])
        pairs = self._pairs(
            [label for _, label, _ in nodes],
            [place for place, _, _ in nodes],
            [share for _, _, share in nodes],
        )
        return self.rows_of(row, [*pairs, *known], accuracy)

    def mirrored(self, side: int, sign: int, row: int, accuracy: int) -> Rows:
        """A row of the centred stencil, with the values beyond walls folded back over them."""
        images = {k: self._image(row + k, row) for k in self.offsets(accuracy)}
        for number, factor, _ in images.values():
            if factor and not 0 <= number < self.line.sources:
                raise ArgumentValueError(self._unmirrored(side))
        weights: dict[int, Fraction] = {}
        for k, weight in self.centred_at(accuracy, {k: i.place for k, i in images.items()}).items():
            number, factor, _ = images[k]
            if factor:
                weights[number - row] = weights.get(number - row, Fraction(0)) + factor * weight
        return self.rows_of(row, self._folded_pairs(weights, side, sign), accuracy)

    def _image(self, index: int, row: int) -> _Image:
        """What stands for the value of an index that may lie beyond a wall."""
        number, factor, sides = self.line.image(index)
        if factor:
            place = self.positions(row, [number])[0]
        else:
            place = self.wall(sides[-1], row)
            sides = sides[:-1]
        for side in reversed(sides):
            place = 2 * self.wall(side, row) - place
        return _Image(number, factor, place)

    def _unmirrored(self, side: int) -> str:
        line = self.line
        return (
            f"{line.ends[side]!r} on {line.name} needs the value on the wall itself, which is not "
            f"among those at {line.at!r}"
        )

    def _folded_pairs(self, weights: dict[int, Fraction], side: int, sign: int) -> Pairs:
        if sign > 0 or self.order == 0:
            return list(in_pairs(weights))
        # Differences from the 0 at the wall.
        rest = -sum(weights.values(), Fraction(0))
        ordered: list[tuple[Point, Fraction]] = [*sorted(weights.items())]
        ordered.insert(len(ordered) if side else 0, (None, rest))
        labels, values = zip(*ordered, strict=True)
        return [(high, low, w) for high, low, w in in_differences(labels, values) if w]

    def _pairs(
        self, labels: Sequence[Point], nodes: Sequence[Fraction], weights: Sequence[Fraction]
    ) -> Pairs:
        """Differences of neighbours; an average takes the value of the nearest node besides."""
        values: list[tuple[Point, Point, Any]] = []
        rest = list(weights)
        if self.order == 0 and labels:
            nearest = min(map(abs, nodes))
            anchors = [i for i, node in enumerate(nodes) if abs(node) == nearest]
            for i in anchors:
                values.append((labels[i], None, Fraction(1, len(anchors))))
                rest[i] = rest[i] - Fraction(1, len(anchors))
        differences = in_differences(labels, rest)
        return values + [(high, low, w) for high, low, w in differences if w]


class Uniform(Stencils):
    """Stencils on a uniform axis: the same exact weights in every row, for spacing 1."""

    def __init__(self, order: int, line: Line, own: Stencil | None) -> None:
        super().__init__(order, line, own)
        assert line.axis.uniform_spacing is not None
        self.scale = line.axis.uniform_spacing**order

    def stencil(self, accuracy: int) -> Stencil:
        """The stencil of rows away from the ends, positions relative to the result."""
        if self.own is not None:
            return self.own
        if self.is_in_place:
            return central(self.order, accuracy)
        reach = staggered_half_width(self.order, accuracy)
        return Stencil([k + HALF for k in range(-reach, reach)], self.order)

    def offsets(self, accuracy: int) -> Sequence[int]:
        """The offsets of the stencil, counted in values."""
        if self.own is not None:
            return self._own_offsets(self.own)
        return self._nearest_offsets(accuracy)

    def centred(self, accuracy: int, start: int, stop: int) -> Rows:
        """Rows with the exact weights of the stencil."""
        offsets = tuple(self.offsets(accuracy))
        if self.order:
            return Rows(start, stop, *_differences(offsets, self.line.halves, self.order), accuracy)
        stencil = self.stencil(accuracy)
        pairs = self._pairs(offsets, stencil.offsets, stencil.weights)
        return _rows(start, stop, [(high, low, w) for high, low, w in pairs if w], accuracy)

    def positions(self, row: int, indices: Iterable[int]) -> list[Fraction]:
        """Integers, or halves where results lie between values."""
        return [j - row + self.shift for j in indices]

    def wall(self, side: int, row: int) -> Fraction:
        """From the place of the wall on the grid of faces and centres."""
        half = self.line.wall(side)
        assert half is not None
        return (half - (2 * row + 1 + PLACES[self.line.to].shift)) / 2

    def normal(self, side: int) -> Fraction:
        """The sign of the direction, over the spacing."""
        assert self.line.axis.uniform_spacing is not None
        return (1 if side else -1) / abs(self.line.axis.uniform_spacing)

    def rows_of(self, row: int, pairs: Pairs, accuracy: int) -> Rows:
        """The weights as they are."""
        return _rows(row, row + 1, pairs, accuracy)

    def centred_at(self, accuracy: int, nodes: Mapping[int, Fraction]) -> dict[int, Fraction]:
        """The weights do not depend on the positions, which are equally spaced."""
        return dict(zip(self.offsets(accuracy), self.stencil(accuracy).weights, strict=True))

    def closure(self, indices: Sequence[int], row: int, accuracy: int) -> Rows:
        """A row of the stencil of these values, with mirror pairs where it is symmetric."""
        if self.order == 0:
            return super().closure(indices, row, accuracy)
        offsets = tuple(j - row for j in indices)
        return Rows(row, row + 1, *_differences(offsets, self.line.halves, self.order), accuracy)


@lru_cache(maxsize=4096)
def _differences(
    offsets: tuple[int, ...], halves: int, order: int
) -> tuple[tuple[tuple[int, int], ...], tuple[Fraction, ...]]:
    """The differences that a derivative takes of values at some offsets, and their exact weights.

    The first of the values lies `halves` half spacings from the first of the results.
    """
    shift = Fraction(halves, 2)
    stencil = Stencil([k + shift for k in offsets], order)
    kept = [(int(h - shift), int(low - shift), w) for h, low, w in stencil.differences() if w]
    return tuple((high, low) for high, low, _ in kept), tuple(w for _, _, w in kept)


def _rows(start: int, stop: int, pairs: Pairs, accuracy: int) -> Rows:
    weights = tuple(w for _, _, w in pairs)
    return Rows(start, stop, tuple((h, low) for h, low, _ in pairs), weights, accuracy)


def _index_of(offset: Fraction, own: Stencil) -> int:
    """An offset counted in values; a stencil of the user's may have one between them."""
    if offset.denominator != 1:
        raise ArgumentValueError(
            f"{own!r} has offsets that lie between the samples here: positions count from the "
            "point of evaluation, in spacings, so half-integers go with staggered results alone"
        )
    return int(offset)
