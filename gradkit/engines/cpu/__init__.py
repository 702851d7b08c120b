"""The CPU engine: NumPy arrays at the speed of memory, on all cores.

Large arrays, and smaller ones that a plan is applied to again and again, are served by kernels that
Numba makes from the plan (`compiled`), where it is there. All others are served by NumPy: arrays
that fit into a cache at once (`straight`), the rest tile by tile (`blocked`). All three take the
same operations as the reference, which itself serves the first calls on small arrays. Small arrays
that kernels have served are served by them again without being checked anew (`ready`). The first
call of a plan on long coordinates goes part by part, so that it holds few weights (`stretches`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gradkit import _array, _dtypes, _targets
from gradkit._array import Array
from gradkit._threads import worth_calling
from gradkit.engines import reference
from gradkit.engines.cpu import blocked, compiled, straight
from gradkit.engines.cpu.floating import Recorder, wants_errors
from gradkit.engines.cpu.hosted import is_hosted, reason_against, run_as_arrays, seen_as_array
from gradkit.engines.cpu.ready import Ready, pairs_of
from gradkit.engines.cpu.stretches import (
    SHORTEST,
    Stretches,
    reads_from,
    stretches_of,
    whole,
)
from gradkit.engines.cpu.strips import REPEATED
from gradkit.engines.program import Passage, Program, program_of
from gradkit.plan import Plan

__all__ = ["run", "supports"]

#: Elements of the first input from which on tiles are faster than whole arrays of the reference.
SMALL = 2**15
#: Bytes of results up to which arrays are taken whole.
WHOLE = 2**22
#: Calls of a plan on small arrays before its list is made, which takes as long as it saves in ten
#: to a hundred of them. Users with coordinates that are new in every call make one call per plan.
FEW = 8
#: Bytes of results from which on a kernel pays, whose text takes a second or two to compile once.
COMPILED = 2**24
#: Bytes of results of all calls of a plan from which on it pays for smaller ones, too: a kernel
#: saves 0.3 to 2 s per so many, and takes 1 to 4 s to compile once.
EARNED = 2**30
#: The same of a kernel that has been compiled before: 0.06 s for the first that a process reads.
KEPT = 2**26


class _Service(NamedTuple):
    """How a plan is served for inputs of some dtypes.

    `reason` says why it is not, `is_whole` whether arrays are taken whole. `total` is the number of
    bytes of all `shapes`, those of the distinct results; `first` has, per result, the number of the
    first output that it is.
    """

    program: Program
    reason: str | None
    is_whole: bool
    shapes: tuple[tuple[int, ...], ...]
    total: int
    first: tuple[int, ...]


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None for arrays of sizes where this engine pays, else the reason."""
    if is_hosted(inputs[0]):
        reason = reason_against(plan, inputs)
        if reason is not None:
            return reason
        inputs = list(map(seen_as_array, inputs))
    for f in inputs:
        if type(f) is not np.ndarray:
            if isinstance(f, np.ndarray):
                return f"serves plain numpy arrays, the input is a {type(f).__name__}"
            return f"serves numpy, torch and jax arrays, the input is a {_array.library(f)} array"
    stretches = stretches_of(plan)
    service = _service(plan if stretches is None else stretches.first, inputs)
    if service.reason is None and not service.is_whole and inputs[0].size < SMALL:
        return f"leaves fewer than {SMALL} complex numbers or wide integers to the reference"
    return service.reason


def _key(what: str, inputs: Sequence[Array]) -> tuple[Any, ...]:
    """Where a plan keeps something for inputs of these dtypes."""
    return (what, inputs[0].dtype if len(inputs) == 1 else tuple(f.dtype for f in inputs))


def _service(plan: Plan, inputs: Sequence[Array]) -> _Service:
    """How a plan is served, kept on it."""
    key = _key("cpu", inputs)
    found = plan.memo.get(key)
    if found is None:
        found = plan.memo[key] = _new_service(plan, inputs)
    return found


def _new_service(plan: Plan, inputs: Sequence[Array]) -> _Service:
    program = program_of(plan, inputs)
    reason = _reason_against(program, inputs)
    shapes = tuple(result.shape for result in program.sums)
    size = np.dtype(program.result).itemsize
    is_real = program.precision.compute == program.precision.real
    is_whole = (
        reason is None
        and is_real
        and not any(program.precision.splits)
        and _takes_whole(plan, program, size)
    )
    first = tuple(map(program.outputs.index, range(len(shapes))))
    return _Service(program, reason, is_whole, shapes, size * sum(map(prod, shapes)), first)


def _whole(plan: Plan, program: Program, inputs: Sequence[np.ndarray]) -> straight.Whole:
    """The list of a plan, kept on it."""
    key = _key("cpu, whole", inputs)
    found = plan.memo.get(key)
    if found is None:
        found = plan.memo[key] = straight.whole(program, inputs)
    return found


def _takes_whole(plan: Plan, program: Program, size: int) -> bool:
    """Whether arrays pay to be taken whole; `size` is that of an element of the results."""
    shapes = [result.shape for result in program.sums]
    last = len(plan.shape) - 1
    rules = [step.rule for step in plan.bound.alongs() if 0 < step.axis == last]
    has_tables = any(rows.is_table for rule in rules for rows in rule.rows)
    if has_tables and size * max(map(prod, shapes)) > REPEATED:
        return False
    return bool(plan.shape) and size * sum(map(prod, shapes)) <= WHOLE


