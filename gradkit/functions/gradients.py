"""Derivatives in each variable of a function of a vector: gradient, jacobian, second ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradkit.errors import ArgumentValueError
from gradkit.functions.blocks import MEMORY, Problem, search_moves
from gradkit.functions.grouping import grouped_jacobian
from gradkit.functions.inputs import Options
from gradkit.functions.results import Result, result

__all__ = ["gradient", "hessian_diagonal", "jacobian"]


def gradient(
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
    """Gradient of a function of a vector, at one point or at each of many.

    Parameters
    ----------
    func : callable
        ``func(x, *args)``. It is called with points ``(m, k)``, one per column, and returns their
        values ``(k,)``. With ``vectorized=False`` it is called with one point ``(m,)`` at a time.
    x : array
        A point ``(m,)``, or points ``(m, ...)`` with the variables along the first axis.
    method : str
        ``"central"``, ``"forward"``, ``"backward"`` or ``"complex"``, as in `derivative`.
    step : array or number, optional
        Longest steps of the first ladder, broadcast with x.
    rtol, atol : float, optional
        Tolerances, as in `derivative`.
    bounds : tuple, optional
        Lower and upper bounds, numbers or arrays that broadcast with x.
    args : tuple
        Further arguments of `func`, passed as they are.
    vectorized : bool
        Whether `func` takes many points in one call.
    noise : array or number, optional
        Absolute error of the values of `func`, one for all or one per point.
    workers : callable or Executor, optional
        With ``vectorized=False``, a map-like callable or an executor of `concurrent.futures`.
    rounds : int
        Ladders of steps at most.
    callback : callable, optional
        Called as ``callback(done, total)`` after each round, with numbers of entries.
    memory : int
        Bytes that the points of one call may take. A round that needs more is cut into several
        calls.

    Returns
    -------
    Result
        Arrays of the shape of x, in ``[func] / [x]``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` returns the wrong shape or no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import gradient
    >>> def rosenbrock(x):
    ...     return (100 * (x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2).sum(axis=0)
    >>> result = gradient(rosenbrock, [1.0, 2.0, 3.0])
    >>> result.value.round(6)
    array([-400., 1002., -200.])
    >>> result.calls
    2
    """
    options = Options(
        method, step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback
    )
    problem = Problem.of(func, x, options, 1, memory)
    if problem.outputs:
        raise ArgumentValueError(
            f"func returned values of shape {problem.outputs} per point: wanted one number; use "
            "jacobian for a function with several"
        )
    return _each_variable(problem, 1)


def jacobian(
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
    sparsity: Any = None,
) -> Result:
    """Jacobian of a function of a vector, at one point or at each of many.

    Parameters
    ----------
    func : callable
        ``func(x, *args)``. It is called with points ``(m, k)``, one per column, and returns values
        ``(n, k)``. With ``vectorized=False`` it is called with one point ``(m,)`` at a time.
    x : array
        A point ``(m,)``, or points ``(m, ...)`` with the variables along the first axis.
    method, step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback, memory
        As in `gradient`.
    sparsity : array or sparse matrix, optional
        ``(n, m)``: nonzero where ``func(x)[i]`` may depend on ``x[j]``. Variables that no
        value shares are then moved together. Only for one point; needs SciPy.

    Returns
    -------
    Result
        Arrays ``(n, m, ...)`` of ``d func[i] / d x[j]``, ``(m, ...)`` where `func` returns one
        number. With `sparsity`, `scipy.sparse.csr_array` of the pattern given.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` returns the wrong shape or no numbers.
    MissingPackageError
        If `sparsity` is given and SciPy is not installed.

    Notes
    -----
    The largest array is that of the points of one call, ``memory`` bytes, and never
    ``m * m * n`` numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import jacobian
    >>> def polar(x):
    ...     return np.stack([x[0] * np.cos(x[1]), x[0] * np.sin(x[1])])
    >>> jacobian(polar, [2.0, 0.0]).value.round(9) + 0.0
    array([[1., 0.],
           [0., 2.]])
    """
    options = Options(
        method, step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback
    )
    problem = Problem.of(func, x, options, 1, memory)
    if sparsity is not None:
        return grouped_jacobian(problem, sparsity)
    return _each_variable(problem, 1)


def hessian_diagonal(
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
    """Second derivative in each variable of a function of a vector.

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
        Arrays of the shape of x, ``(n, m, ...)`` for n values, in ``[func] / [x]**2``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` returns the wrong shape or no numbers.

    Examples
    --------
    >>> from gradkit.functions import hessian_diagonal
    >>> hessian_diagonal(lambda x: x[0]**3 * x[1]**2, [1.0, 2.0]).value.round(8)
    array([24.,  2.])
    """
    options = Options(
        method, step, rtol, atol, bounds, args, vectorized, noise, workers, rounds, callback
    ).without_complex_step(2)
    return _each_variable(Problem.of(func, x, options, 2, memory), 2)


def _each_variable(problem: Problem, order: int) -> Result:
    """The derivatives of one order in each variable."""
    found = search_moves(problem, (order,), *problem.every_point(range(problem.variables)))
    shape = (*problem.outputs, problem.variables, *problem.batch)
    return result(found, shape, problem.evaluator.calls)
