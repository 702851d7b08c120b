"""What is known at the ends of an axis, as values.

A boundary is a word (``"one-sided"``, ``"periodic"``, ``"antiperiodic"``) or one of the values
below. `Dirichlet`, `Neumann` and `Robin` state one condition ``a f + b df/dn = value`` at a wall;
`Symmetric` and `Antisymmetric` continue f by reflection.
"""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from gradkit._array import unlabelled
from gradkit._values import number_or_array
from gradkit.errors import ArgumentTypeError, ArgumentValueError, one_of

__all__ = [
    "BOUNDARIES",
    "WALLS",
    "Antisymmetric",
    "Boundary",
    "Condition",
    "Dirichlet",
    "Neumann",
    "Reflection",
    "Robin",
    "Symmetric",
    "as_boundary",
    "ends_of",
    "refuse_times",
]

#: Boundary of an axis -> sign of a value met again after one period (0: the axis does not wrap).
BOUNDARIES = {"one-sided": 0, "periodic": 1, "antiperiodic": -1}

#: Where a wall may lie -> its distance outwards from the end sample, in half spacings.
WALLS = {"face": 1, "sample": 0, "next": 2}


@dataclass(frozen=True)
class Boundary:
    """What all values for an end of an axis share: the place of the wall."""

    at: Any


@dataclass(frozen=True, init=False, repr=False)
class Condition(Boundary):
    """A condition ``a f + b df/dn = value`` at a wall; n points out of the grid.

    Each of the three is a number or an array along the wall.
    """

    a: Any
    b: Any
    value: Any

    def __init__(self, a: Any, b: Any, value: Any, at: Any) -> None:
        _check_place(at)
        object.__setattr__(self, "at", at)
        for name, given in {"a": a, "b": b, "value": value}.items():
            object.__setattr__(self, name, number_or_array(given, name))

    def with_value(self, value: Any) -> Condition:
        """The same condition with another right-hand side."""
        changed = copy(self)
        object.__setattr__(changed, "value", number_or_array(value, "value"))
        return changed


@dataclass(frozen=True, init=False, repr=False)
class Dirichlet(Condition):
    """The value of f at a wall.

    Parameters
    ----------
    value : float, complex or array, default 0.0
        The value, in the units of f: one for the whole wall, or an array along it, of the shape of
        f without the axis (or with 1 in its place).
    at : {"face", "sample", "next"} or float, default "face"
        Where the wall is: half a spacing beyond the end sample, so that samples are the centres of
        cells; at the end sample, whose own value is then not read; one spacing beyond it, so that
        samples are the points inside; or any distance beyond it, in units of the spacing or the
        coordinates, or as a length of time.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `value` is not a finite number or an array of numbers, or `at` is not a place.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import Axis, D, Dirichlet, Grid
    >>> axis = Axis(spacing=1.0, boundary=Dirichlet(2.0, at="next"))
    >>> plan = (D(0)**2).on(Grid(axis), (3,))
    >>> plan(np.asarray([2.0, 2.0, 3.0]))
    array([ 0.,  1., -2.])
    """

    def __init__(self, value: Any = 0.0, *, at: Any = "face") -> None:
        super().__init__(1, 0, value, at)

    def __repr__(self) -> str:
        return f"Dirichlet({self.value!r}{_place(self.at)})"


@dataclass(frozen=True, init=False, repr=False)
class Neumann(Condition):
    """The derivative of f along the outward normal of a wall.

    Parameters
    ----------
    value : float, complex or array, default 0.0
        The derivative, in units of ``[f] / [x]``, positive where f grows outwards; as in
        `Dirichlet` one for the whole wall, or an array along it.
    at : {"face", "sample", "next"} or float, default "face"
        Where the wall is, as in `Dirichlet`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `value` is not a finite number or an array of numbers, or `at` is not a place.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import Axis, D, Grid, Neumann
    >>> axis = Axis(spacing=1.0, boundary=(Neumann(0.0, at="sample"), "one-sided"))
    >>> plan = (D(0)**2).on(Grid(axis), (4,), edge_order=1)
    >>> plan(np.asarray([0.0, 1.0, 4.0, 9.0]))
    array([2., 2., 2., 2.])
    """

    def __init__(self, value: Any = 0.0, *, at: Any = "face") -> None:
        super().__init__(0, 1, value, at)

    def __repr__(self) -> str:
        return f"Neumann({self.value!r}{_place(self.at)})"


