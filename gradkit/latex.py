"""Operators in LaTeX, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from gradkit._values import ArrayValue
from gradkit.terms import Coefficient, Factor, Offsets, Polynomial, Term

__all__ = ["of_system"]


def of_system(entries: Sequence[Sequence[Polynomial]]) -> str:
    """A matrix of sums, without the dollar signs; arrays are numbered as they appear."""
    names: dict[ArrayValue, str] = {}
    rows = [[_of_sum(entry.terms, names) for entry in row] for row in entries]
    if len(rows) == len(rows[0]) == 1:
        return rows[0][0]
    body = r" \\ ".join(" & ".join(row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def _of_sum(terms: Sequence[Term], names: dict[ArrayValue, str]) -> str:
    return " + ".join(_of_term(term, names) for term in terms).replace("+ -", "- ") or "0"


def _of_term(term: Term, names: dict[ArrayValue, str]) -> str:
    body = r" \, ".join(_of_factor(factor, names) for factor in term.factors)
    if not body:
        return _of_number(term.coefficient)
    if term.coefficient in (1, -1):
        return ("-" if term.coefficient == -1 else "") + body
    return _of_number(term.coefficient) + r" \, " + body


def _of_number(number: Any) -> str:
    if isinstance(number, Fraction) and number.denominator != 1:
        sign = "-" if number < 0 else ""
        return rf"{sign}\frac{{{abs(number.numerator)}}}{{{number.denominator}}}"
    if isinstance(number, complex):
        if number.real:
            parts = f"{_of_number(number.real)} + {_of_number(number.imag)}".replace("+ -", "- ")
            return rf"\left({parts} \mathrm{{i}}\right)"
        return rf"{_of_number(number.imag)} \mathrm{{i}}"
    mantissa, _, exponent = f"{number}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _of_factor(factor: Factor, names: dict[ArrayValue, str]) -> str:
    if isinstance(factor, Coefficient):
        for array in factor.arrays:
            names.setdefault(array, f"c_{{{len(names) + 1}}}")
        return r" \, ".join(names[array] for array in factor.arrays)
    if isinstance(factor, Offsets):
        return rf"\left[{_of_sum(factor.approximates.terms, names)}\right]_h"
    moved = rf"^{{\text{{{factor.at or ''} → {factor.to}}}}}" if factor.to else ""
    if factor.order == 0:
        return rf"\mu_{{{factor.axis}}}{moved}"
    power = f"^{{{factor.order}}}" if factor.order > 1 else ""
    body = rf"\frac{{\partial{power}}}{{\partial x_{{{factor.axis}}}{power}}}"
    return rf"\left[{body}\right]{moved}" if moved else body
