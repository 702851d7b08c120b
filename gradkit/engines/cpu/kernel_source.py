"""The text of a kernel: Python for Numba from a `Key`, and from nothing else.

A kernel computes a box of rows. It goes from line to line (along the last axis) and takes each in
chunks that stay in the first cache: the terms of a sum are added up in a chunk one after the
other, then the chunk is written out, past the caches where results are large. Rows that are
written out are a loop that compilers vectorise; all others are read from tables by `settle`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradkit.engines.cpu.key import Key, Term
from gradkit.engines.cpu.preamble import LINE, PREAMBLE

__all__ = ["CHUNK", "common", "scratch_bytes", "slots", "source"]

#: Bytes of a chunk, a multiple of a line of a cache.
CHUNK = 2048

_SIZES = {"float32": 4, "float64": 8}


def scratch_bytes(key: Key) -> int:
    """Bytes that a call of the kernel needs to work in, from the beginning of a line on."""
    return (CHUNK + LINE) * (len(key.sums) + 1)


def slots(key: Key) -> list[str]:
    """The names of the integers that a kernel is called with, in order."""
    found: list[str] = []

    def add(name: str) -> None:
        found.append(name)
        found.extend(f"{name}_{axis}" for axis in range(key.ndim))

    for k in range(len(key.sums)):
        add(f"o{k}")
    for number, term in _numbered(key):
        name = f"t{number}"
        add(f"{name}_f")
        for j in range(len(term.products)):
            add(f"{name}_p{j}")
        for j in range(term.known):
            add(f"{name}_k{j}")
        found.extend(f"{name}_{word}" for word in ("start", "stop", "runs", "ends"))
        for p, pair in enumerate(term.pairs):
            sides = {"difference": "hl", "value": "h", "negative": "l"}[pair.form]
            found.extend(f"{name}_{side}{p}" for side in sides)
            found.extend([f"{name}_w{p}"] if pair.weight else [])
        found.extend(f"{name}_d{j}" for j in range(term.divisors))
        found.extend([f"{name}_c"] if term.has_factor else [])
    return found


def common(key: Key) -> str:
    """The text before that of a kernel: functions that many kernels share, compiled once."""
    head = PREAMBLE.replace("{real}", key.real).replace("{size}", str(_SIZES[key.real]))
    return "\n".join([head, *_readers(key)])


def source(key: Key) -> str:
    """The text of the function ``kernel`` of a key, which comes after that of `common`."""
    return "\n".join(_kernel(key)) + "\n"


def _numbered(key: Key) -> Iterator[tuple[int, Term]]:
    yield from enumerate(term for terms in key.sums for term in terms)


def _kind(term: Term) -> str:
    kind = f"{term.dtype}_{term.split}" if term.split else term.dtype
    return kind if term.is_unit else f"{kind}_strided"


def _indented(lines: Any, depth: int = 1) -> Iterator[str]:
    yield from ("    " * depth + line if line else "" for line in lines)


# --- how elements are read ------------------------------------------------------------------------


def _readers(key: Key) -> Iterator[str]:
    """Functions per kind of input: reading, the number it is, a difference, rows from tables."""
    kinds = {_kind(term): term for _, term in _numbered(key)}
    for kind, term in sorted(kinds.items()):
        given = "read_half" if term.dtype == "float16" else f"reader({term.dtype})"
        yield ""
        yield f"read_{kind} = {given}"
        yield from _value(kind, term)
        yield from _tables(kind, term, key)
    if key.result == "float16":
        yield "write_result = write_half"
    else:
        yield f"write_result = writer({key.result})"
    yield ""


def _value(kind: str, term: Term) -> Iterator[str]:
    compiled = '@njit(error_model="numpy")'
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


def _tables(kind: str, term: Term, key: Key) -> Iterator[str]:
    """Functions that compute a run of rows from the tables, element by element, or as a line."""
    compiled = f"@njit([void({', '.join(_SIGNATURE)})], cache=CACHE, error_model='numpy')"
    yield compiled
    yield f"def settle_{kind}({', '.join(_ARGUMENTS)}):"
    yield from _indented(_settled(kind, term, key))
    yield compiled
    yield f"def settle_line_{kind}({', '.join(_ARGUMENTS)}):"
    yield from _indented(_settled_line(kind, term, key))


_ARGUMENTS = (
    *("total", "run", "pairs", "real", "field", "step", "along"),
    *("known", "known_along", "other", "other_along", "column", "column_step", "count"),
)
_SIGNATURE = ("int64", "int64[::1]", "int64[:, ::1]", "R[::1]", *["int64"] * 10)


def _settled(kind: str, term: Term, key: Key) -> Iterator[str]:
    yield "for x in range(count):"
    yield "    v = R(0)"
    yield "    place = field + x * along"
    yield "    for p in range(run[2], run[3]):"
    yield "        first, second = place + pairs[p, 1] * step, place + pairs[p, 3] * step"
    yield "        if pairs[p, 0] == 0 and pairs[p, 2] == 0:"
    yield f"            d = minus_{kind}(read_{kind}(first, 0), read_{kind}(second, 0))"
    if term.split:
        yield "        elif pairs[p, 0] < 2 and pairs[p, 2] < 2:"
        yield f"            d = turned_{kind}(read_{kind}(first, 0), pairs[p, 0],"
        yield f"                read_{kind}(second, 0), pairs[p, 2])"
    yield "        else:"
    yield "            d = R(0)"
    yield "            for side in range(2):"
    yield "                code, number = pairs[p, 2 * side], pairs[p, 2 * side + 1]"
    yield "                if code < 2:"
    yield f"                    u = value_{kind}(read_{kind}(place + number * step, 0))"
    yield "                elif code < 4:"
    yield "                    u = read_R(known + x * known_along, 0)"
    yield "                elif code < 6:"
    yield "                    u = read_R(other + x * other_along, 0)"
    yield "                else:"
    yield "                    u = real[number]"
    yield "                u = -u if code & 1 else u"
    yield "                d = d - u if side else u"
    yield "        d = d * real[pairs[p, 4] + pairs[p, 5] * (column + x * column_step)]"
    yield "        v = d if p == run[2] else v + d"
    yield "    for d in range(run[4], run[5]):"
    yield f"        v = v {_over(key)} real[d]"
    yield "    write(total, x, v if run[6] else R(0) + v)"


def _settled_line(kind: str, term: Term, key: Key) -> Iterator[str]:
    """Rows away from the last axis, whose points are values of the input as they are."""
    index = "{}, x" if term.is_unit else "{} + x * along, 0"
    difference = f"minus_{kind}({', '.join(f'read_{kind}({index.format(s)})' for s in 'hl')})"
    yield "for p in range(run[2], run[3]):"
    yield "    h, l = field + pairs[p, 1] * step, field + pairs[p, 3] * step"
    yield "    w = real[pairs[p, 4] + pairs[p, 5] * column]"
    yield "    is_first = p == run[2]"
    yield "    for x in range(count):"
    yield f"        d = {difference} * w"
    yield "        write(total, x, d if is_first else again(total, x) + d)"
    yield "for d in range(run[4], run[5]):"
    yield "    divisor = real[d]"
    yield "    for x in range(count):"
    yield f"        write(total, x, again(total, x) {_over(key)} divisor)"


def _over(key: Key) -> str:
    """NumPy divides complex numbers by way of a reciprocal."""
    return "*" if key.is_complex else "/"


# --- the kernel -----------------------------------------------------------------------------------


def _kernel(key: Key) -> Iterator[str]:
    """The function: a box of rows, as first and last one per axis, and what it is called with."""
    yield "@njit("
    yield "    [void(int64[::1], int64[::1], R[::1], int64[:, ::1], int64[:, ::1], int64, int64)],"
    yield '    nogil=True, cache=CACHE, error_model="numpy",'
    yield ")"
    yield "def kernel(box, given, real, runs, pairs, scratch, streams):"
    yield from _indented(f"{name} = given[{i}]" for i, name in enumerate(slots(key)))
    yield f"    spare = scratch + {(CHUNK + LINE) * len(key.sums)}"
    for axis in range(key.ndim - 1):
        line = f"for i{axis} in range(box[{2 * axis}], box[{2 * axis + 1}]):"
        yield from _indented([line], 1 + axis)
    yield from _indented(_along_line(key), key.ndim)
    yield "    if streams:"
    yield "        finish_writing()"


def _row(key: Key, name: str) -> str:
    """Where a line of an array begins."""
    terms = [name, *(f"i{axis} * {name}_{axis}" for axis in range(key.ndim - 1))]
    return " + ".join(terms)


def _along_line(key: Key) -> Iterator[str]:
    last = key.ndim - 1
    for k in range(len(key.sums)):
        yield f"row_o{k} = {_row(key, f'o{k}')}"
    for number, term in _numbered(key):
        for word in _operands(term):
            yield f"row_t{number}_{word} = {_row(key, f't{number}_{word}')}"
    yield f"x0, stop = box[{2 * last}], box[{2 * last + 1}]"
    yield "while x0 < stop:"
    # Chunks end where lines of the cache end in the first result.
    yield "    x1 = stop"
    yield f"    if x1 - x0 > {CHUNK} // SIZE:"
    yield f"        past = ((row_o0 + x0 * o0_{last}) & (LINE - 1)) // SIZE"
    yield f"        x1 = x0 + {CHUNK - LINE} // SIZE - past"
    terms = _numbered(key)
    for k, (chains, is_direct) in enumerate(zip(key.sums, key.are_direct, strict=True)):
        own = f"scratch + {(CHUNK + LINE) * k}"
        yield from _indented(_target(k, own, is_direct, last))
        for j in range(len(chains)):
            number, term = next(terms)
            yield from _indented(_term(key, number, term, f"sum{k}", j == 0))
        yield from _indented(_store(k, is_direct, last))
    yield "    x0 = x1"


def _operands(term: Term) -> Iterator[str]:
    yield "f"
    yield from (f"p{j}" for j in range(len(term.products)))
    yield from (f"k{j}" for j in range(term.known))


def _target(k: int, own: str, is_direct: bool, last: int) -> Iterator[str]:
    """Where a chunk of a sum is added up: apart, or where it belongs."""
    yield f"sum{k} = {own}"
    if is_direct:
        yield "if not streams:"
        yield f"    sum{k} = row_o{k} + x0 * SIZE"


def _store(k: int, is_direct: bool, last: int) -> Iterator[str]:
    if is_direct:
        yield "if streams:"
        yield f"    stream(row_o{k} + x0 * SIZE, sum{k}, x1 - x0)"
        return
    yield "for x in range(x1 - x0):"
    yield f"    write_result(row_o{k} + (x0 + x) * o{k}_{last}, 0, again(sum{k}, x))"


def _term(key: Key, number: int, term: Term, total: str, is_first: bool) -> Iterator[str]:
    """Add a term to a chunk: the rows that are written out, then those from the tables."""
    name, last = f"t{number}", key.ndim - 1
    in_line = term.axis == last
    if in_line:
        yield f"begin, end = max(x0, {name}_start), min(x1, {name}_stop)"
    else:
        inside = f"{name}_start <= i{term.axis} < {name}_stop"
        yield f"begin, end = x0, x1 if {inside} else x0"
    yield "if begin < end:"
    yield from _indented(_middle(key, number, term, total, is_first))
    yield "if begin > x0 or end < x1:"
    yield f"    for r in range({name}_runs, {name}_ends):"
    yield from _indented(_ends(key, number, term, total, is_first), 2)


def _ends(key: Key, number: int, term: Term, total: str, is_first: bool) -> Iterator[str]:
    """Add what a run of rows from the tables has in a chunk."""
    name, last = f"t{number}", key.ndim - 1
    if term.axis == last:
        yield "begin, end = max(x0, runs[r, 0]), min(x1, runs[r, 1])"
        column, column_step = "begin - runs[r, 0]", 1
    else:
        yield f"begin, end = x0, x1 if runs[r, 0] <= i{term.axis} < runs[r, 1] else x0"
        column, column_step = f"i{term.axis} - runs[r, 0]", 0
    yield "if begin >= end:"
    yield "    continue"
    yield f"field = row_{name}_f + begin * {name}_f_{last}"
    arguments = ["spare", "runs[r]", "pairs", "real", "field"]
    arguments += [f"{name}_f_{term.axis}", f"{name}_f_{last}"]
    for j in range(2):
        along = f"{name}_k{j}_{last}"
        given = [f"row_{name}_k{j} + begin * {along}", along] if j < term.known else ["0", "0"]
        arguments += given
    call = f"({', '.join([*arguments, column, str(column_step), 'end - begin'])})"
    if term.axis == last:
        yield f"settle_{_kind(term)}{call}"
    else:
        yield "if runs[r, 7]:"
        yield f"    settle_line_{_kind(term)}{call}"
        yield "else:"
        yield f"    settle_{_kind(term)}{call}"
    yield f"out = {total} + (begin - x0) * SIZE"
    yield from _factors(number, term, last)
    yield "for x in range(end - begin):"
    yield f"    {_add(_finished(number, term, 'again(spare, x)'), is_first)}"


def _add(value: str, is_first: bool) -> str:
    return f"write(out, x, {value})" if is_first else f"write(out, x, again(out, x) + {value})"


def _factors(number: int, term: Term, last: int) -> Iterator[str]:
    """Name the arrays and the number that a chunk is multiplied by."""
    name = f"t{number}"
    for j, varies in enumerate(term.products):
        at = f"row_{name}_p{j}"
        yield f"p{j} = {at} + begin * SIZE" if varies else f"p{j} = read_R({at}, 0)"
    if term.has_factor:
        yield f"c = real[{name}_c]"


def _finished(number: int, term: Term, value: str) -> str:
    """A value times the arrays and the number in front."""
    for j, varies in enumerate(term.products):
        value = f"({value} * {f'read_R(p{j}, x)' if varies else f'p{j}'})"
    return f"({value} * c)" if term.has_factor else value


def _middle(key: Key, number: int, term: Term, total: str, is_first: bool) -> Iterator[str]:
    name, last = f"t{number}", key.ndim - 1
    in_line = term.axis == last
    row = "begin" if in_line else f"i{term.axis}"
    yield f"field = row_{name}_f + begin * {name}_f_{last}"
    for p, pair in enumerate(term.pairs):
        if pair.form != "negative":
            yield f"h{p} = field + {name}_h{p}"
        if pair.form != "value":
            yield f"l{p} = field + {name}_l{p}"
        place = f"{name}_w{p} + {row} - {name}_start" if pair.weight == "column" else f"{name}_w{p}"
        if pair.weight == "column" and in_line:
            yield f"w{p} = real.ctypes.data + ({place}) * SIZE"
        elif pair.weight:
            yield f"w{p} = real[{place}]"
    yield from (f"d{j} = real[{name}_d{j}]" for j in range(term.divisors))
    yield from _factors(number, term, last)
    yield f"out = {total} + (begin - x0) * SIZE"
    yield "for x in range(end - begin):"
    value = ""
    for p, pair in enumerate(term.pairs):
        part = _difference(number, term, p, last)
        if pair.weight:
            weight = f"read_R(w{p}, x)" if pair.weight == "column" and in_line else f"w{p}"
            part = f"{part} * {weight}"
        yield f"    v = v + {part}" if value else f"    v = {part}"
        value = "v"
    yield from ("    v = R(0)",) if not value else ()
    for j in range(term.divisors):
        yield f"    v = v {_over(key)} d{j}"
    yield f"    {_add(_finished(number, term, 'v'), is_first)}"


def _difference(number: int, term: Term, p: int, last: int) -> str:
    kind = _kind(term)
    index = "{}, x" if term.is_unit else f"{{}} + x * t{number}_f_{last}, 0"
    high, low = (f"read_{kind}({index.format(f'{side}{p}')})" for side in "hl")
    form = term.pairs[p].form
    if form == "difference":
        return f"minus_{kind}({high}, {low})"
    return f"value_{kind}({high})" if form == "value" else f"(-value_{kind}({low}))"
