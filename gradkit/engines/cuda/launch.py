"""Launches of kernels made for a plan: vectors, indices and grids that fit, and their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gradkit import _array, _dtypes, _targets
from gradkit._array import Array
from gradkit.engines.cuda.device import Device, Kernel
from gradkit.engines.cuda.from_plan import key_of, reason_against
from gradkit.engines.cuda.key import Key, Numbers
from gradkit.engines.cuda.layout import layout
from gradkit.engines.cuda.preamble import DTYPES
from gradkit.engines.program import ready_parameter
from gradkit.plan import Plan

__all__ = [
    "Launch",
    "Prepared",
    "launch_of",
    "launched",
    "prepared",
    "reject",
    "start",
]

#: Blocks along the second and third axis of a grid, at most.
MOST_BLOCKS = 65535
#: Elements from which on indices have 64 bits: what threads beyond the end add still fits below.
WIDE = 2**31 - 2**24
#: Bytes that a thread loads at once.
VECTOR_BYTES = 16


class Launch(NamedTuple):
    """A kernel with its grid, its block, and its arguments but the arrays."""

    kernel: Kernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    numbers: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan made ready for a device.

    Attributes
    ----------
    key, numbers : Key and Numbers
        What its kernels do; the key is that of single results and 32-bit indices.
    arrays, tables : tuple of array
        On the device: coefficients and what is known along walls; weights of rows in the middle.
    edges : array
        Weights of rows at ends.
    vectors : tuple of int
        The widths of vectors that shapes and these arrays allow, the widest first.
    is_wide : bool
        Whether indices need 64 bits.
    launches : dict
        The launch of each width, from its first use on.
    """

    key: Key
    numbers: Numbers
    arrays: tuple[Array, ...]
    edges: Array
    tables: tuple[Array, ...]
    vectors: tuple[int, ...]
    is_wide: bool
    launches: dict[int, Launch] = field(default_factory=dict[int, Launch])


def prepared(plan: Plan, inputs: Sequence[Array], device: Device) -> Prepared | str:
    """A plan made ready for inputs of these dtypes, kept on the plan; or why it cannot be."""
    key = _memo_key(inputs, device)
    found = plan.memo.get(key)
    if found is None:
        if device.is_capturing():
            # The weights would be there only once the graph has run.
            return "cannot upload weights while a graph is captured: call the plan once before"
        found = plan.memo[key] = _prepare(plan, key[2], inputs, device)
    return found


