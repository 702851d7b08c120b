"""What a kernel is made for: a `Key` has all that changes its text, `Numbers` all that does not.

Axes along which nothing is taken are merged, so that kernels see few of them. Weights are numbers
of a call: two plans that take the same differences share a kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gradkit import _dtypes
from gradkit._dtypes import Precision
from gradkit.chains import Along, Chain, Parameter, Times, Wall
from gradkit.line import PLACES
from gradkit.methods import Rows, Rule
from gradkit.plan import Plan

__all__ = [
    "ArrayKey",
    "ChainKey",
    "InputKey",
    "Key",
    "Numbers",
    "OutputKey",
    "RuleKey",
    "Run",
    "StepKey",
    "key_of",
    "reason_against",
]

#: High and low point of a difference: an offset, a name of `gradkit.methods.WALL`, or None for 0.
Pairs = tuple[tuple[Any, Any], ...]
#: Points more than cells along each axis.
Extras = tuple[int, ...]

#: Plans that read more inputs per result, all terms together, are left to the engine below; those
#: that read more per thread take one row at a time. Compilers take seconds for more.
MOST_READS, MOST_READS_OF_A_THREAD = 160, 400
#: Differences of rows at ends, at most, and offsets, which kernels list as short integers.
MOST_ENDS, LARGEST_OFFSET = 8000, 20000


class Run(NamedTuple):
    """Some rows at an end of an axis that take the same differences."""

    rows: int
    pairs: Pairs


class RuleKey(NamedTuple):
    """The rows of a rule: those at the first end, all others, and those at the last end.

    `middle_folds` tells whether the others reach around the ends of an axis that wraps.
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
    """One term: the input, the steps, and the number of the scalar in front (None: 1)."""

    source: int
    steps: tuple[StepKey, ...]
    scalar: int | None


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
    vector : int
        Neighbours along the last axis that a thread computes and loads at once.
    march : int
        Rows along `marched`, an axis before the last one, that a thread computes.
    marched : int
        That axis; -1 for none.
    real, compute, result : str
        Dtypes of weights, of differences and sums, and of results.
    inputs, arrays, rules, outputs : tuple
        What is read, multiplied by, done along axes, and written.
    """

    ndim: int
    is_wide: bool
    vector: int
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
    tables : tuple of ndarray of shape (differences, rows)
        Of the rows in the middle of rules with tables; 0 in the others.
    arrays : tuple of (number, form, shape)
        Which parameter of the plan each array is, in which form, and its shape after merging.
    """

    sizes: tuple[int, ...]
    scalars: tuple[Any, ...]
    weights: tuple[float, ...]
    edges: np.ndarray
    tables: tuple[np.ndarray, ...]
    arrays: tuple[tuple[int, str, tuple[int, ...]], ...]


def reason_against(plan: Plan) -> str | None:
    """Why no kernel is made for a plan; None if one is."""
    if plan.extent is not None:
        return "has no kernels for blocks of plans"
    if not all(prod(shape) for shape in (*plan.input_shapes, *plan.output_shapes)):
        return "has no kernels for arrays without elements"
    if not plan.shape:
        return "has no kernels for arrays without dimensions"
    reads = _reads(plan)
    if reads > MOST_READS:
        return f"would read inputs {reads} times per result: wanted at most {MOST_READS}"
    return None


def _reads(plan: Plan) -> int:
    """How often a plan evaluates its inputs for all its distinct results at one point."""
    return sum(_reads_of(chain) for i in set(plan.same) for chain in plan.bound.outputs[i])


def _reads_of(chain: Chain) -> int:
    widest = (
        max((len(rows.pairs) for rows in step.rule.rows), default=0)
        for step in chain.steps
        if isinstance(step, Along)
    )
    return prod(2 * pairs for pairs in widest)


def key_of(plan: Plan, names: Sequence[str], precision: Precision) -> tuple[Key, Numbers] | str:
    """The key of a plan for inputs of the named dtypes, and its numbers; or why there is none."""
    return _Builder(plan, names, precision).built()


