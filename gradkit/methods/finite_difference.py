"""Finite differences of any order and accuracy along one axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import frexp

import numpy as np

from gradkit.errors import ArgumentValueError, integer
from gradkit.grid import Axis
from gradkit.methods.rule import Rows, Rule
from gradkit.weights import Stencil, central, fornberg, half_width, in_differences, window

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
    points of the axis, or a narrower centred stencil if that is at least as accurate.

    On coordinates, a derivative of even order needs an even number of points for its accuracy: the
    weights are the mean of the two windows that lean to either side. They tend to the centred
    stencil as the spacing evens out, and keep their accuracy on any grid.

    Examples
    --------
    >>> FiniteDifference(accuracy=4)
    FiniteDifference(accuracy=4)
    """

    accuracy: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracy", integer("accuracy", self.accuracy, 1))

    def rule(self, order: int, axis: Axis, size: int, edge_order: int | None, name: str) -> Rule:
        """Weights of the derivative of order `order` for every row of an axis of `size` points."""
        edge = self.accuracy if edge_order is None else integer("edge_order", edge_order, 1)
        stencils = _Uniform(order) if axis.uniform_spacing else _OnCoordinates(order, axis)
        reach = stencils.reach(self.accuracy)
        if axis.wrap:
            needed = 2 * reach + 1
            bounds = [0, reach, size - reach, size]
            rows = (stencils.centred(self.accuracy, a, b) for a, b in pairwise(bounds) if a < b)
        else:
            needed = order + max(edge, self.accuracy - 1)
            rows = self._bounded_rows(stencils, size, reach, edge)
        if size < needed:
            raise ArgumentValueError(
                f"{name} has {size} points, but a derivative of order {order} with accuracy "
                f"{self.accuracy} and {_ends(axis, edge)} needs at least {needed}"
            )
        kept = tuple(rows)
        return Rule(order, size, axis.wrap, stencils.scale(axis), kept, 0, size, _exponents(kept))

    def _bounded_rows(
        self, stencils: _Uniform | _OnCoordinates, size: int, reach: int, edge: int
    ) -> Iterator[Rows]:
        left = min(reach, (size + 1) // 2)
        right = max(size - reach, left)
        for row in range(left):
            yield self._edge_row(stencils, size, row, edge)
        if left < right:
            yield stencils.centred(self.accuracy, left, right)
        for row in range(right, size):
            yield self._edge_row(stencils, size, row, edge)

    def _edge_row(
        self, stencils: _Uniform | _OnCoordinates, size: int, row: int, edge: int
    ) -> Rows:
        from_end = min(row, size - 1 - row)
        fitting = [a for a in range(2, self.accuracy + 2, 2) if stencils.reach(a) <= from_end]
        if fitting and fitting[-1] >= edge:
            return stencils.centred(fitting[-1], row, row + 1)
        offsets = window(from_end, stencils.order + edge)
        if row > from_end:
            offsets = tuple(-k for k in reversed(offsets))
        return stencils.closure(offsets, row, edge)


def _exponents(rows: tuple[Rows, ...]) -> tuple[int, int]:
    tables = [np.ravel(r.weights) for r in rows if isinstance(r.weights, np.ndarray)]
    if not tables:
        return (0, 0)
    weights = np.concatenate(tables)
    powers = np.frexp(weights[weights != 0])[1]
    return int(powers.min()), int(powers.max())


def _ends(axis: Axis, edge: int) -> str:
    return f"{axis.boundary} ends" if axis.wrap else f"edge_order {edge}"


class _Uniform:
    """Rows on a uniform axis: the same exact weights in every row, for spacing 1."""

    def __init__(self, order: int) -> None:
        self.order = order

    def reach(self, accuracy: int) -> int:
        return half_width(self.order, accuracy)

    def scale(self, axis: Axis) -> Fraction:
        assert axis.uniform_spacing is not None
        return axis.uniform_spacing**self.order

    def centred(self, accuracy: int, start: int, stop: int) -> Rows:
        return _rows(central(self.order, accuracy), start, stop, accuracy)

    def closure(self, offsets: tuple[int, ...], row: int, accuracy: int) -> Rows:
        return _rows(Stencil(offsets, self.order), row, row + 1, accuracy)


def _rows(stencil: Stencil, start: int, stop: int, accuracy: int) -> Rows:
    differences = [(int(high), int(low), w) for high, low, w in stencil.differences() if w]
    pairs = tuple((high, low) for high, low, _ in differences)
    return Rows(start, stop, pairs, tuple(w for _, _, w in differences), accuracy)


class _OnCoordinates:
    """Rows on coordinates: weights computed row by row and rounded once more by the engine.

    They are computed in longdouble, because on rough grids the recursion loses digits. Distances
    are measured in a power of two near the mean spacing, so that no product of them overflows,
    however tiny or huge the spacing.
    """

    #: Rows computed at a time, so that the intermediate arrays stay in cache.
    BLOCK = 65536

    def __init__(self, order: int, axis: Axis) -> None:
        steps = axis.steps()
        self.order = order
        self._exponent = frexp(float(abs(steps).mean()))[1]
        self._steps = np.ldexp(steps, -self._exponent)

    def reach(self, accuracy: int) -> int:
        return half_width(self.order, accuracy) + (self.order + 1) % 2

    def scale(self, axis: Axis) -> Fraction:
        return Fraction(2) ** (self._exponent * self.order)

    def centred(self, accuracy: int, start: int, stop: int) -> Rows:
        reach = self.reach(accuracy)
        if self.order == reach == 1:
            return self._three_points(start, stop, accuracy)
        if self.order % 2:
            return self._rows(range(-reach, reach + 1), start, stop, accuracy)
        pairs, left = self._table(range(-reach, reach), start, stop)
        more, right = self._table(range(-reach + 1, reach + 1), start, stop)
        nothing = np.zeros_like(left[:1])
        weights = (np.concatenate([left, nothing]) + np.concatenate([nothing, right])) / 2
        return Rows(start, stop, (*pairs, more[-1]), weights, accuracy)

    def closure(self, offsets: tuple[int, ...], row: int, accuracy: int) -> Rows:
        return self._rows(offsets, row, row + 1, accuracy)

    def _three_points(self, start: int, stop: int, accuracy: int) -> Rows:
        """The slopes of the two intervals, each weighted with the length of the other one.

        The recursion finds the same weights, with ten times the work.
        """
        steps = self._steps.take(np.arange(start - 1, stop), mode="wrap")
        before, after = steps[:-1], steps[1:]
        both = before + after
        weights = np.stack([after / (before * both), before / (after * both)])
        return Rows(start, stop, ((0, -1), (1, 0)), weights, accuracy)

    def _rows(self, offsets: Sequence[int], start: int, stop: int, accuracy: int) -> Rows:
        pairs, weights = self._table(offsets, start, stop)
        return Rows(start, stop, pairs, weights, accuracy)

    def _table(
        self, offsets: Sequence[int], start: int, stop: int
    ) -> tuple[tuple[tuple[int, int], ...], np.ndarray]:
        """The differences that a window takes, and their weights in each row."""
        blocks: list[np.ndarray] = []
        pairs: tuple[tuple[int, int], ...] = ()
        for first in range(start, stop, self.BLOCK):
            nodes = self._positions(offsets, first, min(first + self.BLOCK, stop))
            differences = in_differences(offsets, fornberg(nodes, self.order))
            pairs = tuple((high, low) for high, low, _ in differences)
            blocks.append(np.stack([weight for _, _, weight in differences]))
        return pairs, np.concatenate(blocks, axis=1)

    def _positions(self, offsets: Sequence[int], start: int, stop: int) -> list[np.ndarray]:
        """Position of each offset relative to each of the rows, summed from the row outward."""
        reach = np.arange(start + min(offsets), stop + max(offsets))
        steps = self._steps.take(reach, mode="wrap")
        size = stop - start
        position = {0: np.zeros(size, steps.dtype)}
        for k in range(1, max(offsets) + 1):
            before = k - 1 - min(offsets)
            position[k] = position[k - 1] + steps[before : before + size]
        for k in range(-1, min(offsets) - 1, -1):
            after = k - min(offsets)
            position[k] = position[k + 1] - steps[after : after + size]
        return [position[k] for k in offsets]
