"""Plans on small NumPy arrays: calls of NumPy, listed once, one after the other.

A tile costs a tenth of a millisecond before its first number, so arrays that fit into a cache are
taken whole. All that does not depend on values and addresses is settled when the list is made:
which parts of which arrays each operation takes, and where it writes. A call takes these parts and
runs down the list.

Results are, bit for bit, those of the reference: the same differences, products and sums of the
same numbers, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gradkit.engines.cpu.strips import Strip, in_one_row, strips_of
from gradkit.engines.program import Known, Passage, Product, Program, Sequel, Sum

__all__ = ["Listing", "Room", "Whole", "whole"]

#: A part of an array: a slice per axis.
Box = tuple[slice, ...]
Shape = tuple[int, ...]
#: Two operands, and where the result goes.
Operation = Callable[[Any, Any, Any], Any]

#: Arrays that share memory begin at multiples of a line of the caches.
LINE = 64
#: Elements of a result from which on it pays to take the rows of an array as one.
ROWS = 2**11
#: Memory that no call is using. Calls that run at the same time, in threads or in handlers of
#: signals, take one piece each.
_spare: list[np.ndarray] = []


class Room(NamedTuple):
    """An array for what a call keeps meanwhile, in memory that calls take in turn."""

    shape: Shape
    dtype: np.dtype
    offset: int


@dataclass(frozen=True, eq=False)
class Listing:
    """What a call of a plan does.

    Operands are counted through: inputs, results, rooms, constants, and views, each a part of an
    operand before it, or, with None for a box, all its elements in one row. A step is an operation,
    its two operands, and the one that it writes to.
    `memory` is the number of bytes of all rooms.
    """

    rooms: tuple[Room, ...]
    memory: int
    constants: tuple[Any, ...]
    views: tuple[tuple[int, Box | None], ...]
    steps: tuple[tuple[Operation, int, int, int], ...]

    def run(self, inputs: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> None:
        """Write what the plan makes of its inputs into one array per sum."""
        if not self.rooms:
            self._run([*inputs, *results, *self.constants])
            return
        memory = _taken(self.memory)
        rooms = (np.ndarray(r.shape, r.dtype, memory, r.offset) for r in self.rooms)
        try:
            self._run([*inputs, *results, *rooms, *self.constants])
        finally:
            _spare.append(memory)

    def _run(self, operands: list[Any]) -> None:
        for whole, box in self.views:
            array = operands[whole]
            operands.append(array.reshape(-1) if box is None else array[box])
        for operation, first, second, target in self.steps:
            operation(operands[first], operands[second], operands[target])


def _taken(size: int) -> np.ndarray:
    try:
        memory = _spare.pop()
    except IndexError:
        return np.empty(size, np.uint8)
    return memory if memory.size >= size else np.empty(size, np.uint8)


@dataclass(frozen=True, eq=False)
class Whole:
    """How a plan is applied to arrays taken whole: a list, and one for arrays without gaps."""

    listing: Listing
    flat: Listing | None

    def run(self, inputs: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> None:
        """Write what the plan makes of its inputs into one array per sum."""
        try:
            if self.flat is None or not _run_flat(self.flat, inputs, results):
                self.listing.run(inputs, results)
        except BaseException:
            # The caller wanted NumPy to raise, or interrupts: no result is left half-written.
            with np.errstate(all="ignore"):
                self.listing.run(inputs, results)
            raise


def _run_flat(flat: Listing, inputs: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> bool:
    """Whether results are there: rows end in neighbours, whose errors are not to be told."""
    if not all(array.flags.c_contiguous for array in (*inputs, *results)):
        return False
    modes: dict[str, Any] = {
        name: "ignore" if mode == "ignore" else "raise" for name, mode in np.geterr().items()
    }
    try:
        with np.errstate(**modes):
            flat.run(inputs, results)
    except FloatingPointError:
        return False  # perhaps of neighbours in different rows: the rows themselves will tell
    return True


def whole(program: Program, inputs: Sequence[np.ndarray]) -> Whole:
    """The lists of a program in real numbers, for inputs of which no exact parts are taken."""
    general = _Lister(program, inputs, False).listing()
    steps = (s for result in program.sums for sequel in result.sequels for s in sequel.steps)
    if all(isinstance(step, Product) or step.axis == 0 for step in steps):
        return Whole(general, None)
    lister = _Lister(program, inputs, True)
    flat = lister.listing()
    return Whole(general, flat if lister.found_rows else None)


def _copy(first: Any, _: Any, target: np.ndarray) -> None:
    np.copyto(target, first, casting="unsafe")


def _negative(first: Any, _: Any, target: np.ndarray) -> None:
    # Not `np.negative`: NumPy 2.4 makes wrong numbers of some arrays with gaps of certain lengths.
    np.multiply(first, -1, target)


# --- making lists ---------------------------------------------------------------------------------


class _Operand(NamedTuple):
    """One of the inputs, results, rooms, constants or views, by its number among these."""

    kind: str
    number: int


class _Lister:
    """Turns the sums of a program into steps."""

    def __init__(self, program: Program, inputs: Sequence[np.ndarray], is_contiguous: bool) -> None:
        self.program, self.inputs, self.is_contiguous = program, inputs, is_contiguous
        #: Whether some rows are taken as one.
        self.found_rows = False
        self.compute = np.dtype(program.compute)
        self.numbers: dict[Any, int] = {}
        self.rooms: list[Room] = []
        self.memory = 0
        self.constants: list[Any] = []
        self.views: list[tuple[_Operand, Box | None]] = []
        self.steps: list[tuple[Operation, _Operand, _Operand, _Operand]] = []

    def listing(self) -> Listing:
        ready = [self._converted(number) for number in range(len(self.inputs))]
        for number, wanted in enumerate(self.program.sums):
            self._sum(ready, wanted, _Operand("result", number))
        sizes = {
            "input": len(self.inputs),
            "result": len(self.program.sums),
            "room": len(self.rooms),
            "constant": len(self.constants),
            "view": len(self.views),
        }
        first = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))

        def place(operand: _Operand) -> int:
            return first[operand.kind] + operand.number

        return Listing(
            tuple(self.rooms),
            self.memory,
            tuple(self.constants),
            tuple((place(whole), box) for whole, box in self.views),
            tuple((do, place(a), place(b), place(target)) for do, a, b, target in self.steps),
        )

    # --- operands -----------------------------------------------------------------------------

    def _room(self, use: Any, shape: Shape) -> _Operand:
        """Memory for one use."""
        number = self.numbers.setdefault((use, shape), len(self.rooms))
        if number == len(self.rooms):
            self.rooms.append(Room(shape, self.compute, self.memory))
            self.memory += -(-self.compute.itemsize * prod(shape) // LINE) * LINE
        return _Operand("room", number)

    def _flat(self, whole: _Operand) -> _Operand:
        """The elements of an array in one row."""
        return self._view(whole, None)

    def _constant(self, value: Any) -> _Operand:
        self.constants.append(value)
        return _Operand("constant", len(self.constants) - 1)

    def _view(self, whole: _Operand, box: Box | None) -> _Operand:
        key = (whole, *((part.start, part.stop, part.step) for part in box or ()))
        number = self.numbers.setdefault(key, len(self.views))
        if number == len(self.views):
            self.views.append((whole, box))
        return _Operand("view", number)

    def _do(
        self, operation: Operation, first: _Operand, second: _Operand, target: _Operand
    ) -> None:
        self.steps.append((operation, first, second, target))

    # --- sums and chains ----------------------------------------------------------------------

    def _converted(self, number: int) -> _Operand:
        f = _Operand("input", number)
        if self.program.conversions[number] is None:
            return f
        converted = self._room(("converted", number), self.inputs[number].shape)
        self._do(_copy, f, f, converted)
        return converted

    def _sum(self, ready: Sequence[_Operand], wanted: Sum, result: _Operand) -> None:
        shape = wanted.shape
        if not wanted.sequels:
            zero = self._constant(np.zeros((), self.compute))
            self._do(_copy, zero, zero, result)
            return
        is_direct = self.program.result == self.compute
        total = result if is_direct else self._room("total", shape)
        for i, sequel in enumerate(wanted.sequels):
            target = self._room("term", shape) if i else total
            self._chain(sequel, ready[sequel.source], target)
            if i:
                self._do(np.add, total, target, total)
        for divisor in wanted.divisors:
            self._do(np.divide, total, self._constant(divisor), total)
        if not is_direct:
            self._do(_copy, total, total, result)

    def _chain(self, chain: Sequel, value: _Operand, target: _Operand) -> None:
        held = np.broadcast_to(np.empty(()), self.inputs[chain.source].shape)
        if chain.trim is not None:
            value, held = self._view(value, chain.trim), held[chain.trim]
        shape = held.shape
        for level, step in enumerate(chain.steps, 1):
            before = shape
            if isinstance(step, Passage):
                rows = sum(piece.rows for piece in step.pieces)
                shape = (*shape[: step.axis], rows, *shape[step.axis + 1 :])
            into = target if level == len(chain.steps) else self._room(("level", level), shape)
            if isinstance(step, Passage):
                self._passage(step, value, into, shape, before)
            else:
                self._do(np.multiply, value, self._array(step.array, step.part), into)
            value = into
        if chain.coefficient is not None:
            self._do(np.multiply, value, self._constant(chain.coefficient), target)

    def _array(self, number: int, part: Box | None) -> _Operand:
        array = self.program.arrays[number]
        return self._constant(array if part is None else array[part])

    # --- rules along an axis ------------------------------------------------------------------

    def _passage(
        self,
        step: Passage,
        value: _Operand,
        into: _Operand,
        shape: Shape,
        before: tuple[int, ...],
    ) -> None:
        strips = list(strips_of(step, shape))
        if self._has_rows(step, value, shape, before):
            longest = max(strips, key=lambda strip: strip.rows.stop - strip.rows.start)
            row = in_one_row(longest, shape, step.axis)
            if row is not None:
                # First: what it makes of neighbours in different rows is written over.
                self._strip(row, self._flat(value), self._flat(into), (prod(shape),), 0)
                strips.remove(longest)
                self.found_rows = True
        for strip in strips:
            self._strip(strip, value, into, shape, step.axis)

    def _has_rows(self, step: Passage, value: _Operand, shape: Shape, before: Shape) -> bool:
        """Whether a passage goes along rows that lie one after the other in memory."""
        is_inner = step.axis > 0 and prod(shape) >= ROWS
        return self.is_contiguous and is_inner and value.kind != "view" and before == shape

    def _strip(
        self, strip: Strip, value: _Operand, into: _Operand, shape: Shape, axis: int
    ) -> None:
        box = (*[slice(None)] * axis, strip.rows)
        target = self._view(into, box)
        for i, (high, low, weight) in enumerate(strip.differences):
            term = self._view(self._room("difference", shape), box) if i else target
            upper = self._point(high, value, box, ("high", shape))
            lower = self._point(low, value, box, ("low", shape))
            self._difference(upper, lower, weight, term)
            if i:
                self._do(np.add, target, term, target)
        for divisor in strip.divisors:
            self._do(np.divide, target, self._constant(divisor), target)
        if not strip.is_full:
            # No row takes a value: they are all known, or 0.
            zero = self._constant(np.zeros((), self.compute))
            self._do(np.add if strip.differences else _copy, zero, target, target)

    def _point(self, point: Any, value: _Operand, box: Box, room: tuple[str, Any]) -> Any:
        """The operand of a point; None for 0."""
        if point is None:
            return None
        if isinstance(point, Known):
            if point.array is None:
                return self._constant(point.number)
            return self._array(point.array, point.part)
        values = self._view(value, (*box[:-1], point.run))
        if point.sign > 0:
            return values
        negated = self._view(self._room(*room), box)
        self._do(_negative, values, values, negated)
        return negated

    def _difference(
        self, high: _Operand | None, low: _Operand | None, weight: Any, target: _Operand
    ) -> None:
        if high is not None and low is not None:
            self._do(np.subtract, high, low, target)
        elif high is not None:
            self._do(_copy, high, high, target)
        elif low is not None:
            self._do(_negative, low, low, target)
        if weight is not None:
            self._do(np.multiply, target, self._constant(weight), target)
