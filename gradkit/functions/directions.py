"""Derivatives along directions: a jacobian times a vector, without the jacobian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradkit import _array
from gradkit._array import Array
from gradkit.functions import steps
from gradkit.functions.blocks import MEMORY, Problem, sampled
from gradkit.functions.evaluate import Asking, answered
from gradkit.functions.history import Found
from gradkit.functions.inputs import Options, over
from gradkit.functions.judging import Values
from gradkit.functions.results import Result, result
from gradkit.functions.schemes import Scheme
from gradkit.functions.sides import Sides, differentiate, facing

__all__ = ["Rays", "along", "directional"]


class Rays:
    """Lanes that each move one point along a direction; steps are in units of the direction.

    Parameters
    ----------
    problem : Problem
        The function and the points.
    x, v, centre : Array
        Points and directions ``(variables, lanes)``, values of the function there.
    begin : Start
        First steps and distances to the bounds, ``(lanes,)``.
    sides : Sides
        Where steps may go.
    """

    def __init__(
        self, problem: Problem, x: Array, v: Array, centre: Array, begin: steps.Start, sides: Sides
    ) -> None:
        self.problem, self.x, self.v, self.centre = problem, x, v, centre
        self.begin, self.sides = begin, sides
        self._xp = problem.evaluator.xp

    @property
    def longest(self) -> Array:
        """Longest step of the first ladder."""
        return self.begin.step

    @property
    def widest(self) -> Array:
        """The largest factor of the first steps."""
        return self.sides.widest

    @property
    def cramped(self) -> Array:
        """Whether bounds leave hardly any room on one side."""
        return self.sides.cramped

    @property
    def noise(self) -> Array | float:
        """Absolute error of the values."""
        return self.begin.noise

    @property
    def wide(self) -> Array:
        """A step that moves some variable by about its size."""
        return _shortest(self.x, self.v, steps.broad(self.x))

    @property
    def position(self) -> Array:
        """How far from 0 the largest variable is that moves, in units of the fastest move."""
        size = self._xp.abs(self.v)
        nothing = self._xp.zeros_like(size)
        largest = self._xp.max(self._xp.where(size > 0, self._xp.abs(self.x), nothing), axis=0)
        fastest = self._xp.max(size, axis=0)
        return largest / self._xp.where(fastest > 0, fastest, self._xp.ones_like(fastest))

    @property
    def epsilon(self) -> float:
        """Relative rounding of the values."""
        return self.problem.evaluator.epsilon

    def sample(self, scheme: Scheme, factor: Array) -> Asking[tuple[Values, Sequence[Array]]]:
        """Values at all levels and offsets, in one call."""
        xp = self._xp
        longest = self.longest * factor
        step = steps.ladder(xp.zeros_like(longest), longest, scheme.ratio, scheme.levels)
        if self.sides.side is not None:
            step = step * self.sides.side
        along = xp.concat([step * point[0] for point in scheme.points])
        base = self.x[:, None, :]
        stacked = base + along * self.v[:, None, :]
        values = yield from sampled(self.problem, scheme, stacked, base, self.centre[None, ...])
        return values, [step]

    def take(self, index: Array) -> Rays:
        """Some of the lanes."""
        xp = self._xp

        def some(part: Any) -> Any:
            return xp.take(part, index, axis=part.ndim - 1) if _array.is_array(part) else part

        return Rays(
            self.problem,
            some(self.x),
            some(self.v),
            some(self.centre),
            steps.Start(*map(some, self.begin)),
            Sides(*map(some, self.sides)),
        )


def directional(
    func: Callable[..., Any],
    x: Any,
    v: Any,
    *,
    method: str = "central",
    step: Any = None,
    rtol: float | None = None,
    atol: float | None = None,
    bounds: Any = None,
    args: Sequence[Any] = (),
    vectorized: bool = True,
    noise: Any = None,
    workers: Any = None,
    rounds: int = 6,
    callback: Callable[[int, int], object] | None = None,
) -> Result:
    """Derivative of a function of a vector along a direction: its jacobian times v.

    Parameters
    ----------
    func : callable
        As in `gradient`, or, as in `jacobian`, with several values.
    x : array
        A point ``(m,)``, or points ``(m, ...)`` with the variables along the first axis.
    v : array
        Directions, broadcast with x; their length counts.
    method : str
        ``"central"``, ``"forward"`` or ``"backward"``.
    step : array or number, optional
        Longest changes of the variables in the first ladder, broadcast with x.
    rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback
        As in `gradient`.

    Returns
    -------
    Result
        Arrays of the shape of one value per point, ``(n, ...)`` for n values. ``.step`` is in units
        of v.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` returns the wrong shape or no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import directional
    >>> float(directional(lambda x: x[0] * x[1], [1.0, 2.0], [1.0, -1.0]).value.round(9))
    1.0
    """
    options = Options(
        method, step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback
    ).without_complex_step(1)
    problem = Problem.of(func, x, options, 1, MEMORY)
    xp, flat = problem.evaluator.xp, problem.x
    shaped = xp.reshape(flat, (flat.shape[0], *problem.batch))
    v = xp.reshape(over(v, shaped, "v"), flat.shape)
    return result(along(problem, v), (*problem.outputs, *problem.batch), problem.evaluator.calls)


def along(problem: Problem, v: Array) -> Found:
    """The derivative along directions ``(variables, points)``, one per point of a problem."""
    xp, flat, options = problem.evaluator.xp, problem.x, problem.options
    begin = steps.Start(_shortest(flat, v, problem.begin.step), *_room(problem, v), problem.noise)

    broad = _shortest(flat, v, steps.broad(flat))

    def lanes_of(scheme: Scheme) -> Rays:
        sides = facing(xp, begin, broad, scheme, options.method)
        return Rays(problem, flat, v, problem.centre, begin, sides)

    bounded = begin.below is not None
    plan = options.plan(flat, flat.shape[1])
    search = differentiate(xp, (1,), options.method, bounded, lanes_of, options.tolerances, plan)
    return answered(problem.evaluator.columns, [search])[0]


def _shortest(x: Array, v: Array, step: Array) -> Array:
    """The step along v, ``(lanes,)``, that moves no variable by more than its own step."""
    xp = _array.namespace(x)
    size = xp.abs(v)
    moved = size > 0
    ratio = step / xp.where(moved, size, xp.ones_like(size))
    shortest = xp.min(xp.where(moved, ratio, xp.full_like(ratio, float("inf"))), axis=0)
    return xp.where(xp.isfinite(shortest), shortest, xp.ones_like(shortest))


def _room(problem: Problem, v: Array) -> tuple[Array | None, Array | None]:
    """How far each point may go against and along v within the bounds."""
    below, above = problem.begin.below, problem.begin.above
    if below is None or above is None:
        return None, None
    xp = problem.evaluator.xp
    size = xp.where(v == 0, xp.ones_like(v), xp.abs(v))
    free = xp.full_like(v, float("inf"))
    back = xp.where(v == 0, free, xp.where(v > 0, below, above) / size)
    forth = xp.where(v == 0, free, xp.where(v > 0, above, below) / size)
    return xp.min(back, axis=0), xp.min(forth, axis=0)
