"""Positions along an axis: checked, compared and hashed by their values."""

from __future__ import annotations

import datetime
from fractions import Fraction
from typing import Any

import numpy as np

from gradkit._array import to_host
from gradkit._dtypes import check_unit, unit_ratio
from gradkit._threads import in_blocks
from gradkit._values import exact_number
from gradkit.errors import ArgumentTypeError, ArgumentValueError

__all__ = ["Coordinates"]

#: How many distances are looked at at a time, so that they stay in a cache.
BLOCK = 65536
#: How many values are compared at a time: others than the first thread are not there at once.
COMPARED = 2**18
#: About how many values coordinates are hashed by.
HASHED = 1024


class Coordinates:
    """The positions of the samples along one axis, strictly increasing or decreasing.

    Parameters
    ----------
    values : array_like, shape (n,)
        Real numbers, ``datetime64`` or ``timedelta64``, from the host or a device.
    unit : str, default "s"
        Unit in which differences of times are counted.
    copy : bool, default True
        Whether a copy is kept; NumPy arrays that do not change as long as this object is used can
        do without.

    Raises
    ------
    ArgumentTypeError
        If the values are complex, boolean, objects, lazy or traced.
    ArgumentValueError
        If they are not 1-D, are fewer than two, hold NaN, NaT, an infinity or masked values, or are
        not strictly monotonic; the message gives the first offending index.
    """

    __slots__ = ("_hash", "extent", "unit", "values")

    values: np.ndarray
    #: Signed distance from the first to the last, exact.
    extent: Fraction
    unit: str

    def __init__(self, values: Any, unit: str = "s", copy: bool = True) -> None:
        is_kept = not copy and type(values) is np.ndarray
        host = values.view() if is_kept else to_host(values, "coordinates")
        if host.ndim != 1:
            raise ArgumentValueError(
                f"coordinates has {host.ndim} dimensions: spacings must be scalars or 1d arrays of "
                "coordinates"
            )
        if host.dtype.kind not in "iufmM":
            raise ArgumentTypeError(
                f"coordinates has dtype {host.dtype.name}: wanted real numbers, datetime64 or "
                f"timedelta64{_hint(host)}"
            )
        host.setflags(write=False)
        self.values = host
        self.unit = check_unit(unit)
        _check_monotonic(host)
        self.extent = _exact_distance(host[0], host[-1], host.dtype, unit)
        # Some of the values, because `==` looks at all; not the padding bytes of a longdouble.
        some = host[:: len(host) // HASHED + 1]
        some = some if host.dtype.itemsize <= 8 else some.astype(np.float64)
        self._hash = hash((some.tobytes(), len(host), host.dtype.str, unit))

    def steps(self, start: int = 0, stop: int | None = None, dtype: Any = np.longdouble) -> Any:
        """Signed distances from points ``start <= i < stop`` to the next ones.

        Parameters
        ----------
        start, stop : int
            The default is all points but the last.
        dtype : dtype
            In which they are computed; distances of integers and times are exact before.
        """
        last = len(self) - 1 if stop is None else stop
        low, high = self.values[start:last], self.values[start + 1 : last + 1]
        if self.values.dtype.kind == "f":
            return np.subtract(high, low, dtype=dtype)
        ratio = _tick(self.values.dtype, self.unit)
        gaps = self._gaps(low, high)
        steps = gaps.astype(dtype) * dtype(ratio.numerator) / dtype(ratio.denominator)
        return steps if self.extent > 0 else -steps

    def _gaps(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Distances between integers or times, as exact integers without a sign."""
        # Neighbours of monotonic integers differ by less than 2**64: exact in unsigned arithmetic.
        low, high = (_counts(part).astype(np.uint64) for part in (low, high))
        return high - low if self.extent > 0 else low - high

    def extreme_steps(self) -> tuple[Any, Any]:
        """The least and the greatest of all `steps`, in float64 or in longdouble as they are."""
        dtype = np.longdouble if self.values.dtype == np.longdouble else np.float64

        def extremes(first: int, last: int) -> tuple[Any, Any]:
            steps = self.steps(first, last, dtype)
            return steps.min(), steps.max()

        with np.errstate(over="ignore"):
            found = in_blocks(extremes, 0, len(self) - 1, BLOCK)
        return min(low for low, _ in found), max(high for _, high in found)

    def are_even(self) -> bool:
        """Whether all distances between neighbours are equal, exactly."""
        values, dtype = self.values, self.values.dtype

        def are_like_the_first(first: int, last: int) -> bool:
            low, high = values[first:last], values[first + 1 : last + 1]
            if dtype.kind != "f":
                gaps = self._gaps(low, high)
                return bool((gaps == self._gaps(values[:1], values[1:2])).all())
            if dtype.itemsize > 8:
                return bool((high - low == values[1] - values[0]).all())
            low, high = (part.astype(np.float64, copy=False) for part in (low, high))
            steps, first_step = high - low, np.float64(values[1]) - values[0]
            if not (steps == first_step).all():
                return False
            begin, end = low[0], high[-1]
            nearest = min(abs(begin), abs(end))
            if (begin > 0) == (end > 0) and nearest >= 2 * abs(first_step):
                return True  # differences of numbers within a factor of 2 are exact (Sterbenz)
            # What the rounding of a difference leaves (Knuth's two-sum).
            back = steps - high
            return not ((high - (steps - back)) - (low + back)).any()

        with np.errstate(over="ignore", invalid="ignore"):
            return all(in_blocks(are_like_the_first, 0, len(self) - 1, BLOCK))

    def are_at(self, values: np.ndarray) -> bool:
        """Whether these are the values, in as many of the same dtype; looked at in all threads."""

        def are_equal(first: int, last: int) -> bool:
            return bool((self.values[first:last] == values[first:last]).all())

        return all(in_blocks(are_equal, 0, len(self), COMPARED))

    def __reduce__(self) -> tuple[Any, ...]:
        return Coordinates, (self.values, self.unit)

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Coordinates):
            return NotImplemented
        return self is other or (
            self._hash == other._hash
            and self.unit == other.unit
            and self.values.dtype == other.values.dtype
            and np.array_equal(self.values, other.values)
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        first, last = self.values[0], self.values[-1]
        return f"{len(self)} points from {first} to {last}"


def _check_monotonic(values: np.ndarray) -> None:
    if len(values) < 2:
        raise ArgumentValueError(
            f"coordinates has {len(values)} points: a derivative needs at least 2"
        )
    is_finite = np.isfinite(values[0]) and np.isfinite(values[-1])
    increasing = values[-1] >= values[0]
    # Nothing is before or after NaN and NaT, and nothing beyond an infinity.
    is_next = np.greater if increasing else np.less

    def ascends(first: int, last: int) -> bool:
        return bool(is_next(values[first + 1 : last + 1], values[first:last]).all())

    if is_finite and all(in_blocks(ascends, 0, len(values) - 1, BLOCK)):
        return
    bad = np.isnat(values) if values.dtype.kind in "mM" else ~np.isfinite(values)
    if bad.any():
        index = int(bad.argmax())
        raise ArgumentValueError(f"coordinates[{index}]={values[index]} is not finite")
    wrong = values[1:] <= values[:-1] if increasing else values[1:] >= values[:-1]
    if wrong.any():
        raise ArgumentValueError(_not_monotonic(values, int(wrong.argmax()) + 1, increasing))


def _exact_distance(first: Any, last: Any, dtype: np.dtype, unit: str) -> Fraction:
    if dtype.kind == "f":
        return exact_number(last) - exact_number(first)
    return (int(_counts(last)) - int(_counts(first))) * _tick(dtype, unit)


def _counts(values: Any) -> Any:
    """Integers as they are, times as the integers that count them."""
    if values.dtype.kind not in "mM":
        return values
    return values.astype(values.dtype.newbyteorder("="), copy=False).view(np.int64)


def _hint(values: np.ndarray) -> str:
    """How times that are objects, of Python or with a time zone, become such numbers."""
    if not (values.dtype.kind == "O" and values.size and isinstance(values[0], datetime.date)):
        return ""
    return ", such as numpy.asarray(coordinates, dtype='datetime64[us]')"


def _tick(dtype: np.dtype, unit: str) -> Fraction:
    """What integers of a dtype count, in the unit of the axis."""
    if dtype.kind not in "mM":
        return Fraction(1)
    code, count = np.datetime_data(dtype)
    return unit_ratio(code, unit) * count


def _not_monotonic(values: np.ndarray, index: int, increasing: bool) -> str:
    sign = "<=" if increasing else ">="
    text = (
        f"coordinates[{index}]={values[index]} {sign} coordinates[{index - 1}]="
        f"{values[index - 1]}: coordinates must be strictly increasing or strictly decreasing"
    )
    if (values == values[0]).all():
        text += f"; these look like spacings: for equal spacing pass the number {values[0]}"
    return text
