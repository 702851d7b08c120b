"""Differences of neighbours, as they are: no spacing, no weights, no change of dtype."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, kind
from gradkit.arguments import axes_of
from gradkit.errors import ArgumentTypeError, integer

__all__ = ["diff"]


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, taken `n` times; `numpy.diff` on any array library.

    Parameters
    ----------
    a : array_like, shape (..., m, ...)
        The values.
    n : int, default 1
        How many times differences are taken; 0 returns `a` itself.
    axis : int, default -1
        Axis along which neighbours lie.
    prepend, append : array_like, optional
        Values put before and after `a` along `axis` first; a scalar is repeated.

    Returns
    -------
    array, shape (..., m - n, ...)
        Of the dtype of `a`, as in NumPy: unsigned integers wrap around, booleans tell whether
        neighbours differ, and times give ``timedelta64``. For slopes of integers and times use
        `derivative`, which is exact.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, AxisError
        If `a` is 0-dimensional, `n` is negative or not an integer, or `axis` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import diff
    >>> diff(np.asarray([1, 4, 9, 16]), n=2)
    array([2, 2])
    """
    n = integer("n", n, 0)
    if n == 0:
        return a
    a = _array.as_array(a, "a")
    (along,) = axes_of(axis, a.ndim, "a")
    before = [] if prepend is None else [_beside(a, prepend, along, "prepend")]
    after = [] if append is None else [_beside(a, append, along, "append")]
    values = _concat([*before, a, *after], along) if before or after else a
    xp = _array.namespace(values)
    chunks = values.chunks if _array.is_dask(values) else None
    is_bool = kind(dtype_name(values.dtype)) == "bool"
    lead, trail = (slice(None),) * along, (slice(None),) * (a.ndim - along - 1)
    dtype = values.dtype
    values = wide = _subtractable(values)
    # Once at least: that makes lengths of time of times, if there are none.
    for _ in range(min(n, max(values.shape[along], 1))):
        upper, lower = (
            values[(*lead, slice(1, None), *trail)],
            values[(*lead, slice(None, -1), *trail)],
        )
        # As functions: the operators of masked arrays leave the data under a mask as they were.
        values = xp.not_equal(upper, lower) if is_bool else xp.subtract(upper, lower)
    values = values if wide.dtype == dtype else _array.cast(xp, values, dtype)
    return values if chunks is None else _tidy_chunks(values, chunks, along)


def _beside(a: Array, value: Any, axis: int, name: str) -> Array:
    """`prepend` or `append` as an array that can be joined to `a` along `axis`."""
    if _array.is_array(value) and value.ndim:
        _array.same_place([("a", a), (name, value)])
        return value
    value = _asarray_like(value, a, name)
    if value.ndim == 0:
        shape = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
        value = _array.namespace(a).broadcast_to(value, shape)
    return value


def _tidy_chunks(array: Array, chunks: tuple[tuple[int, ...], ...], axis: int) -> Array:
    """A Dask array with these chunks, the last ones along `axis` cut to its length."""
    ends = [min(end, array.shape[axis]) for end in accumulate(chunks[axis], initial=0)]
    sizes = tuple(end - start for start, end in pairwise(ends) if end > start)
    return array.rechunk((*chunks[:axis], sizes or (0,), *chunks[axis + 1 :]))


def _concat(arrays: Sequence[Array], axis: int) -> Array:
    """Join arrays along an axis; masks are kept."""
    if any(isinstance(a, np.ma.MaskedArray) for a in arrays):
        return np.ma.concatenate(arrays, axis=axis)
    return _array.namespace(arrays[0]).concat(list(arrays), axis=axis)


def _asarray_like(value: Any, like: Array, name: str) -> Array:
    """An array of the library and device of `like`, made from a number or nested sequence.

    NumPy finds its dtype as usual; elsewhere it has the dtype of `like`, which must hold it.
    """
    if isinstance(like, np.ndarray):
        return np.asanyarray(value)
    families = ("bool", "uint", "int", "float", "complex")
    host = kind(dtype_name(value.dtype) if _array.is_array(value) else np.asarray(value).dtype.name)
    held = kind(dtype_name(like.dtype))
    if host not in families or families.index(host) > max(families.index(held), 2):
        raise ArgumentTypeError(f"{name}={value!r} does not fit dtype {dtype_name(like.dtype)}")
    return _array.namespace(like).asarray(value, dtype=like.dtype, device=_array.device(like))


def _subtractable(array: Array) -> Array:
    """An array that can be subtracted from its like: torch has no subtraction of some integers.

    In 64 bits those wrap around to the same numbers.
    """
    if _array.is_torch(array) and dtype_name(array.dtype) in ("uint16", "uint32", "uint64"):
        return _array.cast(_array.namespace(array), array, _array.namespace(array).int64)
    return array
