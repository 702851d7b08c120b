"""How the results of a launch are dealt out over blocks of threads."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from gradkit.engines.cuda.key import Key

__all__ = ["ENOUGH_BLOCKS", "LONGEST_WALK", "WARP", "Layout", "layout"]

#: Threads of a block along the rows, where it has neighbours of its rows to read, too.
WARP = 32
#: So many blocks should keep all multiprocessors busy to the end; where there are more, they walk.
ENOUGH_BLOCKS = 4096
#: Steps of a walk, at most: what is read beside its results is a few per cent of them then.
LONGEST_WALK = 16


class Layout(NamedTuple):
    """A grid of blocks, a block of threads, and the rows of a thread along the marched axis."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    stretch: int


def layout(key: Key, sizes: Sequence[int]) -> Layout:
    """The layout of a kernel on axes with so many cells."""
    last, row = key.ndim - 1, key.ndim - 2
    counts = [n + max(o.extras[axis] for o in key.outputs) for axis, n in enumerate(sizes)]
    across = -(-counts[last] // key.vector)
    widest = WARP if _reads_rows_beside(key) else key.threads & -key.threads
    x = min(widest, 1 << max(across - 1, 0).bit_length())
    y = key.threads // x if key.ndim > 1 else 1
    # Blocks along each axis: as many as rows, but along the last two and the marched one.
    blocks = [*counts[:last], -(-across // x)]
    if key.ndim > 1:
        blocks[row] = -(-counts[row] // y)
    stretch = 1
    if key.marched >= 0:
        steps = -(-counts[key.marched] // (key.march * (y if key.marched == row else 1)))
        blocks[key.marched] = steps
        walk = _walk(key, steps, prod(blocks))
        blocks[key.marched] = -(-steps // walk)
        stretch = key.march * walk
    grid = blocks[last], blocks[row] if key.ndim > 1 else 1, prod(blocks[: max(row, 0)])
    return Layout(grid, (x, y, 1), stretch)


def _reads_rows_beside(key: Key) -> bool:
    """Whether results take neighbours along the axis before the last one, and march along another.

    Blocks of as many rows as possible read few of them that they have no results in.
    """
    row = key.ndim - 2
    return key.marched != row and any(rule.axis == row and any(rule.spread) for rule in key.rules)


def _walk(key: Key, steps: int, blocks: int) -> int:
    """How many steps along the marched axis a block takes one after the other.

    Most of what a step reads beside its results, the step before has read.
    """
    if not key.walks:
        return 1
    longest = max(min(blocks // ENOUGH_BLOCKS, LONGEST_WALK, steps), 1)
    return -(-steps // -(-steps // longest))
