"""Linear differential operators as data.

An `Operator` is a matrix (outputs x inputs) of polynomials in the partial derivatives, with numbers
and arrays as coefficients. It is a frozen value; making one computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gradkit import latex
from gradkit._array import is_array, unlabelled, unmasked
from gradkit._values import ArrayValue, plain_number
from gradkit.errors import ArgumentTypeError, ArgumentValueError, AxisError, integer, is_index
from gradkit.line import as_place
from gradkit.terms import (
    Coefficient,
    Factor,
    Offsets,
    Partial,
    Polynomial,
    Term,
    composition,
    polynomial_of,
    product,
    products,
    sum_of,
)
from gradkit.weights import Stencil

if TYPE_CHECKING:
    from gradkit.grid import Grid
    from gradkit.plan import Plan

__all__ = ["Average", "D", "Identity", "Operator", "single"]


@dataclass(frozen=True)
class Operator:
    """A matrix of polynomials in the partial derivatives.

    ``+ - * /`` and ``**`` treat operators as polynomials: ``D(0)*D(0) == D(0)**2``, and numbers and
    arrays stand in front of the derivatives, on whichever side they are written. ``@`` applies one
    operator after the other: ``D(0) @ (a * D(0))`` is the derivative of a times the derivative.

    Attributes
    ----------
    entries : tuple of tuple of Polynomial
        One row per output, one column per input: a gradient is a column, a divergence a row, a
        laplacian one entry.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import D, Operator
    >>> D(0)**2 + 2*D(0)*D(1)
    D(0)**2 + 2*D(0)*D(1)
    >>> D(0)*D(0)*D(0) == D(0)**3
    True
    >>> a = np.asarray([1.0, 2.0, 3.0])
    >>> D(0) @ (a * D(0))
    D(0) @ (<3 array>*D(0))
    >>> Operator.matrix([[D(0), 0], [1, D(1)]])
    Operator.matrix([[D(0), 0], [1, D(1)]])
    """

    entries: tuple[tuple[Polynomial, ...], ...]

    #: An array on the left leaves the multiplication to the operator.
    __array_ufunc__ = None
    #: So do the objects of pandas, whose own priorities go up to 4000.
    __pandas_priority__ = 5000

    #: Binds an operator to a grid. plan.py, some floors up, puts its make_plan here on import.
    binder: ClassVar[Callable[..., Plan]]

    @staticmethod
    def matrix(rows: Sequence[Sequence[Any]]) -> Operator:
        """A system of operators.

        Parameters
        ----------
        rows : sequence of sequences
            One row per output, one entry per input: operators with one output and one input,
            numbers, or arrays.

        Returns
        -------
        Operator

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If the rows are not of one length, or an entry is no single operator.
        """
        if not (
            isinstance(rows, Sequence)  # pyright: ignore[reportUnnecessaryIsInstance]
            and rows
            and all(isinstance(row, Sequence) and len(row) == len(rows[0]) > 0 for row in rows)  # pyright: ignore[reportUnnecessaryIsInstance]
        ):
            raise ArgumentValueError("rows must be sequences of one length, with at least 1 entry")
        entries: list[tuple[Polynomial, ...]] = []
        for i, row in enumerate(rows):
            given = [_as_operator(entry) for entry in row]
            for j, operator in enumerate(given):
                if operator is None or not operator.is_single:
                    raise ArgumentTypeError(
                        f"rows[{i}][{j}]={row[j]!r} is not an operator with one output and one "
                        "input, a number or an array"
                    )
            entries.append(tuple(o.entries[0][0] for o in given if o is not None))
        return Operator(tuple(entries))

    @property
    def outputs(self) -> int:
        """Number of arrays that come out."""
        return len(self.entries)

    @property
    def inputs(self) -> int:
        """Number of arrays that go in."""
        return len(self.entries[0])

    @property
    def is_single(self) -> bool:
        """Whether one array goes in and one comes out."""
        return self.outputs == self.inputs == 1

    def on(self, grid: Grid, shape: Sequence[int], **options: Any) -> Plan:
        """Bind the operator to a grid and a shape; see `gradkit.make_plan` for the options."""
        unknown = options.keys() - {"method", "edge_order", "nan", "dtype", "unit"}
        if unknown:
            hint = ": wanted method=FiniteDifference(4)" if "accuracy" in unknown else ""
            raise ArgumentTypeError(f"on() has no argument {min(unknown)!r}{hint}")
        return type(self).binder(self, grid, shape, **options)

    def normalized(self, ndim: int) -> Operator:
        """The same operator with every axis counted from 0 in `ndim` dimensions."""
        if all(_with_positive_axes(factor, ndim) is factor for factor in self.factors()):
            return self
        return self._map(
            lambda entry: polynomial_of(
                Term(t.coefficient, tuple(_with_positive_axes(f, ndim) for f in t.factors))
                for t in entry.parts
            )
        )

    @property
    def own_accuracy(self) -> int:
        """The largest accuracy of a stencil of the user's own; 0 if there is none."""
        factors = [f for row in self.entries for e in row for t in e.terms for f in t.factors]
        own = [f.accuracy for f in factors if isinstance(f, Offsets)]
        own += [f.stencil.accuracy for f in factors if isinstance(f, Partial) and f.stencil]
        return max(own, default=0)

    def idealized(self) -> Operator:
        """The operator that this one stands for: stencils of the user's own become derivatives."""
        return self._map(lambda entry: polynomial_of(_idealized(entry.parts)))

    def factors(self) -> Iterator[Factor]:
        """All factors of all terms, and those that say where results of entries that are 0 lie."""
        for row in self.entries:
            for entry in row:
                for term in entry.parts:
                    yield from term.factors

    def __add__(self, other: Any) -> Operator:
        """Sum of two operators of the same shape; numbers and arrays multiply the identity."""
        right = _as_operator(other)
        if right is None:
            return NotImplemented
        if (self.outputs, self.inputs) != (right.outputs, right.inputs):
            raise ArgumentValueError(
                f"an operator with {self.outputs} outputs and {self.inputs} inputs cannot be added "
                f"to one with {right.outputs} and {right.inputs}"
            )
        return Operator(
            tuple(
                tuple(sum_of((*a.parts, *b.parts)) for a, b in zip(ra, rb, strict=True))
                for ra, rb in zip(self.entries, right.entries, strict=True)
            )
        )

    __radd__ = __add__

    def __mul__(self, other: Any) -> Operator:
        """Product of polynomials: with an operator, a number or an array on either side."""
        right = _as_operator(other)
        if right is None:
            return NotImplemented
        if right.is_single:
            factor = _parts(right, right.entries[0][0])
            return self._map(lambda entry: products(product, _parts(self, entry), factor))
        if self.is_single:
            return right.__rmul__(self)
        raise ArgumentValueError(
            "the * of two systems of operators is not defined: multiply by a single operator, or "
            "write @, which applies one after the other"
        )

    def __rmul__(self, other: Any) -> Operator:
        left = _as_operator(other)
        if left is None:
            return NotImplemented
        factor = _parts(left, left.entries[0][0])
        return self._map(lambda entry: products(product, factor, _parts(self, entry)))

    def __matmul__(self, other: Any) -> Operator:
        """The operator applied to the results of another one; arrays multiply."""
        right = _as_operator(other)
        if right is None:
            return NotImplemented
        if right.is_single and self.inputs != 1:
            factor = _parts(right, right.entries[0][0])
            return self._map(lambda entry: products(composition, entry.parts, factor))
        if self.is_single and right.outputs != 1:
            factor = _parts(self, self.entries[0][0])
            return right._map(lambda entry: products(composition, factor, entry.parts))
        if self.inputs != right.outputs:
            raise ArgumentValueError(
                f"an operator of {self.inputs} input{'s' * (self.inputs > 1)} cannot follow one of "
                f"{right.outputs} output{'s' * (right.outputs > 1)}"
            )
        columns = list(zip(*right.entries, strict=True))
        return Operator(
            tuple(
                tuple(
                    polynomial_of(
                        term
                        for a, b in zip(row, column, strict=True)
                        for term in products(composition, _parts(self, a), _parts(right, b)).parts
                    )
                    for column in columns
                )
                for row in self.entries
            )
        )

    def __rmatmul__(self, other: Any) -> Operator:
        left = _as_operator(other)
        return NotImplemented if left is None else left @ self

    def __neg__(self) -> Operator:
        return self * -1

    def __pos__(self) -> Operator:
        return self

    def __sub__(self, other: Any) -> Operator:
        right = _as_operator(other)
        return NotImplemented if right is None else self + -right

    def __rsub__(self, other: Any) -> Operator:
        return -self + other

    def __truediv__(self, number: Any) -> Operator:
        number = unlabelled(number)
        if is_array(number) and number.ndim:
            raise ArgumentTypeError(
                "an operator is divided by numbers alone: multiply by the reciprocal of the array, "
                "(1 / array) * operator"
            )
        if is_array(number) and not isinstance(number, np.ndarray):
            return self * (1 / number)
        divisor = _number(number)
        if divisor is None:
            return NotImplemented
        if divisor == 0:
            raise ArgumentValueError("an operator cannot be divided by 0")
        divisor = Fraction(divisor) if isinstance(divisor, int) else divisor
        return self._map(
            lambda entry: polynomial_of(
                Term(t.coefficient / divisor, t.factors) for t in entry.parts
            )
        )

    def __pow__(self, power: int) -> Operator:
        if not self.is_single:
            raise ArgumentValueError(
                "the power of a system of operators is not defined: write @, which applies one "
                "after the other"
            )
        result = Identity()
        for _ in range(integer("power", power, 0)):
            result = result * self
        return result

    def _map(self, change: Callable[[Polynomial], Polynomial]) -> Operator:
        return Operator(tuple(tuple(map(change, row)) for row in self.entries))

    def __repr__(self) -> str:
        return _text(self.entries)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {latex.of_system(self.entries)}$"


