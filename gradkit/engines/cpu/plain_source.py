"""The text of a plain line: all terms are written out, and its ends, where that is not too long.

Results come as lanes. Large ones are written past the caches, in whole lines of the cache: what is
short of one is held back for the next line of the box.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradkit.engines.cpu.element_source import indented
from gradkit.engines.cpu.key import Key
from gradkit.engines.cpu.sum_source import at_end, begins, elements, ends, lanes, places, value
from gradkit.engines.cpu.term_source import Part, named

__all__ = ["PLAIN", "plain_line"]

#: What of a plain line is written out.
PLAIN = Part("begin", "count", ("x0", "stop"), is_face=False)


def plain_line(key: Key) -> Iterator[str]:
    """Results from `begin` on, `count` of them, and the ends of the line with them."""
    yield from begins(key)
    for number, term in enumerate(key.terms):
        yield from named(key, number, term, PLAIN)
    yield f"out = row_o + begin * o_{key.ndim - 1}"
    if key.is_past:
        yield "line, front, filled = begun(row_o + first * SIZE, line, front, filled, held)"
    yield from at_end(key, PLAIN, True, _end(key, True))
    if key.is_past:
        yield from _lines(key)
    else:
        yield from (lanes if key.lanes else elements)(key, PLAIN)
    yield from at_end(key, PLAIN, False, _end(key, False))


def _end(key: Key, is_left: bool) -> Iterator[str]:
    if not key.is_past:
        yield from ends(key, PLAIN, is_left)
        return
    yield "room = held + filled * SIZE"
    yield from ends(key, PLAIN, is_left, "room")
    count = len(places(key, is_left))
    yield f"line, front, filled = flushed(line, front, filled + {count}, held)"


def _lines(key: Key) -> Iterator[str]:
    """Lines of the cache, each written at once; what is short of one is held back.

    What is left before the first and after the last of them is taken with neighbours that are
    written already.
    """
    # A line waits until the values for the next one are read: processors take a read for one of
    # what was just written where the addresses agree but for pages, as they do in large arrays.
    yield "x, past = int64(0), int64(0)"
    yield "before, waits = nothing(), int64(0)"
    yield "while past < count:"
    yield from indented(value(key, PLAIN, "lanes_"))
    yield "    if x == past and not filled:"
    yield "        if waits:"
    yield "            write_line(line - LINE, 0, before)"
    yield "        before, waits = value, int64(1)"
    yield "        line, past = line + LINE, past + LANES"
    yield "    else:"
    yield "        if waits:"
    yield "            write_line(line - LINE, 0, before)"
    yield "            waits = int64(0)"
    yield "        keep(held + (filled + x - past) * SIZE, 0, value)"
    yield "        taken = min(LANES - filled, count - past)"
    yield "        line, front, filled = flushed(line, front, filled + taken, held)"
    yield "        past += taken"
    yield "    x = min(past, count - LANES)"
    yield "if waits:"
    yield "    write_line(line - LINE, 0, before)"
