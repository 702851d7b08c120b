"""The rows of a passage as kernels take them: runs whose points each lie in one slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from gradkit.engines.program import Known, Passage, Sequel, Window

__all__ = ["Point", "Run", "known_arrays", "name_of", "run_at", "runs_of", "written_out"]


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

    @property
    def as_line(self) -> int:
        """Whether rows can be taken as a line: 0 no, 1 across lines, 2 yes.

        They can where they are differences of values of the input, along it with the same weights.
        """
        if not (self.is_plain and self.pairs and all(high and low for high, low, _ in self.pairs)):
            return 0
        return 1 if any(weight is not None and weight.ndim for *_, weight in self.pairs) else 2


def runs_of(passage: Passage) -> Iterator[Run]:
    """The runs of rows of a passage, in order."""
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


def run_at(runs: Sequence[Run], row: int) -> Run:
    """The run that a row is in."""
    return next(run for run in runs if run.start <= row < run.stop)


def written_out(runs: Sequence[Run]) -> Run:
    """The rows that the text has, alike and about the centre of an axis, or none.

    So rows before these are nearer to its beginning, those behind nearer to its end. There are none
    without differences.
    """
    size = runs[-1].stop
    central = [
        run for run in runs if run.is_plain and run.pairs and 2 * run.start < size <= 2 * run.stop
    ]
    return max(central, key=lambda run: run.stop - run.start, default=Run(0, 0, 0, (), (), True))


def _point_at(point: Any, start: int, row: int, axis: int) -> Point | None:
    if point is None:
        return None
    if isinstance(point, Known):
        return Point(0, 1, point)
    return [found for begin, found in _segments(point, start, axis) if begin <= row][-1]


def known_arrays(sequel: Sequel) -> dict[tuple[int | None, str], Known]:
    """The arrays that are known along the walls of an axis: two at most."""
    steps = sequel.steps
    pieces = steps[0].pieces if steps and isinstance(steps[0], Passage) else ()
    points = (p for piece in pieces for high, low, _ in piece.differences for p in (high, low))
    known = (point for point in points if isinstance(point, Known) and point.array is not None)
    return {name_of(point): point for point in known}


def name_of(known: Known) -> tuple[int | None, str]:
    """What tells an array along a wall from others."""
    return known.array, repr(known.part)
