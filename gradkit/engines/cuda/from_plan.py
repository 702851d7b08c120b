"""From a plan to the key of its kernel and its numbers, or the reason why there is none.

Axes along which nothing is taken are merged, so that kernels see few of them. The rules of a block
of a plan are counted from its own first row and point, so that blocks share kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from gradkit import _dtypes
from gradkit._dtypes import Precision
from gradkit.chains import Along, Chain, Times, Wall
from gradkit.engines.cuda.key import (
    ArrayKey,
    ChainKey,
    Extras,
    InputKey,
    Key,
    Numbers,
    OutputKey,
    RuleKey,
    Run,
    StepKey,
)
from gradkit.methods import Rows, Rule
from gradkit.plan import Plan

__all__ = ["MOST_READS", "key_of", "reads_of", "reason_against"]

#: Plans that read more points per result, all terms together, have no kernel of their own.
#: Compilers take seconds for more.
MOST_READS = 160
#: Plans that read more in a thread take one row at a time.
MOST_READS_OF_A_THREAD = 200
#: Threads of a block, of which two fit a multiprocessor: each may have 128 registers, or 168 where
#: a row takes more vectors of 16 bytes than 31.
THREADS, THREADS_OF_WIDE_ROWS, MOST_OF_NARROW_ROWS = 256, 192, 31
#: Of stencils along several axes, four rows per thread fit its registers up to so many vectors per
#: row, and two up to so many. Of one row, more are not read without branches between, which would
#: load more than registers hold.
MOST_OF_FOUR_ROWS, MOST_OF_TWO_ROWS, MOST_OF_ONE_ROW = 34, 100, 120
#: Differences of rows at ends, at most: NVRTC 13.5 took 3 seconds for a table of 4080, and had not
#: done one of 6000 after 55. Offsets, at most, which kernels list beside other points.
MOST_ENDS, LARGEST_OFFSET = 4000, 2**30 - 1


def reason_against(plan: Plan) -> str | None:
    """Why no kernel is made for a plan; None if one is."""
    if not all(prod(shape) for shape in (*plan.input_shapes, *plan.output_shapes)):
        return "has no kernels for arrays without elements"
    if not plan.shape:
        return "has no kernels for arrays without dimensions"
    reads = reads_of(plan)
    if reads > MOST_READS:
        return f"would read inputs {reads} times per result: wanted at most {MOST_READS}"
    return None


def reads_of(plan: Plan, results: Iterable[int] | None = None) -> int:
    """How often a plan evaluates its inputs for some results at one point; for all it writes."""
    numbers = set(plan.same) if results is None else results
    return sum(_reads(chain) for i in numbers for chain in plan.bound.outputs[i])


def _reads(chain: Chain) -> int:
    steps = (step for step in chain.steps if isinstance(step, Along))
    return prod(max(map(_points, step.rule.rows), default=0) for step in steps)


def _points(rows: Rows) -> int:
    """How many points the differences of a row take."""
    return len({point for pair in rows.pairs for point in pair})


def key_of(plan: Plan, names: Sequence[str], precision: Precision) -> tuple[Key, Numbers] | str:
    """The key of a plan for inputs of the named dtypes, and its numbers; or why there is none."""
    return _Builder(plan, names, precision).built()


class _Builder:
    def __init__(self, plan: Plan, names: Sequence[str], precision: Precision) -> None:
        self.plan, self.names, self.precision = plan, names, precision
        self.cells = _cells(plan)
        self.groups = _groups(plan)
        self.merged = {axis: i for i, group in enumerate(self.groups) for axis in group}
        self.sizes = self._merged(self.cells)
        #: Rules by their key and all their weights.
        self.rules: dict[Any, int] = {}
        self.rule_keys: list[RuleKey] = []
        self.scalars: list[Any] = []
        self.weights: list[float] = []
        self.edges: list[float] = []
        self.tables: list[np.ndarray] = []
        #: What is multiplied by or known: number, form, and part as texts; with the part itself.
        self.arrays: dict[tuple[int, str, str], tuple[slice, ...] | None] = {}
        self.reason: str | None = None

    def built(self) -> tuple[Key, Numbers] | str:
        bound, plan = self.plan.bound, self.plan
        distinct = dict.fromkeys(plan.same)
        outputs = tuple(
            OutputKey(
                self._extras(plan.output_shapes[i]), tuple(map(self._chain, bound.outputs[i]))
            )
            for i in distinct
        )
        inputs = tuple(
            InputKey(name, split, self._extras(shape))
            for name, split, shape in zip(
                self.names, self.precision.splits, plan.input_shapes, strict=True
            )
        )
        arrays = [(slot, form, part) for (slot, form, _), part in self.arrays.items()]
        if self.reason is not None:
            return self.reason
        vectors = self._vectors()
        marched, march = self._march(vectors)
        real = self.precision.real
        key = Key(
            ndim=len(self.groups),
            is_wide=False,
            is_flat=False,
            vector=1,
            threads=THREADS if vectors <= MOST_OF_NARROW_ROWS else THREADS_OF_WIDE_ROWS,
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

    def _march(self, vectors: int) -> tuple[int, int]:
        """The axis to take several rows along, and how many.

        It is the one before the last with the widest stencils, or the one just before it.
        """
        spreads = [0] * len(self.groups)
        for rule in self.rule_keys:
            first, last = rule.spread
            spreads[rule.axis] = max(spreads[rule.axis], last - first)
        before = spreads[:-1]
        if not before or not any(spreads):
            return -1, 1
        if not max(before):
            return len(before) - 1, 4
        rows = self._rows(spreads, vectors)
        if rows * reads_of(self.plan) > MOST_READS_OF_A_THREAD:
            rows = 1
        if rows == 1 and vectors > MOST_OF_ONE_ROW:
            return -1, 1
        return before.index(max(before)), rows

    def _vectors(self) -> int:
        """How many vectors of 16 bytes a row takes registers for: what it reads, and addresses."""
        # Weights of tables take them like points; what is computed with may be wider than elements.
        tables = 2 if any(rule.is_table for rule in self.rule_keys) else 1
        stored = max(map(_dtypes.itemsize, (*self.names, self.precision.result)))
        parts = 2 if any(self.precision.splits) else 1
        wider = max(_dtypes.itemsize(self.precision.compute) * parts // stored, 1)
        arrays = 2 * (len(self.names) + len(set(self.plan.same)))
        return (reads_of(self.plan) * tables) * wider + arrays

    def _rows(self, spreads: Sequence[int], vectors: int) -> int:
        """How many rows a thread has registers for."""
        if sum(map(bool, spreads)) == 1:
            return 8 if max(spreads) > 4 else 4
        if vectors > MOST_OF_TWO_ROWS:
            return 1
        return 2 if vectors > MOST_OF_FOUR_ROWS else 4

    def _merged(self, shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(prod(shape[axis] for axis in group) for group in self.groups)

    def _extras(self, shape: Sequence[int]) -> Extras:
        return tuple(n - size for n, size in zip(self._merged(shape), self.sizes, strict=True))

    # --- chains -------------------------------------------------------------------------------

    def _chain(self, chain: Chain) -> ChainKey:
        steps = tuple(
            StepKey(self._rule(step), None, tuple(map(self._known, step.walls)))  # pyright: ignore[reportArgumentType]
            if isinstance(step, Along)
            else StepKey(None, self._array(step))
            for step in chain.steps
        )
        number = chain.coefficient
        first = tuple(0 if chain.trim is None else chain.trim[g[-1]].start for g in self.groups)
        scalar = None if number == 1 else self._scalar(number)
        return ChainKey(chain.source, steps, scalar, first)

    def _scalar(self, number: Any) -> int:
        value = number if isinstance(number, complex) else _rounded(Fraction(number), self)
        self.scalars.append(value)
        return len(self.scalars) - 1

    def _known(self, known: Any) -> Any:
        if isinstance(known, Wall):
            return ("array", self._array(known))
        return self._scalar(known) if known else None

    def _array(self, step: Times | Wall) -> int:
        key = (step.slot, step.form, repr(step.part))
        self.arrays.setdefault(key, step.part)
        return list(self.arrays).index(key)

    def _array_key(self, slot: int, form: str, part: tuple[slice, ...] | None) -> ArrayKey:
        whole = self.plan.parameters[slot].shape
        shape = whole
        if part is not None:
            pairs = zip(whole, part, strict=True)
            shape = [n if cut == slice(None) else cut.stop - cut.start for n, cut in pairs]
        dtype = _dtypes.dtype_name(self.plan.parameters[slot].array.dtype)
        is_complex = _dtypes.kind(dtype) == "complex" and form != "magnitude"
        extras = tuple(
            None if n == 1 else n - size
            for n, size in zip(self._merged(shape), self.sizes, strict=True)
        )
        return ArrayKey(is_complex, extras)

    # --- rules --------------------------------------------------------------------------------

    def _rule(self, step: Along) -> int:
        rule, turned = step.rule, (0, 0)
        if not (rule.is_whole and rule.rows[0].start == 0):
            if rule.wrap < 0:
                turned = max(-rule.first, 0), max(rule.last - rule.size, 0)
                if max(turned) > rule.size:
                    self.reason = "has no kernels for blocks that hold an axis several times"
            rule = rule.local()
        runs = rule.rows
        inside = turned[0], rule.size - turned[1]
        # Rows of the middle take no point that is turned; a block of few rows may have none.
        able = [i for i, r in enumerate(runs) if not any(turned) or _within(r, inside)]
        middle = max(able, key=lambda i: runs[i].stop - runs[i].start, default=len(runs))
        main = runs[middle] if able else Rows(rule.targets, rule.targets, (), (), 1)
        n = self.sizes[self.merged[step.axis]]
        key = RuleKey(
            self.merged[step.axis],
            rule.size - n,
            rule.targets - n,
            rule.wrap,
            main.is_table,
            tuple(Run(r.stop - r.start, r.pairs) for r in runs[:middle]),
            main.pairs,
            tuple(Run(r.stop - r.start, r.pairs) for r in runs[middle + 1 :]),
            main.first < 0 or main.last > rule.size,
            turned,
        )
        return self._numbered(key, rule, middle)

    def _numbered(self, key: RuleKey, rule: Rule, middle: int) -> int:
        """The number of a rule: that of an equal one, or a new one with its weights."""
        tables = [self._table(rule, rows) for rows in rule.rows]
        value = (key, *((table.shape, table.tobytes()) for table in tables))
        if value in self.rules:
            return self.rules[value]
        for i, (rows, table) in enumerate(zip(rule.rows, tables, strict=True)):
            if i != middle:
                # Row by row, so that the weights of a row stand side by side.
                rows_of = np.broadcast_to(table, (len(table), rows.stop - rows.start))
                self.edges.extend(rows_of.T.ravel().tolist())
            elif key.is_table:
                padded = np.zeros((len(table), rule.targets), self.precision.real)
                padded[:, rows.start : rows.stop] = table
                # Along the last axis, rows are read as vectors.
                in_row = key.axis == len(self.sizes) - 1
                self.tables.append(padded if in_row else np.ascontiguousarray(padded.T))
            else:
                self.weights.extend(table[:, 0].tolist())
        ends = sum(len(run.pairs) * run.rows for run in (*key.first, *key.last))
        if ends > MOST_ENDS or rule.reach > LARGEST_OFFSET:
            self.reason = f"has no kernels for rules with {ends} differences at their ends"
        self.rules[value] = len(self.rule_keys)
        self.rule_keys.append(key)
        return self.rules[value]

    def _table(self, rule: Rule, rows: Rows) -> np.ndarray:
        """The weights of rows over the scale, of shape (differences, rows), one row for all equal.

        They are rounded once.
        """
        if not rows.pairs:
            return np.zeros((0, 1), self.precision.real)
        if isinstance(rows.weights, np.ndarray):
            values = rule.over_scale(rows.weights)
            return self._within_range(values, values.astype(self.precision.real))
        exact = map(rule.over_scale, rows.weights)
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


def _within(rows: Rows, inside: tuple[int, int]) -> bool:
    return inside[0] <= rows.first and rows.last <= inside[1]


def _cells(plan: Plan) -> tuple[int, ...]:
    """The number of cells along each axis, of a block or of the whole grid."""
    if plan.extent is None:
        return plan.shape
    return tuple(stop - start for start, stop in plan.extent)


def _groups(plan: Plan) -> list[tuple[int, ...]]:
    """The axes that kernels see: neighbours along which nothing is taken count as one."""
    used = {step.axis for step in plan.bound.alongs()}
    groups: list[tuple[int, ...]] = []
    for axis, size in enumerate(_cells(plan)):
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
