"""Calls like one before, of one array of CuPy: what cannot differ is not looked at again.

A kernel is launched in a few microseconds; all checks and choices of a call take five times that.
Where a call was one launch, what it has settled holds for every other one with an array, and
targets, of the same dtypes, shapes and strides. What such arrays may still differ in is looked at
in each call, in `Ready`; whatever is unusual goes the long way, and has its checks and errors
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from gradkit._array import Array
from gradkit.engines import choice
from gradkit.engines.cuda.device import Device
from gradkit.engines.cuda.launch import Launch, Prepared, launch_of
from gradkit.plan import Plan

__all__ = ["Ready", "keep_ready"]


class Ready(NamedTuple):
    """What a plan does with an array, and targets, of one `gradkit.calls.layout`.

    `shapes` are those of the results, which are all distinct; addresses must be multiples of
    `alignment` bytes.
    """

    launch: Launch
    operands: tuple[Array, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: Any
    device: Device
    alignment: int

    def __call__(self, f: Array, out: Any) -> Any:
        """The results; None where nothing has been done, because the call must go the long way."""
        device, launch = self.device, self.launch
        if choice.ENGINE.get() not in (choice.AUTO, "cuda") or not device.is_current(f):
            return None
        if out is None:
            results = [device.empty(shape, self.dtype) for shape in self.shapes]
            arrays, out = [f, *results], results[0] if len(results) == 1 else tuple(results)
        else:
            results = [*out] if isinstance(out, list | tuple) else [out]
            arrays = [f, *results]
            if not all(map(device.is_current, results)) or self._overlap(arrays):
                return None
        if any(device.address(array) % self.alignment for array in arrays):
            return None
        launch.kernel(launch.grid, launch.block, (*launch.numbers, f, *self.operands, *results))
        return out

    def _overlap(self, arrays: Sequence[Array]) -> bool:
        """Whether some of these arrays, which have no gaps, share memory."""
        starts = [self.device.address(array) for array in arrays]
        spans = zip(starts, (array.nbytes for array in arrays), strict=True)
        return any(a < b + of_b and b < a + of_a for (a, of_a), (b, of_b) in combinations(spans, 2))


def keep_ready(
    plan: Plan,
    f: Array,
    made: Prepared,
    device: Device,
    results: Sequence[Array],
    out: Sequence[Array] | None,
) -> None:
    """Let calls like this one, which one launch has served, go the short way."""
    is_direct = out is None or all(map(device.is_contiguous, out))
    is_plain = plan.is_plain and len(set(plan.same)) == len(plan.same)
    if not (is_plain and is_direct and device.is_current(f) and device.is_contiguous(f)):
        return
    vector = made.vectors[0]
    alignment = vector * max(array.dtype.itemsize for array in (f, *results))
    if any(device.address(array) % alignment for array in (f, *results)):
        return  # a kernel for narrower vectors was launched; the widest may not compile
    ready = Ready(
        launch_of(made, vector, device),
        (*made.arrays, made.edges, *made.tables),
        plan.output_shapes,
        results[0].dtype,
        device,
        alignment,
    )
    given = None if out is None else out if len(out) > 1 else out[0]
    plan.keep_ready(f, given, ready)
