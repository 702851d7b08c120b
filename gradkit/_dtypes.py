"""Dtypes by name: which numbers are computed in which precision, and what comes out.

Names are the same on every array library, so nothing here touches an array. The units of the
datetime dtypes are here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from gradkit.errors import ArgumentTypeError, ArgumentValueError, one_of

__all__ = [
    "NARROW",
    "TIME",
    "Precision",
    "as_dtype_name",
    "check_numbers",
    "check_unit",
    "complex_of",
    "dtype_name",
    "epsilon",
    "itemsize",
    "kind",
    "precision",
    "tick",
    "unit_ratio",
]

_REAL_FLOATS = ("float16", "bfloat16", "float32", "float64")
_LONGDOUBLE = np.dtype("longdouble").name
#: Floating and complex dtypes narrower than double precision.
NARROW = ("float16", "bfloat16", "float32", "complex64")


def dtype_name(dtype: Any) -> str:
    """The bare name of a dtype of any library, such as ``"float32"`` or ``"datetime64[D]"``."""
    if isinstance(dtype, np.dtype):
        return _numpy_name(dtype)
    name = getattr(dtype, "name", None) or str(dtype)
    return str(name).rpartition(".")[2]


@cache
def _numpy_name(dtype: np.dtype) -> str:
    # NumPy puts names together anew whenever one is asked for.
    return dtype.name


@cache
def kind(name: str) -> str:
    """Family of a dtype name: bool, int, uint, float, complex, datetime, timedelta or other."""
    families = (
        ("bool", "bool"),
        ("int", "int"),
        ("uint", "uint"),
        ("float", "float"),
        ("bfloat", "float"),
        ("longdouble", "float"),
        ("complex", "complex"),
        ("clongdouble", "complex"),
        ("datetime64", "datetime"),
        ("timedelta64", "timedelta"),
    )
    return next((family for start, family in families if name.startswith(start)), "other")


def as_dtype_name(dtype: Any) -> str | None:
    """The name of the dtype that a user asked for: a string, a type, or a dtype of any library."""
    if dtype is None:
        return None
    given = dtype
    try:
        name = given = np.dtype(dtype).name
    except TypeError:
        name = dtype_name(dtype)
    known = (*_REAL_FLOATS, "complex64", "complex128", _LONGDOUBLE, np.dtype("clongdouble").name)
    if name not in known and not name.startswith("float8_"):
        raise ArgumentTypeError(
            f"dtype={given!r} cannot hold a derivative: wanted a floating or complex one, such as "
            "'float32'"
        )
    return name


def itemsize(name: str) -> int:
    """Bytes of one element of a floating or complex dtype."""
    if name.startswith("float8_"):
        return 1
    return 2 if name == "bfloat16" else np.dtype(name).itemsize


def epsilon(name: str) -> float:
    """The distance from 1 to the next number of a floating or complex dtype."""
    return 2.0**-7 if name == "bfloat16" else float(np.finfo(name).eps)


class Precision(NamedTuple):
    """How numbers of one dtype are computed with, and what comes out.

    Attributes
    ----------
    real : str
        Name of the real dtype of weights and spacings.
    compute : str
        Name of the dtype in which differences and sums are formed.
    result : str
        Name of the dtype of the result.
    splits : tuple of int
        Per input, the number of low bits of an integer that are differenced apart from the high
        ones, so that no difference is rounded before it is taken; 0 where one conversion is exact,
        `TIME` for datetime64 and timedelta64.
    """

    real: str
    compute: str
    result: str
    splits: tuple[int, ...]


TIME = -1

_BITS = {"float32": 24, "float64": 53}


def precision(
    names: Sequence[str],
    wanted: str | None,
    default: str,
    argument: str = "f",
    complex_weights: bool = False,
) -> Precision:
    """Settle the dtypes of a computation on inputs of the named dtypes.

    Parameters
    ----------
    names : sequence of str
        Dtype names of the inputs.
    wanted : str or None
        The ``dtype=`` of the user.
    default : str
        The real dtype that integers become: float64 where the library has it.
    argument : str
        Name of the inputs in messages.
    complex_weights : bool
        Whether real inputs are multiplied by complex numbers.

    Raises
    ------
    ArgumentTypeError
        If an input is boolean, an object or a string, or `wanted` would drop imaginary parts.
    """
    results = [_floating(name, default, argument) for name in names]
    natural = _promote(results)
    if complex_weights and kind(natural) != "complex":
        natural = _promote([natural, "complex64"])
    is_complex = kind(natural) == "complex"
    if wanted is not None and is_complex and kind(wanted) != "complex":
        raise ArgumentTypeError(
            f"dtype={wanted!r} would drop the imaginary part of "
            f"{'the result' if complex_weights else argument}, which is {natural}: "
            "wanted a complex dtype, or pass its real and imaginary parts one by one"
        )
    result = wanted or natural
    real = _promote([_real(natural), _real(result)])
    if _real(result) == "float32" and all(_fits_float32(name) for name in names):
        real = "float32"
    real = "float32" if real in ("float16", "bfloat16") or real.startswith("float8") else real
    bits = _BITS.get(real, 64)
    splits = tuple(_split(name, bits) for name in names)
    return Precision(real, complex_of(real) if is_complex else real, result, splits)


def check_numbers(name: str, argument: str) -> None:
    """Raise unless arrays of a dtype can be differentiated."""
    family = kind(name)
    if family in ("bool", "other"):
        hint = "wanted numbers (floating, complex, integer, datetime64 or timedelta64)"
        if family == "bool":
            hint = "convert it to a floating or integer dtype first, such as f.astype('float64')"
        raise ArgumentTypeError(f"{argument} has dtype {name}, which has no derivative: {hint}")


def _floating(name: str, default: str, argument: str) -> str:
    check_numbers(name, argument)
    return name if kind(name) in ("float", "complex") else default


def _fits_float32(name: str) -> bool:
    return name in ("int8", "uint8", "int16", "uint16", "float16", "bfloat16", "float32")


def _split(name: str, bits: int) -> int:
    if kind(name) in ("datetime", "timedelta"):
        return TIME
    if kind(name) not in ("int", "uint"):
        return 0
    width = int(name.lstrip("uint"))
    return width // 2 if width >= bits else 0


def _real(name: str) -> str:
    if kind(name) != "complex":
        return name
    return {"complex64": "float32", "complex128": "float64"}.get(name, _LONGDOUBLE)


def complex_of(real: str) -> str:
    """Name of the complex dtype whose parts have a real dtype."""
    known = {"float32": "complex64", "float64": "complex128"}
    return known.get(real, np.dtype("clongdouble").name)


def _promote(names: Sequence[str]) -> str:
    """The narrowest dtype that holds all the named floating and complex dtypes."""
    if len(set(names)) == 1:
        return names[0]
    if set(names) == {"float16", "bfloat16"}:
        return "float32"
    plain = [_real(name) for name in names]
    ranked = [*_REAL_FLOATS, _LONGDOUBLE]
    widest = max(plain, key=lambda name: ranked.index(name) if name in ranked else -1)
    if all(kind(name) == "float" for name in names):
        return widest
    return complex_of("float32" if widest in ("float16", "bfloat16") else widest)


# --- units of time ------------------------------------------------------------------------------


def tick(name: str, unit: str) -> Fraction:
    """Length of one tick of a datetime64 or timedelta64 dtype, in `unit`."""
    return unit_ratio(name[name.index("[") + 1 : -1], unit) if "[" in name else Fraction(1)


_SECONDS = {
    "W": Fraction(604800),
    "D": Fraction(86400),
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
    "ps": Fraction(1, 10**12),
    "fs": Fraction(1, 10**15),
    "as": Fraction(1, 10**18),
}


def check_unit(unit: str) -> str:
    """Return `unit` if it names a fixed length of time, else raise."""
    if not isinstance(unit, str) or unit not in _SECONDS:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentValueError(one_of("unit", unit, _SECONDS))
    return unit


def unit_ratio(code: str, unit: str) -> Fraction:
    """How many `unit` there are in one tick with the NumPy unit code `code`, such as ``25s``."""
    count = code.rstrip("abcdefghijklmnopqrstuvwxyzDMWY")
    letters = code[len(count) :]
    if letters not in _SECONDS:
        length = {"M": "a month", "Y": "a year"}.get(letters, "a time without a unit")
        raise ArgumentTypeError(
            f"{length} has no fixed length in {unit!r}: convert to days or seconds first, such as "
            "x.astype('datetime64[D]')"
        )
    return int(count or 1) * _SECONDS[letters] / _SECONDS[check_unit(unit)]
