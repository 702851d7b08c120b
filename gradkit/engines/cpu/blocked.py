"""Plans on NumPy arrays, tile by tile: what is computed of a tile stays in the cache of a core.

Results are, bit for bit, those of the reference: a tile takes the same differences, products and
sums of the same numbers, in the same order. Every operation writes to memory that is there
already, so that nothing of the size of a whole array is allocated but results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np

from gradkit._array import Array, Split
from gradkit._threads import in_parallel
from gradkit.engines import reference
from gradkit.engines.cpu.addresses import address
from gradkit.engines.cpu.floating import Recorder
from gradkit.engines.program import Known, Passage, Piece, Product, Program, Sequel, Window

__all__ = ["run"]

#: A part of an array: the points along each axis, from the first to one after the last.
Box = tuple[slice, ...]

#: Bytes of a tile of the result. A tile is read and written several times, from the cache.
TILE = 2**21
#: Bytes that threads share for tiles, and how many tiles a thread has at most. There may be more
#: threads than are good for that, but tiles stay larger than what calling NumPy costs.
MEMORY, TILES, SMALLEST = 2**26, 6, 2**17
#: Rows shorter than this are not worth a loop of NumPy's each: they are taken in one.
SHORT_ROW = 4096


def run(program: Program, inputs: Sequence[Array], results: Sequence[Array], threads: int) -> None:
    """Write what a program makes of its inputs into one array per sum."""
    arrays = [array() if callable(array) else array for array in program.arrays]
    recorder = Recorder()
    share = max(MEMORY // (TILES * threads), SMALLEST)
    tasks = list(_tiles(results, min(TILE, share)))

    def worker() -> Callable[[tuple[int, Box]], None]:
        return _Worker(program, inputs, arrays, results, recorder).tile

    in_parallel(worker, tasks, threads)
    recorder.report()


def _tiles(results: Sequence[Array], size: int) -> Iterator[tuple[int, Box]]:
    """The tiles of all results, as number of the result and box; those of one place together."""
    shape = tuple(map(max, zip(*(result.shape for result in results), strict=True)))
    room = max(size // max(result.itemsize for result in results), 2)
    order = _order(results[0])
    parts: list[list[slice]] = []
    is_row = True
    for axis in reversed(order):
        n = shape[axis]
        step = max(min(n, room), 1)
        room //= step
        parts.insert(0, _runs(n, step, is_row))
        is_row = is_row and step == 1
    for runs in product(*parts):
        place = [runs[order.index(axis)] for axis in range(len(shape))]
        for number, result in enumerate(results):
            # Results at faces have one point more than others; those of one place are together.
            box = tuple(
                slice(run.start, min(run.stop, n))
                for run, n in zip(place, result.shape, strict=True)
            )
            if all(part.start < part.stop for part in box):
                yield number, box


def _order(result: Array) -> list[int]:
    """The axes from the outermost in memory to the innermost."""
    return sorted(range(result.ndim), key=lambda axis: -abs(result.strides[axis]))


def _runs(n: int, step: int, is_row: bool) -> list[slice]:
    """The points of an axis in runs of some length; in a row, none has one point alone.

    NumPy multiplies a single complex number in place with other bits than several.
    """
    starts = list(range(0, max(n - 1, 1) if is_row else n, step))
    return [slice(a, b) for a, b in pairwise([*starts, n])]


class _Worker:
    """What one thread computes tiles with: the call, and memory of its own.

    Level 0 of a chain is its input, level k what its first k steps make of that.
    """

    def __init__(
        self,
        program: Program,
        inputs: Sequence[Array],
        arrays: Sequence[Array],
        results: Sequence[Array],
        recorder: Recorder,
    ) -> None:
        self.program, self.inputs, self.arrays, self.results = program, inputs, arrays, results
        self.recorder = recorder
        self.buffers: dict[Any, np.ndarray] = {}
        self.tiled: dict[Any, np.ndarray] = {}
        self.order = _order(results[0])

    def tile(self, task: tuple[int, Box]) -> None:
        """Compute one tile of one result."""
        number, box = task
        target = self.results[number][box]
        _, chains, divisors = self.program.sums[number]
        with self.recorder.noting():
            if not chains:
                target[...] = 0
                return
            total = target
            if target.dtype != self.program.compute:
                total = self._buffer("total", target.shape)
            for i, chain in enumerate(chains):
                self._chain(chain, box, self._buffer("term", total.shape) if i else total)
                if i:
                    np.add(total, self._buffer("term", total.shape), out=total)
            for divisor in divisors:
                np.divide(total, divisor, out=total)
            if total is not target:
                target[...] = total

    def _buffer(self, use: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Memory for one use, kept for the next tile; its axes have the order of the result's."""
        size = 1
        for n in shape:
            size *= n
        found = self.buffers.get(use)
        if found is None or found.size < size:
            found = self.buffers[use] = np.empty(size, self.program.compute)
        if len(shape) < len(self.order):  # rows taken as one
            return found[:size]
        found = found[:size].reshape([shape[axis] for axis in self.order])
        return found.transpose([self.order.index(axis) for axis in range(len(shape))])

    # --- chains -------------------------------------------------------------------------------

    def _chain(self, chain: Sequel, box: Box, out: np.ndarray) -> None:
        # Not in place where there is one number alone; see `_runs`.
        own = self._buffer("alone", out.shape) if out.size == 1 else out
        value = self.level(chain, len(chain.steps), box, own)
        if chain.coefficient is None:
            if own is not out:
                out[...] = value
        else:
            np.multiply(reference.value(value), chain.coefficient, out=out)

    def level(self, chain: Sequel, level: int, box: Box, out: np.ndarray | None = None) -> Any:
        """A part of a level, in `out` if it is computed."""
        if level == 0:
            part = self._input(chain)[box]
            convert = self.program.conversions[chain.source]
            return part if convert is None else convert(part)
        if out is None:
            out = np.empty(tuple(part.stop - part.start for part in box), self.program.compute)
        step = chain.steps[level - 1]
        if isinstance(step, Product):
            below = self.level(chain, level - 1, box, self._buffer(("level", level - 1), out.shape))
            np.multiply(reference.value(below), self._part(step.array, step.part, box), out=out)
        else:
            self._passage(chain, level, step, box, out)
        return out

    def _input(self, chain: Sequel) -> Array:
        f = self.inputs[chain.source]
        return f if chain.trim is None else f[chain.trim]

    def _part(self, array: int, part: Box | None, box: Box) -> Array:
        """The part of an array that belongs to a box; it may be broadcast along some axes."""
        values = self.arrays[array]
        values = values if part is None else values[part]
        return values[
            tuple(slice(None) if n == 1 else s for n, s in zip(values.shape, box, strict=True))
        ]

    # --- rules along an axis ------------------------------------------------------------------

    def _passage(self, chain: Sequel, level: int, step: Passage, box: Box, out: np.ndarray) -> None:
        axis = step.axis
        pieces = list(_between(step, box))
        plain = [piece for piece, _ in pieces if piece.is_plain]
        others = [piece for piece, _ in pieces if not piece.is_plain]
        base, origin, done = None, 0, None
        below = _Below(axis, out)
        if plain:
            base, origin = self._base(chain, level - 1, axis, box, plain)
            below.add(base, origin)
            done = self._flat(plain, base, origin, axis, pieces, out)
        for run in _runs_of(others, axis):
            if not below.holds(run):
                part = (*box[:axis], run, *box[axis + 1 :])
                below.add(self.level(chain, level - 1, part), run.start)
        for piece, rows in pieces:
            target = out[(*[slice(None)] * axis, rows)]
            if not piece.is_plain:
                target[...] = self._settled(piece, below, axis, box)
            elif piece is not done:
                self._plain(piece, base, origin, axis, target)

    def _base(
        self, chain: Sequel, level: int, axis: int, box: Box, pieces: Sequence[Piece]
    ) -> tuple[Any, int]:
        """What plain pieces take differences of, and its first point along the axis."""
        runs = [point[axis] for piece in pieces for d in piece.differences for point in d[:2]]
        first, last = min(run.start for run in runs), max(run.stop for run in runs)
        hull = (*box[:axis], slice(first, last), *box[axis + 1 :])
        shape = tuple(part.stop - part.start for part in hull)
        # The input itself is not computed.
        room = self._buffer(("level", level), shape) if level else None
        return self.level(chain, level, hull, room), first

    def _plain(self, piece: Piece, base: Any, origin: int, axis: int, target: np.ndarray) -> None:
        """Weighted differences of slices."""
        shift = partial(_shifted, axis=axis, by=-origin)
        differences = [(shift(high), shift(low), w) for high, low, w in piece.differences]
        if isinstance(base, Split):
            moved = replace(piece, differences=tuple(differences))
            target[...] = reference.plain(np, moved, base)
            return
        self._weighted(
            [(base[high], base[low], weight) for high, low, weight in differences],
            piece.divisors,
            target,
        )

    def _weighted(
        self, differences: Sequence[tuple[Any, Any, Any]], divisors: Sequence[Any], out: np.ndarray
    ) -> None:
        for i, (high, low, weight) in enumerate(differences):
            difference = self._buffer("difference", out.shape) if i else out
            np.subtract(high, low, out=difference)
            if weight is not None:
                np.multiply(difference, weight, out=difference)
            if i:
                np.add(out, difference, out=out)
        for divisor in divisors:
            np.divide(out, divisor, out=out)

    def _settled(self, piece: Piece, below: _Below, axis: int, box: Box) -> Any:
        """Rows that reach around an end, or use what is known at a wall."""

        def known(point: Any) -> Any:
            if isinstance(point, Known) and point.array is not None:
                return Known(number=self._part(point.array, point.part, box))
            return point

        differences = tuple((known(high), known(low), w) for high, low, w in piece.differences)
        return reference.settled(np, replace(piece, differences=differences), below, (), axis)

    # --- short rows ---------------------------------------------------------------------------

    def _flat(
        self,
        plain: Sequence[Piece],
        base: Any,
        origin: int,
        axis: int,
        pieces: Sequence[tuple[Piece, slice]],
        out: np.ndarray,
    ) -> Piece | None:
        """Compute the longest piece of many short rows as if they were a single one.

        What that makes of neighbours in different rows lies where the other pieces will write.
        Returns the piece, or None where it cannot be done.
        """
        rows, n = out.size // out.shape[-1], out.shape[-1]
        if axis != out.ndim - 1 or rows < 2 or n > SHORT_ROW or isinstance(base, Split):
            return None
        if base.shape != out.shape or not (base.flags.c_contiguous and out.flags.c_contiguous):
            return None
        piece = max(plain, key=lambda piece: piece.rows)
        start = next(place.start for found, place in pieces if found is piece)
        offsets = [
            (high[axis].start - origin - start, low[axis].start - origin - start, weight)
            for high, low, weight in piece.differences
        ]
        reach = [k for high, low, _ in offsets for k in (high, low)]
        first, last = max(-min(reach), 0), out.size - max(*reach, 0)
        f, target = base.reshape(-1), out.reshape(-1)
        differences = [
            (
                f[first + high : last + high],
                f[first + low : last + low],
                self._in_all_rows(weight, start, rows, n)[first:last]
                if isinstance(weight, np.ndarray) and weight.ndim
                else weight,
            )
            for high, low, weight in offsets
        ]
        with self.recorder.apart() as found:
            self._weighted(differences, piece.divisors, target[first:last])
        # Neighbours in different rows may have overflowed, or not: the rows themselves will tell.
        return None if found else piece

    def _in_all_rows(self, weight: np.ndarray, start: int, rows: int, n: int) -> np.ndarray:
        """Weights of the points of a row, for all rows of a tile."""
        # The program keeps the weights, so that no other ones come to lie there.
        key = (address(weight), start, rows, n)
        found = self.tiled.get(key)
        if found is None:
            row = np.ones(n, weight.dtype)
            row[start : start + weight.size] = weight.reshape(-1)
            found = self.tiled[key] = np.tile(row, rows)
        return found


