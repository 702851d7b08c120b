"""PyTorch tensors and JAX arrays in the memory of the host, seen as NumPy arrays of that memory.

Eager operations of either take several times as long as the engine does. What traces, transforms
or differentiates them must see their own operations, but for the gradients that torch records,
which are those of the adjoint plan.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from math import prod

import numpy as np

from gradkit import _array, _dtypes, _targets
from gradkit._array import Array
from gradkit.engines.cpu.addresses import address
from gradkit.engines.cpu.preamble import LINE
from gradkit.engines.tensors import is_recording, reason_against_tensor, recorded
from gradkit.plan import Plan

__all__ = ["is_hosted", "reason_against", "run_as_arrays", "seen_as_array"]

#: Elements from which on the adjoint plan, made once, is worth it where gradients are recorded.
SMALL = 2**15
#: What JAX has, and makes of floating numbers, where it is told to have no 64 bits.
_NARROW = {"float16", "float32", "complex64"}
_Run = Callable[[Plan, Sequence[Array], Sequence[Array] | None], Sequence[Array]]


def is_hosted(f: Array) -> bool:
    """Whether an array is one of PyTorch or JAX."""
    return type(f) is not np.ndarray and (_array.is_torch(f) or _array.is_jax(f))


def reason_against(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """Why arrays of PyTorch or JAX are not taken as NumPy arrays; None if they are."""
    of_library = _against_tensors if _array.is_torch(inputs[0]) else _against_arrays
    return next(chain(of_library(plan, inputs), _against_plan(plan, inputs)), None)


def _against_tensors(plan: Plan, inputs: Sequence[Array]) -> Iterator[str]:
    for f in inputs:
        if f.device.type != "cpu":
            yield f"serves tensors in the memory of the host, the input is on {f.device}"
        reason = reason_against_tensor(plan, f)
        if reason is not None:
            yield reason
    if is_recording(inputs):
        size = prod(plan.input_shape)
        if size < SMALL:
            yield f"leaves gradients of fewer than {SMALL} elements to the reference"
        if 8 * _rows_of_tables(plan) > size:
            yield "leaves gradients along coordinates as long as the input to the reference"


def _rows_of_tables(plan: Plan) -> int:
    """How many rows have weights of their own: to transpose them takes longer than their use."""
    rules = {id(step.rule): step.rule for step in plan.bound.alongs()}
    rows = (rows for rule in rules.values() for rows in rule.rows)
    return sum(run.stop - run.start for run in rows if run.is_table)


def _against_arrays(plan: Plan, inputs: Sequence[Array]) -> Iterator[str]:
    if any(map(_array.is_traced, inputs)):
        yield "leaves traced arrays to XLA"
        return
    for f in inputs:
        if f.is_deleted() or not f.is_fully_addressable or len(f.devices()) > 1:
            yield "serves arrays with values on one device"
        elif not _array.is_on_host(f):
            yield f"serves arrays in the memory of the host, the input is on {_array.device(f)}"
    is_wide = any(_dtypes.dtype_name(f.dtype) not in _NARROW for f in inputs)
    if is_wide and not sys.modules["jax"].config.jax_enable_x64:
        yield "leaves integers and float64 to the reference where jax_enable_x64 is not set"
    if all(f.weak_type for f in inputs):
        yield "leaves arrays of weak types to XLA, whose results are weak, too"


def _against_plan(plan: Plan, inputs: Sequence[Array]) -> Iterator[str]:
    names = [_dtypes.dtype_name(f.dtype) for f in inputs]
    strange = [name for name in names if not hasattr(np, name)]
    if strange:
        yield f"leaves arrays of {strange[0]} to the reference"
    if plan.dtype is not None and plan.dtype not in names:
        yield f"leaves results of another dtype, {plan.dtype}, to the reference"
    if any(is_hosted(parameter.array) for parameter in plan.parameters):
        yield "leaves coefficients that are not NumPy arrays to the reference"


def seen_as_array(f: Array) -> np.ndarray:
    """The same memory as a NumPy array; a copy where the values differ from what is in memory."""
    return f.detach().resolve_conj().resolve_neg().numpy() if _array.is_torch(f) else np.asarray(f)


def run_as_arrays(
    run: _Run, plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None
) -> Sequence[Array]:
    """Apply a plan by a function of NumPy arrays; returns one array per output."""
    # Neither library says anything of overflows.
    with np.errstate(all="ignore"):
        if _array.is_jax(inputs[0]):
            return _of_arrays(run, plan, inputs)
        if is_recording(inputs):
            return _targets.delivered(recorded(plan, inputs, partial(_of_tensors, run, plan)), out)
        return _of_tensors(run, plan, inputs, out)


def _of_tensors(
    run: _Run, plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None
) -> Sequence[Array]:
    torch = sys.modules["torch"]
    arrays = list(map(seen_as_array, inputs))
    if out is None or any(target.is_conj() or target.is_neg() for target in out):
        results = run(plan, arrays, None)
        # Equal results are one tensor.
        tensors = {id(result): torch.from_numpy(result) for result in results}
        return _targets.delivered([tensors[id(result)] for result in results], out)
    run(plan, arrays, list(map(seen_as_array, out)))
    for target in out:
        # So that torch knows which gradients are void.
        torch.autograd.graph.increment_version(target)
    return out


def _of_arrays(run: _Run, plan: Plan, inputs: Sequence[Array]) -> Sequence[Array]:
    jax = sys.modules["jax"]
    arrays = list(map(seen_as_array, inputs))
    dtype = plan.precision(arrays).result
    targets = {number: _at_line(plan.output_shapes[number], dtype) for number in set(plan.same)}
    run(plan, arrays, [targets[number] for number in plan.same])
    (place,) = inputs[0].devices()
    # Where jax traces, results have values still.
    with jax.ensure_compile_time_eval(), jax.default_device(place):
        where = place if any(getattr(f, "committed", True) for f in inputs) else None
        results = {number: jax.device_put(target, where) for number, target in targets.items()}
    return [results[number] for number in plan.same]


def _at_line(shape: Sequence[int], dtype: str) -> np.ndarray:
    """A new array from the beginning of a line of the cache on, whose memory JAX takes over."""
    size = prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + LINE, np.uint8)
    start = -address(room) % LINE
    return room[start : start + size].view(dtype).reshape(shape)
