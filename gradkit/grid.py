"""Grids: where the samples lie along each axis, and what holds beyond the ends.

An `Axis` is equally spaced (`spacing`) or not (`coordinates`), and has a boundary. Its samples are
the centres of cells; the faces of the cells lie between them. A `Grid` is one axis per dimension
of the array. Both are frozen values: they compare, hash and print.
"""

from __future__ import annotations

import datetime
import numbers
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from gradkit._array import is_array, to_host, unlabelled
from gradkit._dtypes import check_unit, dtype_name, unit_ratio
from gradkit._values import exact_number
from gradkit.boundaries import BOUNDARIES, Boundary, Condition, as_boundary, ends_of, refuse_times
from gradkit.coordinates import Coordinates
from gradkit.errors import ArgumentTypeError, ArgumentValueError, GradkitError

__all__ = ["Axis", "Grid", "exact_spacing"]

#: A grid whose points all lie within this many spacings of equal spacing is equally spaced.
UNIFORM_TOLERANCE = float(np.finfo(np.float64).eps) / 2
#: How many distances are looked at first, to see whether all are worth it.
HEAD = 256


@dataclass(frozen=True)
class Axis:
    """One axis of a grid: where its samples lie, and what holds beyond its ends.

    Parameters
    ----------
    spacing : float, optional
        Distance between neighbours, finite and not 0; negative where the axis decreases. A
        ``timedelta`` is counted in `unit`. The default is 1.
    coordinates : array_like of shape (n,), optional
        Positions of the samples, strictly increasing or decreasing, instead of a spacing.
    boundary : str, value such as `Dirichlet(0)`, or pair, default "one-sided"
        What is known outside: nothing (``"one-sided"``), the values of the other end
        (``"periodic"``) or their negatives (``"antiperiodic"``), a condition at a wall
        (`Dirichlet`, `Neumann`, `Robin`), or the mirror image (`Symmetric`, `Antisymmetric`). A
        pair has one entry for the first end and one for the last.
    period : float, optional
        Length of one period, positive; needed with wrapping coordinates, and only there (an axis
        given by its spacing has the period ``n * spacing``).
    unit : str, default "s"
        Unit of time in which ``datetime64`` and ``timedelta64`` positions are counted.
    faces : array_like of shape (n + 1,), optional
        With coordinates: the faces of their cells, for staggered derivatives and walls;
        ``coordinates[i]`` lies between ``faces[i]`` and ``faces[i + 1]``. The default is midway
        between neighbours, the outermost as far beyond the ends as the next ones lie inside. Where
        an axis wraps, the last face is the first one a period later.

    Raises
    ------
    ArgumentValueError, ArgumentTypeError
        If an argument cannot be used; the message names it.

    Examples
    --------
    >>> Axis(spacing=0.1, boundary="periodic")
    Axis(spacing=0.1, boundary='periodic')
    >>> Axis(coordinates=[0.0, 1.0, 4.0])
    Axis(coordinates=3 points from 0.0 to 4.0)
    """

    spacing: float | None = None
    coordinates: Any = None
    boundary: Any = "one-sided"
    period: float | None = None
    unit: str = "s"
    faces: Any = None
    #: Exact distance between neighbours if they are equally spaced, else None.
    uniform_spacing: Fraction | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.spacing is not None and self.coordinates is not None:
            raise ArgumentTypeError("spacing and coordinates exclude each other: give one of them")
        object.__setattr__(self, "boundary", as_boundary(self.boundary))
        check_unit(self.unit)
        if is_array(self.period):
            object.__setattr__(self, "period", to_host(self.period, "period")[()])
        if self.coordinates is None:
            spacing = 1 if self.spacing is None else self.spacing
            is_own = is_array(spacing)
            spacing = to_host(spacing, "spacing")[()] if is_own else unlabelled(spacing, 0)
            if self.period is not None:
                raise ArgumentTypeError(
                    "period goes with coordinates: an axis of n points given by its spacing has "
                    "the period n * spacing"
                )
            if self.faces is not None:
                raise ArgumentTypeError(
                    "faces goes with coordinates: those of an axis given by its spacing lie midway"
                )
            object.__setattr__(self, "spacing", spacing)
            object.__setattr__(self, "uniform_spacing", exact_spacing(spacing, self.unit))
            if not isinstance(spacing, datetime.timedelta | np.timedelta64):
                self._refuse_times()
            return
        points = self.coordinates
        if not isinstance(points, Coordinates) or points.unit != self.unit:
            values = points.values if isinstance(points, Coordinates) else points
            points = Coordinates(values, self.unit)
            object.__setattr__(self, "coordinates", points)
        if points.values.dtype.kind not in "mM":
            self._refuse_times()
        self._check_period()
        if self.faces is not None:
            object.__setattr__(self, "faces", _checked_faces(self))
        object.__setattr__(self, "uniform_spacing", _uniform_spacing(self))

    @property
    def wrap(self) -> int:
        """Sign of a value met again after one period; 0 where the axis does not wrap."""
        return BOUNDARIES[self.boundary] if isinstance(self.boundary, str) else 0

    @property
    def ends(self) -> tuple[Boundary | None, Boundary | None]:
        """The value that states what is known at each end; None at one-sided and wrapping ones."""
        return ends_of(self.boundary)

    @property
    def homogeneous(self) -> Axis:
        """The same axis with all conditions at its walls set to 0."""
        ends = [e.with_value(0.0) if isinstance(e, Condition) else e for e in self.ends]
        if ends == list(self.ends):
            return self
        return replace(self, boundary=tuple(end or "one-sided" for end in ends))

    def steps(self) -> np.ndarray:
        """Distances between coordinates, ``n - 1`` of them, or ``n`` where the axis wraps."""
        if self.coordinates is None:
            raise ArgumentTypeError("an axis given by its spacing has no coordinates")
        if not self.wrap:
            return self.coordinates.steps()
        extent = self.coordinates.extent
        period = exact_spacing(self.period, self.unit, "period")
        closing = period - extent if extent > 0 else -period - extent
        last = np.longdouble(closing.numerator) / np.longdouble(closing.denominator)
        return np.append(self.coordinates.steps(), last)

    def half_steps(self) -> np.ndarray:
        """Distances from face to centre and from centre to face, in turn, ``2 n`` of them."""
        if self.faces is not None:
            return self.faces.steps()
        steps = self.steps()
        ahead = steps if self.wrap else np.append(steps, steps[-1])
        behind = np.roll(steps, 1) if self.wrap else np.append(steps[0], steps)
        return np.stack([behind, ahead], axis=1).ravel() / 2

    def _refuse_times(self) -> None:
        for end in self.ends:
            refuse_times(period=self.period, at=getattr(end, "at", None))

    def _check_period(self) -> None:
        """Raise unless coordinates that wrap, and no others, have a period beyond their extent."""
        if not self.wrap:
            if self.period is not None:
                raise ArgumentTypeError(
                    f"period={self.period!r} needs boundary='periodic' or 'antiperiodic'"
                )
            return
        extent = abs(self.coordinates.extent)
        if self.period is None:
            raise ArgumentTypeError(
                f"boundary={self.boundary!r} on coordinates needs period=, the distance after "
                f"which they repeat (more than {float(extent)})"
            )
        if exact_spacing(self.period, self.unit, "period") <= extent:
            raise ArgumentValueError(
                f"period={self.period!r} must exceed the extent of the coordinates, "
                f"{float(extent)}: the first point is not repeated at the end"
            )

    def __repr__(self) -> str:
        parts = (
            [f"spacing={self.spacing!r}"]
            if self.coordinates is None
            else [f"coordinates={self.coordinates!r}"]
        )
        if self.faces is not None:
            parts.append(f"faces={len(self.faces) // 2 + 1} points")
        if self.boundary != "one-sided":
            parts.append(f"boundary={self.boundary!r}")
        if self.period is not None:
            parts.append(f"period={self.period!r}")
        return f"Axis({', '.join(parts)})"