class _Builder:
    def __init__(self, plan: Plan, names: Sequence[str], precision: Precision) -> None:
        self.plan, self.names, self.precision = plan, names, precision
        self.groups = _groups(plan)
        self.merged = {axis: i for i, group in enumerate(self.groups) for axis in group}
        self.sizes = tuple(prod(plan.shape[axis] for axis in group) for group in self.groups)
        self.rules: dict[tuple[int, int], int] = {}
        self.rule_keys: list[RuleKey] = []
        self.scalars: list[Any] = []
        self.weights: list[float] = []
        self.edges: list[float] = []
        self.tables: list[np.ndarray] = []
        self.arrays: dict[tuple[int, str], int] = {}
        self.reason: str | None = None

    def built(self) -> tuple[Key, Numbers] | str:
        bound, plan = self.plan.bound, self.plan
        distinct = dict.fromkeys(plan.same)
        outputs = tuple(
            OutputKey(self._extras(bound.outputs_at[i]), tuple(map(self._chain, bound.outputs[i])))
            for i in distinct
        )
        inputs = tuple(
            InputKey(name, split, self._extras(places))
            for name, split, places in zip(
                self.names, self.precision.splits, bound.inputs_at, strict=True
            )
        )
        arrays = [
            (slot, form, self._array_shape(plan.parameters[slot])) for slot, form in self.arrays
        ]
        if self.reason is not None:
            return self.reason
        marched, march = self._march()
        real = self.precision.real
        key = Key(
            ndim=len(self.groups),
            is_wide=False,
            vector=1,
            march=march,
            marched=marched,
            real=real,
            compute=self.precision.compute,
            result=self.precision.result,
            inputs=inputs,
            arrays=tuple(self._array_key(*array) for array in arrays),
            rules=tuple(self.rule_keys),
            outputs=outputs,
        )
        return key, Numbers(
            self.sizes,
            tuple(self.scalars),
            tuple(self.weights),
            np.asarray(self.edges, real),
            tuple(self.tables),
            tuple(arrays),
        )

    def _march(self) -> tuple[int, int]:
        """The axis before the last one with the widest stencils, and how many rows to take."""
        spreads = [0] * len(self.groups)
        for rule in self.rule_keys:
            first, last = rule.spread
            spreads[rule.axis] = max(spreads[rule.axis], last - first)
        before = spreads[:-1]
        if not before or not max(before):
            return -1, 1
        rows = 8 if max(before) > 4 else 4
        if rows * _reads(self.plan) > MOST_READS_OF_A_THREAD:
            return -1, 1
        return before.index(max(before)), rows

    def _extras(self, places: Sequence[str]) -> Extras:
        return tuple(sum(PLACES[places[axis]].extra for axis in group) for group in self.groups)

    # --- chains -------------------------------------------------------------------------------

    def _chain(self, chain: Chain) -> ChainKey:
        steps = tuple(
            StepKey(self._rule(step), None, tuple(map(self._known, step.walls)))  # pyright: ignore[reportArgumentType]
            if isinstance(step, Along)
            else StepKey(None, self._array(step))
            for step in chain.steps
        )
        number = chain.coefficient
        return ChainKey(chain.source, steps, None if number == 1 else self._scalar(number))

    def _scalar(self, number: Any) -> int:
        value = number if isinstance(number, complex) else _rounded(Fraction(number), self)
        self.scalars.append(value)
        return len(self.scalars) - 1

    def _known(self, known: Any) -> Any:
        if isinstance(known, Wall):
            return ("array", self.arrays.setdefault((known.slot, known.form), len(self.arrays)))
        return self._scalar(known) if known else None

    def _array(self, step: Times) -> int:
        return self.arrays.setdefault((step.slot, step.form), len(self.arrays))

    def _array_shape(self, parameter: Parameter) -> tuple[int, ...]:
        return tuple(prod(parameter.shape[axis] for axis in group) for group in self.groups)

    def _array_key(self, slot: int, form: str, shape: tuple[int, ...]) -> ArrayKey:
        dtype = _dtypes.dtype_name(self.plan.parameters[slot].array.dtype)
        is_complex = _dtypes.kind(dtype) == "complex" and form != "magnitude"
        extras = tuple(
            None if n == 1 else n - size for n, size in zip(shape, self.sizes, strict=True)
        )
        return ArrayKey(is_complex, extras)

    # --- rules --------------------------------------------------------------------------------

    def _rule(self, step: Along) -> int:
        rule = step.rule
        number = self.rules.get((id(rule.rows), step.axis))
        if number is not None:
            return number
        runs = rule.rows
        middle = max(range(len(runs)), key=lambda i: runs[i].stop - runs[i].start)
        axis = self.merged[step.axis]
        n = self.sizes[axis]
        is_table = isinstance(runs[middle].weights, np.ndarray)
        key = RuleKey(
            axis,
            rule.size - n,
            rule.targets - n,
            rule.wrap,
            is_table,
            tuple(Run(r.stop - r.start, r.pairs) for r in runs[:middle]),
            runs[middle].pairs,
            tuple(Run(r.stop - r.start, r.pairs) for r in runs[middle + 1 :]),
            runs[middle].first < 0 or runs[middle].last > rule.size,
        )
        for i, rows in enumerate(runs):
            table = self._table(rule, rows)
            if i != middle:
                # Row by row, so that the weights of a row stand side by side.
                rows_of = np.broadcast_to(table, (len(table), rows.stop - rows.start))
                self.edges.extend(rows_of.T.ravel().tolist())
            elif is_table:
                padded = np.zeros((len(table), rule.targets), self.precision.real)
                padded[:, rows.start : rows.stop] = table
                self.tables.append(padded)
            else:
                self.weights.extend(table[:, 0].tolist())
        self.rules[id(rule.rows), step.axis] = len(self.rule_keys)
        ends = sum(len(run.pairs) * run.rows for run in (*key.first, *key.last))
        if ends > MOST_ENDS or rule.reach > LARGEST_OFFSET:
            self.reason = f"has no kernels for rules with {ends} differences at their ends"
        self.rule_keys.append(key)
        return len(self.rule_keys) - 1

    def _table(self, rule: Rule, rows: Rows) -> np.ndarray:
        """The weights of rows over the scale, of shape (differences, rows), one row for all equal.

        They are rounded once.
        """
        if not len(rows.weights):
            return np.zeros((0, 1), self.precision.real)
        if isinstance(rows.weights, np.ndarray):
            exponent = rule.scale.numerator.bit_length() - rule.scale.denominator.bit_length()
            values = np.ldexp(rows.weights, -exponent)
            return self._within_range(values, values.astype(self.precision.real))
        exact = [Fraction(w) / rule.scale for w in rows.weights]
        return np.array([[_rounded(w, self)] for w in exact], self.precision.real)

    def _within_range(self, values: np.ndarray, rounded: np.ndarray) -> np.ndarray:
        tiny = np.finfo(self.precision.real).tiny
        if not np.isfinite(rounded).all() or (abs(rounded[values != 0]) < tiny).any():
            self.reason = _out_of_range(self.precision.real)
        return rounded