class _Below:
    """What rows take of the level below: runs of points along an axis, each computed once."""

    def __init__(self, axis: int, like: np.ndarray) -> None:
        self.axis = axis
        self.shape, self.dtype, self.device = like.shape, like.dtype, like.device
        self.parts: list[tuple[slice, Any]] = []

    def add(self, values: Any, start: int) -> None:
        """Take the values of a run of points from `start` on."""
        first = values.parts[0][0] if isinstance(values, Split) else values
        self.parts.append((slice(start, start + first.shape[self.axis]), values))

    def holds(self, run: slice) -> bool:
        return any(part.start <= run.start and run.stop <= part.stop for part, _ in self.parts)

    def __getitem__(self, index: Box) -> Any:
        run = index[self.axis]
        for part, values in self.parts:
            if part.start <= run.start and run.stop <= part.stop:
                return values[_shifted(index, self.axis, -part.start)]
        raise IndexError(run)


def _runs_of(pieces: Sequence[Piece], axis: int) -> list[slice]:
    """The points that pieces take which are not plain, in runs; those that meet are one."""
    points = (point for piece in pieces for d in piece.differences for point in d[:2])
    windows = (point for point in points if isinstance(point, Window))
    runs = (index[axis] for window in windows for index, _ in window.segments)
    joined: list[slice] = []
    for run in sorted(runs, key=lambda run: run.start):
        last = joined.pop() if joined and run.start <= joined[-1].stop else run
        joined.append(slice(last.start, max(last.stop, run.stop)))
    return joined


