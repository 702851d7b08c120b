"""Linear differential operators as data.

A `Polynomial` in the partial derivatives is a sum of terms, each a coefficient times a product of
derivatives along axes. An `Operator` is a matrix (outputs x inputs) of polynomials. Both are frozen
values; making them computes nothing.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gradkit.errors import ArgumentTypeError, ArgumentValueError, AxisError, integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradkit.grid import Grid
    from gradkit.plan import Plan

__all__ = [
    "D",
    "Operator",
    "Polynomial",
    "Term",
    "curl_operator",
    "divergence_operator",
    "gradient_operator",
    "hessian_operator",
    "jacobian_operator",
    "laplacian_operator",
]


@dataclass(frozen=True)
class Term:
    """A coefficient times a product of derivatives.

    Attributes
    ----------
    coefficient : int, float or Fraction
        Real number in front.
    orders : tuple of (axis, order)
        Order of the derivative along each axis that takes part, by ascending axis; empty for the
        identity.
    """

    coefficient: Any
    orders: tuple[tuple[int, int], ...]

    def __repr__(self) -> str:
        product = "*".join(f"D({a})" + (f"**{m}" if m > 1 else "") for a, m in self.orders)
        if not product:
            return f"{self.coefficient}"
        signs = {1: "", -1: "-"}
        return signs.get(self.coefficient, f"{self.coefficient}*") + product


@dataclass(frozen=True)
class Polynomial:
    """A sum of terms, none with the same derivatives, none zero."""

    terms: tuple[Term, ...]

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.terms)).replace("+ -", "- ") or "0"


def _collect(terms: Iterable[Term]) -> Polynomial:
    """Add up the terms with the same derivatives and drop those that vanish."""
    sums: dict[tuple[tuple[int, int], ...], Any] = {}
    for term in terms:
        sums[term.orders] = sums.get(term.orders, 0) + term.coefficient
    kept = [Term(c, orders) for orders, c in sums.items() if c != 0]
    # The order that reads best: low axes first, and their high derivatives before low ones.
    return Polynomial(tuple(sorted(kept, key=lambda t: [(a, -m) for a, m in t.orders])))


def _multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    products: list[Term] = []
    for left in a.terms:
        for right in b.terms:
            orders = dict(left.orders)
            for axis, order in right.orders:
                orders[axis] = orders.get(axis, 0) + order
            products.append(
                Term(left.coefficient * right.coefficient, tuple(sorted(orders.items())))
            )
    return _collect(products)


@dataclass(frozen=True)
class Operator:
    """A matrix of polynomials in the partial derivatives.

    Attributes
    ----------
    entries : tuple of tuple of Polynomial
        One row per output, one column per input: a gradient is a column, a divergence a row, a
        laplacian one entry.

    Examples
    --------
    >>> D(0)**2 + 2*D(0)*D(1)
    D(0)**2 + 2*D(0)*D(1)
    >>> D(0)*D(0)*D(0) == D(0)**3
    True
    """

    entries: tuple[tuple[Polynomial, ...], ...]

    #: An array on the left leaves the multiplication to the operator.
    __array_ufunc__ = None

    #: Binds an operator to a grid. plan.py, one floor up, puts its make_plan here on import.
    binder: ClassVar[Callable[..., Plan]]

    @property
    def outputs(self) -> int:
        """Number of arrays that come out."""
        return len(self.entries)

    @property
    def inputs(self) -> int:
        """Number of arrays that go in."""
        return len(self.entries[0])

    def on(self, grid: Grid, shape: Sequence[int], **options: Any) -> Plan:
        """Bind the operator to a grid and a shape; see `gradkit.make_plan` for the options."""
        return type(self).binder(self, grid, shape, **options)

    def normalized(self, ndim: int) -> Operator:
        """The same operator with every axis counted from 0 in `ndim` dimensions."""
        rows = [
            tuple(
                _collect(_with_positive_axes(term, ndim) for term in entry.terms) for entry in row
            )
            for row in self.entries
        ]
        return Operator(tuple(rows))

    def derivatives(self) -> set[tuple[int, int]]:
        """Every (axis, order) that some term contains."""
        rows = (entry for row in self.entries for entry in row)
        return {pair for entry in rows for term in entry.terms for pair in term.orders}

    def __add__(self, other: Any) -> Operator:
        """Sum of two operators of the same shape; a number stands for number times identity."""
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
                tuple(_collect((*a.terms, *b.terms)) for a, b in zip(ra, rb, strict=True))
                for ra, rb in zip(self.entries, right.entries, strict=True)
            )
        )

    __radd__ = __add__

    def __mul__(self, other: Any) -> Operator:
        """Product of two operators, or of an operator and a number."""
        right = _as_operator(other)
        if right is None:
            return NotImplemented
        if (right.outputs, right.inputs) == (1, 1):
            factor = right.entries[0][0]
            return self._map(lambda entry: _multiply(entry, factor))
        if (self.outputs, self.inputs) == (1, 1):
            return right * self
        raise ArgumentValueError(
            "the * of two systems of operators is not defined: multiply by a single operator"
        )

    __rmul__ = __mul__

    def __neg__(self) -> Operator:
        return self * -1

    def __sub__(self, other: Any) -> Operator:
        right = _as_operator(other)
        return NotImplemented if right is None else self + -right

    def __rsub__(self, other: Any) -> Operator:
        return -self + other

    def __truediv__(self, number: Any) -> Operator:
        if not _is_number(number):
            return NotImplemented
        divisor = _coefficient(number)
        if divisor == 0:
            raise ArgumentValueError("an operator cannot be divided by 0")
        divisor = Fraction(divisor) if isinstance(divisor, int) else divisor
        return self._map(
            lambda entry: _collect(Term(t.coefficient / divisor, t.orders) for t in entry.terms)
        )

    def __pow__(self, power: int) -> Operator:
        result = _IDENTITY
        for _ in range(integer("power", power, 0)):
            result = result * self
        return result

    def _map(self, change: Callable[[Polynomial], Polynomial]) -> Operator:
        return Operator(tuple(tuple(map(change, row)) for row in self.entries))

    def __repr__(self) -> str:
        if (self.outputs, self.inputs) == (1, 1):
            return repr(self.entries[0][0])
        rows = ("[" + ", ".join(map(repr, row)) + "]" for row in self.entries)
        return f"Operator([{', '.join(rows)}])"


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and value is not True and value is not False


def _as_operator(value: Any) -> Operator | None:
    if isinstance(value, Operator):
        return value
    if not _is_number(value):
        return None
    return Operator(((_collect([Term(_coefficient(value), ())]),),))


def _coefficient(value: Any) -> Any:
    """A finite real number as a plain Python one."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isfinite(value):
        raise ArgumentValueError(f"coefficient {value} is not a finite number")
    if isinstance(value, np.floating):  # a longdouble: it is no float of Python
        numerator, denominator = value.as_integer_ratio()
        return Fraction(int(numerator), int(denominator))
    return value