def _checked_faces(axis: Axis) -> Coordinates:
    """Faces and centres in turn, as one sequence of positions."""
    if isinstance(axis.faces, Coordinates):
        return axis.faces  # of an axis that this one is a copy of
    try:
        faces = Coordinates(axis.faces, axis.unit)
    except GradkitError as error:
        raise type(error)(str(error).replace("coordinates", "faces")) from None
    centres: Coordinates = axis.coordinates
    if (faces.values.dtype.kind in "mM") != (centres.values.dtype.kind in "mM"):
        kinds = f"{faces.values.dtype} but coordinates {centres.values.dtype}"
        raise ArgumentTypeError(f"faces have dtype {kinds}: wanted numbers or times for both")
    if len(faces) != len(centres) + 1:
        raise ArgumentValueError(
            f"faces has {len(faces)} points for {len(centres)} coordinates: wanted one more"
        )
    low, high = faces.values[:-1], faces.values[1:]
    low, high = (low, high) if faces.extent > 0 else (high, low)
    inside = (low < centres.values) & (centres.values < high)
    if not inside.all():
        index = int(inside.argmin())
        raise ArgumentValueError(
            f"coordinates[{index}]={centres.values[index]} does not lie between its faces, "
            f"{faces.values[index]} and {faces.values[index + 1]}"
        )
    if axis.wrap and not _is_period(faces, exact_spacing(axis.period, axis.unit, "period")):
        raise ArgumentValueError(
            f"faces extend over {float(abs(faces.extent))}: wanted the period, {axis.period}"
        )
    both = np.empty(2 * len(centres) + 1, np.result_type(faces.values, centres.values))
    both[::2], both[1::2] = faces.values, centres.values
    return Coordinates(both, axis.unit)


def _is_period(faces: Coordinates, period: Fraction) -> bool:
    """Whether faces extend over a period, which may have been rounded as their positions are."""
    drift = abs(abs(faces.extent) - period)
    if faces.values.dtype.kind != "f":
        return not drift
    largest = max(abs(float(faces.values[0])), abs(float(faces.values[-1])), float(period))
    return float(drift) <= float(np.finfo(faces.values.dtype).eps) * largest


