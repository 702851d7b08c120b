"""Calls of the user's function: all points at once, one by one, or by workers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from gradkit import _array
from gradkit._array import Array, Namespace
from gradkit._dtypes import dtype_name, epsilon, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError

__all__ = ["Along", "Asking", "Detached", "Evaluator", "OfSome", "Parts", "answered", "own"]

_T = TypeVar("_T")


class Parts(NamedTuple):
    """Points ``(rows, lanes)`` that take no memory before they are called for.

    Attributes
    ----------
    shape : tuple of int
        Their shape.
    made : callable
        Makes them, some rows at a time.
    """

    shape: tuple[int, int]
    made: Callable[[], Iterable[Array]]


#: What makes something of values of the function, and asks for them: it yields points
#: ``(..., lanes)`` with the arguments that go with them, and is sent the values.
Asking: TypeAlias = Generator[tuple[Array | Parts, Sequence[Any]], Array, _T]


def answered(
    call: Callable[[Array, Sequence[Any]], Array], askings: Sequence[Asking[_T]]
) -> list[_T]:
    """What generators make of the values that they ask for.

    What all of them ask for at a time goes to the function in one call, if it has one number of
    points per lane. Only of NumPy arrays there may be several.

    Parameters
    ----------
    call : callable
        Values of the function at points.
    askings : sequence of generators
        Each for lanes of its own.
    """
    found: dict[int, _T] = {}
    asked: dict[int, tuple[Array | Parts, Sequence[Any]]] = {}

    def send(i: int, values: Any) -> None:
        try:
            asked[i] = askings[i].send(values)
        except StopIteration as stop:
            found[i] = stop.value

    for i in range(len(askings)):
        send(i, None)
    while asked:
        shape = next(iter(asked.values()))[0].shape[:-1]
        group = {i: asked.pop(i) for i in list(asked) if asked[i][0].shape[:-1] == shape}
        ends = np.cumsum([points.shape[-1] for points, _ in group.values()]).tolist()
        values = call(*_joined(list(group.values())))
        for i, first, end in zip(list(group), [0, *ends], ends, strict=False):
            send(i, values if len(group) == 1 else values[..., first:end])
    return [found[i] for i in range(len(askings))]


def _joined(
    asked: Sequence[tuple[Array | Parts, Sequence[Any]]],
) -> tuple[Array, Sequence[Any]]:
    """Points and arguments of several, lane beside lane."""
    points, arguments = zip(*asked, strict=True)
    if len(asked) == 1:
        return _whole(points[0]), arguments[0]
    together = [
        np.concatenate(parts, axis=-1) if _array.is_array(parts[0]) else parts[0]
        for parts in zip(*arguments, strict=True)
    ]
    return _beside(points), together


def _whole(points: Array | Parts) -> Array:
    if not isinstance(points, Parts):
        return points
    parts = list(points.made())
    return _array.namespace(parts[0]).concat(parts)


def _beside(several: Sequence[Array | Parts]) -> np.ndarray:
    """Points lane beside lane: each part is written where it belongs as soon as it is made."""
    ends = np.cumsum([points.shape[-1] for points in several]).tolist()
    whole: np.ndarray | None = None
    for points, first, end in zip(several, [0, *ends], ends, strict=False):
        row = 0
        for part in points.made() if isinstance(points, Parts) else [points]:
            if whole is None:
                whole = np.empty((*points.shape[:-1], ends[-1]), dtype=part.dtype)
            whole[row : row + len(part), ..., first:end] = part
            row += len(part)
    assert whole is not None
    return whole


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
        """Values of a function of numbers at points ``(steps, lanes)``, which it may overwrite.

        The values may be memory of the function.
        """
        if self._vectorized:
            self.calls += 1
            values = self._numbers(self._array(self._at_once(points, args)))
            if tuple(values.shape) != tuple(points.shape):
                raise ArgumentValueError(
                    f"func returned shape {tuple(values.shape)} for points of shape "
                    f"{tuple(points.shape)}: wanted the same; pass vectorized=False if it takes "
                    "one number at a time"
                )
            return values
        rows, count = points.shape
        if not rows * count:
            return points
        singles = [
            (own(points[row, lane]), *(a[lane] if _array.is_array(a) else a for a in args))
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
        """Values ``(..., count)`` of a function of vectors at points ``(variables, count)``.

        As in `elementwise`, points and values belong to the function.
        """
        if self._vectorized:
            self.calls += 1
            values = self._numbers(self._array(self._at_once(points, args)))
            if values.ndim == 0 or values.shape[-1] != points.shape[-1]:
                raise ArgumentValueError(
                    f"func returned shape {tuple(values.shape)} for {points.shape[-1]} points of "
                    f"shape {tuple(points.shape)}: wanted one value, or one vector, per point "
                    "along the last axis; pass vectorized=False if it takes one point at a time"
                )
            return values
        if not points.shape[-1]:
            raise ArgumentValueError(
                f"x has {points.shape[0]} variables and no points, for which func is not "
                "called with vectorized=False: wanted a point, or vectorized=True"
            )
        values = self._each([(own(points[:, i]), *args) for i in range(points.shape[-1])])
        return self.xp.moveaxis(values, 0, -1)

    def _at_once(self, points: Array, args: Sequence[Any]) -> Any:
        try:
            return self._func(points, *args)
        except (TypeError, ValueError, IndexError) as error:
            error.add_note(
                f"func was called with many points at once, an array of shape "
                f"{tuple(points.shape)}: pass vectorized=False if it takes one at a time"
            )
            raise

    def _each(self, arguments: Sequence[tuple[Any, ...]]) -> Array:
        self.calls += len(arguments)
        # A function may return one and the same array each time: copied before the next call.
        returned = self._map(_Starred(self._func), arguments)
        arrays = [own(self._array(value)) for value in returned]
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
            return _without_mask(value)
        if value is None:
            raise ArgumentTypeError("func returned None: wanted real or complex numbers")
        if _array.is_torch(self._like) and not _holds_arrays(value):
            value = np.asarray(value)  # torch would keep half of the digits
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
        return _array.cast(self.xp, values, wanted)


def _without_mask(value: Array) -> Array:
    """Values that are not known, as numpy.ma.log leaves them outside of its domain, as NaN."""
    if not isinstance(value, np.ma.MaskedArray):
        return value
    if not np.ma.is_masked(value):
        return value.data
    return np.where(np.ma.getmaskarray(value), np.nan, value.data)


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_arrays, value))  # pyright: ignore[reportUnknownArgumentType]
    return _array.is_array(value)


def own(array: Array) -> Array:
    """A copy that func, or whoever holds the array, may write to without harm."""
    if not _array.is_array(array) or _array.is_jax(array):  # a NumPy scalar, too, is immutable
        return array
    if isinstance(array, np.ndarray):
        return array.copy()
    if _array.is_torch(array):
        return array.clone()
    return _array.namespace(array).asarray(array, copy=True)


# --- functions made of the user's, as classes: these can be sent to a process -------------------


class Detached:
    """A function whose values keep no record of gradients."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def __call__(self, *arguments: Any) -> Any:
        """Its values, of some points or one."""
        result = self.func(*arguments)
        return result.detach() if _array.is_torch(result) else result