_IDENTITY = Operator(((Polynomial((Term(1, ()),)),),))


def _with_positive_axes(term: Term, ndim: int) -> Term:
    orders: dict[int, int] = {}
    for axis, order in term.orders:
        if not -ndim <= axis < ndim:
            raise AxisError("axis", axis, ndim)
        orders[axis % ndim] = orders.get(axis % ndim, 0) + order
    return Term(term.coefficient, tuple(sorted(orders.items())))


def D(axis: int, order: int = 1) -> Operator:
    """Partial derivative along one axis, as a value.

    Parameters
    ----------
    axis : int
        Axis of the array; negative ones count from the last.
    order : int, default 1
        Order of the derivative, at least 1.

    Returns
    -------
    Operator
        One entry; combine with ``+ - * / **`` and bind with `Operator.on`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `axis` is not an integer, or `order` not a positive one.

    Examples
    --------
    >>> D(0) + D(1)
    D(0) + D(1)
    """
    if isinstance(axis, bool) or not hasattr(axis, "__index__"):
        raise ArgumentTypeError(f"axis={axis!r} is not an integer")
    term = Term(1, ((axis.__index__(), integer("order", order, 1)),))
    return Operator(((Polynomial((term,)),),))


def _entry(operator: Operator) -> Polynomial:
    return operator.entries[0][0]


_ZERO = Polynomial(())


def gradient_operator(axes: Sequence[int]) -> Operator:
    """One input, the derivative along each axis as outputs."""
    return Operator(tuple((_entry(D(a)),) for a in axes))


def divergence_operator(axes: Sequence[int]) -> Operator:
    """One input per axis, the sum of each one's derivative along its axis."""
    return Operator((tuple(_entry(D(a)) for a in axes),))


def laplacian_operator(axes: Sequence[int]) -> Operator:
    """One input, the sum of the second derivatives along the axes."""
    return Operator(((_collect(t for a in axes for t in _entry(D(a, 2)).terms),),))


def hessian_operator(axes: Sequence[int]) -> Operator:
    """One input, all second derivatives, row by row."""
    return Operator(tuple((_entry(D(a) * D(b)),) for a in axes for b in axes))


def jacobian_operator(axes: Sequence[int], components: int) -> Operator:
    """Derivative of every component along every axis: axes vary fastest in the outputs."""
    return Operator(
        tuple(
            tuple(_entry(D(a)) if i == j else _ZERO for j in range(components))
            for i in range(components)
            for a in axes
        )
    )


def curl_operator(axes: Sequence[int]) -> Operator:
    """The curl along two axes (one output) or three (three outputs)."""
    if len(axes) == 2:
        x, y = axes
        return Operator(((_entry(-D(y)), _entry(D(x))),))
    x, y, z = axes
    return Operator(
        (
            (_ZERO, _entry(-D(z)), _entry(D(y))),
            (_entry(D(z)), _ZERO, _entry(-D(x))),
            (_entry(-D(y)), _entry(D(x)), _ZERO),
        )
    )
