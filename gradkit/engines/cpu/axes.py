"""The axes that kernels see: as few as the memory of all arrays allows."""

from __future__ import annotations

from collections.abc import Sequence

from gradkit.engines.program import Passage, Program

__all__ = ["groups_of", "order_of"]

Strides = tuple[int, ...]


def order_of(strides: Strides) -> list[int]:
    """The axes of an array, neighbours in its memory last."""
    return sorted(range(len(strides)), key=lambda axis: -abs(strides[axis]))


def groups_of(
    program: Program, shape: tuple[int, ...], order: Sequence[int], strides: Sequence[Strides]
) -> list[tuple[int, ...]]:
    """The axes of a plan, in some order; those that are one for arrays of these strides together.

    They are one where there are no differences along them, and memory allows it.
    """
    # For all results the same axes are one, so that kernels can share boxes of rows.
    used = {
        step.axis
        for result in program.sums
        for sequel in result.sequels
        for step in sequel.steps[:1]
        if isinstance(step, Passage)
    }

    def are_one(axis: int, inner: int) -> bool:
        n = shape[inner]
        return not {axis, inner} & used and all(s[axis] == s[inner] * n for s in strides)

    groups: list[tuple[int, ...]] = []
    for axis in order:
        if shape[axis] == 1 and axis not in used and axis != order[-1]:
            continue
        if groups and are_one(groups[-1][-1], axis):
            groups[-1] = (*groups[-1], axis)
        else:
            groups.append((axis,))
    return groups
