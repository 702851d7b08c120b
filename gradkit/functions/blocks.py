"""Lanes of a function of a vector, searched block by block.

All points of a round are stacked into one array and go to the function in one call, unless that
array would take more than the memory allowed: then the lanes are cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array, Namespace
from gradkit._dtypes import dtype_name, itemsize
from gradkit.errors import ArgumentValueError, integer
from gradkit.functions import steps
from gradkit.functions.complex_step import complex_step
from gradkit.functions.evaluate import Asking, Evaluator, answered, own
from gradkit.functions.history import Found
from gradkit.functions.inputs import Options, points
from gradkit.functions.judging import Values
from gradkit.functions.schemes import Scheme, central_scheme, one_sided_scheme
from gradkit.functions.sides import differentiate, facing

__all__ = ["MEMORY", "Moves", "Problem", "indices", "joined", "sampled", "search_moves"]

#: Bytes that the points of one call may take, by default.
MEMORY = 3 * 2**23


@dataclass(frozen=True)
class Problem:
    """A function of a vector and the points at which it is differentiated.

    Attributes
    ----------
    evaluator : Evaluator
        The function.
    x : Array
        Points, ``(variables, points)``.
    batch : tuple of int
        The shape of the points as the user gave them, without the variables.
    options : Options
        The keywords of the call.
    begin : Start
        First steps and distances to the bounds, ``(variables, points)``.
    noise : Array or float
        Absolute error of the values, ``(points,)``.
    centre : Array
        Values of the function at x, ``(..., points)``.
    memory : int
        Bytes that the points of one call may take.
    """

    evaluator: Evaluator
    x: Array
    batch: tuple[int, ...]
    options: Options
    begin: steps.Start
    noise: Array | float
    centre: Array
    memory: int

    @classmethod
    def of(
        cls, func: Callable[..., Any], x: Any, options: Options, order: int, memory: int
    ) -> Problem:
        """Check the arguments of a call and evaluate the function at x."""
        x = points(x, func)
        xp = _array.namespace(x)
        if x.ndim == 0:
            raise ArgumentValueError(
                "x is 0-dimensional: wanted a vector of variables, or an array (variables, ...) of "
                "many such points; use derivative for a function of one number"
            )
        if not x.shape[0]:
            raise ArgumentValueError(
                f"x has shape {tuple(x.shape)}: wanted one variable or more along the first axis"
            )
        memory = integer("memory", memory, 1)
        if options.noise is None:
            noise: Array | float = 0.0
        else:
            noise = xp.reshape(
                steps.start(x[0, ...], replace(options, step=None, bounds=None), order).noise, (-1,)
            )
        start = steps.start(x, replace(options, noise=None), order)
        flat = xp.reshape(x, (x.shape[0], -1))
        begin = steps.Start(
            *(xp.reshape(p, flat.shape) if _array.is_array(p) else p for p in start)
        )
        evaluator = Evaluator(func, flat, options.vectorized, options.workers)
        centre = own(evaluator.columns(own(flat), options.args))
        return cls(evaluator, flat, tuple(x.shape[1:]), options, begin, noise, centre, memory)

    @property
    def variables(self) -> int:
        """Number of variables."""
        return self.x.shape[0]

    @property
    def outputs(self) -> tuple[int, ...]:
        """Shape of the value at one point."""
        return tuple(self.centre.shape[:-1])

    def every_point(self, *variables: Sequence[int]) -> tuple[list[np.ndarray], np.ndarray]:
        """Lanes that move these variables about each point: variables and point of each lane."""
        count = self.x.shape[1]
        moved = [np.repeat(np.asarray(v, dtype=np.int64), count) for v in variables]
        return moved, np.tile(np.arange(count), len(variables[0]))


class Moves:
    """Lanes that each move the same number of variables of one point.

    Parameters
    ----------
    problem : Problem
        What all lanes share.
    scheme : Scheme
        Stencil, which knows the orders.
    variables : sequence of ndarray
        Per variable that is moved, its position in x for each lane.
    point : ndarray
        The point of each lane.
    """

    def __init__(
        self,
        problem: Problem,
        scheme: Scheme,
        variables: Sequence[np.ndarray],
        point: np.ndarray,
    ) -> None:
        self.problem, self.scheme = problem, scheme
        self.variables, self.point = variables, point
        xp, x = problem.evaluator.xp, problem.x
        self._xp, self._column = xp, indices(point, x)
        self._rows = [indices(v, x) for v in variables]
        flat = [indices(v * x.shape[1] + point, x) for v in variables]

        def picked(part: Any, where: Array) -> Any:
            return (
                xp.take(xp.reshape(part, (-1,)), where, axis=0) if _array.is_array(part) else part
            )

        self._moved = [picked(x, where) for where in flat]
        begins = [steps.Start(*(picked(p, where) for p in problem.begin)) for where in flat]
        self._steps, self._nearest = [begin.step for begin in begins], begins[0].nearest
        self._sides = [
            facing(
                xp,
                begin,
                steps.broad(moved),
                scheme,
                problem.options.method,
                steps.shortest(moved),
            )
            for begin, moved in zip(begins, self._moved, strict=True)
        ]
        self.noise = picked(problem.noise, self._column)

    @property
    def longest(self) -> Array:
        """Longest step of the first ladder, of the first variable."""
        return self._steps[0]

    @property
    def widest(self) -> Array:
        """The largest factor that the bounds of all variables allow."""
        widest = self._sides[0].widest
        for sides in self._sides[1:]:
            widest = self._xp.minimum(widest, sides.widest)
        return widest

    @property
    def cramped(self) -> Array:
        """Whether bounds leave any of the variables hardly any room on one side."""
        cramped = self._sides[0].cramped
        for sides in self._sides[1:]:
            cramped = cramped | sides.cramped
        return cramped

    @property
    def wide(self) -> Array:
        """Steps of about the size of the variables, to the power of their orders."""
        product = None
        for order, moved in zip(self.scheme.orders, self._moved, strict=True):
            part = steps.broad(moved) ** order
            product = part if product is None else product * part
        return product

    @property
    def position(self) -> Array:
        """Magnitude of the largest variable that is moved."""
        position = self._xp.abs(self._moved[0])
        for moved in self._moved[1:]:
            position = self._xp.maximum(position, self._xp.abs(moved))
        return position

    @property
    def epsilon(self) -> float:
        """Relative rounding of the values."""
        return self.problem.evaluator.epsilon

    @property
    def _centre(self) -> Array:
        centre = self.problem.centre
        return self._xp.take(centre, self._column, axis=centre.ndim - 1)[None, ...]

    def sample(self, scheme: Scheme, factor: Array) -> Asking[tuple[Values, Sequence[Array]]]:
        """Values at all levels and offsets, in one call."""
        xp, x = self._xp, self.problem.x
        ladders: list[Array] = []
        for moved, step, sides in zip(self._moved, self._steps, self._sides, strict=True):
            ladder = steps.ladder(moved, step * factor, scheme.ratio, scheme.levels)
            ladders.append(ladder if sides.side is None else ladder * sides.side)
        base = xp.take(x, self._column, axis=1)[:, None, :]
        stacked = xp.broadcast_to(base, (x.shape[0], scheme.evaluations, base.shape[-1]))
        row = xp.reshape(indices(np.arange(x.shape[0]), x), (-1, 1, 1))
        for d, (moved, ladder) in enumerate(zip(self._moved, ladders, strict=True)):
            placed = xp.concat([moved + ladder * point[d] for point in scheme.points])
            stacked = xp.where(row == self._rows[d], placed, stacked)
        values = yield from sampled(self.problem, scheme, stacked, base, self._centre)
        return values, ladders

    def complex_step(self, real: Found) -> Found:
        """The derivative by complex steps, `real` being what differences found."""
        xp, x = self._xp, self.problem.x
        row = xp.reshape(indices(np.arange(x.shape[0]), x), (-1, 1, 1))

        def call(z: Array, args: Sequence[Any]) -> Array:
            base = xp.astype(xp.take(x, self._column, axis=1)[:, None, :], z.dtype)
            stacked = xp.where(row == self._rows[0], z, base)
            values = self.problem.evaluator.columns(xp.reshape(stacked, (x.shape[0], -1)), args)
            return xp.moveaxis(xp.reshape(values, (*values.shape[:-1], *z.shape)), -2, 0)

        args = self.problem.options.args
        known = (real, self.epsilon, self._nearest)
        asking = complex_step(xp, self._moved[0], args, self.longest, *known)
        return answered(call, [asking])[0]

    def take(self, index: Array) -> Moves:
        """Some of the lanes."""
        host = _array.to_host(index, "index")
        variables = [v[host] for v in self.variables]
        return Moves(self.problem, self.scheme, variables, self.point[host])


def sampled(
    problem: Problem, scheme: Scheme, stacked: Array, base: Array, centre: Array
) -> Asking[Values]:
    """Values by offset from points ``(variables, evaluations, lanes)``, in one call.

    `base` are the points that they lie about, and `centre` the values there.
    """
    xp, (variables, total, lanes) = problem.evaluator.xp, stacked.shape
    # Wider values make wider points, at which func may round less than it did at x.
    again = stacked.dtype != base.dtype
    if again:
        base = xp.broadcast_to(xp.astype(base, stacked.dtype), (variables, 1, lanes))
        stacked, total = xp.concat([stacked, base], axis=1), total + 1
    values = yield xp.reshape(stacked, (variables, total * lanes)), problem.options.args
    values = xp.moveaxis(xp.reshape(values, (*values.shape[:-1], total, lanes)), -2, 0)
    found = {(0,) * len(scheme.orders): values[-1:, ...] if again else centre}
    for i, point in enumerate(scheme.points):
        found[point] = values[i * scheme.levels : (i + 1) * scheme.levels, ...]
    return found


def search_moves(
    problem: Problem, orders: tuple[int, ...], variables: Sequence[np.ndarray], point: np.ndarray
) -> Found:
    """Search in lanes that move variables about points, block by block."""
    xp, options = problem.evaluator.xp, problem.options
    schemes = (central_scheme(orders), one_sided_scheme(orders))
    used = schemes[1:] if options.method in ("forward", "backward") else schemes[:1]
    if problem.begin.below is not None:
        used = schemes
    most = max(scheme.evaluations for scheme in used)
    each = problem.variables * most * itemsize(dtype_name(problem.x.dtype))
    size, count = max(1, problem.memory // each), len(point)
    founds: list[Found] = []
    starts = range(0, max(count, 1), size)
    done = [0] * len(starts)
    for block, first in enumerate(starts):
        rows = slice(first, min(first + size, count))

        def lanes_of(scheme: Scheme, rows: slice = rows) -> Moves:
            return Moves(problem, scheme, [v[rows] for v in variables], point[rows])

        plan = options.plan(problem.x, count, done, block)
        bounded = problem.begin.below is not None
        tolerances = options.tolerances
        search = differentiate(xp, orders, options.method, bounded, lanes_of, tolerances, plan)
        found = answered(problem.evaluator.columns, [search])[0]
        if options.method == "complex":
            found = lanes_of(used[0]).complex_step(found)
        founds.append(found)
    return joined(xp, founds)


def joined(xp: Namespace, founds: Sequence[Found]) -> Found:
    """What was found in several blocks of lanes, together."""
    if len(founds) == 1:
        return founds[0]
    return Found(*(xp.concat(list(parts), axis=-1) for parts in zip(*founds, strict=True)))


def indices(values: np.ndarray, like: Array) -> Array:
    """Integers on the device of an array."""
    return _array.namespace(like).asarray(values, device=_array.device(like))
