"""What operators are made of: sums of products of derivatives and multiplications.

A `Polynomial` is a sum of terms. A `Term` is a number times factors that are applied from the right
to the left: derivatives along an axis (`Partial`), multiplications by arrays (`Coefficient`),
stencils of the user's own (`Offsets`). All are frozen values that print as one writes them.
"""

from __future__ import annotations

from cmath import isfinite
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from typing import Any

from gradkit._values import ArrayValue
from gradkit.errors import ArgumentValueError
from gradkit.weights import Stencil

__all__ = [
    "Coefficient",
    "Factor",
    "Offsets",
    "Partial",
    "Polynomial",
    "Term",
    "composition",
    "number_text",
    "polynomial_of",
    "product",
    "products",
    "sum_of",
]


@dataclass(frozen=True)
class Partial:
    """A derivative along one axis, or an average.

    Attributes
    ----------
    axis : int
        Axis of the array; negative ones count from the last.
    order : int
        Order of the derivative; 0 for an average.
    at, to : str or None
        Where values and results lie on the cells of the axis; both None where they lie in the same
        place, whichever it is.
    stencil : Stencil or None
        The user's own stencil, instead of that of the method.
    """

    axis: int
    order: int
    at: str | None = None
    to: str | None = None
    stencil: Stencil | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is a derivative that the method chooses the stencil of, and stays in place."""
        return self.to is None and self.stencil is None and self.order > 0

    def text(self, place: str | None = None) -> str:
        """The derivative as it is made; `place` is where its values are known to lie."""
        name = "D" if self.order else "Average"
        arguments = [str(self.axis)]
        if self.order > 1 and not self.is_plain:
            arguments.append(str(self.order))
        if self.at is not None and self.at != (place if self.to == "centre" else "centre"):
            arguments.append(f"at={self.at!r}")
        if self.to is not None:
            arguments.append(f"to={self.to!r}")
        if self.stencil is not None:
            offsets = ", ".join(map(str, self.stencil.offsets))
            comma = "," if len(self.stencil.offsets) == 1 else ""
            arguments.append(f"stencil=Stencil(({offsets}{comma}), {self.order})")
        power = f"**{self.order}" if self.order > 1 and self.is_plain else ""
        return f"{name}({', '.join(arguments)}){power}"

    def __repr__(self) -> str:
        return self.text()


@dataclass(frozen=True, eq=False)
class Coefficient:
    """Multiplication by the product of arrays, in any order."""

    arrays: tuple[ArrayValue, ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Coefficient):
            return NotImplemented
        left = list(other.arrays)
        for array in self.arrays:
            if array not in left:
                return False
            left.remove(array)
        return not left

    def __hash__(self) -> int:
        return hash(frozenset(map(hash, self.arrays)))

    def __repr__(self) -> str:
        return "*".join(map(repr, self.arrays))


@dataclass(frozen=True)
class Offsets:
    """A stencil of the user's own: a weighted sum of neighbours; see `operator_from_offsets`.

    Attributes
    ----------
    axes : tuple of int
        The axes along which the offsets count.
    weights : tuple of (offset, weight)
        Exact weights; each offset is a tuple of one int per axis.
    spacing : tuple of Fraction, or None
        The spacing that the weights hold for, per axis; None where they hold for spacing 1, and
        are divided by ``spacing**order`` on any grid that is equally spaced in all directions.
    order : int
        Order of the derivatives that the stencil stands for.
    accuracy : int
        Order of the error.
    approximates : Polynomial
        These derivatives, with the first of `axes` as axis 0, the next as axis 1, and so on.
    """

    axes: tuple[int, ...]
    weights: tuple[tuple[tuple[int, ...], Fraction], ...]
    spacing: tuple[Fraction, ...] | None
    order: int
    accuracy: int
    approximates: Polynomial

    def __repr__(self) -> str:
        axes = "" if self.axes == tuple(range(len(self.axes))) else f", axes={self.axes}"
        size = f"{len(self.weights)} points{axes}"
        has_error = any(k for offset, _ in self.weights for k in offset)
        error = f" + O(h^{self.accuracy})" if has_error else ""
        return f"Offsets({size}: {self.approximates!r}{error})"


Factor = Partial | Coefficient | Offsets


@dataclass(frozen=True)
class Term:
    """A number times factors, the last of which is applied first.

    Attributes
    ----------
    coefficient : int, float, complex or Fraction
        Number in front.
    factors : tuple of Partial, Coefficient or Offsets
        Factors along different axes stand by ascending axis, as far as they commute; derivatives
        along one axis that follow each other are one. Empty for the identity.
    """

    coefficient: Any
    factors: tuple[Factor, ...] = ()

    @property
    def is_multiplication(self) -> bool:
        """Whether the term is a number or an array times the identity."""
        return all(isinstance(factor, Coefficient) for factor in self.factors)

    @property
    def arrays_lead(self) -> bool:
        """Whether arrays stand in front of all derivatives, so that the order does not matter."""
        return all(isinstance(f, Coefficient) <= (i == 0) for i, f in enumerate(self.factors))

    def __repr__(self) -> str:
        groups = ["*".join(group) for group in self._groups()]
        if len(groups) > 1:
            groups = [f"({text})" if "*" in text else text for text in groups]
        body = " @ ".join(groups)
        if not body:
            return number_text(self.coefficient)
        if self.coefficient == 1:
            return body
        body = f"({body})" if len(groups) > 1 else body
        number, divisor = self.coefficient, ""
        if isinstance(number, Fraction) and number.denominator != 1:
            number, divisor = number.numerator, f"/{number.denominator}"
        if number in (1, -1):
            return f"{'-' if number == -1 else ''}{body}{divisor}"
        return f"{number_text(number)}*{body}{divisor}"

    def _groups(self) -> list[list[str]]:
        """Texts of the factors; those of one group commute, groups are applied one by one."""
        place: dict[int, str | None] = {}
        groups: list[list[str]] = [[]]
        taken: set[int] = set()
        after_array = False
        for factor in reversed(self.factors):
            axes = _axes_of(factor)
            text = repr(factor)
            if isinstance(factor, Partial):
                text = factor.text(place.get(factor.axis))
                place[factor.axis] = factor.to or place.get(factor.axis)
            if axes & taken or (axes and after_array):
                groups.insert(0, [])
                taken = set()
            groups[0].insert(0, text)
            taken |= axes
            after_array = not axes
        return groups if self.factors else []


@dataclass(frozen=True, eq=False)
class Polynomial:
    """A sum of terms, none with the same factors, none zero.

    Attributes
    ----------
    terms : tuple of Term
        The terms; none where the sum is 0.
    vanished : tuple of Partial
        Where the inputs and results of a sum that is 0 lie: the moves from one place to another of
        a term that it had, if it had any. All sums that are 0 are equal.
    """

    terms: tuple[Term, ...]
    vanished: tuple[Partial, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polynomial):
            return NotImplemented
        return frozenset(self.terms) == frozenset(other.terms)

    def __hash__(self) -> int:
        return hash(frozenset(self.terms))

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.terms)).replace("+ -", "- ") or "0"

    @property
    def parts(self) -> tuple[Term, ...]:
        """The terms; 0 times the moves of one that it had where they vanished."""
        return self.terms or ((Term(0, self.vanished),) if self.vanished else ())


def products(
    combine: Callable[[Term, Term], Term], left: Sequence[Term], right: Sequence[Term]
) -> Polynomial:
    """The sum of what a product makes of each pair of terms."""
    return polynomial_of(combine(a, b) for a in left for b in right)


def polynomial_of(terms: Iterable[Term]) -> Polynomial:
    """Add up the terms with the same factors and drop those that vanish."""
    return sum_of([Term(term.coefficient, _canonical(term.factors)) for term in terms])


def sum_of(terms: Iterable[Term]) -> Polynomial:
    """The same for terms whose factors are in their settled order, as those of polynomials are."""
    sums: dict[tuple[Factor, ...], Any] = {}
    for term in terms:
        factors = term.factors
        sums[factors] = sums.get(factors, 0) + term.coefficient
    kept = [Term(_plain(c), factors) for factors, c in sums.items() if c != 0]
    if kept:
        return Polynomial(tuple(sorted(kept, key=_reading_order)))
    moves = (tuple(filter(_moves, factors)) for factors in sums)
    return Polynomial((), next(filter(None, moves), ()))  # pyright: ignore[reportArgumentType]


def _moves(factor: Factor) -> bool:
    """Whether a factor takes values from one place of the cells to another."""
    return isinstance(factor, Partial) and factor.to is not None


def _plain(coefficient: Any) -> Any:
    """A coefficient that arithmetic has made: finite, and real where it has no imaginary part."""
    if isinstance(coefficient, complex) and not coefficient.imag:
        coefficient = coefficient.real
    if isinstance(coefficient, float | complex) and not isfinite(coefficient):
        raise ArgumentValueError(f"a coefficient becomes {coefficient}, not a finite number")
    return coefficient


def _reading_order(term: Term) -> list[tuple[int, int, str]]:
    """The order that reads best: low axes first, and their high derivatives before low ones."""
    keys: list[tuple[int, int, str]] = []
    for factor in term.factors:
        if isinstance(factor, Partial):
            # Plain derivatives are many in long sums; their text would be slow to make.
            text = "" if factor.is_plain else repr(factor)
            keys.append((factor.axis, -factor.order, text))
        elif isinstance(factor, Offsets):
            keys.append((min(factor.axes), -factor.order, repr(factor)))
    return keys


def _canonical(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """The same product with all that commutes in a settled order, and joined where it is one."""
    if len(factors) < 2:
        return tuple(factors)
    found: list[Factor] = []
    for is_array, group in groupby(_placed(factors), lambda f: isinstance(f, Coefficient)):
        run = list(group)
        if is_array:
            arrays = (a for c in run if isinstance(c, Coefficient) for a in c.arrays)
            found.append(Coefficient(tuple(arrays)))
        else:
            found.extend(_joined(_by_axis(run)))
    return tuple(found)


def _placed(factors: Sequence[Factor]) -> list[Factor]:
    """The same factors; one that starts from wherever it is told knows where the last one ended."""
    place: dict[int, str | None] = {}
    found: list[Factor] = []
    for factor in reversed(factors):
        kept = factor
        if isinstance(factor, Partial) and factor.to is not None:
            if factor.at is None and factor.axis in place:
                kept = replace(factor, at=place[factor.axis])
            place[factor.axis] = factor.to
        found.append(kept)
    return found[::-1]


def _by_axis(run: Sequence[Factor]) -> list[Factor]:
    """Factors by ascending axis, as far as they commute."""
    found: list[Factor] = []
    for factor in run:
        place = len(found)
        while place and _commute(found[place - 1], factor):
            place -= 1
        # Among those that it commutes with, it goes in front of the first of a higher axis.
        while place < len(found) and min(_axes_of(found[place])) <= min(_axes_of(factor)):
            place += 1
        found.insert(place, factor)
    return found


def _commute(a: Factor, b: Factor) -> bool:
    if isinstance(a, Partial) and isinstance(b, Partial) and a.is_plain and b.is_plain:
        return True
    axes = _axes_of(a) | _axes_of(b)
    # An axis counted from the end may be any of those counted from the front.
    apart = len(axes) == len(_axes_of(a)) + len(_axes_of(b))
    return apart and (min(axes) >= 0 or max(axes) < 0)


def _joined(run: Iterable[Factor]) -> Iterator[Factor]:
    """The same factors, derivatives that follow each other along one axis as one."""
    last: Factor | None = None
    for factor in run:
        if (
            isinstance(last, Partial)
            and isinstance(factor, Partial)
            and last.is_plain
            and factor.is_plain
            and last.axis == factor.axis
        ):
            last = Partial(last.axis, last.order + factor.order)
            continue
        if last is not None:
            yield last
        last = factor
    if last is not None:
        yield last


def product(left: Term, right: Term) -> Term:
    """Product of symbols: arrays move to the front."""
    number = left.coefficient * right.coefficient
    if left.is_multiplication or not right.factors:
        return Term(number, (*left.factors, *right.factors))
    if not left.arrays_lead or not (right.arrays_lead or right.is_multiplication):
        raise ArgumentValueError(
            f"the * of {left!r} and {right!r} is not defined, because an array stands between "
            "derivatives: write @, which applies one after the other"
        )
    arrays = [f for f in (*left.factors, *right.factors) if isinstance(f, Coefficient)]
    others = [f for f in (*left.factors, *right.factors) if not isinstance(f, Coefficient)]
    return Term(number, (*arrays, *_own_stencils_first(others)))


def _own_stencils_first(factors: Sequence[Factor]) -> list[Factor]:
    """Factors of symbols, which commute: derivatives in place along one axis in a settled order."""

    def key(factor: Factor) -> tuple[bool, str]:
        return isinstance(factor, Partial) and factor.stencil is None, repr(factor)

    found: list[Factor] = []
    for factor in factors:
        place = len(found)
        while (
            place
            and _trade_places(found[place - 1], factor)
            and key(factor) < key(found[place - 1])
        ):
            place -= 1
        found.insert(place, factor)
    return found


def _trade_places(a: Factor, b: Factor) -> bool:
    return (
        isinstance(a, Partial)
        and isinstance(b, Partial)
        and a.axis == b.axis
        and a.to is None
        and b.to is None
    )


def composition(left: Term, right: Term) -> Term:
    """One term applied after the other."""
    return Term(left.coefficient * right.coefficient, (*left.factors, *right.factors))


def _axes_of(factor: Factor) -> set[int]:
    """The axes along which a factor differentiates; none for an array."""
    if isinstance(factor, Partial):
        return {factor.axis}
    return set(factor.axes) if isinstance(factor, Offsets) else set()


def number_text(number: Any) -> str:
    """A coefficient as one writes it: ``2j`` rather than ``0 + 2j``."""
    if isinstance(number, complex) and number.real == 0:
        return f"{number.imag!r}j"
    return f"{number}"
