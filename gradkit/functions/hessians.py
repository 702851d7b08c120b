"""Second and mixed derivatives of functions of a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradkit._array import Array
from gradkit.errors import ArgumentTypeError, ArgumentValueError, integer
from gradkit.functions.blocks import MEMORY, Problem, indices, search_moves
from gradkit.functions.history import KINK, Found
from gradkit.functions.inputs import Options
from gradkit.functions.results import Result, result
from gradkit.functions.steps import of_lanes

__all__ = ["hessian", "partial"]

#: How many times longer than those along the axes steps may be and still tell of a kink.
STRETCH = 3


def hessian(
    func: Callable[..., Any],
    x: Any,
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
    memory: int = MEMORY,
) -> Result:
    """Hessian of a function of a vector, at one point or at each of many.

    Parameters
    ----------
    func : callable
        As in `gradient`, or, as in `jacobian`, with several values.
    x : array
        A point ``(m,)``, or points ``(m, ...)`` with the variables along the first axis.
    method : str
        ``"central"``, ``"forward"`` or ``"backward"``.
    step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback, memory
        As in `gradient`.

    Returns
    -------
    Result
        Symmetric arrays ``(m, m, ...)``, ``(n, m, m, ...)`` for n values, in ``[func] / [x]**2``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` returns the wrong shape or no numbers.

    Notes
    -----
    Entries off the diagonal are extrapolated from the four points ``x ± h e_i ± g e_j``, with the
    steps h and g that served the diagonal entries at first. The same points hold the sum of these,
    which must agree with those found along the axes: where they do not, the second derivative
    depends on the direction, and the status is ``"kink"``.

    Examples
    --------
    >>> from gradkit.functions import hessian
    >>> hessian(lambda x: x[0]**2 * x[1], [1.0, 3.0]).value.round(8) + 0.0
    array([[6., 2.],
           [2., 0.]])
    """
    options = Options(
        method, step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback
    ).without_complex_step(2)
    problem = Problem.of(func, x, options, 2, memory)
    m = problem.variables
    diagonal = search_moves(problem, (2,), *problem.every_point(range(m)))
    found = [diagonal]
    rows, columns = np.triu_indices(m, 1)
    if len(rows):
        variables, point = problem.every_point(rows.tolist(), columns.tolist())
        fitted = _with_steps_of(problem, diagonal)
        mixed = search_moves(fitted, (1, 1), variables, point)
        found.append(_compared(fitted, mixed, diagonal, variables, point))
    return _symmetric(problem, found, rows, columns)


def _with_steps_of(problem: Problem, diagonal: Found) -> Problem:
    """The problem with first steps that the derivatives along the axes were found with.

    Those were found for each variable alone; in a mixed derivative two of them keep one ratio. Of
    several values the one with the longest steps begins: the search goes on to shorter ones.
    """
    xp, begin = problem.evaluator.xp, problem.begin
    # Steps of any length serve a value that is linear: those of others count first.
    bent = xp.where(diagonal.value != 0, diagonal.step, xp.zeros_like(diagonal.step))
    longest, any_length = (of_lanes(part, xp.max) for part in (bent, diagonal.step))
    step = xp.where(longest > 0, longest, any_length)
    return replace(problem, begin=begin._replace(step=xp.reshape(step, problem.x.shape)))


def _compared(
    problem: Problem,
    mixed: Found,
    diagonal: Found,
    variables: Sequence[np.ndarray],
    point: np.ndarray,
) -> Found:
    """Mixed derivatives, flawed where their points contradict the derivatives along the axes."""
    xp, count = problem.evaluator.xp, problem.x.shape[1]
    first, second = (indices(v * count + point, problem.x) for v in variables)
    step = xp.reshape(problem.begin.step, (-1,))
    ratio = xp.take(step, first, axis=0) / xp.take(step, second, axis=0)

    def along(part: Array, where: Array) -> Array:
        return xp.take(part, where, axis=part.ndim - 1)

    with np.errstate(all="ignore"):
        parts = (
            along(diagonal.value, first) * ratio,
            along(diagonal.value, second) / ratio,
        )
        doubt = along(diagonal.error, first) * ratio + along(diagonal.error, second) / ratio
        size = xp.abs(parts[0]) + xp.abs(parts[1])
        doubt = doubt + 4 * mixed.error + mixed.companion_error
        doubt = 10 * doubt + problem.evaluator.epsilon**0.5 * size
        apart = xp.abs(mixed.companion - (parts[0] + parts[1]))
        # Steps that rounding made much longer may be too long for the derivatives along the axes;
        # differences to one side have no such points: their companion is the value.
        long = (mixed.step > STRETCH * along(diagonal.step, first)) | (
            mixed.step > STRETCH * ratio * along(diagonal.step, second)
        )
        given = ~long & (mixed.companion != mixed.value)
        kink = given & xp.isfinite(doubt) & (apart > xp.maximum(doubt, mixed.limit))
    return mixed._replace(flaw=xp.where(kink, xp.full_like(mixed.flaw, KINK), mixed.flaw))


def _symmetric(
    problem: Problem, found: Sequence[Found], rows: np.ndarray, columns: np.ndarray
) -> Result:
    """The full matrices from what was found on the diagonal and above it."""
    xp, m, outputs = problem.evaluator.xp, problem.variables, problem.outputs
    place = np.zeros((m, m), dtype=np.int64)
    place[np.arange(m), np.arange(m)] = np.arange(m)
    place[rows, columns] = place[columns, rows] = m + np.arange(len(rows))
    index = indices(place.reshape(-1), problem.x)
    full: list[Array] = []
    for parts in zip(*found, strict=True):
        counted = zip(parts, (m, len(rows)), strict=False)
        joint = xp.concat([_entries(problem, *part) for part in counted], axis=len(outputs))
        taken = xp.take(joint, index, axis=len(outputs))
        full.append(xp.reshape(taken, (*outputs, m * m * problem.x.shape[1])))
    return result(Found(*full), (*outputs, m, m, *problem.batch), problem.evaluator.calls)


def _entries(problem: Problem, part: Array, entries: int) -> Array:
    """Lanes ``(..., entries * points)`` as ``(outputs, entries, points)``."""
    xp = problem.evaluator.xp
    full = xp.broadcast_to(part, (*problem.outputs, part.shape[-1]))
    return xp.reshape(full, (*problem.outputs, entries, problem.x.shape[1]))


def partial(
    func: Callable[..., Any],
    x: Any,
    orders: Sequence[int],
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
    memory: int = MEMORY,
) -> Result:
    """One mixed partial derivative of a function of a vector.

    Parameters
    ----------
    func : callable
        As in `gradient`, or, as in `jacobian`, with several values.
    x : array
        A point ``(m,)``, or points ``(m, ...)`` with the variables along the first axis.
    orders : sequence of int
        Order of the derivative in each of the m variables, 0 for none: ``(1, 2, 0)`` is
        ``d**3 f / dx0 dx1**2``.
    method : str
        ``"central"``, ``"forward"`` or ``"backward"``.
    step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback, memory
        As in `gradient`.

    Returns
    -------
    Result
        Arrays of the shape of one value per point, ``(n, ...)`` for n values.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` returns the wrong shape or no numbers.

    Examples
    --------
    >>> from gradkit.functions import partial
    >>> round(float(partial(lambda x: x[0]**2 * x[1]**3, [1.0, 2.0], (1, 2)).value), 6)
    24.0
    """
    if not isinstance(orders, Sequence | np.ndarray) or isinstance(orders, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentTypeError(f"orders={orders!r}: wanted integers, one per variable of x")
    wanted = tuple(integer(f"orders[{i}]", order, 0) for i, order in enumerate(orders))
    options = Options(
        method, step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback
    ).without_complex_step(sum(wanted))
    problem = Problem.of(func, x, options, max(1, sum(wanted)), memory)
    if len(wanted) != problem.variables or not any(wanted):
        raise ArgumentValueError(
            f"orders={orders!r}: wanted {problem.variables} integers, one per variable, and not "
            "all of them 0"
        )
    moved = [[i] for i, order in enumerate(wanted) if order]
    found = search_moves(problem, tuple(o for o in wanted if o), *problem.every_point(*moved))
    return result(found, (*problem.outputs, *problem.batch), problem.evaluator.calls)
