"""The text of any other line, in chunks, and of the ends of a plain one that are not written out.

On a line at a face, where differences across lines are not those of most rows, these come from
tables, and the rest is written out. Near ends that are not, all is from tables, term by term.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradkit.engines.cpu.element_source import ENTRIES_OF_RUN, indented
from gradkit.engines.cpu.key import MOST_DIFFERENCES, Key, Term
from gradkit.engines.cpu.preamble import LINE
from gradkit.engines.cpu.sum_source import (
    CHUNK,
    across,
    at_end,
    begins,
    divided_sum,
    elements,
    ends,
    fewest,
    lanes,
    places,
    written,
)
from gradkit.engines.cpu.term_source import Part, added, named, settled

__all__ = ["ROOM", "SCRATCH", "other_line"]

#: Bytes of a piece of memory to work in, and of all that a call of a kernel needs, from the
#: beginning of a line on.
ROOM = CHUNK + LINE
SCRATCH = 2 * ROOM + 4 * LINE + 8 * MOST_DIFFERENCES

_FACE = Part("z0", "z1 - z0", ("y0", "y1"), is_face=True)


def other_line(key: Key) -> Iterator[str]:
    """A line that is not plain, or the ends of one that is."""
    yield from begins(key)
    for number in across(key):
        name, row = f"t{number}", f"i{key.terms[number].axis}"
        yield f"is_middle{number} = {name}_start <= {row} < {name}_stop"
        first = f"{name}_middle if is_middle{number} else {name}_runs"
        yield f"run{number} = run_with({row}, runs, {first})"
    yield f"for y0 in range(x0, stop, {CHUNK} // SIZE):"
    yield f"    y1 = min(y0 + {CHUNK} // SIZE, stop)"
    yield from indented(_chunk(key))


def _chunk(key: Key) -> Iterator[str]:
    """The part of a line from y0 to y1: its middle, then what is to both sides of it."""
    yield f"total = {'row_o + y0 * SIZE' if key.is_direct else 'scratch'}"
    yield "z0, z1 = max(y0, begin), min(y1, end)"
    # What is left for the tables is from left to z0, and from z1 to right.
    yield "left, right = y0, y1"
    yield f"is_written = z1 - z0 >= (1 if is_plain else {fewest(key)})"
    yield "if not is_written:"
    yield "    z0 = z1 = y0"
    if places(key, True):
        yield "left = z0 if is_written and y0 == 0 else y0"
    if places(key, False):
        yield "right = z1 if is_written and y1 == size else y1"
    yield "if is_written and not is_plain:"
    yield from indented(_at_face(key))
    yield "for side in range(2):"
    yield "    s0, s1 = (z1, right) if side else (left, z0)"
    yield "    if s0 >= s1:"
    yield "        continue"
    for number, term in enumerate(key.terms):
        yield from indented(_side(key, number, term))
    if key.divisors or not key.is_direct:
        yield "    part = total + (s0 - y0) * SIZE"
    if key.divisors:
        yield "    for x in range(s1 - s0):"
        yield f"        write(part, x, {divided_sum(key, 'again(part, x)')})"
    if not key.is_direct:
        yield f"    out = row_o + s0 * o_{key.ndim - 1}"
        yield "    for x in range(s1 - s0):"
        yield f"        {written(key, 'x', 'again(part, x)')}"


def _at_face(key: Key) -> Iterator[str]:
    """The middle of a chunk, with differences across lines from the tables."""
    for number, term in enumerate(key.terms):
        yield from named(key, number, term, _FACE)
    yield f"out = row_o + z0 * o_{key.ndim - 1}"
    yield from at_end(key, _FACE, True, ends(key, _FACE, True))
    yield from (lanes if key.lanes else elements)(key, _FACE)
    yield from at_end(key, _FACE, False, ends(key, _FACE, False))


def _side(key: Key, number: int, term: Term) -> Iterator[str]:
    """Add a term from s0 to s1, from the tables."""
    name, is_first = f"t{number}", number == 0
    total = "spare" if term.products or term.has_factor or not is_first else "out"
    if term.axis != key.ndim - 1:
        yield "out = total + (s0 - y0) * SIZE"
        yield from settled(key, number, term, f"run{number}", total, ("s0", "s1"))
        yield from added(number, term, ("s0", "s1"))
        return
    # Rows before the middle, or after it, or any.
    yield f"r0, r1 = {name}_runs, {name}_ends"
    yield "if is_written:"
    yield f"    r0, r1 = ({name}_middle, r1) if side else (r0, {name}_middle + 1)"
    yield "for r in range(r0, r1):"
    yield f"    run = runs + r * {ENTRIES_OF_RUN * 8}"
    yield "    a0, a1 = max(s0, entry(run, 0)), min(s1, entry(run, 1))"
    yield "    if a0 >= a1:"
    yield "        continue"
    yield "    out = total + (a0 - y0) * SIZE"
    yield from indented(settled(key, number, term, "run", total, ("a0", "a1")))
    yield from indented(added(number, term, ("a0", "a1")))
