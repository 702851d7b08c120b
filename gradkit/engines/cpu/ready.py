"""Calls like one before, of one array: what cannot differ is not looked at again.

A kernel takes a microsecond or two for a few thousand elements; all checks and choices of a call
take ten. Where a call was served by kernels, what it has settled holds for every other one with an
array, and targets, of the same dtypes, shapes and strides: that they fit the plan and the engine,
which kernels they need, and that elements of a target are apart. What such arrays may still differ
in is looked at in each call, in `Ready`; whatever is unusual goes the long way, and has its checks
and errors there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from gradkit._threads import worth_calling
from gradkit.engines import choice
from gradkit.engines.cpu.addresses import address, extent
from gradkit.engines.cpu.compiled import Call
from gradkit.engines.cpu.floating import wants_errors

__all__ = ["Ready", "pairs_of"]

#: Two arrays of a call, by their numbers, and from the address of the first one that of the second
#: has a distance between these, neither included, if they may share memory.
_Pair = tuple[int, int, int, int]


class Ready(NamedTuple):
    """What a plan does with an array, and targets, of one `gradkit.calls.layout`.

    `shapes` are those of the results, which are all distinct, `size` their bytes. `pairs` are those
    of the array and the targets that a call was given; without any it makes results of its own.
    """

    call: Call
    shapes: tuple[tuple[int, ...], ...]
    dtype: np.dtype
    size: int
    pairs: tuple[_Pair, ...]

    def __call__(self, f: np.ndarray, out: Any) -> Any:
        """The results; None where nothing has been done, because the call must go the long way."""
        if choice.ENGINE.get() != choice.AUTO or wants_errors() or not f.flags.aligned:
            return None
        if out is None:
            made = [np.empty(shape, self.dtype) for shape in self.shapes]
            self.call.run([address(array) for array in (f, *made)], worth_calling(self.size))
            return made[0] if len(made) == 1 else tuple(made)
        targets = [out] if type(out) is np.ndarray else out
        for target in targets:
            if not target.flags.behaved:  # aligned and writeable
                return None
        begins = [address(array) for array in (f, *targets)]
        for one, other, low, high in self.pairs:
            if low < begins[other] - begins[one] < high:
                return None
        threads = worth_calling(self.size)
        try:
            self.call.run(begins, threads)
        except KeyboardInterrupt:
            self.call.run(begins, threads)  # no target is left half-written
            raise
        return out


def pairs_of(arrays: Sequence[np.ndarray]) -> tuple[_Pair, ...]:
    """Where arrays of these layouts may share memory: bounds alone are compared."""
    extents = [extent(array) for array in arrays]
    return tuple(
        (i, j, extents[i][0] - extents[j][1], extents[i][1] - extents[j][0])
        for i, j in combinations(range(len(arrays)), 2)
    )
