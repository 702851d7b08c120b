"""The arguments that the functions of this package share, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError, integer, one_of
from gradkit.functions.judging import Tolerances
from gradkit.functions.search import Rounds

__all__ = ["Options", "over", "points"]

METHODS = ("central", "forward", "backward", "complex")

#: Libraries whose arrays can be indexed by integers and written to.
COMPRESSIBLE = ("numpy", "cupy", "torch")


@dataclass(frozen=True)
class Options:
    """The keywords of one call; raises the errors of those that do not depend on x.

    Attributes
    ----------
    method : str
        One of "central", "forward", "backward", "complex".
    step : Any
        Longest step of the first ladder, None to choose it.
    rtol, atol : float or None
        Tolerances.
    bounds : Any
        Pair of lower and upper bounds of x, or None.
    args : sequence
        Further arguments of the function.
    vectorized : bool
        Whether the function takes many points in one call.
    noise : Any
        Absolute error of the values of the function.
    workers : Any
        Map-like callable or executor that calls a function that is not vectorized.
    rounds : int
        Ladders of steps at most.
    callback : callable or None
        Called with the numbers of derivatives that are done and that are asked for.
    """

    method: str = "central"
    step: Any = None
    rtol: float | None = None
    atol: float | None = None
    bounds: Any = None
    args: Sequence[Any] = ()
    vectorized: bool = True
    noise: Any = None
    workers: Any = None
    rounds: int = 6
    callback: Callable[[int, int], object] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.method, str) or self.method not in METHODS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentValueError(one_of("method", self.method, METHODS))
        for name in ("rtol", "atol"):
            _check_tolerance(name, getattr(self, name))
        if not isinstance(self.args, tuple | list):
            raise ArgumentTypeError(f"args={self.args!r} is not a tuple: wanted args=(value, ...)")
        if not isinstance(self.vectorized, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError(f"vectorized={self.vectorized!r} is not True or False")
        if self.workers is not None:
            if self.vectorized:
                raise ArgumentTypeError(
                    "workers= calls a function once per point: pass vectorized=False with it"
                )
            if not (callable(self.workers) or isinstance(self.workers, Executor)):
                raise ArgumentTypeError(
                    f"workers={self.workers!r} is neither a map-like callable nor an executor"
                )
        if self.callback is not None and not callable(self.callback):
            raise ArgumentTypeError(f"callback={self.callback!r} is not callable")
        integer("rounds", self.rounds, 1)

    def without_complex_step(self, order: int) -> Options:
        """These options, where a derivative has no complex step."""
        if self.method == "complex":
            raise ArgumentValueError(
                f"method='complex' is for first derivatives of one variable each, not for order "
                f"{order}: wanted 'central', 'forward' or 'backward'"
            )
        return self

    @property
    def tolerances(self) -> Tolerances:
        """The tolerances alone."""
        return Tolerances(self.rtol, self.atol)

    def plan(self, x: Array, total: int, done: list[int] | None = None, block: int = 0) -> Rounds:
        """How a search among the derivatives of x may go on, or one block of it.

        `done` has the number of derivatives that are done in each block, of `total` in all.
        """
        look = not _array.is_traced(x)
        callback = self.callback if look else None

        counts = [0] if done is None else done

        def after(count: int) -> None:
            counts[block] = count
            if callback is not None:
                callback(sum(counts), total)

        return Rounds(
            self.rounds,
            look,
            look and _array.library(x) in COMPRESSIBLE,
            after if callback else None,
        )


def _check_tolerance(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentTypeError(f"{name}={value!r} is not a number >= 0")
    if not (isfinite(value) and value >= 0):
        raise ArgumentValueError(f"{name}={value!r} is not a finite number >= 0")


def points(x: Any, func: Any) -> Array:
    """The points as an array of real floating numbers, integers as floats; func is callable."""
    if not callable(func):
        raise ArgumentTypeError(f"func={func!r} is not callable")
    if isinstance(x, int) and not isinstance(x, bool):
        try:
            x = float(x)  # integers of NumPy end at 64 bits
        except OverflowError:
            raise ArgumentValueError(
                "x is an integer beyond the largest float64: wanted a smaller one"
            ) from None
    array = _array.as_array(x, "x")
    if _array.is_dask(array):
        raise ArgumentTypeError("x is a lazy dask array: wanted values, as of x.compute()")
    if isinstance(array, np.ma.MaskedArray):
        raise ArgumentTypeError("x is a masked array: every value of it must be known")
    array = _array.detached(array)  # steps depend on x: what torch would record is no derivative
    name = dtype_name(array.dtype)
    if kind(name) in ("int", "uint"):
        xp = _array.namespace(array)
        return xp.astype(array, _array.native(xp, _array.default_real(array)))
    if name not in ("float32", "float64"):
        raise ArgumentTypeError(f"x has dtype {name}: wanted float32, float64 or integers")
    return array


def over(value: Any, x: Array, name: str) -> Array:
    """A number or an array, as real numbers in the dtype and the shape of x."""
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
