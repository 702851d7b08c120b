"""Derivatives of functions of one number, elementwise over arrays of points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit.errors import ArgumentValueError, integer
from gradkit.functions import steps
from gradkit.functions.complex_step import complex_step
from gradkit.functions.evaluate import Asking, Evaluator, Parts, answered, own
from gradkit.functions.history import Found
from gradkit.functions.inputs import Options, points
from gradkit.functions.judging import Values
from gradkit.functions.results import Result, result
from gradkit.functions.schemes import Scheme
from gradkit.functions.search import Rounds
from gradkit.functions.sides import Sides, differentiate, facing

__all__ = ["Points", "derivative"]

#: Points whose values are judged together on the host, so that they stay in the cache.
BLOCK = 16384


class _Whole:
    """What is found at all points, which are searched block by block, in one array per field.

    Parameters
    ----------
    count : int
        Number of points.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.found: Found | None = None

    def keep(self, rows: slice, found: Found) -> Found:
        """Write what was found in a block, and return the places where it is now."""
        if self.found is None:
            fields = {
                name: np.empty(self._count, dtype=getattr(found, name).dtype)
                for name in Found._fields
                if not name.startswith("companion")
            }
            # Of one variable the companion is the value.
            value = fields["value"]
            self.found = Found(**fields, companion=value, companion_error=value)
        places = Found(*(field[rows] for field in self.found))
        for place, part in zip(places, found, strict=True):
            place[...] = part
        return places


class Points:
    """Lanes of a function of one number: each is a point."""

    def __init__(
        self,
        evaluator: Evaluator,
        x: Array,
        args: Sequence[Any],
        order: int,
        begin: steps.Start,
        sides: Sides,
        centre: Array | None = None,
    ) -> None:
        self.evaluator, self.x, self.args, self.order = evaluator, x, args, order
        self.begin, self.sides, self.centre = begin, sides, centre

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
        """A step of about the size of the point, to the power of the order."""
        return steps.broad(self.x) ** self.order

    @property
    def position(self) -> Array:
        """Magnitude of the points."""
        return self.evaluator.xp.abs(self.x)

    @property
    def epsilon(self) -> float:
        """Relative rounding of the values."""
        return self.evaluator.epsilon

    def sample(self, scheme: Scheme, factor: Array) -> Asking[tuple[Values, Sequence[Array]]]:
        """Values at all levels and offsets, in one call; at the points, too, if need be."""
        xp, longest = self.evaluator.xp, self.longest * factor
        # Wider values make wider points, at which func may round less than it did at x.
        again = self.centre is None or longest.dtype != self.x.dtype

        def ladder() -> Array:
            step = steps.ladder(self.x, longest, scheme.ratio, scheme.levels)
            return step if self.sides.side is None else step * self.sides.side

        def placed() -> Iterator[Array]:
            step = ladder()
            for point in scheme.points:
                yield steps.moved(self.x, step, point[0])
            if again:
                yield xp.astype(self.x, longest.dtype)[None, ...]

        rows = scheme.evaluations + again
        values = yield Parts((rows, self.x.shape[0]), placed), self.args
        if again:
            self.centre = own(values[-1:, ...])
        found: dict[tuple[int, ...], Array] = {(0,): self.centre}
        for i, point in enumerate(scheme.points):
            found[point] = values[i * scheme.levels : (i + 1) * scheme.levels, ...]
        return found, [ladder()]

    def take(self, index: Array) -> Points:
        """Some of the points."""
        xp = self.evaluator.xp

        def some(part: Any) -> Any:
            return xp.take(part, index, axis=part.ndim - 1) if _array.is_array(part) else part

        return Points(
            self.evaluator,
            some(self.x),
            [some(a) for a in self.args],
            self.order,
            steps.Start(*map(some, self.begin)),
            Sides(*map(some, self.sides)),
            some(self.centre),
        )