@dataclass(frozen=True, init=False, repr=False)
class Robin(Condition):
    """A mixture of value and slope at a wall: ``a f + b df/dn = value``.

    Parameters
    ----------
    a, b : float, complex or array
        Factors of f and of its derivative along the outward normal; one for the whole wall, or
        arrays along it, as the `value` of `Dirichlet`.
    value : float, complex or array, default 0.0
        The right-hand side, in units of ``[a] [f]``.
    at : {"face", "sample", "next"} or float, default "face"
        Where the wall is, as in `Dirichlet`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument is not a finite number or an array of numbers, `a` and `b` are both 0, or
        `at` is not a place.

    Notes
    -----
    That a plan exists where no f obeys the condition raises for numbers and NumPy arrays; on other
    libraries, whose values are not looked at, such results are infinite or NaN.

    Examples
    --------
    >>> from gradkit import Robin
    >>> Robin(1.0, 0.5, 20.0)
    Robin(1.0, 0.5, 20.0)
    """

    def __init__(self, a: Any, b: Any, value: Any = 0.0, *, at: Any = "face") -> None:
        super().__init__(a, b, value, at)
        if self.a == 0 and self.b == 0:
            raise ArgumentValueError("Robin(0, 0) states nothing: a and b are both 0")

    def __repr__(self) -> str:
        return f"Robin({self.a!r}, {self.b!r}, {self.value!r}{_place(self.at)})"


@dataclass(frozen=True, repr=False)
class Reflection(Boundary):
    """f continues beyond the wall as its mirror image, times `sign`."""

    at: Any = "face"
    sign: ClassVar[int]
    #: The words for places of the wall that the values determine the mirror image for.
    places: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        if not isinstance(self.at, str) or self.at not in self.places:
            raise ArgumentValueError(one_of("at", self.at, self.places))

    def turned(self, sign: int) -> Reflection:
        """The reflection, about the same wall, of a field that has a sign beyond it.

        A symmetric field may have its wall one spacing beyond the end samples if it has no value
        there, as derivatives at faces have not.
        """
        found = object.__new__(Symmetric if sign > 0 else Antisymmetric)
        object.__setattr__(found, "at", self.at)
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_place(self.at).removeprefix(', ')})"


@dataclass(frozen=True, repr=False)
class Symmetric(Reflection):
    """f continues beyond the wall as its mirror image: a plane of symmetry.

    All rows use the interior stencil. Unlike `Neumann`, which states the first derivative alone,
    it holds only where all odd derivatives of f vanish at the wall. Arrays that an operator
    multiplies by are taken to be symmetric, too. Symmetric operators stay so with walls at faces.

    Parameters
    ----------
    at : {"face", "sample"}, default "face"
        Where the wall is, as in `Dirichlet`; not one spacing beyond the end sample, because the
        value there is no image of any sample.

    Raises
    ------
    ArgumentValueError
        If `at` is neither.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import Axis, D, Grid, Symmetric
    >>> plan = (D(0)**2).on(Grid(Axis(boundary=Symmetric())), (4,))
    >>> plan(np.asarray([1.0, 2.0, 2.0, 5.0]))
    array([ 1., -1.,  3., -3.])
    """

    sign: ClassVar[int] = 1
    places: ClassVar[tuple[str, ...]] = ("face", "sample")


