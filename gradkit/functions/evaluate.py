"""Calls of the user's function: all points at once, one by one, or by workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array, Namespace
from gradkit._dtypes import dtype_name, epsilon, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError

__all__ = ["Evaluator"]


class Evaluator:
    """A function and how to call it; counts calls and notes the precision of what it returns.

    Parameters
    ----------
    func : callable
        The function of the user.
    like : Array
        An array of the library, device and real dtype of the points.
    vectorized : bool
        Whether `func` takes many points in one call.
    workers : callable, Executor or None
        A map-like callable, or an executor, for functions that take one point at a time.
    """

    def __init__(
        self, func: Callable[..., Any], like: Array, vectorized: bool, workers: Any = None
    ) -> None:
        self.xp: Namespace = _array.namespace(like)
        self.calls = 0
        self.epsilon = epsilon(dtype_name(like.dtype))
        self._func, self._like, self._vectorized = func, like, vectorized
        self._map = workers.map if isinstance(workers, Executor) else workers or map

    def elementwise(self, points: Array, args: Sequence[Any]) -> Array:
        """Values of a function of numbers at points ``(steps, lanes)``."""
        if self._vectorized:
            self.calls += 1
            values = self._numbers(self._array(self._func(_own(points), *args)))
            if tuple(values.shape) != tuple(points.shape):
                raise ArgumentValueError(
                    f"func returned shape {tuple(values.shape)} for points of shape "
                    f"{tuple(points.shape)}: wanted the same; pass vectorized=False if it takes "
                    "one number at a time"
                )
            return values
        rows, count = points.shape
        singles = [
            (_own(points[row, lane]), *(a[lane] if _array.is_array(a) else a for a in args))
            for row in range(rows)
            for lane in range(count)
        ]
        values = self._each(singles)
        if values.ndim != 1:
            raise ArgumentValueError(
                f"func returned shape {tuple(values.shape[1:])} for a number: wanted a number"
            )
        return self.xp.reshape(values, (rows, count))

    def columns(self, points: Array, args: Sequence[Any]) -> Array:
        """Values of a function of vectors at points ``(variables, count)``: ``(..., count)``."""
        if self._vectorized:
            self.calls += 1
            values = self._numbers(self._array(self._func(_own(points), *args)))
            if values.ndim == 0 or values.shape[-1] != points.shape[-1]:
                raise ArgumentValueError(
                    f"func returned shape {tuple(values.shape)} for {points.shape[-1]} points of "
                    f"shape {tuple(points.shape)}: wanted one value, or one vector, per point "
                    "along the last axis; pass vectorized=False if it takes one point at a time"
                )
            return values
        values = self._each([(_own(points[:, i]), *args) for i in range(points.shape[-1])])
        return self.xp.moveaxis(values, 0, -1)

    def _each(self, arguments: Sequence[tuple[Any, ...]]) -> Array:
        self.calls += len(arguments)
        # A function may return one and the same array each time: copied before the next call.
        returned = self._map(_Starred(self._func), arguments)
        arrays = [_own(self._array(value)) for value in returned]
        for i, array in enumerate(arrays):
            if array.shape != arrays[0].shape:
                raise ArgumentValueError(
                    f"func returned shape {tuple(arrays[0].shape)} at first and "
                    f"{tuple(array.shape)} in call {i + 1}: wanted the same shape always"
                )
        return self._numbers(self.xp.stack(arrays))

    def _array(self, value: Any) -> Array:
        if _array.is_array(value):
            if _array.library(value) != _array.library(self._like):
                raise ArgumentTypeError(
                    f"func returned a {_array.library(value)} array for a "
                    f"{_array.library(self._like)} array: wanted the same library"
                )
            return value
        try:
            return self.xp.asarray(value, device=_array.device(self._like))
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(f"func returned {type(value).__name__}: {error}") from None

    def _numbers(self, values: Array) -> Array:
        """Values in at least the precision of the points; notes a lower one that they came in."""
        values = _array.detached(values)
        name = dtype_name(values.dtype)
        family = kind(name)
        if family in ("int", "uint"):
            return self.xp.astype(values, self._like.dtype)
        if family not in ("float", "complex"):
            raise ArgumentTypeError(f"func returned dtype {name}: wanted real or complex numbers")
        if name in ("float16", "bfloat16"):
            raise ArgumentTypeError(
                f"func returned dtype {name}: wanted values in single precision or better"
            )
        self.epsilon = max(self.epsilon, epsilon(name))
        wanted = self.xp.result_type(values.dtype, self._like.dtype)
        return _own(_array.cast(self.xp, values, wanted))


def _own(array: Array) -> Array:
    """A copy that func, or whoever holds the array, may write to without harm."""
    if not _array.is_array(array) or _array.is_jax(array):  # a NumPy scalar, too, is immutable
        return array
    if isinstance(array, np.ndarray):
        return array.copy()
    if _array.is_torch(array):
        return array.clone()
    return _array.namespace(array).asarray(array, copy=True)


class _Starred:
    """A function of several arguments, called with a tuple of them; can be sent to a process."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        return self.func(*arguments)
