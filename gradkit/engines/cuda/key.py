"""What a kernel is made for: a `Key` has all that changes its text, `Numbers` all that does not.

Weights are numbers of a call: two plans that take the same differences share a kernel. Nothing here
knows of plans (see `from_plan`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gradkit import _dtypes

__all__ = [
    "ArrayKey",
    "ChainKey",
    "Extras",
    "InputKey",
    "Key",
    "Numbers",
    "OutputKey",
    "RuleKey",
    "Run",
    "StepKey",
]

#: High and low point of a difference: an offset, a name of `gradkit.methods.WALL`, or None for 0.
Pairs = tuple[tuple[Any, Any], ...]
#: Points more than cells along each axis.
Extras = tuple[int, ...]


class Run(NamedTuple):
    """Some rows at an end of an axis that take the same differences."""

    rows: int
    pairs: Pairs


class RuleKey(NamedTuple):
    """The rows of a rule: those at the first end, all others, and those at the last end.

    `middle_folds` tells whether the others reach around the ends of an axis that wraps; `turned`
    how many points at each end of the input of a block stand for their negatives.
    """

    axis: int
    sources: int
    targets: int
    wrap: int
    is_table: bool
    first: tuple[Run, ...]
    middle: Pairs
    last: tuple[Run, ...]
    middle_folds: bool
    turned: tuple[int, int] = (0, 0)

    @property
    def before(self) -> int:
        """Number of rows at the first end."""
        return sum(run.rows for run in self.first)

    @property
    def after(self) -> int:
        """Number of rows at the last end."""
        return sum(run.rows for run in self.last)

    @property
    def spread(self) -> tuple[int, int]:
        """First and last offset that the rows in the middle take."""
        offsets = [k for pair in self.middle for k in pair if isinstance(k, int)]
        return min(offsets, default=0), max(offsets, default=0)


class StepKey(NamedTuple):
    """A rule with what is known at its walls, or else a multiplication by an array.

    What is known is None for 0, the number of a scalar, or ``("array", number)``.
    """

    rule: int | None
    array: int | None = None
    walls: tuple[Any, Any] = (None, None)


class ChainKey(NamedTuple):
    """One term: the input, the steps, and the number of the scalar in front (None: 1).

    `first` is the point of the input that counts as the first one, per axis.
    """

    source: int
    steps: tuple[StepKey, ...]
    scalar: int | None
    first: tuple[int, ...]


class ArrayKey(NamedTuple):
    """An array that is multiplied by, or known along a wall; an extra of None: it is broadcast."""

    is_complex: bool
    extras: tuple[int | None, ...]


class InputKey(NamedTuple):
    """An input: its dtype, the bits of integers that are differenced apart, its points."""

    dtype: str
    split: int
    extras: Extras


class OutputKey(NamedTuple):
    """A result: its points, and the terms that are summed up."""

    extras: Extras
    chains: tuple[ChainKey, ...]


class Key(NamedTuple):
    """All that changes the text of a kernel.

    Attributes
    ----------
    ndim : int
        Number of axes, after merging.
    is_wide : bool
        Whether indices have 64 bits.
    is_flat : bool
        Whether all blocks are along the first axis of the grid: the others may have too few.
    vector : int
        Neighbours along the last axis that a thread computes and loads at once.
    threads : int
        Threads of a block, at most: fewer have more registers each.
    march : int
        Rows along `marched`, an axis before the last one, that a thread computes in a step.
    marched : int
        That axis; -1 where rows in the middle have no functions of their own.
    real, compute, result : str
        Dtypes of weights, of differences and sums, and of results.
    inputs, arrays, rules, outputs : tuple
        What is read, multiplied by, done along axes, and written.
    """

    ndim: int
    is_wide: bool
    is_flat: bool
    vector: int
    threads: int
    march: int
    marched: int
    real: str
    compute: str
    result: str
    inputs: tuple[InputKey, ...]
    arrays: tuple[ArrayKey, ...]
    rules: tuple[RuleKey, ...]
    outputs: tuple[OutputKey, ...]

    @property
    def is_complex(self) -> bool:
        """Whether differences and sums are complex."""
        return _dtypes.kind(self.compute) == "complex"

    @property
    def walks(self) -> bool:
        """Whether threads take one step after another along the marched axis.

        They do where steps read some of what the one before has read.
        """
        return any(rule.axis == self.marched and any(rule.spread) for rule in self.rules)

    def fitted(self, vector: int, is_wide: bool) -> Key:
        """The key for vectors and indices: wide indices leave registers for half of the rows."""
        march = max(self.march // 2, 1) if is_wide else self.march
        return self._replace(vector=vector, is_wide=is_wide, march=march)

    def chains(self) -> Iterator[ChainKey]:
        """All terms of all results."""
        for output in self.outputs:
            yield from output.chains


class Numbers(NamedTuple):
    """What a kernel is called with beside the arrays of the call.

    Attributes
    ----------
    sizes : tuple of int
        Cells along each axis, after merging.
    scalars : tuple of float or complex
        Coefficients, and numbers known at walls.
    weights : tuple of float
        Of the rows in the middle of rules without tables, rule after rule.
    edges : ndarray
        Of all rows at ends, rule after rule.
    tables : tuple of ndarray
        Of the rows in the middle of rules with tables; 0 in the others. Of shape (differences,
        rows) along the last axis, of which kernels read neighbours, else (rows, differences).
    arrays : tuple of (number, form, part)
        Which parameter of the plan each array is, in which form, and which part of it (None: all).
    """

    sizes: tuple[int, ...]
    scalars: tuple[Any, ...]
    weights: tuple[float, ...]
    edges: np.ndarray
    tables: tuple[np.ndarray, ...]
    arrays: tuple[tuple[int, str, tuple[slice, ...] | None], ...]
