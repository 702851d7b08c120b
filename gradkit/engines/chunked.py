"""The chunked engine: a plan on Dask arrays, block by block, without computing anything.

Every block is run by the engines below as a `Plan.block`: the same operations on the same numbers
as in the whole array, so results are bit for bit those of the unchunked call for every chunking,
as far as those of the engines do not depend on where a row lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit.chains import Parameter
from gradkit.engines.choice import AUTO, ENGINE, prefer
from gradkit.plan import Plan

__all__ = ["run", "supports"]

Chunks = tuple[tuple[int, ...], ...]


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None for Dask arrays, else the reason."""
    if _array.is_dask(inputs[0]):
        return None
    return f"serves dask arrays, the input is a {_array.library(inputs[0])} array"


def run(plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None) -> Sequence[Array]:
    """Apply a plan to Dask arrays; returns lazy arrays with the chunks of the first input."""
    assert out is None  # lazy arrays cannot be written to
    import dask.array as da
    from dask.base import tokenize

    given = _cells(inputs[0].chunks, plan.shape)
    # Where points lie between cells, the last chunk has one fewer.
    cells = tuple(
        _at_least(sizes, reach + is_between)
        for sizes, reach, is_between in zip(given, plan.halo, _between(plan), strict=True)
    )
    dtype = _array.result_dtype(_array.namespace(inputs[0]), inputs, plan.precision(inputs).result)
    # A single chunk holds its whole axis.
    halo = tuple(
        reach if len(sizes) > 1 else 0 for sizes, reach in zip(cells, plan.halo, strict=True)
    )
    parts = [_with_halo(plan, f, cells, halo) for f in inputs]
    parts += [_with_halo(plan, _lazy(p), cells, halo) for p in plan.parameters]
    distinct = list(dict.fromkeys(plan.same))
    several = len(distinct) > 1
    meta = _meta(inputs[0], dtype)
    bounds = tuple(tuple(pairwise(accumulate(sizes, initial=0))) for sizes in cells)
    engine = AUTO if ENGINE.get() == "chunked" else ENGINE.get()
    blocks = da.map_blocks(
        # The arrays of the plan come block by block, like the inputs.
        partial(_block, plan.skeleton(), plan.reads, bounds, halo, distinct, engine, dtype),
        *parts,
        name=f"gradkit-{tokenize(plan, [part.name for part in parts], engine)}",
        dtype=object if several else dtype,
        chunks=cells if several else _at(cells, plan.output_shapes[0]),
        meta=np.empty((0,) * len(cells), object) if several else meta,
    )
    results: dict[int, Array] = {}
    for i, number in enumerate(distinct):
        chunks = _at(cells, plan.output_shapes[number])
        # A block gives all results at once, so that it is loaded once.
        result = (
            blocks.map_blocks(itemgetter(i), dtype=dtype, chunks=chunks, meta=meta)
            if several
            else blocks
        )
        results[number] = result.rechunk(_at(given, plan.output_shapes[number]))
    return [results[number] for number in plan.same]


def _block(
    plan: Plan,
    count: int,
    bounds: Sequence[Sequence[tuple[int, int]]],
    halo: tuple[int, ...],
    outputs: Sequence[int],
    engine: str,
    result: Any,
    *blocks: Array,
    block_id: tuple[int, ...],
) -> Any:
    """The distinct results of one block, from its inputs and parameters with their halo."""
    extent = [cells[i] for cells, i in zip(bounds, block_id, strict=True)]
    inputs, parameters = blocks[:count], blocks[count:]
    part = plan.block(extent, halo, parameters)
    with prefer(engine):
        values = part.apply(inputs)
    # Joining blocks to their halo may have changed the byte order.
    found = [_array.cast(_array.namespace(values[i]), values[i], result) for i in outputs]
    return found if len(outputs) > 1 else found[0]


# --- chunks -------------------------------------------------------------------------------------


def _between(plan: Plan) -> tuple[bool, ...]:
    """Per axis, whether some array has one point fewer than there are cells."""
    shapes = [*plan.input_shapes, *plan.output_shapes, *(p.shape for p in plan.parameters)]
    return tuple(any(shape[axis] == n - 1 for shape in shapes) for axis, n in enumerate(plan.shape))


def _cells(chunks: Chunks, shape: tuple[int, ...]) -> Chunks:
    """Chunks of the cells, from those of an array at any place: the last chunk makes up for it."""
    return tuple(_ending(sizes, n) for sizes, n in zip(chunks, shape, strict=True))


def _at(cells: Chunks, shape: Sequence[int]) -> Chunks:
    """Chunks of an array at any place, from those of the cells; 1 where it is broadcast."""
    return tuple(
        (1,) if n == 1 and sum(sizes) != 1 else _ending(sizes, n)
        for sizes, n in zip(cells, shape, strict=True)
    )


def _ending(sizes: tuple[int, ...], total: int) -> tuple[int, ...]:
    """The same chunk sizes, the last ones changed so that they add up to a total."""
    ends = [min(end, total) for end in accumulate(sizes)]
    ends[-1] = total
    kept = tuple(stop - start for start, stop in pairwise([0, *ends]))
    return tuple(size for size in kept if size) or (0,)


def _at_least(sizes: tuple[int, ...], minimum: int) -> tuple[int, ...]:
    """Chunk sizes with neighbours merged until each is at least `minimum`."""
    merged: list[int] = []
    for size in sizes:
        if merged and merged[-1] < minimum:
            merged[-1] += size
        else:
            merged.append(size)
    if len(merged) > 1 and merged[-1] < minimum:
        last = merged.pop()
        merged[-1] += last
    return tuple(merged)


def _with_halo(plan: Plan, array: Array, cells: Chunks, halo: tuple[int, ...]) -> Array:
    """An array in the chunks of the cells, each with its halo."""
    import dask.array as da

    depth = {
        axis: reach
        for axis, (reach, n) in enumerate(zip(halo, array.shape, strict=True))
        if reach and not (n == 1 and plan.shape[axis] != 1)
    }
    wraps = [axis is not None and axis.wrap != 0 for axis in plan.grid.axes]
    boundary = {axis: "periodic" if wraps[axis] else "none" for axis in depth}
    return da.overlap.overlap(array.rechunk(_at(cells, array.shape)), depth, boundary)


def _lazy(parameter: Parameter) -> Array:
    """A parameter as a Dask array of the shape of its broadcast form."""
    import dask.array as da

    array = parameter.array
    if not _array.is_dask(array):
        array = da.from_array(array, asarray=False)
    return array.reshape(parameter.shape)


def _meta(f: Array, dtype: Any) -> Array:
    """An empty array of the blocks' library, for Dask to learn the type of the result from."""
    xp = _array.namespace(f._meta)
    return xp.reshape(xp.astype(f._meta, dtype), (0,) * f.ndim)
