"""The weights of single rows: on equal spacing as exact fractions, on coordinates as tables.

`Uniform` and `OnCoordinates` answer the same questions: which points a row takes, and with which
weights. They know nothing of where an axis ends; `FiniteDifference` decides that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from gradkit.errors import ArgumentValueError
from gradkit.line import PLACES, Line
from gradkit.methods.rule import WALL, Point, Rows, exact
from gradkit.weights import (
    Stencil,
    WallClosure,
    central,
    fornberg,
    half_width,
    in_differences,
    in_pairs,
    staggered_half_width,
    wall_closure,
)

__all__ = ["BLOCK", "OnCoordinates", "Stencils", "Uniform"]

#: Rows of tables that are computed at a time, so that the intermediate arrays stay in a cache.
BLOCK = 8192
_HALF = Fraction(1, 2)
#: High point, low point and weight of the differences that rows take.
Pairs = Sequence[tuple[Point, Point, Any]]


class _Image(NamedTuple):
    """The value that stands for one beyond a wall: its number (None: there is none) and a factor.

    `place` is the position of the point that it stands for, relative to the result.
    """

    number: int | None
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
        self.shift = Fraction(line.halves, 2)
        self.own = own

    @abstractmethod
    def offsets(self, accuracy: int) -> tuple[int, ...]:
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
        return min(taken), max(taken)

    def closure(self, indices: Sequence[int], row: int, accuracy: int) -> Rows:
        """A row that takes given values alone."""
        nodes = self.positions(row, indices)
        weights = fornberg(nodes, self.order)
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
        """A row of the centred stencil, with the values beyond a wall folded back over it."""
        images = {k: self._image(row + k, row, side, sign) for k in self.offsets(accuracy)}
        for number, factor, _ in images.values():
            if number is None:
                raise ArgumentValueError(self._unmirrored(side, accuracy, factor))
        weights: dict[int, Fraction] = {}
        for k, weight in self.centred_at(accuracy, {k: i.place for k, i in images.items()}).items():
            number, factor, _ = images[k]
            if number is not None and factor:
                weights[number - row] = weights.get(number - row, Fraction(0)) + factor * weight
        return self.rows_of(row, self._folded_pairs(weights, side, sign), accuracy)

    def _image(self, index: int, row: int, side: int, sign: int) -> _Image:
        """What stands for the value of an index that may lie beyond a wall."""
        half = self.line.wall(side)
        assert half is not None
        shift = PLACES[self.line.at].shift
        along = 2 * index + 1 + shift
        beyond = half - along if side == 0 else along - half
        wall = self.wall(side, row)
        if beyond > 0:
            index = self.line.mirrored(side, index)
        elif beyond == 0 and sign < 0:
            return _Image(index, 0, wall)
        if not 0 <= index < self.line.sources:
            return _Image(None, int(beyond != 0), wall)
        (place,) = self.positions(row, [index])
        return _Image(index, sign, 2 * wall - place) if beyond > 0 else _Image(index, 1, place)

    def _unmirrored(self, side: int, accuracy: int, beyond: int) -> str:
        line = self.line
        if not beyond:
            return (
                f"{line.ends[side]!r} on {line.name} needs the value on the wall itself, which is "
                f"not among those at {line.at!r}"
            )
        return (
            f"{line.name} has {line.sources} points: too few for a stencil that reaches "
            f"{max(map(abs, self.spread(accuracy)))} points beyond the wall"
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
        if self.shift.denominator == 1:
            return central(self.order, accuracy)
        reach = staggered_half_width(self.order, accuracy)
        return Stencil([k + _HALF for k in range(-reach, reach)], self.order)

    def offsets(self, accuracy: int) -> tuple[int, ...]:
        """The offsets of the stencil, counted in values."""
        return tuple(_index(k - self.shift, self.own) for k in self.stencil(accuracy).offsets)

    def centred(self, accuracy: int, start: int, stop: int) -> Rows:
        """Rows with the exact weights of the stencil."""
        stencil = self.stencil(accuracy)
        if self.order:
            differences = stencil.differences()
            pairs = [(int(h - self.shift), int(low - self.shift), w) for h, low, w in differences]
        else:
            labels = [int(k - self.shift) for k in stencil.offsets]
            pairs = self._pairs(labels, stencil.offsets, stencil.weights)
        kept = [(high, low, w) for high, low, w in pairs if w]
        return _rows(start, stop, kept, accuracy)

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
        stencil = Stencil(self.positions(row, indices), self.order)
        differences = [
            (int(h - self.shift), int(low - self.shift), w) for h, low, w in stencil.differences()
        ]
        return _rows(row, row + 1, [d for d in differences if d[2]], accuracy)


def _rows(start: int, stop: int, pairs: Pairs, accuracy: int) -> Rows:
    weights = tuple(w for _, _, w in pairs)
    return Rows(start, stop, tuple((h, low) for h, low, _ in pairs), weights, accuracy)


def _index(offset: Fraction, own: Stencil | None) -> int:
    if offset.denominator != 1:
        raise ArgumentValueError(
            f"{own!r} has offsets that lie between the samples here: positions count from the "
            "point of evaluation, in spacings, so half-integers go with staggered results alone"
        )
    return int(offset)


class OnCoordinates(Stencils):
    """Stencils on coordinates: weights computed row by row and rounded once more by the engine.

    They are computed in longdouble, because on rough grids the recursion loses digits. Where the
    spacing is tiny or huge, distances are measured in a power of two near the mean one, so that no
    product of them overflows.
    """

    def __init__(self, order: int, line: Line, own: Stencil | None) -> None:
        super().__init__(order, line, own)
        # Points are counted along a track: the centres alone, or faces and centres in turn.
        self._stride = 1 if line.at == line.to == "centre" else 2
        mean = abs(line.axis.coordinates.extent) / line.cells
        exponent = mean.numerator.bit_length() - mean.denominator.bit_length()
        # Products of 32 distances are within range then.
        is_safe = abs(exponent) <= np.finfo(np.longdouble).maxexp // 64
        self._exponent = 0 if is_safe else exponent
        self._start = 0 if self._stride == 1 else 1 + PLACES[line.to].shift
        self._lead = 0 if self._stride == 1 else line.halves
        self.scale = Fraction(2) ** (self._exponent * order)

    @property
    def _is_increasing(self) -> bool:
        return self.line.axis.coordinates.extent > 0

    @cached_property
    def _track(self) -> np.ndarray:
        axis = self.line.axis
        return axis.steps() if self._stride == 1 else axis.half_steps()

    def _steps(self, start: int, stop: int, dtype: Any = np.longdouble) -> np.ndarray:
        """Distances along the track, which goes on at its other end."""
        axis = self.line.axis
        if self._stride == 1 and not axis.wrap:
            steps = axis.coordinates.steps(start, stop, dtype)
        else:
            places = np.arange(start, stop)
            steps = self._track.take(places, mode="wrap").astype(dtype, copy=False)
        return np.ldexp(steps, -self._exponent) if self._exponent else steps

    def _leans(self, accuracy: int) -> bool:
        """Whether the centred stencil is the mean of two windows that lean to either side."""
        if self.own is not None:
            return False
        if self.shift.denominator == 1:
            return self.order > 0 and self.order % 2 == 0 and accuracy % 2 == 0
        too_few = 2 * staggered_half_width(self.order, accuracy) - self.order < accuracy
        return too_few and not (self.order == 1 and accuracy == 2 and self._is_midway())

    def _is_midway(self) -> bool:
        """Whether results between two values lie midway between the nearest."""
        line, low = self.line, int(-_HALF - self.shift)
        inside = (max(-low, 0), min(line.sources - low - 1, line.targets))
        first, last = (0, line.targets) if line.axis.wrap else inside
        if first >= last:
            return False
        begin, end = (self._start + self._stride * row for row in (first, last - 1))
        steps = self._steps(begin - 1, end + 1)
        return bool((steps[:-1:2] == steps[1::2]).all())

    def offsets(self, accuracy: int) -> tuple[int, ...]:
        """As many points as the order of the error needs on any grid."""
        if self.own is not None:
            return tuple(_index(k - self.shift, self.own) for k in self.own.offsets)
        leans = self._leans(accuracy)
        if self.shift.denominator == 1:
            reach = half_width(self.order, accuracy) + leans
            return tuple(range(-reach - int(self.shift), reach + 1 - int(self.shift)))
        reach = staggered_half_width(self.order, accuracy) + leans
        first = int(-reach + _HALF - self.shift)
        return tuple(range(first, first + 2 * reach))

    def centred(self, accuracy: int, start: int, stop: int) -> Rows:
        """Rows with a table of weights."""
        offsets = self.offsets(accuracy)
        if self._stride == 1 and self.order == 1 and offsets == (-1, 0, 1) and self.own is None:
            return self._three_points(start, stop, accuracy)
        if not self._leans(accuracy):
            pairs, weights = self._table(offsets, start, stop)
            return Rows(start, stop, pairs, weights, accuracy)
        pairs, left = self._table(offsets[:-1], start, stop)
        more, right = self._table(offsets[1:], start, stop)
        nothing = np.zeros_like(left[:1])
        weights = (np.concatenate([left, nothing]) + np.concatenate([nothing, right])) / 2
        return Rows(start, stop, (*pairs, more[-1]), weights, accuracy)

    def closure(self, indices: Sequence[int], row: int, accuracy: int) -> Rows:
        """A row with a table of weights."""
        pairs, weights = self._table([j - row for j in indices], row, row + 1)
        return Rows(row, row + 1, pairs, weights, accuracy)

    def positions(self, row: int, indices: Iterable[int]) -> list[Fraction]:
        """Sums of distances between neighbours."""
        return [self._position(row, self._stride * (j - row) + self._lead) for j in indices]

    def _position(self, row: int, along: int) -> Fraction:
        """Exact position, relative to the result of a row, of what lies `along` the track."""
        place = self._stride * row + self._start
        steps = self._steps(min(place, place + along), max(place, place + along))
        total = sum(map(exact, steps), Fraction(0))
        return total if along > 0 else -total

    def wall(self, side: int, row: int) -> Fraction:
        """From the exact distance of the wall from the end."""
        centre = self.line.cells - 1 if side else 0
        along = (centre if self._stride == 1 else 2 * centre + 1) - (
            self._stride * row + self._start
        )
        distance = self.line.distance(side) / Fraction(2) ** self._exponent
        outwards = distance if (side == 1) == self._is_increasing else -distance
        return self._position(row, along) + outwards

    def normal(self, side: int) -> Fraction:
        """The sign of the direction, over the power of two that distances are measured in."""
        increasing = self._is_increasing
        return (1 if (side == 1) == increasing else -1) / Fraction(2) ** self._exponent

    def rows_of(self, row: int, pairs: Pairs, accuracy: int) -> Rows:
        """The weights rounded once, as a table of one row."""
        weights = np.array([[_longdouble(w)] for _, _, w in pairs], np.longdouble).reshape(-1, 1)
        named = tuple((high, low) for high, low, _ in pairs)
        return Rows(row, row + 1, named, weights, accuracy)

    def centred_at(self, accuracy: int, nodes: Mapping[int, Fraction]) -> dict[int, Fraction]:
        """The mean of two windows where the stencil leans to either side."""
        offsets = self.offsets(accuracy)
        windows = (offsets[:-1], offsets[1:]) if self._leans(accuracy) else (offsets,)
        weights = dict.fromkeys(offsets, Fraction(0))
        for window in windows:
            for k, w in zip(window, fornberg([nodes[k] for k in window], self.order), strict=True):
                weights[k] += w / len(windows)
        return weights

    def _three_points(self, start: int, stop: int, accuracy: int) -> Rows:
        """The slopes of the two intervals, each weighted with the length of the other one.

        The recursion finds the same weights, with ten times the work. In float64 these have two
        roundings more than there, and take a tenth of the time again.
        """
        dtype = np.float64 if self._has_plain_distances() else np.longdouble
        weights = np.empty((2, stop - start), dtype)
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            steps = self._steps(first - 1, last, dtype)
            before, after = steps[:-1], steps[1:]
            both = before + after
            left, right = weights[:, first - start : last - start]
            # Shares are within range, however small the intervals.
            with np.errstate(over="ignore", under="ignore"):
                np.divide(np.divide(after, both, out=left), before, out=left)
                np.divide(np.divide(before, both, out=right), after, out=right)
        return Rows(start, stop, ((0, -1), (1, 0)), weights, accuracy)

    def _has_plain_distances(self) -> bool:
        """Whether float64 holds distances to all its digits, as far as coordinates have these."""
        points, limits = self.line.axis.coordinates, np.finfo(np.float64)
        if points.values.dtype == np.longdouble or not self._exponent:
            return points.values.dtype != np.longdouble
        smallest = np.abs(self._steps(0, len(points) - 1)).min()
        return abs(self._exponent) < limits.maxexp - 16 and smallest > limits.tiny / limits.eps

    def _table(
        self, offsets: Sequence[int], start: int, stop: int
    ) -> tuple[tuple[tuple[Point, Point], ...], np.ndarray]:
        """The differences that a window takes, and their weights in each row."""
        blocks: list[np.ndarray] = []
        pairs: tuple[tuple[Point, Point], ...] = ()
        for first in range(start, stop, BLOCK):
            nodes = self._distances(offsets, first, min(first + BLOCK, stop))
            weights = fornberg(nodes, self.order)
            taken: list[tuple[Point, Point, Any]] = []
            if self.order == 0:
                # An average takes the value of the nearest node, or of the two about it.
                for k in self._anchors(offsets):
                    share = np.full_like(nodes[0], 1) / len(self._anchors(offsets))
                    taken.append((k, None, share))
                    weights[offsets.index(k)] = weights[offsets.index(k)] - share
            taken += in_differences(offsets, weights)
            pairs = tuple((high, low) for high, low, _ in taken)
            blocks.append(np.stack([weight for _, _, weight in taken]))
        return pairs, np.concatenate(blocks, axis=1)

    def _anchors(self, offsets: Sequence[int]) -> list[int]:
        places = {k: abs(self._stride * k + self._lead) for k in offsets}
        return [k for k in offsets if places[k] == min(places.values())]

    def _distances(self, offsets: Sequence[int], start: int, stop: int) -> list[np.ndarray]:
        """Position of each offset relative to each of the rows, summed from the row outward."""
        stride, size = self._stride, stop - start
        along = [stride * k + self._lead for k in offsets]
        low, high = min(*along, 0), max(*along, 0)
        base = stride * start + self._start
        steps = self._steps(base + low, base + stride * (size - 1) + high)
        position = {0: np.zeros(size, steps.dtype)}
        for d in range(1, high + 1):
            position[d] = position[d - 1] + steps[d - 1 - low :: stride][:size]
        for d in range(-1, low - 1, -1):
            position[d] = position[d + 1] - steps[d - low :: stride][:size]
        return [position[d] for d in along]


def _longdouble(value: Fraction) -> np.longdouble:
    """The longdouble nearest to a fraction, whatever the sizes of its parts."""
    if not value:
        return np.longdouble(0)
    bits = np.finfo(np.longdouble).nmant + 3
    shift = bits - (abs(value.numerator).bit_length() - value.denominator.bit_length())
    scaled = value * Fraction(2) ** shift
    return np.ldexp(np.longdouble(round(scaled)), -shift)
