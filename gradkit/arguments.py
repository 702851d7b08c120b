"""From the arguments of a call to a plan, kept for the next call with equal arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array
from gradkit._values import ArrayValue
from gradkit.coordinates import Coordinates
from gradkit.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    AxisError,
    GradkitError,
    is_index,
)
from gradkit.grid import Axis, Grid, exact_spacing
from gradkit.methods import FiniteDifference, Method
from gradkit.operators import D, Operator
from gradkit.plan import Plan
from gradkit.planning import make_plan
from gradkit.systems import Curl, Divergence, Gradient, Hessian, Jacobian, Laplacian

__all__ = [
    "Options",
    "axes_of",
    "components_of",
    "is_coordinates",
    "names_several_axes",
    "plan_for",
]


class Options(NamedTuple):
    """The keywords that all functions on sampled arrays share."""

    accuracy: int
    edge_order: int | None
    boundary: Any
    period: Any
    method: Method | None
    nan: str
    unit: str
    dtype: Any


#: Operator of each function, from its axes and its one number (an order, a count of components).
_OPERATORS: dict[str, Callable[[tuple[int, ...], int], Operator]] = {
    "gradient": lambda axes, _: Gradient(axes),
    "derivative": lambda axes, order: D(axes[0], order),
    "divergence": lambda axes, _: Divergence(axes),
    "curl": lambda axes, _: Curl(axes),
    "laplacian": lambda axes, _: Laplacian(axes),
    "hessian": lambda axes, _: Hessian(axes),
    "jacobian": Jacobian,
}

#: Up to this many coordinates many plans are kept; up to the second number, only a few; up to the
#: third, the last one alone; and none beyond it, because plans hold 24 bytes per coordinate, and
#: several times that where weights are in longdouble.
_SMALL, _LARGE, _HUGE = 4096, 65536, 2**21


def plan_for(
    name: str,
    f: Array,
    spacing: tuple[Any, ...],
    axis: int | Sequence[int] | None,
    options: Options,
    number: int = 1,
) -> Plan:
    """The plan of the function `name` for an array like `f`.

    Parameters
    ----------
    name : str
        Name of a function in `gradkit.fields`.
    f : array
        The input, or one component of it.
    spacing : tuple
        As in `gradkit.gradient`: nothing, one number, or one number, array or Axis per axis.
    axis : int, sequence of int, or None
        Axes to differentiate along; None for all.
    options : Options
        The keywords of the call.
    number : int
        The order of a derivative, or the number of components of a field.
    """
    points = 0
    _dtypes.check_unit(options.unit)
    for value in spacing:
        if type(value) is not float and type(value) is not int:
            spacing = _hashable(spacing, f, options.unit)
            points = sum(len(s) for s in spacing if isinstance(s, Coordinates))
            break
    if names_several_axes(axis):
        axis = axes_of(axis, len(f.shape))
    if isinstance(options.boundary, list):
        options = options._replace(boundary=tuple(options.boundary))
    if options.period is not None:
        options = options._replace(period=_plain_period(options.period, options.unit))
    try:
        return _maker(points, options.boundary)(
            name, tuple(f.shape), spacing, axis, number, *options
        )
    except TypeError as error:
        if isinstance(error, GradkitError):
            raise
        # An argument that cannot be hashed: the checks below say which, if it is wrong.
        return _new_plan(name, tuple(f.shape), spacing, axis, number, *options)


def _maker(points: int, boundary: Any) -> Callable[..., Plan]:
    """What makes plans with so many coordinates, or has kept them."""
    if not _may_be_kept(boundary):
        return _new_plan
    if points <= _SMALL:
        return _kept_plan
    if points <= _LARGE:
        return _kept_large
    return _kept_huge if points <= _HUGE else _new_plan


def _may_be_kept(boundary: Any) -> bool:
    """Whether what is known at walls has values of its own, and is not traced or recorded."""
    if isinstance(boundary, str):
        return True
    ends = boundary if isinstance(boundary, tuple) else (boundary,)
    known = [getattr(end, part, None) for end in ends for part in ("a", "b", "value")]
    return all(_array.is_comparable(part.array) for part in known if isinstance(part, ArrayValue))


def _new_plan(
    name: str,
    shape: tuple[int, ...],
    spacing: tuple[Any, ...],
    axis: int | Sequence[int] | None,
    number: int,
    *keywords: Any,
) -> Plan:
    options = Options(*keywords)
    axes = axes_of(axis, len(shape))
    if name in ("divergence", "curl") and len(axes) != number:
        raise ArgumentValueError(
            f"v has {number} components, but {len(axes)} axes are differentiated along: wanted one "
            "component per axis; name the axes with axis="
        )
    grid: list[Axis | None] = [None] * len(shape)
    for position, value in zip(axes, _grid_axes(spacing, axes, options), strict=True):
        grid[position] = value
    return make_plan(
        _OPERATORS[name](axes, number),
        Grid(*grid),
        shape,
        method=_method(options),
        edge_order=options.edge_order,
        nan=options.nan,
        dtype=options.dtype,
        unit=options.unit,
    )


#: Keywords are passed one by one, so that `typed` tells True and 1.0 from 1 in each of them.
_kept_plan = lru_cache(maxsize=256, typed=True)(_new_plan)
_kept_large = lru_cache(maxsize=4, typed=True)(_new_plan)
_kept_huge = lru_cache(maxsize=1, typed=True)(_new_plan)


def _method(options: Options) -> Method:
    if options.method is None:
        return FiniteDifference(options.accuracy)
    if options.accuracy != 2:
        raise ArgumentTypeError(
            f"accuracy={options.accuracy!r} and method={options.method!r} exclude each other: give "
            "the accuracy to the method"
        )
    return options.method


def names_several_axes(axis: Any) -> bool:
    """Whether ``axis=`` is a sequence of axes, rather than a single one or None."""
    if axis is None or type(axis) is int:
        return False
    return isinstance(axis, Sequence) or getattr(axis, "ndim", 0) > 0


def axes_of(axis: Any, ndim: int, name: str = "f") -> tuple[int, ...]:
    """The axes that ``axis=`` names in an array of `ndim` dimensions, counted from 0."""
    if ndim == 0:
        raise ArgumentValueError(f"{name} is 0-dimensional: a derivative needs at least one axis")
    if axis is None:
        return tuple(range(ndim))
    named: tuple[Any, ...] = tuple(axis) if names_several_axes(axis) else (axis,)
    if not named:
        raise ArgumentValueError("axis=() names no axis: wanted at least one, or None for all")
    found: list[int] = []
    for item in named:
        if not is_index(item):
            raise ArgumentTypeError(f"axis={axis!r} is not an integer or a sequence of integers")
        if not -ndim <= item < ndim:
            raise AxisError("axis", int(item), ndim)
        found.append(int(item) % ndim)
    if len(set(found)) < len(found):
        raise ArgumentValueError(f"axis={axis!r} names the same axis twice")
    return tuple(found)


def components_of(v: Any, name: str = "v") -> list[Array]:
    """At least one component of a vector field, from a sequence of arrays or a stacked array."""
    count = _array.count(v)
    if not count:
        raise ArgumentTypeError(
            f"{name} of type {type(v).__name__} holds no components: wanted a sequence of arrays, "
            "or an array with the components stacked along its first axis"
        )
    parts = [_array.component(v, i, name) for i in range(count)]
    _array.same_place([(f"{name}[{i}]", part) for i, part in enumerate(parts)])
    for i, part in enumerate(parts):
        _dtypes.check_numbers(_dtypes.dtype_name(part.dtype), f"{name}[{i}]")
        if part.ndim == 0:
            raise ArgumentValueError(
                f"{name}[{i}] is 0-dimensional: a derivative needs at least one axis"
            )
        if part.shape != parts[0].shape:
            raise ArgumentValueError(
                f"{name}[{i}] has shape {tuple(part.shape)}, but {name}[0] has "
                f"{tuple(parts[0].shape)}: components must share a shape"
            )
    return parts


# --- spacings -----------------------------------------------------------------------------------


def is_coordinates(value: Any) -> bool:
    """Whether a spacing argument holds positions, or an Axis, rather than one number."""
    if isinstance(value, list | tuple | range | Axis):
        return True
    return getattr(value, "ndim", 0) > 0


def _hashable(spacing: tuple[Any, ...], f: Array, unit: str) -> tuple[Any, ...]:
    """Spacing arguments as values that can be part of a key: numbers, Axis and Coordinates."""
    values: list[Any] = []
    for i, value in enumerate(spacing):
        try:
            values.append(_hashable_spacing(value, f, unit))
        except (ArgumentTypeError, ArgumentValueError) as error:
            if len(spacing) == 1:
                raise
            raise type(error)(f"{error} (spacing argument {i + 1} of {len(spacing)})") from None
    return tuple(values)


def _hashable_spacing(value: Any, f: Array, unit: str) -> Any:
    if type(value) is np.ndarray and value.ndim == 1 and value.dtype.kind in "iufMm":
        if value.size <= _SMALL:
            return _same_coordinates(value, unit)
        if value.size <= _HUGE:
            return _recent_coordinates(value, unit)
        # Nothing is kept of such a call, if it is over when it returns.
        return Coordinates(value, unit, copy=type(f) is not np.ndarray)
    if isinstance(value, Axis):
        return value
    if _array.is_array(value) and not isinstance(value, np.ndarray):
        name = "coordinates" if value.ndim else "spacing"
        if _array.library(value) != _array.library(f) or not _array.is_on_host(value):
            _array.same_place([("f", f), (name, value)])
    if is_coordinates(value):
        return Coordinates(value, unit)
    exact = exact_spacing(value, unit)
    return value if value.__hash__ is not None and not _array.is_array(value) else exact


#: Per array that was given before, by its place in memory: its bytes then, and what was made of it.
_given: dict[tuple[int, np.dtype[Any], str], tuple[bytes, Coordinates]] = {}


def _same_coordinates(values: np.ndarray, unit: str) -> Coordinates:
    """Coordinates that were there before, if some have the same bytes.

    To compare bytes takes a tenth of the time that it takes to hash them, so those that the same
    array had in a call before are looked at first. It may be another one by now, or changed.
    """
    data, key = values.tobytes(), (id(values), values.dtype, unit)
    before = _given.get(key)
    if before is not None and before[0] == data:
        return before[1]
    if len(_given) >= 256:
        _given.clear()
    found = _kept_coordinates(data, values.dtype, unit)
    _given[key] = data, found
    return found


@lru_cache(maxsize=256)
def _kept_coordinates(data: bytes, dtype: np.dtype[Any], unit: str) -> Coordinates:
    return Coordinates(np.frombuffer(data, dtype), unit)


#: The last long coordinates, `_HUGE` in all at most.
_recent: list[Coordinates] = []
#: As many arrays of them: there are few plans of long ones that are kept.
_MOST = 16


def _recent_coordinates(values: np.ndarray, unit: str) -> Coordinates:
    """Coordinates that were there before, if these are the same: comparing is cheap."""
    before = tuple(_recent)  # other threads replace them
    middle = values.size // 2  # new grids often begin and end where others do
    for known in before:
        is_like = known.unit == unit and known.values.dtype == values.dtype
        is_like = is_like and len(known) == values.size
        if is_like and known.values[middle] == values[middle] and known.are_at(values):
            return known
    found = [Coordinates(values, unit)]
    room = _HUGE - values.size
    for known in before[: _MOST - 1]:
        if len(known) <= room:
            found.append(known)
            room -= len(known)
    _recent[:] = found
    return found[0]


def _grid_axes(spacing: tuple[Any, ...], axes: tuple[int, ...], options: Options) -> list[Axis]:
    """One Axis per differentiated axis."""
    count = len(axes)
    if not spacing:
        spacing = (1.0,) * count
    elif len(spacing) == 1 and not isinstance(spacing[0], Coordinates | Axis):
        spacing *= count
    if len(spacing) != count:
        raise ArgumentTypeError(
            f"got {len(spacing)} spacing argument{'s' * (len(spacing) != 1)} for {count} "
            f"ax{'i' if count == 1 else 'e'}s {axes}: wanted none, one number for all, or one "
            "number or array of coordinates per axis"
        )
    pair = count == 1 and isinstance(options.boundary, tuple) and len(options.boundary) == 2
    boundaries = [options.boundary] if pair else _per_axis("boundary", options.boundary, count)
    periods = _periods(options.period, spacing, boundaries)
    for value, boundary, period in zip(spacing, boundaries, periods, strict=True):
        meant_for_it = isinstance(options.boundary, tuple) or count == 1
        if isinstance(value, Axis) and (
            (meant_for_it and boundary != "one-sided")
            or period is not None
            or options.unit not in ("s", value.unit)
        ):
            raise ArgumentTypeError(
                f"boundary=, period= and unit= do not apply to {value!r}, which has its own: give "
                "them to Axis"
            )
    return [
        value if isinstance(value, Axis) else _axis(value, boundary, period, options.unit)
        for value, boundary, period in zip(spacing, boundaries, periods, strict=True)
    ]


def _axis(value: Any, boundary: str, period: Any, unit: str) -> Axis:
    if isinstance(value, Coordinates):
        return Axis(coordinates=value, boundary=boundary, period=period, unit=unit)
    return Axis(spacing=value, boundary=boundary, period=period, unit=unit)


def _periods(period: Any, spacing: tuple[Any, ...], boundaries: Sequence[Any]) -> Sequence[Any]:
    """One period per axis; a single one is meant for every axis of coordinates that wraps."""
    if period is None or isinstance(period, tuple):
        return _per_axis("period", period, len(spacing))
    wraps = [
        isinstance(value, Coordinates) and isinstance(boundary, str) and boundary != "one-sided"
        for value, boundary in zip(spacing, boundaries, strict=True)
    ]
    # Where no axis can have a period, Axis says why.
    return [period if wrap or not any(wraps) else None for wrap in wraps]


def _plain_period(period: Any, unit: str) -> Any:
    """A period, or one per axis, as values that can be part of a key."""
    if isinstance(period, list | tuple):
        return tuple(_plain_period(item, unit) for item in period)
    if period is None:
        return None
    exact_spacing(period, unit, "period")
    return _array.to_host(period, "period")[()] if _array.is_array(period) else period


def _per_axis(name: str, value: Any, count: int) -> Sequence[Any]:
    """One value per axis, from one for all or a sequence."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise ArgumentValueError(
            f"{name}={value!r} has {len(value)} entries for {count} axes: wanted one for all, or "
            "one per axis"
        )
    return value
