"""PyTorch tensors in the memory of the host, taken as the NumPy arrays that they may be seen as."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import prod

import numpy as np

from gradkit import _array, _dtypes, _targets
from gradkit._array import Array
from gradkit.engines.tensors import is_recording, reason_against_tensor, recorded
from gradkit.plan import Plan

__all__ = ["reason_against", "run_as_arrays", "seen_as_array"]

#: Elements from which on the adjoint plan, made once, is worth it where gradients are recorded.
SMALL = 2**15
#: What NumPy computes with as torch does: integers become the default dtype of each.
_DTYPES = {"float16", "float32", "float64", "complex64", "complex128"}
_Run = Callable[[Plan, Sequence[Array], Sequence[Array] | None], Sequence[Array]]


def reason_against(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """Why tensors are not taken as NumPy arrays; None if they are."""
    return next(_reasons_against(plan, inputs), None)


def _reasons_against(plan: Plan, inputs: Sequence[Array]) -> Iterator[str]:
    for f in inputs:
        if f.device.type != "cpu":
            yield f"serves tensors in the memory of the host, the input is on {f.device}"
        name = _dtypes.dtype_name(f.dtype)
        if name not in _DTYPES:
            yield f"leaves tensors of {name} to the reference"
        reason = reason_against_tensor(plan, f)
        if reason is not None:
            yield reason
    if plan.dtype is not None and plan.dtype not in _DTYPES:
        yield f"leaves tensors computed in {plan.dtype} to the reference"
    if any(_array.is_torch(parameter.array) for parameter in plan.parameters):
        yield "leaves operators with tensors as coefficients to the reference"
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
    return sum(run.stop - run.start for run in rows if isinstance(run.weights, np.ndarray))


def seen_as_array(f: Array) -> np.ndarray:
    """The same memory as a NumPy array; a copy where the values differ from what is in memory."""
    return f.detach().resolve_conj().resolve_neg().numpy()


def run_as_arrays(
    run: _Run, plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None
) -> Sequence[Array]:
    """Apply a plan by a function of NumPy arrays, to tensors; returns one tensor per output."""
    if not is_recording(inputs):
        return _applied(run, plan, inputs, out)
    return _targets.delivered(recorded(plan, inputs, partial(_applied, run, plan)), out)


def _applied(
    run: _Run, plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None
) -> Sequence[Array]:
    torch = sys.modules["torch"]
    arrays = list(map(seen_as_array, inputs))
    # Torch says nothing of overflows.
    with np.errstate(all="ignore"):
        if out is None or any(map(_differs_from_memory, out)):
            results = run(plan, arrays, None)
            # Equal results are one tensor.
            tensors = {id(result): torch.from_numpy(result) for result in results}
            return _targets.delivered([tensors[id(result)] for result in results], out)
        run(plan, arrays, list(map(seen_as_array, out)))
    for target in out:
        # So that torch knows which gradients are void.
        torch.autograd.graph.increment_version(target)
    return out


def _differs_from_memory(target: Array) -> bool:
    return target.is_conj() or target.is_neg()
