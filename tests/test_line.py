"""Lines: where values, results and walls lie on an axis, counted by hand."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from gradkit import Antisymmetric, Axis, Dirichlet, Neumann, Robin, Symmetric
from gradkit.errors import ArgumentValueError
from gradkit.line import PLACES, Line, as_place

#: Four cells: their faces have even positions, their centres odd ones, in half spacings.
POSITIONS = {
    "centre": [1, 3, 5, 7],
    "left": [0, 2, 4, 6],
    "right": [2, 4, 6, 8],
    "inner": [2, 4, 6],
    "outer": [0, 2, 4, 6, 8],
}

#: Cells of the lengths 3, 1, 4, 2; the centres lie anywhere inside of them.
FACES = [-1.0, 2.0, 3.0, 7.0, 9.0]
CENTRES = [0.0, 2.5, 4.0, 8.5]


def line_with(end, side=0, axis=None, **places):
    """A line of four cells with something known at one end alone."""
    ends = (end, None) if side == 0 else (None, end)
    return Line(Axis() if axis is None else axis, 4, "axis 0", **places, ends=ends)


# --- places ---------------------------------------------------------------------------------------


def test_every_place_has_a_name():
    assert set(PLACES) == set(POSITIONS)


@pytest.mark.parametrize("at", POSITIONS)
@pytest.mark.parametrize("to", POSITIONS)
def test_values_and_results_are_counted_from_their_places(at, to):
    line = Line(Axis(), 4, at=at, to=to)
    assert line.sources == len(POSITIONS[at])
    assert line.targets == len(POSITIONS[to])
    # the distance from result i to value i is the same for all i
    pairs = zip(POSITIONS[at], POSITIONS[to], strict=False)
    assert {value - result for value, result in pairs} == {line.halves}


def test_values_and_results_lie_at_the_centres_unless_told():
    line = Line(Axis(), 4)
    assert (line.at, line.to, line.ends) == ("centre", "centre", (None, None))
    assert (line.sources, line.targets, line.halves) == (4, 4, 0)


@pytest.mark.parametrize(("cells", "inner", "outer"), [(0, 0, 1), (1, 0, 2), (2, 1, 3)])
def test_few_cells_have_few_faces(cells, inner, outer):
    assert Line(Axis(), cells, at="inner", to="outer").sources == inner
    assert Line(Axis(), cells, at="inner", to="outer").targets == outer


@pytest.mark.parametrize("boundary", ["periodic", "antiperiodic"])
@pytest.mark.parametrize("place", ["inner", "outer"])
def test_the_first_and_the_last_face_of_a_wrapping_axis_are_one(boundary, place):
    axis = Axis(boundary=boundary)
    wanted = rf"axis 3 is {boundary}, so its first .*'left' or 'right' instead of '{place}'"
    with pytest.raises(ArgumentValueError, match=wanted):
        Line(axis, 4, "axis 3", at=place)
    with pytest.raises(ArgumentValueError, match=wanted):
        Line(axis, 4, "axis 3", to=place)
    for free in ("left", "right"):
        assert Line(axis, 4, at=free).sources == 4


@pytest.mark.parametrize("cells", [2, 4])
def test_a_line_has_as_many_cells_as_coordinates(cells):
    axis = Axis(coordinates=[0, 1, 3])
    with pytest.raises(
        ArgumentValueError, match=rf"coordinates of axis 2 have 3 points.* array has {cells} along"
    ):
        Line(axis, cells, "axis 2")


@pytest.mark.parametrize("name", PLACES)
def test_places_are_known_by_their_names(name):
    assert as_place("at", name) == name


def test_no_place_and_the_other_spelling_of_the_centre():
    assert as_place("at", None) is None
    assert as_place("at", "center") == "centre"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("centres", "to='centres' is not one of 'centre', 'left', .*; did you mean 'centre'"),
        ("face", "to='face' is not one of 'centre', 'left', 'right', 'inner', 'outer'"),
        ("", "to='' is not one of"),
        (0, "to=0 is not one of"),
        (["inner"], r"to=\['inner'\] is not one of"),
    ],
)
def test_what_is_not_a_place_raises(value, message):
    with pytest.raises(ArgumentValueError, match=message):
        as_place("to", value)


def test_lines_are_frozen_values():
    line = Line(Axis(), 4, "axis 0", "centre", "inner", (Dirichlet(1), None))
    assert line == Line(Axis(), 4, "axis 0", "centre", "inner", (Dirichlet(1.0), None))
    assert hash(line) == hash(Line(Axis(), 4, "axis 0", "centre", "inner", (Dirichlet(1.0), None)))
    assert line != Line(Axis(), 4, "axis 0", "centre", "inner", (None, Dirichlet(1)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        line.cells = 5


@pytest.mark.parametrize(
    ("axis", "uniform"),
    [
        (Axis(spacing=-0.1), True),
        (Axis(coordinates=[0, 1, 2, 3]), True),
        (Axis(coordinates=[0, 1, 2, 4]), False),
        (Axis(coordinates=[1, 2, 3, 4], faces=[0.5, 1.5, 2.5, 3.5, 5]), False),
    ],
)
def test_a_line_is_uniform_where_its_faces_are_so_too(axis, uniform):
    assert Line(axis, 4).is_uniform is uniform


# --- walls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("spacing", [1.0, 0.25, -3.0])
@pytest.mark.parametrize(
    ("at", "spacings"),
    [("face", Fraction(1, 2)), ("sample", 0), ("next", 1)],
)
def test_named_walls_lie_at_multiples_of_half_a_spacing(side, spacing, at, spacings):
    for axis in (Axis(spacing=spacing), Axis(coordinates=spacing * np.arange(4))):
        line = line_with(Neumann(0, at=at), side, axis)
        assert line.distance(side) == abs(Fraction(spacing)) * spacings
        # the centres at the ends have the positions 1 and 7 in half spacings
        assert line.wall(side) == (1 - 2 * spacings if side == 0 else 7 + 2 * spacings)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("spacing", "at", "halves"),
    [
        (1.0, 0, 0),
        (1.0, 0.25, Fraction(1, 2)),
        (0.5, 0.25, 1),
        (-0.5, 0.25, 1),
        (0.5, 2, 8),
        (0.5, Fraction(1, 3), Fraction(4, 3)),
    ],
)
def test_a_distance_counts_in_the_units_of_the_spacing(side, spacing, at, halves):
    line = line_with(Robin(1, 2, at=at), side, Axis(spacing=spacing))
    assert line.distance(side) == at
    assert line.wall(side) == (1 - halves if side == 0 else 7 + halves)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(
    ("at", "first", "last"),
    [
        ("face", 1, 0.5),
        ("sample", 0, 0),
        ("next", 2.5, 4.5),  # as far beyond the end as the next centre lies inside
        (0.125, 0.125, 0.125),
        (0, 0, 0),
    ],
)
def test_walls_of_coordinates_lie_beyond_the_end_centres(direction, at, first, last):
    centres, faces = (direction * np.array(x) for x in (CENTRES, FACES))
    axis = Axis(coordinates=centres, faces=faces)
    assert line_with(Neumann(0, at=at), 0, axis).distance(0) == Fraction(first)
    assert line_with(Neumann(0, at=at), 1, axis).distance(1) == Fraction(last)


def test_the_default_face_lies_as_far_beyond_the_end_as_the_next_one_inside():
    axis = Axis(coordinates=[0, 1, 4, 9])
    assert line_with(Dirichlet(0), 0, axis).distance(0) == Fraction(1, 2)
    assert line_with(Dirichlet(0), 1, axis).distance(1) == Fraction(5, 2)


def test_a_distance_on_coordinates_is_off_the_grid_of_faces_and_centres():
    axis = Axis(coordinates=CENTRES, faces=FACES)
    assert line_with(Dirichlet(0, at=0.75), 0, axis).wall(0) is None
    assert line_with(Dirichlet(0, at=0.75), 0, axis).wall_index(0) is None
    assert line_with(Dirichlet(0, at=0.0), 0, axis).wall(0) == 1
    assert line_with(Dirichlet(0, at="face"), 1, axis).wall(1) == 8


@pytest.mark.parametrize(
    ("place", "at", "first", "last"),
    [
        # centres of four cells: -1 and 4 are the next ones outside
        ("centre", "sample", 0, 3),
        ("centre", "next", -1, 4),
        ("centre", "face", None, None),
        ("centre", 2.0, -2, 5),
        ("centre", 0.25, None, None),
        ("outer", "face", 0, 4),
        ("outer", 1.5, -1, 5),
        ("outer", "next", None, None),
        ("inner", "face", -1, 3),
        ("inner", "sample", None, None),
        ("left", "face", 0, 4),
        ("right", "face", -1, 3),
    ],
)
def test_the_index_of_the_value_on_a_wall_is_counted_by_hand(place, at, first, last):
    for axis in (Axis(), Axis(spacing=-1)):
        assert line_with(Neumann(0, at=at), 0, axis, at=place).wall_index(0) == first
        assert line_with(Neumann(0, at=at), 1, axis, at=place).wall_index(1) == last


def test_the_place_of_a_wall_may_be_asked_for_results():
    line = line_with(Dirichlet(0), at="centre", to="outer")
    assert (line.place_of_wall(0, "outer"), line.place_of_wall(0, "inner")) == (0, -1)
    assert line.place_of_wall(0, "centre") is None


@pytest.mark.parametrize(
    ("place", "at", "side"),
    [
        ("outer", "sample", 0),
        ("outer", "sample", 1),
        ("left", "sample", 0),
        ("right", "sample", 1),
        ("outer", 0.25, 0),
        ("outer", 0.25, 1),
    ],
)
def test_a_wall_inside_of_the_end_value_raises(place, at, side):
    where = "last" if side else "first"
    wanted = rf"at=.* on axis 0 puts the wall inside of the {where} value, which lies at '{place}'"
    for end in (Dirichlet(0, at=at), Robin(1, 2, 3, at=at)):
        with pytest.raises(ArgumentValueError, match=wanted):
            line_with(end, side, at=place)
    if at == "sample":
        named = line_with(Dirichlet(0, at=at), side, at="centre")
        assert named.wall(side) == (7 if side else 1)
        for axis in (Axis(), Axis(coordinates=CENTRES, faces=FACES)):
            for end in (Symmetric(at=at), Antisymmetric(at=at)):
                with pytest.raises(ArgumentValueError, match=wanted):
                    line_with(end, side, axis, at=place)


@pytest.mark.parametrize(
    ("place", "at", "side"),
    [
        ("outer", "face", 0),
        ("outer", "face", 1),
        ("left", "face", 0),
        ("left", "sample", 1),
        ("right", "sample", 0),
        ("right", "face", 1),
        ("inner", "sample", 0),
        ("centre", "sample", 1),
        ("outer", 0.5, 0),
    ],
)
def test_a_wall_on_or_beyond_the_end_value_is_accepted(place, at, side):
    assert line_with(Dirichlet(0, at=at), side, at=place).wall(side) is not None


@pytest.mark.parametrize("at", ["left", "outer"])
def test_where_results_lie_does_not_matter_to_a_wall(at):
    assert line_with(Dirichlet(0, at="sample"), to=at).wall(0) == 1


@pytest.mark.parametrize(
    ("place", "first", "last"),
    [
        ("centre", [0.5, 1.75, 3.25], [0.75, 2.0]),
        ("left", [0.0, 1.0, 2.5], [1.5, 2.5]),
        ("right", [1.0, 2.5, 4.0], [0.0, 1.5]),
        ("inner", [1.0, 2.5, 4.0], [1.5, 2.5]),
        ("outer", [0.0, 1.0, 2.5], [0.0, 1.5]),
    ],
)
def test_values_are_counted_from_a_wall_inwards(place, first, last):
    """Cells of the lengths 1, 1.5, 1.5, 1 and 1.5, with the centres in their middle."""
    faces = np.asarray([0, 1, 2.5, 4, 5, 6.5])
    for sign in (1, -1):
        axis = Axis(coordinates=sign * (faces[1:] + faces[:-1]) / 2, faces=sign * faces)
        walls = (Dirichlet(0), Neumann(0))
        line = Line(axis, 5, at=place, to=place, ends=walls)
        assert (line.distances(0, 3), line.distances(1, 2)) == (first, last)


@pytest.mark.parametrize(("at", "lead"), [("face", 0.5), ("sample", 0), ("next", 1), (0.75, 0.375)])
def test_values_on_equal_spacing_are_counted_from_a_wall_inwards(at, lead):
    line = Line(Axis(spacing=-2.0), 5, ends=(Dirichlet(0, at=at), Neumann(0, at=at)))
    for side in (0, 1):
        assert line.distances(side, 3) == [2 * lead, 2 * lead + 2, 2 * lead + 4]
