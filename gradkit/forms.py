"""The forms that results of several outputs come in: nested tuples, or one stacked array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradkit import _array
from gradkit._array import Array
from gradkit.errors import ArgumentTypeError, ArgumentValueError
from gradkit.plan import Plan

__all__ = ["nested", "stacked"]


def nested(plan: Plan, f: Any, out: Any, rows: int, columns: int) -> Any:
    """Call a plan whose outputs fill a matrix, and return (or write) them row by row."""
    if out is None:
        results = plan(f)
        flat = (results,) if rows * columns == 1 else results
        return tuple(tuple(flat[i * columns : (i + 1) * columns]) for i in range(rows))
    if _array.count(out) != rows or any(_array.count(row) != columns for row in out):
        raise ArgumentTypeError(f"out must be a sequence of {rows} sequences of {columns} arrays")
    targets = [out[i][j] for i in range(rows) for j in range(columns)]
    plan(f, targets if rows * columns > 1 else targets[0])
    return out


def stacked(plan: Plan, f: Any, out: Any, lead: tuple[int, ...]) -> Array:
    """Call a plan and return (or write) its outputs as one array, shaped `lead` in front."""
    shape = (*lead, *plan.output_shape)
    if out is None:
        results = plan(f)
        flat = (results,) if plan.operator.outputs == 1 else results
        return _array.namespace(flat[0]).reshape(_joined(flat), shape)
    if not _array.is_array(out) or tuple(out.shape) != shape:
        given = tuple(out.shape) if _array.is_array(out) else type(out).__name__
        raise ArgumentValueError(f"out must be an array of shape {shape}, got {given}")
    targets = [out[(*index, ...)] for index in np.ndindex(lead)]
    plan(f, targets if len(targets) > 1 else targets[0])
    return out


def _joined(arrays: Sequence[Array]) -> Array:
    """Arrays along a new first axis; masks are kept."""
    if any(isinstance(a, np.ma.MaskedArray) for a in arrays):
        return np.ma.stack(arrays)
    return _array.namespace(arrays[0]).stack(list(arrays))
