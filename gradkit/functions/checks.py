"""Checks of claimed derivatives against numeric ones: a report, or an error for a test suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradkit.functions.check_report import Check
from gradkit.functions.comparison import Keywords, compare

__all__ = [
    "assert_gradient",
    "assert_hessian",
    "assert_jacobian",
    "check_gradient",
    "check_hessian",
    "check_jacobian",
]


def check_gradient(
    func: Callable[..., Any],
    grad: Any,
    x: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    steps: Sequence[float] = (),
    directions: int | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    vectorized: bool = True,
    symbols: Sequence[Any] | None = None,
    rows: int = 10,
    **numeric: Any,
) -> Check:
    """Compare a claimed gradient with a numeric one.

    Parameters
    ----------
    func : callable
        ``func(x, *args)``: one number for x of shape (n,); if `vectorized`, also values (k,) for
        k points, (n, k).
    grad : array_like, callable, "torch", "jax" or sympy expressions
        The claim: its values, shape (n,); a function of ``(x, *args)``; the library that is to
        differentiate `func` (``torch.func.grad``, ``jax.grad``); or n expressions.
    x : array_like, shape (n,)
        Where. With "torch" or "jax" it is made a tensor of that library if it is none.
    rtol, atol : float, optional
        An entry is wrong where ``|claimed - numeric| > atol + rtol * |numeric| + 10 * error``, with
        the estimate of the error of the numeric derivative; 100 times where it has not converged,
        because estimates may be too small themselves. The default is 1e-6 each in double
        precision. Where x, the function or the claim is in single precision, it is 1e-3 (1e-2 for
        a hessian), and `atol` no less than 1e-4 (1e-2) times the largest numeric entry. Where
        derivatives are small, the default of `atol` is less, per entry: `rtol` of the largest
        change that a variable makes in the value when it moves by its size (1 at 0), over the size
        of the variables of the entry, but no less than 100 times the error. Where it is more than
        the default and errors are below it, `atol` is no less than the error.
    steps : sequence of float, optional
        Steps of plain central differences with which the claim is compared as well; `bounds` do
        not hold them back.
    directions : int, optional
        Compare along so many random directions, not entry by entry; 0 for all entries. The default
        is 10 directions above 1000 variables. In each of them every variable moves, up or down,
        away from a bound that is near, in proportion to its scale: its size (its root beyond 1), 1
        at 0, and no less than 1/100 of the largest scale. The tolerance is that of the sum, so that
        small errors of single entries are not seen; at a kink, which may hide more, a direction is
        undecided.
    seed : int, default 0
        Seed of the directions.
    args : sequence, optional
        Further arguments of `func`, and of `grad` where it is a function.
    vectorized : bool, default True
        Whether `func` takes many points in one call.
    symbols : sequence of sympy.Symbol, optional
        For expressions: the symbols of the variables, in order.
    rows : int, default 10
        How many entries of each kind the table shows.
    **numeric
        Further keywords of `gradkit.functions.gradient`, such as ``bounds`` or ``noise``.

    Returns
    -------
    Check
        Prints as a table, also in notebooks and with Rich; `Check.raise_if_failed` is for tests.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` does not return one number.
    MissingPackageError
        If the library that is to differentiate is not installed.

    Notes
    -----
    An entry that the numeric derivative is too inaccurate to decide is reported as undecided. At a
    kink, any claim between the derivatives from the left and from the right is reported as a kink,
    and passes. A NaN or an infinity on either side fails. The sum of two errors of opposite sign
    may vanish along a direction, for half of all directions at most: 10 of them miss it once in
    1000 checks.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import check_gradient
    >>> check = check_gradient(lambda x: (x**3).sum(0), lambda x: 3 * x, np.array([1.0, 2.0]))
    >>> check.passed, check.worst
    (False, (1,))
    >>> print(check.title())
    gradient of <lambda>: FAILED: 1 wrong of 2 entries
    """
    keywords = Keywords(
        rtol, atol, steps, directions, seed, args, vectorized, symbols, rows, numeric
    )
    return compare("gradient", func, grad, x, keywords)


def check_jacobian(
    func: Callable[..., Any],
    jac: Any,
    x: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    steps: Sequence[float] = (),
    directions: int | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    vectorized: bool = True,
    symbols: Sequence[Any] | None = None,
    rows: int = 10,
    **numeric: Any,
) -> Check:
    """Compare a claimed jacobian with a numeric one.

    Parameters
    ----------
    func : callable
        ``func(x, *args)``: a vector (m,) for x of shape (n,); if `vectorized`, also values (m, k)
        for k points, (n, k).
    jac : array_like, sparse matrix, callable, "torch", "jax" or sympy expressions
        The claim, shape (m, n), the derivative of output i in variable j at [i, j]; in the forms
        of `check_gradient` (``torch.func.jacrev``, ``jax.jacfwd``).
    x : array_like, shape (n,)
        Where.
    rtol, atol, steps, directions, seed, args, vectorized, symbols, rows
        As in `check_gradient`.
    **numeric
        Further keywords of `gradkit.functions.jacobian`.

    Returns
    -------
    Check
        As of `check_gradient`; a claim that looks transposed is said to.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used.
    MissingPackageError
        If the library that is to differentiate is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import check_jacobian
    >>> A = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> check_jacobian(lambda x: A @ x, A.T, np.ones(2)).hints
    ('claimed looks transposed: its transpose agrees with numeric',)
    """
    keywords = Keywords(
        rtol, atol, steps, directions, seed, args, vectorized, symbols, rows, numeric
    )
    return compare("jacobian", func, jac, x, keywords)


def check_hessian(
    func: Callable[..., Any],
    hess: Any,
    x: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    steps: Sequence[float] = (),
    directions: int | None = None,
    seed: int = 0,
    args: Sequence[Any] = (),
    vectorized: bool = True,
    symbols: Sequence[Any] | None = None,
    rows: int = 10,
    **numeric: Any,
) -> Check:
    """Compare a claimed hessian with a numeric one.

    Parameters
    ----------
    func : callable
        ``func(x, *args)``, as in `check_gradient`.
    hess : array_like, callable, "torch", "jax" or sympy expressions
        The claim, shape (n, n), in the forms of `check_gradient` (``torch.func.hessian``,
        ``jax.hessian``).
    x : array_like, shape (n,)
        Where.
    rtol, atol, steps, directions, seed, args, vectorized, symbols, rows
        As in `check_gradient`. Along a direction u, ``u @ hess @ u`` is compared.
    **numeric
        Further keywords of `gradkit.functions.hessian`.

    Returns
    -------
    Check
        As of `check_gradient`; at a kink, where there is no second derivative, entries are
        undecided.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument cannot be used, or `func` does not return one number.
    MissingPackageError
        If the library that is to differentiate is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import check_hessian
    >>> check_hessian(lambda x: x[0] * x[1], [[0, 1], [1, 0]], np.ones(2)).passed
    True
    """
    keywords = Keywords(
        rtol, atol, steps, directions, seed, args, vectorized, symbols, rows, numeric
    )
    return compare("hessian", func, hess, x, keywords)


def assert_gradient(func: Callable[..., Any], grad: Any, x: Any, **options: Any) -> None:
    """Raise an error with a table of the worst entries unless a gradient is right.

    Parameters
    ----------
    func, grad, x
        As in `check_gradient`.
    **options
        Keywords of `check_gradient`.

    Raises
    ------
    CheckError
        If the gradient has not passed; an AssertionError.
    ArgumentTypeError, ArgumentValueError
        As in `check_gradient`.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import assert_gradient
    >>> assert_gradient(lambda x: np.exp(x).sum(0), np.exp, np.array([0.0, 1.0]))
    """
    __tracebackhide__ = True
    check_gradient(func, grad, x, **options).raise_if_failed()


def assert_jacobian(func: Callable[..., Any], jac: Any, x: Any, **options: Any) -> None:
    """Raise an error with a table of the worst entries unless a jacobian is right.

    Parameters
    ----------
    func, jac, x
        As in `check_jacobian`.
    **options
        Keywords of `check_jacobian`.

    Raises
    ------
    CheckError
        If the jacobian has not passed; an AssertionError.
    ArgumentTypeError, ArgumentValueError
        As in `check_jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import assert_jacobian
    >>> assert_jacobian(np.sin, lambda x: np.diag(np.cos(x)), np.array([0.0, 1.0]))
    """
    __tracebackhide__ = True
    check_jacobian(func, jac, x, **options).raise_if_failed()


def assert_hessian(func: Callable[..., Any], hess: Any, x: Any, **options: Any) -> None:
    """Raise an error with a table of the worst entries unless a hessian is right.

    Parameters
    ----------
    func, hess, x
        As in `check_hessian`.
    **options
        Keywords of `check_hessian`.

    Raises
    ------
    CheckError
        If the hessian has not passed; an AssertionError.
    ArgumentTypeError, ArgumentValueError
        As in `check_hessian`.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit.functions import assert_hessian
    >>> assert_hessian(lambda x: (x**2).sum(0), 2 * np.eye(2), np.array([0.0, 1.0]))
    """
    __tracebackhide__ = True
    check_hessian(func, hess, x, **options).raise_if_failed()