def reject(plan: Plan, inputs: Sequence[Array], device: Device, error: Exception) -> str:
    """Remember that the kernel of a plan does not compile; returns the reason."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    reason = f"could not compile the kernel: {first}"
    plan.memo[_memo_key(inputs, device)] = reason
    return reason


def _memo_key(inputs: Sequence[Array], device: Device) -> tuple[str, Device, tuple[str, ...]]:
    return ("cuda", device, tuple(_dtypes.dtype_name(f.dtype) for f in inputs))


def _prepare(
    plan: Plan, names: Sequence[str], inputs: Sequence[Array], device: Device
) -> Prepared | str:
    precision = plan.precision(inputs)
    unknown = [n for n in (*names, precision.compute, precision.result) if n not in DTYPES]
    if unknown:
        return f"has no kernels for {unknown[0]}"
    reason = reason_against(plan)
    if reason is not None:
        return reason
    made = key_of(plan, names, precision)
    if isinstance(made, str):
        return made
    key, numbers = made
    xp = _array.namespace(inputs[0])
    arrays = [
        ready_parameter(xp, plan.parameters[slot], form, precision.real, inputs[0])
        for slot, form, _ in numbers.arrays
    ]
    arrays = [
        device.contiguous(array if part is None else array[part])
        for array, (_, _, part) in zip(arrays, numbers.arrays, strict=True)
    ]
    tables = tuple(map(device.upload, numbers.tables))
    # An array that nothing is read from has an address, too.
    edges = numbers.edges if numbers.edges.size else np.zeros(1, numbers.edges.dtype)
    shapes = (*plan.input_shapes, *plan.output_shapes, *(a.shape for a in (*arrays, *tables)))
    edges = device.upload(edges)
    # They are kept for calls on other streams.
    device.settle()
    return Prepared(
        key,
        numbers,
        tuple(arrays),
        edges,
        tables,
        tuple(
            width
            for width in _widths(key, numbers.sizes)
            if all(_is_aligned(array, width, device) for array in (*arrays, *tables))
        ),
        max(map(prod, shapes)) + max(numbers.sizes) >= WIDE,
    )


def launched(
    plan: Plan,
    inputs: Sequence[Array],
    made: Prepared,
    device: Device,
    out: Sequence[Array] | None = None,
) -> Sequence[Array]:
    """Run a prepared plan; returns one array per output."""
    given = [_in_place(device.contiguous(f), device) for f in inputs]
    dtype = _array.result_dtype(_array.namespace(inputs[0]), inputs, made.key.result)
    distinct = list(dict.fromkeys(plan.same))
    results = [
        device.empty(plan.output_shapes[i], dtype)
        if out is None or not (device.is_contiguous(out[i]) and _is_aligned(out[i], 1, device))
        else out[i]
        for i in distinct
    ]
    start(made, (*given, *made.arrays, made.edges, *made.tables), results, device)
    for result in results if out is not None else ():
        device.written(result)
    by_number = dict(zip(distinct, results, strict=True))
    return _targets.delivered([by_number[i] for i in plan.same], out)


def start(
    made: Prepared, operands: Sequence[Array], results: Sequence[Array], device: Device
) -> None:
    """Launch the widest kernel that the addresses allow.

    `operands` are the inputs, the arrays, the weights of rows at ends and the tables.
    """
    inputs = operands[: len(made.key.inputs)]
    vector = next(
        width
        for width in made.vectors
        if all(_is_aligned(array, width, device) for array in (*inputs, *results))
    )
    launch = launch_of(made, vector, device)
    launch.kernel(launch.grid, launch.block, (*launch.numbers, *operands, *results))


def launch_of(made: Prepared, vector: int, device: Device) -> Launch:
    """The launch of vectors of some width, kept for the next call."""
    found = made.launches.get(vector)
    if found is None:
        found = made.launches[vector] = _launch(made, vector, device)
    return found


def _launch(made: Prepared, vector: int, device: Device) -> Launch:
    key = made.key.fitted(vector, made.is_wide)
    grid, block, stretch = layout(key, made.numbers.sizes)
    rows: tuple[Any, ...] = (stretch,) if key.walks else ()
    blocks: tuple[Any, ...] = ()
    if max(grid[1:]) > MOST_BLOCKS:
        key = key._replace(is_flat=True)
        blocks = tuple(map(np.uint32, grid[:2]))
        grid = prod(grid), 1, 1
    index = np.int64 if key.is_wide else np.int32
    numbers, real = made.numbers, np.dtype(key.real).type
    scalars = (
        part for k in numbers.scalars for part in ((k.real, k.imag) if key.is_complex else (k,))
    )
    arguments = (
        *map(index, (*numbers.sizes, *rows)),
        *blocks,
        *map(real, numbers.weights),
        *map(real, scalars),
    )
    return Launch(device.kernel(key), grid, block, arguments)


# --- what a launch is fitted to -------------------------------------------------------------------


def _widths(key: Key, sizes: Sequence[int]) -> list[int]:
    """The widths of vectors that the shapes of a plan allow, the widest first; 1 at last."""
    last = key.ndim - 1
    rules = [rule for rule in key.rules if rule.axis == last]
    in_line = all(
        not (rule.sources or rule.targets)
        and all(isinstance(k, int | None) for pair in rule.middle for k in pair)
        for rule in rules
    )
    chains = [chain.first[last] for chain in key.chains()]
    extras = [array.extras[last] for array in (*key.inputs, *key.outputs)]
    if not in_line or any(chains) or any(extras):
        return [1]
    widest = max(_dtypes.itemsize(n) for n in (*(f.dtype for f in key.inputs), key.result))
    powers = (VECTOR_BYTES // widest >> k for k in range(VECTOR_BYTES))
    # A single line may end within a vector, if nothing else is read along it.
    single = key.ndim == 1 and not key.arrays and not any(r.is_table for r in rules)
    return [n for n in powers if n == 1 or (n > 1 and (single or sizes[last] % n == 0))] or [1]


def _in_place(array: Array, device: Device) -> Array:
    """An array whose elements a kernel can load: complex numbers may lie between their places."""
    if _is_aligned(array, 1, device):
        return array
    copy = device.empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def _is_aligned(array: Array, vector: int, device: Device) -> bool:
    return device.address(array) % (vector * array.dtype.itemsize) == 0
