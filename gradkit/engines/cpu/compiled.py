"""Numba kernels for plans on NumPy arrays: which kernel, in which boxes of rows, with what.

The kernels release the lock of the interpreter, and are called from threads of Python's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from gradkit import _dtypes
from gradkit._threads import in_parallel
from gradkit.calls import MOST_LAYOUTS
from gradkit.engines.cpu.addresses import address
from gradkit.engines.cpu.compiling import KernelError, has_half_precision, reason_against_numba
from gradkit.engines.cpu.kernel_source import slots
from gradkit.engines.cpu.key import Key
from gradkit.engines.cpu.limits import reasons_against
from gradkit.engines.cpu.loading import Kernel, loaded
from gradkit.engines.cpu.numbers import Numbers, key_of
from gradkit.engines.cpu.preamble import LINE
from gradkit.engines.cpu.table_source import SCRATCH
from gradkit.engines.program import program_of
from gradkit.plan import Plan

__all__ = ["Call", "call_for", "reason_against", "run"]

#: Bytes of the input that the rows of a box take at once, so that they stay in the second cache.
BOX = 2**18
#: Bytes of the input that the rows of a box take in all, where several kernels are called for it.
SHARED = 2**20
#: Bytes of a line of a box, at least: processors fetch ahead along lines.
SHORTEST_LINE = 2**14
#: Boxes per thread, at least, so that none waits long for the others.
BOXES_PER_THREAD = 2
#: Memory to work in that no call is using, and where it begins.
_spare: list[tuple[np.ndarray, int]] = []


def reason_against(plan: Plan, inputs: Sequence[np.ndarray]) -> str | None:
    """Why there are no kernels for a plan on inputs of these dtypes; None if there are."""
    reason = reason_against_numba()
    if reason is not None:
        return reason
    key = ("cpu kernels", *(f.dtype for f in inputs))
    if key not in plan.memo:
        plan.memo[key] = _reason_against(plan, inputs)
    return plan.memo[key] or _reason_against_layout(inputs)


def _reason_against(plan: Plan, inputs: Sequence[np.ndarray]) -> str | None:
    reason = next(reasons_against(plan, program_of(plan, inputs), inputs), None)
    names = [*(f.dtype.name for f in inputs), plan.precision(inputs).result]
    if reason is None and "float16" in names and not has_half_precision():
        return "has no kernels for float16 on this processor"
    return reason


def _reason_against_layout(inputs: Sequence[np.ndarray]) -> str | None:
    if not all(f.flags.aligned for f in inputs):
        return "has no kernels for elements that are not aligned in memory"
    # Complex numbers are taken as pairs of reals, one line after the other.
    if _is_complex(inputs[0].dtype) and any(f.strides[-1] != f.itemsize for f in inputs):
        return "has no kernels for complex arrays with gaps along their last axis"
    return None


def _is_complex(dtype: np.dtype) -> bool:
    return _dtypes.kind(dtype.name) == "complex"


@dataclass(frozen=True, eq=False)
class _Launch:
    """A kernel with all that it is called with, but for the addresses of a call and of boxes."""

    kernel: Kernel
    key: Key
    numbers: Numbers
    integers: np.ndarray


#: A kernel, where its integers are, and what takes those of its arrays from all of a call.
_Planned = tuple[Kernel, int, Callable[[Sequence[int]], tuple[int, ...]]]
#: A kernel, where its integers are, and where its arrays begin.
_Placed = tuple[Kernel, int, tuple[int, ...]]


class _Batch(NamedTuple):
    """Kernels that are called for the same boxes of rows, one after the other.

    `boxes` are addresses; `kept` is what lies at addresses.
    """

    launches: tuple[_Planned, ...]
    kept: tuple[Any, ...]
    boxes: range


class Call(NamedTuple):
    """What a call of a plan does, and the numbers of the results that are 0 everywhere.

    `is_aside` tells that results must be computed in arrays without gaps first.
    """

    batches: tuple[_Batch, ...] = ()
    zeros: tuple[int, ...] = ()
    is_aside: bool = False

    def run(self, addresses: Sequence[int], threads: int) -> None:
        """Compute all results but zeros, where inputs and results begin at these addresses."""
        for launches, _, boxes in self.batches:
            placed = [(kernel, given, wanted(addresses)) for kernel, given, wanted in launches]
            if threads > 1:
                in_parallel(partial(_worker, placed), boxes, threads)
            else:
                # Such calls are over before it would pay to ask who else is busy.
                _run_boxes(placed, boxes)


def call_for(
    plan: Plan,
    inputs: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
    threads: int,
    compiles: bool = True,
) -> Call | str:
    """What a call of a plan does for arrays like these, kept on it, or why there are no kernels.

    `compiles` tells whether kernels that are not kept from before are worth compiling.
    """
    calls: dict[Any, Call | str] = plan.memo.setdefault("cpu calls", {})
    layouts = ((array.dtype, array.strides, array.flags.aligned) for array in (*inputs, *results))
    key = (threads, compiles, *layouts)
    call = calls.get(key)
    if call is None:
        if len(calls) >= MOST_LAYOUTS:
            calls.clear()
        call = calls[key] = _new_call(plan, inputs, results, threads, compiles)
    return call


def run(
    plan: Plan,
    inputs: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
    threads: int,
    compiles: bool = True,
) -> bool:
    """Apply a plan by its kernels; writes to one array per distinct output.

    False where there are none for these arrays: then nothing has been written.
    """
    call = call_for(plan, inputs, results, threads, compiles)
    if isinstance(call, str):
        return False
    if call.is_aside:
        whole = [np.empty(result.shape, result.dtype) for result in results]
        if not run(plan, inputs, whole, threads, compiles):
            return False
        for result, values in zip(results, whole, strict=True):
            result[...] = values
        return True
    for number in call.zeros:
        results[number][...] = 0
    call.run([address(array) for array in (*inputs, *results)], threads)
    return True


def _worker(placed: Sequence[_Placed]) -> Callable[[int], None]:
    """The kernels, for boxes."""
    return lambda box: _run_boxes(placed, (box,))


def _run_boxes(placed: Sequence[_Placed], boxes: Sequence[int]) -> None:
    try:
        room, scratch = _spare.pop()
    except IndexError:
        room = np.empty(SCRATCH + LINE, np.uint8)
        scratch = -(-address(room) // LINE) * LINE
    for box in boxes:
        for kernel, given, begins in placed:
            kernel(box, given, scratch, *begins)
    _spare.append((room, scratch))


# --- what is kept on a plan -----------------------------------------------------------------------


def _new_call(
    plan: Plan,
    inputs: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
    threads: int,
    compiles: bool,
) -> Call | str:
    """The kernels of a plan, or why there are none."""
    reason = reason_against(plan, inputs)
    if reason is not None:
        return reason
    if not all(result.flags.aligned for result in results):
        return Call(is_aside=True)
    program = program_of(plan, inputs)
    launches: list[_Launch] = []
    zeros: list[int] = []
    # A kernel for each result: one for several writes to more places than the caches take well.
    for number, result in enumerate(program.sums):
        if not result.sequels:
            zeros.append(number)
            continue
        made = key_of(plan, program, number, inputs, results[number])
        if made is None:
            return Call(is_aside=True)
        key, numbers = made
        integers = np.array([numbers.slots[name] for name in slots(key)], np.int64)
        try:
            kernel = loaded(key, compiles)
        except KernelError as error:
            return str(error)
        launches.append(_Launch(kernel, key, numbers, integers))
    # All results of a box are computed while its inputs are in the caches.
    together: dict[tuple[int, ...], list[_Launch]] = {}
    for launch in launches:
        together.setdefault(launch.numbers.sizes, []).append(launch)
    return Call(tuple(_batch(some, threads) for some in together.values()), tuple(zeros))


def _batch(launches: Sequence[_Launch], threads: int) -> _Batch:
    bounds = np.array(list(_boxes(launches, threads)), np.int64)
    begin, step = address(bounds), bounds.itemsize * 2 * len(launches[0].numbers.sizes)
    planned = tuple(
        (launch.kernel, address(launch.integers), itemgetter(*launch.numbers.arrays))
        for launch in launches
    )
    kept = (bounds, *launches)
    return _Batch(planned, kept, range(begin, begin + bounds.nbytes, step))


def _boxes(launches: Sequence[_Launch], threads: int) -> Iterator[list[int]]:
    """The boxes of rows that kernels are called for, neighbours along the first axis in turn."""
    sizes = launches[0].numbers.sizes
    if not all(sizes):
        return
    lengths = _lengths(launches, threads)
    ranges = [
        [(start, min(start + length, size)) for start in range(0, size, length)]
        for size, length in zip(sizes, lengths, strict=True)
    ]
    for box in product(*reversed(ranges)):
        yield [bound for along in reversed(box) for bound in along]


def _lengths(launches: Sequence[_Launch], threads: int) -> list[int]:
    """Rows of a box along each axis.

    Along the first axis with wide differences a box is long: what neighbouring rows take stays in
    a cache as long as the other axes of the box are short. It ends where the next kernel would no
    longer find the input in a cache.
    """
    sizes = launches[0].numbers.sizes
    ndim, size = len(sizes), np.dtype(launches[0].key.real).itemsize
    lengths = list(sizes)
    spreads = [item for launch in launches for item in launch.numbers.spreads.items()]
    marched = min((axis for axis, (a, b) in spreads if b > a), default=ndim - 1)
    if marched < ndim - 1:
        wide = max(b - a for axis, (a, b) in spreads if axis == marched)
        room = max(BOX // (size * (wide + 1)), 1)
        # The axes in between are cut first, lines last.
        for axis in range(marched + 1, ndim - 1):
            inner = prod(lengths[axis + 1 :])
            lengths[axis] = max(min(lengths[axis], room // inner), 1)
        lengths[-1] = min(lengths[-1], max(room, SHORTEST_LINE // size))
    lengths[-1] = -(-lengths[-1] // LINE) * LINE
    if len(launches) > 1:
        for axis in range(ndim - 1):
            inner = prod(lengths[axis + 1 :])
            lengths[axis] = max(min(lengths[axis], SHARED // (size * inner)), 1)
    wanted = threads * BOXES_PER_THREAD if threads > 1 else 1
    for axis in range(ndim):
        count = prod(-(-n // length) for n, length in zip(sizes, lengths, strict=True))
        if count >= wanted:
            break
        parts = -(-wanted // count)
        lengths[axis] = max(-(-lengths[axis] // parts), 1)
        if axis == ndim - 1:
            lengths[axis] = -(-lengths[axis] // LINE) * LINE
    return lengths
