"""Where the inputs and outputs of an operator lie, from what its terms say of them."""

from __future__ import annotations

from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.operators import Operator
from gradkit.terms import Partial, Term

__all__ = ["Places", "places_of"]

#: Where values lie along each axis: names of `gradkit.line.PLACES`.
Places = tuple[str, ...]


def places_of(operator: Operator, ndim: int) -> tuple[tuple[Places, ...], tuple[Places, ...]]:
    """The place of every input and output along every axis, from what the terms say of them.

    Along an axis that a term does not move on, its input and its output lie in the same place;
    what no term settles lies at the centres.
    """
    columns = [_places_along(operator, axis) for axis in range(ndim)]
    inputs = tuple(tuple(column[0][j] for column in columns) for j in range(operator.inputs))
    outputs = tuple(tuple(column[1][i] for column in columns) for i in range(operator.outputs))
    return inputs, outputs


def _places_along(operator: Operator, axis: int) -> tuple[list[str], list[str]]:
    known: dict[tuple[str, int], str] = {}
    same: list[tuple[tuple[str, int], tuple[str, int]]] = []
    for i, row in enumerate(operator.entries):
        for j, entry in enumerate(row):
            for term in entry.parts:
                ends = _moves(term, axis)
                if ends is None:
                    same.append((("input", j), ("output", i)))
                    continue
                for node, place in ((("input", j), ends[0]), (("output", i), ends[1])):
                    if known.setdefault(node, place) != place:
                        raise ArgumentValueError(
                            f"along axis {axis}, {node[0]} {node[1]} lies at {known[node]!r} for "
                            f"one term and at {place!r} for {term!r}"
                        )
    for _ in same:  # as many rounds as any chain of equal places is long
        for pair in same:
            for one, other in (pair, pair[::-1]):
                if one in known and known.setdefault(other, known[one]) != known[one]:
                    raise ArgumentValueError(
                        f"along axis {axis}, {one[0]} {one[1]} lies at {known[one]!r}, but "
                        f"{other[0]} {other[1]} at {known[other]!r}: some term leaves it in place, "
                        "and all terms must begin and end at the same places"
                    )
    return (
        [known.get(("input", j), "centre") for j in range(operator.inputs)],
        [known.get(("output", i), "centre") for i in range(operator.outputs)],
    )


def _moves(term: Term, axis: int) -> tuple[str, str] | None:
    """Where a term takes values from and to along an axis; None where it leaves them in place."""
    start = place = None
    for factor in reversed(term.factors):
        if not isinstance(factor, Partial) or factor.axis != axis or factor.to is None:
            continue
        at = factor.at or place
        if at is None:
            raise ArgumentTypeError(
                f"{factor!r} does not say where its values lie: wanted at=, such as "
                f"D({axis}, at='outer', to='centre')"
            )
        if place is not None and at != place:
            raise ArgumentValueError(
                f"{factor!r} in {term!r} takes values at {at!r}, but they lie at {place!r}"
            )
        start, place = start or at, factor.to
    return None if start is None or place is None else (start, place)