def derivative(
    func: Callable[..., Any],
    x: Any,
    *,
    order: int = 1,
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
    """Derivative of a function of one number, at one point or at each of many.

    Parameters
    ----------
    func : callable
        ``func(x, *args)``, elementwise: it is called with an array of points of any shape and
        returns the values, real or complex, in the same shape. With ``vectorized=False`` it is
        called with one number at a time.
    x : array or number
        Points, float32 or float64 (integers become floats), of any shape and array library.
    order : int
        Order of the derivative, at least 1.
    method : str
        ``"central"`` (near a bound, one-sided where there is no room), ``"forward"``,
        ``"backward"``, or ``"complex"``: the complex step, for analytic functions and order 1.
    step : array or number, optional
        Longest step of the first ladder of steps; by default chosen from the size of x.
    rtol, atol : float, optional
        The search stops, and is a success, where the error is at most ``atol + rtol * |value|``.
        By default it stops at ``eps**(2 / (order + 2))`` relative to the value, or at the rounding
        of the values over steps of about the size of x; and ``sqrt(eps)`` is a success.
    bounds : tuple, optional
        Pair of numbers or arrays (None for no bound): func is never evaluated beyond, nor at a
        bound unless x is there.
    args : tuple
        Further arguments of `func`; arrays among them are broadcast with x and taken along with it.
    vectorized : bool
        Whether `func` takes arrays of points.
    noise : array or number, optional
        Absolute error of the values of `func`, if it is more than rounding.
    workers : callable or Executor, optional
        With ``vectorized=False``, a map-like callable or an executor of `concurrent.futures`.
    rounds : int
        Ladders of steps at most; under ``jax.jit`` exactly so many are evaluated.
    callback : callable, optional
        Called as ``callback(done, total)`` after each round, with numbers of points.

    Returns
    -------
    Result
        Arrays of the shape, library and device of x: ``.value`` and ``.error`` in
        ``[func] / [x]**order``, ``.success``, ``.status``, ``.evaluations``, ``.step``.
        The dtype is that of x, or the wider one of the values.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` returns the wrong shape or no numbers.

    Notes
    -----
    Difference quotients of a geometric ladder of steps are extrapolated (Richardson). The error is
    the difference to the extrapolation without the longest step, plus rounding. Where it is too
    large, a ladder of shorter steps follows, or one of longer steps where rounding rules. All
    steps of a round and all points go to `func` in one call.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import derivative
    >>> result = derivative(np.log, [1e-3, 1.0, 1e20])
    >>> bool(np.all(abs(result.value * [1e-3, 1.0, 1e20] - 1) < 1e-9))
    True
    >>> derivative(np.abs, 0.0).status
    'kink'
    >>> round(float(derivative(np.sin, 0.5, order=2).value + np.sin(0.5)), 9)
    0.0
    """
    order = integer("order", order, 1)
    options = Options(
        method, step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback
    )
    if method == "complex" and order != 1:
        raise ArgumentValueError(f"order={order} with method='complex': it has order 1 only")
    x = points(x, func)
    xp = _array.namespace(x)
    flat = xp.reshape(x, (-1,))
    begin = steps.start(x, options, order)
    begin = steps.Start(*(xp.reshape(p, (-1,)) if _array.is_array(p) else p for p in begin))
    spread = [_argument(value, x, i) for i, value in enumerate(options.args)]
    evaluator = Evaluator(func, x, options.vectorized, options.workers)
    count = flat.shape[0]
    size = BLOCK if options.vectorized and isinstance(x, np.ndarray) else max(count, 1)
    starts = range(0, max(count, 1), size)
    done = [0] * len(starts)
    whole = _Whole(count)

    def block(number: int, first: int) -> Asking[Found]:
        rows = slice(first, min(first + size, count))

        def part(value: Any) -> Any:
            return value[rows] if _array.is_array(value) else value

        lanes = (part(flat), [part(a) for a in spread], order, steps.Start(*map(part, begin)))
        plan = options.plan(x, count, done, number)
        if len(starts) > 1:
            plan = replace(plan, keep=partial(whole.keep, rows))
        return _search(evaluator, *lanes, options, plan)

    blocks = [block(number, first) for number, first in enumerate(starts)]
    found = answered(evaluator.elementwise, blocks)
    total = found[0] if whole.found is None else whole.found
    return result(total, tuple(x.shape), evaluator.calls)


def _search(
    evaluator: Evaluator,
    x: Array,
    args: Sequence[Any],
    order: int,
    begin: steps.Start,
    options: Options,
    plan: Rounds,
) -> Asking[Found]:
    """Differentiate at some points."""
    xp = evaluator.xp

    def lanes_of(scheme: Scheme) -> Points:
        sides = facing(xp, begin, steps.broad(x), scheme, options.method, steps.shortest(x))
        return Points(evaluator, x, args, order, begin, sides)

    bounded, tolerances = begin.below is not None, options.tolerances
    found = yield from differentiate(
        xp, (order,), options.method, bounded, lanes_of, tolerances, plan
    )
    if options.method == "complex":
        known = (found, evaluator.epsilon, begin.nearest)
        found = yield from complex_step(xp, x, args, begin.step, *known)
        found = found if plan.keep is None else plan.keep(found)
    return found


def _argument(value: Any, x: Array, position: int) -> Any:
    """An argument of the function, arrays with one value per point."""
    if not _array.is_array(value):
        return value
    xp = _array.namespace(x)
    _array.same_place([("x", x), (f"args[{position}]", value)])
    try:
        return xp.reshape(xp.broadcast_to(value, x.shape), (-1,))
    except (ValueError, RuntimeError, TypeError):
        raise ArgumentValueError(
            f"args[{position}] has shape {tuple(value.shape)}: wanted one that broadcasts to that "
            f"of x, {tuple(x.shape)}"
        ) from None