class Along:
    """A function of the distance t from x along a direction, as that of a vector with one entry."""

    def __init__(self, func: Callable[..., Any], x: Array, towards: Array) -> None:
        self.func, self.x, self.towards = func, x, towards

    def __call__(self, t: Array, *args: Any) -> Any:
        """Its values at distances ``(1, count)``, or at one, ``(1,)``."""
        if t.ndim == 1:
            return self.func(self.x + t * self.towards, *args)
        return self.func(self.x[:, None] + t * self.towards[:, None], *args)


class OfSome:
    """A function of some variables, the others being those of x."""

    def __init__(self, func: Callable[..., Any], x: Array, some: Sequence[int]) -> None:
        self.func, self.x, self.some = func, x, list(some)

    def __call__(self, z: Array, *args: Any) -> Any:
        """Its values at points ``(variables, count)``, or at one, ``(variables,)``."""
        xp = _array.namespace(z)
        rows = [xp.broadcast_to(self.x[i, ...], z.shape[1:]) for i in range(self.x.shape[0])]
        for row, i in enumerate(self.some):
            rows[i] = z[row, ...]
        return self.func(xp.stack([xp.astype(row, z.dtype) for row in rows]), *args)


class _Starred:
    """A function of several arguments, called with a tuple of them; can be sent to a process."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        return self.func(*arguments)
