"""Parts of a grid: which points of inputs, outputs and parameters belong to a block of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit.bound import Bound
from gradkit.chains import Chain, Extent, Parameter
from gradkit.errors import ArgumentValueError
from gradkit.grid import Axis
from gradkit.line import PLACES
from gradkit.methods import Rule
from gradkit.places import Places

__all__ = ["Region"]


@dataclass(frozen=True)
class Region:
    """A block of the cells of a grid, and the halo around it.

    Attributes
    ----------
    shape : tuple of int
        Number of cells of the whole grid along each axis.
    axes : tuple of Axis or None
        The axes; None for those along which nothing is differentiated, which have no halo.
    extent : tuple of (start, stop)
        The cells of the block. Points that there are more than cells, or fewer, belong to the last
        cell of the grid.
    margin : tuple of int
        Number of points around the block. Where an axis does not wrap they end with the axis.
    """

    shape: tuple[int, ...]
    axes: tuple[Axis | None, ...]
    extent: Extent
    margin: tuple[int, ...]

    def rows(self, places: Places) -> Extent:
        """The points of the block that lie at some places."""
        return self._rows([PLACES[at].extra for at in places])

    def held(self, places: Places) -> Extent:
        """The points of the block and its halo that lie at some places."""
        return self._held([PLACES[at].extra for at in places])

    def _rows(self, extras: Sequence[int]) -> Extent:
        return tuple(
            (min(start, size + extra), stop + extra * (stop == size))
            for (start, stop), extra, size in zip(self.extent, extras, self.shape, strict=True)
        )

    def _held(self, extras: Sequence[int]) -> Extent:
        held = list(self._rows(extras))
        for number, axis in enumerate(self.axes):
            if axis is None:
                continue
            start, stop = held[number]
            start, stop = start - self.margin[number], stop + self.margin[number]
            if not axis.wrap:
                start, stop = max(start, 0), min(stop, self.shape[number] + extras[number])
            held[number] = (start, stop)
        return tuple(held)

    def held_of(self, shape: Sequence[int]) -> tuple[tuple[int, int] | None, ...]:
        """The points of the block and its halo in a parameter; None where it is broadcast."""
        extras = [0 if n == 1 else n - size for n, size in zip(shape, self.shape, strict=True)]
        held = self._held(extras)
        return tuple(None if n == 1 else points for n, points in zip(shape, held, strict=True))

    def block(
        self, bound: Bound, halo: tuple[int, ...], parameters: Sequence[Array] | None
    ) -> Bound:
        """What an operator bound to the whole grid becomes in this block.

        Parameters
        ----------
        bound : Bound
            That of the whole grid.
        halo : tuple of int
            The halo that any row needs, for messages.
        parameters : sequence of array, or None
            The parts of the parameters that belong to the block and its halo; None to cut them.
        """
        self._check()
        held = [self.held_of(parameter.shape) for parameter in bound.parameters]
        outputs: list[tuple[Chain, ...]] = []
        rules: dict[Any, Rule] = {}
        for places, chains in zip(bound.outputs_at, bound.outputs, strict=True):
            cut: list[Chain] = []
            rows = self.rows(places)
            for chain in chains:
                given = self.held(bound.inputs_at[chain.source])
                part, needed = chain.block(rows, given, held, rules)
                self._check_held(rows, needed, given, halo)
                cut.append(part)
            outputs.append(tuple(cut))
        if parameters is None:
            pairs = zip(bound.parameters, held, strict=True)
            parameters = [_cut(parameter, points) for parameter, points in pairs]
        kept = tuple(Parameter(array, tuple(array.shape)) for array in parameters)
        return replace(bound, outputs=tuple(outputs), parameters=kept)

    def _check(self) -> None:
        if not len(self.extent) == len(self.margin) == len(self.shape):
            raise ArgumentValueError(
                f"extent={self.extent} and halo={self.margin} must have one entry per dimension of "
                f"{self.shape}"
            )
        for axis, ((start, stop), size) in enumerate(zip(self.extent, self.shape, strict=True)):
            if not 0 <= start <= stop <= size:
                raise ArgumentValueError(
                    f"extent[{axis}]={(start, stop)} does not lie in the {size} points of its axis"
                )

    def _check_held(
        self, rows: Extent, needed: Extent, given: Extent, halo: tuple[int, ...]
    ) -> None:
        for axis, (start, stop) in enumerate(rows):
            (first, last), (begin, end) = needed[axis], given[axis]
            empty = self.axes[axis] is not None and start >= stop
            if first < begin or last > end or empty:
                raise ArgumentValueError(
                    f"a block of the rows {self.extent[axis]} of axis {axis} with "
                    f"halo={self.margin[axis]} does not hold what they use: wanted at least one "
                    f"row, and halo={halo[axis]} for any row"
                )


def _cut(parameter: Parameter, held: Sequence[tuple[int, int] | None]) -> Array:
    """The part of a parameter that a block holds; beyond the ends its wrapped copies."""
    xp = _array.namespace(parameter.array)
    array = xp.reshape(parameter.array, parameter.shape)
    for axis, points in enumerate(held):
        if points is not None:
            indices = np.arange(*points) % parameter.shape[axis]
            array = xp.take(array, _array.table(xp, indices, array), axis=axis)
    return array
