"""The text of a sum of terms in a part of a line: where all are written out, and at its ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from gradkit.engines.cpu.element_source import divided, indented
from gradkit.engines.cpu.key import Key, Term
from gradkit.engines.cpu.term_source import Part, at_face, end_of, finished, value_of

__all__ = [
    "CHUNK",
    "across",
    "at_end",
    "begins",
    "divided_sum",
    "elements",
    "ends",
    "fewest",
    "lanes",
    "places",
    "value",
    "written",
]

#: Bytes of a chunk of a line: what is kept of one stays in the first cache.
CHUNK = 2**13


def across(key: Key) -> list[int]:
    """The terms that take differences across lines."""
    return [number for number, term in enumerate(key.terms) if term.axis != key.ndim - 1]


def begins(key: Key) -> Iterator[str]:
    """Name where a line of each array begins."""
    yield f"row_o = {_row(key, 'o')}"
    for number, term in enumerate(key.terms):
        for word in _operands(term):
            is_shared = word == "f" and term.field < number
            row = f"row_t{term.field}_f" if is_shared else _row(key, f"t{number}_{word}")
            yield f"row_t{number}_{word} = {row}"


def _row(key: Key, name: str) -> str:
    terms = [name, *(f"i{axis} * {name}_{axis}" for axis in range(key.ndim - 1))]
    return " + ".join(terms)


def _operands(term: Term) -> Iterator[str]:
    yield "f"
    yield from (f"p{j}" for j in range(len(term.products)))
    yield from (f"k{j}" for j in range(term.known))


def fewest(key: Key) -> str:
    """How many results a part has at least."""
    return "LANES" if key.lanes else "1"


def lanes(key: Key, part: Part) -> Iterator[str]:
    """The results of a part as lanes, `LANES` at least, each written where it belongs.

    The last ones overlap.
    """
    yield f"for n in range(-(-({part.length}) // LANES)):"
    yield f"    x = min(n * LANES, {part.length} - LANES)"
    yield from indented(value(key, part, "lanes_"))
    yield "    keep(out + x * SIZE, 0, value)"


def elements(key: Key, part: Part) -> Iterator[str]:
    """The results of a part, one by one."""
    if key.is_direct:
        yield f"for x in range({part.length}):"
        yield from indented(value(key, part))
        yield "    write(out, x, value)"
        return
    # Sums are formed as neighbours in memory first: processors take many of these at once.
    yield f"for done in range(0, {part.length}, {CHUNK} // SIZE):"
    yield f"    more = min({part.length} - done, {CHUNK} // SIZE)"
    yield "    for x in range(done, done + more):"
    yield from indented(value(key, part), 2)
    yield "        write(scratch, x - done, value)"
    yield "    for x in range(more):"
    yield f"        {written(key, 'done + x', 'again(scratch, x)')}"


def places(key: Key, is_left: bool) -> list[tuple[int, int]]:
    """The places near an end of a line that are written out, and which of all these each is."""
    return [(e, place) for e, place in enumerate(key.ends) if (place >= 0) == is_left]


def at_end(key: Key, part: Part, is_left: bool, lines: Iterable[str]) -> Iterator[str]:
    """Do this where places near an end of a line are written out, and a part lies beside them."""
    if places(key, is_left):
        yield f"if {part.bounds[0]} == 0:" if is_left else f"if {part.bounds[1]} == size:"
        yield from indented(lines)


def ends(key: Key, part: Part, is_left: bool, room: str = "") -> Iterator[str]:
    """The places near an end of a line, one by one, before or after a part.

    They are written to a `room` of their own, if one is given.
    """
    for i, (e, place) in enumerate(places(key, is_left)):
        yield f"x = {place if is_left else f'size - {-place}'} - {part.start}"
        for number, term in enumerate(key.terms):
            if term.axis == key.ndim - 1:
                yield from end_of(key, number, term, e)
            else:
                yield from _term(key, number, term, part, "")
        values = (finished(n, term, f"v{n}") for n, term in enumerate(key.terms))
        total = divided_sum(key, " + ".join(values))
        yield f"write({room}, {i}, {total})" if room else written(key, "x", total)


def value(key: Key, part: Part, lanes: str = "") -> Iterator[str]:
    """The sum of all terms at an element x of a part, or from it on."""
    terms = list(enumerate(key.terms))
    for number, term in terms:
        yield from _term(key, number, term, part, lanes)
        if lanes and key.is_past and term.leads and not part.is_face:
            # Ask for what the next line across needs: it is far away in memory.
            yield f"fetch(ahead{number} + x * {np.dtype(term.dtype).itemsize})"
    values = (finished(number, term, f"v{number}", lanes) for number, term in terms)
    yield f"value = {divided_sum(key, ' + '.join(values))}"


def _term(key: Key, number: int, term: Term, part: Part, lanes: str) -> Iterator[str]:
    if part.is_face and term.axis != key.ndim - 1:
        return at_face(key, number, term, part, lanes)
    return value_of(key, number, term, lanes)


def divided_sum(key: Key, total: str) -> str:
    """A sum of all terms over what they share."""
    for j in range(key.divisors):
        total = divided(key, total, f"over{j}")
    return total


def written(key: Key, x: str, total: str) -> str:
    """Write a value to an element of the results that begin at `out`."""
    if key.is_direct:
        return f"write(out, {x}, {total})"
    return f"write_result(out + ({x}) * o_{key.ndim - 1}, 0, {total})"
