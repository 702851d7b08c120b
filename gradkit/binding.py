"""Binding: from an operator, a grid and a method to chains of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gradkit import _array
from gradkit._values import ArrayValue
from gradkit.bound import Bound
from gradkit.boundaries import Boundary, Condition, Reflection
from gradkit.chains import Along, Chain, Parameter, Step, Times, Wall
from gradkit.corners import applied_to, at_wall, narrowed, points_in_corner
from gradkit.errors import ArgumentValueError, UnsupportedError
from gradkit.grid import Axis, Grid
from gradkit.line import PLACES, Line
from gradkit.methods import Method, Rule, weighted_rule
from gradkit.methods.walls import is_open
from gradkit.operators import Operator
from gradkit.places import Places, places_of
from gradkit.terms import Coefficient, Factor, Offsets, Partial, Term
from gradkit.weights import Stencil

__all__ = ["bind"]

#: What messages call an array that is known along a wall.
ALONG_WALL = "value at a wall"
#: What is known at the two ends of an axis.
Ends = tuple[Boundary | None, Boundary | None]


def bind(
    operator: Operator,
    grid: Grid,
    shape: tuple[int, ...],
    method: Method,
    edge_order: int | None,
) -> Bound:
    """Make the chains of an operator; its axes are counted from 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, UnsupportedError
        If the operator does not go with the grid.
    """
    return _Binder(operator, grid, shape, method, edge_order).bound()


class _Act(NamedTuple):
    """What a step along an axis does to the values along the walls of other axes.

    `places` and `ends` are those of the field before the step, `rule` makes the rule for other
    ends; as many `points` settle what is known at an end where another wall begins.
    """

    axis: int
    total: Fraction
    places: Places
    ends: Ends
    points: int
    rule: Callable[[Ends], Rule]


class _State(NamedTuple):
    """A field between two steps: where its values lie, what is known of it, and what was done."""

    started_at: Places
    places: Places
    ends: tuple[Ends, ...]
    steps: tuple[Step, ...] = ()
    acts: tuple[_Act, ...] = ()
    coefficient: Any = 1


@dataclass
class _Binder:
    operator: Operator
    grid: Grid
    shape: tuple[int, ...]
    method: Method
    edge_order: int | None
    slots: dict[tuple[ArrayValue, tuple[int, ...]], int] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    multiplied: set[int] = field(default_factory=set[int])
    rules: dict[Any, Rule] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]

    def bound(self) -> Bound:
        inputs_at, outputs_at = places_of(self.operator, len(self.shape))
        outputs = tuple(
            tuple(
                chain
                for source, entry in enumerate(row)
                for term in entry.terms
                for chain in self._chains(term, source, inputs_at[source])
            )
            for row in self.operator.entries
        )
        parameters = tuple(
            Parameter(value.array, shape, "coefficient" if slot in self.multiplied else ALONG_WALL)
            for slot, (value, shape) in enumerate(self.slots)
        )
        rows = self.operator.entries
        return Bound(
            outputs,
            parameters,
            inputs_at,
            outputs_at,
            same_inputs=_firsts(list(zip(zip(*rows, strict=True), inputs_at, strict=True))),
            same_outputs=_firsts(list(zip(rows, outputs_at, strict=True))),
        )

    def _chains(self, term: Term, source: int, places: Places) -> Iterator[Chain]:
        ends = tuple(axis.ends if axis else (None, None) for axis in self.grid.axes)
        states = [_State(places, places, ends)]
        for factor in reversed(term.factors):
            states = [new for state in states for new in self._applied(factor, state)]
        for state in states:
            yield Chain(source, term.coefficient * state.coefficient, state.steps)

    def _applied(self, factor: Factor, state: _State) -> Iterator[_State]:
        if isinstance(factor, Partial):
            yield from self._differentiated(factor, state)
        elif isinstance(factor, Offsets):
            yield from self._summed(factor, state)
        else:
            yield self._multiplied(factor, state)

    # --- derivatives and averages -------------------------------------------------------------

    def _differentiated(self, factor: Partial, state: _State) -> Iterator[_State]:
        order, axis, own = factor.order, factor.axis, factor.stencil
        at = state.places[axis]
        line = self._line(axis, state, at, factor.to or at)
        rule = self._rule(order, line, own)

        def rule_for(ends: Ends) -> Rule:
            return self._rule(order, replace(line, ends=ends), own)

        act = _Act(axis, rule.total, state.places, line.ends, points_in_corner(rule), rule_for)
        after = state._replace(
            places=_replaced(state.places, axis, line.to),
            ends=_replaced(state.ends, axis, _after(line, order)),
            acts=(*state.acts, act),
        )
        yield self._with(after, state, axis, rule)
        if not rule.corrections:
            return
        # What is known at the walls of other axes counts once, in the chain above.
        bare = after._replace(ends=tuple(map(_homogeneous, after.ends)))
        for correction in rule.corrections:
            corrected = self._with(bare, state, axis, correction.rule)
            if isinstance(correction.factor, ArrayValue):
                slot = self._slot_along_wall(correction.factor, axis, corrected.places)
                yield corrected._replace(steps=(*corrected.steps, Times(slot)))
            else:
                yield corrected._replace(coefficient=corrected.coefficient * correction.factor)

    def _line(self, number: int, state: _State, at: str, to: str) -> Line:
        ends = tuple(self._after_acts(side, number, state) for side in (0, 1))
        return Line(self._axis(number), self.shape[number], f"axis {number}", at, to, ends)  # pyright: ignore[reportArgumentType]

    def _axis(self, number: int) -> Axis:
        axis = self.grid.axes[number]
        if axis is None:
            raise ArgumentValueError(
                f"axis {number} is a batch axis (None) of this grid, but the operator "
                "differentiates along it"
            )
        return axis

    def _rule(self, order: int, line: Line, stencil: Stencil | None) -> Rule:
        key = (order, line, stencil)
        found = self.rules.get(key)
        if found is None:
            found = self.rules[key] = self.method.rule(order, line, self.edge_order, stencil)
        return found

    def _with(self, after: _State, before: _State, axis: int, rule: Rule) -> _State:
        """The state after one more rule, whose arrays along walls become parameters."""
        walls = tuple(
            Wall(self._slot_along_wall(known, axis, before.places))
            if isinstance(known, ArrayValue)
            else known
            for known in rule.walls
        )
        bare = (rule.walls, rule.corrections) == ((0, 0), ())
        plain = rule if bare else replace(rule, walls=(0, 0), corrections=())
        return after._replace(steps=(*before.steps, Along(axis, plain, walls)))  # pyright: ignore[reportArgumentType]

    # --- what is known at walls ---------------------------------------------------------------

    def _after_acts(self, side: int, axis: int, state: _State) -> Boundary | None:
        """What holds at a wall after steps along other axes: they act on its values, too."""
        end = state.ends[axis][side]
        if not isinstance(end, Condition) or not state.acts:
            return end
        if isinstance(end.a, ArrayValue) or isinstance(end.b, ArrayValue):
            raise UnsupportedError(
                f"{end!r} of axis {axis} mixes value and slope by arrays, which derivatives along "
                "other axes would have to act on, too: wanted numbers a and b"
            )
        if not isinstance(end.value, ArrayValue):
            return end.with_value(prod((act.total for act in state.acts), start=end.value))
        shape = self._wall_shape(end.value, axis, state.started_at)
        if _array.is_dask(end.value.array) or not _array.is_comparable(end.value.array):
            raise UnsupportedError(
                f"{end!r} of axis {axis} is lazy, traced or records gradients, but derivatives "
                "along other axes must act on its values when the plan is made: wanted numbers "
                "that are known"
            )
        given = _array.widened(_array.to_host(end.value.array, ALONG_WALL))
        values = given.reshape(shape)
        for act in state.acts:
            rule = act.rule(tuple(self._in_corner(met, act, side, axis, state) for met in act.ends))  # pyright: ignore[reportArgumentType]
            full = _replaced(values.shape, act.axis, rule.size)
            values = applied_to(np.broadcast_to(values, full), act.axis, rule)
        return end.with_value(narrowed(values, given))

    def _in_corner(
        self, met: Boundary | None, act: _Act, side: int, axis: int, state: _State
    ) -> Boundary | None:
        """What holds for the values along a wall where it meets another one, of which `met` holds.

        If nothing did, rows near the corner would err in another way than those of the samples
        beside the wall, and the next derivative would divide that difference by the spacing.
        """
        if not isinstance(met, Condition):
            return met
        end = state.ends[axis][side]
        assert isinstance(end, Condition)
        if is_open(met):
            return None
        if not isinstance(met.value, ArrayValue):
            # It is the same all along the other wall, so that its slope is 0.
            return met.with_value(met.value * end.a)
        if _array.is_dask(met.value.array) or not _array.is_comparable(met.value.array):
            return None
        shape = self._wall_shape(met.value, act.axis, act.places)
        values = _array.widened(_array.to_host(met.value.array, ALONG_WALL)).reshape(shape)
        at = act.places[axis]
        line = Line(self._axis(axis), self.shape[axis], f"axis {axis}", at, at, state.ends[axis])
        values = np.broadcast_to(values, _replaced(shape, axis, line.sources))
        return met.with_value(at_wall(values, axis, line, side, act.points))

    def _wall_shape(self, array: ArrayValue, axis: int, places: Places) -> tuple[int, ...]:
        """Shape of an array along a wall, with 1 for the axis that the wall ends."""
        wanted = _replaced(self._shape(places), axis, 1)
        shape = array.shape
        if not shape:
            return (1,) * len(wanted)
        if len(shape) == len(wanted) - 1:
            shape = (*shape[:axis], 1, *shape[axis:])
        fits = len(shape) == len(wanted) and all(map(_fits, shape, wanted))
        if not fits:
            raise ArgumentValueError(
                f"an array along a wall of axis {axis} has shape {array.shape}: wanted "
                f"{wanted[:axis] + wanted[axis + 1 :]}, that of the wall"
            )
        return shape

    def _slot_along_wall(self, array: ArrayValue, axis: int, places: Places) -> int:
        shape = self._wall_shape(array, axis, places)
        return self.slots.setdefault((array, shape), len(self.slots))

    # --- multiplications ----------------------------------------------------------------------

    def _multiplied(self, coefficient: Coefficient, state: _State) -> _State:
        shape = self._shape(state.places)
        steps = tuple(Times(self._slot(array, shape)) for array in coefficient.arrays)
        self.multiplied.update(step.slot for step in steps)
        ends = tuple(
            tuple(None if isinstance(end, Condition) else end for end in pair)
            for pair in state.ends
        )
        return state._replace(steps=(*state.steps, *steps), ends=ends)  # pyright: ignore[reportArgumentType]

    def _shape(self, places: Places) -> tuple[int, ...]:
        return tuple(n + PLACES[at].extra for n, at in zip(self.shape, places, strict=True))

    def _slot(self, array: ArrayValue, shape: tuple[int, ...]) -> int:
        """The number of the parameter that an array is, where the field has a shape."""
        full = (1,) * (len(shape) - len(array.shape)) + array.shape
        if len(full) != len(shape) or not all(map(_fits, full, shape)):
            raise ArgumentValueError(
                f"a coefficient has shape {array.shape}, which does not broadcast to {shape}, the "
                "shape of what it multiplies"
            )
        return self.slots.setdefault((array, full), len(self.slots))

    # --- stencils of the user's own -----------------------------------------------------------

    def _summed(self, offsets: Offsets, state: _State) -> Iterator[_State]:
        scale = self._scale(offsets)
        points = offsets.order + (self.edge_order or offsets.accuracy)
        for parts in _separated(dict(offsets.weights)):
            after = state
            for number, weights in parts:
                axis = offsets.axes[number]
                line = self._line(axis, after, after.places[axis], after.places[axis])
                divisor = scale if (number, weights) == parts[-1] else Fraction(1)
                rule = weighted_rule(weights, line, points, divisor)
                act = _Act(
                    axis,
                    rule.total,
                    after.places,
                    line.ends,
                    points_in_corner(rule) + offsets.accuracy,
                    partial(_weighted, weights, line, points, divisor),
                )
                after = self._with(after._replace(acts=(*after.acts, act)), after, axis, rule)
            yield after._replace(ends=self._ends_after(offsets, state))

    def _ends_after(self, offsets: Offsets, state: _State) -> tuple[Ends, ...]:
        """What is known after a stencil: reflections, if it is symmetric or antisymmetric."""
        ends = list(state.ends)
        for number, axis in enumerate(offsets.axes):
            parity = _parity(offsets, number)
            line = self._line(axis, state, state.places[axis], state.places[axis])
            ends[axis] = (None, None) if parity is None else _after(line, parity)
        return tuple(ends)

    def _scale(self, offsets: Offsets) -> Fraction:
        """The divisor of weights that hold for spacing 1; checks that the grid is as they want."""
        steps = [self._axis(axis).uniform_spacing for axis in offsets.axes]
        for axis, step in zip(offsets.axes, steps, strict=True):
            if step is None:
                raise ArgumentValueError(
                    f"axis {axis} is not equally spaced, as the weights of {offsets!r} need"
                )
        spacing = [step for step in steps if step is not None]
        if offsets.spacing is None:
            if len(set(spacing)) > 1:
                raise ArgumentValueError(
                    f"{offsets!r} holds for one spacing in all directions, but the grid has "
                    f"{[float(h) for h in spacing]}: give spacing= to operator_from_offsets"
                )
            return spacing[0] ** offsets.order
        for axis, h, wanted in zip(offsets.axes, spacing, offsets.spacing, strict=True):
            if abs(h - wanted) > Fraction(1, 10**12) * abs(wanted):
                raise ArgumentValueError(
                    f"{offsets!r} was made for a spacing of {float(wanted)} along axis {axis}, but "
                    f"the grid has {float(h)}"
                )
        return Fraction(1)


def _parity(offsets: Offsets, number: int) -> int | None:
    """0 for weights that are their own mirror image along an axis, 1 for its negative."""
    weights = dict(offsets.weights)
    mirrored = {(*k[:number], -k[number], *k[number + 1 :]): w for k, w in weights.items()}
    if mirrored == weights:
        return 0
    return 1 if mirrored == {k: -w for k, w in weights.items()} else None


def _firsts(items: Sequence[Any]) -> tuple[int, ...]:
    """Per item, the number of the first one that is equal to it."""
    return tuple(map(items.index, items))


def _replaced(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])


def _after(line: Line, order: int) -> Ends:
    """What is known of a derivative at its ends: the reflections of the field, turned.

    A derivative that is symmetric about a wall is not known on the wall itself.
    """
    found: list[Boundary | None] = []
    for side, end in enumerate(line.ends):
        if not isinstance(end, Reflection):
            found.append(None)
            continue
        sign = -end.sign if order % 2 else end.sign
        lies_outside = line.place_of_wall(side, line.to) in (-1, line.targets)
        found.append(None if sign > 0 and lies_outside else end.turned(sign))
    return found[0], found[1]


def _homogeneous(ends: Ends) -> Ends:
    """The same conditions at the ends of an axis, with 0 for what they state."""
    return tuple(end.with_value(0) if isinstance(end, Condition) else end for end in ends)  # pyright: ignore[reportReturnType]


def _weighted(
    weights: Mapping[int, Fraction], line: Line, points: int, scale: Fraction, ends: Ends
) -> Rule:
    return weighted_rule(weights, replace(line, ends=ends), points, scale)


def _fits(size: int, wanted: int) -> bool:
    return size in (1, wanted)


def _separated(
    weights: Mapping[tuple[int, ...], Fraction],
) -> Iterator[list[tuple[int, dict[int, Fraction]]]]:
    """A stencil as a sum of products of weighted sums along one axis each.

    Yields lists of ``(number of the axis, weights)`` in the order in which they are applied. All
    but shifts of a single point are sums whose weights add to zero, as far as possible, so that
    constants give exactly 0.
    """
    ndim = len(next(iter(weights)))
    columns: dict[int, dict[tuple[int, ...], Fraction]] = {}
    for offset, weight in weights.items():
        columns.setdefault(offset[-1], {})[offset[:-1]] = weight
    if ndim == 1:
        yield [(0, {k: w[()] for k, w in columns.items()})]
        return
    totals = {k: sum(column.values(), Fraction(0)) for k, column in columns.items()}
    centre = (0,) * (ndim - 1)
    for k, column in sorted(columns.items()):
        rest = {**column, centre: column.get(centre, Fraction(0)) - totals[k]}
        rest = {offset: w for offset, w in rest.items() if w}
        shift = [(ndim - 1, {k: Fraction(1)})] if k else []
        if rest:
            yield from (shift + parts for parts in _separated(rest))
    kept = {k: w for k, w in totals.items() if w}
    if kept:
        yield [(ndim - 1, kept)]
