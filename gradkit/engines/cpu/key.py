"""What a Numba kernel is made for: a `Key` has all that changes its text, `Numbers` all that does not.

Both come from the `Program` that the reference runs, so kernels do the same operations with the
same numbers in the same order. Of each rule the longest run of rows is written out in the text;
all other rows are listed in tables, which every kernel reads in the same way.

Complex numbers are pairs of reals along the last axis: all weights are real.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gradkit import _dtypes
from gradkit._array import Split
from gradkit.engines.program import Known, Passage, Piece, Product, Program, Sequel, Window
from gradkit.plan import Plan

__all__ = ["DTYPES", "Key", "Numbers", "Pair", "Term", "key_of", "reason_against_program"]

#: Dtypes of elements that kernels read.
DTYPES = ("float16", "float32", "float64", "complex64", "complex128")
DTYPES += tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))

#: Differences per row, at most, that are written out; compilers take seconds for more.
MOST_PAIRS = 64

Strides = tuple[int, ...]


class Pair(NamedTuple):
    """A difference of values as the text has it.

    `form` is "difference", "value" (nothing is subtracted) or "negative" (from nothing); `weight`
    is "" for 1, "number", or "column" for one per row.
    """

    form: str
    weight: str


class Term(NamedTuple):
    """One term of a sum: differences along an axis, over divisors, times arrays and a number.

    `split` are the low bits of integers that are differenced apart, `is_unit` tells whether
    neighbours along the last axis are neighbours in memory, `products` which arrays vary along it;
    `known` is the number of arrays that are known along walls.
    """

    dtype: str
    split: int
    is_unit: bool
    axis: int
    pairs: tuple[Pair, ...]
    divisors: int
    products: tuple[bool, ...]
    known: int
    has_factor: bool


class Key(NamedTuple):
    """All that changes the text of a kernel.

    Attributes
    ----------
    ndim : int
        Number of axes, after merging.
    real : str
        Dtype in which differences and sums are formed: that of the parts of complex numbers.
    result : str
        Dtype of the results, or of their parts.
    is_complex : bool
        Whether reals are parts of complex numbers, which NumPy divides by way of a reciprocal.
    are_direct : tuple of bool
        Per result, whether sums are formed in it: it has their dtype, and no gaps along a line.
    sums : tuple of tuple of Term
        The terms of every result.
    """

    ndim: int
    real: str
    result: str
    is_complex: bool
    are_direct: tuple[bool, ...]
    sums: tuple[tuple[Term, ...], ...]


@dataclass(frozen=True, eq=False)
class Numbers:
    """What a kernel is called with beside the addresses of a call.

    Attributes
    ----------
    sizes : tuple of int
        Rows along each axis, after merging.
    slots : dict of str to int
        The integers that the text names.
    addresses : list of (name, number, offset)
        The slots that hold where the array of a number begins, inputs before results, plus bytes.
    real : ndarray
        Weights, divisors and factors.
    runs : ndarray of shape (runs, 8)
        Rows that are not written out: start, stop, first and last pair, first and last divisor,
        whether some value is one of the input, and whether all are.
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
    addresses: list[tuple[str, int, int]]
    real: np.ndarray
    runs: np.ndarray
    pairs: np.ndarray
    kept: list[np.ndarray]
    spreads: dict[int, tuple[int, int]]


def reason_against_program(plan: Plan, program: Program, inputs: Sequence[np.ndarray]) -> str | None:
    """Why no kernel is made of a program; None if one is."""
    precision = plan.precision(inputs)
    if precision.real not in ("float32", "float64"):
        return f"has no kernels that compute in {precision.real}"
    names = [_dtypes.dtype_name(f.dtype) for f in inputs]
    unknown = [name for name in (*names, precision.result) if name not in DTYPES]
    if unknown:
        return f"has no kernels for {unknown[0]}"
    if not all(f.dtype.isnative for f in inputs):
        return "has no kernels for bytes in the order of another machine"
    is_complex = _dtypes.kind(precision.compute) == "complex"
    if is_complex and any(_dtypes.kind(name) != "complex" for name in names):
        return "has no kernels for real inputs with complex results"
    if not plan.shape:
        return "has no kernels for arrays without dimensions"
    for _, sequels in program.sums:
        for sequel in sequels:
            reason = _reason_against_sequel(sequel, program, precision, is_complex)
            if reason is not None:
                return reason
    return None


