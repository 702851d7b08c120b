"""Derivatives of functions of a vector: gradient, jacobian, hessian, mixed partials, directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit.errors import ArgumentTypeError, ArgumentValueError, integer
from gradkit.functions import inputs, steps
from gradkit.functions.blocks import MEMORY, Setting, joined
from gradkit.functions.evaluate import Evaluator
from gradkit.functions.results import Result, result
from gradkit.functions.schemes import central_scheme, one_sided_scheme
from gradkit.functions.search import Rounds

__all__ = ["directional", "gradient", "hessian", "hessian_diagonal", "jacobian", "partial"]

ROUNDS = 6


class _Problem:
    """The arguments of one call, checked, and the value at x."""

    def __init__(self, func, x, order, method, step, rtol, atol, bounds, args, vectorized, noise, workers, callback):
        inputs.check_callable("func", func)
        inputs.check_method(method)
        self.x = inputs.points(x)
        if self.x.ndim == 0:
            raise ArgumentValueError("x is 0-dimensional: wanted a vector of variables, or points (variables, ...)")
        xp = self.xp = _array.namespace(self.x)
        self.tolerances = inputs.tolerances(rtol, atol, order, self.x.dtype)
        self.variables = self.x.shape[0]
        self.batch = tuple(self.x.shape[1:])
        flat = xp.reshape(self.x, (self.variables, -1))
        self.count = flat.shape[1]
        longest = xp.reshape(steps.first_step(self.x, step), flat.shape)
        evaluator = Evaluator(func, flat, vectorized, workers)
        centre = evaluator.columns(flat, args)
        self.outputs = tuple(centre.shape[:-1])
        side = {"forward": 1.0, "backward": -1.0}.get(method)
        self.one_sided = side is not None
        sides = None if side is None else xp.full_like(flat, side)
        eager = not _array.is_traced(self.x)
        self.plan = Rounds(ROUNDS, eager, eager and _array.library(self.x) in ("numpy", "cupy", "torch"), callback)
        self.setting = Setting(evaluator, flat, args, longest, xp.full_like(flat, float("inf")), sides, 0.0, centre)

    def lanes(self, *variables):
        columns = [np.repeat(np.asarray(v), self.count) for v in variables]
        point = np.tile(np.arange(self.count), len(variables[0]))
        return columns, point


def gradient(func: Callable[..., Any], x: Any, *, method: str = "central", step: Any = None, rtol: float | None = None,
    atol: float | None = None, bounds: Any = None, args: Sequence[Any] = (), vectorized: bool = True, noise: Any = None,
    workers: Any = None, callback: Any = None, memory: int = MEMORY) -> Result:
    """Gradient of a function of a vector."""
    problem = _Problem(func, x, 1, method, step, rtol, atol, bounds, args, vectorized, noise, workers, callback)
    if problem.outputs:
        raise ArgumentValueError(f"func returned shape {problem.outputs} per point: wanted one number; use jacobian for vectors")
    return _first(problem, memory)


def jacobian(func: Callable[..., Any], x: Any, *, method: str = "central", step: Any = None, rtol: float | None = None,
    atol: float | None = None, bounds: Any = None, args: Sequence[Any] = (), vectorized: bool = True, noise: Any = None,
    workers: Any = None, callback: Any = None, memory: int = MEMORY) -> Result:
    """Jacobian of a function of a vector."""
    problem = _Problem(func, x, 1, method, step, rtol, atol, bounds, args, vectorized, noise, workers, callback)
    return _first(problem, memory)


def _first(p: _Problem, memory: int) -> Result:
    scheme = one_sided_scheme(1) if p.one_sided else central_scheme((1,))
    found, longest = joined(p.setting, scheme, *p.lanes(range(p.variables)), p.tolerances, p.plan, memory)
    shape = (*p.outputs, p.variables, *p.batch)
    return result(found, longest, shape, scheme, p.setting.evaluator.calls)


def hessian_diagonal(func: Callable[..., Any], x: Any, *, method: str = "central", step: Any = None, rtol: float | None = None,
    atol: float | None = None, bounds: Any = None, args: Sequence[Any] = (), vectorized: bool = True, noise: Any = None,
    workers: Any = None, callback: Any = None, memory: int = MEMORY) -> Result:
    """Second derivatives in each variable."""
    p = _Problem(func, x, 2, method, step, rtol, atol, bounds, args, vectorized, noise, workers, callback)
    scheme = one_sided_scheme(2) if p.one_sided else central_scheme((2,))
    found, longest = joined(p.setting, scheme, *p.lanes(range(p.variables)), p.tolerances, p.plan, memory)
    return result(found, longest, (*p.outputs, p.variables, *p.batch), scheme, p.setting.evaluator.calls)


def hessian(func: Callable[..., Any], x: Any, *, step: Any = None, rtol: float | None = None,
    atol: float | None = None, bounds: Any = None, args: Sequence[Any] = (), vectorized: bool = True, noise: Any = None,
    workers: Any = None, callback: Any = None, memory: int = MEMORY) -> Result:
    """Hessian of a function of a vector."""
    p = _Problem(func, x, 2, "central", step, rtol, atol, bounds, args, vectorized, noise, workers, callback)
    xp, m = p.xp, p.variables
    scheme = central_scheme((2,))
    found, longest = joined(p.setting, scheme, *p.lanes(range(m)), p.tolerances, p.plan, memory)
    diagonal = result(found, longest, (*p.outputs, m, *p.batch), scheme, p.setting.evaluator.calls)
    rows, columns = np.triu_indices(m, 1)
    if not len(rows):
        parts = [diagonal]
    else:
        scheme = central_scheme((1, 1))
        found, longest = joined(p.setting, scheme, *p.lanes(rows, columns), p.tolerances, p.plan, memory)
        shape = (*p.outputs, len(rows), *p.batch)
        parts = [diagonal, result(found, longest, shape, scheme, p.setting.evaluator.calls)]
    order = np.empty((m, m), dtype=np.int64)
    order[np.arange(m), np.arange(m)] = np.arange(m)
    order[rows, columns] = order[columns, rows] = m + np.arange(len(rows))
    index = xp.asarray(order.reshape(-1), device=_array.device(p.x))
    axis = len(p.outputs)

    def full(name: str) -> Array:
        joint = xp.concat([getattr(part, name) for part in parts], axis=axis)
        return xp.reshape(xp.take(joint, index, axis=axis), (*p.outputs, m, m, *p.batch))

    names = ("value", "error", "success", "code", "evaluations", "step")
    return Result(*(full(name) for name in names), p.setting.evaluator.calls)


def partial(func: Callable[..., Any], x: Any, orders: Sequence[int], *, step: Any = None, rtol: float | None = None,
    atol: float | None = None, bounds: Any = None, args: Sequence[Any] = (), vectorized: bool = True, noise: Any = None,
    workers: Any = None, callback: Any = None, memory: int = MEMORY) -> Result:
    """One mixed partial derivative of a function of a vector."""
    wanted = tuple(integer(f"orders[{i}]", o, 0) for i, o in enumerate(orders))
    p = _Problem(func, x, max(1, sum(wanted)), "central", step, rtol, atol, bounds, args, vectorized, noise, workers, callback)
    if len(wanted) != p.variables or not any(wanted):
        raise ArgumentValueError(f"orders={orders!r}: wanted {p.variables} integers, one per variable, not all 0")
    moved = [i for i, o in enumerate(wanted) if o]
    scheme = central_scheme(tuple(o for o in wanted if o))
    found, longest = joined(p.setting, scheme, *p.lanes(*([i] for i in moved)), p.tolerances, p.plan, memory)
    return result(found, longest, (*p.outputs, *p.batch), scheme, p.setting.evaluator.calls)


def directional(func: Callable[..., Any], x: Any, v: Any, **options: Any) -> Result:
    """Derivative of a function of a vector in a direction: the jacobian times v."""
    inputs.check_callable("func", func)
    x = inputs.points(x)
    xp = _array.namespace(x)
    v = inputs.over(v, x, "v")
    m, batch = x.shape[0], tuple(x.shape[1:])
    flat, way = xp.reshape(x, (m, -1)), xp.reshape(v, (m, -1))
    # Per point, the factor of v that moves some variable by its own first step.
    step = steps.first_step(flat, None)
    size = xp.abs(way)
    longest = xp.min(xp.where(size > 0, step / xp.where(size > 0, size, 1.0), xp.asarray(float("inf"), dtype=x.dtype)), axis=0)
    longest = xp.where(xp.isfinite(longest), longest, xp.ones_like(longest))
    count = flat.shape[1]

    def along(t: Array, *args: Any) -> Any:
        lane = xp.astype(xp.round(t[1, :]), xp.int64)
        return func(xp.take(flat, lane, axis=1) + t[:1, :] * xp.take(way, lane, axis=1), *args)

    start = xp.stack([xp.zeros_like(longest), xp.astype(xp.arange(count, device=_array.device(x)), x.dtype)])
    given = options.pop("step", None)
    return _along(along, start, longest if given is None else given, batch, **options)


def _along(func, start, longest, batch, method="central", rtol=None, atol=None, args=(), vectorized=True, noise=None, workers=None, callback=None, memory=MEMORY):
    p = _Problem(func, start, 1, method, 1.0, rtol, atol, None, args, vectorized, noise, workers, callback)
    p.setting.step = _array.namespace(start).stack([longest, longest])
    scheme = one_sided_scheme(1) if p.one_sided else central_scheme((1,))
    found, longest = joined(p.setting, scheme, *p.lanes([0]), p.tolerances, p.plan, memory)
    return result(found, longest, (*p.outputs, *batch), scheme, p.setting.evaluator.calls)
