"""Stencils on coordinates: tables of weights, one per difference and row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from gradkit._threads import in_blocks
from gradkit._values import nearest_longdouble
from gradkit.line import PLACES, Line
from gradkit.methods.rows import Deferred, Point, Rows
from gradkit.methods.rule import exact
from gradkit.methods.stencils import HALF, Pairs, Stencils
from gradkit.weights import (
    Stencil,
    exact_weights,
    fornberg,
    in_differences,
    staggered_half_width,
)

__all__ = ["SIMPLE_BLOCK", "OnCoordinates"]

Differences = tuple[tuple[Point, Point], ...]

#: Rows of tables that are computed at a time, so that the intermediate arrays stay in a cache.
BLOCK = 8192
#: The same where there are few of these arrays.
SIMPLE_BLOCK = 32768
#: Rows from which on weights are computed when they are asked for.
LONG = 2**21


class OnCoordinates(Stencils):
    """Stencils on coordinates: weights computed row by row and rounded once more by the engine.

    They are computed in longdouble, because on rough grids the recursion loses digits. Where the
    spacing is tiny or huge, distances are measured in a power of two between the shortest and the
    longest one, so that no product of them overflows.
    """

    def __init__(self, order: int, line: Line, own: Stencil | None) -> None:
        super().__init__(order, line, own)
        # Points are counted along a track: the centres alone, or faces and centres in turn.
        self._stride = 1 if line.at == line.to == "centre" else 2
        points = line.axis.coordinates
        mean = abs(points.extent) / line.cells
        exponent = mean.numerator.bit_length() - mean.denominator.bit_length()
        # Products of 32 distances are within range then.
        limit = np.finfo(np.longdouble).maxexp // 64
        if abs(exponent) > limit and len(points) > 1:
            sizes = np.frexp(points.steps(0, len(points) - 1, np.longdouble))[1]
            exponent = (int(sizes.min()) + int(sizes.max())) // 2
        self._exponent = exponent if abs(exponent) > limit else 0
        self._start = 0 if self._stride == 1 else 1 + PLACES[line.to].shift
        self._lead = 0 if self._stride == 1 else line.halves
        self.scale = Fraction(2) ** (self._exponent * order) if self._exponent else Fraction(1)

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
        if self.is_in_place:
            return self.order > 0 and self.order % 2 == 0 and accuracy % 2 == 0
        too_few = 2 * staggered_half_width(self.order, accuracy) - self.order < accuracy
        return too_few and not (self.order == 1 and accuracy == 2 and self._is_midway())

    def _is_midway(self) -> bool:
        """Whether results between two values lie midway between the nearest."""
        line, low = self.line, int(-HALF - self.shift)
        inside = (max(-low, 0), min(line.sources - low - 1, line.targets))
        first, last = (0, line.targets) if line.axis.wrap else inside
        if first >= last:
            return False
        begin, end = (self._start + self._stride * row for row in (first, last - 1))
        steps = self._steps(begin - 1, end + 1)
        return bool((steps[:-1:2] == steps[1::2]).all())

    def offsets(self, accuracy: int) -> Sequence[int]:
        """As many points as the order of the error needs on any grid."""
        if self.own is not None:
            return self._own_offsets(self.own)
        return self._nearest_offsets(accuracy, int(self._leans(accuracy)))

    def centred(self, accuracy: int, start: int, stop: int) -> Rows:
        """Rows with a table of weights, or with what computes it where there are many rows."""
        if stop - start > LONG:
            pairs, one = self._weighted(accuracy, start, start + 1)
            if self._is_within_range(accuracy, one.dtype):
                # Tables in longdouble are joined from blocks, then rounded.
                room = (3 if one.itemsize > 8 else 1) * one.nbytes
                given = Deferred(self._weights, accuracy, start, stop, room)
                return Rows(start, stop, pairs, given, accuracy)
        return Rows(start, stop, *self._weighted(accuracy, start, stop), accuracy)

    def _weights(self, accuracy: int, start: int, stop: int) -> np.ndarray:
        return self._weighted(accuracy, start, stop)[1]

    def _weighted(self, accuracy: int, start: int, stop: int) -> tuple[Differences, np.ndarray]:
        """The differences that centred stencils take, and their weights in each row."""
        offsets = tuple(self.offsets(accuracy))
        if self._stride == 1 and self.order == 1 and offsets == (-1, 0, 1) and self.own is None:
            return ((0, -1), (1, 0)), self._three_points(start, stop)
        if not self._leans(accuracy):
            return self._table(offsets, start, stop)
        pairs, left = self._table(offsets[:-1], start, stop)
        more, right = self._table(offsets[1:], start, stop)
        nothing = np.zeros_like(left[:1])
        weights = (np.concatenate([left, nothing]) + np.concatenate([nothing, right])) / 2
        return (*pairs, more[-1]), weights

    def _is_within_range(self, accuracy: int, dtype: np.dtype) -> bool:
        """Whether weights are far within the range of float32, in any row.

        A weight is a sum of products of distances, over a product of one distance less than there
        are points. Where the sum cancels, rounding in `dtype` leaves that much less of it.
        """
        if self._stride > 1 or self.line.axis.wrap:
            return False
        sizes = sorted(map(abs, self.line.axis.coordinates.extreme_steps()))
        if not sizes[0]:
            return False
        low, high = np.log2(sizes)
        offsets, order = self.offsets(accuracy), self.order
        digits = (max(*offsets, 0) - min(*offsets, 0)).bit_length()
        spread = (len(offsets) - 1 - order) * (high - low + digits) + (order + 1) * digits
        limit, rest = -np.finfo(np.float32).minexp - 8, np.finfo(dtype).nmant + 1
        return bool(-order * high - spread - rest > -limit and -order * low + spread < limit)

    def closure(self, indices: Sequence[int], row: int, accuracy: int) -> Rows:
        """A row with a table of weights."""
        if self._stride == self.order == 1 and len(indices) == 2:
            return self._two_points(indices[0], row, accuracy)
        if self._stride == self.order == 1 and len(indices) == 3 and row in indices[::2]:
            return self._three_points_at_end(indices, row, accuracy)
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
        weights = np.array([[nearest_longdouble(w)] for _, _, w in pairs], np.longdouble).reshape(
            -1, 1
        )
        named = tuple((high, low) for high, low, _ in pairs)
        return Rows(row, row + 1, named, weights, accuracy)

    def centred_at(self, accuracy: int, nodes: Mapping[int, Fraction]) -> dict[int, Fraction]:
        """The mean of two windows where the stencil leans to either side."""
        offsets = tuple(self.offsets(accuracy))
        windows = (offsets[:-1], offsets[1:]) if self._leans(accuracy) else (offsets,)
        weights = dict.fromkeys(offsets, Fraction(0))
        for window in windows:
            for k, w in zip(
                window, exact_weights([nodes[k] for k in window], self.order), strict=True
            ):
                weights[k] += w / len(windows)
        return weights

    def _two_points(self, first: int, row: int, accuracy: int) -> Rows:
        """The slope of one interval: what the recursion finds, too."""
        weights = 1 / self._steps(first, first + 1)
        pair = (first + 1 - row, first - row)
        return Rows(row, row + 1, (pair,), weights.reshape(1, 1), accuracy)

    def _three_points(self, start: int, stop: int) -> np.ndarray:
        """The slopes of the two intervals, each weighted with the length of the other one.

        The recursion finds the same weights, with ten times the work. In float64 these have two
        roundings more than there, and take a tenth of the time again.
        """
        dtype = np.float64 if self._has_plain_distances() else np.longdouble
        weights = np.empty((2, stop - start), dtype)

        def fill(first: int, last: int) -> None:
            steps = self._steps(first - 1, last, dtype)
            before, after = steps[:-1], steps[1:]
            both = before + after
            left, right = weights[:, first - start : last - start]
            # Shares are within range, however small the intervals.
            with np.errstate(over="ignore", under="ignore"):
                np.divide(np.divide(after, both, out=left), before, out=left)
                np.divide(np.divide(before, both, out=right), after, out=right)

        in_blocks(fill, start, stop, SIMPLE_BLOCK)
        return weights

    def _three_points_at_end(self, indices: Sequence[int], row: int, accuracy: int) -> Rows:
        """The slope of the interval at the end, carried on with half the change to the next one.

        The recursion takes the length of the interval farther away from positions counted from the
        end, so it loses that where the one at the end is much longer.
        """
        steps = self._steps(indices[0], indices[-1])
        near, far = steps if row == indices[0] else steps[::-1]
        share = near / (near + far)
        with np.errstate(over="ignore", under="ignore"):
            taken = [(1 + share) / near, -share / far]
        low, middle, high = (j - row for j in indices)
        weights = np.stack(taken if row == indices[0] else taken[::-1])[:, None]
        return Rows(row, row + 1, ((middle, low), (high, middle)), weights, accuracy)

    def _has_plain_distances(self) -> bool:
        """Whether float64 holds distances to all its digits, as far as coordinates have these."""
        points, limits = self.line.axis.coordinates, np.finfo(np.float64)
        if points.values.dtype == np.longdouble or not self._exponent:
            return points.values.dtype != np.longdouble
        smallest = np.abs(self._steps(0, len(points) - 1)).min()
        return abs(self._exponent) < limits.maxexp - 16 and smallest > limits.tiny / limits.eps

    def _table(
        self, offsets: Sequence[int], start: int, stop: int
    ) -> tuple[Differences, np.ndarray]:
        """The differences that a window takes, and their weights in each row."""

        def table(first: int, last: int) -> tuple[Differences, np.ndarray]:
            nodes, steps = self._distances(offsets, first, last)
            weights = fornberg(nodes, steps, self.order)
            taken: list[tuple[Point, Point, Any]] = []
            if self.order == 0:
                # An average takes the value of the nearest node, or of the two about it.
                for k in self._anchors(offsets):
                    share = np.full_like(nodes[0], 1) / len(self._anchors(offsets))
                    taken.append((k, None, share))
                    weights[offsets.index(k)] = weights[offsets.index(k)] - share
            taken += in_differences(offsets, weights)
            pairs = tuple((high, low) for high, low, _ in taken)
            return pairs, np.array([weight for _, _, weight in taken]).reshape(len(taken), -1)

        blocks = in_blocks(table, start, stop, BLOCK)
        pairs, weights = blocks[0]
        if len(blocks) > 1:
            weights = np.concatenate([weights for _, weights in blocks], axis=1)
        return pairs, weights

    def _anchors(self, offsets: Sequence[int]) -> list[int]:
        places = {k: abs(self._stride * k + self._lead) for k in offsets}
        return [k for k in offsets if places[k] == min(places.values())]

    def _distances(
        self, offsets: Sequence[int], start: int, stop: int
    ) -> tuple[list[Any], list[Any]]:
        """Position of each offset relative to each of the rows, and the distances between them.

        Positions are summed from the row outward; distances of points that lie close to each other,
        but far from the row, are not the differences of these. Those of a single row are numbers:
        they take the same sums as arrays of one, in less time.
        """
        stride, size = self._stride, stop - start
        along = [stride * k + self._lead for k in offsets]
        low, high = min(*along, 0), max(*along, 0)
        base = stride * start + self._start
        steps = self._steps(base + low, base + stride * (size - 1) + high)

        def step(d: int) -> Any:
            """From the place `d` along the track to the next one."""
            return steps[d - low :: stride][:size] if size > 1 else steps[d - low]

        position = {0: np.zeros(size, steps.dtype) if size > 1 else steps.dtype.type(0)}
        for d in range(1, high + 1):
            position[d] = position[d - 1] + step(d - 1)
        for d in range(-1, low - 1, -1):
            position[d] = position[d + 1] - step(d)
        # Offsets ascend.
        apart = [sum(map(step, range(a + 1, b)), step(a)) for a, b in pairwise(along)]
        return [position[d] for d in along], apart
