"""The CPU engine: NumPy arrays at the speed of memory, on all cores.

Large arrays, and smaller ones that a plan is applied to again and again, are served by kernels that
Numba makes from the plan (`compiled`), where it is there; all others by NumPy, tile by tile
(`blocked`). Both take the same operations as the reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradkit import _array, _dtypes
from gradkit._array import Array
from gradkit.engines.cpu import blocked, compiled
from gradkit.engines.cpu.threads import limit
from gradkit.engines.program import Passage, Program, program_of
from gradkit.plan import Plan

__all__ = ["run", "supports"]

#: Elements of the first input from which on tiles are faster than whole arrays.
SMALL = 2**15
#: Bytes of results from which on several threads are.
LARGE = 2**22
#: Bytes of results from which on a kernel pays, whose text takes a second or two to compile once.
COMPILED = 2**24
#: Bytes of results of all calls of a plan from which on it pays for smaller ones, too.
EARNED = 2**30


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None for NumPy arrays of a size where tiles pay, else the reason."""
    f = inputs[0]
    if type(f) is not np.ndarray:
        return f"serves numpy arrays, the input is a {_array.library(f)} array"
    if f.size < SMALL:
        return f"leaves arrays of fewer than {SMALL} elements to the reference"
    key = ("cpu", tuple(g.dtype for g in inputs))
    if key not in plan.memo:
        plan.memo[key] = _reason_against(plan, inputs)
    return plan.memo[key]


def _reason_against(plan: Plan, inputs: Sequence[Array]) -> str | None:
    names = [_dtypes.dtype_name(f.dtype) for f in inputs]
    precision = plan.precision(inputs)
    if _dtypes.TIME in precision.splits:
        return "leaves times to the reference"
    if _dtypes.kind(precision.compute) == "complex" and any(
        _dtypes.kind(name) != "complex" for name in names
    ):
        return "leaves real inputs of complex operators to the reference"
    if _has_wide_tables(program_of(plan, inputs), precision.real):
        return f"leaves weights beyond the range of {precision.real} to the reference"
    return None


def _has_wide_tables(program: Program, real: str) -> bool:
    """Whether some weights have more precision than differences."""
    return any(
        isinstance(weight, np.ndarray) and weight.dtype != real
        for _, chains in program.sums
        for chain in chains
        for step in chain.steps
        if isinstance(step, Passage)
        for piece in step.pieces
        for _, _, weight in piece.differences
    )


def _wants_errors() -> bool:
    """Whether the caller asked NumPy for more than warnings: kernels say nothing of overflows."""
    return not {"ignore", "warn"}.issuperset(np.geterr().values())


def run(plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None) -> Sequence[Array]:
    """Apply a plan to NumPy arrays; returns one array per output."""
    program = program_of(plan, inputs)
    results = [
        np.empty(shape, program.result) if out is None else out[program.outputs.index(number)]
        for number, (shape, _) in enumerate(program.sums)
    ]
    total = sum(result.nbytes for result in results)
    threads = limit() if total >= LARGE else 1
    # Threads that count at once may lose some; that only puts the kernel off.
    written = plan.memo["bytes written"] = plan.memo.get("bytes written", 0) + total
    pays = (total >= COMPILED or written >= EARNED) and not _wants_errors()
    if pays and compiled.reason_against(plan, inputs) is None:
        compiled.run(plan, inputs, results, threads)
    else:
        blocked.run(program, inputs, results, threads)
    return _array.delivered([results[number] for number in program.outputs], out)
