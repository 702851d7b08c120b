"""The text before that of a kernel: what all share, and functions that read elements of its inputs.

Elements are read one by one, or as lanes: as many as a line of the cache has results. Rows that
are not written out in a kernel are settled from tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradkit.engines.cpu.key import Key, Term
from gradkit.engines.cpu.preamble import LINE, PREAMBLE

__all__ = [
    "ENTRIES_OF_PAIR",
    "ENTRIES_OF_RUN",
    "common",
    "divided",
    "division",
    "divisor",
    "indented",
    "kind_of",
]

#: Integers per run of rows and per difference in the tables.
ENTRIES_OF_RUN = 8
ENTRIES_OF_PAIR = 6

_SIZES = {"float32": 4, "float64": 8}


def common(key: Key) -> str:
    """The text before that of a kernel: functions that many kernels share, compiled once."""
    head = PREAMBLE.replace("{real}", key.real).replace("{size}", str(_SIZES[key.real]))
    head = head.replace("{run}", str(8 * ENTRIES_OF_RUN))
    head = head.replace("{lanes}", str(key.lanes or LINE // _SIZES[key.real]))
    return "\n".join([head, *_readers(key)])


def kind_of(term: Term) -> str:
    """The name of how elements of a term are read."""
    kind = f"{term.dtype}_{term.split}" if term.split else term.dtype
    return kind if term.is_unit else f"{kind}_strided"


def indented(lines: Any, depth: int = 1) -> Iterator[str]:
    """The same lines further to the right."""
    yield from ("    " * depth + line if line else "" for line in lines)


def _readers(key: Key) -> Iterator[str]:
    """Functions per kind of input: reading, the number it is, a difference, rows from tables."""
    kinds = {kind_of(term): term for term in key.terms}
    for kind, term in sorted(kinds.items()):
        given = "read_half" if term.dtype == "float16" else f"reader({term.dtype})"
        yield ""
        yield f"read_{kind} = {given}"
        yield from _value(kind, term)
        if term.is_unit:
            yield from _lanes(kind, term)
        yield from _tables(kind, term, key)
    if key.result == "float16":
        yield "write_result = write_half"
    else:
        yield f"write_result = writer({key.result})"
    yield ""


def _value(kind: str, term: Term) -> Iterator[str]:
    compiled = "@inner"
    if not term.split:
        yield from (f"{compiled}", f"def value_{kind}(a):", "    return R(a)")
        yield from (f"{compiled}", f"def minus_{kind}(a, b):", "    return R(a) - R(b)")
        return
    # The high and low bits of integers are numbers of their own, so that differences are exact.
    whole = "uint64" if term.dtype.startswith("u") else "int64"
    shift, mask = f"{whole}({term.split})", f"{whole}({(1 << term.split) - 1})"
    high, low = f"R({whole}({{0}}) >> {shift})", f"R({whole}({{0}}) & {mask})"
    factor = f"R({2.0**term.split})"
    yield from (f"{compiled}", f"def value_{kind}(a):")
    yield f"    return {high.format('a')} * {factor} + {low.format('a')}"
    yield from (f"{compiled}", f"def minus_{kind}(a, b):")
    yield f"    high = {high.format('a')} - {high.format('b')}"
    yield f"    return high * {factor} + ({low.format('a')} - {low.format('b')})"
    yield from (f"{compiled}", f"def turned_{kind}(a, turns_a, b, turns_b):")
    yield "    s, t = R(-1) if turns_a else R(1), R(-1) if turns_b else R(1)"
    yield f"    high = s * {high.format('a')} - t * {high.format('b')}"
    yield f"    return high * {factor} + (s * {low.format('a')} - t * {low.format('b')})"


def _lanes(kind: str, term: Term) -> Iterator[str]:
    """The same for as many elements at once as a line of a cache has results."""
    dtype = "types.float16" if term.dtype == "float16" else term.dtype
    if not term.split:
        yield f"lanes_{kind} = line_reader({dtype}, number_of({dtype}))"
        yield from ("@inner", f"def value_lanes_{kind}(a, x):", f"    return lanes_{kind}(a, x)")
        yield from ("@inner", f"def minus_lanes_{kind}(a, b, x):")
        yield f"    return lanes_{kind}(a, x) - lanes_{kind}(b, x)"
        return
    for word in ("high", "low"):
        convert = f"bits_of({dtype}, {term.split}, {word == 'high'})"
        yield f"{word}_{kind} = line_reader({dtype}, {convert})"
    factor = f"R({2.0**term.split})"
    yield from ("@inner", f"def value_lanes_{kind}(a, x):")
    yield f"    return high_{kind}(a, x) * {factor} + low_{kind}(a, x)"
    yield from ("@inner", f"def minus_lanes_{kind}(a, b, x):")
    yield f"    high = high_{kind}(a, x) - high_{kind}(b, x)"
    yield f"    return high * {factor} + (low_{kind}(a, x) - low_{kind}(b, x))"


def _tables(kind: str, term: Term, key: Key) -> Iterator[str]:
    """Functions that compute rows from the tables: an element, lanes, and a part of a line."""
    yield "@inner"
    yield f"def settled_slowly_{kind}({_GIVEN}, x):"
    yield from indented(_settled_slowly(kind, term, key))
    yield "@inlined"
    yield f"def settled_{kind}({_GIVEN}, x):"
    yield "    if entry(run, 7) == 0:"
    yield f"        return settled_slowly_{kind}({_GIVEN}, x)"
    yield from indented(_settled(kind, "", key))
    if term.is_unit:
        yield "@inlined"
        yield f"def settled_line_{kind}({_GIVEN}, x):"
        yield from indented(_settled(kind, "lanes", key))
        yield "@inner"
        yield f"def spread_{kind}({_GIVEN}, x, spare):"
        yield "    for k in range(LANES):"
        yield f"        write(spare, k, settled_slowly_{kind}({_GIVEN}, x + k))"
        yield "@inlined"
        yield f"def settled_lanes_{kind}({_GIVEN}, x, spare):"
        yield "    if entry(run, 7) > column_step:"
        yield f"        return settled_line_{kind}({_GIVEN}, x)"
        yield f"    spread_{kind}({_GIVEN}, x, spare)"
        yield "    return line_again(spare, 0)"
    yield "@inner"
    yield f"def settle_{kind}(total, {_GIVEN}, count):"
    if term.is_unit:
        # Along a line weights must not differ from row to row.
        yield "    if entry(run, 7) > column_step and count >= LANES:"
        yield "        for n in range(-(-count // LANES)):"
        yield "            x = min(n * LANES, count - LANES)"
        yield f"            keep(total + x * SIZE, 0, settled_line_{kind}({_GIVEN}, x))"
        yield "        return"
    yield "    for x in range(count):"
    yield f"        write(total, x, settled_{kind}({_GIVEN}, x))"


#: What all of them are given: a run, the tables, and where values and weights lie.
_GIVEN = (
    "run, pairs, real, field, step, along, "
    "known, known_along, other, other_along, column, column_step"
)


def _settled(kind: str, lanes: str, key: Key) -> Iterator[str]:
    """Rows whose points are values of the input, as they are; along lanes weights are the same."""
    where = "field" if lanes else "field + x * along"
    difference = f"minus_{kind}(read_{kind}(high, 0), read_{kind}(low, 0))"
    if lanes:
        difference = f"minus_lanes_{kind}(high, low, x)"
    yield f"place, v = {where}, {'nothing()' if lanes else 'R(0)'}"
    yield "for p in range(entry(run, 2), entry(run, 3)):"
    yield f"    pair = pairs + p * {ENTRIES_OF_PAIR * 8}"
    yield "    high, low = place + entry(pair, 1) * step, place + entry(pair, 3) * step"
    yield "    w = entry(pair, 4) + entry(pair, 5) * (column + x * column_step)"
    yield f"    d = {difference} * read_R(real, w)"
    yield "    v = d if p == entry(run, 2) else v + d"
    yield "for j in range(entry(run, 4), entry(run, 5)):"
    yield f"    v = v {division(key)} read_R(real, j)"
    yield "return v"


def _settled_slowly(kind: str, term: Term, key: Key) -> Iterator[str]:
    """Rows with points that are negative, or known, or nothing."""
    yield "v, place = R(0), field + x * along"
    yield "for p in range(entry(run, 2), entry(run, 3)):"
    yield f"    pair = pairs + p * {ENTRIES_OF_PAIR * 8}"
    yield "    high, low = entry(pair, 0), entry(pair, 2)"
    yield "    upper, lower = place + entry(pair, 1) * step, place + entry(pair, 3) * step"
    yield "    if high == 0 and low == 0:"
    yield f"        d = minus_{kind}(read_{kind}(upper, 0), read_{kind}(lower, 0))"
    if term.split:
        yield "    elif high < 2 and low < 2:"
        yield f"        d = turned_{kind}(read_{kind}(upper, 0), high,"
        yield f"            read_{kind}(lower, 0), low)"
    yield "    else:"
    yield "        d = R(0)"
    yield "        for side in range(2):"
    yield "            code, number = entry(pair, 2 * side), entry(pair, 2 * side + 1)"
    yield "            if code < 2:"
    yield f"                u = value_{kind}(read_{kind}(place + number * step, 0))"
    yield "            elif code < 4:"
    yield "                u = read_R(known + x * known_along, 0)"
    yield "            elif code < 6:"
    yield "                u = read_R(other + x * other_along, 0)"
    yield "            else:"
    yield "                u = read_R(real, number)"
    yield "            u = -u if code & 1 else u"
    yield "            d = d - u if side else u"
    yield "    w = entry(pair, 4) + entry(pair, 5) * (column + x * column_step)"
    yield "    d = d * read_R(real, w)"
    yield "    v = d if p == entry(run, 2) else v + d"
    yield "for j in range(entry(run, 4), entry(run, 5)):"
    yield f"    v = v {division(key)} read_R(real, j)"
    yield "return v if entry(run, 6) else R(0) + v"


def division(key: Key) -> str:
    """NumPy divides complex numbers by way of a reciprocal."""
    return "*" if key.is_complex else "/"


def divisor(key: Key, name: str, place: str) -> Iterator[str]:
    """Name a divisor, or the two parts of its reciprocal."""
    yield f"{name} = read_R(real, {place})"
    if key.has_reciprocals:
        yield f"{name}_rest = read_R(real, {place} + 1)"


def divided(key: Key, value: str, name: str) -> str:
    """A value over a divisor that has a name."""
    if key.has_reciprocals:
        return f"quotient({value}, {name}, {name}_rest)"
    return f"({value}) {division(key)} {name}"
