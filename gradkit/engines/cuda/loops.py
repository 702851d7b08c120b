"""The text of the loops of a kernel: which results a thread computes, and where it writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradkit.engines.cuda.key import Key, OutputKey

__all__ = ["has_ends", "has_middle", "loops", "offset_of", "size_of"]


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
    counts = [max(output.extras[axis] for output in key.outputs) for axis in range(key.ndim)]
    yield from _block(key, counts)
    yield from _vectors(key, counts, middle)
    if has_ends(key):
        yield from _singles(key, counts)


def _block(key: Key, counts: Sequence[int]) -> Iterator[str]:
    """Which block this is, and where it begins along all axes but the last one."""
    if key.is_flat:
        yield "const unsigned int plane = blockIdx.x / blocks_x, bx = blockIdx.x % blocks_x;"
        yield "const unsigned int bz = plane / blocks_y, by = plane % blocks_y;"
    else:
        yield "const unsigned int bx = blockIdx.x, by = blockIdx.y, bz = blockIdx.z;"
    row = key.ndim - 2
    if row >= 0:
        rows = _rows_of_a_thread(key) if key.marched == row else "1"
        yield f"const I y0 = (I)by * blockDim.y * {rows};"
    blocks = [size_of(axis, counts[axis]) for axis in range(row)]
    names = [f"i{axis}" for axis in range(row)]
    if key.marched in range(row):
        blocks[key.marched] = f"(({blocks[key.marched]} + stretch - 1) / stretch)"
        names[key.marched] = "walk"
    rest = "bz"
    for axis in reversed(range(1, row)):
        yield f"const I {names[axis]} = {rest} % {blocks[axis]};"
        yield f"const I rest{axis} = {rest} / {blocks[axis]};"
        rest = f"rest{axis}"
    if names:
        yield f"const I {names[0]} = {rest};"
    if "walk" in names:
        yield "const I start = walk * stretch;"


def _rows_of_a_thread(key: Key) -> str:
    """The number of rows along the marched axis, in all steps."""
    return "stretch" if key.walks else str(key.march)


def _vectors(key: Key, counts: Sequence[int], middle: Sequence[str]) -> Iterator[str]:
    """Neighbours in the rows of a thread, all but those at the ends of rows."""
    sizes = [f"n{axis}" for axis in range(key.ndim)]
    yield f"const auto vectors = [&]({', '.join(f'I {n}' for n in [*sizes, 'step'])}) INLINE {{"
    yield from _indices(key, counts)
    yield from _many(key, counts, middle)
    yield "};"
    call = f"vectors({', '.join([*(f'fresh({n})' for n in sizes), 'step'])});"
    if not key.walks:
        yield call.replace("step", "0")
        return
    yield f'_Pragma("unroll 1") for (I step = 0; step < stretch; step += {key.march}) {call}'


def _indices(key: Key, counts: Sequence[int]) -> Iterator[str]:
    """The first results of a thread in a step, unless there are none."""
    last, row = key.ndim - 1, key.ndim - 2
    yield f"  const I x = fresh((I)bx * blockDim.x + threadIdx.x) * {key.vector};"
    outside = [f"x >= {size_of(last, counts[last])}"]
    if has_ends(key):
        outside = [f"x < {_ends(key, last, 0)}", f"x >= {_stop(key)}"]
    if 0 <= key.marched < row:
        yield f"  const I i{key.marched} = fresh(start) + step;"
        outside.append(f"i{key.marched} >= {size_of(key.marched, counts[key.marched])}")
    if row >= 0:
        place = "threadIdx.y"
        if key.marched == row:
            place = f"threadIdx.y * {key.march} + blockDim.y * step"
        yield f"  const I i{row} = fresh(y0 + (I)({place}));"
        outside.append(f"i{row} >= {size_of(row, counts[row])}")
    yield f"  if ({' || '.join(outside)}) return;"


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
    yield from _row_by_row(key, counts)
    yield "}"


def has_middle(key: Key) -> bool:
    """Whether the rows in the middle of all axes before the last one have functions of their own.

    They have no branches: all that they read is on its way at once.
    """
    return key.marched >= 0 and any(_inside(key))


def _inside(key: Key) -> Iterator[str]:
    """Conditions for all rows of a thread to be in the middle of all axes before the last one."""
    for axis in range(key.ndim - 1):
        first, after = _ends(key, axis, 0), _ends(key, axis, 1)
        size = size_of(axis, min(output.extras[axis] for output in key.outputs))
        rows = key.march if axis == key.marched else 1
        if first:
            yield f"i{axis} >= {first}"
        if after or rows > 1:
            yield f"i{axis} + {rows} <= {size} - {after}"


def has_ends(key: Key) -> bool:
    """Whether results at the ends of rows, which take others than the middle, are taken apart.

    Were they left to the threads of their neighbours, whole warps would wait for all rows of these.
    """
    if key.ndim == 1:
        return key.vector > 1  # a single line may end within a vector
    is_apart = key.vector > 1 or has_middle(key)
    return is_apart and any(_ends(key, key.ndim - 1, side) for side in (0, 1))


def _ends(key: Key, axis: int, side: int) -> int:
    """Rows at an end of an axis, or results at an end of a row, for which some term has others.

    Along the last axis they are whole vectors.
    """
    ends = max(_margin(key, output, axis, side) for output in key.outputs)
    return _rounded_up(ends, key.vector) if axis == key.ndim - 1 else ends


def _rounded_up(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def _stop(key: Key) -> str:
    """Where the results at the last end of a row begin, unless they are at its first end, too."""
    last = key.ndim - 1
    size = size_of(last, min(output.extras[last] for output in key.outputs))
    stop = f"{size} - {_ends(key, last, 1)}"
    return f"(({stop}) & -{key.vector})" if key.ndim == 1 else stop


def _singles(key: Key, counts: Sequence[int]) -> Iterator[str]:
    """The ends of all rows of a block, one by one, dealt out over its threads.

    What is computed from fresh numbers takes no registers before.
    """
    last, n = key.ndim - 1, key.vector
    yield f"const I x0 = fresh(bx) * blockDim.x * {n}, first = {_ends(key, last, 0)};"
    yield f"const I end = least(x0 + (I)blockDim.x * {n}, {size_of(last, counts[last])});"
    yield f"const I tail = most(most({_stop(key)}, first), x0);"
    yield "const unsigned int at_first = most(least(end, first) - x0, 0);"
    yield "const unsigned int at_ends = at_first + most(end - tail, 0);"
    rows = f" * blockDim.y * {_rows_of_a_thread(key)}" if key.ndim > 1 else ""
    yield "for (unsigned int t = threadIdx.y * blockDim.x + threadIdx.x;"
    yield f"     t < at_ends{rows}; t += blockDim.x * blockDim.y) {{"
    yield "  const unsigned int r = t / at_ends, e = t - r * at_ends;"
    yield from _row_of_a_block(key, counts)
    yield "  const I end1 = e < at_first ? x0 + e : tail + (e - at_first);"
    yield from _stores(key, counts, "_1", "end1")
    yield "}"


def _row_of_a_block(key: Key, counts: Sequence[int]) -> Iterator[str]:
    """The indices of row number r of a block, unless it lies beyond the last row."""
    row, march = key.ndim - 2, key.march
    if row < 0:
        return
    marched = "j" if march > 1 else f"i{key.marched}"
    places = {f"i{row}" if key.marched < 0 else marched: (row, "y0 + r")}
    if 0 <= key.marched < row:
        places = {
            f"i{row}": (row, "y0 + r / stretch"),
            marched: (key.marched, "start + r % stretch"),
        }
    yield f"  const I {', '.join(f'{name} = {value}' for name, (_, value) in places.items())};"
    beyond = [f"{name} >= {size_of(axis, counts[axis])}" for name, (axis, _) in places.items()]
    yield f"  if ({' || '.join(beyond)}) continue;"


def _row_by_row(key: Key, counts: Sequence[int]) -> Iterator[str]:
    """Neighbours in all rows of a thread, of which some are at ends."""
    form = f"_{key.vector}"
    if key.march == 1:
        yield from _stores(key, counts, form, "x")
        return
    axis = key.marched
    yield f'  _Pragma("unroll 1") for (int m = 0; m < {key.march}; ++m) {{'
    yield f"    const I j = i{axis} + m;"
    yield f"    if (j >= {size_of(axis, counts[axis])}) break;"
    yield from _stores(key, counts, form, "x")
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
    """Rows at an end for which some level takes a row at an end, or a vector beyond the last."""
    margin = 0
    unit = key.vector if axis == key.ndim - 1 else 1
    for chain in output.chains:
        found = 0
        for step in chain.steps:
            if step.rule is None or key.rules[step.rule].axis != axis:
                continue
            rule = key.rules[step.rule]
            low, high = rule.spread
            reach = high if side else -low
            # Whole vectors are read, that of the results themselves always.
            inner = found + (reach if unit == 1 else _rounded_up(max(reach, 0), unit))
            if side:
                # Counted from the end of the results, of which there may be more or fewer.
                inner += rule.targets - rule.sources
            outer = rule.after if side else rule.before
            found = max(outer, inner) if found or rule.middle_folds else outer
        margin = max(margin, found)
    return margin
