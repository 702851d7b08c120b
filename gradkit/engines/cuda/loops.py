"""The text of the loops of a kernel: which results a thread computes, and where it writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradkit.engines.cuda.key import ChainKey, Key, OutputKey
from gradkit.methods import WALL

__all__ = ["has_middle", "loops", "offset_of", "reaching", "size_of"]


def size_of(axis: int, extra: int) -> str:
    """The number of points along an axis."""
    return f"n{axis}" if not extra else f"(n{axis} {'+' if extra > 0 else '-'} {abs(extra)})"


def offset_of(indices: Sequence[str], extras: Sequence[int | None]) -> str:
    """Where an element lies in a contiguous array; None where it is broadcast."""
    kept = [(i, axis, extra) for axis, (i, extra) in enumerate(zip(indices, extras, strict=True))]
    kept = [(i, axis, extra) for i, axis, extra in kept if extra is not None]
    text = ""
    for index, axis, extra in kept:
        text = f"({text} * {size_of(axis, extra)} + {index})" if text else f"({index})"
    return text or "0"


def loops(key: Key, middle: Sequence[str]) -> Iterator[str]:
    """Which results a thread computes, given the functions of rows in the middle."""
    last = key.ndim - 1
    counts = [max(output.extras[axis] for output in key.outputs) for axis in range(key.ndim)]
    yield f"const I x = ((I)blockIdx.x * blockDim.x + threadIdx.x) * {key.vector};"
    yield f"if (x >= {size_of(last, counts[last])}) return;"
    depth = 0
    if key.ndim > 2:
        others = [_steps(key, axis, counts) for axis in range(last - 1)]
        total = " * ".join(others)
        yield _turns(key, "z", "blockIdx.z", total, "gridDim.z")
        depth += 1
        yield from _decoded(key, others)
    if key.ndim > 1:
        row = last - 1
        first = "(I)blockIdx.y * blockDim.y + threadIdx.y"
        steps = _steps(key, row, counts)
        yield _turns(key, "y", first, steps, "(I)gridDim.y * blockDim.y")
        depth += 1
        factor = f" * {key.march}" if key.marched == row else ""
        yield f"  const I i{row} = y{factor};"
    for line in _results(key, counts, middle):
        yield f"  {line}"
    yield "}" * depth


def _turns(key: Key, index: str, first: str, count: str, step: str) -> str:
    """The head of a loop, or of what is done once: what loops keep takes registers."""
    if key.turns:
        return f"for (I {index} = {first}; {index} < {count}; {index} += {step}) {{"
    return f"if (const I {index} = {first}; {index} < {count}) {{"


def _steps(key: Key, axis: int, counts: Sequence[int]) -> str:
    """Number of turns of a loop along an axis."""
    size = size_of(axis, counts[axis])
    if key.marched != axis or key.march == 1:
        return size
    return f"(({size} + {key.march - 1}) / {key.march})"


def _decoded(key: Key, counts: Sequence[str]) -> Iterator[str]:
    """The indices of all axes but the last two, from their common count."""
    if len(counts) == 1:
        factor = f" * {key.march}" if key.marched == 0 else ""
        yield f"  const I i0 = z{factor};"
        return
    yield "  I rest = z;"
    for axis in reversed(range(len(counts))):
        factor = f" * {key.march}" if key.marched == axis else ""
        value = f"rest % {counts[axis]}" if axis else "rest"
        yield f"  const I i{axis} = ({value}){factor};"
        if axis:
            yield f"  rest /= {counts[axis]};"


def _results(key: Key, counts: Sequence[int], middle: Sequence[str]) -> Iterator[str]:
    """What a thread computes: vectors of neighbours, then what is left, one by one.

    Rows at the ends of the last axis are written twice: with what is there, then as they should be.
    """
    last = key.ndim - 1
    size = size_of(last, counts[last])
    if key.vector > 1:
        yield f"if (x + {key.vector} <= {size}) {{"
        yield from _many(key, counts, middle)
        yield "}"
        yield from _singles(key, counts)
    else:
        yield from _many(key, counts, middle)


def _many(key: Key, counts: Sequence[int], middle: Sequence[str]) -> Iterator[str]:
    if not has_middle(key):
        yield from _stores(key, counts, f"_{key.vector}", "x")
        return
    yield f"if ({' && '.join(_inside(key))}) {{"
    places = [*(f"i{axis}" for axis in range(key.ndim - 1)), "x"]
    yield f"  const I {', '.join(f'b{axis} = {place}' for axis, place in enumerate(places))};"
    yield from (f"  {line}" for line in middle)
    if key.march == 1:
        yield from _stores(key, counts, "_m", "x")
    else:
        yield f'  _Pragma("unroll") for (int m = 0; m < {key.march}; ++m) {{'
        yield f"    const I j = i{key.marched} + m;"
        yield from _stores(key, counts, "_m", "x")
        yield "  }"
    yield "} else {"
    yield from _row_by_row(key, counts, f"_{key.vector}", "x")
    yield "}"


def has_middle(key: Key) -> bool:
    """Whether the rows in the middle of all axes before the last one have functions of their own.

    They have no branches: all that they read is on its way at once.
    """
    return key.marched >= 0 and any(_inside(key))


def _inside(key: Key) -> Iterator[str]:
    """Conditions for all rows of a thread to be in the middle of all axes before the last one."""
    for axis in range(key.ndim - 1):
        first, after = (max(_margin(key, o, axis, side) for o in key.outputs) for side in (0, 1))
        size = size_of(axis, min(output.extras[axis] for output in key.outputs))
        rows = key.march if axis == key.marched else 1
        if first:
            yield f"i{axis} >= {first}"
        if after or rows > 1:
            yield f"i{axis} + {rows} <= {size} - {after}"


def reaching(key: Key) -> set[int]:
    """Rules along the last axis that take points before and after a row of the middle.

    What is done before them must not: arrays may have less rows, and tables have one. Nor may
    arrays along the walls of other axes be read there, where these are so short that rows of their
    middle take a wall.
    """
    if key.vector == 1:
        return set()
    last = key.ndim - 1
    found, barred = set(), set()
    for chain in key.chains():
        clean = True
        for step in chain.steps:
            if step.rule is None:
                clean = False
                continue
            rule = key.rules[step.rule]
            if rule.axis == last:
                (found if clean else barred).add(step.rule)
                clean = False
            elif any(point in WALL for pair in rule.middle for point in pair):
                clean = False
    return found - barred


def _beyond(key: Key, chain: ChainKey, side: int) -> int:
    """Rows that a term reaches over: at most one, which has all the points that a rule takes."""
    used = {step.rule for step in chain.steps} & reaching(key)
    return int(any(key.rules[rule].spread[side] for rule in used if rule is not None))


def _singles(key: Key, counts: Sequence[int]) -> Iterator[str]:
    """Results that vectors do not reach, or take for rows of the middle."""
    last = key.ndim - 1
    size = size_of(last, counts[last])
    first, after = (max(_margin(key, o, last, side) for o in key.outputs) for side in (0, 1))
    n = key.vector
    yield f"if (x < {first} || x + {n} > {size} - {after}) {{"
    yield f'  _Pragma("unroll 1") for (int e = 0; e < {n}; ++e) {{'
    yield "    const I y1 = x + e;"
    yield f"    if (y1 >= {size}) break;"
    yield f"    if (y1 >= {first} && y1 < {size} - {after} && x + {n} <= {size}) continue;"
    yield from _row_by_row(key, counts, "_1", "y1")
    yield "  }"
    yield "}"


def _row_by_row(key: Key, counts: Sequence[int], form: str, index: str) -> Iterator[str]:
    if key.march == 1:
        yield from _stores(key, counts, form, index)
        return
    axis = key.marched
    yield f'  _Pragma("unroll 1") for (int m = 0; m < {key.march}; ++m) {{'
    yield f"    const I j = i{axis} + m;"
    yield f"    if (j >= {size_of(axis, counts[axis])}) break;"
    yield from _stores(key, counts, form, index)
    yield "  }"


def _stores(key: Key, counts: Sequence[int], form: str, index: str) -> Iterator[str]:
    """Compute and write the results of all outputs at one row."""
    rows = [
        "j" if axis == key.marched and key.march > 1 else f"i{axis}" for axis in range(key.ndim - 1)
    ]
    places = [*rows, index]
    for number, output in enumerate(key.outputs):
        exists = [
            f"{place} < {size_of(axis, output.extras[axis])}"
            for axis, place in enumerate(places)
            if output.extras[axis] < counts[axis]
        ]
        target = f"o{number} + {offset_of(places, output.extras)}"
        text = f"store({target}, out{number}{form}({', '.join(places)}));"
        yield f"    if ({' && '.join(exists)}) {text}" if exists else f"    {text}"


def _margin(key: Key, output: OutputKey, axis: int, side: int) -> int:
    """Rows at an end for which some level takes a row at an end."""
    margin = 0
    for chain in output.chains:
        found = _beyond(key, chain, side) if axis == key.ndim - 2 else 0
        for step in chain.steps:
            if step.rule is None or key.rules[step.rule].axis != axis:
                continue
            rule = key.rules[step.rule]
            low, high = rule.spread
            inner = found + (-low if side == 0 else high)
            if side:
                # Counted from the end of the results, of which there may be more or fewer.
                inner += rule.targets - rule.sources
            outer = rule.after if side else rule.before
            found = max(outer, inner) if found or rule.middle_folds else outer
        margin = max(margin, found)
    return margin
