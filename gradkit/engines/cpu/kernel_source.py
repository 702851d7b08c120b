"""The text of a kernel: Python for Numba from a `Key`, and from nothing else.

A kernel computes a box of rows. It goes from line to line (along the last axis), and takes each in
chunks. Where all terms of a sum are written out, results come as lanes and are written past the
caches, in whole lines of the cache: what is short of one is held back for the next line of the
box. Near the ends of a line differences are written out element by element. On lines at a face,
where differences across lines are not those of most rows, these come from tables, by way of a
buffer for each term, and the rest is written out. All other rows are read from tables, term by
term.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradkit.engines.cpu.element_source import ENTRIES_OF_RUN, divided, divisor, indented
from gradkit.engines.cpu.key import MOST_DIFFERENCES, Key, Term
from gradkit.engines.cpu.preamble import LINE
from gradkit.engines.cpu.term_source import added, end_of, finished, named, settled, value_of

__all__ = ["CHUNK", "SCRATCH", "arrays", "slots", "source"]

#: Bytes of a chunk, a multiple of a line of a cache.
CHUNK = 2**13
_ROOM = CHUNK + LINE
#: Terms across lines, at most, that have a buffer on lines at a face, and where buffers begin.
_MOST_BUFFERS = 4
_BUFFERS = 2 * _ROOM + 4 * LINE + 8 * MOST_DIFFERENCES
#: Bytes that a call of a kernel needs to work in, from the beginning of a line on.
SCRATCH = _BUFFERS + _MOST_BUFFERS * _ROOM


def slots(key: Key) -> list[str]:
    """The names of the integers that a kernel is called with, in order."""
    found = ["real", "runs", "pairs", "is_past"]

    def add(name: str) -> None:
        found.append(name)
        found.extend(f"{name}_{axis}" for axis in range(key.ndim))

    add("o")
    found.append("size")
    for number, term in enumerate(key.terms):
        name = f"t{number}"
        add(f"{name}_f")
        for j in range(len(term.products)):
            add(f"{name}_p{j}")
        for j in range(term.known):
            add(f"{name}_k{j}")
        words = ("start", "stop", "runs", "middle", "ends")
        found.extend(f"{name}_{word}" for word in words)
        found.extend([f"{name}_ahead"] if term.leads else [])
        for p, pair in enumerate(term.pairs):
            found.extend([f"{name}_w{p}"] if pair.weight else [])
        found.extend(f"{name}_d{j}" for j in range(term.divisors))
        found.extend([f"{name}_c"] if term.has_factor else [])
        found.extend([f"{name}_size", f"{name}_numbers"] if term.ends else [])
    found.extend(f"d{j}" for j in range(key.divisors))
    found.extend(f"q{i}" for i in range(len(key.points)))
    return found


def arrays(key: Key) -> list[str]:
    """The slots whose integers are counted from the beginning of an array of each call, in order.

    It is the result, and per term the input that it takes differences of.
    """
    return ["o", *(f"t{number}_f" for number in range(len(key.terms)))]


def source(key: Key) -> str:
    """The text of the function ``kernel`` of a key, which comes after that of `common`."""
    return "\n".join(_kernel(key)) + "\n"


def _kernel(key: Key) -> Iterator[str]:
    """The function of addresses.

    They are those of a box of rows, as first and last one per axis, of the integers of `slots`, of
    memory to work in, and of the `arrays`.
    """
    begins = [f"at_{name}" for name in arrays(key)]
    given = ["box", "given", "scratch", *begins]
    yield f"@njit([void({', '.join(['int64'] * len(given))})], **HOW)"
    yield f"def kernel({', '.join(given)}):"
    yield from indented(f"{name} = entry(given, {i})" for i, name in enumerate(slots(key)))
    yield from indented(f"{name} += at_{name}" for name in arrays(key))
    yield f"    spare = scratch + {_ROOM}"
    for j in range(key.divisors):
        yield from indented(divisor(key, f"over{j}", f"d{j}"))
    if _has_lanes(key):
        yield f"    held = spare + {_ROOM + LINE}"
        yield "    line, front, filled = int64(0), int64(0), int64(0)"
    if _has_buffers(key):
        buffers = range(len(_across(key)))
        yield from (f"    buffer{j} = scratch + {_BUFFERS + j * _ROOM}" for j in buffers)
    for axis in range(key.ndim - 1):
        line = f"for i{axis} in range(entry(box, {2 * axis}), entry(box, {2 * axis + 1})):"
        yield from indented([line], 1 + axis)
    yield from indented(_along_line(key), key.ndim)
    if _has_lanes(key):
        yield "    release(line, front, filled, held)"
        yield "    if is_past:"
        yield "        finish_writing()"


def _has_lanes(key: Key) -> bool:
    """Whether the rows that are written out are taken as lines of a cache, and written past it."""
    return key.is_direct and all(term.is_unit and term.pairs for term in key.terms)


def _across(key: Key) -> list[int]:
    """The terms that take differences across lines."""
    return [number for number, term in enumerate(key.terms) if term.axis != key.ndim - 1]


def _has_buffers(key: Key) -> bool:
    """Whether lines at a face are written out but for the differences across them."""
    return 0 < len(_across(key)) < len(key.terms) and len(_across(key)) <= _MOST_BUFFERS


def _row(key: Key, name: str) -> str:
    """Where a line of an array begins."""
    terms = [name, *(f"i{axis} * {name}_{axis}" for axis in range(key.ndim - 1))]
    return " + ".join(terms)


def _along_line(key: Key) -> Iterator[str]:
    last = key.ndim - 1
    yield f"row_o = {_row(key, 'o')}"
    for number, term in enumerate(key.terms):
        for word in _operands(term):
            is_shared = word == "f" and term.field < number
            row = f"row_t{term.field}_f" if is_shared else _row(key, f"t{number}_{word}")
            yield f"row_t{number}_{word} = {row}"
    yield "is_face = False"
    for number in _across(key):
        name, row = f"t{number}", f"i{key.terms[number].axis}"
        yield f"run{number} = runs + {name}_middle * {ENTRIES_OF_RUN * 8}"
        yield f"if {row} < {name}_start or {row} >= {name}_stop:"
        yield f"    is_face, run{number} = True, run_with({row}, runs, {name}_runs)"
    yield f"x0, stop = entry(box, {2 * last}), entry(box, {2 * last + 1})"
    yield "while x0 < stop:"
    # Chunks end where lines of the cache end in the result.
    yield "    x1 = stop"
    yield f"    if x1 - x0 > {CHUNK} // SIZE:"
    yield f"        past = ((row_o + x0 * o_{last}) & (LINE - 1)) // SIZE"
    yield f"        x1 = x0 + {CHUNK} // SIZE - past"
    yield f"    total = {'row_o + x0 * SIZE' if key.is_direct else 'scratch'}"
    yield from indented(_sum(key))
    if not key.is_direct:
        yield "    for x in range(x1 - x0):"
        yield f"        write_result(row_o + (x0 + x) * o_{last}, 0, again(total, x))"
    yield "    x0 = x1"


def _operands(term: Term) -> Iterator[str]:
    yield "f"
    yield from (f"p{j}" for j in range(len(term.products)))
    yield from (f"k{j}" for j in range(term.known))


def _sum(key: Key) -> Iterator[str]:
    """Add up all terms in a chunk: where all are written out, then to both sides of it."""
    terms = list(enumerate(key.terms))
    yield "begin, end = x0, x1"
    for number, term in terms:
        start, stop = f"t{number}_start", f"t{number}_stop"
        if term.axis == key.ndim - 1:
            yield f"begin, end = max(begin, {start}), min(end, {stop})"
    if not _has_buffers(key):
        yield "end = x0 if is_face else end"
    # What is left for the tables is from left to begin, and from end to right.
    yield "left, right = x0, x1"
    yield "is_written = begin < end"
    yield "if is_written:"
    if _has_buffers(key):
        yield "    if is_face:"
        yield from indented(_filled(key), 2)
    yield from indented(_middle(key))
    yield "else:"
    yield "    begin = end = x0"
    yield "if left < begin or end < right:"
    yield "    for side in range(2):"
    yield "        y0, y1 = (end, right) if side else (left, begin)"
    yield "        if y0 >= y1:"
    yield "            continue"
    for number, term in terms:
        yield from indented(_ends(key, number, term), 2)
    if key.divisors:
        yield "        out = total + (y0 - x0) * SIZE"
        yield "        for x in range(y1 - y0):"
        yield f"            write(out, x, {_divided(key, 'again(out, x)')})"


def _written_ends(key: Key, is_left: bool) -> Iterator[str]:
    """The places near an end of a line, one by one, where the chunk has that end."""
    places = [(e, place) for e, place in enumerate(key.ends) if (place >= 0) == is_left]
    if not places:
        return
    yield "if left == 0:" if is_left else "if right == size:"
    yield "    left = begin" if is_left else "    right = end"
    yield f"    row = {'total' if is_left else 'out + count * SIZE'}"
    if _has_lanes(key):
        yield "    row = held + filled * SIZE if is_lined else row"
    for i, (e, place) in enumerate(places):
        yield f"    x = {place if is_left else f'size - {-place}'} - begin"
        for number, term in enumerate(key.terms):
            if term.ends:
                yield from indented(end_of(key, number, term, e))
            elif _has_buffers(key):
                yield "    if is_face:"
                yield f"        v{number} = again(b{number}, x)"
                yield "    else:"
                yield from indented(value_of(key, number, term, ""), 2)
            else:
                yield from indented(value_of(key, number, term, ""))
        values = (finished(n, term, f"v{n}") for n, term in enumerate(key.terms))
        yield f"    write(row, {i}, {_divided(key, ' + '.join(values))})"
    if _has_lanes(key):
        yield "    if is_lined:"
        count = f"filled + {len(places)}"
        yield f"        line, front, filled = flushed(line, front, {count}, held)"


def _filled(key: Key) -> Iterator[str]:
    """Differences across a chunk of a line, from the tables, into the buffer of each term."""
    for j, number in enumerate(_across(key)):
        term = key.terms[number]
        yield from settled(key, number, term, f"run{number}", f"buffer{j}", ("x0", "x1"))


def _ends(key: Key, number: int, term: Term) -> Iterator[str]:
    """Add a term where not all are written out, from the tables."""
    name, is_first = f"t{number}", number == 0
    total = "spare" if term.products or term.has_factor or not is_first else "out"
    if term.axis != key.ndim - 1:
        yield "out = total + (y0 - x0) * SIZE"
        yield from settled(key, number, term, f"run{number}", total, ("y0", "y1"))
        yield from added(number, term, ("y0", "y1"))
        return
    # Rows before the middle, or after it, or any.
    yield f"r0, r1 = {name}_runs, {name}_ends"
    yield "if is_written:"
    yield f"    r0, r1 = ({name}_middle, r1) if side else (r0, {name}_middle + 1)"
    yield "for r in range(r0, r1):"
    yield f"    run = runs + r * {ENTRIES_OF_RUN * 8}"
    yield "    z0, z1 = max(y0, entry(run, 0)), min(y1, entry(run, 1))"
    yield "    if z0 >= z1:"
    yield "        continue"
    yield "    out = total + (z0 - x0) * SIZE"
    yield from indented(settled(key, number, term, "run", total, ("z0", "z1")))
    yield from indented(added(number, term, ("z0", "z1")))


def _divided(key: Key, total: str) -> str:
    """A sum of all terms over what they share."""
    for j in range(key.divisors):
        total = divided(key, total, f"over{j}")
    return total


def _middle(key: Key) -> Iterator[str]:
    """The part of a line where all terms are written out, and the ends of the line with it."""
    for number, term in enumerate(key.terms):
        yield from named(key, number, term)
    if _has_buffers(key):
        for j, number in enumerate(_across(key)):
            yield f"b{number} = buffer{j} + (begin - x0) * SIZE"
    yield "out, count = total + (begin - x0) * SIZE, end - begin"
    if _has_lanes(key):
        ends = sum(place >= 0 for place in key.ends)
        before = f" - ({ends} * SIZE if left == 0 else 0)" if ends else ""
        yield "is_lined = is_past > 0 and count >= LANES and not is_face"
        yield "if is_lined:"
        yield f"    line, front, filled = begun(out{before}, line, front, filled, held)"
    yield from _written_ends(key, True)
    if _has_buffers(key):
        yield "if is_face:"
        yield from indented(_lanes(key, True))
        yield "else:"
        yield from indented(_lines(key) if _has_lanes(key) else ())
        yield from indented(_lanes(key))
    else:
        yield from _lines(key) if _has_lanes(key) else ()
        yield from _lanes(key)
    yield from _written_ends(key, False)


def _lines(key: Key) -> Iterator[str]:
    """Lines of the cache, each written at once; what is short of one is held back.

    What is left before the first and after the last of them is taken with neighbours that are
    written already.
    """
    # A line waits until the values for the next one are read: processors take a read for one of
    # what was just written where the addresses agree but for pages, as they do in large arrays.
    yield "x, past = int64(0), int64(0) if is_lined else count"
    yield "before, waits = nothing(), int64(0)"
    yield "while past < count:"
    yield from indented(_result(key, "lanes_"))
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


def _lanes(key: Key, is_face: bool = False) -> Iterator[str]:
    """Lanes that are left in the caches, each written where it belongs; the last ones overlap.

    Short lines, and those that are not taken as lanes, are written element by element.
    """
    if _has_lanes(key):
        yield "for n in range(0 if is_lined or count < LANES else -(-count // LANES)):"
        yield "    x = min(n * LANES, count - LANES)"
        yield from indented(_result(key, "lanes_", is_face))
        yield "    keep(out + x * SIZE, 0, value)"
        yield "for x in range(0 if is_lined or count >= LANES else count):"
    else:
        yield "for x in range(count):"
    yield from indented(_result(key, "", is_face))
    yield "    write(out, x, value)"


def _result(key: Key, lanes: str, is_face: bool = False) -> Iterator[str]:
    """The sum of all terms at x, or from x on."""
    terms, across = list(enumerate(key.terms)), _across(key)
    for number, term in terms:
        if is_face and number in across:
            yield f"v{number} = {'line_again' if lanes else 'again'}(b{number}, x)"
            continue
        yield from value_of(key, number, term, lanes)
        if lanes and term.leads and not is_face:
            # Ask for what the next line across needs: it is far away in memory.
            yield f"fetch(ahead{number} + x * {np.dtype(term.dtype).itemsize})"
    values = (finished(number, term, f"v{number}", lanes) for number, term in terms)
    yield f"value = {_divided(key, ' + '.join(values))}"
