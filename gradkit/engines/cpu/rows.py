"""The rows of a passage as kernels take them: runs whose points each lie in one slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from gradkit.engines.cpu.key import MOST_DIFFERENCES
from gradkit.engines.program import Known, Passage, Sequel, Window

__all__ = [
    "Point",
    "Run",
    "ends_beside",
    "known_arrays",
    "name_of",
    "rows_beside",
    "run_at",
    "runs_of",
    "written_out",
]

#: Differences across lines of one term at faces, at most, that are written out.
MOST_AT_FACES = 24


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


def ends_beside(
    along: Sequence[Sequence[Run]], across: Sequence[Sequence[Run]], size: int, parts: int
) -> list[int]:
    """The places near the ends of a line that the text has: all that are not in the middle.

    Parameters
    ----------
    along, across : sequence of sequence of Run
        The rows of the terms that take differences along lines, and across them.
    size : int
        Rows along a line.
    parts : int
        Elements of a row: those of a complex number are taken one by one.
    """
    middles = [written_out(runs) for runs in along]
    first = max((run.start for run in middles), default=0)
    after = min((run.stop for run in middles), default=size)
    if first >= after:
        return []
    places = [*range(first), *range(after, size)]
    found = [run_at(runs, place) for place in places for runs in along]
    # At each place differences across the line are taken, too.
    others = sum(len(written_out(runs).pairs) for runs in across)
    # A place without any counts, too: the values of all are held back together.
    differences = sum(max(len(run.pairs), 1) for run in found) + others * len(places)
    if differences * parts > MOST_DIFFERENCES or not all(run.is_plain for run in found):
        return []
    return [place * parts + part for place in places for part in range(parts)]


def rows_beside(runs: Sequence[Run]) -> tuple[range, range]:
    """The rows before and after those in the middle, if the text has them: all, or none."""
    middle = written_out(runs)
    beside = [run for run in runs if run is not middle]
    differences = sum(len(run.pairs) * (run.stop - run.start) for run in beside)
    are_plain = all(run.is_plain and run.pairs for run in beside)
    if middle.start == middle.stop or differences > MOST_AT_FACES or not are_plain:
        return range(0), range(0)
    return range(middle.start), range(middle.stop, runs[-1].stop)


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
