"""The reference engine: the numerics, once, in array API calls alone.

It is functional (no assignment to elements, no data-dependent shape, no boolean mask), so it runs
under ``jax.jit``, ``jax.vmap``, torch autograd and array-api-strict. It is the oracle: any other
engine that disagrees with it is wrong.

`run` walks the chains of a plan as a `Program` (see `gradkit.engines.program`): differences,
products and sums of slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from gradkit import _array, _targets
from gradkit._array import Array, Namespace, Split
from gradkit.engines.program import Known, Passage, Piece, Sequel, Window, program_of
from gradkit.plan import Plan

__all__ = ["plain", "run", "settled", "supports", "value"]


def supports(plan: Plan, inputs: Sequence[Array]) -> str | None:
    """None: the reference serves every array of every array API library."""
    return None


def run(plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None = None) -> Sequence[Array]:
    """Apply a plan to inputs of one library; returns one array per output."""
    with _array.on_its_device(inputs[0]):
        return _run(plan, inputs, out)


def _run(plan: Plan, inputs: Sequence[Array], out: Sequence[Array] | None) -> Sequence[Array]:
    program = program_of(plan, inputs)
    xp = program.xp
    ready = [
        f if convert is None else convert(f)
        for f, convert in zip(inputs, program.conversions, strict=True)
    ]
    arrays = [array() if callable(array) else array for array in program.arrays]
    results = [
        _array.cast(
            xp,
            _sum([_apply(xp, chain, ready[chain.source], arrays) for chain in chains], divisors),
            program.result,
        )
        if chains
        else xp.zeros(shape, dtype=program.result, device=_array.device(inputs[0]))
        for shape, chains, divisors in program.sums
    ]
    return _targets.delivered([results[i] for i in program.outputs], out)


def _apply(xp: Namespace, chain: Sequel, f: Any, arrays: Sequence[Any]) -> Array:
    if chain.trim is not None:
        f = f[chain.trim]
    for step in chain.steps:
        if isinstance(step, Passage):
            if step.dtype is not None:
                f = _array.cast(xp, value(f), step.dtype)
            rows = [
                plain(xp, piece, f) if piece.is_plain else settled(xp, piece, f, arrays, step.axis)
                for piece in step.pieces
            ]
            f = rows[0] if len(rows) == 1 else xp.concat(rows, axis=step.axis)
        else:
            f = xp.multiply(value(f), _part(arrays[step.array], step.part))
    if isinstance(f, Split):
        f = f.value()
    return f if chain.coefficient is None else xp.multiply(f, chain.coefficient)


def plain(xp: Namespace, piece: Piece, f: Any) -> Array:
    """Weighted differences of slices."""
    total = None
    for high, low, weight in piece.differences:
        difference = f[high] - f[low]
        if weight is not None:
            difference = xp.multiply(difference, weight)
        total = difference if total is None else total + difference
    for divisor in piece.divisors:
        total = total / divisor
    return total


def settled(xp: Namespace, piece: Piece, f: Any, arrays: Sequence[Any], axis: int) -> Array:
    """Weighted differences, some of them of values that come around an end or are known."""
    total = None
    for high, low, weight in piece.differences:
        difference = _difference(*(_take(xp, f, point, arrays) for point in (high, low)))
        if weight is not None:
            difference = difference * weight
        total = difference if total is None else total + difference
    for divisor in piece.divisors:
        total = None if total is None else total / divisor
    if piece.is_full:
        return total
    # No row takes a value of f: they are all known, or 0.
    like = f.parts[0][0] if isinstance(f, Split) else f
    shape = (*like.shape[:axis], piece.rows, *like.shape[axis + 1 :])
    nothing = xp.zeros(shape, dtype=like.dtype, device=_array.device(like))
    return nothing if total is None else nothing + total


def _difference(upper: Any, lower: Any) -> Any:
    if upper is None:
        return -value(lower)
    if lower is None:
        return value(upper)
    if isinstance(upper, Split) and isinstance(lower, Split):
        return upper - lower
    return value(upper) - value(lower)


def _take(xp: Namespace, f: Any, point: Any, arrays: Sequence[Any]) -> Any:
    if point is None:
        return None
    if isinstance(point, Known):
        return point.number if point.array is None else _part(arrays[point.array], point.part)
    return _joined(xp, f, point) if isinstance(point, Window) else f[point]


def _joined(xp: Namespace, f: Any, window: Window) -> Any:
    first, *others = [f[index] if sign > 0 else -f[index] for index, sign in window.segments]
    if not others:
        return first
    if isinstance(first, Split):
        return first.join(others, xp, window.axis)
    return xp.concat([first, *others], axis=window.axis)


def value(f: Any) -> Any:
    """An array, from exact parts where it was split into such."""
    return f.value() if isinstance(f, Split) else f


def _part(array: Array, part: tuple[slice, ...] | None) -> Array:
    return array if part is None else array[part]


def _sum(values: Sequence[Array], divisors: Sequence[Any]) -> Array:
    """The sum of at least one array, from the first to the last, over what all are over."""
    total = values[0] if len(values) == 1 else reduce(lambda a, b: a + b, values)
    return reduce(lambda a, b: a / b, divisors, total)
