"""Calls like one before, of one small array: what cannot differ is not looked at again.

A kernel takes a microsecond or two for a few thousand elements; all checks and choices of a call
take ten. Where a call was served by kernels in one thread, what it has settled holds for every
other one with an array, and targets, of the same dtypes, shapes and strides: that they fit the plan
and the engine, which kernels they need, and that elements of a target are apart. What such arrays
may still differ in is looked at in each call, in `Ready`; whatever is unusual goes the long way,
and has its checks and errors there.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from gradkit.engines import choice
from gradkit.engines.cpu.addresses import address
from gradkit.engines.cpu.compiled import Call
from gradkit.engines.cpu.floating import wants_errors

__all__ = ["Ready"]


class Ready(NamedTuple):
    """What a plan does with an array, and targets, of one `gradkit.calls.layout`.

    `shapes` are those of the results, which are all distinct.
    """

    call: Call
    shapes: tuple[tuple[int, ...], ...]
    dtype: np.dtype

    def __call__(self, f: np.ndarray, out: Any) -> Any:
        """The results; None where nothing has been done, because the call must go the long way."""
        if choice.ENGINE.get() != choice.AUTO or wants_errors() or not f.flags.aligned:
            return None
        if out is None:
            made = [np.empty(shape, self.dtype) for shape in self.shapes]
            arrays, out = [f, *made], made[0] if len(made) == 1 else tuple(made)
        else:
            targets = [out] if type(out) is np.ndarray else [*out]
            arrays = [f, *targets]
            for target in targets:
                if not target.flags.behaved:  # aligned and writeable
                    return None
            for one, other in combinations(arrays, 2):
                if np.may_share_memory(one, other):  # or perhaps: bounds alone are compared
                    return None
        self.call.run([address(array) for array in arrays], 1)
        return out