def _reason_against_sequel(
    sequel: Sequel, program: Program, precision: _dtypes.Precision, is_complex: bool
) -> str | None:
    if any(isinstance(step, Passage) for step in sequel.steps[1:]):
        return "has no kernels for derivatives of products and of derivatives"
    if np.iscomplexobj(sequel.coefficient):
        return "has no kernels for complex coefficients"
    arrays = [step.array for step in sequel.steps if isinstance(step, Product)]
    known = list(_known(sequel))
    arrays += [point.array for point in known if point.array is not None]
    for number in arrays:
        array = program.arrays[number]
        if not isinstance(array, np.ndarray) or array.dtype.name != precision.real:
            return "has no kernels for complex arrays as coefficients, or such as record gradients"
    numbers = [point.number for point in known if point.array is None]
    if any(np.iscomplexobj(number) for number in numbers) or (known and is_complex):
        return "has no kernels for complex numbers with what is known at walls"
    if any(isinstance(number, Split) for number in numbers):
        return "has no kernels for wide integers with what is known at walls"
    for piece in _pieces(sequel):
        if len(piece.differences) > MOST_PAIRS:
            return f"has no kernels for {len(piece.differences)} differences: at most {MOST_PAIRS}"
        if any(w is not None and w.dtype.name != precision.real for *_, w in piece.differences):
            return f"takes no weights beyond the range of {precision.real}"
    return None


def _pieces(sequel: Sequel) -> Iterator[Piece]:
    if sequel.steps and isinstance(sequel.steps[0], Passage):
        yield from sequel.steps[0].pieces


def _known(sequel: Sequel) -> Iterator[Known]:
    for piece in _pieces(sequel):
        for high, low, _ in piece.differences:
            yield from (point for point in (high, low) if isinstance(point, Known))


# --- runs of rows ---------------------------------------------------------------------------------


class Point(NamedTuple):
    """A value of the input at an offset, with a sign, or something known."""

    offset: int
    sign: int
    known: Known | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """Rows whose points are each a single slice of the input.

    `first` is the row for which columns of weights begin.
    """

    start: int
    stop: int
    first: int
    pairs: tuple[tuple[Point | None, Point | None, Any], ...]
    divisors: tuple[Any, ...]
    is_full: bool

    @property
    def is_plain(self) -> bool:
        """Whether all points are values of the input, as they are."""
        points = [point for high, low, _ in self.pairs for point in (high, low)]
        return all(p is None or (p.known is None and p.sign > 0) for p in points)


def _runs(passage: Passage) -> Iterator[Run]:
    start = 0
    for piece in passage.pieces:
        stop = start + piece.rows
        points = [p for high, low, _ in piece.differences for p in (high, low)]
        ends = {start, stop}
        for point in points:
            ends.update(begin for begin, _ in _segments(point, start, passage.axis))
        for begin, end in pairwise(sorted(ends)):
            pairs = tuple(
                (
                    _point_at(high, start, begin, passage.axis),
                    _point_at(low, start, begin, passage.axis),
                    weight,
                )
                for high, low, weight in piece.differences
            )
            divisors = piece.divisors if pairs else ()
            yield Run(begin, end, start, pairs, divisors, piece.is_full)
        start = stop


def _segments(point: Any, start: int, axis: int) -> Iterator[tuple[int, Point]]:
    """The rows from which a point has an offset, and that."""
    if isinstance(point, tuple):
        yield start, Point(point[axis].start - start, 1)
    elif isinstance(point, Window):
        for index, sign in point.segments:
            run = index[axis]
            yield start, Point(run.start - start, sign)
            start += run.stop - run.start


def _written_out(runs: Sequence[Run]) -> Run:
    """The rows that the text has: most of the rows, or none."""
    longest = max(runs, key=lambda run: run.is_plain * (run.stop - run.start))
    if longest.is_plain and 2 * (longest.stop - longest.start) > runs[-1].stop:
        return longest
    return Run(0, 0, 0, (), (), True)


def _point_at(point: Any, start: int, row: int, axis: int) -> Point | None:
    if point is None:
        return None
    if isinstance(point, Known):
        return Point(0, 1, point)
    return [found for begin, found in _segments(point, start, axis) if begin <= row][-1]


# --- keys -----------------------------------------------------------------------------------------


def key_of(
    plan: Plan,
    program: Program,
    wanted: Sequence[int],
    inputs: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
) -> tuple[Key, Numbers] | str:
    """The key of some of the sums of a program, all of one shape, and its numbers; or a reason."""
    return _Builder(plan, program, wanted, inputs, results).built()


@dataclass(eq=False)
class _Operand:
    """An array as a kernel sees it: slots of its address and strides, bytes per axis of the plan."""

    name: str
    strides: Strides
    source: int | None = None
    offset: int = 0
    array: np.ndarray | None = None


