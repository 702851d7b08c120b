"""Chains of steps: an operator on a grid as engines execute it, and all its other renderings.

A `Chain` is one term of the operator: steps applied to one input, one after the other, each a rule
along an axis (`Along`) or a multiplication by an array (`Times`). `bind` makes chains; blocks,
adjoints and stencils at a point are made from chains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from gradkit._array import Array, to_host
from gradkit.methods.rows import WALL
from gradkit.methods.rule import Rule

__all__ = ["Along", "Chain", "Parameter", "Step", "Times", "Wall"]

#: The points of an array that are present along each axis: the first, and one after the last.
Extent = tuple[tuple[int, int], ...]


class Parameter(NamedTuple):
    """An array that a plan multiplies by, or that is known along a wall.

    Attributes
    ----------
    array : array
        The array as it was given.
    shape : tuple of int
        Its shape with one entry per axis of the grid, 1 where it is broadcast.
    name : str
        What messages call it.
    """

    array: Array
    shape: tuple[int, ...]
    name: str = "coefficient"


class Wall(NamedTuple):
    """The values known along a wall: a parameter in some form, and in a block the part of it."""

    slot: int
    form: str = "plain"
    part: tuple[slice, ...] | None = None


@dataclass(frozen=True, eq=False)
class Along:
    """Apply a rule along an axis; `walls` has what is known at its two ends.

    Each is a number or a `Wall`.
    """

    axis: int
    rule: Rule
    walls: tuple[Any, Any] = (0, 0)


@dataclass(frozen=True, eq=False)
class Times:
    """Multiply by a parameter: as it is, conjugated, or by its magnitude.

    `part` has, in a block, the slice of each axis of the parameter that the rows belong to.
    """

    slot: int
    form: str = "plain"
    part: tuple[slice, ...] | None = None


Step = Along | Times


@dataclass(frozen=True, eq=False)
class Chain:
    """One term of an operator.

    Attributes
    ----------
    source : int
        Number of the input.
    coefficient : int, float, complex or Fraction
        Number in front.
    steps : tuple of Along and Times
        In the order in which they are applied.
    trim : tuple of slice, or None
        In a block, the part of the input that the chain uses.
    """

    source: int
    coefficient: Any
    steps: tuple[Step, ...] = ()
    trim: tuple[slice, ...] | None = None

    def reach(self, axis: int) -> int:
        """How far beyond a row, in points along an axis, the input is used."""
        return sum(s.rule.reach for s in self.steps if isinstance(s, Along) and s.axis == axis)

    def linear(self) -> Chain:
        """The same chain with 0 for what is known at walls."""
        return self._mapped(Rule.linear, lambda form: form)

    def renumbered(self, numbers: Mapping[int, int]) -> Chain:
        """The same chain with other numbers for the arrays that it multiplies by."""
        steps = tuple(
            replace(step, slot=numbers[step.slot]) if isinstance(step, Times) else step
            for step in self.steps
        )
        return replace(self, steps=steps)

    def magnitude(self) -> Chain:
        """The chain of the magnitudes of all numbers, for a bound on rounding."""
        steps = tuple(
            Along(step.axis, step.rule.magnitude(), tuple(map(_magnitude, step.walls)))  # pyright: ignore[reportArgumentType]
            if isinstance(step, Along)
            else replace(step, form="magnitude")
            for step in self.steps
        )
        return replace(self, coefficient=abs(self.coefficient), steps=steps)

    def transposed(self, output: int, conjugate: bool) -> Chain:
        """The chain whose matrix is the transposed one; `output` is the result it came from."""
        turned = {"plain": "conjugate", "conjugate": "plain"} if conjugate else {}
        chain = self._mapped(Rule.transposed, lambda form: turned.get(form, form))
        number = self.coefficient
        if conjugate and isinstance(number, complex):
            number = number.conjugate()
        return replace(chain, source=output, coefficient=number, steps=chain.steps[::-1])

    def _mapped(self, of_rule: Callable[[Rule], Rule], of_form: Callable[[str], str]) -> Chain:
        """The chain with other rules and forms; nothing is known at walls."""
        steps = tuple(
            Along(step.axis, of_rule(step.rule))
            if isinstance(step, Along)
            else replace(step, form=of_form(step.form))
            for step in self.steps
        )
        return replace(self, steps=steps)

    # --- blocks -------------------------------------------------------------------------------

    def block(
        self,
        extent: Extent,
        given: Extent,
        parameters: Sequence[Sequence[tuple[int, int] | None]],
        rules: dict[Any, Rule],
    ) -> tuple[Chain, Extent]:
        """The chain of a block of rows, and the part of the input that it needs.

        Parameters
        ----------
        extent : tuple of (first, last)
            The rows that come out.
        given : tuple of (first, last)
            The points of the input that the block holds.
        parameters : sequence of tuples of (first, last) or None
            The points of every parameter that the block holds; None where it is broadcast.
        rules : dict
            The rules that chains before have cut, for those that share them: weights that are still
            to be computed are computed once.
        """
        needed = list(extent)
        steps: list[Step] = []
        for step, is_first in reversed(list(self._with_turns())):
            if isinstance(step, Times):
                steps.append(replace(step, part=_part(needed, parameters[step.slot])))
                continue
            rule, axis = step.rule, step.axis
            walls = tuple(
                known._replace(part=_part(needed, parameters[known.slot]))
                if isinstance(known, Wall)
                else known
                for known in step.walls
            )
            rows = needed[axis]
            is_whole = given[axis] == (0, rule.size) and rows == (0, rule.targets)
            if not (rule.wrap and is_whole):
                needed[axis] = rule.needed(*rows)
                # Only the first step along an axis meets values beyond its ends as they are.
                rule = rule if is_first else replace(rule, wrap=abs(rule.wrap))
            key = (id(step.rule), rule.wrap, rows, needed[axis])
            if key not in rules:
                rules[key] = rule.block(*rows, *needed[axis])
            steps.append(Along(axis, rules[key], walls))  # pyright: ignore[reportArgumentType]
        trim = tuple(
            slice(first - begin, last - begin)
            for (first, last), (begin, _) in zip(needed, given, strict=True)
        )
        return replace(self, steps=tuple(steps[::-1]), trim=trim), tuple(needed)

    def _with_turns(self) -> Iterator[tuple[Step, bool]]:
        """The steps, and whether each is the first along its axis."""
        seen: set[int] = set()
        for step in self.steps:
            yield step, isinstance(step, Along) and step.axis not in seen
            if isinstance(step, Along):
                seen.add(step.axis)

    # --- single rows --------------------------------------------------------------------------

    def row(
        self, index: tuple[int, ...], parameters: Sequence[Parameter]
    ) -> tuple[dict[tuple[int, ...], Any], Any]:
        """The weight of every input that one result uses, and what walls add to it.

        Indices beyond the ends of an axis that wraps are those of the wrapped copies.
        """
        turning = {s.axis: s.rule for s in self.steps if isinstance(s, Along) and s.rule.wrap < 0}
        weights: dict[tuple[int, ...], Any] = {index: _exact(self.coefficient)}
        constant: Any = 0
        for step in reversed(self.steps):
            found: dict[tuple[int, ...], Any] = {}
            for place, weight in weights.items():
                if isinstance(step, Times):
                    found[place] = weight * _value_at(parameters[step.slot], place, step.form)
                    continue
                for point, share in step.rule.row(place[step.axis]).items():
                    if isinstance(point, int):
                        moved = list(place)
                        moved[step.axis] += point
                        key = tuple(moved)
                        found[key] = found.get(key, 0) + weight * share
                        continue
                    known = step.walls[WALL.index(str(point))]
                    if isinstance(known, Wall):
                        at_wall = [0 if a == step.axis else i for a, i in enumerate(place)]
                        known = _value_at(parameters[known.slot], tuple(at_wall), known.form)
                    turns = sum(place[a] // rule.targets for a, rule in turning.items())
                    constant += weight * share * _exact(known) * (-1) ** (turns % 2)
            weights = found
        return weights, constant


def _magnitude(known: Any) -> Any:
    """The magnitude of what is known at a wall."""
    return known._replace(form="magnitude") if isinstance(known, Wall) else abs(known)


def _part(
    rows: Sequence[tuple[int, int]], held: Sequence[tuple[int, int] | None]
) -> tuple[slice, ...]:
    """The slices of a parameter that some rows belong to."""
    return tuple(
        slice(None) if points is None else slice(start - points[0], stop - points[0])
        for (start, stop), points in zip(rows, held, strict=True)
    )


def _exact(number: Any) -> Any:
    return number if isinstance(number, complex) else Fraction(number)


def _value_at(parameter: Parameter, index: tuple[int, ...], form: str) -> Any:
    """One number of a parameter in some form, exact where it is real."""
    array = parameter.array
    host = array if isinstance(array, np.ndarray) else to_host(array, parameter.name)
    place = tuple(i % n for i, n in zip(index, parameter.shape, strict=True))
    value = host.reshape(parameter.shape)[place].item()
    if form != "plain":
        value = abs(value) if form == "magnitude" else value.conjugate()
    if isinstance(value, complex) or not isfinite(value):
        return value
    return Fraction(value)