def _text(entries: Sequence[Sequence[Polynomial]]) -> str:
    if len(entries) == len(entries[0]) == 1:
        return repr(entries[0][0])
    rows = ("[" + ", ".join(map(repr, row)) + "]" for row in entries)
    return f"Operator.matrix([{', '.join(rows)}])"


def _parts(operator: Operator, entry: Polynomial) -> Sequence[Term]:
    """The terms of an entry; a single one that is 0 everywhere leaves results where they lie."""
    return entry.parts or ((Term(0),) if operator.is_single else ())


def _as_operator(value: Any) -> Operator | None:
    """An operator as it is; a number or an array times the identity; None for anything else."""
    if isinstance(value, Operator):
        return value
    value = unlabelled(value)
    if is_array(value) and (value.ndim or not isinstance(value, np.ndarray)):
        factors: tuple[Factor, ...] = (Coefficient((ArrayValue(value, "coefficient"),)),)
        return single([Term(1, factors)])
    number = _number(value)
    return None if number is None else single([Term(number)])


def _number(value: Any) -> Any:
    # A NumPy array of no dimension is a number.
    value = unmasked(value, "coefficient")[()] if isinstance(value, np.ndarray) else value
    return plain_number(value, "coefficient")


def single(terms: Iterable[Term]) -> Operator:
    """The operator with one output and one input that is the sum of some terms."""
    return Operator(((polynomial_of(terms),),))


