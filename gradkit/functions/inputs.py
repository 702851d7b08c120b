"""The arguments that all functions of the package share, checked."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, epsilon, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError, one_of
from gradkit.functions.judging import Tolerances

__all__ = ["METHODS", "check_callable", "check_method", "over", "points", "tolerances"]

METHODS = ("central", "forward", "backward", "complex")


def points(x: Any, name: str = "x") -> Array:
    """An array of real floating points, integers as floats."""
    array = _array.as_array(x, name)
    if _array.is_dask(array):
        raise ArgumentTypeError(f"{name} is a lazy dask array: wanted values, as by .compute()")
    dtype = dtype_name(array.dtype)
    family = kind(dtype)
    if family in ("int", "uint"):
        xp = _array.namespace(array)
        return xp.astype(array, _array.native(xp, _array.default_real(array)))
    if family != "float" or dtype not in ("float32", "float64"):
        raise ArgumentTypeError(
            f"{name} has dtype {dtype}: wanted float32, float64 or integers"
        )
    return array


def check_callable(name: str, value: Any) -> None:
    """Raise unless a value can be called."""
    if not callable(value):
        raise ArgumentTypeError(f"{name}={value!r} is not callable")


def check_method(method: Any, choices: tuple[str, ...] = METHODS) -> None:
    """Raise unless a method is one of the words allowed."""
    if not isinstance(method, str) or method not in choices:
        raise ArgumentValueError(one_of("method", method, choices))


def tolerances(rtol: Any, atol: Any, order: int, dtype: Any) -> Tolerances:
    """The tolerances of a search, from those of the user or from the precision of x."""
    eps = epsilon(dtype_name(dtype))
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ArgumentTypeError(f"{name}={value!r} is not a number >= 0")
        if not (isfinite(value) and value >= 0):
            raise ArgumentValueError(f"{name}={value!r} is not a finite number >= 0")
    if rtol is None:
        aim = eps ** (2 / (order + 2))
        return Tolerances(aim, max(eps**0.5, aim), atol, eps)
    return Tolerances(float(rtol), float(rtol), atol, eps)


def over(value: Any, x: Array, name: str) -> Array:
    """A number or an array, as real numbers of x's dtype and shape."""
    xp = _array.namespace(x)
    given = _array.as_array(value, name)
    if kind(dtype_name(given.dtype)) not in ("int", "uint", "float"):
        raise ArgumentTypeError(f"{name} has dtype {dtype_name(given.dtype)}: wanted real numbers")
    if _array.library(given) != _array.library(x):
        given = xp.asarray(_array.to_host(given, name), device=_array.device(x))
    given = _array.cast(xp, given, x.dtype)
    try:
        return xp.broadcast_to(given, x.shape)
    except (ValueError, RuntimeError, TypeError):
        raise ArgumentValueError(
            f"{name} has shape {tuple(given.shape)}: wanted one that broadcasts to that of x, "
            f"{tuple(x.shape)}"
        ) from None


def is_known(x: Array) -> bool:
    """Whether the values of an array can be looked at."""
    return not _array.is_traced(x)


Callback = Callable[[int, int], object]
