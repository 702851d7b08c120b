"""Arrays as parts of values: coefficients of operators, values along a wall.

Operators, grids and plans are frozen, compare and hash. An array does none of that, so one that
becomes part of them is wrapped here.
"""

from __future__ import annotations

import cmath
import numbers
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit._dtypes import dtype_name, kind
from gradkit.errors import ArgumentTypeError, ArgumentValueError

__all__ = [
    "ArrayValue",
    "exact_number",
    "nearest_float",
    "nearest_longdouble",
    "number_or_array",
    "plain_number",
]


class ArrayValue:
    """An array that compares by content, hashes, and cannot be changed from outside.

    Parameters
    ----------
    value : array
        Real or complex numbers of any library. A copy is kept, but of JAX and Dask arrays, which
        cannot change.
    name : str
        What messages call it.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the array holds no numbers, or some of its values are masked.
    """

    __slots__ = ("array",)

    array: Array

    def __init__(self, value: Array, name: str) -> None:
        value = _array.unmasked(value, name)
        _array.check_dense(value, name)
        dtype = dtype_name(value.dtype)
        if kind(dtype) not in ("int", "uint", "float", "complex"):
            raise ArgumentTypeError(f"{name} has dtype {dtype}: wanted real or complex numbers")
        self.array = _snapshot(value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.array.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArrayValue):
            return NotImplemented
        return self.array is other.array or _same_values(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.shape, dtype_name(self.array.dtype), _sample(self.array)))

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return ("gradkit.ArrayValue", self.array)

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayValue, (self.array, "array")

    def __repr__(self) -> str:
        return f"<{' x '.join(map(str, self.shape)) or '0-d'} array>"


def exact_number(value: Any) -> Fraction:
    """The exact value of a float of Python or NumPy, longdouble included."""
    numerator, denominator = value.as_integer_ratio()
    return Fraction(int(numerator), int(denominator))


def nearest_float(value: Fraction) -> float:
    """The float nearest to a fraction, infinite beyond the range of floats."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def nearest_longdouble(value: Fraction) -> np.longdouble:
    """The longdouble nearest to a fraction, whatever the sizes of its parts."""
    if not value:
        return np.longdouble(0)
    bits = np.finfo(np.longdouble).nmant + 3
    shift = bits - (abs(value.numerator).bit_length() - value.denominator.bit_length())
    scaled = value * Fraction(2) ** shift
    # The last bit tells that there are more: rounded twice, a number may miss the nearest one.
    digits = scaled.numerator // scaled.denominator
    return np.ldexp(np.longdouble(digits | (digits != scaled)), -shift)


def plain_number(value: Any, name: str) -> Any:
    """A finite real or complex number as a plain Python one; None for what is no number.

    One without an imaginary part is real.
    """
    is_number = isinstance(value, numbers.Complex) and not isinstance(value, np.timedelta64)
    if isinstance(value, bool | np.bool) or not is_number:
        return None
    value = value.item() if isinstance(value, np.generic) else value
    try:
        finite = cmath.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ArgumentValueError(f"{name} {value} is not a finite number")
    if isinstance(value, np.floating):  # a longdouble: it is no float of Python
        return exact_number(value)
    if isinstance(value, complex | np.complexfloating):
        return complex(value) if value.imag else plain_number(value.real, name)
    return value


def number_or_array(value: Any, name: str) -> Any:
    """A plain number or an `ArrayValue`, from what a user gave for a number or an array."""
    value = _array.unlabelled(value)
    # A NumPy array of no dimension is a number.
    number = plain_number(value[()] if isinstance(value, np.ndarray) else value, name)
    if number is not None:
        return number
    if isinstance(value, ArrayValue):
        return value
    if isinstance(value, list | tuple):
        value = _array.as_array(value, name)
    if not _array.is_array(value):
        raise ArgumentTypeError(
            f"{name}={value!r} ({type(value).__name__}) is not a number or an array of numbers"
        )
    return ArrayValue(value, name)


def _sample(array: Array) -> tuple[Any, ...]:
    """Some values of a NumPy array, so that different ones seldom hash equal."""
    if not isinstance(array, np.ndarray):
        return ()
    flat = array.ravel()[:: max(array.size // 8, 1)]
    return tuple(None if value != value else value for value in flat.tolist())  # noqa: PLR0124  NaN is not itself


def _snapshot(array: Array) -> Array:
    """An array with the same values that nobody else can change."""
    if isinstance(array, np.ndarray):
        copy = np.array(array)
        copy.setflags(write=False)
        return copy
    if _array.is_torch(array):
        return array.clone()
    if _array.is_jax(array) or _array.is_dask(array):
        return array
    return _array.namespace(array).asarray(array, copy=True)


def _same_values(a: Array, b: Array) -> bool:
    """Whether two arrays have one library, device, dtype and shape, and equal numbers or NaN.

    Arrays whose values are unknown, or that record gradients of their own, are equal to no other.
    """
    if (
        _array.library(a) != _array.library(b)
        or tuple(a.shape) != tuple(b.shape)
        or a.dtype != b.dtype
    ):
        return False
    if _array.is_dask(a):
        return a.name == b.name
    if not (_array.is_comparable(a) and _array.is_comparable(b)):
        return False
    if _array.device(a) != _array.device(b):
        return False
    xp = _array.namespace(a)
    return bool(xp.all((a == b) | ((a != a) & (b != b))))  # noqa: PLR0124  NaN is not itself
