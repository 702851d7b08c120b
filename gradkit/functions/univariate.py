"""Derivatives of functions of one number, elementwise over arrays of points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradkit import _array
from gradkit._array import Array, Namespace
from gradkit._dtypes import dtype_name, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError, integer
from gradkit.functions import inputs, steps
from gradkit.functions.evaluate import Evaluator
from gradkit.functions.judging import Tolerances
from gradkit.functions.results import Result, result
from gradkit.functions.schemes import Scheme, central_scheme, one_sided_scheme
from gradkit.functions.search import Found, Rounds, search

__all__ = ["derivative"]

ROUNDS = 6

#: Points that are taken through all rounds together, so that their values stay in the cache.
BLOCK = 16384


class Points:
    """Lanes of a function of one number: each is a point."""

    def __init__(
        self,
        evaluator: Evaluator,
        x: Array,
        args: Sequence[Any],
        step: Array,
        side: Array | None,
        widest: Array,
        noise: Array | float,
        order: int,
        centre: Array | None = None,
    ) -> None:
        self.evaluator, self.x, self.args = evaluator, x, args
        self.step, self.side, self.widest, self.noise = step, side, widest, noise
        self.order, self.centre = order, centre

    @property
    def wide(self) -> Array:
        """The width of a step about as long as x is large, to the power of the order."""
        xp = _array.namespace(self.x)
        reach = steps.SHARE * xp.maximum(xp.abs(self.x), xp.ones_like(self.x))
        return reach**self.order

    @property
    def position(self) -> Array:
        """Magnitude of the points."""
        return _array.namespace(self.x).abs(self.x)

    def sample(
        self, scheme: Scheme, factor: Array
    ) -> tuple[Mapping[tuple[int, ...], Array], Sequence[Array]]:
        """Values at all levels and offsets, in one call."""
        xp = self.evaluator.xp
        longest = self.step * factor
        ladder = xp.stack([longest / scheme.ratio**j for j in range(scheme.levels)])
        ladder = steps.representable(self.x, ladder)
        signed = ladder if self.side is None else ladder * self.side
        parts = [self.x + (k * signed if k != 1 else signed) for (k,) in scheme.points]
        if self.centre is None:
            parts.append(self.x[None, :])
        values = self.evaluator.elementwise(xp.concat(parts), self.args)
        count = scheme.levels
        if self.centre is None:
            self.centre = values[-1:, :]
        found = {
            point: values[i * count : (i + 1) * count, :] for i, point in enumerate(scheme.points)
        }
        found[0,] = self.centre
        return found, [signed]

    def take(self, index: Array) -> Points:
        """Some of the points."""
        xp = self.evaluator.xp

        def some(part: Any) -> Any:
            return xp.take(part, index, axis=part.ndim - 1) if _array.is_array(part) else part

        return Points(
            self.evaluator,
            some(self.x),
            [some(a) for a in self.args],
            some(self.step),
            some(self.side),
            some(self.widest),
            some(self.noise),
            self.order,
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
    callback: Callable[[int, int], object] | None = None,
) -> Result:
    """Derivative of a function of one number at one or many points."""
    inputs.check_callable("func", func)
    order = integer("order", order, 1)
    inputs.check_method(method)
    x = inputs.points(x)
    xp = _array.namespace(x)
    tolerance = inputs.tolerances(rtol, atol, order, x.dtype)
    shape = tuple(x.shape)
    flat = xp.reshape(x, (-1,))
    longest = xp.reshape(steps.first_step(x, step), (-1,))
    space = steps.room(x, bounds)
    noises: Any = 0.0 if noise is None else xp.reshape(inputs.over(noise, x, "noise"), (-1,))
    spread = [_argument(a, x, i) for i, a in enumerate(args)]
    evaluator = Evaluator(func, x, vectorized, workers)
    side = {"forward": 1.0, "backward": -1.0}.get(method)
    scheme = central_scheme((order,)) if side is None else one_sided_scheme(order)
    sides = None if side is None else xp.full_like(flat, side)
    widest = xp.full_like(flat, float("inf"))
    eager = not _array.is_traced(x)
    name = _array.library(x)
    plan = Rounds(ROUNDS, eager, eager and name in ("numpy", "cupy", "torch"), callback)

    founds: list[Found] = []
    for start in range(0, max(flat.shape[0], 1), BLOCK):
        part = slice(start, start + BLOCK)
        lanes = Points(
            evaluator,
            flat[part],
            [a[part] if _array.is_array(a) else a for a in spread],
            longest[part],
            None if sides is None else sides[part],
            widest[part],
            noises[part] if _array.is_array(noises) else noises,
            order,
        )
        founds.append(search(xp, scheme, lanes, tolerance, plan))
    found = founds[0] if len(founds) == 1 else Found(*(xp.concat(p) for p in zip(*founds)))
    return result(found, longest, shape, scheme, evaluator.calls)


def _argument(value: Any, x: Array, position: int) -> Any:
    if not _array.is_array(value):
        return value
    xp = _array.namespace(x)
    return xp.reshape(xp.broadcast_to(value, x.shape), (-1,))
