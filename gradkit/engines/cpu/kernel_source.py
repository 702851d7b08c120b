"""The text of a kernel: Python for Numba from a `Key`, and from nothing else.

A kernel computes a box of rows, and goes from line to line (along the last axis). Most lines are
plain: all terms of the sum are written out for them (`plain_source`). Neighbouring plain lines are
taken in a loop of their own, that has nothing else in it. All others, at faces, and the ends of
plain ones that are not written out, read tables (`table_source`).
"""

from __future__ import annotations

from collections.abc import Iterator

from gradkit.engines.cpu.element_source import divisor, indented
from gradkit.engines.cpu.joint_source import TOGETHER, joint_lines
from gradkit.engines.cpu.key import Key
from gradkit.engines.cpu.plain_source import plain_line
from gradkit.engines.cpu.preamble import LINE
from gradkit.engines.cpu.sum_source import across, fewest, places
from gradkit.engines.cpu.table_source import ROOM, other_line

__all__ = ["arrays", "slots", "source"]


def slots(key: Key) -> list[str]:
    """The names of the integers that a kernel is called with, in order."""
    found = ["real", "runs", "pairs"]

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
        words = ("start", "stop", "runs", "middle")
        found.extend(f"{name}_{word}" for word in words)
        found.extend([f"{name}_ends"] if term.axis == key.ndim - 1 else [])
        found.extend([f"{name}_ahead"] if key.is_past and term.leads else [])
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
    yield f"    spare = scratch + {ROOM}"
    for j in range(key.divisors):
        yield from indented(divisor(key, f"over{j}", f"d{j}"))
    if key.is_past:
        yield f"    held = spare + {ROOM + LINE}"
        yield "    line, front, filled = int64(0), int64(0), int64(0)"
    yield from indented(_line(key))
    for axis in range(key.ndim - 2):
        line = f"for i{axis} in range(entry(box, {2 * axis}), entry(box, {2 * axis + 1})):"
        yield from indented([line], 1 + axis)
    yield from indented(_lines(key), max(key.ndim - 1, 1))
    if key.is_past:
        yield "    release(line, front, filled, held)"
        yield "    finish_writing()"


def _line(key: Key) -> Iterator[str]:
    """The part of a line in the box: from x0 to stop, and where all of it is written out."""
    last = key.ndim - 1
    yield f"x0, stop = entry(box, {2 * last}), entry(box, {2 * last + 1})"
    yield "begin, end = x0, stop"
    for number, term in enumerate(key.terms):
        if term.axis == last:
            yield f"begin, end = max(begin, t{number}_start), min(end, t{number}_stop)"
    yield "count = end - begin"
    # Ends that are written out are those from first to begin, and from end to beyond.
    yield "first, beyond = begin, end"
    if places(key, True):
        yield "first = x0 if x0 == 0 else begin"
    if places(key, False):
        yield "beyond = stop if stop == size else end"
    yield "has_sides = x0 < first or beyond < stop"


def _lines(key: Key) -> Iterator[str]:
    """Lines along the axis before the last one: those before plain ones, plain ones, and others."""
    axis = key.ndim - 2
    crossing = [(number, key.terms[number].axis) for number in across(key)]
    tests = [f"t{n}_start <= i{a} < t{n}_stop" for n, a in crossing if a < axis]
    yield f"can_be_plain = {' and '.join([f'count >= {fewest(key)}', *tests])}"
    bounds = f"entry(box, {2 * axis}), entry(box, {2 * axis + 1})" if key.ndim > 1 else "0, 1"
    yield f"row, last = {bounds}"
    yield "lower, upper = row, last"
    for number, crossed in crossing:
        if crossed == axis:
            yield f"lower, upper = max(lower, t{number}_start), min(upper, t{number}_stop)"
    yield "while row < last:"
    yield "    is_plain = can_be_plain and lower <= row < upper"
    yield "    until = upper if is_plain else last"
    yield "    if can_be_plain and row < lower:"
    yield "        until = min(lower, last)"
    yield "    if is_plain:"
    if key.together:
        # They must begin at the same place in a line of the cache.
        yield "        rest = until - row"
        yield f"        if o_{axis} & (LINE - 1) == 0:"
        yield f"            rest %= {TOGETHER}"
        yield f"        for i{axis} in range(row, until - rest, {TOGETHER}):"
        yield from indented(joint_lines(key), 3)
    rest = "until - rest" if key.together else "row"
    yield f"        for i{max(axis, 0)} in range({rest}, until):"
    yield from indented(plain_line(key), 3)
    yield "    if has_sides or not is_plain:"
    yield f"        for i{max(axis, 0)} in range(row, until):"
    yield from indented(other_line(key), 3)
    yield "    row = until"
