"""Stencils of the user's own in any number of dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import factorial, prod
from typing import Any

import numpy as np

from gradkit._values import plain_number
from gradkit.errors import ArgumentTypeError, ArgumentValueError, is_index
from gradkit.grid import exact_spacing
from gradkit.operators import Operator, single
from gradkit.terms import Offsets, Partial, Polynomial, Term, polynomial_of

__all__ = ["operator_from_offsets"]

Offset = tuple[int, ...]
#: Exponents of the coordinates, one per axis: a monomial, and the derivative that it stands for.
Powers = tuple[int, ...]

#: Moments below this many roundings of their terms are 0.
_ROUNDINGS = 64


def operator_from_offsets(
    weights: Any,
    *,
    like: Operator | None = None,
    axes: Sequence[int] | None = None,
    spacing: Any = None,
) -> Operator:
    """A weighted sum of neighbours as an operator: a stencil of your own.

    Parameters
    ----------
    weights : mapping of offset to number, or sequence of offsets
        The weight of the value at each offset. An offset is a tuple of one int per axis, or an int
        on one axis. With `like`, the offsets alone.
    like : Operator, optional
        The derivatives that the stencil shall stand for, with constant coefficients and all of one
        order. The weights are found from it: those of the smallest error on these offsets.
    axes : sequence of int, optional
        The axes along which the offsets count; the default is the first ones.
    spacing : float or sequence of float, optional
        The spacing for which the weights hold, one for all axes or one per axis; other grids are
        refused then. The default are weights for spacing 1, which are scaled to the spacing of any
        grid that is equally spaced in all directions.

    Returns
    -------
    Operator
        One entry. It prints the derivatives that it stands for and the order of the error, which
        are derived from the weights. Constants give exactly 0 where the weights sum to 0.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an offset or weight cannot be used, or no weights on the offsets stand for `like`.

    Notes
    -----
    Near an end without a wall, the values beyond it are extrapolated by the polynomial of the
    lowest degree that keeps the accuracy; conditions at walls and wrapping axes hold as elsewhere.

    In several dimensions the sum is taken in differences along one axis at a time, so that
    constants give 0. They may pass through points between those of the stencil, whose values
    cancel but must be finite: a NaN there is a NaN in the result.

    Examples
    --------
    The laplacian of nine points whose error does not depend on the direction:

    >>> from gradkit import D, operator_from_offsets
    >>> corners = {(i, j): 1/6 for i in (-1, 1) for j in (-1, 1)}
    >>> sides = {(-1, 0): 2/3, (1, 0): 2/3, (0, -1): 2/3, (0, 1): 2/3}
    >>> operator_from_offsets({(0, 0): -10/3, **sides, **corners})
    Offsets(9 points: D(0)**2 + D(1)**2 + O(h^2))
    >>> operator_from_offsets([-1, 0, 2], like=D(0))
    Offsets(3 points: D(0) + O(h^2))
    """
    if isinstance(weights, Mapping):
        if like is not None:
            raise ArgumentTypeError("weights and like exclude each other: give offsets with like")
        given = {_offset(k): _weight(k, w) for k, w in weights.items()}
    elif isinstance(weights, Iterable) and isinstance(like, Operator):
        given = dict.fromkeys(map(_offset, weights), Fraction(0))
    else:
        raise ArgumentTypeError(
            f"weights={weights!r}: wanted a mapping of offsets to weights, or a sequence of "
            "offsets and the derivatives that they shall stand for as like="
        )
    ndim = _dimensions(given)
    steps = None if spacing is None else _spacing(spacing, ndim)
    if like is not None:
        given = _weights_like(list(given), _derivatives(like, ndim), steps)
    kept = {k: w for k, w in given.items() if w}
    if not kept:
        raise ArgumentValueError("weights are all 0")
    named = tuple(range(ndim)) if axes is None else _offset(axes, "axes")
    if len(named) != ndim:
        raise ArgumentValueError(f"axes={axes!r} has {len(named)} entries for offsets of {ndim}")
    if len(set(named)) < ndim:
        raise ArgumentValueError(f"axes={axes!r} name the same axis twice")
    order, accuracy, meaning = _meaning(kept, ndim, steps)
    factor = Offsets(named, tuple(sorted(kept.items())), steps, order, accuracy, meaning)
    return single([Term(1, (factor,))])


# --- arguments ----------------------------------------------------------------------------------


def _offset(value: Any, name: str = "offset") -> Offset:
    parts = tuple(value) if isinstance(value, Sequence) or np.ndim(value) == 1 else (value,)
    if not parts or not all(map(is_index, parts)):
        raise ArgumentTypeError(f"{name} {value!r} is not an integer or a tuple of integers")
    return tuple(k.__index__() for k in parts)


def _weight(offset: Any, value: Any) -> Fraction:
    """A weight, exact; a float next to a simple fraction is taken for it."""
    number = plain_number(value, f"the weight of {offset!r}:")
    if number is None or isinstance(number, complex):
        raise ArgumentTypeError(f"the weight {value!r} of {offset!r} is not a real number")
    exact = Fraction(number)
    near = exact.limit_denominator(10**6)
    return near if float(near) == float(exact) else exact


def _dimensions(offsets: Mapping[Offset, Any]) -> int:
    sizes = {len(k) for k in offsets}
    if len(sizes) != 1:
        raise ArgumentValueError("weights must have offsets, all with one entry per axis")
    return sizes.pop()


def _spacing(spacing: Any, ndim: int) -> tuple[Fraction, ...]:
    several = isinstance(spacing, Sequence) or np.ndim(spacing) == 1
    each = tuple(spacing) if several else (spacing,) * ndim
    if len(each) != ndim:
        raise ArgumentValueError(f"spacing={spacing!r} has {len(each)} entries for {ndim} axes")
    return tuple(exact_spacing(h, "s") for h in each)


def _derivatives(like: Operator, ndim: int) -> dict[Powers, Fraction]:
    """The derivatives of an operator with constant coefficients, by their orders along the axes."""
    if not like.is_single:
        raise ArgumentValueError(f"like={like!r} is a system: wanted one output and one input")
    found: dict[Powers, Fraction] = {}
    for term in like.normalized(ndim).entries[0][0].terms:
        powers = [0] * ndim
        for factor in term.factors:
            if not (isinstance(factor, Partial) and factor.is_plain):
                raise ArgumentValueError(f"like={like!r} holds {factor!r}: wanted derivatives")
            powers[factor.axis] += factor.order
        if isinstance(term.coefficient, complex):
            raise ArgumentTypeError(f"like={like!r} has complex coefficients: wanted real ones")
        found[tuple(powers)] = Fraction(term.coefficient)
    if not found:
        raise ArgumentValueError("like=0 stands for no derivatives")
    if len({sum(powers) for powers in found}) != 1:
        raise ArgumentValueError(f"like={like!r} has derivatives of several orders: wanted one")
    return found


# --- weights from derivatives, derivatives from weights -----------------------------------------


def _monomials(ndim: int, degree: int) -> Iterator[Powers]:
    for powers in product(range(degree + 1), repeat=ndim):
        if sum(powers) == degree:
            yield powers


def _value(powers: Powers, offset: Offset, steps: Sequence[Fraction] | None) -> Fraction:
    """A monomial over the factorials of its exponents, at an offset."""
    positions = offset if steps is None else [k * h for k, h in zip(offset, steps, strict=True)]
    divisor = prod(map(factorial, powers))
    powered = (Fraction(x) ** p for x, p in zip(positions, powers, strict=True))
    return prod(powered, start=Fraction(1)) / divisor


def _weights_like(
    offsets: list[Offset], wanted: Mapping[Powers, Fraction], steps: Sequence[Fraction] | None
) -> dict[Offset, Fraction]:
    """Weights that take as many monomials as there are offsets right, by ascending degree."""
    ndim, order = len(offsets[0]), sum(next(iter(wanted)))
    system: list[list[Fraction]] = []  # rows of the eliminated system, the last column is wanted
    for degree in range(order + len(offsets) + 1):
        if len(system) == len(offsets) and degree > order:
            return dict(zip(offsets, _solved(system), strict=True))
        for powers in _monomials(ndim, degree):
            row = [_value(powers, k, steps) for k in offsets] + [wanted.get(powers, Fraction(0))]
            for done in system:
                pivot = next(i for i, value in enumerate(done) if value)
                factor = row[pivot] / done[pivot]
                row = [a - factor * b for a, b in zip(row, done, strict=True)]
            if any(row[:-1]):
                system.append(row)
            elif row[-1] and degree <= order:
                raise ArgumentValueError(
                    f"no weights on the {len(offsets)} offsets stand for the derivatives in like="
                )
    raise AssertionError("distinct offsets are told apart by monomials of high degree")


def _solved(system: list[list[Fraction]]) -> list[Fraction]:
    """Solve a system in which every row has its pivot where all later rows have 0."""
    solution = [Fraction(0)] * len(system)
    for row in reversed(system):
        pivot = next(i for i, value in enumerate(row) if value)
        rest = sum(
            (a * x for i, (a, x) in enumerate(zip(row[:-1], solution, strict=True)) if i != pivot),
            Fraction(0),
        )
        solution[pivot] = (row[-1] - rest) / row[pivot]
    return solution


def _meaning(
    weights: Mapping[Offset, Fraction], ndim: int, steps: Sequence[Fraction] | None
) -> tuple[int, int, Polynomial]:
    """The order of the derivatives that weights stand for, that of the error, and the former."""
    order: int | None = None
    leading: dict[Powers, Fraction] = {}
    for degree in range(2 * len(weights) + 2):
        moments = {p: _moment(weights, p, steps) for p in _monomials(ndim, degree)}
        present = {powers: moment for powers, moment in moments.items() if moment}
        if order is None and present:
            order, leading = degree, present
        elif order is not None and present:
            return order, degree - order, _polynomial(leading)
    if order == 0:  # the value itself, without an error
        return 0, 2 * len(weights) + 2, _polynomial(leading)
    raise AssertionError("weights that are not all 0 have a moment that is not")


def _moment(
    weights: Mapping[Offset, Fraction], powers: Powers, steps: Sequence[Fraction] | None
) -> Fraction:
    terms = [w * _value(powers, offset, steps) for offset, w in weights.items()]
    total = sum(terms, Fraction(0))
    noise = _ROUNDINGS * Fraction(float(np.finfo(float).eps)) * sum(map(abs, terms))
    return Fraction(0) if abs(total) <= noise else total


def _polynomial(moments: Mapping[Powers, Fraction]) -> Polynomial:
    return polynomial_of(
        Term(
            _simple(moment),
            tuple(Partial(axis, order) for axis, order in enumerate(powers) if order),
        )
        for powers, moment in moments.items()
    )


def _simple(moment: Fraction) -> int | float | Fraction:
    """A moment as one would write it; it may hold the rounding of the weights."""
    near = moment.limit_denominator(1000)
    if abs(near - moment) > Fraction(1, 10**12) * abs(moment):
        return float(moment)
    return int(near) if near.denominator == 1 else near
