"""A program as kernels take it: a `Key`, and `Numbers` that do not change the text.

Both come from the `Program` that the reference runs, so kernels do the same operations with the
same numbers in the same order. Of each rule the longest run of rows is written out in the text;
all other rows are listed in tables, which every kernel reads in the same way.

Complex numbers are pairs of reals along the last axis: all weights are real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from gradkit import _dtypes
from gradkit.engines.cpu.addresses import address
from gradkit.engines.cpu.axes import groups_of, order_of
from gradkit.engines.cpu.compiling import has_fused_products, has_long_vectors
from gradkit.engines.cpu.joint_source import shared_offsets
from gradkit.engines.cpu.key import End, Key, Pair, Term
from gradkit.engines.cpu.preamble import LINE
from gradkit.engines.cpu.quotients import reciprocal_in
from gradkit.engines.cpu.rows import (
    Point,
    Run,
    ends_beside,
    known_arrays,
    name_of,
    rows_beside,
    run_at,
    runs_of,
    written_out,
)
from gradkit.engines.program import Passage, Product, Program, Sequel
from gradkit.plan import Plan

__all__ = ["Numbers", "key_of"]

#: Bytes of all results of a plan from which on they are written past the caches: so many do not
#: stay there until somebody reads them.
PAST = 2**23
#: Bytes along a line that are asked for ahead: processors by themselves stop at ends of pages.
AHEAD = 2**12

Strides = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Numbers:
    """What a kernel is called with beside the addresses of a call.

    Attributes
    ----------
    sizes : tuple of int
        Rows along each axis, after merging.
    slots : dict of str to int
        The integers that the text names.
    arrays : tuple of int
        Which array of a call each of `kernel_source.arrays` is, inputs before results.
    real : ndarray
        Weights, divisors and factors; columns of weights lie elsewhere, among what is `kept`.
    runs : ndarray of shape (runs, 8)
        All rows: start, stop, first and last pair, first and last divisor, whether some value is
        one of the input, and whether they can be taken as a line: 0 no, 1 across lines, 2 yes.
    pairs : ndarray of shape (pairs, 6)
        Their differences: kind and number of the high and of the low point, place and step of the
        weight.
    kept : list of ndarray
        Arrays whose addresses are among the slots.
    spreads : dict of int to (int, int)
        Per axis along which differences are taken, the first and last offset written out.
    """

    sizes: tuple[int, ...]
    slots: dict[str, int]
    arrays: tuple[int, ...]
    real: np.ndarray
    runs: np.ndarray
    pairs: np.ndarray
    kept: list[np.ndarray]
    spreads: dict[int, tuple[int, int]]


def key_of(
    plan: Plan,
    program: Program,
    number: int,
    inputs: Sequence[np.ndarray],
    result: np.ndarray,
) -> tuple[Key, Numbers] | None:
    """The key of a sum of a program, by its number, and its numbers.

    None where complex numbers have gaps along the last axis.
    """
    return _Builder(plan, program, number, inputs, result).built()


@dataclass(eq=False)
class _Operand:
    """An array as a kernel sees it: the name of its slots, and its strides in bytes."""

    name: str
    strides: Strides
    source: int | None = None
    offset: int = 0
    array: np.ndarray | None = None


@dataclass(eq=False)
class _Builder:
    plan: Plan
    program: Program
    number: int
    inputs: Sequence[np.ndarray]
    result: np.ndarray
    real: list[np.ndarray] = field(default_factory=list[np.ndarray])
    count: int = 0
    #: Weights of the rows of runs, which of these they are, and which slots say where each is.
    weights: list[np.ndarray] = field(default_factory=list[np.ndarray])
    columns: dict[Any, int] = field(default_factory=dict[Any, int])
    columns_of_slots: dict[str, int] = field(default_factory=dict[str, int])
    runs: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    pairs: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    slots: dict[str, int] = field(default_factory=dict[str, int])
    spreads: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    points: dict[tuple[Any, ...], int] = field(default_factory=dict[tuple[Any, ...], int])

    def built(self) -> tuple[Key, Numbers] | None:
        precision = self.plan.precision(self.inputs)
        self.dtype = np.dtype(precision.real)
        self._store([0.0, 1.0])
        self.is_complex = _dtypes.kind(precision.compute) == "complex"
        self.splits = precision.splits
        self.parts = 2 if self.is_complex else 1
        self.shape = self.result.shape
        _, self.sequels, divisors = self.program.sums[self.number]
        output = _Operand("o", self.result.strides, len(self.inputs) + self.number)
        self.order = order_of(self.result.strides)
        operands = [self._operands(n, sequel) for n, sequel in enumerate(self.sequels)]
        flat = [output, *(operand for listed in operands for operand in listed)]
        self.groups = groups_of(self.program, self.shape, self.order, [o.strides for o in flat])
        last = self.groups[-1][-1]
        if self.is_complex and not self._are_pairs(last):
            return None
        self.position = {axis: i for i, group in enumerate(self.groups) for axis in group}
        self.last = len(self.groups) - 1
        sizes = [int(np.prod([self.shape[a] for a in group])) for group in self.groups]
        sizes[-1] *= self.parts
        self.sizes = tuple(sizes)
        self.slots["size"] = sizes[-1]
        for operand in flat:
            self._place(operand)
        rows = [self._rows(sequel) for sequel in self.sequels]
        whole = self.sizes[-1] // self.parts
        self.ends = ends_beside(
            [runs for axis, runs in rows if axis == self.last],
            [runs for axis, runs in rows if axis != self.last],
            whole,
            self.parts,
        )
        self.leaders = self._leaders([axis for axis, _ in rows])
        named = [*divisors, *(d for _, runs in rows for d in written_out(runs).divisors)]
        self.has_reciprocals = self._have_reciprocals(named)
        terms = tuple(
            self._term(number, sequel, rows[number]) for number, sequel in enumerate(self.sequels)
        )
        self.slots.update((f"d{j}", self._named(value)) for j, value in enumerate(divisors))
        result = _real_part(precision.result)
        real = np.concatenate(self.real)
        runs = np.array(self.runs, np.int64).reshape(-1, 8)
        pairs = np.array(self.pairs, np.int64).reshape(-1, 6)
        self._locate(real, pairs)
        for name, table in (("real", real), ("runs", runs), ("pairs", pairs)):
            self.slots[name] = address(table)
        is_direct = result == precision.real and self._along_line(output) == self.dtype.itemsize
        lanes = self._lanes(terms) if is_direct else 0
        written = self.result.itemsize * sum(prod(wanted.shape) for wanted in self.program.sums)
        is_past = lanes == LINE // self.dtype.itemsize and written >= PAST
        offsets = tuple(offset for *_, offset in self.points)
        joins = is_past and has_long_vectors()
        key = Key(
            ndim=len(sizes),
            real=precision.real,
            result=result,
            is_complex=self.is_complex,
            is_direct=is_direct,
            lanes=lanes,
            is_past=is_past,
            terms=terms,
            divisors=len(divisors),
            points=tuple(self.points.values()),
            ends=tuple(n if 2 * n < self.sizes[-1] else n - self.sizes[-1] for n in self.ends),
            together=shared_offsets(terms, self.last, offsets) if joins else (),
            has_reciprocals=self.has_reciprocals,
        )
        return key, Numbers(
            self.sizes,
            self.slots,
            tuple(operand.source for operand in flat if operand.source is not None),
            real,
            runs,
            pairs,
            [*self.weights, *(o.array for o in flat if o.array is not None)],
            self.spreads,
        )

    def _locate(self, real: np.ndarray, pairs: np.ndarray) -> None:
        """Turn numbers of columns into places, counted from those of `real`: none is copied."""
        places = [(address(column) - address(real)) // real.itemsize for column in self.weights]
        for name, number in self.columns_of_slots.items():
            self.slots[name] = places[number]
        is_column = pairs[:, 5] == 1
        pairs[is_column, 4] = np.array(places, np.int64)[pairs[is_column, 4]]

    # --- axes -------------------------------------------------------------------------------------

    def _are_pairs(self, last: int) -> bool:
        """Whether complex numbers are neighbours along an axis in all inputs and the result."""
        used = [self.inputs[sequel.source] for sequel in self.sequels]
        return all(f.strides[last] == f.itemsize for f in (*used, self.result))

    def _along_line(self, operand: _Operand) -> int:
        """Bytes between neighbours along the last axis."""
        stride = operand.strides[self.groups[-1][-1]]
        return stride // 2 if self.is_complex and operand.source is not None else stride

    def _place(self, operand: _Operand) -> None:
        """Name where an array begins, and its strides."""
        array = operand.array
        self.slots[operand.name] = operand.offset if array is None else address(array)
        for i, group in enumerate(self.groups):
            stride = operand.strides[group[-1]]
            self.slots[f"{operand.name}_{i}"] = (
                self._along_line(operand) if i == self.last else stride
            )

    # --- operands ---------------------------------------------------------------------------------

    def _operands(self, number: int, sequel: Sequel) -> list[_Operand]:
        f = self.inputs[sequel.source]
        offset = 0
        if sequel.trim is not None:
            starts = [part.start or 0 for part in sequel.trim]
            offset = sum(start * stride for start, stride in zip(starts, f.strides, strict=True))
        found = [_Operand(f"t{number}_f", f.strides, sequel.source, offset)]
        products = [step for step in sequel.steps if isinstance(step, Product)]
        found += [
            self._array(f"t{number}_p{j}", step.array, step.part) for j, step in enumerate(products)
        ]
        for j, known in enumerate(known_arrays(sequel).values()):
            found.append(self._array(f"t{number}_k{j}", known.array, known.part))
        return found

    def _array(self, name: str, number: Any, part: Any) -> _Operand:
        array = self.program.arrays[number]
        array = array if part is None else array[part]
        last = self.order[-1]
        if array.shape[last] > 1:
            # Neighbours along a line are read as vectors; parts of complex numbers share a factor.
            moved = np.moveaxis(array, last, -1)
            moved = np.repeat(moved, 2, -1) if self.is_complex else np.ascontiguousarray(moved)
            strides = list(np.moveaxis(moved, -1, last).strides)
            array = moved
            shape = np.moveaxis(moved, -1, last).shape
        else:
            strides, shape = list(array.strides), array.shape
        strides = tuple(0 if n == 1 else s for s, n in zip(strides, shape, strict=True))
        return _Operand(name, strides, None, 0, array)

    # --- terms ------------------------------------------------------------------------------------

    def _rows(self, sequel: Sequel) -> tuple[int, list[Run]]:
        """The axis along which differences are taken, and its runs of rows."""
        step = sequel.steps[0] if sequel.steps else None
        if isinstance(step, Passage):
            return self.position[step.axis], list(runs_of(step))
        whole = self.sizes[-1] // self.parts
        return self.last, [Run(0, whole, 0, ((Point(0, 1), None, None),), (), True)]

    def _leaders(self, axes: Sequence[int]) -> set[int]:
        """Per input the term that takes differences along the outermost axis."""
        found: dict[int, int] = {}
        for number in sorted(range(len(axes)), key=lambda number: axes[number]):
            found.setdefault(self.sequels[number].source, number)
        return set(found.values())

    def _term(self, number: int, sequel: Sequel, rows: tuple[int, list[Run]]) -> Term:
        name = f"t{number}"
        f = self.inputs[sequel.source]
        axis, runs = rows
        scale = self.parts if axis == self.last else 1
        middle = written_out(runs)
        known = list(known_arrays(sequel))
        pairs = self._middle(number, middle, axis, scale)
        self.slots[f"{name}_runs"] = len(self.runs)
        self.slots[f"{name}_middle"] = len(self.runs) + runs.index(middle) if middle in runs else 0
        for run in runs:
            self._listed(run, known, scale)
        self.slots[f"{name}_ends"] = len(self.runs)
        if sequel.coefficient is not None:
            self.slots[f"{name}_c"] = self._number(sequel.coefficient)
        # Lines at faces of a single term are too few to pay for kernels of their own.
        has_faces = axis != self.last and len(self.sequels) > 1
        before, after = rows_beside(runs) if has_faces else (range(0), range(0))
        places = self.ends if axis == self.last else [*before, *after]
        fields = [(s.source, repr(s.trim)) for s in self.sequels]
        return Term(
            _real_part(_dtypes.dtype_name(f.dtype)),
            self.splits[sequel.source],
            f.strides[self.groups[-1][-1]] == f.itemsize,
            axis,
            pairs,
            len(middle.divisors),
            tuple(
                self.slots[f"{name}_p{j}_{self.last}"] != 0
                for j in range(sum(isinstance(step, Product) for step in sequel.steps))
            ),
            len(known),
            sequel.coefficient is not None,
            self._written(name, sequel, rows, places),
            len(before),
            number in self.leaders,
            fields.index(fields[number]),
        )

    def _written(
        self, name: str, sequel: Sequel, rows: tuple[int, Sequence[Run]], places: Sequence[int]
    ) -> tuple[End, ...]:
        """List the numbers of elements along an axis that are written out, one after the other."""
        axis, runs = rows
        parts = self.parts if axis == self.last else 1
        size = self._length_of(sequel, axis) * parts
        self.slots[f"{name}_size"] = size
        self.slots[f"{name}_numbers"] = self.count
        found: list[End] = []
        for place in places:
            row, part = divmod(place, parts)
            run, is_left = run_at(runs, row), 2 * row < runs[-1].stop
            pairs: list[tuple[int | None, int | None, bool]] = []
            for high, low, weight in run.pairs:
                upper, lower = (
                    point and _from_end(point.offset, row, size // parts, is_left) * parts + part
                    for point in (high, low)
                )
                pairs.append((upper, lower, weight is not None))
                if weight is not None:
                    self._number(weight.ravel()[row - run.first] if weight.ndim else weight)
            for divisor in run.divisors:
                self._divisor(divisor)
            found.append(End(tuple(pairs), len(run.divisors)))
        return tuple(found)

    def _length_of(self, sequel: Sequel, position: int) -> int:
        """Numbers along an axis of the input of a term."""
        axis = self.groups[position][-1]
        step = sequel.steps[0] if sequel.steps else None
        if not isinstance(step, Passage):
            return self.sizes[-1] // self.parts
        if sequel.trim is None:
            return self.inputs[sequel.source].shape[axis]
        return len(range(*sequel.trim[axis].indices(self.inputs[sequel.source].shape[axis])))

    def _middle(self, number: int, run: Run, axis: int, scale: int) -> tuple[Pair, ...]:
        """Name the numbers of the rows that are written out."""
        name = f"t{number}"
        self.slots[f"{name}_start"], self.slots[f"{name}_stop"] = (
            run.start * scale,
            run.stop * scale,
        )
        step = self.slots[f"{name}_f_{axis}"] * scale
        found: list[Pair] = []
        offsets = [0]
        for p, (high, low, weight) in enumerate(run.pairs):
            offsets += [point.offset for point in (high, low) if point is not None]
            upper, lower = (
                point and self._point(number, axis, point, step) for point in (high, low)
            )
            kind = "" if weight is None else "column" if weight.ndim else "number"
            if weight is not None:
                place, is_column = self._weight(weight, run, scale)
                (self.columns_of_slots if is_column else self.slots)[f"{name}_w{p}"] = place
            found.append(Pair(upper, lower, kind))
        for j, divisor in enumerate(run.divisors):
            self.slots[f"{name}_d{j}"] = self._named(divisor)
        before, after = self.spreads.get(axis, (0, 0))
        self.spreads[axis] = (min(before, *offsets), max(after, *offsets))
        self.slots[f"{name}_ahead"] = AHEAD if axis == self.last else (max(offsets) + 1) * step
        return tuple(found)

    def _point(self, number: int, axis: int, point: Point, step: int) -> int:
        """The number of a point, which terms of the same input share."""
        sequel = self.sequels[number]
        along = axis if point.offset else None
        found = (sequel.source, repr(sequel.trim), along, point.offset)
        if found not in self.points:
            self.slots[f"q{len(self.points)}"] = point.offset * step
        self.points.setdefault(found, number)
        return list(self.points).index(found)

    def _listed(self, run: Run, known: Sequence[Any], scale: int) -> None:
        """List rows in the tables."""
        first = len(self.pairs)
        for upper, lower, weight in run.pairs:
            # From nothing, a value is its negative minus 0, exactly.
            turned = lower._replace(sign=-lower.sign) if lower and not upper else None
            high = self._code(upper or turned, known, scale)
            low = self._code(lower if upper else None, known, scale)
            place, step = (1, 0) if weight is None else self._weight(weight, run, scale)
            self.pairs.append((*high, *low, place, step))
        divisors = self.count
        for divisor in run.divisors:
            self._divisor(divisor)
        self.runs.append(
            (
                run.start * scale,
                run.stop * scale,
                first,
                len(self.pairs),
                divisors,
                self.count,
                int(run.is_full),
                run.as_line,
            )
        )

    def _code(self, point: Point | None, known: Sequence[Any], scale: int) -> tuple[int, int]:
        """Kind and number: 0 a point of the input, 2 and 4 of arrays, 6 a number; odd: negative."""
        if point is None:
            return 6, 0
        turned = int(point.sign < 0)
        if point.known is None:
            return turned, point.offset * scale
        if point.known.array is None:
            return 6 + turned, self._number(point.known.number)
        return 2 + 2 * known.index(name_of(point.known)) + turned, 0

    def _store(self, values: Any) -> int:
        """Add numbers to those that kernels read; returns where they begin."""
        stored = np.asarray(values, self.dtype)
        self.real.append(stored)
        self.count += len(stored)
        return self.count - len(stored)

    def _number(self, value: Any) -> int:
        return self._store([value])

    def _divisor(self, value: Any) -> int:
        one = self.dtype.type(1)
        return self._number(one / self.dtype.type(value) if self.is_complex else value)

    def _lanes(self, terms: Sequence[Term]) -> int:
        """As many elements as lanes have, no more than a line has that are written out, or 0."""
        in_line = [f"t{number}" for number, term in enumerate(terms) if term.axis == self.last]
        begin = max((self.slots[f"{name}_start"] for name in in_line), default=0)
        end = min((self.slots[f"{name}_stop"] for name in in_line), default=self.sizes[-1])
        most = LINE // self.dtype.itemsize if all(term.is_unit for term in terms) else 0
        return next((n for n in (most, most // 2, most // 4) if n <= end - begin), 0)

    def _have_reciprocals(self, named: Sequence[Any]) -> bool:
        is_possible = bool(named) and not self.is_complex and has_fused_products()
        return is_possible and all(reciprocal_in(self.dtype, value) for value in named)

    def _named(self, divisor: Any) -> int:
        """The place of a divisor, or of the first of the two parts of its reciprocal."""
        parts = reciprocal_in(self.dtype, divisor) if self.has_reciprocals else None
        return self._divisor(divisor) if parts is None else self._store(parts)

    def _weight(self, weight: np.ndarray, run: Run, scale: int) -> tuple[int, int]:
        """The place of a weight and 0, or the number of the column of a run and 1."""
        if not weight.ndim:
            return self._number(weight), 0
        # Rows that are written out are listed, too; weights pickled out of band begin at any byte.
        key = (id(weight), run.start, run.stop)
        if key not in self.columns:
            self.columns[key] = len(self.weights)
            rows = weight.ravel()[run.start - run.first : run.stop - run.first]
            self.weights.append(np.require(rows.repeat(scale) if scale > 1 else rows, None, "A"))
        return self.columns[key], 1


def _from_end(offset: int, row: int, size: int, is_left: bool) -> int:
    """The place of a point of a row, from the end that this is near, or that it reaches around."""
    reaches_around = 2 * abs(offset) > size + 1
    return row + offset - (0 if is_left != reaches_around else size)


def _real_part(name: str) -> str:
    return {"complex64": "float32", "complex128": "float64"}.get(name, name)