@dataclass(eq=False)
class _Builder:
    plan: Plan
    program: Program
    wanted: Sequence[int]
    inputs: Sequence[np.ndarray]
    results: Sequence[np.ndarray]
    real: list[float] = field(default_factory=lambda: [0.0, 1.0])
    runs: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    pairs: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    slots: dict[str, int] = field(default_factory=dict[str, int])
    spreads: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])

    def built(self) -> tuple[Key, Numbers] | str:
        precision = self.plan.precision(self.inputs)
        self.dtype = np.dtype(precision.real)
        self.is_complex = _dtypes.kind(precision.compute) == "complex"
        self.splits = precision.splits
        self.shape = self.results[self.wanted[0]].shape
        self.sums = [self.program.sums[i][1] for i in self.wanted]
        self.sequels = [sequel for sequels in self.sums for sequel in sequels]
        outputs = [
            _Operand(f"o{k}", self.results[i].strides, len(self.inputs) + i)
            for k, i in enumerate(self.wanted)
        ]
        self.order = self._order()
        operands = [self._operands(n, sequel) for n, sequel in enumerate(self.sequels)]
        flat = [*outputs, *(operand for listed in operands for operand in listed)]
        self.groups = self._groups(flat)
        last = self.groups[-1][-1]
        if self.is_complex and not self._are_pairs(flat, last):
            return "has no kernels for complex arrays with gaps along their last axis"
        self.position = {axis: i for i, group in enumerate(self.groups) for axis in group}
        self.last = len(self.groups) - 1
        sizes = [int(np.prod([self.shape[a] for a in group])) for group in self.groups]
        sizes[-1] *= 2 if self.is_complex else 1
        self.sizes = tuple(sizes)
        for operand in flat:
            self._place(operand)
        terms = iter([self._term(*numbered) for numbered in enumerate(self.sequels)])
        result = _real_part(precision.result)
        key = Key(
            len(sizes),
            precision.real,
            result,
            self.is_complex,
            tuple(
                result == precision.real and self._along_line(o) == self.dtype.itemsize
                for o in outputs
            ),
            tuple(tuple(next(terms) for _ in sequels) for sequels in self.sums),
        )
        return key, Numbers(
            self.sizes,
            self.slots,
            [(o.name, o.source, o.offset) for o in flat if o.source is not None],
            np.array(self.real, self.dtype),
            np.array(self.runs, np.int64).reshape(-1, 8),
            np.array(self.pairs, np.int64).reshape(-1, 6),
            [operand.array for operand in flat if operand.array is not None],
            self.spreads,
        )

    # --- axes -------------------------------------------------------------------------------------

    def _order(self) -> list[int]:
        """The axes of the plan, neighbours in the memory of the first result last."""
        strides = self.results[self.wanted[0]].strides
        return sorted(range(len(strides)), key=lambda axis: -abs(strides[axis]))

    def _groups(self, operands: Sequence[_Operand]) -> list[tuple[int, ...]]:
        """The axes that kernels see: those without differences are one where memory allows it."""
        used = {s.steps[0].axis for s in self.sequels if s.steps and isinstance(s.steps[0], Passage)}
        groups: list[tuple[int, ...]] = []
        for axis in self.order:
            if self.shape[axis] == 1 and axis not in used and axis != self.order[-1]:
                continue
            before = groups[-1][-1] if groups else None
            merges = before is not None and not {before, axis} & used
            if merges and all(
                o.strides[before] == o.strides[axis] * self.shape[axis] for o in operands
            ):
                groups[-1] = (*groups[-1], axis)
            else:
                groups.append((axis,))
        return groups

    def _are_pairs(self, operands: Sequence[_Operand], last: int) -> bool:
        size = 2 * self.dtype.itemsize
        return all(o.strides[last] == size for o in operands if o.source is not None)

    def _along_line(self, operand: _Operand) -> int:
        """Bytes between neighbours along the last axis."""
        stride = operand.strides[self.groups[-1][-1]]
        return stride // 2 if self.is_complex and operand.source is not None else stride

    def _place(self, operand: _Operand) -> None:
        """Name where an array begins, and its strides."""
        array = operand.array
        self.slots[operand.name] = 0 if array is None else _address(array)
        for i, group in enumerate(self.groups):
            stride = operand.strides[group[-1]]
            self.slots[f"{operand.name}_{i}"] = self._along_line(operand) if i == self.last else stride

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
            self._array(f"t{number}_p{j}", step.array, step.part)
            for j, step in enumerate(products)
        ]
        for j, known in enumerate(_known_arrays(sequel).values()):
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

    def _term(self, number: int, sequel: Sequel) -> Term:
        name = f"t{number}"
        f = self.inputs[sequel.source]
        steps = sequel.steps
        passage = steps[0] if steps and isinstance(steps[0], Passage) else None
        axis = self.last if passage is None else self.position[passage.axis]
        if passage is None:
            whole = self.sizes[-1] // (2 if self.is_complex else 1)
            runs = [Run(0, whole, 0, ((Point(0, 1), None, None),), (), True)]
        else:
            runs = list(_runs(passage))
        scale = 2 if self.is_complex and axis == self.last else 1
        middle = _written_out(runs)
        known = list(_known_arrays(sequel))
        pairs = self._middle(name, middle, axis, scale)
        self.slots[f"{name}_runs"] = len(self.runs)
        for run in runs:
            if run is not middle:
                self._listed(run, known, scale)
        self.slots[f"{name}_ends"] = len(self.runs)
        if sequel.coefficient is not None:
            self.slots[f"{name}_c"] = self._number(sequel.coefficient)
        line = self._line_of(f)
        return Term(
            _real_part(_dtypes.dtype_name(f.dtype)),
            self.splits[sequel.source],
            line,
            axis,
            pairs,
            len(middle.divisors),
            tuple(
                self.slots[f"{name}_p{j}_{self.last}"] != 0
                for j in range(sum(isinstance(step, Product) for step in steps))
            ),
            len(known),
            sequel.coefficient is not None,
        )

    def _line_of(self, f: np.ndarray) -> bool:
        return f.strides[self.groups[-1][-1]] == f.itemsize

    def _middle(self, name: str, run: Run, axis: int, scale: int) -> tuple[Pair, ...]:
        """Name the numbers of the rows that are written out."""
        self.slots[f"{name}_start"], self.slots[f"{name}_stop"] = run.start * scale, run.stop * scale
        step = self.slots[f"{name}_f_{axis}"] * scale
        found: list[Pair] = []
        offsets = [0]
        for p, (high, low, weight) in enumerate(run.pairs):
            for side, point in (("h", high), ("l", low)):
                if point is not None:
                    self.slots[f"{name}_{side}{p}"] = point.offset * step
                    offsets.append(point.offset)
            form = "difference" if high and low else "value" if high else "negative"
            kind = "" if weight is None else "column" if weight.ndim else "number"
            if weight is not None:
                place, _ = self._weight(weight, run, scale)
                self.slots[f"{name}_w{p}"] = place
            found.append(Pair(form, kind))
        for j, divisor in enumerate(run.divisors):
            self.slots[f"{name}_d{j}"] = self._divisor(divisor)
        before, after = self.spreads.get(axis, (0, 0))
        self.spreads[axis] = (min(before, *offsets), max(after, *offsets))
        return tuple(found)

    def _listed(self, run: Run, known: Sequence[Any], scale: int) -> None:
        """List rows in the tables."""
        first = len(self.pairs)
        for high, low, weight in run.pairs:
            if high is None:
                # The negative, exactly: its sign turned, minus 0.
                assert low is not None
                high, low = low._replace(sign=-low.sign), None
            place, step = (1, 0) if weight is None else self._weight(weight, run, scale)
            points = (self._code(high, known, scale), self._code(low, known, scale))
            self.pairs.append((*points[0], *points[1], place, step))
        divisors = len(self.real)
        for divisor in run.divisors:
            self._divisor(divisor)
        self.runs.append(
            (
                run.start * scale,
                run.stop * scale,
                first,
                len(self.pairs),
                divisors,
                len(self.real),
                int(run.is_full),
                int(run.is_plain and all(high and low for high, low, _ in run.pairs)),
            )
        )

    def _code(self, point: Point | None, known: Sequence[Any], scale: int) -> tuple[int, int]:
        """Kind and number of a point: of the input 0, of arrays 2 and 4, a number 6; negatives odd."""
        if point is None:
            return 6, 0
        turned = int(point.sign < 0)
        if point.known is None:
            return turned, point.offset * scale
        if point.known.array is None:
            return 6 + turned, self._number(point.known.number)
        return 2 + 2 * known.index(_named(point.known)) + turned, 0

    def _number(self, value: Any) -> int:
        self.real.append(self.dtype.type(value))
        return len(self.real) - 1

    def _divisor(self, value: Any) -> int:
        one = self.dtype.type(1)
        return self._number(one / self.dtype.type(value) if self.is_complex else value)

    def _weight(self, weight: np.ndarray, run: Run, scale: int) -> tuple[int, int]:
        """Where the weights of the rows of a run begin, and the step from row to row."""
        place = len(self.real)
        if not weight.ndim:
            return self._number(weight), 0
        rows = weight.ravel()[run.start - run.first : run.stop - run.first]
        self.real.extend(np.repeat(rows, scale))
        return place, 1


def _known_arrays(sequel: Sequel) -> dict[tuple[int | None, str], Known]:
    """The arrays that are known along the walls of an axis: two at most."""
    return {_named(known): known for known in _known(sequel) if known.array is not None}


def _named(known: Known) -> tuple[int | None, str]:
    return known.array, repr(known.part)


def _real_part(name: str) -> str:
    return {"complex64": "float32", "complex128": "float64"}.get(name, name)


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