@dataclass(frozen=True, repr=False)
class Antisymmetric(Reflection):
    """f continues beyond the wall as its mirror image with the sign changed, and is 0 at it.

    All rows use the interior stencil. Unlike ``Dirichlet(0)``, it holds only where all even
    derivatives of f vanish at the wall; symmetric operators stay so. Arrays that an operator
    multiplies by are taken to be symmetric about the wall.

    Parameters
    ----------
    at : {"face", "sample", "next"}, default "face"
        Where the wall is, as in `Dirichlet`.

    Raises
    ------
    ArgumentValueError
        If `at` is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import Antisymmetric, Axis, D, Grid
    >>> plan = (D(0)**2).on(Grid(Axis(boundary=Antisymmetric(at="next"))), (3,))
    >>> plan(np.asarray([1.0, 2.0, 2.0]))
    array([ 0., -1., -2.])
    """

    sign: ClassVar[int] = -1
    places: ClassVar[tuple[str, ...]] = tuple(WALLS)


def _check_place(at: Any) -> None:
    if isinstance(at, str):
        if at not in WALLS:
            raise ArgumentValueError(f"{one_of('at', at, WALLS)}, or a distance")
        return
    if isinstance(at, datetime.timedelta | np.timedelta64):
        if np.isnat(np.timedelta64(at)) or at < type(at)(0):
            raise ArgumentValueError(f"at={at} is not a distance: wanted a length of time >= 0")
        return
    if isinstance(at, bool) or not isinstance(at, numbers.Real):
        raise ArgumentTypeError(
            f"at={at!r} is not the place of a wall: wanted 'face', 'sample', 'next' or a distance"
        )
    if not (isfinite(at) and float(at) >= 0):
        raise ArgumentValueError(f"at={at} is not a distance: wanted a finite number >= 0")


def refuse_times(**lengths: Any) -> None:
    """Raise if a length on an axis of plain numbers is one of time: nobody named their unit."""
    for name, length in lengths.items():
        if isinstance(unlabelled(length, 0), datetime.timedelta | np.timedelta64):
            raise ArgumentTypeError(
                f"{name}={length!r} is a length of time, but the axis has plain numbers: wanted a "
                "number"
            )


def _place(at: Any) -> str:
    return "" if at == "face" else f", at={at!r}"


def as_boundary(boundary: Any) -> Any:
    """A boundary as users give it, checked: a word, a value, or a pair of them for the two ends.

    A pair of equal entries becomes that entry.
    """
    if isinstance(boundary, str) or not isinstance(boundary, Sequence):
        _check_end(boundary)
        return boundary
    if len(boundary) != 2:
        raise ArgumentValueError(
            f"boundary={boundary!r} has {len(boundary)} entries: wanted one for both ends of an "
            "axis, or a pair"
        )
    pair = tuple(boundary)
    for end in pair:
        _check_end(end)
    if pair[0] == pair[1]:
        return pair[0]
    wrapping = [end for end in pair if isinstance(end, str) and BOUNDARIES[end]]
    if wrapping:
        raise ArgumentValueError(
            f"boundary={pair!r}: an axis is {wrapping[0]} at both ends or at none"
        )
    return pair


def _check_end(end: Any) -> None:
    if isinstance(end, str):
        if end not in BOUNDARIES:
            raise ArgumentValueError(one_of("boundary", end, BOUNDARIES))
    elif not isinstance(end, Boundary):
        words = ", ".join(map(repr, BOUNDARIES))
        raise ArgumentValueError(
            f"boundary={end!r} is not one of {words}, or a value such as Dirichlet(0)"
        )


def ends_of(boundary: Any) -> tuple[Boundary | None, Boundary | None]:
    """What a checked boundary states at the first and the last end; None where nothing is known."""
    left, right = boundary if isinstance(boundary, tuple) else (boundary, boundary)
    return tuple(None if isinstance(end, str) else end for end in (left, right))  # pyright: ignore[reportReturnType]
