"""One axis as a method sees it: where values lie, where results are wanted, and the walls.

Values may lie at the centres of the cells of an axis (its samples) or at their faces. A `Line` is
an axis with the place of the values, the place of the results, and what is known at the ends of
the field that is differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from gradkit._values import exact_number
from gradkit.boundaries import WALLS, Boundary, Dirichlet, Reflection
from gradkit.errors import ArgumentValueError, one_of
from gradkit.grid import Axis, exact_spacing

__all__ = ["PLACES", "Line", "Place", "as_place"]


class Place(NamedTuple):
    """Where the points of an axis lie.

    Attributes
    ----------
    shift : int
        Position relative to the centre of the same index, in half spacings.
    extra : int
        Number of points more than there are cells.
    """

    shift: int
    extra: int


#: The places by name: the centres of the cells, the face to the left or right of each, the faces
#: between the cells, and all faces.
PLACES = {
    "centre": Place(0, 0),
    "left": Place(-1, 0),
    "right": Place(1, 0),
    "inner": Place(1, -1),
    "outer": Place(-1, 1),
}


def as_place(name: str, value: object) -> str | None:
    """A checked name of a place, or None."""
    if value is None:
        return None
    if value == "center":
        return "centre"
    if not isinstance(value, str) or value not in PLACES:
        raise ArgumentValueError(one_of(name, value, PLACES))
    return value


def _is_next_to(value: Fraction, wanted: Fraction | int) -> bool:
    """Whether two numbers are one but for the rounding of float64."""
    return abs(value - wanted) <= 8 * Fraction(1, 2**52) * abs(wanted)


@dataclass(frozen=True)
class Line:
    """An axis, the places of values and results on it, and what is known at its ends.

    Attributes
    ----------
    axis : Axis
        Spacing or coordinates of the centres.
    cells : int
        Number of centres.
    name : str
        What messages call the axis.
    at, to : str
        Where the values lie, and where the results do; names of `PLACES`.
    ends : tuple of two Boundary or None
        What is known at the walls, of the field that is differentiated.

    Raises
    ------
    ArgumentValueError
        If places, boundaries and coordinates do not go together.
    """

    axis: Axis
    cells: int
    name: str = "axis"
    at: str = "centre"
    to: str = "centre"
    ends: tuple[Boundary | None, Boundary | None] = (None, None)

    def __post_init__(self) -> None:
        points = self.axis.coordinates
        if points is not None and len(points) != self.cells:
            raise ArgumentValueError(
                f"coordinates of {self.name} have {len(points)} points, but the array has "
                f"{self.cells} along that axis; a spacing is a number, not an array"
            )
        for place in (self.at, self.to):
            if self.axis.wrap and PLACES[place].extra:
                raise ArgumentValueError(
                    f"{self.name} is {self.axis.boundary}, so its first and last face are one: "
                    f"wanted 'left' or 'right' instead of {place!r}"
                )
        for side in (0, 1):
            if self.ends[side] is not None:
                self._check_wall(side)

    @property
    def sources(self) -> int:
        """Number of values."""
        return max(self.cells + PLACES[self.at].extra, 0)

    @property
    def targets(self) -> int:
        """Number of results."""
        return max(self.cells + PLACES[self.to].extra, 0)

    @property
    def halves(self) -> int:
        """Position of value i relative to result i, in half spacings."""
        return PLACES[self.at].shift - PLACES[self.to].shift

    @property
    def is_uniform(self) -> bool:
        """Whether the axis is equally spaced, faces included."""
        return self.axis.uniform_spacing is not None

    def distance(self, side: int) -> Fraction:
        """Exact distance of the wall outwards from the end centre, in units of the axis."""
        end = self.ends[side]
        assert end is not None
        if isinstance(end.at, str):
            return self._known_distance(side, end.at)
        return exact_spacing(end.at, self.axis.unit, "at") if end.at else Fraction(0)

    def distances(self, side: int, count: int) -> list[Fraction]:
        """Exact distances of the values nearest to a wall from it, inwards."""
        shift = PLACES[self.at].shift
        inwards = shift if side == 0 else 2 * (self.cells - self.sources) - shift
        reach = 2 * count + inwards
        if self.axis.uniform_spacing:
            steps = [abs(self.axis.uniform_spacing) / 2] * reach
        else:
            given = self.axis.half_steps()[:: 1 if side == 0 else -1][:reach]
            steps = [abs(exact_number(step)) for step in given]
        # From the outermost face to the points behind it: centres and faces in turn.
        places = [sum(steps[:k], Fraction(0)) for k in range(reach)]
        return [places[k] - steps[0] + self.distance(side) for k in range(1 + inwards, reach, 2)]

    def _known_distance(self, side: int, word: str) -> Fraction:
        if self.axis.uniform_spacing:
            return abs(self.axis.uniform_spacing) * WALLS[word] / 2
        steps = self.axis.half_steps()[:: 1 if side == 0 else -1]
        if word == "face":
            return abs(exact_number(steps[0]))
        return WALLS[word] * abs(exact_number(steps[1]) + exact_number(steps[2])) / 2

    def wall(self, side: int) -> Fraction | None:
        """Position of the wall, in half spacings from the first face; None if not on that grid.

        Face i lies at ``2 i``, centre i at ``2 i + 1``. Off that grid, only equally spaced axes
        know the position. A distance next to that of a face or of a sample is taken for it.
        """
        end = self.ends[side]
        assert end is not None
        steps = Fraction(WALLS[end.at]) if isinstance(end.at, str) else self._steps(side)
        if steps is None:
            return None
        return 1 - steps if side == 0 else 2 * self.cells - 1 + steps

    def _steps(self, side: int) -> Fraction | None:
        """The distance of the wall from the end centre, in half spacings."""
        distance = self.distance(side)
        if self.axis.uniform_spacing:
            steps = 2 * distance / abs(self.axis.uniform_spacing)
            return Fraction(round(steps)) if _is_next_to(steps, round(steps)) else steps
        known = {WALLS[word]: self._known_distance(side, word) for word in WALLS}
        return next((Fraction(k) for k, d in known.items() if _is_next_to(distance, d)), None)

    def wall_index(self, side: int) -> int | None:
        """Index of the value that the wall lies on; -1 and `sources` are the next ones outside."""
        return self.place_of_wall(side, self.at)

    def place_of_wall(self, side: int, place: str) -> int | None:
        """Index of the point that the wall lies on, among those at a place."""
        half, shift = self.wall(side), PLACES[place].shift
        return None if half is None or (half - 1 - shift) % 2 else int(half - 1 - shift) // 2

    def mirrored(self, side: int, index: int) -> int:
        """Index of the mirror image, about a wall on the grid, of the value at an index."""
        half = self.wall(side)
        assert half is not None
        return int(half) - 1 - PLACES[self.at].shift - index

    def image(self, index: int) -> tuple[int, int, tuple[int, ...]]:
        """What stands for the value of an index that may lie beyond a mirror at an end, or both.

        Returns
        -------
        index : int
            That of the value; beyond an end if the axis is too short, or has none there.
        factor : int
            1 or -1, or 0 on a wall where the field is 0.
        sides : tuple of int
            The ends whose mirrors or walls it meets, one after the other.
        """
        factor, sides, shift = 1, (), PLACES[self.at].shift
        for side in (0, 1) if index < self.sources // 2 else (1, 0):
            end = self.ends[side]
            if not isinstance(end, Reflection):
                continue
            half, along = self.wall(side), 2 * index + 1 + shift
            assert half is not None
            beyond = half - along if side == 0 else along - half
            if beyond == 0 and end.sign < 0:
                return index, 0, (*sides, side)
            if beyond > 0:
                index, factor, sides = self.mirrored(side, index), factor * end.sign, (*sides, side)
        return index, factor, sides

    def lies_on_wall(self, side: int, index: int) -> bool:
        """Whether a value lies on a wall that states it, so that it is not read."""
        end = self.ends[side]
        states_value = isinstance(end, Dirichlet) or (isinstance(end, Reflection) and end.sign < 0)
        return states_value and self.wall_index(side) == index

    def _check_wall(self, side: int) -> None:
        """Raise unless the wall lies at or beyond the end value."""
        half, end = self.wall(side), self.ends[side]
        # The end value lies on the end centre, at its outer face, or at a face further in.
        shift = PLACES[self.at].shift
        outermost = -shift if side == 0 else 2 * (self.sources - self.cells) + shift
        if half is None:
            inside = outermost > 0 and self.distance(side) < self._known_distance(side, "face")
        else:
            inside = (1 - half if side == 0 else half - 2 * self.cells + 1) < outermost
        if inside:
            where = "first" if side == 0 else "last"
            raise ArgumentValueError(
                f"{end!r} on {self.name} puts the wall inside of the {where} value, which lies "
                f"at {self.at!r}: wanted a wall at or beyond it"
            )
