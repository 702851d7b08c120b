"""Long coordinates part by part: a call that holds the weights of one part of an axis at a time.

The weights of a long axis take longer than their use, and several times the memory of a result. A
plan that is called once, as named functions do with coordinates that were not there before, is
better off without all of them; one that is called again keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gradkit.plan import Plan

__all__ = ["SHORTEST", "Stretches", "reads_from", "stretches_of", "whole"]

#: Bytes that are taken for the weights of a part.
ROOM = 2**24
#: Rows of a part at least, but for those near the ends.
SHORTEST = 2**15
#: Where a plan keeps how it is taken in parts.
_STRETCHES = "cpu, stretches"


class Stretches(NamedTuple):
    """How a plan is taken in parts along an axis.

    `bounds` are the rows at which parts begin, and where the last one ends. The first and the last
    part are those of the rows near the ends, so that all others are alike, and share a kernel.
    `first` is the plan of the first part.
    """

    axis: int
    bounds: tuple[int, ...]
    first: Plan

    def parts(
        self, plan: Plan, inputs: Sequence[np.ndarray], results: Sequence[np.ndarray]
    ) -> Iterator[tuple[Plan, list[np.ndarray], list[np.ndarray]]]:
        """The plan of each part, what its inputs hold, and the results that it computes."""
        before = (slice(None),) * self.axis
        size, reach = plan.shape[self.axis], plan.halo[self.axis]
        for start, stop in pairwise(self.bounds):
            held = slice(max(start - reach, 0), min(stop + reach, size))
            given = [f[(*before, held)] for f in inputs]
            targets = [result[(*before, slice(start, stop))] for result in results]
            part = _part(plan, self.axis, start, stop) if start else self.first
            yield part, given, targets


def stretches_of(plan: Plan) -> Stretches | None:
    """How a plan is to be called in parts; None for all that are called whole."""
    if _STRETCHES not in plan.memo:
        plan.memo[_STRETCHES] = _found(plan)
    return plan.memo[_STRETCHES]


def reads_from(plan: Plan, stretches: Stretches, results: Sequence[np.ndarray]) -> bool:
    """Whether the coordinates lie in memory that a call writes to before it has read them all."""
    axis = plan.grid.axes[stretches.axis]
    values = None if axis is None else axis.coordinates.values
    return any(np.may_share_memory(values, result) for result in results)


def whole(plan: Plan) -> None:
    """Let the next calls of a plan take it whole."""
    plan.memo[_STRETCHES] = None


def _found(plan: Plan) -> Stretches | None:
    rules = {id(step.rule): (step.axis, step.rule) for step in plan.bound.alongs()}.values()
    late = [(axis, rows, rows.deferred) for axis, rule in rules for rows in rule.rows]
    late = [(axis, rows, given) for axis, rows, given in late if given is not None]
    axes = {axis for axis, _, _ in late}
    if len(axes) != 1 or plan.extent is not None:
        return None
    (axis,) = axes
    if any(at[axis] != "centre" for at in (*plan.bound.inputs_at, *plan.bound.outputs_at)):
        return None
    step = max(ROOM // sum(given.room for _, _, given in late), SHORTEST)
    # Compositions use rows on either side of those that come out.
    start = max(rows.start for _, rows, _ in late) + plan.halo[axis]
    stop = min(rows.stop for _, rows, _ in late) - plan.halo[axis]
    if start >= stop:
        return None
    bounds = tuple(dict.fromkeys((0, *range(start, stop, step), stop, plan.shape[axis])))
    return Stretches(axis, bounds, _part(plan, axis, 0, bounds[1]))


def _part(plan: Plan, axis: int, start: int, stop: int) -> Plan:
    """The plan of some rows along an axis."""
    extent = [(0, n) for n in plan.shape]
    extent[axis] = start, stop
    return plan.block(extent, [reach * (i == axis) for i, reach in enumerate(plan.halo)])
