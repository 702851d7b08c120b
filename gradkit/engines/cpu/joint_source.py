"""The text of plain lines that are taken together: each line of points is read once for all.

Results are written past the caches, as lines of the cache. Those of all lines that are taken
together begin at the same place in one: what is before the first whole one, and after the last, is
written by elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gradkit.engines.cpu.element_source import indented
from gradkit.engines.cpu.key import Key, Term
from gradkit.engines.cpu.plain_source import PLAIN
from gradkit.engines.cpu.sum_source import begins, divided_sum
from gradkit.engines.cpu.term_source import finished, named, value_of

__all__ = ["TOGETHER", "joint_lines", "shared_offsets"]

#: How many lines are taken together, and how many lines of points may then be in registers.
TOGETHER = 4
_MOST_ROWS = 24


def shared_offsets(terms: Sequence[Term], last: int, offsets: tuple[int, ...]) -> tuple[int, ...]:
    """The offsets of all points, if lines are to be taken together, else none.

    They are if one term takes differences across neighbouring lines, and these share at least every
    other point.
    """
    if len(terms) != 1 or terms[0].axis != last - 1 or terms[0].products:
        return ()
    rows = len(_rows(offsets))
    return offsets if rows <= min(_MOST_ROWS, TOGETHER * len(offsets) // 2) else ()


def _rows(offsets: Sequence[int]) -> list[int]:
    """The lines of points of all lines, counted from the first of these."""
    return sorted({offset + k for offset in offsets for k in range(TOGETHER)})


def joint_lines(key: Key) -> Iterator[str]:
    """As many lines as are taken together, from the first of them on."""
    term, axis = key.terms[0], key.ndim - 2
    rows = _rows(key.together)
    yield from begins(key)
    yield from named(key, 0, term, PLAIN)
    yield from (f"r{i} = field + {row} * t0_f_{axis}" for i, row in enumerate(rows))
    yield from (f"out{k} = row_o + begin * SIZE + {k} * o_{axis}" for k in range(TOGETHER))
    yield f"ahead = field + {rows[-1] + 1} * t0_f_{axis}"
    for p, pair in enumerate(term.pairs):
        if pair.weight == "column":
            place = f"t0_w{p} + i{axis} - t0_start"
            yield from (f"u{k}_{p} = read_R(real, {place} + {k})" for k in range(TOGETHER))
    yield "head = (-out0 & (LINE - 1)) // SIZE"
    yield "whole = (count - head) // LANES"
    yield "for n in range(-1, whole + 1):"
    yield "    x = 0 if n < 0 else min(head + n * LANES, count - LANES)"
    for k in range(TOGETHER):
        for p, pair in enumerate(term.pairs):
            if pair.weight == "column":
                yield f"    w0_{p} = u{k}_{p}"
        points = [f"r{rows.index(offset + k)}" for offset in key.together]
        yield from indented(value_of(key, 0, term, "lanes_", points))
        yield f"    value{k} = {divided_sum(key, finished(0, term, 'v0', 'lanes_'))}"
        item = np.dtype(term.dtype).itemsize
        yield f"    fetch(ahead + {k} * t0_f_{axis} + x * {item})"
    yield "    if 0 <= n < whole:"
    yield from (f"        write_line(out{k} + x * SIZE, 0, value{k})" for k in range(TOGETHER))
    yield "    else:"
    yield "        y0, y1 = (0, head) if n < 0 else (head + whole * LANES, count)"
    for k in range(TOGETHER):
        yield f"        keep(spare, 0, value{k})"
        yield "        for y in range(y0, y1):"
        yield f"            write(out{k}, y, again(spare, y - x))"
