"""The chunked engine: a plan on Dask arrays, block by block, without computing anything.

Every block is run by the engines below as a `Plan.block`: the same operations on the same numbers
as in the whole array, so results are bit for bit those of the unchunked call for every chunking.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from gradkit import _array
from gradkit._array import Array
from gradkit.engines.choice import AUTO, ENGINE, prefer
from gradkit.plan import Plan

__all__ = ["run", "supports"]


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None for Dask arrays, else the reason."""
    if _array.is_dask(inputs[0]):
        return None
    return f"serves dask arrays, the input is a {_array.library(inputs[0])} array"


def run(plan: Plan, inputs: Sequence[Array]) -> list[Array]:
    """Apply a plan to Dask arrays; returns lazy arrays with the chunks of the first input."""
    import dask.array as da

    chunks = inputs[0].chunks
    working = tuple(map(_at_least, chunks, plan.halo))
    depth = {axis: reach for axis, reach in enumerate(plan.halo) if reach}
    boundary = {axis: "periodic" if _wraps(plan, axis) else "none" for axis in depth}
    padded = [da.overlap.overlap(f.rechunk(working), depth, boundary) for f in inputs]
    dtype = _array.result_dtype(_array.namespace(inputs[0]), inputs, plan.precision(inputs).result)
    entries = plan.operator.entries
    distinct = list(dict.fromkeys(entries))
    several = len(distinct) > 1
    blocks = da.map_blocks(
        _block,
        *padded,
        plan=plan,
        bounds=tuple(tuple(pairwise(accumulate(sizes, initial=0))) for sizes in working),
        outputs=[entries.index(entry) for entry in distinct],
        engine=AUTO if ENGINE.get() == "chunked" else ENGINE.get(),
        result=dtype,
        dtype=dtype,
        chunks=((len(distinct),), *working) if several else working,
        new_axis=[0] if several else None,
        meta=_meta(inputs[0], dtype, len(working) + several),
    )
    parts = [blocks[i] for i in range(len(distinct))] if several else [blocks]
    results = [part.rechunk(chunks) for part in parts]
    return [results[distinct.index(entry)] for entry in entries]


def _block(
    *blocks: Array,
    plan: Plan,
    bounds: Sequence[Sequence[tuple[int, int]]],
    outputs: Sequence[int],
    engine: str,
    result: Any,
    block_info: Any,
) -> Array:
    """Results of one block: of the outputs named, stacked, so that the block is loaded once."""
    place = block_info[0]["chunk-location"]
    part = plan.block([bounds[axis][i] for axis, i in enumerate(place)], plan.halo)
    with prefer(engine):
        results = part(blocks[0] if len(blocks) == 1 else blocks)
    if plan.operator.outputs > 1:
        results = [results[i] for i in outputs]
        results = _array.stack(results) if len(results) > 1 else results[0]
    # Joining blocks to their halo may have changed the byte order.
    return _array.cast(_array.namespace(results), results, result)


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


def _wraps(plan: Plan, axis: int) -> bool:
    return any(rule.wrap for (number, _), rule in plan.rules.items() if number == axis)


def _meta(f: Array, dtype: Any, ndim: int) -> Array:
    """An empty array of the blocks' library, for Dask to learn the type of the result from."""
    xp = _array.namespace(f._meta)
    return xp.reshape(xp.astype(f._meta, dtype), (0,) * ndim)