def _with_positive_axes(factor: Factor, ndim: int) -> Factor:
    def positive(axis: int) -> int:
        if not -ndim <= axis < ndim:
            raise AxisError("axis", axis, ndim)
        return axis % ndim

    if isinstance(factor, Partial):
        axis = positive(factor.axis)
        return factor if axis == factor.axis else replace(factor, axis=axis)
    if isinstance(factor, Offsets):
        axes = tuple(map(positive, factor.axes))
        if len(set(axes)) < len(axes):
            raise ArgumentValueError(f"axes={factor.axes} of a stencil name the same axis twice")
        return factor if axes == factor.axes else replace(factor, axes=axes)
    return factor


def _idealized(terms: Iterable[Term]) -> Iterator[Term]:
    for term in terms:
        ideal = [Term(term.coefficient)]
        for factor in term.factors:
            if isinstance(factor, Offsets):
                options = [
                    Term(t.coefficient, tuple(_along(p, factor.axes) for p in t.factors))
                    for t in factor.approximates.terms
                ]
            elif isinstance(factor, Partial) and factor.stencil is not None:
                options = [Term(1, (Partial(factor.axis, factor.order, factor.at, factor.to),))]
            else:
                options = [Term(1, (factor,))]
            ideal = [composition(left, right) for left in ideal for right in options]
        yield from ideal