def _reason_against(program: Program, inputs: Sequence[Array]) -> str | None:
    precision = program.precision
    if _dtypes.TIME in precision.splits:
        return "leaves times to the reference"
    if precision.compute != precision.real and any(f.dtype.kind != "c" for f in inputs):
        return "leaves real inputs of complex operators to the reference"
    if _has_wide_tables(program, precision.real):
        return f"leaves weights beyond the range of {precision.real} to the reference"
    return None


def _has_wide_tables(program: Program, real: str) -> bool:
    """Whether some weights have more precision than differences."""
    return any(
        isinstance(weight, np.ndarray) and weight.dtype != real
        for result in program.sums
        for chain in result.sequels
        for step in chain.steps
        if isinstance(step, Passage)
        for piece in step.pieces
        for _, _, weight in piece.differences
    )


def _new_results(shapes: Sequence[tuple[int, ...]], dtype: Any, f: np.ndarray) -> list[np.ndarray]:
    """Arrays for the distinct results, with their axes in the order of the first input."""
    if f.flags.c_contiguous:
        return [np.empty(shape, dtype) for shape in shapes]
    return [np.empty_like(f, dtype, "K", False, shape) for shape in shapes]


def _given_results(service: _Service, out: Sequence[Array]) -> list[Array] | None:
    """The array of each distinct result; None where they cannot be written to part by part."""
    targets = [out[number] for number in service.first]
    for target in targets:
        # What masks, matrices and arrays with units make of slices and ufuncs is their own affair.
        if type(target) is not np.ndarray and type(target) is not np.memmap:
            return None
    return targets


def run(plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None) -> Sequence[Array]:
    """Apply a plan to arrays in the memory of the host; returns one array per output."""
    if is_hosted(inputs[0]):
        return run_as_arrays(run, plan, inputs, out)
    stretches = stretches_of(plan)
    if stretches is not None and out is not None and reads_from(plan, stretches, out):
        whole(plan)
        stretches = None
    service = _service(plan if stretches is None else stretches.first, inputs)
    shapes = tuple(plan.output_shapes[number] for number in service.first)
    total = np.dtype(service.program.result).itemsize * sum(map(prod, shapes))
    # Threads that count at once may lose some; that only puts the list and the kernel off.
    written = plan.memo["bytes written"] = plan.memo.get("bytes written", 0) + total
    compiles = total >= COMPILED or written >= EARNED
    pays = (compiles or written >= KEPT) and not wants_errors()
    if out is None and not pays and written <= FEW * total and _is_small(service, inputs[0]):
        return reference.run(plan, inputs)
    given = None if out is None else _given_results(service, out)
    results = _new_results(shapes, service.program.result, inputs[0]) if given is None else given
    if stretches is None:
        write = partial(_serve, plan, service, inputs, results, pays)
    else:
        write = partial(_run_in_stretches, plan, stretches, inputs, results, pays)
    try:
        if write(compiles):
            _keep_ready(plan, inputs[0], results, out, compiles)
    except KeyboardInterrupt:
        if given is not None:
            write(False)  # no target is left half-written
        raise
    return _targets.delivered([results[number] for number in service.program.outputs], out)


def _serve(
    plan: Plan,
    service: _Service,
    inputs: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
    pays: bool,
    compiles: bool,
) -> bool:
    """Write to one array per distinct output; returns whether kernels of the plan did."""
    threads = worth_calling(service.total)
    if pays and compiled.run(plan, inputs, results, threads, compiles):
        return True
    if service.is_whole:
        _whole(plan, service.program, inputs).run(inputs, results)
    else:
        blocked.run(service.program, inputs, results, threads)
    return False


def _run_in_stretches(
    plan: Plan,
    stretches: Stretches,
    inputs: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
    pays: bool,
    compiles: bool,
) -> bool:
    """Do the same part by part of a long axis, which kernels of the plan do not."""
    recorder = Recorder()
    with recorder.noting():
        for part, given, targets in stretches.parts(plan, inputs, results):
            # The few rows near the ends are not worth a kernel of their own.
            is_long = targets[0].shape[stretches.axis] >= SHORTEST
            _serve(part, _service(part, given), given, targets, pays and is_long, compiles)
    whole(plan)
    recorder.report()
    return False


def _is_small(service: _Service, f: np.ndarray) -> bool:
    """Whether the reference is as fast, and lays out its results in the same way."""
    return service.is_whole and f.size < SMALL and f.flags.c_contiguous


def _keep_ready(
    plan: Plan,
    f: np.ndarray,
    results: Sequence[np.ndarray],
    out: Sequence[Array] | None,
    compiles: bool,
) -> None:
    """Let calls like this one, which kernels have served, go the short way."""
    if not plan.is_plain or len(results) < len(plan.same):
        return
    total = sum(result.nbytes for result in results)
    call = compiled.call_for(plan, [f], results, worth_calling(total), compiles)
    if isinstance(call, str) or call.is_aside or call.zeros:
        return
    # New results of an array in another order than NumPy's own have that order, too.
    is_kept = f.flags.c_contiguous if out is None else results[0] is out[0]
    given = None if out is None else results if len(results) > 1 else results[0]
    if is_kept:
        shapes = tuple(result.shape for result in results)
        pairs = () if out is None else pairs_of((f, *results))
        plan.keep_ready(f, given, Ready(call, shapes, results[0].dtype, total, pairs))