def _rounded(value: Fraction, builder: _Builder) -> float:
    """A number in the real dtype, as a float."""
    info = np.finfo(builder.precision.real)
    if value and not float(info.tiny) <= abs(value) <= float(info.max):
        builder.reason = _out_of_range(builder.precision.real)
        return 0.0
    return float(np.dtype(builder.precision.real).type(value.numerator / value.denominator))


def _out_of_range(real: str) -> str:
    return f"takes no weights beyond the range of {real}"


def _groups(plan: Plan) -> list[tuple[int, ...]]:
    """The axes that kernels see: neighbours along which nothing is taken count as one."""
    used = {step.axis for step in plan.bound.alongs()}
    groups: list[tuple[int, ...]] = []
    for axis, size in enumerate(plan.shape):
        if axis in used:
            groups.append((axis,))
        elif size == 1 and axis != len(plan.shape) - 1:
            continue
        elif groups and groups[-1][-1] not in used and _merges(plan, groups[-1], axis):
            groups[-1] = (*groups[-1], axis)
        else:
            groups.append((axis,))
    return groups


def _merges(plan: Plan, group: tuple[int, ...], axis: int) -> bool:
    """Whether all arrays are broadcast along both some axes and another one, or along neither."""
    return all(
        (prod(p.shape[a] for a in group) == 1) == (p.shape[axis] == 1) for p in plan.parameters
    )
