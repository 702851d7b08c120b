"""The text of one term of a sum: its numbers by name, its value, its rows from the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from gradkit.engines.cpu.element_source import divided, division, divisor, indented, kind_of
from gradkit.engines.cpu.key import Key, Term

__all__ = [
    "Part",
    "added",
    "at_face",
    "end_of",
    "factors",
    "finished",
    "named",
    "settled",
    "value_of",
]


class Part(NamedTuple):
    """A part of a line that is written out: where it starts, and how long it is.

    It lies in a box or a chunk, which begins and ends at `bounds`. On a line at a face differences
    across lines may be from the tables.
    """

    start: str
    length: str
    bounds: tuple[str, str]
    is_face: bool


def named(key: Key, number: int, term: Term, part: Part) -> Iterator[str]:
    """Name the places and the numbers of a term in a part of a line."""
    name, last = f"t{number}", key.ndim - 1
    step = np.dtype(term.dtype).itemsize if term.is_unit else f"{name}_f_{last}"
    yield f"field = row_{name}_f + {part.start} * {step}"
    for i, owner in enumerate(key.points):
        if owner == number:
            yield f"p{i} = field + q{i}"
    if key.is_past and term.leads and not part.is_face:
        yield f"ahead{number} = field + {name}_ahead"
    in_line = term.axis == last
    column = f"{part.start if in_line else f'i{term.axis}'} - {name}_start"
    if part.is_face and not in_line:
        # Where it is not used it must be somewhere.
        column = f"({column} if is_middle{number} else 0)"
    for p, pair in enumerate(term.pairs):
        place = f"{name}_w{p}{f' + {column}' * (pair.weight == 'column')}"
        if pair.weight == "column" and in_line:
            yield f"w{number}_{p} = real + ({place}) * SIZE"
        elif pair.weight:
            yield f"w{number}_{p} = read_R(real, {place})"
    for j in range(term.divisors):
        yield from divisor(key, f"d{number}_{j}", f"{name}_d{j}")
    yield from factors(number, term, part.start)


def value_of(
    key: Key, number: int, term: Term, lanes: str, points: Sequence[str] | None = None
) -> Iterator[str]:
    """The weighted differences of a term, over its divisors; `points` are names of points."""
    read = "line_R" if lanes else "read_R"
    names, total = points or [f"p{i}" for i in range(len(key.points))], ""
    for p, pair in enumerate(term.pairs):
        high, low = (None if i is None else names[i] for i in (pair.high, pair.low))
        part = _difference(key, number, high, low, lanes)
        if pair.weight:
            weight = f"w{number}_{p}"
            is_column = pair.weight == "column" and term.axis == key.ndim - 1
            part = f"{part} * {f'{read}({weight}, x)' if is_column else weight}"
        total = f"{total} + {part}" if total else part
    yield f"v{number} = {total or ('nothing()' if lanes else 'R(0)')}"
    for j in range(term.divisors):
        yield f"v{number} = {divided(key, f'v{number}', f'd{number}_{j}')}"


def _difference(key: Key, number: int, high: str | None, low: str | None, lanes: str) -> str:
    """A difference at an element x of a part, or from it on, of points that are named."""
    term = key.terms[number]
    kind = kind_of(term)
    if lanes:
        if high is None:
            return f"(-value_lanes_{kind}({low}, x))"
        if low is None:
            return f"value_lanes_{kind}({high}, x)"
        return f"minus_lanes_{kind}({high}, {low}, x)"
    index = "{}, x" if term.is_unit else f"{{}} + x * t{number}_f_{key.ndim - 1}, 0"
    elements = (place and f"read_{kind}({index.format(place)})" for place in (high, low))
    return _form(kind, *elements)


def _form(kind: str, high: str | None, low: str | None) -> str:
    """A difference of two elements, or one of them against nothing."""
    if high is None:
        return f"(-value_{kind}({low}))"
    return f"value_{kind}({high})" if low is None else f"minus_{kind}({high}, {low})"


def end_of(key: Key, number: int, term: Term, e: int) -> Iterator[str]:
    """The differences of a term at a place near an end of a line."""
    name, kind, last = f"t{number}", kind_of(term), key.ndim - 1

    def read(place: int | None) -> str | None:
        if place is None:
            return None
        index = _index(name, place)
        if term.is_unit:
            return f"read_{kind}(row_{name}_f, {index})"
        return f"read_{kind}(row_{name}_f + ({index}) * {name}_f_{last}, 0)"

    def difference(high: int | None, low: int | None) -> str:
        return _form(kind, read(high), read(low))

    yield from _listed(key, number, e, difference)


def settled(
    key: Key, number: int, term: Term, run: str, total: str, part: tuple[str, str]
) -> Iterator[str]:
    """Compute the differences of a term in a part of a line from the tables."""
    start, stop = part
    given = _given(key, number, term, run, start)
    yield f"settle_{kind_of(term)}({total}, {given}, {stop} - {start})"


def at_face(key: Key, number: int, term: Term, part: Part, lanes: str) -> Iterator[str]:
    """The differences of a term across lines, where this line may be at its face."""
    yield f"if is_middle{number}:"
    yield from indented(value_of(key, number, term, lanes))
    for e in range(len(term.ends)):
        row = f"{e}" if e < term.before else f"t{number}_stop + {e - term.before}"
        # They are all rows that are not in the middle.
        is_last = e == len(term.ends) - 1
        yield "else:" if is_last else f"elif i{term.axis} == {row}:"
        yield from indented(_face(key, number, e, part, lanes))
    if term.ends:
        return
    yield "else:"
    given, room = _given(key, number, term, f"run{number}", part.start), ", spare" if lanes else ""
    yield f"    v{number} = settled_{lanes}{kind_of(term)}({given}, x{room})"


def _face(key: Key, number: int, e: int, part: Part, lanes: str) -> Iterator[str]:
    """The differences of a term in a row at a face."""
    term, name, last = key.terms[number], f"t{number}", key.ndim - 1
    along = np.dtype(term.dtype).itemsize if term.is_unit else f"{name}_f_{last}"

    def point(place: int | None) -> str | None:
        if place is None:
            return None
        rows = f"({_index(name, place)} - i{term.axis}) * {name}_f_{term.axis}"
        return f"row_{name}_f + {part.start} * {along} + {rows}"

    def difference(high: int | None, low: int | None) -> str:
        return _difference(key, number, point(high), point(low), lanes)

    yield from _listed(key, number, e, difference)


def _index(name: str, place: int) -> str:
    """A place along an axis of the input, counted from its beginning."""
    return f"{place}" if place >= 0 else f"{name}_size - {-place}"


def _listed(
    key: Key, number: int, e: int, difference: Callable[[int | None, int | None], str]
) -> Iterator[str]:
    """The differences of a row whose weights and divisors follow those of the rows before it."""
    ends = key.terms[number].ends
    first = sum(sum(weighted for *_, weighted in end.pairs) + end.divisors for end in ends[:e])
    numbers = (f"read_R(real, t{number}_numbers + {first + n})" for n in count())
    total = ""
    for high, low, weighted in ends[e].pairs:
        part = difference(high, low)
        part = f"{part} * {next(numbers)}" if weighted else part
        total = f"{total} + {part}" if total else part
    for _ in range(ends[e].divisors):
        total = f"({total}) {division(key)} {next(numbers)}"
    yield f"v{number} = {total or 'R(0)'}"


def _given(key: Key, number: int, term: Term, run: str, start: str) -> str:
    """What functions that read tables are given, for a line from a `start` on."""
    name, last = f"t{number}", key.ndim - 1
    in_line = term.axis == last
    column = f"{start if in_line else f'i{term.axis}'} - entry({run}, 0)"
    given = [run, "pairs", "real", f"row_{name}_f + {start} * {name}_f_{last}"]
    given += [f"{name}_f_{term.axis}", f"{name}_f_{last}"]
    for j in range(2):
        along = f"{name}_k{j}_{last}"
        known = [f"row_{name}_k{j} + {start} * {along}", along]
        given += known if j < term.known else ["int64(0)"] * 2
    return ", ".join([*given, column, f"int64({int(in_line)})"])


def added(number: int, term: Term, part: tuple[str, str]) -> Iterator[str]:
    """Multiply what was computed of a term in a part of a line, and add it to those before."""
    start, stop = part
    if number == 0 and not term.products and not term.has_factor:
        return
    yield from factors(number, term, start)
    yield f"for x in range({stop} - {start}):"
    value = finished(number, term, "again(spare, x)")
    yield f"    write(out, x, {value if number == 0 else f'again(out, x) + {value}'})"


def factors(number: int, term: Term, start: str) -> Iterator[str]:
    """Name the arrays and the number that a part of a line is multiplied by."""
    name = f"t{number}"
    for j, varies in enumerate(term.products):
        at = f"row_{name}_p{j}"
        value = f"{at} + {start} * SIZE" if varies else f"read_R({at}, 0)"
        yield f"p{number}_{j} = {value}"
    if term.has_factor:
        yield f"c{number} = read_R(real, {name}_c)"


def finished(number: int, term: Term, value: str, lanes: str = "") -> str:
    """A value times the arrays and the number in front."""
    for j, varies in enumerate(term.products):
        factor = f"p{number}_{j}"
        read = "line_R" if lanes else "read_R"
        value = f"({value} * {f'{read}({factor}, x)' if varies else factor})"
    return f"({value} * c{number})" if term.has_factor else value
