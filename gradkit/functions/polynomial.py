"""Exact derivatives of polynomials and orthogonal series whose data are coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array, Namespace
from gradkit._values import exact_number, plain_number
from gradkit.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    AxisError,
    integer,
    is_index,
    one_of,
)

__all__ = ["BASES", "derivative"]


class _Basis(NamedTuple):
    """How the coefficients b of a derivative follow from those of the series, c.

    ``b[k] = after(k) * sum(before(j) * c[j])`` over ``j = k + 1, k + 1 + stride, ...``, or over
    ``j = k + 1`` alone where the stride is 0.
    """

    stride: int
    before: Callable[[np.ndarray], np.ndarray]
    after: Callable[[np.ndarray], np.ndarray]


def _one(n: np.ndarray) -> np.ndarray:
    return n * 0 + 1


def _same(n: np.ndarray) -> np.ndarray:
    return n


def _twice(n: np.ndarray) -> np.ndarray:
    return 2 * n


def _two_but_first(n: np.ndarray) -> np.ndarray:
    return 2 - (n == 0)


def _odd(n: np.ndarray) -> np.ndarray:
    return 2 * n + 1


def _minus_one(n: np.ndarray) -> np.ndarray:
    return n * 0 - 1


_RULES = {
    "power": _Basis(0, _same, _one),
    # T_n' = 2 n (T_{n-1} + T_{n-3} + ...), in which T_0 counts half.
    "chebyshev": _Basis(2, _same, _two_but_first),
    # P_n' = (2 n - 1) P_{n-1} + (2 n - 5) P_{n-3} + ...
    "legendre": _Basis(2, _one, _odd),
    "hermite": _Basis(0, _twice, _one),
    "hermite_e": _Basis(0, _same, _one),
    # L_n' = -(L_{n-1} + L_{n-2} + ...)
    "laguerre": _Basis(1, _one, _minus_one),
}

#: The names of the bases.
BASES = tuple(_RULES)


def derivative(
    coefficients: Any, basis: str = "power", *, order: int = 1, axis: int = 0, scale: Any = 1
) -> Array:
    """Coefficients of the derivative of a polynomial or an orthogonal series.

    Parameters
    ----------
    coefficients : array_like, shape (..., n, ...)
        Real or complex coefficients along `axis`, that of the lowest degree first, as in
        `numpy.polynomial`; the other axes hold further series. An array of any library.
    basis : str, default "power"
        "power" (1, x, x**2, ...), "chebyshev" (T_n), "legendre" (P_n), "hermite" (the H_n of
        physicists), "hermite_e" (the He_n of probability) or "laguerre" (L_n).
    order : int, default 1
        Order of the derivative, from 0.
    axis : int, default 0
        Axis of the coefficients.
    scale : int, float, complex or Fraction, default 1
        What each derivative is multiplied by: where the series has the argument
        ``u = scale * x + offset``, the result is the derivative with respect to x.

    Returns
    -------
    array, shape (..., max(n - order, 1), ...)
        Coefficients in the same basis, of the library and on the device of `coefficients`, in
        [coefficients] * [scale]**order; a single 0 where nothing is left. Floating and complex
        dtypes are kept, integers become float64; a complex scale makes results complex.

    Raises
    ------
    ArgumentTypeError
        If the coefficients are not numbers, or masked, or the scale is not a number.
    ArgumentValueError
        If the basis is not known, the order is negative, or there are no coefficients.
    AxisError
        If the coefficients have no such axis.

    Notes
    -----
    Nothing is approximated: the derivative of each basis polynomial has integer coefficients in
    its own basis [1]_. So ``b[k]`` is one product (powers, Hermite), or a factor times the sum
    of all later coefficients (Laguerre) or of every second one (Chebyshev, Legendre). The sums
    are cumulative ones from the highest degree down, once per order. Factors are exact integers,
    times the scale, and rounded once; those of powers and Hermite hold all orders in one product,
    so that the error is two roundings, whatever the order.

    References
    ----------
    .. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov/18.9 and
       https://dlmf.nist.gov/18.18.

    Examples
    --------
    >>> from gradkit.functions import polynomial
    >>> polynomial.derivative([1.0, 2.0, 3.0])
    array([2., 6.])
    >>> polynomial.derivative([[1, 2, 3, 4], [0, 0, 0, 1]], "chebyshev", axis=1)
    array([[14., 12., 24.],
           [ 3.,  0.,  6.]])
    """
    c, order, axis, scale = _checked(coefficients, basis, order, axis, scale)
    xp, count, rule = _array.namespace(c), c.shape[axis], _RULES[basis]
    is_complex = isinstance(scale, complex)
    p = _dtypes.precision(
        [_dtypes.dtype_name(c.dtype)],
        None,
        _array.default_real(c),
        "coefficients",
        complex_weights=is_complex,
    )
    b = xp.moveaxis(_array.cast(xp, c, _array.native(xp, p.compute)), axis, 0)
    if not order:
        b = xp.asarray(b, copy=True)
    if order >= count:
        b = xp.zeros_like(b[:1, ...])
    out = None  # where NumPy writes to, once there is memory that is not the caller's
    for step in _steps(basis, count, order, scale, p.real) if order < count else ():
        before, after = _factors(basis, b.shape[0], step, scale, p.real)
        column = (-1, *(1,) * (c.ndim - 1))
        b = b[step:, ...]
        if isinstance(b, np.ndarray):
            out = _room(b, rule.stride) if out is None else b
        if rule.before is not _one:
            b = _times(xp, b, before.reshape(column), out)
        if rule.stride:
            b = _times(xp, _suffix_sums(xp, b, rule.stride, out), after.reshape(column), out)
    return _array.cast(xp, xp.moveaxis(b, 0, axis), _array.result_dtype(xp, [c], p.result))


def _checked(
    coefficients: Any, basis: Any, order: Any, axis: Any, scale: Any
) -> tuple[Array, int, int, Any]:
    """The arguments of `derivative`, the scale as an exact number or a complex one."""
    if not isinstance(basis, str) or basis not in _RULES:
        raise ArgumentValueError(one_of("basis", basis, BASES))
    c = _array.as_array(coefficients, "coefficients")
    if isinstance(c, np.ma.MaskedArray):
        raise ArgumentTypeError("coefficients is a masked array: every coefficient must be known")
    dtype = _dtypes.dtype_name(c.dtype)
    if _dtypes.kind(dtype) not in ("int", "uint", "float", "complex"):
        raise ArgumentTypeError(f"coefficients has dtype {dtype}: wanted real or complex numbers")
    if not is_index(axis):
        raise ArgumentTypeError(f"axis={axis!r} is not an integer")
    if not -c.ndim <= axis < c.ndim:
        raise AxisError("axis", int(axis), c.ndim)
    axis = int(axis) % c.ndim
    if c.shape[axis] == 0:
        raise ArgumentValueError(
            f"coefficients of shape {tuple(c.shape)} has none along axis {axis}: wanted at least 1"
        )
    number = plain_number(scale[()] if isinstance(scale, np.ndarray) else scale, "scale")
    if number is None:
        raise ArgumentTypeError(f"scale={scale!r} ({type(scale).__name__}) is not a number")
    exact = exact_number(number) if isinstance(number, float) else number
    return c, integer("order", order, 0), axis, exact


def _steps(basis: str, count: int, order: int, scale: Any, real: str) -> Sequence[int]:
    """How many orders are taken at a time: all where one product does and its factor fits."""
    if _RULES[basis].stride:
        return (1,) * order
    try:
        factors, _ = _factors(basis, count, order, scale, real)
    except OverflowError:
        return (1,) * order
    sizes, limits = np.abs(factors), np.finfo(real)
    fits = limits.tiny <= sizes.min() and sizes.max() <= limits.max
    return (order,) if fits else (1,) * order


def _factors(
    basis: str, count: int, step: int, scale: Any, real: str
) -> tuple[np.ndarray, np.ndarray]:
    """What `count` coefficients are multiplied by before and after they are summed."""
    make = _kept_factors if count <= _SMALL else _new_factors
    return make(basis, count, step, scale, real)


def _new_factors(
    basis: str, count: int, step: int, scale: Any, real: str
) -> tuple[np.ndarray, np.ndarray]:
    rule = _RULES[basis]
    # Integers of Python, which are exact.
    k = np.arange(count - step).astype(object)
    before = _one(k)
    for i in range(1, step + 1):
        before = before * rule.before(k + i)
    after = rule.after(k) * scale**step
    if not rule.stride:
        before = before * after
    return _rounded(before, scale, real), _rounded(after, scale, real)


#: Factors of up to so many coefficients are kept for the next call.
_SMALL = 4096
_kept_factors = lru_cache(maxsize=64)(_new_factors)


def _rounded(factors: np.ndarray, scale: Any, real: str) -> np.ndarray:
    """Exact numbers, or products of one complex number, in the dtype of a real one."""
    dtype = np.dtype(real).type
    if isinstance(scale, complex):
        values = factors.astype(np.complex128).astype(_dtypes.complex_of(real))
    elif real in ("float32", "float64"):
        with np.errstate(over="ignore"):
            values = factors.astype(np.float64).astype(real)
    else:
        pairs = [(dtype(f.numerator), dtype(f.denominator)) for f in factors]
        values = np.array([above / below for above, below in pairs], real)
    values.setflags(write=False)
    return values


#: From so many series on NumPy adds whole rows faster than it accumulates along memory.
_LONG = 512


def _room(values: np.ndarray, stride: int) -> np.ndarray:
    """Memory for what NumPy computes: of long rows one after the other, where they are summed."""
    rows = stride and values[0].size >= _LONG
    return np.empty_like(values, order="C" if rows else "K")


def _times(xp: Namespace, values: Array, factors: np.ndarray, out: np.ndarray | None) -> Array:
    if out is not None:
        return np.multiply(values, factors, out=out)
    return values * _array.table(xp, factors, values)


def _suffix_sums(xp: Namespace, values: Array, stride: int, out: np.ndarray | None) -> Array:
    """Along the first axis, the sum of each value and every `stride`-th one after it."""
    if out is not None:
        return _summed(values, stride, out)
    count, rest = values.shape[0], tuple(values.shape[1:])
    missing = -count % stride
    if missing:
        values = xp.concat([values, xp.zeros_like(values[:missing, ...])], axis=0)
    runs = xp.reshape(values, ((count + missing) // stride, stride, *rest))
    sums = xp.flip(xp.cumulative_sum(xp.flip(runs, axis=0), axis=0), axis=0)
    return xp.reshape(sums, (count + missing, *rest))[:count, ...]


def _summed(values: np.ndarray, stride: int, out: np.ndarray) -> np.ndarray:
    """The sums of `_suffix_sums`, by the same additions, without flipped and padded copies."""
    if values[0].size >= _LONG:
        out[-stride:] = values[-stride:]
        for k in reversed(range(len(values) - stride)):
            np.add(values[k], out[k + stride], out=out[k])
    else:
        for first in range(stride):
            every = slice(first, None, stride)
            np.cumsum(values[every][::-1], axis=0, out=out[every][::-1])
    return out