def _between(step: Passage, box: Box) -> Iterator[tuple[Piece, slice]]:
    """The parts of the pieces of a rule in a box, with their rows counted from its first one."""
    first, last = box[step.axis].start, box[step.axis].stop
    start = 0
    for piece in step.pieces:
        stop = start + piece.rows
        begin, end = max(first, start), min(last, stop)
        if begin < end:
            rows = slice(begin - first, end - first)
            if (begin, end) == (start, stop):
                yield piece, rows
            else:
                yield _part_of(piece, step.axis, begin - start, end - start), rows
        start = stop


def _part_of(piece: Piece, axis: int, first: int, last: int) -> Piece:
    """Some consecutive rows of a piece."""

    def point(given: Any) -> Any:
        if isinstance(given, tuple):
            return _cut(given, axis, first, last)
        if not isinstance(given, Window):
            return given
        segments: list[tuple[Any, int]] = []
        passed = 0
        for index, sign in given.segments:
            size = index[axis].stop - index[axis].start
            begin, end = max(first - passed, 0), min(last - passed, size)
            if begin < end:
                segments.append((_cut(index, axis, begin, end), sign))
            passed += size
        return Window(tuple(segments), axis)

    def weight(given: Any) -> Any:
        return given[first:last] if isinstance(given, np.ndarray) and given.ndim else given

    differences = tuple((point(high), point(low), weight(w)) for high, low, w in piece.differences)
    return replace(piece, differences=differences, rows=last - first)


def _cut(index: Box, axis: int, first: int, last: int) -> Box:
    """Some consecutive points of those that an index takes along an axis."""
    start = index[axis].start
    return (*index[:axis], slice(start + first, start + last), *index[axis + 1 :])


def _shifted(index: Box, axis: int, by: int) -> Box:
    run = index[axis]
    return (*index[:axis], slice(run.start + by, run.stop + by), *index[axis + 1 :])