def _uniform_spacing(axis: Axis) -> Fraction | None:
    """The common spacing of points that no result could tell from equally spaced ones, if any.

    The drift of every point from equal spacing, in units of the spacing, bounds the relative
    change of a first derivative; it must stay below the rounding of the coordinates, in float64 or
    wider. Faces must be midway.
    """
    points: Coordinates = axis.coordinates
    is_longdouble = points.values.dtype == np.longdouble
    tolerance = float(np.finfo(np.longdouble).eps) / 2 if is_longdouble else UNIFORM_TOLERANCE
    # The first few tell uneven points from even ones, as a rule.
    if _differ(*_extremes(points.steps(0, min(len(points) - 1, HEAD))), tolerance):
        return None
    if axis.faces is None and not axis.wrap and points.are_even():
        return exact_number(points.steps(0, 1)[0])
    # Rounded to float64, they may differ by as much again.
    low, high = (points if axis.faces is None else axis.faces).extreme_steps()
    if np.isfinite((low, high)).all() and _differ(low, high, 2 * UNIFORM_TOLERANCE + tolerance):
        return None
    steps, halves = (axis.steps(), 1) if axis.faces is None else (axis.half_steps(), 2)
    if (steps == steps[0]).all():
        return halves * exact_number(steps[0])
    if _differ(*_extremes(steps), tolerance):
        return None
    mean = steps.mean()
    drift = np.cumsum(steps / mean - 1)
    return halves * exact_number(mean) if abs(drift).max() <= tolerance else None


def _extremes(steps: np.ndarray) -> tuple[Any, Any]:
    return steps.min(), steps.max()


def _differ(low: Any, high: Any, tolerance: float) -> bool:
    """Whether steps between these differ by more than points of equal spacing may drift."""
    # Of subnormal steps, in float64.
    with np.errstate(under="ignore"):
        return high - low > 4 * tolerance * max(abs(low), abs(high))


def exact_spacing(spacing: Any, unit: str, name: str = "spacing") -> Fraction:
    """The exact value of a spacing or period, a finite non-zero number or a length of time."""
    is_bfloat16 = isinstance(spacing, np.generic) and spacing.dtype.kind == "V"
    if is_bfloat16 or (is_array(spacing) and spacing.ndim == 0):
        spacing = to_host(spacing, name)[()]
    spacing = unlabelled(spacing, 0)
    if isinstance(spacing, datetime.timedelta):
        spacing = np.timedelta64(spacing)
    if isinstance(spacing, np.timedelta64):
        if np.isnat(spacing):
            raise ArgumentValueError(f"{name}=NaT is not finite")
        code, count = np.datetime_data(spacing.dtype)
        exact = int(spacing.astype(np.int64)) * count * unit_ratio(code, unit)
    elif isinstance(spacing, numbers.Real) and not isinstance(spacing, bool | np.bool):
        exact = _exact_real(spacing, name)
    else:
        shown = dtype_name(spacing.dtype) if is_array(spacing) else type(spacing).__name__
        raise ArgumentTypeError(
            f"{name}={spacing!r} ({shown}) is not a finite non-zero real number or a length of time"
        )
    if exact == 0:
        raise ArgumentValueError(f"{name}={spacing} must not be 0")
    return exact


def _exact_real(value: Any, name: str) -> Fraction:
    try:
        finite = np.isfinite(float(value))
    except OverflowError:
        finite = False
    if not finite:
        raise ArgumentValueError(f"{name}={value} is not a finite number")
    if isinstance(value, np.floating):
        return exact_number(value)
    return Fraction(int(value) if isinstance(value, np.integer) else value)


@dataclass(frozen=True, init=False)
class Grid:
    """The axes of an array, in order; None marks a batch axis, along which nothing is taken.

    Parameters
    ----------
    *axes : Axis or None
        One entry per dimension of the arrays that the grid describes.

    Examples
    --------
    >>> Grid(None, Axis(spacing=0.1), Axis(coordinates=[0.0, 1.0, 4.0]))
    Grid(None, Axis(spacing=0.1), Axis(coordinates=3 points from 0.0 to 4.0))
    """

    axes: tuple[Axis | None, ...]

    def __init__(self, *axes: Axis | None) -> None:
        for position, axis in enumerate(axes):
            if axis is not None and not isinstance(axis, Axis):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ArgumentTypeError(
                    f"axis {position} of the grid is {axis!r}: wanted an Axis, or None for a batch "
                    "axis"
                )
        object.__setattr__(self, "axes", axes)

    @property
    def ndim(self) -> int:
        """Number of dimensions, batch axes included."""
        return len(self.axes)

    @property
    def homogeneous(self) -> Grid:
        """The same grid with all conditions at its walls set to 0."""
        return Grid(*(None if axis is None else axis.homogeneous for axis in self.axes))

    def __repr__(self) -> str:
        return f"Grid({', '.join(map(repr, self.axes))})"
