"""Launches of kernels: the only place that compiles them, lays out grids and passes arguments.

A `Device` is what kernels need of the place where arrays live. `OnCuPy` is the one that users have;
the tests have another, which runs the same launches on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array, Namespace
from gradkit.engines.cuda.key import Key, Numbers, key_of, reason_against
from gradkit.engines.cuda.source import BLOCK, DTYPES, name, source
from gradkit.engines.program import ready_parameter
from gradkit.plan import Plan

__all__ = ["Device", "OnCuPy", "Prepared", "launched", "layout", "prepared", "reject"]

#: Blocks along the second and third axis of a grid, at most.
MOST_BLOCKS = 65535
#: Elements from which on indices have 64 bits: what threads beyond the end add still fits below.
WIDE = 2**31 - 2**24
#: Bytes that a thread loads at once.
VECTOR_BYTES = 16

Kernel = Callable[[tuple[int, int, int], tuple[int, int, int], tuple[Any, ...]], None]


class Device(Protocol):
    """Where arrays live and kernels run."""

    @property
    def xp(self) -> Namespace:
        """The array module."""
        ...

    def contiguous(self, array: Array) -> Array:
        """An array in C order, itself if it is."""
        ...

    def upload(self, values: np.ndarray) -> Array:
        """An array of the device with the values of one on the host."""
        ...

    def address(self, array: Array) -> int:
        """Where the first element lies."""
        ...

    def kernel(self, key: Key) -> Kernel:
        """The compiled kernel of a key, kept for the next call."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan made ready for a device: its key, its numbers, and all arrays but those of a call."""

    key: Key
    numbers: Numbers
    arrays: tuple[Array, ...]
    edges: Array
    tables: tuple[Array, ...]


def prepared(plan: Plan, inputs: Sequence[Array], device: Device) -> Prepared | str:
    """A plan made ready for inputs of these dtypes, kept on the plan; or why it cannot be."""
    key = _memo_key(inputs, device)
    found = plan.memo.get(key)
    if found is None:
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
    arrays = (
        ready_parameter(device.xp, plan.parameters[slot], form, precision.real, inputs[0])
        for slot, form, _ in numbers.arrays
    )
    # An array that nothing is read from has an address, too.
    edges = numbers.edges if numbers.edges.size else np.zeros(1, numbers.edges.dtype)
    return Prepared(
        key,
        numbers,
        tuple(map(device.contiguous, arrays)),
        device.upload(edges),
        tuple(map(device.upload, numbers.tables)),
    )


def launched(plan: Plan, inputs: Sequence[Array], made: Prepared, device: Device) -> list[Array]:
    """Run a prepared plan; returns one array per output."""
    given = [device.contiguous(f) for f in inputs]
    dtype = _array.result_dtype(device.xp, inputs, made.key.result)
    distinct = list(dict.fromkeys(plan.same))
    results = [device.xp.empty(plan.output_shapes[i], dtype=dtype) for i in distinct]
    arrays = [*given, *made.arrays, made.edges, *made.tables, *results]
    key = _fitted(
        made.key, made.numbers.sizes, [*given, *made.arrays, *made.tables, *results], device
    )
    grid, block = layout(key, made.numbers.sizes)
    index = np.int64 if key.is_wide else np.int32
    real = np.dtype(key.real).type
    numbers = made.numbers
    scalars = (
        part for k in numbers.scalars for part in ((k.real, k.imag) if key.is_complex else (k,))
    )
    arguments = (
        *map(index, numbers.sizes),
        *map(real, numbers.weights),
        *map(real, scalars),
        *arrays,
    )
    device.kernel(key)(grid, block, arguments)
    by_number = dict(zip(distinct, results, strict=True))
    return [by_number[i] for i in plan.same]


# --- what a launch is fitted to -------------------------------------------------------------------


def _fitted(key: Key, sizes: Sequence[int], arrays: Sequence[Array], device: Device) -> Key:
    """The key with the width of vectors and of indices that the arrays of a call allow."""
    is_wide = max(array.size for array in arrays) + max(sizes) >= WIDE
    widest = max(_dtypes.itemsize(n) for n in (*(f.dtype for f in key.inputs), key.result))
    vector = VECTOR_BYTES // widest
    while vector > 1 and not _may_be_vectors(key, sizes, arrays, device, vector):
        vector //= 2
    return key._replace(is_wide=is_wide, vector=vector)


def _may_be_vectors(
    key: Key, sizes: Sequence[int], arrays: Sequence[Array], device: Device, vector: int
) -> bool:
    last = key.ndim - 1
    ends = [f.extras[last] for f in (*key.inputs, *key.outputs)]
    ends += [a.extras[last] for a in key.arrays if a.extras[last] is not None]
    rules = [rule for rule in key.rules if rule.axis == last]
    in_line = all(
        not (rule.sources or rule.targets or rule.middle_folds)
        and all(isinstance(k, int | None) for pair in rule.middle for k in pair)
        for rule in rules
    )
    whole = sizes[last] % vector == 0
    single = prod(sizes[:last]) == 1 and not key.arrays and not any(r.is_table for r in rules)
    aligned = all(device.address(array) % (vector * array.dtype.itemsize) == 0 for array in arrays)
    return in_line and not any(ends) and (whole or single) and aligned


def layout(key: Key, sizes: Sequence[int]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The grid and the block of a launch."""
    counts = [n + max(o.extras[axis] for o in key.outputs) for axis, n in enumerate(sizes)]
    if key.march > 1:
        counts[key.marched] = -(-counts[key.marched] // key.march)
    across = -(-counts[-1] // key.vector)
    x = min(BLOCK, 1 << max(across - 1, 0).bit_length())
    y = BLOCK // x if key.ndim > 1 else 1
    rows = counts[-2] if key.ndim > 1 else 1
    grid = (
        -(-across // x),
        min(-(-rows // y), MOST_BLOCKS),
        min(prod(counts[:-2]), MOST_BLOCKS),
    )
    return grid, (x, y, 1)


# --- CuPy -----------------------------------------------------------------------------------------

#: Kernels by the number of the device and the key; those that failed by the reason.
_KERNELS: dict[tuple[int, Key], Any] = {}


@dataclass(frozen=True)
class OnCuPy:
    """A CUDA device, by its number, through CuPy."""

    number: int

    def current(self) -> AbstractContextManager[Any]:
        """A block in which this is the current device."""
        return self.xp.cuda.Device(self.number)

    @property
    def xp(self) -> Namespace:
        """CuPy."""
        import cupy  # pyright: ignore[reportMissingImports]

        return cupy

    @property
    def compile_error(self) -> type[Exception]:
        """What a kernel that does not compile raises."""
        return self.xp.cuda.compiler.CompileException

    def contiguous(self, array: Array) -> Array:
        """An array in C order, itself if it is."""
        return self.xp.ascontiguousarray(array)

    def upload(self, values: np.ndarray) -> Array:
        """An array of the device with the values of one on the host."""
        return self.xp.asarray(values)

    def address(self, array: Array) -> int:
        """Where the first element lies."""
        return array.data.ptr

    def kernel(self, key: Key) -> Kernel:
        """The compiled kernel of a key, kept for the next call."""
        found = _KERNELS.get((self.number, key))
        if found is None:
            found = self.xp.RawKernel(source(key), name(key), options=("--std=c++17",))
            _KERNELS[self.number, key] = found
        return found