def _along(factor: Factor, axes: tuple[int, ...]) -> Factor:
    return replace(factor, axis=axes[factor.axis]) if isinstance(factor, Partial) else factor


def D(
    axis: int,
    order: int = 1,
    *,
    to: str | None = None,
    at: str | None = None,
    stencil: Stencil | None = None,
) -> Operator:
    """Partial derivative along one axis, as a value.

    Parameters
    ----------
    axis : int
        Axis of the array; negative ones count from the last.
    order : int, default 1
        Order of the derivative, at least 1.
    to : {"centre", "left", "right", "inner", "outer"}, optional
        For a staggered derivative: where the results lie on the cells whose centres are the samples
        of the axis. ``"left"`` and ``"right"`` are the faces on that side of each centre, as many
        as centres; ``"inner"`` are the faces between the centres, one fewer; ``"outer"`` are all
        faces, one more. The default is where the values lie.
    at : {"centre", "left", "right", "inner", "outer"}, optional
        Where the values lie. The default, with `to` a face, is ``"centre"``; where ``to="centre"``
        it is taken from the operator to the right of an ``@``, and must be given without one.
    stencil : Stencil, optional
        A stencil of your own for all rows where it fits, instead of that of the method.

    Returns
    -------
    Operator
        One entry; combine with ``+ - * / ** @`` and bind with `Operator.on`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `axis` is not an integer, `order` not a positive one, a place has no such name, or the
        stencil is of another order.

    Examples
    --------
    >>> from gradkit import D, Stencil
    >>> D(0) + D(1)
    D(0) + D(1)
    >>> D(0, to="centre") @ D(0, to="outer")
    D(0, to='centre') @ D(0, to='outer')
    >>> D(0, stencil=Stencil((-1, 0), order=1))
    D(0, stencil=Stencil((-1, 0), 1))
    """
    order = integer("order", order, 1)
    if stencil is not None:
        if not isinstance(stencil, Stencil):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentTypeError(f"stencil={stencil!r} is not a Stencil")
        if stencil.order != order:
            raise ArgumentValueError(
                f"order={order}, but the stencil is one of order {stencil.order}"
            )
        stencil = Stencil(sorted(stencil.offsets), order)
    return single([Term(1, (_partial(axis, order, at, to, stencil),))])


def Average(axis: int, *, to: str, at: str | None = None) -> Operator:
    """Average along one axis, from centres to faces or back, as a value.

    Parameters
    ----------
    axis : int
        Axis of the array; negative ones count from the last.
    to, at : {"centre", "left", "right", "inner", "outer"}
        Where the results and the values lie, as in `D`.

    Returns
    -------
    Operator
        One entry: interpolation of the accuracy of the method.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `axis` is not an integer, or a place has no such name.

    Examples
    --------
    >>> import numpy as np
    >>> from gradkit import Average, Axis, Grid
    >>> plan = Average(0, to="inner").on(Grid(Axis()), (4,))
    >>> plan(np.asarray([1.0, 2.0, 4.0, 8.0]))
    array([1.5, 3. , 6. ])
    """
    return single([Term(1, (_partial(axis, 0, at, to, None),))])


def _partial(
    axis: int, order: int, at: str | None, to: str | None, stencil: Stencil | None
) -> Partial:
    if not is_index(axis):
        raise ArgumentTypeError(f"axis={axis!r} is not an integer")
    at, to = as_place("at", at), as_place("to", to)
    if order == 0 and to is None:
        raise ArgumentTypeError("to=None: an average needs to know where it is wanted")
    if at is not None and to is None:
        to = "centre"
    if to not in (None, "centre") and at is None:
        at = "centre"
    return Partial(axis.__index__(), order, at, to, stencil)


def Identity() -> Operator:
    """The operator that leaves an array as it is.

    Returns
    -------
    Operator
        One entry.

    Examples
    --------
    >>> from gradkit import D, Identity
    >>> Identity() + D(0)
    1 + D(0)
    """
    return single([Term(1)])
